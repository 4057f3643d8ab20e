// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzzer: programs of calls that are made at random, changed at random, and kept
 * when they reach code of the module that no other did. Without CONFIG_KCOV there is
 * no telling which, and they are only made at random. The kernel's log is not looked
 * at here: who runs this does so.
 *
 * EVSTREAM_SEED chooses what is done, and EVSTREAM_SECONDS for how long. Below
 * EVSTREAM_OUT, if set, are the last two batches of programs of each worker
 * (fuzz-WORKER-0 and -1, written before they run) and at the end all that were kept
 * (fuzz-corpus), which EVSTREAM_CORPUS=FILE takes up again. EVSTREAM_REPLAY=FILE:...
 * runs the programs of such files, again and again, each file's in a worker of its own.
 */
#include <dirent.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/time.h>

#include "evdurable.h"
#include "evfuzzcalls.h"

#define WORKERS		4
#define BATCH		24
#define CORPUS		2500
/* Programs of the corpus that are there only because there is no telling. */
#define BLIND		150
#define COVER		(64U << 10)
/* The module's code is smaller: all its addresses differ in these bits. */
#define PCS		(1U << 21)
#define EDGES		(1U << 20)
#define CANARY		200
/* A call that sleeps is interrupted after so many milliseconds. */
#define NAP		50
/* An executor is killed after so many seconds, and has so many to go. */
#define TIME_LIMIT	150
#define TIME_TO_DIE	100

#define KCOV_INIT	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0

/**
 * struct worker - who makes programs, and has a child execute them
 * @nr: programs in the batch
 * @current: the one that is executed
 * @reached: of each program: one more than the call that reached something new
 * @batch: the programs
 * @sane: nothing is wrong with the programs
 * @why: what went wrong
 */
struct worker {
	unsigned int nr;
	atomic_uint current;
	atomic_uint reached[BATCH];
	struct fz_program batch[BATCH];
	bool sane;
	char why[160];
};

/* What became of the calls of a kind, and how much of the module they ran. */
struct tally {
	atomic_ulong calls, fine, missing, pcs;
};

struct shared {
	uint64_t seed;
	atomic_long end;
	atomic_int sane;
	bool kcov;
	int family;
	char dirs[2][EVD_PATH];
	atomic_ulong programs, killed, died, pcs, edges;
	struct tally tally[128];
	atomic_ulong pc_map[PCS / 64];
	atomic_ulong edge_map[EDGES / 64];
	pthread_mutex_t lock;
	unsigned int nr_corpus;
	struct fz_program corpus[CORPUS];
	struct worker worker[WORKERS];
};

static bool over(const struct shared *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return s->end && now.tv_sec >= s->end;
}

/* ---------------------------------------------------------------------- kcov */

/* Where the kernel says what a thread ran; NULL without CONFIG_KCOV. */
struct cover {
	int fd;
	unsigned long *area;
};

static void cover_open(struct cover *c)
{
	c->area = NULL;
	c->fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	if (c->fd < 0 || ioctl(c->fd, KCOV_INIT, COVER))
		return;
	c->area = mmap(NULL, COVER * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->area == MAP_FAILED)
		c->area = NULL;
}

static void cover_begin(const struct cover *c)
{
	if (c->area)
		__atomic_store_n(&c->area[0], 0, __ATOMIC_RELAXED);
}

static bool mark(atomic_ulong *map, unsigned int bit)
{
	unsigned long mask = 1UL << bit % 64;

	if (atomic_load_explicit(&map[bit / 64], memory_order_relaxed) & mask)
		return false;
	return !(atomic_fetch_or(&map[bit / 64], mask) & mask);
}

