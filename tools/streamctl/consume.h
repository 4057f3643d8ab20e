/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_CONSUME_H
#define STREAMCTL_CONSUME_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "evstream.h"
#include "format.h"

/* Written when there is so much. */
#define OUTPUT_BYTES	(64U << 10)

/**
 * struct consumer - a run of consume
 * @topic: its name
 * @format: how records are printed, without -j
 * @left: records to print yet
 * @to_end: stop at the end
 * @output: what was not written yet
 * @incomplete: something could not be shown
 */
struct consumer {
	const char *topic;
	struct format format;
	uint64_t left;
	bool to_end;
	struct buf output;
	bool incomplete;
};

/* A signal said so, or nobody reads our output any more. */
extern atomic_bool stopped;

void print_record(struct consumer *c, uint32_t partition, const struct evs_record *rec,
		  uint32_t deliveries);
void report(const struct consumer *c, uint32_t partition, const char *what,
	    const char *text, int64_t from, int64_t to);
void report_lost(const struct consumer *c, uint32_t partition, int64_t from, int64_t to);
void report_compressed(struct consumer *c, uint32_t partition, const struct evs_batch *batch);
void report_damaged(struct consumer *c, uint32_t partition, int64_t offset);
int sleep_on(struct pollfd *pfds, nfds_t n);

#endif /* STREAMCTL_CONSUME_H */
