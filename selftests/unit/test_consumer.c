// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * libevstream's consumer, in a group that is played: all its partitions are one log
 * in a memfd.
 */
#include <poll.h>

#include "fakelog.h"

#define PARTITIONS	4
#define TURN		(64 << 10)

static struct {
	struct {
		bool owned;
		bool revoking;
		uint32_t epoch;
		uint32_t asked;
		int64_t position;
		int64_t committed;
	} slot[PARTITIONS];
	uint32_t generation;
	struct evstream_join join;
	char name[EVSTREAM_GROUP_NAME_MAX + 1];
	uint32_t static_partitions[PARTITIONS];
	bool joined;
	int assignments;
	int commits;
	int seeks;
	int polls;
	int poll_result;
	int poll_timeout;
	int fail_open;
	int fail_commit;
	bool keep;
} group;

/* What the callback was told, one letter and the partition each. */
static char told[200];
static int64_t told_offset;
static bool commit_when_revoked;

static uint8_t bytes[TURN];
static struct evs_builder *builder;

static void append(uint32_t len)
{
	struct evs_record rec = {
		.timestamp = 1700000000000LL,
		.key_len = -1,
		.value_len = (int32_t)len,
		.value = bytes,
	};
	const void *batch;
	size_t size;

	if (!builder)
		builder = evs_builder_new(NULL, 0);
	if (evs_builder_add(builder, &rec) || evs_builder_finish(builder, &batch, &size))
		abort();
	fake_append((void *)batch, size, 1, 0);
}

static void append_many(int n)
{
	while (n--)
		append(100);
}

static void give(uint32_t p)
{
	group.slot[p].owned = true;
	group.slot[p].revoking = false;
	group.slot[p].epoch = ++group.generation;
	group.slot[p].position = group.slot[p].committed;
}

static void ask(uint32_t p)
{
	group.slot[p].revoking = true;
	group.slot[p].asked = ++group.generation;
}

static void take(uint32_t p)
{
	group.slot[p].owned = false;
	group.slot[p].revoking = false;
	++group.generation;
}

/* Nobody waits for it any more. */
static void keep(uint32_t p)
{
	group.slot[p].revoking = false;
	++group.generation;
}

static int play_join(struct evstream_join *j)
{
	if (group.joined)
		return -EBUSY;
	group.join = *j;
	memcpy(group.name, (void *)(uintptr_t)j->name, j->name_len);
	group.name[j->name_len] = 0;
	if (j->nr_partitions)
		memcpy(group.static_partitions, (void *)(uintptr_t)j->partitions,
		       j->nr_partitions * sizeof(uint32_t));
	group.joined = true;
	return 0;
}

static int play_assignment(struct evstream_assignment *a)
{
	struct evstream_assigned *to = (void *)(uintptr_t)a->assigned;
	uint32_t i;
	int p;

	group.assignments++;
	if (!group.joined)
		return -ESTALE;
	for (i = 0; i < PARTITIONS; i++)
		if (group.slot[i].owned && group.slot[i].revoking && a->ack >= group.slot[i].asked)
			group.keep ? keep(i) : take(i);
	a->nr = 0;
	/* In no order that one could rely on. */
	for (p = PARTITIONS - 1; p >= 0; p--) {
		if (!group.slot[p].owned)
			continue;
		if (a->nr < a->room)
			to[a->nr] = (struct evstream_assigned){
				.partition = (uint32_t)p,
				.generation = group.slot[p].epoch,
				.offset = group.slot[p].position,
				.flags = group.slot[p].revoking ? EVSTREAM_ASSIGNED_REVOKING : 0,
			};
		a->nr++;
	}
	a->generation = group.generation;
	return 0;
}

static int play_commit(struct evstream_commit *c)
{
	struct evstream_commit_entry *e = (void *)(uintptr_t)c->entries;
	int ret = 0;
	uint32_t i;

	group.commits++;
	if (group.fail_commit)
		return group.fail_commit;
	for (i = 0; i < c->nr_entries; i++, e++) {
		CHECK(e->partition < PARTITIONS && e->generation && !e->reserved);
		e->error = 0;
		if (!group.slot[e->partition].owned ||
		    group.slot[e->partition].epoch != e->generation)
			e->error = -ESTALE;
		else
			group.slot[e->partition].committed = e->offset;
		if (!ret)
			ret = e->error;
	}
	return ret;
}

