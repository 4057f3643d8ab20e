// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: creating, changing and looking at topics. Groups are
 * in netlink-group.c.
 *
 * The family's operations run in parallel and its dumps are resumed call by
 * call; no lock is held here, the topic layer brings its own.
 */
#include <linux/build_bug.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/kdev_t.h>
#include <linux/limits.h>
#include <linux/string.h>
#include <linux/uidgid.h>
#include <net/genetlink.h>
#include <net/netlink.h>

#include "netlink.h"
#include "netlink-gen.h"
#include "topic.h"

/* How the members of a configuration are called on the wire. */
static const struct {
	u32 set;
	u16 attr;
} evs_members[] = {
	{ EVS_SET_PARTITIONS,		EVSTREAM_A_TOPIC_PARTITIONS },
	{ EVS_SET_SEGMENT_SIZE,		EVSTREAM_A_TOPIC_SEGMENT_SIZE },
	{ EVS_SET_RING_SIZE,		EVSTREAM_A_TOPIC_RING_SIZE },
	{ EVS_SET_MAX_RECORD,		EVSTREAM_A_TOPIC_MAX_RECORD },
	{ EVS_SET_FRAMING,		EVSTREAM_A_TOPIC_FRAMING },
	{ EVS_SET_FULL,			EVSTREAM_A_TOPIC_FULL_POLICY },
	{ EVS_SET_UID,			EVSTREAM_A_TOPIC_UID },
	{ EVS_SET_GID,			EVSTREAM_A_TOPIC_GID },
	{ EVS_SET_MODE,			EVSTREAM_A_TOPIC_MODE },
	{ EVS_SET_RETENTION_MS,		EVSTREAM_A_TOPIC_RETENTION_MS },
	{ EVS_SET_RETENTION_BYTES,	EVSTREAM_A_TOPIC_RETENTION_BYTES },
	{ EVS_SET_FLUSH_MS,		EVSTREAM_A_TOPIC_FLUSH_INTERVAL },
	{ EVS_SET_FLUSH_BYTES,		EVSTREAM_A_TOPIC_FLUSH_BYTES },
};

/**
 * evs_nl_may_change() - whether who asks may change anything
 * @skb: the request
 * @info: likewise
 *
 * Return: 0, or -EPERM when it was said why not.
 */
int evs_nl_may_change(struct sk_buff *skb, struct genl_info *info)
{
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	GENL_SET_ERR_MSG(info, "needs CAP_SYS_ADMIN");
	return -EPERM;
}

/* Say what the topic layer found wrong, and in which attribute. */
static int evs_nl_refuse(struct genl_info *info, const struct evs_fault *fault,
			 int err)
{
	struct nlattr *attr = NULL;
	size_t i;

	if (!fault->msg)
		return err;
	if (!fault->set)
		attr = info->attrs[EVSTREAM_A_TOPIC_NAME];
	for (i = 0; i < ARRAY_SIZE(evs_members); i++)
		if (fault->set & evs_members[i].set)
			attr = info->attrs[evs_members[i].attr];
	if (fault->set & EVS_SET_DIR)
		attr = info->attrs[EVSTREAM_A_TOPIC_DIR];
	/* A default can be at fault too, and that has no attribute. */
	if (attr)
		NL_SET_BAD_ATTR(info->extack, attr);
	GENL_SET_ERR_MSG_FMT(info, "%s", fault->msg);
	return err;
}

/**
 * evs_nl_find() - the topic that a request names
 * @info: the request
 * @name: the attribute that names it
 *
 * Return: the topic, a reference; an ERR_PTR() when it was said what is wrong.
 */
struct evs_topic *evs_nl_find(const struct genl_info *info, u16 name)
{
	struct evs_topic *t;

	if (GENL_REQ_ATTR_CHECK(info, name)) {
		GENL_SET_ERR_MSG(info, "the topic's name is missing");
		return ERR_PTR(-EINVAL);
	}
	t = evs_topic_get(nla_data(info->attrs[name]));
	if (!t) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[name],
				    "no such topic");
		return ERR_PTR(-ENOENT);
	}
	return t;
}

