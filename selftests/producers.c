// SPDX-License-Identifier: GPL-2.0
/*
 * Idempotent producers: a batch that is sent again is not appended again.
 */
#include "evdurable.h"

FIXTURE(producers) {
	struct evt_topic topic;
	char dir[EVD_PATH];
	int fd;
	struct evs_builder *builder;
};

FIXTURE_VARIANT(producers) {
	bool durable;
};

FIXTURE_VARIANT_ADD(producers, volatile) {
	.durable = false,
};

FIXTURE_VARIANT_ADD(producers, durable) {
	.durable = true,
};

FIXTURE_SETUP(producers)
{
	if (variant->durable) {
		ASSERT_EQ(0, evd_place("ext4", self->dir));
		ASSERT_EQ(0, evd_create(&self->topic, self->dir,
					"-p 2 --segment 64K --max-record 20000"));
	} else {
		strcpy(self->dir, "/none");
		ASSERT_EQ(0, evt_create(&self->topic,
					"-p 2 --segment 64K --ring 1M --max-record 20000"));
	}
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
	self->builder = evs_builder_new(NULL, 0);
	ASSERT_NE(NULL, self->builder);
}

FIXTURE_TEARDOWN(producers)
{
	evs_builder_free(self->builder);
	close(self->fd);
	EXPECT_EQ(0, evd_remove(&self->topic, self->dir));
}

/* A batch of @count records; the offset it got, or -errno. */
static long long send_to(int fd, uint32_t partition, struct evs_builder *b, int64_t id,
			 int16_t epoch, int32_t sequence, int count)
{
	struct evs_record rec = { .key_len = -1, .timestamp = -1 };
	const void *batch;
	int64_t offset;
	char text[64];
	size_t size;
	int ret, i;

	evs_builder_reset(b);
	ret = evs_builder_producer(b, id, epoch, sequence);
	for (i = 0; i < count && !ret; i++) {
		rec.value = text;
		rec.value_len = sprintf(text, "%lld/%d/%u", (long long)id, epoch,
					((uint32_t)sequence + i) & INT32_MAX);
		ret = evs_builder_add(b, &rec);
	}
	ret = ret ?: evs_builder_finish(b, &batch, &size);
	ret = ret ?: evs_append_batch(fd, partition, batch, size, &offset);
	return ret ?: offset;
}

#define SEND(id, epoch, sequence, count)	\
	send_to(self->fd, 0, self->builder, id, epoch, sequence, count)

/* The log holds just these values, one after the other. */
static const char *next_value(const struct evs_record *rec, void *arg)
{
	const char **at = arg;
	size_t len = strcspn(*at, " ");

	if ((size_t)rec->value_len != len || memcmp(rec->value, *at, len))
		return evd_wrong("offset %lld: '%.*s', then should come '%s'",
				 (long long)rec->offset, rec->value_len,
				 (const char *)rec->value, *at);
	*at += len + !!(*at)[len];
	return NULL;
}

static const char *holds(int fd, const char *values)
{
	const char *why = evw_walk(fd, next_value, &values);

	return why ?: *values ? evd_wrong("missing: %s", values) : NULL;
}

TEST_F_TIMEOUT(producers, duplicates, EVW_PATIENCE)
{
	char values[200];
	int i, n = 0;

	EXPECT_EQ(0, SEND(7, 0, 0, 1));
	EXPECT_EQ(0, SEND(7, 0, 0, 1));
	for (i = 0; i < 5; i++)
		EXPECT_EQ(1 + 2 * i, SEND(7, 0, 1 + 2 * i, 2));
	/* All of the last five, in any order, and again. */
	for (i = 4; i >= 0; i--) {
		EXPECT_EQ(1 + 2 * i, SEND(7, 0, 1 + 2 * i, 2));
		EXPECT_EQ(1 + 2 * (4 - i), SEND(7, 0, 1 + 2 * (4 - i), 2));
	}
	/* The one before is not remembered. */
	EXPECT_EQ(-EILSEQ, SEND(7, 0, 0, 1));
	/* Parts of them, or more than them, are none. */
	EXPECT_EQ(-EILSEQ, SEND(7, 0, 9, 1));
	EXPECT_EQ(-EILSEQ, SEND(7, 0, 10, 1));
	EXPECT_EQ(-EILSEQ, SEND(7, 0, 9, 3));
	EXPECT_EQ(-EILSEQ, SEND(7, 0, 7, 4));
	EXPECT_EQ(11, evt_end(self->fd, 0));
	EXPECT_EQ(11, SEND(7, 0, 11, 1));
	for (i = 0; i <= 11; i++)
		n += sprintf(values + n, "7/0/%d ", i);
	EXPECT_FINE(holds(self->fd, values));
}

