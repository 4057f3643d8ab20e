// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Fuzz target: kmod/commit.c, what is found in a topic of committed offsets.
 */
#include "../../kmod/commit.h"
#include "fuzz.h"

static void key(const uint8_t *data, size_t size)
{
	u8 buf[EVS_COMMIT_KEY_MAX];
	struct evs_commit_key k;
	u32 len;

	if (evs_commit_key_get(data, size, &k))
		return;
	FUZZ_CHECK(k.group_len <= EVS_COMMIT_NAME_MAX && k.topic_len <= EVS_COMMIT_NAME_MAX);
	fuzz_touch(k.group, k.group_len);
	fuzz_touch(k.topic, k.topic_len);
	/* There is one way only to write a key. */
	len = evs_commit_key_put(buf, &k);
	FUZZ_CHECK(len == size && len <= sizeof(buf) && !memcmp(buf, data, len));
}

static void value(const uint8_t *data, size_t size)
{
	u8 buf[EVS_COMMIT_VALUE_MAX];
	struct evs_commit_value v, again;
	u32 len;

	if (evs_commit_value_get(data, size, &v))
		return;
	FUZZ_CHECK(v.offset <= S64_MAX);
	len = evs_commit_value_put(buf, &v);
	FUZZ_CHECK(len <= sizeof(buf) && len <= size);
	FUZZ_CHECK(!evs_commit_value_get(buf, len, &again));
	FUZZ_CHECK(again.offset == v.offset && again.ms == v.ms && again.queue == v.queue);
}

/* A key of names that are @data, if they are short enough. */
static void made(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct evs_commit_key k, again;
	u8 buf[EVS_COMMIT_KEY_MAX], *copy;
	const uint8_t *p;
	u32 len;

	k.partition = fuzz_u32(&in) & S32_MAX;
	k.group_len = (u32)fuzz_bytes(&in, fuzz_u8(&in) % (EVS_COMMIT_NAME_MAX + 1), &p);
	k.group = (const char *)p;
	k.topic_len = (u32)fuzz_bytes(&in, EVS_COMMIT_NAME_MAX, &p);
	k.topic = (const char *)p;
	len = evs_commit_key_put(buf, &k);
	copy = fuzz_copy(buf, len);
	FUZZ_CHECK(!evs_commit_key_get(copy, len, &again));
	FUZZ_CHECK(again.partition == k.partition);
	FUZZ_CHECK(again.group_len == k.group_len && again.topic_len == k.topic_len);
	FUZZ_CHECK(!memcmp(again.group, k.group, k.group_len));
	FUZZ_CHECK(!memcmp(again.topic, k.topic, k.topic_len));
	/* Cut short, it is none. */
	FUZZ_CHECK(evs_commit_key_get(copy, len - 1, &again));
	free(copy);
}

int fuzz_one(const uint8_t *data, size_t size)
{
	key(data, size);
	value(data, size);
	made(data, size);
	return 0;
}
