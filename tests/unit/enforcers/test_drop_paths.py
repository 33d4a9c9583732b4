"""Patterns of files, and which of a process's open files are marked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.enforcers.cgroupfs import Mount
from iotop_ng.enforcers.drop_paths import (
    Look,
    OpenFiles,
    is_on_disk,
    matches,
    mounts_of,
    overlays_on_disk,
)


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("/var/log/app.log", "*.log", True),
        ("/var/log/app.log", "app.*", True),
        ("/var/log/app.log", "log", False),
        ("/var/log/app.log", "/var/log/*.log", True),
        ("/var/log/app/a.log", "/var/log/*.log", False),
        ("/var/log/app/a.log", "/var/log/*/*.log", True),
        ("/var/log/app/x/a.log", "/var/log/**/*.log", True),
        ("/var/log/a.log", "/var/log/**/*.log", True),
        ("/var/log/app/x/a.log", "/var/**", True),
        ("/var/log/app/x/a.log", "/srv/**", False),
        ("/var/log/a.log", "/VAR/log/a.log", False),
        ("/var/log/a.log", "/var/log/[ab].log", True),
        ("/var/log/a.log", "var/log/a.log", False),
        ("/var/log/a.log", "**/a.log", True),
    ],
)
def test_patterns_match_as_in_a_shell(path: str, pattern: str, *, expected: bool) -> None:
    """A star stays within a directory, two do not; a bare name is that of the file."""
    assert matches(path, pattern) is expected


@given(st.text(st.sampled_from("ab*?[]!/-"), max_size=12), st.text("ab/", max_size=12))
def test_no_pattern_is_an_error(pattern: str, path: str) -> None:
    """People type them."""
    assert matches(path, pattern) in {True, False}


def test_many_stars_do_not_take_forever() -> None:
    """Each part of the pattern is compared once with each part of the path."""
    assert not matches("/a" * 200, "/**" * 60 + "/b")


class FakeMarks:
    """Marks by device and inode number, with room for `room` files."""

    def __init__(self, room: int = 100) -> None:
        self.files: set[tuple[int, int]] = set()
        self._room = room

    def put(self, descriptor: int) -> bool:
        if len(self.files) >= self._room:
            return False
        self.files.add(_identity(descriptor))
        return True

    def has(self, descriptor: int) -> bool:
        return _identity(descriptor) in self.files


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


@pytest.fixture
def on_disk(tmp_path: Path) -> Path:
    """Give a directory on a disk, or skip."""
    descriptor = os.open(tmp_path, os.O_PATH)
    try:
        if not is_on_disk(descriptor, mounts_of("self")):
            pytest.skip("temporary files are not on a disk here")
    finally:
        os.close(descriptor)
    return tmp_path


@pytest.fixture
def log(on_disk: Path) -> Iterator[Path]:
    """Give a file that this process has open."""
    file = on_disk / "a.log"
    with file.open("wb"):
        yield file


def marked(path: Path) -> set[tuple[int, int]]:
    status = path.stat()
    return {(status.st_dev, status.st_ino)}


def test_an_open_file_that_matches_is_marked_once(log: Path) -> None:
    """The second look finds it marked, and says that it matches."""
    marks = FakeMarks()
    files = OpenFiles((f"{log.parent}/*.log",), marks)

    looks = files.look([os.getpid()]), files.look([os.getpid()])

    assert looks == (Look(1, 0), Look(1, 0))
    assert marks.files == marked(log)


def test_a_file_that_came_in_its_place_is_marked_too(on_disk: Path) -> None:
    """Logs are rotated: same name, same descriptor number, another inode."""
    marks, path = FakeMarks(), on_disk / "a.log"
    files = OpenFiles(("a.log",), marks)
    with path.open("wb"):
        files.look([os.getpid()])
        before = marked(path)
        path.rename(on_disk / "a.log.1")
    with path.open("wb"):
        files.look([os.getpid()])
        after = marked(path)

    assert marks.files == before | after
    assert before != after


def test_a_deleted_file_is_matched_by_the_name_that_it_had(on_disk: Path) -> None:
    """The disk is as full of it."""
    marks, path = FakeMarks(), on_disk / "gone.log"
    with path.open("wb") as file:
        path.unlink()
        look = OpenFiles(("gone.log",), marks).look([os.getpid()])
        expected = {_identity(file.fileno())}

    assert look == Look(1, 0)
    assert marks.files == expected


def test_what_does_not_match_or_is_no_file_is_not_marked(log: Path) -> None:
    """Pipes have no path; directories and devices have one."""
    marks = FakeMarks()
    directory = os.open(log.parent, os.O_RDONLY)
    device = os.open("/dev/null", os.O_WRONLY)
    ends = os.pipe()
    try:
        look = OpenFiles((f"{log.parent}/*.db", "/dev/*", str(log.parent), "pipe*"), marks).look(
            [os.getpid()]
        )
    finally:
        for descriptor in (directory, device, *ends):
            os.close(descriptor)

    assert look == Look(0, 0)
    assert marks.files == set()


def test_a_file_without_room_for_a_mark_is_counted(log: Path) -> None:
    """It matches, and is not refused."""
    look = OpenFiles((str(log),), FakeMarks(room=0)).look([os.getpid()])

    assert look == Look(1, 1)


def test_a_process_that_is_gone_has_no_files() -> None:
    """It ended between two looks."""
    assert OpenFiles(("*",), FakeMarks()).look([2**22 + 1]) == Look(0, 0)


def test_a_file_in_memory_is_not_on_a_disk() -> None:
    """Its mount is none that a process sees."""
    descriptor = os.memfd_create("test")
    try:
        assert not is_on_disk(descriptor, mounts_of("self"))
    finally:
        os.close(descriptor)


def mount(kind: str, *options: str, major: int = 0, minor: int = 50) -> Mount:
    return Mount(
        id=1, major=major, minor=minor, root="/", point="/merged", is_read_only=False, kind=kind,
        source=kind, options=options,
    )  # fmt: skip


def test_an_overlay_is_on_what_its_upper_directory_is_on(on_disk: Path) -> None:
    """All writes go there; without one it takes none."""
    upper = mount("overlay", "rw", f"upperdir={on_disk}")
    others = (
        mount("overlay", "rw", "upperdir=/proc/self", minor=51),
        mount("overlay", "ro", minor=52),
        mount("overlay", "upperdir=/no/such/directory", minor=53),
        mount("tmpfs", f"upperdir={on_disk}", minor=54),
    )

    assert overlays_on_disk((upper, *others)) == {50}
    assert overlays_on_disk(others) == frozenset()
