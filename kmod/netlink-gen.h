/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/evstream.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_EVSTREAM_GEN_H
#define _LINUX_EVSTREAM_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/evstream_netlink.h>
#include <linux/evstream.h>
#include <linux/evstream.h>

int evstream_nl_topic_get_start(struct netlink_callback *cb);
int evstream_nl_partition_get_start(struct netlink_callback *cb);
int evstream_nl_group_get_start(struct netlink_callback *cb);
int evstream_nl_member_get_start(struct netlink_callback *cb);
int evstream_nl_group_offset_get_start(struct netlink_callback *cb);

int evstream_nl_topic_new_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_topic_del_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_topic_get_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_topic_get_dumpit(struct sk_buff *skb,
				 struct netlink_callback *cb);
int evstream_nl_topic_set_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_partition_get_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_partition_get_dumpit(struct sk_buff *skb,
				     struct netlink_callback *cb);
int evstream_nl_topic_attach_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_topic_detach_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_group_get_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_group_get_dumpit(struct sk_buff *skb,
				 struct netlink_callback *cb);
int evstream_nl_group_del_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_group_seek_doit(struct sk_buff *skb, struct genl_info *info);
int evstream_nl_member_get_dumpit(struct sk_buff *skb,
				  struct netlink_callback *cb);
int evstream_nl_group_offset_get_doit(struct sk_buff *skb,
				      struct genl_info *info);
int evstream_nl_group_offset_get_dumpit(struct sk_buff *skb,
					struct netlink_callback *cb);

enum {
	EVSTREAM_NLGRP_TOPICS,
	EVSTREAM_NLGRP_GROUPS,
};

extern struct genl_family evstream_nl_family;

#endif /* _LINUX_EVSTREAM_GEN_H */
