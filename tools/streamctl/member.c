// SPDX-License-Identifier: GPL-2.0
/*
 * streamctl consume -g: a member of a consumer group.
 *
 * A record counts as done when it was written to standard output: only then is it
 * committed, or accepted.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "consume.h"
#include "member.h"
#include "parse.h"
#include "streamctl.h"

/* What a partition's turn brings; grows where a batch is larger. */
#define FETCH_BYTES	(256U << 10)
/* Records that are taken from a queue at once. */
#define ACQUIRE_RECORDS	64U
/* Records after which they are committed, by default. */
#define COMMIT_RECORDS	100U

enum {
	AT_MOST_ONCE, COMMIT, REBALANCE, MAX_POLL, STATIC, QUEUE, KEYED, LOCK,
	MAX_DELIVERIES, DEAD_LETTER,
};

const struct member_option member_options[MEMBER_OPTIONS] = {
	[AT_MOST_ONCE]		= { "at-most-once", false },
	[COMMIT]		= { "commit", true },
	[REBALANCE]		= { "rebalance", true },
	[MAX_POLL]		= { "max-poll", true },
	[STATIC]		= { "static", true },
	[QUEUE]			= { "queue", false },
	[KEYED]			= { "keyed", false },
	[LOCK]			= { "lock", true },
	[MAX_DELIVERIES]	= { "max-deliveries", true },
	[DEAD_LETTER]		= { "dead-letter", true },
};

/**
 * struct part - a partition, as this member has it
 * @generation: in which it was given to the member
 * @owned: it is the member's
 * @revoking: another member waits for it
 * @lost: what was read of it is not the member's any more: begin anew
 * @next: the record after the last one printed
 * @committed: the group's offset, as far as the member knows
 */
struct part {
	uint32_t generation;
	bool owned;
	bool revoking;
	bool lost;
	int64_t next;
	int64_t committed;
};

/**
 * struct member - a run of consume -g
 * @c: all that a run without a group has, too
 * @m: what was asked for
 * @fd: the member
 * @count: partitions
 * @part: each of them
 * @assigned: room for what ASSIGNMENT says
 * @entries: room for what COMMIT takes
 * @generation: of the last ASSIGNMENT
 * @refresh: the assignment may be another one by now
 * @printed: records since the last commit
 * @buf: of FETCH and ACQUIRE
 * @room: bytes at @buf
 */
struct member {
	struct consumer *c;
	const struct membership *m;
	int fd;
	uint32_t count;
	struct part *part;
	struct evstream_assigned *assigned;
	struct evstream_commit_entry *entries;
	uint32_t generation;
	bool refresh;
	uint32_t printed;
	char *buf;
	uint32_t room;
};

static int member_time(const char *arg, uint32_t *ms)
{
	uint64_t v;

	if (!parse_time(arg, &v) || !v || v > EVSTREAM_TIMEOUT_MAX)
		return usage_error("'%s' is not a time of up to a day, as in 30s", arg);
	*ms = (uint32_t)v;
	return OPTION_DONE;
}

static int member_count(const char *arg, uint32_t *count)
{
	uint64_t v;

	if (!parse_number(arg, UINT32_MAX, &v) || !v)
		return usage_error("'%s' is not a count", arg);
	*count = (uint32_t)v;
	return OPTION_DONE;
}

/**
 * member_option() - take one of consume's options for members
 * @m: out
 * @option: its place in member_options[]
 * @arg: its value
 *
 * Return: OPTION_DONE, or the exit code.
 */
int member_option(struct membership *m, size_t option, const char *arg)
{
	m->option = member_options[option].name;
	switch (option) {
	case AT_MOST_ONCE:
		m->flags |= EVSTREAM_JOIN_AUTO;
		break;
	case COMMIT:
		return member_count(arg, &m->commit);
	case REBALANCE:
		return member_time(arg, &m->rebalance_ms);
	case MAX_POLL:
		return member_time(arg, &m->max_poll_ms);
	case STATIC:
		if (!parse_partitions(arg, &m->partitions, &m->nr_partitions))
			return usage_error("'%s' is not a list of partitions, as in 0,2",
					   arg);
		m->flags |= EVSTREAM_JOIN_STATIC;
		break;
	case QUEUE:
		m->flags |= EVSTREAM_JOIN_QUEUE;
		break;
	case KEYED:
		m->queue_option = "keyed";
		m->flags |= EVSTREAM_JOIN_KEYED;
		break;
	case LOCK:
		m->queue_option = "lock";
		return member_time(arg, &m->lock_ms);
	case MAX_DELIVERIES:
		m->queue_option = "max-deliveries";
		return member_count(arg, &m->max_deliveries);
	case DEAD_LETTER:
		m->queue_option = "dead-letter";
		m->dead_letter = arg;
		break;
	}
	return OPTION_DONE;
}

