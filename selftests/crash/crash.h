/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the load and the check of the power-cut test both know: records that say
 * whose they are, and the marks by which producers tell, on a part of the disk
 * that is no file system's, what was acknowledged.
 */
#ifndef CRASH_H
#define CRASH_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/evstream.h>

#include "evstream.h"

/* Lines are short. */
#define D64		PRId64

#define CRASH_PARTS	4
#define CRASH_MAX	(48U << 10)	/* bytes of the greatest record */
#define CRASH_SECTOR	512
#define CRASH_PRODUCERS	16

/* Who appends; those up to CRASH_PLAIN to the topic. */
enum crash_producer {
	CRASH_DSYNC,		/* O_DSYNC and RWF_DSYNC */
	CRASH_APPEND,		/* EVSTREAM_IOC_APPEND on an O_DSYNC file */
	CRASH_FSYNC,		/* write(), and fsync() now and then */
	CRASH_PLAIN,		/* write(), never made durable */
	CRASH_HONEST,		/* a file, with fdatasync() */
	CRASH_LIAR,		/* a file, acknowledged without */
	CRASH_STAT,		/* reports what STAT says is durable */
	CRASH_AFTER,		/* what the check appends */
};

/**
 * struct crash_head - what each record begins with
 * @magic: CRASH_MAGIC
 * @boot: which run of the load
 * @producer: an &enum crash_producer
 * @partition: where it goes
 * @zero: 0
 * @seq: how many this producer appended to this partition before, in this run
 * @len: bytes of the whole record
 * @sum: CRC32C of the whole record, computed with 0 here
 */
struct crash_head {
	uint64_t magic;
	uint16_t boot;
	uint16_t producer;
	uint16_t partition;
	uint16_t zero;
	uint32_t seq;
	uint32_t len;
	uint32_t sum;
	uint32_t pad;
};

#define CRASH_MAGIC	0x3144524f43455645ULL	/* "EVECORD1" */

/**
 * struct crash_mark - a sector outside the file system, written after the fact
 * @magic: CRASH_MARK
 * @boot: which run
 * @producer: whose
 * @count: marks of this producer before
 * @sum: CRC32C of the whole structure, computed with 0 here
 * @pad: 0
 * @part: for each partition
 *
 * In @part, @acked of the producer's records are durable, the last of them at
 * @offset (-1: it was not told); @written were appended. @start, @durable and
 * @end are what STAT said before the mark was written.
 */
struct crash_mark {
	uint64_t magic;
	uint16_t boot;
	uint16_t producer;
	uint32_t count;
	uint32_t sum;
	uint32_t pad;
	struct crash_mark_part {
		int64_t acked;
		int64_t offset;
		int64_t written;
		int64_t start;
		int64_t durable;
		int64_t end;
	} part[CRASH_PARTS];
};

#define CRASH_MARK	0x314b52414d455645ULL	/* "EVEMARK1" */

/* The records of one run in the order in which readers saw them, as they are stored. */
struct crash_entry {
	uint16_t boot;
	uint16_t producer;
	uint32_t seq;
};

static inline void crash_make(void *buf, uint32_t len, unsigned int boot, unsigned int producer,
			      unsigned int partition, uint32_t seq)
{
	struct crash_head h = {
		.magic = CRASH_MAGIC, .boot = boot, .producer = producer,
		.partition = partition, .seq = seq, .len = len,
	};
	unsigned int mix = seq * 2654435761U + producer * 40503 + partition * 977 + boot;
	unsigned char *p = buf;
	uint32_t i;

	for (i = sizeof(h); i < len; i++)
		p[i] = (i + (i >> 8) * 7 + mix) ^ (mix >> 13);
	memcpy(buf, &h, sizeof(h));
	h.sum = evs_crc32c(0, buf, len);
	memcpy(buf, &h, sizeof(h));
}

/* False: torn, cut, or not a record of ours. */
static inline bool crash_valid(const void *buf, size_t len, struct crash_head *h)
{
	static const uint32_t zero;
	size_t at = offsetof(struct crash_head, sum);
	uint32_t sum;

	if (len < sizeof(*h))
		return false;
	memcpy(h, buf, sizeof(*h));
	if (h->magic != CRASH_MAGIC || h->len != len)
		return false;
	sum = evs_crc32c(0, buf, at);
	sum = evs_crc32c(sum, &zero, sizeof(zero));
	sum = evs_crc32c(sum, (const char *)buf + at + 4, len - at - 4);
	return sum == h->sum;
}

static inline uint32_t crash_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* Mostly small; some fill pages, a few do not fit a folio. */
static inline uint32_t crash_size(uint64_t *state)
{
	uint32_t r = crash_random(state) % 64, top = r ? r < 8 ? 6000 : 500 : 40000;

	return sizeof(struct crash_head) + crash_random(state) % top;
}

static inline int crash_open(const char *topic, unsigned int part, int flags)
{
	char path[300];

	snprintf(path, sizeof(path), "/dev/stream/%s/%u", topic, part);
	return open(path, flags | O_CLOEXEC);
}

/* An option that both programs have; false: @opt is none of them. */
static inline bool crash_option(int opt, const char **folder, const char **topic,
				unsigned int *parts)
{
	switch (opt) {
	case 'd':
		*folder = optarg;
		return true;
	case 't':
		*topic = optarg;
		return true;
	case 'p':
		*parts = atoi(optarg);
		return true;
	default:
		return false;
	}
}

static inline int crash_stat(int fd, unsigned int partition, struct evstream_stat *st)
{
	memset(st, 0, sizeof(*st));
	st->partition = partition;
	return ioctl(fd, EVSTREAM_IOC_STAT, st) ? -errno : 0;
}

#endif /* CRASH_H */
