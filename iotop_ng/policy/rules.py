"""TOML text to rules. Every mistake is named with its line, and nothing is taken from a bad file.

::

    max_targets = 16                # held at one time
    max_actions_per_minute = 60     # targets taken hold of; adjusting and letting go are free

    [protect]                       # added to the built-in list, never taken from it
    programs = ["postgres"]
    cgroups = ["/system.slice/backup.service"]

    [[rule]]
    name = "runaway log"
    match = { comm = "log-*" }      # also command, user, cgroup; without: anyone
    writes_over = "50M/s"
    for = "3s"
    while_fsync_p99_over = "100ms"  # anyone's, or of victim = { ... }
    while_io_pressure_over = "25%"  # PSI: somebody waited for I/O in that share of the time
    while_queue_over = "30ms"       # mean time of a write on the busiest disk
    do = "throttle"                 # drop (to, budget, errno, paths) or notify
    to = "5M/s"                     # or "20%" of what it wrote
    lease = "60s"
    renew = false                   # true: as long as it presses against its limit
    scope = "process"               # cgroup

    [[guard]]
    name = "commits"
    victim = { cgroup = "/system.slice/postgresql.service" }
    keep_fsync_p99 = "20ms"         # or cap = "100M/s": one fixed cap for all hogs together
    while_fsync_p99_over = "100ms"  # a cap begins only while these hold, which may be left out:
    while_io_pressure_over = "25%"  # without, as soon as fsync or the queue takes half the target
    for = "200ms"                   # since the first look at which they did
"""

from __future__ import annotations

from iotop_ng.errors import UsageError, nearest
from iotop_ng.policy import tables
from iotop_ng.policy.actions import RULE_LEASE_NS
from iotop_ng.policy.rule import (
    ANYONE,
    HOG_BYTES_PER_S,
    MAX_ACTIONS_PER_MINUTE,
    MAX_TARGETS,
    Deed,
    Guard,
    Pattern,
    Rule,
    Rules,
    Scope,
    Signs,
)
from iotop_ng.policy.tables import Document, Table, shown

ERRNO_NAMES = ("ENOSPC", "EDQUOT", "EIO", "EPERM", "EAGAIN")
SHORTEST_LEASE_NS = 5_000_000_000
_PARTS = ("comm", "command", "user", "cgroup")
_DROP_KEYS = ("budget", "errno", "paths")
_BEGINNING = ("while_fsync_p99_over", "while_io_pressure_over", "while_queue_over")
_NONE: tuple[str, ...] = ()


def parse_rules(text: str, where: str = "rules") -> Rules:
    """Return the rules of a file.

    Args:
        text: TOML.
        where: names the file in messages.

    Raises:
        TableError: a UsageError with every mistake and its line.
    """
    document = Document(text, where)
    most = document.top.take("max_targets", tables.whole(1, 1024), MAX_TARGETS)
    often = document.top.take(
        "max_actions_per_minute", tables.whole(1, 6000), MAX_ACTIONS_PER_MINUTE
    )
    protect = document.table("protect")
    programs = protect.take("programs", tables.texts, _NONE)
    cgroups = protect.take("cgroups", _paths, _NONE)
    protect.end()
    rule_tables, guard_tables = document.tables("rule"), document.tables("guard")
    rules = tuple(map(_rule, rule_tables))
    guards = tuple(map(_guard, guard_tables))
    _complain_about_twins([*rules, *guards], [*rule_tables, *guard_tables])
    _complain_about_protected(programs, rules, rule_tables)
    if not rules and not guards and not document.problems:
        document.top.complain("no [[rule]] and no [[guard]]")
    document.finish(["max_targets", "max_actions_per_minute"])
    return Rules(rules, guards, programs, cgroups, most, max_actions_per_minute=often)


def _rule(table: Table) -> Rule:
    deed = Deed(table.take("do", tables.choice(*(one.value for one in Deed)), "throttle"))
    to, to_pct = _to(table, deed)
    rule = Rule(
        name=table.need("name", tables.text, ""),
        match=table.take("match", _pattern, ANYONE),
        writes_over=table.need("writes_over", tables.size, 1),
        for_ns=table.take("for", tables.time, 0),
        fsync_over_ns=_optional_span(table, "while_fsync_p99_over"),
        victim=table.take("victim", _pattern, ANYONE),
        deed=deed,
        to=to,
        to_pct=to_pct,
        lease_ns=table.take("lease", _lease, RULE_LEASE_NS),
        renew=table.take("renew", tables.yes, False),
        scope=Scope(table.take("scope", tables.choice("process", "cgroup"), "process")),
        budget_bytes=table.take("budget", tables.size, 0),
        errno_name=table.take("errno", tables.choice(*ERRNO_NAMES), "ENOSPC"),
        paths=table.take("paths", tables.texts, _NONE),
        signs=_signs(table),
    )
    table.end()
    _check_rule(table, rule)
    return rule


