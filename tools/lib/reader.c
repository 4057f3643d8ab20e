// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Follow a partition through its mapping.
 *
 * What lies before the control page's start_position can turn to zeroes at any
 * moment, so nothing found in the log is believed before start_position was seen
 * not to be behind it yet: not a record, and neither that a batch is malformed
 * nor that a segment ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/build_bug.h>

#include "parse.h"
#include "reader.h"

/* Address space mapped at a time; a segment fits always. */
#define WINDOW		(sizeof(void *) > 4 ? 1UL << 30 : 1UL << 26)

static_assert(sizeof(off_t) == 8);

/**
 * struct reader - the whole of a reader
 * @r: its public head
 * @fd: the device
 * @seek: how to seek in it
 * @map: the window of the log, NULL: none yet
 * @map_len: its bytes
 * @map_position: the log position it begins at
 * @window: bytes that a window should have
 * @segment_mask: bytes of a segment, less one
 * @end: end_position as last seen; all before it may be touched
 * @record: address of the next record in the current batch
 * @batch_end: where the current batch ends
 * @seg_limit: where what is published of the current batch's segment ends
 * @left: records left in the current batch
 * @cur: the current batch's header
 * @want: records with smaller offsets are passed over; @wanting: there can be some
 * @wanting: see @want
 * @lapped: an overrun was noticed, the next record has to be looked for
 * @lost_from: first offset of the last gap
 * @lost_to: one after its last offset
 * @lost: offsets lost in all
 */
struct reader {
	struct evs_reader r;
	int fd;
	evs_seek_fn seek;
	void *map;
	size_t map_len;
	u64 map_position;
	size_t window;
	u64 segment_mask;
	u64 end;
	uintptr_t record;
	uintptr_t batch_end;
	uintptr_t seg_limit;
	u32 left;
	struct evs_batch cur;
	s64 want;
	bool wanting;
	bool lapped;
	s64 lost_from;
	s64 lost_to;
	u64 lost;
};

static struct reader *whole(struct evs_reader *r)
{
	return (struct reader *)r;
}

static const struct reader *whole_const(const struct evs_reader *r)
{
	return (const struct reader *)r;
}

static s64 next_offset(const struct reader *s)
{
	return (s64)(__be64_to_cpu(s->r.raw_offset) + 1);
}

static void set_next_offset(struct reader *s, s64 offset)
{
	s->r.raw_offset = __cpu_to_be64((u64)offset - 1);
}

static bool dead(const struct reader *s)
{
	return __atomic_load_n(&s->r.ctl->flags, __ATOMIC_RELAXED) & EVSTREAM_CTL_DEAD;
}

static u64 position(const struct reader *s)
{
	return s->r.next + s->r.delta;
}

/* Whether what was loaded so far from @pos on is still in the log. */
static bool held(const struct reader *s, u64 pos)
{
	/* The loads from the log come before the one of start_position. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&s->r.ctl->start_position, __ATOMIC_RELAXED) <= pos;
}

static void go_to(struct reader *s, u64 pos)
{
	/* An address is for what is mapped: it has less bits than a position. */
	if (s->map && pos - s->map_position < s->map_len)
		s->r.delta = s->map_position - (uintptr_t)s->map;
	else
		s->r.delta = pos;
	s->r.next = (uintptr_t)(pos - s->r.delta);
	s->r.limit = s->r.next;
	s->r.batch = 0;
	s->left = 0;
}

static int device_seek(int fd, struct evstream_seek *seek)
{
	return ioctl(fd, EVSTREAM_IOC_SEEK, seek) ? -errno : 0;
}

static int seek_to(struct reader *s, u32 whence, s64 value)
{
	struct evstream_seek seek = { .whence = whence, .value = value };
	bool dropped;
	int ret;

	do {
		ret = s->seek(s->fd, &seek);
		if (ret)
			return ret;
		/* Then the position is not that of the offset, but of the oldest. */
		dropped = s->r.ctl && seek.offset < evs_reader_start_offset(&s->r);
	} while (dropped && whence == EVSTREAM_SEEK_EARLIEST);
	go_to(s, seek.position);
	set_next_offset(s, seek.offset);
	s->want = seek.offset;
	s->wanting = true;
	s->lapped = dropped;
	return 0;
}

