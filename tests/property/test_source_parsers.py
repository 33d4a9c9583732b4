"""Parsers of the kernel's files raise nothing, whatever they are given."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.sample import PID_BITS, Need, process_key
from iotop_ng.sources.capabilities import parse_capabilities
from iotop_ng.sources.devices import parse_line
from iotop_ng.sources.host import parse_pressure, parse_vmstat
from iotop_ng.sources.identity import parse_cgroup, parse_stat
from iotop_ng.sources.ioprio import effective
from iotop_ng.sources.own_io import parse_inherited, parse_io
from iotop_ng.sources.probe import (
    Facts,
    gather,
    parse_config,
    parse_hidepid,
    parse_lockdown,
    parse_release,
)
from iotop_ng.sources.procfs import ProcfsSource
from iotop_ng.sources.task_file import DescriptorBudget
from iotop_ng.sources.taskstats import attributes, parse_answers, parse_stats
from tests.fakes.procfs import FakeDisk, FakeIo, FakeProc

COUNTER = st.integers(min_value=0, max_value=2**64 - 1)
NAME = st.binary(max_size=15).filter(lambda raw: b"\0" not in raw)
WORDS = st.sampled_from(
    [b"0", b"1", b"-1", b":", b"(", b")", b" ", b"\n", b"S", b"read_bytes:", b"9" * 30, b"\xff",
     b"cancelled_write_bytes:", b"name=systemd", b"/", b"::", b"8", b"sda", b"pgpgin", b"\x1b[2J",
     b"some", b"total="]
)  # fmt: skip
HOSTILE = st.one_of(st.binary(max_size=400), st.lists(WORDS, max_size=60).map(b" ".join))


def is_safe(text: str) -> bool:
    return text.isprintable()


@given(HOSTILE)
def test_any_bytes_are_a_stat_line_or_none(raw: bytes) -> None:
    stat = parse_stat(raw)

    assert stat is None or is_safe(stat.comm)


@given(NAME, COUNTER, st.integers(min_value=0, max_value=2**22))
def test_any_name_leaves_the_fields_where_they_are(comm: bytes, start: int, ppid: int) -> None:
    fields = [b"S", b"%d" % ppid, *[b"3"] * 17, b"%d" % start, *[b"4"] * 30]

    stat = parse_stat(b"77 (" + comm + b") " + b" ".join(fields) + b"\n")

    assert stat is not None
    assert (stat.ppid, stat.start_ticks) == (ppid, start)
    assert is_safe(stat.comm)


@given(HOSTILE)
def test_any_bytes_are_counters_or_none(raw: bytes) -> None:
    counters = parse_io(raw)
    inherited = parse_inherited(raw)

    assert counters is None or len(counters) == 7
    assert inherited is None or len(inherited) == 4


@given(st.lists(COUNTER, min_size=7, max_size=7))
def test_counters_come_back_exactly(values: list[int]) -> None:
    io = FakeIo(*values)

    counters = parse_io(io.text().encode())

    assert counters is not None
    assert [
        counters.read_bytes, counters.write_bytes, counters.cancelled_write_bytes,
        counters.rchar, counters.wchar, counters.syscr, counters.syscw,
    ] == values  # fmt: skip


@given(HOSTILE)
def test_any_bytes_are_a_cgroup_or_none(raw: bytes) -> None:
    path = parse_cgroup(raw)

    assert path is None or is_safe(path)


@given(HOSTILE)
def test_any_line_is_a_device_or_none(raw: bytes) -> None:
    device = parse_line(raw, is_stacked=False)

    assert device is None or is_safe(device.name)


@given(st.sampled_from([11, 15, 17, 19]), st.data())
def test_device_counters_come_back_exactly(count: int, data: st.DataObject) -> None:
    counters = data.draw(st.lists(COUNTER, min_size=count, max_size=count))
    line = FakeDisk("nvme0n1", 259, 7, counters).line().encode()

    device = parse_line(line, is_stacked=True)

    assert device is not None
    assert (device.read_ios, device.write_bytes) == (counters[0], counters[6] * 512)
    assert device.weighted_ms == counters[10]
    assert device.discard_ios == (counters[11] if count >= 15 else None)
    assert device.flush_ms == (counters[16] if count >= 17 else None)


@given(HOSTILE)
def test_any_bytes_are_some_counters_of_the_host(raw: bytes) -> None:
    assert all(isinstance(value, int) for value in parse_vmstat(raw).values())
    assert all(value >= 0 for value in parse_pressure(raw).values())


@given(HOSTILE)
def test_any_bytes_are_netlink_or_nothing(raw: bytes) -> None:
    for answer in parse_answers(raw):
        assert list(attributes(answer.payload)) is not None
    assert list(attributes(raw)) is not None
    stats = parse_stats(raw)
    assert stats is None or min(stats) >= 0


@given(st.text(max_size=200))
def test_any_text_is_some_fact(text: str) -> None:
    assert len(parse_release(text)) == 3
    assert parse_lockdown(text) in {None, "none", "integrity", "confidentiality"}
    assert isinstance(parse_hidepid(text), str)
    assert isinstance(parse_config(text), dict)
    assert isinstance(parse_capabilities(text.encode("utf-8", "surrogatepass")), frozenset)


@given(st.integers(0, 2**16), st.integers(-20, 19), st.integers(0, 7))
def test_any_priority_has_a_class_and_a_level(raw: int, nice: int, policy: int) -> None:
    priority = effective(raw, nice, policy)

    assert priority.io_class in {"rt", "be", "id"}
    assert 0 <= priority.level <= 7


@given(HOSTILE, HOSTILE)
def test_readers_survive_any_files(raw: bytes, other: bytes) -> None:
    with TemporaryDirectory() as directory:
        fake = FakeProc(Path(directory))
        fake.start(77, "worker")
        for name in ("stat", "io", "cgroup", "cmdline", "task/77/io", "task/77/comm"):
            fake.write(f"proc/77/{name}", raw)
        fake.write("proc/diskstats", raw)
        fake.write("proc/vmstat", raw)
        fake.write("proc/pressure/io", raw)
        fake.write("proc/sys/kernel/task_delayacct", other)
        fake.write("proc/self/mounts", other)
        fake.write("etc/os-release", other)
        source = ProcfsSource(root=fake.root, budget=DescriptorBudget(20))
        source.open()
        source.read(frozenset())
        fake.write("proc/77/io", other)
        fake.write("proc/diskstats", other)
        sample = source.read(frozenset({Need.THREADS}))
        source.close()
        facts = gather(fake.root, try_bpf=str, try_taskstats=str)

    assert all(is_safe(process.comm + process.command) for process in sample.processes)
    assert isinstance(facts, Facts)


@given(st.integers(1, 2**PID_BITS - 1), st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_reused_pid_never_has_the_same_key(pid: int, first: int, later: int) -> None:
    """Clock ticks are 10 ms, keys are told apart by 2**20 ns."""
    tick = 10_000_000

    keys = {process_key(pid, first * tick), process_key(pid, later * tick)}

    assert len(keys) == (1 if first == later else 2)
