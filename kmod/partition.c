// SPDX-License-Identifier: GPL-2.0
/*
 * A partition's life: segments, room for appends, retention, maps.
 */
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/evstream.h>
#include <uapi/linux/evstream_netlink.h>

#include "durable.h"
#include "internal.h"
#include "partition.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* The expiry looks again after so long at the latest: a clock may be set. */
#define EVS_EXPIRE_MAX_MS	(60 * MSEC_PER_SEC)
#define EVS_EXPIRE_MIN_MS	20

static struct kmem_cache *evs_partition_cache;
static struct lock_class_key evs_durable_grow_key;

/**
 * evs_partition_init_caches() - set up what all partitions share
 *
 * Return: 0 or -ENOMEM.
 */
int evs_partition_init_caches(void)
{
	evs_partition_cache = KMEM_CACHE(evs_partition, SLAB_HWCACHE_ALIGN | SLAB_ACCOUNT);
	return evs_partition_cache ? 0 : -ENOMEM;
}

/**
 * evs_partition_exit_caches() - take it down; all partitions are gone
 */
void evs_partition_exit_caches(void)
{
	kmem_cache_destroy(evs_partition_cache);
}

/**
 * evs_partition_wake_waiters() - the part of evs_partition_wake() that has work
 * @p: the partition
 */
void evs_partition_wake_waiters(struct evs_partition *p)
{
	void *key = poll_to_key(EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM);

	if (wq_has_sleeper(&p->wait))
		__wake_up_sync_key(&p->wait, TASK_NORMAL, key);
	if (wq_has_sleeper(p->any_wait))
		__wake_up_sync_key(p->any_wait, TASK_NORMAL, key);
}

static void evs_ctl_start(struct evs_partition *p)
{
	lockdep_assert_held(&p->lock);
	if (!p->ctl)
		return;
	WRITE_ONCE(p->ctl->start_position, p->start_pos);
	/* Before the pages go; pairs with the consumer's load after its use. */
	smp_wmb();
	WRITE_ONCE(p->ctl->start_offset, p->start_offset);
}

static struct evs_segment *evs_segment_of(struct evs_partition *p, u64 number)
{
	return xa_load(&p->segments, number);
}

static void evs_segment_free_rcu(struct rcu_head *rcu)
{
	struct evs_segment *s = container_of(rcu, struct evs_segment, rcu);

	evs_index_free_now(rcu_dereference_protected(s->index, true));
	kfree(s);
}

static void evs_segment_free(struct evs_partition *p, struct evs_segment *s)
{
	if (p->durable)
		evs_durable_bury(p, s);
	else
		call_rcu(&s->rcu, evs_segment_free_rcu);
}

/* Lets go of the oldest segment, which is sealed and published: [@from, @to). */
static void evs_detach_oldest(struct evs_partition *p, u64 *from, u64 *to)
{
	struct evs_segment *s, *after;

	lockdep_assert_held(&p->grow);
	s = evs_segment_of(p, p->first);
	*from = s->pos;
	*to = s->pos + evs_segment_size(p);

	spin_lock(&p->lock);
	after = p->first + 1 < p->next ? evs_segment_of(p, p->first + 1) : NULL;
	p->first++;
	if (p->start_pos < *to) {
		u64 offset = after ? after->offset : p->next_offset;

		p->start_pos = after ? after->pos : *to;
		if (p->start_offset < offset)
			WRITE_ONCE(p->start_offset, offset);
		evs_ctl_start(p);
	}
	spin_unlock(&p->lock);

	trace_evstream_drop(p->topic_id, p->number, p->start_offset, p->start_pos);
	xa_erase(&p->segments, s->pos >> p->log.shift);
	evs_segment_free(p, s);
}

/* Readers that miss a folio look at start_offset again. */
static void evs_drop_oldest(struct evs_partition *p)
{
	u64 from, to;

	evs_detach_oldest(p, &from, &to);
	evs_log_drop(&p->log, from, to);
}

/* Whether nothing below @pos is being filled. What was given back does not count. */
static bool evs_published(struct evs_partition *p, u64 pos)
{
	return READ_ONCE(p->end_pos) >= min(pos, READ_ONCE(p->next_pos));
}

/*
 * Waits until all that is reserved below @pos is published.  Who fills does not
 * wait for user memory, so this does not take long.
 */
