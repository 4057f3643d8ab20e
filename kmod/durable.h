/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a partition has when its log is kept in files: who writes them, up to
 * where they are written and on stable storage, and what is found in them again.
 *
 * Lock order, beside that of partition.h:
 *	evs_durable.pass	what is published is written
 *	  evs_partition.grow	where segments are dropped
 * Whoever holds evs_partition.grow may wait for an errand, but not for a pass.
 */
#ifndef EVSTREAM_DURABLE_H
#define EVSTREAM_DURABLE_H

#include <linux/bvec.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "partition.h"
#include "producers.h"
#include "store.h"

/* Pieces of memory that go into one write. */
#define EVS_WRITE_PIECES	64

/**
 * struct evs_durable - the files' side of a partition
 * @p: the partition
 * @store: its directory
 * @work: writes, syncs and finishes
 * @timer: has @work sync
 * @pass: see there
 * @wait: for @durable and @error to change
 * @map: see there
 * @written: below it all bytes are in the files; changed under @pass
 * @durable: below it all bytes are on stable storage; changed under @pass
 * @durable_offset: the offset that belongs to it
 * @wanted: somebody waits for it to be durable; evs_partition.lock
 * @due: a sync is due; evs_partition.lock
 * @settle: the tail should be clean after the next pass
 * @clean: the tail's folio is not dirty; evs_partition.lock
 * @checkpoint_due: what the checkpoint tells has changed
 * @snapshot_due: who has appended to what was given up unfinished is not written down
 * @dir_dirty: the directory has a new entry that is not on stable storage
 * @stopped: no more
 * @over: a producer that does not wait was told to come again after the next pass
 * @no_reserve: the file system cannot reserve room
 * @dense: no offset is missing between batches, as Kafka's compaction leaves them
 * @error: negative errno that has ended the writing for good, else 0
 * @full: -ENOSPC or -EDQUOT of the last pass, else 0
 * @started: passes begun
 * @ended: number of the last one that has ended
 * @synced: number of the first segment that may have bytes to sync
 * @finished: number of the first segment that is not exactly as Kafka's and on
 *	stable storage with its indexes, nor given up; changed under @pass
 * @sequence: of the checkpoint's last slot
 * @cut: bytes that recovery cut off
 * @producers: who has appended to finished segments; @work's
 * @snapshot: offset of the newest snapshot of them, U64_MAX: none
 * @snapshot_before: and of the one before
 * @gone: segments whose files go; evs_partition.lock
 * @block: a page for the last, partial block; there since the first segment is
 * @bvec: what is being written; likewise
 */
struct evs_durable {
	struct evs_partition *p;
	struct evs_store store;
	struct work_struct work;
	struct delayed_work timer;
	struct mutex pass;		/* one at a time writes: @work, or who waits for it */
	wait_queue_head_t wait;
	struct mutex map;		/* serialises maps of the control page */
	u64 written;
	u64 durable;
	u64 durable_offset;
	u64 wanted;
	bool due;
	bool settle;
	bool clean;
	bool checkpoint_due;
	bool snapshot_due;
	bool dir_dirty;
	bool stopped;
	bool over;
	bool no_reserve;
	bool dense;
	int error;
	int full;
	u64 started;
	u64 ended;
	u64 synced;
	u64 finished;
	u64 sequence;
	u64 cut;
	struct evs_producers producers;
	u64 snapshot;
	u64 snapshot_before;
	struct list_head gone;
	void *block;
	struct bio_vec *bvec;
};

/* In durable.c */
extern const struct evs_log_store evs_durable_store;
int evs_durable_new(struct evs_partition *p);
void evs_durable_free(struct evs_partition *p);
void evs_durable_start(struct evs_partition *p);
int evs_durable_stop(struct evs_partition *p, bool remove);
int evs_durable_buffers(struct evs_durable *d);
int evs_durable_segment(struct evs_partition *p, struct evs_segment *s);
int evs_durable_room(struct evs_partition *p, u64 end, unsigned int flags, bool *again);
int evs_durable_memory(struct evs_partition *p, unsigned int flags);
void evs_durable_configured(struct evs_partition *p);
bool evs_durable_writable(struct evs_partition *p);
void evs_durable_throttle(struct evs_partition *p, unsigned int flags);
void evs_durable_bury(struct evs_partition *p, struct evs_segment *s);
bool evs_durable_droppable(const struct evs_partition *p, u64 number);
void evs_durable_moved(struct evs_partition *p);
int evs_durable_forgo(struct evs_partition *p, struct evs_segment *s);
int evs_durable_finish(struct evs_durable *d, struct evs_segment *s);
int evs_durable_checkpoint(struct evs_durable *d);
int evs_durable_lookup(struct evs_partition *p, u64 number, u64 offset, s64 timestamp,
		       u64 *pos);
void evs_segment_file_put(struct evs_segment *s);

/* In recover.c */
int evs_durable_create(struct evs_partition *p, const struct path *dir, const char *name,
		       const struct cred *cred, const u8 uuid[16]);
int evs_durable_attach(struct evs_partition *p, const struct path *dir, const char *name,
		       const struct cred *cred);

#endif /* EVSTREAM_DURABLE_H */
