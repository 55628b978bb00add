"""Colours, and the red filter that keeps dark-adapted eyes dark-adapted."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

TEXT, DIM, FAINT = "#d6dbe5", "#7f8aa0", "#3d475a"
GOOD, WARN, BAD, ACCENT = "#7ecf8a", "#ffc24b", "#ff6b5e", "#ffc24b"

FILTER_COLOURS = {
    "L": "#e8e8f0", "R": "#ff7b6e", "G": "#74d680", "B": "#6aa8ff",
    "Ha": "#ff5f8a", "OIII": "#4fd6c9", "SII": "#ffa552",
}  # fmt: skip
OTHER_COLOURS = ("#c9a6ff", "#9fe06a", "#ffb3d1", "#8fd3ff")

DARK = Theme(
    name="firstlight",
    primary="#5b8fd9",
    accent=ACCENT,
    foreground=TEXT,
    background="#0b0e14",
    surface="#11151e",
    panel="#161b26",
    success=GOOD,
    warning=WARN,
    error=BAD,
    dark=True,
)
RED = Theme(
    name="firstlight-red",
    primary="#c00000",
    accent="#ff0000",
    foreground="#ff0000",
    background="#000000",
    surface="#000000",
    panel="#000000",
    success="#ff0000",
    warning="#ff0000",
    error="#ff0000",
    dark=True,
)
KITTY_PLACEHOLDER = "\U0010eeee"


def filter_colour(name: str | None) -> str:
    """A filter's colour on the screen; unknown names get one of their own, always the same."""
    if not name:
        return FILTER_COLOURS["L"]
    known = FILTER_COLOURS.get(name) or FILTER_COLOURS.get(name[:1].upper() if len(name) > 3 else name)
    return known or OTHER_COLOURS[sum(map(ord, name)) % len(OTHER_COLOURS)]


class RedFilter(LineFilter):
    """Makes every colour on the screen pure red of the same brightness: no blue or green light is left."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - the base's signature
        """Redden a line. Kitty's placeholders carry an image's number in their colour and are left alone."""
        return [
            Segment(text, style if style is None or KITTY_PLACEHOLDER in text else _reddened(style), control)
            for text, style, control in segments
        ]


@lru_cache(maxsize=4096)
def _reddened(style: Style) -> Style:
    return style + Style.from_color(_red(style.color), _red(style.bgcolor))


def _red(color: RichColor | None) -> RichColor | None:
    if color is None or color.is_default:
        return color
    return RichColor.from_rgb(max(color.get_truecolor()), 0, 0)
