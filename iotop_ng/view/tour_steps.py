"""The steps of the tour, and the keys that --script presses in them: nothing but data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from iotop_ng.view.tour import Deed, Phase, Step, Tour


def _has_hog_written(tour: Tour) -> bool:
    return tour.hog is not None and tour.hog.written_bytes > 0


def _is_throttled(tour: Tour) -> bool:
    return any(one.kind == "throttle" and not one.rule for one in tour.policies)


def _is_dropped(tour: Tour) -> bool:
    return any(one.kind == "drop" for one in tour.policies)


def _is_free(tour: Tour) -> bool:
    return not tour.policies


def _has_rule(tour: Tour) -> bool:
    return any(one.rule for one in tour.policies)


def _cannot_drop(tour: Tour) -> bool:
    return bool(tour.cannot_drop)


def _can_drop(tour: Tour) -> bool:
    return not tour.cannot_drop


def _never_dropped(tour: Tour) -> bool:
    return _cannot_drop(tour) or not _is_dropped(tour)


def _always(_: Tour) -> bool:
    return True


def _is_quicker(tour: Tour) -> bool:
    """Say whether the victim waits less than half as long as in the flood."""
    flood, now = tour.measure(Phase.FLOOD).p99_ns, tour.p99_now_ns
    return flood is None or now is None or 2 * now <= flood


def _is_guarded(tour: Tour) -> bool:
    return _has_rule(tour) and _is_quicker(tour)


STEPS: tuple[Step, ...] = (
    Step(
        "alone",
        1,
        "Before",
        "victim appends 4 KB and waits for the disk (fsync), 50 times a second. FSYNC in its row "
        "says how long it waits. Nothing else writes here yet.",
        is_done=_always,
        least_s=6,
        phase=Phase.ALONE,
    ),
    Step(
        "start",
        2,
        "The problem",
        "log-flood starts: it writes as much as it can into a file of its own.",
        is_done=_has_hog_written,
        least_s=2,
        deed=Deed.FLOOD,
    ),
    Step(
        "flood",
        2,
        "The problem",
        "log-flood, in the top row, writes as much as it can (WRITE/s). victim writes as little "
        "as before, {waits}.",
        "press t, write 5M, press Enter: throttle log-flood to 5 MB/s",
        is_done=_is_throttled,
        phase=Phase.FLOOD,
    ),
    Step(
        "throttled",
        3,
        "Throttle: slow it down, lose nothing",
        "log-flood waits after its writes until it is within {cap}/s: {held} of its time. All "
        "that it writes is kept. victim's p99: {flood} in the flood, {now} now.",
        is_done=_is_quicker,
        least_s=7,
        most_s=25,
        phase=Phase.THROTTLE,
    ),
    Step(
        "release",
        3,
        "Undo",
        "Every policy can be taken back at once, and ends by itself: with its lease, with its "
        "target, and with this screen, however that ends.",
        "press u: release log-flood",
        is_done=_is_free,
        least_s=1,
    ),
    Step(
        "drop",
        4,
        "Drop: refuse its writes",
        "The other way: its writes fail, as on a full disk. Data is lost, so this asks twice.",
        "press d, then Enter on each line down to the last",
        is_done=_is_dropped,
        is_skipped=_cannot_drop,
    ),
    Step(
        "no-drop",
        4,
        "Drop: not here",
        "The other way would be to refuse its writes. Not here: {cannot}.",
        "press d to see it, Esc to close it, > to go on",
        is_done=_always,
        least_s=9,
        is_skipped=_can_drop,
    ),
    Step(
        "dropped",
        4,
        "Dropped",
        "log-flood is told that the disk is full (ENOSPC): {refused} writes a second fail, their "
        "data is lost. The disk is there for the others: victim's p99 is {now}.",
        is_done=_is_quicker,
        least_s=6,
        most_s=25,
        phase=Phase.DROP,
        is_skipped=_never_dropped,
    ),
    Step(
        "undrop",
        4,
        "Undo",
        "What it writes from now on is kept again.",
        "press u: release log-flood",
        is_done=_is_free,
        least_s=1,
        is_skipped=_never_dropped,
    ),
    Step(
        "guard",
        5,
        "Guard: nobody presses a key",
        "A rule now keeps victim's p99 under {target}: log-flood may write what is left of the "
        "disk. {guarded}",
        is_done=_is_guarded,
        least_s=10,
        most_s=40,
        phase=Phase.GUARD,
        deed=Deed.GUARD,
    ),
    Step(
        "release all",
        5,
        "Let go of everything",
        "One key ends all that is in force on this machine, whoever set it. Rules keep away from "
        "what a person has let go of.",
        "press U (Shift-u): release everything",
        is_done=_is_free,
        least_s=1,
    ),
    Step(
        "end",
        6,
        "What it did",
        "",
        "press q: log-flood and victim are gone then, and their files",
        deed=Deed.END,
    ),
)


class Press(NamedTuple):
    """One key of the script."""

    after_s: float
    """Since the key before, or since the step began."""
    key: str
    in_dialog: bool = False
    """It is for a dialog that has found out what works here."""


STUCK_S = 45.0
"""The script goes on after this, whatever has not happened."""
_DROPPING = (
    Press(2.5, "d"),
    Press(2.0, "enter", in_dialog=True),
    *(Press(0.4, "enter", in_dialog=True) for _ in range(5)),
)
_THROTTLING = (
    Press(6.0, "t"),
    # The dialog's own first rate follows what the hog does just then, which may be little.
    Press(2.0, "5", in_dialog=True),
    Press(0.3, "M", in_dialog=True),
    Press(1.5, "enter", in_dialog=True),
)

SCRIPT: Mapping[str, tuple[Press, ...]] = {
    "flood": _THROTTLING,
    "release": (Press(2.5, "u"),),
    "drop": _DROPPING,
    "no-drop": (Press(2.0, "d"), Press(4.0, "escape", in_dialog=True)),
    "undrop": (Press(2.0, "u"),),
    "release all": (Press(2.5, "U"),),
    "end": (Press(7.0, "q"),),
}
"""By the name of the step: what the guide asks for."""