/* Goes on with the oldest record. Return: 0: none was lost after all. */
static noinline int catch_up(struct reader *s)
{
	s64 from = next_offset(s), to;
	int ret;

	s->r.batch = 0;
	s->left = 0;
	if (dead(s))
		return -ENODEV;
	ret = seek_to(s, EVSTREAM_SEEK_EARLIEST, 0);
	if (ret)
		return ret;
	to = next_offset(s);
	if (to < from)
		return seek_to(s, EVSTREAM_SEEK_OFFSET, from);
	if (to == from)
		return 0;
	s->lost_from = from;
	s->lost_to = to;
	s->lost += (u64)(to - from);
	return -EPIPE;
}

/* Maps the window that @pos is in. */
static int map_window(struct reader *s, u64 pos)
{
	u64 from = pos & ~(u64)(s->window - 1);
	void *map;

	map = mmap(NULL, s->window, PROT_READ, MAP_SHARED, s->fd,
		   (off_t)(EVSTREAM_MMAP_LOG + from));
	if (map == MAP_FAILED)
		return -errno;
	if (s->map)
		munmap(s->map, s->map_len);
	s->map = map;
	s->map_len = s->window;
	s->map_position = from;
	go_to(s, pos);
	return 0;
}

/*
 * Takes the next batch with records, and leaves the reader behind it.
 * Return: 1: it is s->cur; or as evs_reader_next().
 */
static noinline int next_batch(struct reader *s)
{
	for (;;) {
		u64 pos = position(s);
		u64 segment_left = s->segment_mask + 1 - (pos & s->segment_mask);
		u64 room;
		s64 behind;
		int ret;

		if (pos >= s->end) {
			/* What lies before the end was written before it. */
			s->end = __atomic_load_n(&s->r.ctl->end_position, __ATOMIC_ACQUIRE);
			if (dead(s))
				return -ENODEV;
			if (pos >= s->end) {
				if (held(s, pos))
					return 0;
				s->lapped = true;
				return 1;
			}
		}
		if (segment_left < EVS_BATCH_HEADER) {
			go_to(s, pos + segment_left);
			continue;
		}
		if (!s->map || pos - s->map_position >= s->map_len) {
			ret = map_window(s, pos);
			if (ret)
				return ret;
		}
		room = s->end - pos;
		if (room > segment_left)
			room = segment_left;
		s->seg_limit = s->r.next + (uintptr_t)room;

		if (room < EVS_BATCH_HEADER ||
		    !parse_header(s->r.next, room, &s->cur)) {
			bool sealed = room == segment_left &&
				      !PARSE_FIELD(s->r.next, 32, length);

			if (!held(s, pos)) {
				s->lapped = true;
				return 1;
			}
			if (dead(s))
				return -ENODEV;
			go_to(s, pos + room);
			if (!sealed)
				return -EBADMSG;
			continue;
		}
		if (!held(s, pos)) {
			s->lapped = true;
			return 1;
		}
		/* Nothing behind it may be touched without another look at the end. */
		s->r.batch = s->r.next;
		s->r.next += s->cur.size;
		s->r.limit = s->r.next;
		s->batch_end = s->r.next;

		behind = s->cur.base_offset + s->cur.last_delta + 1;
		if (s->wanting && behind <= s->want)
			continue;
		if (s->cur.attributes & EVS_ATTR_CONTROL || !s->cur.count) {
			set_next_offset(s, behind);
			continue;
		}
		if (s->cur.attributes & EVS_ATTR_CODEC) {
			set_next_offset(s, behind);
			s->wanting = false;
			return -EOPNOTSUPP;
		}
		s->record = s->r.batch + EVS_BATCH_HEADER;
		s->left = s->cur.count;
		return 1;
	}
}

