/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mapped log, and memory of which a part may not be there.
 */
#ifndef EVMAP_H
#define EVMAP_H

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "evwork.h"

#define PAGE	4096

static inline char *evm_log(int fd, uint64_t pos, size_t len)
{
	return mmap(NULL, len, PROT_READ, MAP_SHARED, fd, EVSTREAM_MMAP_LOG + pos);
}

static inline const volatile struct evstream_ctl *evm_ctl(int fd)
{
	return mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, EVSTREAM_MMAP_CTL);
}

static __thread sigjmp_buf evm_bus_env;
static __thread volatile int evm_bus_armed;

static inline void evm_on_bus(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!evm_bus_armed || info->si_code != BUS_ADRERR) {
		signal(sig, SIG_DFL);
		return;
	}
	siglongjmp(evm_bus_env, 1);
}

/* The byte at @p, or -1: SIGBUS. */
static inline int evm_touch(const volatile char *p)
{
	struct sigaction action = { .sa_sigaction = evm_on_bus, .sa_flags = SA_SIGINFO };
	int ret = -1;

	sigaction(SIGBUS, &action, NULL);
	if (!sigsetjmp(evm_bus_env, 1)) {
		evm_bus_armed = 1;
		ret = (unsigned char)*p;
	}
	evm_bus_armed = 0;
	signal(SIGBUS, SIG_DFL);
	return ret;
}

/* Records of @max bytes each, or of sizes up to that by @seed; how many went. */
static inline int evm_fill(int fd, int records, uint32_t max, uint64_t *seed)
{
	char *buf = malloc(max);
	int i;

	for (i = 0; i < records; i++) {
		uint32_t len = seed ? evw_size(seed, max) : max;

		evw_make(buf, len, 1, i);
		if (write(fd, buf, len) != (ssize_t)len)
			break;
	}
	free(buf);
	return i;
}

#endif /* EVMAP_H */