static bool group_name_ok(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > EVSTREAM_GROUP_NAME_MAX || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f || *s == '/')
			return false;
	return true;
}

/**
 * member_check() - whether the options fit each other
 * @m: the options
 * @start: where to start
 *
 * Return: EXIT_OK, or EXIT_USAGE when it was said what is wrong.
 */
int member_check(const struct membership *m, const struct start *start)
{
	bool queue = m->flags & EVSTREAM_JOIN_QUEUE;

	if (!m->group)
		return m->option ? usage_error("--%s is a group's: add -g", m->option) : EXIT_OK;
	if (!group_name_ok(m->group))
		return usage_error("'%s' cannot be a group's name", m->group);
	if (start->where == START_OFFSET || start->where == START_BEFORE_END)
		return usage_error("a group begins at the beginning, the end or @MILLIS");
	if (!queue && m->queue_option)
		return usage_error("--%s is a queue's: add --queue", m->queue_option);
	if (queue && (m->flags & (EVSTREAM_JOIN_AUTO | EVSTREAM_JOIN_STATIC) || m->commit))
		return usage_error("a queue takes none of --at-most-once, --commit, --static");
	if (m->commit && m->flags & EVSTREAM_JOIN_AUTO)
		return usage_error("--at-most-once and --commit exclude each other");
	return EXIT_OK;
}

static int member_error(const struct member *run, int err)
{
	const char *reason = NULL;
	char what[600];

	if (err == ENODEV)
		reason = "the topic was deleted";
	else if (err == EOPNOTSUPP)
		reason = "compressed records are no queue's: go behind them with 'group seek'";
	snprintf(what, sizeof(what), "group '%s' of '%s'", run->m->group, run->c->topic);
	return print_error(err, reason, NULL, what);
}

static int join_error(const struct member *run, int err)
{
	bool queue = run->m->flags & EVSTREAM_JOIN_QUEUE;
	const char *reason = NULL;
	char what[600];

	switch (err) {
	case EPROTOTYPE:
		reason = queue ? "the group is no queue" : "the group is a queue: add --queue";
		break;
	case EBUSY:
		reason = "another member has one of the partitions";
		break;
	case ENXIO:
		reason = "no such partition";
		break;
	case ENOSPC:
		reason = "as many groups or members as the module allows";
		break;
	case EDQUOT:
		reason = "as many groups, members or memory as the module allows one user";
		break;
	}
	snprintf(what, sizeof(what), "cannot join group '%s' of '%s'", run->m->group,
		 run->c->topic);
	return print_error(err, reason, NULL, what);
}

/* Returns an exit code. */
static int join(struct member *run, const struct start *start)
{
	const struct membership *m = run->m;
	struct evstream_join req = {
		.name = (uintptr_t)m->group,
		.name_len = (uint32_t)strlen(m->group),
		.partitions = (uintptr_t)m->partitions,
		.nr_partitions = m->nr_partitions,
		.flags = m->flags,
		.start = EVSTREAM_SEEK_EARLIEST,
		.rebalance_ms = m->rebalance_ms,
		.max_poll_ms = m->max_poll_ms,
		.lock_ms = m->lock_ms,
		.max_deliveries = m->max_deliveries,
		.dead_letter = -1,
	};
	struct evstream_stat stat = {};
	int status = EXIT_OK;

	if (start->where == START_END)
		req.start = EVSTREAM_SEEK_LATEST;
	if (start->where == START_TIME) {
		req.start = EVSTREAM_SEEK_TIMESTAMP;
		req.value = start->value;
	}
	run->fd = device_open(run->c->topic, -1, O_RDONLY);
	if (run->fd < 0)
		return -run->fd;
	if (m->dead_letter) {
		req.dead_letter = device_open(m->dead_letter, -1, O_WRONLY);
		if (req.dead_letter < 0)
			return -req.dead_letter;
	}
	if (ioctl(run->fd, EVSTREAM_IOC_STAT, &stat))
		status = member_error(run, errno);
	else if (ioctl(run->fd, EVSTREAM_IOC_JOIN, &req))
		status = join_error(run, errno);
	/* The group has it. */
	if (m->dead_letter)
		close(req.dead_letter);
	run->count = stat.partitions;
	return status;
}