/*
 * An uncompressed batch of one record, with key or headers or of any size: as the
 * inline path, but for the parser. Return: false: it is something else, or there
 * is something to tell about it.
 */
static inline bool next_single(struct evs_reader *r)
{
	uintptr_t p = r->next, at = p + EVS_BATCH_HEADER, end;
	u64 room = r->limit - p;
	struct evs_batch batch;
	u32 length;

	/* While records of the current batch are left there is no room. */
	if (room < EVS_BATCH_HEADER)
		return false;
	length = PARSE_FIELD(p, 32, length);
	batch.attributes = PARSE_FIELD(p, 16, attributes);
	if (length > room - EVS_BATCH_PREFIX || length < EVS_BATCH_HEADER - EVS_BATCH_PREFIX ||
	    evs_load8(p + offsetof(struct evs_batch_header, magic)) != EVS_MAGIC ||
	    batch.attributes & (EVS_ATTR_CODEC | EVS_ATTR_CONTROL) ||
	    PARSE_FIELD(p, 32, count) != 1)
		return false;
	end = p + length + EVS_BATCH_PREFIX;
	/* The batch's newest record is this one. */
	batch.attributes = EVS_ATTR_APPEND_TIME;
	batch.max_timestamp = (s64)PARSE_FIELD(p, 64, max_timestamp);
	batch.base_timestamp = 0;
	batch.base_offset = (s64)PARSE_FIELD(p, 64, base_offset);
	if (!parse_record(&at, end, &batch, &r->record) || !held(whole(r), p + r->delta))
		return false;
	r->next = end;
	r->batch = p;
	r->raw_offset = __cpu_to_be64((u64)r->record.offset);
	return true;
}

int evs_reader_next_slow(struct evs_reader *r)
{
	struct reader *s = whole(r);
	int ret;

	if (next_single(r))
		return 1;
	for (;;) {
		while (!s->left) {
			if (unlikely(s->lapped)) {
				ret = catch_up(s);
				if (ret)
					return ret;
				continue;
			}
			ret = next_batch(s);
			if (ret <= 0)
				return ret;
		}
		if (unlikely(!parse_record(&s->record, s->batch_end, &s->cur, &r->record))) {
			s->left = 0;
			if (!held(s, r->batch + r->delta)) {
				s->lapped = true;
				continue;
			}
			if (dead(s))
				return -ENODEV;
			set_next_offset(s, s->cur.base_offset + s->cur.last_delta + 1);
			return -EBADMSG;
		}
		if (unlikely(!held(s, r->batch + r->delta))) {
			s->left = 0;
			s->lapped = true;
			continue;
		}
		s->left--;
		if (unlikely(s->wanting)) {
			if (r->record.offset < s->want)
				continue;
			s->wanting = false;
		}
		r->raw_offset = __cpu_to_be64((u64)r->record.offset);
		if (!s->left)
			r->limit = s->seg_limit;
		return 1;
	}
}

struct evs_reader *evs_reader_attach(int fd, unsigned int flags, evs_seek_fn seek,
				     size_t window)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct reader *s;
	void *ctl;
	int ret;

	if (flags & ~EVS_READER_LATEST) {
		errno = EINVAL;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->fd = fd;
	s->seek = seek;
	/* First, as it tells a device from a file that cannot be touched. */
	ret = seek_to(s, flags & EVS_READER_LATEST ? EVSTREAM_SEEK_LATEST :
		      EVSTREAM_SEEK_EARLIEST, 0);
	if (ret) {
		ret = ret == -ENOTTY ? -ENODEV : ret;
		goto err_free;
	}
	ctl = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)EVSTREAM_MMAP_CTL);
	if (ctl == MAP_FAILED) {
		ret = -errno;
		goto err_free;
	}
	s->r.ctl = ctl;
	if (s->r.ctl->version != 1 || s->r.ctl->segment_shift < 12 ||
	    s->r.ctl->segment_shift > 30) {
		ret = -EPROTO;
		goto err_unmap;
	}
	s->segment_mask = (1ULL << s->r.ctl->segment_shift) - 1;
	s->window = window ? window : WINDOW;
	if (s->window <= s->segment_mask)
		s->window = (size_t)s->segment_mask + 1;
	/* Dropped before the control page could tell. */
	if (s->want < evs_reader_start_offset(&s->r)) {
		ret = seek_to(s, EVSTREAM_SEEK_EARLIEST, 0);
		if (ret)
			goto err_unmap;
	}
	return &s->r;

