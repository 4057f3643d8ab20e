/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_BUF_H
#define STREAMCTL_BUF_H

#include <stddef.h>
#include <stdbool.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#ifndef __printf
#define __printf(fmt, args)	__attribute((format(printf, fmt, args)))
#endif

/**
 * struct buf - bytes that grow
 * @data: the bytes, not NUL-terminated
 * @len: how many
 * @room: how many fit
 *
 * Zeroed is empty. Running out of memory ends the program.
 */
struct buf {
	char *data;
	size_t len;
	size_t room;
};

void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);

void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void __printf(2, 3) buf_printf(struct buf *b, const char *fmt, ...);
void buf_free(struct buf *b);

/**
 * struct json - one JSON value after the other, each on a line of its own
 * @out: where to
 * @depth: open objects and arrays
 * @comma: a comma is due before the next element
 */
struct json {
	struct buf *out;
	unsigned int depth;
	bool comma;
};

/* A NULL name is for members of arrays and for the outermost value. */
void json_object(struct json *j, const char *name);
void json_array(struct json *j, const char *name);
void json_end_object(struct json *j);
void json_end_array(struct json *j);
void json_str(struct json *j, const char *name, const char *s);
void json_bytes(struct json *j, const char *name, const void *data, size_t len);
void json_uint(struct json *j, const char *name, unsigned long long v);
void json_int(struct json *j, const char *name, long long v);
void json_bool(struct json *j, const char *name, bool v);
void json_null(struct json *j, const char *name);
bool utf8_valid(const void *data, size_t len);

#endif /* STREAMCTL_BUF_H */
