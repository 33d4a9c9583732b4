"""The command line: what is understood, and how a mistake is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iotop_ng import __version__
from iotop_ng.cli import main
from iotop_ng.cli.line import Line, group
from iotop_ng.cli.options import SECTIONS, Kind, spellings, whole_name
from iotop_ng.config.items import ITEMS
from iotop_ng.config.layers import Flags, load
from iotop_ng.config.settings import Settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user without a configuration."""
    for name in [name for name in os.environ if name.startswith(("IOTOP_NG_", "SUDO_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process; return exit code, stdout and stderr."""

    def running(*arguments: str) -> tuple[int, str, str]:
        code = main.run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return running


def parsed(*arguments: str) -> Flags:
    """Return what the command line takes down."""
    lines: list[Line] = []

    def start(line: Line) -> int:
        lines.append(line)
        return 0

    cli = group(start, {})
    with cli.make_context("iotop-ng", list(arguments)) as context:
        cli.invoke(context)
    return lines[0].flags()


def settings(*arguments: str) -> Settings:
    """Return the settings that arguments lead to, on a terminal."""
    return load(parsed(*arguments), {"HOME": "/nonexistent"}, euid=4242)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-bot", {"batch": True, "only_active": True, "timestamps": True}),
        ("-aktbo", {"mode": "accumulated", "kilobytes": True, "timestamps": True}),
        ("-qqq", {"batch": True, "quiet": 3}),
        ("-q -q", {"quiet": 2}),
        ("-oPa", {"only_active": True, "threads": False, "mode": "accumulated"}),
        ("-bn5", {"iterations": 5}),
        ("-n5 -d0.5", {"iterations": 5, "interval_s": 0.5}),
        ("-d 2", {"interval_s": 2.0}),
        ("--delay=1.5", {"interval_s": 1.5}),
        ("--interval 0.25", {"interval_s": 0.25}),
        ("-d 1 -d 3", {"interval_s": 3.0}),
        ("-p 1 -p 2,3", {"pids": frozenset({1, 2, 3})}),
        ("-u root -u +0", {"users": frozenset({"root"})}),
        ("-A", {"mode": "average"}),
        ("-a -A", {"mode": "average"}),
        ("-a --no-accumulated", {"mode": "rate"}),
        ("-b", {"threads": True, "full_command": None}),
        ("-bP", {"threads": False}),
        ("-b --processes", {"threads": False}),
        ("--threads", {"threads": True, "batch": False}),
        ("-bc", {"full_command": True}),
        ("-c --no-fullcmdline", {"full_command": False}),
        ("-o --no-only", {"only_active": False}),
        ("-l", {"color": False}),
        ("-l --color", {"color": True}),
        ("-T", {"clock": False}),
        ("-RxeN", {"reverse_graph": True, "dead_x": True, "hide_exited": True, "inverse": True}),
        ("--unicode", {"ascii": False}),
        ("--si --threshold 10", {"si": True, "threshold": 10}),
        ("-g r", {"sort": "read_bytes_per_s"}),
        ("-H none", {"help_type": "none"}),
        ("--no-help --profile", {"batch": False}),
        ("--compat=py0.6 --strict-compat", {"compat": "py0.6", "strict_compat": True}),
        ("--format json", {"format": "json", "batch": True}),
        ("--source procfs", {"source": "procfs"}),
        ("--source auto", {"source": None}),
        ("--view devices", {"view": 3}),
        ("--view 8", {"view": 8}),
        ("--duration 2m", {"duration_s": 120.0}),
        ("--low-bandwidth --no-mouse --read-only", {"low_bandwidth": True, "mouse": False}),
        ("--time", {"timestamps": True}),
        ("--timest", {"timestamps": True}),
        ("--ti", {"timestamps": True}),
        ("--accumul", {"mode": "accumulated"}),
        ("--proc", {"threads": False}),
        ("--bat --it 3", {"batch": True, "iterations": 3}),
        ("--del=2", {"interval_s": 2.0}),
        ("--kilo", {"kilobytes": True}),
        ("--filter --time", {"filter": "--time", "timestamps": False}),
    ],
)
def test_options_of_both_iotops_are_understood(arguments: str, expected: dict[str, Any]) -> None:
    actual = settings(*arguments.split())

    assert {name: getattr(actual, name) for name in expected} == expected


def test_numbered_options_hide_columns() -> None:
    assert parsed("-1", "-48", "--hide-io").shown == {
        "pid": False,
        "read": False,
        "graph": False,
        "io": False,
    }
    assert parsed("-3", "--show-user").shown == {"user": True}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("timestamp", "timestamp"),
        ("acc", "accumulated"),
        ("accum", "accumulated"),
        ("accum-", "accum-bw"),
        ("no-accum-b", "no-accum-bw"),
        ("full", "fullcmdline"),
        ("gr", "grtype"),
        ("no-a", "no-a"),
        ("hide-p", "hide-p"),
        ("t", "t"),
        ("theme", "theme"),
        ("them", "them"),
        ("strict", "strict"),
        ("format", "format"),
    ],
)
def test_only_iotops_own_options_are_abbreviated(name: str, expected: str) -> None:
    assert whole_name(name) == expected


