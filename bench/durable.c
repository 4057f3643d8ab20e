// SPDX-License-Identifier: GPL-2.0-only
/*
 * Durable topics beside files of the same file system, on a disk of their own.
 * Whatever is compared is measured in turns, several times; medians are printed.
 * What the disk has to do is counted too: that is the same on a busy machine.
 *
 * usage: durable sync|ingest|attach|attach-full|cold|cost FS DISK
 *
 * DISK's contents are lost.
 */
#include <errno.h>
#include <evstream.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/evstream_netlink.h>

#include "bench.h"

const char *bench_name = "durable";

#define DIR		"/tmp/evstream-bench"
#define ROUNDS		5

static const char *fs, *disk;
static char *buffer;

/* ---------------------------------------------------------------- disk */

/* What the disk has done, and how often a processor went on to another task. */
enum { READS, READ, WRITES, WRITTEN, FLUSHES, SWITCHES, COUNTERS };

static const char *const counters[COUNTERS] = {
	"reads", "bytes-read", "writes", "bytes-written", "flushes", "switches",
};

struct io {
	double n[COUNTERS];
};

static double switches_now(void)
{
	FILE *f = fopen("/proc/stat", "r");
	double n = -1;
	char line[4096];

	while (f && n < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "ctxt %lf", &n);
	if (n < 0)
		die("/proc/stat");
	fclose(f);
	return n;
}

static struct io io_now(void)
{
	char path[128];
	struct io io;
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/sys/block/%s/stat", strrchr(disk, '/') + 1);
	f = fopen(path, "r");
	if (!f)
		die("%s", path);
	/* Requests, merged, sectors, time; the same for writes; and so on. */
	n = fscanf(f, "%lf %*f %lf %*f %lf %*f %lf %*f %*f %*f %*f %*f %*f %*f %*f %lf",
		   &io.n[READS], &io.n[READ], &io.n[WRITES], &io.n[WRITTEN], &io.n[FLUSHES]);
	fclose(f);
	if (n != 5) {
		errno = EPROTO;
		die("%s", path);
	}
	io.n[READ] *= 512;
	io.n[WRITTEN] *= 512;
	io.n[SWITCHES] = switches_now();
	return io;
}

/* Adds what has happened since @before. */
static void io_add(struct io *sum, const struct io *before)
{
	struct io after = io_now();

	for (unsigned int i = 0; i < COUNTERS; i++)
		sum->n[i] += after.n[i] - before->n[i];
}

static void disk_mount(void)
{
	const char *options = !strcmp(fs, "ext4") ?
		/* Nothing is left for later. */
		"-q -F -E nodiscard,lazy_itable_init=0,lazy_journal_init=0" :
		!strcmp(fs, "xfs") ? "-q -f -K" : "-q -f";

	/* A disk of memory, which is there at once. */
	if (!strncmp(disk, "/dev/ram", 8)) {
		run("modprobe brd rd_nr=1 rd_size=786432");
		run("dd if=/dev/zero of=%s bs=1M count=768 status=none", disk);
	}
	run("mkdir -p " DIR);
	run("PATH=$PATH:/usr/sbin:/sbin mkfs.%s %s %s", fs, options, disk);
	run("mount -t %s %s " DIR, fs, disk);
}

static void disk_unmount(void)
{
	run("umount " DIR);
}

/* What was written before is none of the next one's business. */
static void settle(void)
{
	sync();
	usleep(20000);
}

/* ------------------------------------------------------------- figures */

static void figure(const char *what, const char *name, size_t size, double value,
		   const char *of)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s/%s", what, fs, name);
	report(full, size, value, of);
}

/* One of several things that are measured in turns. */
struct series {
	double value[ROUNDS];
	double ratio[ROUNDS];
	struct io io;
};

static void series_figures(const char *what, const char *name, size_t size, struct series *s,
			   unsigned int rounds, const char *of, bool ratio)
{
	char full[96];

	figure(what, name, size, median(s->value, rounds), of);
	snprintf(full, sizeof(full), "%s-ratio", name);
	if (ratio)
		figure(what, full, size, median(s->ratio, rounds), "x");
}

