/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The log of a partition: bytes at positions, in the page cache of an inode of
 * its own.  Knows folios and segments' bounds, nothing of records.
 */
#ifndef EVSTREAM_LOG_H
#define EVSTREAM_LOG_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/mm_types.h>
#include <linux/sizes.h>
#include <linux/types.h>

struct bio_vec;
struct iov_iter;
struct vm_fault;
struct writeback_control;
struct evs_log;

/* Index of a position's page in the mapping: that of its mmap offset. */
#define EVS_LOG_BASE	EVSTREAM_MMAP_LOG

/*
 * Large enough that a folio's allocation is nothing beside its bytes' copying,
 * small enough to be had on a fragmented machine.
 */
#define EVS_FOLIO_MAX	SZ_256K

/**
 * struct evs_extent - where bytes lie that are not in memory
 * @file: a reference
 * @cred: who reads it, a reference
 * @from: position of the file's first byte
 * @end: position up to which there is something
 * @direct: past the file's own page cache
 */
struct evs_extent {
	struct file *file;
	const struct cred *cred;
	u64 from;
	u64 end;
	bool direct;
};

/**
 * struct evs_log_store - what is behind a log that does not live in memory alone
 * @extent: find a position below @pinned; -ENODATA: nothing lies there
 * @write: write back, as &address_space_operations.writepages
 */
struct evs_log_store {
	int (*extent)(struct evs_log *log, u64 pos, struct evs_extent *e);
	int (*write)(struct evs_log *log, struct writeback_control *wbc);
};

/**
 * struct evs_log - positions and the folios behind them
 * @inode: owns the page cache
 * @alloc: folios are there for [first segment held, @alloc) but for the ends of
 *	sealed segments
 * @folios: bytes of the folios held; of a log with a store: of those that stay
 * @spare: where a dropped segment's folios still are, to be used again
 * @spare_end: behind them; equal to @spare: there are none
 * @shift: a segment is 1 << this
 * @zero: new folios are zeroed, since somebody may map them
 * @store: NULL: memory is all there is
 * @pinned: from here on all that was appended is in memory and stays; what is
 *	below can be reclaimed and comes back from @store.  0 without one
 * @ctl: the control page
 *
 * The writers' functions do not lock: who appends or drops (the partition)
 * serialises evs_log_grow(), evs_log_skip() and evs_log_drop(), and calls those
 * that take a position only for positions in [@alloc's past, @alloc) that it has
 * reserved and that cannot be dropped yet.
 */
struct evs_log {
	struct inode *inode;
	u64 alloc;
	atomic64_t folios;
	u64 spare;
	u64 spare_end;
	u8 shift;
	bool zero;
	const struct evs_log_store *store;
	u64 pinned;
	struct folio *ctl;
};

/**
 * struct evs_view - a folio that a reader holds
 * @folio: a reference, or NULL
 * @addr: its first byte
 * @base: that byte's position
 * @end: position after its last byte
 * @ahead: up to where this reader has had the log read from its store
 * @window: how much it has read at a time
 * @cold: the bytes come from the store, and nobody has checked them
 *
 * A folio that was dropped meanwhile keeps its bytes: positions are never used
 * again.
 */
struct evs_view {
	struct folio *folio;
	const u8 *addr;
	u64 base;
	u64 end;
	u64 ahead;
	u32 window;
	bool cold;
};

/* In log.c */
int evs_log_register(void);
void evs_log_unregister(void);

int evs_log_init(struct evs_log *log, u8 shift, const struct evs_log_store *store);
void evs_log_destroy(struct evs_log *log);
int evs_log_grow(struct evs_log *log, u64 end, u64 held, u64 ceiling, gfp_t gfp);
void evs_log_skip(struct evs_log *log, u64 pos);
void evs_log_drop(struct evs_log *log, u64 from, u64 to);
void evs_log_spare(struct evs_log *log, u64 from, u64 to);
void evs_log_reuse(struct evs_log *log, u64 end, gfp_t gfp);

u8 *evs_log_addr(struct evs_log *log, u64 pos, u64 *base, u64 *end);
void evs_log_write(struct evs_log *log, u64 pos, const void *src, size_t len);
size_t evs_log_write_iter(struct evs_log *log, u64 pos, struct iov_iter *from, size_t len);
void evs_log_zero(struct evs_log *log, u64 pos, u64 len);
u32 evs_log_crc(struct evs_log *log, u32 crc, u64 pos, u64 len);

int evs_log_resume(struct evs_log *log, u64 pos, const void *bytes);
unsigned int evs_log_bvec(struct evs_log *log, u64 pos, u64 len, struct bio_vec *bvec,
			  unsigned int max, u64 *bytes);
void evs_log_written(struct evs_log *log, u64 to);
void evs_log_give_up(struct evs_log *log);
void evs_log_tail_dirty(struct evs_log *log, u64 pos);
void evs_log_tail_clean(struct evs_log *log, u64 pos);
u64 evs_log_memory(const struct evs_log *log);

int __evs_view_at(struct evs_log *log, struct evs_view *view, u64 pos);
void evs_view_put(struct evs_view *view);
int evs_view_read(struct evs_log *log, struct evs_view *view, u64 pos, void *dst, size_t len);

/**
 * evs_view_at() - get hold of the folio of a position
 * @log: the log
 * @view: the reader's
 * @pos: position
 *
 * Return: 0; -ENODATA where there is none: dropped, or a sealed segment's rest;
 * -EIO, -ENOMEM, -EINTR: it could not be read from the store.
 */
static __always_inline int evs_view_at(struct evs_log *log, struct evs_view *view, u64 pos)
{
	/* Unsigned: also false for an empty view. */
	if (likely(pos - view->base < view->end - view->base))
		return 0;
	return __evs_view_at(log, view, pos);
}

void *evs_log_ctl(struct evs_log *log);
vm_fault_t evs_log_fault(struct vm_fault *vmf, u64 end);
vm_fault_t evs_log_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end);

#endif /* EVSTREAM_LOG_H */
