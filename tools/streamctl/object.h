/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_OBJECT_H
#define STREAMCTL_OBJECT_H

#include <netlink/attr.h>

#include "buf.h"

/* How a value is written for people; JSON has plain numbers of ms and bytes. */
enum field_kind {
	FIELD_STRING,
	FIELD_NUMBER,
	FIELD_SIZE,		/* exactly, to be given back */
	FIELD_BYTES,		/* roughly */
	FIELD_LIMIT,		/* as FIELD_SIZE, 0: none */
	FIELD_TIME,		/* 0: none */
	FIELD_AGE,		/* roughly */
	FIELD_STAMP,
	FIELD_ENUM,
	FIELD_MODE,
	FIELD_USER,
	FIELD_GROUP,
	FIELD_ERRNO,
	FIELD_FLAG,		/* there or not */
};

/* flags */
#define FIELD_COLUMN	1	/* is a column of tables */
#define FIELD_OPTIONAL	2	/* ... where a row has it */

/**
 * struct field - one attribute of an object, for text and JSON alike
 * @attr: the netlink attribute, 0 ends a list
 * @kind: how it is written
 * @flags: FIELD_COLUMN, FIELD_OPTIONAL
 * @name: in JSON, and in errors
 * @title: for people
 * @values: names of an enum's values, ends with NULL
 */
struct field {
	int attr;
	enum field_kind kind;
	unsigned int flags;
	const char *name;
	const char *title;
	const char *const *values;
};

const char *field_name(const struct field *fields, int attr);
void field_print(struct buf *out, const struct field *f, const struct nlattr *attr);
void object_json(struct json *j, const struct field *fields, struct nlattr **attrs);
void object_text(struct buf *out, const struct field *fields, struct nlattr **attrs);

/**
 * struct table - lines whose columns are as wide as they must be
 *
 * All members are private.
 */
struct table {
	const struct field *fields;
	char **cells;
	size_t columns;
	size_t rows;
};

void table_begin(struct table *t, const struct field *fields);
void table_add(struct table *t, struct nlattr **attrs);
void table_end(struct table *t, struct buf *out, const char *indent);

#endif /* STREAMCTL_OBJECT_H */
