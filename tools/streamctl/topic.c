// SPDX-License-Identifier: GPL-2.0
/* streamctl topic: create, list, show, set, delete, trim */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "nl.h"
#include "object.h"
#include "parse.h"
#include "streamctl.h"
#include "topic.h"

static const char *const framings[] = { "record", "line", NULL };
static const char *const policies[] = { "overwrite", "block", "fail", NULL };

const struct field topic_fields[] = {
	{ EVSTREAM_A_TOPIC_NAME, FIELD_STRING, FIELD_COLUMN, "name", "name", NULL },
	{ EVSTREAM_A_TOPIC_ID, FIELD_NUMBER, 0, "id", "id", NULL },
	{ EVSTREAM_A_TOPIC_PARTITIONS, FIELD_NUMBER, FIELD_COLUMN,
	  "partitions", "partitions", NULL },
	{ EVSTREAM_A_TOPIC_SEGMENT_SIZE, FIELD_SIZE, FIELD_COLUMN,
	  "segment_size", "segment", NULL },
	{ EVSTREAM_A_TOPIC_RING_SIZE, FIELD_SIZE, FIELD_COLUMN,
	  "ring_size", "ring", NULL },
	{ EVSTREAM_A_TOPIC_MAX_RECORD, FIELD_SIZE, FIELD_COLUMN,
	  "max_record", "max-record", NULL },
	{ EVSTREAM_A_TOPIC_RETENTION_MS, FIELD_TIME, FIELD_COLUMN,
	  "retention_ms", "retention", NULL },
	{ EVSTREAM_A_TOPIC_RETENTION_BYTES, FIELD_LIMIT, 0,
	  "retention_bytes", "retention-bytes", NULL },
	{ EVSTREAM_A_TOPIC_FRAMING, FIELD_ENUM, FIELD_COLUMN,
	  "framing", "framing", framings },
	{ EVSTREAM_A_TOPIC_FULL_POLICY, FIELD_ENUM, FIELD_COLUMN,
	  "full_policy", "full", policies },
	{ EVSTREAM_A_TOPIC_MODE, FIELD_MODE, FIELD_COLUMN, "mode", "mode", NULL },
	{ EVSTREAM_A_TOPIC_UID, FIELD_USER, FIELD_COLUMN, "uid", "owner", NULL },
	{ EVSTREAM_A_TOPIC_GID, FIELD_GROUP, FIELD_COLUMN, "gid", "group", NULL },
	{ EVSTREAM_A_TOPIC_FLUSH_INTERVAL, FIELD_TIME, 0,
	  "flush_interval", "flush-interval", NULL },
	{ EVSTREAM_A_TOPIC_FLUSH_BYTES, FIELD_LIMIT, 0,
	  "flush_bytes", "flush-bytes", NULL },
	{ EVSTREAM_A_TOPIC_DIR, FIELD_STRING, FIELD_COLUMN | FIELD_OPTIONAL,
	  "dir", "dir", NULL },
	{ EVSTREAM_A_TOPIC_CREATED_MS, FIELD_STAMP, 0, "created_ms", "created", NULL },
	{ }
};

