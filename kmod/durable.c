// SPDX-License-Identifier: GPL-2.0
/*
 * A durable partition: writes its log into files, and says up to where.
 *
 * A work item per partition, or who waits for it, writes what is published, in
 * order, each byte from the log's own folios, and syncs it when somebody waits or a
 * limit is reached, for all who wait at once. The work item gives a sealed segment
 * its exact size and its indexes. Until that is done a segment is not dropped, and
 * recovery reads all of it.
 */
#include <linux/backing-dev.h>
#include <linux/blk-cgroup.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/lockdep.h>
#include <linux/pagemap.h>
#include <linux/resource.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/writeback.h>
#include <linux/evstream.h>

#include "batch.h"
#include "durable.h"
#include "internal.h"

/* Of one write: it keeps a disk busy, and what is behind it becomes clean soon. */
#define EVS_WRITE_MAX		SZ_2M
/* So much unwritten has the writer start, if not asked. */
#define EVS_WRITE_AHEAD		SZ_4M
/* What is reserved in a segment's file at a time. */
#define EVS_RESERVE_MIN		SZ_1M
#define EVS_RESERVE_MAX		SZ_16M
/* When a full file system is tried again, and a flush without an interval. */
#define EVS_RETRY_MS		1000

static void (*evs_on_error)(u32 topic_id, u32 number, int error);

/**
 * evs_partition_on_error() - who wants to know that a partition's writing ended
 * @fn: called with the topic's id, the partition's number and the errno; NULL: no
 *	one any more
 */
void evs_partition_on_error(void (*fn)(u32 topic_id, u32 number, int error))
{
	WRITE_ONCE(evs_on_error, fn);
}

static struct evs_segment *evs_durable_at(struct evs_durable *d, u64 pos)
{
	return xa_load(&d->p->segments, pos >> d->p->log.shift);
}

static u64 evs_segment_limit(struct evs_durable *d, const struct evs_segment *s)
{
	return s->pos + evs_segment_size(d->p);
}

/* For good. Appends are refused from now on, and what is in memory stays. */
static void evs_durable_fail(struct evs_durable *d, int err)
{
	struct evs_partition *p = d->p;
	void (*tell)(u32 topic_id, u32 number, int error) = READ_ONCE(evs_on_error);

	if (d->error)
		return;
	spin_lock(&p->lock);
	WRITE_ONCE(d->error, err);
	p->room = p->next_pos;
	spin_unlock(&p->lock);
	pr_err("evstream: %pd: writing stopped: error %d\n", d->store.dir.dentry, err);
	evs_log_give_up(&p->log);
	evs_partition_wake(p);
	wake_up_all(&d->wait);
	if (tell)
		tell(p->topic_id, p->number, -err);
}