/* The topic that a request wants to change. */
static struct evs_topic *evs_nl_find_to_change(struct sk_buff *skb, struct genl_info *info)
{
	int err = evs_nl_may_change(skb, info);

	return err ? ERR_PTR(err) : evs_nl_find(info, EVSTREAM_A_TOPIC_NAME);
}

/**
 * evs_nl_reply() - answer a request
 * @msg: an empty message, taken; NULL: there was no memory for it
 * @info: the request
 * @fill: puts the answer into it
 * @row: for @fill
 *
 * Return: 0 or a negative errno.
 */
int evs_nl_reply(struct sk_buff *msg, struct genl_info *info, evs_nl_fill_fn fill,
		 const void *row)
{
	void *hdr;

	if (!msg)
		return -ENOMEM;
	hdr = genlmsg_iput(msg, info);
	if (!hdr || fill(msg, row)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

/**
 * evs_nl_dump_row() - add an object to a dump
 * @skb: what the dump goes into
 * @cb: the dump
 * @fill: puts the object into it
 * @row: for @fill
 *
 * Return: 0, or -EMSGSIZE: it goes with the next call.
 */
int evs_nl_dump_row(struct sk_buff *skb, struct netlink_callback *cb, evs_nl_fill_fn fill,
		    const void *row)
{
	void *hdr = genlmsg_iput(skb, genl_info_dump(cb));

	if (!hdr || fill(skb, row)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/**
 * evs_nl_multicast() - tell all listeners of something
 * @cmd: the notification
 * @group: an EVSTREAM_NLGRP_*
 * @size: bytes it may need
 * @fill: puts it into a message
 * @row: for @fill
 *
 * It is lost where memory is short, as netlink notifications are.
 */
void evs_nl_multicast(u8 cmd, unsigned int group, size_t size, evs_nl_fill_fn fill,
		      const void *row)
{
	struct sk_buff *msg = genlmsg_new(size, GFP_KERNEL);
	void *hdr;

	if (!msg)
		return;
	hdr = genlmsg_put(msg, 0, 0, &evstream_nl_family, 0, cmd);
	if (!hdr || fill(msg, row)) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_end(msg, hdr);
	genlmsg_multicast_allns(&evstream_nl_family, msg, 0, group);
}

static int evs_nl_parse_owner(struct genl_info *info,
			      struct evs_topic_config *cfg)
{
	struct nlattr *uid = info->attrs[EVSTREAM_A_TOPIC_UID];
	struct nlattr *gid = info->attrs[EVSTREAM_A_TOPIC_GID];
	struct nlattr *mode = info->attrs[EVSTREAM_A_TOPIC_MODE];

	if (uid) {
		cfg->uid = make_kuid(current_user_ns(), nla_get_u32(uid));
		if (!uid_valid(cfg->uid)) {
			NL_SET_ERR_MSG_ATTR(info->extack, uid, "no such user");
			return -EINVAL;
		}
	}
	if (gid) {
		cfg->gid = make_kgid(current_user_ns(), nla_get_u32(gid));
		if (!gid_valid(cfg->gid)) {
			NL_SET_ERR_MSG_ATTR(info->extack, gid, "no such group");
			return -EINVAL;
		}
	}
	if (mode) {
		/* Here, as the attribute is wider than a umode_t. */
		if (nla_get_u32(mode) & ~0666) {
			NL_SET_ERR_MSG_ATTR(info->extack, mode,
					    "a device's mode is of the bits 0666");
			return -EINVAL;
		}
		cfg->mode = nla_get_u32(mode);
	}
	return 0;
}

static int evs_nl_parse_config(struct genl_info *info,
			       struct evs_topic_config *cfg, u32 *given)
{
	struct nlattr **attrs = info->attrs;
	size_t i;

	*given = 0;
	for (i = 0; i < ARRAY_SIZE(evs_members); i++)
		if (attrs[evs_members[i].attr])
			*given |= evs_members[i].set;

	if (*given & EVS_SET_PARTITIONS)
		cfg->partitions =
			nla_get_u32(attrs[EVSTREAM_A_TOPIC_PARTITIONS]);
	if (*given & EVS_SET_SEGMENT_SIZE)
		cfg->segment_size =
			nla_get_uint(attrs[EVSTREAM_A_TOPIC_SEGMENT_SIZE]);
	if (*given & EVS_SET_RING_SIZE)
		cfg->ring_size = nla_get_uint(attrs[EVSTREAM_A_TOPIC_RING_SIZE]);
	if (*given & EVS_SET_MAX_RECORD)
		cfg->max_record =
			nla_get_u32(attrs[EVSTREAM_A_TOPIC_MAX_RECORD]);
	if (*given & EVS_SET_FRAMING)
		cfg->framing = nla_get_u32(attrs[EVSTREAM_A_TOPIC_FRAMING]);
	if (*given & EVS_SET_FULL)
		cfg->full = nla_get_u32(attrs[EVSTREAM_A_TOPIC_FULL_POLICY]);
	if (*given & EVS_SET_RETENTION_MS)
		cfg->retention_ms =
			nla_get_uint(attrs[EVSTREAM_A_TOPIC_RETENTION_MS]);
	if (*given & EVS_SET_RETENTION_BYTES)
		cfg->retention_bytes =
			nla_get_uint(attrs[EVSTREAM_A_TOPIC_RETENTION_BYTES]);
	if (*given & EVS_SET_FLUSH_MS)
		cfg->flush_ms =
			nla_get_uint(attrs[EVSTREAM_A_TOPIC_FLUSH_INTERVAL]);
	if (*given & EVS_SET_FLUSH_BYTES)
		cfg->flush_bytes =
			nla_get_uint(attrs[EVSTREAM_A_TOPIC_FLUSH_BYTES]);

	return evs_nl_parse_owner(info, cfg);
}

/**
 * struct evs_nl_topic - what evs_nl_fill_topic() takes
 * @t: the topic
 * @ns: the user namespace that reads its owner
 */
struct evs_nl_topic {
	struct evs_topic *t;
	struct user_namespace *ns;
};

static int evs_nl_fill_topic(struct sk_buff *skb, const void *row)
{
	struct user_namespace *ns = ((const struct evs_nl_topic *)row)->ns;
	struct evs_topic *t = ((const struct evs_nl_topic *)row)->t;
	const char *dir = evs_topic_dir(t);
	struct evs_topic_config cfg;
	u64 created_ms;

	evs_topic_config(t, &cfg, &created_ms);
	if (nla_put_u32(skb, EVSTREAM_A_TOPIC_ID, evs_topic_id(t)) ||
	    nla_put_string(skb, EVSTREAM_A_TOPIC_NAME, cfg.name) ||
	    nla_put_u32(skb, EVSTREAM_A_TOPIC_PARTITIONS, cfg.partitions) ||
	    nla_put_uint(skb, EVSTREAM_A_TOPIC_SEGMENT_SIZE,
			 cfg.segment_size) ||
	    nla_put_uint(skb, EVSTREAM_A_TOPIC_RING_SIZE, cfg.ring_size) ||
	    nla_put_u32(skb, EVSTREAM_A_TOPIC_MAX_RECORD, cfg.max_record) ||
	    nla_put_u32(skb, EVSTREAM_A_TOPIC_FRAMING, cfg.framing) ||
	    nla_put_u32(skb, EVSTREAM_A_TOPIC_FULL_POLICY, cfg.full) ||
	    nla_put_u32(skb, EVSTREAM_A_TOPIC_UID,
			from_kuid_munged(ns, cfg.uid)) ||
	    nla_put_u32(skb, EVSTREAM_A_TOPIC_GID,
			from_kgid_munged(ns, cfg.gid)) ||
	    nla_put_u32(skb, EVSTREAM_A_TOPIC_MODE, cfg.mode) ||
	    nla_put_uint(skb, EVSTREAM_A_TOPIC_RETENTION_MS,
			 cfg.retention_ms) ||
	    nla_put_uint(skb, EVSTREAM_A_TOPIC_RETENTION_BYTES,
			 cfg.retention_bytes) ||
	    nla_put_uint(skb, EVSTREAM_A_TOPIC_CREATED_MS, created_ms))
		return -EMSGSIZE;
	if (!dir)
		return 0;
	if (nla_put_string(skb, EVSTREAM_A_TOPIC_DIR, dir) ||
	    nla_put_uint(skb, EVSTREAM_A_TOPIC_FLUSH_INTERVAL, cfg.flush_ms) ||
	    nla_put_uint(skb, EVSTREAM_A_TOPIC_FLUSH_BYTES, cfg.flush_bytes))
		return -EMSGSIZE;
	return 0;
}

/**
 * struct evs_nl_partition - what evs_nl_fill_partition() takes
 * @topic: its topic's name
 * @number: which one
 * @stat: as it is now
 */
struct evs_nl_partition {
	const char *topic;
	u32 number;
	struct evs_partition_stat stat;
};

static int evs_nl_fill_partition(struct sk_buff *skb, const void *row)
{
	const struct evs_nl_partition *part = row;
	const struct evs_partition_stat *st = &part->stat;

	if (nla_put_string(skb, EVSTREAM_A_PARTITION_TOPIC, part->topic) ||
	    nla_put_u32(skb, EVSTREAM_A_PARTITION_PARTITION, part->number) ||
	    nla_put_u32(skb, EVSTREAM_A_PARTITION_DEV_MAJOR, MAJOR(st->devt)) ||
	    nla_put_u32(skb, EVSTREAM_A_PARTITION_DEV_MINOR, MINOR(st->devt)) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_START_OFFSET,
			 st->start_offset) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_END_OFFSET,
			 st->end_offset) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_START_POSITION,
			 st->start_position) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_END_POSITION,
			 st->end_position) ||
	    nla_put_u32(skb, EVSTREAM_A_PARTITION_SEGMENTS, st->segments) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_MEMORY, st->memory) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_APPENDED_RECORDS,
			 st->appended_records) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_APPENDED_BYTES,
			 st->appended_bytes) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_DROPPED_RECORDS,
			 st->dropped_records) ||
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_HOLES, st->holes) ||
	    nla_put_u32(skb, EVSTREAM_A_PARTITION_READERS, st->readers) ||
	    nla_put_u32(skb, EVSTREAM_A_PARTITION_WRITERS, st->writers))
		return -EMSGSIZE;
	if (st->first_timestamp >= 0 &&
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_FIRST_TIMESTAMP,
			 st->first_timestamp))
		return -EMSGSIZE;
	if (st->last_timestamp >= 0 &&
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_LAST_TIMESTAMP,
			 st->last_timestamp))
		return -EMSGSIZE;
	if (st->durable_offset >= 0 &&
	    (nla_put_uint(skb, EVSTREAM_A_PARTITION_DURABLE_OFFSET,
			  st->durable_offset) ||
	     nla_put_uint(skb, EVSTREAM_A_PARTITION_UNWRITTEN, st->unwritten)))
		return -EMSGSIZE;
	if (st->error &&
	    nla_put_u32(skb, EVSTREAM_A_PARTITION_ERROR, st->error))
		return -EMSGSIZE;
	if (st->cut &&
	    nla_put_uint(skb, EVSTREAM_A_PARTITION_CUT_BYTES, st->cut))
		return -EMSGSIZE;
	return 0;
}

