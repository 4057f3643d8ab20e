// SPDX-License-Identifier: GPL-2.0
/* How streamctl reads and writes text: sizes, times, places, formats, JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "parse.h"

static unsigned int tests, failed;

static void result(int ok, const char *what, const char *about)
{
	tests++;
	failed += !ok;
	printf("%sok %u - %s: %s\n", ok ? "" : "not ", tests, what, about);
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 }, { "1", 1 }, { "64K", 65536 }, { "64k", 65536 },
		{ "4M", 4194304 }, { "1G", 1073741824 }, { "1GiB", 1073741824 },
		{ "100B", 100 }, { "16777215T", 16777215ULL << 40 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = {
		"", "K", "-1", "+1", " 1", "1 ", "1.5M", "1X", "1KK", "0x10",
		"18446744073709551616", "16777216T", "99999999999999999999",
	};
	uint64_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		result(parse_size(good[i].text, &v) && v == good[i].bytes, "size",
		       good[i].text);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		result(!parse_size(bad[i], &v), "no size", bad[i]);
}

static void test_times(void)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {
		{ "0", 0 }, { "0s", 0 }, { "1ms", 1 }, { "90s", 90000 },
		{ "5m", 300000 }, { "12h", 43200000 }, { "7d", 604800000 },
	};
	static const char *const bad[] = {
		"", "s", "7", "-7d", "7w", "1d12h", "213503982335d",
	};
	uint64_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		result(parse_time(good[i].text, &v) && v == good[i].ms, "time",
		       good[i].text);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		result(!parse_time(bad[i], &v), "no time", bad[i]);
}

static void test_groups(void)
{
	static const char *const bad_lists[] = {
		"", ",", "1,", ",1", "1,,2", "1 2", "-1", "4096", "1,x", "1-3",
	};
	static const char *const bad_shifts[] = {
		"", "-", "+", "--1", "x", "1x", "9223372036854775808",
	};
	static const char *const bad_moments[] = { "", "-1", "now", "1w", "@5" };
	uint32_t *list = NULL, count = 0;
	int64_t v;
	size_t i;

	result(parse_partitions("0,4095,7", &list, &count) && count == 3 && !list[0] &&
	       list[1] == 4095 && list[2] == 7, "partitions", "0,4095,7");
	free(list);
	for (i = 0; i < ARRAY_SIZE(bad_lists); i++)
		result(!parse_partitions(bad_lists[i], &list, &count), "no partitions",
		       bad_lists[i]);
	result(parse_shift("10", &v) && v == 10, "shift", "10");
	result(parse_shift("+1", &v) && v == 1, "shift", "+1");
	result(parse_shift("-10", &v) && v == -10, "shift", "-10");
	for (i = 0; i < ARRAY_SIZE(bad_shifts); i++)
		result(!parse_shift(bad_shifts[i], &v), "no shift", bad_shifts[i]);
	result(parse_moment("1700000000000", 5, &v) && v == 1700000000000, "moment",
	       "1700000000000");
	result(parse_moment("2s", 10000, &v) && v == 8000, "moment", "2s");
	result(parse_moment("1h", 10000, &v) && !v, "moment", "1h");
	for (i = 0; i < ARRAY_SIZE(bad_moments); i++)
		result(!parse_moment(bad_moments[i], 10000, &v), "no moment",
		       bad_moments[i]);
}

static void test_retention(void)
{
	bool has_time, has_size;
	uint64_t ms, bytes;

	result(parse_retention("7d", &has_time, &ms, &has_size, &bytes) && has_time &&
	       !has_size && ms == 604800000, "retention", "7d");
	result(parse_retention("1h,1G", &has_time, &ms, &has_size, &bytes) &&
	       has_time && has_size && ms == 3600000 && bytes == 1 << 30,
	       "retention", "1h,1G");
	result(parse_retention(",64M", &has_time, &ms, &has_size, &bytes) &&
	       !has_time && has_size && bytes == 64 << 20, "retention", ",64M");
	result(!parse_retention("", &has_time, &ms, &has_size, &bytes),
	       "no retention", "");
	result(!parse_retention("1h,", &has_time, &ms, &has_size, &bytes),
	       "no retention", "1h,");
	result(!parse_retention("1G", &has_time, &ms, &has_size, &bytes),
	       "no retention", "1G");
}

static void test_names(void)
{
	char name[252];
	uint32_t mode;

	memset(name, 'a', 250);
	name[250] = '\0';
	result(!parse_name(name), "no name", "250 letters");
	name[249] = '\0';
	result(parse_name(name), "name", "249 letters");
	result(parse_name("a.B-c_9"), "name", "a.B-c_9");
	result(parse_name("..."), "name", "...");
	result(!parse_name(""), "no name", "empty");
	result(!parse_name("."), "no name", ".");
	result(!parse_name(".."), "no name", "..");
	result(!parse_name("a/b"), "no name", "a/b");
	result(!parse_name("a b"), "no name", "a b");

	result(parse_mode("0660", &mode) && mode == 0660, "mode", "0660");
	result(parse_mode("644", &mode) && mode == 0644, "mode", "644");
	result(!parse_mode("", &mode), "no mode", "empty");
	result(!parse_mode("0668", &mode), "no mode", "0668");
	result(!parse_mode("rw", &mode), "no mode", "rw");
}

static void is_entry(const char *entry, const char *want)
{
	char name[EVSTREAM_NAME_MAX + 1];
	bool found = parse_entry(entry, name);

	result(want ? found && !strcmp(name, want) : !found,
	       want ? "entry" : "no entry", entry);
}

static void test_entries(void)
{
	char longest[EVSTREAM_NAME_MAX + 16], name[EVSTREAM_NAME_MAX + 1];

	is_entry("orders-0", "orders");
	is_entry("orders-10", "orders");
	is_entry("orders-4095", "orders");
	is_entry("orders-2026-11", "orders-2026");
	is_entry("a.b-0", "a.b");
	is_entry("--0", "-");
	is_entry("__consumer_offsets-49", "__consumer_offsets");
	is_entry("orders.evstream", "orders");
	is_entry("orders-0.evstream", "orders-0");
	is_entry(".evstream.evstream", ".evstream");
	is_entry("orders", NULL);
	is_entry("orders-", NULL);
	is_entry("orders-4096", NULL);
	is_entry("orders-00", NULL);
	is_entry("orders-01", NULL);
	is_entry("orders-0x", NULL);
	is_entry("orders-18446744073709551616", NULL);
	is_entry("orders-0.2f6a-delete", NULL);
	is_entry("-0", NULL);
	is_entry(".-0", NULL);
	is_entry("..-0", NULL);
	is_entry("or ders-0", NULL);
	is_entry(".evstream", NULL);
	is_entry("", NULL);

	memset(longest, 'a', EVSTREAM_NAME_MAX);
	strcpy(longest + EVSTREAM_NAME_MAX, "-0");
	result(parse_entry(longest, name), "entry", "of 249 letters");
	strcpy(longest + EVSTREAM_NAME_MAX, "a-0");
	result(!parse_entry(longest, name), "no entry", "of 250 letters");
}

static void is_line(const char *text, const char *want)
{
	char line[64], *dir;

	strcpy(line, text);
	dir = parse_list_line(line);
	result(want ? dir && !strcmp(dir, want) : !dir,
	       want ? "line of a list" : "line that names nothing", text);
}

static void test_list_lines(void)
{
	char line[64];

	is_line("/srv/streams", "/srv/streams");
	is_line(" \t/srv/streams \t", "/srv/streams");
	is_line("/srv/two words", "/srv/two words");
	is_line("/srv/streams # of the shop", "/srv/streams");
	is_line("/srv/streams\t# of the shop", "/srv/streams");
	is_line("/srv/a#b", "/srv/a#b");
	is_line("relative", "relative");
	is_line("", NULL);
	is_line(" \t ", NULL);
	is_line("# of the shop", NULL);
	is_line("   #/srv/streams", NULL);
	is_line("#", NULL);
	strcpy(line, "/srv/streams\r\n");
	result(!strcmp(parse_list_line(line), "/srv/streams"), "line of a list",
	       "with its end");
}

static void test_owners(void)
{
	bool has_uid, has_gid;
	uid_t uid;
	gid_t gid;

	result(parse_owner("root", &has_uid, &uid, &has_gid, &gid) && has_uid &&
	       !has_gid && uid == 0, "owner", "root");
	result(parse_owner("12345:54321", &has_uid, &uid, &has_gid, &gid) &&
	       has_uid && has_gid && uid == 12345 && gid == 54321, "owner",
	       "12345:54321");
	result(parse_owner(":root", &has_uid, &uid, &has_gid, &gid) && !has_uid &&
	       has_gid && gid == 0, "owner", ":root");
	result(!parse_owner("root:", &has_uid, &uid, &has_gid, &gid), "no owner",
	       "root:");
	result(!parse_owner(":", &has_uid, &uid, &has_gid, &gid), "no owner", ":");
	result(!parse_owner("", &has_uid, &uid, &has_gid, &gid), "no owner", "empty");
	result(!parse_owner("no such user", &has_uid, &uid, &has_gid, &gid),
	       "no owner", "no such user");
}

static void test_starts(void)
{
	static const struct {
		const char *text;
		int where;
		int64_t value;
	} good[] = {
		{ "beginning", START_BEGINNING, 0 }, { "end", START_END, 0 },
		{ "42", START_OFFSET, 42 }, { "-5", START_BEFORE_END, 5 },
		{ "@1700000000000", START_TIME, 1700000000000 },
		{ "9223372036854775807", START_OFFSET, INT64_MAX },
	};
	static const char *const bad[] = {
		"", "start", "@", "-", "--5", "1e3", "9223372036854775808", "@-1",
	};
	struct start start;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		result(parse_start(good[i].text, &start) &&
		       (int)start.where == good[i].where &&
		       start.value == good[i].value, "start", good[i].text);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		result(!parse_start(bad[i], &start), "no start", bad[i]);
}

static void is_text(struct buf *b, const char *want, const char *what)
{
	int ok = b->len == strlen(want) && !memcmp(b->data, want, b->len);

	result(ok, what, want);
	if (!ok)
		printf("# but it is: %.*s\n", (int)b->len, b->data);
	b->len = 0;
}

static void test_printing(void)
{
	struct buf b = {};

	print_size(&b, 65536);
	is_text(&b, "64K", "print a size");
	print_size(&b, 65537);
	is_text(&b, "65537", "print a size");
	print_size(&b, 0);
	is_text(&b, "0", "print a size");
	print_size(&b, 1ULL << 50);
	is_text(&b, "1024T", "print a size");
	print_size_rough(&b, 1234567);
	is_text(&b, "1.2M", "print a size roughly");
	print_size_rough(&b, UINT64_MAX);
	is_text(&b, "16.0E", "print a size roughly");
	print_time(&b, 604800000);
	is_text(&b, "7d", "print a time");
	print_time(&b, 90000);
	is_text(&b, "90s", "print a time");
	print_time(&b, 1500);
	is_text(&b, "1500ms", "print a time");
	print_time_rough(&b, 0);
	is_text(&b, "0ms", "print a time roughly");
	print_time_rough(&b, 999);
	is_text(&b, "999ms", "print a time roughly");
	print_time_rough(&b, 59999);
	is_text(&b, "59.9s", "print a time roughly");
	print_time_rough(&b, 60000);
	is_text(&b, "1m00s", "print a time roughly");
	print_time_rough(&b, 86399999);
	is_text(&b, "23h59m", "print a time roughly");
	print_time_rough(&b, 90000000);
	is_text(&b, "1d01h", "print a time roughly");
	print_errno(&b, EIO);
	is_text(&b, "EIO", "print an error");
	print_errno(&b, ENOSPC);
	is_text(&b, "ENOSPC", "print an error");
	print_errno(&b, 4000);
	is_text(&b, "4000", "print an error");
	buf_free(&b);
}

static const struct evs_record *sample(void)
{
	static unsigned char headers[64];
	static struct evs_record rec = {
		.offset = 42,
		.timestamp = 1700000000000,
		.key = "k\0y",
		.key_len = 3,
		.value = "value",
		.value_len = 5,
	};
	const struct evs_header h[] = {
		{ .key = "a", .key_len = 1, .value = "1", .value_len = 1 },
		{ .key = "b", .key_len = 1, .value_len = -1 },
	};

	rec.headers = headers;
	rec.headers_count = 2;
	rec.headers_len = (uint32_t)evs_header_encode(headers, sizeof(headers), &h[0]);
	rec.headers_len += (uint32_t)evs_header_encode(headers + rec.headers_len,
						       sizeof(headers) - rec.headers_len,
						       &h[1]);
	return &rec;
}

static void is_format(const char *format, const struct evs_record *rec,
		      const char *want, size_t len)
{
	struct format f;
	struct buf b = {};
	const char *fault;
	int ok = !format_parse(&f, format, &fault);

	if (ok) {
		format_record(&f, &b, "topic", 3, rec);
		ok = b.len == len && (!len || !memcmp(b.data, want, len));
		format_free(&f);
	}
	result(ok, "format", format);
	if (!ok)
		printf("# gives: %.*s\n", (int)b.len, b.data ? b.data : "");
	buf_free(&b);
}

static void test_formats(void)
{
	static const char *const bad[] = {
		"%", "%x", "%s%", "\\", "\\q", "\\x", "\\x4", "\\x4g", "%20s",
	};
	const struct evs_record null = { .key_len = -1, .value_len = -1 };
	const struct evs_record *rec = sample();
	const char *fault;
	struct format f;
	size_t i;

	is_format("%s\\n", rec, "value\n", 6);
	is_format("%t/%p %o %T", rec, "topic/3 42 1700000000000", 24);
	is_format("%K%k|%S%s", rec, "3k\0y|5value", 11);
	is_format("%h", rec, "a=1,b=NULL", 10);
	is_format("100%%\\t\\x41\\x0a\\\\", rec, "100%\tA\n\\", 8);
	is_format("\\0", rec, "\0", 1);
	is_format("", rec, "", 0);
	is_format("[%k][%s]%K,%S[%h]", &null, "[][]-1,-1[]", 11);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		result(format_parse(&f, bad[i], &fault) < 0, "no format", bad[i]);
	format_parse(&f, "ab%q", &fault);
	result(!strcmp(fault, "%q"), "the fault is found", fault);
}

static void test_json(void)
{
	static const char want[] =
		"{\"s\":\"a\\\"\\\\\\n\\u0001\xc3\xa9\",\"u\":5,\"a\":[null,true,{}]}\n";
	struct buf b = {};
	struct json j = { .out = &b };

	json_object(&j, NULL);
	json_str(&j, "s", "a\"\\\n\x01\xc3\xa9");
	json_uint(&j, "u", 5);
	json_array(&j, "a");
	json_null(&j, NULL);
	json_bool(&j, NULL, true);
	json_object(&j, NULL);
	json_end_object(&j);
	json_end_array(&j);
	json_end_object(&j);
	is_text(&b, want, "json");
	json_str(&j, NULL, "\xff\xc0\x80-");
	is_text(&b, "\"\\ufffd\\ufffd\\ufffd-\"", "json of what is no text");

	result(utf8_valid("\xf0\x9f\x98\x80", 4), "utf-8", "four bytes");
	result(utf8_valid("", 0), "utf-8", "nothing");
	result(!utf8_valid("\xed\xa0\x80", 3), "no utf-8", "surrogate");
	result(!utf8_valid("\xe2\x82", 2), "no utf-8", "cut off");
	result(!utf8_valid("\xf4\x90\x80\x80", 4), "no utf-8", "too great");
	result(!utf8_valid("\xe0\x80\xaf", 3), "no utf-8", "too long");
	buf_free(&b);
}

int main(void)
{
	printf("TAP version 13\n");
	test_sizes();
	test_times();
	test_retention();
	test_groups();
	test_names();
	test_entries();
	test_list_lines();
	test_owners();
	test_starts();
	test_printing();
	test_formats();
	test_json();
	printf("1..%u\n", tests);
	return failed != 0;
}
