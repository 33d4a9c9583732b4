"""Where the keeper lives: its lock, socket and journal, in a directory that only root can enter."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from pathlib import Path
from typing import NamedTuple

from iotop_ng.errors import EnforcerError, NotPermittedError

VARIABLE = "IOTOP_NG_RUN_DIR"
DEFAULT = Path("/run/iotop-ng")
NEEDS_ROOT = (
    "acting on other processes needs root (CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_KILL): sudo iotop-ng"
)
READY = b"ready\n"
"""What a keeper says to who started it."""
BUSY = b"busy\n"
"""The same, when another keeper is at work."""
PROBE = b'{"type":"look"}'
"""A question of the keeper's protocol that it refuses to who has not said hello."""
_PAUSE_S = 0.02


class RunDir(NamedTuple):
    """The paths in it."""

    path: Path

    @property
    def lock(self) -> Path:
        """Locked by the one keeper, or by who recovers; holds its pid."""
        return self.path / "lock"

    @property
    def socket(self) -> Path:
        """Where the keeper answers."""
        return self.path / "keeper.sock"

    @property
    def journal(self) -> Path:
        """What may be in force."""
        return self.path / "journal"

    @property
    def complaints(self) -> Path:
        """What the keeper writes to stderr: nothing, unless it is broken."""
        return self.path / "keeper.err"

    def make(self) -> None:
        """Make it, and see that nobody else can write there.

        Raises:
            NotPermittedError: we are not root.
            EnforcerError: it cannot be made, or is somebody else's.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.path.lstat()
        except PermissionError as error:
            raise NotPermittedError(NEEDS_ROOT) from error
        except OSError as error:
            raise EnforcerError(f"{self.path}: {error.strerror}") from error
        if not stat.S_ISDIR(status.st_mode):
            raise EnforcerError(f"{self.path} is not a directory")
        if status.st_uid != os.geteuid():
            raise NotPermittedError(f"{self.path} belongs to another user; {NEEDS_ROOT}")
        if status.st_mode & 0o077:
            self.path.chmod(0o700)


def run_dir() -> RunDir:
    """Return the directory of this machine, or the one that the environment names."""
    return RunDir(Path(os.environ.get(VARIABLE) or DEFAULT))


class Lock:
    """Held by at most one process; the kernel gives it back when that one ends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Let others have it; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def take_lock(path: Path, wait_s: float = 0.0, served: Path | None = None) -> Lock | None:
    """Return the lock, None when another process still has it after so long.

    Args:
        path: the file.
        wait_s: a keeper that was killed lets go when the kernel has taken it down.
        served: its socket: while somebody answers there, the holder lives and waiting is no use.

    Raises:
        EnforcerError: the file cannot be opened.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise EnforcerError(f"{path}: {error.strerror}") from error
    until = time.monotonic() + wait_s
    while not _try(fd):
        if time.monotonic() >= until or _is_served(served, until):
            os.close(fd)
            return None
        time.sleep(_PAUSE_S)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return Lock(fd)


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_served(path: Path | None, until: float) -> bool:
    """Say whether somebody answers there.

    That a connection can be made is not enough: a keeper that was killed still has its socket for a
    moment after its clients have seen the end, and its lock a moment longer.
    """
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as made:
        made.settimeout(max(until - time.monotonic(), _PAUSE_S))
        try:
            made.connect(str(path))
            made.send(PROBE)
            return made.recv(4096) != b""
        except OSError:
            return False