BAD = [
    ("--nope", "'--nope': no such option"),
    ("--colour", "did you mean '--color'?"),
    ("-Z", "'-Z': no such option"),
    ("-bZ", "'-Z': no such option"),
    ("--no-accum=3", ""),
    ("extra", "'extra': no such command; there is demo, doctor"),
    ("doctr", "did you mean 'doctor'?"),
    ("-b extra", "'extra': no such command"),
    ("-b doctor", "--batch cannot stand before doctor"),
    ("doctor extra", "unexpected extra argument"),
    ("doctor --jsn", "did you mean '--json'?"),
    ("demo hgo", "'hgo': no such command (did you mean 'hog'?); there is hog, victim"),
    ("demo --jsno", "'--jsno': no such option"),
    ("demo hog --mod big", "'--mod': no such option (did you mean '--mode'?)"),
    ("demo hog . more", "unexpected extra argument"),
    (
        "demo hog --mode lins",
        "--mode 'lins': no such mode (did you mean 'lines'?); there are lines",
    ),
    ("demo hog --rate 5", "--rate: rate '5': expected 1K or more per second"),
    ("demo hog --rate 5%", "--rate: rate '5%': it writes nothing now"),
    ("demo hog --rate much", "--rate: rate 'much': expected"),
    ("demo hog --span 100K", "--span: mode lines with 1 writing at once needs 1M or more"),
    ("demo hog --mode big --span 31M", "--span: mode big with 1 writing at once needs 32M"),
    ("demo hog --mode threads --writers 64 --span 15M", "with 64 writing at once needs 16M"),
    ("demo hog --span 0", "--span: size '0': expected more than 0"),
    ("demo hog --writers 0", "0 is not in the range 1<=x<=256"),
    ("demo hog --calls 0", "0 is not in the range"),
    ("demo hog --seed -1", "-1 is not in the range"),
    ("demo hog --for 0s", "--for: time '0s': expected"),
    ("demo hog --queue x", "--queue: size 'x': expected"),
    ("demo hog --on-error ignore", "'ignore' is not one of 'go-on', 'stop'"),
    ("demo hog --engine dd", "'dd' is not one of 'own', 'fio'"),
    ("-n", "requires an argument"),
    ("-b --delay", "requires an argument"),
    ("--batch=1", "does not take a value"),
    ("-n 0", "--iter '0': expected a whole number, at least 1"),
    ("-n -1", "--iter '-1': expected a whole number"),
    ("-n x", "--iter 'x': expected a whole number"),
    ("-n 1.5", "--iter '1.5'"),
    ("-n 99999999999999999999999", "--iter"),
    ("-d 0", "--delay '0': expected seconds, 0.01 to 86400, such as 0.5"),
    ("-d -1", "--delay '-1': expected seconds"),
    ("-d nan", "--delay 'nan'"),
    ("-d inf", "--delay 'inf'"),
    ("-d 1e3", "--delay '1e3'"),
    ("-d abc", "--delay 'abc'"),
    ("-d 99999", "--delay '99999'"),
    ("--interval 0", "--delay '0'"),
    ("--duration 0", "--duration '0': expected a time more than 0"),
    ("--duration 5x", "--duration '5x'"),
    ("-p 0", "'0' is no process id: expected 1 to 4194304"),
    ("-p abc", "'abc' is no process id"),
    ("-p 1,,x", "'x' is no process id"),
    ("-p ,", "expected a process id"),
    ("-p 99999999", "'99999999' is no process id"),
    ("-u no-such-user-here", "there is no user 'no-such-user-here' here"),
    ("-u roott", "there is no user 'roott' here (did you mean 'root'?)"),
    ("-u +x", "'+x' is no user number"),
    ("-u +99999999999", "is no user number"),
    ("-g x", "--grtype 'x': expected io, r, w, rw or sw"),
    ("-H x", "--help-type 'x': expected none, win or inline"),
    ("--threshold 0", "--threshold '0': expected a whole number, 1 to 10"),
    ("--threshold 11", "--threshold '11'"),
    ("--history 1", "--history '1': expected a whole number, 2 to 3600"),
    ("--source ebpf", "--source 'ebpf': expected auto, bcc or procfs"),
    ("--format jsno", "--format 'jsno': expected text, json or csv (did you mean 'json'?)"),
    ("--format xml", "--format 'xml': expected text, json or csv"),
    ("--compat d", "--compat 'd': expected c, py or py0.6"),
    ("--view 2", "--view '2': expected processes, devices, policies, probes, 1, 3, 7 or 8"),
    ("--sort writes", "--sort 'writes': no column 'writes' (did you mean 'write'?); there are pid"),
    ("--columns pid,comand", "no column 'comand' (did you mean 'command'?)"),
    ("--columns ,", "expected names of columns"),
    ("--theme drak", "theme 'drak' does not exist (did you mean 'dark'?)"),
    ("--filter (", "--filter '('"),
    ("--config /nonexistent/x.toml", "/nonexistent/x.toml: cannot be read: No such file"),
    ("-1 -2 -3 -4 -5 -7 -8 -9 --columns pid", "every column is hidden"),
    ("-W", "-W: no option to save was given"),
]