static int evs_wait_published(struct evs_partition *p, u64 pos, unsigned int flags)
{
	if (evs_published(p, pos))
		return 0;
	if (flags & EVS_NOWAIT)
		return -EAGAIN;
	if (!(flags & EVS_CLOSING))
		return wait_event_killable(p->wait, evs_published(p, pos));
	wait_event(p->wait, evs_published(p, pos));
	return 0;
}

/* Closes the open segment: what is left of it becomes zeroes. */
static void evs_seal(struct evs_partition *p)
{
	struct evs_reservation r = {};
	struct evs_segment *s;
	u64 end, filled;

	lockdep_assert_held(&p->grow);
	spin_lock(&p->lock);
	s = p->segment;
	/* Two segments with the same base offset would be one file. */
	if (!s || (p->durable && p->next_pos == s->pos)) {
		spin_unlock(&p->lock);
		return;
	}
	s->next_offset = p->next_offset;
	WRITE_ONCE(s->end, p->next_pos);
	end = s->pos + evs_segment_size(p);
	r.pos = p->next_pos;
	r.end = end;
	p->padding += end - r.pos;
	p->newest = max(p->newest, s->newest);
	r.end_offset = p->next_offset;
	WRITE_ONCE(p->next_pos, end);
	p->room = end;
	p->segment = NULL;
	p->index = NULL;
	hlist_add_head(&r.node, &p->resv);
	spin_unlock(&p->lock);

	filled = min(p->log.alloc, end);
	if (r.pos < filled)
		evs_log_zero(&p->log, r.pos, filled - r.pos);
	evs_log_skip(&p->log, end);
	evs_reservation_publish(p, &r);
	if (p->durable)
		evs_durable_flush(p, false);
}

static u64 evs_held(const struct evs_partition *p)
{
	return (p->next - p->first) << p->log.shift;
}

static bool evs_ring_full(const struct evs_partition *p)
{
	return evs_held(p) >= READ_ONCE(p->limits.ring);
}

/* The oldest segment's end: below it all must be published before it can go. */
static u64 evs_oldest_end(const struct evs_partition *p)
{
	return (p->first + 1) << p->log.shift;
}

static bool evs_oldest_sealed(const struct evs_partition *p)
{
	return p->first + 1 < p->next || (p->first < p->next && !p->segment);
}

/* Whether nobody fills or writes it any more. */
static bool evs_oldest_droppable(struct evs_partition *p)
{
	return evs_published(p, evs_oldest_end(p)) &&
	       (!p->durable || evs_durable_droppable(p, p->first));
}

static void evs_expire_later(struct evs_partition *p, u64 ms)
{
	ms = clamp_t(u64, ms, EVS_EXPIRE_MIN_MS, EVS_EXPIRE_MAX_MS);
	queue_delayed_work(system_unbound_wq, &p->expire, msecs_to_jiffies(ms) + 1);
}

/**
 * evs_segment_new() - a segment that is not the partition's yet
 * @p: the partition
 * @pos: its position
 * @offset: its base offset
 * @index: with an index in memory
 * @gfp: GFP_KERNEL or GFP_NOWAIT
 *
 * Return: the segment or NULL.
 */
struct evs_segment *evs_segment_new(struct evs_partition *p, u64 pos, u64 offset, bool index,
				    gfp_t gfp)
{
	struct evs_segment *s = kzalloc(sizeof(*s), gfp | __GFP_NOWARN | __GFP_ACCOUNT);

	if (!s)
		return NULL;
	s->pos = pos;
	s->offset = offset;
	s->next_entry = pos;
	s->newest = S64_MIN;
	s->newest_offset = offset;
	s->end = U64_MAX;
	INIT_LIST_HEAD(&s->gone);
	if (index) {
		struct evs_index *x = evs_index_new(evs_segment_size(p), gfp);

		if (!x) {
			kfree(s);
			return NULL;
		}
		RCU_INIT_POINTER(s->index, x);
	}
	return s;
}

/**
 * evs_segment_discard() - free a segment that nobody has seen
 * @s: the segment
 */
void evs_segment_discard(struct evs_segment *s)
{
	evs_index_free(rcu_dereference_protected(s->index, true));
	evs_segment_file_put(s);
	kfree(s);
}

