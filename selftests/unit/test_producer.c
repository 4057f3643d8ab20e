// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* kmod/producer.c: a producer's batches are taken as a Kafka broker takes them. */
#include <errno.h>
#include <linux/types.h>

#include "../../kmod/producer.h"
#include "tap.h"

static void sequences(void)
{
	CHECK_EQ(evs_sequence_add(0, 0), 0);
	CHECK_EQ(evs_sequence_add(0, 1), 1);
	CHECK_EQ(evs_sequence_add(41, 1), 42);
	CHECK_EQ(evs_sequence_add(S32_MAX, 0), S32_MAX);
	CHECK_EQ(evs_sequence_add(S32_MAX, 1), 0);
	CHECK_EQ(evs_sequence_add(S32_MAX, 2), 1);
	CHECK_EQ(evs_sequence_add(S32_MAX - 1, 3), 1);
	CHECK_EQ(evs_sequence_add(S32_MAX, S32_MAX), S32_MAX - 1);
	CHECK_EQ(evs_sequence_add(5, (u32)-5), 0);
	CHECK_EQ(evs_sequence_add(5, (u32)-6), S32_MAX);
	CHECK_EQ(evs_sequence_add(0, (u32)-S32_MAX), 1);
}

/* The offset of a duplicate, or what else the check says. */
static long long check(const struct evs_producer_state *s, s16 epoch, s32 first, s32 last)
{
	u64 offset = 12345;
	int ret = evs_producer_check(s, epoch, first, last, &offset);

	if (ret == 1)
		return (long long)offset;
	CHECK_EQ(offset, 12345);
	return ret;
}

static void unknown(void)
{
	CHECK_EQ(check(NULL, 0, 0, 0), 0);
	CHECK_EQ(check(NULL, 0, 17, 20), 0);
	CHECK_EQ(check(NULL, 5, S32_MAX, 3), 0);
}

static void in_sequence(void)
{
	struct evs_producer_state s = { 0 };

	evs_producer_note(&s, 2, 10, 14, 100, 1700000000000);
	CHECK_EQ(s.epoch, 2);
	CHECK_EQ(s.timestamp, 1700000000000);
	CHECK_EQ(check(&s, 2, 15, 15), 0);
	CHECK_EQ(check(&s, 2, 15, 99), 0);
	CHECK_EQ(check(&s, 2, 10, 14), 100);
	/* A gap, one record again, and a batch that overlaps. */
	CHECK_EQ(check(&s, 2, 16, 16), -EILSEQ);
	CHECK_EQ(check(&s, 2, 14, 14), -EILSEQ);
	CHECK_EQ(check(&s, 2, 10, 15), -EILSEQ);
	CHECK_EQ(check(&s, 2, 11, 14), -EILSEQ);
	CHECK_EQ(check(&s, 2, 0, 0), -EILSEQ);
	/* The newest batch's time, be it older. */
	evs_producer_note(&s, 2, 15, 15, 105, 1600000000000);
	CHECK_EQ(s.timestamp, 1600000000000);
}

static void last_five(void)
{
	struct evs_producer_state s = { 0 };
	int i, k;

	for (i = 0; i < 30; i++) {
		evs_producer_note(&s, 0, i * 3, i * 3 + 2, 1000 + i * 3, i);
		for (k = 0; k <= i; k++)
			CHECK_EQ(check(&s, 0, k * 3, k * 3 + 2),
				 i - k < EVS_PRODUCER_BATCHES ? 1000 + k * 3 : -EILSEQ);
		CHECK_EQ(check(&s, 0, i * 3 + 3, i * 3 + 3), 0);
	}
}

static void epochs(void)
{
	struct evs_producer_state s = { 0 };

	evs_producer_note(&s, 3, 0, 4, 50, 0);
	evs_producer_note(&s, 3, 5, 9, 55, 0);
	CHECK_EQ(check(&s, 2, 10, 10), -ESTALE);
	CHECK_EQ(check(&s, 2, 0, 4), -ESTALE);
	CHECK_EQ(check(&s, -1, 10, 10), -ESTALE);
	CHECK_EQ(check(&s, 4, 10, 10), -EILSEQ);
	CHECK_EQ(check(&s, 4, 0, 4), 0);
	CHECK_EQ(check(&s, 32767, 0, 0), 0);
	evs_producer_note(&s, 4, 0, 4, 60, 0);
	CHECK_EQ(check(&s, 4, 0, 4), 60);
	CHECK_EQ(check(&s, 4, 5, 9), 0);
	CHECK_EQ(check(&s, 3, 5, 9), -ESTALE);
	evs_producer_note(&s, 32767, 0, 0, 70, 0);
	CHECK_EQ(check(&s, 32767, 1, 1), 0);
	CHECK_EQ(check(&s, 4, 5, 5), -ESTALE);
}

/* A snapshot of Kafka's can have an epoch with no batch, or none at all. */
static void epoch_alone(void)
{
	struct evs_producer_state s = { .epoch = 5 };

	CHECK_EQ(check(&s, 5, 0, 3), 0);
	CHECK_EQ(check(&s, 5, 1, 3), -EILSEQ);
	CHECK_EQ(check(&s, 4, 0, 3), -ESTALE);
	CHECK_EQ(check(&s, 6, 1, 3), -EILSEQ);
	s.epoch = -1;
	CHECK_EQ(check(&s, -1, 7, 8), 0);
	CHECK_EQ(check(&s, 0, 7, 8), 0);
	evs_producer_note(&s, -1, 7, 8, 40, 0);
	CHECK_EQ(check(&s, -1, 7, 8), 40);
	CHECK_EQ(check(&s, -1, 70, 80), 0);
	CHECK_EQ(check(&s, 0, 7, 8), 0);
}

