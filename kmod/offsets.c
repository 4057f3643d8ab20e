// SPDX-License-Identifier: GPL-2.0
/*
 * The log of committed offsets.
 *
 * A partition of its own, whose records say what is committed: the last one with
 * a key counts, as in Kafka's __consumer_offsets.  So it is written, synced and
 * recovered as any other.  It would grow for ever: once it has grown by some times
 * what is in it, all that counts is written once more, and what was before goes.
 *
 * What a slot says is taken and appended under one lock, so that the log has a
 * slot's values in their order.
 */
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/random.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "batch.h"
#include "commit.h"
#include "durable.h"
#include "group.h"
#include "internal.h"
#include "offsets.h"
#include "partition.h"
#include "place.h"
#include "store.h"
#include "topic.h"

/* Small segments: whole ones go. */
#define EVS_OFFSETS_SHIFT	20
/* What may be in memory only, so that nobody waits for a disk that keeps up. */
#define EVS_OFFSETS_RING	SZ_16M
/* Of one batch. */
#define EVS_OFFSETS_RECORDS	64
#define EVS_OFFSETS_BYTES	SZ_8K
/* The largest record that is looked at when the log is read. */
#define EVS_OFFSETS_RECORD	SZ_1K
/* It is written anew when it has grown by so much, or by so many times all it held. */
#define EVS_OFFSETS_GROWTH	(4ULL << EVS_OFFSETS_SHIFT)
#define EVS_OFFSETS_TIMES	4
/* When what nobody waits for is written, at the soonest, and what failed is again. */
#define EVS_OFFSETS_LATER_MS	100
#define EVS_OFFSETS_RETRY_MS	1000

/**
 * struct evs_offsets - a topic's log of offsets
 * @t: the topic
 * @p: the log, NULL: not made yet
 * @wait: its any_wait
 * @lock: slots are read and appended; protects the members below
 * @error: why there is a log that cannot be used
 * @dead: the topic is being taken away
 * @stale: it says what does not count any more: to be written anew
 * @retry: not before, jiffies
 * @since: position behind the last snapshot
 * @size: bytes of that one
 * @nr: records collected
 * @used: bytes of @buf they use
 * @slot: their partitions
 * @src: the records
 * @buf: keys and values
 * @later: writes what nobody waits for
 * @compact: writes all anew
 */
struct evs_offsets {
	struct evs_topic *t;
	struct evs_partition *p;
	wait_queue_head_t wait;
	struct mutex lock;	/* see above */
	int error;
	bool dead;
	bool stale;
	unsigned long retry;
	u64 since;
	u64 size;
	u32 nr;
	u32 used;
	u32 slot[EVS_OFFSETS_RECORDS];
	struct evs_source src[EVS_OFFSETS_RECORDS];
	u8 buf[EVS_OFFSETS_BYTES];
	struct delayed_work later;
	struct work_struct compact;
};

/* Whether the log can be appended to: 0 or -errno. */
static int evs_offsets_usable(struct evs_offsets *o)
{
	lockdep_assert_held(&o->lock);
	if (o->dead)
		return -ENODEV;
	if (o->error)
		return o->error;
	if (!o->p)
		return -ENODEV;
	/* When it was attached, this was not known. */
	o->p->topic_id = evs_topic_id(o->t);
	return 0;
}

/* Appends what was collected of a group. */
static int evs_offsets_append(struct evs_offsets *o, struct evs_group *g, unsigned int flags)
{
	u64 offset;
	int ret;
	u32 i;

	if (!o->nr)
		return 0;
	ret = evs_append_sources(o->p, o->src, o->nr, flags, &offset);
	for (i = 0; ret && i < o->nr; i++) {
		struct evs_slot *slot = &g->slot[o->slot[i]];

		spin_lock(&slot->lock);
		slot->dirty = true;
		spin_unlock(&slot->lock);
	}
	o->nr = 0;
	o->used = 0;
	return ret;
}

/* Has room for one more record. */
static int evs_offsets_room(struct evs_offsets *o, struct evs_group *g, unsigned int flags)
{
	if (o->nr < EVS_OFFSETS_RECORDS &&
	    EVS_OFFSETS_BYTES - o->used >= EVS_COMMIT_KEY_MAX + EVS_COMMIT_VALUE_MAX)
		return 0;
	return evs_offsets_append(o, g, flags);
}

