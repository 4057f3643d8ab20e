// SPDX-License-Identifier: GPL-2.0
/*
 * A full ring that blocks its producers, or fails them; and what makes room.
 */
#include <sys/epoll.h>

#include "evstest.h"

#define SIZE	6000		/* of a record here: 10 fill a segment */
#define RING	20		/* records in the ring */

static char value[SIZE];

FIXTURE(full) {
	struct evt_topic topic;
	int fd;		/* blocking */
	int nb;		/* not */
	int in;
};

FIXTURE_VARIANT(full) {
	const char *options;
	int error;	/* of what does not wait */
};

FIXTURE_VARIANT_ADD(full, block) {
	.options = "--segment 64K --ring 128K --max-record 8000 --full block",
	.error = -EAGAIN,
};

FIXTURE_VARIANT_ADD(full, fail) {
	.options = "--segment 64K --ring 128K --max-record 8000 --full fail",
	.error = -ENOSPC,
};

FIXTURE_SETUP(full)
{
	int i;

	ASSERT_EQ(0, evt_create(&self->topic, variant->options));
	self->fd = evt_open(&self->topic, 0, O_WRONLY);
	self->nb = evt_open(&self->topic, 0, O_WRONLY | O_NONBLOCK);
	self->in = evt_open(&self->topic, 0, O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->nb);
	ASSERT_LE(0, self->in);
	for (i = 0; i < RING; i++) {
		evt_fill(value, SIZE, i);
		ASSERT_EQ(SIZE, write(self->nb, value, SIZE));
	}
}

FIXTURE_TEARDOWN(full)
{
	close(self->fd);
	close(self->nb);
	close(self->in);
	EXPECT_EQ(0, evt_delete(&self->topic));
}

static long long trim(int fd, long long offset)
{
	struct evstream_trim a = { .offset = offset };

	return ioctl(fd, EVSTREAM_IOC_TRIM, &a) ? -errno : a.start_offset;
}

/* A child that appends one record with @fd. */
static pid_t producer(int fd, ssize_t expected)
{
	pid_t pid = fork();

	if (!pid)
		_exit(EVT(write(fd, value, SIZE)) == expected ? 0 : 1);
	return pid;
}

TEST_F(full, no_room)
{
	struct iovec v[] = { { value, 3000 }, { value, 3000 } };

	EXPECT_EQ(variant->error, EVT(write(self->nb, value, SIZE)));
	EXPECT_EQ(variant->error, EVT(writev(self->nb, v, 2)));
	EXPECT_EQ(variant->error, EVT(pwritev2(self->fd, v, 2, -1, RWF_NOWAIT)));
	EXPECT_EQ(RING, evt_end(self->in, 0));
	EXPECT_EQ(0, evt_start(self->in, 0));
}

TEST_F(full, what_is_there_stays)
{
	char buf[SIZE];
	int i;

	for (i = 0; i < 5; i++)
		EXPECT_EQ(variant->error, EVT(write(self->nb, value, SIZE)));
	for (i = 0; i < RING; i++) {
		ASSERT_EQ(SIZE, read(self->in, buf, SIZE));
		EXPECT_TRUE(evt_filled(buf, SIZE, i));
	}
	/* Reading makes no room: there may be other readers. */
	EXPECT_EQ(variant->error, EVT(write(self->nb, value, SIZE)));
}

TEST_F(full, what_still_fits_is_taken)
{
	int n = 0;

	while (write(self->nb, "x", 1) == 1)
		n++;
	EXPECT_EQ(variant->error, -errno);
	/* What 10 records of about 6,070 bytes left of 64 KiB. */
	EXPECT_LT(30, n);
	EXPECT_GT(120, n);
	EXPECT_EQ(RING + n, evt_end(self->in, 0));
}

TEST_F(full, trim_makes_room)
{
	char buf[SIZE];
	int i;

	/* Half a segment is no room yet. */
	EXPECT_EQ(5, trim(self->fd, 5));
	EXPECT_EQ(5, evt_start(self->in, 0));
	EXPECT_EQ(variant->error, EVT(write(self->nb, value, SIZE)));
	EXPECT_EQ(RING / 2, trim(self->fd, RING / 2));
	for (i = 0; i < RING / 2; i++) {
		evt_fill(value, SIZE, RING + i);
		ASSERT_EQ(SIZE, write(self->nb, value, SIZE));
	}
	EXPECT_EQ(variant->error, EVT(write(self->nb, value, SIZE)));
	/* A reader that was behind is told. */
	EXPECT_EQ(-EPIPE, EVT(read(self->in, buf, SIZE)));
	for (i = RING / 2; i < RING + RING / 2; i++) {
		ASSERT_EQ(SIZE, read(self->in, buf, SIZE));
		EXPECT_TRUE(evt_filled(buf, SIZE, i));
	}
}

