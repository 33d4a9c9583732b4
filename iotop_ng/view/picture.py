"""Saving a picture of the screen."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from iotop_ng.model.frame import Frame


def save(svg: str, frame: Frame, directory: Path | None = None) -> Path:
    """Write a new file named after the frame's time; return its path.

    The file is created, never overwritten, and no link is followed: this may run as root in a
    directory that others can write. Under sudo it belongs to who called sudo.

    Raises:
        OSError: the directory cannot be written, or the name is taken a hundred times.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(frame.wall_ns / 1e9))
    base = directory or Path.cwd()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for attempt in range(100):
        suffix = f"-{attempt}" if attempt else ""
        path = base / f"iotop-ng-{stamp}{suffix}.svg"
        try:
            descriptor = os.open(path, flags, 0o644)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(svg)
            _give_to_caller(file.fileno())
        return path
    raise FileExistsError(17, os.strerror(17), str(path))


def _give_to_caller(descriptor: int) -> None:
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and user.isdecimal() and group.isdecimal():
        with suppress(OSError):
            os.fchown(descriptor, int(user), int(group))
