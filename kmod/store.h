/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files below a durable partition: opening, reading, writing and removing them.
 * Knows directories and files, nothing of positions or records.
 *
 * Whatever changes a file system is done by a worker of the module, but for the
 * writing and syncing that a producer waits for: nobody's limits and signals must
 * decide over everybody's records, and no lock of a file system is taken under one
 * that mmap_lock is held over. It is done with the credentials of whoever created
 * or attached the topic.
 */
#ifndef EVSTREAM_STORE_H
#define EVSTREAM_STORE_H

#include <linux/list.h>
#include <linux/path.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "files.h"

struct bio_vec;
struct cred;
struct file;

/**
 * struct evs_store - a directory of files
 * @dir: the directory
 * @cred: who opens, reads and writes there
 * @align: of position and length for direct I/O; 0: it goes through the page cache
 * @open: among all that are open: a directory is only once
 */
struct evs_store {
	struct path dir;
	const struct cred *cred;
	u32 align;
	struct list_head open;
};

/* In store.c */
int evs_store_register(void);
void evs_store_unregister(void);

extern struct workqueue_struct *evs_store_wq;
void evs_store_settle(void);
void evs_store_run(void (*fn)(void *data), void *data);

/*
 * Those below are called with the store's credentials, from a worker or from a
 * request that creates, attaches or takes away a topic.
 */
int evs_store_open(struct evs_store *s, const struct path *parent, const char *name,
		   const struct cred *cred);
int evs_store_create(struct evs_store *s, const struct path *parent, const char *name,
		     const struct cred *cred);
void evs_store_close(struct evs_store *s);
int evs_store_destroy(struct evs_store *s);
int evs_store_sync(struct evs_store *s);
int evs_store_probe(struct evs_store *s, const char *name);
int evs_store_list(struct evs_store *s, const char *ending, u64 **base, u32 *nr);

struct file *evs_store_file(struct evs_store *s, const char *name, int flags);
int evs_store_remove(struct evs_store *s, const char *name);
int evs_store_replace(struct evs_store *s, const char *name, const void *buf, size_t size);
ssize_t evs_store_load(struct evs_store *s, const char *name, void *buf, size_t size);
int evs_store_slot(struct evs_store *s, const char *name, const char *slot, u64 sequence);

int evs_file_write(struct evs_store *s, struct file *file, u64 pos, const struct bio_vec *bvec,
		   unsigned int nr, size_t bytes);
int evs_file_read(struct file *file, u64 pos, void *buf, size_t size);
int evs_file_reserve(struct file *file, u64 from, u64 to);
int evs_file_truncate(struct file *file, u64 size);

int evs_path_load(const struct path *dir, const char *name, void *buf, size_t size);
int evs_path_slot(const struct path *dir, const char *name, const char *slot, u64 sequence);
int evs_path_remove(const struct path *dir, const char *name);
int evs_path_sync(const struct path *dir);

#endif /* EVSTREAM_STORE_H */
