// SPDX-License-Identifier: GPL-2.0-only
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/evstream_netlink.h>

#include "bench.h"

static struct nl_sock *sock;
static int family;

static void nl_die(const char *what, int err)
{
	fprintf(stderr, "%s: %s: %s\n", bench_name, what, nl_geterror(err));
	exit(1);
}

static int acked(struct nl_msg *msg __attribute__((unused)), void *done)
{
	*(bool *)done = true;
	return NL_OK;
}

static void connect_once(void)
{
	if (sock)
		return;
	sock = nl_socket_alloc();
	if (!sock || genl_connect(sock))
		die("netlink");
	family = genl_ctrl_resolve(sock, EVSTREAM_FAMILY_NAME);
	if (family < 0)
		nl_die(EVSTREAM_FAMILY_NAME, family);
}

void request(unsigned char cmd, const char *name, unsigned int partitions, const char *dir)
{
	struct nl_msg *msg = nlmsg_alloc();
	bool done = false;
	int ret;

	connect_once();
	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_ACK, cmd,
				 EVSTREAM_FAMILY_VERSION) ||
	    nla_put_string(msg, EVSTREAM_A_TOPIC_NAME, name) ||
	    (partitions && nla_put_u32(msg, EVSTREAM_A_TOPIC_PARTITIONS, partitions)) ||
	    (dir && nla_put_string(msg, EVSTREAM_A_TOPIC_DIR, dir)))
		nl_die("message", NLE_NOMEM);
	nl_socket_modify_cb(sock, NL_CB_ACK, NL_CB_CUSTOM, acked, &done);
	ret = nl_send_auto(sock, msg);
	nlmsg_free(msg);
	/* There can be an answer, in front of the acknowledgment. */
	while (ret >= 0 && !done)
		ret = nl_recvmsgs_default(sock);
	if (ret < 0)
		nl_die(name, ret);
}
