// SPDX-License-Identifier: GPL-2.0
/* streamctl group: list, show, seek, delete */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <linux/netlink.h>

#include "group.h"
#include "nl.h"
#include "object.h"
#include "parse.h"
#include "streamctl.h"

/* Not the kernel's: what we find out about a member. */
#define A_MEMBER_CGROUP_PATH	(NL_ATTRS - 1)

static const char *const kinds[] = { "consumer", "queue", NULL };
static const char *const states[] = { "empty", "stable", "rebalancing", NULL };

static const struct field group_fields[] = {
	{ EVSTREAM_A_GROUP_TOPIC, FIELD_STRING, FIELD_COLUMN, "topic", "topic", NULL },
	{ EVSTREAM_A_GROUP_NAME, FIELD_STRING, FIELD_COLUMN, "name", "group", NULL },
	{ EVSTREAM_A_GROUP_ID, FIELD_NUMBER, 0, "id", "id", NULL },
	{ EVSTREAM_A_GROUP_KIND, FIELD_ENUM, FIELD_COLUMN, "kind", "kind", kinds },
	{ EVSTREAM_A_GROUP_STATE, FIELD_ENUM, FIELD_COLUMN, "state", "state", states },
	{ EVSTREAM_A_GROUP_MEMBERS, FIELD_NUMBER, FIELD_COLUMN,
	  "members", "members", NULL },
	{ EVSTREAM_A_GROUP_GENERATION, FIELD_NUMBER, FIELD_COLUMN,
	  "generation", "generation", NULL },
	{ EVSTREAM_A_GROUP_MOVING, FIELD_NUMBER, 0, "moving", "moving", NULL },
	{ EVSTREAM_A_GROUP_LOCK_MS, FIELD_TIME, 0, "lock_ms", "lock", NULL },
	{ EVSTREAM_A_GROUP_MAX_DELIVERIES, FIELD_NUMBER, 0,
	  "max_deliveries", "max-deliveries", NULL },
	{ EVSTREAM_A_GROUP_KEYED, FIELD_FLAG, 0, "keyed", "keyed", NULL },
	{ EVSTREAM_A_GROUP_DEAD_LETTER, FIELD_STRING, 0,
	  "dead_letter", "dead-letter", NULL },
	{ EVSTREAM_A_GROUP_CREATED_MS, FIELD_STAMP, 0, "created_ms", "created", NULL },
	{ EVSTREAM_A_GROUP_EMPTY_SINCE_MS, FIELD_STAMP, FIELD_COLUMN | FIELD_OPTIONAL,
	  "empty_since_ms", "empty-since", NULL },
	{ }
};

static const struct field member_fields[] = {
	{ EVSTREAM_A_MEMBER_TOPIC, FIELD_STRING, 0, "topic", "topic", NULL },
	{ EVSTREAM_A_MEMBER_GROUP, FIELD_STRING, 0, "group", "group", NULL },
	{ EVSTREAM_A_MEMBER_ID, FIELD_NUMBER, FIELD_COLUMN, "id", "member", NULL },
	{ EVSTREAM_A_MEMBER_PID, FIELD_NUMBER, FIELD_COLUMN, "pid", "pid", NULL },
	{ EVSTREAM_A_MEMBER_UID, FIELD_USER, FIELD_COLUMN, "uid", "user", NULL },
	{ EVSTREAM_A_MEMBER_COMM, FIELD_STRING, FIELD_COLUMN, "comm", "command", NULL },
	{ EVSTREAM_A_MEMBER_PARTITIONS, FIELD_NUMBER, FIELD_COLUMN,
	  "partitions", "partitions", NULL },
	{ EVSTREAM_A_MEMBER_HELD, FIELD_NUMBER, FIELD_COLUMN | FIELD_OPTIONAL,
	  "held", "held", NULL },
	{ EVSTREAM_A_MEMBER_AUTO_COMMIT, FIELD_FLAG, FIELD_COLUMN | FIELD_OPTIONAL,
	  "auto_commit", "auto-commit", NULL },
	{ EVSTREAM_A_MEMBER_STATIC_PARTITIONS, FIELD_FLAG, FIELD_COLUMN | FIELD_OPTIONAL,
	  "static_partitions", "static", NULL },
	{ EVSTREAM_A_MEMBER_ACK_REVOCATION, FIELD_FLAG, 0, "ack_revocation", "ack", NULL },
	{ EVSTREAM_A_MEMBER_IDLE, FIELD_FLAG, FIELD_COLUMN | FIELD_OPTIONAL,
	  "idle", "idle", NULL },
	{ EVSTREAM_A_MEMBER_JOINED_MS, FIELD_STAMP, FIELD_COLUMN,
	  "joined_ms", "joined", NULL },
	{ EVSTREAM_A_MEMBER_CGROUP, FIELD_NUMBER, 0, "cgroup", "cgroup-id", NULL },
	{ A_MEMBER_CGROUP_PATH, FIELD_STRING, FIELD_COLUMN | FIELD_OPTIONAL,
	  "cgroup_path", "cgroup", NULL },
	{ }
};

