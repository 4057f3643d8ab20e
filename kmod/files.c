// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The small files of a durable partition.  Bytes in, bytes out.
 */
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/string.h>

#include "files.h"

#define NAME_DIGITS	20	/* of a file's name; also the most that a u64 has */

#define METADATA_HEAD	"version: 0\ntopic_id: "

/* Where a snapshot's fields are; the CRC covers all from the count on. */
#define SNAPSHOT_CRC	2
#define SNAPSHOT_COUNT	6

#define SLOT_VERSION	"evstream"
#define SLOT_SEQUENCE	"sequence"
#define SLOT_CHECKSUM	"checksum="
#define CHECKSUM_DIGITS	8
/* The last line, without the newline behind it. */
#define CHECKSUM_LINE	(sizeof(SLOT_CHECKSUM) - 1 + CHECKSUM_DIGITS)

static const char hex[] = "0123456789abcdef";

static u32 checksum(const void *p, size_t len)
{
	return ~crc32c(~0U, p, (unsigned int)len);
}

/* The last @digits digits of @v. */
static void put_digits(char *p, u32 digits, u64 v)
{
	u32 digit;

	while (digits--) {
		v = div_u64_rem(v, 10, &digit);
		p[digits] = '0' + digit;
	}
}

static bool parse_u64(const char *p, size_t len, u64 *value)
{
	u64 v = 0;

	if (!len)
		return false;
	for (; len; len--, p++) {
		u32 digit = (u32)*p - '0';

		if (digit > 9 || v > U64_MAX / 10 || v * 10 > U64_MAX - digit)
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	return true;
}

/**
 * evs_file_name() - the name of a segment's file
 * @name: EVS_FILE_NAME bytes
 * @base: the segment's base offset
 * @ending: one of those above, with its dot
 */
void evs_file_name(char *name, u64 base, const char *ending)
{
	put_digits(name, NAME_DIGITS, base);
	memcpy(name + NAME_DIGITS, ending, strlen(ending) + 1);
}

/**
 * evs_file_name_parse() - whether a name is that of a segment's file
 * @name: the name
 * @len: its bytes
 * @ending: what it should end in, with its dot
 * @base: out, with true only: the segment's base offset, at most S64_MAX
 */
bool evs_file_name_parse(const char *name, size_t len, const char *ending, u64 *base)
{
	size_t tail = strlen(ending);
	u64 v;

	if (len != NAME_DIGITS + tail || memcmp(name + NAME_DIGITS, ending, tail) ||
	    !parse_u64(name, NAME_DIGITS, &v) || v > S64_MAX)
		return false;
	*base = v;
	return true;
}

/**
 * evs_metadata_text() - what partition.metadata says
 * @text: EVS_METADATA_SIZE bytes; no zero is put behind the text
 * @uuid: the topic's id
 *
 * The last line has no newline, as Kafka writes it.
 *
 * Return: bytes of text.
 */
size_t evs_metadata_text(char *text, const u8 uuid[16])
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char *p = text + sizeof(METADATA_HEAD) - 1;
	u32 acc = 0, bits = 0, i;

	memcpy(text, METADATA_HEAD, sizeof(METADATA_HEAD) - 1);
	for (i = 0; i < 16; i++) {
		acc = acc << 8 | uuid[i];
		for (bits += 8; bits >= 6; ) {
			bits -= 6;
			*p++ = base64[acc >> bits & 63];
		}
	}
	*p++ = base64[acc << (6 - bits) & 63];
	return p - text;
}

/**
 * evs_snapshot_entry_put() - encode an entry of a .snapshot file
 * @p: EVS_SNAPSHOT_ENTRY bytes
 * @e: the entry
 */
void evs_snapshot_entry_put(u8 *p, const struct evs_snapshot_entry *e)
{
	put_unaligned_be64(e->id, p);
	put_unaligned_be16(e->epoch, p + 8);
	put_unaligned_be32(e->last_sequence, p + 10);
	put_unaligned_be64(e->last_offset, p + 14);
	put_unaligned_be32(e->offset_delta, p + 22);
	put_unaligned_be64(e->timestamp, p + 26);
	/* The transaction coordinator's epoch, and where a transaction began: none. */
	put_unaligned_be32(-1, p + 34);
	put_unaligned_be64(-1, p + 38);
}

/**
 * evs_snapshot_entry_get() - decode one
 * @p: EVS_SNAPSHOT_ENTRY bytes
 * @e: the entry, out, with whatever numbers are there
 *
 * A negative last_offset means that Kafka remembers the producer's epoch, but
 * none of its batches.
 */
void evs_snapshot_entry_get(const u8 *p, struct evs_snapshot_entry *e)
{
	e->id = (s64)get_unaligned_be64(p);
	e->epoch = (s16)get_unaligned_be16(p + 8);
	e->last_sequence = (s32)get_unaligned_be32(p + 10);
	e->last_offset = (s64)get_unaligned_be64(p + 14);
	e->offset_delta = (s32)get_unaligned_be32(p + 22);
	e->timestamp = (s64)get_unaligned_be64(p + 26);
}

