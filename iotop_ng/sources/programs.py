"""Load compiled programs with plain bpf(2) and attach them by tier.

Everything hangs on descriptors of this process: when it ends, however it ends, the kernel
detaches and frees all of it. Nothing is pinned.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import struct
import threading
from pathlib import Path

from iotop_ng.errors import NotPermittedError, SourceError
from iotop_ng.sample import MapFill, Probe
from iotop_ng.sources import bpf_syscall as bpf
from iotop_ng.sources.compiled import Compiled, MapDef
from iotop_ng.sources.plan import Kind, Program, Tier
from iotop_ng.units import clean

_KINDS = {1: "hash", 2: "array", 6: "per-CPU array", 9: "LRU hash", 27: "ring buffer"}
_LD_IMM64, _PSEUDO_MAP_FD = 0x18, 1
DETACHING = "detaching"
"""Name of the short-lived thread that lets programs on demand go."""
LOST_SLOTS = ("owners", "devices", "inflight", "behalf", "exits", "calls")
"""Order of enum lost_slot in bpf/record.h."""


def relocate(code: bytes, descriptors: dict[int, int]) -> bytes:
    """Return instructions with the compiler's map descriptors replaced by ours.

    A 64-bit load (two 8-byte slots) with source register 1 holds a map descriptor:
    Documentation/bpf/standardization/instruction-set.rst.
    """
    out = bytearray(code)
    at = 0
    while at < len(out):
        wide = out[at] == _LD_IMM64
        if wide and out[at + 1] >> 4 == _PSEUDO_MAP_FD:
            old = struct.unpack_from("<i", out, at + 4)[0]
            struct.pack_into("<i", out, at + 4, descriptors[old])
        at += 16 if wide else 8
    return bytes(out)


class Map:
    """One BPF map of ours."""

    def __init__(self, definition: MapDef, fd: int, max_entries: int) -> None:
        self.definition = definition
        self.fd = fd
        self.max_entries = max_entries
        self._reader = bpf.BatchReader(fd, definition.key_size, definition.value_size)

    def read(self) -> list[tuple[bytes, bytes]]:
        """Return all (key, value) pairs of a hash."""
        return self._reader.read()

    def delete(self, key: bytes) -> None:
        """Remove a key."""
        bpf.map_delete(self.fd, key)

    def set(self, key: bytes, value: bytes) -> None:
        """Set a key."""
        bpf.map_update(self.fd, key, value)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key."""
        return bpf.map_lookup(self.fd, key, self.definition.value_size)