static void evs_offsets_collect(struct evs_offsets *o, struct evs_group *g, u32 partition,
				const struct evs_commit_value *value)
{
	const struct evs_commit_key key = {
		.group = g->name,
		.group_len = g->name_len,
		.topic = o->t->config.name,
		.topic_len = strlen(o->t->config.name),
		.partition = partition,
	};
	struct evs_source *src = &o->src[o->nr];

	*src = (struct evs_source){ .value_len = -1, .timestamp = -1 };
	src->key = o->buf + o->used;
	src->key_len = evs_commit_key_put(o->buf + o->used, &key);
	o->used += src->key_len;
	if (value) {
		src->value = o->buf + o->used;
		src->value_len = evs_commit_value_put(o->buf + o->used, value);
		o->used += src->value_len;
	}
	o->slot[o->nr++] = partition;
}

/* Writes a group's slots, those that are not in the log, or @all. */
static int evs_offsets_put(struct evs_offsets *o, struct evs_group *g, bool all,
			   unsigned int flags)
{
	struct evs_commit_value value = { .queue = g->queue };
	int ret = 0;
	u32 i;

	lockdep_assert_held(&o->lock);
	for (i = 0; i < o->t->partitions; i++) {
		struct evs_slot *slot = &g->slot[i];
		bool dirty;

		/* For the last time: who just makes it so sees that the group is dead. */
		if (!all && !(flags & EVS_CLOSING) && !READ_ONCE(slot->dirty))
			continue;
		ret = evs_offsets_room(o, g, flags);
		if (ret)
			return ret;
		spin_lock(&slot->lock);
		dirty = all || slot->dirty;
		slot->dirty = false;
		value.offset = slot->committed;
		value.ms = slot->committed_ms;
		spin_unlock(&slot->lock);
		if (dirty)
			evs_offsets_collect(o, g, i, &value);
	}
	return evs_offsets_append(o, g, flags);
}

/* Writes that nothing is known of a group any more. */
static int evs_offsets_bury(struct evs_offsets *o, struct evs_group *g)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < o->t->partitions && !ret; i++) {
		ret = evs_offsets_room(o, g, 0);
		if (!ret)
			evs_offsets_collect(o, g, i, NULL);
	}
	return ret ? ret : evs_offsets_append(o, g, 0);
}

/* Whether it has grown so much that it is written anew. */
static bool evs_offsets_due(struct evs_offsets *o)
{
	lockdep_assert_held(&o->lock);
	if (READ_ONCE(o->stale) && time_after_eq(jiffies, o->retry))
		return true;
	return evs_end_pos(o->p) - o->since >=
	       max(EVS_OFFSETS_GROWTH, EVS_OFFSETS_TIMES * o->size);
}

/* A write has ended. What failed for the moment is tried again; @o->lock is held. */
static void evs_offsets_wrote(struct evs_offsets *o, int err)
{
	switch (err) {
	case 0:
		if (evs_offsets_due(o))
			queue_work(system_unbound_wq, &o->compact);
		break;
	case -EAGAIN:
	case -EDQUOT:
	case -EINTR:
	case -ENOMEM:
	case -ENOSPC:
	case -ERESTARTSYS:
		queue_delayed_work(system_unbound_wq, &o->later,
				   msecs_to_jiffies(EVS_OFFSETS_RETRY_MS));
		break;
	}
}

/* Goes through all groups that are there all the while: a reference, or NULL. */
static struct evs_group *evs_offsets_next(struct evs_topic *t, u32 *bucket, u32 *id)
{
	struct evs_group *g, *found = NULL;

	mutex_lock(&t->groups.lock);
	for (; *bucket < HASH_SIZE(t->groups.by_name); (*bucket)++, *id = 0) {
		hlist_for_each_entry(g, &t->groups.by_name[*bucket], hash)
			if (g->id >= *id && (!found || g->id < found->id))
				found = g;
		if (found)
			break;
	}
	if (found) {
		kref_get(&found->ref);
		*id = found->id + 1;
	}
	mutex_unlock(&t->groups.lock);
	return found;
}

