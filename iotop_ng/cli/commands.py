"""The subcommands as click sees them: their arguments, options and help."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from iotop_ng.cli.demo_commands import demo

Jobs = Mapping[str, Callable[..., int]]
"""What does each command, by its name; called with the values that its parameters name."""

_CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    # Only iotop's own options can be shortened.
    "token_normalize_func": str,
}

_TARGETS = """\b
TARGET is one of
  PID           a process
  cgroup:PATH   a cgroup with everything in it, such as cgroup:/system.slice/app.service
  comm:NAME     the process of this name; with --all every process of this name
  container:NAME
                the container of this name or id (12 digits or more), of docker, podman,
                containerd, CRI-O, LXC or systemd; pod/NAME where it is in a pod"""

_STAYS = """\b
It stays in the foreground and prints a line a second until the lease or the target ends, or
until Ctrl-C; then everything is as it was before, as it is when iotop-ng is killed. It works
while the screen is open, and needs root. What may never be touched (PID 1, kernel threads, your
own shell, sshd, the journal, container runtimes) is refused."""

_CODES = """\b
Exit codes: 0 done, 1 could not do it, 2 wrong usage, 3 not permitted, 4 the target is gone or
protected, 130 interrupted (and undone)."""

_THROTTLE = f"""Slow TARGETs down: what they write stays within a rate, and nothing is lost.

{_TARGETS}

{_STAYS}

\b
Mechanisms, best first; without --mechanism the first that works here is taken:
  hold     the kernel counts, and the thread that overdraws waits after its write; exact at once
  io_max   cgroup v2 limits the target's own cgroup; buffered writers escape it for some seconds
  pause    the whole process is stopped and continued
--dry-run says which of them work on this target, what each does, and who else is hit.

\b
  iotop-ng throttle 4242 --rate 5M
  iotop-ng throttle comm:dd --all --rate 20% --for 1h
  iotop-ng throttle cgroup:/system.slice/app.service --rate 50M --json"""

_DROP = f"""Refuse TARGETs' writes to regular files: they fail with an error. DATA IS LOST.

Most programs end or give up the file when a write fails: this does not pause them. Sockets, pipes,
terminals, /proc, tmpfs, and what other processes write are never touched. It needs a kernel with
BPF LSM; `iotop-ng doctor` says whether this one has it.

{_TARGETS}

{_STAYS}

\b
  iotop-ng drop 4242 --pass 1M --path '*.log'
  iotop-ng drop comm:log-flood --budget 1G --for 5m"""

_RELEASE = """Take back what is in force on TARGETs, whoever set it: the screen, a command, a rule.

\b
TARGET is a PID, cgroup:PATH, comm:NAME or container:NAME. --all takes back
everything at once, and what a dead instance may have left behind."""

_POLICIES = """List what is in force on this machine, of the screen, of commands and of rules.

It looks twice within a second, as rates are made of totals. The exit code is 0 also when nothing is
in force."""

_UNDO = """Put back what a dead instance of iotop-ng left behind, and say what it was.

Most of what iotop-ng does ends with it, in the kernel. What does not (io.max of a cgroup, an I/O
priority) is in a journal before it is done. Each start of iotop-ng undoes what is there; this does
it without starting anything. A value that somebody else has changed since is left alone."""

_GUARD = """Watch, and throttle by rules, unattended. Without --enforce only say what would be done.

\b
Without RULES those are used that come with iotop-ng (--print-default prints them): somebody's
fsync is slow, the disk's queue says so too, and somebody else writes a lot.
RULES is a TOML file, such as
  [[rule]]
  name = "runaway log"
  match = { comm = "log-*" }
  writes_over = "50M/s"
  for = "3s"
  while_fsync_p99_over = "100ms"
  to = "5M/s"

\b
  [[guard]]
  name = "commits"
  victim = { comm = "postgres" }
  keep_fsync_p99 = "20ms"

