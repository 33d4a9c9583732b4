"""Commands that act: every bad line ends with one sentence and its exit code, nothing touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotop_ng.cli import desk, main
from iotop_ng.cli.desk import Desk

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program; whoever asks for a keeper or looks at the journal fails the test."""

    def touched(*_: object) -> NoReturn:
        raise AssertionError("a bad line reached the keeper")

    monkeypatch.setattr(desk, "Desk", lambda: Desk(touched, touched, touched, is_root=True))
    monkeypatch.setenv("IOTOP_NG_DEBUG", "1")

    def running(*arguments: str) -> tuple[int, str, str]:
        code = main.run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return running


LEAST = "expected 1K or more per second, such as 5M, 500K, 5MB/s or 20%"
SHARE = "expected more than 0 and up to 100%"
SPAN = "expected such as 90s, 10m or 1h, at most a week"
ERRNOS = "expected ENOSPC, EDQUOT, EIO, EPERM or EAGAIN"
SIZE = "expected a number with K, M, G, T (1024) or kB, MB, GB, TB (1000)"
WAYS = "expected hold, io_max or pause"
INSIDE = "--no-children has no meaning with cgroup:PATH and container:NAME: all inside is meant"
NAMELESS = (
    "--all takes every process or container of a name: it has no meaning without comm:NAME or"
    " container:NAME"
)
UNKNOWN = "no such option; iotop-ng --help lists them"
RATE_FORMS = "5M, 500K, 5MB/s or 20%"
TARGET_FORMS = "expected a PID (1 to 4194304), cgroup:/PATH, comm:NAME or container:NAME"

BAD = [
    # Rates.
    ("throttle 17 --rate 0", f"--rate: rate '0': {LEAST}"),
    ("throttle 17 --rate -1", f"--rate: rate '-1': expected {RATE_FORMS}"),
    ("throttle 17 --rate 5X", f"--rate: rate '5X': expected {RATE_FORMS}"),
    ("throttle 17 --rate 1e99", f"--rate: rate '1e99': expected {RATE_FORMS}"),
    ("throttle 17 --rate nan", f"--rate: rate 'nan': expected {RATE_FORMS}"),
    ("throttle 17 --rate inf", f"--rate: rate 'inf': expected {RATE_FORMS}"),
    ("throttle 17 --rate=", f"--rate: rate '': expected {RATE_FORMS}"),
    ("throttle 17 --rate 99999999T", "--rate: rate '99999999T': more than 1 EiB per second"),
    ("throttle 17 --rate 0%", f"--rate: rate '0%': {SHARE}"),
    ("throttle 17 --rate 101%", f"--rate: rate '101%': {SHARE}"),
    ("throttle 17 --rate -5%", f"--rate: rate '-5%': {SHARE}"),
    ("throttle 17", "Missing option '--rate'"),
    ("throttle 17 --rate", "Option '--rate' requires an argument"),
    ("drop 17 --pass 0", f"--pass: rate '0': {LEAST}"),
    ("drop 17 --pass 5X", f"--pass: rate '5X': expected {RATE_FORMS}"),
    # Leases.
    ("throttle 17 --rate 5M --for 0", f"--for: time '0': {SPAN}"),
    ("throttle 17 --rate 5M --for 0s", f"--for: time '0s': {SPAN}"),
    ("throttle 17 --rate 5M --for -5m", f"--for: time '-5m': {SPAN}"),
    ("throttle 17 --rate 5M --for 169h", f"--for: time '169h': {SPAN}"),
    ("throttle 17 --rate 5M --for forever", f"--for: time 'forever': {SPAN}"),
    ("drop 17 --for 10", f"--for: time '10': {SPAN}"),
    # What a drop is made of.
    ("drop 17 --errno ENOSPCE", f"--errno: 'ENOSPCE': {ERRNOS} (did you mean 'ENOSPC'?)"),
    ("drop 17 --errno 28", f"--errno: '28': {ERRNOS}"),
    ("drop 17 --errno EINTR", f"--errno: 'EINTR': {ERRNOS}"),
    ("drop 17 --budget 0", "--budget: size '0': expected more than 0, such as 100M or 1G"),
    ("drop 17 --budget -1", f"--budget: size '-1': {SIZE}"),
    ("drop 17 --budget lots", f"--budget: size 'lots': {SIZE}"),
    ("drop 17 --path=", "--path: '': expected a shell pattern of files such as *.log"),
    ("drop 17 --rate 5M", "'--rate': no such option"),
    ("drop 17 --mechanism hold", f"'--mechanism': {UNKNOWN}"),
    # Mechanisms.
    ("throttle 17 --rate 5M --mechanism magic", f"--mechanism: 'magic': {WAYS}"),
    ("throttle 17 --rate 5M --mechanism drop", f"--mechanism: 'drop': {WAYS}"),
    (
        "throttle 17 --rate 5M --mechanism paus",
        f"--mechanism: 'paus': {WAYS} (did you mean 'pause'?)",
    ),
    # Targets.
    ("throttle --rate 5M", "Missing argument 'TARGET...'"),
    ("drop", "Missing argument 'TARGET...'"),
    ("throttle 0 --rate 5M", f"TARGET '0': {TARGET_FORMS}"),
    ("throttle 99999999 --rate 5M", f"TARGET '99999999': {TARGET_FORMS}"),
    (
        "throttle 99999999999999999999999 --rate 5M",
        f"TARGET '99999999999999999999999': {TARGET_FORMS}",
    ),
    ("throttle dd --rate 5M", f"TARGET 'dd': {TARGET_FORMS}"),
    ("throttle 17@123 --rate 5M", f"TARGET '17@123': {TARGET_FORMS}"),
    ("throttle ¹⁷ --rate 5M", f"TARGET '¹⁷': {TARGET_FORMS}"),
    ("throttle comm: --rate 5M", f"TARGET 'comm:': {TARGET_FORMS}"),
    ("throttle cgroup: --rate 5M", f"TARGET 'cgroup:': {TARGET_FORMS}"),
    ("throttle cgroup:app --rate 5M", f"TARGET 'cgroup:app': {TARGET_FORMS}"),
    ("throttle cgroup:/app/../x --rate 5M", f"TARGET 'cgroup:/app/../x': {TARGET_FORMS}"),
    ("throttle pid:17 --rate 5M", f"TARGET 'pid:17': {TARGET_FORMS}"),
    ("throttle 17 dd --rate 5M", f"TARGET 'dd': {TARGET_FORMS}"),
    ("drop -- -1", f"TARGET '-1': {TARGET_FORMS}"),
    ("release dd", f"TARGET 'dd': {TARGET_FORMS}"),
    # Contradictions.
    ("throttle 17 --rate 5M --all", NAMELESS),
    ("throttle cgroup:/app --rate 5M --no-children", INSIDE),
    ("drop cgroup:/app --no-children", INSIDE),
    ("drop container:app --no-children", INSIDE),
    (
        "throttle 17 --rate 5M --mechanism io_max --no-children",
        "--no-children and --mechanism io_max: io.max limits a whole cgroup",
    ),
    ("release", "release needs either TARGETs or --all, which takes back everything"),
    ("release 17 --all", "release needs either TARGETs or --all, which takes back everything"),
    # Words.
    (
        "throttle 17 --rate 5M --jsn",
        "'--jsn': no such option (did you mean '--json'?); iotop-ng --help lists them",
    ),
    ("throtle 17", "'throtle': no such command (did you mean 'throttle'?)"),
    ("policies 17", "Got unexpected extra argument (17)"),
    ("undo --all", f"'--all': {UNKNOWN}"),
    ("-b throttle 17 --rate 5M", "--batch cannot stand before throttle"),
]


