/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What lies in a durable partition's directory beside the log itself: names,
 * Kafka's indexes, checkpoints and producer snapshots, and our own slots.
 *
 * Pure functions on bytes, as batch.h.  Formats: Kafka's OffsetIndex, TimeIndex,
 * LeaderEpochCheckpointFile, PartitionMetadataFile and ProducerStateManager.
 */
#ifndef EVSTREAM_FILES_H
#define EVSTREAM_FILES_H

#include <linux/types.h>
#include <linux/unaligned.h>

/* Names */

#define EVS_FILE_LOG		".log"
#define EVS_FILE_INDEX		".index"
#define EVS_FILE_TIMEINDEX	".timeindex"
#define EVS_FILE_SNAPSHOT	".snapshot"
#define EVS_FILE_EPOCHS		"leader-epoch-checkpoint"
#define EVS_FILE_METADATA	"partition.metadata"
#define EVS_FILE_CHECKPOINT	"evstream.checkpoint"
/* Of a topic's configuration, behind its name. */
#define EVS_FILE_CONFIG		".evstream"

/* Room for 20 digits, the longest of the endings and a zero. */
#define EVS_FILE_NAME		32

/* What is written when a partition is made. */
#define EVS_EPOCHS_TEXT		"0\n1\n0 0\n"
#define EVS_METADATA_SIZE	64

void evs_file_name(char *name, u64 base, const char *ending);
bool evs_file_name_parse(const char *name, size_t len, const char *ending, u64 *base);
size_t evs_metadata_text(char *text, const u8 uuid[16]);

/* Indexes */

#define EVS_INDEX_ENTRY		8u	/* relative offset, position */
#define EVS_TIMEINDEX_ENTRY	12u	/* timestamp, relative offset */

/**
 * evs_index_entry_put() - encode an entry of a .index file
 * @p: EVS_INDEX_ENTRY bytes
 * @offset: the last offset of a batch, from the segment's base offset
 * @pos: where in the segment's file that batch begins
 */
static inline void evs_index_entry_put(u8 *p, u32 offset, u32 pos)
{
	put_unaligned_be32(offset, p);
	put_unaligned_be32(pos, p + 4);
}

/**
 * evs_index_entry_get() - decode one
 * @p: EVS_INDEX_ENTRY bytes
 * @offset: as above, out
 * @pos: as above, out
 */
static inline void evs_index_entry_get(const u8 *p, u32 *offset, u32 *pos)
{
	*offset = get_unaligned_be32(p);
	*pos = get_unaligned_be32(p + 4);
}

/**
 * evs_timeindex_entry_put() - encode an entry of a .timeindex file
 * @p: EVS_TIMEINDEX_ENTRY bytes
 * @timestamp: the newest in the segment so far, ms
 * @offset: offset up to which that is so, from the segment's base offset
 */
static inline void evs_timeindex_entry_put(u8 *p, s64 timestamp, u32 offset)
{
	put_unaligned_be64(timestamp, p);
	put_unaligned_be32(offset, p + 8);
}

/**
 * evs_timeindex_entry_get() - decode one
 * @p: EVS_TIMEINDEX_ENTRY bytes
 * @timestamp: as above, out
 * @offset: as above, out
 */
static inline void evs_timeindex_entry_get(const u8 *p, s64 *timestamp, u32 *offset)
{
	*timestamp = get_unaligned_be64(p);
	*offset = get_unaligned_be32(p + 8);
}

/* Producer snapshots: version 1, CRC32C of what follows it, count, entries. */

#define EVS_SNAPSHOT_VERSION	1
#define EVS_SNAPSHOT_HEAD	10u
#define EVS_SNAPSHOT_ENTRY	46u

/**
 * struct evs_snapshot_entry - an idempotent producer's last batch
 * @id: its producer id
 * @epoch: its epoch
 * @last_sequence: sequence of the batch's last record
 * @last_offset: offset of that record
 * @offset_delta: from the batch's first record to it
 * @timestamp: the batch's newest, ms
 */
struct evs_snapshot_entry {
	s64 id;
	s16 epoch;
	s32 last_sequence;
	s64 last_offset;
	s32 offset_delta;
	s64 timestamp;
};

void evs_snapshot_entry_put(u8 *p, const struct evs_snapshot_entry *e);
void evs_snapshot_entry_get(const u8 *p, struct evs_snapshot_entry *e);
void evs_snapshot_head_put(u8 *buf, u32 count);
int evs_snapshot_check(const u8 *buf, size_t size, u32 *count);

/*
 * Slots: a small text of ours that is replaced without ever being absent. A file
 * has two; the one with the higher sequence whose checksum holds counts, and the
 * other one is written next.
 *
 *	evstream=1			version
 *	sequence=7
 *	key=value			...
 *	checksum=0123abcd		CRC32C of all before this line
 *					newlines up to EVS_SLOT bytes
 */
#define EVS_SLOT		4096u
#define EVS_SLOT_VERSION	1

/**
 * struct evs_file_slot - a slot being written
 * @buf: EVS_SLOT bytes
 * @len: bytes of text so far
 * @err: what evs_file_slot_end() will say
 */
struct evs_file_slot {
	char *buf;
	size_t len;
	int err;
};

void evs_file_slot_begin(struct evs_file_slot *s, char *buf, u64 sequence);
void evs_file_slot_put(struct evs_file_slot *s, const char *key, const char *value);
void evs_file_slot_put_u64(struct evs_file_slot *s, const char *key, u64 value);
int evs_file_slot_end(struct evs_file_slot *s);
int evs_file_slot_check(const char *buf, u64 *sequence);
int evs_file_slot_get(const char *buf, const char *key, char *value, size_t size);
int evs_file_slot_get_u64(const char *buf, const char *key, u64 *value);
const char *evs_file_slots_newest(const char *slots, size_t size, u64 *sequence, int *err);

#endif /* EVSTREAM_FILES_H */
