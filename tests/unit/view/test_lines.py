"""Lines of the screen as text: what goes when it is narrow, what stays, and what is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from iotop_ng.model.fields import BY_ID, DEFAULT, Mode
from iotop_ng.model.query import Placed
from iotop_ng.view.widgets import columns
from iotop_ng.view.widgets.cells import Look, Marks, RowPainter
from iotop_ng.view.widgets.devicelines import active, device_lines
from iotop_ng.view.widgets.firstline import Status, banner, first_line
from iotop_ng.view.widgets.ink import ASCII, UNICODE, Ink, cells, fit, pack
from iotop_ng.view.widgets.marks import HOG_FLOOR, hog_threshold, mark
from tests.fakes import frames

LOOK = Look("write_bytes_per_s", False, Mode.RATE, True, False, False)
PLAIN = Marks("", False, False, False)


def joined(line: object) -> str:
    assert isinstance(line, list)
    return "".join(text for text, _ in line)


class TestFit:
    @given(st.text(st.characters(categories=["L", "N", "P", "Zs"])), st.integers(0, 40))
    def test_it_is_exactly_as_wide_as_asked(self, text: str, width: int) -> None:
        assert cell_len(fit(text, width)) == width

    def test_what_is_cut_says_so(self) -> None:
        assert fit("abcdef", 4) == "abc…"
        assert fit("abcd", 4) == "abcd"
        assert fit("宽宽宽", 4, "~") == "宽 ~"
        assert fit("ab", 4) == "ab  "


class TestPack:
    def test_the_least_important_go_first_and_rank_0_never(self) -> None:
        pieces = [(0, [("aaaa", "")]), (2, [("bbbb", "")]), (1, [("cccc", "")])]

        assert joined(pack(pieces, 12)) == "aaaabbbbcccc"
        assert joined(pack(pieces, 11)) == "aaaacccc"
        assert joined(pack(pieces, 3)) == "aaaa"

    def test_the_right_part_is_at_the_right_edge(self) -> None:
        assert joined(pack([(0, [("a", "")])], 9, [("12:00", "")])) == "a   12:00"


class TestFirstLine:
    def test_flags_stay_when_everything_else_goes(self) -> None:
        status = Status("node7", 1.0, ("PAUSED", "FILTER x"))
        for width in range(40, 200, 7):
            line = joined(first_line(frames.frame(), status, UNICODE, width))
            assert " PAUSED " in line
            assert " FILTER x " in line
            assert line.endswith("08:01:00 ")

    def test_health_is_a_sign_and_not_only_a_colour(self) -> None:
        healthy = replace(frames.frame(), lost=0)
        status = Status("node7", 1.0)
        signs = [
            next(text for text, role in first_line(frame, status_, UNICODE, 120) if role == kind)
            for frame, status_, kind in (
                (healthy, status, "ok"),
                (frames.frame(), status, "warning"),
                (healthy, status._replace(failure="gone"), "error"),
            )
        ]
        assert len(set(signs)) == 3

    @pytest.mark.parametrize("width", [40, 60, 80, 200])
    def test_the_remedy_of_a_long_note_is_never_cut(self, width: int) -> None:
        note = "no BPF: this kernel lacks one thing and another thing as well: sudo iotop-ng"
        frame = frames.frame(notes=[note, "second", "third"])
        (line,) = banner(frame, Status("", 1.0), ASCII, width, room=1)

        assert "sudo iotop-ng" in joined(line)
        assert "+2" in joined(line).replace("+ 2", "+2")
        assert cells(line) == width


class TestDevices:
    def test_the_busiest_come_first_and_stacked_ones_last(self) -> None:
        devices = [
            frames.device("dm-0", 0.9),
            frames.device("sda", 0.1),
            frames.device("sdb", 0.5),
            frames.device("sdc", 0.0),
        ]
        assert [device.name for device in active(devices)] == ["sdb", "sda", "dm-0"]

    def test_columns_of_all_lines_are_below_each_other(self) -> None:
        devices = [frames.device(f"sd{n}", 100.0**-n) for n in range(3)]
        frame = frames.frame(devices=devices)
        lines = device_lines(frame, 3, UNICODE, 160, ascii_only=False, si=False)

        texts = [joined(line) for line in lines]
        for word in (" R ", "iops", "p99", "queue", "util"):
            assert len({text.index(word) for text in texts}) == 1, (word, texts)

    def test_a_word_about_hidden_devices_does_not_shift_its_line(self) -> None:
        devices = [frames.device(f"sd{n}", 100.0**-n) for n in range(4)]
        frame = replace(frames.frame(devices=devices), kernel_pause_ms_per_s=0.0)
        first, second = (
            joined(line) for line in device_lines(frame, 2, UNICODE, 80, ascii_only=False, si=False)
        )

        assert second.rstrip().endswith("+2")
        for word in ("iops", "p99", "queue", "util"):
            assert first.index(word) == second.index(word)

    def test_a_narrow_line_still_says_that_the_kernel_throttles(self) -> None:
        devices = [frames.device(f"sd{n}", 100.0**-n) for n in range(4)]
        frame = replace(frames.frame(devices=devices), kernel_pause_ms_per_s=100.0)
        lines = device_lines(frame, 2, UNICODE, 80, ascii_only=False, si=False)

        assert "throttled by kernel" in joined(lines[0])


class TestMarks:
    def test_a_hog_writes_much_and_much_of_all(self) -> None:
        frame = replace(frames.frame(), write_bytes_per_s=100.0 * HOG_FLOOR)
        threshold = hog_threshold(frame)
        writer = frames.row(1, "w")

        assert mark(replace(writer, write_bytes_per_s=39.0 * HOG_FLOOR), threshold) == ""
        assert mark(replace(writer, write_bytes_per_s=41.0 * HOG_FLOOR), threshold) == "hog"
        quiet = replace(frame, write_bytes_per_s=10.0)
        assert mark(replace(writer, write_bytes_per_s=10.0), hog_threshold(quiet)) == ""

    def test_unknown_rates_mark_nothing_and_ended_rows_are_only_that(self) -> None:
        unknown = frames.first_frame().rows[0]
        assert mark(unknown, 0.0) == ""
        assert mark(replace(unknown, exited=True, latency_p99_us=1e9), 0.0) == "exited"


class TestRowPainter:
    @pytest.mark.parametrize("width", [40, 80, 120, 200])
    @pytest.mark.parametrize("mode", list(Mode))
    @pytest.mark.parametrize("ascii_only", [False, True])
    def test_every_line_is_as_wide_as_the_table(
        self, width: int, mode: Mode, *, ascii_only: bool
    ) -> None:
        places = columns.place([BY_ID[name] for name in DEFAULT], width)
        ink = Ink(ascii_only=ascii_only)
        painter = RowPainter(ink, places, LOOK._replace(mode=mode), width)
        frame = frames.frame()
        for row in frame.rows:
            strip = painter.strip(Placed(row, 0, True), frame, PLAIN)
            assert sum(cell_len(segment.text) for segment in strip) == width
            assert strip.text.isascii() or not ascii_only

    def test_numbers_end_below_the_end_of_their_title(self) -> None:
        places = columns.place([BY_ID[name] for name in DEFAULT], 200)
        painter = RowPainter(Ink(), places, LOOK, 200)
        frame = frames.frame()
        write = next(place for place in places if place.column.id == "write_bytes_per_s")
        for row in frame.rows:
            text = painter.strip(Placed(row, 0, True), frame, PLAIN).text
            assert text[write.x + write.width - 1] != " "
            assert text[write.x + write.width] == " "

    def test_only_a_line_that_cannot_change_is_steady(self) -> None:
        places = columns.place([BY_ID[name] for name in DEFAULT], 200)
        painter = RowPainter(Ink(), places, LOOK, 200)
        averages = RowPainter(Ink(), places, LOOK._replace(mode=Mode.AVERAGE), 200)
        frame = frames.frame()
        idle, busy = frames.row(1, "idle"), frames.row(2, "busy", write=1e6)
        young = replace(idle, first_tick=frame.tick - 3)

        assert painter.is_steady(idle, frame)
        assert not painter.is_steady(busy, frame)
        assert not painter.is_steady(young, frame)
        assert not averages.is_steady(idle, frame)

    def test_a_steady_line_is_the_same_in_the_next_frame(self) -> None:
        places = columns.place([BY_ID[name] for name in DEFAULT], 200)
        for sort in ("write_bytes_per_s", "read_bytes_per_s", "latency_p99_us"):
            painter = RowPainter(Ink(), places, LOOK._replace(sort=sort), 200)
            for row in frames.frame().rows:
                if painter.is_steady(row, frames.frame()):
                    placed = Placed(row, 0, True)
                    now = painter.strip(placed, frames.frame(), PLAIN)
                    later = painter.strip(placed, frames.frame(99, rows=()), PLAIN)
                    assert now.text == later.text
