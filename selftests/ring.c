// SPDX-License-Identifier: GPL-2.0
/*
 * A ring that is too small for its readers: what is lost is reported exactly,
 * what is not lost is whole, and memory stays within the ring and comes back.
 */
#include "evwork.h"

#define SEGMENT		65536
#define RING		(2 * SEGMENT)
#define READERS		4

struct ring_shared {
	struct evt_topic topic;
	int partitions;
	uint32_t total;			/* records in each partition */
	uint32_t fill;			/* bytes behind a record's head, at the most */
	bool lines;
	atomic_int ready;		/* readers that have it open */
	atomic_int done;		/* producers that are done */
	long long lost[READERS];
	long long gaps[READERS];
};

FIXTURE(ring) {
	struct ring_shared *s;
	int fd;
};

FIXTURE_SETUP(ring)
{
	self->s = evw_shared(sizeof(*self->s));
	self->fd = -1;
}

FIXTURE_TEARDOWN(ring)
{
	if (self->fd >= 0)
		close(self->fd);
	if (self->s->topic.name[0])
		EXPECT_EQ(0, evt_delete(&self->s->topic));
}

/* The one producer of a partition: its sequence is the offset. */
static const char *produce(void *arg, int index, struct evw_worker *w)
{
	struct ring_shared *s = arg;
	int fd = evt_open(&s->topic, index, O_WRONLY);
	char *buf = malloc(s->fill * 20 + 4096);
	const char *why = NULL;
	uint64_t rnd = index;
	uint32_t seq = 0;

	while (atomic_load(&s->ready) < READERS)
		sched_yield();
	while (seq < s->total && !why) {
		size_t len = 0, n, i;

		/* Lines come many at a time. */
		n = s->lines ? 1 + evw_random(&rnd) % 20 : 1;
		if (n > s->total - seq)
			n = s->total - seq;
		for (i = 0; i < n; i++) {
			uint32_t fill = evw_random(&rnd) % (s->fill + 1);

			if (s->lines) {
				len += evw_make_line(buf + len, fill, index, seq++);
				buf[len++] = '\n';
			} else {
				evw_make(buf, len = EVW_MIN + fill, index, seq++);
			}
		}
		if (write(fd, buf, len) != (ssize_t)len)
			why = evw_why(w, "write %u: %s", seq, strerror(errno));
	}
	close(fd);
	free(buf);
	atomic_fetch_add(&s->done, 1);
	return why;
}

/**
 * struct place - where a reader is in a partition, by its own count
 * @next: offset that comes next
 * @got: records received
 * @lost: records lost, as it was told
 */
struct place {
	long long next;
	long long got;
	long long lost;
};

static const char *take(struct place *at, const char *value, long len, uint32_t partition,
			bool line, struct evw_worker *w)
{
	struct evw_head h;

	if (line ? !evw_check_line(value, len, &h) : !evw_check(value, len, &h))
		return evw_why(w, "offset %lld is torn", at->next);
	if (h.producer != partition || h.seq != at->next)
		return evw_why(w, "offset %lld holds partition %u's %u", at->next, h.producer,
			       h.seq);
	at->next++;
	at->got++;
	return NULL;
}

/* An EPIPE: what does GAP say of each partition? One of them has a new gap. */
static const char *ask_gap(struct ring_shared *s, int fd, struct place *at, int index,
			   struct evw_worker *w)
{
	int i, news = 0;

	for (i = 0; i < s->partitions; i++) {
		struct evstream_gap g = { .partition = i };

		if (ioctl(fd, EVSTREAM_IOC_GAP, &g))
			return evw_why(w, "GAP: %s", strerror(errno));
		if ((long long)g.lost == at[i].lost)
			continue;
		news++;
		if (g.from != at[i].next || g.to <= g.from ||
		    at[i].lost + g.to - g.from != (long long)g.lost)
			return evw_why(w, "gap %lld..%lld at %lld, lost %llu, before %lld",
				       (long long)g.from, (long long)g.to, at[i].next,
				       (unsigned long long)g.lost, at[i].lost);
		at[i].next = g.to;
		at[i].lost = g.lost;
		s->gaps[index]++;
	}
	if (news != 1)
		return evw_why(w, "EPIPE for %d gaps", news);
	return NULL;
}