@pytest.mark.parametrize(("arguments", "expected"), BAD, ids=[line for line, _ in BAD])
def test_a_bad_line_is_one_sentence_and_exit_code_2(
    run: Run, arguments: str, expected: str
) -> None:
    code, out, err = run(*arguments.split(" "))

    assert (code, out) == (2, "")
    assert err.startswith(f"iotop-ng: {expected}")
    assert err.count("\n") == 1


WORDS = st.text(max_size=12) | st.sampled_from(
    ["17", "5M", "20%", "0", "10m", "comm:dd", "cgroup:/a", "--rate", "--for", "--all", "--json",
     "--no-children", "--dry-run", "--pass", "--budget", "--path", "--errno", "ENOSPC", "hold"]
)  # fmt: skip


@given(st.sampled_from(["throttle", "drop", "release", "undo", "policies"]), st.lists(WORDS))
def test_any_line_ends_with_one_sentence(command: str, words: list[str]) -> None:
    """Of somebody who is not root: what is right is refused for that."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk, "Desk", lambda: Desk(is_root=False))
        patch.setattr(main, "complain", said.append)
        patch.setenv("IOTOP_NG_DEBUG", "1")
        code = main.run([command, *words])

    assert code in {0, 2, 3}
    assert len(said) == (code != 0)
    assert code != 3 or "needs root" in said[0]


def test_hostile_words_are_told_cleaned(run: Run) -> None:
    for option in ("--rate", "--for", "--mechanism"):
        line = {"--rate": "5M", "--for": "1m", option: "\x1b]0;pwned\x07\u202e\n" + "x" * 5000}
        words = [word for pair in line.items() for word in pair]
        code, out, err = run("throttle", "17", *words)

        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert err.removesuffix("\n").isprintable()
        assert len(err) < 300


def test_rules_with_mistakes_are_told_all_at_once_with_their_lines(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        '[[rule]]\nname = "a"\nwrites_ovr = "5M"\nto = "20ms"\n\n'
        '[[guard]]\nname = "a"\nkeep_fsync_p99 = "5M"\n'
    )

    code, out, err = run("guard", str(path))

    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert all(line.startswith(f"iotop-ng: {path}") for line in lines)
    assert any(
        f"{path}:3: unknown key 'writes_ovr' (did you mean 'writes_over'?)" in x for x in lines
    )
    assert any(f"{path}:4: to:" in x for x in lines)
    assert any(f"{path}:8: keep_fsync_p99:" in x for x in lines)
    assert any("another rule or guard is called 'a' too" in x for x in lines)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("guard /nonexistent/rules.toml", "/nonexistent/rules.toml: cannot be read: No such file"),
        ("guard {rules} --duration 0s", "--duration: time '0s': expected such as 90s, 10m or 1h"),
        (
            "guard {rules} --enforce --dry-run",
            "--enforce and --dry-run contradict each other",
        ),
    ],
)
def test_a_bad_guard_is_refused(run: Run, tmp_path: Path, arguments: str, expected: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\nname = "a"\nwrites_over = "50M"\nto = "5M"\n')

    code, out, err = run(*arguments.format(rules=path).split())

    assert (code, out) == (2, "")
    assert err.startswith(f"iotop-ng: {expected}")
    assert err.count("\n") == 1