static const struct field offset_fields[] = {
	{ EVSTREAM_A_GROUP_OFFSET_TOPIC, FIELD_STRING, 0, "topic", "topic", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_GROUP, FIELD_STRING, 0, "group", "group", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_PARTITION, FIELD_NUMBER, FIELD_COLUMN,
	  "partition", "partition", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_OWNER, FIELD_NUMBER, FIELD_COLUMN,
	  "owner", "owner", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_TARGET, FIELD_NUMBER, FIELD_COLUMN | FIELD_OPTIONAL,
	  "target", "target", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_REVOKING, FIELD_FLAG, 0, "revoking", "revoking", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_EPOCH, FIELD_NUMBER, 0, "epoch", "epoch", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_COMMITTED, FIELD_NUMBER, FIELD_COLUMN,
	  "committed", "committed", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_POSITION, FIELD_NUMBER, FIELD_COLUMN,
	  "position", "position", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_START_OFFSET, FIELD_NUMBER, 0,
	  "start_offset", "start", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_END_OFFSET, FIELD_NUMBER, FIELD_COLUMN,
	  "end_offset", "end", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_LAG, FIELD_NUMBER, FIELD_COLUMN, "lag", "lag", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_LAG_BYTES, FIELD_BYTES, FIELD_COLUMN,
	  "lag_bytes", "lag-bytes", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_LAG_MS, FIELD_AGE, FIELD_COLUMN,
	  "lag_ms", "lag-time", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_HELD, FIELD_NUMBER, FIELD_COLUMN | FIELD_OPTIONAL,
	  "held", "held", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_RELEASED, FIELD_NUMBER, FIELD_COLUMN | FIELD_OPTIONAL,
	  "released", "released", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_COMMITTED_MS, FIELD_STAMP, FIELD_COLUMN,
	  "committed_ms", "committed-at", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_WHENCE, FIELD_NUMBER, 0, "whence", "whence", NULL },
	{ EVSTREAM_A_GROUP_OFFSET_VALUE, FIELD_NUMBER, 0, "value", "value", NULL },
	{ }
};

const struct field group_event_fields[] = {
	{ EVSTREAM_A_GROUP_TOPIC, FIELD_STRING, FIELD_COLUMN, "topic", "topic", NULL },
	{ EVSTREAM_A_GROUP_NAME, FIELD_STRING, FIELD_COLUMN, "group", "group", NULL },
	{ EVSTREAM_A_GROUP_ID, FIELD_NUMBER, 0, "id", "id", NULL },
	{ EVSTREAM_A_GROUP_KIND, FIELD_ENUM, FIELD_COLUMN, "kind", "kind", kinds },
	{ EVSTREAM_A_GROUP_MEMBERS, FIELD_NUMBER, FIELD_COLUMN,
	  "members", "members", NULL },
	{ EVSTREAM_A_GROUP_GENERATION, FIELD_NUMBER, FIELD_COLUMN,
	  "generation", "generation", NULL },
	{ EVSTREAM_A_GROUP_MOVING, FIELD_NUMBER, FIELD_COLUMN, "moving", "moving", NULL },
	{ }
};

const struct field member_event_fields[] = {
	{ EVSTREAM_A_MEMBER_TOPIC, FIELD_STRING, FIELD_COLUMN, "topic", "topic", NULL },
	{ EVSTREAM_A_MEMBER_GROUP, FIELD_STRING, FIELD_COLUMN, "group", "group", NULL },
	{ EVSTREAM_A_MEMBER_ID, FIELD_NUMBER, FIELD_COLUMN, "member", "member", NULL },
	{ EVSTREAM_A_MEMBER_PID, FIELD_NUMBER, FIELD_COLUMN, "pid", "pid", NULL },
	{ EVSTREAM_A_MEMBER_UID, FIELD_USER, FIELD_COLUMN, "uid", "user", NULL },
	{ EVSTREAM_A_MEMBER_COMM, FIELD_STRING, FIELD_COLUMN, "comm", "command", NULL },
	{ EVSTREAM_A_MEMBER_MEMBERS, FIELD_NUMBER, FIELD_COLUMN,
	  "members", "members", NULL },
	{ EVSTREAM_A_MEMBER_GENERATION, FIELD_NUMBER, FIELD_COLUMN,
	  "generation", "generation", NULL },
	{ }
};

