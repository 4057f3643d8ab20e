// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/evstream.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink-gen.h"

#include <uapi/linux/evstream_netlink.h>
#include <linux/evstream.h>
#include <linux/evstream.h>

/* EVSTREAM_CMD_TOPIC_NEW - do */
static const struct nla_policy evstream_topic_new_nl_policy[EVSTREAM_A_TOPIC_FLUSH_BYTES + 1] = {
	[EVSTREAM_A_TOPIC_NAME] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_TOPIC_PARTITIONS] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_SEGMENT_SIZE] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_RING_SIZE] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_MAX_RECORD] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_FRAMING] = NLA_POLICY_MAX(NLA_U32, 1),
	[EVSTREAM_A_TOPIC_FULL_POLICY] = NLA_POLICY_MAX(NLA_U32, 2),
	[EVSTREAM_A_TOPIC_UID] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_GID] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_MODE] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_RETENTION_MS] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_RETENTION_BYTES] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_DIR] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_TOPIC_FLUSH_INTERVAL] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_FLUSH_BYTES] = { .type = NLA_UINT, },
};

/* EVSTREAM_CMD_TOPIC_DEL - do */
static const struct nla_policy evstream_topic_del_nl_policy[EVSTREAM_A_TOPIC_NAME + 1] = {
	[EVSTREAM_A_TOPIC_NAME] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_TOPIC_GET - do */
static const struct nla_policy evstream_topic_get_nl_policy[EVSTREAM_A_TOPIC_NAME + 1] = {
	[EVSTREAM_A_TOPIC_NAME] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_TOPIC_SET - do */
static const struct nla_policy evstream_topic_set_nl_policy[EVSTREAM_A_TOPIC_FLUSH_BYTES + 1] = {
	[EVSTREAM_A_TOPIC_NAME] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_TOPIC_RING_SIZE] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_MAX_RECORD] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_FRAMING] = NLA_POLICY_MAX(NLA_U32, 1),
	[EVSTREAM_A_TOPIC_FULL_POLICY] = NLA_POLICY_MAX(NLA_U32, 2),
	[EVSTREAM_A_TOPIC_UID] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_GID] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_MODE] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_RETENTION_MS] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_RETENTION_BYTES] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_FLUSH_INTERVAL] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_FLUSH_BYTES] = { .type = NLA_UINT, },
	[EVSTREAM_A_TOPIC_PARTITIONS] = { .type = NLA_U32, },
	[EVSTREAM_A_TOPIC_SEGMENT_SIZE] = { .type = NLA_UINT, },
};

/* EVSTREAM_CMD_PARTITION_GET - do */
static const struct nla_policy evstream_partition_get_do_nl_policy[EVSTREAM_A_PARTITION_PARTITION + 1] = {
	[EVSTREAM_A_PARTITION_TOPIC] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_PARTITION_PARTITION] = { .type = NLA_U32, },
};

/* EVSTREAM_CMD_PARTITION_GET - dump */
static const struct nla_policy evstream_partition_get_dump_nl_policy[EVSTREAM_A_PARTITION_TOPIC + 1] = {
	[EVSTREAM_A_PARTITION_TOPIC] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_TOPIC_ATTACH - do */
static const struct nla_policy evstream_topic_attach_nl_policy[EVSTREAM_A_TOPIC_DIR + 1] = {
	[EVSTREAM_A_TOPIC_NAME] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_TOPIC_DIR] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_TOPIC_DETACH - do */
static const struct nla_policy evstream_topic_detach_nl_policy[EVSTREAM_A_TOPIC_NAME + 1] = {
	[EVSTREAM_A_TOPIC_NAME] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_GROUP_GET - do */
static const struct nla_policy evstream_group_get_do_nl_policy[EVSTREAM_A_GROUP_NAME + 1] = {
	[EVSTREAM_A_GROUP_TOPIC] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_GROUP_NAME] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_GROUP_GET - dump */
static const struct nla_policy evstream_group_get_dump_nl_policy[EVSTREAM_A_GROUP_TOPIC + 1] = {
	[EVSTREAM_A_GROUP_TOPIC] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_GROUP_DEL - do */
static const struct nla_policy evstream_group_del_nl_policy[EVSTREAM_A_GROUP_NAME + 1] = {
	[EVSTREAM_A_GROUP_TOPIC] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_GROUP_NAME] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_GROUP_SEEK - do */
static const struct nla_policy evstream_group_seek_nl_policy[EVSTREAM_A_GROUP_OFFSET_VALUE + 1] = {
	[EVSTREAM_A_GROUP_OFFSET_TOPIC] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_GROUP_OFFSET_GROUP] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_GROUP_OFFSET_PARTITION] = { .type = NLA_U32, },
	[EVSTREAM_A_GROUP_OFFSET_WHENCE] = NLA_POLICY_MAX(NLA_U32, 3),
	[EVSTREAM_A_GROUP_OFFSET_VALUE] = { .type = NLA_UINT, },
};

/* EVSTREAM_CMD_MEMBER_GET - dump */
static const struct nla_policy evstream_member_get_nl_policy[EVSTREAM_A_MEMBER_GROUP + 1] = {
	[EVSTREAM_A_MEMBER_TOPIC] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_MEMBER_GROUP] = { .type = NLA_NUL_STRING, },
};

