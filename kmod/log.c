// SPDX-License-Identifier: GPL-2.0
/*
 * The log in the page cache.  The only user of address_space.
 *
 * A position's page lies at the index of its mmap offset, so that the page
 * cache, the fault handlers and unmapping need no translation.  Index 0 is the
 * control page.
 */
#include <linux/backing-dev.h>
#include <linux/bvec.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include <linux/evstream.h>

#include "compat.h"
#include "log.h"
#include "store.h"

#define EVS_FS_MAGIC	0x45565354	/* "EVST" */

EVS_DEFINE_CRC_HASH;

#define EVS_MAP_AHEAD	SZ_512K

/* What a reader has read from the store at a time: the more, the longer it goes on. */
#define EVS_WINDOW_MIN	SZ_64K
#define EVS_WINDOW_MAX	SZ_1M

static struct vfsmount *evs_mnt;
/* Of logs with a store: their dirty pages are counted, throttled and written back. */
static struct vfsmount *evs_store_mnt;
static atomic64_t evs_total;

static int evs_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, EVS_FS_MAGIC) ? 0 : -ENOMEM;
}

/* No .owner: the mount lives as long as the module and must not pin it. */
static struct file_system_type evs_fs_type = {
	.name			= "evstream",
	.init_fs_context	= evs_fs_init_context,
	.kill_sb		= kill_anon_super,
};

/*
 * Dirty folios are not invalidated, and without .migrate_folio they stay where
 * they are: appends write through addresses.
 */
static const struct address_space_operations evs_log_aops = {
	.dirty_folio	= noop_dirty_folio,
};

static int evs_log_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct inode *inode = mapping->host;
	struct evs_log *log;
	int ret = 0;

	/* Others than the log's owner may hold the inode for a while. */
	inode_lock_shared(inode);
	log = inode->i_private;
	if (log)
		ret = log->store->write(log, wbc);
	inode_unlock_shared(inode);
	return ret;
}

/* What the tail needs has a reference and stays; all else may go when clean. */
static const struct address_space_operations evs_store_aops = {
	.dirty_folio	= filemap_dirty_folio,
	.writepages	= evs_log_writepages,
	.migrate_folio	= filemap_migrate_folio,
};

/**
 * evs_log_register() - set up what all logs share
 *
 * Return: 0 or a negative errno.
 */
int evs_log_register(void)
{
	int ret = evs_crc_init();

	if (ret)
		return ret;
	evs_mnt = kern_mount(&evs_fs_type);
	ret = PTR_ERR_OR_ZERO(evs_mnt);
	if (ret)
		goto crc;
	evs_store_mnt = kern_mount(&evs_fs_type);
	ret = PTR_ERR_OR_ZERO(evs_store_mnt);
	if (ret)
		goto unmount;
	ret = super_setup_bdi(evs_store_mnt->mnt_sb);
	if (ret)
		goto unmount_store;
	return 0;

unmount_store:
	kern_unmount(evs_store_mnt);
unmount:
	kern_unmount(evs_mnt);
crc:
	evs_crc_exit();
	return ret;
}

/**
 * evs_log_unregister() - take it down; all logs are gone
 */
void evs_log_unregister(void)
{
	kern_unmount(evs_store_mnt);
	kern_unmount(evs_mnt);
	evs_crc_exit();
}

static struct address_space *evs_mapping(const struct evs_log *log)
{
	return log->inode->i_mapping;
}

static pgoff_t evs_index(u64 pos)
{
	return (EVS_LOG_BASE + pos) >> PAGE_SHIFT;
}

static u64 evs_folio_base(const struct folio *folio)
{
	return ((u64)folio->index << PAGE_SHIFT) - EVS_LOG_BASE;
}

/**
 * evs_log_init() - an empty log
 * @log: to initialize; stays where it is
 * @shift: a segment is 1 << this
 * @store: what is behind it, or NULL
 *
 * Return: 0 or -ENOMEM.
 */
int evs_log_init(struct evs_log *log, u8 shift, const struct evs_log_store *store)
{
	struct inode *inode = new_inode(store ? evs_store_mnt->mnt_sb : evs_mnt->mnt_sb);

	if (!inode)
		return -ENOMEM;
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | 0400;
	inode->i_private = log;
	/* What is not there yet, or no more, is told by the fault handler. */
	i_size_write(inode, MAX_LFS_FILESIZE & PAGE_MASK);
	/* Not movable: see evs_log_aops.  Not highmem: used by address. */
	mapping_set_gfp_mask(inode->i_mapping, GFP_KERNEL);
	mapping_set_large_folios(inode->i_mapping);
	*log = (struct evs_log){ .inode = inode, .shift = shift, .store = store };
	if (store) {
		inode->i_mapping->a_ops = &evs_store_aops;
		/* Nobody looks it up, but only what is hashed is written back. */
		insert_inode_hash(inode);
		/* And only what has no name is gone with its last user. */
		clear_nlink(inode);
		/* What is mapped, or written out to the block's end, was never old memory. */
		log->zero = true;
	} else {
		inode->i_mapping->a_ops = &evs_log_aops;
		mapping_set_unevictable(inode->i_mapping);
	}
	return 0;
}

