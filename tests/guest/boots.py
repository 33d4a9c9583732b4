"""Run tests in a guest, all of one kernel in one boot, and say how each one ended there."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from iotop_ng.sources.compiled import CACHE_VARIABLE
from tests.guest.kernels import cached
from tests.guest.machine import boot

CHECKOUT = Path(__file__).parents[2]
RESULTS = "results.jsonl"
RESULTS_VARIABLE = "IOTOP_NG_GUEST_RESULTS"
"""Set inside a guest only: the file that takes the results there."""
WORKLOADS_VARIABLE = "IOTOP_NG_GUEST_WORKLOADS"
_WORKLOADS = CHECKOUT / "tests/kernel/workloads"
_TIMEOUT_S = 600
# None of the plugins of the checkout's Python: importing them takes longer than the tests.
_PYTEST = (
    "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(CHECKOUT),
    "--confcutdir", str(CHECKOUT / "tests/guest"), "--import-mode=importlib",
    "-p", "no:cacheprovider", "-W", "error", "-o", "markers=guest", "--tb=short", "--durations=12",
)  # fmt: skip


class Result(msgspec.Struct, frozen=True):
    """How one phase (set-up, call, tear-down) of one test ended, inside."""

    path: str
    """The test's file, relative to the checkout."""
    function: str
    parameters: str
    """The test's id within the function, "" without parameters."""
    outcome: str
    """passed, failed or skipped."""
    text: str
    """Why, for what did not pass."""


class GuestError(Exception):
    """A guest did not come to its end."""


@contextmanager
def compiled_workloads() -> Iterator[Path]:
    """Compile on the host what the tests run: compiling in the guest takes seconds for each."""
    with tempfile.TemporaryDirectory(prefix="iotop-ng-out-") as name:
        out = Path(name)
        out.chmod(0o755)  # other users than root run these too
        for source in _WORKLOADS.glob("*.c"):
            subprocess.run(["gcc", "-O2", "-pthread", "-o", out / source.stem, source], check=True)
        yield out


class Boot:
    """What one boot of one kernel said about the tests that were run in it.

    Args:
        metapackage: names a cached kernel.
        file_system: of the guest's disk.
        tests: "PATH::FUNCTION", relative to the checkout.
    """

    def __init__(self, metapackage: str, file_system: str, tests: Sequence[str]) -> None:
        kernel = cached(metapackage)
        assert kernel is not None, metapackage
        inside = [
            "env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", "PYTHONDONTWRITEBYTECODE=1",
            f"{CACHE_VARIABLE}=/run/iotop-ng-cache",
            f"{RESULTS_VARIABLE}=/out/{RESULTS}", f"{WORKLOADS_VARIABLE}=/out",
            sys.executable, *_PYTEST, *tests,
        ]  # fmt: skip
        began = time.monotonic()
        with compiled_workloads() as out, tempfile.TemporaryFile() as output:
            ended = boot(
                kernel,
                f"cd {shlex.quote(str(CHECKOUT))} && exec {shlex.join(inside)}",
                out,
                output,
                file_system=file_system,
                timeout_s=_TIMEOUT_S,
            )
            output.seek(0)
            self.output = output.read().decode("utf-8", "replace")
            results = out / RESULTS
            lines = results.read_bytes().splitlines() if results.exists() else []
        self.release, self.seconds = kernel.release, time.monotonic() - began
        self.status, self.console = ended.status, ended.console
        self._results = [msgspec.json.decode(line, type=Result) for line in lines]

    def results(self, path: str, function: str) -> list[Result]:
        """Return how a test ended: one result, or several for one with parameters.

        Raises:
            GuestError: when the guest says nothing of it.
        """
        found = [r for r in self._results if (r.path, r.function) == (path, function)]
        if found:
            return found
        ended = "it was switched off" if self.status is None else f"exit status {self.status}"
        tail = "\n".join((self.console + self.output).splitlines()[-40:])
        raise GuestError(f"no word of this test from the guest ({ended}):\n{tail}")
