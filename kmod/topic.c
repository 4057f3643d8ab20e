// SPDX-License-Identifier: GPL-2.0
/*
 * Topics: registry, configuration, lifetime, routing.
 */
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/hashtable.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/stringhash.h>
#include <linux/xarray.h>

#include "durable.h"
#include "internal.h"
#include "offsets.h"
#include "partition.h"
#include "place.h"
#include "route.h"
#include "store.h"
#include "topic.h"

#define EVS_SEGMENT_DEFAULT	SZ_4M
#define EVS_SEGMENT_DURABLE	SZ_64M
#define EVS_RING_DEFAULT	SZ_64M
#define EVS_FLUSH_MS_DEFAULT	MSEC_PER_SEC
#define EVS_FLUSH_BYTES_DEFAULT	SZ_64M
#define EVS_FLUSH_MS_MAX	(24 * 3600 * MSEC_PER_SEC)
#define EVS_RING_MAX		BIT_ULL(44)
#define EVS_RECORD_DEFAULT	SZ_1M
#define EVS_RETENTION_DEFAULT	(7ULL * 24 * 3600 * MSEC_PER_SEC)
#define EVS_RETENTION_MAX	BIT_ULL(50)	/* 35,000 years: sums do not overflow */
#define EVS_MODE_DEFAULT	0660
/* Batch header, record head, value length and header count, and some to spare. */
#define EVS_RECORD_OVERHEAD	128

/* Serialises creation, deletion and change of topics. */
static DEFINE_MUTEX(evs_topics_lock);
/*
 * Serialises whatever opens or closes a topic's files: two must not recover the
 * same ones. Taken before evs_topics_lock, under which nobody waits for a disk.
 */
static DEFINE_MUTEX(evs_places_lock);
static DEFINE_HASHTABLE(evs_topics_by_name, 10);
static DEFINE_XARRAY_ALLOC(evs_topics_by_id);
static u32 evs_topics_next_id;
static u32 evs_topics_count;
static u32 evs_partitions_count;
static const struct evs_node_ops *evs_nodes;

/**
 * evs_topic_init() - set up the registry
 * @nodes: who makes the device nodes
 */
void evs_topic_init(const struct evs_node_ops *nodes)
{
	evs_nodes = nodes;
}

static u32 evs_name_hash(const char *name)
{
	return full_name_hash(NULL, name, strlen(name));
}

static struct evs_topic *evs_topic_find(const char *name)
{
	struct evs_topic *t;

	lockdep_assert_held(&evs_topics_lock);
	hash_for_each_possible(evs_topics_by_name, t, hash, evs_name_hash(name))
		if (!strcmp(t->config.name, name))
			return t;
	return NULL;
}

static int evs_fault(struct evs_fault *fault, u32 set, const char *msg, int err)
{
	fault->set = set;
	fault->msg = msg;
	return err;
}

static int evs_check_name(const char *name, struct evs_fault *fault)
{
	size_t len = strnlen(name, EVSTREAM_NAME_MAX + 1), i;

	if (!len)
		return evs_fault(fault, 0, "the name is empty", -EINVAL);
	if (len > EVSTREAM_NAME_MAX)
		return evs_fault(fault, 0, "the name has more than 249 letters", -EINVAL);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return evs_fault(fault, 0, "the name must not be '.' or '..'", -EINVAL);
	for (i = 0; i < len; i++)
		if (!isascii(name[i]) || (!isalnum(name[i]) && !strchr("._-", name[i])))
			return evs_fault(fault, 0, "the name must be of [a-zA-Z0-9._-]", -EINVAL);
	return 0;
}

/* Before a segment size is made to go with it, which would be to blame. */
static int evs_check_ring(u64 size, struct evs_fault *fault)
{
	if (size < 2 * EVSTREAM_SEGMENT_MIN)
		return evs_fault(fault, EVS_SET_RING_SIZE,
				 "a ring has at least 128 KiB: two of the smallest segments",
				 -EINVAL);
	if (size % EVSTREAM_SEGMENT_MIN)
		return evs_fault(fault, EVS_SET_RING_SIZE,
				 "a ring is a multiple of 64 KiB, the smallest segment", -EINVAL);
	return 0;
}

