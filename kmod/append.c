// SPDX-License-Identifier: GPL-2.0
/*
 * Append: reserve, fill, publish.
 *
 * A reservation is made and published under the partition's lock. Between the
 * two, its owner fills it under no lock at all, and without faulting: what
 * small appends bring is copied from the user before, what large ones bring is
 * copied with page faults disabled, and where that fails the reservation is
 * given back and the bytes are brought into the kernel first. So whoever waits
 * for a reservation waits for a processor at the most, never for a user.
 */
#include <linux/crc32c.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/unaligned.h>
#include <linux/evstream.h>

#include "internal.h"
#include "partition.h"
#include "trace.h"

/* Segment's and index' share of a reservation. */
static void evs_index_batch(struct evs_partition *p, struct evs_reservation *r, s64 newest)
{
	struct evs_segment *s = p->segment;

	lockdep_assert_held(&p->lock);
	r->newest = s->newest;
	r->newest_so_far = s->newest_so_far;
	r->newest_ever = p->newest;
	r->next_entry = s->next_entry;
	r->entry = r->pos >= s->next_entry;
	if (r->entry) {
		u32 n = s->entries;
		struct evs_index_entry *e = s->chunk[n / EVS_INDEX_CHUNK] + n % EVS_INDEX_CHUNK;

		WRITE_ONCE(e->offset, r->offset - s->offset);
		WRITE_ONCE(e->pos, r->pos - s->pos);
		WRITE_ONCE(e->before, s->newest);
		s->next_entry = r->pos + EVS_INDEX_INTERVAL;
		/* Pairs with the acquire in evs_index_search(). */
		smp_store_release(&s->entries, n + 1);
	}
	if (newest > s->newest)
		WRITE_ONCE(s->newest, newest);
	if (newest > p->newest) {
		p->newest = newest;
		WRITE_ONCE(s->newest_so_far, newest);
	}
}

/*
 * Reserves @size bytes and @count offsets. @newest is the batch's newest
 * timestamp, -1: the append time, which is the clock's but never goes back.
 */
static int evs_reserve(struct evs_partition *p, struct evs_reservation *r, u32 size,
		       u32 count, s64 newest, unsigned int flags)
{
	s64 now = div_u64(ktime_get_real_ns(), NSEC_PER_MSEC);
	int ret;

	for (;;) {
		spin_lock(&p->lock);
		if (likely(p->room - p->next_pos >= size))
			break;
		spin_unlock(&p->lock);
		ret = evs_make_room(p, size, flags);
		if (ret)
			return ret;
	}
	if (now < p->last_append)
		now = p->last_append;
	else
		p->last_append = now;
	r->timestamp = now;
	r->pos = p->next_pos;
	r->own_end = r->pos + size;
	r->end = r->own_end;
	r->offset = p->next_offset;
	r->own_end_offset = r->offset + count;
	r->end_offset = r->own_end_offset;
	WRITE_ONCE(p->next_pos, r->end);
	p->next_offset = r->end_offset;
	p->bytes += size;
	evs_index_batch(p, r, newest < 0 ? now : newest);

	if (unlikely(r->pos - p->tail_base >= p->tail_end - p->tail_base))
		p->tail = evs_log_addr(&p->log, r->pos, &p->tail_base, &p->tail_end);
	r->addr = r->own_end <= p->tail_end ? p->tail + (r->pos - p->tail_base) : NULL;
	list_add_tail(&r->node, &p->resv);
	spin_unlock(&p->lock);
	return 0;
}

/**
 * evs_reservation_publish() - a reservation is filled
 * @p: the partition
 * @r: the reservation; nobody refers to it afterwards
 *
 * Moves the high watermark if nothing before it is still being filled. Else
 * whoever fills the one before it publishes it too.
 */
