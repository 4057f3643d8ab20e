// SPDX-License-Identifier: GPL-2.0
/*
 * Where a durable topic lies.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hex.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/namei.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uidgid.h>

#include "place.h"
#include "store.h"

static int evs_place_text(struct evs_place *place)
{
	char *page = kmalloc(PATH_MAX, GFP_KERNEL), *text;
	int ret;

	if (!page)
		return -ENOMEM;
	text = d_path(&place->dir, page, PATH_MAX);
	ret = PTR_ERR_OR_ZERO(text);
	if (!ret) {
		place->text = kstrdup(text, GFP_KERNEL_ACCOUNT);
		ret = place->text ? 0 : -ENOMEM;
	}
	kfree(page);
	return ret;
}

/**
 * evs_place_open() - open the directory of a topic
 * @dir: its path, as the caller sees it
 * @fault: why not
 *
 * Return: the place, with the caller's credentials, or an ERR_PTR.
 */
struct evs_place *evs_place_open(const char *dir, struct evs_fault *fault)
{
	struct evs_place *place = kzalloc(sizeof(*place), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!place)
		return ERR_PTR(-ENOMEM);
	get_random_bytes(place->uuid, sizeof(place->uuid));
	/* As Kafka's: none that begins with a dash, which a command line would not like. */
	place->uuid[0] &= 0x7f;
	ret = kern_path(dir, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &place->dir);
	if (ret) {
		kfree(place);
		fault->set = EVS_SET_DIR;
		fault->msg = "the directory cannot be opened";
		return ERR_PTR(ret);
	}
	place->cred = get_current_cred();
	ret = evs_place_text(place);
	if (ret) {
		evs_place_free(place);
		return ERR_PTR(ret);
	}
	return place;
}

/**
 * evs_place_free() - let go of a topic's directory
 * @place: may be NULL
 */
void evs_place_free(struct evs_place *place)
{
	if (!place)
		return;
	path_put(&place->dir);
	put_cred(place->cred);
	kfree(place->text);
	kfree(place);
}

/**
 * evs_place_partition() - name of a partition's directory
 * @topic: the topic
 * @partition: its number
 *
 * Return: to be freed with kfree(), or NULL.
 */
char *evs_place_partition(const char *topic, u32 partition)
{
	return kasprintf(GFP_KERNEL, "%s-%u", topic, partition);
}

static char *evs_place_config(const char *topic)
{
	return kasprintf(GFP_KERNEL, "%s" EVS_FILE_CONFIG, topic);
}

static int evs_config_get(const char *slot, struct evs_topic_config *c, struct evs_place *place)
{
	u64 uid, gid, mode, partitions, max_record, framing;
	const struct {
		const char *key;
		u64 *value;
	} members[] = {
		{ "partitions", &partitions },
		{ "segment-size", &c->segment_size },
		{ "ring-size", &c->ring_size },
		{ "max-record", &max_record },
		{ "framing", &framing },
		{ "retention-ms", &c->retention_ms },
		{ "retention-bytes", &c->retention_bytes },
		{ "flush-interval", &c->flush_ms },
		{ "flush-bytes", &c->flush_bytes },
		{ "uid", &uid },
		{ "gid", &gid },
		{ "mode", &mode },
		{ "created-ms", &place->created_ms },
	};
	char uuid[2 * sizeof(place->uuid) + 1];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(members); i++)
		if (evs_file_slot_get_u64(slot, members[i].key, members[i].value))
			return -EUCLEAN;
	if (evs_file_slot_get(slot, "topic-id", uuid, sizeof(uuid)) ||
	    hex2bin(place->uuid, uuid, sizeof(place->uuid)))
		return -EUCLEAN;
	if (max3(partitions, max_record, framing) > U32_MAX || mode > 0777 ||
	    max(uid, gid) > U32_MAX)
		return -EUCLEAN;
	c->partitions = partitions;
	c->max_record = max_record;
	c->framing = framing;
	c->full = EVSTREAM_FULL_BLOCK;
	c->uid = make_kuid(&init_user_ns, uid);
	c->gid = make_kgid(&init_user_ns, gid);
	c->mode = mode;
	return uid_valid(c->uid) && gid_valid(c->gid) ? 0 : -EUCLEAN;
}

/**
 * evs_place_load() - read a topic's configuration
 * @place: its place
 * @c: its name is given; the rest, out
 *
 * Return: 0; -ENOENT: there is none; -EUCLEAN; -EPROTONOSUPPORT: a newer version
 * wrote it; or another negative errno.
 */
int evs_place_load(struct evs_place *place, struct evs_topic_config *c)
{
	char *name = evs_place_config(c->name);
	char *buf = kvmalloc(2 * EVS_SLOT, GFP_KERNEL);
	const char *slot;
	int ret = -ENOMEM;

	if (!name || !buf)
		goto out;
	ret = evs_path_load(&place->dir, name, buf, 2 * EVS_SLOT);
	if (ret < 0)
		goto out;
	slot = evs_file_slots_newest(buf, ret, &place->sequence, &ret);
	if (slot)
		ret = evs_config_get(slot, c, place);
out:
	kvfree(buf);
	kfree(name);
	return ret;
}

