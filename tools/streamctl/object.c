// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nl.h"
#include "object.h"
#include "parse.h"

const char *field_name(const struct field *fields, int attr)
{
	for (; fields->attr; fields++)
		if (fields->attr == attr)
			return fields->name;
	return "unknown attribute";
}

static const char *enum_name(const struct field *f, uint64_t value)
{
	size_t i;

	for (i = 0; f->values[i]; i++)
		if (i == value)
			return f->values[i];
	return NULL;
}

/* Bytes of the character at @s, 0: it is none that can be printed. */
static size_t printable(const char *s)
{
	unsigned char c = (unsigned char)*s;
	size_t n;

	if (c < 0x80)
		return !iscntrl(c);
	for (n = 2; n <= 4; n++)
		if (utf8_valid(s, n))
			/* Terminals have controls there, too. */
			return c == 0xc2 && (unsigned char)s[1] < 0xa0 ? 0 : n;
	return 0;
}

/* What others have named is not to move a terminal's cursor. */
static void print_name(struct buf *out, const char *s)
{
	size_t n;

	for (; *s; s += n) {
		n = printable(s);
		if (n) {
			buf_add(out, s, n);
			continue;
		}
		buf_printf(out, "\\x%02x", (unsigned char)*s);
		n = 1;
	}
}

void field_print(struct buf *out, const struct field *f, const struct nlattr *attr)
{
	uint64_t v = f->kind == FIELD_STRING ? 0 : nl_uint(attr);
	const char *name = NULL;
	struct passwd *pw;
	struct group *gr;

	switch (f->kind) {
	case FIELD_STRING:
		print_name(out, nla_get_string((struct nlattr *)attr));
		return;
	case FIELD_FLAG:
		name = "yes";
		break;
	case FIELD_AGE:
		print_time_rough(out, v);
		return;
	case FIELD_NUMBER:
		break;
	case FIELD_LIMIT:
		if (v) {
			print_size(out, v);
			return;
		}
		name = "none";
		break;
	case FIELD_SIZE:
		print_size(out, v);
		return;
	case FIELD_BYTES:
		print_size_rough(out, v);
		return;
	case FIELD_TIME:
		if (v) {
			print_time(out, v);
			return;
		}
		name = "none";
		break;
	case FIELD_STAMP:
		print_stamp(out, (int64_t)v);
		return;
	case FIELD_ENUM:
		name = enum_name(f, v);
		break;
	case FIELD_MODE:
		buf_printf(out, "%04o", (unsigned int)v);
		return;
	case FIELD_USER:
		pw = getpwuid((uid_t)v);
		name = pw ? pw->pw_name : NULL;
		break;
	case FIELD_GROUP:
		gr = getgrgid((gid_t)v);
		name = gr ? gr->gr_name : NULL;
		break;
	case FIELD_ERRNO:
		print_errno(out, (int)v);
		return;
	}
	if (name)
		buf_puts(out, name);
	else
		buf_printf(out, "%llu", (unsigned long long)v);
}

static void field_json(struct json *j, const struct field *f, const struct nlattr *attr)
{
	const char *name = NULL;
	struct buf text = {};
	char mode[16];

	switch (f->kind) {
	case FIELD_STRING:
		name = nla_get_string((struct nlattr *)attr);
		break;
	case FIELD_ENUM:
		name = enum_name(f, nl_uint(attr));
		break;
	case FIELD_MODE:
		/* No base but eight says what it is. */
		snprintf(mode, sizeof(mode), "%04o", (unsigned int)nl_uint(attr));
		name = mode;
		break;
	case FIELD_ERRNO:
		print_errno(&text, (int)nl_uint(attr));
		buf_putc(&text, '\0');
		name = text.data;
		break;
	default:
		break;
	}
	if (name)
		json_str(j, f->name, name);
	else
		json_uint(j, f->name, nl_uint(attr));
	buf_free(&text);
}

/* The members of an object that the caller has opened. */
void object_json(struct json *j, const struct field *fields, struct nlattr **attrs)
{
	const struct field *f;

	for (f = fields; f->attr; f++) {
		if (f->kind == FIELD_FLAG)
			json_bool(j, f->name, attrs[f->attr]);
		else if (attrs[f->attr])
			field_json(j, f, attrs[f->attr]);
	}
}