static int play_ioctl(int fd, unsigned long request, void *arg)
{
	struct evstream_seek *seek = arg;

	(void)fd;
	switch (request) {
	case EVSTREAM_IOC_JOIN:
		return play_join(arg);
	case EVSTREAM_IOC_LEAVE:
		group.joined = false;
		return 0;
	case EVSTREAM_IOC_ASSIGNMENT:
		return play_assignment(arg);
	case EVSTREAM_IOC_COMMIT:
		return play_commit(arg);
	case EVSTREAM_IOC_SEEK:
		group.seeks++;
		CHECK_EQ(seek->whence, EVSTREAM_SEEK_OFFSET);
		if (!group.slot[seek->partition].owned || group.slot[seek->partition].revoking)
			return -ESTALE;
		group.slot[seek->partition].position = seek->value;
		return 0;
	}
	return -ENOTTY;
}

static int play_open(const char *path)
{
	int want = 0, end = 0;

	if (!strcmp(path, "/dev/stream/topic/any"))
		return dup(fake.fd);
	if (sscanf(path, "/dev/stream/topic/%d%n", &want, &end) != 1 || path[end] ||
	    want >= PARTITIONS)
		return -ENOENT;
	return group.fail_open ? group.fail_open : dup(fake.fd);
}

static int play_poll(int fd, int timeout_ms)
{
	(void)fd;
	group.polls++;
	group.poll_timeout = timeout_ms;
	return group.poll_result;
}

static struct evs_reader *play_reader(int fd)
{
	return evs_reader_attach(fd, 0, fake_seek, 0);
}

static const struct evs_consumer_ops play = {
	.open = play_open,
	.ioctl = play_ioctl,
	.poll = play_poll,
	.reader = play_reader,
};

static void on_event(struct evs_consumer *c, enum evs_consumer_event event, uint32_t partition,
		     int64_t offset, void *data)
{
	size_t at = strlen(told);

	CHECK(data == told);
	told_offset = offset;
	snprintf(told + at, sizeof(told) - at, "%c%u ", "ARL"[event], partition);
	if (event == EVS_CONSUMER_REVOKED && commit_when_revoked)
		CHECK_EQ(evs_consumer_commit(c, 0), 0);
}

/* What was told since it was asked last. */
static bool was_told(const char *want)
{
	bool same = !strcmp(told, want);

	if (!same)
		printf("# told \"%s\", not \"%s\"\n", told, want);
	told[0] = 0;
	return same;
}

static struct evs_consumer *setup(uint32_t flags, uint32_t owned)
{
	struct evs_consumer_options options = {
		.size = sizeof(options),
		.flags = flags,
		.on_event = on_event,
		.data = told,
	};
	struct evs_consumer *c;
	uint32_t p;

	memset(&group, 0, sizeof(group));
	told[0] = 0;
	commit_when_revoked = false;
	fake_new(0, 0);
	c = evs_consumer_attach("topic", "group", &options, &play);
	if (!c)
		abort();
	for (p = 0; p < owned; p++)
		give(p);
	return c;
}

/* Reads all there is: how many records of each partition. */
static void drain(struct evs_consumer *c, int64_t seen[PARTITIONS])
{
	struct evs_record rec;
	uint32_t p = 99;

	while (evs_consumer_next(c, &rec, &p) == 1) {
		if (!CHECK(p < PARTITIONS))
			return;
		CHECK(evs_consumer_valid(c));
		CHECK_EQ(rec.offset, seen[p]);
		seen[p] = rec.offset + 1;
	}
}

static void reads_what_it_owns(void)
{
	struct evs_consumer *c = setup(0, 3);
	int64_t seen[PARTITIONS] = { 0 };

	append_many(10);
	drain(c, seen);
	CHECK(seen[0] == 10 && seen[1] == 10 && seen[2] == 10 && seen[3] == 0);
	CHECK(was_told("A0 A1 A2 "));
	append_many(5);
	drain(c, seen);
	CHECK(seen[0] == 15 && seen[1] == 15 && seen[2] == 15 && seen[3] == 0);
	CHECK_EQ(group.commits, 0);
	evs_consumer_close(c);
	CHECK_EQ(group.commits, 0);
	CHECK(!group.joined);
}

static void begins_at_the_committed_offset(void)
{
	struct evs_consumer *c = setup(0, 1);
	int64_t seen[PARTITIONS] = { 7 };

	group.slot[0].committed = 7;
	give(0);
	append_many(10);
	drain(c, seen);
	CHECK_EQ(seen[0], 10);
	CHECK_EQ(told_offset, 7);
	evs_consumer_close(c);
}

