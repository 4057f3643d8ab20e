/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Members of a queue that are killed, stopped, leave, release and reject at random,
 * while producers write. What must be true is checked from outside: the logs that
 * producers and members kept of what they were told, and the dead-letter topic, are
 * all that the checker knows.
 */
#ifndef EVQUEUETORTURE_H
#define EVQUEUETORTURE_H

#include "evtorture.h"

#define QT_PARTITIONS	4
#define QT_PRODUCERS	2
#define QT_MEMBERS	7
#define QT_LIVES	1000		/* members in all */
#define QT_ENTRIES	(1 << 15)	/* of a member's log */
#define QT_PRODUCED	(1 << 16)	/* of a producer's */
#define QT_KEYS		12
#define QT_LOCK_MS	300
#define QT_DELIVERIES	4
#define QT_TAKE		40		/* records at once */
#define QT_ROOM		65536

struct qt {
	struct evt_topic topic;
	struct evt_topic dead;
	uint64_t seed;
	bool keyed;
	atomic_int stop;		/* producers */
	uint32_t lives;
	char why[QT_LIVES][120];
	char *logs;
	struct tt_log *sent[QT_PRODUCERS];
};

static struct tt_log *qt_log(const struct qt *t, uint32_t life)
{
	return (struct tt_log *)(t->logs + life * TT_LOG_SIZE(QT_ENTRIES));
}

/* The key's length, -1: none. */
static int qt_key(uint32_t producer, uint32_t seq, char *key)
{
	uint64_t s = (uint64_t)producer << 32 | seq;

	evw_random(&s);
	if (evw_random(&s) % 10 < 3)
		return -1;
	return sprintf(key, "k%u", evw_random(&s) % QT_KEYS);
}

static const char *qt_produce(void *arg, int index, struct evw_worker *w)
{
	struct qt *t = arg;
	uint64_t rnd = tt_seed(t->seed, 50000 + index);
	int fd = evt_open(&t->topic, EVT_ANY, O_WRONLY);
	char value[6][EVW_MIN + 200], key[6][16];
	uint32_t seq = 0, i;

	while (!atomic_load(&t->stop) && seq + 6 <= QT_PRODUCED) {
		struct evstream_record rec[6] = {};
		struct evstream_append a = { .records = (uintptr_t)rec,
					     .record_size = sizeof(rec[0]) };

		a.nr_records = 1 + evw_random(&rnd) % 6;
		for (i = 0; i < a.nr_records; i++) {
			rec[i].value = (uintptr_t)value[i];
			rec[i].value_len = EVW_MIN + evw_random(&rnd) % 200;
			rec[i].key = (uintptr_t)key[i];
			rec[i].key_len = qt_key(index, seq + i, key[i]);
			rec[i].timestamp = -1;
			evw_make(value[i], rec[i].value_len, index, seq + i);
		}
		if (ioctl(fd, EVSTREAM_IOC_APPEND, &a) || a.appended != a.nr_records)
			return evw_why(w, "APPEND: %s, %u of %u", strerror(errno), a.appended,
				       a.nr_records);
		for (i = 0; i < a.nr_records; i++)
			tt_put(t->sent[index], (struct tt_entry){
				.kind = SENT, .partition = rec[i].partition,
				.offset = rec[i].offset, .producer = index, .seq = seq + i,
			});
		seq += a.nr_records;
		usleep(evw_random(&rnd) % 20000);
	}
	close(fd);
	return NULL;
}

/* -------------------------------------------------------------------- members */

struct qt_member {
	struct qt *t;
	struct tt_log *log;
	char *why;
	uint64_t rnd;
	int fd;
	int dead;
	uint32_t taken;
	struct evstream_acquired rec[QT_TAKE];
	char *buf;
};

static void __printf(2, 3) qt_fail(struct qt_member *m, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(m->why, sizeof(m->t->why[0]), fmt, args);
	va_end(args);
	_exit(1);
}

static uint32_t qt_chance(struct qt_member *m, uint32_t n)
{
	return evw_random(&m->rnd) % n;
}

