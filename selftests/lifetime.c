// SPDX-License-Identifier: GPL-2.0
/*
 * Producers, readers, topics and the module come and go while others work.
 */
#include <dirent.h>
#include <sys/epoll.h>

#include "evwork.h"

#define PAGE		4096
#define PARAMETERS	"/sys/module/evstream/parameters/"

FIXTURE(lifetime) {
	struct evt_topic topic;
	int fd;
};

FIXTURE_SETUP(lifetime)
{
	self->fd = -1;
}

FIXTURE_TEARDOWN(lifetime)
{
	if (self->fd >= 0)
		close(self->fd);
	if (self->topic.name[0])
		EXPECT_EQ(0, evt_delete(&self->topic));
}

static int rmmod(void)
{
	return EVT(syscall(SYS_delete_module, "evstream", O_NONBLOCK));
}

#define KILLED	6

struct killed_shared {
	struct evt_topic *topic;
	atomic_uint acked[KILLED];
};

static const char *write_for_ever(void *arg, int index, struct evw_worker *w)
{
	struct killed_shared *s = arg;
	int fd = evt_open(s->topic, 0, O_WRONLY);
	char *buf = malloc(100000);
	uint64_t rnd = index + getpid();
	uint32_t seq;

	for (seq = atomic_load(&s->acked[index]) ;; seq++) {
		uint32_t len = evw_size(&rnd, index % 2 ? 100000 : 250);

		evw_make(buf, len, index, seq);
		if (write(fd, buf, len) != (ssize_t)len)
			return evw_why(w, "write: %s", strerror(errno));
		atomic_store(&s->acked[index], seq + 1);
	}
}

struct killed_walk {
	uint32_t next[KILLED];
	uint32_t doubles[KILLED];
	char why[100];
};

static const char *killed_record(const struct evs_record *rec, void *arg)
{
	struct killed_walk *k = arg;
	struct evw_head h;

	if (rec->value_len < 0 || !evw_check(rec->value, rec->value_len, &h) ||
	    h.producer >= KILLED)
		return "a record that nobody wrote";
	/* Killed between its write and its count, it wrote that one again. */
	if (h.seq + 1 == k->next[h.producer]) {
		k->doubles[h.producer]++;
		return NULL;
	}
	if (h.seq != k->next[h.producer]) {
		snprintf(k->why, sizeof(k->why), "producer %u: %u, not %u", h.producer, h.seq,
			 k->next[h.producer]);
		return k->why;
	}
	k->next[h.producer]++;
	return NULL;
}