static const char *group_attr(int attr)
{
	return field_name(group_fields, attr);
}

static const char *member_attr(int attr)
{
	return field_name(member_fields, attr);
}

static const char *offset_attr(int attr)
{
	return field_name(offset_fields, attr);
}

static struct buf output;
static struct json json = { .out = &output };

static void show_group(struct nlattr **attrs, void *arg)
{
	(void)arg;
	if (json_output)
		object_json(&json, group_fields, attrs);
	else
		object_text(&output, group_fields, attrs);
}

static void print_row(const struct field *fields, struct nlattr **attrs, void *table)
{
	if (json_output) {
		json_object(&json, NULL);
		object_json(&json, fields, attrs);
		json_end_object(&json);
	} else {
		table_add(table, attrs);
	}
}

/*
 * The control group of a process that has joined from @id, to be freed; NULL: not
 * to be found, or the process has moved.
 */
static struct nlattr *cgroup_path(uint64_t pid, uint64_t id)
{
	char name[64], line[4096], path[4200];
	struct nlattr *found = NULL;
	struct stat st;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%llu/cgroup", (unsigned long long)pid);
	file = fopen(name, "re");
	if (!file)
		return NULL;
	while (!found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "0::", 3))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s", line + 3);
		if (!stat(path, &st) && st.st_ino != id)
			break;
		found = nl_make_string(A_MEMBER_CGROUP_PATH, line + 3);
	}
	fclose(file);
	return found;
}

static void member_row(struct nlattr **attrs, void *arg)
{
	struct nlattr *path = NULL;

	if (attrs[EVSTREAM_A_MEMBER_PID] && attrs[EVSTREAM_A_MEMBER_CGROUP])
		path = cgroup_path(nl_uint(attrs[EVSTREAM_A_MEMBER_PID]),
				   nl_uint(attrs[EVSTREAM_A_MEMBER_CGROUP]));
	attrs[A_MEMBER_CGROUP_PATH] = path;
	print_row(member_fields, attrs, arg);
	free(path);
}

static void group_row(struct nlattr **attrs, void *arg)
{
	print_row(group_fields, attrs, arg);
}

static void offset_row(struct nlattr **attrs, void *arg)
{
	print_row(offset_fields, attrs, arg);
}

static int group_list(int argc, char **argv)
{
	struct table table;
	struct nl_msg *msg;
	int status;

	status = no_options(group_commands, argc, argv, 0, 1);
	if (status != OPTION_DONE)
		return status;
	msg = nl_request(EVSTREAM_CMD_GROUP_GET, NLM_F_DUMP);
	if (optind < argc)
		nl_add_string(msg, EVSTREAM_A_GROUP_TOPIC, argv[optind]);
	if (json_output)
		json_array(&json, NULL);
	else
		table_begin(&table, group_fields);
	status = nl_call(msg, group_row, &table, group_attr, "cannot list the groups");
	if (status)
		return status;
	if (json_output)
		json_end_array(&json);
	else
		table_end(&table, &output, "");
	return flush_output(&output);
}

/* A table, or an array, of what a group has; the exit code. */
static int print_rows(const char *name, struct nl_msg *msg, const struct field *fields,
		      nl_row_fn row, const char *(*attr)(int attr), const char *group)
{
	struct table table;
	int status;

	if (json_output)
		json_array(&json, name);
	else
		table_begin(&table, fields);
	status = nl_call(msg, row, &table, attr, "cannot show group '%s'", group);
	if (status)
		return status;
	if (json_output)
		json_end_array(&json);
	else
		table_end(&table, &output, "");
	return EXIT_OK;
}

static int print_members(const char *topic, const char *group)
{
	struct nl_msg *msg = nl_request(EVSTREAM_CMD_MEMBER_GET, NLM_F_DUMP);

	nl_add_string(msg, EVSTREAM_A_MEMBER_TOPIC, topic);
	nl_add_string(msg, EVSTREAM_A_MEMBER_GROUP, group);
	return print_rows("member", msg, member_fields, member_row, member_attr, group);
}

static struct nl_msg *ask_offsets(const char *topic, const char *group)
{
	struct nl_msg *msg = nl_request(EVSTREAM_CMD_GROUP_OFFSET_GET, NLM_F_DUMP);

	nl_add_string(msg, EVSTREAM_A_GROUP_OFFSET_TOPIC, topic);
	nl_add_string(msg, EVSTREAM_A_GROUP_OFFSET_GROUP, group);
	return msg;
}

