// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers that are not there, not any more, or not yet: nothing is appended by
 * halves, no position moves, and nobody else waits.
 */
#include <linux/userfaultfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "evwork.h"

#define PAGE	4096

FIXTURE(faults) {
	struct evt_topic topic;
	int fd;
};

FIXTURE_SETUP(faults)
{
	ASSERT_EQ(0, evt_create(&self->topic, "--segment 1M --ring 8M --max-record 500000"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(faults)
{
	close(self->fd);
	if (self->topic.name[0])
		EXPECT_EQ(0, evt_delete(&self->topic));
}

static char *pages(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static const uint32_t sizes[] = { 2, 100, 256, 257, 4000, 5000, 70000, 300000, 500000 };

TEST_F_TIMEOUT(faults, half_of_the_buffer, EVW_PATIENCE)
{
	const size_t room = 1 << 20;
	char *p = pages(2 * room);
	struct evstream_stat before, after;
	unsigned int i;

	/* The second half is not there. */
	ASSERT_EQ(0, mprotect(p + room, room, PROT_NONE));
	memset(p, 'f', room);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct iovec iov[2] = { { p, 1 }, { p + room, sizes[i] - 1 } };
		struct evstream_record rec[2] = {
			{ .value = (uintptr_t)p + room - sizes[i] / 2, .value_len = sizes[i],
			  .key_len = -1, .timestamp = -1 },
			{ .value = (uintptr_t)p, .value_len = 1, .key_len = -1, .timestamp = -1 },
		};
		struct evstream_append a = { .records = (uintptr_t)rec, .nr_records = 2,
					     .record_size = sizeof(rec[0]) };

		ASSERT_EQ(0, evt_stat(self->fd, 0, &before));
		EXPECT_EQ(-EFAULT, EVT(write(self->fd, p + room - sizes[i] / 2, sizes[i])));
		EXPECT_EQ(-EFAULT, EVT(write(self->fd, p + room, sizes[i])));
		EXPECT_EQ(-EFAULT, EVT(write(self->fd, p + room - sizes[i] + 1, sizes[i])));
		EXPECT_EQ(-EFAULT, EVT(writev(self->fd, iov, 2)));
		if (sizes[i] >= 61)
			EXPECT_EQ(-EFAULT, evs_append_batch(self->fd, 0, p + room - sizes[i] / 2,
							    sizes[i], NULL));
		ASSERT_EQ(0, evt_stat(self->fd, 0, &after));
		EXPECT_EQ(before.end_offset, after.end_offset);
		EXPECT_EQ(before.end_position, after.end_position);
		EXPECT_EQ(before.appended_bytes, after.appended_bytes);
		/* Of two records the one that is there. */
		EXPECT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_APPEND, &a));
		EXPECT_EQ(1, a.appended);
		EXPECT_EQ(-EFAULT, rec[0].error);
		EXPECT_EQ(-1, rec[0].offset);
		EXPECT_EQ(0, rec[1].error);
		EXPECT_EQ(before.end_offset, rec[1].offset);
	}
	/* Their array, too, and their results. */
	{
		struct evstream_append a = { .records = (uintptr_t)p + room - 32, .nr_records = 1,
					     .record_size = sizeof(struct evstream_record) };

		EXPECT_EQ(-EFAULT, EVT(ioctl(self->fd, EVSTREAM_IOC_APPEND, &a)));
		EXPECT_EQ(-EFAULT, EVT(ioctl(self->fd, EVSTREAM_IOC_APPEND, p + room)));
	}
	EXPECT_EQ(i, evt_end(self->fd, 0));
	EXPECT_EQ(0, evw_counter(&self->topic, 0, "holes"));
	EXPECT_EQ(NULL, evw_walk(self->fd, NULL, NULL));
	munmap(p, 2 * room);
}

TEST_F_TIMEOUT(faults, lines, EVW_PATIENCE)
{
	char *p = pages(2 * PAGE), buf[64] = "";
	struct evstream_set_framing line = { .framing = EVSTREAM_FRAMING_LINE };

	ASSERT_EQ(0, mprotect(p + PAGE, PAGE, PROT_NONE));
	ASSERT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_SET_FRAMING, &line));
	EXPECT_EQ(5, write(self->fd, "begun", 5));
	memcpy(p + PAGE - 6, "a\nb\nc\n", 6);
	EXPECT_EQ(-EFAULT, EVT(write(self->fd, p + PAGE - 6, 8)));
	EXPECT_EQ(0, evt_end(self->fd, 0));
	/* What waited still waits, and nothing of what failed is with it. */
	EXPECT_EQ(6, write(self->fd, " well\n", 6));
	EXPECT_EQ(1, evt_end(self->fd, 0));
	EXPECT_EQ(11, read(self->fd, buf, sizeof(buf)));
	EXPECT_STREQ("begun well\n", buf);
	munmap(p, 2 * PAGE);
}

