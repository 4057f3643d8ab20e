// SPDX-License-Identifier: GPL-2.0
/*
 * Files below a durable partition.
 */
#include <linux/bvec.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/delay.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <linux/log2.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stat.h>
#include <linux/uio.h>

#include "compat.h"
#include "store.h"

/* Records are as private as the device nodes: the owner's, and the group's to read. */
#define EVS_FILE_MODE	0640
#define EVS_DIR_MODE	0750

/* Attempts to remove something while memory is short, and the time between two. */
#define EVS_REMOVE_TRIES	10
#define EVS_REMOVE_MS		20

/* Where files are written. */
struct workqueue_struct *evs_store_wq;

/*
 * Where errands are done. Not there: a partition's writer may wait for a lock
 * whose holder waits for an errand.
 */
static struct workqueue_struct *evs_errand_wq;

static DEFINE_SPINLOCK(evs_stores_lock);
static LIST_HEAD(evs_stores);

struct evs_errand {
	struct work_struct work;
	struct completion done;
	void (*fn)(void *data);
	void *data;
};

/**
 * evs_store_register() - set up what all stores share
 *
 * Return: 0 or -ENOMEM.
 */
int evs_store_register(void)
{
	evs_store_wq = alloc_workqueue("evstream", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!evs_store_wq)
		return -ENOMEM;
	evs_errand_wq = alloc_workqueue("evstream_errand", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!evs_errand_wq) {
		destroy_workqueue(evs_store_wq);
		return -ENOMEM;
	}
	return 0;
}

/**
 * evs_store_unregister() - take it down; all stores are closed
 */
void evs_store_unregister(void)
{
	destroy_workqueue(evs_errand_wq);
	destroy_workqueue(evs_store_wq);
}

/**
 * evs_store_settle() - what was closed is closed when this returns
 *
 * A worker's fput() is done a little later, and a file system could not be
 * unmounted until then.
 */
void evs_store_settle(void)
{
	flush_delayed_fput();
}

static void evs_errand_work(struct work_struct *work)
{
	struct evs_errand *e = container_of(work, struct evs_errand, work);

	e->fn(e->data);
	complete(&e->done);
}

/**
 * evs_store_run() - have something done by a worker, and wait for it
 * @fn: what
 * @data: with what
 */
void evs_store_run(void (*fn)(void *data), void *data)
{
	struct evs_errand e = { .fn = fn, .data = data };

	INIT_WORK_ONSTACK(&e.work, evs_errand_work);
	init_completion(&e.done);
	queue_work(evs_errand_wq, &e.work);
	wait_for_completion(&e.done);
	destroy_work_on_stack(&e.work);
}

/*
 * What a name is, is known before it is opened: to open a device does something to
 * it. A name of ours is one component, and a link is nothing that we made.
 */
static struct file *evs_path_open(const struct path *dir, const char *name, int flags)
{
	struct file *at = file_open_root(dir, name, O_PATH | O_NOFOLLOW, 0), *file;

	flags |= O_LARGEFILE | O_NONBLOCK;
	if (at == ERR_PTR(-ENOENT) && (flags & O_CREAT))
		return file_open_root(dir, name, flags | O_EXCL | O_NOFOLLOW, EVS_FILE_MODE);
	if (IS_ERR(at))
		return at;
	/* Not by its name, which may be another's by now. */
	file = S_ISREG(file_inode(at)->i_mode) ?
	       file_open_root(&at->f_path, "", flags & ~O_CREAT, 0) : ERR_PTR(-EUCLEAN);
	fput(at);
	return file;
}

/**
 * evs_path_sync() - put a directory's entries on stable storage
 * @dir: the directory
 *
 * Return: 0 or a negative errno.
 */
int evs_path_sync(const struct path *dir)
{
	struct file *file = dentry_open(dir, O_RDONLY | O_DIRECTORY, current_cred());
	int ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = vfs_fsync(file, 0);
	fput(file);
	/* Some have nothing to do there. */
	return ret == -EINVAL ? 0 : ret;
}

/**
 * evs_file_read() - read all of a stretch of a file
 * @file: the file
 * @pos: from where
 * @buf: kernel memory
 * @size: bytes
 *
 * Return: 0; -ENODATA: the file ends before; or another negative errno.
 */
