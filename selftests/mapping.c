// SPDX-License-Identifier: GPL-2.0
/*
 * The mapped log: what may be mapped, what is where, and that nothing shows which
 * was not written.
 */
#include "evmap.h"

#define SEGMENT	65536

FIXTURE(mapping) {
	struct evt_topic topic;
	int fd;
};

FIXTURE_SETUP(mapping)
{
	ASSERT_EQ(0, evt_create(&self->topic, "--segment 64K --ring 256K --max-record 60000"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(mapping)
{
	close(self->fd);
	if (self->topic.name[0])
		EXPECT_EQ(0, evt_delete(&self->topic));
}

static bool zeroes(const char *p, size_t len)
{
	return !len || (!*p && !memcmp(p, p + 1, len - 1));
}

static int fill_log(int fd, int records, uint32_t len)
{
	return evm_fill(fd, records, len, NULL);
}

static long long try_map(int fd, size_t len, int prot, int flags, uint64_t offset)
{
	void *p = mmap(NULL, len, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, len);
	return 0;
}

TEST_F_TIMEOUT(mapping, refused, EVW_PATIENCE)
{
	const uint64_t log = EVSTREAM_MMAP_LOG;
	int any, fd;

	EXPECT_EQ(0, try_map(self->fd, PAGE, PROT_READ, MAP_SHARED, log));
	EXPECT_EQ(0, try_map(self->fd, PAGE, PROT_READ, MAP_SHARED, 0));
	EXPECT_EQ(-EACCES, try_map(self->fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, log));
	EXPECT_EQ(-EACCES, try_map(self->fd, PAGE, PROT_WRITE, MAP_SHARED, log));
	EXPECT_EQ(-EACCES, try_map(self->fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0));
	EXPECT_EQ(-EACCES, try_map(self->fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, log));
	EXPECT_EQ(-EACCES, try_map(self->fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0));
	EXPECT_EQ(-EINVAL, try_map(self->fd, PAGE, PROT_READ, MAP_PRIVATE, log));
	EXPECT_EQ(-EINVAL, try_map(self->fd, PAGE, PROT_READ, MAP_PRIVATE, 0));
	/* The control page and nothing with it. */
	EXPECT_EQ(-EINVAL, try_map(self->fd, 2 * PAGE, PROT_READ, MAP_SHARED, 0));
	EXPECT_EQ(-EINVAL, try_map(self->fd, PAGE, PROT_READ, MAP_SHARED, PAGE));
	EXPECT_EQ(-EINVAL, try_map(self->fd, PAGE, PROT_READ, MAP_SHARED, log - PAGE));
	EXPECT_EQ(-EINVAL, try_map(self->fd, 2 * PAGE, PROT_READ, MAP_SHARED, log - PAGE));
	/* What is not there yet can be mapped, anywhere, and not be touched. */
	EXPECT_EQ(0, try_map(self->fd, 1 << 30, PROT_READ, MAP_SHARED, log + (1ULL << 40)));

	any = evt_open(&self->topic, EVT_ANY, O_RDWR);
	ASSERT_LE(0, any);
	EXPECT_EQ(-ENODEV, try_map(any, PAGE, PROT_READ, MAP_SHARED, log));
	close(any);
	fd = evt_open(&self->topic, 0, O_WRONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EACCES, try_map(fd, PAGE, PROT_READ, MAP_SHARED, log));
	close(fd);
	fd = evt_open(&self->topic, 0, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, try_map(fd, PAGE, PROT_READ, MAP_SHARED, log));
	EXPECT_EQ(-EACCES, try_map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, log));
	close(fd);
}

/* There is no other way to write into it, either. */
TEST_F_TIMEOUT(mapping, read_only_for_good, EVW_PATIENCE)
{
	const volatile struct evstream_ctl *ctl = evm_ctl(self->fd);
	char *log, before[PAGE];
	struct iovec from = { "evil", 4 }, to;
	int mem, file;

	ASSERT_EQ(1, fill_log(self->fd, 1, 1000));
	log = evm_log(self->fd, 0, PAGE);
	ASSERT_NE(MAP_FAILED, log);
	ASSERT_NE(MAP_FAILED, (void *)ctl);
	memcpy(before, log, PAGE);

	EXPECT_EQ(-EACCES, EVT(mprotect(log, PAGE, PROT_READ | PROT_WRITE)));
	EXPECT_EQ(-EACCES, EVT(mprotect((void *)ctl, PAGE, PROT_WRITE)));
	to = (struct iovec){ log, 4 };
	EXPECT_EQ(-EFAULT, EVT(process_vm_writev(getpid(), &from, 1, &to, 1, 0)));
	/* As a debugger does it. */
	mem = open("/proc/self/mem", O_RDWR);
	ASSERT_LE(0, mem);
	EXPECT_GT(0, EVT(pwrite(mem, "evil", 4, (uintptr_t)log)));
	EXPECT_GT(0, EVT(pwrite(mem, "evil", 4, (uintptr_t)ctl)));
	EXPECT_EQ(4, EVT(pread(mem, before + PAGE - 4, 4, (uintptr_t)log + PAGE - 4)));
	close(mem);
	file = open("/dev/zero", O_RDONLY);
	EXPECT_EQ(-EFAULT, EVT(read(file, log, 10)));
	close(file);
	/* Not by taking pages from under it. */
	madvise(log, PAGE, MADV_DONTNEED);
	EXPECT_NE(0, madvise(log, PAGE, MADV_REMOVE));
	posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
	EXPECT_GT(0, EVT(fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)));
	EXPECT_GT(0, EVT(ftruncate(self->fd, 0)));
	EXPECT_EQ(0, memcmp(before, log, PAGE));
	EXPECT_EQ(NULL, evw_walk(self->fd, NULL, NULL));
	munmap(log, PAGE);
	munmap((void *)ctl, PAGE);
}

TEST_F_TIMEOUT(mapping, beyond_the_end, EVW_PATIENCE)
{
	char *log = evm_log(self->fd, 0, 1 << 20);
	struct evstream_stat st;
	long long page;

	ASSERT_NE(MAP_FAILED, log);
	EXPECT_EQ(-1, evm_touch(log));
	ASSERT_EQ(70, fill_log(self->fd, 70, 1000));
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	ASSERT_LT(SEGMENT, st.end_position);
	for (page = 0; page < (long long)st.end_position; page += PAGE)
		EXPECT_LE(0, evm_touch(log + page));
	/* What is beyond is SIGBUS, or nothing: but the last byte of the map is far away. */
	EXPECT_EQ(-1, evm_touch(log + (1 << 20) - 1));
	for (page = (st.end_position | (PAGE - 1)) + 1; page < 1 << 20; page += PAGE)
		EXPECT_GE(0, evm_touch(log + page));
	/* And is there once it was written. */
	ASSERT_EQ(100, fill_log(self->fd, 100, 1000));
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	for (page = 0; page < (long long)st.end_position; page += PAGE)
		EXPECT_LE(0, evm_touch(log + page));
	munmap(log, 1 << 20);
}

/* What the ring dropped: zeroes, whether or not it had been touched before. */
TEST_F_TIMEOUT(mapping, dropped, EVW_PATIENCE)
{
	char *touched = evm_log(self->fd, 0, SEGMENT), *untouched = evm_log(self->fd, 0, SEGMENT);
	struct evstream_stat st;
	char *late;
	int i;

	ASSERT_EQ(60, fill_log(self->fd, 60, 1000));
	for (i = 0; i < SEGMENT; i += PAGE)
		evm_touch(touched + i);
	EXPECT_FALSE(zeroes(touched, PAGE));
	ASSERT_EQ(400, fill_log(self->fd, 400, 1000));
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	ASSERT_LE(SEGMENT, st.start_position);
	late = evm_log(self->fd, 0, SEGMENT);
	ASSERT_NE(MAP_FAILED, late);
	for (i = 0; i < SEGMENT; i++) {
		ASSERT_EQ(0, touched[i]);
		ASSERT_EQ(0, untouched[i]);
		ASSERT_EQ(0, late[i]);
	}
	munmap(touched, SEGMENT);
	munmap(untouched, SEGMENT);
	munmap(late, SEGMENT);
}

/* Segments that no further record fitted: their rest is zeroes, never SIGBUS. */
TEST_F_TIMEOUT(mapping, sealed_early, EVW_PATIENCE)
{
	struct evstream_stat st;
	struct evw_head h;
	char *log;
	int i;

	ASSERT_EQ(4, fill_log(self->fd, 4, 40000));
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	ASSERT_EQ(0, st.start_position);
	ASSERT_LT(3 * SEGMENT, st.end_position);
	log = evm_log(self->fd, 0, 4 * SEGMENT);
	ASSERT_NE(MAP_FAILED, log);
	for (i = 0; i < 3; i++) {
		char *batch = log + i * SEGMENT;
		uint32_t size = __builtin_bswap32(*(uint32_t *)(batch + 8)) + 12;

		ASSERT_LT(40000, size);
		ASSERT_GT(41000, size);
		EXPECT_EQ(0, evs_batch_verify(batch, size, 60000));
		EXPECT_TRUE(evw_check(batch + size - 1 - 40000, 40000, &h));
		EXPECT_EQ(i, h.seq);
		EXPECT_TRUE(zeroes(batch + size, SEGMENT - size));
	}
	munmap(log, 4 * SEGMENT);
}

TEST_F_TIMEOUT(mapping, moved_split_and_inherited, EVW_PATIENCE)
{
	size_t len = 8 * PAGE;
	char *log, *old, *room, copy[8 * PAGE];
	pid_t pid;

	ASSERT_EQ(60, fill_log(self->fd, 60, 1000));
	log = evm_log(self->fd, 0, len);
	ASSERT_NE(MAP_FAILED, log);
	memcpy(copy, log, len);

	/* Moved: all of it is at its new place, untouched pages too. */
	room = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	old = log;
	log = mremap(old, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_EQ(room, log);
	EXPECT_EQ(0, memcmp(copy, log, len));
	EXPECT_EQ(MAP_FAILED, mremap(log, len, 2 * len, MREMAP_MAYMOVE));

	/* A hole in the middle leaves two. */
	ASSERT_EQ(0, munmap(log + 2 * PAGE, 2 * PAGE));
	EXPECT_EQ(0, memcmp(copy, log, 2 * PAGE));
	EXPECT_EQ(0, memcmp(copy + 4 * PAGE, log + 4 * PAGE, 4 * PAGE));

	/* A child has them, and what is appended later is there for both. */
	pid = fork();
	if (!pid) {
		if (memcmp(copy, log, 2 * PAGE) ||
		    memcmp(copy + 4 * PAGE, log + 4 * PAGE, 4 * PAGE))
			_exit(1);
		if (fill_log(self->fd, 400, 1000) != 400)
			_exit(2);
		_exit(zeroes(log, 2 * PAGE) ? 0 : 3);
	}
	EXPECT_EQ(0, evt_wait(pid));
	EXPECT_TRUE(zeroes(log, 2 * PAGE));
	EXPECT_TRUE(zeroes(log + 4 * PAGE, 4 * PAGE));
	munmap(log, 2 * PAGE);
	munmap(log + 4 * PAGE, 4 * PAGE);
}

#define EACH	1500

struct watch {
	struct evt_topic *topic;
	atomic_int stop;
};

static const char *append_all_sizes(void *arg, int index, struct evw_worker *w)
{
	struct watch *watch = arg;
	int fd = evt_open(watch->topic, 0, O_WRONLY);
	char *buf = malloc(60000);
	uint64_t rnd = index;
	uint32_t seq;

	for (seq = 0; seq < EACH; seq++) {
		uint32_t len = evw_size(&rnd, 50000);

		evw_make(buf, len, index, seq);
		if (write(fd, buf, len) != (ssize_t)len)
			return evw_why(w, "write: %s", strerror(errno));
	}
	free(buf);
	close(fd);
	return NULL;
}

/* Parses all there is, again and again, from the control page and the log alone. */
static const char *watch_ctl(void *arg, int index, struct evw_worker *w)
{
	struct watch *watch = arg;
	int fd = evt_open(watch->topic, 0, O_RDONLY);
	const volatile struct evstream_ctl *ctl = evm_ctl(fd);
	uint64_t pos = 0, end = 0, end_offset = 0, start = 0, start_offset = 0, size = 1ULL << 34;
	char *log = evm_log(fd, 0, size), *copy = malloc(SEGMENT);
	uint64_t expect = 0, whole = 0, laps = 0;

	(void)index;
	if ((void *)ctl == MAP_FAILED || log == MAP_FAILED)
		return evw_why(w, "mmap: %s", strerror(errno));
	if (ctl->version != 1 || ctl->segment_shift != 16 || ctl->partition || ctl->flags)
		return "the control page's head";
	for (;;) {
		bool last = atomic_load(&watch->stop);
		uint64_t now = __atomic_load_n(&ctl->end_position, __ATOMIC_ACQUIRE);
		/* Stored before: at least that of the position. */
		uint64_t offset_now = __atomic_load_n(&ctl->end_offset, __ATOMIC_ACQUIRE);
		uint64_t so = __atomic_load_n(&ctl->start_offset, __ATOMIC_ACQUIRE);
		uint64_t sp = __atomic_load_n(&ctl->start_position, __ATOMIC_ACQUIRE);

		if (now < end || offset_now < end_offset || so < start_offset || sp < start)
			return evw_why(w, "an end went back: %llu %llu %llu %llu",
				       (unsigned long long)now, (unsigned long long)offset_now,
				       (unsigned long long)so, (unsigned long long)sp);
		end = now;
		end_offset = offset_now;
		start_offset = so;
		start = sp;
		while (pos < end) {
			uint64_t left = SEGMENT - pos % SEGMENT, base;
			uint32_t len;

			if (left < 61) {
				pos += left;
				continue;
			}
			memcpy(copy, log + pos, 61);
			len = __builtin_bswap32(*(uint32_t *)(copy + 8));
			if (len && len + 12 <= left && pos + len + 12 <= end)
				memcpy(copy, log + pos, len + 12);
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			sp = __atomic_load_n(&ctl->start_position, __ATOMIC_RELAXED);
			if (sp > pos) {
				/* Overrun: what was seen is nothing. */
				pos = sp;
				expect = 0;
				laps++;
				continue;
			}
			if (!len) {
				pos += left;
				continue;
			}
			if (len + 12 > left || pos + len + 12 > end)
				return evw_why(w, "position %llu: a batch of %u bytes, %llu to go",
					       (unsigned long long)pos, len + 12,
					       (unsigned long long)(end - pos));
			if (evs_batch_verify(copy, len + 12, 60000))
				return evw_why(w, "position %llu: wrong bytes below the end",
					       (unsigned long long)pos);
			base = __builtin_bswap64(*(uint64_t *)copy);
			if (expect && base != expect)
				return evw_why(w, "position %llu: offset %llu, not %llu",
					       (unsigned long long)pos, (unsigned long long)base,
					       (unsigned long long)expect);
			expect = base + 1;
			if (expect > end_offset)
				return evw_why(w, "offset %llu is beyond end_offset %llu",
					       (unsigned long long)base,
					       (unsigned long long)end_offset);
			pos += len + 12;
			whole++;
		}
		if (last)
			break;
	}
	if (end_offset != 2 * EACH || !whole)
		return evw_why(w, "ended at %llu, %llu parsed, %llu laps",
			       (unsigned long long)end_offset, (unsigned long long)whole,
			       (unsigned long long)laps);
	munmap(log, size);
	munmap((void *)ctl, PAGE);
	free(copy);
	close(fd);
	return NULL;
}

TEST_F_TIMEOUT(mapping, ends_move_over_whole_batches, EVW_PATIENCE)
{
	struct watch *watch = evw_shared(sizeof(*watch));
	struct evw_crew readers, writers;
	int i;

	watch->topic = &self->topic;
	evw_crew_init(&readers, true);
	evw_crew_init(&writers, true);
	for (i = 0; i < 2; i++)
		evw_start(&readers, watch_ctl, watch, i);
	for (i = 0; i < 2; i++)
		evw_start(&writers, append_all_sizes, watch, i);
	EXPECT_EQ(0, evw_join(&writers));
	atomic_store(&watch->stop, 1);
	EXPECT_EQ(0, evw_join(&readers));
}

#define CANARY	0xC7

/* Memory that was somebody's: what the next allocations find. */
static void poison(void)
{
	size_t size = 48 << 20;
	struct evt_topic t;
	char *p, *record = malloc(SEGMENT);
	int fd, i;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		 -1, 0);
	if (p != MAP_FAILED) {
		memset(p, CANARY, size);
		munmap(p, size);
	}
	/* And as a log's folios. */
	memset(record, CANARY, SEGMENT);
	if (!evt_create(&t, "--segment 1M --ring 48M")) {
		fd = evt_open(&t, 0, O_WRONLY);
		for (i = 0; i < 700; i++)
			if (write(fd, record, SEGMENT) != SEGMENT)
				break;
		close(fd);
		evt_delete(&t);
	}
	free(record);
}

/* Behind @end there is nothing: zeroes, or SIGBUS. Bytes looked at, -1: something. */
static long long nothing_behind(const char *log, uint64_t end, uint64_t size)
{
	long long seen = 0;
	uint64_t page, i;

	/* A folio is not larger than this. */
	if (size > end + (1 << 20))
		size = end + (1 << 20);
	for (page = end & ~(uint64_t)(PAGE - 1); page < size; page += PAGE) {
		if (evm_touch(log + page) < 0)
			break;
		for (i = page < end ? end : page; i < page + PAGE; i++, seen++)
			if (log[i])
				return -1;
	}
	return seen;
}

/* Whether the kernel zeroes all it allocates, by what it said at its boot. */
static bool kernel_zeroes(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char line[8192];
	bool zeroes_all = false;
	ssize_t n;

	while (fd >= 0 && ((n = read(fd, line, sizeof(line) - 1)) > 0 || errno == EPIPE)) {
		if (n <= 0)
			continue;
		line[n] = '\0';
		if (strstr(line, "mem auto-init:"))
			zeroes_all = strstr(line, "heap alloc:on");
	}
	if (fd >= 0)
		close(fd);
	return zeroes_all;
}

TEST_F_TIMEOUT(mapping, nothing_stale, EVW_PATIENCE)
{
	/* Records appended before the first map, between maps, and while there is one. */
	static const int before[] = { 0, 1, 3, 40, 150 };
	uint64_t size = 8 << 20;
	long long seen = 0;
	unsigned int i, round;

	if (kernel_zeroes())
		SKIP(return, "the kernel zeroes memory itself: boot it with init_on_alloc=0");
	for (round = 0; round < 2; round++) {
		poison();
		for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
			struct evt_topic t;
			struct evstream_stat st;
			long long n;
			char *log;
			int fd, times;

			ASSERT_EQ(0, evt_create(&t, round ? "--segment 1M --ring 8M" :
							    "--segment 64K --ring 8M"));
			fd = evt_open(&t, 0, O_RDWR);
			ASSERT_EQ(before[i], fill_log(fd, before[i], 5000));
			for (times = 0; times < 3; times++) {
				log = evm_log(fd, 0, size);
				ASSERT_NE(MAP_FAILED, log);
				ASSERT_EQ(0, evt_stat(fd, 0, &st));
				n = nothing_behind(log, st.end_position, size);
				EXPECT_LE(0, n);
				seen += n;
				/* Mapped while it grows: new folios. */
				ASSERT_EQ(20, fill_log(fd, 20, 7000));
				ASSERT_EQ(0, evt_stat(fd, 0, &st));
				n = nothing_behind(log, st.end_position, size);
				EXPECT_LE(0, n);
				seen += n;
				munmap(log, size);
				/* Grown while nobody looks. */
				ASSERT_EQ(31, fill_log(fd, 31, 7000));
			}
			EXPECT_EQ(NULL, evw_walk(fd, NULL, NULL));
			close(fd);
			EXPECT_EQ(0, evt_delete(&t));
		}
	}
	/* There was something to look at. */
	EXPECT_LT(PAGE, seen);
}

