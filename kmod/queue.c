// SPDX-License-Identifier: GPL-2.0
/*
 * Queue groups.
 *
 * Of each partition a queue knows the next record that nobody has looked at, and
 * those before it that are not settled: items.  What is neither is settled, so the
 * offset to commit is that of the first item, and what is settled behind it costs
 * nothing.  Items are as many as %EVSTREAM_IN_FLIGHT_MAX in a partition at the most.
 *
 * Of a durable topic only that offset is kept: when it is attached again, what was
 * settled behind it is handed out again, and deliveries are counted anew.
 *
 * With %EVSTREAM_JOIN_KEYED the items of one key are in a line, and only the first of
 * it can be handed out.
 *
 * evs_queue.lock is held for looking at items, not for the log, and not for a
 * user's memory: a record that is being copied is acquired already, and put back
 * where that fails.
 *
 * What is given up is settled when it is in the dead-letter topic.  As long as that
 * does not take it (it is full, its disk fails), it stays unsettled and nobody's, and
 * is tried again; where it never will (it was deleted, its segments are smaller than the
 * record, the record cannot be read any more), the record is settled without.
 *
 * Records of compressed batches cannot be handed out.  As for read(), the partition
 * stands there: who would get nothing else gets %EOPNOTSUPP, until the group is set to
 * a record behind it.  So with what cannot be read from a disk, and %EIO.
 */
#include <linux/jiffies.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/rbtree.h>
#include <linux/sched/signal.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/unaligned.h>
#include <uapi/linux/evstream_netlink.h>

#include "group.h"
#include "offsets.h"
#include "partition.h"
#include "quota.h"
#include "queue.h"
#include "topic.h"

#define EVS_QUEUE_LOCK_MS	(30 * MSEC_PER_SEC)
#define EVS_QUEUE_DELIVERIES	5
/* What the dead-letter topic did not take is tried again after so long. */
#define EVS_QUEUE_RETRY_MS	MSEC_PER_SEC
/* Items at a time with the lock held, where there can be any number. */
#define EVS_QUEUE_CHUNK		128u
/* Room for the headers of a dead letter. */
#define EVS_QUEUE_HEADERS	512
/* Nobody has asked for the partition yet: it begins at what is committed. */
#define EVS_QUEUE_NOWHERE	U64_MAX

struct evs_lane;
struct evs_taking;

/**
 * enum evs_item_state - what an item is doing
 * @EVS_ITEM_WAITS: behind another one of its key
 * @EVS_ITEM_READY: can be handed out
 * @EVS_ITEM_ACQUIRED: a member has it
 * @EVS_ITEM_GIVEN_UP: is to be a dead letter
 */
enum evs_item_state {
	EVS_ITEM_WAITS,
	EVS_ITEM_READY,
	EVS_ITEM_ACQUIRED,
	EVS_ITEM_GIVEN_UP,
};

/**
 * struct evs_item_record - the record of an item
 * @offset: its offset
 * @timestamp: ms
 * @pos: its position
 * @size: its bytes
 * @key_at: of them, where the key begins
 * @key_len: bytes of the key, -1: null
 * @value_at: where the value begins
 * @value_len: bytes of the value, -1: null
 * @headers_at: where the headers begin, which go up to its end
 * @headers_count: headers
 * @deliveries: how often it was handed out
 */
struct evs_item_record {
	u64 offset;
	s64 timestamp;
	u64 pos;
	u32 size;
	u32 key_at;
	s32 key_len;
	u32 value_at;
	s32 value_len;
	u32 headers_at;
	u32 headers_count;
	u32 deliveries;
};

/**
 * struct evs_item - a record that is not settled
 * @node: in evs_lane.items; empty: forgotten while somebody makes a letter of it
 * @ready: in evs_lane.ready
 * @first: in evs_queue.keys, where it is the first one of its key
 * @line: those of its key, in their order
 * @list: in evs_member.held, evs_taking.items or evs_queue.given_up
 * @timer: in evs_queue.acquired
 * @lane: its partition
 * @member: who has it
 * @taking: the call that is still copying it
 * @key: hash of its key
 * @deadline: when it is released, jiffies
 * @state: an &enum evs_item_state
 * @keyed: it has a key that counts
 * @read: read() has returned it: the next one accepts it
 * @rejected: why it is given up: not for its deliveries
 * @busy: somebody makes a letter of it
 * @round: when that was tried last
 * @r: the record
 *
 * But for @r, and in what @busy is set, protected by evs_queue.lock.
 */
struct evs_item {
	struct rb_node node;
	struct rb_node ready;
	struct rb_node first;
	struct list_head line;
	struct list_head list;
	struct list_head timer;
	struct evs_lane *lane;
	struct evs_member *member;
	struct evs_taking *taking;
	u64 key;
	unsigned long deadline;
	u8 state;
	bool keyed;
	bool read;
	bool rejected;
	bool busy;
	u32 round;
	struct evs_item_record r;
};

/**
 * struct evs_lane - a partition in a queue
 * @find: who looks for the next record has it, also while a disk is read;
 *	before evs_queue.lock
 * @cursor: where that is; @find
 * @items: by offset
 * @ready: those that can be handed out
 * @next: the first record behind them that nobody has looked at
 * @committed: what was committed last
 * @epoch: how often the group's offset was set by force
 * @nr: items
 * @nr_ready: of them, in @ready
 * @number: the partition's
 * @settled: an offset was committed that nobody has told of yet
 */
struct evs_lane {
	struct mutex find;
	struct evs_cursor cursor;
	struct rb_root_cached items;
	struct rb_root_cached ready;
	u64 next;
	u64 committed;
	u32 epoch;
	u32 nr;
	u32 nr_ready;
	u32 number;
	u32 settled;
};

/**
 * struct evs_queue - the records of a group that are not settled
 * @g: the group
 * @lock: protects lanes and items
 * @turn: the lane to begin with
 * @keys: the first items of each key, by hash
 * @secret: of the hash
 * @acquired: items, in the order of their deadlines
 * @given_up: items that nobody makes a letter of yet
 * @round: how often these were gone through
 * @wake: something can be handed out that could not be before
 * @settled: an offset was committed, as @settled of its lane says
 * @expire: releases what was held for too long
 * @bury: makes letters
 * @tell: tells of what was committed
 * @lock_ms: as &evstream_join
 * @max_deliveries: as &evstream_join
 * @keyed: %EVSTREAM_JOIN_KEYED
 * @letters: there is a dead-letter topic, or was
 * @dead_letter: that one, a reference; NULL once the queue is killed
 * @dead_letter_part: the partition of it, NULL: whichever the key says
 * @dead_letter_name: its name
 * @lane: one for each partition
 */
