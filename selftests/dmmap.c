// SPDX-License-Identifier: GPL-2.0
/*
 * The mapped log of a durable topic, with parts that have to come from the disk.
 */
#include "evdurable.h"
#include "evmap.h"

#define SEGMENT	65536

FIXTURE(dmmap) {
	struct evt_topic topic;
	char dir[EVD_PATH];
	int fd;
};

FIXTURE_SETUP(dmmap)
{
	ASSERT_EQ(0, evd_place("ext4", self->dir));
	ASSERT_EQ(0, evd_create(&self->topic, self->dir,
				"--segment 64K --max-record 60000 --retention 0"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(dmmap)
{
	close(self->fd);
	EXPECT_EQ(0, evd_remove(&self->topic, self->dir));
}

#define AGAIN() do {								\
	ASSERT_EQ(0, evd_detach(&self->topic));					\
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));			\
	close(self->fd);							\
	self->fd = evt_open(&self->topic, 0, O_RDWR);				\
	ASSERT_LE(0, self->fd);							\
} while (0)

static int fill_log(int fd, int records, uint32_t max, uint64_t seed)
{
	return evm_fill(fd, records, max, &seed);
}

/* All batches, found through the mapping alone. NULL, or what is wrong. */
static const char *gather(int fd, struct evd_bytes *out)
{
	const volatile struct evstream_ctl *ctl = evm_ctl(fd);
	uint64_t start, end, pos, base;
	const char *why = NULL;
	struct evstream_stat st;
	char *log;

	out->len = 0;
	if ((void *)ctl == MAP_FAILED)
		return evd_wrong("mmap of the control page: %s", strerror(errno));
	end = __atomic_load_n(&ctl->end_position, __ATOMIC_ACQUIRE);
	start = __atomic_load_n(&ctl->start_position, __ATOMIC_ACQUIRE);
	evt_stat(fd, 0, &st);
	if (ctl->version != 1 || ctl->segment_shift != 16 || ctl->partition || ctl->flags ||
	    (int64_t)ctl->start_offset != st.start_offset ||
	    (int64_t)ctl->end_offset != st.end_offset || end != st.end_position)
		why = "the control page";
	base = start / SEGMENT * SEGMENT;
	log = evm_log(fd, base, end - base + PAGE);
	if (log == MAP_FAILED)
		why = evd_wrong("mmap of the log: %s", strerror(errno));
	for (pos = start; pos < end && !why; ) {
		uint64_t left = SEGMENT - pos % SEGMENT;
		uint32_t length = left < 61 ? 0 : evd_be32(log + pos - base + 8);

		if (!length) {
			/* Whatever is mapped there is zeroes. */
			for (; left; left--, pos++)
				if (log[pos - base])
					why = "bytes behind a segment's last batch";
			continue;
		}
		if (length + 12 > left || pos + length + 12 > end)
			why = evd_wrong("length %u at %llu", length, (unsigned long long)pos);
		else
			evd_add(out, log + pos - base, length + 12);
		pos += length + 12;
	}
	for (pos = end; pos % PAGE && !why; pos++)
		if (log[pos - base])
			why = "bytes behind the end";
	if (log != MAP_FAILED)
		munmap(log, end - base + PAGE);
	munmap((void *)ctl, PAGE);
	return why;
}

