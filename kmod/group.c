// SPDX-License-Identifier: GPL-2.0
/*
 * Consumer groups: members, assignment, committed offsets.
 */
#include <linux/bitmap.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/overflow.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/stringhash.h>

#include "assign.h"
#include "group.h"
#include "internal.h"
#include "offsets.h"
#include "partition.h"
#include "quota.h"
#include "queue.h"
#include "topic.h"

#define EVS_REBALANCE_DEFAULT	(5 * MSEC_PER_SEC)
#define EVS_MAX_POLL_LEAST	10U

static atomic_t evs_groups_count = ATOMIC_INIT(0);
static atomic_t evs_members_count = ATOMIC_INIT(0);
static evs_group_event_fn evs_group_fn;

/**
 * evs_group_on_event() - who wants to know what happens to groups
 * @fn: NULL: nobody any more
 */
void evs_group_on_event(evs_group_event_fn fn)
{
	WRITE_ONCE(evs_group_fn, fn);
}

static void evs_group_tell(const struct evs_group *g, const struct evs_member *m,
			   enum evs_group_event event)
{
	evs_group_event_fn fn = READ_ONCE(evs_group_fn);

	lockdep_assert_held(&g->lock);
	if (fn)
		fn(g->topic, g, m, event);
}

static u64 evs_now_ms(void)
{
	return ktime_to_ms(ktime_get_real());
}

static u64 evs_uptime_ms(void)
{
	return ktime_to_ms(ktime_get_boottime());
}

static struct evs_partition *evs_group_part(const struct evs_group *g, u32 partition)
{
	return g->topic->partition[partition];
}

/* Both ceilings, the user's first. */
static int evs_count_up(struct evs_user *user, enum evs_charge what, atomic_t *count, u32 ceiling)
{
	int ret = evs_user_charge(user, what, 1);

	if (ret)
		return ret;
	if (atomic_inc_return(count) > ceiling) {
		atomic_dec(count);
		evs_user_uncharge(user, what, 1);
		return -ENOSPC;
	}
	return 0;
}

/* Who is charged for a group that nobody was charged for yet. */
static int evs_group_charge(struct evs_group *g, struct evs_user *user)
{
	int ret = evs_user_charge(user, EVS_CHARGE_MEMORY, g->memory);

	if (!ret)
		g->user = evs_user_get(user);
	return ret;
}

static int evs_group_count(struct evs_group *g)
{
	int ret = evs_count_up(g->user, EVS_CHARGE_GROUPS, &evs_groups_count,
			       evs_groups_ceiling());

	g->counted = !ret;
	return ret;
}

static void evs_group_uncount(struct evs_group *g)
{
	if (!g->counted)
		return;
	g->counted = false;
	atomic_dec(&evs_groups_count);
	evs_user_uncharge(g->user, EVS_CHARGE_GROUPS, 1);
}

/* Of a restored group only the offsets are known: who joins first settles the rest, and pays. */
static int evs_group_adopt(struct evs_group *g, struct evs_user *user, const struct evs_join *j)
{
	int ret;

	lockdep_assert_held(&g->lock);
	if (!g->restored)
		return 0;
	ret = evs_user_charge(user, EVS_CHARGE_GROUPS, 1);
	if (ret)
		return ret;
	ret = evs_group_charge(g, user);
	if (ret) {
		evs_user_uncharge(user, EVS_CHARGE_GROUPS, 1);
		return ret;
	}
	if (g->queue)
		evs_queue_configure(g, j);
	g->restored = false;
	return 0;
}

static int evs_member_count(struct evs_member *m)
{
	return evs_count_up(m->user, EVS_CHARGE_MEMBERS, &evs_members_count,
			    evs_members_ceiling());
}

static void evs_member_uncount(struct evs_member *m)
{
	atomic_dec(&evs_members_count);
	evs_user_uncharge(m->user, EVS_CHARGE_MEMBERS, 1);
}

/* Waking */

/* In a partition's queue: something is there for whoever owns it. */
static int evs_slot_wake(struct wait_queue_entry *wait, unsigned int mode, int flags, void *key)
{
	wait_queue_head_t *who = wait->private;

	/*
	 * What is published is ordered before this look by evs_partition_wake(),
	 * a hang-up by the lock of the queue.
	 */
	if (waitqueue_active(who))
		__wake_up_sync_key(who, TASK_NORMAL, key);
	return 0;
}

static void evs_member_tell(struct evs_member *m)
{
	lockdep_assert_held(&m->group->lock);
	WRITE_ONCE(m->changed, m->group->generation);
	m->group->told = true;
	wake_up_interruptible_poll(m->wait, EPOLLPRI | EPOLLIN | EPOLLRDNORM);
}

/* Members whose files are polled for writing, too, are told here: see evs_poll(). */
static void evs_group_unlock(struct evs_group *g)
{
	bool told = g->told;

	g->told = false;
	mutex_unlock(&g->lock);
	if (told)
		wake_up_interruptible_poll(&g->topic->any_wait,
					   EPOLLPRI | EPOLLIN | EPOLLRDNORM);
}

/**
 * evs_group_wake() - there is something for the members of a queue
 * @g: the group
 */
void evs_group_wake(struct evs_group *g)
{
	wake_up_interruptible_poll(&g->wait, EPOLLIN | EPOLLRDNORM);
	/* As evs_group_unlock(). */
	wake_up_interruptible_poll(&g->topic->any_wait, EPOLLIN | EPOLLRDNORM);
}

/**
 * evs_group_wake_next() - whoever was woken for a queue took what it could
 * @g: the group
 */
void evs_group_wake_next(struct evs_group *g)
{
	if (wq_has_sleeper(&g->wait) && evs_queue_ready(g))
		wake_up_interruptible_poll(&g->wait, EPOLLIN | EPOLLRDNORM);
}

/* A queue's members are told of whatever is appended. */
static void evs_group_watch(struct evs_group *g)
{
	u32 p;

	for (p = 0; p < g->topic->partitions; p++) {
		g->slot[p].wait.private = &g->wait;
		add_wait_queue(&evs_group_part(g, p)->wait, &g->slot[p].wait);
	}
}

static void evs_group_unwatch(struct evs_group *g)
{
	u32 p;

	for (p = 0; p < g->topic->partitions; p++)
		remove_wait_queue(&evs_group_part(g, p)->wait, &g->slot[p].wait);
}

/* Assignment */

static bool evs_member_active(const struct evs_member *m)
{
	return m && m->joined && !m->idle;
}

/* Whether @s can go at once: nothing is served again then that need not be. */
static bool evs_slot_releasable(const struct evs_slot *s)
{
	lockdep_assert_held(&s->lock);
	return !evs_member_active(s->owner) ||
	       (!(s->owner->flags & EVSTREAM_JOIN_ACK) && s->committed >= s->served);
}