/* EVSTREAM_CMD_GROUP_OFFSET_GET - do */
static const struct nla_policy evstream_group_offset_get_do_nl_policy[EVSTREAM_A_GROUP_OFFSET_PARTITION + 1] = {
	[EVSTREAM_A_GROUP_OFFSET_TOPIC] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_GROUP_OFFSET_GROUP] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_GROUP_OFFSET_PARTITION] = { .type = NLA_U32, },
};

/* EVSTREAM_CMD_GROUP_OFFSET_GET - dump */
static const struct nla_policy evstream_group_offset_get_dump_nl_policy[EVSTREAM_A_GROUP_OFFSET_GROUP + 1] = {
	[EVSTREAM_A_GROUP_OFFSET_TOPIC] = { .type = NLA_NUL_STRING, },
	[EVSTREAM_A_GROUP_OFFSET_GROUP] = { .type = NLA_NUL_STRING, },
};

/* Ops table for evstream */
static const struct genl_split_ops evstream_nl_ops[] = {
	{
		.cmd		= EVSTREAM_CMD_TOPIC_NEW,
		.doit		= evstream_nl_topic_new_doit,
		.policy		= evstream_topic_new_nl_policy,
		.maxattr	= EVSTREAM_A_TOPIC_FLUSH_BYTES,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_TOPIC_DEL,
		.doit		= evstream_nl_topic_del_doit,
		.policy		= evstream_topic_del_nl_policy,
		.maxattr	= EVSTREAM_A_TOPIC_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_TOPIC_GET,
		.doit		= evstream_nl_topic_get_doit,
		.policy		= evstream_topic_get_nl_policy,
		.maxattr	= EVSTREAM_A_TOPIC_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= EVSTREAM_CMD_TOPIC_GET,
		.start	= evstream_nl_topic_get_start,
		.dumpit	= evstream_nl_topic_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= EVSTREAM_CMD_TOPIC_SET,
		.doit		= evstream_nl_topic_set_doit,
		.policy		= evstream_topic_set_nl_policy,
		.maxattr	= EVSTREAM_A_TOPIC_FLUSH_BYTES,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_PARTITION_GET,
		.doit		= evstream_nl_partition_get_doit,
		.policy		= evstream_partition_get_do_nl_policy,
		.maxattr	= EVSTREAM_A_PARTITION_PARTITION,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_PARTITION_GET,
		.start		= evstream_nl_partition_get_start,
		.dumpit		= evstream_nl_partition_get_dumpit,
		.policy		= evstream_partition_get_dump_nl_policy,
		.maxattr	= EVSTREAM_A_PARTITION_TOPIC,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= EVSTREAM_CMD_TOPIC_ATTACH,
		.doit		= evstream_nl_topic_attach_doit,
		.policy		= evstream_topic_attach_nl_policy,
		.maxattr	= EVSTREAM_A_TOPIC_DIR,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_TOPIC_DETACH,
		.doit		= evstream_nl_topic_detach_doit,
		.policy		= evstream_topic_detach_nl_policy,
		.maxattr	= EVSTREAM_A_TOPIC_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_GROUP_GET,
		.doit		= evstream_nl_group_get_doit,
		.policy		= evstream_group_get_do_nl_policy,
		.maxattr	= EVSTREAM_A_GROUP_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_GROUP_GET,
		.start		= evstream_nl_group_get_start,
		.dumpit		= evstream_nl_group_get_dumpit,
		.policy		= evstream_group_get_dump_nl_policy,
		.maxattr	= EVSTREAM_A_GROUP_TOPIC,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= EVSTREAM_CMD_GROUP_DEL,
		.doit		= evstream_nl_group_del_doit,
		.policy		= evstream_group_del_nl_policy,
		.maxattr	= EVSTREAM_A_GROUP_NAME,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_GROUP_SEEK,
		.doit		= evstream_nl_group_seek_doit,
		.policy		= evstream_group_seek_nl_policy,
		.maxattr	= EVSTREAM_A_GROUP_OFFSET_VALUE,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_MEMBER_GET,
		.start		= evstream_nl_member_get_start,
		.dumpit		= evstream_nl_member_get_dumpit,
		.policy		= evstream_member_get_nl_policy,
		.maxattr	= EVSTREAM_A_MEMBER_GROUP,
		.flags		= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= EVSTREAM_CMD_GROUP_OFFSET_GET,
		.doit		= evstream_nl_group_offset_get_doit,
		.policy		= evstream_group_offset_get_do_nl_policy,
		.maxattr	= EVSTREAM_A_GROUP_OFFSET_PARTITION,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= EVSTREAM_CMD_GROUP_OFFSET_GET,
		.start		= evstream_nl_group_offset_get_start,
		.dumpit		= evstream_nl_group_offset_get_dumpit,
		.policy		= evstream_group_offset_get_dump_nl_policy,
		.maxattr	= EVSTREAM_A_GROUP_OFFSET_GROUP,
		.flags		= GENL_CMD_CAP_DUMP,
	},
};

static const struct genl_multicast_group evstream_nl_mcgrps[] = {
	[EVSTREAM_NLGRP_TOPICS] = { "topics", },
	[EVSTREAM_NLGRP_GROUPS] = { "groups", },
};

struct genl_family evstream_nl_family __ro_after_init = {
	.name		= EVSTREAM_FAMILY_NAME,
	.version	= EVSTREAM_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= evstream_nl_ops,
	.n_split_ops	= ARRAY_SIZE(evstream_nl_ops),
	.mcgrps		= evstream_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(evstream_nl_mcgrps),
};