static void commits_what_was_handed_out(void)
{
	struct evs_consumer *c = setup(0, 2);
	int64_t seen[PARTITIONS] = { 0 };
	struct evs_record rec;
	uint32_t p, q;

	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	CHECK_EQ(group.commits, 0);
	append_many(3);
	CHECK_EQ(evs_consumer_next(c, &rec, &p), 1);
	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	CHECK_EQ(group.slot[p].committed, 1);
	CHECK_EQ(group.slot[!p].committed, 0);
	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	CHECK_EQ(group.commits, 1);
	/* The record stays what it was. */
	CHECK(evs_consumer_valid(c) && rec.value_len == 100);
	CHECK_EQ(evs_consumer_next(c, &rec, &q), 1);
	seen[p]++;
	seen[q]++;
	drain(c, seen);
	CHECK_EQ(evs_consumer_commit(c, EVSTREAM_COMMIT_SYNC), 0);
	CHECK_EQ(group.commits, 2);
	CHECK(group.slot[0].committed == 3 && group.slot[1].committed == 3);
	evs_consumer_close(c);
}

static void a_commit_that_fails_is_made_again(void)
{
	struct evs_consumer *c = setup(0, 2);
	int64_t seen[PARTITIONS] = { 0 };

	append_many(3);
	drain(c, seen);
	group.fail_commit = -EIO;
	CHECK_EQ(evs_consumer_commit(c, 0), -EIO);
	group.fail_commit = 0;
	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	CHECK(group.slot[0].committed == 3 && group.slot[1].committed == 3);
	evs_consumer_close(c);
}

static void gives_up_what_is_asked_for(void)
{
	struct evs_consumer *c = setup(0, 2);
	int64_t seen[PARTITIONS] = { 0 };

	append_many(3);
	drain(c, seen);
	CHECK(was_told("A0 A1 "));
	commit_when_revoked = true;
	ask(1);
	CHECK_EQ(evs_consumer_arm(c), 0);
	CHECK(was_told("R1 "));
	CHECK(!group.slot[1].owned);
	CHECK_EQ(group.slot[1].committed, 3);
	append_many(3);
	drain(c, seen);
	CHECK(seen[0] == 6 && seen[1] == 3);
	/* It comes back, to where somebody else has brought it. */
	group.slot[1].committed = 5;
	give(1);
	seen[1] = 5;
	CHECK_EQ(evs_consumer_arm(c), 1);
	drain(c, seen);
	CHECK(was_told("A1 "));
	CHECK_EQ(seen[1], 6);
	evs_consumer_close(c);
}

/* Without a commit in the callback nothing is committed. */
static void at_least_once(void)
{
	struct evs_consumer *c = setup(0, 2);
	int64_t seen[PARTITIONS] = { 0 };

	append_many(3);
	drain(c, seen);
	ask(0);
	CHECK_EQ(evs_consumer_arm(c), 0);
	CHECK(was_told("A0 A1 R0 "));
	CHECK_EQ(group.slot[0].committed, 0);
	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	CHECK_EQ(group.slot[0].committed, 0);
	CHECK_EQ(group.slot[1].committed, 3);
	evs_consumer_close(c);
}

static void commits_by_itself(void)
{
	struct evs_consumer *c = setup(EVS_CONSUMER_AUTO_COMMIT, 2);
	int64_t seen[PARTITIONS] = { 0 };

	append_many(3);
	drain(c, seen);
	ask(0);
	CHECK_EQ(evs_consumer_arm(c), 0);
	CHECK(was_told("A0 A1 R0 "));
	CHECK(!group.slot[0].owned);
	CHECK(group.slot[0].committed == 3 && group.slot[1].committed == 3);
	append_many(3);
	drain(c, seen);
	evs_consumer_close(c);
	CHECK_EQ(group.slot[1].committed, 6);
}

static void lost_by_force(void)
{
	struct evs_consumer *c = setup(0, 2);
	int64_t seen[PARTITIONS] = { 0 };

	append_many(3);
	drain(c, seen);
	take(0);
	CHECK_EQ(evs_consumer_commit(c, 0), -ESTALE);
	CHECK_EQ(group.slot[0].committed, 0);
	CHECK_EQ(group.slot[1].committed, 3);
	drain(c, seen);
	CHECK(was_told("A0 A1 L0 "));
	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	/* Away and back between two looks: from the committed offset again. */
	take(1);
	group.slot[1].committed = 2;
	give(1);
	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	seen[1] = 2;
	CHECK_EQ(evs_consumer_arm(c), 1);
	CHECK(was_told("L1 A1 "));
	drain(c, seen);
	CHECK_EQ(seen[1], 3);
	evs_consumer_close(c);
}

