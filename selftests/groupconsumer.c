// SPDX-License-Identifier: GPL-2.0
/*
 * libevstream's consumer on the devices: joins, leaves, what is committed when, and
 * what is done to it from outside.
 */
#include "evwork.h"

#define PARTITIONS	8
#define EACH		4000	/* records of a partition */
#define CONSUMERS	6
#define PATIENT		60000	/* ms: nothing is taken by force */

FIXTURE(groupconsumer) {
	struct evt_topic topic;
	int any;
};

FIXTURE_SETUP(groupconsumer)
{
	ASSERT_EQ(0, evt_create(&self->topic, "-p 8 --ring 16M"));
	self->any = evt_open(&self->topic, EVT_ANY, O_RDWR);
	ASSERT_LE(0, self->any);
}

FIXTURE_TEARDOWN(groupconsumer)
{
	close(self->any);
	if (self->topic.name[0])
		EXPECT_EQ(0, evt_delete(&self->topic));
}

static struct evs_consumer *open_consumer(const struct evt_topic *t, unsigned int flags,
					  evs_consumer_fn fn, void *data)
{
	struct evs_consumer_options options = {
		.size = sizeof(options),
		.flags = flags,
		.rebalance_ms = PATIENT,
		.on_event = fn,
		.data = data,
	};

	return evs_consumer_open(t->name, "group", &options);
}

static int append(const struct evt_topic *t, int partition, uint32_t from, uint32_t count)
{
	int fd = evt_open(t, partition, O_WRONLY);
	char value[100];

	for (; fd >= 0 && count--; from++) {
		evw_make(value, sizeof(value), partition, from);
		if (write(fd, value, sizeof(value)) != sizeof(value))
			break;
	}
	close(fd);
	return count == UINT32_MAX ? 0 : -1;
}

/* The committed offset, as a member that joins in passing sees it. */
static long long committed(const struct evt_topic *t, unsigned int partition)
{
	struct evstream_join join = {
		.name = (uintptr_t)"group",
		.name_len = 5,
		.flags = EVSTREAM_JOIN_EXISTING | EVSTREAM_JOIN_STATIC,
		.start = EVSTREAM_SEEK_EARLIEST,
		.partitions = (uintptr_t)&partition,
		.nr_partitions = 1,
	};
	struct evstream_position position = { .partition = partition };
	int fd = evt_open(t, EVT_ANY, O_RDONLY);
	long long ret = EVT(ioctl(fd, EVSTREAM_IOC_JOIN, &join));

	if (!ret)
		ret = EVT(ioctl(fd, EVSTREAM_IOC_POSITION, &position));
	close(fd);
	return ret ?: position.committed;
}

struct shared {
	struct evt_topic *topic;
	atomic_uint left;
	atomic_uchar seen[PARTITIONS][EACH];
};

static void commit_what_goes(struct evs_consumer *c, enum evs_consumer_event event,
			     uint32_t partition, int64_t offset, void *data)
{
	int *ret = data;

	(void)partition;
	(void)offset;
	if (event == EVS_CONSUMER_LOST)
		*ret = -ECANCELED;
	if (event == EVS_CONSUMER_REVOKED && !*ret)
		*ret = evs_consumer_commit(c, 0);
}

/* Comes and goes until all is read. */
static const char *come_and_go(void *arg, int index, struct evw_worker *w)
{
	struct shared *s = arg;
	uint64_t random = index;
	struct evs_record rec;
	struct evw_head head;
	uint32_t partition;

	while (s->left) {
		bool automatic = evw_random(&random) & 1;
		uint32_t most = evw_random(&random) % 2000;
		int failed = 0, ret = 0;
		struct evs_consumer *c;

		c = open_consumer(s->topic, automatic ? EVS_CONSUMER_AUTO_COMMIT : 0,
				  automatic ? NULL : commit_what_goes, &failed);
		if (!c)
			return evw_why(w, "open: %d", -errno);
		while (s->left && most && ret >= 0 && !failed) {
			ret = evs_consumer_next(c, &rec, &partition);
			if (!ret) {
				ret = evs_consumer_wait(c, 20);
				continue;
			}
			if (ret < 0)
				break;
			if (!evw_check(rec.value, rec.value_len, &head) ||
			    head.producer != partition || head.seq != rec.offset ||
			    !evs_consumer_valid(c))
				ret = -EILSEQ;
			s->seen[partition][rec.offset]++;
			s->left--;
			most--;
		}
		if (ret >= 0 && !automatic)
			ret = evs_consumer_commit(c, 0);
		evs_consumer_close(c);
		if (ret < 0 || failed)
			return evw_why(w, "%d, %d", ret, failed);
	}
	return NULL;
}

