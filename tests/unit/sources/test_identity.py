"""Who a process is."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from iotop_ng.sources.identity import COMMAND_BYTES, Identities, Users, parse_cgroup, parse_stat
from iotop_ng.units import COMMAND_LIMIT
from tests.fakes.procfs import FakeProc

TAIL = b" S 7 10 10 0 -1 4194304 0 0 0 0 1 2 0 0 25 5 3 0 4242 1 2 3 " + b"0 " * 14 + b"0 1 0 0"


@pytest.mark.parametrize(
    ("raw", "comm"),
    [
        (b"dd", "dd"),
        (b"a) (b", "a) (b"),
        (b"x)\n1 (y", "x)·1 (y"),
        (b") S 1 1", ") S 1 1"),
        (b"\x1b[31mred", "·[31mred"),
        (b"kworker/u8:3-events_unbound", "kworker/u8:3-events_unbound"),
        (b"\xff\xfe", "··"),
        (b"", ""),
    ],
)
def test_a_name_ends_at_the_last_parenthesis(raw: bytes, comm: str) -> None:
    stat = parse_stat(b"10 (" + raw + b")" + TAIL)

    assert stat is not None
    assert stat.comm == comm
    assert (stat.ppid, stat.nice, stat.num_threads, stat.start_ticks) == (7, 5, 3, 4242)


@pytest.mark.parametrize("raw", [b"", b"(", b")(", b"1 (x) S", b"1 (x)" + TAIL.replace(b"7", b"x")])
def test_what_is_no_stat_line_is_none(raw: bytes) -> None:
    assert parse_stat(raw) is None


def test_kernel_threads_are_known_by_their_flag() -> None:
    stat = parse_stat(b"2 (kthreadd)" + TAIL.replace(b"4194304", b"2129984"))

    assert stat is not None
    assert stat.is_kthread


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"0::/user.slice/a.scope\n", "/user.slice/a.scope"),
        (b"0::/\n", "/"),
        (b"9:name=systemd:/s\n4:memory:/much/longer\n0::/\n", "/s"),
        (b"9:name=systemd:/s\n0::/u\n", "/u"),
        (b"9:name=systemd:/\n7:blkio:/\n4:memory:/docker/abc\n2:cpu:/d\n0::/\n", "/docker/abc"),
        (b"0::/a:b:c\n", "/a:b:c"),
        (b"0::/x\x1b[2J\n", "/x·[2J"),
        (b"", None),
        (b"nonsense\n", None),
        (b"0::\n", None),
    ],
)
def test_the_cgroup_that_tells_most_is_taken(raw: bytes, path: str | None) -> None:
    assert parse_cgroup(raw) == path


def test_a_process_is_described(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    fake.start(4242, "log-flood", command=b"log-flood\0--rate\0max\0", ppid=17, start_ticks=250)

    described = Identities(tmp_path).describe(4242)

    assert described is not None
    assert described.comm == "log-flood"
    assert described.command == "log-flood --rate max"
    assert described.ppid == 17
    assert described.uid == os.getuid()
    assert described.start_ns == 250 * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert described.cgroup == "/user.slice"
    assert not described.is_kthread


def test_a_kernel_thread_has_no_command(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    fake.start(9, "kworker/0:1", command=b"", flags=0x208040)

    described = Identities(tmp_path).describe(9)

    assert described is not None
    assert (described.command, described.is_kthread) == ("", True)


def test_who_is_gone_is_none(tmp_path: Path) -> None:
    FakeProc(tmp_path)
    identities = Identities(tmp_path)

    assert identities.describe(4242) is None
    assert identities.command(4242) == ""
    assert identities.cgroup(4242) is None


def test_commands_are_cleaned_and_cut(tmp_path: Path) -> None:
    fake = FakeProc(tmp_path)
    fake.start(5, command=b"sh\0-c\0echo \x1b]0;title\x07\xe2\x80\xae [b]x[/b]\n\xff\0")
    fake.start(6, command=b"a\0" * 2_000_000)
    identities = Identities(tmp_path)

    assert identities.command(5) == "sh -c echo ·]0;title·· [b]x[/b]··"
    assert len(identities.command(6)) <= COMMAND_LIMIT


def test_megabytes_of_arguments_are_not_read(tmp_path: Path) -> None:
    """A FIFO that holds one byte more than is read would block a reader who wants more."""
    fake = FakeProc(tmp_path)
    fake.start(6)
    fifo = fake.proc / "6" / "cmdline"
    fifo.unlink()
    os.mkfifo(fifo)
    both_ends = os.open(fifo, os.O_RDWR)
    os.write(both_ends, b"x" * (COMMAND_BYTES + 1))

    command = Identities(tmp_path).command(6)
    left = os.read(both_ends, 10)
    os.close(both_ends)

    assert command == "x" * COMMAND_LIMIT
    assert left == b"x"


def test_a_real_child_is_described() -> None:
    arguments = [sys.executable, "-c", "import time; time.sleep(60)", "Ünïcode ) ("]
    with subprocess.Popen(arguments) as child:
        try:
            described = Identities().describe(child.pid)
        finally:
            child.kill()

    assert described is not None
    assert described.ppid == os.getpid()
    assert described.uid == os.geteuid()
    assert not described.is_kthread
    assert described.start_ns > 0


def test_a_zombie_has_a_name_and_no_command() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)

    described = Identities().describe(child)
    os.waitpid(child, 0)

    assert described is not None
    assert described.command == ""
    assert described.comm


def test_users_are_named_once_and_numbered_when_unknown() -> None:
    users = Users()
    known = pwd.getpwall()[0]

    assert users.name(known.pw_uid) == pwd.getpwuid(known.pw_uid).pw_name
    assert users.name(4_000_000_123) == "4000000123"
    assert users.name(4_000_000_123) is users.name(4_000_000_123)


def test_the_priority_of_a_nicer_child_is_lower() -> None:
    """Nobody set an I/O priority: it follows from nice, (10 + 20) / 5 = 6."""
    program = "import os,sys; os.nice(10); sys.stdout.write('x'); sys.stdout.flush(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        identities = Identities()
        prio, described = identities.prio(child.pid), identities.describe(child.pid)
        child.kill()

    assert prio == "be/6"
    assert described is not None
    assert described.prio == "be/6"