static bool whole(const struct ring_shared *s, const struct place *at)
{
	int i;

	for (i = 0; i < s->partitions; i++)
		if (at[i].next < s->total)
			return false;
	return true;
}

/* Now and then a reader is busy with something else, until it was lapped. */
static void dawdle(const struct ring_shared *s, int fd, const struct place *at)
{
	struct evstream_stat st;

	while (atomic_load(&((struct ring_shared *)s)->done) < s->partitions) {
		if (evt_stat(fd, 0, &st) || st.start_offset > at[0].next)
			return;
		sched_yield();
	}
}

static const char *by_read(struct ring_shared *s, int fd, struct place *at, int index,
			   struct evw_worker *w)
{
	size_t room = s->fill * 40 + 4096;
	char *buf = malloc(room);
	const char *why = NULL;
	long long calls = 0;

	while (!why && !whole(s, at)) {
		ssize_t n = read(fd, buf, room);
		char *p = buf, *nl;

		if (n < 0 && errno != EPIPE) {
			why = evw_why(w, "read: %s", strerror(errno));
		} else if (n < 0) {
			why = ask_gap(s, fd, at, index, w);
		} else if (!s->lines) {
			struct evw_head h;
			int part = 0;

			if (s->partitions > 1 && evw_check(buf, n, &h))
				part = h.producer;
			why = part < s->partitions ? take(&at[part], buf, n, part, false, w) :
			      "a record of no partition";
		} else {
			while (!why && p < buf + n) {
				nl = memchr(p, '\n', buf + n - p);
				why = nl ? take(&at[0], p, nl - p, 0, true, w) : "half a line";
				p = nl + 1;
			}
		}
		if (index == 0 && ++calls % 500 == 0)
			dawdle(s, fd, at);
	}
	free(buf);
	return why;
}

static const char *by_fetch(struct ring_shared *s, int fd, struct place *at, int index,
			    struct evw_worker *w)
{
	size_t room = 40000;
	char *buf = malloc(room);
	const char *why = NULL;
	long long calls = 0;

	while (!why && !whole(s, at)) {
		struct evstream_fetch a = { .buf = (uintptr_t)buf, .len = room, .offset = -1,
					    .min_bytes = 1, .timeout_ms = -1 };
		struct evs_batch_iter it;
		struct evs_record rec;
		int ret = 0;

		if (ioctl(fd, EVSTREAM_IOC_FETCH, &a)) {
			why = errno == EPIPE ? ask_gap(s, fd, at, index, w) :
			      evw_why(w, "FETCH: %s", strerror(errno));
			continue;
		}
		evs_batch_iter_init(&it, buf, a.bytes, EVS_ITER_CRC);
		while (!why && (ret = evs_batch_iter_next(&it, &rec)) == 1) {
			/* A gap can end within a batch. */
			if (rec.offset < at->next)
				continue;
			why = rec.offset == at->next ?
			      take(at, rec.value, rec.value_len, 0, s->lines, w) :
			      evw_why(w, "offset %lld, not %lld", (long long)rec.offset, at->next);
		}
		if (!why && ret)
			why = evw_why(w, "bad batch: %d", ret);
		if (++calls % 300 == 0)
			dawdle(s, fd, at);
	}
	free(buf);
	return why;
}

