"""Journals are real files: each test closes its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes.stages import Stage


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while Stage.living:
        Stage.living.pop().close()
