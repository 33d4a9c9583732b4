"""What does each command. Its modules are imported when it is called: nobody else pays for them.

They take up to 40 modules (the sources, the keeper's client, the simulation), which --help and a
wrong option need not wait for. The names of a command's parameters are those of its function.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from iotop_ng.cli.commands import Jobs
from iotop_ng.errors import UsageError

Job = Callable[..., int]


def _job(module: str, function: str = "run") -> Job:
    """Return what calls a function of a module of this package."""

    def call(**given: object) -> int:
        return int(getattr(import_module(f"iotop_ng.cli.{module}"), function)(**given))

    return call


def _acting(module: str, function: str = "run") -> Job:
    """Return the same for one that acts: it is handed a desk."""
    job = _job(module, function)

    def call(**given: object) -> int:
        return job(**given, desk=import_module("iotop_ng.cli.desk").Desk())

    return call


def policies(*, dry_run: bool, json: bool) -> int:
    """List what is in force."""
    del dry_run  # there is nothing that it could keep from being done
    return _acting("in_force", "policies")(json=json)


def guard(*, enforce: bool, dry_run: bool, **given: object) -> int:
    """Throttle by rules."""
    if enforce and dry_run:
        raise UsageError("--enforce and --dry-run contradict each other")
    return _acting("guard")(enforce=enforce, **given)


def simulate(*, scenario: str, **given: object) -> int:
    """Compare policies on a simulated machine."""
    return _job("simulate")(name=scenario, **given)


def demo(*, headless: bool, **given: object) -> int:
    """Show the problem and what helps: on the screen, or in numbers."""
    tour = {name: given.pop(name) for name in _OF_TOUR}
    shared = {name: given.pop(name) for name in ("directory", "mode", "rate", "seed")}
    options, others = (given, tour) if headless else (tour, given)
    if wrong := next((name for name, value in others.items() if value), None):
        where = "has no meaning with" if headless else "needs"
        raise UsageError(f"--{wrong} {where} --headless")
    job = _acting("demo_headless" if headless else "demo_tour")
    return job(**shared, **options)


_OF_TOUR = ("script", "host")

JOBS: Jobs = {
    "doctor": _job("doctor"),
    "throttle": _acting("act", "throttle"),
    "drop": _acting("act", "drop"),
    "release": _acting("in_force", "release"),
    "policies": policies,
    "guard": guard,
    "undo": _acting("undo"),
    "simulate": simulate,
    "demo": demo,
    "demo hog": _acting("demo_hog"),
    "demo victim": _acting("demo_victim"),
}
