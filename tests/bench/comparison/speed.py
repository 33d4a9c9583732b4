"""A guest's disk that changes its speed: asked for inside, in a shared directory; done outside."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, final

import msgspec

from iotop_ng.errors import IotopError

_ASKED, _SET = "speed-asked", "speed-set"
_PATIENCE_S = 20.0
_PAUSE_S = 0.02
_DRIVE = "virtio0"
"""QEMU's name for the first drive with if=virtio."""


class Speed(Protocol):
    """Sets how fast the device is."""

    def set(self, bytes_per_s: int) -> None:
        """Set it; it is so on return.

        Raises:
            IotopError: it was not done.
        """
        ...


class AskedSpeed:
    """The guest's side.

    Args:
        directory: shared with the host.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0

    def set(self, bytes_per_s: int) -> None:
        """Ask and wait until the host says that it is done."""
        self._number += 1
        asked = f"{self._number} {bytes_per_s}"
        new = self._directory / f"{_ASKED}.new"
        new.write_text(asked, "ascii")
        new.rename(self._directory / _ASKED)
        until = time.monotonic() + _PATIENCE_S
        while _text(self._directory / _SET) != asked:
            if time.monotonic() > until:
                raise IotopError("the host does not change the speed of the disk")
            time.sleep(_PAUSE_S)


@contextmanager
def served(directory: Path, control: Path, iops: int) -> Iterator[None]:
    """Do on the host what `AskedSpeed` asks for, during the block.

    Args:
        directory: shared with the guest.
        control: where QEMU listens (-qmp unix:PATH); it need not be there yet.
        iops: most operations per second; stays as it is.
    """
    over = threading.Event()
    thread = threading.Thread(target=_serve, args=(directory, control, iops, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _serve(directory: Path, control: Path, iops: int, over: threading.Event) -> None:
    done = ""
    with contextlib.ExitStack() as stack:
        machine: Machine | None = None
        while not over.wait(_PAUSE_S):
            asked = _text(directory / _ASKED)
            if not asked or asked == done:
                continue
            # A request that fails is not answered: the guest says what it missed.
            with contextlib.suppress(OSError, MachineError):
                machine = machine or stack.enter_context(Machine(control))
                machine.throttle(int(asked.split()[1]), iops)
                new = directory / f"{_SET}.new"
                new.write_text(asked, "ascii")
                new.rename(directory / _SET)
                done = asked


class MachineError(Exception):
    """QEMU refuses a command."""


@final
class Machine:
    """A connection to QEMU's monitor: docs/interop/qmp-spec.rst.

    Args:
        control: the socket.
    """

    def __init__(self, control: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(_PATIENCE_S)
            self._socket.connect(str(control))
            self._file = self._socket.makefile("rb")
            self._file.readline()  # the greeting
            self._do("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def throttle(self, bytes_per_s: int, iops: int) -> None:
        """Set the speed of the disk.

        Raises:
            MachineError: QEMU refuses.
            OSError: it is gone.
        """
        limits = {"bps": bytes_per_s, "bps_rd": 0, "bps_wr": 0, "iops": iops, "iops_rd": 0,
                  "iops_wr": 0}  # fmt: skip
        self._do("block_set_io_throttle", device=_DRIVE, **limits)

    def _do(self, command: str, **arguments: str | int) -> None:
        request = {"execute": command, "arguments": arguments}
        self._socket.sendall(msgspec.json.encode(request) + b"\n")
        while line := self._file.readline():
            answer = msgspec.json.decode(line, type=dict[str, object])
            if "error" in answer:
                raise MachineError(f"{command}: {answer['error']}")
            if "return" in answer:
                return
        raise MachineError(f"{command}: no answer")

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