static int print_offsets(const char *topic, const char *group)
{
	return print_rows("partition", ask_offsets(topic, group), offset_fields, offset_row,
			  offset_attr, group);
}

/* Once what it began to print cannot be ended. */
static int give_up(int status)
{
	output.len = 0;
	json = (struct json){ .out = &output };
	return status;
}

static int group_show(int argc, char **argv)
{
	const char *topic, *group;
	struct nl_msg *msg;
	int status;

	status = no_options(group_commands, argc, argv, 2, 2);
	if (status != OPTION_DONE)
		return status;
	topic = argv[optind];
	group = argv[optind + 1];

	if (json_output)
		json_object(&json, NULL);
	msg = nl_request(EVSTREAM_CMD_GROUP_GET, 0);
	nl_add_string(msg, EVSTREAM_A_GROUP_TOPIC, topic);
	nl_add_string(msg, EVSTREAM_A_GROUP_NAME, group);
	status = nl_call(msg, show_group, NULL, group_attr, "cannot show group '%s'", group);
	if (status)
		return give_up(status);
	if (!json_output)
		buf_putc(&output, '\n');
	status = print_members(topic, group);
	if (status)
		return give_up(status);
	if (!json_output)
		buf_putc(&output, '\n');
	status = print_offsets(topic, group);
	if (status)
		return give_up(status);
	if (json_output)
		json_end_object(&json);
	return flush_output(&output);
}

/**
 * struct target - where to seek
 * @given: how many options have said it
 * @shift: by @value records, else @whence and @value
 * @whence: an enum evstream_whence
 * @value: the offset, the time, or the records
 */
struct target {
	unsigned int given;
	bool shift;
	enum evstream_whence whence;
	int64_t value;
};

static bool needs_value(const struct target *to)
{
	return to->whence == EVSTREAM_SEEK_OFFSET || to->whence == EVSTREAM_SEEK_TIMESTAMP;
}

/* @partition: -1: all of them */
static int seek_to(const char *topic, const char *group, int64_t partition,
		   const struct target *to)
{
	struct nl_msg *msg = nl_request(EVSTREAM_CMD_GROUP_SEEK, 0);

	nl_add_string(msg, EVSTREAM_A_GROUP_OFFSET_TOPIC, topic);
	nl_add_string(msg, EVSTREAM_A_GROUP_OFFSET_GROUP, group);
	if (partition >= 0)
		nl_add_u32(msg, EVSTREAM_A_GROUP_OFFSET_PARTITION, (uint32_t)partition);
	nl_add_u32(msg, EVSTREAM_A_GROUP_OFFSET_WHENCE, to->whence);
	if (needs_value(to))
		nl_add_uint(msg, EVSTREAM_A_GROUP_OFFSET_VALUE, (uint64_t)to->value);
	return nl_call(msg, NULL, NULL, offset_attr, "cannot seek in group '%s'", group);
}

struct shifted {
	int64_t *offset;
	uint32_t count;
	int64_t by;
};

/* Kafka's way: not over the ends. */
static void shift_row(struct nlattr **attrs, void *arg)
{
	struct shifted *all = arg;
	int64_t start, end, offset;

	if (!attrs[EVSTREAM_A_GROUP_OFFSET_START_OFFSET] ||
	    !attrs[EVSTREAM_A_GROUP_OFFSET_END_OFFSET] ||
	    !attrs[EVSTREAM_A_GROUP_OFFSET_COMMITTED])
		return;
	start = (int64_t)nl_uint(attrs[EVSTREAM_A_GROUP_OFFSET_START_OFFSET]);
	end = (int64_t)nl_uint(attrs[EVSTREAM_A_GROUP_OFFSET_END_OFFSET]);
	offset = (int64_t)nl_uint(attrs[EVSTREAM_A_GROUP_OFFSET_COMMITTED]);
	if (__builtin_add_overflow(offset, all->by, &offset))
		offset = all->by < 0 ? start : end;
	offset = offset < start ? start : offset > end ? end : offset;
	all->offset = xrealloc(all->offset, (all->count + 1) * sizeof(*all->offset));
	all->offset[all->count++] = offset;
}

