// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Fuzz target: kmod/files.c, the small files of a directory that anybody may have
 * written.
 */
#include <errno.h>

#include "../../kmod/files.h"
#include "../../tools/lib/evstream.h"
#include "fuzz.h"

#define CHECKSUM	"checksum="

static const char * const endings[] = {
	EVS_FILE_LOG, EVS_FILE_INDEX, EVS_FILE_TIMEINDEX, EVS_FILE_SNAPSHOT,
};

static void names(const uint8_t *data, size_t size)
{
	char name[EVS_FILE_NAME];
	u64 base, again;
	size_t i;

	for (i = 0; i < 4; i++) {
		size_t len = 20 + strlen(endings[i]);
		char *copy;

		if (evs_file_name_parse((const char *)data, size, endings[i], &base)) {
			evs_file_name(name, base, endings[i]);
			FUZZ_CHECK(strlen(name) == size && !memcmp(name, data, size));
		}
		if (size < 8)
			continue;
		memcpy(&base, data, 8);
		evs_file_name(name, base, endings[i]);
		FUZZ_CHECK(strlen(name) == len);
		copy = fuzz_copy(name, len);
		FUZZ_CHECK(evs_file_name_parse(copy, len, endings[i], &again) ==
			   (base <= S64_MAX));
		FUZZ_CHECK(base > S64_MAX || again == base);
		free(copy);
	}
}

static void metadata(const uint8_t *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char text[EVS_METADATA_SIZE];
	size_t len, i;
	u32 acc = 0;
	int bits = 0;

	if (size < 16)
		return;
	len = evs_metadata_text(text, data);
	FUZZ_CHECK(len >= 22 && len <= sizeof(text));
	for (i = len - 22; i < len; i++) {
		const char *digit = memchr(digits, text[i], 64);

		FUZZ_CHECK(digit);
		acc = acc << 6 | (u32)(digit - digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			FUZZ_CHECK((u8)(acc >> bits) == *data++);
		}
	}
}

static void snapshot(const uint8_t *data, size_t size)
{
	struct evs_snapshot_entry e, again;
	u8 entry[EVS_SNAPSHOT_ENTRY], *copy;
	u32 n, i;

	if (!evs_snapshot_check(data, size, &n))
		FUZZ_CHECK(size == EVS_SNAPSHOT_HEAD + n * EVS_SNAPSHOT_ENTRY);
	/* With a count and a checksum that are right. */
	n = size < EVS_SNAPSHOT_HEAD ? 0 : (u32)(size - EVS_SNAPSHOT_HEAD) / EVS_SNAPSHOT_ENTRY;
	if (size < EVS_SNAPSHOT_HEAD)
		return;
	size = EVS_SNAPSHOT_HEAD + n * EVS_SNAPSHOT_ENTRY;
	copy = fuzz_copy(data, size);
	evs_snapshot_head_put(copy, n);
	FUZZ_CHECK(!evs_snapshot_check(copy, size, &i) && i == n);
	for (i = 0; i < n; i++) {
		evs_snapshot_entry_get(copy + EVS_SNAPSHOT_HEAD + i * EVS_SNAPSHOT_ENTRY, &e);
		evs_snapshot_entry_put(entry, &e);
		/* Behind it are fields that we have no use for. */
		FUZZ_CHECK(!memcmp(entry, copy + EVS_SNAPSHOT_HEAD + i * EVS_SNAPSHOT_ENTRY, 34));
		evs_snapshot_entry_get(entry, &again);
		FUZZ_CHECK(again.id == e.id && again.last_offset == e.last_offset);
	}
	copy[size - 1] ^= 1;
	FUZZ_CHECK(evs_snapshot_check(copy, size, &i) == -EUCLEAN);
	free(copy);
}

/* The value of the first line of @text that begins with @key and '=', as it should be. */
static const char *line_of(const char *text, size_t size, const char *key, size_t *len)
{
	size_t at = 0, behind, n = strlen(key);

	while (at < size) {
		for (behind = at; behind < size && text[behind] != '\n'; behind++)
			;
		if (behind - at > n && !strncmp(text + at, key, n) && text[at + n] == '=') {
			*len = behind - at - n - 1;
			return text + at + n + 1;
		}
		at = behind + 1;
	}
	return NULL;
}

/* What is said of a slot that is one. */
static void slot_agrees(const char *slot, const char *text, size_t size)
{
	static const char * const keys[] = { "evstream", "sequence", "a", "b", "checksum", "" };
	char value[EVS_SLOT], small[3];
	size_t i, len;
	u64 number;
	int ret;

	for (i = 0; i < 6; i++) {
		const char *line = line_of(text, size, keys[i], &len);

		ret = evs_file_slot_get(slot, keys[i], value, sizeof(value));
		FUZZ_CHECK(ret == (line ? 0 : -ENOENT));
		ret = evs_file_slot_get_u64(slot, keys[i], &number);
		FUZZ_CHECK(line ? !ret || ret == -EINVAL : ret == -ENOENT);
		if (!line)
			continue;
		FUZZ_CHECK(strlen(value) == len && !memcmp(value, line, len));
		FUZZ_CHECK(evs_file_slot_get(slot, keys[i], small, sizeof(small)) ==
			   (len < sizeof(small) ? 0 : -ENOSPC));
		if (!ret) {
			char *end;

			errno = 0;
			FUZZ_CHECK(strtoull(value, &end, 10) == number && !errno && !*end);
		}
	}
}

