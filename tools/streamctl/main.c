// SPDX-License-Identifier: GPL-2.0
/* streamctl: topics of evstream, and what is in them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "streamctl.h"

bool json_output;

static void print_json_error(int err, const char *reason, const char *attr,
			     const char *text)
{
	struct buf out = {};
	struct json j = { .out = &out };

	json_object(&j, NULL);
	json_str(&j, "error", text);
	if (err)
		json_int(&j, "errno", err);
	if (reason)
		json_str(&j, "reason", reason);
	if (attr)
		json_str(&j, "attribute", attr);
	json_end_object(&j);
	flush_output(&out);
	buf_free(&out);
}

/* Returns EXIT_USAGE. */
int usage_error(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (json_output)
		print_json_error(0, NULL, NULL, text);
	else
		fprintf(stderr, "streamctl: %s\n", text);
	return EXIT_USAGE;
}

/**
 * print_error() - say that something was refused
 * @err: the errno
 * @reason: the kernel's words, or NULL
 * @attr: what they are about, or NULL
 * @what: what was tried
 *
 * Return: EXIT_KERNEL.
 */
int print_error(int err, const char *reason, const char *attr, const char *what)
{
	struct buf text = {};

	buf_printf(&text, "%s: %s", what, strerror(err));
	if (reason)
		buf_printf(&text, ": %s", reason);
	if (attr)
		buf_printf(&text, " (%s)", attr);
	buf_putc(&text, '\0');
	if (json_output)
		print_json_error(err, reason, attr, text.data);
	else
		fprintf(stderr, "streamctl: %s\n", text.data);
	buf_free(&text);
	return EXIT_KERNEL;
}

/* print_error() without the kernel's words. */
int sys_error(int err, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return print_error(err, NULL, NULL, text);
}

int write_all(int fd, const void *data, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	const char *p = data;
	ssize_t n;

	while (len) {
		n = write(fd, p, len);
		if (n < 0 && errno == EAGAIN) {
			poll(&pfd, 1, -1);
			continue;
		}
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* To standard output; a reader that has gone is told by SIGPIPE. */
int flush_output(struct buf *b)
{
	int err = write_all(STDOUT_FILENO, b->data, b->len);

	b->len = 0;
	if (err) {
		fprintf(stderr, "streamctl: standard output: %s\n", strerror(-err));
		return EXIT_KERNEL;
	}
	return EXIT_OK;
}

int print_usage(const struct command *cmd)
{
	printf("Usage: streamctl %s\n", cmd->usage);
	return EXIT_OK;
}

/* What an option that all have asks for: OPTION_DONE, or the exit code. */
int common_option(int opt, const struct command *cmd, char **argv)
{
	switch (opt) {
	case 'j':
		json_output = true;
		return OPTION_DONE;
	case 'h':
		return print_usage(cmd);
	case ':':
		return usage_error("%s: its value is missing; usage: streamctl %s",
				   argv[optind - 1], cmd->usage);
	default:
		return usage_error("%s: no such option; usage: streamctl %s",
				   argv[optind - 1], cmd->usage);
	}
}

/**
 * no_options() - take the options of a verb that has none of its own
 * @cmds: the object's verbs
 * @argc: the verb and what follows it
 * @argv: the same
 * @min: how many operands it takes at the least
 * @max: ... and at the most; -1: any number
 *
 * Return: OPTION_DONE, or the exit code.
 */
int no_options(const struct command *cmds, int argc, char **argv, int min, int max)
{
	static const struct option options[] = { OPTION_JSON, OPTION_HELP, { } };
	const struct command *cmd = find_command(cmds, argv[0]);
	int opt, status;

	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS, options, NULL)) != -1) {
		status = common_option(opt, cmd, argv);
		if (status != OPTION_DONE)
			return status;
	}
	if (argc - optind < min || (max >= 0 && argc - optind > max))
		return usage_error("usage: streamctl %s", cmd->usage);
	return OPTION_DONE;
}

/* One that is there. */
const struct command *find_command(const struct command *cmds, const char *name)
{
	while (strcmp(cmds->name, name))
		cmds++;
	return cmds;
}

int run_command(const struct command *cmds, const char *object, int argc,
		char **argv)
{
	const struct command *cmd;
	bool help;

	if (argc < 1)
		return usage_error("%s: what? See 'streamctl %s help'", object,
				   object);
	help = !strcmp(argv[0], "help") || !strcmp(argv[0], "-h") ||
	       !strcmp(argv[0], "--help");
	for (cmd = cmds; cmd->name; cmd++) {
		if (help) {
			printf("%s streamctl %s\n", cmd == cmds ? "Usage:" : "      ",
			       cmd->usage);
		} else if (!strcmp(argv[0], cmd->name)) {
			/* 0, not 1: permuting starts anew, too. */
			optind = 0;
			return cmd->run(argc, argv);
		}
	}
	if (help)
		return EXIT_OK;
	return usage_error("'%s %s' is not known: see 'streamctl %s help'",
			   object, argv[0], object);
}

static const struct object {
	const char *name;
	const struct command *commands;
} objects[] = {
	{ "topic", topic_commands },
	{ "group", group_commands },
};

static const struct command *const direct[] = {
	&produce_command, &consume_command, &monitor_command, &restore_command,
};

static int help(void)
{
	const struct command *cmd;
	size_t i;

	puts("Usage: streamctl [-j] COMMAND ...\n\n"
	     "Topics of evstream, the event log in the kernel, and what is in them.\n"
	     "Exit codes: 0 done, 1 wrong usage, 2 the kernel refused.\n");
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		for (cmd = objects[i].commands; cmd->name; cmd++)
			printf("  %s\n", cmd->usage);
	for (i = 0; i < ARRAY_SIZE(direct); i++)
		printf("  %s\n", direct[i]->usage);
	puts("\n  -j, --json     print JSON\n"
	     "  -V, --version  print the version\n"
	     "\n"
	     "SIZE takes K, M or G; TIME takes ms, s, m, h or d. See streamctl(1).");
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "version", no_argument, NULL, 'V' },
		OPTION_JSON, OPTION_HELP, { }
	};
	size_t i;
	int opt;

	opterr = 0;
	while ((opt = getopt_long(argc, argv, "+" COMMON_OPTIONS "V", options,
				  NULL)) != -1) {
		switch (opt) {
		case 'j':
			json_output = true;
			break;
		case 'V':
			puts("streamctl " STREAMCTL_VERSION);
			return EXIT_OK;
		case 'h':
			return help();
		default:
			return usage_error("%s: no such option; see 'streamctl help'",
					   argv[optind - 1]);
		}
	}
	argc -= optind;
	argv += optind;
	if (!argc)
		return usage_error("what? See 'streamctl help'");
	if (!strcmp(argv[0], "help"))
		return help();
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		if (!strcmp(argv[0], objects[i].name))
			return run_command(objects[i].commands, objects[i].name, argc - 1,
					   argv + 1);
	for (i = 0; i < ARRAY_SIZE(direct); i++) {
		if (!strcmp(argv[0], direct[i]->name)) {
			if (argc > 1 && !strcmp(argv[1], "help"))
				return print_usage(direct[i]);
			optind = 0;
			return direct[i]->run(argc, argv);
		}
	}
	return usage_error("'%s' is not known: see 'streamctl help'", argv[0]);
}
