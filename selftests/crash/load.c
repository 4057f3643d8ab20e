// SPDX-License-Identifier: GPL-2.0
/*
 * Producers of a durable topic, and of two plain files beside it. Each of them
 * marks, after the call has returned, what was acknowledged; a mark is a sector
 * of the same disk, outside the file system, so the log of the disk's writes has
 * each acknowledgment behind the writes that it vouches for.
 *
 * usage: load -m DEVICE -a OFFSET -d DIR -b BOOT [-t TOPIC -p PARTITIONS] [-n OPERATIONS]
 *	       [-r FILE] [-s SEED]
 *
 *	-m, -a	where the marks are
 *	-d	where the plain files are
 *	-b	the number of this run
 *	-n	calls of each producer that acknowledges; 0: for ever
 *	-r	write the records as readers saw them, and their order
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "crash.h"

static const char *topic;
static unsigned int parts = 3, boot;
static unsigned long operations;
static int mark_fd, any_fd = -1;
static off_t area;
static uint64_t seed = 1;
static const char *folder;
/* Producers that acknowledge are through; all producers are. */
static atomic_bool finished, ended;

struct producer {
	enum crash_producer who;
	void (*fn)(struct producer *p);
	pthread_t thread;
	uint64_t random;
	struct crash_mark mark;
	void *sector;
	char buf[CRASH_MAX];
};

static void fail(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "load: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

#define MUST(call) ({						\
	long __ret = (call);					\
								\
	if (__ret < 0)						\
		fail("%s: %s", #call, strerror(errno));		\
	__ret;							\
})

static void pause_ms(unsigned int ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000L };

	nanosleep(&ts, NULL);
}

static int open_part(unsigned int part, int flags)
{
	return MUST(crash_open(topic, part, flags));
}

/* Two slots in turns, for one may be torn. */
static void mark(struct producer *p)
{
	struct crash_mark *m = &p->mark;
	struct evstream_stat st;
	unsigned int i;
	off_t slot;

	for (i = 0; topic && i < parts; i++) {
		int err = crash_stat(any_fd, i, &st);

		if (err)
			fail("STAT: %s", strerror(-err));
		m->part[i].start = st.start_offset;
		m->part[i].end = st.end_offset;
		if (m->part[i].durable < st.durable_offset)
			m->part[i].durable = st.durable_offset;
	}
	m->sum = 0;
	m->sum = evs_crc32c(0, m, sizeof(*m));
	memcpy(p->sector, m, sizeof(*m));
	slot = area + (p->who * 2 + m->count % 2) * CRASH_SECTOR;
	if (pwrite(mark_fd, p->sector, CRASH_SECTOR, slot) != CRASH_SECTOR)
		fail("%s: %s", "the mark", strerror(errno));
	m->count++;
}

static uint32_t next_record(struct producer *p, unsigned int part, void *buf)
{
	uint32_t len = crash_size(&p->random);

	crash_make(buf, len, boot, p->who, part, p->mark.part[part].written);
	return len;
}

static void run_dsync(struct producer *p)
{
	struct crash_mark_part *a = &p->mark.part[0];
	int sync_fd = open_part(0, O_WRONLY | O_DSYNC), fd = open_part(0, O_WRONLY);
	unsigned long i;

	for (i = 0; !operations || i < operations; i++) {
		struct iovec iov = { p->buf, next_record(p, 0, p->buf) };
		ssize_t ret;

		if (crash_random(&p->random) % 3)
			ret = MUST(write(sync_fd, iov.iov_base, iov.iov_len));
		else
			ret = MUST(pwritev2(fd, &iov, 1, -1, RWF_DSYNC));
		if ((size_t)ret != iov.iov_len)
			fail("write: %zd of %zu", ret, iov.iov_len);
		a->acked = ++a->written;
		mark(p);
	}
	close(sync_fd);
	close(fd);
}

#define BATCH	6

