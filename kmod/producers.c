// SPDX-License-Identifier: GPL-2.0
/*
 * The idempotent producers that a partition remembers.
 *
 * A durable partition has two tables: that of its appends, and one that knows
 * nothing but what is in finished segments. The second is what is written down: a
 * producer must not be told of a duplicate whose original a power cut has taken.
 */
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/slab.h>

#include "batch.h"
#include "durable.h"
#include "internal.h"
#include "partition.h"
#include "producers.h"

struct evs_known_producer {
	union {
		struct rb_node node;
		struct llist_node spare;
	};
	struct list_head order;
	s64 id;
	struct evs_producer_state state;
};

/**
 * evs_producers_init() - an empty table
 * @t: the table
 */
void evs_producers_init(struct evs_producers *t)
{
	mutex_init(&t->lock);
	t->tree = RB_ROOT;
	INIT_LIST_HEAD(&t->order);
	t->count = 0;
	init_llist_head(&t->spare);
	atomic_set(&t->memory, 0);
}

static struct evs_known_producer *evs_producers_alloc(struct evs_producers *t)
{
	struct evs_known_producer *k = kzalloc(sizeof(*k), GFP_KERNEL_ACCOUNT);

	if (k)
		atomic_inc(&t->memory);
	return k;
}

static void evs_producers_free(struct evs_producers *t, struct evs_known_producer *k)
{
	atomic_dec(&t->memory);
	kfree(k);
}

static struct evs_known_producer *evs_producers_spare(struct evs_producers *t)
{
	struct llist_node *n = llist_del_first(&t->spare);

	return n ? llist_entry(n, struct evs_known_producer, spare) : NULL;
}

static void evs_producers_forget(struct evs_producers *t, struct evs_known_producer *k)
{
	rb_erase(&k->node, &t->tree);
	list_del(&k->order);
	t->count--;
	evs_producers_free(t, k);
}

/**
 * evs_producers_clear() - forget all
 * @t: the table
 */
void evs_producers_clear(struct evs_producers *t)
{
	struct evs_known_producer *k, *next;

	list_for_each_entry_safe(k, next, &t->order, order)
		evs_producers_forget(t, k);
	while ((k = evs_producers_spare(t)))
		evs_producers_free(t, k);
}

static struct evs_known_producer *evs_producers_find(const struct evs_producers *t, s64 id)
{
	struct rb_node *n = t->tree.rb_node;

	while (n) {
		struct evs_known_producer *k = rb_entry(n, struct evs_known_producer, node);

		if (k->id == id)
			return k;
		n = id < k->id ? n->rb_left : n->rb_right;
	}
	return NULL;
}

static struct evs_known_producer *evs_producers_add(struct evs_producers *t, s64 id)
{
	struct evs_known_producer *k = evs_producers_spare(t) ?: evs_producers_alloc(t);
	struct rb_node **at = &t->tree.rb_node, *parent = NULL;

	if (!k)
		return NULL;
	if (t->count >= EVS_PRODUCERS_MAX)
		evs_producers_forget(t, list_first_entry(&t->order, struct evs_known_producer,
							 order));
	at = &t->tree.rb_node;
	while (*at) {
		parent = *at;
		at = id < rb_entry(parent, struct evs_known_producer, node)->id ?
		     &parent->rb_left : &parent->rb_right;
	}
	k->id = id;
	k->state.epoch = -1;
	rb_link_node(&k->node, parent, at);
	rb_insert_color(&k->node, &t->tree);
	list_add_tail(&k->order, &t->order);
	t->count++;
	return k;
}

/**
 * evs_producer_of() - what a batch says of its producer
 * @h: the batch's header
 * @id: out
 */
void evs_producer_of(const struct evs_batch_header *h, struct evs_producer_id *id)
{
	id->id = be64_to_cpu(h->producer_id);
	id->epoch = be16_to_cpu(h->producer_epoch);
	id->first = be32_to_cpu(h->base_sequence);
	/* Without a sequence it is not idempotent. */
	if (id->first < 0 || id->epoch < 0)
		id->id = -1;
	id->last = evs_sequence_add(id->first, be32_to_cpu(h->last_offset_delta));
}

/**
 * evs_producers_check() - whether a batch is to be appended
 * @t: the table
 * @id: the batch's producer
 * @offset: of the batch that is there already, out
 *
 * Return: as evs_producer_check().
 */
