"""Delay accounting of processes and threads, through the taskstats netlink family.

Documentation/accounting/taskstats.rst and include/uapi/linux/taskstats.h. It needs CAP_NET_ADMIN
and the first network namespace. Requests are sent in groups: the kernel answers each message of
a datagram, which saves a system call per process.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from iotop_ng.errors import NotPermittedError, SourceError

_NETLINK_GENERIC = 16
_NLM_F_REQUEST = 1
_NLMSG_ERROR = 2
_GENL_ID_CTRL = 16
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 1, 2
_CMD_GET = 1
_CMD_ATTR_PID, _CMD_ATTR_TGID = 1, 2
_TYPE_STATS, _TYPE_AGGR_PID, _TYPE_AGGR_TGID = 3, 4, 5
_ATTR_TYPE_MASK = 0x3FFF  # the upper bits say "nested" and "network byte order"

_MESSAGE = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length with this header, type
_REQUEST = struct.Struct("=IHHIIBBHHHI")
_HEADER_BYTES = _MESSAGE.size + 4  # and the generic header: command, version, reserved
_GROUP = 32  # answers of one group fit into the default receive buffer
_TIMEOUT_S = 2.0


class Delays(NamedTuple):
    """Waits of a task since it started."""

    blkio_count: int
    blkio_ns: int
    """Waiting for block I/O to complete, submission not counted."""
    swapin_count: int
    swapin_ns: int


def known(delays: Delays | None, *, is_complete: bool) -> Delays | None:
    """Return None where 0 may only mean "started before the accounting was turned on".

    Args:
        delays: what the kernel said.
        is_complete: the task started while delays were counted.
    """
    if delays is None or is_complete or delays.blkio_count or delays.swapin_count:
        return delays
    return None


class DelayReader(Protocol):
    """What the procfs source asks for delays."""

    def open(self) -> None:
        """Start; SourceError or NotPermittedError when it cannot work."""
        ...

    def of_processes(self, pids: Sequence[int]) -> dict[int, Delays]:
        """Return the sums over live and ended threads; the gone are left out."""
        ...

    def of_threads(self, tids: Sequence[int]) -> dict[int, Delays]:
        """Return the threads' own; the gone are left out."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


_USUAL = struct.Struct("=H30xQQQQ")
# Version 15 (Linux 6.14, 6.15) put a maximum and a minimum behind every total; version 16 moved
# them to the end again, so that everything else is where it was before.
_SPREAD = struct.Struct("=H46xQQ16xQQ")
_SPREAD_BYTES = 560


def parse_stats(raw: bytes) -> Delays | None:
    """Return the delays in a struct taskstats, None when it is too short to be one."""
    if len(raw) < _USUAL.size:
        return None
    (version,) = struct.unpack_from("=H", raw)
    # The fields came before their version number: then only the size tells.
    is_spread = version == 15 or (version == 14 and len(raw) >= _SPREAD_BYTES)
    layout = _SPREAD if is_spread else _USUAL
    if version < 1 or len(raw) < layout.size:
        return None
    _, blkio_count, blkio_ns, swapin_count, swapin_ns = layout.unpack_from(raw)
    return Delays(blkio_count, blkio_ns, swapin_count, swapin_ns)


def attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, payload) of netlink attributes; stop at the first broken one."""
    offset = 0
    while offset + _ATTRIBUTE.size <= len(raw):
        length, kind = _ATTRIBUTE.unpack_from(raw, offset)
        if length < _ATTRIBUTE.size or offset + length > len(raw):
            return
        yield kind & _ATTR_TYPE_MASK, raw[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


class Answer(NamedTuple):
    """One message from the kernel."""

    kind: int
    sequence: int
    error: int
    """errno, 0 when it is no error."""
    payload: bytes
    """Attributes."""


def parse_answers(datagram: bytes) -> Iterator[Answer]:
    """Yield the messages of a datagram; stop at the first broken one."""
    offset = 0
    while offset + _HEADER_BYTES <= len(datagram):
        length, kind, _, sequence, _ = _MESSAGE.unpack_from(datagram, offset)
        if length < _HEADER_BYTES or offset + length > len(datagram):
            return
        if kind == _NLMSG_ERROR:
            (negative,) = struct.unpack_from("=i", datagram, offset + _MESSAGE.size)
            yield Answer(kind, sequence, -negative, b"")
        else:
            payload = datagram[offset + _HEADER_BYTES : offset + length]
            yield Answer(kind, sequence, 0, payload)
        offset += (length + 3) & ~3


class TaskStats:
    """A netlink socket to the kernel's taskstats."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._family = 0
        self._sequence = 0

    def open(self) -> None:
        """Find the family and try one request.

        Raises:
            NotPermittedError: without CAP_NET_ADMIN.
            SourceError: when this kernel or network namespace has no taskstats.
        """
        if self._socket is not None:
            return
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
            self._socket.settimeout(_TIMEOUT_S)
            self._socket.bind((0, 0))
            self._family = self._find_family()
            self._try()
        except OSError as error:
            self.close()
            if error.errno in {errno.EPERM, errno.EACCES}:
                raise NotPermittedError("task accounting needs CAP_NET_ADMIN") from error
            raise SourceError(f"this kernel has no taskstats here ({error.strerror})") from error

    def of_processes(self, pids: Sequence[int]) -> dict[int, Delays]:
        """Return the delays of whole processes by pid, ended threads included."""
        return self._ask(pids, _CMD_ATTR_TGID)

    def of_threads(self, tids: Sequence[int]) -> dict[int, Delays]:
        """Return the delays of single threads by tid."""
        return self._ask(tids, _CMD_ATTR_PID)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _find_family(self) -> int:
        name = b"TASKSTATS\0"
        attribute = _ATTRIBUTE.pack(4 + len(name), _CTRL_ATTR_FAMILY_NAME) + name + b"\0\0"
        body = struct.pack("=BBH", _CTRL_CMD_GETFAMILY, 1, 0) + attribute
        header = _MESSAGE.pack(_MESSAGE.size + len(body), _GENL_ID_CTRL, _NLM_F_REQUEST, 0, 0)
        link = self._link()
        link.send(header + body)
        for answer in parse_answers(link.recv(65536)):
            if answer.error:
                raise OSError(answer.error, "no such netlink family")
            for kind, payload in attributes(answer.payload):
                if kind == _CTRL_ATTR_FAMILY_ID and len(payload) >= 2:
                    return int(struct.unpack_from("=H", payload)[0])
        raise OSError(errno.ENOENT, "no such netlink family")

    def _try(self) -> None:
        link = self._link()
        link.send(self._request(1, _CMD_ATTR_PID))
        for answer in parse_answers(link.recv(65536)):
            if answer.error not in {0, errno.ESRCH}:
                raise OSError(answer.error, "taskstats refused")

    def _request(self, task: int, attribute: int) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return _REQUEST.pack(
            _REQUEST.size, self._family, _NLM_F_REQUEST, self._sequence, 0,
            _CMD_GET, 1, 0, 8, attribute, task,
        )  # fmt: skip

    def _ask(self, tasks: Sequence[int], attribute: int) -> dict[int, Delays]:
        delays: dict[int, Delays] = {}
        for start in range(0, len(tasks), _GROUP):
            self._ask_group(tasks[start : start + _GROUP], attribute, delays)
        return delays

    def _ask_group(self, tasks: Sequence[int], attribute: int, delays: dict[int, Delays]) -> None:
        link = self._link()
        first = (self._sequence + 1) & 0xFFFFFFFF
        waiting = len(tasks)
        try:
            link.send(b"".join(self._request(task, attribute) for task in tasks))
            while waiting > 0:
                for answer in parse_answers(link.recv(65536)):
                    index = (answer.sequence - first) & 0xFFFFFFFF
                    if index >= len(tasks):
                        continue  # late, of a group that timed out
                    waiting -= 1
                    stats = _find_stats(answer.payload)
                    if stats is not None:
                        delays[tasks[index]] = stats
        except OSError:
            # A lost answer (ENOBUFS) or a timeout: what is missing is "not known" this time.
            return

    def _link(self) -> socket.socket:
        if self._socket is None:
            raise SourceError("taskstats is not open")
        return self._socket


def _find_stats(payload: bytes) -> Delays | None:
    for kind, group in attributes(payload):
        if kind in {_TYPE_AGGR_PID, _TYPE_AGGR_TGID}:
            for inner, stats in attributes(group):
                if inner == _TYPE_STATS:
                    return parse_stats(stats)
    return None
