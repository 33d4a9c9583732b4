"""Counters of the whole machine, from /proc/vmstat."""

from __future__ import annotations

import os
from pathlib import Path

from iotop_ng.sample import Host
from iotop_ng.sources.kept_file import KeptFile

_WANTED = frozenset({b"pgpgin", b"pgpgout", b"nr_dirty", b"nr_writeback"})


def parse_vmstat(raw: bytes) -> dict[str, int]:
    """Return the counters that we use; a missing or broken one is left out."""
    values: dict[str, int] = {}
    for line in raw.splitlines():
        name, _, value = line.partition(b" ")
        if name in _WANTED:
            try:
                values[name.decode("ascii")] = int(value)
            except ValueError:
                continue
            if len(values) == len(_WANTED):
                break
    return values


class HostCounters:
    """Reads them; one descriptor is kept open."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._file = KeptFile(root / "proc/vmstat")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def read(self) -> Host:
        """Return the machine's counters now; None where the file does not say."""
        values = parse_vmstat(self._file.read())
        dirty, writeback = values.get("nr_dirty"), values.get("nr_writeback")
        return Host(
            page_in_kib=values.get("pgpgin"),
            page_out_kib=values.get("pgpgout"),
            dirty_bytes=None if dirty is None else dirty * self._page_bytes,
            writeback_bytes=None if writeback is None else writeback * self._page_bytes,
        )

    def close(self) -> None:
        """Let go of the descriptor."""
        self._file.close()