static struct sk_buff *evs_nl_topic_msg(void)
{
	/* A directory's path may need a page of its own. */
	return genlmsg_new(NLMSG_GOODSIZE + PATH_MAX, GFP_KERNEL);
}

static int evs_nl_reply_topic(struct sk_buff *msg, struct genl_info *info,
			      struct evs_topic *t)
{
	struct evs_nl_topic row = { .t = t, .ns = current_user_ns() };

	return evs_nl_reply(msg, info, evs_nl_fill_topic, &row);
}

/* A request for a topic that is not there yet: its name. */
static int evs_nl_begin_new(struct sk_buff *skb, struct genl_info *info, char *to,
			    size_t size)
{
	struct nlattr *name = info->attrs[EVSTREAM_A_TOPIC_NAME];
	int err = evs_nl_may_change(skb, info);

	if (err)
		return err;
	if (GENL_REQ_ATTR_CHECK(info, EVSTREAM_A_TOPIC_NAME)) {
		GENL_SET_ERR_MSG(info, "the topic's name is missing");
		return -EINVAL;
	}
	if (strscpy(to, nla_data(name), size) < 0) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "a topic's name has 249 letters at the most");
		return -EINVAL;
	}
	return 0;
}

/*
 * The topic is there now, a reference, or it is not, and @err and @fault say why:
 * tell of it and answer with it. Takes @msg and @t.
 */
