/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_TOPIC_H
#define STREAMCTL_TOPIC_H

#include "object.h"

extern const struct field topic_fields[];

#endif /* STREAMCTL_TOPIC_H */