TEST_F_TIMEOUT(mapping, outlives_topic_and_file, EVW_PATIENCE)
{
	const volatile struct evstream_ctl *ctl = evm_ctl(self->fd);
	char *log = evm_log(self->fd, 0, SEGMENT);
	uint64_t end;
	int i;

	ASSERT_NE(MAP_FAILED, log);
	ASSERT_NE(MAP_FAILED, (void *)ctl);
	ASSERT_EQ(50, fill_log(self->fd, 50, 1000));
	close(self->fd);
	self->fd = evt_open(&self->topic, 0, O_WRONLY);
	/* Without its file, it goes on. */
	end = ctl->end_position;
	EXPECT_LT(50000, end);
	ASSERT_EQ(1, fill_log(self->fd, 1, 1000));
	EXPECT_LT(end, ctl->end_position);
	EXPECT_FALSE(zeroes(log, PAGE));
	EXPECT_EQ(0, ctl->flags);
	close(self->fd);

	EXPECT_EQ(0, evt_delete(&self->topic));
	self->topic.name[0] = '\0';
	EXPECT_EQ(EVSTREAM_CTL_DEAD, ctl->flags);
	EXPECT_LE(ctl->end_position, ctl->start_position);
	for (i = 0; i < (int)ctl->end_position; i++)
		ASSERT_EQ(0, log[i]);
	/* Nothing but the maps is left: the module stays with them. */
	EXPECT_EQ(-EWOULDBLOCK, EVT(syscall(SYS_delete_module, "evstream", O_NONBLOCK)));
	EXPECT_EQ(0, try_map(-1, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, 0));
	munmap(log, SEGMENT);
	EXPECT_EQ(-EWOULDBLOCK, EVT(syscall(SYS_delete_module, "evstream", O_NONBLOCK)));
	EXPECT_EQ(EVSTREAM_CTL_DEAD, ctl->flags);
	munmap((void *)ctl, PAGE);
	self->fd = open("/dev/null", O_RDONLY);
}