/* Writes what is dirty, of all groups. */
static int evs_offsets_put_all(struct evs_offsets *o, unsigned int flags)
{
	u32 bucket = 0, id = 0;
	struct evs_group *g;
	int ret = 0;

	lockdep_assert_held(&o->lock);
	while (!ret && (g = evs_offsets_next(o->t, &bucket, &id))) {
		ret = evs_offsets_put(o, g, false, flags);
		evs_group_put(g);
		cond_resched();
	}
	return ret;
}

/**
 * evs_offsets_write() - what a group has committed comes into the log
 * @t: the topic
 * @g: the group
 * @sync: and all that is in the log comes on stable storage
 *
 * Where it fails, the group's slots are dirty still.
 *
 * Return: 0, also of a volatile topic; -ENODEV: the topic or the group was deleted;
 * what evs_append_sources() and evs_partition_sync() return.
 */
int evs_offsets_write(struct evs_topic *t, struct evs_group *g, bool sync)
{
	struct evs_offsets *o = READ_ONCE(t->groups.offsets);
	u64 end = 0;
	int ret;

	if (!o)
		return 0;
	if (mutex_lock_killable(&o->lock)) {
		evs_offsets_later(t);
		return -EINTR;
	}
	ret = evs_offsets_usable(o);
	/* What was forgotten must not come back. */
	if (!ret && READ_ONCE(g->dead))
		ret = -ENODEV;
	if (!ret) {
		ret = evs_offsets_put(o, g, false, 0);
		evs_offsets_wrote(o, ret);
		end = evs_end_pos(o->p);
	}
	mutex_unlock(&o->lock);
	if (!ret && sync)
		ret = evs_partition_sync(o->p, end);
	return ret;
}

static int evs_offsets_forget_locked(struct evs_offsets *o, struct evs_group *g)
{
	struct evs_group *other = evs_group_get(o->t, g->name);
	int ret;

	/* One of that name that came meanwhile may be in the log already. */
	if (other && other != g)
		ret = evs_offsets_put(o, other, true, 0);
	else
		ret = evs_offsets_bury(o, g);
	if (other)
		evs_group_put(other);
	return ret;
}

/**
 * evs_offsets_forget() - a group was deleted
 * @t: the topic
 * @g: the group, dead, and not found any more
 *
 * Return: 0, or as evs_offsets_write(): as soon as the log is written anew, it is
 * forgotten still.
 */
int evs_offsets_forget(struct evs_topic *t, struct evs_group *g)
{
	struct evs_offsets *o = READ_ONCE(t->groups.offsets);
	int ret;

	if (!o)
		return 0;
	if (mutex_lock_killable(&o->lock)) {
		WRITE_ONCE(o->stale, true);
		evs_offsets_later(t);
		return -EINTR;
	}
	ret = evs_offsets_usable(o);
	if (!ret) {
		ret = evs_offsets_forget_locked(o, g);
		if (ret)
			WRITE_ONCE(o->stale, true);
		else
			evs_partition_sync_start(o->p);
		evs_offsets_wrote(o, ret);
	}
	mutex_unlock(&o->lock);
	return ret;
}

/**
 * evs_offsets_later() - have slots written that nobody waits for
 * @t: the topic, whose slots are dirty already
 *
 * Context: any.
 */
void evs_offsets_later(struct evs_topic *t)
{
	struct evs_offsets *o = READ_ONCE(t->groups.offsets);
	u64 ms;

	if (!o)
		return;
	/* The work that is pending sees the slot: it stops being so before it looks. */
	smp_mb();
	if (delayed_work_pending(&o->later))
		return;
	ms = READ_ONCE(t->partition[0]->limits.flush_ms) ?: EVS_OFFSETS_RETRY_MS;
	queue_delayed_work(system_unbound_wq, &o->later,
			   msecs_to_jiffies(max_t(u64, ms, EVS_OFFSETS_LATER_MS)));
}

