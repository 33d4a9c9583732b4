"""docs/detection.md is made of the raw results: on results by hand, and the one in docs/."""

from __future__ import annotations

from pathlib import Path

from iotop_ng.control.guard import default_rules
from iotop_ng.demo.modes import MODES
from iotop_ng.policy.rules import parse_rules
from tests.bench.detecting.direct import percentile
from tests.bench.detecting.loads import FLOOD_MODES, LOADS, command_of
from tests.bench.detecting.page import conditions, page
from tests.bench.detecting.records import About, Result, Sink, read
from tests.bench.detection import PAGE, RAW, all_results
from tests.unit.bench.detections import story, ticks

CHECKOUT = Path(__file__).resolve().parents[3]
GOLDEN = CHECKOUT / "tests/golden/detection.md"
RULES = parse_rules(
    '[[guard]]\nname = "starved"\nkeep_fsync_p99 = "100ms"\nwhile_fsync_p99_over = "100ms"\n'
    'while_io_pressure_over = "20%"\nfor = "500ms"\nhog_over = "2MB"\n'
)


def test_the_page_says_what_the_results_say() -> None:
    assert page([story()], RULES) == GOLDEN.read_text("utf-8")


def test_a_page_without_any_machine_is_one() -> None:
    assert page([], RULES).startswith("# Which signs tell")


def test_the_page_in_docs_is_what_its_raw_results_say() -> None:
    """After another measurement, or another threshold: python -m tests.bench.detection --page."""
    found = all_results(CHECKOUT / RAW)

    assert found
    assert (CHECKOUT / PAGE).read_text("utf-8") == page(found, default_rules())


def test_the_conditions_of_a_guard_have_the_names_of_signs() -> None:
    assert conditions(RULES.guards[0]) == {"fsync": 100, "psi_some": 20, "top_writer": 2}


def test_every_mode_of_the_generator_is_a_flood() -> None:
    assert set(FLOOD_MODES) == set(MODES)
    assert len({load.name for load in LOADS}) == len(LOADS)


def test_only_a_load_that_does_something_runs_something(tmp_path: Path) -> None:
    assert [load.name for load in LOADS if not command_of(load, tmp_path, 3)] == ["idle", "victim"]


def test_what_is_over_is_in_the_file_before_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    first = About("m", "6.1", "ext4", 1, 1.0, ("psi_some",))
    sink = Sink(path, first)
    for tick in ticks("lines", psi_some=[1, 2]):
        sink.add(tick)
    assert path.read_bytes() == b""

    sink.add(Result("lines", 1, is_flood=True))

    assert len(read(path).ticks) == 2
    assert read(path).about == first
    sink.close()


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert [percentile(range(1, 101), percent) for percent in (5, 50, 99, 100)] == [5, 50, 99, 100]
    assert percentile([], 50) is None
