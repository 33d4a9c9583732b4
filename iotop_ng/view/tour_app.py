"""The live screen with a guide on it, and with two programs that the guide is about."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from textual.binding import Binding, BindingType
from textual.events import Key

from iotop_ng.config import Settings
from iotop_ng.enforcers.orders import Failed, Kind, Rung
from iotop_ng.errors import IotopError
from iotop_ng.model.frame import EMPTY_FRAME, Frame, Row
from iotop_ng.policy.protect import Protection
from iotop_ng.policy.rule import Guard, Pattern, Rules
from iotop_ng.policy.scores import Operation
from iotop_ng.view.acting import Engine, Wish, bare_order
from iotop_ng.view.app import IotopApp, MakeFeed
from iotop_ng.view.app import run as show
from iotop_ng.view.feed import Feed
from iotop_ng.view.live import live_feed
from iotop_ng.view.messages import FrameReady, OrderWanted
from iotop_ng.view.themes import Themes
from iotop_ng.view.tour import Deed, Hog, Seen, Tour, advance
from iotop_ng.view.tour_steps import SCRIPT, STEPS, STUCK_S, Press
from iotop_ng.view.tour_words import guide_lines
from iotop_ng.view.widgets.canvas import Canvas

if TYPE_CHECKING:
    from textual.theme import Theme as TextualTheme

    from iotop_ng.view.acting import ActingControl

VICTIM, HOG = "victim", "log-flood"
"""How the kernel calls the two."""
RULE = "tour"
COLUMNS = ("pid", "write_bytes_per_s", "fsync_p99_us", "policy", "history", "command")
"""What the tour is about; POLICY stays where it is when nothing is in force."""
MORE_COLUMNS = (*COLUMNS[:2], "disk_write_bytes_per_s", "latency_p99_us", *COLUMNS[2:])
WIDE = 100
"""Cells from which there is room for more of them."""
SHOWN_KEYS = {"enter": "Enter", "escape": "Esc"}
"""Keys for dialogs, and how they are shown."""
WAIT_S = 0.3
"""Between looks whether a key can be pressed."""
JITTER = 0.2
"""People are not that regular: each pause of the script is up to so much longer or shorter."""


class Look(NamedTuple):
    """What the two programs have said since the last time."""

    ended: tuple[Operation, ...] = ()
    waiting_ns: int = 0
    hog: Hog | None = None
    hog_pids: frozenset[int] = frozenset()


class Actors(Protocol):
    """The two programs."""

    def look(self, now_ns: int) -> Look:
        """Read what they said.

        Raises:
            IotopError: one of them has ended, and why.
        """
        ...

    def start_hog(self) -> None:
        """Begin the flood.

        Raises:
            IotopError: it cannot be started.
        """
        ...

    def stop_hog(self) -> None:
        """End it."""
        ...


class TourApp(IotopApp):
    """Sees what the screen sees, and says what to do about it.

    Args:
        settings: as of any screen.
        themes: all themes by name.
        theme: the one to start with.
        host: what the first line calls this machine.
        make_feed: makes the session thread's feed; None feeds frames by hand (tests).
        actors: the two programs.
        seed: of the script's pauses; None: a person presses the keys.
        why_not: why nothing can be done to processes, "" when it can.
    """

    # What the guide says stays in sight below a dialog.
    CSS: ClassVar[str] = "Dialog { align: center top; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("greater_than_sign", "tour_next", "guide: next step", show=False, id="tour_next"),
        Binding("G", "tour_hide", "guide: hide, show", show=False, id="tour_hide"),
    ]

    def __init__(
        self,
        settings: Settings,
        themes: Themes,
        theme: str,
        host: str,
        make_feed: MakeFeed | None = None,
        *,
        actors: Actors,
        seed: int | None = None,
        why_not: str = "",
    ) -> None:
        super().__init__(settings, themes, theme, host, make_feed, why_not=why_not)
        self.tour = Tour()
        self.actors = actors
        self.guide = Canvas(id="guide")
        self.said = ""
        """What could not be done for the guide."""
        self._pressed = ""
        self._is_hidden = False
        self._wants_next = False
        self._last = EMPTY_FRAME
        self._cannot_drop: str | None = None
        self._has_asked = self._has_followed = False
        self._seed = seed

    def on_mount(self) -> None:
        """Put the guide between the table and the keys."""
        self.theme_changed_signal.subscribe(self, self._recolour_guide)
        if not self.settings.columns:
            # Chosen, so that the probe of fsync stays attached.
            self.main.choose_columns(MORE_COLUMNS if self.size.width >= WIDE else COLUMNS)
        self.call_after_refresh(self._mount_guide)

    async def _mount_guide(self) -> None:
        self.guide.set_ink(self.make_ink())
        await self.main.mount(self.guide, before=self.main.keys)
        self.draw_guide()

    def _recolour_guide(self, _: TextualTheme) -> None:
        self.guide.set_ink(self.make_ink())
        self.draw_guide()

    def on_resize(self) -> None:
        """Fit the words to the width."""
        self.call_after_refresh(self.draw_guide)

    # -- frames ----------------------------------------------------------------------------------

    def on_frame_ready(self, message: FrameReady) -> None:
        """Take the next step where it is due. The screen itself takes the frame, too."""
        frame = message.frame
        self._last = frame
        if frame.tick == 0 or self._is_over:
            return
        try:
            look = self.actors.look(frame.mono_ns)
            self._advance(frame, look)
        except IotopError as error:
            self.failure = error
            self.exit(return_code=error.exit_code)
            return
        self._ask_for_drop(frame, look.hog_pids)
        self.draw_guide()

    @property
    def _is_over(self) -> bool:
        return self.failure is not None

    def _advance(self, frame: Frame, look: Look) -> None:
        seen = Seen(frame, *look, cannot_drop=self._cannot_drop, wants_next=self._wants_next)
        self._wants_next = False
        before = self.tour
        self.tour = advance(before, seen, STEPS)
        if self.tour.at != before.at or before.entered_ns is None:
            self._begin(self.tour.at)
        is_new = self.tour.at != before.at
        hog = hog_row(frame, look.hog_pids)
        is_ended = STEPS[self.tour.at].deed is Deed.END
        if hog is not None and not is_ended and (is_new or not self._has_followed):
            # As the key F does: the row that is acted on is the hog's, wherever it is sorted to.
            self._has_followed = True
            self.main.controls.followed = (hog.key, None)

    def _begin(self, at: int) -> None:
        step = STEPS[at]
        self.said = self._pressed = ""
        match step.deed:
            case Deed.FLOOD:
                self.actors.start_hog()
            case Deed.GUARD:
                self._set_rules(guard_rules(self.tour.target_ns))
            case Deed.END:
                self._set_rules(None)
                self.actors.stop_hog()
                self._let_the_cursor_go()
            case None:
                pass
        if self._seed is not None:
            self._play(step.name)

    def _let_the_cursor_go(self) -> None:
        """Show the top again: whom the cursor followed is gone."""
        self.main.controls.followed = None
        self.main.table.move_to(0)

    def _set_rules(self, rules: Rules | None) -> None:
        def job(engine: Engine) -> Failed | None:
            return engine.rule(rules, enforce=True)

        self.post_message(OrderWanted(Wish(job, self._answered)))

    def _answered(self, answer: Failed | None) -> None:
        self.said = "" if answer is None else answer.message
        self.draw_guide()

    def _ask_for_drop(self, frame: Frame, pids: frozenset[int]) -> None:
        """Find out early whether this kernel can refuse writes."""
        hog = hog_row(frame, pids)
        if hog is None or self._has_asked:
            return
        self._has_asked = True
        order = bare_order(hog, Kind.DROP)
        self.post_message(OrderWanted(Wish(lambda engine: engine.ladder(order), self._take_ladder)))

    def _take_ladder(self, answer: tuple[Rung, ...] | Failed) -> None:
        if isinstance(answer, Failed):
            self._cannot_drop = answer.message
        elif any(rung.works for rung in answer):
            self._cannot_drop = ""
        else:
            why = next((rung.why for rung in answer if rung.why), "no mechanism is known")
            # The dialog has all of it, in brackets too.
            self._cannot_drop = why.partition(" (")[0]

    # -- the panel and its keys ------------------------------------------------------------------

    def draw_guide(self) -> None:
        """Draw the present step."""
        if self._is_hidden or not self.guide.is_mounted:
            return
        width = self.size.width
        ink = self.guide.ink
        lines = guide_lines(self.tour, STEPS, ink, width, said=self.said, pressed=self._pressed)
        self.guide.show(lines, grow=True)

    def action_tour_next(self) -> None:
        """Go on without having done it."""
        self._wants_next = True

    def action_tour_hide(self) -> None:
        """Hide the panel, or show it again."""
        self._is_hidden = not self._is_hidden
        self.guide.display = not self._is_hidden
        self.draw_guide()

    # -- the script --------------------------------------------------------------------------------

    def _play(self, name: str, number: int = 0) -> None:
        """Press what the step asks for, at a person's pace: one key after the other."""
        pauses = self.pauses(name)
        if number < len(pauses):
            self.set_timer(pauses[number], partial(self._press_when_due, name, number))
        else:
            self.set_timer(STUCK_S, partial(self._give_up, name))

    def _press_when_due(self, name: str, number: int, tries: int = 0) -> None:
        """Press a key, as soon as there is what takes it: a slow machine opens a dialog late."""
        if STEPS[self.tour.at].name != name:
            return
        press = SCRIPT[name][number]
        if not self.can_take(press) and tries * WAIT_S < STUCK_S:
            again = partial(self._press_when_due, name, number, tries + 1)
            self.set_timer(WAIT_S, again)
            return
        self.press_for(name, press.key)
        self._play(name, number + 1)

    def can_take(self, press: Press) -> bool:
        """Say whether what is open is what the script means: a dialog that knows what works."""
        if not press.in_dialog:
            return self.screen is self.main
        ladder = getattr(self.screen, "ladder", None)
        return ladder is not None and bool(ladder.rungs)

    def _give_up(self, name: str) -> None:
        if STEPS[self.tour.at].name == name:
            if self.screen is not self.main:
                self.simulate_key("escape")
            self.action_tour_next()

    def pauses(self, name: str) -> list[float]:
        """Return the seconds before each key of a step; they differ a little, by the seed."""
        dice = random.Random(f"{self._seed} {name}")  # noqa: S311 - repeatable, not secret
        return [p.after_s * dice.uniform(1 - JITTER, 1 + JITTER) for p in SCRIPT.get(name, ())]

    def press_for(self, name: str, key: str) -> None:
        """Press a key and show it, unless the tour has gone on from that step."""
        if STEPS[self.tour.at].name != name:
            return
        self._pressed = SHOWN_KEYS.get(key, key)
        self.draw_guide()
        self.post_message(Key(key, key if len(key) == 1 else None))