/**
 * evs_log_destroy() - free a log and all it holds
 * @log: nobody uses it any more
 */
void evs_log_destroy(struct evs_log *log)
{
	if (!log->inode)
		return;
	atomic64_sub(atomic64_read(&log->folios), &evs_total);
	if (log->ctl)
		folio_put(log->ctl);
	inode_lock(log->inode);
	log->inode->i_private = NULL;
	inode_unlock(log->inode);
	iput(log->inode);
	log->inode = NULL;
}

/**
 * evs_log_memory() - bytes of memory that a log occupies
 * @log: the log
 */
u64 evs_log_memory(const struct evs_log *log)
{
	u64 pages = READ_ONCE(evs_mapping(log)->nrpages);

	/* The control page is not the log's. */
	return log->store ? (pages - !!log->ctl) << PAGE_SHIFT : atomic64_read(&log->folios);
}

static unsigned int evs_folio_order(struct evs_log *log, u64 pos, u64 end, u64 held)
{
	unsigned int max;
	u64 want;

	/*
	 * As large as all before it: an idle partition stays small, a busy one
	 * soon allocates seldom.
	 */
	want = max3(held, end - pos, (u64)PAGE_SIZE);
	want = min3(want, (u64)EVS_FOLIO_MAX, 1ULL << log->shift);
	max = min(ilog2(want) - PAGE_SHIFT,
		  (int)mapping_max_folio_order(evs_mapping(log)));
	return min_t(unsigned int, max, __ffs(evs_index(pos)));
}

static int evs_log_insert(struct evs_log *log, struct folio *folio, pgoff_t index, gfp_t gfp)
{
	int ret = filemap_add_folio(evs_mapping(log), folio, index, gfp);

	if (ret)
		return ret;
	/* Made here: what is read back has not got this. */
	if (log->store)
		folio_set_checked(folio);
	folio_mark_uptodate(folio);
	folio_mark_dirty(folio);
	folio_unlock(folio);
	return 0;
}

static int evs_log_add_folio(struct evs_log *log, unsigned int order, u64 ceiling, gfp_t gfp)
{
	size_t size = PAGE_SIZE << order;
	struct folio *folio = NULL;
	int ret = -ENOSPC;

	if (atomic64_add_return(size, &evs_total) > ceiling)
		goto uncount;
	/* A smaller one will do. */
	if (order)
		gfp |= __GFP_NORETRY | __GFP_NOWARN;
	/* Most kernels zero what they allocate, and do it once then. */
	if (log->zero)
		gfp |= __GFP_ZERO;
	ret = -ENOMEM;
	folio = evs_alloc_folio(gfp, order);
	if (!folio)
		goto uncount;
	ret = evs_log_insert(log, folio, evs_index(log->alloc), gfp);
	if (ret)
		goto uncount;
	/* The reference stays: what has one more than its map is never split. */
	atomic64_add(size, &log->folios);
	log->alloc += size;
	return 0;

uncount:
	atomic64_sub(size, &evs_total);
	if (folio)
		folio_put(folio);
	return ret;
}

/**
 * evs_log_grow() - add folios
 * @log: the log
 * @end: up to where they are needed, in the segment that @log->alloc is in
 * @held: bytes that the log holds already, to choose the folios' size
 * @ceiling: how many bytes all logs may have
 * @gfp: GFP_KERNEL or GFP_NOWAIT
 *
 * Context: the caller serialises; charged to the caller's memory cgroup.
 * Return: 0; -ENOMEM; -ENOSPC: @ceiling.
 */
int evs_log_grow(struct evs_log *log, u64 end, u64 held, u64 ceiling, gfp_t gfp)
{
	while (log->alloc < end) {
		unsigned int order = evs_folio_order(log, log->alloc, end, held);
		u64 before = log->alloc;
		int ret;

		do {
			ret = evs_log_add_folio(log, order, ceiling, gfp);
		} while (ret && order--);
		if (ret)
			return ret;
		held += log->alloc - before;
	}
	return 0;
}

/**
 * evs_log_skip() - leave the rest of a segment without folios
 * @log: the log
 * @pos: the next segment
 */