/* The same records as a batch of an idempotent producer, which may be sent twice. */
static int64_t append_batch(struct producer *p, int fd, struct evs_builder *b,
			    const struct evstream_record *r, unsigned int n)
{
	int64_t offset, again;
	const void *batch;
	unsigned int i;
	size_t size;
	int ret;

	for (i = 0; i < n; i++) {
		const struct evs_record rec = {
			.timestamp = -1, .key = (const void *)(uintptr_t)r[i].key,
			.key_len = r[i].key_len, .value = (const void *)(uintptr_t)r[i].value,
			.value_len = r[i].value_len,
		};

		ret = evs_builder_add(b, &rec);
		if (ret)
			fail("builder: %s", strerror(-ret));
	}
	evs_builder_finish(b, &batch, &size);
	ret = evs_append_batch(fd, 0, batch, size, &offset);
	if (!ret && crash_random(&p->random) % 4 == 0) {
		ret = evs_append_batch(fd, 0, batch, size, &again);
		if (!ret && again != offset)
			fail("APPEND_BATCH once more: %" D64 ", not %" D64, again, offset);
	}
	if (ret)
		fail("APPEND_BATCH: %s", strerror(-ret));
	return offset + n - 1;
}

static void run_append(struct producer *p)
{
	static const char keys[] = "alpha\0bravo\0gamma";
	char *room = malloc(BATCH * CRASH_MAX);
	struct evstream_record r[BATCH];
	struct evs_builder *builder[2];
	struct evstream_append call;
	unsigned long i;
	int fd[2];

	for (i = 0; i < 2; i++) {
		fd[i] = open_part(i, O_WRONLY | O_DSYNC);
		builder[i] = evs_builder_new(NULL, 0);
		evs_builder_producer(builder[i], 1000 + boot, 0, 0);
	}
	for (i = 0; !operations || i < operations; i++) {
		unsigned int part = crash_random(&p->random) % 2, n, j;
		struct crash_mark_part *a = &p->mark.part[part];

		n = 1 + crash_random(&p->random) % BATCH;
		for (j = 0; j < n; j++) {
			const char *key = j % 2 ? keys + 6 * (i % 3) : NULL;
			char *value = room + j * CRASH_MAX;

			r[j] = (struct evstream_record){
				.value = (uintptr_t)value,
				.value_len = next_record(p, part, value),
				.key = (uintptr_t)key,
				.key_len = key ? 5 : -1,
				.timestamp = -1,
			};
			a->written++;
		}
		call = (struct evstream_append){
			.records = (uintptr_t)r, .nr_records = n, .record_size = sizeof(r[0]),
		};
		if (crash_random(&p->random) % 2) {
			a->offset = append_batch(p, fd[part], builder[part], r, n);
		} else {
			MUST(ioctl(fd[part], EVSTREAM_IOC_APPEND, &call));
			if (call.appended != n)
				fail("APPEND: %u of %u: %s", call.appended, n,
				     strerror(-r[0].error));
			a->offset = r[n - 1].offset;
		}
		a->acked = a->written;
		mark(p);
	}
	for (i = 0; i < 2; i++) {
		close(fd[i]);
		evs_builder_free(builder[i]);
	}
	free(room);
}

static void run_fsync(struct producer *p)
{
	struct crash_mark_part *a = &p->mark.part[1];
	int fd = open_part(1, O_WRONLY), any = MUST(dup(any_fd));
	unsigned long i;
	unsigned int j;

	for (i = 0; !operations || i < operations; i++) {
		int64_t end[CRASH_PARTS] = { 0 };
		unsigned int n = 1 + crash_random(&p->random) % 12;

		for (j = 0; j < n; j++) {
			uint32_t len = next_record(p, 1, p->buf);

			if (MUST(write(fd, p->buf, len)) != len)
				fail("a short write");
			a->written++;
		}
		switch (crash_random(&p->random) % 4) {
		case 0:
			for (j = 0; j < parts; j++) {
				struct evstream_stat st;

				MUST(crash_stat(any, j, &st));
				end[j] = st.end_offset;
			}
			MUST(fsync(any));
			break;
		case 1:
			MUST(fsync(fd));
			break;
		default:
			MUST(fdatasync(fd));
		}
		a->acked = a->written;
		for (j = 0; j < parts; j++)
			if (p->mark.part[j].durable < end[j])
				p->mark.part[j].durable = end[j];
		mark(p);
	}
	close(fd);
	close(any);
}

