// SPDX-License-Identifier: GPL-2.0
/*
 * ioctls: copy in, validate, do, copy out.
 */
#include <linux/build_bug.h>
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "chardev.h"
#include "offsets.h"
#include "queue.h"

/* The interface: what is laid down cannot move. */
static_assert(sizeof(struct evstream_record) == 64);
static_assert(offsetof(struct evstream_record, timestamp) == 40);
static_assert(offsetof(struct evstream_record, offset) == 48);
static_assert(sizeof(struct evstream_append) == 24);
static_assert(sizeof(struct evstream_append_batch) == 32);
static_assert(offsetof(struct evstream_append_batch, base_offset) == 24);
static_assert(sizeof(struct evstream_fetch) == 72);
static_assert(offsetof(struct evstream_fetch, offset) == 32);
static_assert(sizeof(struct evstream_seek) == 32);
static_assert(sizeof(struct evstream_stat) == 96);
static_assert(offsetof(struct evstream_stat, offset) == 24);
static_assert(sizeof(struct evstream_set_framing) == 8);
static_assert(sizeof(struct evstream_gap) == 32);
static_assert(sizeof(struct evstream_trim) == 24);
static_assert(sizeof(struct evstream_join) == 72);
static_assert(offsetof(struct evstream_join, value) == 32);
static_assert(sizeof(struct evstream_commit) == 24);
static_assert(sizeof(struct evstream_commit_entry) == 24);
static_assert(sizeof(struct evstream_position) == 56);
static_assert(offsetof(struct evstream_position, offset) == 16);
static_assert(sizeof(struct evstream_assigned) == 24);
static_assert(sizeof(struct evstream_assignment) == 40);
static_assert(sizeof(struct evstream_acquired) == 56);
static_assert(sizeof(struct evstream_acquire) == 48);
static_assert(sizeof(struct evstream_ack_entry) == 32);
static_assert(sizeof(struct evstream_ack) == 24);
static_assert(sizeof(struct evstream_ctl) == 192);
static_assert(offsetof(struct evstream_ctl, start_offset) == 64);
static_assert(offsetof(struct evstream_ctl, end_offset) == 128);
/* What APPEND returns lies together. */
static_assert(offsetofend(struct evstream_record, error) -
	      offsetof(struct evstream_record, offset) == 16);

/* What one call gathers in kernel memory at a time, or one record where larger. */
#define EVS_APPEND_GATHER	SZ_1M
/* A record's head, value length and header count. */
#define EVS_APPEND_OVERHEAD	(EVS_RECORD_HEAD + 2 * EVS_VARINT)

static int evs_partition_arg(struct evs_file *f, u32 partition, struct evs_partition **p)
{
	if (f->part) {
		if (partition && partition != f->part->number)
			return -ENXIO;
		*p = f->part;
		return 0;
	}
	if (partition >= f->topic->partitions)
		return -ENXIO;
	*p = f->topic->partition[array_index_nospec(partition, f->topic->partitions)];
	return 0;
}

static struct evs_cursor *evs_cursor_arg(struct evs_file *f, const struct evs_partition *p)
{
	return f->part ? &f->one : &f->cursor[p->number];
}

/* APPEND */

/**
 * struct evs_gather - records on their way into the log
 * @user: the caller's array
 * @stride: bytes of its entries
 * @rec: copy of the entries gathered
 * @src: the same, in kernel memory
 * @part: where each goes, NULL: nowhere any more
 * @picked: those of one batch
 * @index: their places in @rec
 * @data: keys, values and headers
 * @room: bytes at @data
 */
struct evs_gather {
	void __user *user;
	u32 stride;
	struct evstream_record *rec;
	struct evs_source *src;
	struct evs_partition **part;
	struct evs_source *picked;
	u32 *index;
	u8 *data;
	size_t room;
};

static int evs_gather_alloc(struct evs_gather *g, u32 n)
{
	g->rec = kvmalloc_array(n, sizeof(*g->rec), GFP_KERNEL_ACCOUNT);
	g->src = kvmalloc_array(n, sizeof(*g->src), GFP_KERNEL_ACCOUNT);
	g->part = kvmalloc_array(n, sizeof(*g->part), GFP_KERNEL_ACCOUNT);
	g->picked = kvmalloc_array(n, sizeof(*g->picked), GFP_KERNEL_ACCOUNT);
	g->index = kvmalloc_array(n, sizeof(*g->index), GFP_KERNEL_ACCOUNT);
	return g->rec && g->src && g->part && g->picked && g->index ? 0 : -ENOMEM;
}

static void evs_gather_free(struct evs_gather *g)
{
	kvfree(g->rec);
	kvfree(g->src);
	kvfree(g->part);
	kvfree(g->picked);
	kvfree(g->index);
	kvfree(g->data);
}

static int evs_record_check(const struct evstream_record *r, u32 max_record, u64 *bytes)
{
	if (r->key_len < -1 || r->value_len < -1 || r->timestamp < -1)
		return -EINVAL;
	if (!r->headers_count != !r->headers_len)
		return -EINVAL;
	*bytes = (u64)max(r->key_len, 0) + max(r->value_len, 0) + r->headers_len;
	return *bytes > max_record ? -EMSGSIZE : 0;
}

