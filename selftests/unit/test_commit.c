// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* kmod/commit.c: Kafka's records of committed offsets, to the byte. */
#include <errno.h>
#include <linux/types.h>
#include <linux/unaligned.h>

#include "../../kmod/commit.h"
#include "tap.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* As Kafka's OffsetCommitKey 1 and OffsetCommitValue 3 say. */
static const u8 golden_key[] = {
	0, 1,
	0, 7, 'b', 'i', 'l', 'l', 'i', 'n', 'g',
	0, 6, 'o', 'r', 'd', 'e', 'r', 's',
	0, 0, 1, 2,
};

static const u8 golden_value[] = {
	0, 3,
	0, 0, 0, 1, 2, 3, 4, 5,
	0xff, 0xff, 0xff, 0xff,
	0, 0,
	0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0x00,
};

static const u8 golden_queue[] = {
	0, 3,
	0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff,
	0, 5, 'q', 'u', 'e', 'u', 'e',
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

static const struct evs_commit_key a_key = {
	.group = "billing", .group_len = 7, .topic = "orders", .topic_len = 6, .partition = 258,
};

static const struct evs_commit_value a_value = {
	.offset = 0x102030405, .ms = 1700000000000,
};

static const struct evs_commit_value a_queue = {
	.offset = 0x7fffffffffffffff, .ms = -1, .queue = true,
};

/* A value of another version, or with other metadata than ours. */
static u8 *value_with(const void *metadata, u16 len, size_t *size)
{
	u8 *p;

	*size = sizeof(golden_value) + len;
	p = malloc(*size);
	memcpy(p, golden_value, 14);
	put_unaligned_be16(len, p + 14);
	memcpy(p + 16, metadata, len);
	memcpy(p + 16 + len, golden_value + 16, 8);
	return p;
}

static bool same_key(const struct evs_commit_key *a, const struct evs_commit_key *b)
{
	return a->group_len == b->group_len && !memcmp(a->group, b->group, a->group_len) &&
	       a->topic_len == b->topic_len && !memcmp(a->topic, b->topic, a->topic_len) &&
	       a->partition == b->partition;
}

static void golden(void)
{
	u8 *key = malloc(EVS_COMMIT_KEY_MAX), *value = malloc(EVS_COMMIT_VALUE_MAX);

	CHECK_EQ(evs_commit_key_put(key, &a_key), sizeof(golden_key));
	CHECK(!memcmp(key, golden_key, sizeof(golden_key)));
	CHECK_EQ(evs_commit_value_put(value, &a_value), sizeof(golden_value));
	CHECK(!memcmp(value, golden_value, sizeof(golden_value)));
	CHECK_EQ(evs_commit_value_put(value, &a_queue), sizeof(golden_queue));
	CHECK(!memcmp(value, golden_queue, sizeof(golden_queue)));
	CHECK_EQ(sizeof(golden_queue), EVS_COMMIT_VALUE_MAX);
	free(key);
	free(value);
}

static void decoded(void)
{
	u8 *key = tap_exact(golden_key, sizeof(golden_key));
	u8 *value = tap_exact(golden_value, sizeof(golden_value));
	u8 *queue = tap_exact(golden_queue, sizeof(golden_queue));
	struct evs_commit_value v;
	struct evs_commit_key k;

	CHECK_EQ(evs_commit_key_get(key, sizeof(golden_key), &k), 0);
	CHECK(same_key(&k, &a_key));
	CHECK_EQ(evs_commit_value_get(value, sizeof(golden_value), &v), 0);
	CHECK_EQ(v.offset, a_value.offset);
	CHECK_EQ(v.ms, a_value.ms);
	CHECK(!v.queue);
	CHECK_EQ(evs_commit_value_get(queue, sizeof(golden_queue), &v), 0);
	CHECK_EQ(v.offset, a_queue.offset);
	CHECK_EQ(v.ms, a_queue.ms);
	CHECK(v.queue);
	free(key);
	free(value);
	free(queue);
}

/* Names of each length, up to the longest. */
static void lengths(void)
{
	char *name = malloc(EVS_COMMIT_NAME_MAX);
	u32 i;

	for (i = 0; i < EVS_COMMIT_NAME_MAX; i++)
		name[i] = (char)(1 + i);
	for (i = 0; i <= EVS_COMMIT_NAME_MAX; i++) {
		struct evs_commit_key k = {
			.group = name, .group_len = i, .topic = name,
			.topic_len = EVS_COMMIT_NAME_MAX - i, .partition = 0x7fffffff,
		}, got;
		u8 *p = malloc(EVS_COMMIT_KEY_MAX);
		u32 len = evs_commit_key_put(p, &k);
		u8 *exact = tap_exact(p, len);

		CHECK_EQ(evs_commit_key_get(exact, len, &got), 0);
		CHECK(same_key(&k, &got));
		k.topic_len = EVS_COMMIT_NAME_MAX;
		CHECK(evs_commit_key_put(p, &k) <= EVS_COMMIT_KEY_MAX);
		free(exact);
		free(p);
	}
	free(name);
}

/* Cut off anywhere, or with more behind it. */
static void cut(void)
{
	static const struct { const u8 *p; size_t len; bool key; } all[] = {
		{ golden_key, sizeof(golden_key), true },
		{ golden_value, sizeof(golden_value), false },
		{ golden_queue, sizeof(golden_queue), false },
	};
	struct evs_commit_value v;
	struct evs_commit_key k;
	size_t i, len;

	for (i = 0; i < COUNT(all); i++)
		for (len = 0; len <= all[i].len + 8; len++) {
			u8 *p = calloc(1, len ? len : 1);
			int ret;

			memcpy(p, all[i].p, len < all[i].len ? len : all[i].len);
			ret = all[i].key ? evs_commit_key_get(p, len, &k) :
					   evs_commit_value_get(p, len, &v);
			CHECK_EQ(ret, len == all[i].len ? 0 : -EINVAL);
			free(p);
		}
}

static void refused(void)
{
	u8 *key = tap_exact(golden_key, sizeof(golden_key));
	u8 *value = tap_exact(golden_value, sizeof(golden_value));
	struct evs_commit_value v;
	struct evs_commit_key k;
	u16 i;

	/* Other versions: a group's metadata among them. */
	for (i = 0; i < 8; i++) {
		put_unaligned_be16(i, key);
		put_unaligned_be16(i, value);
		CHECK_EQ(evs_commit_key_get(key, sizeof(golden_key), &k), i == 1 ? 0 : -EINVAL);
		CHECK_EQ(evs_commit_value_get(value, sizeof(golden_value), &v),
			 i == 3 ? 0 : -EINVAL);
	}
	put_unaligned_be16(1, key);
	put_unaligned_be16(3, value);
	/* Null, and lengths that are none. */
	for (i = 0; i < 3; i++) {
		static const u16 lens[] = { 0xffff, 0x8000, 0x7fff };

		put_unaligned_be16(lens[i], key + 2);
		CHECK_EQ(evs_commit_key_get(key, sizeof(golden_key), &k), -EINVAL);
		put_unaligned_be16(7, key + 2);
		put_unaligned_be16(lens[i], key + 11);
		CHECK_EQ(evs_commit_key_get(key, sizeof(golden_key), &k), -EINVAL);
		put_unaligned_be16(6, key + 11);
		put_unaligned_be16(lens[i], value + 14);
		CHECK_EQ(evs_commit_value_get(value, sizeof(golden_value), &v), -EINVAL);
		put_unaligned_be16(0, value + 14);
	}
	/* Negative numbers. */
	key[sizeof(golden_key) - 4] = 0x80;
	CHECK_EQ(evs_commit_key_get(key, sizeof(golden_key), &k), -EINVAL);
	value[2] = 0x80;
	CHECK_EQ(evs_commit_value_get(value, sizeof(golden_value), &v), -EINVAL);
	free(key);
	free(value);
}

static void names_too_long(void)
{
	u32 len = 2 + 2 + 250 + 2 + 4, i;
	u8 *key = calloc(1, len);
	struct evs_commit_key k;

	key[1] = 1;
	for (i = 0; i < 2; i++) {
		memset(key + 2, 0, len - 2);
		put_unaligned_be16(i ? 0 : 250, key + 2);
		put_unaligned_be16(i ? 250 : 0, i ? key + 4 : key + 254);
		CHECK_EQ(evs_commit_key_get(key, len, &k), -EINVAL);
		/* One less, which moves what is behind it. */
		put_unaligned_be16(i ? 0 : 249, key + 2);
		put_unaligned_be16(i ? 249 : 0, i ? key + 4 : key + 253);
		CHECK_EQ(evs_commit_key_get(key, len - 1, &k), 0);
	}
	free(key);
}

/* Kafka's own can have any. */
static void metadata(void)
{
	static const char *const texts[] = { "", "queue", "que", "queues", "Queue", "anything" };
	struct evs_commit_value v;
	char big[4096];
	size_t i, size;
	u8 *p;

	for (i = 0; i < COUNT(texts); i++) {
		p = value_with(texts[i], (u16)strlen(texts[i]), &size);
		CHECK_EQ(evs_commit_value_get(p, size, &v), 0);
		CHECK_EQ(v.queue, i == 1);
		CHECK_EQ(v.offset, a_value.offset);
		CHECK_EQ(v.ms, a_value.ms);
		free(p);
	}
	memset(big, 'q', sizeof(big));
	p = value_with(big, sizeof(big), &size);
	CHECK_EQ(evs_commit_value_get(p, size, &v), 0);
	CHECK(!v.queue);
	free(p);
}

/* What is taken is taken for what it is. */
static void mutated(void)
{
	u32 keys = 0, values = 0;
	int round;

	for (round = 0; round < 50000; round++) {
		bool of_key = tap_below(2);
		const u8 *from = of_key ? golden_key : golden_value;
		size_t len = of_key ? sizeof(golden_key) : sizeof(golden_value), to;
		u8 *p = tap_exact(from, len), *again;
		u32 n = 1 + tap_below(3);

		while (n--)
			p[tap_below((u32)len)] = (u8)tap_random();
		if (of_key) {
			struct evs_commit_key k;

			if (!evs_commit_key_get(p, len, &k)) {
				again = malloc(EVS_COMMIT_KEY_MAX);
				to = evs_commit_key_put(again, &k);
				CHECK_EQ(to, len);
				CHECK(!memcmp(p, again, len));
				free(again);
				keys++;
			}
		} else {
			struct evs_commit_value v;

			if (!evs_commit_value_get(p, len, &v)) {
				again = malloc(EVS_COMMIT_VALUE_MAX);
				to = evs_commit_value_put(again, &v);
				CHECK_EQ(to, len);
				/* The leader epoch is not kept. */
				memset(p + 10, 0xff, 4);
				CHECK(!memcmp(p, again, len));
				free(again);
				values++;
			}
		}
		free(p);
	}
	CHECK(keys > 1000);
	CHECK(values > 1000);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(golden),
		TAP_TEST(decoded),
		TAP_TEST(lengths),
		TAP_TEST(cut),
		TAP_TEST(refused),
		TAP_TEST(names_too_long),
		TAP_TEST(metadata),
		TAP_TEST(mutated),
	};

	return TAP_MAIN(tests);
}