TEST_F_TIMEOUT(lifetime, producers_killed, EVW_PATIENCE)
{
	struct killed_shared *s = evw_shared(sizeof(*s));
	struct killed_walk walk = {};
	const int rounds = 8;
	const char *why;
	uint64_t rnd = 1;
	int round, i;

	ASSERT_EQ(0, evt_create(&self->topic, "--segment 4M --ring 256M --max-record 100000"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
	s->topic = &self->topic;
	for (round = 0; round < rounds; round++) {
		struct evw_crew crew;
		long long end = evt_end(self->fd, 0);

		evw_crew_init(&crew, true);
		for (i = 0; i < KILLED; i++)
			evw_start(&crew, write_for_ever, s, i);
		/* Once some work was done, at a moment that is nobody's choice. */
		end += 100 + evw_random(&rnd) % 300;
		while (evt_end(self->fd, 0) < end)
			sched_yield();
		for (i = 0; i < KILLED; i++)
			kill(crew.w[i].pid, SIGKILL);
		for (i = 0; i < KILLED; i++)
			EXPECT_EQ(-SIGKILL, evt_wait(crew.w[i].pid));
	}
	why = evw_walk(self->fd, killed_record, &walk);
	EXPECT_EQ(NULL, why)
		TH_LOG("%s", why);
	for (i = 0; i < KILLED; i++) {
		uint32_t acked = atomic_load(&s->acked[i]);

		/* All that was acknowledged, and at the most what was on its way. */
		EXPECT_LE(acked, walk.next[i]);
		EXPECT_GE(acked + 1, walk.next[i]);
		EXPECT_GE(rounds, walk.doubles[i]);
	}
	/* Nobody is left who holds the end back. */
	EXPECT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(1, evw_counter(&self->topic, 0, "writers"));
}

TEST_F_TIMEOUT(lifetime, readers_killed, EVW_PATIENCE)
{
	pid_t pid[6];
	int i;

	ASSERT_EQ(0, evt_create(&self->topic, "-p 2"));
	self->fd = evt_open(&self->topic, 0, O_WRONLY);
	ASSERT_LE(0, self->fd);
	for (i = 0; i < 6; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			int fd = evt_open(&self->topic, i % 3 == 2 ? EVT_ANY : 0, O_RDONLY);
			struct evstream_fetch a = { .min_bytes = 1, .timeout_ms = -1, .offset = -1,
						    .len = PAGE };
			struct pollfd p = { .fd = fd, .events = POLLIN };
			char c[PAGE];

			a.buf = (uintptr_t)c;
			if (i % 3 == 0)
				_exit(read(fd, c, 1) > 0 ? 0 : 1);
			if (i % 3 == 1)
				_exit(ioctl(fd, EVSTREAM_IOC_FETCH, &a) ? 1 : 0);
			_exit(poll(&p, 1, -1) == 1 ? 0 : 1);
		}
	}
	for (i = 0; i < 6; i++)
		ASSERT_TRUE(evt_sleeps_in(pid[i], i % 3 == 0 ? __NR_read :
						  i % 3 == 1 ? __NR_ioctl : __NR_poll));
	EXPECT_EQ(4, evw_counter(&self->topic, 0, "readers"));
	for (i = 0; i < 3; i++) {
		kill(pid[i], SIGKILL);
		EXPECT_EQ(-SIGKILL, evt_wait(pid[i]));
	}
	EXPECT_EQ(2, evw_counter(&self->topic, 0, "readers"));
	/* Those that live are served. */
	EXPECT_EQ(1, write(self->fd, "x", 1));
	for (i = 3; i < 6; i++)
		EXPECT_EQ(0, evt_wait(pid[i]));
	EXPECT_EQ(0, evw_counter(&self->topic, 0, "readers"));
}

struct doomed {
	struct evt_topic topic;
	atomic_int deleted;
};

/* Who works on a topic until it is gone: NULL when it learns so as it should. */
static const char *work_until_dead(void *arg, int index, struct evw_worker *w)
{
	struct doomed *d = arg;
	struct evt_topic *t = &d->topic;
	int any = index % 2, fd = evt_open(t, any ? EVT_ANY : 0, O_RDWR);
	struct evstream_set_framing line = { .framing = EVSTREAM_FRAMING_LINE };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *buf = malloc(1 << 20), path[128];
	struct evstream_fetch a = { .buf = (uintptr_t)buf, .len = 1 << 20, .min_bytes = 1 << 19,
				    .timeout_ms = -1, .offset = -1 };
	struct evs_reader *r;
	struct evs_record rec;
	long long ret;
	int n = 0;

	if (fd < 0)
		return evw_why(w, "open: %s", strerror(errno));
	memset(buf, '\n', 1 << 20);
	switch (index / 2 % 7) {
	case 0:
		while ((ret = EVT(write(fd, buf, 100))) >= 0)
			n++;
		break;
	case 1:
		while ((ret = EVT(write(fd, buf, 50000))) >= 0)
			n++;
		break;
	case 2:
		ioctl(fd, EVSTREAM_IOC_SET_FRAMING, &line);
		while ((ret = EVT(write(fd, buf, 300))) >= 0)
			n++;
		break;
	case 3:
		while ((ret = EVT(read(fd, buf, 1 << 20))) >= 0 || ret == -EPIPE)
			n++;
		break;
	case 4:
		while (poll(&p, 1, -1) == 1 && !(p.revents & POLLHUP)) {
			ret = EVT(read(fd, buf, 1 << 20));
			if (ret < 0 && ret != -EPIPE && ret != -ENODEV)
				return evw_why(w, "read: %s", strerror(-ret));
		}
		ret = p.revents & POLLHUP ? -ENODEV : -EINVAL;
		break;
	case 5:
		while (!(ret = EVT(ioctl(fd, EVSTREAM_IOC_FETCH, &a))) || ret == -EPIPE)
			n++;
		break;
	default:
		evt_path(t, 0, path, sizeof(path));
		r = evs_reader_open(path, 0);
		if (!r)
			return evw_why(w, "evs_reader_open: %s", strerror(errno));
		while ((ret = evs_reader_next(r, &rec)) >= 0 || ret == -EPIPE) {
			n++;
			if (ret)
				continue;
			ret = evs_reader_wait(r, -1);
			if (ret < 0)
				break;
		}
		evs_reader_close(r);
	}
	if (ret != -ENODEV)
		return evw_why(w, "kind %d: %lld (%s)", index, ret, strerror(-ret));
	/* And nothing else from the moment that the deletion is done. */
	while (!atomic_load(&d->deleted))
		sched_yield();
	if (EVT(write(fd, buf, 1)) != -ENODEV || EVT(read(fd, buf, 1)) != -ENODEV ||
	    EVT(lseek(fd, 0, SEEK_SET)) != -ENODEV ||
	    EVT(ioctl(fd, EVSTREAM_IOC_FETCH, &a)) != -ENODEV ||
	    !(evt_poll(fd, 0) & POLLHUP))
		return evw_why(w, "kind %d: it is not dead for all", index);
	close(fd);
	free(buf);
	return NULL;
}

FIXTURE(deleted) {
	int none;
};

FIXTURE_VARIANT(deleted) {
	const char *options;
	bool processes;
};

FIXTURE_VARIANT_ADD(deleted, overwrite) {
	.options = "-p 2 --segment 64K --ring 256K --max-record 60000", .processes = false,
};

FIXTURE_VARIANT_ADD(deleted, blocked) {
	.options = "-p 2 --segment 64K --ring 128K --max-record 60000 --full block",
	.processes = true,
};

FIXTURE_SETUP(deleted) { }
FIXTURE_TEARDOWN(deleted) { }

TEST_F_TIMEOUT(deleted, under_load, EVW_PATIENCE)
{
	struct doomed *d = evw_shared(sizeof(*d));
	struct evw_crew crew;
	uint64_t rnd = 1;
	int round, i, fd;

	for (round = 0; round < 3; round++) {
		long long end = 20 + evw_random(&rnd) % 20;

		atomic_store(&d->deleted, 0);
		ASSERT_EQ(0, evt_create(&d->topic, variant->options));
		fd = evt_open(&d->topic, 0, O_RDONLY);
		evw_crew_init(&crew, variant->processes);
		for (i = 0; i < 14; i++)
			evw_start(&crew, work_until_dead, d, i);
		while (evt_end(fd, 0) < end || evw_counter(&d->topic, 0, "writers") < 7)
			sched_yield();
		EXPECT_EQ(-EWOULDBLOCK, rmmod());
		EXPECT_EQ(0, evt_delete(&d->topic));
		atomic_store(&d->deleted, 1);
		EXPECT_EQ(-EWOULDBLOCK, rmmod());
		EXPECT_EQ(0, evw_join(&crew));
		EXPECT_EQ(-ENODEV, evt_end(fd, 0));
		close(fd);
	}
}

/* Waiting for nothing but the end. */
TEST_F_TIMEOUT(lifetime, poll_hup_only, EVW_PATIENCE)
{
	int fds[4], i;
	pid_t pid[4];

	ASSERT_EQ(0, evt_create(&self->topic, ""));
	for (i = 0; i < 4; i++) {
		fds[i] = evt_open(&self->topic, i & 1 ? EVT_ANY : 0, i & 2 ? O_WRONLY : O_RDONLY);
		ASSERT_LE(0, fds[i]);
		pid[i] = fork();
		if (!pid[i]) {
			struct pollfd p = { .fd = fds[i] };

			_exit(poll(&p, 1, -1) == 1 && (p.revents & POLLHUP) ? 0 : 1);
		}
		ASSERT_TRUE(evt_sleeps_in(pid[i], __NR_poll));
	}
	EXPECT_EQ(0, evt_delete(&self->topic));
	self->topic.name[0] = '\0';
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, evt_wait(pid[i]));
}

