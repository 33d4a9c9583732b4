"""Pictures of whole screens; a difference is looked at, then kept with --snapshot-update."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from textual.pilot import Pilot

from iotop_ng.model.frame import Frame
from tests.fakes import frames
from tests.screens.conftest import give, make_app

SIZES = ((80, 24), (120, 40), (200, 60))
Compare = Callable[..., bool]
NO_ROOT = "no BPF: BPF needs CAP_BPF and CAP_PERFMON: sudo iotop-ng"


def after(frame: Frame | None, keys: Sequence[str]) -> Callable[[Pilot[object]], Awaitable[None]]:
    async def prepare(pilot: Pilot[object]) -> None:
        if frame is not None:
            await give(pilot, frame)
        await pilot.press(*keys)
        await pilot.pause()

    return prepare


def same(
    snap_compare: Compare,
    size: tuple[int, int],
    keys: Sequence[str] = (),
    *,
    frame: Frame | None,
    theme: str = "dark",
    **settings: Any,
) -> bool:
    app = make_app(theme, **settings)
    return snap_compare(app, terminal_size=size, run_before=after(frame, keys))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("processes", ()),
        ("devices", ("3",)),
        ("probes", ("8",)),
        ("details", ("down", "enter")),
        ("help", ("question_mark",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pages(
    snap_compare: Compare, size: tuple[int, int], name: str, keys: tuple[str, ...]
) -> None:
    assert name
    assert same(snap_compare, size, keys, frame=frames.frame())


@pytest.mark.parametrize("theme", ["light", "high-contrast", "colour-blind", "ansi16", "mono"])
def test_themes(snap_compare: Compare, theme: str) -> None:
    assert same(snap_compare, (120, 40), frame=frames.frame(), theme=theme)


def test_ascii(snap_compare: Compare) -> None:
    assert same(snap_compare, (80, 24), ("enter",), frame=frames.frame(), ascii=True)


def test_before_the_first_reading(snap_compare: Compare) -> None:
    assert same(snap_compare, (80, 24), frame=None)


def test_the_first_reading_has_no_rates(snap_compare: Compare) -> None:
    assert same(snap_compare, (80, 24), frame=frames.first_frame())


def test_without_root(snap_compare: Compare) -> None:
    frame = frames.frame(source="procfs", notes=[NO_ROOT, "IO% needs delay accounting"])
    assert same(snap_compare, (80, 24), frame=frame)


def test_everything_that_can_be_flagged(snap_compare: Compare) -> None:
    keys = ("F", "o", "a", "z")
    assert same(snap_compare, (120, 40), keys, frame=frames.frame(), filter="!idle", read_only=True)


def test_filter_line(snap_compare: Compare) -> None:
    assert same(snap_compare, (80, 24), ("slash", *"write>1M"), frame=frames.frame())


def test_settings(snap_compare: Compare) -> None:
    assert same(snap_compare, (120, 40), ("f2", "down"), frame=frames.frame())


def test_tree(snap_compare: Compare) -> None:
    rows = [
        frames.row(1, "init"),
        frames.row(10, "shell"),
        frames.row(20, "make", ppid=10, write=3e6),
        frames.row(21, "cc1", ppid=20, write=9e6),
        frames.row(30, "dd", ppid=10),
    ]
    assert same(snap_compare, (80, 24), ("T",), frame=frames.frame(rows=rows))


def test_too_small(snap_compare: Compare) -> None:
    assert same(snap_compare, (39, 7), frame=frames.frame())
