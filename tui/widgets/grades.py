"""The table of subs: what was measured of each, the verdict, and a cursor to change it."""

from __future__ import annotations

from rich.text import Text

from firstlight.snapshot import Sub
from firstlight.telling import figure
from tui.palette import ACCENT, BAD, DIM, GOOD, TEXT, WARN, filter_colour
from tui.widgets.panel import Panel

COLUMNS = (
    ("FWHM", 6, "fwhm_px", ".2f"),
    ("round", 6, "roundness", ".2f"),
    ("stars", 6, "stars", "d"),
    ("sky", 7, "background_adu", ".0f"),
    ("transp", 7, "transparency", ".2f"),
    ("rms", 6, "rms_px", ".2f"),
    ("weight", 7, "weight", ".3g"),
)
"""Heading, width, field of a sub, format."""

_HEAD = f"{'sub':>6} {'filter':<6}" + "".join(f"{name:>{width}}" for name, width, *_ in COLUMNS) + "  verdict"
_NAMED = {"stack": "cannot be stacked", "rules": "by the rules", "hand": "by hand", "weight": "by its weight"}


class Grades(Panel):
    """Newest last; the cursor stays with its sub while new ones come, or at the end when it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, bool] = {}
        """What was asked for and is not yet so: frame id, and whether it shall be in."""

        self._cursor: str | None = None
        self._top = 0

    @property
    def index(self) -> int:
        """Where the cursor is; -1 without subs."""
        subs = self.state.subs
        if self._cursor is None:
            return len(subs) - 1
        return next((n for n, sub in enumerate(subs) if sub.frame_id == self._cursor), len(subs) - 1)

    @property
    def chosen(self) -> Sub | None:
        """The sub under the cursor."""
        return self.state.subs[self.index] if self.state.subs else None

    @property
    def page(self) -> int:
        """Rows that fit below the heading."""
        return max(self.size.height - 1, 1)

    def move(self, steps: int) -> None:
        """Take the cursor towards newer subs (positive) or older ones; at the newest it goes with them."""
        last = len(self.state.subs) - 1
        index = min(max(self.index + steps, 0), last)
        self._cursor = None if index >= last else self.state.subs[index].frame_id
        self.refresh()

    def toggle(self) -> Sub | None:
        """Note that the sub under the cursor shall change sides; None if there is none that can."""
        sub = self.chosen
        if sub is None or (not sub.accepted and sub.by == "stack"):
            return None
        self.asked[sub.frame_id] = not self.asked.get(sub.frame_id, sub.accepted)
        self.refresh()
        return sub

    def draw(self) -> Text:
        """The rows around the cursor, under the heading."""
        subs, index, page = self.state.subs, self.index, self.page
        if not subs:
            return Text("no sub has been graded yet", DIM)
        for sub in subs:
            if self.asked.get(sub.frame_id) is sub.accepted:
                del self.asked[sub.frame_id]
        self._top = min(max(self._top, index - page + 1, 0), index, max(len(subs) - page, 0))
        rows = [Text(_HEAD, DIM, no_wrap=True)]
        for number in range(self._top, min(self._top + page, len(subs))):
            row = self._row(subs[number])
            if number == index:
                row.stylize("reverse")
                row.pad_right(max(self.size.width - row.cell_len, 0))
            rows.append(row)
        for row in rows:
            row.truncate(max(self.size.width, 1), overflow="ellipsis")
        return Text("\n").join(rows)

    def _row(self, sub: Sub) -> Text:
        inside, waiting = sub.accepted, sub.frame_id in self.asked
        mark, colour = ("✓", GOOD) if inside else ("✗", BAD)
        row = Text.assemble(
            ("…", f"bold {ACCENT}") if waiting else (mark, f"bold {colour}"),
            (f"{sub.number:>5} ", TEXT if inside else DIM),
            (f"{sub.filter or '–':<6}"[:6], filter_colour(sub.filter)),
            no_wrap=True,
        )
        for _, width, field, form in COLUMNS:
            row.append(f"{figure(getattr(sub, field), form):>{width}}", TEXT if inside else DIM)
        row.append("  ")
        row.append(verdict(sub, waiting=waiting), DIM if inside else WARN)
        return row


def verdict(sub: Sub, *, waiting: bool = False) -> str:
    """In a word or two, the numbers behind it last."""
    if waiting:
        return "going back in" if not sub.accepted else "going out"
    if sub.accepted:
        return "in" if sub.by != "hand" else "in, by hand"
    return f"out, {_NAMED.get(sub.by, sub.by)}" if sub.by == "hand" or not sub.reason else sub.reason


def verdict_in_full(sub: Sub) -> Text:
    """One sub's verdict with all that was said, for a line of its own."""
    said = "in the stack" if sub.accepted else "not in the stack"
    why = ": ".join(filter(None, (sub.reason, sub.detail)))
    name = " ".join(filter(None, (f"sub {sub.number}", sub.filter)))
    return Text.assemble(
        (name, f"bold {filter_colour(sub.filter)}"),
        (f" {said}", GOOD if sub.accepted else WARN),
        ("" if sub.accepted and sub.by != "hand" else f", {_NAMED.get(sub.by, sub.by)}", DIM),
        (f": {why}" if why else "", TEXT),
        (f"  {sub.frame_id}", DIM),
    )