static const char *produce(void *arg, int index, struct evw_worker *w)
{
	struct shared *s = arg;

	return append(s->topic, index, 0, EACH) ? evw_why(w, "append") : NULL;
}

/*
 * Whoever joins, leaves or is asked commits first, and nobody is forced: then no
 * record comes twice, and none is missing.
 */
TEST_F_TIMEOUT(groupconsumer, once_each_while_members_come_and_go, EVW_PATIENCE)
{
	struct shared *s = evw_shared(sizeof(*s));
	int p, i, wrong = 0;
	struct evw_crew crew;

	s->topic = &self->topic;
	s->left = PARTITIONS * EACH;
	evw_crew_init(&crew, false);
	for (i = 0; i < CONSUMERS; i++)
		evw_start(&crew, come_and_go, s, i);
	for (p = 0; p < PARTITIONS; p++)
		evw_start(&crew, produce, s, p);
	EXPECT_EQ(0, evw_join(&crew));
	for (p = 0; p < PARTITIONS; p++)
		for (i = 0; i < EACH; i++)
			if (s->seen[p][i] != 1 && ++wrong < 10)
				TH_LOG("%d:%d came %d times", p, i, s->seen[p][i]);
	EXPECT_EQ(0, wrong);
	for (p = 0; p < PARTITIONS; p++)
		EXPECT_EQ(EACH, committed(&self->topic, p));
	munmap(s, sizeof(*s));
}

struct told {
	int assigned;
	int revoked;
	int lost;
	int64_t offset;
};

static void count_events(struct evs_consumer *c, enum evs_consumer_event event,
			 uint32_t partition, int64_t offset, void *data)
{
	struct told *told = data;

	(void)c;
	(void)partition;
	told->assigned += event == EVS_CONSUMER_ASSIGNED;
	told->revoked += event == EVS_CONSUMER_REVOKED;
	told->lost += event == EVS_CONSUMER_LOST;
	told->offset = offset;
}

/* How many records there are now, each with the offset that comes next. */
static int drain(struct evs_consumer *c, int64_t next[PARTITIONS])
{
	struct evs_record rec;
	uint32_t partition;
	int n = 0, ret;

	while ((ret = evs_consumer_next(c, &rec, &partition)) == 1) {
		if (rec.offset != next[partition])
			return -EILSEQ;
		next[partition]++;
		n++;
	}
	return ret ?: n;
}

TEST_F_TIMEOUT(groupconsumer, offsets_set_from_outside, EVW_PATIENCE)
{
	int64_t next[PARTITIONS] = { 0 };
	struct told told = { 0 };
	struct evs_consumer *c;
	int p;

	for (p = 0; p < PARTITIONS; p++)
		ASSERT_EQ(0, append(&self->topic, p, 0, 100));
	c = open_consumer(&self->topic, 0, count_events, &told);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(100 * PARTITIONS, drain(c, next));
	EXPECT_EQ(PARTITIONS, told.assigned);
	EXPECT_EQ(0, evs_consumer_commit(c, 0));
	EXPECT_EQ(0, evt_streamctl("group seek %s group -p 3 --to-offset 70 >/dev/null",
				   self->topic.name));
	EXPECT_EQ(1, evs_consumer_wait(c, -1));
	next[3] = 70;
	EXPECT_EQ(30, drain(c, next));
	EXPECT_EQ(1, told.lost);
	EXPECT_EQ(PARTITIONS + 1, told.assigned);
	EXPECT_EQ(70, told.offset);
	EXPECT_EQ(0, told.revoked);
	EXPECT_EQ(0, evs_consumer_commit(c, 0));
	evs_consumer_close(c);
	EXPECT_EQ(100, committed(&self->topic, 3));
}

