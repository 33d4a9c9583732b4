"""Who is never touched, by name: what a machine needs to be reached, logged and mended.

A name alone is whatever a process calls itself, so it counts only together with the unit that the
program is run in. Where a row's cgroup says nothing (no systemd, or not measured) the name decides:
rather one hog too many left alone than a machine without sshd.
"""

from __future__ import annotations

from typing import NamedTuple


class Service(NamedTuple):
    """A program in its place."""

    programs: tuple[str, ...]
    """Names of executables."""
    units: tuple[str, ...]
    """Patterns of the last part of the cgroup; a unit alone protects what is directly in it."""


SERVICES = (
    Service(
        ("systemd-journald", "systemd-journal"), ("systemd-journald*.service", "journald*.service")
    ),
    Service(("rsyslogd",), ("rsyslog.service",)),
    Service(("syslog-ng", "syslogd"), ("syslog-ng*.service", "syslog.service")),
    Service(
        ("dbus-daemon", "dbus-broker", "dbus-broker-launch", "dbus-broker-lau"),
        ("dbus.service", "dbus-broker.service"),
    ),
    Service(("systemd-udevd", "udevd", "eudev"), ("systemd-udevd.service", "udev")),
    Service(("systemd-logind", "elogind"), ("systemd-logind.service", "elogind.service")),
    Service(
        ("systemd-networkd", "systemd-network", "NetworkManager", "systemd-resolved",
         "systemd-resolve", "dhclient", "dhcpcd", "wpa_supplicant"),
        ("systemd-networkd.service", "NetworkManager.service", "systemd-resolved.service",
         "networking.service", "dhcpcd*.service", "wpa_supplicant*.service"),
    ),
    Service(
        ("sshd", "sshd-session", "sshd-auth", "dropbear", "tinysshd"),
        ("ssh.service", "sshd.service", "ssh@*.service", "sshd@*.service", "dropbear.service"),
    ),
    Service(("login", "getty", "agetty"), ("getty@*.service", "serial-getty@*.service")),
    Service(
        ("dockerd", "docker-proxy", "containerd", "containerd-shim", "containerd-shim-runc-v1",
         "containerd-shim-runc-v2", "crio", "conmon", "conmonrs", "runc", "crun", "podman",
         "kubelet", "cri-dockerd", "lxcfs", "lxd", "incusd"),
        ("docker.service", "containerd.service", "crio.service", "kubelet.service",
         "crio-conmon-*.scope", "libpod-conmon-*.scope", "podman.service", "cri-docker.service",
         "lxcfs.service", "lxd.service", "incus.service"),
    ),
)  # fmt: skip
"""Names are also given as the kernel cuts them, at 15 bytes."""

LOGIN_PROGRAMS = frozenset({"sshd", "sshd-session", "sshd-auth", "login", "dropbear"})
"""Root runs these inside the session's own scope, beside what the user runs."""

CGROUPS = ("/init.scope", "/hostcritical.slice")
"""These and everything below."""
