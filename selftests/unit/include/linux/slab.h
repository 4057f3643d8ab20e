/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* For kmod/line.c: allocations that fail when they are told to. */
#ifndef UNIT_LINUX_SLAB_H
#define UNIT_LINUX_SLAB_H

#include <stdlib.h>

#define GFP_KERNEL_ACCOUNT	0

static bool slab_fails;

static inline void *kvmalloc(size_t size, int flags)
{
	(void)flags;
	return slab_fails ? NULL : malloc(size);
}

static inline void kvfree(const void *p)
{
	free((void *)p);
}

#endif /* UNIT_LINUX_SLAB_H */
