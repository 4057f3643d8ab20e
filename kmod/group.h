/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Consumer groups: members, assignment, committed offsets.
 *
 * A group belongs to a topic; a member is an open file.  The group keeps, for each
 * partition, who owns it and how far the group is.
 *
 * Lock order:
 *	evs_file.read_lock
 *	  evs_groups.lock	groups come and go
 *	    evs_group.lock	members come and go, partitions move
 *	      evs_queue.lock	a queue's records (queue.c)
 *	        evs_slot.lock	one partition's owner and offsets
 *	evs_offsets.lock	what was committed is written; under none of them
 */
#ifndef EVSTREAM_GROUP_H
#define EVSTREAM_GROUP_H

#include <linux/hashtable.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/evstream.h>

struct evs_cursor;
struct evs_group;
struct evs_offsets;
struct evs_partition;
struct evs_queue;
struct evs_topic;

/**
 * struct evs_slot - a partition in a group
 * @lock: protects the members below; @owner changes under evs_group.lock, too
 * @owner: who is served from it, NULL: nobody
 * @target: who shall have it; evs_group.lock
 * @pinned: who named it (%EVSTREAM_JOIN_STATIC); evs_group.lock
 * @epoch: the generation in which @owner got it, or in which it was moved by force
 * @revoking: @owner is served no more of it
 * @dirty: @committed is not in the log of offsets
 * @asked: generation in which @revoking was set
 * @deadline: when it goes at the latest, jiffies; evs_group.lock
 * @position: the record that read() serves next
 * @served: behind the last record that @owner was served, in whatever way
 * @committed: the group's offset
 * @committed_ms: when it was committed
 * @wait: in the partition's queue while somebody owns it: wakes the owner; of a
 *	queue, for as long as there is the group: wakes all
 */
struct evs_slot {
	spinlock_t lock;
	struct evs_member *owner;
	struct evs_member *target;
	struct evs_member *pinned;
	u32 epoch;
	bool revoking;
	bool dirty;
	u32 asked;
	unsigned long deadline;
	u64 position;
	u64 served;
	u64 committed;
	s64 committed_ms;
	wait_queue_entry_t wait;
};

/**
 * struct evs_member - an open file's part in a group
 * @group: a reference, for as long as the file is open
 * @node: in evs_group.members
 * @joined: it is a member; evs_group.lock and the file's read_lock
 * @id: its number in the group, not used twice
 * @index: its place while partitions are assigned; evs_group.lock
 * @flags: EVSTREAM_JOIN_*
 * @idle: it has lost its partitions for making no call; evs_group.lock
 * @inside: calls that are in progress, which are a sign of life
 * @active: when the last one ended, jiffies
 * @due: it had something to read then, and has made no call since: @active
 * @max_poll: as &evstream_join.max_poll_ms, jiffies, 0: none
 * @rebalance: as &evstream_join.rebalance_ms, jiffies
 * @changed: generation in which what it owns, or is asked for, changed last
 * @seen: @changed when ASSIGNMENT told of it
 * @owned: bit for each partition it owns; bits change under evs_group.lock
 * @nr_owned: how many; evs_group.lock
 * @wait: its file's; it waits here for changes, and for records, if its group is no
 *	queue
 * @pid: of who joined
 * @uid: likewise
 * @comm: likewise
 * @cgroup: likewise, number in the unified hierarchy, 0: not known
 * @joined_ms: when
 * @user: who is charged for it, its file's reference
 * @held: of a queue: the records it has, evs_queue.lock
 * @nr_held: how many
 */
struct evs_member {
	struct evs_group *group;
	struct list_head node;
	bool joined;
	u32 id;
	u32 index;
	u32 flags;
	bool idle;
	atomic_t inside;
	unsigned long active;
	unsigned long due;
	unsigned long max_poll;
	unsigned long rebalance;
	u32 changed;
	u32 seen;
	unsigned long *owned;
	u32 nr_owned;
	wait_queue_head_t *wait;
	struct pid *pid;
	kuid_t uid;
	char comm[TASK_COMM_LEN];
	u64 cgroup;
	u64 joined_ms;
	struct evs_user *user;
	struct list_head held;
	u32 nr_held;
};

