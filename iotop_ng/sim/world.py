"""The simulated machine: what the writers make dirty, writeback hands to the device.

Time goes in steps of 2 ms for writers and writeback, and exactly for the device and the victim. The
same scenario and seed give the same world, as long as the same limits are set at the same times.
"""

from __future__ import annotations

from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.sim.actors import Victim, Writer, slot_of
from iotop_ng.sim.device import Device, Done, Request
from iotop_ng.sim.dice import Dice
from iotop_ng.sim.scenario import Scenario

STEP_NS = 2_000_000
REQUEST_BYTES = 256 << 10
"""What writeback submits at once."""
IDLE_FLUSH_NS = 5 * NS_PER_S
"""Below the background limit, dirty pages are written when nobody dirtied any for so long."""
VICTIM = -1
FIRST_PID = 1000
JITTER_PER_MILLE = 250


class World:
    """Writers, page cache, device and victim.

    Attributes:
        now_ns: since the machine started.
    """

    def __init__(self, scenario: Scenario, seed: int, *, has_writers: bool = True) -> None:
        """Start the machine.

        Args:
            scenario: who does what.
            seed: for all that is left to chance.
            has_writers: without them it shows what the victim can do alone.
        """
        self.scenario = scenario
        self.now_ns = 0
        # Two dice: the device wanders alike, however often the victim asks for jitter.
        self.device = Device(scenario.device, Dice(seed))
        self._jitter = Dice(seed ^ 0x5EED)
        self.victim = Victim(scenario.victim, FIRST_PID)
        self.writers: list[Writer] = []
        for spec in scenario.writers if has_writers else ():
            for number in range(spec.count):
                name = spec.name if spec.count == 1 else f"{spec.name}-{number}"
                pid = FIRST_PID + 1 + len(self.writers)
                self.writers.append(Writer(spec, pid, name, seed ^ (pid << 32)))
        self._dirtied_ns = 0

    @property
    def dirty_bytes(self) -> int:
        """In the page cache, not handed to the device yet."""
        return sum(writer.dirty_bytes for writer in self.writers)

    def run_until(self, end_ns: int) -> None:
        """Let time pass."""
        while self.now_ns < end_ns:
            step_end_ns = min(self.now_ns + STEP_NS, end_ns)
            if self.writers:
                self._write(step_end_ns - self.now_ns)
                self._write_back()
            self._serve(step_end_ns)
            self.now_ns = step_end_ns

    def _write(self, step_ns: int) -> None:
        """Let every writer write what page cache and device take."""
        cache = self.scenario.cache
        free_run = (cache.background + cache.limit) // 2
        used = self.dirty_bytes + self.device.queued_bytes
        active = [writer for writer in self.writers if writer.live(self.now_ns, step_ns)]
        for writer in active:
            if writer.spec.is_direct:
                self._write_directly(writer)
                continue
            room = cache.limit - used
            if used > free_run:
                # The kernel pauses writers so that each goes at the same rate, which is the
                # device's part of each in the middle and nothing at the limit.
                part = 2 * self.scenario.device.rate * step_ns // NS_PER_S // len(active)
                writer.credit_bytes += part * max(room, 0) // (cache.limit - free_run)
                writer.credit_bytes = min(writer.credit_bytes, 3 * writer.spec.write)
                room = min(room, writer.credit_bytes)
            written = writer.write(self.now_ns, room)
            writer.credit_bytes = max(writer.credit_bytes - written, 0)
            writer.dirty_bytes += written
            used += written
            if written:
                self._dirtied_ns = self.now_ns

    def _write_directly(self, writer: Writer) -> None:
        index = self.writers.index(writer)
        room = self.scenario.device.queue - self.device.queued_bytes
        written = writer.write(self.now_ns, room)
        while written > 0:
            size = min(written, REQUEST_BYTES)
            self.device.submit(Request(index, size, self.now_ns))
            written -= size

    def _write_back(self) -> None:
        """Hand dirty bytes to the device, the largest heap first."""
        dirty = self.dirty_bytes
        is_idle = self.now_ns - self._dirtied_ns >= IDLE_FLUSH_NS
        floor = 0 if is_idle else self.scenario.cache.background
        while dirty > floor and self.device.queued_bytes < self.scenario.device.queue:
            index = max(range(len(self.writers)), key=lambda n: self.writers[n].dirty_bytes)
            size = min(self.writers[index].dirty_bytes, REQUEST_BYTES)
            self.writers[index].dirty_bytes -= size
            dirty -= size
            self.device.submit(Request(index, size, self.now_ns))

    def _serve(self, end_ns: int) -> None:
        """Run device and victim to the end of the step, each at its exact time."""
        victim, device = self.victim, self.device
        while device.now_ns < end_ns or self._is_due(end_ns):
            if victim.next_ns is None:
                self._complete(device.run_until(end_ns, stops_at_sync=True))
            elif victim.next_ns >= end_ns:
                self._complete(device.run_until(end_ns))
            else:
                at_ns = max(victim.next_ns, device.now_ns)
                self._complete(device.run_until(at_ns))
                self._act(at_ns)

    def _is_due(self, end_ns: int) -> bool:
        return self.victim.next_ns is not None and self.victim.next_ns < end_ns

    def _act(self, at_ns: int) -> None:
        """Let the victim do what it is to do now."""
        victim = self.victim
        if victim.is_syncing:
            victim.back(at_ns)
        elif victim.call(at_ns):
            self.device.submit(Request(VICTIM, victim.spec.write, at_ns, is_sync=True))

    def _complete(self, done: list[Done]) -> None:
        for request, at_ns in done:
            who = self.victim if request.is_sync else self.writers[request.owner]
            counts = who.counts
            counts.disk_write_bytes += request.size
            counts.disk_ios += 1
            counts.latency[slot_of(at_ns - request.born_ns)] += 1
            if request.is_sync:
                # The flush itself: the data is there, the device's own cache is not empty yet.
                base_ns = self.scenario.device.base_ns
                part = self._jitter.between(-JITTER_PER_MILLE, JITTER_PER_MILLE)
                self.victim.next_ns = at_ns + base_ns * (1000 + part) // 1000 + self._hiccup()

    def _hiccup(self) -> int:
        """Return what a call takes longer for reasons of the victim's own."""
        spec = self.victim.spec
        if spec.hiccup_pct and self._jitter.between(1, 100) <= spec.hiccup_pct:
            return self._jitter.between(spec.hiccup_ns // 2, spec.hiccup_ns * 3 // 2)
        return 0
