"""Facts of hosts as they are met, and what is expected of each."""

from __future__ import annotations

from dataclasses import dataclass

from iotop_ng.sources.choose import DELAYACCT_ON, SUDO
from iotop_ng.sources.probe import Facts

ROOT = frozenset({"CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"})
ROOT_BEFORE_5_8 = frozenset({"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_ADMIN"})
DOCKER = frozenset[str]()
"""None of docker's default capabilities matters here."""
NOBODY = frozenset[str]()
APT_HEADERS = "apt install linux-headers-$(uname -r)"
APT_BCC = "apt install python3-bpfcc"
ON_HOST = "run it on the host, or start the container with --privileged --pid=host"


@dataclass(frozen=True)
class Host:
    """One kind of host."""

    name: str
    facts: Facts
    source: str
    words: str = ""
    """In the first note; "" when there is none."""
    remedy: str = ""
    """The first one; "" when there is none."""


def kernel(release: str, **others: object) -> Facts:
    """Return a Debian-like host with BTF and everything else, except `others`."""
    major, minor, *_ = (int(number) for number in release.partition("-")[0].split("."))
    given: dict[str, object] = {
        "release": release,
        "version": (major, minor, 0),
        "headers_remedy": APT_HEADERS,
        "bcc_version": "0.26.0",
        "bcc_path": "/usr/lib/python3/dist-packages/bcc",
        "delayacct": "off" if (major, minor) >= (5, 14) else "on",
    }
    return Facts(**{**given, **others})  # type: ignore[arg-type]  # a table of mixed types


HOSTS = (
    Host("6.18", kernel("6.18.44"), "bcc"),
    Host("6.8", kernel("6.8.0-45-generic"), "bcc"),
    Host("6.1", kernel("6.1.0-56-amd64"), "bcc"),
    Host("5.15", kernel("5.15.0-120-generic"), "bcc"),
    Host(
        "5.4 with headers, without BTF",
        kernel(
            "5.4.0-200-generic",
            has_btf=False,
            headers="/lib/modules/5.4.0-200-generic/build",
            capabilities=ROOT_BEFORE_5_8,
        ),
        "bcc",
    ),
    Host(
        "5.4 without headers and BTF",
        kernel("5.4.0-200-generic", has_btf=False, capabilities=ROOT_BEFORE_5_8),
        "procfs",
        "neither BTF",
        APT_HEADERS,
    ),
    Host(
        "4.18 of RHEL 8, with BTF",
        kernel("4.18.0-553.el8_10.x86_64", capabilities=ROOT_BEFORE_5_8),
        "bcc",
    ),
    Host("4.14", kernel("4.14.355"), "procfs", "older than 4.18", ""),
    Host(
        "without root",
        kernel("6.1.0-56-amd64", is_root=False, capabilities=NOBODY, bpf_error="EPERM"),
        "procfs",
        "BPF needs CAP_BPF and CAP_PERFMON",
        SUDO,
    ),
    Host(
        "without root before 5.8",
        kernel("5.4.0-200-generic", is_root=False, capabilities=NOBODY, bpf_error="EPERM"),
        "procfs",
        "BPF needs CAP_SYS_ADMIN",
        SUDO,
    ),
    Host(
        "file capabilities instead of root",
        kernel("6.8.0", is_root=False, capabilities=frozenset({"CAP_BPF", "CAP_PERFMON"})),
        "bcc",
    ),
    Host(
        "one capability of two",
        kernel("6.8.0", is_root=False, capabilities=frozenset({"CAP_BPF"}), bpf_error="EPERM"),
        "procfs",
        "BPF needs CAP_PERFMON",
        SUDO,
    ),
    Host(
        "docker run",
        kernel("6.8.0", capabilities=DOCKER, bpf_error="EPERM", is_host_pidns=False),
        "procfs",
        "BPF needs",
        ON_HOST,
    ),
    Host(
        "docker run --cap-add SYS_ADMIN --pid host, refused by seccomp",
        kernel("6.8.0", bpf_error="EPERM"),
        "procfs",
        "refused (EPERM)",
        ON_HOST,
    ),
    Host(
        "docker run --privileged",
        kernel("6.8.0", is_host_pidns=False),
        "procfs",
        "PID namespace",
        ON_HOST,
    ),
    Host("docker run --privileged --pid host", kernel("6.8.0"), "bcc"),
    Host(
        "secure boot, confidentiality",
        kernel("6.8.0", lockdown="confidentiality"),
        "procfs",
        "locked down",
        "boot with lockdown=integrity",
    ),
    Host("secure boot, integrity", kernel("6.8.0", lockdown="integrity"), "bcc"),
    Host("kernel that says nothing of lockdown", kernel("6.8.0", lockdown=None), "bcc"),
    Host(
        "without CONFIG_BPF_SYSCALL",
        kernel("6.8.0", bpf_error="ENOSYS"),
        "procfs",
        "without bpf(2)",
        "",
    ),
    Host(
        "bpf fails oddly",
        kernel("6.8.0", bpf_error="ENOMEM"),
        "procfs",
        "ENOMEM",
        "iotop-ng doctor",
    ),
    Host(
        "without BCC",
        kernel(
            "6.1.0",
            bcc_path=None,
            bcc_problem="BCC for Python is not installed",
            bcc_remedy=APT_BCC,
        ),
        "procfs",
        "BCC for Python is not installed",
        APT_BCC,
    ),
    Host(
        "another project called bcc",
        kernel(
            "6.1.0",
            bcc_path=None,
            bcc_problem="the package in /venv/bcc is called bcc but is not BCC",
            bcc_remedy=APT_BCC,
        ),
        "procfs",
        "is not BCC",
        APT_BCC,
    ),
    Host(
        "without tracefs",
        kernel("6.1.0", tracefs=None, is_tracefs_mounted=False),
        "bcc",
        "tracefs is not mounted",
        "mount -t tracefs tracefs /sys/kernel/tracing",
    ),
    Host(
        "tracefs for root only",
        kernel("6.1.0", tracefs=None, is_root=False),
        "bcc",
        "tracefs cannot be read",
        SUDO,
    ),
    Host(
        "hidepid without root",
        kernel("6.1.0", is_root=False, capabilities=NOBODY, hidepid="invisible"),
        "procfs",
        "BPF needs",
        SUDO,
    ),
    Host(
        "old container on a host without everything",
        kernel(
            "3.10.0", is_root=False, capabilities=NOBODY, has_btf=False, bpf_error="ENOSYS",
            is_host_pidns=False, bcc_problem="BCC for Python is not installed", bcc_remedy=APT_BCC,
            tracefs=None, delayacct="missing", taskstats_error="no family",
        ),
        "procfs",
        "older than 4.18",
        SUDO,
    ),
)  # fmt: skip
DELAYS_OFF = DELAYACCT_ON