static void run_plain(struct producer *p)
{
	int fd[CRASH_PARTS];
	unsigned long i;
	unsigned int j;

	for (j = 0; j < parts; j++)
		fd[j] = open_part(j, O_WRONLY);
	for (i = 1; !finished; i++) {
		uint32_t r = crash_random(&p->random) % 4, len;
		unsigned int part = r < 2 ? r : parts - 1;

		len = next_record(p, part, p->buf);
		if (MUST(write(fd[part], p->buf, len)) != len)
			fail("a short write");
		p->mark.part[part].written++;
		if (i % 16 == 0)
			mark(p);
		pause_ms(2);
	}
	mark(p);
	for (j = 0; j < parts; j++)
		close(fd[j]);
}

static void run_stat(struct producer *p)
{
	while (!finished) {
		mark(p);
		pause_ms(20);
	}
	mark(p);
}

static void run_file(struct producer *p)
{
	struct crash_mark_part *a = &p->mark.part[0];
	char path[300];
	int fd, dir;

	snprintf(path, sizeof(path), "%s/%s-%u", folder,
		 p->who == CRASH_HONEST ? "honest" : "liar", boot);
	fd = MUST(open(path, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_CLOEXEC, 0600));
	dir = MUST(open(folder, O_RDONLY | O_DIRECTORY));
	MUST(fsync(dir));
	close(dir);
	while (!finished) {
		uint32_t len = next_record(p, 0, p->buf);

		if (MUST(write(fd, p->buf, len)) != len)
			fail("a short write");
		if (p->who == CRASH_HONEST)
			MUST(fdatasync(fd));
		a->acked = ++a->written;
		mark(p);
		pause_ms(20);
	}
	close(fd);
}

static void *run(void *data)
{
	struct producer *p = data;

	p->fn(p);
	return NULL;
}

/* ------------------------------------------------------------------- readers */

struct reader {
	unsigned int part;
	pthread_t thread;
	int64_t base;
	struct crash_entry *entries;
	size_t count;
};

static void take(struct reader *r, const struct evs_record *rec)
{
	struct crash_head h;

	if (rec->offset < r->base + (int64_t)r->count)
		return;
	if (rec->offset != r->base + (int64_t)r->count)
		fail("partition %u: offset %" D64 " after %zu records from %" D64, r->part,
		     rec->offset, r->count, r->base);
	if (rec->value_len < 0 || !crash_valid(rec->value, rec->value_len, &h))
		fail("partition %u: offset %" D64 ": not a record of ours", r->part, rec->offset);
	if (!(r->count & (r->count + 1)))
		r->entries = realloc(r->entries, 2 * (r->count + 1) * sizeof(*r->entries));
	r->entries[r->count++] = (struct crash_entry){ h.boot, h.producer, h.seq };
}

static void *follow(void *data)
{
	struct reader *r = data;
	int fd = open_part(r->part, O_RDONLY);
	size_t room = 1 << 20;
	void *buf = malloc(room);
	struct evs_batch_iter it;
	struct evs_record rec;
	bool last;
	int more;

	do {
		struct evstream_fetch f = {
			.buf = (uintptr_t)buf, .len = room, .min_bytes = 1, .timeout_ms = 50,
			.offset = r->base + r->count,
		};

		last = ended;
		MUST(ioctl(fd, EVSTREAM_IOC_FETCH, &f));
		evs_batch_iter_init(&it, buf, f.bytes, EVS_ITER_CRC);
		while ((more = evs_batch_iter_next(&it, &rec)) == 1)
			take(r, &rec);
		if (more < 0 || evs_batch_iter_rest(&it))
			fail("partition %u: bad batch at %" D64, r->part, f.offset);
		if (f.bytes)
			last = false;
	} while (!last);
	free(buf);
	close(fd);
	return NULL;
}

