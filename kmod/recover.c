// SPDX-License-Identifier: GPL-2.0
/*
 * Making a durable partition's files, and finding in them again what was written.
 *
 * Segments before the recovery point were finished: size, indexes and all, and
 * their indexes are believed as far as they fit the log. From there on each batch
 * is read and its checksum compared; what comes after the first that is not whole
 * was never acknowledged as durable, and is cut off.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/sizes.h>

#include "batch.h"
#include "compat.h"
#include "durable.h"
#include "internal.h"

#define EVS_SCAN	SZ_1M

/**
 * struct evs_recovery - what is found on the way
 * @d: the partition's files
 * @p: the partition
 * @base: base offsets of the segments, ascending
 * @nr: how many
 * @start: the checkpoint's start offset
 * @recovery: the checkpoint's recovery point
 * @foreign: there is no checkpoint: Kafka wrote this
 * @unknown: nor is there one that makes sense: the last segment is what is read
 * @rescan: a snapshot of producers is damaged, and an older one is used
 * @snapshot: batches below this offset are in the table of producers
 * @next: one after the last offset found
 * @newest: newest timestamp found
 * @bytes: of all batches
 * @buf: EVS_SCAN bytes of a file
 * @from: which ones
 * @len: how many
 */
struct evs_recovery {
	struct evs_durable *d;
	struct evs_partition *p;
	u64 *base;
	u32 nr;
	u64 start;
	u64 recovery;
	bool foreign;
	bool unknown;
	bool rescan;
	u64 snapshot;
	u64 next;
	s64 newest;
	u64 bytes;
	u8 *buf;
	u64 from;
	u32 len;
};

/* Up to @len bytes at @pos of a file whose size is @size: NULL where it ends. */
static const u8 *evs_scan_at(struct evs_recovery *r, struct file *file, u64 size, u64 pos,
			     u32 *len, int *err)
{
	if (pos + *len > size) {
		*err = -ENODATA;
		return NULL;
	}
	if (pos < r->from || pos >= r->from + r->len) {
		r->from = pos;
		r->len = 0;
		*err = evs_file_read(file, pos, r->buf, min_t(u64, EVS_SCAN, size - pos));
		if (*err)
			return NULL;
		r->len = min_t(u64, EVS_SCAN, size - pos);
	}
	*len = min_t(u64, *len, r->from + r->len - pos);
	return r->buf + (pos - r->from);
}

static int evs_scan_copy(struct evs_recovery *r, struct file *file, u64 size, u64 pos,
			 void *to, u32 len)
{
	while (len) {
		u32 n = len;
		int ret = 0;
		const u8 *p = evs_scan_at(r, file, size, pos, &n, &ret);

		if (!p)
			return ret;
		memcpy(to, p, n);
		to += n;
		pos += n;
		len -= n;
	}
	return 0;
}

/* Whether the batch's bytes are those that its checksum was made of. */
static int evs_scan_crc(struct evs_recovery *r, struct file *file, u64 size, u64 pos,
			const struct evs_batch_info *info, u32 want)
{
	u64 end = pos + info->size;
	u32 crc = ~0U;

	pos += EVS_BATCH_CRC_FROM;
	while (pos < end) {
		u32 n = min_t(u64, end - pos, EVS_SCAN);
		int ret = 0;
		const u8 *p = evs_scan_at(r, file, size, pos, &n, &ret);

		if (!p)
			return ret;
		crc = evs_crc32c(crc, p, n);
		pos += n;
		cond_resched();
	}
	return ~crc == want ? 0 : -ENODATA;
}

static bool evs_batch_follows(const struct evs_recovery *r, const struct evs_segment *s,
			      const struct evs_batch_info *b, u64 room)
{
	/* Nothing of ours leaves a gap, so what does is not ours. */
	if (r->d->dense && b->base_offset != r->next)
		return false;
	return b->size <= room && b->base_offset >= r->next && b->base_offset <= EVS_OFFSET_MAX &&
	       b->base_offset + b->last_delta - s->offset <= S32_MAX;
}

/*
 * Reads a segment's batches: their number of bytes is @valid afterwards.
 *
 * Return: 0, also where it ends early; -EPROTONOSUPPORT: Kafka's formats before
 * the present one; or another negative errno.
 */
