"""What several tests of the acting commands stand on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.desks import FakeDesk


@pytest.fixture
def stage(tmp_path: Path) -> FakeDesk:
    """A machine with one process that writes."""
    made = FakeDesk(tmp_path)
    made.start(42, "dd")
    return made
