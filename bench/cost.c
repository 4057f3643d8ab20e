// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a call costs, beside what Linux has for the like: the mean over many
 * calls, with all there is in it (pages, checksums, segments, timer interrupts).
 * Instructions under scripts/vm --icount, else nanoseconds.
 *
 * usage: cost [SIZE...]
 */
#include <errno.h>
#include <evstream.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

const char *bench_name = "cost";

/* A default topic's ring. */
#define RING		(64UL << 20)

#define TMPFS		"/dev/shm/evstream-bench"

static char *buffer;

static unsigned int calls(size_t size)
{
	/* Some 32 MiB, but neither for ever nor a handful. */
	size_t n = (32UL << 20) / (size + 70);

	if (n > 200000)
		n = 200000;
	return n < 32 ? 32 : n;
}

static void cost(const char *name, size_t size, double total, unsigned int n)
{
	report(name, size, total / n, unit());
}

static void measure_null(size_t size)
{
	unsigned int n = 100000;
	int fd = open_or_die("/dev/null", O_WRONLY);

	writes(fd, buffer, size, 100);
	cost("write/null", size, writes(fd, buffer, size, n), n);
	close(fd);
}

/* @batch writes, then as many reads; the first round warms up. */
static void pipe_rounds(const char *how, int fds[2], size_t size, unsigned int batch)
{
	unsigned int n = calls(size), done;
	double in = 0, out = 0;
	char name[64];

	for (done = 0; done < n + batch; done += batch) {
		double start = now(), wrote;

		for (unsigned int i = 0; i < batch; i++)
			write_all(fds[1], buffer, size);
		wrote = now();
		for (unsigned int i = 0; i < batch; i++)
			read_all(fds[0], buffer, size);
		if (done) {
			in += wrote - start;
			out += now() - wrote;
		}
	}
	snprintf(name, sizeof(name), "write/%s", how);
	cost(name, size, in, done - batch);
	snprintf(name, sizeof(name), "read/%s", how);
	cost(name, size, out, done - batch);
}

static void measure_pipe(size_t size)
{
	int fds[2];
	long room;

	if (pipe(fds))
		die("pipe");
	room = fcntl(fds[1], F_GETPIPE_SZ);
	if ((size_t)room < size)
		room = fcntl(fds[1], F_SETPIPE_SZ, size);
	if (room < 0)
		die("F_SETPIPE_SZ");
	/* With a reader that keeps up, and with one that comes when it is full. */
	pipe_rounds("pipe", fds, size, 1);
	/* A page takes whole records only. */
	if (size < 4096)
		pipe_rounds("pipe-full", fds, size, room / 4096 * (4096 / size));
	close(fds[0]);
	close(fds[1]);
}

static void measure_tmpfs(size_t size)
{
	unsigned int n = calls(size);
	int fd = open_or_die(TMPFS, O_WRONLY | O_CREAT | O_APPEND);

	writes(fd, buffer, size, 8);
	if (ftruncate(fd, 0))
		die("truncate");
	cost("write/tmpfs", size, writes(fd, buffer, size, n), n);
	close(fd);
	unlink(TMPFS);
}

static void measure_mmap(size_t size, unsigned int n)
{
	struct evs_reader *r = evs_reader_open(PARTITION, 0);
	struct evs_record rec;
	uint64_t bytes;
	double start;
	const char *const names[] = { "next/mmap", "next/mmap-again" };

	if (!r)
		die(PARTITION);
	/* In the second pass the pages are mapped already. */
	for (unsigned int pass = 0; pass < ARRAY_SIZE(names); pass++) {
		if (evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, evs_reader_end_offset(r) - n))
			die("seek");
		bytes = 0;
		start = now();
		while (evs_reader_next(r, &rec) == 1)
			bytes += rec.value_len;
		cost(names[pass], size, now() - start, n);
		if (bytes != (uint64_t)n * size) {
			errno = EIO;
			die("%ju bytes of %ju by mmap", (uintmax_t)bytes, (uintmax_t)n * size);
		}
	}
	evs_reader_close(r);
}

static void measure_topic(size_t size)
{
	unsigned int n = calls(size);
	double start;
	int fd;

	topic_new("--max-record 1M");
	fd = open_or_die(PARTITION, O_RDWR);
	/* Its first bytes, while the ring fills: an append drops nothing yet. */
	cost("write/topic-filling", size, writes(fd, buffer, size, n), n);
	/* From now on each new segment is another one's end. */
	writes(fd, buffer, 64 << 10, RING / (64 << 10) + 1);
	cost("write/topic", size, writes(fd, buffer, size, n), n);

	if (lseek(fd, -(off_t)n, SEEK_END) < 0)
		die("lseek");
	start = now();
	for (unsigned int i = 0; i < n; i++)
		read_all(fd, buffer, size);
	cost("read/topic", size, now() - start, n);
	close(fd);
	measure_mmap(size, n);
	topic_delete();
}

int main(int argc, char **argv)
{
	static const size_t all[] = { 64, 100, 1 << 10, 64 << 10, 1 << 20 };
	unsigned int n = argc > 1 ? (unsigned int)argc - 1 : ARRAY_SIZE(all);

	buffer = memory(1 << 20);
	for (unsigned int i = 0; i < n; i++) {
		size_t size = argc > 1 ? strtoul(argv[i + 1], NULL, 0) : all[i];

		measure_null(size);
		measure_pipe(size);
		measure_tmpfs(size);
		measure_topic(size);
	}
	return 0;
}
