// SPDX-License-Identifier: GPL-2.0
/*
 * Record framing: one write() is one record, one read() returns one value.
 */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "evstest.h"

#define LIMIT	1000

FIXTURE(records) {
	struct evt_topic topic;
	int fd;		/* read and write */
};

FIXTURE_SETUP(records)
{
	ASSERT_EQ(0, evt_create(&self->topic, "--segment 64K --ring 1M --max-record 1000"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(records)
{
	close(self->fd);
	EXPECT_EQ(0, evt_delete(&self->topic));
}

TEST_F(records, write_is_a_record)
{
	char buf[64];

	EXPECT_EQ(5, write(self->fd, "hello", 5));
	EXPECT_EQ(5, write(self->fd, "a\nb\nc", 5));
	EXPECT_EQ(3, write(self->fd, "end", 3));
	EXPECT_EQ(5, read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	EXPECT_EQ(5, read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "a\nb\nc", 5));
	EXPECT_EQ(3, read(self->fd, buf, 3));
	EXPECT_EQ(0, memcmp(buf, "end", 3));
	EXPECT_EQ(3, evt_end(self->fd, 0));
}

TEST_F(records, empty_records)
{
	char c = 'x';

	EXPECT_EQ(0, write(self->fd, "", 0));
	EXPECT_EQ(0, write(self->fd, NULL, 0));
	EXPECT_EQ(1, write(self->fd, "z", 1));
	EXPECT_EQ(3, evt_end(self->fd, 0));
	EXPECT_EQ(0, read(self->fd, &c, 1));
	EXPECT_EQ(1, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(0, read(self->fd, NULL, 0));
	EXPECT_EQ(2, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ('x', c);
	EXPECT_EQ(1, read(self->fd, &c, 1));
	EXPECT_EQ('z', c);
}

TEST_F(records, writev_is_one_record)
{
	char a[] = "one ", b[] = "two ", c[] = "three", buf[32] = "";
	struct iovec out[] = { { a, 4 }, { b, 0 }, { b, 4 }, { c, 5 } };
	char r1[2], r2[20];
	struct iovec in[] = { { r1, 2 }, { NULL, 0 }, { r2, sizeof(r2) } };

	EXPECT_EQ(13, writev(self->fd, out, 4));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	EXPECT_EQ(13, pread(self->fd, buf, sizeof(buf), 0));
	EXPECT_STREQ("one two three", buf);
	EXPECT_EQ(13, readv(self->fd, in, 3));
	EXPECT_EQ(0, memcmp(r1, "on", 2));
	EXPECT_EQ(0, memcmp(r2, "e two three", 11));
	/* The kernel does not pass a vector of nothing on: no device can see it. */
	EXPECT_EQ(0, writev(self->fd, out + 1, 1));
	EXPECT_EQ(1, evt_end(self->fd, 0));
}

TEST_F(records, sizes_up_to_the_limit)
{
	unsigned char out[LIMIT], in[LIMIT];
	unsigned int n;

	/* Around the sizes where varints grow and where small ones end. */
	static const unsigned int sizes[] = {
		0, 1, 2, 55, 56, 57, 62, 63, 64, 65, 127, 128, 129, 186, 187, 188, 255, 256,
		257, 258, 511, 512, 513, 999, 1000,
	};

	for (n = 0; n < ARRAY_SIZE(sizes); n++) {
		evt_fill(out, sizes[n], n);
		ASSERT_EQ(sizes[n], write(self->fd, out, sizes[n]));
	}
	for (n = 0; n < ARRAY_SIZE(sizes); n++) {
		memset(in, 0xee, sizeof(in));
		/* A buffer of just the size will do. */
		ASSERT_EQ(sizes[n], read(self->fd, in, sizes[n]));
		EXPECT_TRUE(evt_filled(in, sizes[n], n));
		if (sizes[n] < LIMIT)
			EXPECT_EQ(0xee, in[sizes[n]]);
	}
}

TEST_F(records, over_the_limit_nothing_is_appended)
{
	/* Not on the stack: 2 GiB from its top there may be no user memory. */
	static char buf[LIMIT + 1];
	struct iovec v[] = { { buf, LIMIT }, { buf, 1 } };

	EXPECT_EQ(-EMSGSIZE, EVT(write(self->fd, buf, LIMIT + 1)));
	EXPECT_EQ(-EMSGSIZE, EVT(writev(self->fd, v, 2)));
	EXPECT_EQ(-EMSGSIZE, EVT(write(self->fd, buf, 0x7ffff000)));
	EXPECT_EQ(0, evt_end(self->fd, 0));
	EXPECT_EQ(LIMIT, write(self->fd, buf, LIMIT));
	EXPECT_EQ(1, evt_end(self->fd, 0));
}

TEST_F(records, small_buffer_leaves_the_position)
{
	char buf[8] = "";

	ASSERT_EQ(8, write(self->fd, "12345678", 8));
	ASSERT_EQ(1, write(self->fd, "b", 1));
	EXPECT_EQ(-EMSGSIZE, EVT(read(self->fd, buf, 7)));
	EXPECT_EQ(-EMSGSIZE, EVT(read(self->fd, buf, 0)));
	EXPECT_EQ(-EMSGSIZE, EVT(pread(self->fd, buf, 7, 0)));
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(8, read(self->fd, buf, 8));
	EXPECT_EQ(0, memcmp(buf, "12345678", 8));
	EXPECT_EQ(1, read(self->fd, buf, 8));
}

TEST_F(records, bad_buffers)
{
	char *end = evt_guarded(600);
	char buf[LIMIT];

	EXPECT_EQ(-EFAULT, EVT(write(self->fd, (void *)8, 10)));
	EXPECT_EQ(-EFAULT, EVT(write(self->fd, (void *)8, 900)));
	/* Half of it is there: short writes do not exist. */
	EXPECT_EQ(-EFAULT, EVT(write(self->fd, end + 500, 200)));
	EXPECT_EQ(-EFAULT, EVT(write(self->fd, end, 601)));
	EXPECT_EQ(0, evt_end(self->fd, 0));
	evt_fill(end, 600, 1);
	ASSERT_EQ(600, write(self->fd, end, 600));
	EXPECT_EQ(-EFAULT, EVT(read(self->fd, (void *)8, 600)));
	EXPECT_EQ(-EFAULT, EVT(read(self->fd, end + 1, 600)));
	EXPECT_EQ(-EFAULT, EVT(pread(self->fd, end + 300, 600, 0)));
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
	ASSERT_EQ(600, read(self->fd, buf, sizeof(buf)));
	EXPECT_TRUE(evt_filled(buf, 600, 1));
}

TEST_F(records, access_modes)
{
	int in = evt_open(&self->topic, 0, O_RDONLY);
	int out = evt_open(&self->topic, 0, O_WRONLY);
	char c;

	ASSERT_LE(0, in);
	ASSERT_LE(0, out);
	EXPECT_EQ(-EBADF, EVT(write(in, "x", 1)));
	EXPECT_EQ(-EBADF, EVT(read(out, &c, 1)));
	EXPECT_EQ(-EBADF, EVT(pread(out, &c, 1, 0)));
	EXPECT_EQ(1, write(out, "x", 1));
	EXPECT_EQ(1, read(in, &c, 1));
	EXPECT_EQ(-ESPIPE, EVT(lseek(out, 0, SEEK_SET)));
	close(in);
	close(out);
}

TEST_F(records, nonblocking)
{
	int fd = evt_open(&self->topic, 0, O_RDONLY | O_NONBLOCK);
	char c;
	struct iovec v = { &c, 1 };

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EAGAIN, EVT(read(fd, &c, 1)));
	EXPECT_EQ(-EAGAIN, EVT(pread(fd, &c, 1, 0)));
	EXPECT_EQ(-EAGAIN, EVT(pread(fd, &c, 1, 1000000)));
	ASSERT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(1, read(fd, &c, 1));
	EXPECT_EQ(-EAGAIN, EVT(read(fd, &c, 1)));
	/* As with any file, by fcntl() too. */
	EXPECT_EQ(0, fcntl(fd, F_SETFL, 0));
	EXPECT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, EVT(read(fd, &c, 1)));
	/* And for one call. */
	EXPECT_EQ(0, fcntl(fd, F_SETFL, 0));
	EXPECT_EQ(-EAGAIN, EVT(preadv2(fd, &v, 1, -1, RWF_NOWAIT)));
	close(fd);
}

TEST_F(records, read_is_woken_by_write)
{
	pid_t pid = fork();
	char buf[16];

	if (!pid)
		_exit(read(self->fd, buf, sizeof(buf)) == 4 && !memcmp(buf, "wake", 4) ? 0 : 1);
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_read));
	EXPECT_EQ(4, write(self->fd, "wake", 4));
	EXPECT_EQ(0, evt_wait(pid));
}

TEST_F(records, pread_waits_for_its_record)
{
	pid_t pid = fork();
	char buf[16];

	if (!pid)
		_exit(pread(self->fd, buf, sizeof(buf), 2) == 1 && buf[0] == 'c' ? 0 : 1);
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_pread64));
	EXPECT_EQ(1, write(self->fd, "a", 1));
	EXPECT_EQ(1, write(self->fd, "b", 1));
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_pread64));
	EXPECT_EQ(1, write(self->fd, "c", 1));
	EXPECT_EQ(0, evt_wait(pid));
	/* A read that names its record moves nothing. */
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(records, signals_interrupt)
{
	struct sigaction once = { .sa_handler = nothing };
	struct sigaction again = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	char c;
	pid_t pid;

	pid = fork();
	if (!pid) {
		sigaction(SIGUSR1, &once, NULL);
		_exit(EVT(read(self->fd, &c, 1)) == -EINTR ? 0 : 1);
	}
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_read));
	kill(pid, SIGUSR1);
	EXPECT_EQ(0, evt_wait(pid));

	pid = fork();
	if (!pid) {
		sigaction(SIGUSR1, &again, NULL);
		_exit(read(self->fd, &c, 1) == 1 && c == 'r' ? 0 : 1);
	}
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_read));
	kill(pid, SIGUSR1);
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_read));
	EXPECT_EQ(1, write(self->fd, "r", 1));
	EXPECT_EQ(0, evt_wait(pid));

	pid = fork();
	if (!pid) {
		sigaction(SIGUSR1, &once, NULL);
		_exit(EVT(pread(self->fd, &c, 1, 9)) == -EINTR ? 0 : 1);
	}
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_pread64));
	kill(pid, SIGUSR1);
	EXPECT_EQ(0, evt_wait(pid));

	pid = fork();
	if (!pid) {
		/* The record that woke the one above is not to be had twice. */
		_exit(EVT(read(self->fd, &c, 1)) < 0);
	}
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_read));
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, evt_wait(pid));
}

