"""Where a comparison takes place: a directory, its disk, and two cgroups where they can be had."""

from __future__ import annotations

import contextlib
import gzip
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.acting import disk_number, disk_of
from tests.bench.comparison.contestants import Cgroups, Stage
from tests.bench.comparison.restoring import Restorer

CGROUPS = Path("/sys/fs/cgroup")
_KINDS = {"vd": "virtio", "nvme": "NVMe", "xvd": "Xen", "sd": "SCSI or SATA", "mmcblk": "MMC",
          "loop": "loop", "dm-": "device-mapper", "md": "md"}  # fmt: skip


class Place(NamedTuple):
    """What there is."""

    directory: Path
    disk: str
    """Name in /proc/diskstats."""
    file_system: str
    cgroups: Cgroups | None
    kernel_config: str

    def stage(self, capacity: int, iops: int | None, limit_ms: int) -> Stage:
        """Return it as contestants see it."""
        return Stage(
            disk=disk_number(self.disk),
            queue=Path(f"/sys/class/block/{self.disk}/queue"),
            cgroups=self.cgroups,
            capacity=capacity,
            iops=iops,
            limit_ms=limit_ms,
            kernel_config=self.kernel_config,
        )


@contextmanager
def place(directory: Path, config: Path | None) -> Iterator[Place]:
    """Make a directory of our own below one; everything goes at the end of the block.

    Args:
        directory: on the disk to write to.
        config: the kernel's configuration, None: where distributions have it.
    """
    with (
        tempfile.TemporaryDirectory(prefix="iotop-ng-", dir=directory) as made,
        Restorer() as restorer,
    ):
        yield Place(
            Path(made),
            disk_of(Path(made)),
            file_system_of(Path(made), Path("/proc/self/mountinfo").read_text("utf-8")),
            cgroups(restorer, CGROUPS),
            kernel_config(config),
        )


def cgroups(restorer: Restorer, root: Path) -> Cgroups | None:
    """Make a cgroup for the hog and one for the victim; None without the io controller."""
    try:
        enabled = (root / "cgroup.subtree_control").read_text("ascii").split()
    except OSError:
        return None
    if "io" not in enabled:
        return None
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    found = Cgroups(root, root / f"bench-hog-{mark}", root / f"bench-victim-{mark}")
    try:
        restorer.make_cgroup(found.hog)
        restorer.make_cgroup(found.victim)
    except OSError:
        return None
    return found


def file_system_of(path: Path, mountinfo: str) -> str:
    """Return the type of the file system that a path is on, from the text of mountinfo."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            return after.split()[0]
    return "unknown"


def kind_of(disk: str) -> str:
    """Return what kind of disk a name stands for, in words, without the name."""
    kind = next((kind for start, kind in _KINDS.items() if disk.startswith(start)), "other")
    return f"{kind} disk of the machine itself"


def kernel_config(path: Path | None) -> str:
    """Return the text of this kernel's configuration; "" where it is not to be read.

    Args:
        path: where it is, None: where distributions have it.
    """
    with contextlib.suppress(OSError):
        return gzip.decompress(Path("/proc/config.gz").read_bytes()).decode("ascii", "replace")
    with contextlib.suppress(OSError):
        path = path or Path(f"/boot/config-{os.uname().release}")
        return path.read_text("ascii", "replace")
    return ""