struct evs_queue {
	struct evs_group *g;
	struct mutex lock;	/* see above */
	u32 turn;
	struct rb_root keys;
	siphash_key_t secret;
	struct list_head acquired;
	struct list_head given_up;
	u32 round;
	bool wake;
	u32 settled;
	struct delayed_work expire;
	struct delayed_work bury;
	struct work_struct tell;
	u32 lock_ms;
	u32 max_deliveries;
	bool keyed;
	bool letters;
	struct evs_topic *dead_letter;
	struct evs_partition *dead_letter_part;
	char dead_letter_name[EVSTREAM_NAME_MAX + 1];
	struct evs_lane *lane;
};

/**
 * struct evs_taking - a call that takes records
 * @q: the queue
 * @m: for whom
 * @items: what it has taken
 * @spare: an item to be used
 * @fresh: offset of the record that was just found in @lane
 * @lane: where @cursor is
 * @cursor: to copy with
 * @to: where keys, values and headers go
 * @records: where &struct evstream_acquired go, NULL: read()
 * @stride: from one to the next
 * @line: read(): a newline behind the value
 * @room: bytes at @to in the beginning
 * @want: records at the most
 * @until: when the first of them may be somebody else's again, jiffies
 * @nr: how many it has
 * @need: bytes that the record needs that had no room
 */
struct evs_taking {
	struct evs_queue *q;
	struct evs_member *m;
	struct list_head items;
	struct evs_item *spare;
	u64 fresh;
	struct evs_lane *lane;
	struct evs_cursor cursor;
	struct iov_iter *to;
	void __user *records;
	u32 stride;
	bool line;
	u32 room;
	u32 want;
	unsigned long until;
	u32 nr;
	u64 need;
};

static struct evs_partition *evs_lane_part(const struct evs_queue *q, const struct evs_lane *lane)
{
	return q->g->topic->partition[lane->number];
}

static struct evs_slot *evs_lane_slot(const struct evs_queue *q, const struct evs_lane *lane)
{
	return &q->g->slot[lane->number];
}

static struct evs_item *evs_item_new(struct evs_queue *q)
{
	int ret = evs_user_charge(q->g->user, EVS_CHARGE_MEMORY, sizeof(struct evs_item));
	struct evs_item *e;

	if (ret)
		return ERR_PTR(ret);
	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (e)
		return e;
	evs_user_uncharge(q->g->user, EVS_CHARGE_MEMORY, sizeof(*e));
	return ERR_PTR(-ENOMEM);
}

static void evs_item_free(struct evs_queue *q, struct evs_item *e)
{
	if (!e)
		return;
	evs_user_uncharge(q->g->user, EVS_CHARGE_MEMORY, sizeof(*e));
	kfree(e);
}

/* Items; the lock is held. */

static struct evs_item *evs_item_of(const struct rb_node *node)
{
	return rb_entry_safe(node, struct evs_item, node);
}

static bool evs_item_before(struct rb_node *a, const struct rb_node *b)
{
	return evs_item_of(a)->r.offset < evs_item_of(b)->r.offset;
}

static bool evs_ready_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct evs_item, ready)->r.offset <
	       rb_entry(b, struct evs_item, ready)->r.offset;
}

static int evs_item_offset_cmp(const void *key, const struct rb_node *node)
{
	u64 offset = *(const u64 *)key, other = evs_item_of(node)->r.offset;

	return offset < other ? -1 : offset > other;
}

static struct evs_item *evs_lane_item(const struct evs_lane *lane, u64 offset)
{
	return evs_item_of(rb_find(&offset, &lane->items.rb_root, evs_item_offset_cmp));
}

static struct evs_item *evs_item_next(const struct evs_item *e)
{
	return evs_item_of(rb_next(&e->node));
}

static int evs_item_key_cmp(struct rb_node *a, const struct rb_node *b)
{
	u64 x = rb_entry(a, struct evs_item, first)->key;
	u64 y = rb_entry(b, struct evs_item, first)->key;

	return x < y ? -1 : x > y;
}

static void evs_item_ready(struct evs_item *e)
{
	struct evs_lane *lane = e->lane;

	e->state = EVS_ITEM_READY;
	rb_add_cached(&e->ready, &lane->ready, evs_ready_before);
	WRITE_ONCE(lane->nr_ready, lane->nr_ready + 1);
}

static void evs_item_unready(struct evs_item *e)
{
	struct evs_lane *lane = e->lane;

	rb_erase_cached(&e->ready, &lane->ready);
	WRITE_ONCE(lane->nr_ready, lane->nr_ready - 1);
}

/* A record that was just found: it comes behind all others. */
static void evs_item_add(struct evs_queue *q, struct evs_lane *lane, struct evs_item *e)
{
	struct rb_node *node = NULL;

	e->lane = lane;
	INIT_LIST_HEAD(&e->line);
	INIT_LIST_HEAD(&e->list);
	INIT_LIST_HEAD(&e->timer);
	rb_add_cached(&e->node, &lane->items, evs_item_before);
	WRITE_ONCE(lane->nr, lane->nr + 1);
	if (e->keyed)
		node = rb_find_add(&e->first, &q->keys, evs_item_key_cmp);
	if (node) {
		e->state = EVS_ITEM_WAITS;
		list_add_tail(&e->line, &rb_entry(node, struct evs_item, first)->line);
	} else {
		evs_item_ready(e);
	}
}

/* Its key's line goes on. */
static void evs_item_leave_line(struct evs_queue *q, struct evs_item *e)
{
	struct evs_item *next;

	if (!e->keyed)
		return;
	if (e->state != EVS_ITEM_WAITS) {
		if (list_empty(&e->line)) {
			rb_erase(&e->first, &q->keys);
		} else {
			next = list_first_entry(&e->line, struct evs_item, line);
			rb_replace_node(&e->first, &next->first, &q->keys);
			evs_item_ready(next);
			q->wake = true;
		}
	}
	list_del_init(&e->line);
}

/* Nobody has it any more. */
static void evs_item_unhold(struct evs_item *e)
{
	if (e->member) {
		WRITE_ONCE(e->member->nr_held, e->member->nr_held - 1);
		e->member = NULL;
	}
	e->taking = NULL;
	e->read = false;
	list_del_init(&e->list);
	list_del_init(&e->timer);
}

/* It is not the queue's any more: settled, or forgotten. */
static void evs_item_remove(struct evs_queue *q, struct evs_item *e)
{
	struct evs_lane *lane = e->lane;

	if (e->state == EVS_ITEM_READY)
		evs_item_unready(e);
	evs_item_leave_line(q, e);
	rb_erase_cached(&e->node, &lane->items);
	RB_CLEAR_NODE(&e->node);
	if (lane->nr == EVSTREAM_IN_FLIGHT_MAX)
		q->wake = true;
	WRITE_ONCE(lane->nr, lane->nr - 1);
	if (e->busy)
		return;
	evs_item_unhold(e);
	evs_item_free(q, e);
}

