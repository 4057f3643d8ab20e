/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef _TOOLS_LINUX_COMPILER_H
#define _TOOLS_LINUX_COMPILER_H

#ifndef __packed
#define __packed	__attribute__((__packed__))
#endif

#ifndef noinline
#define noinline	__attribute__((__noinline__))
#endif

#ifndef __force
#define __force
#endif

#ifndef __always_inline
#define __always_inline	inline __attribute__((__always_inline__))
#endif

#ifndef fallthrough
#define fallthrough	__attribute__((__fallthrough__))
#endif

#ifndef likely
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#endif

#endif /* _TOOLS_LINUX_COMPILER_H */
