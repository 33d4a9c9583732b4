"""Whether a kernel lets BPF refuse writes, decided from facts."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.enforcers.drop_ability import Facts, read_facts, why_not, write_something

DEBIAN = ("lockdown", "capability", "landlock", "yama", "apparmor", "tomoyo", "bpf")


def test_bpf_among_the_modules_is_enough() -> None:
    """Wherever it stands in the list."""
    assert why_not(Facts(DEBIAN, is_called=True)) == ""
    assert why_not(Facts(("bpf", "capability"))) == ""


def test_the_command_line_is_named_that_adds_bpf() -> None:
    """With the modules that are in use now, and without "capability", which is always on."""
    why = why_not(Facts(("lockdown", "capability", "apparmor")))

    assert "lsm=lockdown,apparmor,bpf on its command line" in why
    assert "throttle works without it" in why


def test_a_kernel_that_refuses_is_quoted() -> None:
    """Also where its list cannot be read."""
    for modules in (None, DEBIAN):
        why = why_not(Facts(modules, refusal="this kernel refuses BPF security programs"))
        assert why == "this kernel refuses BPF security programs (throttle works without it)"


def test_a_program_that_is_never_asked_is_noticed_without_the_list() -> None:
    """No securityfs is mounted: the programs load, are attached, and nothing would happen."""
    assert "lsm= with bpf" in why_not(Facts(None, is_called=False))
    assert why_not(Facts(None, is_called=True)) == ""


def test_a_pid_namespace_of_our_own_is_refused() -> None:
    """The programs see the host's pids: they would refuse somebody else's writes."""
    assert "PID namespace" in why_not(Facts(DEBIAN, is_first_pid_namespace=False))


def test_facts_are_read_from_the_kernels_files(tmp_path: Path) -> None:
    """No file is no list, which is not an empty one."""
    assert read_facts(tmp_path).modules is None

    file = tmp_path / "sys/kernel/security/lsm"
    file.parent.mkdir(parents=True)
    file.write_text("capability,landlock,bpf", "ascii")

    assert read_facts(tmp_path).modules == ("capability", "landlock", "bpf")


def test_the_write_that_is_tried_leaves_nothing(tmp_path: Path) -> None:
    """It goes to memory that belongs to no directory."""
    before = sorted(tmp_path.iterdir())

    write_something()

    assert sorted(tmp_path.iterdir()) == before
