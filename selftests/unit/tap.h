/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TAP for unit tests: a table of functions, each with any number of checks. */
#ifndef UNIT_TAP_H
#define UNIT_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tap_test {
	const char *name;
	void (*fn)(void);
};

#define TAP_TEST(fn)	{ #fn, fn }

static int tap_failures;

static inline bool tap_check(bool ok, const char *what, const char *file, int line)
{
	if (!ok && ++tap_failures <= 20)
		printf("# %s:%d: not so: %s\n", file, line, what);
	return ok;
}

static inline bool tap_check_eq(long long a, long long b, const char *what, const char *file,
				int line)
{
	if (a != b && ++tap_failures <= 20)
		printf("# %s:%d: %s: %lld, not %lld\n", file, line, what, a, b);
	return a == b;
}

#define CHECK(cond)	tap_check(cond, #cond, __FILE__, __LINE__)
#define CHECK_EQ(a, b)	tap_check_eq((long long)(a), (long long)(b), #a, __FILE__, __LINE__)

static inline int tap_main(const struct tap_test *tests, size_t n)
{
	int failed = 0;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%zu\n", n);
	for (i = 0; i < n; i++) {
		tap_failures = 0;
		tests[i].fn();
		failed += !!tap_failures;
		printf("%sok %zu - %s\n", tap_failures ? "not " : "", i + 1, tests[i].name);
	}
	return failed ? 1 : 0;
}

#define TAP_MAIN(tests)	tap_main(tests, sizeof(tests) / sizeof((tests)[0]))

/* Repeatable pseudo-random numbers (xorshift64*). */
static uint64_t tap_seed = 88172645463325252ULL;

static inline uint64_t tap_random(void)
{
	tap_seed ^= tap_seed >> 12;
	tap_seed ^= tap_seed << 25;
	tap_seed ^= tap_seed >> 27;
	return tap_seed * 2685821657736338717ULL;
}

static inline uint32_t tap_below(uint32_t n)
{
	return (uint32_t)(tap_random() >> 32) % n;
}

/* A copy whose end is that of its allocation, for ASan to see overruns. */
static inline void *tap_exact(const void *data, size_t len)
{
	void *p = malloc(len ? len : 1);

	if (!p)
		abort();
	memcpy(p, data, len);
	return p;
}

#endif /* UNIT_TAP_H */