static void qt_join(struct qt_member *m)
{
	static const char name[] = "torture";
	struct evstream_join j = {
		.name = (uintptr_t)name, .name_len = strlen(name), .dead_letter = m->dead,
		.start = EVSTREAM_SEEK_EARLIEST, .lock_ms = QT_LOCK_MS,
		.max_deliveries = QT_DELIVERIES,
		.flags = EVSTREAM_JOIN_QUEUE | (m->t->keyed ? EVSTREAM_JOIN_KEYED : 0),
	};

	m->fd = evt_open(&m->t->topic, EVT_ANY, O_RDONLY);
	if (m->fd < 0)
		qt_fail(m, "open: %s", strerror(errno));
	if (ioctl(m->fd, EVSTREAM_IOC_JOIN, &j))
		qt_fail(m, "JOIN: %s", strerror(errno));
}

static void qt_begin(struct qt_member *m, struct qt *t, uint32_t life)
{
	memset(m, 0, sizeof(*m));
	m->t = t;
	m->log = qt_log(t, life);
	m->why = t->why[life];
	m->rnd = tt_seed(t->seed, life);
	m->buf = malloc(QT_ROOM);
	m->dead = evt_open(&t->dead, EVT_ANY, O_WRONLY);
	qt_join(m);
}

static void qt_put(struct qt_member *m, enum tt_kind kind, uint32_t how, uint32_t first,
		   uint32_t n)
{
	uint32_t i;

	for (i = first; i < first + n; i++)
		tt_put(m->log, (struct tt_entry){
			.kind = kind, .how = how, .partition = m->rec[i].partition,
			.generation = m->rec[i].deliveries, .offset = m->rec[i].offset,
		});
}

static void qt_settle(struct qt_member *m, enum evstream_settle how, uint32_t first, uint32_t n)
{
	struct evstream_ack_entry e = {
		.partition = m->rec[first].partition, .settle = how,
		.first = m->rec[first].offset, .last = m->rec[first + n - 1].offset,
	};
	struct evstream_ack a = { .entries = (uintptr_t)&e, .nr_entries = 1,
				  .entry_size = sizeof(e) };
	long long ret;

	qt_put(m, TRY, how, first, n);
	ret = EVT(ioctl(m->fd, EVSTREAM_IOC_ACK, &a));
	if (ret && ret != -ESTALE)
		qt_fail(m, "ACK: %s", strerror(-ret));
	qt_put(m, ret ? STALE : DONE, how, first, n);
}

static void qt_acquire(struct qt_member *m, uint32_t most)
{
	struct evstream_acquire a = {
		.records = (uintptr_t)m->rec, .record_size = sizeof(m->rec[0]),
		.nr_records = most, .buf = (uintptr_t)m->buf, .len = QT_ROOM, .timeout_ms = 100,
	};
	struct evw_head h;
	char key[16];
	uint32_t i;

	m->taken = 0;
	if (ioctl(m->fd, EVSTREAM_IOC_ACQUIRE, &a))
		qt_fail(m, "ACQUIRE: %s", strerror(errno));
	if (a.nr > most)
		qt_fail(m, "%u records taken", a.nr);
	for (i = 0; i < a.nr; i++) {
		const struct evstream_acquired *r = &m->rec[i];

		if (r->value_len < 0 || !evw_check(m->buf + r->value, r->value_len, &h))
			qt_fail(m, "bytes that nobody wrote");
		if (h.producer >= QT_PRODUCERS ||
		    r->key_len != qt_key(h.producer, h.seq, key) ||
		    (r->key_len > 0 && memcmp(key, m->buf + r->key, r->key_len)))
			qt_fail(m, "another record's key");
		tt_put(m->log, (struct tt_entry){
			.kind = READ, .partition = r->partition, .generation = r->deliveries,
			.offset = r->offset, .producer = h.producer, .seq = h.seq,
		});
	}
	m->taken = a.nr;
}

/* How many from @first on are next to each other, and settled together. */
static uint32_t qt_run(struct qt_member *m, uint32_t first)
{
	uint32_t n = 1;

	while (first + n < m->taken && m->rec[first + n].partition == m->rec[first].partition &&
	       m->rec[first + n].offset == m->rec[first].offset + n && qt_chance(m, 10) > 3)
		n++;
	return n;
}

