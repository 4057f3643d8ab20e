// SPDX-License-Identifier: GPL-2.0
/*
 * Append: reserve, fill, publish.
 *
 * A reservation is made and published under the partition's lock. Between the
 * two, its owner fills it under no lock at all, and without faulting: the user's
 * pages are brought in before and copied with page faults disabled. Where one is
 * gone again, the reservation is given back and the bytes come into the kernel
 * first. So whoever waits for a reservation waits for a processor at the most,
 * never for a user.
 */
#include <linux/instrumented.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/unaligned.h>
#include <linux/evstream.h>

#include "compat.h"
#include "internal.h"
#include "partition.h"
#include "trace.h"

static noinline void evs_next_tail(struct evs_partition *p, u64 pos)
{
	p->tail = evs_log_addr(&p->log, pos, &p->tail_base, &p->tail_end);
}

static s64 evs_now(void)
{
	return div_u64(ktime_get_real_ns(), NSEC_PER_MSEC);
}

/*
 * Reading the clock is a tenth of what a small append may cost, and its
 * milliseconds are good for as many cycles. Where the cycles cannot be trusted,
 * it is read each time.
 */
#ifdef CONFIG_X86_TSC
static u32 evs_cycles_per_ms(void)
{
	return check_tsc_unstable() ? 0 : tsc_khz;
}
#else
static u32 evs_cycles_per_ms(void)
{
	return 0;
}
#endif

static noinline void evs_stamp(struct evs_partition *p, u64 cycles)
{
	u32 into;
	s64 now = div_u64_rem(ktime_get_real_ns(), NSEC_PER_MSEC, &into);

	p->last_append = max(now, p->last_append);
	p->stamp_from = cycles;
	p->stamp_for = mul_u64_u32_div(evs_cycles_per_ms(), NSEC_PER_MSEC - into, NSEC_PER_MSEC);
}

/* The append time: the clock's, but it never goes back. */
static __always_inline s64 evs_append_time(struct evs_partition *p)
{
	u64 cycles = get_cycles();

	if (unlikely(cycles - p->stamp_from >= p->stamp_for))
		evs_stamp(p, cycles);
	return p->last_append;
}

/*
 * Reserves @size bytes and @count offsets, if there is room. @newest is the
 * batch's newest timestamp, -1: the append time.
 */
static __always_inline bool evs_try_reserve(struct evs_partition *p, struct evs_reservation *r,
					    u32 size, u32 count, s64 newest)
{
	u64 pos, end;

	spin_lock(&p->lock);
	pos = p->next_pos;
	if (unlikely(p->room - pos < size)) {
		spin_unlock(&p->lock);
		return false;
	}
	end = pos + size;
	r->timestamp = evs_append_time(p);
	r->pos = pos;
	r->end = end;
	r->size = size;
	r->count = count;
	r->offset = p->next_offset;
	r->end_offset = r->offset + count;
	p->next_offset = r->end_offset;
	WRITE_ONCE(p->next_pos, end);
	evs_segment_index(p->segment, p->index, pos, r->offset, count - 1,
			  newest < 0 ? r->timestamp : newest);
	if (unlikely(pos >= p->tail_end))
		evs_next_tail(p, pos);
	r->addr = likely(end <= p->tail_end) ? p->tail + (pos - p->tail_base) : NULL;
	hlist_add_head(&r->node, &p->resv);
	spin_unlock(&p->lock);
	return true;
}

static noinline int evs_reserve(struct evs_partition *p, struct evs_reservation *r, u32 size,
				u32 count, s64 newest, unsigned int flags)
{
	int ret;

	while (!evs_try_reserve(p, r, size, count, newest)) {
		ret = evs_make_room(p, size, flags);
		if (ret)
			return ret;
	}
	return 0;
}

/* Whether it is visible now: nothing before it is still being filled. */
static __always_inline bool __evs_publish(struct evs_partition *p, struct evs_reservation *r)
{
	bool oldest;

	spin_lock(&p->lock);
	oldest = !r->node.next;
	if (likely(oldest)) {
		/* Pairs with the acquire in evs_end_pos(). */
		smp_store_release(&p->end_pos, r->end);
		/* Pairs with the acquire in evs_end_offset(). */
		smp_store_release(&p->end_offset, r->end_offset);
		if (p->ctl) {
			WRITE_ONCE(p->ctl->end_offset, r->end_offset);
			/* Pairs with the consumer's acquire. */
			smp_store_release(&p->ctl->end_position, r->end);
		}
	} else {
		struct evs_reservation *before =
			hlist_entry(r->node.next, struct evs_reservation, node);

		before->end = r->end;
		before->end_offset = r->end_offset;
	}
	__hlist_del(&r->node);
	spin_unlock(&p->lock);
	if (unlikely(p->durable))
		evs_durable_appended(p);
	evs_partition_wake(p);
	return oldest;
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
	__evs_publish(p, r);
}