const struct field partition_fields[] = {
	{ EVSTREAM_A_PARTITION_TOPIC, FIELD_STRING, 0, "topic", "topic", NULL },
	{ EVSTREAM_A_PARTITION_PARTITION, FIELD_NUMBER, FIELD_COLUMN,
	  "partition", "partition", NULL },
	{ EVSTREAM_A_PARTITION_DEV_MAJOR, FIELD_NUMBER, 0,
	  "dev_major", "major", NULL },
	{ EVSTREAM_A_PARTITION_DEV_MINOR, FIELD_NUMBER, 0,
	  "dev_minor", "minor", NULL },
	{ EVSTREAM_A_PARTITION_START_OFFSET, FIELD_NUMBER, FIELD_COLUMN,
	  "start_offset", "start", NULL },
	{ EVSTREAM_A_PARTITION_END_OFFSET, FIELD_NUMBER, FIELD_COLUMN,
	  "end_offset", "end", NULL },
	{ EVSTREAM_A_PARTITION_DURABLE_OFFSET, FIELD_NUMBER,
	  FIELD_COLUMN | FIELD_OPTIONAL, "durable_offset", "durable", NULL },
	{ EVSTREAM_A_PARTITION_UNWRITTEN, FIELD_BYTES,
	  FIELD_COLUMN | FIELD_OPTIONAL, "unwritten", "unwritten", NULL },
	{ EVSTREAM_A_PARTITION_ERROR, FIELD_ERRNO,
	  FIELD_COLUMN | FIELD_OPTIONAL, "error", "error", NULL },
	{ EVSTREAM_A_PARTITION_CUT_BYTES, FIELD_NUMBER,
	  FIELD_COLUMN | FIELD_OPTIONAL, "cut_bytes", "cut", NULL },
	{ EVSTREAM_A_PARTITION_START_POSITION, FIELD_NUMBER, 0,
	  "start_position", "start-position", NULL },
	{ EVSTREAM_A_PARTITION_END_POSITION, FIELD_NUMBER, 0,
	  "end_position", "end-position", NULL },
	{ EVSTREAM_A_PARTITION_SEGMENTS, FIELD_NUMBER, FIELD_COLUMN,
	  "segments", "segments", NULL },
	{ EVSTREAM_A_PARTITION_MEMORY, FIELD_BYTES, FIELD_COLUMN,
	  "memory", "memory", NULL },
	{ EVSTREAM_A_PARTITION_APPENDED_RECORDS, FIELD_NUMBER, 0,
	  "appended_records", "records", NULL },
	{ EVSTREAM_A_PARTITION_APPENDED_BYTES, FIELD_BYTES, FIELD_COLUMN,
	  "appended_bytes", "appended", NULL },
	{ EVSTREAM_A_PARTITION_DROPPED_RECORDS, FIELD_NUMBER, FIELD_COLUMN,
	  "dropped_records", "dropped", NULL },
	{ EVSTREAM_A_PARTITION_HOLES, FIELD_NUMBER, FIELD_COLUMN,
	  "holes", "holes", NULL },
	{ EVSTREAM_A_PARTITION_READERS, FIELD_NUMBER, FIELD_COLUMN,
	  "readers", "readers", NULL },
	{ EVSTREAM_A_PARTITION_WRITERS, FIELD_NUMBER, FIELD_COLUMN,
	  "writers", "writers", NULL },
	{ EVSTREAM_A_PARTITION_FIRST_TIMESTAMP, FIELD_STAMP, 0,
	  "first_timestamp", "first", NULL },
	{ EVSTREAM_A_PARTITION_LAST_TIMESTAMP, FIELD_STAMP, FIELD_COLUMN,
	  "last_timestamp", "last", NULL },
	{ }
};

const char *topic_attr(int attr)
{
	return field_name(topic_fields, attr);
}

const char *partition_attr(int attr)
{
	return field_name(partition_fields, attr);
}

static bool add_size(struct nl_msg *msg, int attr, const char *value)
{
	uint64_t v;

	if (!parse_size(value, &v))
		return false;
	nl_add_uint(msg, attr, v);
	return true;
}

static bool add_size32(struct nl_msg *msg, int attr, const char *value)
{
	uint64_t v;

	if (!parse_size(value, &v) || v > UINT32_MAX)
		return false;
	nl_add_u32(msg, attr, (uint32_t)v);
	return true;
}

static bool add_time(struct nl_msg *msg, int attr, const char *value)
{
	uint64_t v;

	if (!parse_time(value, &v))
		return false;
	nl_add_uint(msg, attr, v);
	return true;
}

static bool add_string(struct nl_msg *msg, int attr, const char *value)
{
	if (!*value)
		return false;
	nl_add_string(msg, attr, value);
	return true;
}

static bool add_number(struct nl_msg *msg, int attr, const char *value)
{
	uint64_t v;

	if (!parse_number(value, UINT32_MAX, &v))
		return false;
	nl_add_u32(msg, attr, (uint32_t)v);
	return true;
}

static bool add_choice(struct nl_msg *msg, int attr, const char *value,
		       const char *const *choices)
{
	uint32_t i;

	for (i = 0; choices[i]; i++) {
		if (!strcmp(value, choices[i])) {
			nl_add_u32(msg, attr, i);
			return true;
		}
	}
	return false;
}

static bool add_framing(struct nl_msg *msg, int attr, const char *value)
{
	return add_choice(msg, attr, value, framings);
}

static bool add_full(struct nl_msg *msg, int attr, const char *value)
{
	return add_choice(msg, attr, value, policies);
}

static bool add_mode(struct nl_msg *msg, int attr, const char *value)
{
	uint32_t v;

	if (!parse_mode(value, &v))
		return false;
	nl_add_u32(msg, attr, v);
	return true;
}

static bool add_owner(struct nl_msg *msg, int attr, const char *value)
{
	bool has_uid, has_gid;
	uid_t uid;
	gid_t gid;

	(void)attr;
	if (!parse_owner(value, &has_uid, &uid, &has_gid, &gid))
		return false;
	if (has_uid)
		nl_add_u32(msg, EVSTREAM_A_TOPIC_UID, uid);
	if (has_gid)
		nl_add_u32(msg, EVSTREAM_A_TOPIC_GID, gid);
	return true;
}

