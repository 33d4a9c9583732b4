"""-W changes what it has to in the user's file and keeps the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.cli import save
from iotop_ng.cli.screen import drawable, themed
from iotop_ng.config import Settings, file, load
from iotop_ng.config.checks import Given
from iotop_ng.config.layers import Flags
from iotop_ng.errors import IotopError, UsageError

USER = 4242


def flags(*, is_batch: bool = False, **items: object) -> Flags:
    given = {name.replace("_", "-"): Given(value, f"--{name}") for name, value in items.items()}
    return Flags(items=given, is_batch=is_batch)


def test_a_new_file_is_made_with_its_directory(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}

    said = save.run(flags(theme="light", source="auto", history="30"), environ, USER)

    path = tmp_path / ".config" / "iotop-ng" / "config.toml"
    assert said == f"saved theme, source, history in {path}"
    assert path.read_text() == 'history = 30\nsource = "auto"\ntheme = "light"\n'
    assert load(Flags(), environ, euid=USER).history_ticks == 30
    assert [one.name for one in path.parent.iterdir()] == ["config.toml"]


def test_options_of_batch_go_to_its_table(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}

    said = save.run(flags(is_batch=True, compat="py", theme="light", si=True), environ, USER)

    assert said.endswith("; not saved: --theme")
    settings = load(Flags(is_batch=True), environ, euid=USER)
    assert (settings.compat, settings.si) == ("py", True)


@pytest.mark.parametrize(
    ("before", "table", "after"),
    [
        ("", "", "si = true\n"),
        ("si = false # no\n", "", "si = true\n"),
        ("# a\n[keys]\nsi = 'x'\n", "", "si = true\n# a\n[keys]\nsi = 'x'\n"),
        ("a = 1\n[batch]\nb = 2\n", "batch", "a = 1\n[batch]\nsi = true\nb = 2\n"),
        ("[batch]\nsi = false\n[keys]\n", "batch", "[batch]\nsi = true\n[keys]\n"),
        ("[keys]\nx = 'y'\n", "batch", "[keys]\nx = 'y'\n[batch]\nsi = true\n"),
    ],
)
def test_only_the_line_of_the_option_changes(before: str, table: str, after: str) -> None:
    assert save.edited(before, {"si": True}, table) == after


@pytest.mark.parametrize(
    "before",
    ["columns = [\n  'pid',\n  'user',\n]\n", "batch.si = false\n", "x = '''\n[batch]\n'''\n"],
)
def test_what_cannot_be_edited_is_left_alone(before: str) -> None:
    values = {"columns": ("pid",)} if "columns" in before else {"si": True}

    with pytest.raises(IotopError, match="edit it"):
        save.edited(before, values, "batch" if "batch" in before else "")


def test_a_broken_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("theem = 1")

    with pytest.raises(UsageError, match="unknown key 'theem'"):
        save.run(flags(theme="light")._replace(config=path), {}, USER)

    assert path.read_text() == "theem = 1"


def test_under_sudo_nothing_is_written(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "SUDO_UID": "1000"}

    with pytest.raises(UsageError, match="without sudo"):
        save.run(flags(theme="light"), environ, 0)

    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("a file")

    with pytest.raises(IotopError, match="cannot be written"):
        save.run(flags(theme="light"), {"HOME": str(tmp_path)}, USER)


@given(st.text(max_size=30))
def test_any_text_is_saved_as_it_is_or_refused(text: str) -> None:
    try:
        after = save.edited("", {"theme": text}, "")
    except IotopError:
        return

    assert file.document(after, "x") == {"theme": text}


@pytest.mark.parametrize(
    ("settings", "theme"),
    [
        (Settings(), ""),
        (Settings(theme="light"), "light"),
        (Settings(color=False), "mono"),
        (Settings(color=False, theme="light", origins={"theme": "/x:1: theme"}), "mono"),
        (Settings(color=False, theme="light", origins={"theme": "--theme"}), "light"),
    ],
)
def test_no_colour_is_a_theme_unless_one_was_named(settings: Settings, theme: str) -> None:
    assert themed(settings).theme == theme


@pytest.mark.parametrize(
    ("encoding", "is_ascii"),
    [("utf-8", None), ("iso8859-1", True), ("ascii", True), ("no such encoding", True)],
)
def test_a_terminal_without_bars_gets_ascii(encoding: str, is_ascii: bool | None) -> None:
    assert drawable(Settings(), encoding).ascii is is_ascii
