/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The ways to a CRC-32C, raw as crc32c() of <linux/crc32c.h>; for tests.
 * The tables are filled only where the processor has no instruction.
 */
#ifndef EVS_CRC32C_H
#define EVS_CRC32C_H

#include <linux/types.h>

void evs_crc32c_fill_tables(void);
u32 evs_crc32c_tables(u32 crc, const void *data, size_t len);
#if defined(__x86_64__)
u32 evs_crc32c_sse42(u32 crc, const void *data, size_t len);
#endif

#endif /* EVS_CRC32C_H */
