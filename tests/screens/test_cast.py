"""The recording in docs/ is clean, small, and shows what it is there to show."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest

from tests.cast.cast import NEUTRAL, Cast, load, neutral, text_of
from tests.cast.picture import cells, picture

DOCS = Path(__file__).resolve().parents[2] / "docs"
CAST, PICTURE = DOCS / "demo.cast", DOCS / "demo.svg"
MINUTE_BYTES = 1 << 20


@lru_cache(maxsize=1)
def recording() -> tuple[dict[str, object], Cast, tuple[str, ...]]:
    """Return the head, the recording, and every screen of it as text."""
    head, cast = load(CAST)
    return head, cast, tuple(text_of(screen) for _, screen in cast.screens())


def screens(*words: str) -> list[str]:
    """Return the screens that show all of these."""
    return [text for text in recording()[2] if all(word in text for word in words)]


def row(text: str, name: str) -> str:
    """Return the table's row of a program."""
    found = [line for line in text.splitlines() if line.rstrip().endswith(name)]
    return found[0] if found else ""


def test_it_says_nothing_of_where_and_when_it_was_made() -> None:
    head, _, _ = recording()
    assert set(head) == set(NEUTRAL)
    assert (head["width"], head["height"]) == (80, 24)
    text = CAST.read_text("utf-8")
    for word in ("/work", "/home", "/root", "/tmp"):
        assert word not in text


def test_it_has_no_sequence_that_a_viewers_terminal_would_answer_or_keep() -> None:
    assert recording()[1].strays() == []


def test_it_is_small_and_about_a_minute() -> None:
    _, cast, _ = recording()
    assert CAST.stat().st_size <= MINUTE_BYTES * cast.seconds / 60
    assert 40 <= cast.seconds <= 120


def test_the_problem_has_the_hog_on_top() -> None:
    found = screens("guide 2/6", "▶ press t")
    assert any("▶" in row(text, "log-flood") for text in found)
    assert any("!" in row(text, "log-flood") for text in found)


def test_the_throttle_is_in_its_row() -> None:
    assert any("throttle 5M" in row(text, "log-flood") for text in screens("guide 3/6"))


def test_dropping_is_shown_or_why_it_is_not() -> None:
    dropped = any("drop" in row(text, "log-flood") for text in screens("guide 4/6"))
    assert dropped or screens("guide 4/6", "Drop: not here")


def test_the_guard_holds_it_without_a_key() -> None:
    found = screens("guide 5/6", "Guard: nobody presses a key")
    assert any("throttle" in row(text, "log-flood") for text in found)


def test_everything_is_released_in_the_end() -> None:
    last = screens("guide 6/6")[-1]
    assert "POLIC" not in last.splitlines()[0]
    for phase in ("alone", "flood", "throttle", "guard"):
        assert any(line.split()[:1] == [phase] for line in last.splitlines())


def test_the_terminal_is_left_with_the_figures_on_it() -> None:
    _, cast, texts = recording()
    assert "".join(data for _, data in cast.events).count("\x1b[?1049l") == 1
    assert "as victim measured it" in texts[-1]
    assert "guide" not in texts[-1]


def test_what_the_picture_shows_is_in_the_recording() -> None:
    text = PICTURE.read_text("utf-8")
    assert text.count('<g class="s"') >= 4
    assert "log-flood" in text
    assert len(text) < 500_000


def test_a_recording_loses_its_place_and_time() -> None:
    head = {"version": 2, "width": 80, "height": 24, "timestamp": 1, "command": "/x/y", "env": {}}
    first, rest = neutral(json.dumps(head) + '\n[0.1, "o", "hi"]\n').split("\n", 1)
    assert json.loads(first)["env"] == {"TERM": "xterm-256color"}
    assert set(json.loads(first)) == set(NEUTRAL)
    assert rest == '[0.1, "o", "hi"]\n'


@pytest.mark.parametrize("stray", ["\x1b[?2026$p", "\x1b[?1000h", "\x1b[>25u", "\x1b]22;x\x07"])
def test_a_stray_sequence_is_found(stray: str) -> None:
    cast = Cast(80, 24, ((0.0, f"\x1b[1;1Hgood{stray}"),))
    assert len(cast.strays()) == 1


def test_the_picture_has_colours_and_escapes_what_is_text() -> None:
    cast = Cast(10, 2, ((0.0, "\x1b[38;2;1;2;3m<&>\x1b[0m"),))
    shots = [cells(screen) for _, screen in cast.screens()]
    made = picture(shots)
    assert "&lt;&amp;&gt;" in made
    assert 'fill="#010203"' in made
