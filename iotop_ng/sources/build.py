"""Get programs of bpf/ for this kernel: from the cache, else compiled in a child that ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from iotop_ng.resources import directory
from iotop_ng.sources import compiled, compiler, layout, plan, plan_acting
from iotop_ng.sources.bcc_module import locate_bcc
from iotop_ng.sources.btf import VMLINUX
from iotop_ng.sources.compiler import Request, amalgamate, compile_apart
from iotop_ng.sources.layout import find_tracefs

MAIN_FILES = {"count": compiler.MAIN, "hold": "hold.c", "drop": "drop.c"}
"""The job of `compiler.Request` -> the text of it."""


def compiled_for(
    job: str, say: Callable[[str], None], *, use_btf: bool = True
) -> compiled.Compiled:
    """Return the programs of a job.

    Args:
        job: count, hold or drop.
        say: told in a few words when it takes long.
        use_btf: False compiles against installed headers even where there is BTF.

    Raises:
        SourceError: when they cannot be compiled, or nothing of it can run here.
    """
    tracefs = find_tracefs()
    has_btf = use_btf and VMLINUX.exists()
    source = amalgamate(directory("bpf"), MAIN_FILES[job])
    key = compiled.cache_key(
        (
            source.encode(),
            _file_digest(VMLINUX) if has_btf else b"",
            _tracepoint_text(tracefs),
            locate_bcc().version.encode(),
            _own_code(),
        )
    )
    found = compiled.load(compiled.cache_dir(), key)
    if found is not None:
        return found
    say("compiling probes (the first start on this kernel)")
    request = Request(
        source=source,
        release=os.uname().release,
        tracefs=str(tracefs) if tracefs else None,
        use_btf=has_btf,
        job=job,
    )
    made = compile_apart(request)
    compiled.store(compiled.cache_dir(), key, made)
    return made


def _own_code() -> bytes:
    """Return the code that decides what is compiled: a cache of another one's is not ours."""
    modules = (plan, plan_acting, layout, compiler)
    return b"".join(Path(module.__file__).read_bytes() for module in modules if module.__file__)


def _file_digest(path: Path) -> bytes:
    """Return a digest of a file, read in pieces: BTF is several megabytes."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb", buffering=0) as file:
        while piece := file.read(1 << 18):
            digest.update(piece)
    return digest.digest()


def _tracepoint_text(tracefs: Path | None) -> bytes:
    """Return what of tracefs decides about the programs: one format, and which calls there are."""
    if tracefs is None:
        return b""
    text = b""
    for event in ("writeback/balance_dirty_pages", "syscalls/sys_exit_write"):
        with contextlib.suppress(OSError):
            lines = (tracefs / "events" / event / "format").read_bytes().splitlines()
            # Without the id: it changes from boot to boot and is read when attaching.
            text += b"\n".join(line for line in lines if not line.startswith(b"ID:"))
    return text
