/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benchmarks share.  Each prints one figure a line, as JSON:
 *
 *	{"name": "write/topic", "size": 100, "value": 990.1, "unit": "instructions"}
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define TOPIC		"bench"
#define PARTITION	"/dev/stream/" TOPIC "/0"

extern const char *bench_name;

/* Ends the program with errno's reason. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* Prints a figure; @size 0: it has none. */
void report(const char *name, size_t size, double value, const char *unit);

/* Runs a command line, and ends the program when it fails. */
__attribute__((format(printf, 1, 2))) void run(const char *format, ...);

/* Clean pages, dentries and inodes go. */
void drop_clean(void);

/*
 * Asks the control plane: EVSTREAM_CMD_@cmd for the topic @name; @partitions 0, @dir
 * NULL: left out. Needs netlink.c.
 */
void request(unsigned char cmd, const char *name, unsigned int partitions, const char *dir);

/* A new topic TOPIC, in place of an old one; @options are streamctl's. */
void topic_new(const char *options);
void topic_delete(void);

int open_or_die(const char *path, int flags);
void write_all(int fd, const void *buf, size_t len);
void read_all(int fd, void *buf, size_t len);

/* Touched memory from mmap(). */
void *memory(size_t size);

double median(double *values, unsigned int n);

/* Whether the machine's clock counts instructions: scripts/vm --icount. */
bool icount(void);

/* Instructions where the clock counts them, else nanoseconds. */
double now(void);

/* How long @n writes take, by now(). */
double writes(int fd, const void *buf, size_t size, unsigned int n);

/* What now() counts. */
const char *unit(void);

#endif /* BENCH_H */