err_unmap:
	munmap(ctl, page);
err_free:
	free(s);
	errno = -ret;
	return NULL;
}

struct evs_reader *evs_reader_open_fd(int fd, unsigned int flags)
{
	return evs_reader_attach(fd, flags, device_seek, 0);
}

struct evs_reader *evs_reader_open(const char *path, unsigned int flags)
{
	struct evs_reader *r;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	r = evs_reader_open_fd(fd, flags);
	if (!r) {
		err = errno;
		close(fd);
		errno = err;
	}
	return r;
}

void evs_reader_close(struct evs_reader *r)
{
	struct reader *s = whole(r);

	if (!s)
		return;
	if (s->map)
		munmap(s->map, s->map_len);
	munmap((void *)s->r.ctl, (size_t)sysconf(_SC_PAGESIZE));
	close(s->fd);
	free(s);
}

int evs_reader_fd(const struct evs_reader *r)
{
	return whole_const(r)->fd;
}

int evs_reader_seek(struct evs_reader *r, enum evstream_whence whence, int64_t value)
{
	return seek_to(whole(r), whence, value);
}

int64_t evs_reader_offset(const struct evs_reader *r)
{
	return next_offset(whole_const(r));
}

uint64_t evs_reader_position(const struct evs_reader *r)
{
	return position(whole_const(r));
}

int64_t evs_reader_start_offset(const struct evs_reader *r)
{
	return (int64_t)__atomic_load_n(&r->ctl->start_offset, __ATOMIC_ACQUIRE);
}

int64_t evs_reader_end_offset(const struct evs_reader *r)
{
	return (int64_t)__atomic_load_n(&r->ctl->end_offset, __ATOMIC_ACQUIRE);
}

uint64_t evs_reader_lost(const struct evs_reader *r, int64_t *from, int64_t *to)
{
	const struct reader *s = whole_const(r);

	if (from)
		*from = s->lost_from;
	if (to)
		*to = s->lost_to;
	return s->lost;
}

int evs_reader_batch(const struct evs_reader *r, struct evs_batch *batch)
{
	const struct reader *s = whole_const(r);
	bool fine;

	if (!r->batch)
		return -ENODATA;
	fine = parse_header(r->batch, s->map_len - (r->batch - (uintptr_t)s->map), batch);
	if (!held(s, r->batch + r->delta))
		return -EPIPE;
	return fine ? 0 : -EPIPE;
}

int evs_reader_pending(const struct evs_reader *r)
{
	const struct reader *s = whole_const(r);

	if (dead(s))
		return -ENODEV;
	if (s->left || s->lapped)
		return 1;
	return __atomic_load_n(&s->r.ctl->end_position, __ATOMIC_ACQUIRE) > position(s) ||
	       !held(s, position(s));
}

int evs_reader_arm(struct evs_reader *r)
{
	struct reader *s = whole(r);
	struct evstream_seek seek = {
		.whence = EVSTREAM_SEEK_OFFSET,
		.value = next_offset(s),
	};
	int ret;

	ret = evs_reader_pending(r);
	if (ret)
		return ret;
	/* poll(2) is about the file's position, which the mapping does not move. */
	ret = s->seek(s->fd, &seek);
	return ret < 0 ? ret : 0;
}

int evs_reader_wait(struct evs_reader *r, int timeout_ms)
{
	struct reader *s = whole(r);
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
	int ret;

	ret = evs_reader_arm(r);
	if (ret)
		return ret;
	ret = poll(&pfd, 1, timeout_ms);
	if (ret < 0)
		return -errno;
	if (ret && dead(s))
		return -ENODEV;
	return ret ? 1 : 0;
}
