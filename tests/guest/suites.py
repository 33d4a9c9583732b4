"""Kernels of other Debian releases: from the mirrors that apt uses here, with lists of our own.

Neither the lists nor the sources of this machine are touched.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from tests.guest.kernels import FetchError, Kernel, cache_directory, point, run, unpacked

_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_OWN = "matrix"
"""A directory of its own in the cache: without headers, they are not those that tests run on."""
_TRIED = 6
"""Versions from the newest on: what the lists name, a mirror may no longer, or not yet, have."""


class Release(NamedTuple):
    """A series of kernels in one flavour, in a suite of Debian."""

    suite: str
    """ "bookworm"; "trixie-backports"."""
    series: str
    """ "6.12"."""
    flavour: str
    """amd64, cloud-amd64 or rt-amd64."""

    @property
    def link(self) -> str:
        """Its name in the cache."""
        return f"{self.suite}-{self.series}-{self.flavour}"


class Apt:
    """apt with one suite and nothing else."""

    def __init__(self, suite: str) -> None:
        directory = cache_directory() / _OWN / "apt" / suite
        self._sources = directory / "sources.list"
        self._suite = suite
        self._options = (
            f"-oDir::State={directory / 'state'}", "-oDir::State::status=/var/lib/dpkg/status",
            f"-oDir::Cache={directory / 'cache'}", f"-oDir::Etc::SourceList={self._sources}",
            "-oDir::Etc::SourceParts=/dev/null",
        )  # fmt: skip
        for made in ("state/lists/partial", "cache/archives/partial"):
            (directory / made).mkdir(parents=True, exist_ok=True)

    def update(self) -> None:
        """Fetch the lists.

        Raises:
            FetchError: apt uses no Debian mirror here, or it has no such suite.
        """
        form = "--format=$(LABEL) $(REPO_URI)"
        listed = run("apt-get", "indextargets", form, "Created-By: Packages").splitlines()
        mirrors = dict(line.split() for line in listed if len(line.split()) == 2)
        signed = f"[signed-by={_KEYS}] " if _KEYS.exists() else ""
        wanted = {"Debian": self._suite, "Debian-Security": f"{self._suite}-security"}
        if self._suite.endswith("-backports"):
            del wanted["Debian-Security"]
        lines = [
            f"deb {signed}{mirrors[label]} {suite} main\n"
            for label, suite in wanted.items()
            if label in mirrors
        ]
        if not lines:
            raise FetchError("apt uses no mirror of Debian here")
        self._sources.write_text("".join(lines), "utf-8")
        run("apt-get", "-qq", *_as_root(), *self._options, "update")

    def images(self, release: Release) -> list[str]:
        """Return the packages of a release, newest first."""
        # Until 6.1 they are named by the ABI, linux-image-6.1.0-47-amd64, later by the version.
        series, flavour = re.escape(release.series), re.escape(release.flavour)
        name = rf"^linux-image-{series}\.[0-9.]+[-+][^-]*-{flavour}$"
        found = run("apt-cache", *self._options, "search", "--names-only", name).splitlines()
        return sorted((line.split()[0] for line in found), key=_numbers, reverse=True)

    def unpack(self, image: str) -> Kernel:
        """Return an image of the cache, downloaded if it has to be.

        Raises:
            FetchError: it cannot be had.
        """
        depends = run("apt-cache", *self._options, "depends", image)
        version = image.removeprefix("linux-image-")
        # From 7.0 on the image only names the packages with the kernel and the modules.
        parts = [f"linux-{part}-{version}" for part in ("binary", "modules")]
        needed = [image, *(part for part in parts if f" {part}\n" in depends)]
        return unpacked(cache_directory() / _OWN / image, needed, self._options)


def fetch(release: Release) -> Kernel:
    """Return the newest kernel of a release that can be had, or the one that the cache has.

    Raises:
        FetchError: neither.
    """
    link = cache_directory() / _OWN / release.link
    try:
        apt = Apt(release.suite)
        apt.update()
        kernel = _newest(apt, release)
    except FetchError:
        if not link.exists():
            raise
        return Kernel(link.resolve())
    point(link, kernel.root.name)
    return kernel


def _newest(apt: Apt, release: Release) -> Kernel:
    why = FetchError(f"{release.suite} has no kernel {release.series} {release.flavour}")
    for image in apt.images(release)[:_TRIED]:
        try:
            return apt.unpack(image)
        except FetchError as error:  # noqa: PERF203 - the next one may be had
            why = error
    raise why


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", name)]


def _as_root() -> list[str]:
    # Root's apt gives up its privileges to a user who may not write here.
    return ["-oAPT::Sandbox::User=root"] if os.geteuid() == 0 else []
