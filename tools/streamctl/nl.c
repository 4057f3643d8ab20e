// SPDX-License-Identifier: GPL-2.0
/*
 * Requests to the kernel, and what it says of those it refuses.
 *
 * libnl folds the kernel's errors into its own codes and drops the kernel's words;
 * so errors and the ends of dumps are taken apart here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "nl.h"
#include "streamctl.h"

/*
 * NLMSGERR_ATTR_MISS_TYPE is of Linux 6.1: the headers of Ubuntu 22.04, of 5.15, lack
 * it, and an enum is nothing that #ifdef sees.
 */
#define ATTR_MISS_TYPE	5

static struct nl_sock *sock;
static int family;

/**
 * struct nl_fault - why a request failed
 * @err: errno, 0: it did not
 * @reason: the kernel's words, may be empty
 * @attr: the attribute they are about, 0: none
 * @request: the request
 */
struct nl_fault {
	int err;
	char reason[256];
	int attr;
	const struct nlmsghdr *request;
};

struct nl_reply {
	nl_row_fn row;
	void *arg;
	bool done;
	struct nl_fault fault;
};

int nl_not_loaded(void)
{
	if (json_output)
		return print_error(ENODEV, "modprobe evstream", NULL,
				   "evstream is not loaded");
	fputs("streamctl: evstream is not loaded: modprobe evstream\n", stderr);
	return EXIT_KERNEL;
}

/* 0, or -errno; -ENODEV: there is no such family. */
static int connect_family(struct nl_sock **out)
{
	struct nl_sock *s;
	int on = 1;

	s = nl_socket_alloc();
	if (!s)
		return -ENOMEM;
	if (genl_connect(s) < 0) {
		nl_socket_free(s);
		return -EPROTONOSUPPORT;
	}
	/* Words for people; older kernels do without. */
	setsockopt(nl_socket_get_fd(s), SOL_NETLINK, NETLINK_EXT_ACK, &on,
		   sizeof(on));
	setsockopt(nl_socket_get_fd(s), SOL_NETLINK, NETLINK_CAP_ACK, &on,
		   sizeof(on));
	family = genl_ctrl_resolve(s, EVSTREAM_FAMILY_NAME);
	if (family < 0) {
		nl_socket_free(s);
		return -ENODEV;
	}
	*out = s;
	return 0;
}

bool nl_loaded(void)
{
	return sock || !connect_family(&sock);
}

/* Returns an exit code; says what is wrong. */
static int nl_open(void)
{
	int err;

	if (sock)
		return EXIT_OK;
	err = connect_family(&sock);
	if (err == -ENODEV)
		return nl_not_loaded();
	if (err)
		return sys_error(-err, "generic netlink");
	return EXIT_OK;
}

static void must_fit(int err)
{
	if (err < 0) {
		fputs("streamctl: out of memory\n", stderr);
		exit(EXIT_KERNEL);
	}
}

/* For nl_call(). */
struct nl_msg *nl_request(uint8_t cmd, int flags)
{
	/* For any word that was given; the kernel says what it thinks of it. */
	struct nl_msg *msg = nlmsg_alloc_size(1 << 17);

	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, 0, 0, flags, cmd,
				 EVSTREAM_FAMILY_VERSION))
		must_fit(-1);
	return msg;
}

/* A "uint" of the specification: as wide as it must be. */
void nl_add_uint(struct nl_msg *msg, int attr, uint64_t value)
{
	if (value <= UINT32_MAX)
		must_fit(nla_put_u32(msg, attr, (uint32_t)value));
	else
		must_fit(nla_put_u64(msg, attr, value));
}

void nl_add_u32(struct nl_msg *msg, int attr, uint32_t value)
{
	must_fit(nla_put_u32(msg, attr, value));
}

/* For rows: an attribute of ours beside the kernel's, to be freed. */
struct nlattr *nl_make_string(int attr, const char *value)
{
	size_t size = strlen(value) + 1;
	struct nlattr *nla;

	if (size > 4096)
		return NULL;
	nla = xrealloc(NULL, NLA_HDRLEN + size);
	nla->nla_type = (uint16_t)attr;
	nla->nla_len = (uint16_t)(NLA_HDRLEN + size);
	memcpy((char *)nla + NLA_HDRLEN, value, size);
	return nla;
}

