"""`iotop-ng demo` and what is below it, as click sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

Jobs = Mapping[str, Callable[..., int]]
"""As in `commands`; a command below `demo` is called by both words: "demo hog"."""

_DEMO = """Show the problem and what helps, on this machine: a log generator, a victim, the screen.

A guide on the screen says what to look at and which key to press: throttle, drop, guard, release.
Both programs write into directories of their own below --dir. When it ends, however it ends, they
are gone with their files, and nothing is in force any more. It needs root.

\b
  iotop-ng demo --headless
                          baseline, flood, throttle, drop, guard: in numbers, and what helped
  iotop-ng demo hog       writes as runaway logs do
  iotop-ng demo victim    waits for the disk once a period, and says how long
Both are plain programs that are of use alone."""

_HOG = """Write as runaway logs do, into a directory of its own below DIR, and stop by itself.

\b
Modes:
  lines      lines of 512 bytes, one call each, in a tight loop (the default)
  big        8 MiB in one call
  bytes      single bytes, every other one a newline, one call each
  threads    one process of 16 threads, 64 KiB per call
  processes  16 processes, 4 KiB per call
  fsync      4 processes, 4 KiB and an fsync per call
  burst      1 s of writing, twice the rate, and 1 s of silence

It rewrites --span bytes in place, so the disk does not fill, and waits until the disk has a page
before it writes that page again: every byte written reaches the disk, once. In mode bytes a call
is a byte, but the disk is handed pages: 4096 calls are one page, which it writes once (again only
where the kernel flushes a page that is not full yet). In mode fsync the file system's own journal
comes on top.

The writers are processes called log-flood; the process that you start only counts and ends them.
Its files are removed however it ends. It refuses to start where less than 5 % of the file system
(on small ones a tenth, up to 1 GiB) would stay free, and stops when that happens later."""


def demo(jobs: Jobs) -> click.Group:
    """Return the group."""
    return click.Group(
        "demo",
        help=_DEMO,
        short_help="show the problem and what helps: hog and victim",
        callback=click.pass_context(_bare(jobs)),
        params=_of_demo(),
        invoke_without_command=True,
        subcommand_metavar="[COMMAND]",
        commands={"hog": _hog(jobs), "victim": _victim(jobs)},
        context_settings=_context(),
    )


def _bare(jobs: Jobs) -> Callable[..., int]:
    def bare(ctx: click.Context, /, **given: object) -> int:
        """Run the demo itself, unless a command follows."""
        if ctx.invoked_subcommand is not None:
            return 0
        return jobs["demo"](**given)

    return bare


def _of_demo() -> list[click.Parameter]:
    """Return the options of the bare `demo`."""
    return [
        click.Option(
            ["directory", "--directory", "--dir"], default=".", metavar="DIR", show_default=True,
            help="where the two write: on the disk that is to be flooded",
        ),
        click.Option(["script", "--script"], is_flag=True, help="press the keys, and end"),
        click.Option(
            ["mode", "--mode"], metavar="MODE",
            help="how log-flood writes [threads, two of them]",
        ),
        click.Option(
            ["rate", "--rate"], default="max", metavar="RATE", show_default=True,
            help="what log-flood wants to write per second",
        ),
        click.Option(
            ["host", "--host"], metavar="NAME",
            help="what the first line calls this machine [with --script: demo]",
        ),
        _seed("for all that is left to chance"),
        *_of_headless(),
    ]  # fmt: skip


def _of_headless() -> list[click.Parameter]:
    """Return what only `demo --headless` takes; None: not given."""
    return [
        click.Option(
            ["headless", "--headless"], is_flag=True,
            help="no screen: play it all and print a table; exit code 1 when nothing helped",
        ),
        click.Option(["json", "--json"], is_flag=True, help="headless: one JSON object, no table"),
        click.Option(
            ["seconds", "--seconds"], type=click.IntRange(1, 600), metavar="N",
            help="headless: of each phase [10]",
        ),
        click.Option(
            ["cap", "--cap"], metavar="RATE", help="headless: what throttle leaves to the hog [5M]"
        ),
        click.Option(
            ["limit", "--limit"], type=float, metavar="MS",
            help="headless: the victim's p99 that is still well, and that guard keeps"
            " [twice what it is alone]",
        ),
        click.Option(
            ["engine", "--engine"], type=click.Choice(["own", "fio"]),
            help="headless: who is the hog [own]",
        ),
    ]  # fmt: skip


def _hog(jobs: Jobs) -> click.Command:
    return click.Command(
        "hog",
        callback=jobs.get("demo hog"),
        params=_of_hog(),
        short_help="write as runaway logs do",
        help=_HOG,
        context_settings=_context(),
    )


def _of_hog() -> list[click.Parameter]:
    return [
        click.Argument(["directory"], metavar="[DIR]", required=False, default="."),
        click.Option(
            ["mode", "--mode"], default="lines", metavar="MODE", show_default=True,
            help="how it writes, see above",
        ),
        click.Option(
            ["rate", "--rate"], default="max", metavar="RATE", show_default=True,
            help="bytes per second of all writers that it wants: 5M, 500K; max: all it can."
            " What it falls behind by more than a second's worth is counted as lost",
        ),
        click.Option(
            ["span", "--span"], metavar="SIZE",
            help="bytes on the disk, rewritten in place [1G, or a quarter of what is free]",
        ),
        _for("60s"),
        click.Option(
            ["writers", "--writers"], type=click.IntRange(1, 256), metavar="N",
            help="processes, or in mode threads threads, that write at once [the mode's]",
        ),
        click.Option(
            ["queue", "--queue"], metavar="SIZE",
            help="wait for the disk when more than this is under way to it [what it writes in"
            " half a second, 16M or more]",
        ),
        click.Option(
            ["calls", "--calls"], type=click.IntRange(1, 1 << 62), metavar="N",
            help="end after so many write calls",
        ),
        _seed("for what is written"),
        click.Option(
            ["on_error", "--on-error"], type=click.Choice(["go-on", "stop"]), default="go-on",
            show_default=True, help="when a write is refused",
        ),
        click.Option(
            ["engine", "--engine"], type=click.Choice(["own", "fio"]), default="own",
            show_default=True, help="who writes: this program, or fio with its nearest job",
        ),
        _until_stdin_ends(),
        _json(),
    ]  # fmt: skip


def _victim(jobs: Jobs) -> click.Command:
    return click.Command(
        "victim",
        callback=jobs.get("demo victim"),
        params=_of_victim(),
        short_help="wait for the disk once a period, and say how long",
        help=_VICTIM,
        context_settings=_context(),
    )


_VICTIM = """Wait for the disk once a period, as a program that commits does, and say how long.

