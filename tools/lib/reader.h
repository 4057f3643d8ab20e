/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The reader of any file that is laid out as a partition's device; for tests. */
#ifndef EVS_READER_INTERNAL_H
#define EVS_READER_INTERNAL_H

#include "evstream.h"

/* &EVSTREAM_IOC_SEEK of a device: 0 or a negative errno. */
typedef int (*evs_seek_fn)(int fd, struct evstream_seek *seek);

/**
 * evs_reader_attach() - evs_reader_open_fd() of anything
 * @fd: the file; on success the reader owns it
 * @flags: as evs_reader_open()
 * @seek: how to seek in it
 * @window: address space to map at a time, a power of two; 0: as for a device
 */
struct evs_reader *evs_reader_attach(int fd, unsigned int flags, evs_seek_fn seek,
				     size_t window);

#endif /* EVS_READER_INTERNAL_H */