static int evs_nl_end_new(struct sk_buff *msg, struct genl_info *info, struct evs_topic *t,
			  int err, const struct evs_fault *fault)
{
	if (err) {
		nlmsg_free(msg);
		return evs_nl_refuse(info, fault, err);
	}
	evs_netlink_notify(t, EVSTREAM_CMD_TOPIC_NEW_NTF);
	err = evs_nl_reply_topic(msg, info, t);
	evs_topic_put(t);
	return err;
}

int evstream_nl_topic_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *dir = info->attrs[EVSTREAM_A_TOPIC_DIR];
	struct evs_topic_config cfg = {};
	struct evs_fault fault = {};
	struct evs_topic *t = NULL;
	struct sk_buff *msg;
	u32 given;
	int err;

	err = evs_nl_begin_new(skb, info, cfg.name, sizeof(cfg.name));
	if (err)
		return err;
	err = evs_nl_parse_config(info, &cfg, &given);
	if (err)
		return err;
	/* First, so that no topic is made that nobody is told of. */
	msg = evs_nl_topic_msg();
	if (!msg)
		return -ENOMEM;
	err = evs_topic_create(&cfg, given, dir ? nla_data(dir) : NULL, &t, &fault);
	return evs_nl_end_new(msg, info, t, err, &fault);
}