static const char *by_mmap(struct ring_shared *s, struct place *at, struct evw_worker *w)
{
	char *copy = malloc(s->fill + 4096), path[128];
	const char *why = NULL;
	struct evs_reader *r;
	struct evs_record rec;
	int ret;

	evt_path(&s->topic, 0, path, sizeof(path));
	r = evs_reader_open(path, 0);
	if (!r)
		return evw_why(w, "evs_reader_open: %s", strerror(errno));
	atomic_fetch_add(&s->ready, 1);
	while (!why && !whole(s, at)) {
		int64_t from, to;

		ret = evs_reader_next(r, &rec);
		if (!ret) {
			ret = evs_reader_wait(r, -1);
			if (ret < 0)
				why = evw_why(w, "wait: %s", strerror(-ret));
		} else if (ret == -EPIPE) {
			long long lost = evs_reader_lost(r, &from, &to);

			if (from != at->next || to <= from || lost != at->lost + to - from)
				why = evw_why(w, "gap %lld..%lld at %lld", (long long)from,
					      (long long)to, at->next);
			at->lost = lost;
			at->next = to;
		} else if (ret < 0) {
			why = evw_why(w, "next: %s", strerror(-ret));
		} else if (rec.value_len < 0 || rec.value_len > (int)s->fill + 4096) {
			why = "a length that nobody wrote";
		} else {
			/* Copied, then believed. */
			memcpy(copy, rec.value, rec.value_len);
			if (evs_reader_valid(r)) {
				if (rec.offset != at->next)
					why = evw_why(w, "offset %lld, not %lld",
						      (long long)rec.offset, at->next);
				else
					why = take(at, copy, rec.value_len, 0, s->lines, w);
			} else {
				/* It was told of, and was lost on the way: ours to count. */
				at->next++;
				at->got++;
			}
		}
	}
	evs_reader_close(r);
	free(copy);
	return why;
}

static const char *consume(void *arg, int index, struct evw_worker *w)
{
	struct ring_shared *s = arg;
	struct place at[4] = {};
	const char *why;
	int fd = -1, i;

	if (index == 3 && s->partitions == 1) {
		why = by_mmap(s, at, w);
	} else {
		fd = evt_open(&s->topic, s->partitions > 1 ? EVT_ANY : 0, O_RDONLY);
		if (fd < 0)
			return "open";
		atomic_fetch_add(&s->ready, 1);
		why = index == 2 && s->partitions == 1 ? by_fetch(s, fd, at, index, w) :
		      by_read(s, fd, at, index, w);
	}
	for (i = 0; i < s->partitions && !why; i++) {
		struct evstream_stat st;

		s->lost[index] += at[i].lost;
		if (at[i].got + at[i].lost != s->total)
			why = evw_why(w, "partition %d: %lld received and %lld lost of %u", i,
				      at[i].got, at[i].lost, s->total);
		else if (fd >= 0 && (evt_stat(fd, i, &st) ||
				     st.lost_records != (uint64_t)at[i].lost ||
				     st.offset != s->total))
			why = evw_why(w, "partition %d: STAT says %llu lost, at %lld", i,
				      (unsigned long long)st.lost_records, (long long)st.offset);
	}
	if (fd >= 0)
		close(fd);
	return why;
}

static void ring_run(struct __test_metadata *_metadata, struct ring_shared *s, bool processes)
{
	struct evw_crew crew;
	char options[256];
	int i;

	snprintf(options, sizeof(options), "-p %d --segment 64K --ring 128K --max-record 30000 %s",
		 s->partitions, s->lines ? "--framing line" : "");
	ASSERT_EQ(0, evt_create(&s->topic, options));
	evw_crew_init(&crew, processes);
	for (i = 0; i < READERS; i++)
		evw_start(&crew, consume, s, i);
	for (i = 0; i < s->partitions; i++)
		evw_start(&crew, produce, s, i);
	EXPECT_EQ(0, evw_join(&crew));
	for (i = 0; i < s->partitions; i++) {
		EXPECT_GE(RING, evw_counter(&s->topic, i, "memory"));
		EXPECT_GE(2, evw_counter(&s->topic, i, "segments"));
		EXPECT_EQ(s->total, evw_counter(&s->topic, i, "appended_records"));
	}
	TH_LOG("lost: %lld %lld %lld %lld of %u", s->lost[0], s->lost[1], s->lost[2], s->lost[3],
	       s->total * s->partitions);
	/* Who dawdles is lapped, or this test tests nothing. */
	EXPECT_LT(0, s->lost[0]);
	EXPECT_LT(0, s->gaps[0]);
}

TEST_F_TIMEOUT(ring, small_records, EVW_PATIENCE)
{
	*self->s = (struct ring_shared){ .partitions = 1, .total = 100000, .fill = 100 };
	ring_run(_metadata, self->s, false);
}

