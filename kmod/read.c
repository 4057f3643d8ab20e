// SPDX-License-Identifier: GPL-2.0
/*
 * Reading: from offset or time to position, batch by batch, record by record.
 * Record by record it takes no lock that a producer needs.
 */
#include <linux/instrumented.h>
#include <linux/rcupdate_wait.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/unaligned.h>
#include <linux/evstream.h>

#include "compat.h"
#include "durable.h"
#include "internal.h"
#include "partition.h"
#include "trace.h"

static u64 evs_next_segment(const struct evs_partition *p, u64 pos)
{
	return (pos | (evs_segment_size(p) - 1)) + 1;
}

/**
 * evs_cursor_put() - let go of what a cursor holds
 * @c: the cursor
 */
void evs_cursor_put(struct evs_cursor *c)
{
	evs_view_put(&c->view);
}

/**
 * evs_cursor_seek() - move a cursor
 * @c: the cursor
 * @offset: the record wanted next
 */
void evs_cursor_seek(struct evs_cursor *c, u64 offset)
{
	c->offset = offset;
	c->at = false;
	c->rec = 0;
	c->expect = 0;
}

/**
 * evs_cursor_ready() - whether a cursor has something to find
 * @p: the partition
 * @c: the cursor
 *
 * Return: bytes there are for it, about; as many as can be where it has a gap to
 * report.
 */
u64 evs_cursor_ready(struct evs_partition *p, const struct evs_cursor *c)
{
	u64 end = evs_end_offset(p);

	if (READ_ONCE(c->offset) < READ_ONCE(p->start_offset))
		return U64_MAX;
	if (READ_ONCE(c->offset) >= end)
		return 0;
	return READ_ONCE(c->at) ? max(READ_ONCE(p->end_pos) - READ_ONCE(c->pos), 1ULL) : 1;
}

static int evs_cursor_lost(struct evs_partition *p, struct evs_cursor *c, u64 start)
{
	trace_evstream_lost(p->topic_id, p->number, c->offset, start);
	c->gap.from = c->offset;
	c->gap.to = start;
	c->gap.lost += start - c->offset;
	evs_cursor_seek(c, start);
	return -EPIPE;
}

/**
 * evs_cursor_untell() - find a gap once more
 * @c: the cursor, which has just found one
 * @before: its gap before that
 *
 * For who has something to return first: the next look reports the gap.
 */
void evs_cursor_untell(struct evs_cursor *c, const struct evs_gap *before)
{
	u64 offset = c->gap.from;

	c->gap = *before;
	evs_cursor_seek(c, offset);
}

/*
 * Position of the last batch in the index that is at or before @offset, has only
 * older ones than @timestamp before it, and lies below @end: entries are made
 * when a batch is reserved, before its bytes are there.
 */
static u64 evs_index_search(const struct evs_segment *s, const struct evs_index *x, u64 offset,
			    s64 timestamp, u64 end)
{
	/* Pairs with the release in evs_segment_index(). */
	u32 lo = 0, hi = smp_load_acquire(&x->entries);
	const struct evs_index_entry *e;

	while (hi - lo > 1) {
		u32 mid = lo + (hi - lo) / 2;

		e = x->chunk[mid / EVS_INDEX_CHUNK] + mid % EVS_INDEX_CHUNK;
		if (s->offset + READ_ONCE(e->offset) <= offset &&
		    READ_ONCE(e->before) < timestamp && s->pos + READ_ONCE(e->pos) < end)
			lo = mid;
		else
			hi = mid;
	}
	if (!hi)
		return s->pos;
	e = x->chunk[lo / EVS_INDEX_CHUNK] + lo % EVS_INDEX_CHUNK;
	return s->pos + READ_ONCE(e->pos);
}

static bool evs_segment_bounds(struct evs_partition *p, u64 *first, u64 *last)
{
	bool any;

	spin_lock(&p->lock);
	any = p->first < p->next;
	*first = p->first;
	*last = p->next - 1;
	spin_unlock(&p->lock);
	return any;
}