TEST_F_TIMEOUT(lifetime, epoll_hup_only, EVW_PATIENCE)
{
	struct epoll_event event = { .events = EPOLLET };
	int ep = epoll_create1(0);
	pid_t pid;

	ASSERT_EQ(0, evt_create(&self->topic, ""));
	self->fd = evt_open(&self->topic, 0, O_RDONLY);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->fd, &event));
	pid = fork();
	if (!pid)
		_exit(epoll_wait(ep, &event, 1, -1) == 1 && (event.events & EPOLLHUP) ? 0 : 1);
	ASSERT_TRUE(evt_sleeps_in(pid, __NR_epoll_wait));
	EXPECT_EQ(0, evt_delete(&self->topic));
	self->topic.name[0] = '\0';
	EXPECT_EQ(0, evt_wait(pid));
	close(ep);
}

/* A full ring that blocks, and a line that waits for its end: the close does not hang. */
TEST_F_TIMEOUT(lifetime, close_full, EVW_PATIENCE)
{
	const char *options = "--segment 64K --ring 128K --max-record 30000 --full block";
	char *buf = calloc(1, 30000);
	int i, done[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, evt_create(&self->topic, options));
	self->fd = evt_open(&self->topic, 0, O_RDWR | O_NONBLOCK);
	ASSERT_LE(0, self->fd);
	for (i = 0; EVT(write(self->fd, buf, 30000)) == 30000; i++)
		;
	ASSERT_EQ(4, i);
	while (EVT(write(self->fd, buf, 1)) == 1)
		;
	ASSERT_EQ(0, pipe(done));
	pid = fork();
	if (!pid) {
		struct evstream_set_framing line = { .framing = EVSTREAM_FRAMING_LINE };
		int fd = evt_open(&self->topic, 0, O_WRONLY);

		if (ioctl(fd, EVSTREAM_IOC_SET_FRAMING, &line) || write(fd, buf, 20000) != 20000)
			_exit(1);
		/* The exit closes it; the pipe's end goes with the process, too. */
		close(done[0]);
		kill(getpid(), SIGKILL);
	}
	close(done[1]);
	EXPECT_EQ(0, read(done[0], &c, 1));
	EXPECT_EQ(-SIGKILL, evt_wait(pid));
	pid = fork();
	if (!pid) {
		struct evstream_set_framing line = { .framing = EVSTREAM_FRAMING_LINE };
		int fd = evt_open(&self->topic, 0, O_WRONLY);

		ioctl(fd, EVSTREAM_IOC_SET_FRAMING, &line);
		_exit(write(fd, buf, 20000) == 20000 ? 0 : 1);
	}
	/* Either it does not wait at all, or it is killed like any that waits. */
	kill(pid, SIGCONT);
	EXPECT_EQ(0, evt_wait(pid));
	free(buf);
}

