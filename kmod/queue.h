/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queue groups: records, not partitions, are handed out (Kafka's share groups).
 */
#ifndef EVSTREAM_QUEUE_H
#define EVSTREAM_QUEUE_H

#include <linux/types.h>
#include <linux/evstream.h>

struct evs_group;
struct evs_group_info;
struct evs_join;
struct evs_member;
struct evs_offset_info;
struct iov_iter;

int evs_queue_new(struct evs_group *g, const struct evs_join *j);
void evs_queue_configure(struct evs_group *g, const struct evs_join *j);
void evs_queue_free(struct evs_group *g);
void evs_queue_kill(struct evs_group *g);
void evs_queue_leave(struct evs_group *g, struct evs_member *m);
bool evs_queue_ready(struct evs_group *g);
void evs_queue_moved(struct evs_group *g, u32 partition);
ssize_t evs_queue_read(struct evs_member *m, struct iov_iter *to, bool line);
int evs_queue_acquire(struct evs_member *m, struct evstream_acquire *a);
int evs_queue_settle(struct evs_member *m, struct evstream_ack_entry *e);
int evs_queue_settle_all(struct evs_member *m);
void evs_queue_info(struct evs_group *g, struct evs_group_info *info);
void evs_queue_offset(struct evs_group *g, u32 partition, struct evs_offset_info *info);

#endif /* EVSTREAM_QUEUE_H */
