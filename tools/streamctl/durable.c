// SPDX-License-Identifier: GPL-2.0
/* streamctl topic attach, topic detach, restore: topics that lie in directories */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "nl.h"
#include "parse.h"
#include "streamctl.h"
#include "topic.h"

#define DROP_IN_DIR	"/etc/evstream/topics.d"

static struct buf output;
static struct json json = { .out = &output };

/* Strings of our own. */
struct strings {
	char **at;
	size_t count;
};

static void strings_add(struct strings *s, const char *text)
{
	s->at = xrealloc(s->at, (s->count + 1) * sizeof(*s->at));
	s->at[s->count++] = xstrdup(text);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each of them once, in order. */
static void strings_sort(struct strings *s)
{
	size_t i, kept = 0;

	if (!s->count)
		return;
	qsort(s->at, s->count, sizeof(*s->at), compare);
	for (i = 1; i < s->count; i++) {
		if (!strcmp(s->at[kept], s->at[i]))
			free(s->at[i]);
		else
			s->at[++kept] = s->at[i];
	}
	s->count = kept + 1;
}

static void strings_free(struct strings *s)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		free(s->at[i]);
	free(s->at);
	memset(s, 0, sizeof(*s));
}

/* The durable topics: the names, and the directory of each. */
struct durables {
	struct strings names;
	struct strings dirs;
};

static void add_durable(struct nlattr **attrs, void *arg)
{
	struct durables *d = arg;

	if (!attrs[EVSTREAM_A_TOPIC_NAME] || !attrs[EVSTREAM_A_TOPIC_DIR])
		return;
	strings_add(&d->names, nla_get_string(attrs[EVSTREAM_A_TOPIC_NAME]));
	strings_add(&d->dirs, nla_get_string(attrs[EVSTREAM_A_TOPIC_DIR]));
}

static int list_durables(struct durables *d)
{
	return nl_call(nl_request(EVSTREAM_CMD_TOPIC_GET, NLM_F_DUMP), add_durable, d,
		       topic_attr, "cannot list the topics");
}

static void durables_free(struct durables *d)
{
	strings_free(&d->names);
	strings_free(&d->dirs);
}

