"""Batch output: which intervals and rows are printed, and how it ends."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from iotop_ng.cli import batch
from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.config.settings import Settings
from iotop_ng.errors import SourceError
from iotop_ng.sample import Need, Process, Thread
from iotop_ng.session import Session
from tests.fakes.scripted import ScriptedSource
from tests.fakes.writers import counted, process, sample

MIB = 1 << 20


def printed(
    capfd: pytest.CaptureFixture[str],
    settings: Settings,
    *readings: Iterable[Process],
    **fields: Any,
) -> tuple[list[str], str, ScriptedSource]:
    """Run over readings that are a second apart; return lines, stderr and the source."""
    clock = ManualClock(mono_ns=1000 * NS_PER_S)
    source = ScriptedSource(clock, [sample(one, **fields) for one in readings])
    session = Session(source, clock, settings.interval_s)
    session.needs = batch.needs(settings)
    chunks: list[bytes] = []
    batch.stream(session, settings, chunks.append)
    return b"".join(chunks).decode().splitlines(), capfd.readouterr().err, source


def rows(lines: list[str]) -> list[list[str]]:
    """Return the fields of lines that are rows of iotop-c's layout."""
    return [line.split() for line in lines if line.split()[0].isdigit()]


def test_one_iteration_is_one_measured_interval(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(batch=True, iterations=1)

    lines, _, source = printed(capfd, settings, [process(7, MIB)], [process(7, 4 * MIB)])

    assert rows(lines) == [
        ["7", "be/4", "root", "0.00", "B/s", "3.00", "M/s", "0.00", "%", "0.00", "%", "dd"]
    ]
    assert len(source.asked) == 2


def test_strictly_the_first_iteration_is_zeros(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(batch=True, iterations=2, strict_compat=True)

    lines, _, source = printed(capfd, settings, [process(7, MIB)], [process(7, 4 * MIB)])

    assert [fields[5:7] for fields in rows(lines)] == [["0.00", "B/s"], ["3.00", "M/s"]]
    assert len(source.asked) == 2


def test_duration_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(batch=True, duration_s=3.0, format="json")

    lines, _, _ = printed(capfd, settings, [process(7, 0)])

    assert len(lines) == 3


def test_accumulated_totals_add_up(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(batch=True, iterations=2, mode="accumulated")
    readings = [[process(7, n * MIB)] for n in (10, 11, 13)]

    lines, _, _ = printed(capfd, settings, *readings)

    assert [fields[5:7] for fields in rows(lines)] == [["1024.00", "K"], ["3.00", "M"]]
    assert lines[4] == "  Total DISK READ:    0.00 B   |   Total DISK WRITE:    3.00 M  "


def test_what_ended_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    gone = process(8, MIB, "gone", is_exited=True)
    readings = [[process(7, 0)], [process(7, 0), gone], [process(7, 0), gone], [process(7, 0)]]

    lines, _, _ = printed(capfd, Settings(batch=True, iterations=3, format="json"), *readings)

    tasks = [[task["comm"] for task in json.loads(line)["tasks"]] for line in lines]
    assert tasks == [["gone", "dd"], ["dd"], ["dd"]]
    ended = json.loads(lines[0])["tasks"][0]
    assert (ended["exited"], ended["write_bytes_total"]) == (True, MIB)


def test_what_is_credited_after_the_end_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    """What a process wrote may reach the disk after it ended."""

    def gone(disk: int) -> Process:
        totals = msgspec.structs.replace(counted(MIB), disk_write_bytes=disk)
        return process(8, 0, "gone", is_exited=True, totals=totals)

    readings = [[], [gone(0)], [gone(0)], [gone(MIB)]]

    lines, _, _ = printed(capfd, Settings(batch=True, iterations=3, format="json"), *readings)

    tasks = [json.loads(line)["tasks"] for line in lines]
    assert [[task["disk_write_bytes_per_s"] for task in one] for one in tasks] == [[0], [], [MIB]]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(batch=True, iterations=2, hide_exited=True),
        Settings(batch=True, iterations=2, strict_compat=True),
    ],
)
def test_what_ended_can_be_left_out(capfd: pytest.CaptureFixture[str], settings: Settings) -> None:
    gone = process(8, MIB, "gone", is_exited=True)

    lines, _, _ = printed(capfd, settings, [process(7, 0)], [process(7, 0), gone])

    assert {fields[-1] for fields in rows(lines)} == {"dd"}


def test_rows_are_chosen_by_user_filter_and_pid(capfd: pytest.CaptureFixture[str]) -> None:
    everyone = [
        process(7, 0, "one"),
        process(8, 0, "two", user="ada"),
        process(9, 0, "three"),
    ]

    def shown(**settings: Any) -> set[str]:
        lines, _, _ = printed(capfd, Settings(batch=True, iterations=1, **settings), everyone)
        return {fields[-1] for fields in rows(lines)}

    assert shown() == {"one", "two", "three"}
    assert shown(users=frozenset({"ada"})) == {"two"}
    assert shown(pids=frozenset({7, 9})) == {"one", "three"}
    assert shown(filter="t[hw]") == {"two", "three"}
    assert shown(filter="comm:three", users=frozenset({"ada"})) == set()


def test_a_thread_is_found_by_its_own_number(capfd: pytest.CaptureFixture[str]) -> None:
    threads = tuple(Thread(tid=tid, comm="dd", totals=counted(0)) for tid in (7, 71))
    reading = [process(7, 0, threads=threads), process(8, 0)]

    def shown(*pids: int, **more: Any) -> list[str]:
        settings = Settings(batch=True, iterations=1, threads=True, pids=frozenset(pids), **more)
        lines, _, _ = printed(capfd, settings, reading)
        return [fields[0] for fields in rows(lines)]

    assert shown(71) == ["71"]
    assert shown(7) == ["7", "71"]
    assert shown(7, strict_compat=True) == ["7"]


def test_only_what_is_needed_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    def asked(**settings: Any) -> frozenset[Need]:
        wanted = Settings(batch=True, iterations=1, format="json", **settings)
        _, _, source = printed(capfd, wanted, [process(7, 0)])
        return source.asked[-1]

    assert asked() == frozenset()
    assert asked(threads=True) == {Need.THREADS}
    assert asked(columns=("pid", "fsync_p99_us")) == {Need.SYSCALLS}
    assert asked(sort="asked_write_bytes_per_s") == {Need.SYSCALLS}


def test_remarks_are_made_once_and_never_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    settings = Settings(batch=True, iterations=3, quiet=3)

    lines, err, _ = printed(capfd, settings, [process(7, 0)], notes=("no BPF: ask root",))

    assert len(lines) == 3
    first, second = err.splitlines()
    assert first == "iotop-ng: no BPF: ask root"
    assert second.startswith(
        "iotop-ng: SWAPIN and IO are printed as 0.00: without delay accounting"
    )


def test_columns_of_text_cannot_be_chosen(capfd: pytest.CaptureFixture[str]) -> None:
    reading = [process(7, 0, totals=counted(0, io_delay_ns=5))]
    origins = {"columns": "--columns"}

    def told(output_format: str) -> str:
        settings = Settings(
            batch=True, iterations=1, format=output_format, columns=("pid",), origins=origins
        )
        return printed(capfd, settings, reading)[1]

    assert told("text").startswith("iotop-ng: --columns is for --format json and csv")
    assert told("csv") == ""


def test_an_order_that_was_asked_for_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    first = [process(pid, 0, name) for pid, name in ((7, "b"), (8, "c"), (9, "a"))]
    second = [
        process(pid, wrote, name) for pid, wrote, name in ((7, 5, "b"), (8, 9, "c"), (9, 0, "a"))
    ]

    def order(**settings: Any) -> str:
        wanted = Settings(batch=True, iterations=1, **settings)
        return "".join(fields[-1] for fields in rows(printed(capfd, wanted, first, second)[0]))

    assert order() == "cba"
    assert order(reverse=True) == "abc"
    assert order(sort="comm") == "abc"
    assert order(sort="pid", reverse=True) == "acb"


def test_with_delay_accounting_nothing_is_missing(capfd: pytest.CaptureFixture[str]) -> None:
    reading = [process(7, 0, totals=counted(0, io_delay_ns=5))]

    _, err, _ = printed(capfd, Settings(batch=True, iterations=1), reading)

    assert err == ""


def test_the_width_of_pids_is_the_kernels(tmp_path: Path) -> None:
    (tmp_path / "pid_max").write_text("32768\n")

    assert batch.pid_width(tmp_path / "pid_max") == 5
    assert batch.pid_width(tmp_path / "missing") == 7


# Whole runs of the program, over /proc.

COMMAND = (sys.executable, "-m", "iotop_ng", "-b", "--source", "procfs", "-d", "0.05")


def started(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": "/nonexistent"},
        **options,
    )


def test_json_is_one_object_per_interval_with_the_promised_names() -> None:
    with started("-n", "2", "--format", "json") as running:
        out, err = running.communicate(timeout=30)

    assert running.returncode == 0, err
    first, second = (json.loads(line) for line in out.splitlines())
    assert first["schema"] == 1
    assert first["time"] <= second["time"]
    assert {"interval_s", "source", "coverage_pct", "lost_events", "devices"} <= set(first)
    me = next(task for task in first["tasks"] if task["pid"] == running.pid)
    promised = (
        "user comm command cgroup exited read_bytes_per_s write_bytes_per_s cancelled_bytes_per_s"
        " asked_write_bytes_per_s disk_read_bytes_per_s disk_write_bytes_per_s disk_iops"
        " latency_p50_us latency_p99_us latency_max_us fsync_p99_us io_delay_pct"
        " kernel_pause_ms_per_s policy write_bytes_total read_bytes_total"
    )
    assert set(promised.split()) <= set(me)
    assert me["fsync_p99_us"] is None
    assert me["write_bytes_per_s"] == 0


def test_a_reader_that_goes_away_ends_it_without_a_word() -> None:
    with started() as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        running.wait(timeout=30)
        assert running.stderr is not None
        err = running.stderr.read()

    with started("-n", "1") as whole:
        _, usual = whole.communicate(timeout=30)
    assert running.returncode == -signal.SIGPIPE
    assert err == usual


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("w") as full, started("-n", "1", stdout=full) as running:
        _, err = running.communicate(timeout=30)

    assert running.returncode == 1
    assert err.splitlines()[-1] == "iotop-ng: stdout cannot be written: No space left on device"


@pytest.mark.parametrize("job", ["-b -n 1 -d 0.05 --source procfs", "doctor", "--help"])
def test_a_closed_stdout_is_told(job: str) -> None:
    command = f"{shlex.join(COMMAND[:3])} {job} >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "stdout cannot be written: Bad file descriptor" in done.stderr


@pytest.mark.parametrize(
    ("number", "options", "code"),
    [
        (signal.SIGINT, (), 130),
        (signal.SIGTERM, (), 130),
        (signal.SIGHUP, (), 130),
        (signal.SIGINT, ("--strict-compat",), 0),
    ],
)
def test_a_signal_ends_it_between_two_intervals(
    number: signal.Signals, options: tuple[str, ...], code: int
) -> None:
    with started("--format", "json", *options) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(number)
        rest, err = running.communicate(timeout=30)

    assert running.returncode == code, err
    assert "Traceback" not in err
    assert all(json.loads(line)["schema"] == 1 for line in rest.splitlines())


def test_a_signal_is_heard_in_a_long_interval() -> None:
    with started("-d", "600", "--strict-compat", "--format", "json") as running:
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(0.1)  # into the sleep between two readings
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)

    assert running.returncode == 0