void evs_reservation_publish(struct evs_partition *p, struct evs_reservation *r)
{
	spin_lock(&p->lock);
	if (likely(p->resv.next == &r->node)) {
		/* Pairs with the acquire in evs_vma_fault(). */
		smp_store_release(&p->end_pos, r->end);
		/* Pairs with the acquires in read.c. */
		smp_store_release(&p->end_offset, r->end_offset);
		if (p->ctl) {
			WRITE_ONCE(p->ctl->end_offset, r->end_offset);
			/* Pairs with the consumer's acquire. */
			smp_store_release(&p->ctl->end_position, r->end);
		}
	} else {
		struct evs_reservation *before = list_prev_entry(r, node);

		before->end = r->end;
		before->end_offset = r->end_offset;
	}
	list_del(&r->node);
	spin_unlock(&p->lock);
	evs_partition_wake(p);
}

/* Publishes, and waits until it is visible. */
static int evs_publish(struct evs_partition *p, struct evs_reservation *r, u32 count)
{
	u64 end = r->own_end_offset;

	trace_evstream_append(p->topic_id, p->number, r->offset, count,
			      r->own_end - r->pos);
	evs_reservation_publish(p, r);
	if (unlikely(READ_ONCE(p->end_offset) < end))
		/* It is appended whether or not a dying producer waits for it. */
		wait_event_killable(p->wait, READ_ONCE(p->end_offset) >= end);
	return 0;
}

static void evs_fill_hole(struct evs_partition *p, struct evs_reservation *r)
{
	u32 size = r->own_end - r->pos, crc;
	u8 header[EVS_BATCH_HEADER];

	evs_batch_hole(header, r->offset, size, r->own_end_offset - r->offset, r->timestamp);
	evs_log_write(&p->log, r->pos, header, sizeof(header));
	crc = ~evs_log_crc(&p->log, ~0U, r->pos + EVS_BATCH_CRC_FROM, size - EVS_BATCH_CRC_FROM);
	put_unaligned_be32(crc, header);
	evs_log_write(&p->log, r->pos + offsetof(struct evs_batch_header, crc), header, 4);
}

/*
 * Gives a reservation back. The last one is as if it had never been; another
 * one becomes a batch that consumers skip.
 */
static void evs_abort(struct evs_partition *p, struct evs_reservation *r)
{
	struct evs_segment *s;

	/* What was copied so far is nobody's to see. */
	evs_log_zero(&p->log, r->pos, r->own_end - r->pos);
	spin_lock(&p->lock);
	s = p->segment;
	if (list_is_last(&r->node, &p->resv) && p->next_pos == r->own_end &&
	    s && r->pos >= s->pos) {
		WRITE_ONCE(p->next_pos, r->pos);
		p->next_offset = r->offset;
		p->bytes -= r->own_end - r->pos;
		p->newest = r->newest_ever;
		WRITE_ONCE(s->newest, r->newest);
		WRITE_ONCE(s->newest_so_far, r->newest_so_far);
		s->next_entry = r->next_entry;
		if (r->entry)
			smp_store_release(&s->entries, s->entries - 1);
		list_del(&r->node);
		spin_unlock(&p->lock);
		/* Who waits for all reservations to be published has one less. */
		evs_partition_wake(p);
		return;
	}
	p->holes++;
	spin_unlock(&p->lock);
	evs_fill_hole(p, r);
	evs_reservation_publish(p, r);
}

/* A place in a reservation that bytes are written to one after the other. */
struct evs_writer {
	struct evs_log *log;
	u64 pos;
	u8 *addr;
};

static void evs_put(struct evs_writer *w, const void *src, size_t len)
{
	if (likely(w->addr)) {
		memcpy(w->addr, src, len);
		w->addr += len;
	} else {
		evs_log_write(w->log, w->pos, src, len);
		w->pos += len;
	}
}

/* The batch's CRC, over what lies in the log: header and records. */
static void evs_seal_batch(struct evs_partition *p, struct evs_reservation *r)
{
	u32 size = r->own_end - r->pos;

	if (likely(r->addr)) {
		evs_batch_seal(r->addr, size);
	} else {
		u32 crc = ~evs_log_crc(&p->log, ~0U, r->pos + EVS_BATCH_CRC_FROM,
				       size - EVS_BATCH_CRC_FROM);
		__be32 be = cpu_to_be32(crc);

		evs_log_write(&p->log, r->pos + offsetof(struct evs_batch_header, crc),
			      &be, sizeof(be));
	}
}

