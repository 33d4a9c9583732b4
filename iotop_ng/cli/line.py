"""The command line as click sees it: built from the table of options, read into flags."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
from click.core import ParameterSource

from iotop_ng import __version__
from iotop_ng.cli.commands import Jobs, commands
from iotop_ng.cli.options import SECTIONS, Kind, Option, spellings, whole_name
from iotop_ng.cli.talk import PROGRAM
from iotop_ng.config.checks import Given, quoted
from iotop_ng.config.layers import Flags
from iotop_ng.errors import UsageError, nearest

ABOUT = """top for I/O: who writes, who suffers, live from the kernel's own counters.

Without -b it opens the screen. Options are iotop's where both have them, with one difference: a
reading is printed when its interval is over, so -n 1 gives one measured interval."""

MORE = """\b
Settings come from config.toml in ~/.config/iotop-ng (under sudo that of the user who called
sudo), then from IOTOP_NG_* variables such as IOTOP_NG_INTERVAL, then from options. Batch output
reads only the [batch] table of the file.

\b
Exit codes: 0 done, 1 could not do it, 2 wrong usage, 3 not permitted, 4 target gone or protected,
130 interrupted."""

_CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": whole_name,
    "max_content_width": 100,
}


class Line:
    """What was written, as it is read."""

    def __init__(self) -> None:
        self.items: dict[str, Given] = {}
        self.shown: dict[str, bool] = {}
        self.first = ""
        """The first option, for messages."""

    def take(self, option: Option, value: object) -> None:
        """Take down one option."""
        where = next(name for name in spellings(option) if name.startswith("--"))
        self.first = self.first or where
        kind, _, word = option.item.partition(".")
        if word:
            # The spelling before the slash hides.
            self.shown[word] = not value
        elif kind:
            self.items[kind] = Given(option.stands_for or value, where)

    @property
    def is_save(self) -> bool:
        """-W was given."""
        return "save" in self.items

    def flags(self) -> Flags:
        """Return what was written so far."""
        own = ("batch", "graph", "config", "save")
        config = self.items.get("config")
        return Flags(
            items={name: given for name, given in self.items.items() if name not in own},
            is_batch="batch" in self.items,
            shown=self.shown,
            graph=self.items.get("graph"),
            config=None if config is None else Path(str(config.value)),
        )


class _Group(click.Group):
    """Shows the options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        by_section = iter(self.get_params(ctx))
        for section, options in SECTIONS.items():
            records = [next(by_section).get_help_record(ctx) for _ in options]
            with formatter.section(section):
                formatter.write_dl([record for record in records if record is not None])
        rest = [record for one in by_section if (record := one.get_help_record(ctx)) is not None]
        with formatter.section("Help"):
            formatter.write_dl(rest)
        self.format_commands(ctx, formatter)


def group(start: Callable[[Line], int], jobs: Jobs) -> click.Group:
    """Return the command line; `start` is called for the screen and batch output."""

    def bare(ctx: click.Context) -> int | None:
        line = ctx.ensure_object(Line)
        if ctx.invoked_subcommand is None:
            return start(line)
        if line.first:
            raise UsageError(f"{line.first} cannot stand before {ctx.invoked_subcommand}")
        return None

    return _Group(
        PROGRAM,
        help=ABOUT,
        epilog=MORE,
        callback=click.pass_context(bare),
        invoke_without_command=True,
        params=list(_params()),
        commands={str(command.name): command for command in commands(jobs)},
        context_settings=_CONTEXT,
        subcommand_metavar="[COMMAND]",
    )


def _params() -> Iterator[click.Parameter]:
    for options in SECTIONS.values():
        yield from (_param(option, i) for i, option in enumerate(options))
    yield click.Option(
        ["version", "-v", "--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Show the version and exit.",
    )


def _param(option: Option, number: int) -> click.Option:
    def take(ctx: click.Context, param: click.Parameter, value: object) -> None:
        if ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
            ctx.ensure_object(Line).take(option, value)

    name = f"{option.item or 'ignored'}_{number}".replace(".", "_").replace("-", "_")
    # click wants a space before the slash where only the off spelling is short: " /-P".
    declarations = [
        f" {part}" if part.startswith("/") else part for part in option.spellings.split()
    ]
    return click.Option(
        [name, *declarations],
        # False would let click take a missing value for "as a flag".
        is_flag=True if option.kind in {Kind.SWITCH, Kind.SET} else None,
        count=option.kind is Kind.COUNT,
        multiple=option.kind is Kind.MANY,
        type=str if option.kind in {Kind.VALUE, Kind.MANY} else None,
        metavar=option.metavar or None,
        help=option.help,
        hidden=not option.item,
        expose_value=False,
        callback=take,
    )


def _show_version(ctx: click.Context, _param: click.Parameter, value: object) -> None:
    if value:
        click.echo(f"{PROGRAM} {__version__}")
        ctx.exit()


def one_line(error: click.ClickException, cli: click.Group) -> str:
    """Return click's complaint with the nearest allowed word, without the usage text."""
    if isinstance(error, click.NoSuchOption):
        known = {
            spelling for param in cli.params for spelling in (*param.opts, *param.secondary_opts)
        }
        if isinstance(error.ctx, click.Context) and error.ctx.command is not cli:
            known = {spelling for param in error.ctx.command.params for spelling in param.opts}
        word = error.option_name
        hint = nearest(word, sorted(known)) if word.startswith("--") else ""
        return f"{quoted(word)}: no such option{hint}; {PROGRAM} --help lists them"
    if isinstance(error, click.UsageError) and error.message.startswith("No such command"):
        at = error.ctx.command if error.ctx is not None else cli
        words = sorted(at.commands if isinstance(at, click.Group) else cli.commands)
        word = error.message.partition("'")[2].rpartition("'")[0]
        return (
            f"{quoted(word)}: no such command{nearest(word, words)}; there is {', '.join(words)},"
            f" and {PROGRAM} --help lists the options"
        )
    return " ".join(error.format_message().split()).rstrip(".")
