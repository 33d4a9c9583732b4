"""View 7: what is in force, what it does, and what was done before."""

from __future__ import annotations

import time
from collections.abc import Sequence

from iotop_ng import units
from iotop_ng.model.frame import Frame, PolicyEvent, PolicyRow
from iotop_ng.view import inforce
from iotop_ng.view.widgets.ink import Ink, Line, Run, fit

WIDE = 170
"""Cells from which everything about a policy stands on one line."""
NAME_WIDTH = 15
WIDE_NAME = 28
EFFECT_ROLES = {"effective": "ok", "partly": "warning", "no effect": "error"}
EVENT_ROLES = {
    "applied": "throttled",
    "adjusted": "throttled",
    "failed": "error",
    "refused": "warning",
    "expired": "muted",
    "recovered": "warning",
}


class PolicyList:
    """Which policy of the newest frame is selected; it stays on it while others come and go."""

    def __init__(self) -> None:
        self.index = 0
        self._id: int | None = None
        self._policies: tuple[PolicyRow, ...] = ()

    def take(self, policies: tuple[PolicyRow, ...]) -> None:
        """Take the policies of a frame."""
        self._policies = policies
        at = next((n for n, policy in enumerate(policies) if policy.id == self._id), self.index)
        self._set(at)

    def move(self, step: int) -> None:
        """Select another one."""
        self._set(self.index + step)

    def _set(self, index: int) -> None:
        self.index = min(max(index, 0), max(len(self._policies) - 1, 0))
        self._id = self._policies[self.index].id if self._policies else None

    @property
    def has_several(self) -> bool:
        """There is another one to go to."""
        return len(self._policies) > 1

    @property
    def selected(self) -> PolicyRow | None:
        """The selected policy."""
        return self._policies[self.index] if self._policies else None


def policy_view_lines(
    frame: Frame, selected: int, ink: Ink, width: int, *, si: bool, read_only: bool = False
) -> tuple[list[Line], int]:
    """Return the lines, and which of them is the selected policy's."""
    lines: list[Line] = [_policy_header(width)]
    at = 1
    for number, policy in enumerate(frame.policies):
        if number == selected:
            at = len(lines)
        lines += _policy(policy, ink, width, is_selected=number == selected, si=si)
    if not frame.policies:
        hint = "" if read_only else "; t throttles the selected process (1), d drops its writes"
        lines.append([(f"  nothing is in force{hint}", "muted")])
    if frame.policy_problem:
        lines.append([(f"  {ink.glyphs.warning} {ink.safe(frame.policy_problem)}", "warning")])
    lines.append([("", "")])
    lines += event_lines(frame.policy_events, ink, width)
    return lines, at


def _policy_header(width: int) -> Line:
    name = WIDE_NAME if width >= WIDE else NAME_WIDTH
    head = (
        f"  {'IN FORCE ON':<{name}} {'WHAT':<8} {'HOW':<7} {'RATE':>5} {'LEFT':>8} "
        f"{'NOW':>5} {'BEFORE':>6} {'LOSS':>{_loss_width(width)}} {'EFFECT':<9}"
    )
    head += " BY" if width >= WIDE else ""
    return [(fit(head, width), "header")]


def _policy(policy: PolicyRow, ink: Ink, width: int, *, is_selected: bool, si: bool) -> list[Line]:
    cut = ink.glyphs.cut
    name_width = WIDE_NAME if width >= WIDE else NAME_WIDTH
    cursor = ink.glyphs.cursor if is_selected else " "
    rate = policy.rate_bytes_per_s
    limit = "none" if policy.kind == "drop" and not rate else units.human(rate, si=si)
    kind = f"dry {policy.kind}" if policy.is_dry else policy.kind
    role = "dropping" if policy.kind == "drop" else "throttled"
    effect = policy.effect or "..."
    runs: list[Run] = [
        (f"{cursor} {fit(ink.safe(policy.name), name_width, cut)} ", "title"),
        (f"{fit(kind, 8, cut)} ", "muted" if policy.is_dry else role),
        (f"{fit(policy.mechanism.replace('_', ' '), 7, cut)} {limit:>5} ", ""),
        (f"{inforce.left(policy):>8} ", ""),
        (f"{units.human(policy.written_bytes_per_s, si=si):>5} ", "write"),
        (f"{units.human(policy.before_bytes_per_s, si=si):>6} ", "muted"),
        (f"{_loss(policy, width, si=si):>{_loss_width(width)}} ", role),
        (f"{effect:<9}", EFFECT_ROLES.get(policy.effect, "muted")),
    ]
    more = _remarks(policy, si=si)
    if width >= WIDE:
        used = sum(len(text) for text, _ in runs)
        runs += [(" ", ""), (fit(ink.safe(more), max(width - used - 1, 0), cut), "")]
        return [_over(runs, is_selected=is_selected)]
    second: list[Run] = [(fit(f"    {ink.safe(more)}", width, cut), "muted")]
    return [_over(runs, is_selected=is_selected), second]


def _loss_width(width: int) -> int:
    return 12 if width >= WIDE else 7


def _loss(policy: PolicyRow, width: int, *, si: bool) -> str:
    """Return the share held back, or the calls refused, and where there is room their bytes."""
    loss = inforce.lost(policy, si=si) or "-"
    return loss if width >= WIDE else loss.split(" ")[0]


def _remarks(policy: PolicyRow, *, si: bool) -> str:
    """Return who asked, how many it covers, what it refused in all, and why it has no effect."""
    parts = [policy.why] if policy.why else []
    parts.append(f"by {policy.by}" if policy.by else "by hand")
    if policy.processes is not None and policy.processes != 1:
        parts.append(f"{policy.processes} processes")
    if policy.refused_calls_total is not None:
        size = policy.refused_bytes_total
        more = "" if size is None else f", {units.human(size, si=si)}"
        parts.append(f"{units.count(policy.refused_calls_total)} calls refused{more}")
    return "; ".join(parts)


def _over(runs: list[Run], *, is_selected: bool) -> list[Run]:
    return [(text, "selected") for text, _ in runs] if is_selected else runs


def event_lines(events: Sequence[PolicyEvent], ink: Ink, width: int) -> list[Line]:
    """Return what was done, the newest first."""
    lines: list[Line] = [[(fit("  HISTORY   WHAT      WHOM", width), "header")]]
    if not events:
        lines.append([("  nothing was done yet", "muted")])
    for event in reversed(events):
        lines += _event(event, ink, width)
    return lines


def _event(event: PolicyEvent, ink: Ink, width: int) -> list[Line]:
    cut = ink.glyphs.cut
    clock = time.strftime("%H:%M:%S", time.localtime(event.wall_ns / 1e9))
    name_width = WIDE_NAME if width >= WIDE else NAME_WIDTH
    head: list[Run] = [
        (f"  {clock}  ", "muted"),
        (f"{fit(event.what, 9, cut)} ", EVENT_ROLES.get(event.what, "")),
        (f"{fit(ink.safe(event.name), name_width, cut)} ", "title"),
    ]
    room = width - 12 - 10 - name_width - 1
    said = event.text.removeprefix(event.name).lstrip(": ")
    text = f"{said} ({event.by})" if event.by else said
    return [[*head, (fit(ink.safe(text), max(room, 0), cut), "")]]
