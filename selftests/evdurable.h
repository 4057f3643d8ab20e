/* SPDX-License-Identifier: GPL-2.0 */
/*
 * File systems to put durable topics on, and what their files must be: read by
 * code that shares nothing with the module's.
 */
#ifndef EVDURABLE_H
#define EVDURABLE_H

#include <dirent.h>
#include <endian.h>

#include "evwork.h"

#define EVD_PATH	128

/* evd_place(): the file system is not to be had here. */
#define EVD_MISSING	4

/* The exit status of a shell's command, or -1. */
static inline __printf(1, 2) int evd_sh(const char *fmt, ...)
{
	char command[2048];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/**
 * evd_place() - an empty directory on a file system of some kind
 * @fs: tmpfs, ext4, xfs or btrfs
 * @dir: out: its path, EVD_PATH bytes
 *
 * A program has one file system of each kind, in a loop device; the first who
 * asks makes it, and evd_unmount() is the last.
 *
 * Return: 0, EVD_MISSING, or another exit status of what failed.
 */
static inline int evd_place(const char *fs, char *dir)
{
	static unsigned int count;
	const char *prog = program_invocation_short_name;
	int status = 0, n;
	struct stat a, b;

	n = snprintf(dir, EVD_PATH, "/tmp/evd-%s", prog);
	if (stat(dir, &a))
		a.st_dev = 0;
	snprintf(dir + n, EVD_PATH - n, "/%s", fs);
	if (!a.st_dev || stat(dir, &b) || a.st_dev == b.st_dev)
		status = evd_sh("exec >/dev/null; d=/tmp/evd-%s/%s; mkdir -p $d || exit 1\n"
				"mountpoint -q $d && exit 0\n"
				"[ %s != tmpfs ] || exec mount -t tmpfs -o size=320m tmpfs $d\n"
				"command -v mkfs.%s || exit %d\n"
				"modprobe -q loop\n"
				"modprobe -q %s || grep -qw %s /proc/filesystems || exit %d\n"
				"case %s in\n"
				"ext4) make='mkfs.ext4 -q -F' ;;\n"
				"xfs) make='mkfs.xfs --unsupported -q -l size=10m' ;;\n"
				"*) make='mkfs.%s -q' ;;\n"
				"esac\n"
				"truncate -s 320M $d.img && $make $d.img && mount -o loop $d.img $d",
				prog, fs, fs, fs, EVD_MISSING, fs, fs, EVD_MISSING, fs, fs);
	/* This one is always to be had. */
	if (status == EVD_MISSING && !strcmp(fs, "ext4"))
		status = 1;
	if (status)
		return status;
	snprintf(dir, EVD_PATH, "/tmp/evd-%s/%s/%d-%u", prog, fs, (int)getpid(), count++);
	return mkdir(dir, 0755) ? 1 : 0;
}

/* All file systems of the program away: what is still in use fails. */
static inline int evd_unmount(void)
{
	return evd_sh("d=/tmp/evd-%s; status=0\n"
		      "for m in $d/*/; do\n"
		      "	! mountpoint -q $m || umount $m || { status=1; umount -l $m; }\n"
		      "done\n"
		      "rm -rf $d; exit $status", program_invocation_short_name);
}

static inline int evd_create(struct evt_topic *t, const char *dir, const char *options)
{
	char all[512];

	snprintf(all, sizeof(all), "--dir %s %s", dir, options);
	return evt_create(t, all);
}

static inline int evd_attach(const struct evt_topic *t, const char *dir)
{
	return evt_streamctl("topic attach %s %s >/dev/null", dir, t->name);
}

static inline int evd_detach(const struct evt_topic *t)
{
	return evt_streamctl("topic detach %s >/dev/null", t->name);
}

static inline bool evd_attached(const struct evt_topic *t)
{
	char path[128];

	snprintf(path, sizeof(path), "/dev/stream/%s", t->name);
	return t->name[0] && !access(path, F_OK);
}

/* For a teardown: the topic and its files are gone, whatever state it was left in. */
static inline int evd_remove(const struct evt_topic *t, const char *dir)
{
	int status = evd_attached(t) ? evt_delete(t) : 0;

	if (rmdir(dir))
		status |= evd_sh("rm -rf %s", dir);
	return status;
}

static inline void evd_pause(void)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	nanosleep(&pause, NULL);
}

