"""Who a process is: names, user, command line, cgroup and I/O priority, from /proc."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NamedTuple

from iotop_ng.clock import NS_PER_S
from iotop_ng.sources.ioprio import IoPriorities, effective
from iotop_ng.sources.kept_file import read_small
from iotop_ng.units import clean, clean_command

COMMAND_BYTES = 16384
"""What is read of a command line; a process may pass megabytes of arguments."""

_COMM_LIMIT = 64  # workqueue threads show more than the usual 15 characters
_CGROUP_LIMIT = 512
_PF_KTHREAD = 0x00200000  # include/linux/sched.h
# Positions after the closing parenthesis of the name: proc_pid_stat(5) number minus 3.
_PPID, _FLAGS, _NICE, _THREADS, _START, _POLICY = 1, 6, 16, 17, 19, 38


class Stat(NamedTuple):
    """What we take from /proc/PID/stat."""

    comm: str
    state: str
    ppid: int
    nice: int
    num_threads: int
    start_ticks: int
    policy: int
    is_kthread: bool


class Described(NamedTuple):
    """Who a process is, all strings cleaned."""

    ppid: int
    uid: int
    """Effective user."""
    start_ns: int
    """Start in ns since boot; the kernel shows it in steps of a clock tick (10 ms)."""
    comm: str
    command: str
    """ "" for kernel threads and zombies."""
    cgroup: str | None
    prio: str | None
    is_kthread: bool


def parse_stat(raw: bytes) -> Stat | None:
    """Return the fields of /proc/PID/stat, None when it is not such a line.

    The name is anything up to 15 bytes, ") (" and newlines too: it ends at the *last* ")".
    """
    start, end = raw.find(b"("), raw.rfind(b")")
    fields = raw[end + 1 :].split()
    if start < 0 or end < start or len(fields) <= _START:
        return None
    try:
        return Stat(
            comm=clean(raw[start + 1 : end], _COMM_LIMIT),
            state=clean(fields[0], 1),
            ppid=int(fields[_PPID]),
            nice=int(fields[_NICE]),
            num_threads=int(fields[_THREADS]),
            start_ticks=int(fields[_START]),
            policy=int(fields[_POLICY]) if len(fields) > _POLICY else 0,
            is_kthread=bool(int(fields[_FLAGS]) & _PF_KTHREAD),
        )
    except ValueError:
        return None


def parse_cgroup(raw: bytes) -> str | None:
    """Return the one path that tells most: v2 unless it is the root, systemd's, the longest."""
    systemd = unified = ""
    others: list[str] = []
    for line in raw.splitlines():
        fields = line.split(b":", 2)
        if len(fields) != 3 or not fields[2]:
            continue
        number, controllers, path = fields[0], fields[1], clean(fields[2], _CGROUP_LIMIT)
        if number == b"0" and not controllers:
            unified = path
        elif controllers == b"name=systemd":
            systemd = path
        else:
            others.append(path)
    longest = max(others, key=len, default="")
    candidates = (unified, systemd, longest)
    return next((path for path in candidates if path not in {"", "/"}), None) or next(
        (path for path in candidates if path), None
    )


class Users:
    """User names by number, asked once each: a directory service may take long to answer."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def name(self, uid: int) -> str:
        """Return the cleaned name, the number as text when there is none."""
        known = self._names.get(uid)
        if known is not None:
            return known
        try:
            name = clean(pwd.getpwuid(uid).pw_name, 32) or str(uid)
        except (KeyError, OverflowError):
            name = str(uid)
        self._names[uid] = name
        return name


class Identities:
    """Reads who processes are. Nothing is cached here: the caller knows when to ask again."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = f"{root / 'proc'}/"
        self._ns_per_tick = NS_PER_S // os.sysconf("SC_CLK_TCK")
        self._priorities = IoPriorities()

    def describe(self, pid: int) -> Described | None:
        """Return who `pid` is, None when it is gone.

        Everything is read through one descriptor of the directory, so a reused pid never mixes
        two processes.
        """
        try:
            directory = os.open(f"{self._proc}{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            uid = os.fstat(directory).st_uid
            stat = parse_stat(_read_at(directory, "stat", 4096))
            if stat is None:
                return None
            command = b"" if stat.is_kthread else _read_at(directory, "cmdline", COMMAND_BYTES)
            cgroup = parse_cgroup(_read_at(directory, "cgroup", 8192))
        except OSError:
            return None
        finally:
            os.close(directory)
        raw = self._priorities.raw(pid)
        return Described(
            ppid=stat.ppid,
            uid=uid,
            start_ns=stat.start_ticks * self._ns_per_tick,
            comm=stat.comm,
            command=clean_command(command),
            cgroup=cgroup,
            prio=None if raw is None else str(effective(raw, stat.nice, stat.policy)),
            is_kthread=stat.is_kthread,
        )

    def command(self, pid: int) -> str:
        """Return the cleaned command line; "" for kernel threads, zombies and the gone."""
        raw = read_small(Path(f"{self._proc}{pid}/cmdline"), COMMAND_BYTES)
        return clean_command(raw or b"")

    def long_name(self, pid: int) -> str:
        """Return a kernel thread's whole name, "" when it is gone.

        The kernel keeps 15 characters in the task and shows the rest in /proc only. A worker
        (not a rescuer, "kworker/R-…") has there what it works on now, which is left out.
        """
        name = clean((read_small(Path(f"{self._proc}{pid}/comm"), 256) or b"").strip(), _COMM_LIMIT)
        if name.startswith("kworker/") and not name.startswith("kworker/R-"):
            return name.partition("-")[0].partition("+")[0]
        return name

    def cgroup(self, pid: int) -> str | None:
        """Return the cgroup path, None when the process is gone."""
        raw = read_small(Path(f"{self._proc}{pid}/cgroup"), 8192)
        return None if raw is None else parse_cgroup(raw)

    def prio(self, tid: int) -> str | None:
        """Return the I/O priority of a thread: "be/4", "rt/0", "id/7"; None when it is gone."""
        priority = self._priorities.get(tid)
        return None if priority is None else str(priority)


def _read_at(directory: int, name: str, limit: int) -> bytes:
    """Return at most `limit` bytes of a file in /proc/PID; b"" where it may not be read.

    Raises:
        ProcessLookupError: when the process is gone.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except PermissionError:
        return b""
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)
