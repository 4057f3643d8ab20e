// SPDX-License-Identifier: GPL-2.0
/* streamctl monitor: what happens to topics, as it happens */
#include <string.h>

#include "nl.h"
#include "streamctl.h"
#include "topic.h"

static struct buf output;
static struct json json = { .out = &output };

static const char *event_name(uint8_t cmd)
{
	switch (cmd) {
	case EVSTREAM_CMD_TOPIC_NEW_NTF:
		return "topic-new";
	case EVSTREAM_CMD_TOPIC_DEL_NTF:
		return "topic-del";
	case EVSTREAM_CMD_TOPIC_SET_NTF:
		return "topic-set";
	default:
		return "unknown";
	}
}

static int print_event(uint8_t cmd, struct nlattr **attrs)
{
	const struct field *f;

	if (json_output) {
		json_object(&json, NULL);
		json_str(&json, "event", event_name(cmd));
		object_json(&json, topic_fields, attrs);
		json_end_object(&json);
	} else {
		buf_puts(&output, event_name(cmd));
		for (f = topic_fields; f->attr; f++) {
			if (!(f->flags & FIELD_COLUMN) || !attrs[f->attr])
				continue;
			/* The name comes first, and says what it is by itself. */
			if (f->attr == EVSTREAM_A_TOPIC_NAME)
				buf_putc(&output, ' ');
			else
				buf_printf(&output, " %s ", f->title);
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