/* Opens the segment at next_pos. The ring has room. */
static int evs_open_segment(struct evs_partition *p, gfp_t gfp)
{
	u64 number = p->next_pos >> p->log.shift;
	struct evs_segment *s;
	int ret;

	lockdep_assert_held(&p->grow);
	/* Nobody can reserve anything as long as there is none. */
	s = evs_segment_new(p, p->next_pos, p->next_offset, true, gfp);
	if (!s)
		return -ENOMEM;
	if (p->durable) {
		ret = gfp == GFP_NOWAIT ? -EAGAIN : evs_durable_segment(p, s);
		if (ret)
			goto discard;
	}
	ret = xa_err(xa_store(&p->segments, number, s, gfp | __GFP_ACCOUNT));
	if (ret)
		goto discard;
	spin_lock(&p->lock);
	if (p->dead) {
		spin_unlock(&p->lock);
		xa_erase(&p->segments, number);
		/* The writer may look at it, which goes by positions. */
		evs_segment_free(p, s);
		return -ENODEV;
	}
	s->newest_before = p->newest;
	if (p->first == p->next)
		p->first = number;
	WRITE_ONCE(p->next, number + 1);
	p->room = s->pos;
	p->segment = s;
	p->index = rcu_dereference_protected(s->index, true);
	spin_unlock(&p->lock);
	if (READ_ONCE(p->limits.retention_ms))
		evs_expire_later(p, READ_ONCE(p->limits.retention_ms));
	evs_partition_wake(p);
	return 0;

discard:
	evs_segment_discard(s);
	return ret;
}

/* Whether all groups have committed what the oldest segment holds. */
static bool evs_oldest_released(struct evs_partition *p)
{
	const struct evs_segment *s;
	bool released;

	rcu_read_lock();
	s = xa_load(&p->segments, READ_ONCE(p->first) + 1);
	released = s && s->offset <= READ_ONCE(p->released);
	rcu_read_unlock();
	return released;
}

static bool evs_has_room(struct evs_partition *p)
{
	return READ_ONCE(p->dead) || p->durable || !evs_ring_full(p) ||
	       READ_ONCE(p->limits.full) != EVSTREAM_FULL_BLOCK || evs_oldest_released(p);
}

/**
 * evs_partition_release() - what all groups have committed
 * @p: the partition
 * @offset: the first record that one of them has not, 0: there is no group
 *
 * Makes room in the ring of a topic that blocks its producers.
 */
void evs_partition_release(struct evs_partition *p, u64 offset)
{
	WRITE_ONCE(p->released, offset);
	evs_partition_wake(p);
}

/*
 * Makes the ring let go of a segment, as its policy says. Drops and retakes
 * p->grow where it waits.
 */
static int evs_make_way(struct evs_partition *p, unsigned int flags)
{
	u64 next = p->next, from, to;
	int ret;

	lockdep_assert_held(&p->grow);
	switch (READ_ONCE(p->limits.full)) {
	case EVSTREAM_FULL_FAIL:
		return -ENOSPC;
	case EVSTREAM_FULL_BLOCK:
		if (evs_oldest_released(p))
			break;
		if (flags & (EVS_NONBLOCK | EVS_NOWAIT))
			return -EAGAIN;
		mutex_unlock(&p->grow);
		/* Somebody else's new segment may have room, too. */
		ret = wait_event_interruptible(p->wait, evs_has_room(p) ||
					       READ_ONCE(p->next) != next);
		mutex_lock(&p->grow);
		return ret;
	}
	ret = evs_wait_published(p, evs_oldest_end(p), flags);
	if (ret)
		return ret;
	evs_detach_oldest(p, &from, &to);
	evs_log_spare(&p->log, from, to);
	return 0;
}

/* Whether the segments behind the oldest one hold so much. */
static bool evs_holds_behind_oldest(struct evs_partition *p, u64 limit)
{
	u64 n, next_pos = READ_ONCE(p->next_pos), bytes = 0;

	if (!p->durable)
		return next_pos - evs_oldest_end(p) >= limit;
	/* Of files, what is in them counts, from the newest on. */
	for (n = p->next; --n > p->first && bytes < limit;) {
		struct evs_segment *s = evs_segment_of(p, n);

		bytes += min(READ_ONCE(s->end), next_pos) - s->pos;
	}
	return bytes >= limit;
}

