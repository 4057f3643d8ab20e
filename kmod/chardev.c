// SPDX-License-Identifier: GPL-2.0
/*
 * Device nodes and file operations.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/xarray.h>

#include "chardev.h"
#include "queue.h"

/* Minors: a partition's each and any's. */
#define EVS_MINORS	BIT(20)

/*
 * What file->f_pos holds, or more where sendfile() has added to it. The position
 * is in the cursors, under a lock of ours: so a read that names a position can be
 * told from one that goes on, and two processes that share an open file never
 * get one record both.
 */
#define EVS_FILE_POS	((loff_t)BIT_ULL(62))

static dev_t evs_devt;
static struct cdev evs_cdev;
static struct class *evs_class;
static DEFINE_XARRAY_ALLOC(evs_minors);
static u32 evs_next_minor;

/**
 * struct evs_node - a device node
 * @dev: the device
 * @rcu: behind which it is freed
 * @topic: no reference: the topic takes its nodes away before it goes
 * @partition: number, %EVSTREAM_ALL: any
 * @mode: of the node; may be another than the topic's while that changes
 * @uid: owner of the node
 * @gid: group of the node
 */
struct evs_node {
	struct device dev;
	struct rcu_head rcu;
	struct evs_topic *topic;
	u32 partition;
	umode_t mode;
	kuid_t uid;
	kgid_t gid;
};

static char *evs_devnode(const struct device *dev, umode_t *mode, kuid_t *uid, kgid_t *gid)
{
	const struct evs_node *node = container_of(dev, struct evs_node, dev);
	const char *topic = node->topic->config.name;
	/* Without a name it would be made, and stay, elsewhere: nobody asks whether it was. */
	const gfp_t gfp = GFP_KERNEL | __GFP_NOFAIL;

	if (mode)
		/* With a type, or devtmpfs would take 0 for its own default. */
		*mode = node->mode | S_IFCHR;
	if (uid)
		*uid = node->uid;
	if (gid)
		*gid = node->gid;
	if (node->partition == EVSTREAM_ALL)
		return kasprintf(gfp, "stream/%s/any", topic);
	return kasprintf(gfp, "stream/%s/%u", topic, node->partition);
}

static const struct device_type evs_device_type = {
	.name		= "evstream",
	.devnode	= evs_devnode,
};

static void evs_node_release(struct device *dev)
{
	kfree_rcu(container_of(dev, struct evs_node, dev), rcu);
}

static struct evs_node *evs_node_new(struct evs_topic *t, u32 partition, u32 minor)
{
	struct evs_node *node = kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!node)
		return ERR_PTR(-ENOMEM);
	device_initialize(&node->dev);
	node->topic = t;
	node->partition = partition;
	node->mode = t->config.mode;
	node->uid = t->config.uid;
	node->gid = t->config.gid;
	node->dev.class = evs_class;
	node->dev.type = &evs_device_type;
	node->dev.devt = MKDEV(MAJOR(evs_devt), minor);
	node->dev.release = evs_node_release;
	device_set_pm_not_required(&node->dev);
	ret = partition == EVSTREAM_ALL ?
	      dev_set_name(&node->dev, "evstream%u-any", t->id) :
	      dev_set_name(&node->dev, "evstream%u-%u", t->id, partition);
	if (ret) {
		put_device(&node->dev);
		return ERR_PTR(ret);
	}
	return node;
}

static void evs_node_remove(struct evs_node *node)
{
	xa_erase(&evs_minors, MINOR(node->dev.devt));
	device_del(&node->dev);
	put_device(&node->dev);
}

static int evs_node_add(struct evs_topic *t, u32 i)
{
	u32 partition = i < t->partitions ? i : EVSTREAM_ALL, minor;
	struct evs_node *node;
	int ret;

	ret = xa_alloc_cyclic(&evs_minors, &minor, NULL, XA_LIMIT(0, EVS_MINORS - 1),
			      &evs_next_minor, GFP_KERNEL);
	if (ret < 0)
		return ret == -EBUSY ? -ENOSPC : ret;
	node = evs_node_new(t, partition, minor);
	if (IS_ERR(node)) {
		xa_erase(&evs_minors, minor);
		return PTR_ERR(node);
	}
	/* The entry is allocated already. */
	xa_store(&evs_minors, minor, node, GFP_KERNEL);
	ret = device_add(&node->dev);
	if (ret) {
		xa_erase(&evs_minors, minor);
		put_device(&node->dev);
		return ret;
	}
	t->nodes[i] = node;
	if (partition != EVSTREAM_ALL)
		t->partition[partition]->devt = node->dev.devt;
	return 0;
}