/**
 * struct evs_group - a group
 * @ref: the registry's, each member file's, each request's that looks at it
 * @hash: in evs_groups.by_name
 * @id: grows from group to group of a topic: an order to list them in
 * @topic: no reference: groups go before their topic does
 * @lock: see above
 * @dead: deleted, or the topic was
 * @members: &struct evs_member, in the order of their joining
 * @nr_members: how many
 * @room: members that @load has room for
 * @next_member: the next one's number
 * @generation: grows with each change of the assignment
 * @moving: partitions that somebody is asked for
 * @told: members were told of a change, since the lock was taken
 * @created_ms: when it was made
 * @empty_since: when its last member left, ms; 0: it has some
 * @expires_from: the same by the clock that nobody sets, ms
 * @restored: from a log of offsets, and nobody has joined since
 * @counted: it counts; evs_group.lock, or whoever has it alone
 * @user: who is charged for it, a reference, NULL: nobody; set before it has members
 * @memory: bytes that it takes, but for its records
 * @timer: forces what was not given up in time; looks who is idle
 * @queue: NULL: partitions are handed out, not records
 * @wait: of a queue: its members wait here for records; who sleeps in a call is
 *	woken one by one, and wakes the next: evs_group_wake_next()
 * @owner: to work on, an entry for each partition
 * @fixed: likewise
 * @load: to work on, an entry for each member
 * @at: likewise
 * @slot: one for each partition
 * @name_len: bytes of @name
 * @name: its name, zero-terminated
 */
struct evs_group {
	struct kref ref;
	struct hlist_node hash;
	u32 id;
	struct evs_topic *topic;
	struct mutex lock;
	bool dead;
	struct list_head members;
	u32 nr_members;
	u32 room;
	u32 next_member;
	u32 generation;
	u32 moving;
	bool told;
	u64 created_ms;
	u64 empty_since;
	u64 expires_from;
	bool restored;
	bool counted;
	struct evs_user *user;
	u64 memory;
	struct delayed_work timer;
	struct evs_queue *queue;
	wait_queue_head_t wait;
	u32 *owner;
	bool *fixed;
	u32 *load;
	struct evs_member **at;
	struct evs_slot *slot;
	u32 name_len;
	char name[EVSTREAM_GROUP_NAME_MAX + 1];
};

/**
 * struct evs_groups - the groups of a topic
 * @lock: see above
 * @by_name: the groups
 * @count: how many
 * @next_id: of the next one
 * @dead: the topic is being taken away: nobody joins any more
 * @expire: removes those that were empty for too long
 * @offsets: where a durable topic keeps what was committed, NULL: not yet, or a
 *	volatile one
 */
struct evs_groups {
	struct mutex lock;
	DECLARE_HASHTABLE(by_name, 6);
	u32 count;
	u32 next_id;
	bool dead;
	struct delayed_work expire;
	struct evs_offsets *offsets;
};

/**
 * struct evs_join - what a member asks for, in kernel memory
 * @name: the group's, zero-terminated
 * @name_len: its bytes
 * @partitions: those of %EVSTREAM_JOIN_STATIC
 * @nr_partitions: how many
 * @flags: EVSTREAM_JOIN_*
 * @start: an &enum evstream_whence
 * @value: a time in ms
 * @rebalance_ms: 0: the default
 * @max_poll_ms: 0: none
 * @lock_ms: 0: the default
 * @max_deliveries: 0: the default
 * @dead_letter: the caller's reference, NULL: none
 * @dead_letter_part: the partition of it, NULL: whichever its key says
 * @user: who is charged, NULL: nobody; the caller's reference
 */
struct evs_join {
	char name[EVSTREAM_GROUP_NAME_MAX + 1];
	u32 name_len;
	u32 *partitions;
	u32 nr_partitions;
	u32 flags;
	u32 start;
	s64 value;
	u32 rebalance_ms;
	u32 max_poll_ms;
	u32 lock_ms;
	u32 max_deliveries;
	struct evs_topic *dead_letter;
	struct evs_partition *dead_letter_part;
	struct evs_user *user;
};

/* The registry of a topic's groups */
void evs_groups_init(struct evs_groups *groups);
void evs_groups_kill(struct evs_topic *t);
void evs_groups_free(struct evs_topic *t);
struct evs_group *evs_group_get(struct evs_topic *t, const char *name);
struct evs_group *evs_group_next(struct evs_topic *t, u32 id);
void evs_group_put(struct evs_group *g);
void evs_group_wake(struct evs_group *g);
void evs_group_wake_next(struct evs_group *g);
int evs_group_delete(struct evs_topic *t, struct evs_group *g);
int evs_group_restore(struct evs_topic *t, const char *name, u32 name_len, u32 partition,
		      u64 offset, s64 ms, bool queue);
void evs_groups_restored(struct evs_topic *t);
void evs_groups_release(struct evs_topic *t);

/* Members */
int evs_group_join(struct evs_topic *t, struct evs_member **member, const struct evs_join *j,
		   wait_queue_head_t *wait);
int evs_member_leave(struct evs_member *m);
void evs_member_free(struct evs_member *m);
void evs_member_enter(struct evs_member *m);
void evs_member_exit(struct evs_member *m);
bool evs_member_changed(const struct evs_member *m);
bool evs_member_ready(struct evs_member *m);

/**
 * evs_member_wait() - where a member waits for records
 * @m: the member
 */
static inline wait_queue_head_t *evs_member_wait(struct evs_member *m)
{
	return m->group->queue ? &m->group->wait : m->wait;
}

