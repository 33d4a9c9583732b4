"""What a column is: where its value comes from and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Literal

import msgspec

from iotop_ng.model.frame import Row
from iotop_ng.sample import Need

Value = float | str | None
Getter = Callable[[Row], Value]


class Mode(Enum):
    """What numbers mean: of the interval, since the source opened, or per second since then."""

    RATE = "rate"
    TOTAL = "accumulated"
    AVERAGE = "average"


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the table, key of the machine output, sort key and filter word."""

    id: str
    """Field of `Row`, and the name in JSON and CSV."""
    title: str
    unit: Literal["bytes/s", "count/s", "ms/s", "pct", "us", "id", "text"]
    """Of the rate. "id" is a number that names something: shown as it is, sorted upwards."""
    width: int
    """Characters: no text of the column is longer; 0 takes what is left."""
    align: Literal["left", "right"]
    priority: int
    """Columns with the largest number go first on a narrow screen; 0 never goes."""
    source: str
    help: str
    """What it counts and what it does not."""
    rate: Getter
    total: Getter | None = None
    """Since the source opened; None: the column is the same in every mode."""
    total_id: str = ""
    """Name of the total in JSON and CSV; "" when it is not one that adds up."""
    total_unit: Literal["", "bytes", "count", "ns", "us"] = ""
    scale: float | None = None
    """average = total / seconds * scale; None: the total is no sum (a percentile), it stays."""
    need: Need | None = None
    """What must be asked of the source for the column to be measured."""

    @property
    def is_number(self) -> bool:
        """It can be compared with a number: everything but names."""
        return self.unit not in {"text", "id"}
