from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from textual.color import Color as TextualColor
from textual.color import ColorParseError

from iotop_ng.errors import UsageError
from iotop_ng.view.theme_file import GROUND, LOOKS
from iotop_ng.view.themes import Theme, default_name, load_themes
from tests.unit.view import colours

SHIPPED = load_themes(None)
NAMES = tuple(SHIPPED)
PAINTED = tuple(name for name in NAMES if not SHIPPED[name].is_native)
"""Themes with colours of their own; the others use the terminal's."""
ROLES = ("", "read", "write", "latency", "muted")
STATES = ("", "hog", "suffering", "throttled", "dropping", "exited", "tagged")
NOT_TEXT = {"rule"}
"""Lines between things, which need 3:1 (WCAG 2.1, 1.4.11)."""


def as_256(colour: str) -> str:
    """Return what a terminal of 256 colours shows instead."""
    downgraded = Color.parse(colour).downgrade(ColorSystem.EIGHT_BIT)
    return downgraded.get_truecolor().hex


def assert_survives_256(colour: str) -> None:
    shown = as_256(colour)
    assert colours.is_grey(shown) == colours.is_grey(colour), (colour, shown)
    assert colours.difference(colour, shown) < 20, (colour, shown)
    if not colours.is_grey(colour):
        assert colours.hue_distance(colour, shown) < 15, (colour, shown)


def own_colours(theme: Theme) -> set[str]:
    looks = [theme.look(name) for name in theme.looks]
    used = {colour for look in looks for colour in (look.foreground, look.background)}
    return used | set(theme.ground.values()) | set(theme.series)


def test_the_shipped_themes_are_there() -> None:
    assert set(NAMES) >= {"dark", "light", "high-contrast", "colour-blind", "ansi16", "mono"}


@pytest.mark.parametrize("name", NAMES)
def test_a_theme_says_everything(name: str) -> None:
    theme = SHIPPED[name]

    assert set(theme.ground) == set(GROUND)
    assert set(theme.looks) == set(LOOKS)
    assert theme.series
    assert theme.about


@pytest.mark.parametrize("name", PAINTED)
def test_a_theme_keeps_its_colours_in_256(name: str) -> None:
    for colour in sorted(own_colours(SHIPPED[name])):
        assert_survives_256(colour)


@pytest.mark.parametrize("name", PAINTED)
def test_no_colour_that_textual_derives_turns_navy(name: str) -> None:
    variables = SHIPPED[name].textual().to_color_system().generate()
    variables.update(SHIPPED[name].css_variables())

    for value in variables.values():
        try:
            colour = TextualColor.parse(value)
        except ColorParseError:
            continue  # a text style
        if colour.a == 1 and colour.ansi is None:
            assert_survives_256(f"#{colour.r:02x}{colour.g:02x}{colour.b:02x}")


def test_the_check_for_256_colours_would_see_navy() -> None:
    assert as_256("#1a1b36") == "#00005f"
    with pytest.raises(AssertionError):
        assert_survives_256("#1a1b36")


@pytest.mark.parametrize("name", PAINTED)
def test_text_is_readable_on_its_background(name: str) -> None:
    """WCAG 2.1, 1.4.3: 4.5:1; 1.4.6: 7:1."""
    least = 7.0 if name == "high-contrast" else 4.5
    theme = SHIPPED[name]
    cells = [
        theme.cell_look(role, state, zebra=zebra, selected=selected)
        for role in ROLES
        for state in STATES
        for zebra in (False, True)
        for selected in (False, True)
    ]
    parts = [theme.look(look) for look in LOOKS if look not in NOT_TEXT]
    footer = [theme.look("footer", "key"), theme.look("header", "sorted")]

    for look in (*cells, *parts, *footer):
        assert colours.contrast(look.foreground, look.background) >= least, look


@pytest.mark.parametrize("name", PAINTED)
def test_textual_colours_are_readable_on_every_ground(name: str) -> None:
    ground = SHIPPED[name].ground
    least = 7.0 if name == "high-contrast" else 4.5

    for text in set(GROUND) - {"background", "surface", "panel"}:
        for below in ("background", "surface", "panel"):
            assert colours.contrast(ground[text], ground[below]) >= least, (text, below)


@pytest.mark.parametrize("name", PAINTED)
def test_lines_and_rules_stand_out(name: str) -> None:
    theme = SHIPPED[name]
    background = theme.ground["background"]

    for colour in (*theme.series, theme.look("rule").foreground):
        assert colours.contrast(colour, background) >= 3.0, colour


@pytest.mark.parametrize(
    "vision", [colours.PROTANOPIA, colours.DEUTERANOPIA, colours.TRITANOPIA, colours.NORMAL]
)
@pytest.mark.parametrize(
    "names",
    [
        ("read", "write", "latency"),
        ("hog", "suffering", "throttled", "dropping"),
        ("ok", "warning", "error"),
    ],
)
def test_colour_blind_readers_can_tell_them_apart(
    names: tuple[str, ...], vision: colours.Matrix
) -> None:
    theme = SHIPPED["colour-blind"]

    for one, other in combinations(names, 2):
        pair = theme.look(one).foreground, theme.look(other).foreground
        assert colours.difference(*pair, vision) > 15, (one, other)