/* A slot with the text of any bytes, and the checksum that belongs to it. */
static int make_slot(char *slot, const uint8_t *data, size_t size, u64 *sequence)
{
	char line[sizeof(CHECKSUM) + 8];
	int ret;

	if (size > EVS_SLOT - sizeof(line) - 1)
		size = EVS_SLOT - sizeof(line) - 1;
	memset(slot, '\n', EVS_SLOT);
	if (size)
		memcpy(slot, data, size);
	if (size && slot[size - 1] != '\n')
		size++;
	snprintf(line, sizeof(line), CHECKSUM "%08x", evs_crc32c(0, slot, size));
	memcpy(slot + size, line, sizeof(line) - 1);
	ret = evs_file_slot_check(slot, sequence);
	if (!ret)
		slot_agrees(slot, slot, size);
	return ret;
}

static void slots(const uint8_t *data, size_t size)
{
	size_t half = size / 2, i;
	u64 sequence[2], newest;
	const char *found;
	char *file;
	int ret[2], err;

	file = malloc(2 * EVS_SLOT);
	memset(file, '\n', 2 * EVS_SLOT);
	memcpy(file, data, size < 2 * EVS_SLOT ? size : 2 * EVS_SLOT);
	evs_file_slots_newest(file, 2 * EVS_SLOT, &newest, &err);

	ret[0] = make_slot(file, data, half, &sequence[0]);
	ret[1] = make_slot(file + EVS_SLOT, data + half, size - half, &sequence[1]);
	found = evs_file_slots_newest(file, 2 * EVS_SLOT, &newest, &err);
	FUZZ_CHECK(!found == !!err);
	if (ret[0] == -EPROTONOSUPPORT || ret[1] == -EPROTONOSUPPORT) {
		FUZZ_CHECK(err == -EPROTONOSUPPORT);
	} else if (ret[0] && ret[1]) {
		FUZZ_CHECK(err == -EUCLEAN);
	} else {
		i = ret[0] || (!ret[1] && sequence[1] > sequence[0]);
		FUZZ_CHECK(found == file + i * EVS_SLOT && newest == sequence[i]);
	}
	/* Half a file has no second slot. */
	found = evs_file_slots_newest(file, 2 * EVS_SLOT - 1, &newest, &err);
	FUZZ_CHECK(found == (ret[0] ? NULL : file));
	free(file);
}

/* What is written can be read. */
static void written(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	char buf[EVS_SLOT], key[16], value[256], back[256], last[16] = "";
	struct evs_file_slot s;
	const uint8_t *p;
	u64 sequence = fuzz_u64(&in), seen;
	int ret, n = 0;

	evs_file_slot_begin(&s, buf, sequence);
	while (in.left && n < 40) {
		size_t len = fuzz_bytes(&in, fuzz_u8(&in) % 8, &p);
		int before = s.err;

		memcpy(key, p, len);
		key[len] = '\0';
		len = fuzz_bytes(&in, fuzz_u8(&in), &p);
		memcpy(value, p, len);
		value[len] = '\0';
		evs_file_slot_put(&s, key, value);
		if (!before && !s.err)
			memcpy(last, key, sizeof(key));
		n++;
		if (s.err)
			break;
		FUZZ_CHECK(line_of(buf, s.len, key, &len) && len == strlen(value));
	}
	ret = evs_file_slot_end(&s);
	FUZZ_CHECK(!ret || ret == -ENOSPC || ret == -EINVAL);
	if (ret)
		return;
	FUZZ_CHECK(!evs_file_slot_check(buf, &seen) && seen == sequence);
	if (*last)
		FUZZ_CHECK(!evs_file_slot_get(buf, last, back, sizeof(back)) &&
			   !strcmp(back, value));
}

static void indexes(const uint8_t *data, size_t size)
{
	u8 entry[EVS_TIMEINDEX_ENTRY];
	u32 offset, pos;
	s64 time;

	if (size < EVS_TIMEINDEX_ENTRY)
		return;
	evs_index_entry_get(data, &offset, &pos);
	evs_index_entry_put(entry, offset, pos);
	FUZZ_CHECK(!memcmp(entry, data, EVS_INDEX_ENTRY));
	evs_timeindex_entry_get(data, &time, &offset);
	evs_timeindex_entry_put(entry, time, offset);
	FUZZ_CHECK(!memcmp(entry, data, EVS_TIMEINDEX_ENTRY));
}

int fuzz_one(const uint8_t *data, size_t size)
{
	names(data, size);
	metadata(data, size);
	snapshot(data, size);
	if (size)
		slots(data, size);
	written(data, size);
	indexes(data, size);
	return 0;
}