/* For each of the @per things that were done in all rounds. */
static void series_io(const char *what, const char *name, size_t size, const struct series *s,
		      double per)
{
	char full[96];

	for (unsigned int i = 0; i < COUNTERS; i++) {
		snprintf(full, sizeof(full), "%s-%s", name, counters[i]);
		figure(what, full, size, s->io.n[i] / per, counters[i]);
	}
}

/* ------------------------------- records that are on the disk, one by one */

#define PRODUCERS	16

enum where {
	TOPIC_DSYNC,		/* one partition, O_DSYNC */
	FILE_OWN,		/* write() and fdatasync(), a file each */
	FILE_SHARED,		/* the same with one file for all */
};

struct shared {
	volatile bool go;
	volatile bool stop;
	volatile unsigned int ready;
	uint64_t next;				/* place in the shared file */
	volatile uint64_t count[PRODUCERS][8];	/* a cache line each */
};

/* More than anybody writes in one turn. */
#define OWN_BYTES	(64UL << 20)
#define SHARED_BYTES	(256UL << 20)

static void file_name(char *path, size_t size, unsigned int number)
{
	snprintf(path, size, DIR "/file-%u", number);
}

static void file_new(unsigned int number, size_t bytes)
{
	char path[64];
	int fd;

	file_name(path, sizeof(path), number);
	fd = open_or_die(path, O_RDWR | O_CREAT | O_TRUNC);
	errno = bytes ? posix_fallocate(fd, 0, bytes) : 0;
	if (errno)
		die("%zu bytes for %s", bytes, path);
	if (fsync(fd))
		die("fsync");
	close(fd);
}

static void file_delete(unsigned int number)
{
	char path[64];

	file_name(path, sizeof(path), number);
	if (unlink(path))
		die("%s", path);
}

static void produce(struct shared *s, unsigned int number, size_t size, enum where where)
{
	uint64_t own = 0;
	char path[64];
	int fd;

	file_name(path, sizeof(path), where == FILE_OWN ? number : 0);
	if (where == TOPIC_DSYNC)
		fd = open_or_die(PARTITION, O_WRONLY | O_DSYNC);
	else
		fd = open_or_die(path, O_WRONLY);
	__atomic_add_fetch(&s->ready, 1, __ATOMIC_SEQ_CST);
	while (!s->go)
		usleep(100);
	while (!s->stop) {
		uint64_t at = 0;

		if (where == FILE_OWN)
			at = own++ * size % (OWN_BYTES - size);
		else if (where == FILE_SHARED)
			at = __atomic_fetch_add(&s->next, size, __ATOMIC_RELAXED) %
			     (SHARED_BYTES - size);
		if (where == TOPIC_DSYNC)
			write_all(fd, buffer, size);
		else if (pwrite(fd, buffer, size, at) != (ssize_t)size || fdatasync(fd))
			die("%s", path);
		s->count[number][0]++;
	}
	_exit(0);
}

static uint64_t counted(const struct shared *s, unsigned int n)
{
	uint64_t sum = 0;

	while (n--)
		sum += s->count[n][0];
	return sum;
}

/* Records a second of all; @io and @records: what the disk did meanwhile. */
static double producers(struct shared *s, unsigned int n, size_t size, enum where where,
			struct io *io, double *records)
{
	unsigned int files = where == FILE_OWN ? n : where == FILE_SHARED;
	uint64_t before, after;
	struct io io_before;
	double start;
	int status;

	for (unsigned int i = 0; i < files; i++)
		file_new(i, where == FILE_OWN ? OWN_BYTES : SHARED_BYTES);
	settle();
	memset(s, 0, sizeof(*s));
	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid)
			produce(s, i, size, where);
	}
	while (s->ready < n)
		usleep(1000);
	s->go = true;
	usleep(100000);
	start = now();
	before = counted(s, n);
	io_before = io_now();
	usleep(700000);
	after = counted(s, n);
	io_add(io, &io_before);
	start = now() - start;
	s->stop = true;
	for (unsigned int i = 0; i < n; i++)
		if (wait(&status) < 0 || status)
			die("producer");
	for (unsigned int i = 0; i < files; i++)
		file_delete(i);
	*records += after - before;
	return (after - before) / start * 1e9;
}

