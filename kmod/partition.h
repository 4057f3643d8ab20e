/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A partition: offsets over a log.  Append is reserve, fill, publish.
 *
 * Lock order:
 *	mmap_lock
 *	evs_producers.lock	  a producer's batches are taken one by one
 *	  evs_partition.grow	segments and folios come and go
 *	    evs_partition.lock	a reservation is made or published
 */
#ifndef EVSTREAM_PARTITION_H
#define EVSTREAM_PARTITION_H

#include <linux/fcntl.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "batch.h"
#include "log.h"
#include "producers.h"

struct evstream_ctl;
struct iov_iter;
struct vm_area_struct;

struct evs_durable;

/**
 * struct evs_limits - what a topic's configuration means to a partition
 * @ring: bytes held at the most, a multiple of the segment size; of a durable
 *	one: bytes held that are not written yet
 * @retention_bytes: above which sealed segments are dropped, 0: none
 * @retention_ms: a segment's age from its newest record, 0: none
 * @full: an &enum evstream_full
 * @flush_ms: how long a record may be only in memory, 0: for ever
 * @flush_bytes: how much may be, 0: any
 */
struct evs_limits {
	u64 ring;
	u64 retention_bytes;
	u64 retention_ms;
	u32 full;
	u64 flush_ms;
	u64 flush_bytes;
};

/**
 * struct evs_index_entry - what lies at a position
 * @offset: base offset of the batch there, from the segment's
 * @before: newest timestamp of the segment's batches before this one, ms
 * @before_offset: last offset of the batch that has it, from the segment's
 * @pos: from the segment's start
 * @last: last offset of the batch there, from its base offset
 */
struct evs_index_entry {
	u64 offset;
	s64 before;
	u64 before_offset;
	u32 pos;
	u32 last;
};

/* An entry where more bytes than these came since the last, as Kafka's index.interval.bytes. */
#define EVS_INDEX_INTERVAL	4096u
/* Entries in a page. */
#define EVS_INDEX_CHUNK		((u32)(PAGE_SIZE / sizeof(struct evs_index_entry)))

/**
 * struct evs_index - a segment's index in memory
 * @rcu: readers look into it under RCU
 * @entries: how many; their stores come before it
 * @chunk: pages of them; a NULL ends these
 */
struct evs_index {
	struct rcu_head rcu;
	u32 entries;
	struct evs_index_entry *chunk[];
};

/**
 * struct evs_segment - an aligned stretch of the log
 * @rcu: readers look it up under RCU
 * @pos: its first position
 * @offset: first offset in it
 * @newest: newest timestamp in it, S64_MIN: none
 * @newest_offset: last offset of the batch that has it
 * @newest_before: newest timestamp in all before it
 * @next_entry: position from which the next batch gets an entry
 * @index: NULL: it is in the files, and that is enough
 * @end: position after its last batch once it is sealed, U64_MAX before
 * @next_offset: one after its last offset, once it is sealed
 * @producers: has batches of idempotent producers
 * @inexact: what @newest and the index say of times was not always appended
 * @file: its log, of a durable partition
 * @reserved: up to this position the file has room
 * @unsynced: has bytes that are not on stable storage
 * @gone: in evs_durable.gone
 */
struct evs_segment {
	struct rcu_head rcu;
	u64 pos;
	u64 offset;
	s64 newest;
	u64 newest_offset;
	s64 newest_before;
	u64 next_entry;
	struct evs_index __rcu *index;
	u64 end;
	u64 next_offset;
	bool producers;
	bool inexact;
	struct file *file;
	u64 reserved;
	bool unsynced;
	struct list_head gone;
};

/**
 * struct evs_partition - a partition
 * @number: within its topic
 * @topic_id: its topic's, set before the topic is known
 * @devt: number of its device node
 * @log: its bytes
 * @limits: read with READ_ONCE()
 * @any_wait: woken together with @wait
 * @durable: its files, NULL: it is volatile
 * @lock: protects the members up to @grow, and the ends' stores
 * @resv: unpublished reservations, the newest first
 * @next_pos: where the next reservation begins
 * @room: up to where there are folios in the open segment
 * @next_offset: the next reservation's first offset
 * @newest: newest timestamp of the sealed segments
 * @last_append: newest log-append time
 * @stamp_from: the cycle counter when @last_append was the clock's
 * @stamp_for: cycles for which it still is
 * @segment: the open one, or NULL
 * @index: its index
 * @padding: bytes of the log that no batch has
 * @leader_epoch: Kafka's, of the batches appended
 * @holes: appends that failed after later ones had been reserved
 * @tail: the folio that the last small append went to
 * @tail_base: position of its first byte
 * @tail_end: position after its last byte
 * @dead: the topic was deleted
 * @end_pos: high watermark
 * @end_offset: high watermark; stored last, with release: whoever loads it with
 *	acquire sees @end_pos and the bytes below it
 * @start_offset: the first offset held
 * @start_pos: position of the batch that holds it
 * @ctl: control page, NULL before the first map of it
 * @wait: for records, for room, for publication
 * @grow: serialises whatever changes segments and folios
 * @producers: the idempotent ones
 * @segments: by number, position >> shift
 * @first: number of the oldest segment held
 * @next: one after the newest's number; equal to @first: none
 * @maps: VMAs of the log
 * @expire: drops what retention_ms says
 * @readers: open files
 * @writers: open files
 * @released: the first record that not all groups have committed
 */
