"""`iotop-ng doctor` as people and programs read it."""

from __future__ import annotations

import json

import msgspec
import pytest

from iotop_ng.cli.doctor import as_text, layout_of, make_report, run
from iotop_ng.sources.layout import layout_of_version
from iotop_ng.sources.plan import make_plan
from iotop_ng.sources.probe import Facts
from tests.fakes.hosts import APT_BCC, HOSTS, Host, kernel

PLAN = make_plan(layout_of_version((5, 4), None, frozenset(), 12))


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_every_host_has_a_report(host: Host) -> None:
    report = make_report(host.facts, None)
    text = as_text(report)

    assert report.source == host.source
    assert report.is_complete is (host.source == "bcc")
    assert ("nothing essential is missing" in text) is report.is_complete
    assert all(len(line) <= 100 and line.isprintable() for line in text.splitlines() if line)
    for check in report.checks:
        assert check.title in text
        # Long lines are broken between words.
        assert " ".join(check.remedy.split()) in " ".join(text.split())


def test_the_decisions_are_printed_beside_the_facts() -> None:
    report = make_report(kernel("5.4.0"), PLAN)
    text = as_text(report)

    assert "source: bcc" in text
    assert "block_rq_issue" in text
    assert "not counted on this kernel:" in text
    assert any("task iterator" in gap for gap in report.gaps)


def test_hostile_facts_are_drawn_and_not_interpreted() -> None:
    facts = Facts(bcc_path="/tmp/\x1b]0;owned\x07\u202e", lockdown="none")

    text = as_text(make_report(facts, None))

    assert "\x1b" not in text
    assert "\u202e" not in text


def test_json_is_one_object_with_the_same_content() -> None:
    report = make_report(
        kernel("6.8.0", bcc_path=None, bcc_problem="BCC is missing", bcc_remedy=APT_BCC), None
    )

    told = json.loads(msgspec.json.encode(report))

    assert told["schema"] == 1
    assert told["source"] == "procfs"
    assert told["is_complete"] is False
    by_id = {check["id"]: check for check in told["checks"]}
    assert by_id["bcc"]["state"] == "missing"
    assert by_id["bcc"]["remedy"] == APT_BCC


def test_the_exit_code_says_whether_all_is_there(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code = run(json=True)
    told = json.loads(capfdbinary.readouterr().out)

    assert code == (0 if told["is_complete"] else 1)
    assert told["version"]


def test_the_text_is_for_this_machine(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code = run()
    text = capfdbinary.readouterr().out.decode()

    assert text.startswith("iotop-ng ")
    assert code in {0, 1}
    assert "Linux" in text


def test_no_programs_are_promised_where_bpf_cannot_work() -> None:
    assert layout_of(kernel("4.14.0")) is None
