"""What the kernel tests stand on: compiled workloads, disks of their own, the open source."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from iotop_ng.sources.bcc import BccSource
from iotop_ng.sources.compiled import CACHE_VARIABLE
from tests.kernel.disks import Disk, Mounted, leave_mount_namespace, loop_disk, mounted

MakeMount = Callable[..., Mounted]
"""(kind, options) -> a file system of that kind on the test's loop device."""

_HERE = Path(__file__).parent
_DISK_BYTES = 1 << 30  # sparse: memory is used as it is written


@pytest.fixture(scope="session")
def workloads() -> Iterator[Callable[[str], Path]]:
    """Return a function: name of workloads/NAME.c -> the compiled program."""
    # Not pytest's own directory: other users than root run these too.
    made = Path(tempfile.mkdtemp(prefix="iotop-ng-test-"))
    made.chmod(0o755)

    def compiled(name: str) -> Path:
        program = made / name
        if not program.exists():
            source = _HERE / "workloads" / f"{name}.c"
            subprocess.run(
                ["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-pthread", "-o", program, source],
                check=True,
            )
        return program

    yield compiled
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def note() -> Iterator[Callable[[str], None]]:
    """Return a function that keeps a line; IOTOP_NG_FIGURES names a file for all of them."""
    lines: list[str] = []
    yield lines.append
    if figures := os.environ.get("IOTOP_NG_FIGURES"):
        with Path(figures).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


@pytest.fixture(scope="session")
def _own_mounts() -> None:
    leave_mount_namespace()


@pytest.fixture(scope="session", autouse=True)
def _tracefs(_own_mounts: None) -> None:
    """Mount tracefs, which a machine without systemd lacks, for this process only."""
    place = Path("/sys/kernel/tracing")
    if not (place / "events").is_dir():
        subprocess.run(["mount", "-t", "tracefs", "tracefs", place], check=True)


@pytest.fixture
def memory_directory() -> Iterator[Path]:
    """Give a directory in memory, whose writes reach no disk, open to every user."""
    made = Path(tempfile.mkdtemp(prefix="iotop-ng-test-", dir="/dev/shm"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


@pytest.fixture
def disk(memory_directory: Path) -> Iterator[Disk]:
    """Give a loop device."""
    with loop_disk(memory_directory, _DISK_BYTES) as made:
        yield made


@pytest.fixture
def mount(_own_mounts: None, memory_directory: Path, disk: Disk) -> Iterator[MakeMount]:
    """Return what mounts a file system; all are unmounted afterwards."""
    with ExitStack() as stack:

        def make(kind: str, options: str = "noatime") -> Mounted:
            directory = memory_directory / kind
            made = stack.enter_context(mounted(disk, kind, directory, options))
            directory.chmod(0o777)
            return made

        yield make


@pytest.fixture
def ext4(mount: MakeMount) -> Mounted:
    """Give a clean ext4 with a journal."""
    return mount("ext4")


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile the programs once for all tests, and apart from what is installed."""
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ[CACHE_VARIABLE]
    else:
        os.environ[CACHE_VARIABLE] = before


@pytest.fixture(scope="module")
def source(own_cache: None) -> Iterator[BccSource]:  # noqa: ARG001 - it says where to compile
    """Give the BPF source, counting; one for all tests of a module, as detaching takes long."""
    opened = BccSource()
    opened.open()
    try:
        yield opened
    finally:
        opened.close()