static void measure_sync(size_t size)
{
	static const struct {
		const char *name;
		unsigned int n;
		enum where where;
	} runs[] = {
		{ "file-1", 1, FILE_OWN },
		{ "topic-1", 1, TOPIC_DSYNC },
		{ "topic-16", PRODUCERS, TOPIC_DSYNC },
		{ "own-16", PRODUCERS, FILE_OWN },
		{ "shared-16", PRODUCERS, FILE_SHARED },
	};
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct series all[ARRAY_SIZE(runs)] = {};
	double records[ARRAY_SIZE(runs)] = {};

	if (s == MAP_FAILED)
		die("mmap");
	topic_new("--dir " DIR);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(runs); k++) {
			all[k].value[i] = producers(s, runs[k].n, size, runs[k].where,
						    &all[k].io, &records[k]);
			all[k].ratio[i] = all[k].value[i] / all[0].value[i];
		}
	}
	topic_delete();
	for (unsigned int k = 0; k < ARRAY_SIZE(runs); k++) {
		series_figures("sync", runs[k].name, size, &all[k], ROUNDS, "records/s", k);
		series_io("sync", runs[k].name, size, &all[k], records[k]);
	}
	munmap(s, sizeof(*s));
}

/* ------------------------------------------- much, and a flush at its end */

#define RECORD		(64UL << 10)

/* Instructions are the same each time, and the disk of memory is small. */
static size_t log_bytes(void)
{
	return icount() ? 64UL << 20 : 256UL << 20;
}

static double per_mib(double since)
{
	return (now() - since) / (log_bytes() >> 20);
}

/* All of it by records, on the disk at the end: for a MiB. */
static double ingest(int fd)
{
	double start = now();

	for (size_t done = 0; done < log_bytes(); done += RECORD)
		write_all(fd, buffer, RECORD);
	if (fdatasync(fd))
		die("fdatasync");
	return per_mib(start);
}

static void measure_ingest(void)
{
	struct series file = {}, topic = {};

	for (unsigned int i = 0; i < ROUNDS; i++) {
		char path[64];
		struct io before;
		int fd;

		file_new(0, 0);
		file_name(path, sizeof(path), 0);
		fd = open_or_die(path, O_WRONLY);
		settle();
		before = io_now();
		file.value[i] = ingest(fd);
		io_add(&file.io, &before);
		close(fd);
		file_delete(0);

		topic_new("--dir " DIR);
		fd = open_or_die(PARTITION, O_WRONLY);
		settle();
		before = io_now();
		topic.value[i] = ingest(fd);
		io_add(&topic.io, &before);
		close(fd);
		topic_delete();
		topic.ratio[i] = topic.value[i] / file.value[i];
	}
	series_figures("ingest", "file", RECORD, &file, ROUNDS, unit(), false);
	series_figures("ingest", "topic", RECORD, &topic, ROUNDS, unit(), true);
	series_io("ingest", "file", RECORD, &file, ROUNDS);
	series_io("ingest", "topic", RECORD, &topic, ROUNDS);
}

/* ----------------------------------------------------- reading what is cold */

static double read_file(const char *path)
{
	int fd = open_or_die(path, O_RDONLY);
	double start = now();
	size_t total = 0;
	ssize_t n;

	while ((n = read(fd, buffer, RECORD)) > 0)
		total += n;
	if (n < 0 || total < log_bytes())
		die("%s: %zu bytes", path, total);
	close(fd);
	return per_mib(start);
}

static double read_topic(int fd)
{
	double start = now();

	if (lseek(fd, 0, SEEK_SET))
		die("lseek");
	for (size_t done = 0; done < log_bytes(); done += RECORD)
		read_all(fd, buffer, RECORD);
	return per_mib(start);
}