/* Sleeps until there is something, or the assignment has changed, or a signal comes. */
static int wait_for_turn(struct member *run)
{
	struct pollfd pfds[2];
	int status;

	status = flush_output(&run->c->output);
	if (status)
		return status;
	pfds[1] = (struct pollfd){ .fd = run->fd, .events = POLLIN | POLLPRI };
	status = sleep_on(pfds, ARRAY_SIZE(pfds));
	if (status)
		return status;
	return pfds[1].revents & (POLLHUP | POLLERR) ? member_error(run, ENODEV) : EXIT_OK;
}

/* Partitions */

/* What was printed is written and committed; what is not ours any more is marked. */
static int commit(struct member *run)
{
	struct evstream_commit req = {
		.entries = (uintptr_t)run->entries,
		.entry_size = sizeof(*run->entries),
	};
	uint32_t i, p;
	int status;

	status = flush_output(&run->c->output);
	if (status)
		return status;
	run->printed = 0;
	for (p = 0; p < run->count; p++) {
		const struct part *part = &run->part[p];

		if (!part->owned || part->lost || part->next == part->committed)
			continue;
		run->entries[req.nr_entries++] = (struct evstream_commit_entry){
			.partition = p,
			.generation = part->generation,
			.offset = part->next,
			.error = -ESTALE,
		};
	}
	if (!req.nr_entries)
		return EXIT_OK;
	if (ioctl(run->fd, EVSTREAM_IOC_COMMIT, &req) && errno != ESTALE)
		return member_error(run, errno);
	for (i = 0; i < req.nr_entries; i++) {
		struct part *part = &run->part[run->entries[i].partition];

		if (!run->entries[i].error) {
			part->committed = part->next;
			continue;
		}
		if (run->entries[i].error != -ESTALE)
			return member_error(run, -run->entries[i].error);
		part->lost = true;
		run->refresh = true;
	}
	return EXIT_OK;
}

/* Begin a partition at the committed offset, wherever its position has got to. */
static int adopt(struct member *run, uint32_t partition)
{
	struct evstream_seek seek = { .whence = EVSTREAM_SEEK_OFFSET, .partition = partition };
	struct evstream_position pos = { .partition = partition };
	struct part *part = &run->part[partition];

	if (ioctl(run->fd, EVSTREAM_IOC_POSITION, &pos))
		return member_error(run, errno);
	seek.value = pos.committed;
	if (ioctl(run->fd, EVSTREAM_IOC_SEEK, &seek)) {
		if (errno != ESTALE)
			return member_error(run, errno);
		part->lost = true;
		run->refresh = true;
		return EXIT_OK;
	}
	part->lost = false;
	part->next = pos.committed;
	part->committed = pos.committed;
	return EXIT_OK;
}

/* Takes what ASSIGNMENT says of a partition. */
static int take_over(struct member *run, const struct evstream_assigned *a)
{
	struct part *part = &run->part[a->partition];

	if (a->generation != part->generation)
		part->lost = true;
	part->owned = true;
	part->generation = a->generation;
	part->revoking = a->flags & EVSTREAM_ASSIGNED_REVOKING;
	return part->lost && !part->revoking ? adopt(run, a->partition) : EXIT_OK;
}

/* See what is ours, and let go of what is asked for: all that was read is committed. */
static int update_assignment(struct member *run)
{
	struct evstream_assignment req;
	bool revoking;
	uint32_t i;
	int status;

	status = commit(run);
	if (status)
		return status;
	run->refresh = false;
	do {
		req = (struct evstream_assignment){
			.assigned = (uintptr_t)run->assigned,
			.room = run->count,
			.entry_size = sizeof(*run->assigned),
			.ack = run->generation,
		};
		if (ioctl(run->fd, EVSTREAM_IOC_ASSIGNMENT, &req))
			return member_error(run, errno);
		for (i = 0; i < run->count; i++)
			run->part[i].owned = false;
		revoking = false;
		for (i = 0; i < req.nr; i++) {
			status = take_over(run, &run->assigned[i]);
			if (status)
				return status;
			if (run->assigned[i].flags & EVSTREAM_ASSIGNED_REVOKING)
				revoking = true;
		}
		/* What is not ours begins anew when it comes back. */
		for (i = 0; i < run->count; i++)
			if (!run->part[i].owned)
				run->part[i].lost = true;
		revoking &= run->generation != req.generation;
		run->generation = req.generation;
	} while (revoking);
	return EXIT_OK;
}