static int evs_record_copy(struct evs_source *s, const struct evstream_record *r, u8 *data)
{
	*s = (struct evs_source){
		.key_len = r->key_len,
		.value_len = r->value_len,
		.headers_len = r->headers_len,
		.headers_count = r->headers_count,
		.timestamp = r->timestamp,
	};
	s->key = data;
	s->value = s->key + max(r->key_len, 0);
	s->headers = s->value + max(r->value_len, 0);
	if (r->key_len > 0 && copy_from_user((void *)s->key, u64_to_user_ptr(r->key), r->key_len))
		return -EFAULT;
	if (r->value_len > 0 &&
	    copy_from_user((void *)s->value, u64_to_user_ptr(r->value), r->value_len))
		return -EFAULT;
	if (r->headers_len &&
	    copy_from_user((void *)s->headers, u64_to_user_ptr(r->headers), r->headers_len))
		return -EFAULT;
	return evs_headers_check(s->headers, s->headers_len, s->headers_count) ? -EINVAL : 0;
}

/*
 * Brings records in, up to @n, until what they hold is enough for a while. Each
 * one's fault is its own.
 *
 * Return: how many, or -errno where the array itself is at fault.
 */
static int evs_gather_records(struct evs_file *f, struct evs_gather *g, u32 from, u32 n)
{
	u32 max_record = READ_ONCE(f->topic->config.max_record), i;
	size_t used = 0;
	int ret;

	for (i = 0; i < n; i++) {
		struct evstream_record *r = &g->rec[i];
		u64 bytes = 0;

		ret = copy_struct_from_user(r, sizeof(*r), g->user + (size_t)(from + i) * g->stride,
					    g->stride);
		if (ret)
			return ret;
		r->offset = -1;
		r->partition = 0;
		g->part[i] = NULL;
		r->error = evs_record_check(r, max_record, &bytes);
		if (r->error)
			continue;
		if (i && used + bytes > EVS_APPEND_GATHER)
			break;
		if (used + bytes > g->room) {
			/* Only the first one can be larger than all together. */
			kvfree(g->data);
			g->room = max_t(size_t, bytes, EVS_APPEND_GATHER);
			g->data = kvmalloc(g->room, GFP_KERNEL_ACCOUNT);
			if (!g->data) {
				g->room = 0;
				return -ENOMEM;
			}
		}
		r->error = evs_record_copy(&g->src[i], r, g->data + used);
		if (r->error)
			continue;
		used += bytes;
		g->part[i] = f->part ?: evs_topic_route(f->topic, g->src[i].key, r->key_len,
							f->own);
		r->partition = g->part[i]->number;
	}
	return i;
}

/* One batch: the records from @first on that go where it goes, and fit. */
static int evs_gather_append(struct evs_gather *g, u32 first, u32 n, unsigned int flags,
			     u32 *appended)
{
	struct evs_partition *p = g->part[first];
	u64 size = EVS_BATCH_HEADER, offset = 0;
	u32 i, picked = 0;
	int ret;

	for (i = first; i < n; i++) {
		const struct evs_source *s = &g->src[i];
		u64 more;

		if (g->part[i] != p)
			continue;
		more = EVS_APPEND_OVERHEAD + max(s->key_len, 0) + max(s->value_len, 0) +
		       s->headers_len;
		/* Behind one that does not fit, none may overtake it. */
		if (picked && size + more > evs_segment_size(p))
			break;
		size += more;
		g->picked[picked] = *s;
		g->index[picked++] = i;
	}
	ret = evs_append_sources(p, g->picked, picked, flags, &offset);
	for (i = 0; i < picked; i++) {
		struct evstream_record *r = &g->rec[g->index[i]];

		g->part[g->index[i]] = NULL;
		r->error = ret == -ERESTARTSYS ? -EINTR : ret;
		if (!ret)
			r->offset = offset + i;
	}
	if (!ret)
		*appended += picked;
	return ret;
}

/* Those that the call did not come to. */
static int evs_gather_rest(struct evs_gather *g, u32 from, u32 n, int error)
{
	u32 i;

	for (i = from; i < n; i++) {
		struct evstream_record __user *u = g->user + (size_t)i * g->stride;

		if (put_user(-1LL, &u->offset) || put_user(error, &u->error))
			return -EFAULT;
	}
	return 0;
}

static int evs_gather_results(struct evs_gather *g, u32 from, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		struct evstream_record __user *u = g->user + (size_t)(from + i) * g->stride;

		if (copy_to_user(&u->offset, &g->rec[i].offset,
				 offsetofend(struct evstream_record, error) -
				 offsetof(struct evstream_record, offset)))
			return -EFAULT;
	}
	return 0;
}

/*
 * What was appended through an O_DSYNC file is on stable storage: in @p, or in
 * whichever partitions.
 */
static int evs_append_synced(struct file *file, struct evs_partition *p)
{
	struct evs_file *f = file->private_data;

	if (!(file->f_flags & O_DSYNC) || !f->topic->place)
		return 0;
	if (!p)
		p = f->part;
	return p ? evs_partition_sync(p, evs_end_pos(p)) : vfs_fsync(file, 1);
}

static long evs_ioctl_append(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evstream_append *a = arg;
	struct evs_gather g = { .user = u64_to_user_ptr(a->records), .stride = a->record_size };
	u32 done = 0;
	int ret, first_error = 0;

	a->appended = 0;
	if (a->flags || !a->nr_records || a->nr_records > EVSTREAM_APPEND_MAX ||
	    a->record_size < sizeof(struct evstream_record) || a->record_size > PAGE_SIZE)
		return -EINVAL;
	ret = evs_gather_alloc(&g, a->nr_records);
	while (!ret && done < a->nr_records) {
		int n = evs_gather_records(f, &g, done, a->nr_records - done), i;

		if (n < 0) {
			ret = n;
			break;
		}
		for (i = 0; i < n; i++)
			if (g.part[i])
				evs_gather_append(&g, i, n, evs_file_flags(file), &a->appended);
		for (i = 0; i < n && !first_error; i++)
			first_error = g.rec[i].error;
		ret = evs_gather_results(&g, done, n);
		done += n;
		if (!ret && signal_pending(current) && done < a->nr_records)
			ret = -EINTR;
	}
	evs_gather_free(&g);
	if (ret && ret != -EFAULT && evs_gather_rest(&g, done, a->nr_records, ret))
		ret = -EFAULT;
	if (!a->appended)
		return ret ?: first_error;
	return evs_append_synced(file, NULL);
}