void evs_log_skip(struct evs_log *log, u64 pos)
{
	if (log->alloc < pos)
		log->alloc = pos;
}

/**
 * evs_log_drop() - drop whole segments
 * @log: the log
 * @from: the first one
 * @to: position after the last one
 *
 * Who holds a folio keeps it; maps read zeroes from now on.  May sleep.
 */
void evs_log_drop(struct evs_log *log, u64 from, u64 to)
{
	struct address_space *mapping = evs_mapping(log);
	pgoff_t next = evs_index(from);
	struct folio_batch batch;
	u64 bytes = 0;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &next, evs_index(to) - 1, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			if (evs_folio_base(batch.folios[i]) < log->pinned)
				continue;
			bytes += folio_size(batch.folios[i]);
			/* That of evs_log_add_folio(). */
			folio_put(batch.folios[i]);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	truncate_inode_pages_range(mapping, EVS_LOG_BASE + from, EVS_LOG_BASE + to - 1);
	atomic64_sub(bytes, &log->folios);
	atomic64_sub(bytes, &evs_total);
}

/*
 * Moves a folio that nobody but the page cache and evs_log_add_folio() refers to.
 * As in migration: whoever looks it up either has a reference, and it stays, or
 * finds its reference count frozen and looks again.
 */
static bool evs_log_move_folio(struct evs_log *log, struct folio *folio, pgoff_t index,
			       gfp_t gfp)
{
	struct address_space *mapping = evs_mapping(log);
	XA_STATE_ORDER(from, &mapping->i_pages, folio->index, folio_order(folio));
	XA_STATE_ORDER(to, &mapping->i_pages, index, folio_order(folio));
	/* The page cache's, evs_log_add_folio()'s and the caller's. */
	int refs = folio_nr_pages(folio) + 2;
	bool moved = false;

	do {
		xas_lock_irq(&to);
		if (folio_ref_freeze(folio, refs)) {
			xas_store(&to, folio);
			if (!xas_error(&to)) {
				xas_store(&from, NULL);
				folio->index = index;
				moved = true;
			}
			folio_ref_unfreeze(folio, refs);
		}
		xas_unlock_irq(&to);
		/* Which also frees what it allocated and was not needed. */
	} while (xas_nomem(&to, gfp));
	return moved;
}

/* Takes the folio at @from for @log->alloc, if it fits there and is nobody's. */
static bool evs_log_reuse_folio(struct evs_log *log, u64 from, u64 end, gfp_t gfp)
{
	struct address_space *mapping = evs_mapping(log);
	struct folio *folio;
	bool moved = false;
	size_t size;

	folio = filemap_lock_folio(mapping, evs_index(from));
	if (IS_ERR(folio))
		return false;
	size = folio_size(folio);
	if (evs_folio_base(folio) == from && size <= end - log->alloc) {
		if (mapping_mapped(mapping))
			unmap_mapping_range(mapping, EVS_LOG_BASE + from, size, 1);
		moved = !folio_mapped(folio) &&
			evs_log_move_folio(log, folio, evs_index(log->alloc), gfp);
	}
	if (moved) {
		if (log->zero)
			folio_zero_range(folio, 0, size);
		log->alloc += size;
	}
	folio_unlock(folio);
	folio_put(folio);
	return moved;
}

/**
 * evs_log_spare() - drop a segment, but keep its folios for the next one
 * @log: the log
 * @from: the segment
 * @to: position after it
 *
 * A full ring would else free as much as it allocates, and a page that the
 * allocator hands out is zeroed on most kernels: a quarter of what a large append
 * costs.
 */
void evs_log_spare(struct evs_log *log, u64 from, u64 to)
{
	if (log->spare < log->spare_end)
		evs_log_drop(log, log->spare, log->spare_end);
	log->spare = from;
	log->spare_end = to;
}

/**
 * evs_log_reuse() - take over the spare folios
 * @log: the log, whose @alloc is where a segment begins
 * @end: where that segment ends
 * @gfp: GFP_KERNEL or GFP_NOWAIT
 *
 * What somebody still reads, maps or pins is dropped instead.
 */
void evs_log_reuse(struct evs_log *log, u64 end, gfp_t gfp)
{
	u64 from = log->spare, before = log->alloc;

	while (from < log->spare_end && evs_log_reuse_folio(log, from, end, gfp))
		from = log->spare + (log->alloc - before);
	if (from < log->spare_end)
		evs_log_drop(log, from, log->spare_end);
	log->spare = 0;
	log->spare_end = 0;
}

