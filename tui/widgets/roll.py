"""Lists that grow downwards and show their newest end: the subs, and the log."""

from __future__ import annotations

import textwrap

from rich.text import Text

from firstlight.snapshot import LogLine, Sub
from tui.palette import BAD, DIM, GOOD, TEXT, WARN, filter_colour
from tui.widgets.panel import Panel

LEVEL_COLOURS = {"warning": WARN, "error": BAD}


class Roll(Panel):
    """Draws only the rows that fit; ``back`` is how many of the newest are scrolled away."""

    head = ""
    nothing = ""
    back = 0

    def total(self) -> int:
        """How many items there are."""
        raise NotImplementedError

    def rows(self, index: int, width: int) -> list[Text]:
        """One item, as the lines it takes at this width."""
        raise NotImplementedError

    def scroll_by(self, items: int) -> None:
        """Towards older items (positive) or newer ones."""
        self.back = min(max(self.back + items, 0), max(self.total() - 1, 0))
        self.refresh()

    def draw(self) -> Text:
        """The newest items from the bottom up, under the heading."""
        width, room = max(self.size.width, 1), max(self.size.height - bool(self.head), 1)
        rows: list[Text] = []
        index = self.total() - 1 - self.back
        while index >= 0 and len(rows) < room:
            rows = self.rows(index, width) + rows
            index -= 1
        rows = rows[-room:] or [Text(self.nothing, DIM)]
        if self.head:
            rows.insert(0, Text(self.head, DIM, no_wrap=True))
        return Text("\n").join(rows)


class Subs(Roll):
    """The live stack's verdicts."""

    head = "  sub filter   FWHM   noise stars"
    nothing = "no sub has been stacked yet"

    def total(self) -> int:
        """How many verdicts are kept."""
        return len(self.state.subs)

    def rows(self, index: int, width: int) -> list[Text]:
        """One verdict; a rejected one says why."""
        sub: Sub = self.state.subs[index]
        mark = Text.assemble(
            ("✓" if sub.accepted else "✗", f"bold {GOOD if sub.accepted else BAD}"),
            (f"{sub.number:>4} ", TEXT),
            (f"{sub.filter or '–':<6}"[:6], filter_colour(sub.filter)),
            no_wrap=True,
        )
        if sub.accepted:
            assert sub.fwhm_px is not None
            assert sub.noise_adu is not None
            mark.append(f"{sub.fwhm_px:>7.2f}{sub.noise_adu:>#8.3g}{sub.n_matches or 0:>6}", DIM)
            return [mark]
        mark.append(f"  {sub.reason}", f"bold {WARN}")
        mark.append(f": {sub.detail}" if sub.detail else "", DIM)
        mark.truncate(width, overflow="ellipsis")
        return [mark]


class LogView(Roll):
    """What happened, newest last; long lines are folded."""

    nothing = "nothing yet"

    def total(self) -> int:
        """How many lines are kept."""
        return len(self.state.log)

    def rows(self, index: int, width: int) -> list[Text]:
        """One line of the log under its time."""
        line: LogLine = self.state.log[index]
        time = f"{line.time.astimezone():%H:%M:%S} "[: 9 if width > 40 else 5].ljust(6)
        folded = textwrap.wrap(line.text, max(width - len(time), 12)) or [""]
        colour = LEVEL_COLOURS.get(line.level, TEXT)
        first = Text.assemble((time, DIM), (folded[0], colour))
        return [first, *(Text(" " * len(time) + more, colour) for more in folded[1:])]
