/* SPDX-License-Identifier: GPL-2.0 */
/* The only place that knows kernel versions. */
#ifndef EVSTREAM_COMPAT_H
#define EVSTREAM_COMPAT_H

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/version.h>

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

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define evs_alloc_folio(gfp, order)	filemap_alloc_folio(gfp, order)
#else
#define evs_alloc_folio(gfp, order)	filemap_alloc_folio(gfp, order, NULL)
#endif

#endif /* EVSTREAM_COMPAT_H */