def _to(table: Table, deed: Deed) -> tuple[int, int]:
    """Return the rate as (bytes/s, 0) or (0, percent)."""
    if deed is Deed.NOTIFY:
        if table.has("to"):
            table.take("to", _rate_or_share, (0, 0))
            table.complain('to has no meaning with do = "notify"', "to")
        for key in ("lease", "renew"):
            if table.has(key):
                table.complain(f'{key} has no meaning with do = "notify"', key)
        return 0, 0
    return table.need("to", _rate_or_share, (1, 0))


def _check_rule(table: Table, rule: Rule) -> None:
    if rule.to >= rule.writes_over > 1:
        table.complain("to is not below writes_over: it would limit nobody", "to")
    if rule.victim != ANYONE and rule.victim == rule.match:
        table.complain("victim and match are the same", "match")
    if table.has("victim") and rule.fsync_over_ns is None:
        table.complain("victim has no meaning without while_fsync_p99_over", "victim")
    if rule.deed is Deed.DROP and not table.has("budget"):
        table.complain('do = "drop" needs a budget: the bytes that may be lost in an hour')
    if rule.deed is not Deed.DROP:
        for key in _DROP_KEYS:
            if table.has(key):
                table.complain(f'{key} has no meaning without do = "drop"', key)


def _guard(table: Table) -> Guard:
    guard = Guard(
        name=table.need("name", tables.text, ""),
        victim=table.take("victim", _pattern, ANYONE),
        target_ns=_optional_span(table, "keep_fsync_p99"),
        cap=table.take("cap", tables.size, 0),
        hogs=table.take("hogs", _pattern, ANYONE),
        hog_over=table.take("hog_over", tables.size, HOG_BYTES_PER_S),
        capacity=table.take("capacity", tables.size, 0),
        floor=table.take("floor", tables.size, 0),
        device=table.take("device", tables.text, ""),
        scope=Scope(table.take("scope", tables.choice("process", "cgroup"), "process")),
        lease_ns=table.take("lease", _lease, RULE_LEASE_NS),
        fsync_over_ns=_optional_span(table, "while_fsync_p99_over"),
        signs=_signs(table),
        for_ns=table.take("for", tables.time, 0),
    )
    table.end()
    _check_guard(table, guard)
    return guard


def _check_guard(table: Table, guard: Guard) -> None:
    if table.has("cap") == table.has("keep_fsync_p99"):
        table.complain("a guard needs either keep_fsync_p99 or cap, and not both")
    if table.has("cap"):
        for key in ("capacity", "floor", "device", "for", *_BEGINNING):
            if table.has(key):
                table.complain(f"{key} has no meaning with a fixed cap", key)
    if guard.capacity and guard.floor >= guard.capacity:
        table.complain("floor is not below capacity", "floor")
    if guard.victim != ANYONE and guard.victim == guard.hogs:
        table.complain("victim and hogs are the same", "hogs")


def _signs(table: Table) -> Signs:
    return Signs(
        pressure_over_pct=table.take("while_io_pressure_over", _percent, 0),
        queue_over_ns=table.take("while_queue_over", tables.span, 0),
    )


def _complain_about_twins(found: list[Rule | Guard], tables_of: list[Table]) -> None:
    names = [one.name for one in found]
    for number, (name, table) in enumerate(zip(names, tables_of, strict=True)):
        if name and name in names[:number]:
            table.complain(f"another rule or guard is called {shown(name)} too", "name")


def _complain_about_protected(
    programs: tuple[str, ...], rules: tuple[Rule, ...], tables_of: list[Table]
) -> None:
    for rule, table in zip(rules, tables_of, strict=True):
        names = rule.match.comm
        if names and set(names) <= set(programs) and rule.deed is not Deed.NOTIFY:
            table.complain("match names only what [protect] protects: it would do nothing", "match")


def _pattern(raw: object) -> Pattern:
    if not isinstance(raw, dict) or not raw:
        raise UsageError('expected a table such as { comm = "log-*" }')
    for key in raw:
        if key not in _PARTS:
            raise UsageError(f"unknown key {shown(key)}{nearest(str(key), _PARTS)}")
    return Pattern(**{key: tables.texts(value) for key, value in raw.items()})


def _paths(raw: object) -> tuple[str, ...]:
    found = tables.texts(raw)
    for path in found:
        if not path.startswith("/"):
            raise UsageError(f"{shown(path)}: expected the path of a cgroup, such as /system.slice")
    return found


def _optional_span(table: Table, key: str) -> int | None:
    return table.take(key, tables.span, 0) or None


def _lease(raw: object) -> int:
    value = tables.time(raw)
    if value < SHORTEST_LEASE_NS:
        raise UsageError(f"{shown(raw)}: expected 5s or more")
    return value


def _rate_or_share(raw: object) -> tuple[int, int]:
    if isinstance(raw, str) and raw.strip().endswith("%"):
        return 0, _percent(raw)
    return tables.size(raw), 0


def _percent(raw: object) -> int:
    number = raw.strip().removesuffix("%").strip() if isinstance(raw, str) else ""
    is_share = isinstance(raw, str) and raw.strip().endswith("%") and number.isascii()
    if not (is_share and number.isdigit() and 1 <= int(number[:9]) <= 99):
        raise UsageError(f"{shown(raw)}: expected 1% to 99%")
    return int(number)