TEST_F_TIMEOUT(faults, read_leaves_the_position, EVW_PATIENCE)
{
	const size_t room = 1 << 19;
	char *p = pages(2 * room), *value = malloc(room);
	struct evstream_fetch a = { .offset = -1, .len = room };
	struct evw_head h;
	unsigned int i;

	ASSERT_EQ(0, mprotect(p + room, room, PROT_NONE));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t len = sizes[i] < EVW_MIN ? EVW_MIN : sizes[i];
		struct iovec iov[2] = { { p, 1 }, { p + room, len } };

		evw_make(value, len, 7, i);
		ASSERT_EQ(len, write(self->fd, value, len));
		EXPECT_EQ(-EFAULT, EVT(read(self->fd, p + room, len)));
		EXPECT_EQ(-EFAULT, EVT(read(self->fd, p + room - len / 2, len)));
		EXPECT_EQ(-EFAULT, EVT(readv(self->fd, iov, 2)));
		EXPECT_EQ(-EFAULT, EVT(pread(self->fd, p + room, len, i)));
		a.buf = (uintptr_t)p + room - len / 2;
		EXPECT_EQ(-EFAULT, EVT(ioctl(self->fd, EVSTREAM_IOC_FETCH, &a)));
		EXPECT_EQ(i, lseek(self->fd, 0, SEEK_CUR));
		EXPECT_EQ(len, read(self->fd, p + room - len, len));
		EXPECT_TRUE(evw_check(p + room - len, len, &h));
		EXPECT_EQ(i, h.seq);
		EXPECT_EQ(i + 1, lseek(self->fd, 0, SEEK_CUR));
	}
	munmap(p, 2 * room);
	free(value);
}

#define TRIES	400

enum shrink { SHRINK_UNMAP, SHRINK_PROTECT, SHRINK_DROP, SHRINK_PUNCH, SHRINK_TRUNCATE };

struct shrinking {
	struct evt_topic *topic;
	enum shrink how;
	char *buf;
	size_t len;
	int memfd;
	atomic_int stop;
	long long ok;
	long long failed;
};

/* Takes the second half of the buffer away and puts it back, all the time. */
static const char *shrinker(void *arg, int index, struct evw_worker *w)
{
	struct shrinking *s = arg;
	size_t half = s->len / 2;
	char *p = s->buf + half;
	char *keep = malloc(half);

	(void)index;
	memcpy(keep, p, half);
	while (!atomic_load(&s->stop)) {
		switch (s->how) {
		case SHRINK_UNMAP:
			munmap(p, half);
			sched_yield();
			if (mmap(p, half, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, s->memfd,
				 half) != p)
				return evw_why(w, "mmap: %s", strerror(errno));
			break;
		case SHRINK_PROTECT:
			mprotect(p, half, PROT_NONE);
			sched_yield();
			mprotect(p, half, PROT_READ | PROT_WRITE);
			break;
		case SHRINK_DROP:
			/* Without a pause: between the look at the pages and the copy. */
			madvise(p, half, MADV_DONTNEED);
			continue;
		case SHRINK_PUNCH:
			fallocate(s->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, half, half);
			sched_yield();
			if (pwrite(s->memfd, keep, half, half) != (ssize_t)half)
				return evw_why(w, "pwrite: %s", strerror(errno));
			break;
		case SHRINK_TRUNCATE:
			if (ftruncate(s->memfd, half))
				return evw_why(w, "ftruncate: %s", strerror(errno));
			sched_yield();
			if (pwrite(s->memfd, keep, half, half) != (ssize_t)half)
				return evw_why(w, "pwrite: %s", strerror(errno));
		}
		sched_yield();
	}
	free(keep);
	return NULL;
}

