// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Fuzz target: libevstream's reader on a log of any bytes, which goes on, is dropped
 * and dies as the input says. The log ends where its last page does: what is read
 * behind it is a SIGBUS.
 */
#include "../../kmod/batch.h"
#include "fakelog.h"
#include "fuzz.h"

#define PAGE		4096u
#define MAX_RECORD	4096
#define LARGEST		60000

static uint64_t seek_end;

/* Where the kernel would go, but for offsets: to the oldest record or behind the last. */
static int any_seek(int fd, struct evstream_seek *seek)
{
	(void)fd;
	if (fake.ctl->flags & EVSTREAM_CTL_DEAD)
		return -ENODEV;
	seek->position = fake.ctl->start_position;
	seek->offset = (int64_t)fake.ctl->start_offset;
	if (seek->whence == EVSTREAM_SEEK_LATEST) {
		seek->position = seek_end;
		seek->offset = (int64_t)fake.ctl->end_offset;
	} else if (seek->whence == EVSTREAM_SEEK_OFFSET) {
		seek->offset = seek->value;
	}
	return 0;
}

static void in_log(const struct evs_reader *r, const void *p, int64_t len)
{
	uint64_t pos = (uintptr_t)p + r->delta;

	if (!p || len <= 0)
		return;
	/* Also what was dropped, or is of a dead topic, can be touched. */
	fuzz_touch(p, len);
	FUZZ_CHECK(pos + (uint64_t)len <= seek_end);
	FUZZ_CHECK(!evs_reader_valid(r) || pos >= fake.ctl->start_position);
}

static void look_at(struct evs_reader *r, const struct evs_record *rec)
{
	struct evs_header_iter headers;
	struct evs_batch batch;
	struct evs_header h;

	in_log(r, rec->key, rec->key_len);
	in_log(r, rec->value, rec->value_len);
	in_log(r, rec->headers, rec->headers_len);
	evs_header_first(&headers, rec);
	while (evs_header_next(&headers, &h) == 1) {
		in_log(r, h.key, h.key_len);
		in_log(r, h.value, h.value_len);
	}
	if (!evs_reader_batch(r, &batch))
		in_log(r, batch.data, batch.size);
}

static void make_log(uint64_t start, uint64_t end, unsigned int shift, const void *data)
{
	fake_new(end, 0);
	if (pwrite(fake.fd, data, (size_t)(end - start),
		   (off_t)(EVSTREAM_MMAP_LOG + start)) != (ssize_t)(end - start))
		abort();
	fake.ctl->segment_shift = shift;
	fake.ctl->start_position = start;
	seek_end = end;
}

/* Until there is nothing more, which must come. Return: as the last call. */
static int read_all(struct evs_reader *r, size_t most)
{
	struct evs_record rec;
	size_t n = 0;
	int ret;

	while ((ret = evs_reader_next(r, &rec)) && ret != -ENODEV) {
		FUZZ_CHECK(ret == 1 || ret == -EBADMSG || ret == -EOPNOTSUPP || ret == -EPIPE);
		if (ret == 1)
			look_at(r, &rec);
		/* A record has seven bytes at least, a batch that tells of an error more. */
		FUZZ_CHECK(n++ <= most);
	}
	return ret;
}