/* What was not given follows from what was. */
static void evs_config_defaults(struct evs_topic_config *c, u32 given, bool durable)
{
	if (!(given & EVS_SET_PARTITIONS))
		c->partitions = 1;
	if (!(given & EVS_SET_SEGMENT_SIZE)) {
		c->segment_size = durable ? EVS_SEGMENT_DURABLE : EVS_SEGMENT_DEFAULT;
		if ((given & EVS_SET_MAX_RECORD) && c->max_record <= EVSTREAM_RECORD_MAX)
			c->segment_size = max(c->segment_size,
					      (u64)roundup_pow_of_two(2 * c->max_record + 1));
		/* The largest that the ring is two or more of. */
		if (!durable && (given & EVS_SET_RING_SIZE) && c->ring_size >= 2) {
			c->segment_size = min(c->segment_size,
					      1ULL << __ffs64(c->ring_size));
			c->segment_size = min_t(u64, c->segment_size,
						rounddown_pow_of_two(c->ring_size / 2));
		}
	}
	if (!(given & EVS_SET_RING_SIZE))
		c->ring_size = durable ? EVS_RING_DEFAULT :
			       max_t(u64, EVS_RING_DEFAULT, 4 * c->segment_size);
	if (!(given & EVS_SET_MAX_RECORD))
		c->max_record = min_t(u64, EVS_RECORD_DEFAULT, c->segment_size / 2);
	if (!(given & EVS_SET_FRAMING))
		c->framing = EVSTREAM_FRAMING_RECORD;
	if (!(given & EVS_SET_FULL))
		c->full = durable ? EVSTREAM_FULL_BLOCK : EVSTREAM_FULL_OVERWRITE;
	if (!(given & EVS_SET_UID))
		c->uid = current_fsuid();
	if (!(given & EVS_SET_GID))
		c->gid = current_fsgid();
	if (!(given & EVS_SET_MODE))
		c->mode = EVS_MODE_DEFAULT;
	if (!(given & EVS_SET_RETENTION_MS))
		c->retention_ms = EVS_RETENTION_DEFAULT;
	if (!(given & EVS_SET_RETENTION_BYTES))
		c->retention_bytes = 0;
	if (!(given & EVS_SET_FLUSH_MS))
		c->flush_ms = durable ? EVS_FLUSH_MS_DEFAULT : 0;
	if (!(given & EVS_SET_FLUSH_BYTES))
		c->flush_bytes = durable ? EVS_FLUSH_BYTES_DEFAULT : 0;
}

/* What only one of the two kinds of topics has. */
static int evs_config_kind(u32 given, bool durable, struct evs_fault *fault)
{
	if (durable && (given & EVS_SET_FULL))
		return evs_fault(fault, EVS_SET_FULL,
				 "a durable topic has no ring to be full: producers wait for its files",
				 -EINVAL);
	if (!durable && (given & (EVS_SET_FLUSH_MS | EVS_SET_FLUSH_BYTES)))
		return evs_fault(fault, given & EVS_SET_FLUSH_MS ? EVS_SET_FLUSH_MS :
				 EVS_SET_FLUSH_BYTES,
				 "only a durable topic, one with a directory, is flushed", -EINVAL);
	return 0;
}

static int evs_config_check(const struct evs_topic_config *c, bool durable,
			    struct evs_fault *fault)
{
	if (!c->partitions || c->partitions > EVSTREAM_PARTITIONS_MAX)
		return evs_fault(fault, EVS_SET_PARTITIONS,
				 "a topic has 1 to 4096 partitions", -EINVAL);
	if (c->segment_size < EVSTREAM_SEGMENT_MIN || c->segment_size > EVSTREAM_SEGMENT_MAX ||
	    !is_power_of_2(c->segment_size))
		return evs_fault(fault, EVS_SET_SEGMENT_SIZE,
				 "a segment is a power of two from 64 KiB to 1 GiB", -EINVAL);
	if (c->ring_size > EVS_RING_MAX)
		return evs_fault(fault, EVS_SET_RING_SIZE,
				 "a ring has at most 16 TiB", -EINVAL);
	if (c->ring_size < 2 * EVSTREAM_SEGMENT_MIN)
		return evs_fault(fault, EVS_SET_RING_SIZE,
				 "a ring has at least 128 KiB: two of the smallest segments",
				 -EINVAL);
	if (!durable && c->ring_size < 2 * c->segment_size)
		return evs_fault(fault, EVS_SET_RING_SIZE,
				 "the ring must hold at least two segments", -EINVAL);
	if (!durable && (c->ring_size & (c->segment_size - 1)))
		return evs_fault(fault, EVS_SET_RING_SIZE,
				 "the ring must be a multiple of the segment size", -EINVAL);
	if (!c->max_record || c->max_record > EVSTREAM_RECORD_MAX)
		return evs_fault(fault, EVS_SET_MAX_RECORD,
				 "the record limit is 1 byte to 16 MiB", -EINVAL);
	if (c->max_record + EVS_RECORD_OVERHEAD > c->segment_size)
		return evs_fault(fault, EVS_SET_MAX_RECORD,
				 "a record of the limit and 128 bytes must fit a segment", -EINVAL);
	if (c->framing > EVSTREAM_FRAMING_LINE)
		return evs_fault(fault, EVS_SET_FRAMING, "unknown framing", -EINVAL);
	if (c->full > EVSTREAM_FULL_FAIL)
		return evs_fault(fault, EVS_SET_FULL, "unknown policy for a full ring", -EINVAL);
	if (c->mode & ~0666)
		return evs_fault(fault, EVS_SET_MODE,
				 "a device's mode is of the bits 0666", -EINVAL);
	if (c->retention_ms > EVS_RETENTION_MAX)
		return evs_fault(fault, EVS_SET_RETENTION_MS,
				 "the retention is longer than 2^50 ms", -EINVAL);
	if (c->retention_bytes > EVS_RING_MAX)
		return evs_fault(fault, EVS_SET_RETENTION_BYTES,
				 "the retention is more than 16 TiB", -EINVAL);
	if (c->flush_ms > EVS_FLUSH_MS_MAX)
		return evs_fault(fault, EVS_SET_FLUSH_MS,
				 "the flush interval is longer than a day", -EINVAL);
	return 0;
}