\b
Modes:
  append   append and fdatasync (the default)
  read     read a block at a random place, past the page cache
  sqlite   commit a row"""


def _of_victim() -> list[click.Parameter]:
    return [
        click.Argument(["directory"], metavar="[DIR]", required=False, default="."),
        click.Option(
            ["mode", "--mode"], default="append", metavar="MODE", show_default=True,
            help="what it does, see above",
        ),
        click.Option(
            ["period", "--period"], default="50ms", metavar="TIME", show_default=True,
            help="from one beginning to the next; 0: at once when the last has ended",
        ),
        click.Option(
            ["size", "--size"], default="4K", metavar="SIZE", show_default=True,
            help="bytes of each operation",
        ),
        click.Option(
            ["span", "--span"], default="64M", metavar="SIZE", show_default=True,
            help="the file grows up to this",
        ),
        click.Option(["duration", "--for"], metavar="TIME", help="end after this time: 90s, 10m"),
        click.Option(
            ["log", "--log"], metavar="FILE",
            help="one line per operation, begun before it; best in memory, such as /dev/shm",
        ),
        _seed("for the places that are read"),
        _until_stdin_ends(),
        _json(),
    ]  # fmt: skip


def _for(default: str) -> click.Parameter:
    return click.Option(
        ["duration", "--for"], default=default, metavar="TIME", show_default=True,
        help="end after this time: 90s, 10m, 2h",
    )  # fmt: skip


def _seed(text: str) -> click.Parameter:
    return click.Option(
        ["seed", "--seed"], type=click.IntRange(0, (1 << 64) - 1), default=1,
        metavar="N", show_default=True, help=text,
    )  # fmt: skip


def _until_stdin_ends() -> click.Parameter:
    return click.Option(
        ["until_stdin_ends", "--until-stdin-ends"], is_flag=True,
        help="end also when the other end of stdin, a pipe, is closed: with who started it",
    )  # fmt: skip


def _json() -> click.Parameter:
    return click.Option(["json", "--json"], is_flag=True, help="one object a second")


def _context() -> dict[str, object]:
    # Only iotop's own options can be shortened.
    return {
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "token_normalize_func": str,
    }