/**
 * evs_snapshot_head_put() - write a snapshot's head
 * @buf: the whole snapshot, its entries in place behind EVS_SNAPSHOT_HEAD bytes
 * @count: entries; together they are smaller than 2 GiB
 */
void evs_snapshot_head_put(u8 *buf, u32 count)
{
	size_t size = EVS_SNAPSHOT_HEAD + (size_t)count * EVS_SNAPSHOT_ENTRY;

	put_unaligned_be16(EVS_SNAPSHOT_VERSION, buf);
	put_unaligned_be32(count, buf + SNAPSHOT_COUNT);
	put_unaligned_be32(checksum(buf + SNAPSHOT_COUNT, size - SNAPSHOT_COUNT),
			   buf + SNAPSHOT_CRC);
}

/**
 * evs_snapshot_check() - whether bytes are a snapshot
 * @buf: any bytes
 * @size: how many: just one whole snapshot
 * @count: out, with 0 only: its entries
 *
 * Return: 0, or -EUCLEAN.
 */
int evs_snapshot_check(const u8 *buf, size_t size, u32 *count)
{
	u32 n;

	if (size < EVS_SNAPSHOT_HEAD || size > S32_MAX)
		return -EUCLEAN;
	n = get_unaligned_be32(buf + SNAPSHOT_COUNT);
	if (get_unaligned_be16(buf) != EVS_SNAPSHOT_VERSION ||
	    size != EVS_SNAPSHOT_HEAD + (u64)n * EVS_SNAPSHOT_ENTRY)
		return -EUCLEAN;
	if (get_unaligned_be32(buf + SNAPSHOT_CRC) !=
	    checksum(buf + SNAPSHOT_COUNT, size - SNAPSHOT_COUNT))
		return -EUCLEAN;
	*count = n;
	return 0;
}

static void slot_bytes(struct evs_file_slot *s, const char *p, size_t len)
{
	if (s->err)
		return;
	if (len > EVS_SLOT - s->len) {
		s->err = -ENOSPC;
		return;
	}
	memcpy(s->buf + s->len, p, len);
	s->len += len;
}

/*
 * The value of @key among lines that each end with a newline, NULL if it is not
 * there.
 */
static const char *find_value(const char *text, size_t size, const char *key, size_t *len)
{
	size_t key_len = strlen(key);

	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t line = end ? (size_t)(end - text) : size;

		if (line > key_len && text[key_len] == '=' && !memcmp(text, key, key_len)) {
			*len = line - key_len - 1;
			return text + key_len + 1;
		}
		if (!end)
			break;
		text += line + 1;
		size -= line + 1;
	}
	return NULL;
}

/* Bytes of a slot's text in front of the line with the checksum; 0: no such line. */
static size_t text_size(const char *buf)
{
	size_t len = EVS_SLOT;

	while (len && buf[len - 1] == '\n')
		len--;
	if (len == EVS_SLOT || len <= CHECKSUM_LINE)
		return 0;
	len -= CHECKSUM_LINE;
	if (buf[len - 1] != '\n' || memcmp(buf + len, SLOT_CHECKSUM, sizeof(SLOT_CHECKSUM) - 1))
		return 0;
	return len;
}

/* The line with the checksum of what comes before, without a newline. */
static void checksum_line(char *line, const char *text, size_t size)
{
	u32 sum = checksum(text, size);
	u32 i;

	memcpy(line, SLOT_CHECKSUM, sizeof(SLOT_CHECKSUM) - 1);
	for (i = 0; i < CHECKSUM_DIGITS; i++)
		line[sizeof(SLOT_CHECKSUM) - 1 + i] = hex[sum >> (28 - 4 * i) & 15];
}

/**
 * evs_file_slot_begin() - begin to write a slot
 * @s: the slot
 * @buf: EVS_SLOT bytes for it
 * @sequence: higher than that of the slot which is there now
 */
void evs_file_slot_begin(struct evs_file_slot *s, char *buf, u64 sequence)
{
	memset(buf, '\n', EVS_SLOT);
	s->buf = buf;
	s->len = 0;
	s->err = 0;
	evs_file_slot_put_u64(s, SLOT_VERSION, EVS_SLOT_VERSION);
	evs_file_slot_put_u64(s, SLOT_SEQUENCE, sequence);
}

/**
 * evs_file_slot_put() - add a line
 * @s: the slot
 * @key: not there yet, neither empty nor with a newline or '='
 * @value: anything without a newline
 *
 * What is wrong with it evs_file_slot_end() tells.
 */
void evs_file_slot_put(struct evs_file_slot *s, const char *key, const char *value)
{
	size_t unused;

	if (s->err)
		return;
	if (!*key || strchr(key, '=') || strchr(key, '\n') || strchr(value, '\n') ||
	    find_value(s->buf, s->len, key, &unused)) {
		s->err = -EINVAL;
		return;
	}
	slot_bytes(s, key, strlen(key));
	slot_bytes(s, "=", 1);
	slot_bytes(s, value, strlen(value));
	slot_bytes(s, "\n", 1);
}