static void evs_config_limits(const struct evs_topic_config *c, struct evs_limits *l)
{
	l->ring = c->ring_size;
	l->retention_bytes = c->retention_bytes;
	l->retention_ms = c->retention_ms;
	l->full = c->full;
	l->flush_ms = c->flush_ms;
	l->flush_bytes = c->flush_bytes;
}

static void evs_topic_free(struct evs_topic *t)
{
	u32 i;

	evs_groups_free(t);
	evs_offsets_free(t);
	for (i = 0; i < t->partitions; i++)
		if (t->partition[i])
			evs_partition_free(t->partition[i]);
	evs_place_free(t->place);
	kvfree_rcu(t, rcu);
}

/* Lets go of a topic's directory: who has it open does not keep it busy. */
static void evs_topic_leave(struct evs_topic *t)
{
	path_put(&t->place->dir);
	t->place->dir = (struct path){};
}

/* Undoes what became of a topic that is not known yet. */
static void evs_topic_abandon(struct evs_topic *t, bool remove)
{
	u32 i;

	evs_groups_kill(t);
	evs_offsets_kill(t, remove);
	for (i = 0; i < t->partitions; i++) {
		evs_partition_refuse(t->partition[i]);
		evs_partition_kill(t->partition[i], remove);
	}
	if (remove)
		evs_place_remove(t->place, t->config.name);
	evs_topic_free(t);
}

/* @lost: what a partition could not be written for, 0: all was, out. */
static int evs_topic_kill(struct evs_topic *t, bool remove, int *lost)
{
	u32 i;

	mutex_lock(&evs_topics_lock);
	if (t->dead) {
		mutex_unlock(&evs_topics_lock);
		return -ENOENT;
	}
	WRITE_ONCE(t->dead, true);
	for (i = 0; i < t->partitions; i++)
		evs_partition_refuse(t->partition[i]);
	wake_up_all(&t->any_wait);
	evs_nodes->remove(t);
	hash_del(&t->hash);
	xa_erase(&evs_topics_by_id, t->id);
	evs_topics_count--;
	evs_partitions_count -= t->partitions;
	mutex_unlock(&evs_topics_lock);

	evs_groups_kill(t);
	evs_offsets_kill(t, remove);
	*lost = 0;
	for (i = 0; i < t->partitions; i++) {
		int ret = evs_partition_kill(t->partition[i], remove);

		*lost = *lost ?: ret;
		cond_resched();
	}
	if (t->place)
		evs_store_settle();
	evs_topic_put(t);
	return 0;
}

/* Takes over @place, if it succeeds. */
static struct evs_topic *evs_topic_alloc(const struct evs_topic_config *c,
					 struct evs_place *place)
{
	struct evs_limits limits;
	struct evs_topic *t;
	u32 i;