TEST_F(full, trim_all)
{
	int i;

	EXPECT_EQ(RING, trim(self->fd, -1));
	EXPECT_EQ(RING, evt_start(self->in, 0));
	EXPECT_EQ(RING, evt_end(self->in, 0));
	for (i = 0; i < RING; i++)
		ASSERT_EQ(SIZE, write(self->nb, value, SIZE));
	EXPECT_EQ(variant->error, EVT(write(self->nb, value, SIZE)));
	EXPECT_EQ(2 * RING, evt_end(self->in, 0));
}

TEST_F(full, trim_again_and_again)
{
	long long at = 0;
	char buf[SIZE];
	int i;

	ASSERT_EQ(RING, trim(self->fd, -1));
	ASSERT_EQ(RING, lseek(self->in, 0, SEEK_DATA));
	for (i = 0; i < 100; i++) {
		evt_fill(value, SIZE, i);
		ASSERT_EQ(SIZE, write(self->nb, value, SIZE));
		ASSERT_EQ(SIZE, read(self->in, buf, SIZE));
		ASSERT_TRUE(evt_filled(buf, SIZE, i));
		at = lseek(self->in, 0, SEEK_CUR);
		ASSERT_EQ(at, trim(self->fd, at));
	}
	EXPECT_EQ(RING + 100, at);
}

TEST_F(full, trim_arguments)
{
	struct evstream_trim a = { .flags = 1 };
	int any = evt_open(&self->topic, EVT_ANY, O_RDWR);

	EXPECT_EQ(-EINVAL, EVT(ioctl(self->fd, EVSTREAM_IOC_TRIM, &a)));
	EXPECT_EQ(-EINVAL, trim(self->fd, -2));
	EXPECT_EQ(-EINVAL, trim(self->fd, LLONG_MIN));
	EXPECT_EQ(-ERANGE, trim(self->fd, RING + 1));
	EXPECT_EQ(-ERANGE, trim(self->fd, LLONG_MAX));
	EXPECT_EQ(-EBADF, trim(self->in, 1));
	a = (struct evstream_trim){ .partition = 1, .offset = 1 };
	EXPECT_EQ(-ENXIO, EVT(ioctl(self->fd, EVSTREAM_IOC_TRIM, &a)));
	EXPECT_EQ(-ENXIO, EVT(ioctl(any, EVSTREAM_IOC_TRIM, &a)));
	a = (struct evstream_trim){ .partition = EVSTREAM_ALL, .offset = 1 };
	EXPECT_EQ(-EINVAL, EVT(ioctl(any, EVSTREAM_IOC_TRIM, &a)));
	EXPECT_EQ(-ENXIO, EVT(ioctl(self->fd, EVSTREAM_IOC_TRIM, &a)));
	EXPECT_EQ(0, evt_start(self->in, 0));
	/* What is gone is gone: no error, and nothing comes back. */
	EXPECT_EQ(7, trim(self->fd, 7));
	EXPECT_EQ(7, trim(self->fd, 3));
	EXPECT_EQ(7, trim(self->fd, 0));
	a = (struct evstream_trim){ .partition = EVSTREAM_ALL, .offset = -1 };
	EXPECT_EQ(0, ioctl(any, EVSTREAM_IOC_TRIM, &a));
	EXPECT_EQ(0, a.start_offset);
	EXPECT_EQ(RING, evt_start(self->in, 0));
	close(any);
}

TEST_F(full, policy_can_change)
{
	ASSERT_EQ(0, evt_set(&self->topic, "full=overwrite"));
	EXPECT_EQ(SIZE, write(self->nb, value, SIZE));
	EXPECT_EQ(RING / 2, evt_start(self->in, 0));
	EXPECT_EQ(RING + 1, evt_end(self->in, 0));
}

TEST_F(full, larger_ring)
{
	int i;

	ASSERT_EQ(0, evt_set(&self->topic, "ring=192K"));
	for (i = 0; i < RING / 2; i++)
		ASSERT_EQ(SIZE, write(self->nb, value, SIZE));
	EXPECT_EQ(variant->error, EVT(write(self->nb, value, SIZE)));
	EXPECT_EQ(0, evt_start(self->in, 0));
}

