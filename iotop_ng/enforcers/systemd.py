"""Runtime properties of systemd's units: what systemd owns is changed through systemd.

What is written past it into a unit's cgroup is lost when it writes the unit's settings again.
A property is text in one form wherever it is compared: its entries sorted, one per line.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from iotop_ng.errors import EnforcerError, NotPermittedError
from iotop_ng.units import clean

_TIMEOUT_S = 5.0
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}\.(?:service|scope|slice)\Z")


class Systemd:
    """Asks systemctl; a fake one can be given."""

    def __init__(self, root: Path = Path("/"), program: str = "systemctl") -> None:
        self._root = root
        self._program = program

    def is_running(self) -> bool:
        """Say whether PID 1 is systemd: sd_booted(3)."""
        return (self._root / "run/systemd/system").is_dir()

    def unit_of(self, path: str) -> str | None:
        """Return the unit whose cgroup this is; None when systemd's PID 1 does not own it.

        Raises:
            EnforcerError: systemd does not answer.
        """
        unit = unit_name(path)
        if unit is None or not self.is_running():
            return None
        return unit if self.get_property(unit, "ControlGroup") == path else None

    def get_property(self, unit: str, name: str) -> str:
        """Return the entries of a property, "" when it has none.

        Raises:
            EnforcerError: systemd does not answer, or says no.
        """
        text = self._run("show", f"--property={name}", "--", unit)
        values = (line.removeprefix(f"{name}=").strip() for line in text.splitlines())
        return in_order(value for value in values if value)

    def set_property(self, unit: str, name: str, value: str) -> None:
        """Replace all entries of a property until the next boot.

        Raises:
            NotPermittedError: only root may.
            EnforcerError: systemd does not answer, or says no.
        """
        entries = [f"{name}={line}" for line in value.splitlines() if line]
        # The empty one takes back what is there; without it entries would only be added.
        self._run("set-property", "--runtime", "--", unit, f"{name}=", *entries)

    def _run(self, *words: str) -> str:
        what = f"systemctl {words[0]} {clean(words[-1], 200)}"
        command = [self._program, "--no-pager", "--no-ask-password", *words]
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                timeout=_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise EnforcerError(f"{what}: systemd did not answer in {_TIMEOUT_S:.0f} s") from None
        except OSError as error:
            raise EnforcerError(f"{what}: {error.strerror}") from None
        if done.returncode != 0:
            said = clean(done.stderr.strip().split(b"\n")[-1], 200) or "no word why"
            kind = NotPermittedError if "ccess denied" in said else EnforcerError
            raise kind(f"{what}: {said}")
        return done.stdout.decode("utf-8", "replace")


def in_order(entries: Iterable[str]) -> str:
    """Return entries in the form in which a property is compared."""
    return "\n".join(sorted(entries))


def unit_name(path: str) -> str | None:
    """Return the name of the unit that a cgroup's path is of, in the tree of PID 1.

    "/system.slice/nginx.service" is one. Below a service or scope is what it was delegated, or
    another systemd's (user@1000.service): those are not PID 1's.
    """
    *above, last = [part.removeprefix("_") for part in path.split("/") if part] or [""]
    is_ours = _UNIT.match(last) and all(part.endswith(".slice") for part in above)
    return last if is_ours else None


def get_property(unit: str, name: str) -> str:
    """Return the entries of a unit's property, sorted, one per line; "" when it has none.

    Raises:
        EnforcerError: systemd does not answer, or says no.
    """
    return Systemd().get_property(unit, name)


def set_property(unit: str, name: str, value: str) -> None:
    """Replace all entries of a unit's property, in the form of `get_property`.

    Raises:
        NotPermittedError: only root may.
        EnforcerError: systemd does not answer, or says no.
    """
    Systemd().set_property(unit, name, value)
