"""A comparison's rounds, and that it puts back what it sets however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from iotop_ng.enforcers.client import KeeperClient
from iotop_ng.errors import IotopError
from tests.bench import policies
from tests.bench.comparison import contestants
from tests.bench.comparison.contestants import (
    CONTESTANTS,
    Cgroups,
    Contestant,
    Setup,
    Stage,
    Unavailable,
)
from tests.bench.comparison.place import cgroups, file_system_of, kind_of
from tests.bench.comparison.raw import ALONE, Line, Missing, Run, read
from tests.bench.comparison.restoring import Restorer
from tests.bench.comparison.rounds import attempt, compare_runs
from tests.unit.bench import rows

CHECKOUT = Path(__file__).parents[3]


class FakeBench:
    """Makes empty runs, and fails for those who are said to fail."""

    def __init__(self, failing: dict[str, Exception]) -> None:
        self.failing = failing
        self.rests = 0

    def alone(self, number: int) -> Run:
        return rows.alone(number)

    def run(self, contestant: Contestant, number: int) -> Run:
        if contestant.name in self.failing:
            raise self.failing[contestant.name]
        return Run(number, contestant.name, (), (), ())

    def rest(self) -> None:
        self.rests += 1


def _named(*names: str) -> list[Contestant]:
    return [Contestant(name, lambda _: None) for name in names]


def _compared(bench: FakeBench, names: list[str], rounds: int) -> list[Run | Missing]:
    found: list[Line] = []
    compare_runs(bench, _named(*names), rounds, found.append, lambda _: None)
    return [line for line in found if isinstance(line, Run | Missing)]


def test_each_round_has_everybody_and_begins_with_another_one() -> None:
    lines = _compared(FakeBench({}), ["a", "b"], 3)

    assert [(line.round, line.contestant) for line in lines] == [
        (0, ALONE), (0, "a"), (0, "b"),
        (1, "a"), (1, "b"), (1, ALONE),
        (2, "b"), (2, ALONE), (2, "a"),
    ]  # fmt: skip


def test_one_that_fails_does_not_end_the_others() -> None:
    bench = FakeBench({"a": IotopError("no"), "b": Unavailable("not in this kernel")})

    lines = _compared(bench, ["a", "b", "c"], 1)

    assert lines[1:3] == [
        Missing(0, "a", "no"),
        Missing(0, "b", "not in this kernel", never_ran=True),
    ]
    assert isinstance(lines[3], Run)
    assert bench.rests == 3  # not after who never ran


def test_a_failure_without_words_is_told_by_its_kind() -> None:
    line = attempt(FakeBench({"a": TimeoutError()}), _named("a")[0], 0)

    assert line == Missing(0, "a", "TimeoutError")


@pytest.fixture
def kernel(tmp_path: Path) -> Stage:
    """A kernel's files, with an io controller and everything that contestants write to."""
    groups = Cgroups(tmp_path, tmp_path / "hog", tmp_path / "victim")
    for group in (groups.hog, groups.victim):
        group.mkdir()
        (group / "io.weight").write_text("default 100")
    (groups.hog / "io.max").write_text("")
    (groups.victim / "io.latency").write_text("")
    for name in ("io.cost.qos", "io.cost.model"):
        (tmp_path / name).write_text("")
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue/scheduler").write_text("none [mq-deadline] kyber bfq\n")
    return Stage("8:0", tmp_path / "queue", groups, 40_000_000, 3000, 20, "")


def _no_keeper() -> KeeperClient:
    raise AssertionError


def _no_guard() -> contestants.Guard:
    raise AssertionError


def _prepared(name: str, stage: Stage, restorer: Restorer) -> Setup:
    setup = Setup(stage, restorer, _no_keeper, _no_guard)
    next(one for one in CONTESTANTS if one.name == name).prepare(setup)
    return setup


def _texts(stage: Stage) -> dict[str, str]:
    root = stage.queue.parent
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_text().strip() for path in paths}


@pytest.mark.parametrize(
    ("name", "path", "during", "after"),
    [
        ("io.max at 25 %", "hog/io.max", "8:0 wbps=10000000", "8:0 wbps=max"),
        ("BFQ, ionice idle", "queue/scheduler", "bfq", "mq-deadline"),
        ("io.latency", "victim/io.latency", "8:0 target=20000", "8:0 target=0"),
        (
            "io.cost",
            "io.cost.qos",
            "8:0 enable=1 ctrl=user rpct=95 rlat=20000 wpct=95 wlat=20000 min=10.00 max=100.00",
            "8:0 enable=0 ctrl=auto",
        ),
        (
            "io.cost",
            "io.cost.model",
            (
                "8:0 ctrl=user model=linear rbps=40000000 rseqiops=3000 rrandiops=3000"
                " wbps=40000000 wseqiops=3000 wrandiops=3000"
            ),
            "8:0 ctrl=auto",
        ),
        ("io.cost", "victim/io.weight", "default 1000", "default 100"),
    ],
)
def test_a_contestant_sets_the_kernel_and_puts_it_back(
    name: str, path: str, during: str, after: str, kernel: Stage
) -> None:
    with Restorer() as restorer:
        _prepared(name, kernel, restorer)
        assert _texts(kernel)[path] == during
    assert _texts(kernel)[path] == after


