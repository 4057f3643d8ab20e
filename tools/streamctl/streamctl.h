/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_H
#define STREAMCTL_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/evstream.h>
#include <linux/evstream_netlink.h>

#include "buf.h"

/* Exit codes. */
enum {
	EXIT_OK		= 0,
	EXIT_USAGE	= 1,
	EXIT_KERNEL	= 2,
};

/* -j was given. */
extern bool json_output;

/* In main.c */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
};

int __printf(1, 2) usage_error(const char *fmt, ...);
int __printf(2, 3) sys_error(int err, const char *fmt, ...);
int print_error(int err, const char *reason, const char *attr, const char *what);
int print_usage(const struct command *cmd);
int run_command(const struct command *cmds, const char *object, int argc,
		char **argv);
const struct command *find_command(const struct command *cmds, const char *name);
int no_options(const struct command *cmds, int argc, char **argv, int min, int max);
int common_option(int opt, const struct command *cmd, char **argv);
int write_all(int fd, const void *data, size_t len);
int flush_output(struct buf *b);

/* Options that every command has; the colon is for us to say what is wrong. */
#define COMMON_OPTIONS		":jh"
#define OPTION_JSON		{ "json", no_argument, NULL, 'j' }
#define OPTION_HELP		{ "help", no_argument, NULL, 'h' }
/* What common_option() returns for "go on". */
#define OPTION_DONE		(-1)

/* In device.c */
int device_open(const char *topic, int partition, int flags);

/* In topic.c, group.c, durable.c, monitor.c, produce.c, consume.c */
extern const struct command topic_commands[];
extern const struct command group_commands[];
extern const struct command restore_command;
extern const struct command monitor_command;
extern const struct command produce_command;
extern const struct command consume_command;

#endif /* STREAMCTL_H */