static double fetch_topic(int fd)
{
	struct evstream_fetch f = { .buf = (uintptr_t)buffer, .len = 1 << 20 };
	double start = now();

	while (f.offset < (int64_t)(log_bytes() / RECORD)) {
		if (ioctl(fd, EVSTREAM_IOC_FETCH, &f) || !f.bytes)
			die("fetch at %jd", (intmax_t)f.offset);
		f.offset = f.next_offset;
	}
	return per_mib(start);
}

static void measure_cold(void)
{
	static const char *const names[] = { "file", "read", "fetch" };
	struct series all[ARRAY_SIZE(names)] = {};
	char path[64];
	int fd, topic;

	file_name(path, sizeof(path), 0);
	fd = open_or_die(path, O_WRONLY | O_CREAT);
	ingest(fd);
	close(fd);
	topic_new("--dir " DIR);
	topic = open_or_die(PARTITION, O_RDWR);
	ingest(topic);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(names); k++) {
			struct io before;

			settle();
			drop_clean();
			before = io_now();
			all[k].value[i] = k == 0 ? read_file(path) : k == 1 ?
					  read_topic(topic) : fetch_topic(topic);
			io_add(&all[k].io, &before);
			all[k].ratio[i] = all[k].value[i] / all[0].value[i];
		}
	}
	for (unsigned int k = 0; k < ARRAY_SIZE(names); k++) {
		series_figures("cold", names[k], RECORD, &all[k], ROUNDS, unit(), k);
		series_io("cold", names[k], RECORD, &all[k], ROUNDS);
	}
	/* The same when all is in memory: the rest is what the disk and its bytes cost. */
	for (unsigned int i = 0; i < ROUNDS; i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(names); k++) {
			all[k].value[i] = k == 0 ? read_file(path) : k == 1 ?
					  read_topic(topic) : fetch_topic(topic);
			all[k].ratio[i] = all[k].value[i] / all[0].value[i];
		}
	}
	for (unsigned int k = 0; k < ARRAY_SIZE(names); k++)
		series_figures("warm", names[k], RECORD, &all[k], ROUNDS, unit(), k);
	close(topic);
	topic_delete();
}

/* -------------------------------------------------------------- attaching */

#define SEGMENTS	100

static double attach(void)
{
	double start = now();

	request(EVSTREAM_CMD_TOPIC_ATTACH, TOPIC, 0, DIR);
	return now() - start;
}

static void detach(void)
{
	request(EVSTREAM_CMD_TOPIC_DETACH, TOPIC, 0, NULL);
}

static double read_segments(void)
{
	double start = now();

	run("cat " DIR "/" TOPIC "-0/*.log >/dev/null");
	return now() - start;
}

/* @segment bytes each, in records of 4 KiB. */
static void fill_segments(size_t segment)
{
	struct evstream_stat stat = { .end_offset = 0 };
	char options[96];
	int fd;

	snprintf(options, sizeof(options), "--dir " DIR " --segment %zuK", segment >> 10);
	topic_new(options);
	fd = open_or_die(PARTITION, O_WRONLY);
	do {
		for (unsigned int i = 0; i < 64; i++)
			write_all(fd, buffer, 4096);
		if (ioctl(fd, EVSTREAM_IOC_STAT, &stat))
			die("stat");
	} while (stat.end_position < SEGMENTS * segment - segment / 2);
	close(fd);
	detach();
}

static void measure_attach(size_t segment, unsigned int rounds)
{
	static const struct {
		const char *name;
		const char *lost;
	} runs[] = {
		{ "files", NULL },
		{ "clean", NULL },
		/* It is taken for one that Kafka wrote: the last segment is read. */
		{ "checkpoint", "evstream.checkpoint" },
		/* All that was written is read, and indexed again. */
		{ "indexes", "*index" },
	};
	struct series all[ARRAY_SIZE(runs)] = {};

	fill_segments(segment);
	for (unsigned int i = 0; i < rounds; i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(runs); k++) {
			struct io before;

			if (runs[k].lost)
				run("rm " DIR "/" TOPIC "-0/%s", runs[k].lost);
			settle();
			drop_clean();
			before = io_now();
			all[k].value[i] = k ? attach() : read_segments();
			io_add(&all[k].io, &before);
			all[k].ratio[i] = all[k].value[i] / all[0].value[i];
			if (k)
				detach();
		}
	}
	for (unsigned int k = 0; k < ARRAY_SIZE(runs); k++) {
		series_figures("attach", runs[k].name, segment, &all[k], rounds, unit(), k);
		series_io("attach", runs[k].name, segment, &all[k], rounds);
	}
	attach();
	topic_delete();
}