def hog_row(frame: Frame, pids: frozenset[int]) -> Row | None:
    """Return the row of who writes; None while there is none."""
    return next((r for r in frame.rows if r.pid in pids and r.comm == HOG and not r.exited), None)


def guard_rules(target_ns: int) -> Rules:
    """Return the rule of the guard's step: keep the victim's p99, whatever log-flood wants."""
    victim, hogs = Pattern(comm=(VICTIM,)), Pattern(comm=(HOG,))
    return Rules(guards=(Guard(name=RULE, victim=victim, target_ns=target_ns, hogs=hogs),))


def run(settings: Settings, actors: Actors, *, host: str | None, seed: int | None) -> Tour:
    """Show the tour until it is left; return what it measured.

    Args:
        settings: as of any screen.
        actors: the two programs; the victim runs already.
        host: what the first line calls this machine; None: its name.
        seed: as of `TourApp`.

    Raises:
        UsageError: unknown theme, key or action, before the terminal is touched.
        IotopError: one of the programs ended, or nothing can be measured here.
    """
    made: list[TourApp] = []

    def make(
        settings: Settings, themes: Themes, theme: str, name: str, _: MakeFeed, *, why_not: str
    ) -> TourApp:
        def feed(app: IotopApp) -> Feed:
            return live_feed(settings, app.post_message, _control)

        made.append(
            TourApp(
                settings,
                themes,
                theme,
                host or name,
                feed,
                actors=actors,
                seed=seed,
                why_not=why_not,
            )
        )
        return made[0]

    show(settings, make)
    return made[0].tour


def _control() -> ActingControl:
    """Return what acts: the rules may hold what this process has started, which is on show here."""
    # In the session's thread: the screen is painted by now.
    from iotop_ng.control.engine import Engine as Acting  # noqa: PLC0415
    from iotop_ng.control.engine import ours  # noqa: PLC0415
    from iotop_ng.enforcers.client import this_author  # noqa: PLC0415

    known = ours()
    protection = Protection(terminal_pids=known.own_pids | known.terminal_pids)
    return Acting(None, this_author("screen"), protection=protection)