static void any_bytes(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	unsigned int shift = 12 + fuzz_u8(&in) % 6;
	uint64_t end, start, first = 0;
	uint8_t ops[6], seg = fuzz_u8(&in);
	struct evs_reader *r;
	size_t i, most;

	for (i = 0; i < sizeof(ops); i++)
		ops[i] = fuzz_u8(&in);
	end = (64 + seg + in.left / PAGE) * PAGE;
	start = end - in.left;
	make_log(start, end, shift, in.p);
	/* What comes later is there already, as it is in a page. */
	if (ops[0] & 1)
		first = in.left / 2;
	fake.ctl->end_position = end - first;
	seek_end = end - first;
	r = fake_reader(ops[0] & 2 ? EVS_READER_LATEST : 0, any_seek, ops[0] & 4 ? 1 << 17 : 0);
	FUZZ_CHECK(r);
	most = in.left + 64;
	for (i = 1; i < sizeof(ops); i++) {
		struct evs_record rec;
		uint32_t n = ops[i] >> 4;

		while (n-- && evs_reader_next(r, &rec) == 1)
			look_at(r, &rec);
		switch (ops[i] & 7) {
		case 0:
			seek_end = end;
			__atomic_store_n(&fake.ctl->end_position, end, __ATOMIC_RELEASE);
			break;
		case 1:
			/* The oldest half of what there is turns to zeroes. */
			start += (seek_end - start) / 2;
			__atomic_store_n(&fake.ctl->start_position, start, __ATOMIC_SEQ_CST);
			fake.ctl->start_offset += n + 5;
			if (fallocate(fake.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)EVSTREAM_MMAP_LOG, (off_t)start))
				abort();
			break;
		case 2:
			evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, ops[i] >> 3);
			break;
		case 3:
			evs_reader_seek(r, EVSTREAM_SEEK_LATEST, 0);
			break;
		case 4:
			evs_reader_pending(r);
			evs_reader_arm(r);
			break;
		case 5:
			read_all(r, most);
			break;
		case 6:
			if (i == 5)
				fake.ctl->flags |= EVSTREAM_CTL_DEAD;
			break;
		default:
			break;
		}
	}
	read_all(r, most);
	evs_reader_close(r);
}

/* A log of good batches is read as the same bytes in memory are. */
static void good_batches(const uint8_t *data, size_t size)
{
	uint8_t *copy = fuzz_copy(data, size);
	const uint64_t end = 17ULL << 16;
	struct evs_record rec, other;
	struct evs_batch_info info;
	struct evs_batch_iter it;
	struct evs_reader *r;
	uint64_t offset = 0;
	size_t at = 0;

	while (at + EVS_BATCH_HEADER <= size) {
		struct evs_batch_header *h = (void *)(copy + at);

		if (evs_batch_header_get(h, &info) || info.size > size - at)
			break;
		h->base_offset = cpu_to_be64(offset);
		evs_batch_seal(h, info.size);
		if (evs_batch_check(h, info.size, MAX_RECORD, &info) ||
		    info.attributes & EVS_ATTR_CODEC)
			break;
		offset += info.count;
		at += info.size;
	}
	if (!at) {
		free(copy);
		return;
	}
	make_log(end - at, end, 16, copy);
	fake.ctl->end_position = end;
	fake.ctl->end_offset = offset;
	r = fake_reader(0, any_seek, 0);
	evs_batch_iter_init(&it, copy, at, EVS_ITER_CRC);
	while (evs_batch_iter_next(&it, &rec) == 1) {
		FUZZ_CHECK(evs_reader_next(r, &other) == 1);
		look_at(r, &other);
		FUZZ_CHECK(rec.offset == other.offset && rec.timestamp == other.timestamp);
		FUZZ_CHECK(rec.key_len == other.key_len && rec.value_len == other.value_len);
		FUZZ_CHECK(rec.key_len <= 0 || !memcmp(rec.key, other.key, (size_t)rec.key_len));
		FUZZ_CHECK(rec.value_len <= 0 ||
			   !memcmp(rec.value, other.value, (size_t)rec.value_len));
		FUZZ_CHECK(rec.headers_len == other.headers_len &&
			   rec.headers_count == other.headers_count);
	}
	FUZZ_CHECK(!evs_reader_next(r, &other) && (uint64_t)evs_reader_offset(r) == offset);
	FUZZ_CHECK(evs_reader_position(r) == end && !evs_reader_lost(r, NULL, NULL));
	evs_reader_close(r);
	free(copy);
}

int fuzz_one(const uint8_t *data, size_t size)
{
	if (size < 8 || size > LARGEST)
		return 0;
	any_bytes(data, size);
	good_batches(data + 8, size - 8);
	return 0;
}
