// SPDX-License-Identifier: GPL-2.0
/*
 * Whether what a topic and the plain files beside it hold after a crash is what
 * they may hold. Each fault is a line "fault KIND TEXT"; "note NAME NUMBER..."
 * tells what was found.
 *
 * usage: check [-d DIR -f NAME=COUNT...] [-t TOPIC -p PARTITIONS] [-r FILE]...
 *	        [-n NEED] [-s START -b BYTES] [-e END] [-o [-q WHO=COUNT]...] [-a]
 *
 *	-d, -f	the file DIR/NAME holds at least COUNT records
 *	-r	the records that readers had seen, in their order
 *	-n	A,B,...: how far each partition reaches at least, by what was
 *		acknowledged
 *	-s	A,B,...: where each may start at most, unless ...
 *	-b	... so many bytes are left, as retention leaves
 *	-e	A,B,...: where each ends exactly
 *	-o	each producer's records follow on each other (without -r)
 *	-q	BOOT:PRODUCER:PARTITION=COUNT: so many of them are there (with -o)
 *	-a	append to it, and look at it again
 *
 * Exit status: 0 fine, 1 faults, 2 it could not be looked at.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "crash.h"

#define REFERENCES	8
/* What -a appends to each partition. */
#define APPENDED	3

static const char *topic;
static unsigned int parts = 3;
static unsigned long long retained = -1;
static int faults;

struct reference {
	int64_t base;
	int64_t count;
	const struct crash_entry *entries;
};

static struct reference references[CRASH_PARTS][REFERENCES];
static int nr_references;

static __attribute__((format(printf, 2, 3)))
void blame(const char *kind, const char *fmt, ...)
{
	va_list args;

	/* The first ones say it. */
	if (faults++ > 20)
		return;
	printf("fault %s ", kind);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static void give_up(const char *what)
{
	printf("fault cannot %s: %s\n", what, strerror(errno));
	exit(2);
}

static int open_part(unsigned int part, int flags)
{
	return crash_open(topic, part, flags);
}

static void load_reference(const char *path)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	unsigned int i;
	char *p;

	if (fd < 0 || fstat(fd, &st) || nr_references == REFERENCES)
		give_up(path);
	p = malloc(st.st_size);
	if (read(fd, p, st.st_size) != st.st_size)
		give_up(path);
	close(fd);
	for (i = 0; i < parts; i++) {
		struct reference *r = &references[i][nr_references];

		memcpy(r, p, 16);
		r->entries = (const void *)(p + 16);
		p += 16 + r->count * sizeof(struct crash_entry);
	}
	nr_references++;
}

static const struct crash_entry *known(unsigned int part, int64_t offset)
{
	int i;

	for (i = 0; i < nr_references; i++) {
		const struct reference *r = &references[part][i];

		if (offset >= r->base && offset < r->base + r->count)
			return &r->entries[offset - r->base];
	}
	return NULL;
}

/* --------------------------------------------------------------------- a walk */

#define BOOTS	64

/* What -q asks for. */
static int64_t asked[CRASH_PARTS][BOOTS][CRASH_PRODUCERS];

/* Of a RecordBatch. */
#define AT_CRC		17
#define AT_ATTRIBUTES	21
#define AT_PRODUCER	43
#define AT_EPOCH	51
#define AT_SEQUENCE	53
#define AT_COUNT	57

struct walk {
	unsigned int part;
	int64_t at;		/* the offset that comes next */
	int64_t appended;	/* from here on it is what we appended */
	bool order;
	unsigned int boot;
	int64_t next[BOOTS][CRASH_PRODUCERS];	/* seq, -1: any */
	void *batch;		/* the last one of an idempotent producer */
	size_t batch_size;
};