int evstream_nl_topic_attach_doit(struct sk_buff *skb, struct genl_info *info)
{
	char name[EVSTREAM_NAME_MAX + 1];
	struct evs_fault fault = {};
	struct evs_topic *t = NULL;
	struct sk_buff *msg;
	int err;

	err = evs_nl_begin_new(skb, info, name, sizeof(name));
	if (err)
		return err;
	if (GENL_REQ_ATTR_CHECK(info, EVSTREAM_A_TOPIC_DIR)) {
		GENL_SET_ERR_MSG(info, "the directory is missing");
		return -EINVAL;
	}
	msg = evs_nl_topic_msg();
	if (!msg)
		return -ENOMEM;
	err = evs_topic_attach(name, nla_data(info->attrs[EVSTREAM_A_TOPIC_DIR]), &t, &fault);
	return evs_nl_end_new(msg, info, t, err, &fault);
}

/* The topic is gone, or @err and @fault say why not; takes @t. */
static int evs_nl_end_del(struct genl_info *info, struct evs_topic *t, int err,
			  struct evs_fault *fault)
{
	if (err == -ENOENT)
		fault->msg = "no such topic";
	if (err)
		evs_nl_refuse(info, fault, err);
	else
		evs_netlink_notify(t, EVSTREAM_CMD_TOPIC_DEL_NTF);
	/* It is gone, but not as it should be. */
	if (!err && fault->msg)
		GENL_SET_ERR_MSG_FMT(info, "%s", fault->msg);
	evs_topic_put(t);
	return err;
}

int evstream_nl_topic_detach_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct evs_topic *t = evs_nl_find_to_change(skb, info);
	struct evs_fault fault = {};
	int err;

	if (IS_ERR(t))
		return PTR_ERR(t);
	err = evs_topic_detach(t, &fault);
	return evs_nl_end_del(info, t, err, &fault);
}

int evstream_nl_topic_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct evs_topic *t = evs_nl_find_to_change(skb, info);
	struct evs_fault fault = {};

	if (IS_ERR(t))
		return PTR_ERR(t);
	return evs_nl_end_del(info, t, evs_topic_delete(t), &fault);
}