/* Whether something new was reached since cover_begin(). */
static bool cover_end(struct shared *s, const struct cover *c, int kind)
{
	unsigned long n, i, before = 0, fresh = 0;

	if (!c->area)
		return false;
	n = __atomic_load_n(&c->area[0], __ATOMIC_RELAXED);
	if (n > COVER - 1)
		n = COVER - 1;
	for (i = 1; i <= n; i++) {
		unsigned long pc = c->area[i];
		uint32_t edge = (pc ^ before * 0x9e3779b97f4a7c15UL >> 20) % EDGES;

		if (mark(s->pc_map, pc % PCS))
			s->pcs++;
		if (mark(s->edge_map, edge)) {
			s->edges++;
			fresh++;
		}
		before = pc;
	}
	if (kind >= 0)
		s->tally[kind].pcs += n;
	return fresh;
}

/* ------------------------------------------------------------------ executor */

struct executor {
	struct shared *s;
	struct worker *w;
	struct fz_machine m;
	struct fz_thread thread[2];
	struct cover cover[2];
	const struct fz_program *p;
	pthread_t main, second;
	pthread_barrier_t barrier;
	bool has_second;
	struct itimerval nap;
};

static struct executor *this_executor;

/* What sleeps goes on, in both threads. */
static void on_alarm(int sig)
{
	struct executor *e = this_executor;

	(void)sig;
	if (e->has_second && pthread_equal(pthread_self(), e->main))
		pthread_kill(e->second, SIGUSR1);
}

static void reach(struct executor *e, unsigned int call)
{
	atomic_uint *r = e->w->reached + e->w->current;

	if (*r < call + 1)
		*r = call + 1;
}

static void run_calls(struct executor *e, int index, unsigned int from, unsigned int to)
{
	const struct fz_program *p = e->p;
	bool apart = from >= p->alone;
	unsigned int i;

	for (i = from; i < to; i++) {
		const struct fz_kind *k = &fz_kinds[p->call[i].kind];
		struct tally *tally = &e->s->tally[p->call[i].kind];
		long ret;

		if (apart && (p->second >> i & 1) != (unsigned int)index)
			continue;
		setitimer(ITIMER_REAL, &e->nap, NULL);
		cover_begin(&e->cover[index]);
		ret = k->fn(&e->thread[index], k, p->call[i].arg);
		if (cover_end(e->s, &e->cover[index], p->call[i].kind))
			reach(e, i);
		tally->calls++;
		if (ret >= 0)
			tally->fine++;
		else if (ret == FZ_MISSING)
			tally->missing++;
	}
}

static void cover_here(const struct cover *c)
{
	if (c->area && ioctl(c->fd, KCOV_ENABLE, KCOV_TRACE_PC))
		_exit(3);
}

static void *second_thread(void *data)
{
	struct executor *e = data;

	fz_self = &e->thread[1];
	fz_signals(true);
	cover_here(&e->cover[1]);
	for (;;) {
		pthread_barrier_wait(&e->barrier);
		run_calls(e, 1, e->p->alone, e->p->nr);
		pthread_barrier_wait(&e->barrier);
	}
	return NULL;
}

/* All that a program had goes, as if the process had ended. */
static void clear(struct executor *e)
{
	struct fz_machine *m = &e->m;
	unsigned int i;

	cover_begin(&e->cover[0]);
	for (i = 0; i < FZ_FDS; i++)
		fz_close(&e->thread[0], i);
	mmap(m->windows, FZ_MAPS * FZ_WINDOW, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
	     -1, 0);
	for (i = 0; i < FZ_SOCKETS; i++) {
		int fd = atomic_exchange(&m->socket[i], -1);

		if (fd >= 0)
			close(fd);
	}
	close(m->pair[0]);
	close(m->pair[1]);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, m->pair))
		_exit(4);
	if (cover_end(e->s, &e->cover[0], -1))
		reach(e, e->p->nr ? e->p->nr - 1 : 0);
}

static void run_program(struct executor *e, const struct fz_program *p)
{
	unsigned int alone = p->alone < p->nr ? p->alone : p->nr;

	e->p = p;
	run_calls(e, 0, 0, alone);
	if (alone < p->nr) {
		if (!e->has_second) {
			pthread_barrier_init(&e->barrier, NULL, 2);
			fz_signals(false);
			if (pthread_create(&e->second, NULL, second_thread, e))
				_exit(5);
			fz_signals(true);
			e->has_second = true;
		}
		pthread_barrier_wait(&e->barrier);
		run_calls(e, 0, alone, p->nr);
		pthread_barrier_wait(&e->barrier);
	}
	clear(e);
	e->s->programs++;
}