/* It cannot be handed out any more. Settled by this, where nobody wants letters. */
static void evs_item_give_up(struct evs_queue *q, struct evs_item *e, bool rejected)
{
	evs_item_unhold(e);
	if (!q->letters) {
		evs_item_remove(q, e);
		return;
	}
	e->state = EVS_ITEM_GIVEN_UP;
	e->rejected = rejected;
	list_add_tail(&e->list, &q->given_up);
	mod_delayed_work(system_unbound_wq, &q->bury, 0);
}

/* Who had it did not settle it. */
static void evs_item_release(struct evs_queue *q, struct evs_item *e)
{
	if (e->r.deliveries >= q->max_deliveries) {
		evs_item_give_up(q, e, false);
		return;
	}
	evs_item_unhold(e);
	evs_item_ready(e);
	q->wake = true;
}

/* As if it had not been handed out. */
static void evs_item_put_back(struct evs_queue *q, struct evs_item *e)
{
	e->r.deliveries--;
	evs_item_unhold(e);
	evs_item_ready(e);
	q->wake = true;
}

static void evs_item_acquire(struct evs_queue *q, struct evs_item *e, struct evs_taking *t)
{
	unsigned long lock = msecs_to_jiffies(q->lock_ms) + 1;

	evs_item_unready(e);
	e->state = EVS_ITEM_ACQUIRED;
	e->member = t->m;
	e->taking = t;
	e->r.deliveries++;
	e->deadline = jiffies + lock;
	WRITE_ONCE(t->m->nr_held, t->m->nr_held + 1);
	list_add_tail(&e->list, &t->items);
	/* What is pending comes before this one's, and looks at what is next then. */
	if (list_empty(&q->acquired))
		queue_delayed_work(system_unbound_wq, &q->expire, lock);
	list_add_tail(&e->timer, &q->acquired);
}

/* Lanes; the lock is held. */

static void evs_lane_start(struct evs_queue *q, struct evs_lane *lane)
{
	struct evs_slot *s = evs_lane_slot(q, lane);

	if (lane->next != EVS_QUEUE_NOWHERE)
		return;
	spin_lock(&s->lock);
	lane->committed = s->committed;
	spin_unlock(&s->lock);
	WRITE_ONCE(lane->next, lane->committed);
}

/* What is settled in a row is committed. */
static void evs_lane_commit(struct evs_queue *q, struct evs_lane *lane)
{
	struct evs_item *e = evs_item_of(rb_first_cached(&lane->items));
	struct evs_slot *s = evs_lane_slot(q, lane);
	u64 offset = e ? e->r.offset : lane->next;

	if (offset == EVS_QUEUE_NOWHERE || offset <= lane->committed)
		return;
	spin_lock(&s->lock);
	/* Else it was set by force, and evs_queue_moved() is to come. */
	if (s->committed == lane->committed) {
		evs_slot_set(s, offset);
		WRITE_ONCE(lane->settled, 1);
		/* Pairs with the xchg() in evs_queue_committed(). */
		smp_store_release(&q->settled, 1);
	}
	spin_unlock(&s->lock);
	lane->committed = offset;
}

/* The record to hand out next; those that are gone from the log are settled. */
static struct evs_item *evs_lane_first(struct evs_queue *q, struct evs_lane *lane)
{
	u64 start = READ_ONCE(evs_lane_part(q, lane)->start_offset);
	struct rb_node *node;

	while ((node = rb_first_cached(&lane->ready))) {
		struct evs_item *e = rb_entry(node, struct evs_item, ready);

		if (e->r.offset >= start)
			return e;
		evs_item_remove(q, e);
		evs_lane_commit(q, lane);
	}
	return NULL;
}

/* Whether there may be something to hand out; without the lock. */
static bool evs_lane_has(const struct evs_queue *q, const struct evs_lane *lane)
{
	u64 next = READ_ONCE(lane->next);

	if (READ_ONCE(lane->nr_ready))
		return true;
	if (next == EVS_QUEUE_NOWHERE)
		next = READ_ONCE(evs_lane_slot(q, lane)->committed);
	return next < evs_end_offset(evs_lane_part(q, lane)) &&
	       READ_ONCE(lane->nr) < EVSTREAM_IN_FLIGHT_MAX;
}

/* Unlocks, and wakes the members where there is something for them. */
static void evs_queue_unlock(struct evs_queue *q)
{
	bool wake = q->wake;

	q->wake = false;
	mutex_unlock(&q->lock);
	if (wake)
		evs_group_wake(q->g);
}

/*
 * What was committed makes room, and is kept: by the caller's caller, unless @keep.
 * Under none of the locks.
 */
static void evs_queue_committed(struct evs_queue *q, bool keep)
{
	struct evs_topic *t = q->g->topic;
	u32 i;

	if (!READ_ONCE(q->settled) || !xchg(&q->settled, 0))
		return;
	if (keep)
		evs_offsets_later(t);
	if (t->place || READ_ONCE(t->config.full) != EVSTREAM_FULL_BLOCK)
		return;
	for (i = 0; i < t->partitions; i++)
		if (READ_ONCE(q->lane[i].settled) && xchg(&q->lane[i].settled, 0))
			evs_slot_released(t, i);
}

static void evs_queue_tell_work(struct work_struct *work)
{
	evs_queue_committed(container_of(work, struct evs_queue, tell), true);
}

/* Records */

/* Keys of one hash wait for each other, equal or not. */
static int evs_item_hash(struct evs_queue *q, struct evs_partition *p, struct evs_view *view,
			 struct evs_item *e)
{
	u64 pos = e->r.pos + e->r.key_at, end;
	u8 buf[8 + 256];
	int ret;

	e->keyed = q->keyed && e->r.key_len >= 0;
	if (!e->keyed)
		return 0;
	e->key = 0;
	for (end = pos + e->r.key_len; pos < end;) {
		u32 n = min_t(u64, end - pos, sizeof(buf) - 8);

		put_unaligned(e->key, (u64 *)buf);
		ret = evs_view_read(&p->log, view, pos, buf + 8, n);
		if (ret)
			return ret;
		e->key = siphash(buf, n + 8, &q->secret);
		pos += n;
	}
	return 0;
}