struct evs_partition {
	u32 number;
	u32 topic_id;
	dev_t devt;
	struct evs_log log;
	struct evs_limits limits;
	wait_queue_head_t *any_wait;
	struct evs_durable *durable;

	spinlock_t lock ____cacheline_aligned_in_smp;
	struct hlist_head resv;
	u64 next_pos;
	u64 room;
	u64 next_offset;
	s64 newest;
	s64 last_append;
	u64 stamp_from;
	u64 stamp_for;
	struct evs_segment *segment;
	struct evs_index *index;
	u64 padding;
	u64 holes;
	u32 leader_epoch;
	u8 *tail;
	u64 tail_base;
	u64 tail_end;
	bool dead;

	u64 end_pos ____cacheline_aligned_in_smp;
	u64 end_offset;
	u64 start_offset;
	u64 start_pos;
	struct evstream_ctl *ctl;
	wait_queue_head_t wait;

	struct evs_producers producers;
	struct mutex grow;
	struct xarray segments;
	u64 first;
	u64 next;
	unsigned int maps;
	struct delayed_work expire;
	atomic_t readers;
	atomic_t writers;
	u64 released;
};

/**
 * struct evs_gap - what a reader was too late for
 * @from: first offset of the last gap
 * @to: one after its last
 * @lost: records lost in all
 */
struct evs_gap {
	u64 from;
	u64 to;
	u64 lost;
};

/**
 * struct evs_cursor - a reader's place in a partition
 * @offset: the record wanted next
 * @pos: the batch that holds it, where @at is set
 * @rec: position of the record within that batch, 0: its first one
 * @at: @pos is known
 * @any: not @offset is wanted, but whatever is at @pos or behind it
 * @expect: base offset of the batch at @pos, if there is no gap, 0: not known
 * @batch: header of the batch at @pos, where @rec is not 0
 * @gap: what was lost
 * @view: folio being read
 */
struct evs_cursor {
	u64 offset;
	u64 pos;
	u64 rec;
	bool at;
	bool any;
	u64 expect;
	struct evs_batch_info batch;
	struct evs_gap gap;
	struct evs_view view;
};

/**
 * struct evs_found - a record that a cursor stands at
 * @offset: its offset
 * @timestamp: ms
 * @pos: its position
 * @size: its bytes
 * @value_pos: position of its value
 * @value_len: bytes of the value, -1: null
 */
struct evs_found {
	u64 offset;
	s64 timestamp;
	u64 pos;
	u32 size;
	u64 value_pos;
	s32 value_len;
};

/**
 * struct evs_source - one record to append
 * @key: NULL: null
 * @value: NULL: null
 * @headers: encoded headers, without their count
 * @key_len: bytes of the key, -1: null
 * @value_len: bytes of the value, -1: null
 * @headers_len: bytes at @headers
 * @headers_count: headers
 * @timestamp: ms, -1: the time of the append
 */
struct evs_source {
	const u8 *key;
	const u8 *value;
	const u8 *headers;
	s32 key_len;
	s32 value_len;
	u32 headers_len;
	u32 headers_count;
	s64 timestamp;
};

/**
 * evs_segment_size() - bytes of a segment
 * @p: the partition
 */
static inline u64 evs_segment_size(const struct evs_partition *p)
{
	return 1ULL << p->log.shift;
}

/**
 * evs_end_offset() - the high watermark
 * @p: the partition
 *
 * What it is loaded before sees all bytes of the records below it.
 */
static inline u64 evs_end_offset(const struct evs_partition *p)
{
	/* Pairs with the release in evs_reservation_publish(). */
	return smp_load_acquire(&p->end_offset);
}

/**
 * evs_end_pos() - the high watermark as a position
 * @p: the partition
 */
