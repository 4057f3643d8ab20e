/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_PARSE_H
#define STREAMCTL_PARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/evstream.h>

#include "buf.h"

/* All parsers: true and the value stored, or false and nothing stored. */
bool parse_number(const char *s, uint64_t max, uint64_t *value);
bool parse_size(const char *s, uint64_t *bytes);
bool parse_time(const char *s, uint64_t *ms);
bool parse_mode(const char *s, uint32_t *mode);
bool parse_retention(const char *s, bool *has_time, uint64_t *ms,
		     bool *has_size, uint64_t *bytes);
bool parse_owner(const char *s, bool *has_uid, uid_t *uid,
		 bool *has_gid, gid_t *gid);
bool parse_name(const char *s);
bool parse_entry(const char *s, char name[EVSTREAM_NAME_MAX + 1]);
char *parse_list_line(char *line);
bool parse_partitions(const char *s, uint32_t **partitions, uint32_t *count);
bool parse_shift(const char *s, int64_t *shift);
bool parse_moment(const char *s, int64_t now_ms, int64_t *ms);

/**
 * struct start - where a consumer starts
 * @where: the kind of place
 * @value: the offset, the milliseconds, or the records before the end
 */
struct start {
	enum {
		START_BEGINNING,
		START_END,
		START_OFFSET,
		START_TIME,
		START_BEFORE_END,
	} where;
	int64_t value;
};

bool parse_start(const char *s, struct start *start);

/* In the units above; what they cannot tell exactly is told in smaller ones. */
void print_size(struct buf *b, uint64_t bytes);
void print_size_rough(struct buf *b, uint64_t bytes);
void print_time(struct buf *b, uint64_t ms);
void print_time_rough(struct buf *b, uint64_t ms);
void print_stamp(struct buf *b, int64_t ms);
void print_errno(struct buf *b, int err);

#endif /* STREAMCTL_PARSE_H */