def test_a_pipe_that_does_not_block_gets_everything() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with started("-n", "3", "--format", "json", "--threads", stdout=writing) as running:
        os.close(writing)
        time.sleep(0.5)  # let the pipe fill
        with os.fdopen(reading) as pipe:
            lines = pipe.read().splitlines()
        running.wait(timeout=30)

    assert running.returncode == 0
    assert [json.loads(line)["schema"] for line in lines] == [1, 1, 1]


def test_a_whole_run_imports_nothing_that_draws() -> None:
    script = (
        "import sys, iotop_ng.cli.main as m\n"
        "code = m.run(['-b', '-n', '1', '-d', '0.05', '--source', 'procfs'])\n"
        "heavy = {'textual', 'rich', 'plotext', 'bcc', 'psutil', 'asyncio', 'markdown_it'}\n"
        "print(code, sorted({n.partition('.')[0] for n in sys.modules} & heavy), file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert done.stderr.splitlines()[-1] == "0 []"


def test_an_interrupt_while_the_source_opens_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C also ends the child that compiles, and the source complains about that."""

    class Interrupted(ScriptedSource):
        def __init__(self, _forced: str | None) -> None:
            super().__init__(ManualClock(), [sample([])])

        def open(self) -> None:
            signal.raise_signal(signal.SIGINT)
            raise SourceError("the compiler ended")

    monkeypatch.setattr(batch, "BestSource", Interrupted)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGPIPE)}

    try:
        assert batch.run(Settings(batch=True)) == 130
        assert signal.getsignal(signal.SIGINT) == before[signal.SIGINT]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert capfd.readouterr() == ("", "")
