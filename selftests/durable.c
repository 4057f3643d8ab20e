// SPDX-License-Identifier: GPL-2.0
/*
 * Durable topics: what is appended is in Kafka's files, and is there again after
 * detach and attach.
 */
#include <sys/mman.h>

#include "evdurable.h"

#define SMALL	"--segment 64K --max-record 30000 --retention 0"

FIXTURE(durable) {
	struct evt_topic topic;
	char dir[EVD_PATH];
	int fd;
	struct evd_bytes list;
};

FIXTURE_VARIANT(durable) {
	const char *fs;
};

FIXTURE_VARIANT_ADD(durable, tmpfs) {
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(durable, ext4) {
	.fs = "ext4",
};

FIXTURE_VARIANT_ADD(durable, xfs) {
	.fs = "xfs",
};

FIXTURE_VARIANT_ADD(durable, btrfs) {
	.fs = "btrfs",
};

FIXTURE_SETUP(durable)
{
	int status = evd_place(variant->fs, self->dir);

	if (status == EVD_MISSING)
		SKIP(return, "%s is not to be had here", variant->fs);
	ASSERT_EQ(0, status);
	self->fd = -1;
}

FIXTURE_TEARDOWN(durable)
{
	if (self->fd >= 0)
		close(self->fd);
	EXPECT_EQ(0, evd_remove(&self->topic, self->dir));
}

static long long trim(int fd, long long offset)
{
	struct evstream_trim a = { .offset = offset };

	return ioctl(fd, EVSTREAM_IOC_TRIM, &a) ? -errno : a.start_offset;
}

static long long seek_time(int fd, long long timestamp)
{
	struct evstream_seek a = { .whence = EVSTREAM_SEEK_TIMESTAMP, .value = timestamp };

	return ioctl(fd, EVSTREAM_IOC_SEEK, &a) ? -errno : a.offset;
}

/* Append one record with a time of its own. */
static int append_at(int fd, const void *value, int len, long long timestamp)
{
	struct evstream_record rec = { .value = (uintptr_t)value, .value_len = len, .key_len = -1,
				       .timestamp = timestamp };
	struct evstream_append a = { .records = (uintptr_t)&rec, .nr_records = 1,
				     .record_size = sizeof(rec) };

	return ioctl(fd, EVSTREAM_IOC_APPEND, &a) ? -errno : 0;
}

#define REOPEN() do {								\
	if (self->fd >= 0)							\
		close(self->fd);						\
	self->fd = evt_open(&self->topic, 0, O_RDWR | O_NONBLOCK);		\
	ASSERT_LE(0, self->fd);							\
} while (0)

#define AGAIN() do {								\
	ASSERT_EQ(0, evd_detach(&self->topic));					\
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));			\
	REOPEN();								\
} while (0)

