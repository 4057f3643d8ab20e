// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Prints a partition's records, one a line, and goes on as more come. It reads
 * through mmap(2): no system call per record.
 *
 * usage: follow [-e] /dev/stream/TOPIC/PARTITION	(-e: stop at the end)
 *
 * cc follow.c $(pkg-config --cflags --libs evstream)
 */
#include <errno.h>
#include <evstream.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, int err)
{
	fprintf(stderr, "follow: %s: %s\n", what, strerror(err));
	return 1;
}

int main(int argc, char **argv)
{
	bool stop = argc == 3 && !strcmp(argv[1], "-e");
	struct evs_record rec;
	struct evs_reader *r;
	char *line = NULL;
	int ret = 0;

	if (argc != 2 + stop) {
		fprintf(stderr, "usage: follow [-e] /dev/stream/TOPIC/PARTITION\n");
		return 1;
	}
	r = evs_reader_open(argv[1 + stop], 0);
	if (!r)
		return fail(argv[1 + stop], errno);

	for (;;) {
		int64_t from, to;
		size_t len;

		ret = evs_reader_next(r, &rec);
		if (!ret) {
			fflush(stdout);
			if (stop)
				break;
			ret = evs_reader_wait(r, -1);
			if (ret >= 0 || ret == -EINTR)
				continue;
		}
		if (ret == -EPIPE) {
			/* Too slow: the ring came round. Nothing is lost unsaid. */
			evs_reader_lost(r, &from, &to);
			fprintf(stderr, "follow: lost %jd to %jd\n", (intmax_t)from,
				(intmax_t)to - 1);
			continue;
		}
		if (ret != 1)
			break;
		/* Copy, ask whether it was whole, and only then believe it. */
		len = rec.value_len > 0 ? rec.value_len : 0;
		line = realloc(line, len + 1);
		if (!line) {
			ret = -ENOMEM;
			break;
		}
		if (len)
			memcpy(line, rec.value, len);
		line[len] = '\n';
		if (evs_reader_valid(r))
			fwrite(line, 1, len + 1, stdout);
	}
	free(line);
	evs_reader_close(r);
	if (ret)
		return fail(argv[1 + stop], -ret);
	return fflush(stdout) ? fail("standard output", errno) : 0;
}