/* ------------------------------------------------------- what a call costs */

/*
 * An append that waits for nothing: alone, and with the writing that it leads to.
 */
static void measure_cost(size_t size)
{
	/* Less than what starts the writing. */
	unsigned int n = (3UL << 20) / (size + 70), rounds = 16;
	double alone = 0, all = 0;
	char path[64];
	int fd;

	topic_new("--dir " DIR " --flush-interval 0");
	fd = open_or_die(PARTITION, O_WRONLY);
	for (unsigned int i = 0; i <= rounds; i++) {
		double t = writes(fd, buffer, size, n);

		if (fsync(fd))
			die("fsync");
		/* The first round warms up. */
		if (i)
			alone += t;
	}
	report("write/durable", size, alone / rounds / n, unit());
	close(fd);
	topic_delete();

	topic_new("--dir " DIR);
	fd = open_or_die(PARTITION, O_WRONLY);
	writes(fd, buffer, size, n);
	all = writes(fd, buffer, size, rounds * n);
	report("write/durable-written", size, all / rounds / n, unit());
	close(fd);
	topic_delete();

	file_new(0, 0);
	file_name(path, sizeof(path), 0);
	fd = open_or_die(path, O_WRONLY | O_APPEND);
	writes(fd, buffer, size, n);
	settle();
	snprintf(path, sizeof(path), "write/%s", fs);
	report(path, size, writes(fd, buffer, size, rounds * n) / rounds / n, unit());
	close(fd);
	file_delete(0);
}

/* A record that is on the disk when the call returns. */
static void measure_cost_sync(size_t size)
{
	const unsigned int n = 2000;
	double start = 0;
	char path[64];
	int fd;

	topic_new("--dir " DIR);
	fd = open_or_die(PARTITION, O_WRONLY | O_DSYNC);
	writes(fd, buffer, size, 100);
	report("dsync/durable", size, writes(fd, buffer, size, n) / n, unit());
	close(fd);
	topic_delete();

	file_new(0, OWN_BYTES);
	file_name(path, sizeof(path), 0);
	fd = open_or_die(path, O_WRONLY);
	for (unsigned int i = 0; i < n + 100; i++) {
		if (i == 100)
			start = now();
		write_all(fd, buffer, size);
		if (fdatasync(fd))
			die("fdatasync");
	}
	snprintf(path, sizeof(path), "dsync/%s", fs);
	report(path, size, (now() - start) / n, unit());
	close(fd);
	file_delete(0);
}

__attribute__((noreturn))
static void misuse(void)
{
	fprintf(stderr, "usage: durable sync|ingest|attach|attach-full|cold|cost FS DISK\n");
	exit(1);
}

int main(int argc, char **argv)
{
	const char *what = argc == 4 ? argv[1] : "";

	if (argc != 4)
		misuse();
	fs = argv[2];
	disk = argv[3];
	buffer = memory(1 << 20);
	disk_mount();
	if (!strcmp(what, "sync")) {
		measure_sync(100);
		measure_sync(4096);
	} else if (!strcmp(what, "ingest")) {
		measure_ingest();
	} else if (!strcmp(what, "attach")) {
		measure_attach(4 << 20, ROUNDS);
	} else if (!strcmp(what, "attach-full")) {
		measure_attach(64 << 20, 3);
	} else if (!strcmp(what, "cold")) {
		measure_cold();
	} else if (!strcmp(what, "cost")) {
		measure_cost(100);
		measure_cost(64 << 10);
		measure_cost_sync(100);
		measure_cost_sync(4096);
		measure_cold();
	} else {
		misuse();
	}
	disk_unmount();
	return 0;
}
