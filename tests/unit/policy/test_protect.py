"""Real process trees: who is protected, and who only pretends to be."""

from __future__ import annotations

import pytest

from iotop_ng.model.frame import Row
from iotop_ng.policy.protect import Guarded, Protection, program_of
from tests.unit.policy.scenes import process

INIT = process(1, "systemd", cgroup="/init.scope", ppid=0)
SESSION = "/user.slice/user-1000.slice/session-3.scope"


@pytest.mark.parametrize(
    "row",
    [
        INIT,
        process(2, "kthreadd", cgroup="/", ppid=0),
        process(77, "kworker/u8:1", cgroup="/", ppid=2, is_kthread=True),
        process(300, "systemd-journal", cgroup="/system.slice/systemd-journald.service"),
        process(301, "rsyslogd", cgroup="/system.slice/rsyslog.service"),
        process(302, "dbus-daemon", cgroup="/system.slice/dbus.service"),
        process(303, "(udev-worker)", cgroup="/system.slice/systemd-udevd.service/udev"),
        process(304, "sshd", cgroup="/system.slice/ssh.service"),
        process(305, "sshd", cgroup=SESSION, command="sshd: joe [priv]"),
        process(306, "containerd", cgroup="/system.slice/containerd.service"),
        process(307, "containerd-shim", cgroup="/system.slice/containerd.service"),
        process(308, "anything", cgroup="/hostcritical.slice/agent.service"),
        process(309, "anything", cgroup="/"),
    ],
    ids=lambda row: row.comm,
)
def test_what_a_machine_needs_is_protected(row: Row) -> None:
    assert Guarded(Protection(), [INIT, row]).why(row)


@pytest.mark.parametrize(
    "row",
    [
        process(400, "log-flood", cgroup="/system.slice/app.service", uid=1000),
        process(401, "sshd", cgroup="/system.slice/app.service"),
        process(402, "sshd", cgroup=SESSION, uid=1000),
        process(403, "init", cgroup="/system.slice/docker-12ab.scope"),
        process(404, "flood", cgroup="/system.slice/containerd.service/kubepods-1"),
    ],
    ids=lambda row: f"{row.comm}{row.pid}",
)
def test_a_name_in_the_wrong_place_protects_nobody(row: Row) -> None:
    assert Guarded(Protection(), [INIT, row]).why(row) == ""


def test_without_cgroups_the_name_decides() -> None:
    shell, sshd = process(400, "dd", cgroup=None), process(401, "sshd", cgroup=None)
    guarded = Guarded(Protection(), [process(1, "init", cgroup=None), shell, sshd])

    assert guarded.why(sshd)
    assert guarded.why(shell) == ""


def test_ourselves_our_ancestors_and_our_helpers_but_not_the_shells_other_children() -> None:
    rows = [
        INIT,
        process(10, "sshd", cgroup=SESSION, uid=1000),
        process(11, "bash", cgroup=SESSION, ppid=10, uid=1000),
        process(12, "sudo", cgroup=SESSION, ppid=11),
        process(13, "iotop-ng", cgroup=SESSION, ppid=12),
        process(14, "supervisor", cgroup=SESSION, ppid=13),
        process(15, "log-flood", cgroup=SESSION, ppid=11, uid=1000),
    ]
    protection = Protection(own_pids=frozenset({13}), terminal_pids=frozenset({11}))
    guarded = Guarded(protection, rows)

    assert {row.pid for row in rows if guarded.why(row)} == {1, 10, 11, 12, 13, 14}


def test_a_circle_of_parents_ends() -> None:
    rows = [process(10, "a", ppid=11), process(11, "b", ppid=10)]

    assert Guarded(Protection(own_pids=frozenset({10})), rows).why(rows[1])


def test_the_victim_and_its_cgroup() -> None:
    victim = process(20, "postgres", cgroup="/system.slice/pg.service")
    mate = process(21, "backup", cgroup="/system.slice/pg.service")
    other = process(22, "dd", cgroup="/system.slice/app.service")
    guarded = Guarded(Protection(), [INIT, victim, mate, other], frozenset({victim.key}))

    assert guarded.why(victim)
    assert guarded.why(mate)
    assert guarded.why(other) == ""
    assert guarded.why_cgroup("/system.slice")
    assert guarded.why_cgroup("/system.slice/app.service") == ""


def test_a_victim_in_the_root_cgroup_does_not_protect_everybody() -> None:
    victim, hog = process(20, "db", cgroup="/"), process(21, "dd", cgroup="/")
    guarded = Guarded(
        Protection(), [process(1, "init", cgroup="/"), victim, hog], frozenset({victim.key})
    )

    assert guarded.why(hog) == ""


def test_a_victim_started_from_our_own_session_does_not_protect_the_whole_session() -> None:
    """Guard, victim and hog from one shell: only the victim is left alone, and the session."""
    rows = [
        INIT,
        process(11, "bash", cgroup=SESSION, ppid=1, uid=1000),
        process(13, "iotop-ng", cgroup=SESSION, ppid=11),
        process(20, "victim", cgroup=SESSION, ppid=11),
        process(21, "log-flood", cgroup=SESSION, ppid=11),
    ]
    protection = Protection(own_pids=frozenset({13}), terminal_pids=frozenset({11}))
    guarded = Guarded(protection, rows, frozenset({rows[3].key}))

    assert {row.pid for row in rows if guarded.why(row)} == {1, 11, 13, 20}
    assert guarded.why_cgroup(SESSION)


def test_a_cgroup_is_as_protected_as_whoever_is_in_it_or_below() -> None:
    sshd = process(30, "sshd", cgroup="/system.slice/ssh.service")
    guarded = Guarded(Protection(), [INIT, sshd])

    assert guarded.why_cgroup("/system.slice/ssh.service")
    assert guarded.why_cgroup("/system.slice")
    assert guarded.why_cgroup("/")
    assert guarded.why_cgroup("/init.scope")
    assert guarded.why_cgroup("/system.slice/ssh") == ""


def test_operators_add_programs_and_cgroups() -> None:
    additions = Protection(programs=("my*",), cgroups=("/prod.slice/*.service",))
    by_name = process(40, "x", command="/opt/bin/mydb --fast")
    by_place = process(41, "y", cgroup="/prod.slice/web.service/worker")
    neither = process(42, "y", cgroup="/test.slice/web.service")
    guarded = Guarded(additions, [INIT, by_name, by_place, neither])

    assert guarded.why(by_name)
    assert guarded.why(by_place)
    assert guarded.why(neither) == ""


@pytest.mark.parametrize(
    ("command", "program"),
    [("/usr/sbin/sshd -D", "sshd"), ("sshd: joe@pts/0", "sshd"), ("-bash", "bash"), ("", "")],
)
def test_the_program_in_a_command_line(command: str, program: str) -> None:
    assert program_of(command) == program
