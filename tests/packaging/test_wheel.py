"""The wheel that is built from this checkout works in an empty environment, away from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
NO_REGISTRY = ("NewConnectionError", "Temporary failure in name resolution", "unreachable")
"""What pip says when no package index answers."""


def run(
    command: Sequence[str | Path], cwd: Path, *, expect: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run a command as a new user would: no Python settings, no configuration, no cache."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COV_", "IOTOP_NG_"))
    }
    environment |= {"XDG_CONFIG_HOME": str(cwd / "none"), "IOTOP_NG_CACHE_DIR": str(cwd / "cache")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the development environment's hatchling."""
    directory = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory], CHECKOUT)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an empty environment; return its `iotop-ng`."""
    home = tmp_path_factory.mktemp("environment with spaces")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    install: list[str | Path] = ["-m", "pip", "--python", python, "install", "--quiet", wheel]
    done = run([sys.executable, *install], home, expect=(0, 1))
    if done.returncode and any(sign in done.stderr for sign in NO_REGISTRY):
        pytest.skip("no package index answers: the wheel's dependencies cannot be installed")
    assert done.returncode == 0, done.stderr
    return home / "bin" / "iotop-ng"


def files_below(directory: str) -> set[str]:
    """Return the checkout's files below a directory, as paths relative to the checkout."""
    return {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / directory).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_program_its_c_its_rules_and_its_themes(wheel: Path) -> None:
    """Every file of bpf/, rules/ and themes/ is in it; no test, benchmark or CI file is."""
    names = set(zipfile.ZipFile(wheel).namelist())
    resources = files_below("bpf") | files_below("rules") | files_below("themes")
    shipped = {f"iotop_ng/{name}" for name in resources}

    assert shipped
    assert shipped - names == set()
    assert files_below("iotop_ng") - names == set()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"iotop_ng"}


def test_the_wheel_carries_its_licences(wheel: Path) -> None:
    """Apache-2.0 for the program, GPL-2.0 or BSD-2-Clause for the kernel's part."""
    names = zipfile.ZipFile(wheel).namelist()

    licences = {name.split("/licenses/")[1] for name in names if "/licenses/" in name}

    assert licences == {"LICENSE", "bpf/LICENSE.GPL-2.0", "bpf/LICENSE.BSD-2-Clause"}


def test_nothing_named_bcc_is_asked_of_the_package_index(wheel: Path) -> None:
    """The index's "bcc" is another project: it must never be a dependency."""
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    lines = archive.read(metadata).decode().splitlines()
    wanted = [line.split()[1] for line in lines if line.startswith("Requires-Dist:")]

    assert any(name.startswith("textual") for name in wanted)
    assert [name for name in wanted if name.lower().startswith("bcc")] == []


def test_the_installed_program_says_its_version(program: Path, tmp_path: Path) -> None:
    """The console script starts from another directory."""
    done = run([program, "--version"], tmp_path)

    assert "0.1.0" in done.stdout


def test_the_installed_program_examines_this_host(program: Path, tmp_path: Path) -> None:
    """Doctor works from the wheel: 0 when nothing essential is missing, 1 when something is."""
    done = run([program, "doctor"], tmp_path, expect=(0, 1))

    assert done.stdout.strip()
    assert "Traceback" not in done.stdout + done.stderr


def test_the_installed_program_measures_one_interval(program: Path, tmp_path: Path) -> None:
    """One batch interval, in both of the formats that people read and programs parse."""
    text = run([program, "-b", "-n", "1", "-d", "0.2"], tmp_path)
    lines = run([program, "-b", "-n", "1", "-d", "0.2", "--format", "json"], tmp_path)

    assert "Total DISK READ" in text.stdout
    (interval,) = [json.loads(line) for line in lines.stdout.splitlines()]
    assert interval["schema"] == 1
    assert interval["interval_s"] > 0
    assert "Traceback" not in text.stderr + lines.stderr
