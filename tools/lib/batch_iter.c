// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Walk batches in memory, and the headers of a record. */
#include <errno.h>

#include "parse.h"

void evs_batch_iter_init(struct evs_batch_iter *it, const void *buf, size_t len,
			 unsigned int flags)
{
	memset(it, 0, sizeof(*it));
	it->next = buf;
	it->end = it->next + len;
	it->flags = flags;
}

/* Return: 1: it->batch has records; or as evs_batch_iter_next(). */
static int next_batch(struct evs_batch_iter *it)
{
	for (;;) {
		size_t room = (size_t)(it->end - it->next);
		const u8 *batch = it->next;
		u32 length;

		if (room < EVS_BATCH_PREFIX)
			return 0;
		length = PARSE_FIELD((uintptr_t)batch, 32, length);
		/* Zeroes are a tail that was not written, not a batch. */
		if (!length)
			return 0;
		if (length < EVS_BATCH_HEADER - EVS_BATCH_PREFIX ||
		    length > S32_MAX - EVS_BATCH_PREFIX) {
			it->end = batch;
			return -EBADMSG;
		}
		if (length > room - EVS_BATCH_PREFIX)
			return 0;
		it->next += length + EVS_BATCH_PREFIX;
		if (!parse_header((uintptr_t)batch, room, &it->batch))
			return -EBADMSG;
		if (it->flags & EVS_ITER_CRC &&
		    PARSE_FIELD((uintptr_t)batch, 32, crc) !=
		    evs_crc32c(0, batch + EVS_BATCH_CRC_FROM, it->batch.size - EVS_BATCH_CRC_FROM))
			return -EBADMSG;
		if (it->batch.attributes & EVS_ATTR_CONTROL || !it->batch.count)
			continue;
		if (it->batch.attributes & EVS_ATTR_CODEC)
			return -EOPNOTSUPP;
		it->record = batch + EVS_BATCH_HEADER;
		it->batch_end = it->next;
		it->left = it->batch.count;
		return 1;
	}
}

int evs_batch_iter_next(struct evs_batch_iter *it, struct evs_record *rec)
{
	uintptr_t at;
	int ret;

	if (!it->left) {
		ret = next_batch(it);
		if (ret <= 0)
			return ret;
	}
	at = (uintptr_t)it->record;
	if (!parse_record(&at, (uintptr_t)it->batch_end, &it->batch, rec)) {
		it->left = 0;
		return -EBADMSG;
	}
	it->record = (const u8 *)at;
	it->left--;
	return 1;
}

const struct evs_batch *evs_batch_iter_batch(const struct evs_batch_iter *it)
{
	return &it->batch;
}

size_t evs_batch_iter_rest(const struct evs_batch_iter *it)
{
	return (size_t)(it->end - it->next);
}

void evs_header_first(struct evs_header_iter *it, const struct evs_record *rec)
{
	it->p = rec->headers;
	it->end = it->p ? it->p + rec->headers_len : NULL;
	it->left = it->p ? rec->headers_count : 0;
}

int evs_header_next(struct evs_header_iter *it, struct evs_header *header)
{
	uintptr_t p = (uintptr_t)it->p, end = (uintptr_t)it->end;
	struct evs_header h;

	if (!it->left)
		return p == end ? 0 : -EBADMSG;
	if (!parse_length(&p, end, 0, &h.key_len))
		return -EBADMSG;
	h.key = (const void *)p;
	p += (u32)h.key_len;
	if (!parse_length(&p, end, -1, &h.value_len))
		return -EBADMSG;
	h.value = h.value_len < 0 ? NULL : (const void *)p;
	p += h.value_len < 0 ? 0 : (u32)h.value_len;
	it->p = (const u8 *)p;
	it->left--;
	*header = h;
	return 1;
}
