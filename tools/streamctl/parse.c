// SPDX-License-Identifier: GPL-2.0
/* How people write sizes, times, owners and places, and how we write them back. */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parse.h"

/* Digits at @s; @end is what follows them. strtoull() would take "-1", " 1". */
static bool digits(const char *s, const char **end, uint64_t *value)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)*s))
		return false;
	for (; isdigit((unsigned char)*s); s++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	}
	*end = s;
	*value = v;
	return true;
}

bool parse_number(const char *s, uint64_t max, uint64_t *value)
{
	uint64_t v;

	if (!digits(s, &s, &v) || *s || v > max)
		return false;
	*value = v;
	return true;
}

/* A number with a unit of those in @units, which ends with a NULL. */
struct unit {
	const char *name;
	uint64_t factor;
};

static bool parse_unit(const char *s, const struct unit *units, uint64_t *value)
{
	uint64_t v;

	if (!digits(s, &s, &v))
		return false;
	for (; units->name; units++)
		if (!strcasecmp(s, units->name))
			break;
	/* Zero is zero in every unit. */
	if (!units->name && (v || *s))
		return false;
	if (units->name && __builtin_mul_overflow(v, units->factor, &v))
		return false;
	*value = v;
	return true;
}

bool parse_size(const char *s, uint64_t *bytes)
{
	static const struct unit units[] = {
		{ "", 1 }, { "B", 1 },
		{ "K", 1ULL << 10 }, { "KiB", 1ULL << 10 },
		{ "M", 1ULL << 20 }, { "MiB", 1ULL << 20 },
		{ "G", 1ULL << 30 }, { "GiB", 1ULL << 30 },
		{ "T", 1ULL << 40 }, { "TiB", 1ULL << 40 },
		{ }
	};

	return parse_unit(s, units, bytes);
}

bool parse_time(const char *s, uint64_t *ms)
{
	static const struct unit units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 },
		{ "h", 60 * 60 * 1000 }, { "d", 24 * 60 * 60 * 1000 },
		{ }
	};

	return parse_unit(s, units, ms);
}

bool parse_mode(const char *s, uint32_t *mode)
{
	uint32_t v = 0;

	if (!*s || strlen(s) > 6)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '7')
			return false;
		v = v * 8 + (uint32_t)(*s - '0');
	}
	*mode = v;
	return true;
}

/* TIME[,SIZE] or ,SIZE */
bool parse_retention(const char *s, bool *has_time, uint64_t *ms,
		     bool *has_size, uint64_t *bytes)
{
	const char *comma = strchr(s, ',');
	size_t len = comma ? (size_t)(comma - s) : strlen(s);
	uint64_t time = 0, size = 0;
	char text[32];

	if (len >= sizeof(text) || (!len && !comma))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	if (len && !parse_time(text, &time))
		return false;
	if (comma && !parse_size(comma + 1, &size))
		return false;
	*has_time = len;
	*has_size = comma;
	*ms = time;
	*bytes = size;
	return true;
}

/* USER[:GROUP] or :GROUP, names or numbers; a name wins, as in chown(1) */
bool parse_owner(const char *s, bool *has_uid, uid_t *uid,
		 bool *has_gid, gid_t *gid)
{
	const char *colon = strchr(s, ':');
	size_t len = colon ? (size_t)(colon - s) : strlen(s);
	struct passwd *pw;
	struct group *gr;
	char user[256];
	uint64_t n;

	*has_uid = len;
	*has_gid = colon;
	if (len >= sizeof(user) || (!len && !colon) || (colon && !colon[1]))
		return false;
	memcpy(user, s, len);
	user[len] = '\0';
	if (len) {
		pw = getpwnam(user);
		if (pw)
			*uid = pw->pw_uid;
		else if (parse_number(user, UINT32_MAX, &n))
			*uid = (uid_t)n;
		else
			return false;
	}
	if (colon) {
		gr = getgrnam(colon + 1);
		if (gr)
			*gid = gr->gr_gid;
		else if (parse_number(colon + 1, UINT32_MAX, &n))
			*gid = (gid_t)n;
		else
			return false;
	}
	return true;
}

/* What can be a topic's name: nothing else may become part of a path. */
bool parse_name(const char *s)
{
	size_t len = strlen(s);
	size_t i;

	if (!len || len > EVSTREAM_NAME_MAX || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
			    s[i]))
			return false;
	return true;
}

/*
 * What a topic has in a directory: a directory NAME-<n> for each partition, a file
 * NAME.evstream. True: so it is called, and its topic's name is stored.
 */
bool parse_entry(const char *s, char name[EVSTREAM_NAME_MAX + 1])
{
	static const char config[] = ".evstream";
	const char *dash = strrchr(s, '-');
	size_t len = strlen(s);
	uint64_t v;

	if (len >= sizeof(config) &&
	    !strcmp(s + len - (sizeof(config) - 1), config))
		len -= sizeof(config) - 1;
	else if (dash && parse_number(dash + 1, EVSTREAM_PARTITIONS_MAX - 1, &v) &&
		 (dash[1] != '0' || !dash[2]))
		len = (size_t)(dash - s);
	else
		return false;
	if (len > EVSTREAM_NAME_MAX)
		return false;
	memcpy(name, s, len);
	name[len] = '\0';
	return parse_name(name);
}

