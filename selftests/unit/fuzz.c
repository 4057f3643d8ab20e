// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Runs a fuzz target without libFuzzer.
 *
 *	fuzz_TARGET FOLDER [ITERATIONS [SEED]]
 *		the inputs of a folder, then what comes of them by mutation: TAP
 *	fuzz_TARGET FILE...
 *		these
 */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "tap.h"

#define LARGEST		8192

struct input {
	char *name;
	uint8_t *data;
	size_t size;
};

static struct input *corpus;
static size_t nr;

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static bool load(const char *path)
{
	static uint8_t buf[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f) {
		perror(path);
		return false;
	}
	size = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	corpus = realloc(corpus, (nr + 1) * sizeof(*corpus));
	if (!corpus)
		abort();
	corpus[nr++] = (struct input){ strdup(path), fuzz_copy(buf, size), size };
	return true;
}

static bool load_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool ok = true;
	char *name;

	if (!dir) {
		perror(path);
		return false;
	}
	while (ok && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
			abort();
		ok = load(name);
		free(name);
	}
	closedir(dir);
	/* The order of a folder is not the same everywhere. */
	if (nr)
		qsort(corpus, nr, sizeof(*corpus), by_name);
	return ok;
}

static size_t mutate(uint8_t *to)
{
	static const uint8_t edges[] = { 0x00, 0x01, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x0f };
	const struct input *from = &corpus[tap_below((uint32_t)nr)];
	size_t size = from->size < LARGEST ? from->size : LARGEST;
	uint32_t n = 1 + tap_below(4), at, len;

	memcpy(to, from->data, size);
	while (n-- && size) {
		at = tap_below((uint32_t)size);
		len = 1 + tap_below(8);
		switch (tap_below(6)) {
		case 0:
			to[at] ^= (uint8_t)(1 << tap_below(8));
			break;
		case 1:
			to[at] = edges[tap_below(sizeof(edges))];
			break;
		case 2:
			size = at;
			break;
		case 3:
			if (size + len <= LARGEST) {
				memmove(to + at + len, to + at, size - at);
				size += len;
			}
			break;
		case 4:
			if (at + len <= size) {
				memmove(to + at, to + at + len, size - at - len);
				size -= len;
			}
			break;
		default:
			from = &corpus[tap_below((uint32_t)nr)];
			if (from->size <= LARGEST - size) {
				memcpy(to + size, from->data, from->size);
				size += from->size;
			}
		}
	}
	return size;
}

static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = fuzz_copy(data, size);

	fuzz_one(copy, size);
	free(copy);
}

int main(int argc, char **argv)
{
	static uint8_t buf[LARGEST];
	unsigned long iterations, i;
	struct stat st;

	if (argc < 2 || stat(argv[1], &st)) {
		fprintf(stderr, "usage: %s FOLDER [ITERATIONS [SEED]] | FILE...\n", argv[0]);
		return 2;
	}
	if (!S_ISDIR(st.st_mode)) {
		for (i = 1; i < (unsigned long)argc; i++) {
			if (!load(argv[i]))
				return 1;
			run(corpus[i - 1].data, corpus[i - 1].size);
		}
		return 0;
	}
	iterations = argc > 2 ? strtoul(argv[2], NULL, 0) : 20000;
	if (argc > 3)
		tap_seed = strtoull(argv[3], NULL, 0) | 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..2\n# %lu inputs, seed %llu\n", iterations,
	       (unsigned long long)tap_seed);
	if (!load_folder(argv[1]) || !nr) {
		printf("Bail out! no corpus in %s\n", argv[1]);
		return 1;
	}
	for (i = 0; i < nr; i++)
		run(corpus[i].data, corpus[i].size);
	printf("ok 1 - the corpus: %zu inputs\n", nr);
	for (i = 0; i < iterations; i++)
		run(buf, mutate(buf));
	printf("ok 2 - mutations of it\n");
	for (i = 0; i < nr; i++) {
		free(corpus[i].name);
		free(corpus[i].data);
	}
	free(corpus);
	return 0;
}