static long evs_ioctl_append_batch(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	u32 max_record = READ_ONCE(f->topic->config.max_record);
	struct evstream_append_batch *a = arg;
	struct evs_batch_info info;
	struct evs_partition *p;
	u64 offset;
	void *batch;
	long ret;

	if (a->flags || a->reserved)
		return -EINVAL;
	ret = evs_partition_arg(f, a->partition, &p);
	if (ret)
		return ret;
	if (a->len < EVS_BATCH_HEADER)
		return -EBADMSG;
	/* Checked once it is here: the caller can change it until then. */
	if (a->len > evs_segment_size(p))
		return -EMSGSIZE;
	batch = kvmalloc(a->len, GFP_KERNEL_ACCOUNT);
	if (!batch)
		return -ENOMEM;
	ret = -EFAULT;
	if (!copy_from_user(batch, u64_to_user_ptr(a->batch), a->len))
		ret = evs_batch_check(batch, a->len, max_record, &info);
	if (!ret)
		ret = evs_append_batch(p, batch, &info, evs_file_flags(file), &offset);
	kvfree(batch);
	if (ret)
		return ret;
	a->base_offset = offset;
	return evs_append_synced(file, p);
}

/* FETCH */

/**
 * struct evs_fetch - a FETCH that may be a member's
 * @m: the member, NULL: the file is none
 * @p: the partition
 * @epoch: of the member's slot
 */
struct evs_fetch {
	struct evs_member *m;
	struct evs_partition *p;
	u32 epoch;
};

static bool evs_fetch_ready(const struct evs_fetch *f, struct evs_cursor *c, u32 min_bytes)
{
	u64 bytes = evs_cursor_ready(f->p, c);

	return READ_ONCE(f->p->dead) || bytes >= max(min_bytes, 1U) ||
	       (f->m && !evs_slot_owned(f->m, f->p->number, f->epoch));
}

static long evs_time_left(unsigned long until)
{
	unsigned long now = jiffies;

	return time_before(now, until) ? until - now : 0;
}

/* Waits until so much is there, for as long as the caller wants. */
static int evs_fetch_wait(const struct evs_fetch *f, u64 offset, const struct evstream_fetch *a,
			  unsigned long until)
{
	wait_queue_head_t *wait = f->m ? f->m->wait : &f->p->wait;
	struct evs_cursor c = { .offset = offset };
	long ret;

	if (a->timeout_ms < 0)
		ret = wait_event_interruptible(*wait, evs_fetch_ready(f, &c, 1));
	else
		ret = wait_event_interruptible_timeout(*wait, evs_fetch_ready(f, &c, 1),
						       evs_time_left(until));
	if (ret < 0 || READ_ONCE(f->p->dead) || a->min_bytes <= 1)
		goto out;
	if (!a->timeout_ms || (a->timeout_ms > 0 && !ret))
		goto out;
	/* The first record is there: now its position tells how much is. */
	c.at = !evs_cursor_locate(f->p, &c, &c.pos);
	if (a->timeout_ms < 0)
		ret = wait_event_interruptible(*wait, evs_fetch_ready(f, &c, a->min_bytes));
	else
		ret = wait_event_interruptible_timeout(*wait,
						       evs_fetch_ready(f, &c, a->min_bytes), ret);
out:
	evs_cursor_put(&c);
	return ret < 0 ? ret : 0;
}

static void evs_fetch_watermarks(struct evs_partition *p, struct evstream_fetch *a)
{
	spin_lock(&p->lock);
	a->start_offset = p->start_offset;
	a->end_offset = p->end_offset;
	spin_unlock(&p->lock);
}

/* Where a member's or another's file stands. */
static int evs_fetch_begin(struct evs_file *file, struct evs_fetch *f, u64 *offset)
{
	if (!f->m) {
		*offset = READ_ONCE(evs_cursor_arg(file, f->p)->offset);
		return 0;
	}
	if (f->m->group->queue)
		return -EPROTOTYPE;
	return evs_slot_begin(f->m, f->p->number, offset, &f->epoch) ? 0 : -ESTALE;
}

/* From a file's own position. */
static int evs_fetch_next(struct evs_file *file, struct evs_fetch *f, struct iov_iter *to,
			  struct evstream_fetch *a)
{
	struct evs_cursor *c = evs_cursor_arg(file, f->p);
	u64 offset;
	int ret;

	if (mutex_lock_interruptible(&file->read_lock))
		return -ERESTARTSYS;
	/* It may have joined meanwhile. */
	ret = evs_file_member(file) == f->m ? evs_fetch_begin(file, f, &offset) : -ESTALE;
	if (ret)
		goto unlock;
	if (c->offset != offset)
		evs_cursor_seek(c, offset);
	ret = evs_cursor_fetch(f->p, c, to, &a->position, &a->bytes);
	if (f->m && c->offset != offset &&
	    !evs_slot_end(f->m, f->p->number, f->epoch, c->offset, !ret))
		ret = -ESTALE;
	a->next_offset = c->offset;
	/* One folio for each of thousands of partitions would be a lot. */
	if (!file->part)
		evs_cursor_put(c);
unlock:
	mutex_unlock(&file->read_lock);
	return ret;
}