TEST_F_TIMEOUT(durable, all_is_there_again, EVW_PATIENCE)
{
	struct evd_bytes before = {}, after = {}, other = {};
	struct evd_files files, again;
	char buf[100] = "";
	int second;

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, "-p 2 " SMALL));
	ASSERT_FINE(evd_append_mix(&self->topic, 60, 1, &self->list));
	REOPEN();
	second = evt_open(&self->topic, 1, O_RDWR);
	ASSERT_EQ(5, write(second, "other", 5));
	ASSERT_EQ(0, evd_fetch(self->fd, 0, -1, &before));
	ASSERT_EQ(0, evd_fetch(second, 0, -1, &other));
	ASSERT_EQ(0, fsync(self->fd));
	EXPECT_FINE(evd_check(self->dir, &self->topic, 0, true, &files));
	EXPECT_LT(2, files.segments);
	EXPECT_TRUE(evd_same(&before, &files.log));
	evd_free(&files.log);

	ASSERT_EQ(0, evd_detach(&self->topic));
	/* Whoever had it open is told so. */
	EXPECT_EQ(-ENODEV, EVT(read(second, buf, sizeof(buf))));
	EXPECT_EQ(-ENODEV, EVT(write(second, buf, sizeof(buf))));
	EXPECT_EQ(-ENODEV, evt_end(second, 0));
	/* All that it wrote is on stable storage. */
	EXPECT_EQ(0, EVT(fsync(second)));
	EXPECT_TRUE(evt_poll(second, POLLIN) & POLLHUP);
	EXPECT_FALSE(evd_attached(&self->topic));
	close(second);

	EXPECT_FINE(evd_check(self->dir, &self->topic, 0, false, &files));
	EXPECT_TRUE(evd_same(&before, &files.log));
	EXPECT_EQ(evd_expected(&self->list), files.next);
	EXPECT_LT(10, files.entries);
	EXPECT_FINE(evd_check(self->dir, &self->topic, 1, false, &again));
	EXPECT_TRUE(evd_same(&other, &again.log));
	EXPECT_EQ(1, again.next);
	evd_free(&again.log);

	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	REOPEN();
	EXPECT_FINE(evd_holds(self->fd, &self->list));
	ASSERT_EQ(0, evd_fetch(self->fd, 0, -1, &after));
	EXPECT_TRUE(evd_same(&before, &after));
	second = evt_open(&self->topic, 1, O_RDONLY);
	EXPECT_EQ(5, read(second, buf, sizeof(buf)));
	EXPECT_STREQ("other", buf);
	close(second);

	/* Once more, untouched: not a byte is another. */
	AGAIN();
	ASSERT_EQ(0, evd_detach(&self->topic));
	EXPECT_FINE(evd_check(self->dir, &self->topic, 0, false, &again));
	EXPECT_TRUE(evd_same(&files.log, &again.log));
	EXPECT_EQ(files.segments, again.segments);
	EXPECT_EQ(files.entries, again.entries);
	evd_free(&again.log);
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	REOPEN();

	/* And it goes on where it was. */
	EXPECT_FINE(evd_append_mix(&self->topic, 30, 2, &self->list));
	EXPECT_FINE(evd_holds(self->fd, &self->list));
	ASSERT_EQ(0, evd_fetch(self->fd, 0, -1, &before));
	AGAIN();
	EXPECT_FINE(evd_holds(self->fd, &self->list));
	ASSERT_EQ(0, evd_fetch(self->fd, 0, -1, &after));
	EXPECT_TRUE(evd_same(&before, &after));
	ASSERT_EQ(0, evd_detach(&self->topic));
	EXPECT_FINE(evd_check(self->dir, &self->topic, 0, false, &again));
	EXPECT_TRUE(evd_same(&before, &again.log));
	EXPECT_LE(files.segments, again.segments);
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
}

/* As after a power cut: what fsync() has returned for is there, and nothing else. */
TEST_F_TIMEOUT(durable, unclean_end, EVW_PATIENCE)
{
	const int copies = 2;
	struct evd_bytes log[2] = {}, again = {};
	long long synced[2];
	struct evd_files files;
	char dir[EVD_PATH + 16];
	int i;

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, SMALL " --flush-interval 0"));
	REOPEN();
	for (i = 0; i < copies; i++) {
		ASSERT_FINE(evd_append_mix(&self->topic, 1 + i * 12, 6 + i, &self->list));
		ASSERT_EQ(0, i % 2 ? fdatasync(self->fd) : fsync(self->fd));
		synced[i] = evt_end(self->fd, 0);
		ASSERT_EQ(0, evd_fetch(self->fd, 0, -1, &log[i]));
		if (i % 2)
			ASSERT_FINE(evd_append_mix(&self->topic, 5, 60 + i, &self->list));
		ASSERT_EQ(0, evd_sh("cp -a %s %s.%d", self->dir, self->dir, i));
	}
	ASSERT_EQ(0, evd_detach(&self->topic));
	for (i = 0; i < copies; i++) {
		snprintf(dir, sizeof(dir), "%s.%d", self->dir, i);
		ASSERT_EQ(0, evd_attach(&self->topic, dir));
		REOPEN();
		ASSERT_EQ(0, evt_start(self->fd, 0));
		ASSERT_LE(synced[i], evt_end(self->fd, 0));
		ASSERT_EQ(evd_durable(self->fd, 0), evt_end(self->fd, 0));
		EXPECT_FINE(evw_walk(self->fd, evd_match, &self->list));
		ASSERT_EQ(0, evd_fetch(self->fd, 0, -1, &again));
		ASSERT_LE(log[i].len, again.len);
		EXPECT_EQ(0, memcmp(log[i].data, again.data, log[i].len));
		/* It goes on from there, and is whole again. */
		EXPECT_EQ(5, write(self->fd, "after", 5));
		ASSERT_EQ(0, evd_detach(&self->topic));
		EXPECT_FINE(evd_check(dir, &self->topic, 0, false, &files));
		EXPECT_LE(synced[i] + 1, files.next);
		evd_free(&files.log);
		EXPECT_EQ(0, evd_sh("rm -rf %s", dir));
	}
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
}