def test_who_cannot_run_here_says_what_is_missing(kernel: Stage) -> None:
    assert kernel.cgroups is not None
    (kernel.cgroups.victim / "io.latency").unlink()
    (kernel.queue / "scheduler").write_text("[none]")
    without = kernel._replace(cgroups=None)
    found = {}

    with Restorer() as restorer:
        for name, stage in (("io.latency", kernel), ("io.cost", without)):
            with pytest.raises(Unavailable) as missing:
                _prepared(name, stage, restorer)
            found[name] = str(missing.value)

    assert found == {
        "io.latency": "not in this kernel (CONFIG_BLK_CGROUP_IOLATENCY is not set)",
        "io.cost": "the io controller of cgroup v2 is not to be had here",
    }


def test_a_setting_that_the_kernel_refuses_is_no_hindrance(tmp_path: Path) -> None:
    with Restorer() as restorer, pytest.raises(OSError, match="missing"):
        restorer.write(tmp_path / "missing/io.max", "1", "2")


_SETS = """
import os, sys, time
from pathlib import Path
from tests.bench.comparison.restoring import Restorer
root = Path(sys.argv[1])
def end():
    if sys.argv[2] == "raise":
        raise OSError("some failure")
    if sys.argv[2] == "exit":
        sys.exit(3)
    if sys.argv[2] == "wait":
        print("set", flush=True)
        time.sleep(60)
with Restorer() as restorer:
    restorer.make_cgroup(root / "group")
    restorer.write(root / "setting", "new", "old")
    restorer.write(root / "setting", "newer", "new")
    assert (root / "setting").read_text() == "newer"
    end()
"""


@pytest.mark.parametrize("ending", ["none", "raise", "exit", "SIGKILL", "SIGTERM", "SIGINT"])
def test_settings_are_put_back_in_every_ending(ending: str, tmp_path: Path) -> None:
    (tmp_path / "setting").write_text("old")
    is_signal = ending.startswith("SIG")
    with subprocess.Popen(
        [sys.executable, "-c", _SETS, tmp_path, "wait" if is_signal else ending],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
    ) as program:
        assert program.stdout is not None
        if is_signal:
            program.stdout.readline()
            os.killpg(program.pid, getattr(signal, ending))
        program.stdout.read()  # until the last one that has it open ends: the shell

    assert (tmp_path / "setting").read_text() == "old\n"
    assert not (tmp_path / "group").exists()


def _written(path: Path, *lines: Line) -> Callable[[], None]:
    def write() -> None:
        with policies.kept(path) as keep:
            for line in lines:
                keep(line)
            raise KeyboardInterrupt

    return write


def test_results_of_before_stay_until_there_are_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    path.write_text("before")

    with pytest.raises(KeyboardInterrupt):
        _written(path, rows.setting())()
    assert path.read_text() == "before"

    with pytest.raises(KeyboardInterrupt):
        _written(path, rows.setting(), rows.alone(0))()
    assert read(path).lines == (rows.alone(0),)
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_choices_are_repeated_for_the_command_in_the_report() -> None:
    words = ["here", "--raw", "x", "--seconds", "4", "--only", "hold at 25 %", "--limit", "30"]
    asked = policies.parser().parse_args(words)

    again = policies.parser().parse_args(["here", "--raw", "x", *policies.choices(asked)])

    assert again == asked


def test_a_disk_is_told_by_its_kind_and_not_by_its_name() -> None:
    assert kind_of("nvme0n1") == "NVMe disk of the machine itself"
    assert kind_of("vdb") == "virtio disk of the machine itself"
    assert kind_of("zram0") == "other disk of the machine itself"


def test_a_file_system_is_found_by_the_number_of_its_device(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    text = f"1 0 0:99 / /proc rw - proc proc rw\n2 0 {number} / / rw shared:1 - xfs /dev/x rw\n"

    assert file_system_of(tmp_path, text) == "xfs"
    assert file_system_of(tmp_path, text.partition("\n")[0]) == "unknown"


@pytest.mark.parametrize("enabled", ["io memory", "memory"])
def test_there_are_cgroups_only_where_io_is_controlled(enabled: str, tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text(enabled)

    with Restorer() as restorer:
        found = cgroups(restorer, tmp_path)
        assert (found is not None) is ("io" in enabled)
        assert found is None or found.hog.is_dir()

    assert [path.name for path in tmp_path.iterdir()] == ["cgroup.subtree_control"]
