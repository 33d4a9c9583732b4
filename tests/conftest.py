"""Which tests run on this machine, and the last lines of a run, which say so."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.ability import lacking_for_guest_tests, lacking_for_kernel_tests

KINDS = ("kernel", "guest", "slow")
"""Markers that set a test apart; every other test is of the kind "plain"."""

# A shared machine makes any example slow now and then: time is not what these tests are about.
# The same examples in each run, so that a change fails by its own fault; IOTOP_NG_EXAMPLES=2000
# looks for new ones.
_EXAMPLES = os.environ.get("IOTOP_NG_EXAMPLES")
settings.register_profile(
    "iotop-ng",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(_EXAMPLES or 100),
    derandomize=not _EXAMPLES,
)
settings.load_profile("iotop-ng")

_OUTCOMES = pytest.StashKey[dict[str, Counter[str]]]()
_LACKING = pytest.StashKey[dict[str, str]]()


def _kind(item: pytest.Item) -> str:
    return next((kind for kind in KINDS if item.get_closest_marker(kind)), "plain")


def pytest_configure(config: pytest.Config) -> None:
    """Start counting."""
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in ("plain", *KINDS)}
    config.stash[_OUTCOMES] = outcomes
    config.stash[_LACKING] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason."""
    asks = {"kernel": lacking_for_kernel_tests, "guest": lacking_for_guest_tests}
    lacking = config.stash[_LACKING]
    for item in items:
        kind = _kind(item)
        if kind in asks:
            if kind not in lacking:
                lacking[kind] = asks[kind]()
            if lacking[kind]:
                item.add_marker(pytest.mark.skip(reason=lacking[kind]))


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what -m or -k left out."""
    for item in items:
        item.config.stash[_OUTCOMES][_kind(item)]["deselected"] += 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count outcomes; where the machine can run a kind of tests, a skip among them is a failure."""
    report = yield
    kind = _kind(item)
    able = kind in KINDS and not item.config.stash[_LACKING].get(kind)
    if report.skipped and able and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, although this machine can run {kind} tests: {report.longrepr}"
    # One outcome per test: what the call said, or set-up or tear-down when they did not pass.
    if call.when == "call" or not report.passed:
        item.config.stash[_OUTCOMES][kind][report.outcome] += 1
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many tests of each kind ran, and why the others did not."""
    asked = config.option.markexpr
    lines = []
    for kind, outcomes in config.stash[_OUTCOMES].items():
        # `-m kernel` is one kind's own run: the others have theirs, and say their lines there.
        if asked in KINDS and kind != asked:
            continue
        if kind == asked and not outcomes:
            line = f"{kind:<7}0 ran: there are none yet"
        elif outcomes:
            line = _line(kind, outcomes, config.stash[_LACKING].get(kind, ""))
        else:
            continue
        terminalreporter.write_line(line)
        if asked in KINDS or kind in {"plain", "slow"}:
            lines.append(line)
    tally = os.environ.get("IOTOP_NG_TALLY")
    if tally:
        with Path(tally).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


def _line(kind: str, outcomes: Counter[str], lacking: str) -> str:
    """Return e.g. "kernel 12 ran (1 failed), 3 skipped: not root"."""
    ran = outcomes["passed"] + outcomes["failed"]
    text = f"{kind:<7}{ran} ran"
    if outcomes["failed"]:
        text += f" ({outcomes['failed']} failed)"
    if outcomes["skipped"]:
        text += f", {outcomes['skipped']} skipped" + (f": {lacking}" if lacking else "")
    if outcomes["deselected"]:
        text += f", {outcomes['deselected']} not asked for"
        if kind in {"kernel", "guest"}:
            text += f" (make test-{kind})"
        elif kind == "slow":
            text += " (pytest -m slow)"
    return text