/* From a record that the caller names. */
static int evs_fetch_at(struct evs_fetch *f, struct iov_iter *to, struct evstream_fetch *a)
{
	struct evs_cursor c = {};
	int ret;

	evs_cursor_seek(&c, a->offset);
	ret = evs_cursor_fetch(f->p, &c, to, &a->position, &a->bytes);
	a->next_offset = c.offset;
	evs_cursor_put(&c);
	if (!ret && f->m && a->next_offset != a->offset &&
	    !evs_slot_served(f->m, f->p->number, f->epoch, a->next_offset))
		ret = -ESTALE;
	/* It was there when the call began. */
	return ret == -EPIPE ? -ERANGE : ret;
}

static long evs_ioctl_fetch(struct file *file, void *arg)
{
	bool wait = !(file->f_flags & O_NONBLOCK);
	struct evs_file *f = file->private_data;
	struct evs_fetch fetch = { .m = evs_file_member(f) };
	struct evstream_fetch *a = arg;
	unsigned long until = jiffies + msecs_to_jiffies(max(a->timeout_ms, 0));
	struct iov_iter to;
	u64 offset;
	long ret;

	if (a->flags || a->timeout_ms < -1 || a->offset < -1 || a->len > MAX_RW_COUNT)
		return -EINVAL;
	ret = evs_partition_arg(f, a->partition, &fetch.p);
	if (ret)
		return ret;
	a->bytes = 0;
	ret = import_ubuf(ITER_DEST, u64_to_user_ptr(a->buf), a->len, &to);
	if (ret)
		return ret;
	evs_fetch_watermarks(fetch.p, a);
again:
	ret = evs_fetch_begin(f, &fetch, &offset);
	if (ret)
		return ret;
	if (a->offset >= 0) {
		if (a->offset < a->start_offset || a->offset > a->end_offset)
			return -ERANGE;
		offset = a->offset;
	}
	if (wait && a->min_bytes && a->timeout_ms) {
		ret = evs_fetch_wait(&fetch, offset, a, until);
		if (ret)
			return ret;
		/* It has gone, or was moved. */
		if (fetch.m && !evs_slot_owned(fetch.m, fetch.p->number, fetch.epoch))
			goto again;
	}
	if (a->offset < 0)
		ret = evs_fetch_next(f, &fetch, &to, a);
	else
		ret = evs_fetch_at(&fetch, &to, a);
	if (!ret)
		a->bytes = a->len - iov_iter_count(&to);
	evs_fetch_watermarks(fetch.p, a);
	return ret;
}

/* SEEK, STAT, SET_FRAMING, GAP, TRIM */

static int evs_seek_one(struct evs_file *f, struct evs_partition *p, struct evstream_seek *a)
{
	struct evs_cursor *c = evs_cursor_arg(f, p);
	struct evs_member *m = evs_file_member(f);
	u64 offset;
	int ret = 0;

again:
	switch (a->whence) {
	case EVSTREAM_SEEK_OFFSET:
		offset = a->value;
		break;
	case EVSTREAM_SEEK_EARLIEST:
		offset = READ_ONCE(p->start_offset);
		break;
	case EVSTREAM_SEEK_LATEST:
		offset = evs_end_offset(p);
		break;
	default:
		ret = evs_partition_find_time(p, a->value, &offset);
		break;
	}
	if (!ret && m)
		ret = m->group->queue ? -EPROTOTYPE : evs_slot_seek(m, p->number, offset);
	if (ret)
		return ret;
	evs_cursor_seek(c, offset);
	a->offset = offset;
	ret = evs_cursor_locate(p, c, &a->position);
	/* Dropped meanwhile: the position would be another record's. */
	if (!ret && a->whence != EVSTREAM_SEEK_OFFSET && READ_ONCE(p->start_offset) > offset) {
		cond_resched();
		goto again;
	}
	return ret;
}

static long evs_ioctl_seek(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evstream_seek *a = arg;
	struct evs_partition *p;
	long ret = 0;
	u32 i;

	if (a->whence > EVSTREAM_SEEK_TIMESTAMP || a->value < 0 || a->value >= 1LL << 62)
		return -EINVAL;
	if (f->part || a->partition != EVSTREAM_ALL) {
		ret = evs_partition_arg(f, a->partition, &p);
		if (ret)
			return ret;
	} else if (a->whence == EVSTREAM_SEEK_OFFSET && a->value) {
		return -EINVAL;
	}
	if (mutex_lock_interruptible(&f->read_lock))
		return -ERESTARTSYS;
	if (f->part || a->partition != EVSTREAM_ALL) {
		ret = evs_seek_one(f, p, a);
	} else if (f->member && (!f->member->joined || f->member->group->queue)) {
		ret = f->member->joined ? -EPROTOTYPE : -ESTALE;
	} else {
		for (i = 0; i < f->topic->partitions && !ret; i++) {
			if (f->member && !test_bit(i, f->member->owned))
				continue;
			ret = evs_seek_one(f, f->topic->partition[i], a);
			/* Of a member's, one that is just going. */
			if (ret == -ESTALE)
				ret = 0;
		}
		a->offset = 0;
		a->position = 0;
	}
	mutex_unlock(&f->read_lock);
	return ret;
}

