"""A directory for files of a demo program, which goes away with it, however it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iotop_ng.errors import IotopError, NotPermittedError
from iotop_ng.units import clean


@contextmanager
def own_directory(parent: Path, name: str) -> Iterator[Path]:
    """Give a new directory below another one; a process waits to remove it when we are killed.

    The files keep their names while they are used, which unlinked ones would not: some file systems
    (btrfs) have nothing to do for the fsync of a file without one.

    Raises:
        IotopError: there can be no directory.
    """
    try:
        made = Path(tempfile.mkdtemp(prefix=f"iotop-ng-{name}-", dir=parent))
    except OSError as error:
        kind = NotPermittedError if isinstance(error, PermissionError) else IotopError
        raise kind(f"{clean(str(parent), 200)}: {error.strerror}") from None
    with _remover(made):
        yield made


@contextmanager
def _remover(path: Path) -> Iterator[None]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(writing)
        _remove_at_end(reading, path)
    os.close(reading)
    try:
        yield
    finally:
        os.close(writing)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _remove_at_end(reading: int, path: Path) -> None:
    """Sleep until the other end of the pipe is closed, by whatever, and remove. Never returns."""
    try:
        # Ctrl-C goes to the whole group, and this process has to outlive the one it cleans up for.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        # A pipe that our parent's reader waits on must not stay open because of us.
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        os.dup2(0, 2)
        while os.read(reading, 1):
            pass
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os._exit(0)