TEST_F_TIMEOUT(producers, gaps, EVW_PATIENCE)
{
	EXPECT_EQ(0, SEND(1, 0, 0, 3));
	EXPECT_EQ(-EILSEQ, SEND(1, 0, 4, 1));
	EXPECT_EQ(-EILSEQ, SEND(1, 0, 1000, 1));
	EXPECT_EQ(-EILSEQ, SEND(1, 0, INT32_MAX, 1));
	EXPECT_EQ(-EILSEQ, SEND(1, 0, 2, 1));
	EXPECT_EQ(-EILSEQ, SEND(1, 0, 0, 1));
	EXPECT_EQ(3, evt_end(self->fd, 0));
	/* What was refused has changed nothing. */
	EXPECT_EQ(0, SEND(1, 0, 0, 3));
	EXPECT_EQ(3, SEND(1, 0, 3, 2));
	EXPECT_EQ(5, SEND(1, 0, 5, 1));
	EXPECT_FINE(holds(self->fd, "1/0/0 1/0/1 1/0/2 1/0/3 1/0/4 1/0/5"));
}

TEST_F_TIMEOUT(producers, epochs, EVW_PATIENCE)
{
	EXPECT_EQ(0, SEND(1, 3, 0, 1));
	EXPECT_EQ(-ESTALE, SEND(1, 2, 0, 1));
	EXPECT_EQ(-ESTALE, SEND(1, 2, 1, 1));
	EXPECT_EQ(-ESTALE, SEND(1, 0, 1, 1));
	EXPECT_EQ(1, SEND(1, 3, 1, 1));
	/* A new one begins at 0, and leaves the old one behind. */
	EXPECT_EQ(-EILSEQ, SEND(1, 4, 2, 1));
	EXPECT_EQ(2, SEND(1, 3, 2, 1));
	EXPECT_EQ(3, SEND(1, 4, 0, 1));
	EXPECT_EQ(-ESTALE, SEND(1, 3, 3, 1));
	EXPECT_EQ(-ESTALE, SEND(1, 3, 2, 1));
	EXPECT_EQ(3, SEND(1, 4, 0, 1));
	EXPECT_EQ(4, SEND(1, 4, 1, 1));
	EXPECT_EQ(5, SEND(1, INT16_MAX, 0, 1));
	EXPECT_EQ(-ESTALE, SEND(1, 4, 2, 1));
	EXPECT_FINE(holds(self->fd, "1/3/0 1/3/1 1/3/2 1/4/0 1/4/1 1/32767/0"));
}

TEST_F_TIMEOUT(producers, wrap, EVW_PATIENCE)
{
	EXPECT_EQ(0, SEND(1, 0, INT32_MAX - 4, 2));
	EXPECT_EQ(2, SEND(1, 0, INT32_MAX - 2, 5));
	EXPECT_EQ(2, SEND(1, 0, INT32_MAX - 2, 5));
	EXPECT_EQ(-EILSEQ, SEND(1, 0, 3, 1));
	EXPECT_EQ(-EILSEQ, SEND(1, 0, 0, 1));
	EXPECT_EQ(7, SEND(1, 0, 2, 1));
	/* Just up to the end. */
	EXPECT_EQ(8, SEND(2, 0, INT32_MAX - 1, 2));
	EXPECT_EQ(-EILSEQ, SEND(2, 0, 1, 1));
	EXPECT_EQ(10, SEND(2, 0, 0, 1));
	EXPECT_EQ(8, SEND(2, 0, INT32_MAX - 1, 2));
	EXPECT_EQ(10, SEND(2, 0, 0, 1));
	EXPECT_EQ(11, evt_end(self->fd, 0));
}

