"""Which container a cgroup is: its runtime and id by the path, its name by the runtime's files.

No daemon is asked: one that waits for the flooded disk would let us wait with it. The paths are
those of the two cgroup drivers of runc and crun (`docker-ID.scope` by systemd, `docker/ID` by
files), of LXC (`lxc.payload.NAME`) and of systemd's machines (`machine-NAME.scope`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from iotop_ng.clock import NS_PER_S, Clock, SystemClock
from iotop_ng.sources.kept_file import read_small
from iotop_ng.units import clean

ID_SHOWN = 12
"""Digits of an id that are shown, and the fewest that name one: as the runtimes do."""
_NAME_LIMIT = 128
_FILE_BYTES = 4 * 1024 * 1024
_KNOWN_NS = 60 * NS_PER_S  # containers are renamed rarely
_UNKNOWN_NS = 5 * NS_PER_S  # the file may be written after the cgroup was made
_MOST = 4096
READER = "containers"
"""Name of the thread that reads names."""
# Monitors (libpod-conmon-ID.scope, crio-conmon-ID.scope) are not in their containers.
_WITH_ID = re.compile(r"(?:([a-z][a-z0-9]*(?:-[a-z]+)*)-)?([0-9a-f]{64})(?:\.scope)?", re.ASCII)
_MACHINE = re.compile(r"lxc\.payload\.(?P<lxc>.+)|machine-(?P<machine>.+)\.scope")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_RUNTIMES = {
    "docker": "docker", "libpod": "podman", "cri-containerd": "containerd", "crio": "cri-o",
    "nerdctl": "containerd", "containerd": "containerd",
}  # fmt: skip


class Container(NamedTuple):
    """A cgroup that a container runtime made."""

    cgroup: str
    """Its path; processes may be further below."""
    runtime: str
    """docker, podman, containerd, cri-o, lxc, machine; "container" when the path does not say."""
    id: str
    """64 hexadecimal digits; "" where names are ids."""
    name: str
    """As people call it, cleaned; "" when it is not known."""
    pod: str = ""
    """Of Kubernetes; "" without."""

    @property
    def short(self) -> str:
        """Runtime and the beginning of the id: "docker-0123456789ab"."""
        return f"{self.runtime}-{self.id[:ID_SHOWN]}" if self.id else f"{self.runtime}-{self.name}"

    @property
    def shown(self) -> str:
        """The name, with its pod, or else the short id."""
        name = self.name or self.short
        return f"{self.pod}/{name}" if self.pod and self.name else name

    def is_called(self, wanted: str) -> bool:
        """Say whether a text names it: name, pod/name, short id, unit, or 12 digits of the id."""
        unit = self.cgroup.rpartition("/")[2]
        if wanted in {self.name, self.shown, self.short, unit} - {""}:
            return True
        return len(wanted) >= ID_SHOWN and bool(self.id) and self.id.startswith(wanted)


def parse(path: str) -> Container | None:
    r"""Return the container of a cgroup, without the name that only the runtime knows.

    The innermost one, where containers hold containers.

    >>> parse("/system.slice/docker-" + 64 * "a" + ".scope/init").short
    'docker-aaaaaaaaaaaa'
    """
    parts = [part for part in path.split("/") if part]
    for end in range(len(parts), 0, -1):
        cgroup, part = "/" + "/".join(parts[:end]), parts[end - 1]
        if found := _WITH_ID.fullmatch(part):
            runtime = _runtime(found[1], parts[: end - 1])
            if runtime:
                return Container(cgroup, runtime, found[2], "")
        elif found := _MACHINE.fullmatch(part):
            runtime = "lxc" if found["lxc"] else "machine"
            name = _ESCAPED.sub(
                lambda code: chr(int(code[1], 16)), found["lxc"] or found["machine"]
            )
            return Container(cgroup, runtime, "", clean(name, _NAME_LIMIT))
    return None


def _runtime(prefix: str | None, above: list[str]) -> str:
    """Return whose it is; "" for what is no container."""
    if prefix is not None:
        return _RUNTIMES.get(prefix, "")
    parent = above[-1] if above else ""
    if any(part.startswith("kubepods") for part in above):
        return "containerd"
    return "docker" if parent == "docker" else "container"


class _Docker(msgspec.Struct, frozen=True, rename={"name": "Name"}):
    """config.v2.json."""

    name: str = ""


class _Podman(msgspec.Struct, frozen=True):
    """One of containers.json, of containers/storage."""

    id: str
    names: tuple[str, ...] = ()


class _Bundle(msgspec.Struct, frozen=True):
    """config.json of the OCI runtime specification."""

    annotations: dict[str, str] = {}


_KUBERNETES = "io.kubernetes.cri.{}"
_NERDCTL = "nerdctl/name"


class Containers:
    """Names containers. Reads little, keeps it for a while, and never writes.

    The files are on a disk, perhaps on the one that is flooded: who cannot wait for it is given
    the short id until a thread has read the name.

    Args:
        root: where the runtimes' files are.
        clock: says when to look again.
        patience_s: how long a name is waited for; None for as long as it takes.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        clock: Clock | None = None,
        patience_s: float | None = None,
    ) -> None:
        self._root = root
        self._clock = clock or SystemClock()
        self._patience_s = patience_s
        self._known: dict[str, tuple[Container | None, int]] = {}
        self._wanted: list[tuple[str, Container]] = []
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None

    def of(self, path: str) -> Container | None:
        """Return the container of a cgroup path with its name; None when it is none."""
        kept = self._known.get(path)
        if kept is not None and (kept[0] is None or self._clock.mono_ns() < kept[1]):
            return kept[0]
        container = parse(path)
        if len(self._known) >= _MOST:
            self._known.clear()
        # Until it was read (again), what is known holds.
        known = kept[0] if kept is not None else container
        self._known[path] = (known, self._clock.mono_ns() + _UNKNOWN_NS)
        if container is None:
            return None
        if self._patience_s is None:
            self._look(path, container)
        else:
            self._read_beside(path, container).join(self._patience_s)
        return self._known.get(path, (known, 0))[0]

    def _look(self, path: str, container: Container) -> None:
        named = self._named(container)
        until = self._clock.mono_ns() + (_KNOWN_NS if named.name else _UNKNOWN_NS)
        self._known[path] = (named, until)

    def _read_beside(self, path: str, container: Container) -> threading.Thread:
        """Have a thread read this name; it ends when no name is wanted any more."""
        with self._lock:
            self._wanted.append((path, container))
            if self._reader is None:
                self._reader = threading.Thread(target=self._read_all, name=READER, daemon=True)
                self._reader.start()
            return self._reader

    def _read_all(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._reader = None
                    return
                path, container = self._wanted.pop(0)
            self._look(path, container)

    def shown(self, path: str | None) -> str:
        """Return the name for a screen; "" for what is no container."""
        container = None if path is None else self.of(path)
        return "" if container is None else container.shown

    def _named(self, container: Container) -> Container:
        # A file that is not what it should be names nobody.
        looks: tuple[Callable[[Container], Container | None], ...] = (
            self._docker, self._podman, self._containerd,
        )  # fmt: skip
        for look in looks if container.id else ():
            try:
                named = look(container)
            except (msgspec.DecodeError, OSError, RecursionError):
                continue
            if named is not None and named.name:
                return named
        return container

    def _docker(self, container: Container) -> Container | None:
        if container.runtime not in {"docker", "container"}:
            return None
        raw = self._read(f"var/lib/docker/containers/{container.id}/config.v2.json")
        if raw is None:
            return None
        name = msgspec.json.decode(raw, type=_Docker).name.removeprefix("/")
        return container._replace(name=clean(name, _NAME_LIMIT))

    def _podman(self, container: Container) -> Container | None:
        """Podman's and CRI-O's: both keep their containers in containers/storage."""
        if container.runtime not in {"podman", "cri-o", "container"}:
            return None
        raw = self._read("var/lib/containers/storage/overlay-containers/containers.json")
        for one in msgspec.json.decode(raw, type=tuple[_Podman, ...]) if raw else ():
            if one.id == container.id and one.names:
                return _of_kubelet(container, one.names[0])
        return None

    def _containerd(self, container: Container) -> Container | None:
        if container.runtime not in {"containerd", "docker", "container"}:
            return None
        tasks = self._root / "run/containerd/io.containerd.runtime.v2.task"
        for bundle in tasks.glob(f"*/{container.id}/config.json"):
            raw = read_small(bundle, _FILE_BYTES)
            said = msgspec.json.decode(raw, type=_Bundle).annotations if raw else {}
            is_sandbox = said.get(_KUBERNETES.format("container-type")) == "sandbox"
            name = said.get(_KUBERNETES.format("container-name")) or said.get(_NERDCTL, "")
            return container._replace(
                name=clean("pause" if is_sandbox else name, _NAME_LIMIT),
                pod=clean(said.get(_KUBERNETES.format("sandbox-name"), ""), _NAME_LIMIT),
            )
        return None

    def _read(self, path: str) -> bytes | None:
        return read_small(self._root / path, _FILE_BYTES)


def _of_kubelet(container: Container, name: str) -> Container:
    """Return it with a name; CRI-O's are k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT."""
    parts = name.split("_")
    if parts[0] == "k8s" and len(parts) == 6:
        return container._replace(
            name=clean("pause" if parts[1] == "POD" else parts[1], _NAME_LIMIT),
            pod=clean(parts[2], _NAME_LIMIT),
        )
    return container._replace(name=clean(name, _NAME_LIMIT))


def called(wanted: str, containers: Iterable[Container]) -> tuple[Container, ...]:
    """Return the containers that a text names, each once, in the order of their paths."""
    found = {one.cgroup: one for one in containers if one.is_called(wanted)}
    return tuple(found[path] for path in sorted(found))
