"""How this host's block devices are built on each other, from sysfs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from iotop_ng.sources.kept_file import read_small

_MIN_SLOTS, _MAX_SLOTS = 4096, 262_144


def _devices(root: Path) -> Iterator[Path]:
    """Yield the sysfs directory of every disk and partition."""
    try:
        disks = sorted((root / "sys/block").iterdir())
    except OSError:
        return
    for disk in disks:
        yield disk
        try:
            yield from (path for path in sorted(disk.iterdir()) if (path / "partition").exists())
        except OSError:
            continue


def _number(path: Path) -> tuple[int, int] | None:
    try:
        major, minor = (read_small(path / "dev") or b"").split(b":")
        return int(major), int(minor)
    except ValueError:
        return None


def below_stacks(root: Path = Path("/")) -> frozenset[tuple[int, int]]:
    """Return (major, minor) of every disk and partition that dm, md or the like is built on."""
    found = set()
    for path in _devices(root):
        try:
            is_held = any(True for _ in (path / "holders").iterdir())
        except OSError:
            is_held = False
        number = _number(path)
        if is_held and number is not None:
            found.add(number)
    return frozenset(found)


def request_slots(root: Path = Path("/")) -> int:
    """Return a map size for every struct request of this host, a power of two.

    A queue has nr_requests of them per hardware queue, and as many again without a scheduler.
    """
    total = 0
    for path in _devices(root):
        try:
            per_queue = int(read_small(path / "queue/nr_requests") or b"0")
            queues = sum(1 for _ in (path / "mq").iterdir())
        except (OSError, ValueError):
            continue
        total += 2 * per_queue * queues + queues
    slots = _MIN_SLOTS
    while slots < total and slots < _MAX_SLOTS:
        slots *= 2
    return slots
