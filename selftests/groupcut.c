// SPDX-License-Identifier: GPL-2.0
/*
 * A read in progress while its partition goes to another member: what it has copied
 * is not served, and not committed.
 */
#include <linux/userfaultfd.h>

#include "evwork.h"

#define PAGE	4096

/**
 * struct stuck - a call whose buffer is not there yet
 * @fd: the member
 * @fetch: FETCH, not read()
 * @partition: of FETCH
 * @buf: a page that nobody has given yet
 * @ret: of the call
 * @got: of FETCH: bytes
 * @tid: who calls
 * @thread: likewise
 * @uffd: gives the page
 */
struct stuck {
	int fd;
	bool fetch;
	uint32_t partition;
	char *buf;
	long long ret;
	uint32_t got;
	atomic_int tid;
	pthread_t thread;
	int uffd;
};

static void *stuck_call(void *arg)
{
	struct stuck *s = arg;
	struct evstream_fetch a = { .buf = (uintptr_t)s->buf, .len = PAGE, .offset = -1,
				    .partition = s->partition };

	s->tid = syscall(SYS_gettid);
	if (s->fetch) {
		s->ret = EVT(ioctl(s->fd, EVSTREAM_IOC_FETCH, &a));
		s->got = a.bytes;
	} else {
		s->ret = EVT(read(s->fd, s->buf, PAGE));
	}
	return NULL;
}

static int member(const struct evt_topic *t, int mode, uint32_t flags, const uint32_t *partition)
{
	struct evstream_join j = {
		.name = (uintptr_t)"g", .name_len = 1, .dead_letter = -1, .flags = flags,
		.start = EVSTREAM_SEEK_EARLIEST, .partitions = (uintptr_t)partition,
		.nr_partitions = !!partition, .rebalance_ms = 60000,
	};
	int fd = evt_open(t, EVT_ANY, mode);

	if (partition)
		j.flags |= EVSTREAM_JOIN_STATIC;
	return ioctl(fd, EVSTREAM_IOC_JOIN, &j) ? -errno : fd;
}

/* Which partitions it owns, as bits; and those that it is asked for. */
static int owned(int fd, uint32_t *asked)
{
	struct evstream_assigned got[8];
	struct evstream_assignment a = { .assigned = (uintptr_t)got, .room = 8,
					 .entry_size = sizeof(got[0]) };
	uint32_t i, all = 0;

	if (asked)
		*asked = 0;
	if (ioctl(fd, EVSTREAM_IOC_ASSIGNMENT, &a))
		return -errno;
	for (i = 0; i < a.nr; i++) {
		if (!(got[i].flags & EVSTREAM_ASSIGNED_REVOKING))
			all |= 1U << got[i].partition;
		else if (asked)
			*asked |= 1U << got[i].partition;
	}
	return all;
}

static struct evstream_position position(int fd, uint32_t partition)
{
	struct evstream_position pos = { .partition = partition };

	if (ioctl(fd, EVSTREAM_IOC_POSITION, &pos)) {
		pos.offset = -errno;
		pos.committed = -errno;
	}
	return pos;
}

FIXTURE(cut) {
	struct evt_topic topic;
	int to[2];
	struct stuck s;
};

FIXTURE_VARIANT(cut) {
	bool fetch;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(cut, read) {
	.fetch = false, .flags = 0,
};

FIXTURE_VARIANT_ADD(cut, read_auto) {
	.fetch = false, .flags = EVSTREAM_JOIN_AUTO,
};

FIXTURE_VARIANT_ADD(cut, fetch) {
	.fetch = true, .flags = 0,
};

FIXTURE_VARIANT_ADD(cut, fetch_auto) {
	.fetch = true, .flags = EVSTREAM_JOIN_AUTO,
};

FIXTURE_SETUP(cut)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	self->s.uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (self->s.uffd < 0)
		SKIP(return, "no userfaultfd");
	self->s.buf = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)self->s.buf;
	reg.range.len = PAGE;
	ASSERT_EQ(0, ioctl(self->s.uffd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(self->s.uffd, UFFDIO_REGISTER, &reg));
	ASSERT_EQ(0, evt_create(&self->topic, "-p 2"));
	self->to[0] = evt_open(&self->topic, 0, O_WRONLY);
	self->to[1] = evt_open(&self->topic, 1, O_WRONLY);
	ASSERT_EQ(3, write(self->to[0], "one", 3));
	ASSERT_EQ(3, write(self->to[0], "two", 3));
}

FIXTURE_TEARDOWN(cut)
{
	if (self->topic.name[0])
		EXPECT_EQ(0, evt_delete(&self->topic));
}