static void evs_group_arm(struct evs_group *g, unsigned long when)
{
	unsigned long now = jiffies;

	lockdep_assert_held(&g->lock);
	if (g->dead)
		return;
	when = time_after(when, now) ? when - now : 0;
	if (!delayed_work_pending(&g->timer) ||
	    time_after(g->timer.timer.expires, now + when))
		mod_delayed_work(system_unbound_wq, &g->timer, when);
}

static void evs_slot_disown(struct evs_group *g, u32 partition, struct evs_member *m)
{
	struct evs_slot *s = &g->slot[partition];

	remove_wait_queue(&evs_group_part(g, partition)->wait, &s->wait);
	clear_bit(partition, m->owned);
	m->nr_owned--;
	evs_member_tell(m);
}

static void evs_slot_own(struct evs_group *g, u32 partition, struct evs_member *m)
{
	struct evs_slot *s = &g->slot[partition];

	s->wait.private = m->wait;
	add_wait_queue(&evs_group_part(g, partition)->wait, &s->wait);
	set_bit(partition, m->owned);
	m->nr_owned++;
	evs_member_tell(m);
}

/* The owner stays, or is the one that was asked for it. */
static void evs_slot_keep(struct evs_group *g, struct evs_slot *s)
{
	bool asked;

	spin_lock(&s->lock);
	asked = s->revoking;
	s->revoking = false;
	spin_unlock(&s->lock);
	if (asked) {
		g->moving--;
		evs_member_tell(s->owner);
	}
}

/* Brings a partition to who shall have it, or asks who has it. */
static void evs_slot_move(struct evs_group *g, u32 partition, bool force)
{
	struct evs_slot *s = &g->slot[partition];
	struct evs_member *old = s->owner;

	lockdep_assert_held(&g->lock);
	if (s->target == old) {
		if (old)
			evs_slot_keep(g, s);
		return;
	}
	spin_lock(&s->lock);
	if (old && !force && !evs_slot_releasable(s)) {
		bool asked = s->revoking;

		s->revoking = true;
		spin_unlock(&s->lock);
		if (!asked) {
			s->asked = g->generation;
			s->deadline = jiffies + old->rebalance;
			g->moving++;
			evs_member_tell(old);
			evs_group_arm(g, s->deadline);
		}
		return;
	}
	if (s->revoking)
		g->moving--;
	s->revoking = false;
	s->owner = s->target;
	s->epoch = g->generation;
	s->position = s->committed;
	s->served = s->committed;
	spin_unlock(&s->lock);
	if (old)
		evs_slot_disown(g, partition, old);
	if (s->target)
		evs_slot_own(g, partition, s->target);
}

static void evs_slot_moved(struct evs_group *g, u32 partition)
{
	g->generation++;
	evs_slot_move(g, partition, true);
}

/* Who is to have @s, for as much as is settled already. */
static u32 evs_slot_heir(const struct evs_slot *s)
{
	if (evs_member_active(s->target))
		return s->target->index;
	if (evs_member_active(s->owner))
		return s->owner->index;
	return EVS_NOBODY;
}

/* Assigns the partitions anew, after members came or went. */
static void evs_group_assign(struct evs_group *g)
{
	u32 n = g->topic->partitions, active = 0, p;
	struct evs_member *m;
	bool changed = false;

	lockdep_assert_held(&g->lock);
	if (g->queue)
		return;
	list_for_each_entry(m, &g->members, node) {
		m->index = EVS_NOBODY;
		if (m->idle || (m->flags & EVSTREAM_JOIN_STATIC))
			continue;
		m->index = active;
		g->at[active++] = m;
	}
	for (p = 0; p < n; p++) {
		g->fixed[p] = evs_member_active(g->slot[p].pinned);
		g->owner[p] = evs_slot_heir(&g->slot[p]);
	}
	evs_assign(g->owner, n, g->fixed, g->load, active);
	for (p = 0; p < n; p++) {
		struct evs_slot *s = &g->slot[p];
		struct evs_member *target = NULL;

		if (g->fixed[p])
			target = s->pinned;
		else if (g->owner[p] != EVS_NOBODY)
			target = g->at[g->owner[p]];
		changed |= target != s->target || (s->owner && !evs_member_active(s->owner));
		s->target = target;
	}
	if (!changed)
		return;
	g->generation++;
	for (p = 0; p < n; p++)
		if (g->slot[p].target != g->slot[p].owner || g->slot[p].revoking)
			evs_slot_move(g, p, false);
	evs_group_tell(g, NULL, EVS_GROUP_REBALANCE);
}

static bool evs_member_uncommitted(struct evs_member *m)
{
	u32 p;

	for_each_set_bit(p, m->owned, m->group->topic->partitions) {
		const struct evs_slot *s = &m->group->slot[p];

		if (READ_ONCE(s->served) > READ_ONCE(s->committed))
			return true;
	}
	return false;
}

/*
 * Whether a member has had something to do all the while since it was looked at
 * last, and did not come for it: then it is idle.
 */
static bool evs_member_idles(struct evs_member *m, unsigned long active)
{
	if (atomic_read(&m->inside) || !(evs_member_ready(m) || evs_member_uncommitted(m))) {
		m->due = active - 1;
		return false;
	}
	if (m->due != active) {
		m->due = active;
		return false;
	}
	WRITE_ONCE(m->idle, true);
	/* Pairs with that in evs_member_enter(): either is seen by the other one. */
	smp_mb();
	if (atomic_read(&m->inside)) {
		WRITE_ONCE(m->idle, false);
		return false;
	}
	/* Also where it has no partition to lose: poll() says that it may read. */
	evs_member_tell(m);
	return true;
}

/*
 * Members that have something to do and do not come for it lose their
 * partitions.
 *
 * Return: when to look again, 0: need not.
 */
static unsigned long evs_group_look_idle(struct evs_group *g)
{
	unsigned long now = jiffies, next = 0;
	bool changed = false;
	struct evs_member *m;

	list_for_each_entry(m, &g->members, node) {
		unsigned long active = READ_ONCE(m->active), until = active + m->max_poll;

		if (!m->max_poll || m->idle || g->queue)
			continue;
		if (atomic_read(&m->inside) || !time_before(now, until)) {
			until = now + m->max_poll;
			if (evs_member_idles(m, active)) {
				changed = true;
				continue;
			}
		}
		if (!next || time_before(until, next))
			next = until ?: 1;
	}
	if (changed)
		evs_group_assign(g);
	return next;
}

static void evs_group_timer(struct work_struct *work)
{
	struct evs_group *g = container_of(to_delayed_work(work), struct evs_group, timer);
	unsigned long now, next;
	u32 p;

	mutex_lock(&g->lock);
	if (g->dead)
		goto out;
	next = evs_group_look_idle(g);
	now = jiffies;
	for (p = 0; g->moving && p < g->topic->partitions; p++) {
		struct evs_slot *s = &g->slot[p];

		if (!s->revoking)
			continue;
		if (!time_before(now, s->deadline))
			evs_slot_moved(g, p);
		else if (!next || time_before(s->deadline, next))
			next = s->deadline ?: 1;
	}
	if (next)
		evs_group_arm(g, next);
out:
	evs_group_unlock(g);
}

