#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Draw the README's plot: what a call costs, beside what Linux has.

usage: plot.py bench.json bench.svg
"""

import json
import sys
from html import escape

WIDTH = 760
LEFT, RIGHT = 190, 70
BAR, GAP, HEAD = 20, 4, 34
OURS, OTHERS = "#2563eb", "#94a3b8"

# A group of bars has a scale of its own: what to compare stands together.
GROUPS = [
    ("Append 100 bytes, one write() each", 100,
     [("evstream", "write/topic"), ("evstream, durable", "write/durable"), ("pipe", "write/pipe"),
      ("tmpfs, O_APPEND", "write/tmpfs"), ("ext4, O_APPEND", "write/ext4"),
      ("/dev/null", "write/null")]),
    ("Append 64 KiB, one write() each", 65536,
     [("evstream", "write/topic"), ("evstream, durable", "write/durable"), ("pipe", "write/pipe"),
      ("tmpfs, O_APPEND", "write/tmpfs"), ("ext4, O_APPEND", "write/ext4")]),
    ("Append 100 bytes, on the disk when it returns (a disk of memory)", 100,
     [("evstream, O_DSYNC", "dsync/durable"), ("ext4, write() + fdatasync()", "dsync/ext4")]),
    ("Read 100 bytes", 100,
     [("evstream, mmap", "next/mmap"), ("evstream, read()", "read/topic"),
      ("pipe, read()", "read/pipe")]),
    ("Wake a reader up, 100 bytes, one processor", 100,
     [("evstream", "wake-together/topic"), ("pipe", "wake-together/pipe")]),
]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    with open(sys.argv[1], encoding="utf-8") as file:
        data = json.load(file)
    figures = {(f["name"], f["size"]): f["value"] for f in data["figures"]["instructions"]}
    lines, y = [], 62

    def text(x, at, string, size=13, colour="#0f172a", more=""):
        lines.append(f'<text x="{x:.0f}" y="{at:.0f}" font-size="{size}" fill="{colour}"{more}>'
                     f"{escape(string)}</text>")

    text(16, 26, "What a call costs, in instructions", 17, more=' font-weight="600"')
    text(16, 46, "User and kernel, everything included. Shorter is better; each group has its"
         " own scale.", 12, "#475569")
    for title, size, bars in GROUPS:
        y += HEAD
        text(16, y - 10, title, 13, more=' font-weight="600"')
        largest = max(figures[name, size] for _, name in bars)
        for label, name in bars:
            value = figures[name, size]
            width = max(2, value / largest * (WIDTH - LEFT - RIGHT))
            text(LEFT - 8, y + 15, label, 12, more=' text-anchor="end"')
            lines.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"'
                         f' fill="{OURS if label.startswith("evstream") else OTHERS}"/>')
            text(LEFT + width + 6, y + 15, f"{value:,.0f}", 12, "#334155")
            y += BAR + GAP
    y += 28
    text(16, y, f"make bench, {data['date']}: Linux {data['kernel']} in QEMU -icount (TCG), means"
         " over many calls. No cache misses,", 11, "#475569")
    text(16, y + 15, "no contention: a repeatable count of work, not a time.", 11, "#475569")
    height = y + 30
    with open(sys.argv[2], "w", encoding="utf-8") as out:
        out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}"'
                  f' width="{WIDTH}" height="{height:.0f}" role="img"'
                  ' font-family="system-ui, sans-serif">\n'
                  "<title>What a call costs in instructions: evstream, pipes, files</title>\n"
                  f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n')
        out.write("\n".join(lines) + "\n</svg>\n")


if __name__ == "__main__":
    main()