/**
 * evs_log_addr() - where a reserved position lies in memory
 * @log: the log
 * @pos: below @log->alloc, in a segment that cannot be dropped now
 * @base: position of the folio's first byte, out
 * @end: position after its last byte, out
 *
 * Return: address of @base.
 */
u8 *evs_log_addr(struct evs_log *log, u64 pos, u64 *base, u64 *end)
{
	struct folio *folio;

	/*
	 * Nothing drops, moves or splits the folio: evs_log_add_folio() left a
	 * reference, and there is no need to hold one more.
	 */
	rcu_read_lock();
	folio = xa_load(&evs_mapping(log)->i_pages, evs_index(pos));
	rcu_read_unlock();
	if (WARN_ON_ONCE(!folio))
		return NULL;
	*base = evs_folio_base(folio);
	*end = *base + folio_size(folio);
	return folio_address(folio);
}

/* For each contiguous piece of [@pos, @pos + @len): @n bytes at @p. */
#define evs_log_pieces(log, pos, len, p, n)				\
	for (u64 _b, _e, _pos = (pos), _end = _pos + (len);		\
	     _pos < _end &&						\
	     ((p) = evs_log_addr((log), _pos, &_b, &_e)) != NULL &&	\
	     ((p) += _pos - _b, (n) = min(_e, _end) - _pos, true);	\
	     _pos += (n))

/**
 * evs_log_write() - copy bytes into a reserved stretch
 * @log: the log
 * @pos: where
 * @src: kernel memory
 * @len: bytes
 */
void evs_log_write(struct evs_log *log, u64 pos, const void *src, size_t len)
{
	size_t n;
	u8 *p;

	evs_log_pieces(log, pos, len, p, n) {
		memcpy(p, src, n);
		src += n;
	}
}

/**
 * evs_log_write_iter() - copy bytes into a reserved stretch without faulting
 * @log: the log
 * @pos: where
 * @from: what
 * @len: bytes
 *
 * Return: how many were copied, fewer where a page of the user's is not there.
 */
size_t evs_log_write_iter(struct evs_log *log, u64 pos, struct iov_iter *from, size_t len)
{
	size_t n, done = 0;
	u8 *p;

	evs_log_pieces(log, pos, len, p, n) {
		size_t got;

		pagefault_disable();
		got = copy_from_iter(p, n, from);
		pagefault_enable();
		done += got;
		if (got != n)
			break;
		cond_resched();
	}
	return done;
}

/**
 * evs_log_zero() - zero a reserved stretch
 * @log: the log
 * @pos: where
 * @len: bytes
 */
void evs_log_zero(struct evs_log *log, u64 pos, u64 len)
{
	size_t n;
	u8 *p;

	evs_log_pieces(log, pos, len, p, n)
		memset(p, 0, n);
}

/**
 * evs_log_crc() - CRC32C of a reserved stretch
 * @log: the log
 * @crc: of what comes before, not inverted
 * @pos: where
 * @len: bytes
 */
u32 evs_log_crc(struct evs_log *log, u32 crc, u64 pos, u64 len)
{
	size_t n;
	u8 *p;

	evs_log_pieces(log, pos, len, p, n)
		crc = evs_crc32c(crc, p, n);
	return crc;
}

/* A read of folios from the store, on its way. */
struct evs_read {
	struct kiocb iocb;
	refcount_t refs;	/* who submits it, and who completes it */
	ssize_t ret;
	size_t valid;		/* bytes that there are */
	u32 nr;
	struct bio_vec bvec[];	/* a folio each, locked */
};

/* The file system may look at the file and the request after it was completed. */
static void evs_read_put(struct evs_read *r)
{
	size_t off = 0, done;
	u32 i;

	if (!refcount_dec_and_test(&r->refs))
		return;
	done = min_t(size_t, max(r->ret, 0L), r->valid);
	/* Before the folios: when they are unlocked, nobody needs the file. */
	fput(r->iocb.ki_filp);
	for (i = 0; i < r->nr; i++) {
		struct folio *folio = page_folio(r->bvec[i].bv_page);
		size_t size = folio_size(folio);
		size_t want = min(size, r->valid - off);

		if (off + want <= done && want < size)
			folio_zero_segment(folio, want, size);
		folio_end_read(folio, off + want <= done);
		off += size;
	}
	kfree(r);
}

static void evs_read_done(struct kiocb *iocb, long ret)
{
	struct evs_read *r = container_of(iocb, struct evs_read, iocb);

	r->ret = ret;
	evs_read_put(r);
}

