"""The simulated machine: what goes in comes out, and the same seed gives the same world."""

from __future__ import annotations

import pytest

from iotop_ng.errors import UsageError
from iotop_ng.policy.actions import NS_PER_S, Drop, ProcessTarget, Reason, Release, Throttle
from iotop_ng.policy.tables import TableError
from iotop_ng.sample import process_key
from iotop_ng.sim import scenario
from iotop_ng.sim.dice import Dice
from iotop_ng.sim.enforcer import SimEnforcer
from iotop_ng.sim.scenario import parse
from iotop_ng.sim.source import START_NS, SimSource
from iotop_ng.sim.world import World

TEXT = """
title = "t"
duration = "20s"
[device]
rate = "100MB/s"
noise_pct = 0
[[writer]]
name = "flood"
hog = true
rate = "300MB/s"
"""
SCENE = parse(TEXT, "t", "t.toml")
REASON = Reason("r", "t")


def target(world: World) -> ProcessTarget:
    pid = world.writers[0].pid
    return ProcessTarget(process_key(pid, START_NS), pid, START_NS)


def test_dice_are_those_of_the_paper() -> None:
    """The first outputs of SplitMix64 from seed 1234567, as its authors' C gives them."""
    dice = Dice(1234567)

    assert dice.between(0, (1 << 64) - 1) == 6457827717110365317
    assert dice.between(0, (1 << 64) - 1) == 3203168211198807973


def test_no_byte_is_lost_or_made() -> None:
    world = World(SCENE, 1)
    world.run_until(3 * NS_PER_S)
    (writer,), device, victim = world.writers, world.device, world.victim
    written = writer.counts.write_bytes + victim.counts.write_bytes

    assert written == device.served_bytes + device.queued_bytes + world.dirty_bytes
    assert writer.wanted_bytes == (
        writer.counts.write_bytes + writer.debt_bytes + writer.lost_bytes
    )  # fmt: skip


def test_a_busy_device_serves_its_rate_and_no_more() -> None:
    world = World(SCENE, 1)
    world.run_until(10 * NS_PER_S)

    assert world.device.possible_bytes == 1_000_000_000
    assert 0.98 < world.device.served_bytes / 1_000_000_000 <= 1


def test_dirty_and_queued_stay_below_the_limit() -> None:
    world = World(SCENE, 1)
    for step in range(1, 400):
        world.run_until(step * NS_PER_S // 100)
        used = world.dirty_bytes + world.device.queued_bytes - world.scenario.victim.write
        assert used <= SCENE.cache.limit


def test_alone_an_fsync_takes_its_base_time() -> None:
    world = World(SCENE, 1, has_writers=False)
    world.run_until(5 * NS_PER_S)

    assert all(1_500_000 <= one.latency_ns <= 2_600_000 for one in world.victim.operations)


def test_the_same_seed_gives_the_same_samples_however_it_is_stepped() -> None:
    one, other = World(scenario.load("many"), 7), World(scenario.load("many"), 7)
    one.run_until(6 * NS_PER_S)
    for step in range(1, 25):
        other.run_until(step * NS_PER_S // 4)

    assert SimSource(one).read(frozenset()) == SimSource(other).read(frozenset())


def test_a_throttle_holds_the_writer_to_its_rate() -> None:
    world = World(SCENE, 1)
    SimEnforcer(world).carry_out(Throttle(target(world), 5_000_000, 60 * NS_PER_S, REASON))
    world.run_until(10 * NS_PER_S)

    # The burst of 1 MiB comes on top.
    assert world.writers[0].counts.write_bytes == pytest.approx(51e6, rel=0.02)


def test_a_drop_refuses_the_rest_and_counts_it() -> None:
    world = World(SCENE, 1)
    enforcer = SimEnforcer(world)
    drop = Drop(target(world), 5_000_000, 1 << 40, "ENOSPC", (), 60 * NS_PER_S, REASON)
    enforcer.carry_out(drop)
    world.run_until(10 * NS_PER_S)
    writer = world.writers[0]

    assert writer.counts.write_bytes == pytest.approx(51e6, rel=0.02)
    assert enforcer.dropped_bytes == writer.lost_bytes
    assert writer.counts.write_bytes + enforcer.dropped_bytes == pytest.approx(3e9, rel=0.01)
    enforcer.carry_out(Release(drop.target, REASON))
    assert enforcer.dropped_bytes == writer.lost_bytes


def test_a_lease_ends_by_itself() -> None:
    world = World(SCENE, 1)
    enforcer = SimEnforcer(world)
    enforcer.carry_out(Throttle(target(world), 5_000_000, NS_PER_S, REASON))
    world.run_until(NS_PER_S)
    enforcer.expire()

    assert enforcer.held == ()
    assert world.writers[0].limits == ()
    assert enforcer.writes == 2


def test_all_scenarios_load() -> None:
    assert [scenario.load(name).name for name in scenario.names()] == [
        "bursty", "container", "many", "noisy", "slowdown", "sparse", "steady",
    ]  # fmt: skip


def test_mistakes_in_a_scenario_are_told_with_their_lines() -> None:
    with pytest.raises(TableError) as caught:
        parse(TEXT + 'strat = "5s"\n[cache]\nlimit = "1M"\n', "t", "t.toml")

    assert [problem.line for problem in caught.value.problems] == [11, 12]


def test_a_scenario_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="did you mean 'steady'"):
        scenario.load("stedy")
    with pytest.raises(UsageError, match="cannot be read"):
        scenario.load("/nonexistent/x.toml")