/*
 * Print what FETCH brought. A fetch begins with the batch that holds the position,
 * so its first records can be older ones.
 */
static int print_batches(struct member *run, uint32_t partition, uint32_t bytes)
{
	uint32_t every = run->m->commit ? run->m->commit : COMMIT_RECORDS;
	bool at_once = run->m->flags & EVSTREAM_JOIN_AUTO;
	struct part *part = &run->part[partition];
	const struct evs_batch *batch;
	struct consumer *c = run->c;
	struct evs_batch_iter it;
	struct evs_record rec;
	int status, ret;
	int64_t last;

	evs_batch_iter_init(&it, run->buf, bytes, 0);
	while (c->left && !stopped && !part->lost) {
		ret = evs_batch_iter_next(&it, &rec);
		if (!ret)
			return EXIT_OK;
		if (ret == -EBADMSG) {
			report_damaged(c, partition, part->next);
			continue;
		}
		batch = evs_batch_iter_batch(&it);
		last = batch->base_offset + batch->last_delta;
		if (ret == -EOPNOTSUPP) {
			report_compressed(c, partition, batch);
			part->next = last + 1;
			continue;
		}
		if (rec.offset < part->next && last >= part->next)
			continue;
		print_record(c, partition, &rec, 0);
		c->left--;
		part->next = rec.offset + 1;
		if (!at_once && ++run->printed >= every)
			status = commit(run);
		else
			status = c->output.len < OUTPUT_BYTES ? EXIT_OK :
								flush_output(&c->output);
		if (status)
			return status;
	}
	return EXIT_OK;
}

static int report_gap(struct member *run, uint32_t partition)
{
	struct evstream_gap gap = { .partition = partition };

	if (ioctl(run->fd, EVSTREAM_IOC_GAP, &gap))
		return member_error(run, errno);
	report_lost(run->c, partition, gap.from, gap.to);
	run->part[partition].next = gap.to;
	return EXIT_OK;
}

static void make_room(struct member *run, uint32_t bytes)
{
	run->room = bytes;
	run->buf = xrealloc(run->buf, bytes);
}

/* A partition's turn; @more: there was something. */
static int take_turn(struct member *run, uint32_t partition, bool *more)
{
	struct evstream_fetch req = {
		.buf = (uintptr_t)run->buf,
		.len = run->room,
		.partition = partition,
		.offset = -1,
	};
	struct part *part = &run->part[partition];
	int status;

	if (ioctl(run->fd, EVSTREAM_IOC_FETCH, &req)) {
		*more = true;
		switch (errno) {
		case EMSGSIZE:
			make_room(run, req.bytes);
			return EXIT_OK;
		case ESTALE:
			run->refresh = true;
			return EXIT_OK;
		case EINTR:
			return EXIT_OK;
		case EPIPE:
			return report_gap(run, partition);
		default:
			return member_error(run, errno);
		}
	}
	if (!req.bytes)
		return EXIT_OK;
	*more = true;
	if (run->m->flags & EVSTREAM_JOIN_AUTO)
		part->committed = req.next_offset;
	status = print_batches(run, partition, req.bytes);
	/* All of it was printed, and what is behind the last record is none. */
	if (!status && run->c->left && !stopped && !part->lost)
		part->next = req.next_offset;
	return status;
}

static int consume_partitions(struct member *run)
{
	struct pollfd pfd = { .fd = run->fd, .events = POLLPRI };
	struct consumer *c = run->c;
	int status = EXIT_OK;
	bool more;
	uint32_t p;

	run->part = calloc(run->count, sizeof(*run->part));
	run->assigned = calloc(run->count, sizeof(*run->assigned));
	run->entries = calloc(run->count, sizeof(*run->entries));
	if (!run->part || !run->assigned || !run->entries)
		return sys_error(ENOMEM, "group '%s'", run->m->group);
	run->refresh = true;
	while (c->left && !stopped) {
		if (run->refresh || (poll(&pfd, 1, 0) > 0 && pfd.revents & POLLPRI))
			status = update_assignment(run);
		more = false;
		for (p = 0; p < run->count && c->left && !stopped && !status; p++)
			if (run->part[p].owned && !run->part[p].revoking && !run->part[p].lost)
				status = take_turn(run, p, &more);
		if (!status)
			status = commit(run);
		if (status)
			return status;
		if (more || run->refresh)
			continue;
		if (c->to_end)
			break;
		status = wait_for_turn(run);
		if (status)
			return status;
	}
	return commit(run);
}

