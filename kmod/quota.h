/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What one user can have at the most.
 */
#ifndef EVSTREAM_QUOTA_H
#define EVSTREAM_QUOTA_H

#include <linux/types.h>

struct evs_user;

/**
 * enum evs_charge - what a user is charged for
 * @EVS_CHARGE_GROUPS: consumer groups that it made
 * @EVS_CHARGE_MEMBERS: members that its files are
 * @EVS_CHARGE_MEMORY: bytes of kernel memory, of its files and its groups
 * @EVS_CHARGES: how many there are
 */
enum evs_charge {
	EVS_CHARGE_GROUPS,
	EVS_CHARGE_MEMBERS,
	EVS_CHARGE_MEMORY,
	EVS_CHARGES,
};

struct evs_user *evs_user_current(void);
struct evs_user *evs_user_get(struct evs_user *u);
void evs_user_put(struct evs_user *u);
int evs_user_charge(struct evs_user *u, enum evs_charge what, u64 n);
void evs_user_uncharge(struct evs_user *u, enum evs_charge what, u64 n);

#endif /* EVSTREAM_QUOTA_H */