	t = kvzalloc(struct_size(t, partition, c->partitions), GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	kref_init(&t->ref);
	spin_lock_init(&t->lock);
	init_waitqueue_head(&t->any_wait);
	evs_groups_init(&t->groups);
	t->config = *c;
	t->created_ms = place && place->created_ms ? place->created_ms :
			ktime_to_ms(ktime_get_real());
	t->partitions = c->partitions;
	evs_config_limits(c, &limits);
	for (i = 0; i < t->partitions; i++) {
		struct evs_partition *p;

		p = evs_partition_new(i, ilog2(c->segment_size), &limits, &t->any_wait, place);
		if (IS_ERR(p)) {
			evs_topic_free(t);
			return ERR_CAST(p);
		}
		t->partition[i] = p;
		cond_resched();
	}
	if (place)
		place->created_ms = t->created_ms;
	t->place = place;
	return t;
}

static int evs_topic_room(const char *name, u32 partitions, struct evs_fault *fault)
{
	lockdep_assert_held(&evs_topics_lock);
	if (evs_topic_find(name))
		return evs_fault(fault, 0, "there is a topic of that name", -EEXIST);
	if (evs_topics_count >= evs_topics_ceiling())
		return evs_fault(fault, 0, "as many topics as the module's max_topics allows",
				 -ENOSPC);
	if (partitions > evs_partitions_ceiling() ||
	    evs_partitions_count > evs_partitions_ceiling() - partitions)
		return evs_fault(fault, EVS_SET_PARTITIONS,
				 "more partitions than the module's max_partitions allows",
				 -ENOSPC);
	return 0;
}

/* Makes a topic known: it has one reference more then. */
static int evs_topic_register(struct evs_topic *t, struct evs_fault *fault)
{
	u32 i;
	int ret;

	mutex_lock(&evs_topics_lock);
	ret = evs_topic_room(t->config.name, t->partitions, fault);
	if (ret)
		goto unlock;
	t->id = evs_topics_next_id;
	for (i = 0; i < t->partitions; i++)
		t->partition[i]->topic_id = t->id;
	ret = xa_insert(&evs_topics_by_id, t->id, t, GFP_KERNEL);
	if (ret)
		goto unlock;
	evs_topics_next_id++;
	evs_topics_count++;
	evs_partitions_count += t->partitions;
	hash_add(evs_topics_by_name, &t->hash, evs_name_hash(t->config.name));
	kref_get(&t->ref);
	for (i = 0; t->place && i < t->partitions; i++)
		evs_durable_start(t->partition[i]);
unlock:
	mutex_unlock(&evs_topics_lock);
	return ret;
}

/* Makes the directories of a new topic. */
static int evs_topic_make_files(struct evs_topic *t, struct evs_fault *fault)
{
	struct evs_place *place = t->place;
	u32 i;
	int ret;

	/* First: with it, but without all its partitions, a topic is not taken for whole. */
	ret = evs_place_store(place, &t->config);
	if (ret)
		return evs_fault(fault, EVS_SET_DIR, "its configuration cannot be written", ret);
	for (i = 0; i < t->partitions; i++) {
		char *name = evs_place_partition(t->config.name, i);

		ret = name ? evs_durable_create(t->partition[i], &place->dir, name, place->cred,
						place->uuid) : -ENOMEM;
		kfree(name);
		if (ret == -EEXIST)
			return evs_fault(fault, EVS_SET_DIR,
					 "there is such a partition in the directory", ret);
		if (ret)
			return evs_fault(fault, EVS_SET_DIR,
					 "the partitions' directories cannot be made", ret);
		cond_resched();
	}
	/* Their directories' names are on stable storage, too. */
	ret = evs_path_sync(&place->dir);
	if (ret)
		return evs_fault(fault, EVS_SET_DIR, "the directory cannot be synced", ret);
	return 0;
}

/* Finds the topic's records in its directories. */
static int evs_topic_find_files(struct evs_topic *t, struct evs_fault *fault)
{
	struct evs_place *place = t->place;
	int ret = 0;
	u32 i;

	for (i = 0; i < t->partitions && !ret; i++) {
		char *name = evs_place_partition(t->config.name, i);

		ret = name ? evs_durable_attach(t->partition[i], &place->dir, name,
						place->cred) : -ENOMEM;
		kfree(name);
		cond_resched();
	}
	if (!ret) {
		ret = evs_offsets_attach(t);
		if (ret)
			return evs_fault(fault, EVS_SET_DIR,
					 "the log of committed offsets cannot be read", ret);
	}
	switch (ret) {
	case 0:
		return 0;
	case -ENOENT:
		ret = -EUCLEAN;
		fallthrough;
	case -EUCLEAN:
		return evs_fault(fault, EVS_SET_DIR,
				 "what a partition's directory has makes no sense", ret);
	case -EBUSY:
		return evs_fault(fault, EVS_SET_DIR, "the directory is in use by another topic",
				 ret);
	case -EPROTONOSUPPORT:
		return evs_fault(fault, EVS_SET_DIR,
				 "a newer version, or an old Kafka, wrote a partition", ret);
	default:
		return evs_fault(fault, EVS_SET_DIR, "a partition's files cannot be read", ret);
	}
}

/*
 * Takes over @place. The module is held by the topic: records would vanish with
 * it, or be out of reach.
 */
static int evs_topic_build(const struct evs_topic_config *c, struct evs_place *place, bool attach,
			   struct evs_topic **out, struct evs_fault *fault)
{
	struct evs_topic *t;
	int ret;

