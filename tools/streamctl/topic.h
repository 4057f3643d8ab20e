/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_TOPIC_H
#define STREAMCTL_TOPIC_H

#include "object.h"

extern const struct field topic_fields[];
extern const struct field partition_fields[];

const char *topic_attr(int attr);
const char *partition_attr(int attr);
int topic_print(const char *name);

/* In durable.c */
int topic_attach(int argc, char **argv);
int topic_detach(int argc, char **argv);

#endif /* STREAMCTL_TOPIC_H */