/* One directory has many names. */
static bool same_dir(const char *a, const char *b)
{
	struct stat sa, sb;

	if (!strcmp(a, b))
		return true;
	return !stat(a, &sa) && !stat(b, &sb) && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static bool is_attached(const struct durables *d, const char *dir, const char *name)
{
	size_t i;

	for (i = 0; i < d->names.count; i++)
		if (!strcmp(d->names.at[i], name))
			return same_dir(d->dirs.at[i], dir);
	return false;
}

/* What recovery threw away is told. */
static void report_cut(struct nlattr **attrs, void *arg)
{
	const struct nlattr *cut = attrs[EVSTREAM_A_PARTITION_CUT_BYTES];
	unsigned long long bytes = cut ? nl_uint(cut) : 0;

	if (bytes && attrs[EVSTREAM_A_PARTITION_PARTITION])
		fprintf(stderr, "streamctl: %s/%u: recovery cut %llu byte%s off the log's end\n",
			(const char *)arg,
			nla_get_u32(attrs[EVSTREAM_A_PARTITION_PARTITION]), bytes,
			bytes == 1 ? "" : "s");
}

static int attach_topic(const char *dir, char *name)
{
	struct nl_msg *msg = nl_request(EVSTREAM_CMD_TOPIC_ATTACH, 0);
	int status;

	nl_add_string(msg, EVSTREAM_A_TOPIC_NAME, name);
	nl_add_string(msg, EVSTREAM_A_TOPIC_DIR, dir);
	status = nl_call(msg, NULL, NULL, topic_attr, "cannot attach topic '%s' of '%s'",
			 name, dir);
	if (status)
		return status;
	if (json_output)
		return topic_print(name);
	msg = nl_request(EVSTREAM_CMD_PARTITION_GET, NLM_F_DUMP);
	nl_add_string(msg, EVSTREAM_A_PARTITION_TOPIC, name);
	return nl_call(msg, report_cut, name, partition_attr,
		       "cannot show the partitions of topic '%s'", name);
}

static int detach_topic(const char *name)
{
	struct nl_msg *msg = nl_request(EVSTREAM_CMD_TOPIC_DETACH, 0);
	int status;

	nl_add_string(msg, EVSTREAM_A_TOPIC_NAME, name);
	status = nl_call(msg, NULL, NULL, topic_attr, "cannot detach topic '%s'", name);
	if (status || !json_output)
		return status;
	json_object(&json, NULL);
	json_str(&json, "name", name);
	json_bool(&json, "detached", true);
	json_end_object(&json);
	return flush_output(&output);
}

/* The names of the topics that lie in @path; returns an exit code. */
static int find_topics(const char *path, struct strings *names)
{
	char name[EVSTREAM_NAME_MAX + 1];
	struct dirent *entry;
	int err;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return sys_error(errno, "cannot look into '%s'", path);
	while (errno = 0, (entry = readdir(dir)))
		if (parse_entry(entry->d_name, name))
			strings_add(names, name);
	err = errno;
	closedir(dir);
	if (err)
		return sys_error(err, "cannot look into '%s'", path);
	strings_sort(names);
	return EXIT_OK;
}

int topic_attach(int argc, char **argv)
{
	struct strings names = {};
	char what[PATH_MAX + 32];
	const char *dir;
	int i, status;
	size_t n;

	status = no_options(topic_commands, argc, argv, 1, -1);
	if (status != OPTION_DONE)
		return status;
	dir = argv[optind];
	status = EXIT_OK;
	for (i = optind + 1; i < argc; i++)
		strings_add(&names, argv[i]);
	if (!names.count) {
		status = find_topics(dir, &names);
		snprintf(what, sizeof(what), "cannot attach what lies in '%s'", dir);
		if (!status && !names.count)
			status = print_error(ENOENT, "no topic does", NULL, what);
	}
	for (n = 0; n < names.count; n++)
		if (attach_topic(dir, names.at[n]))
			status = EXIT_KERNEL;
	strings_free(&names);
	return status;
}

int topic_detach(int argc, char **argv)
{
	int i, status;

	status = no_options(topic_commands, argc, argv, 1, -1);
	if (status != OPTION_DONE)
		return status;
	status = EXIT_OK;
	for (i = optind; i < argc; i++)
		if (detach_topic(argv[i]))
			status = EXIT_KERNEL;
	return status;
}

/* The directories that a list names, one a line. */
static int read_list(const char *path, struct strings *dirs)
{
	int number = 0, status = EXIT_OK;
	char *line = NULL, *dir;
	char what[PATH_MAX + 32];
	size_t room = 0;
	FILE *file;

	file = fopen(path, "re");
	if (!file)
		return sys_error(errno, "%s", path);
	while (errno = 0, getline(&line, &room, file) >= 0) {
		number++;
		dir = parse_list_line(line);
		if (!dir)
			continue;
		if (*dir == '/') {
			strings_add(dirs, dir);
			continue;
		}
		snprintf(what, sizeof(what), "%s:%d", path, number);
		status = print_error(EINVAL, "a directory begins with a slash", NULL,
				     what);
	}
	if (ferror(file))
		status = sys_error(errno, "%s", path);
	free(line);
	fclose(file);
	return status;
}

static int is_list(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 &&
	       !strcmp(entry->d_name + len - 5, ".conf");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* A list, or a directory of lists whose names end with .conf. */
static int read_lists(const char *path, struct strings *dirs)
{
	int i, count, status = EXIT_OK;
	struct dirent **entries;
	struct stat stat_buf;
	char file[PATH_MAX];

	if (stat(path, &stat_buf))
		return sys_error(errno, "%s", path);
	if (!S_ISDIR(stat_buf.st_mode))
		return read_list(path, dirs);
	count = scandir(path, &entries, is_list, by_name);
	if (count < 0)
		return sys_error(errno, "%s", path);
	for (i = 0; i < count; i++) {
		if (snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name) >=
		    (int)sizeof(file))
			status = sys_error(ENAMETOOLONG, "%s", path);
		else if (read_list(file, dirs))
			status = EXIT_KERNEL;
		free(entries[i]);
	}
	free(entries);
	return status;
}

static int restore_dir(const char *dir)
{
	struct durables there = {};
	struct strings names = {};
	int status;
	size_t i;

	status = find_topics(dir, &names);
	if (status)
		return status;
	status = names.count ? list_durables(&there) : EXIT_OK;
	if (status || !names.count)
		goto out_free;
	for (i = 0; i < names.count; i++)
		if (!is_attached(&there, dir, names.at[i]) && attach_topic(dir, names.at[i]))
			status = EXIT_KERNEL;
out_free:
	strings_free(&names);
	durables_free(&there);
	return status;
}

/* Those in @dirs; all where that is NULL. */
static int detach_durables(const struct strings *dirs)
{
	struct durables there = {};
	int status;
	size_t i, n;

	status = list_durables(&there);
	if (status)
		return status;
	for (i = 0; i < there.names.count; i++) {
		for (n = 0; dirs && n < dirs->count; n++)
			if (same_dir(dirs->at[n], there.dirs.at[i]))
				break;
		if (dirs && n == dirs->count)
			continue;
		if (detach_topic(there.names.at[i]))
			status = EXIT_KERNEL;
	}
	durables_free(&there);
	return status;
}

static int restore(int argc, char **argv)
{
	static const struct option options[] = {
		{ "detach", no_argument, NULL, 'd' },
		OPTION_JSON, OPTION_HELP, { }
	};
	struct strings dirs = {};
	bool undo = false;
	int i, opt, status;
	size_t n;

	while ((opt = getopt_long(argc, argv, COMMON_OPTIONS, options, NULL)) != -1) {
		if (opt == 'd') {
			undo = true;
			continue;
		}
		status = common_option(opt, &restore_command, argv);
		if (status != OPTION_DONE)
			return status;
	}

	status = EXIT_OK;
	for (i = optind; i < argc; i++)
		if (read_lists(argv[i], &dirs))
			status = EXIT_KERNEL;
	if (undo) {
		if (nl_loaded() && detach_durables(optind < argc ? &dirs : NULL))
			status = EXIT_KERNEL;
	} else {
		/* Without a folder for them, there are none. */
		if (optind == argc && (!access(DROP_IN_DIR, F_OK) || errno != ENOENT))
			status = read_lists(DROP_IN_DIR, &dirs);
		for (n = 0; n < dirs.count; n++)
			if (restore_dir(dirs.at[n]))
				status = EXIT_KERNEL;
	}
	strings_free(&dirs);
	return status;
}

const struct command restore_command = {
	"restore", restore, "restore [--detach] [FILE|DIR...]"
};