int evs_producers_check(struct evs_producers *t, const struct evs_producer_id *id, u64 *offset)
{
	struct evs_known_producer *k;

	lockdep_assert_held(&t->lock);
	k = evs_producers_find(t, id->id);
	return evs_producer_check(k ? &k->state : NULL, id->epoch, id->first, id->last, offset);
}

/* Memory for one more, up to as many as it may have. */
static int evs_producers_bring(struct evs_producers *t)
{
	struct evs_known_producer *k;

	if (atomic_read(&t->memory) >= EVS_PRODUCERS_MAX)
		return 0;
	k = evs_producers_alloc(t);
	if (!k)
		return -ENOMEM;
	llist_add(&k->spare, &t->spare);
	return 0;
}

/**
 * evs_producers_expect() - make sure that a producer can be remembered
 * @t: the table
 * @later: the one that a worker notes it in, NULL: there is none; not to be locked
 * @id: the producer
 *
 * What the worker will need is the caller's to bring, and to be charged for.
 *
 * Return: 0: the next evs_producers_note() of it does not fail; or -ENOMEM.
 */
int evs_producers_expect(struct evs_producers *t, struct evs_producers *later, s64 id)
{
	if (evs_producers_find(t, id))
		return 0;
	if (later && evs_producers_bring(later))
		return -ENOMEM;
	return evs_producers_add(t, id) ? 0 : -ENOMEM;
}

/**
 * evs_producers_note() - remember a batch
 * @t: the table
 * @id: its producer
 * @offset: its base offset
 * @timestamp: its newest, ms
 *
 * Return: 0 or -ENOMEM.
 */
int evs_producers_note(struct evs_producers *t, const struct evs_producer_id *id, u64 offset,
		       s64 timestamp)
{
	struct evs_known_producer *k = evs_producers_find(t, id->id);

	if (!k)
		k = evs_producers_add(t, id->id);
	if (!k)
		return -ENOMEM;
	list_move_tail(&k->order, &t->order);
	evs_producer_note(&k->state, id->epoch, id->first, id->last, offset, timestamp);
	return 0;
}

/**
 * evs_producers_copy() - remember what another table does
 * @to: an empty table
 * @from: the other
 *
 * Return: 0 or -ENOMEM.
 */
int evs_producers_copy(struct evs_producers *to, const struct evs_producers *from)
{
	struct evs_known_producer *k, *copy;

	list_for_each_entry(k, &from->order, order) {
		copy = evs_producers_add(to, k->id);
		if (!copy)
			return -ENOMEM;
		copy->state = k->state;
	}
	return 0;
}

/* Whoever has not appended for a day. */
static void evs_producers_expire(struct evs_producers *t)
{
	s64 before = ktime_to_ms(ktime_get_real()) - EVS_PRODUCERS_KEEP_MS;
	struct evs_known_producer *k, *next;

	list_for_each_entry_safe(k, next, &t->order, order)
		if (k->state.timestamp < before)
			evs_producers_forget(t, k);
}

/**
 * evs_producers_walk() - remember who has appended to a segment
 * @d: the partition's files
 * @s: the segment, written; those before it are in the table already
 *
 * Return: 0 or a negative errno: then once more.
 */
int evs_producers_walk(struct evs_durable *d, const struct evs_segment *s)
{
	struct evs_partition *p = d->p;
	struct evs_view view = {};
	u64 pos = s->pos;
	int ret = 0;

	if (!s->producers)
		return 0;
	while (!ret && pos < s->end) {
		struct evs_batch_header h;
		struct evs_producer_id id;
		struct evs_batch_info b;

		ret = evs_view_read(&p->log, &view, pos, &h, sizeof(h));
		if (!ret && (evs_batch_header_get(&h, &b) || b.size > s->end - pos))
			ret = -EIO;
		if (ret)
			break;
		evs_producer_of(&h, &id);
		if (id.id >= 0)
			ret = evs_producers_note(&d->producers, &id, b.base_offset,
						 b.max_timestamp);
		pos += b.size;
		cond_resched();
	}
	evs_view_put(&view);
	return ret == -ENODATA ? -EIO : ret;
}

/**
 * evs_producers_write() - write the table down
 * @d: the partition's files
 * @offset: what is below is in the table
 *
 * In Kafka's form and under Kafka's name, that of the next segment.
 *
 * Return: 0 or a negative errno.
 */
