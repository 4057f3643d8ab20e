// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: consumer groups.
 *
 * A dump shows one group after the other and holds nothing between two calls: it
 * goes on by the numbers of topics, groups and members, which only grow.
 */
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/pid.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/netlink.h>

#include "group.h"
#include "netlink.h"
#include "netlink-gen.h"
#include "partition.h"
#include "topic.h"

/* Offsets and times are below it, as those of SEEK. */
#define EVS_NL_VALUE_MAX	BIT_ULL(62)

/**
 * struct evs_nl_group - a group, and what a message says of it
 * @t: its topic, a reference
 * @g: the group, a reference
 * @info: as it is now
 */
struct evs_nl_group {
	struct evs_topic *t;
	struct evs_group *g;
	struct evs_group_info info;
};

/**
 * struct evs_nl_member - likewise a member
 * @in: its group
 * @info: as it is now
 */
struct evs_nl_member {
	struct evs_nl_group in;
	struct evs_member_info info;
};

/**
 * struct evs_nl_offset - likewise a partition in a group
 * @in: the group
 * @partition: its number
 * @info: as it is now
 */
struct evs_nl_offset {
	struct evs_nl_group in;
	u32 partition;
	struct evs_offset_info info;
};

/* ---------------------------------------------------------------- messages */

static int evs_nl_put_flag(struct sk_buff *msg, int attr, bool set)
{
	return set ? nla_put_flag(msg, attr) : 0;
}

/* 0 is said by leaving it out. */
static int evs_nl_put_some(struct sk_buff *msg, int attr, u64 value)
{
	return value ? nla_put_uint(msg, attr, value) : 0;
}

static int evs_nl_put_some32(struct sk_buff *msg, int attr, u32 value)
{
	return value ? nla_put_u32(msg, attr, value) : 0;
}

static u32 evs_nl_state(const struct evs_group_info *info)
{
	if (!info->members)
		return EVSTREAM_GROUP_STATE_EMPTY;
	return info->moving ? EVSTREAM_GROUP_STATE_REBALANCING : EVSTREAM_GROUP_STATE_STABLE;
}

static u32 evs_nl_kind(bool queue)
{
	return queue ? EVSTREAM_GROUP_KIND_QUEUE : EVSTREAM_GROUP_KIND_CONSUMER;
}

static int evs_nl_fill_group(struct sk_buff *msg, const void *row)
{
	const struct evs_nl_group *in = row;
	const struct evs_group_info *info = &in->info;

	if (nla_put_string(msg, EVSTREAM_A_GROUP_TOPIC, in->t->config.name) ||
	    nla_put_string(msg, EVSTREAM_A_GROUP_NAME, in->g->name) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_ID, info->id) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_KIND, evs_nl_kind(info->queue)) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_STATE, evs_nl_state(info)) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_MEMBERS, info->members) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_GENERATION, info->generation) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_MOVING, info->moving) ||
	    nla_put_uint(msg, EVSTREAM_A_GROUP_CREATED_MS, info->created_ms) ||
	    evs_nl_put_some(msg, EVSTREAM_A_GROUP_EMPTY_SINCE_MS, info->empty_since))
		return -EMSGSIZE;
	if (!info->queue)
		return 0;
	if (nla_put_u32(msg, EVSTREAM_A_GROUP_LOCK_MS, info->lock_ms) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_MAX_DELIVERIES, info->max_deliveries) ||
	    evs_nl_put_flag(msg, EVSTREAM_A_GROUP_KEYED, info->keyed))
		return -EMSGSIZE;
	if (info->dead_letter[0] &&
	    nla_put_string(msg, EVSTREAM_A_GROUP_DEAD_LETTER, info->dead_letter))
		return -EMSGSIZE;
	return 0;
}