struct makers {
	struct evt_topic topic;
	atomic_int done;
	atomic_llong opened;
};

static const char *make_and_break(void *arg, int index, struct evw_worker *w)
{
	struct makers *m = arg;
	struct evt_topic *t = &m->topic;
	char path[128];
	int i, fd;

	evt_path(t, index % 2 ? EVT_ANY : 0, path, sizeof(path));
	if (index < 3) {
		for (i = 0; i < 8; i++) {
			int c = evt_streamctl("topic create %s -p 3 >/dev/null 2>&1", t->name);
			int d = evt_streamctl("topic delete %s >/dev/null 2>&1", t->name);

			if ((c && c != 2) || (d && d != 2))
				return evw_why(w, "create %d, delete %d", c, d);
		}
		m->done++;
		return NULL;
	}
	/* Opens, and uses what it got. */
	while (m->done < 3) {
		char buf[100] = "";
		long long ret;

		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0) {
			if (errno != ENOENT && errno != ENXIO && errno != ENODEV)
				return evw_why(w, "open: %s", strerror(errno));
			continue;
		}
		m->opened++;
		ret = EVT(write(fd, buf, sizeof(buf)));
		if (ret != sizeof(buf) && ret != -ENODEV)
			return evw_why(w, "write: %s", strerror(-ret));
		ret = EVT(read(fd, buf, sizeof(buf)));
		if (ret != sizeof(buf) && ret != -ENODEV && ret != -EAGAIN)
			return evw_why(w, "read: %s", strerror(-ret));
		if (index % 2 == 0) {
			void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, EVSTREAM_MMAP_CTL);

			if (p == MAP_FAILED && errno != ENODEV)
				return evw_why(w, "mmap: %s", strerror(errno));
			if (p != MAP_FAILED)
				munmap(p, PAGE);
		}
		close(fd);
	}
	return NULL;
}

