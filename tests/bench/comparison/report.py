"""The Markdown report: every word with a number in it is computed from the raw lines."""

from __future__ import annotations

import math
from collections.abc import Mapping

from iotop_ng.policy.scores import Alone
from tests.bench.acting import markdown
from tests.bench.comparison.plots import Point, bars, scatter
from tests.bench.comparison.raw import ALONE, SCENARIOS, Measured, Missing
from tests.bench.comparison.scoring import Spread, base, spreads

MODULE = "python -m tests.bench.policies"
ISOL_GOAL, WORK_GOAL, PROTECT_GOAL_S = 95.0, 50.0, 1.5
_MB = 1e6
_INTRODUCTION = """\
# Protecting a victim from a hog: what each means gives, and what it costs

This file is made by `{module} report {raws}` from the raw results beside it; edit those programs,
not this text. `make bench-policies` measures everything anew and makes it again.

A *hog* writes as much as it can; a *victim* on the same disk appends a little and waits for
`fdatasync`, at a steady pace. Each contestant is there to protect the victim. It is set up before
the hog writes its first byte, with the same knowledge: the disk's measured capacity, and how long
an fsync may take. (A hold needs a process that lives: it is applied as soon as there is one.)

| score | what it says |
| --- | --- |
| isol | per second: min(1, fsyncs ended / those of the victim alone). Mean; 05, 01: percentiles |
| lat-imp | per second: max(0, mean latency / that of the victim alone - 1). Mean |
| work-csv | used / (used + min(unused, lost)) |
| protected after | from the hog's first byte until the victim is well |
| protected again | from the moment when the disk slows down until the victim is well |
| writes | how often a limit was set, changed or taken away while the hog ran |

Used is what the disk wrote, unused what it could have written besides; lost is what the hog could
not write of what it wants, beyond 1 s of debt. The victim is well when 90 % of its fsyncs of the
next second are within the limit; 0: it never suffered.

The scores are resctl-bench's (facebookexperimental/resctl-demo 2.2), with fsyncs in place of
requests. The first second counts for "protected after" only. Each number is the median over the
rounds, with the least and the most in brackets where they differ. A round runs every contestant
once; each round begins with another one, so that what the machine does meanwhile falls on all.
MB are millions of bytes.

What each contestant is given:

- **io.max**: `wbps` at that share of the capacity, on the hog's cgroup (v2).
- **BFQ, ionice idle**: BFQ as the disk's scheduler, the hog in the idle class.
- **io.latency**: the limit as the target of the victim's cgroup.
- **io.cost**: the capacity and the disk's operations per second as the model; `rpct` and `wpct` 95
  with the limit as latency, `min=10 max=100`; weight 1000 for the victim, 100 for the hog.
- **hold**: iotop-ng's throttle at that share of the capacity.
- **guard**: `iotop-ng guard --enforce` with `keep_fsync_p99` at the limit. It knows neither the
  capacity nor the hog.
"""
_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("isol %", "isol", 1),
    ("05", "isol_05", 0),
    ("01", "isol_01", 0),
    ("lat-imp %", "lat_imp", 0),
    ("work-csv %", "work_csv", 1),
    ("fsync p50 ms", "p50", 1),
    ("p99", "p99", 0),
    ("max", "max", 0),
    ("over the limit", "violations", 0),
    ("protected after s", "protect", 1),
    ("protected again s", "protect_again", 1),
    ("writes", "writes", 0),
    ("hog MB/s", "hog", 1),
    ("disk MB/s", "device", 1),
)


def report(files: Mapping[str, Measured]) -> str:
    """Return the report over several files, by their names without directory and ending."""
    raws = " ".join(f"docs/benchmark/{name}.jsonl" for name in files)
    parts = [_INTRODUCTION.format(module=MODULE, raws=raws)]
    parts += [_section(name, measured) for name, measured in files.items()]
    return "\n".join(parts)


def pictures(files: Mapping[str, Measured]) -> dict[str, str]:
    """Return file name -> SVG."""
    found = {}
    for name, measured in files.items():
        scores = _scores(measured)
        points = [Point(who, one["work_csv"], one["isol"]) for who, one in scores.items() if one]
        nothing = Spread(*[math.nan] * 3)
        scenario = SCENARIOS[measured.setting.scenario]
        found[f"{name}-scores.svg"] = scatter(
            f"isol against work-csv: {scenario}", points, (WORK_GOAL, ISOL_GOAL)
        )
        found[f"{name}-p99.svg"] = bars(
            f"the victim's fsync p99, ms: {scenario}",
            {who: one.get("p99", nothing) for who, one in scores.items()},
            measured.setting.limit_ms,
        )
    return found


def shown(spread: Spread, digits: int) -> str:
    """Return "median (least..most)", the median alone where all say the same, "-" for nothing."""
    if math.isnan(spread.median):
        return "-"
    median, least, most = (_number(value, digits) for value in spread)
    return median if least == most else f"{median} ({least}..{most})"


def _number(value: float, digits: int) -> str:
    return "never" if math.isinf(value) else f"{value:.{digits}f}"


def _title(measured: Measured) -> str:
    setting = measured.setting
    return f"{setting.device}, {setting.file_system}, {SCENARIOS[setting.scenario]}"