/* The mapping, FETCH, pread() and the files are of one mind. */
static const char *all_agree(int fd, const char *dir, const struct evt_topic *t)
{
	struct evd_bytes mapped = {}, fetched = {};
	struct evd_files files = {};
	struct evs_batch_iter it;
	struct evs_record rec;
	const char *why;
	int ret;

	why = gather(fd, &mapped);
	if (why)
		return why;
	evs_batch_iter_init(&it, mapped.data, mapped.len, EVS_ITER_CRC);
	while ((ret = evs_batch_iter_next(&it, &rec)) == 1) {
		char *buf = malloc(60000);
		ssize_t n;

		/* Some: the rest is compared by the batch. */
		if (rec.offset % 16 == 3) {
			n = pread(fd, buf, 60000, rec.offset);
			if (n != rec.value_len || memcmp(buf, rec.value, n))
				why = evd_wrong("pread() of %lld", (long long)rec.offset);
		}
		free(buf);
	}
	if (ret || evs_batch_iter_rest(&it))
		return evd_wrong("a bad batch: %d", ret);
	ret = evd_fetch(fd, 0, -1, &fetched);
	if (ret)
		return evd_wrong("FETCH: %s", strerror(-ret));
	if (!evd_same(&mapped, &fetched))
		return "FETCH differs";
	if (dir) {
		why = why ?: evd_check(dir, t, 0, true, &files);
		if (!why && (files.log.len < mapped.len ||
			     memcmp(files.log.data + files.log.len - mapped.len, mapped.data,
				    mapped.len)))
			why = "the files differ";
		evd_free(&files.log);
	}
	evd_free(&mapped);
	evd_free(&fetched);
	return why;
}

static long long memory(const struct evt_topic *t)
{
	return evw_counter(t, 0, "memory");
}

TEST_F_TIMEOUT(dmmap, from_the_disk, EVW_PATIENCE)
{
	long long held;

	ASSERT_EQ(150, fill_log(self->fd, 150, 40000, 1));
	EXPECT_FINE(all_agree(self->fd, NULL, NULL));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_FINE(all_agree(self->fd, self->dir, &self->topic));
	held = memory(&self->topic);
	EXPECT_LT(0, held);
	evd_drop_caches();
	/* Most of it is not there any more, and comes back. */
	EXPECT_GT(held / 2, memory(&self->topic));
	EXPECT_FINE(all_agree(self->fd, self->dir, &self->topic));

	AGAIN();
	EXPECT_FINE(all_agree(self->fd, self->dir, &self->topic));
	ASSERT_EQ(0, evd_evict(self->fd));
	EXPECT_FINE(all_agree(self->fd, self->dir, &self->topic));
	/* The last page, half of it from the disk, goes on. */
	ASSERT_EQ(50, fill_log(self->fd, 50, 40000, 2));
	EXPECT_FINE(all_agree(self->fd, NULL, NULL));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, evd_evict(self->fd));
	EXPECT_FINE(all_agree(self->fd, self->dir, &self->topic));
}

/* Each record in a page that was written to the disk half full. */
TEST_F_TIMEOUT(dmmap, page_by_page, EVW_PATIENCE)
{
	int i;

	for (i = 0; i < 40; i++) {
		ASSERT_EQ(1, fill_log(self->fd, 1, 300, i));
		ASSERT_EQ(0, fsync(self->fd));
		if (i % 4 == 0)
			ASSERT_EQ(0, evd_evict(self->fd));
		if (i % 10 == 0)
			AGAIN();
		ASSERT_FINE(all_agree(self->fd, self->dir, &self->topic));
	}
}

/* What was mapped stays mapped, while it goes and comes underneath. */
TEST_F_TIMEOUT(dmmap, evicted_underneath, EVW_PATIENCE)
{
	struct evd_bytes before = {};
	struct evstream_stat st;
	size_t size, i;
	char *log;
	int round;

	ASSERT_EQ(60, fill_log(self->fd, 60, 40000, 3));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	size = (st.end_position + PAGE - 1) / PAGE * PAGE;
	log = evm_log(self->fd, 0, size);
	ASSERT_NE(MAP_FAILED, log);
	evd_add(&before, log, st.end_position);
	for (round = 0; round < 4; round++) {
		if (round % 2)
			madvise(log, size, MADV_PAGEOUT);
		else
			madvise(log, size, MADV_DONTNEED);
		if (round >= 2)
			ASSERT_EQ(0, evd_evict(self->fd));
		for (i = 0; i < st.end_position; i += PAGE)
			ASSERT_EQ((unsigned char)before.data[i], evm_touch(log + i));
		EXPECT_EQ(0, memcmp(before.data, log, st.end_position));
	}
	munmap(log, size);
	evd_free(&before);
}