/* Reads @r's folios, whose first is at @pos; takes over @r and @e's file. */
static void evs_read_submit(struct evs_read *r, const struct evs_extent *e, u64 pos, size_t size)
{
	struct address_space *lower = e->file->f_mapping;
	const struct cred *old;
	struct iov_iter to;
	ssize_t ret;

	init_sync_kiocb(&r->iocb, e->file);
	refcount_set(&r->refs, 2);
	r->iocb.ki_pos = pos - e->from;
	r->valid = min_t(u64, size, e->end - pos);
	if (e->direct) {
		r->iocb.ki_flags |= IOCB_DIRECT;
		r->iocb.ki_complete = evs_read_done;
	}
	iov_iter_bvec(&to, ITER_DEST, r->bvec, r->nr, size);
	old = override_creds(e->cred);
	ret = vfs_iocb_iter_read(e->file, &r->iocb, &to);
	revert_creds(old);
	put_cred(e->cred);
	/* One copy in memory will do. */
	if (!e->direct)
		invalidate_mapping_pages(lower, (pos - e->from) >> PAGE_SHIFT,
					 (pos - e->from + size - 1) >> PAGE_SHIFT);
	if (ret != -EIOCBQUEUED)
		evs_read_done(&r->iocb, ret);
	evs_read_put(r);
}

static void evs_extent_put(struct evs_extent *e)
{
	fput(e->file);
	put_cred(e->cred);
}

static struct evs_read *evs_read_alloc(u32 nr)
{
	return kmalloc(struct_size_t(struct evs_read, bvec, nr), GFP_KERNEL);
}

/* Adds a folio for @pos that is to be read, locked: its size, or -errno. */
static ssize_t evs_log_add_cold(struct evs_log *log, struct evs_read *r, u64 pos, u64 end)
{
	gfp_t gfp = mapping_gfp_mask(evs_mapping(log)) | __GFP_NOWARN;
	u64 want = min_t(u64, round_up(end - pos, PAGE_SIZE), EVS_FOLIO_MAX);
	unsigned int order = min3((unsigned int)ilog2(want) - PAGE_SHIFT,
				  (unsigned int)mapping_max_folio_order(evs_mapping(log)),
				  (unsigned int)__ffs(evs_index(pos)));
	struct folio *folio;
	int ret;

	do {
		ret = -ENOMEM;
		folio = evs_alloc_folio(order ? gfp | __GFP_NORETRY : gfp, order);
		if (!folio)
			continue;
		/* A smaller one may be there in the middle of it. */
		ret = filemap_add_folio(evs_mapping(log), folio, evs_index(pos), gfp);
		if (!ret)
			bvec_set_folio(&r->bvec[r->nr++], folio, PAGE_SIZE << order, 0);
		/* The page cache has its own, and nobody takes a locked folio away. */
		folio_put(folio);
	} while (ret && order--);
	return ret ? ret : (ssize_t)(PAGE_SIZE << order);
}

/*
 * Starts reading [@pos, @pos + @window), as far as there is something and nobody
 * reads it already; the first folio carries the mark to read on, if @ahead.
 *
 * Return: 0, -EEXIST: @pos is there or on its way; -ENODATA, -ENOMEM.
 */
static int evs_log_load(struct evs_log *log, u64 pos, u32 window, bool ahead, u64 *end)
{
	struct evs_extent e;
	struct evs_read *r;
	size_t size = 0;
	ssize_t n;
	int ret;

	pos = round_down(pos, PAGE_SIZE);
	ret = log->store->extent(log, pos, &e);
	if (ret)
		return ret;
	e.end = min(e.end, pos + window);
	r = evs_read_alloc(DIV_ROUND_UP(window, PAGE_SIZE));
	if (!r) {
		evs_extent_put(&e);
		return -ENOMEM;
	}
	r->nr = 0;
	for (n = 0; pos + size < e.end; size += n) {
		n = evs_log_add_cold(log, r, pos + size, e.end);
		if (n < 0)
			break;
	}
	*end = pos + size;
	if (!r->nr) {
		evs_extent_put(&e);
		kfree(r);
		return n;
	}
	if (ahead)
		folio_set_readahead(page_folio(r->bvec[0].bv_page));
	evs_read_submit(r, &e, pos, size);
	return 0;
}

/* Once more what could not be read: the folio is locked, and unlocked when read. */
static int evs_log_reload(struct evs_log *log, struct folio *folio)
{
	u64 pos = evs_folio_base(folio);
	struct evs_extent e;
	struct evs_read *r;
	int ret;

	ret = log->store->extent(log, pos, &e);
	if (ret)
		goto unlock;
	r = evs_read_alloc(1);
	if (!r) {
		evs_extent_put(&e);
		ret = -ENOMEM;
		goto unlock;
	}
	r->nr = 1;
	bvec_set_folio(&r->bvec[0], folio, folio_size(folio), 0);
	e.end = min(e.end, pos + folio_size(folio));
	evs_read_submit(r, &e, pos, folio_size(folio));
	return 0;

unlock:
	folio_unlock(folio);
	return ret;
}