/* What of a record must be known to hand it out. */
static int evs_item_parse(struct evs_queue *q, struct evs_partition *p, struct evs_view *view,
			  const struct evs_found *f, struct evs_item *e)
{
	struct evs_record_head h;
	u8 buf[EVS_RECORD_HEAD];
	const u8 *stop;
	s32 count;
	u32 n;
	int ret;

	n = min_t(u32, f->size, sizeof(buf));
	ret = evs_view_read(&p->log, view, f->pos, buf, n);
	if (ret)
		return ret;
	if (evs_record_head_get(buf, buf + n, &h) || h.size != f->size)
		return -EIO;
	e->r.offset = f->offset;
	e->r.timestamp = f->timestamp;
	e->r.pos = f->pos;
	e->r.size = f->size;
	e->r.key_at = h.head;
	e->r.key_len = h.key_len;
	e->r.value_at = f->value_pos - f->pos;
	e->r.value_len = f->value_len;
	e->r.headers_at = e->r.value_at + max(f->value_len, 0);
	n = min_t(u32, f->size - e->r.headers_at, EVS_VARINT);
	ret = evs_view_read(&p->log, view, f->pos + e->r.headers_at, buf, n);
	if (ret)
		return ret;
	stop = evs_varint32_get(buf, buf + n, &count);
	if (!stop || count < 0)
		return -EIO;
	e->r.headers_at += stop - buf;
	e->r.headers_count = count;
	return evs_item_hash(q, p, view, e);
}

/*
 * Looks for the next record that nobody has looked at: 1: there is something to
 * hand out, or it is worth to look once more; 0: there is not, or no room for it; or
 * -errno.  @lane->find is held.
 */
static int evs_lane_find(struct evs_queue *q, struct evs_lane *lane, struct evs_taking *t)
{
	struct evs_partition *p = evs_lane_part(q, lane);
	struct evs_cursor *c = &lane->cursor;
	struct evs_found f;
	u32 epoch;
	int ret;

	mutex_lock(&q->lock);
	evs_lane_start(q, lane);
	ret = evs_lane_first(q, lane) ? 1 : 0;
	if (ret || lane->nr >= EVSTREAM_IN_FLIGHT_MAX) {
		evs_queue_unlock(q);
		return ret;
	}
	if (c->offset != lane->next)
		evs_cursor_seek(c, lane->next);
	epoch = lane->epoch;
	evs_queue_unlock(q);

	ret = evs_cursor_find(p, c, &f);
	if (ret == 1) {
		int err = evs_item_parse(q, p, &c->view, &f, t->spare);

		if (err == -ENODATA) {
			/* Dropped meanwhile: the next look tells. */
			evs_cursor_seek(c, c->offset);
			return 1;
		}
		if (err)
			return err;
	}
	if (ret < 0 && ret != -EPIPE)
		return ret;

	mutex_lock(&q->lock);
	if (lane->epoch != epoch) {
		ret = 1;
	} else if (ret == 1) {
		evs_cursor_advance(c, &f);
		WRITE_ONCE(lane->next, f.offset + 1);
		evs_item_add(q, lane, t->spare);
		t->fresh = f.offset;
		t->spare = NULL;
	} else {
		/* Behind what is gone, or holds no records. */
		WRITE_ONCE(lane->next, c->offset);
		ret = ret == -EPIPE;
	}
	evs_lane_commit(q, lane);
	evs_queue_unlock(q);
	return ret;
}

static int evs_lane_extend(struct evs_queue *q, struct evs_lane *lane, struct evs_taking *t)
{
	int ret;

	if (!evs_lane_has(q, lane))
		return 0;
	if (!t->spare) {
		t->spare = evs_item_new(q);
		if (IS_ERR(t->spare)) {
			ret = PTR_ERR(t->spare);
			t->spare = NULL;
			return ret;
		}
	}
	if (mutex_lock_interruptible(&lane->find))
		return -ERESTARTSYS;
	ret = evs_lane_find(q, lane, t);
	/* One folio for each of thousands of partitions would be a lot. */
	evs_cursor_put(&lane->cursor);
	mutex_unlock(&lane->find);
	/* What was found may be nothing to hand out, many times. */
	return ret == 1 && fatal_signal_pending(current) ? -EINTR : ret;
}

/* Takes a record out of a lane: 1; 0: there is none; -EMSGSIZE; -errno. */
static int evs_lane_take(struct evs_taking *t, struct evs_lane *lane, struct evs_item_record *r,
			 bool *fresh)
{
	struct evs_queue *q = t->q;
	struct evs_item *e;
	int ret;

	t->fresh = EVS_QUEUE_NOWHERE;
	for (;;) {
		mutex_lock(&q->lock);
		/* It might get what it had once more. */
		if (t->nr && time_after(jiffies, t->until)) {
			evs_queue_unlock(q);
			return 0;
		}
		e = evs_lane_first(q, lane);
		if (e)
			break;
		evs_queue_unlock(q);
		ret = evs_lane_extend(q, lane, t);
		if (ret <= 0)
			return ret;
		cond_resched();
	}
	t->need = max(e->r.value_len, 0);
	if (t->records)
		t->need += (u64)max(e->r.key_len, 0) + e->r.size - e->r.headers_at;
	else
		t->need += t->line;
	ret = -EMSGSIZE;
	if (t->need <= iov_iter_count(t->to)) {
		evs_item_acquire(q, e, t);
		*r = e->r;
		*fresh = e->r.offset == t->fresh;
		ret = 1;
	}
	evs_queue_unlock(q);
	/* Before the copy, which can take for as long as the user likes. */
	if (ret == 1 && !t->nr)
		evs_group_wake_next(q->g);
	return ret;
}

/* What was just taken, where it is not somebody else's by now. */
static struct evs_item *evs_taking_item(struct evs_taking *t, const struct evs_lane *lane,
					u64 offset)
{
	struct evs_item *e = evs_lane_item(lane, offset);

	return e && e->taking == t ? e : NULL;
}

/*
 * Stands a cursor at a record: 0; -EPIPE: it is gone; or -errno.  What comes from a
 * disk and was not just looked at is looked at again.
 */
static int evs_record_at(struct evs_partition *p, struct evs_cursor *c,
			 const struct evs_item_record *r, bool fresh)
{
	struct evs_found f;
	int ret;

	ret = evs_view_at(&p->log, &c->view, r->pos);
	if (ret)
		return ret == -ENODATA ? -EPIPE : ret;
	if (fresh || !c->view.cold)
		return 0;
	if (c->rec && r->offset >= c->offset &&
	    r->offset <= c->batch.base_offset + c->batch.last_delta)
		c->offset = r->offset;
	else
		evs_cursor_seek(c, r->offset);
	ret = evs_cursor_find(p, c, &f);
	if (ret < 0)
		return ret;
	return ret && f.pos == r->pos && f.size == r->size ? 0 : -EPIPE;
}

