// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* kmod/assign.c: balanced, complete, and with as few moves as there can be. */
#include <linux/types.h>

#include "../../kmod/assign.h"
#include "tap.h"

/* An assignment before and after; all in allocations of their exact size. */
struct trial {
	u32 partitions;
	u32 members;
	u32 *before;
	u32 *after;
	bool *fixed;
	u32 *load;
};

static struct trial trial_new(u32 partitions, u32 members)
{
	struct trial t = { .partitions = partitions, .members = members };
	u32 i;

	t.before = calloc(partitions + !partitions, sizeof(u32));
	t.after = calloc(partitions + !partitions, sizeof(u32));
	t.fixed = calloc(partitions + !partitions, sizeof(bool));
	t.load = calloc(members + !members, sizeof(u32));
	for (i = 0; i < partitions; i++)
		t.before[i] = EVS_NOBODY;
	return t;
}

static void trial_free(struct trial *t)
{
	free(t->before);
	free(t->after);
	free(t->fixed);
	free(t->load);
}

static void trial_run(struct trial *t)
{
	u32 i;

	memcpy(t->after, t->before, t->partitions * sizeof(u32));
	/* What was there before must not matter. */
	for (i = 0; i < t->members; i++)
		t->load[i] = (u32)tap_random();
	evs_assign(t->after, t->partitions, t->fixed, t->load, t->members);
}

/* Partitions that were somebody's and are somebody else's now. */
static u32 moved(const struct trial *t, const u32 *after)
{
	u32 p, n = 0;

	for (p = 0; p < t->partitions; p++)
		n += !t->fixed[p] && t->before[p] != EVS_NOBODY && t->before[p] != after[p];
	return n;
}

/* Whether @after is complete, balanced and leaves alone what is fixed; counts into @load. */
static bool valid(const struct trial *t, const u32 *after, u32 *load)
{
	u32 p, m, least = ~0U, most = 0;

	memset(load, 0, t->members * sizeof(*load));
	for (p = 0; p < t->partitions; p++) {
		if (t->fixed[p]) {
			if (after[p] != t->before[p])
				return false;
		} else if (!t->members) {
			if (after[p] != EVS_NOBODY)
				return false;
		} else {
			if (after[p] >= t->members)
				return false;
			load[after[p]]++;
		}
	}
	for (m = 0; m < t->members; m++) {
		least = load[m] < least ? load[m] : least;
		most = load[m] > most ? load[m] : most;
	}
	return !t->members || most - least <= 1;
}

/* The fewest moves of all valid assignments there are, by trying each one. */
static u32 fewest_tried(const struct trial *t)
{
	u32 load[8], after[8], p, fewest = ~0U, n;

	for (p = 0; p < t->partitions; p++)
		after[p] = t->fixed[p] ? t->before[p] : 0;
	for (;;) {
		if (valid(t, after, load)) {
			n = moved(t, after);
			fewest = n < fewest ? n : fewest;
		}
		for (p = 0; p < t->partitions; p++) {
			if (t->fixed[p])
				continue;
			if (++after[p] < t->members)
				break;
			after[p] = 0;
		}
		if (p == t->partitions)
			return fewest;
	}
}

/*
 * The same by counting: whoever has more than the even share gives the rest, and
 * as many as the shares do not come out even for may keep one of it.
 */
static u32 fewest_counted(const struct trial *t)
{
	u32 *had = calloc(t->members + 1, sizeof(u32));
	u32 p, m, n = 0, share, over, fewest = 0;

	for (p = 0; p < t->partitions; p++) {
		if (t->fixed[p])
			continue;
		n++;
		if (t->before[p] != EVS_NOBODY)
			had[t->before[p]]++;
	}
	share = t->members ? n / t->members : 0;
	over = t->members ? n % t->members : 0;
	for (m = 0; m < t->members; m++) {
		if (had[m] <= share)
			continue;
		fewest += had[m] - share;
		if (over) {
			over--;
			fewest--;
		}
	}
	free(had);
	return fewest;
}

static void trial_check(struct trial *t)
{
	u32 *load = calloc(t->members + 1, sizeof(u32));
	u32 *once = tap_exact(t->after, t->partitions * sizeof(u32));
	u32 m;

	trial_run(t);
	CHECK(valid(t, t->after, load));
	for (m = 0; m < t->members; m++)
		CHECK_EQ(t->load[m], load[m]);
	CHECK_EQ(moved(t, t->after), fewest_counted(t));

	/* The same again gives the same, and what it gave is not touched. */
	memcpy(once, t->after, t->partitions * sizeof(u32));
	trial_run(t);
	CHECK(!memcmp(once, t->after, t->partitions * sizeof(u32)));
	memcpy(t->before, once, t->partitions * sizeof(u32));
	trial_run(t);
	CHECK(!memcmp(once, t->after, t->partitions * sizeof(u32)));
	free(once);
	free(load);
}