/* Others append small records meanwhile: holes lie before something. */
static const char *bystander(void *arg, int index, struct evw_worker *w)
{
	struct shrinking *s = arg;
	int fd = evt_open(s->topic, 0, O_WRONLY);
	char buf[64];
	uint32_t seq = 0;

	while (!atomic_load(&s->stop)) {
		evw_make(buf, sizeof(buf), index, seq++);
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			return evw_why(w, "write: %s", strerror(errno));
	}
	close(fd);
	return NULL;
}

/* A big record is the buffer, whole; or has zeroes where it was punched. */
static bool is_the_buffer(const struct shrinking *s, const char *value, long len)
{
	size_t half = s->len / 2, i;

	if (len != (long)s->len || !evt_filled(value, half, 5))
		return false;
	if (s->how != SHRINK_PUNCH && s->how != SHRINK_TRUNCATE)
		return evt_filled(value, len, 5);
	for (i = half; i < (size_t)len; i++)
		if (value[i] && (value[i] & 0xff) !=
		    ((i + (i >> 8) * 7 + 5 * 31) & 0xff))
			return false;
	return true;
}

/*
 * Appends that failed before others: batches that consumers skip, whose offsets
 * and bytes are there and hold nothing of what had been copied.
 */
static const char *look_at_holes(int fd, long long *holes)
{
	size_t room = 4 << 20, at;
	char *buf = malloc(room);
	long long offset = evt_start(fd, 0);
	const char *why = NULL;

	while (!why) {
		struct evstream_fetch a = { .buf = (uintptr_t)buf, .len = room, .offset = offset };

		if (ioctl(fd, EVSTREAM_IOC_FETCH, &a))
			why = "FETCH";
		if (why || !a.bytes)
			break;
		for (at = 0; at < a.bytes && !why;) {
			uint32_t size = __builtin_bswap32(*(uint32_t *)(buf + at + 8)) + 12;

			if (evs_crc32c(0, buf + at + 21, size - 21) !=
			    __builtin_bswap32(*(uint32_t *)(buf + at + 17)))
				why = "a batch's CRC is wrong";
			if (buf[at + 22] & EVS_BATCH_CONTROL) {
				++*holes;
				if (*(uint32_t *)(buf + at + 57))
					why = "a hole has records";
				if (size > 61 &&
				    (buf[at + 61] ||
				     memcmp(buf + at + 61, buf + at + 62, size - 62)))
					why = "a hole holds what nobody appended";
			}
			at += size;
		}
		offset = a.next_offset;
	}
	free(buf);
	return why;
}