static void evs_nodes_remove(struct evs_topic *t)
{
	u32 i;

	if (!t->nodes)
		return;
	/* Any's goes first: who lists the directory finds it whole or not at all. */
	for (i = t->partitions + 1; i--;) {
		if (t->nodes[i])
			evs_node_remove(t->nodes[i]);
		cond_resched();
	}
	kvfree(t->nodes);
	t->nodes = NULL;
}

static int evs_nodes_add(struct evs_topic *t)
{
	u32 i;
	int ret;

	t->nodes = kvcalloc(t->partitions + 1, sizeof(*t->nodes), GFP_KERNEL_ACCOUNT);
	if (!t->nodes)
		return -ENOMEM;
	for (i = 0; i <= t->partitions; i++) {
		ret = evs_node_add(t, i);
		if (ret) {
			evs_nodes_remove(t);
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/* devtmpfs takes owner and mode when a node is made: so it is made again. */
static int evs_node_change(struct evs_topic *t, u32 i)
{
	struct evs_node *old = t->nodes[i], *node;
	unsigned int minor = MINOR(old->dev.devt);
	int ret;

	node = evs_node_new(t, old->partition, minor);
	if (IS_ERR(node))
		return PTR_ERR(node);
	device_del(&old->dev);
	ret = device_add(&node->dev);
	if (!ret) {
		xa_store(&evs_minors, minor, node, GFP_KERNEL);
		t->nodes[i] = node;
		put_device(&old->dev);
		return 0;
	}
	put_device(&node->dev);
	if (device_add(&old->dev)) {
		/* What is not there cannot be taken away: the next change makes it. */
		pr_warn("evstream: %s is lost for now\n", dev_name(&old->dev));
		xa_erase(&evs_minors, minor);
		t->nodes[i] = NULL;
		put_device(&old->dev);
	}
	return ret;
}

static int evs_nodes_change(struct evs_topic *t)
{
	u32 i;
	int ret;

	/* A topic that is just made gets its nodes as it is then. */
	if (!t->nodes)
		return 0;
	for (i = 0; i <= t->partitions; i++) {
		ret = t->nodes[i] ? evs_node_change(t, i) : evs_node_add(t, i);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static dev_t evs_nodes_devt(const struct evs_topic *t, u32 partition)
{
	/* Not under the registry's lock here: the nodes may be going. */
	return t->partition[partition]->devt;
}

const struct evs_node_ops evs_chardev_nodes = {
	.add	= evs_nodes_add,
	.remove	= evs_nodes_remove,
	.change	= evs_nodes_change,
	.devt	= evs_nodes_devt,
};

/* Open files */

static struct evs_topic *evs_open_topic(unsigned int minor, u32 *partition)
{
	struct evs_topic *t = NULL;
	struct evs_node *node;

	rcu_read_lock();
	node = xa_load(&evs_minors, minor);
	if (node && evs_topic_tryget(node->topic)) {
		t = node->topic;
		*partition = node->partition;
	}
	rcu_read_unlock();
	return t;
}

/* What a file takes, or can keep: of a partition, the folio that it reads. */
static u64 evs_file_memory(const struct evs_file *f, fmode_t mode)
{
	u64 bytes = sizeof(*f);

	if (!(mode & FMODE_READ))
		return bytes;
	return bytes + (f->part ? EVS_FOLIO_MAX :
			(u64)f->topic->partitions * sizeof(*f->cursor));
}

static int evs_open_cursors(struct evs_file *f)
{
	u32 i, n = f->topic->partitions;

	if (f->part) {
		f->cursor = &f->one;
		evs_cursor_seek(f->cursor, READ_ONCE(f->part->start_offset));
		return 0;
	}
	f->cursor = kvcalloc(n, sizeof(*f->cursor), GFP_KERNEL_ACCOUNT);
	if (!f->cursor)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		evs_cursor_seek(&f->cursor[i], READ_ONCE(f->topic->partition[i]->start_offset));
	return 0;
}

static int evs_open(struct inode *inode, struct file *file)
{
	struct evs_topic *t;
	struct evs_file *f;
	u32 partition;
	int ret;

	t = evs_open_topic(iminor(inode), &partition);
	if (!t)
		return -ENXIO;
	ret = -ENODEV;
	if (READ_ONCE(t->dead))
		goto put_topic;
	ret = -ENOMEM;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		goto put_topic;
	f->topic = t;
	f->framing = EVS_FRAMING_TOPIC;
	mutex_init(&f->read_lock);
	mutex_init(&f->line_lock);
	init_waitqueue_head(&f->changes);
	if (partition != EVSTREAM_ALL)
		f->part = t->partition[partition];
	else
		partition = (u32)atomic_inc_return(&t->turn) % t->partitions;
	f->own = partition;
	f->to = t->partition[partition];
	f->user = evs_user_current();
	ret = PTR_ERR_OR_ZERO(f->user);
	if (ret)
		goto free_file;
	ret = evs_user_charge(f->user, EVS_CHARGE_MEMORY, evs_file_memory(f, file->f_mode));
	if (ret)
		goto put_user;
	if (file->f_mode & FMODE_READ) {
		ret = evs_open_cursors(f);
		if (ret)
			goto uncharge;
	}
	if (f->part) {
		if (file->f_mode & FMODE_READ)
			atomic_inc(&f->part->readers);
		if (file->f_mode & FMODE_WRITE)
			atomic_inc(&f->part->writers);
		file->f_mapping = f->part->log.inode->i_mapping;
	}
	file->private_data = f;
	file->f_pos = EVS_FILE_POS;
	file->f_mode |= FMODE_NOWAIT;
	return 0;

uncharge:
	evs_user_uncharge(f->user, EVS_CHARGE_MEMORY, evs_file_memory(f, file->f_mode));
put_user:
	evs_user_put(f->user);
free_file:
	kfree(f);
put_topic:
	evs_topic_put(t);
	return ret;
}

static int evs_release(struct inode *inode, struct file *file)
{
	struct evs_file *f = file->private_data;
	u32 i;

	/* Before what can take time: then the others have its partitions. */
	if (f->member)
		evs_member_free(f->member);
	evs_flush_line(f);
	if (f->part) {
		evs_cursor_put(&f->one);
		if (file->f_mode & FMODE_READ)
			atomic_dec(&f->part->readers);
		if (file->f_mode & FMODE_WRITE)
			atomic_dec(&f->part->writers);
	} else if (f->cursor) {
		for (i = 0; i < f->topic->partitions; i++)
			evs_cursor_put(&f->cursor[i]);
		kvfree(f->cursor);
	}
	evs_user_uncharge(f->user, EVS_CHARGE_MEMORY, evs_file_memory(f, file->f_mode));
	evs_user_put(f->user);
	evs_topic_put(f->topic);
	kfree(f);
	return 0;
}

/* Writing */

static ssize_t evs_write_record(struct evs_file *f, struct iov_iter *from, unsigned int flags)
{
	size_t len = iov_iter_count(from);
	int ret;

	if (len > READ_ONCE(f->topic->config.max_record))
		return -EMSGSIZE;
	ret = evs_append_iter(f->to, from, flags);
	return ret ?: len;
}

/* What was written is on stable storage, too, where there is any. */
static noinline ssize_t evs_write_synced(struct evs_file *f, ssize_t ret)
{
	int err;

	if (ret < 0 || !f->to->durable)
		return ret;
	err = evs_partition_sync(f->to, evs_end_pos(f->to));
	return err ?: ret;
}

static ssize_t evs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct evs_file *f = iocb->ki_filp->private_data;
	unsigned int flags = evs_file_flags(iocb->ki_filp);
	bool sync = iocb->ki_flags & IOCB_DSYNC;
	ssize_t ret;

	if (iocb->ki_flags & IOCB_NOWAIT) {
		if (sync && f->to->durable)
			return -EAGAIN;
		flags |= EVS_NONBLOCK | EVS_NOWAIT;
	}
	if (evs_file_framing(f) == EVSTREAM_FRAMING_LINE)
		ret = evs_write_lines(f, from, flags);
	else
		ret = evs_write_record(f, from, flags);
	return sync ? evs_write_synced(f, ret) : ret;
}

static noinline ssize_t evs_write_user_lines(struct evs_file *f, const char __user *buf,
					     size_t len, unsigned int flags)
{
	struct iov_iter from;

	iov_iter_ubuf(&from, ITER_SOURCE, (void __user *)buf, len);
	return evs_write_lines(f, &from, flags);
}

static noinline ssize_t evs_write_sync(struct evs_file *f, const char __user *buf, size_t len,
				       unsigned int flags)
{
	ssize_t ret;

	if (evs_file_framing(f) == EVSTREAM_FRAMING_LINE)
		ret = evs_write_user_lines(f, buf, len, flags);
	else if (len > READ_ONCE(f->topic->config.max_record))
		ret = -EMSGSIZE;
	else
		ret = evs_append_user(f->to, buf, len, flags);
	return evs_write_synced(f, ret);
}

/* The short way of write(2), as /dev/null has one: no iterator. */
static ssize_t evs_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	struct evs_file *f = file->private_data;
	unsigned int flags = evs_file_flags(file);

	if (unlikely(file->f_flags & O_DSYNC))
		return evs_write_sync(f, buf, len, flags);
	if (unlikely(evs_file_framing(f) == EVSTREAM_FRAMING_LINE))
		return evs_write_user_lines(f, buf, len, flags);
	if (len > READ_ONCE(f->topic->config.max_record))
		return -EMSGSIZE;
	return evs_append_user(f->to, buf, len, flags);
}

/* Reading */

/* One record's value. */
static ssize_t evs_read_record(struct evs_partition *p, struct evs_cursor *c, struct iov_iter *to)
{
	struct evs_found found;
	u32 len;
	int ret;

	ret = evs_cursor_find(p, c, &found);
	if (ret <= 0)
		return ret ?: -EAGAIN;
	len = max(found.value_len, 0);
	if (len > iov_iter_count(to))
		return -EMSGSIZE;
	ret = evs_cursor_copy(p, c, found.value_pos, len, to);
	if (ret)
		return ret;
	evs_cursor_advance(c, &found);
	return len;
}

/* As many whole lines as fit. */
static ssize_t evs_read_lines(struct evs_partition *p, struct evs_cursor *c, struct iov_iter *to)
{
	struct evs_found found;
	ssize_t done = 0;
	int ret;

	for (;;) {
		struct evs_gap gap = c->gap;
		struct iov_iter before = *to;
		u32 len;

		ret = evs_cursor_find(p, c, &found);
		if (ret == -EPIPE && done)
			evs_cursor_untell(c, &gap);
		if (ret <= 0)
			return done ?: (ret ?: -EAGAIN);
		len = max(found.value_len, 0);
		if (len + 1 > iov_iter_count(to))
			return done ?: -EMSGSIZE;
		ret = evs_cursor_copy(p, c, found.value_pos, len, to);
		if (!ret && copy_to_iter("\n", 1, to) != 1)
			ret = -EFAULT;
		if (ret) {
			*to = before;
			return done ?: ret;
		}
		evs_cursor_advance(c, &found);
		done += len + 1;
		if (need_resched()) {
			if (signal_pending(current))
				return done;
			cond_resched();
		}
	}
}

static ssize_t evs_read_one(struct evs_partition *p, struct evs_cursor *c, struct iov_iter *to,
			    bool lines)
{
	struct iov_iter before = *to;
	ssize_t ret;

	for (;;) {
		u64 lost = c->gap.lost;

		ret = lines ? evs_read_lines(p, c, to) : evs_read_record(p, c, to);
		/*
		 * Dropped while it was copied: not counted yet, the next look is
		 * what finds the gap.
		 */
		if (ret != -EPIPE || c->gap.lost != lost)
			return ret;
		*to = before;
		evs_cursor_seek(c, c->offset);
	}
}

static ssize_t evs_read_part(struct evs_file *f, struct iov_iter *to, bool lines)
{
	ssize_t ret = evs_read_one(f->part, &f->one, to, lines);

	/* Who waits holds no memory that the ring has dropped. */
	if (ret == -EAGAIN)
		evs_cursor_put(&f->one);
	return ret;
}

/* The next partition that has something, in turn. */
static ssize_t evs_read_any(struct evs_file *f, struct iov_iter *to, bool lines)
{
	u32 n = f->topic->partitions, i;
	ssize_t ret = -EAGAIN;

	for (i = 0; i < n && ret == -EAGAIN; i++) {
		u32 at = f->turn;

		ret = evs_read_one(f->topic->partition[at], &f->cursor[at], to, lines);
		/* One folio for each of thousands of partitions would be a lot. */
		evs_cursor_put(&f->cursor[at]);
		if (ret != -EMSGSIZE && ret != -EFAULT)
			f->turn = at + 1 < n ? at + 1 : 0;
	}
	return ret;
}

/*
 * What a member owns, in turn. What was copied counts only if its partition is
 * still there then; who reads on is served it again, or another has it.
 */
static ssize_t evs_read_owned(struct evs_file *f, struct evs_member *m, struct iov_iter *to,
			      bool lines)
{
	u32 n = f->topic->partitions, owned = READ_ONCE(m->nr_owned), at = f->turn, i, epoch;
	struct iov_iter before = *to;
	ssize_t ret = -EAGAIN;
	u64 position;

	for (i = 0; i < owned && ret == -EAGAIN; i++) {
		struct evs_cursor *c;

		at = find_next_bit_wrap(m->owned, n, at);
		if (at >= n)
			break;
		c = &f->cursor[at];
		if (evs_slot_begin(m, at, &position, &epoch)) {
			if (c->offset != position)
				evs_cursor_seek(c, position);
			ret = evs_read_one(f->topic->partition[at], c, to, lines);
			evs_cursor_put(c);
			if (c->offset != position &&
			    !evs_slot_end(m, at, epoch, c->offset, ret >= 0)) {
				*to = before;
				ret = -EAGAIN;
			}
		}
		if (ret != -EMSGSIZE && ret != -EFAULT)
			at = at + 1 < n ? at + 1 : 0;
		f->turn = at;
	}
	return ret;
}

static ssize_t evs_read_member(struct evs_file *f, struct evs_member *m, struct iov_iter *to,
			       bool lines)
{
	if (!m->joined)
		return -ESTALE;
	if (m->group->queue)
		return evs_queue_read(m, to, lines);
	return evs_read_owned(f, m, to, lines);
}

static bool evs_readable(struct evs_file *f)
{
	struct evs_member *m = evs_file_member(f);
	u32 i;

	if (READ_ONCE(f->topic->dead))
		return true;
	if (m)
		return !READ_ONCE(m->joined) || evs_member_ready(m);
	if (f->part)
		return evs_cursor_ready(f->part, &f->one);
	for (i = 0; i < f->topic->partitions; i++)
		if (evs_cursor_ready(f->topic->partition[i], &f->cursor[i]))
			return true;
	return false;
}

static int evs_read_wait(struct evs_file *f)
{
	struct evs_member *m = evs_file_member(f);

	if (m && m->group->queue)
		return wait_event_interruptible_exclusive(m->group->wait, evs_readable(f));
	if (m)
		return wait_event_interruptible(*m->wait, evs_readable(f));
	if (f->part)
		return wait_event_interruptible(f->part->wait, evs_readable(f));
	return wait_event_interruptible(f->topic->any_wait,
					evs_readable(f) || evs_file_member(f));
}

/* -EALREADY: the file is a member now. */
static ssize_t __evs_read_next(struct evs_file *f, struct evs_member *m, struct iov_iter *to,
			       unsigned int flags)
{
	bool lines = evs_file_framing(f) == EVSTREAM_FRAMING_LINE;
	ssize_t ret;

	for (;;) {
		if (flags & EVS_NOWAIT) {
			if (!mutex_trylock(&f->read_lock))
				return -EAGAIN;
		} else if (mutex_lock_interruptible(&f->read_lock)) {
			return -ERESTARTSYS;
		}
		if (unlikely(READ_ONCE(f->topic->dead)))
			ret = -ENODEV;
		else if (f->part)
			ret = evs_read_part(f, to, lines);
		else if (f->member)
			ret = evs_read_member(f, f->member, to, lines);
		else
			ret = evs_read_any(f, to, lines);
		mutex_unlock(&f->read_lock);
		if (ret != -EAGAIN || (flags & (EVS_NONBLOCK | EVS_NOWAIT)))
			return ret;
		ret = evs_read_wait(f);
		if (ret)
			return ret;
		if (m != evs_file_member(f))
			return -EALREADY;
	}
}

static ssize_t evs_read_next(struct evs_file *f, struct iov_iter *to, unsigned int flags)
{
	ssize_t ret;

	do {
		struct evs_member *m = evs_file_member(f);

		if (m)
			evs_member_enter(m);
		ret = __evs_read_next(f, m, to, flags);
		if (m) {
			evs_member_exit(m);
			if (m->group->queue)
				evs_group_wake_next(m->group);
		}
	} while (ret == -EALREADY);
	return ret;
}

/* A read that names its record. */
static ssize_t evs_read_at(struct evs_file *f, struct iov_iter *to, loff_t *offset,
			   unsigned int flags)
{
	bool lines = evs_file_framing(f) == EVSTREAM_FRAMING_LINE;
	struct evs_cursor c = {};
	ssize_t ret;

	if (!f->part)
		return -ESPIPE;
	evs_cursor_seek(&c, *offset);
	for (;;) {
		ret = evs_read_one(f->part, &c, to, lines);
		if (ret != -EAGAIN || (flags & (EVS_NONBLOCK | EVS_NOWAIT)))
			break;
		ret = wait_event_interruptible(f->part->wait, READ_ONCE(f->part->dead) ||
					       evs_cursor_ready(f->part, &c));
		if (ret)
			break;
	}
	evs_cursor_put(&c);
	/* For sendfile(), which comes again with it. */
	if (ret >= 0)
		*offset = c.offset;
	return ret;
}

static ssize_t evs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct evs_file *f = iocb->ki_filp->private_data;
	unsigned int flags = evs_file_flags(iocb->ki_filp);

	if (iocb->ki_flags & IOCB_NOWAIT)
		flags |= EVS_NONBLOCK | EVS_NOWAIT;
	if (iocb->ki_pos < EVS_FILE_POS)
		return evs_read_at(f, to, &iocb->ki_pos, flags);
	return evs_read_next(f, to, flags);
}

static noinline ssize_t evs_read_user(struct evs_file *f, char __user *buf, size_t len,
				      loff_t pos, unsigned int flags)
{
	struct iov_iter to;

	iov_iter_ubuf(&to, ITER_DEST, buf, len);
	if (pos < EVS_FILE_POS)
		return evs_read_at(f, &to, &pos, flags);
	return evs_read_next(f, &to, flags);
}

/* The short way of read(2): no iterator for a plain record. */
static ssize_t evs_read(struct file *file, char __user *buf, size_t len, loff_t *ppos)
{
	struct evs_file *f = file->private_data;
	ssize_t ret;

	while (likely(f->part && *ppos >= EVS_FILE_POS &&
		      evs_file_framing(f) == EVSTREAM_FRAMING_RECORD)) {
		if (mutex_lock_interruptible(&f->read_lock))
			return -ERESTARTSYS;
		ret = evs_cursor_read_single(f->part, &f->one, buf, len);
		mutex_unlock(&f->read_lock);
		if (likely(ret != -EAGAIN))
			return ret;
		/* Not a plain record, or whoever reads does not wait for one. */
		if ((file->f_flags & O_NONBLOCK) || evs_readable(f))
			break;
		ret = evs_read_wait(f);
		if (ret)
			return ret;
	}
	return evs_read_user(f, buf, len, *ppos, evs_file_flags(file));
}

static loff_t evs_seek_offset(struct evs_partition *p, struct evs_cursor *c, loff_t offset,
			      int whence)
{
	u64 start = READ_ONCE(p->start_offset), end = evs_end_offset(p);
	loff_t base;

	switch (whence) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = c->offset;
		break;
	case SEEK_END:
		base = end;
		break;
	case SEEK_DATA:
		if (offset < 0)
			return -ENXIO;
		return max_t(u64, offset, start);
	default:
		return -EINVAL;
	}
	if (check_add_overflow(base, offset, &base))
		return -EOVERFLOW;
	if (base < 0 || base >= EVS_FILE_POS)
		return -EINVAL;
	return base;
}

/* Of a member, those that it owns. */
static loff_t evs_llseek_owned(struct evs_file *f, struct evs_member *m, int whence)
{
	u64 sum = 0, position;
	u32 i, epoch;

	if (!m->joined)
		return -ESTALE;
	if (m->group->queue)
		return -EPROTOTYPE;
	for_each_set_bit(i, m->owned, f->topic->partitions) {
		struct evs_partition *p = f->topic->partition[i];

		if (!evs_slot_begin(m, i, &position, &epoch))
			continue;
		if (whence != SEEK_CUR) {
			position = whence == SEEK_END ? evs_end_offset(p) :
				   READ_ONCE(p->start_offset);
			evs_slot_seek(m, i, position);
		}
		sum += position;
	}
	return sum & (EVS_FILE_POS - 1);
}

/* All partitions at once: only to what means the same in each. */
static loff_t evs_llseek_any(struct evs_file *f, loff_t offset, int whence)
{
	u64 sum = 0;
	u32 i;

	if (offset || (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END &&
		       whence != SEEK_DATA))
		return -EINVAL;
	if (f->member)
		return evs_llseek_owned(f, f->member, whence);
	for (i = 0; i < f->topic->partitions; i++) {
		struct evs_partition *p = f->topic->partition[i];
		struct evs_cursor *c = &f->cursor[i];

		if (whence == SEEK_END)
			evs_cursor_seek(c, evs_end_offset(p));
		else if (whence != SEEK_CUR)
			evs_cursor_seek(c, READ_ONCE(p->start_offset));
		sum += c->offset;
	}
	return sum & (EVS_FILE_POS - 1);
}

static loff_t evs_llseek(struct file *file, loff_t offset, int whence)
{
	struct evs_file *f = file->private_data;
	loff_t ret;

	if (!(file->f_mode & FMODE_READ))
		return -ESPIPE;
	if (mutex_lock_interruptible(&f->read_lock))
		return -ERESTARTSYS;
	if (READ_ONCE(f->topic->dead)) {
		ret = -ENODEV;
	} else if (f->part) {
		ret = evs_seek_offset(f->part, &f->one, offset, whence);
		if (ret >= 0 && !(whence == SEEK_CUR && !offset))
			evs_cursor_seek(&f->one, ret);
	} else {
		ret = evs_llseek_any(f, offset, whence);
	}
	mutex_unlock(&f->read_lock);
	return ret;
}

static __poll_t evs_poll(struct file *file, poll_table *wait)
{
	struct evs_file *f = file->private_data;
	struct evs_member *m = evs_file_member(f);
	__poll_t mask = 0;

	if (f->part) {
		poll_wait(file, &f->part->wait, wait);
	} else if (m && !(file->f_mode & FMODE_WRITE)) {
		poll_wait(file, evs_member_wait(m), wait);
	} else {
		/*
		 * Just one queue, as aio wants it. It is woken for what concerns
		 * a member, too: an epoll that knows the file from before it joined
		 * has asked for it only.
		 */
		poll_wait(file, &f->topic->any_wait, wait);
	}
	if (READ_ONCE(f->topic->dead))
		return EPOLLHUP | EPOLLERR | EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;
	/* Who is idle has to read to be served again. */
	if ((file->f_mode & FMODE_READ) && (evs_readable(f) || (m && READ_ONCE(m->idle))))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (m && evs_member_changed(m))
		mask |= EPOLLPRI;
	if ((file->f_mode & FMODE_WRITE) &&
	    evs_partition_writable(f->to))
		mask |= EPOLLOUT | EPOLLWRNORM;
	return mask;
}

/*
 * All that was appended before, whoever did. As for any file whose storage is
 * memory, there is nothing to do for a volatile topic.
 */
static int evs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct evs_file *f = file->private_data;
	int ret = 0, err;
	u32 i;

	if (!f->topic->place)
		return 0;
	if (f->part)
		return evs_partition_sync(f->part, evs_end_pos(f->part));
	for (i = 0; i < f->topic->partitions; i++)
		evs_partition_sync_start(f->topic->partition[i]);
	for (i = 0; i < f->topic->partitions; i++) {
		struct evs_partition *p = f->topic->partition[i];

		err = evs_partition_sync(p, evs_end_pos(p));
		if (err == -EINTR)
			return err;
		ret = ret ?: err;
	}
	return ret;
}

