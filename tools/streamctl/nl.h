/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_NL_H
#define STREAMCTL_NL_H

#include <stdbool.h>
#include <stdint.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "buf.h"

/* No attribute set of the family is larger. */
#define NL_ATTRS	32

/* Takes the attributes of one message. */
typedef void (*nl_row_fn)(struct nlattr **attrs, void *arg);

bool nl_loaded(void);
struct nl_msg *nl_request(uint8_t cmd, int flags);
void nl_add_uint(struct nl_msg *msg, int attr, uint64_t value);
void nl_add_u32(struct nl_msg *msg, int attr, uint32_t value);
void nl_add_string(struct nl_msg *msg, int attr, const char *value);
struct nlattr *nl_make_string(int attr, const char *value);
int __printf(5, 6) nl_call(struct nl_msg *msg, nl_row_fn row, void *arg,
			   const char *(*attr_name)(int attr), const char *fmt, ...);
uint64_t nl_uint(const struct nlattr *attr);
int nl_not_loaded(void);
int nl_monitor(int (*event)(uint8_t cmd, struct nlattr **attrs));

#endif /* STREAMCTL_NL_H */
