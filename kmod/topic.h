/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Topics: registry, configuration, lifetime.
 *
 * A topic lives as long as somebody holds a reference: the registry from
 * creation to deletion, each open file, each netlink request that looks at it.
 *
 *	evs_topic_create()     registered, nodes there
 *	evs_topic_attach()     likewise, with the records found in its directory
 *	evs_topic_delete()     nodes gone, partitions dead: -ENODEV for all files
 *	evs_topic_detach()     likewise, and the records stay in its directory
 *	last evs_topic_put()   freed, behind a grace period
 */
#ifndef EVSTREAM_TOPIC_H
#define EVSTREAM_TOPIC_H

#include <linux/bits.h>
#include <linux/kref.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/evstream.h>
#include <uapi/linux/evstream_netlink.h>

#include "group.h"

struct evs_node;
struct evs_partition;
struct evs_place;

/**
 * struct evs_topic_config - what a topic is created with
 * @name: its name
 * @partitions: how many
 * @max_record: the largest record in bytes
 * @framing: an &enum evstream_framing
 * @full: an &enum evstream_full
 * @segment_size: bytes, a power of two
 * @ring_size: bytes per partition, a multiple of @segment_size
 * @retention_ms: 0: none
 * @retention_bytes: 0: none
 * @flush_ms: how long a record may be only in memory, 0: for ever; durable topics
 * @flush_bytes: how much may be, 0: any; durable topics
 * @uid: owner of the nodes
 * @gid: group of the nodes
 * @mode: of the nodes
 */
struct evs_topic_config {
	char name[EVSTREAM_NAME_MAX + 1];
	u32 partitions;
	u32 max_record;
	u32 framing;
	u32 full;
	u64 segment_size;
	u64 ring_size;
	u64 retention_ms;
	u64 retention_bytes;
	u64 flush_ms;
	u64 flush_bytes;
	kuid_t uid;
	kgid_t gid;
	umode_t mode;
};

/* Members of a configuration: which were given, which count, which is at fault. */
#define EVS_SET_PARTITIONS	BIT(0)
#define EVS_SET_SEGMENT_SIZE	BIT(1)
#define EVS_SET_RING_SIZE	BIT(2)
#define EVS_SET_MAX_RECORD	BIT(3)
#define EVS_SET_FRAMING		BIT(4)
#define EVS_SET_FULL		BIT(5)
#define EVS_SET_UID		BIT(6)
#define EVS_SET_GID		BIT(7)
#define EVS_SET_MODE		BIT(8)
#define EVS_SET_RETENTION_MS	BIT(9)
#define EVS_SET_RETENTION_BYTES	BIT(10)
#define EVS_SET_FLUSH_MS	BIT(11)
#define EVS_SET_FLUSH_BYTES	BIT(12)
#define EVS_SET_DIR		BIT(13)	/* not a member, but can be at fault */

/**
 * struct evs_fault - why a configuration was refused
 * @msg: for the user, NULL: the errno says it all
 * @set: the EVS_SET_* of the member at fault, 0: the name
 */
struct evs_fault {
	const char *msg;
	u32 set;
};

/**
 * struct evs_partition_stat - a partition as it is now
 * @start_offset: the first record held
 * @end_offset: the high watermark
 * @start_position: log position of the first byte held
 * @end_position: log position after the last byte
 * @memory: bytes of page cache
 * @appended_records: since creation
 * @appended_bytes: since creation
 * @dropped_records: since creation
 * @holes: failed appends that consumers skip
 * @segments: held
 * @readers: open files that can read
 * @writers: open files that can write
 * @devt: device number
 * @first_timestamp: of the oldest record held, -1: none
 * @last_timestamp: the newest held, -1: none
 * @durable_offset: the records below are on stable storage, -1: a volatile topic
 * @unwritten: bytes that are only in memory
 * @cut: bytes that recovery cut off when the topic was attached
 * @error: errno that has ended the writing, 0: none
 */
struct evs_partition_stat {
	u64 start_offset;
	u64 end_offset;
	u64 start_position;
	u64 end_position;
	u64 memory;
	u64 appended_records;
	u64 appended_bytes;
	u64 dropped_records;
	u64 holes;
	u32 segments;
	u32 readers;
	u32 writers;
	dev_t devt;
	s64 first_timestamp;
	s64 last_timestamp;
	s64 durable_offset;
	u64 unwritten;
	u64 cut;
	u32 error;
};

/**
 * struct evs_topic - a topic
 * @ref: see above
 * @rcu: behind which it is freed
 * @id: never used twice
 * @config: all but the framing and the limits of records is read under @lock;
 *	these two with READ_ONCE()
 * @created_ms: when, since the epoch
 * @lock: protects @config's changes
 * @dead: deleted
 * @any_wait: who reads all partitions waits here
 * @place: its directory, NULL: it is volatile
 * @groups: its consumer groups
 * @turn: whose turn it is to be a file's own partition
 * @nodes: device nodes: a partition's each, and any's behind them
 * @partitions: how many
 * @partition: the partitions
 */
struct evs_topic {
	struct kref ref;
	struct rcu_head rcu;
	struct hlist_node hash;
	u32 id;
	struct evs_topic_config config;
	u64 created_ms;
	spinlock_t lock;
	bool dead;
	wait_queue_head_t any_wait;
	struct evs_place *place;
	struct evs_groups groups;
	atomic_t turn;
	struct evs_node **nodes;
	u32 partitions;
	struct evs_partition *partition[] __counted_by(partitions);
};

/**
 * struct evs_node_ops - who makes device nodes
 * @add: make a topic's nodes; -errno: none was made
 * @remove: take them away
 * @change: make them anew with the topic's owner, group and mode
 * @devt: device number of a partition's node
 *
 * The registry's lock is held.
 */
struct evs_node_ops {
	int (*add)(struct evs_topic *t);
	void (*remove)(struct evs_topic *t);
	int (*change)(struct evs_topic *t);
	dev_t (*devt)(const struct evs_topic *t, u32 partition);
};

/* In topic.c */
void evs_topic_init(const struct evs_node_ops *nodes);
int evs_topic_create(const struct evs_topic_config *cfg, u32 given, const char *dir,
		     struct evs_topic **out, struct evs_fault *fault);
int evs_topic_attach(const char *name, const char *dir, struct evs_topic **out,
		     struct evs_fault *fault);
int evs_topic_delete(struct evs_topic *t);
int evs_topic_detach(struct evs_topic *t, struct evs_fault *fault);
void evs_topic_on_error(void (*fn)(u32 topic_id, u32 number, int error));
const char *evs_topic_dir(const struct evs_topic *t);
int evs_topic_set(struct evs_topic *t, const struct evs_topic_config *cfg, u32 set,
		  struct evs_fault *fault);
struct evs_topic *evs_topic_get(const char *name);
struct evs_topic *evs_topic_next(u32 id);
bool evs_topic_tryget(struct evs_topic *t);
void evs_topic_put(struct evs_topic *t);
u32 evs_topic_id(const struct evs_topic *t);
void evs_topic_config(struct evs_topic *t, struct evs_topic_config *cfg, u64 *created_ms);
int evs_topic_partition_stat(struct evs_topic *t, u32 partition, struct evs_partition_stat *st);
struct evs_partition *evs_topic_route(struct evs_topic *t, const void *key, s32 key_len,
				      u32 own);

#endif /* EVSTREAM_TOPIC_H */
