"""`make kernel-matrix`: Debian's kernels, one guest each, and a fixed set of checks in each.

Writes docs/kernels.md, all of it, and the answers that it is made of beside it. A kernel that
cannot be had, panics or hangs is a row like any other. ``ARGS='--only 6.1 --out DIR'`` for less.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from iotop_ng.sources.compiled import CACHE_VARIABLE
from tests.guest.boots import CHECKOUT, WORKLOADS_VARIABLE, compiled_workloads
from tests.guest.checks import FAIL, Answer, Ground
from tests.guest.kernels import FetchError, Kernel
from tests.guest.machine import boot, tool
from tests.guest.matrix_page import Row, one_line, page
from tests.guest.shares import ShareError
from tests.guest.suites import Release, fetch

RELEASES = {
    Release("bullseye", "5.10", "amd64"): "ext4",
    Release("bullseye", "5.10", "cloud-amd64"): "xfs",
    Release("bullseye", "5.10", "rt-amd64"): "ext4",
    Release("bookworm", "6.1", "amd64"): "ext4",
    Release("bookworm", "6.1", "cloud-amd64"): "xfs",
    Release("bookworm", "6.1", "rt-amd64"): "btrfs",
    Release("bookworm", "6.12", "amd64"): "xfs",
    Release("bookworm", "6.12", "cloud-amd64"): "ext4",
    Release("bookworm", "6.12", "rt-amd64"): "ext4",
    Release("trixie-backports", "6.18", "amd64"): "ext4",
    Release("trixie-backports", "7.2", "amd64"): "xfs",
    Release("trixie-backports", "7.2", "cloud-amd64"): "ext4",
    Release("trixie-backports", "7.2", "rt-amd64"): "ext4",
}
"""Which kernels -> what is on the guest's disk."""
_TIMEOUT_S = 300
_COMMAND = "make kernel-matrix"


def examine(release: Release, kernel: Kernel, file_system: str, workloads: Path) -> Row:
    """Boot one kernel, ask everything, and return what it said until it ended."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="iotop-ng-out-") as name:
        out = Path(name)
        out.chmod(0o755)
        inside = [
            "env", "PYTHONDONTWRITEBYTECODE=1", f"{CACHE_VARIABLE}=/run/iotop-ng-cache",
            f"{WORKLOADS_VARIABLE}={workloads}",
            sys.executable, "-m", "tests.guest.checks", "/out/answers",
        ]  # fmt: skip
        command = f"cd {shlex.quote(str(CHECKOUT))} && exec {shlex.join(inside)}"
        with tempfile.TemporaryFile() as output:
            try:
                ended = boot(
                    kernel, command, out, output, file_system=file_system, timeout_s=_TIMEOUT_S
                )
                status, console = ended.status, ended.console
            except ShareError as error:
                return Row(*release, release=kernel.release, problem=str(error))
            output.seek(0)
            said = output.read().decode("utf-8", "replace")
        answers = out / "answers"
        lines = answers.read_bytes().splitlines() if answers.exists() else []
    seconds = round(time.monotonic() - began, 1)
    row = Row(*release, release=kernel.release, file_system=file_system, seconds=seconds)
    row = filled(row, lines)
    if status == 0:
        return row
    sys.stderr.write(f"{said}\n")
    return msgspec.structs.replace(row, problem=ending(status, console, said))


def filled(row: Row, lines: Iterable[bytes]) -> Row:
    """Take in what the guest wrote; a line that was cut off is left out."""
    ground, answers = None, []
    for line in lines:
        with suppress(msgspec.DecodeError):
            if b'"lsm"' in line:
                ground = msgspec.json.decode(line, type=Ground)
            else:
                answers.append(msgspec.json.decode(line, type=Answer))
    return msgspec.structs.replace(row, ground=ground, answers=tuple(answers))


def ending(status: int | None, console: str, said: str) -> str:
    """Return in one line why a guest did not come to its end."""
    panic = next((line for line in console.splitlines() if "Kernel panic" in line), "")
    if panic:
        return f"the kernel panicked: {panic.partition('Kernel panic - ')[2]}"
    if status is None:
        last = (console.strip().splitlines() or [""])[-1][-120:]
        return f"switched off after {_TIMEOUT_S} s; last on its console: {last}"
    return (
        f"the checks ended with {status}: {(said.strip().splitlines() or ['no word'])[-1][-200:]}"
    )


def _row(release: Release, found: Kernel | FetchError, workloads: Path) -> Row:
    if isinstance(found, FetchError):
        return Row(*release, problem=f"not to be had: {one_line(str(found))}", is_missing=True)
    wanted = RELEASES[release]
    row = examine(release, found, wanted if tool(f"mkfs.{wanted}") else "ext4", workloads)
    failed = [f"{one.check}: {one.text}" for one in row.answers if one.state == FAIL]
    why = "".join(f"; {one_line(text)}" for text in (*failed, row.problem) if text)
    sys.stderr.write(f"{release.link}: {row.verdict}, {row.seconds:.0f} s{why}\n")
    return row


def _fetched(release: Release) -> Kernel | FetchError:
    try:
        return fetch(release)
    except FetchError as error:
        return error


def main() -> int:
    """Run them all and write the page; 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.guest.matrix")
    parser.add_argument("--only", action="append", help="part of a name, as in bookworm-6.1-rt")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "docs", metavar="DIRECTORY")
    # A guest keeps one CPU of the host busy: all of its own are emulated by one thread.
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="guests at a time")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    parts = asked.only or [""]
    wanted = [one for one in RELEASES if any(part in one.link for part in parts)]
    kernels = {one: _fetched(one) for one in wanted}
    began = time.monotonic()
    with compiled_workloads() as workloads, ThreadPoolExecutor(asked.jobs) as guests:
        each = [guests.submit(_row, *one, workloads) for one in kernels.items()]
        try:
            rows = [one.result() for one in each]
        finally:
            guests.shutdown(cancel_futures=True)
    answers = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    (asked.out / "kernels.jsonl").write_bytes(answers)
    text = page(rows, _COMMAND, time.monotonic() - began, asked.jobs)
    (asked.out / "kernels.md").write_text(text, "utf-8")
    return int(any(row.verdict == FAIL for row in rows))


if __name__ == "__main__":
    sys.exit(main())
