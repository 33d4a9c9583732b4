"""Which of a target's open files may be refused: shell patterns, and marks at their inodes.

A file is marked by descriptor (storage at the inode), so that what btrfs and overlay call device
and inode number does not matter, and a mark goes with its inode. What is not marked is written: a
file that is opened between two looks is refused from the second on.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from iotop_ng.enforcers.cgroupfs import Mount, parse_mountinfo
from iotop_ng.sources.kept_file import read_small

LOCAL = frozenset({"btrfs", "zfs", "bcachefs", "ubifs"})
"""File systems on disks that have no block device of their own: as in bpf/drop.c."""
_MAX_FILES = 4096
"""Descriptors that are looked at in one process."""
_MOUNTINFO_BYTES = 1024 * 1024
_DELETED = " (deleted)"
_MAX_LAYERS = 4
"""Of overlays on overlays."""


class Look(NamedTuple):
    """What one look at the open files found."""

    matching: int
    crowded: int
    """Files that as many policies share as a mark has room for; they are not refused."""


class Marks(Protocol):
    """Marks at inodes, by descriptor."""

    def put(self, descriptor: int) -> bool:
        """Mark a file; False when there is no room."""
        ...

    def has(self, descriptor: int) -> bool:
        """Say whether it is marked."""
        ...


def matches(path: str, pattern: str) -> bool:
    """Match a path as a shell does: `*` and `?` stay within a directory, `**` does not.

    A pattern without "/" is compared with the last part of the path alone.

    >>> matches("/var/log/app/a.log", "/var/log/*/?.log")
    True
    >>> matches("/var/log/app/a.log", "/var/log/*.log")
    False
    """
    if "/" not in pattern:
        return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern)
    return _matches(tuple(path.split("/")), tuple(pattern.split("/")))


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Follow all ends of the path that the patterns so far can lead to: no backtracking."""
    ends = {0}
    for pattern in patterns:
        if pattern == "**":
            ends = set(range(min(ends), len(parts) + 1))
        else:
            ends = {
                end + 1
                for end in ends
                if end < len(parts) and fnmatch.fnmatchcase(parts[end], pattern)
            }
        if not ends:
            return False
    return len(parts) in ends


@lru_cache(maxsize=4096)
def _matches_any(path: str, patterns: tuple[str, ...]) -> bool:
    return any(matches(path, pattern) for pattern in patterns)


class OpenFiles:
    """Marks those open files of processes that match one of the patterns.

    Args:
        patterns: see `matches`.
        marks: takes the marks.
        proc: where processes are.
    """

    def __init__(self, patterns: tuple[str, ...], marks: Marks, proc: Path = Path("/proc")) -> None:
        self._patterns = patterns
        self._marks = marks
        self._proc = proc

    def look(self, pids: Iterable[int]) -> Look:
        """Mark what matches now and is not marked yet."""
        matching = crowded = 0
        for pid in pids:
            for entry in self._matching(pid):
                is_marked = self._mark(entry, pid)
                matching += is_marked is not None
                crowded += is_marked is False
        return Look(matching, crowded)

    def _matching(self, pid: int) -> Iterator[Path]:
        directory = self._proc / str(pid) / "fd"
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = os.listdir(directory)[:_MAX_FILES]  # noqa: PTH208 - the quick one
        for name in names:
            entry = directory / name
            with contextlib.suppress(OSError):
                path = str(entry.readlink()).removesuffix(_DELETED)
                # "pipe:[4242]" and the like are no paths.
                if path.startswith("/") and _matches_any(path, self._patterns):
                    yield entry

    def _mark(self, entry: Path, pid: int) -> bool | None:
        """Mark one file; None when it is none that may be refused."""
        try:
            # O_PATH opens nothing: no device is touched, nothing waits.
            descriptor = os.open(entry, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            if self._marks.has(descriptor):
                return True
            if not is_on_disk(descriptor, mounts_of(pid, self._proc)):
                return None
            return self._marks.put(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)


def mounts_of(pid: int | str, proc: Path = Path("/proc")) -> dict[int, Mount]:
    """Return id -> mount, as a process has them."""
    raw = read_small(proc / str(pid) / "mountinfo", _MOUNTINFO_BYTES) or b""
    return {mount.id: mount for mount in parse_mountinfo(os.fsdecode(raw))}


def is_on_disk(descriptor: int, mounts: dict[int, Mount], layers: int = _MAX_LAYERS) -> bool:
    """Say whether a file's file system is on a disk of this machine.

    An overlay is on what its upper directory is on, because all writes go there. What cannot be
    told is not.
    """
    info = (read_small(Path(f"/proc/self/fdinfo/{descriptor}")) or b"").splitlines()
    number = next((line.split()[1] for line in info if line.startswith(b"mnt_id:")), b"0")
    mount = mounts.get(int(number))
    return mount is not None and _is_mount_on_disk(mount, layers)


def overlays_on_disk(mounts: Iterable[Mount]) -> frozenset[int]:
    """Return the device numbers, as the kernel writes them, of overlays that are on a disk."""
    found = {
        (mount.major << 20 | mount.minor, mount) for mount in mounts if mount.kind == "overlay"
    }
    return frozenset(number for number, mount in found if _is_mount_on_disk(mount, _MAX_LAYERS))


def _is_mount_on_disk(mount: Mount, layers: int) -> bool:
    if mount.major or mount.kind in LOCAL:
        return True
    upper = next((o[9:] for o in mount.options if o.startswith("upperdir=")), "")
    if mount.kind != "overlay" or not upper.startswith("/") or not layers:
        return False
    try:
        below = os.open(upper, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return is_on_disk(below, mounts_of("self"), layers - 1)
    finally:
        os.close(below)