	if (!try_module_get(THIS_MODULE)) {
		evs_place_free(place);
		return -ENODEV;
	}
	t = evs_topic_alloc(c, place);
	ret = PTR_ERR_OR_ZERO(t);
	if (ret)
		goto free_place;
	if (place)
		ret = attach ? evs_topic_find_files(t, fault) : evs_topic_make_files(t, fault);
	if (!ret)
		ret = evs_topic_register(t, fault);
	if (ret) {
		evs_topic_abandon(t, place && !attach);
		goto put_module;
	}
	/* Last: once a node is there, it is opened. */
	mutex_lock(&evs_topics_lock);
	ret = t->dead ? -ENOENT : evs_nodes->add(t);
	mutex_unlock(&evs_topics_lock);
	if (ret) {
		int lost;

		evs_topic_kill(t, place && !attach, &lost);
		if (place && !attach)
			evs_place_remove(place, c->name);
		evs_topic_put(t);
		return ret;
	}
	evs_groups_restored(t);
	*out = t;
	return 0;

free_place:
	evs_place_free(place);
put_module:
	module_put(THIS_MODULE);
	return ret;
}

/* Also the name of a durable topic's configuration is one of a file. */
static int evs_check_file_name(const char *name, struct evs_fault *fault)
{
	if (strlen(name) + strlen(EVS_FILE_CONFIG) <= NAME_MAX)
		return 0;
	return evs_fault(fault, 0, "the name of a durable topic has 246 letters at the most",
			 -EINVAL);
}

static int evs_topic_known(const char *name, u32 partitions, struct evs_fault *fault)
{
	int ret;

	mutex_lock(&evs_topics_lock);
	ret = evs_topic_room(name, partitions, fault);
	mutex_unlock(&evs_topics_lock);
	return ret;
}

static int evs_topic_create_at(const struct evs_topic_config *c, const char *dir,
			       struct evs_topic **out, struct evs_fault *fault)
{
	struct evs_place *place;
	int ret;

	if (!dir)
		return evs_topic_build(c, NULL, false, out, fault);
	ret = evs_check_file_name(c->name, fault);
	if (ret)
		return ret;
	if (mutex_lock_killable(&evs_places_lock))
		return -EINTR;
	/* Before a directory is made that would have to go again. */
	ret = evs_topic_known(c->name, c->partitions, fault);
	if (ret)
		goto unlock;
	place = evs_place_open(dir, fault);
	ret = PTR_ERR_OR_ZERO(place);
	if (ret)
		goto unlock;
	ret = evs_place_has(place, c->name);
	if (!ret) {
		ret = evs_topic_build(c, place, false, out, fault);
		goto unlock;
	}
	evs_place_free(place);
	if (ret > 0)
		ret = evs_fault(fault, EVS_SET_DIR, "there is such a topic in the directory",
				-EEXIST);
unlock:
	mutex_unlock(&evs_places_lock);
	return ret;
}

/**
 * evs_topic_create() - create a topic and its nodes
 * @cfg: what is wanted
 * @given: EVS_SET_* of the members that count; the others get defaults
 * @dir: directory of a durable topic, NULL: a volatile one
 * @out: the topic, a reference
 * @fault: why not, where the result is negative
 *
 * Return: 0, -EINVAL, -EEXIST, -ENOSPC (a ceiling of the module), -ENOMEM, -EINTR, or
 * what the file system says.
 */
int evs_topic_create(const struct evs_topic_config *cfg, u32 given, const char *dir,
		     struct evs_topic **out, struct evs_fault *fault)
{
	struct evs_topic_config *c;
	int ret;

	*fault = (struct evs_fault){};
	c = kmemdup(cfg, sizeof(*cfg), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	ret = evs_check_name(c->name, fault);
	if (!ret)
		ret = evs_config_kind(given, dir, fault);
	if (!ret && (given & EVS_SET_RING_SIZE))
		ret = evs_check_ring(c->ring_size, fault);
	if (!ret) {
		evs_config_defaults(c, given, dir);
		ret = evs_config_check(c, dir, fault);
	}
	if (!ret)
		ret = evs_topic_create_at(c, dir, out, fault);
	kfree(c);
	return ret;
}

/* The configuration of a topic that Kafka wrote: all is kept. */
static int evs_config_foreign(struct evs_topic_config *c, struct evs_place *place,
			      struct evs_fault *fault)
{
	const u32 given = EVS_SET_PARTITIONS | EVS_SET_SEGMENT_SIZE | EVS_SET_RETENTION_MS;
	u64 largest;
	int ret;

	ret = evs_place_find(place, c->name, &c->partitions, &largest);
	if (ret == -ENOENT)
		return evs_fault(fault, 0, "no such topic in the directory", ret);
	if (ret == -EBUSY)
		return evs_fault(fault, EVS_SET_DIR, "the directory is in use by another topic",
				 ret);
	if (ret)
		return evs_fault(fault, EVS_SET_DIR, "a partition's files cannot be read", ret);
	c->segment_size = roundup_pow_of_two(max_t(u64, largest, EVS_SEGMENT_DURABLE));
	c->retention_ms = 0;
	evs_config_defaults(c, given, true);
	return 0;
}

static int evs_topic_attach_at(struct evs_topic_config *c, struct evs_place *place,
			       struct evs_topic **out, struct evs_fault *fault)
{
	bool foreign = false;
	int ret;