/* Bytes of a batch of one keyless record. */
static u32 evs_single_size(u32 len)
{
	return EVS_BATCH_HEADER + evs_record_size(0, 0, -1, len, 0, 0);
}

/* Header and record up to the value of a batch of one keyless record. */
static u32 evs_single_head(u8 *p, const struct evs_reservation *r, u32 len)
{
	struct evs_batch_info info = {
		.base_offset = r->offset,
		.size = r->own_end - r->pos,
		.attributes = EVS_ATTR_APPEND_TIME,
		.count = 1,
		.base_timestamp = r->timestamp,
		.max_timestamp = r->timestamp,
	};
	u8 *q = p + EVS_BATCH_HEADER;

	evs_batch_header_put(p, &info);
	q = evs_record_head_put(q, evs_record_body(0, 0, -1, len, 0, 0), 0, 0, -1);
	q = evs_varint_put(q, len);
	return q - p;
}

/* What comes before the value of a batch of one at the most. */
#define EVS_SINGLE_HEAD	(EVS_BATCH_HEADER + EVS_RECORD_HEAD + EVS_VARINT)

/**
 * evs_append_small() - append one record out of kernel memory
 * @p: the partition
 * @value: its value
 * @len: bytes
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 *
 * Return: 0; -EMSGSIZE: no segment holds it; what evs_make_room() returns.
 */
int evs_append_small(struct evs_partition *p, const void *value, u32 len, unsigned int flags)
{
	u32 size = evs_single_size(len);
	struct evs_reservation r;
	int ret;

	if (unlikely(size > 1UL << p->log.shift))
		return -EMSGSIZE;
	ret = evs_reserve(p, &r, size, 1, -1, flags);
	if (ret)
		return ret;
	if (likely(r.addr)) {
		u8 *at = r.addr + evs_single_head(r.addr, &r, len);

		memcpy(at, value, len);
		at[len] = 0;		/* no headers */
	} else {
		struct evs_writer w = { .log = &p->log, .pos = r.pos };
		u8 head[EVS_SINGLE_HEAD];

		evs_put(&w, head, evs_single_head(head, &r, len));
		evs_put(&w, value, len);
		evs_put(&w, "", 1);
	}
	evs_seal_batch(p, &r);
	return evs_publish(p, &r, 1);
}

/* One try without faulting; -EFAULT: a page was not there, nothing is appended. */
static int evs_append_direct(struct evs_partition *p, struct iov_iter *from, u32 len,
			     unsigned int flags)
{
	struct evs_writer w = { .log = &p->log };
	u8 head[EVS_SINGLE_HEAD];
	struct evs_reservation r;
	u32 n;
	int ret;

	ret = evs_reserve(p, &r, evs_single_size(len), 1, -1, flags);
	if (ret)
		return ret;
	n = evs_single_head(head, &r, len);
	w.pos = r.pos;
	evs_put(&w, head, n);
	if (evs_log_write_iter(&p->log, r.pos + n, from, len) != len) {
		evs_abort(p, &r);
		return -EFAULT;
	}
	w.pos += len;
	evs_put(&w, "", 1);
	evs_seal_batch(p, &r);
	return evs_publish(p, &r, 1);
}

/**
 * evs_append_iter() - append one record out of user memory
 * @p: the partition
 * @from: its value; advanced
 * @len: bytes
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 *
 * Return: 0; -EFAULT; -EMSGSIZE: no segment holds it; what evs_make_room()
 * returns.
 */
