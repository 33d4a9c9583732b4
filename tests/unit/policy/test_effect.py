"""Whether a policy worked, and why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from iotop_ng.policy.effect import (
    EFFECTIVE,
    NO_EFFECT,
    PARTLY,
    PATIENCE_NS,
    Seen,
    judge,
    limit,
)

MB = 1_000_000
THROTTLED = Seen(
    age_ns=5 * 10**9,
    rate_bytes_per_s=5 * MB,
    written_bytes_per_s=5 * MB,
    before_bytes_per_s=200 * MB,
    is_held=True,
)
DROPPED = replace(THROTTLED, is_drop=True, is_held=None, refused_calls=7)


@pytest.mark.parametrize(
    ("seen", "effect", "words"),
    [
        (THROTTLED, EFFECTIVE, ""),
        (replace(THROTTLED, written_bytes_per_s=5_200_000), EFFECTIVE, ""),
        (replace(THROTTLED, age_ns=PATIENCE_NS - 1), "", ""),
        (replace(THROTTLED, written_bytes_per_s=None), "", ""),
        (replace(THROTTLED, written_bytes_per_s=60 * MB), PARTLY, "still writes more"),
        (replace(THROTTLED, written_bytes_per_s=190 * MB), NO_EFFECT, "still writes more"),
        (
            replace(THROTTLED, written_bytes_per_s=190 * MB, is_held=False),
            NO_EFFECT,
            "none of its threads",
        ),
        (
            replace(THROTTLED, written_bytes_per_s=60 * MB, charged_bytes_per_s=5 * MB),
            PARTLY,
            "only 4.8M/s of 57M/s can be held",
        ),
        (
            replace(THROTTLED, written_bytes_per_s=60 * MB, escapes=True, is_held=None),
            PARTLY,
            "buffered writes escape a limit on the disk for some seconds",
        ),
        (
            replace(THROTTLED, is_held=False, before_bytes_per_s=4 * MB),
            NO_EFFECT,
            "wrote less than the cap before",
        ),
        (replace(THROTTLED, is_held=None, written_bytes_per_s=0), EFFECTIVE, ""),
        (replace(THROTTLED, is_held=False, written_bytes_per_s=0), NO_EFFECT, "by itself"),
        (
            replace(THROTTLED, backlog_bytes=310 << 20, disk_bytes_per_s=150 * MB),
            EFFECTIVE,
            "the disk still drains 310M that was dirty before",
        ),
        (replace(THROTTLED, problem="2 of 5 threads"), EFFECTIVE, "2 of 5 threads"),
        (DROPPED, EFFECTIVE, ""),
        (replace(DROPPED, rate_bytes_per_s=None, written_bytes_per_s=0), EFFECTIVE, ""),
        (replace(DROPPED, written_bytes_per_s=60 * MB), PARTLY, "mapped files"),
        (replace(DROPPED, refused_calls=0), NO_EFFECT, "no more than what may pass"),
        (
            replace(DROPPED, refused_calls=0, written_bytes_per_s=60 * MB),
            NO_EFFECT,
            "none of its writes can be refused",
        ),
        (replace(DROPPED, refused_calls=None), "", ""),
    ],
)
def test_what_was_seen_is_judged_with_a_reason(seen: Seen, effect: str, words: str) -> None:
    verdict = judge(seen)

    assert verdict.effect == effect
    assert words in verdict.why
    assert bool(verdict.why) is bool(words)


amounts = st.integers(0, 10**10)
maybe = st.one_of(st.none(), amounts)
anything = st.builds(
    Seen,
    age_ns=st.integers(-(10**9), 10**11),
    rate_bytes_per_s=st.one_of(st.none(), st.integers(1, 10**10)),
    is_drop=st.booleans(),
    escapes=st.booleans(),
    written_bytes_per_s=maybe,
    charged_bytes_per_s=maybe,
    before_bytes_per_s=maybe,
    is_held=st.sampled_from((None, True, False)),
    refused_calls=st.one_of(st.none(), st.integers(0, 10**6)),
    backlog_bytes=maybe,
    disk_bytes_per_s=maybe,
    problem=st.sampled_from(("", "2 of 5 threads are traced by strace")),
)


@given(anything)
def test_more_than_the_rate_is_never_called_effective(seen: Seen) -> None:
    wrote = seen.written_bytes_per_s
    if wrote is None or wrote > limit(seen.rate_bytes_per_s):
        assert judge(seen).effect != EFFECTIVE


@given(anything)
def test_who_says_partly_or_no_effect_says_why(seen: Seen) -> None:
    verdict = judge(seen)

    assert verdict.effect in {"", EFFECTIVE, PARTLY, NO_EFFECT}
    if verdict.effect in {PARTLY, NO_EFFECT}:
        assert verdict.why
    if seen.problem and verdict.effect in {"", EFFECTIVE, PARTLY}:
        assert verdict.why == seen.problem


@given(anything)
def test_nothing_is_said_at_first(seen: Seen) -> None:
    assert judge(replace(seen, age_ns=PATIENCE_NS - 1)).effect == ""


@given(anything, amounts)
def test_writing_less_is_never_judged_worse_while_it_is_held(seen: Seen, wrote: int) -> None:
    order = {NO_EFFECT: 0, PARTLY: 1, EFFECTIVE: 2}
    held = replace(seen, is_held=True, is_drop=False, age_ns=PATIENCE_NS)
    less, more = sorted((wrote, seen.written_bytes_per_s or 0))
    better = judge(replace(held, written_bytes_per_s=less)).effect
    worse = judge(replace(held, written_bytes_per_s=more)).effect

    assert order[better] >= order[worse]