	ret = evs_place_load(place, c);
	if (ret == -ENOENT) {
		foreign = true;
		ret = evs_config_foreign(c, place, fault);
	} else if (ret == -EPROTONOSUPPORT) {
		evs_fault(fault, EVS_SET_DIR, "a newer version wrote the configuration", ret);
	} else if (ret == -EUCLEAN) {
		evs_fault(fault, EVS_SET_DIR, "the configuration file makes no sense", ret);
	} else if (ret) {
		evs_fault(fault, EVS_SET_DIR, "the configuration file cannot be read", ret);
	}
	if (!ret && evs_config_check(c, true, fault)) {
		fault->set = EVS_SET_DIR;
		ret = -EUCLEAN;
	}
	if (!ret && foreign) {
		ret = evs_place_store(place, c);
		/* Half of it would make no sense the next time. */
		if (ret)
			evs_place_remove(place, c->name);
	}
	if (ret) {
		evs_place_free(place);
		return ret;
	}
	return evs_topic_build(c, place, true, out, fault);
}

/**
 * evs_topic_attach() - make a durable topic known again
 * @name: its name
 * @dir: the directory it is in
 * @out: the topic, a reference
 * @fault: why not, where the result is negative
 *
 * Return: 0; -EINVAL; -EEXIST: there is a topic of that name; -ENOENT: there is no
 * such in the directory; -EUCLEAN: what is there makes no sense; -EPROTONOSUPPORT: a
 * newer version wrote it; -ENOSPC; -ENOMEM; -EINTR; or what the file system says.
 */
int evs_topic_attach(const char *name, const char *dir, struct evs_topic **out,
		     struct evs_fault *fault)
{
	struct evs_topic_config *c;
	struct evs_place *place;
	int ret;

	*fault = (struct evs_fault){};
	ret = evs_check_name(name, fault);
	if (!ret)
		ret = evs_check_file_name(name, fault);
	if (ret)
		return ret;
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	strscpy(c->name, name, sizeof(c->name));
	ret = mutex_lock_killable(&evs_places_lock);
	if (ret)
		goto out;
	ret = evs_topic_known(name, 1, fault);
	if (!ret) {
		place = evs_place_open(dir, fault);
		ret = PTR_ERR_OR_ZERO(place);
	}
	if (!ret)
		ret = evs_topic_attach_at(c, place, out, fault);
	mutex_unlock(&evs_places_lock);
out:
	kfree(c);
	return ret;
}

static int evs_topic_take_away(struct evs_topic *t, bool remove, int *lost)
{
	int ret;

	if (!t->place)
		return evs_topic_kill(t, false, lost);
	if (mutex_lock_killable(&evs_places_lock))
		return -EINTR;
	ret = evs_topic_kill(t, remove, lost);
	if (!ret && remove)
		evs_place_remove(t->place, t->config.name);
	if (!ret)
		evs_topic_leave(t);
	mutex_unlock(&evs_places_lock);
	return ret;
}

/**
 * evs_topic_delete() - delete a topic
 * @t: the topic; the caller keeps its reference
 *
 * When it returns, the nodes, the records and a durable topic's files are gone and
 * who has the topic open gets -ENODEV.
 *
 * Return: 0, -ENOENT: somebody else deleted it first.
 */
int evs_topic_delete(struct evs_topic *t)
{
	int lost;

	return evs_topic_take_away(t, true, &lost);
}

/**
 * evs_topic_detach() - take a durable topic away, and leave its files
 * @t: the topic; the caller keeps its reference
 * @fault: why not
 *
 * As evs_topic_delete(), but all records are on stable storage then. Where the
 * storage has failed, some are not, which @fault says though the result is 0.
 *
 * Return: 0; -ENOENT: somebody else took it first; -EINVAL: a volatile topic;
 * -ENOSPC, -EDQUOT: there is no room for what is in memory; -EINTR.
 */
int evs_topic_detach(struct evs_topic *t, struct evs_fault *fault)
{
	int ret, lost;
	u32 i;

	if (!t->place)
		return evs_fault(fault, 0, "a volatile topic cannot be detached: delete it",
				 -EINVAL);
	for (i = 0; i < t->partitions; i++)
		evs_partition_sync_start(t->partition[i]);
	for (i = 0; i <= t->partitions; i++) {
		ret = i < t->partitions ?
		      evs_partition_sync(t->partition[i], evs_end_pos(t->partition[i])) :
		      evs_offsets_sync(t);
		if (ret == -EINTR)
			return ret;
		/* After another error, nothing can be done for it any more. */
		if (ret == -ENOSPC || ret == -EDQUOT || ret == -ENOMEM)
			return evs_fault(fault, 0, "there is no room for what is not written yet",
					 ret);
	}
	ret = evs_topic_take_away(t, false, &lost);
	if (!ret && lost)
		evs_fault(fault, 0,
			  "the storage has failed: records that were not durable are lost", 0);
	return ret;
}

static void evs_config_merge(struct evs_topic_config *c, const struct evs_topic_config *from,
			     u32 set)
{
	if (set & EVS_SET_RING_SIZE)
		c->ring_size = from->ring_size;
	if (set & EVS_SET_MAX_RECORD)
		c->max_record = from->max_record;
	if (set & EVS_SET_FRAMING)
		c->framing = from->framing;
	if (set & EVS_SET_FULL)
		c->full = from->full;
	if (set & EVS_SET_UID)
		c->uid = from->uid;
	if (set & EVS_SET_GID)
		c->gid = from->gid;
	if (set & EVS_SET_MODE)
		c->mode = from->mode;
	if (set & EVS_SET_RETENTION_MS)
		c->retention_ms = from->retention_ms;
	if (set & EVS_SET_RETENTION_BYTES)
		c->retention_bytes = from->retention_bytes;
	if (set & EVS_SET_FLUSH_MS)
		c->flush_ms = from->flush_ms;
	if (set & EVS_SET_FLUSH_BYTES)
		c->flush_bytes = from->flush_bytes;
}

static void evs_config_store(struct evs_topic *t, const struct evs_topic_config *c)
{
	spin_lock(&t->lock);
	/* Files read these without the lock. */
	WRITE_ONCE(t->config.max_record, c->max_record);
	WRITE_ONCE(t->config.framing, c->framing);
	t->config.full = c->full;
	t->config.ring_size = c->ring_size;
	t->config.retention_ms = c->retention_ms;
	t->config.retention_bytes = c->retention_bytes;
	t->config.flush_ms = c->flush_ms;
	t->config.flush_bytes = c->flush_bytes;
	t->config.uid = c->uid;
	t->config.gid = c->gid;
	t->config.mode = c->mode;
	spin_unlock(&t->lock);
}

static int evs_topic_apply(struct evs_topic *t, const struct evs_topic_config *c,
			   const struct evs_topic_config *old)
{
	int ret;

	evs_config_store(t, c);
	if (!uid_eq(c->uid, old->uid) || !gid_eq(c->gid, old->gid) || c->mode != old->mode) {
		ret = evs_nodes->change(t);
		if (ret) {
			evs_config_store(t, old);
			/* Those that were made already, too. */
			evs_nodes->change(t);
			return ret;
		}
	}
	return 0;
}

static void evs_topic_limit(struct evs_topic *t, const struct evs_topic_config *c)
{
	struct evs_limits limits;
	u32 i;

	evs_config_limits(c, &limits);
	for (i = 0; i < t->partitions; i++)
		evs_partition_configure(t->partition[i], &limits);
	evs_offsets_configure(t, &limits);
}

/**
 * evs_topic_set() - change a topic
 * @t: the topic
 * @cfg: the new values
 * @set: EVS_SET_* of the members that count
 * @fault: why not, where the result is negative
 *
 * All or nothing is changed. A smaller ring drops its oldest segments at once.
 *
 * Return: 0, -EINVAL, -ENOENT (deleted), -ENOMEM, or what the file system of a
 * durable topic says.
 */
int evs_topic_set(struct evs_topic *t, const struct evs_topic_config *cfg, u32 set,
		  struct evs_fault *fault)
{
	struct evs_topic_config *c, *old;
	bool stored = false;
	int ret;