static inline u64 evs_end_pos(const struct evs_partition *p)
{
	/* Pairs with the release in evs_reservation_publish(). */
	return smp_load_acquire(&p->end_pos);
}

/* How an append may wait. */
#define EVS_NONBLOCK	O_NONBLOCK	/* not for room in a full ring */
#define EVS_NOWAIT	BIT(31)		/* not for memory or a mutex either */
#define EVS_CLOSING	BIT(30)		/* also with a signal pending: nobody comes again */

/**
 * struct evs_partition_counters - a partition as it is now
 * @start_offset: first record held
 * @end_offset: high watermark
 * @start_pos: position from which all is held
 * @end_pos: position after the last batch
 * @memory: bytes of folios
 * @bytes: of batches ever appended
 * @holes: failed appends that consumers skip
 * @segments: held
 * @oldest: timestamp of the first record held, -1: none
 * @newest: newest timestamp held, -1: none
 * @durable: the records below this offset are on stable storage; -1: a volatile
 *	partition
 * @unwritten: bytes that are only in memory
 * @cut: bytes that recovery cut off
 * @error: errno that has ended the writing, 0: none
 */
struct evs_partition_counters {
	u64 start_offset;
	u64 end_offset;
	u64 start_pos;
	u64 end_pos;
	u64 memory;
	u64 bytes;
	u64 holes;
	u32 segments;
	s64 oldest;
	s64 newest;
	s64 durable;
	u64 unwritten;
	u64 cut;
	int error;
};

/* In partition.c */
int evs_partition_init_caches(void);
void evs_partition_exit_caches(void);
struct evs_partition *evs_partition_new(u32 number, u8 segment_shift,
					const struct evs_limits *limits,
					wait_queue_head_t *any_wait, bool durable);
void evs_partition_refuse(struct evs_partition *p);
int evs_partition_kill(struct evs_partition *p, bool remove);
void evs_partition_free(struct evs_partition *p);
void evs_partition_configure(struct evs_partition *p, const struct evs_limits *limits);
int evs_partition_counters(struct evs_partition *p, struct evs_partition_counters *c);
int evs_partition_trim(struct evs_partition *p, u64 offset);
void evs_partition_release(struct evs_partition *p, u64 offset);
int evs_partition_mmap(struct evs_partition *p, struct vm_area_struct *vma);

/* In durable.c */
int evs_partition_sync(struct evs_partition *p, u64 end);
s64 evs_partition_durable_offset(const struct evs_partition *p);
void evs_partition_sync_start(struct evs_partition *p);
void evs_partition_on_error(void (*fn)(u32 topic_id, u32 number, int error));

/* In append.c */
ssize_t evs_append_user(struct evs_partition *p, const void __user *buf, u32 len,
			unsigned int flags);
int evs_append_value(struct evs_partition *p, const void *value, u32 len, unsigned int flags);
int evs_append_iter(struct evs_partition *p, struct iov_iter *from, unsigned int flags);
int evs_append_sources(struct evs_partition *p, const struct evs_source *src, u32 n,
		       unsigned int flags, u64 *offset);
int evs_append_lines(struct evs_partition *p, const u8 *lines, u32 len, unsigned int flags,
		     u32 *taken);
int evs_append_batch(struct evs_partition *p, const void *batch,
		     const struct evs_batch_info *info, unsigned int flags, u64 *offset);
bool evs_partition_writable(struct evs_partition *p);

/* In read.c */
int evs_cursor_find(struct evs_partition *p, struct evs_cursor *c, struct evs_found *found);
void evs_cursor_advance(struct evs_cursor *c, const struct evs_found *found);
void evs_cursor_seek(struct evs_cursor *c, u64 offset);
void evs_cursor_untell(struct evs_cursor *c, const struct evs_gap *before);
int evs_cursor_locate(struct evs_partition *p, struct evs_cursor *c, u64 *pos);
int evs_cursor_copy(struct evs_partition *p, struct evs_cursor *c, u64 pos, u32 len,
		    struct iov_iter *to);
int evs_cursor_fetch(struct evs_partition *p, struct evs_cursor *c, struct iov_iter *to,
		     u64 *pos, u32 *need);
u64 evs_cursor_ready(struct evs_partition *p, const struct evs_cursor *c);
ssize_t evs_cursor_read_single(struct evs_partition *p, struct evs_cursor *c, void __user *buf,
			       size_t len);
void evs_cursor_put(struct evs_cursor *c);
int evs_partition_find_time(struct evs_partition *p, s64 timestamp, u64 *offset);

#endif /* EVSTREAM_PARTITION_H */
