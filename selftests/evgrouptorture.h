/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Members of a group that are killed, stopped, leave, join and seek at random,
 * while producers write. What must be true of a group is checked from outside: the
 * logs that producers and members kept of what they were told are all that the
 * checker knows.
 */
#ifndef EVGROUPTORTURE_H
#define EVGROUPTORTURE_H

#include "evtorture.h"

#define GT_PARTITIONS	64
#define GT_PRODUCERS	3
#define LIVE_MIN	3
#define LIVE_MAX	30
#define LIVES		2500		/* members in all */
#define ENTRIES		(1 << 15)	/* of a member's log */
#define PRODUCED	(1 << 19)	/* of a producer's */
#define PER_PARTITION	20000		/* the ring has room for these */
#define BLOCK		4		/* records that go to one partition */
#define FORWARD		2		/* records that a seek passes over at the most */
#define GT_ROOM		65536

/* What a member has seen last while all was calm. */
struct gt_sight {
	atomic_uint version;		/* odd: being written */
	uint32_t round;
	uint32_t generation;
	uint32_t members;
	uint64_t owned;
	uint64_t asked;
};

struct gt_life {
	bool is_auto;
	struct gt_sight sight;
	char why[120];
};

struct gt {
	struct evt_topic topic;
	uint64_t seed;
	bool block;			/* the topic's producers wait for commits */
	atomic_int stop;		/* producers */
	atomic_int over;		/* members */
	atomic_uint round;		/* odd: be calm */
	struct gt_life life[LIVES];
	uint32_t lives;
	char *logs;
	struct tt_log *sent[GT_PRODUCERS];
};

static struct tt_log *log_of(struct gt *t, uint32_t life)
{
	return (struct tt_log *)(t->logs + life * TT_LOG_SIZE(ENTRIES));
}

static void put(struct tt_log *log, enum tt_kind kind, uint32_t partition, uint32_t generation,
		int64_t offset, uint32_t producer, uint32_t seq)
{
	tt_put(log, (struct tt_entry){
		.kind = kind, .partition = partition, .generation = generation,
		.offset = offset, .producer = producer, .seq = seq,
	});
}

static uint32_t gt_where(uint32_t producer, uint32_t seq)
{
	uint64_t s = (uint64_t)producer << 32 | seq / BLOCK;

	evw_random(&s);
	return evw_random(&s) % GT_PARTITIONS;
}

/* ------------------------------------------------------------------ producers */

static const char *gt_produce(void *arg, int index, struct evw_worker *w)
{
	struct gt *t = arg;
	struct tt_log *log = t->sent[index];
	uint64_t rnd = tt_seed(t->seed, 50000 + index);
	uint32_t count[GT_PARTITIONS] = {}, seq = 0;
	char *buf = malloc(BLOCK * 4096);
	int fd[GT_PARTITIONS], p;

	for (p = 0; p < GT_PARTITIONS; p++) {
		fd[p] = evt_open(&t->topic, p, O_WRONLY);
		if (fd[p] < 0)
			return evw_why(w, "open: %s", strerror(errno));
	}
	while (!atomic_load(&t->stop) && seq + BLOCK <= PRODUCED) {
		struct evstream_record rec[BLOCK] = {};
		struct evstream_append a = { .records = (uintptr_t)rec,
					     .record_size = sizeof(rec[0]) };
		uint32_t left = BLOCK - seq % BLOCK, i;

		p = gt_where(index, seq);
		a.nr_records = 1 + evw_random(&rnd) % left;
		if (count[p] > PER_PARTITION / GT_PRODUCERS) {
			usleep(10000);
			continue;
		}
		for (i = 0; i < a.nr_records; i++) {
			uint32_t len = EVW_MIN + evw_random(&rnd) % (t->block ? 4000 : 30);

			evw_make(buf + i * 4096, len, index, seq + i);
			rec[i].value = (uintptr_t)buf + i * 4096;
			rec[i].value_len = len;
			rec[i].key_len = -1;
			rec[i].timestamp = -1;
		}
		if (ioctl(fd[p], EVSTREAM_IOC_APPEND, &a) || a.appended != a.nr_records)
			return evw_why(w, "APPEND: %s, %u of %u", strerror(errno), a.appended,
				       a.nr_records);
		for (i = 0; i < a.nr_records; i++)
			put(log, SENT, p, 0, rec[i].offset, index, seq + i);
		seq += a.nr_records;
		count[p] += a.nr_records;
		if (evw_random(&rnd) % 4 == 0)
			usleep(evw_random(&rnd) % 4000);
	}
	return NULL;
}

/* -------------------------------------------------------------------- members */

struct gt_member {
	struct gt *t;
	struct gt_life *life;
	struct tt_log *log;
	uint64_t rnd;
	int fd;
	bool is_auto;
	char *buf;
	uint32_t generation;
	uint32_t members;
	uint64_t asked;
	uint32_t gen[GT_PARTITIONS];	/* 0: not owned */
	int64_t pos[GT_PARTITIONS];
	uint32_t told[GT_PARTITIONS];	/* that the log has */
	int64_t least[GT_PARTITIONS];	/* what can still be asked for where producers wait */
};

static void __printf(2, 3) gt_fail(struct gt_member *m, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(m->life->why, sizeof(m->life->why), fmt, args);
	va_end(args);
	_exit(1);
}