static bool evs_is_full(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

/*
 * Where to write from @pos on: whole blocks out of the folios, and the last one,
 * of which only a part is published, out of a copy: its rest is zeroes, not what
 * somebody is just filling.
 */
static unsigned int evs_durable_gather(struct evs_durable *d, u64 pos, u64 len, u64 *bytes,
				       u64 *padding)
{
	struct evs_log *log = &d->p->log;
	unsigned int nr;
	u32 rest;

	*padding = 0;
	nr = evs_log_bvec(log, pos, min_t(u64, len, EVS_WRITE_MAX), d->bvec, EVS_WRITE_PIECES,
			  bytes);
	if (!nr || !d->store.align)
		return nr;
	rest = *bytes & (d->store.align - 1);
	if (!rest)
		return nr;
	/* A block lies within a folio. */
	memcpy(d->block, bvec_virt(&d->bvec[nr - 1]) + d->bvec[nr - 1].bv_len - rest, rest);
	memset(d->block + rest, 0, d->store.align - rest);
	d->bvec[nr - 1].bv_len -= rest;
	if (!d->bvec[nr - 1].bv_len)
		nr--;
	bvec_set_virt(&d->bvec[nr++], d->block, d->store.align);
	*padding = d->store.align - rest;
	return nr;
}

static void evs_durable_set_written(struct evs_durable *d, u64 pos)
{
	WRITE_ONCE(d->written, pos);
	evs_log_written(&d->p->log, pos);
	/* For those who wait for memory. */
	evs_partition_wake(d->p);
}

static int evs_durable_write_segment(struct evs_durable *d, struct evs_segment *s, u64 to)
{
	while (d->written < to) {
		u64 at = d->store.align ? round_down(d->written, d->store.align) : d->written;
		u64 bytes, padding;
		unsigned int nr = evs_durable_gather(d, at, to - at, &bytes, &padding);
		int ret;

		if (WARN_ON_ONCE(!nr))
			return -EIO;
		s->unsynced = true;
		ret = evs_file_write(&d->store, s->file, at - s->pos, d->bvec, nr,
				     bytes + padding);
		if (ret)
			return ret;
		evs_durable_set_written(d, at + bytes);
		cond_resched();
	}
	return 0;
}

/* Writes all below @end, which is published. */
static int evs_durable_write(struct evs_durable *d, u64 end)
{
	int ret;

	while (d->written < end) {
		struct evs_segment *s = evs_durable_at(d, d->written);

		if (WARN_ON_ONCE(!s))
			return -EIO;
		ret = evs_durable_write_segment(d, s, min(end, READ_ONCE(s->end)));
		if (ret)
			return ret;
		/* Behind a sealed segment's last batch there is nothing. */
		if (d->written == s->end && d->written < end)
			evs_durable_set_written(d, evs_segment_limit(d, s));
	}
	return 0;
}

/* Puts all that is written on stable storage. */
static int evs_durable_sync(struct evs_durable *d, u64 end, u64 end_offset)
{
	u64 number, last = d->written >> d->p->log.shift;
	int ret;

	for (number = d->synced; number <= last; number++) {
		struct evs_segment *s = xa_load(&d->p->segments, number);

		if (!s || !s->unsynced)
			continue;
		ret = vfs_fsync(s->file, 1);
		if (ret)
			return ret == -ENOSPC || ret == -EDQUOT ? -EIO : ret;
		s->unsynced = false;
		/* One copy in memory will do. */
		if (!d->store.align)
			invalidate_mapping_pages(s->file->f_mapping, 0, -1);
	}
	d->synced = last;
	if (READ_ONCE(d->dir_dirty)) {
		WRITE_ONCE(d->dir_dirty, false);
		ret = evs_store_sync(&d->store);
		if (ret) {
			WRITE_ONCE(d->dir_dirty, true);
			return ret;
		}
	}
	spin_lock(&d->p->lock);
	WRITE_ONCE(d->durable_offset, end_offset);
	WRITE_ONCE(d->durable, end);
	spin_unlock(&d->p->lock);
	wake_up_all(&d->wait);
	return 0;
}

/* From the log, or, while that is being recovered, from the file. */
static int evs_durable_header(struct evs_durable *d, struct evs_segment *s,
			      struct evs_view *view, u64 pos, struct evs_batch_info *b)
{
	u8 header[EVS_BATCH_HEADER];
	int ret = evs_view_read(&d->p->log, view, pos, header, sizeof(header));

	if (ret == -ENODATA)
		ret = evs_file_read(s->file, pos - s->pos, header, sizeof(header));
	if (!ret)
		ret = evs_batch_header_get(header, b);
	return ret == -ENODATA || ret == -EBADMSG ? -EIO : ret;
}

/* Makes the times of a segment and of its index those of the records in it. */
static int evs_durable_exact_times(struct evs_durable *d, struct evs_segment *s)
{
	struct evs_index *x = rcu_dereference_protected(s->index, true);
	u64 pos = s->pos, last = s->offset;
	struct evs_view view = {};
	s64 newest = S64_MIN;
	u32 i = 0;
	int ret = 0;

	while (pos < s->end) {
		struct evs_index_entry *e = x->chunk[i / EVS_INDEX_CHUNK] + i % EVS_INDEX_CHUNK;
		struct evs_batch_info b;

		ret = evs_durable_header(d, s, &view, pos, &b);
		if (ret)
			break;
		if (i < x->entries && s->pos + e->pos == pos) {
			WRITE_ONCE(e->before, newest);
			WRITE_ONCE(e->before_offset, last - s->offset);
			i++;
		}
		/* A batch without records has no time, whatever it says. */
		if (b.count && b.max_timestamp > newest) {
			newest = b.max_timestamp;
			last = b.base_offset + b.last_delta;
		}
		pos += b.size;
		cond_resched();
	}
	evs_view_put(&view);
	if (!ret) {
		WRITE_ONCE(s->newest, newest);
		s->newest_offset = last;
	}
	return ret;
}

/* The .index file's bytes: Kafka has none for a segment's first batch. */
static u32 evs_durable_offsets(const struct evs_index *x, u8 *buf)
{
	u32 i, size = 0;

	for (i = 0; i < x->entries; i++) {
		struct evs_index_entry *e = x->chunk[i / EVS_INDEX_CHUNK] + i % EVS_INDEX_CHUNK;

		if (!e->pos)
			continue;
		evs_index_entry_put(buf + size, e->offset + e->last, e->pos);
		size += EVS_INDEX_ENTRY;
	}
	return size;
}

/* The .timeindex file's bytes, or -errno: at each of those the newest so far, if newer. */
static int evs_durable_times(struct evs_durable *d, struct evs_segment *s,
			     const struct evs_index *x, u8 *buf)
{
	struct evs_view view = {};
	u32 i, size = 0;
	s64 newest = -1;
	int ret = 0;

	for (i = 0; i < x->entries; i++) {
		struct evs_index_entry *e = x->chunk[i / EVS_INDEX_CHUNK] + i % EVS_INDEX_CHUNK;
		u64 last = e->before_offset;
		s64 time = e->before;
		struct evs_batch_info b;

		if (!e->pos)
			continue;
		ret = evs_durable_header(d, s, &view, s->pos + e->pos, &b);
		if (ret)
			break;
		if (b.count && b.max_timestamp > time) {
			time = b.max_timestamp;
			last = e->offset + e->last;
		}
		if (time <= newest)
			continue;
		newest = time;
		evs_timeindex_entry_put(buf + size, time, last);
		size += EVS_TIMEINDEX_ENTRY;
	}
	evs_view_put(&view);
	if (!ret && s->newest > newest) {
		evs_timeindex_entry_put(buf + size, s->newest, s->newest_offset - s->offset);
		size += EVS_TIMEINDEX_ENTRY;
	}
	return ret ? ret : (int)size;
}

static int evs_durable_write_index(struct evs_durable *d, struct evs_segment *s)
{
	struct evs_index *x = rcu_dereference_protected(s->index, true);
	char name[EVS_FILE_NAME];
	int ret;
	u8 *buf;

	buf = kvmalloc_array(x->entries + 1, EVS_TIMEINDEX_ENTRY, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	evs_file_name(name, s->offset, EVS_FILE_INDEX);
	ret = evs_store_replace(&d->store, name, buf, evs_durable_offsets(x, buf));
	if (!ret)
		ret = evs_durable_times(d, s, x, buf);
	if (ret >= 0) {
		evs_file_name(name, s->offset, EVS_FILE_TIMEINDEX);
		ret = evs_store_replace(&d->store, name, buf, ret);
	}
	kvfree(buf);
	return ret;
}

/**
 * evs_durable_finish() - make a sealed segment's files what Kafka's are
 * @d: the partition's files
 * @s: the segment, written
 *
 * Return: 0: it is on stable storage with its exact size and indexes, but for
 * the directory; or a negative errno.
 */
int evs_durable_finish(struct evs_durable *d, struct evs_segment *s)
{
	struct evs_index *x;
	int ret;

	ret = evs_file_truncate(s->file, s->end - s->pos);
	if (ret)
		return ret;
	ret = vfs_fsync(s->file, 0);
	if (ret)
		return evs_is_full(ret) ? -EIO : ret;
	s->unsynced = false;
	ret = s->inexact ? evs_durable_exact_times(d, s) : 0;
	if (!ret)
		ret = evs_durable_write_index(d, s);
	if (ret)
		return ret;
	/* The files tell from now on: a log has no end, and memory has. */
	x = rcu_dereference_protected(s->index, true);
	RCU_INIT_POINTER(s->index, NULL);
	evs_index_free(x);
	invalidate_mapping_pages(s->file->f_mapping, 0, -1);
	return 0;
}

/**
 * evs_durable_forgo() - a segment goes as it is, without what finishing makes
 * @p: the partition
 * @s: the oldest segment, sealed and written; the writer's next to finish
 *
 * Context: the writer's; evs_partition.grow is held.
 * Return: 0; -ENOMEM, or what it could not be read for: it must not go.
 */
int evs_durable_forgo(struct evs_partition *p, struct evs_segment *s)
{
	struct evs_durable *d = p->durable;
	int ret;

	lockdep_assert_held(&d->pass);
	lockdep_assert_held(&p->grow);
	ret = evs_producers_walk(d, s);
	if (ret)
		return ret;
	WRITE_ONCE(d->finished, d->finished + 1);
	WRITE_ONCE(d->snapshot_due, true);
	return 0;
}

/* Where reading begins when it is attached: at the first segment that is not finished. */
static u64 evs_durable_recovery(struct evs_durable *d)
{
	struct evs_segment *s;

	lockdep_assert_held(&d->p->lock);
	s = xa_load(&d->p->segments, d->finished);
	return s ? s->offset : d->p->next_offset;
}

/**
 * evs_durable_checkpoint() - write down what cannot be read from the log
 * @d: the partition's files
 *
 * The recovery point is the base offset of the first segment that is not
 * finished: what lies before need not be read when the topic is attached.
 *
 * Return: 0 or a negative errno.
 */
int evs_durable_checkpoint(struct evs_durable *d)
{
	struct evs_partition *p = d->p;
	struct evs_file_slot slot;
	u64 start, recovery;
	char *buf;
	int ret;

	buf = kmalloc(EVS_SLOT, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	WRITE_ONCE(d->checkpoint_due, false);
	rcu_read_lock();
	spin_lock(&p->lock);
	start = p->start_offset;
	recovery = evs_durable_recovery(d);
	spin_unlock(&p->lock);
	rcu_read_unlock();
	evs_file_slot_begin(&slot, buf, d->sequence + 1);
	evs_file_slot_put_u64(&slot, "start-offset", start);
	evs_file_slot_put_u64(&slot, "recovery-offset", recovery);
	evs_file_slot_put_u64(&slot, "dense", d->dense);
	ret = evs_file_slot_end(&slot);
	if (!ret)
		ret = evs_store_slot(&d->store, EVS_FILE_CHECKPOINT, buf, d->sequence + 1);
	if (ret)
		WRITE_ONCE(d->checkpoint_due, true);
	else
		d->sequence++;
	kfree(buf);
	return ret;
}

/* Who has appended to all that is finished or was given up. */
static int evs_durable_snapshot(struct evs_durable *d)
{
	u64 offset;
	int ret;

	rcu_read_lock();
	spin_lock(&d->p->lock);
	offset = evs_durable_recovery(d);
	spin_unlock(&d->p->lock);
	rcu_read_unlock();
	ret = evs_producers_write(d, offset);
	if (!ret)
		ret = evs_durable_checkpoint(d);
	if (!ret)
		WRITE_ONCE(d->snapshot_due, false);
	return ret;
}

/* The next one that is sealed and written: 1; 0: there is none; or a negative errno. */
static int evs_durable_finish_next(struct evs_durable *d)
{
	struct evs_segment *s;
	int ret;

	if (d->snapshot_due) {
		ret = evs_durable_snapshot(d);
		if (ret)
			return ret;
	}
	s = xa_load(&d->p->segments, d->finished);
	if (!s || READ_ONCE(s->end) == U64_MAX || d->written < evs_segment_limit(d, s))
		return 0;
	/* Done already, if what follows it failed. */
	ret = rcu_access_pointer(s->index) ? evs_durable_finish(d, s) : 0;
	if (!ret)
		ret = evs_producers_save(d, s);
	if (evs_is_full(ret) && evs_partition_forgo(d->p, d->finished))
		return 1;
	if (ret)
		return ret;
	/* The next one's may come while this is done. */
	WRITE_ONCE(d->dir_dirty, false);
	ret = evs_store_sync(&d->store);
	if (ret) {
		WRITE_ONCE(d->dir_dirty, true);
		return ret;
	}
	WRITE_ONCE(d->finished, d->finished + 1);
	/* Before the next one: it removes the snapshot before this one's. */
	return evs_durable_checkpoint(d) ?: 1;
}

/* All that can be. */
static int evs_durable_finish_sealed(struct evs_durable *d)
{
	u64 before = d->finished;
	int ret;

	do {
		ret = evs_durable_finish_next(d);
		cond_resched();
	} while (ret > 0);
	if (d->finished != before)
		evs_partition_retain(d->p);
	return ret;
}

/* A segment's files.  The log last: what is left is found by it, and removed another time. */
static const char *const evs_endings[] = {
	EVS_FILE_SNAPSHOT, EVS_FILE_TIMEINDEX, EVS_FILE_INDEX, EVS_FILE_LOG,
};

static void evs_remove_segment(struct evs_durable *d, const struct evs_segment *s)
{
	char name[EVS_FILE_NAME];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(evs_endings); i++) {
		evs_file_name(name, s->offset, evs_endings[i]);
		evs_store_remove(&d->store, name);
	}
}

/* Puts the files of the segments that were dropped, and removes them, if @remove: any? */
static bool evs_durable_clear(struct evs_durable *d, bool remove)
{
	struct evs_partition *p = d->p;
	struct evs_segment *s, *next;
	LIST_HEAD(gone);

	spin_lock(&p->lock);
	list_splice_init(&d->gone, &gone);
	spin_unlock(&p->lock);
	if (list_empty(&gone))
		return false;
	/* Readers take the file under RCU. */
	synchronize_rcu();
	list_for_each_entry_safe(s, next, &gone, gone) {
		if (remove)
			evs_remove_segment(d, s);
		evs_segment_discard(s);
		cond_resched();
	}
	return true;
}

/* Writes what is published, and syncs it where somebody waits or it is due. */
static int evs_durable_write_out(struct evs_durable *d)
{
	struct evs_partition *p = d->p;
	u64 end, end_offset;
	bool sync;
	int ret;

	lockdep_assert_held(&d->pass);
	if (d->error)
		return d->error;
	spin_lock(&p->lock);
	end = p->end_pos;
	end_offset = p->end_offset;
	sync = d->wanted > d->durable || d->due;
	d->due = false;
	spin_unlock(&p->lock);

	ret = evs_durable_write(d, end);
	if (!ret && sync && d->durable < end)
		ret = evs_durable_sync(d, end, end_offset);
	return ret;
}

static int evs_durable_pass(struct evs_durable *d)
{
	int ret = evs_durable_write_out(d);

	/* To finish or to drop what is written may make room for what is not. */
	if (!ret || evs_is_full(ret))
		ret = evs_durable_finish_sealed(d) ?: ret;
	if (!ret && d->checkpoint_due)
		ret = evs_durable_checkpoint(d);
	return ret;
}

/* All that was appended is written: the tail need not be until there is more. */
static void evs_durable_settle(struct evs_durable *d)
{
	struct evs_partition *p = d->p;
	bool more;

	if (READ_ONCE(p->end_pos) != d->written || READ_ONCE(d->clean))
		return;
	evs_log_tail_clean(&p->log, d->written);
	spin_lock(&p->lock);
	more = p->end_pos != d->written;
	if (!more)
		WRITE_ONCE(d->clean, true);
	spin_unlock(&p->lock);
	if (more)
		evs_log_tail_dirty(&p->log, d->written);
}

static void evs_durable_later(struct evs_durable *d, u64 ms)
{
	if (!READ_ONCE(d->stopped))
		queue_delayed_work(evs_store_wq, &d->timer, msecs_to_jiffies(ms));
}

/* At that time at the latest, however far off the timer is. */
static void evs_durable_at_last(struct evs_durable *d, u64 ms)
{
	unsigned long at = jiffies + msecs_to_jiffies(ms);

	if (READ_ONCE(d->stopped))
		return;
	if (!delayed_work_pending(&d->timer) || time_after(d->timer.timer.expires, at))
		mod_delayed_work(evs_store_wq, &d->timer, msecs_to_jiffies(ms));
}

/* A pass, of which somebody may wait for the end. */
static int evs_durable_run(struct evs_durable *d, int (*pass)(struct evs_durable *d))
{
	const struct cred *old = override_creds(d->store.cred);
	unsigned int throttled = current->flags & PF_LOCAL_THROTTLE;
	int ret;

	/* Its writes make our pages clean: it must not wait until they are. */
	current->flags |= PF_LOCAL_THROTTLE;
	WRITE_ONCE(d->started, d->started + 1);
	ret = pass(d);
	if (ret == -ENOMEM || evs_is_full(ret)) {
		WRITE_ONCE(d->full, ret);
		evs_durable_at_last(d, EVS_RETRY_MS);
	} else if ((ret == -EINTR || ret == -ERESTARTSYS) && fatal_signal_pending(current)) {
		/* Who led was killed, which is nobody else's end: the worker goes on. */
		evs_durable_flush(d->p, true);
	} else if (ret) {
		evs_durable_fail(d, ret);
	} else {
		WRITE_ONCE(d->full, 0);
	}
	WRITE_ONCE(d->over, false);
	/* Pairs with the acquire in evs_sync_ended(). */
	smp_store_release(&d->ended, d->started);
	if (ret)
		wake_up_all(&d->wait);
	evs_partition_wake(d->p);
	if (!throttled)
		current->flags &= ~PF_LOCAL_THROTTLE;
	revert_creds(old);
	return ret;
}

static void evs_durable_work(struct work_struct *work)
{
	struct evs_durable *d = container_of(work, struct evs_durable, work);
	const struct cred *old;

	mutex_lock(&d->pass);
	if (!evs_durable_run(d, evs_durable_pass) && READ_ONCE(d->settle)) {
		WRITE_ONCE(d->settle, false);
		evs_durable_settle(d);
	}
	old = override_creds(d->store.cred);
	/* There may be room now. */
	if (evs_durable_clear(d, true) && READ_ONCE(d->full))
		evs_durable_flush(d->p, false);
	revert_creds(old);
	mutex_unlock(&d->pass);
}

/* Whether the caller's own limits could end the writing for all, or hold it up. */
static bool evs_durable_limited(void)
{
	bool limited = rlimit(RLIMIT_FSIZE) != RLIM_INFINITY;

#ifdef CONFIG_BLK_CGROUP
	rcu_read_lock();
	limited |= task_css(current, io_cgrp_id) != blkcg_root_css;
	rcu_read_unlock();
#endif
	return limited;
}

/*
 * Who waits writes and syncs itself where nobody does: to have it done costs as
 * much as doing it. Not what else a pass may do.
 */
static void evs_durable_lead(struct evs_durable *d)
{
	if (!d->store.align || evs_durable_limited() || !mutex_trylock(&d->pass))
		return;
	if (!READ_ONCE(d->stopped)) {
		struct evs_segment *s;

		evs_durable_run(d, evs_durable_write_out);
		/* Segments to finish, and those who came meanwhile, are the worker's. */
		s = evs_durable_at(d, d->finished << d->p->log.shift);
		if (READ_ONCE(d->wanted) > d->durable || (s && READ_ONCE(s->end) != U64_MAX))
			evs_durable_flush(d->p, false);
	}
	mutex_unlock(&d->pass);
}

static void evs_durable_timer(struct work_struct *work)
{
	struct evs_durable *d = container_of(to_delayed_work(work), struct evs_durable, timer);

	WRITE_ONCE(d->settle, true);
	evs_durable_flush(d->p, true);
}

/**
 * evs_durable_flush() - have the log written
 * @p: the partition
 * @sync: and put on stable storage
 */
void evs_durable_flush(struct evs_partition *p, bool sync)
{
	struct evs_durable *d = p->durable;

	if (READ_ONCE(d->stopped))
		return;
	if (sync) {
		spin_lock(&p->lock);
		d->due = true;
		spin_unlock(&p->lock);
	}
	queue_work(evs_store_wq, &d->work);
}

/**
 * evs_durable_appended() - something was published
 * @p: the partition
 */
void evs_durable_appended(struct evs_partition *p)
{
	struct evs_durable *d = p->durable;
	u64 end = READ_ONCE(p->end_pos), bytes = READ_ONCE(p->limits.flush_bytes);
	u64 ms = READ_ONCE(p->limits.flush_ms);

	if (READ_ONCE(d->clean)) {
		bool was;

		spin_lock(&p->lock);
		was = d->clean;
		WRITE_ONCE(d->clean, false);
		spin_unlock(&p->lock);
		/* Its folio stays: see evs_log_written(). */
		if (was)
			evs_log_tail_dirty(&p->log, READ_ONCE(d->written));
	}
	if (bytes && end - READ_ONCE(d->durable) >= bytes)
		evs_durable_flush(p, true);
	else if (end - READ_ONCE(d->written) >= EVS_WRITE_AHEAD)
		evs_durable_flush(p, false);
	if (ms && !delayed_work_pending(&d->timer))
		evs_durable_later(d, ms);
}

/**
 * evs_durable_configured() - the flush interval may have changed
 * @p: the partition
 */
void evs_durable_configured(struct evs_partition *p)
{
	struct evs_durable *d = p->durable;
	u64 ms = READ_ONCE(p->limits.flush_ms);

	if (ms && READ_ONCE(d->durable) < READ_ONCE(p->end_pos))
		evs_durable_at_last(d, ms);
}

/**
 * evs_durable_moved() - the start has moved, which the checkpoint should tell
 * @p: the partition
 */
void evs_durable_moved(struct evs_partition *p)
{
	WRITE_ONCE(p->durable->checkpoint_due, true);
	evs_durable_flush(p, false);
}

static bool evs_sync_ended(struct evs_durable *d, u64 end, u64 pass)
{
	return READ_ONCE(d->durable) >= end || READ_ONCE(d->error) || READ_ONCE(d->stopped) ||
	       /* Pairs with the release in evs_durable_work(). */
	       (smp_load_acquire(&d->ended) >= pass && READ_ONCE(d->full));
}

/**
 * evs_partition_durable_offset() - below it all records are on stable storage
 * @p: the partition
 *
 * Return: the offset; -1: a volatile partition.
 */
s64 evs_partition_durable_offset(const struct evs_partition *p)
{
	return p->durable ? (s64)READ_ONCE(p->durable->durable_offset) : -1;
}

/**
 * evs_partition_sync_start() - begin what evs_partition_sync() waits for
 * @p: the partition
 */
void evs_partition_sync_start(struct evs_partition *p)
{
	if (p->durable)
		evs_durable_flush(p, true);
}

/**
 * evs_partition_sync() - wait until records are on stable storage
 * @p: the partition
 * @end: position after the last of them, published
 *
 * All who wait at the same time share a flush.
 *
 * Return: 0; -EINVAL: a volatile partition; -EIO or another errno of the file
 * system: they are not, and will not be; -ENOSPC, -EDQUOT: they are not yet; -EINTR:
 * killed; -ENODEV: the topic was deleted.
 */
int evs_partition_sync(struct evs_partition *p, u64 end)
{
	struct evs_durable *d = p->durable;
	u64 pass;

	if (!d)
		return -EINVAL;
	if (READ_ONCE(d->durable) >= end)
		return 0;
	spin_lock(&p->lock);
	d->wanted = max(d->wanted, end);
	pass = d->started + 1;
	spin_unlock(&p->lock);
	evs_durable_lead(d);
	if (READ_ONCE(d->durable) >= end)
		return 0;
	evs_durable_flush(p, false);
	if (wait_event_killable(d->wait, evs_sync_ended(d, end, pass)))
		return -EINTR;
	if (READ_ONCE(d->durable) >= end)
		return 0;
	if (READ_ONCE(d->error))
		return READ_ONCE(d->error);
	return READ_ONCE(d->stopped) ? -ENODEV : READ_ONCE(d->full);
}

/* For the kernel's flusher, sync(2) and memory pressure. */
static int evs_durable_writepages(struct evs_log *log, struct writeback_control *wbc)
{
	struct evs_partition *p = container_of(log, struct evs_partition, log);
	struct evs_durable *d = p->durable;
	u64 before = READ_ONCE(d->written);

	if (READ_ONCE(d->stopped))
		return 0;
	WRITE_ONCE(d->settle, true);
	if (wbc->sync_mode == WB_SYNC_ALL)
		return evs_partition_sync(p, evs_end_pos(p));
	evs_durable_flush(p, false);
	flush_work(&d->work);
	wbc->nr_to_write -= min_t(u64, wbc->nr_to_write,
				  (READ_ONCE(d->written) - before) >> PAGE_SHIFT);
	return 0;
}

/* Where readers find what is not in memory any more. */
static int evs_durable_extent(struct evs_log *log, u64 pos, struct evs_extent *e)
{
	struct evs_partition *p = container_of(log, struct evs_partition, log);
	const struct evs_segment *s;
	int ret = -ENODATA;

	rcu_read_lock();
	s = xa_load(&p->segments, pos >> log->shift);
	if (s) {
		e->from = s->pos;
		e->end = min(READ_ONCE(s->end), READ_ONCE(log->pinned));
		if (pos < e->end) {
			/* Both are put a grace period after the segment is not found. */
			e->file = get_file(s->file);
			e->cred = get_cred(p->durable->store.cred);
			e->direct = p->durable->store.align;
			ret = 0;
		}
	}
	rcu_read_unlock();
	return ret;
}

/* The entry of an index file before which all are smaller than what is sought. */
static u32 evs_file_search(struct file *file, u32 size, bool (*before)(const u8 *p, u64 key),
			   u64 key, u8 *entry)
{
	u64 bytes = i_size_read(file_inode(file));
	u32 lo = 0, hi = min_t(u64, bytes / size, U32_MAX);

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (evs_file_read(file, (u64)mid * size, entry, size))
			return 0;
		if (before(entry, key))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo && evs_file_read(file, (u64)(lo - 1) * size, entry, size))
		return 0;
	return lo;
}

static bool evs_offset_before(const u8 *p, u64 key)
{
	u32 offset, pos;

	evs_index_entry_get(p, &offset, &pos);
	return offset <= key;
}

static bool evs_time_before(const u8 *p, u64 key)
{
	s64 timestamp;
	u32 offset;

	evs_timeindex_entry_get(p, &timestamp, &offset);
	return timestamp < (s64)key;
}

/* Finds the last entry that @before holds for: whether there is one. */
static bool evs_lookup_file(struct evs_store *s, u64 base, const char *ending, u32 size,
			    bool (*before)(const u8 *p, u64 key), u64 key, u8 *entry)
{
	char name[EVS_FILE_NAME];
	struct file *file;
	u32 n;

	evs_file_name(name, base, ending);
	file = evs_store_file(s, name, O_RDONLY);
	if (IS_ERR(file))
		return false;
	n = evs_file_search(file, size, before, key, entry);
	fput(file);
	return n;
}

/* Whether the batch at @pos is what an index says is there. */
static bool evs_lookup_fits(struct evs_partition *p, u64 pos, u64 end, u64 last)
{
	struct evs_view view = {};
	u8 header[EVS_BATCH_HEADER];
	struct evs_batch_info b;
	bool fits;

	fits = end - pos > sizeof(header) &&
	       !evs_view_read(&p->log, &view, pos, header, sizeof(header)) &&
	       !evs_batch_header_get(header, &b) && b.base_offset + b.last_delta == last;
	evs_view_put(&view);
	return fits;
}

/* Whether the batch that ends with @last, at or behind @pos, has that time. */
static bool evs_lookup_time_fits(struct evs_partition *p, u64 pos, u64 end, u64 last, s64 time)
{
	struct evs_view view = {};
	u8 header[EVS_BATCH_HEADER];
	struct evs_batch_info b;
	bool fits = false;

	while (end - pos > sizeof(header) &&
	       !evs_view_read(&p->log, &view, pos, header, sizeof(header)) &&
	       !evs_batch_header_get(header, &b) && b.size <= end - pos) {
		if (b.base_offset + b.last_delta >= last) {
			fits = b.base_offset + b.last_delta == last && b.max_timestamp == time;
			break;
		}
		pos += b.size;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	evs_view_put(&view);
	return fits;
}

/**
 * evs_durable_lookup() - look into a finished segment's index files
 * @p: the partition
 * @number: the segment's
 * @offset: the offset wanted, U64_MAX: any
 * @timestamp: the time wanted, S64_MAX: any
 * @pos: position of a batch at or before what is wanted, out
 *
 * An index that does not fit the log is not used: then it is the segment's first.
 *
 * Context: may sleep.
 * Return: 0; -EPIPE: the segment is gone.
 */
int evs_durable_lookup(struct evs_partition *p, u64 number, u64 offset, s64 timestamp, u64 *pos)
{
	u8 entry[EVS_TIMEINDEX_ENTRY];
	const struct evs_segment *s;
	const struct cred *old;
	struct evs_store store;
	u64 base, start, end, last;
	s64 time = S64_MAX;
	u32 rel, at;

	rcu_read_lock();
	s = xa_load(&p->segments, number);
	if (!s) {
		rcu_read_unlock();
		return -EPIPE;
	}
	/* As in evs_durable_extent(). */
	store = p->durable->store;
	get_cred(store.cred);
	path_get(&store.dir);
	base = s->offset;
	start = s->pos;
	end = READ_ONCE(s->end);
	rcu_read_unlock();
	*pos = start;

	old = override_creds(store.cred);
	if (timestamp != S64_MAX) {
		offset = base;
		if (!evs_lookup_file(&store, base, EVS_FILE_TIMEINDEX, EVS_TIMEINDEX_ENTRY,
				     evs_time_before, timestamp, entry))
			goto out;
		evs_timeindex_entry_get(entry, &time, &rel);
		offset = base + rel;
	}
	if (evs_lookup_file(&store, base, EVS_FILE_INDEX, EVS_INDEX_ENTRY, evs_offset_before,
			    min_t(u64, offset - base, U32_MAX), entry)) {
		evs_index_entry_get(entry, &rel, &at);
		last = base + rel;
		if (at < end - start && evs_lookup_fits(p, start + at, end, last))
			*pos = start + at;
	}
	if (timestamp != S64_MAX && !evs_lookup_time_fits(p, *pos, end, offset, time))
		*pos = start;
out:
	revert_creds(old);
	path_put(&store.dir);
	put_cred(store.cred);
	return 0;
}

/* What is behind a durable partition's log. */
const struct evs_log_store evs_durable_store = {
	.extent	= evs_durable_extent,
	.write	= evs_durable_writepages,
};

struct evs_new_segment {
	struct evs_durable *d;
	struct evs_segment *s;
	int ret;
};

static u64 evs_reserve_step(struct evs_durable *d, const struct evs_segment *s, u64 end)
{
	u64 step = clamp_t(u64, s->reserved - s->pos, EVS_RESERVE_MIN, EVS_RESERVE_MAX);

	return min(max(end, s->reserved + step), evs_segment_limit(d, s));
}

/* Reserves up to @end, and more where there is. */
static int evs_reserve_file(struct evs_durable *d, struct evs_segment *s, u64 end)
{
	u64 to = evs_reserve_step(d, s, end);
	int ret;

	if (d->no_reserve) {
		s->reserved = evs_segment_limit(d, s);
		return 0;
	}
	ret = evs_file_reserve(s->file, s->reserved - s->pos, to - s->pos);
	if (evs_is_full(ret) && round_up(end, PAGE_SIZE) < to) {
		to = round_up(end, PAGE_SIZE);
		ret = evs_file_reserve(s->file, s->reserved - s->pos, to - s->pos);
	}
	if (ret == -EOPNOTSUPP) {
		d->no_reserve = true;
		return evs_reserve_file(d, s, end);
	}
	if (!ret)
		s->reserved = to;
	return ret;
}

static void evs_new_segment_file(void *data)
{
	struct evs_new_segment *n = data;
	const struct cred *old = override_creds(n->d->store.cred);
	char name[EVS_FILE_NAME];
	struct file *file;

	evs_file_name(name, n->s->offset, EVS_FILE_LOG);
	/* One of that name that is there was given up before anything was in it. */
	file = evs_store_file(&n->d->store, name, O_RDWR | O_CREAT);
	n->ret = PTR_ERR_OR_ZERO(file);
	if (!n->ret && i_size_read(file_inode(file))) {
		fput(file);
		n->ret = -EEXIST;
		evs_durable_fail(n->d, n->ret);
	}
	if (!n->ret) {
		n->s->file = file;
		n->s->reserved = n->s->pos;
		WRITE_ONCE(n->d->dir_dirty, true);
	}
	revert_creds(old);
}

static void evs_grow_segment_file(void *data)
{
	struct evs_new_segment *n = data;
	const struct cred *old = override_creds(n->d->store.cred);

	n->ret = evs_reserve_file(n->d, n->s, n->s->reserved + 1);
	revert_creds(old);
}

/**
 * evs_durable_buffers() - what writing needs, which must not ask for memory then
 * @d: the partition's files
 *
 * Return: 0 or -ENOMEM.
 */
int evs_durable_buffers(struct evs_durable *d)
{
	if (!d->block)
		d->block = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!d->bvec)
		d->bvec = kmalloc_array(EVS_WRITE_PIECES + 1, sizeof(*d->bvec),
					GFP_KERNEL_ACCOUNT);
	return d->block && d->bvec ? 0 : -ENOMEM;
}

/**
 * evs_durable_segment() - give a new segment its file
 * @p: the partition
 * @s: the segment, not in use yet
 *
 * Context: evs_partition.grow is held.
 * Return: 0 or a negative errno.
 */
int evs_durable_segment(struct evs_partition *p, struct evs_segment *s)
{
	struct evs_new_segment n = { .d = p->durable, .s = s };

	lockdep_assert_held(&p->grow);
	if (READ_ONCE(n.d->error))
		return n.d->error;
	n.ret = evs_durable_buffers(n.d);
	if (!n.ret)
		evs_store_run(evs_new_segment_file, &n);
	return n.ret;
}

/**
 * evs_durable_writable() - whether an append would not have to wait for the disk
 * @p: the partition
 */
bool evs_durable_writable(struct evs_partition *p)
{
	u64 written = READ_ONCE(p->durable->written);

	return READ_ONCE(p->next_pos) - written < READ_ONCE(p->limits.ring) ||
	       READ_ONCE(p->dead) || READ_ONCE(p->durable->error);
}

/* Who does not wait comes again after the writer's next pass: poll() says when. */
static void evs_durable_again(struct evs_partition *p)
{
	WRITE_ONCE(p->durable->over, true);
	evs_durable_flush(p, false);
}

/* Waits for the writer's next pass. Drops and retakes p->grow. */
static int evs_durable_wait(struct evs_partition *p, unsigned int flags)
{
	struct evs_durable *d = p->durable;
	u64 pass = READ_ONCE(d->started) + 1;
	int ret;

	if (flags & (EVS_NONBLOCK | EVS_NOWAIT)) {
		evs_durable_again(p);
		return -EAGAIN;
	}
	evs_durable_flush(p, false);
	mutex_unlock(&p->grow);
	ret = wait_event_interruptible(p->wait, READ_ONCE(p->dead) || READ_ONCE(d->error) ||
				       READ_ONCE(d->stopped) || READ_ONCE(d->ended) >= pass);
	mutex_lock(&p->grow);
	return ret;
}

/**
 * evs_durable_memory() - have memory that is in use written
 * @p: the partition
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 *
 * Context: evs_partition.grow is held, but not all the time.
 * Return: 0: look again; -ENOSPC: it would not help; -EAGAIN; -ERESTARTSYS.
 */
int evs_durable_memory(struct evs_partition *p, unsigned int flags)
{
	u64 before = READ_ONCE(p->durable->written);
	int ret;

	if (before == READ_ONCE(p->end_pos))
		return -ENOSPC;
	ret = evs_durable_wait(p, flags);
	if (!ret && READ_ONCE(p->durable->written) == before)
		ret = READ_ONCE(p->durable->full) ?: -ENOSPC;
	return ret;
}

/*
 * Whether more would be dirty than there may be. Whoever does not wait goes on when
 * what is dirty here has been written: waiting for others' would not end.
 */
static bool evs_durable_over(struct evs_partition *p)
{
	struct evs_durable *d = p->durable;

	if (READ_ONCE(d->written) == READ_ONCE(p->end_pos) ||
	    !balance_dirty_pages_ratelimited_flags(p->log.inode->i_mapping, BDP_ASYNC))
		return false;
	evs_durable_again(p);
	return true;
}

/**
 * evs_durable_room() - memory and room in the file for an append
 * @p: the partition
 * @end: up to where, in the open segment
 * @flags: EVS_NONBLOCK, EVS_NOWAIT, EVS_CLOSING
 * @again: it has waited without evs_partition.grow: look at everything again, out
 *
 * Context: evs_partition.grow is held.
 * Return: 0; -EAGAIN; -ERESTARTSYS; -ENOSPC, -EDQUOT, -EIO or another errno of the
 * file system.
 */
int evs_durable_room(struct evs_partition *p, u64 end, unsigned int flags, bool *again)
{
	struct evs_new_segment n = { .d = p->durable, .s = p->segment };
	int ret;

	lockdep_assert_held(&p->grow);
	*again = false;
	if (READ_ONCE(n.d->error))
		return n.d->error;
	if (!evs_durable_writable(p)) {
		*again = true;
		ret = evs_durable_wait(p, flags);
		if (!ret && !evs_durable_writable(p))
			ret = READ_ONCE(n.d->full);
		return ret;
	}
	if ((flags & (EVS_NONBLOCK | EVS_NOWAIT)) && !(flags & EVS_CLOSING) &&
	    evs_durable_over(p))
		return READ_ONCE(n.d->full) ?: -EAGAIN;
	while (n.s->reserved < end) {
		if (flags & EVS_NOWAIT)
			return -EAGAIN;
		/* What little there is goes to the writer first. */
		if (READ_ONCE(n.d->snapshot_due))
			return -ENOSPC;
		evs_store_run(evs_grow_segment_file, &n);
		if (n.ret)
			return n.ret;
	}
	return 0;
}

/**
 * evs_durable_throttle() - let a producer wait as for any file
 * @p: the partition
 * @flags: EVS_NONBLOCK, EVS_NOWAIT, EVS_CLOSING
 *
 * For those that do not wait see evs_durable_room().
 *
 * Context: no lock is held.
 */
void evs_durable_throttle(struct evs_partition *p, unsigned int flags)
{
	if (!(flags & (EVS_NONBLOCK | EVS_NOWAIT | EVS_CLOSING)))
		balance_dirty_pages_ratelimited(p->log.inode->i_mapping);
}

/**
 * evs_durable_droppable() - whether a sealed segment is not needed to write it
 * @p: the partition
 * @number: the segment's
 */
bool evs_durable_droppable(const struct evs_partition *p, u64 number)
{
	return READ_ONCE(p->durable->finished) > number || READ_ONCE(p->durable->stopped);
}

/**
 * evs_durable_bury() - remove a segment's files, when nobody reads them any more
 * @p: the partition
 * @s: the segment, which is not found any more
 */
void evs_durable_bury(struct evs_partition *p, struct evs_segment *s)
{
	struct evs_durable *d = p->durable;

	spin_lock(&p->lock);
	list_add_tail(&s->gone, &d->gone);
	spin_unlock(&p->lock);
	evs_durable_flush(p, false);
}

/**
 * evs_segment_file_put() - close a segment's file
 * @s: the segment
 */
void evs_segment_file_put(struct evs_segment *s)
{
	if (s->file)
		fput(s->file);
	s->file = NULL;
}

/**
 * evs_durable_new() - a partition will have files
 * @p: the partition
 *
 * Return: 0 or -ENOMEM.
 */
int evs_durable_new(struct evs_partition *p)
{
	struct evs_durable *d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);

	if (!d)
		return -ENOMEM;
	d->p = p;
	d->stopped = true;
	d->clean = true;
	d->dense = true;
	INIT_WORK(&d->work, evs_durable_work);
	INIT_DELAYED_WORK(&d->timer, evs_durable_timer);
	init_waitqueue_head(&d->wait);
	mutex_init(&d->pass);
	mutex_init(&d->map);
	INIT_LIST_HEAD(&d->gone);
	evs_producers_init(&d->producers);
	d->snapshot = U64_MAX;
	d->snapshot_before = U64_MAX;
	p->durable = d;
	return 0;
}

