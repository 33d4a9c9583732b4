"""Facts about a host, read from a tree that we write ourselves."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from iotop_ng.sources.capabilities import parse_capabilities
from iotop_ng.sources.probe import (
    Facts,
    gather,
    parse_config,
    parse_hidepid,
    parse_lockdown,
    parse_release,
    trial_bpf,
)
from tests.fakes.procfs import FakeProc

DEBIAN_12 = "6.1.0-56-amd64"


@pytest.fixture
def fake(tmp_path: Path) -> FakeProc:
    """A Debian with everything in its place."""
    fake = FakeProc(tmp_path)
    fake.write("proc/sys/kernel/osrelease", f"{DEBIAN_12}\n")
    fake.write("proc/sys/kernel/task_delayacct", "0\n")
    fake.write("proc/self/mounts", "proc /proc proc rw 0 0\ntracefs /t tracefs rw 0 0\n")
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").symlink_to("pid:[4026531836]")
    fake.write("sys/kernel/btf/vmlinux", b"\x9f\xeb\x01\x00")
    fake.write("sys/kernel/tracing/events/header_page", "")
    fake.write("sys/kernel/security/lockdown", "[none] integrity confidentiality\n")
    fake.write("etc/os-release", "ID=debian\n")
    fake.write(f"boot/config-{DEBIAN_12}", "CONFIG_BPF_SYSCALL=y\n# CONFIG_TASKSTATS is not set\n")
    return fake


def facts_of(fake: FakeProc, *, bpf: str = "", taskstats: str = "") -> Facts:
    return gather(fake.root, is_thorough=True, try_bpf=lambda: bpf, try_taskstats=lambda: taskstats)


def test_a_whole_host_is_seen(fake: FakeProc) -> None:
    facts = facts_of(fake)

    assert (facts.release, facts.version) == (DEBIAN_12, (6, 1, 0))
    assert facts.has_io_counters
    assert facts.has_btf
    assert facts.headers is None
    assert facts.headers_remedy == "apt install linux-headers-$(uname -r)"
    assert facts.tracefs == "/sys/kernel/tracing"
    assert facts.lockdown == "none"
    assert facts.is_host_pidns
    assert facts.hidepid == ""
    assert facts.delayacct == "off"
    assert "CAP_SYS_ADMIN" in facts.capabilities
    assert facts.config["CONFIG_BPF_SYSCALL"] == "y"
    assert facts.config["CONFIG_TASKSTATS"] == "n"


def test_an_empty_tree_raises_nothing(tmp_path: Path) -> None:
    facts = facts_of(FakeProc(tmp_path / "empty"))

    assert not facts.has_btf
    assert facts.tracefs is None
    assert facts.lockdown is None
    assert facts.config == {}


def test_trials_are_told(fake: FakeProc) -> None:
    facts = facts_of(fake, bpf="EPERM", taskstats="needs CAP_NET_ADMIN")

    assert (facts.bpf_error, facts.taskstats_error) == ("EPERM", "needs CAP_NET_ADMIN")


def test_a_container_is_known_by_its_namespace(fake: FakeProc) -> None:
    link = fake.root / "proc/self/ns/pid"
    link.unlink()
    link.symlink_to("pid:[4026532210]")

    assert not facts_of(fake).is_host_pidns


@pytest.mark.parametrize("place", ["build", "source"])
def test_headers_are_found(fake: FakeProc, place: str) -> None:
    (fake.root / f"lib/modules/{DEBIAN_12}/{place}/include").mkdir(parents=True)

    assert facts_of(fake).headers == f"/lib/modules/{DEBIAN_12}/{place}"


def test_headers_inside_the_kernel_are_found(fake: FakeProc) -> None:
    fake.write("sys/kernel/kheaders.tar.xz", b"")

    assert facts_of(fake).headers == "/sys/kernel/kheaders.tar.xz"


def test_tracefs_under_debugfs_will_do(fake: FakeProc) -> None:
    (fake.root / "sys/kernel/tracing").rename(fake.root / "sys/kernel/elsewhere")
    fake.write("sys/kernel/debug/tracing/events/enable", "0")

    assert facts_of(fake).tracefs == "/sys/kernel/debug/tracing"


def test_a_packed_configuration_is_read(fake: FakeProc) -> None:
    fake.write("proc/config.gz", gzip.compress(b"CONFIG_TASKSTATS=y\n"))

    assert facts_of(fake).config["CONFIG_TASKSTATS"] == "y"


@pytest.mark.parametrize("packed", [b"\x1f\x8b", b"no gzip", b"\x1f\x8b\x08\x00" + b"\xff" * 30])
def test_a_broken_configuration_is_none(fake: FakeProc, packed: bytes) -> None:
    fake.write("proc/config.gz", packed)

    assert facts_of(fake).config == {}


@pytest.mark.parametrize(
    ("release", "switch", "command_line", "state"),
    [
        (DEBIAN_12, "0", "", "off"),
        (DEBIAN_12, "1", "", "on"),
        (DEBIAN_12, None, "", "missing"),
        ("5.4.0-1", None, "quiet", "on"),
        ("5.4.0-1", None, "quiet nodelayacct", "missing"),
    ],
)
def test_delay_accounting(
    fake: FakeProc, release: str, switch: str | None, command_line: str, state: str
) -> None:
    fake.write("proc/sys/kernel/osrelease", release)
    fake.write("proc/sys/kernel/task_delayacct", switch or "")
    fake.write("proc/cmdline", command_line)

    assert facts_of(fake).delayacct == state


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.18.44-fc-v657", (6, 18, 44)),
        ("5.4.0-200-generic", (5, 4, 0)),
        ("4.18.0-553.el8_10.x86_64", (4, 18, 0)),
        ("7.0-rc1", (7, 0, 0)),
        ("", (0, 0, 0)),
        ("nonsense", (0, 0, 0)),
    ],
)
def test_releases(release: str, version: tuple[int, int, int]) -> None:
    assert parse_release(release) == version


def test_lockdown_words() -> None:
    assert parse_lockdown("none [integrity] confidentiality") == "integrity"
    assert parse_lockdown("none integrity [confidentiality]") == "confidentiality"
    assert parse_lockdown("") is None


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("rw,relatime", ""),
        ("rw,hidepid=2", "2"),
        ("rw,gid=4,hidepid=invisible", "invisible"),
        ("rw,hidepid=0", ""),
        ("rw,hidepid=off", ""),
    ],
)
def test_hidepid(options: str, found: str) -> None:
    mounts = f"tmpfs /run tmpfs rw,hidepid=9 0 0\nproc /proc proc {options} 0 0\n"

    assert parse_hidepid(mounts) == found


def test_capabilities_are_bits() -> None:
    assert parse_capabilities(b"CapPrm:\tff\nCapEff:\t000000c000080000\n") == {
        "CAP_SYS_PTRACE", "CAP_PERFMON", "CAP_BPF",
    }  # fmt: skip
    assert parse_capabilities(b"CapEff:\tzz\n") == frozenset()
    assert parse_capabilities(b"") == frozenset()


def test_no_configuration_says_nothing() -> None:
    assert parse_config("") == {}


def test_the_trial_answers_with_a_name() -> None:
    answer = trial_bpf()

    assert answer == "" or answer.isupper()
