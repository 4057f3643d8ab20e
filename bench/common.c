// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

void die(const char *format, ...)
{
	int err = errno;
	va_list args;

	fprintf(stderr, "%s: ", bench_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(err));
	exit(1);
}

void report(const char *name, size_t size, double value, const char *unit)
{
	printf("{\"name\": \"%s\", \"size\": %zu, \"value\": %.10g, \"unit\": \"%s\"}\n",
	       name, size, value, unit);
	fflush(stdout);
}

void run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command)) {
		errno = ECANCELED;
		die("%s", command);
	}
}

void drop_clean(void)
{
	FILE *f = fopen("/proc/sys/vm/drop_caches", "w");

	if (!f || fputs("3\n", f) < 0 || fclose(f))
		die("drop_caches");
}

static bool have_topic;

void topic_new(const char *options)
{
	if (have_topic)
		topic_delete();
	run("streamctl topic create " TOPIC " %s >/dev/null", options);
	have_topic = true;
}

void topic_delete(void)
{
	run("streamctl topic delete " TOPIC " >/dev/null");
	have_topic = false;
}

int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die("%s", path);
	return fd;
}

void write_all(int fd, const void *buf, size_t len)
{
	ssize_t n = write(fd, buf, len);

	if (n == (ssize_t)len)
		return;
	if (n >= 0)
		errno = EIO;
	die("write of %zu bytes", len);
}

void read_all(int fd, void *buf, size_t len)
{
	while (len) {
		ssize_t n = read(fd, buf, len);

		if (n <= 0) {
			if (!n)
				errno = EIO;
			die("read of %zu bytes", len);
		}
		buf = (char *)buf + n;
		len -= n;
	}
}

void *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes", size);
	memset(p, 'x', size);
	return p;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare_doubles);
	return n & 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

bool icount(void)
{
	static int answer = -1;
	const char *env;

	if (answer < 0) {
		env = getenv("EVSTREAM_ICOUNT");
		answer = env && *env;
	}
	return answer;
}

double now(void)
{
	struct timespec t;

	/* There the time stamp counter counts them. */
	if (icount())
		return __builtin_ia32_rdtsc();
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

const char *unit(void)
{
	return icount() ? "instructions" : "ns";
}

double writes(int fd, const void *buf, size_t size, unsigned int n)
{
	double start = now();

	for (unsigned int i = 0; i < n; i++)
		write_all(fd, buf, size);
	return now() - start;
}