/* Copies a record that was taken: 0; -EPIPE: it is gone; or -errno. */
static int evs_taking_copy(struct evs_taking *t, struct evs_partition *p,
			   const struct evs_item_record *r)
{
	struct evs_cursor *c = &t->cursor;
	struct evstream_acquired a = {
		.partition = p->number,
		.deliveries = r->deliveries,
		.offset = r->offset,
		.timestamp = r->timestamp,
		.key_len = r->key_len,
		.value_len = r->value_len,
		.headers_len = r->size - r->headers_at,
		.headers_count = r->headers_count,
	};
	int ret;

	if (!t->records) {
		ret = evs_cursor_copy(p, c, r->pos + r->value_at, max(r->value_len, 0), t->to);
		if (!ret && t->line && copy_to_iter("\n", 1, t->to) != 1)
			ret = -EFAULT;
		return ret;
	}
	a.key = t->room - iov_iter_count(t->to);
	ret = evs_cursor_copy(p, c, r->pos + r->key_at, max(r->key_len, 0), t->to);
	a.value = t->room - iov_iter_count(t->to);
	if (!ret)
		ret = evs_cursor_copy(p, c, r->pos + r->value_at, max(r->value_len, 0), t->to);
	a.headers = t->room - iov_iter_count(t->to);
	if (!ret)
		ret = evs_cursor_copy(p, c, r->pos + r->headers_at, a.headers_len, t->to);
	if (!ret) {
		void __user *to = t->records + (size_t)t->nr * t->stride;

		if (copy_to_user(to, &a, sizeof(a)) ||
		    clear_user(to + sizeof(a), t->stride - sizeof(a)))
			ret = -EFAULT;
	}
	return ret;
}

/* Takes up to @max records from a lane, and copies them: 0, or why it ended. */
static int evs_taking_lane(struct evs_taking *t, struct evs_lane *lane, u32 max)
{
	struct evs_queue *q = t->q;
	struct evs_partition *p = evs_lane_part(q, lane);
	struct evs_item_record r;
	bool fresh;
	int ret;

	if (t->lane != lane) {
		evs_cursor_put(&t->cursor);
		t->cursor = (struct evs_cursor){};
		t->lane = lane;
	}
	while (max) {
		struct iov_iter before = *t->to;
		struct evs_item *e;

		ret = evs_lane_take(t, lane, &r, &fresh);
		if (ret <= 0)
			return ret;
		ret = evs_record_at(p, &t->cursor, &r, fresh);
		if (!ret)
			ret = evs_taking_copy(t, p, &r);
		if (!ret) {
			t->nr++;
			max--;
			cond_resched();
			continue;
		}
		*t->to = before;
		mutex_lock(&q->lock);
		e = evs_taking_item(t, lane, r.offset);
		if (e && ret == -EPIPE) {
			evs_item_unhold(e);
			evs_item_remove(q, e);
			evs_lane_commit(q, lane);
		} else if (e) {
			evs_item_put_back(q, e);
		}
		evs_queue_unlock(q);
		if (ret != -EPIPE)
			return ret;
	}
	return 0;
}

/* Goes around the partitions: 0, or why there are not as many as wanted. */
static int evs_taking_run(struct evs_taking *t)
{
	u32 n = t->q->g->topic->partitions, max = DIV_ROUND_UP(t->want, 8);
	u32 i, before, at = READ_ONCE(t->q->turn);
	int ret = 0, error = -EAGAIN;

	do {
		before = t->nr;
		for (i = 0; i < n && t->nr < t->want; i++) {
			struct evs_lane *lane = &t->q->lane[at];
			u32 nr = t->nr;

			if (evs_lane_has(t->q, lane)) {
				ret = evs_taking_lane(t, lane, min(max, t->want - t->nr));
				if (ret && ret != -EIO && ret != -EOPNOTSUPP)
					return ret;
				/* The other partitions have a turn still. */
				if (ret)
					error = ret;
			}
			at = at + 1 < n ? at + 1 : 0;
			if (t->nr != nr)
				WRITE_ONCE(t->q->turn, at);
		}
		if (t->nr && signal_pending(current))
			break;
		cond_resched();
	} while (t->nr != before && t->nr < t->want);
	return error;
}

/* What was taken is the member's, or, with @undo, as if it never had been. */
static int evs_taking_end(struct evs_taking *t, bool undo)
{
	struct evs_queue *q = t->q;
	struct evs_item *e, *next;
	bool left;

	evs_cursor_put(&t->cursor);
	evs_item_free(t->q, t->spare);
	mutex_lock(&q->lock);
	/* evs_queue_leave() comes when it is not any more, and finds what is held. */
	left = !READ_ONCE(t->m->joined);
	list_for_each_entry_safe(e, next, &t->items, list) {
		if (undo || left) {
			evs_item_put_back(q, e);
			continue;
		}
		e->taking = NULL;
		e->read = !t->records;
		if (e->read)
			list_move(&e->list, &t->m->held);
		else
			list_move_tail(&e->list, &t->m->held);
	}
	evs_queue_unlock(q);
	evs_queue_committed(q, true);
	return left ? -ESTALE : 0;
}

static int evs_taking_do(struct evs_taking *t)
{
	int ret, left;

	INIT_LIST_HEAD(&t->items);
	t->room = iov_iter_count(t->to);
	t->until = jiffies + msecs_to_jiffies(READ_ONCE(t->q->lock_ms));
	ret = evs_taking_run(t);
	left = evs_taking_end(t, ret == -EFAULT);
	if (left)
		return left;
	return t->nr && ret != -EFAULT ? 0 : ret;
}

/**
 * evs_queue_acquire() - take records from a queue
 * @m: who takes them
 * @a: how many, and where they go; out: @nr, @need
 *
 * Does not wait for records.  What it has taken is the member's; where it fails,
 * nothing is, and deliveries are as before.
 *
 * Return: 0, with at least one; -EAGAIN: there is none; -EMSGSIZE: the next one needs
 * more room; -EFAULT; -ESTALE: the member has left; -EDQUOT: no more can be in flight;
 * -EOPNOTSUPP, -EIO, -ENODEV, -ENOMEM, -EINTR: as evs_cursor_find(); -ERESTARTSYS.
 */
int evs_queue_acquire(struct evs_member *m, struct evstream_acquire *a)
{
	struct evs_taking t = {
		.q = m->group->queue,
		.m = m,
		.records = u64_to_user_ptr(a->records),
		.stride = a->record_size,
		.want = a->nr_records,
	};
	struct iov_iter to;
	int ret;

	a->nr = 0;
	a->need = 0;
	/* NULL stands for read(). */
	if (!t.records)
		return -EFAULT;
	ret = import_ubuf(ITER_DEST, u64_to_user_ptr(a->buf), a->len, &to);
	if (ret)
		return ret;
	t.to = &to;
	ret = evs_taking_do(&t);
	if (!ret)
		a->nr = t.nr;
	else if (ret == -EMSGSIZE)
		a->need = t.need;
	return ret;
}