/* Dropped: zeroes, be it that they were touched, evicted, or neither. */
TEST_F_TIMEOUT(dmmap, dropped, EVW_PATIENCE)
{
	struct evstream_trim a = { .offset = -1 };
	struct evstream_stat st;
	char *touched, *untouched;
	size_t size, i;

	ASSERT_EQ(60, fill_log(self->fd, 60, 40000, 4));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	size = st.end_position / SEGMENT * SEGMENT;
	ASSERT_LT(2 * SEGMENT, size);
	touched = evm_log(self->fd, 0, size);
	untouched = evm_log(self->fd, 0, size);
	ASSERT_NE(MAP_FAILED, touched);
	ASSERT_NE(MAP_FAILED, untouched);
	for (i = 0; i < size / 2; i += PAGE)
		ASSERT_LE(0, evm_touch(touched + i));
	EXPECT_NE(0, evm_touch(touched + 16));
	madvise(touched, size / 4, MADV_PAGEOUT);
	ASSERT_EQ(0, evd_evict(self->fd));
	ASSERT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_TRIM, &a));
	ASSERT_EQ(60, a.start_offset);
	for (i = 0; i < size; i += PAGE / 2) {
		ASSERT_EQ(0, evm_touch(touched + i));
		ASSERT_EQ(0, evm_touch(untouched + i));
	}
	for (i = 0; i < size; i++)
		ASSERT_EQ(0, touched[i] | untouched[i]);
	munmap(touched, size);
	munmap(untouched, size);
	/* It goes on behind them. */
	ASSERT_EQ(20, fill_log(self->fd, 20, 40000, 5));
	EXPECT_FINE(all_agree(self->fd, NULL, NULL));
}

/* Behind a segment's batches there is nothing on the disk. */
TEST_F_TIMEOUT(dmmap, sealed_early, EVW_PATIENCE)
{
	char *log, *buf = malloc(40000);
	int round, i;
	size_t k;

	for (i = 0; i < 4; i++) {
		evw_make(buf, 40000, 1, i);
		ASSERT_EQ(40000, write(self->fd, buf, 40000));
	}
	for (round = 0; round < 3; round++) {
		struct evstream_stat st;

		ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
		log = evm_log(self->fd, 0, 3 * SEGMENT);
		ASSERT_NE(MAP_FAILED, log);
		for (i = 0; i < 3; i++) {
			char *batch = log + i * SEGMENT;
			uint32_t size = evd_be32(batch + 8) + 12;

			ASSERT_LT(40000, size);
			ASSERT_GT(41000, size);
			for (k = size; k < SEGMENT; k += k + 512 < SEGMENT ? 512 : 1)
				ASSERT_EQ(0, evm_touch(batch + k));
		}
		munmap(log, 3 * SEGMENT);
		if (round)
			AGAIN();
		else
			ASSERT_EQ(0, fsync(self->fd));
		ASSERT_EQ(0, evd_evict(self->fd));
	}
	free(buf);
}

struct reading {
	struct evt_topic *topic;
	atomic_int stop;
};

#define RECORDS	1500

static const char *append_all(void *arg, int index, struct evw_worker *w)
{
	struct reading *r = arg;
	int fd = evt_open(r->topic, 0, O_WRONLY);
	char *buf = malloc(20000);
	uint64_t rnd = 5;
	int i;

	(void)index;
	for (i = 0; i < RECORDS; i++) {
		uint32_t len = evw_size(&rnd, 20000);

		evw_make(buf, len, 0, i);
		if (write(fd, buf, len) != (ssize_t)len)
			return evw_why(w, "write: %s", strerror(errno));
	}
	close(fd);
	free(buf);
	return NULL;
}

