// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "nl.h"
#include "parse.h"
#include "streamctl.h"

/**
 * device_open() - open a topic's device
 * @topic: its name
 * @partition: which partition, -1: any
 * @flags: of open()
 *
 * Return: the file descriptor, or - the exit code where what is wrong was said.
 */
int device_open(const char *topic, int partition, int flags)
{
	char path[EVSTREAM_NAME_MAX + 64], node[16] = "any";
	const char *reason = NULL;
	int fd, err;

	if (!parse_name(topic))
		return -usage_error("'%s' cannot be a topic's name", topic);
	if (partition >= 0)
		snprintf(node, sizeof(node), "%d", partition);
	snprintf(path, sizeof(path), "/dev/stream/%s/%s", topic, node);
	fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	err = errno;
	if (err == ENOENT || err == ENODEV || err == ENXIO) {
		if (!nl_loaded())
			return -nl_not_loaded();
		reason = "no such topic or partition";
	}
	return -print_error(err, reason, NULL, path);
}