TEST_F_TIMEOUT(lifetime, one_name_many_makers, EVW_PATIENCE)
{
	struct makers *m = evw_shared(sizeof(*m));
	const char *name = m->topic.name;
	struct evw_crew crew;
	int i;

	strcpy(m->topic.name, "lifetime-race");
	evw_crew_init(&crew, true);
	for (i = 0; i < 6; i++)
		evw_start(&crew, make_and_break, m, i);
	EXPECT_EQ(0, evw_join(&crew));
	EXPECT_LT(0, m->opened);
	/* Nothing is left of it, and it can be made again. */
	evt_streamctl("topic delete %s >/dev/null 2>&1", name);
	EXPECT_NE(0, access("/dev/stream/lifetime-race", F_OK));
	EXPECT_EQ(0, evt_streamctl("topic create %s >/dev/null", name));
	EXPECT_EQ(0, access("/dev/stream/lifetime-race/any", F_OK));
	EXPECT_EQ(0, evt_delete(&m->topic));
	EXPECT_NE(0, access("/dev/stream/lifetime-race", F_OK));
}

struct setting {
	struct evt_topic *topic;
	atomic_int stop;
	atomic_llong absent;
};

static const char *use_while_set(void *arg, int index, struct evw_worker *w)
{
	struct setting *s = arg;
	char buf[1000];
	uint32_t seq = 0;

	while (!atomic_load(&s->stop)) {
		int fd = evt_open(s->topic, 0, O_RDWR | O_NONBLOCK);
		struct evw_head h;
		long long ret;

		if (fd < 0) {
			/* A node is made again when its mode changes. */
			if (errno != ENOENT && errno != ENXIO)
				return evw_why(w, "open: %s", strerror(errno));
			s->absent++;
			continue;
		}
		evw_make(buf, sizeof(buf), index, seq++);
		ret = EVT(write(fd, buf, sizeof(buf)));
		if (ret != sizeof(buf))
			return evw_why(w, "write: %s", strerror(-ret));
		while ((ret = EVT(read(fd, buf, sizeof(buf)))) == -EPIPE)
			;
		if (ret != -EAGAIN && (ret != sizeof(buf) || !evw_check(buf, ret, &h)))
			return evw_why(w, "read: %lld", ret);
		close(fd);
	}
	return seq > 10 ? NULL : "it was hardly ever there";
}

TEST_F_TIMEOUT(lifetime, set_while_used, EVW_PATIENCE)
{
	static const char *const sets[] = {
		"ring=128K", "mode=0600", "ring=1M", "owner=1000", "mode=0666", "ring=256K",
		"owner=0", "retention=1h,64K", "retention=7d,0", "full=fail", "full=overwrite",
		"max-record=2000",
	};
	struct setting *s = evw_shared(sizeof(*s));
	struct evw_crew crew;
	struct stat st;
	char path[128];
	unsigned int i;
	int failed = 0;

	ASSERT_EQ(0, evt_create(&self->topic, "-p 2 --segment 64K --ring 128K --max-record 60000"));
	s->topic = &self->topic;
	evw_crew_init(&crew, true);
	for (i = 0; i < 3; i++)
		evw_start(&crew, use_while_set, s, i);
	for (i = 0; i < 12; i++) {
		const char *what = sets[i % (sizeof(sets) / sizeof(sets[0]))];

		/* The ring is full most of the time: producers must not fail for long. */
		if (!strcmp(what, "full=fail"))
			continue;
		if (evt_set(&self->topic, what)) {
			TH_LOG("topic set %s", what);
			failed++;
		}
	}
	EXPECT_EQ(0, failed);
	atomic_store(&s->stop, 1);
	EXPECT_EQ(0, evw_join(&crew));
	EXPECT_EQ(0, evt_set(&self->topic, "mode=0640"));
	EXPECT_EQ(0, evt_set(&self->topic, "owner=1234"));
	for (i = 0; i < 3; i++) {
		evt_path(&self->topic, i < 2 ? (int)i : EVT_ANY, path, sizeof(path));
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(S_IFCHR | 0640, st.st_mode);
		EXPECT_EQ(1234, st.st_uid);
	}
	TH_LOG("%lld opens found no node for a moment", s->absent);
}

