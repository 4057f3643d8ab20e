/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device nodes and open files.
 */
#ifndef EVSTREAM_CHARDEV_H
#define EVSTREAM_CHARDEV_H

#include <linux/fs.h>
#include <linux/mutex.h>

#include "group.h"
#include "partition.h"
#include "quota.h"
#include "topic.h"

/**
 * struct evs_file - an open node
 * @topic: a reference
 * @user: who is charged for it, a reference, NULL: nobody
 * @part: the partition, NULL: any
 * @own: number of the partition of records without a key
 * @to: that partition
 * @framing: an &enum evstream_framing, or %EVS_FRAMING_TOPIC
 * @read_lock: protects the cursors and @turn
 * @cursor: one for @part, or one for each partition
 * @turn: which partition any reads from next
 * @line_lock: protects the line
 * @line: a partial line that waits for its newline
 * @line_len: its bytes
 * @line_room: bytes allocated at @line
 * @changes: its member waits here
 * @member: of a group, NULL: it never joined one; set once, under @read_lock
 * @one: @cursor of a partition's file
 */
struct evs_file {
	struct evs_topic *topic;
	struct evs_user *user;
	struct evs_partition *part;
	struct evs_partition *to;
	u32 own;
	u32 framing;
	struct mutex read_lock;
	struct evs_cursor *cursor;
	u32 turn;
	struct mutex line_lock;
	u8 *line;
	u32 line_len;
	u32 line_room;
	wait_queue_head_t changes;
	struct evs_member *member;
	struct evs_cursor one;
};

/* The file goes with its topic's framing. */
#define EVS_FRAMING_TOPIC	U32_MAX

static inline u32 evs_file_framing(const struct evs_file *f)
{
	u32 framing = READ_ONCE(f->framing);

	return framing == EVS_FRAMING_TOPIC ? READ_ONCE(f->topic->config.framing) : framing;
}

static inline unsigned int evs_file_flags(const struct file *file)
{
	return file->f_flags & EVS_NONBLOCK;
}

static inline struct evs_member *evs_file_member(struct evs_file *f)
{
	/* Pairs with the release in evs_ioctl_join(). */
	return f->part ? NULL : smp_load_acquire(&f->member);
}

/* In chardev.c */
extern const struct evs_node_ops evs_chardev_nodes;
int evs_chardev_init(void);
void evs_chardev_exit(void);
struct evs_file *evs_file_get(int fd, struct file **file);

/* In ioctl.c */
long evs_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* In line.c */
ssize_t evs_write_lines(struct evs_file *f, struct iov_iter *from, unsigned int flags);
void evs_flush_line(struct evs_file *f);

#endif /* EVSTREAM_CHARDEV_H */
