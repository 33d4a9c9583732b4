"""What a guest begins with is put together right; this needs no guest."""

from __future__ import annotations

import gzip
import lzma
import stat
from pathlib import Path

from tests.guest.initramfs import Entry, cpio, initramfs, load_order

MODULES_DEP = """\
kernel/net/9p/9pnet.ko:
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio.ko:
kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz
kernel/lib/libcrc32c.ko.xz:
"""


def names_and_contents(archive: bytes) -> dict[str, bytes]:
    """Read a cpio archive of format "newc": 13 fields of 8 hexadecimal digits, name, content."""
    found, at = {}, 0
    while archive[at : at + 6] == b"070701":
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) // 4 * 4
        found[name] = archive[start : start + size]
        at = (start + size + 3) // 4 * 4
    assert at == len(archive)
    return found


def test_an_archive_holds_names_and_contents_at_any_alignment() -> None:
    """Names and contents of 1 to 9 bytes, padded to 4."""
    entries = [
        Entry("n" * size, stat.S_IFREG | 0o644, b"c" * other)
        for size, other in ((1, 9), (2, 8), (3, 7), (4, 6), (5, 5), (6, 4), (7, 3))
    ]

    found = names_and_contents(cpio(entries))

    assert found.pop("TRAILER!!!") == b""
    assert found == {entry.path: entry.content for entry in entries}


def test_modules_come_after_what_they_need_and_once() -> None:
    """One that is built in is left out."""
    order = load_order(MODULES_DEP, ("virtio", "9pnet_virtio", "virtio_blk", "xfs"))

    assert order == [
        "kernel/drivers/virtio/virtio.ko",
        "kernel/net/9p/9pnet.ko",
        "kernel/net/9p/9pnet_virtio.ko",
        "kernel/lib/libcrc32c.ko.xz",
        "kernel/fs/xfs/xfs.ko.xz",
    ]


def test_modules_are_unpacked_and_settings_are_quoted(tmp_path: Path) -> None:
    """Busybox need not know xz, and a checkout may lie anywhere."""
    (tmp_path / "modules.dep").write_text("fs/xfs.ko.xz:\n", "ascii")
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs/xfs.ko.xz").write_bytes(lzma.compress(b"a module"))
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"a program")

    archive = initramfs(tmp_path, "xfs", busybox, {"RELEASE": "6 'x'", "MODULES": tmp_path})
    found = names_and_contents(gzip.decompress(archive))

    assert found["modules/000.ko"] == b"a module"
    assert found["bin/busybox"] == b"a program"
    assert found["settings"].decode() == f"RELEASE='6 '\"'\"'x'\"'\"''\nMODULES={tmp_path}\n"
    assert found["init"].startswith(b"#!/bin/busybox sh\n")
