"""What the user chose: sort, filter, mode, tags ... and how keys change it. No widgets here."""

from __future__ import annotations

from dataclasses import dataclass, field

from iotop_ng.config import Settings
from iotop_ng.model import fields
from iotop_ng.model.fields import Mode
from iotop_ng.model.frame import Frame
from iotop_ng.model.query import Filter, Query, parse_filter
from iotop_ng.sample import Need
from iotop_ng.view.widgets.cells import Look
from iotop_ng.view.widgets.columns import HISTORY, POLICY
from iotop_ng.view.widgets.table import RowId

PROCESSES, DEVICES = "view_processes", "view_devices"
POLICIES, PROBES = "view_policies", "view_probes"
VIEWS = (PROCESSES, DEVICES, POLICIES, PROBES)
_VIEW_OF_NUMBER = {1: PROCESSES, 3: DEVICES, 7: POLICIES, 8: PROBES}

INTERVALS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
SORT_WRITE, SORT_READ, SORT_LATENCY = (
    "write_bytes_per_s",
    "read_bytes_per_s",
    "latency_p99_us",
)
_MODES = tuple(Mode)
ROWS_ASKED = 200
"""Rows that tell whether delay accounting is on, which it is for all or for none."""


@dataclass(slots=True)
class Controls:
    """The state of the main screen."""

    columns: tuple[str, ...]
    interval_s: float
    sort: str = SORT_WRITE
    is_reversed: bool = False
    filter_text: str = ""
    filter: Filter | None = None
    last_filter: Filter | None = None
    """For n and N after the filter was cleared."""
    only_active: bool = False
    mode: Mode = Mode.RATE
    threads: bool = False
    tree: bool = False
    full_command: bool = True
    si: bool = False
    read_only: bool = False
    hide_exited: bool = False
    has_clock: bool = True
    is_mirrored: bool = False
    """Sparklines have the newest interval at the left."""
    pids: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()
    columns_chosen: bool = False
    """The columns are the user's own choice, so the probes that they need are attached."""
    view: str = PROCESSES
    detail: int = 0
    """0 closed, 1 below the table, 2 over the whole screen."""
    followed: RowId | None = None
    tagged: set[RowId] = field(default_factory=set)

    @staticmethod
    def of(settings: Settings) -> Controls:
        """Return the state to start with."""
        controls = Controls(
            columns=settings.columns or fields.DEFAULT,
            interval_s=settings.interval_s,
            sort=settings.sort or SORT_WRITE,
            is_reversed=settings.reverse,
            only_active=settings.only_active,
            mode=Mode(settings.mode),
            threads=settings.threads,
            tree=settings.tree,
            full_command=settings.full_command is not False,
            si=settings.si,
            read_only=settings.read_only,
            hide_exited=settings.hide_exited,
            has_clock=settings.clock,
            is_mirrored=settings.reverse_graph,
            pids=settings.pids,
            users=settings.users,
            columns_chosen=bool(settings.columns),
            view=_VIEW_OF_NUMBER.get(settings.view, PROCESSES),
        )
        controls.set_filter(settings.filter)
        return controls

    def query(self) -> Query:
        """Return what to show of a frame."""
        return Query(
            sort=self.sort,
            reverse=self.is_reversed,
            filter=self.filter,
            only_active=self.only_active,
            mode=self.mode,
            threads=self.threads,
            tree=self.tree,
            pids=self.pids,
            users=self.users,
        )

    def columns_for(self, frame: Frame) -> tuple[str, ...]:
        """Return the columns to show: POLICY too while anything is in force."""
        if not frame.policies or POLICY in self.columns:
            return self.columns
        at = self.columns.index(HISTORY) if HISTORY in self.columns else len(self.columns)
        return (*self.columns[:at], POLICY, *self.columns[at:])

    def look(self) -> Look:
        """Return how to show it."""
        return Look(
            sort=self.sort,
            is_reversed=self.is_reversed,
            mode=self.mode,
            full_command=self.full_command,
            is_thread_view=self.threads,
            si=self.si,
            is_mirrored=self.is_mirrored,
        )

    def needs(self) -> frozenset[Need]:
        """Return what the source must count for what is open now."""
        needs = set()
        if self.threads or self.detail:
            needs.add(Need.THREADS)
        if self.detail:
            needs.add(Need.SYSCALLS)
        if self.columns_chosen:
            needs.update(n for n in (fields.BY_ID[name].need for name in self.columns) if n)
        if self.view == PROBES:
            needs.add(Need.PROBES)
        return frozenset(needs)

    def unmeasured(self, frame: Frame) -> frozenset[str]:
        """Return the columns that nobody chose and for which no row of a frame can have a value.

        A latency of None only means that there was no request, so values alone do not tell.
        """
        if self.columns_chosen:
            return frozenset()
        needs = self.needs()
        ids = {name for name in self.columns if fields.BY_ID[name].need not in {None, *needs}}
        some = frame.rows[:ROWS_ASKED]
        if frame.tick > 0 and all(row.io_delay_pct is None for row in some):
            ids.add("io_delay_pct")
        return frozenset(ids)

    def flags(self, paused: str) -> tuple[str, ...]:
        """Return what the first line must say while it holds."""
        flags = [
            paused,
            self.filter_text and f"FILTER {self.filter_text[:24]}",
            self.only_active and "ACTIVE",
            self.mode is not Mode.RATE and self.mode.value.upper(),
            self.followed is not None and "FOLLOW",
            (self.pids or self.users) and "SELECTED",
            self.read_only and "READ-ONLY",
        ]
        return tuple(flag for flag in flags if isinstance(flag, str) and flag)

    # -- changes -------------------------------------------------------------------------------

    def set_filter(self, text: str) -> None:
        """Take a filter.

        Raises:
            UsageError: the text is no filter; the one before stays.
        """
        parsed = parse_filter(text) if text.strip() else None
        self.filter_text, self.filter = text.strip(), parsed
        if parsed is not None:
            self.last_filter = parsed

    def sort_by(self, column: str) -> None:
        """Sort by a column; again: the other way round."""
        if column == HISTORY:
            return
        self.is_reversed = column == self.sort and not self.is_reversed
        self.sort = column

    def sort_most_first(self, column: str) -> None:
        """Sort by a column of numbers, the largest first, however often it is asked for."""
        self.sort, self.is_reversed = column, False

    def sort_step(self, visible: tuple[str, ...], step: int) -> None:
        """Sort by the next visible column."""
        names = [name for name in visible if name != HISTORY]
        if not names:
            return
        at = names.index(self.sort) if self.sort in names else -1
        self.sort, self.is_reversed = names[(at + step) % len(names)], False

    def next_mode(self) -> None:
        """Rate, accumulated, average, rate ..."""
        self.mode = _MODES[(_MODES.index(self.mode) + 1) % len(_MODES)]

    def step_interval(self, step: int) -> None:
        """Take the next longer (1) or shorter (-1) interval."""
        if step > 0:
            self.interval_s = next((s for s in INTERVALS_S if s > self.interval_s), self.interval_s)
        else:
            shorter = [s for s in INTERVALS_S if s < self.interval_s]
            self.interval_s = shorter[-1] if shorter else self.interval_s

    def tag(self, identity: RowId) -> None:
        """Tag a row, or take its tag away."""
        self.tagged.symmetric_difference_update({identity})