def _section(name: str, measured: Measured) -> str:
    scores = _scores(measured)
    columns = [
        column
        for column in _COLUMNS
        if column[1] != "protect_again" or measured.setting.slow_at_s is not None
    ]
    rows = []
    for who, one in scores.items():
        if one:
            rows.append([who, *(shown(one[field], digits) for _, field, digits in columns)])
        else:
            rows.append([who, measured.why_missing(who), *[""] * (len(columns) - 1)])
    rows.append(_alone_row(measured, columns))
    lines = [
        f"## {_title(measured)}",
        "",
        *_setting_lines(name, measured),
        "",
        markdown(("contestant", *(head for head, _, _ in columns)), rows),
        "",
        *_verdicts(scores, measured),
        *_notes(measured),
        f"![isol against work-csv](benchmark/{name}-scores.svg)",
        "",
        f"![fsync p99](benchmark/{name}-p99.svg)",
        "",
    ]
    return "\n".join(lines)


def _scores(measured: Measured) -> dict[str, dict[str, Spread]]:
    """Return each contestant's scores; none for one that never ran."""
    return {
        who: spreads(measured, who) if measured.of(who) else {} for who in measured.contestants()
    }


def _alone_row(measured: Measured, columns: list[tuple[str, str, int]]) -> list[str]:
    found = spreads(measured, ALONE)
    kept = {"isol", "isol_05", "isol_01", "p50", "p99", "max", "violations", "device"}
    return [
        "(victim alone)",
        *(shown(found[field], digits) if field in kept else "-" for _, field, digits in columns),
    ]


def _setting_lines(name: str, measured: Measured) -> list[str]:
    setting, of_alone = measured.setting, base(measured)
    capacity = f"{setting.capacity_bytes_per_s / _MB:.1f} MB/s"
    if setting.slow_at_s is not None and setting.slow_capacity_bytes_per_s is not None:
        capacity += (
            f"; {setting.slow_capacity_bytes_per_s / _MB:.1f} MB/s"
            f" from second {setting.slow_at_s:g} on"
        )
    return [
        (
            f"- Linux {setting.kernel}, {setting.file_system}, {setting.date};"
            f" rounds: {setting.rounds} of {setting.seconds} s, then {setting.rest_s:g} s of rest"
        ),
        f"- capacity, measured with the hog's own writing: {capacity}",
        f"- hog: `iotop-ng demo hog {setting.hog}`, wants {setting.hog_bytes_per_s / _MB:.1f} MB/s",
        (
            f"- victim: {setting.victim}; alone {_alone_words(of_alone)}; an fsync may take"
            f" {setting.limit_ms} ms"
        ),
        (
            f"- raw results: [{name}.jsonl](benchmark/{name}.jsonl), made by"
            f" `{setting.command} --raw docs/benchmark/{name}.jsonl`"
        ),
    ]


def _alone_words(of_alone: Alone) -> str:
    return f"{of_alone.operations_per_s:.1f} fsyncs/s of {of_alone.latency_ns / 1e6:.1f} ms"


def _verdicts(scores: Mapping[str, Mapping[str, Spread]], measured: Measured) -> list[str]:
    """Compare guard with what is wanted of it, and with the best fixed limit."""
    guard = scores.get("guard")
    if not guard:
        return []
    isol, work, protect = guard["isol"].median, guard["work_csv"].median, guard["protect"].median
    lines = [
        (
            f"- guard, wanted isol ≥ {ISOL_GOAL:g} % and work-csv ≥ {WORK_GOAL:g} % at once:"
            f" {isol:.1f} % and {work:.1f} %, {_met(isol >= ISOL_GOAL and work >= WORK_GOAL)}"
        ),
        (
            f"- guard, wanted protected after ≤ {PROTECT_GOAL_S:g} s: {_number(protect, 1)} s,"
            f" {_met(protect <= PROTECT_GOAL_S)}"
        ),
    ]
    fixed = {who: one for who, one in scores.items() if who.startswith("io.max") and one}
    if measured.setting.scenario == "slow" and fixed:
        best = max(fixed, key=lambda who: fixed[who]["isol"].median)
        most = fixed[best]["isol"].median
        lines.append(
            f"- guard, wanted isol not below the best fixed io.max when the device slows down:"
            f" {isol:.1f} % against {most:.1f} % ({best}, work-csv"
            f" {fixed[best]['work_csv'].median:.1f} %), {_met(isol >= most)}"
        )
    return [*lines, ""]


def _met(is_so: bool) -> str:
    return "**met**" if is_so else "**missed**"


def _notes(measured: Measured) -> list[str]:
    """Return what did not go as it should, so that no number hides it."""
    found = []
    for line in measured.lines:
        problem = line.why if isinstance(line, Missing) else line.note
        ran = bool(measured.of(line.contestant))
        if problem and (ran or not isinstance(line, Missing)):
            found.append(f"- round {line.round + 1}, {line.contestant}: {problem}")
    wanted = measured.setting.rounds
    for who in (ALONE, *measured.contestants()):
        runs = len(measured.of(who))
        if 0 < runs < wanted:
            found.append(f"- {who}: {runs} of {wanted} rounds")
    return [*found, ""] if found else []