void object_text(struct buf *out, const struct field *fields, struct nlattr **attrs)
{
	const struct field *f;
	int width = 0;

	for (f = fields; f->attr; f++)
		if ((int)strlen(f->title) > width)
			width = (int)strlen(f->title);
	for (f = fields; f->attr; f++) {
		if (!attrs[f->attr])
			continue;
		buf_printf(out, "%-*s  ", width, f->title);
		field_print(out, f, attrs[f->attr]);
		buf_putc(out, '\n');
	}
}

void table_begin(struct table *t, const struct field *fields)
{
	const struct field *f;

	memset(t, 0, sizeof(*t));
	t->fields = fields;
	for (f = fields; f->attr; f++)
		t->columns += f->flags & FIELD_COLUMN;
}

void table_add(struct table *t, struct nlattr **attrs)
{
	const struct field *f;
	struct buf cell;
	char **row;

	t->cells = xrealloc(t->cells, (t->rows + 1) * t->columns * sizeof(*row));
	row = t->cells + t->rows++ * t->columns;
	for (f = t->fields; f->attr; f++) {
		if (!(f->flags & FIELD_COLUMN))
			continue;
		memset(&cell, 0, sizeof(cell));
		if (attrs[f->attr]) {
			field_print(&cell, f, attrs[f->attr]);
			buf_putc(&cell, '\0');
		}
		*row++ = cell.data;
	}
}

static void print_title(struct buf *out, const char *title)
{
	for (; *title; title++)
		buf_putc(out, (char)toupper((unsigned char)*title));
}

/* Numbers end where the others of their column do, words begin there. */
static bool is_word(const struct field *f)
{
	return f->kind == FIELD_STRING || f->kind == FIELD_ENUM ||
	       f->kind == FIELD_USER || f->kind == FIELD_GROUP ||
	       f->kind == FIELD_MODE || f->kind == FIELD_STAMP ||
	       f->kind == FIELD_ERRNO || f->kind == FIELD_FLAG;
}

static void print_cell(struct buf *out, const struct field *f, size_t width,
		       bool last, const char *text, bool title)
{
	size_t pad = width - strlen(text);
	bool word = is_word(f);
	size_t i;

	for (i = 0; !word && i < pad; i++)
		buf_putc(out, ' ');
	if (title)
		print_title(out, text);
	else
		buf_puts(out, text);
	for (i = 0; word && !last && i < pad; i++)
		buf_putc(out, ' ');
	buf_puts(out, last ? "\n" : "  ");
}

/* The cell's text, NULL where the row has no such attribute. */
static const char *cell_of(const struct table *t, size_t row, size_t column)
{
	return t->cells[row * t->columns + column];
}

/* How wide a column must be; 0: it is left out. */
static size_t column_width(const struct table *t, const struct field *f, size_t column)
{
	size_t title = strlen(f->title);
	size_t row, len, width = 0;

	for (row = 0; row < t->rows; row++) {
		if (!cell_of(t, row, column))
			continue;
		len = strlen(cell_of(t, row, column));
		if (len > width)
			width = len;
	}
	if (!width && f->flags & FIELD_OPTIONAL)
		return 0;
	return width > title ? width : title;
}

void table_end(struct table *t, struct buf *out, const char *indent)
{
	size_t *width = xrealloc(NULL, t->columns * sizeof(*width));
	size_t column, row, last = 0;
	const struct field *f;
	const char *text;

	for (f = t->fields, column = 0; f->attr; f++) {
		if (!(f->flags & FIELD_COLUMN))
			continue;
		width[column] = column_width(t, f, column);
		if (width[column])
			last = column;
		column++;
	}
	for (row = 0; row <= t->rows; row++) {
		buf_puts(out, indent);
		for (f = t->fields, column = 0; f->attr; f++) {
			if (!(f->flags & FIELD_COLUMN))
				continue;
			text = row ? cell_of(t, row - 1, column) : f->title;
			if (width[column])
				print_cell(out, f, width[column], column == last,
					   text ? text : "-", !row);
			column++;
		}
	}
	for (row = 0; row < t->rows * t->columns; row++)
		free(t->cells[row]);
	free(t->cells);
	free(width);
	memset(t, 0, sizeof(*t));
}
