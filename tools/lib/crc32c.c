// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * CRC-32C: the processor's instruction where it has one, else eight bytes at a
 * time by tables.
 */
#include <string.h>

#include <linux/crc32c.h>

#include "crc32c.h"
#include "evstream.h"

#define POLYNOMIAL	0x82f63b78u

/* [k][n]: the CRC of the byte n and k zeroes behind it */
static u32 table[8][256];

static u32 add_byte(u32 crc, u8 byte)
{
	int bit;

	crc ^= byte;
	for (bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	return crc;
}

static u32 by_bits(u32 crc, const void *data, size_t len)
{
	const u8 *p = data;

	while (len--)
		crc = add_byte(crc, *p++);
	return crc;
}

void evs_crc32c_fill_tables(void)
{
	u32 k, n;

	for (n = 0; n < 256; n++) {
		table[0][n] = add_byte(0, (u8)n);
		for (k = 1; k < 8; k++)
			table[k][n] = add_byte(table[k - 1][n], 0);
	}
}

u32 evs_crc32c_tables(u32 crc, const void *data, size_t len)
{
	const u8 *p = data;

	for (; len >= 8; len -= 8, p += 8) {
		crc ^= p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
		crc = table[7][crc & 0xff] ^ table[6][(crc >> 8) & 0xff] ^
		      table[5][(crc >> 16) & 0xff] ^ table[4][crc >> 24] ^
		      table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	while (len--)
		crc = table[0][(crc ^ *p++) & 0xff] ^ (crc >> 8);
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2")))
u32 evs_crc32c_sse42(u32 crc, const void *data, size_t len)
{
	const u8 *p = data;
	u64 wide = crc;

	for (; len >= 8; len -= 8, p += 8) {
		u64 word;

		memcpy(&word, p, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (u32)wide;
	while (len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

/*
 * Right from the first moment on, and fast once constructors run: filling the
 * tables at first use would need a lock.
 */
static u32 (*chosen)(u32 crc, const void *data, size_t len) = by_bits;

__attribute__((constructor))
static void choose(void)
{
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("sse4.2")) {
		chosen = evs_crc32c_sse42;
		return;
	}
#endif
	evs_crc32c_fill_tables();
	chosen = evs_crc32c_tables;
}

u32 crc32c(u32 crc, const void *address, unsigned int length)
{
	return chosen(crc, address, length);
}

uint32_t evs_crc32c(uint32_t crc, const void *data, size_t len)
{
	return ~chosen(~crc, data, len);
}
