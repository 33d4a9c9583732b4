"""What a hog leaves behind when it and the process that cleans up after it are killed together.

Each hog holds a lock on its directory for as long as one of its processes lives. A directory that
nobody holds belongs to nobody any more, and the next hog in the same place removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_YOUNG_S = 10.0
"""Its owner may not have come to lock it yet."""


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Mark a directory as one in use, for this process and those that it forks."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A file system without locks (some network ones) only loses the cleaning of leftovers.
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def remove(parent: Path, prefix: str, now_s: float | None = None) -> list[Path]:
    """Remove the directories below `parent` that begin with `prefix` and that nobody holds.

    Args:
        parent: where to look.
        prefix: of their names.
        now_s: wall clock; None: the machine's.

    Returns:
        those that are gone.
    """
    now_s = time.time() if now_s is None else now_s
    return [path for path in sorted(parent.glob(f"{prefix}*")) if _remove(path, now_s)]


def _remove(path: Path, now_s: float) -> bool:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except OSError:  # no directory, somebody else's, or gone
        return False
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid() or now_s - found.st_mtime < _YOUNG_S:
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except OSError:
        return False
    finally:
        os.close(fd)
    return not path.exists()
