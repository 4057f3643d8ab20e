/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef _TOOLS_LINUX_UNALIGNED_H
#define _TOOLS_LINUX_UNALIGNED_H

#include <asm/byteorder.h>
#include <linux/types.h>
#include <string.h>

#define cpu_to_be16	__cpu_to_be16
#define cpu_to_be32	__cpu_to_be32
#define cpu_to_be64	__cpu_to_be64
#define be16_to_cpu	__be16_to_cpu
#define be32_to_cpu	__be32_to_cpu
#define be64_to_cpu	__be64_to_cpu

#define __EVS_UNALIGNED_BE(bits)					\
static inline u##bits get_unaligned_be##bits(const void *p)		\
{									\
	__be##bits v;							\
									\
	memcpy(&v, p, sizeof(v));					\
	return be##bits##_to_cpu(v);					\
}									\
									\
static inline void put_unaligned_be##bits(u##bits v, void *p)		\
{									\
	__be##bits be = cpu_to_be##bits(v);				\
									\
	memcpy(p, &be, sizeof(be));					\
}

__EVS_UNALIGNED_BE(16)
__EVS_UNALIGNED_BE(32)
__EVS_UNALIGNED_BE(64)

static inline u32 get_unaligned_le32(const void *p)
{
	__le32 v;

	memcpy(&v, p, sizeof(v));
	return __le32_to_cpu(v);
}

#endif /* _TOOLS_LINUX_UNALIGNED_H */
