// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: scenes of logs, durable topics, consumer groups and queues, each
 * with its checker (evlogtorture.h, evgrouptorture.h, evqueuetorture.h), while somebody
 * tries to unload the module. Between rounds of them nothing is in use: there it must
 * go, and be back, and the durable topics with it.
 *
 * EVSTREAM_SEED chooses what is done (when, the machine chooses), and
 * EVSTREAM_SECONDS for how long.
 */
#include "evlogtorture.h"
#include "evgrouptorture.h"
#include "evqueuetorture.h"

#define ROUND_MS	5000
#define BRINK_MS	1500
#define SETTLE_MS	60000
#define HAMMERS		2

struct director {
	uint64_t seed;
	uint32_t round;
	atomic_int stop;
	atomic_uint refused;		/* unloads */
	atomic_uint unloaded;
	atomic_uint created;		/* topics, on the brink */
	struct torture *durable[2];
};

static int rmmod(void)
{
	return EVT(syscall(SYS_delete_module, "evstream", O_NONBLOCK));
}

/* With the parameters that it has. */
static void read_parameters(char *args, size_t size)
{
	static const char dir[] = "/sys/module/evstream/parameters";
	char path[512], value[64];
	struct dirent *e;
	size_t n = 0;
	DIR *d = opendir(dir);

	args[0] = '\0';
	while (d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%63s", value) == 1)
			n += snprintf(args + n, size - n, " %s=%s", e->d_name, value);
		fclose(f);
	}
	if (d)
		closedir(d);
}

static const char *unload(void)
{
	int64_t end = tt_now_ms() + SETTLE_MS;
	static char why[80];
	int ret;

	/* Some of what is closed is given back a bit later. */
	while ((ret = rmmod()) == -EWOULDBLOCK && tt_now_ms() < end)
		usleep(10000);
	if (!ret)
		return NULL;
	snprintf(why, sizeof(why), "nothing is in use, and the module cannot go: %s",
		 strerror(-ret));
	return why;
}

/* Tries to unload what is in use. */
static const char *hammer(void *arg, int index, struct evw_worker *w)
{
	struct director *d = arg;
	uint64_t rnd = tt_seed(d->seed + d->round, 95000 + index);

	while (!atomic_load(&d->stop)) {
		int ret = rmmod();

		if (ret != -EWOULDBLOCK && ret != -EBUSY)
			return evw_why(w, "rmmod while in use: %d", ret);
		d->refused++;
		usleep(evw_random(&rnd) % 10000);
	}
	return NULL;
}

/* Here it is in use at times: it goes, or a topic comes, but never both. */
static const char *brink(void *arg, int index, struct evw_worker *w)
{
	struct director *d = arg;
	uint64_t rnd = tt_seed(d->seed + d->round, 96000 + index);
	char args[512];

	read_parameters(args, sizeof(args));
	while (!atomic_load(&d->stop)) {
		struct evt_topic topic;
		char value[64] = "";
		int fd, ret;

		if (index % 2 == 0) {
			ret = rmmod();
			if (ret && ret != -EWOULDBLOCK && ret != -EBUSY && ret != -ENOENT)
				return evw_why(w, "rmmod: %s", strerror(-ret));
			if (!ret)
				d->unloaded++;
			usleep(evw_random(&rnd) % 100000);
			if (!ret)
				evd_sh("modprobe evstream%s 2>/dev/null", args);
			continue;
		}
		if (evt_create(&topic, "2>/dev/null"))
			continue;
		d->created++;
		fd = evt_open(&topic, 0, O_RDWR);
		if (fd < 0 || write(fd, "brink", 5) != 5 || read(fd, value, sizeof(value)) != 5 ||
		    memcmp(value, "brink", 5))
			return evw_why(w, "a topic that was created: %s", strerror(errno));
		close(fd);
		if (evt_delete(&topic))
			return "topic delete";
	}
	return NULL;
}

static const char *scene(void *arg, int index, struct evw_worker *w)
{
	struct director *d = arg;
	uint64_t seed = d->seed + d->round * 7919 + index * 104729;
	char said[400] = "";
	const char *why;

	switch (index) {
	case 0:
		why = log_scene(seed, ROUND_MS, said, sizeof(said));
		break;
	case 1:
	case 2:
		why = durable_scene(d->durable[index - 1], seed, ROUND_MS, said, sizeof(said));
		break;
	case 3:
		why = group_scene(seed, ROUND_MS, said, sizeof(said));
		break;
	default:
		why = queue_scene(seed, ROUND_MS, said, sizeof(said));
	}
	printf("# round %u: %s\n", d->round, said);
	fflush(stdout);
	return why ? evw_why(w, "%s", why) : NULL;
}

