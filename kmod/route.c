// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Kafka's default partitioner (org.apache.kafka.common.utils.Utils.murmur2).
 */
#include <linux/unaligned.h>

#include "route.h"

#define MURMUR2_SEED	0x9747b28cu
#define MURMUR2_M	0x5bd1e995u
#define MURMUR2_R	24

/**
 * evs_murmur2() - Kafka's murmur2 hash
 * @key: bytes
 * @len: how many
 *
 * Return: the hash; Java prints it as a signed number.
 */
u32 evs_murmur2(const void *key, size_t len)
{
	u32 h = MURMUR2_SEED ^ (u32)len;
	const u8 *p = key;

	for (; len >= 4; len -= 4, p += 4) {
		u32 k = get_unaligned_le32(p);

		k *= MURMUR2_M;
		k ^= k >> MURMUR2_R;
		k *= MURMUR2_M;
		h *= MURMUR2_M;
		h ^= k;
	}
	switch (len) {
	case 3:
		h ^= (u32)p[2] << 16;
		fallthrough;
	case 2:
		h ^= (u32)p[1] << 8;
		fallthrough;
	case 1:
		h ^= p[0];
		h *= MURMUR2_M;
	}
	h ^= h >> 13;
	h *= MURMUR2_M;
	h ^= h >> 15;
	return h;
}
