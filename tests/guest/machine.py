"""A machine that boots another kernel on top of this host's root file system, for one command.

The guest sees the host's root (read-only, see shares.py) under a layer in memory, so it has the
same Python, BCC and checkout, and cannot change them; /data is a fresh disk of a set speed, /out a
directory that the host gave. ``python -m tests.guest.machine -- COMMAND`` runs one by hand.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tests.guest.initramfs import FILE_SYSTEMS, initramfs
from tests.guest.kernels import WITH_HEADERS, Kernel, fetch
from tests.guest.shares import has_9p, shares

QEMU = "qemu-system-x86_64"
DISK_BYTES = 2 << 30  # sparse
DISK_BYTES_PER_S = 40_000_000
DISK_OPS_PER_S = 3000
_KERNEL_LINE = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off audit=0 delayacct"
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_MKFS = {
    "ext4": ("-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("-q", "-f"),
    "btrfs": ("-q", "-f"),
}


class Ended(NamedTuple):
    """How a guest ended."""

    status: int | None
    """Exit status of the command; None when the guest never came to its end."""
    console: str
    """What the kernel and init said."""


def tool(name: str) -> str | None:
    """Return the path of a program, also when only root's PATH has it."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)


def missing_packages() -> list[str]:
    """Return the Debian packages that a guest needs and that are not installed."""
    needed = {
        "qemu-system-x86": QEMU,
        "busybox-static": "busybox",
        "kmod": "depmod",
        "e2fsprogs": "mkfs.ext4",
    }
    return [package for package, program in needed.items() if tool(program) is None]


def _required(name: str) -> str:
    path = tool(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not installed")
    return path


def _headers(kernel: Kernel) -> tuple[Path | None, Path | None]:
    """Return what /lib/modules/RELEASE/build and source point to, where headers are unpacked."""
    own = kernel.root / f"usr/src/linux-headers-{kernel.release}"
    common = next((kernel.root / "usr/src").glob("*-common*"), None)
    return (own, common) if own.exists() else (None, None)


def _command_line(kernel: Kernel, work: Path, memory_mib: int, threads: str) -> list[str]:
    speed = f"throttling.bps-total={DISK_BYTES_PER_S},throttling.iops-total={DISK_OPS_PER_S}"
    return [
        _required(QEMU), "-accel", f"tcg,thread={threads}", "-machine", "q35", "-cpu", "max",
        "-m", str(memory_mib), "-smp", "2", "-nodefaults", "-no-reboot", "-display", "none",
        "-kernel", str(kernel.image), "-initrd", str(work / "initramfs"),
        "-append", _KERNEL_LINE,
        "-serial", f"file:{work / 'console'}", "-serial", "stdio", "-monitor", "none",
        "-drive", f"file={work / 'disk'},if=virtio,format=raw,cache=writeback,{speed}",
    ]  # fmt: skip


def boot(
    kernel: Kernel,
    command: str,
    out: Path,
    output: IO[bytes],
    *,
    file_system: str = "ext4",
    memory_mib: int = 2048,
    timeout_s: float = 300,
    more: Sequence[str] = (),
    is_parallel: bool = False,
) -> Ended:
    """Run a shell command as root in a guest.

    Args:
        kernel: what to boot.
        command: shell text; /data is the disk, /out is `out`.
        out: a directory of the host that the guest may write.
        output: takes what the command prints, while it runs.
        file_system: of /data.
        memory_mib: the guest's memory, which also holds all that it writes outside /data.
        timeout_s: the machine is switched off after that time.
        more: arguments for QEMU.
        is_parallel: emulate each CPU in a thread of its own, for measurements. A CPU may then still
            run a copy of code that another one has patched since, and meet an int3 of which the
            kernel knows nothing any more: 6.12 panics of it now and then.
    """
    threads = "multi" if is_parallel else "single"
    (out / "command").write_text(f"{command}\n", "utf-8")
    (out / "status").unlink(missing_ok=True)
    build, source = _headers(kernel)
    settings: dict[str, str | Path] = {
        "MODULES": kernel.modules,
        "RELEASE": kernel.release,
        "FILE_SYSTEM": file_system,
        "HEADERS": build or "",
        "COMMON": source or "",
        "SHARE": "9p" if has_9p(kernel) else "virtiofs",
    }
    with tempfile.TemporaryDirectory(prefix="iotop-ng-guest-") as name:
        work = Path(name)
        with (work / "disk").open("wb") as disk:
            disk.truncate(DISK_BYTES)
        subprocess.run(
            [_required(f"mkfs.{file_system}"), *_MKFS[file_system], work / "disk"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        archive = initramfs(kernel.modules, file_system, Path(_required("busybox")), settings)
        (work / "initramfs").write_bytes(archive)
        # By timeout(1), so that no machine is left running when this process is killed.
        limited = ["timeout", "--kill-after=5", str(timeout_s)]
        with shares(kernel, work, out, memory_mib) as shared:
            machine = subprocess.Popen(
                [*limited, *_command_line(kernel, work, memory_mib, threads), *shared, *more],
                stdin=subprocess.DEVNULL,
                stdout=output,
            )
            try:
                machine.wait()
            finally:
                machine.terminate()
                machine.wait()
        console = (work / "console").read_text("utf-8", "replace")
    status = out / "status"
    return Ended(int(status.read_text("ascii")) if status.exists() else None, console)


def main() -> int:
    """Run one command in a guest and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.guest.machine")
    parser.add_argument("--kernel", default=WITH_HEADERS, help="metapackage")
    parser.add_argument("--file-system", choices=FILE_SYSTEMS, default="ext4")
    parser.add_argument("--memory", type=int, default=2048, metavar="MIB")
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    parser.add_argument("--parallel", action="store_true", help="a thread for each CPU")
    parser.add_argument("--console", action="store_true", help="show what the kernel said too")
    parser.add_argument("command", nargs="+")
    asked = parser.parse_args()
    command = asked.command[0] if len(asked.command) == 1 else shlex.join(asked.command)
    with tempfile.TemporaryDirectory(prefix="iotop-ng-out-") as out:
        ended = boot(
            fetch(asked.kernel),
            command,
            Path(out),
            sys.stdout.buffer,
            file_system=asked.file_system,
            memory_mib=asked.memory,
            timeout_s=asked.timeout,
            is_parallel=asked.parallel,
        )
    if asked.console or ended.status is None:
        sys.stderr.write(ended.console)
    return 125 if ended.status is None else ended.status


if __name__ == "__main__":
    sys.exit(main())