static void take(struct walk *w, const void *value, int64_t len, const char *how)
{
	struct crash_head h = { 0 };
	const struct crash_entry *e;
	int64_t at = w->at++;

	if (len < 0 || !crash_valid(value, len, &h)) {
		blame("torn", "partition %u: offset %" D64 ": %s: %" D64
		      " bytes that are no record of ours", w->part, at, how, len);
		return;
	}
	if (h.partition != w->part || h.boot >= BOOTS || h.producer >= CRASH_PRODUCERS) {
		blame("foreign", "partition %u: offset %" D64 ": %s: a record for partition %u",
		      w->part, at, how, h.partition);
		return;
	}
	if (at >= w->appended) {
		if (h.producer != CRASH_AFTER || h.seq != at)
			blame("foreign", "partition %u: offset %" D64
			      ": %s: run %u, producer %u, %u in place of what was appended after recovery",
			      w->part, at, how, h.boot, h.producer, h.seq);
		return;
	}
	e = known(w->part, at);
	if (nr_references && !e)
		blame("foreign", "partition %u: offset %" D64
		      ": %s: run %u, producer %u, %u was never there before",
		      w->part, at, how, h.boot, h.producer, h.seq);
	else if (e && (e->boot != h.boot || e->producer != h.producer || e->seq != h.seq))
		blame("foreign", "partition %u: offset %" D64
		      ": %s: run %u, producer %u, %u in place of run %u, producer %u, %u",
		      w->part, at, how, h.boot, h.producer, h.seq, e->boot, e->producer, e->seq);
	if (w->order && h.producer != CRASH_AFTER) {
		int64_t *next = &w->next[h.boot][h.producer];

		if (h.boot < w->boot)
			blame("foreign", "partition %u: offset %" D64
			      ": %s: a record of run %u behind one of run %u",
			      w->part, at, how, h.boot, w->boot);
		else if (h.seq != (*next < 0 ? h.seq : *next))
			blame("order", "partition %u: offset %" D64
			      ": %s: run %u, producer %u: %u, not %" D64,
			      w->part, at, how, h.boot, h.producer, h.seq, *next);
		w->boot = h.boot;
		*next = h.seq + 1;
	}
}

static void walk_begin(struct walk *w, int64_t start)
{
	w->at = start;
	w->boot = 0;
	memset(w->next, w->order && !start ? 0 : 0xff, sizeof(w->next));
}

static void keep(struct walk *w, const struct evs_batch *batch)
{
	static const uint8_t none[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };

	if (!memcmp((const char *)batch->data + AT_PRODUCER, none, 8))
		return;
	w->batch = realloc(w->batch, batch->size);
	memcpy(w->batch, batch->data, batch->size);
	w->batch_size = batch->size;
}

static void walk_fetch(struct walk *w, int fd, int64_t start, int64_t end)
{
	size_t room = 4 << 20;
	void *buf = malloc(room);
	struct evs_batch_iter it;
	struct evs_record rec;
	int more;

	walk_begin(w, start);
	while (w->at < end) {
		struct evstream_fetch f = {
			.buf = (uintptr_t)buf, .len = room, .offset = w->at,
		};
		int64_t before = w->at;

		if (ioctl(fd, EVSTREAM_IOC_FETCH, &f)) {
			blame("read", "partition %u: FETCH at %" D64 ": %s", w->part, w->at,
			      strerror(errno));
			break;
		}
		evs_batch_iter_init(&it, buf, f.bytes, EVS_ITER_CRC);
		while ((more = evs_batch_iter_next(&it, &rec)) == 1) {
			if (rec.offset < before)
				continue;
			if (rec.offset != w->at) {
				blame("order", "partition %u: FETCH: offset %" D64 " after %" D64,
				      w->part, rec.offset, w->at - 1);
				w->at = rec.offset;
			}
			take(w, rec.value, rec.value_len, "FETCH");
			keep(w, evs_batch_iter_batch(&it));
		}
		if (more < 0 || evs_batch_iter_rest(&it)) {
			blame("torn", "partition %u: FETCH: bad batch behind offset %" D64, w->part,
			      w->at - 1);
			break;
		}
		if (w->at == before) {
			blame("read", "partition %u: FETCH at %" D64 ": nothing, but the end is %"
			      D64, w->part, w->at, end);
			break;
		}
	}
	free(buf);
}

static void walk_read(struct walk *w, int fd, int64_t start, int64_t end)
{
	void *buf = malloc(CRASH_MAX);

	walk_begin(w, start);
	if (lseek(fd, start, SEEK_SET) != start)
		blame("read", "partition %u: lseek to %" D64 ": %s", w->part, start,
		      strerror(errno));
	while (w->at < end) {
		ssize_t n = read(fd, buf, CRASH_MAX);

		if (n < 0) {
			blame("read", "partition %u: read at %" D64 ": %s", w->part, w->at,
			      strerror(errno));
			break;
		}
		take(w, buf, n, "read");
	}
	free(buf);
}

static void walk_map(struct walk *w, int64_t start, int64_t end)
{
	struct evs_record rec;
	struct evs_reader *r;
	int ret;

	r = evs_reader_open_fd(open_part(w->part, O_RDONLY), 0);
	if (!r) {
		blame("read", "partition %u: mmap: %s", w->part, strerror(errno));
		return;
	}
	walk_begin(w, start);
	while (w->at < end) {
		ret = evs_reader_next(r, &rec);
		if (ret != 1 || rec.offset != w->at) {
			blame("read", "partition %u: mmap: %d, offset %" D64 " after %" D64,
			      w->part, ret, rec.offset, w->at - 1);
			break;
		}
		take(w, rec.value, rec.value_len, "mmap");
	}
	evs_reader_close(r);
}

