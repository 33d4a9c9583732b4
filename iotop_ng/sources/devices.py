"""Whole block devices: /proc/diskstats, and what sysfs says about their shape."""

from __future__ import annotations

import os
from pathlib import Path

from iotop_ng.sample import Device
from iotop_ng.sources.kept_file import KeptFile, read_small
from iotop_ng.units import clean

_SECTOR = 512  # diskstats always counts in these, whatever the device's block size
_NAME_LIMIT = 64


def parse_line(line: bytes, *, is_stacked: bool) -> Device | None:
    """Return one device of /proc/diskstats, None when the line is not one.

    11 counters always, 4 for discards since kernel 4.18, 2 for flushes since 5.5
    (Documentation/admin-guide/iostats.rst).
    """
    fields = line.split()
    try:
        major, minor, *counters = (int(field) for field in fields[:2] + fields[3:20])
    except ValueError:
        return None
    if len(counters) < 11:
        return None
    has_discard, has_flush = len(counters) >= 15, len(counters) >= 17
    return Device(
        name=clean(fields[2], _NAME_LIMIT),
        major=major,
        minor=minor,
        is_stacked=is_stacked,
        read_ios=counters[0],
        read_bytes=counters[2] * _SECTOR,
        write_ios=counters[4],
        write_bytes=counters[6] * _SECTOR,
        discard_ios=counters[11] if has_discard else None,
        discard_bytes=counters[13] * _SECTOR if has_discard else None,
        flush_ios=counters[15] if has_flush else None,
        in_flight=counters[8],
        read_ms=counters[3],
        write_ms=counters[7],
        flush_ms=counters[16] if has_flush else None,
        busy_ms=counters[9],
        weighted_ms=counters[10],
    )


class _Known:
    """The last line of a device, what was made of it, and its facts from sysfs."""

    __slots__ = ("device", "is_stacked", "line")

    def __init__(self, *, is_stacked: bool) -> None:
        self.is_stacked = is_stacked
        self.line = b""
        self.device: Device | None = None


class Devices:
    """Reads the counters of whole disks; one descriptor is kept open."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._file = KeptFile(root / "proc/diskstats")
        self._sys_block = root / "sys/dev/block"
        # None: a partition. Keyed by the first three fields, so a reused number is looked at anew.
        self._known: dict[bytes, _Known | None] = {}
        self._folded: dict[tuple[int, int], tuple[int, int]] = {}

    def read(self) -> tuple[Device, ...]:
        """Return whole disks in the kernel's order; an unchanged one is the same object."""
        devices: list[Device] = []
        seen: dict[bytes, _Known | None] = {}
        for line in self._file.read().splitlines():
            # The counters start behind the third field; names hold no blanks.
            identity = b" ".join(line.split(None, 3)[:3])
            is_known = identity in self._known
            known = self._known[identity] if is_known else self._look_up(identity)
            seen[identity] = known
            if known is None:
                continue
            if known.line != line:
                known.line = line
                known.device = parse_line(line, is_stacked=known.is_stacked)
            if known.device is not None:
                devices.append(known.device)
        if len(seen) != len(self._known):
            # A disk came or went: its number may mean another disk from now on.
            self._folded.clear()
        self._known = seen
        return tuple(devices)

    def fold(self, major: int, minor: int) -> tuple[int, int]:
        """Return the numbers of the whole disk that holds this partition; else the same pair."""
        key = (major, minor)
        whole = self._folded.get(key)
        if whole is None:
            whole = self._folded[key] = self._whole(major, minor)
        return whole

    def close(self) -> None:
        """Let go of the descriptor."""
        self._file.close()

    def _look_up(self, identity: bytes) -> _Known | None:
        try:
            major, minor, _ = identity.split()
            directory = self._directory(int(major), int(minor))
        except ValueError:
            return None
        if (directory / "partition").exists():
            return None
        return _Known(is_stacked=_is_stacked(directory))

    def _directory(self, major: int, minor: int) -> Path:
        return self._sys_block / f"{major}:{minor}"

    def _whole(self, major: int, minor: int) -> tuple[int, int]:
        directory = self._directory(major, minor)
        if not (directory / "partition").exists():
            return major, minor
        # The partition's directory lies inside its disk's.
        raw = read_small(Path(os.path.realpath(directory)).parent / "dev") or b""
        try:
            whole_major, whole_minor = (int(part) for part in raw.split(b":"))
        except ValueError:
            return major, minor
        return whole_major, whole_minor


def _is_stacked(directory: Path) -> bool:
    """Say whether the device only passes requests on to others: dm, md, bcache, any slaves."""
    if any((directory / kind).is_dir() for kind in ("dm", "md", "bcache")):
        return True
    try:
        return any(True for _ in (directory / "slaves").iterdir())
    except OSError:
        return False
