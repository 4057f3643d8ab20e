/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef _TOOLS_LINUX_BUILD_BUG_H
#define _TOOLS_LINUX_BUILD_BUG_H

/* static_assert() */
#include <assert.h>

#endif /* _TOOLS_LINUX_BUILD_BUG_H */
