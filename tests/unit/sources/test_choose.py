"""Which source is chosen on which host: pure, from facts."""

from __future__ import annotations

import msgspec
import pytest

from iotop_ng.errors import IotopError, NotPermittedError, SourceError, UsageError
from iotop_ng.sample import Need, Sample
from iotop_ng.sources.choose import (
    DELAYACCT_ON,
    OBSTACLES,
    BestSource,
    Choice,
    Progress,
    choose,
    obstacles,
    open_source,
    step_down,
)
from iotop_ng.sources.probe import Facts
from iotop_ng.sources.procfs import NOTE_SHORT
from tests.fakes.hosts import APT_BCC, HOSTS, NOBODY, Host, kernel

NOTHING: frozenset[Need] = frozenset()


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_every_host_gets_the_source_it_can_have(host: Host) -> None:
    choice = choose(host.facts)

    assert choice.source.name == host.source
    if host.words:
        assert host.words in choice.notes[0]
    else:
        assert choice.notes == ()
    if host.remedy:
        assert choice.remedies[0] == host.remedy
        assert choice.source.name != "bcc" or host.remedy in choice.notes[0]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_the_choice_is_pure(host: Host) -> None:
    first, second = choose(host.facts), choose(host.facts)

    assert (first.source.name, first.notes, first.remedies) == (
        second.source.name, second.notes, second.remedies,
    )  # fmt: skip


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_procfs_can_be_forced_everywhere(host: Host) -> None:
    assert choose(host.facts, "procfs").source.name == "procfs"


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_bcc_is_forced_or_refused_in_one_line(host: Host) -> None:
    if host.source == "bcc":
        assert choose(host.facts, "bcc").source.name == "bcc"
        return

    with pytest.raises(IotopError) as raised:
        choose(host.facts, "bcc")

    assert host.words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code in {1, 3}


def test_a_missing_capability_is_not_permitted() -> None:
    with pytest.raises(NotPermittedError, match="CAP_BPF and CAP_PERFMON: sudo iotop-ng"):
        choose(kernel("6.8.0", is_root=False, capabilities=NOBODY), "bcc")


def test_a_missing_package_carries_its_command() -> None:
    with pytest.raises(SourceError) as raised:
        choose(kernel("6.8.0", bcc_problem="BCC is missing", bcc_remedy=APT_BCC), "bcc")

    assert raised.value.remedy == APT_BCC


def test_an_unknown_source_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="there is bcc, procfs"):
        choose(Facts(), "ebpf\x1b[2J")


def test_more_than_one_obstacle_points_to_the_doctor() -> None:
    facts = kernel("6.8.0", bcc_problem="BCC is missing", bcc_remedy=APT_BCC, has_btf=False)

    choice = choose(facts)

    assert len(obstacles(facts)) == 2
    assert choice.notes[0].endswith("(and 1 more: iotop-ng doctor)")
    assert APT_BCC in choice.remedies


def test_delay_accounting_that_is_off_has_a_command() -> None:
    facts = kernel("6.8.0", delayacct="off", bcc_problem="BCC is missing")

    assert DELAYACCT_ON in choose(facts).remedies


def test_hidden_processes_are_said() -> None:
    facts = kernel("6.1.0", is_root=False, capabilities=NOBODY, hidepid="2")

    assert any("hidepid=2" in note for note in choose(facts, "procfs").notes)
    assert choose(kernel("6.1.0", hidepid="2"), "procfs").notes == ()


def test_obstacles_are_told_from_the_most_basic_on() -> None:
    facts = HOSTS[-1].facts

    found = [name for name, look in OBSTACLES.items() if look(facts) is not None]

    assert found == ["kernel", "privileges", "pid_namespace", "kernel_types", "bcc"]


class ScriptedSource:
    """A source that fails to open, or tells one sample."""

    def __init__(self, name: str, problem: IotopError | OSError | None = None) -> None:
        self.name = name
        self.problem = problem
        self.calls: list[str] = []

    def open(self) -> None:
        self.calls.append("open")
        if self.problem is not None:
            raise self.problem

    def read(self, _needs: frozenset[Need]) -> Sample:
        return Sample(source=self.name, wall_ns=0, mono_ns=0, processes=(), notes=("own",))

    def close(self) -> None:
        self.calls.append("close")


def best(source: ScriptedSource, forced: str | None = None) -> BestSource:
    def decide(_facts: Facts, _forced: str | None, _progress: Progress | None) -> Choice:
        return Choice(source, ("limited: mend it",), ())

    return BestSource(forced, look=Facts, decide=decide)


def test_the_best_source_is_opened_once_and_closed() -> None:
    scripted = ScriptedSource("bcc")
    source = best(scripted)
    before = source.name
    source.open()
    source.open()
    name, sample = source.name, source.read(NOTHING)
    source.close()
    source.close()

    assert (before, name) == ("", "bcc")
    assert sample.notes == ("limited: mend it", "own")
    assert scripted.calls == ["open", "close"]


def test_a_source_that_fails_steps_down_out_loud() -> None:
    scripted = ScriptedSource("bcc", SourceError("the verifier says no", "mend the verifier"))
    source = best(scripted)

    source.open()
    sample = source.read(NOTHING)
    source.close()

    assert scripted.calls == ["open", "close"]
    assert sample.source == "procfs"
    assert "no BPF: the verifier says no: mend the verifier" in sample.notes
    assert NOTE_SHORT in sample.notes
    assert sample.processes


def test_an_error_of_the_system_steps_down_too() -> None:
    source = best(ScriptedSource("bcc", OSError(28, "No space left on device")))

    source.open()
    notes = source.read(NOTHING).notes
    source.close()

    assert any("No space left" in note for note in notes)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"delayacct": "missing"}, "no IO%: this kernel has no delay accounting"),
        (
            {"delayacct": "on", "taskstats_error": "task accounting needs CAP_NET_ADMIN"},
            "no IO%: task accounting needs CAP_NET_ADMIN: sudo iotop-ng",
        ),
    ],
)
def test_why_there_is_no_io_share_is_said(given: dict[str, str], words: str) -> None:
    facts = kernel("6.8.0", is_root=False, capabilities=NOBODY, **given)
    source = BestSource("procfs", look=lambda: facts)
    source.open()
    notes = source.read(NOTHING).notes
    source.close()

    assert words in notes


def test_a_forced_source_does_not_step_down() -> None:
    scripted = ScriptedSource("bcc", NotPermittedError("no"))

    with pytest.raises(NotPermittedError):
        best(scripted, "bcc").open()

    assert scripted.calls == ["open", "close"]


def test_the_last_rung_fails_in_its_own_words() -> None:
    with pytest.raises(SourceError, match="no counters"):
        best(ScriptedSource("procfs", SourceError("no counters"))).open()


def test_reading_before_opening_is_an_error_of_ours() -> None:
    with pytest.raises(SourceError, match="not open"):
        BestSource().read(NOTHING)


def test_a_long_complaint_is_one_clean_line() -> None:
    error = SourceError("bad\n\x1b[31m" + "x" * 5000)

    note = step_down(Facts(), error).notes[0]

    assert len(note) < 400
    assert note.isprintable()


def test_progress_reaches_the_source() -> None:
    words: list[str] = []

    choice = choose(Facts(), None, words.append)

    assert choice.source.name == "bcc"
    assert words == []


def test_a_source_opens_on_this_machine() -> None:
    source = open_source("procfs")
    sample = source.read(NOTHING)
    source.close()

    assert source.name == "procfs"
    assert sample.processes


def test_facts_can_be_written_down() -> None:
    assert msgspec.json.encode(Facts())