/* Given and asked for before it was seen: nobody need know. */
static void asked_for_before_it_was_opened(void)
{
	struct evs_consumer *c = setup(0, 1);
	int64_t seen[PARTITIONS] = { 0 };

	append_many(1);
	give(2);
	ask(2);
	drain(c, seen);
	CHECK(was_told("A0 "));
	CHECK(!group.slot[2].owned);
	CHECK_EQ(seen[2], 0);
	evs_consumer_close(c);
}

static void kept_after_all(void)
{
	struct evs_consumer *c = setup(0, 1);
	int64_t seen[PARTITIONS] = { 0 };

	append_many(2);
	drain(c, seen);
	ask(0);
	group.keep = true;
	CHECK_EQ(evs_consumer_arm(c), 0);
	CHECK(was_told("A0 R0 A0 "));
	append_many(2);
	drain(c, seen);
	CHECK_EQ(seen[0], 4);
	evs_consumer_close(c);
}

static void looks_often_enough(void)
{
	struct evs_consumer *c = setup(0, 1);
	struct evs_record rec;
	uint32_t p;
	int i;

	append_many(2 * TURN / 100);
	CHECK_EQ(evs_consumer_next(c, &rec, &p), 1);
	ask(0);
	for (i = 0; i < 2 * TURN / 100 && group.slot[0].owned; i++)
		evs_consumer_next(c, &rec, &p);
	CHECK(!group.slot[0].owned);
	CHECK(i <= TURN / 100);
	CHECK_EQ(evs_consumer_next(c, &rec, &p), 0);

	/* One that takes its time with little. */
	give(0);
	CHECK_EQ(evs_consumer_arm(c), 1);
	CHECK_EQ(evs_consumer_next(c, &rec, &p), 1);
	ask(0);
	usleep(100000);
	CHECK_EQ(evs_consumer_next(c, &rec, &p), 0);
	CHECK(!group.slot[0].owned);
	evs_consumer_close(c);
}

static void takes_turns(void)
{
	struct evs_consumer *c = setup(0, 3);
	int64_t seen[PARTITIONS] = { 0 };
	uint32_t p, last = 99;
	int turns = 0, i;
	struct evs_record rec;

	append_many(6 * TURN / 100);
	for (i = 0; i < 6 * TURN / 100; i++) {
		if (!CHECK_EQ(evs_consumer_next(c, &rec, &p), 1))
			break;
		seen[p]++;
		turns += p != last;
		last = p;
	}
	CHECK(turns >= 6);
	CHECK(seen[0] && seen[1] && seen[2]);
	evs_consumer_close(c);
}

static void tells_the_kernel_before_it_sleeps(void)
{
	struct evs_consumer *c = setup(0, 2);
	int64_t seen[PARTITIONS] = { 0 };

	CHECK_EQ(evs_consumer_arm(c), 0);
	CHECK_EQ(group.seeks, 0);
	append_many(3);
	CHECK_EQ(evs_consumer_arm(c), 1);
	drain(c, seen);
	CHECK_EQ(evs_consumer_arm(c), 0);
	CHECK_EQ(group.seeks, 2);
	CHECK(group.slot[0].position == 3 && group.slot[1].position == 3);
	CHECK_EQ(evs_consumer_arm(c), 0);
	CHECK_EQ(group.seeks, 2);
	evs_consumer_close(c);
}

static void waits(void)
{
	struct evs_consumer *c = setup(0, 1);
	struct evs_record rec;
	uint32_t p;

	CHECK_EQ(evs_consumer_wait(c, 0), 0);
	CHECK_EQ(group.polls, 1);
	group.poll_result = POLLIN;
	CHECK_EQ(evs_consumer_wait(c, -1), 1);
	CHECK_EQ(group.poll_timeout, -1);
	group.poll_result = -EINTR;
	CHECK_EQ(evs_consumer_wait(c, 5), -EINTR);
	CHECK(group.poll_timeout <= 5);
	/* It is looked at what POLLPRI is about. */
	group.poll_result = POLLPRI;
	CHECK_EQ(evs_consumer_wait(c, -1), 1);
	append_many(1);
	take(0);
	CHECK_EQ(evs_consumer_next(c, &rec, &p), 0);
	CHECK(was_told("A0 L0 "));
	evs_consumer_close(c);
}

