"""One cap over several hogs: water-filling by what each of them wants.

Everyone gets what he asks for, as long as it is less than an equal part of what is left; the others
share the rest equally. Cap 100, wants 10, 50, 90: 10, then 45 and 45.
"""

from __future__ import annotations

from collections.abc import Sequence

HEADROOM_PCT = 25
HEADROOM_BYTES_PER_S = 256 << 10


def share(cap: int, demands: Sequence[int], floor: int = 0) -> tuple[int, ...]:
    """Return one rate per demand, in bytes/s; they add up to `cap` where that is 1 per hog or more.

    A hog below its share keeps room to grow: 25 % and a small constant over what it did lately, so
    that a cap that does not bind is not felt. What then is left goes to all alike.

    Args:
        cap: for all together; less than 1 for each becomes 1 for each.
        demands: what each wrote lately, or would write.
        floor: what each gets at least, as far as the cap goes round.
    """
    count = len(demands)
    if count == 0:
        return ()
    equal = max(cap // count, 1)
    least = min(max(floor, 1), equal)
    wants = [max(_with_headroom(demand), least) for demand in demands]
    filled = _fill(max(cap, count), wants)
    spare = max(cap, count) - sum(filled)
    # The odd bytes go to the first: integers that add up.
    return tuple(
        rate + spare // count + (number < spare % count) for number, rate in enumerate(filled)
    )


def _with_headroom(demand: int) -> int:
    return max(demand, 0) * (100 + HEADROOM_PCT) // 100 + HEADROOM_BYTES_PER_S


def _fill(cap: int, wants: Sequence[int]) -> list[int]:
    """Fill from the least want upwards; each takes at most an equal part of what is left."""
    rates = [0] * len(wants)
    left = cap
    waiting = len(wants)
    for number in sorted(range(len(wants)), key=lambda n: wants[n]):
        rates[number] = min(wants[number], left // waiting)
        left -= rates[number]
        waiting -= 1
    return rates
