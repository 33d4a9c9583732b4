"""What the doctor finds on many hosts."""

from __future__ import annotations

import pytest

from iotop_ng.sources.checkup import LIMITED, MISSING, OK, Check, examine
from iotop_ng.sources.choose import DELAYACCT_ON, MOUNT_TRACEFS, SUDO, choose
from tests.fakes.hosts import HOSTS, NOBODY, Host, kernel


def check(host: str | Host, name: str) -> Check:
    facts = host.facts if isinstance(host, Host) else kernel(host)
    return next(one for one in examine(facts) if one.id == name)


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_the_checks_agree_with_the_choice(host: Host) -> None:
    is_missing = any(one.is_essential_missing for one in examine(host.facts))

    assert is_missing is (choose(host.facts).source.name != "bcc")


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_every_check_says_what_was_seen_and_what_is_lost(host: Host) -> None:
    checks = examine(host.facts)

    assert len({one.id for one in checks}) == len(checks)
    for one in checks:
        assert one.evidence
        assert one.state in {OK, LIMITED, MISSING}
        assert one.state == OK or one.lost or one.id == "bpf"
        assert one.state != OK or not (one.lost or one.remedy)


def test_what_is_off_has_its_command() -> None:
    assert check("6.8.0", "delayacct").remedy == DELAYACCT_ON
    without = Host("", kernel("6.8.0", tracefs=None, is_tracefs_mounted=False), "bcc")
    assert check(without, "tracefs").remedy == MOUNT_TRACEFS
    nobody = Host("", kernel("6.8.0", is_root=False, capabilities=NOBODY), "procfs")
    assert check(nobody, "privileges").remedy == SUDO
    assert check(nobody, "others").state == LIMITED


def test_delay_accounting_in_every_state() -> None:
    states = {
        name: check(Host("", kernel("6.8.0", **given), ""), "delayacct")
        for name, given in {
            "on": {"delayacct": "on"},
            "missing": {"delayacct": "missing"},
            "refused": {"delayacct": "on", "taskstats_error": "needs CAP_NET_ADMIN"},
        }.items()
    }

    assert states["on"].state == OK
    assert (states["missing"].state, states["missing"].remedy) == (LIMITED, "")
    assert "CAP_NET_ADMIN" in states["refused"].evidence


def test_without_counters_nothing_works() -> None:
    host = Host("", kernel("6.8.0", has_io_counters=False), "")

    assert check(host, "io_counters").is_essential_missing


def test_a_trial_that_nobody_may_do_is_not_held_against_the_kernel() -> None:
    nobody = kernel("6.8.0", is_root=False, capabilities=NOBODY, bpf_error="EPERM")

    assert check(Host("", nobody, ""), "bpf").state == LIMITED
