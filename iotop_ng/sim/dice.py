"""Chance that is the same on every machine and Python: SplitMix64 (Steele, Lea, Flood 2014)."""

from __future__ import annotations

_MASK = (1 << 64) - 1


class Dice:
    """Whole numbers from a seed."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def between(self, lowest: int, highest: int) -> int:
        """Return a number of lowest..highest, both included."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        # The range is far below 2**64: the bias of the remainder is not seen.
        return lowest + (mixed ^ (mixed >> 31)) % (highest - lowest + 1)