/* What read() has returned before is accepted by the next one. */
static void evs_queue_accept_read(struct evs_queue *q, struct evs_member *m)
{
	struct evs_item *e;

	mutex_lock(&q->lock);
	while ((e = list_first_entry_or_null(&m->held, struct evs_item, list)) && e->read) {
		struct evs_lane *lane = e->lane;

		evs_item_unhold(e);
		evs_item_remove(q, e);
		evs_lane_commit(q, lane);
	}
	evs_queue_unlock(q);
}

/**
 * evs_queue_read() - take one record from a queue
 * @m: who takes it
 * @to: where its value goes
 * @line: with a newline behind it
 *
 * Accepts what the read before it returned, whether or not there is another one.
 *
 * Return: bytes; or as evs_queue_acquire().
 */
ssize_t evs_queue_read(struct evs_member *m, struct iov_iter *to, bool line)
{
	struct evs_taking t = {
		.q = m->group->queue,
		.m = m,
		.to = to,
		.line = line,
		.want = 1,
	};
	size_t room = iov_iter_count(to);
	int ret;

	evs_queue_accept_read(t.q, m);
	ret = evs_taking_do(&t);
	return ret ? ret : room - iov_iter_count(to);
}

/* Dead letters */

static u8 *evs_header_put(u8 *at, const char *name, const char *value)
{
	u32 n = strlen(name), v = strlen(value);

	at = evs_varint_put(at, n);
	memcpy(at, name, n);
	at = evs_varint_put(at + n, v);
	memcpy(at, value, v);
	return at + v;
}

static u8 *evs_header_put_u64(u8 *at, const char *name, u64 value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", value);
	return evs_header_put(at, name, text);
}

/* Headers that say where a dead letter comes from, behind its own. */
static u32 evs_letter_headers(const struct evs_queue *q, const struct evs_item *e, u8 *at)
{
	u8 *from = at;

	at = evs_header_put(at, "evstream.topic", q->g->topic->config.name);
	at = evs_header_put_u64(at, "evstream.partition", e->lane->number);
	at = evs_header_put_u64(at, "evstream.offset", e->r.offset);
	at = evs_header_put_u64(at, "evstream.deliveries", e->r.deliveries);
	at = evs_header_put(at, "evstream.reason", e->rejected ? "rejected" : "deliveries");
	return at - from;
}

/* That will not change, and must not hold up for ever what is behind it. */
static int evs_letter_never(const struct evs_queue *q, const struct evs_item *e, const char *why)
{
	pr_warn_ratelimited("evstream: %s/%u: record %llu was given up, and is no dead letter: %s\n",
			    q->g->topic->config.name, e->lane->number, e->r.offset, why);
	return 0;
}

static int evs_letter_append(struct evs_queue *q, struct evs_topic *t,
			     struct evs_partition *part, const struct evs_item *e, u8 *buf)
{
	struct evs_source src = {
		.key = e->r.key_len >= 0 ? buf + e->r.key_at : NULL,
		.key_len = e->r.key_len,
		.value = e->r.value_len >= 0 ? buf + e->r.value_at : NULL,
		.value_len = e->r.value_len,
		.headers = buf + e->r.headers_at,
		.headers_count = e->r.headers_count + 5,
		/* Not its own, or it might be gone at once: retention goes by it. */
		.timestamp = -1,
	};
	u64 offset;
	int ret;

	src.headers_len = e->r.size - e->r.headers_at +
			  evs_letter_headers(q, e, buf + e->r.size);
	if (!part)
		part = evs_topic_route(t, src.key, src.key_len, e->lane->number % t->partitions);
	ret = evs_append_sources(part, &src, 1, EVS_NONBLOCK, &offset);
	if (ret == -ENODEV)
		return evs_letter_never(q, e, "that topic was deleted");
	if (ret == -EMSGSIZE)
		return evs_letter_never(q, e, "that topic's segments are too small");
	return ret;
}

/* Makes a letter of an item that is busy: 0, also where there is nothing any more. */
static int evs_letter_write(struct evs_queue *q, const struct evs_item *e)
{
	struct evs_partition *p = evs_lane_part(q, e->lane), *part;
	struct evs_cursor c = {};
	struct evs_topic *t;
	u8 *buf;
	int ret;

	mutex_lock(&q->lock);
	t = q->dead_letter;
	part = q->dead_letter_part;
	if (t && !evs_topic_tryget(t))
		t = NULL;
	mutex_unlock(&q->lock);
	/* The queue is being taken away, and this is as it is. */
	if (!t)
		return -ESHUTDOWN;
	ret = -ENOMEM;
	buf = kvmalloc((size_t)e->r.size + EVS_QUEUE_HEADERS, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!buf)
		goto put;
	ret = evs_record_at(p, &c, &e->r, false);
	if (!ret) {
		ret = evs_view_read(&p->log, &c.view, e->r.pos, buf, e->r.size);
		if (ret == -ENODATA)
			ret = -EPIPE;
	}
	evs_cursor_put(&c);
	if (!ret)
		ret = evs_letter_append(q, t, part, e, buf);
	else if (ret == -EPIPE)
		ret = 0;
	else if (ret == -EIO)
		ret = evs_letter_never(q, e, "it cannot be read");
	kvfree(buf);
put:
	evs_topic_put(t);
	return ret;
}

/* The lock is held. */
static void evs_letter_written(struct evs_queue *q, struct evs_item *e, int err)
{
	struct evs_lane *lane = e->lane;

	e->busy = false;
	if (RB_EMPTY_NODE(&e->node)) {
		evs_item_free(q, e);
	} else if (err) {
		/* It stays where it is, and nothing of it is lost. */
		list_add_tail(&e->list, &q->given_up);
	} else {
		evs_item_remove(q, e);
		evs_lane_commit(q, lane);
	}
}

/* Whether the next one may do better. */
static bool evs_letter_alone(int err)
{
	return !err || err == -EIO;
}

static void evs_queue_bury_work(struct work_struct *work)
{
	struct evs_queue *q = container_of(to_delayed_work(work), struct evs_queue, bury);
	struct evs_item *e;
	bool failed = false;
	int ret = 0;

	mutex_lock(&q->lock);
	q->round++;
	while (evs_letter_alone(ret)) {
		e = list_first_entry_or_null(&q->given_up, struct evs_item, list);
		/* What fails goes to the end, and is not tried twice. */
		if (!e || e->round == q->round)
			break;
		list_del_init(&e->list);
		e->round = q->round;
		e->busy = true;
		mutex_unlock(&q->lock);
		ret = evs_letter_write(q, e);
		cond_resched();
		mutex_lock(&q->lock);
		evs_letter_written(q, e, ret);
		if (ret)
			failed = true;
	}
	evs_queue_unlock(q);
	evs_queue_committed(q, true);
	if (failed)
		queue_delayed_work(system_unbound_wq, &q->bury,
				   msecs_to_jiffies(EVS_QUEUE_RETRY_MS));
}