/* Two or three scenes, while hammers try to unload the module. */
static const char *act(struct director *d)
{
	uint64_t rnd = tt_seed(d->seed + d->round, 97000);
	struct evw_crew scenes, hammers;
	struct evt_topic anchor;
	int failed, i;

	if (evt_create(&anchor, ""))
		return "topic create";
	d->stop = 0;
	evw_crew_init(&scenes, true);
	evw_crew_init(&hammers, true);
	for (i = 0; i < HAMMERS; i++)
		evw_start(&hammers, hammer, d, i);
	/* All of them come in turn; the seed says beside what. */
	evw_start(&scenes, scene, d, 3 + (d->seed + d->round) % 2);
	evw_start(&scenes, scene, d, 1 + evw_random(&rnd) % 2);
	if (evw_random(&rnd) % 2 || d->round == 0)
		evw_start(&scenes, scene, d, 0);
	failed = evw_join(&scenes);
	atomic_store(&d->stop, 1);
	failed += evw_join(&hammers);
	if (evt_delete(&anchor))
		return "topic delete";
	return failed ? "scenes failed" : NULL;
}

/* Nothing is in use. */
static const char *quiet(struct director *d)
{
	struct evw_crew crew;
	const char *why;
	char args[512];
	int i, failed;

	read_parameters(args, sizeof(args));
	why = unload();
	if (why)
		return why;
	d->unloaded++;
	if (evd_sh("modprobe evstream%s", args))
		return "modprobe";
	d->stop = 0;
	evw_crew_init(&crew, true);
	for (i = 0; i < 4; i++)
		evw_start(&crew, brink, d, i);
	usleep(BRINK_MS * 1000);
	atomic_store(&d->stop, 1);
	failed = evw_join(&crew);
	if (evd_sh("modprobe evstream%s", args))
		return "modprobe";
	return failed ? "workers failed" : NULL;
}

static struct torture *durable_new(const char *fs)
{
	struct torture *t = evw_shared(sizeof(*t));

	snprintf(t->fs, sizeof(t->fs), "%s", fs);
	return t;
}

/* What lies in its directory is attached for the last time, and deleted. */
static const char *durable_end(struct torture *t)
{
	const char *why = NULL;

	if (t->topic.name[0])
		why = attach(t) ?: evt_delete(&t->topic) ? "topic delete" : NULL;
	return why ?: rmdir(t->dir) ? "files are left behind" : NULL;
}

static long long setting(const char *name, long long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoll(text, NULL, 0) : otherwise;
}

FIXTURE(torture) {
	struct director *d;
};

FIXTURE_SETUP(torture)
{
	self->d = evw_shared(sizeof(*self->d));
	self->d->durable[0] = durable_new("tmpfs");
	self->d->durable[1] = durable_new("ext4");
	ASSERT_EQ(0, evd_place("tmpfs", self->d->durable[0]->dir));
	ASSERT_EQ(0, evd_place("ext4", self->d->durable[1]->dir));
}

FIXTURE_TEARDOWN(torture) { }

TEST_F_TIMEOUT(torture, all_at_once, 100000)
{
	struct director *d = self->d;
	int64_t begun = tt_now_ms();
	struct timespec now;
	const char *why;
	int seconds, i;

	clock_gettime(CLOCK_REALTIME, &now);
	d->seed = setting("EVSTREAM_SEED", now.tv_sec);
	seconds = setting("EVSTREAM_SECONDS", 20);
	TH_LOG("EVSTREAM_SEED=%llu EVSTREAM_SECONDS=%d", (unsigned long long)d->seed, seconds);
	for (; !d->round || tt_now_ms() < begun + seconds * 1000LL; d->round++) {
		why = act(d) ?: quiet(d);
		ASSERT_EQ(NULL, why)
			TH_LOG("round %u: %s", d->round, why);
	}
	for (i = 0; i < 2; i++) {
		why = durable_end(d->durable[i]);
		EXPECT_EQ(NULL, why)
			TH_LOG("%s: %s", d->durable[i]->fs, why);
	}
	TH_LOG("%u rounds, %u unloads refused, %u done, %u topics created meanwhile", d->round,
	       d->refused, d->unloaded, d->created);
	/* It did what it is for. */
	EXPECT_LT(0, d->refused);
	EXPECT_LE(d->round, d->unloaded);
}

#include "evlast.h"

TEST_HARNESS_MAIN
