// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * libevstream on the real devices; needs the module, root and streamctl. Not of
 * the userspace suite: run it in a machine that has them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../tools/lib/evstream.h"
#include "tap.h"

#define TOPIC	"device-reader"
#define DEVICE	"/dev/stream/" TOPIC "/0"

static void topic_command(const char *args)
{
	char line[256];

	snprintf(line, sizeof(line), "streamctl topic %s >/dev/null", args);
	if (system(line))
		printf("# %s: failed\n", line);
}

static void make_topic(const char *options)
{
	char line[200];

	snprintf(line, sizeof(line), "create " TOPIC " -p 1 %s", options);
	topic_command(line);
}

static void remove_topic(void)
{
	topic_command("delete " TOPIC);
}

/* The value of record @i: its number, again and again. */
static size_t value_of(uint64_t i, uint8_t *to)
{
	size_t len = 8 * (1 + i % 60), at;

	for (at = 0; at < len; at += 8)
		memcpy(to + at, &i, 8);
	return len;
}

static bool is_value_of(const struct evs_record *rec, uint64_t i)
{
	uint8_t want[8 * 60];
	size_t len = value_of(i, want);

	return rec->value_len == (int32_t)len && !memcmp(rec->value, want, len);
}

static void write_records(uint64_t n)
{
	int fd = open(DEVICE, O_WRONLY);
	uint8_t value[8 * 60];
	uint64_t i;

	for (i = 0; i < n; i++) {
		ssize_t len = (ssize_t)value_of(i, value);

		if (write(fd, value, (size_t)len) != len)
			abort();
	}
	close(fd);
}

static pid_t producer(uint64_t n)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	write_records(n);
	_exit(0);
}

static void reap(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

struct seen {
	uint64_t whole;
	uint64_t overrun;
	uint64_t gaps;
	uint64_t sleeps;
	int64_t next;
};

/* Follows the log until @n records went by; now and then it is slow. */
static void follow(struct evs_reader *r, int64_t n, uint32_t slow_one_in, struct seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	while (seen->next < n) {
		struct evs_record rec;
		int64_t from, to;
		int ret = evs_reader_next(r, &rec);

		if (ret == 1) {
			bool fine = is_value_of(&rec, (uint64_t)rec.offset);

			CHECK_EQ(rec.offset, seen->next);
			seen->next = rec.offset + 1;
			if (evs_reader_valid(r)) {
				CHECK(fine);
				seen->whole++;
			} else {
				seen->overrun++;
			}
			if (slow_one_in && !tap_below(slow_one_in))
				usleep(3000);
		} else if (ret == -EPIPE) {
			evs_reader_lost(r, &from, &to);
			CHECK_EQ(from, seen->next);
			CHECK(to > from);
			seen->next = to;
			seen->gaps++;
		} else if (!ret) {
			seen->sleeps++;
			if (!CHECK_EQ(evs_reader_wait(r, 20000), 1))
				return;
		} else if (!CHECK_EQ(ret, 0)) {
			return;
		}
		if (tap_failures > 20)
			return;
	}
}

static void follows_a_live_producer(void)
{
	struct evs_reader *r;
	struct evs_record rec;
	struct seen seen;
	pid_t pid;

	make_topic("--segment 1M --ring 128M");
	r = evs_reader_open(DEVICE, 0);
	if (!CHECK(r))
		return;
	CHECK_EQ(evs_reader_next(r, &rec), 0);
	pid = producer(200000);
	follow(r, 200000, 0, &seen);
	CHECK_EQ(seen.whole, 200000);
	CHECK_EQ(evs_reader_lost(r, NULL, NULL), 0);
	CHECK_EQ(evs_reader_next(r, &rec), 0);
	CHECK_EQ(evs_reader_wait(r, 0), 0);
	CHECK_EQ(evs_reader_wait(r, 20), 0);
	reap(pid);
	evs_reader_close(r);
	printf("# asleep %llu times\n", (unsigned long long)seen.sleeps);
	remove_topic();
}

static void overrun_in_a_small_ring(void)
{
	const int64_t n = 400000;
	struct evstream_stat stat = { 0 };
	struct evs_reader *r;
	struct seen seen;
	uint64_t lost;
	pid_t pid;

	make_topic("--segment 64K --ring 256K");
	r = evs_reader_open(DEVICE, 0);
	if (!CHECK(r))
		return;
	pid = producer((uint64_t)n);
	follow(r, n, 3000, &seen);
	reap(pid);
	lost = evs_reader_lost(r, NULL, NULL);
	CHECK_EQ(seen.whole + seen.overrun + lost, n);
	CHECK(seen.gaps > 0);
	CHECK_EQ(ioctl(evs_reader_fd(r), EVSTREAM_IOC_STAT, &stat), 0);
	CHECK_EQ(stat.appended_records, n);
	CHECK_EQ(stat.end_offset, evs_reader_end_offset(r));
	CHECK_EQ(stat.start_offset, evs_reader_start_offset(r));
	CHECK_EQ(stat.end_position, evs_reader_position(r));
	printf("# %llu whole, %llu overrun in use, %llu lost in %llu gaps\n",
	       (unsigned long long)seen.whole, (unsigned long long)seen.overrun,
	       (unsigned long long)lost, (unsigned long long)seen.gaps);
	evs_reader_close(r);
	remove_topic();
}

static void topic_deleted(void)
{
	struct evs_reader *r, *asleep;
	struct evs_record rec;
	pid_t pid;

	make_topic("");
	write_records(10);
	r = evs_reader_open(DEVICE, 0);
	asleep = evs_reader_open(DEVICE, EVS_READER_LATEST);
	if (!CHECK(r && asleep))
		return;
	CHECK_EQ(evs_reader_next(r, &rec), 1);
	CHECK(evs_reader_valid(r));
	pid = fork();
	if (!pid) {
		usleep(200000);
		remove_topic();
		_exit(0);
	}
	CHECK_EQ(evs_reader_wait(asleep, 10000), -ENODEV);
	reap(pid);
	CHECK(!evs_reader_valid(r));
	/* What it had seen already may still come, then the end; never a fault. */
	while (evs_reader_next(r, &rec) == 1)
		CHECK_EQ(rec.value_len >= 0, 1);
	CHECK_EQ(evs_reader_next(r, &rec), -ENODEV);
	CHECK_EQ(evs_reader_next(asleep, &rec), -ENODEV);
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_EARLIEST, 0), -ENODEV);
	CHECK_EQ(evs_reader_arm(r), -ENODEV);
	evs_reader_close(r);
	evs_reader_close(asleep);
	CHECK(!evs_reader_open(DEVICE, 0) && errno == ENOENT);
}

