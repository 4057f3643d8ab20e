// SPDX-License-Identifier: GPL-2.0
/* streamctl monitor: what happens to topics and groups, as it happens */
#include "group.h"
#include "nl.h"
#include "streamctl.h"
#include "topic.h"

static struct buf output;
static struct json json = { .out = &output };

/* Events, and what they are about. */
static const struct event {
	uint8_t cmd;
	const char *name;
	const struct field *fields;
} events[] = {
	{ EVSTREAM_CMD_TOPIC_NEW_NTF, "topic-new", topic_fields },
	{ EVSTREAM_CMD_TOPIC_DEL_NTF, "topic-del", topic_fields },
	{ EVSTREAM_CMD_TOPIC_SET_NTF, "topic-set", topic_fields },
	{ EVSTREAM_CMD_PARTITION_ERROR_NTF, "partition-error", partition_fields },
	{ EVSTREAM_CMD_GROUP_NEW_NTF, "group-new", group_event_fields },
	{ EVSTREAM_CMD_GROUP_DEL_NTF, "group-del", group_event_fields },
	{ EVSTREAM_CMD_GROUP_JOIN_NTF, "group-join", member_event_fields },
	{ EVSTREAM_CMD_GROUP_LEAVE_NTF, "group-leave", member_event_fields },
	{ EVSTREAM_CMD_GROUP_REBALANCE_NTF, "group-rebalance", group_event_fields },
};

static int print_event(uint8_t cmd, struct nlattr **attrs)
{
	const struct event *e = events;
	const struct field *f;
	bool first = true;

	/* A newer kernel's are none of ours. */
	while (e->cmd != cmd)
		if (++e == events + ARRAY_SIZE(events))
			return EXIT_OK;
	if (json_output) {
		json_object(&json, NULL);
		json_str(&json, "event", e->name);
		object_json(&json, e->fields, attrs);
		json_end_object(&json);
	} else {
		buf_puts(&output, e->name);
		for (f = e->fields; f->attr; f++) {
			/* The name comes first, and says what it is by itself. */
			if (!attrs[f->attr] || !(first || f->flags & FIELD_COLUMN))
				continue;
			if (first)
				buf_putc(&output, ' ');
			else
				buf_printf(&output, " %s ", f->title);
			first = false;
			field_print(&output, f, attrs[f->attr]);
		}
		buf_putc(&output, '\n');
	}
	return flush_output(&output);
}

static int monitor(int argc, char **argv)
{
	static const struct option options[] = { OPTION_JSON, OPTION_HELP, { } };
	int opt, status;

	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS, options, NULL)) != -1) {
		status = common_option(opt, &monitor_command, argv);
		if (status != OPTION_DONE)
			return status;
	}
	if (optind != argc)
		return usage_error("usage: streamctl %s", monitor_command.usage);
	return nl_monitor(print_event);
}

const struct command monitor_command = { "monitor", monitor, "monitor" };
