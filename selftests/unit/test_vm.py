#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""scripts/vm: what is the emulator's fault, and what a machine that it hit comes to."""
import argparse
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import re
import socket
import sys
import tempfile
import time

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

BOOT = [
    "[    0.000000] Command line: console=ttyS0 oops=panic panic=-1",
    "[    1.970000] kfence: initialized - using 2097152 bytes",
]
OOPS = """
[    2.150000] Oops: {}: 0000 [#1] SMP NOPTI
[    2.150001] CPU: 1 UID: 0 PID: 0 Comm: swapper/1 Not tainted 7.3 #1
[    2.150002] RIP: 0010:__timekeeping_advance.constprop.0+0x56/0x780
[    2.150003] Code: {}
[    2.150004] RSP: 0000:ffffc900000d8f10 EFLAGS: 00000002
[    2.150005] Kernel panic - not syncing: Fatal exception in interrupt
"""
HEAD = (
    "c9 0f 85 a8 05 00 00 48 8b 05 3e 0a b7 02 89 fb 4c 8b 2d 3d 0a b7 02 4c 8b 35 "
    "3e 0a b7 02 48 8b 3d 27 0a b7 02 4c 8b 60 30 "
)
GONE = HEAD + "0f <1f> 44 00 00 0f 01 f9"
THERE = HEAD + "cc <1f> 44 00 00 0f 01 f9"
WARNING = "[    2.000000] WARNING: CPU: 0 PID: 1 at kernel/fork.c:1 copy_process+0x1/0x2"


def load_vm():
    path = os.path.join(TOP, "scripts", "vm")
    loader = importlib.machinery.SourceFileLoader("vm", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("vm", loader))
    loader.exec_module(module)
    return module


vm = load_vm()


def log(kind, code):
    return BOOT + OOPS.format(kind, code).strip().splitlines()


def test_breakpoint_that_is_gone():
    assert vm.stale_breakpoint(log("int3", GONE))
    # Whatever comes behind it.
    assert vm.stale_breakpoint(log("int3", GONE) + log("int3", THERE))


def test_breakpoint_that_is_there():
    assert not vm.stale_breakpoint(log("int3", THERE))
    assert not vm.stale_breakpoint(log("int3", THERE) + log("int3", GONE))


def test_code_that_is_not_known():
    assert not vm.stale_breakpoint(log("int3", "Unable to access opcode bytes at 0x1."))
    assert not vm.stale_breakpoint(log("int3", "<1f> 44 00 00"))
    lines = [line for line in log("int3", GONE) if "Code:" not in line]
    assert not vm.stale_breakpoint(lines)
    assert not vm.stale_breakpoint(lines + log("int3", GONE))


def test_other_problem():
    assert not vm.stale_breakpoint(BOOT)
    assert not vm.stale_breakpoint(log("invalid opcode", GONE))
    assert not vm.stale_breakpoint(log("general protection fault", GONE) + log("int3", GONE))
    assert not vm.stale_breakpoint([WARNING] + log("int3", GONE))


RACE = """
[    9.000000] ==================================================================
[    9.000001] BUG: KCSAN: data-race in {one} / {other}

[    9.000002] write to 0xffff888004b2a628 of 8 bytes by task 487 on cpu 0:
[    9.000003]  {one}+0x1d/0x30
[    9.000004]  {above_one}+0x1a0/0x4c0

[    9.000005] read to 0xffff888004b2a628 of 8 bytes by task 488 on cpu 1:
[    9.000006]  {other}+0x4d/0xa0
[    9.000007]  {above_other}+0x1/0x2
[    9.000008] ==================================================================
"""


def race(one, other, above_one="vfs_write", above_other="vfs_read"):
    names = locals()
    # As in a stack, a module stands behind the offset.
    text = RACE.format(**names)
    for name in names.values():
        bare = name.removesuffix(" [evstream]")
        if bare != name:
            text = re.sub(rf"{re.escape(name)}(\+\S+)", rf"{bare}\1 [evstream]", text)
    return text.strip().splitlines()


def test_races_of_the_kernels_own():
    foreign = race("generic_fillattr", "file_update_time")
    waker = race("pollwake", "do_poll", "evs_wake [evstream]")
    # What it interrupts has nothing to do with it.
    tick = race("rcu_core", "device_del", "asm_sysvec_apic_timer_interrupt", "evs_kill [evstream]")
    tick.insert(tick.index("") + 4, " evs_kill+0x1/0x2 [evstream]")
    assert not vm.problems(BOOT + foreign + waker + tick + BOOT)
    assert len(vm.foreign_races(foreign + BOOT + waker + tick)) == 3
    # What else is said between two of them is not hidden.
    assert vm.problems(foreign + [WARNING] + foreign) == [len(foreign)]


