"""Which disks are under the files that processes write.

What is open for writing says it (/proc/PID/fdinfo), and shared maps that may be written. A process
with neither may open a file for each write: then every disk that it has mounted writable counts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from iotop_ng.enforcers.block_stack import BlockStack, Disk
from iotop_ng.enforcers.cgroupfs import Mount, parse_mountinfo
from iotop_ng.sources.kept_file import read_small

_MAX_FILES = 4096
"""Descriptors that are looked at in one process."""
_MOUNTINFO_BYTES = 1024 * 1024
_MAPS_BYTES = 4 * 1024 * 1024


class Places:
    """Looks up mounts and disks."""

    def __init__(self, root: Path = Path("/"), stack: BlockStack | None = None) -> None:
        self._root = root
        self.stack = stack or BlockStack(root)

    def at_first(self, pids: Iterable[int]) -> frozenset[Disk]:
        """Return the disks under what these processes write or might write."""
        pids = tuple(pids)
        found = self.open_now(pids) | self._mapped(pids)
        return found or frozenset().union(*(self._mounted(pid) for pid in pids))

    def open_now(self, pids: Iterable[int]) -> frozenset[Disk]:
        """Return the disks under the files that are open for writing.

        Maps are left out: reading them waits for a lock that a writer in a page fault holds.
        """
        found: set[Disk] = set()
        devices: set[tuple[int, int]] = set()
        for pid in pids:
            mounts: dict[int, Mount] | None = None
            for opened in self._written_files(pid):
                if opened.mount_id is None:
                    devices.add((os.major(opened.device), os.minor(opened.device)))
                    continue
                if mounts is None:
                    mounts = {mount.id: mount for mount in self._mounts(pid)}
                mount = mounts.get(opened.mount_id)
                if mount is not None:
                    found |= self._under(mount)
                elif os.major(opened.device):
                    devices.add((os.major(opened.device), os.minor(opened.device)))
        return frozenset(found).union(*(self.stack.disks(*device) for device in devices))

    def _written_files(self, pid: int) -> list[_Opened]:
        directory = self._root / f"proc/{pid}"
        try:
            numbers = os.listdir(directory / "fdinfo")[:_MAX_FILES]  # noqa: PTH208 (speed)
        except OSError:
            return []
        found = []
        for number in numbers:
            flags, mount_id = _fdinfo(read_small(directory / "fdinfo" / number, 1024) or b"")
            if flags & os.O_ACCMODE == os.O_RDONLY:
                continue
            try:
                status = (directory / "fd" / number).stat()
            except OSError:
                continue
            if stat.S_ISBLK(status.st_mode):
                found.append(_Opened(status.st_rdev, None))
            elif stat.S_ISREG(status.st_mode):
                found.append(_Opened(status.st_dev, mount_id))
        return found

    def _mapped(self, pids: Iterable[int]) -> frozenset[Disk]:
        """Return the disks under files that are mapped shared and writable."""
        found: set[Disk] = set()
        for pid in pids:
            raw = read_small(self._root / f"proc/{pid}/maps", _MAPS_BYTES) or b""
            fields: list[list[bytes]] = [line.split(None, 5) for line in raw.splitlines()]
            devices = {f[3] for f in fields if len(f) > 4 and f[1] == b"rw-s"}
            for mount in self._mounts(pid) if devices else ():
                if b"%02x:%02x" % (mount.major, mount.minor) in devices:
                    found |= self._under(mount)
        return frozenset(found)

    def _mounted(self, pid: int) -> frozenset[Disk]:
        """Return the disks under everything that this process has mounted writable."""
        writable = (mount for mount in self._mounts(pid) if not mount.is_read_only)
        return frozenset().union(*(self._under(mount) for mount in writable))

    def _mounts(self, pid: int) -> tuple[Mount, ...]:
        raw = read_small(self._root / f"proc/{pid}/mountinfo", _MOUNTINFO_BYTES) or b""
        return parse_mountinfo(os.fsdecode(raw))

    def _under(self, mount: Mount) -> frozenset[Disk]:
        if mount.major:
            return self.stack.disks(mount.major, mount.minor)
        if mount.kind == "overlay":
            return self._under_overlay(mount)
        if mount.kind == "btrfs":
            return self._under_btrfs(mount)
        return self._device_file(mount.source)

    def _under_overlay(self, mount: Mount) -> frozenset[Disk]:
        """Return the disks under the upper directory: all writes go there."""
        upper = next((o[9:] for o in mount.options if o.startswith("upperdir=")), None)
        if upper is None:
            return frozenset()
        try:
            device = (self._root / upper.lstrip("/")).stat().st_dev
        except OSError:
            return frozenset()
        return self.stack.disks(os.major(device), os.minor(device))

    def _under_btrfs(self, mount: Mount) -> frozenset[Disk]:
        """Return the disks of all its devices: the number of a btrfs mount is of no device."""
        named = self._device_file(mount.source)
        pools = self._root / "sys/fs/btrfs"
        name = Path(os.path.realpath(self._root / mount.source.lstrip("/"))).name
        try:
            pool = next((p for p in pools.iterdir() if (p / "devices" / name).exists()), None)
            members = [] if pool is None else [*(pool / "devices").iterdir()]
        except OSError:
            members = []
        for member in members:
            major, _, minor = (read_small(member / "dev") or b"").partition(b":")
            if major.strip().isdigit() and minor.strip().isdigit():
                named |= self.stack.disks(int(major), int(minor))
        return named

    def _device_file(self, source: str) -> frozenset[Disk]:
        if not source.startswith("/"):
            return frozenset()
        try:
            status = (self._root / source.lstrip("/")).stat()
        except OSError:
            return frozenset()
        if not stat.S_ISBLK(status.st_mode):
            return frozenset()
        return self.stack.disks(os.major(status.st_rdev), os.minor(status.st_rdev))


class _Opened(NamedTuple):
    """A file that is open for writing."""

    device: int
    mount_id: int | None
    """None: it is a device itself."""


def _fdinfo(raw: bytes) -> tuple[int, int | None]:
    """Return flags and mount of a /proc/PID/fdinfo file; nothing can be written by a bad one."""
    fields: dict[bytes, bytes] = {}
    for line in raw.splitlines():
        key, _, value = line.partition(b":")
        fields.setdefault(key, value.strip())
    try:
        return int(fields[b"flags"], 8), int(fields[b"mnt_id"])
    except (KeyError, ValueError):
        return os.O_RDONLY, None