static const char *shrink_run(struct shrinking *s, int fd)
{
	static char why[200];
	long long big = 0, at, end, ret = 0, holes = 0;
	struct evw_crew crew;
	uint32_t next = 0;
	const char *wrong;
	char *buf;
	int i, n;

	/* Holes are few: all of them are to be there in the end. */
	if (evt_set(s->topic, "ring=128M"))
		return "topic set";
	s->len = 64 * PAGE;
	s->memfd = memfd_create("shrinks", 0);
	if (s->memfd < 0 || ftruncate(s->memfd, s->len))
		return "memfd";
	s->buf = mmap(NULL, s->len, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
	evt_fill(s->buf, s->len, 5);
	evw_crew_init(&crew, false);
	evw_start(&crew, shrinker, s, 0);
	evw_start(&crew, bystander, s, 1);
	for (n = 0; n < TRIES; n++) {
		ret = EVT(write(fd, s->buf, s->len));
		if (ret == (long long)s->len)
			s->ok++;
		else if (ret == -EFAULT)
			s->failed++;
		else
			break;
	}
	atomic_store(&s->stop, 1);
	i = evw_join(&crew);
	/* Now that it is whole again. */
	if (ret >= 0 || ret == -EFAULT)
		ret = EVT(write(fd, s->buf, s->len));
	if (ret == (long long)s->len)
		s->ok++;
	munmap(s->buf, s->len);
	close(s->memfd);
	if (i || n < TRIES) {
		snprintf(why, sizeof(why), "write %d: %lld", n, ret);
		return why;
	}
	wrong = evw_walk(fd, NULL, NULL);
	if (wrong && !strstr(wrong, "after"))
		return wrong;
	wrong = look_at_holes(fd, &holes);
	if (wrong)
		return wrong;
	/* What is still held: each is one of ours, and whole. */
	buf = malloc(s->len);
	end = evt_end(fd, 0);
	lseek(fd, 0, SEEK_DATA);
	while ((at = lseek(fd, 0, SEEK_CUR)) < end) {
		ssize_t got;
		struct evw_head h;

		/* Holes at the end are not waited for. */
		fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
		got = read(fd, buf, s->len);
		if (got < 0 && errno == EAGAIN)
			break;
		if (got == 64 && evw_check(buf, got, &h) && (!next || h.seq == next)) {
			next = h.seq + 1;
			continue;
		}
		if (!is_the_buffer(s, buf, got)) {
			snprintf(why, sizeof(why), "offset %lld: %zd bytes of nobody", at, got);
			return why;
		}
		big++;
	}
	free(buf);
	if (!big)
		return "nothing was read back";
	printf("# %lld written, %lld refused, %lld holes held\n", s->ok, s->failed, holes);
	return NULL;
}

static void shrink_test(struct __test_metadata *_metadata, struct evt_topic *topic, int fd, int how)
{
	struct shrinking s = { .topic = topic, .how = how };
	const char *why = shrink_run(&s, fd);

	EXPECT_EQ(NULL, why)
		TH_LOG("%s", why);
	EXPECT_LT(0, s.ok);
	/* All that was refused is a hole or nothing. */
	EXPECT_GE(s.failed + s.ok, evw_counter(topic, 0, "holes"));
}

TEST_F_TIMEOUT(faults, unmapped_by_another_thread, EVW_PATIENCE)
{
	shrink_test(_metadata, &self->topic, self->fd, SHRINK_UNMAP);
}

TEST_F_TIMEOUT(faults, protected_by_another_thread, EVW_PATIENCE)
{
	shrink_test(_metadata, &self->topic, self->fd, SHRINK_PROTECT);
}

TEST_F_TIMEOUT(faults, dropped_from_page_tables, EVW_PATIENCE)
{
	shrink_test(_metadata, &self->topic, self->fd, SHRINK_DROP);
}

TEST_F_TIMEOUT(faults, punched_file, EVW_PATIENCE)
{
	shrink_test(_metadata, &self->topic, self->fd, SHRINK_PUNCH);
}

TEST_F_TIMEOUT(faults, truncated_file, EVW_PATIENCE)
{
	shrink_test(_metadata, &self->topic, self->fd, SHRINK_TRUNCATE);
}

/* A userfaultfd for @len bytes at @p, -1: not here. */
static int uffd_for(void *p, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)p, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Waits until somebody is stuck at a page, and says at which. */
static char *uffd_stuck(int fd)
{
	struct uffd_msg msg;

	if (read(fd, &msg, sizeof(msg)) != sizeof(msg) || msg.event != UFFD_EVENT_PAGEFAULT)
		return NULL;
	return (char *)(uintptr_t)(msg.arg.pagefault.address & ~(uint64_t)(PAGE - 1));
}

static int uffd_give(int fd, void *page, const void *src, size_t len)
{
	struct uffdio_copy copy = { .dst = (uintptr_t)page, .src = (uintptr_t)src, .len = len };

	return ioctl(fd, UFFDIO_COPY, &copy);
}

struct stuck {
	int fd;
	char *buf;
	size_t len;
	long long ret;
};

static void *stuck_write(void *arg)
{
	struct stuck *s = arg;

	s->ret = EVT(write(s->fd, s->buf, s->len));
	return NULL;
}

static void *stuck_read(void *arg)
{
	struct stuck *s = arg;

	s->ret = EVT(read(s->fd, s->buf, s->len));
	return NULL;
}

FIXTURE(stuck) {
	struct evt_topic topic;
	int fd, uffd;
	char *buf;
};

FIXTURE_VARIANT(stuck) {
	size_t len;
	size_t missing;
};

FIXTURE_VARIANT_ADD(stuck, small) { .len = 200, .missing = 0, };
FIXTURE_VARIANT_ADD(stuck, first_page) { .len = 20000, .missing = 0, };
FIXTURE_VARIANT_ADD(stuck, last_page) { .len = 4 * PAGE, .missing = 3 * PAGE, };
FIXTURE_VARIANT_ADD(stuck, large) { .len = 400000, .missing = 50 * PAGE, };

FIXTURE_SETUP(stuck)
{
	ASSERT_EQ(0, evt_create(&self->topic, "--segment 1M --ring 2M --max-record 500000"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
	self->buf = pages(1 << 20);
	memset(self->buf, 's', variant->missing);
	self->uffd = uffd_for(self->buf + variant->missing, (1 << 20) - variant->missing);
}

FIXTURE_TEARDOWN(stuck)
{
	if (self->uffd >= 0)
		close(self->uffd);
	close(self->fd);
	if (self->topic.name[0])
		EXPECT_EQ(0, evt_delete(&self->topic));
}

/* While a producer is stuck in its own memory, all others go on, in any way. */
TEST_F_TIMEOUT(stuck, producer, EVW_PATIENCE)
{
	struct stuck s = { .fd = self->fd, .buf = self->buf, .len = variant->len };
	char *give = malloc(1 << 20), *page, small[100], *log;
	int other, reader, i;
	pthread_t thread;
	long long end;

	if (self->uffd < 0)
		SKIP(return, "no userfaultfd");
	memset(give, 's', 1 << 20);
	pthread_create(&thread, NULL, stuck_write, &s);
	page = uffd_stuck(self->uffd);
	ASSERT_EQ(self->buf + variant->missing, page);

	other = evt_open(&self->topic, 0, O_WRONLY);
	reader = evt_open(&self->topic, 0, O_RDONLY | O_NONBLOCK);
	ASSERT_LE(0, other);
	ASSERT_LE(0, reader);
	/* More than the ring holds: segments are opened, sealed, dropped. */
	for (i = 0; i < 30000; i++) {
		struct evw_head h;

		evw_make(small, sizeof(small), 1, i);
		ASSERT_EQ(sizeof(small), write(other, small, sizeof(small)));
		ASSERT_EQ(sizeof(small), read(reader, small, sizeof(small)));
		ASSERT_TRUE(evw_check(small, sizeof(small), &h));
		ASSERT_EQ(i, h.seq);
	}
	EXPECT_LT(0, evt_start(reader, 0));
	log = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, EVSTREAM_MMAP_LOG);
	EXPECT_NE(MAP_FAILED, log);
	munmap(log, PAGE);
	EXPECT_EQ(0, evt_set(&self->topic, "ring=4M"));
	EXPECT_LT(0, evw_counter(&self->topic, 0, "memory"));
	{
		struct evstream_trim trim = { .offset = -1 };

		EXPECT_EQ(0, ioctl(other, EVSTREAM_IOC_TRIM, &trim));
	}
	end = evt_end(reader, 0);
	EXPECT_EQ(30000, end);

	/* Now it gets its pages: its record comes last, and whole. */
	ASSERT_EQ(0, uffd_give(self->uffd, page, give, (1 << 20) - variant->missing));
	pthread_join(thread, NULL);
	EXPECT_EQ(variant->len, s.ret);
	EXPECT_EQ(end + 1, evt_end(reader, 0));
	memset(give, 0, variant->len);
	EXPECT_EQ(variant->len, pread(reader, give, 1 << 20, end));
	for (i = 0; i < (int)variant->len; i++)
		ASSERT_EQ('s', give[i]);
	EXPECT_EQ(0, evw_counter(&self->topic, 0, "holes"));
	close(other);
	close(reader);
	free(give);
}

/* The topic goes while it is stuck. */
TEST_F_TIMEOUT(stuck, producer_of_a_deleted_topic, EVW_PATIENCE)
{
	struct stuck s = { .fd = self->fd, .buf = self->buf, .len = variant->len };
	char *give = calloc(1, 1 << 20), *page;
	pthread_t thread;

	if (self->uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(3, write(self->fd, "one", 3));
	pthread_create(&thread, NULL, stuck_write, &s);
	page = uffd_stuck(self->uffd);
	ASSERT_NE(NULL, page);
	EXPECT_EQ(0, evt_delete(&self->topic));
	self->topic.name[0] = '\0';
	ASSERT_EQ(0, uffd_give(self->uffd, page, give, (1 << 20) - variant->missing));
	pthread_join(thread, NULL);
	EXPECT_EQ(-ENODEV, s.ret);
	free(give);
}

/* A reader that is stuck: the ring goes on, what it gets is what it was. */
TEST_F_TIMEOUT(stuck, reader, EVW_PATIENCE)
{
	struct stuck s = { .fd = self->fd, .buf = self->buf, .len = 1 << 20 };
	char *value = malloc(500000), *give = calloc(1, 1 << 20), *page;
	struct evw_head h;
	pthread_t thread;
	int other, i;

	if (self->uffd < 0)
		SKIP(return, "no userfaultfd");
	evw_make(value, variant->len, 1, 99);
	ASSERT_EQ(variant->len, write(self->fd, value, variant->len));
	pthread_create(&thread, NULL, stuck_read, &s);
	page = uffd_stuck(self->uffd);
	ASSERT_NE(NULL, page);
	other = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, other);
	for (i = 0; i < 100; i++) {
		evw_make(value, 100000, 1, 100 + i);
		ASSERT_EQ(100000, write(other, value, 100000));
	}
	EXPECT_LT(0, evt_start(other, 0));
	/* Poll and close of others do not wait for it either. */
	EXPECT_EQ(POLLIN, evt_poll(self->fd, POLLIN) & POLLIN);
	close(other);
	ASSERT_EQ(0, uffd_give(self->uffd, page, give, (1 << 20) - variant->missing));
	pthread_join(thread, NULL);
	/* It had hold of its record, or learns that it came too late. */
	if (s.ret == -EPIPE) {
		struct evstream_gap g = {};

		ASSERT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_GAP, &g));
		EXPECT_EQ(0, g.from);
		EXPECT_EQ(evt_start(self->fd, 0), g.to);
	} else {
		ASSERT_EQ(variant->len, s.ret);
		EXPECT_TRUE(evw_check(self->buf, s.ret, &h));
		EXPECT_EQ(99, h.seq);
	}
	free(value);
	free(give);
}

