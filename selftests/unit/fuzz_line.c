// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Fuzz target: kmod/line.c, on writes of any size that fail in any way. Whatever the
 * writes, the records are the lines of the bytes that were taken.
 *
 * line.c is compiled here, with what it needs of chardev.h.
 */
#include <errno.h>
#include <sys/types.h>

#include <linux/types.h>

#include "fuzz.h"

#define EVSTREAM_CHARDEV_H

#define EVS_NONBLOCK	1
#define EVS_NOWAIT	2
#define EVS_CLOSING	4
#define ERESTARTSYS	512

#define READ_ONCE(x)	(x)
#define min_t(type, a, b)	({ type _a = (a), _b = (b); _a < _b ? _a : _b; })
#define max(a, b)		({ u32 _a = (a), _b = (b); _a > _b ? _a : _b; })

struct mutex {
	bool locked;
	bool interrupted;
	bool busy;
};

struct evs_partition;

struct evs_topic {
	bool dead;
	struct {
		u32 max_record;
	} config;
};

/* Whose memory the line is. */
struct evs_user {
	u64 charged;
	bool full;
};

enum evs_charge {
	EVS_CHARGE_MEMORY,
};

struct evs_file {
	struct evs_topic *topic;
	struct evs_user *user;
	struct evs_partition *to;
	struct mutex line_lock;		/* protects what follows */
	u8 *line;
	u32 line_len;
	u32 line_room;
};

static int mutex_lock_interruptible(struct mutex *m)
{
	FUZZ_CHECK(!m->locked);
	m->locked = !m->interrupted;
	return m->interrupted ? -EINTR : 0;
}

static bool mutex_trylock(struct mutex *m)
{
	FUZZ_CHECK(!m->locked);
	m->locked = !m->busy;
	return m->locked;
}

static void mutex_unlock(struct mutex *m)
{
	FUZZ_CHECK(m->locked);
	m->locked = false;
}

static int evs_user_charge(struct evs_user *u, enum evs_charge what, u64 n)
{
	(void)what;
	if (u->full)
		return -EDQUOT;
	u->charged += n;
	return 0;
}

static void evs_user_uncharge(struct evs_user *u, enum evs_charge what, u64 n)
{
	(void)what;
	FUZZ_CHECK(u->charged >= n);
	u->charged -= n;
}

static int evs_append_lines(struct evs_partition *p, const u8 *lines, u32 len,
			    unsigned int flags, u32 *taken);
static int evs_append_value(struct evs_partition *p, const void *value, u32 len,
			    unsigned int flags);

#include "../../kmod/line.c"

#define STREAM	(1 << 16)

/* The partition: its records with a newline behind each, and how appends fail. */
static struct {
	u8 bytes[STREAM];
	size_t len;
	u32 segment;
	u32 longest;
	u32 calls;
	u32 fail_at;
	bool failed;
} log;

static int evs_append_lines(struct evs_partition *p, const u8 *lines, u32 len,
			    unsigned int flags, u32 *taken)
{
	u32 n = 0, at;

	(void)p;
	(void)flags;
	FUZZ_CHECK(len && lines[len - 1] == '\n');
	if (++log.calls == log.fail_at) {
		log.failed = true;
		return -EAGAIN;
	}
	/* As many as a segment holds. */
	for (at = 0; at < len; at++) {
		if (lines[at] != '\n')
			continue;
		if (at + 1 > log.segment)
			break;
		n = at + 1;
	}
	if (!n) {
		log.failed = true;
		return -EMSGSIZE;
	}
	FUZZ_CHECK(log.len + n <= STREAM);
	memcpy(log.bytes + log.len, lines, n);
	log.len += n;
	*taken = n;
	return 0;
}

static int evs_append_value(struct evs_partition *p, const void *value, u32 len,
			    unsigned int flags)
{
	(void)p;
	FUZZ_CHECK(flags == (EVS_NONBLOCK | EVS_CLOSING) && len && !memchr(value, '\n', len));
	memcpy(log.bytes + log.len, value, len);
	log.len += len;
	return 0;
}

static bool over(const u8 *p, size_t len, u32 max)
{
	size_t i, line = 0;

	for (i = 0; i < len; i++) {
		line = p[i] == '\n' ? 0 : line + 1;
		if (line > max)
			return true;
	}
	return false;
}

static size_t whole(const u8 *p, size_t len)
{
	while (len && p[len - 1] != '\n')
		len--;
	return len;
}

int fuzz_one(const uint8_t *data, size_t size)
{
	/* All that writes said they took. */
	static u8 stream[STREAM];
	struct fuzz_input in = { data, size };
	struct evs_topic topic = { .config.max_record = 1 + fuzz_u8(&in) % 80 };
	struct evs_user user = {};
	struct evs_file f = { .topic = &topic, .user = &user };
	size_t len = 0;

	if (size > STREAM / 2)
		return 0;
	memset(&log, 0, sizeof(log) - sizeof(log.bytes));
	log.len = 0;
	log.segment = 1 + fuzz_u8(&in) % 128;
	while (in.left) {
		uint8_t how = fuzz_u8(&in), fail = fuzz_u8(&in), piece = fuzz_u8(&in);
		struct iov_iter from = { .piece = 1 + piece % 7 };
		size_t n = fuzz_bytes(&in, how, &from.p), tail;
		bool faults = fail >> 6 == 1 && fail & 0x3f;
		ssize_t ret;

		from.count = n;
		from.good = faults && (fail & 0x3fU) * 4 < n ? (fail & 0x3fU) * 4 : n;
		log.calls = 0;
		log.failed = false;
		log.fail_at = fail >> 6 == 2 ? fail & 7 : 0;
		slab_fails = fail >> 6 == 3 && fail & 1;
		f.line_lock.interrupted = fail >> 6 == 3 && fail & 2;
		f.line_lock.busy = fail >> 6 == 3 && fail & 2;
		topic.dead = fail >> 6 == 3 && fail & 4;
		user.full = fail >> 6 == 3 && fail & 16;
		memcpy(stream + len, from.p, n);

		ret = evs_write_lines(&f, &from, fail & 8 ? EVS_NOWAIT : 0);
		FUZZ_CHECK(ret <= (ssize_t)n && !f.line_lock.locked);
		if (f.line_lock.busy)
			FUZZ_CHECK(ret == (fail & 8 ? -EAGAIN : -ERESTARTSYS));
		else if (topic.dead)
			FUZZ_CHECK(ret == -ENODEV);
		else if (ret < (ssize_t)n && !log.failed && !slab_fails && !user.full &&
			 from.good >= from.count)
			/* For no other reason than a line that is too long. */
			FUZZ_CHECK(over(stream + whole(stream, len),
					len + n - whole(stream, len), topic.config.max_record) &&
				   (ret || 1));
		else if (ret == (ssize_t)n)
			FUZZ_CHECK(!over(stream, len + n, topic.config.max_record));
		if (ret > 0)
			len += (size_t)ret;

		tail = len - whole(stream, len);
		FUZZ_CHECK(log.len == len - tail && !memcmp(log.bytes, stream, log.len));
		FUZZ_CHECK(f.line_len == tail);
		FUZZ_CHECK(!tail || !memcmp(f.line, stream + len - tail, tail));
		FUZZ_CHECK(f.line_len <= f.line_room && user.charged == f.line_room);
		if (!f.line_len && !f.line_lock.busy)
			FUZZ_CHECK(f.line_room <= EVS_LINE_KEEP);
	}
	evs_flush_line(&f);
	FUZZ_CHECK(!user.charged && log.len == len && !memcmp(log.bytes, stream, len));
	return 0;
}