static bool add_retention(struct nl_msg *msg, int attr, const char *value)
{
	bool has_time, has_size;
	uint64_t ms, bytes;

	(void)attr;
	if (!parse_retention(value, &has_time, &ms, &has_size, &bytes))
		return false;
	if (has_time)
		nl_add_uint(msg, EVSTREAM_A_TOPIC_RETENTION_MS, ms);
	if (has_size)
		nl_add_uint(msg, EVSTREAM_A_TOPIC_RETENTION_BYTES, bytes);
	return true;
}

/**
 * struct setting - an option of create, a key of set
 * @name: of both
 * @attr: the attribute
 * @add: add @value to the request; false: it cannot be one
 * @values: what can be given
 */
struct setting {
	const char *name;
	int attr;
	bool (*add)(struct nl_msg *msg, int attr, const char *value);
	const char *values;
};

static const struct setting settings[] = {
	{ "partitions", EVSTREAM_A_TOPIC_PARTITIONS, add_number, "a number" },
	{ "segment", EVSTREAM_A_TOPIC_SEGMENT_SIZE, add_size, "a size" },
	{ "ring", EVSTREAM_A_TOPIC_RING_SIZE, add_size, "a size" },
	{ "retention", 0, add_retention, "TIME[,SIZE], as in 7d or 12h,1G" },
	{ "max-record", EVSTREAM_A_TOPIC_MAX_RECORD, add_size32, "a size" },
	{ "framing", EVSTREAM_A_TOPIC_FRAMING, add_framing, "record or line" },
	{ "full", EVSTREAM_A_TOPIC_FULL_POLICY, add_full, "overwrite, block or fail" },
	{ "owner", 0, add_owner, "USER[:GROUP]" },
	{ "mode", EVSTREAM_A_TOPIC_MODE, add_mode, "an octal number" },
	{ "dir", EVSTREAM_A_TOPIC_DIR, add_string, "a directory" },
	{ "flush-interval", EVSTREAM_A_TOPIC_FLUSH_INTERVAL, add_time,
	  "a time, as in 1s or 200ms" },
	{ "flush-bytes", EVSTREAM_A_TOPIC_FLUSH_BYTES, add_size, "a size" },
};

static int add_setting(struct nl_msg *msg, const struct setting *s, const char *value)
{
	if (s->add(msg, s->attr, value))
		return EXIT_OK;
	return usage_error("'%s' is not right for %s: that takes %s", value,
			   s->name, s->values);
}

static struct buf output;
static struct json json = { .out = &output };

static void show_object(struct nlattr **attrs, void *arg)
{
	(void)arg;
	if (json_output)
		object_json(&json, topic_fields, attrs);
	else
		object_text(&output, topic_fields, attrs);
}

/* The whole topic as the kernel answers it, in JSON only. */
static void show_changed(struct nlattr **attrs, void *arg)
{
	(void)arg;
	if (!json_output)
		return;
	json_object(&json, NULL);
	object_json(&json, topic_fields, attrs);
	json_end_object(&json);
}

static void list_row(struct nlattr **attrs, void *arg)
{
	if (json_output) {
		json_object(&json, NULL);
		object_json(&json, topic_fields, attrs);
		json_end_object(&json);
	} else {
		table_add(arg, attrs);
	}
}

static void partition_row(struct nlattr **attrs, void *arg)
{
	if (json_output) {
		json_object(&json, NULL);
		object_json(&json, partition_fields, attrs);
		json_end_object(&json);
	} else {
		table_add(arg, attrs);
	}
}

static int topic_create(int argc, char **argv)
{
	struct option options[ARRAY_SIZE(settings) + 3] = {};
	static const struct option common[] = { OPTION_JSON, OPTION_HELP, { } };
	const struct command *cmd = find_command(topic_commands, "create");
	struct nl_msg *msg;
	int opt, status;
	size_t i;

	memcpy(options + ARRAY_SIZE(settings), common, sizeof(common));
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		options[i] = (struct option){ settings[i].name, required_argument,
					      NULL, 0x100 + (int)i };

	/* Twice, as the name can come last. */
	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS "p:", options,
				  NULL)) != -1) {
		if (opt == 'p' || opt >= 0x100)
			continue;
		status = common_option(opt, cmd, argv);
		if (status != OPTION_DONE)
			return status;
	}
	if (argc - optind != 1)
		return usage_error("usage: streamctl %s", cmd->usage);

	msg = nl_request(EVSTREAM_CMD_TOPIC_NEW, 0);
	nl_add_string(msg, EVSTREAM_A_TOPIC_NAME, argv[optind]);
	optind = 0;
	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS "p:", options,
				  NULL)) != -1) {
		if (opt == 'p')
			opt = 0x100;
		if (opt < 0x100)
			continue;
		status = add_setting(msg, &settings[opt - 0x100], optarg);
		if (status) {
			nlmsg_free(msg);
			return status;
		}
	}
	status = nl_call(msg, show_changed, NULL, topic_attr,
			 "cannot create topic '%s'", argv[optind]);
	return status ? status : flush_output(&output);
}