static void save(const char *path, struct reader *readers)
{
	FILE *f = fopen(path, "w");
	unsigned int i;

	if (!f)
		fail("%s: %s", path, strerror(errno));
	for (i = 0; i < parts; i++) {
		int64_t count = readers[i].count;

		fwrite(&readers[i].base, 8, 1, f);
		fwrite(&count, 8, 1, f);
		fwrite(readers[i].entries, sizeof(struct crash_entry), count, f);
	}
	if (fclose(f))
		fail("%s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
	static struct producer producers[] = {
		{ CRASH_DSYNC, run_dsync },
		{ CRASH_APPEND, run_append },
		{ CRASH_FSYNC, run_fsync },
		{ CRASH_PLAIN, run_plain },
		{ CRASH_STAT, run_stat },
		{ CRASH_HONEST, run_file },
		{ CRASH_LIAR, run_file },
	};
	const int total = sizeof(producers) / sizeof(producers[0]), acknowledge = 3;
	const char *device = NULL, *reference = NULL;
	static struct reader readers[CRASH_PARTS];
	int opt, i, first;
	unsigned int j;
	char path[300];

	while ((opt = getopt(argc, argv, "m:a:d:b:t:p:n:r:s:")) != -1) {
		if (crash_option(opt, &folder, &topic, &parts))
			continue;
		switch (opt) {
		case 'm':
			device = optarg;
			break;
		case 'a':
			area = strtoll(optarg, NULL, 0);
			break;
		case 'b':
			boot = atoi(optarg);
			break;
		case 'n':
			operations = atol(optarg);
			break;
		case 'r':
			reference = optarg;
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			return 2;
		}
	}
	if (!device || !folder || parts < 2 || parts > CRASH_PARTS)
		return 2;
	mark_fd = MUST(open(device, O_WRONLY | O_DIRECT | O_CLOEXEC));
	if (topic) {
		snprintf(path, sizeof(path), "/dev/stream/%s/any", topic);
		any_fd = MUST(open(path, O_RDWR | O_CLOEXEC));
	}
	for (j = 0; topic && reference && j < parts; j++) {
		struct evstream_stat st;

		if (crash_stat(any_fd, j, &st))
			fail("STAT: %s", strerror(errno));
		readers[j].part = j;
		readers[j].base = st.end_offset;
		pthread_create(&readers[j].thread, NULL, follow, &readers[j]);
	}
	/* Without a topic the files are all there is, and time is their measure. */
	first = topic ? 0 : acknowledge + 2;
	for (i = first; i < total; i++) {
		struct producer *p = &producers[i];

		p->random = seed * 1000003 + boot * 101 + p->who;
		p->mark.magic = CRASH_MARK;
		p->mark.boot = boot;
		p->mark.producer = p->who;
		for (j = 0; j < CRASH_PARTS; j++)
			p->mark.part[j].offset = -1;
		if (posix_memalign(&p->sector, 4096, CRASH_SECTOR))
			abort();
		memset(p->sector, 0, CRASH_SECTOR);
		pthread_create(&p->thread, NULL, run, p);
	}
	for (i = first; i < acknowledge; i++)
		pthread_join(producers[i].thread, NULL);
	for (j = 0; !topic && (!operations || j < operations); j++)
		pause_ms(10);
	finished = true;
	for (i = topic ? acknowledge : first; i < total; i++)
		pthread_join(producers[i].thread, NULL);
	ended = true;
	for (j = 0; topic && reference && j < parts; j++)
		pthread_join(readers[j].thread, NULL);
	if (topic && reference)
		save(reference, readers);
	return 0;
}