static int evs_nl_fill_member(struct sk_buff *msg, const void *row)
{
	const struct evs_nl_member *m = row;
	const struct evs_member_info *info = &m->info;

	/* A process that the reader's namespace does not see has the number 0 there. */
	if (nla_put_string(msg, EVSTREAM_A_MEMBER_TOPIC, m->in.t->config.name) ||
	    nla_put_string(msg, EVSTREAM_A_MEMBER_GROUP, m->in.g->name) ||
	    nla_put_u32(msg, EVSTREAM_A_MEMBER_ID, info->id) ||
	    evs_nl_put_some32(msg, EVSTREAM_A_MEMBER_PID, pid_vnr(info->pid)) ||
	    nla_put_u32(msg, EVSTREAM_A_MEMBER_UID,
			from_kuid_munged(current_user_ns(), info->uid)) ||
	    nla_put_string(msg, EVSTREAM_A_MEMBER_COMM, info->comm) ||
	    evs_nl_put_some(msg, EVSTREAM_A_MEMBER_CGROUP, info->cgroup) ||
	    nla_put_uint(msg, EVSTREAM_A_MEMBER_JOINED_MS, info->joined_ms) ||
	    nla_put_u32(msg, EVSTREAM_A_MEMBER_PARTITIONS, info->partitions) ||
	    evs_nl_put_flag(msg, EVSTREAM_A_MEMBER_AUTO_COMMIT,
			    info->flags & EVSTREAM_JOIN_AUTO) ||
	    evs_nl_put_flag(msg, EVSTREAM_A_MEMBER_STATIC_PARTITIONS,
			    info->flags & EVSTREAM_JOIN_STATIC) ||
	    evs_nl_put_flag(msg, EVSTREAM_A_MEMBER_ACK_REVOCATION,
			    info->flags & EVSTREAM_JOIN_ACK) ||
	    evs_nl_put_flag(msg, EVSTREAM_A_MEMBER_IDLE, info->idle))
		return -EMSGSIZE;
	if (info->flags & EVSTREAM_JOIN_QUEUE &&
	    nla_put_u32(msg, EVSTREAM_A_MEMBER_HELD, info->held))
		return -EMSGSIZE;
	return 0;
}

static int evs_nl_fill_offset(struct sk_buff *msg, const void *row)
{
	const struct evs_nl_offset *o = row;
	const struct evs_offset_info *info = &o->info;
	u64 lag = 0;

	if (info->end_offset > info->committed)
		lag = info->end_offset - info->committed;
	if (nla_put_string(msg, EVSTREAM_A_GROUP_OFFSET_TOPIC, o->in.t->config.name) ||
	    nla_put_string(msg, EVSTREAM_A_GROUP_OFFSET_GROUP, o->in.g->name) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_OFFSET_PARTITION, o->partition) ||
	    evs_nl_put_some32(msg, EVSTREAM_A_GROUP_OFFSET_OWNER, info->owner) ||
	    evs_nl_put_some32(msg, EVSTREAM_A_GROUP_OFFSET_TARGET, info->target) ||
	    evs_nl_put_flag(msg, EVSTREAM_A_GROUP_OFFSET_REVOKING, info->revoking) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_OFFSET_EPOCH, info->epoch) ||
	    nla_put_uint(msg, EVSTREAM_A_GROUP_OFFSET_POSITION, info->position) ||
	    nla_put_uint(msg, EVSTREAM_A_GROUP_OFFSET_COMMITTED, info->committed) ||
	    evs_nl_put_some(msg, EVSTREAM_A_GROUP_OFFSET_COMMITTED_MS, info->committed_ms) ||
	    nla_put_uint(msg, EVSTREAM_A_GROUP_OFFSET_START_OFFSET, info->start_offset) ||
	    nla_put_uint(msg, EVSTREAM_A_GROUP_OFFSET_END_OFFSET, info->end_offset) ||
	    nla_put_uint(msg, EVSTREAM_A_GROUP_OFFSET_LAG, lag) ||
	    nla_put_uint(msg, EVSTREAM_A_GROUP_OFFSET_LAG_BYTES, info->lag_bytes) ||
	    nla_put_uint(msg, EVSTREAM_A_GROUP_OFFSET_LAG_MS, info->lag_ms))
		return -EMSGSIZE;
	if (o->in.g->queue &&
	    (nla_put_u32(msg, EVSTREAM_A_GROUP_OFFSET_HELD, info->held) ||
	     nla_put_u32(msg, EVSTREAM_A_GROUP_OFFSET_RELEASED, info->released)))
		return -EMSGSIZE;
	return 0;
}