int evstream_nl_topic_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct evs_topic *t = evs_nl_find_to_change(skb, info);
	struct evs_topic_config cfg = {};
	struct evs_fault fault = {};
	u32 set;
	int err;

	if (IS_ERR(t))
		return PTR_ERR(t);

	err = evs_nl_parse_config(info, &cfg, &set);
	if (err)
		goto out_put;
	if (!set) {
		GENL_SET_ERR_MSG(info, "nothing to set");
		err = -EINVAL;
		goto out_put;
	}

	err = evs_topic_set(t, &cfg, set, &fault);
	if (err)
		evs_nl_refuse(info, &fault, err);
	else
		evs_netlink_notify(t, EVSTREAM_CMD_TOPIC_SET_NTF);

out_put:
	evs_topic_put(t);
	return err;
}

int evstream_nl_topic_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct evs_topic *t = evs_nl_find(info, EVSTREAM_A_TOPIC_NAME);
	int err;

	if (IS_ERR(t))
		return PTR_ERR(t);
	err = evs_nl_reply_topic(evs_nl_topic_msg(), info, t);
	evs_topic_put(t);
	return err;
}

/* The partition that a request names, as it is now. */
static int evs_nl_stat(struct genl_info *info, struct evs_topic *t,
		       struct evs_nl_partition *part)
{
	struct nlattr *number = info->attrs[EVSTREAM_A_PARTITION_PARTITION];
	int err;

	if (GENL_REQ_ATTR_CHECK(info, EVSTREAM_A_PARTITION_PARTITION)) {
		GENL_SET_ERR_MSG(info, "the partition's number is missing");
		return -EINVAL;
	}
	part->topic = nla_data(info->attrs[EVSTREAM_A_PARTITION_TOPIC]);
	part->number = nla_get_u32(number);
	err = evs_topic_partition_stat(t, part->number, &part->stat);
	if (err == -ENXIO)
		NL_SET_ERR_MSG_ATTR(info->extack, number, "no such partition");
	return err;
}

int evstream_nl_partition_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct evs_topic *t = evs_nl_find(info, EVSTREAM_A_PARTITION_TOPIC);
	struct evs_nl_partition part;
	int err;

	if (IS_ERR(t))
		return PTR_ERR(t);
	err = evs_nl_stat(info, t, &part);
	if (!err)
		err = evs_nl_reply(genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL), info,
				   evs_nl_fill_partition, &part);
	evs_topic_put(t);
	return err;
}

/*
 * What a dump shows next. Ids only grow, so a topic that goes or comes between
 * two calls can neither be shown twice nor hide another one.
 */
struct evs_nl_dump {
	u32 id;
	u32 partition;
	bool one;
};

static struct evs_nl_dump *evs_nl_dump_ctx(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct evs_nl_dump) > sizeof(cb->ctx));
	return (struct evs_nl_dump *)cb->ctx;
}

int evstream_nl_topic_get_start(struct netlink_callback *cb)
{
	/* Without a policy of its own, generic netlink does not look at them. */
	if (nlmsg_attrlen(cb->nlh, GENL_HDRLEN)) {
		NL_SET_ERR_MSG(cb->extack, "a dump of topics takes no attributes");
		return -EINVAL;
	}
	return 0;
}

int evstream_nl_topic_get_dumpit(struct sk_buff *skb,
				 struct netlink_callback *cb)
{
	struct evs_nl_topic row = { .ns = current_user_ns() };
	struct evs_nl_dump *ctx = evs_nl_dump_ctx(cb);
	int err = 0;

	while (!err && (row.t = evs_topic_next(ctx->id))) {
		err = evs_nl_dump_row(skb, cb, evs_nl_fill_topic, &row);
		if (!err)
			ctx->id = evs_topic_id(row.t) + 1;
		evs_topic_put(row.t);
	}
	return err;
}

int evstream_nl_partition_get_start(struct netlink_callback *cb)
{
	const struct genl_info *info = genl_info_dump(cb);
	struct evs_nl_dump *ctx = evs_nl_dump_ctx(cb);
	struct evs_topic *t;

	if (!info->attrs || !info->attrs[EVSTREAM_A_PARTITION_TOPIC])
		return 0;

	t = evs_nl_find(info, EVSTREAM_A_PARTITION_TOPIC);
	if (IS_ERR(t))
		return PTR_ERR(t);
	ctx->id = evs_topic_id(t);
	ctx->one = true;
	evs_topic_put(t);
	return 0;
}

