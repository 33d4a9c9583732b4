"""Pictures of whole screens; a difference is looked at, then kept with --snapshot-update."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from iotop_ng.config import Settings
from iotop_ng.enforcers.orders import Kind, Rung
from iotop_ng.model.frame import Frame
from iotop_ng.view.app import IotopApp
from iotop_ng.view.feed import Feed
from iotop_ng.view.themes import load_themes
from tests.fakes import acting, frames
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
        ("policies", ("7",)),
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


def acts(
    snap_compare: Compare,
    size: tuple[int, int],
    keys: Sequence[str],
    *,
    frame: Frame | None = None,
    rungs: dict[Kind, tuple[Rung, ...]] | None = None,
    theme: str = "dark",
    **settings: Any,
) -> bool:
    """Compare a screen that has something to act with, and something in force."""
    engine = acting.FakeEngine()
    engine.rungs.update(rungs or {})
    app = IotopApp(
        Settings(**settings),
        load_themes(None),
        theme,
        "node7",
        lambda _: cast("Feed", acting.FakeFeed(engine)),  # a fake: the same methods, no thread
    )
    prepare = after(frame or acting.acting_frame(), keys)
    return snap_compare(app, terminal_size=size, run_before=prepare)


@pytest.mark.parametrize("size", SIZES[:2], ids=str)
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("in force", ()),
        ("view 7", ("7", "down")),
        ("details", ("enter",)),
        ("throttle", ("t",)),
        ("throttle refused", ("t", *"5X")),
        ("throttle by io_max", ("t", "5", "M", "down", "down", "down", "down")),
        ("another cap", ("t",)),
        ("drop", ("d",)),
        ("ionice", ("i",)),
        ("signal", ("K",)),
        ("leave", ("down", "t", "enter", "q")),
        ("result", ("down", "t", "enter")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_acting(
    snap_compare: Compare, size: tuple[int, int], name: str, keys: tuple[str, ...]
) -> None:
    is_first = name.startswith("throttle")
    assert acts(snap_compare, size, keys, frame=frames.frame() if is_first else None)


@pytest.mark.parametrize("key", ["1", "7"])
def test_in_force_on_a_large_terminal(snap_compare: Compare, key: str) -> None:
    assert acts(snap_compare, (200, 60), (key,))


@pytest.mark.parametrize("size", SIZES[:2], ids=str)
def test_drop_where_the_kernel_cannot(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert acts(snap_compare, size, ("d",), rungs={Kind.DROP: (acting.NO_LSM,)})


@pytest.mark.parametrize("key", ["t", "d"])
def test_hostile_names_in_a_dialog(snap_compare: Compare, key: str) -> None:
    rows = frames.hostile(7000)
    tags = ["space"] * len(rows)
    assert acts(snap_compare, (80, 24), (*tags, key), frame=frames.frame(rows=rows))


@pytest.mark.parametrize("theme", ["light", "high-contrast", "colour-blind", "ansi16", "mono"])
@pytest.mark.parametrize("keys", [("t",), ("7",)], ids=["dialog", "view"])
def test_acting_in_every_theme(snap_compare: Compare, theme: str, keys: tuple[str, ...]) -> None:
    frame = frames.frame() if keys == ("t",) else None
    assert acts(snap_compare, (100, 30), keys, frame=frame, theme=theme)


def test_acting_in_ascii(snap_compare: Compare) -> None:
    assert acts(snap_compare, (80, 24), ("t",), frame=frames.frame(), ascii=True)