/* No map of a dead topic. */
TEST_F_TIMEOUT(mapping, of_the_dead, EVW_PATIENCE)
{
	EXPECT_EQ(0, evt_delete(&self->topic));
	self->topic.name[0] = '\0';
	EXPECT_EQ(-ENODEV, try_map(self->fd, PAGE, PROT_READ, MAP_SHARED, EVSTREAM_MMAP_LOG));
	EXPECT_EQ(-ENODEV, try_map(self->fd, PAGE, PROT_READ, MAP_SHARED, EVSTREAM_MMAP_CTL));
}

static const char *advise(void *arg, int index, struct evw_worker *w)
{
	static const int advices[] = { MADV_COLD, MADV_PAGEOUT, MADV_DONTNEED, MADV_WILLNEED };
	struct watch *watch = arg;
	int fd = evt_open(watch->topic, 0, O_RDONLY);
	const volatile struct evstream_ctl *ctl = evm_ctl(fd);
	char *log = evm_log(fd, 0, 1ULL << 34);
	uint64_t rnd = index, n = 0;

	if (log == MAP_FAILED)
		return evw_why(w, "mmap: %s", strerror(errno));
	while (!atomic_load(&watch->stop)) {
		uint64_t end = __atomic_load_n(&ctl->end_position, __ATOMIC_ACQUIRE);
		char *page = log + (end & ~(uint64_t)(PAGE - 1));

		if (evw_random(&rnd) % 4 == 0 && (uint64_t)(page - log) > 16 * PAGE)
			page -= evw_random(&rnd) % 16 * PAGE;
		evm_touch(page);
		/* One page of many that are one folio: the kernel splits it. */
		madvise(page, PAGE, advices[evw_random(&rnd) % 8 < 5 ? 0 : evw_random(&rnd) % 4]);
		n++;
	}
	munmap(log, 1ULL << 34);
	munmap((void *)ctl, PAGE);
	close(fd);
	return n ? NULL : "no advice was given";
}

/* Advice on parts of large folios, while they are written to. */
TEST_F_TIMEOUT(mapping, advice, EVW_PATIENCE)
{
	struct watch *watch = evw_shared(sizeof(*watch));
	struct evw_crew advisers, writers;
	struct evt_topic t;
	int fd, i;

	ASSERT_EQ(0, evt_create(&t, "--segment 1M --ring 4M --max-record 500000"));
	watch->topic = &t;
	evw_crew_init(&advisers, true);
	evw_crew_init(&writers, true);
	for (i = 0; i < 2; i++)
		evw_start(&advisers, advise, watch, i);
	for (i = 0; i < 2; i++)
		evw_start(&writers, append_all_sizes, watch, i);
	EXPECT_EQ(0, evw_join(&writers));
	atomic_store(&watch->stop, 1);
	EXPECT_EQ(0, evw_join(&advisers));
	fd = evt_open(&t, 0, O_RDONLY);
	EXPECT_EQ(NULL, evw_walk(fd, NULL, NULL));
	close(fd);
	EXPECT_GE(4 << 20, evw_counter(&t, 0, "memory"));
	EXPECT_EQ(0, evt_delete(&t));
}

TEST_HARNESS_MAIN
