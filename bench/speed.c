// SPDX-License-Identifier: GPL-2.0-only
/*
 * How long things take, beside what Linux has for the like. Whatever is compared
 * is measured in turns, several times, so that what disturbs the machine
 * disturbs both; medians are printed. Nanoseconds on two processors, instructions
 * under scripts/vm --icount, which has one.
 *
 * usage: speed wake|scan|producers
 */
#include <errno.h>
#include <evstream.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

const char *bench_name = "speed";

#define ROUNDS		11

static char *buffer;

static void pin(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("processor %u", cpu);
}

static pid_t child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	return pid;
}

/* ------------------------------------------------------------- wake-up */

/* There and back: what goes into the one comes out of the other. */
struct channel {
	int in[2];
	int out[2];
};

static void echo(const struct channel *c, size_t size, unsigned int n)
{
	while (n--) {
		read_all(c->in[0], buffer, size);
		write_all(c->out[1], buffer, size);
	}
}

/* From a write until its reader runs, the mean over n. */
static double wake(const struct channel *c, size_t size, unsigned int n, unsigned int cpu)
{
	pid_t pid = child();
	double start = 0;
	int status;

	if (!pid) {
		pin(cpu);
		echo(c, size, n + 16);
		_exit(0);
	}
	for (unsigned int i = 0; i < n + 16; i++) {
		if (i == 16)
			start = now();
		write_all(c->in[1], buffer, size);
		read_all(c->out[0], buffer, size);
	}
	start = now() - start;
	if (waitpid(pid, &status, 0) != pid || status)
		die("echo");
	return start / n / 2;
}

static void measure_wake_on(const char *where, unsigned int cpu, size_t size)
{
	unsigned int n;
	double pipes[ROUNDS], topics[ROUNDS], ratios[ROUNDS];
	struct channel p, t;
	char name[64];

	if (pipe(p.in) || pipe(p.out))
		die("pipe");
	if (size > 65536 && (fcntl(p.in[1], F_SETPIPE_SZ, size) < 0 ||
			     fcntl(p.out[1], F_SETPIPE_SZ, size) < 0))
		die("F_SETPIPE_SZ");
	topic_new("-p 2");
	for (unsigned int i = 0; i < 2; i++) {
		t.in[i] = open_or_die("/dev/stream/" TOPIC "/0", i ? O_WRONLY : O_RDONLY);
		t.out[i] = open_or_die("/dev/stream/" TOPIC "/1", i ? O_WRONLY : O_RDONLY);
	}
	/* As many as fit into a tenth of a second. */
	n = 50e6 / wake(&p, size, 20, cpu);
	n = n < 20 ? 20 : n > 5000 ? 5000 : n;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		pipes[i] = wake(&p, size, n, cpu);
		topics[i] = wake(&t, size, n, cpu);
		ratios[i] = topics[i] / pipes[i];
	}
	snprintf(name, sizeof(name), "wake-%s/pipe", where);
	report(name, size, median(pipes, ROUNDS), unit());
	snprintf(name, sizeof(name), "wake-%s/topic", where);
	report(name, size, median(topics, ROUNDS), unit());
	snprintf(name, sizeof(name), "wake-%s/ratio", where);
	report(name, size, median(ratios, ROUNDS), "x");
	for (unsigned int i = 0; i < 2; i++) {
		close(p.in[i]);
		close(p.out[i]);
		close(t.in[i]);
		close(t.out[i]);
	}
	topic_delete();
}

static void measure_wake(void)
{
	static const size_t sizes[] = { 64, 100, 1 << 10, 64 << 10 };

	pin(0);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (!icount())
			measure_wake_on("apart", 1, sizes[i]);
		measure_wake_on("together", 0, sizes[i]);
	}
}

/* ---------------------------------------------------------------- scan */

#define SCAN_BYTES	(32UL << 20)

__attribute__((noinline))
static uint64_t sum(const void *from, size_t len)
{
	const uint64_t *p = from;
	uint64_t total = 0;

	for (size_t i = 0; i < len / 8; i++) {
		total += p[i];
		/* Each word is loaded, as what is not summed would be. */
		__asm__ volatile("" : "+r"(total));
	}
	return total;
}