TEST_F(records, seek)
{
	char buf[8];
	int i;

	for (i = 0; i < 10; i++) {
		snprintf(buf, sizeof(buf), "r%d", i);
		ASSERT_EQ(2, write(self->fd, buf, 2));
	}
	EXPECT_EQ(7, lseek(self->fd, 7, SEEK_SET));
	EXPECT_EQ(2, read(self->fd, buf, 8));
	EXPECT_EQ(0, memcmp(buf, "r7", 2));
	EXPECT_EQ(8, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(3, lseek(self->fd, -5, SEEK_CUR));
	EXPECT_EQ(2, read(self->fd, buf, 8));
	EXPECT_EQ(0, memcmp(buf, "r3", 2));
	EXPECT_EQ(10, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(9, lseek(self->fd, -1, SEEK_END));
	EXPECT_EQ(2, read(self->fd, buf, 8));
	EXPECT_EQ(0, memcmp(buf, "r9", 2));
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_DATA));
	EXPECT_EQ(4, lseek(self->fd, 4, SEEK_DATA));
	EXPECT_EQ(2, pread(self->fd, buf, 8, 5));
	EXPECT_EQ(0, memcmp(buf, "r5", 2));
	EXPECT_EQ(4, lseek(self->fd, 0, SEEK_CUR));
	/* Beyond the end is where a record will be. */
	EXPECT_EQ(12, lseek(self->fd, 12, SEEK_SET));
	EXPECT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, EVT(read(self->fd, buf, 8)));
	ASSERT_EQ(1, write(self->fd, "x", 1));
	ASSERT_EQ(1, write(self->fd, "y", 1));
	EXPECT_EQ(-EAGAIN, EVT(read(self->fd, buf, 8)));
	ASSERT_EQ(1, write(self->fd, "z", 1));
	EXPECT_EQ(1, read(self->fd, buf, 8));
	EXPECT_EQ('z', buf[0]);
}