static uint32_t gt_chance(struct gt_member *m, uint32_t n)
{
	return evw_random(&m->rnd) % n;
}

static void gt_ask(struct gt_member *m, uint32_t ack)
{
	struct evstream_assigned got[GT_PARTITIONS];
	struct evstream_assignment a = { .assigned = (uintptr_t)got, .room = GT_PARTITIONS,
					 .entry_size = sizeof(got[0]), .ack = ack };
	uint32_t i;

	if (ioctl(m->fd, EVSTREAM_IOC_ASSIGNMENT, &a))
		gt_fail(m, "ASSIGNMENT: %s", strerror(errno));
	memset(m->gen, 0, sizeof(m->gen));
	m->generation = a.generation;
	m->members = a.members;
	m->asked = 0;
	if (a.nr > GT_PARTITIONS)
		gt_fail(m, "%u partitions", a.nr);
	for (i = 0; i < a.nr; i++) {
		uint32_t p = got[i].partition;

		if (p >= GT_PARTITIONS || m->gen[p] || !got[i].generation)
			gt_fail(m, "partition %u, generation %u", p, got[i].generation);
		m->gen[p] = got[i].generation;
		m->pos[p] = got[i].offset;
		if (got[i].flags & EVSTREAM_ASSIGNED_REVOKING)
			m->asked |= 1ULL << p;
	}
}

static void gt_tell_new(struct gt_member *m)
{
	int p;

	for (p = 0; p < GT_PARTITIONS; p++) {
		if (!m->gen[p] || m->gen[p] == m->told[p])
			continue;
		m->told[p] = m->gen[p];
		m->least[p] = m->pos[p];
		put(m->log, OWN, p, m->gen[p], m->pos[p], 0, 0);
	}
}

static void gt_look(struct gt_member *m, uint32_t ack)
{
	gt_ask(m, ack);
	gt_tell_new(m);
}

static void gt_join(struct gt_member *m)
{
	static const char name[] = "torture";
	struct evstream_join j = {
		.name = (uintptr_t)name, .name_len = strlen(name), .dead_letter = -1,
		.start = EVSTREAM_SEEK_EARLIEST,
		.rebalance_ms = 1 + gt_chance(m, 200),
		.max_poll_ms = gt_chance(m, 4) ? 0 : 50 + gt_chance(m, 300),
	};

	if (m->is_auto)
		j.flags |= EVSTREAM_JOIN_AUTO;
	else if (!gt_chance(m, 6))
		j.flags |= EVSTREAM_JOIN_ACK;
	if (ioctl(m->fd, EVSTREAM_IOC_JOIN, &j))
		gt_fail(m, "JOIN: %s", strerror(errno));
	gt_look(m, 0);
}

static uint64_t gt_take(struct gt_member *m, const void *value, long len, const uint32_t *before,
			int64_t offset)
{
	struct evw_head h;
	uint32_t p;

	if (len < 0 || !evw_check(value, len, &h) || h.producer >= GT_PRODUCERS)
		gt_fail(m, "bytes that nobody wrote");
	p = gt_where(h.producer, h.seq);
	put(m->log, READ, p, before[p], offset, h.producer, h.seq);
	return 1ULL << p;
}

static void gt_read_some(struct gt_member *m)
{
	uint32_t before[GT_PARTITIONS], n = m->is_auto ? 1 : 1 + gt_chance(m, 8);
	uint64_t touched = 0;
	uint32_t p;

	gt_look(m, 0);
	memcpy(before, m->gen, sizeof(before));
	put(m->log, BEGIN, 0, 0, 0, 0, 0);
	while (n--) {
		long long ret = EVT(read(m->fd, m->buf, GT_ROOM));

		if (ret == -EAGAIN)
			break;
		if (ret < 0)
			gt_fail(m, "read: %s", strerror(-ret));
		touched |= gt_take(m, m->buf, ret, before, -1);
	}
	gt_ask(m, 0);
	for (p = 0; p < GT_PARTITIONS; p++)
		if (touched >> p & 1)
			put(m->log, TOUCH, p, m->gen[p], 0, 0, 0);
	put(m->log, END, 0, 0, 0, 0, 0);
	gt_tell_new(m);
	if (!touched && !atomic_load(&m->t->over)) {
		short also = gt_chance(m, 2) ? POLLPRI : 0;
		struct pollfd f = { .fd = m->fd, .events = POLLIN | also };

		poll(&f, 1, 1 + gt_chance(m, 15));
	}
}

/* One that it owns and is not asked for, or -1. */
static int gt_any_owned(struct gt_member *m)
{
	uint32_t at = gt_chance(m, GT_PARTITIONS), i;

	for (i = 0; i < GT_PARTITIONS; i++, at = (at + 1) % GT_PARTITIONS)
		if (m->gen[at] && !(m->asked >> at & 1))
			return at;
	return -1;
}