void nl_add_string(struct nl_msg *msg, int attr, const char *value)
{
	must_fit(nla_put_string(msg, attr, value));
}

uint64_t nl_uint(const struct nlattr *attr)
{
	switch (nla_len(attr)) {
	case sizeof(uint64_t):
		return nla_get_u64(attr);
	case sizeof(uint32_t):
		return nla_get_u32(attr);
	default:
		return 0;
	}
}

/* Which attribute of the request is at @offset. */
static int attr_at(const struct nlmsghdr *request, uint32_t offset)
{
	const struct nlattr *attr;
	int rest;

	nla_for_each_attr(attr, genlmsg_attrdata(nlmsg_data(request), 0),
			  genlmsg_attrlen(nlmsg_data(request), 0), rest)
		if ((const char *)attr - (const char *)request == (long)offset)
			return nla_type(attr);
	return 0;
}

static void parse_fault(struct nl_fault *fault, const struct nlattr *attrs, int len)
{
	const struct nlattr *attr;
	int rest;

	nla_for_each_attr(attr, attrs, len, rest) {
		switch (nla_type(attr)) {
		case NLMSGERR_ATTR_MSG:
			snprintf(fault->reason, sizeof(fault->reason), "%.*s",
				 nla_len(attr), (const char *)nla_data(attr));
			break;
		case NLMSGERR_ATTR_OFFS:
			fault->attr = attr_at(fault->request, nla_get_u32(attr));
			break;
		case ATTR_MISS_TYPE:
			fault->attr = (int)nla_get_u32(attr);
			break;
		}
	}
}

static int on_error(struct sockaddr_nl *addr, struct nlmsgerr *e, void *arg)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)e - 1;
	struct nl_reply *reply = arg;
	size_t skip = sizeof(*e);

	(void)addr;
	reply->done = true;
	reply->fault.err = -e->error;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(e->msg);
	skip = NLMSG_ALIGN(skip);
	if ((nlh->nlmsg_flags & NLM_F_ACK_TLVS) &&
	    nlh->nlmsg_len > NLMSG_HDRLEN + skip)
		parse_fault(&reply->fault,
			    (const struct nlattr *)((const char *)e + skip),
			    (int)(nlh->nlmsg_len - NLMSG_HDRLEN - skip));
	return NL_STOP;
}

/* A dump that fails ends as any other, but for a number in its last message. */
static int on_finish(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct nl_reply *reply = arg;
	int err = 0;

	reply->done = true;
	if (nlmsg_datalen(nlh) >= (int)sizeof(err))
		memcpy(&err, nlmsg_data(nlh), sizeof(err));
	if (err >= 0)
		return NL_STOP;
	reply->fault.err = -err;
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		parse_fault(&reply->fault,
			    (const struct nlattr *)((char *)nlmsg_data(nlh) +
						    NLMSG_ALIGN(sizeof(err))),
			    nlmsg_datalen(nlh) - (int)NLMSG_ALIGN(sizeof(err)));
	return NL_STOP;
}

/* With what there is to be said of a success. */
static int on_ack(struct nl_msg *msg, void *arg)
{
	return on_error(NULL, nlmsg_data(nlmsg_hdr(msg)), arg);
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct nlattr *attrs[NL_ATTRS + 1];
	struct nl_reply *reply = arg;

	if (!reply->row)
		return NL_OK;
	if (genlmsg_parse(nlmsg_hdr(msg), 0, attrs, NL_ATTRS, NULL) < 0)
		return NL_SKIP;
	reply->row(attrs, reply->arg);
	return NL_OK;
}

/**
 * nl_call() - send a request and take its answer
 * @msg: the request, freed here
 * @row: called for each message of the answer, may be NULL
 * @arg: for @row
 * @attr_name: how attributes are called
 * @fmt: what is tried, for the error
 *
 * Return: an exit code; what is wrong was said.
 */