TEST_F(records, bad_seeks)
{
	ASSERT_EQ(1, write(self->fd, "x", 1));
	ASSERT_EQ(1, lseek(self->fd, 1, SEEK_SET));
	EXPECT_EQ(-EINVAL, EVT(lseek(self->fd, -1, SEEK_SET)));
	EXPECT_EQ(-EINVAL, EVT(lseek(self->fd, -2, SEEK_CUR)));
	EXPECT_EQ(-EINVAL, EVT(lseek(self->fd, -2, SEEK_END)));
	EXPECT_EQ(-EINVAL, EVT(lseek(self->fd, 0, SEEK_HOLE)));
	EXPECT_EQ(-EINVAL, EVT(lseek(self->fd, 0, 17)));
	EXPECT_EQ(-ENXIO, EVT(lseek(self->fd, -1, SEEK_DATA)));
	EXPECT_GT(0, EVT(lseek(self->fd, LLONG_MAX, SEEK_SET)));
	EXPECT_GT(0, EVT(lseek(self->fd, LLONG_MAX, SEEK_CUR)));
	EXPECT_GT(0, EVT(lseek(self->fd, LLONG_MAX, SEEK_END)));
	EXPECT_GT(0, EVT(lseek(self->fd, LLONG_MIN, SEEK_CUR)));
	/* None of them moved it. */
	EXPECT_EQ(1, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(-EINVAL, EVT(pread(self->fd, NULL, 0, -1)));
}

TEST_F(records, open_starts_with_the_first_held)
{
	char c;
	int fd;

	ASSERT_EQ(1, write(self->fd, "a", 1));
	ASSERT_EQ(1, write(self->fd, "b", 1));
	fd = evt_open(&self->topic, 0, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, lseek(fd, 0, SEEK_CUR));
	EXPECT_EQ(1, read(fd, &c, 1));
	EXPECT_EQ('a', c);
	close(fd);
	fd = evt_open(&self->topic, 0, O_RDWR | O_APPEND | O_TRUNC | O_CREAT);
	ASSERT_LE(0, fd);
	EXPECT_EQ(2, evt_end(fd, 0));
	EXPECT_EQ(1, write(fd, "c", 1));
	EXPECT_EQ(1, read(fd, &c, 1));
	EXPECT_EQ('a', c);
	close(fd);
}

TEST_F(records, pwrite_appends)
{
	struct iovec v = { "xyz", 3 };
	char buf[8];

	/* As with O_APPEND: there is one place only to write to. */
	EXPECT_EQ(1, pwrite(self->fd, "a", 1, 100));
	EXPECT_EQ(1, pwrite(self->fd, "b", 1, 0));
	EXPECT_EQ(3, pwritev2(self->fd, &v, 1, -1, RWF_DSYNC));
	EXPECT_EQ(3, evt_end(self->fd, 0));
	EXPECT_EQ(1, pread(self->fd, buf, 8, 1));
	EXPECT_EQ('b', buf[0]);
	EXPECT_EQ(0, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(records, fds_of_one_file_share_the_position)
{
	int twin = dup(self->fd), other = evt_open(&self->topic, 0, O_RDONLY);
	char c;

	ASSERT_LE(0, twin);
	ASSERT_LE(0, other);
	ASSERT_EQ(1, write(self->fd, "a", 1));
	ASSERT_EQ(1, write(twin, "b", 1));
	EXPECT_EQ(1, read(self->fd, &c, 1));
	EXPECT_EQ('a', c);
	EXPECT_EQ(1, read(twin, &c, 1));
	EXPECT_EQ('b', c);
	EXPECT_EQ(2, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(1, read(other, &c, 1));
	EXPECT_EQ('a', c);
	close(twin);
	/* The file is open as long as one of its descriptors is. */
	EXPECT_EQ(1, write(self->fd, "c", 1));
	EXPECT_EQ(1, read(self->fd, &c, 1));
	EXPECT_EQ('c', c);
	close(other);
}

TEST_F(records, processes_share_an_open_file)
{
	const int readers = 4, records = 800;
	int done[2], i, n, value, got = 0;
	unsigned char seen[800] = {};
	pid_t pid[4];

	ASSERT_EQ(0, pipe(done));
	for (i = 0; i < readers; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (;;) {
			n = read(self->fd, &value, sizeof(value));
			if (n != sizeof(value))
				_exit(1);
			if (value < 0)
				_exit(0);
			if (write(done[1], &value, sizeof(value)) != sizeof(value))
				_exit(1);
		}
	}
	for (i = 0; i < records; i++)
		ASSERT_EQ(4, write(self->fd, &i, sizeof(i)));
	for (i = 0; i < readers; i++) {
		value = -1;
		ASSERT_EQ(4, write(self->fd, &value, sizeof(value)));
	}
	close(done[1]);
	while (read(done[0], &value, sizeof(value)) == sizeof(value)) {
		ASSERT_LE(0, value);
		ASSERT_GT(records, value);
		/* Each record to just one of them. */
		EXPECT_EQ(0, seen[value]);
		seen[value] = 1;
		got++;
	}
	EXPECT_EQ(records, got);
	for (i = 0; i < readers; i++)
		EXPECT_EQ(0, evt_wait(pid[i]));
}

TEST_F(records, poll)
{
	int in = evt_open(&self->topic, 0, O_RDONLY);
	int out = evt_open(&self->topic, 0, O_WRONLY);
	char c;

	ASSERT_LE(0, in);
	ASSERT_LE(0, out);
	EXPECT_EQ(0, evt_poll(in, POLLIN | POLLOUT));
	EXPECT_EQ(POLLOUT, evt_poll(out, POLLIN | POLLOUT));
	ASSERT_EQ(1, write(out, "a", 1));
	EXPECT_EQ(POLLIN | POLLRDNORM, evt_poll(in, POLLIN | POLLRDNORM | POLLOUT));
	EXPECT_EQ(POLLOUT | POLLWRNORM, evt_poll(out, POLLIN | POLLOUT | POLLWRNORM));
	EXPECT_EQ(POLLIN | POLLOUT, evt_poll(self->fd, POLLIN | POLLOUT));
	ASSERT_EQ(1, read(in, &c, 1));
	EXPECT_EQ(0, evt_poll(in, POLLIN));
	EXPECT_EQ(1, lseek(in, 0, SEEK_CUR));
	EXPECT_EQ(0, lseek(in, 0, SEEK_SET));
	EXPECT_EQ(POLLIN, evt_poll(in, POLLIN));
	/* Positions beyond the end have nothing to read. */
	EXPECT_EQ(5, lseek(in, 5, SEEK_SET));
	EXPECT_EQ(0, evt_poll(in, POLLIN));
	close(in);
	close(out);
}

TEST_F(records, poll_wakes)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	pid_t pid = fork();

	if (!pid)
		_exit(poll(&p, 1, -1) == 1 && p.revents == POLLIN ? 0 : 1);
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_poll));
	EXPECT_EQ(0, write(self->fd, "", 0));
	EXPECT_EQ(0, evt_wait(pid));
}

TEST_F(records, epoll_level_and_edge)
{
	struct epoll_event level = { .events = EPOLLIN, .data.u32 = 1 };
	struct epoll_event edge = { .events = EPOLLIN | EPOLLET, .data.u32 = 2 };
	int e1 = epoll_create1(EPOLL_CLOEXEC), e2 = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev[4];
	char c;

	ASSERT_EQ(0, epoll_ctl(e1, EPOLL_CTL_ADD, self->fd, &level));
	ASSERT_EQ(0, epoll_ctl(e2, EPOLL_CTL_ADD, self->fd, &edge));
	EXPECT_EQ(0, epoll_wait(e1, ev, 4, 0));
	EXPECT_EQ(0, epoll_wait(e2, ev, 4, 0));
	ASSERT_EQ(1, write(self->fd, "a", 1));
	EXPECT_EQ(1, epoll_wait(e1, ev, 4, 0));
	EXPECT_EQ(1, ev[0].data.u32);
	EXPECT_EQ(1, epoll_wait(e1, ev, 4, 0));
	EXPECT_EQ(1, epoll_wait(e2, ev, 4, 0));
	EXPECT_EQ(EPOLLIN, ev[0].events);
	/* Told once; more to read is a new edge. */
	EXPECT_EQ(0, epoll_wait(e2, ev, 4, 0));
	ASSERT_EQ(1, write(self->fd, "b", 1));
	EXPECT_EQ(1, epoll_wait(e2, ev, 4, 0));
	EXPECT_EQ(0, epoll_wait(e2, ev, 4, 0));
	ASSERT_EQ(1, read(self->fd, &c, 1));
	ASSERT_EQ(1, read(self->fd, &c, 1));
	EXPECT_EQ(0, epoll_wait(e1, ev, 4, 0));
	EXPECT_EQ(0, epoll_wait(e2, ev, 4, 0));
	close(e1);
	close(e2);
}

TEST_F(records, epoll_wakes)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int e = epoll_create1(EPOLL_CLOEXEC);
	pid_t pid;

	ASSERT_EQ(0, epoll_ctl(e, EPOLL_CTL_ADD, self->fd, &ev));
	pid = fork();
	if (!pid)
		_exit(epoll_wait(e, &ev, 1, -1) == 1 && ev.events == EPOLLIN ? 0 : 1);
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_epoll_wait));
	EXPECT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(0, evt_wait(pid));
	close(e);
}