TEST_F(full, lines_too)
{
	struct evstream_set_framing line = { .framing = EVSTREAM_FRAMING_LINE };
	char *text = malloc(3 * SIZE);
	long long end;
	ssize_t n;
	int i;

	memset(text, 'l', 3 * SIZE);
	for (i = 1; i <= 3; i++)
		text[i * SIZE - 1] = '\n';
	ASSERT_EQ(0, ioctl(self->nb, EVSTREAM_IOC_SET_FRAMING, &line));
	EXPECT_EQ(variant->error, EVT(write(self->nb, text, 3 * SIZE)));
	EXPECT_EQ(RING, evt_end(self->in, 0));
	/* What was refused is not kept, to come later. */
	ASSERT_EQ(RING, trim(self->fd, -1));
	ASSERT_EQ(2, write(self->nb, "a\n", 2));
	EXPECT_EQ(RING + 1, evt_end(self->in, 0));
	/* More than all there is: as much as there is room for. */
	free(text);
	text = malloc(40 * SIZE);
	memset(text, 'l', 40 * SIZE);
	for (i = 1; i <= 40; i++)
		text[i * SIZE - 1] = '\n';
	n = EVT(write(self->nb, text, 40 * SIZE));
	end = evt_end(self->in, 0);
	EXPECT_LT(0, n);
	EXPECT_GT(40 * SIZE, n);
	EXPECT_EQ(0, n % SIZE);
	EXPECT_EQ(n / SIZE, end - RING - 1);
	EXPECT_EQ(variant->error, EVT(write(self->nb, text + n, 40 * SIZE - n)));
	ASSERT_EQ(end, trim(self->fd, -1));
	EXPECT_EQ(2, write(self->nb, "b\n", 2));
	EXPECT_EQ(end + 1, evt_end(self->in, 0));
	free(text);
}

TEST_F(full, append_array)
{
	struct evstream_record r[2] = {
		{ .value = (uintptr_t)value, .value_len = SIZE, .key_len = -1, .timestamp = -1 },
		{ .value = (uintptr_t)value, .value_len = 5, .key_len = -1, .timestamp = -1 },
	};
	struct evstream_append a = {
		.records = (uintptr_t)r, .nr_records = 2, .record_size = sizeof(r[0]),
	};

	EXPECT_EQ(variant->error, EVT(ioctl(self->nb, EVSTREAM_IOC_APPEND, &a)));
	EXPECT_EQ(0, a.appended);
	EXPECT_EQ(variant->error, r[0].error);
	EXPECT_EQ(-1, r[0].offset);
	EXPECT_EQ(RING, evt_end(self->in, 0));
}

/* Only where producers block. */
FIXTURE(blocked) {
	struct evt_topic topic;
	int fd;
	int in;
	bool deleted;
};