static const char *const ceiling_names[] = { "max_topics", "max_partitions", "max_bytes" };

FIXTURE(ceilings) {
	long long was[3];
	struct evt_topic t[3];
};

/* Topics there are, or partitions of all of them. */
static int count(bool partitions)
{
	DIR *top = opendir("/dev/stream"), *dir;
	struct dirent *topic, *node;
	char path[300];
	int n = 0;

	while (top && (topic = readdir(top))) {
		if (topic->d_name[0] == '.')
			continue;
		if (!partitions) {
			n++;
			continue;
		}
		snprintf(path, sizeof(path), "/dev/stream/%s", topic->d_name);
		dir = opendir(path);
		while (dir && (node = readdir(dir)))
			n += node->d_name[0] >= '0' && node->d_name[0] <= '9';
		if (dir)
			closedir(dir);
	}
	if (top)
		closedir(top);
	return n;
}

/* A ceiling for the length of a test. */
static int ceiling(const char *name, long long value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%lld", value);
	return evw_write_file(path, text);
}

FIXTURE_SETUP(ceilings)
{
	char path[128];
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), PARAMETERS "%s", ceiling_names[i]);
		self->was[i] = evw_number(path, "");
		ASSERT_LE(0, self->was[i]);
	}
}

FIXTURE_TEARDOWN(ceilings)
{
	int i;

	for (i = 0; i < 3; i++)
		EXPECT_EQ(0, ceiling(ceiling_names[i], self->was[i]));
}

TEST_F_TIMEOUT(ceilings, are_kept, EVW_PATIENCE)
{
	struct evt_topic *t = self->t;
	char *buf = calloc(1, 65536);
	int fd, i;

	EXPECT_EQ(0, ceiling("max_topics", count(false) + 2));
	EXPECT_EQ(0, evt_create(&t[0], ""));
	EXPECT_EQ(0, evt_create(&t[1], ""));
	EXPECT_EQ(2, evt_create(&t[2], "2>/dev/null"));
	EXPECT_EQ(0, evt_delete(&t[0]));
	EXPECT_EQ(0, evt_create(&t[2], ""));
	EXPECT_EQ(0, ceiling("max_topics", self->was[0]));

	EXPECT_EQ(0, ceiling("max_partitions", count(true) + 8));
	EXPECT_EQ(2, evt_create(&t[0], "-p 9 2>/dev/null"));
	EXPECT_EQ(0, evt_create(&t[0], "-p 8"));
	EXPECT_EQ(0, evt_delete(&t[0]));
	EXPECT_EQ(0, evt_delete(&t[1]));
	EXPECT_EQ(0, evt_delete(&t[2]));
	EXPECT_EQ(0, ceiling("max_partitions", self->was[1]));

	/* Bytes of all: a topic that overwrites goes on with less, another is told. */
	EXPECT_EQ(0, ceiling("max_bytes", 4 << 20));
	EXPECT_EQ(0, evt_create(&t[0], "--segment 1M --ring 64M"));
	EXPECT_EQ(0, evt_create(&t[1], "--segment 1M --ring 64M --full fail"));
	fd = evt_open(&t[0], 0, O_RDWR);
	for (i = 0; i < 200; i++)
		ASSERT_EQ(65536, write(fd, buf, 65536));
	EXPECT_GE(4 << 20, evw_counter(&t[0], 0, "memory"));
	EXPECT_LT(0, evt_start(fd, 0));
	EXPECT_EQ(NULL, evw_walk(fd, NULL, NULL));
	close(fd);
	fd = evt_open(&t[1], 0, O_WRONLY);
	for (i = 0; i < 200 && EVT(write(fd, buf, 65536)) == 65536; i++)
		;
	EXPECT_EQ(-ENOSPC, EVT(write(fd, buf, 65536)));
	EXPECT_GE(4 << 20, evw_counter(&t[0], 0, "memory") + evw_counter(&t[1], 0, "memory"));
	/* With room again, it is as if nothing had been. */
	EXPECT_EQ(0, ceiling("max_bytes", 8 << 20));
	EXPECT_EQ(65536, write(fd, buf, 65536));
	close(fd);
	EXPECT_EQ(0, ceiling("max_bytes", self->was[2]));
	EXPECT_EQ(0, evt_delete(&t[0]));
	EXPECT_EQ(0, evt_delete(&t[1]));
	free(buf);
}

