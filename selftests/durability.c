// SPDX-License-Identifier: GPL-2.0
/*
 * When records are on stable storage: O_DSYNC, RWF_DSYNC, fsync(), fdatasync(), and
 * the flushes that nobody asks for.
 */
#include "evdurable.h"

/* Nothing is flushed unless somebody wants it. */
#define LAZY	"--segment 1M --max-record 100000 --flush-interval 0 --flush-bytes 0"

FIXTURE(durability) {
	struct evt_topic topic;
	char dir[EVD_PATH];
	int fd;
};

FIXTURE_SETUP(durability)
{
	ASSERT_EQ(0, evd_place("ext4", self->dir));
	ASSERT_EQ(0, evd_create(&self->topic, self->dir, "-p 2 " LAZY));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(durability)
{
	close(self->fd);
	EXPECT_EQ(0, evd_remove(&self->topic, self->dir));
}

/* The offset of a record appended by APPEND, or -errno. */
static long long append(int fd, const void *value, uint32_t len)
{
	struct evstream_record rec = { .value = (uintptr_t)value, .value_len = len, .key_len = -1,
				       .timestamp = -1 };
	struct evstream_append a = { .records = (uintptr_t)&rec, .nr_records = 1,
				     .record_size = sizeof(rec) };

	return ioctl(fd, EVSTREAM_IOC_APPEND, &a) ? -errno : rec.offset;
}

/* The same by APPEND_BATCH. */
static long long append_batch(int fd, const void *value, uint32_t len)
{
	struct evs_record rec = { .value = value, .value_len = len, .key_len = -1,
				  .timestamp = EVD_T0 };
	struct evs_builder *b = evs_builder_new(NULL, 0);
	const void *batch;
	int64_t offset;
	size_t size;
	int ret;

	evs_builder_add(b, &rec);
	evs_builder_finish(b, &batch, &size);
	ret = evs_append_batch(fd, 0, batch, size, &offset);
	evs_builder_free(b);
	return ret ?: offset;
}

/* The file system agrees: the records are in the files. */
static const char *in_files(const char *dir, const struct evt_topic *t, int partition,
			    long long end)
{
	struct evd_files files;
	const char *why = evd_check(dir, t, partition, true, &files);

	evd_free(&files.log);
	if (!why && files.next < end)
		why = evd_wrong("the files end at %lld, not at %lld", files.next, end);
	return why;
}

TEST_F_TIMEOUT(durability, nothing_by_itself, EVW_PATIENCE)
{
	char value[1000] = "";
	int i;

	EXPECT_EQ(0, evd_durable(self->fd, 0));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(sizeof(value), write(self->fd, value, sizeof(value)));
	EXPECT_EQ(0, evd_durable(self->fd, 0));
	EXPECT_EQ(20, append(self->fd, value, 10));
	EXPECT_EQ(21, append_batch(self->fd, value, 10));
	EXPECT_EQ(0, evd_durable(self->fd, 0));
	EXPECT_EQ(0, evw_counter(&self->topic, 0, "durable_offset"));
	EXPECT_LE(20000, evw_counter(&self->topic, 0, "unwritten"));
}

TEST_F_TIMEOUT(durability, o_dsync, EVW_PATIENCE)
{
	struct evstream_set_framing line = { .framing = EVSTREAM_FRAMING_LINE };
	struct iovec v[2] = { { "one ", 4 }, { "record", 6 } };
	char value[70000];
	int fd, round;

	memset(value, 'v', sizeof(value));
	for (round = 0; round < 3; round++) {
		/* What others left is flushed with it, whoever it is of. */
		ASSERT_EQ(9, write(self->fd, "forgotten", 9));
		EXPECT_EQ(evt_end(self->fd, 0), evd_durable(self->fd, 0) + 1);
		fd = evt_open(&self->topic, 0, O_WRONLY | (round == 2 ? O_SYNC : O_DSYNC));
		ASSERT_LE(0, fd);
		ASSERT_EQ(6, write(fd, "record", 6));
		EXPECT_EQ(evt_end(fd, 0), evd_durable(fd, 0));
		ASSERT_EQ(sizeof(value), write(fd, value, sizeof(value)));
		EXPECT_EQ(evt_end(fd, 0), evd_durable(fd, 0));
		ASSERT_EQ(10, writev(fd, v, 2));
		EXPECT_EQ(evt_end(fd, 0), evd_durable(fd, 0));
		EXPECT_EQ(evt_end(fd, 0), append(fd, value, 5000));
		EXPECT_EQ(evt_end(fd, 0), evd_durable(fd, 0));
		EXPECT_EQ(evt_end(fd, 0), append_batch(fd, value, 5000));
		EXPECT_EQ(evt_end(fd, 0), evd_durable(fd, 0));
		ASSERT_EQ(0, ioctl(fd, EVSTREAM_IOC_SET_FRAMING, &line));
		ASSERT_EQ(17, write(fd, "line\nline\npartial", 17));
		EXPECT_EQ(evt_end(fd, 0), evd_durable(fd, 0));
		EXPECT_FINE(in_files(self->dir, &self->topic, 0, evt_end(fd, 0)));
		close(fd);
		EXPECT_EQ(9 * (round + 1), evt_end(self->fd, 0));
		ASSERT_EQ(0, fsync(self->fd));
	}
}

/* The file is any: the record's partition is flushed, be it whose. */
TEST_F_TIMEOUT(durability, o_dsync_on_any, EVW_PATIENCE)
{
	int fd = evt_open(&self->topic, EVT_ANY, O_RDWR | O_DSYNC), i;
	char key[16];

	ASSERT_LE(0, fd);
	for (i = 0; i < 20; i++) {
		struct evstream_record rec = { .key = (uintptr_t)key, .value = (uintptr_t)key,
					       .timestamp = -1 };
		struct evstream_append a = { .records = (uintptr_t)&rec, .nr_records = 1,
					     .record_size = sizeof(rec) };

		rec.key_len = sprintf(key, "key-%d", i);
		rec.value_len = rec.key_len;
		ASSERT_EQ(0, ioctl(fd, EVSTREAM_IOC_APPEND, &a));
		EXPECT_LT(rec.offset, evd_durable(fd, rec.partition));
	}
	EXPECT_LT(0, evt_end(fd, 0));
	EXPECT_LT(0, evt_end(fd, 1));
	ASSERT_EQ(5, write(fd, "plain", 5));
	EXPECT_EQ(evt_end(fd, 0), evd_durable(fd, 0));
	EXPECT_EQ(evt_end(fd, 1), evd_durable(fd, 1));
	close(fd);
}

TEST_F_TIMEOUT(durability, rwf_dsync, EVW_PATIENCE)
{
	struct iovec v = { "record", 6 };
	long long durable;

	ASSERT_EQ(6, pwritev2(self->fd, &v, 1, -1, RWF_DSYNC));
	EXPECT_EQ(1, evd_durable(self->fd, 0));
	/* Of this call only. */
	ASSERT_EQ(6, pwritev2(self->fd, &v, 1, -1, 0));
	ASSERT_EQ(6, write(self->fd, "record", 6));
	EXPECT_EQ(1, evd_durable(self->fd, 0));
	ASSERT_EQ(6, pwritev2(self->fd, &v, 1, -1, RWF_SYNC));
	durable = evd_durable(self->fd, 0);
	EXPECT_EQ(4, durable);
	EXPECT_FINE(in_files(self->dir, &self->topic, 0, 4));
}

TEST_F_TIMEOUT(durability, fsync, EVW_PATIENCE)
{
	int in = evt_open(&self->topic, 0, O_RDONLY), round;

	ASSERT_LE(0, in);
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, fdatasync(self->fd));
	for (round = 1; round <= 4; round++) {
		ASSERT_EQ(6, write(self->fd, "record", 6));
		EXPECT_EQ(round - 1, evd_durable(self->fd, 0));
		/* It is of the log, not of what the file wrote. */
		EXPECT_EQ(0, round == 1 ? fsync(self->fd) : round == 2 ? fdatasync(self->fd) :
			     round == 3 ? fsync(in) : fdatasync(in));
		EXPECT_EQ(round, evd_durable(self->fd, 0));
		EXPECT_EQ(round, evw_counter(&self->topic, 0, "durable_offset"));
		EXPECT_FINE(in_files(self->dir, &self->topic, 0, round));
	}
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(4, evd_durable(self->fd, 0));
	EXPECT_EQ(0, evw_counter(&self->topic, 0, "unwritten"));
	close(in);
}