static void qt_work(struct qt_member *m)
{
	static const uint32_t most[] = { 1, 3, 10, QT_TAKE };
	uint32_t i, n, what;

	qt_acquire(m, most[qt_chance(m, 4)]);
	for (i = 0; i < m->taken; i += n) {
		n = qt_run(m, i);
		what = qt_chance(m, 100);
		if (what < 2)
			usleep(qt_chance(m, 2 * QT_LOCK_MS) * 1000);
		if (what < 7)
			qt_settle(m, EVSTREAM_SETTLE_RENEW, i, n);
		if (what < 80)
			qt_settle(m, EVSTREAM_SETTLE_ACCEPT, i, n);
		else if (what < 90)
			qt_settle(m, EVSTREAM_SETTLE_RELEASE, i, n);
		else if (what < 93)
			qt_settle(m, EVSTREAM_SETTLE_REJECT, i, n);
		/* Else it forgets about them. */
	}
}

static void __attribute__((noreturn)) qt_live(struct qt *t, uint32_t life)
{
	struct qt_member m;

	qt_begin(&m, t, life);
	/* What is taken at once, and tried and done to each of it, must fit. */
	while (atomic_load(&m.log->count) < QT_ENTRIES - 8 * QT_TAKE) {
		uint32_t what;

		qt_work(&m);
		what = qt_chance(&m, 100);
		if (what >= 4)
			continue;
		if (what < 2 && ioctl(m.fd, EVSTREAM_IOC_LEAVE))
			qt_fail(&m, "LEAVE: %s", strerror(errno));
		close(m.fd);
		qt_join(&m);
	}
	pause();
	_exit(0);
}

/* ------------------------------------------------------------------- director */

struct qt_crowd {
	pid_t pid[QT_MEMBERS];
	uint32_t life[QT_MEMBERS];
	int64_t until[QT_MEMBERS];	/* stopped; 0: it runs */
};

static const char *qt_spawn(struct qt *t, struct qt_crowd *c, int i)
{
	/* The child must not look: the memory is shared, and the next may be there. */
	uint32_t life = t->lives;
	pid_t pid = life < QT_LIVES - 1 ? fork() : -1;

	if (pid < 0)
		return "fork";
	if (!pid)
		qt_live(t, life);
	c->pid[i] = pid;
	c->life[i] = t->lives++;
	c->until[i] = 0;
	return NULL;
}

static const char *qt_kill(struct qt *t, struct qt_crowd *c, int i)
{
	static char why[160];
	int status;

	if (!c->pid[i])
		return NULL;
	kill(c->pid[i], SIGKILL);
	status = evt_wait(c->pid[i]);
	c->pid[i] = 0;
	if (status == -SIGKILL)
		return NULL;
	snprintf(why, sizeof(why), "member %u: %s (%d)", c->life[i], t->why[c->life[i]], status);
	return why;
}

static const char *qt_direct(struct qt *t, struct qt_crowd *c, int milliseconds)
{
	int64_t end = tt_now_ms() + milliseconds;
	uint64_t rnd = tt_seed(t->seed, 90000);
	const char *why = NULL;
	int i;

	for (i = 0; i < QT_MEMBERS && !why; i++)
		why = qt_spawn(t, c, i);
	while (!why && tt_now_ms() < end && t->lives < QT_LIVES - 1) {
		i = evw_random(&rnd) % QT_MEMBERS;
		if (evw_random(&rnd) % 2) {
			why = qt_kill(t, c, i) ?: qt_spawn(t, c, i);
		} else if (!c->until[i]) {
			kill(c->pid[i], SIGSTOP);
			c->until[i] = tt_now_ms() + evw_random(&rnd) % (3 * QT_LOCK_MS);
		}
		usleep(evw_random(&rnd) % 100000);
		for (i = 0; i < QT_MEMBERS && !why; i++) {
			if (!c->until[i] || tt_now_ms() < c->until[i])
				continue;
			kill(c->pid[i], SIGCONT);
			c->until[i] = 0;
		}
	}
	for (i = 0; i < QT_MEMBERS; i++) {
		const char *other = qt_kill(t, c, i);

		why = why ?: other;
	}
	return why;
}

