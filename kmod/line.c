// SPDX-License-Identifier: GPL-2.0
/*
 * Line framing: newlines delimit the records of a write.
 */
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "chardev.h"

/*
 * What one write() may bring in one batch. More is appended in several, which
 * is a short write where one of them fails.
 */
#define EVS_LINE_CHUNK	SZ_1M
/* A buffer up to this size is kept from one write to the next. */
#define EVS_LINE_KEEP	SZ_64K

static int evs_line_room(struct evs_file *f, u32 room)
{
	u8 *line;
	int ret;

	if (room <= f->line_room)
		return 0;
	/* A long line can come byte by byte. */
	room = max(room, f->line_room + f->line_room / 2);
	ret = evs_user_charge(f->user, EVS_CHARGE_MEMORY, room - f->line_room);
	if (ret)
		return ret;
	line = kvmalloc(room, GFP_KERNEL_ACCOUNT);
	if (!line) {
		evs_user_uncharge(f->user, EVS_CHARGE_MEMORY, room - f->line_room);
		return -ENOMEM;
	}
	memcpy(line, f->line, f->line_len);
	kvfree(f->line);
	f->line = line;
	f->line_room = room;
	return 0;
}

static void evs_line_free(struct evs_file *f)
{
	evs_user_uncharge(f->user, EVS_CHARGE_MEMORY, f->line_room);
	kvfree(f->line);
	f->line = NULL;
	f->line_room = 0;
}

static void evs_line_shrink(struct evs_file *f)
{
	if (!f->line_len && f->line_room > EVS_LINE_KEEP)
		evs_line_free(f);
}

/*
 * Bytes of the whole lines in @len bytes, of which the first @had have no
 * newline; -EMSGSIZE where a line, or what is left behind the last one, is
 * longer than @max.
 */
static int evs_lines_whole(const u8 *p, u32 had, u32 len, u32 max)
{
	const u8 *line = p, *at = p + had, *end = p + len, *nl;

	while ((nl = memchr(at, '\n', end - at))) {
		if (nl - line > max)
			return -EMSGSIZE;
		line = nl + 1;
		at = line;
	}
	return end - line > max ? -EMSGSIZE : line - p;
}

/* One piece of a write: bytes taken, or -errno and the file as it was. */
static ssize_t evs_write_chunk(struct evs_file *f, struct iov_iter *from, u32 n,
			       unsigned int flags)
{
	u32 had = f->line_len, total = had + n, done = 0;
	int ret, whole;

	ret = evs_line_room(f, total);
	if (ret)
		return ret;
	if (!copy_from_iter_full(f->line + had, n, from))
		return -EFAULT;
	whole = evs_lines_whole(f->line, had, total, READ_ONCE(f->topic->config.max_record));
	if (whole < 0)
		return whole;
	while (done < whole) {
		u32 taken;

		ret = evs_append_lines(f->to, f->line + done, whole - done, flags, &taken);
		if (ret)
			break;
		done += taken;
	}
	if (ret && !done)
		return ret;
	/* Where a later batch failed, what it held is the caller's again. */
	f->line_len = ret ? 0 : total - done;
	memmove(f->line, f->line + done, f->line_len);
	return ret ? done - had : n;
}

/**
 * evs_write_lines() - append the lines of a write
 * @f: the file; a partial last line stays with it
 * @from: the bytes
 * @flags: EVS_NONBLOCK, EVS_NOWAIT
 *
 * Return: bytes taken; -EMSGSIZE: a line is over the limit, and nothing of the
 * piece it is in was taken; -EFAULT; -ENOMEM; -EDQUOT; what the append returns.
 */
ssize_t evs_write_lines(struct evs_file *f, struct iov_iter *from, unsigned int flags)
{
	ssize_t done = 0, ret = 0;

	if (flags & EVS_NOWAIT) {
		if (!mutex_trylock(&f->line_lock))
			return -EAGAIN;
	} else if (mutex_lock_interruptible(&f->line_lock)) {
		return -ERESTARTSYS;
	}
	if (READ_ONCE(f->topic->dead))
		ret = -ENODEV;
	while (!ret && iov_iter_count(from)) {
		u32 n = min_t(size_t, iov_iter_count(from), EVS_LINE_CHUNK);

		ret = evs_write_chunk(f, from, n, flags);
		if (ret < 0)
			break;
		done += ret;
		ret = ret < n ? -ENOSPC : 0;
	}
	evs_line_shrink(f);
	mutex_unlock(&f->line_lock);
	return done ?: ret;
}

/**
 * evs_flush_line() - the last close: a partial line is a record
 * @f: the file
 *
 * It does not wait for room: a process that exits could not be killed meanwhile.
 * In a full ring that blocks or fails, what has no newline yet is lost.
 */
void evs_flush_line(struct evs_file *f)
{
	if (f->line_len)
		evs_append_value(f->to, f->line, f->line_len,
				 EVS_NONBLOCK | EVS_CLOSING);
	evs_line_free(f);
}