Mistakes are told all at once, with their lines, before anything is touched. One line is printed per
event. When it ends, however it ends, everything is released."""


def commands(jobs: Jobs) -> list[click.Command]:
    """Return every command."""
    return [
        _command(jobs, "doctor", "what this host allows, what is missing, and what mends it",
                 "Print what this host allows: each fact, what is lost, the command that mends it.",
                 [_json()]),
        _command(jobs, "throttle", "slow a process or cgroup down", _THROTTLE,
                 [_targets(), _rate(), _lease(), _mechanism(), *_shared()]),
        _command(jobs, "drop", "refuse the writes of a process or cgroup: data is lost", _DROP,
                 [_targets(), *_of_drop(), _lease(), *_shared()]),
        _command(jobs, "release", "take back what is in force", _RELEASE,
                 [_targets(required=False), _every("take back everything"),
                  _dry_run("only say what would be taken back"), _json()]),
        _command(jobs, "policies", "what is in force, and for how long", _POLICIES,
                 [_dry_run("changes nothing, as listing never does"), _json()]),
        _command(jobs, "guard", "throttle by rules, unattended", _GUARD, _of_guard()),
        _command(jobs, "undo", "put back what a dead instance left behind", _UNDO,
                 [_dry_run("only say what would be put back"), _json()]),
        _command(jobs, "simulate", "policies on a simulated machine, with scores and plots",
                 "Try policies on a simulated machine: steady (the default), slowdown, bursty,"
                 " sparse, many, container, noisy, or a file (.toml). Nothing real is touched.",
                 _of_simulate()),
        demo(jobs),
    ]  # fmt: skip


def _command(
    jobs: Jobs, name: str, short: str, text: str, params: list[click.Parameter]
) -> click.Command:
    acts = {"throttle", "drop", "release", "guard"}
    return click.Command(
        name,
        callback=jobs.get(name),
        params=params,
        short_help=short,
        help=text,
        epilog=_CODES if name in acts else None,
        context_settings=_CONTEXT,
    )


def _targets(*, required: bool = True) -> click.Parameter:
    return click.Argument(["targets"], nargs=-1, required=required, metavar="TARGET...")


def _rate() -> click.Parameter:
    return click.Option(
        ["rate", "--rate"], required=True, metavar="RATE",
        help="written bytes that may pass per second: 5M, 500K, 5MB, or 20% of the present rate",
    )  # fmt: skip


def _lease() -> click.Parameter:
    return click.Option(
        ["lease", "--for"], default="10m", metavar="TIME", show_default=True,
        help="end after this time: 90s, 10m, 2h",
    )  # fmt: skip


def _mechanism() -> click.Parameter:
    return click.Option(["mechanism", "--mechanism"], metavar="NAME", help="hold, io_max or pause")


def _shared() -> list[click.Parameter]:
    return [
        click.Option(
            ["children", "--children/--no-children"], default=True,
            help="with or without what the target has forked (hold, drop) and forks later [with]",
        ),
        _every("take every process of a name, not only a single one"),
        _dry_run("only say what would be done, and by which mechanism"),
        _json("one object a second"),
    ]  # fmt: skip


def _of_drop() -> list[click.Parameter]:
    return [
        click.Option(
            ["passing", "--pass"], metavar="RATE",
            help="let this much pass per second and refuse the rest; without: refuse all",
        ),
        click.Option(
            ["errno_name", "--errno"], default="ENOSPC", metavar="NAME", show_default=True,
            help="the error that the program gets: ENOSPC, EDQUOT, EIO, EPERM or EAGAIN",
        ),
        click.Option(
            ["budget", "--budget"], metavar="SIZE",
            help="refuse at most this much within an hour, then throttle to --pass or release",
        ),
        click.Option(
            ["paths", "--path"], multiple=True, metavar="PATTERN",
            help="only files that match, such as '*.log'; may be repeated",
        ),
    ]  # fmt: skip


def _of_guard() -> list[click.Parameter]:
    return [
        click.Argument(["rules"], required=False, metavar="[RULES.toml]"),
        click.Option(["enforce", "--enforce"], is_flag=True, help="do it, not only say it"),
        _dry_run("only say it: what it does without --enforce"),
        click.Option(
            ["duration", "--duration"], metavar="TIME", help="end after this time: 90s, 10m, 2h"
        ),
        _json("one object per event"),
        click.Option(
            ["print_default", "--print-default"], is_flag=True,
            help="print the rules that are used without RULES, to be copied and changed",
        ),
    ]  # fmt: skip


def _of_simulate() -> list[click.Parameter]:
    return [
        click.Argument(["scenario"], required=False, default=""),
        click.Option(
            ["policies", "--policy"], multiple=True, metavar="NAME",
            help="none, fixed-50, fixed-75, latency_target, rules, drop, or a file of rules"
            " (.toml); may be repeated; without: all but drop",
        ),
        click.Option(
            ["seed", "--seed"], type=click.IntRange(0, (1 << 64) - 1), default=1,
            metavar="N", show_default=True, help="for all that is left to chance",
        ),
        _json(),
    ]  # fmt: skip


def _every(text: str) -> click.Parameter:
    return click.Option(["every", "--all"], is_flag=True, help=text)


def _dry_run(text: str) -> click.Parameter:
    return click.Option(["dry_run", "--dry-run"], is_flag=True, help=text)


def _json(text: str = "one JSON object") -> click.Parameter:
    return click.Option(["json", "--json"], is_flag=True, help=text)
