// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* kmod/route.c: the partitions are those that a Kafka client chooses. */
#include <linux/types.h>

#include "../../kmod/route.h"
#include "tap.h"

/* Those of Kafka's own UtilsTest. */
static const struct { const char *key; s32 hash; } vectors[] = {
	{ "21", -973932308 },
	{ "abc", 479470107 },
	{ "foobar", -790332482 },
	{ "a-little-bit-long-string", -985981536 },
	{ "a-little-bit-longer-string", -1486304829 },
	{ "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 },
};

#define VECTORS	(sizeof(vectors) / sizeof(vectors[0]))

static void murmur2_vectors(void)
{
	size_t i;

	for (i = 0; i < VECTORS; i++) {
		size_t len = strlen(vectors[i].key);
		void *key = tap_exact(vectors[i].key, len);

		CHECK_EQ((s32)evs_murmur2(key, len), vectors[i].hash);
		free(key);
	}
}

static void murmur2_unaligned(void)
{
	char buf[80];
	size_t i, shift;

	for (i = 0; i < VECTORS; i++)
		for (shift = 0; shift < 8; shift++) {
			size_t len = strlen(vectors[i].key);

			memcpy(buf + shift, vectors[i].key, len);
			CHECK_EQ((s32)evs_murmur2(buf + shift, len), vectors[i].hash);
		}
}

static void partition_choice(void)
{
	static const u32 partitions[] = { 1, 2, 3, 4, 7, 64, 4096, 0x7fffffff, 0xffffffff };
	size_t i, k;

	for (i = 0; i < VECTORS; i++)
		for (k = 0; k < sizeof(partitions) / sizeof(partitions[0]); k++) {
			u32 want = ((u32)vectors[i].hash & 0x7fffffff) % partitions[k];

			CHECK_EQ(evs_route_key(vectors[i].key, strlen(vectors[i].key),
					       partitions[k]), want);
		}
	/* -973932308 & 0x7fffffff = 1173551340 */
	CHECK_EQ(evs_route_key("21", 2, 1000), 340);
	CHECK_EQ(evs_route_key("", 0, 1), 0);
}

static const struct tap_test tests[] = {
	TAP_TEST(murmur2_vectors),
	TAP_TEST(murmur2_unaligned),
	TAP_TEST(partition_choice),
};

int main(void)
{
	return TAP_MAIN(tests);
}