static void evs_offsets_later_work(struct work_struct *work)
{
	struct evs_offsets *o = container_of(to_delayed_work(work), struct evs_offsets, later);
	u32 bucket = 0, id = 0;
	struct evs_group *g;
	bool wrote = false;
	int ret = 0;
	u64 end;

	while (!ret && (g = evs_offsets_next(o->t, &bucket, &id))) {
		mutex_lock(&o->lock);
		ret = evs_offsets_usable(o);
		if (!ret && !READ_ONCE(g->dead)) {
			end = evs_end_pos(o->p);
			ret = evs_offsets_put(o, g, false, 0);
			wrote |= end != evs_end_pos(o->p);
		}
		mutex_unlock(&o->lock);
		evs_group_put(g);
		cond_resched();
	}
	mutex_lock(&o->lock);
	if (!evs_offsets_usable(o))
		evs_offsets_wrote(o, ret);
	mutex_unlock(&o->lock);
	/* It has waited for as long as a record may already. */
	if (wrote && READ_ONCE(o->p->limits.flush_ms))
		evs_partition_sync_start(o->p);
}

/* Where all that is in the log now ends, and what is written from now on begins. */
static int evs_offsets_mark(struct evs_offsets *o, u64 *pos, u64 *offset)
{
	int ret;

	mutex_lock(&o->lock);
	ret = evs_offsets_usable(o);
	if (!ret && !evs_offsets_due(o))
		ret = -EALREADY;
	/* In a segment of its own: all before it can go. */
	if (!ret)
		ret = evs_partition_roll(o->p);
	if (!ret) {
		*pos = evs_end_pos(o->p);
		*offset = evs_end_offset(o->p);
		/* What fails from now on is for the next time. */
		WRITE_ONCE(o->stale, false);
	}
	mutex_unlock(&o->lock);
	return ret;
}

/* Writes all that counts, a group at a time. */
static int evs_offsets_snapshot(struct evs_offsets *o)
{
	u32 bucket = 0, id = 0;
	struct evs_group *g;
	int ret = 0;

	while (!ret && (g = evs_offsets_next(o->t, &bucket, &id))) {
		mutex_lock(&o->lock);
		ret = evs_offsets_usable(o);
		/* One that was deleted meanwhile may have been forgotten already. */
		if (!ret && !READ_ONCE(g->dead))
			ret = evs_offsets_put(o, g, true, 0);
		mutex_unlock(&o->lock);
		evs_group_put(g);
		cond_resched();
	}
	/* Dead since all are, and counts: what was before must stay. */
	smp_rmb();
	if (READ_ONCE(o->t->dead) || READ_ONCE(o->t->groups.dead))
		return -ENODEV;
	return ret;
}

/*
 * What is committed or forgotten while all is written anew comes behind that, or
 * behind what it says of it. Only once all is on stable storage what was before goes.
 */
static int evs_offsets_compact(struct evs_offsets *o)
{
	u64 pos = 0, end = 0, offset = 0;
	int ret;

	ret = evs_offsets_mark(o, &pos, &offset);
	if (ret)
		return ret == -EALREADY ? 0 : ret;
	ret = evs_offsets_snapshot(o);
	if (!ret) {
		end = evs_end_pos(o->p);
		ret = evs_partition_sync(o->p, end);
	}
	if (!ret)
		ret = evs_partition_trim(o->p, offset);
	mutex_lock(&o->lock);
	o->since = evs_end_pos(o->p);
	if (ret) {
		WRITE_ONCE(o->stale, true);
		o->retry = jiffies + msecs_to_jiffies(EVS_OFFSETS_RETRY_MS);
	} else {
		o->size = end - pos;
	}
	mutex_unlock(&o->lock);
	return ret;
}

static void evs_offsets_compact_work(struct work_struct *work)
{
	struct evs_offsets *o = container_of(work, struct evs_offsets, compact);
	int ret = evs_offsets_compact(o);

	if (!ret)
		return;
	mutex_lock(&o->lock);
	evs_offsets_wrote(o, ret);
	mutex_unlock(&o->lock);
}

/**
 * struct evs_found_offset - a partition's last value
 * @known: there is one
 * @offset: the offset
 * @ms: when it was committed
 */
struct evs_found_offset {
	bool known;
	u64 offset;
	s64 ms;
};

/**
 * struct evs_found_group - a group that the log tells of
 * @hash: in evs_load.by_name
 * @queue: its last value says that it hands out records
 * @known: partitions of which there is a value
 * @name_len: bytes of @name
 * @name: its name
 * @nr: entries of @value
 * @value: one for each partition
 */
