"""The programs of the simulated machine: writers, and the victim that waits for its fsync."""

from __future__ import annotations

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.drop import Dropper, Verdict
from iotop_ng.policy.scores import Operation
from iotop_ng.policy.token_bucket import TokenBucket
from iotop_ng.sample import HISTOGRAM_SLOTS
from iotop_ng.sim.dice import Dice
from iotop_ng.sim.scenario import VictimSpec, WriterSpec

MAX_DEBT_NS = NS_PER_S
"""What a program buffers while it is held back; the rest of what it would have written is lost."""


class Counts:
    """Totals of one process, as a kernel would have them."""

    def __init__(self) -> None:
        self.write_bytes = 0
        self.disk_write_bytes = 0
        self.disk_ios = 0
        self.latency = [0] * HISTOGRAM_SLOTS
        self.fsync = [0] * HISTOGRAM_SLOTS


class Limit:
    """What an enforcer put on one writer, or on all of a cgroup together."""

    __slots__ = ("bucket", "dropper")

    def __init__(self, bucket: TokenBucket, dropper: Dropper | None = None) -> None:
        self.bucket = bucket
        self.dropper = dropper


class Writer:
    """One program that would write at a rate, and writes what it is let.

    Attributes:
        limits: of its own and of its cgroup.
        credit_bytes: what it may write before the page cache pauses it.
        debt_bytes: what it would have written by now and has not.
        lost_bytes: beyond what it could buffer, or refused.
        wanted_bytes: since the start.
    """

    def __init__(self, spec: WriterSpec, pid: int, name: str, seed: int) -> None:
        self.spec = spec
        self._dice = Dice(seed)
        self._size = self._draw()
        self.pid = pid
        self.name = name
        self.counts = Counts()
        self.limits: tuple[Limit, ...] = ()
        self.dirty_bytes = 0
        self.credit_bytes = 0
        self.debt_bytes = 0
        self.lost_bytes = 0
        self.wanted_bytes = 0

    def is_there(self, now_ns: int) -> bool:
        """Say whether the process lives."""
        spec = self.spec
        return spec.start_ns <= now_ns and not (spec.stop_ns and now_ns >= spec.stop_ns)

    def live(self, now_ns: int, step_ns: int) -> bool:
        """Want to write for one step more; say whether it has anything to write."""
        if not self.is_there(now_ns):
            self.debt_bytes = 0
            return False
        if not is_on(now_ns - self.spec.start_ns, self.spec.on_ns, self.spec.off_ns):
            return self.debt_bytes > 0
        wanted = self.spec.rate * step_ns // NS_PER_S
        self.wanted_bytes += wanted
        self.debt_bytes += wanted
        most = self.spec.rate * MAX_DEBT_NS // NS_PER_S
        if self.debt_bytes > most:
            self.lost_bytes += self.debt_bytes - most
            self.debt_bytes = most
        return self.debt_bytes > 0

    def write(self, now_ns: int, room: int) -> int:
        """Write what it can; return the bytes that went through.

        Args:
            now_ns: for the limits.
            room: what the kernel takes of it in this step.
        """
        written = 0
        while self.debt_bytes >= self._size and written + self._size <= room:
            size = self._size
            match self._ask(now_ns, size):
                case Verdict.PASS:
                    written += size
                case Verdict.DROP:
                    self.lost_bytes += size
                case Verdict.THROTTLE:
                    break
            self.debt_bytes -= size
            self._size = self._draw()
        self.counts.write_bytes += written
        return written

    def _draw(self) -> int:
        """Return the size of the next write: with one size, writers alike would move in step."""
        return self._dice.between(-(-self.spec.write // 2), self.spec.write * 3 // 2)

    def _ask(self, now_ns: int, size: int) -> Verdict:
        for limit in self.limits:
            if limit.dropper is not None:
                verdict = limit.dropper.ask(now_ns, size)
            else:
                is_admitted = limit.bucket.ask(now_ns, size).is_admitted
                verdict = Verdict.PASS if is_admitted else Verdict.THROTTLE
            if verdict is not Verdict.PASS:
                return verdict
        return Verdict.PASS


class Victim:
    """Append, fsync, pause.

    Attributes:
        next_ns: when it calls fsync, or when the call returns; None while the device has it.
        operations: all fsyncs that returned, oldest first.
    """

    def __init__(self, spec: VictimSpec, pid: int) -> None:
        self.spec = spec
        self.pid = pid
        self.counts = Counts()
        self.operations: list[Operation] = []
        self.next_ns: int | None = spec.pause_ns
        self.is_syncing = False
        self._called_ns = 0

    def age_ns(self, now_ns: int) -> int:
        """Return how long it has been waiting, 0 when it does not."""
        return now_ns - self._called_ns if self.is_syncing else 0

    def call(self, now_ns: int) -> bool:
        """Call fsync, unless it rests; say whether a request goes to the device."""
        if not is_on(now_ns, self.spec.on_ns, self.spec.off_ns):
            cycle_ns = self.spec.on_ns + self.spec.off_ns
            self.next_ns = now_ns - now_ns % cycle_ns + cycle_ns
            return False
        self._called_ns, self.next_ns, self.is_syncing = now_ns, None, True
        self.counts.write_bytes += self.spec.write
        return True

    def back(self, now_ns: int) -> None:
        """Return from fsync and pause."""
        sync = Operation(self._called_ns, now_ns)
        self.operations.append(sync)
        self.counts.fsync[slot_of(sync.latency_ns)] += 1
        self.is_syncing = False
        self.next_ns = now_ns + self.spec.pause_ns


def is_on(age_ns: int, on_ns: int, off_ns: int) -> bool:
    """Say whether a program that works and rests in turn works now."""
    return not off_ns or age_ns % (on_ns + off_ns) < on_ns


def slot_of(duration_ns: int) -> int:
    """Return the slot of a histogram."""
    return min(max(duration_ns.bit_length() - 1, 0), HISTOGRAM_SLOTS - 1)
