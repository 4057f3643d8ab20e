// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A member of a consumer group that reads the partitions it owns through their
 * mappings.
 *
 * The kernel does not see what is read from a mapping, so it is told: the position
 * before poll(2), the committed offset, and, as the member has joined with
 * EVSTREAM_JOIN_ACK, when a partition may go to another one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/compiler.h>
#include <linux/types.h>

#include "reader.h"

/* Look at the assignment, and turn to the next partition, after so much. */
#define TURN_BYTES	(64U << 10)
#define TURN_NS		(50 * NS_PER_MS)

#define NS_PER_MS	1000000ULL
#define NS_PER_SEC	1000000000ULL

/**
 * struct part - a partition that is owned
 * @reader: NULL: to be opened
 * @number: which one
 * @generation: in which it was assigned
 * @revoking: another member waits for it
 * @committed: the offset that was committed last
 * @told: what the kernel takes for the member's position
 */
struct part {
	struct evs_reader *reader;
	u32 number;
	u32 generation;
	bool revoking;
	s64 committed;
	s64 told;
};

/**
 * struct evs_consumer - a member
 * @fd: the topic's ``any``
 * @ops: the system calls
 * @flags: EVS_CONSUMER_*
 * @max_poll_ms: as in the options
 * @on_event: likewise
 * @data: likewise
 * @part: what it owns, by number
 * @nr: how many
 * @room: entries that @list and @entry have room for
 * @list: what ASSIGNMENT returned
 * @entry: for COMMIT
 * @generation: of the assignment that @part is
 * @acked: the generation last acknowledged
 * @check: the assignment has to be looked at
 * @looked: when it was, ns
 * @current: whose turn it is
 * @mark: log position at which the turn began
 * @last: where the last record came from
 * @lost: offsets lost
 * @lost_from: first offset of the last gap
 * @lost_to: one after its last offset
 * @path: of @fd; ends in "any", or the partition's number
 * @path_len: bytes in front of that
 */
struct evs_consumer {
	int fd;
	const struct evs_consumer_ops *ops;
	u32 flags;
	u32 max_poll_ms;
	evs_consumer_fn on_event;
	void *data;
	struct part *part;
	u32 nr;
	u32 room;
	struct evstream_assigned *list;
	struct evstream_commit_entry *entry;
	u32 generation;
	u32 acked;
	bool check;
	u64 looked;
	u32 current;
	u64 mark;
	struct evs_reader *last;
	u64 lost;
	int64_t lost_from;
	int64_t lost_to;
	size_t path_len;
	char path[sizeof("/dev/stream//4294967295") + EVSTREAM_NAME_MAX];
};

