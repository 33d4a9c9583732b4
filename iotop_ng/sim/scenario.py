"""What happens in a simulation: read from TOML, checked like rules. Bytes and nanoseconds."""

from __future__ import annotations

from pathlib import Path

import msgspec

from iotop_ng.errors import UsageError, nearest
from iotop_ng.policy import tables
from iotop_ng.policy.actions import NS_PER_S
from iotop_ng.policy.tables import Document, Table
from iotop_ng.units import clean

DIRECTORY = Path(__file__).parent / "scenarios"
MS = NS_PER_S // 1000
MIB = 1 << 20


class Change(msgspec.Struct, frozen=True):
    """The device gets another rate."""

    at_ns: int
    rate: int


class DeviceSpec(msgspec.Struct, frozen=True):
    """One device that serves its queue in order."""

    rate: int
    """Bytes/s on average."""
    base_ns: int
    """What a flush takes beyond the queue."""
    queue: int
    """The most bytes that writeback keeps queued."""
    noise_pct: int
    """How strongly the rate wanders: 100 is -60 % to +30 %, in steps of 50 ms."""
    changes: tuple[Change, ...]


class CacheSpec(msgspec.Struct, frozen=True):
    """The page cache, with dirty and queued bytes counted together, as the kernel does."""

    background: int
    """Dirty bytes from which writeback runs."""
    limit: int
    """Where writers stand still."""


class WriterSpec(msgspec.Struct, frozen=True):
    """One program, or several alike, that write to the page cache or directly."""

    name: str
    cgroup: str
    rate: int
    """What each would write, bytes/s."""
    is_hog: bool
    count: int
    start_ns: int
    stop_ns: int
    """When it exits; 0: not in this scenario."""
    on_ns: int
    off_ns: int
    """It writes and rests in turn; 0: it never rests."""
    write: int
    """Bytes of one write call, on average: half to three halves of it."""
    is_direct: bool
    """Past the page cache."""


class VictimSpec(msgspec.Struct, frozen=True):
    """The program that is to be helped: append, fsync, pause, again."""

    name: str
    cgroup: str
    write: int
    pause_ns: int
    on_ns: int
    off_ns: int
    target_ns: int
    """The p99 that it needs."""
    hiccup_ns: int = 0
    """What some of its calls take longer for reasons of their own, such as a busy processor."""
    hiccup_pct: int = 0
    """How many of them."""


class Scenario(msgspec.Struct, frozen=True):
    """A whole scenario."""

    name: str
    title: str
    duration_ns: int
    device: DeviceSpec
    cache: CacheSpec
    writers: tuple[WriterSpec, ...]
    victim: VictimSpec

    @property
    def begin_ns(self) -> int:
        """When the first hog starts."""
        return min((one.start_ns for one in self.writers if one.is_hog), default=0)


def names() -> list[str]:
    """Return the scenarios that come with the program."""
    return sorted(path.stem for path in DIRECTORY.glob("*.toml"))


def load(name: str) -> Scenario:
    """Return a scenario by its name or by the path of a file.

    Raises:
        UsageError: there is no such scenario, or it has mistakes; all are named.
    """
    path = DIRECTORY / f"{name}.toml" if name in names() else Path(name)
    if path.suffix != ".toml":
        hint = nearest(name, names())
        raise UsageError(f"no scenario {tables.shown(name)}{hint}; there are {', '.join(names())}")
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"{clean(str(path), 200)}: cannot be read: {why}") from None
    return parse(text, path.stem, str(path))


def parse(text: str, name: str, where: str) -> Scenario:
    """Return the scenario of a text.

    Raises:
        TableError: a UsageError with every mistake and its line.
    """
    document = Document(text, where)
    title = document.top.need("title", tables.text, "")
    duration_ns = document.top.take("duration", tables.span, 180 * NS_PER_S)
    device = _device(document.table("device"))
    cache = _cache(document.table("cache"))
    victim = _victim(document.table("victim"))
    found = document.tables("writer")
    writers = tuple(_writer(table) for table in found)
    if not any(writer.is_hog for writer in writers) and not document.problems:
        document.top.complain("no [[writer]] with hog = true")
    document.finish(["title", "duration"])
    return Scenario(clean(name, 64), title, duration_ns, device, cache, writers, victim)


def _device(table: Table) -> DeviceSpec:
    changes = []
    for one in table.tables("change"):
        changes.append(Change(one.need("at", tables.time, 0), one.need("rate", tables.size, 1)))
        one.end()
    spec = DeviceSpec(
        rate=table.take("rate", tables.size, 200_000_000),
        base_ns=table.take("base", tables.span, 2 * MS),
        queue=table.take("queue", tables.size, 64 * MIB),
        noise_pct=table.take("noise_pct", tables.whole(0, 100), 100),
        changes=tuple(sorted(changes, key=lambda change: change.at_ns)),
    )
    table.end()
    return spec


def _cache(table: Table) -> CacheSpec:
    spec = CacheSpec(
        background=table.take("background", tables.size, 16 * MIB),
        limit=table.take("limit", tables.size, 96 * MIB),
    )
    if spec.background >= spec.limit:
        table.complain("background is not below limit", "background")
    table.end()
    return spec


def _victim(table: Table) -> VictimSpec:
    spec = VictimSpec(
        name=table.take("name", tables.text, "database"),
        cgroup=table.take("cgroup", tables.text, "/system.slice/database.service"),
        write=table.take("write", tables.size, 4096),
        pause_ns=table.take("pause", tables.span, 20 * MS),
        on_ns=table.take("on", tables.time, 0),
        off_ns=table.take("off", tables.time, 0),
        target_ns=table.take("target", tables.span, 20 * MS),
        hiccup_ns=table.take("hiccup", tables.time, 0),
        hiccup_pct=table.take("hiccup_pct", tables.whole(0, 100), 0),
    )
    if bool(spec.hiccup_ns) != bool(spec.hiccup_pct):
        table.complain("hiccup and hiccup_pct have no meaning without each other", "hiccup")
    table.end()
    return spec


def _writer(table: Table) -> WriterSpec:
    spec = WriterSpec(
        name=table.need("name", tables.text, ""),
        cgroup=table.take("cgroup", tables.text, "/system.slice/app.service"),
        rate=table.need("rate", tables.size, 1),
        is_hog=table.take("hog", tables.yes, False),
        count=table.take("count", tables.whole(1, 64), 1),
        start_ns=table.take("start", tables.time, 0),
        stop_ns=table.take("stop", tables.time, 0),
        on_ns=table.take("on", tables.time, 0),
        off_ns=table.take("off", tables.time, 0),
        write=table.take("write", tables.size, 128 << 10),
        is_direct=table.take("direct", tables.yes, False),
    )
    if 0 < spec.stop_ns <= spec.start_ns:
        table.complain("stop is not after start", "stop")
    if spec.off_ns and not spec.on_ns:
        table.complain("off has no meaning without on", "off")
    table.end()
    return spec