static int evs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct evs_file *f = file->private_data;

	if (!f->part)
		return -ENODEV;
	return evs_partition_mmap(f->part, vma);
}

static void evs_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct evs_file *f = file->private_data;

	seq_printf(m, "evstream-topic:\t%s\n", f->topic->config.name);
	if (!f->part) {
		const struct evs_member *member = evs_file_member(f);

		seq_puts(m, "evstream-partition:\tany\n");
		if (member) {
			seq_puts(m, "evstream-group:\t");
			seq_escape(m, member->group->name, "\n\\");
			seq_printf(m, "\nevstream-member:\t%u\n", member->id);
		}
		return;
	}
	seq_printf(m, "evstream-partition:\t%u\n", f->part->number);
	if (file->f_mode & FMODE_READ)
		seq_printf(m, "evstream-offset:\t%llu\n", READ_ONCE(f->one.offset));
}

static const struct file_operations evs_fops = {
	.owner		= THIS_MODULE,
	.open		= evs_open,
	.release	= evs_release,
	.read		= evs_read,
	.read_iter	= evs_read_iter,
	.write		= evs_write,
	.write_iter	= evs_write_iter,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
	.llseek		= evs_llseek,
	.poll		= evs_poll,
	.fsync		= evs_fsync,
	.mmap		= evs_mmap,
	.unlocked_ioctl	= evs_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.show_fdinfo	= evs_show_fdinfo,
};

