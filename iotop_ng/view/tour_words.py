"""What the guide says, as lines: fitted to a width, for the panel and for the end."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from iotop_ng.units import count, duration, human
from iotop_ng.view.tour import Measure, Phase, Step, Tour
from iotop_ng.view.widgets.ink import Ink, Line, Run, fit

TEXT_LINES = 2
MOST_OTHERS = 2
"""Phases beside alone, flood and now; all of them do not fit into 80 cells."""
KEYS_NEXT, KEYS_HIDE = ">", "G"
_UNKNOWN = "..."


def guide_lines(
    tour: Tour, steps: Sequence[Step], ink: Ink, width: int, *, said: str = "", pressed: str = ""
) -> list[Line]:
    """Return the panel, top to bottom: head, what to look at, what to press, what is measured.

    Args:
        tour: where it is.
        steps: all of them.
        ink: for signs that this terminal can draw.
        width: cells of the panel.
        said: what went wrong, instead of what to press.
        pressed: the key that the script pressed last.
    """
    step = steps[tour.at]
    lines: list[Line] = [_head(tour, steps, ink, width)]
    if step.text:
        text = ink.safe(step.text.format_map(words(tour)))
        wrapped = textwrap.wrap(text, width - 2, max_lines=TEXT_LINES, placeholder=ink.glyphs.cut)
        wrapped += [""] * (TEXT_LINES - len(wrapped))
        lines += [[(f" {line}", "")] for line in wrapped]
    else:
        lines += [[(f" {line}", "header" if n == 0 else "")] for n, line in enumerate(table(tour))]
    lines.append(_ask(step, ink, said, pressed))
    if step.text:
        lines.append(_figures(tour, step))
    return lines


def _head(tour: Tour, steps: Sequence[Step], ink: Ink, width: int) -> Line:
    rule = ink.glyphs.rule
    chapter, chapters = steps[tour.at].chapter, steps[-1].chapter
    name = f"{rule * 2} guide {chapter}/{chapters}  {steps[tour.at].title} "
    hint = f" {KEYS_NEXT} next  {KEYS_HIDE} hide {rule * 2}"
    room = max(width - len(hint), 8)
    taken = min(len(name), room)
    return [
        (fit(name, taken, ink.glyphs.cut), "title"),
        (rule * (room - taken), "rule"),
        (hint, "rule"),
    ]


def _ask(step: Step, ink: Ink, said: str, pressed: str) -> Line:
    if said:
        return [(f" {ink.glyphs.warning} {ink.safe(said)}", "error")]
    if not step.ask:
        return [(" watch: it goes on by itself", "muted")]
    runs: list[Run] = [(f" {ink.glyphs.cursor} {step.ask}", "key")]
    if pressed:
        runs += [("   ", ""), (f" {pressed} ", "cursor")]
    return runs


def _figures(tour: Tour, step: Step) -> Line:
    flood = tour.measure(Phase.FLOOD).p99_ns
    role = "suffering" if _is_bad(tour) else "ok"
    runs: list[Run] = [
        (" victim p99  alone ", "muted"),
        (f"{_time(tour.measure(Phase.ALONE).p99_ns):>5}", ""),
    ]
    if flood is not None:
        runs += [("  flood ", "muted"), (f"{_time(flood):>5}", "")]
    runs += [("  now ", "muted"), (f"{_time(tour.p99_now_ns):>5}", role)]
    for phase in _others(tour, step)[-MOST_OTHERS:]:
        runs += [(f"  {phase.value} ", "muted"), (f"{_time(tour.measure(phase).p99_ns):>5}", "")]
    return runs


def _others(tour: Tour, step: Step) -> list[Phase]:
    """Return what helped so far; what is under way is the present itself."""
    helped = (Phase.THROTTLE, Phase.DROP, Phase.GUARD)
    return [one for one in helped if one is not step.phase and _is_measured(tour, one)]


def _is_bad(tour: Tour) -> bool:
    alone, now = tour.measure(Phase.ALONE).p99_ns, tour.p99_now_ns
    return alone is not None and now is not None and now > 4 * alone


def words(tour: Tour) -> Mapping[str, str]:
    """Return what stands for the {words} of the texts."""
    held = next((one.held_pct for one in tour.policies if one.held_pct is not None), None)
    cap = next((o.rate_bytes_per_s for o in tour.policies if o.rate_bytes_per_s), None)
    refused = next((o.refused_calls_per_s for o in tour.policies if o.kind == "drop"), None)
    return {
        "alone": _time(tour.measure(Phase.ALONE).p99_ns),
        "flood": _time(tour.measure(Phase.FLOOD).p99_ns),
        "now": _time(tour.p99_now_ns),
        "waits": _waits(tour),
        "target": _time(tour.target_ns),
        "cap": _UNKNOWN if cap is None else human(cap),
        "held": _UNKNOWN if held is None else f"{min(held, 100):.0f}%",
        "refused": _UNKNOWN if refused is None else count(refused),
        "cannot": tour.cannot_drop or "",
        "guarded": "Nothing had to be held so far." if cap is None else f"Held to {human(cap)}/s.",
    }


def _waits(tour: Tour) -> str:
    """Return what the flood does to the victim: nothing is claimed that is not measured."""
    alone, now = tour.measure(Phase.ALONE).p99_ns, tour.p99_now_ns
    if alone is None or now is None or now < alone:
        return "and this disk keeps up so far"
    return f"and has to wait: its p99 went from {_time(alone)} to {_time(now)}"


def table(tour: Tour) -> list[str]:
    """Return what each phase has shown, as lines of text; the first is the head."""
    lines = [f"{'':9} {'victim p99':>10} {'longest':>8} {'log-flood':>10}  as victim measured it"]
    return lines + [
        _row(phase, tour.measure(phase)) for phase in Phase if _is_measured(tour, phase)
    ]


def _is_measured(tour: Tour, phase: Phase) -> bool:
    return bool(tour.measure(phase).latencies_ns)


_REMARKS = {
    Phase.ALONE: "nothing else writes",
    Phase.FLOOD: "nobody holds it",
    Phase.THROTTLE: "held to a rate; nothing is lost",
    Phase.DROP: "its writes fail; data is lost",
    Phase.GUARD: "held by a rule, as victim needs",
}


def _row(phase: Phase, measure: Measure) -> str:
    rate = measure.hog_bytes_per_s
    hog = "-" if rate is None else f"{human(rate)}/s"
    return (
        f"{phase.value:9} {_time(measure.p99_ns):>10} {_time(measure.max_ns):>8} {hog:>10}"
        f"  {_REMARKS[phase]}"
    )


def _time(ns: int | None) -> str:
    return _UNKNOWN if ns is None else duration(ns / 1000)