/* Position at or before the batch that holds a published offset. */
static int evs_position(struct evs_partition *p, u64 offset, u64 *pos)
{
	const struct evs_segment *s;
	const struct evs_index *x;
	bool cold = false;
	u64 lo, hi;

	if (!evs_segment_bounds(p, &lo, &hi))
		return -EPIPE;
	rcu_read_lock();
	while (lo < hi) {
		u64 mid = lo + (hi - lo + 1) / 2;

		s = xa_load(&p->segments, mid);
		/* Dropped meanwhile, and so all before it. */
		if (!s || s->offset <= offset)
			lo = mid;
		else
			hi = mid - 1;
	}
	s = xa_load(&p->segments, lo);
	if (s && s->offset <= offset) {
		x = rcu_dereference(s->index);
		if (x)
			*pos = evs_index_search(s, x, offset, S64_MAX, U64_MAX);
		else
			cold = true;
	} else {
		s = NULL;
	}
	rcu_read_unlock();
	if (cold)
		return evs_durable_lookup(p, lo, offset, S64_MAX, pos);
	return s ? 0 : -EPIPE;
}

/* The batch header at c->pos, from wherever it lies: 0, or as evs_view_at(). */
static int evs_header_at(struct evs_partition *p, struct evs_cursor *c, u8 *buf,
			 const void **header)
{
	int ret = evs_view_at(&p->log, &c->view, c->pos);

	if (unlikely(ret))
		return ret;
	if (likely(c->view.end - c->pos >= EVS_BATCH_HEADER)) {
		*header = c->view.addr + (c->pos - c->view.base);
		return 0;
	}
	*header = buf;
	return evs_view_read(&p->log, &c->view, c->pos, buf, EVS_BATCH_HEADER);
}

/* Whether a batch that is missing was lost, and not compacted away by Kafka. */
static bool evs_dense(const struct evs_partition *p)
{
	return p->durable && p->durable->dense;
}

/* What is in memory was made here; what was read back may be anything. */
static int evs_corrupt(const struct evs_partition *p)
{
	WARN_ON_ONCE(!p->durable);
	return -EIO;
}

/*
 * Whether c->batch, just read back from a file, is what was written: its place in
 * the log, and its checksum where it holds what is wanted.
 */
static int evs_batch_verify(struct evs_partition *p, struct evs_cursor *c, u32 want)
{
	u64 pos = c->pos + EVS_BATCH_CRC_FROM, end = c->pos + c->batch.size;
	u32 crc = ~0U;

	if (c->batch.size > evs_next_segment(p, c->pos) - c->pos ||
	    c->batch.base_offset > EVS_OFFSET_MAX)
		return -EIO;
	if (c->batch.base_offset < c->expect)
		return -EIO;
	if (c->batch.base_offset + c->batch.last_delta >= evs_end_offset(p))
		return -EIO;
	if (c->batch.base_offset + c->batch.last_delta < c->offset)
		return 0;
	while (pos < end) {
		int ret = evs_view_at(&p->log, &c->view, pos);
		u64 n;

		if (ret)
			return ret == -ENODATA ? -EIO : ret;
		n = min(end, c->view.end) - pos;
		crc = evs_crc32c(crc, c->view.addr + (pos - c->view.base), n);
		pos += n;
		cond_resched();
	}
	return ~crc == want ? 0 : -EIO;
}

/* Position after the last batch of a sealed segment. */
static u64 evs_segment_end(struct evs_partition *p, u64 pos)
{
	const struct evs_segment *s;
	u64 end = 0;

	rcu_read_lock();
	s = xa_load(&p->segments, pos >> p->log.shift);
	if (s)
		end = min(READ_ONCE(s->end), evs_end_pos(p));
	rcu_read_unlock();
	return end;
}

static void evs_cursor_next_batch(struct evs_cursor *c)
{
	c->expect = c->batch.base_offset + c->batch.last_delta + 1;
	WRITE_ONCE(c->pos, c->pos + c->batch.size);
	c->rec = 0;
}

/*
 * Makes c->batch the header of the batch that holds c->offset, or of the first
 * one behind it.
 *
 * Return: 1; 0: it is not there yet; -EPIPE: it is gone, and counted; -ENODEV;
 * -EIO: it is not what was written; -ENOMEM, -EINTR.
 */