/* Groups come and go */

static void evs_group_release(struct kref *ref)
{
	struct evs_group *g = container_of(ref, struct evs_group, ref);

	WARN_ON_ONCE(!list_empty(&g->members));
	cancel_delayed_work_sync(&g->timer);
	if (g->queue) {
		evs_group_unwatch(g);
		evs_queue_free(g);
	}
	evs_user_uncharge(g->user, EVS_CHARGE_MEMORY, g->memory);
	evs_user_put(g->user);
	kvfree(g->slot);
	kvfree(g->owner);
	kvfree(g->fixed);
	kvfree(g->load);
	kvfree(g->at);
	kfree(g);
}

/**
 * evs_group_put() - let go of a group
 * @g: the group
 *
 * Context: may sleep.
 */
void evs_group_put(struct evs_group *g)
{
	kref_put(&g->ref, evs_group_release);
}

static struct evs_group *evs_group_alloc(struct evs_topic *t, const char *name, u32 name_len)
{
	struct evs_group *g;
	u32 n = t->partitions, p;

	g = kzalloc(sizeof(*g), GFP_KERNEL_ACCOUNT);
	if (!g)
		return NULL;
	kref_init(&g->ref);
	mutex_init(&g->lock);
	INIT_LIST_HEAD(&g->members);
	INIT_DELAYED_WORK(&g->timer, evs_group_timer);
	init_waitqueue_head(&g->wait);
	g->topic = t;
	g->created_ms = evs_now_ms();
	g->empty_since = g->created_ms;
	g->expires_from = evs_uptime_ms();
	g->memory = sizeof(*g) +
		    (u64)n * (sizeof(*g->slot) + sizeof(*g->owner) + sizeof(*g->fixed));
	g->name_len = name_len;
	memcpy(g->name, name, name_len);
	g->slot = kvcalloc(n, sizeof(*g->slot), GFP_KERNEL_ACCOUNT);
	g->owner = kvcalloc(n, sizeof(*g->owner), GFP_KERNEL_ACCOUNT);
	g->fixed = kvcalloc(n, sizeof(*g->fixed), GFP_KERNEL_ACCOUNT);
	if (!g->slot || !g->owner || !g->fixed) {
		evs_group_put(g);
		return NULL;
	}
	for (p = 0; p < n; p++) {
		struct evs_slot *s = &g->slot[p];

		spin_lock_init(&s->lock);
		init_waitqueue_func_entry(&s->wait, evs_slot_wake);
		s->committed = READ_ONCE(t->partition[p]->start_offset);
		s->committed_ms = g->created_ms;
	}
	return g;
}

static int evs_group_make_queue(struct evs_group *g, const struct evs_join *j)
{
	int ret = evs_queue_new(g, j);

	if (!ret)
		evs_group_watch(g);
	return ret;
}

static int evs_where(struct evs_partition *p, u32 whence, s64 value, u64 *offset)
{
	switch (whence) {
	case EVSTREAM_SEEK_EARLIEST:
		*offset = READ_ONCE(p->start_offset);
		return 0;
	case EVSTREAM_SEEK_LATEST:
		*offset = evs_end_offset(p);
		return 0;
	case EVSTREAM_SEEK_TIMESTAMP:
		return evs_partition_find_time(p, value, offset);
	default:
		*offset = value;
		return value > evs_end_offset(p) ? -ERANGE : 0;
	}
}

/* What no other one has settled yet: a new group's offsets. */
static struct evs_group *evs_group_new(struct evs_topic *t, const struct evs_join *j)
{
	struct evs_group *g = evs_group_alloc(t, j->name, j->name_len);
	int ret = 0;
	u32 p;

	if (!g)
		return ERR_PTR(-ENOMEM);
	for (p = 0; p < t->partitions && !ret; p++) {
		struct evs_slot *s = &g->slot[p];

		ret = evs_where(t->partition[p], j->start, j->value, &s->committed);
		s->dirty = true;
		cond_resched();
	}
	if (!ret && (j->flags & EVSTREAM_JOIN_QUEUE))
		ret = evs_group_make_queue(g, j);
	if (!ret)
		ret = evs_group_charge(g, j->user);
	if (ret) {
		evs_group_put(g);
		return ERR_PTR(ret);
	}
	return g;
}

static u32 evs_group_hash(const char *name)
{
	return full_name_hash(NULL, name, strlen(name));
}

static struct evs_group *evs_group_find(struct evs_groups *groups, const char *name)
{
	struct evs_group *g;

	lockdep_assert_held(&groups->lock);
	hash_for_each_possible(groups->by_name, g, hash, evs_group_hash(name))
		if (!strcmp(g->name, name))
			return g;
	return NULL;
}

static void evs_group_add(struct evs_groups *groups, struct evs_group *g)
{
	lockdep_assert_held(&groups->lock);
	g->id = groups->next_id++;
	hash_add(groups->by_name, &g->hash, evs_group_hash(g->name));
	groups->count++;
}

/* Takes over @g, whichever way it ends; the result has a reference more. */
static struct evs_group *evs_group_register(struct evs_topic *t, struct evs_group *g)
{
	struct evs_groups *groups = &t->groups;
	struct evs_group *old;
	int ret = 0;

	mutex_lock(&groups->lock);
	old = evs_group_find(groups, g->name);
	if (old)
		kref_get(&old->ref);
	else if (groups->dead)
		ret = -ENODEV;
	else
		ret = evs_group_count(g);
	if (!ret && !old) {
		kref_get(&g->ref);
		evs_group_add(groups, g);
		mutex_lock(&g->lock);
		evs_group_tell(g, NULL, EVS_GROUP_NEW);
		evs_group_unlock(g);
	}
	mutex_unlock(&groups->lock);
	if (!ret && !old)
		return g;
	evs_group_put(g);
	return old ?: ERR_PTR(ret);
}

/**
 * evs_group_get() - look a group up
 * @t: its topic
 * @name: its name
 *
 * Return: a reference or NULL.
 */
struct evs_group *evs_group_get(struct evs_topic *t, const char *name)
{
	struct evs_group *g;

	mutex_lock(&t->groups.lock);
	g = evs_group_find(&t->groups, name);
	if (g)
		kref_get(&g->ref);
	mutex_unlock(&t->groups.lock);
	return g;
}

/**
 * evs_group_next() - go through the groups of a topic
 * @t: the topic
 * @id: the smallest id wanted
 *
 * Return: the group with the smallest id at or above @id, a reference, or NULL.
 */
struct evs_group *evs_group_next(struct evs_topic *t, u32 id)
{
	struct evs_group *g, *found = NULL;
	u32 i;

	mutex_lock(&t->groups.lock);
	hash_for_each(t->groups.by_name, i, g, hash)
		if (g->id >= id && (!found || g->id < found->id))
			found = g;
	if (found)
		kref_get(&found->ref);
	mutex_unlock(&t->groups.lock);
	return found;
}

