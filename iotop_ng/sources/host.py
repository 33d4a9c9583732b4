"""Counters of the whole machine, from /proc/vmstat and /proc/pressure/io."""

from __future__ import annotations

import os
from pathlib import Path

from iotop_ng.sample import Host
from iotop_ng.sources.kept_file import KeptFile

_WANTED = frozenset({b"pgpgin", b"pgpgout", b"nr_dirty", b"nr_writeback", b"nr_dirty_threshold"})
_DIGITS = 20
"""Of 2**64 - 1."""


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


def parse_pressure(raw: bytes) -> dict[str, int]:
    """Return the totals of a pressure file in microseconds, by "some" and "full".

    Documentation/accounting/psi.rst: "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234".
    """
    values: dict[str, int] = {}
    for line in raw.splitlines():
        kind, _, rest = line.partition(b" ")
        total = rest.rpartition(b"total=")[2]
        if kind in {b"some", b"full"} and total.isdigit() and len(total) <= _DIGITS:
            values[kind.decode("ascii")] = int(total)
    return values


class HostCounters:
    """Reads them; two descriptors are kept open."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._file = KeptFile(root / "proc/vmstat")
        # Kernels that are built with PSI_DEFAULT_DISABLED have the file only with psi=1.
        self._pressure = KeptFile(root / "proc/pressure/io")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")

    def read(self) -> Host:
        """Return the machine's counters now; None where the file does not say."""
        values = parse_vmstat(self._file.read())
        pressure = parse_pressure(self._pressure.read())
        return Host(
            page_in_kib=values.get("pgpgin"),
            page_out_kib=values.get("pgpgout"),
            dirty_bytes=self._bytes(values.get("nr_dirty")),
            writeback_bytes=self._bytes(values.get("nr_writeback")),
            dirty_limit_bytes=self._bytes(values.get("nr_dirty_threshold")),
            io_some_us=pressure.get("some"),
            io_full_us=pressure.get("full"),
        )

    def close(self) -> None:
        """Let go of the descriptors."""
        self._file.close()
        self._pressure.close()

    def _bytes(self, pages: int | None) -> int | None:
        return None if pages is None else pages * self._page_bytes
