/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Kafka's default partitioner.  Pure, as batch.h. */
#ifndef EVSTREAM_ROUTE_H
#define EVSTREAM_ROUTE_H

#include <linux/types.h>

u32 evs_murmur2(const void *key, size_t len);

/**
 * evs_route_key() - the partition of a key, as a Kafka client would choose it
 * @key: the key
 * @len: its bytes
 * @partitions: how many there are, at least 1
 */
static inline u32 evs_route_key(const void *key, size_t len, u32 partitions)
{
	return (evs_murmur2(key, len) & 0x7fffffff) % partitions;
}

#endif /* EVSTREAM_ROUTE_H */