/* From here on of one file system, as it can make no difference. */
FIXTURE(one) {
	struct evt_topic topic;
	char dir[EVD_PATH];
	int fd;
	struct evd_bytes list;
};

FIXTURE_SETUP(one)
{
	ASSERT_EQ(0, evd_place("ext4", self->dir));
	self->fd = -1;
}

FIXTURE_TEARDOWN(one)
{
	if (self->fd >= 0)
		close(self->fd);
	EXPECT_EQ(0, evd_remove(&self->topic, self->dir));
}

TEST_F_TIMEOUT(one, delete_and_detach, EVW_PATIENCE)
{
	struct evd_files files;

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, "-p 3 " SMALL));
	ASSERT_FINE(evd_append_mix(&self->topic, 20, 5, &self->list));
	ASSERT_EQ(0, evd_detach(&self->topic));
	EXPECT_FINE(evd_check(self->dir, &self->topic, 0, false, &files));
	evd_free(&files.log);
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	/* With somebody who has it open. */
	REOPEN();
	ASSERT_EQ(0, evt_delete(&self->topic));
	EXPECT_EQ(-ENODEV, EVT(write(self->fd, "x", 1)));
	EXPECT_EQ(0, evd_sh("[ -d %s ] && [ -z \"$(ls -A %s)\" ]", self->dir, self->dir));
	EXPECT_EQ(2, evt_streamctl("topic attach %s %s 2>/dev/null", self->dir,
				   self->topic.name));
	/* The name is free, and nothing comes back under it. */
	ASSERT_EQ(0, evt_streamctl("topic create %s --dir %s >/dev/null", self->topic.name,
				   self->dir));
	REOPEN();
	EXPECT_EQ(0, evt_end(self->fd, 0));
}

TEST_F_TIMEOUT(one, look_up, EVW_PATIENCE)
{
	const int records = 300, step = 1000;
	const long long late = EVD_T0 + (records + 9) * step;
	struct evd_bytes all = {}, part = {};
	char buf[2000], value[2000];
	int round, i;

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, SMALL));
	REOPEN();
	for (i = 0; i < records; i++) {
		evt_fill(value, 1200, i);
		ASSERT_EQ(0, append_at(self->fd, value, 1200, EVD_T0 + i * step));
	}
	for (round = 0; round < 4; round++) {
		if (round == 1)
			AGAIN();
		/* Attach may have read everything. */
		if (round >= 2)
			ASSERT_EQ(0, evd_evict(self->fd));
		ASSERT_EQ(0, evt_start(self->fd, 0));
		ASSERT_EQ(records + (round == 3), evt_end(self->fd, 0));
		for (i = round; i < records; i += 7) {
			evt_fill(value, 1200, i);
			ASSERT_EQ(1200, pread(self->fd, buf, sizeof(buf), i));
			ASSERT_EQ(0, memcmp(value, buf, 1200));
			ASSERT_EQ(i, seek_time(self->fd, EVD_T0 + i * step));
			ASSERT_EQ(i, seek_time(self->fd, EVD_T0 + i * step - step / 2));
			ASSERT_EQ(1200, read(self->fd, buf, sizeof(buf)));
			ASSERT_EQ(0, memcmp(value, buf, 1200));
			ASSERT_EQ(i + 1, lseek(self->fd, 0, SEEK_CUR));
		}
		EXPECT_EQ(0, seek_time(self->fd, 0));
		EXPECT_EQ(0, seek_time(self->fd, EVD_T0));
		EXPECT_EQ(records, seek_time(self->fd, EVD_T0 + records * step));
		EXPECT_EQ(records, lseek(self->fd, -(round == 3), SEEK_END));
		/* From the middle of one segment over all those behind it. */
		ASSERT_EQ(0, evd_fetch(self->fd, 0, -1, &all));
		for (i = 1; i < records; i += 91) {
			ASSERT_EQ(0, evd_fetch(self->fd, 0, i, &part));
			ASSERT_GT(all.len, part.len);
			EXPECT_EQ(0, memcmp(all.data + all.len - part.len, part.data, part.len));
			EXPECT_EQ(i, (long long)evd_be64(part.data));
		}
		if (round == 2)
			ASSERT_EQ(0, append_at(self->fd, value, 1200, late));
		if (round >= 2)
			EXPECT_EQ(records, seek_time(self->fd, late));
	}
}

