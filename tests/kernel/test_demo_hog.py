"""What the log generator says it wrote, beside what the kernel charged and the disk was given."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.kernel.conftest import MakeMount
from tests.kernel.counts import SECTOR, diskstats
from tests.kernel.disks import Mounted, run

pytestmark = pytest.mark.kernel

CHECKOUT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
_OUBLOCK = 512  # getrusage(2) counts written bytes in these

# The journal is not committed while we look, unless somebody asks for that.
OPTIONS = "noatime,lazytime,commit=300"

# Several times the span each, so that all of it is rewritten in place.
WAYS = {
    "lines": (199_999, 16),
    "big": (19, 32),
    "bytes": (524_287, 1),
    "threads": (1_301, 16),
    "processes": (20_011, 16),
    "fsync": (1_009, 1),
    "burst": (1_301, 16),
}
RECORDS = {
    "lines": 512, "big": 8 * MIB, "bytes": 1, "threads": 65536, "processes": 4096, "fsync": 4096,
    "burst": 65536,
}  # fmt: skip


class Wrote(NamedTuple):
    """What a run says of itself, and what others say of it."""

    last: dict[str, Any]
    on_disk_bytes: int
    charged_bytes: int


def hog(fs: Mounted, *options: str | int) -> Wrote:
    """Let a hog run in a file system until it ends."""
    words = ["--json", "--for", "60s", *(str(option) for option in options)]
    fs.flush()
    disk, charged = diskstats(fs.disk.name), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "iotop_ng", "demo", "hog", fs.path, *words],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    written = diskstats(fs.disk.name).since(disk).sectors_written * SECTOR
    blocks = resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock - charged.ru_oublock
    assert done.returncode == 0, done.stderr
    return Wrote(json.loads(done.stdout.splitlines()[-1]), written, blocks * _OUBLOCK)


@pytest.mark.parametrize("mode", WAYS)
def test_every_byte_reaches_the_disk_once(
    mode: str, mount: MakeMount, note: Callable[[str], None]
) -> None:
    """A prime number of calls; within 2 % of what is charged, and of diskstats."""
    fs = mount("ext4", OPTIONS)
    calls, span = WAYS[mode]

    wrote = hog(fs, "--mode", mode, "--calls", calls, "--span", f"{span}M")

    written = wrote.last["written_bytes_total"]
    note(
        f"hog {mode}: {calls} calls, {written} bytes, {wrote.charged_bytes / written:.4f} of them"
        f" charged, {wrote.on_disk_bytes / written:.4f} on the disk"
    )
    assert (wrote.last["calls_total"], wrote.last["errors_total"]) == (calls, 0)
    assert written == calls * RECORDS[mode]
    assert wrote.charged_bytes == pytest.approx(written, rel=0.02)
    if mode == "fsync":
        # The journal comes on top: it commits the inode's time with each call.
        assert wrote.on_disk_bytes >= 0.98 * written
    else:
        assert wrote.on_disk_bytes == pytest.approx(written, rel=0.02)
    assert [left.name for left in fs.path.iterdir()] == ["lost+found"]


def test_what_fio_writes_for_us_reaches_the_disk_too(mount: MakeMount) -> None:
    """Its status is our report, to the last call."""
    fs = mount("ext4", OPTIONS)

    wrote = hog(fs, "--engine", "fio", "--calls", 49_999, "--span", "8M", "--queue", "2M")

    assert wrote.last["calls_total"] == 49_999
    assert wrote.last["written_bytes_total"] == 49_999 * 512
    assert wrote.on_disk_bytes == pytest.approx(49_999 * 512, rel=0.02)


def test_on_an_overlay_every_byte_reaches_the_disk_below(mount: MakeMount) -> None:
    """sync_file_range does nothing there; the hog says so and syncs in another way."""
    fs = mount("ext4", OPTIONS)
    layers = {name: fs.path / name for name in ("lower", "upper", "work", "merged")}
    for path in layers.values():
        path.mkdir()
    options = f"lowerdir={layers['lower']},upperdir={layers['upper']},workdir={layers['work']}"
    run("mount", "-t", "overlay", "overlay", "-o", options, layers["merged"])
    try:
        wrote = hog(
            fs._replace(path=layers["merged"]), "--calls", 99_991, "--span", "8M", "--queue", "2M"
        )
    finally:
        run("umount", layers["merged"])

    assert wrote.last["written_bytes_total"] == 99_991 * 512
    assert wrote.on_disk_bytes == pytest.approx(99_991 * 512, rel=0.02)