static void append(unsigned int part, int64_t offset, int flags)
{
	char buf[200];
	int fd;

	fd = open_part(part, O_WRONLY | flags);
	if (fd < 0) {
		blame("append", "partition %u: open: %s", part, strerror(errno));
		return;
	}
	crash_make(buf, sizeof(buf), 0, CRASH_AFTER, part, offset);
	if (write(fd, buf, sizeof(buf)) != sizeof(buf))
		blame("append", "partition %u: write: %s", part, strerror(errno));
	else if (fsync(fd))
		blame("append", "partition %u: fsync: %s", part, strerror(errno));
	close(fd);
}

/* What is known of idempotent producers has survived. */
static void append_batch(const struct walk *w, int64_t end)
{
	uint8_t *batch = w->batch, copy[4096];
	struct evs_builder *b = evs_builder_new(NULL, 0);
	int fd = open_part(w->part, O_WRONLY | O_DSYNC);
	struct evs_record rec = { .timestamp = -1, .key_len = -1, .value = copy, .value_len = 200 };
	int64_t base;
	uint64_t id;
	uint32_t sequence, count, crc;
	uint16_t epoch;
	int64_t offset = -1;
	const void *data;
	size_t size;
	int ret;

	memcpy(&base, batch, 8);
	memcpy(&id, batch + AT_PRODUCER, 8);
	memcpy(&epoch, batch + AT_EPOCH, 2);
	memcpy(&sequence, batch + AT_SEQUENCE, 4);
	memcpy(&count, batch + AT_COUNT, 4);
	base = __builtin_bswap64(base);
	sequence = __builtin_bswap32(sequence) + __builtin_bswap32(count);

	ret = evs_append_batch(fd, 0, batch, w->batch_size, &offset);
	if (ret || offset != base)
		blame("producer", "partition %u: a batch once more: %d, offset %" D64 ", not %" D64,
		      w->part, ret, offset, base);

	crash_make(copy, 200, 0, CRASH_AFTER, w->part, end);
	evs_builder_producer(b, __builtin_bswap64(id), __builtin_bswap16(epoch), sequence);
	evs_builder_add(b, &rec);
	evs_builder_finish(b, &data, &size);
	if (size > sizeof(copy))
		exit(2);
	memcpy(copy, data, size);
	sequence = __builtin_bswap32(sequence + 7);
	memcpy(copy + AT_SEQUENCE, &sequence, 4);
	crc = __builtin_bswap32(evs_crc32c(0, copy + AT_ATTRIBUTES, size - AT_ATTRIBUTES));
	memcpy(copy + AT_CRC, &crc, 4);
	ret = evs_append_batch(fd, 0, copy, size, &offset);
	if (ret != -EILSEQ)
		blame("producer", "partition %u: a batch behind a gap: %d, not %d", w->part, ret,
		      -EILSEQ);

	ret = evs_append_batch(fd, 0, data, size, &offset);
	if (ret || offset != end)
		blame("producer", "partition %u: the batch that comes next: %d, offset %" D64
		      ", not %" D64, w->part, ret, offset, end);
	evs_builder_free(b);
	close(fd);
}

