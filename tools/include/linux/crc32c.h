/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef _TOOLS_LINUX_CRC32C_H
#define _TOOLS_LINUX_CRC32C_H

#include <linux/types.h>

/* As the kernel's: neither inverted before nor after. */
u32 crc32c(u32 crc, const void *address, unsigned int length);

#endif /* _TOOLS_LINUX_CRC32C_H */
