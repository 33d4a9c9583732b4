"""Mechanisms are loaded when they are needed; one that cannot be is a rung that says why."""

from __future__ import annotations

import pytest

from iotop_ng.enforcers.orders import Mechanism
from iotop_ng.enforcers.registry import LateEnforcer, enforcers
from iotop_ng.errors import EnforcerError
from tests.fakes.enforcers import FakePinned, FakeWorld, order


def test_every_mechanism_but_dry_run_is_there() -> None:
    assert set(enforcers()) == set(Mechanism) - {Mechanism.DRY_RUN}


@pytest.mark.parametrize("mechanism", set(Mechanism) - {Mechanism.DRY_RUN}, ids=lambda m: m.value)
def test_each_can_be_loaded_and_has_its_name(mechanism: Mechanism) -> None:
    late = enforcers()[mechanism]

    assert late._load().mechanism is late.mechanism is mechanism


@pytest.mark.parametrize(("module", "name"), [("nowhere", "X"), ("orders", "NoSuchClass")])
def test_what_cannot_be_loaded_is_a_rung_that_says_why(module: str, name: str) -> None:
    world = FakeWorld()
    pinned = FakePinned(world, world.start(42))
    late = LateEnforcer(Mechanism.HOLD, module, name)

    late.preload()
    rung = late.rung(pinned, order(pinned.target))

    assert not rung.works
    assert rung.why.startswith("it cannot be loaded: ")
    with pytest.raises(EnforcerError, match="hold cannot be loaded"):
        late.apply(pinned, order(pinned.target), lambda _: None)
