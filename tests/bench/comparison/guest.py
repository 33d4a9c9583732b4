"""The same comparison in a guest: its disk has a known speed, which the host changes on request."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from iotop_ng.sources.compiled import CACHE_VARIABLE
from tests.bench.comparison.speed import served
from tests.guest.boots import CHECKOUT
from tests.guest.initramfs import FILE_SYSTEMS
from tests.guest.kernels import WITH_HEADERS, fetch
from tests.guest.machine import DISK_BYTES_PER_S, DISK_OPS_PER_S, boot

__all__ = ["FILE_SYSTEMS", "WITH_HEADERS", "measure"]
_RAW = "raw.jsonl"


def measure(asked: argparse.Namespace, module: str, choices: Sequence[str]) -> int:
    """Boot a guest, measure in it, and bring the results out, also those of a run that broke off.

    Args:
        asked: the command line.
        module: how the benchmark is called.
        choices: what was chosen, as on the command line.
    """
    kernel = fetch(asked.kernel)
    again = ["guest", "--kernel", asked.kernel, "--file-system", asked.file_system, *choices]
    inside = [
        "env", "PYTHONDONTWRITEBYTECODE=1", f"{CACHE_VARIABLE}=/run/iotop-ng-cache",
        sys.executable, "-m", "tests.bench.policies", "here",
        "--directory", "/data", "--raw", f"/out/{_RAW}", "--speed-directory", "/out",
        "--iops", str(DISK_OPS_PER_S),
        "--kernel-config", str(kernel.root / f"boot/config-{kernel.release}"),
        "--device", (f"QEMU virtio disk, {DISK_BYTES_PER_S / 1e6:g} MB/s, {DISK_OPS_PER_S}"
        " operations/s, CPU emulated"),
        "--command", f"{module} {shlex.join(again)}",
        *choices,
    ]  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="iotop-ng-out-") as name,
        tempfile.TemporaryDirectory(prefix="iotop-ng-qmp-") as private,
    ):
        out, control = Path(name), Path(private) / "qmp"
        try:
            with served(out, control, DISK_OPS_PER_S):
                ended = boot(
                    kernel,
                    f"cd {shlex.quote(str(CHECKOUT))} && exec {shlex.join(inside)}",
                    out,
                    sys.stdout.buffer,
                    file_system=asked.file_system,
                    timeout_s=asked.timeout,
                    is_parallel=True,
                    more=("-qmp", f"unix:{control},server=on,wait=off"),
                )
        finally:
            # The second name is that of a run that broke off with its machine.
            written = next((out / n for n in (_RAW, f"{_RAW}.new") if (out / n).exists()), None)
            if written is not None and b'"run"' in written.read_bytes():
                asked.raw.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(written, asked.raw)
    if ended.status is None:
        sys.stderr.write(ended.console)
        return os.EX_SOFTWARE
    return ended.status
