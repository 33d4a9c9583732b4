"""Find the distribution's BCC from any Python, virtual environment or not.

python3-bpfcc is pure Python over ctypes and libbcc, not tied to one Python version: only its
directory has to be found. Just that package is loaded, not the whole of dist-packages. The
project called "bcc" on the Python package index is something else (crystal lattices).
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from iotop_ng.errors import SourceError
from iotop_ng.sources.distribution import packages
from iotop_ng.sources.kept_file import read_small
from iotop_ng.units import clean

PATH_VARIABLE = "IOTOP_NG_BCC_PATH"
"""Directories that hold a `bcc` package, separated by ":"; looked at first."""

_DIST_PACKAGES = (
    "usr/lib/python3/dist-packages",
    "usr/local/lib/python3/dist-packages",
)
_SITE_PACKAGES = (
    "usr/lib/python3.*/site-packages",
    "usr/lib64/python3.*/site-packages",
    "usr/local/lib/python3.*/site-packages",
    "usr/local/lib/python3.*/dist-packages",
)


class BccPlace(NamedTuple):
    """Where BCC is, known without importing it (an import maps 100 MB of LLVM)."""

    directory: Path | None
    """The package directory, None when there is none."""
    version: str
    """ "" when its version file does not say."""
    problem: str
    """One sentence, "" when all is well."""
    remedy: str


def locate_bcc(root: Path = Path("/")) -> BccPlace:
    """Find BCC and read its version, without importing anything."""
    impostor: Path | None = None
    for directory in _candidates(root):
        if _is_bcc(directory):
            return BccPlace(directory, _version(directory), "", "")
        if impostor is None and (directory / "__init__.py").is_file():
            impostor = directory
    remedy = packages(root).bcc
    if impostor is not None:
        problem = f"the package in {clean(str(impostor), 200)} is called bcc but is not BCC"
    else:
        problem = "BCC for Python is not installed"
    return BccPlace(None, "", problem, remedy)


def find_bcc() -> ModuleType:
    """Import the distribution's BCC and return the module.

    Call it only in the process that compiles: the import maps LLVM.

    Raises:
        SourceError: when there is none or it cannot be loaded; the remedy is a command.
    """
    loaded = sys.modules.get("bcc")
    if loaded is not None and hasattr(loaded, "BPF"):
        return loaded
    place = locate_bcc()
    if place.directory is None:
        raise SourceError(place.problem, place.remedy)
    _forget()
    try:
        module = _load(place.directory)
    except (ImportError, OSError, SyntaxError, AttributeError) as error:
        _forget()
        raise SourceError(
            f"BCC in {clean(str(place.directory), 200)} cannot be loaded: {clean(str(error), 200)}",
            packages().bcc,
        ) from error
    if not hasattr(module, "BPF"):
        _forget()
        raise SourceError(
            f"the package in {clean(str(place.directory), 200)} has no BPF class",
            packages().bcc,
        )
    return module


def _candidates(root: Path) -> Iterator[Path]:
    """Yield package directories to look at, best first."""
    for text in os.environ.get(PATH_VARIABLE, "").split(":"):
        if text:
            yield Path(text) / "bcc"
            yield Path(text)
    for text in sys.path:
        if text and (Path(text) / "bcc").is_dir() and root == Path("/"):
            yield Path(text) / "bcc"
    for text in _DIST_PACKAGES:
        yield root / text / "bcc"
    for pattern in _SITE_PACKAGES:
        for directory in sorted(root.glob(pattern), key=_python_version, reverse=True):
            yield directory / "bcc"


def _python_version(directory: Path) -> tuple[int, ...]:
    """Order python3.10 after python3.9."""
    return tuple(int(number) for number in re.findall(r"\d+", directory.parent.name))


def _is_bcc(directory: Path) -> bool:
    return (directory / "libbcc.py").is_file() and (directory / "__init__.py").is_file()


def _version(directory: Path) -> str:
    text = (read_small(directory / "version.py", 4096) or b"").decode("utf-8", "replace")
    match = re.search(r"__version__\s*=\s*['\"]([\w.+~-]{1,40})['\"]", text)
    return match.group(1) if match else ""


def _load(directory: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "bcc", directory / "__init__.py", submodule_search_locations=[str(directory)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {directory}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    with warnings.catch_warnings():
        # Old releases hold invalid escapes in strings, which Python 3.12 talks about.
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        spec.loader.exec_module(module)
    return module


def _forget() -> None:
    """Take a half or wrongly imported bcc out of the interpreter."""
    for name in [name for name in sys.modules if name == "bcc" or name.startswith("bcc.")]:
        del sys.modules[name]