static s64 evs_stat_offset(struct evs_file *f, const struct evs_partition *p,
			   const struct evs_cursor *c)
{
	struct evs_member *m = evs_file_member(f);
	struct evstream_position pos = { .partition = p->number };

	if (!m || evs_member_position(m, &pos))
		return READ_ONCE(c->offset);
	return pos.offset;
}

static long evs_ioctl_stat(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evstream_stat *a = arg;
	struct evs_partition *p;
	long ret;

	ret = evs_partition_arg(f, a->partition, &p);
	if (ret)
		return ret;
	*a = (struct evstream_stat){
		.partition = p->number,
		.partitions = f->topic->partitions,
		.framing = evs_file_framing(f),
		.segment_shift = p->log.shift,
		.max_record = READ_ONCE(f->topic->config.max_record),
		.offset = -1,
		.durable_offset = evs_partition_durable_offset(p),
	};
	spin_lock(&p->lock);
	a->start_offset = p->start_offset;
	a->end_offset = p->end_offset;
	a->start_position = p->start_pos;
	a->end_position = p->end_pos;
	a->appended_records = p->end_offset;
	a->appended_bytes = p->next_pos - p->padding;
	spin_unlock(&p->lock);
	if (file->f_mode & FMODE_READ) {
		const struct evs_cursor *c = evs_cursor_arg(f, p);

		a->offset = evs_stat_offset(f, p, c);
		a->lost_records = READ_ONCE(c->gap.lost);
	}
	return 0;
}

static long evs_ioctl_set_framing(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evstream_set_framing *a = arg;
	long ret = 0;

	if (a->framing > EVSTREAM_FRAMING_LINE || a->reserved)
		return -EINVAL;
	if (mutex_lock_interruptible(&f->line_lock))
		return -ERESTARTSYS;
	if (f->line_len)
		ret = -EBUSY;
	else
		WRITE_ONCE(f->framing, a->framing);
	mutex_unlock(&f->line_lock);
	return ret;
}

static long evs_ioctl_gap(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evstream_gap *a = arg;
	struct evs_partition *p;
	struct evs_cursor *c;
	long ret;

	if (a->reserved)
		return -EINVAL;
	ret = evs_partition_arg(f, a->partition, &p);
	if (ret)
		return ret;
	if (mutex_lock_interruptible(&f->read_lock))
		return -ERESTARTSYS;
	c = evs_cursor_arg(f, p);
	a->from = c->gap.from;
	a->to = c->gap.to;
	a->lost = c->gap.lost;
	mutex_unlock(&f->read_lock);
	return 0;
}

static long evs_ioctl_trim(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evstream_trim *a = arg;
	struct evs_partition *p;
	u64 offset = a->offset < 0 ? U64_MAX : a->offset;
	long ret = 0;
	u32 i;

	if (a->flags || a->offset < -1)
		return -EINVAL;
	if (!f->part && a->partition == EVSTREAM_ALL) {
		if (a->offset >= 0)
			return -EINVAL;
		for (i = 0; i < f->topic->partitions && !ret; i++)
			ret = evs_partition_trim(f->topic->partition[i], offset);
		a->start_offset = 0;
		return ret;
	}
	ret = evs_partition_arg(f, a->partition, &p);
	if (!ret)
		ret = evs_partition_trim(p, offset);
	if (!ret)
		a->start_offset = READ_ONCE(p->start_offset);
	return ret;
}

/* JOIN, LEAVE */

static int evs_join_flags(const struct evstream_join *a)
{
	const u32 known = EVSTREAM_JOIN_AUTO | EVSTREAM_JOIN_STATIC | EVSTREAM_JOIN_ACK |
			  EVSTREAM_JOIN_QUEUE | EVSTREAM_JOIN_KEYED | EVSTREAM_JOIN_EXISTING;
	const u32 partitions = EVSTREAM_JOIN_AUTO | EVSTREAM_JOIN_STATIC | EVSTREAM_JOIN_ACK;
	bool queue = a->flags & EVSTREAM_JOIN_QUEUE;

	if ((a->flags & ~known) || (queue && (a->flags & partitions)))
		return -EINVAL;
	if ((a->flags & EVSTREAM_JOIN_AUTO) && (a->flags & EVSTREAM_JOIN_ACK))
		return -EINVAL;
	if (!queue && ((a->flags & EVSTREAM_JOIN_KEYED) || a->lock_ms || a->max_deliveries ||
		       (a->dead_letter && a->dead_letter != -1)))
		return -EINVAL;
	if (!(a->flags & EVSTREAM_JOIN_STATIC) != !a->nr_partitions)
		return -EINVAL;
	return 0;
}

static int evs_join_numbers(const struct evstream_join *a)
{
	if (a->reserved || !a->name_len || a->name_len > EVSTREAM_GROUP_NAME_MAX ||
	    a->nr_partitions > EVSTREAM_PARTITIONS_MAX)
		return -EINVAL;
	if (a->start < EVSTREAM_SEEK_EARLIEST || a->start > EVSTREAM_SEEK_TIMESTAMP ||
	    a->value < 0 || a->value >= 1LL << 62 ||
	    (a->start != EVSTREAM_SEEK_TIMESTAMP && a->value))
		return -EINVAL;
	if (max3(a->rebalance_ms, a->max_poll_ms, a->lock_ms) > EVSTREAM_TIMEOUT_MAX ||
	    a->max_deliveries > S16_MAX)
		return -EINVAL;
	return evs_join_flags(a);
}