static int evs_cursor_load(struct evs_partition *p, struct evs_cursor *c)
{
	u8 buf[EVS_BATCH_HEADER];
	const void *header;
	u64 start;
	int ret;

	for (;;) {
		u64 end = evs_end_offset(p);

		if (unlikely(READ_ONCE(p->dead)))
			return -ENODEV;
		start = READ_ONCE(p->start_offset);
		if (unlikely(c->offset < start))
			return evs_cursor_lost(p, c, start);
		if (c->offset >= end)
			return 0;
		if (unlikely(!c->at)) {
			/* Gone again: start_offset tells. */
			if (evs_position(p, c->offset, &c->pos))
				continue;
			c->at = true;
			c->rec = 0;
			c->expect = 0;
		}
		/* Behind the last batch offsets can be missing, after files were. */
		if (unlikely(c->pos >= evs_end_pos(p))) {
			if (evs_dense(p))
				return -EIO;
			evs_cursor_seek(c, end);
			continue;
		}
		if (c->rec) {
			if (c->offset <= c->batch.base_offset + c->batch.last_delta)
				return 1;
			evs_cursor_next_batch(c);
			continue;
		}
		if (unlikely(evs_next_segment(p, c->pos) - c->pos < EVS_BATCH_HEADER)) {
			c->pos = evs_next_segment(p, c->pos);
			continue;
		}
		ret = evs_header_at(p, c, buf, &header);
		if (unlikely(ret)) {
			if (ret != -ENODATA)
				return ret;
			/*
			 * Dropped, or the rest of a sealed segment.  Pairs with the
			 * order in evs_drop_oldest(): start_offset moves first.
			 */
			smp_rmb();
			if (READ_ONCE(p->start_offset) <= c->offset)
				c->pos = evs_next_segment(p, c->pos);
			continue;
		}
		if (unlikely(!((const struct evs_batch_header *)header)->length)) {
			if (c->view.cold && c->pos < evs_segment_end(p, c->pos))
				return -EIO;
			c->pos = evs_next_segment(p, c->pos);
			continue;
		}
		if (unlikely(evs_batch_header_get(header, &c->batch)))
			return evs_corrupt(p);
		if (unlikely(c->view.cold)) {
			const struct evs_batch_header *h = header;

			ret = evs_batch_verify(p, c, be32_to_cpu(h->crc));
			if (ret)
				return ret;
		}
		/* What is wanted was there, and is lost; or was just dropped. */
		if (unlikely(c->offset < c->batch.base_offset) && evs_dense(p) && !c->any) {
			/* As above: pairs with the order in evs_drop_oldest(). */
			smp_rmb();
			if (READ_ONCE(p->start_offset) <= c->offset)
				return -EIO;
			continue;
		}
		c->rec = c->pos + EVS_BATCH_HEADER;
	}
}

static void evs_cursor_skip_batch(struct evs_cursor *c)
{
	c->offset = max(c->offset, c->batch.base_offset + c->batch.last_delta + 1);
	evs_cursor_next_batch(c);
}

static bool evs_batch_is_hole(const struct evs_batch_info *b)
{
	return !b->count || (b->attributes & EVS_ATTR_CONTROL);
}

/* Where something of a batch that was there has gone meanwhile. */
static int evs_gone(int ret)
{
	return ret == -ENODATA ? -EPIPE : ret;
}

/* Up to @max bytes at @pos in contiguous memory, or an ERR_PTR of evs_gone(). */
static const u8 *evs_peek(struct evs_partition *p, struct evs_cursor *c, u64 pos, u64 end,
			  u32 max, u8 *buf, const u8 **stop)
{
	u32 n = min_t(u64, max, end - pos);
	const u8 *at = buf;
	int ret;

	ret = evs_view_at(&p->log, &c->view, pos);
	if (unlikely(ret))
		return ERR_PTR(evs_gone(ret));
	if (likely(c->view.end - pos >= n)) {
		at = c->view.addr + (pos - c->view.base);
	} else {
		ret = evs_view_read(&p->log, &c->view, pos, buf, n);
		if (ret)
			return ERR_PTR(evs_gone(ret));
	}
	*stop = at + n;
	return at;
}

