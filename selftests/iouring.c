// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring, by liburing: as real programs use it.
 */
#ifdef HAVE_LIBURING
#include <liburing.h>

#include "evstest.h"

FIXTURE(iouring) {
	struct evt_topic topic;
	struct io_uring ring;
	int fd;
};

FIXTURE_SETUP(iouring)
{
	int ret;

	ret = io_uring_queue_init(64, &self->ring, 0);
	if (ret == -EPERM)
		SKIP(return, "io_uring is switched off by kernel.io_uring_disabled");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, evt_create(&self->topic, "-p 2 --segment 64K --ring 1M --max-record 20000"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(iouring)
{
	io_uring_queue_exit(&self->ring);
	close(self->fd);
	EXPECT_EQ(0, evt_delete(&self->topic));
}

/* The result of the request that was given @tag; others' are kept. */
static int result(struct io_uring *ring, unsigned long tag)
{
	static struct {
		unsigned long tag;
		int res;
	} kept[64];
	static unsigned int n;
	struct io_uring_cqe *cqe;
	unsigned int i;
	int res;

	for (;;) {
		for (i = 0; i < n; i++) {
			if (kept[i].tag == tag) {
				res = kept[i].res;
				kept[i] = kept[--n];
				return res;
			}
		}
		if (io_uring_wait_cqe(ring, &cqe))
			return -10000;
		kept[n].tag = cqe->user_data;
		kept[n++].res = cqe->res;
		io_uring_cqe_seen(ring, cqe);
	}
}

static bool none_done(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;

	return io_uring_peek_cqe(ring, &cqe) == -EAGAIN;
}

/* The tag survives what liburing's helpers clear. */
#define PREP(ring, tag, op, ...) ({					\
	struct io_uring_sqe *__sqe = io_uring_get_sqe(ring);		\
	io_uring_prep_##op(__sqe, __VA_ARGS__);				\
	__sqe->user_data = (tag);					\
	__sqe;								\
})