/* Bytes of a value, by words that need not be aligned. */
__attribute__((noinline))
static uint64_t sum_value(const void *from, size_t len)
{
	const char *p = from;
	uint64_t total = 0, word;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&word, p, 8);
		total += word;
		__asm__ volatile("" : "+r"(total));
	}
	for (; len; len--)
		total += (unsigned char)*p++;
	return total;
}

static void measure_scan_bytes(void)
{
	static const char *const names[] = { "memory", "mmap", "mmap-again" };
	double t[ARRAY_SIZE(names)][ROUNDS], ratios[2][ROUNDS];
	char *plain = memory(SCAN_BYTES);
	uint64_t want;
	int fd;

	topic_new("");
	fd = open_or_die(PARTITION, O_RDWR);
	for (size_t done = 0; done < SCAN_BYTES; done += 64 << 10)
		write_all(fd, buffer, 64 << 10);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		char *log = mmap(NULL, SCAN_BYTES, PROT_READ, MAP_SHARED, fd,
				 EVSTREAM_MMAP_LOG);
		double start;

		if (log == MAP_FAILED)
			die("mmap");
		for (unsigned int k = 1; k < 3; k++) {
			start = now();
			want = sum(log, SCAN_BYTES);
			t[k][i] = now() - start;
		}
		memcpy(plain, log, SCAN_BYTES);
		munmap(log, SCAN_BYTES);
		start = now();
		if (sum(plain, SCAN_BYTES) != want) {
			errno = EIO;
			die("other bytes by mmap");
		}
		t[0][i] = now() - start;
		ratios[0][i] = t[1][i] / t[0][i];
		ratios[1][i] = t[2][i] / t[0][i];
	}
	for (unsigned int k = 0; k < ARRAY_SIZE(names); k++) {
		char name[64];

		snprintf(name, sizeof(name), "scan/%s", names[k]);
		report(name, 0, median(t[k], ROUNDS) / (SCAN_BYTES >> 10), unit());
	}
	report("scan/ratio", 0, median(ratios[0], ROUNDS), "x");
	report("scan/ratio-again", 0, median(ratios[1], ROUNDS), "x");
	close(fd);
	topic_delete();
	munmap(plain, SCAN_BYTES);
}

static double scan_mmap(struct evs_reader *r, uint64_t *total)
{
	double start = now();
	struct evs_record rec;

	while (evs_reader_next(r, &rec) == 1)
		*total += sum_value(rec.value, rec.value_len);
	return now() - start;
}

/* Values one behind the other, each with its length in front. */
static double scan_plain(const char *p, const char *end, uint64_t *total)
{
	double start = now();

	while (p < end) {
		uint32_t len;

		memcpy(&len, p, sizeof(len));
		*total += sum_value(p + sizeof(len), len);
		p += sizeof(len) + len;
	}
	return now() - start;
}

static void measure_scan_records(size_t size)
{
	unsigned int n = SCAN_BYTES / (size + 70);
	size_t bytes = n * (size + sizeof(uint32_t));
	char *plain = memory(bytes), *p = plain;
	double t[2][ROUNDS], ratios[ROUNDS];
	int fd;

	topic_new("");
	fd = open_or_die(PARTITION, O_RDWR);
	for (unsigned int i = 0; i < n; i++) {
		uint32_t len = size;

		memcpy(buffer, &i, sizeof(i));
		write_all(fd, buffer, size);
		memcpy(p, &len, sizeof(len));
		memcpy(p + sizeof(len), buffer, size);
		p += sizeof(len) + size;
	}
	for (unsigned int i = 0; i < ROUNDS; i++) {
		/* A new one each time: its pages are not mapped yet. */
		struct evs_reader *r = evs_reader_open(PARTITION, 0);
		uint64_t total[2] = { 0, 0 };

		if (!r)
			die(PARTITION);
		t[0][i] = scan_plain(plain, p, &total[0]);
		t[1][i] = scan_mmap(r, &total[1]);
		ratios[i] = t[1][i] / t[0][i];
		evs_reader_close(r);
		if (total[0] != total[1]) {
			errno = EIO;
			die("other records by mmap");
		}
	}
	report("records/memory", size, median(t[0], ROUNDS) / n, unit());
	report("records/mmap", size, median(t[1], ROUNDS) / n, unit());
	report("records/ratio", size, median(ratios, ROUNDS), "x");
	close(fd);
	topic_delete();
	munmap(plain, bytes);
}