struct evs_found_group {
	struct hlist_node hash;
	bool queue;
	u32 known;
	u32 name_len;
	char name[EVS_COMMIT_NAME_MAX];
	u32 nr;
	struct evs_found_offset value[] __counted_by(nr);
};

/**
 * struct evs_load - the log being read
 * @t: the topic
 * @p: the log
 * @seed: of the hash
 * @groups: found, and not deleted since
 * @bytes: of memory used
 * @damaged: some could not be read
 * @changed: not all counts as it is there
 * @nonsense: records that make none
 * @buf: a record
 * @by_name: &struct evs_found_group
 */
struct evs_load {
	struct evs_topic *t;
	struct evs_partition *p;
	u32 seed;
	u32 groups;
	u64 bytes;
	bool damaged;
	bool changed;
	u64 nonsense;
	u8 buf[EVS_OFFSETS_RECORD];
	DECLARE_HASHTABLE(by_name, 10);
};

static struct evs_found_group *evs_load_find(struct evs_load *l, const struct evs_commit_key *key,
					     u32 hash)
{
	struct evs_found_group *f;

	hash_for_each_possible(l->by_name, f, hash, hash)
		if (f->name_len == key->group_len && !memcmp(f->name, key->group, f->name_len))
			return f;
	return NULL;
}

static struct evs_found_group *evs_load_add(struct evs_load *l, const struct evs_commit_key *key,
					    u32 hash)
{
	struct evs_found_group *f;
	size_t size = struct_size(f, value, l->t->partitions);

	/*
	 * Whoever wrote it had no more groups than that; those that were deleted are
	 * told of a little later.
	 */
	if (l->groups / 2 >= evs_groups_ceiling() || l->bytes + size > evs_bytes_ceiling())
		return ERR_PTR(-ENOSPC);
	f = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!f)
		return ERR_PTR(-ENOMEM);
	l->bytes += size;
	l->groups++;
	f->nr = l->t->partitions;
	f->name_len = key->group_len;
	memcpy(f->name, key->group, key->group_len);
	hash_add(l->by_name, &f->hash, hash);
	return f;
}

static void evs_load_drop(struct evs_load *l, struct evs_found_group *f)
{
	hash_del(&f->hash);
	l->bytes -= struct_size(f, value, f->nr);
	l->groups--;
	kvfree(f);
}

/* Takes over what a record says: 0; -EINVAL: it says nothing; -ENOMEM, -ENOSPC. */
static int evs_load_take(struct evs_load *l, const struct evs_record_view *v)
{
	struct evs_commit_value value;
	struct evs_found_group *f;
	struct evs_commit_key key;
	u32 hash;

	if (!v->key || evs_commit_key_get(v->key, v->head.key_len, &key))
		return -EINVAL;
	if (v->value && evs_commit_value_get(v->value, v->value_len, &value))
		return -EINVAL;
	if (key.partition >= l->t->partitions)
		return 0;
	hash = jhash(key.group, key.group_len, l->seed);
	f = evs_load_find(l, &key, hash);
	if (!v->value) {
		if (f && f->value[key.partition].known) {
			f->value[key.partition].known = false;
			if (!--f->known)
				evs_load_drop(l, f);
		}
		return 0;
	}
	if (!f) {
		f = evs_load_add(l, &key, hash);
		if (IS_ERR(f))
			return PTR_ERR(f);
	}
	f->known += !f->value[key.partition].known;
	f->value[key.partition] = (struct evs_found_offset){ true, value.offset, value.ms };
	f->queue = value.queue;
	return 0;
}

static int evs_load_record(struct evs_load *l, struct evs_cursor *c,
			   const struct evs_found *found)
{
	struct evs_record_view v;
	struct iov_iter to;
	struct kvec vec;
	int ret;

	if (found->size > sizeof(l->buf))
		return -EINVAL;
	vec.iov_base = l->buf;
	vec.iov_len = found->size;
	iov_iter_kvec(&to, ITER_DEST, &vec, 1, found->size);
	ret = evs_cursor_copy(l->p, c, found->pos, found->size, &to);
	/* Nobody has dropped it. */
	if (ret)
		return ret == -EPIPE ? -EIO : ret;
	if (evs_record_get(l->buf, l->buf + found->size, &v))
		return -EINVAL;
	return evs_load_take(l, &v);
}