TEST_F_TIMEOUT(one, start_offset, EVW_PATIENCE)
{
	struct evd_files files;
	long long end, start;
	char buf[30000];

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, SMALL));
	ASSERT_FINE(evd_append_mix(&self->topic, 60, 3, &self->list));
	REOPEN();
	end = evd_expected(&self->list);
	start = end / 2;
	ASSERT_EQ(start, trim(self->fd, start));
	AGAIN();
	EXPECT_EQ(start, evt_start(self->fd, 0));
	EXPECT_EQ(end, evt_end(self->fd, 0));
	EXPECT_EQ(start, lseek(self->fd, 0, SEEK_DATA));
	EXPECT_FINE(evd_holds(self->fd, &self->list));
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	EXPECT_EQ(-EPIPE, EVT(read(self->fd, buf, sizeof(buf))));
	EXPECT_LE(0, EVT(read(self->fd, buf, sizeof(buf))));
	EXPECT_EQ(start + 1, lseek(self->fd, 0, SEEK_CUR));
	/* What is before it went by whole segments. */
	EVD_WAIT(evd_count_files(self->dir, &self->topic, 0, ".log") <
		 1 + evd_count_files(self->dir, &self->topic, 0, ".index"));
	ASSERT_EQ(0, evd_detach(&self->topic));
	EXPECT_FINE(evd_check(self->dir, &self->topic, 0, false, &files));
	EXPECT_LT(0, files.first);
	EXPECT_GE(start, files.first);
	EXPECT_EQ(end, files.next);
	evd_free(&files.log);
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	REOPEN();
	EXPECT_EQ(start, evt_start(self->fd, 0));

	/* Everything: the offsets go on all the same. */
	ASSERT_EQ(end, trim(self->fd, -1));
	AGAIN();
	EXPECT_EQ(end, evt_start(self->fd, 0));
	EXPECT_EQ(end, evt_end(self->fd, 0));
	EXPECT_FINE(evd_append_mix(&self->topic, 10, 4, &self->list));
	AGAIN();
	EXPECT_EQ(end, evt_start(self->fd, 0));
	EXPECT_FINE(evd_holds(self->fd, &self->list));
}

TEST_F_TIMEOUT(one, retention, EVW_PATIENCE)
{
	static const char *const endings[] = { ".log", ".index", ".timeindex" };
	struct evd_files files;
	char value[1200];
	long long end;
	int i;

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, "--segment 64K --retention 0,128K"));
	REOPEN();
	for (i = 0; i < 500; i++) {
		evt_fill(value, sizeof(value), i);
		ASSERT_EQ(sizeof(value), write(self->fd, value, sizeof(value)));
		evd_expect_value(&self->list, value, sizeof(value));
	}
	/* As much as was asked for, and less than two segments more. */
	for (i = 0; i < 3; i++)
		EVD_WAIT(evd_count_files(self->dir, &self->topic, 0, endings[i]) <= 4);
	EXPECT_LT(300, evt_start(self->fd, 0));
	EXPECT_GT(500 - 100, evt_start(self->fd, 0));
	EXPECT_FINE(evd_holds(self->fd, &self->list));
	ASSERT_EQ(0, evd_detach(&self->topic));
	EXPECT_FINE(evd_check(self->dir, &self->topic, 0, false, &files));
	EXPECT_LE(128 << 10, files.log.len);
	EXPECT_GE(256 << 10, files.log.len);
	evd_free(&files.log);
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	REOPEN();
	EXPECT_EQ(files.first, evt_start(self->fd, 0));
	EXPECT_FINE(evd_holds(self->fd, &self->list));

	/* By time, to the last segment. */
	ASSERT_EQ(0, evt_set(&self->topic, "retention=50ms,0"));
	EVD_WAIT(evt_start(self->fd, 0) == 500);
	EVD_WAIT(evd_count_files(self->dir, &self->topic, 0, ".log") <= 1);
	AGAIN();
	EXPECT_EQ(500, evt_start(self->fd, 0));
	EXPECT_EQ(500, evt_end(self->fd, 0));
	ASSERT_EQ(0, evt_set(&self->topic, "retention=0"));
	EXPECT_EQ(4, write(self->fd, "more", 4));
	end = evt_end(self->fd, 0);
	EXPECT_EQ(501, end);
	AGAIN();
	EXPECT_EQ(4, pread(self->fd, value, sizeof(value), 500));
	EXPECT_EQ(0, memcmp("more", value, 4));
	ASSERT_EQ(0, evd_detach(&self->topic));
	EXPECT_FINE(evd_check(self->dir, &self->topic, 0, false, &files));
	EXPECT_EQ(501, files.next);
	evd_free(&files.log);
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
}