static bool evs_name_ok(const char *name, u32 len)
{
	u32 i;

	if (!len || len > EVSTREAM_GROUP_NAME_MAX || strnlen(name, len + 1) != len ||
	    !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (i = 0; i < len; i++)
		if ((u8)name[i] < ' ' || name[i] == 0x7f || name[i] == '/')
			return false;
	return true;
}

/* By evs_uptime_ms(): a clock that is set must not expire anything. */
static u64 evs_group_expires(const struct evs_group *g)
{
	u64 when;

	if (!READ_ONCE(g->empty_since) ||
	    check_add_overflow(READ_ONCE(g->expires_from), evs_offsets_retention_ms(), &when))
		return U64_MAX;
	return when;
}

/* From now on nobody finds it. */
static int evs_group_take(struct evs_groups *groups, struct evs_group *g, u64 expired)
{
	int ret = 0;

	lockdep_assert_held(&groups->lock);
	mutex_lock(&g->lock);
	if (g->dead)
		ret = -ENOENT;
	else if (g->nr_members || (expired && evs_group_expires(g) > expired))
		ret = -EBUSY;
	if (!ret) {
		WRITE_ONCE(g->dead, true);
		hash_del(&g->hash);
		groups->count--;
		evs_group_tell(g, NULL, EVS_GROUP_DEL);
	}
	evs_group_unlock(g);
	return ret;
}

static void evs_group_bury(struct evs_topic *t, struct evs_group *g)
{
	if (g->queue)
		evs_queue_kill(g);
	/* If that fails, it comes back with the topic: then it is deleted again. */
	evs_offsets_forget(t, g);
	evs_groups_release(t);
	evs_group_uncount(g);
	evs_group_put(g);
}

/**
 * evs_group_delete() - delete a group and its offsets
 * @t: its topic
 * @g: the group; the caller keeps its reference
 *
 * Return: 0; -EBUSY: it has members; -ENOENT: somebody else did.
 */
int evs_group_delete(struct evs_topic *t, struct evs_group *g)
{
	int ret;

	mutex_lock(&t->groups.lock);
	ret = t->groups.dead ? -ENOENT : evs_group_take(&t->groups, g, 0);
	mutex_unlock(&t->groups.lock);
	if (!ret)
		evs_group_bury(t, g);
	return ret;
}

/* One that has been empty for too long, with a reference. */
static struct evs_group *evs_group_expired(struct evs_topic *t, u64 *next)
{
	struct evs_group *g, *found = NULL;
	u64 now = evs_uptime_ms();
	u32 i;

	*next = U64_MAX;
	mutex_lock(&t->groups.lock);
	hash_for_each(t->groups.by_name, i, g, hash) {
		u64 when = evs_group_expires(g);

		if (when <= now && !t->groups.dead && !evs_group_take(&t->groups, g, now)) {
			found = g;
			break;
		}
		*next = min(*next, when);
	}
	mutex_unlock(&t->groups.lock);
	return found;
}

static void evs_groups_expire_later(struct evs_topic *t, u64 ms)
{
	/* In pieces: the clock, and the parameter, may be set anew. */
	unsigned long delay = msecs_to_jiffies(clamp_t(u64, ms, 100, 3600 * MSEC_PER_SEC));
	struct delayed_work *work = &t->groups.expire;

	mutex_lock(&t->groups.lock);
	if (!t->groups.dead && (!delayed_work_pending(work) ||
				time_after(work->timer.expires, jiffies + delay)))
		mod_delayed_work(system_unbound_wq, work, delay);
	mutex_unlock(&t->groups.lock);
}

static void evs_groups_expire(struct work_struct *work)
{
	struct evs_groups *groups = container_of(to_delayed_work(work), struct evs_groups, expire);
	struct evs_topic *t = container_of(groups, struct evs_topic, groups);
	struct evs_group *g;
	u64 next, now;

	while ((g = evs_group_expired(t, &next)))
		evs_group_bury(t, g);
	now = evs_uptime_ms();
	if (next != U64_MAX)
		evs_groups_expire_later(t, next > now ? next - now : 0);
}

/**
 * evs_groups_init() - a new topic has no groups
 * @groups: they
 */
void evs_groups_init(struct evs_groups *groups)
{
	mutex_init(&groups->lock);
	hash_init(groups->by_name);
	groups->next_id = 1;
	INIT_DELAYED_WORK(&groups->expire, evs_groups_expire);
}

/**
 * evs_groups_kill() - the topic is being taken away
 * @t: the topic, dead already
 *
 * Nobody joins any more; who waits is woken, and gets -ENODEV.
 */
void evs_groups_kill(struct evs_topic *t)
{
	struct evs_member *m;
	struct evs_group *g;
	u32 i;

	mutex_lock(&t->groups.lock);
	WRITE_ONCE(t->groups.dead, true);
	hash_for_each(t->groups.by_name, i, g, hash) {
		mutex_lock(&g->lock);
		/* What is committed before this is seen by the last write of the offsets. */
		WRITE_ONCE(g->dead, true);
		list_for_each_entry(m, &g->members, node)
			wake_up_all(m->wait);
		wake_up_all(&g->wait);
		/* Not only when the last file that has the topic open is closed. */
		evs_group_uncount(g);
		evs_group_unlock(g);
	}
	mutex_unlock(&t->groups.lock);
	cancel_delayed_work_sync(&t->groups.expire);
	/* What is there now stays until the topic is freed. */
	hash_for_each(t->groups.by_name, i, g, hash) {
		cancel_delayed_work_sync(&g->timer);
		if (g->queue)
			evs_queue_kill(g);
	}
}

/**
 * evs_groups_free() - the topic goes: no file and no request has it any more
 * @t: the topic
 */
void evs_groups_free(struct evs_topic *t)
{
	struct hlist_node *next;
	struct evs_group *g;
	u32 i;

	hash_for_each_safe(t->groups.by_name, i, next, g, hash) {
		hash_del(&g->hash);
		evs_group_uncount(g);
		evs_group_put(g);
	}
}

/**
 * evs_group_restore() - a group's offset from a log of offsets
 * @t: the topic, which nobody knows yet
 * @name: the group's name
 * @name_len: its bytes
 * @partition: which one
 * @offset: what was committed, not beyond the partition's end
 * @ms: when
 * @queue: it is a queue
 *
 * Return: 0; -EINVAL: no such name or partition; -ENOSPC; -ENOMEM.
 */
int evs_group_restore(struct evs_topic *t, const char *name, u32 name_len, u32 partition,
		      u64 offset, s64 ms, bool queue)
{
	struct evs_join j = { .flags = EVSTREAM_JOIN_QUEUE, .name_len = name_len };
	struct evs_group *g;
	int ret = 0;

	if (name_len > EVSTREAM_GROUP_NAME_MAX || partition >= t->partitions)
		return -EINVAL;
	memcpy(j.name, name, name_len);
	if (!evs_name_ok(j.name, name_len))
		return -EINVAL;
	mutex_lock(&t->groups.lock);
	g = evs_group_find(&t->groups, j.name);
	if (!g) {
		g = evs_group_alloc(t, j.name, name_len);
		ret = g ? 0 : -ENOMEM;
		if (!ret && queue)
			ret = evs_group_make_queue(g, &j);
		if (!ret)
			ret = evs_group_count(g);
		if (ret) {
			if (g)
				evs_group_put(g);
			goto unlock;
		}
		g->restored = true;
		evs_group_add(&t->groups, g);
	}
	g->slot[partition].committed = offset;
	g->slot[partition].committed_ms = ms;
unlock:
	mutex_unlock(&t->groups.lock);
	return ret;
}

/**
 * evs_groups_restored() - a topic was attached: its groups are empty now
 * @t: the topic
 */
void evs_groups_restored(struct evs_topic *t)
{
	if (t->groups.count)
		evs_groups_expire_later(t, evs_offsets_retention_ms());
	evs_groups_release(t);
}

static u64 evs_least_committed(struct evs_topic *t, u32 partition)
{
	struct evs_group *g;
	u64 least = U64_MAX;
	u32 i;

	lockdep_assert_held(&t->groups.lock);
	hash_for_each(t->groups.by_name, i, g, hash)
		least = min(least, READ_ONCE(g->slot[partition].committed));
	return least == U64_MAX ? 0 : least;
}

/* What all groups have committed makes room in a ring that blocks its producers. */
static void evs_release_partition(struct evs_topic *t, u32 partition)
{
	u64 least;

	mutex_lock(&t->groups.lock);
	do {
		least = evs_least_committed(t, partition);
		evs_partition_release(t->partition[partition], least);
		/* Pairs with that in evs_slot_left(): one sees what the other stored. */
		smp_mb();
	} while (least != evs_least_committed(t, partition));
	mutex_unlock(&t->groups.lock);
}

/**
 * evs_slot_released() - a group has committed
 * @t: the topic
 * @partition: where
 */
void evs_slot_released(struct evs_topic *t, u32 partition)
{
	if (!t->place && READ_ONCE(t->config.full) == EVSTREAM_FULL_BLOCK)
		evs_release_partition(t, partition);
}

/* A group was at @old and is at @new: it may be, or have been, the last one. */
static void evs_slot_left(struct evs_topic *t, u32 partition, u64 old, u64 new)
{
	/* Pairs with that in evs_release_partition(). */
	smp_mb();
	if (min(old, new) <= READ_ONCE(t->partition[partition]->released))
		evs_slot_released(t, partition);
}

/**
 * evs_groups_release() - groups have come or gone, or the policy has changed
 * @t: the topic
 */
void evs_groups_release(struct evs_topic *t)
{
	u32 p;

	for (p = 0; p < t->partitions; p++)
		evs_slot_released(t, p);
}

/* Members */

static struct evs_member *evs_member_new(struct evs_topic *t, struct evs_user *user,
					 wait_queue_head_t *wait)
{
	struct evs_member *m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);

	if (!m)
		return ERR_PTR(-ENOMEM);
	m->owned = bitmap_zalloc(t->partitions, GFP_KERNEL_ACCOUNT);
	if (!m->owned) {
		kfree(m);
		return ERR_PTR(-ENOMEM);
	}
	INIT_LIST_HEAD(&m->node);
	INIT_LIST_HEAD(&m->held);
	m->user = user;
	m->wait = wait;
	return m;
}