static int seek_by(const char *topic, const char *group, int64_t partition, int64_t by)
{
	struct shifted all = { .by = by };
	struct target to = { .whence = EVSTREAM_SEEK_OFFSET };
	int status;
	uint32_t p;

	status = nl_call(ask_offsets(topic, group), shift_row, &all, offset_attr,
			 "cannot seek in group '%s'", group);
	/* The kernel says what is wrong with such a number. */
	if (!status && partition >= all.count)
		status = seek_to(topic, group, partition, &to);
	for (p = 0; p < all.count && !status; p++) {
		if (partition >= 0 && p != partition)
			continue;
		to.value = all.offset[p];
		status = seek_to(topic, group, p, &to);
	}
	free(all.offset);
	return status;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Takes an option of seek; OPTION_DONE, or the exit code. */
static int seek_option(int opt, const char *arg, int64_t *partition, struct target *to)
{
	uint64_t v = 0;

	if (opt == 'p') {
		if (!parse_number(arg, UINT32_MAX, &v))
			return usage_error("'%s' is not a partition", arg);
		*partition = (int64_t)v;
		return OPTION_DONE;
	}
	to->given++;
	switch (opt) {
	case 'b':
		to->whence = EVSTREAM_SEEK_EARLIEST;
		break;
	case 'e':
		to->whence = EVSTREAM_SEEK_LATEST;
		break;
	case 'o':
		if (!parse_number(arg, INT64_MAX, &v))
			return usage_error("'%s' is not an offset", arg);
		to->whence = EVSTREAM_SEEK_OFFSET;
		to->value = (int64_t)v;
		break;
	case 't':
		if (!parse_moment(arg, now_ms(), &to->value))
			return usage_error("'%s': neither milliseconds nor a time ago, as in 2h",
					   arg);
		to->whence = EVSTREAM_SEEK_TIMESTAMP;
		break;
	case 's':
		if (!parse_shift(arg, &to->value))
			return usage_error("'%s' is not a number of records", arg);
		to->shift = true;
		break;
	}
	return OPTION_DONE;
}

static int group_seek(int argc, char **argv)
{
	static const struct option options[] = {
		{ "partition", required_argument, NULL, 'p' },
		{ "to-beginning", no_argument, NULL, 'b' },
		{ "to-end", no_argument, NULL, 'e' },
		{ "to-offset", required_argument, NULL, 'o' },
		{ "to-time", required_argument, NULL, 't' },
		{ "shift-by", required_argument, NULL, 's' },
		OPTION_JSON, OPTION_HELP, { }
	};
	const struct command *cmd = find_command(group_commands, "seek");
	const char *topic, *group;
	struct target to = {};
	int64_t partition = -1;
	int opt, status;

	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS "p:", options, NULL)) != -1) {
		if (strchr("pbeots", opt))
			status = seek_option(opt, optarg, &partition, &to);
		else
			status = common_option(opt, cmd, argv);
		if (status != OPTION_DONE)
			return status;
	}
	if (argc - optind != 2)
		return usage_error("usage: streamctl %s", cmd->usage);
	if (to.given != 1)
		return usage_error("where to? One of --to-beginning, --to-end, --to-offset, %s",
				   "--to-time, --shift-by");
	topic = argv[optind];
	group = argv[optind + 1];
	status = to.shift ? seek_by(topic, group, partition, to.value) :
			    seek_to(topic, group, partition, &to);
	if (status || !json_output)
		return status;

	json_object(&json, NULL);
	json_str(&json, "topic", topic);
	json_str(&json, "group", group);
	status = print_offsets(topic, group);
	if (status)
		return give_up(status);
	json_end_object(&json);
	return flush_output(&output);
}

static int group_delete(int argc, char **argv)
{
	struct nl_msg *msg;
	int status;

	status = no_options(group_commands, argc, argv, 2, 2);
	if (status != OPTION_DONE)
		return status;
	msg = nl_request(EVSTREAM_CMD_GROUP_DEL, 0);
	nl_add_string(msg, EVSTREAM_A_GROUP_TOPIC, argv[optind]);
	nl_add_string(msg, EVSTREAM_A_GROUP_NAME, argv[optind + 1]);
	status = nl_call(msg, NULL, NULL, group_attr, "cannot delete group '%s'",
			 argv[optind + 1]);
	if (status || !json_output)
		return status;
	json_object(&json, NULL);
	json_str(&json, "topic", argv[optind]);
	json_str(&json, "name", argv[optind + 1]);
	json_bool(&json, "deleted", true);
	json_end_object(&json);
	return flush_output(&output);
}

const struct command group_commands[] = {
	{ "list", group_list, "group list [TOPIC]" },
	{ "show", group_show, "group show TOPIC GROUP" },
	{ "seek", group_seek,
	  "group seek TOPIC GROUP [-p PARTITION] --to-beginning|--to-end|\n"
	  "                         --to-offset OFFSET|--to-time MILLIS|TIME|--shift-by RECORDS" },
	{ "delete", group_delete, "group delete TOPIC GROUP" },
	{ }
};