static const char *evict(void *arg, int index, struct evw_worker *w)
{
	struct reading *r = arg;
	int fd = evt_open(r->topic, 0, O_RDONLY);

	(void)index;
	while (!atomic_load(&r->stop)) {
		if (evd_evict(fd))
			return evw_why(w, "fadvise: %s", strerror(errno));
		evd_pause();
	}
	close(fd);
	return NULL;
}

static const char *read_all(void *arg, int index, struct evw_worker *w)
{
	struct reading *r = arg;
	struct evs_reader *reader;
	struct evs_record rec;
	struct evw_head h;
	uint32_t next = 0;
	char path[128];
	int ret;

	evt_path(r->topic, 0, path, sizeof(path));
	reader = evs_reader_open(path, 0);
	if (!reader)
		return evw_why(w, "evs_reader_open: %s", strerror(errno));
	while (next < RECORDS) {
		ret = evs_reader_next(reader, &rec);
		if (!ret) {
			/* One of them never comes from the disk but for the end. */
			if (index)
				evs_reader_seek(reader, EVSTREAM_SEEK_OFFSET, next);
			evs_reader_wait(reader, 100);
			continue;
		}
		if (ret != 1)
			return evw_why(w, "record %u: %s", next, strerror(-ret));
		if (!evw_check(rec.value, rec.value_len, &h) || h.seq != next ||
		    !evs_reader_valid(reader))
			return evw_why(w, "record %u is another one", next);
		next++;
	}
	evs_reader_close(reader);
	return NULL;
}

TEST_F_TIMEOUT(dmmap, readers_and_eviction, EVW_PATIENCE)
{
	struct reading *r = evw_shared(sizeof(*r));
	struct evw_crew readers, evictor;
	int i;

	r->topic = &self->topic;
	evw_crew_init(&readers, true);
	evw_crew_init(&evictor, true);
	evw_start(&evictor, evict, r, 0);
	evw_start(&readers, append_all, r, 0);
	for (i = 0; i < 2; i++)
		evw_start(&readers, read_all, r, i);
	EXPECT_EQ(0, evw_join(&readers));
	/* And once more, all of it cold. */
	evw_crew_init(&readers, true);
	ASSERT_EQ(0, evd_evict(self->fd));
	evw_start(&readers, read_all, r, 0);
	EXPECT_EQ(0, evw_join(&readers));
	atomic_store(&r->stop, 1);
	EXPECT_EQ(0, evw_join(&evictor));
}

/* Maps outlive their topic: the bytes that were there, zeroes, or SIGBUS. */
TEST_F_TIMEOUT(dmmap, of_the_detached, EVW_PATIENCE)
{
	const volatile struct evstream_ctl *ctl = evm_ctl(self->fd);
	struct evd_bytes before = {};
	struct evstream_stat st;
	size_t size, i;
	int foreign = 0;
	char *log;

	ASSERT_EQ(60, fill_log(self->fd, 60, 40000, 6));
	ASSERT_EQ(0, evt_stat(self->fd, 0, &st));
	size = (st.end_position + PAGE - 1) / PAGE * PAGE;
	log = evm_log(self->fd, 0, size);
	ASSERT_NE(MAP_FAILED, log);
	evd_add(&before, log, st.end_position);
	ASSERT_EQ(0, fsync(self->fd));
	madvise(log, size / 2, MADV_PAGEOUT);
	ASSERT_EQ(0, evd_detach(&self->topic));
	EXPECT_EQ(EVSTREAM_CTL_DEAD, ctl->flags & EVSTREAM_CTL_DEAD);
	EXPECT_EQ(0, evd_sh("rm -rf %s/*", self->dir));
	for (i = 0; i < st.end_position; i += 256) {
		int byte = evm_touch(log + i);

		foreign += byte > 0 && byte != (unsigned char)before.data[i];
	}
	EXPECT_EQ(0, foreign);
	munmap(log, size);
	munmap((void *)ctl, PAGE);
	EXPECT_EQ(MAP_FAILED, evm_log(self->fd, 0, PAGE));
	EXPECT_EQ(ENODEV, errno);
}

#include "evlast.h"

TEST_HARNESS_MAIN
