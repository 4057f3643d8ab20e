/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Reader and consumer of files that are laid out as devices; for tests. */
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

/**
 * evs_reader_pending() - whether evs_reader_next() has something to tell, as of now
 * @r: the reader
 *
 * Return: 1, 0 or -ENODEV.
 */
int evs_reader_pending(const struct evs_reader *r);

/**
 * struct evs_consumer_ops - the system calls of a consumer
 * @open: open(2): a file descriptor or a negative errno
 * @ioctl: ioctl(2): 0 or a negative errno
 * @poll: poll(2) of one file, for POLLIN and POLLPRI: the events, 0 or a negative
 *	errno
 * @reader: evs_reader_open_fd(): NULL with errno set
 */
struct evs_consumer_ops {
	int (*open)(const char *path);
	int (*ioctl)(int fd, unsigned long request, void *arg);
	int (*poll)(int fd, int timeout_ms);
	struct evs_reader *(*reader)(int fd);
};

/**
 * evs_consumer_attach() - evs_consumer_open() by other system calls
 * @topic: as evs_consumer_open()
 * @group: likewise
 * @options: likewise
 * @ops: those
 */
struct evs_consumer *evs_consumer_attach(const char *topic, const char *group,
					 const struct evs_consumer_options *options,
					 const struct evs_consumer_ops *ops);

#endif /* EVS_READER_INTERNAL_H */