/* What others do is nothing to a producer. */
TEST_F_TIMEOUT(producers, others, EVW_PATIENCE)
{
	struct evs_record rec = { .key_len = -1, .timestamp = -1 };
	static const char *const again[] = { "some", "more", "yet" };
	int any = evt_open(&self->topic, EVT_ANY, O_RDWR), i;
	const void *batch;
	int64_t offset;
	size_t size;

	EXPECT_EQ(0, SEND(1, 0, 0, 1));
	/* An unknown one may begin anywhere. */
	EXPECT_EQ(1, SEND(2, 9, 500, 1));
	EXPECT_EQ(2, SEND(1LL << 40, 1, 0, 1));
	EXPECT_EQ(3, SEND(0, 0, 0, 1));
	EXPECT_EQ(0, SEND(1, 0, 0, 1));
	EXPECT_EQ(1, SEND(2, 9, 500, 1));
	EXPECT_EQ(2, SEND(1LL << 40, 1, 0, 1));
	EXPECT_EQ(3, SEND(0, 0, 0, 1));
	EXPECT_EQ(5, write(self->fd, "plain", 5));
	/* Another partition knows nothing of all this. */
	EXPECT_EQ(0, send_to(any, 1, self->builder, 1, 0, 77, 1));
	EXPECT_EQ(0, send_to(any, 1, self->builder, 1, 0, 77, 1));
	EXPECT_EQ(1, send_to(any, 1, self->builder, 1, 0, 78, 1));
	EXPECT_EQ(-EILSEQ, send_to(any, 1, self->builder, 1, 0, 1, 1));
	EXPECT_EQ(5, SEND(1, 0, 1, 1));
	/* Without a producer a batch is new each time. */
	for (i = 0; i < 3; i++) {
		evs_builder_reset(self->builder);
		rec.value = again[i];
		rec.value_len = strlen(again[i]);
		ASSERT_EQ(0, evs_builder_producer(self->builder, -1, 0, 0));
		ASSERT_EQ(0, evs_builder_add(self->builder, &rec));
		ASSERT_EQ(0, evs_builder_finish(self->builder, &batch, &size));
		EXPECT_EQ(-1, (int64_t)evd_be64((const char *)batch + 43));
		EXPECT_EQ(0, evs_append_batch(self->fd, 0, batch, size, &offset));
		EXPECT_EQ(6 + i, offset);
	}
	close(any);
	EXPECT_FINE(holds(self->fd,
			  "1/0/0 2/9/500 1099511627776/1/0 0/0/0 plain 1/0/1 some more yet"));
}

/* The builder's side of it. */
TEST_F_TIMEOUT(producers, builder, EVW_PATIENCE)
{
	struct evs_record rec = { .key_len = -1, .value = "x", .value_len = 1, .timestamp = -1 };
	struct evs_builder *b = self->builder;
	static const int32_t sequences[] = { INT32_MAX - 1, 1, 4 };
	const void *batch;
	unsigned int i;
	size_t size;

	EXPECT_EQ(-EINVAL, evs_builder_producer(b, -2, 0, 0));
	EXPECT_EQ(-EINVAL, evs_builder_producer(b, 1, -1, 0));
	EXPECT_EQ(-EINVAL, evs_builder_producer(b, 1, 0, -1));
	ASSERT_EQ(0, evs_builder_producer(b, 0x1122334455667788, 0x1234, INT32_MAX - 1));
	for (i = 0; i < 3; i++) {
		int k;

		for (k = 0; k < 3; k++)
			ASSERT_EQ(0, evs_builder_add(b, &rec));
		ASSERT_EQ(0, evs_builder_finish(b, &batch, &size));
		EXPECT_EQ(0x1122334455667788, evd_be64((const char *)batch + 43));
		EXPECT_EQ(0x1234, evd_be16((const char *)batch + 51));
		EXPECT_EQ(sequences[i], (int32_t)evd_be32((const char *)batch + 53));
		EXPECT_EQ(0, evs_batch_verify(batch, size, 100));
	}
}

/* A batch that was refused for another reason can be sent again. */
TEST_F_TIMEOUT(producers, refused, EVW_PATIENCE)
{
	struct evstream_append_batch a;
	const void *batch;
	char copy[200];
	size_t size;
	int i;

	EXPECT_EQ(0, SEND(1, 0, 0, 1));
	for (i = 0; i < 3; i++) {
		struct evs_record rec = { .key_len = -1, .value = "x", .value_len = 1,
					  .timestamp = -1 };

		evs_builder_reset(self->builder);
		ASSERT_EQ(0, evs_builder_producer(self->builder, 1, 0, 1 + i));
		ASSERT_EQ(0, evs_builder_add(self->builder, &rec));
		ASSERT_EQ(0, evs_builder_finish(self->builder, &batch, &size));
		ASSERT_GT(sizeof(copy), size);
		memcpy(copy, batch, size);
		copy[size - 1] ^= 1;
		EXPECT_EQ(-EBADMSG, evs_append_batch(self->fd, 0, copy, size, NULL));
		a = (struct evstream_append_batch){ .batch = (uintptr_t)batch, .len = size,
						    .flags = 1 };
		EXPECT_EQ(-EINVAL, EVT(ioctl(self->fd, EVSTREAM_IOC_APPEND_BATCH, &a)));
		EXPECT_EQ(0, evs_append_batch(self->fd, 0, batch, size, NULL));
		EXPECT_EQ(2 + i, evt_end(self->fd, 0));
	}
}

