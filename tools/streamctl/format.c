// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

/* @letter: of %letter, 0: @literal as it is */
struct format_part {
	char letter;
	struct buf literal;
};

static struct format_part *add_part(struct format *f, char letter)
{
	struct format_part *part;

	f->parts = xrealloc(f->parts, (f->count + 1) * sizeof(*f->parts));
	part = &f->parts[f->count++];
	memset(part, 0, sizeof(*part));
	part->letter = letter;
	return part;
}

static void add_char(struct format *f, char c)
{
	struct format_part *part = f->count ? &f->parts[f->count - 1] : NULL;

	if (!part || part->letter)
		part = add_part(f, 0);
	buf_putc(&part->literal, c);
}

static int hex_digit(char c)
{
	if (!isxdigit((unsigned char)c))
		return -1;
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* The escape after the backslash at @s; returns what follows it, or NULL. */
static const char *parse_escape(struct format *f, const char *s)
{
	int high, low;

	switch (*s) {
	case 'n':
		add_char(f, '\n');
		break;
	case 't':
		add_char(f, '\t');
		break;
	case 'r':
		add_char(f, '\r');
		break;
	case '0':
		add_char(f, '\0');
		break;
	case '\\':
		add_char(f, '\\');
		break;
	case 'x':
		high = hex_digit(s[1]);
		low = high < 0 ? -1 : hex_digit(s[2]);
		if (low < 0)
			return NULL;
		add_char(f, (char)(high * 16 + low));
		return s + 3;
	default:
		return NULL;
	}
	return s + 1;
}

/**
 * format_parse() - parse a format string
 * @f: out
 * @text: the string
 * @fault: out: where @text is wrong
 *
 * Return: 0 or -EINVAL.
 */
int format_parse(struct format *f, const char *text, const char **fault)
{
	const char *s = text;

	memset(f, 0, sizeof(*f));
	while (*s) {
		*fault = s;
		if (*s == '\\') {
			s = parse_escape(f, s + 1);
			if (!s)
				goto err_free;
		} else if (*s != '%') {
			add_char(f, *s++);
		} else if (s[1] == '%') {
			add_char(f, '%');
			s += 2;
		} else if (s[1] && strchr("tpoksThSK", s[1])) {
			add_part(f, s[1]);
			s += 2;
		} else {
			goto err_free;
		}
	}
	return 0;

err_free:
	format_free(f);
	return -EINVAL;
}

void format_free(struct format *f)
{
	size_t i;

	for (i = 0; i < f->count; i++)
		buf_free(&f->parts[i].literal);
	free(f->parts);
	memset(f, 0, sizeof(*f));
}

/* Name=value,…; a null value is NULL, as kcat has it. */
static void print_headers(struct buf *out, const struct evs_record *rec)
{
	struct evs_header_iter it;
	struct evs_header header;
	const char *comma = "";

	evs_header_first(&it, rec);
	while (evs_header_next(&it, &header) == 1) {
		buf_puts(out, comma);
		buf_add(out, header.key, (size_t)header.key_len);
		buf_putc(out, '=');
		if (header.value_len < 0)
			buf_puts(out, "NULL");
		else
			buf_add(out, header.value, (size_t)header.value_len);
		comma = ",";
	}
}

/**
 * format_record() - print a record
 * @f: how
 * @out: where to
 * @topic: its topic
 * @partition: its partition
 * @rec: the record
 */
void format_record(const struct format *f, struct buf *out, const char *topic,
		   uint32_t partition, const struct evs_record *rec)
{
	const struct format_part *part;

	for (part = f->parts; part < f->parts + f->count; part++) {
		switch (part->letter) {
		case 0:
			buf_add(out, part->literal.data, part->literal.len);
			break;
		case 't':
			buf_puts(out, topic);
			break;
		case 'p':
			buf_printf(out, "%u", partition);
			break;
		case 'o':
			buf_printf(out, "%lld", (long long)rec->offset);
			break;
		case 'T':
			buf_printf(out, "%lld", (long long)rec->timestamp);
			break;
		case 'k':
			if (rec->key_len > 0)
				buf_add(out, rec->key, (size_t)rec->key_len);
			break;
		case 'K':
			buf_printf(out, "%d", rec->key_len);
			break;
		case 's':
			if (rec->value_len > 0)
				buf_add(out, rec->value, (size_t)rec->value_len);
			break;
		case 'S':
			buf_printf(out, "%d", rec->value_len);
			break;
		case 'h':
			print_headers(out, rec);
			break;
		}
	}
}