/* As Kafka's retention.bytes: at least so much is kept. */
static void evs_drop_by_bytes(struct evs_partition *p)
{
	u64 limit = READ_ONCE(p->limits.retention_bytes);

	while (limit && evs_oldest_sealed(p) && evs_oldest_droppable(p) &&
	       evs_holds_behind_oldest(p, limit))
		evs_drop_oldest(p);
}

/**
 * evs_make_room() - folios and a segment for an append
 * @p: the partition
 * @size: bytes of the batch, at most a segment
 * @flags: EVS_NONBLOCK, EVS_NOWAIT, EVS_CLOSING
 *
 * When it returns 0 there was room; whoever reserves first has it.
 *
 * Return: 0; -ENODEV; -ENOMEM; -ENOSPC: the ring is full and fails, all the memory
 * that the module may use is used, or the file system is full; -EDQUOT; -EIO: the
 * files could not be written; -EAGAIN; -ERESTARTSYS.
 */
int evs_make_room(struct evs_partition *p, u32 size, unsigned int flags)
{
	gfp_t gfp = flags & EVS_NOWAIT ? GFP_NOWAIT : GFP_KERNEL;
	u64 pos, end, held;
	bool waited;
	int ret;

	if (flags & EVS_NOWAIT) {
		if (!mutex_trylock(&p->grow))
			return -EAGAIN;
	} else if (flags & EVS_CLOSING) {
		mutex_lock(&p->grow);
	} else if (mutex_lock_interruptible(&p->grow)) {
		return -ERESTARTSYS;
	}
again:
	ret = -ENODEV;
	spin_lock(&p->lock);
	if (p->dead) {
		spin_unlock(&p->lock);
		goto out;
	}
	pos = p->next_pos;
	end = p->segment ? p->segment->pos + evs_segment_size(p) : pos;
	spin_unlock(&p->lock);

	if (end - pos < size) {
		if (!p->durable && evs_ring_full(p)) {
			/*
			 * Without a lock another producer's small batch may still
			 * fit the open segment: seal it only when there is a next.
			 */
			ret = evs_make_way(p, flags);
			if (ret)
				goto out;
			goto again;
		}
		evs_seal(p);
		ret = evs_open_segment(p, gfp);
		if (ret)
			goto out;
		evs_drop_by_bytes(p);
		if (!p->durable)
			evs_log_reuse(&p->log, p->next_pos + evs_segment_size(p), gfp);
		goto again;
	}
	held = atomic64_read(&p->log.folios);
	if (p->durable) {
		ret = evs_durable_room(p, pos + size, flags, &waited);
		if (ret)
			goto out;
		if (waited)
			goto again;
		held = pos - p->start_pos;
	}
	/* Small batches of others may move next_pos meanwhile: then once more. */
	ret = evs_log_grow(&p->log, pos + size, held, evs_bytes_ceiling(), gfp);
	if (ret == -ENOSPC && !p->durable &&
	    READ_ONCE(p->limits.full) == EVSTREAM_FULL_OVERWRITE && p->first + 1 < p->next) {
		ret = evs_wait_published(p, evs_oldest_end(p), flags);
		if (ret)
			goto out;
		evs_drop_oldest(p);
		goto again;
	}
	if (ret == -ENOSPC && p->durable) {
		ret = evs_durable_memory(p, flags);
		if (ret)
			goto out;
		goto again;
	}
	if (!ret)
		ret = evs_index_room(p->index, p->log.alloc - p->segment->pos, gfp);
	if (ret)
		goto out;
	spin_lock(&p->lock);
	if (!evs_refuses(p))
		p->room = p->durable ? min(p->log.alloc, p->segment->reserved) : p->log.alloc;
	spin_unlock(&p->lock);
out:
	mutex_unlock(&p->grow);
	if (!ret && p->durable)
		evs_durable_throttle(p, flags);
	if (ret == -ENOMEM && (flags & EVS_NOWAIT))
		ret = -EAGAIN;
	return ret;
}

/**
 * evs_partition_writable() - whether an append would not have to wait for room
 * @p: the partition
 */
bool evs_partition_writable(struct evs_partition *p)
{
	u64 pos = READ_ONCE(p->next_pos);

	if (p->durable)
		return evs_durable_writable(p) && !READ_ONCE(p->durable->over);
	return evs_has_room(p) ||
	       round_up(pos, evs_segment_size(p)) - pos >= PAGE_SIZE;
}