TEST_F(records, select_works)
{
	struct timeval now = {};
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(self->fd, &in);
	FD_SET(self->fd, &out);
	EXPECT_EQ(1, select(self->fd + 1, &in, &out, NULL, &now));
	EXPECT_FALSE(FD_ISSET(self->fd, &in));
	EXPECT_TRUE(FD_ISSET(self->fd, &out));
}

TEST_F(records, splice_and_sendfile)
{
	int pipefd[2], other = evt_open(&self->topic, 0, O_RDONLY | O_NONBLOCK);
	int file = memfd_create("records", 0);
	char buf[64] = "";

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_LE(0, other);
	ASSERT_LE(0, file);
	ASSERT_EQ(7, write(self->fd, "spliced", 7));
	/* Out: one record's value at a time. */
	EXPECT_EQ(7, splice(other, NULL, pipefd[1], NULL, 4096, 0));
	EXPECT_EQ(7, read(pipefd[0], buf, sizeof(buf)));
	EXPECT_STREQ("spliced", buf);
	EXPECT_EQ(1, lseek(other, 0, SEEK_CUR));
	/* In: what the pipe has in one buffer is a record. */
	ASSERT_EQ(5, write(pipefd[1], "piped", 5));
	EXPECT_EQ(5, splice(pipefd[0], NULL, self->fd, NULL, 4096, 0));
	EXPECT_EQ(2, evt_end(self->fd, 0));
	memset(buf, 0, sizeof(buf));
	EXPECT_EQ(5, read(other, buf, sizeof(buf)));
	EXPECT_STREQ("piped", buf);

	ASSERT_EQ(4, write(file, "file", 4));
	ASSERT_EQ(0, lseek(file, 0, SEEK_SET));
	EXPECT_EQ(4, sendfile(self->fd, file, NULL, 4));
	memset(buf, 0, sizeof(buf));
	EXPECT_EQ(4, read(other, buf, sizeof(buf)));
	EXPECT_STREQ("file", buf);

	ASSERT_EQ(2, lseek(other, 2, SEEK_SET));
	ASSERT_EQ(0, ftruncate(file, 0));
	ASSERT_EQ(0, lseek(file, 0, SEEK_SET));
	EXPECT_EQ(4, sendfile(file, other, NULL, 64));
	memset(buf, 0, sizeof(buf));
	EXPECT_EQ(4, pread(file, buf, sizeof(buf), 0));
	EXPECT_STREQ("file", buf);
	/* What went in did not move the position of where it went. */
	EXPECT_EQ(7, read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(5, read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(3, lseek(other, 0, SEEK_CUR));
	close(pipefd[0]);
	close(pipefd[1]);
	close(other);
	close(file);
}

TEST_F(records, fsync)
{
	ASSERT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, fdatasync(self->fd));
}

TEST_F(records, fdinfo)
{
	char path[64], line[128];
	bool topic = false, partition = false, offset = false;
	char want[96];
	FILE *f;

	ASSERT_EQ(1, write(self->fd, "x", 1));
	ASSERT_EQ(1, lseek(self->fd, 1, SEEK_SET));
	snprintf(want, sizeof(want), "evstream-topic:\t%s\n", self->topic.name);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	f = fopen(path, "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		topic |= !strcmp(line, want);
		partition |= !strcmp(line, "evstream-partition:\t0\n");
		offset |= !strcmp(line, "evstream-offset:\t1\n");
	}
	fclose(f);
	EXPECT_TRUE(topic);
	EXPECT_TRUE(partition);
	EXPECT_TRUE(offset);
}

TEST_F(records, timestamps_of_a_file)
{
	struct stat st;

	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 07777);
	EXPECT_EQ(0, st.st_size);
	EXPECT_EQ(-EINVAL, EVT(ftruncate(self->fd, 0)));
}

