"""The report of a comparison: the same raw lines, the same text, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.bench import policies
from tests.bench.comparison.raw import Measured, RawError, Run, encode, parse, without_paths
from tests.bench.comparison.report import pictures, report, shown
from tests.bench.comparison.scoring import NEVER, Spread
from tests.unit.bench import rows

GOLDEN = Path(__file__).parents[2] / "golden/benchmark.md"


def _measured(scenario: str = "steady") -> Measured:
    return parse([encode(line) for line in rows.lines(scenario)], "some.jsonl")


def test_the_report_is_what_it_was() -> None:
    """IOTOP_NG_GOLDEN=new writes the file anew: read the difference before it is kept."""
    text = report({"here-steady": _measured(), "guest-slow": _measured("slow")})

    if os.environ.get("IOTOP_NG_GOLDEN") == "new":
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")


def test_a_contestant_that_is_not_here_says_why() -> None:
    text = report({"some": _measured()})

    assert "| io.latency | not in this kernel |" in text


def test_what_went_wrong_in_one_round_is_told() -> None:
    lines = [line for line in rows.lines() if not (isinstance(line, Run) and line.round)]
    lines.append(rows.alone(1))
    lines.append(Run(1, "none", (), (), (), note="the hog ended by itself with 1"))

    text = report({"some": parse([encode(line) for line in lines], "some.jsonl")})

    assert "- round 2, none: the hog ended by itself with 1" in text
    assert "- guard: 1 of 2 rounds" in text


def test_goals_are_judged_by_the_numbers() -> None:
    text = report({"some": _measured("slow")})

    assert "isol ≥ 95 % and work-csv ≥ 50 % at once: 100.0 % and 100.0 %, **met**" in text
    assert "against 100.0 % (io.max at 50 %" in text


@pytest.mark.parametrize(
    ("spread", "text"),
    [
        (Spread(2.04, 2.0, 2.04), "2.0"),
        (Spread(2.0, 1.0, NEVER), "2.0 (1.0..never)"),
        (Spread(NEVER, NEVER, NEVER), "never"),
        (Spread(float("nan"), float("nan"), float("nan")), "-"),
    ],
)
def test_a_spread_is_short_where_all_agree(spread: Spread, text: str) -> None:
    assert shown(spread, 1) == text


def test_pictures_are_well_formed_and_name_everybody() -> None:
    drawn = pictures({"some": _measured()})

    assert sorted(drawn) == ["some-p99.svg", "some-scores.svg"]
    for picture in drawn.values():
        words = [element.text for element in ET.fromstring(picture).iter() if element.text]  # noqa: S314  # ours
        assert {"none", "guard", "io.max at 50 %"} <= set(words)
    assert "no result" in drawn["some-p99.svg"]


def test_the_command_writes_report_and_pictures(tmp_path: Path) -> None:
    raw = tmp_path / "here-steady.jsonl"
    raw.write_bytes(b"".join(encode(line) for line in rows.lines()))

    asked = policies.parser().parse_args(["report", str(raw), "--into", str(tmp_path / "docs")])

    assert policies.show(asked) == 0
    text = (tmp_path / "docs/benchmark.md").read_text("utf-8")
    assert text == report({"here-steady": _measured()})
    assert (tmp_path / "docs/benchmark/here-steady-scores.svg").exists()
    assert str(tmp_path) not in text


def test_the_report_in_docs_is_what_its_raw_results_say() -> None:
    docs = Path(__file__).parents[3] / "docs"
    raws = [*(docs / "benchmark").glob("*.jsonl")]

    files = policies.measured_in(raws)

    drawn = {path.name: path.read_text("utf-8") for path in (docs / "benchmark").glob("*.svg")}
    assert drawn == pictures(files)
    assert (docs / "benchmark.md").exists() is bool(raws)
    if raws:
        assert (docs / "benchmark.md").read_text("utf-8") == report(files)


def test_steady_devices_come_first(tmp_path: Path) -> None:
    for name, scenario in (("a", "slow"), ("b", "steady")):
        (tmp_path / f"{name}.jsonl").write_bytes(encode(rows.setting(scenario)))

    assert [*policies.measured_in([*tmp_path.iterdir()])] == ["b", "a"]


def test_raw_lines_come_back_as_they_were() -> None:
    measured = _measured()

    assert [measured.setting, *measured.lines] == rows.lines()
    assert measured.contestants() == ["none", "io.max at 50 %", "io.latency", "guard"]


def test_a_line_that_broke_off_is_left_out() -> None:
    whole = [encode(line) for line in rows.lines()]

    broken = parse([*whole, encode(rows.alone(2))[:-5]], "some.jsonl")

    assert broken == _measured()


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"{}\n"],
        [b"\xff\n"],
        [encode(rows.alone(0))],
        [encode(rows.alone(0)), encode(rows.setting())],
        [encode(rows.setting()), encode(rows.setting())],
    ],
)
def test_another_file_is_refused_by_name(lines: list[bytes]) -> None:
    with pytest.raises(RawError, match=r"some\.jsonl"):
        parse(lines, "some.jsonl")


def test_messages_lose_the_directories_of_a_machine() -> None:
    said = "cannot import 'x' (/srv/some/where/rule.py); see /var/log/it.log, 1/2 or 3 MB/s"

    assert without_paths(said) == "cannot import 'x' (rule.py); see it.log, 1/2 or 3 MB/s"
