"""The files of cgroups: where they are, who is in them, and writing one line of one.

Documentation/admin-guide/cgroup-v2.rst; cgroup-v1/freezer-subsystem.rst for the freezer of v1.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple, Protocol

from iotop_ng.errors import EnforcerError, IotopError, NotPermittedError, TargetError
from iotop_ng.sources.kept_file import read_small
from iotop_ng.units import clean

_READ_LIMIT = 1024 * 1024
_ESCAPE = re.compile(r"\\([0-7]{3})")
_MAX_BELOW = 4096  # cgroups that are looked into below one


class Mount(NamedTuple):
    """One line of /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

    id: int
    major: int
    minor: int
    root: str
    point: str
    is_read_only: bool
    kind: str
    """Of file system: "ext4", "cgroup2"."""
    source: str
    options: tuple[str, ...]
    """Of the file system: ("rw", "upperdir=/…")."""


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Return every mount; a line that is not one is left out."""
    mounts = []
    for line in text.splitlines():
        fields = line.split(" ")
        try:
            dash = fields.index("-", 6)
            major, _, minor = fields[2].partition(":")
            mounts.append(
                Mount(
                    id=int(fields[0]),
                    major=int(major),
                    minor=int(minor),
                    root=_unescape(fields[3]),
                    point=_unescape(fields[4]),
                    is_read_only="ro" in fields[5].split(","),
                    kind=fields[dash + 1],
                    source=_unescape(fields[dash + 2]),
                    options=tuple(_unescape(fields[dash + 3]).split(",")),
                )
            )
        except (ValueError, IndexError):
            continue
    return tuple(mounts)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found.group(1), 8)), text)


def parse_nested(text: str) -> dict[str, dict[str, str]]:
    """Return {"8:0": {"wbps": "max"}} of a file of nested keys (io.max, io.stat)."""
    lines: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        key, *pairs = line.split()
        lines[key] = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return lines


class Files(Protocol):
    """What is read and written of a cgroup."""

    def read(self, path: Path) -> str:
        """Return a file's text.

        Raises:
            OSError: as the kernel says.
        """
        ...

    def write(self, path: Path, text: str) -> None:
        """Write one line, in one call.

        Raises:
            OSError: as the kernel says; EIO when it took a part only.
        """
        ...


class KernelFiles:
    """The kernel's own."""

    def read(self, path: Path) -> str:
        """Return a file's text."""
        with path.open("rb") as file:
            return file.read(_READ_LIMIT).decode("utf-8", "surrogateescape")

    def write(self, path: Path, text: str) -> None:
        """Write one line, in one call."""
        raw = text.encode("utf-8", "surrogateescape")
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if os.write(fd, raw) != len(raw):
                raise OSError(errno.EIO, "the kernel took a part of the line only")
        finally:
            os.close(fd)


class Cgroup(NamedTuple):
    """One cgroup that exists."""

    path: str
    """As processes see it: "/system.slice/nginx.service"."""
    directory: Path
    inode: int

    @property
    def shown(self) -> str:
        """The path as it may be drawn."""
        return clean(self.path, 512)

    def is_still_there(self) -> bool:
        """Say whether the directory is the same one; its name may mean another cgroup by now."""
        try:
            return self.directory.stat().st_ino == self.inode
        except OSError:
            return False


class Cgroups:
    """Finds cgroups and their processes."""

    def __init__(self, root: Path = Path("/"), files: Files | None = None) -> None:
        self._root = root
        self.files = files or KernelFiles()

    def unified(self) -> Path | None:
        """Return where cgroup v2 is mounted, None when it is not."""
        return self._mount_point("cgroup2", "")

    def freezer_v1(self) -> Path | None:
        """Return where the freezer of cgroup v1 is mounted, None when it is not."""
        return self._mount_point("cgroup", "freezer")

    def is_io_in_v1(self) -> bool:
        """Say whether cgroup v1 has the io controller, so that v2 cannot."""
        return self._mount_point("cgroup", "blkio") is not None

    def find(self, mount: Path, path: str) -> Cgroup | None:
        """Return a cgroup by its path, None when there is none or the path leaves the tree."""
        parts = [part for part in path.split("/") if part]
        if ".." in parts or "." in parts:
            return None
        directory = mount.joinpath(*parts)
        try:
            return Cgroup("/" + "/".join(parts), directory, directory.stat().st_ino)
        except OSError:
            return None

    def of_process(self, pid: int, controller: str = "") -> str | None:
        """Return the path of a process's cgroup; v2 for "", else of a controller of v1.

        None when the process is gone or the hierarchy is not there.
        """
        raw = read_small(self._root / f"proc/{pid}/cgroup", 8192) or b""
        for line in os.fsdecode(raw).splitlines():
            _, controllers, path = [*line.split(":", 2), "", ""][:3]
            if controllers == controller or (controller and controller in controllers.split(",")):
                return path
        return None

    def pids(self, cgroup: Cgroup) -> frozenset[int]:
        """Return the processes in a cgroup and below it."""
        found: set[int] = set()
        for directory in self._below(cgroup.directory):
            found.update(self._pids_of(directory))
        return frozenset(found)

    def read(self, cgroup: Cgroup, name: str) -> str:
        """Return the text of one of its files.

        Raises:
            TargetError: the cgroup is gone.
            EnforcerError: it cannot be read.
        """
        try:
            return self.files.read(cgroup.directory / name)
        except OSError as error:
            raise explained(error, f"reading {name} of {cgroup.shown}", cgroup) from None

    def write(self, cgroup: Cgroup, name: str, line: str) -> None:
        """Write one line.

        Raises:
            TargetError: the cgroup is gone.
            NotPermittedError: writing is forbidden.
            EnforcerError: the kernel refused it for another reason.
        """
        try:
            self.files.write(cgroup.directory / name, line)
        except OSError as error:
            what = f"writing '{line}' to {name} of {cgroup.shown}"
            raise explained(error, what, cgroup) from None

    def _mount_point(self, kind: str, controller: str) -> Path | None:
        raw = read_small(self._root / "proc/self/mountinfo", _READ_LIMIT) or b""
        for mount in parse_mountinfo(os.fsdecode(raw)):
            if mount.kind == kind and (not controller or controller in mount.options):
                return self._root / mount.point.lstrip("/")
        return None

    def _below(self, directory: Path) -> list[Path]:
        """Return this directory and those below it."""
        found = [directory]
        for parent in found:
            try:
                with os.scandir(parent) as entries:
                    found += [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
            except OSError:
                continue
            if len(found) > _MAX_BELOW:
                break
        return found

    def _pids_of(self, directory: Path) -> list[int]:
        # A threaded cgroup refuses cgroup.procs (EOPNOTSUPP); its threads count for its parent.
        try:
            text = self.files.read(directory / "cgroup.procs")
        except OSError:
            return []
        return [int(line) for line in text.split() if line.isdecimal() and line != "0"]


def explained(error: OSError, what: str, cgroup: Cgroup) -> IotopError:
    """Return our error for the kernel's, one line: what was done, and what it said."""
    said = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in {errno.EPERM, errno.EACCES}:
        return NotPermittedError(f"{what}: {said}; it needs CAP_SYS_ADMIN and a writable cgroupfs")
    # ENODEV is also what a file of a removed cgroup says to who has it open.
    is_gone = error.errno in {errno.ENOENT, errno.ENODEV} and not cgroup.is_still_there()
    if is_gone:
        return TargetError(f"{what}: the cgroup is gone")
    if error.errno == errno.ENODEV:
        return EnforcerError(f"{what}: the device is gone")
    return EnforcerError(f"{what}: {said}")