static int evs_join_copy(struct evs_join *j, const struct evstream_join *a)
{
	j->name_len = a->name_len;
	j->nr_partitions = a->nr_partitions;
	j->flags = a->flags;
	j->start = a->start;
	j->value = a->value;
	j->rebalance_ms = a->rebalance_ms;
	j->max_poll_ms = a->max_poll_ms;
	j->lock_ms = a->lock_ms;
	j->max_deliveries = a->max_deliveries;
	if (copy_from_user(j->name, u64_to_user_ptr(a->name), a->name_len))
		return -EFAULT;
	if (!a->nr_partitions)
		return 0;
	j->partitions = vmemdup_array_user(u64_to_user_ptr(a->partitions), a->nr_partitions,
					   sizeof(*j->partitions));
	if (IS_ERR(j->partitions)) {
		int ret = PTR_ERR(j->partitions);

		j->partitions = NULL;
		return ret;
	}
	return 0;
}

/* That a queue may write there is what the descriptor shows. */
static int evs_join_dead_letter(struct evs_join *j, const struct evs_file *own, int fd)
{
	struct evs_file *f;
	struct file *file;
	int ret = 0;

	if (fd == -1)
		return 0;
	f = evs_file_get(fd, &file);
	if (IS_ERR(f))
		return PTR_ERR(f);
	if (!(file->f_mode & FMODE_WRITE))
		ret = -EBADF;
	else if (f->topic == own->topic || !evs_topic_tryget(f->topic))
		ret = -EINVAL;
	if (!ret) {
		j->dead_letter = f->topic;
		j->dead_letter_part = f->part;
	}
	fput(file);
	return ret;
}

static long evs_join(struct evs_file *f, struct evstream_join *a, const struct evs_join *j)
{
	struct evs_member *m;
	long ret;

	if (mutex_lock_interruptible(&f->read_lock))
		return -ERESTARTSYS;
	m = f->member;
	ret = evs_group_join(f->topic, &m, j, &f->changes);
	if (!ret) {
		a->member = m->id;
		a->generation = READ_ONCE(m->group->generation);
		/* Pairs with the acquire in evs_file_member(). */
		smp_store_release(&f->member, m);
	}
	mutex_unlock(&f->read_lock);
	return ret;
}

static long evs_ioctl_join(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evstream_join *a = arg;
	struct evs_join *j;
	long ret;

	if (f->part)
		return -EOPNOTSUPP;
	ret = evs_join_numbers(a);
	if (ret)
		return ret;
	j = kzalloc(sizeof(*j), GFP_KERNEL);
	if (!j)
		return -ENOMEM;
	j->user = f->user;
	ret = evs_join_copy(j, a);
	if (!ret && (j->flags & EVSTREAM_JOIN_QUEUE))
		ret = evs_join_dead_letter(j, f, a->dead_letter);
	if (!ret)
		ret = evs_join(f, a, j);
	/* Those that wait in plain reads of this file are a member's now. */
	if (!ret)
		wake_up_all(&f->topic->any_wait);
	if (j->dead_letter)
		evs_topic_put(j->dead_letter);
	kvfree(j->partitions);
	kfree(j);
	return ret;
}

static long evs_ioctl_leave(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	long ret = -ESTALE;

	if (mutex_lock_interruptible(&f->read_lock))
		return -ERESTARTSYS;
	if (f->member)
		ret = evs_member_leave(f->member);
	mutex_unlock(&f->read_lock);
	return ret;
}

/* COMMIT, ACK: arrays whose entries have each their own fate */

static bool evs_commit_sync(const struct file *file, u32 flags)
{
	return (flags & EVSTREAM_COMMIT_SYNC) || (file->f_flags & O_DSYNC);
}

static bool evs_entries_ok(u32 flags, u32 nr, u32 most, u32 size, u32 least)
{
	if ((flags & ~EVSTREAM_COMMIT_SYNC) || nr > most)
		return false;
	return !nr || (size >= least && size <= PAGE_SIZE);
}

/* Where nothing is named: all that was served. */
static int evs_commit_all(struct evs_member *m, u32 *committed)
{
	u32 p;

	if (!READ_ONCE(m->joined))
		return -ESTALE;
	for_each_set_bit(p, m->owned, m->group->topic->partitions)
		if (!evs_slot_commit(m, p, 0, -1))
			++*committed;
	return 0;
}

static int evs_commit_one(struct evs_member *m, void __user *user, u32 size, int *error)
{
	struct evstream_commit_entry __user *u = user;
	struct evstream_commit_entry e;
	int ret;

	ret = copy_struct_from_user(&e, sizeof(e), user, size);
	if (ret)
		return ret;
	*error = e.reserved ? -EINVAL :
		 evs_slot_commit(m, e.partition, e.generation, e.offset);
	return put_user(*error, &u->error);
}

static int evs_ack_one(struct evs_member *m, void __user *user, u32 size, int *error)
{
	struct evstream_ack_entry __user *u = user;
	struct evstream_ack_entry e;
	int ret;

	ret = copy_struct_from_user(&e, sizeof(e), user, size);
	if (ret)
		return ret;
	if (e.reserved || e.settle > EVSTREAM_SETTLE_RENEW || e.first < 0 || e.last < e.first)
		*error = -EINVAL;
	else if (e.partition >= m->group->topic->partitions)
		*error = -ENXIO;
	else
		*error = evs_queue_settle(m, &e);
	return put_user(*error, &u->error);
}