/* Whether the oldest segment holds nothing any more. */
static bool evs_oldest_spent(struct evs_partition *p)
{
	struct evs_segment *after;
	bool spent;

	if (!evs_oldest_sealed(p))
		return false;
	/* Both ends as of one moment: a record may just be published. */
	spin_lock(&p->lock);
	after = p->first + 1 < p->next ? evs_segment_of(p, p->first + 1) : NULL;
	spent = evs_published(p, evs_oldest_end(p)) &&
		(after ? after->offset : p->end_offset) <= p->start_offset;
	spin_unlock(&p->lock);
	return spent;
}

static void evs_drop_spent(struct evs_partition *p)
{
	while (evs_oldest_spent(p) && evs_oldest_droppable(p))
		evs_drop_oldest(p);
}

static void evs_expire_work(struct work_struct *work)
{
	struct evs_partition *p = container_of(to_delayed_work(work), struct evs_partition, expire);
	u64 keep = READ_ONCE(p->limits.retention_ms), later = 0;
	s64 now = ktime_to_ms(ktime_get_real());
	bool dropped = false;

	mutex_lock(&p->grow);
	if (p->durable && !READ_ONCE(p->dead)) {
		/* When it was attached they may have been over it. */
		evs_drop_by_bytes(p);
		evs_drop_spent(p);
	}
	while (keep && !READ_ONCE(p->dead) && p->first < p->next) {
		struct evs_segment *s = evs_segment_of(p, p->first);
		s64 newest = READ_ONCE(s->newest);

		/* Nothing was appended yet: as if it came now. */
		if (newest == S64_MIN)
			newest = now;
		if (newest > now - (s64)keep) {
			later = newest - (now - (s64)keep);
			break;
		}
		if (!evs_oldest_sealed(p))
			evs_seal(p);
		/* Somebody fills it, its newest is just now coming; or it is written. */
		if (!evs_oldest_sealed(p) || !evs_oldest_droppable(p)) {
			/* A durable one's writer tells when it is. */
			later = p->durable ? EVS_EXPIRE_MAX_MS : EVS_EXPIRE_MIN_MS;
			break;
		}
		evs_drop_oldest(p);
		dropped = true;
	}
	if (later)
		evs_expire_later(p, later);
	mutex_unlock(&p->grow);
	if (dropped)
		evs_partition_wake(p);
}

/**
 * evs_partition_trim() - drop records from the start
 * @p: the partition
 * @offset: the first to keep; U64_MAX: none
 *
 * Return: 0; -ERANGE: @offset is beyond the end; -ENODEV; -ERESTARTSYS.
 */
int evs_partition_trim(struct evs_partition *p, u64 offset)
{
	struct evs_cursor c = {};
	bool all = false;
	u64 pos;
	int ret;

	if (mutex_lock_interruptible(&p->grow))
		return -ERESTARTSYS;
	ret = READ_ONCE(p->dead) ? -ENODEV : 0;
	if (offset == U64_MAX)
		offset = evs_end_offset(p);
	if (!ret && offset > evs_end_offset(p))
		ret = -ERANGE;
	if (ret || offset <= p->start_offset)
		goto out;

	evs_cursor_seek(&c, offset);
	ret = evs_cursor_locate(p, &c, &pos);
	evs_cursor_put(&c);
	if (ret)
		goto out;
	spin_lock(&p->lock);
	WRITE_ONCE(p->start_offset, offset);
	p->start_pos = pos;
	evs_ctl_start(p);
	all = p->segment && offset == p->next_offset;
	spin_unlock(&p->lock);
	/* Nothing is left: the open segment's memory goes too. */
	if (all)
		evs_seal(p);
	evs_drop_spent(p);
out:
	mutex_unlock(&p->grow);
	if (!ret) {
		if (p->durable)
			evs_durable_moved(p);
		evs_partition_wake(p);
	}
	return ret;
}

/**
 * evs_partition_roll() - close the open segment
 * @p: the partition
 *
 * Return: 0 or -ERESTARTSYS.
 */
int evs_partition_roll(struct evs_partition *p)
{
	if (mutex_lock_interruptible(&p->grow))
		return -ERESTARTSYS;
	if (!READ_ONCE(p->dead))
		evs_seal(p);
	mutex_unlock(&p->grow);
	return 0;
}