int evs_file_read(struct file *file, u64 pos, void *buf, size_t size)
{
	loff_t at = pos;

	while (size) {
		ssize_t n = kernel_read(file, buf, size, &at);

		if (n < 0)
			return n;
		if (!n)
			return -ENODATA;
		buf += n;
		size -= n;
	}
	return 0;
}

static int evs_file_write_buf(struct file *file, u64 pos, const void *buf, size_t size)
{
	loff_t at = pos;

	while (size) {
		ssize_t n = kernel_write(file, buf, size, &at);

		if (n < 0)
			return n;
		if (!n)
			return -EIO;
		buf += n;
		size -= n;
	}
	return 0;
}

/**
 * evs_path_load() - read a small file
 * @dir: its directory
 * @name: its name
 * @buf: kernel memory
 * @size: bytes at @buf
 *
 * Return: its bytes, at most @size, or a negative errno.
 */
int evs_path_load(const struct path *dir, const char *name, void *buf, size_t size)
{
	struct file *file = evs_path_open(dir, name, O_RDONLY);
	loff_t pos = 0;
	ssize_t n, done = 0;

	if (IS_ERR(file))
		return PTR_ERR(file);
	while (done < size) {
		n = kernel_read(file, buf + done, size - done, &pos);
		if (n <= 0)
			break;
		done += n;
	}
	fput(file);
	return n < 0 ? n : done;
}

/**
 * evs_path_slot() - write the older one of a file's two slots
 * @dir: its directory
 * @name: its name; made where it is not there
 * @slot: EVS_SLOT bytes
 * @sequence: of the slot
 *
 * Return: 0: it is on stable storage, or a negative errno: the other slot counts
 * still.
 */
int evs_path_slot(const struct path *dir, const char *name, const char *slot, u64 sequence)
{
	struct file *file = evs_path_open(dir, name, O_RDWR | O_CREAT);
	int ret = 0;

	if (IS_ERR(file))
		return PTR_ERR(file);
	/* When the file system is full the next one must not need room. */
	if (!i_size_read(file_inode(file)))
		ret = evs_file_write_buf(file, (~sequence & 1) * EVS_SLOT,
					 page_address(ZERO_PAGE(0)), EVS_SLOT);
	if (!ret)
		ret = evs_file_write_buf(file, (sequence & 1) * EVS_SLOT, slot, EVS_SLOT);
	if (!ret)
		ret = vfs_fsync(file, 0);
	fput(file);
	return ret;
}

/**
 * evs_path_remove() - remove a file or an empty directory
 * @dir: where it is
 * @name: its name there
 *
 * Nobody removes it later: where memory is short, it is tried again for a while.
 *
 * Return: 0 or a negative errno.
 */
int evs_path_remove(const struct path *dir, const char *name)
{
	unsigned int tries = EVS_REMOVE_TRIES;
	struct file *file;
	int ret;

	for (;;) {
		file = file_open_root(dir, name, O_PATH | O_NOFOLLOW, 0);
		ret = PTR_ERR_OR_ZERO(file);
		if (!ret) {
			ret = d_is_dir(file->f_path.dentry) ? evs_rmdir(&file->f_path) :
							      evs_unlink(&file->f_path);
			fput(file);
		}
		if (ret != -ENOMEM || !--tries)
			return ret;
		msleep(EVS_REMOVE_MS);
	}
}

/**
 * evs_store_open() - open a directory
 * @s: to initialize
 * @parent: where it is
 * @name: its name there
 * @cred: who opens it, and all below
 *
 * Return: 0; -EBUSY: it is open already, under whatever name; or another negative
 * errno.
 */