	*fault = (struct evs_fault){};
	if (set & EVS_SET_PARTITIONS)
		return evs_fault(fault, EVS_SET_PARTITIONS,
				 "the partitions are fixed when the topic is created", -EINVAL);
	if (set & EVS_SET_SEGMENT_SIZE)
		return evs_fault(fault, EVS_SET_SEGMENT_SIZE,
				 "the segment size is fixed when the topic is created", -EINVAL);
	ret = evs_config_kind(set, t->place, fault);
	if (ret)
		return ret;
	c = kmalloc_array(2, sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	old = c + 1;

	/* Nobody else changes a durable topic meanwhile. */
	if (t->place && mutex_lock_killable(&evs_places_lock)) {
		kfree(c);
		return -EINTR;
	}
	mutex_lock(&evs_topics_lock);
	ret = t->dead ? -ENOENT : 0;
	*old = t->config;
	*c = t->config;
	if (ret)
		goto out;
	evs_config_merge(c, cfg, set);
	ret = evs_config_check(c, t->place, fault);
	if (ret)
		goto out;
	if (t->place) {
		mutex_unlock(&evs_topics_lock);
		ret = evs_place_store(t->place, c);
		mutex_lock(&evs_topics_lock);
		if (ret) {
			evs_fault(fault, EVS_SET_DIR, "its configuration cannot be written", ret);
			goto out;
		}
		stored = true;
	}
	ret = evs_topic_apply(t, c, old);
	if (!ret && !t->place)
		evs_topic_limit(t, c);
out:
	mutex_unlock(&evs_topics_lock);
	if (ret && stored)
		evs_place_store(t->place, old);
	/* Here, since it may wait for a disk. */
	if (!ret && t->place)
		evs_topic_limit(t, c);
	if (t->place)
		mutex_unlock(&evs_places_lock);
	if (!ret)
		evs_groups_release(t);
	kfree(c);
	return ret;
}

/**
 * evs_topic_get() - look a topic up
 * @name: its name
 *
 * Return: a reference or NULL.
 */
struct evs_topic *evs_topic_get(const char *name)
{
	struct evs_topic *t;