/**
 * evs_member_free() - the member's file goes
 * @m: the member
 *
 * Leaves, if it is still in the group.
 */
void evs_member_free(struct evs_member *m)
{
	if (m->group) {
		evs_member_leave(m);
		evs_group_put(m->group);
	}
	put_pid(m->pid);
	bitmap_free(m->owned);
	kfree(m);
}

/* Who it is, for those who look at the group. */
static void evs_member_describe(struct evs_member *m)
{
	put_pid(m->pid);
	m->pid = get_pid(task_tgid(current));
	m->uid = current_euid();
	get_task_comm(m->comm, current);
	m->joined_ms = evs_now_ms();
#ifdef CONFIG_CGROUPS
	rcu_read_lock();
	m->cgroup = cgroup_id(task_dfl_cgroup(current));
	rcu_read_unlock();
#endif
}

static int evs_group_grow(struct evs_group *g)
{
	u32 room = max(2 * g->room, 8U);
	struct evs_member **at;
	u32 *load;

	if (g->nr_members < g->room)
		return 0;
	load = kvmalloc_array(room, sizeof(*load), GFP_KERNEL_ACCOUNT);
	at = kvmalloc_array(room, sizeof(struct evs_member *), GFP_KERNEL_ACCOUNT);
	if (!load || !at) {
		kvfree(load);
		kvfree(at);
		return -ENOMEM;
	}
	kvfree(g->load);
	kvfree(g->at);
	g->load = load;
	g->at = at;
	g->room = room;
	return 0;
}

static int evs_group_pin(struct evs_group *g, struct evs_member *m, const struct evs_join *j)
{
	u32 i;

	for (i = 0; i < j->nr_partitions; i++)
		if (g->slot[j->partitions[i]].pinned)
			return -EBUSY;
	for (i = 0; i < j->nr_partitions; i++)
		g->slot[j->partitions[i]].pinned = m;
	return 0;
}

/* Into a group that was found; -EAGAIN: it was deleted meanwhile. */
static int evs_group_enter(struct evs_group *g, struct evs_member *m, const struct evs_join *j)
{
	int ret;

	mutex_lock(&g->lock);
	ret = -EAGAIN;
	if (g->dead)
		goto unlock;
	ret = -EPROTOTYPE;
	if (!g->queue != !(j->flags & EVSTREAM_JOIN_QUEUE))
		goto unlock;
	ret = evs_group_grow(g);
	if (ret)
		goto unlock;
	ret = evs_member_count(m);
	if (ret)
		goto unlock;
	ret = evs_group_adopt(g, m->user, j);
	if (!ret)
		ret = evs_group_pin(g, m, j);
	if (ret)
		goto uncount;
	if (!m->group) {
		kref_get(&g->ref);
		m->group = g;
	}
	m->id = ++g->next_member;
	m->flags = j->flags;
	WRITE_ONCE(m->idle, false);
	/* Who is idle is not looked for all the time. */
	m->max_poll = j->max_poll_ms ?
		      msecs_to_jiffies(max(j->max_poll_ms, EVS_MAX_POLL_LEAST)) : 0;
	m->rebalance = msecs_to_jiffies(j->rebalance_ms ?: EVS_REBALANCE_DEFAULT);
	WRITE_ONCE(m->active, jiffies);
	m->due = m->active - 1;
	evs_member_describe(m);
	WRITE_ONCE(m->joined, true);
	list_add_tail(&m->node, &g->members);
	g->nr_members++;
	WRITE_ONCE(g->empty_since, 0);
	evs_group_tell(g, m, EVS_GROUP_JOIN);
	evs_group_assign(g);
	if (m->max_poll)
		evs_group_arm(g, jiffies + m->max_poll);
	goto unlock;

uncount:
	evs_member_uncount(m);
unlock:
	evs_group_unlock(g);
	return ret;
}