/**
 * evs_durable_free() - let go of a partition's files
 * @p: the partition; its segments are dropped
 *
 * Whoever has the partition may still look at evs_partition.durable.
 */
void evs_durable_free(struct evs_partition *p)
{
	struct evs_durable *d = p->durable;

	if (!d)
		return;
	evs_durable_clear(d, false);
	evs_producers_clear(&d->producers);
	evs_store_close(&d->store);
	free_page((unsigned long)d->block);
	kfree(d->bvec);
	d->block = NULL;
	d->bvec = NULL;
}

/**
 * evs_durable_start() - from now on it is written
 * @p: the partition, whose files were created or attached
 */
void evs_durable_start(struct evs_partition *p)
{
	WRITE_ONCE(p->durable->stopped, false);
	/* What was due while it was away. */
	mod_delayed_work(system_unbound_wq, &p->expire, 0);
}

static void evs_remove_all(struct evs_durable *d)
{
	static const char *const names[] = {
		EVS_FILE_CHECKPOINT, EVS_FILE_EPOCHS, EVS_FILE_METADATA,
	};
	char name[EVS_FILE_NAME];
	u64 *base;
	u32 i, k, nr;

	for (i = 0; i < ARRAY_SIZE(evs_endings); i++) {
		if (evs_store_list(&d->store, evs_endings[i], &base, &nr))
			continue;
		for (k = 0; k < nr; k++) {
			evs_file_name(name, base[k], evs_endings[i]);
			evs_store_remove(&d->store, name);
			cond_resched();
		}
		kvfree(base);
	}
	for (i = 0; i < ARRAY_SIZE(names); i++)
		evs_store_remove(&d->store, names[i]);
	evs_store_destroy(&d->store);
}