static void shows_that_it_lives(void)
{
	struct evs_consumer_options options = { .size = sizeof(options), .max_poll_ms = 40 };
	struct evs_consumer *c;
	int before;

	evs_consumer_close(setup(0, 0));
	c = evs_consumer_attach("topic", "group", &options, &play);
	CHECK_EQ(group.join.max_poll_ms, 40);
	before = group.assignments;
	/* This poll() does not sleep. */
	CHECK_EQ(evs_consumer_wait(c, 30), 0);
	CHECK_EQ(group.poll_timeout <= 20, 1);
	CHECK(group.assignments - before >= 2);
	evs_consumer_close(c);
}

static void overrun(void)
{
	struct evs_consumer *c = setup(0, 1);
	int64_t from = -1, to = -1;
	struct evs_record rec;
	uint32_t p = 99;

	append_many(3);
	CHECK_EQ(evs_consumer_next(c, &rec, &p), 1);
	append_many(10);
	fake_drop_before(fake.batches[8].position);
	CHECK(!evs_consumer_valid(c));
	p = 99;
	CHECK_EQ(evs_consumer_next(c, &rec, &p), -EPIPE);
	CHECK_EQ(p, 0);
	CHECK_EQ(evs_consumer_lost(c, &from, &to), 7);
	CHECK(from == 1 && to == 8);
	CHECK_EQ(evs_consumer_next(c, &rec, &p), 1);
	CHECK_EQ(rec.offset, 8);
	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	CHECK_EQ(group.slot[0].committed, 9);
	evs_consumer_close(c);
}

static void a_partition_that_cannot_be_opened(void)
{
	struct evs_consumer *c = setup(0, 2);
	int64_t seen[PARTITIONS] = { 0 };
	struct evs_record rec;

	append_many(2);
	group.fail_open = -EMFILE;
	CHECK_EQ(evs_consumer_next(c, &rec, NULL), -EMFILE);
	CHECK_EQ(evs_consumer_next(c, &rec, NULL), -EMFILE);
	CHECK_EQ(evs_consumer_arm(c), -EMFILE);
	group.fail_open = 0;
	drain(c, seen);
	CHECK(seen[0] == 2 && seen[1] == 2);
	CHECK(was_told("A0 A1 "));
	evs_consumer_close(c);
}

static void deleted(void)
{
	struct evs_consumer *c = setup(0, 1);
	struct evs_record rec;

	append_many(1);
	CHECK_EQ(evs_consumer_next(c, &rec, NULL), 1);
	fake.ctl->flags = EVSTREAM_CTL_DEAD;
	CHECK(!evs_consumer_valid(c));
	CHECK_EQ(evs_consumer_next(c, &rec, NULL), -ENODEV);
	CHECK_EQ(evs_consumer_wait(c, -1), -ENODEV);
	evs_consumer_close(c);
}

