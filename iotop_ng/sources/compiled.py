"""What a compiled set of programs is, and the root-owned cache that holds it.

A file holds a magic, the BLAKE2 digest of the rest, and a msgpack record. It is used only when it
and its directory belong to us and nobody else may write them, and the digest is right. The cache is
keyed by everything that the code depends on: see `cache_key`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
from pathlib import Path

import msgspec

from iotop_ng.sources.plan import Plan

CACHE_DIR = Path("/var/cache/iotop-ng")
CACHE_VARIABLE = "IOTOP_NG_CACHE_DIR"
_MAGIC = b"iotop-ng bpf 1\n"
_DIGEST = 32
_MAX_FILES = 8


class MapDef(msgspec.Struct, frozen=True):
    """One map as the compiler declared it; `fd` is the number that the code refers to."""

    name: str
    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    fd: int


class Compiled(msgspec.Struct, frozen=True):
    """Everything that loading needs: no source, no compiler."""

    plan: Plan
    maps: tuple[MapDef, ...]
    code: dict[str, bytes]
    """Program name -> instructions."""


def encode(compiled: Compiled) -> bytes:
    """Return the bytes of a cache file."""
    payload = msgspec.msgpack.encode(compiled)
    return _MAGIC + hashlib.blake2b(payload, digest_size=_DIGEST).digest() + payload


def decode(raw: bytes) -> Compiled | None:
    """Return the record, or None when the bytes are not exactly what `encode` wrote."""
    start = len(_MAGIC) + _DIGEST
    payload = raw[start:]
    digest = hashlib.blake2b(payload, digest_size=_DIGEST).digest()
    if not raw.startswith(_MAGIC) or raw[len(_MAGIC) : start] != digest:
        return None
    try:
        return msgspec.msgpack.decode(payload, type=Compiled)
    except msgspec.MsgspecError:
        return None


def cache_key(parts: tuple[bytes, ...]) -> str:
    """Return a file name for sources, BTF, tracepoint formats, BCC version; and this kernel."""
    digest = hashlib.blake2b(digest_size=16)
    kernel = f"{platform.release()} {platform.version()} {platform.machine()}".encode()
    for part in (kernel, *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return f"bpf-{digest.hexdigest()}"


def cache_dir() -> Path:
    """Return the directory of the cache: the environment's, else /var/cache/iotop-ng."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else CACHE_DIR


def _is_private(path: Path) -> bool:
    """Say whether only we may change a file or directory (a link does not count)."""
    status = path.lstat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022 and not path.is_symlink()


def load(directory: Path, key: str) -> Compiled | None:
    """Return the cached programs, or None when there are none that can be trusted."""
    path = directory / key
    try:
        if not (_is_private(directory) and _is_private(path)):
            return None
        return decode(path.read_bytes())
    except OSError:
        return None


def store(directory: Path, key: str, compiled: Compiled) -> bool:
    """Write a cache file atomically; False when the directory is not ours or cannot be written."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(directory):
            return False
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".new-", delete=False) as file:
            file.write(encode(compiled))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(directory / key)
        _forget_old(directory)
    except OSError:
        return False
    return True


def _forget_old(directory: Path) -> None:
    """Keep the newest few files: each kernel and version leaves one."""
    files = sorted(directory.glob("bpf-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[_MAX_FILES:]:
        with contextlib.suppress(OSError):
            path.unlink()