TEST_F(iouring, write_and_read)
{
	char buf[64] = "";

	PREP(&self->ring, 1, write, self->fd, "hello", 5, -1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(5, result(&self->ring, 1));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	PREP(&self->ring, 2, read, self->fd, buf, sizeof(buf), -1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(5, result(&self->ring, 2));
	EXPECT_STREQ("hello", buf);
	EXPECT_EQ(1, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(iouring, a_read_that_names_its_record)
{
	char buf[2][8] = {};

	ASSERT_EQ(1, write(self->fd, "a", 1));
	ASSERT_EQ(1, write(self->fd, "b", 1));
	PREP(&self->ring, 1, read, self->fd, buf[0], 8, 1);
	PREP(&self->ring, 2, read, self->fd, buf[1], 8, 0);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_EQ(1, result(&self->ring, 1));
	EXPECT_EQ(1, result(&self->ring, 2));
	EXPECT_EQ('b', buf[0][0]);
	EXPECT_EQ('a', buf[1][0]);
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(iouring, vectors)
{
	char a[4] = "", b[16] = "";
	struct iovec out[] = { { "one ", 4 }, { "record", 6 } };
	struct iovec in[] = { { a, 3 }, { b, 15 } };

	PREP(&self->ring, 1, writev, self->fd, out, 2, -1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(10, result(&self->ring, 1));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	PREP(&self->ring, 2, readv, self->fd, in, 2, -1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(10, result(&self->ring, 2));
	EXPECT_STREQ("one", a);
	EXPECT_STREQ(" record", b);
}

TEST_F(iouring, many_at_once)
{
	static char out[50][9000], in[50][9000];
	int i, size;
	bool seen[50] = {};

	for (i = 0; i < 50; i++) {
		size = 10 + i * 179;
		evt_fill(out[i], size, i);
		out[i][0] = i;
		PREP(&self->ring, i, write, self->fd, out[i], size, -1);
	}
	ASSERT_EQ(50, io_uring_submit(&self->ring));
	for (i = 0; i < 50; i++)
		EXPECT_EQ(10 + i * 179, result(&self->ring, i));
	EXPECT_EQ(50, evt_end(self->fd, 0));
	for (i = 0; i < 50; i++)
		PREP(&self->ring, i, read, self->fd, in[i], sizeof(in[i]), -1);
	ASSERT_EQ(50, io_uring_submit(&self->ring));
	for (i = 0; i < 50; i++) {
		int n = result(&self->ring, i), which = in[i][0];

		ASSERT_LE(0, which);
		ASSERT_GT(50, which);
		EXPECT_FALSE(seen[which]);
		seen[which] = true;
		EXPECT_EQ(10 + which * 179, n);
		EXPECT_EQ(0, memcmp(in[i], out[which], n));
	}
}

TEST_F(iouring, fixed_buffers)
{
	static char out[8192], in[8192];
	struct iovec v[] = { { out, sizeof(out) }, { in, sizeof(in) } };
	int ret;

	ret = io_uring_register_buffers(&self->ring, v, 2);
	if (ret == -ENOMEM)
		SKIP(return, "not as much memory can be locked");
	ASSERT_EQ(0, ret);
	evt_fill(out, sizeof(out), 5);
	PREP(&self->ring, 1, write_fixed, self->fd, out, 8000, -1, 0);
	PREP(&self->ring, 2, write_fixed, self->fd, out + 100, 100, -1, 0);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_EQ(8000, result(&self->ring, 1));
	EXPECT_EQ(100, result(&self->ring, 2));
	PREP(&self->ring, 3, read_fixed, self->fd, in, 8192, 0, 1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(8000, result(&self->ring, 3));
	EXPECT_TRUE(evt_filled(in, 8000, 5));
	PREP(&self->ring, 4, read_fixed, self->fd, in, 8192, 1, 1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(100, result(&self->ring, 4));
	EXPECT_EQ(0, memcmp(in, out + 100, 100));
	EXPECT_EQ(0, io_uring_unregister_buffers(&self->ring));
}

TEST_F(iouring, a_read_at_the_tail_waits)
{
	char buf[2][16] = {};

	PREP(&self->ring, 1, read, self->fd, buf[0], 16, -1);
	PREP(&self->ring, 2, read, self->fd, buf[1], 16, 1);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_TRUE(none_done(&self->ring));
	ASSERT_EQ(5, write(self->fd, "first", 5));
	EXPECT_EQ(5, result(&self->ring, 1));
	EXPECT_STREQ("first", buf[0]);
	EXPECT_TRUE(none_done(&self->ring));
	ASSERT_EQ(6, write(self->fd, "second", 6));
	EXPECT_EQ(6, result(&self->ring, 2));
	EXPECT_STREQ("second", buf[1]);
}

TEST_F(iouring, many_reads_at_the_tail)
{
	int i, in[20], sum = 0;

	for (i = 0; i < 20; i++)
		PREP(&self->ring, i, read, self->fd, &in[i], sizeof(int), -1);
	ASSERT_EQ(20, io_uring_submit(&self->ring));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(4, write(self->fd, &i, 4));
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(4, result(&self->ring, i));
		sum += in[i];
	}
	/* Each one had one of them. */
	EXPECT_EQ(190, sum);
	EXPECT_EQ(20, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(iouring, any_at_the_tail)
{
	int any = evt_open(&self->topic, EVT_ANY, O_RDONLY), one;
	char buf[16] = "";

	one = evt_open(&self->topic, 1, O_WRONLY);
	PREP(&self->ring, 1, read, any, buf, 16, -1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_TRUE(none_done(&self->ring));
	ASSERT_EQ(3, write(one, "any", 3));
	EXPECT_EQ(3, result(&self->ring, 1));
	EXPECT_STREQ("any", buf);
	close(any);
	close(one);
}

TEST_F(iouring, requests_that_do_not_wait)
{
	int fd = evt_open(&self->topic, 0, O_RDONLY | O_NONBLOCK);
	struct io_uring_sqe *sqe;
	char c;

	sqe = PREP(&self->ring, 1, read, self->fd, &c, 1, -1);
	sqe->rw_flags = RWF_NOWAIT;
	sqe = PREP(&self->ring, 2, write, self->fd, "x", 1, -1);
	sqe->rw_flags = RWF_NOWAIT;
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_EQ(-EAGAIN, result(&self->ring, 1));
	/* A write may need a segment first: that is where it would wait. */
	if (result(&self->ring, 2) == -EAGAIN)
		ASSERT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	/* Of O_NONBLOCK io_uring makes nothing where a file can be polled. */
	ASSERT_EQ(1, lseek(fd, 0, SEEK_END));
	PREP(&self->ring, 3, read, fd, &c, 1, -1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_TRUE(none_done(&self->ring));
	ASSERT_EQ(1, write(self->fd, "y", 1));
	EXPECT_EQ(1, result(&self->ring, 3));
	EXPECT_EQ('y', c);
	close(fd);
}

TEST_F(iouring, poll)
{
	PREP(&self->ring, 1, poll_add, self->fd, POLLIN);
	PREP(&self->ring, 2, poll_add, self->fd, POLLOUT);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_EQ(POLLOUT, result(&self->ring, 2));
	EXPECT_TRUE(none_done(&self->ring));
	ASSERT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(POLLIN, result(&self->ring, 1));
}

TEST_F(iouring, linked_write_and_read)
{
	char buf[16] = "";
	struct io_uring_sqe *sqe;

	sqe = PREP(&self->ring, 1, write, self->fd, "link", 4, -1);
	sqe->flags |= IOSQE_IO_LINK;
	PREP(&self->ring, 2, read, self->fd, buf, 16, -1);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_EQ(4, result(&self->ring, 1));
	EXPECT_EQ(4, result(&self->ring, 2));
	EXPECT_STREQ("link", buf);
	/* A failing one takes what is linked to it along. */
	sqe = PREP(&self->ring, 3, write, self->fd, (void *)8, 10, -1);
	sqe->flags |= IOSQE_IO_LINK;
	PREP(&self->ring, 4, write, self->fd, "not", 3, -1);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_EQ(-EFAULT, result(&self->ring, 3));
	EXPECT_EQ(-ECANCELED, result(&self->ring, 4));
	EXPECT_EQ(1, evt_end(self->fd, 0));
}

TEST_F(iouring, cancel)
{
	char c, d;

	PREP(&self->ring, 1, read, self->fd, &c, 1, -1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_TRUE(none_done(&self->ring));
	PREP(&self->ring, 2, cancel64, 1, 0);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(0, result(&self->ring, 2));
	EXPECT_EQ(-ECANCELED, result(&self->ring, 1));
	/* It took nothing with it. */
	ASSERT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(1, read(self->fd, &d, 1));
	EXPECT_EQ('x', d);
}

TEST_F(iouring, timeout)
{
	struct __kernel_timespec soon = { .tv_nsec = 20000000 };
	struct io_uring_sqe *sqe;
	char c;

	sqe = PREP(&self->ring, 1, read, self->fd, &c, 1, -1);
	sqe->flags |= IOSQE_IO_LINK;
	PREP(&self->ring, 2, link_timeout, &soon, 0);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_EQ(-ECANCELED, result(&self->ring, 1));
	EXPECT_EQ(-ETIME, result(&self->ring, 2));
}

TEST_F(iouring, by_a_worker)
{
	char buf[16] = "";
	struct io_uring_sqe *sqe;

	sqe = PREP(&self->ring, 1, read, self->fd, buf, 16, -1);
	sqe->flags |= IOSQE_ASYNC;
	sqe = PREP(&self->ring, 2, write, self->fd, "worker", 6, -1);
	sqe->flags |= IOSQE_ASYNC;
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	EXPECT_EQ(6, result(&self->ring, 2));
	EXPECT_EQ(6, result(&self->ring, 1));
	EXPECT_STREQ("worker", buf);
}

TEST_F(iouring, errors)
{
	int in = evt_open(&self->topic, 0, O_RDONLY);
	static char big[20001];
	char c;

	ASSERT_EQ(8, write(self->fd, "too long", 8));
	PREP(&self->ring, 1, write, in, "x", 1, -1);
	PREP(&self->ring, 2, read, in, &c, 1, -1);
	PREP(&self->ring, 3, write, self->fd, big, sizeof(big), -1);
	PREP(&self->ring, 4, read, in, (void *)8, 8, -1);
	PREP(&self->ring, 5, fsync, self->fd, 0);
	ASSERT_EQ(5, io_uring_submit(&self->ring));
	EXPECT_EQ(-EBADF, result(&self->ring, 1));
	EXPECT_EQ(-EMSGSIZE, result(&self->ring, 2));
	EXPECT_EQ(-EMSGSIZE, result(&self->ring, 3));
	EXPECT_EQ(-EFAULT, result(&self->ring, 4));
	EXPECT_EQ(0, result(&self->ring, 5));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	close(in);
}

TEST_F(iouring, splice)
{
	char buf[16] = "";
	int p[2];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(6, write(self->fd, "splice", 6));
	PREP(&self->ring, 1, splice, self->fd, -1, p[1], -1, 4096, 0);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_EQ(6, result(&self->ring, 1));
	EXPECT_EQ(6, read(p[0], buf, 16));
	EXPECT_STREQ("splice", buf);
	close(p[0]);
	close(p[1]);
}

TEST_F(iouring, exit_with_requests_in_flight)
{
	struct io_uring ring;
	pid_t pid = fork();
	char c;

	if (!pid) {
		if (io_uring_queue_init(8, &ring, 0))
			_exit(1);
		PREP(&ring, 1, read, self->fd, &c, 1, -1);
		PREP(&ring, 2, poll_add, self->fd, POLLIN);
		_exit(io_uring_submit(&ring) == 2 ? 0 : 1);
	}
	EXPECT_EQ(0, evt_wait(pid));
	ASSERT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(1, pread(self->fd, &c, 1, 0));
}

TEST_F(iouring, deleted_under_a_waiting_read)
{
	struct evt_topic topic;
	char c;
	int fd;

	ASSERT_EQ(0, evt_create(&topic, "--segment 64K --ring 128K"));
	fd = evt_open(&topic, 0, O_RDWR);
	PREP(&self->ring, 1, read, fd, &c, 1, -1);
	ASSERT_EQ(1, io_uring_submit(&self->ring));
	EXPECT_TRUE(none_done(&self->ring));
	ASSERT_EQ(0, evt_delete(&topic));
	EXPECT_EQ(-ENODEV, result(&self->ring, 1));
	close(fd);
}

TEST_HARNESS_MAIN

#else

#include <stdio.h>

int main(void)
{
	puts("TAP version 13\n1..0 # SKIP built without liburing's header");
	return 4;
}

#endif
