/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How a committed offset is kept: the records of Kafka's topic __consumer_offsets,
 * OffsetCommitKey version 1 and OffsetCommitValue version 3.
 *
 * Pure functions on bytes, as batch.h.
 *
 *	key:   i16 1, string group, string topic, i32 partition
 *	value: i16 3, i64 offset, i32 leader epoch -1, string metadata, i64 time
 *
 * A string is its i16 length and so many bytes.  A null value: forgotten.
 */
#ifndef EVSTREAM_COMMIT_H
#define EVSTREAM_COMMIT_H

#include <linux/types.h>

#define EVS_COMMIT_KEY_VERSION		1
#define EVS_COMMIT_VALUE_VERSION	3
/* Of a group's and a topic's name. */
#define EVS_COMMIT_NAME_MAX		249u
/* Metadata of a group that hands out records; that of others is empty. */
#define EVS_COMMIT_QUEUE		"queue"

#define EVS_COMMIT_KEY_MAX	(2 + 2 * (2 + EVS_COMMIT_NAME_MAX) + 4)
#define EVS_COMMIT_VALUE_MAX	(2 + 8 + 4 + 2 + sizeof(EVS_COMMIT_QUEUE) - 1 + 8)

/**
 * struct evs_commit_key - whose offset it is
 * @group: the group's name, not terminated
 * @group_len: its bytes
 * @topic: the topic's name, not terminated
 * @topic_len: its bytes
 * @partition: which one
 */
struct evs_commit_key {
	const char *group;
	u32 group_len;
	const char *topic;
	u32 topic_len;
	u32 partition;
};

/**
 * struct evs_commit_value - what was committed
 * @offset: the record to be read next
 * @ms: when, since the epoch
 * @queue: by a group that hands out records
 */
struct evs_commit_value {
	u64 offset;
	s64 ms;
	bool queue;
};

u32 evs_commit_key_put(u8 *p, const struct evs_commit_key *key);
int evs_commit_key_get(const u8 *p, size_t len, struct evs_commit_key *key);
u32 evs_commit_value_put(u8 *p, const struct evs_commit_value *value);
int evs_commit_value_get(const u8 *p, size_t len, struct evs_commit_value *value);

#endif /* EVSTREAM_COMMIT_H */
