"""Plots made of braille dots: two by four dots in a cell, one colour in a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

from rich.text import Text

from tui.palette import DIM, FAINT

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille bits by row and column of a cell."""


class Canvas:
    """A grid of dots, addressed from the lower left corner in fractions of its width and height."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._bits = [[0] * columns for _ in range(rows)]
        self._colours = [[""] * columns for _ in range(rows)]

    def dot(self, x: float, y: float, colour: str) -> None:
        """Set the dot nearest to a point; outside 0…1 nothing is drawn."""
        if 0 <= x <= 1 and 0 <= y <= 1:
            self._set(round(x * (2 * self.columns - 1)), round((1 - y) * (4 * self.rows - 1)), colour)

    def _set(self, column: int, row: int, colour: str) -> None:
        self._bits[row // 4][column // 2] |= DOTS[row % 4][column % 2]
        self._colours[row // 4][column // 2] = colour

    def line(self, points: Sequence[tuple[float, float]], colour: str, *, every: int = 1) -> None:
        """Join points by straight lines; ``every`` above 1 leaves gaps."""
        for (x0, y0), (x1, y1) in pairwise(points):
            steps = max(int(abs(x1 - x0) * 2 * self.columns), int(abs(y1 - y0) * 4 * self.rows), 1)
            for step in range(0, steps + 1, every):
                part = step / steps
                self.dot(x0 + part * (x1 - x0), y0 + part * (y1 - y0), colour)

    def lines(self) -> list[Text]:
        """The rows, top first."""
        rows = []
        for bits, colours in zip(self._bits, self._colours, strict=True):
            row = Text(no_wrap=True)
            cells = zip(bits, colours, strict=True)
            for colour, run in groupby(cells, key=itemgetter(1)):  # one run costs one colour code on the line
                row.append("".join(chr(0x2800 + bit) if bit else " " for bit, _ in run), colour)
            rows.append(row)
        return rows


@dataclass(frozen=True, slots=True)
class Axis:
    """Tick labels and where they stand, as fractions of the axis."""

    ticks: tuple[tuple[float, str], ...]


def framed(canvas: Canvas, x: Axis, y: Axis) -> Text:
    """The canvas with its axes: labels on the left and below."""
    gutter = max((len(label) for _, label in y.ticks), default=0)
    labels = {round((1 - at) * (canvas.rows - 1)): label for at, label in reversed(y.ticks)}
    rows = []
    for index, row in enumerate(canvas.lines()):
        label = labels.get(index, "")
        rows.append(Text.assemble((label.rjust(gutter), DIM), ("┤" if label else "│", FAINT), row))
    rows.append(Text(" " * gutter + "└" + "─" * canvas.columns, FAINT))
    rows.append(Text(" " * (gutter + 1) + _spread(x.ticks, canvas.columns), DIM))
    return Text("\n").join(rows)


def _spread(ticks: Iterable[tuple[float, str]], width: int) -> str:
    """Labels below an axis, centred under their ticks; one that would touch its neighbour is left out."""
    line = [" "] * width
    for at, label in ticks:
        start = min(max(round(at * (width - 1)) - len(label) // 2, 0), width - len(label))
        if start >= 0 and not "".join(line[max(start - 1, 0) : start + len(label) + 1]).strip():
            line[start : start + len(label)] = label
    return "".join(line)
