"""Tests marked `guest` run inside guests; outside, each stands for what the guests said of it.

Outside, a test function becomes one `GuestItem` for each kernel. The first one boots all kernels
that are needed, as many at once as there are processors (each guest takes one), and each runs all
that were selected for it, with a second pytest, inside. There, the same functions are ordinary
tests, with the fixtures below.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, final

import msgspec
import pytest

from tests.guest.boots import (
    CHECKOUT,
    RESULTS_VARIABLE,
    WORKLOADS_VARIABLE,
    Boot,
    GuestError,
    Result,
)
from tests.guest.kernels import KERNELS, SLOW_KERNELS, cached, wanted
from tests.guest.machine import tool

_BOOTS = pytest.StashKey["dict[Where, Future[Boot]]"]()
_APART = frozenset({"test_containers.py", "test_default_rules.py", "test_demo.py"})
"""Long stories: in a boot of their own, which may run beside the other one."""


class Where(NamedTuple):
    """One boot."""

    kernel: str
    is_apart: bool


def _is_inside() -> bool:
    return RESULTS_VARIABLE in os.environ


def _file_system(kernel: str) -> str:
    kind = os.environ.get("IOTOP_NG_GUEST_FS") or wanted()[kernel]
    return kind if tool(f"mkfs.{kind}") else "ext4"


class FailedInside(Exception):  # noqa: N818  # it is a verdict, not an error of this program
    """What a test said, inside."""


@final
class GuestItem(pytest.Item):
    """One test function on one kernel."""

    kernel: str
    function_name: str

    @classmethod
    def of(cls, collector: pytest.Collector, function: str, kernel: str) -> GuestItem:
        """Return the item of a function and a kernel."""
        name = f"{function}[{kernel.removeprefix('linux-image-')}]"
        item: GuestItem = cls.from_parent(collector, name=name)
        item.kernel, item.function_name = kernel, function
        return item

    @property
    def inside(self) -> tuple[str, str]:
        """The test's file, relative to the checkout, and its function."""
        return str(self.path.relative_to(CHECKOUT)), self.function_name

    @property
    def where(self) -> Where:
        """In which boot it runs."""
        return Where(self.kernel, self.path.name in _APART)

    def runtest(self) -> None:
        """Boot the kernels if that was not done yet, and say what this one's said."""
        boots = self.config.stash.setdefault(_BOOTS, {})
        if not boots:
            boots.update(_begun(self.session.items))
        results = boots[self.where].result().results(*self.inside)
        failed = [f"{r.function}{r.parameters}\n{r.text}" for r in results if r.outcome == "failed"]
        if failed:
            raise FailedInside("\n".join(failed))
        skipped = [r.text for r in results if r.outcome == "skipped"]
        if skipped:
            pytest.skip("\n".join(skipped))

    def repr_failure(
        self,
        excinfo: pytest.ExceptionInfo[BaseException],
        style: object = None,  # noqa: ARG002  # pytest's signature
    ) -> str:
        """Return what was said inside, as it was said."""
        if isinstance(excinfo.value, FailedInside | GuestError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return where it stands, for pytest."""
        return self.path, None, self.name


def _begun(items: list[pytest.Item]) -> dict[Where, Future[Boot]]:
    """Begin to boot what these need, the longest first."""
    tests: dict[Where, list[str]] = {}
    for item in items:
        if isinstance(item, GuestItem):
            tests.setdefault(item.where, []).append("::".join(item.inside))
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    begun = {
        where: pool.submit(Boot, where.kernel, _file_system(where.kernel), tests[where])
        for where in sorted(tests, key=lambda where: -len(tests[where]))
    }
    pool.shutdown(wait=False)
    return begun


def pytest_pycollect_makeitem(
    collector: pytest.Collector, name: str, obj: object
) -> list[GuestItem] | None:
    """Make an item for each kernel of a test that runs in guests; inside, let pytest do it."""
    marker = next(
        (m for m in getattr(obj, "pytestmark", ()) if m.name == "guest"),
        collector.get_closest_marker("guest"),
    )
    if _is_inside() or not name.startswith("test_") or marker is None:
        return None
    present = [kernel for kernel in wanted() if cached(kernel)] or [*wanted()]
    kernels = present if marker.kwargs.get("every_kernel") else present[:1]
    return [GuestItem.of(collector, name, kernel) for kernel in kernels]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Show what belongs to one boot together."""
    order = [*wanted()]

    def place(item: pytest.Item) -> tuple[int, bool]:
        if not isinstance(item, GuestItem):
            return (0, False)
        return (1 + order.index(item.kernel), item.where.is_apart)

    items.sort(key=place)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say on which kernels the tests ran, and which were left out."""
    begun = config.stash.get(_BOOTS, {})
    boots = [
        (where.kernel, future.result())
        for where, future in begun.items()
        if future.done() and not future.exception()
    ]
    if not boots:
        return
    lines = [
        f"       on Linux {boot.release}, {_file_system(kernel)}, {boot.seconds:.0f} s"
        for kernel, boot in boots
    ]
    booted = {kernel for kernel, _ in boots}
    left_out = [kernel for kernel in (*KERNELS, *SLOW_KERNELS) if kernel not in booted]
    lines += [f"       left out (IOTOP_NG_GUESTS=all): {', '.join(left_out)}"] if left_out else []
    for line in lines:
        terminalreporter.write_line(line)
    if tally := os.environ.get("IOTOP_NG_TALLY"):
        with Path(tally).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


# What follows runs inside.


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write each result down at once: a guest that hangs later has still said this."""
    path = os.environ.get(RESULTS_VARIABLE)
    if path is None or (report.when != "call" and report.passed):
        return
    file, _, name = report.nodeid.partition("::")
    function, bracket, parameters = name.partition("[")
    result = Result(file, function, bracket + parameters, report.outcome, report.longreprtext)
    with Path(path).open("ab") as results:
        results.write(msgspec.json.encode(result) + b"\n")


@pytest.fixture(scope="session")
def workloads() -> Callable[[str], Path]:
    """Return a function: name of tests/kernel/workloads/NAME.c -> the compiled program."""
    directory = Path(os.environ[WORKLOADS_VARIABLE])
    return lambda name: directory / name


@pytest.fixture
def directory() -> Iterator[Path]:
    """Give a new directory on the guest's disk."""
    with tempfile.TemporaryDirectory(dir="/data") as name:
        yield Path(name)