/* For what must come true; a test's timeout is the end of it. */
#define EVD_WAIT(condition) do {		\
	while (!(condition))			\
		evd_pause();			\
} while (0)

/* What can be evicted of a partition's log is read back from the disk next time. */
static inline int evd_evict(int fd)
{
	return fsync(fd) ? -errno :
	       -posix_fadvise(fd, EVSTREAM_MMAP_LOG, 0, POSIX_FADV_DONTNEED);
}

/* The same of everything there is, which takes its time. */
static inline void evd_drop_caches(void)
{
	sync();
	evw_write_file("/proc/sys/vm/drop_caches", "1");
}

static inline long long evd_durable(int fd, unsigned int partition)
{
	struct evstream_stat st;
	int ret = evt_stat(fd, partition, &st);

	return ret ? ret : st.durable_offset;
}

/* ------------------------------------------------------------------- bytes */

struct evd_bytes {
	char *data;
	size_t len;
	size_t room;
};

static inline void *evd_grow(struct evd_bytes *b, size_t more)
{
	if (b->len + more > b->room) {
		b->room = (b->len + more) * 2;
		b->data = realloc(b->data, b->room);
		if (!b->data)
			abort();
	}
	return b->data + b->len;
}

static inline void evd_add(struct evd_bytes *b, const void *data, size_t len)
{
	memcpy(evd_grow(b, len + 1), data, len);
	b->len += len;
}

