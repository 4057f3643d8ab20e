/* SPDX-License-Identifier: GPL-2.0 */
#ifndef STREAMCTL_GROUP_H
#define STREAMCTL_GROUP_H

#include "object.h"

/* What notifications have. */
extern const struct field group_event_fields[];
extern const struct field member_event_fields[];

#endif /* STREAMCTL_GROUP_H */