int evs_producers_write(struct evs_durable *d, u64 offset)
{
	struct evs_producers *t = &d->producers;
	struct evs_known_producer *k;
	char name[EVS_FILE_NAME];
	size_t size;
	u32 n = 0;
	u8 *buf;
	int ret;

	evs_producers_expire(t);
	if (!t->count && d->snapshot == U64_MAX)
		return 0;
	size = EVS_SNAPSHOT_HEAD + (size_t)t->count * EVS_SNAPSHOT_ENTRY;
	buf = kvmalloc(size, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	list_for_each_entry(k, &t->order, order) {
		const struct evs_producer_state *st = &k->state;
		const struct evs_producer_batch *b =
			&st->batch[(st->next + EVS_PRODUCER_BATCHES - 1) % EVS_PRODUCER_BATCHES];
		struct evs_snapshot_entry e = {
			.id = k->id,
			.epoch = st->epoch,
			.last_sequence = -1,
			.last_offset = -1,
			.timestamp = st->timestamp,
		};

		if (st->count) {
			e.last_sequence = b->last;
			e.offset_delta = evs_sequence_add(b->last, -(u32)b->first);
			e.last_offset = b->offset + e.offset_delta;
		}
		evs_snapshot_entry_put(buf + EVS_SNAPSHOT_HEAD + n++ * EVS_SNAPSHOT_ENTRY, &e);
	}
	evs_snapshot_head_put(buf, n);
	evs_file_name(name, offset, EVS_FILE_SNAPSHOT);
	ret = evs_store_replace(&d->store, name, buf, size);
	kvfree(buf);
	if (ret)
		return ret;
	/* The one before counts until the checkpoint says so. */
	if (d->snapshot_before != U64_MAX && d->snapshot_before != offset) {
		evs_file_name(name, d->snapshot_before, EVS_FILE_SNAPSHOT);
		evs_store_remove(&d->store, name);
	}
	if (d->snapshot != offset)
		d->snapshot_before = d->snapshot;
	d->snapshot = offset;
	return 0;
}

/**
 * evs_producers_save() - write down who has appended up to a segment's end
 * @d: the partition's files
 * @s: the segment, written; those before it are in the table already
 *
 * Return: 0 or a negative errno.
 */
int evs_producers_save(struct evs_durable *d, const struct evs_segment *s)
{
	int ret = evs_producers_walk(d, s);

	return ret ? ret : evs_producers_write(d, s->next_offset);
}

/* Who sends that batch again waits until its offsets are published: they must be there. */
static bool evs_snapshot_entry_holds(const struct evs_snapshot_entry *e, u64 offset)
{
	return e->last_sequence >= 0 && e->offset_delta >= 0 && e->last_offset >= e->offset_delta &&
	       (u64)e->last_offset < offset;
}

static int evs_producers_take(struct evs_producers *t, const u8 *buf, u32 n, u64 offset)
{
	for (; n--; buf += EVS_SNAPSHOT_ENTRY) {
		struct evs_known_producer *k;
		struct evs_snapshot_entry e;

		evs_snapshot_entry_get(buf, &e);
		if (e.id < 0 || evs_producers_find(t, e.id))
			continue;
		k = evs_producers_add(t, e.id);
		if (!k)
			return -ENOMEM;
		k->state.epoch = e.epoch;
		k->state.timestamp = e.timestamp;
		if (evs_snapshot_entry_holds(&e, offset))
			evs_producer_note(&k->state, e.epoch,
					  evs_sequence_add(e.last_sequence, -e.offset_delta),
					  e.last_sequence, e.last_offset - e.offset_delta,
					  e.timestamp);
	}
	return 0;
}

/**
 * evs_producers_load() - remember what was written down
 * @d: the partition's files; its table is empty
 * @offset: the snapshot's
 *
 * Return: 0; -EUCLEAN: it is none; or another negative errno.
 */
int evs_producers_load(struct evs_durable *d, u64 offset)
{
	const size_t room = EVS_SNAPSHOT_HEAD + (size_t)EVS_PRODUCERS_MAX * EVS_SNAPSHOT_ENTRY;
	char name[EVS_FILE_NAME];
	ssize_t size;
	u32 n;
	u8 *buf;
	int ret;

	buf = kvmalloc(room, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	evs_file_name(name, offset, EVS_FILE_SNAPSHOT);
	size = evs_store_load(&d->store, name, buf, room);
	ret = size < 0 ? size : evs_snapshot_check(buf, size, &n);
	if (!ret)
		ret = evs_producers_take(&d->producers, buf + EVS_SNAPSHOT_HEAD, n, offset);
	kvfree(buf);
	return ret;
}
