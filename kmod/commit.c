// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Records of committed offsets.  Bytes in, bytes out.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include "commit.h"

/* The smallest ones, with empty strings. */
#define KEY_MIN		(2 + 2 + 2 + 4)
#define VALUE_MIN	(2 + 8 + 4 + 2 + 8)
/* Of a string; null has the length -1. */
#define STRING_MAX	0x7fff

static u8 *put_string(u8 *p, const char *s, u32 len)
{
	put_unaligned_be16(len, p);
	memcpy(p + 2, s, len);
	return p + 2 + len;
}

/* What is behind a string that ends before @end, or NULL. */
static const u8 *get_string(const u8 *p, const u8 *end, const char **s, u32 *len)
{
	if (end - p < 2)
		return NULL;
	*len = get_unaligned_be16(p);
	p += 2;
	if (*len > STRING_MAX || end - p < (long)*len)
		return NULL;
	*s = (const char *)p;
	return p + *len;
}

/**
 * evs_commit_key_put() - encode a key
 * @p: EVS_COMMIT_KEY_MAX bytes
 * @key: its names have at most EVS_COMMIT_NAME_MAX bytes
 *
 * Return: its bytes.
 */
u32 evs_commit_key_put(u8 *p, const struct evs_commit_key *key)
{
	u8 *at = p + 2;

	put_unaligned_be16(EVS_COMMIT_KEY_VERSION, p);
	at = put_string(at, key->group, key->group_len);
	at = put_string(at, key->topic, key->topic_len);
	put_unaligned_be32(key->partition, at);
	return (u32)(at + 4 - p);
}

/**
 * evs_commit_key_get() - decode a key
 * @p: its bytes
 * @len: how many
 * @key: out; points to @p
 *
 * Return: 0; -EINVAL: it is none; nothing is known of what the names are made of.
 */
int evs_commit_key_get(const u8 *p, size_t len, struct evs_commit_key *key)
{
	const u8 *end = p + len;

	if (len < KEY_MIN || get_unaligned_be16(p) != EVS_COMMIT_KEY_VERSION)
		return -EINVAL;
	p = get_string(p + 2, end, &key->group, &key->group_len);
	if (p)
		p = get_string(p, end, &key->topic, &key->topic_len);
	if (!p || end - p != 4)
		return -EINVAL;
	if (key->group_len > EVS_COMMIT_NAME_MAX || key->topic_len > EVS_COMMIT_NAME_MAX)
		return -EINVAL;
	key->partition = get_unaligned_be32(p);
	return key->partition > S32_MAX ? -EINVAL : 0;
}

/**
 * evs_commit_value_put() - encode a value
 * @p: EVS_COMMIT_VALUE_MAX bytes
 * @value: what
 *
 * Return: its bytes.
 */
u32 evs_commit_value_put(u8 *p, const struct evs_commit_value *value)
{
	u8 *at = p + 14;

	put_unaligned_be16(EVS_COMMIT_VALUE_VERSION, p);
	put_unaligned_be64(value->offset, p + 2);
	/* Which leader's it was is not known. */
	put_unaligned_be32(~0U, p + 10);
	at = put_string(at, EVS_COMMIT_QUEUE, value->queue ? strlen(EVS_COMMIT_QUEUE) : 0);
	put_unaligned_be64(value->ms, at);
	return (u32)(at + 8 - p);
}

/**
 * evs_commit_value_get() - decode a value
 * @p: its bytes
 * @len: how many
 * @value: out
 *
 * Return: 0; -EINVAL: it is none.
 */
int evs_commit_value_get(const u8 *p, size_t len, struct evs_commit_value *value)
{
	const u8 *end = p + len;
	const char *metadata;
	u32 bytes;

	if (len < VALUE_MIN || get_unaligned_be16(p) != EVS_COMMIT_VALUE_VERSION)
		return -EINVAL;
	value->offset = get_unaligned_be64(p + 2);
	p = get_string(p + 14, end, &metadata, &bytes);
	if (!p || end - p != 8 || value->offset > S64_MAX)
		return -EINVAL;
	value->ms = (s64)get_unaligned_be64(p);
	value->queue = bytes == strlen(EVS_COMMIT_QUEUE) &&
		       !memcmp(metadata, EVS_COMMIT_QUEUE, bytes);
	return 0;
}