/* Waits until a folio is read: 0; -EAGAIN: look again; -EIO, -ENOMEM, -EINTR. */
static int evs_log_uptodate(struct evs_log *log, struct folio *folio)
{
	bool again = false;
	int ret;

	while (!folio_test_uptodate(folio)) {
		if (folio_lock_killable(folio))
			return -EINTR;
		if (folio->mapping != evs_mapping(log)) {
			folio_unlock(folio);
			return -EAGAIN;
		}
		if (folio_test_uptodate(folio) || again) {
			folio_unlock(folio);
			break;
		}
		again = true;
		ret = evs_log_reload(log, folio);
		if (ret)
			return ret;
	}
	return folio_test_uptodate(folio) ? 0 : -EIO;
}

static void evs_view_ahead(struct evs_log *log, struct evs_view *view, u64 pos)
{
	u64 end;

	if (view->ahead < pos)
		view->ahead = pos;
	if (!evs_log_load(log, view->ahead, view->window, true, &end))
		view->ahead = end;
}

/* Has the folio of @pos read, and those behind it where somebody reads on. */
static int evs_view_load(struct evs_log *log, struct evs_view *view, u64 pos)
{
	u64 end;
	int ret;

	/* It went between the two looks: all that the tail needs stays. */
	if (!log->store || pos >= READ_ONCE(log->pinned))
		return -ENODATA;
	if (view->window && round_down(pos, PAGE_SIZE) == view->ahead)
		view->window = min(2 * view->window, (u32)EVS_WINDOW_MAX);
	else
		view->window = EVS_WINDOW_MIN;
	ret = evs_log_load(log, pos, view->window, false, &end);
	if (ret)
		return ret == -EEXIST ? 0 : ret;
	view->ahead = end;
	if (view->window > EVS_WINDOW_MIN)
		evs_view_ahead(log, view, end);
	return 0;
}

/**
 * __evs_view_at() - the part of evs_view_at() that has work
 * @log: the log
 * @view: the reader's
 * @pos: position
 *
 * Context: may read from the store, and wait for that.
 * Return: as evs_view_at().
 */
int __evs_view_at(struct evs_log *log, struct evs_view *view, u64 pos)
{
	struct folio *folio;
	int ret;

again:
	folio = filemap_get_folio(evs_mapping(log), evs_index(pos));
	if (IS_ERR(folio)) {
		/* Orders the look before that at @pinned; pairs with evs_log_written(). */
		smp_rmb();
		ret = fatal_signal_pending(current) ? -EINTR : evs_view_load(log, view, pos);
		if (ret)
			return ret;
		goto again;
	}
	if (log->store) {
		ret = evs_log_uptodate(log, folio);
		if (ret) {
			folio_put(folio);
			if (ret == -EAGAIN)
				goto again;
			return ret;
		}
		if (folio_test_readahead(folio)) {
			folio_clear_readahead(folio);
			view->window = clamp(2 * view->window, (u32)EVS_WINDOW_MIN,
					     (u32)EVS_WINDOW_MAX);
			evs_view_ahead(log, view, evs_folio_base(folio) + folio_size(folio));
		}
		/* Who reads once what is old does not push out what many read. */
		if (folio_test_checked(folio))
			folio_mark_accessed(folio);
	}
	evs_view_put(view);
	view->folio = folio;
	view->addr = folio_address(folio);
	view->base = evs_folio_base(folio);
	view->end = view->base + folio_size(folio);
	view->cold = log->store && !folio_test_checked(folio);
	return 0;
}

/**
 * evs_view_put() - let go of a reader's folio
 * @view: may hold none
 */
void evs_view_put(struct evs_view *view)
{
	if (view->folio)
		folio_put(view->folio);
	*view = (struct evs_view){ .ahead = view->ahead, .window = view->window };
}

/**
 * evs_view_read() - copy bytes out of the log
 * @log: the log
 * @view: the reader's
 * @pos: where, below the high watermark
 * @dst: kernel memory
 * @len: bytes
 *
 * Return: 0, or as evs_view_at() where some are not to be had.
 */
int evs_view_read(struct evs_log *log, struct evs_view *view, u64 pos, void *dst, size_t len)
{
	while (len) {
		int ret = evs_view_at(log, view, pos);
		size_t n;

		if (ret)
			return ret;
		n = min_t(u64, len, view->end - pos);
		memcpy(dst, view->addr + (pos - view->base), n);
		dst += n;
		pos += n;
		len -= n;
	}
	return 0;
}