/*
 * The directory that a line of a list names, cut out in place; NULL: none. A '#' at
 * the beginning of a word begins a comment.
 */
char *parse_list_line(char *line)
{
	char *end;

	while (isspace((unsigned char)*line))
		line++;
	for (end = line; *end; end++)
		if (*end == '#' && (end == line || isspace((unsigned char)end[-1])))
			break;
	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return end > line ? line : NULL;
}

/* beginning | end | OFFSET | -RECORDS (before the end) | @MILLIS */
bool parse_start(const char *s, struct start *start)
{
	uint64_t v = 0;

	if (!strcmp(s, "beginning") || !strcmp(s, "earliest")) {
		start->where = START_BEGINNING;
	} else if (!strcmp(s, "end") || !strcmp(s, "latest")) {
		start->where = START_END;
	} else if (s[0] == '@') {
		if (!parse_number(s + 1, INT64_MAX, &v))
			return false;
		start->where = START_TIME;
	} else if (s[0] == '-') {
		if (!parse_number(s + 1, INT64_MAX, &v))
			return false;
		start->where = START_BEFORE_END;
	} else {
		if (!parse_number(s, INT64_MAX, &v))
			return false;
		start->where = START_OFFSET;
	}
	start->value = (int64_t)v;
	return true;
}

/* N,N,...; the numbers are to be freed. */
bool parse_partitions(const char *s, uint32_t **partitions, uint32_t *count)
{
	uint32_t *found = NULL, n = 0;
	uint64_t v;

	while (digits(s, &s, &v) && v < EVSTREAM_PARTITIONS_MAX) {
		found = xrealloc(found, (n + 1) * sizeof(*found));
		found[n++] = (uint32_t)v;
		if (!*s && n <= EVSTREAM_PARTITIONS_MAX) {
			*partitions = found;
			*count = n;
			return true;
		}
		if (*s++ != ',')
			break;
	}
	free(found);
	return false;
}

/* A number of records, forth or back. */
bool parse_shift(const char *s, int64_t *shift)
{
	bool back = *s == '-';
	uint64_t v;

	if (!parse_number(s + (back || *s == '+'), INT64_MAX, &v))
		return false;
	*shift = back ? -(int64_t)v : (int64_t)v;
	return true;
}

/* Milliseconds since the epoch, or a time before @now_ms. */
bool parse_moment(const char *s, int64_t now_ms, int64_t *ms)
{
	uint64_t v;

	if (parse_number(s, INT64_MAX, &v)) {
		*ms = (int64_t)v;
		return true;
	}
	if (!parse_time(s, &v))
		return false;
	*ms = v < (uint64_t)now_ms ? now_ms - (int64_t)v : 0;
	return true;
}

void print_size(struct buf *b, uint64_t bytes)
{
	static const char units[] = "\0KMGT";
	size_t i = 0;

	while (bytes && !(bytes % 1024) && i < sizeof(units) - 2) {
		bytes /= 1024;
		i++;
	}
	buf_printf(b, "%llu", (unsigned long long)bytes);
	if (i)
		buf_putc(b, units[i]);
}

void print_size_rough(struct buf *b, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double v = (double)bytes;
	int i = -1;

	if (!(bytes % 1024) || bytes < 10000) {
		print_size(b, bytes);
		return;
	}
	while (v >= 1024 && i < (int)sizeof(units) - 2) {
		v /= 1024;
		i++;
	}
	buf_printf(b, "%.1f%c", v, units[i]);
}

void print_time(struct buf *b, uint64_t ms)
{
	static const struct unit units[] = {
		{ "d", 24 * 60 * 60 * 1000 }, { "h", 60 * 60 * 1000 },
		{ "m", 60 * 1000 }, { "s", 1000 }, { "ms", 1 },
	};
	const struct unit *u = units;

	while (ms % u->factor || (!ms && u->factor > 1000))
		u++;
	buf_printf(b, "%llu%s", (unsigned long long)(ms / u->factor), u->name);
}

/* Two units at the most. */
void print_time_rough(struct buf *b, uint64_t ms)
{
	uint64_t s = ms / 1000, m = s / 60, h = m / 60;

	if (ms < 1000)
		buf_printf(b, "%llums", (unsigned long long)ms);
	else if (s < 60)
		buf_printf(b, "%llu.%llus", (unsigned long long)s,
			   (unsigned long long)(ms % 1000 / 100));
	else if (m < 60)
		buf_printf(b, "%llum%02llus", (unsigned long long)m,
			   (unsigned long long)(s % 60));
	else if (h < 24)
		buf_printf(b, "%lluh%02llum", (unsigned long long)h,
			   (unsigned long long)(m % 60));
	else
		buf_printf(b, "%llud%02lluh", (unsigned long long)(h / 24),
			   (unsigned long long)(h % 24));
}

void print_stamp(struct buf *b, int64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[64];
	struct tm tm;

	if (ms < 0 || !localtime_r(&seconds, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm)) {
		buf_printf(b, "%lld", (long long)ms);
		return;
	}
	buf_printf(b, "%s.%03d", text, (int)(ms % 1000));
}

/* Its name, where it has one. */
void print_errno(struct buf *b, int err)
{
	const char *name = strerrorname_np(err);

	if (name)
		buf_puts(b, name);
	else
		buf_printf(b, "%d", err);
}