static noinline void evs_wait_visible(struct evs_partition *p, u64 end)
{
	/* It is appended whether or not a dying producer waits for it. */
	wait_event_killable(p->wait, READ_ONCE(p->end_offset) >= end);
}

/* Publishes, and waits until it is visible. */
static __always_inline void evs_publish(struct evs_partition *p, struct evs_reservation *r)
{
	trace_evstream_append(p->topic_id, p->number, r->offset, r->count, r->size);
	if (unlikely(!__evs_publish(p, r)))
		evs_wait_visible(p, r->offset + r->count);
}

static void evs_fill_hole(struct evs_partition *p, struct evs_reservation *r)
{
	u8 header[EVS_BATCH_HEADER];
	u32 crc;

	evs_batch_hole(header, r->offset, r->size, r->count, r->timestamp);
	evs_log_write(&p->log, r->pos, header, sizeof(header));
	crc = ~evs_log_crc(&p->log, ~0U, r->pos + EVS_BATCH_CRC_FROM,
			   r->size - EVS_BATCH_CRC_FROM);
	put_unaligned_be32(crc, header);
	evs_log_write(&p->log, r->pos + offsetof(struct evs_batch_header, crc), header, 4);
}

/*
 * Gives a reservation back. The last one is as if it had never been, but for
 * its time; another one becomes a batch that consumers skip.
 */