static void wrap_around(void)
{
	struct evs_producer_state s = { 0 };

	evs_producer_note(&s, 0, S32_MAX - 9, S32_MAX, 10, 0);
	CHECK_EQ(check(&s, 0, 0, 9), 0);
	CHECK_EQ(check(&s, 0, 1, 9), -EILSEQ);
	CHECK_EQ(check(&s, 0, S32_MAX, S32_MAX), -EILSEQ);
	evs_producer_note(&s, 0, 0, 9, 20, 0);
	CHECK_EQ(check(&s, 0, S32_MAX - 9, S32_MAX), 10);
	CHECK_EQ(check(&s, 0, 10, 10), 0);
	/* In the middle of a batch. */
	memset(&s, 0, sizeof(s));
	evs_producer_note(&s, 0, S32_MAX - 2, 6, 10, 0);
	CHECK_EQ(check(&s, 0, S32_MAX - 2, 6), 10);
	CHECK_EQ(check(&s, 0, 7, 7), 0);
	CHECK_EQ(check(&s, 0, 0, 6), -EILSEQ);
}

/* Of two with the same sequences Kafka finds the older one. */
static void alike(void)
{
	struct evs_producer_state s = { 0 };
	int i;

	for (i = 0; i < 12; i++) {
		evs_producer_note(&s, 0, 3, 4, 100 + i, 0);
		CHECK_EQ(check(&s, 0, 3, 4), 100 + (i < 5 ? 0 : i - 4));
	}
}

/*
 * The model knows all batches that ever were, with their epochs, and counts
 * sequences without an end; the code has to say what follows from that.
 */
#define MODEL		400

static struct { int epoch; long long first, last; u64 offset; } model[MODEL];

#define WRAP		(1LL << 31)

static long long model_check(int known, int epoch, s32 first, s32 last)
{
	int newest = known ? model[known - 1].epoch : -1;
	long long next = 0;
	int i, from;

	if (!known)
		return 0;
	if (epoch < newest)
		return -ESTALE;
	if (epoch == newest) {
		from = known > 5 ? known - 5 : 0;
		for (i = from; i < known; i++)
			if (model[i].epoch == epoch && model[i].first % WRAP == first &&
			    model[i].last % WRAP == last)
				return (long long)model[i].offset;
		next = model[known - 1].last + 1;
	}
	return next % WRAP == first ? 0 : -EILSEQ;
}

static void fuzz(void)
{
	long long counts[4] = { 0 };
	int round, step;

	for (round = 0; round < 300; round++) {
		struct evs_producer_state s = { 0 };
		u64 offset = tap_random() >> 20;
		int known = 0;

		for (step = 0; step < MODEL; step++) {
			int newest = known ? model[known - 1].epoch : 0;
			int epoch = newest, n = 1 + (int)tap_below(4);
			long long first = 0, got, want;
			s32 from, to;

			if (known)
				first = model[known - 1].last + 1;
			else
				first = tap_below(2) ? WRAP - 1 - tap_below(60) : tap_below(100);
			switch (tap_below(20)) {
			case 0:
				epoch += 1 + (int)tap_below(2);
				if (tap_below(4))
					first = tap_below(6) ? 0 : WRAP - 1 - tap_below(20);
				break;
			case 1:
				epoch -= epoch > 0;
				break;
			case 2:
				first += tap_below(3);
				break;
			case 3:
				first = first > 3 ? first - tap_below(3) : first;
				break;
			case 4:
			case 5:
			case 6:
				if (known) {
					int back = (int)tap_below(8);
					int i = known > back ? known - 1 - back : 0;

					first = model[i].first;
					n = (int)(model[i].last - first) + 1;
					n += !tap_below(8);
				}
				break;
			}
			from = (s32)(first % WRAP);
			to = (s32)((first + n - 1) % WRAP);
			got = check(known ? &s : NULL, (s16)epoch, from, to);
			want = model_check(known, epoch, from, to);
			if (!CHECK_EQ(got, want))
				return;
			counts[want > 0 ? 1 : want == -ESTALE ? 2 : want == -EILSEQ ? 3 : 0]++;
			if (want)
				continue;
			/* As the code sees it, a new epoch's 0 may have been 2^31. */
			if (known && epoch != newest)
				first = 0;
			model[known].epoch = epoch;
			model[known].first = first;
			model[known].last = first + n - 1;
			model[known].offset = offset;
			known++;
			evs_producer_note(&s, (s16)epoch, from, to, offset, 0);
			offset += n + tap_below(3);
		}
	}
	printf("# %lld taken, %lld again, %lld of an old epoch, %lld out of sequence\n",
	       counts[0], counts[1], counts[2], counts[3]);
	CHECK(counts[0] && counts[1] && counts[2] && counts[3]);
}

static const struct tap_test tests[] = {
	TAP_TEST(sequences),
	TAP_TEST(unknown),
	TAP_TEST(in_sequence),
	TAP_TEST(last_five),
	TAP_TEST(epochs),
	TAP_TEST(epoch_alone),
	TAP_TEST(wrap_around),
	TAP_TEST(alike),
	TAP_TEST(fuzz),
};

int main(void)
{
	return TAP_MAIN(tests);
}
