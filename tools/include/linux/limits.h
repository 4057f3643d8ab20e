/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef _TOOLS_LINUX_LIMITS_H
#define _TOOLS_LINUX_LIMITS_H

#include_next <linux/limits.h>

#define U32_MAX		((u32)~0U)
#define S32_MAX		((s32)(U32_MAX >> 1))
#define U64_MAX		((u64)~0ULL)
#define S64_MAX		((s64)(U64_MAX >> 1))
#define S64_MIN		((s64)(-S64_MAX - 1))

#endif /* _TOOLS_LINUX_LIMITS_H */
