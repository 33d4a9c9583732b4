"""A recorded run through the engine: the actions are those of the simulation, each time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from iotop_ng.cli.simulate import alone_in, play, rules_of
from iotop_ng.clock import NS_PER_S
from iotop_ng.model.frame import Frame
from iotop_ng.policy.actions import Action, Renew
from iotop_ng.sim import scenario
from iotop_ng.sim.enforcer import SimEnforcer
from tests.fakes.stages import Stage
from tests.fakes.world import FakeProcess

SEED = 3
SECONDS = 20


@cache
def recorded(name: str, policy: str) -> tuple[bytes, list[Action]]:
    """Return the frames of a simulated run, as a recording keeps them, and what was done in it."""
    scene = replace(scenario.load(name), duration_ns=SECONDS * NS_PER_S)
    frames: list[Frame] = []
    log: list[Action] = []

    def watch(frame: Frame, enforcer: SimEnforcer) -> None:
        frames.append(frame)
        log[:] = [action for _, action in enforcer.log]

    play(scene, rules_of(policy, scene), SEED, alone_in(scene, SEED), watch=watch)
    return msgspec.msgpack.encode(frames), [one for one in log if not isinstance(one, Renew)]


def replayed(
    directory: Path, raw: bytes, name: str, policy: str, *, enforce: bool
) -> tuple[list[Action], list[str]]:
    """Return what the rules did with the frames of a recording, and what the keeper wrote down."""
    directory.mkdir()
    stage = Stage(directory, rules_of(policy, scenario.load(name)), enforce=enforce)
    for frame in msgspec.msgpack.decode(raw, type=list[Frame]):
        stage.world.processes = {
            row.pid: FakeProcess(row.start_ns, row.comm, row.cgroup or "", "")
            for row in frame.rows
            if not row.exited
        }
        stage.clock.mono = frame.mono_ns
        if stage.core is not None:
            stage.core.tick()
        stage.engine.tick(frame)
    stage.close()
    return stage.actions, [event.text for event in stage.audit.events]


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("steady", "latency_target"),
        ("steady", "rules"),
        ("steady", "drop"),
        ("container", "latency_target"),
    ],
)
def test_a_recording_leads_to_the_same_actions_each_time(
    tmp_path: Path, name: str, policy: str
) -> None:
    raw, done = recorded(name, policy)

    first = replayed(tmp_path / "1", raw, name, policy, enforce=True)
    second = replayed(tmp_path / "2", raw, name, policy, enforce=True)
    dry, _ = replayed(tmp_path / "3", raw, name, policy, enforce=False)

    assert done
    assert first == second
    assert first[0] == done
    assert dry == done
