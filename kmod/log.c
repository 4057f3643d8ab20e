// SPDX-License-Identifier: GPL-2.0
/*
 * The log in the page cache.  The only user of address_space.
 *
 * A position's page lies at the index of its mmap offset, so that the page
 * cache, the fault handlers and unmapping need no translation.  Index 0 is the
 * control page.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sizes.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include <linux/evstream.h>

#include "compat.h"
#include "log.h"

#define EVS_FS_MAGIC	0x45565354	/* "EVST" */

/*
 * Large enough that a folio's allocation is nothing beside its bytes' copying,
 * small enough to be had on a fragmented machine.
 */
#define EVS_FOLIO_MAX	SZ_256K

EVS_DEFINE_CRC_HASH;

#define EVS_MAP_AHEAD	SZ_512K

static struct vfsmount *evs_mnt;
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
	if (IS_ERR(evs_mnt)) {
		evs_crc_exit();
		return PTR_ERR(evs_mnt);
	}
	return 0;
}

/**
 * evs_log_unregister() - take it down; all logs are gone
 */
void evs_log_unregister(void)
{
	kern_unmount(evs_mnt);
	evs_crc_exit();
}

/**
 * evs_log_total() - bytes of page cache in all logs
 */
u64 evs_log_total(void)
{
	return atomic64_read(&evs_total);
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
 * @log: to initialize
 * @shift: a segment is 1 << this
 *
 * Return: 0 or -ENOMEM.
 */
int evs_log_init(struct evs_log *log, u8 shift)
{
	struct inode *inode = new_inode(evs_mnt->mnt_sb);

	if (!inode)
		return -ENOMEM;
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | 0400;
	/* What is not there yet, or no more, is told by the fault handler. */
	i_size_write(inode, MAX_LFS_FILESIZE & PAGE_MASK);
	inode->i_mapping->a_ops = &evs_log_aops;
	/* Not movable: see evs_log_aops.  Not highmem: used by address. */
	mapping_set_gfp_mask(inode->i_mapping, GFP_KERNEL);
	mapping_set_unevictable(inode->i_mapping);
	mapping_set_large_folios(inode->i_mapping);
	*log = (struct evs_log){ .inode = inode, .shift = shift };
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
	atomic64_sub(log->folios, &evs_total);
	iput(log->inode);
	log->inode = NULL;
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
	ret = -ENOMEM;
	folio = evs_alloc_folio(gfp, order);
	if (!folio)
		goto uncount;
	if (log->zero)
		folio_zero_range(folio, 0, size);
	ret = evs_log_insert(log, folio, evs_index(log->alloc), gfp);
	if (ret)
		goto uncount;
	/* The reference stays: what has one more than its map is never split. */
	log->folios += size;
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
			bytes += folio_size(batch.folios[i]);
			/* That of evs_log_add_folio(). */
			folio_put(batch.folios[i]);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	truncate_inode_pages_range(mapping, EVS_LOG_BASE + from, EVS_LOG_BASE + to - 1);
	log->folios -= bytes;
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

/**
 * evs_view_put() - let go of a reader's folio
 * @view: may hold none
 */
void evs_view_put(struct evs_view *view)
{
	if (view->folio)
		folio_put(view->folio);
	*view = (struct evs_view){};
}

/**
 * evs_view_at() - get hold of the folio of a position
 * @log: the log
 * @view: the reader's
 * @pos: position
 *
 * Return: false where there is none: dropped, or a sealed segment's rest.
 */
bool evs_view_at(struct evs_log *log, struct evs_view *view, u64 pos)
{
	struct folio *folio;

	/* Unsigned: also false for an empty view. */
	if (pos - view->base < view->end - view->base)
		return true;
	folio = filemap_get_folio(evs_mapping(log), evs_index(pos));
	if (IS_ERR(folio))
		return false;
	evs_view_put(view);
	view->folio = folio;
	view->addr = folio_address(folio);
	view->base = evs_folio_base(folio);
	view->end = view->base + folio_size(folio);
	return true;
}

/**
 * evs_view_read() - copy bytes out of the log
 * @log: the log
 * @view: the reader's
 * @pos: where, below the high watermark
 * @dst: kernel memory
 * @len: bytes
 *
 * Return: false where some were dropped.
 */
bool evs_view_read(struct evs_log *log, struct evs_view *view, u64 pos, void *dst, size_t len)
{
	while (len) {
		size_t n;

		if (!evs_view_at(log, view, pos))
			return false;
		n = min_t(u64, len, view->end - pos);
		memcpy(dst, view->addr + (pos - view->base), n);
		dst += n;
		pos += n;
		len -= n;
	}
	return true;
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
	struct folio *folio;
	void *addr;
	int ret;

	folio = filemap_get_folio(evs_mapping(log), 0);
	if (!IS_ERR(folio)) {
		addr = folio_address(folio);
		folio_put(folio);
		return addr;
	}
	folio = evs_alloc_folio(GFP_KERNEL | __GFP_ZERO, 0);
	if (!folio)
		return ERR_PTR(-ENOMEM);
	ret = evs_log_insert(log, folio, 0, GFP_KERNEL);
	addr = ret ? ERR_PTR(ret) : folio_address(folio);
	folio_put(folio);
	return addr;
}

/**
 * evs_log_fault() - a map of the log is touched
 * @vmf: the fault
 * @end: the high watermark, loaded before the call
 *
 * Since @end is the older one, what is below it and not in the page cache has
 * gone or never will be there.
 */
vm_fault_t evs_log_fault(struct vm_fault *vmf, u64 end)
{
	struct address_space *mapping = vmf->vma->vm_file->f_mapping;
	struct folio *folio;
	u64 at;

	folio = filemap_lock_folio(mapping, vmf->pgoff);
	if (!IS_ERR(folio)) {
		vmf->page = folio_file_page(folio, vmf->pgoff);
		return VM_FAULT_LOCKED;
	}
	at = (u64)vmf->pgoff << PAGE_SHIFT;
	if (at < EVS_LOG_BASE || at - EVS_LOG_BASE >= end)
		return VM_FAULT_SIGBUS;
	return evs_insert_zero_page(vmf);
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