TEST_F_TIMEOUT(groupconsumer, taken_by_force, EVW_PATIENCE)
{
	struct evs_consumer_options options = { .size = sizeof(options), .rebalance_ms = 1 };
	int64_t next[PARTITIONS] = { 0 }, other_next[PARTITIONS] = { 0 };
	struct evs_consumer *c, *other;
	struct told told = { 0 };
	int p, n = 0;

	options.on_event = count_events;
	options.data = &told;
	for (p = 0; p < PARTITIONS; p++)
		ASSERT_EQ(0, append(&self->topic, p, 0, 10));
	c = evs_consumer_open(self->topic.name, "group", &options);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(10 * PARTITIONS, drain(c, next));
	other = open_consumer(&self->topic, 0, NULL, NULL);
	ASSERT_NE(NULL, other);
	/* All that was not committed comes again, and nobody else had to do anything. */
	while (n < 10 * PARTITIONS / 2) {
		int more = drain(other, other_next);

		ASSERT_LE(0, more);
		n += more;
		ASSERT_LE(0, evs_consumer_wait(other, 100));
	}
	EXPECT_EQ(10 * PARTITIONS / 2, n);
	EXPECT_EQ(-ESTALE, evs_consumer_commit(c, 0));
	EXPECT_EQ(0, drain(c, next));
	EXPECT_EQ(PARTITIONS / 2, told.lost);
	EXPECT_EQ(0, evs_consumer_commit(c, 0));
	EXPECT_EQ(0, evs_consumer_commit(other, 0));
	evs_consumer_close(c);
	evs_consumer_close(other);
	for (p = 0; p < PARTITIONS; p++)
		EXPECT_EQ(10, committed(&self->topic, p));
}

TEST_F_TIMEOUT(groupconsumer, overrun, EVW_PATIENCE)
{
	int64_t from = -1, to = -1;
	struct evs_consumer *c;
	struct evt_topic small;
	struct evs_record rec;
	uint32_t partition;

	ASSERT_EQ(0, evt_create(&small, "--segment 64K --ring 128K --max-record 8000"));
	c = open_consumer(&small, EVS_CONSUMER_AUTO_COMMIT, NULL, NULL);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(0, evs_consumer_next(c, &rec, &partition));
	ASSERT_EQ(0, append(&small, 0, 0, 3000));
	partition = 99;
	EXPECT_EQ(-EPIPE, evs_consumer_next(c, &rec, &partition));
	EXPECT_EQ(0, partition);
	EXPECT_LT(0, evs_consumer_lost(c, &from, &to));
	EXPECT_EQ(0, from);
	EXPECT_EQ(1, evs_consumer_next(c, &rec, &partition));
	EXPECT_EQ(to, rec.offset);
	evs_consumer_close(c);
	EXPECT_EQ(to + 1, committed(&small, 0));
	EXPECT_EQ(0, evt_delete(&small));
}

static const char *produce_more_than_fits(void *arg, int index, struct evw_worker *w)
{
	(void)index;
	return append(arg, 0, 0, 10000) ? evw_why(w, "append") : NULL;
}

/* A ring that blocks loses nothing that its group has not committed. */
TEST_F_TIMEOUT(groupconsumer, commits_make_room, EVW_PATIENCE)
{
	int64_t next[PARTITIONS] = { 0 };
	struct evs_consumer *c;
	struct evt_topic small;
	struct evw_crew crew;
	int n = 0, more = 0;

	ASSERT_EQ(0, evt_create(&small,
				"--segment 64K --ring 128K --max-record 8000 --full block"));
	c = open_consumer(&small, 0, NULL, NULL);
	ASSERT_NE(NULL, c);
	evw_crew_init(&crew, false);
	evw_start(&crew, produce_more_than_fits, &small, 0);
	while (n < 10000 && more >= 0) {
		more = drain(c, next);
		n += more;
		if (more >= 0)
			more = evs_consumer_commit(c, 0);
		if (more >= 0)
			more = evs_consumer_wait(c, 100);
	}
	EXPECT_LE(0, more);
	EXPECT_EQ(0, evw_join(&crew));
	EXPECT_EQ(10000, next[0]);
	EXPECT_EQ(0, evs_consumer_lost(c, NULL, NULL));
	evs_consumer_close(c);
	EXPECT_EQ(0, evt_delete(&small));
}

static void *wait_for_ever(void *arg)
{
	return (void *)(long)evs_consumer_wait(arg, -1);
}

TEST_F_TIMEOUT(groupconsumer, deleted_while_it_waits, EVW_PATIENCE)
{
	struct evs_consumer *c = open_consumer(&self->topic, 0, NULL, NULL);
	struct evs_record rec;
	pthread_t thread;
	void *ret;

	ASSERT_NE(NULL, c);
	EXPECT_EQ(0, evs_consumer_next(c, &rec, NULL));
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_ever, c));
	EXPECT_EQ(0, evt_delete(&self->topic));
	self->topic.name[0] = 0;
	pthread_join(thread, &ret);
	/* It was told to look, or has done so itself. */
	EXPECT_TRUE((long)ret == 1 || (long)ret == -ENODEV);
	EXPECT_EQ(-ENODEV, evs_consumer_next(c, &rec, NULL));
	EXPECT_EQ(-ENODEV, evs_consumer_wait(c, -1));
	evs_consumer_close(c);
}