/**
 * evs_file_get() - what a descriptor of the caller's stands for
 * @fd: the descriptor
 * @file: a reference, out
 *
 * Return: an open node, or an ERR_PTR: -EBADF; -EINVAL: it is something else.
 */
struct evs_file *evs_file_get(int fd, struct file **file)
{
	*file = fget(fd);
	if (!*file)
		return ERR_PTR(-EBADF);
	if ((*file)->f_op != &evs_fops) {
		fput(*file);
		return ERR_PTR(-EINVAL);
	}
	return (*file)->private_data;
}

/**
 * evs_chardev_init() - device numbers and class
 *
 * Return: 0 or a negative errno.
 */
int evs_chardev_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&evs_devt, 0, EVS_MINORS, "evstream");
	if (ret)
		return ret;
	evs_class = class_create("evstream");
	if (IS_ERR(evs_class)) {
		ret = PTR_ERR(evs_class);
		goto unregister;
	}
	cdev_init(&evs_cdev, &evs_fops);
	evs_cdev.owner = THIS_MODULE;
	ret = cdev_add(&evs_cdev, evs_devt, EVS_MINORS);
	if (ret)
		goto destroy_class;
	return 0;

destroy_class:
	class_destroy(evs_class);
unregister:
	unregister_chrdev_region(evs_devt, EVS_MINORS);
	return ret;
}

/**
 * evs_chardev_exit() - the mirror of evs_chardev_init(); no topic is left
 */
void evs_chardev_exit(void)
{
	cdev_del(&evs_cdev);
	class_destroy(evs_class);
	unregister_chrdev_region(evs_devt, EVS_MINORS);
	xa_destroy(&evs_minors);
}
