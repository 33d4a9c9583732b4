"""`iotop-ng guard`: rules at work without a screen, one line per event; a rehearsal by default."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from iotop_ng.cli import amounts
from iotop_ng.cli.batch import INTERRUPTED, stopping
from iotop_ng.cli.desk import Desk, as_error
from iotop_ng.cli.policy_lines import SCHEMA, clock_time
from iotop_ng.cli.talk import complain
from iotop_ng.clock import NS_PER_S
from iotop_ng.control.engine import Engine
from iotop_ng.control.guard import (
    DEFAULT,
    Reporter,
    default_rules,
    default_text,
    read_rules,
)
from iotop_ng.control.link import Keeper
from iotop_ng.control.ruling import TICK_NS
from iotop_ng.errors import IotopError
from iotop_ng.export.records import rfc3339
from iotop_ng.model.frame import Frame, PolicyEvent
from iotop_ng.policy.rule import Rules
from iotop_ng.policy.tables import TableError
from iotop_ng.ports import Source
from iotop_ng.session import Session
from iotop_ng.sources.choose import BestSource
from iotop_ng.units import clean


class Line(msgspec.Struct, frozen=True):
    """What `guard --json` prints per event."""

    schema: int
    time: str
    what: str
    """would, applied, adjusted, released, expired, ended, failed, refused or notice."""
    name: str
    text: str
    by: str
    enforce: bool


def run(
    rules: str | None,
    *,
    enforce: bool,
    duration: str | None,
    json: bool,
    print_default: bool = False,
    desk: Desk,
    make_source: Callable[[], Source] = BestSource,
) -> int:
    """Watch until the time is over or a signal comes; return the exit code.

    Args:
        rules: path of a TOML file; None takes the rules that come with iotop-ng.
        enforce: do it; else the keeper does everything but the effect.
        duration: how long; None for no end.
        json: objects, not lines.
        print_default: only print the rules that come with iotop-ng.
        desk: where the keeper, the clock and stdout are.
        make_source: what is watched.

    Raises:
        IotopError: the rules cannot be read, or nothing can be watched or done here.
    """
    if print_default:
        desk.write(default_text().encode("utf-8"))
        return 0
    duration_s = None
    if duration is not None:
        duration_s = amounts.read(amounts.span, duration, "--duration") / NS_PER_S
    try:
        wanted = default_rules() if rules is None else read_rules(rules, enforce=enforce)
    except TableError as error:
        name = DEFAULT if rules is None else clean(rules, 200)
        for problem in error.problems:
            line = f":{problem.line}" if problem.line else ""
            complain(f"{name}{line}: {problem.text}")
        return error.exit_code
    desk.need_root("guard")
    engine = _engine(wanted, desk, enforce=enforce)
    teller = Teller(wanted, desk, enforce=enforce, is_json=json)
    session = Session(make_source(), desk.clock, TICK_NS / NS_PER_S, 1, control=engine)
    with stopping(session) as was_stopped:
        try:
            failed = engine.warm()
            if failed is not None:
                raise as_error(failed)
            teller.begin()
            for frame in session.frames(None, duration_s):
                teller.tell(frame)
        except IotopError:
            # Ctrl-C also ends the child that compiles, and the source complains about that.
            if not was_stopped():
                raise
        finally:
            engine.close()
            session.close()
            teller.end()
    return INTERRUPTED if was_stopped() else 0


class Teller:
    """Prints what is new from frame to frame."""

    def __init__(self, rules: Rules, desk: Desk, *, enforce: bool, is_json: bool) -> None:
        names = [rule.name for rule in rules.rules] + [guard.name for guard in rules.guards]
        self._authors = {f"rule {name}" for name in names}
        self._counts = (len(rules.rules), len(rules.guards))
        self._desk = desk
        self._enforce = enforce
        self._is_json = is_json
        self._since_ns = desk.clock.wall_ns()
        self._reporter = Reporter()
        self._said: set[str] = set()
        self._is_watching = False
        self._held = 0

    def begin(self) -> None:
        """Say what is going on."""
        rules, guards = self._counts
        what = "enforcing" if self._enforce else "dry run, nothing is done without --enforce"
        complain(f"{what}: {_number(rules, 'rule')}, {_number(guards, 'guard')}")

    def tell(self, frame: Frame) -> None:
        """Print the events of the rules, and say once that it watches and what is wrong."""
        if not self._is_watching:
            self._is_watching = True
            complain("watching")
        self._held = sum(one.by in self._authors for one in frame.policies)
        if problem := self._reporter.problem(frame):
            complain(problem)
        for note in frame.notes:
            if note not in self._said:
                self._said.add(note)
                complain(note)
        for event in self._reporter.events(frame):
            # The keeper tells of others too, and of what was before our time.
            if event.by in self._authors and event.wall_ns >= self._since_ns:
                self._desk.write(self._line(event))

    def end(self) -> None:
        """Say that all was let go."""
        if self._held and self._enforce:
            complain(f"released {_number(self._held, 'policy', 'policies')}")

    def _line(self, event: PolicyEvent) -> bytes:
        if self._is_json:
            line = Line(
                SCHEMA, rfc3339(event.wall_ns), event.what, event.name, event.text, event.by,
                self._enforce,
            )  # fmt: skip
            return msgspec.json.encode(line) + b"\n"
        text = event.text if event.name in event.text else f"{event.name}: {event.text}"
        text = text.removeprefix(f"{event.what} ")
        line_text = f"{clock_time(event.wall_ns)}  {event.what:<8}  {text} ({event.by})\n"
        return line_text.encode("utf-8", "replace")


def _engine(rules: Rules, desk: Desk, *, enforce: bool) -> Engine:
    from iotop_ng.enforcers.client import this_author  # noqa: PLC0415 - root's business

    def opened() -> Keeper:
        keeper = desk.open_keeper(True, "guard")
        if keeper is None:
            raise IotopError("iotop-ng could not start its keeper")
        return keeper

    return Engine(
        rules,
        this_author("guard"),
        enforce=enforce,
        open_keeper=opened,
        find_keeper=lambda: desk.open_keeper(False, "guard"),
    )


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