/**
 * evs_partition_retain() - drop what was to be dropped and could not be yet
 * @p: the partition
 */
void evs_partition_retain(struct evs_partition *p)
{
	mutex_lock(&p->grow);
	if (!READ_ONCE(p->dead)) {
		evs_drop_by_bytes(p);
		evs_drop_spent(p);
		if (READ_ONCE(p->limits.retention_ms))
			mod_delayed_work(system_unbound_wq, &p->expire, 0);
	}
	mutex_unlock(&p->grow);
}

/* Whether the oldest segment, which is sealed, need not be kept. */
static bool evs_oldest_due(struct evs_partition *p)
{
	u64 bytes = READ_ONCE(p->limits.retention_bytes), keep = READ_ONCE(p->limits.retention_ms);

	return evs_oldest_spent(p) || (bytes && evs_holds_behind_oldest(p, bytes)) ||
	       (keep && READ_ONCE(evs_segment_of(p, p->first)->newest) <=
			ktime_to_ms(ktime_get_real()) - (s64)keep);
}

/**
 * evs_partition_forgo() - drop a segment for which there is no room to finish it
 * @p: the partition, durable
 * @number: the segment's, sealed and written
 *
 * That it goes may be what makes room.
 *
 * Context: the writer's.
 * Return: whether it was to go and has gone.
 */
bool evs_partition_forgo(struct evs_partition *p, u64 number)
{
	bool gone;

	mutex_lock(&p->grow);
	gone = !READ_ONCE(p->dead) && p->first == number && evs_oldest_sealed(p) &&
	       evs_oldest_due(p) && !evs_durable_forgo(p, evs_segment_of(p, number));
	if (gone)
		evs_drop_oldest(p);
	mutex_unlock(&p->grow);
	if (gone)
		evs_partition_wake(p);
	return gone;
}

/**
 * evs_partition_configure() - take over a topic's changed limits
 * @p: the partition
 * @limits: the new ones
 */
void evs_partition_configure(struct evs_partition *p, const struct evs_limits *limits)
{
	mutex_lock(&p->grow);
	WRITE_ONCE(p->limits.ring, limits->ring);
	WRITE_ONCE(p->limits.retention_bytes, limits->retention_bytes);
	WRITE_ONCE(p->limits.retention_ms, limits->retention_ms);
	WRITE_ONCE(p->limits.full, limits->full);
	WRITE_ONCE(p->limits.flush_ms, limits->flush_ms);
	WRITE_ONCE(p->limits.flush_bytes, limits->flush_bytes);
	if (p->durable)
		evs_durable_configured(p);
	while (!p->durable && evs_held(p) > limits->ring && evs_oldest_sealed(p) &&
	       evs_oldest_droppable(p))
		evs_drop_oldest(p);
	evs_drop_by_bytes(p);
	if (limits->retention_ms && p->first < p->next && !READ_ONCE(p->dead))
		mod_delayed_work(system_unbound_wq, &p->expire, 0);
	mutex_unlock(&p->grow);
	evs_partition_wake(p);
}

/**
 * evs_partition_counters() - a partition as it is now
 * @p: the partition
 * @c: out
 *
 * Return: 0 or -EINTR.
 */
int evs_partition_counters(struct evs_partition *p, struct evs_partition_counters *c)
{
	u64 n;

	*c = (struct evs_partition_counters){ .oldest = -1, .newest = -1, .durable = -1 };
	if (mutex_lock_killable(&p->grow))
		return -EINTR;
	spin_lock(&p->lock);
	c->start_offset = p->start_offset;
	c->end_offset = p->end_offset;
	c->start_pos = p->start_pos;
	c->end_pos = p->end_pos;
	c->bytes = p->next_pos - p->padding;
	c->holes = p->holes;
	c->segments = p->next - p->first;
	spin_unlock(&p->lock);
	c->memory = evs_log_memory(&p->log);
	if (p->durable) {
		c->durable = READ_ONCE(p->durable->durable_offset);
		c->unwritten = c->end_pos - min(c->end_pos, READ_ONCE(p->durable->written));
		c->cut = p->durable->cut;
		c->error = -READ_ONCE(p->durable->error);
	}
	for (n = p->first; n < p->next; n++) {
		c->newest = max(c->newest, READ_ONCE(evs_segment_of(p, n)->newest));
		cond_resched();
	}
	mutex_unlock(&p->grow);
	if (c->start_offset < c->end_offset) {
		struct evs_cursor cur = {};
		struct evs_found found;

		evs_cursor_seek(&cur, c->start_offset);
		if (evs_cursor_find(p, &cur, &found) == 1)
			c->oldest = found.timestamp;
		evs_cursor_put(&cur);
	}
	return 0;
}