static void execute(struct executor *e)
{
	struct sigaction wake = { .sa_handler = on_alarm };
	struct sigaction fault = { .sa_sigaction = fz_on_fault, .sa_flags = SA_SIGINFO };
	struct rlimit core = {};
	struct worker *w = e->w;

	/* What is to succeed has time to do so. */
	e->nap.it_value.tv_usec = NAP * 1000;
	e->nap.it_value.tv_sec = w->sane ? 5 : 0;
	e->nap.it_interval = e->nap.it_value;
	setpgid(0, 0);
	setrlimit(RLIMIT_CORE, &core);
	prctl(PR_SET_DUMPABLE, 1);
	this_executor = e;
	e->main = pthread_self();
	sigaction(SIGALRM, &wake, NULL);
	sigaction(SIGUSR1, &wake, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	signal(SIGIO, SIG_IGN);
	fz_self = &e->thread[0];
	e->m.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, e->m.pair))
		_exit(2);
	cover_here(&e->cover[0]);
	for (w->current = 0; w->current < w->nr && !over(e->s); w->current++)
		run_program(e, &w->batch[w->current]);
	_exit(0);
}

/* -------------------------------------------------------------------- worker */

/* All children are gone, before so many seconds are over. */
static bool reap(int seconds)
{
	int i, status;

	for (i = 0; i < seconds * 200; i++) {
		pid_t pid;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return true;
		usleep(5000);
	}
	return false;
}

/* Executes the batch; killed after so many milliseconds. False: something is wrong. */
static bool run_batch(struct executor *e, int milliseconds)
{
	struct worker *w = e->w;
	struct pollfd p = { .events = POLLIN };
	int status = 0;
	unsigned int i;
	pid_t pid;

	for (i = 0; i < BATCH; i++)
		w->reached[i] = 0;
	fflush(stdout);
	pid = fork();
	if (!pid)
		execute(e);
	if (pid < 0) {
		usleep(100000);
		return true;
	}
	setpgid(pid, pid);
	p.fd = syscall(SYS_pidfd_open, pid, 0);
	if (!poll(&p, 1, milliseconds ?: TIME_LIMIT * 1000)) {
		e->s->killed++;
		if (!milliseconds)
			printf("# program %u of a batch took too long\n", w->current);
	}
	close(p.fd);
	/* Those that it forked, too. */
	kill(-pid, SIGKILL);
	for (i = 0; i < TIME_TO_DIE * 200 && !waitpid(pid, &status, WNOHANG); i++)
		usleep(5000);
	if (i == TIME_TO_DIE * 200 || !reap(TIME_TO_DIE)) {
		evd_sh("cat /proc/%d/task/*/stack", pid);
		snprintf(w->why, sizeof(w->why), "program %u does not die", w->current);
		return false;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status)) {
		snprintf(w->why, sizeof(w->why), "an executor ended with %d", WEXITSTATUS(status));
		return false;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		e->s->died++;
	return true;
}

/* Programs that reached something new are kept, up to there. */
static void keep(struct shared *s, struct worker *w, struct fz_choice *c)
{
	unsigned int i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < w->nr; i++) {
		struct fz_program *p;

		if (!w->reached[i] && (s->kcov || s->nr_corpus >= BLIND))
			continue;
		if (s->nr_corpus < CORPUS)
			p = &s->corpus[s->nr_corpus++];
		else
			p = &s->corpus[fz_below(c, CORPUS)];
		*p = w->batch[i];
		if (w->reached[i] && p->nr > w->reached[i])
			p->nr = w->reached[i];
	}
	pthread_mutex_unlock(&s->lock);
}

