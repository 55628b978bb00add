"""Where a one-plane picture lies in a file of plain words, and reading pieces of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.errors import NotAFitsFileError
from library.sections import Section

_WIDE = 0.5
"""From this share of a stored row on, whole rows are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``start`` is the byte of the first stored pixel, ``picture`` lies in rows of ``stored_width``."""

    start: int
    dtype: np.dtype[Any]
    stored_width: int
    picture: Section

    @classmethod
    def whole(cls, start: int, dtype: np.dtype[Any], shape: tuple[int, int]) -> Layout:
        """That of an array (H, W) that is all picture."""
        picture = Section(top=0, bottom=shape[0], left=0, right=shape[1])
        return cls(start=start, dtype=dtype, stored_width=shape[1], picture=picture)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.picture.shape

    def read(self, descriptor: int, rows: slice, columns: slice, path: Path) -> NDArray[Any]:
        """Some rows and columns of the picture, contiguous, as stored.

        Raises :class:`NotAFitsFileError` if the file ends before.
        """
        (top, bottom, _), (left, right, _) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        height, width = max(bottom - top, 0), max(right - left, 0)
        top, left = top + self.picture.top, left + self.picture.left
        if width >= _WIDE * self.stored_width:
            whole = np.empty((height, self.stored_width), self.dtype)
            read_at(descriptor, whole, self._at(top, 0), path)
            return np.ascontiguousarray(whole[:, left : left + width])
        stored = np.empty((height, width), self.dtype)
        for y, row in enumerate(stored, top):
            read_at(descriptor, row, self._at(y, left), path)
        return stored

    def read_rows(self, descriptor: int, top: int, bottom: int, into: NDArray[Any], path: Path) -> None:
        """Fill a flat array with whole rows of the picture; as :meth:`read`, and without a copy if it can."""
        if self.shape[1] == self.stored_width:
            read_at(descriptor, into, self._at(self.picture.top + top, 0), path)
        else:
            into[:] = self.read(descriptor, slice(top, bottom), slice(None), path).ravel()

    def _at(self, y: int, x: int) -> int:
        return self.start + (y * self.stored_width + x) * self.dtype.itemsize


def read_at(descriptor: int, into: NDArray[Any], at: int, path: Path) -> None:
    """Fill an array from so many bytes on; raises :class:`NotAFitsFileError` if the file ends before."""
    if not fill_at(descriptor, into, at):
        raise NotAFitsFileError(f"{path}: is cut short; take it out of the set")


def fill_at(descriptor: int, into: NDArray[Any], at: int) -> bool:
    """Fill a contiguous array from so many bytes on; False if the file ends before."""
    view = into.reshape(-1).view(np.uint8).data
    while view:
        count = os.preadv(descriptor, [view], at)
        if not count:
            return False
        view, at = view[count:], at + count
    return True
