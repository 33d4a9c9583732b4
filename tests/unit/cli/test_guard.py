"""`iotop-ng guard`: the live session, rules and keeper's core over samples by hand."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from iotop_ng.cli import guard
from iotop_ng.control.guard import default_rules, read_rules
from iotop_ng.errors import NotPermittedError, SourceError, UsageError
from iotop_ng.sample import Sample
from tests.fakes.desks import FakeDesk
from tests.fakes.enforcers import order
from tests.fakes.samples import process, sample, wrote
from tests.fakes.scripted import ScriptedSource

MB = 1 << 20
RULES = """
[[rule]]
name = "runaway"
match = { comm = "dd" }
writes_over = "20M/s"
for = "1s"
to = "5M/s"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A file that only its owner can write."""
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    path.chmod(0o644)
    return path


@pytest.fixture
def stage(tmp_path: Path) -> FakeDesk:
    """A machine whose process 42 writes 40 MiB/s."""
    made = FakeDesk(tmp_path)
    made.start(42, "dd")
    return made


def readings(stage: FakeDesk, count: int = 40) -> list[Sample]:
    """Return what the source reads: four times a second."""
    start_ns = stage.world.processes[42].start_ns
    hog = {"comm": "dd", "start_ns": start_ns, "cgroup": "/app"}
    return [
        sample(0, [process(1, comm="init"), wrote(42, number * 10 * MB, **hog)])
        for number in range(count)
    ]


def run(
    stage: FakeDesk, rules: Path | None, source: ScriptedSource | None = None, **options: Any
) -> int:
    """Run the command."""
    given = {"enforce": False, "duration": "5s", "json": False, **options}
    watched = source or ScriptedSource(stage.clock, readings(stage))
    path = None if rules is None else str(rules)
    return guard.run(path, desk=stage.desk(), make_source=lambda: watched, **given)


def test_without_enforce_it_says_what_it_would_do(
    stage: FakeDesk, rules: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(stage, rules) == 0

    (line,) = stage.out.decode().splitlines()
    assert line[8:].startswith("  would     hold dd[42] to 5.0M/s: wrote ")
    assert line.endswith("(rule runaway)")
    assert stage.world.writes == []
    assert capfd.readouterr().err == (
        "iotop-ng: dry run, nothing is done without --enforce: 1 rule, 0 guards\n"
        "iotop-ng: watching\n"
    )


def test_with_enforce_it_does_it_and_lets_go_at_the_end(
    stage: FakeDesk, rules: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = stage.world.state()

    assert run(stage, rules, enforce=True, json=True) == 0

    (line,) = (json.loads(one) for one in stage.out.splitlines())
    assert (line["schema"], line["what"], line["name"]) == (1, "applied", "dd[42]")
    assert (line["by"], line["enforce"]) == ("rule runaway", True)
    assert line["text"].startswith("dd[42] is held to 5.0M/s by hold: wrote ")
    assert stage.world.writes != []
    assert stage.world.state() == before
    assert capfd.readouterr().err.splitlines() == [
        "iotop-ng: enforcing: 1 rule, 0 guards",
        "iotop-ng: watching",
        "iotop-ng: released 1 policy",
    ]


def test_a_signal_ends_it_with_130_and_everything_released(stage: FakeDesk, rules: Path) -> None:
    before = stage.world.state()
    source = ScriptedSource(stage.clock, readings(stage))

    def at(number: int) -> None:
        if number == 12:
            os.kill(os.getpid(), signal.SIGTERM)

    source.before_read = at

    assert run(stage, rules, source, enforce=True, duration="24h") == 130

    assert stage.world.writes != []
    assert stage.world.state() == before
    assert source.calls == ["open", "close"]


def test_a_source_that_fails_releases_everything(stage: FakeDesk, rules: Path) -> None:
    before = stage.world.state()
    source = ScriptedSource(stage.clock, readings(stage))

    def at(number: int) -> None:
        if number == 12:
            raise SourceError("the maps are gone")

    source.before_read = at

    with pytest.raises(SourceError, match="the maps are gone"):
        run(stage, rules, source, enforce=True)

    assert stage.world.writes != []
    assert stage.world.state() == before


def test_a_closed_stdout_releases_everything(stage: FakeDesk, rules: Path) -> None:
    before = stage.world.state()
    stage.write_error = BrokenPipeError()

    with pytest.raises(BrokenPipeError):
        run(stage, rules, enforce=True)

    assert stage.world.writes != []
    assert stage.world.state() == before


def test_what_others_do_is_not_told(stage: FakeDesk, rules: Path) -> None:
    keeper = stage.open_keeper(True, "screen")
    assert keeper is not None
    stage.start(43, "cat")
    keeper.apply(order(stage.world.target(43)))

    assert run(stage, rules) == 0

    assert len(stage.out.splitlines()) == 1
    assert b"cat[43]" not in stage.out


def test_without_root_nothing_is_watched(tmp_path: Path, rules: Path) -> None:
    stage = FakeDesk(tmp_path, is_root=False)
    stage.start(42, "dd")
    source = ScriptedSource(stage.clock, readings(stage))

    with pytest.raises(NotPermittedError, match="guard needs root"):
        run(stage, rules, source)

    assert source.calls == []
    assert stage.spawned == 0


def test_rules_that_others_may_write_are_not_enforced(stage: FakeDesk, rules: Path) -> None:
    rules.chmod(0o666)

    with pytest.raises(UsageError, match="others may write it"):
        run(stage, rules, enforce=True)

    assert run(stage, rules) == 0
    assert stage.world.writes == []


def test_the_default_rules_can_be_printed_and_are_rules(stage: FakeDesk, tmp_path: Path) -> None:
    assert run(stage, None, print_default=True) == 0

    copied = tmp_path / "copied.toml"
    copied.write_bytes(stage.out)
    copied.chmod(0o644)
    assert read_rules(str(copied), enforce=True) == default_rules()
    assert stage.world.writes == []


def test_without_rules_the_default_ones_are_used(
    stage: FakeDesk, capfd: pytest.CaptureFixture[str]
) -> None:
    rules = default_rules()

    assert run(stage, None) == 0

    counts = f"{len(rules.rules)} rules, {len(rules.guards)} guard\n"
    assert capfd.readouterr().err.endswith(f"without --enforce: {counts}iotop-ng: watching\n")
