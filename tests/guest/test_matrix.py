"""The matrix of kernels: which package is taken, and what the page says; this needs no guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guest import kernels, matrix, suites
from tests.guest.checks import FAIL, NOT_HERE, OK, Answer, Ground
from tests.guest.matrix_page import Row, page
from tests.guest.suites import Release, fetch

RT = Release("bullseye", "5.10", "rt-amd64")
LISTED = """\
linux-image-5.10.0-9-rt-amd64 - Linux 5.10 for 64-bit PCs, PREEMPT_RT (signed)
linux-image-5.10.0-46-rt-amd64 - Linux 5.10 for 64-bit PCs, PREEMPT_RT (signed)
linux-image-5.10.0-45-rt-amd64 - Linux 5.10 for 64-bit PCs, PREEMPT_RT (signed)
"""


class FakeApt:
    """Answers as apt and dpkg do; some packages are listed and cannot be had."""

    def __init__(self, *gone: str) -> None:
        self.gone = gone
        self.is_offline = False
        self.downloads: list[str] = []
        self.sources = ""

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        words = [str(word) for word in command]
        if words[0] == "apt-get" and "indextargets" in words:
            return "Debian http://mirror/debian/\nDebian-Security http://mirror/security/\n"
        if self.is_offline:
            raise kernels.FetchError("no network")
        if "update" in words:
            (option,) = (word for word in words if word.startswith("-oDir::Etc::SourceList="))
            self.sources = Path(option.partition("=")[2]).read_text("utf-8")
        if "search" in words:
            return LISTED
        if "download" in words:
            image = words[words.index("download") + 1]
            if image in self.gone:
                raise kernels.FetchError(f"apt-get failed: http://mirror/{image}.deb 404")
            self.downloads.append(image)
            assert cwd is not None
            (cwd / f"{image}.deb").touch()
        if words[0] == "dpkg":
            release = Path(words[2]).stem.removeprefix("linux-image-")
            (Path(words[3]) / "usr/lib/modules" / release).mkdir(parents=True)
        return ""


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeApt:
    fake = FakeApt("linux-image-5.10.0-46-rt-amd64")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for module in (kernels, suites):
        monkeypatch.setattr(module, "run", fake.run)
    return fake


def test_the_newest_package_that_can_be_had_is_taken(apt: FakeApt) -> None:
    """By number, not by letter; modules below /usr/lib are found."""
    kernel = fetch(RT)

    assert apt.downloads == ["linux-image-5.10.0-45-rt-amd64"]
    assert kernel.release == "5.10.0-45-rt-amd64"
    assert kernel.image.name == "vmlinuz"
    assert [line.split()[-3:] for line in apt.sources.splitlines()] == [
        ["http://mirror/debian/", "bullseye", "main"],
        ["http://mirror/security/", "bullseye-security", "main"],
    ]


def test_what_was_fetched_once_is_used_without_apt(apt: FakeApt) -> None:
    """Before that, it says why nothing can be had."""
    kernel = fetch(RT)
    apt.is_offline = True

    assert fetch(RT) == kernel
    with pytest.raises(kernels.FetchError, match="no network"):
        fetch(RT._replace(series="6.1"))


def test_a_guest_that_dies_has_said_what_it_said() -> None:
    """A line that was cut off is left out, and a panic is named."""
    row = Row("bookworm", "6.12", "amd64", "6.12.1")
    lines = [
        b'{"release":"6.12.1","file_system":"xfs","lsm":[],"source":"bcc","notes":[]}',
        b'{"check":"probes","state":"ok","seconds":0.4}',
        b'{"check":"table","sta',
    ]
    console = "[ 1.0] booting\n[ 9.1] Kernel panic - not syncing: int3\n[ 9.2] CPU: 0\n"

    filled = matrix.filled(row, lines)

    assert filled.ground == Ground("6.12.1", "xfs", (), "bcc", ())
    assert filled.answers == (Answer("probes", OK, 0.4),)
    assert matrix.ending(None, console, "") == "the kernel panicked: not syncing: int3"
    assert "last on its console: it hangs" in matrix.ending(None, "booting\nit hangs\n", "")
    assert matrix.ending(3, "", "a\nno module\n") == "the checks ended with 3: no module"


def test_a_row_is_made_of_its_answers_alone() -> None:
    """A panic and a missing package are rows; no address of a mirror is on the page."""
    ground = Ground("6.1.0-56-amd64", "ext4", ("lockdown", "bpf"), "bcc", ())
    answers = (
        Answer("probes", OK, 0.4, "9 programs"),
        Answer("drop", NOT_HERE, 1.2, "BPF LSM is off"),
        Answer("undo", FAIL, 3.0, "attached: 5"),
    )
    rows = (
        Row("bookworm", "6.1", "amd64", "6.1.0-56-amd64", "ext4", 61.2, "", False, ground, answers),
        Row("bookworm", "6.12", "amd64", "6.12.1", "xfs", 9.0, "the kernel panicked: int3"),
        Row("bullseye", "5.10", "rt-amd64", problem="http://mirror/x 404 [IP: 1]", is_missing=True),
    )

    lines = page(rows, "make it", 90, 2).splitlines()

    table = [line for line in lines if line.startswith("| ")][1:]
    assert table == [
        "| 6.1.0-56-amd64 | ext4 | bcc | yes | ok 0 s | - | - | not here 1 s | - | FAIL | 61 s |",
        "| 6.12.1 | xfs | - | - | - | - | - | - | - | - | 9 s |",
        "| 5.10 rt-amd64 (bullseye) | - | - | - | - | - | - | - | - | - | - |",
    ]
    assert [row.verdict for row in rows] == [FAIL, FAIL, NOT_HERE]
    assert "- 6.1.0-56-amd64, drop not here: BPF LSM is off" in lines
    assert "- 6.12.1: the kernel panicked: int3" in lines
    assert "- 6.1.0-56-amd64: probes 9 programs" in lines
    assert "- 5.10 rt-amd64 (bullseye): … 404 …" in lines
    assert "make it`, all of it, in 1.5 minutes, 2 guests at a time" in lines[2]
