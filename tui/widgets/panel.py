"""What the panels have in common: they draw a state, and repaint only when the drawing has changed."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from firstlight.snapshot import NightState
from tui.palette import ACCENT, FAINT


class Panel(Widget):
    """Draws the night's state as text."""

    state = NightState()
    _drawn: Text | None = None

    def show(self, state: NightState) -> None:
        """Take a new state; nothing goes to the terminal if it looks the same."""
        self.state = state
        if not self.size or not self.is_mounted:
            self.refresh(layout=True)
            return
        drawn = self.draw()
        if drawn != self._drawn:
            before = self._drawn.plain.count("\n") if self._drawn else -1
            self.refresh(layout=drawn.plain.count("\n") != before)

    def draw(self) -> Text:
        """The state as text, for the widget's present size."""
        raise NotImplementedError

    def render(self) -> Text:
        """Called by Textual."""
        self._drawn = self.draw()
        return self._drawn


def bar(part: float, cells: int, colour: str = ACCENT) -> Text:
    """A progress bar of so many cells."""
    full = round(min(max(part, 0.0), 1.0) * cells)
    return Text.assemble(("━" * full, colour), ("━" * (cells - full), FAINT))
