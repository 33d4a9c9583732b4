"""Sees the keeper die at once, however seldom its client has something to ask."""

from __future__ import annotations

import os
import select
import socket
import threading

from iotop_ng.enforcers.run_dir import RunDir
from iotop_ng.enforcers.undo import recover
from iotop_ng.errors import IotopError


class Watch:
    """Sleeps until the connection ends; puts back what a dead keeper left.

    Args:
        connection: to the keeper.
        place: where its journal is.
    """

    def __init__(self, connection: socket.socket, place: RunDir) -> None:
        self._place = place
        self._connection = connection
        # A descriptor of its own: the client's may be closed, and its number be another file's.
        self._fd = os.dup(connection.fileno())
        self._is_stopped = False
        self._lock = threading.Lock()
        self._result: tuple[tuple[str, ...], str] | None = None
        # A daemon: a client that ends has not to be kept alive by it.
        self._thread = threading.Thread(target=self._sleep, name="keeper watch", daemon=True)
        self._thread.start()

    def is_dead(self) -> bool:
        """Say whether the keeper has ended the connection."""
        return _end_of(self._connection, 0)

    def stop(self) -> None:
        """Put nothing back when the connection ends from now on: we end it ourselves."""
        self._is_stopped = True

    def put_back(self) -> tuple[tuple[str, ...], str]:
        """Put back what the keeper left, once; return what was, and what went wrong."""
        with self._lock:
            if self._result is None:
                try:
                    self._result = recover(self._place.path), ""
                except IotopError as error:
                    self._result = (), str(error)
            return self._result

    def _sleep(self) -> None:
        _end_of(self._fd, None)
        os.close(self._fd)
        if not self._is_stopped:
            self.put_back()


def _end_of(connection: int | socket.socket, wait_ms: int | None) -> bool:
    poll = select.poll()
    poll.register(connection, 0)  # the end of a connection is always told
    return bool(poll.poll(wait_ms))