/* Who dropped nothing before, but attaches late, drops what is too old now. */
TEST_F_TIMEOUT(one, retention_of_what_was_detached, EVW_PATIENCE)
{
	char value[6000] = "";
	int i;

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, "--segment 64K --retention 0"));
	REOPEN();
	for (i = 0; i < 35; i++)
		ASSERT_EQ(0, append_at(self->fd, value, sizeof(value), EVD_T0 + i));
	ASSERT_EQ(0, append_at(self->fd, "new", 3, -1));
	EXPECT_EQ(0, evt_start(self->fd, 0));
	ASSERT_EQ(0, evt_set(&self->topic, "retention=1h"));
	ASSERT_EQ(0, evd_detach(&self->topic));
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	REOPEN();
	EVD_WAIT(evt_start(self->fd, 0) >= 30);
	EXPECT_EQ(36, evt_end(self->fd, 0));
	EXPECT_EQ(3, pread(self->fd, value, sizeof(value), 35));
	EXPECT_EQ(0, memcmp("new", value, 3));
}

/* Those who sleep wake up; those who work are told. */
TEST_F_TIMEOUT(one, detach_wakes, EVW_PATIENCE)
{
	int i, fd[4];
	pid_t pid[4];
	const volatile struct evstream_ctl *ctl;

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, SMALL));
	REOPEN();
	ctl = mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd, EVSTREAM_MMAP_CTL);
	ASSERT_NE(MAP_FAILED, (void *)ctl);
	for (i = 0; i < 4; i++) {
		fd[i] = evt_open(&self->topic, i % 2 ? EVT_ANY : 0, O_RDONLY);
		ASSERT_LE(0, fd[i]);
		pid[i] = fork();
		if (!pid[i]) {
			struct evstream_fetch a = { .len = 4096, .min_bytes = 1, .timeout_ms = -1,
						    .offset = i % 2 ? 0 : -1 };
			struct pollfd p = { .fd = fd[i], .events = POLLIN };
			char buf[4096];

			a.buf = (uintptr_t)buf;
			if (i < 2)
				_exit(EVT(read(fd[i], buf, 1)) == -ENODEV ? 0 : 1);
			if (i == 2)
				_exit(EVT(ioctl(fd[i], EVSTREAM_IOC_FETCH, &a)) == -ENODEV ? 0 : 1);
			_exit(poll(&p, 1, -1) == 1 && p.revents & POLLHUP ? 0 : 1);
		}
	}
	for (i = 0; i < 4; i++)
		ASSERT_TRUE(evt_sleeps_in(pid[i], i < 2 ? SYS_read :
						  i == 2 ? SYS_ioctl : SYS_poll));
	EXPECT_EQ(0, ctl->flags & EVSTREAM_CTL_DEAD);
	ASSERT_EQ(0, evd_detach(&self->topic));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, evt_wait(pid[i]));
	EXPECT_EQ(EVSTREAM_CTL_DEAD, ctl->flags & EVSTREAM_CTL_DEAD);
	/* While they still have the dead one, there is one that lives. */
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	EXPECT_EQ(-ENODEV, EVT(write(self->fd, "x", 1)));
	REOPEN();
	EXPECT_EQ(1, write(self->fd, "x", 1));
	for (i = 0; i < 4; i++)
		close(fd[i]);
	munmap((void *)ctl, 4096);
}

