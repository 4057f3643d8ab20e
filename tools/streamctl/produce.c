// SPDX-License-Identifier: GPL-2.0
/*
 * streamctl produce: lines become records.
 *
 * Lines gather until a request is full or the input would make us wait: so a
 * file goes in few system calls, and what somebody types goes at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "evstream.h"
#include "parse.h"
#include "streamctl.h"

/* Bytes of one request, unless a single record is larger. */
#define BATCH_BYTES	(256U << 10)
/* A longer line cannot be a record of any topic. */
#define LINE_MAX_BYTES	((size_t)EVSTREAM_RECORD_MAX + 1)

/**
 * struct producer - a run of produce
 * @topic: its name
 * @fd: its device
 * @key: of all records, or NULL
 * @separator: between key and value in a line, or NULL
 * @headers: of all records, encoded
 * @headers_count: how many
 * @timestamp: of all records, -1: now
 * @records: the request; their addresses are offsets in @buf until they are sent
 * @lines: the numbers of their lines
 * @count: records in the request
 * @bytes: bytes in the request
 * @buf: input; none of it moves while @count is not 0
 * @file: where it comes from
 * @line: lines read of it
 * @done: records appended
 * @done_bytes: their bytes
 * @failed: records refused
 * @progress: show how far we are
 * @started: when, in ms
 * @shown: when the progress was shown last
 */
struct producer {
	const char *topic;
	int fd;
	const char *key;
	const char *separator;
	struct buf headers;
	uint32_t headers_count;
	int64_t timestamp;

	struct evstream_record records[EVSTREAM_APPEND_MAX];
	uint64_t lines[EVSTREAM_APPEND_MAX];
	uint32_t count;
	size_t bytes;

	struct buf buf;
	const char *file;
	uint64_t line;