/* A producer in a control group that has no memory for the ring. */
TEST_F_TIMEOUT(lifetime, memory_of_the_producer, EVW_PATIENCE)
{
	const char *group = "/sys/fs/cgroup/evstream-lifetime";
	char path[128];
	long long end, events;
	int status, ret;
	pid_t pid;

	evw_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	snprintf(path, sizeof(path), "%s/memory.max", group);
	if (mkdir(group, 0755) || evw_write_file(path, "8388608")) {
		rmdir(group);
		SKIP(return, "no memory control group");
	}
	ASSERT_EQ(0, evt_create(&self->topic, "--segment 1M --ring 64M"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	pid = fork();
	if (!pid) {
		char *buf = calloc(1, 65536);
		int i;

		snprintf(path, sizeof(path), "%s/cgroup.procs", group);
		if (evw_write_file(path, "0"))
			_exit(100);
		for (i = 0; i < 1000; i++) {
			evw_make(buf, 65536, 1, i);
			ret = EVT(write(self->fd, buf, 65536));
			if (ret != 65536)
				_exit(-ret);
		}
		_exit(0);
	}
	/* It is refused, or it is the one that is killed: nobody else suffers. */
	status = evt_wait(pid);
	EXPECT_TRUE(status == ENOMEM || status == -SIGKILL)
		TH_LOG("it ended with %d", status);
	end = evt_end(self->fd, 0);
	EXPECT_LT(10, end);
	EXPECT_GT(8 << 20, evw_counter(&self->topic, 0, "memory"));
	EXPECT_EQ(NULL, evw_walk(self->fd, NULL, NULL));
	/* Another one, with memory of its own, goes on. */
	EXPECT_EQ(5, write(self->fd, "after", 5));
	EXPECT_EQ(end + 1, evt_end(self->fd, 0));
	snprintf(path, sizeof(path), "%s/memory.events", group);
	events = evw_number(path, "max ");
	EXPECT_LT(0, events);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, evt_delete(&self->topic));
	self->topic.name[0] = '\0';
	rmdir(group);
}

/* Loaded and unloaded, with topics and files in between. */
TEST_F_TIMEOUT(lifetime, load_and_unload, EVW_PATIENCE)
{
	long long topics = evw_number(PARAMETERS "max_topics", "");
	long long partitions = evw_number(PARAMETERS "max_partitions", "");
	long long bytes = evw_number(PARAMETERS "max_bytes", "");
	char command[256], buf[100] = "";
	int i, n;

	snprintf(command, sizeof(command),
		 "modprobe evstream max_topics=%lld max_partitions=%lld max_bytes=%lld",
		 topics, partitions, bytes);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, evt_create(&self->topic, "-p 4 --segment 64K --ring 128K"));
		self->fd = evt_open(&self->topic, i % 2 ? EVT_ANY : 3, O_RDWR);
		ASSERT_LE(0, self->fd);
		for (n = 0; n < 3000; n++)
			ASSERT_EQ(sizeof(buf), write(self->fd, buf, sizeof(buf)));
		/* A topic alone holds it. */
		if (i % 3 == 0)
			close(self->fd);
		ASSERT_EQ(-EWOULDBLOCK, rmmod());
		ASSERT_EQ(0, evt_delete(&self->topic));
		self->topic.name[0] = '\0';
		if (i % 3) {
			/* A file alone, too. */
			ASSERT_EQ(-EWOULDBLOCK, rmmod());
			close(self->fd);
		}
		self->fd = -1;
		/* At once: what is freed behind a grace period is waited for. */
		ASSERT_EQ(0, rmmod());
		ASSERT_NE(0, access("/sys/module/evstream", F_OK));
		ASSERT_EQ(0, system(command));
		ASSERT_EQ(topics, evw_number(PARAMETERS "max_topics", ""));
	}
}

TEST_HARNESS_MAIN
