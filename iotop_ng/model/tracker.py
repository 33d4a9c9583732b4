"""From samples to frames: what changed between two readings, and what was lately."""

from __future__ import annotations

from iotop_ng.model.devices import Devices
from iotop_ng.model.frame import Frame
from iotop_ng.model.processes import Processes
from iotop_ng.model.rates import Interval, change, per_second, rate, share_pct
from iotop_ng.sample import Probe, Sample

KIB = 1024
NS_PER_MS = 1_000_000
US_PER_S = 1_000_000


class Tracker:
    """Turns each sample into a frame, given the ones before; the same samples, the same frames.

    Totals of a row start with the first sample: what a process did before that is subtracted,
    and a process that comes later started at 0. One that lived and died between two readings is
    listed once as ended by the source and has its totals as the interval's. Ended rows stay for
    `history_ticks` intervals.
    """

    def __init__(self, history_ticks: int = 120) -> None:
        self._history_ticks = history_ticks
        self._processes = Processes(history_ticks)
        self._devices = Devices(history_ticks)
        self._last: Sample | None = None
        self._tick = -1

    def advance(self, sample: Sample) -> Frame:
        """Return the frame of the interval that ends with this sample; the first is tick 0."""
        before = self._last if self._last is not None else sample
        self._last = sample
        self._tick += 1
        interval = Interval(self._tick, before.mono_ns, sample.mono_ns)
        ns = interval.ns
        rows = self._processes.advance(sample.processes, interval)
        devices, moved = self._devices.advance(sample.devices, interval)
        return Frame(
            tick=self._tick,
            source=sample.source,
            wall_ns=sample.wall_ns,
            mono_ns=sample.mono_ns,
            interval_s=ns / 1e9,
            rows=rows.processes,
            threads=rows.threads,
            devices=devices,
            read_bytes_per_s=per_second(rows.flow.read_bytes, ns),
            write_bytes_per_s=per_second(rows.flow.write_bytes, ns),
            page_in_bytes_per_s=_kib_per_s(before.host.page_in_kib, sample.host.page_in_kib, ns),
            page_out_bytes_per_s=_kib_per_s(before.host.page_out_kib, sample.host.page_out_kib, ns),
            dirty_bytes=sample.host.dirty_bytes,
            writeback_bytes=sample.host.writeback_bytes,
            kernel_pause_ms_per_s=_ms_per_s(
                before.host.kernel_pause_ns, sample.host.kernel_pause_ns, ns
            ),
            coverage_pct=coverage_pct(rows.flow.disk_bytes, moved),
            lost=sample.lost,
            self_cpu_pct=_share_of_time_pct(before.self_cpu_ns, sample.self_cpu_ns, ns),
            probes=sample.probes,
            probe_rates=_probe_rates(before.probes, sample.probes, ns),
            maps=sample.maps,
            notes=sample.notes,
            history_ticks=self._history_ticks,
            ended_hidden=rows.ended_hidden,
            host=sample.host,
            io_some_pct=_waited_pct(before.host.io_some_us, sample.host.io_some_us, ns),
            io_full_pct=_waited_pct(before.host.io_full_us, sample.host.io_full_us, ns),
        )


def coverage_pct(explained: int | None, moved: int) -> float | None:
    """Return which share of the devices' bytes the rows explain, 0..100.

    Rows count a request when it enters the block layer, devices when it completes: at the edges of
    an interval rows can be ahead, and more than everything says no more than 100. None without
    block probes, and when the devices moved nothing.
    """
    return share_pct(explained, moved)


def _share_of_time_pct(before_ns: int, after_ns: int, interval_ns: int) -> float | None:
    """Return CPU time as a share of the interval; several cores can give more than 100."""
    spent = per_second(change(before_ns, after_ns), interval_ns)
    return None if spent is None else spent / 1e9 * 100


def _kib_per_s(before: int | None, after: int | None, interval_ns: int) -> float | None:
    kib = rate(before, after, interval_ns)
    return None if kib is None else kib * KIB


def _ms_per_s(before: int | None, after: int | None, interval_ns: int) -> float | None:
    ns = rate(before, after, interval_ns)
    return None if ns is None else ns / NS_PER_MS


def _waited_pct(before_us: int | None, after_us: int | None, interval_ns: int) -> float | None:
    us_per_s = rate(before_us, after_us, interval_ns)
    return None if us_per_s is None else share_pct(us_per_s, US_PER_S)


def _probe_rates(
    before: tuple[Probe, ...], after: tuple[Probe, ...], interval_ns: int
) -> tuple[tuple[float | None, float | None], ...]:
    """Return hits per second and nanoseconds per run of each probe, by name."""
    earlier = {probe.name: probe for probe in before}
    return tuple([_probe_rate(earlier.get(probe.name), probe, interval_ns) for probe in after])


def _probe_rate(
    before: Probe | None, after: Probe, interval_ns: int
) -> tuple[float | None, float | None]:
    if before is None:
        return None, None
    hits, spent = change(before.hits, after.hits), change(before.run_ns, after.run_ns)
    per_run = None if spent is None or not hits else spent / hits
    return per_second(hits, interval_ns), per_run
