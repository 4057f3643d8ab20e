// SPDX-License-Identifier: GPL-2.0
/*
 * Users, and what they are charged for: as the kernel's own user counts, which
 * modules cannot use.
 *
 * Charged is who opened the file, whoever uses it: a descriptor that was passed on
 * brings nobody more than its opener may have. In a user namespace that is who made
 * the outermost one, or many users mapped there would have as many times as much. Who
 * has CAP_SYS_RESOURCE in the initial one is no user here, and not charged.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/hashtable.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "internal.h"
#include "quota.h"

/**
 * struct evs_user - a user
 * @ref: each file's and each group's
 * @hash: in evs_users
 * @uid: who, in the initial user namespace
 * @charged: of each &enum evs_charge
 */
struct evs_user {
	refcount_t ref;
	struct hlist_node hash;
	kuid_t uid;
	atomic64_t charged[EVS_CHARGES];
};

static DEFINE_SPINLOCK(evs_users_lock);
static DEFINE_HASHTABLE(evs_users, 6);

static struct evs_user *evs_user_find(kuid_t uid)
{
	struct evs_user *u;

	lockdep_assert_held(&evs_users_lock);
	hash_for_each_possible(evs_users, u, hash, __kuid_val(uid))
		if (uid_eq(u->uid, uid))
			return u;
	return NULL;
}

static kuid_t evs_current_uid(void)
{
	struct user_namespace *ns = current_user_ns();
	kuid_t uid = current_euid();

	for (; ns->parent; ns = ns->parent)
		uid = ns->owner;
	return uid;
}

/**
 * evs_user_current() - who is charged for what the caller opens
 *
 * Return: a reference; NULL: nobody; or ERR_PTR(-ENOMEM).
 */
struct evs_user *evs_user_current(void)
{
	struct evs_user *u, *new;
	kuid_t uid;

	if (ns_capable_noaudit(&init_user_ns, CAP_SYS_RESOURCE))
		return NULL;
	uid = evs_current_uid();
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return ERR_PTR(-ENOMEM);
	refcount_set(&new->ref, 1);
	new->uid = uid;
	spin_lock(&evs_users_lock);
	u = evs_user_find(uid);
	if (u)
		refcount_inc(&u->ref);
	else
		hash_add(evs_users, &new->hash, __kuid_val(uid));
	spin_unlock(&evs_users_lock);
	if (!u)
		return new;
	kfree(new);
	return u;
}

/**
 * evs_user_get() - one reference more
 * @u: the user, or NULL
 *
 * Return: @u.
 */
struct evs_user *evs_user_get(struct evs_user *u)
{
	if (u)
		refcount_inc(&u->ref);
	return u;
}

/**
 * evs_user_put() - let go of a user
 * @u: the user, or NULL; what it was charged for by the caller is given back
 */
void evs_user_put(struct evs_user *u)
{
	u32 i;

	if (!u || refcount_dec_not_one(&u->ref))
		return;
	spin_lock(&evs_users_lock);
	if (!refcount_dec_and_test(&u->ref)) {
		spin_unlock(&evs_users_lock);
		return;
	}
	hash_del(&u->hash);
	spin_unlock(&evs_users_lock);
	for (i = 0; i < EVS_CHARGES; i++)
		WARN_ON_ONCE(atomic64_read(&u->charged[i]));
	kfree(u);
}

/**
 * evs_user_charge() - charge a user
 * @u: the user, or NULL
 * @what: for what
 * @n: how many
 *
 * Return: 0; -EDQUOT: that is more than a user can have.
 */
int evs_user_charge(struct evs_user *u, enum evs_charge what, u64 n)
{
	if (!u)
		return 0;
	if ((u64)atomic64_add_return(n, &u->charged[what]) > evs_user_ceiling(what)) {
		atomic64_sub(n, &u->charged[what]);
		return -EDQUOT;
	}
	return 0;
}

/**
 * evs_user_uncharge() - give back what a user was charged for
 * @u: the user, or NULL
 * @what: for what
 * @n: how many
 */
void evs_user_uncharge(struct evs_user *u, enum evs_charge what, u64 n)
{
	if (u)
		WARN_ON_ONCE(atomic64_sub_return(n, &u->charged[what]) < 0);
}
