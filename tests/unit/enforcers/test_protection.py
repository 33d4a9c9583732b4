"""What the operator protects: only additions, only from a file that root owns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iotop_ng.enforcers.protection import operator_protection
from iotop_ng.errors import UsageError
from iotop_ng.policy.protect import Protection


def read(path: Path) -> Protection:
    """Read it as if the user of the test were root."""
    return operator_protection(path, os.geteuid())


def written(directory: Path, text: str) -> Path:
    path = directory / "protect.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_without_a_file_nothing_is_added(tmp_path: Path) -> None:
    assert read(tmp_path / "protect.toml") == Protection()


def test_programs_and_cgroups_are_added(tmp_path: Path) -> None:
    path = written(tmp_path, 'programs = ["postgres*"]\ncgroups = ["/db.slice"]\n')

    assert read(path) == Protection(programs=("postgres*",), cgroups=("/db.slice",))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("programs = 5\n", 1),
        ("\nprogram = ['a']\n", 2),
        ("[own]\npids = [1]\n", 1),
        ("programs = [\n", 0),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = written(tmp_path, text)

    with pytest.raises(UsageError) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}:{line}:" if line else f"{path}:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, "")
    path.chmod(mode)

    with pytest.raises(UsageError, match="others than root may write it"):
        read(path)


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "")

    with pytest.raises(UsageError, match="others than root"):
        operator_protection(path, os.geteuid() + 1)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    (tmp_path / "link").symlink_to(path)

    with pytest.raises(UsageError):
        read(tmp_path / "link")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match="UTF-8"):
        read(path)
