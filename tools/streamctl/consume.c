// SPDX-License-Identifier: GPL-2.0
/*
 * streamctl consume: records become text.
 *
 * A record is printed into a buffer from where it lies in the log, and counts
 * only if no producer overran it meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "consume.h"
#include "evstream.h"
#include "member.h"
#include "parse.h"
#include "streamctl.h"

/* A partition's turn, in records. */
#define TURN		1024

/**
 * struct source - one partition
 * @reader: its reader, NULL: read to its end
 * @partition: its number
 */
struct source {
	struct evs_reader *reader;
	uint32_t partition;
};

/**
 * struct mapped - a run of consume without a group
 * @c: all that both have
 * @sources: its partitions
 * @count: how many
 * @whole: so much of the output is whole records
 */
struct mapped {
	struct consumer c;
	struct source *sources;
	uint32_t count;
	size_t whole;
};

atomic_bool stopped;

static void stop(int sig)
{
	(void)sig;
	stopped = true;
}

/*
 * What was printed goes out before we do. The second one kills, as whoever
 * reads our output may not; and who ignores one, as nohup(1) does, goes on to.
 */
static void stop_on(int sig)
{
	struct sigaction action = {
		.sa_handler = stop,
		.sa_flags = (int)SA_RESETHAND,
	};
	struct sigaction old;

	if (!sigaction(sig, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(sig, &action, NULL);
}

static sigjmp_buf storage_failed;

static void bus_error(int sig)
{
	(void)sig;
	siglongjmp(storage_failed, 1);
}

/**
 * report() - what happened to records, where it does not disturb those that are shown
 * @c: the run
 * @partition: where they are
 * @what: what it is called in JSON
 * @text: what it is called else
 * @from: the first one's offset
 * @to: that behind the last one
 */
void report(const struct consumer *c, uint32_t partition, const char *what,
	    const char *text, int64_t from, int64_t to)
{
	unsigned long long count = (unsigned long long)(to - from);
	struct buf out = {};
	struct json j = { .out = &out };

	if (json_output) {
		json_object(&j, NULL);
		json_str(&j, "topic", c->topic);
		json_uint(&j, "partition", partition);
		json_uint(&j, what, count);
		json_int(&j, "from", from);
		json_int(&j, "to", to);
		json_end_object(&j);
	} else {
		buf_printf(&out, "streamctl: %s/%u: %llu record%s %s: offset%s %lld",
			   c->topic, partition, count, count == 1 ? "" : "s", text,
			   count == 1 ? "" : "s", (long long)from);
		if (count > 1)
			buf_printf(&out, " to %lld", (long long)to - 1);
		buf_putc(&out, '\n');
	}
	write_all(STDERR_FILENO, out.data, out.len);
	buf_free(&out);
}

void report_lost(const struct consumer *c, uint32_t partition, int64_t from, int64_t to)
{
	report(c, partition, "lost", "lost, overwritten or trimmed before they were read",
	       from, to);
}

/* Bytes that are no text go as base64, in a member of another name. */
static void json_payload(struct json *j, const char *name, const char *name64,
			 const void *data, int32_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	struct buf text = {};
	int32_t i, bits;

	if (len < 0) {
		json_null(j, name);
		return;
	}
	if (utf8_valid(data, (size_t)len)) {
		json_bytes(j, name, data, (size_t)len);
		return;
	}
	for (i = 0; i < len; i += 3) {
		bits = p[i] << 16 | (i + 1 < len ? p[i + 1] << 8 : 0) |
		       (i + 2 < len ? p[i + 2] : 0);
		buf_putc(&text, digits[bits >> 18]);
		buf_putc(&text, digits[bits >> 12 & 63]);
		buf_putc(&text, i + 1 < len ? digits[bits >> 6 & 63] : '=');
		buf_putc(&text, i + 2 < len ? digits[bits & 63] : '=');
	}
	json_bytes(j, name64, text.data, text.len);
	buf_free(&text);
}

static void print_json(struct consumer *c, uint32_t partition, const struct evs_record *rec,
		       uint32_t deliveries)
{
	struct json j = { .out = &c->output };
	struct evs_header_iter it;
	struct evs_header header;

	json_object(&j, NULL);
	json_str(&j, "topic", c->topic);
	json_uint(&j, "partition", partition);
	json_int(&j, "offset", rec->offset);
	json_int(&j, "ts", rec->timestamp);
	if (deliveries)
		json_uint(&j, "deliveries", deliveries);
	if (rec->headers_count) {
		json_array(&j, "headers");
		evs_header_first(&it, rec);
		while (evs_header_next(&it, &header) == 1) {
			json_bytes(&j, NULL, header.key, (size_t)header.key_len);
			if (header.value_len < 0)
				json_null(&j, NULL);
			else
				json_bytes(&j, NULL, header.value,
					   (size_t)header.value_len);
		}
		json_end_array(&j);
	}
	json_payload(&j, "key", "key_base64", rec->key, rec->key_len);
	json_payload(&j, "payload", "payload_base64", rec->value, rec->value_len);
	json_end_object(&j);
}

/**
 * print_record() - print a record into the output
 * @c: the run
 * @partition: where it is
 * @rec: the record
 * @deliveries: how often a queue has handed it out, 0: it is of no queue
 */
void print_record(struct consumer *c, uint32_t partition, const struct evs_record *rec,
		  uint32_t deliveries)
{
	if (json_output)
		print_json(c, partition, rec, deliveries);
	else
		format_record(&c->format, &c->output, c->topic, partition, rec);
}

static void print_mapped(struct consumer *c, const struct source *s,
			 const struct evs_record *rec)
{
	size_t len = c->output.len;

	print_record(c, s->partition, rec, 0);
	if (!evs_reader_valid(s->reader)) {
		c->output.len = len;
		report_lost(c, s->partition, rec->offset, rec->offset + 1);
		return;
	}
	c->left--;
}

void report_compressed(struct consumer *c, uint32_t partition, const struct evs_batch *batch)
{
	c->incomplete = true;
	report(c, partition, "compressed", "not shown, as they are compressed",
	       batch->base_offset, batch->base_offset + batch->last_delta + 1);
}

void report_damaged(struct consumer *c, uint32_t partition, int64_t offset)
{
	c->incomplete = true;
	fprintf(stderr, "streamctl: %s/%u: skipped what is no batch, before offset %lld\n",
		c->topic, partition, (long long)offset);
}

static int source_error(const struct consumer *c, const struct source *s, int err)
{
	return sys_error(-err, "%s/%u%s", c->topic, s->partition,
			 err == -ENODEV ? ": the topic was deleted" : "");
}

/*
 * Print some of a partition. 1: there may be more, 0: this was the last one as
 * of now, else - an exit code.
 */
static int take_turn(struct mapped *run, struct source *s)
{
	struct consumer *c = &run->c;
	struct evs_record rec;
	struct evs_batch batch;
	int64_t from, to;
	int i, ret, status;

	run->whole = c->output.len;
	/* A durable log is brought back from its storage as it is touched. */
	if (sigsetjmp(storage_failed, 1)) {
		c->output.len = run->whole;
		return -sys_error(EIO, "%s/%u: cannot read it from its storage",
				  c->topic, s->partition);
	}
	for (i = 0; i < TURN && c->left && !stopped; i++) {
		ret = evs_reader_next(s->reader, &rec);
		switch (ret) {
		case 1:
			print_mapped(c, s, &rec);
			break;
		case 0:
			return 0;
		case -EPIPE:
			evs_reader_lost(s->reader, &from, &to);
			report_lost(c, s->partition, from, to);
			break;
		case -EOPNOTSUPP:
			c->incomplete = true;
			if (!evs_reader_batch(s->reader, &batch))
				report_compressed(c, s->partition, &batch);
			break;
		case -EBADMSG:
			report_damaged(c, s->partition, evs_reader_offset(s->reader));
			break;
		default:
			return -source_error(c, s, ret);
		}
		if (c->output.len >= OUTPUT_BYTES) {
			status = flush_output(&c->output);
			if (status)
				return -status;
		}
		run->whole = c->output.len;
	}
	return 1;
}

/**
 * sleep_on() - sleep until something has come, or a signal, or nobody reads our output
 * @pfds: what to look for; the first one is made that of our output
 * @n: how many, that one included
 *
 * Return: an exit code.
 */
int sleep_on(struct pollfd *pfds, nfds_t n)
{
	sigset_t block, before;
	int ret, err;

	pfds[0] = (struct pollfd){ .fd = STDOUT_FILENO };
	/* Held back, so that none is missed between the test and the sleep. */
	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &before);
	ret = stopped ? 0 : ppoll(pfds, n, NULL, &before);
	err = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (ret < 0 && err != EINTR)
		return sys_error(err, "poll");
	if (ret > 0 && pfds[0].revents & (POLLERR | POLLNVAL))
		stopped = true;
	return EXIT_OK;
}

static int wait_for_more(struct mapped *run)
{
	struct consumer *c = &run->c;
	static struct pollfd *pfds;
	uint32_t i;
	int ret;

	ret = flush_output(&c->output);
	if (ret)
		return ret;
	if (!pfds)
		pfds = xrealloc(NULL, (run->count + 1) * sizeof(*pfds));
	for (i = 0; i < run->count; i++) {
		ret = evs_reader_arm(run->sources[i].reader);
		if (ret == 1)
			return EXIT_OK;
		if (ret < 0)
			return source_error(c, &run->sources[i], ret);
		pfds[i + 1] = (struct pollfd){
			.fd = evs_reader_fd(run->sources[i].reader),
			.events = POLLIN,
		};
	}
	return sleep_on(pfds, run->count + 1);
}

static int consume_all(struct mapped *run)
{
	struct consumer *c = &run->c;
	bool more, open;
	int status;
	uint32_t i;
	int ret;

	while (c->left && !stopped) {
		more = false;
		open = false;
		for (i = 0; i < run->count && c->left; i++) {
			struct source *s = &run->sources[i];

			if (!s->reader)
				continue;
			ret = take_turn(run, s);
			if (ret < 0)
				return -ret;
			more |= ret;
			if (!ret && c->to_end) {
				evs_reader_close(s->reader);
				s->reader = NULL;
			} else {
				open = true;
			}
		}
		if (!open)
			break;
		if (more || c->to_end)
			continue;
		status = wait_for_more(run);
		if (status)
			return status;
	}
	return EXIT_OK;
}

static int seek(struct evs_reader *reader, const struct start *start)
{
	int64_t first, end;

	switch (start->where) {
	case START_BEGINNING:
		return evs_reader_seek(reader, EVSTREAM_SEEK_EARLIEST, 0);
	case START_END:
		return evs_reader_seek(reader, EVSTREAM_SEEK_LATEST, 0);
	case START_OFFSET:
		return evs_reader_seek(reader, EVSTREAM_SEEK_OFFSET, start->value);
	case START_TIME:
		return evs_reader_seek(reader, EVSTREAM_SEEK_TIMESTAMP, start->value);
	case START_BEFORE_END:
		first = evs_reader_start_offset(reader);
		end = evs_reader_end_offset(reader);
		if (end - first > start->value)
			first = end - start->value;
		return evs_reader_seek(reader, EVSTREAM_SEEK_OFFSET, first);
	}
	return -EINVAL;
}

static int open_sources(struct mapped *run, int partition, const struct start *start)
{
	struct consumer *c = &run->c;
	struct evstream_stat stat = {};
	uint32_t i;
	int fd, err;

	fd = device_open(c->topic, partition, O_RDONLY);
	if (fd < 0)
		return -fd;
	run->count = 1;
	if (partition < 0) {
		err = ioctl(fd, EVSTREAM_IOC_STAT, &stat) ? errno : 0;
		close(fd);
		if (err)
			return sys_error(err, "topic '%s'", c->topic);
		run->count = stat.partitions;
	}
	run->sources = xrealloc(NULL, run->count * sizeof(*run->sources));
	for (i = 0; i < run->count; i++) {
		struct source *s = &run->sources[i];

		s->partition = partition < 0 ? i : (uint32_t)partition;
		if (partition < 0) {
			fd = device_open(c->topic, (int)i, O_RDONLY);
			if (fd < 0)
				return -fd;
		}
		s->reader = evs_reader_open_fd(fd, 0);
		if (!s->reader)
			return sys_error(errno, "cannot map %s/%u", c->topic,
					 s->partition);
		err = seek(s->reader, start);
		if (err)
			return source_error(c, s, err);
	}
	return EXIT_OK;
}

static int consume_mapped(struct consumer *c, int partition, const struct start *start)
{
	struct mapped run = { .c = *c };
	int status;

	status = open_sources(&run, partition, start);
	if (status)
		return status;
	sigaction(SIGBUS, &(struct sigaction){ .sa_handler = bus_error }, NULL);
	status = consume_all(&run);
	*c = run.c;
	return status;
}

/* What long options of groups return: their place in member_options[] and this. */
#define MEMBER_OPTION	0x100

static int consume(int argc, char **argv)
{
	static const struct option own[] = {
		{ "partition", required_argument, NULL, 'p' },
		{ "offset", required_argument, NULL, 'o' },
		{ "count", required_argument, NULL, 'c' },
		{ "exit", no_argument, NULL, 'e' },
		{ "format", required_argument, NULL, 'f' },
		{ "group", required_argument, NULL, 'g' },
		OPTION_JSON, OPTION_HELP,
	};
	struct option options[ARRAY_SIZE(own) + MEMBER_OPTIONS + 1] = {};
	struct start start = { .where = START_BEGINNING };
	struct consumer c = { .left = UINT64_MAX };
	const char *format = "%s\\n", *fault;
	int partition = -1, opt, status, flushed;
	struct membership m = {};
	uint64_t v;
	size_t i;

	memcpy(options, own, sizeof(own));
	for (i = 0; i < MEMBER_OPTIONS; i++)
		options[ARRAY_SIZE(own) + i] = (struct option){
			member_options[i].name,
			member_options[i].value ? required_argument : no_argument,
			NULL, MEMBER_OPTION + (int)i
		};
	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS "p:o:c:ef:g:J", options,
				  NULL)) != -1) {
		switch (opt) {
		case 'p':
			if (!parse_number(optarg, EVSTREAM_PARTITIONS_MAX - 1, &v))
				return usage_error("'%s' is not a partition", optarg);
			partition = (int)v;
			break;
		case 'o':
			if (!parse_start(optarg, &start))
				return usage_error("'%s': that is no place to start",
						   optarg);
			break;
		case 'c':
			if (!parse_number(optarg, UINT64_MAX, &c.left))
				return usage_error("'%s' is not a count", optarg);
			break;
		case 'e':
			c.to_end = true;
			break;
		case 'f':
			format = optarg;
			break;
		case 'g':
			m.group = optarg;
			break;
		case 'J':
			json_output = true;
			break;
		default:
			if (opt >= MEMBER_OPTION)
				status = member_option(&m, (size_t)(opt - MEMBER_OPTION),
						       optarg);
			else
				status = common_option(opt, &consume_command, argv);
			if (status != OPTION_DONE)
				return status;
		}
	}
	if (argc - optind != 1)
		return usage_error("usage: streamctl %s", consume_command.usage);
	if (format_parse(&c.format, format, &fault))
		return usage_error("the format is not understood from here on: %s",
				   fault);
	if (partition >= 0 && m.group)
		return usage_error("a group's members have partitions given: not -p, but --static");
	status = member_check(&m, &start);
	if (status)
		return status;
	c.topic = argv[optind];

	stop_on(SIGINT);
	stop_on(SIGTERM);
	status = m.group ? consume_group(&c, &m, &start) : consume_mapped(&c, partition, &start);
	flushed = flush_output(&c.output);
	if (!status)
		status = flushed;
	return status ? status : c.incomplete ? EXIT_KERNEL : EXIT_OK;
}

const struct command consume_command = {
	"consume", consume,
	"consume TOPIC [-p PARTITION] [-o beginning|end|OFFSET|-RECORDS|@MILLIS]\n"
	"                    [-c COUNT] [-e] [-f FORMAT]\n"
	"                    [-g GROUP [--at-most-once | --commit RECORDS] [--rebalance TIME]\n"
	"                     [--max-poll TIME] [--static PARTITION,...] [--queue [--keyed]\n"
	"                     [--lock TIME] [--max-deliveries COUNT] [--dead-letter TOPIC]]]"
};