def test_races_of_ours():
    foreign = race("generic_fillattr", "file_update_time")
    for ours in (
        race("evs_append [evstream]", "evs_read [evstream]"),
        race("evs_append [evstream]", "generic_fillattr"),
        race("generic_fillattr", "evs_read [evstream]"),
        race("xas_store", "xas_load", "evs_roll [evstream]", "evs_find [evstream]"),
        # No end: who knows.
        foreign[:-1],
    ):
        assert vm.problems(BOOT + foreign + ours + BOOT) == [len(BOOT + foreign) + 1], ours


def machine(lines, running=False, last=False, accel="tcg", icount=False):
    """A machine that has said LINES and died: its status or exception, and the complaints."""
    dead = object.__new__(vm.Machine)
    dead.args = argparse.Namespace(kernel="6.12", icount=icount)
    dead.accel, dead.running, dead.last = accel, running, last
    dead.console = "\r\n".join(lines).encode()
    dead.log = dead.status = None
    dead.pending, dead.interactive = b"", False
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as vm.LOGS, contextlib.redirect_stderr(said):
        try:
            result = dead.verdict()
        except vm.Stale as stale:
            result = stale
            assert len(os.listdir(vm.LOGS)) == 1
    return result, said.getvalue()


def test_before_the_command():
    result, said = machine(log("int3", GONE))
    assert isinstance(result, vm.Stale) and not said, said
    result, said = machine(log("int3", GONE), last=True)
    assert result == vm.EMULATOR and "run it again" in said, said


def test_behind_the_commands_begin():
    result, said = machine(log("int3", GONE), running=True)
    assert result == vm.EMULATOR == 123 and "run it again" in said, said


def test_what_is_the_kernels():
    for more in ({}, {"running": True}, {"last": True}):
        assert machine(log("int3", THERE), **more)[0] == vm.PROBLEM
        assert machine(log("int3", GONE), accel="kvm", **more)[0] == vm.PROBLEM
        assert machine(log("int3", GONE), icount=True, **more)[0] == vm.PROBLEM
        assert machine([WARNING] + log("int3", GONE), **more)[0] == vm.PROBLEM
        assert machine(BOOT, **more)[0] == vm.DIED


def test_machine_that_hangs():
    lasting = object.__new__(vm.Machine)
    lasting.args = argparse.Namespace(kernel="6.12", icount=False, timeout=None)
    lasting.accel, lasting.running, lasting.last = "tcg", False, False
    lasting.console = lasting.control = lasting.pending = b""
    lasting.log = lasting.status = None
    lasting.interactive = lasting.output_done = False
    lasting.slower = 1
    pairs = {name: socket.socketpair() for name in ("console", "control", "output")}
    lasting.sockets = {name: pair[0] for name, pair in pairs.items()}
    pairs["console"][1].sendall("\n".join(log("int3", GONE)).encode())
    begun = time.monotonic()
    vm.LAST_WORDS = 0.1
    with tempfile.TemporaryDirectory() as vm.LOGS:
        try:
            raise AssertionError(lasting.watch())
        except vm.Stale:
            assert time.monotonic() - begun < 30
        finally:
            for pair in pairs.values():
                pair[0].close()
                pair[1].close()


def started(results):
    """Have vm.run() start machines that end so: what it returns, and says."""
    lasts = []

    class Fake:
        def __init__(self, _args, _kernel, _tree, _folder, last):
            lasts.append(last)

        def run(self):
            result = results[len(lasts) - 1]
            if isinstance(result, Exception):
                raise result
            return result

    real, vm.Machine = vm.Machine, Fake
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            status = vm.run(None, None, None, None)
    finally:
        vm.Machine = real
    return status, lasts, said.getvalue().splitlines()


def test_another_machine():
    stale = vm.Stale("kept.dmesg")
    assert started([7]) == (7, [False], [])
    status, lasts, said = started([stale, stale, vm.EMULATOR])
    assert (status, lasts, len(said)) == (vm.EMULATOR, [False, False, True], 2)
    assert "once more" in said[0] and "kept.dmesg" in said[0], said
    assert started([stale, vm.PROBLEM])[:2] == (vm.PROBLEM, [False, False])


def main():
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    print(f"TAP version 13\n1..{len(tests)}", flush=True)
    failed = False
    for number, test in enumerate(tests, 1):
        try:
            test()
            word = "ok"
        except Exception as error:  # whatever it is, the test failed
            print(f"# {type(error).__name__} in line {error.__traceback__.tb_next.tb_lineno}: {error}")
            word, failed = "not ok", True
        print(f"{word} {number} - {test.__name__}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