static int evs_join_check(const struct evs_topic *t, const struct evs_join *j)
{
	u32 i;

	if (!evs_name_ok(j->name, j->name_len))
		return -EINVAL;
	for (i = 0; i < j->nr_partitions; i++)
		if (j->partitions[i] >= t->partitions)
			return -ENXIO;
	return 0;
}

/* The group that @j names, found or @made, with a reference. */
static struct evs_group *evs_group_provide(struct evs_topic *t, const struct evs_join *j,
					   bool *made)
{
	struct evs_group *g, *new;
	int ret;

	*made = false;
	if (READ_ONCE(t->groups.dead))
		return ERR_PTR(-ENODEV);
	g = evs_group_get(t, j->name);
	if (g)
		return g;
	if (j->flags & EVSTREAM_JOIN_EXISTING)
		return ERR_PTR(-ENOENT);
	ret = evs_offsets_make(t);
	if (ret)
		return ERR_PTR(ret);
	new = evs_group_new(t, j);
	if (IS_ERR(new))
		return new;
	g = evs_group_register(t, new);
	*made = g == new;
	if (!IS_ERR(g)) {
		/* Nobody may ever get into it. */
		evs_groups_expire_later(t, evs_offsets_retention_ms());
		evs_groups_release(t);
	}
	return g;
}

/**
 * evs_group_join() - join a group
 * @t: the topic
 * @member: the file's member, NULL before it joins first; out
 * @j: what is wanted
 * @wait: the file's, where its member is to wait
 *
 * Return: 0; -EINVAL, -ENXIO, -EBUSY, -ENOENT, -EPROTOTYPE, -EDQUOT, -ENOSPC: as
 * &struct evstream_join says; -ENODEV; -ENOMEM; or what keeping the offsets of a
 * durable topic says.
 */
int evs_group_join(struct evs_topic *t, struct evs_member **member, const struct evs_join *j,
		   wait_queue_head_t *wait)
{
	struct evs_member *m = *member;
	struct evs_group *g;
	bool made, again;
	int ret;

	ret = evs_join_check(t, j);
	if (ret)
		return ret;
	if (m && (m->joined || strcmp(m->group->name, j->name)))
		return -EBUSY;
	if (!m) {
		m = evs_member_new(t, j->user, wait);
		if (IS_ERR(m))
			return PTR_ERR(m);
	}
	do {
		g = fatal_signal_pending(current) ? ERR_PTR(-EINTR) :
		    evs_group_provide(t, j, &made);
		ret = PTR_ERR_OR_ZERO(g);
		if (ret)
			break;
		ret = m->group && m->group != g ? -EBUSY : evs_group_enter(g, m, j);
		again = ret == -EAGAIN;
		if (!ret) {
			ret = evs_offsets_write(t, g, false);
			if (ret)
				evs_member_leave(m);
		}
		/* It settled where the group begins, and for nobody: unless there are others. */
		if (ret && made)
			evs_group_delete(t, g);
		evs_group_put(g);
	} while (again);
	if (!ret || *member)
		*member = m;
	else
		evs_member_free(m);
	return ret;
}

/**
 * evs_member_leave() - leave the group
 * @m: the member
 *
 * When it returns, the others have its partitions, or its records.
 *
 * Return: 0; -ESTALE: it is not a member.
 */
int evs_member_leave(struct evs_member *m)
{
	struct evs_group *g = m->group;
	bool empty;
	u32 p;

	mutex_lock(&g->lock);
	if (!m->joined) {
		evs_group_unlock(g);
		return -ESTALE;
	}
	WRITE_ONCE(m->joined, false);
	list_del_init(&m->node);
	g->nr_members--;
	evs_member_uncount(m);
	for (p = 0; p < g->topic->partitions; p++) {
		if (g->slot[p].pinned == m)
			g->slot[p].pinned = NULL;
		if (g->slot[p].target == m)
			g->slot[p].target = NULL;
	}
	if (g->queue)
		evs_queue_leave(g, m);
	evs_group_tell(g, m, EVS_GROUP_LEAVE);
	evs_group_assign(g);
	empty = !g->nr_members && !g->dead;
	if (!g->nr_members) {
		WRITE_ONCE(g->expires_from, evs_uptime_ms());
		WRITE_ONCE(g->empty_since, evs_now_ms());
	}
	WRITE_ONCE(m->seen, m->changed);
	evs_group_unlock(g);
	/* Whoever waits in another call of this file. */
	wake_up_all(m->wait);
	if (g->queue)
		wake_up_all(&g->wait);
	wake_up_all(&g->topic->any_wait);
	if (empty)
		evs_groups_expire_later(g->topic, evs_offsets_retention_ms());
	return 0;
}

/**
 * evs_member_enter() - a call of the member begins: it is alive
 * @m: the member
 */
void evs_member_enter(struct evs_member *m)
{
	struct evs_group *g = m->group;

	atomic_inc(&m->inside);
	/* Pairs with that in evs_member_idles(). */
	smp_mb__after_atomic();
	if (likely(!READ_ONCE(m->idle)))
		return;
	mutex_lock(&g->lock);
	if (m->idle && m->joined) {
		WRITE_ONCE(m->idle, false);
		WRITE_ONCE(m->active, jiffies);
		evs_group_assign(g);
		evs_group_arm(g, jiffies + m->max_poll);
	}
	evs_group_unlock(g);
}

/**
 * evs_member_exit() - a call of the member ends
 * @m: the member
 */
void evs_member_exit(struct evs_member *m)
{
	WRITE_ONCE(m->active, jiffies);
	atomic_dec(&m->inside);
}

/**
 * evs_member_ready() - whether there is something to read
 * @m: the member
 */
bool evs_member_ready(struct evs_member *m)
{
	struct evs_group *g = m->group;
	u32 p;

	if (g->queue)
		return evs_queue_ready(g);
	for_each_set_bit(p, m->owned, g->topic->partitions) {
		const struct evs_slot *s = &g->slot[p];

		if (!READ_ONCE(s->revoking) &&
		    evs_end_offset(evs_group_part(g, p)) > READ_ONCE(s->position))
			return true;
	}
	return false;
}

/**
 * evs_member_changed() - whether its assignment is another than it was told
 * @m: the member
 */
bool evs_member_changed(const struct evs_member *m)
{
	return READ_ONCE(m->changed) != READ_ONCE(m->seen);
}

/* A member's partitions */

/**
 * evs_slot_begin() - begin to serve a member from a partition
 * @m: the member
 * @partition: which one
 * @position: the record it is served next, out
 * @epoch: for evs_slot_end(), out
 *
 * Return: whether it may be served.
 */
