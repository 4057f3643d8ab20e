// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to find a record by its offset and by its time, in logs of few
 * and of many segments. Instructions under scripts/vm --icount, else nanoseconds.
 *
 * usage: lookup [SEGMENTS...]
 */
#include <errno.h>
#include <evstream.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"

const char *bench_name = "lookup";

#define SEGMENT		(64UL << 10)
#define RECORD		100
#define LOOKUPS		20000
#define ROUNDS		5

/* Milliseconds from one record to the next. */
#define STEP		10
#define FIRST		1000000

static char value[RECORD];

/* Batches of a page or so: a segment has some fifteen index entries. */
static uint64_t fill(int fd, unsigned long segments)
{
	struct evs_builder *b = evs_builder_new(NULL, 4096);
	struct evs_record rec = { .value = value, .value_len = RECORD, .key_len = -1 };
	struct evstream_stat stat = { .end_offset = 0 };
	uint64_t n = 0;

	if (!b)
		die("builder");
	do {
		const void *batch;
		size_t size;

		for (;;) {
			rec.timestamp = FIRST + n * STEP;
			if (evs_builder_add(b, &rec))
				break;
			n++;
		}
		errno = -evs_builder_finish(b, &batch, &size);
		if (errno)
			die("batch");
		errno = -evs_append_batch(fd, 0, batch, size, NULL);
		if (errno)
			die("append");
		if (ioctl(fd, EVSTREAM_IOC_STAT, &stat))
			die("stat");
	} while (stat.end_position < segments * SEGMENT - SEGMENT / 2);
	evs_builder_free(b);
	if (stat.start_offset) {
		errno = ENOSPC;
		die("%lu segments", segments);
	}
	return stat.end_offset;
}

/* Anywhere, but the same places each time. */
static uint64_t place(uint64_t *state, uint64_t n)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*state >> 16) % n;
}

static double seeks(int fd, uint64_t n, bool by_time)
{
	uint64_t state = 1;
	double start = now();

	for (unsigned int i = 0; i < LOOKUPS; i++) {
		uint64_t at = place(&state, n);
		struct evstream_seek seek = {
			.whence = by_time ? EVSTREAM_SEEK_TIMESTAMP : EVSTREAM_SEEK_OFFSET,
			.value = by_time ? FIRST + at * STEP : at,
		};

		if (ioctl(fd, EVSTREAM_IOC_SEEK, &seek))
			die("seek");
		if (seek.offset != (int64_t)at) {
			errno = EIO;
			die("record %jd instead of %ju", (intmax_t)seek.offset, (uintmax_t)at);
		}
	}
	return (now() - start) / LOOKUPS;
}

static double reads(int fd, uint64_t n)
{
	uint64_t state = 1;
	double start = now();

	for (unsigned int i = 0; i < LOOKUPS; i++)
		if (pread(fd, value, RECORD, place(&state, n)) != RECORD)
			die("pread");
	return (now() - start) / LOOKUPS;
}

static void measure(unsigned long segments)
{
	double by_offset[ROUNDS], by_time[ROUNDS], by_pread[ROUNDS];
	unsigned int rounds = icount() ? 1 : ROUNDS;
	char options[128];
	uint64_t n;
	int fd;

	snprintf(options, sizeof(options), "--segment 64K --ring %luK --retention 0",
		 (segments + 2) * 64);
	topic_new(options);
	fd = open_or_die(PARTITION, O_RDWR);
	n = fill(fd, segments);
	for (unsigned int i = 0; i < rounds; i++) {
		by_offset[i] = seeks(fd, n, false);
		by_time[i] = seeks(fd, n, true);
		by_pread[i] = reads(fd, n);
	}
	report("lookup/offset", segments, median(by_offset, rounds), unit());
	report("lookup/time", segments, median(by_time, rounds), unit());
	report("lookup/pread", segments, median(by_pread, rounds), unit());
	close(fd);
	topic_delete();
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		measure(strtoul(argv[i], NULL, 0));
	if (argc < 2) {
		measure(10);
		measure(1000);
		measure(10000);
	}
	return 0;
}