/* ---------------------------------------------------------------- requests */

/**
 * struct evs_nl_names - which attributes name a group
 * @topic: its topic
 * @group: its name
 */
struct evs_nl_names {
	u16 topic;
	u16 group;
};

static const struct evs_nl_names evs_nl_of_group = {
	EVSTREAM_A_GROUP_TOPIC, EVSTREAM_A_GROUP_NAME
};

static const struct evs_nl_names evs_nl_of_member = {
	EVSTREAM_A_MEMBER_TOPIC, EVSTREAM_A_MEMBER_GROUP
};

static const struct evs_nl_names evs_nl_of_offset = {
	EVSTREAM_A_GROUP_OFFSET_TOPIC, EVSTREAM_A_GROUP_OFFSET_GROUP
};

static int evs_nl_no_group(const struct genl_info *info, const struct evs_nl_names *names)
{
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[names->group], "no such group");
	return -ENOENT;
}

static void evs_nl_put_group(struct evs_nl_group *in)
{
	if (in->g)
		evs_group_put(in->g);
	evs_topic_put(in->t);
}

/* The group that a request names: evs_nl_put_group() it, unless an error is returned. */
static int evs_nl_find_group(const struct genl_info *info, const struct evs_nl_names *names,
			     struct evs_nl_group *in)
{
	int err = -EINVAL;

	in->t = evs_nl_find(info, names->topic);
	if (IS_ERR(in->t))
		return PTR_ERR(in->t);
	if (GENL_REQ_ATTR_CHECK(info, names->group)) {
		GENL_SET_ERR_MSG(info, "the group's name is missing");
		goto put_topic;
	}
	in->g = evs_group_get(in->t, nla_data(info->attrs[names->group]));
	if (in->g)
		return 0;
	err = evs_nl_no_group(info, names);
put_topic:
	evs_topic_put(in->t);
	return err;
}

int evstream_nl_group_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct evs_nl_group in;
	int err = evs_nl_find_group(info, &evs_nl_of_group, &in);

	if (err)
		return err;
	evs_group_info(in.g, &in.info);
	err = evs_nl_reply(genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL), info, evs_nl_fill_group, &in);
	evs_nl_put_group(&in);
	return err;
}

int evstream_nl_group_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct evs_nl_group in;
	int err;

	err = evs_nl_may_change(skb, info);
	if (err)
		return err;
	err = evs_nl_find_group(info, &evs_nl_of_group, &in);
	if (err)
		return err;
	err = evs_group_delete(in.t, in.g);
	if (err == -ENOENT)
		evs_nl_no_group(info, &evs_nl_of_group);
	else if (err == -EBUSY)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[EVSTREAM_A_GROUP_NAME],
				    "the group has members");
	evs_nl_put_group(&in);
	return err;
}

/* The partition that a request names, EVSTREAM_ALL: none. */
static int evs_nl_parse_partition(struct genl_info *info, const struct evs_topic *t,
				  u32 *partition)
{
	struct nlattr *attr = info->attrs[EVSTREAM_A_GROUP_OFFSET_PARTITION];

	*partition = EVSTREAM_ALL;
	if (!attr)
		return 0;
	*partition = nla_get_u32(attr);
	if (*partition < t->partitions)
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, attr, "no such partition");
	return -ENXIO;
}

static int evs_nl_parse_seek(struct genl_info *info, u32 *whence, s64 *value)
{
	struct nlattr *where = info->attrs[EVSTREAM_A_GROUP_OFFSET_WHENCE];
	struct nlattr *attr = info->attrs[EVSTREAM_A_GROUP_OFFSET_VALUE];
	bool needs;

	*value = 0;
	if (GENL_REQ_ATTR_CHECK(info, EVSTREAM_A_GROUP_OFFSET_WHENCE)) {
		GENL_SET_ERR_MSG(info, "where to seek is missing");
		return -EINVAL;
	}
	*whence = nla_get_u32(where);
	needs = *whence == EVSTREAM_SEEK_OFFSET || *whence == EVSTREAM_SEEK_TIMESTAMP;
	if (needs && GENL_REQ_ATTR_CHECK(info, EVSTREAM_A_GROUP_OFFSET_VALUE)) {
		GENL_SET_ERR_MSG(info, "the offset or the time is missing");
		return -EINVAL;
	}
	if (!attr)
		return 0;
	if (!needs) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "the earliest and the latest record need no value");
		return -EINVAL;
	}
	if (nla_get_uint(attr) >= EVS_NL_VALUE_MAX) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "offsets and times are below 2^62");
		return -ERANGE;
	}
	*value = nla_get_uint(attr);
	return 0;
}