/* What a member has rejected: by itself, so that it is settled when it returns. */
static void evs_queue_bury_own(struct evs_queue *q, struct list_head *own)
{
	struct evs_item *e, *next;
	int ret = 0;

	list_for_each_entry_safe(e, next, own, list) {
		list_del_init(&e->list);
		if (!ret)
			ret = signal_pending(current) ? -EINTR : evs_letter_write(q, e);
		mutex_lock(&q->lock);
		evs_letter_written(q, e, ret);
		evs_queue_unlock(q);
		cond_resched();
	}
	if (ret)
		queue_delayed_work(system_unbound_wq, &q->bury,
				   ret == -EINTR ? 0 : msecs_to_jiffies(EVS_QUEUE_RETRY_MS));
}

/* Settling */

/* Whether @m has all of them; the lock is held. */
static bool evs_queue_has_all(const struct evs_lane *lane, const struct evs_member *m, u64 first,
			      u64 last)
{
	const struct evs_item *e;

	if (last - first >= lane->nr)
		return false;
	e = evs_lane_item(lane, first);
	for (;; first++, e = evs_item_next(e)) {
		if (!e || e->r.offset != first || e->member != m || e->taking)
			return false;
		if (first == last)
			return true;
	}
}

static void evs_item_settle(struct evs_queue *q, struct evs_item *e, u32 settle,
			    struct list_head *own)
{
	switch (settle) {
	case EVSTREAM_SETTLE_ACCEPT:
		evs_item_unhold(e);
		evs_item_remove(q, e);
		break;
	case EVSTREAM_SETTLE_RELEASE:
		evs_item_release(q, e);
		break;
	case EVSTREAM_SETTLE_REJECT:
		if (!q->letters) {
			evs_item_give_up(q, e, true);
			break;
		}
		evs_item_unhold(e);
		e->state = EVS_ITEM_GIVEN_UP;
		e->rejected = true;
		e->busy = true;
		list_add_tail(&e->list, own);
		break;
	default:
		e->deadline = jiffies + msecs_to_jiffies(q->lock_ms) + 1;
		list_move_tail(&e->timer, &q->acquired);
		break;
	}
}

/**
 * evs_queue_settle() - settle records that were taken
 * @m: who has taken them
 * @a: which ones, and what becomes of them
 *
 * A rejected record is a dead letter when this returns, or, where that topic does not
 * take it at once, is tried again, and is not settled until then.
 *
 * Return: 0; -ESTALE: @m does not have one of them, and nothing was changed; -EINVAL;
 * -ENXIO.
 */
int evs_queue_settle(struct evs_member *m, struct evstream_ack_entry *a)
{
	struct evs_queue *q = m->group->queue;
	u64 first = a->first, last = a->last, offset;
	struct evs_item *e, *next;
	struct evs_lane *lane;
	LIST_HEAD(own);

	if (a->settle > EVSTREAM_SETTLE_RENEW || a->first < 0 || a->last < a->first)
		return -EINVAL;
	if (a->partition >= q->g->topic->partitions)
		return -ENXIO;
	lane = &q->lane[a->partition];
	mutex_lock(&q->lock);
	if (!evs_queue_has_all(lane, m, first, last)) {
		mutex_unlock(&q->lock);
		return -ESTALE;
	}
	e = evs_lane_item(lane, first);
	for (offset = first; offset <= last; offset++, e = next) {
		next = evs_item_next(e);
		evs_item_settle(q, e, a->settle, &own);
	}
	evs_lane_commit(q, lane);
	evs_queue_unlock(q);
	evs_queue_bury_own(q, &own);
	evs_queue_committed(q, false);
	return 0;
}

/**
 * evs_queue_settle_all() - accept all records that a member has
 * @m: the member
 *
 * Return: 0.
 */
int evs_queue_settle_all(struct evs_member *m)
{
	struct evs_queue *q = m->group->queue;
	u32 left = READ_ONCE(m->nr_held), n;
	struct evs_item *e;

	while (left) {
		mutex_lock(&q->lock);
		for (n = min(left, EVS_QUEUE_CHUNK); n; n--, left--) {
			struct evs_lane *lane;

			e = list_first_entry_or_null(&m->held, struct evs_item, list);
			if (!e) {
				left = 0;
				break;
			}
			lane = e->lane;
			evs_item_unhold(e);
			evs_item_remove(q, e);
			evs_lane_commit(q, lane);
		}
		evs_queue_unlock(q);
		cond_resched();
	}
	evs_queue_committed(q, false);
	return 0;
}

static void evs_queue_expire_work(struct work_struct *work)
{
	struct evs_queue *q = container_of(to_delayed_work(work), struct evs_queue, expire);
	unsigned long now, wait = 0;
	struct evs_item *e;
	bool more;
	u32 n;

	do {
		more = false;
		wait = 0;
		mutex_lock(&q->lock);
		now = jiffies;
		for (n = 0; n < EVS_QUEUE_CHUNK; n++) {
			struct evs_lane *lane;

			e = list_first_entry_or_null(&q->acquired, struct evs_item, timer);
			if (!e)
				break;
			if (time_before(now, e->deadline)) {
				wait = e->deadline - now;
				break;
			}
			lane = e->lane;
			evs_item_release(q, e);
			evs_lane_commit(q, lane);
		}
		more = n == EVS_QUEUE_CHUNK;
		if (wait)
			queue_delayed_work(system_unbound_wq, &q->expire, wait);
		evs_queue_unlock(q);
		cond_resched();
	} while (more);
	evs_queue_committed(q, true);
}

/**
 * evs_queue_leave() - a member has left
 * @g: its group, locked
 * @m: the member, which is not joined any more
 *
 * When it returns, the others can have what the member had.
 */
void evs_queue_leave(struct evs_group *g, struct evs_member *m)
{
	struct evs_queue *q = g->queue;
	struct evs_item *e;
	bool more;
	u32 n;

	lockdep_assert_held(&g->lock);
	do {
		mutex_lock(&q->lock);
		for (n = 0; n < EVS_QUEUE_CHUNK; n++) {
			struct evs_lane *lane;

			e = list_first_entry_or_null(&m->held, struct evs_item, list);
			if (!e)
				break;
			lane = e->lane;
			evs_item_release(q, e);
			evs_lane_commit(q, lane);
		}
		more = n == EVS_QUEUE_CHUNK;
		evs_queue_unlock(q);
		cond_resched();
	} while (more);
	/* Which takes locks that come before the group's. */
	if (READ_ONCE(q->settled))
		queue_work(system_unbound_wq, &q->tell);
}