static u32 anybody(u32 members)
{
	return members ? tap_below(members) : EVS_NOBODY;
}

/* Of each kind of history one that it could come from. */
static void trial_random(struct trial *t)
{
	u32 p, kind = tap_below(5), some = 1 + tap_below(t->members + 1);

	for (p = 0; p < t->partitions; p++) {
		t->fixed[p] = kind == 4 && !tap_below(3);
		if (t->fixed[p])
			/* A static member has no index: whatever is there stays. */
			t->before[p] = tap_below(2) ? EVS_NOBODY : (u32)tap_random();
		else if (kind == 0 || !tap_below(5))
			t->before[p] = EVS_NOBODY;
		else if (kind == 1)
			t->before[p] = anybody(some < t->members ? some : t->members);
		else
			t->before[p] = anybody(t->members);
	}
}

static void nobody(void)
{
	struct trial t = trial_new(5, 0);

	t.fixed[3] = true;
	t.before[3] = 17;
	trial_check(&t);
	CHECK_EQ(t.after[0], EVS_NOBODY);
	CHECK_EQ(t.after[3], 17);
	trial_free(&t);
}

static void nothing(void)
{
	struct trial t = trial_new(0, 0), u = trial_new(0, 3);

	trial_run(&t);
	trial_check(&u);
	CHECK_EQ(u.load[0] + u.load[1] + u.load[2], 0);
	trial_free(&t);
	trial_free(&u);
}

static void one_member(void)
{
	struct trial t = trial_new(4096, 1);

	trial_check(&t);
	CHECK_EQ(t.load[0], 4096);
	trial_free(&t);
}

static void more_members_than_partitions(void)
{
	struct trial t = trial_new(3, 1000);
	u32 m, with = 0;

	t.before[1] = 999;
	t.before[2] = 999;
	trial_run(&t);
	for (m = 0; m < 1000; m++)
		with += t.load[m];
	CHECK_EQ(with, 3);
	CHECK(t.after[1] == 999 || t.after[2] == 999);
	CHECK(t.after[1] != t.after[2]);
	trial_check(&t);
	trial_free(&t);
}

static void all_fixed(void)
{
	struct trial t = trial_new(64, 7);
	u32 p;

	for (p = 0; p < 64; p++) {
		t.fixed[p] = true;
		t.before[p] = p % 3 ? EVS_NOBODY : p;
	}
	trial_check(&t);
	CHECK(!memcmp(t.before, t.after, 64 * sizeof(u32)));
	trial_free(&t);
}

/* Members come one by one, and go again: nothing moves between those who stay. */
static void come_and_go(void)
{
	struct trial t = trial_new(4096, 64);
	u32 members, p, gone;

	for (members = 1; members <= 64; members++) {
		t.members = members;
		trial_check(&t);
		memcpy(t.before, t.after, 4096 * sizeof(u32));
	}
	for (; members-- > 1; ) {
		t.members = members;
		gone = tap_below(members);
		for (p = 0; p < 4096; p++) {
			if (t.before[p] == gone)
				t.before[p] = EVS_NOBODY;
			/* The last one takes the number of who left. */
			else if (t.before[p] == members)
				t.before[p] = gone;
		}
		for (p = 0; p < 4096; p++)
			if (t.before[p] >= members)
				t.before[p] = EVS_NOBODY;
		trial_run(&t);
		CHECK_EQ(moved(&t, t.after), fewest_counted(&t));
		trial_check(&t);
		memcpy(t.before, t.after, 4096 * sizeof(u32));
	}
	trial_free(&t);
}

static void all_tried(void)
{
	int round;

	for (round = 0; round < 3000; round++) {
		struct trial t = trial_new(tap_below(7), 1 + tap_below(4));

		trial_random(&t);
		CHECK_EQ(fewest_counted(&t), fewest_tried(&t));
		trial_check(&t);
		trial_free(&t);
	}
}

static void at_random(void)
{
	int round;

	for (round = 0; round < 3000; round++) {
		struct trial t = trial_new(tap_below(200), tap_below(60));

		trial_random(&t);
		trial_check(&t);
		trial_free(&t);
	}
}

static void the_largest(void)
{
	static const u32 members[] = { 1, 2, 3, 100, 4095, 4096, 4097, 100000 };
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		struct trial t = trial_new(4096, members[i]);

		trial_random(&t);
		trial_check(&t);
		trial_free(&t);
	}
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(nobody),
		TAP_TEST(nothing),
		TAP_TEST(one_member),
		TAP_TEST(more_members_than_partitions),
		TAP_TEST(all_fixed),
		TAP_TEST(come_and_go),
		TAP_TEST(all_tried),
		TAP_TEST(at_random),
		TAP_TEST(the_largest),
	};

	return TAP_MAIN(tests);
}