static void make(struct shared *s, struct worker *w, struct fz_choice *c)
{
	static const unsigned int wild[] = { 1, 10, 30, 30, 100, 400 };
	static struct fz_program other;
	unsigned int i, a, b;

	pthread_mutex_lock(&s->lock);
	w->nr = BATCH;
	for (i = 0; i < BATCH; i++) {
		c->wild = FZ_PICK(c, wild);
		if (!s->nr_corpus || !fz_below(c, 6)) {
			fz_new(c, &w->batch[i]);
			continue;
		}
		a = fz_below(c, s->nr_corpus);
		b = fz_below(c, s->nr_corpus);
		/* Later ones reached what is harder to reach. */
		w->batch[i] = s->corpus[fz_below(c, 3) && b > a ? b : a];
		other = s->corpus[b];
		fz_mutate(c, &w->batch[i], &other);
	}
	pthread_mutex_unlock(&s->lock);
}

/* One of each kind with nothing wrong: it must succeed. Two workers share them. */
static bool make_sane(struct worker *w, struct fz_choice *c, unsigned int *kind)
{
	struct fz_program *p;

	for (w->nr = 0; w->nr < BATCH && *kind < fz_nr_kinds; *kind += 2) {
		unsigned int needs = fz_kinds[*kind].needs;

		p = &w->batch[w->nr++];
		c->wild = 0;
		c->topic = needs & FZ_NEEDS_DURABLE ? 3 : 2;
		/* A new topic takes its time: most can have that of the one before. */
		fz_prepare(c, p, needs, !needs || needs & FZ_NEEDS_DURABLE);
		fz_add(c, p, fz_kinds[*kind].name);
	}
	return w->nr;
}

static bool load(struct worker *w, FILE *f)
{
	for (w->nr = 0; w->nr < BATCH && fz_scan(f, &w->batch[w->nr]);)
		w->nr++;
	return w->nr;
}

/* A file below EVSTREAM_OUT, or -1 where there is none. */
static int out_file(const char *fmt, int worker, unsigned int nr)
{
	const char *out = getenv("EVSTREAM_OUT");
	char path[300];
	int n;

	if (!out)
		return -1;
	n = snprintf(path, sizeof(path), "%s/", out);
	snprintf(path + n, sizeof(path) - n, fmt, worker, nr);
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static void store(int fd, const struct fz_program *p, unsigned int nr)
{
	char *text = fd < 0 ? NULL : malloc((size_t)nr * FZ_TEXT + 1);
	unsigned int i;
	size_t n = 0;

	if (!text)
		return;
	for (i = 0; i < nr; i++)
		n += fz_print(&p[i], text + n);
	/* Else it would be in the memory of a machine that dies. */
	if (ftruncate(fd, 0) || pwrite(fd, text, n, 0) != (ssize_t)n || fdatasync(fd))
		printf("# programs cannot be stored: %s\n", strerror(errno));
	free(text);
}

/* Workers 0 and 1 are root, 2 is nobody, and 3 is nobody, too, but root of its own. */
static bool drop(int index)
{
	if (index < 2)
		return true;
	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534))
		return false;
	prctl(PR_SET_DUMPABLE, 1);
	/* Where there are no such namespaces, they are two of a kind. */
	if (index == 3 && !unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return !evw_write_file("/proc/self/setgroups", "deny") &&
		       !evw_write_file("/proc/self/uid_map", "0 65534 1");
	return true;
}

