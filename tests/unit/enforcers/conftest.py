"""What several tests of acting stand on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.enforcers.stage import Stage


@pytest.fixture(autouse=True, scope="module")
def _collected() -> Iterator[None]:
    """Close the journals of cores that are cycles: select(2) takes no descriptor above 1,023."""
    yield
    gc.collect()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Give the real core over a fake world with two processes, 42 and 43."""
    return Stage(tmp_path)
