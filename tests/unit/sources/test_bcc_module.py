"""Finding the distribution's BCC, and never taking another package for it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotop_ng.errors import SourceError
from iotop_ng.sources.bcc_module import PATH_VARIABLE, find_bcc, locate_bcc

DEBIAN = "usr/lib/python3/dist-packages"
REAL = 'from .libbcc import lib\nclass BPF:\n    """Loads programs."""\n'


def install(root: Path, place: str, *, version: str = "0.26.0", init: str = REAL) -> Path:
    """Lay down a package shaped like the distribution's."""
    directory = root / place / "bcc"
    directory.mkdir(parents=True)
    (directory / "__init__.py").write_text(init, "utf-8")
    (directory / "libbcc.py").write_text("lib = object()\n", "utf-8")
    (directory / "version.py").write_text(f"__version__ = '{version}'\n", "utf-8")
    return directory


def os_release(root: Path, text: str) -> None:
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/os-release").write_text(text, "utf-8")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No BCC of this machine, neither imported nor on the path."""
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    before = {n: m for n, m in sys.modules.items() if n == "bcc" or n.startswith("bcc.")}
    for name in before:
        del sys.modules[name]
    yield
    for name in [n for n in sys.modules if n == "bcc" or n.startswith("bcc.")]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "place",
    [
        DEBIAN,
        "usr/local/lib/python3/dist-packages",
        "usr/lib/python3.12/site-packages",
        "usr/lib64/python3.9/site-packages",
    ],
)
def test_every_distributions_place_is_known(tmp_path: Path, place: str) -> None:
    directory = install(tmp_path, place)

    found = locate_bcc(tmp_path)

    assert found == (directory, "0.26.0", "", "")


@pytest.mark.usefixtures("alone")
def test_the_newest_python_comes_first(tmp_path: Path) -> None:
    for version in ("3.9", "3.13", "3.10"):
        install(tmp_path, f"usr/lib/python{version}/site-packages", version=version)

    assert locate_bcc(tmp_path).version == "3.13"


@pytest.mark.usefixtures("alone")
def test_the_variable_comes_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, DEBIAN)
    install(tmp_path, "own", version="0.37.0+git")
    monkeypatch.setenv(PATH_VARIABLE, f"/nowhere:{tmp_path}/own")

    assert locate_bcc(tmp_path).version == "0.37.0+git"


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("ID=debian\n", "apt install python3-bpfcc"),
        ('NAME="X"\nID=mint\nID_LIKE="ubuntu debian"\n', "apt install python3-bpfcc"),
        ("ID=fedora\n", "dnf install python3-bcc"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install python3-bcc"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "zypper install python3-bcc"),
        ("ID=arch\n", "pacman -S python-bcc"),
        ("ID=plan9\n", "install your distribution's BCC"),
        ("", "install your distribution's BCC"),
    ],
)
def test_where_there_is_none_the_command_is_named(tmp_path: Path, text: str, command: str) -> None:
    os_release(tmp_path, text)

    place = locate_bcc(tmp_path)

    assert place.directory is None
    assert place.problem == "BCC for Python is not installed"
    assert place.remedy.startswith(command)


@pytest.mark.usefixtures("alone")
def test_another_project_called_bcc_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the package index's: its import would even fail, so it is not imported."""
    stranger = tmp_path / "venv" / "bcc"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text("raise RuntimeError('imported')\n", "utf-8")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "venv"))
    alone = locate_bcc(tmp_path)
    install(tmp_path, DEBIAN)
    beside = locate_bcc(tmp_path)

    assert alone.directory is None
    assert "is called bcc but is not BCC" in alone.problem
    assert str(stranger) in alone.problem
    assert beside.directory == tmp_path / DEBIAN / "bcc"
    assert beside.problem == ""


@pytest.mark.usefixtures("alone")
def test_only_that_package_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "packages")
    (tmp_path / "packages" / "stranger_beside.py").write_text("", "utf-8")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "packages"))
    path_before = list(sys.path)

    module = find_bcc()

    assert hasattr(module, "BPF")
    assert sys.modules["bcc"] is module
    assert find_bcc() is module
    assert sys.path == path_before
    with pytest.raises(ModuleNotFoundError):
        __import__("stranger_beside")


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("init", "words"),
    [
        (
            "raise OSError('libbcc.so.0: cannot open shared object file')",
            "cannot be loaded: libbcc",
        ),
        ("import no_such_module_here", "cannot be loaded"),
        ("def broken(:", "cannot be loaded"),
        ("x = 1", "has no BPF class"),
    ],
)
def test_a_broken_bcc_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, init: str, words: str
) -> None:
    install(tmp_path, "packages", init=init)
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "packages"))

    with pytest.raises(SourceError, match=words) as raised:
        find_bcc()

    assert raised.value.remedy
    assert "bcc" not in sys.modules


@pytest.mark.usefixtures("alone")
def test_a_foreign_bcc_that_is_imported_already_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bcc", type(sys)("bcc"))
    install(tmp_path, "packages")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "packages"))

    assert hasattr(find_bcc(), "BPF")


def test_looking_imports_nothing() -> None:
    """In a fresh interpreter: LLVM must never be mapped on the loaded node."""
    program = (
        "import sys; from iotop_ng.sources.bcc_module import locate_bcc; locate_bcc();"
        "print([n for n in sys.modules if n.startswith('bcc')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    ).stdout

    assert output.strip() == "[]"


def test_this_interpreters_own_packages_are_looked_at() -> None:
    """A virtual environment that sees the system's packages needs no search."""
    place = locate_bcc()

    assert place.directory is None or (place.directory / "libbcc.py").is_file()
    assert place.directory is None or sysconfig.get_path("purelib") not in str(place.directory)