/* A child that has inherited the file would be the member: close leaves for both. */
TEST_F_TIMEOUT(groupconsumer, close_leaves_for_a_child_too, EVW_PATIENCE)
{
	int64_t next[PARTITIONS] = { 0 };
	struct evs_consumer *c, *other;
	int pipes[2], p;
	pid_t pid;

	for (p = 0; p < PARTITIONS; p++)
		ASSERT_EQ(0, append(&self->topic, p, 0, 1));
	c = open_consumer(&self->topic, 0, NULL, NULL);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(PARTITIONS, drain(c, next));
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (!pid) {
		char byte;

		close(pipes[1]);
		_exit(read(pipes[0], &byte, 1) ? 1 : 0);
	}
	evs_consumer_close(c);
	other = open_consumer(&self->topic, 0, NULL, NULL);
	ASSERT_NE(NULL, other);
	memset(next, 0, sizeof(next));
	EXPECT_EQ(PARTITIONS, drain(other, next));
	evs_consumer_close(other);
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_EQ(0, evt_wait(pid));
}

TEST_F_TIMEOUT(groupconsumer, static_partitions, EVW_PATIENCE)
{
	static const uint32_t partitions[] = { 5, 2 };
	struct evs_consumer_options options = {
		.size = sizeof(options),
		.flags = EVS_CONSUMER_STATIC,
		.partitions = partitions,
		.nr_partitions = 2,
	};
	int64_t next[PARTITIONS] = { 0 }, other_next[PARTITIONS] = { 0 };
	struct evs_consumer *c, *other;
	int p;

	for (p = 0; p < PARTITIONS; p++)
		ASSERT_EQ(0, append(&self->topic, p, 0, 10));
	c = evs_consumer_open(self->topic.name, "group", &options);
	ASSERT_NE(NULL, c);
	other = open_consumer(&self->topic, 0, NULL, NULL);
	ASSERT_NE(NULL, other);
	EXPECT_EQ(20, drain(c, next));
	EXPECT_EQ(10 * (PARTITIONS - 2), drain(other, other_next));
	EXPECT_EQ(10, next[5]);
	EXPECT_EQ(10, next[2]);
	EXPECT_EQ(NULL, evs_consumer_open(self->topic.name, "group", &options));
	EXPECT_EQ(EBUSY, errno);
	/* What it had is for the others when it leaves. */
	EXPECT_EQ(0, evs_consumer_commit(c, 0));
	evs_consumer_close(c);
	ASSERT_EQ(0, append(&self->topic, 5, 10, 1));
	other_next[5] = 10;
	EXPECT_EQ(1, evs_consumer_wait(other, -1));
	EXPECT_EQ(1, drain(other, other_next));
	evs_consumer_close(other);
}

TEST_F_TIMEOUT(groupconsumer, begins_where_it_is_told, EVW_PATIENCE)
{
	struct evs_consumer_options options = {
		.size = sizeof(options),
		.start = EVSTREAM_SEEK_LATEST,
	};
	int64_t next[PARTITIONS] = { 10, 10, 10, 10, 10, 10, 10, 10 };
	struct evs_consumer *c;
	int p;

	for (p = 0; p < PARTITIONS; p++)
		ASSERT_EQ(0, append(&self->topic, p, 0, 10));
	c = evs_consumer_open(self->topic.name, "group", &options);
	ASSERT_NE(NULL, c);
	EXPECT_EQ(0, drain(c, next));
	ASSERT_EQ(0, append(&self->topic, 7, 10, 1));
	EXPECT_EQ(1, evs_consumer_wait(c, -1));
	EXPECT_EQ(1, drain(c, next));
	evs_consumer_close(c);
}

TEST_F(groupconsumer, refused)
{
	struct evs_consumer_options options = {
		.size = sizeof(options),
		.flags = EVS_CONSUMER_EXISTING,
	};

	errno = 0;
	EXPECT_EQ(NULL, evs_consumer_open(self->topic.name, "nobody's", &options));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(NULL, evs_consumer_open("no-such-topic", "group", NULL));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(NULL, evs_consumer_open(self->topic.name, "", NULL));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, evs_consumer_open(self->topic.name, "a/b", NULL));
	EXPECT_EQ(EINVAL, errno);
	options.flags = EVS_CONSUMER_STATIC;
	EXPECT_EQ(NULL, evs_consumer_open(self->topic.name, "group", &options));
	EXPECT_EQ(EINVAL, errno);
}

TEST_HARNESS_MAIN