bool evs_slot_begin(struct evs_member *m, u32 partition, u64 *position, u32 *epoch)
{
	struct evs_slot *s = &m->group->slot[partition];
	bool ok;

	spin_lock(&s->lock);
	ok = s->owner == m && !s->revoking;
	*position = s->position;
	*epoch = s->epoch;
	spin_unlock(&s->lock);
	return ok;
}

/**
 * evs_slot_set() - set a group's offset; it is to be written
 * @s: the slot, locked
 * @offset: the offset
 */
void evs_slot_set(struct evs_slot *s, u64 offset)
{
	lockdep_assert_held(&s->lock);
	WRITE_ONCE(s->committed, offset);
	s->committed_ms = evs_now_ms();
	s->dirty = true;
}

/* What a commit on read is followed by. */
static void evs_slot_auto(struct evs_member *m, u32 partition, u64 old, u64 new)
{
	evs_offsets_later(m->group->topic);
	evs_slot_left(m->group->topic, partition, old, new);
}

/*
 * A member is served up to @next, and its position with it, where it @moves. Where
 * it commits on read, that is committed: without a move only what is ahead.
 */
static bool evs_slot_serve(struct evs_member *m, u32 partition, u32 epoch, u64 next,
			   bool moves, bool served)
{
	struct evs_slot *s = &m->group->slot[partition];
	bool ok, commit;
	u64 old;

	spin_lock(&s->lock);
	ok = s->owner == m && s->epoch == epoch && !READ_ONCE(m->group->dead);
	old = s->committed;
	commit = ok && (m->flags & EVSTREAM_JOIN_AUTO) && (moves ? next != old : next > old);
	if (ok && moves)
		WRITE_ONCE(s->position, next);
	if (ok && served)
		WRITE_ONCE(s->served, max(s->served, next));
	if (commit)
		evs_slot_set(s, next);
	spin_unlock(&s->lock);
	if (commit)
		evs_slot_auto(m, partition, old, next);
	return ok;
}

/**
 * evs_slot_end() - what a member read is served
 * @m: the member
 * @partition: which one
 * @epoch: as evs_slot_begin() gave it
 * @position: the record after it
 * @served: there was one, and not only holes and gaps
 *
 * With %EVSTREAM_JOIN_AUTO it is committed by this.
 *
 * Return: false: the partition has gone meanwhile; it must not be served.
 */
bool evs_slot_end(struct evs_member *m, u32 partition, u32 epoch, u64 position, bool served)
{
	return evs_slot_serve(m, partition, epoch, position, true, served);
}

/**
 * evs_slot_served() - records that the member named are served
 * @m: the member
 * @partition: which one
 * @epoch: as evs_slot_begin() gave it
 * @next: the record after them
 *
 * Return: false: the partition has gone meanwhile; they must not be served.
 */
bool evs_slot_served(struct evs_member *m, u32 partition, u32 epoch, u64 next)
{
	return evs_slot_serve(m, partition, epoch, next, false, true);
}

/**
 * evs_slot_owned() - whether a partition is still the member's to read
 * @m: the member
 * @partition: which one
 * @epoch: as evs_slot_begin() gave it
 */
bool evs_slot_owned(struct evs_member *m, u32 partition, u32 epoch)
{
	const struct evs_slot *s = &m->group->slot[partition];

	return READ_ONCE(s->owner) == m && READ_ONCE(s->epoch) == epoch &&
	       !READ_ONCE(s->revoking);
}

/**
 * evs_slot_seek() - move a member's position
 * @m: the member
 * @partition: which one
 * @offset: the record to be read next
 *
 * Return: 0 or -ESTALE.
 */
int evs_slot_seek(struct evs_member *m, u32 partition, u64 offset)
{
	struct evs_slot *s = &m->group->slot[partition];
	int ret = -ESTALE;

	spin_lock(&s->lock);
	if (s->owner == m && !s->revoking) {
		WRITE_ONCE(s->position, offset);
		/* What is before is read again, or need not be. */
		WRITE_ONCE(s->served, min(s->served, offset));
		ret = 0;
	}
	spin_unlock(&s->lock);
	return ret;
}

/**
 * evs_slot_commit() - commit an offset
 * @m: the member
 * @partition: which one
 * @generation: in which the member got it, 0: whichever
 * @offset: the record to be read next, -1: the member's position
 *
 * The caller writes it to the log of offsets: evs_offsets_write().
 *
 * Return: 0; -ENXIO; -EINVAL; -ERANGE: beyond the end; -ESTALE.
 */
int evs_slot_commit(struct evs_member *m, u32 partition, u32 generation, s64 offset)
{
	struct evs_group *g = m->group;
	struct evs_slot *s;
	bool moves = false;
	u64 end, old, new;
	int ret = 0;

	if (partition >= g->topic->partitions)
		return -ENXIO;
	if (offset < -1)
		return -EINVAL;
	s = &g->slot[partition];
	end = evs_end_offset(evs_group_part(g, partition));
	spin_lock(&s->lock);
	old = s->committed;
	if (READ_ONCE(g->dead)) {
		ret = -ENODEV;
	} else if (s->owner != m || (generation && generation != s->epoch)) {
		ret = -ESTALE;
	} else if (offset < 0) {
		/* A position can lie beyond the end: SEEK waits there. */
		evs_slot_set(s, min(s->position, end));
	} else if (offset > end) {
		ret = -ERANGE;
	} else {
		evs_slot_set(s, offset);
	}
	if (!ret)
		moves = s->revoking && evs_slot_releasable(s);
	new = s->committed;
	spin_unlock(&s->lock);
	if (ret)
		return ret;
	if (moves) {
		mutex_lock(&g->lock);
		/* Unless somebody else has seen to it, or it need not go any more. */
		if (s->owner == m && s->revoking) {
			g->generation++;
			evs_slot_move(g, partition, false);
		}
		evs_group_unlock(g);
	}
	evs_slot_left(g->topic, partition, old, new);
	return 0;
}

/**
 * evs_member_assignment() - what a member owns
 * @m: the member
 * @a: what it acknowledges, and room; out: the numbers
 * @assigned: @a->room entries, out
 *
 * Return: 0 or -ESTALE.
 */
int evs_member_assignment(struct evs_member *m, struct evstream_assignment *a,
			  struct evstream_assigned *assigned)
{
	struct evs_group *g = m->group;
	u32 p, nr = 0;