@pytest.mark.parametrize("vision", [colours.PROTANOPIA, colours.DEUTERANOPIA, colours.NORMAL])
def test_lines_of_a_plot_can_be_told_apart(vision: colours.Matrix) -> None:
    for one, other in combinations(SHIPPED["colour-blind"].series, 2):
        assert colours.difference(one, other, vision) > 9, (one, other)


@pytest.mark.parametrize("name", PAINTED)
def test_heat_rises_evenly(name: str) -> None:
    """Away from the background, step by step, for every kind of vision."""
    theme = SHIPPED[name]
    steps = [colours.luminance(colour) for colour in theme.heat]
    if theme.kind == "light":
        steps = [-step for step in steps]

    assert steps == sorted(set(steps))
    assert len(steps) >= 8


def test_mono_has_no_colour() -> None:
    assert own_colours(SHIPPED["mono"]) == {"default"}
    assert SHIPPED["mono"].heat == ()
    variables = SHIPPED["mono"].textual().to_color_system().generate()
    variables.update(SHIPPED["mono"].css_variables())
    assert {value for value in variables.values() if "ansi_" in value} == {
        "ansi_default",
        "ansi_default 50%",
    }


def test_native_themes_leave_the_background_alone() -> None:
    for name in ("ansi16", "mono"):
        assert SHIPPED[name].ground["background"] == "default"


@pytest.mark.parametrize("name", ["ansi16", "mono"])
def test_states_differ_without_colour(name: str) -> None:
    """What a row is about is visible from attributes alone."""
    theme = SHIPPED[name]
    states = ("hog", "suffering", "throttled", "dropping", "exited")

    looks = [theme.looks[state]._replace(foreground="", background="") for state in states]

    assert len(set(looks)) == len(looks)


def test_exited_rows_stay_readable_when_selected() -> None:
    theme = SHIPPED["dark"]

    look = theme.cell_look("muted", "exited", selected=True)

    assert look.foreground == theme.ground["foreground"]
    assert look.background == theme.looks["selected"].background


def test_styles_lie_over_each_other() -> None:
    styles = SHIPPED["dark"].styles()

    laid = styles["text"] + styles["selected"] + styles["hog"]

    assert laid == SHIPPED["dark"].style("selected", "hog")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"TERM": "xterm-256color"}, "dark"),
        ({"TERM": "screen-256color"}, "dark"),
        ({"TERM": "xterm"}, "ansi16"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
        ({"TERM": "linux"}, "ansi16"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "mono"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "dark"),
    ],
)
def test_a_terminal_gets_a_theme_that_it_can_show(environ: dict[str, str], name: str) -> None:
    assert default_name(environ) == name


def test_a_users_theme_wins_by_name(tmp_path: Path) -> None:
    (tmp_path / "light.toml").write_text('based_on = "dark"\n[look]\nhog = "bold #ff0000"\n')

    themes = load_themes(tmp_path)

    assert themes["light"].looks["hog"].foreground == "#ff0000"
    assert themes["light"].looks["read"] == SHIPPED["dark"].looks["read"]
    assert themes["light"].kind == "dark"
    assert set(themes) == set(NAMES)


def test_a_users_theme_may_extend_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "dark.toml").write_text('[look]\nhog = "underline"\n')

    theme = load_themes(tmp_path)["dark"]

    assert theme.looks["hog"].attributes == ("underline",)
    assert theme.ground == SHIPPED["dark"].ground


def test_a_users_themes_may_extend_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('based_on = "b"\n')
    (tmp_path / "b.toml").write_text('based_on = "mono"\n[look]\nhog = "underline"\n')

    theme = load_themes(tmp_path)["a"]

    assert theme.kind == "mono"
    assert theme.looks["hog"].attributes == ("underline",)


def test_themes_that_are_based_on_each_other_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('based_on = "b"\n')
    (tmp_path / "b.toml").write_text('based_on = "a"\n')

    with pytest.raises(UsageError, match="based on itself"):
        load_themes(tmp_path)["a"]


def test_a_broken_theme_of_the_user_stops_only_itself(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[look]\nhogg = 'red'\n")
    (tmp_path / "fine.toml").write_text("[look]\nhog = 'red'\n")

    themes = load_themes(tmp_path)

    assert "fine" in themes
    assert "broken" not in set(themes)
    assert len(themes) == len(NAMES) + 1
    assert len(themes.problems) == 1
    with pytest.raises(UsageError, match="did you mean 'hog'"):
        themes["broken"]


def test_an_unknown_theme_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'light'"):
        SHIPPED["lihgt"]


def test_an_unknown_theme_is_not_there() -> None:
    assert "lihgt" not in SHIPPED
    assert SHIPPED.get("light") is SHIPPED["light"]


def test_a_missing_directory_is_no_error(tmp_path: Path) -> None:
    assert load_themes(tmp_path / "nowhere").problems == ()


def test_a_theme_that_cannot_be_read_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "directory.toml").mkdir()
    (tmp_path / "dangling.toml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "huge.toml").write_bytes(b"#" * 100_000)

    problems = load_themes(tmp_path).problems

    assert [problem.rpartition(": ")[2] for problem in problems] == [
        "not a file",
        "not a file",
        "more than 65536 bytes",
    ]