static u64 now_ns(void)
{
	struct timespec now;

	/* The coarse clock is read without a system call, and without the counter. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (u64)now.tv_sec * NS_PER_SEC + (u64)now.tv_nsec;
}

static u64 position(const struct part *p)
{
	return p->reader->next + p->reader->delta;
}

static void tell(struct evs_consumer *c, enum evs_consumer_event event, const struct part *p)
{
	if (c->on_event)
		c->on_event(c, event, p->number, evs_reader_offset(p->reader), c->data);
}

static void close_reader(struct evs_consumer *c, struct part *p)
{
	if (c->last == p->reader)
		c->last = NULL;
	evs_reader_close(p->reader);
	p->reader = NULL;
}

/* ------------------------------------------------------------- assignment */

static int by_number(const void *a, const void *b)
{
	u32 x = ((const struct evstream_assigned *)a)->partition;
	u32 y = ((const struct evstream_assigned *)b)->partition;

	return x < y ? -1 : x > y;
}

static int make_room(struct evs_consumer *c, u32 room)
{
	struct evstream_commit_entry *entry;
	struct evstream_assigned *list;

	list = realloc(c->list, room * sizeof(*list));
	if (!list)
		return -ENOMEM;
	c->list = list;
	entry = realloc(c->entry, room * sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	c->entry = entry;
	c->room = room;
	return 0;
}

/* Makes @c->part what the first @nr of @c->list say. */
static int take_list(struct evs_consumer *c, u32 nr)
{
	u32 turn = c->current < c->nr ? c->part[c->current].number : 0;
	struct part *old = c->part, *new, *gone;
	u32 i, o = 0, old_nr = c->nr, nr_gone = 0;

	new = calloc(nr + old_nr + 1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	/* Behind the new ones, so that no more memory is needed. */
	gone = new + nr;
	qsort(c->list, nr, sizeof(*c->list), by_number);
	for (i = 0; i < nr; i++) {
		const struct evstream_assigned *a = &c->list[i];

		while (o < old_nr && old[o].number < a->partition)
			gone[nr_gone++] = old[o++];
		if (o < old_nr && old[o].number == a->partition &&
		    old[o].generation == a->generation) {
			new[i] = old[o++];
		} else {
			/* The same one in another generation was another's meanwhile. */
			if (o < old_nr && old[o].number == a->partition)
				gone[nr_gone++] = old[o++];
			new[i].number = a->partition;
			new[i].generation = a->generation;
			new[i].committed = a->offset;
			new[i].told = a->offset;
		}
	}
	while (o < old_nr)
		gone[nr_gone++] = old[o++];
	free(old);
	c->part = new;
	c->nr = nr;
	c->current = 0;
	for (i = 0; i < nr; i++)
		if (new[i].number <= turn)
			c->current = i;
	c->mark = nr && new[c->current].reader ? position(&new[c->current]) : 0;

	for (i = 0; i < nr_gone; i++) {
		if (!gone[i].reader)
			continue;
		/* One that was given up has been told of. */
		if (!gone[i].revoking)
			tell(c, EVS_CONSUMER_LOST, &gone[i]);
		close_reader(c, &gone[i]);
	}
	return 0;
}

/* Return: whether there are any that have to be given up. */
static bool tell_revoked(struct evs_consumer *c)
{
	bool any = false;
	u32 i;

	for (i = 0; i < c->nr; i++) {
		struct part *p = &c->part[i];

		if (!(c->list[i].flags & EVSTREAM_ASSIGNED_REVOKING)) {
			/* Nobody waits for it any more. */
			if (p->revoking && p->reader)
				tell(c, EVS_CONSUMER_ASSIGNED, p);
			p->revoking = false;
			continue;
		}
		any = true;
		if (!p->revoking && p->reader)
			tell(c, EVS_CONSUMER_REVOKED, p);
		p->revoking = true;
	}
	return any;
}

static int open_part(struct evs_consumer *c, struct part *p)
{
	struct evs_reader *r;
	int fd, ret;

	snprintf(c->path + c->path_len, sizeof(c->path) - c->path_len, "%u", p->number);
	fd = c->ops->open(c->path);
	if (fd < 0)
		return fd;
	r = c->ops->reader(fd);
	if (!r) {
		ret = -errno;
		close(fd);
		return ret;
	}
	ret = evs_reader_seek(r, EVSTREAM_SEEK_OFFSET, p->committed);
	if (ret) {
		evs_reader_close(r);
		return ret;
	}
	p->reader = r;
	tell(c, EVS_CONSUMER_ASSIGNED, p);
	return 0;
}

static int open_parts(struct evs_consumer *c)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < c->nr && !ret; i++)
		if (!c->part[i].reader && !c->part[i].revoking)
			ret = open_part(c, &c->part[i]);
	return ret;
}

/*
 * Brings @c->part up to date. Ends with a call that told of nothing new, so that
 * no partition is opened that is not of the topic joined, but of one that has
 * its name by now.
 */
static noinline int look(struct evs_consumer *c)
{
	bool settled = !c->check;
	u32 ack = 0;
	int ret;

	c->check = true;
	if (c->flags & EVS_CONSUMER_AUTO_COMMIT) {
		ret = evs_consumer_commit(c, 0);
		if (ret && ret != -ESTALE)
			return ret;
	}
	for (;;) {
		struct evstream_assignment a = {
			.assigned = (uintptr_t)c->list,
			.room = settled ? 0 : c->room,
			.entry_size = sizeof(*c->list),
			.ack = ack,
		};

		ret = c->ops->ioctl(c->fd, EVSTREAM_IOC_ASSIGNMENT, &a);
		if (ret)
			return ret;
		if (settled && a.generation == c->generation)
			break;
		settled = false;
		if (a.nr > a.room) {
			if (a.nr > c->room)
				ret = make_room(c, a.nr);
			if (ret)
				return ret;
			continue;
		}
		ack = 0;
		ret = take_list(c, a.nr);
		if (ret)
			return ret;
		c->generation = a.generation;
		if (tell_revoked(c) && c->acked != a.generation) {
			ack = a.generation;
			c->acked = ack;
			continue;
		}
		ret = open_parts(c);
		if (ret)
			return ret;
		settled = true;
	}
	c->check = false;
	c->looked = now_ns();
	return 0;
}

/* ---------------------------------------------------------------- records */

static void turn(struct evs_consumer *c)
{
	if (++c->current >= c->nr)
		c->current = 0;
	if (c->nr && c->part[c->current].reader)
		c->mark = position(&c->part[c->current]);
}

static bool due(const struct evs_consumer *c)
{
	if (c->check)
		return true;
	if (c->nr && c->part[c->current].reader &&
	    position(&c->part[c->current]) - c->mark >= TURN_BYTES)
		return true;
	return now_ns() - c->looked >= TURN_NS;
}

int evs_consumer_next(struct evs_consumer *c, struct evs_record *rec, uint32_t *partition)
{
	int ret;
	u32 i;

	if (unlikely(due(c))) {
		ret = look(c);
		if (ret)
			return ret;
		turn(c);
	}
	for (i = 0; i < c->nr; i++) {
		struct part *p = &c->part[c->current];

		ret = p->reader && !p->revoking ? evs_reader_next(p->reader, rec) : 0;
		if (likely(ret)) {
			c->last = p->reader;
			if (partition)
				*partition = p->number;
			if (unlikely(ret == -EPIPE)) {
				evs_reader_lost(p->reader, &c->lost_from, &c->lost_to);
				c->lost += (u64)(c->lost_to - c->lost_from);
			}
			return ret;
		}
		turn(c);
	}
	return 0;
}

int evs_consumer_valid(const struct evs_consumer *c)
{
	return c->last && evs_reader_valid(c->last);
}

uint64_t evs_consumer_lost(const struct evs_consumer *c, int64_t *from, int64_t *to)
{
	if (from)
		*from = c->lost_from;
	if (to)
		*to = c->lost_to;
	return c->lost;
}

int evs_consumer_commit(struct evs_consumer *c, unsigned int flags)
{
	struct evstream_commit commit = {
		.entries = (uintptr_t)c->entry,
		.entry_size = sizeof(*c->entry),
		.flags = flags,
	};
	int ret;
	u32 i, n = 0;

	for (i = 0; i < c->nr; i++) {
		const struct part *p = &c->part[i];

		if (!p->reader || evs_reader_offset(p->reader) == p->committed)
			continue;
		c->entry[n++] = (struct evstream_commit_entry){
			.partition = p->number,
			.generation = p->generation,
			.offset = evs_reader_offset(p->reader),
			/* Stays where the call fails as a whole. */
			.error = 1,
		};
	}
	if (!n)
		return 0;
	commit.nr_entries = n;
	ret = c->ops->ioctl(c->fd, EVSTREAM_IOC_COMMIT, &commit);
	for (i = 0, n = 0; i < c->nr && n < commit.nr_entries; i++) {
		const struct evstream_commit_entry *e = &c->entry[n];

		if (c->part[i].number != e->partition)
			continue;
		n++;
		if (!e->error)
			c->part[i].committed = e->offset;
		else if (e->error == -ESTALE)
			c->check = true;
	}
	return ret;
}

/* ---------------------------------------------------------------- sleeping */

int evs_consumer_arm(struct evs_consumer *c)
{
	int ret;
	u32 i;

	ret = look(c);
	if (ret)
		return ret;
	for (i = 0; i < c->nr; i++) {
		ret = c->part[i].reader ? evs_reader_pending(c->part[i].reader) : 0;
		if (ret)
			return ret;
	}
	for (i = 0; i < c->nr; i++) {
		struct part *p = &c->part[i];
		struct evstream_seek seek = {
			.whence = EVSTREAM_SEEK_OFFSET,
			.partition = p->number,
		};

		if (!p->reader || evs_reader_offset(p->reader) == p->told)
			continue;
		seek.value = evs_reader_offset(p->reader);
		ret = c->ops->ioctl(c->fd, EVSTREAM_IOC_SEEK, &seek);
		if (ret == -ESTALE) {
			c->check = true;
			return 1;
		}
		if (ret)
			return ret;
		p->told = seek.value;
	}
	return 0;
}

int evs_consumer_wait(struct evs_consumer *c, int timeout_ms)
{
	u64 begun = now_ns();

	for (;;) {
		int left = timeout_ms, ret;

		ret = evs_consumer_arm(c);
		if (ret)
			return ret;
		if (timeout_ms > 0) {
			u64 gone = (now_ns() - begun) / NS_PER_MS;

			left = gone < (u64)timeout_ms ? timeout_ms - (int)gone : 0;
		}
		/* A call now and then shows that the member lives. */
		if (c->max_poll_ms && (left < 0 || (u32)left > c->max_poll_ms / 2))
			left = (int)(c->max_poll_ms / 2 ? c->max_poll_ms / 2 : 1);
		ret = c->ops->poll(c->fd, left);
		if (ret < 0)
			return ret;
		if (ret) {
			c->check |= ret != POLLIN;
			return 1;
		}
		if (timeout_ms >= 0 && now_ns() - begun >= (u64)timeout_ms * NS_PER_MS)
			return 0;
	}
}

int evs_consumer_fd(const struct evs_consumer *c)
{
	return c->fd;
}

/* ------------------------------------------------------------ open, close */

static int join(struct evs_consumer *c, const char *group,
		const struct evs_consumer_options *o)
{
	struct evstream_join join = {
		.name = (uintptr_t)group,
		.name_len = (u32)strnlen(group, EVSTREAM_GROUP_NAME_MAX + 1),
		.flags = EVSTREAM_JOIN_ACK,
		.start = o->start ? o->start : EVSTREAM_SEEK_EARLIEST,
		.value = o->value,
		.rebalance_ms = o->rebalance_ms,
		.max_poll_ms = o->max_poll_ms,
		.dead_letter = -1,
	};

	if (o->flags & EVS_CONSUMER_STATIC) {
		join.flags |= EVSTREAM_JOIN_STATIC;
		join.partitions = (uintptr_t)o->partitions;
		join.nr_partitions = o->nr_partitions;
	}
	if (o->flags & EVS_CONSUMER_EXISTING)
		join.flags |= EVSTREAM_JOIN_EXISTING;
	return c->ops->ioctl(c->fd, EVSTREAM_IOC_JOIN, &join);
}

struct evs_consumer *evs_consumer_attach(const char *topic, const char *group,
					 const struct evs_consumer_options *options,
					 const struct evs_consumer_ops *ops)
{
	const u32 known = EVS_CONSUMER_AUTO_COMMIT | EVS_CONSUMER_STATIC | EVS_CONSUMER_EXISTING;
	struct evs_consumer_options o = { 0 };
	size_t len = strnlen(topic, EVSTREAM_NAME_MAX + 1);
	struct evs_consumer *c;
	int ret;

	if (options && options->size != sizeof(o))
		goto err_invalid;
	if (options)
		o = *options;
	if (o.flags & ~known || !len || len > EVSTREAM_NAME_MAX || memchr(topic, '/', len))
		goto err_invalid;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->ops = ops;
	c->flags = o.flags;
	c->max_poll_ms = o.max_poll_ms;
	c->on_event = o.on_event;
	c->data = o.data;
	c->check = true;
	c->path_len = (size_t)snprintf(c->path, sizeof(c->path), "/dev/stream/%s/", topic);
	ret = make_room(c, 64);
	if (ret)
		goto err_free;
	memcpy(c->path + c->path_len, "any", sizeof("any"));
	ret = ops->open(c->path);
	if (ret < 0)
		goto err_free;
	c->fd = ret;
	ret = join(c, group, &o);
	if (ret)
		goto err_close;
	return c;

err_close:
	close(c->fd);
err_free:
	free(c->entry);
	free(c->list);
	free(c);
	errno = -ret;
	return NULL;
err_invalid:
	errno = EINVAL;
	return NULL;
}

void evs_consumer_close(struct evs_consumer *c)
{
	u32 i;

	if (!c)
		return;
	if (c->flags & EVS_CONSUMER_AUTO_COMMIT)
		evs_consumer_commit(c, 0);
	/* A child may have inherited the file, and would be the member. */
	c->ops->ioctl(c->fd, EVSTREAM_IOC_LEAVE, NULL);
	for (i = 0; i < c->nr; i++)
		evs_reader_close(c->part[i].reader);
	close(c->fd);
	free(c->part);
	free(c->entry);
	free(c->list);
	free(c);
}

/* ------------------------------------------------------------ system calls */

static int device_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int device_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? -errno : 0;
}

static int device_poll(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLPRI };

	if (poll(&pfd, 1, timeout_ms) < 0)
		return -errno;
	return pfd.revents;
}

static struct evs_reader *device_reader(int fd)
{
	return evs_reader_open_fd(fd, 0);
}

static const struct evs_consumer_ops device_ops = {
	.open = device_open,
	.ioctl = device_ioctl,
	.poll = device_poll,
	.reader = device_reader,
};

struct evs_consumer *evs_consumer_open(const char *topic, const char *group,
				       const struct evs_consumer_options *options)
{
	return evs_consumer_attach(topic, group, options, &device_ops);
}
