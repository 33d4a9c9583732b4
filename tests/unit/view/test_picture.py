"""A picture is a new file, whatever is in the way."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from iotop_ng.view import picture
from tests.fakes import frames


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)


def test_the_name_says_when(tmp_path: Path) -> None:
    path = picture.save("<svg/>", frames.frame(), tmp_path)

    assert path.name.startswith("iotop-ng-20")
    assert path.read_text() == "<svg/>"
    assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0


def test_nothing_is_overwritten_and_no_link_is_followed(tmp_path: Path) -> None:
    name = picture.save("first", frames.frame(), tmp_path)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    name.unlink()
    name.symlink_to(precious)

    second = picture.save("second", frames.frame(), tmp_path)

    assert precious.read_text() == "mine"
    assert second != name
    assert second.read_text() == "second"


def test_a_hundred_pictures_of_one_second_are_enough(tmp_path: Path) -> None:
    for _ in range(100):
        picture.save("x", frames.frame(), tmp_path)
    with pytest.raises(FileExistsError):
        picture.save("x", frames.frame(), tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_under_sudo_it_belongs_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "12346")
    path = picture.save("x", frames.frame(), tmp_path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)