int evs_store_open(struct evs_store *s, const struct path *parent, const char *name,
		   const struct cred *cred)
{
	struct file *file = file_open_root(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct evs_store *other;

	if (IS_ERR(file))
		return PTR_ERR(file);
	spin_lock(&evs_stores_lock);
	list_for_each_entry(other, &evs_stores, open) {
		if (d_inode(other->dir.dentry) == file_inode(file)) {
			spin_unlock(&evs_stores_lock);
			fput(file);
			return -EBUSY;
		}
	}
	*s = (struct evs_store){ .dir = file->f_path, .cred = get_cred(cred) };
	path_get(&s->dir);
	list_add(&s->open, &evs_stores);
	spin_unlock(&evs_stores_lock);
	fput(file);
	return 0;
}

/**
 * evs_store_create() - make a directory
 * @s: to initialize
 * @parent: where
 * @name: its name there
 * @cred: who makes it, and all below
 *
 * Return: 0; -EEXIST; or another negative errno.
 */
int evs_store_create(struct evs_store *s, const struct path *parent, const char *name,
		     const struct cred *cred)
{
	int ret = evs_mkdir(parent, name, EVS_DIR_MODE);

	if (ret)
		return ret;
	ret = evs_store_open(s, parent, name, cred);
	if (ret)
		evs_path_remove(parent, name);
	return ret;
}

/**
 * evs_store_close() - let go of a directory
 * @s: may be closed already
 */
void evs_store_close(struct evs_store *s)
{
	if (!s->cred)
		return;
	spin_lock(&evs_stores_lock);
	list_del(&s->open);
	spin_unlock(&evs_stores_lock);
	path_put(&s->dir);
	put_cred(s->cred);
	s->cred = NULL;
}

/**
 * evs_store_sync() - put the directory's entries on stable storage
 * @s: the store
 *
 * Return: 0 or a negative errno.
 */
int evs_store_sync(struct evs_store *s)
{
	return evs_path_sync(&s->dir);
}

/* All files of a directory at one to a KiB of memory are more than one has. */
#define EVS_LIST_MAX	BIT(24)

struct evs_listing {
	struct dir_context ctx;
	const char *ending;
	u64 *base;
	u32 nr;
	u32 room;
	bool seen;
};

static bool evs_list_one(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino,
			 unsigned int type)
{
	struct evs_listing *l = container_of(ctx, struct evs_listing, ctx);
	u64 base;

	l->seen = true;
	if (fatal_signal_pending(current))
		return false;
	if (!evs_file_name_parse(name, len, l->ending, &base))
		return true;
	if (l->nr < l->room)
		l->base[l->nr] = base;
	return ++l->nr <= EVS_LIST_MAX;
}

static int evs_store_list_into(struct evs_store *s, struct evs_listing *l)
{
	struct file *file = dentry_open(&s->dir, O_RDONLY | O_DIRECTORY, current_cred());
	int ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	l->nr = 0;
	/* Some give a part at a time. */
	do {
		l->seen = false;
		ret = iterate_dir(file, &l->ctx);
		/* A damaged directory may have no end. */
		if (!ret && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (!ret && l->seen && l->nr <= EVS_LIST_MAX);
	fput(file);
	return ret;
}

/**
 * evs_store_list() - the base offsets of all files of a kind
 * @s: the store
 * @ending: the kind
 * @base: in no order, to be freed with kvfree(), out
 * @nr: how many, out
 *
 * Return: 0 or a negative errno.
 */
int evs_store_list(struct evs_store *s, const char *ending, u64 **base, u32 *nr)
{
	struct evs_listing l = { .ctx.actor = evs_list_one, .ending = ending, .room = 16 };
	int ret;

	for (;;) {
		l.base = kvmalloc_array(l.room, sizeof(*l.base), GFP_KERNEL);
		if (!l.base)
			return -ENOMEM;
		l.ctx.pos = 0;
		ret = evs_store_list_into(s, &l);
		if (!ret && l.nr <= l.room)
			break;
		kvfree(l.base);
		if (ret)
			return ret;
		if (l.nr > EVS_LIST_MAX)
			return -EFBIG;
		l.room = l.nr + 16;
	}
	*base = l.base;
	*nr = l.nr;
	return 0;
}

/**
 * evs_store_probe() - find out how files of the directory can be written
 * @s: the store, nobody else's yet
 * @name: a file that is there
 *
 * Return: 0 or a negative errno.
 */
int evs_store_probe(struct evs_store *s, const char *name)
{
	struct file *file = evs_path_open(&s->dir, name, O_RDONLY);
	struct kstat st;
	u32 align = 0;
	int ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = vfs_getattr(&file->f_path, &st, STATX_BASIC_STATS | STATX_DIOALIGN,
			  AT_STATX_SYNC_AS_STAT);
	if (!ret && (file->f_mode & FMODE_CAN_ODIRECT) && (st.result_mask & STATX_DIOALIGN) &&
	    st.dio_mem_align && st.dio_offset_align)
		/* Less than a block would be written slower. */
		align = max3(st.dio_mem_align, st.dio_offset_align,
			     min_t(u32, st.blksize, PAGE_SIZE));
	if (align <= PAGE_SIZE && is_power_of_2(align))
		s->align = align;
	fput(file);
	return ret;
}

/**
 * evs_store_file() - open a file of the directory
 * @s: the store
 * @name: its name
 * @flags: O_RDONLY, O_RDWR, O_CREAT, O_TRUNC
 *
 * Return: the file or an ERR_PTR; -EUCLEAN: it is something else than a file.
 */
struct file *evs_store_file(struct evs_store *s, const char *name, int flags)
{
	return evs_path_open(&s->dir, name, flags);
}

/**
 * evs_store_remove() - remove a file of the directory
 * @s: the store
 * @name: its name
 *
 * Return: 0 or a negative errno.
 */
int evs_store_remove(struct evs_store *s, const char *name)
{
	return evs_path_remove(&s->dir, name);
}

/**
 * evs_store_replace() - write a file anew
 * @s: the store
 * @name: its name
 * @buf: kernel memory
 * @size: bytes
 *
 * Return: 0: its bytes are on stable storage (not its name: evs_store_sync()); or
 * a negative errno.
 */
int evs_store_replace(struct evs_store *s, const char *name, const void *buf, size_t size)
{
	struct file *file = evs_path_open(&s->dir, name, O_WRONLY | O_CREAT | O_TRUNC);
	int ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = evs_file_write_buf(file, 0, buf, size);
	if (!ret)
		ret = vfs_fsync(file, 0);
	fput(file);
	return ret;
}

/**
 * evs_store_load() - read a small file of the directory
 * @s: the store
 * @name: its name
 * @buf: kernel memory
 * @size: bytes at @buf
 *
 * Return: its bytes, at most @size, or a negative errno.
 */
ssize_t evs_store_load(struct evs_store *s, const char *name, void *buf, size_t size)
{
	return evs_path_load(&s->dir, name, buf, size);
}

/**
 * evs_store_slot() - write the older one of a file's two slots
 * @s: the store
 * @name: the file's name
 * @slot: EVS_SLOT bytes
 * @sequence: of the slot
 *
 * Return: as evs_path_slot().
 */
int evs_store_slot(struct evs_store *s, const char *name, const char *slot, u64 sequence)
{
	return evs_path_slot(&s->dir, name, slot, sequence);
}

/**
 * evs_store_destroy() - remove the directory, which is empty
 * @s: the store
 *
 * Return: 0; -ENOTEMPTY: there is something that is not ours; or another
 * negative errno.
 */
int evs_store_destroy(struct evs_store *s)
{
	return evs_rmdir(&s->dir);
}

/**
 * evs_file_write() - write memory into a file
 * @s: its store
 * @file: the file
 * @pos: where; for direct I/O aligned, as @bytes is
 * @bvec: the memory
 * @nr: entries at @bvec
 * @bytes: in all
 *
 * Return: 0 or a negative errno.
 */
int evs_file_write(struct evs_store *s, struct file *file, u64 pos, const struct bio_vec *bvec,
		   unsigned int nr, size_t bytes)
{
	struct iov_iter from;
	struct kiocb iocb;
	ssize_t n;

	iov_iter_bvec(&from, ITER_SOURCE, bvec, nr, bytes);
	init_sync_kiocb(&iocb, file);
	/* Not that of whoever writes for all. */
	iocb.ki_ioprio = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IOPRIO_BE_NORM);
	iocb.ki_pos = pos;
	while (iov_iter_count(&from)) {
		/* What could not go directly to its end goes the other way. */
		if (s->align && IS_ALIGNED(iocb.ki_pos | iov_iter_count(&from), s->align))
			iocb.ki_flags |= IOCB_DIRECT;
		else
			iocb.ki_flags &= ~IOCB_DIRECT;
		n = vfs_iocb_iter_write(file, &iocb, &from);
		if (n < 0)
			return n;
		if (!n)
			return -EIO;
	}
	return 0;
}

/**
 * evs_file_reserve() - have room for what will be written
 * @file: the file
 * @from: where it begins
 * @to: where it ends; the file is that long afterwards
 *
 * Return: 0; -EOPNOTSUPP: the file system cannot; -ENOSPC, -EDQUOT, or another
 * negative errno.
 */
int evs_file_reserve(struct file *file, u64 from, u64 to)
{
	return vfs_fallocate(file, 0, from, to - from);
}

/**
 * evs_file_truncate() - cut a file off
 * @file: the file
 * @size: its bytes from now on
 *
 * Return: 0 or a negative errno.
 */
int evs_file_truncate(struct file *file, u64 size)
{
	return vfs_truncate(&file->f_path, size);
}
