"""`iotop-ng doctor`: what this host allows, what is lost without it, what mends it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from iotop_ng import __version__
from iotop_ng.cli import ability
from iotop_ng.cli.ability import Ability, abilities
from iotop_ng.errors import IotopError
from iotop_ng.sources.btf import Btf
from iotop_ng.sources.checkup import OK, Check, examine
from iotop_ng.sources.choose import obstacles
from iotop_ng.sources.layout import read_layout
from iotop_ng.sources.plan import Layout, Plan, make_plan
from iotop_ng.sources.probe import Facts, gather
from iotop_ng.units import clean

_SCHEMA = 1
_WIDTH = 100
_INDENT = " " * 9


class Report(msgspec.Struct, frozen=True):
    """Everything that `doctor --json` prints, in this order."""

    schema: int
    version: str
    source: str
    """What `iotop-ng` would use here."""
    is_complete: bool
    """Nothing essential is missing: exit code 0."""
    checks: tuple[Check, ...]
    programs: tuple[str, ...]
    """Kernel programs that would be attached, "tier name hooks"."""
    gaps: tuple[str, ...]
    """What this kernel cannot count, one sentence each."""
    kernel_config: Mapping[str, str]
    acting: tuple[Ability, ...] = ()
    """Which mechanisms could act on processes here; none is essential."""


def run(*, json: bool = False) -> int:
    """Print the report; return 0 when nothing essential is missing, else 1."""
    facts = gather(is_thorough=True)
    layout = layout_of(facts)
    acting = abilities(ability.gather(facts, layout))
    report = make_report(facts, None if layout is None else make_plan(layout), acting)
    if json:
        _write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    else:
        _write((as_text(report) + "\n").encode(sys.stdout.encoding or "utf-8", "replace"))
    return 0 if report.is_complete else 1


def layout_of(facts: Facts) -> Layout | None:
    """Return what is known of the running kernel's types; None when BPF does not work."""
    if obstacles(facts):
        return None
    try:
        btf = Btf.running() if facts.has_btf else None
        tracefs = Path(facts.tracefs) if facts.tracefs else None
        return read_layout(btf, facts.release, tracefs)
    except (IotopError, OSError):
        return None


def make_report(facts: Facts, plan: Plan | None, acting: tuple[Ability, ...] = ()) -> Report:
    """Join the checks and the decisions; pure."""
    checks = examine(facts)
    programs = plan.programs if plan else ()
    return Report(
        schema=_SCHEMA,
        version=__version__,
        source="procfs" if obstacles(facts) else "bcc",
        is_complete=not any(check.is_essential_missing for check in checks),
        checks=checks,
        programs=tuple(f"{p.tier.value}: {p.name} on {', '.join(p.hooks)}" for p in programs),
        gaps=plan.gaps if plan else (),
        kernel_config=facts.config,
        acting=acting,
    )


def as_text(report: Report) -> str:
    """Return the report for a person, every line cleaned."""
    lines = [f"iotop-ng {report.version} on this host", ""]
    width = max(len(check.title) for check in report.checks)
    for check in report.checks:
        lines.append(f"{check.state:<8} {check.title:<{width}}  {check.evidence}")
        if check.lost:
            lines.append(f"{_INDENT}lost: {check.lost}")
        if check.remedy:
            lines.append(f"{_INDENT}mend: {check.remedy}")
    lines += ["", f"source: {report.source}"]
    lines += _section("kernel programs", report.programs)
    lines += _section("not counted on this kernel", report.gaps)
    lines += _section("acting", [line for one in report.acting for line in _ability(one)])
    lines.append(_verdict(report))
    return "\n".join(_wrap(clean(line, 1000)) for line in lines)


def _ability(one: Ability) -> list[str]:
    state = {True: "works", False: "no", None: "perhaps"}[one.works]
    lines = [f"{one.mechanism:<7} {state:<8} {one.why}"]
    return [*lines, f"{'':7} mend: {one.remedy}"] if one.remedy else lines


def _wrap(line: str) -> str:
    """Break a long line, its continuation below the text it belongs to."""
    if len(line) <= _WIDTH:
        return line
    indent = len(_INDENT) + (6 if line.startswith(" ") else 0)
    return textwrap.fill(
        line, _WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False, break_long_words=False
    )


def _section(title: str, items: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  {item}" for item in items)] if items else []


def _verdict(report: Report) -> str:
    missing = [check.title for check in report.checks if check.is_essential_missing]
    if missing:
        return f"essential and missing: {', '.join(missing)}"
    limited = sum(check.state != OK for check in report.checks)
    return f"nothing essential is missing{f', {limited} limited' if limited else ''}"


def _write(raw: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()