static void evs_abort(struct evs_partition *p, struct evs_reservation *r)
{
	struct evs_segment *s;

	/* What was copied so far is nobody's to see. */
	evs_log_zero(&p->log, r->pos, r->size);
	spin_lock(&p->lock);
	s = p->segment;
	if (p->resv.first == &r->node && p->next_pos == r->pos + r->size &&
	    s && r->pos >= s->pos) {
		WRITE_ONCE(p->next_pos, r->pos);
		p->next_offset = r->offset;
		/* May be of the folio before. */
		p->tail_end = 0;
		/* Its time is not, and which was the newest before is not known. */
		s->inexact = true;
		if (s->next_entry == r->pos + EVS_INDEX_INTERVAL + 1) {
			s->next_entry = r->pos;
			/* Who has seen it looked for nothing that is not published. */
			WRITE_ONCE(p->index->entries, p->index->entries - 1);
		}
		/* Nobody may have it: see evs_partition_kill(). */
		if (evs_refuses(p))
			p->room = p->next_pos;
		__hlist_del(&r->node);
		spin_unlock(&p->lock);
		/* Who waits for all reservations to be published has one less. */
		evs_partition_wake(p);
		return;
	}
	p->holes++;
	spin_unlock(&p->lock);
	/* Its segment cannot go before this is published. */
	rcu_read_lock();
	s = xa_load(&p->segments, r->pos >> p->log.shift);
	WRITE_ONCE(s->inexact, true);
	rcu_read_unlock();
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
static __always_inline void evs_seal_batch(struct evs_partition *p, struct evs_reservation *r)
{
	const size_t at = offsetof(struct evs_batch_header, crc);
	__be32 crc;

	if (likely(r->addr)) {
		crc = cpu_to_be32(~evs_crc32c(~0U, r->addr + EVS_BATCH_CRC_FROM,
					      r->size - EVS_BATCH_CRC_FROM));
		memcpy(r->addr + at, &crc, sizeof(crc));
	} else {
		crc = cpu_to_be32(~evs_log_crc(&p->log, ~0U, r->pos + EVS_BATCH_CRC_FROM,
					       r->size - EVS_BATCH_CRC_FROM));
		evs_log_write(&p->log, r->pos + at, &crc, sizeof(crc));
	}
}

/* What comes before the value of a batch of one at the most. */
#define EVS_SINGLE_HEAD	(EVS_BATCH_HEADER + EVS_RECORD_HEAD + EVS_VARINT)

/*
 * A batch of one keyless record, what a plain write() makes: header, record
 * head, value, no headers. Spelled out, since it is what is done most.
 */
struct evs_single {
	u32 len;	/* of the value */
	u32 body;	/* of the record */
	u32 head;	/* of all before the value */
	u32 size;	/* of the batch */
};

static inline u32 evs_varint32_size(u32 len)
{
	/* Zigzag doubles it; seven bits a byte. */
	if (likely(len < 1 << 6))
		return 1;
	if (likely(len < 1 << 13))
		return 2;
	return len < 1 << 20 ? 3 : len < 1 << 27 ? 4 : 5;
}

static inline void evs_single_init(struct evs_single *s, u32 len)
{
	u32 vl = evs_varint32_size(len);

	s->len = len;
	/* attributes, timestamp delta, offset delta, key length; header count */
	s->body = 4 + vl + len + 1;
	s->head = EVS_BATCH_HEADER + evs_varint32_size(s->body) + 4 + vl;
	s->size = s->head + len + 1;
}

static inline u8 *evs_varint32_put(u8 *p, u32 len)
{
	u32 u = len << 1;

	for (; u >= 0x80; u >>= 7)
		*p++ = (u8)u | 0x80;
	*p++ = (u8)u;
	return p;
}

static inline void evs_single_head(u8 *p, const struct evs_single *s,
				   const struct evs_reservation *r, u32 leader_epoch)
{
	struct evs_batch_info info = {
		.base_offset = r->offset,
		.leader_epoch = leader_epoch,
		.size = s->size,
		.attributes = EVS_ATTR_APPEND_TIME,
		.count = 1,
		.base_timestamp = r->timestamp,
		.max_timestamp = r->timestamp,
	};

	evs_batch_header_put(p, &info);
	p = evs_varint32_put(p + EVS_BATCH_HEADER, s->body);
	*p++ = 0;
	*p++ = 0;
	*p++ = 0;
	*p++ = 1;		/* -1: no key */
	evs_varint32_put(p, s->len);
}

/*
 * Makes it likely that the copy does not fault: what faults is given back, which
 * leaves a hole where others have appended meanwhile.
 */
static __always_inline bool evs_bring_in(const u8 __user *buf, u32 len)
{
	u8 byte;

	if (likely(len - 1 < PAGE_SIZE - offset_in_page(buf))) {
		int ret = __get_user(byte, buf);

		(void)byte;
		return !ret;
	}
	return !fault_in_readable(buf, len);
}

/*
 * Without faulting. The range was checked by vfs_write(), and what is written
 * to is the reservation's own: so not through the checks of copy_from_user().
 */
static __always_inline bool evs_copy_direct(u8 *to, const void __user *from, u32 len)
{
	unsigned long left;

	pagefault_disable();
	instrument_copy_from_user_before(to, from, len);
	left = raw_copy_from_user(to, from, len);
	instrument_copy_from_user_after(to, from, len, left);
	pagefault_enable();
	return !left;
}

static noinline bool evs_fill_pieces(struct evs_partition *p, const struct evs_reservation *r,
				     const struct evs_single *s, struct iov_iter *from)
{
	u8 head[EVS_SINGLE_HEAD];

	evs_single_head(head, s, r, p->leader_epoch);
	evs_log_write(&p->log, r->pos, head, s->head);
	if (evs_log_write_iter(&p->log, r->pos + s->head, from, s->len) != s->len)
		return false;
	evs_log_write(&p->log, r->pos + s->size - 1, "", 1);
	return true;
}

static noinline bool evs_fill_user_pieces(struct evs_partition *p,
					  const struct evs_reservation *r,
					  const struct evs_single *s, const void __user *buf)
{
	struct iov_iter from;

	iov_iter_ubuf(&from, ITER_SOURCE, (void __user *)buf, s->len);
	return evs_fill_pieces(p, r, s, &from);
}

/* Reclaimed or unmapped since: brings it in, however long that takes. */
static noinline int evs_append_again(struct evs_partition *p, struct iov_iter *from, u32 len,
				     unsigned int flags)
{
	void *copy;
	int ret;

	if (flags & EVS_NOWAIT)
		return -EAGAIN;
	copy = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	ret = copy_from_iter_full(copy, len, from) ?
	      evs_append_value(p, copy, len, flags) : -EFAULT;
	kvfree(copy);
	return ret;
}

static noinline ssize_t evs_append_user_again(struct evs_partition *p, const void __user *buf,
					      u32 len, unsigned int flags)
{
	struct iov_iter from;
	int ret;

	iov_iter_ubuf(&from, ITER_SOURCE, (void __user *)buf, len);
	ret = evs_append_again(p, &from, len, flags);
	return ret ? ret : (ssize_t)len;
}

/**
 * evs_append_user() - append one record out of user memory
 * @p: the partition
 * @buf: its value
 * @len: bytes, within the topic's limit: so a segment holds it
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 *
 * Return: @len; -EFAULT; what evs_make_room() returns.
 */
ssize_t evs_append_user(struct evs_partition *p, const void __user *buf, u32 len,
			unsigned int flags)
{
	struct evs_reservation r __uninitialized;
	struct evs_single s __uninitialized;
	bool done;
	int ret;

	if (unlikely(!evs_bring_in(buf, len)))
		return -EFAULT;
	evs_single_init(&s, len);
	if (unlikely(!evs_try_reserve(p, &r, s.size, 1, -1))) {
		ret = evs_reserve(p, &r, s.size, 1, -1, flags);
		if (ret)
			return ret;
	}
	if (likely(r.addr)) {
		evs_single_head(r.addr, &s, &r, p->leader_epoch);
		done = evs_copy_direct(r.addr + s.head, buf, len);
		r.addr[s.size - 1] = 0;
	} else {
		done = evs_fill_user_pieces(p, &r, &s, buf);
	}
	if (unlikely(!done)) {
		evs_abort(p, &r);
		return evs_append_user_again(p, buf, len, flags);
	}
	evs_seal_batch(p, &r);
	evs_publish(p, &r);
	return len;
}

/**
 * evs_append_value() - append one record out of kernel memory
 * @p: the partition
 * @value: its value
 * @len: bytes
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 *
 * Return: 0; -EMSGSIZE: no segment holds it; what evs_make_room() returns.
 */
int evs_append_value(struct evs_partition *p, const void *value, u32 len, unsigned int flags)
{
	struct evs_source src = {
		.value = value,
		.value_len = len,
		.key_len = -1,
		.timestamp = -1,
	};
	u64 offset;

	return evs_append_sources(p, &src, 1, flags, &offset);
}

/**
 * evs_append_iter() - append one record out of an iterator
 * @p: the partition
 * @from: its value, all of it, within the topic's limit; advanced
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 *
 * Return: as evs_append_user().
 */
int evs_append_iter(struct evs_partition *p, struct iov_iter *from, unsigned int flags)
{
	struct iov_iter again = *from;
	struct evs_reservation r;
	struct evs_single s;
	int ret;

	evs_single_init(&s, iov_iter_count(from));
	if (fault_in_iov_iter_readable(from, s.len))
		return -EFAULT;
	ret = evs_reserve(p, &r, s.size, 1, -1, flags);
	if (ret)
		return ret;
	if (likely(evs_fill_pieces(p, &r, &s, from))) {
		evs_seal_batch(p, &r);
		evs_publish(p, &r);
		return 0;
	}
	evs_abort(p, &r);
	*from = again;
	return evs_append_again(p, from, s.len, flags);
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
	s64 now = evs_now();
	struct evs_times t = evs_sources_times(src, n, now);
	u64 size = evs_sources_bytes(src, n, &t, now);
	struct evs_batch_info info = {
		.last_delta = n - 1,
		.count = n,
		.leader_epoch = p->leader_epoch,
	};
	struct evs_writer w = { .log = &p->log };
	u8 buf[EVS_SINGLE_HEAD], *q;
	struct evs_reservation r;
	u32 i;
	int ret;

	if (size > evs_segment_size(p))
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
	evs_publish(p, &r);
	return 0;
}

/* A segment's files tell offsets by 31 bits, from its first one. */
#define EVS_OFFSETS_MAX	BIT(30)
#define EVS_OFFSETS_MANY	BIT(16)

/* Rolls where the batch's offsets would be too far from the segment's first. */
static int evs_room_for_offsets(struct evs_partition *p, const struct evs_batch_info *info)
{
	bool roll;

	if (info->last_delta >= EVS_OFFSETS_MAX)
		return -EMSGSIZE;
	spin_lock(&p->lock);
	/* What others append meanwhile takes at least a few bytes an offset. */
	roll = p->segment && p->next_offset + info->last_delta - p->segment->offset >=
	       EVS_OFFSETS_MAX;
	spin_unlock(&p->lock);
	return roll ? evs_partition_roll(p) : 0;
}

/* The batch's segment cannot go before it is published. */
static void evs_mark_producers(struct evs_partition *p, const struct evs_reservation *r)
{
	struct evs_segment *s;

	rcu_read_lock();
	s = xa_load(&p->segments, r->pos >> p->log.shift);
	WRITE_ONCE(s->producers, true);
	rcu_read_unlock();
}

static int __evs_append_batch(struct evs_partition *p, const void *batch,
			      const struct evs_batch_info *info, bool idempotent,
			      unsigned int flags, u64 *offset)
{
	struct evs_reservation r;
	struct evs_writer w = { .log = &p->log };
	const u32 rest = offsetof(struct evs_batch_header, magic);
	u8 head[offsetof(struct evs_batch_header, magic)];
	int ret;

	ret = p->durable ? evs_room_for_offsets(p, info) : 0;
	if (!ret)
		ret = evs_reserve(p, &r, info->size, info->last_delta + 1, info->max_timestamp,
				  flags);
	if (ret)
		return ret;
	*offset = r.offset;
	put_unaligned_be64(r.offset, head);
	put_unaligned_be32(info->size - EVS_BATCH_PREFIX, head + 8);
	put_unaligned_be32(p->leader_epoch, head + EVS_BATCH_PREFIX);
	w.pos = r.pos;
	w.addr = r.addr;
	evs_put(&w, head, rest);
	evs_put(&w, batch + rest, info->size - rest);
	if (idempotent)
		evs_mark_producers(p, &r);
	evs_publish(p, &r);
	return 0;
}

/* One at a time, in the order of its sequence, and each once. */
static int evs_append_idempotent(struct evs_partition *p, const void *batch,
				 const struct evs_batch_info *info,
				 const struct evs_producer_id *id, unsigned int flags,
				 u64 *offset)
{
	struct evs_producers *t = &p->producers;
	int ret;

	if (flags & (EVS_NOWAIT | EVS_NONBLOCK)) {
		if (!mutex_trylock(&t->lock))
			return -EAGAIN;
	} else if (mutex_lock_interruptible(&t->lock)) {
		return -ERESTARTSYS;
	}
	ret = READ_ONCE(p->dead) ? -ENODEV : 0;
	if (!ret && id->id >= 0)
		ret = evs_producers_check(t, id, offset);
	if (!ret && id->id >= 0)
		ret = evs_producers_expect(t, p->durable ? &p->durable->producers : NULL, id->id);
	if (!ret)
		ret = __evs_append_batch(p, batch, info, id->id >= 0, flags, offset);
	if (!ret && id->id >= 0)
		evs_producers_note(t, id, *offset, info->max_timestamp);
	mutex_unlock(&t->lock);
	if (ret != 1)
		return ret;
	/* It is there already, or will be when who appended it has published it. */
	evs_wait_visible(p, *offset + info->last_delta + 1);
	return 0;
}

/**
 * evs_append_batch() - append a batch that a client built
 * @p: the partition
 * @batch: checked by evs_batch_check(), in kernel memory
 * @info: its header
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 * @offset: the first record's offset, out
 *
 * Return: 0, also where an idempotent producer's batch is there already, at
 * @offset; -EMSGSIZE: no segment holds it; -EOVERFLOW: offsets are used up; -EILSEQ,
 * -ESTALE: as evs_producer_check(); what evs_make_room() returns.
 */
int evs_append_batch(struct evs_partition *p, const void *batch,
		     const struct evs_batch_info *info, unsigned int flags, u64 *offset)
{
	struct evs_producer_id id;

	if (info->size > evs_segment_size(p))
		return -EMSGSIZE;
	/* A compressed batch can claim any number of records. */
	if (READ_ONCE(p->next_offset) > EVS_OFFSET_MAX)
		return -EOVERFLOW;
	evs_producer_of(batch, &id);
	/* Two that claim many offsets must not pass evs_room_for_offsets() at once. */
	if (id.id >= 0 || (p->durable && info->last_delta >= EVS_OFFSETS_MANY))
		return evs_append_idempotent(p, batch, info, &id, flags, offset);
	return __evs_append_batch(p, batch, info, false, flags, offset);
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
	struct evs_batch_info info = {
		.attributes = EVS_ATTR_APPEND_TIME,
		.leader_epoch = p->leader_epoch,
	};
	u64 size = EVS_BATCH_HEADER, max = evs_segment_size(p);
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
	evs_publish(p, &r);
	return 0;
}