/* The last member accepts all there is. */
static const char *qt_drain(struct qt *t)
{
	static char why[160];
	int64_t end = tt_now_ms() + EVW_PATIENCE * 1000;
	struct qt_member m;
	uint32_t i, n, p;

	qt_begin(&m, t, t->lives);
	t->lives++;
	do {
		qt_acquire(&m, QT_TAKE);
		for (i = 0; i < m.taken; i += n) {
			n = qt_run(&m, i);
			qt_settle(&m, EVSTREAM_SETTLE_ACCEPT, i, n);
		}
		for (p = 0; p < QT_PARTITIONS; p++) {
			struct evstream_position pos = { .partition = p };

			if (ioctl(m.fd, EVSTREAM_IOC_POSITION, &pos))
				qt_fail(&m, "POSITION: %s", strerror(errno));
			if (pos.committed == pos.end_offset)
				continue;
			snprintf(why, sizeof(why), "partition %u: %lld of %lld are settled", p,
				 (long long)pos.committed, (long long)pos.end_offset);
			break;
		}
	} while (p < QT_PARTITIONS && tt_now_ms() < end);
	close(m.fd);
	close(m.dead);
	free(m.buf);
	return p < QT_PARTITIONS ? why : NULL;
}

/* -------------------------------------------------------------------- checker */

/**
 * struct qt_seen - all that is known of a record
 * @producer: who sent it
 * @seq: its number there
 * @took: its deliveries, by number
 * @ends: in which of them it was settled
 * @accepted: in which delivery, 0: not
 * @rejected: in which delivery, 0: not
 * @tried_reject: in which deliveries that was tried
 * @unknown: an accept was tried, and it is not known what came of it
 * @letter: the delivery behind which it was given up, 0: not
 * @first: when it was handed out first
 * @begun: when its settling was tried
 */
struct qt_seen {
	uint32_t producer;
	uint32_t seq;
	uint8_t took;
	uint8_t ends;
	uint8_t accepted;
	uint8_t rejected;
	uint8_t tried_reject;
	bool unknown;
	uint8_t letter;
	int64_t first;
	int64_t begun;
};

struct qt_check {
	struct qt *t;
	struct qt_seen *r[QT_PARTITIONS];
	int64_t records[QT_PARTITIONS];
	uint32_t all, again, letters, stale, keys;
	char why[TT_WHY];
};

#define qt_wrong(k, ...)	tt_wrong((k)->why, __VA_ARGS__)

static uint32_t qt_last(uint8_t deliveries)
{
	return deliveries ? 31 - __builtin_clz(deliveries) : 0;
}

static void qt_check_sent(struct qt_check *k)
{
	uint32_t i, j, p, n;

	for (i = 0; i < QT_PRODUCERS; i++)
		for (j = 0, n = atomic_load(&k->t->sent[i]->count); j < n; j++)
			k->records[k->t->sent[i]->e[j].partition]++;
	for (p = 0; p < QT_PARTITIONS; p++) {
		k->all += k->records[p];
		k->r[p] = calloc(k->records[p] + 1, sizeof(*k->r[p]));
	}
	for (i = 0; i < QT_PRODUCERS; i++) {
		for (j = 0, n = atomic_load(&k->t->sent[i]->count); j < n; j++) {
			const struct tt_entry *e = &k->t->sent[i]->e[j];
			struct qt_seen *r;

			p = e->partition;
			if (e->offset < 0 || e->offset >= k->records[p] ||
			    k->r[p][e->offset].first) {
				qt_wrong(k, "partition %u: %lld was given twice, or others not", p,
					 (long long)e->offset);
				return;
			}
			r = &k->r[p][e->offset];
			*r = (struct qt_seen){ .producer = i, .seq = e->seq, .first = INT64_MAX };
		}
	}
}

/* What was tried by entry @i, or what came of it: as many are tried as can be taken. */
static const struct tt_entry *qt_same(const struct tt_log *log, uint32_t n, uint32_t i, int step)
{
	const struct tt_entry *e = &log->e[i];
	uint32_t j, k;

	for (j = i + step, k = 0; k < 2 * QT_TAKE && j < n; j += step, k++) {
		const struct tt_entry *o = &log->e[j];

		bool ends = o->kind == TRY, began = e->kind == TRY;

		if (o->kind != READ && ends != began &&
		    o->how == e->how && o->partition == e->partition &&
		    o->offset == e->offset && o->generation == e->generation)
			return o;
	}
	return NULL;
}