/*
 * The maps of a volatile log are counted, since it is zeroed only while there are
 * any. Those of a durable one, always zeroed, take no lock under which somebody
 * may wait for a file system: that one may wait for the mm's.
 */
static void evs_vma_open(struct vm_area_struct *vma)
{
	struct evs_partition *p = vma->vm_private_data;

	if (p->durable)
		return;
	mutex_lock(&p->grow);
	p->maps++;
	mutex_unlock(&p->grow);
}

static void evs_vma_close(struct vm_area_struct *vma)
{
	struct evs_partition *p = vma->vm_private_data;

	if (p->durable)
		return;
	mutex_lock(&p->grow);
	if (!--p->maps)
		p->log.zero = false;
	mutex_unlock(&p->grow);
}

static vm_fault_t evs_vma_fault(struct vm_fault *vmf)
{
	struct evs_partition *p = vmf->vma->vm_private_data;

	return evs_log_fault(vmf, evs_end_pos(p));
}

static const struct vm_operations_struct evs_vm_ops = {
	.open		= evs_vma_open,
	.close		= evs_vma_close,
	.fault		= evs_vma_fault,
	.map_pages	= evs_log_map_pages,
};

/*
 * Until somebody maps the log, folios are not zeroed: nothing but what was
 * published is ever copied out of them. Before the first map, what lies behind
 * the last reservation is zeroed and those before it are waited for.
 */
static int evs_zero_ahead(struct evs_partition *p)
{
	u64 pos, room;
	int ret;

	lockdep_assert_held(&p->grow);
	if (p->log.zero)
		return 0;
	spin_lock(&p->lock);
	pos = p->next_pos;
	room = p->room;
	p->room = pos;
	spin_unlock(&p->lock);
	ret = evs_wait_published(p, pos, 0);
	if (!ret) {
		if (pos < p->log.alloc)
			evs_log_zero(&p->log, pos, p->log.alloc - pos);
		p->log.zero = true;
	}
	spin_lock(&p->lock);
	if (!p->dead)
		p->room = room;
	spin_unlock(&p->lock);
	return ret;
}

/**
 * evs_partition_mmap() - map the log or its control page
 * @p: the partition
 * @vma: to set up
 *
 * Return: 0; -EACCES: writable; -EINVAL: private, or neither the control page
 * alone nor a stretch of the log; -ENODEV; -ENOMEM; -EINTR.
 */
int evs_partition_mmap(struct evs_partition *p, struct vm_area_struct *vma)
{
	struct mutex *lock = p->durable ? &p->durable->map : &p->grow;
	int ret;

	if (vma->vm_flags & VM_WRITE)
		return -EACCES;
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff < EVS_LOG_BASE >> PAGE_SHIFT &&
	    (vma->vm_pgoff != EVSTREAM_MMAP_CTL >> PAGE_SHIFT || vma_pages(vma) != 1))
		return -EINVAL;

	if (mutex_lock_killable(lock))
		return -EINTR;
	ret = -ENODEV;
	if (READ_ONCE(p->dead))
		goto out;
	ret = p->durable ? 0 : evs_zero_ahead(p);
	if (ret)
		goto out;
	if (!p->ctl) {
		struct evstream_ctl *ctl = evs_log_ctl(&p->log);

		ret = PTR_ERR_OR_ZERO(ctl);
		if (ret)
			goto out;
		ctl->version = 1;
		ctl->segment_shift = p->log.shift;
		ctl->partition = p->number;
		spin_lock(&p->lock);
		ctl->start_offset = p->start_offset;
		ctl->start_position = p->start_pos;
		ctl->end_offset = p->end_offset;
		ctl->end_position = p->end_pos;
		p->ctl = ctl;
		spin_unlock(&p->lock);
	}
	vm_flags_mod(vma, VM_MIXEDMAP | VM_DONTEXPAND, VM_MAYWRITE);
	vma->vm_private_data = p;
	vma->vm_ops = &evs_vm_ops;
	if (!p->durable)
		p->maps++;