#define THREADS	6
#define ROUNDS	60

struct race {
	struct evt_topic *topic;
	pthread_barrier_t barrier;
	long long offset[THREADS][ROUNDS];
};

/* All of them send the same batches, at once. */
static const char *send_all(void *arg, int index, struct evw_worker *w)
{
	struct evs_builder *b = evs_builder_new(NULL, 0);
	struct race *r = arg;
	int fd = evt_open(r->topic, 0, O_WRONLY), i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&r->barrier);
		r->offset[index][i] = send_to(fd, 0, b, 5, 0, 3 * i, 3);
		/* Among those of another producer, that is ours alone. */
		if (send_to(fd, 0, b, 100 + index, 0, i, 1) < 0)
			return evw_why(w, "round %d", i);
	}
	evs_builder_free(b);
	close(fd);
	return NULL;
}

static const char *count_one(const struct evs_record *rec, void *arg)
{
	int *next = arg, sequence, id;
	char text[64] = "";

	memcpy(text, rec->value, rec->value_len);
	if (sscanf(text, "%d/0/%d", &id, &sequence) != 2)
		return "what is this?";
	id = id == 5 ? THREADS : id - 100;
	if (sequence != next[id]++)
		return evd_wrong("offset %lld: '%s' is twice there, or too early",
				 (long long)rec->offset, text);
	return NULL;
}

TEST_F_TIMEOUT(producers, at_once, EVW_PATIENCE)
{
	struct race *r = evw_shared(sizeof(*r));
	int next[THREADS + 1] = {}, i, k;
	struct evw_crew crew;

	r->topic = &self->topic;
	pthread_barrier_init(&r->barrier, NULL, THREADS);
	evw_crew_init(&crew, false);
	for (i = 0; i < THREADS; i++)
		evw_start(&crew, send_all, r, i);
	EXPECT_EQ(0, evw_join(&crew));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_LE(0, r->offset[0][i]);
		for (k = 1; k < THREADS; k++)
			ASSERT_EQ(r->offset[0][i], r->offset[k][i]);
	}
	EXPECT_EQ(ROUNDS * (3 + THREADS), evt_end(self->fd, 0));
	EXPECT_FINE(evw_walk(self->fd, count_one, next));
	EXPECT_EQ(3 * ROUNDS, next[THREADS]);
}

TEST_F_TIMEOUT(producers, many, EVW_PATIENCE)
{
	const int count = 500;
	int round, i;

	for (round = 0; round < 3; round++)
		for (i = 0; i < count; i++)
			ASSERT_EQ(round == 2 ? count + i : round * count + i,
				  SEND(i, 0, round ? 1 : 0, 1));
	EXPECT_EQ(2 * count, evt_end(self->fd, 0));
	if (!variant->durable)
		return;
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, evd_detach(&self->topic));
		ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
		close(self->fd);
		self->fd = evt_open(&self->topic, 0, O_RDWR);
		for (i = 0; i < count; i += 7)
			ASSERT_EQ(count + i, SEND(i, 0, 1, 1));
		for (i = 0; i < count; i += 7)
			ASSERT_EQ(-EILSEQ, SEND(i, 0, 3, 1));
	}
	EXPECT_EQ(2 * count, evt_end(self->fd, 0));
	EXPECT_EQ(2 * count, SEND(6, 0, 2, 1));
}

FIXTURE(bounded) {
	struct evt_topic topic;
	int fd;
	struct evs_builder *builder;
};

FIXTURE_SETUP(bounded)
{
	self->builder = evs_builder_new(NULL, 0);
	ASSERT_NE(NULL, self->builder);
}

FIXTURE_TEARDOWN(bounded)
{
	evs_builder_free(self->builder);
	close(self->fd);
	EXPECT_EQ(0, evt_delete(&self->topic));
}

