"""How a span of bytes is divided among writers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.demo.modes import MODES, layout, mode_of
from iotop_ng.errors import UsageError

MIB = 1 << 20


@given(
    name=st.sampled_from([*MODES]),
    span=st.integers(0, 1 << 40),
    writers=st.one_of(st.none(), st.integers(1, 256)),
    rate=st.one_of(st.none(), st.integers(1024, 1 << 34)),
)
def test_whole_records_in_chunks_in_files_within_the_span(
    name: str, span: int, writers: int | None, rate: int | None
) -> None:
    mode = MODES[name]
    try:
        made = layout(mode, span, writers, rate)
    except UsageError as error:
        least = int(str(error).split()[-3].removesuffix("M")) * MIB
        assert span < least
        layout(mode, least, writers, rate)
        return

    assert made.chunk_bytes % mode.record_bytes == 0
    assert made.chunk_bytes % 4096 == 0
    assert made.chunks >= 4
    assert made.span_bytes <= span
    assert made.streams == (mode.processes * mode.threads if writers is None else writers)
    assert (made.processes == 1) or (made.threads == 1)


@pytest.mark.parametrize(
    ("name", "rate", "chunk"),
    [
        ("lines", None, MIB // 4),
        ("lines", 1 * MIB, MIB // 16),
        ("lines", 5 * MIB, MIB // 4),
        ("lines", 1024, 64 * 1024),
        ("big", 1024, 8 * MIB),
        ("threads", None, MIB // 16),
    ],
)
def test_a_slow_hog_writes_in_small_chunks(name: str, rate: int | None, chunk: int) -> None:
    assert layout(MODES[name], 256 * MIB, None, rate).chunk_bytes == chunk


def test_writers_are_threads_only_where_the_mode_has_threads() -> None:
    assert layout(MODES["threads"], 256 * MIB, 3, None)[1:3] == (1, 3)
    assert layout(MODES["lines"], 256 * MIB, 3, None)[1:3] == (3, 1)


def test_an_unknown_mode_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'burst'"):
        mode_of("brust")