static void gt_fetch_some(struct gt_member *m)
{
	struct evstream_fetch a = { .buf = (uintptr_t)m->buf, .len = GT_ROOM, .offset = -1 };
	uint32_t before[GT_PARTITIONS];
	struct evs_batch_iter it;
	struct evs_record rec;
	long long ret;
	int more, p;

	gt_look(m, 0);
	p = gt_any_owned(m);
	if (p < 0)
		return;
	a.partition = p;
	memcpy(before, m->gen, sizeof(before));
	put(m->log, BEGIN, 0, 0, 0, 0, 0);
	ret = EVT(ioctl(m->fd, EVSTREAM_IOC_FETCH, &a));
	if (ret && ret != -ESTALE && ret != -EAGAIN)
		gt_fail(m, "FETCH: %s", strerror(-ret));
	if (!ret) {
		evs_batch_iter_init(&it, m->buf, a.bytes, EVS_ITER_CRC);
		while ((more = evs_batch_iter_next(&it, &rec)) == 1)
			if (rec.offset >= m->pos[p])
				gt_take(m, rec.value, rec.value_len, before, rec.offset);
		if (more || evs_batch_iter_rest(&it))
			gt_fail(m, "FETCH: not whole batches");
	}
	gt_ask(m, 0);
	put(m->log, TOUCH, p, m->gen[p], 0, 0, 0);
	put(m->log, END, 0, 0, 0, 0, 0);
	gt_tell_new(m);
}

/* All, or some, or a bit less than all. */
static void gt_commit(struct gt_member *m, bool all)
{
	struct evstream_commit_entry e[GT_PARTITIONS] = {};
	struct evstream_commit c = { .entries = (uintptr_t)e, .entry_size = sizeof(e[0]) };
	uint32_t i, done = 0;
	int p;

	/* Else what it thought to own when it has waited last. */
	if (gt_chance(m, 2))
		gt_look(m, 0);
	for (p = 0; p < GT_PARTITIONS; p++) {
		struct evstream_commit_entry *at = &e[c.nr_entries];

		if (!m->gen[p] || (!all && gt_chance(m, 3)))
			continue;
		at->partition = p;
		at->generation = m->gen[p];
		at->offset = m->pos[p];
		if (!all && !m->is_auto && !gt_chance(m, 6)) {
			at->offset -= gt_chance(m, 10);
			if (at->offset < (m->t->block ? m->least[p] : 0))
				at->offset = m->pos[p];
		}
		c.nr_entries++;
		put(m->log, TRY, p, at->generation, at->offset, 0, 0);
	}
	if (!c.nr_entries)
		return;
	if (ioctl(m->fd, EVSTREAM_IOC_COMMIT, &c) && errno != ESTALE)
		gt_fail(m, "COMMIT: %s", strerror(errno));
	for (i = 0; i < c.nr_entries; i++) {
		if (e[i].error && e[i].error != -ESTALE)
			gt_fail(m, "COMMIT of %lld: %s", (long long)e[i].offset,
				strerror(-e[i].error));
		put(m->log, e[i].error ? STALE : DONE, e[i].partition, e[i].generation,
		    e[i].offset, 0, 0);
		done += !e[i].error;
		if (!e[i].error && e[i].offset > m->least[e[i].partition])
			m->least[e[i].partition] = e[i].offset;
	}
	if (done != c.committed)
		gt_fail(m, "%u committed, not %u", c.committed, done);
}

static void gt_seek(struct gt_member *m)
{
	struct evstream_seek s = { .whence = EVSTREAM_SEEK_OFFSET };
	struct evstream_position pos = {};
	uint32_t before;
	long long ret;
	int p;

	gt_look(m, 0);
	p = gt_any_owned(m);
	/* What is committed on read may be gone. */
	if (p < 0 || (m->is_auto && m->t->block))
		return;
	s.partition = p;
	s.value = m->pos[p] - gt_chance(m, 20);
	if (!gt_chance(m, 4))
		s.value = m->pos[p] + gt_chance(m, FORWARD + 1);
	pos.partition = p;
	if (ioctl(m->fd, EVSTREAM_IOC_POSITION, &pos))
		gt_fail(m, "POSITION: %s", strerror(errno));
	if (s.value > pos.end_offset || s.value < (m->t->block ? m->least[p] : 0))
		return;
	before = m->gen[p];
	ret = EVT(ioctl(m->fd, EVSTREAM_IOC_SEEK, &s));
	if (ret == -ESTALE)
		return;
	if (ret)
		gt_fail(m, "SEEK: %s", strerror(-ret));
	gt_ask(m, 0);
	put(m->log, SEEK, p, m->gen[p], s.value, 0, before);
	gt_tell_new(m);
}

static void gt_leave(struct gt_member *m, bool anew)
{
	if (!anew && ioctl(m->fd, EVSTREAM_IOC_LEAVE))
		gt_fail(m, "LEAVE: %s", strerror(errno));
	if (anew) {
		close(m->fd);
		m->fd = evt_open(&m->t->topic, EVT_ANY, O_RDWR | O_NONBLOCK);
		if (m->fd < 0)
			gt_fail(m, "open: %s", strerror(errno));
	} else if (EVT(read(m->fd, m->buf, GT_ROOM)) != -ESTALE) {
		gt_fail(m, "it is served after LEAVE");
	}
	gt_join(m);
}