static const char *work(void *arg, int index, struct evw_worker *evw)
{
	static struct executor e;
	struct shared *s = arg;
	struct worker *w = &s->worker[index];
	struct fz_choice c = { .rnd = s->seed * WORKERS + index };
	const char *replay = getenv("EVSTREAM_REPLAY");
	unsigned int kind = index, batch = 0, i;
	char *files, *file;
	int out[2];
	FILE *f = NULL;

	(void)evw;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	e.s = s;
	e.w = w;
	e.m.worker = index;
	e.m.family = s->family;
	e.m.dirs[0] = s->dirs[0];
	e.m.dirs[1] = s->dirs[1];
	for (i = 0; i < FZ_FDS; i++)
		e.m.fd[i] = -1;
	for (i = 0; i < FZ_SOCKETS; i++)
		e.m.socket[i] = -1;
	e.m.windows = mmap(NULL, FZ_MAPS * FZ_WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
	for (i = 0; i < 2; i++) {
		out[i] = out_file("fuzz-%d-%u", index, i);
		if (!fz_memory_init(&e.thread[i], &e.m))
			return "memory";
		cover_open(&e.cover[i]);
	}
	if (replay) {
		files = strdup(replay);
		file = strtok(files, ":");
		for (i = 0; file && i < (unsigned int)index; i++)
			file = strtok(NULL, ":");
		if (!file)
			return NULL;
		f = fopen(file, "r");
		if (!f)
			return "EVSTREAM_REPLAY cannot be opened";
	}
	if (chdir(s->dirs[0]))
		return "chdir";
	if (!drop(index))
		return "privileges cannot be given up";
	/* What must succeed is not disturbed. */
	while (index >= 2 && !f && s->sane < 2 && !over(s))
		usleep(50000);
	evw_random(&c.rnd);
	while (!over(s)) {
		int milliseconds = 0;

		if (f) {
			if (!load(w, f)) {
				rewind(f);
				continue;
			}
		} else if (index < 2 && make_sane(w, &c, &kind)) {
			w->sane = true;
		} else {
			if (w->sane)
				s->sane++;
			w->sane = false;
			make(s, w, &c);
			store(out[batch++ % 2], w->batch, w->nr);
			milliseconds = fz_below(&c, 8) ? 0 : 1 + fz_below(&c, 400);
		}
		if (!run_batch(&e, milliseconds))
			return w->why;
		keep(s, w, &c);
	}
	return NULL;
}

static const char *work_or_fail(void *arg, int index, struct evw_worker *evw)
{
	struct worker *w = &((struct shared *)arg)->worker[index];
	const char *why = work(arg, index, evw);

	if (why && why != w->why)
		snprintf(w->why, sizeof(w->why), "%s", why);
	return why;
}

/* ------------------------------------------------------------------- control */

static long ask(int fd, int family, int cmd, int flags, const char *name,
		void (*fn)(struct nlattr *, size_t, void *), void *data)
{
	struct {
		struct nlmsghdr h;
		struct genlmsghdr g;
		char attr[512];
	} q = { .h = { .nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN, .nlmsg_type = family,
		       .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = fz_seq() },
		.g = { .cmd = cmd, .version = EVSTREAM_FAMILY_VERSION } };

	/* Of the controller's attributes and of the topics' the name is the second. */
	if (name)
		q.h.nlmsg_len += fz_nla(q.attr, EVSTREAM_A_TOPIC_NAME, name,
						strlen(name) + 1) - q.attr;
	if (send(fd, &q, q.h.nlmsg_len, 0) < 0)
		return -errno;
	return fz_answer(fd, q.h.nlmsg_seq, 1000, fn, data);
}

static const void *attribute(struct nlattr *a, size_t len, int type)
{
	while (len >= sizeof(*a) && a->nla_len >= sizeof(*a) && a->nla_len <= len) {
		size_t size = NLA_ALIGN(a->nla_len);

		if (a->nla_type == type)
			return (char *)a + NLA_HDRLEN;
		len -= len < size ? len : size;
		a = (void *)((char *)a + size);
	}
	return NULL;
}

static void find_family(struct nlattr *a, size_t len, void *data)
{
	const void *id = attribute(a, len, CTRL_ATTR_FAMILY_ID);

	if (id)
		*(int *)data = *(const uint16_t *)id;
}

struct names {
	unsigned int nr;
	char name[100][EVSTREAM_NAME_MAX + 1];
};

static void find_name(struct nlattr *a, size_t len, void *data)
{
	const char *name = attribute(a, len, EVSTREAM_A_TOPIC_NAME);
	struct names *n = data;

	if (name && !strncmp(name, "fz", 2) && n->nr < 100)
		strcpy(n->name[n->nr++], name);
}

/* The topics of the programs go, and the files that they left. How many are still there. */
static int purge(struct shared *s, int fd)
{
	struct names names = {};
	unsigned int i;

	ask(fd, s->family, EVSTREAM_CMD_TOPIC_GET, NLM_F_DUMP, NULL, find_name, &names);
	for (i = 0; i < names.nr; i++)
		ask(fd, s->family, EVSTREAM_CMD_TOPIC_DEL, NLM_F_ACK, names.name[i], NULL, NULL);
	evd_sh("rm -rf %s/fz* %s/fz*", s->dirs[0], s->dirs[1]);
	names.nr = 0;
	ask(fd, s->family, EVSTREAM_CMD_TOPIC_GET, NLM_F_DUMP, NULL, find_name, &names);
	return names.nr;
}

/* What the programs made takes up too much. */
static bool crowded(const struct shared *s)
{
	long long total = evw_number("/proc/meminfo", "MemTotal:");
	long long free = evw_number("/proc/meminfo", "MemAvailable:");
	struct statvfs v;
	int i;

	for (i = 0; i < 2; i++)
		if (!statvfs(s->dirs[i], &v) &&
		    (v.f_blocks - v.f_bfree) * v.f_frsize > 100ULL << 20)
			return true;
	return free < total / 5;
}

/* A topic with records that nobody but the parent knows of. */
static const char *canary_make(struct evt_topic *t, const char *dir)
{
	const char *options = "--segment 64K --ring 4M --mode 0600";
	char buf[1000];
	int fd, i;

	if (dir ? evd_create(t, dir, "--segment 64K --mode 0600") : evt_create(t, options))
		return "canary: topic create";
	fd = evt_open(t, 0, O_RDWR);
	for (i = 0; i < CANARY; i++) {
		evw_make(buf, sizeof(buf), 77, i);
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			return "canary: write";
	}
	if (fsync(fd) && dir)
		return "canary: fsync";
	close(fd);
	return NULL;
}

static const char *canary_record(const struct evs_record *rec, void *arg)
{
	unsigned int *n = arg;
	struct evw_head h;

	if (!evw_check(rec->value, rec->value_len, &h) || h.producer != 77 || h.seq != *n)
		return "a record is another";
	++*n;
	return NULL;
}

static const char *canary_check(struct evt_topic *t)
{
	int fd = evt_open(t, 0, O_RDONLY);
	unsigned int n = 0;
	const char *why = evw_walk(fd, canary_record, &n);

	close(fd);
	if (!why && n != CANARY)
		why = "records are missing";
	return why;
}

static long long setting(const char *name, long long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoll(text, NULL, 0) : otherwise;
}

FIXTURE(fuzz) {
	struct shared *s;
	struct evt_topic canary[2];
	int fd;
};

FIXTURE_SETUP(fuzz)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	pthread_mutexattr_t attr;
	struct timespec now;
	struct cover cover;
	struct shared *s;
	const char *from = getenv("EVSTREAM_CORPUS");
	FILE *f;

	s = evw_shared(sizeof(*s));
	self->s = s;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->lock, &attr);
	ASSERT_GE(sizeof(s->tally) / sizeof(s->tally[0]), fz_nr_kinds);
	self->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	ASSERT_EQ(0, bind(self->fd, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, ask(self->fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK,
			 EVSTREAM_FAMILY_NAME, find_family, &s->family));
	ASSERT_NE(0, s->family);
	ASSERT_EQ(0, evd_place("tmpfs", s->dirs[0]));
	ASSERT_EQ(0, evd_place("ext4", s->dirs[1]));
	ASSERT_FINE(canary_make(&self->canary[0], NULL));
	ASSERT_FINE(canary_make(&self->canary[1], s->dirs[1]));
	cover_open(&cover);
	s->kcov = cover.area;
	if (cover.fd >= 0)
		close(cover.fd);
	clock_gettime(CLOCK_REALTIME, &now);
	s->seed = setting("EVSTREAM_SEED", now.tv_sec);
	TH_LOG("EVSTREAM_SEED=%llu%s", (unsigned long long)s->seed,
	       s->kcov ? "" : ", without kcov: nothing is known of what is reached");
	f = from ? fopen(from, "r") : NULL;
	ASSERT_TRUE(!from || f);
	while (f && s->nr_corpus < CORPUS && fz_scan(f, &s->corpus[s->nr_corpus]))
		s->nr_corpus++;
}

