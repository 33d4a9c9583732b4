"""The loads: floods of the generator that starve a victim, and healthy ones that must not alarm."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

FLOOD_MODES = ("lines", "big", "bytes", "threads", "processes", "fsync", "burst")
_DEMO = (sys.executable, "-m", "iotop_ng", "demo")
_LOOP = "while :; do {}; done"
_COPY = _LOOP.format("dd if=/dev/zero of=copy bs=1M count=1024 conv=notrunc status=none")
_FAST_BYTES = 384 << 20
_SPAN = "256M"
_END_S = 20.0


class Load(NamedTuple):
    """What runs in one phase."""

    name: str
    about: str
    is_flood: bool = False
    has_victim: bool = True
    mode: str = ""
    """Of the generator."""
    rate: str = "max"
    shell: str = ""
    """What runs instead, in the directory of the phase; $DISK is the device below."""
    is_fast: bool = False
    """On a file system in memory instead of the disk."""


LOADS = (
    Load("idle", "nothing at all", has_victim=False),
    Load(
        "copy",
        "a big sequential copy, and nobody who waits for the disk",
        has_victim=False,
        shell=_COPY,
    ),
    Load("victim", "the victim alone"),
    Load("logger", "a healthy logger, 1 MB/s", mode="lines", rate="1M"),
    Load(
        "reads",
        "the disk read as fast as it goes, nobody writes",
        shell=_LOOP.format("dd if=/dev/$DISK of=/dev/null bs=1M count=1024 iflag=direct "
                           "status=none"),
    ),
    Load(
        "compile",
        "like a compilation: two jobs, many short processes, small files, no fsync",
        shell="for job in 1 2; do (i=0; " + _LOOP.format(
            "i=$(((i + 1) % 400)); head -c 65536 /dev/urandom >object-$job-$i"
        ) + ") & done; wait",
    ),
    Load("fast", "the generator at full rate on a device as fast as memory", mode="lines",
         is_fast=True),
    Load(
        "cached",
        "`dd` in a loop: nothing starts writeback behind it, so the page cache fills",
        is_flood=True,
        shell=_COPY,
    ),
    *(Load(mode, f"the generator, --mode {mode}", is_flood=True, mode=mode)
      for mode in FLOOD_MODES),
)  # fmt: skip
"""Those without a victim first: it is started once."""


class Running(NamedTuple):
    """A started process with its whole group."""

    process: subprocess.Popen[bytes]

    @property
    def is_over(self) -> bool:
        """Say whether it ended by itself."""
        return self.process.poll() is not None

    def speaks(self, seconds: float) -> bool:
        """Wait for its first line; False when none comes."""
        output = self.process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], seconds)
        return bool(ready and output.readline())

    def said(self) -> str:
        """Return what it complained about, once it is over."""
        self.end()
        raw = self.process.stderr.read() if self.process.stderr else b""
        return raw.decode("utf-8", "replace").strip()[-200:]

    def end(self) -> None:
        """End it, and everything that it started; a second time is fine."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_S)
                return


def started(command: Sequence[str], directory: Path, disk: str = "") -> Running:
    """Start a command in a group of its own; no longer than a quarter of an hour."""
    return Running(
        subprocess.Popen(
            ["timeout", "--foreground", "900", *command],
            cwd=directory,
            env={**os.environ, "DISK": disk},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    )


def command_of(load: Load, directory: Path, seconds: float) -> tuple[str, ...]:
    """Return what a load runs; () for nothing."""
    if load.mode:
        limits = (
            "--rate",
            load.rate,
            "--span",
            _SPAN,
            "--for",
            f"{seconds:.0f}s",
            "--seed",
            "1",
            "--json",
        )
        return (*_DEMO, "hog", str(directory), "--mode", load.mode, *limits)
    return ("sh", "-c", load.shell) if load.shell else ()


def victim_command(directory: Path, log: Path) -> tuple[str, ...]:
    """Return a victim that appends and syncs 4 KB every 50 ms."""
    paced = ("--period", "50ms", "--for", "1h", "--log", str(log))
    return (*_DEMO, "victim", str(directory), "--mode", "append", *paced)


@contextmanager
def fast_directory(memory: Path) -> Iterator[Path]:
    """Mount ext4 on a loop device over a file in memory.

    Raises:
        OSError: there is no loop device here, or no memory for it.
    """
    image, mount = memory / "fast.img", memory / "fast"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(_FAST_BYTES)
    try:
        _run("modprobe -qa loop ext4 || true")
        _run(f"mkfs.ext4 -q -F {shlex.quote(str(image))}")
        _run(f"mount -o loop {shlex.quote(str(image))} {shlex.quote(str(mount))}")
        try:
            yield mount
        finally:
            # Lazily: a process that is still about to end may have its directory there.
            _run(f"umount -l {shlex.quote(str(mount))}")
    finally:
        image.unlink()
        mount.rmdir()


def _run(shell: str) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    done = subprocess.run(
        ["sh", "-c", shell], env={**os.environ, "PATH": path}, capture_output=True, check=False
    )
    if done.returncode:
        raise OSError(done.stderr.decode("utf-8", "replace").strip() or shell)