static int evs_scan_segment(struct evs_recovery *r, struct evs_segment *s, u64 size, u64 *valid)
{
	struct evs_index *x = rcu_dereference_protected(s->index, true);
	u64 pos = 0, limit = min(size, evs_segment_size(r->p));
	int ret;

	r->len = 0;
	r->next = max(r->next, s->offset);
	for (;;) {
		struct evs_batch_header h;
		struct evs_batch_info b;
		struct evs_producer_id id;

		*valid = pos;
		if (limit - pos < sizeof(h))
			break;
		ret = evs_scan_copy(r, s->file, limit, pos, &h, sizeof(h));
		if (ret)
			return ret;
		if (r->foreign && h.magic < EVS_MAGIC && be32_to_cpu(h.length) > 14)
			return -EPROTONOSUPPORT;
		if (evs_batch_header_get(&h, &b) || !evs_batch_follows(r, s, &b, limit - pos))
			break;
		ret = evs_scan_crc(r, s->file, limit, pos, &b, be32_to_cpu(h.crc));
		if (ret == -ENODATA)
			break;
		if (!ret)
			ret = evs_index_room(x, pos, GFP_KERNEL);
		if (ret)
			return ret;
		/* A batch without records has no time, whatever it says. */
		evs_segment_index(s, x, s->pos + pos, b.base_offset, b.last_delta,
				  b.count ? b.max_timestamp : S64_MIN);
		evs_producer_of(&h, &id);
		s->producers |= id.id >= 0;
		if (id.id >= 0 && b.base_offset >= r->snapshot && !(b.attributes &
								   EVS_ATTR_CONTROL)) {
			ret = evs_producers_note(&r->d->producers, &id, b.base_offset,
						 b.max_timestamp);
			if (ret)
				return ret;
		}
		r->next = b.base_offset + b.last_delta + 1;
		pos += b.size;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	/* They would be twice in memory when they are read. */
	invalidate_mapping_pages(s->file->f_mapping, 0, -1);
	return 0;
}

/* What is cut off counts up to its last byte that is not of the reserved room. */
static int evs_count_cut(struct evs_recovery *r, struct file *file, u64 from, u64 size)
{
	u64 pos = from, last = from;

	r->len = 0;
	while (pos < size) {
		u32 n = min_t(u64, size - pos, EVS_SCAN), i;
		int ret = 0;
		const u8 *p = evs_scan_at(r, file, size, pos, &n, &ret);

		if (!p)
			return ret;
		for (i = n; i && !p[i - 1]; i--)
			;
		if (i)
			last = pos + i;
		pos += n;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	r->d->cut += last - from;
	return 0;
}

static u64 evs_file_size(const struct file *file)
{
	return i_size_read(file_inode(file));
}

static struct evs_segment *evs_recover_segment(struct evs_recovery *r, u32 i, int *err)
{
	struct evs_partition *p = r->p;
	char name[EVS_FILE_NAME];
	struct evs_segment *s;
	struct file *file;

	s = evs_segment_new(p, (u64)i << p->log.shift, r->base[i], true, GFP_KERNEL);
	if (!s) {
		*err = -ENOMEM;
		return NULL;
	}
	evs_file_name(name, r->base[i], EVS_FILE_LOG);
	file = evs_store_file(&r->d->store, name, O_RDWR);
	if (IS_ERR(file)) {
		*err = PTR_ERR(file);
		evs_segment_discard(s);
		return NULL;
	}
	s->file = file;
	s->newest_before = r->newest;
	return s;
}

/*
 * Whether the indexes of a finished segment fit its log as far as a look at the
 * end tells. What they say is checked again whenever something is looked up.
 */
static bool evs_trust_indexes(struct evs_recovery *r, struct evs_segment *s, u64 size, u64 next)
{
	struct evs_store *store = &r->d->store;
	u8 entry[EVS_TIMEINDEX_ENTRY];
	char name[EVS_FILE_NAME];
	u32 offset, pos = 0;
	struct file *file;
	u64 bytes, at;
	u64 expect = s->offset;
	bool ok;

	if (!size || size > evs_segment_size(r->p))
		return false;
	evs_file_name(name, s->offset, EVS_FILE_TIMEINDEX);
	file = evs_store_file(store, name, O_RDONLY);
	if (IS_ERR(file))
		return false;
	bytes = evs_file_size(file);
	ok = bytes && !(bytes % EVS_TIMEINDEX_ENTRY) &&
	     !evs_file_read(file, bytes - EVS_TIMEINDEX_ENTRY, entry, EVS_TIMEINDEX_ENTRY);
	fput(file);
	if (!ok)
		return false;
	evs_timeindex_entry_get(entry, &s->newest, &offset);
	s->newest_offset = s->offset + offset;
	if (s->newest < 0 || s->newest_offset >= next)
		return false;

	evs_file_name(name, s->offset, EVS_FILE_INDEX);
	file = evs_store_file(store, name, O_RDONLY);
	if (IS_ERR(file))
		return false;
	bytes = evs_file_size(file);
	ok = !(bytes % EVS_INDEX_ENTRY);
	if (ok && bytes)
		ok = !evs_file_read(file, bytes - EVS_INDEX_ENTRY, entry, EVS_INDEX_ENTRY);
	fput(file);
	if (!ok)
		return false;
	if (bytes) {
		evs_index_entry_get(entry, &offset, &pos);
		expect = s->offset + offset;
		if (pos >= size)
			return false;
	}

	/* From the last entry on, headers must lead to the end. */
	r->len = 0;
	for (at = pos; at < size;) {
		struct evs_batch_header h;
		struct evs_batch_info b;

		if (size - at < sizeof(h) || evs_scan_copy(r, s->file, size, at, &h, sizeof(h)) ||
		    evs_batch_header_get(&h, &b) || b.size > size - at)
			return false;
		if (at == pos && bytes && b.base_offset + b.last_delta != expect)
			return false;
		if (at != pos && b.base_offset <= expect)
			return false;
		expect = b.base_offset + b.last_delta;
		at += b.size;
		if (fatal_signal_pending(current))
			return false;
		cond_resched();
	}
	return expect < next;
}

static int evs_recover_insert(struct evs_recovery *r, struct evs_segment *s, u32 i)
{
	int ret = xa_err(xa_store(&r->p->segments, i, s, GFP_KERNEL));

	if (ret)
		return ret;
	r->newest = max(r->newest, s->newest);
	r->p->next = i + 1;
	return 0;
}

/* Lets a segment end with its @valid bytes, behind which there is nothing of the log. */
static int evs_recover_cut(struct evs_recovery *r, struct evs_segment *s, u64 valid)
{
	u64 size = evs_file_size(s->file);
	int ret = 0;

	if (valid < size)
		ret = evs_count_cut(r, s->file, valid, size);
	/* What was cut off must not come back behind what is appended next. */
	if (!ret && valid < size)
		ret = evs_file_truncate(s->file, valid);
	if (!ret)
		ret = vfs_fsync(s->file, 0);
	if (ret)
		return ret;
	s->end = s->pos + valid;
	s->next_offset = r->next;
	s->reserved = s->end;
	r->bytes += valid;
	return 0;
}

/*
 * A segment before the recovery point. What is behind a damaged batch is not cut
 * off: it was whole once, and may still be. Only where all that was there then is
 * found, what follows it is not of the log, or came later.
 *
 * Return: 0; 1: it has its index in memory and can be appended to; or a negative
 * errno.
 */
static int evs_recover_finished(struct evs_recovery *r, struct evs_segment *s, u64 next,
				bool last)
{
	u64 size = evs_file_size(s->file), valid;
	/* Reading it once more is little, and there it goes on. */
	bool small = last && size <= evs_segment_size(r->p) / 4;
	bool rescan = r->rescan && next > r->snapshot;
	struct evs_index *x;
	int ret;

	if (size > evs_segment_size(r->p))
		return -EUCLEAN;
	/* There may be millions, of which nothing but this is read. */
	if (fatal_signal_pending(current))
		return -EINTR;
	if (!small && !rescan && evs_trust_indexes(r, s, size, next)) {
		x = rcu_dereference_protected(s->index, true);
		RCU_INIT_POINTER(s->index, NULL);
		evs_index_free(x);
		goto whole;
	}
	s->newest = S64_MIN;
	s->newest_offset = s->offset;
	ret = evs_scan_segment(r, s, size, &valid);
	if (ret)
		return ret;
	if (r->next > next && !last)
		return -EUCLEAN;
	if (r->next >= next) {
		ret = evs_recover_cut(r, s, valid);
		if (ret || last)
			return ret ? ret : 1;
		return evs_durable_finish(r->d, s);
	}
	pr_warn("evstream: %pd/%020llu.log: records are missing from offset %llu on\n",
		r->d->store.dir.dentry, s->offset, r->next);
	s->end = s->pos + size;
	ret = evs_durable_finish(r->d, s);
	if (ret)
		return ret;
whole:
	s->end = s->pos + size;
	s->next_offset = next;
	r->next = next;
	r->bytes += size;
	return 0;
}

/* A segment at or behind the recovery point. */
static int evs_recover_tail(struct evs_recovery *r, struct evs_segment *s)
{
	u64 valid;
	int ret = evs_scan_segment(r, s, evs_file_size(s->file), &valid);

	return ret ? ret : evs_recover_cut(r, s, valid);
}

/* Removes the segments from @i on, which came after the end of the log. */
static int evs_recover_remove(struct evs_recovery *r, u32 i)
{
	char name[EVS_FILE_NAME];
	int ret;

	for (; i < r->nr; i++) {
		struct file *file;

		evs_file_name(name, r->base[i], EVS_FILE_LOG);
		file = evs_store_file(&r->d->store, name, O_RDONLY);
		if (!IS_ERR(file)) {
			ret = evs_count_cut(r, file, 0, evs_file_size(file));
			fput(file);
			if (ret)
				return ret;
		}
		ret = evs_store_remove(&r->d->store, name);
		if (ret)
			return ret;
		evs_file_name(name, r->base[i], EVS_FILE_INDEX);
		evs_store_remove(&r->d->store, name);
		evs_file_name(name, r->base[i], EVS_FILE_TIMEINDEX);
		evs_store_remove(&r->d->store, name);
		evs_file_name(name, r->base[i], EVS_FILE_SNAPSHOT);
		evs_store_remove(&r->d->store, name);
	}
	return 0;
}

/*
 * One segment. Sets @end where the log ends with it, since it was cut.
 */
static int evs_recover_one(struct evs_recovery *r, u32 i, bool *end)
{
	bool last = i + 1 == r->nr;
	u64 next = last ? r->recovery : r->base[i + 1];
	struct evs_segment *s;
	int ret = 0;

	s = evs_recover_segment(r, i, &ret);
	if (!s)
		return ret;
	if (next <= r->recovery && s->offset < r->recovery) {
		ret = evs_recover_finished(r, s, next, last);
		if (!ret)
			r->d->finished = i + 1;
		else if (ret == 1)
			ret = 0;
	} else {
		ret = evs_recover_tail(r, s);
		/*
		 * The next one may have come to the disk before the last of this one;
		 * the room reserved behind that may still be there.
		 */
		*end = !ret && !last && r->base[i + 1] != r->next;
	}
	if (!ret)
		ret = evs_recover_insert(r, s, i);
	if (ret)
		evs_segment_discard(s);
	return ret;
}

/* Whether appends go on in the last segment: what was cold would be read again. */
static bool evs_goes_on(struct evs_recovery *r, const struct evs_segment *s)
{
	return rcu_access_pointer(s->index) && r->next == s->next_offset &&
	       s->end - s->pos <= evs_segment_size(r->p) / 2;
}

/* Seals and finishes what is not to be appended to, and lets the log go on. */
static int evs_recover_end(struct evs_recovery *r)
{
	struct evs_partition *p = r->p;
	struct evs_durable *d = r->d;
	struct evs_segment *s = NULL;
	struct evs_index *x = NULL;
	bool finished = false;
	u64 number, pos = 0;
	u8 *page;
	int ret;

	for (number = d->finished; number < p->next; number++) {
		s = xa_load(&p->segments, number);
		if (number + 1 == p->next && evs_goes_on(r, s))
			break;
		/* Nothing at all: the next one would have the same name. */
		if (s->end == s->pos)
			return -EUCLEAN;
		ret = evs_durable_finish(d, s);
		if (ret)
			return ret;
		d->finished = number + 1;
		finished = true;
	}
	/* Under the recovery point's name: what comes after it is read again. */
	if (finished || r->rescan) {
		ret = evs_producers_write(d, number < p->next ? s->offset : r->next);
		if (ret)
			return ret;
	}
	page = (u8 *)get_zeroed_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	if (number < p->next) {
		/* It goes on. */
		pos = s->end;
		x = rcu_dereference_protected(s->index, true);
		ret = evs_file_read(s->file, round_down(pos - s->pos, PAGE_SIZE), page,
				    pos & ~PAGE_MASK);
		if (!ret)
			ret = evs_index_room(x, round_up(pos - s->pos, PAGE_SIZE), GFP_KERNEL);
	} else {
		pos = p->next << p->log.shift;
		ret = 0;
	}
	if (!ret && x)
		ret = evs_durable_buffers(d);
	if (!ret)
		ret = evs_log_resume(&p->log, pos, page);
	free_page((unsigned long)page);
	if (ret)
		return ret;
	if (x) {
		s->end = U64_MAX;
		p->segment = s;
		p->index = x;
	}
	p->newest = r->newest;
	p->next_pos = pos;
	p->room = pos;
	p->end_pos = pos;
	p->next_offset = r->next;
	p->end_offset = r->next;
	p->padding = pos - r->bytes;
	p->start_offset = clamp(r->start, r->nr ? r->base[0] : r->next, r->next);
	d->written = pos;
	d->durable = pos;
	d->durable_offset = r->next;
	d->synced = d->finished;
	return 0;
}

static int evs_compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static int evs_recover_checkpoint(struct evs_recovery *r)
{
	const char *slot;
	u64 dense = 0;
	ssize_t size;
	char *buf;
	int ret = 0;

	buf = kvmalloc(2 * EVS_SLOT, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	size = evs_store_load(&r->d->store, EVS_FILE_CHECKPOINT, buf, 2 * EVS_SLOT);
	r->d->dense = false;
	r->unknown = true;
	if (size == -ENOENT)
		r->foreign = true;
	else if (size < 0)
		ret = size;
	if (size < 0)
		goto out;
	slot = evs_file_slots_newest(buf, size, &r->d->sequence, &ret);
	if (!slot) {
		/* Damaged: as if Kafka had written this. */
		if (ret == -EUCLEAN) {
			pr_warn("evstream: %pd: the checkpoint is damaged\n",
				r->d->store.dir.dentry);
			ret = 0;
		}
		goto out;
	}
	r->unknown = false;
	ret = evs_file_slot_get_u64(slot, "start-offset", &r->start);
	if (!ret)
		ret = evs_file_slot_get_u64(slot, "recovery-offset", &r->recovery);
	if (!ret)
		ret = evs_file_slot_get_u64(slot, "dense", &dense);
	if (ret || r->start > EVS_OFFSET_MAX || r->recovery > EVS_OFFSET_MAX)
		ret = -EUCLEAN;
	r->d->dense = dense;
out:
	kvfree(buf);
	return ret;
}

/* The newest snapshot of producers that is not newer than what is finished. */
static int evs_recover_producers(struct evs_recovery *r)
{
	u64 *base;
	u32 i, nr;
	int ret;

	ret = evs_store_list(&r->d->store, EVS_FILE_SNAPSHOT, &base, &nr);
	if (ret)
		return ret;
	sort(base, nr, sizeof(*base), evs_compare, NULL);
	for (i = nr; i-- && !ret;) {
		if (base[i] > r->recovery)
			continue;
		ret = evs_producers_load(r->d, base[i]);
		if (!ret) {
			r->snapshot = base[i];
			r->d->snapshot = base[i];
			break;
		}
		if (ret == -EUCLEAN) {
			pr_warn("evstream: %pd/%020llu.snapshot is damaged\n",
				r->d->store.dir.dentry, base[i]);
			r->rescan = true;
			ret = 0;
		}
	}
	kvfree(base);
	return ret;
}

static int evs_recover(struct evs_recovery *r)
{
	bool end = false;
	u32 i;
	int ret;

	ret = evs_recover_checkpoint(r);
	if (!ret)
		ret = evs_store_list(&r->d->store, EVS_FILE_LOG, &r->base, &r->nr);
	if (ret)
		return ret;
	sort(r->base, r->nr, sizeof(*r->base), evs_compare, NULL);
	if (r->nr && r->base[r->nr - 1] > EVS_OFFSET_MAX)
		return -EUCLEAN;
	/* Kafka appends to the last one only, too. */
	if (r->unknown && r->nr)
		r->recovery = r->base[r->nr - 1];
	ret = evs_recover_producers(r);
	if (ret)
		return ret;
	r->next = r->nr ? r->base[0] : 0;
	for (i = 0; i < r->nr && !end && !ret; i++)
		ret = evs_recover_one(r, i, &end);
	if (!ret && i < r->nr)
		ret = evs_recover_remove(r, i);
	if (ret)
		return ret;
	/* Offsets are never given twice, even if files were lost. */
	if (!r->nr || r->recovery > r->next)
		r->next = max3(r->next, r->recovery, r->start);
	return evs_recover_end(r);
}

/*
 * Kafka's leader epoch never goes back along a log: that of the last line of its
 * checkpoint is what the next batches have.
 */
static int evs_recover_epoch(struct evs_recovery *r)
{
	ssize_t size = evs_store_load(&r->d->store, EVS_FILE_EPOCHS, r->buf, EVS_SCAN - 1);
	char *text = (char *)r->buf, *line;
	u32 epoch;

	r->len = 0;
	if (size < 0)
		return size == -ENOENT ? 0 : size;
	text[size] = '\0';
	line = strrchr(strim(text), '\n');
	/* version, number of lines, then an epoch and its first offset each */
	if (line && sscanf(line + 1, "%u", &epoch) == 1 && strchr(line, ' ') && epoch <= S32_MAX)
		r->p->leader_epoch = epoch;
	return 0;
}

static int evs_recover_start(struct evs_recovery *r)
{
	struct evs_partition *p = r->p;
	struct evs_cursor c = {};
	int ret = 0;

	p->start_pos = 0;
	if (p->start_offset) {
		evs_cursor_seek(&c, p->start_offset);
		ret = evs_cursor_locate(p, &c, &p->start_pos);
		evs_cursor_put(&c);
		/* A damaged batch at the start: from its segment on. */
		if (ret == -EIO)
			ret = 0;
	}
	if (!ret)
		ret = evs_recover_epoch(r);
	if (!ret)
		ret = evs_producers_copy(&p->producers, &r->d->producers);
	return ret;
}

/**
 * evs_durable_attach() - find a partition in its files
 * @p: the partition, new
 * @dir: where its directory is
 * @name: its directory's name
 * @cred: the caller's credentials, with which files are opened from now on
 *
 * What is behind the last whole batch is cut off, which evs_durable.cut tells.
 *
 * Return: 0; -EUCLEAN: what is there makes no sense; -EPROTONOSUPPORT: a newer
 * version of this module wrote it, or an old one of Kafka; or another negative
 * errno.
 */
int evs_durable_attach(struct evs_partition *p, const struct path *dir, const char *name,
		       const struct cred *cred)
{
	struct evs_recovery r = { .d = p->durable, .p = p, .newest = S64_MIN };
	int ret;

	ret = evs_store_open(&p->durable->store, dir, name, cred);
	if (ret)
		return ret;
	r.buf = kvmalloc(EVS_SCAN, GFP_KERNEL);
	if (!r.buf)
		return -ENOMEM;
	ret = evs_recover(&r);
	if (!ret)
		ret = evs_recover_start(&r);
	/* Before anything is appended behind what was found. */
	if (!ret)
		ret = evs_durable_checkpoint(p->durable);
	if (!ret)
		ret = evs_store_probe(&p->durable->store, EVS_FILE_CHECKPOINT);
	if (!ret)
		ret = evs_store_sync(&p->durable->store);
	if (!ret && p->durable->cut)
		pr_info("evstream: %s: cut off %llu bytes behind offset %llu\n", name,
			p->durable->cut, p->end_offset);
	kvfree(r.base);
	kvfree(r.buf);
	return ret;
}

static int evs_durable_make(struct evs_partition *p, const u8 uuid[16])
{
	struct evs_durable *d = p->durable;
	char text[EVS_METADATA_SIZE];
	int ret;

	ret = evs_store_replace(&d->store, EVS_FILE_EPOCHS, EVS_EPOCHS_TEXT,
				strlen(EVS_EPOCHS_TEXT));
	if (!ret)
		ret = evs_store_replace(&d->store, EVS_FILE_METADATA, text,
					evs_metadata_text(text, uuid));
	/* Both slots: from now on there is room for them. */
	if (!ret)
		ret = evs_durable_checkpoint(d);
	if (!ret)
		ret = evs_durable_checkpoint(d);
	if (!ret)
		ret = evs_store_probe(&d->store, EVS_FILE_CHECKPOINT);
	if (!ret)
		ret = evs_store_sync(&d->store);
	return ret;
}

/**
 * evs_durable_create() - make a partition's directory
 * @p: the partition, new
 * @dir: where
 * @name: the directory's name
 * @cred: the caller's credentials, with which files are opened from now on
 * @uuid: of the topic, for Kafka's tools
 *
 * Return: 0; -EEXIST; or another negative errno.
 */
int evs_durable_create(struct evs_partition *p, const struct path *dir, const char *name,
		       const struct cred *cred, const u8 uuid[16])
{
	int ret = evs_store_create(&p->durable->store, dir, name, cred);

	return ret ? ret : evs_durable_make(p, uuid);
}