/* Partition 0's first record is being read, and its page is missing. */
static bool get_stuck(struct stuck *s, int fd, bool fetch)
{
	struct uffd_msg msg;

	s->fd = fd;
	s->fetch = fetch;
	if (pthread_create(&s->thread, NULL, stuck_call, s))
		return false;
	return read(s->uffd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

static void let_go(struct stuck *s)
{
	static const char given[PAGE];
	struct uffdio_copy copy = { .dst = (uintptr_t)s->buf, .len = PAGE,
				    .src = (uintptr_t)given };

	ioctl(s->uffd, UFFDIO_COPY, &copy);
}

TEST_F_TIMEOUT(cut, its_partition_goes, EVW_PATIENCE)
{
	static const uint32_t zero;
	char buf[64] = "";
	int a, b;

	a = member(&self->topic, O_RDWR, variant->flags, NULL);
	ASSERT_LE(0, a);
	ASSERT_TRUE(get_stuck(&self->s, a, variant->fetch));
	/* Nothing was served of it: it goes at once, and the call is no longer its owner's. */
	b = member(&self->topic, O_RDWR | O_NONBLOCK, 0, &zero);
	ASSERT_LE(0, b);
	EXPECT_EQ(1, owned(b, NULL));
	let_go(&self->s);
	if (!variant->fetch) {
		/* It goes on with what it has, and there is nothing. */
		ASSERT_TRUE(evt_sleeps_in(self->s.tid, __NR_read));
		EXPECT_EQ(5, write(self->to[1], "other", 5));
	}
	pthread_join(self->s.thread, NULL);
	if (variant->fetch) {
		EXPECT_EQ(-ESTALE, self->s.ret);
	} else {
		EXPECT_EQ(5, self->s.ret);
		EXPECT_EQ(0, memcmp(self->s.buf, "other", 5));
	}
	EXPECT_EQ(0, position(b, 0).committed);
	EXPECT_EQ(3, read(b, buf, sizeof(buf)));
	EXPECT_STREQ("one", buf);
	EXPECT_EQ(3, read(b, buf, sizeof(buf)));
	EXPECT_STREQ("two", buf);
	close(a);
	close(b);
}

TEST_F_TIMEOUT(cut, its_partition_comes_back, EVW_PATIENCE)
{
	static const uint32_t zero;
	int a, b;

	a = member(&self->topic, O_RDWR, variant->flags, NULL);
	ASSERT_LE(0, a);
	ASSERT_TRUE(get_stuck(&self->s, a, variant->fetch));
	b = member(&self->topic, O_RDWR | O_NONBLOCK, 0, &zero);
	ASSERT_LE(0, b);
	close(b);
	EXPECT_EQ(a, position(a, 0).owner ? a : -1);
	let_go(&self->s);
	pthread_join(self->s.thread, NULL);
	if (variant->fetch) {
		EXPECT_EQ(-ESTALE, self->s.ret);
		EXPECT_EQ(0, position(a, 0).offset);
		EXPECT_EQ(0, position(a, 0).committed);
	} else {
		/* Served once, in the new generation. */
		EXPECT_EQ(3, self->s.ret);
		EXPECT_EQ(0, memcmp(self->s.buf, "one", 3));
		EXPECT_EQ(1, position(a, 0).offset);
		EXPECT_EQ(variant->flags ? 1 : 0, position(a, 0).committed);
	}
	close(a);
}

TEST_F_TIMEOUT(cut, its_partition_is_asked_for, EVW_PATIENCE)
{
	static const uint32_t zero;
	uint32_t asked = 0;
	char buf[64] = "";
	int a, b;

	a = member(&self->topic, O_RDWR, variant->flags, NULL);
	ASSERT_LE(0, a);
	/* So that it does not go at once. */
	if (!variant->flags) {
		EXPECT_EQ(3, read(a, buf, sizeof(buf)));
		EXPECT_STREQ("one", buf);
	}
	ASSERT_TRUE(get_stuck(&self->s, a, variant->fetch));
	b = member(&self->topic, O_RDWR | O_NONBLOCK, 0, &zero);
	ASSERT_LE(0, b);
	owned(a, &asked);
	EXPECT_EQ(variant->flags ? 0 : 1, asked);
	let_go(&self->s);
	if (variant->flags) {
		if (!variant->fetch)
			EXPECT_EQ(5, write(self->to[1], "other", 5));
		pthread_join(self->s.thread, NULL);
		EXPECT_EQ(0, position(b, 0).committed);
	} else {
		/* What was on its way is served: by its owner, once, or by the next one. */
		struct evstream_commit c = {};
		long long at, next;

		if (!variant->fetch)
			EXPECT_EQ(5, write(self->to[1], "other", 5));
		pthread_join(self->s.thread, NULL);
		at = position(b, 0).offset;
		EXPECT_TRUE(at == 1 || at == 2);
		EXPECT_EQ(at == 2 ? (variant->fetch ? 0 : 3) : (variant->fetch ? -ESTALE : 5),
			  self->s.ret);
		EXPECT_EQ(0, ioctl(a, EVSTREAM_IOC_COMMIT, &c));
		EXPECT_EQ(1, owned(b, NULL));
		next = position(b, 0).offset;
		EXPECT_EQ(at, next);
		EXPECT_EQ(at, position(b, 0).committed);
	}
	close(a);
	close(b);
}

TEST_HARNESS_MAIN