class Programs:
    """The loaded programs and their maps.

    Args:
        compiled: what to load.
        sizes: map name -> number of entries, where the declared one does not fit this host.
        tracefs: where tracepoint ids are.

    Raises:
        NotPermittedError: when the kernel refuses maps or every program.
    """

    def __init__(self, compiled: Compiled, sizes: dict[str, int], tracefs: Path | None) -> None:
        self._compiled = compiled
        self._tracefs = tracefs
        self._loaded: dict[str, int] = {}
        self._links: dict[str, list[int]] = {}
        self.problems: dict[str, str] = {}
        self.maps: dict[str, Map] = {}
        self._stats: int | None = None
        self._detaching: threading.Thread | None = None
        self._iter_link: int | None = None
        # Before 5.11 maps were charged to the locked-memory limit.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(
                resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        try:
            self._create_maps(sizes)
            self._attach_first()
        except BaseException:
            self.close()
            raise

    def _create_maps(self, sizes: dict[str, int]) -> None:
        for d in self._compiled.maps:
            entries = sizes.get(d.name, d.max_entries)
            try:
                fd = bpf.map_create(d.name, d.kind, (d.key_size, d.value_size, entries), d.flags)
            except OSError as error:
                raise _refusal(f"the map {d.name}", error) from error
            self.maps[d.name] = Map(d, fd, entries)

    def _attach_first(self) -> None:
        """Load everything; attach what is not on demand. A group that fails is left out whole."""
        for program in self._compiled.plan.programs:
            self._load(program)
        for group in dict.fromkeys(p.group for p in self._compiled.plan.programs):
            members = [p for p in self._compiled.plan.programs if p.group == group]
            if (
                not any(p.name in self.problems for p in members)
                and members[0].tier is not Tier.ON_DEMAND
            ):
                self._attach_group(members)
        if not self._loaded:
            first = next(iter(self.problems.values()), "no program fits this kernel")
            raise NotPermittedError(f"the kernel refuses BPF programs: {first}")

    def _load(self, program: Program) -> None:
        descriptors = {d.fd: self.maps[d.name].fd for d in self._compiled.maps}
        code = relocate(self._compiled.code[program.name], descriptors)
        kind = {
            Kind.RAW: bpf.PROG_RAW_TRACEPOINT,
            Kind.TRACEPOINT: bpf.PROG_TRACEPOINT,
            Kind.ITER: bpf.PROG_TRACING,
            Kind.LSM: bpf.PROG_LSM,
        }[program.kind]
        plan = self._compiled.plan
        attach_type, btf_id = {
            Kind.ITER: (bpf.ATTACH_ITER, plan.iter_btf_id or 0),
            Kind.LSM: (bpf.ATTACH_LSM, plan.lsm_btf_id or 0),
        }.get(program.kind, (0, 0))
        try:
            self._loaded[program.name] = bpf.prog_load(
                kind, code, program.name, attach_type=attach_type, btf_id=btf_id
            )
        except OSError as error:
            log = ctypes.create_string_buffer(1 << 20)
            with contextlib.suppress(OSError):
                bpf.prog_load(
                    kind, code, program.name, attach_type=attach_type, btf_id=btf_id, log=log
                )
            self.problems[program.name] = _explain(error, log.value)

    def _attach_group(self, members: list[Program]) -> None:
        current = members[0].name
        try:
            for program in members:
                current = program.name
                self._links[program.name] = self._attach(program)
        except OSError as error:
            self.problems[current] = f"cannot be attached: {error.strerror}"
            for program in members:
                self._detach(program.name)

    def _attach(self, program: Program) -> list[int]:
        fd = self._loaded[program.name]
        if program.kind is Kind.ITER:
            self._iter_link = bpf.iter_link(fd)
            return [self._iter_link]
        if program.kind is Kind.LSM:
            return [bpf.lsm_attach(fd)]
        if program.kind is Kind.RAW:
            return [bpf.raw_tracepoint_open(program.hooks[0], fd)]
        return [bpf.tracepoint_open(self._event_id(hook), fd) for hook in program.hooks]

    def _event_id(self, event: str) -> int:
        if self._tracefs is None:
            raise OSError(errno.ENOENT, "tracefs is not mounted")
        return int((self._tracefs / "events" / event / "id").read_text("ascii"))

    def _detach(self, name: str) -> None:
        for link in self._links.pop(name, []):
            os.close(link)

    def is_attached(self, group: str) -> bool:
        """Say whether a group of programs counts now."""
        members = [p.name for p in self._compiled.plan.programs if p.group == group]
        return bool(members) and all(name in self._links for name in members)

    def demand(self, group: str, *, wanted: bool) -> None:
        """Attach or detach an on-demand group; a failure is noted in `problems`."""
        members = [p for p in self._compiled.plan.programs if p.group == group]
        if not members or any(p.name in self.problems for p in members):
            return
        if wanted and not self.is_attached(group):
            # The kernel refuses a program on an event that it has not left yet (EEXIST).
            if self._detaching is not None:
                self._detaching.join()
            self._attach_group(members)
        elif not wanted:
            links = [link for p in members for link in self._links.pop(p.name, [])]
            if links:
                # The kernel waits for every CPU at each of them, 1.4 s for the system calls: not
                # in the thread that reads. What this thread does not get done, our end does.
                self._detaching = threading.Thread(
                    target=_close_all, args=(links,), name=DETACHING, daemon=True
                )
                self._detaching.start()

    def walk_tasks(self) -> bytes:
        """Return one walk of the task iterator.

        Raises:
            SourceError: when it is not attached.
        """
        if self._iter_link is None:
            raise SourceError("the task iterator is not attached")
        fd = bpf.iter_open(self._iter_link)
        chunks = []
        try:
            while chunk := os.read(fd, 1 << 18):
                chunks.append(chunk)
        finally:
            os.close(fd)
        return b"".join(chunks)

    def count_runs(self, *, wanted: bool) -> None:
        """Switch the kernel's run statistics on or off; they cost about 50 ns per run."""
        if wanted and self._stats is None:
            with contextlib.suppress(OSError):
                self._stats = bpf.enable_run_stats()
        elif not wanted and self._stats is not None:
            os.close(self._stats)
            self._stats = None

    def lost(self) -> dict[str, int]:
        """Return failed inserts by map since the programs were loaded."""
        table = self.maps["lost"]
        return {
            name: int.from_bytes(table.get(struct.pack("<I", slot)) or b"", "little")
            for slot, name in enumerate(LOST_SLOTS)
        }

    def probes(self) -> tuple[Probe, ...]:
        """Return every program with its runs, which are None while they are not counted."""
        out = []
        for program in self._compiled.plan.programs:
            runs: tuple[int | None, int | None] = (None, None)
            if self._stats is not None and program.name in self._loaded:
                runs = bpf.program_runs(self._loaded[program.name])
            out.append(
                Probe(
                    name=program.name,
                    hook=", ".join(hook.rpartition("/")[2] for hook in program.hooks),
                    tier=program.tier.value,
                    is_attached=program.name in self._links,
                    hits=runs[0],
                    run_ns=runs[1],
                    problem=self.problems.get(program.name, ""),
                )
            )
        return tuple(out)

    def fills(self, lost: dict[str, int]) -> tuple[MapFill, ...]:
        """Return how full each hash is; arrays are always full and left out."""
        return tuple(
            MapFill(
                name=name,
                kind=_KINDS.get(table.definition.kind, str(table.definition.kind)),
                entries=len(table.read()),
                max_entries=table.max_entries,
                lost=lost.get(name, 0),
            )
            for name, table in self.maps.items()
            if table.definition.kind in {1, 9}
        )

    def close(self) -> None:
        """Detach and free everything; twice is fine."""
        self.count_runs(wanted=False)
        for name in list(self._links):
            self._detach(name)
        for fd in self._loaded.values():
            os.close(fd)
        for table in self.maps.values():
            os.close(table.fd)
        self._loaded, self.maps, self._iter_link = {}, {}, None


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _refusal(what: str, error: OSError) -> SourceError | NotPermittedError:
    if error.errno in {errno.EPERM, errno.EACCES}:
        return NotPermittedError(f"the kernel refuses {what} (CAP_BPF and CAP_PERFMON are needed)")
    return SourceError(f"{what} cannot be made: {error.strerror}")


def _explain(error: OSError, log: bytes) -> str:
    """Return the verifier's last words, or the errno's."""
    lines = [line for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    words = [line for line in lines if not line.startswith(("processed", "verification time"))]
    return clean(f"{error.strerror}: {words[-1] if words else 'no word from the verifier'}", 200)