TEST_F_TIMEOUT(durability, fsync_of_any, EVW_PATIENCE)
{
	int any = evt_open(&self->topic, EVT_ANY, O_RDWR);
	int other = evt_open(&self->topic, 1, O_WRONLY), round;

	ASSERT_LE(0, any);
	ASSERT_LE(0, other);
	for (round = 1; round <= 2; round++) {
		ASSERT_EQ(6, write(self->fd, "record", 6));
		ASSERT_EQ(6, write(other, "record", 6));
		EXPECT_EQ(0, round == 1 ? fsync(any) : fdatasync(any));
		EXPECT_EQ(round, evd_durable(any, 0));
		EXPECT_EQ(round, evd_durable(any, 1));
	}
	/* One partition's says nothing of another's. */
	ASSERT_EQ(6, write(self->fd, "record", 6));
	ASSERT_EQ(6, write(other, "record", 6));
	EXPECT_EQ(0, fsync(other));
	EXPECT_EQ(2, evd_durable(any, 0));
	EXPECT_EQ(3, evd_durable(any, 1));
	close(any);
	close(other);
}

/* Over the ends of segments, in one flush. */
TEST_F_TIMEOUT(durability, many_segments, EVW_PATIENCE)
{
	char *value = malloc(100000);
	int i;

	for (i = 0; i < 55; i++) {
		evw_make(value, 100000, 1, i);
		ASSERT_EQ(100000, write(self->fd, value, 100000));
	}
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_EQ(55, evd_durable(self->fd, 0));
	EXPECT_FINE(in_files(self->dir, &self->topic, 0, 55));
	free(value);
}