/* The mapped log as the source of other calls. */
TEST_F_TIMEOUT(faults, out_of_the_map, EVW_PATIENCE)
{
	size_t len = 200000;
	char *log, *copy = malloc(len), path[] = "/tmp/evstream-XXXXXX";
	struct iovec iov, local;
	int pipes[2], file, i;

	for (i = 0; i < 300; i++) {
		evw_make(copy, 1000, 1, i);
		ASSERT_EQ(1000, write(self->fd, copy, 1000));
	}
	log = mmap(NULL, len, PROT_READ, MAP_SHARED, self->fd, EVSTREAM_MMAP_LOG);
	ASSERT_NE(MAP_FAILED, log);

	/* By copy, by reference, by another process, without a copy. */
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(PAGE, write(pipes[1], log + 100, PAGE));
	EXPECT_EQ(PAGE, read(pipes[0], copy, PAGE));
	EXPECT_EQ(0, memcmp(copy, log + 100, PAGE));
	iov = (struct iovec){ log + 3 * PAGE, 2 * PAGE };
	EXPECT_EQ(2 * PAGE, vmsplice(pipes[1], &iov, 1, 0));
	EXPECT_EQ(2 * PAGE, read(pipes[0], copy, 2 * PAGE));
	EXPECT_EQ(0, memcmp(copy, log + 3 * PAGE, 2 * PAGE));
	local = (struct iovec){ copy, PAGE };
	iov = (struct iovec){ log, PAGE };
	EXPECT_EQ(PAGE, process_vm_readv(getpid(), &local, 1, &iov, 1, 0));
	EXPECT_EQ(0, memcmp(copy, log, PAGE));
	file = mkstemp(path);
	ASSERT_LE(0, file);
	EXPECT_EQ(len, write(file, log, len));
	EXPECT_EQ(len, pread(file, copy, len, 0));
	EXPECT_EQ(0, memcmp(copy, log, len));
	if (!fcntl(file, F_SETFL, O_DIRECT)) {
		EXPECT_EQ(16 * PAGE, pwrite(file, log + PAGE, 16 * PAGE, 0));
		EXPECT_EQ(0, fcntl(file, F_SETFL, 0));
		EXPECT_EQ(16 * PAGE, pread(file, copy, 16 * PAGE, 0));
		EXPECT_EQ(0, memcmp(copy, log + PAGE, 16 * PAGE));
	}
	close(file);
	unlink(path);
	/* The pages in a pipe stay what they were when the ring goes on. */
	memcpy(copy, log, PAGE);
	iov = (struct iovec){ log, PAGE };
	EXPECT_EQ(PAGE, vmsplice(pipes[1], &iov, 1, 0));
	munmap(log, len);
	for (i = 0; i < 60; i++)
		ASSERT_EQ(len, write(self->fd, copy, len));
	EXPECT_LE(300, evt_start(self->fd, 0));
	EXPECT_EQ(PAGE, read(pipes[0], copy + PAGE, PAGE));
	EXPECT_EQ(0, memcmp(copy, copy + PAGE, PAGE));
	close(pipes[0]);
	close(pipes[1]);
	free(copy);
}