static int topic_list(int argc, char **argv)
{
	struct table table;
	int status;

	status = no_options(topic_commands, argc, argv, 0, 0);
	if (status != OPTION_DONE)
		return status;
	if (json_output)
		json_array(&json, NULL);
	else
		table_begin(&table, topic_fields);
	status = nl_call(nl_request(EVSTREAM_CMD_TOPIC_GET, NLM_F_DUMP), list_row,
			 &table, topic_attr, "cannot list the topics");
	if (status)
		return status;
	if (json_output)
		json_end_array(&json);
	else
		table_end(&table, &output, "");
	return flush_output(&output);
}

/* All there is of a topic; returns an exit code. */
int topic_print(const char *name)
{
	struct table table;
	struct nl_msg *msg;
	int status;

	if (json_output)
		json_object(&json, NULL);
	msg = nl_request(EVSTREAM_CMD_TOPIC_GET, 0);
	nl_add_string(msg, EVSTREAM_A_TOPIC_NAME, name);
	status = nl_call(msg, show_object, NULL, topic_attr,
			 "cannot show topic '%s'", name);
	if (status)
		goto err_reset;

	if (json_output) {
		json_array(&json, "partition");
	} else {
		buf_putc(&output, '\n');
		table_begin(&table, partition_fields);
	}
	msg = nl_request(EVSTREAM_CMD_PARTITION_GET, NLM_F_DUMP);
	nl_add_string(msg, EVSTREAM_A_PARTITION_TOPIC, name);
	status = nl_call(msg, partition_row, &table, partition_attr,
			 "cannot show the partitions of topic '%s'", name);
	if (status)
		goto err_reset;
	if (json_output) {
		json_end_array(&json);
		json_end_object(&json);
	} else {
		table_end(&table, &output, "");
	}
	return flush_output(&output);

err_reset:
	output.len = 0;
	json = (struct json){ .out = &output };
	return status;
}

static int topic_show(int argc, char **argv)
{
	int status;

	status = no_options(topic_commands, argc, argv, 1, 1);
	if (status != OPTION_DONE)
		return status;
	return topic_print(argv[optind]);
}

static int topic_set(int argc, char **argv)
{
	const char *name, *value;
	struct nl_msg *msg;
	int status, i;
	size_t s;

	status = no_options(topic_commands, argc, argv, 2, -1);
	if (status != OPTION_DONE)
		return status;
	name = argv[optind];

	msg = nl_request(EVSTREAM_CMD_TOPIC_SET, 0);
	nl_add_string(msg, EVSTREAM_A_TOPIC_NAME, name);
	for (i = optind + 1; i < argc; i++) {
		value = strchr(argv[i], '=');
		for (s = 0; s < ARRAY_SIZE(settings) && value; s++)
			if (strlen(settings[s].name) == (size_t)(value - argv[i]) &&
			    !strncmp(settings[s].name, argv[i],
				     (size_t)(value - argv[i])))
				break;
		if (!value)
			status = usage_error("'%s' is not KEY=VALUE", argv[i]);
		else if (s == ARRAY_SIZE(settings))
			status = usage_error("'%s': no such key", argv[i]);
		else
			status = add_setting(msg, &settings[s], value + 1);
		if (status)
			goto err_free;
	}
	status = nl_call(msg, NULL, NULL, topic_attr, "cannot set topic '%s'", name);
	if (status || !json_output)
		return status;

	msg = nl_request(EVSTREAM_CMD_TOPIC_GET, 0);
	nl_add_string(msg, EVSTREAM_A_TOPIC_NAME, name);
	status = nl_call(msg, show_changed, NULL, topic_attr,
			 "cannot show topic '%s'", name);
	return status ? status : flush_output(&output);

err_free:
	nlmsg_free(msg);
	return status;
}

