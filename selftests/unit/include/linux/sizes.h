/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* For kmod/line.c: so small that a fuzzer's inputs are more than one piece. */
#ifndef UNIT_LINUX_SIZES_H
#define UNIT_LINUX_SIZES_H

#define SZ_64K		24
#define SZ_1M		64

#endif /* UNIT_LINUX_SIZES_H */
