"""Record the scripted demo with asciinema: `make cast ARGS='--size 120x36 --directory /srv'`.

Natively it floods the disk of --directory for a minute. With --guest it is recorded in a virtual
machine whose disk takes 40 MB/s and whose kernel has BPF LSM, so that drop works: that is how the
recording in docs/ was made.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from iotop_ng.demo.modes import DEMO_MODE
from tests.cast.cast import Cast, load, neutral, text_of
from tests.cast.picture import Cells, cells, picture
from tests.guest.kernels import WITH_HEADERS, fetch
from tests.guest.machine import boot

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("opt", "srv", "media", "mnt")
"""Where the checkout may seem to be: a recording does not say where it is."""
DOCS = ROOT / "docs"
GUEST_S = 900
"""Most of it is patience: on a busy machine an emulated one takes its time."""
SHOWN = ("guide 2/", "guide 3/", "guide 4/", "guide 5/", "guide 6/")
"""The picture shows the last screen of each of these chapters."""


def main() -> int:
    """Record, make the picture, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make cast")
    parser.add_argument("--size", default="80x24", metavar="COLUMNSxLINES")
    parser.add_argument("--directory", default=".", help="on the disk that is flooded")
    parser.add_argument("--mode", default=DEMO_MODE, help="of the hog")
    parser.add_argument("--rate", default="max", help="of the hog")
    parser.add_argument("--out", type=Path, default=DOCS / "demo.cast")
    parser.add_argument("--guest", action="store_true", help="in a virtual machine")
    asked = parser.parse_args()
    columns, lines = map(int, asked.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="iotop-ng-cast-") as name:
        raw = Path(name) / "raw.cast"
        command = recording(raw, columns, lines, asked)
        if asked.guest:
            status = _in_guest(command, Path(name))
        else:
            words = ("unshare", "--mount", "sh", "-c", elsewhere(shlex.join(command)))
            status = subprocess.run(words, env=environment(), check=False).returncode
        if status or not raw.exists():
            sys.stderr.write(f"make cast: the recorder ended with {status}\n")
            return 1
        asked.out.parent.mkdir(exist_ok=True)
        asked.out.write_text(neutral(raw.read_text("utf-8")), "utf-8")
    _, cast = load(asked.out)
    asked.out.with_suffix(".svg").write_text(picture(chapters(cast)), "utf-8")
    size = asked.out.stat().st_size
    sys.stdout.write(
        f"{asked.out}: {cast.width}x{cast.height}, {cast.seconds:.0f} s, {size / 1024:.0f} KiB\n"
    )
    return 0


def recording(raw: Path, columns: int, lines: int, asked: argparse.Namespace) -> tuple[str, ...]:
    """Return the recorder's command."""
    where = "/data" if asked.guest else asked.directory
    demo = (
        *(".venv/bin/python", "-m", "iotop_ng", "demo", "--script"),
        *("--dir", where, "--mode", asked.mode, "--rate", asked.rate),
    )
    size = ("--cols", str(columns), "--rows", str(lines))
    target = f"/out/{raw.name}" if asked.guest else str(raw)
    recorder = (".venv/bin/python", "-m", "asciinema", "rec")
    return (*recorder, "-q", "--overwrite", *size, "-c", shlex.join(demo), target)


def elsewhere(command: str) -> str:
    """Return a shell script that runs a command in a checkout that seems to be elsewhere."""
    found = (Path("/", name) for name in PLACES)
    place = next((one for one in found if one.is_dir() and not any(one.iterdir())), Path("/mnt"))
    here = place / "iotop-ng"
    return (
        f"set -e; mount -t tmpfs none {place}; mkdir {here}\n"
        f"mount --bind {shlex.quote(str(ROOT))} {here}; cd {here}\n"
        f"{command} </dev/null\n"
    )


def environment() -> dict[str, str]:
    """Return what recorder and demo see: the same everywhere."""
    given = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return {**given, **_TERMINAL}


_TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
_WARM = """
sleep 1000 & pid=$!
.venv/bin/python -m iotop_ng throttle $pid --rate 5M --for 5s >/dev/null
.venv/bin/python -m iotop_ng drop $pid --for 5s >/dev/null
.venv/bin/python -m iotop_ng -b -n 2 --format csv --columns pid,fsync_p99_us >/dev/null
kill $pid
"""
"""Compiles what the demo uses: an emulated machine takes a minute for that, once."""


def _in_guest(command: tuple[str, ...], out: Path) -> int | None:
    settings = " ".join(f"{key}={value}" for key, value in _TERMINAL.items())
    script = elsewhere(f"{_WARM}\nenv {settings} {shlex.join(command)}")
    ended = boot(
        fetch(WITH_HEADERS), script, out, sys.stdout.buffer, timeout_s=GUEST_S, is_parallel=True
    )
    return ended.status


def chapters(cast: Cast) -> list[Cells]:
    """Return the last screen of each chapter that is shown, without a dialog over it."""
    found: dict[str, Cells] = {}
    for _, screen in cast.screens():
        text = text_of(screen)
        name = next((name for name in SHOWN if name in text), None)
        if name is not None and "╭" not in text:
            found[name] = cells(screen)
    return list(found.values())


if __name__ == "__main__":
    sys.exit(main())