/* Reads all there is. What is damaged, and some behind it, is left out. */
static int evs_load_all(struct evs_load *l)
{
	struct evs_cursor c = {};
	u64 skip = 1;
	int ret;

	evs_cursor_seek(&c, READ_ONCE(l->p->start_offset));
	for (;;) {
		struct evs_found found;

		ret = evs_cursor_find(l->p, &c, &found);
		if (!ret)
			break;
		if (ret == 1) {
			ret = evs_load_record(l, &c, &found);
			if (!ret || ret == -EINVAL) {
				l->nonsense += ret == -EINVAL;
				evs_cursor_advance(&c, &found);
				skip = 1;
			}
		}
		if (ret == -EIO || ret == -EOPNOTSUPP) {
			l->damaged = true;
			/* Whatever offsets there are, the end is reached soon. */
			evs_cursor_seek(&c, min(c.offset + skip, evs_end_offset(l->p)));
			skip = min(2 * skip, EVS_OFFSET_MAX);
			ret = 0;
		}
		if (ret && ret != -EINVAL && ret != -EPIPE)
			break;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	evs_cursor_put(&c);
	return ret;
}

/* Makes a group of what was found. */
static int evs_load_restore(struct evs_load *l, const struct evs_found_group *f)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < f->nr && !ret; i++) {
		const struct evs_found_offset *v = &f->value[i];
		u64 end = evs_end_offset(l->t->partition[i]);

		if (!v->known)
			continue;
		/*
		 * The records before it were lost. Others that get their offsets must
		 * not count as committed when this is read again.
		 */
		l->changed |= v->offset > end;
		ret = evs_group_restore(l->t, f->name, f->name_len, i, min(v->offset, end),
					v->ms, f->queue);
		cond_resched();
	}
	if (ret != -EINVAL)
		return ret;
	l->nonsense += f->known;
	return 0;
}

static int evs_load_groups(struct evs_load *l, int ret)
{
	struct evs_found_group *f;
	struct hlist_node *next;
	u32 bucket;

	hash_for_each_safe(l->by_name, bucket, next, f, hash) {
		if (!ret)
			ret = evs_load_restore(l, f);
		evs_load_drop(l, f);
		cond_resched();
	}
	return ret;
}

/* Has the groups that the log @p tells of: 0 or -errno. */
static int evs_offsets_load(struct evs_offsets *o, struct evs_partition *p)
{
	struct evs_load *l = kvzalloc(sizeof(*l), GFP_KERNEL);
	int ret;

	if (!l)
		return -ENOMEM;
	l->t = o->t;
	l->p = p;
	l->seed = get_random_u32();
	hash_init(l->by_name);
	ret = evs_load_groups(l, evs_load_all(l));
	if (!ret && l->nonsense)
		pr_warn("evstream: %s: %llu records of committed offsets make no sense\n",
			o->t->config.name, l->nonsense);
	if (!ret && l->damaged)
		pr_warn("evstream: %s: some committed offsets cannot be read, and older ones count\n",
			o->t->config.name);
	o->stale = l->changed || l->damaged;
	o->since = p->start_pos;
	kvfree(l);
	return ret;
}

static struct evs_partition *evs_offsets_partition(struct evs_offsets *o)
{
	struct evs_limits limits = { .ring = EVS_OFFSETS_RING, .full = EVSTREAM_FULL_BLOCK };

	spin_lock(&o->t->lock);
	limits.flush_ms = o->t->config.flush_ms;
	limits.flush_bytes = o->t->config.flush_bytes;
	spin_unlock(&o->t->lock);
	return evs_partition_new(EVSTREAM_ALL, EVS_OFFSETS_SHIFT, &limits, &o->wait, true);
}

static void evs_offsets_discard(struct evs_partition *p, bool remove)
{
	evs_partition_refuse(p);
	evs_partition_kill(p, remove);
	evs_partition_free(p);
}

/*
 * Finds the log in its directory.
 *
 * Return: 0; -ENOENT: there is none; or another negative errno. One that makes no
 * sense is kept: who needs it is told.
 */
