"""The page that the matrix makes of its answers; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from tests.guest.checks import FAIL, NOT_HERE, OK, Answer, Ground

CHECKS = {
    "probes": "every program of every tier attaches, those on demand go again",
    "table": "211 writes of 64 KiB, buffered and direct: the row's bytes are those of"
    " /proc/PID/io, the device's those of /proc/diskstats",
    "throttle": "`hold` on a hog: never 10 % above its cap of 1 MiB/s, and within 10 % of it",
    "drop": "what is said to be refused is what the hog counts as errors",
    "io_max": "a direct writer's cgroup likewise, at 5 MiB/s; `io.max` is as before afterwards",
    "undo": "kill -9 of the keeper: no program, process or changed value is left, the hog is free",
}
"""Check -> what it claims."""
_OF_THIS_HOST = re.compile(r"\S*://\S+|\[IP: [^]]*\]|-oDir\S+")


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one kernel."""

    suite: str
    series: str
    flavour: str
    release: str = ""
    file_system: str = ""
    seconds: float = 0
    """From the start of the guest to its end."""
    problem: str = ""
    """Why it was not examined to its end."""
    is_missing: bool = False
    """No package could be had: that says nothing of iotop-ng."""
    ground: Ground | None = None
    answers: tuple[Answer, ...] = ()

    @property
    def verdict(self) -> str:
        """ok, not here, or FAIL when anything did."""
        if self.is_missing:
            return NOT_HERE
        failed = self.problem or any(answer.state == FAIL for answer in self.answers)
        return FAIL if failed else OK


def page(rows: Sequence[Row], command: str, seconds: float, jobs: int) -> str:
    """Return docs/kernels.md.

    Args:
        rows: as they were examined.
        command: makes it again.
        seconds: that the run took, once the kernels were there.
        jobs: guests that ran at a time.
    """
    made = (
        f"Made by `{command}`, all of it, in {seconds / 60:.1f} minutes, {jobs} guests at a time;"
        " the answers are in [kernels.jsonl](kernels.jsonl). Each kernel is Debian's own package,"
        " booted in an emulated machine with two CPUs and a disk of 40 MB/s. A row is one boot; the"
        " time beside an answer is what the check took there."
    )
    parts = [
        "# Kernels",
        "",
        made,
        "",
        "| kernel | /data | source | BPF LSM | " + " | ".join(CHECKS) + " | boot to end |",
        "|---" * (5 + len(CHECKS)) + "|",
        *(_line(row) for row in rows),
        "",
        "What is asked:",
        "",
        *(f"- **{name}**: {claim}" for name, claim in CHECKS.items()),
        "",
        *_remarks(rows),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _name(row: Row) -> str:
    return row.release or f"{row.series} {row.flavour} ({row.suite})"


def _line(row: Row) -> str:
    ground = row.ground
    cells = [_name(row), row.file_system or "-"]
    if ground is None:
        cells += ["-", "-"]
    else:
        cells += [ground.source, "yes" if "bpf" in ground.lsm else "no"]
    answers = {answer.check: answer for answer in row.answers}
    cells += [_cell(answers.get(name)) for name in CHECKS]
    cells.append(f"{row.seconds:.0f} s" if row.seconds else "-")
    return f"| {' | '.join(cells)} |"


def _cell(answer: Answer | None) -> str:
    if answer is None:
        return "-"
    return FAIL if answer.state == FAIL else f"{answer.state} {answer.seconds:.0f} s"


def _remarks(rows: Iterable[Row]) -> list[str]:
    """Return what was said: first what is not ok, then what was measured, a line per kernel."""
    bad, good = [], []
    for row in rows:
        if row.problem:
            bad.append(f"- {_name(row)}: {one_line(row.problem)}")
        asked = [answer for answer in row.answers if answer.check in CHECKS or answer.state != OK]
        bad += [
            f"- {_name(row)}, {answer.check} {answer.state}: {one_line(answer.text)}"
            for answer in asked
            if answer.state != OK
        ]
        measured = [f"{one.check} {one_line(one.text)}" for one in asked if one.state == OK]
        good += [f"- {_name(row)}: {'; '.join(measured)}"] if measured else []
    said = ["What is not ok, or not there:", "", *bad, ""] if bad else []
    return [*said, "What was measured:", "", *good] if good else said


def one_line(text: str) -> str:
    """Return it without line ends and addresses: which mirror it was is nobody's business."""
    return " ".join(_OF_THIS_HOST.sub("…", text).split())[:300]
