/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a durable topic keeps what its groups have committed: a log beside those
 * of its partitions, in the directory of the first one.
 *
 * Lock order: evs_offsets.lock is taken before evs_groups.lock and all below it,
 * see group.h.  But for evs_offsets_later(), none of these functions is called
 * with one of those held.
 */
#ifndef EVSTREAM_OFFSETS_H
#define EVSTREAM_OFFSETS_H

#include <linux/types.h>

struct evs_group;
struct evs_limits;
struct evs_topic;

/* The directory, within that of partition 0: Kafka looks at files there only. */
#define EVS_OFFSETS_DIR		"evstream.offsets"

int evs_offsets_attach(struct evs_topic *t);
int evs_offsets_make(struct evs_topic *t);
int evs_offsets_write(struct evs_topic *t, struct evs_group *g, bool sync);
int evs_offsets_forget(struct evs_topic *t, struct evs_group *g);
void evs_offsets_later(struct evs_topic *t);
int evs_offsets_sync(struct evs_topic *t);
void evs_offsets_configure(struct evs_topic *t, const struct evs_limits *limits);
void evs_offsets_kill(struct evs_topic *t, bool remove);
void evs_offsets_free(struct evs_topic *t);

#endif /* EVSTREAM_OFFSETS_H */
