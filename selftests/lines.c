// SPDX-License-Identifier: GPL-2.0
/*
 * Line framing: the newline delimits records, whatever the calls.
 */
#include <sys/mman.h>

#include "evstest.h"

#define LIMIT	1000

FIXTURE(lines) {
	struct evt_topic topic;
	int fd;		/* read and write */
};

FIXTURE_SETUP(lines)
{
	ASSERT_EQ(0, evt_create(&self->topic,
				"--segment 64K --ring 4M --max-record 1000 --framing line"));
	self->fd = evt_open(&self->topic, 0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(lines)
{
	close(self->fd);
	EXPECT_EQ(0, evt_delete(&self->topic));
}

static int set_framing(int fd, unsigned int framing)
{
	struct evstream_set_framing a = { .framing = framing };

	return EVT(ioctl(fd, EVSTREAM_IOC_SET_FRAMING, &a));
}

/* Batches, and records in the first one, from @offset on. */
static int batches(int fd, long long offset, unsigned int *records)
{
	static unsigned char buf[1 << 20];
	struct evstream_fetch a = {
		.buf = (uintptr_t)buf, .len = sizeof(buf), .offset = offset,
	};
	unsigned int at, n = 0;

	if (ioctl(fd, EVSTREAM_IOC_FETCH, &a))
		return -errno;
	for (at = 0; at + 61 <= a.bytes; n++) {
		unsigned char *b = buf + at;

		if (!n)
			*records = b[57] << 24 | b[58] << 16 | b[59] << 8 | b[60];
		at += 12 + (b[8] << 24 | b[9] << 16 | b[10] << 8 | b[11]);
	}
	return at == a.bytes ? (int)n : -1000;
}

TEST_F(lines, each_line_is_a_record)
{
	char buf[64] = "";

	ASSERT_EQ(14, write(self->fd, "one\ntwo\nthree\n", 14));
	EXPECT_EQ(3, evt_end(self->fd, 0));
	EXPECT_EQ(14, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("one\ntwo\nthree\n", buf);
	EXPECT_EQ(3, lseek(self->fd, 0, SEEK_CUR));
	/* The newline is no part of the record. */
	ASSERT_EQ(0, set_framing(self->fd, EVSTREAM_FRAMING_RECORD));
	EXPECT_EQ(3, pread(self->fd, buf, sizeof(buf), 1));
	EXPECT_EQ(0, memcmp(buf, "two", 3));
}

TEST_F(lines, a_write_is_one_batch)
{
	unsigned int records = 0;

	ASSERT_EQ(6, write(self->fd, "a\nb\nc\n", 6));
	ASSERT_EQ(4, write(self->fd, "d\ne\n", 4));
	EXPECT_EQ(2, batches(self->fd, 0, &records));
	EXPECT_EQ(3, records);
	EXPECT_EQ(1, batches(self->fd, 3, &records));
	EXPECT_EQ(2, records);
}

TEST_F(lines, partial_lines_wait)
{
	struct iovec v[] = { { "et", 2 }, { "\n", 1 }, { "x", 1 } };
	char buf[64] = "";

	ASSERT_EQ(2, write(self->fd, "he", 2));
	EXPECT_EQ(0, evt_end(self->fd, 0));
	EXPECT_EQ(-EAGAIN, EVT(read(self->fd, buf, sizeof(buf))));
	EXPECT_EQ(0, evt_poll(self->fd, POLLIN));
	ASSERT_EQ(2, write(self->fd, "ll", 2));
	EXPECT_EQ(0, evt_end(self->fd, 0));
	ASSERT_EQ(3, write(self->fd, "o\nw", 3));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	ASSERT_EQ(4, writev(self->fd, v, 3));
	EXPECT_EQ(2, evt_end(self->fd, 0));
	EXPECT_EQ(10, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("hello\nwet\n", buf);
}

TEST_F(lines, empty_lines)
{
	char buf[64] = "";

	ASSERT_EQ(3, write(self->fd, "\n\n\n", 3));
	EXPECT_EQ(3, evt_end(self->fd, 0));
	ASSERT_EQ(0, write(self->fd, "", 0));
	EXPECT_EQ(3, evt_end(self->fd, 0));
	EXPECT_EQ(2, read(self->fd, buf, 2));
	EXPECT_STREQ("\n\n", buf);
	EXPECT_EQ(1, read(self->fd, buf, sizeof(buf)));
}

TEST_F(lines, close_ends_the_last_line)
{
	int fd = evt_open(&self->topic, 0, O_WRONLY), twin = dup(fd);
	char buf[64] = "";

	ASSERT_EQ(7, write(fd, "a\nb\nend", 7));
	EXPECT_EQ(2, evt_end(self->fd, 0));
	/* It is the last descriptor that counts. */
	close(fd);
	EXPECT_EQ(2, evt_end(self->fd, 0));
	close(twin);
	EXPECT_EQ(3, evt_end(self->fd, 0));
	EXPECT_EQ(8, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("a\nb\nend\n", buf);
	/* No line, no record. */
	fd = evt_open(&self->topic, 0, O_WRONLY);
	ASSERT_EQ(2, write(fd, "c\n", 2));
	close(fd);
	EXPECT_EQ(4, evt_end(self->fd, 0));
	fd = evt_open(&self->topic, 0, O_WRONLY);
	close(fd);
	EXPECT_EQ(4, evt_end(self->fd, 0));
}

TEST_F(lines, a_killed_producer_loses_nothing)
{
	char buf[64] = "";
	int ready[2], fd;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		fd = evt_open(&self->topic, 0, O_WRONLY);
		if (write(fd, "done\nhalf a l", 13) != 13 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(1, read(ready[0], buf, 1));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	kill(pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, evt_wait(pid));
	EXPECT_EQ(2, evt_end(self->fd, 0));
	EXPECT_EQ(14, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("done\nhalf a l\n", buf);
}

TEST_F(lines, lines_of_two_files_do_not_mix)
{
	int a = evt_open(&self->topic, 0, O_WRONLY), b = evt_open(&self->topic, 0, O_WRONLY);
	char buf[64] = "";

	ASSERT_EQ(2, write(a, "aa", 2));
	ASSERT_EQ(2, write(b, "bb", 2));
	ASSERT_EQ(2, write(a, "a\n", 2));
	ASSERT_EQ(2, write(b, "b\n", 2));
	EXPECT_EQ(8, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("aaa\nbbb\n", buf);
	close(a);
	close(b);
}

TEST_F(lines, many_lines_in_one_read)
{
	char buf[16];
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(4, write(self->fd, "abc\n", 4));
	/* Whole ones only: 3 of 4 bytes are in 15. */
	EXPECT_EQ(12, read(self->fd, buf, 15));
	EXPECT_EQ(3, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(16, read(self->fd, buf, 16));
	EXPECT_EQ(0, memcmp(buf, "abc\nabc\nabc\nabc\n", 16));
	EXPECT_EQ(-EMSGSIZE, EVT(read(self->fd, buf, 3)));
	EXPECT_EQ(7, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(4, read(self->fd, buf, 4));
	EXPECT_EQ(-EAGAIN, EVT(read(self->fd, buf, 16)));
	EXPECT_EQ(8, pread(self->fd, buf, 8, 6));
	EXPECT_EQ(8, lseek(self->fd, 0, SEEK_CUR));
}

TEST_F(lines, limit)
{
	char line[2 * LIMIT + 2], buf[2 * LIMIT + 2];

	memset(line, 'x', sizeof(line));
	line[LIMIT] = '\n';
	ASSERT_EQ(LIMIT + 1, write(self->fd, line, LIMIT + 1));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	/* One letter more, in all ways it can come. */
	memset(line, 'x', sizeof(line));
	line[LIMIT + 1] = '\n';
	EXPECT_EQ(-EMSGSIZE, EVT(write(self->fd, line, LIMIT + 2)));
	EXPECT_EQ(-EMSGSIZE, EVT(write(self->fd, line, LIMIT + 1)));
	line[0] = '\n';
	EXPECT_EQ(LIMIT + 2, write(self->fd, line, LIMIT + 2));
	EXPECT_EQ(3, evt_end(self->fd, 0));
	memset(line, 'y', sizeof(line));
	ASSERT_EQ(LIMIT, write(self->fd, line, LIMIT));
	EXPECT_EQ(-EMSGSIZE, EVT(write(self->fd, "y", 1)));
	EXPECT_EQ(-EMSGSIZE, EVT(write(self->fd, "y\n", 2)));
	/* What was refused left nothing behind. */
	EXPECT_EQ(1, write(self->fd, "\n", 1));
	EXPECT_EQ(4, evt_end(self->fd, 0));
	EXPECT_EQ(LIMIT + 1, pread(self->fd, buf, LIMIT + 1, 3));
	line[LIMIT] = '\n';
	EXPECT_EQ(0, memcmp(line, buf, LIMIT + 1));
}

TEST_F(lines, bad_buffers)
{
	char *end = evt_guarded(100);
	char buf[64] = "";

	memset(end, '\n', 100);
	ASSERT_EQ(2, write(self->fd, "ab", 2));
	EXPECT_EQ(-EFAULT, EVT(write(self->fd, (void *)8, 10)));
	EXPECT_EQ(-EFAULT, EVT(write(self->fd, end + 90, 20)));
	EXPECT_EQ(0, evt_end(self->fd, 0));
	ASSERT_EQ(2, write(self->fd, "c\n", 2));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	EXPECT_EQ(-EFAULT, EVT(read(self->fd, (void *)8, 64)));
	EXPECT_EQ(4, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("abc\n", buf);
	/* Lines that were read stay read. */
	ASSERT_EQ(4, write(self->fd, "d\ne\n", 4));
	EXPECT_EQ(2, read(self->fd, end + 98, 64));
	EXPECT_EQ(2, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(2, read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "e\n", 2));
}

TEST_F(lines, more_than_a_segment_in_one_write)
{
	const size_t size = 300000;
	char *out = malloc(size), *in = malloc(size);
	size_t i, got = 0;
	ssize_t n;

	/* Lines of 1 to 900 letters. */
	for (i = 0; i < size; i++)
		out[i] = 'a' + i % 26;
	for (i = 0; i < size; i += 1 + (i * 7) % 900)
		out[i] = '\n';
	out[size - 1] = '\n';
	ASSERT_EQ((ssize_t)size, write(self->fd, out, size));
	while (got < size) {
		n = read(self->fd, in + got, size - got);
		if (n <= 0)
			break;
		got += n;
	}
	ASSERT_EQ(size, got);
	EXPECT_EQ(0, memcmp(in, out, size));
	free(in);
	free(out);
}

TEST_F(lines, framing_of_a_file)
{
	struct evstream_set_framing bad = { .framing = 2 };
	int fd = evt_open(&self->topic, 0, O_RDWR);
	struct evstream_stat st;
	char buf[64] = "";

	ASSERT_EQ(0, evt_stat(fd, 0, &st));
	EXPECT_EQ(EVSTREAM_FRAMING_LINE, st.framing);
	EXPECT_EQ(0, set_framing(fd, EVSTREAM_FRAMING_RECORD));
	ASSERT_EQ(0, evt_stat(fd, 0, &st));
	EXPECT_EQ(EVSTREAM_FRAMING_RECORD, st.framing);
	/* This file only. */
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	EXPECT_EQ(EVSTREAM_FRAMING_LINE, st.framing);
	ASSERT_EQ(4, write(fd, "a\nb\n", 4));
	EXPECT_EQ(1, evt_end(fd, 0));
	EXPECT_EQ(4, read(fd, buf, sizeof(buf)));
	EXPECT_EQ(-EINVAL, EVT(ioctl(fd, EVSTREAM_IOC_SET_FRAMING, &bad)));
	bad = (struct evstream_set_framing){ .framing = 1, .reserved = 1 };
	EXPECT_EQ(-EINVAL, EVT(ioctl(fd, EVSTREAM_IOC_SET_FRAMING, &bad)));
	EXPECT_EQ(0, set_framing(fd, EVSTREAM_FRAMING_LINE));
	ASSERT_EQ(1, write(fd, "p", 1));
	EXPECT_EQ(-EBUSY, set_framing(fd, EVSTREAM_FRAMING_RECORD));
	ASSERT_EQ(1, write(fd, "\n", 1));
	EXPECT_EQ(0, set_framing(fd, EVSTREAM_FRAMING_RECORD));
	close(fd);
}

TEST_F(lines, framing_of_the_topic)
{
	int fd = evt_open(&self->topic, 0, O_RDWR);
	struct evstream_stat st;

	/* Files that did not choose follow their topic. */
	ASSERT_EQ(0, evt_set(&self->topic, "framing=record"));
	ASSERT_EQ(0, evt_stat(fd, 0, &st));
	EXPECT_EQ(EVSTREAM_FRAMING_RECORD, st.framing);
	ASSERT_EQ(4, write(fd, "a\nb\n", 4));
	EXPECT_EQ(1, evt_end(fd, 0));
	close(fd);
}

TEST_F(lines, a_partial_line_outlives_its_framing)
{
	char buf[64] = "";
	int fd = evt_open(&self->topic, 0, O_RDWR);

	ASSERT_EQ(4, write(fd, "part", 4));
	ASSERT_EQ(0, evt_set(&self->topic, "framing=record"));
	close(fd);
	EXPECT_EQ(1, evt_end(self->fd, 0));
	EXPECT_EQ(4, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("part", buf);
}

TEST_F(lines, poll_and_blocking_read)
{
	pid_t pid;
	char buf[8];
	int fd;

	fd = evt_open(&self->topic, 0, O_RDONLY);
	pid = fork();
	if (!pid)
		_exit(read(fd, buf, sizeof(buf)) == 3 && !memcmp(buf, "ab\n", 3) ? 0 : 1);
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_read));
	ASSERT_EQ(1, write(self->fd, "a", 1));
	EXPECT_TRUE(evt_sleeps_in(pid, SYS_read));
	ASSERT_EQ(2, write(self->fd, "b\n", 2));
	EXPECT_EQ(0, evt_wait(pid));
	close(fd);
}

TEST_F(lines, records_with_newlines_in_them)
{
	int fd = evt_open(&self->topic, 0, O_WRONLY);
	char buf[64] = "";

	/* Read as lines they are several: nothing of them is lost. */
	ASSERT_EQ(0, set_framing(fd, EVSTREAM_FRAMING_RECORD));
	ASSERT_EQ(3, write(fd, "a\nb", 3));
	EXPECT_EQ(4, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("a\nb\n", buf);
	close(fd);
}

static int shell(const char *fmt, const char *topic)
{
	char command[512];
	int status;

	snprintf(command, sizeof(command), fmt, topic, topic, topic);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(lines, cat_in_and_out)
{
	char dir[] = "/tmp/lines.XXXXXX";
	int saved;

	ASSERT_NE(NULL, mkdtemp(dir));
	saved = open(".", O_RDONLY | O_DIRECTORY);
	ASSERT_EQ(0, chdir(dir));
	EXPECT_EQ(0, shell("seq -f 'line %%g of a file' 20000 >in && cat in >/dev/stream/%s/any",
			   self->topic.name));
	EXPECT_EQ(20000, evt_end(self->fd, 0));
	/* cat would wait for more: so many bytes are there. */
	EXPECT_EQ(0, shell("head -c $(stat -c %%s in) /dev/stream/%s/0 >out && cmp in out",
			   self->topic.name));
	EXPECT_EQ(0, shell("dd if=/dev/stream/%s/0 of=out bs=64K iflag=nonblock 2>err; cmp in out",
			   self->topic.name));
	/* Without the last newline, in blocks that cut lines in two. */
	EXPECT_EQ(0, system("printf 'no newline' >>in"));
	EXPECT_EQ(0, shell("dd if=in of=/dev/stream/%s/0 bs=777 status=none", self->topic.name));
	EXPECT_EQ(40001, evt_end(self->fd, 0));
	EXPECT_EQ(0, system("echo >>in"));
	EXPECT_EQ(0, shell("head -n 40001 /dev/stream/%s/0 | tail -n +20001 | cmp - in",
			   self->topic.name));
	EXPECT_EQ(0, fchdir(saved));
	EXPECT_EQ(0, shell("rm -r %s", dir));
	close(saved);
}

TEST_F(lines, shells_append)
{
	char buf[128] = "";

	EXPECT_EQ(0, shell("echo one >/dev/stream/%s/any && echo two >>/dev/stream/%s/0",
			   self->topic.name));
	EXPECT_EQ(0, shell("{ echo three; printf four; } >/dev/stream/%s/any", self->topic.name));
	EXPECT_EQ(19, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("one\ntwo\nthree\nfour\n", buf);
}

TEST_HARNESS_MAIN
