"""Where guests cannot run, the reason is said; this needs no guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ability
from tests.guest import kernels, machine


@pytest.fixture
def x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(ability, "_has_bcc", lambda: True)


@pytest.mark.usefixtures("x86")
def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their Debian names."""
    monkeypatch.setattr(machine, "tool", lambda name: None if "qemu" in name else f"/bin/{name}")

    assert ability.lacking_for_guest_tests() == "not installed: qemu-system-x86"


@pytest.mark.usefixtures("x86")
def test_an_empty_cache_of_kernels_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And what fills it."""
    monkeypatch.setattr(machine, "tool", lambda name: f"/bin/{name}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert "make test-guest" in ability.lacking_for_guest_tests()


def test_the_cache_points_to_the_newest_kernel_and_keeps_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that is fetched once is used as it is, also when apt cannot be asked any more."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = kernels.cache_directory()
    for image in ("linux-image-6.1.0-1-amd64", "linux-image-6.1.0-2-amd64"):
        (cache / image).mkdir(parents=True)
    offered = iter(["6.1.0-1", "6.1.0-2", ""])

    def apt(*_: object, cwd: Path | None = None) -> str:
        del cwd
        version = next(offered)
        if not version:
            raise kernels.FetchError("no network")
        return f"linux-image-amd64\n  Depends: linux-image-{version}-amd64\n"

    monkeypatch.setattr(kernels, "run", apt)
    found = [kernels.fetch("linux-image-amd64").root.name for _ in range(3)]

    assert found == [f"linux-image-6.1.0-{number}-amd64" for number in (1, 2, 2)]
    assert [path.name for path in sorted(cache.iterdir())] == [
        "linux-image-6.1.0-2-amd64",
        "linux-image-amd64",
    ]
