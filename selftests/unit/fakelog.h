/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * A partition's mapping in a memfd: control page and log where a device has them,
 * segments that are dropped become holes. One log at a time.
 */
#ifndef UNIT_FAKELOG_H
#define UNIT_FAKELOG_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/lib/reader.h"
#include "tap.h"

#define FAKE_SHIFT	16
#define FAKE_SEGMENT	(1ULL << FAKE_SHIFT)
#define FAKE_BATCHES	(1 << 17)

struct fake_batch {
	uint64_t position;
	int64_t base_offset;
	int64_t behind;
	int64_t timestamp;
};

static struct {
	int fd;
	struct evstream_ctl *ctl;
	pthread_mutex_t lock;		/* protects what follows */
	int64_t next_offset;
	uint64_t end;
	uint64_t start;
	uint32_t first;
	uint32_t n;
	struct fake_batch batches[FAKE_BATCHES];
} fake = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

static inline void fake_new(uint64_t position, int64_t offset)
{
	if (fake.fd >= 0) {
		munmap(fake.ctl, 4096);
		close(fake.fd);
	}
	fake.fd = memfd_create("log", MFD_CLOEXEC);
	if (fake.fd < 0 || ftruncate(fake.fd, (off_t)(EVSTREAM_MMAP_LOG + position)))
		abort();
	fake.ctl = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fake.fd, 0);
	if (fake.ctl == MAP_FAILED)
		abort();
	fake.next_offset = offset;
	fake.start = position;
	fake.end = position;
	fake.first = 0;
	fake.n = 0;
	*fake.ctl = (struct evstream_ctl){
		.version = 1,
		.segment_shift = FAKE_SHIFT,
		.start_offset = (uint64_t)offset,
		.start_position = position,
		.end_offset = (uint64_t)offset,
		.end_position = position,
	};
}

static inline struct evs_reader *fake_reader(unsigned int flags, evs_seek_fn seek, size_t window)
{
	int fd = dup(fake.fd);
	struct evs_reader *r = evs_reader_attach(fd, flags, seek, window);

	if (!r)
		close(fd);
	return r;
}

/* Appends a batch as the kernel does, with its offset put in; @padding: to leave. */
static inline uint64_t fake_append(void *data, size_t size, uint32_t offsets, int64_t timestamp)
{
	uint64_t left = FAKE_SEGMENT - (fake.end & (FAKE_SEGMENT - 1)), pos;
	uint64_t be = __builtin_bswap64((uint64_t)fake.next_offset);

	pthread_mutex_lock(&fake.lock);
	if (left < size)
		fake.end += left;
	pos = fake.end;
	memcpy(data, &be, 8);
	/* Just so long that a touch behind the last page is a SIGBUS. */
	if (pwrite(fake.fd, data, size, (off_t)(EVSTREAM_MMAP_LOG + pos)) != (ssize_t)size)
		abort();
	if (fake.n == FAKE_BATCHES)
		abort();
	fake.batches[fake.n++] = (struct fake_batch){
		.position = pos,
		.base_offset = fake.next_offset,
		.behind = fake.next_offset + offsets,
		.timestamp = timestamp,
	};
	fake.next_offset += offsets;
	fake.end = pos + size;
	__atomic_store_n(&fake.ctl->end_offset, (uint64_t)fake.next_offset, __ATOMIC_RELAXED);
	__atomic_store_n(&fake.ctl->end_position, fake.end, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&fake.lock);
	return pos;
}

static inline void fake_drop_before(uint64_t pos)
{
	uint64_t from, to = pos & ~4095ULL;

	pthread_mutex_lock(&fake.lock);
	from = fake.start & ~4095ULL;
	while (fake.first < fake.n && fake.batches[fake.first].position < pos)
		fake.first++;
	fake.start = pos;
	__atomic_store_n(&fake.ctl->start_position, pos, __ATOMIC_SEQ_CST);
	__atomic_store_n(&fake.ctl->start_offset,
			 fake.first < fake.n ? (uint64_t)fake.batches[fake.first].base_offset :
			 (uint64_t)fake.next_offset, __ATOMIC_RELEASE);
	if (to > from && fallocate(fake.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)(EVSTREAM_MMAP_LOG + from), (off_t)(to - from)))
		abort();
	pthread_mutex_unlock(&fake.lock);
}

static inline int fake_seek(int fd, struct evstream_seek *seek)
{
	uint32_t i;

	(void)fd;
	pthread_mutex_lock(&fake.lock);
	if (__atomic_load_n(&fake.ctl->flags, __ATOMIC_RELAXED) & EVSTREAM_CTL_DEAD) {
		pthread_mutex_unlock(&fake.lock);
		return -ENODEV;
	}
	seek->position = fake.end;
	seek->offset = fake.next_offset;
	i = seek->whence == EVSTREAM_SEEK_LATEST ? fake.n : fake.first;
	if (seek->whence == EVSTREAM_SEEK_TIMESTAMP)
		while (i < fake.n && fake.batches[i].timestamp < seek->value)
			i++;
	if (seek->whence == EVSTREAM_SEEK_OFFSET)
		while (i < fake.n && fake.batches[i].behind <= seek->value)
			i++;
	if (i < fake.n) {
		seek->position = fake.batches[i].position;
		seek->offset = fake.batches[i].base_offset;
	}
	if (seek->whence == EVSTREAM_SEEK_OFFSET)
		seek->offset = seek->value;
	pthread_mutex_unlock(&fake.lock);
	return 0;
}

#endif /* UNIT_FAKELOG_H */
