"""The screens of the stack's quality: the subs with their grades, and advice."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Footer

from firstlight.snapshot import NightState, Sub
from tui.palette import ACCENT, DIM, TEXT, filter_colour
from tui.screens import Sheet
from tui.widgets.grades import Grades, verdict_in_full
from tui.widgets.panel import Panel


class Grading(Panel):
    """One line over the table: how many are in, and how far a restack is."""

    def draw(self) -> Text:
        """The line."""
        state = self.state
        parts = [
            Text.assemble((f"{state.subs_accepted}", f"bold {TEXT}"), (" in", DIM)),
            Text.assemble((f"{state.subs_rejected}", f"bold {TEXT}"), (" out", DIM)),
        ]
        parts += [
            Text.assemble(
                ("stacking again ", DIM),
                (each.filter or "", filter_colour(each.filter)),
                (f" {each.done:.0%}", f"bold {ACCENT}"),
            )
            for each in state.restacking
        ]
        if state.stack_queue > 1:
            parts.append(Text(f"{state.stack_queue} wait for the stack", DIM))
        line = Text("  ", no_wrap=True, overflow="ellipsis").join(parts)
        line.truncate(max(self.size.width, 1))
        return line


class Chosen(Panel):
    """The verdict on the sub under the cursor, with all that is known of it."""

    def __init__(self, table: Grades) -> None:
        super().__init__()
        self._table = table

    def draw(self) -> Text:
        """At most two lines."""
        sub = self._table.chosen
        return Text() if sub is None else verdict_in_full(sub)


class SubsScreen(ModalScreen[None]):
    """All subs of the night; ``x`` takes one out of the stack or puts it back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x,space,enter", "swap", "Out/back", key_display="x"),
        Binding("up", "move(-1)", "Older", key_display="↑"),
        Binding("down", "move(1)", "Newer", key_display="↓"),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
        Binding("r", "restack", "Stack again"),
        Binding("a", "app.advice", "Advice"),
        Binding("n", "app.night", "Red"),
        Binding("question_mark", "app.help", "Help", key_display="?"),
        Binding("g,q,escape", "close", "Close", key_display="g"),
        Binding("ctrl+q,ctrl+c", "app.leave", show=False),
    ]

    class Toggled(Message):
        """A sub shall change sides."""

        def __init__(self, sub: Sub, *, inside: bool) -> None:
            super().__init__()
            self.sub, self.inside = sub, inside

    class RestackWanted(Message):
        """Everything shall be stacked again."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Grades()

    def compose(self) -> ComposeResult:
        """A line, the table, and the verdict under the cursor."""
        yield Grading(id="grading")
        with Container(id="grades", classes="panel") as box:
            box.border_title = "Subs"
            yield self.table
        yield Chosen(self.table)
        yield Footer(show_command_palette=False, compact=True)

    def action_move(self, steps: int) -> None:
        """To another sub."""
        self.table.move(steps)
        self.query_one(Chosen).refresh()

    def action_page(self, pages: int) -> None:
        """A screenful further."""
        self.action_move(pages * self.table.page)

    def action_swap(self) -> None:
        """Out of the stack, or back into it."""
        sub = self.table.toggle()
        if sub is not None:
            self.post_message(self.Toggled(sub, inside=self.table.asked[sub.frame_id]))
        elif self.table.chosen is not None:
            self.notify("This sub could not be stacked: " + (self.table.chosen.reason or "see the log"))

    def action_restack(self) -> None:
        """From the files, as good as offline."""
        self.post_message(self.RestackWanted())

    def action_close(self) -> None:
        """Back to the night."""
        self.dismiss()


class AdviceSheet(Sheet):
    """What the stacks' numbers advise."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("a,q,enter", "answer(False)", "Close")]

    def __init__(self, state: NightState) -> None:
        super().__init__("Advice", advice_text(state))


def advice_text(state: NightState) -> Text:
    """A paragraph a filter."""
    paragraphs = []
    for stack in state.stacks:
        if stack.advice is None:
            continue
        advice = stack.advice
        sentences = (advice.snr, advice.sub_length, advice.next_hour, advice.method)
        paragraphs.append(
            Text("\n").join(
                [
                    Text(stack.filter or "Stack", f"bold {filter_colour(stack.filter)}"),
                    *(Text(each.text, TEXT) for each in sentences),
                ]
            )
        )
    return Text("\n\n").join(paragraphs) if paragraphs else Text("Advice starts with the first stack.", DIM)