/**
 * evs_file_slot_put_u64() - add a line with a number
 * @s: the slot
 * @key: see evs_file_slot_put()
 * @value: the number
 */
void evs_file_slot_put_u64(struct evs_file_slot *s, const char *key, u64 value)
{
	char text[NAME_DIGITS + 1];
	u32 skip = 0;

	put_digits(text, NAME_DIGITS, value);
	text[NAME_DIGITS] = '\0';
	while (skip < NAME_DIGITS - 1 && text[skip] == '0')
		skip++;
	evs_file_slot_put(s, key, text + skip);
}

/**
 * evs_file_slot_end() - complete a slot
 * @s: the slot
 *
 * Return: 0: its EVS_SLOT bytes can be written; -ENOSPC: the text did not fit;
 * -EINVAL: a key or a value cannot be told from others in the text.
 */
int evs_file_slot_end(struct evs_file_slot *s)
{
	char line[CHECKSUM_LINE + 1];

	checksum_line(line, s->buf, s->len);
	line[CHECKSUM_LINE] = '\n';
	slot_bytes(s, line, sizeof(line));
	return s->err;
}

/**
 * evs_file_slot_check() - whether bytes are a slot
 * @buf: any EVS_SLOT bytes
 * @sequence: out, with 0 only: its sequence
 *
 * Return: 0; -EUCLEAN: there is no such text, or its checksum is wrong;
 * -EPROTONOSUPPORT: the checksum is right, the version newer than this one.
 */
int evs_file_slot_check(const char *buf, u64 *sequence)
{
	size_t size = text_size(buf), len;
	char line[CHECKSUM_LINE];
	const char *value;
	u64 version;

	if (!size)
		return -EUCLEAN;
	checksum_line(line, buf, size);
	if (memcmp(buf + size, line, sizeof(line)))
		return -EUCLEAN;
	value = find_value(buf, size, SLOT_VERSION, &len);
	if (!value || value != buf + sizeof(SLOT_VERSION) || !parse_u64(value, len, &version) ||
	    !version)
		return -EUCLEAN;
	if (version > EVS_SLOT_VERSION)
		return -EPROTONOSUPPORT;
	/* A value is given out as a string. */
	if (memchr(buf, '\0', size))
		return -EUCLEAN;
	value = find_value(buf, size, SLOT_SEQUENCE, &len);
	if (!value || !parse_u64(value, len, sequence))
		return -EUCLEAN;
	return 0;
}

/**
 * evs_file_slot_get() - the value of a key
 * @buf: a slot that evs_file_slot_check() has passed
 * @key: the key
 * @value: out, with 0 only: the value and a terminating zero
 * @size: bytes at @value
 *
 * Return: 0; -ENOENT: there is no such key; -ENOSPC: the value does not fit.
 */
int evs_file_slot_get(const char *buf, const char *key, char *value, size_t size)
{
	const char *p;
	size_t len;

	p = find_value(buf, text_size(buf), key, &len);
	if (!p)
		return -ENOENT;
	if (len >= size)
		return -ENOSPC;
	memcpy(value, p, len);
	value[len] = '\0';
	return 0;
}

/**
 * evs_file_slot_get_u64() - the value of a key that has a number
 * @buf: a slot that evs_file_slot_check() has passed
 * @key: the key
 * @value: out, with 0 only: the number
 *
 * Return: 0; -ENOENT: there is no such key; -EINVAL: its value is no number, or
 * too large.
 */
int evs_file_slot_get_u64(const char *buf, const char *key, u64 *value)
{
	const char *p;
	size_t len;

	p = find_value(buf, text_size(buf), key, &len);
	if (!p)
		return -ENOENT;
	return parse_u64(p, len, value) ? 0 : -EINVAL;
}

/**
 * evs_file_slots_newest() - the slot of a file that counts
 * @slots: the file's bytes, any
 * @size: how many; slots that are not there as a whole do not count
 * @sequence: out, with a slot only: its sequence
 * @err: out: 0, or why there is none: -EUCLEAN, or -EPROTONOSUPPORT where a slot
 *       is of a newer version, whatever the other one is: such a file must not be
 *       written to
 *
 * Return: the slot, or NULL.
 */
const char *evs_file_slots_newest(const char *slots, size_t size, u64 *sequence, int *err)
{
	const char *newest = NULL;
	u64 best = 0;
	u32 i;

	for (i = 0; i < 2 && size >= (i + 1) * EVS_SLOT; i++) {
		u64 seq;
		int ret = evs_file_slot_check(slots + i * EVS_SLOT, &seq);

		if (ret == -EPROTONOSUPPORT) {
			*err = ret;
			return NULL;
		}
		if (!ret && (!newest || seq > best)) {
			newest = slots + i * EVS_SLOT;
			best = seq;
		}
	}
	if (newest)
		*sequence = best;
	*err = newest ? 0 : -EUCLEAN;
	return newest;
}
