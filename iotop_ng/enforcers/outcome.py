"""What became of undoing one change."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """The result of putting one change back."""

    is_settled: bool
    """Nothing is left to be done, now or later."""
    problem: str = ""
    """Why it was not put back: somebody else's value was left alone, or the kernel said no."""
    text: str = ""
    """What was done, one sentence; "" when nothing had to be."""


NOTHING_TO_DO = Outcome(is_settled=True)


def left_alone(problem: str) -> Outcome:
    """Return that it is not ours any more."""
    return Outcome(is_settled=True, problem=problem)


def failed(problem: str) -> Outcome:
    """Return that it has to be tried again."""
    return Outcome(is_settled=False, problem=problem)