/* 0: all partitions of @t are shown. */
static int evs_nl_dump_partitions(struct sk_buff *skb,
				  struct netlink_callback *cb,
				  struct evs_topic *t)
{
	struct evs_nl_dump *ctx = evs_nl_dump_ctx(cb);
	struct evs_nl_partition part;
	struct evs_topic_config cfg;
	u64 created_ms;
	int err;

	evs_topic_config(t, &cfg, &created_ms);
	part.topic = cfg.name;
	while (!evs_topic_partition_stat(t, ctx->partition, &part.stat)) {
		part.number = ctx->partition;
		err = evs_nl_dump_row(skb, cb, evs_nl_fill_partition, &part);
		if (err)
			return err;
		ctx->partition++;
	}
	return 0;
}

int evstream_nl_partition_get_dumpit(struct sk_buff *skb,
				     struct netlink_callback *cb)
{
	struct evs_nl_dump *ctx = evs_nl_dump_ctx(cb);
	struct evs_topic *t;
	u32 id;
	int err;

	while ((t = evs_topic_next(ctx->id))) {
		id = evs_topic_id(t);
		if (id != ctx->id) {
			if (ctx->one) {
				evs_topic_put(t);
				break;
			}
			ctx->id = id;
			ctx->partition = 0;
		}
		err = evs_nl_dump_partitions(skb, cb, t);
		evs_topic_put(t);
		if (err || ctx->one)
			return err;
		ctx->id++;
		ctx->partition = 0;
	}
	return 0;
}

/**
 * evs_netlink_notify - tell the listeners about a topic
 * @t: the topic; it may be deleted already
 * @cmd: one of EVSTREAM_CMD_TOPIC_*_NTF
 *
 * Owners are numbers of the initial user namespace: one message goes to all
 * listeners.
 */
void evs_netlink_notify(struct evs_topic *t, u8 cmd)
{
	struct evs_nl_topic row = { .t = t, .ns = &init_user_ns };

	evs_nl_multicast(cmd, EVSTREAM_NLGRP_TOPICS, NLMSG_GOODSIZE + PATH_MAX,
			 evs_nl_fill_topic, &row);
}

/* A partition's error, in &evs_nl_partition.stat.error. */
static int evs_nl_fill_error(struct sk_buff *msg, const void *row)
{
	const struct evs_nl_partition *part = row;

	if (nla_put_string(msg, EVSTREAM_A_PARTITION_TOPIC, part->topic) ||
	    nla_put_u32(msg, EVSTREAM_A_PARTITION_PARTITION, part->number) ||
	    nla_put_u32(msg, EVSTREAM_A_PARTITION_ERROR, part->stat.error))
		return -EMSGSIZE;
	return 0;
}

/* A partition's writing has ended. */
static void evs_nl_partition_error(u32 topic_id, u32 number, int error)
{
	struct evs_nl_partition part = { .number = number, .stat.error = error };
	struct evs_topic *t = evs_topic_next(topic_id);
	struct evs_topic_config cfg;
	u64 created_ms;

	if (!t)
		return;
	if (evs_topic_id(t) == topic_id) {
		evs_topic_config(t, &cfg, &created_ms);
		part.topic = cfg.name;
		evs_nl_multicast(EVSTREAM_CMD_PARTITION_ERROR_NTF, EVSTREAM_NLGRP_TOPICS,
				 NLMSG_GOODSIZE, evs_nl_fill_error, &part);
	}
	evs_topic_put(t);
}

/**
 * evs_netlink_init - register the family
 *
 * The last step of loading: requests come in from here on.
 *
 * Return: 0 or a negative errno.
 */
int __init evs_netlink_init(void)
{
	int err = genl_register_family(&evstream_nl_family);

	if (err)
		return err;
	evs_topic_on_error(evs_nl_partition_error);
	evs_netlink_watch_groups(true);
	return 0;
}

/**
 * evs_netlink_exit - unregister the family
 *
 * On return no request or dump runs any more.
 */
void evs_netlink_exit(void)
{
	/* There is no topic left that could call. */
	evs_netlink_watch_groups(false);
	evs_topic_on_error(NULL);
	genl_unregister_family(&evstream_nl_family);
}
