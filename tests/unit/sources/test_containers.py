"""Containers by their cgroup's path and by their runtimes' files."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.clock import NS_PER_S, ManualClock
from iotop_ng.sources.containers import READER, Container, Containers, called, parse
from iotop_ng.sources.procfs import ProcfsSource
from tests.fakes.procfs import FakeIo, FakeProc
from tests.kernel.gate import wait_until

ID = "0123456789abcdef" * 4
OTHER = "0123456789ab" + "f" * 52
SYSTEMD = f"/system.slice/docker-{ID}.scope"
POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice"


def write(root: Path, path: str, content: object) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")


def docker(root: Path, name: object, number: str = ID) -> None:
    write(root, f"var/lib/docker/containers/{number}/config.v2.json", {"Name": name, "ID": number})


@pytest.mark.parametrize(
    ("path", "cgroup", "short"),
    [
        (SYSTEMD, SYSTEMD, "docker-0123456789ab"),
        (f"{SYSTEMD}/init.scope/deep", SYSTEMD, "docker-0123456789ab"),
        (f"/docker/{ID}", f"/docker/{ID}", "docker-0123456789ab"),
        (
            f"/machine.slice/libpod-{ID}.scope/container",
            f"/machine.slice/libpod-{ID}.scope",
            "podman-0123456789ab",
        ),
        (f"/libpod_parent/libpod-{ID}", f"/libpod_parent/libpod-{ID}", "podman-0123456789ab"),
        (
            f"{POD}/cri-containerd-{ID}.scope",
            f"{POD}/cri-containerd-{ID}.scope",
            "containerd-0123456789ab",
        ),
        (f"{POD}/crio-{ID}.scope", f"{POD}/crio-{ID}.scope", "cri-o-0123456789ab"),
        (
            f"/kubepods/besteffort/pod1-2/{ID}",
            f"/kubepods/besteffort/pod1-2/{ID}",
            "containerd-0123456789ab",
        ),
        (f"/default/{ID}", f"/default/{ID}", "container-0123456789ab"),
        (
            f"/docker/{OTHER}/kubepods/pod1/{ID}",
            f"/docker/{OTHER}/kubepods/pod1/{ID}",
            "containerd-0123456789ab",
        ),
        ("/lxc.payload.web/system.slice/x.service", "/lxc.payload.web", "lxc-web"),
        (
            r"/machine.slice/machine-my\x2dweb.scope/payload",
            r"/machine.slice/machine-my\x2dweb.scope",
            "machine-my-web",
        ),
    ],
)
def test_a_path_says_whose_container_it_is(path: str, cgroup: str, short: str) -> None:
    found = parse(path)

    assert found is not None
    assert (found.cgroup, found.short) == (cgroup, short)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/system.slice/docker.service",
        f"/system.slice/docker-{ID[:12]}.scope",
        f"/system.slice/docker-{ID}0.scope",
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"{POD}/crio-conmon-{ID}.scope",
        f"/user.slice/backup-{ID}.scope",
        f"/system.slice/docker-{ID.upper()}.scope",
        POD,
    ],
)
def test_other_paths_are_no_containers(path: str) -> None:
    assert parse(path) is None


@given(st.text(max_size=80))
def test_any_text_is_a_path_or_none(text: str) -> None:
    found = parse(text)

    assert found is None or found.short


def test_docker_writes_the_name_with_a_slash(tmp_path: Path) -> None:
    docker(tmp_path, "/web")

    assert Containers(tmp_path).shown(f"{SYSTEMD}/x") == "web"


def test_podman_lists_its_containers_in_one_file(tmp_path: Path) -> None:
    listed = [{"id": OTHER, "names": ["db"]}, {"id": ID, "names": ["web", "alias"]}]
    write(tmp_path, "var/lib/containers/storage/overlay-containers/containers.json", listed)

    assert Containers(tmp_path).shown(f"/machine.slice/libpod-{ID}.scope") == "web"


def test_cri_o_puts_the_pod_into_the_name(tmp_path: Path) -> None:
    listed = [{"id": ID, "names": ["k8s_app_web-0_default_uid_3"]}]
    write(tmp_path, "var/lib/containers/storage/overlay-containers/containers.json", listed)

    assert Containers(tmp_path).shown(f"{POD}/crio-{ID}.scope") == "web-0/app"


@pytest.mark.parametrize(
    ("annotations", "shown"),
    [
        (
            {
                "io.kubernetes.cri.container-name": "app",
                "io.kubernetes.cri.sandbox-name": "web-0",
                "io.kubernetes.cri.container-type": "container",
            },
            "web-0/app",
        ),
        (
            {
                "io.kubernetes.cri.sandbox-name": "web-0",
                "io.kubernetes.cri.container-type": "sandbox",
            },
            "web-0/pause",
        ),
        ({"nerdctl/name": "web"}, "web"),
        ({}, "containerd-0123456789ab"),
    ],
)
def test_containerd_annotates_its_bundles(
    annotations: dict[str, str], shown: str, tmp_path: Path
) -> None:
    task = f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"
    write(tmp_path, task, {"ociVersion": "1.0", "process": {}, "annotations": annotations})

    assert Containers(tmp_path).shown(f"{POD}/cri-containerd-{ID}.scope") == shown


@pytest.mark.parametrize("content", ["", "{", "[]", '{"Name": 5}', '{"Name": ""}', "\0" * 100])
def test_files_that_are_not_what_they_should_be_name_nobody(content: str, tmp_path: Path) -> None:
    write(tmp_path, f"var/lib/docker/containers/{ID}/config.v2.json", content)

    assert Containers(tmp_path).shown(SYSTEMD) == "docker-0123456789ab"


def test_names_are_drawn_and_not_interpreted(tmp_path: Path) -> None:
    docker(tmp_path, "/\x1b[2Jweb\n")

    assert Containers(tmp_path).shown(SYSTEMD) == "·[2Jweb·"


def test_a_name_is_read_again_after_a_while(tmp_path: Path) -> None:
    """Soon where it was missing, later where it may have been changed."""
    clock = ManualClock()
    containers = Containers(tmp_path, clock)
    seen = [containers.shown(SYSTEMD)]
    for name, seconds in (("/web", 1), ("/web", 5), ("/shop", 30), ("/shop", 31)):
        docker(tmp_path, name)
        clock.advance(seconds * NS_PER_S)
        seen.append(containers.shown(SYSTEMD))

    assert seen == ["docker-0123456789ab", "docker-0123456789ab", "web", "web", "shop"]


def test_who_cannot_wait_gets_the_id_until_the_name_was_read(tmp_path: Path) -> None:
    """The disk under the file may be the one that is flooded."""
    docker(tmp_path, "/web")
    entered, go = threading.Event(), threading.Event()

    class Slow(Containers):
        def _named(self, container: Container) -> Container:
            entered.set()
            assert go.wait(30)
            return super()._named(container)

    containers = Slow(tmp_path, patience_s=0)

    seen = [containers.shown(SYSTEMD), containers.shown(SYSTEMD)]
    assert entered.wait(30)
    go.set()
    wait_until(lambda: containers.shown(SYSTEMD) == "web", "the name is read", 30)

    assert seen == ["docker-0123456789ab"] * 2
    wait_until(lambda: READER not in {t.name for t in threading.enumerate()}, "it has ended", 30)


def test_what_is_no_container_has_no_name(tmp_path: Path) -> None:
    containers = Containers(tmp_path)

    assert [containers.shown(path) for path in (None, "/", "/user.slice")] == ["", "", ""]


def test_a_container_is_called_by_name_pod_unit_or_id(tmp_path: Path) -> None:
    """Eleven digits are too few; an id that begins alike means both."""
    docker(tmp_path, "/web")
    docker(tmp_path, "/db", OTHER)
    containers = Containers(tmp_path)
    web, db = containers.of(SYSTEMD), containers.of(f"/docker/{OTHER}")
    assert web is not None
    assert db is not None

    def names(wanted: str) -> list[str]:
        return [one.name for one in called(wanted, (web, db, web))]

    assert names("web") == names(f"docker-{ID}.scope") == names(ID) == names(ID[:13]) == ["web"]
    assert names(ID[:12]) == ["db", "web"]
    assert names(ID[:11]) == names("we") == names("") == []
    assert called("p/app", [web._replace(name="app", pod="p")])


def test_a_process_knows_its_container(tmp_path: Path) -> None:
    """By the name that docker wrote down."""
    fake = FakeProc(tmp_path)
    docker(tmp_path, "/web")
    fake.start(60, cgroup=f"0::{SYSTEMD}\n")
    fake.start(61)
    source = ProcfsSource(root=fake.root, clock=ManualClock())
    source.open()

    def found() -> dict[int, str]:
        # Only what does something is looked at anew.
        fake.set_io(60, FakeIo(write_bytes=time.monotonic_ns()))
        return {one.pid: one.container for one in source.read(frozenset()).processes}

    try:
        wait_until(lambda: found()[60] == "web", "its name was read")
        assert found()[61] == ""
    finally:
        source.close()
