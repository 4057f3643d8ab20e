/* SPDX-License-Identifier: GPL-2.0 */
/* The only place that knows kernel versions. */
#ifndef EVSTREAM_COMPAT_H
#define EVSTREAM_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/version.h>

#ifndef __uninitialized
#define __uninitialized	__attribute__((__uninitialized__))
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#define evs_pfn(pfn)	pfn_to_pfn_t(pfn)
#else
#define evs_pfn(pfn)	(pfn)
#endif

static inline vm_fault_t evs_insert_zero_page(struct vm_fault *vmf)
{
	return vmf_insert_mixed(vmf->vma, vmf->address,
				evs_pfn(page_to_pfn(ZERO_PAGE(vmf->address))));
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#include <linux/pagevec.h>
#else
#include <linux/folio_batch.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define evs_alloc_folio(gfp, order)	filemap_alloc_folio(gfp, order)
#else
#define evs_alloc_folio(gfp, order)	filemap_alloc_folio(gfp, order, NULL)
#endif

/*
 * Until 6.14 crc32c() went through a descriptor that is as large as any hash
 * may want. The hash itself wants four bytes: as ext4, ask it directly.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#include <crypto/hash.h>
#include <linux/err.h>

extern struct crypto_shash *evs_crc_hash;

static inline u32 evs_crc32c(u32 crc, const void *p, unsigned int len)
{
	struct {
		struct shash_desc desc;
		u32 crc;
	} d __uninitialized;

	d.desc.tfm = evs_crc_hash;
	d.crc = crc;
	/* It cannot fail: bytes in, four bytes of state. */
	crypto_shash_update(&d.desc, p, len);
	return d.crc;
}

static inline int evs_crc_init(void)
{
	evs_crc_hash = crypto_alloc_shash("crc32c", 0, 0);
	if (IS_ERR(evs_crc_hash))
		return PTR_ERR(evs_crc_hash);
	if (crypto_shash_descsize(evs_crc_hash) != sizeof(u32)) {
		crypto_free_shash(evs_crc_hash);
		return -EINVAL;
	}
	return 0;
}

static inline void evs_crc_exit(void)
{
	crypto_free_shash(evs_crc_hash);
}

#define EVS_DEFINE_CRC_HASH	struct crypto_shash *evs_crc_hash
#else
#include <linux/crc32c.h>

#define evs_crc32c(crc, p, len)	crc32c(crc, p, len)
static inline int evs_crc_init(void) { return 0; }
static inline void evs_crc_exit(void) { }
#define EVS_DEFINE_CRC_HASH	struct crypto_shash
#endif

/* Directory entries, whose locking changed hands between 6.17 and 6.19. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
static inline int __evs_mkdir(const struct path *dir, const char *name, umode_t mode)
{
	struct inode *inode = d_inode(dir->dentry);
	struct dentry *child;
	int ret;

	inode_lock_nested(inode, I_MUTEX_PARENT);
	child = lookup_one_len(name, dir->dentry, strlen(name));
	ret = PTR_ERR_OR_ZERO(child);
	if (!ret) {
		ret = d_is_positive(child) ? -EEXIST :
		      vfs_mkdir(mnt_idmap(dir->mnt), inode, child, mode);
		dput(child);
	}
	inode_unlock(inode);
	return ret;
}

static inline int __evs_remove(const struct path *path, bool dir)
{
	struct mnt_idmap *idmap = mnt_idmap(path->mnt);
	struct dentry *parent = dget_parent(path->dentry);
	struct inode *inode = d_inode(parent);
	int ret;

	inode_lock_nested(inode, I_MUTEX_PARENT);
	/* One reference more than the file's, or d_delete() takes its inode away. */
	dget(path->dentry);
	if (path->dentry->d_parent != parent || d_unhashed(path->dentry))
		ret = -ENOENT;
	else if (dir)
		ret = vfs_rmdir(idmap, inode, path->dentry);
	else
		ret = vfs_unlink(idmap, inode, path->dentry, NULL);
	dput(path->dentry);
	inode_unlock(inode);
	dput(parent);
	return ret;
}
#else
static inline int __evs_mkdir(const struct path *dir, const char *name, umode_t mode)
{
	struct mnt_idmap *idmap = mnt_idmap(dir->mnt);
	struct dentry *child = start_creating(idmap, dir->dentry, &QSTR(name));

	if (IS_ERR(child))
		return PTR_ERR(child);
	child = vfs_mkdir(idmap, d_inode(dir->dentry), child, mode, NULL);
	end_creating(child);
	return PTR_ERR_OR_ZERO(child);
}

static inline int __evs_remove(const struct path *path, bool dir)
{
	struct mnt_idmap *idmap = mnt_idmap(path->mnt);
	struct dentry *parent = dget_parent(path->dentry);
	struct dentry *child = start_removing_dentry(parent, path->dentry);
	int ret = PTR_ERR_OR_ZERO(child);

	if (!ret) {
		ret = dir ? vfs_rmdir(idmap, d_inode(parent), child, NULL) :
			    vfs_unlink(idmap, d_inode(parent), child, NULL);
		end_removing(child);
	}
	dput(parent);
	return ret;
}
#endif

static inline int evs_mkdir(const struct path *dir, const char *name, umode_t mode)
{
	int ret = mnt_want_write(dir->mnt);

	if (!ret) {
		ret = __evs_mkdir(dir, name, mode);
		mnt_drop_write(dir->mnt);
	}
	return ret;
}

static inline int evs_remove(const struct path *path, bool dir)
{
	int ret = mnt_want_write(path->mnt);

	if (!ret) {
		ret = __evs_remove(path, dir);
		mnt_drop_write(path->mnt);
	}
	return ret;
}

#define evs_unlink(path)	evs_remove(path, false)
#define evs_rmdir(path)		evs_remove(path, true)

#endif /* EVSTREAM_COMPAT_H */