static void options_of_joining(void)
{
	static const uint32_t partitions[] = { 3, 1 };
	struct evs_consumer_options options = {
		.size = sizeof(options),
		.flags = EVS_CONSUMER_STATIC | EVS_CONSUMER_EXISTING,
		.start = EVSTREAM_SEEK_TIMESTAMP,
		.value = 12345,
		.rebalance_ms = 77,
		.partitions = partitions,
		.nr_partitions = 2,
	};
	struct evs_consumer *c;
	char longest[EVSTREAM_NAME_MAX + 2];

	evs_consumer_close(setup(0, 0));
	CHECK(!strcmp(group.name, "group"));
	CHECK_EQ(group.join.flags, EVSTREAM_JOIN_ACK);
	CHECK_EQ(group.join.start, EVSTREAM_SEEK_EARLIEST);
	CHECK_EQ(group.join.dead_letter, -1);
	c = evs_consumer_attach("topic", "other", &options, &play);
	CHECK(c && !strcmp(group.name, "other"));
	CHECK_EQ(group.join.flags, EVSTREAM_JOIN_ACK | EVSTREAM_JOIN_STATIC |
		 EVSTREAM_JOIN_EXISTING);
	CHECK_EQ(group.join.start, EVSTREAM_SEEK_TIMESTAMP);
	CHECK_EQ(group.join.value, 12345);
	CHECK_EQ(group.join.rebalance_ms, 77);
	CHECK(group.static_partitions[0] == 3 && group.static_partitions[1] == 1);
	/* That a name is taken is what JOIN says. */
	CHECK(!evs_consumer_attach("topic", "other", &options, &play) && errno == EBUSY);
	evs_consumer_close(c);
	evs_consumer_close(NULL);

	memset(longest, 'x', sizeof(longest));
	longest[EVSTREAM_NAME_MAX + 1] = 0;
	CHECK(!evs_consumer_attach(longest, "group", NULL, &play) && errno == EINVAL);
	longest[EVSTREAM_NAME_MAX] = 0;
	CHECK(!evs_consumer_attach(longest, "group", NULL, &play) && errno == ENOENT);
	CHECK(!evs_consumer_attach("", "group", NULL, &play) && errno == EINVAL);
	CHECK(!evs_consumer_attach("a/b", "group", NULL, &play) && errno == EINVAL);
	options.flags = 0x80;
	CHECK(!evs_consumer_attach("topic", "group", &options, &play) && errno == EINVAL);
	options.flags = 0;
	options.size--;
	CHECK(!evs_consumer_attach("topic", "group", &options, &play) && errno == EINVAL);
	CHECK(!group.joined);
}

/* Partitions come and go at random: order, and that none is left out, are kept. */
static void random_assignments(void)
{
	struct evs_consumer *c = setup(0, 0);
	int64_t seen[PARTITIONS] = { 0 };
	struct evs_record rec;
	uint32_t p = 0, n;
	int i;

	commit_when_revoked = true;
	for (i = 0; i < 20000; i++) {
		n = tap_below(PARTITIONS);
		switch (tap_below(12)) {
		case 0:
			if (!group.slot[n].owned)
				give(n);
			break;
		case 1:
			if (group.slot[n].owned && !group.slot[n].revoking)
				ask(n);
			break;
		case 2:
			if (group.slot[n].owned && !tap_below(5))
				take(n);
			break;
		case 3:
			if (fake.n < 10000)
				append(10 + tap_below(100));
			break;
		case 4:
			evs_consumer_arm(c);
			break;
		case 5:
			evs_consumer_commit(c, 0);
			break;
		default:
			if (evs_consumer_next(c, &rec, &p) != 1)
				break;
			/* Of what was committed nothing comes again, and nothing is skipped. */
			CHECK(rec.offset <= seen[p]);
			if (rec.offset == seen[p])
				seen[p]++;
		}
		for (n = 0; n < PARTITIONS; n++)
			CHECK(group.slot[n].committed <= seen[n]);
	}
	for (n = 0; n < PARTITIONS; n++)
		if (!group.slot[n].owned || group.slot[n].revoking)
			give(n);
	CHECK(evs_consumer_arm(c) >= 0);
	while (evs_consumer_next(c, &rec, &p) == 1)
		seen[p] = rec.offset + 1;
	CHECK_EQ(evs_consumer_commit(c, 0), 0);
	for (n = 0; n < PARTITIONS; n++) {
		CHECK_EQ(seen[n], fake.next_offset);
		CHECK_EQ(group.slot[n].committed, fake.next_offset);
	}
	told[0] = 0;
	evs_consumer_close(c);
}

static const struct tap_test tests[] = {
	TAP_TEST(reads_what_it_owns),
	TAP_TEST(begins_at_the_committed_offset),
	TAP_TEST(commits_what_was_handed_out),
	TAP_TEST(a_commit_that_fails_is_made_again),
	TAP_TEST(gives_up_what_is_asked_for),
	TAP_TEST(at_least_once),
	TAP_TEST(commits_by_itself),
	TAP_TEST(lost_by_force),
	TAP_TEST(asked_for_before_it_was_opened),
	TAP_TEST(kept_after_all),
	TAP_TEST(looks_often_enough),
	TAP_TEST(takes_turns),
	TAP_TEST(tells_the_kernel_before_it_sleeps),
	TAP_TEST(waits),
	TAP_TEST(shows_that_it_lives),
	TAP_TEST(overrun),
	TAP_TEST(a_partition_that_cannot_be_opened),
	TAP_TEST(deleted),
	TAP_TEST(options_of_joining),
	TAP_TEST(random_assignments),
};

int main(void)
{
	return TAP_MAIN(tests);
}