	mutex_lock(&evs_topics_lock);
	t = evs_topic_find(name);
	if (t)
		kref_get(&t->ref);
	mutex_unlock(&evs_topics_lock);
	return t;
}

/**
 * evs_topic_next() - go through all topics
 * @id: the smallest id wanted
 *
 * Return: the topic with the smallest id at or above @id, a reference, or NULL.
 */
struct evs_topic *evs_topic_next(u32 id)
{
	unsigned long at = id;
	struct evs_topic *t;

	mutex_lock(&evs_topics_lock);
	t = xa_find(&evs_topics_by_id, &at, U32_MAX, XA_PRESENT);
	if (t)
		kref_get(&t->ref);
	mutex_unlock(&evs_topics_lock);
	return t;
}

/**
 * evs_topic_tryget() - a reference to a topic found under RCU
 * @t: the topic
 *
 * Return: false: it is being freed.
 */
bool evs_topic_tryget(struct evs_topic *t)
{
	return kref_get_unless_zero(&t->ref);
}

static void evs_topic_release(struct kref *ref)
{
	evs_topic_free(container_of(ref, struct evs_topic, ref));
	/*
	 * Whoever calls is a file operation or a netlink request, which keep
	 * the module until they have returned.
	 */
	module_put(THIS_MODULE);
}

/**
 * evs_topic_put() - let go of a topic
 * @t: the topic
 *
 * Context: may sleep.
 */
void evs_topic_put(struct evs_topic *t)
{
	kref_put(&t->ref, evs_topic_release);
}

/**
 * evs_topic_id() - a topic's number
 * @t: the topic
 */
u32 evs_topic_id(const struct evs_topic *t)
{
	return t->id;
}

/**
 * evs_topic_config() - a topic's configuration
 * @t: the topic
 * @cfg: a consistent copy, out
 * @created_ms: when it was created, out
 */
void evs_topic_config(struct evs_topic *t, struct evs_topic_config *cfg, u64 *created_ms)
{
	spin_lock(&t->lock);
	*cfg = t->config;
	spin_unlock(&t->lock);
	*created_ms = t->created_ms;
}

/**
 * evs_topic_on_error() - who wants to know that a partition's writing ended
 * @fn: as evs_partition_on_error()
 */
void evs_topic_on_error(void (*fn)(u32 topic_id, u32 number, int error))
{
	evs_partition_on_error(fn);
}

/**
 * evs_topic_dir() - a durable topic's directory
 * @t: the topic
 *
 * Return: its absolute path, as long as the topic lives; NULL: a volatile one.
 */
const char *evs_topic_dir(const struct evs_topic *t)
{
	return t->place ? t->place->text : NULL;
}

/**
 * evs_topic_partition_stat() - a partition as it is now
 * @t: the topic
 * @partition: which one
 * @st: out
 *
 * Return: 0; -ENXIO: there is no such partition; -EINTR.
 */
int evs_topic_partition_stat(struct evs_topic *t, u32 partition, struct evs_partition_stat *st)
{
	struct evs_partition_counters c;
	struct evs_partition *p;
	int ret;

	if (partition >= t->partitions)
		return -ENXIO;
	p = t->partition[partition];
	ret = evs_partition_counters(p, &c);
	if (ret)
		return ret;
	*st = (struct evs_partition_stat){
		.start_offset = c.start_offset,
		.end_offset = c.end_offset,
		.start_position = c.start_pos,
		.end_position = c.end_pos,
		.memory = c.memory,
		.appended_records = c.end_offset,
		.appended_bytes = c.bytes,
		.dropped_records = c.start_offset,
		.holes = c.holes,
		.segments = c.segments,
		.readers = atomic_read(&p->readers),
		.writers = atomic_read(&p->writers),
		.devt = evs_nodes->devt(t, partition),
		.first_timestamp = c.oldest,
		.last_timestamp = c.newest,
		.durable_offset = c.durable,
		.unwritten = c.unwritten,
		.cut = c.cut,
		.error = c.error,
	};
	return 0;
}

/**
 * evs_topic_route() - the partition of a record
 * @t: the topic
 * @key: its key
 * @key_len: bytes of the key, -1: null
 * @own: the partition of what has no key
 */
struct evs_partition *evs_topic_route(struct evs_topic *t, const void *key, s32 key_len,
				      u32 own)
{
	if (key_len < 0)
		return t->partition[own];
	return t->partition[evs_route_key(key, key_len, t->partitions)];
}
