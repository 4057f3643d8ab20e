/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* For kmod/line.c: an iterator over pieces of memory, a byte of which may be missing. */
#ifndef UNIT_LINUX_UIO_H
#define UNIT_LINUX_UIO_H

#include <string.h>

#include <linux/types.h>

/**
 * struct iov_iter - pieces of memory
 * @p: the first byte that is left
 * @count: bytes that are left
 * @good: of them, those that can be read
 * @piece: bytes of a piece
 */
struct iov_iter {
	const u8 *p;
	size_t count;
	size_t good;
	size_t piece;
};

static inline size_t iov_iter_count(const struct iov_iter *i)
{
	return i->count;
}

/* All of it, or the iterator stays where it is. */
static inline bool copy_from_iter_full(void *to, size_t len, struct iov_iter *i)
{
	size_t done = 0, n;

	if (len > i->good)
		return false;
	for (; done < len; done += n) {
		n = len - done < i->piece ? len - done : i->piece;
		memcpy((u8 *)to + done, i->p + done, n);
	}
	i->p += len;
	i->count -= len;
	i->good -= len;
	return true;
}

#endif /* UNIT_LINUX_UIO_H */