TEST_F_TIMEOUT(bounded, no_room, EVW_PATIENCE)
{
	struct evstream_trim trim = { .offset = -1 };
	char value[6000] = "";
	long long end;

	ASSERT_EQ(0, evt_create(&self->topic, "--segment 64K --ring 128K --full fail"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	EXPECT_EQ(0, SEND(1, 0, 0, 1));
	while (write(self->fd, value, sizeof(value)) > 0)
		;
	EXPECT_EQ(-ENOSPC, -errno);
	while (write(self->fd, "x", 1) > 0)
		;
	EXPECT_EQ(-ENOSPC, SEND(1, 0, 1, 1));
	/* What is there already is still known. */
	EXPECT_EQ(0, SEND(1, 0, 0, 1));
	EXPECT_EQ(-EILSEQ, SEND(1, 0, 2, 1));
	end = evt_end(self->fd, 0);
	ASSERT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_TRIM, &trim));
	EXPECT_EQ(end, SEND(1, 0, 1, 1));
	EXPECT_EQ(end, SEND(1, 0, 1, 1));
	EXPECT_EQ(end + 1, SEND(1, 0, 2, 1));
}

FIXTURE(kept) {
	struct evt_topic topic;
	char dir[EVD_PATH];
	char copy[EVD_PATH + 8];
	int fd;
	struct evs_builder *builder;
};

FIXTURE_VARIANT(kept) {
	bool clean;
};

FIXTURE_VARIANT_ADD(kept, detached) {
	.clean = true,
};

FIXTURE_VARIANT_ADD(kept, cut_off) {
	.clean = false,
};

FIXTURE_SETUP(kept)
{
	ASSERT_EQ(0, evd_place("ext4", self->dir));
	snprintf(self->copy, sizeof(self->copy), "%s.copy", self->dir);
	ASSERT_EQ(0, evd_create(&self->topic, self->dir,
				"-p 2 --segment 64K --retention 0 --flush-interval 0"));
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	ASSERT_LE(0, self->fd);
	self->builder = evs_builder_new(NULL, 0);
	ASSERT_NE(NULL, self->builder);
}

FIXTURE_TEARDOWN(kept)
{
	evs_builder_free(self->builder);
	close(self->fd);
	EXPECT_EQ(0, evd_remove(&self->topic, self->dir));
	EXPECT_EQ(0, evd_sh("rm -rf %s", self->copy));
}

/* The topic is attached again, after a clean end or as a power cut leaves it. */
static int attach_again(struct evt_topic *t, const char *dir, const char *copy, bool clean,
			int *fd)
{
	int ret = 0;

	if (!clean)
		ret = fsync(*fd) ?: evd_sh("rm -rf %s; cp -a %s %s", copy, dir, copy);
	ret = ret ?: evd_detach(t);
	if (!clean)
		ret = ret ?: evd_sh("rm -rf %s && mv %s %s", dir, copy, dir);
	ret = ret ?: evd_attach(t, dir);
	close(*fd);
	*fd = evt_open(t, 0, O_RDWR);
	return ret;
}

#define AGAIN()	ASSERT_EQ(0, attach_again(&self->topic, self->dir, self->copy, variant->clean, \
					  &self->fd))

