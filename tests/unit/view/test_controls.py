"""What the user chose, and how keys change it."""

from __future__ import annotations

import pytest

from iotop_ng.config import Settings
from iotop_ng.errors import UsageError
from iotop_ng.model.fields import BY_ID, DEFAULT, Mode
from iotop_ng.sample import Need
from iotop_ng.view.controls import DEVICES, INTERVALS_S, PROBES, Controls


def controls(**settings: object) -> Controls:
    return Controls.of(Settings(**settings))  # type: ignore[arg-type]


def test_settings_arrive() -> None:
    made = controls(
        columns=("pid", "command"),
        sort="read_bytes_per_s",
        reverse=True,
        filter="user:root",
        only_active=True,
        mode="average",
        threads=True,
        tree=True,
        full_command=False,
        pids=frozenset({1}),
        users=frozenset({"root"}),
        view=3,
        interval_s=2.5,
    )
    query = made.query()

    assert made.columns == ("pid", "command")
    assert made.view == DEVICES
    assert made.interval_s == 2.5
    assert not made.full_command
    assert (query.sort, query.reverse, query.only_active) == ("read_bytes_per_s", True, True)
    assert (query.mode, query.threads, query.tree) == (Mode.AVERAGE, True, True)
    assert (query.pids, query.users) == (frozenset({1}), frozenset({"root"}))
    assert query.filter is not None


def test_without_settings_the_largest_writer_is_first() -> None:
    made = controls()
    assert made.columns == DEFAULT
    assert made.query().sort == "write_bytes_per_s"
    assert made.needs() == frozenset()
    assert made.flags("") == ()


def test_sorting_twice_by_one_column_reverses_and_another_starts_afresh() -> None:
    made = controls()
    made.sort_by("write_bytes_per_s")
    assert made.is_reversed
    made.sort_by("pid")
    assert (made.sort, made.is_reversed) == ("pid", False)
    made.sort_by("history")
    assert made.sort == "pid"


def test_steps_go_round_the_visible_columns() -> None:
    made = controls(sort="disk_iops")
    made.sort_step(("pid", "history", "command"), 1)
    assert made.sort == "pid"
    made.sort_step(("pid", "history", "command"), -1)
    assert made.sort == "command"
    made.sort_step((), 1)
    assert made.sort == "command"


@pytest.mark.parametrize("start", [0.05, 0.1, 0.3, 1.0, 45.0, 60.0, 600.0])
def test_intervals_step_and_end(start: float) -> None:
    made = controls(interval_s=start)
    made.step_interval(1)
    assert made.interval_s > start or start >= INTERVALS_S[-1]
    for _ in INTERVALS_S:
        made.step_interval(1)
    assert made.interval_s == max(start, INTERVALS_S[-1])
    for _ in range(2 * len(INTERVALS_S)):
        made.step_interval(-1)
    assert made.interval_s == INTERVALS_S[0]


def test_a_filter_that_is_none_leaves_the_one_before() -> None:
    made = controls(filter="user:root")
    before = made.filter
    with pytest.raises(UsageError):
        made.set_filter("write>")
    assert made.filter is before
    assert made.filter_text == "user:root"


def test_a_cleared_filter_is_remembered_for_searching() -> None:
    made = controls(filter="user:root")
    before = made.filter
    made.set_filter("  ")
    assert made.filter is None
    assert made.last_filter is before


def test_probes_are_asked_for_only_where_something_shows_them() -> None:
    made = controls()
    made.view = PROBES
    assert made.needs() == {Need.PROBES}
    made.view, made.detail = "view_processes", 1
    assert made.needs() == {Need.THREADS, Need.SYSCALLS}
    made.detail, made.threads = 0, True
    assert made.needs() == {Need.THREADS}


def test_each_chosen_column_gets_what_it_needs() -> None:
    for column in BY_ID.values():
        made = controls(columns=(column.id,))
        assert made.needs() == ({column.need} if column.need else set())


def test_every_restriction_of_the_view_has_a_flag() -> None:
    made = controls(
        filter="x" * 40, only_active=True, mode="accumulated", read_only=True, pids=frozenset({1})
    )
    made.followed = (1, None)
    flags = made.flags("PAUSED")

    assert flags[0] == "PAUSED"
    assert f"FILTER {'x' * 24}" in flags
    assert {"ACTIVE", "ACCUMULATED", "FOLLOW", "READ-ONLY", "SELECTED"} <= set(flags)