static int topic_delete(int argc, char **argv)
{
	struct nl_msg *msg;
	const char *name;
	int status;

	status = no_options(topic_commands, argc, argv, 1, 1);
	if (status != OPTION_DONE)
		return status;
	name = argv[optind];
	msg = nl_request(EVSTREAM_CMD_TOPIC_DEL, 0);
	nl_add_string(msg, EVSTREAM_A_TOPIC_NAME, name);
	status = nl_call(msg, NULL, NULL, topic_attr, "cannot delete topic '%s'", name);
	if (status || !json_output)
		return status;
	json_object(&json, NULL);
	json_str(&json, "name", name);
	json_bool(&json, "deleted", true);
	json_end_object(&json);
	return flush_output(&output);
}

static int trim_fd(int fd, const char *name, struct evstream_trim *req,
		   const struct evstream_stat *stat)
{
	char what[512], reason[64];
	int err;

	if (!ioctl(fd, EVSTREAM_IOC_TRIM, req))
		return EXIT_OK;
	err = errno;
	snprintf(what, sizeof(what), "cannot trim topic '%s'", name);
	snprintf(reason, sizeof(reason), "the end is offset %lld",
		 (long long)stat->end_offset);
	return print_error(err, err == ERANGE && req->offset > stat->end_offset ?
			   reason : NULL, NULL, what);
}

static int topic_trim(int argc, char **argv)
{
	static const struct option options[] = {
		{ "partition", required_argument, NULL, 'p' },
		OPTION_JSON, OPTION_HELP, { }
	};
	struct evstream_trim req = { .offset = -1 };
	struct evstream_stat stat = {};
	const struct command *cmd = find_command(topic_commands, "trim");
	const char *name;
	int partition = -1;
	int opt, status, fd;
	uint64_t v;

	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS "p:", options,
				  NULL)) != -1) {
		if (opt == 'p') {
			if (!parse_number(optarg, EVSTREAM_PARTITIONS_MAX - 1, &v))
				return usage_error("'%s' is not a partition", optarg);
			partition = (int)v;
			continue;
		}
		status = common_option(opt, cmd, argv);
		if (status != OPTION_DONE)
			return status;
	}
	if (argc - optind != 2)
		return usage_error("usage: streamctl %s", cmd->usage);
	name = argv[optind];
	if (strcmp(argv[optind + 1], "end")) {
		if (!parse_number(argv[optind + 1], INT64_MAX, &v))
			return usage_error("'%s' is neither an offset nor 'end'",
					   argv[optind + 1]);
		req.offset = (int64_t)v;
	}

	fd = device_open(name, partition, O_WRONLY);
	if (fd < 0)
		return -fd;
	stat.partition = partition < 0 ? 0 : (uint32_t)partition;
	if (ioctl(fd, EVSTREAM_IOC_STAT, &stat)) {
		status = sys_error(errno, "cannot trim topic '%s'", name);
		goto out_close;
	}
	if (partition < 0 && stat.partitions == 1)
		partition = 0;
	if (partition < 0 && req.offset >= 0) {
		status = usage_error("an offset is that of one partition: add -p");
		goto out_close;
	}
	req.partition = partition < 0 ? EVSTREAM_ALL : (uint32_t)partition;
	status = trim_fd(fd, name, &req, &stat);
out_close:
	close(fd);
	if (status)
		return status;
	if (!json_output)
		return EXIT_OK;
	json_object(&json, NULL);
	json_str(&json, "topic", name);
	if (partition >= 0) {
		json_int(&json, "partition", partition);
		json_int(&json, "start_offset", req.start_offset);
	}
	json_end_object(&json);
	return flush_output(&output);
}

const struct command topic_commands[] = {
	{ "create", topic_create,
	  "topic create NAME [-p PARTITIONS] [--segment SIZE] [--ring SIZE]\n"
	  "                         [--retention TIME[,SIZE]] [--max-record SIZE]\n"
	  "                         [--framing record|line]\n"
	  "                         [--full overwrite|block|fail]\n"
	  "                         [--owner USER[:GROUP]] [--mode MODE]\n"
	  "                         [--dir DIR [--flush-interval TIME] [--flush-bytes SIZE]]" },
	{ "list", topic_list, "topic list" },
	{ "show", topic_show, "topic show NAME" },
	{ "set", topic_set, "topic set NAME KEY=VALUE..." },
	{ "delete", topic_delete, "topic delete NAME" },
	{ "trim", topic_trim, "topic trim NAME [-p PARTITION] OFFSET|end" },
	{ "attach", topic_attach, "topic attach DIR [NAME...]" },
	{ "detach", topic_detach, "topic detach NAME..." },
	{ }
};
