"""Where ``bpf/``, ``rules/`` and ``themes/`` are: in an installed wheel, else beside a checkout."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.errors import SourceError

_PACKAGE = Path(__file__).resolve().parent


def directory(name: str) -> Path:
    """Return the directory of shipped files called `name` ("bpf", "rules" or "themes").

    Raises:
        SourceError: when neither the wheel's nor the checkout's directory exists.
    """
    for base in (_PACKAGE, _PACKAGE.parent):
        candidate = base / name
        if candidate.is_dir():
            return candidate
    raise SourceError(
        f"the directory {name}/ is missing from this installation", "reinstall iotop-ng"
    )