/* A member's partitions */
bool evs_slot_begin(struct evs_member *m, u32 partition, u64 *position, u32 *epoch);
bool evs_slot_end(struct evs_member *m, u32 partition, u32 epoch, u64 position, bool served);
bool evs_slot_served(struct evs_member *m, u32 partition, u32 epoch, u64 next);
bool evs_slot_owned(struct evs_member *m, u32 partition, u32 epoch);
int evs_slot_seek(struct evs_member *m, u32 partition, u64 offset);
int evs_slot_commit(struct evs_member *m, u32 partition, u32 generation, s64 offset);
int evs_member_assignment(struct evs_member *m, struct evstream_assignment *a,
			  struct evstream_assigned *assigned);
void evs_slot_set(struct evs_slot *s, u64 offset);
void evs_slot_released(struct evs_topic *t, u32 partition);
int evs_member_position(struct evs_member *m, struct evstream_position *pos);

/**
 * struct evs_group_info - a group as it is now
 * @id: as evs_group.id
 * @queue: it hands out records
 * @members: how many
 * @generation: the assignment's
 * @moving: partitions that are on their way from one member to another
 * @created_ms: when it was made
 * @empty_since: ms, 0: it has members
 * @lock_ms: of a queue
 * @max_deliveries: of a queue
 * @keyed: of a queue
 * @dead_letter: of a queue: name of the topic, "": none
 */
struct evs_group_info {
	u32 id;
	bool queue;
	u32 members;
	u32 generation;
	u32 moving;
	u64 created_ms;
	u64 empty_since;
	u32 lock_ms;
	u32 max_deliveries;
	bool keyed;
	char dead_letter[EVSTREAM_NAME_MAX + 1];
};

/**
 * struct evs_member_info - a member as it is now
 * @id: as evs_member.id
 * @flags: EVSTREAM_JOIN_*
 * @idle: has lost its partitions for making no call
 * @pid: a reference to be put
 * @uid: who joined
 * @comm: likewise
 * @cgroup: likewise
 * @joined_ms: when
 * @partitions: how many it owns
 * @held: of a queue: records it has
 */
struct evs_member_info {
	u32 id;
	u32 flags;
	bool idle;
	struct pid *pid;
	kuid_t uid;
	char comm[TASK_COMM_LEN];
	u64 cgroup;
	u64 joined_ms;
	u32 partitions;
	u32 held;
};

/**
 * struct evs_offset_info - a partition in a group as it is now
 * @owner: number of the member, 0: none
 * @target: who waits for it, 0: nobody
 * @revoking: the owner is asked for it
 * @epoch: generation in which @owner got it
 * @position: the record served next
 * @committed: the group's offset
 * @committed_ms: when it was committed
 * @start_offset: first record held
 * @end_offset: high watermark
 * @lag_bytes: bytes of batches between @committed and the end
 * @lag_ms: age of the first record at @committed or behind it, 0: there is none
 *	(Kinesis' IteratorAgeMilliseconds)
 * @held: of a queue: records handed out
 * @released: of a queue: records that came back, and wait
 */
struct evs_offset_info {
	u32 owner;
	u32 target;
	bool revoking;
	u32 epoch;
	u64 position;
	u64 committed;
	s64 committed_ms;
	u64 start_offset;
	u64 end_offset;
	u64 lag_bytes;
	u64 lag_ms;
	u32 held;
	u32 released;
};

void evs_group_info(struct evs_group *g, struct evs_group_info *info);
bool evs_group_member(struct evs_group *g, u32 id, struct evs_member_info *info);
int evs_group_offset(struct evs_group *g, u32 partition, struct evs_offset_info *info);
int evs_group_seek(struct evs_group *g, u32 partition, u32 whence, s64 value);

/**
 * enum evs_group_event - what happened to a group
 * @EVS_GROUP_NEW: it was made
 * @EVS_GROUP_DEL: it was deleted, or has expired
 * @EVS_GROUP_JOIN: a member joined
 * @EVS_GROUP_LEAVE: a member left or died
 * @EVS_GROUP_REBALANCE: partitions were assigned anew
 */
enum evs_group_event {
	EVS_GROUP_NEW,
	EVS_GROUP_DEL,
	EVS_GROUP_JOIN,
	EVS_GROUP_LEAVE,
	EVS_GROUP_REBALANCE,
};

/**
 * typedef evs_group_event_fn - who wants to know
 * @t: the topic
 * @g: the group; its lock is held: look at it, do not call its functions
 * @m: who joined or left, else NULL
 * @event: what happened
 *
 * Context: may sleep, but not for long: everybody waits.
 */
typedef void (*evs_group_event_fn)(const struct evs_topic *t, const struct evs_group *g,
				   const struct evs_member *m, enum evs_group_event event);
void evs_group_on_event(evs_group_event_fn fn);

#endif /* EVSTREAM_GROUP_H */
