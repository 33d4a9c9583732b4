"""How much room a hog leaves, where it may not write, and what others left behind."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from iotop_ng.demo import leftovers, space
from iotop_ng.demo.space import Space
from iotop_ng.errors import IotopError

GIB = 1 << 30
MOUNTINFO = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw
24 23 0:20 / /dev/shm rw shared:3 - tmpfs tmpfs rw
25 22 0:21 / /srv/a\040b rw - xfs /dev/vdb rw
26 22 0:22 / /srv/over rw - ext4 /dev/vdc rw
27 26 0:23 / /srv/over rw - overlay overlay rw
""".lstrip()


@pytest.mark.parametrize(
    ("size", "kept"),
    [(GIB, GIB // 10), (10 * GIB, GIB), (15 * GIB, GIB), (20 * GIB, GIB), (100 * GIB, 5 * GIB)],
)
def test_a_twentieth_stays_free_and_more_on_small_disks(size: int, kept: int) -> None:
    assert Space(size, 0).kept_bytes == kept


def test_the_usual_span_is_a_quarter_of_what_is_free_at_most() -> None:
    assert space.usual_span(Space(100 * GIB, 50 * GIB)) == GIB
    assert space.usual_span(Space(2 * GIB, GIB)) == GIB // 4


def test_too_little_room_is_told_with_its_numbers() -> None:
    room = Space(100 * GIB, 5 * GIB + 256)
    space.require(Path("/data"), room, 256)

    with pytest.raises(IotopError) as told:
        space.require(Path("/data"), room, 257)

    assert told.value.exit_code == 1
    assert str(told.value) == (
        "/data: 5.0G are free, needed are 257 and 5.0G that stay free;"
        " choose a smaller --span or another directory"
    )


def test_the_room_is_that_of_statvfs(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)

    room = space.space(tmp_path)

    assert room.size_bytes == found.f_blocks * found.f_frsize
    assert 0 <= room.free_bytes <= room.size_bytes


def test_a_directory_that_is_missing_is_one_line() -> None:
    with pytest.raises(IotopError, match=r"^/nonexistent/here: No such file or directory$"):
        space.space(Path("/nonexistent/here"))


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/", "ext4"),
        ("/devices", "ext4"),
        ("/dev/shm/x", "tmpfs"),
        ("/srv/a b", "xfs"),
        ("/srv/over/deep", "overlay"),
    ],
)
def test_the_kind_is_that_of_the_mount_on_top(directory: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTINFO)

    assert space.kind(Path(directory), tmp_path / "mountinfo") == kind


def test_without_mountinfo_the_kind_is_unknown(tmp_path: Path) -> None:
    assert space.kind(tmp_path, tmp_path / "missing") == ""


def made(path: Path, age_s: float) -> Path:
    """Make a directory with a file, that old at the time 1000."""
    path.mkdir()
    (path / "flood-0.log").write_bytes(b"x")
    os.utime(path, (1000 - age_s, 1000 - age_s))
    return path


def test_only_what_nobody_holds_is_removed(tmp_path: Path) -> None:
    dead, young, other = (
        made(tmp_path / name, age)
        for name, age in (("hog-dead", 60.0), ("hog-young", 1.0), ("else", 60.0))
    )
    held = made(tmp_path / "hog-held", 60.0)
    (tmp_path / "hog-file").write_bytes(b"x")
    (tmp_path / "hog-link").symlink_to(other)
    with leftovers.held(held):
        gone = leftovers.remove(tmp_path, "hog-", now_s=1000.0)

    assert gone == [dead]
    assert all(path.exists() for path in (young, other, held, other / "flood-0.log"))
    assert leftovers.remove(tmp_path, "hog-", now_s=1000.0) == [held]


def test_a_fork_of_the_holder_holds_too(tmp_path: Path) -> None:
    path = made(tmp_path / "hog-held", 60.0)
    reading, writing = os.pipe()
    with leftovers.held(path):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    assert leftovers.remove(tmp_path, "hog-", now_s=1000.0) == []

    os.close(writing)
    os.waitpid(child, 0)
    os.close(reading)

    assert leftovers.remove(tmp_path, "hog-", now_s=1000.0) == [path]


def test_a_file_system_without_locks_only_loses_the_cleaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(95, "Operation not supported")

    path = made(tmp_path / "hog-held", 60.0)
    monkeypatch.setattr(fcntl, "flock", refuse)
    with leftovers.held(path):
        assert leftovers.remove(tmp_path, "hog-", now_s=1000.0) == []
    assert path.exists()