FIXTURE_SETUP(blocked)
{
	int i;

	ASSERT_EQ(0, evt_create(&self->topic,
				"--segment 64K --ring 128K --max-record 8000 --full block"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	self->in = evt_open(&self->topic, 0, O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, self->in);
	for (i = 0; i < RING; i++)
		ASSERT_EQ(SIZE, write(self->fd, value, SIZE));
}

FIXTURE_TEARDOWN(blocked)
{
	close(self->fd);
	close(self->in);
	if (!self->deleted)
		EXPECT_EQ(0, evt_delete(&self->topic));
}

TEST_F(blocked, by_trim)
{
	pid_t a = producer(self->fd, SIZE), b = producer(self->fd, SIZE);

	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	EXPECT_TRUE(evt_sleeps_in(b, SYS_write));
	EXPECT_EQ(RING, evt_end(self->in, 0));
	EXPECT_EQ(RING / 2, trim(self->fd, RING / 2));
	EXPECT_EQ(0, evt_wait(a));
	EXPECT_EQ(0, evt_wait(b));
	EXPECT_EQ(RING + 2, evt_end(self->in, 0));
}

TEST_F(blocked, readers_go_on)
{
	pid_t a = producer(self->fd, SIZE);
	char buf[SIZE];
	int i;

	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	for (i = 0; i < RING; i++)
		ASSERT_EQ(SIZE, read(self->in, buf, SIZE));
	EXPECT_EQ(-EAGAIN, EVT(read(self->in, buf, SIZE)));
	EXPECT_EQ(0, evt_streamctl("topic show %s >/dev/null", self->topic.name));
	EXPECT_EQ(RING, trim(self->fd, -1));
	EXPECT_EQ(0, evt_wait(a));
	EXPECT_EQ(SIZE, read(self->in, buf, SIZE));
}

TEST_F(blocked, by_a_larger_ring)
{
	pid_t a = producer(self->fd, SIZE);

	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	ASSERT_EQ(0, evt_set(&self->topic, "ring=192K"));
	EXPECT_EQ(0, evt_wait(a));
	EXPECT_EQ(0, evt_start(self->in, 0));
}

TEST_F(blocked, by_another_policy)
{
	pid_t a = producer(self->fd, SIZE);

	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	ASSERT_EQ(0, evt_set(&self->topic, "full=overwrite"));
	EXPECT_EQ(0, evt_wait(a));
	EXPECT_EQ(RING / 2, evt_start(self->in, 0));
}

TEST_F(blocked, by_a_policy_that_fails)
{
	pid_t a = producer(self->fd, -ENOSPC);

	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	ASSERT_EQ(0, evt_set(&self->topic, "full=fail"));
	EXPECT_EQ(0, evt_wait(a));
}

TEST_F(blocked, by_retention)
{
	pid_t a = producer(self->fd, SIZE);

	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	ASSERT_EQ(0, evt_set(&self->topic, "retention=50ms"));
	EXPECT_EQ(0, evt_wait(a));
	EXPECT_LE(RING / 2, evt_start(self->in, 0));
}

TEST_F(blocked, by_delete)
{
	pid_t a = producer(self->fd, -ENODEV), b = producer(self->fd, -ENODEV);

	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	EXPECT_TRUE(evt_sleeps_in(b, SYS_write));
	EXPECT_EQ(0, evt_delete(&self->topic));
	self->deleted = true;
	EXPECT_EQ(0, evt_wait(a));
	EXPECT_EQ(0, evt_wait(b));
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(blocked, by_a_signal)
{
	struct sigaction once = { .sa_handler = nothing };
	pid_t a = fork();

	if (!a) {
		sigaction(SIGUSR1, &once, NULL);
		_exit(EVT(write(self->fd, value, SIZE)) == -EINTR ? 0 : 1);
	}
	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	kill(a, SIGUSR1);
	EXPECT_EQ(0, evt_wait(a));
	a = producer(self->fd, SIZE);
	EXPECT_TRUE(evt_sleeps_in(a, SYS_write));
	kill(a, SIGKILL);
	EXPECT_EQ(-SIGKILL, evt_wait(a));
	/* Neither of them left anything, or its place in a queue. */
	EXPECT_EQ(RING, evt_end(self->in, 0));
	EXPECT_EQ(RING, trim(self->fd, -1));
	EXPECT_EQ(SIZE, write(self->fd, value, SIZE));
	EXPECT_EQ(RING + 1, evt_end(self->in, 0));
}

TEST_F(blocked, poll)
{
	struct pollfd p = { .fd = self->fd, .events = POLLOUT };
	struct epoll_event ev = { .events = EPOLLOUT | EPOLLET };
	int e = epoll_create1(EPOLL_CLOEXEC);
	pid_t a, b;

	/* Fill what is left, as POLLOUT is of what a small record needs. */
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	while (write(self->fd, "0123456789", 10) == 10)
		;
	EXPECT_EQ(-EAGAIN, -errno);
	EXPECT_EQ(POLLIN, evt_poll(self->fd, POLLIN | POLLOUT));
	ASSERT_EQ(0, epoll_ctl(e, EPOLL_CTL_ADD, self->fd, &ev));
	EXPECT_EQ(0, epoll_wait(e, &ev, 1, 0));
	a = fork();
	if (!a)
		_exit(poll(&p, 1, -1) == 1 && p.revents == POLLOUT ? 0 : 1);
	b = fork();
	if (!b)
		_exit(epoll_wait(e, &ev, 1, -1) == 1 && ev.events & EPOLLOUT ? 0 : 1);
	EXPECT_TRUE(evt_sleeps_in(a, SYS_poll));
	EXPECT_TRUE(evt_sleeps_in(b, SYS_epoll_wait));
	EXPECT_EQ(RING / 2, trim(self->fd, RING / 2));
	EXPECT_EQ(0, evt_wait(a));
	EXPECT_EQ(0, evt_wait(b));
	EXPECT_EQ(POLLOUT, evt_poll(self->fd, POLLOUT));
	close(e);
}

TEST_F(blocked, a_partial_line_at_the_end)
{
	struct evstream_set_framing line = { .framing = EVSTREAM_FRAMING_LINE };
	int fd = evt_open(&self->topic, 0, O_WRONLY), ready[2];
	char buf[SIZE];
	pid_t a;

	/* Closing a file with a partial line must not hang its process. */
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, ioctl(fd, EVSTREAM_IOC_SET_FRAMING, &line));
	a = fork();
	if (!a) {
		memset(buf, 'p', sizeof(buf));
		if (write(fd, buf, sizeof(buf)) != sizeof(buf) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(fd);
	ASSERT_EQ(1, read(ready[0], buf, 1));
	kill(a, SIGKILL);
	EXPECT_EQ(-SIGKILL, evt_wait(a));
	EXPECT_EQ(RING, trim(self->fd, -1));
}

TEST_HARNESS_MAIN