/* The record at c->rec: 1, -EPIPE where dropped meanwhile, -EIO. */
static int evs_record_at(struct evs_partition *p, struct evs_cursor *c, struct evs_found *f)
{
	u64 end = c->pos + c->batch.size;
	struct evs_record_head h;
	const u8 *at, *stop;
	u8 buf[EVS_RECORD_HEAD];
	u64 value;

	at = evs_peek(p, c, c->rec, end, EVS_RECORD_HEAD, buf, &stop);
	if (IS_ERR(at))
		return PTR_ERR(at);
	if (unlikely(evs_record_head_get(at, stop, &h) || h.size > end - c->rec))
		return evs_corrupt(p);
	f->pos = c->rec;
	f->size = h.size;
	f->offset = c->batch.base_offset + h.offset_delta;
	f->timestamp = c->batch.attributes & EVS_ATTR_APPEND_TIME ?
		       c->batch.max_timestamp : c->batch.base_timestamp + h.timestamp_delta;
	value = c->rec + h.head + (h.key_len > 0 ? h.key_len : 0);
	/* What was peeked at may reach over the value's length too. */
	if (likely(stop - at >= (long)(value - c->rec) + (long)EVS_VARINT)) {
		at += value - c->rec;
	} else {
		at = evs_peek(p, c, value, c->rec + h.size, EVS_VARINT, buf, &stop);
		if (IS_ERR(at))
			return PTR_ERR(at);
	}
	stop = at;
	at = evs_varint32_get(at, at + min_t(u64, EVS_VARINT, c->rec + h.size - value),
			      &f->value_len);
	if (unlikely(!at || f->value_len < -1))
		return evs_corrupt(p);
	f->value_pos = value + (at - stop);
	if (unlikely(f->value_len > 0 && f->value_pos + f->value_len > c->rec + h.size))
		return evs_corrupt(p);
	return 1;
}

/**
 * evs_cursor_find() - the record that a cursor wants next
 * @p: the partition
 * @c: the cursor; still there afterwards, see evs_cursor_advance()
 * @f: out
 *
 * Return: 1; 0: there is none yet; -EPIPE: records were lost, which is counted
 * in @c, and the next call finds the oldest held; -EOPNOTSUPP: it lies in a
 * compressed batch; -ENODEV: the topic was deleted; -EIO: its batch is not what
 * was written, or cannot be read; -ENOMEM, -EINTR.
 */