static inline void evd_free(struct evd_bytes *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

static inline bool evd_same(const struct evd_bytes *a, const struct evd_bytes *b)
{
	return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

/* 0, or -errno. */
static inline int evd_read_file(const char *path, struct evd_bytes *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	b->len = 0;
	if (fd < 0)
		return -errno;
	while ((n = read(fd, evd_grow(b, 1 << 16), 1 << 16)) > 0)
		b->len += n;
	((char *)evd_grow(b, 1))[0] = '\0';
	n = n < 0 ? -errno : 0;
	close(fd);
	return n;
}

/* All batches of a partition from @from on (-1: the start), by FETCH. 0 or -errno. */
static inline int evd_fetch(int fd, unsigned int partition, long long from, struct evd_bytes *b)
{
	struct evstream_stat st;
	int ret;

	b->len = 0;
	ret = evt_stat(fd, partition, &st);
	if (ret)
		return ret;
	if (from < 0)
		from = st.start_offset;
	while (from < st.end_offset) {
		struct evstream_fetch a = { .len = 2 << 20, .partition = partition,
					    .offset = from };

		a.buf = (uintptr_t)evd_grow(b, 2 << 20);
		if (ioctl(fd, EVSTREAM_IOC_FETCH, &a))
			return -errno;
		if (!a.bytes || a.next_offset <= from)
			return -EPROTO;
		b->len += a.bytes;
		from = a.next_offset;
	}
	return 0;
}

/* ------------------------------------------------------------------- files */

static inline uint16_t evd_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t evd_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t evd_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

/**
 * struct evd_files - what a partition's files hold
 * @first: base offset of the oldest segment
 * @next: one after the last offset
 * @segments: .log files
 * @batches: in all of them
 * @entries: of the indexes by offset
 * @log: the batches of all files, back to back
 */
struct evd_files {
	long long first;
	long long next;
	unsigned int segments;
	unsigned int batches;
	unsigned int entries;
	struct evd_bytes log;
};

/* A batch in its segment. */
struct evd_batch {
	uint32_t pos;
	int64_t last;
	int64_t newest;
};

/* What is wrong, in words; good until the next one. */
static inline __printf(1, 2)
const char *evd_wrong(const char *fmt, ...)
{
	static _Thread_local char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return text;
}

#define EVD_INTERVAL	4096

/*
 * The batches of a segment's file, from offset @base on. @tail: zeroes may follow
 * the last one.
 */
static inline
const char *evd_check_log(const struct evd_bytes *file, int64_t base, bool tail, int64_t *next,
			  struct evd_bytes *batches, size_t *size, uint32_t *largest)
{
	size_t pos = 0;

	*next = base;
	*largest = 0;
	while (pos < file->len) {
		const char *p = file->data + pos;
		size_t left = file->len - pos;
		struct evd_batch batch;
		uint32_t length, count;
		int32_t delta;

		if (tail && (left < 12 || !evd_be32(p + 8))) {
			size_t i;

			for (i = 0; i < left; i++)
				if (p[i])
					return evd_wrong("%lld.log: not a zero at %zu, in its tail",
							 (long long)base, pos + i);
			break;
		}
		if (left < 61)
			return evd_wrong("%lld.log: %zu bytes at %zu are left over",
					 (long long)base, left, pos);
		length = evd_be32(p + 8);
		if (length < 49 || length > left - 12)
			return evd_wrong("%lld.log: length %u at %zu of %zu",
					 (long long)base, length, pos, file->len);
		if (p[16] != 2)
			return evd_wrong("%lld.log: magic %d at %zu", (long long)base, p[16], pos);
		if (evd_be32(p + 17) != evs_crc32c(0, p + 21, length + 12 - 21))
			return evd_wrong("%lld.log: CRC at %zu", (long long)base, pos);
		if ((int64_t)evd_be64(p) != *next)
			return evd_wrong("%lld.log: offset %lld at %zu, not %lld", (long long)base,
					 (long long)evd_be64(p), pos, (long long)*next);
		delta = evd_be32(p + 23);
		count = evd_be32(p + 57);
		if (delta < 0 || (count ? count != delta + 1u : !(evd_be16(p + 21) & 0x20)))
			return evd_wrong("%lld.log: %u records over %d offsets at %zu",
					 (long long)base, count, delta + 1, pos);
		batch.pos = pos;
		batch.last = *next + delta;
		/* A hole is in no index of times. */
		batch.newest = count ? (int64_t)evd_be64(p + 35) : -1;
		evd_add(batches, &batch, sizeof(batch));
		if (length + 12 > *largest)
			*largest = length + 12;
		*next = batch.last + 1;
		pos += length + 12;
	}
	*size = pos;
	return NULL;
}

static inline
const char *evd_check_index(const char *path, int64_t base, const struct evd_bytes *batches,
			    size_t size, uint32_t largest, unsigned int *entries)
{
	const struct evd_batch *b = (void *)batches->data;
	size_t count = batches->len / sizeof(*b), i = 0, at, before = 0;
	struct evd_bytes file = {};
	int ret = evd_read_file(path, &file);

	if (ret)
		return evd_wrong("%s: %s", path, strerror(-ret));
	if (file.len % 8)
		return evd_wrong("%s: %zu bytes", path, file.len);
	for (at = 0; at < file.len; at += 8) {
		int64_t offset = base + evd_be32(file.data + at);
		uint32_t pos = evd_be32(file.data + at + 4);

		/* Both only grow, since a batch is looked at once. */
		while (i < count && b[i].pos != pos)
			i++;
		if (i == count)
			return evd_wrong("%s: entry %zu: no batch at %u", path, at / 8, pos);
		if (b[i].last != offset)
			return evd_wrong("%s: entry %zu: offset %lld at %u, not %lld", path, at / 8,
					 (long long)offset, pos, (long long)b[i].last);
		i++;
		if (pos - before > EVD_INTERVAL + largest)
			return evd_wrong("%s: no entry from %zu to %u", path, before, pos);
		before = pos;
	}
	if (size - before > EVD_INTERVAL + largest)
		return evd_wrong("%s: no entry from %zu to %zu", path, before, size);
	*entries += file.len / 8;
	evd_free(&file);
	return NULL;
}

static inline
const char *evd_check_timeindex(const char *path, int64_t base, const struct evd_bytes *batches)
{
	const struct evd_batch *b = (void *)batches->data;
	size_t count = batches->len / sizeof(*b), i = 0, at;
	int64_t newest = -1, before = -1;
	struct evd_bytes file = {};
	int ret = evd_read_file(path, &file);

	if (ret)
		return evd_wrong("%s: %s", path, strerror(-ret));
	if (file.len % 12)
		return evd_wrong("%s: %zu bytes", path, file.len);
	for (at = 0; at < file.len; at += 12) {
		int64_t time = evd_be64(file.data + at);
		int64_t offset = base + evd_be32(file.data + at + 8);

		if (time <= before)
			return evd_wrong("%s: entry %zu: time %lld after %lld", path, at / 12,
					 (long long)time, (long long)before);
		before = time;
		for (; i < count && b[i].last < offset; i++)
			if (b[i].newest > newest)
				newest = b[i].newest;
		if (i == count || b[i].last != offset)
			return evd_wrong("%s: entry %zu: no batch ends with %lld", path, at / 12,
					 (long long)offset);
		if (b[i].newest != time || newest > time)
			return evd_wrong("%s: entry %zu: %lld is the time of %lld, not %lld", path,
					 at / 12, (long long)b[i].newest, (long long)offset,
					 (long long)time);
	}
	for (i = 0; i < count; i++)
		if (b[i].newest > newest)
			newest = b[i].newest;
	if (newest != before)
		return evd_wrong("%s: the last time is %lld, not %lld", path, (long long)before,
				 (long long)newest);
	evd_free(&file);
	return NULL;
}

static inline bool evd_is_log(const char *name)
{
	return strspn(name, "0123456789") == 20 && !strcmp(name + 20, ".log");
}

static inline int evd_only_logs(const struct dirent *e)
{
	return evd_is_log(e->d_name);
}

/* Nothing is there that nobody asked for, and no index without its log. */
static inline
const char *evd_check_names(const char *dir)
{
	static const char *const others[] = {
		".", "..", "leader-epoch-checkpoint", "partition.metadata", "evstream.checkpoint",
	};
	DIR *d = opendir(dir);
	const char *why = NULL;
	struct dirent *e;
	char path[768];
	size_t i;

	if (!d)
		return evd_wrong("%s: %s", dir, strerror(errno));
	while (!why && (e = readdir(d))) {
		for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			if (!strcmp(e->d_name, others[i]))
				break;
		if (i < sizeof(others) / sizeof(others[0]) || evd_is_log(e->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%.20s.log", dir, e->d_name);
		if (strspn(e->d_name, "0123456789") != 20 ||
		    (strcmp(e->d_name + 20, ".index") && strcmp(e->d_name + 20, ".timeindex") &&
		     strcmp(e->d_name + 20, ".snapshot")))
			why = evd_wrong("%s: what is %s?", dir, e->d_name);
		else if (strcmp(e->d_name + 20, ".snapshot") && access(path, F_OK))
			why = evd_wrong("%s: %s has no log", dir, e->d_name);
	}
	closedir(d);
	return why;
}

static inline
const char *evd_check_small(const char *dir, long long first, long long next)
{
	static const char meta[] = "version: 0\ntopic_id: ";
	struct evd_bytes file = {};
	long long epoch_start = -1;
	char path[768], want[64] = "", *id;
	int ret;

	snprintf(path, sizeof(path), "%s/leader-epoch-checkpoint", dir);
	ret = evd_read_file(path, &file);
	if (ret)
		return evd_wrong("%s: %s", path, strerror(-ret));
	if (sscanf(file.data, "0\n1\n0 %lld", &epoch_start) == 1)
		snprintf(want, sizeof(want), "0\n1\n0 %lld\n", epoch_start);
	if (strcmp(file.data, want) || epoch_start < 0 || epoch_start > (first > 0 ? next : 0))
		return evd_wrong("%s: %s", path, file.data);

	snprintf(path, sizeof(path), "%s/partition.metadata", dir);
	ret = evd_read_file(path, &file);
	if (ret)
		return evd_wrong("%s: %s", path, strerror(-ret));
	id = file.data + sizeof(meta) - 1;
	/* Kafka itself writes no newline behind the id. */
	if (strncmp(file.data, meta, sizeof(meta) - 1) ||
	    strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != 22 ||
	    (id[22] && strcmp(id + 22, "\n")))
		return evd_wrong("%s: %s", path, file.data);
	evd_free(&file);
	return NULL;
}

/**
 * evd_check() - whether a partition's files are what Kafka would have written
 * @dir: where the topic is
 * @t: the topic
 * @partition: its partition
 * @open: it is attached: what is at the ends of files may be on its way
 * @f: out: what the files hold; evd_free(&f->log) at the end
 *
 * Return: NULL, or what is wrong.
 */
static inline
const char *evd_check(const char *dir, const struct evt_topic *t, int partition, bool open,
		      struct evd_files *f)
{
	struct evd_bytes file = {}, batches = {};
	struct dirent **names;
	const char *why;
	char path[512];
	int count, i;

	memset(f, 0, sizeof(*f));
	snprintf(path, sizeof(path), "%s/%s-%d", dir, t->name, partition);
	why = evd_check_names(path);
	if (why)
		return why;
	count = scandir(path, &names, evd_only_logs, alphasort);
	if (count <= 0)
		return evd_wrong("%s: no segment", path);
	for (i = 0; i < count && !why; i++) {
		bool last = i == count - 1;
		int64_t base = strtoll(names[i]->d_name, NULL, 10), next;
		uint32_t largest;
		size_t size = 0;
		int ret;

		if (!i) {
			f->first = base;
			f->next = base;
		}
		if (base != f->next) {
			why = evd_wrong("%s: %s follows offset %lld", path, names[i]->d_name,
					f->next);
			break;
		}
		snprintf(path, sizeof(path), "%s/%s-%d/%s", dir, t->name, partition,
			 names[i]->d_name);
		ret = evd_read_file(path, &file);
		if (ret) {
			why = evd_wrong("%s: %s", path, strerror(-ret));
			break;
		}
		batches.len = 0;
		why = evd_check_log(&file, base, open, &next, &batches, &size, &largest);
		if (why)
			break;
		if (!size && !last) {
			why = evd_wrong("%s: an empty segment in the middle", path);
			break;
		}
		f->batches += batches.len / sizeof(struct evd_batch);
		evd_add(&f->log, file.data, size);
		f->next = next;
		if (!open) {
			strcpy(path + strlen(path) - 4, ".index");
			why = evd_check_index(path, base, &batches, size, largest, &f->entries);
			strcpy(path + strlen(path) - 6, ".timeindex");
			why = why ?: evd_check_timeindex(path, base, &batches);
		}
		snprintf(path, sizeof(path), "%s/%s-%d", dir, t->name, partition);
	}
	f->segments = count;
	for (i = 0; i < count; i++)
		free(names[i]);
	free(names);
	evd_free(&file);
	evd_free(&batches);
	if (why)
		return why;
	snprintf(path, sizeof(path), "%s/%s-%d", dir, t->name, partition);
	return evd_check_small(path, f->first, f->next);
}

/* Files of a partition's directory whose names end so. */
static inline int evd_count_files(const char *dir, const struct evt_topic *t, int partition,
				  const char *ending)
{
	char path[512];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s-%d", dir, t->name, partition);
	d = opendir(path);
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		size_t len = strlen(e->d_name), want = strlen(ending);

		n += len >= want && !strcmp(e->d_name + len - want, ending);
	}
	closedir(d);
	return n;
}

/* ----------------------------------------------------------------- records */

/**
 * struct evd_record - what a record must be
 * @timestamp: -1: the append's
 * @sum: of its key, value and headers
 */
struct evd_record {
	int64_t timestamp;
	uint32_t sum;
};

static inline uint32_t evd_sum(const void *key, int32_t key_len, const void *value,
			       int32_t value_len, const void *headers, uint32_t headers_len)
{
	int32_t lengths[3] = { key_len, value_len, headers_len };
	uint32_t sum = evs_crc32c(0, lengths, sizeof(lengths));

	sum = evs_crc32c(sum, key, key_len > 0 ? key_len : 0);
	sum = evs_crc32c(sum, value, value_len > 0 ? value_len : 0);
	return evs_crc32c(sum, headers, headers_len);
}

/* Appended records, by offset. */
static inline void evd_expect(struct evd_bytes *list, int64_t timestamp, uint32_t sum)
{
	struct evd_record r = { .timestamp = timestamp, .sum = sum };

	evd_add(list, &r, sizeof(r));
}

static inline void evd_expect_value(struct evd_bytes *list, const void *value, int32_t len)
{
	evd_expect(list, -1, evd_sum(NULL, -1, value, len, NULL, 0));
}

static inline long long evd_expected(const struct evd_bytes *list)
{
	return list->len / sizeof(struct evd_record);
}

static inline
const char *evd_match(const struct evs_record *rec, void *arg)
{
	const struct evd_bytes *list = arg;
	const struct evd_record *r = (void *)list->data;

	if (rec->offset >= evd_expected(list))
		return evd_wrong("offset %lld was never appended", (long long)rec->offset);
	r += rec->offset;
	if (r->sum != evd_sum(rec->key, rec->key_len, rec->value, rec->value_len, rec->headers,
			      rec->headers_len))
		return evd_wrong("offset %lld is another record", (long long)rec->offset);
	if (r->timestamp >= 0 && r->timestamp != rec->timestamp)
		return evd_wrong("offset %lld has time %lld, not %lld", (long long)rec->offset,
				 (long long)rec->timestamp, (long long)r->timestamp);
	return NULL;
}

/* A time of the past. */
#define EVD_T0	1600000000000LL

/**
 * evd_append_mix() - append in all the ways there are
 * @t: the topic; partition 0
 * @calls: how many times
 * @seed: for what is appended
 * @list: the records appended so far
 *
 * Return: NULL, or what went wrong.
 */
static inline
const char *evd_append_mix(const struct evt_topic *t, int calls, uint64_t seed,
			   struct evd_bytes *list)
{
	struct evstream_set_framing line = { .framing = EVSTREAM_FRAMING_LINE };
	int fd = evt_open(t, 0, O_RDWR), lines = evt_open(t, 0, O_WRONLY), i, n, k;
	char *buf = malloc(30000), key[32], headers[64];
	struct evs_builder *builder = evs_builder_new(NULL, 0);
	const char *why = NULL;
	long long end;

	if (fd < 0 || lines < 0 || ioctl(lines, EVSTREAM_IOC_SET_FRAMING, &line))
		return evd_wrong("open: %s", strerror(errno));
	for (i = 0; i < calls && !why; i++) {
		uint32_t len = evw_size(&seed, 20000);
		struct iovec v[2] = { { buf, len / 3 }, { buf + len / 3, len - len / 3 } };
		struct evs_header header = { .key = "name", .key_len = 4, .value = key };
		struct evstream_record rec[4] = {};
		struct evstream_append a = { .records = (uintptr_t)rec,
					     .record_size = sizeof(rec[0]) };
		struct evs_record built = { .key_len = -1 };
		const void *batch;
		uint32_t sum;
		size_t size;

		evw_make(buf, len, seed >> 40, i);
		n = 1 + evw_random(&seed) % 4;
		switch (evw_random(&seed) % 5) {
		case 0:
			if (write(fd, buf, len) != (ssize_t)len)
				why = evd_wrong("write: %s", strerror(errno));
			evd_expect_value(list, buf, len);
			break;
		case 1:
			if (writev(fd, v, 2) != (ssize_t)len)
				why = evd_wrong("writev: %s", strerror(errno));
			evd_expect_value(list, buf, len);
			break;
		case 2:
			header.value_len = sprintf(key, "key %d", i);
			size = evs_header_encode(headers, sizeof(headers), &header);
			for (k = 0; k < n; k++) {
				rec[k] = (struct evstream_record){
					.key = (uintptr_t)key,
					.key_len = k & 1 ? -1 : header.value_len,
					.value = (uintptr_t)buf,
					.value_len = k == 3 ? -1 : (int)len / 4,
					.headers = (uintptr_t)headers,
					.headers_len = k & 2 ? 0 : size,
					.headers_count = !(k & 2),
					.timestamp = k == 2 ? -1 : EVD_T0 + i * 1000 + k,
				};
				sum = evd_sum(key, rec[k].key_len, buf, rec[k].value_len,
					      headers, rec[k].headers_len);
				evd_expect(list, rec[k].timestamp, sum);
			}
			a.nr_records = n;
			if (ioctl(fd, EVSTREAM_IOC_APPEND, &a) || (int)a.appended != n)
				why = evd_wrong("APPEND: %s", strerror(errno));
			break;
		case 3:
			for (k = 0; k < 5 * n; k++) {
				built.timestamp = EVD_T0 + i * 1000 - k;
				built.value = buf;
				built.value_len = len / 20;
				evs_builder_add(builder, &built);
				sum = evd_sum(NULL, -1, buf, built.value_len, NULL, 0);
				evd_expect(list, built.timestamp, sum);
			}
			evs_builder_finish(builder, &batch, &size);
			k = evs_append_batch(fd, 0, batch, size, NULL);
			if (k)
				why = evd_wrong("APPEND_BATCH: %s", strerror(-k));
			break;
		default:
			for (k = 0, size = 0; k < n; k++) {
				int text = sprintf(buf + size, "line %d of call %d", k, i);

				evd_expect_value(list, buf + size, text);
				size += text;
				buf[size++] = '\n';
			}
			if (write(lines, buf, size) != (ssize_t)size)
				why = evd_wrong("write of lines: %s", strerror(errno));
		}
	}
	end = evt_end(fd, 0);
	if (!why && end != evd_expected(list))
		why = evd_wrong("the end is %lld, not %lld", end, evd_expected(list));
	evs_builder_free(builder);
	free(buf);
	close(lines);
	close(fd);
	return why;
}

/* Whether the log holds what was appended, from its start to its end. */
static inline
const char *evd_holds(int fd, const struct evd_bytes *list)
{
	long long end = evt_end(fd, 0);

	if (end != evd_expected(list))
		return evd_wrong("the end is %lld, not %lld", end, evd_expected(list));
	return evw_walk(fd, evd_match, (void *)list);
}

#define EXPECT_FINE(call) do {			\
	const char *__why = call;		\
						\
	EXPECT_EQ(NULL, __why)			\
		TH_LOG("%s", __why);		\
} while (0)

#define ASSERT_FINE(call) do {			\
	const char *__why = call;		\
						\
	ASSERT_EQ(NULL, __why)			\
		TH_LOG("%s", __why);		\
} while (0)

#endif /* EVDURABLE_H */