TEST_F_TIMEOUT(durability, flush_interval, EVW_PATIENCE)
{
	int i;

	ASSERT_EQ(0, evt_set(&self->topic, "flush-interval=50ms"));
	for (i = 1; i <= 3; i++) {
		ASSERT_EQ(6, write(self->fd, "record", 6));
		EVD_WAIT(evd_durable(self->fd, 0) == i);
	}
	EXPECT_FINE(in_files(self->dir, &self->topic, 0, 3));
	/* What waits already when it is set. */
	ASSERT_EQ(0, evt_set(&self->topic, "flush-interval=0"));
	ASSERT_EQ(6, write(self->fd, "record", 6));
	EXPECT_EQ(3, evd_durable(self->fd, 0));
	ASSERT_EQ(0, evt_set(&self->topic, "flush-interval=20ms"));
	ASSERT_EQ(6, write(self->fd, "record", 6));
	EVD_WAIT(evd_durable(self->fd, 0) == 5);
}

TEST_F_TIMEOUT(durability, flush_bytes, EVW_PATIENCE)
{
	char value[10000] = "";
	long long durable;
	int i;

	ASSERT_EQ(0, evt_set(&self->topic, "flush-bytes=64K"));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(sizeof(value), write(self->fd, value, sizeof(value)));
	EXPECT_EQ(0, evd_durable(self->fd, 0));
	for (i = 0; i < 10; i++)
		ASSERT_EQ(sizeof(value), write(self->fd, value, sizeof(value)));
	EVD_WAIT(evd_durable(self->fd, 0) >= 6);
	durable = evd_durable(self->fd, 0);
	EXPECT_FINE(in_files(self->dir, &self->topic, 0, durable));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(sizeof(value), write(self->fd, value, sizeof(value)));
	EVD_WAIT(evd_durable(self->fd, 0) >= durable + 7);
}

#define WRITERS	16
#define SYNCERS	2
#define EACH	40

struct crowd {
	struct evt_topic *topic;
	atomic_int writing;
	atomic_uint done[WRITERS];
};

static const char *write_durably(void *arg, int index, struct evw_worker *w)
{
	struct crowd *c = arg;
	int fd = evt_open(c->topic, 0, O_WRONLY | O_DSYNC);
	char *buf = malloc(20000);
	uint64_t rnd = index;
	const char *why = NULL;
	long long offset, durable;
	uint32_t seq;

	for (seq = 0; seq < EACH && !why; seq++) {
		uint32_t len = evw_size(&rnd, 20000);

		evw_make(buf, len, index, seq);
		offset = evt_end(fd, 0);
		if (seq % 2) {
			offset = append(fd, buf, len);
			if (offset < 0)
				why = evw_why(w, "APPEND: %s", strerror(-offset));
		} else if (write(fd, buf, len) != (ssize_t)len) {
			why = evw_why(w, "write: %s", strerror(errno));
		}
		durable = evd_durable(fd, 0);
		if (!why && durable <= offset)
			why = evw_why(w, "offset %lld returned, %lld durable", offset, durable);
		atomic_store(&c->done[index], seq + 1);
	}
	atomic_fetch_sub(&c->writing, 1);
	free(buf);
	close(fd);
	return why;
}