static void batches_built_here(void)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	struct evs_header h = { "trace", "xyz", 5, 3 };
	struct evs_record in = {
		.key = "k1", .key_len = 2, .value = "hello", .value_len = 5,
		.headers_count = 1,
	}, out, third;
	struct evs_header_iter it;
	struct evs_batch batch;
	struct evs_reader *r;
	uint8_t headers[32], *bad;
	int64_t base = -1;
	const void *data;
	size_t size;
	int fd, i;

	make_topic("");
	fd = open(DEVICE, O_RDWR);
	in.headers = headers;
	in.headers_len = (uint32_t)evs_header_encode(headers, sizeof(headers), &h);
	CHECK_EQ(write(fd, "first", 5), 5);
	for (i = 0; i < 3; i++) {
		in.timestamp = 1700000000000LL + 10 * i;
		if (i == 2) {
			in.key_len = -1;
			in.value_len = -1;
			in.headers_count = 0;
			in.headers_len = 0;
		}
		CHECK_EQ(evs_builder_add(b, &in), 0);
	}
	CHECK_EQ(evs_builder_finish(b, &data, &size), 0);
	CHECK_EQ(evs_append_batch(fd, 0, data, size, &base), 0);
	CHECK_EQ(base, 1);
	bad = tap_exact(data, size);
	bad[size - 1] ^= 1;
	CHECK_EQ(evs_append_batch(fd, 0, bad, size, NULL), -EBADMSG);

	r = evs_reader_open(DEVICE, 0);
	if (!CHECK(r))
		return;
	CHECK_EQ(evs_reader_next(r, &out), 1);
	CHECK_EQ(out.offset, 0);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(evs_reader_next(r, &out), 1);
		CHECK_EQ(out.offset, 1 + i);
		CHECK_EQ(out.timestamp, 1700000000000LL + 10 * i);
		CHECK(out.key_len == 2 && !memcmp(out.key, "k1", 2));
		CHECK(out.value_len == 5 && !memcmp(out.value, "hello", 5));
		evs_header_first(&it, &out);
		CHECK_EQ(evs_header_next(&it, &h), 1);
		CHECK(h.key_len == 5 && !memcmp(h.key, "trace", 5));
		CHECK_EQ(evs_header_next(&it, &h), 0);
	}
	CHECK_EQ(evs_reader_next(r, &third), 1);
	CHECK(third.key_len == -1 && !third.key && third.value_len == -1 && !third.value);
	CHECK_EQ(evs_reader_batch(r, &batch), 0);
	CHECK_EQ(batch.base_offset, 1);
	CHECK_EQ(batch.count, 3);
	CHECK_EQ(evs_batch_verify(batch.data, batch.size, 1 << 20), 0);
	CHECK_EQ(evs_reader_next(r, &out), 0);

	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, 2), 0);
	CHECK_EQ(evs_reader_next(r, &out), 1);
	CHECK_EQ(out.offset, 2);
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_LATEST, 0), 0);
	CHECK_EQ(evs_reader_offset(r), 4);
	CHECK_EQ(evs_reader_arm(r), 0);
	CHECK_EQ(evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, 5), 0);
	CHECK_EQ(write(fd, "4", 1), 1);
	CHECK_EQ(evs_reader_next(r, &out), 0);
	CHECK_EQ(evs_reader_wait(r, 20), 0);
	CHECK_EQ(write(fd, "5", 1), 1);
	CHECK_EQ(evs_reader_wait(r, 1000), 1);
	CHECK_EQ(evs_reader_next(r, &out), 1);
	CHECK_EQ(out.offset, 5);
	evs_reader_close(r);
	evs_builder_free(b);
	free(bad);
	close(fd);
	remove_topic();
}

