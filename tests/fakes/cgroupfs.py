"""A small cgroup tree in a temporary directory, whose files answer writes as the kernel's do.

    tree = FakeCgroupfs(tmp_path)
    tree.add("/system.slice/app.service", pids=(42,))
    tree.set_io_max("/system.slice/app.service", "8:0", wbps="900", riops="70")
    tree.start(42, cgroup="/system.slice/app.service", files=("data",))
    enforcer = IoMaxEnforcer(tree.root, tree)
    tree.fail(2, errno.EBUSY)        # the third call of the kernel from now on, once

Undoing writes past `Files`, as it does in life: `settle` then takes over what it wrote.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from iotop_ng.enforcers.cgroupfs import parse_nested
from iotop_ng.enforcers.changes import Change, same_place
from iotop_ng.enforcers.enforcer import Member
from iotop_ng.enforcers.kin import relative
from iotop_ng.enforcers.restore import restore
from iotop_ng.errors import TargetError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget, Target
from iotop_ng.sample import process_key
from tests.fakes.procfs import FakeDisk, FakeProc

LIMITS = ("rbps", "wbps", "riops", "wiops")
SHORT = -1
"""A failure: the kernel takes a part of the line only."""
MOUNTS = (
    "24 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "25 1 0:21 / /dev/shm rw - tmpfs tmpfs rw\n"
    "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
)
_DATA_MOUNT = 24
_FREEZER = {"cgroup.freeze": "0", "freezer.state": "THAWED"}


class FakeCgroupfs:
    """Builds the tree; it is the `Files` of what is tested."""

    def __init__(self, root: Path, mounts: str = MOUNTS) -> None:
        self.root = root
        self.procfs = FakeProc(root)
        self.mount = root / "sys/fs/cgroup"
        self._mounts = mounts
        self._io_max: dict[Path, dict[str, dict[str, str]]] = {}
        self._drawn: dict[Path, str] = {}
        self._faults: dict[int, int] = {}
        self.calls: list[tuple[str, str]] = []
        """(read or write, name of the file), since the tree was built."""
        self.procfs.write("proc/self/mountinfo", mounts)
        self.procfs.add_disk(FakeDisk("sda", 8, 0), partitions=(FakeDisk("sda1", 8, 1),))
        self.add("/", controllers="cpu io memory")

    # -- building ------------------------------------------------------------------------------

    def add(
        self, path: str, *, controllers: str = "cpu io memory", pids: Sequence[int] = ()
    ) -> Path:
        """Make a cgroup; all but the root have limits."""
        directory = self.mount / path.strip("/")
        directory.mkdir(parents=True, exist_ok=True)
        self._write(directory / "cgroup.controllers", f"{controllers}\n")
        self._write(directory / "cgroup.procs", "".join(f"{pid}\n" for pid in pids))
        if path != "/":
            self._write(directory / "cgroup.freeze", "0\n")
        if path != "/" and "io" in controllers.split():
            self._io_max[directory / "io.max"] = {}
            self._draw(directory / "io.max")
            self._write(directory / "io.stat", "")
        return directory

    def remove(self, path: str) -> None:
        """Take a cgroup away."""
        shutil.rmtree(self.mount / path.strip("/"))

    def start(
        self,
        pid: int,
        comm: str = "worker",
        *,
        ppid: int = 1,
        cgroup: str = "/",
        files: Sequence[str] = ("data",),
    ) -> Target:
        """Add a process in a cgroup that has these files open for writing; return it as target."""
        self.procfs.start(pid, comm, ppid=ppid, cgroup=f"0::{cgroup}\n")
        self.procfs.write(f"proc/{pid}/mountinfo", self._mounts)
        self.procfs.write(f"proc/{pid}/maps", "")
        for number, name in enumerate(files, 3):
            self.open_file(pid, number, name)
        found = relative(self.procfs.proc, pid)
        assert found is not None
        return ProcessTarget(process_key(pid, found.start_ns), pid, found.start_ns)

    def open_file(
        self, pid: int, number: int, name: str, *, flags: str = "0100001", mount: int = _DATA_MOUNT
    ) -> None:
        """Let a process have a file open."""
        file = self.root / "files" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
        link = self.procfs.proc / f"{pid}/fd/{number}"
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(file)
        self.procfs.write(
            f"proc/{pid}/fdinfo/{number}", f"pos:\t0\nflags:\t{flags}\nmnt_id:\t{mount}\nino:\t7\n"
        )

    def add_partition_mount(self, pid: int, line: str) -> None:
        """Let a process see one more mount."""
        file = self.procfs.proc / f"{pid}/mountinfo"
        file.write_text(file.read_text("ascii") + line + "\n", "ascii")

    def set_io_max(self, path: str, key: str, **limits: str) -> None:
        """Set limits of a device, as somebody else would."""
        file = self.mount / path.strip("/") / "io.max"
        line = self._io_max[file].setdefault(key, dict.fromkeys(LIMITS, "max"))
        line.update(limits)
        self._draw(file)

    def io_max(self, path: str) -> str:
        """Return what io.max says."""
        return (self.mount / path.strip("/") / "io.max").read_text("ascii")

    def set_io_stat(self, path: str, text: str) -> None:
        """Set what was written."""
        self._write(self.mount / path.strip("/") / "io.stat", text)

    def state(self) -> dict[str, str]:
        """Return every file of every cgroup."""
        files = (file for file in sorted(self.mount.rglob("*")) if file.is_file())
        return {str(file.relative_to(self.mount)): file.read_text("ascii") for file in files}

    # -- the kernel ----------------------------------------------------------------------------

    def fail(self, after: int, number: int) -> None:
        """Let one call fail, with an errno or SHORT: the next one, or one after so many."""
        self._faults[len(self.calls) + after] = number

    def read(self, path: Path) -> str:
        """Read, or fail as told."""
        self._call("read", path)
        return path.read_text("ascii")

    def write(self, path: Path, text: str) -> None:
        """Write as the kernel understands it, or fail as told."""
        self._call("write", path)
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if path.name == "io.max":
            self._limit(path, text)
        else:
            self._write(path, f"{text}\n")

    def settle(self) -> None:
        """Take over what was written past us."""
        for path, drawn in [*self._drawn.items()]:
            if path.exists() and (text := path.read_text("ascii")) != drawn:
                self._limit(path, text)

    def put_back(self, changes: Sequence[Change]) -> tuple[str, ...]:
        """Undo what was noted, newest first, as the keeper does; return what it says."""
        last: list[Change] = []
        for change in changes:
            last = [*(one for one in last if not same_place(one, change)), change]
        problems = []
        for change in reversed(last):
            problems.append(restore(change).problem)
            self.settle()
        return tuple(problem for problem in problems if problem)

    def _call(self, what: str, path: Path) -> None:
        fault = self._faults.pop(len(self.calls), None)
        self.calls.append((what, path.name))
        if fault == SHORT:
            raise OSError(errno.EIO, "the kernel took a part of the line only")
        if fault is not None:
            raise OSError(fault, os.strerror(fault))

    def _limit(self, path: Path, text: str) -> None:
        (key, given), *_ = parse_nested(text).items()
        assert given, "an empty line was written"
        assert given.keys() <= {*LIMITS}, text
        if key.startswith("9:"):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        line = self._io_max[path].setdefault(key, dict.fromkeys(LIMITS, "max"))
        line.update(given)
        if set(line.values()) == {"max"}:
            del self._io_max[path][key]
        self._draw(path)

    def _draw(self, path: Path) -> None:
        lines = (
            f"{key} " + " ".join(f"{name}={line[name]}" for name in LIMITS) + "\n"
            for key, line in self._io_max[path].items()
        )
        self._drawn[path] = "".join(lines)
        self._write(path, self._drawn[path])

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, "ascii")


class TreePinned:
    """A target in the tree."""

    def __init__(self, tree: FakeCgroupfs, target: Target) -> None:
        self._tree = tree
        self.target = target

    @property
    def name(self) -> str:
        if isinstance(self.target, CgroupTarget):
            return self.target.path
        who = relative(self._tree.procfs.proc, self.target.pid)
        return f"?[{self.target.pid}]" if who is None else who.name

    def check(self) -> None:
        if isinstance(self.target, ProcessTarget) and not self.members():
            raise TargetError(f"{self.name} has ended")

    def members(self) -> tuple[Member, ...]:
        if isinstance(self.target, CgroupTarget):
            text = (self._tree.mount / self.target.path.strip("/") / "cgroup.procs").read_text()
            pids = [int(line) for line in text.split()]
        else:
            pids = [self.target.pid]
        found = (relative(self._tree.procfs.proc, pid) for pid in pids)
        return tuple(Member(*who) for who in found if who is not None)
