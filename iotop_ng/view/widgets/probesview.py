"""View 8: what our programs in the kernel do and cost, and how full their maps are."""

from __future__ import annotations

from iotop_ng import units
from iotop_ng.model.frame import Frame
from iotop_ng.sample import MapFill, Probe
from iotop_ng.view.widgets.ink import Ink, Line, Run, fit

NS_PER_PERCENT = 1e7
"""1 % of one processor, per second."""
BAR_WIDTH = 20
MAP_LINE = 67
"""Cells of a map's line without its bar."""
FULL = 0.8
"""Share of a map from which its fill is a warning."""


def probe_view_lines(frame: Frame, ink: Ink, width: int) -> list[Line]:
    """Return the two tables; without probes, why there are none."""
    if not frame.probes and not frame.maps:
        lines: list[Line] = [
            [("", "")],
            [(f"  The source {frame.source or '(starting)'} has no programs in the kernel.", "")],
        ]
        lines += [[(f"  {note}", "banner")] for note in frame.notes]
        return lines
    lines = _probe_table(frame, ink, width)
    lines.append([("", "")])
    lines += _map_table(frame, ink, width)
    lines.append([("", "")])
    lines.append([(f"  events or entries lost since the start: {frame.lost}", _lost(frame.lost))])
    return lines


def _probe_table(frame: Frame, ink: Ink, width: int) -> list[Line]:
    total = 0.0
    head = f"  {'TIER':<9} {'ON':<3} {'HITS':>7} {'HITS/s':>7} {'ns/RUN':>7} {'CPU':>6}  "
    name_width = min(max((len(p.name) for p in frame.probes), default=7), 28)
    titles = f"{head}{'PROGRAM':<{name_width}}  HOOK"
    lines: list[Line] = [[(titles.ljust(width), "header")]]
    rates = frame.probe_rates or ((None, None),) * len(frame.probes)
    for probe, (hits_per_s, ns_per_run) in zip(frame.probes, rates, strict=True):
        known = hits_per_s is not None and ns_per_run is not None
        cpu_pct = (hits_per_s or 0.0) * (ns_per_run or 0.0) / NS_PER_PERCENT if known else None
        total += cpu_pct or 0.0
        lines.append(
            [
                (f"  {fit(probe.tier, 9)} ", "muted"),
                (f"{'yes' if probe.is_attached else 'no':<3} ", "ok" if probe.is_attached else ""),
                (f"{units.count(probe.hits):>7} {units.count(hits_per_s):>7} ", ""),
                (f"{'-' if ns_per_run is None else format(ns_per_run, '.0f'):>7} ", "latency"),
                (f"{'-' if cpu_pct is None else format(cpu_pct, '.2f') + '%':>6}  ", ""),
                *_names(probe, name_width, ink),
            ]
        )
    lines.append([(f"{'sum':>40} {total:>5.2f}%", "muted")])
    return lines


def _names(probe: Probe, width: int, ink: Ink) -> list[Run]:
    runs = [(fit(probe.name, width, ink.glyphs.cut) + "  ", "title"), (probe.hook, "")]
    if probe.problem:
        runs.append((f"  {probe.problem}", "warning"))
    return runs


def _map_table(frame: Frame, ink: Ink, width: int) -> list[Line]:
    head = f"  {'MAP':<18} {'KIND':<14} {'ENTRIES':>8} {'SIZE':>8} {'LOST':>6}  FILL"
    lines: list[Line] = [[(head.ljust(width), "header")]]
    bar_width = max(min(BAR_WIDTH, width - MAP_LINE), 4)
    lines.extend(_map(one, bar_width, ink) for one in frame.maps)
    return lines


def _map(one: MapFill, bar_width: int, ink: Ink) -> Line:
    share = None if one.entries is None else one.entries / max(one.max_entries, 1)
    full = round((share or 0.0) * bar_width)
    glyphs = ink.glyphs
    bar = glyphs.bar * full + glyphs.bar_rest * (bar_width - full)
    role = "warning" if (share or 0.0) >= FULL else "title"
    entries = "-" if one.entries is None else str(one.entries)
    return [
        (f"  {fit(one.name, 18, glyphs.cut)} ", "title"),
        (f"{fit(one.kind, 14, glyphs.cut)} ", "muted"),
        (f"{entries:>8} {one.max_entries:>8} ", ""),
        (f"{one.lost:>6}  ", _lost(one.lost)),
        (bar if share is not None else " " * bar_width, role),
        ("   -" if share is None else f" {100 * share:3.0f}%", role),
    ]


def _lost(count: int) -> str:
    return "error" if count else ""