static int evs_offsets_find(struct evs_offsets *o)
{
	const struct path *dir = &o->t->partition[0]->durable->store.dir;
	struct evs_partition *p = evs_offsets_partition(o);
	int ret;

	if (IS_ERR(p))
		return PTR_ERR(p);
	ret = evs_durable_attach(p, dir, EVS_OFFSETS_DIR, o->t->place->cred);
	if (!ret)
		ret = evs_offsets_load(o, p);
	switch (ret) {
	case 0:
		evs_durable_start(p);
		break;
	case -EUCLEAN:
	case -ELOOP:
	case -ENOTDIR:
		pr_warn("evstream: %s: the log of committed offsets makes no sense\n",
			o->t->config.name);
		o->error = -EUCLEAN;
		break;
	default:
		evs_offsets_discard(p, false);
		return ret;
	}
	o->p = p;
	return 0;
}

struct evs_offsets_errand {
	struct evs_offsets *o;
	struct evs_partition *p;
	int ret;
};

static void evs_offsets_create_errand(void *data)
{
	struct evs_offsets_errand *e = data;
	struct evs_store *store = &e->o->t->partition[0]->durable->store;
	const struct evs_place *place = e->o->t->place;
	const struct cred *old = override_creds(place->cred);

	e->ret = evs_durable_create(e->p, &store->dir, EVS_OFFSETS_DIR, place->cred,
				    place->uuid);
	if (!e->ret)
		e->ret = evs_store_sync(store);
	revert_creds(old);
}

static void evs_offsets_find_errand(void *data)
{
	struct evs_offsets_errand *e = data;
	const struct cred *old = override_creds(e->o->t->place->cred);

	e->ret = evs_offsets_find(e->o);
	revert_creds(old);
}

static int evs_offsets_create(struct evs_offsets *o)
{
	struct evs_offsets_errand e = { .o = o, .p = evs_offsets_partition(o) };

	if (IS_ERR(e.p))
		return PTR_ERR(e.p);
	evs_store_run(evs_offsets_create_errand, &e);
	if (!e.ret) {
		evs_durable_start(e.p);
		o->p = e.p;
		return 0;
	}
	evs_offsets_discard(e.p, e.ret != -EEXIST);
	/* Somebody's, or ours, where nobody got further than that. */
	if (e.ret == -EEXIST)
		evs_store_run(evs_offsets_find_errand, &e);
	return e.ret;
}

/* The topic's, made with the first call. */
static struct evs_offsets *evs_offsets_get(struct evs_topic *t)
{
	struct evs_offsets *o = READ_ONCE(t->groups.offsets), *other;

	if (o)
		return o;
	o = kvzalloc(sizeof(*o), GFP_KERNEL_ACCOUNT);
	if (!o)
		return NULL;
	o->t = t;
	o->retry = jiffies;
	init_waitqueue_head(&o->wait);
	mutex_init(&o->lock);
	INIT_DELAYED_WORK(&o->later, evs_offsets_later_work);
	INIT_WORK(&o->compact, evs_offsets_compact_work);
	other = cmpxchg(&t->groups.offsets, NULL, o);
	if (!other)
		return o;
	kvfree(o);
	return other;
}

/**
 * evs_offsets_free() - free a topic's log of offsets
 * @t: the topic; nobody refers to it
 */
void evs_offsets_free(struct evs_topic *t)
{
	struct evs_offsets *o = t->groups.offsets;

	if (!o)
		return;
	if (o->p)
		evs_partition_free(o->p);
	kvfree(o);
	t->groups.offsets = NULL;
}

/**
 * evs_offsets_make() - have a durable topic's log of offsets
 * @t: the topic
 *
 * Return: 0, also of a volatile topic and where there is one; -EUCLEAN: there is
 * one that makes no sense; -ENODEV: the topic was deleted; -ENOMEM; -EINTR; or what
 * the file system says.
 */
int evs_offsets_make(struct evs_topic *t)
{
	struct evs_offsets *o;
	int ret = 0;

	if (!t->place)
		return 0;
	o = evs_offsets_get(t);
	if (!o)
		return -ENOMEM;
	if (mutex_lock_killable(&o->lock))
		return -EINTR;
	/* Either this is seen, or evs_offsets_kill() sees what is made here. */
	if (o->dead || READ_ONCE(t->dead))
		ret = -ENODEV;
	else if (!o->p)
		ret = evs_offsets_create(o);
	if (!ret)
		ret = o->error;
	mutex_unlock(&o->lock);
	return ret;
}