static void gt_be_calm(struct gt_member *m)
{
	struct gt_sight *s = &m->life->sight;
	uint32_t round, p;

	gt_look(m, m->generation);
	while ((round = atomic_load(&m->t->round)) % 2 && !atomic_load(&m->t->over)) {
		gt_look(m, m->generation);
		atomic_fetch_add(&s->version, 1);
		s->round = round;
		s->generation = m->generation;
		s->members = m->members;
		s->asked = m->asked;
		s->owned = 0;
		for (p = 0; p < GT_PARTITIONS; p++)
			s->owned |= (uint64_t)!!m->gen[p] << p;
		atomic_fetch_add(&s->version, 1);
		usleep(2000);
	}
}

static void gt_member_begin(struct gt_member *m, struct gt *t, uint32_t life)
{
	memset(m, 0, sizeof(*m));
	m->t = t;
	m->life = &t->life[life];
	m->log = log_of(t, life);
	m->rnd = tt_seed(t->seed, life);
	m->buf = malloc(GT_ROOM);
	m->is_auto = m->life->is_auto;
	m->fd = evt_open(&t->topic, EVT_ANY, O_RDWR | O_NONBLOCK);
	if (m->fd < 0)
		gt_fail(m, "open: %s", strerror(errno));
}

static void __attribute__((noreturn)) gt_live(struct gt *t, uint32_t life)
{
	struct gt_member m;

	gt_member_begin(&m, t, life);
	gt_join(&m);
	while (!atomic_load(&t->over)) {
		uint32_t what = gt_chance(&m, 1000);

		if (atomic_load(&t->round) % 2) {
			gt_be_calm(&m);
			continue;
		}
		/* An entry for each partition and a whole FETCH must fit. */
		if (atomic_load(&m.log->count) > ENTRIES - 4096 || what < 3)
			break;
		if (what < 10)
			gt_leave(&m, what < 6);
		else if (what < 40)
			gt_seek(&m);
		else if (what < 60)
			gt_look(&m, m.generation);
		else if (what < 200)
			gt_commit(&m, gt_chance(&m, 2));
		else if (what < 350 && !m.is_auto)
			gt_fetch_some(&m);
		else
			gt_read_some(&m);
	}
	_exit(0);
}

/* ------------------------------------------------------------------- director */

struct gt_crowd {
	uint32_t n;
	struct {
		pid_t pid;
		uint32_t life;
		bool stopped;
	} at[LIVE_MAX];
	uint32_t killed, stopped, settled;
};

static const char *gt_spawn(struct gt *t, struct gt_crowd *c, uint64_t *rnd)
{
	uint32_t life = t->lives;
	pid_t pid;

	if (life == LIVES - 1)
		return NULL;
	t->lives++;
	t->life[life].is_auto = evw_random(rnd) % 6 == 0;
	pid = fork();
	if (pid < 0)
		return "fork";
	if (!pid)
		gt_live(t, life);
	c->at[c->n].pid = pid;
	c->at[c->n].life = life;
	c->at[c->n].stopped = false;
	c->n++;
	return NULL;
}

static const char *gt_buried(struct gt *t, struct gt_crowd *c, uint32_t i, int status)
{
	static char why[200];
	struct gt_life *l = &t->life[c->at[i].life];

	c->at[i] = c->at[--c->n];
	if (!l->why[0] && (!status || status == -SIGKILL))
		return NULL;
	snprintf(why, sizeof(why), "member %zu: %s (%d)", (size_t)(l - t->life), l->why, status);
	return why;
}

/* Those that went by themselves. */
static const char *gt_reap(struct gt *t, struct gt_crowd *c)
{
	const char *why = NULL;
	uint32_t i = 0;

	while (i < c->n && !why) {
		int status;

		if (waitpid(c->at[i].pid, &status, WNOHANG) != c->at[i].pid) {
			i++;
			continue;
		}
		status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
		why = gt_buried(t, c, i, status);
	}
	return why;
}

static const char *gt_end_all(struct gt *t, struct gt_crowd *c, int signal)
{
	const char *why = NULL, *other;

	while (c->n) {
		if (signal)
			kill(c->at[0].pid, signal);
		kill(c->at[0].pid, SIGCONT);
		other = gt_buried(t, c, 0, evt_wait(c->at[0].pid));
		why = why ?: other;
	}
	return why;
}

static bool gt_see(struct gt *t, struct gt_sight *s, struct gt_sight *out)
{
	uint32_t version = atomic_load(&s->version);

	*out = *s;
	atomic_thread_fence(memory_order_acquire);
	return !(version & 1) && atomic_load(&s->version) == version &&
	       out->round == atomic_load(&t->round);
}

/* Whether all see the same, and nothing is on its way. */
static bool gt_agree(struct gt *t, struct gt_crowd *c, struct gt_sight *s)
{
	uint32_t i;

	for (i = 0; i < c->n; i++) {
		if (!gt_see(t, &t->life[c->at[i].life].sight, &s[i]))
			return false;
		if (s[i].asked || s[i].generation != s[0].generation || s[i].members != c->n)
			return false;
	}
	return true;
}

