/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_MEMBER_H
#define STREAMCTL_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct consumer;
struct start;

/**
 * struct membership - how to be a member
 * @group: the group's name, NULL: of none
 * @flags: EVSTREAM_JOIN_*
 * @partitions: of --static
 * @nr_partitions: how many
 * @commit: records after which they are committed
 * @rebalance_ms: as &evstream_join.rebalance_ms
 * @max_poll_ms: as &evstream_join.max_poll_ms
 * @lock_ms: as &evstream_join.lock_ms
 * @max_deliveries: as &evstream_join.max_deliveries
 * @dead_letter: topic for what cannot be delivered, NULL: none
 * @option: one of member_options[] that was given, NULL: none was
 * @queue_option: likewise one that is a queue's
 */
struct membership {
	const char *group;
	uint32_t flags;
	uint32_t *partitions;
	uint32_t nr_partitions;
	uint32_t commit;
	uint32_t rebalance_ms;
	uint32_t max_poll_ms;
	uint32_t lock_ms;
	uint32_t max_deliveries;
	const char *dead_letter;
	const char *option;
	const char *queue_option;
};

#define MEMBER_OPTIONS	10

/* consume's options for them, and whether they take a value. */
extern const struct member_option {
	const char *name;
	bool value;
} member_options[MEMBER_OPTIONS];

int member_option(struct membership *m, size_t option, const char *arg);
int member_check(const struct membership *m, const struct start *start);
int consume_group(struct consumer *c, const struct membership *m, const struct start *start);

#endif /* STREAMCTL_MEMBER_H */