	uint64_t done;
	uint64_t done_bytes;
	uint64_t failed;
	bool progress;
	int64_t started;
	int64_t shown;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void show_progress(struct producer *p, bool end)
{
	int64_t now = now_ms();
	struct buf text = {};
	double seconds = (double)(now - p->started) / 1000;

	if (!p->progress || (!end && now - p->shown < 200))
		return;
	p->shown = now;
	buf_printf(&text, "\r\033[K%llu records, ", (unsigned long long)p->done);
	print_size_rough(&text, p->done_bytes);
	if (seconds >= 0.1)
		buf_printf(&text, " in %.1f s, %.0f records/s", seconds,
			   (double)p->done / seconds);
	if (end)
		buf_putc(&text, '\n');
	write_all(STDERR_FILENO, text.data, text.len);
	buf_free(&text);
}

/* Only the first refusal is told; the others are counted. */
static void refuse(struct producer *p, uint64_t line, int err)
{
	char what[512];

	if (p->failed++)
		return;
	if (p->progress)
		fputs("\r\033[K", stderr);
	snprintf(what, sizeof(what), "%s:%llu: cannot append to topic '%s'", p->file,
		 (unsigned long long)line, p->topic);
	print_error(err, NULL, NULL, what);
}

/* Whether the next record can fare better than one that had this error. */
static bool is_own_fault(int err)
{
	return err == EMSGSIZE;
}

/* Append what has gathered. EXIT_OK: go on. */
static int send_records(struct producer *p)
{
	struct evstream_append req = {
		.records = (uintptr_t)p->records,
		.nr_records = p->count,
		.record_size = sizeof(p->records[0]),
	};
	int status = EXIT_OK;
	uint32_t i;
	int err = 0;

	if (!p->count)
		return EXIT_OK;
	for (i = 0; i < p->count; i++) {
		struct evstream_record *r = &p->records[i];

		if (p->separator && r->key_len >= 0)
			r->key += (uintptr_t)p->buf.data;
		r->value += (uintptr_t)p->buf.data;
	}
	if (ioctl(p->fd, EVSTREAM_IOC_APPEND, &req))
		err = errno;
	for (i = 0; i < p->count; i++) {
		const struct evstream_record *r = &p->records[i];
		int fault = r->error ? -r->error : err;

		if (!fault) {
			p->done++;
			p->done_bytes += (uint64_t)r->value_len;
			continue;
		}
		refuse(p, p->lines[i], fault);
		if (!is_own_fault(fault))
			status = EXIT_KERNEL;
	}
	p->count = 0;
	p->bytes = 0;
	show_progress(p, false);
	return status;
}

static int add_line(struct producer *p, size_t start, size_t len)
{
	struct evstream_record *r;
	const char *sep = NULL;
	int status;

	p->line++;
	if (p->count == EVSTREAM_APPEND_MAX ||
	    (p->count && p->bytes + len > BATCH_BYTES)) {
		status = send_records(p);
		if (status)
			return status;
	}
	r = &p->records[p->count];
	p->lines[p->count++] = p->line;
	p->bytes += len;

	memset(r, 0, sizeof(*r));
	r->timestamp = p->timestamp;
	r->headers = (uintptr_t)p->headers.data;
	r->headers_len = (uint32_t)p->headers.len;
	r->headers_count = p->headers_count;
	r->key_len = -1;
	if (p->key) {
		r->key = (uintptr_t)p->key;
		r->key_len = (int32_t)strlen(p->key);
	} else if (p->separator && len) {
		sep = memmem(p->buf.data + start, len, p->separator,
			     strlen(p->separator));
	}
	if (sep) {
		size_t key_len = (size_t)(sep - (p->buf.data + start));

		r->key = start;
		r->key_len = (int32_t)key_len;
		start += key_len + strlen(p->separator);
		len -= key_len + strlen(p->separator);
	}
	r->value = start;
	r->value_len = (int32_t)len;
	return EXIT_OK;
}

static bool would_wait(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}

/* Send what there is of @buf, so that the rest of it, from @start, can move. */
static int make_room(struct producer *p, size_t *start)
{
	int status = send_records(p);

	if (status)
		return status;
	p->buf.len -= *start;
	memmove(p->buf.data, p->buf.data + *start, p->buf.len);
	*start = 0;
	if (p->buf.room - p->buf.len < BATCH_BYTES)
		buf_reserve(&p->buf, BATCH_BYTES);
	return EXIT_OK;
}

static int produce_fd(struct producer *p, int fd)
{
	/* Where the line begins that is not whole yet. */
	size_t start = 0, seen = 0;
	/* Of a line that is too long, the rest goes unread. */
	bool skip = false;
	int status;
	ssize_t n;
	char *end;

	p->buf.len = 0;
	p->line = 0;
	for (;;) {
		if (p->count && would_wait(fd)) {
			status = send_records(p);
			if (status)
				return status;
		}
		if (p->buf.room - p->buf.len < BATCH_BYTES / 4) {
			seen -= start;
			status = make_room(p, &start);
			if (status)
				return status;
		}
		n = read(fd, p->buf.data + p->buf.len, p->buf.room - p->buf.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = fd, .events = POLLIN };

			poll(&pfd, 1, -1);
			continue;
		}
		if (n < 0)
			return sys_error(errno, "%s", p->file);
		if (!n)
			break;
		p->buf.len += (size_t)n;

		while ((end = memchr(p->buf.data + seen, '\n', p->buf.len - seen))) {
			size_t eol = (size_t)(end - p->buf.data);

			status = EXIT_OK;
			if (skip)
				skip = false;
			else
				status = add_line(p, start, eol - start);
			if (status)
				return status;
			seen = eol + 1;
			start = seen;
		}
		seen = p->buf.len;
		if (seen - start > LINE_MAX_BYTES && !skip) {
			refuse(p, ++p->line, EMSGSIZE);
			skip = true;
		}
		if (skip)
			start = seen;
	}
	if (start < p->buf.len && !skip) {
		status = add_line(p, start, p->buf.len - start);
		if (status)
			return status;
	}
	return send_records(p);
}