/**
 * evs_queue_moved() - a group's offset was set by force
 * @g: the group
 * @partition: where; its slot has the new offset
 *
 * The queue goes on from there.  Who has a record of before cannot settle it any
 * more.
 */
void evs_queue_moved(struct evs_group *g, u32 partition)
{
	struct evs_queue *q = g->queue;
	struct evs_lane *lane = &q->lane[partition];
	struct evs_item *e;

	mutex_lock(&q->lock);
	while ((e = evs_item_of(rb_first_cached(&lane->items))))
		evs_item_remove(q, e);
	lane->epoch++;
	WRITE_ONCE(lane->next, EVS_QUEUE_NOWHERE);
	q->wake = true;
	evs_queue_unlock(q);
}

/**
 * evs_queue_ready() - whether there may be something to take
 * @g: the group
 *
 * Context: any.
 */
bool evs_queue_ready(struct evs_group *g)
{
	u32 i;

	for (i = 0; i < g->topic->partitions; i++)
		if (evs_lane_has(g->queue, &g->queue->lane[i]))
			return true;
	return false;
}

/**
 * evs_queue_info() - the queue's part of a group as it is now
 * @g: the group, locked
 * @info: out
 */
void evs_queue_info(struct evs_group *g, struct evs_group_info *info)
{
	const struct evs_queue *q = g->queue;

	info->lock_ms = q->lock_ms;
	info->max_deliveries = q->max_deliveries;
	info->keyed = q->keyed;
	strscpy(info->dead_letter, q->dead_letter_name, sizeof(info->dead_letter));
}

/**
 * evs_queue_offset() - the queue's part of a partition as it is now
 * @g: the group
 * @partition: which one
 * @info: out
 */
void evs_queue_offset(struct evs_group *g, u32 partition, struct evs_offset_info *info)
{
	struct evs_queue *q = g->queue;
	struct evs_lane *lane = &q->lane[partition];
	const struct evs_item *e;

	mutex_lock(&q->lock);
	info->held = 0;
	info->released = 0;
	if (lane->next != EVS_QUEUE_NOWHERE)
		info->position = lane->next;
	for (e = evs_item_of(rb_first_cached(&lane->items)); e; e = evs_item_next(e)) {
		if (e->state == EVS_ITEM_ACQUIRED)
			info->held++;
		else if (e->r.deliveries)
			info->released++;
	}
	mutex_unlock(&q->lock);
}

/* Life */

/**
 * evs_queue_configure() - what who joins asks for becomes the queue's
 * @g: the group, which has no members yet
 * @j: what is asked for; the queue takes a reference of its own
 */
void evs_queue_configure(struct evs_group *g, const struct evs_join *j)
{
	struct evs_queue *q = g->queue;
	struct evs_topic *t = j->dead_letter, *old;

	if (t && !evs_topic_tryget(t))
		t = NULL;
	mutex_lock(&q->lock);
	old = q->dead_letter;
	q->dead_letter = t;
	q->dead_letter_part = t ? j->dead_letter_part : NULL;
	q->letters = t;
	strscpy(q->dead_letter_name, t ? t->config.name : "", sizeof(q->dead_letter_name));
	WRITE_ONCE(q->lock_ms, j->lock_ms ?: EVS_QUEUE_LOCK_MS);
	q->max_deliveries = j->max_deliveries ?: EVS_QUEUE_DELIVERIES;
	q->keyed = j->flags & EVSTREAM_JOIN_KEYED;
	mutex_unlock(&q->lock);
	if (old)
		evs_topic_put(old);
}

/**
 * evs_queue_new() - make a group a queue
 * @g: the group, which nobody knows yet
 * @j: what who makes it asks for; the queue takes references of its own
 *
 * Return: 0 or -ENOMEM.
 */
int evs_queue_new(struct evs_group *g, const struct evs_join *j)
{
	struct evs_queue *q = kzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT);
	u32 i;

	if (!q)
		return -ENOMEM;
	q->lane = kvcalloc(g->topic->partitions, sizeof(*q->lane), GFP_KERNEL_ACCOUNT);
	if (!q->lane) {
		kfree(q);
		return -ENOMEM;
	}
	for (i = 0; i < g->topic->partitions; i++) {
		mutex_init(&q->lane[i].find);
		q->lane[i].next = EVS_QUEUE_NOWHERE;
		q->lane[i].number = i;
	}
	q->g = g;
	g->memory += sizeof(*q) + (u64)g->topic->partitions * sizeof(*q->lane);
	mutex_init(&q->lock);
	q->keys = RB_ROOT;
	get_random_bytes(&q->secret, sizeof(q->secret));
	INIT_LIST_HEAD(&q->acquired);
	INIT_LIST_HEAD(&q->given_up);
	INIT_DELAYED_WORK(&q->expire, evs_queue_expire_work);
	INIT_DELAYED_WORK(&q->bury, evs_queue_bury_work);
	INIT_WORK(&q->tell, evs_queue_tell_work);
	g->queue = q;
	evs_queue_configure(g, j);
	return 0;
}

/**
 * evs_queue_kill() - a group or its topic is being taken away
 * @g: the group, not locked
 *
 * Lets go of the dead-letter topic, which may have a queue that has this topic for
 * its own.  What is given up and no letter yet stays as it is.
 */
void evs_queue_kill(struct evs_group *g)
{
	struct evs_queue *q = g->queue;
	struct evs_topic *t;

	disable_delayed_work_sync(&q->expire);
	disable_delayed_work_sync(&q->bury);
	disable_work_sync(&q->tell);
	mutex_lock(&q->lock);
	t = q->dead_letter;
	q->dead_letter = NULL;
	mutex_unlock(&q->lock);
	if (t)
		evs_topic_put(t);
}

/**
 * evs_queue_free() - free a queue
 * @g: its group, which nobody has any more
 */
void evs_queue_free(struct evs_group *g)
{
	struct evs_queue *q = g->queue;
	struct evs_item *e, *next;
	u32 i;

	evs_queue_kill(g);
	for (i = 0; i < g->topic->partitions; i++) {
		struct evs_lane *lane = &q->lane[i];

		rbtree_postorder_for_each_entry_safe(e, next, &lane->items.rb_root, node)
			evs_item_free(q, e);
		mutex_destroy(&lane->find);
		cond_resched();
	}
	mutex_destroy(&q->lock);
	kvfree(q->lane);
	kfree(q);
	g->queue = NULL;
}
