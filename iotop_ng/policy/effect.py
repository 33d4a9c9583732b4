"""Did it work? What was seen of a target after a policy was put on it, judged in three words.

For a throttle to R bytes/s, with w written per second of late and b before::

    w <= 1.1 R   held                   effective
                 b <= R                 no effect: it wrote less than that before
                 not held, w < R / 2    no effect: it writes less than that by itself
                 else                   effective
    w >  1.1 R   w <= 0.75 b            partly, and why
                 else                   no effect, and why

Nothing is said in the first 2 seconds: a burst may pass, and one write may be larger than a
second's share.

Worked: R = 5 MB/s, b = 200 MB/s. w = 5.2 MB/s with threads held is effective; w = 60 MB/s is
partly; w = 190 MB/s is no effect.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.units import human

EFFECTIVE = "effective"
PARTLY = "partly"
NO_EFFECT = "no effect"

PATIENCE_NS = 2 * NS_PER_S
TOLERANCE_PCT = 110
SLACK_BYTES_PER_S = 64 << 10
"""One page more or less per tick says nothing about a small cap."""
PARTLY_PCT = 75
COUNTED_PCT = 90
BACKLOG_BYTES = 32 << 20
SETTLING_NS = 30 * NS_PER_S
"""How long buffered writes go on under a limit on the disk (dirty_expire_centisecs)."""


class Seen(msgspec.Struct, frozen=True):
    """What was measured of one policy. Rates are means over the last seconds; None: not known."""

    age_ns: int
    """Since it was put in force, or its rate was changed."""
    rate_bytes_per_s: int | None
    """What may pass; None: nothing."""
    is_drop: bool = False
    escapes: bool = False
    """The mechanism limits the disk and not the writer."""
    written_bytes_per_s: int | None = None
    """Of everything that it covers."""
    charged_bytes_per_s: int | None = None
    """What the mechanism itself counted."""
    before_bytes_per_s: int | None = None
    is_held: bool | None = None
    """Threads were made to wait; None: the mechanism does not say."""
    refused_calls: int | None = None
    backlog_bytes: int | None = None
    """Dirty and on their way to a disk, of the whole machine."""
    disk_bytes_per_s: int | None = None
    """What all disks wrote."""
    problem: str = ""
    """What the mechanism says is wrong."""


class Verdict(NamedTuple):
    """What to say about it."""

    effect: str
    """effective, partly, no effect; "" while it is too early or nothing is measured."""
    why: str
    """Never "" for partly and no effect."""


def judge(seen: Seen) -> Verdict:
    """Say whether a policy does what was asked of it."""
    if seen.age_ns < PATIENCE_NS or seen.written_bytes_per_s is None:
        return Verdict("", seen.problem)
    return _drop(seen) if seen.is_drop else _throttle(seen)


def limit(rate_bytes_per_s: int | None) -> int:
    """Return up to how much a rate counts as kept."""
    return (rate_bytes_per_s or 0) * TOLERANCE_PCT // 100 + SLACK_BYTES_PER_S


def _throttle(seen: Seen) -> Verdict:
    wrote, rate = seen.written_bytes_per_s or 0, seen.rate_bytes_per_s or 0
    before = seen.before_bytes_per_s
    if wrote > limit(rate):
        is_less = seen.is_held if before is None else wrote * 100 <= before * PARTLY_PCT
        return Verdict(PARTLY if is_less else NO_EFFECT, seen.problem or _why_above(seen))
    if not seen.is_held:
        if before is not None and before <= rate:
            return Verdict(NO_EFFECT, "it wrote less than the cap before")
        if seen.is_held is False and wrote < rate // 2:
            return Verdict(NO_EFFECT, "it writes less than the cap by itself")
    return Verdict(EFFECTIVE, seen.problem or _draining(seen))


def _why_above(seen: Seen) -> str:
    wrote, charged = seen.written_bytes_per_s or 0, seen.charged_bytes_per_s
    if seen.escapes:
        when = "some seconds" if seen.age_ns < SETTLING_NS else "as long as memory takes it"
        return f"buffered writes escape a limit on the disk for {when}"
    if charged is not None and charged * 100 < wrote * COUNTED_PCT:
        return (
            f"only {human(charged)}/s of {human(wrote)}/s can be held:"
            " the rest comes from mapped files, io_uring workers or other processes"
        )
    if seen.is_held is False:
        return "none of its threads was made to wait"
    return "it still writes more than the cap"


def _draining(seen: Seen) -> str:
    backlog, disk = seen.backlog_bytes or 0, seen.disk_bytes_per_s or 0
    if backlog >= BACKLOG_BYTES and disk > 2 * limit(seen.written_bytes_per_s):
        return f"the disk still drains {human(backlog)} that was dirty before"
    return ""


def _drop(seen: Seen) -> Verdict:
    is_above = (seen.written_bytes_per_s or 0) > limit(seen.rate_bytes_per_s)
    if seen.refused_calls is None:
        return Verdict("", seen.problem)
    if not seen.refused_calls:
        still = "none of its writes can be refused: mapped files, or not among the chosen paths"
        less = "it writes no more than what may pass"
        return Verdict(NO_EFFECT, seen.problem or (still if is_above else less))
    if is_above:
        rest = "the rest is written to mapped files or to others than the chosen paths"
        return Verdict(PARTLY, seen.problem or rest)
    return Verdict(EFFECTIVE, seen.problem or _draining(seen))