/* What is written to the store */

/**
 * evs_log_resume() - let a log begin where its files end
 * @log: new, with a store
 * @pos: where the next batch goes
 * @bytes: those of the page that @pos is in, up to @pos
 *
 * Return: 0 or -ENOMEM.
 */
int evs_log_resume(struct evs_log *log, u64 pos, const void *bytes)
{
	u64 page = round_down(pos, PAGE_SIZE), base, end;
	u8 *to;
	int ret;

	log->alloc = page;
	log->pinned = page;
	if (page == pos)
		return 0;
	ret = evs_log_add_folio(log, 0, U64_MAX, GFP_KERNEL);
	if (ret)
		return ret;
	to = evs_log_addr(log, page, &base, &end);
	memcpy(to, bytes, pos - page);
	evs_log_tail_clean(log, page);
	return 0;
}

/**
 * evs_log_bvec() - the folios of a stretch that is in memory
 * @log: the log
 * @pos: where, at or above @log->pinned
 * @len: bytes
 * @bvec: out
 * @max: entries at @bvec
 * @bytes: bytes that the entries are, out
 *
 * Return: entries used.
 */
unsigned int evs_log_bvec(struct evs_log *log, u64 pos, u64 len, struct bio_vec *bvec,
			  unsigned int max, u64 *bytes)
{
	unsigned int nr = 0;

	for (*bytes = 0; *bytes < len && nr < max; nr++) {
		u64 base, end, at = pos + *bytes, n;
		u8 *p = evs_log_addr(log, at, &base, &end);

		if (!p)
			break;
		n = min(end - at, len - *bytes);
		bvec_set_virt(&bvec[nr], p + (at - base), n);
		*bytes += n;
	}
	return nr;
}

static void evs_folio_clean(struct folio *folio)
{
	folio_lock(folio);
	if (folio_clear_dirty_for_io(folio)) {
		/* It is on the disk already: this is for the counters. */
		folio_start_writeback(folio);
		folio_unlock(folio);
		folio_end_writeback(folio);
	} else {
		folio_unlock(folio);
	}
}

/**
 * evs_log_written() - the store has all bytes below a position
 * @log: the log
 * @to: that position
 *
 * Folios wholly below it are clean now, and the memory is anybody's to reclaim.
 *
 * Context: one caller at a time; not together with evs_log_drop() of the same.
 */
