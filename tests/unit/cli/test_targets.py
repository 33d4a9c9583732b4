"""TARGETs: what a line of text means among the processes of this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.cli.meter import Meter
from iotop_ng.cli.targets import Asked, Finder, Found, parse_target, parse_targets, shown
from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.errors import TargetError, UsageError
from iotop_ng.policy.actions import CgroupTarget, ProcessTarget
from iotop_ng.sample import process_key
from tests.fakes.procfs import FakeIo, FakeProc

MB = 1 << 20
ID = "a" * 64
OTHER_ID = "b" * 64


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    """A /proc with one process."""
    made = FakeProc(tmp_path)
    start(made, 42, "dd")
    return made


def start(proc: FakeProc, pid: int, comm: str) -> None:
    proc.start(pid, comm)
    proc.write(f"proc/{pid}/status", f"Name:\t{comm}\nTgid:\t{pid}\n")


def contain(proc: FakeProc, pid: int, number: str, name: str, below: str = "") -> None:
    """Put a process into a container of docker."""
    proc.start(pid, "app", cgroup=f"0::/system.slice/docker-{number}.scope{below}\n")
    config = json.dumps({"Name": f"/{name}"})
    proc.write(f"var/lib/docker/containers/{number}/config.v2.json", config)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42", Asked("pid", "42")),
        ("00042", Asked("pid", "42")),
        ("4194304", Asked("pid", "4194304")),
        ("0000000000000042", Asked("pid", "42")),
        ("comm:dd", Asked("comm", "dd")),
        ("comm:a b:c", Asked("comm", "a b:c")),
        ("cgroup:/a/b", Asked("cgroup", "/a/b")),
        ("cgroup:/a//b/", Asked("cgroup", "/a/b")),
        ("cgroup:/sys/fs/cgroup/a", Asked("cgroup", "/a")),
        ("cgroup:/", Asked("cgroup", "/")),
        ("container:web", Asked("container", "web")),
        ("container:web-0/app", Asked("container", "web-0/app")),
    ],
)
def test_targets_are_read(text: str, expected: Asked) -> None:
    assert parse_target(text) == expected
    assert parse_target(str(expected)) == expected


@given(
    st.text(max_size=40)
    | st.from_regex(r"(comm|cgroup|container|[0-9]{1,9}):?.{0,8}", fullmatch=True)
)
def test_any_text_is_a_target_or_a_mistake_of_one_line(text: str) -> None:
    try:
        said = str(parse_target(text))
    except UsageError as error:
        said = ""
        complaint = str(error)
    else:
        complaint = "none"
        assert str(parse_target(said)) == said

    assert complaint.isprintable()
    assert len(complaint) < 400


def test_a_process_is_its_pid_and_start(proc: FakeProc) -> None:
    (found,) = Finder(proc.root).find(parse_targets(["42"], every=False), every=False)

    start_ns = 1000 * NS_PER_S // os.sysconf("SC_CLK_TCK")
    assert found.target == ProcessTarget(process_key(42, start_ns), 42, start_ns)
    assert found.name == "dd[42]"
    assert shown(found.target) == "42"


def test_a_process_whose_first_thread_ended_is_alive(proc: FakeProc) -> None:
    path = proc.proc / "42/stat"
    fields = path.read_text().split()
    fields[2], fields[19] = "Z", "3"
    path.write_text(" ".join(fields))

    assert Finder(proc.root).find([Asked("pid", "42")], every=False)


def test_hostile_names_are_drawn_and_not_interpreted(proc: FakeProc) -> None:
    start(proc, 43, ") (\x1b[2J")

    (found,) = Finder(proc.root).find([Asked("pid", "43")], every=False)

    assert found.name == ") (·[2J[43]"
    with pytest.raises(TargetError) as caught:
        Finder(proc.root).find([Asked("comm", "\x1b]0;x\x07")], every=False)
    assert str(caught.value).isprintable()


def test_a_long_list_of_namesakes_is_cut(proc: FakeProc) -> None:
    for pid in range(100, 200):
        start(proc, pid, "worker")

    with pytest.raises(UsageError) as caught:
        Finder(proc.root).find([Asked("comm", "worker")], every=False)

    assert "means 100 processes: worker[100]" in str(caught.value)
    assert "and 88 more" in str(caught.value)
    assert len(Finder(proc.root).find([Asked("comm", "worker")], every=True)) == 100


def test_a_name_never_means_ourselves(proc: FakeProc) -> None:
    start(proc, os.getpid(), "dd")

    (found,) = Finder(proc.root).find([Asked("comm", "dd")], every=False)

    assert found.name == "dd[42]"


def test_a_container_is_its_cgroup(proc: FakeProc) -> None:
    """However deep in it the processes are."""
    contain(proc, 50, ID, "web")
    contain(proc, 51, ID, "web", below="/init.scope")
    contain(proc, 52, OTHER_ID, "db")

    (found,) = Finder(proc.root).find(parse_targets(["container:web"], every=False), every=False)

    assert found == Found(CgroupTarget(f"/system.slice/docker-{ID}.scope"), "web")
    assert shown(found.target) == f"cgroup:/system.slice/docker-{ID}.scope"


def test_a_name_of_two_containers_is_refused_without_all(proc: FakeProc) -> None:
    """It lists both, with what tells them apart."""
    contain(proc, 50, ID, "web")
    contain(proc, 51, OTHER_ID, "web")
    asked = parse_targets(["container:web"], every=True)

    with pytest.raises(UsageError) as caught:
        Finder(proc.root).find(asked, every=False)

    assert "web (docker-aaaaaaaaaaaa), web (docker-bbbbbbbbbbbb)" in str(caught.value)
    assert [one.is_swept for one in Finder(proc.root).find(asked, every=True)] == [True, True]
    (by_id,) = Finder(proc.root).find([Asked("container", ID[:12])], every=False)
    assert by_id.target == CgroupTarget(f"/system.slice/docker-{ID}.scope")


def test_a_container_that_is_not_there_is_said_with_those_that_are(proc: FakeProc) -> None:
    with pytest.raises(TargetError, match="there is none with processes"):
        Finder(proc.root).find([Asked("container", "web")], every=False)
    contain(proc, 50, ID, "db")

    with pytest.raises(TargetError, match="no container is called that; there is db"):
        Finder(proc.root).find([Asked("container", "web")], every=False)


def test_the_meter_counts_from_its_first_reading(proc: FakeProc) -> None:
    clock = ManualClock(mono_ns=100 * NS_PER_S)
    proc.set_io(42, FakeIo(write_bytes=500 * MB))
    meter = Meter(ProcessTarget(0, 42, 0), clock, proc.root)
    assert (meter.total_bytes, meter.bytes_per_s) == (0, None)

    clock.advance(NS_PER_S // 2)
    proc.set_io(42, FakeIo(write_bytes=503 * MB))
    meter.read()

    assert (meter.total_bytes, meter.bytes_per_s) == (3 * MB, 6 * MB)


def test_the_meter_of_a_cgroup_takes_in_who_is_new_and_keeps_who_has_ended(
    proc: FakeProc,
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    clock = ManualClock(mono_ns=100 * NS_PER_S)
    inside = "0::/app/part\n"
    proc.start(50, "old", cgroup=inside, io=FakeIo(write_bytes=90 * MB))
    proc.start(51, "elsewhere", cgroup="0::/apple\n")
    meter = Meter(CgroupTarget("/app"), clock, proc.root)

    clock.advance(NS_PER_S)
    # One that was moved in has a past that does not count; one that is young has none.
    proc.start(52, "moved", cgroup=inside, io=FakeIo(write_bytes=70 * MB))
    proc.start(53, "new", cgroup=inside, start_ticks=101 * ticks, io=FakeIo(write_bytes=2 * MB))
    proc.set_io(50, FakeIo(write_bytes=91 * MB))
    proc.set_io(51, FakeIo(write_bytes=800 * MB))
    meter.read()
    assert meter.total_bytes == 3 * MB

    proc.end(50)
    clock.advance(NS_PER_S)
    meter.read()
    assert meter.total_bytes == 3 * MB


def test_a_meter_that_may_read_nothing_says_so(proc: FakeProc) -> None:
    clock = ManualClock()
    proc.forbid_io(42)
    meter = Meter(ProcessTarget(0, 42, 0), clock, proc.root)

    clock.advance(NS_PER_S)
    meter.read()

    assert not meter.is_readable
    assert meter.bytes_per_s is None