@pytest.mark.parametrize(("arguments", "expected"), BAD)
def test_a_mistake_is_one_line_and_exit_code_2(run: Run, arguments: str, expected: str) -> None:
    code, out, err = run(*arguments.split())

    assert (code, out) == (2, "")
    assert err.startswith("iotop-ng: ")
    assert err.count("\n") == 1
    assert expected in err


def test_hostile_arguments_are_told_cleaned(run: Run) -> None:
    code, _, err = run("--theme", "\x1b]0;pwned\x07\u202e\n" + "x" * 10_000)

    assert code == 2
    assert err.count("\n") == 1
    assert err.removesuffix("\n").isprintable()
    assert len(err) < 500


def test_a_wrong_file_starts_nothing(run: Run, home: Path) -> None:
    path = home / ".config" / "iotop-ng" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("\ntheem = 'dark'\n")

    code, out, err = run("-b", "-n", "1")

    assert (code, out) == (2, "")
    assert err == f"iotop-ng: {path}:2: unknown key 'theem' (did you mean 'theme'?)\n"


def test_version_and_help_end_well(run: Run) -> None:
    assert run("--version") == (0, f"iotop-ng {__version__}\n", "")
    assert run("-v") == (0, f"iotop-ng {__version__}\n", "")
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for options in SECTIONS.values():
        for option in options:
            for spelling in spellings(option) if option.item else ():
                assert spelling in out
    assert "doctor" in out


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("throttle", "TARGET --rate --for --mechanism --no-children --all --dry-run --json hold"),
        ("drop", "TARGET --pass --errno --budget --path --for DATA 130"),
        ("release", "TARGET --all --dry-run --json comm:NAME"),
        ("policies", "--dry-run --json"),
        ("guard", "RULES.toml --enforce --dry-run --duration --json [[rule]] keep_fsync_p99"),
        ("undo", "--dry-run --json journal"),
        ("doctor", "--json"),
        ("simulate", "--policy --seed --json"),
        ("demo", "hog victim"),
        ("demo hog", "DIR --mode --rate --span --for --writers --queue --calls --seed --on-error"),
        ("demo hog", "--engine --until-stdin-ends --json lines big bytes fsync burst log-flood"),
    ],
)
def test_every_command_has_its_page(run: Run, command: str, words: str) -> None:
    *above, name = command.split()
    code, out, err = run(*above, name, "--help")

    assert (code, err) == (0, "")
    assert all(word in out for word in words.split())
    assert all(len(line) <= 100 for line in out.splitlines())
    assert name in run(*above, "--help")[1]


def test_every_option_sets_something_that_exists_once() -> None:
    own = {"batch", "graph", "config", "save", "", "shown"}
    seen: list[str] = []
    for options in SECTIONS.values():
        for option in options:
            assert option.item in ITEMS or option.item.partition(".")[0] in own
            assert bool(option.stands_for) is (option.kind is Kind.SET)
            seen += spellings(option)

    assert sorted(seen) == sorted(set(seen))
    # All settings but the table of keys have an option.
    items = {option.item for options in SECTIONS.values() for option in options}
    assert set(ITEMS) - items == {"keys"}


def test_an_error_in_the_program_is_one_line_that_asks_for_a_report(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Settings:
        raise ValueError("first line\nsecond line")

    monkeypatch.setattr(main, "load", broken)

    code, out, err = run("-b")

    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "ValueError: first line second line" in err
    assert "iotop-ng doctor" in err

    monkeypatch.setenv("IOTOP_NG_DEBUG", "1")
    with pytest.raises(ValueError, match="first line"):
        main.run(["-b"])


def test_an_interrupt_is_130_without_a_word(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Settings:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "load", interrupted)

    assert run("-b") == (130, "", "")


def test_saved_options_are_those_of_the_next_start(run: Run, home: Path) -> None:
    path = home / ".config" / "iotop-ng" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('# mine\ntheme = "light"\n\n[keys]\nquit = "x"\n')

    code, out, err = run("-o", "-d", "2", "--columns", "pid,command", "-n", "3", "-W")

    assert (code, out) == (0, "")
    assert err == (f"iotop-ng: saved only, interval, columns in {path}; not saved: --iter\n")
    assert path.read_text() == (
        'columns = ["pid", "command"]\ninterval = 2.0\nonly = true\n'
        '# mine\ntheme = "light"\n\n[keys]\nquit = "x"\n'
    )
    saved = load(Flags(), os.environ, euid=os.geteuid())
    assert (saved.only_active, saved.interval_s, saved.theme) == (True, 2.0, "light")


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    script = (
        "import sys, iotop_ng.cli.main as m; m.run(['--version']); m.run(['-n', '0']);"
        "print(sorted({n.partition('.')[0] for n in sys.modules}"
        " & {'textual','rich','plotext','bcc','psutil','msgspec','asyncio','tomllib'}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1] == "[]", done.stderr
