"""Containers as runtimes make them: a cgroup with the runtime's name, namespaces, and its files.

No runtime is needed for that: what iotop-ng sees of one are these three.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.guest.limited import ROOT
from tests.kernel.hogs import Hog

_UNSHARED = (
    "unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc",
    "--cgroup", "--ipc", "--uts",
)  # fmt: skip
_ENTER = 'echo $$ >"$0/cgroup.procs"; exec "$@"'


class Contained(NamedTuple):
    """One container."""

    name: str
    place: Path
    """Its cgroup's directory."""

    @property
    def path(self) -> str:
        """Of its cgroup."""
        return f"/{self.place.relative_to(ROOT)}"

    @property
    def started_by(self) -> tuple[str, ...]:
        """What starts a program in it: in its cgroup, then in namespaces of its own."""
        return ("sh", "-c", _ENTER, str(self.place), *_UNSHARED)


@contextmanager
def container(
    slices: str, unit: str, name: str, file: Path, content: object
) -> Iterator[Contained]:
    """Make a container, and remove it when everybody in it has ended.

    Args:
        slices: the cgroups above it: "system.slice".
        unit: of its cgroup.
        name: by which it is known.
        file: of the runtime, which holds the name.
        content: of that file.
    """
    above = ROOT
    for part in slices.split("/"):
        above /= part
        above.mkdir(exist_ok=True)
        (above / "cgroup.subtree_control").write_text("+io +memory", "ascii")
    place = above / unit
    place.mkdir()
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(content), "utf-8")
    try:
        yield Contained(name, place)
    finally:
        while (place / "cgroup.procs").read_text("ascii"):
            time.sleep(0.05)
        for made in (place, *place.parents):
            if made == ROOT:
                break
            made.rmdir()
        shutil.rmtree(file.parent)


@contextmanager
def docker(name: str, number: str) -> Iterator[Contained]:
    """Make one as docker does, with the cgroup driver of systemd."""
    file = Path(f"/var/lib/docker/containers/{number}/config.v2.json")
    content = {"ID": number, "Name": f"/{name}", "State": {"Running": True}}
    with container("system.slice", f"docker-{number}.scope", name, file, content) as made:
        yield made


@contextmanager
def pod(name: str, number: str) -> Iterator[Contained]:
    """Make one as containerd does for Kubernetes; `name` is POD/CONTAINER."""
    file = Path(f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{number}/config.json")
    of_pod, _, of_container = name.partition("/")
    said = {
        "io.kubernetes.cri.container-name": of_container,
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-name": of_pod,
    }
    slices = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab_cd.slice"
    unit = f"cri-containerd-{number}.scope"
    with container(slices, unit, name, file, {"ociVersion": "1.1.0", "annotations": said}) as made:
        yield made


def inner_pid(hog: Hog) -> int:
    """Return the pid, here, of the hog that a container's first process is."""
    children = Path(f"/proc/{hog.pid}/task/{hog.pid}/children").read_text("ascii").split()
    (pid,) = (int(child) for child in children)
    return pid