TEST_F_TIMEOUT(ring, large_records, EVW_PATIENCE)
{
	*self->s = (struct ring_shared){ .partitions = 1, .total = 4000, .fill = 25000 };
	ring_run(_metadata, self->s, true);
}

TEST_F_TIMEOUT(ring, lines, EVW_PATIENCE)
{
	*self->s = (struct ring_shared){ .partitions = 1, .total = 80000, .fill = 60,
					 .lines = true };
	ring_run(_metadata, self->s, true);
}

TEST_F_TIMEOUT(ring, any, EVW_PATIENCE)
{
	*self->s = (struct ring_shared){ .partitions = 3, .total = 15000, .fill = 300 };
	ring_run(_metadata, self->s, false);
}

/* Millions, by whom they cost little: what is lost is a number, and right. */
TEST_F_TIMEOUT(ring, millions, EVW_PATIENCE)
{
	static struct evstream_record rec[EVSTREAM_APPEND_MAX];
	struct evstream_append a = { .records = (uintptr_t)rec, .nr_records = EVSTREAM_APPEND_MAX,
				     .record_size = sizeof(rec[0]) };
	long long total = 0, next = 0, lost = 0, got = 0, seq[EVSTREAM_APPEND_MAX], v;
	struct evstream_gap g;
	int rd, i;

	ASSERT_EQ(0, evt_create(&self->s->topic, "--segment 64K --ring 128K"));
	self->fd = evt_open(&self->s->topic, 0, O_WRONLY);
	rd = evt_open(&self->s->topic, 0, O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	ASSERT_LE(0, rd);
	for (i = 0; i < EVSTREAM_APPEND_MAX; i++) {
		rec[i].value = (uintptr_t)&seq[i];
		rec[i].value_len = 8;
		rec[i].key_len = -1;
		rec[i].timestamp = -1;
	}
	while (total < 2000000) {
		for (i = 0; i < EVSTREAM_APPEND_MAX; i++)
			seq[i] = total++;
		ASSERT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_APPEND, &a));
		ASSERT_EQ(EVSTREAM_APPEND_MAX, a.appended);
		/* A bit of them each time. */
		for (i = 0; i < 20; i++) {
			long long ret = EVT(read(rd, &v, 8));

			if (ret == -EPIPE) {
				g = (struct evstream_gap){};
				ASSERT_EQ(0, ioctl(rd, EVSTREAM_IOC_GAP, &g));
				ASSERT_EQ(next, g.from);
				ASSERT_EQ(lost + g.to - g.from, g.lost);
				next = g.to;
				lost = g.lost;
				continue;
			}
			ASSERT_EQ(8, ret);
			ASSERT_EQ(next, v);
			next++;
			got++;
		}
	}
	EXPECT_EQ(next, got + lost);
	EXPECT_EQ(next, lseek(rd, 0, SEEK_CUR));
	EXPECT_LT(1000000, lost);
	EXPECT_GE(RING, evw_counter(&self->s->topic, 0, "memory"));
	close(rd);
}

