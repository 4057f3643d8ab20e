// SPDX-License-Identifier: GPL-2.0-only
/*
 * What topics take to create, to delete and to keep, beside bare device nodes, of
 * a module that makes nothing else. Nanoseconds, or instructions under scripts/vm
 * --icount; and bytes of the kernel's memory.
 *
 * usage: topics NODES-MODULE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/evstream.h>
#include <linux/evstream_netlink.h>

#include "bench.h"

const char *bench_name = "topics";

static void topics(unsigned char cmd, unsigned int n, unsigned int partitions)
{
	char name[32];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "bench%u", i);
		request(cmd, name, partitions, NULL);
	}
}

/*
 * Kernel memory in use, in bytes: the objects of all slabs, whatever the pages
 * that they are spread over, and all other pages that are neither free nor data.
 */
static double used_now(void)
{
	double total = 0, objects, count, size, value;
	char line[512], name[64];
	FILE *f;

	/* Else what a processor keeps for itself would count as in use. */
	run("for f in /sys/kernel/slab/*/shrink; do echo 1 >$f; done");
	drop_clean();
	usleep(100000);
	f = fopen("/proc/meminfo", "r");
	if (!f)
		die("/proc/meminfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]: %lf", name, &value) != 2)
			continue;
		if (!strcmp(name, "MemTotal"))
			total += value * 1024;
		else if (!strcmp(name, "MemFree") || !strcmp(name, "Buffers") ||
			 !strcmp(name, "Cached") || !strcmp(name, "AnonPages") ||
			 !strcmp(name, "Slab"))
			total -= value * 1024;
	}
	fclose(f);
	f = fopen("/proc/slabinfo", "r");
	if (!f)
		die("/proc/slabinfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lf %lf %lf", name, &objects, &count, &size) == 4)
			total += objects * size;
	fclose(f);
	return total;
}

/* As used_now(), once what was deleted is freed: that comes some time after. */
static double used(void)
{
	double before, after = used_now();
	unsigned int tries = 20;

	do {
		before = after;
		usleep(300000);
		after = used_now();
	} while (--tries && (after < before - 32768 || after > before + 32768));
	return after;
}

static double create(unsigned int n, unsigned int partitions)
{
	double start = now();

	topics(EVSTREAM_CMD_TOPIC_NEW, n, partitions);
	return (now() - start) / n;
}

static double delete(unsigned int n)
{
	double start = now();

	topics(EVSTREAM_CMD_TOPIC_DEL, n, 0);
	return (now() - start) / n;
}

static void measure_topics(unsigned int n)
{
	double before = used();

	report("topics/create", n, create(n, 4), unit());
	/* What one topic takes is lost in what else goes on. */
	if (n >= 1000)
		report("topics/memory", n, (used() - before) / n, "bytes");
	report("topics/delete", n, delete(n), unit());
}

/* A partition's memory, and a bare node's; the first round warms up. */
static void measure_memory(const char *module)
{
	const unsigned int n = EVSTREAM_PARTITIONS_MAX, rounds = 3;
	double nodes[3], partitions[3], before;

	for (unsigned int i = 0; i <= rounds; i++) {
		before = used();
		run("insmod %s count=%u", module, n);
		nodes[i % rounds] = (used() - before) / n;
		run("rmmod nodes");

		before = used();
		create(1, n);
		partitions[i % rounds] = (used() - before) / n;
		delete(1);
	}
	report("memory/node", 0, median(nodes, rounds), "bytes");
	report("memory/partition", 0, median(partitions, rounds), "bytes");
}

int main(int argc, char **argv)
{
	static const unsigned int counts[] = { 1, 100, 1000 };

	if (argc != 2) {
		fprintf(stderr, "usage: topics NODES-MODULE\n");
		return 1;
	}
	measure_memory(argv[1]);
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++)
		measure_topics(counts[i]);
	return 0;
}