int nl_call(struct nl_msg *msg, nl_row_fn row, void *arg,
	    const char *(*attr_name)(int attr), const char *fmt, ...)
{
	struct nl_reply reply = { .row = row, .arg = arg };
	struct nl_cb *cb;
	char what[512];
	va_list ap;
	int err;

	err = nl_open();
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);

	cb = nl_cb_alloc(NL_CB_DEFAULT);
	if (!cb)
		must_fit(-1);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &reply);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, &reply);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, &reply);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &reply);

	nlmsg_hdr(msg)->nlmsg_type = (uint16_t)family;
	reply.fault.request = nlmsg_hdr(msg);
	err = nl_send_auto(sock, msg);
	while (err >= 0 && !reply.done)
		err = nl_recvmsgs(sock, cb);
	if (err < 0 && !reply.fault.err) {
		reply.fault.err = EIO;
		snprintf(reply.fault.reason, sizeof(reply.fault.reason), "%s",
			 nl_geterror(err));
	}
	nl_cb_put(cb);
	nlmsg_free(msg);

	if (!reply.fault.err) {
		if (reply.fault.reason[0])
			fprintf(stderr, "streamctl: warning: %s: %s\n",
				strncmp(what, "cannot ", 7) ? what : what + 7,
				reply.fault.reason);
		return EXIT_OK;
	}
	return print_error(reply.fault.err,
			   reply.fault.reason[0] ? reply.fault.reason : NULL,
			   reply.fault.attr ? attr_name(reply.fault.attr) : NULL,
			   what);
}

struct nl_listener {
	int (*event)(uint8_t cmd, struct nlattr **attrs);
	int status;
};

/* The status of a monitor that goes on. */
#define LISTENING	(-1)

/* The family goes when the module does, and nothing else would say so. */
static void on_family(struct nl_msg *msg, struct nl_listener *listener)
{
	struct genlmsghdr *hdr = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *attrs[CTRL_ATTR_MAX + 1];

	if (hdr->cmd != CTRL_CMD_DELFAMILY ||
	    genlmsg_parse(nlmsg_hdr(msg), 0, attrs, CTRL_ATTR_MAX, NULL) < 0 ||
	    !attrs[CTRL_ATTR_FAMILY_ID] ||
	    nla_get_u16(attrs[CTRL_ATTR_FAMILY_ID]) != family)
		return;
	listener->status = print_error(ENODEV, NULL, NULL, "evstream was unloaded");
}

static int on_event(struct nl_msg *msg, void *arg)
{
	struct genlmsghdr *hdr = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *attrs[NL_ATTRS + 1];
	struct nl_listener *listener = arg;

	if (nlmsg_hdr(msg)->nlmsg_type == GENL_ID_CTRL) {
		on_family(msg, listener);
	} else if (nlmsg_hdr(msg)->nlmsg_type == family &&
		   genlmsg_parse(nlmsg_hdr(msg), 0, attrs, NL_ATTRS, NULL) >= 0 &&
		   listener->event(hdr->cmd, attrs)) {
		listener->status = EXIT_KERNEL;
	}
	return listener->status == LISTENING ? NL_OK : NL_STOP;
}

/**
 * nl_monitor() - listen to notifications
 * @event: called for each, not 0 stops
 *
 * Return: an exit code.
 */
int nl_monitor(int (*event)(uint8_t cmd, struct nlattr **attrs))
{
	struct nl_listener listener = { .event = event, .status = LISTENING };
	int topics, groups, err;

	err = nl_open();
	if (err)
		return err;
	topics = genl_ctrl_resolve_grp(sock, EVSTREAM_FAMILY_NAME, EVSTREAM_MCGRP_TOPICS);
	groups = genl_ctrl_resolve_grp(sock, EVSTREAM_FAMILY_NAME, EVSTREAM_MCGRP_GROUPS);
	if (topics < 0 || groups < 0)
		return nl_not_loaded();
	nl_socket_disable_seq_check(sock);
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_event, &listener);
	if (nl_socket_add_memberships(sock, topics, groups, GENL_ID_CTRL, 0) < 0)
		return sys_error(EIO, "cannot join the group of notifications");
	while (listener.status == LISTENING) {
		errno = 0;
		err = nl_recvmsgs_default(sock);
		if (err < 0 && errno == ENOBUFS)
			fputs("streamctl: notifications were lost: too many at once\n",
			      stderr);
		else if (err < 0 && errno != EINTR)
			return print_error(EIO, nl_geterror(err), NULL, "monitor");
	}
	return listener.status;
}