static const char *gt_balanced(struct gt_crowd *c, const struct gt_sight *s)
{
	uint32_t i, least = GT_PARTITIONS, most = 0;
	static char why[120];
	uint64_t all = 0;

	for (i = 0; i < c->n; i++) {
		uint32_t n = __builtin_popcountll(s[i].owned);

		if (all & s[i].owned)
			return "a partition has two owners";
		all |= s[i].owned;
		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	if (all == ~0ULL && most - least <= 1)
		return NULL;
	snprintf(why, sizeof(why), "%u members have from %u to %u, all: %llx", c->n, least, most,
		 (unsigned long long)all);
	return why;
}

static bool gt_seen_since(struct gt *t, struct gt_crowd *c, uint32_t i, struct gt_sight *s)
{
	struct gt_life *l = &t->life[c->at[i].life];

	return l->why[0] || atomic_load(&l->sight.version) >= atomic_load(&s->version) + 4;
}

/* Nobody comes or goes until the assignment stands still; then it must be even. */
static const char *gt_settle(struct gt *t, struct gt_crowd *c)
{
	struct gt_sight one[LIVE_MAX], two[LIVE_MAX];
	static char why[120];
	uint32_t i, tries, more;
	const char *bad;

	for (i = 0; i < c->n; i++) {
		if (c->at[i].stopped)
			kill(c->at[i].pid, SIGCONT);
		c->at[i].stopped = false;
	}
	atomic_fetch_add(&t->round, 1);
	for (tries = 0; tries < 60000; tries++) {
		bad = gt_reap(t, c);
		if (bad)
			return bad;
		usleep(1000);
		if (!gt_agree(t, c, one))
			continue;
		/* Each of them has looked once more since. */
		for (i = 0; i < c->n; i++)
			for (more = 0; more < 10000 && !gt_seen_since(t, c, i, &one[i]); more++)
				usleep(500);
		if (!gt_agree(t, c, two) || two[0].generation != one[0].generation)
			continue;
		for (i = 0; i < c->n; i++)
			if (one[i].owned != two[i].owned)
				return "what is owned changes within a generation";
		c->settled++;
		atomic_fetch_add(&t->round, 1);
		return gt_balanced(c, two);
	}
	gt_agree(t, c, one);
	snprintf(why, sizeof(why),
		 "%u members find no rest: they see %u, generation %u, asked %llx",
		 c->n, one[0].members, one[0].generation, (unsigned long long)one[0].asked);
	return why;
}

static const char *gt_direct(struct gt *t, struct gt_crowd *c, uint64_t *rnd, int milliseconds)
{
	uint32_t target = LIVE_MIN + evw_random(rnd) % (LIVE_MAX - LIVE_MIN + 1), i, tick;
	struct timespec begun, now;
	const char *why = NULL;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (tick = 1; !why; tick++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - begun.tv_sec) * 1000 +
		    (now.tv_nsec - begun.tv_nsec) / 1000000 > milliseconds)
			break;
		why = gt_reap(t, c);
		if (why)
			break;
		if (tick % 60 == 0) {
			target = LIVE_MIN + evw_random(rnd) % (LIVE_MAX - LIVE_MIN + 1);
			why = gt_settle(t, c);
		}
		while (!why && c->n < LIVE_MIN && t->lives < LIVES - 1)
			why = gt_spawn(t, c, rnd);
		if (!c->n)
			break;
		i = evw_random(rnd) % c->n;
		switch (evw_random(rnd) % 8) {
		case 0:
		case 1:
			if (!why && c->n < target)
				why = gt_spawn(t, c, rnd);
			break;
		case 2:
			if (c->n <= LIVE_MIN)
				break;
			kill(c->at[i].pid, SIGKILL);
			why = why ?: gt_buried(t, c, i, evt_wait(c->at[i].pid));
			c->killed++;
			break;
		case 3:
			kill(c->at[i].pid, SIGSTOP);
			c->stopped += !c->at[i].stopped;
			c->at[i].stopped = true;
			break;
		case 4:
		case 5:
			kill(c->at[i].pid, SIGCONT);
			c->at[i].stopped = false;
			break;
		default:
			break;
		}
		usleep(evw_random(rnd) % 30000);
	}
	return why ?: gt_settle(t, c);
}

/* -------------------------------------------------------------------- checker */

/* Something that happened to a partition under an owner. */
struct gt_event {
	enum { AT, SERVED, GUESSED, VAGUE, COMMITTED, PERHAPS, MOVED } what;
	uint32_t generation;
	uint32_t life;
	uint32_t order;
	int64_t offset;
};

struct gt_past {
	struct gt_event *e;
	uint32_t n, room;
	uint32_t records;
	uint32_t (*id)[2];		/* by offset: producer and seq */
	uint8_t *seen;			/* by offset: served, or passed over by a seek */
	bool unclear;			/* a commit on read under a generation that was not seen */
};

struct gt_check {
	struct gt *t;
	struct gt_past past[GT_PARTITIONS];
	uint32_t *sent[GT_PRODUCERS];	/* by seq: offset */
	uint32_t nr_sent[GT_PRODUCERS];
	uint32_t cut;			/* members killed while a read committed */
	uint32_t served, commits, stale, twice, vague, unclear, owners;
	char why[TT_WHY];
};

#define gt_wrong(k, ...)	tt_wrong((k)->why, __VA_ARGS__)

