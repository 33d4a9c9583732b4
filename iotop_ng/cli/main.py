"""The entry point: read the command line, start one job, turn every ending into an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from iotop_ng.cli import screen
from iotop_ng.cli.jobs import JOBS
from iotop_ng.cli.line import Line, group, one_line
from iotop_ng.cli.talk import PROGRAM, complain
from iotop_ng.config.layers import NO_TERMINAL, load
from iotop_ng.config.settings import Settings
from iotop_ng.errors import IotopError, SourceError, UsageError

INTERRUPTED = 130
_STDOUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EBADF, errno.EIO}
_COMPLETION = "_IOTOP_NG_COMPLETE"


def main() -> None:
    """Run the program and exit."""
    _open_missing_descriptors()
    if _COMPLETION in os.environ:
        group(start, JOBS).main(prog_name=PROGRAM)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run with these arguments and return the exit code. Nothing is raised, ever.

    Only with IOTOP_NG_DEBUG=1 an error in the program itself leaves as it is.
    """
    cli = group(start, JOBS)
    try:
        with cli.make_context(PROGRAM, list(arguments)) as context:
            return int(cli.invoke(context) or 0)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except BrokenPipeError:
        _abandon_stdout()
        return 1
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        code, message = _explained(error, cli)
        if code is None and os.environ.get("IOTOP_NG_DEBUG"):
            raise
        complain(message)
        return code or 1


def start(line: Line) -> int:
    """Open the screen or print batch output, as the settings say."""
    euid = os.geteuid()
    flags = line.flags()
    obstacle = _screen_obstacle()
    settings = load(flags, os.environ, euid=euid, has_terminal=not obstacle)
    if settings.theme:
        check_theme(settings)
    if line.is_save:
        from iotop_ng.cli import save  # noqa: PLC0415 - tempfile costs 20 ms

        complain(save.run(flags, os.environ, euid))
        return 0
    if not settings.batch:
        return screen.run(settings)
    if settings.origins["batch"] == NO_TERMINAL:
        complain(f"{obstacle}, so this is batch output (-b)")
    # The sources and the model take 30 ms to import: a wrong option is told before that.
    from iotop_ng.cli import batch  # noqa: PLC0415

    return batch.run(settings)


def _screen_obstacle() -> str:
    """Say why stdout can show no screen, "" when it can."""
    if not os.isatty(1):
        return NO_TERMINAL
    kind = os.environ.get("TERM", "")
    # An Emacs shell, a CI log: nothing there understands a cursor that moves.
    return f"TERM={kind} cannot show a screen" if kind in {"dumb", "unknown"} else ""


def check_theme(settings: Settings) -> None:
    """Raise UsageError unless the chosen theme exists and can be read."""
    from iotop_ng.view.themes import load_themes  # noqa: PLC0415 - only for who names a theme

    load_themes(settings.themes_dir)[settings.theme]


def _explained(error: Exception, cli: click.Group) -> tuple[int | None, str]:
    """Return the exit code and the line for an error; no code for one of the program itself."""
    if isinstance(error, click.ClickException):
        return UsageError.exit_code, one_line(error, cli)
    if isinstance(error, IotopError):
        remedy = error.remedy if isinstance(error, SourceError) else ""
        return error.exit_code, f"{error}; {remedy}" if remedy else str(error)
    if isinstance(error, OSError) and error.errno in _STDOUT_ERRORS:
        _abandon_stdout()
        return 1, f"stdout cannot be written: {error.strerror}"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return None, (
        f"an error in the program: {what}; please report it with the output of"
        f" `{PROGRAM} doctor` (IOTOP_NG_DEBUG=1 shows where it was)"
    )


def _open_missing_descriptors() -> None:
    """Fill closed standard descriptors, or the first file we open would be taken for stdout.

    They are opened for reading only: writing to a closed stdout stays an error.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) < 3:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is None:  # the interpreter found it closed
        sys.stdout = os.fdopen(1, "w", closefd=False)


def _abandon_stdout() -> None:
    """Let the interpreter's last flush of stdout go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