/* FETCH and the mapping show the same records. */
static void fetch_agrees(void)
{
	static uint8_t buf[1 << 16];
	struct evs_reader *r;
	struct evs_record a, b;
	struct evs_batch_iter it;
	int64_t offset = 0;

	make_topic("--segment 64K --ring 16M");
	write_records(20000);
	r = evs_reader_open(DEVICE, 0);
	if (!CHECK(r))
		return;
	while (offset < 20000) {
		struct evstream_fetch fetch = {
			.buf = (uintptr_t)buf, .len = sizeof(buf), .offset = offset,
		};

		if (!CHECK_EQ(ioctl(evs_reader_fd(r), EVSTREAM_IOC_FETCH, &fetch), 0))
			break;
		CHECK(fetch.bytes > 0);
		evs_batch_iter_init(&it, buf, fetch.bytes, EVS_ITER_CRC);
		while (evs_batch_iter_next(&it, &a) == 1) {
			CHECK_EQ(evs_reader_next(r, &b), 1);
			CHECK_EQ(a.offset, offset);
			CHECK_EQ(b.offset, offset);
			CHECK_EQ(a.timestamp, b.timestamp);
			CHECK(a.value_len == b.value_len &&
			      !memcmp(a.value, b.value, (size_t)a.value_len));
			offset++;
		}
		CHECK_EQ(evs_batch_iter_rest(&it), 0);
		CHECK_EQ(fetch.next_offset, offset);
	}
	CHECK_EQ(evs_reader_next(r, &b), 0);
	evs_reader_close(r);
	remove_topic();
}

static void wrong_files(void)
{
	make_topic("");
	CHECK(!evs_reader_open("/dev/stream/" TOPIC "/any", 0) && errno == ENODEV);
	CHECK(!evs_reader_open(DEVICE "/x", 0) && errno == ENOTDIR);
	remove_topic();
}

static const struct tap_test tests[] = {
	TAP_TEST(follows_a_live_producer),
	TAP_TEST(overrun_in_a_small_ring),
	TAP_TEST(topic_deleted),
	TAP_TEST(batches_built_here),
	TAP_TEST(fetch_agrees),
	TAP_TEST(wrong_files),
};

int main(void)
{
	return TAP_MAIN(tests);
}
