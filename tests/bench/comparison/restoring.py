"""Kernel settings that are put back however this program ends, also by SIGKILL.

A small shell waits at the other end of a pipe. When the pipe closes, by us or by our death, it
writes the old values, last one first, and removes the cgroups that were made.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from types import TracebackType
from typing import final

_SHELL = """\
trap '' HUP INT TERM
remove() {
    for attempt in 0 1 2 3 4 5 6 7 8 9; do
        if ! [ -d "$1" ] || rmdir "$1"; then break; fi
        sleep 1
    done
}
all=''
while IFS= read -r line; do
    all="$line
$all"
    echo taken
done
eval "$all" 2>/dev/null
"""


@final
class Restorer:
    """Writes settings and puts them back at the end of the block."""

    def __init__(self) -> None:
        # Its own session: what ends us by ^C or by our group leaves it alive.
        self._shell = subprocess.Popen(
            ["sh", "-c", _SHELL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def write(self, path: Path, value: str, back: str) -> None:
        """Write a setting, and `back` to it at the end.

        Raises:
            OSError: the kernel refuses the value.
        """
        self._remember(f"echo {shlex.quote(back)} >{shlex.quote(str(path))}")
        path.write_text(value, "ascii")

    def make_cgroup(self, path: Path) -> None:
        """Make a cgroup, which is removed at the end as soon as nobody is in it.

        Raises:
            OSError: it cannot be made.
        """
        self._remember(f"remove {shlex.quote(str(path))}")
        path.mkdir()

    def _remember(self, command: str) -> None:
        """Hand a command over before what it undoes is done."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{command}\n")
        self._shell.stdin.flush()
        assert self._shell.stdout.readline() == "taken\n"

    def close(self) -> None:
        """Put everything back; twice is fine."""
        if self._shell.returncode is None:
            self._shell.communicate()

    def __enter__(self) -> Restorer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