/* All partitions, or none: records never become fewer. */
static int evs_nl_seek_all(struct evs_nl_group *in, u32 whence, s64 value)
{
	int err = 0;
	u32 p;

	for (p = 0; p < in->t->partitions && whence == EVSTREAM_SEEK_OFFSET; p++)
		if ((u64)value > evs_end_offset(in->t->partition[p]))
			return -ERANGE;
	for (p = 0; p < in->t->partitions && !err; p++)
		err = evs_group_seek(in->g, p, whence, value);
	return err;
}

int evstream_nl_group_seek_doit(struct sk_buff *skb, struct genl_info *info)
{
	u32 partition, whence;
	struct evs_nl_group in;
	s64 value;
	int err;

	err = evs_nl_may_change(skb, info);
	if (err)
		return err;
	err = evs_nl_find_group(info, &evs_nl_of_offset, &in);
	if (err)
		return err;
	err = evs_nl_parse_partition(info, in.t, &partition);
	if (err)
		goto put;
	err = evs_nl_parse_seek(info, &whence, &value);
	if (err)
		goto put;
	err = partition == EVSTREAM_ALL ? evs_nl_seek_all(&in, whence, value) :
					  evs_group_seek(in.g, partition, whence, value);
	if (err == -ERANGE)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[EVSTREAM_A_GROUP_OFFSET_VALUE],
				    "beyond the end");
	else if (err == -ENODEV || err == -ENOENT)
		err = evs_nl_no_group(info, &evs_nl_of_offset);
	else if (err)
		GENL_SET_ERR_MSG(info, "the group cannot seek");
put:
	evs_nl_put_group(&in);
	return err;
}

int evstream_nl_group_offset_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct evs_nl_offset o;
	int err = evs_nl_find_group(info, &evs_nl_of_offset, &o.in);

	if (err)
		return err;
	if (GENL_REQ_ATTR_CHECK(info, EVSTREAM_A_GROUP_OFFSET_PARTITION)) {
		GENL_SET_ERR_MSG(info, "the partition's number is missing");
		err = -EINVAL;
		goto put;
	}
	err = evs_nl_parse_partition(info, o.in.t, &o.partition);
	if (err)
		goto put;
	err = evs_group_offset(o.in.g, o.partition, &o.info);
	if (!err)
		err = evs_nl_reply(genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL), info,
				   evs_nl_fill_offset, &o);
	else if (err == -ENODEV)
		err = evs_nl_no_group(info, &evs_nl_of_offset);
put:
	evs_nl_put_group(&o.in);
	return err;
}

/* ------------------------------------------------------------------- dumps */

/**
 * struct evs_nl_walk - what a dump shows next
 * @topic: id of the topic
 * @group: id of the group
 * @item: id of the member, or the partition
 * @one_topic: no other topic
 * @one_group: no other group
 * @done: all was shown
 */
struct evs_nl_walk {
	u32 topic;
	u32 group;
	u32 item;
	bool one_topic;
	bool one_group;
	bool done;
};

static struct evs_nl_walk *evs_nl_walk(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct evs_nl_walk) > sizeof(cb->ctx));
	return (struct evs_nl_walk *)cb->ctx;
}