/* What a broker left: no file of ours, an epoch, a base offset. */
TEST_F_TIMEOUT(one, of_a_broker, EVW_PATIENCE)
{
	struct evs_builder *builder = evs_builder_new(NULL, 0);
	const long long base = 7000000000LL;
	struct evd_bytes log = {}, now = {};
	char path[512], buf[1000], value[1000];
	const void *batch;
	struct evs_record rec;
	int fd, i, k;
	size_t size;

	strcpy(self->topic.name, "broker");
	ASSERT_EQ(0, evd_sh("mkdir %s/broker-0 && cd %s/broker-0 && printf '%s' >%s",
			    self->dir, self->dir, "0\\n1\\n5 7000000000\\n",
			    "leader-epoch-checkpoint"));
	ASSERT_EQ(0, evd_sh("cd %s/broker-0 && printf '%s' >partition.metadata", self->dir,
			    "version: 0\\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"));
	for (i = 0; i < 40; i++) {
		uint64_t offset = htobe64(base + 2 * i);
		uint32_t epoch = htobe32(5);

		for (k = 0; k < 2; k++) {
			evt_fill(value, 900, 2 * i + k);
			rec = (struct evs_record){ .key_len = -1, .value = value, .value_len = 900,
						   .timestamp = EVD_T0 + i };
			ASSERT_EQ(0, evs_builder_add(builder, &rec));
		}
		ASSERT_EQ(0, evs_builder_finish(builder, &batch, &size));
		evd_add(&log, batch, size);
		memcpy(log.data + log.len - size, &offset, 8);
		memcpy(log.data + log.len - size + 12, &epoch, 4);
		if (i == 19 || i == 39) {
			snprintf(path, sizeof(path), "%s/broker-0/%020lld.log", self->dir,
				 base + (i == 39 ? 40 : 0));
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
			ASSERT_LE(0, fd);
			ASSERT_EQ(log.len, write(fd, log.data, log.len));
			close(fd);
			log.len = 0;
		}
	}
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	REOPEN();
	/* A broker's retention is not known: the default may take the old ones. */
	ASSERT_EQ(0, evt_set(&self->topic, "retention=0"));
	EXPECT_EQ(base + 80, evt_end(self->fd, 0));
	if (evt_start(self->fd, 0) < base + 40)
		EXPECT_EQ(base, evt_start(self->fd, 0));
	for (i = evt_start(self->fd, 0) - base; i < 80; i++) {
		evt_fill(value, 900, i);
		ASSERT_EQ(900, pread(self->fd, buf, sizeof(buf), base + i));
		ASSERT_EQ(0, memcmp(value, buf, 900));
	}
	EXPECT_EQ(3, write(self->fd, "new", 3));
	EXPECT_EQ(base + 81, evt_end(self->fd, 0));
	AGAIN();
	EXPECT_EQ(base + 81, evt_end(self->fd, 0));
	EXPECT_EQ(3, pread(self->fd, buf, sizeof(buf), base + 80));
	ASSERT_EQ(0, evd_fetch(self->fd, 0, -1, &now));
	/* Epochs do not go back. */
	EXPECT_EQ(5, evd_be32(now.data + 12));
	EXPECT_LE(5, evd_be32(now.data + now.len - 72 + 12));
	evs_builder_free(builder);
}

/* The module goes and comes back, the topic with it. */
TEST_F_TIMEOUT(one, module_unloaded, EVW_PATIENCE)
{
	char load[512] = "modprobe evstream ";
	struct evd_bytes list = {};
	FILE *f;

	f = popen("cd /sys/module/evstream/parameters && grep -H . * | tr ':\\n' '= '", "r");
	ASSERT_NE(NULL, f);
	ASSERT_NE(NULL, fgets(load + strlen(load), sizeof(load) - strlen(load), f));
	pclose(f);

	ASSERT_EQ(0, evd_create(&self->topic, self->dir, SMALL));
	ASSERT_FINE(evd_append_mix(&self->topic, 30, 9, &list));
	/* A topic alone holds the module. */
	EXPECT_EQ(-EWOULDBLOCK, EVT(syscall(SYS_delete_module, "evstream", O_NONBLOCK)));
	ASSERT_EQ(0, evd_detach(&self->topic));
	ASSERT_EQ(0, EVT(syscall(SYS_delete_module, "evstream", O_NONBLOCK)));
	ASSERT_EQ(0, system(load));
	EXPECT_FALSE(evd_attached(&self->topic));
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	REOPEN();
	EXPECT_FINE(evd_holds(self->fd, &list));
	EXPECT_EQ(1, write(self->fd, "x", 1));
	EXPECT_EQ(evd_expected(&list) + 1, evt_end(self->fd, 0));
}

#include "evlast.h"

TEST_HARNESS_MAIN
