/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a durable topic lies: a directory with a file of its configuration, and
 * the partitions' directories beside it.
 */
#ifndef EVSTREAM_PLACE_H
#define EVSTREAM_PLACE_H

#include <linux/path.h>
#include <linux/types.h>

#include "topic.h"

/**
 * struct evs_place - a topic's directory
 * @dir: the directory
 * @cred: who created or attached the topic
 * @text: its absolute path, as that one saw it
 * @sequence: of the configuration file's last slot
 * @uuid: the topic's, as Kafka has them
 * @created_ms: when the topic was created
 */
struct evs_place {
	struct path dir;
	const struct cred *cred;
	char *text;
	u64 sequence;
	u8 uuid[16];
	u64 created_ms;
};

/* In place.c */
struct evs_place *evs_place_open(const char *dir, struct evs_fault *fault);
void evs_place_free(struct evs_place *place);
char *evs_place_partition(const char *topic, u32 partition);
int evs_place_load(struct evs_place *place, struct evs_topic_config *c);
int evs_place_find(struct evs_place *place, const char *topic, u32 *partitions, u64 *largest);
int evs_place_store(struct evs_place *place, const struct evs_topic_config *c);
int evs_place_has(struct evs_place *place, const char *topic);
void evs_place_remove(struct evs_place *place, const char *topic);

#endif /* EVSTREAM_PLACE_H */