static void evs_durable_close(void *data)
{
	struct evs_durable *d = data;
	const struct cred *old = override_creds(d->store.cred);
	int ret = d->error;

	mutex_lock(&d->pass);
	if (!ret) {
		ret = evs_durable_pass(d);
		/* Where there is no room to finish it, that is done when it is attached. */
		if (evs_is_full(ret) && d->durable == d->p->end_pos && !d->snapshot_due)
			ret = 0;
		/* Also one that is empty gets its size. */
		if (!ret && d->p->segment && d->p->segment->file)
			ret = evs_file_truncate(d->p->segment->file,
						d->written - d->p->segment->pos);
		if (!ret)
			ret = evs_durable_checkpoint(d);
		if (!ret)
			ret = evs_store_sync(&d->store);
	}
	evs_durable_clear(d, true);
	d->full = ret;
	mutex_unlock(&d->pass);
	revert_creds(old);
}

static void evs_durable_remove(void *data)
{
	struct evs_durable *d = data;
	const struct cred *old = override_creds(d->store.cred);

	evs_remove_all(d);
	revert_creds(old);
}

/**
 * evs_durable_stop() - write what there is, and no more from now on
 * @p: the partition; dead, published and sealed; it may never have been started
 * @remove: remove the files instead
 *
 * Context: no lock is held.
 * Return: 0, or what the last of it could not be written for.
 */
int evs_durable_stop(struct evs_partition *p, bool remove)
{
	struct evs_durable *d = p->durable;
	bool running = !READ_ONCE(d->stopped);

	WRITE_ONCE(d->stopped, true);
	disable_delayed_work_sync(&d->timer);
	disable_work_sync(&d->work);
	/* Nobody leads any more. */
	mutex_lock(&d->pass);
	mutex_unlock(&d->pass);
	wake_up_all(&d->wait);
	if (!d->store.cred)
		return 0;
	if (remove) {
		evs_store_run(evs_durable_remove, d);
		return 0;
	}
	if (!running)
		return 0;
	d->due = true;
	evs_store_run(evs_durable_close, d);
	if (d->full && !d->error)
		pr_err("evstream: %pd: records behind offset %llu are lost: error %d\n",
		       d->store.dir.dentry, d->durable_offset, d->full);
	return d->full;
}
