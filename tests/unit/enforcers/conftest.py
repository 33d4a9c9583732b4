"""What several tests of acting stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.enforcers.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Give the real core over a fake world with two processes, 42 and 43."""
    return Stage(tmp_path)
