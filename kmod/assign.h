/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which member gets which partition.  Pure: arrays in, arrays out.
 */
#ifndef EVSTREAM_ASSIGN_H
#define EVSTREAM_ASSIGN_H

#include <linux/types.h>

#define EVS_NOBODY	(~0U)

void evs_assign(u32 *owner, u32 partitions, const bool *fixed, u32 *load, u32 members);

#endif /* EVSTREAM_ASSIGN_H */
