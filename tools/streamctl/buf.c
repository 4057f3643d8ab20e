// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

static void *no_memory(void)
{
	fputs("streamctl: out of memory\n", stderr);
	exit(2);
}

void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	return p ? p : no_memory();
}

char *xstrdup(const char *s)
{
	char *p = strdup(s);

	return p ? p : no_memory();
}

void buf_reserve(struct buf *b, size_t more)
{
	size_t room = b->room ? b->room : 256;

	if (b->room - b->len >= more)
		return;
	while (room - b->len < more) {
		if (room > SIZE_MAX / 2)
			no_memory();
		room *= 2;
	}
	b->data = xrealloc(b->data, room);
	b->room = room;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (!len)
		return;
	buf_reserve(b, len);
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void buf_puts(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->data[b->len++] = c;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	buf_reserve(b, (size_t)len + 1);
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)len;
}

void buf_free(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

/* The length of the well-formed character at @s, 0: there is none. */
static size_t utf8_char(const unsigned char *s, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	/* Neither longer than needed, nor a surrogate, nor above U+10FFFF. */
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (n > len || s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool utf8_valid(const void *data, size_t len)
{
	const unsigned char *s = data;
	size_t n;

	for (; len; s += n, len -= n) {
		n = utf8_char(s, len);
		if (!n)
			return false;
	}
	return true;
}

static void json_quoted(struct buf *b, const unsigned char *s, size_t len)
{
	size_t n;

	buf_putc(b, '"');
	for (; len; s += n, len -= n) {
		n = utf8_char(s, len);
		if (n > 1) {
			buf_add(b, s, n);
			continue;
		}
		if (!n) {
			buf_puts(b, "\\ufffd");
			n = 1;
			continue;
		}
		switch (*s) {
		case '"':
			buf_puts(b, "\\\"");
			break;
		case '\\':
			buf_puts(b, "\\\\");
			break;
		case '\n':
			buf_puts(b, "\\n");
			break;
		case '\r':
			buf_puts(b, "\\r");
			break;
		case '\t':
			buf_puts(b, "\\t");
			break;
		default:
			if (*s < 0x20 || *s == 0x7f)
				buf_printf(b, "\\u%04x", *s);
			else
				buf_putc(b, (char)*s);
		}
	}
	buf_putc(b, '"');
}

static void json_name(struct json *j, const char *name)
{
	if (j->comma)
		buf_putc(j->out, ',');
	j->comma = true;
	if (name) {
		json_quoted(j->out, (const unsigned char *)name, strlen(name));
		buf_putc(j->out, ':');
	}
}

static void json_open(struct json *j, const char *name, char c)
{
	json_name(j, name);
	buf_putc(j->out, c);
	j->depth++;
	j->comma = false;
}

static void json_close(struct json *j, char c)
{
	buf_putc(j->out, c);
	j->comma = --j->depth;
	if (!j->depth)
		buf_putc(j->out, '\n');
}

void json_object(struct json *j, const char *name)
{
	json_open(j, name, '{');
}

void json_array(struct json *j, const char *name)
{
	json_open(j, name, '[');
}

void json_end_object(struct json *j)
{
	json_close(j, '}');
}

void json_end_array(struct json *j)
{
	json_close(j, ']');
}

void json_bytes(struct json *j, const char *name, const void *data, size_t len)
{
	json_name(j, name);
	json_quoted(j->out, data, len);
}

void json_str(struct json *j, const char *name, const char *s)
{
	json_bytes(j, name, s, strlen(s));
}

void json_uint(struct json *j, const char *name, unsigned long long v)
{
	json_name(j, name);
	buf_printf(j->out, "%llu", v);
}

void json_int(struct json *j, const char *name, long long v)
{
	json_name(j, name);
	buf_printf(j->out, "%lld", v);
}

void json_bool(struct json *j, const char *name, bool v)
{
	json_name(j, name);
	buf_puts(j->out, v ? "true" : "false");
}

void json_null(struct json *j, const char *name)
{
	json_name(j, name);
	buf_puts(j->out, "null");
}