/* ----------------------------------------------------------- producers */

#define PRODUCERS	4

struct shared {
	volatile bool go;
	volatile bool stop;
	volatile unsigned int ready;
	volatile uint64_t count[PRODUCERS][8];	/* a cache line each */
};

static void produce(struct shared *s, unsigned int number, size_t size, bool own)
{
	char path[64];
	int fd;

	pin(number % 2);
	snprintf(path, sizeof(path), "/dev/stream/" TOPIC "/%u", own ? number : 0);
	fd = open_or_die(path, O_WRONLY);
	__atomic_add_fetch(&s->ready, 1, __ATOMIC_SEQ_CST);
	while (!s->go)
		usleep(100);
	while (!s->stop) {
		write_all(fd, buffer, size);
		s->count[number][0]++;
	}
	_exit(0);
}

/* Records a second of all. */
static double producers(struct shared *s, unsigned int n, size_t size, bool own)
{
	uint64_t before = 0, after = 0;
	double start;
	int status;

	memset(s, 0, sizeof(*s));
	for (unsigned int i = 0; i < n; i++)
		if (!child())
			produce(s, i, size, own);
	while (s->ready < n)
		usleep(1000);
	s->go = true;
	usleep(50000);
	start = now();
	for (unsigned int i = 0; i < n; i++)
		before += s->count[i][0];
	usleep(400000);
	for (unsigned int i = 0; i < n; i++)
		after += s->count[i][0];
	start = now() - start;
	s->stop = true;
	while (n--)
		if (wait(&status) < 0 || status)
			die("producer");
	return (after - before) / start * 1e9;
}

static void measure_producers(size_t size)
{
	static const struct {
		const char *name;
		unsigned int n;
		bool own;
	} runs[] = {
		{ "1", 1, false }, { "2", 2, false }, { "4", 4, false },
		/* As good as it gets on this machine. */
		{ "2-apart", 2, true },
	};
	const unsigned int rounds = 7;
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double rate[ARRAY_SIZE(runs)][7], ratio[ARRAY_SIZE(runs)][7];

	if (s == MAP_FAILED)
		die("mmap");
	topic_new("-p 2");
	for (unsigned int i = 0; i < rounds; i++) {
		for (unsigned int k = 0; k < ARRAY_SIZE(runs); k++) {
			rate[k][i] = producers(s, runs[k].n, size, runs[k].own);
			ratio[k][i] = rate[k][i] / rate[0][i];
		}
	}
	for (unsigned int k = 0; k < ARRAY_SIZE(runs); k++) {
		char name[64];

		snprintf(name, sizeof(name), "producers/%s", runs[k].name);
		report(name, size, median(rate[k], rounds), "records/s");
		snprintf(name, sizeof(name), "producers/%s-ratio", runs[k].name);
		if (k)
			report(name, size, median(ratio[k], rounds), "x");
	}
	topic_delete();
	munmap(s, sizeof(*s));
}

int main(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";

	buffer = memory(1 << 20);
	if (!strcmp(what, "wake")) {
		measure_wake();
	} else if (!strcmp(what, "scan")) {
		measure_scan_bytes();
		measure_scan_records(100);
		measure_scan_records(1 << 10);
	} else if (!strcmp(what, "producers")) {
		measure_producers(100);
		measure_producers(1 << 10);
		measure_producers(64 << 10);
	} else {
		fprintf(stderr, "usage: speed wake|scan|producers\n");
		return 1;
	}
	return 0;
}