static void gt_check_sent(struct gt_check *k)
{
	struct gt *t = k->t;
	uint32_t i, j, p;

	for (i = 0; i < GT_PRODUCERS; i++) {
		k->nr_sent[i] = atomic_load(&t->sent[i]->count);
		k->sent[i] = calloc(k->nr_sent[i] + 1, sizeof(*k->sent[i]));
		for (j = 0; j < k->nr_sent[i]; j++)
			k->past[t->sent[i]->e[j].partition].records++;
	}
	for (p = 0; p < GT_PARTITIONS; p++) {
		struct gt_past *past = &k->past[p];

		past->id = calloc(past->records + 1, sizeof(*past->id));
		past->seen = calloc(past->records + 1, 1);
		memset(past->id, 0xff, past->records * sizeof(*past->id));
	}
	for (i = 0; i < GT_PRODUCERS; i++) {
		for (j = 0; j < k->nr_sent[i]; j++) {
			const struct tt_entry *e = &t->sent[i]->e[j];
			struct gt_past *past = &k->past[e->partition];

			if (e->seq != j || e->offset < 0 || e->offset >= past->records ||
			    past->id[e->offset][0] != ~0U) {
				gt_wrong(k, "producer %u's record %u has offset %lld", i, e->seq,
					 (long long)e->offset);
				return;
			}
			past->id[e->offset][0] = i;
			past->id[e->offset][1] = j;
			k->sent[i][j] = e->offset;
		}
	}
}

static void gt_add(struct gt_check *k, uint32_t life, uint32_t p, uint32_t generation, int what,
		   int64_t offset)
{
	struct gt_past *past = &k->past[p];

	if (past->n == past->room) {
		past->room = past->room * 2 ?: 1024;
		past->e = realloc(past->e, past->room * sizeof(*past->e));
	}
	past->e[past->n] = (struct gt_event){ .what = what, .generation = generation, .life = life,
					   .order = past->n, .offset = offset };
	past->n++;
}

/* A record, and the partition's generation after it was served. */
static void gt_check_read(struct gt_check *k, uint32_t life, const struct tt_entry *e,
			  uint32_t after)
{
	uint32_t p = e->partition, before = e->generation;
	bool is_auto = k->t->life[life].is_auto;
	int64_t offset = k->sent[e->producer][e->seq];

	if (before && before == after) {
		gt_add(k, life, p, before, SERVED, offset);
	} else if (before && after) {
		/* Under which of the two? */
		k->vague++;
		gt_add(k, life, p, after, VAGUE, offset);
	} else if (before || after) {
		/* Unless it was gained and lost between. */
		gt_add(k, life, p, before ?: after, GUESSED, offset);
	} else {
		k->vague++;
	}
	if (!is_auto)
		return;
	if (before && before == after)
		gt_add(k, life, p, before, COMMITTED, offset + 1);
	else if (!before == !after)
		k->past[p].unclear = true;
}

/* A member's life as its log has it, by partition and generation. */
static void gt_check_life(struct gt_check *k, uint32_t life)
{
	const struct tt_log *log = log_of(k->t, life);
	uint32_t n = atomic_load(&log->count), i, j, p, begin = 0;
	bool is_auto = k->t->life[life].is_auto, open = false;
	int64_t try[GT_PARTITIONS];
	uint32_t tried[GT_PARTITIONS] = {}, stale[GT_PARTITIONS] = {};
	int64_t offset;

	for (i = 0; i < n; i++) {
		const struct tt_entry *e = &log->e[i];
		struct gt_past *past = &k->past[e->partition];

		p = e->partition;
		switch (e->kind) {
		case BEGIN:
			begin = i;
			open = true;
			break;
		case READ:
			if (e->producer >= GT_PRODUCERS || e->seq >= k->nr_sent[e->producer]) {
				gt_wrong(k, "a record that nobody sent");
				return;
			}
			offset = k->sent[e->producer][e->seq];
			if (e->offset >= 0 && e->offset != offset) {
				gt_wrong(k, "partition %u: %lld was served as %lld", p,
					 (long long)offset, (long long)e->offset);
				return;
			}
			if (past->seen[offset] & 1)
				k->twice++;
			past->seen[offset] |= 1;
			k->served++;
			break;
		case END:
			open = false;
			break;
		case TOUCH:
			for (j = begin; j < i; j++)
				if (log->e[j].kind == READ && log->e[j].partition == p)
					gt_check_read(k, life, &log->e[j], e->generation);
			break;
		case OWN:
			gt_add(k, life, p, e->generation, AT, e->offset);
			break;
		case TRY:
			tried[p] = e->generation;
			try[p] = e->offset;
			break;
		case DONE:
			if (stale[p] == e->generation)
				gt_wrong(k, "partition %u: generation %u is back", p,
					 e->generation);
			tried[p] = 0;
			gt_add(k, life, p, e->generation, COMMITTED, e->offset);
			k->commits++;
			break;
		case STALE:
			stale[p] = e->generation;
			k->stale++;
			tried[p] = 0;
			break;
		case SEEK:
			if (e->generation == e->seq) {
				gt_add(k, life, p, e->generation, MOVED, e->offset);
				break;
			}
			k->vague++;
			if (e->generation)
				gt_add(k, life, p, e->generation, VAGUE, e->offset);
			/* What it may have passed over. */
			for (offset = e->offset - FORWARD; offset < e->offset; offset++)
				if (offset >= 0 && offset < past->records)
					past->seen[offset] |= 2;
			break;
		default:
			gt_wrong(k, "an entry of kind %d", e->kind);
			return;
		}
	}
	for (p = 0; p < GT_PARTITIONS; p++)
		if (tried[p])
			gt_add(k, life, p, tried[p], PERHAPS, try[p]);
	if (!open || !is_auto)
		return;
	/* What it read last was committed by that, if it is in the log or not. */
	for (i = begin; i < n; i++) {
		const struct tt_entry *e = &log->e[i];

		if (e->kind != READ)
			continue;
		open = false;
		if (e->generation)
			gt_add(k, life, e->partition, e->generation, GUESSED,
			       k->sent[e->producer][e->seq]);
		else
			k->past[e->partition].unclear = true;
	}
	k->cut += open;
}