TEST_F_TIMEOUT(kept, state, EVW_PATIENCE)
{
	char value[20000] = "";
	long long ret, end;
	int round, i;

	EXPECT_EQ(0, SEND(3, 1, 0, 1));
	EXPECT_EQ(1, SEND(4, 7, 50, 2));
	EXPECT_EQ(3, SEND(3, 1, 1, 4));
	EXPECT_EQ(7, SEND(4, 7, 52, 1));
	EXPECT_EQ(8, SEND(5, 0, INT32_MAX - 1, 3));
	end = 11;
	for (round = 0; round < 2; round++) {
		AGAIN();
		ASSERT_EQ(end, evt_end(self->fd, 0));
		EXPECT_EQ(3, SEND(3, 1, 1, 4));
		EXPECT_EQ(7, SEND(4, 7, 52, 1));
		EXPECT_EQ(8, SEND(5, 0, INT32_MAX - 1, 3));
		EXPECT_EQ(-EILSEQ, SEND(3, 1, 6, 1));
		EXPECT_EQ(-EILSEQ, SEND(4, 7, 54, 1));
		EXPECT_EQ(-EILSEQ, SEND(5, 0, 2, 1));
		EXPECT_EQ(-ESTALE, SEND(3, 0, 5, 1));
		EXPECT_EQ(-ESTALE, SEND(4, 6, 0, 1));
		/* Of older ones Kafka's snapshots do not tell: known, or refused. */
		ret = SEND(4, 7, 50, 2);
		EXPECT_TRUE(ret == 1 || ret == -EILSEQ)
			TH_LOG("%lld", ret);
		ASSERT_EQ(end, evt_end(self->fd, 0));
		/* Segments that hold nothing of any of them. */
		for (i = 0; i < 8; i++)
			ASSERT_EQ(sizeof(value), write(self->fd, value, sizeof(value)));
		end += 8;
	}
	EXPECT_EQ(end, SEND(3, 1, 5, 1));
	EXPECT_EQ(end + 1, SEND(4, 8, 0, 1));
	EXPECT_EQ(end + 2, SEND(5, 0, 1, 1));
	AGAIN();
	EXPECT_EQ(end, SEND(3, 1, 5, 1));
	EXPECT_EQ(end + 1, SEND(4, 8, 0, 1));
	EXPECT_EQ(end + 2, SEND(5, 0, 1, 1));
	EXPECT_EQ(-ESTALE, SEND(4, 7, 53, 1));
	EXPECT_EQ(end + 3, SEND(3, 1, 6, 1));
	EXPECT_EQ(end + 4, SEND(4, 8, 1, 1));
	EXPECT_EQ(end + 5, evt_end(self->fd, 0));
}

/* Those whose records are no more than a memory. */
TEST_F_TIMEOUT(kept, after_a_trim, EVW_PATIENCE)
{
	struct evstream_trim trim = { .offset = -1 };
	char value[20000] = "";
	int i;

	EXPECT_EQ(0, SEND(3, 1, 0, 5));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(sizeof(value), write(self->fd, value, sizeof(value)));
	EXPECT_EQ(13, SEND(4, 0, 0, 1));
	trim.offset = 12;
	ASSERT_EQ(0, ioctl(self->fd, EVSTREAM_IOC_TRIM, &trim));
	AGAIN();
	EXPECT_EQ(12, evt_start(self->fd, 0));
	EXPECT_EQ(13, SEND(4, 0, 0, 1));
	EXPECT_EQ(14, SEND(4, 0, 1, 1));
	EXPECT_EQ(-EILSEQ, SEND(4, 0, 3, 1));
	EXPECT_EQ(15, SEND(3, 1, 5, 1));
	EXPECT_EQ(16, evt_end(self->fd, 0));
}

/* What is not on stable storage is not acknowledged as if it were. */
TEST_F_TIMEOUT(kept, duplicate_is_durable, EVW_PATIENCE)
{
	int sync = evt_open(&self->topic, 0, O_WRONLY | O_DSYNC);

	ASSERT_EQ(0, evt_set(&self->topic, "flush-bytes=0"));
	EXPECT_EQ(0, SEND(3, 1, 0, 1));
	EXPECT_EQ(0, evd_durable(self->fd, 0));
	EXPECT_EQ(0, send_to(sync, 0, self->builder, 3, 1, 0, 1));
	EXPECT_EQ(1, evd_durable(self->fd, 0));
	close(sync);
}

/* What was lost may be sent again: it is no duplicate. */
TEST_F_TIMEOUT(kept, lost_is_new, EVW_PATIENCE)
{
	long long end;

	EXPECT_EQ(0, SEND(3, 1, 0, 2));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, evd_sh("cp -a %s %s", self->dir, self->copy));
	EXPECT_EQ(2, SEND(3, 1, 2, 2));
	ASSERT_EQ(0, evd_detach(&self->topic));
	ASSERT_EQ(0, evd_sh("rm -rf %s && mv %s %s", self->dir, self->copy, self->dir));
	ASSERT_EQ(0, evd_attach(&self->topic, self->dir));
	close(self->fd);
	self->fd = evt_open(&self->topic, 0, O_RDWR);
	end = evt_end(self->fd, 0);
	EXPECT_EQ(2, end);
	EXPECT_EQ(0, SEND(3, 1, 0, 2));
	EXPECT_EQ(-EILSEQ, SEND(3, 1, 4, 1));
	EXPECT_EQ(2, SEND(3, 1, 2, 2));
	EXPECT_EQ(4, evt_end(self->fd, 0));
}

#include "evlast.h"

TEST_HARNESS_MAIN
