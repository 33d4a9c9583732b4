"""docs/detection.md, made of the raw results and of nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from iotop_ng.policy.rule import Guard, Rules
from tests.bench.acting import markdown
from tests.bench.detecting import score
from tests.bench.detecting.loads import LOADS
from tests.bench.detecting.metrics import METRICS, OF_CGROUP, Metric
from tests.bench.detecting.records import Result, Results
from tests.bench.detecting.score import Verdict

COMMAND = "python -m tests.bench.detection"

_HEAD = f"""\
# Which signs tell that somebody is kept from the disk

Made by `{COMMAND}` from the raw results in [detection/](detection/), which the same command
measures anew; `{COMMAND} --page` only makes this page. Nothing here is written by hand.

A victim appends 4 KB and calls fsync every 50 ms (`iotop-ng demo victim`) and logs how long each
call took, in memory. Beside it runs one load after the other. Meanwhile each sign is read every
250 ms, and the default rules of `iotop-ng guard` look at the very same frames, anew for each load.

Which loads starved the victim is not taken from their names but from its own log: a flood
**starved** it when the p95 of its fsyncs was {score.STARVED_TIMES} times what it is alone, and
{score.STARVED_MS:.0f} ms, or more. A flood that did not is listed as harmless: silence about it is
right, and it counts neither way. **Healthy** is every load that is no flood, however busy the disk
is.
"""

_SIGNS = f"""\
*Healthy* has the largest 95th percentile and the largest value of any healthy phase, *starved* the
least 5th percentile and the least median of any starved one. *Area* is the chance that a look in a
starved phase shows more than one in a healthy phase: 1 tells them apart always, 0.5 is a coin. An
alarm is a value above the threshold in {score.IN_A_ROW} looks in a row.

