"""Settings: which place wins, what is refused, and what a message says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.config import Settings, checks, file, load
from iotop_ng.config.checks import Given
from iotop_ng.config.items import ITEMS
from iotop_ng.config.layers import Flags
from iotop_ng.errors import UsageError
from iotop_ng.sample import PID_BITS

USER = 4242


def write(home: Path, text: str | bytes) -> Path:
    path = home / ".config" / "iotop-ng" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def flags(*, is_batch: bool = False, **items: Any) -> Flags:
    given = {
        name.replace("_", "-"): Given(value, f"--{name.replace('_', '-')}")
        for name, value in items.items()
    }
    return Flags(items=given, is_batch=is_batch)


def loaded(
    home: Path, said: Flags | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    return load(said or Flags(), {"HOME": str(home), **(environ or {})}, euid=USER)


def outcome(said: Flags, home: Path) -> Settings | str:
    """Return the settings, or the complaint."""
    try:
        return loaded(home, said)
    except UsageError as error:
        return str(error)


def complaint(home: Path, said: Flags | None = None, **environ: str) -> str:
    with pytest.raises(UsageError) as caught:
        loaded(home, said, environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)

    assert settings == Settings(config_dir=tmp_path / ".config" / "iotop-ng")


def test_a_flag_wins_over_environment_over_file_and_each_is_remembered(tmp_path: Path) -> None:
    path = write(tmp_path, 'interval = 3\nhistory = 30\n\ntheme = "light"\n')
    environ = {"IOTOP_NG_INTERVAL": "2", "IOTOP_NG_HISTORY": "20"}

    settings = loaded(tmp_path, flags(interval="0.5"), environ)

    assert (settings.interval_s, settings.history_ticks, settings.theme) == (0.5, 20, "light")
    assert settings.origins == {
        "interval_s": "--interval",
        "history_ticks": "IOTOP_NG_HISTORY",
        "theme": f"{path}:4: theme",
    }


def test_no_color_turns_colour_off_unless_a_flag_wants_it(tmp_path: Path) -> None:
    environ = {"NO_COLOR": "1"}

    assert loaded(tmp_path, None, environ).color is False
    assert loaded(tmp_path, flags(color=True), environ).color is True
    assert loaded(tmp_path, None, {"NO_COLOR": ""}).color is True


def test_batch_reads_only_its_own_table(tmp_path: Path) -> None:
    """What a user likes on the screen must not change what a script reads."""
    write(tmp_path, 'interval = 5\nonly = true\n[batch]\nsi = true\ncompat = "py"\n')

    batch, screen = loaded(tmp_path, flags(is_batch=True)), loaded(tmp_path)

    assert (batch.interval_s, batch.only_active, batch.si, batch.compat) == (1.0, False, True, "py")
    assert (screen.interval_s, screen.only_active, screen.si) == (5.0, True, False)


@pytest.mark.parametrize(
    ("items", "is_batch"),
    [
        ({}, False),
        ({"timestamps": True}, True),
        ({"quiet": 1}, True),
        ({"format": "json"}, True),
        ({"format": "text"}, False),
        ({"compat": "py"}, False),
    ],
)
def test_iotops_flags_of_batch_imply_it(
    tmp_path: Path, items: dict[str, Any], is_batch: bool
) -> None:
    assert loaded(tmp_path, flags(**items)).batch is is_batch


def test_no_terminal_means_batch_and_says_why(tmp_path: Path) -> None:
    settings = load(Flags(), {"HOME": str(tmp_path)}, euid=USER, has_terminal=False)

    assert settings.batch
    assert settings.origins["batch"] == "stdout is no terminal"


def test_rows_are_threads_in_text_and_processes_elsewhere(tmp_path: Path) -> None:
    assert loaded(tmp_path, flags(is_batch=True)).threads is True
    assert loaded(tmp_path, flags(is_batch=True, format="csv")).threads is False
    assert loaded(tmp_path, flags(is_batch=True, threads=False)).threads is False
    assert loaded(tmp_path).threads is False


def test_hidden_and_shown_columns_change_the_default_set(tmp_path: Path) -> None:
    from iotop_ng.model.fields import DEFAULT

    shown = {"prio": True, "read": False, "swapin": True, "user": True}

    settings = loaded(tmp_path, Flags(shown=shown))

    assert set(settings.columns) == set(DEFAULT) - {"read_bytes_per_s"} | {"prio", "swapin_pct"}
    assert settings.columns[-3:] == ("prio", "swapin_pct", "command")


def test_columns_are_known_by_id_and_by_title(tmp_path: Path) -> None:
    settings = loaded(tmp_path, flags(columns="pid,WRITE,disk w/s,p99,command,pid"))

    assert settings.columns == (
        "pid",
        "write_bytes_per_s",
        "disk_write_bytes_per_s",
        "latency_p99_us",
        "command",
    )


def test_the_graph_type_sets_the_order_unless_one_is_given(tmp_path: Path) -> None:
    graph = Given("r", "--grtype")

    assert loaded(tmp_path, Flags(graph=graph)).sort == "read_bytes_per_s"
    with_sort = Flags(graph=graph, items={"sort": Given("p99", "--sort")})
    assert loaded(tmp_path, with_sort).sort == "latency_p99_us"


def test_keys_are_a_table_of_texts_or_lists(tmp_path: Path) -> None:
    write(tmp_path, '[keys]\nquit = "q, x"\nhelp = ["f1", "h"]\n')

    assert loaded(tmp_path).keys == {"quit": "q,x", "help": "f1,h"}


def test_users_are_named_as_rows_show_them(tmp_path: Path) -> None:
    settings = loaded(tmp_path, flags(users=["root,+0", "4000000001"]))

    assert settings.users == {"root", "4000000001"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("intervall = 1", ":1: unknown key 'intervall' (did you mean 'interval'?)"),
        ("x = 1\n", ":1: unknown key 'x'"),
        ("[bath]\n", ":1: unknown key 'bath' (did you mean 'batch'?)"),
        ("[batch]\n\nthem = 1", ":3: unknown key 'them'"),
        ("[batch]\ntheme = 'x'", ":2: theme can only be an option or stand before [batch]"),
        ("format = 'json'", ":1: format belongs into [batch]"),
        ("pids = 1", ":1: pids can only be an option"),
        ("\ninterval = 0", ":2: interval '0': expected seconds, 0.01 to 86400, such as 0.5"),
        ("interval = true", ":1: interval 'True': expected seconds"),
        ("interval = nan", "interval 'nan': expected seconds"),
        ("interval = [1]", "expected seconds"),
        ("only = 'perhaps'", ":1: only 'perhaps': expected true or false"),
        ("history = 1", ":1: history '1': expected a whole number, 2 to 3600"),
        ("columns = ['pid', 'comand']", "no column 'comand' (did you mean 'command'?)"),
        ("columns = [1.5]", "expected text"),
        (
            "view = 'device'",
            "expected processes, devices, policies, probes, 1, 3, 7 or 8 (did you mean 'devices'",
        ),
        ("keys = 1", ":1: keys '1': expected a table"),
        ("[keys]\nquit = 1", "action 'quit': expected the name of a key"),
        ("batch = 1", "batch: expected a table"),
        ("interval = ", "Invalid value (at end of document)"),
        ("a = 1\na = 2", "Cannot overwrite a value"),
        ("x = " + "[" * 3000, "nested too deeply"),
        ("x = " + "9" * 5000, "Exceeds the limit"),
        (b"theme = '\xff'", "not UTF-8"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_place(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    path = write(tmp_path, text)

    message = complaint(tmp_path)

    assert message.startswith(str(path))
    assert expected in message


def test_every_place_is_checked_even_where_another_one_wins(tmp_path: Path) -> None:
    write(tmp_path, "interval = -1")

    assert "interval '-1'" in complaint(tmp_path, flags(interval="2"))
    assert "interval '-1'" in complaint(tmp_path, flags(is_batch=True))


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    message = complaint(tmp_path, IOTOP_NG_VIEW="9")

    assert message.startswith("IOTOP_NG_VIEW '9': expected processes")


def test_what_is_shown_of_a_wrong_value_is_short_and_clean(tmp_path: Path) -> None:
    message = complaint(tmp_path, IOTOP_NG_INTERVAL="\x1b[31m\n" + "9" * 500)

    assert "\x1b" not in message
    assert len(message) < 200


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    path = tmp_path / ".config" / "iotop-ng" / "config.toml"
    path.mkdir(parents=True)
    assert "cannot be read: Is a directory" in complaint(tmp_path)

    path.rmdir()
    os.mkfifo(path)
    assert "not a file" in complaint(tmp_path)

    path.unlink()
    path.symlink_to("config.toml")
    assert "cannot be read" in complaint(tmp_path)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "#" * (file.SIZE_LIMIT + 1))

    assert "more than 1048576 bytes" in complaint(tmp_path)


def test_a_named_file_has_to_exist_and_replaces_the_users(tmp_path: Path) -> None:
    write(tmp_path, "interval = 5")
    other = tmp_path / "other.toml"

    assert "cannot be read: No such file" in complaint(tmp_path, Flags(config=other))

    other.write_text("history = 9")
    settings = loaded(tmp_path, Flags(config=other))
    assert (settings.interval_s, settings.history_ticks) == (1.0, 9)
    assert settings.themes_dir == tmp_path / "themes"


def test_xdg_config_home_counts_only_when_absolute() -> None:
    environ = {"HOME": "/home/ada", "XDG_CONFIG_HOME": "/cfg"}

    assert file.own_directory(environ, USER) == Path("/cfg/iotop-ng")
    relative = environ | {"XDG_CONFIG_HOME": "cfg"}
    assert file.own_directory(relative, USER) == Path("/home/ada/.config/iotop-ng")


@pytest.mark.parametrize(
    ("uid", "euid", "expected"),
    [("1000", 0, 1000), ("1000", 1000, None), ("0", 0, None), ("x", 0, None), ("", 0, None)],
)
def test_the_user_behind_sudo_is_known_only_to_root(
    uid: str, euid: int, expected: int | None
) -> None:
    assert file.invoking_user({"SUDO_UID": uid}, euid) == expected


def test_a_file_of_somebody_else_is_not_shown_to_the_user_behind_sudo(tmp_path: Path) -> None:
    """A link to a file that only root may read must not become a way to read it."""
    secret = tmp_path / "secret"
    secret.write_text("password = 'x'")
    found = file.Found(tmp_path, secret, owner=os.getuid() + 1)

    with pytest.raises(UsageError) as caught:
        file.read(found)

    assert "does not belong to the user behind sudo" in str(caught.value)
    assert "password" not in str(caught.value)


def test_the_highest_pid_is_the_models() -> None:
    assert checks.HIGHEST_PID == 1 << PID_BITS


TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.tuples(
            st.sampled_from([*ITEMS, "batch", "[batch]", "[keys]", "quit"]),
            st.sampled_from(
                ["1", "-1", "'x'", "true", "[]", "['pid']", "1e400", "nan", "{}", "[[1]]"]
            ),
        ).map(lambda pair: pair[0] if pair[0].startswith("[") else f"{pair[0]} = {pair[1]}"),
        max_size=6,
    ).map("\n".join),
)


@given(TEXTS)
def test_any_text_is_settings_or_a_complaint_of_one_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    home = tmp_path_factory.getbasetemp() / "any"
    write(home, text.encode("utf-8", "surrogatepass"))

    result = outcome(Flags(), home)

    if isinstance(result, str):
        assert result.isprintable()
    else:
        assert result.interval_s > 0


@given(st.sampled_from(sorted(set(ITEMS) - {"keys"})), st.text(max_size=40))
def test_any_value_of_an_option_is_kept_or_refused(name: str, value: str) -> None:
    said = Flags(items={name: Given(value, f"--{name}")})

    result = outcome(said, Path("/nonexistent"))

    if isinstance(result, str):
        assert result.startswith(f"--{name} ")
        assert result.isprintable()