static int gt_by_generation(const void *a, const void *b)
{
	const struct gt_event *x = a, *y = b;

	if (x->generation != y->generation)
		return x->generation < y->generation ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

#define MAYBE	64

/* The offsets that may be the committed one. */
struct gt_maybe {
	int64_t offset[MAYBE];
	uint32_t n;
};

static bool gt_maybe_is(const struct gt_maybe *c, int64_t offset)
{
	uint32_t i;

	for (i = 0; i < c->n; i++)
		if (c->offset[i] == offset)
			return true;
	return false;
}

/* Whether an owner may begin at @offset: then that was the committed one. */
static bool gt_maybe_begin(struct gt_check *k, uint32_t p, struct gt_maybe *c, int64_t offset)
{
	bool ok = gt_maybe_is(c, offset);

	if (!ok && k->cut && gt_maybe_is(c, offset - 1)) {
		/* Committed on read by one that was killed then: at most once. */
		k->cut--;
		k->past[p].seen[offset - 1] |= 2;
		ok = true;
	}
	c->offset[0] = offset;
	c->n = 1;
	return ok;
}

/*
 * Each owner goes on where the one before had committed, and from there without a
 * gap or a step back, but by its own seeks.
 */
static void gt_check_past(struct gt_check *k, uint32_t p, int64_t committed)
{
	static const char *const names[] = {
		[AT] = "is at", [SERVED] = "was served", [COMMITTED] = "committed",
	};
	struct gt_past *past = &k->past[p];
	struct gt_maybe c = { .n = 1 };
	uint32_t i, owner = 0, generation = 0;
	int64_t at = -1, j;
	bool vague = false;

	qsort(past->e, past->n, sizeof(*past->e), gt_by_generation);
	for (i = 0; i < past->n && !k->why[0]; i++) {
		const struct gt_event *e = &past->e[i];
		int64_t want;
		bool ok = true;

		if (e->generation != generation) {
			generation = e->generation;
			owner = e->life;
			at = -1;
			vague = false;
			k->owners++;
		} else if (e->life != owner) {
			gt_wrong(k, "partition %u: generation %u has two owners", p, generation);
			return;
		}
		want = at >= 0 ? at : c.offset[0];
		switch (e->what) {
		case AT:
		case SERVED:
			if (at >= 0)
				ok = vague || e->offset == at;
			else if (!vague)
				ok = gt_maybe_begin(k, p, &c, e->offset);
			vague = false;
			at = e->offset + (e->what == SERVED);
			break;
		case GUESSED:
			if (at >= 0 ? e->offset == at : gt_maybe_is(&c, e->offset)) {
				at = e->offset + 1;
				if (k->t->life[e->life].is_auto) {
					c.offset[0] = at;
					c.n = 1;
				}
			} else {
				k->vague++;
				past->unclear |= k->t->life[e->life].is_auto;
			}
			vague = true;
			break;
		case VAGUE:
			vague = true;
			break;
		case MOVED:
			for (j = at; j >= 0 && j < e->offset && j < past->records; j++)
				past->seen[j] |= 2;
			at = e->offset;
			break;
		case COMMITTED:
			/* Nobody commits what he was not served. */
			ok = at < 0 || e->offset <= at;
			c.offset[0] = e->offset;
			c.n = 1;
			break;
		case PERHAPS:
			if (c.n < MAYBE)
				c.offset[c.n++] = e->offset;
			break;
		}
		if (!ok && !past->unclear)
			gt_wrong(k, "partition %u, generation %u, member %u: %s %lld, not %lld",
				 p, generation, owner, names[e->what], (long long)e->offset,
			      (long long)want);
	}
	k->unclear += past->unclear;
	if (!k->why[0] && !gt_maybe_begin(k, p, &c, committed) && !past->unclear)
		gt_wrong(k, "partition %u: %lld is committed, which nobody was told", p,
			 (long long)committed);
}

static void gt_check_all(struct gt_check *k, const int64_t *committed)
{
	uint32_t i, p;

	gt_check_sent(k);
	for (i = 0; i < k->t->lives && !k->why[0]; i++)
		gt_check_life(k, i);
	for (p = 0; p < GT_PARTITIONS && !k->why[0]; p++)
		gt_check_past(k, p, committed[p]);
}

/* After the last member has read and committed all there was left. */
static void gt_check_lost(struct gt_check *k)
{
	uint32_t p, i;

	for (p = 0; p < GT_PARTITIONS && !k->why[0]; p++) {
		struct gt_past *past = &k->past[p];

		for (i = 0; i < past->records; i++) {
			if (past->seen[i])
				continue;
			if (past->unclear && k->cut) {
				k->cut--;
				continue;
			}
			gt_wrong(k, "partition %u: nobody was served %u", p, i);
		}
	}
}

static void gt_check_free(struct gt_check *k)
{
	uint32_t i;

	for (i = 0; i < GT_PRODUCERS; i++)
		free(k->sent[i]);
	for (i = 0; i < GT_PARTITIONS; i++) {
		free(k->past[i].e);
		free(k->past[i].id);
		free(k->past[i].seen);
	}
}

/* The last member: how far the group is, then the rest of the records. */
static const char *gt_finish(struct gt *t, struct gt_check *k)
{
	int64_t committed[GT_PARTITIONS];
	static char why[160];
	struct gt_member m;
	int p;

	gt_member_begin(&m, t, t->lives);
	t->lives++;
	gt_join(&m);
	for (p = 0; p < GT_PARTITIONS; p++) {
		struct evstream_position pos = { .partition = p };

		if (ioctl(m.fd, EVSTREAM_IOC_POSITION, &pos))
			return "POSITION";
		committed[p] = pos.committed;
		if (pos.owner == 0 || pos.offset != pos.committed)
			return "the last member does not begin at the committed offset";
	}
	gt_check_all(k, committed);
	for (p = 0; p < GT_PARTITIONS && !k->why[0]; p++) {
		struct evstream_fetch a = { .buf = (uintptr_t)m.buf, .len = GT_ROOM, .offset = -1,
					    .partition = p };
		struct gt_past *past = &k->past[p];
		struct evs_batch_iter it;
		struct evs_record rec;
		struct evw_head h;

		do {
			if (ioctl(m.fd, EVSTREAM_IOC_FETCH, &a)) {
				snprintf(why, sizeof(why), "the last FETCH: %s", strerror(errno));
				return why;
			}
			evs_batch_iter_init(&it, m.buf, a.bytes, EVS_ITER_CRC);
			while (evs_batch_iter_next(&it, &rec) == 1) {
				if (rec.offset < committed[p])
					continue;
				if (!evw_check(rec.value, rec.value_len, &h) ||
				    rec.offset >= past->records ||
				    past->id[rec.offset][0] != h.producer ||
				    past->id[rec.offset][1] != h.seq)
					return "the last FETCH: another record";
				past->seen[rec.offset] |= 1;
			}
		} while (a.bytes);
		if (a.next_offset != past->records || a.end_offset != past->records) {
			snprintf(why, sizeof(why), "partition %d ends at %lld, %u were sent", p,
				 (long long)a.end_offset, past->records);
			return why;
		}
	}
	gt_check_lost(k);
	close(m.fd);
	free(m.buf);
	return k->why[0] ? k->why : NULL;
}

static const char *gt_epoch(struct gt *t, bool block, int milliseconds, char *said, size_t size)
{
	struct gt_crowd c = {};
	struct evw_crew crew;
	struct gt_check *k = calloc(1, sizeof(*k));
	uint64_t rnd = tt_seed(t->seed, 90000);
	const char *why;
	static char told[200];
	int i, failed;

	t->block = block;
	if (evt_create(&t->topic, block ?
		       "-p 64 --segment 64K --ring 128K --max-record 5000 --full block" :
		       "-p 64 --segment 1M --ring 16M"))
		return "topic create";
	k->t = t;
	evw_crew_init(&crew, true);
	for (i = 0; i < GT_PRODUCERS; i++)
		evw_start(&crew, gt_produce, t, i);
	why = gt_direct(t, &c, &rnd, milliseconds);
	atomic_store(&t->stop, 1);
	/* Who waits for room needs members that commit. */
	if (why)
		evt_delete(&t->topic);
	failed = evw_join(&crew);
	atomic_store(&t->over, 1);
	if (why) {
		gt_end_all(t, &c, SIGKILL);
	} else {
		const char *other = gt_end_all(t, &c, 0);

		why = failed ? "producers failed" : other ?: gt_finish(t, k);
		if (evt_delete(&t->topic))
			why = why ?: "topic delete";
	}
	snprintf(said, size,
		 "%s: %u members (%u killed, %u stopped), %u records served, %u of them again, %u commits, %u refused, %u owners, settled %u times; not clear: %u reads, %u partitions",
		 block ? "block" : "overwrite", t->lives, c.killed, c.stopped, k->served,
		 k->twice, k->commits, k->stale, k->owners, c.settled, k->vague, k->unclear);
	snprintf(told, sizeof(told), "%s", why ?: "");
	gt_check_free(k);
	free(k);
	return why ? told : NULL;
}

/* A scene of the torture: a group from its first member to its last. */
static const char *group_scene(uint64_t seed, int milliseconds, char *said, size_t size)
{
	struct gt *t = evw_shared(sizeof(*t));
	const char *why;
	int i;

	t->seed = seed;
	t->logs = tt_logs(LIVES, ENTRIES);
	for (i = 0; i < GT_PRODUCERS; i++)
		t->sent[i] = evw_shared(TT_LOG_SIZE(PRODUCED));
	why = gt_epoch(t, seed % 2, milliseconds, said, size);
	for (i = 0; i < GT_PRODUCERS; i++)
		munmap(t->sent[i], TT_LOG_SIZE(PRODUCED));
	munmap(t->logs, LIVES * TT_LOG_SIZE(ENTRIES));
	munmap(t, sizeof(*t));
	return why;
}

#endif /* EVGROUPTORTURE_H */