FIXTURE_TEARDOWN(fuzz)
{
	EXPECT_EQ(0, evt_delete(&self->canary[0]));
	EXPECT_EQ(0, evt_delete(&self->canary[1]));
	EXPECT_EQ(0, evd_unmount());
}

TEST_F_TIMEOUT(fuzz, programs, 1000000)
{
	struct shared *s = self->s;
	struct evt_topic fresh;
	struct evw_crew crew;
	struct timespec now;
	unsigned int i, purged = 0;
	char buf[4][100];
	int fd;

	evw_crew_init(&crew, true);
	for (i = 0; i < WORKERS; i++)
		evw_start(&crew, work_or_fail, s, i);
	while (!over(s)) {
		/* The time begins when all that must succeed has had its turn. */
		if (!s->end && (s->sane == 2 || getenv("EVSTREAM_REPLAY"))) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			s->end = now.tv_sec + setting("EVSTREAM_SECONDS", 15);
		}
		for (i = 0; i < WORKERS; i++)
			if (s->worker[i].why[0])
				s->end = 1;
		usleep(200000);
		if (crowded(s)) {
			purge(s, self->fd);
			purged++;
		}
	}
	EXPECT_EQ(0, evw_join(&crew));
	EXPECT_EQ(0, purge(s, self->fd));
	store(out_file("fuzz-corpus", 0, 0), s->corpus, s->nr_corpus);
	TH_LOG("%lu programs, %lu executors killed, %lu died, cleaned up %u times", s->programs,
	       s->killed, s->died, purged);
	if (s->kcov)
		TH_LOG("%u programs kept, %lu places in the code, %lu steps", s->nr_corpus, s->pcs,
		       s->edges);

	/* It did what it is for. */
	for (i = 0; i < fz_nr_kinds && !getenv("EVSTREAM_REPLAY"); i++) {
		const struct fz_kind *k = &fz_kinds[i];

		if (getenv("EVSTREAM_VERBOSE"))
			TH_LOG("%-14s %8lu of %8lu, %lu places", k->name, s->tally[i].fine,
			       s->tally[i].calls, s->tally[i].pcs);
		if (s->tally[i].missing && s->tally[i].missing == s->tally[i].calls)
			TH_LOG("%s: this kernel does not have it", k->name);
		else
			EXPECT_LT(0, s->tally[i].fine)
				TH_LOG("%s never succeeded", k->name);
		if (s->kcov && !(k->needs & FZ_OUTSIDE))
			EXPECT_LT(0, s->tally[i].pcs)
				TH_LOG("%s never entered the module", k->name);
	}

	/* What others have is as it was, and all goes on working. */
	EXPECT_FINE(canary_check(&self->canary[0]));
	EXPECT_FINE(canary_check(&self->canary[1]));
	ASSERT_EQ(0, evt_create(&fresh, ""));
	fd = evt_open(&fresh, 0, O_RDWR | O_NONBLOCK);
	for (i = 0; i < 3; i++) {
		evw_make(buf[i], sizeof(buf[i]), 1, i);
		EXPECT_EQ((int)sizeof(buf[i]), EVT(write(fd, buf[i], sizeof(buf[i]))));
	}
	for (i = 0; i < 3; i++) {
		EXPECT_EQ((int)sizeof(buf[i]), EVT(read(fd, buf[3], sizeof(buf[3]))));
		EXPECT_EQ(0, memcmp(buf[i], buf[3], sizeof(buf[3])));
	}
	EXPECT_EQ(-EAGAIN, EVT(read(fd, buf[3], sizeof(buf[3]))));
	close(fd);
	EXPECT_EQ(0, evt_delete(&fresh));
}

TEST_HARNESS_MAIN