void evs_log_written(struct evs_log *log, u64 to)
{
	pgoff_t next = evs_index(log->pinned), last = evs_index(to);
	struct folio_batch batch;
	u64 pinned = log->pinned;
	unsigned int i;
	bool more = true;

	folio_batch_init(&batch);
	while (more && next < last &&
	       filemap_get_folios(evs_mapping(log), &next, last - 1, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];
			size_t size = folio_size(folio);

			more = evs_folio_base(folio) + size <= to;
			if (!more)
				break;
			evs_folio_clean(folio);
			pinned = evs_folio_base(folio) + size;
			WRITE_ONCE(log->pinned, pinned);
			/* Pairs with the look in __evs_view_at(). */
			smp_wmb();
			/* That of evs_log_add_folio(). */
			folio_put(folio);
			atomic64_sub(size, &log->folios);
			atomic64_sub(size, &evs_total);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	/* Behind the last folio of a sealed segment there is none. */
	if (more && IS_ALIGNED(to, 1ULL << log->shift))
		WRITE_ONCE(log->pinned, to);
}

/**
 * evs_log_give_up() - what is not written will not be
 * @log: the log
 *
 * It stays in memory, but nobody waits for it to become clean.
 */
void evs_log_give_up(struct evs_log *log)
{
	pgoff_t next = evs_index(log->pinned);
	struct folio_batch batch;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios(evs_mapping(log), &next, ULONG_MAX, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++)
			evs_folio_clean(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
}

static struct folio *evs_log_tail(struct evs_log *log, u64 pos)
{
	return filemap_get_folio(evs_mapping(log), evs_index(pos));
}

/**
 * evs_log_tail_clean() - all that is in the tail's folio has been written
 * @log: the log
 * @pos: a position in it
 */
void evs_log_tail_clean(struct evs_log *log, u64 pos)
{
	struct folio *folio = evs_log_tail(log, pos);

	if (IS_ERR(folio))
		return;
	evs_folio_clean(folio);
	folio_put(folio);
}

/**
 * evs_log_tail_dirty() - and then there is more
 * @log: the log
 * @pos: a position in it
 */
void evs_log_tail_dirty(struct evs_log *log, u64 pos)
{
	struct folio *folio = evs_log_tail(log, pos);

	if (IS_ERR(folio))
		return;
	folio_lock(folio);
	if (folio->mapping)
		folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
}

/**
 * evs_log_ctl() - the control page, made at its first use
 * @log: the log
 *
 * Context: the caller serialises.  It lives as long as the log.
 * Return: its address, zeroed when new, or an ERR_PTR.
 */
void *evs_log_ctl(struct evs_log *log)
{
	struct folio *folio = log->ctl;
	int ret;

	if (folio)
		return folio_address(folio);
	folio = evs_alloc_folio(GFP_KERNEL | __GFP_ZERO, 0);
	if (!folio)
		return ERR_PTR(-ENOMEM);
	ret = filemap_add_folio(evs_mapping(log), folio, 0, GFP_KERNEL);
	if (ret) {
		folio_put(folio);
		return ERR_PTR(ret);
	}
	/* Clean, but never reclaimed: the reference stays. */
	folio_mark_uptodate(folio);
	folio_unlock(folio);
	log->ctl = folio;
	return folio_address(folio);
}

struct evs_fault_in {
	struct evs_log *log;
	struct evs_view view;
	u64 pos;
	int ret;
};

static void evs_fault_in(void *data)
{
	struct evs_fault_in *f = data;

	f->ret = evs_view_at(f->log, &f->view, f->pos);
}

/*
 * A map of what is only in the store is touched. Where that may be, the mm's lock
 * is let go of and the fault comes again; else a worker reads, so that no file
 * system's lock is ever taken under it.
 */
static vm_fault_t evs_log_fault_cold(struct vm_fault *vmf, struct evs_log *log, u64 pos)
{
	struct evs_fault_in f = { .log = log, .pos = pos, .view.window = EVS_WINDOW_MAX / 2,
				  .view.ahead = round_down(pos, PAGE_SIZE) };
	struct folio *folio;

	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	if (fault_flag_allow_retry_first(vmf->flags)) {
		/* Keeps the log. */
		struct file *file = get_file(vmf->vma->vm_file);

		release_fault_lock(vmf);
		evs_fault_in(&f);
		evs_view_put(&f.view);
		fput(file);
		return VM_FAULT_MAJOR | VM_FAULT_RETRY;
	}
again:
	evs_store_run(evs_fault_in, &f);
	folio = f.view.folio;
	if (f.ret == -ENODATA)
		return evs_insert_zero_page(vmf);
	if (f.ret)
		return f.ret == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	folio_lock(folio);
	if (folio->mapping != evs_mapping(log)) {
		folio_unlock(folio);
		evs_view_put(&f.view);
		goto again;
	}
	/* Together with the view's reference. */
	vmf->page = folio_file_page(folio, vmf->pgoff);
	return VM_FAULT_MAJOR | VM_FAULT_LOCKED;
}

/**
 * evs_log_fault() - a map of the log is touched
 * @vmf: the fault
 * @end: the high watermark, loaded before the call
 *
 * Since @end is the older one, what is below it and neither in the page cache nor
 * in the store has gone or never will be there.
 */
vm_fault_t evs_log_fault(struct vm_fault *vmf, u64 end)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct evs_log *log = mapping->host->i_private;
	struct folio *folio;
	u64 at;

	folio = filemap_lock_folio(mapping, vmf->pgoff);
	if (!IS_ERR(folio)) {
		if (likely(folio_test_uptodate(folio))) {
			vmf->page = folio_file_page(folio, vmf->pgoff);
			return VM_FAULT_LOCKED;
		}
		folio_unlock(folio);
		folio_put(folio);
	}
	at = (u64)vmf->pgoff << PAGE_SHIFT;
	if (at < EVS_LOG_BASE || at - EVS_LOG_BASE >= end)
		return VM_FAULT_SIGBUS;
	at -= EVS_LOG_BASE;
	/* Orders the look before that at @pinned; pairs with evs_log_written(). */
	smp_rmb();
	if (!log->store || at >= READ_ONCE(log->pinned))
		return evs_insert_zero_page(vmf);
	return evs_log_fault_cold(vmf, log, at);
}

/**
 * evs_log_map_pages() - map what is there around a fault
 * @vmf: the fault
 * @start: first page wanted
 * @end: last page wanted
 *
 * A log is read forwards: as much is mapped ahead as one page table and a few
 * folios take, instead of the 64 KiB of other files.
 */
vm_fault_t evs_log_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long last = min((vmf->address | ~PMD_MASK), vma->vm_end - 1);
	pgoff_t most = linear_page_index(vma, last);

	end = max(end, min(most, start + EVS_MAP_AHEAD / PAGE_SIZE - 1));
	return filemap_map_pages(vmf, start, end);
}
