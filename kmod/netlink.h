/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _EVS_NETLINK_H
#define _EVS_NETLINK_H

#include <linux/types.h>

struct evs_topic;
struct genl_info;
struct netlink_callback;
struct sk_buff;

/**
 * typedef evs_nl_fill_fn - put an object's attributes into a message
 * @msg: the message
 * @row: the object, as whoever passes the function on has it
 *
 * Return: 0 or -EMSGSIZE.
 */
typedef int (*evs_nl_fill_fn)(struct sk_buff *msg, const void *row);

/* In netlink.c */
int evs_netlink_init(void);
void evs_netlink_exit(void);
void evs_netlink_notify(struct evs_topic *t, u8 cmd);
int evs_nl_may_change(struct sk_buff *skb, struct genl_info *info);
struct evs_topic *evs_nl_find(const struct genl_info *info, u16 name);
int evs_nl_reply(struct sk_buff *msg, struct genl_info *info, evs_nl_fill_fn fill,
		 const void *row);
int evs_nl_dump_row(struct sk_buff *skb, struct netlink_callback *cb, evs_nl_fill_fn fill,
		    const void *row);
void evs_nl_multicast(u8 cmd, unsigned int group, size_t size, evs_nl_fill_fn fill,
		      const void *row);

/* In netlink-group.c */
void evs_netlink_watch_groups(bool on);

#endif /* _EVS_NETLINK_H */
