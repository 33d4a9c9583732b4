from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.errors import UsageError
from iotop_ng.view.theme_file import Look, parse


def error_of(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse("mine", text.encode(), "mine.toml")
    return str(caught.value)


def test_a_look_is_attributes_colour_and_background() -> None:
    found = parse("mine", b"[look]\nhog = 'bold underline #FF8787 on red'\n", "mine.toml")

    assert found.looks == {"hog": Look(("bold", "underline"), "#ff8787", "red")}


@pytest.mark.parametrize(
    ("text", "look"),
    [("", Look()), ("on #000000", Look(background="#000000")), ("bold", Look(("bold",)))],
)
def test_every_part_of_a_look_may_be_missing(text: str, look: Look) -> None:
    assert parse("mine", f"[look]\nhog = '{text}'\n".encode(), "").looks["hog"] == look


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[look]\nhgo = 'red'", "[look] unknown key 'hgo' (did you mean 'hog'?)"),
        ("[lok]\nhog = 'red'", "unknown key 'lok' (did you mean 'look'?)"),
        ("[look]\nhog = '#ff00'", "look.hog: bad colour '#ff00'; expected #rrggbb"),
        ("[look]\nhog = 'redd'", "look.hog: bad colour 'redd' (did you mean 'red'?)"),
        ("[look]\nhog = 'red blue'", "look.hog: 'red blue': expected '[bold] [colour]"),
        ("[look]\nhog = 'red on'", "look.hog: 'red on': expected"),
        ("[look]\nhog = 3", "look.hog: expected a string like"),
        ("[ground]\nbackground = 3", "ground.background: bad colour '3'"),
        ("[plot]\nheat = 'red'", "plot.heat: expected a list of colours"),
        ("[plot]\nseries = ['red', 'rot']", "plot.series: bad colour 'rot'"),
        ("look = 3", "look: expected a table, [look]"),
        ("kind = 'bright'", "kind 'bright': expected one of dark, light, ansi, mono"),
        ("kind = 3", "kind: expected a string in quotes"),
        ("look", "mine.toml: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, words: str) -> None:
    message = error_of(text)

    assert message.startswith("theme mine.toml: ")
    assert words in message
    assert "\n" not in message


def test_a_message_carries_no_control_characters() -> None:
    assert "\x1b" not in error_of('[look]\n"\\u001b[31m" = "red"\n')


def test_what_is_no_utf_8_is_said() -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        parse("mine", b"\xff", "mine.toml")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    with contextlib.suppress(UsageError):
        assert parse("mine", raw, "mine.toml").name == "mine"


def test_deep_nesting_is_refused() -> None:
    assert "theme mine.toml: " in error_of("x = " + "[" * 5000)


def test_a_look_is_laid_over_another() -> None:
    below = Look(("bold",), "red", "blue")

    assert below.under(Look(("bold", "dim"), "", "green")) == Look(("bold", "dim"), "red", "green")
