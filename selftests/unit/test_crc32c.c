// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* tools/lib/crc32c.c, each way to a CRC. */
#include <linux/crc32c.h>

#include "../../tools/lib/crc32c.h"
#include "../../tools/lib/evstream.h"
#include "tap.h"

typedef u32 (*crc_fn)(u32 crc, const void *data, size_t len);

static u32 slow(u32 crc, const void *data, size_t len)
{
	const u8 *p = data;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

/* RFC 3720, B.4, and the check value of the catalogues. */
static void vectors(crc_fn fn)
{
	static const u8 read10[48] = {
		0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0x14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
		0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
	};
	u8 buf[32];
	int i;

	memset(buf, 0, sizeof(buf));
	CHECK_EQ(~fn(~0U, buf, 32), (u32)0x8a9136aa);
	memset(buf, 0xff, sizeof(buf));
	CHECK_EQ(~fn(~0U, buf, 32), (u32)0x62a8ab43);
	for (i = 0; i < 32; i++)
		buf[i] = (u8)i;
	CHECK_EQ(~fn(~0U, buf, 32), (u32)0x46dd794e);
	for (i = 0; i < 32; i++)
		buf[i] = (u8)(31 - i);
	CHECK_EQ(~fn(~0U, buf, 32), (u32)0x113fdb5c);
	CHECK_EQ(~fn(~0U, read10, 48), (u32)0xd9963a56);
	CHECK_EQ(~fn(~0U, "123456789", 9), (u32)0xe3069283);
	CHECK_EQ(fn(0x12345678, "", 0), 0x12345678);
}

static void lengths(crc_fn fn)
{
	u8 buf[300];
	size_t i, at, len;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)tap_random();
	for (at = 0; at < 9; at++)
		for (len = 0; len < 280; len++)
			CHECK_EQ(fn(0x9abcdef0, buf + at, len), slow(0x9abcdef0, buf + at, len));
}

static void tables(void)
{
	evs_crc32c_fill_tables();
	vectors(evs_crc32c_tables);
	lengths(evs_crc32c_tables);
}

static void instruction(void)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2")) {
		vectors(evs_crc32c_sse42);
		lengths(evs_crc32c_sse42);
	}
#endif
}

static u32 kernel_style(u32 crc, const void *data, size_t len)
{
	return crc32c(crc, data, (unsigned int)len);
}

static void chosen(void)
{
	vectors(kernel_style);
	lengths(kernel_style);
	CHECK_EQ(evs_crc32c(0, "123456789", 9), 0xe3069283);
	CHECK_EQ(evs_crc32c(evs_crc32c(0, "12345", 5), "6789", 4), 0xe3069283);
}

static const struct tap_test tests[] = {
	TAP_TEST(tables),
	TAP_TEST(instruction),
	TAP_TEST(chosen),
};

int main(void)
{
	return TAP_MAIN(tests);
}