static int produce_file(struct producer *p, const char *name)
{
	int fd, status;

	if (!strcmp(name, "-")) {
		p->file = "standard input";
		return produce_fd(p, STDIN_FILENO);
	}
	p->file = name;
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return sys_error(errno, "%s", name);
	status = produce_fd(p, fd);
	close(fd);
	return status;
}

/* NAME=VALUE, or NAME for a null value */
static bool add_header(struct producer *p, const char *text)
{
	const char *value = strchr(text, '=');
	size_t len = value ? (size_t)(value - text) : strlen(text);
	struct evs_header header = {
		.key = text,
		.key_len = (int32_t)len,
		.value = value ? value + 1 : NULL,
		.value_len = value ? (int32_t)strlen(value + 1) : -1,
	};
	size_t size = evs_header_encode(NULL, 0, &header);

	if (!len || !size)
		return false;
	buf_reserve(&p->headers, size);
	evs_header_encode(p->headers.data + p->headers.len, size, &header);
	p->headers.len += size;
	p->headers_count++;
	return true;
}

static void print_summary(const struct producer *p)
{
	struct buf out = {};
	struct json j = { .out = &out };

	json_object(&j, NULL);
	json_str(&j, "topic", p->topic);
	json_uint(&j, "records", p->done);
	json_uint(&j, "bytes", p->done_bytes);
	json_uint(&j, "failed", p->failed);
	json_int(&j, "milliseconds", now_ms() - p->started);
	json_end_object(&j);
	flush_output(&out);
	buf_free(&out);
}

static int produce(int argc, char **argv)
{
	static const struct option options[] = {
		{ "partition", required_argument, NULL, 'p' },
		{ "key", required_argument, NULL, 'k' },
		{ "key-separator", required_argument, NULL, 'K' },
		{ "header", required_argument, NULL, 'H' },
		{ "timestamp", required_argument, NULL, 'T' },
		OPTION_JSON, OPTION_HELP, { }
	};
	static struct producer p = { .timestamp = -1 };
	int partition = -1, status = EXIT_OK;
	uint64_t v;
	int opt;

	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS "p:k:K:H:T:", options,
				  NULL)) != -1) {
		switch (opt) {
		case 'p':
			if (!parse_number(optarg, EVSTREAM_PARTITIONS_MAX - 1, &v))
				return usage_error("'%s' is not a partition", optarg);
			partition = (int)v;
			break;
		case 'k':
			p.key = optarg;
			break;
		case 'K':
			if (!*optarg)
				return usage_error("the separator is empty");
			p.separator = optarg;
			break;
		case 'H':
			if (!add_header(&p, optarg))
				return usage_error("'%s' is not NAME=VALUE", optarg);
			break;
		case 'T':
			if (!parse_number(optarg, INT64_MAX, &v))
				return usage_error("'%s' is not a time in milliseconds",
						   optarg);
			p.timestamp = (int64_t)v;
			break;
		default:
			status = common_option(opt, &produce_command, argv);
			if (status != OPTION_DONE)
				return status;
			status = EXIT_OK;
		}
	}
	if (optind == argc)
		return usage_error("usage: streamctl %s", produce_command.usage);
	if (p.key && p.separator)
		return usage_error("-k and -K exclude each other");

	p.topic = argv[optind++];
	p.fd = device_open(p.topic, partition, O_WRONLY);
	if (p.fd < 0)
		return -p.fd;
	p.progress = isatty(STDERR_FILENO) && !json_output;
	p.started = now_ms();

	if (optind == argc)
		status = produce_file(&p, "-");
	for (; optind < argc && !status; optind++)
		status = produce_file(&p, argv[optind]);

	show_progress(&p, true);
	if (p.failed > 1 && !json_output)
		fprintf(stderr, "streamctl: %llu records were not appended\n",
			(unsigned long long)p.failed);
	if (json_output)
		print_summary(&p);
	return p.failed ? EXIT_KERNEL : status;
}

const struct command produce_command = {
	"produce", produce,
	"produce TOPIC [-p PARTITION] [-k KEY | -K SEPARATOR] [-H NAME=VALUE]...\n"
	"                    [-T MILLIS] [FILE...]"
};