out:
	if (!p->durable && !p->maps)
		p->log.zero = false;
	mutex_unlock(lock);
	return ret;
}

/**
 * evs_partition_new() - an empty partition
 * @number: within its topic
 * @segment_shift: a segment is 1 << this
 * @limits: of its topic
 * @any_wait: woken whenever the partition wakes its own waiters; outlives it
 * @durable: it will have files: see evs_durable_create(), evs_durable_attach()
 *
 * Return: the partition or an ERR_PTR.
 */
struct evs_partition *evs_partition_new(u32 number, u8 segment_shift,
					const struct evs_limits *limits,
					wait_queue_head_t *any_wait, bool durable)
{
	struct evs_partition *p = kmem_cache_zalloc(evs_partition_cache, GFP_KERNEL);
	int ret;

	if (!p)
		return ERR_PTR(-ENOMEM);
	ret = evs_log_init(&p->log, segment_shift, durable ? &evs_durable_store : NULL);
	if (!ret && durable) {
		ret = evs_durable_new(p);
		if (ret)
			evs_log_destroy(&p->log);
	}
	if (ret) {
		kmem_cache_free(evs_partition_cache, p);
		return ERR_PTR(ret);
	}
	p->number = number;
	p->limits = *limits;
	p->any_wait = any_wait;
	p->newest = S64_MIN;
	spin_lock_init(&p->lock);
	INIT_HLIST_HEAD(&p->resv);
	init_waitqueue_head(&p->wait);
	evs_producers_init(&p->producers);
	mutex_init(&p->grow);
	/* A volatile one's is taken under mmap_lock, this one is held over a file system's. */
	if (durable)
		lockdep_set_class(&p->grow, &evs_durable_grow_key);
	xa_init(&p->segments);
	INIT_DELAYED_WORK(&p->expire, evs_expire_work);
	return p;
}

/**
 * evs_partition_refuse() - refuse everything from now on
 * @p: the partition
 *
 * Who waits is woken and gets -ENODEV.
 */
void evs_partition_refuse(struct evs_partition *p)
{
	spin_lock(&p->lock);
	WRITE_ONCE(p->dead, true);
	p->room = p->next_pos;
	if (p->ctl)
		WRITE_ONCE(p->ctl->flags, EVSTREAM_CTL_DEAD);
	spin_unlock(&p->lock);
	/* Without a key: also for those who poll for nothing but the hang-up. */
	wake_up_all(&p->wait);
}

/**
 * evs_partition_kill() - free the log
 * @p: the partition, refusing already
 * @remove: its files, too
 *
 * Return: 0, or the error that the files were not written for, in which case
 * what was not durable may be lost.
 */
int evs_partition_kill(struct evs_partition *p, bool remove)
{
	int ret = 0;

	/* Who was before the flag has left when the lock is had. */
	mutex_lock(&p->grow);
	wait_event(p->wait, evs_published(p, U64_MAX));
	evs_seal(p);
	mutex_unlock(&p->grow);
	cancel_delayed_work_sync(&p->expire);
	if (p->durable)
		ret = evs_durable_stop(p, remove);

	mutex_lock(&p->grow);
	spin_lock(&p->lock);
	p->segment = NULL;
	p->index = NULL;
	spin_unlock(&p->lock);
	while (p->first < p->next)
		evs_drop_oldest(p);
	evs_log_spare(&p->log, 0, 0);
	mutex_unlock(&p->grow);
	if (p->durable)
		evs_durable_free(p);
	return ret;
}

/**
 * evs_partition_free() - free a partition
 * @p: killed, or never used; nobody refers to it
 *
 * Those who find a partition by a number under RCU may look at its memory for a
 * grace period more: the topic, not the partition, is what they find.
 */
void evs_partition_free(struct evs_partition *p)
{
	WARN_ON_ONCE(p->first != p->next);
	evs_log_destroy(&p->log);
	evs_producers_clear(&p->producers);
	evs_durable_free(p);
	kfree(p->durable);
	xa_destroy(&p->segments);
	kmem_cache_free(evs_partition_cache, p);
}
