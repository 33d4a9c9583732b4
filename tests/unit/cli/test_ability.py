"""Which mechanisms of acting `doctor` says that a host has, and what would mend the others."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from iotop_ng.cli.ability import SECURITYFS, V2_ONLY, Ground, abilities, gather
from iotop_ng.cli.doctor import as_text, make_report
from iotop_ng.enforcers import drop_ability
from iotop_ng.sources.choose import SUDO
from iotop_ng.sources.probe import Facts
from tests.fakes.hosts import APT_BCC, kernel

NO_PTRACE = Facts(capabilities=frozenset({"CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON"}))
NO_BCC = kernel("6.1.0", bcc_path=None, bcc_problem="BCC is missing", bcc_remedy=APT_BCC)


def test_a_host_that_lacks_nothing_has_all() -> None:
    assert [one.mechanism for one in abilities(Ground())] == [
        "hold", "io_max", "pause", "drop", "ionice",
    ]  # fmt: skip
    assert all(one.works and not one.remedy for one in abilities(Ground()))


@pytest.mark.parametrize(
    ("ground", "mechanism", "works", "why", "remedy"),
    [
        (Ground(NO_BCC), "hold", False, "BCC is missing", APT_BCC),
        (Ground(NO_BCC), "drop", False, "BCC is missing", APT_BCC),
        (Ground(NO_PTRACE), "hold", False, "CAP_SYS_PTRACE", SUDO),
        (
            Ground(ptrace_scope="3"),
            "hold",
            False,
            "nobody may trace",
            "boot with kernel.yama.ptrace_scope=1",
        ),
        (Ground(ptrace_scope="2"), "hold", True, "ptrace", ""),
        (Ground(hold_gaps=("no ring", "no BTF")), "hold", False, "no ring; no BTF", ""),
        (Ground(hold_gaps=None), "hold", None, "could not be read", ""),
        (Ground(has_unified=False), "io_max", False, "cgroup v2 is not mounted", V2_ONLY),
        (Ground(has_io=False, is_io_in_v1=True), "io_max", False, "belongs to cgroup v1", V2_ONLY),
        (Ground(has_io=False), "io_max", False, "CONFIG_BLK_CGROUP", ""),
        (Ground(has_freezer=False), "pause", True, "there is no freezer", ""),
        (Ground(drop_gaps=("built without CONFIG_BPF_LSM",)), "drop", False, "CONFIG_BPF_LSM", ""),
        (
            Ground(security=drop_ability.Facts(("capability", "yama"))),
            "drop",
            False,
            "with lsm=yama,bpf on its command line",
            "",
        ),
        (Ground(security=drop_ability.Facts(None)), "drop", None, "not known", SECURITYFS),
        (Ground(honoured=()), "ionice", False, "no disk", ""),
        (Ground(honoured=(), ignored=("none on sda",)), "ionice", False, "none on sda", ""),
        (Ground(ignored=("none on sdb",)), "ionice", True, "of sda looks", ""),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_with_what_mends_it(
    ground: Ground, mechanism: str, works: bool | None, why: str, remedy: str
) -> None:
    (found,) = (one for one in abilities(ground) if one.mechanism == mechanism)

    assert found.works is works
    assert why in found.why
    assert found.remedy == remedy
    for one in abilities(ground):
        if one.mechanism not in {mechanism, "drop" if ground.facts is NO_BCC else "", "hold"}:
            assert one.works, one


def test_who_is_not_root_can_do_nothing() -> None:
    for one in abilities(Ground(Facts(is_root=False))):
        assert (one.works, one.why, one.remedy) == (False, "only root may act on processes", SUDO)


def test_the_host_is_read_without_changing_it(tmp_path: Path) -> None:
    def put(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    put(
        "proc/self/mountinfo",
        "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
    )
    put("sys/fs/cgroup/cgroup.controllers", "cpu io memory\n")
    put("sys/kernel/security/lsm", "capability,yama,bpf")
    put("proc/sys/kernel/yama/ptrace_scope", "1\n")
    for name, number, scheduler in (
        ("sda", "8:0", "none [bfq]"),
        ("sdb", "8:16", "[none] mq-deadline"),
        ("loop0", "7:0", "[bfq]"),
    ):
        put(f"sys/block/{name}/dev", f"{number}\n")
        put(f"sys/block/{name}/queue/scheduler", f"{scheduler}\n")
        (tmp_path / "sys/dev/block").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"sys/dev/block/{number}").symlink_to(tmp_path / f"sys/block/{name}")

    ground = gather(Facts(), None, tmp_path)

    assert (ground.has_unified, ground.has_io, ground.is_io_in_v1) == (True, True, False)
    assert ground.ptrace_scope == "1"
    assert ground.security.modules == ("capability", "yama", "bpf")
    assert ground.honoured == ("sda",)
    assert len(ground.ignored) == 1
    assert "sdb" in ground.ignored[0]
    assert (ground.hold_gaps, ground.drop_gaps) == (None, None)


def test_an_empty_host_is_read_too(tmp_path: Path) -> None:
    found = {one.mechanism: one.works for one in abilities(gather(Facts(), None, tmp_path))}

    assert found == {"hold": None, "io_max": False, "pause": True, "drop": None, "ionice": False}


def test_the_report_has_a_part_on_acting() -> None:
    acting = abilities(Ground(has_io=False, is_io_in_v1=True))
    report = make_report(kernel("6.1.0"), None, acting)
    lines = as_text(report).splitlines()

    at = lines.index("acting:")
    assert lines[at + 1] == "  hold    works    BPF counts, ptrace holds"
    assert lines[at + 2] == "  io_max  no       the io controller belongs to cgroup v1 here"
    assert lines[at + 3] == f"          mend: {V2_ONLY}"
    # Nothing of it is essential: the numbers are right without it.
    assert report.is_complete
    told = msgspec.json.decode(msgspec.json.encode(report))
    assert told["acting"][1] == {
        "mechanism": "io_max",
        "works": False,
        "why": "the io controller belongs to cgroup v1 here",
        "remedy": V2_ONLY,
    }