TEST_F(records, unknown_ioctls)
{
	int n = 0;

	EXPECT_EQ(-ENOTTY, EVT(ioctl(self->fd, 0)));
	EXPECT_EQ(-ENOTTY, EVT(ioctl(self->fd, 0x5401, &n)));
	EXPECT_EQ(-ENOTTY, EVT(ioctl(self->fd, _IOWR(EVSTREAM_IOC_MAGIC, 0x7f, int), &n)));
	EXPECT_EQ(-ENOTTY, EVT(ioctl(self->fd, _IOWR(EVSTREAM_IOC_MAGIC, 0, int), &n)));
}

/* The fixture's own delete would find nothing any more. */
FIXTURE(deleted) {
	struct evt_topic topic;
	int fd;
};

FIXTURE_SETUP(deleted)
{
	ASSERT_EQ(0, evt_create(&self->topic, "-p 2 --segment 64K --ring 128K"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(deleted)
{
	close(self->fd);
	EXPECT_EQ(2, evt_streamctl("topic delete %s 2>/dev/null", self->topic.name));
}

TEST_F(deleted, everything_is_enodev)
{
	int any = evt_open(&self->topic, EVT_ANY, O_RDWR);
	struct evstream_fetch fetch = {};
	struct evstream_stat st = {};
	struct iovec v;
	char buf[600];

	ASSERT_LE(0, any);
	ASSERT_EQ(1, write(self->fd, "x", 1));
	ASSERT_EQ(0, evt_delete(&self->topic));
	EXPECT_EQ(-ENODEV, EVT(read(self->fd, buf, sizeof(buf))));
	EXPECT_EQ(-ENODEV, EVT(pread(self->fd, buf, sizeof(buf), 0)));
	EXPECT_EQ(-ENODEV, EVT(write(self->fd, "x", 1)));
	EXPECT_EQ(-ENODEV, EVT(write(self->fd, "", 0)));
	EXPECT_EQ(-ENODEV, EVT(write(self->fd, buf, sizeof(buf))));
	v = (struct iovec){ buf, 3 };
	EXPECT_EQ(-ENODEV, EVT(writev(self->fd, &v, 1)));
	EXPECT_EQ(-ENODEV, EVT(lseek(self->fd, 0, SEEK_SET)));
	EXPECT_EQ(-ENODEV, EVT(ioctl(self->fd, EVSTREAM_IOC_STAT, &st)));
	EXPECT_EQ(-ENODEV, EVT(ioctl(self->fd, EVSTREAM_IOC_FETCH, &fetch)));
	EXPECT_EQ(-ENODEV, EVT(read(any, buf, sizeof(buf))));
	EXPECT_EQ(-ENODEV, EVT(write(any, "x", 1)));
	EXPECT_EQ(-ENODEV, EVT(lseek(any, 0, SEEK_SET)));
	EXPECT_TRUE(evt_poll(self->fd, POLLIN) & POLLHUP);
	EXPECT_TRUE(evt_poll(any, POLLIN) & POLLHUP);
	EXPECT_EQ(-ENOENT, EVT(evt_open(&self->topic, 0, O_RDONLY)));
	close(any);
}

TEST_F(deleted, who_waits_is_woken)
{
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	int any = evt_open(&self->topic, EVT_ANY, O_RDWR), i;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int e = epoll_create1(EPOLL_CLOEXEC);
	struct evstream_fetch fetch = {
		.min_bytes = 100, .timeout_ms = -1, .offset = -1,
	};
	pid_t pid[6];
	char c;

	ASSERT_LE(0, any);
	ASSERT_EQ(0, epoll_ctl(e, EPOLL_CTL_ADD, self->fd, &ev));
	for (i = 0; i < 6; i++) {
		static const long nr[] = {
			SYS_read, SYS_pread64, SYS_read, SYS_poll, SYS_epoll_wait, SYS_ioctl,
		};

		pid[i] = fork();
		if (pid[i]) {
			ASSERT_TRUE(evt_sleeps_in(pid[i], nr[i]));
			continue;
		}
		switch (i) {
		case 0:
			_exit(EVT(read(self->fd, &c, 1)) == -ENODEV ? 0 : 1);
		case 1:
			_exit(EVT(pread(self->fd, &c, 1, 7)) == -ENODEV ? 0 : 1);
		case 2:
			_exit(EVT(read(any, &c, 1)) == -ENODEV ? 0 : 1);
		case 3:
			_exit(poll(&p, 1, -1) == 1 && p.revents & POLLHUP ? 0 : 1);
		case 4:
			_exit(epoll_wait(e, &ev, 1, -1) == 1 && ev.events & EPOLLHUP ? 0 : 1);
		default:
			_exit(EVT(ioctl(self->fd, EVSTREAM_IOC_FETCH, &fetch)) == -ENODEV ? 0 : 1);
		}
	}
	EXPECT_EQ(0, evt_delete(&self->topic));
	for (i = 0; i < 6; i++)
		EXPECT_EQ(0, evt_wait(pid[i]));
	close(any);
	close(e);
}

TEST_F(deleted, name_is_free_again)
{
	char buf[8];
	int fd;

	ASSERT_EQ(3, write(self->fd, "old", 3));
	ASSERT_EQ(0, evt_delete(&self->topic));
	ASSERT_EQ(0, evt_streamctl("topic create %s >/dev/null", self->topic.name));
	fd = evt_open(&self->topic, 0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, fd);
	/* The old file does not see the new topic, nor it the old one's records. */
	EXPECT_EQ(-EAGAIN, EVT(read(fd, buf, sizeof(buf))));
	EXPECT_EQ(-ENODEV, EVT(write(self->fd, "old", 3)));
	EXPECT_EQ(0, evt_end(fd, 0));
	close(fd);
	EXPECT_EQ(0, evt_delete(&self->topic));
}

TEST_HARNESS_MAIN
