/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the fuzz targets share. A target is a fuzz_one(), which is libFuzzer's entry
 * where that is its name (make fuzz); else fuzz.c calls it.
 */
#ifndef UNIT_FUZZ_H
#define UNIT_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fuzz_one(const uint8_t *data, size_t size);

/* What must hold for any input. */
#define FUZZ_CHECK(cond)							\
	((cond) ? (void)0 : fuzz_failed(#cond, __FILE__, __LINE__))

static inline __attribute__((__noreturn__))
void fuzz_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "# %s:%d: not so: %s\n", file, line, what);
	abort();
}

/* Read all of it: the sanitizers and the hardware look on. */
static inline void fuzz_touch(const void *p, int64_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (len-- > 0)
		sum ^= *b++;
	__asm__ volatile("" : : "r"(sum));
}

/* A copy that ends where its allocation does. */
static inline void *fuzz_copy(const void *data, size_t len)
{
	void *p = malloc(len ? len : 1);

	if (!p)
		abort();
	if (len)
		memcpy(p, data, len);
	return p;
}

/**
 * struct fuzz_input - bytes that are taken from the front, zeroes when all are gone
 * @p: the next one
 * @left: how many
 */
struct fuzz_input {
	const uint8_t *p;
	size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t v = fuzz_u8(in);

	v |= (uint32_t)fuzz_u8(in) << 8;
	v |= (uint32_t)fuzz_u8(in) << 16;
	return v | (uint32_t)fuzz_u8(in) << 24;
}

static inline uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t v = fuzz_u32(in);

	return v | (uint64_t)fuzz_u32(in) << 32;
}

/* Up to @len bytes: how many there are. */
static inline size_t fuzz_bytes(struct fuzz_input *in, size_t len, const uint8_t **p)
{
	if (len > in->left)
		len = in->left;
	*p = in->p;
	in->p += len;
	in->left -= len;
	return len;
}

#endif /* UNIT_FUZZ_H */
