// SPDX-License-Identifier: GPL-2.0
/*
 * evstream: an event log. Init and exit, ceilings.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/time64.h>

#include "chardev.h"
#include "internal.h"
#include "log.h"
#include "netlink.h"
#include "store.h"
#include "partition.h"
#include "topic.h"

static unsigned int max_topics = 10000;
module_param(max_topics, uint, 0644);
MODULE_PARM_DESC(max_topics, "Topics at the most (default 10000)");

static unsigned int max_partitions = 100000;
module_param(max_partitions, uint, 0644);
MODULE_PARM_DESC(max_partitions, "Partitions of all topics at the most (default 100000)");

static unsigned long max_bytes;
module_param(max_bytes, ulong, 0644);
MODULE_PARM_DESC(max_bytes, "Bytes of memory for all logs at the most (default 0: half of the machine's)");

static unsigned int max_groups = 10000;
module_param(max_groups, uint, 0644);
MODULE_PARM_DESC(max_groups, "Consumer groups of all topics at the most (default 10000)");

static unsigned int max_members = 100000;
module_param(max_members, uint, 0644);
MODULE_PARM_DESC(max_members, "Members of all groups at the most (default 100000)");

static unsigned int max_user_groups = 1000;
module_param(max_user_groups, uint, 0644);
MODULE_PARM_DESC(max_user_groups, "Consumer groups that one user made at the most (default 1000)");

static unsigned int max_user_members = 10000;
module_param(max_user_members, uint, 0644);
MODULE_PARM_DESC(max_user_members, "Members that one user's files are at the most (default 10000)");

static unsigned long max_user_memory;
module_param(max_user_memory, ulong, 0644);
MODULE_PARM_DESC(max_user_memory, "Bytes that one user's files and groups take at the most (default 0: an eighth of the machine's)");

static ulong offsets_retention_ms = 7UL * 24 * 3600 * MSEC_PER_SEC;
module_param(offsets_retention_ms, ulong, 0644);
MODULE_PARM_DESC(offsets_retention_ms, "Milliseconds for which a group without members is kept (default 7 days)");

/**
 * evs_topics_ceiling() - topics at the most
 */
u32 evs_topics_ceiling(void)
{
	return READ_ONCE(max_topics);
}

/**
 * evs_partitions_ceiling() - partitions of all topics at the most
 */
u32 evs_partitions_ceiling(void)
{
	return READ_ONCE(max_partitions);
}

/**
 * evs_groups_ceiling() - consumer groups of all topics at the most
 */
u32 evs_groups_ceiling(void)
{
	return READ_ONCE(max_groups);
}

/**
 * evs_members_ceiling() - members of all groups at the most
 */
u32 evs_members_ceiling(void)
{
	return READ_ONCE(max_members);
}

/**
 * evs_user_ceiling() - what a user can be charged for at the most
 * @what: which charge
 */
u64 evs_user_ceiling(enum evs_charge what)
{
	u64 bytes;

	switch (what) {
	case EVS_CHARGE_GROUPS:
		return READ_ONCE(max_user_groups);
	case EVS_CHARGE_MEMBERS:
		return READ_ONCE(max_user_members);
	default:
		bytes = min_t(u64, READ_ONCE(max_user_memory), S64_MAX);
		return bytes ?: (u64)totalram_pages() << (PAGE_SHIFT - 3);
	}
}

/**
 * evs_offsets_retention_ms() - for how long a group without members is kept
 */
u64 evs_offsets_retention_ms(void)
{
	return READ_ONCE(offsets_retention_ms);
}

/**
 * evs_bytes_ceiling() - bytes of page cache of all logs at the most
 */
u64 evs_bytes_ceiling(void)
{
	u64 bytes = READ_ONCE(max_bytes);

	return bytes ?: (u64)totalram_pages() << (PAGE_SHIFT - 1);
}

static int __init evs_init(void)
{
	int ret;

	ret = evs_partition_init_caches();
	if (ret)
		return ret;
	ret = evs_store_register();
	if (ret)
		goto exit_caches;
	ret = evs_log_register();
	if (ret)
		goto unregister_store;
	ret = evs_chardev_init();
	if (ret)
		goto unregister_log;
	evs_topic_init(&evs_chardev_nodes);
	ret = evs_netlink_init();
	if (ret)
		goto exit_chardev;
	return 0;

exit_chardev:
	evs_chardev_exit();
unregister_log:
	evs_log_unregister();
unregister_store:
	evs_store_unregister();
exit_caches:
	evs_partition_exit_caches();
	return ret;
}

/* There is no topic and no open file left: they pin the module. */
static void __exit evs_exit(void)
{
	evs_netlink_exit();
	evs_chardev_exit();
	/* Topics, segments and nodes are freed behind a grace period. */
	rcu_barrier();
	evs_log_unregister();
	evs_store_unregister();
	evs_partition_exit_caches();
}

module_init(evs_init);
module_exit(evs_exit);

MODULE_DESCRIPTION("Event log: topics, partitions, records");
MODULE_LICENSE("GPL");