/* From the log into the log. */
TEST_F_TIMEOUT(faults, into_itself, EVW_PATIENCE)
{
	static const uint32_t lens[] = { 10, 256, 257, 5000, 100000, 300000 };
	size_t len = 4 << 20;
	char *log, *buf = malloc(500000), *copy = malloc(500000);
	unsigned int i, round;

	evt_fill(copy, 400000, 3);
	ASSERT_EQ(400000, write(self->fd, copy, 400000));
	for (round = 0; round < 3; round++) {
		/* A fresh map: none of its pages is there yet. */
		log = mmap(NULL, len, PROT_READ, MAP_SHARED, self->fd, EVSTREAM_MMAP_LOG);
		ASSERT_NE(MAP_FAILED, log);
		for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			ASSERT_EQ(lens[i], write(self->fd, log + 70 + i, lens[i]));
			ASSERT_EQ(lens[i], pread(self->fd, buf, 500000, evt_end(self->fd, 0) - 1));
			ASSERT_EQ(0, memcmp(log + 70 + i, buf, lens[i]));
		}
		/* A part of it is not there: nothing of it is appended. */
		EXPECT_EQ(-EFAULT, EVT(write(self->fd, log + len - 1000, 1000)));
		munmap(log, len);
	}
	EXPECT_EQ(1 + 3 * i, evt_end(self->fd, 0));
	EXPECT_EQ(NULL, evw_walk(self->fd, NULL, NULL));
	free(buf);
	free(copy);
}

/* A socket that takes less than a record: the file's place is what it was. */
TEST_F_TIMEOUT(faults, short_sendfile, EVW_PATIENCE)
{
	char *value = calloc(1, 400000);
	int sockets[2], size = 4096;
	long long at;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets));
	setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	ASSERT_EQ(400000, write(self->fd, value, 400000));
	ASSERT_EQ(5, write(self->fd, "after", 5));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_RDWR | O_NONBLOCK));
	sendfile(sockets[0], self->fd, NULL, 400000);
	at = lseek(self->fd, 0, SEEK_CUR);
	EXPECT_GE(1, at);
	EXPECT_LE(0, at);
	/* Whatever became of the first record: reading goes on. */
	EXPECT_EQ(at ? 5 : 400000, EVT(read(self->fd, value, 400000)));
	close(sockets[0]);
	close(sockets[1]);
	free(value);
}

TEST_HARNESS_MAIN
