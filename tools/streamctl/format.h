/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_FORMAT_H
#define STREAMCTL_FORMAT_H

#include <stdint.h>

#include "buf.h"
#include "evstream.h"

/**
 * struct format - how a record is printed: kcat's format strings
 * @parts: what to print, one after the other
 * @count: how many
 */
struct format {
	struct format_part *parts;
	size_t count;
};

int format_parse(struct format *f, const char *text, const char **fault);
void format_free(struct format *f);
void format_record(const struct format *f, struct buf *out, const char *topic,
		   uint32_t partition, const struct evs_record *rec);

#endif /* STREAMCTL_FORMAT_H */
