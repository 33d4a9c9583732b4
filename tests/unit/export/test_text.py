"""iotop's two layouts, beside lines that the originals printed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.export.text import Options, cells, program
from iotop_ng.export.text_c import CText
from iotop_ng.export.text_py import PyText
from iotop_ng.model.fields import Mode
from iotop_ng.model.frame import Row
from iotop_ng.units import clean
from tests.fakes.intervals import MIB, busy, interval, row, with_delays

PROCESSES = Options(threads=False)
DD = busy(14509, "dd", "/usr/bin/dd if=/dev/zero of=x", 47.52 * 1024, 1850.55 * MIB)


def c(rows: Sequence[Row], options: Options = PROCESSES) -> list[str]:
    return CText(options).interval(interval(1, tuple(rows)), rows).decode().splitlines()


def py(rows: Sequence[Row], options: Options = PROCESSES, pid_width: int = 5) -> list[str]:
    text = PyText(options, pid_width=pid_width).interval(interval(1, tuple(rows)), rows)
    return text.decode().splitlines()


def test_an_interval_of_iotop_c() -> None:
    """Printed by iotop-c -b -n 2 -o beside a dd."""
    assert c([DD], PROCESSES._replace(threads=True)) == [
        "  Total DISK READ:   47.52 K/s |   Total DISK WRITE: 1850.55 M/s",
        "Current DISK READ:   47.52 K/s | Current DISK WRITE: 1851.49 M/s",
        "   TID PRIO     USER   DISK READ  DISK WRITE SWAPIN     IO COMMAND",
        " 14509 be/4 root         47.52 K/s 1850.55 M/s 0.00 % 0.00 % dd",
    ]


def test_a_row_of_python_iotop() -> None:
    """Printed by iotop -b -o -P beside a dd."""
    dd = busy(13415, "dd", "/usr/bin/dd if=/dev/zero of=x", 0.0, 2.2441 * 1024 * MIB)

    assert py([dd])[2:] == [
        "  PID  PRIO  USER     DISK READ  DISK WRITE  SWAPIN      IO    COMMAND",
        "13415 be/4 root        0.00 B/s    2.24 G/s ?unavailable?  dd if=/dev/zero of=x",
    ]


def test_totals_of_iotop_c_keep_the_number_of_fields() -> None:
    """Printed by iotop-c -aotqkP."""
    reader = busy(12, "kworker/u8:0", "", 409.6, 0.0)

    lines = c([reader], PROCESSES._replace(mode=Mode.TOTAL, kilobytes=True, quiet=2))

    assert lines[2] == "    12 be/4 root          4.00 K      0.00 K   0.00 % 0.00 % [kworker/u8:0]"
    assert lines[0].endswith(" K  ")


@pytest.mark.parametrize(
    ("value", "in_c", "in_python"),
    [
        (0.0, "   0.00 B/s", "   0.00 B/s"),
        (2047.0, "2047.00 B/s", "2047.00 B/s"),
        (2048.0, "2048.00 B/s", "   2.00 K/s"),
        (2049.0, "   2.00 K/s", "   2.00 K/s"),
        (2048.0 * 1024, "2048.00 K/s", "   2.00 M/s"),
        (1614.59 * MIB, "1614.59 M/s", "1614.59 M/s"),
        (2.0**63, "   8.00 E/s", "   8.00 E/s"),
        (2.0**80, "1024.00 Z/s", "1048576.00 E/s"),
    ],
)
def test_units_step_where_the_originals_do(value: float, in_c: str, in_python: str) -> None:
    one = busy(1, "x", "x", value, 0.0)

    assert c([one])[3][23:34] == in_c
    assert py([one])[3][20:].startswith(in_python)


def test_numbers_wider_than_their_field_grow() -> None:
    fields = c([DD], PROCESSES._replace(kilobytes=True))[3].split()

    assert fields[3:7] == ["47.52", "K/s", "1894963.20", "K/s"]


@pytest.mark.parametrize(
    ("io", "in_c", "in_python"),
    [
        (0.0, "0.00", "0.00"),
        (9.994, "9.99", "9.99"),
        (10.0, "10.00", "10.00"),
        (100.0, "100.00", "99.99"),
        (250.0, "100.00", "99.99"),
    ],
)
def test_shares_are_capped_as_in_the_originals(io: float, in_c: str, in_python: str) -> None:
    one = with_delays(DD, io, 10.0)

    assert c([one])[3].split()[7:11] == ["10.00", "%", in_c, "%"]
    assert py([one])[3].split()[7:11] == ["10.00", "%", in_python, "%"]


@pytest.mark.parametrize("pid", [1, 32767, 999_999, 4_194_303])
def test_ids_of_any_width_stay_the_first_field(pid: int) -> None:
    one = busy(pid, "x", "x", 1.0, 1.0)

    assert c([one])[3].split()[0] == str(pid)
    assert py([one], pid_width=7)[3].split()[0] == str(pid)


def test_python_subtracts_what_was_cancelled_and_c_does_not() -> None:
    one = busy(7, "rm", "rm", 0.0, 3 * MIB, cancelled=2 * MIB)
    more = busy(8, "rm", "rm", 0.0, 1 * MIB, cancelled=2 * MIB)

    assert c([one])[3].split()[5:7] == ["3.00", "M/s"]
    assert py([one])[3].split()[5:7] == ["1024.00", "K/s"]
    assert py([more])[3].split()[5:7] == ["0.00", "B/s"]


def test_the_busiest_row_comes_first_unless_an_order_was_asked_for() -> None:
    rows = [row(1, "idle", "idle"), busy(2, "r", "r", 9.0, 0.0), busy(3, "w", "w", 0.0, 10.0)]

    assert [line.split()[0] for line in c(rows)[3:]] == ["3", "2", "1"]
    assert [line.split()[0] for line in py(rows)[3:]] == ["3", "2", "1"]
    asked = PROCESSES._replace(is_sorted=True)
    assert [line.split()[0] for line in c(rows, asked)[3:]] == ["1", "2", "3"]


def test_strict_order_is_the_originals() -> None:
    strict = PROCESSES._replace(strict=True)
    rows = [row(1, "idle", "x"), busy(2, "r", "x", 99.0, 0.0), busy(3, "w", "x", 0.0, 10.0)]
    delayed = [with_delays(one, io) for one, io in zip(rows, (0.0, 0.0, 5.0), strict=True)]

    assert [line.split()[0] for line in c(delayed, strict)[3:]] == ["3", "1", "2"]
    assert [line.split()[0] for line in py(delayed, strict)[3:]] == ["3", "2", "1"]
    assert [line.split()[0] for line in py(rows, strict)[3:]] == ["3", "1", "2"]


def test_only_means_what_it_means_in_the_original() -> None:
    only = PROCESSES._replace(only_active=True)
    rows = [
        row(1, "idle", "x"),
        busy(2, "reader", "x", 1.0, 0.0),
        with_delays(row(3, "waiter", "x"), 1.0),
        busy(4, "deleter", "x", 0.0, 0.0, cancelled=5.0),
    ]

    assert {line.split()[0] for line in c(rows, only)[3:]} == {"2", "3"}
    assert {line.split()[0] for line in py(rows, only)[3:]} == {"2", "3", "4"}


def test_names_are_printed_as_often_as_asked() -> None:
    def intervals(quiet: int) -> list[int]:
        """Return the number of lines above the row, of three intervals."""
        writer = CText(PROCESSES._replace(quiet=quiet))
        frame = interval(1, (DD,))
        return [len(writer.interval(frame, (DD,)).splitlines()) - 1 for _ in range(3)]

    assert intervals(0) == [3, 3, 3]
    assert intervals(1) == [3, 2, 2]
    assert intervals(2) == [2, 2, 2]
    assert intervals(3) == [0, 0, 0]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/usr/bin/dd if=x", "dd"),
        ("dd", "dd"),
        ("./a/b/ c", "./a/b/"),
        ("postgres: wal writer /x", "postgres: wal writer /x"),
        ("/", "/"),
        ("-bash", "-bash"),
    ],
)
def test_the_program_is_the_last_part_of_the_first_word(command: str, expected: str) -> None:
    assert program(command) == expected


def test_a_threads_own_name_is_shown_in_brackets() -> None:
    main = busy(7, "java", "/bin/java -jar x", 1.0, 0.0)
    thread = busy(7, "GC", "/bin/java -jar x", 1.0, 0.0, tid=71)
    frame = interval(1, (main,), (thread,))

    full = CText(Options(full_command=True)).interval(frame, (thread,)).decode()
    python = PyText(Options(), pid_width=5).interval(frame, (thread,)).decode()

    assert full.splitlines()[3].endswith("% [GC]/bin/java -jar x")
    assert python.splitlines()[3].endswith("?unavailable?  java -jar x [GC]")


# Anything that a cleaned name can hold.
NAMES = st.text(max_size=40).map(clean)
WORDS = NAMES.map(lambda name: "".join(name.split()) or "x")
NUMBERS = st.floats(0, 1e18)


@given(
    pid=st.integers(1, 1 << 22),
    user=WORDS,
    comm=WORDS,
    command=NAMES,
    read=NUMBERS,
    write=NUMBERS,
    io=st.floats(0, 200),
    kilobytes=st.booleans(),
)
def test_readers_find_their_fields(  # noqa: PLR0917
    pid: int,
    user: str,
    comm: str,
    command: str,
    read: float,
    write: float,
    io: float,
    kilobytes: bool,
) -> None:
    """Fields 4 to 11 of iotop-c's layout are four numbers, each with its unit."""
    one = with_delays(busy(pid, comm, command, read, write, user=user), io, io)

    line = c([one], PROCESSES._replace(kilobytes=kilobytes))[3]

    fields = line.split()
    assert fields[0] == str(pid)
    assert fields[1] == "be/4"
    scale = {letter: 1024.0**step for step, letter in enumerate("BKMGTPE")}
    for place, expected in ((3, read), (5, write)):
        value, unit = fields[place : place + 2]
        assert float(value) * scale[unit[0]] == pytest.approx(expected, rel=0.01, abs=6)
        assert unit[1:] == "/s"
    assert [fields[8], fields[10]] == ["%", "%"]
    assert float(fields[9]) == pytest.approx(min(io, 100.0), abs=0.006)


@given(st.text(max_size=30).map(clean), st.integers(1, 12))
def test_cells_have_exactly_their_width(text: str, width: int) -> None:
    found = cells(text, width)

    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in found)
    assert len(found) + wide == width


@given(NAMES, NAMES)
def test_a_row_is_one_line_whatever_it_is_called(comm: str, command: str) -> None:
    one = busy(7, comm, command, 1.0, 1.0)

    text = CText(PROCESSES._replace(full_command=True)).interval(interval(1, (one,)), (one,))
    python = PyText(PROCESSES, pid_width=5).interval(interval(1, (one,)), (one,))

    assert text.count(b"\n") == 4
    assert python.count(b"\n") == 4
    assert b"\x1b" not in text + python