/* The pages of the ring are there no more once the topic is deleted. */
TEST_F_TIMEOUT(ring, memory_comes_back, EVW_PATIENCE)
{
	char *buf = calloc(1, 1 << 20);
	long long before, held;
	int i;

	before = evw_number("/proc/vmstat", "nr_unevictable");
	ASSERT_EQ(0, evt_create(&self->s->topic, "--segment 4M --ring 32M"));
	self->fd = evt_open(&self->s->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(1 << 20, write(self->fd, buf, 1 << 20));
	held = evw_counter(&self->s->topic, 0, "memory");
	EXPECT_GE(32 << 20, held);
	EXPECT_LE(24 << 20, held);
	EXPECT_LE(held / 4096, evw_number("/proc/vmstat", "nr_unevictable") - before + 512);
	EXPECT_EQ(0, evt_delete(&self->s->topic));
	self->s->topic.name[0] = '\0';
	/* Vmstat sums up what processors counted, from time to time. */
	EXPECT_GT(512, evw_number("/proc/vmstat", "nr_unevictable") - before);
	free(buf);
}

/*
 * What segments cost beside their bytes: a control group is charged with it, and
 * shall be discharged of it.
 */
TEST_F_TIMEOUT(ring, segments_leave_nothing, EVW_PATIENCE)
{
	const char *group = "/sys/fs/cgroup/evstream-ring";
	char path[128], *buf;
	long long left = -1;
	int i, status;
	pid_t pid;

	evw_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	snprintf(path, sizeof(path), "%s/memory.current", group);
	if (mkdir(group, 0755) || access(path, R_OK)) {
		rmdir(group);
		SKIP(return, "no memory control group");
	}
	ASSERT_EQ(0, evt_create(&self->s->topic, "--segment 1M --ring 4M"));
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	pid = fork();
	if (!pid) {
		int fd = evt_open(&self->s->topic, 0, O_WRONLY);

		if (fd < 0 || evw_write_file(path, "0"))
			_exit(1);
		buf = calloc(1, 65536);
		/* 15 records to the segment, through 200 of them. */
		for (i = 0; i < 200 * 15; i++)
			if (write(fd, buf, 65536) != 65536)
				_exit(2);
		_exit(0);
	}
	status = evt_wait(pid);
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, evt_delete(&self->s->topic));
	self->s->topic.name[0] = '\0';
	/* Freed behind a grace period, and counted in lots: wait until it moves no more. */
	snprintf(path, sizeof(path), "%s/memory.current", group);
	for (i = 0; i < 50; i++) {
		left = evw_number(path, "");
		if (left < 320 << 10)
			break;
		usleep(50000);
	}
	EXPECT_GT(320 << 10, left);
	rmdir(group);
}

/* A FETCH that wants much from an offset which is dropped meanwhile. */
TEST_F_TIMEOUT(ring, fetch_lapped, EVW_PATIENCE)
{
	char buf[1000] = "";
	pid_t pid;
	int i;

	ASSERT_EQ(0, evt_create(&self->s->topic, "--segment 64K --ring 128K"));
	self->fd = evt_open(&self->s->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(3, write(self->fd, "one", 3));
	pid = fork();
	if (!pid) {
		struct evstream_fetch a = { .len = 1 << 21, .min_bytes = 1 << 20,
					    .timeout_ms = -1 };

		a.buf = (uintptr_t)malloc(a.len);
		_exit(ioctl(self->fd, EVSTREAM_IOC_FETCH, &a) ? errno : 0);
	}
	ASSERT_TRUE(evt_sleeps_in(pid, __NR_ioctl));
	for (i = 0; i < 1000; i++)
		ASSERT_EQ(sizeof(buf), write(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(ERANGE, evt_wait(pid));
}

/* The ring made smaller under readers: as any other overrun. */
TEST_F_TIMEOUT(ring, shrink, EVW_PATIENCE)
{
	char buf[1000] = "";
	struct evstream_gap g = {};
	long long start, i;

	ASSERT_EQ(0, evt_create(&self->s->topic, "--segment 64K --ring 1M"));
	self->fd = evt_open(&self->s->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
	for (i = 0; i < 900; i++) {
		memcpy(buf, &i, sizeof(i));
		ASSERT_EQ(sizeof(buf), write(self->fd, buf, sizeof(buf)));
	}
	ASSERT_EQ(sizeof(buf), read(self->fd, buf, sizeof(buf)));
	EXPECT_EQ(0, evt_start(self->fd, 0));
	EXPECT_EQ(0, evt_set(&self->s->topic, "ring=128K"));
	start = evt_start(self->fd, 0);
	EXPECT_LT(700, start);
	EXPECT_GE(RING, evw_counter(&self->s->topic, 0, "memory"));
	EXPECT_EQ(-EPIPE, EVT(read(self->fd, buf, sizeof(buf))));
	ASSERT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_GAP, &g));
	EXPECT_EQ(1, g.from);
	EXPECT_EQ(start, g.to);
	for (i = start; i < 900; i++) {
		long long v;

		ASSERT_EQ(sizeof(buf), read(self->fd, buf, sizeof(buf)));
		memcpy(&v, buf, sizeof(v));
		ASSERT_EQ(i, v);
	}
}

TEST_HARNESS_MAIN