static const char *watch(void *arg, int index, struct evw_worker *w)
{
	struct crowd *c = arg;
	int fd = evt_open(c->topic, index ? EVT_ANY : 0, O_RDONLY);
	long long before = 0, end;
	struct evstream_stat st;

	while (atomic_load(&c->writing)) {
		end = evt_end(fd, 0);
		if (fsync(fd))
			return evw_why(w, "fsync: %s", strerror(errno));
		if (evt_stat(fd, 0, &st))
			return evw_why(w, "STAT: %s", strerror(errno));
		if (st.durable_offset < before || st.durable_offset < end ||
		    st.durable_offset > st.end_offset)
			return evw_why(w, "%lld durable, after %lld and the end at %lld and %lld",
				       (long long)st.durable_offset, before, end,
				       (long long)st.end_offset);
		before = st.durable_offset;
	}
	close(fd);
	return NULL;
}

static const char *count_record(const struct evs_record *rec, void *arg)
{
	uint32_t *next = arg;
	struct evw_head h;

	if (!evw_check(rec->value, rec->value_len, &h) || h.producer >= WRITERS ||
	    h.seq != next[h.producer])
		return "a record that nobody wrote, or out of order";
	next[h.producer]++;
	return NULL;
}

TEST_F_TIMEOUT(durability, a_crowd, EVW_PATIENCE)
{
	struct crowd *c = evw_shared(sizeof(*c));
	uint32_t next[WRITERS] = {};
	struct evw_crew crew;
	int i;

	c->topic = &self->topic;
	atomic_store(&c->writing, WRITERS);
	evw_crew_init(&crew, false);
	for (i = 0; i < WRITERS; i++)
		evw_start(&crew, write_durably, c, i);
	for (i = 0; i < SYNCERS; i++)
		evw_start(&crew, watch, c, i);
	EXPECT_EQ(0, evw_join(&crew));
	EXPECT_EQ(WRITERS * EACH, evd_durable(self->fd, 0));
	EXPECT_FINE(in_files(self->dir, &self->topic, 0, WRITERS * EACH));
	EXPECT_FINE(evw_walk(self->fd, count_record, next));
	for (i = 0; i < WRITERS; i++)
		EXPECT_EQ(EACH, next[i]);
}

/* Whoever dies in the middle of its wait harms nobody. */
TEST_F_TIMEOUT(durability, killed, EVW_PATIENCE)
{
	struct crowd *c = evw_shared(sizeof(*c));
	struct evw_crew crew;
	long long end;
	int i;

	c->topic = &self->topic;
	atomic_store(&c->writing, WRITERS);
	evw_crew_init(&crew, true);
	for (i = 0; i < 6; i++)
		evw_start(&crew, write_durably, c, i);
	for (i = 0; i < 6; i++) {
		EVD_WAIT(atomic_load(&c->done[i]) > 3);
		kill(crew.w[i].pid, SIGKILL);
	}
	for (i = 0; i < 6; i++)
		evt_wait(crew.w[i].pid);
	end = append(self->fd, "x", 1);
	EXPECT_LE(6 * 4, end);
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(end + 1, evd_durable(self->fd, 0));
}

/* Programs that were built before there was a durable_offset. */
TEST_F_TIMEOUT(durability, older_programs, EVW_PATIENCE)
{
	const size_t old = offsetof(struct evstream_stat, durable_offset);
	struct evstream_stat st = { .durable_offset = 77 };
	unsigned int request = _IOC(_IOC_READ | _IOC_WRITE, EVSTREAM_IOC_MAGIC, 0x05, old);

	ASSERT_EQ(1, write(self->fd, "x", 1));
	ASSERT_EQ(0, ioctl(self->fd, request, &st));
	EXPECT_EQ(1, st.end_offset);
	EXPECT_EQ(77, st.durable_offset);
}

/* As in tmpfs, there is nothing to wait for. */
TEST(volatile_topics)
{
	struct evt_topic t;
	int fd, any, sync;

	ASSERT_EQ(0, evt_create(&t, ""));
	fd = evt_open(&t, 0, O_RDWR);
	any = evt_open(&t, EVT_ANY, O_RDWR);
	sync = evt_open(&t, 0, O_WRONLY | O_DSYNC);
	EXPECT_EQ(1, write(fd, "x", 1));
	EXPECT_EQ(1, write(sync, "x", 1));
	EXPECT_EQ(0, fsync(fd));
	EXPECT_EQ(0, fdatasync(fd));
	EXPECT_EQ(0, fsync(any));
	EXPECT_EQ(-1, evd_durable(fd, 0));
	EXPECT_EQ(-1, evd_durable(any, 0));
	close(sync);
	close(fd);
	close(any);
	EXPECT_EQ(0, evt_delete(&t));
}

#include "evlast.h"

TEST_HARNESS_MAIN