/* Begin a dump of what is named, and of all where nothing is. */
static int evs_nl_walk_start(struct netlink_callback *cb, const struct evs_nl_names *names,
			     bool may_group)
{
	const struct genl_info *info = genl_info_dump(cb);
	struct evs_nl_walk *walk = evs_nl_walk(cb);
	struct evs_nl_group in = {};
	bool group;
	int err;

	if (!info->attrs)
		return 0;
	group = may_group && info->attrs[names->group];
	if (!group && !info->attrs[names->topic])
		return 0;
	if (group) {
		err = evs_nl_find_group(info, names, &in);
		if (err)
			return err;
		walk->group = in.g->id;
		walk->one_group = true;
	} else {
		in.t = evs_nl_find(info, names->topic);
		if (IS_ERR(in.t))
			return PTR_ERR(in.t);
	}
	walk->topic = evs_topic_id(in.t);
	walk->one_topic = true;
	evs_nl_put_group(&in);
	return 0;
}

/* On to the group @id, or the one behind it. */
static void evs_nl_walk_on(struct evs_nl_walk *walk, u32 id)
{
	if (id != walk->group) {
		walk->group = id;
		walk->item = 0;
	}
}

/* The group that comes next: evs_nl_put_group() it. False: there is none. */
static bool evs_nl_walk_next(struct evs_nl_walk *walk, struct evs_nl_group *in)
{
	while (!walk->done && (in->t = evs_topic_next(walk->topic))) {
		if (evs_topic_id(in->t) != walk->topic) {
			if (walk->one_topic)
				break;
			walk->topic = evs_topic_id(in->t);
			evs_nl_walk_on(walk, 0);
		}
		in->g = evs_group_next(in->t, walk->group);
		if (in->g && walk->one_group && in->g->id != walk->group) {
			evs_group_put(in->g);
			break;
		}
		if (in->g) {
			evs_nl_walk_on(walk, in->g->id);
			return true;
		}
		if (walk->one_topic)
			break;
		evs_topic_put(in->t);
		walk->topic++;
		evs_nl_walk_on(walk, 0);
	}
	if (!walk->done && in->t)
		evs_topic_put(in->t);
	return false;
}

/* Show all groups by @show, which shows one, and goes on where it stopped. */
static int evs_nl_walk_all(struct sk_buff *skb, struct netlink_callback *cb,
			   int (*show)(struct sk_buff *skb, struct netlink_callback *cb,
				       struct evs_nl_group *in))
{
	struct evs_nl_walk *walk = evs_nl_walk(cb);
	struct evs_nl_group in = {};
	int err = 0;

	while (!err && evs_nl_walk_next(walk, &in)) {
		err = show(skb, cb, &in);
		if (!err) {
			walk->done = walk->one_group;
			evs_nl_walk_on(walk, walk->group + 1);
		}
		evs_nl_put_group(&in);
	}
	return err;
}

static int evs_nl_show_group(struct sk_buff *skb, struct netlink_callback *cb,
			     struct evs_nl_group *in)
{
	evs_group_info(in->g, &in->info);
	return evs_nl_dump_row(skb, cb, evs_nl_fill_group, in);
}

static int evs_nl_show_members(struct sk_buff *skb, struct netlink_callback *cb,
			       struct evs_nl_group *in)
{
	struct evs_nl_member m = { .in.t = in->t, .in.g = in->g };
	struct evs_nl_walk *walk = evs_nl_walk(cb);
	int err = 0;

	while (!err && evs_group_member(in->g, walk->item, &m.info)) {
		err = evs_nl_dump_row(skb, cb, evs_nl_fill_member, &m);
		put_pid(m.info.pid);
		if (!err)
			walk->item = m.info.id + 1;
	}
	return err;
}

static int evs_nl_show_offsets(struct sk_buff *skb, struct netlink_callback *cb,
			       struct evs_nl_group *in)
{
	struct evs_nl_offset o = { .in.t = in->t, .in.g = in->g };
	struct evs_nl_walk *walk = evs_nl_walk(cb);
	int err = 0;

	while (!err && walk->item < in->t->partitions) {
		/* Where there is no such group any more there is nothing to show. */
		if (evs_group_offset(in->g, walk->item, &o.info))
			break;
		o.partition = walk->item;
		err = evs_nl_dump_row(skb, cb, evs_nl_fill_offset, &o);
		if (!err)
			walk->item++;
	}
	return err;
}

int evstream_nl_group_get_start(struct netlink_callback *cb)
{
	return evs_nl_walk_start(cb, &evs_nl_of_group, false);
}

int evstream_nl_group_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return evs_nl_walk_all(skb, cb, evs_nl_show_group);
}

