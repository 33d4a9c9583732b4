"""The first file system of a guest: busybox, the modules that reach its disks, `init.sh`."""

from __future__ import annotations

import gzip
import lzma
import shlex
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

_INIT = Path(__file__).with_name("init.sh")
_BUS = ("virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "virtiofs", "overlay")
# What file systems ask for by the name of an algorithm when they are mounted.
_FILE_SYSTEM = {
    "ext4": ("crc32c_generic", "ext4"),
    "xfs": ("crc32c_generic", "xfs"),
    "btrfs": ("crc32c_generic", "blake2b_generic", "xxhash_generic", "btrfs"),
}
FILE_SYSTEMS = tuple(_FILE_SYSTEM)


class Entry(NamedTuple):
    """One file or directory of the archive."""

    path: str
    mode: int
    content: bytes = b""


def cpio(entries: Iterable[Entry]) -> bytes:
    """Return a cpio archive, format "newc": Documentation/driver-api/early-userspace/."""
    archive = bytearray()
    for inode, entry in enumerate((*entries, Entry("TRAILER!!!", 0)), 1):
        name = entry.path.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, 4 device numbers, length of name, checksum
        fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, 0, 0, len(name), 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        archive += bytes(-len(archive) % 4) + entry.content
        archive += bytes(-len(archive) % 4)
    return bytes(archive)


def _module_name(path: str) -> str:
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def load_order(modules_dep: str, wanted: Iterable[str]) -> list[str]:
    """Return the files of modules and what they depend on, in an order that can be loaded.

    Args:
        modules_dep: the text of modules.dep: "FILE: FILE THAT IT NEEDS …", each line complete
            and in reverse order of loading.
        wanted: names of modules; one that is not in the text is built in, or not there at all.
    """
    needs = {}
    for line in modules_dep.splitlines():
        path, _, others = line.partition(":")
        needs[_module_name(path)] = [*reversed(others.split()), path]
    return list(dict.fromkeys(file for name in wanted for file in needs.get(name, ())))


def _module(path: Path) -> bytes:
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.suffix == ".xz" else raw


def initramfs(
    modules: Path, file_system: str, busybox: Path, settings: Mapping[str, str | Path]
) -> bytes:
    """Return the compressed archive; `settings` are shell variables of `init.sh`."""
    order = load_order(
        (modules / "modules.dep").read_text("ascii"), (*_BUS, *_FILE_SYSTEM[file_system])
    )
    assignments = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
    entries = [
        Entry("bin", stat.S_IFDIR | 0o755),
        Entry("modules", stat.S_IFDIR | 0o755),
        Entry("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()),
        Entry("init", stat.S_IFREG | 0o755, _INIT.read_bytes()),
        Entry("settings", stat.S_IFREG | 0o644, "".join(assignments).encode()),
    ]
    entries += [
        Entry(f"modules/{place:03}.ko", stat.S_IFREG | 0o644, _module(modules / file))
        for place, file in enumerate(order)
    ]
    return gzip.compress(cpio(entries), 1)