/* Records of a queue */

static void print_acquired(struct member *run, const struct evstream_acquired *a)
{
	struct evs_record rec = {
		.offset = a->offset,
		.timestamp = a->timestamp,
		.key = a->key_len < 0 ? NULL : run->buf + a->key,
		.value = a->value_len < 0 ? NULL : run->buf + a->value,
		.key_len = a->key_len,
		.value_len = a->value_len,
		.headers_count = a->headers_count,
		.headers_len = a->headers_len,
		.headers = run->buf + a->headers,
	};

	print_record(run->c, a->partition, &rec, a->deliveries);
	run->c->left--;
}

/* Accept what was written; those that were too late are told. */
static int accept_all(struct member *run, const struct evstream_acquired *acquired, uint32_t n)
{
	struct evstream_ack_entry entries[ACQUIRE_RECORDS];
	struct evstream_ack req = {
		.entries = (uintptr_t)entries,
		.nr_entries = n,
		.entry_size = sizeof(entries[0]),
	};
	uint32_t i;
	int status;

	status = flush_output(&run->c->output);
	if (status)
		return status;
	for (i = 0; i < n; i++)
		entries[i] = (struct evstream_ack_entry){
			.partition = acquired[i].partition,
			.settle = EVSTREAM_SETTLE_ACCEPT,
			.first = acquired[i].offset,
			.last = acquired[i].offset,
			.error = -ESTALE,
		};
	if (!ioctl(run->fd, EVSTREAM_IOC_ACK, &req))
		return EXIT_OK;
	if (errno != ESTALE)
		return member_error(run, errno);
	for (i = 0; i < n; i++) {
		if (entries[i].error == -ESTALE)
			report(run->c, entries[i].partition, "late",
			       "handed out again, as this took too long", entries[i].first,
			       entries[i].last + 1);
		else if (entries[i].error)
			return member_error(run, -entries[i].error);
	}
	return EXIT_OK;
}

static int consume_queue(struct member *run)
{
	struct evstream_acquired acquired[ACQUIRE_RECORDS];
	struct consumer *c = run->c;
	struct evstream_acquire req;
	int status;
	uint32_t i;

	while (c->left && !stopped) {
		req = (struct evstream_acquire){
			.records = (uintptr_t)acquired,
			.buf = (uintptr_t)run->buf,
			.nr_records = c->left < ACQUIRE_RECORDS ? (uint32_t)c->left :
								  ACQUIRE_RECORDS,
			.record_size = sizeof(acquired[0]),
			.len = run->room,
		};
		if (ioctl(run->fd, EVSTREAM_IOC_ACQUIRE, &req)) {
			if (errno == EMSGSIZE)
				make_room(run, req.need);
			else if (errno != EINTR)
				return member_error(run, errno);
			continue;
		}
		for (i = 0; i < req.nr; i++)
			print_acquired(run, &acquired[i]);
		if (!req.nr && c->to_end)
			break;
		status = req.nr ? accept_all(run, acquired, req.nr) : wait_for_turn(run);
		if (status)
			return status;
	}
	return EXIT_OK;
}

/**
 * consume_group() - consume as a member of a group
 * @c: the run
 * @m: the group, and how to be its member
 * @start: where a new group begins
 *
 * Return: an exit code. The group is left at the end, and by whatever else ends the
 * process.
 */
int consume_group(struct consumer *c, const struct membership *m, const struct start *start)
{
	struct member run = { .c = c, .m = m };
	int status;

	make_room(&run, FETCH_BYTES);
	status = join(&run, start);
	if (!status)
		status = m->flags & EVSTREAM_JOIN_QUEUE ? consume_queue(&run) :
							  consume_partitions(&run);
	if (run.fd >= 0)
		close(run.fd);
	free(run.part);
	free(run.assigned);
	free(run.entries);
	free(run.buf);
	return status;
}