*Quiet from* is the lowest threshold without a false alarm, with the floods that it still detects
and the time that it takes (median, longest); *all below* is the highest threshold that detects
every flood, with its false alarms.
"""

_UNKNOWN = "-"


def page(machines: Sequence[Results], rules: Rules) -> str:
    """Return the page.

    Args:
        machines: the raw results of each.
        rules: the default rules, whose thresholds are compared with what was measured.
    """
    parts = [_HEAD, _summary(machines), _machines(machines)]
    parts += ["## What the loads are\n", _loads(), ""]
    for results in machines:
        parts += [f"## {results.about.machine}\n", "### The loads\n", _of_loads(results), ""]
        parts += ["### The signs\n", _SIGNS, _of_signs(results), ""]
        parts += ["### The thresholds of the default rules\n", _of_thresholds(results, rules), ""]
        parts += _of_problems(results)
    parts += ["## What the signs are\n", _about_signs()]
    return "\n".join(parts).rstrip() + "\n"


def _summary(machines: Sequence[Results]) -> str:
    rows = []
    for results in machines:
        bad, calm = _phases(results, score.starved(results)), score.healthy(results)
        found = [one.first_s for one in bad if one.first_s is not None]
        false = [one for one in _phases(results, calm) if one.first_s is not None]
        rows.append([
            results.about.machine,
            f"{len(found)} of {len(bad)}",
            _seconds(statistics.median(found) if found else None),
            _seconds(max(found, default=None)),
            f"{len(false)} of {len(calm)}",
            ", ".join(f"{one.result.load}: {' '.join(one.names)}" for one in false) or "none",
        ])  # fmt: skip
    header = (
        "machine", "floods detected", "after, median", "longest", "healthy loads with an alarm",
        "which",
    )  # fmt: skip
    return f"## The default rules\n\n{markdown(header, rows)}\n"


def _machines(machines: Sequence[Results]) -> str:
    rows = [
        [
            one.about.machine,
            one.about.kernel,
            one.about.file_system,
            f"{one.about.memory_bytes / (1 << 30):.1f} GiB",
            f"{one.about.seconds:g} s",
            _ms(score.base_p95_ms(one)),
        ]
        for one in machines
    ]
    header = ("machine", "kernel", "file system", "memory", "a phase", "victim alone, p95")
    return f"## The machines\n\n{markdown(header, rows)}\n"


def _loads() -> str:
    rows = [[one.name, "flood" if one.is_flood else "healthy", one.about] for one in LOADS]
    return markdown(("load", "kind", "what"), rows)


def _of_loads(results: Results) -> str:
    bad = score.starved(results)
    rows = []
    for one in score.of_rules(results):
        result = one.result
        kind = "starved" if result in bad else "harmless" if result.is_flood else "healthy"
        rate = result.top_bytes_per_s
        rows.append([
            result.load,
            kind,
            str(result.calls) if result.calls else _UNKNOWN,
            *(_ms(ms) for ms in (result.p50_ms, result.p95_ms, result.p99_ms, result.max_ms)),
            _UNKNOWN if rate is None else f"{rate / 1e6:.1f} MB/s",
            "silent" if one.first_s is None else f"{one.first_s:.1f} s: {', '.join(one.names)}",
        ])  # fmt: skip
    header = ("load", "it was", "fsyncs", "p50", "p95", "p99", "longest", "top writer", "rules")
    return markdown(header, rows)


def _of_signs(results: Results) -> str:
    rows = []
    for metric in _measured(results):
        found = score.separation(results, metric.name)
        quiet, all_below = (
            score.quiet(results, metric.name),
            score.complete(results, metric.name),
        )
        rows.append((found.area or 0.0, [
            metric.name,
            _value(found.healthy_high, metric),
            _value(found.healthy_most, metric),
            _value(found.starved_low, metric),
            _value(found.starved_middle, metric),
            _UNKNOWN if found.area is None else f"{found.area:.2f}",
            *_quiet(quiet, metric),
            *_complete(all_below, metric),
        ]))  # fmt: skip
    rows.sort(key=lambda row: -row[0])
    alone = [
        metric.name
        for metric in _measured(results)
        if (one := score.quiet(results, metric.name)) and 0 < one.starved == one.detected
    ]
    header = (
        "sign", "healthy, p95", "most", "starved, p5", "median", "area", "quiet from", "detects",
        "after", "all below", "false alarms",
    )  # fmt: skip
    said = (
        f"Signs that by themselves detect every flood without a false alarm, with a threshold that"
        f" is chosen afterwards: {', '.join(alone) or 'none'}.\n\n"
    )
    return said + markdown(header, [row for _, row in rows])


def _quiet(verdict: Verdict | None, metric: Metric) -> list[str]:
    if verdict is None:
        return [_UNKNOWN] * 3
    after = _UNKNOWN
    if verdict.times_s:
        after = f"{_seconds(verdict.middle_s)}, {_seconds(verdict.worst_s)}"
    return [
        _value(verdict.threshold, metric), f"{verdict.detected} of {verdict.starved}", after,
    ]  # fmt: skip


def _complete(verdict: Verdict | None, metric: Metric) -> list[str]:
    if verdict is None:
        return [_UNKNOWN] * 2
    return [_value(verdict.threshold, metric), f"{verdict.false_alarms} of {verdict.healthy}"]


def _of_thresholds(results: Results, rules: Rules) -> str:
    """Return which loads each condition lets pass by itself: only together are they an alarm."""
    rows = []
    for guard in rules.guards:
        for name, threshold in conditions(guard).items():
            metric = next(one for one in METRICS if one.name == name)
            above = {
                (one.load, one.round)
                for one in results.results
                if score.alarm_s(results.values(name, one.load, one.round), threshold) is not None
            }
            calm, bad = score.healthy(results), score.starved(results)
            rows.append([
                guard.name, name, _value(threshold, metric),
                _names(one for one in calm if (one.load, one.round) in above),
                _names(one for one in bad if (one.load, one.round) not in above),
            ])  # fmt: skip
    header = ("rule", "sign", "over", "healthy loads above it", "starved loads that stay below")
    return markdown(header, rows)


def conditions(guard: Guard) -> dict[str, float]:
    """Return what has to be over what before a guard begins, by the names of signs."""
    asked = {
        "fsync": (guard.fsync_over_ns or (guard.target_ns or 0) // 2) / 1e6,
        "psi_some": float(guard.signs.pressure_over_pct),
        "queue_delay": guard.signs.queue_over_ns / 1e6,
        "top_writer": guard.hog_over / 1e6,
    }
    return {name: threshold for name, threshold in asked.items() if threshold}


def _of_problems(results: Results) -> list[str]:
    if not results.problems:
        return []
    lines = [f"- {one.load}, round {one.round}: {one.text}" for one in results.problems]
    return ["### What could not be measured\n", *lines, ""]


def _about_signs() -> str:
    rows = [[one.name, one.unit, one.about] for one in (*METRICS, OF_CGROUP)]
    return markdown(("sign", "unit", "what"), rows)


def _measured(results: Results) -> list[Metric]:
    known = {one.name: one for one in (*METRICS, OF_CGROUP)}
    return [known[name] for name in results.about.metrics if name in known]


def _phases(results: Results, wanted: Sequence[Result]) -> list[score.Rules]:
    return [one for one in score.of_rules(results) if one.result in wanted]


def _names(results: Iterable[Result]) -> str:
    return ", ".join(dict.fromkeys(one.load for one in results)) or "none"


def _value(value: float | None, metric: Metric) -> str:
    if value is None:
        return _UNKNOWN
    number = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return f"{number} {metric.unit}".strip()


def _ms(value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _seconds(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.1f} s"
