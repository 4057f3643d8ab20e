// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* kmod/files.c: names, indexes, snapshots and slots, to the byte. */
#include <errno.h>
#include <linux/types.h>

#include "../../kmod/files.h"
#include "tap.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static u32 crc_of(const void *data, size_t len)
{
	const u8 *p = data;
	u32 crc = ~0U;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* Names */

static void names_written(void)
{
	static const struct { u64 base; const char *ending, *name; } names[] = {
		{ 0, EVS_FILE_LOG, "00000000000000000000.log" },
		{ 42, EVS_FILE_INDEX, "00000000000000000042.index" },
		{ 1234567890123456789, EVS_FILE_TIMEINDEX, "01234567890123456789.timeindex" },
		{ S64_MAX, EVS_FILE_SNAPSHOT, "09223372036854775807.snapshot" },
		{ U64_MAX, EVS_FILE_LOG, "18446744073709551615.log" },
	};
	size_t i;

	for (i = 0; i < COUNT(names); i++) {
		char *name = malloc(EVS_FILE_NAME);
		u64 base = 1;

		evs_file_name(name, names[i].base, names[i].ending);
		CHECK(!strcmp(name, names[i].name));
		if (names[i].base <= S64_MAX) {
			CHECK(evs_file_name_parse(name, strlen(name), names[i].ending, &base));
			CHECK_EQ(base, names[i].base);
		}
		free(name);
	}
}

static void names_refused(void)
{
	static const char * const names[] = {
		"", ".log", "0.log", "0000000000000000000.log", "000000000000000000000.log",
		"00000000000000000000.lo", "00000000000000000000.logs", "00000000000000000000",
		"00000000000000000000.index", "0000000000000000000a.log",
		"-0000000000000000001.log", "+0000000000000000001.log",
		" 0000000000000000001.log", "09223372036854775808.log",
		"18446744073709551615.log", "18446744073709551616.log",
		"99999999999999999999.log", "00000000000000000000.log.deleted",
		"leader-epoch-checkpoint", "0000000000000000000/.log", "0000000000000000000:.log",
	};
	size_t i;

	for (i = 0; i < COUNT(names); i++) {
		size_t len = strlen(names[i]);
		char *name = tap_exact(names[i], len);
		u64 base = 77;

		if (evs_file_name_parse(name, len, EVS_FILE_LOG, &base)) {
			printf("# taken: %s\n", names[i]);
			CHECK(false);
		}
		CHECK_EQ(base, 77);
		free(name);
	}
}

static void names_mutated(void)
{
	char good[EVS_FILE_NAME];
	int i;

	for (i = 0; i < 20000; i++) {
		size_t len, at;
		char *name;
		u64 base;

		evs_file_name(good, tap_random() >> tap_below(64), EVS_FILE_LOG);
		len = strlen(good);
		at = tap_below((u32)len);
		good[at] = (char)tap_random();
		if (!tap_below(4))
			len = tap_below((u32)len + 1);
		name = tap_exact(good, len);
		if (evs_file_name_parse(name, len, EVS_FILE_LOG, &base)) {
			char again[EVS_FILE_NAME];

			evs_file_name(again, base, EVS_FILE_LOG);
			CHECK_EQ(strlen(again), len);
			CHECK(!memcmp(again, name, len));
		}
		free(name);
	}
}

static void metadata(void)
{
	static const struct { u8 uuid[16]; const char *text; } ids[] = {
		{ { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
		  "version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw" },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		  "version: 0\ntopic_id: _____________________w" },
		{ { 0 }, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA" },
		{ { 0xfb, 0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x96,
		    0x87, 0x78, 0x69, 0x5a, 0x4b, 0x3c, 0x2d, 0x1e },
		  "version: 0\ntopic_id: -_Dh0sO0pZaHeGlaSzwtHg" },
	};
	size_t i;

	for (i = 0; i < COUNT(ids); i++) {
		char *text = malloc(EVS_METADATA_SIZE);
		size_t len = evs_metadata_text(text, ids[i].uuid);

		CHECK_EQ(len, strlen(ids[i].text));
		CHECK(!memcmp(text, ids[i].text, strlen(ids[i].text)));
		free(text);
	}
}

/* Indexes */

static void index_entries(void)
{
	static const u8 index[] = { 0x12, 0x34, 0x56, 0x78, 0x7f, 0xff, 0xff, 0xfe };
	static const u8 timeindex[] = { 0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, 0, 0, 1, 2 };
	static const u8 none[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 };
	u8 *p = malloc(EVS_INDEX_ENTRY), *q = malloc(EVS_TIMEINDEX_ENTRY);
	u32 offset, pos;
	s64 timestamp;

	CHECK_EQ(sizeof(index), EVS_INDEX_ENTRY);
	evs_index_entry_put(p, 0x12345678, 0x7ffffffe);
	CHECK(!memcmp(p, index, sizeof(index)));
	evs_index_entry_get(p, &offset, &pos);
	CHECK_EQ(offset, 0x12345678);
	CHECK_EQ(pos, 0x7ffffffe);

	CHECK_EQ(sizeof(timeindex), EVS_TIMEINDEX_ENTRY);
	evs_timeindex_entry_put(q, 1700000000000, 258);
	CHECK(!memcmp(q, timeindex, sizeof(timeindex)));
	evs_timeindex_entry_get(q, &timestamp, &offset);
	CHECK_EQ(timestamp, 1700000000000);
	CHECK_EQ(offset, 258);
	evs_timeindex_entry_put(q, -1, 0);
	CHECK(!memcmp(q, none, sizeof(none)));
	evs_timeindex_entry_get(q, &timestamp, &offset);
	CHECK_EQ(timestamp, -1);
	free(p);
	free(q);
}

/* Snapshots */

static const struct evs_snapshot_entry entries[] = {
	{ 1000, 0, 41, 1041, 9, 1700000000000 },
	{ S64_MAX, 32767, S32_MAX, (1LL << 40) + 7, 0, 1700000000001 },
	{ 7, 3, -1, -1, 0, -1 },
};

/* Put together with Python's struct module and a CRC of its own. */
static const u8 snapshot[] = {
	0x00, 0x01, 0x9d, 0xb5, 0x8a, 0x36, 0x00, 0x00, 0x00, 0x03,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xe8, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x29, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x11,
	0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0x7f, 0xff,
	0xff, 0xff, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x07,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x01,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x00, 0x03, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

/* As if whoever wrote it had meant it. */
static void seal_snapshot(u8 *p, size_t size)
{
	put_unaligned_be32(crc_of(p + 6, size - 6), p + 2);
}

static void snapshot_golden(void)
{
	size_t size = EVS_SNAPSHOT_HEAD + COUNT(entries) * EVS_SNAPSHOT_ENTRY;
	u8 *want = tap_exact(snapshot, sizeof(snapshot)), *got = malloc(size);
	u32 count = 77;
	size_t i;

	CHECK_EQ(size, sizeof(snapshot));
	for (i = 0; i < COUNT(entries); i++)
		evs_snapshot_entry_put(got + EVS_SNAPSHOT_HEAD + i * EVS_SNAPSHOT_ENTRY,
				       &entries[i]);
	evs_snapshot_head_put(got, COUNT(entries));
	CHECK(!memcmp(got, want, size));
	CHECK_EQ(evs_snapshot_check(want, size, &count), 0);
	CHECK_EQ(count, COUNT(entries));
	for (i = 0; i < COUNT(entries); i++) {
		struct evs_snapshot_entry e;

		evs_snapshot_entry_get(want + EVS_SNAPSHOT_HEAD + i * EVS_SNAPSHOT_ENTRY, &e);
		CHECK_EQ(e.id, entries[i].id);
		CHECK_EQ(e.epoch, entries[i].epoch);
		CHECK_EQ(e.last_sequence, entries[i].last_sequence);
		CHECK_EQ(e.last_offset, entries[i].last_offset);
		CHECK_EQ(e.offset_delta, entries[i].offset_delta);
		CHECK_EQ(e.timestamp, entries[i].timestamp);
	}
	free(want);
	free(got);
}

static void snapshot_empty(void)
{
	static const u8 want[] = { 0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0 };
	u8 *got = malloc(sizeof(want));
	u32 count = 77;

	evs_snapshot_head_put(got, 0);
	CHECK(!memcmp(got, want, sizeof(want)));
	CHECK_EQ(evs_snapshot_check(got, sizeof(want), &count), 0);
	CHECK_EQ(count, 0);
	free(got);
}

static void snapshot_refused(void)
{
	const size_t len = sizeof(snapshot);
	u32 count = 77;
	size_t i;
	u8 *p;

	/* Cut off anywhere, or with more behind it, whatever the CRC. */
	for (i = 0; i <= len + EVS_SNAPSHOT_ENTRY; i++) {
		p = calloc(1, i ? i : 1);
		memcpy(p, snapshot, i < len ? i : len);
		if (i != len)
			CHECK_EQ(evs_snapshot_check(p, i, &count), -EUCLEAN);
		if (i != len && i >= EVS_SNAPSHOT_HEAD) {
			seal_snapshot(p, i);
			CHECK_EQ(evs_snapshot_check(p, i, &count), -EUCLEAN);
		}
		free(p);
	}
	/* One bit. */
	for (i = 0; i < len * 8; i++) {
		p = tap_exact(snapshot, len);
		p[i / 8] ^= 1 << i % 8;
		CHECK_EQ(evs_snapshot_check(p, len, &count), -EUCLEAN);
		free(p);
	}
	/* Another version; a count that wraps around to the right size; a negative one. */
	p = tap_exact(snapshot, len);
	p[1] = 2;
	CHECK_EQ(evs_snapshot_check(p, len, &count), -EUCLEAN);
	p[1] = 0;
	CHECK_EQ(evs_snapshot_check(p, len, &count), -EUCLEAN);
	p[1] = 1;
	put_unaligned_be32(0x80000003, p + 6);
	seal_snapshot(p, len);
	CHECK_EQ(evs_snapshot_check(p, len, &count), -EUCLEAN);
	put_unaligned_be32(0xffffffff, p + 6);
	seal_snapshot(p, len);
	CHECK_EQ(evs_snapshot_check(p, len, &count), -EUCLEAN);
	put_unaligned_be32(3, p + 6);
	seal_snapshot(p, len);
	CHECK_EQ(count, 77);
	CHECK_EQ(evs_snapshot_check(p, len, &count), 0);
	free(p);
}

static void snapshot_mutated(void)
{
	u32 taken = 0, count, i;
	int round;

	for (round = 0; round < 20000; round++) {
		u32 n = tap_below(6), size = EVS_SNAPSHOT_HEAD + n * EVS_SNAPSHOT_ENTRY;
		u8 *p;

		if (!tap_below(3))
			size = tap_below(300);
		p = malloc(size ? size : 1);
		for (i = 0; i < size; i++)
			p[i] = (u8)tap_random();
		if (size >= EVS_SNAPSHOT_HEAD && tap_below(8)) {
			put_unaligned_be16(tap_below(8) ? 1 : (u16)tap_random(), p);
			if (tap_below(8))
				put_unaligned_be32(n, p + 6);
			if (tap_below(8))
				seal_snapshot(p, size);
		}
		if (!evs_snapshot_check(p, size, &count)) {
			taken++;
			CHECK_EQ(EVS_SNAPSHOT_HEAD + count * EVS_SNAPSHOT_ENTRY, size);
			for (i = 0; i < count; i++) {
				struct evs_snapshot_entry e;

				evs_snapshot_entry_get(p + EVS_SNAPSHOT_HEAD +
						       i * EVS_SNAPSHOT_ENTRY, &e);
			}
		}
		free(p);
	}
	CHECK(taken > 1000);
}

/* Slots */

static char *padded(const char *text)
{
	char *p = malloc(EVS_SLOT);

	memset(p, '\n', EVS_SLOT);
	memcpy(p, text, strlen(text));
	return p;
}

/* A slot of any text with a checksum that holds. */
static char *sealed(const char *text)
{
	char sum[32];
	char *p = padded(text);

	snprintf(sum, sizeof(sum), "checksum=%08x\n", crc_of(text, strlen(text)));
	memcpy(p + strlen(text), sum, strlen(sum));
	return p;
}

static void slot_golden(void)
{
	char *want = padded("evstream=1\nsequence=7\npartitions=4\nname=a=b\nempty=\n"
			    "checksum=59514e9b\n");
	char *got = malloc(EVS_SLOT), *value;
	u64 sequence = 0, v = 0;
	struct evs_file_slot s;

	evs_file_slot_begin(&s, got, 7);
	evs_file_slot_put_u64(&s, "partitions", 4);
	evs_file_slot_put(&s, "name", "a=b");
	evs_file_slot_put(&s, "empty", "");
	CHECK_EQ(evs_file_slot_end(&s), 0);
	CHECK(!memcmp(got, want, EVS_SLOT));
	CHECK_EQ(evs_file_slot_check(want, &sequence), 0);
	CHECK_EQ(sequence, 7);
	CHECK_EQ(evs_file_slot_get_u64(want, "partitions", &v), 0);
	CHECK_EQ(v, 4);

	value = malloc(4);
	CHECK_EQ(evs_file_slot_get(want, "name", value, 4), 0);
	CHECK(!strcmp(value, "a=b"));
	CHECK_EQ(evs_file_slot_get(want, "empty", value, 1), 0);
	CHECK(!strcmp(value, ""));
	CHECK_EQ(evs_file_slot_get(want, "empty", value, 0), -ENOSPC);
	CHECK_EQ(evs_file_slot_get(want, "name", value, 3), -ENOSPC);
	CHECK(!strcmp(value, ""));
	CHECK_EQ(evs_file_slot_get(want, "na", value, 4), -ENOENT);
	CHECK_EQ(evs_file_slot_get(want, "names", value, 4), -ENOENT);
	CHECK_EQ(evs_file_slot_get(want, "ame", value, 4), -ENOENT);
	CHECK_EQ(evs_file_slot_get(want, "checksum", value, 4), -ENOENT);
	CHECK_EQ(evs_file_slot_get_u64(want, "none", &v), -ENOENT);
	CHECK_EQ(evs_file_slot_get_u64(want, "name", &v), -EINVAL);
	CHECK_EQ(evs_file_slot_get_u64(want, "empty", &v), -EINVAL);
	CHECK_EQ(v, 4);
	free(value);
	free(got);
	free(want);
}

static void slot_numbers(void)
{
	static const u64 numbers[] = { 0, 1, 9, 10, 4294967295, 4294967296, S64_MAX, U64_MAX };
	static const char * const not[] = {
		"", "-1", "+1", " 1", "1 ", "0x10", "1a", "18446744073709551616",
		"99999999999999999999", "184467440737095516150", "1.0",
	};
	char *buf = malloc(EVS_SLOT);
	struct evs_file_slot s;
	u64 v, sequence;
	size_t i;

	for (i = 0; i < COUNT(numbers); i++) {
		evs_file_slot_begin(&s, buf, numbers[i]);
		evs_file_slot_put_u64(&s, "n", numbers[i]);
		CHECK_EQ(evs_file_slot_end(&s), 0);
		CHECK_EQ(evs_file_slot_check(buf, &sequence), 0);
		CHECK_EQ(sequence, numbers[i]);
		CHECK_EQ(evs_file_slot_get_u64(buf, "n", &v), 0);
		CHECK_EQ(v, numbers[i]);
	}
	for (i = 0; i < COUNT(not); i++) {
		evs_file_slot_begin(&s, buf, 1);
		evs_file_slot_put(&s, "n", not[i]);
		CHECK_EQ(evs_file_slot_end(&s), 0);
		v = 77;
		CHECK_EQ(evs_file_slot_get_u64(buf, "n", &v), -EINVAL);
		CHECK_EQ(v, 77);
	}
	free(buf);
}

static void slot_put_refused(void)
{
	static const struct { const char *key, *value; } bad[] = {
		{ "key", "a\nb" }, { "key", "\n" }, { "key", "a\n" }, { "", "value" },
		{ "a=b", "value" }, { "a\nb", "value" }, { "known", "again" },
		{ "evstream", "1" }, { "sequence", "1" },
	};
	char *buf = malloc(EVS_SLOT);
	struct evs_file_slot s;
	u64 sequence;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		evs_file_slot_begin(&s, buf, 7);
		evs_file_slot_put(&s, "known", "1");
		evs_file_slot_put(&s, bad[i].key, bad[i].value);
		evs_file_slot_put(&s, "later", "1");
		CHECK_EQ(evs_file_slot_end(&s), -EINVAL);
		CHECK_EQ(evs_file_slot_check(buf, &sequence), -EUCLEAN);
	}
	/* Of a key that only begins so, or that a value has, it is not the second. */
	evs_file_slot_begin(&s, buf, 7);
	evs_file_slot_put(&s, "known", "evs=1");
	evs_file_slot_put(&s, "evs", "1");
	evs_file_slot_put(&s, "k", "1");
	evs_file_slot_put(&s, "checksum", "00000000");
	CHECK_EQ(evs_file_slot_end(&s), 0);
	CHECK_EQ(evs_file_slot_check(buf, &sequence), 0);
	free(buf);
}

/* "evstream=1\nsequence=1\n", "k=" and "\n", "checksum=01234567\n" */
#define SLOT_ROOM	(EVS_SLOT - 22 - 3 - 18)

static void slot_full(void)
{
	char *buf = malloc(EVS_SLOT), *value = malloc(EVS_SLOT + 8), *back = malloc(EVS_SLOT);
	struct evs_file_slot s;
	u64 sequence;
	u32 len;

	for (len = SLOT_ROOM - 30; len < SLOT_ROOM + 45; len++) {
		bool fits = len <= SLOT_ROOM;

		memset(value, 'v', len);
		value[len] = '\0';
		evs_file_slot_begin(&s, buf, 1);
		evs_file_slot_put(&s, "k", value);
		CHECK_EQ(evs_file_slot_end(&s), fits ? 0 : -ENOSPC);
		CHECK_EQ(evs_file_slot_check(buf, &sequence), fits ? 0 : -EUCLEAN);
		if (fits) {
			CHECK_EQ(evs_file_slot_get(buf, "k", back, len), -ENOSPC);
			CHECK_EQ(evs_file_slot_get(buf, "k", back, len + 1), 0);
			CHECK(!strcmp(back, value));
		}
	}
	/* What comes behind it would fit, but is not taken. */
	evs_file_slot_begin(&s, buf, 1);
	evs_file_slot_put(&s, "k", value);
	evs_file_slot_put(&s, "l", "1");
	CHECK_EQ(evs_file_slot_end(&s), -ENOSPC);
	/* Many lines. */
	evs_file_slot_begin(&s, buf, 1);
	for (len = 0; len < 5000; len++) {
		snprintf(value, EVS_SLOT, "%u", len);
		evs_file_slot_put(&s, value, value);
	}
	CHECK_EQ(evs_file_slot_end(&s), -ENOSPC);
	free(buf);
	free(value);
	free(back);
}

static void slot_texts(void)
{
	static const struct { const char *text; int want; } texts[] = {
		{ "evstream=1\nsequence=1\n", 0 },
		{ "evstream=1\nsequence=18446744073709551615\n", 0 },
		{ "evstream=1\na=b\nsequence=1\n", 0 },
		{ "evstream=2\nsequence=1\n", -EPROTONOSUPPORT },
		{ "evstream=2\nwhatever\n", -EPROTONOSUPPORT },
		{ "evstream=18446744073709551615\n", -EPROTONOSUPPORT },
		{ "evstream=18446744073709551616\n", -EUCLEAN },
		{ "evstream=0\nsequence=1\n", -EUCLEAN },
		{ "evstream=\nsequence=1\n", -EUCLEAN },
		{ "evstream=1x\nsequence=1\n", -EUCLEAN },
		{ "evstream\nsequence=1\n", -EUCLEAN },
		{ "sequence=1\nevstream=1\n", -EUCLEAN },
		{ "sequence=1\n", -EUCLEAN },
		{ "evstream=1\n", -EUCLEAN },
		{ "evstream=1\nsequence=\n", -EUCLEAN },
		{ "evstream=1\nsequence=-1\n", -EUCLEAN },
		{ "evstream=1\nsequence=18446744073709551616\n", -EUCLEAN },
		{ "\n", -EUCLEAN },
		{ "", -EUCLEAN },
		{ "evstream=1\nsequence=1", -EUCLEAN },
	};
	char *p, *q;
	u64 sequence = 77;
	size_t i;

	for (i = 0; i < COUNT(texts); i++) {
		p = sealed(texts[i].text);
		if (evs_file_slot_check(p, &sequence) != texts[i].want) {
			printf("# text %zu\n", i);
			CHECK_EQ(evs_file_slot_check(p, &sequence), texts[i].want);
		}
		/* The version counts only where the checksum holds. */
		if (*texts[i].text) {
			p[strlen(texts[i].text) - 1] ^= 1;
			CHECK_EQ(evs_file_slot_check(p, &sequence), -EUCLEAN);
		}
		free(p);
	}
	p = padded("evstream=2\nwhatever\nchecksum=05a7244e\n");
	CHECK_EQ(evs_file_slot_check(p, &sequence), -EPROTONOSUPPORT);
	free(p);

	/* A zero in a text: "evstream=1\nsequence=1\na=\0\n". */
	q = padded("evstream=1\nsequence=1\na=");
	q[25] = '\n';
	q[24] = '\0';
	snprintf(q + 26, 32, "checksum=%08x", crc_of(q, 26));
	q[26 + 17] = '\n';
	CHECK_EQ(evs_file_slot_check(q, &sequence), -EUCLEAN);
	free(q);

	/* Files of zeroes and of newlines only. */
	p = calloc(1, EVS_SLOT);
	CHECK_EQ(evs_file_slot_check(p, &sequence), -EUCLEAN);
	memset(p, '\n', EVS_SLOT);
	CHECK_EQ(evs_file_slot_check(p, &sequence), -EUCLEAN);
	memset(p, 'x', EVS_SLOT);
	CHECK_EQ(evs_file_slot_check(p, &sequence), -EUCLEAN);
	free(p);
}

/* Every byte of a slot is looked at, those behind the text too. */
static void slot_flips(void)
{
	char *p = sealed("evstream=1\nsequence=7\npartitions=4\n");
	u64 sequence;
	u32 i;

	for (i = 0; i < EVS_SLOT; i++) {
		char was = p[i];

		p[i] ^= 1 << tap_below(8);
		CHECK_EQ(evs_file_slot_check(p, &sequence), -EUCLEAN);
		p[i] = was;
	}
	CHECK_EQ(evs_file_slot_check(p, &sequence), 0);
	free(p);
}

static void slot_mutated(void)
{
	static const char bytes[] = "\n\n\n==0123456789abcdefkeyvschum";
	char *value = malloc(64);
	u64 sequence, v;
	int round, i;

	for (round = 0; round < 5000; round++) {
		char text[200];
		int len = (int)tap_below(sizeof(text) - 1);
		bool zero = !tap_below(8);
		char *p;

		for (i = 0; i < len; i++)
			text[i] = tap_below(30) ? bytes[tap_below(sizeof(bytes) - 1)] :
						  (char)(tap_random() | 1);
		text[len] = '\0';
		if (len > 30 && tap_below(4))
			memcpy(text, "evstream=1\nsequence=1\n", 22);
		if (len && tap_below(4))
			text[len - 1] = '\n';
		p = tap_below(8) ? sealed(text) : padded(text);
		if (zero)
			p[tap_below(EVS_SLOT)] = (char)tap_random();
		if (!tap_below(8))
			p[EVS_SLOT - 1] = 'x';
		if (evs_file_slot_check(p, &sequence) == 0)
			CHECK(!memcmp(p, "evstream=1\n", 11));
		/* Also of slots that are none: no more than an answer. */
		if (!evs_file_slot_get(p, "key", value, 64))
			CHECK(!memchr(value, '\n', strlen(value)));
		evs_file_slot_get(p, "", value, 64);
		evs_file_slot_get_u64(p, "key", &v);
		free(p);
	}
	for (round = 0; round < 500; round++) {
		u64 *p = malloc(EVS_SLOT);

		for (i = 0; i < (int)(EVS_SLOT / 8); i++)
			p[i] = tap_random();
		CHECK_EQ(evs_file_slot_check((char *)p, &sequence), -EUCLEAN);
		CHECK_EQ(evs_file_slot_get((char *)p, "key", value, 64), -ENOENT);
		free(p);
	}
	free(value);
}

enum { GOOD3, GOOD4, NEWER, BAD, KINDS };

static char *slot_of(int kind)
{
	switch (kind) {
	case GOOD3:
		return sealed("evstream=1\nsequence=3\n");
	case GOOD4:
		return sealed("evstream=1\nsequence=4\n");
	case NEWER:
		return sealed("evstream=2\nsequence=1\n");
	}
	return padded("evstream=2\nsequence=9\nchecksum=00000000\n");
}

static void slots_newest(void)
{
	static const u32 sizes[] = {
		0, 1, EVS_SLOT - 1, EVS_SLOT, EVS_SLOT + 1, 2 * EVS_SLOT - 1, 2 * EVS_SLOT,
	};
	int a, b;
	size_t i;

	for (a = 0; a < KINDS; a++) {
		for (b = 0; b < KINDS; b++) {
			char both[2 * EVS_SLOT];
			char *p = slot_of(a), *q = slot_of(b);

			memcpy(both, p, EVS_SLOT);
			memcpy(both + EVS_SLOT, q, EVS_SLOT);
			free(p);
			free(q);
			for (i = 0; i < COUNT(sizes); i++) {
				int first = sizes[i] >= EVS_SLOT ? a : BAD;
				int second = sizes[i] >= 2 * EVS_SLOT ? b : BAD;
				int err = 77, want = 0, which = -1;
				u64 sequence = 77;
				const char *got;
				char *file;

				if (first == NEWER || second == NEWER)
					want = -EPROTONOSUPPORT;
				else if (first == BAD && second == BAD)
					want = -EUCLEAN;
				else if (first == BAD)
					which = 1;
				else if (second == BAD)
					which = 0;
				else
					which = first == GOOD3 && second == GOOD4;
				file = tap_exact(both, sizes[i]);
				got = evs_file_slots_newest(file, sizes[i], &sequence, &err);
				CHECK_EQ(err, want);
				CHECK(got == (which < 0 ? NULL : file + which * EVS_SLOT));
				if (which < 0)
					want = 77;
				else
					want = (which ? second : first) == GOOD3 ? 3 : 4;
				CHECK_EQ(sequence, want);
				free(file);
			}
		}
	}
}

static void slots_largest_sequence(void)
{
	char *file = malloc(2 * EVS_SLOT);
	struct evs_file_slot s;
	u64 sequence;
	int err;

	evs_file_slot_begin(&s, file, U64_MAX);
	CHECK_EQ(evs_file_slot_end(&s), 0);
	evs_file_slot_begin(&s, file + EVS_SLOT, 0);
	CHECK_EQ(evs_file_slot_end(&s), 0);
	CHECK(evs_file_slots_newest(file, 2 * EVS_SLOT, &sequence, &err) == file);
	CHECK_EQ(sequence, U64_MAX);
	memset(file, 0, EVS_SLOT);
	CHECK(evs_file_slots_newest(file, 2 * EVS_SLOT, &sequence, &err) == file + EVS_SLOT);
	CHECK_EQ(sequence, 0);
	CHECK_EQ(err, 0);
	free(file);
}

static const struct tap_test tests[] = {
	TAP_TEST(names_written),
	TAP_TEST(names_refused),
	TAP_TEST(names_mutated),
	TAP_TEST(metadata),
	TAP_TEST(index_entries),
	TAP_TEST(snapshot_golden),
	TAP_TEST(snapshot_empty),
	TAP_TEST(snapshot_refused),
	TAP_TEST(snapshot_mutated),
	TAP_TEST(slot_golden),
	TAP_TEST(slot_numbers),
	TAP_TEST(slot_put_refused),
	TAP_TEST(slot_full),
	TAP_TEST(slot_texts),
	TAP_TEST(slot_flips),
	TAP_TEST(slot_mutated),
	TAP_TEST(slots_newest),
	TAP_TEST(slots_largest_sequence),
};

int main(void)
{
	return TAP_MAIN(tests);
}