int evs_append_iter(struct evs_partition *p, struct iov_iter *from, u32 len,
		    unsigned int flags)
{
	struct iov_iter again = *from;
	void *copy;
	int ret;

	if (evs_single_size(len) > 1UL << p->log.shift)
		return -EMSGSIZE;
	if (fault_in_iov_iter_readable(from, len))
		return -EFAULT;
	ret = evs_append_direct(p, from, len, flags);
	if (ret != -EFAULT)
		return ret;
	/* Reclaimed or unmapped since: bring it in, however long that takes. */
	if (flags & EVS_NOWAIT)
		return -EAGAIN;
	*from = again;
	copy = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	ret = copy_from_iter_full(copy, len, from) ?
	      evs_append_small(p, copy, len, flags) : -EFAULT;
	kvfree(copy);
	return ret;
}

/* Timestamps of a batch. */
struct evs_times {
	bool append;		/* the append time is every record's */
	s64 base;
	s64 newest;
};

static struct evs_times evs_sources_times(const struct evs_source *src, u32 n, s64 now)
{
	struct evs_times t = { .append = true, .newest = S64_MIN };
	u32 i;

	for (i = 0; i < n; i++)
		if (src[i].timestamp >= 0)
			t.append = false;
	if (t.append) {
		t.base = -1;
		t.newest = -1;
		return t;
	}
	t.base = src[0].timestamp >= 0 ? src[0].timestamp : now;
	for (i = 0; i < n; i++)
		t.newest = max(t.newest, src[i].timestamp >= 0 ? src[i].timestamp : now);
	return t;
}

static s64 evs_source_delta(const struct evs_source *src, const struct evs_times *t, s64 now)
{
	if (t->append)
		return 0;
	return (src->timestamp >= 0 ? src->timestamp : now) - t->base;
}

static u64 evs_sources_bytes(const struct evs_source *src, u32 n, const struct evs_times *t,
			     s64 now)
{
	u64 size = EVS_BATCH_HEADER;
	u32 i;

	for (i = 0; i < n; i++)
		size += evs_record_size(evs_source_delta(&src[i], t, now), i, src[i].key_len,
					src[i].value_len, src[i].headers_count,
					src[i].headers_len);
	return size;
}

/**
 * evs_append_sources() - append records out of kernel memory as one batch
 * @p: the partition
 * @src: the records
 * @n: how many, at least 1
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 * @offset: the first one's offset, out
 *
 * Return: 0; -EMSGSIZE: no segment holds them; what evs_make_room() returns.
 */
int evs_append_sources(struct evs_partition *p, const struct evs_source *src, u32 n,
		       unsigned int flags, u64 *offset)
{
	s64 now = ktime_to_ms(ktime_get_real());
	struct evs_times t = evs_sources_times(src, n, now);
	u64 size = evs_sources_bytes(src, n, &t, now);
	struct evs_batch_info info = { .last_delta = n - 1, .count = n };
	struct evs_writer w = { .log = &p->log };
	u8 buf[EVS_SINGLE_HEAD], *q;
	struct evs_reservation r;
	u32 i;
	int ret;

	if (size > 1UL << p->log.shift)
		return -EMSGSIZE;
	ret = evs_reserve(p, &r, size, n, t.newest, flags);
	if (ret)
		return ret;
	*offset = r.offset;
	info.base_offset = r.offset;
	info.size = size;
	info.attributes = t.append ? EVS_ATTR_APPEND_TIME : 0;
	info.base_timestamp = t.append ? r.timestamp : t.base;
	info.max_timestamp = t.append ? r.timestamp : t.newest;
	w.pos = r.pos;
	w.addr = r.addr;
	evs_batch_header_put(buf, &info);
	evs_put(&w, buf, EVS_BATCH_HEADER);
	for (i = 0; i < n; i++) {
		const struct evs_source *s = &src[i];
		s64 delta = evs_source_delta(s, &t, now);
		u32 body = evs_record_body(delta, i, s->key_len, s->value_len,
					   s->headers_count, s->headers_len);

		q = evs_record_head_put(buf, body, delta, i, s->key_len);
		if (s->key_len > 0) {
			evs_put(&w, buf, q - buf);
			evs_put(&w, s->key, s->key_len);
			q = buf;
		}
		q = evs_varint_put(q, s->value_len);
		evs_put(&w, buf, q - buf);
		if (s->value_len > 0)
			evs_put(&w, s->value, s->value_len);
		q = evs_varint_put(buf, s->headers_count);
		evs_put(&w, buf, q - buf);
		if (s->headers_len)
			evs_put(&w, s->headers, s->headers_len);
	}
	evs_seal_batch(p, &r);
	return evs_publish(p, &r, n);
}