	mutex_lock(&g->lock);
	if (!m->joined) {
		evs_group_unlock(g);
		return -ESTALE;
	}
	for_each_set_bit(p, m->owned, g->topic->partitions) {
		struct evs_slot *s = &g->slot[p];

		/* Generations wrap. */
		if (a->ack && s->revoking && (s32)(a->ack - s->asked) >= 0)
			evs_slot_moved(g, p);
	}
	for_each_set_bit(p, m->owned, g->topic->partitions) {
		struct evs_slot *s = &g->slot[p];

		if (nr < a->room) {
			spin_lock(&s->lock);
			assigned[nr] = (struct evstream_assigned){
				.partition = p,
				.generation = s->epoch,
				.offset = s->position,
				.flags = s->revoking ? EVSTREAM_ASSIGNED_REVOKING : 0,
			};
			spin_unlock(&s->lock);
		}
		nr++;
	}
	a->nr = nr;
	a->generation = g->generation;
	a->members = g->nr_members;
	a->member = m->id;
	WRITE_ONCE(m->seen, m->changed);
	evs_group_unlock(g);
	return 0;
}

/**
 * evs_member_position() - a partition in the member's group
 * @m: the member
 * @pos: its number; out: the rest
 *
 * Return: 0 or -ENXIO.
 */
int evs_member_position(struct evs_member *m, struct evstream_position *pos)
{
	struct evs_group *g = m->group;
	struct evs_partition *p;
	struct evs_slot *s;

	if (pos->partition >= g->topic->partitions)
		return -ENXIO;
	p = evs_group_part(g, pos->partition);
	s = &g->slot[pos->partition];
	spin_lock(&s->lock);
	*pos = (struct evstream_position){
		.partition = pos->partition,
		.owner = s->owner ? s->owner->id : 0,
		.generation = s->epoch,
		.flags = s->revoking ? EVSTREAM_ASSIGNED_REVOKING : 0,
		.offset = s->owner ? s->position : s->committed,
		.committed = s->committed,
		.committed_ms = s->committed_ms,
	};
	spin_unlock(&s->lock);
	spin_lock(&p->lock);
	pos->start_offset = p->start_offset;
	pos->end_offset = p->end_offset;
	spin_unlock(&p->lock);
	return 0;
}

/* Looking at groups */

/**
 * evs_group_info() - a group as it is now
 * @g: the group
 * @info: out
 */
void evs_group_info(struct evs_group *g, struct evs_group_info *info)
{
	mutex_lock(&g->lock);
	*info = (struct evs_group_info){
		.id = g->id,
		.queue = g->queue,
		.members = g->nr_members,
		.generation = g->generation,
		.moving = g->moving,
		.created_ms = g->created_ms,
		.empty_since = g->empty_since,
	};
	if (g->queue)
		evs_queue_info(g, info);
	evs_group_unlock(g);
}

/**
 * evs_group_member() - go through the members of a group
 * @g: the group
 * @id: the smallest number wanted
 * @info: out
 *
 * Return: whether there is one at or above @id.
 */
bool evs_group_member(struct evs_group *g, u32 id, struct evs_member_info *info)
{
	struct evs_member *m;
	bool found = false;

	mutex_lock(&g->lock);
	/* In the order of their numbers. */
	list_for_each_entry(m, &g->members, node) {
		if (m->id < id)
			continue;
		*info = (struct evs_member_info){
			.id = m->id,
			.flags = m->flags,
			.idle = m->idle,
			.pid = get_pid(m->pid),
			.uid = m->uid,
			.cgroup = m->cgroup,
			.joined_ms = m->joined_ms,
			.partitions = m->nr_owned,
			.held = READ_ONCE(m->nr_held),
		};
		memcpy(info->comm, m->comm, sizeof(info->comm));
		found = true;
		break;
	}
	evs_group_unlock(g);
	return found;
}

/* How far the end is away in bytes, and in time, where what is there can be read. */
static void evs_offset_lag(struct evs_partition *p, struct evs_offset_info *info)
{
	struct evs_cursor c = { .any = true };
	struct evs_found found;
	u64 pos, now;
	int ret;

	evs_cursor_seek(&c, max(info->committed, info->start_offset));
	ret = evs_cursor_locate(p, &c, &pos);
	if (!ret) {
		u64 end = evs_end_pos(p);

		info->lag_bytes = end > pos ? end - pos : 0;
		ret = evs_cursor_find(p, &c, &found);
		if (ret == -EOPNOTSUPP) {
			found.timestamp = c.batch.base_timestamp;
			ret = 1;
		}
		now = evs_now_ms();
		if (ret == 1 && found.timestamp >= 0 && now > found.timestamp)
			info->lag_ms = now - found.timestamp;
	}
	evs_cursor_put(&c);
}

/**
 * evs_group_offset() - a partition in a group as it is now
 * @g: the group
 * @partition: which one
 * @info: out
 *
 * Return: 0 or -ENXIO.
 */
int evs_group_offset(struct evs_group *g, u32 partition, struct evs_offset_info *info)
{
	struct evs_partition *p;
	struct evs_slot *s;

	if (partition >= g->topic->partitions)
		return -ENXIO;
	p = evs_group_part(g, partition);
	s = &g->slot[partition];
	mutex_lock(&g->lock);
	spin_lock(&s->lock);
	*info = (struct evs_offset_info){
		.owner = s->owner ? s->owner->id : 0,
		.target = s->revoking && s->target ? s->target->id : 0,
		.revoking = s->revoking,
		.epoch = s->epoch,
		.position = s->owner ? s->position : s->committed,
		.committed = s->committed,
		.committed_ms = s->committed_ms,
	};
	spin_unlock(&s->lock);
	if (g->queue)
		evs_queue_offset(g, partition, info);
	evs_group_unlock(g);
	spin_lock(&p->lock);
	info->start_offset = p->start_offset;
	info->end_offset = p->end_offset;
	spin_unlock(&p->lock);
	if (info->committed < info->end_offset)
		evs_offset_lag(p, info);
	return 0;
}

/**
 * evs_group_seek() - set a group's offset
 * @g: the group
 * @partition: which one
 * @whence: an &enum evstream_whence
 * @value: offset or time
 *
 * Also where somebody owns it: who goes on from there.
 *
 * Return: 0; -ENXIO; -ERANGE: beyond the end; -ENODEV; or what the storage of a
 * durable topic says.
 */
int evs_group_seek(struct evs_group *g, u32 partition, u32 whence, s64 value)
{
	struct evs_slot *s;
	u64 offset;
	int ret;

	if (partition >= g->topic->partitions)
		return -ENXIO;
	ret = evs_where(evs_group_part(g, partition), whence, value, &offset);
	if (ret)
		return ret;
	s = &g->slot[partition];
	mutex_lock(&g->lock);
	if (g->dead) {
		evs_group_unlock(g);
		return -ENODEV;
	}
	g->generation++;
	spin_lock(&s->lock);
	evs_slot_set(s, offset);
	s->position = offset;
	s->served = offset;
	/* What is being read from it is not served. */
	s->epoch = g->generation;
	spin_unlock(&s->lock);
	if (s->revoking)
		evs_slot_move(g, partition, false);
	else if (s->owner)
		evs_member_tell(s->owner);
	if (g->queue)
		evs_queue_moved(g, partition);
	evs_group_unlock(g);
	evs_slot_released(g->topic, partition);
	return evs_offsets_write(g->topic, g, false);
}
