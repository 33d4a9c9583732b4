"""The screen as an application: pages, themes, the session thread, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.filter import LineFilter, Monochrome, NoColor
from textual.screen import Screen

from iotop_ng.config import Settings
from iotop_ng.errors import IotopError, SourceError, UsageError
from iotop_ng.units import clean
from iotop_ng.view import picture, terminal
from iotop_ng.view.bindings import (
    ACTING,
    EVERYWHERE,
    bindings,
    check_keys,
    in_ascii,
    with_keys,
    without_acting,
)
from iotop_ng.view.controls import Controls
from iotop_ng.view.feed import Feed, sentence
from iotop_ng.view.framediff import DEFAULT_ON, FrameDiffMixin
from iotop_ng.view.live import live_feed
from iotop_ng.view.messages import (
    Answered,
    ColumnsChosen,
    FrameReady,
    GraphWanted,
    IntervalChanged,
    NeedsChanged,
    OrderWanted,
    SessionEnded,
    SourceFailed,
    SourceStatus,
    ThemeChosen,
)
from iotop_ng.view.screens.main import MainScreen
from iotop_ng.view.surroundings import needs_ascii, share_the_interpreter, theme_name
from iotop_ng.view.tape import Tape
from iotop_ng.view.themes import Themes, load_themes
from iotop_ng.view.widgets.ink import Ink

if TYPE_CHECKING:
    from textual.theme import Theme as TextualTheme

NEEDS_ROOT = "acting on processes needs root: sudo iotop-ng"
MakeFeed = Callable[["IotopApp"], Feed]


class IotopApp(FrameDiffMixin, App[None]):
    """Owns the widgets' thread; frames come in as messages.

    Args:
        settings: what was asked for.
        themes: all themes by name.
        theme: the one to start with.
        host: name of the machine.
        make_feed: makes the session thread's feed; None feeds frames by hand (tests).
        why_not: why nothing can be done to processes, "" when it can.
    """

    BINDINGS: ClassVar[list[BindingType]] = list(bindings(everywhere=True))
    CSS_PATH: ClassVar[list[str | PurePath]] = ["app.tcss", "screens/main.tcss"]
    TITLE = "iotop-ng"
    # Shift and the mouse select text in any terminal; here a drag would only cost.
    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(
        self,
        settings: Settings,
        themes: Themes,
        theme: str,
        host: str,
        make_feed: MakeFeed | None = None,
        *,
        why_not: str = "",
    ) -> None:
        super().__init__()
        self.settings = settings
        self.themes = themes
        self.is_ascii = needs_ascii(os.environ) if settings.ascii is None else settings.ascii
        self.actions = with_keys(settings.keys)
        if settings.read_only:
            self.actions = without_acting(self.actions)
        if self.is_ascii:
            self.actions = in_ascii(self.actions)
            self.add_class("-ascii")
        self.low_bandwidth = (
            DEFAULT_ON if settings.low_bandwidth is None else settings.low_bandwidth
        )
        self.failure: Exception | None = None
        """What ended the screen, for the command line to report."""
        self._make_feed = make_feed
        self._feed: Feed | None = None
        self._known_themes: set[str] = set()
        self.theme_name = ""
        self.set_theme(theme)
        self.main = MainScreen(
            Controls.of(settings),
            Tape(),
            host,
            self.actions,
            self.make_ink(),
            has_keybar=settings.help_type != "none",
            why_not=why_not,
        )

    def get_default_screen(self) -> Screen[None]:
        """Return the main screen."""
        return self.main

    def on_mount(self) -> None:
        """Paint first, then start to read the kernel."""
        self.set_keymap(dict(self.settings.keys))
        self.theme_changed_signal.subscribe(self, self._recolour)
        if self._make_feed is not None:
            self._feed = self._make_feed(self)
            self._feed.need(self.main.controls.needs())
            self.call_after_refresh(self._feed.start)

    def on_unmount(self) -> None:
        """Close the source, however the screen ends."""
        self.stop_feed()

    def stop_feed(self) -> None:
        """End the session thread; calling it twice is fine."""
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.stop()

    # -- colours -------------------------------------------------------------------------------

    def set_theme(self, name: str) -> None:
        """Switch the theme; it is read from its file when it is first used.

        Raises:
            UsageError: the theme does not exist or its file is wrong.
        """
        if name not in self._known_themes:
            self.register_theme(self.themes[name].textual())
            self._known_themes.add(name)
        self.theme_name = name
        if self.no_color:
            # Textual chooses the filter once, by its own first theme; greys made of the terminal's
            # default colours are black on black. The list has no public name; Textual is pinned.
            others = [f for f in self._filters if not isinstance(f, (Monochrome, NoColor))]
            self._filters = [*others, self._no_color_filter()]
        self.theme = name

    def make_ink(self) -> Ink:
        """Return the present theme's styles."""
        theme = self.themes[self.theme_name]
        filters = [self._no_color_filter()] if self.no_color else []
        return Ink(theme, filters, ascii_only=self.is_ascii)

    def _no_color_filter(self) -> LineFilter:
        """Return what NO_COLOR asks for: no colour at all, or greys for a theme that was chosen."""
        return NoColor() if self.themes[self.theme_name].is_native else Monochrome()

    def _recolour(self, _: TextualTheme) -> None:
        ink = self.make_ink()
        for screen in self.screen_stack:
            if hasattr(screen, "set_ink"):
                screen.set_ink(ink)

    # -- from the session thread ---------------------------------------------------------------

    def on_frame_ready(self, message: FrameReady) -> None:
        """Show a frame on whatever page is open."""
        self.main.add_frame(message.frame)
        if self.screen is not self.main and hasattr(self.screen, "frame_changed"):
            self.screen.frame_changed()

    def on_source_status(self, message: SourceStatus) -> None:
        """Say what is being done."""
        self.main.set_doing(message.text)

    def on_source_failed(self, message: SourceFailed) -> None:
        """Say what went wrong."""
        self.main.set_failure(clean(message.text))

    def on_session_ended(self, message: SessionEnded) -> None:
        """Leave when the time is over, when it never will be, or when the forced source fails."""
        self.failure = message.error
        settings = self.settings
        has_end = settings.iterations is not None or settings.duration_s is not None
        if message.error is None or settings.source is not None or has_end:
            self.exit()

    def on_order_wanted(self, message: OrderWanted) -> None:
        """Hand what is to be done to the session's thread."""
        if self._feed is None:
            message.errand.refuse("there is no session: nothing can be done")()
        else:
            self._feed.ask(message.errand)

    def on_answered(self, message: Answered) -> None:
        """Tell whoever asked."""
        message.then()

    def on_needs_changed(self, message: NeedsChanged) -> None:
        """Attach and detach probes as the screen needs them."""
        if self._feed is not None:
            self._feed.need(message.needs)

    def on_interval_changed(self, message: IntervalChanged) -> None:
        """Measure at another pace."""
        if self._feed is not None:
            self._feed.interval_s = message.interval_s

    def on_theme_chosen(self, message: ThemeChosen) -> None:
        """Use another theme, or say what is wrong with its file."""
        try:
            self.set_theme(message.name)
        except UsageError as error:
            self.main.say(str(error), is_problem=True)

    def on_columns_chosen(self, message: ColumnsChosen) -> None:
        """Show other columns."""
        self.main.choose_columns(message.columns)

    def on_graph_wanted(self, message: GraphWanted) -> None:
        """Open the graph page."""
        # Deferred: plotext is 20 MiB, and few open this page.
        from iotop_ng.view.screens.graph import GraphScreen, Pens  # noqa: PLC0415

        # A theme may have fewer colours than there are series: they start again.
        series = self.themes[self.theme_name].series
        colors = [series[number % len(series)] for number in range(3)]
        si = self.settings.si
        has_color = self.themes[self.theme_name].kind != "mono" and not self.no_color
        pens = Pens(colors, has_color, self.is_ascii, si)
        self.push_screen(GraphScreen(self.main.tape, self.make_ink(), pens, message.row))

    # -- actions -------------------------------------------------------------------------------

    def action_do(self, name: str) -> None:
        """Do what a key stands for, wherever it was pressed."""
        getattr(self, f"do_{name}")()

    def do_help(self) -> None:
        """Open the help page."""
        from iotop_ng.view.screens.help import HelpScreen  # noqa: PLC0415 - seldom needed

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.actions, self.make_ink()))

    def do_settings(self) -> None:
        """Open columns and themes."""
        from iotop_ng.view.screens.settings import SettingsScreen  # noqa: PLC0415 - seldom needed

        if not isinstance(self.screen, SettingsScreen):
            controls = self.main.controls
            themes = tuple(self.themes)
            page = SettingsScreen(
                controls.columns, themes, self.theme_name, ascii_only=self.is_ascii
            )
            self.push_screen(page)

    def do_palette(self) -> None:
        """Open the command palette."""
        if not CommandPalette.is_open(self):
            self.push_screen(
                CommandPalette(placeholder="name of an action or theme", id="--command-palette")
            )

    def do_picture(self) -> None:
        """Save the screen as SVG."""
        try:
            path = picture.save(self.export_screenshot(title="iotop-ng"), self.main.tape.frame)
        except OSError as error:
            self.main.say(f"no picture: {error.strerror} ({error.filename})", is_problem=True)
        else:
            self.main.say(f"saved {path}")

    def do_redraw(self) -> None:
        """Write every cell again."""
        self.forget_frame()
        self.screen.refresh(layout=True)

    def do_suspend(self) -> None:
        """Stop this process; fg brings it back."""
        self.action_suspend_process()

    def do_quit(self) -> None:
        """Leave; while something of ours is in force, ask once."""
        from iotop_ng.view.screens.leave import LeaveScreen  # noqa: PLC0415 - seldom needed

        count = self.main.own_policies
        if count == 0 or isinstance(self.screen, LeaveScreen):
            self.exit()
        else:
            self.push_screen(LeaveScreen(count, self.make_ink()), self._leave)

    def _leave(self, is_yes: bool | None) -> None:
        if is_yes:
            self.exit()

    def get_system_commands(self, _screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield every action of the binding table, and every theme."""
        for action in self.actions:
            name = action.name
            if name in EVERYWHERE:
                run: Callable[[], None] = getattr(self, f"do_{name}")
            else:
                owner = self.main.acts if name in ACTING else self.main.deeds
                run = getattr(owner, name)
            title = f"{action.label}: {action.help}"
            yield SystemCommand(title, action.shown, run)
        for theme in self.themes:
            yield SystemCommand(
                f"theme: {theme}", "Colours", partial(self.post_message, ThemeChosen(theme))
            )

    # -- the end -------------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """End with one line instead of a traceback; tests still see the exception."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self.failure = error
        if "debug" in self.features:
            super()._handle_exception(error)
        else:
            self._close_messages_no_wait()


def run(settings: Settings, make: Callable[..., IotopApp] = IotopApp) -> int:
    """Show the live screen until the user leaves; return the exit code.

    Args:
        settings: what was asked for.
        make: takes what `IotopApp` takes, and makes it or one with more on it.

    Raises:
        UsageError: unknown theme, key or action, before the terminal is touched.
        IotopError: the source that was asked for does not work here.
    """
    check_keys(settings.keys)
    themes = load_themes(settings.themes_dir)
    theme = theme_name(settings)
    themes[theme]  # an unknown name ends here
    app = make(
        settings,
        themes,
        theme,
        clean(os.uname().nodename, 64),
        lambda made: live_feed(settings, made.post_message),
        why_not="" if os.geteuid() == 0 else NEEDS_ROOT,
    )
    share_the_interpreter()
    guard = terminal.install(app)
    try:
        app.run(mouse=settings.mouse)
    finally:
        guard.restore()
        app.stop_feed()
    if isinstance(app.failure, IotopError):
        raise app.failure
    if app.failure is not None:
        raise SourceError(sentence(app.failure))
    return app.return_code or 0
