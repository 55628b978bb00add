"""The sections of a frame that its header names after IRAF: the picture, and the overscan beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from library.cards import CardValue

_SECTION = re.compile(r"\[\s*(\d{1,9})\s*:\s*(\d{1,9})\s*,\s*(\d{1,9})\s*:\s*(\d{1,9})\s*\]")
_MAD = 1.4826
_OUTLIER_SIGMA = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of an array, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns, to index an array with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def overlaps(self, other: Section) -> bool:
        """Whether they share a pixel."""
        rows = self.top < other.bottom and other.top < self.bottom
        return rows and self.left < other.right and other.left < self.right


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """Where the picture lies in a stored array, and its overscan, if the header names one."""

    picture: Section
    overscan: Section | None = None


def sections_of(header: Mapping[str, CardValue], height: int, width: int) -> Sections:
    """The sections of a stored array of that size.

    TRIMSEC is the picture; without it DATASEC is, where there is a BIASSEC beside it. A section that cannot
    be read, that runs backwards, leaves the array, or is all of it, is none; so is an overscan that the
    picture overlaps, and one of an array that has no picture in it: it was trimmed, and the card was left.
    """
    overscan = _section(header.get("BIASSEC"), height, width)
    picture = _section(header.get("TRIMSEC"), height, width)
    if picture is None and overscan is not None:
        picture = _section(header.get("DATASEC"), height, width)
        if picture is not None and picture.overlaps(overscan):
            picture = None
    if picture is None:
        return Sections(picture=Section(top=0, bottom=height, left=0, right=width))
    if overscan is not None and overscan.overlaps(picture):
        overscan = None
    return Sections(picture=picture, overscan=overscan)


def overscan_level_adu(pixels: NDArray[np.generic]) -> float | None:
    """The level of an overscan's pixels, hits left out; None if not one of them is a number.

    The mean of what lies within 5 robust sigmas of the median: the median alone goes by whole ADU.
    """
    values = np.asarray(pixels, np.float64).ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    middle = float(np.median(values))
    spread = max(_MAD * float(np.median(np.abs(values - middle))), 0.5)
    return float(values[np.abs(values - middle) <= _OUTLIER_SIGMA * spread].mean())


def _section(text: CardValue, height: int, width: int) -> Section | None:
    """What ``[x1:x2,y1:y2]`` names, 1-based and inclusive; None for what is no part of the array."""
    match = _SECTION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    x1, x2, y1, y2 = (int(number) for number in match.groups())
    inside = 1 <= x1 <= x2 <= width and 1 <= y1 <= y2 <= height
    if not inside or (x2 - x1 + 1, y2 - y1 + 1) == (width, height):
        return None
    return Section(top=y1 - 1, bottom=y2, left=x1 - 1, right=x2)