int evs_cursor_find(struct evs_partition *p, struct evs_cursor *c, struct evs_found *f)
{
	int ret;

	for (;;) {
		ret = evs_cursor_load(p, c);
		if (ret <= 0)
			return ret;
		if (unlikely(evs_batch_is_hole(&c->batch))) {
			evs_cursor_skip_batch(c);
			cond_resched();
			continue;
		}
		if (unlikely(c->batch.attributes & EVS_ATTR_CODEC))
			return -EOPNOTSUPP;
		ret = evs_record_at(p, c, f);
		if (unlikely(ret == -EPIPE)) {
			/* Start over: start_offset has moved. */
			evs_cursor_seek(c, c->offset);
			continue;
		}
		if (ret < 0 || f->offset >= c->offset)
			return ret;
		c->rec += f->size;
		/* Offsets are missing behind the batch's last record. */
		if (c->rec >= c->pos + c->batch.size)
			evs_cursor_skip_batch(c);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/**
 * evs_cursor_advance() - go on behind a record
 * @c: the cursor
 * @f: what evs_cursor_find() found with it
 */
void evs_cursor_advance(struct evs_cursor *c, const struct evs_found *f)
{
	WRITE_ONCE(c->offset, f->offset + 1);
	c->rec = f->pos + f->size;
	if (c->rec == c->pos + c->batch.size)
		evs_cursor_next_batch(c);
}

/**
 * evs_cursor_read_single() - the short way of reading a batch of one
 * @p: the partition
 * @c: the cursor
 * @buf: where the value goes; checked by vfs_read()
 * @len: room at @buf
 *
 * For what a plain write() made, when the cursor stands at it and all of it lies
 * in one folio.
 *
 * Return: bytes of the value, the cursor behind it; -EAGAIN: not this way;
 * -EFAULT.
 */
ssize_t evs_cursor_read_single(struct evs_partition *p, struct evs_cursor *c, void __user *buf,
			       size_t len)
{
	u64 end = evs_end_offset(p);
	const struct evs_batch_header *h;
	u32 size, value, shift;
	const u8 *at;

	if (c->offset >= end) {
		/* Who waits holds no memory that the ring has dropped. */
		evs_cursor_put(c);
		return -EAGAIN;
	}
	if (!c->at || c->rec || c->offset < READ_ONCE(p->start_offset) || READ_ONCE(p->dead))
		return -EAGAIN;
	if (unlikely(evs_view_at(&p->log, &c->view, c->pos) || c->view.cold))
		return -EAGAIN;
	if (c->pos + EVS_BATCH_HEADER + 16 > c->view.end)
		return -EAGAIN;
	h = (const void *)(c->view.addr + (c->pos - c->view.base));
	size = be32_to_cpu(h->length) + EVS_BATCH_PREFIX;
	/* Padding reads as zero and is told apart by this, too. */
	if (h->count != cpu_to_be32(1) || be64_to_cpu(h->base_offset) != c->offset ||
	    (h->attributes & cpu_to_be16(EVS_ATTR_CODEC | EVS_ATTR_CONTROL)) ||
	    size > c->view.end - c->pos)
		return -EAGAIN;
	at = (const u8 *)(h + 1);
	/* The record's length follows from the batch's. */
	for (shift = 0; shift < 28 && *at & 0x80; shift += 7)
		at++;
	at++;
	/* No attributes, no deltas, no key. */
	if (get_unaligned_le32(at) != 1 << 24)
		return -EAGAIN;
	at += 4;
	for (value = 0, shift = 0; shift < 28 && *at & 0x80; shift += 7)
		value |= (u32)(*at++ & 0x7f) << shift;
	value |= (u32)*at++ << shift;
	/* A null, or no room for the value: the long way knows what to do. */
	if ((value & 1) || (value >>= 1) > len ||
	    at + value + 1 != (const u8 *)h + size)
		return -EAGAIN;
	instrument_copy_to_user(buf, at, value);
	if (raw_copy_to_user(buf, at, value))
		return -EFAULT;
	WRITE_ONCE(c->offset, c->offset + 1);
	WRITE_ONCE(c->pos, c->pos + size);
	c->expect = c->offset;
	return value;
}

/**
 * evs_cursor_locate() - log position of a cursor
 * @p: the partition
 * @c: the cursor
 * @pos: position of the batch that holds its offset; of the log's end where that
 *	is not there yet, of its start where it is gone
 *
 * Return: 0, -ENODEV, -EIO, -ENOMEM or -EINTR.
 */
int evs_cursor_locate(struct evs_partition *p, struct evs_cursor *c, u64 *pos)
{
	struct evs_cursor probe = { .offset = c->offset };
	bool later;
	int ret;

	do {
		ret = evs_cursor_load(p, &probe);
		later = false;
		if (ret == 1) {
			*pos = probe.pos;
		} else if (ret == 0) {
			/* The end's position is the offset's only if it is not there still. */
			spin_lock(&p->lock);
			later = p->end_offset > probe.offset;
			*pos = p->end_pos;
			spin_unlock(&p->lock);
		}
	} while (later);
	if (ret == -EPIPE) {
		spin_lock(&p->lock);
		*pos = p->start_pos;
		spin_unlock(&p->lock);
	}
	evs_cursor_put(&probe);
	return ret < 0 && ret != -EPIPE ? ret : 0;
}

/**
 * evs_cursor_copy() - bytes of the log to a user
 * @p: the partition
 * @c: the cursor, for the folio it holds
 * @pos: where, below the high watermark
 * @len: bytes
 * @to: where they go
 *
 * Return: 0; -EFAULT; -EPIPE: some were dropped meanwhile.
 */
int evs_cursor_copy(struct evs_partition *p, struct evs_cursor *c, u64 pos, u32 len,
		    struct iov_iter *to)
{
	while (len) {
		int ret = evs_view_at(&p->log, &c->view, pos);
		size_t n;

		if (unlikely(ret))
			return evs_gone(ret);
		n = min_t(u64, len, c->view.end - pos);
		if (copy_to_iter(c->view.addr + (pos - c->view.base), n, to) != n)
			return -EFAULT;
		pos += n;
		len -= n;
	}
	return 0;
}

/**
 * evs_cursor_fetch() - whole batches to a user
 * @p: the partition
 * @c: the cursor; goes on behind what was copied
 * @to: where they go, as many as fit
 * @pos: position of the first one, out
 * @need: its size, where it does not fit, out
 *
 * Return: 0, also where nothing is there yet; -EMSGSIZE: not even one fits;
 * -EPIPE, -ENODEV, -EIO: as evs_cursor_find(); -EFAULT. Where some were copied
 * before an error, 0.
 */
int evs_cursor_fetch(struct evs_partition *p, struct evs_cursor *c, struct iov_iter *to,
		     u64 *pos, u32 *need)
{
	bool first = true;
	int ret;

	while (!fatal_signal_pending(current)) {
		struct evs_gap gap = c->gap;
		struct iov_iter before = *to;

		ret = evs_cursor_load(p, c);
		if (ret == -EPIPE && !first)
			evs_cursor_untell(c, &gap);
		if (ret <= 0)
			return first ? ret : 0;
		if (c->batch.size > iov_iter_count(to)) {
			*need = c->batch.size;
			return first ? -EMSGSIZE : 0;
		}
		ret = evs_cursor_copy(p, c, c->pos, c->batch.size, to);
		if (ret == -EPIPE) {
			*to = before;
			evs_cursor_seek(c, c->offset);
			/* What is missing is reported by the next call. */
			if (!first)
				return 0;
			continue;
		}
		if (ret) {
			*to = before;
			return first ? ret : 0;
		}
		if (first)
			*pos = c->pos;
		first = false;
		evs_cursor_skip_batch(c);
		cond_resched();
	}
	return first ? -EINTR : 0;
}

/* The first segment that has a record not older than @timestamp, under RCU. */
static const struct evs_segment *evs_segment_by_time(struct evs_partition *p, u64 lo, u64 last,
						     s64 timestamp)
{
	const struct evs_segment *s;
	u64 hi = last;

	while (lo < hi) {
		u64 mid = lo + (hi - lo) / 2;

		s = xa_load(&p->segments, mid);
		if (!s || max(s->newest_before, READ_ONCE(s->newest)) < timestamp)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* The newest may be that of a segment that is gone. */
	for (; lo <= last; lo++) {
		s = xa_load(&p->segments, lo);
		if (s && READ_ONCE(s->newest) >= timestamp)
			return s;
		/* There may be millions. */
		if (fatal_signal_pending(current))
			break;
		cond_resched_rcu();
	}
	return NULL;
}

/* The first record of the cursor's batch not older than @timestamp. */
static int evs_batch_by_time(struct evs_partition *p, struct evs_cursor *c, s64 timestamp,
			     u64 *offset)
{
	struct evs_found f;
	int ret;

	*offset = max(c->offset, c->batch.base_offset);
	if (c->batch.attributes & (EVS_ATTR_APPEND_TIME | EVS_ATTR_CODEC))
		return 0;
	while (c->rec < c->pos + c->batch.size) {
		ret = evs_record_at(p, c, &f);
		if (ret < 0)
			return ret;
		*offset = f.offset;
		if (f.timestamp >= timestamp && f.offset >= c->offset)
			return 0;
		c->rec += f.size;
	}
	return -ENOENT;
}

/**
 * evs_partition_find_time() - the first record not older than a time
 * @p: the partition
 * @timestamp: ms
 * @offset: out; the end's where there is none
 *
 * Return: 0, -ENODEV, -EIO, -ENOMEM or -EINTR.
 */
int evs_partition_find_time(struct evs_partition *p, s64 timestamp, u64 *offset)
{
	const struct evs_segment *s;
	const struct evs_index *x;
	struct evs_cursor c = { .any = true };
	u64 first, last, end, end_pos;
	bool cold = false;
	int ret;

again:
	end = evs_end_offset(p);
	end_pos = evs_end_pos(p);
	*offset = end;
	ret = READ_ONCE(p->dead) ? -ENODEV : 0;
	if (ret || !evs_segment_bounds(p, &first, &last))
		goto out;
	rcu_read_lock();
	s = evs_segment_by_time(p, first, last, timestamp);
	/* Whose first batch is being filled has nothing yet. */
	if (s && s->pos >= end_pos)
		s = NULL;
	if (s) {
		first = s->pos >> p->log.shift;
		x = rcu_dereference(s->index);
		cold = !x;
		if (x)
			c.pos = evs_index_search(s, x, U64_MAX, timestamp, end_pos);
		c.offset = max(s->offset, READ_ONCE(p->start_offset));
		c.at = true;
		c.rec = 0;
		c.expect = 0;
	}
	rcu_read_unlock();
	if (!s) {
		if (fatal_signal_pending(current))
			ret = -EINTR;
		goto out;
	}
	if (cold && evs_durable_lookup(p, first, U64_MAX, timestamp, &c.pos))
		goto again;
	for (;;) {
		ret = evs_cursor_load(p, &c);
		if (ret == 0)
			break;
		if (ret == -EPIPE)
			goto again;
		if (ret < 0)
			break;
		if (!evs_batch_is_hole(&c.batch) && c.batch.max_timestamp >= timestamp) {
			ret = evs_batch_by_time(p, &c, timestamp, offset);
			if (!ret)
				break;
			*offset = end;
			if (ret == -EPIPE)
				goto again;
			if (ret != -ENOENT)
				break;
		}
		evs_cursor_skip_batch(&c);
		cond_resched();
	}
out:
	evs_cursor_put(&c);
	return ret;
}
