"""The full screen: a night in progress."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.events import Resize
from textual.filter import LineFilter
from textual.geometry import Size
from textual.widgets import Footer, Static

from firstlight.asking import Ask
from firstlight.events import Answer
from firstlight.snapshot import NightState
from firstlight.state import reduce
from tui.grades import AdviceSheet, SubsScreen
from tui.graphics import protocol
from tui.headless import EXIT_VANISHED, exit_status, summary_lines
from tui.palette import ACCENT, DARK, DIM, RED, RedFilter
from tui.screens import ConfirmStop, Dropped, Ended, Help, Sheet
from tui.source import NightSource
from tui.terminal import plain_event
from tui.widgets.grades import Grades
from tui.widgets.now import Equipment, ExposureBar, Headline
from tui.widgets.panel import Panel
from tui.widgets.picture import PicturePanel
from tui.widgets.plots import FwhmPlot, NoisePlot
from tui.widgets.roll import LogView, Roll, Subs
from tui.widgets.sequence import Sequence

PANELS = ("picture", "sequence", "subs", "plots", "log")
WIDE = (116, 34)
"""Columns and rows from which on all panels are shown together; in less room, one at a time with tabs."""

LARGE = (150, 45)
CATCH_UP = 200
"""Events taken in one go while a long night is replayed, before keys get their turn."""


class NightApp(App[None]):
    """Shows a session and speaks for its user; its life is not the night's.

    ``refresh_s`` is the least time between two repaints: a bad line carries four in a second. With
    ``linger_s`` the screen leaves by itself so long after the night has ended, unless a key keeps it. Without
    ``true_colour`` the picture says that it looks grey, and why.
    """

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause"),
        Binding("s", "stop", "Stop"),
        Binding("q", "leave", "Quit, night goes on"),
        Binding("ctrl+q,ctrl+c", "leave", show=False),
        Binding("n", "night", "Red"),
        Binding("g", "grades", "Subs"),
        Binding("a", "advice", show=False),
        Binding("right,f", "picture(1)", "Picture", key_display="←→"),
        Binding("left", "picture(-1)", show=False),
        Binding("1", "panel(1)", "Panel", key_display="1-5"),
        Binding("tab", "next_panel(1)", show=False, priority=True),
        Binding("shift+tab", "next_panel(-1)", show=False, priority=True),
        *(Binding(f"{number}", f"panel({number})", show=False) for number in (0, 2, 3, 4, 5)),
        Binding("escape", "panel(0)", show=False),
        Binding("up", "scroll(1)", show=False),
        Binding("down", "scroll(-1)", show=False),
        Binding("pageup", "scroll(10)", show=False),
        Binding("pagedown", "scroll(-10)", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
    ]

    def __init__(
        self,
        source: NightSource,
        *,
        refresh_s: float = 0.25,
        pictures: str | None = None,
        linger_s: float | None = None,
        true_colour: bool = True,
    ) -> None:
        super().__init__()
        self.animation_level = "none"
        self.source = source
        self.state = NightState()
        self.alone = 0
        """The panel that is shown alone, from 1; 0 shows all where there is room."""
        self._refresh_s, self._linger_s = refresh_s, linger_s
        self._picture = PicturePanel(pictures or protocol(), true_colour=true_colour, id="picture")
        self._shown_at = -1.0
        self._due = False
        self._over = False
        self._red = RedFilter()
        self._token = secrets.token_hex(4)

    def get_line_filters(self) -> list[LineFilter]:
        """Textual's, and in the red theme ours as the last word on every colour."""
        return [*super().get_line_filters(), *([self._red] if self.theme == RED.name else [])]

    def compose(self) -> ComposeResult:
        """All panels; which are shown is decided by the room there is."""
        with Vertical(id="top"):
            yield Headline()
            yield ExposureBar()
            yield Equipment()
        yield Static(id="tabs")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield _titled(self._picture, "Picture")
                with Horizontal(id="lower"):
                    yield _titled(Container(Subs(), id="subs"), "Subs")
                    yield _titled(Container(LogView(), id="log"), "Log")
            with Vertical(id="right"):
                yield _titled(Container(Sequence(), id="sequence"), "Sequence")
                with Container(id="plots"):
                    yield _titled(Container(NoisePlot()), "Noise, one sub = 1  ┄ 1/√N")
                    yield _titled(Container(FwhmPlot()), "FWHM, px")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Start following the night."""
        self.register_theme(DARK)
        self.register_theme(RED)
        self.theme = DARK.name
        self._arrange()
        self.run_worker(self._follow(), name="follow")

    # -- the stream ------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        taken = 0
        async for each in self.source.events():
            stamped = plain_event(each)
            self.state = reduce(self.state, stamped)
            if isinstance(stamped.event, Answer) and stamped.event.token == self._token:
                self._answered(stamped.event)
            self._soon()
            if self.state.summary:
                break
            taken += 1
            if taken % CATCH_UP == 0:
                await asyncio.sleep(0)
        self._over = True
        self._show()
        if not self.state.summary:
            self.push_screen(Dropped(self.state), lambda leave: self.action_leave() if leave else None)
            return
        timer = self.set_timer(self._linger_s, self.action_leave) if self._linger_s is not None else None

        def answered(leave: bool | None) -> None:
            if timer is not None:
                timer.stop()
            if leave:
                self.action_leave()

        self.push_screen(Ended(self.state, self._linger_s), answered)

    def _soon(self) -> None:
        """Repaint now if the last time is long enough ago, else when it will be; many events, one repaint."""
        if self._due:
            return
        self._due = True
        wait = self._shown_at + self._refresh_s - monotonic()
        if wait <= 0:
            self.call_next(self._show)
        else:
            self.set_timer(wait, self._show)

    def _show(self) -> None:
        self._due = False
        self._shown_at = monotonic()
        for screen in self.screen_stack:
            for panel in screen.query(Panel):
                panel.show(self.state)
        self.screen_stack[0].query_one(PicturePanel).show(self.state)

    # -- the room there is -----------------------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        """Another layout may fit better now, and the picture fits another size."""
        self._arrange(event.size)
        self.call_after_refresh(self._show)

    def _arrange(self, size: Size | None = None) -> None:
        width, height = size or self.size  # within a resize, the app still has its old size
        roomy = width >= WIDE[0] and height >= WIDE[1]
        alone = self.alone or (0 if roomy else 1)
        base = self.screen_stack[0]
        base.set_class(bool(alone), "alone")
        base.set_class(width >= LARGE[0] and height >= LARGE[1], "large")
        for number, name in enumerate(PANELS, 1):
            base.query_one(f"#{name}").display = alone in {0, number}
        for box, holds in (("left", {0, 1, 3, 5}), ("lower", {0, 3, 5}), ("right", {0, 2, 4})):
            base.query_one(f"#{box}").display = alone in holds
        tabs = Text("  ").join(
            tab(number, name, chosen=number == alone, roomy=width > 60)
            for number, name in enumerate(PANELS, 1)
        )
        base.query_one("#tabs", Static).update(tabs)

    # -- keys ------------------------------------------------------------------------------------------------

    async def action_pause(self) -> None:
        """Pause at the next frame boundary, or go on."""
        if self._over:
            return
        await self.source.send(Ask(word="resume" if self.state.paused else "pause"))
        if not self.state.paused and self.state.exposure:
            self.notify("Pausing when this exposure is stored.", timeout=4)

    def action_stop(self) -> None:
        """Ask, then end the night."""

        async def answered(yes: bool | None) -> None:
            if yes:
                await self.source.send(Ask(word="stop"))
                self.notify("Ending the night: the stacks are being finished.", timeout=6)

        if not self._over:
            self.push_screen(ConfirmStop(self.state), answered)

    def action_leave(self) -> None:
        """Leave the screen; the night, if there still is one, goes on."""
        if self.state.summary:
            words = "\n".join(summary_lines(self.state))
            self.exit(return_code=exit_status(self.state), message=Text(words))
        elif self._over:
            self.exit(return_code=EXIT_VANISHED)
        else:
            back = f"firstlight attach --root {self.state.root}" if self.state.root else "firstlight attach"
            self.exit(message=Text(f"The night goes on. Come back with: {back}"))

    def action_night(self) -> None:
        """Red on black for dark-adapted eyes, or back."""
        self.theme = DARK.name if self.theme == RED.name else RED.name
        self.screen_stack[0].query_one(PicturePanel).paint()

    def action_picture(self, step: int) -> None:
        """Another picture."""
        self.query_one(PicturePanel).choose(step)

    def action_panel(self, number: int) -> None:
        """One panel alone, or all; the same key again goes back."""
        self.alone = 0 if number == self.alone else number
        self._arrange()
        self.call_after_refresh(self._show)

    def action_next_panel(self, step: int) -> None:
        """The panels in turn."""
        self.action_panel((max(self.alone, 1 if self.screen.has_class("alone") else 0) + step) % 6)

    def action_scroll(self, items: int) -> None:
        """Older or newer lines of the list on show; the subs, where both are."""
        with suppress(IndexError):
            shown = [roll for roll in self.query(Roll) if roll.parent and roll.size.area]
            shown[0].scroll_by(items)

    def action_grades(self) -> None:
        """The subs with their numbers."""
        if len(self.screen_stack) == 1:
            self.push_screen(SubsScreen())
            self.call_after_refresh(self._show)

    def action_advice(self) -> None:
        """What the numbers advise."""
        if not isinstance(self.screen, Sheet):
            self.push_screen(AdviceSheet(self.state))

    async def on_subs_screen_toggled(self, wish: SubsScreen.Toggled) -> None:
        """Ask the session to take a sub out of the stack, or to put it back."""
        word = "back" if wish.inside else "out"
        await self._ask(Ask(word=word, subs=(wish.sub.frame_id,), token=self._token))

    async def on_subs_screen_restack_wanted(self) -> None:
        """Ask the session to stack everything again."""
        await self._ask(Ask(word="restack", token=self._token))

    async def _ask(self, ask: Ask) -> None:
        if self._over:
            self._answered(Answer(token=self._token, refused=True, text="the night has ended"))
        else:
            await self.source.send(ask)

    def _answered(self, answer: Answer) -> None:
        """Say what was refused; what was done is seen."""
        if answer.refused:
            self.notify(answer.text, severity="warning", timeout=6)
            for table in self.screen.query(Grades):
                table.asked.clear()

    def action_help(self) -> None:
        """The keys."""
        self.push_screen(Help())


def tab(number: int, name: str, *, chosen: bool, roomy: bool) -> Text:
    """A panel's name in the list of panels; where there is little room, only its number."""
    return Text(
        f"{number} {name}" if chosen or roomy else f"{number}", f"bold {ACCENT} reverse" if chosen else DIM
    )


def _titled(widget: Container, title: str) -> Container:
    widget.border_title = title
    widget.add_class("panel")
    return widget
