/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _EVS_NETLINK_H
#define _EVS_NETLINK_H

#include <linux/types.h>

struct evs_topic;

int evs_netlink_init(void);
void evs_netlink_exit(void);
void evs_netlink_notify(struct evs_topic *t, u8 cmd);

#endif /* _EVS_NETLINK_H */