/**
 * evs_place_store() - write a topic's configuration
 * @place: its place
 * @c: the configuration
 *
 * Return: 0: it is on stable storage; or a negative errno.
 */
int evs_place_store(struct evs_place *place, const struct evs_topic_config *c)
{
	char uuid[2 * sizeof(place->uuid) + 1] = "";
	char *name = evs_place_config(c->name);
	char *buf = kzalloc(EVS_SLOT, GFP_KERNEL);
	const struct cred *old;
	struct evs_file_slot s;
	int ret = -ENOMEM;

	if (!name || !buf)
		goto out;
	bin2hex(uuid, place->uuid, sizeof(place->uuid));
	evs_file_slot_begin(&s, buf, place->sequence + 1);
	evs_file_slot_put(&s, "topic-id", uuid);
	evs_file_slot_put_u64(&s, "created-ms", place->created_ms);
	evs_file_slot_put_u64(&s, "partitions", c->partitions);
	evs_file_slot_put_u64(&s, "segment-size", c->segment_size);
	evs_file_slot_put_u64(&s, "ring-size", c->ring_size);
	evs_file_slot_put_u64(&s, "max-record", c->max_record);
	evs_file_slot_put_u64(&s, "framing", c->framing);
	evs_file_slot_put_u64(&s, "retention-ms", c->retention_ms);
	evs_file_slot_put_u64(&s, "retention-bytes", c->retention_bytes);
	evs_file_slot_put_u64(&s, "flush-interval", c->flush_ms);
	evs_file_slot_put_u64(&s, "flush-bytes", c->flush_bytes);
	evs_file_slot_put_u64(&s, "uid", from_kuid(&init_user_ns, c->uid));
	evs_file_slot_put_u64(&s, "gid", from_kgid(&init_user_ns, c->gid));
	evs_file_slot_put_u64(&s, "mode", c->mode);
	ret = evs_file_slot_end(&s);
	if (ret)
		goto out;
	old = override_creds(place->cred);
	ret = evs_path_slot(&place->dir, name, buf, place->sequence + 1);
	if (!ret)
		ret = evs_path_sync(&place->dir);
	revert_creds(old);
	if (!ret)
		place->sequence++;
out:
	kfree(buf);
	kfree(name);
	return ret;
}

/**
 * evs_place_has() - whether a topic's configuration is there
 * @place: its place
 * @topic: its name
 *
 * Return: 1, 0 or a negative errno.
 */
int evs_place_has(struct evs_place *place, const char *topic)
{
	char *name = evs_place_config(topic);
	char byte;
	int ret;

	if (!name)
		return -ENOMEM;
	ret = evs_path_load(&place->dir, name, &byte, 1);
	kfree(name);
	if (ret == -ENOENT)
		return 0;
	return ret < 0 ? ret : 1;
}

/* The largest segment of a partition's directory; -ENOENT: there is none such. */
static int evs_place_look(struct evs_place *place, const char *topic, u32 partition,
			  u64 *largest)
{
	char name[EVS_FILE_NAME], *dir = evs_place_partition(topic, partition);
	struct evs_store s;
	struct file *file;
	u64 *base;
	u32 i, nr;
	int ret;

	if (!dir)
		return -ENOMEM;
	ret = evs_store_open(&s, &place->dir, dir, place->cred);
	kfree(dir);
	if (ret)
		return ret;
	ret = evs_store_list(&s, EVS_FILE_LOG, &base, &nr);
	if (ret)
		goto close;
	for (i = 0; i < nr && !ret; i++) {
		evs_file_name(name, base[i], EVS_FILE_LOG);
		file = evs_store_file(&s, name, O_RDONLY);
		ret = PTR_ERR_OR_ZERO(file);
		if (!ret) {
			*largest = max_t(u64, *largest, i_size_read(file_inode(file)));
			fput(file);
		}
	}
	kvfree(base);
close:
	evs_store_close(&s);
	return ret;
}

/**
 * evs_place_find() - look for a topic that has no configuration of ours
 * @place: where
 * @topic: its name
 * @partitions: how many there are, out
 * @largest: bytes of its largest segment, out
 *
 * Return: 0; -ENOENT: there is none; or another negative errno.
 */
int evs_place_find(struct evs_place *place, const char *topic, u32 *partitions, u64 *largest)
{
	u32 i;
	int ret;

	*largest = 0;
	for (i = 0; i < EVSTREAM_PARTITIONS_MAX; i++) {
		ret = evs_place_look(place, topic, i, largest);
		if (ret == -ENOENT && i)
			break;
		if (ret)
			return ret;
	}
	*partitions = i;
	return 0;
}

/**
 * evs_place_remove() - remove a topic's configuration
 * @place: its place
 * @topic: its name
 */
void evs_place_remove(struct evs_place *place, const char *topic)
{
	const struct cred *old = override_creds(place->cred);
	char name[NAME_MAX + 1];

	scnprintf(name, sizeof(name), "%s" EVS_FILE_CONFIG, topic);
	evs_path_remove(&place->dir, name);
	evs_path_sync(&place->dir);
	revert_creds(old);
}
