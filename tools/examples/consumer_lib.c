// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A member of a consumer group, by libevstream: no system call per record. Prints
 * partition, offset and value, and commits what it has printed.
 *
 * usage: consumer_lib TOPIC GROUP
 *
 * cc consumer_lib.c $(pkg-config --cflags --libs evstream)
 */
#include <errno.h>
#include <evstream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, int err)
{
	fprintf(stderr, "consumer_lib: %s: %s\n", what, strerror(err));
	return 1;
}

/* After the processing, never before: at least once. */
static int commit(struct evs_consumer *c)
{
	int ret;

	if (fflush(stdout))
		return -errno;
	ret = evs_consumer_commit(c, 0);
	/* Another member has the partition by now, and the records once more. */
	return ret == -ESTALE ? 0 : ret;
}

static void on_event(struct evs_consumer *c, enum evs_consumer_event event,
		     uint32_t partition, int64_t offset, void *data)
{
	static const char *const what[] = { "assigned", "revoked", "lost" };

	(void)data;
	fprintf(stderr, "consumer_lib: %s: partition %u, offset %lld\n", what[event], partition,
		(long long)offset);
	/* Who gets it begins behind what we have done. */
	if (event == EVS_CONSUMER_REVOKED)
		commit(c);
}

int main(int argc, char **argv)
{
	struct evs_consumer_options options = {
		.size = sizeof(options),
		.on_event = on_event,
	};
	unsigned int uncommitted = 0;
	struct evs_consumer *c;
	struct evs_record rec;
	uint32_t partition;
	char *copy = NULL;
	int ret = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: consumer_lib TOPIC GROUP\n");
		return 1;
	}
	c = evs_consumer_open(argv[1], argv[2], &options);
	if (!c)
		return fail(argv[1], errno);
	while (ret >= 0) {
		int64_t from, to;
		size_t len;

		ret = evs_consumer_next(c, &rec, &partition);
		if (ret == 1) {
			/* Copy, ask whether it was whole, and only then believe it. */
			len = rec.value_len > 0 ? rec.value_len : 0;
			copy = realloc(copy, len + 1);
			if (!copy)
				return fail("out of memory", ENOMEM);
			if (len)
				memcpy(copy, rec.value, len);
			if (evs_consumer_valid(c))
				printf("%u %lld %.*s\n", partition, (long long)rec.offset,
				       (int)len, copy);
			else
				fprintf(stderr, "consumer_lib: too slow: partition %u lost %lld\n",
					partition, (long long)rec.offset);
			if (++uncommitted < 1000)
				continue;
			ret = commit(c);
			uncommitted = 0;
		} else if (!ret) {
			/* Nothing more: a good moment to commit, and to sleep. */
			ret = commit(c);
			uncommitted = 0;
			if (!ret)
				ret = evs_consumer_wait(c, -1);
			if (ret == -EINTR)
				ret = 0;
		} else if (ret == -EPIPE) {
			evs_consumer_lost(c, &from, &to);
			fprintf(stderr, "consumer_lib: too slow: partition %u lost %lld to %lld\n",
				partition, (long long)from, (long long)to - 1);
			ret = 0;
		}
	}
	evs_consumer_close(c);
	free(copy);
	return fail(argv[1], -ret);
}
