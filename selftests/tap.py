# SPDX-License-Identifier: GPL-2.0-only
"""Reads the Test Anything Protocol, as kselftest and our own programs write it."""
import re

PLAN = re.compile(r"1\.\.(\d+)\s*(?:#\s*(.*))?$")
RESULT = re.compile(r"(not )?ok\b\s*(\d+)?\s*(.*)$")
DIRECTIVE = re.compile(r"(?:^|\s)#\s*(SKIP|TODO|XFAIL|XPASS)\b[:\s]*(.*)$", re.IGNORECASE)

# Diagnostics kept for a failing test.
KEEP = 60


class Report:
    """What one program's lines say. Any number of TAP streams may follow each other."""

    def __init__(self):
        self.passed = 0
        self.failed = []  # (name, why, diagnostics)
        self.skipped = []  # (name, reason)
        self.todo = []  # (name, reason): expected to fail, did
        self.streams = 0
        self.noise = []
        self._begin()

    def _begin(self):
        self.planned = None
        self.seen = set()
        self.touched = False
        self.bailed = False

    def line(self, line):
        line = line.rstrip("\n")
        if line.startswith("TAP version"):
            self._end_stream()
            self._begin()
            self.touched = True
            self.streams += 1
            self.noise = []
            return
        if line.startswith("Bail out!"):
            self.touched = True
            self.bailed = True
            self.fail("bail out", line[9:].strip())
            return
        plan = PLAN.match(line)
        if plan:
            self._plan(int(plan[1]), plan[2] or "")
            return
        result = RESULT.match(line)
        if result:
            self._result(result)
            return
        if line.strip():
            self.noise.append(line)
            del self.noise[: -4 * KEEP]

    def _plan(self, count, comment):
        self.touched = True
        if self.planned is not None:
            self.fail("plan", "a second plan in one stream")
            return
        self.planned = count
        if not count:
            skip = re.match(r"skip\w*:?\s*(.*)", comment, re.IGNORECASE)
            if skip:
                self.skipped.append(("all of it", skip[1] or "no reason given"))
            else:
                self.fail("plan", "a plan of no tests")

    def _result(self, match):
        self.touched = True
        bad, number, rest = bool(match[1]), match[2], match[3]
        number = int(number) if number else len(self.seen) + 1
        directive = DIRECTIVE.search(rest)
        name = rest[: directive.start()] if directive else re.sub(r"\s+#\s.*$", "", rest)
        name = name.strip().removeprefix("- ") or f"test {number}"
        kind = directive[1].upper() if directive else ""
        reason = directive[2].strip() if directive else ""
        if number in self.seen:
            self.fail(name, f"test {number} was reported twice")
        self.seen.add(number)
        if kind == "SKIP":
            if reason:
                self.skipped.append((name, reason))
            else:
                self.fail(name, "skipped without a reason")
        elif kind in ("TODO", "XFAIL"):
            self.todo.append((name, reason or "no reason given"))
        elif bad or kind == "XPASS":
            self.fail(name, reason)
        else:
            self.passed += 1
        self.noise = []

    def fail(self, name, why=""):
        """Count a failure that no line told."""
        self.failed.append((name, why, self._diagnostics()))

    def _diagnostics(self):
        lines = [line for line in self.noise if not re.match(r"#\s+(RUN|OK|FAIL)\s+\S", line)]
        return lines[-KEEP:]

    def _end_stream(self):
        if not self.touched:
            return
        if self.bailed:
            return
        if self.planned is None:
            self.fail("plan", "there is no plan")
            return
        missing = [n for n in range(1, self.planned + 1) if n not in self.seen]
        for number in missing:
            self.fail(f"test {number}", "planned, but never reported")
        for number in sorted(self.seen):
            if number > self.planned:
                self.fail(f"test {number}", f"beyond the plan of {self.planned}")

    def end(self, status):
        """The program ended: its exit status, negative for a signal."""
        self._end_stream()
        if not self.touched:
            self.fail("output", "the program reported no test")
        if status < 0:
            self.fail("exit", f"killed by signal {-status}")
        elif status and status != 4 and not self.failed:
            self.fail("exit", f"exit status {status}, but no failing test")
        self._begin()
