#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Write and read events with nothing but open().

usage: events.py TOPIC EVENT...      append events, then print all there are

One write() is one record, one read() returns one, and the file's position is the
number of a record.
"""

import os
import sys

if len(sys.argv) < 3:
    sys.exit(__doc__.strip())
path = f"/dev/stream/{sys.argv[1]}/0"

# Unbuffered: Python's buffer would put several events into one write().
with open(path, "wb", buffering=0) as log:
    for event in sys.argv[2:]:
        log.write(event.encode())

with open(path, "rb", buffering=0, opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as log:
    log.seek(0, os.SEEK_DATA)  # the first record that is still held
    while (event := log.read(1 << 20)) is not None:  # None: nothing more yet
        print(f"{log.tell() - 1}: {event.decode()}")
