"""The victim's log: what is written is read, whatever its last line looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.demo.oplog import Line, OpLogError, Reader, Writer, operation, parse_line
from iotop_ng.policy.scores import Operation

KINDS = st.sampled_from(["append", "read", "sqlite"])
TIMES = st.integers(0, (1 << 63) - 1)
WHOLE = st.one_of(
    st.builds(Line, TIMES, KINDS, TIMES, st.just("")),
    st.builds(Line, TIMES, KINDS, st.none(), st.sampled_from(["ENOSPC", "EIO"])),
)


def as_bytes(line: Line) -> bytes:
    last = line.error if line.latency_ns is None else str(line.latency_ns)
    return f"{line.began_ns} {line.kind} {last}\n".encode("ascii")


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_what_is_written_is_read(path: Path) -> None:
    writer, reader = Writer(path), Reader(path)

    writer.begin(1000, "append")
    writer.end(20)
    writer.begin(2000, "read")
    writer.fail("EIO")
    writer.begin(3000, "append")

    assert reader.read() == [Line(1000, "append", 20), Line(2000, "read", None, "EIO")]
    assert reader.under_way == Line(3000, "append")

    writer.end(5)
    writer.close()

    assert reader.read() == [Line(3000, "append", 5)]
    assert reader.under_way is None


def test_a_log_that_is_not_there_yet_is_empty(path: Path) -> None:
    reader = Reader(path)

    assert (reader.read(), reader.under_way) == ([], None)

    path.write_bytes(b"1 append 2\n")

    assert reader.read() == [Line(1, "append", 2)]


@pytest.mark.parametrize(
    "text", ["hello\n", "1 append\n", "1 append \n", "x append 2\n", "1 2 3\n"]
)
def test_another_file_is_refused_with_its_line(path: Path, text: str) -> None:
    path.write_text(f"1 append 2\n{text}", "utf-8")

    with pytest.raises(OpLogError, match=r"log:2: "):
        Reader(path).read()


def test_a_file_without_lines_is_not_read_for_ever(path: Path) -> None:
    path.write_bytes(bytes(1000))

    with pytest.raises(OpLogError, match=r"log:1: "):
        Reader(path).read()


@given(st.lists(WHOLE), st.data())
def test_any_cut_gives_the_whole_lines_before_it(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Line], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "log"
    raw = b"".join(map(as_bytes, lines))
    cut = data.draw(st.integers(0, len(raw)))
    path.write_bytes(raw[:cut])
    reader = Reader(path)

    first = reader.read()
    under_way = reader.under_way
    path.write_bytes(raw)

    assert first == lines[: raw[:cut].count(b"\n")]
    assert under_way is None or under_way.began_ns == lines[len(first)].began_ns
    assert [*first, *reader.read()] == lines


@given(st.binary(max_size=60))
def test_any_bytes_are_a_line_or_none(raw: bytes) -> None:
    line = parse_line(raw)

    assert line is None or line.began_ns >= 0
    assert line is None or line.is_under_way == raw.endswith(b" ")


def test_an_operation_under_way_is_as_old_as_now_says() -> None:
    assert operation(Line(100, "append", 7), 500) == Operation(100, 107)
    assert operation(Line(100, "append"), 500) == Operation(100, 500, has_ended=False)
    assert operation(Line(100, "append", None, "EIO"), 500) is None
