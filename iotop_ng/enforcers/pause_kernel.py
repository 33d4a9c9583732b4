"""What a paused target writes, counted by the kernel: exact, children included, and told at once.

The programs of bpf/hold.c, loaded anew for each paused target: its helper is the one reader of the
ring that says when it overdraws.
"""

from __future__ import annotations

from collections.abc import Callable

from iotop_ng.enforcers.charging import QUANTUM_NS, Bucket, Charging, Limit
from iotop_ng.enforcers.ring import RingBuffer
from iotop_ng.errors import EnforcerError

MODE_TELL = 2
"""As in bpf/hold.c."""
_GROUP = "hold"
_LOOK_NS = 20_000_000
"""Between two looks while nothing is told: a full ring loses what it should say."""


class KernelMeter:
    """The helper's side: a page of the kernel's counters, and a ring that wakes it."""

    quantum_ns = QUANTUM_NS

    def __init__(self, bucket: Callable[[], Bucket], ring: RingBuffer) -> None:
        self._bucket = bucket
        self._ring = ring

    @property
    def descriptor(self) -> int:
        """What can be read when the target has overdrawn."""
        return self._ring.fd

    @property
    def charged_bytes(self) -> int:
        """What was written since the beginning."""
        return self._bucket().charged_bytes

    def debt_ns(self, now_ns: int) -> int:
        """Return how long the target has to wait; what was told is read, to be told again."""
        self._ring.read()
        return max(self._bucket().tat_ns - now_ns, 0)

    def next_ns(self) -> int:
        """Return when to look although nothing was told."""
        return _LOOK_NS

    def obey(self, what: int, pid: int, *, flag: bool) -> None:
        """Nothing: the kernel knows whom to count."""

    def set_rate(self, now_ns: int, rate_bytes_per_s: int) -> None:
        """Nothing: the keeper has told the kernel."""


class KernelCount:
    """The keeper's side: the programs, and whom they count.

    Raises:
        IotopError: BPF does not work here.
        OSError: it is not allowed here.
    """

    def __init__(self) -> None:
        self._charging = Charging("hold")
        events = self._charging.programs.maps["events"]
        self._ring = RingBuffer(events.fd, events.max_entries)
        self._limit = Limit(0)
        self._slot = 0

    def begin(self, rate_bytes_per_s: int, *, with_children: bool) -> None:
        """Attach, for one target.

        Raises:
            EnforcerError: the kernel refuses.
        """
        self._limit = Limit(rate_bytes_per_s, MODE_TELL, with_children=with_children)
        self._slot = self._charging.take(self._limit)
        self._charging.programs.demand(_GROUP, wanted=True)
        if not self._charging.programs.is_attached(_GROUP):
            raise EnforcerError("the kernel refuses to attach the programs of hold.c")

    def meter(self) -> KernelMeter:
        """Return what the helper looks at; it is shared by fork."""
        return KernelMeter(lambda: self._charging.bucket(self._slot), self._ring)

    def add(self, pid: int, *, is_late: bool) -> None:
        """Count a process; what it forks is counted by itself."""
        if pid not in self._charging.members(self._slot):
            self._charging.add(pid, self._slot, is_late=is_late)

    def set_rate(self, rate_bytes_per_s: int) -> None:
        """Go over to another rate."""
        self._limit = self._limit._replace(rate_bytes_per_s=rate_bytes_per_s)
        self._charging.change(self._slot, self._limit)

    def close(self) -> None:
        """Count nobody any more; twice is fine."""
        self._ring.close()
        self._charging.close()
