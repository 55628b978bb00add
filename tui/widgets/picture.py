"""The picture growing: half cells everywhere, the terminal's own pixels where it has them."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from PIL import Image, ImageChops
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Container
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from firstlight.snapshot import NightState, Picture
from firstlight.telling import duration
from numerics.counting import counted

LEVELS = 32
"""Shades kept in half cells: neighbours become equal, and runs of equal cells cost few bytes on the line."""
PIXELS_PER_CELL = (10, 20)
NO_PICTURE = "the first picture comes with the first stacked sub"
FEW_COLOURS = "no 24-bit colour here: ?"
"""On the picture's frame where half cells have too few colours to show it; the help says what to do."""


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
    if red:
        r, g, b = image.split()
        value = ImageChops.lighter(ImageChops.lighter(r, g), b)
        none = Image.new("L", image.size)
        image = Image.merge("RGB", (value, none, none))
    if shades < 256:
        step = 256 // shades
        image = image.point([min(round(v / step) * step, 255) for v in range(256)] * 3)
    return image


class PicturePanel(Container):
    """Shows the latest picture of a filter, or of the colours together."""

    def __init__(
        self,
        protocol: str = "halfcell",
        *,
        true_colour: bool = True,
        id: str | None = None,  # noqa: A002 - Textual's
    ) -> None:
        super().__init__(id=id)
        self.protocol = protocol
        self._note = "" if true_colour or protocol != "halfcell" else FEW_COLOURS
        self._canvas = _canvas(protocol)
        self.state = NightState()
        self.chosen: str | None = None
        """What was picked by key; until then it is the colours, or else the filter that is being shot."""
        self._picked = False
        self._painted: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """The canvas, and the words that stand there while it is empty."""
        yield Static(NO_PICTURE, id="no-picture")
        yield self._canvas

    def show(self, state: NightState) -> None:
        """Take a new state; the file is read again only when the state says that it was painted anew."""
        self.state = state
        self._title()
        if self.current() is None:
            self.query_one("#no-picture", Static).update(_instead(state))
        self.paint()

    def choose(self, step: int) -> None:
        """The next picture (1) or the one before (−1)."""
        pictures, now = self._ordered(), self.current()
        if now in pictures:
            self.chosen = pictures[(pictures.index(now) + step) % len(pictures)].filter
            self._picked = True
            self.show(self.state)

    def current(self) -> Picture | None:
        """The picture on show; before there is one, the newest frame as it came."""
        pictures = self._ordered()
        if not pictures:
            return self.state.newest
        if self._picked:
            return next((each for each in pictures if each.filter == self.chosen), None)
        if pictures[0].filter is not None:
            return next((each for each in pictures if each.filter == self.state.filter), pictures[-1])
        return pictures[0]

    def _ordered(self) -> list[Picture]:
        """Colour first, the filters as they came."""
        return sorted(self.state.pictures, key=lambda each: each.filter is not None)

    def paint(self, *, red: bool | None = None) -> None:
        """Read and draw the current picture off the event loop, unless it is on show as it is."""
        picture, room = self.current(), self.query_one("#canvas").size
        red = self.app.theme.endswith("red") if red is None else red
        wanted = (picture, room, red)
        if picture is None or not room.area or wanted == self._painted:
            return
        self._painted = wanted
        # A function, not its coroutine: one that is cancelled before its turn is never begun.
        self.run_worker(partial(self._paint, picture, room, red=red), exclusive=True)  # type: ignore[arg-type]  # its result is None

    async def _paint(self, picture: Picture, room: Size, *, red: bool) -> None:
        cell = (1, 2) if self.protocol == "halfcell" else PIXELS_PER_CELL
        size = (room.width * cell[0], room.height * cell[1])
        shades = LEVELS if self.protocol == "halfcell" else 256
        path = Path(self.state.root) / picture.path
        words = self.query_one("#no-picture", Static)
        try:
            image = await asyncio.to_thread(load, path, size, shades=shades, red=red)
        except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
            words.update(f"cannot show {path}: {error}")
            words.display = True
            self._painted = ()
            return
        words.display = False
        cast(Canvas, self.query_one("#canvas")).image = image

    def _title(self) -> None:
        title, subtitle = self._titles()
        if (title, subtitle) != (self.border_title, self.border_subtitle):  # setting one paints all anew
            self.border_title, self.border_subtitle = title, subtitle

    def _titles(self) -> tuple[str, str]:
        picture = self.current()
        if picture is None:
            return "Picture", self._note
        if picture is self.state.newest:
            return f"{picture.filter}, as it came", self._note
        title = _label(picture, self.state)
        stack = next((each for each in self.state.stacks if each.filter == picture.filter), None)
        if stack:
            title += f" · {counted(stack.subs, 'sub')} · {duration(stack.exposure_s)}"
            title += f" · SNR ×{stack.snr_gain:.1f}" if stack.snr_gain else ""
        others = [_label(each, self.state) for each in self._ordered() if each != picture]
        keys = f"← → {' '.join(others)}" if others else ""
        return title, " · ".join(filter(None, (self._note, keys)))


def _instead(state: NightState) -> str:
    """The words where the first picture will be."""
    if state.compiling is None:
        return NO_PICTURE
    return f"compiling for this machine, once: {state.compiling:.0%}\nexposures go on meanwhile\n{NO_PICTURE}"


def _label(picture: Picture, state: NightState) -> str:
    return picture.filter or ("colour" if len(state.pictures) > 1 else "picture")


def _canvas(protocol: str) -> Widget:
    """The widget for a protocol; textual-image is loaded only where it is needed.

    Loading it asks the terminal for its cells' size, so this must come before Textual reads the answers.
    """
    if protocol == "halfcell":
        return HalfCells(id="canvas")
    from textual_image.widget import SixelImage, TGPImage

    widget: Widget = (TGPImage if protocol == "kitty" else SixelImage)(id="canvas")
    return widget