/* One member's log: its tries are known to have an end, or not. */
static void qt_check_life(struct qt_check *k, uint32_t life)
{
	const struct tt_log *log = qt_log(k->t, life);
	uint32_t n = atomic_load(&log->count), i;

	for (i = 0; i < n && !k->why[0]; i++) {
		const struct tt_entry *e = &log->e[i];
		uint8_t bit = 1U << e->generation;
		const struct tt_entry *try;
		struct qt_seen *r;

		if (e->offset < 0 || e->offset >= k->records[e->partition] ||
		    !e->generation || e->generation > QT_DELIVERIES) {
			qt_wrong(k, "partition %u: %lld, delivery %u", e->partition,
				 (long long)e->offset, e->generation);
			return;
		}
		r = &k->r[e->partition][e->offset];
		switch (e->kind) {
		case READ:
			if (r->producer != e->producer || r->seq != e->seq)
				qt_wrong(k, "partition %u: %lld is another record", e->partition,
					 (long long)e->offset);
			if (r->took & bit)
				qt_wrong(k, "partition %u: %lld was handed out as %u twice",
					 e->partition, (long long)e->offset, e->generation);
			r->took |= bit;
			if (e->time < r->first)
				r->first = e->time;
			break;
		case TRY:
			if (e->how == EVSTREAM_SETTLE_REJECT)
				r->tried_reject |= bit;
			if (e->how == EVSTREAM_SETTLE_ACCEPT && !qt_same(log, n, i, 1))
				r->unknown = true;
			break;
		case STALE:
			k->stale++;
			break;
		case DONE:
			if (e->how == EVSTREAM_SETTLE_RENEW)
				break;
			if (r->ends & bit)
				qt_wrong(k, "partition %u: delivery %u of %lld is settled twice",
					 e->partition, e->generation, (long long)e->offset);
			r->ends |= bit;
			if (e->how == EVSTREAM_SETTLE_RELEASE)
				break;
			if (r->accepted || r->rejected)
				qt_wrong(k, "partition %u: %lld is settled twice", e->partition,
					 (long long)e->offset);
			if (e->how == EVSTREAM_SETTLE_ACCEPT)
				r->accepted = e->generation;
			else
				r->rejected = e->generation;
			try = qt_same(log, n, i, -1);
			r->begun = try ? try->time : 0;
			break;
		default:
			qt_wrong(k, "an entry of kind %d", e->kind);
		}
	}
}

/* A number in a header of a dead letter, -1: there is none. */
static long long qt_header(const struct evs_record *rec, const char *name, char *text, size_t room)
{
	struct evs_header_iter it;
	struct evs_header h;

	evs_header_first(&it, rec);
	while (evs_header_next(&it, &h) == 1) {
		if ((size_t)h.key_len != strlen(name) || memcmp(h.key, name, h.key_len) ||
		    h.value_len < 0 || (size_t)h.value_len >= room)
			continue;
		memcpy(text, h.value, h.value_len);
		text[h.value_len] = '\0';
		return strtoll(text, NULL, 10);
	}
	return -1;
}

static const char *qt_letter(const struct evs_record *rec, void *arg)
{
	char text[64], key[16];
	struct qt_check *k = arg;
	long long p = qt_header(rec, "evstream.partition", text, sizeof(text));
	long long offset = qt_header(rec, "evstream.offset", text, sizeof(text));
	long long last = qt_header(rec, "evstream.deliveries", text, sizeof(text));
	struct qt_seen *r;
	struct evw_head h;

	if (p < 0 || p >= QT_PARTITIONS || offset < 0 || offset >= k->records[p] || last < 1 ||
	    last > QT_DELIVERIES || qt_header(rec, "evstream.reason", text, sizeof(text)) < 0)
		return "a dead letter's headers";
	r = &k->r[p][offset];
	if (rec->value_len < 0 || !evw_check(rec->value, rec->value_len, &h) ||
	    h.producer != r->producer || h.seq != r->seq ||
	    rec->key_len != qt_key(h.producer, h.seq, key) ||
	    (rec->key_len > 0 && memcmp(rec->key, key, rec->key_len)))
		return "a dead letter is not the record that it was";
	if (r->letter)
		return "a record is a dead letter twice";
	if (!strcmp(text, "rejected") ? !(r->tried_reject >> last & 1) : last != QT_DELIVERIES)
		return "a dead letter's reason";
	r->letter = last;
	k->letters++;
	return NULL;
}

