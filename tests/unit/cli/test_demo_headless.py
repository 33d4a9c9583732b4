"""`iotop-ng demo --headless`: its options, what it prints, byte for byte, and its exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from iotop_ng.cli import demo_headless
from iotop_ng.cli.demo_stage import Cast, EndedError
from iotop_ng.cli.desk import Desk
from iotop_ng.cli.jobs import JOBS
from iotop_ng.errors import IotopError, NotPermittedError, UsageError
from tests.fakes.demo_stages import MIB, MS, FakeStage
from tests.fakes.desks import FakeDesk

GOLDEN = Path(__file__).parents[2] / "golden/demo"
NO_LSM = "this kernel was started without BPF LSM"


class Run:
    """One run of the command on a fake stage."""

    def __init__(self, machine: FakeDesk, directory: Path, stage: FakeStage) -> None:
        self.stage = stage
        self.cast: Cast | None = None
        self._machine = machine
        self._directory = directory

    def __call__(self, **options: Any) -> int:
        given = {
            "rate": "max", "seconds": None, "cap": None, "limit": None, "engine": None,
            "mode": None, "seed": 1, "json": False, "directory": str(self._directory), **options,
        }  # fmt: skip

        def make_stage(cast: Cast, desk: Desk, *_: object) -> FakeStage:
            assert desk.is_root
            self.cast = cast
            return self.stage

        return demo_headless.run(**given, desk=self._machine.desk(), make_stage=make_stage)

    @property
    def out(self) -> str:
        """What it printed, with the directory by another name."""
        return self._machine.out.decode().replace(str(self._directory), "/data")


@pytest.fixture
def run(stage: FakeDesk, tmp_path: Path) -> Run:
    return Run(stage, tmp_path, FakeStage(cannot={"drop": NO_LSM}))


def check_golden(name: str, found: str) -> None:
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found, "utf-8")
    assert found == path.read_text("utf-8")


def test_the_table_is_what_it_was(run: Run) -> None:
    assert run() == 0

    check_golden("headless.txt", run.out)


def test_the_object_is_what_it_was(run: Run) -> None:
    assert run(json=True) == 0

    assert run.out.count("\n") == 1
    check_golden("headless.json", json.dumps(json.loads(run.out), indent=1) + "\n")


def test_when_a_policy_does_not_help_the_exit_code_says_it(run: Run) -> None:
    run.stage = FakeStage({"guard": 9 * MS})

    assert run(json=True) == 1

    found = json.loads(run.out)
    assert found["helped"] is False
    assert [one["what"] for one in found["verdicts"] if not one["holds"]] == ["guard"]


def test_without_a_problem_nothing_is_proved(run: Run) -> None:
    run.stage = FakeStage({"flood": 3 * MS})

    assert run() == 1

    assert "no problem to be solved here" in run.out


def test_a_disk_with_other_work_is_named(run: Run) -> None:
    run.stage.others = 10 * MIB

    assert run() == 0

    assert "the disk was not idle: 10M/s were written to it before the flood" in run.out


def test_the_options_go_where_they_belong(run: Run) -> None:
    assert run(seconds=4, cap="1M", limit=50.0, mode="big", engine="fio", seed=7, json=True) == 0

    found = json.loads(run.out)
    assert (found["seconds"], found["cap_bytes_per_s"]) == (4, MIB)
    assert run.stage.limits_ns == [50 * MS]
    assert found["limit_ns"] == 50 * MS
    assert run.cast is not None
    assert (run.cast.mode, run.cast.engine, run.cast.seed) == ("big", "fio", 7)


@pytest.mark.parametrize(
    "options", [{"cap": "fast"}, {"cap": "1"}, {"limit": 0.0}, {"limit": 1e9}, {"directory": "/-"}]
)
def test_what_is_wrong_is_said_before_anything_begins(run: Run, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--"):
        run(**options)

    assert run.stage.events == []


def test_it_needs_root(tmp_path: Path) -> None:
    other = Run(FakeDesk(tmp_path, is_root=False), tmp_path, FakeStage())

    with pytest.raises(NotPermittedError):
        other()


def test_the_log_is_gone_afterwards(run: Run) -> None:
    assert run() == 0

    assert run.cast is not None
    assert not run.cast.memory.exists()


@pytest.mark.parametrize("state", ["alone", "flood", "throttle", "guarded", "guard"])
def test_a_signal_ends_it_with_130_and_nothing_said(run: Run, state: str) -> None:
    run.stage.raises = (state, EndedError())

    assert run() == 130

    assert run.out == ""
    assert run.stage.events[-1] == "victim ended"


def test_a_part_that_fails_is_an_error_with_everything_ended(run: Run) -> None:
    run.stage.raises = ("flood", IotopError("the hog has ended by itself"))

    with pytest.raises(IotopError, match="the hog has ended"):
        run()

    assert run.stage.events[-1] == "victim ended"


@contextmanager
def refused(text: str) -> Iterator[None]:
    with pytest.raises(UsageError) as caught:
        yield
    assert str(caught.value) == text


def test_the_options_of_the_tour_and_of_the_table_do_not_mix() -> None:
    given: dict[str, Any] = {
        "directory": ".", "rate": "max", "seed": 1, "script": False, "host": None,
        "headless": False, "seconds": None, "cap": None, "limit": None, "engine": None,
        "mode": None, "json": False,
    }  # fmt: skip

    with refused("--seconds needs --headless"):
        JOBS["demo"](**given | {"seconds": 5})
    with refused("--script has no meaning with --headless"):
        JOBS["demo"](**given | {"headless": True, "script": True})