/**
 * evs_offsets_attach() - have the groups again that there were
 * @t: the topic, its partitions attached, not known yet
 *
 * Context: of the request that attaches it.
 * Return: 0, also where there were none, or nobody can tell; -ENOSPC: more than the
 * module allows; -EBUSY, -EPROTONOSUPPORT or another negative errno: as
 * evs_durable_attach().
 */
int evs_offsets_attach(struct evs_topic *t)
{
	struct evs_offsets *o = evs_offsets_get(t);
	bool stale;
	int ret;

	if (!o)
		return -ENOMEM;
	mutex_lock(&o->lock);
	ret = evs_offsets_find(o);
	stale = !ret && !o->error && o->stale;
	mutex_unlock(&o->lock);
	if (ret == -ENOENT) {
		/* Few topics have any, and nobody else has seen it. */
		evs_offsets_free(t);
		return 0;
	}
	if (ret)
		return ret;
	/* Before anything is appended: see evs_load_restore(). */
	ret = stale ? evs_offsets_compact(o) : 0;
	if (ret) {
		pr_warn("evstream: %s: committed offsets cannot be written: error %d\n",
			t->config.name, ret);
		mutex_lock(&o->lock);
		evs_offsets_wrote(o, ret);
		mutex_unlock(&o->lock);
	}
	return 0;
}

/**
 * evs_offsets_sync() - put all that was committed on stable storage
 * @t: the topic
 *
 * Return: 0; as evs_offsets_write().
 */
int evs_offsets_sync(struct evs_topic *t)
{
	struct evs_offsets *o = READ_ONCE(t->groups.offsets);
	u64 end;
	int ret;

	if (!o)
		return 0;
	if (mutex_lock_killable(&o->lock))
		return -EINTR;
	/* Nothing was committed, or can be. */
	if (!o->p || o->error) {
		mutex_unlock(&o->lock);
		return 0;
	}
	ret = evs_offsets_usable(o);
	if (!ret)
		ret = evs_offsets_put_all(o, 0);
	end = evs_end_pos(o->p);
	mutex_unlock(&o->lock);
	return ret ? ret : evs_partition_sync(o->p, end);
}

/**
 * evs_offsets_configure() - take over a topic's changed limits
 * @t: the topic
 * @limits: the new ones of its partitions
 */
void evs_offsets_configure(struct evs_topic *t, const struct evs_limits *limits)
{
	struct evs_offsets *o = READ_ONCE(t->groups.offsets);
	struct evs_limits own;

	if (!o)
		return;
	mutex_lock(&o->lock);
	if (!evs_offsets_usable(o)) {
		own = o->p->limits;
		own.flush_ms = limits->flush_ms;
		own.flush_bytes = limits->flush_bytes;
		evs_partition_configure(o->p, &own);
	}
	mutex_unlock(&o->lock);
}

/**
 * evs_offsets_kill() - write what was committed, and no more from now on
 * @t: the topic, dead, or never known; its groups are there still, and no offset of
 *	theirs changes any more
 * @remove: remove the log instead
 *
 * Before partition 0 is killed, in whose directory it is.
 */
void evs_offsets_kill(struct evs_topic *t, bool remove)
{
	struct evs_partition *p;
	struct evs_offsets *o;
	bool dead;
	int ret = 0;

	/* See evs_offsets_make(). */
	smp_mb();
	o = READ_ONCE(t->groups.offsets);
	if (!o)
		return;
	p = READ_ONCE(o->p);
	/* Who waits for the disk need not any more. */
	if (remove && p)
		evs_partition_refuse(p);
	disable_delayed_work_sync(&o->later);
	disable_work_sync(&o->compact);
	mutex_lock(&o->lock);
	dead = o->dead;
	if (!remove && !evs_offsets_usable(o))
		ret = evs_offsets_put_all(o, EVS_CLOSING);
	o->dead = true;
	p = o->p;
	mutex_unlock(&o->lock);
	if (dead || !p)
		return;
	if (ret)
		pr_err("evstream: %s: what was committed last is lost: error %d\n",
		       t->config.name, ret);
	evs_partition_refuse(p);
	evs_partition_kill(p, remove);
}