static void qt_check_record(struct qt_check *k, uint32_t p, int64_t offset)
{
	const struct qt_seen *r = &k->r[p][offset];
	uint32_t settled = r->accepted ?: r->rejected;
	const char *why = NULL;

	k->again += !!(r->took & (r->took - 1));
	if (settled && qt_last(r->took) > settled)
		why = "was settled and handed out again";
	else if (r->letter && qt_last(r->took) > r->letter)
		why = "was given up and handed out again";
	else if (r->letter && r->accepted)
		why = "was accepted and is a dead letter";
	else if (r->rejected && !r->letter)
		why = "was rejected and is no dead letter";
	else if (!r->letter && !r->accepted && !r->unknown)
		why = "is lost";
	if (why)
		qt_wrong(k, "partition %u: %lld %s (deliveries %x, settled in %u)", p,
			 (long long)offset, why, r->took, settled);
}

/* What comes later of a key is handed out when what was before it is settled. */
static void qt_check_keys(struct qt_check *k, uint32_t p)
{
	const struct qt_seen *last[QT_KEYS] = {};
	char key[16];
	int64_t i;

	for (i = 0; i < k->records[p]; i++) {
		const struct qt_seen *r = &k->r[p][i], **before;

		if (qt_key(r->producer, r->seq, key) < 0)
			continue;
		before = &last[atoi(key + 1)];
		if (*before && r->took && ((*before)->accepted || (*before)->rejected)) {
			if (r->first <= (*before)->begun)
				qt_wrong(k, "partition %u: %lld does not wait for the one before",
					 p, (long long)i);
			k->keys++;
		}
		*before = r;
	}
}

static void qt_check_all(struct qt_check *k)
{
	uint32_t i, p;
	int64_t at;

	qt_check_sent(k);
	for (i = 0; i < k->t->lives && !k->why[0]; i++)
		qt_check_life(k, i);
	for (p = 0; p < 3 && !k->why[0]; p++) {
		int fd = evt_open(&k->t->dead, p, O_RDONLY);
		const char *why = evw_walk(fd, qt_letter, k);

		if (why)
			qt_wrong(k, "%s", why);
		close(fd);
	}
	for (p = 0; p < QT_PARTITIONS && !k->why[0]; p++) {
		for (at = 0; at < k->records[p]; at++)
			qt_check_record(k, p, at);
		if (k->t->keyed)
			qt_check_keys(k, p);
	}
	if (!k->why[0] && !k->all)
		qt_wrong(k, "there was no record");
}

/* A scene of the torture: a queue from its first member to its last. */
static const char *queue_scene(uint64_t seed, int milliseconds, char *said, size_t size)
{
	struct qt *t = evw_shared(sizeof(*t));
	struct qt_crowd crowd = {};
	struct qt_check k = { .t = t };
	static char told[200];
	const char *why, *other;
	struct evw_crew crew;
	int i;

	t->seed = seed;
	t->keyed = seed % 2;
	t->logs = tt_logs(QT_LIVES, QT_ENTRIES);
	if (evt_create(&t->topic, "-p 4 --segment 64K") || evt_create(&t->dead, "-p 3"))
		return "topic create";
	evw_crew_init(&crew, true);
	for (i = 0; i < QT_PRODUCERS; i++) {
		t->sent[i] = evw_shared(TT_LOG_SIZE(QT_PRODUCED));
		evw_start(&crew, qt_produce, t, i);
	}
	why = qt_direct(t, &crowd, milliseconds);
	atomic_store(&t->stop, 1);
	if (evw_join(&crew))
		why = why ?: "producers failed";
	why = why ?: qt_drain(t);
	if (!why) {
		qt_check_all(&k);
		why = k.why[0] ? k.why : NULL;
	}
	snprintf(said, size,
		 "%s: %u members, %u records, %u of them again, %u dead letters, %u settled too late, %u keys",
		 t->keyed ? "keyed queue" : "queue", t->lives, k.all, k.again, k.letters, k.stale,
		 k.keys);
	other = evt_delete(&t->topic) || evt_delete(&t->dead) ? "topic delete" : NULL;
	snprintf(told, sizeof(told), "%s", why ?: other ?: "");
	for (i = 0; i < QT_PARTITIONS; i++)
		free(k.r[i]);
	for (i = 0; i < QT_PRODUCERS; i++)
		munmap(t->sent[i], TT_LOG_SIZE(QT_PRODUCED));
	munmap(t->logs, QT_LIVES * TT_LOG_SIZE(QT_ENTRIES));
	munmap(t, sizeof(*t));
	return told[0] ? told : NULL;
}

#endif /* EVQUEUETORTURE_H */
