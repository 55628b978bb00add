"""Subframes: which rows and columns of a master are a light's, so that full-frame masters serve them, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.frames import FrameMeta
from library.mosaics import flipped, shifted, tall


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What of a sensor a frame shows: its size, where it begins (None: not told), and its mosaic there."""

    width: int
    height: int
    origin: tuple[int, int] | None
    bayer_pattern: str | None
    row_order: str | None = None

    @classmethod
    def of(cls, meta: FrameMeta) -> Extent:
        """That of a frame."""
        return cls(
            width=meta.width,
            height=meta.height,
            origin=meta.origin,
            bayer_pattern=meta.bayer_pattern,
            row_order=meta.row_order,
        )

    def within(self, whole: Extent) -> tuple[slice, slice] | None:
        """The rows and columns of a larger frame that are this one; None if it does not show all of them.

        Both must say where they begin: of a frame that does not, one can only guess. So it is with rows that
        lie the other way round, whose first one has another number.
        """
        if self.origin is None or whole.origin is None or self.is_turned(whole):
            return None
        left, top = self.origin[0] - whole.origin[0], self.origin[1] - whole.origin[1]
        if left < 0 or top < 0 or left + self.width > whole.width or top + self.height > whole.height:
            return None
        return slice(top, top + self.height), slice(left, left + self.width)

    def is_turned(self, other: Extent) -> bool:
        """Whether the rows of both are known, and one's first is the other's last."""
        return _are_turned(self.row_order, other.row_order)

    def piece(self, pixels: NDArray[Any], whole: Extent) -> NDArray[Any]:
        """So much of a master (H, W) of that extent as lies on this one, contiguous, its rows as this one's.

        Three planes become (3 H, W). All of it where it is of this size, or where it does not cover this:
        whoever applies it will tell.
        """
        if pixels.shape[:2] == (self.height, self.width):
            return tall(np.ascontiguousarray(pixels[::-1]) if self.is_turned(whole) else pixels)
        window = self.within(whole)
        return tall(pixels if window is None else np.ascontiguousarray(pixels[window]))


def can_be_turned(whole: FrameMeta, frame: FrameMeta) -> bool:
    """Whether turning a master over makes it the frame's: they are one size, from the sensor's first row.

    From which end YORGSUBF counts is not told where rows lie the other way round.
    """
    sizes = (whole.width, whole.height) == (frame.width, frame.height)
    first = all(meta.origin is None or meta.origin[1] == 0 for meta in (whole, frame))
    return sizes and first and _are_turned(whole.row_order, frame.row_order)


def _are_turned(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def pattern_at(whole: FrameMeta, frame: FrameMeta) -> str | None:
    """The Bayer pattern of a master where a frame begins, its rows turned over where that is needed."""
    if whole.bayer_pattern is not None and can_be_turned(whole, frame):
        return flipped(whole.bayer_pattern, whole.height)
    if whole.bayer_pattern is None or whole.origin is None or frame.origin is None:
        return whole.bayer_pattern
    columns, rows = (there - here for there, here in zip(frame.origin, whole.origin, strict=True))
    return shifted(whole.bayer_pattern, columns, rows)