int evstream_nl_member_get_start(struct netlink_callback *cb)
{
	return evs_nl_walk_start(cb, &evs_nl_of_member, true);
}

int evstream_nl_member_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return evs_nl_walk_all(skb, cb, evs_nl_show_members);
}

int evstream_nl_group_offset_get_start(struct netlink_callback *cb)
{
	return evs_nl_walk_start(cb, &evs_nl_of_offset, true);
}

int evstream_nl_group_offset_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return evs_nl_walk_all(skb, cb, evs_nl_show_offsets);
}

/* ----------------------------------------------------------- notifications */

/**
 * struct evs_nl_event - what happened to a group
 * @t: its topic
 * @g: the group
 * @m: the member that joined or left, or NULL
 */
struct evs_nl_event {
	const struct evs_topic *t;
	const struct evs_group *g;
	const struct evs_member *m;
};

static int evs_nl_fill_group_event(struct sk_buff *msg, const void *row)
{
	const struct evs_nl_event *e = row;

	if (nla_put_string(msg, EVSTREAM_A_GROUP_TOPIC, e->t->config.name) ||
	    nla_put_string(msg, EVSTREAM_A_GROUP_NAME, e->g->name) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_ID, e->g->id) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_KIND, evs_nl_kind(e->g->queue)) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_MEMBERS, e->g->nr_members) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_GENERATION, e->g->generation) ||
	    nla_put_u32(msg, EVSTREAM_A_GROUP_MOVING, e->g->moving))
		return -EMSGSIZE;
	return 0;
}

/* One message goes to all listeners: numbers are those of the initial namespaces. */
static int evs_nl_fill_member_event(struct sk_buff *msg, const void *row)
{
	const struct evs_nl_event *e = row;

	if (nla_put_string(msg, EVSTREAM_A_MEMBER_TOPIC, e->t->config.name) ||
	    nla_put_string(msg, EVSTREAM_A_MEMBER_GROUP, e->g->name) ||
	    nla_put_u32(msg, EVSTREAM_A_MEMBER_ID, e->m->id) ||
	    evs_nl_put_some32(msg, EVSTREAM_A_MEMBER_PID, pid_nr(e->m->pid)) ||
	    nla_put_u32(msg, EVSTREAM_A_MEMBER_UID,
			from_kuid_munged(&init_user_ns, e->m->uid)) ||
	    nla_put_string(msg, EVSTREAM_A_MEMBER_COMM, e->m->comm) ||
	    nla_put_u32(msg, EVSTREAM_A_MEMBER_GENERATION, e->g->generation) ||
	    nla_put_u32(msg, EVSTREAM_A_MEMBER_MEMBERS, e->g->nr_members))
		return -EMSGSIZE;
	return 0;
}

static void evs_nl_group_event(const struct evs_topic *t, const struct evs_group *g,
			       const struct evs_member *m, enum evs_group_event event)
{
	static const u8 cmds[] = {
		[EVS_GROUP_NEW]		= EVSTREAM_CMD_GROUP_NEW_NTF,
		[EVS_GROUP_DEL]		= EVSTREAM_CMD_GROUP_DEL_NTF,
		[EVS_GROUP_JOIN]	= EVSTREAM_CMD_GROUP_JOIN_NTF,
		[EVS_GROUP_LEAVE]	= EVSTREAM_CMD_GROUP_LEAVE_NTF,
		[EVS_GROUP_REBALANCE]	= EVSTREAM_CMD_GROUP_REBALANCE_NTF,
	};
	bool member = event == EVS_GROUP_JOIN || event == EVS_GROUP_LEAVE;
	struct evs_nl_event row = { .t = t, .g = g, .m = m };

	evs_nl_multicast(cmds[event], EVSTREAM_NLGRP_GROUPS, NLMSG_GOODSIZE,
			 member ? evs_nl_fill_member_event : evs_nl_fill_group_event, &row);
}

/**
 * evs_netlink_watch_groups() - tell listeners what happens to groups
 * @on: from now on; false: no more
 */
void evs_netlink_watch_groups(bool on)
{
	evs_group_on_event(on ? evs_nl_group_event : NULL);
}
