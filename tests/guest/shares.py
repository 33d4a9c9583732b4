"""Directories of the host in a guest: the root, which it cannot change, and one for results.

By 9p, which QEMU serves itself; by virtiofs where a kernel has no 9p, as Debian's for clouds.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.guest.kernels import Kernel

_DAEMONS = (Path("/usr/libexec/virtiofsd"), Path("/usr/lib/qemu/virtiofsd"))
_READY_S = 10.0
# The daemon knows no read-only directory: it gets one, in a mount namespace of its own.
_READ_ONLY = """
mount --make-rprivate / && mkdir "$0" && mount --rbind / "$0" || exit
awk '{ print length($5), $5 }' /proc/self/mountinfo | sort -rn | cut -d' ' -f2- |
while read -r point; do
    case $point in "$0" | "$0"/*) mount -o remount,bind,ro "$point" 2>/dev/null ;; esac
done
exec "$@"
"""


class ShareError(Exception):
    """The guest cannot be given the host's files."""


def has_9p(kernel: Kernel) -> bool:
    """Say whether a kernel has 9p: Debian's have it as a module or not at all."""
    return "/9p.ko" in (kernel.modules / "modules.dep").read_text("ascii")


@contextmanager
def shares(kernel: Kernel, work: Path, out: Path, memory_mib: int) -> Iterator[list[str]]:
    """Give QEMU's options; daemons run until the block ends.

    Args:
        kernel: says which way.
        work: a directory for sockets.
        out: what the guest may write.
        memory_mib: the guest's, which a daemon has to see.

    Raises:
        ShareError: a daemon is missing or does not start.
    """
    if has_9p(kernel):
        share = "local,mount_tag={},security_model=none,multidevs=remap{},path={}"
        root = share.format("host", ",readonly=on", "/")
        results = share.format("out", "", str(out).replace(",", ",,"))
        yield ["-virtfs", root, "-virtfs", results]
        return
    memory = f"memory-backend-memfd,id=memory,size={memory_mib}M,share=on"
    options = ["-object", memory, "-numa", "node,memdev=memory"]
    whole = ["unshare", "--mount", "sh", "-c", _READ_ONLY, str(work / "root")]
    with ExitStack() as stack:
        for tag, path, before in (("host", work / "root", whole), ("out", out, [])):
            socket = work / f"{tag}.socket"
            stack.enter_context(_daemon(before, path, socket, is_host=tag == "host"))
            options += ["-chardev", f"socket,id={tag},path={socket}"]
            options += ["-device", f"vhost-user-fs-pci,chardev={tag},tag={tag}"]
        yield options


@contextmanager
def _daemon(before: list[str], path: Path, socket: Path, *, is_host: bool) -> Iterator[None]:
    daemon = next((found for found in _DAEMONS if found.exists()), None)
    if daemon is None:
        raise ShareError("this kernel has no 9p, and virtiofsd is not installed")
    log = socket.with_suffix(".log")
    with log.open("wb") as said:
        running = subprocess.Popen(
            [
                *before, daemon, f"--socket-path={socket}", "-o", f"source={path}",
                "-o", "sandbox=chroot", "-o", f"cache={'always' if is_host else 'none'}",
                "-o", "log_level=err",
            ],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
    try:
        end = time.monotonic() + _READY_S
        while not socket.exists():
            if running.poll() is not None or time.monotonic() > end:
                last = (log.read_text("utf-8", "replace").splitlines() or ["no word why"])[-1]
                raise ShareError(f"virtiofsd does not start: {last}")
            time.sleep(0.02)
        yield
    finally:
        running.terminate()
        running.wait()