static int evs_each_entry(struct evs_member *m, u64 entries, u32 nr, u32 size, u32 *done,
			  int (*fn)(struct evs_member *m, void __user *user, u32 size,
				    int *error))
{
	int ret, first = 0, error;
	u32 i;

	for (i = 0; i < nr; i++) {
		ret = fn(m, u64_to_user_ptr(entries + (u64)i * size), size, &error);
		if (ret)
			return ret;
		if (!error)
			++*done;
		else if (!first)
			first = error;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return first;
}

static long evs_ioctl_commit(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evs_member *m = evs_file_member(f);
	struct evstream_commit *a = arg;
	int ret, err;

	a->committed = 0;
	if (!evs_entries_ok(a->flags, a->nr_entries, EVSTREAM_PARTITIONS_MAX, a->entry_size,
			    sizeof(struct evstream_commit_entry)))
		return -EINVAL;
	if (!m)
		return -ESTALE;
	if (m->group->queue)
		return -EPROTOTYPE;
	if (a->nr_entries)
		ret = evs_each_entry(m, a->entries, a->nr_entries, a->entry_size, &a->committed,
				     evs_commit_one);
	else
		ret = evs_commit_all(m, &a->committed);
	/* What was committed is kept, whatever became of the rest. */
	err = evs_offsets_write(f->topic, m->group, evs_commit_sync(file, a->flags));
	return ret ?: err;
}

static long evs_ioctl_ack(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evs_member *m = evs_file_member(f);
	struct evstream_ack *a = arg;
	int ret, err;

	a->settled = 0;
	if (!evs_entries_ok(a->flags, a->nr_entries, EVSTREAM_IN_FLIGHT_MAX, a->entry_size,
			    sizeof(struct evstream_ack_entry)))
		return -EINVAL;
	if (!m || !READ_ONCE(m->joined))
		return -ESTALE;
	if (!m->group->queue)
		return -EPROTOTYPE;
	if (a->nr_entries)
		ret = evs_each_entry(m, a->entries, a->nr_entries, a->entry_size, &a->settled,
				     evs_ack_one);
	else
		ret = evs_queue_settle_all(m);
	err = evs_offsets_write(f->topic, m->group, evs_commit_sync(file, a->flags));
	return ret ?: err;
}

/* POSITION, ASSIGNMENT, ACQUIRE */

static long evs_ioctl_position(struct file *file, void *arg)
{
	struct evs_member *m = evs_file_member(file->private_data);
	struct evstream_position *a = arg;

	if (!m || !READ_ONCE(m->joined))
		return -ESTALE;
	return evs_member_position(m, a);
}

static long evs_ioctl_assignment(struct file *file, void *arg)
{
	struct evs_file *f = file->private_data;
	struct evs_member *m = evs_file_member(f);
	struct evstream_assigned *assigned = NULL;
	struct evstream_assignment *a = arg;
	u32 i, n;
	int ret;

	if (a->flags || a->room > EVSTREAM_PARTITIONS_MAX)
		return -EINVAL;
	if (a->room && (a->entry_size < sizeof(*assigned) || a->entry_size > PAGE_SIZE))
		return -EINVAL;
	if (!m)
		return -ESTALE;
	a->room = min(a->room, f->topic->partitions);
	if (a->room) {
		assigned = kvmalloc_array(a->room, sizeof(*assigned), GFP_KERNEL_ACCOUNT);
		if (!assigned)
			return -ENOMEM;
	}
	ret = evs_member_assignment(m, a, assigned);
	n = ret ? 0 : min(a->nr, a->room);
	for (i = 0; i < n && !ret; i++) {
		void __user *to = u64_to_user_ptr(a->assigned + (u64)i * a->entry_size);

		if (copy_to_user(to, &assigned[i], sizeof(*assigned)) ||
		    clear_user(to + sizeof(*assigned), a->entry_size - sizeof(*assigned)))
			ret = -EFAULT;
	}
	kvfree(assigned);
	return ret;
}

static int evs_acquire_wait(struct evs_file *f, struct evs_member *m, s32 timeout_ms, long *left)
{
	wait_queue_head_t *wait = &m->group->wait;
	long ret;

	if (timeout_ms < 0)
		return wait_event_interruptible_exclusive(*wait, READ_ONCE(f->topic->dead) ||
							  !READ_ONCE(m->joined) ||
							  evs_member_ready(m));
	ret = wait_event_interruptible_timeout(*wait, READ_ONCE(f->topic->dead) ||
					       !READ_ONCE(m->joined) || evs_member_ready(m),
					       *left);
	if (ret < 0)
		return ret;
	*left = ret;
	return ret ? 0 : -ETIME;
}

static int evs_acquire(struct file *file, struct evs_member *m, struct evstream_acquire *a)
{
	long left = msecs_to_jiffies(max(a->timeout_ms, 0));
	struct evs_file *f = file->private_data;
	int ret;

	for (;;) {
		if (READ_ONCE(f->topic->dead))
			return -ENODEV;
		if (!READ_ONCE(m->joined))
			return -ESTALE;
		ret = evs_queue_acquire(m, a);
		if (ret != -EAGAIN || (file->f_flags & O_NONBLOCK))
			return ret;
		if (a->timeout_ms >= 0 && !left)
			return 0;
		ret = evs_acquire_wait(f, m, a->timeout_ms, &left);
		if (ret == -ETIME)
			left = 0;
		else if (ret)
			return ret;
	}
}

static long evs_ioctl_acquire(struct file *file, void *arg)
{
	struct evs_member *m = evs_file_member(file->private_data);
	struct evstream_acquire *a = arg;
	int ret;

	a->nr = 0;
	if (a->flags || a->reserved || a->timeout_ms < -1 || a->len > MAX_RW_COUNT ||
	    !a->nr_records || a->nr_records > EVSTREAM_APPEND_MAX ||
	    a->record_size < sizeof(struct evstream_acquired) || a->record_size > PAGE_SIZE)
		return -EINVAL;
	if (!m)
		return -ESTALE;
	if (!m->group->queue)
		return -EPROTOTYPE;
	ret = evs_acquire(file, m, a);
	evs_group_wake_next(m->group);
	return ret;
}

union evs_ioctl_arg {
	struct evstream_append append;
	struct evstream_append_batch append_batch;
	struct evstream_fetch fetch;
	struct evstream_seek seek;
	struct evstream_stat stat;
	struct evstream_set_framing framing;
	struct evstream_gap gap;
	struct evstream_trim trim;
	struct evstream_join join;
	struct evstream_commit commit;
	struct evstream_position position;
	struct evstream_assignment assignment;
	struct evstream_acquire acquire;
	struct evstream_ack ack;
};

/**
 * struct evs_ioctl_desc - an ioctl
 * @cmd: as it is defined now
 * @size: bytes of its first version's structure, the least there must be
 * @mode: what the file must be open for
 * @always: the structure is copied out where the call fails, too
 * @fn: does it
 */
struct evs_ioctl_desc {
	unsigned int cmd;
	unsigned int size;
	fmode_t mode;
	bool always;
	long (*fn)(struct file *file, void *arg);
};

#define EVS_IOCTL(nr, _cmd, _size, _mode, _always, _fn)			\
	[nr] = { .cmd = (_cmd), .size = (_size), .mode = (_mode),	\
		 .always = (_always), .fn = (_fn) }

static const struct evs_ioctl_desc evs_ioctls[] = {
	EVS_IOCTL(0x01, EVSTREAM_IOC_APPEND, 24, FMODE_WRITE, true, evs_ioctl_append),
	EVS_IOCTL(0x02, EVSTREAM_IOC_APPEND_BATCH, 32, FMODE_WRITE, false,
		  evs_ioctl_append_batch),
	EVS_IOCTL(0x03, EVSTREAM_IOC_FETCH, 72, FMODE_READ, true, evs_ioctl_fetch),
	EVS_IOCTL(0x04, EVSTREAM_IOC_SEEK, 32, FMODE_READ, false, evs_ioctl_seek),
	EVS_IOCTL(0x05, EVSTREAM_IOC_STAT, 88, 0, false, evs_ioctl_stat),
	EVS_IOCTL(0x06, EVSTREAM_IOC_SET_FRAMING, 8, 0, false, evs_ioctl_set_framing),
	EVS_IOCTL(0x07, EVSTREAM_IOC_GAP, 32, FMODE_READ, false, evs_ioctl_gap),
	EVS_IOCTL(0x08, EVSTREAM_IOC_TRIM, 24, FMODE_WRITE, false, evs_ioctl_trim),
	EVS_IOCTL(0x09, EVSTREAM_IOC_JOIN, 72, FMODE_READ, false, evs_ioctl_join),
	EVS_IOCTL(0x0a, EVSTREAM_IOC_LEAVE, 0, FMODE_READ, false, evs_ioctl_leave),
	EVS_IOCTL(0x0b, EVSTREAM_IOC_COMMIT, 24, FMODE_READ, true, evs_ioctl_commit),
	EVS_IOCTL(0x0c, EVSTREAM_IOC_POSITION, 56, FMODE_READ, false, evs_ioctl_position),
	EVS_IOCTL(0x0d, EVSTREAM_IOC_ASSIGNMENT, 40, FMODE_READ, false, evs_ioctl_assignment),
	EVS_IOCTL(0x0e, EVSTREAM_IOC_ACQUIRE, 48, FMODE_READ, true, evs_ioctl_acquire),
	EVS_IOCTL(0x0f, EVSTREAM_IOC_ACK, 24, FMODE_READ, true, evs_ioctl_ack),
};

/**
 * evs_ioctl() - the ioctls of uapi/linux/evstream.h
 * @file: an open node
 * @cmd: the command, with the size of the caller's structure
 * @arg: the caller's structure
 */
long evs_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct evs_file *f = file->private_data;
	void __user *user = (void __user *)arg;
	const struct evs_ioctl_desc *d;
	size_t size = _IOC_SIZE(cmd);
	union evs_ioctl_arg a = {};
	struct evs_member *m;
	long ret;

	if (_IOC_TYPE(cmd) != EVSTREAM_IOC_MAGIC || _IOC_NR(cmd) >= ARRAY_SIZE(evs_ioctls))
		return -ENOTTY;
	d = &evs_ioctls[array_index_nospec(_IOC_NR(cmd), ARRAY_SIZE(evs_ioctls))];
	if (!d->fn || _IOC_DIR(cmd) != _IOC_DIR(d->cmd))
		return -ENOTTY;
	if (size < d->size)
		return -EINVAL;
	if ((file->f_mode & d->mode) != d->mode)
		return -EBADF;
	if (READ_ONCE(f->topic->dead))
		return -ENODEV;
	ret = copy_struct_from_user(&a, _IOC_SIZE(d->cmd), user, size);
	if (ret)
		return ret;
	m = evs_file_member(f);
	if (m)
		evs_member_enter(m);
	ret = d->fn(file, &a);
	if (m)
		evs_member_exit(m);
	if ((_IOC_DIR(cmd) & _IOC_READ) && (!ret || d->always) &&
	    copy_to_user(user, &a, min_t(size_t, size, _IOC_SIZE(d->cmd))))
		return -EFAULT;
	return ret;
}