/**
 * evs_append_batch() - append a batch that a client built
 * @p: the partition
 * @batch: checked by evs_batch_check(), in kernel memory
 * @info: its header
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 * @offset: the first record's offset, out
 *
 * Return: 0; -EMSGSIZE: no segment holds it; what evs_make_room() returns.
 */
int evs_append_batch(struct evs_partition *p, const void *batch,
		     const struct evs_batch_info *info, unsigned int flags, u64 *offset)
{
	struct evs_reservation r;
	struct evs_writer w = { .log = &p->log };
	const u32 rest = offsetof(struct evs_batch_header, magic);
	u8 head[offsetof(struct evs_batch_header, magic)];
	int ret;

	if (info->size > 1UL << p->log.shift)
		return -EMSGSIZE;
	ret = evs_reserve(p, &r, info->size, info->last_delta + 1, info->max_timestamp, flags);
	if (ret)
		return ret;
	*offset = r.offset;
	put_unaligned_be64(r.offset, head);
	put_unaligned_be32(info->size - EVS_BATCH_PREFIX, head + 8);
	put_unaligned_be32(0, head + EVS_BATCH_PREFIX);
	w.pos = r.pos;
	w.addr = r.addr;
	evs_put(&w, head, rest);
	evs_put(&w, batch + rest, info->size - rest);
	return evs_publish(p, &r, info->count);
}

/**
 * evs_append_lines() - append lines as one batch
 * @p: the partition
 * @lines: whole lines, each with its newline
 * @len: bytes, at least 1
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 * @taken: bytes of those that one segment holds, out
 *
 * Return: 0; -EMSGSIZE: no segment holds the first one; what evs_make_room()
 * returns.
 */
int evs_append_lines(struct evs_partition *p, const u8 *lines, u32 len, unsigned int flags,
		     u32 *taken)
{
	struct evs_batch_info info = { .attributes = EVS_ATTR_APPEND_TIME };
	u64 size = EVS_BATCH_HEADER, max = 1ULL << p->log.shift;
	struct evs_writer w = { .log = &p->log };
	u8 buf[EVS_SINGLE_HEAD], *q;
	const u8 *line, *nl, *end;
	struct evs_reservation r;
	u32 i, n = 0;
	int ret;

	for (line = lines, end = lines + len; line < end; line = nl + 1) {
		u32 more;

		nl = memchr(line, '\n', end - line);
		more = evs_record_size(0, n, -1, nl - line, 0, 0);
		if (size + more > max)
			break;
		size += more;
		n++;
	}
	if (!n)
		return -EMSGSIZE;
	end = line;
	ret = evs_reserve(p, &r, size, n, -1, flags);
	if (ret)
		return ret;
	*taken = end - lines;
	info.base_offset = r.offset;
	info.size = size;
	info.last_delta = n - 1;
	info.count = n;
	info.base_timestamp = r.timestamp;
	info.max_timestamp = r.timestamp;
	w.pos = r.pos;
	w.addr = r.addr;
	evs_batch_header_put(buf, &info);
	evs_put(&w, buf, EVS_BATCH_HEADER);
	for (line = lines, i = 0; i < n; line = nl + 1, i++) {
		u32 body;

		nl = memchr(line, '\n', end - line);
		body = evs_record_body(0, i, -1, nl - line, 0, 0);
		q = evs_record_head_put(buf, body, 0, i, -1);
		q = evs_varint_put(q, nl - line);
		evs_put(&w, buf, q - buf);
		evs_put(&w, line, nl - line);
		evs_put(&w, "", 1);
	}
	evs_seal_batch(p, &r);
	return evs_publish(p, &r, n);
}
