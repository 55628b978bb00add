"""The picture growing: half cells everywhere, the terminal's own pixels where it has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

LEVELS = 32
"""Shades kept in half cells: neighbours become equal, and runs of equal cells cost few bytes on the line."""
PIXELS_PER_CELL = (10, 20)


class Canvas(Protocol):
    """A widget that shows an image it is given."""

    image: Image.Image | None


class HalfCells(Widget):
    """Shows an image with two pixels in a cell, one above the other."""

    _image: Image.Image | None = None

    @property
    def image(self) -> Image.Image | None:
        """RGB, at most as wide as the widget and twice as high."""
        return self._image

    @image.setter
    def image(self, image: Image.Image | None) -> None:
        self._image = image
        self._strips = strips(image, self.size, self.rich_style) if image else []
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Called by Textual."""
        if self._image is None or y >= len(self._strips):
            return Strip.blank(self.size.width, self.rich_style)
        return self._strips[y]


def strips(image: Image.Image, size: Size, around: Style) -> list[Strip]:
    """The image as lines of half cells, centred; runs of equal cells are one segment."""
    image = image if image.height % 2 == 0 else image.crop((0, 0, image.width, image.height + 1))
    left, top = max(size.width - image.width, 0) // 2, max(size.height - image.height // 2, 0) // 2
    lines = [Strip.blank(size.width, around)] * top
    raw, width = image.tobytes(), image.width * 3
    for row in range(0, image.height, 2):
        upper, lower = (raw[at * width : (at + 1) * width] for at in (row, row + 1))
        cells = [upper[at : at + 3] + lower[at : at + 3] for at in range(0, width, 3)]
        runs: list[list[Any]] = []
        for cell in cells:
            if runs and runs[-1][0] == cell:
                runs[-1][1] += 1
            else:
                runs.append([cell, 1])
        segments = [
            Segment("▀" * n, Style(color=Color.from_rgb(*cell[:3]), bgcolor=Color.from_rgb(*cell[3:])))
            for cell, n in runs
        ]
        line = Strip([Segment(" " * left, around), *segments], left + image.width)
        lines.append(line.adjust_cell_length(size.width, around))
    return lines


def load(path: Path, size: tuple[int, int], *, shades: int = 256, red: bool = False) -> Image.Image:
    """A picture from its file, made to fit ``size`` (width, height), RGB."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    # Sharper filters put dark rings around stars.
    image.thumbnail(size, Image.Resampling.HAMMING, reducing_gap=2.0)
