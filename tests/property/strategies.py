"""What hypothesis draws from: totals, histograms, rows, texts, and machines that live a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from iotop_ng.model.frame import Row
from iotop_ng.model.rates import add
from iotop_ng.sample import (
    HISTOGRAM_SLOTS,
    Histogram,
    Process,
    Sample,
    Thread,
    Totals,
    process_key,
)
from tests.fakes.samples import SECOND

HISTOGRAMS = ("latency", "queued", "fsync", "write_sizes")
COUNTERS = tuple(
    field.name for field in msgspec.structs.fields(Totals) if field.name not in HISTOGRAMS
)

counters = st.one_of(st.just(0), st.integers(0, 1 << 20), st.integers(0, 1 << 62))
intervals_ns = st.one_of(st.integers(1, 10 * SECOND), st.just(SECOND))
clock_steps_ns = st.one_of(intervals_ns, st.integers(-SECOND, 0), st.integers(1, 1 << 50))
"""Mostly forward; at times not at all, back, or a month ahead."""


@st.composite
def histograms(draw: DrawFn, largest: int = 1 << 32) -> Histogram:
    values = [0] * HISTOGRAM_SLOTS
    for slot in draw(st.lists(st.integers(0, HISTOGRAM_SLOTS - 1), max_size=6)):
        values[slot] = draw(st.integers(0, largest))
    return tuple(values)


@st.composite
def totals(draw: DrawFn) -> Totals:
    """Draw totals with most fields not measured."""
    values: dict[str, Any] = {}
    values |= draw(st.dictionaries(st.sampled_from(COUNTERS), counters, max_size=6))
    values |= draw(st.dictionaries(st.sampled_from(HISTOGRAMS), histograms(), max_size=2))
    return Totals(**values)


@st.composite
def growth(draw: DrawFn) -> Totals:
    """Draw what a task does in an interval, in the fields that the machines below measure."""
    if draw(st.booleans()):
        return Totals(read_bytes=0, write_bytes=0, disk_write_bytes=0, latency=histogram_of(()))
    return Totals(
        read_bytes=draw(counters),
        write_bytes=draw(counters),
        disk_write_bytes=draw(counters),
        latency=histogram_of(draw(st.lists(st.integers(0, HISTOGRAM_SLOTS - 1), max_size=4))),
    )


def histogram_of(hits: Sequence[int]) -> Histogram:
    return tuple([hits.count(slot) for slot in range(HISTOGRAM_SLOTS)])


NOTHING_YET = Totals(read_bytes=0, write_bytes=0, disk_write_bytes=0, latency=histogram_of(()))
THREAD_FIELDS = ("read_bytes", "write_bytes")


class Machine:
    """Processes that come, write, reset, end and give their pids back; the truth beside them."""

    def __init__(self) -> None:
        self.living: dict[int, Process] = {}
        self.listed_dead: dict[int, Process] = {}
        self.mono_ns = 1000 * SECOND
        self.born = 0
        self.lists_threads = True
        self.truth: dict[int, Totals] = {}
        """What each process did since the first reading, by key."""

    def birth(self, pid: int, did: Totals) -> None:
        """Start a process that has done something already."""
        if any(process.pid == pid for process in self.living.values()):
            return
        self.born += 1
        # A pid comes back after a millisecond at the earliest: 2**20 ns are one step of the key.
        start_ns = self.born << 21
        key = process_key(pid, start_ns)
        threads = (Thread(pid, "t", _per_thread(did)),)
        self.living[key] = Process(
            key=key,
            pid=pid,
            start_ns=start_ns,
            ppid=1,
            uid=0,
            user="root",
            comm="x",
            command="x",
            cgroup=f"/g{pid % 3}",
            prio=None,
            is_kthread=False,
            is_exited=False,
            totals=did,
            threads=threads,
        )
        self.truth[key] = did

    def work(self, key: int, did: Totals, number: int) -> None:
        """Let thread `number` of a process do something; a new number starts a thread."""
        process = self.living[key]
        threads = list(process.threads)
        index = number % (len(threads) + 1)
        mine = _per_thread(did)
        if index == len(threads):
            threads.append(Thread(process.pid + 1000 * (index + self.born), "t", mine))
        else:
            threads[index] = msgspec.structs.replace(
                threads[index], totals=add(threads[index].totals, mine)
            )
        self.living[key] = msgspec.structs.replace(
            process, totals=add(process.totals, did), threads=tuple(threads)
        )
        self.truth[key] = add(self.truth[key], did)

    def end_thread(self, key: int) -> None:
        """End the youngest thread of a process that has more than one."""
        process = self.living[key]
        if len(process.threads) > 1:
            self.living[key] = msgspec.structs.replace(process, threads=process.threads[:-1])

    def end(self, key: int, *, stays_listed: bool) -> None:
        """End a process; a source may list it for a while."""
        process = self.living.pop(key)
        self.listed_dead[key] = msgspec.structs.replace(process, is_exited=True, threads=())
        if not stays_listed:
            self._leaving = {*self._leaving, key}

    _leaving: frozenset[int] | set[int] = frozenset()

    def reading(self, step_ns: int) -> Sample:
        """Return the next reading; who was listed as ended once may be gone from the next one."""
        self.mono_ns += step_ns
        living = [
            process if self.lists_threads else msgspec.structs.replace(process, threads=())
            for process in self.living.values()
        ]
        processes = (*living, *self.listed_dead.values())
        for key in self._leaving:
            self.listed_dead.pop(key, None)
        self._leaving = frozenset()
        return Sample("sim", self.mono_ns, self.mono_ns, processes)


def _per_thread(did: Totals) -> Totals:
    return Totals(read_bytes=did.read_bytes, write_bytes=did.write_bytes)


rates = st.one_of(st.none(), st.just(0.0), st.floats(0, 1e12))
names = st.text(max_size=8)


@st.composite
def rows(draw: DrawFn) -> Row:
    pid = draw(st.integers(1, 9))
    return Row(
        key=draw(st.integers(1, 1 << 60)),
        pid=pid,
        tid=draw(st.sampled_from((None, 0, pid, 77))),
        start_ns=draw(st.integers(0, 5)),
        ppid=draw(st.integers(0, 9)),
        uid=0,
        user=draw(names),
        comm=draw(names),
        command=draw(names),
        cgroup=draw(st.none() | names),
        prio=None,
        is_kthread=draw(st.booleans()),
        exited=draw(st.booleans()),
        write_bytes_per_s=draw(rates),
        read_bytes_per_s=draw(rates),
        latency_p99_us=draw(rates),
        totals=draw(st.just(Totals()) | totals()),
        first_seen_ns=draw(st.integers(0, 1 << 40)),
    )


def lists_of_rows() -> SearchStrategy[list[Row]]:
    return st.lists(rows(), max_size=12, unique_by=lambda row: row.key)


unicode_text = st.text(max_size=60)
"""All of Unicode, lone surrogates included."""
hostile_text = st.one_of(
    unicode_text,
    st.text(alphabet="\x1b\x00\n\u202e\u200b\u0301ab[]31m\ud800\u1160", max_size=40),
)
filter_text = st.one_of(
    hostile_text,
    st.text(alphabet='()[]{}*+?|\\^$!":<>=,.5Mmsu%writep99pdcog ', max_size=40),
)
