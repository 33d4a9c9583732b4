"""How tests run throttle and drop on a small machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iotop_ng.cli import act
from iotop_ng.enforcers.orders import Apply, Order
from tests.fakes.desks import FakeDesk

MB = 1 << 20


def throttle(stage: FakeDesk, *targets: str, **options: Any) -> int:
    """Run the command as the command line would."""
    given = {
        "rate": "5M", "lease": "3s", "mechanism": None, "children": True, "every": False,
        "dry_run": False, "json": False, **options,
    }  # fmt: skip
    return act.throttle(targets=targets or ("42",), desk=stage.desk(), **given)


def drop(stage: FakeDesk, *targets: str, **options: Any) -> int:
    """Run the command as the command line would."""
    given = {
        "passing": None, "errno_name": "ENOSPC", "budget": None, "paths": (), "lease": "3s",
        "children": True, "every": False, "dry_run": False, "json": False, **options,
    }  # fmt: skip
    return act.drop(targets=targets or ("42",), desk=stage.desk(), **given)


def writes(stage: FakeDesk, amount: int, pid: int = 42) -> Callable[[], None]:
    """Return a step of the script in which the process writes."""
    return lambda: stage.write_bytes(pid, amount)


def applied(stage: FakeDesk) -> list[Order]:
    """Return the orders that were carried out."""
    assert stage.keepers
    return [one.order for keeper in stage.keepers for one in keeper.asked if isinstance(one, Apply)]


def said(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on stderr, without the program's name."""
    out, err = capfd.readouterr()
    assert out == ""
    return [line.removeprefix("iotop-ng: ") for line in err.splitlines()]
