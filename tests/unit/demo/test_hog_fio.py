"""fio in the place of our writers: what it is asked, and how its status is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.demo import fio
from iotop_ng.demo.counts import Counts
from iotop_ng.demo.crew import Task
from iotop_ng.demo.modes import MODES, layout
from iotop_ng.errors import IotopError

CHECKOUT = Path(__file__).resolve().parents[3]
MIB = 1 << 20


def task(mode: str, *, rate: int | None = None, calls: int | None = None, **other: bool) -> Task:
    """Return what a mode is asked for, with a span of 64 MiB."""
    return Task(
        directory=Path("/data/own"),
        layout=layout(MODES[mode], 64 * MIB, None, rate),
        rate=rate,
        behind_bytes=8 * MIB,
        calls=calls,
        seed=7,
        stops_at_error=other.get("stops", False),
        has_ranges=other.get("has_ranges", True),
    )


def asked(mode: str, *, rate: int | None = None, calls: int | None = None, **other: bool) -> str:
    """Return the command line of the first process."""
    made = task(mode, rate=rate, calls=calls, **other)
    files = [Path(f"/data/own/flood-{i}.log") for i in range(made.layout.threads)]
    return " ".join(fio.arguments(made, files, 0))


def test_the_job_of_lines() -> None:
    assert asked("lines", rate=5 * MIB) == (
        "--thread=1 --group_reporting=1 --eta=never --output-format=json --status-interval=500ms"
        " --ioengine=psync --rw=write --fallocate=none --size=67108864 --bs=512"
        " --refill_buffers=1 --randseed=7 --sync_file_range=wait_before,write,wait_after:16384"
        " --time_based=1 --runtime=691200 --continue_on_error=write"
        " --ignore_error=,28:122:5:1:11 --name=log-flood --filename=/data/own/flood-0.log"
        " --rate=,5242880"
    )


def test_other_modes_are_their_nearest() -> None:
    assert "--bs=8388608" in asked("big")
    assert "--bs=1 " in asked("bytes")
    assert asked("threads").count("--name=log-flood") == 16
    assert "--fsync=1" in asked("fsync")
    assert "sync_file_range" not in asked("fsync")
    assert "--thinktime=1000000us --thinktime_iotime=1000000us" in asked("burst")
    assert "--rate=,2000000" in asked("burst", rate=1_000_000)
    assert "--fdatasync=16384" in asked("lines", has_ranges=False)
    assert "continue_on_error" not in asked("lines", stops=True)
    assert "--io_size=51200" in asked("lines", calls=100)
    assert "time_based" not in asked("lines", calls=100)


@pytest.mark.parametrize("mode", MODES)
def test_a_page_is_waited_for_before_it_is_written_again(mode: str) -> None:
    words = dict(word.partition("=")[::2] for word in asked(mode).split())
    after = words.get("--sync_file_range", words.get("--fsync", "")).rpartition(":")[2]

    assert int(after) * MODES[mode].record_bytes <= int(words["--size"]) // 2


def status(written: int, calls: int, **more: int) -> dict[str, Any]:
    """Return one status as fio says it, as far as we read it."""
    return {
        "fio version": "fio-3.33",
        "jobs": [{"jobname": "x", **more, "write": {"io_bytes": written, "total_ios": calls}}],
        "disk_util": [{"name": "vda"}],
    }


def said(*found: dict[str, Any]) -> str:
    """Return what fio would have printed."""
    return "".join(f"log-flood: Laying out\n{json.dumps(one, indent=2)}\n" for one in found)


@given(st.integers(0, 2000))
def test_a_status_is_read_when_it_is_whole(cut: int) -> None:
    text = said(status(512, 1), status(1024, 2, total_err=3, first_error=28))

    first = fio.parse(text[:cut])
    second = fio.parse(first.rest + text[cut:])

    assert first.counts in {None, Counts(512, 1, 0, 0, 0), Counts(1024, 2, 3, 28, 0)}
    assert (second.counts or first.counts) == Counts(1024, 2, 3, 28, 0)


@pytest.mark.parametrize("text", ["", "no status", "{\n}", '{\n"jobs": []}', '{\n"jobs": [{}]}'])
def test_what_is_no_status_is_none(text: str) -> None:
    assert fio.parse(text).counts is None


def test_an_error_that_ended_it_is_one_error() -> None:
    assert fio.parse(said(status(0, 0, error=28))).counts == Counts(0, 0, 1, 28, 0)


def test_without_fio_its_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(IotopError, match="apt install fio") as told:
        fio.fio_program()

    assert told.value.exit_code == 1


def run_with(program: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the hog with something else that is called fio."""
    programs = directory / "bin"
    programs.mkdir()
    (programs / "fio").write_text(program)
    (programs / "fio").chmod(0o755)
    target = directory / "target"
    target.mkdir()
    return subprocess.run(
        [sys.executable, "-m", "iotop_ng", "demo", "hog", target, "--engine", "fio", "--json",
         "--span", "4M", *options],
        cwd=CHECKOUT,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


def test_what_it_says_is_reported_in_our_words(tmp_path: Path) -> None:
    text = said(status(512, 1), status(4096, 8, total_err=2, first_error=28))
    done = run_with(f"#!/bin/sh\ncat <<'END'\n{text}END\n", tmp_path)

    about, *lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert len(about["hog"]["writers"]) == 1
    last = lines[-1]
    assert (last["written_bytes_total"], last["calls_total"]) == (4096, 8)
    assert (last["errors_total"], last["last_error"], last["lost_bytes_total"]) == (
        2, "ENOSPC", 1024,
    )  # fmt: skip
    assert last["ended"] is True
    assert list((tmp_path / "target").iterdir()) == []


def test_when_it_fails_so_do_we(tmp_path: Path) -> None:
    done = run_with("#!/bin/sh\necho no such option >&2\nexit 1\n", tmp_path)

    assert done.returncode == 1
    assert done.stderr == "no such option\niotop-ng: the writers ended with exit code 1\n"
    assert list((tmp_path / "target").iterdir()) == []


def test_it_is_ended_when_the_time_is_over(tmp_path: Path) -> None:
    done = run_with("#!/bin/sh\nwhile :; do sleep 0.1; done\n", tmp_path, "--for", "0.5s")

    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["ended"] is True
    assert list((tmp_path / "target").iterdir()) == []