static void check_part(unsigned int part, const int64_t *need, const int64_t *most,
		       const int64_t *exact, bool order, bool more)
{
	static struct walk w;
	struct evstream_stat st;
	int64_t start, end;
	unsigned int i;
	int fd;

	fd = open_part(part, O_RDONLY | O_NONBLOCK);
	if (fd < 0 || crash_stat(fd, 0, &st))
		give_up(topic);
	start = st.start_offset;
	end = st.end_offset;
	printf("note part %u %" D64 " %" D64 "\n", part, start, end);
	if (need && end < need[part])
		blame("lost", "partition %u: it ends at %" D64 ", but %" D64
		      " is acknowledged", part, end, need[part]);
	if (exact && end != exact[part])
		blame(end < exact[part] ? "lost" : "foreign",
		      "partition %u: it ends at %" D64 ", not %" D64, part, end, exact[part]);
	if (most && start > most[part] && st.end_position - st.start_position < retained)
		blame("lost", "partition %u: it starts at %" D64 ", but retention was at %" D64,
		      part, start, most[part]);
	if (st.durable_offset > end)
		blame("read", "partition %u: durable up to %" D64 ", beyond the end at %" D64,
		      part, (int64_t)st.durable_offset, end);
	w.part = part;
	w.order = order;
	w.appended = exact ? end - APPENDED : INT64_MAX;
	w.batch_size = 0;
	walk_fetch(&w, fd, start, end);
	for (i = 0; order && i < BOOTS * CRASH_PRODUCERS; i++) {
		unsigned int boot = i / CRASH_PRODUCERS, who = i % CRASH_PRODUCERS;

		if (w.next[boot][who] < asked[part][boot][who])
			blame("lost", "partition %u: run %u, producer %u: %" D64 " of %" D64
			      " acknowledged", part, boot, who, w.next[boot][who],
			      asked[part][boot][who]);
	}
	walk_read(&w, fd, start, end);
	walk_map(&w, start, end);
	if (more) {
		append(part, end, O_DSYNC);
		append(part, end + 1, 0);
		if (w.batch_size)
			append_batch(&w, end + 2);
		else
			append(part, end + 2, 0);
		if (crash_stat(fd, 0, &st) || st.end_offset != end + APPENDED)
			blame("append", "partition %u: the end is %" D64 ", not %" D64, part,
			      (int64_t)st.end_offset, end + APPENDED);
		else if (st.durable_offset != end + APPENDED)
			blame("append", "partition %u: durable up to %" D64 ", not %" D64, part,
			      (int64_t)st.durable_offset, end + APPENDED);
		w.order = false;
		w.appended = end;
		walk_fetch(&w, fd, end, end + APPENDED);
		walk_read(&w, fd, end, end + APPENDED);
	}
	close(fd);
}

/* Records back to back; what comes behind the last whole one is not looked at. */
static void check_file(const char *folder, char *arg)
{
	char path[300], *equal = strchr(arg, '=');
	int64_t need, count = 0;
	struct crash_head h;
	char *p, *end;
	struct stat st;
	int fd;

	if (!equal)
		give_up(arg);
	*equal = 0;
	need = strtoll(equal + 1, NULL, 10);
	snprintf(path, sizeof(path), "%s/%s", folder, arg);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		if (fstat(fd, &st))
			give_up(path);
		p = malloc(st.st_size + 1);
		end = p + st.st_size;
		if (read(fd, p, st.st_size) != st.st_size)
			blame("read", "%s: %s", path, strerror(errno));
		while (end - p >= (ssize_t)sizeof(h)) {
			memcpy(&h, p, sizeof(h));
			if (h.len > end - p || !crash_valid(p, h.len, &h))
				break;
			if (h.seq != count)
				blame("foreign", "%s: %u in place of %" D64, path, h.seq, count);
			p += h.len;
			count++;
		}
		close(fd);
	}
	printf("note file %s %" D64 " %" D64 "\n", arg, count, need);
}

static void ask(const char *arg)
{
	unsigned int run, who, part;
	long long count;

	if (sscanf(arg, "%u:%u:%u=%lld", &run, &who, &part, &count) != 4 || run >= BOOTS ||
	    who >= CRASH_PRODUCERS || part >= CRASH_PARTS)
		exit(2);
	asked[part][run][who] = count;
}

static const int64_t *numbers(const char *text)
{
	int64_t *n = calloc(CRASH_PARTS, sizeof(*n));
	unsigned int i;
	char *end;

	for (i = 0; i < CRASH_PARTS && *text; i++) {
		n[i] = strtoll(text, &end, 10);
		text = *end ? end + 1 : end;
	}
	return n;
}

int main(int argc, char **argv)
{
	const int64_t *need = NULL, *most = NULL, *exact = NULL;
	const char *folder = NULL;
	bool order = false, more = false;
	unsigned int i;
	int opt;

	while ((opt = getopt(argc, argv, "d:f:t:p:r:n:s:b:e:oq:a")) != -1) {
		if (crash_option(opt, &folder, &topic, &parts))
			continue;
		switch (opt) {
		case 'f':
			check_file(folder, optarg);
			break;
		case 'r':
			load_reference(optarg);
			break;
		case 'n':
			need = numbers(optarg);
			break;
		case 's':
			most = numbers(optarg);
			break;
		case 'b':
			retained = strtoull(optarg, NULL, 10);
			break;
		case 'e':
			exact = numbers(optarg);
			break;
		case 'o':
			order = true;
			break;
		case 'q':
			ask(optarg);
			break;
		case 'a':
			more = true;
			break;
		default:
			return 2;
		}
	}
	for (i = 0; topic && i < parts; i++)
		check_part(i, need, most, exact, order, more);
	if (faults > 20)
		printf("note faults %d\n", faults);
	return faults ? 1 : 0;
}
