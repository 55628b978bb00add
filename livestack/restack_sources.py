"""Subs on disk that have their place in a stack, and the pieces of them that some tiles need."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from library.errors import LibraryError
from library.mosaics import RGB
from library.windows import Spool, WindowedFrame, open_pixels
from livestack.errors import LiveStackError, MismatchError
from livestack.kernels.combining import reach_of
from livestack.kernels.registering import Course
from livestack.masters import Masters, check_shapes
from livestack.placing import Placed
from livestack.planes import Light
from livestack.survey import counts, framed
from measure.kernels.frames import Frame

Window = tuple[slice, slice]


class Source(Protocol):
    """A sub that has its place in a stack. ``window`` is called by several threads at once."""

    @property
    def name(self) -> str:
        """What a user knows it by."""

    @property
    def placed(self) -> Placed:
        """Its place, scale, level and weight."""

    @property
    def masters(self) -> Masters:
        """What calibrates it, at the sub's own ``placed.dark_factor`` and ``placed.shift_adu``."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frame."""

    def window(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Some of its raw pixels, (rows, columns), or (3, rows, columns) of three planes.

        Raises :class:`LibraryError` or OSError.
        """


class SourceError(LiveStackError):
    """A sub cannot be read any more; ``source`` is the one. Stack the others without it."""

    def __init__(self, source: Source, reason: str) -> None:
        super().__init__(reason)
        self.source = source


@dataclass(slots=True, eq=False)
class StoredSub:
    """A sub in a file, opened at the first use. Packed ones should share a ``spool``."""

    path: Path
    placed: Placed
    masters: Masters = field(default_factory=Masters)
    spool: Spool | None = None
    _frame: WindowedFrame | None = None

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self._opened().shape

    def window(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Some of its raw pixels."""
        return self._opened().window(rows, columns)

    def frame(self) -> Frame:
        """All of it, for :func:`livestack.drizzle.drizzle`."""
        whole = light_for(self, (slice(None), slice(None)))
        return framed(whole.raw, whole.masters, self.placed.patches)

    def _opened(self) -> WindowedFrame:
        if self._frame is None:
            self._frame = open_pixels(self.path, self.spool, in_adu=True)
        return self._frame


def window_for(source: Source, way: Course, start: int, size: tuple[int, int]) -> Window | None:
    """Rows and columns of a sub that tiles ``start`` and on, of a picture of ``size``, need; None if no such.

    ``way`` is the course into these tiles alone. Raises :class:`SourceError`.
    """
    with _told_by_name(source):
        top, bottom, left, right = reach_of(way, start, size, source.shape)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def light_for(source: Source, window: Window) -> Light:
    """A sub of full size of which only some rows and columns have pixels, and take memory.

    Raises :class:`SourceError`.
    """
    with _told_by_name(source):
        height, width = source.shape
        planes = 3 if source.placed.bayer_pattern == RGB else 1
        check_shapes(source.masters, (planes * height, width))
        piece = counts(source.window(*window))
        raw = _virtual((planes, height, width), piece.dtype)
    raw[(slice(None), *window)] = piece
    return Light(raw.reshape(-1, width), _masters_at(source, window), source.placed)


@contextmanager
def _told_by_name(source: Source) -> Iterator[None]:
    try:
        yield
    except (LibraryError, OSError, MismatchError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceError(source, reason if source.name in reason else f"{source.name}: {reason}") from error


def _masters_at(source: Source, window: Window) -> Masters:
    """The masters at the sub's bias level, with so much of a scalable dark as it holds where needed."""
    masters, factor = replace(source.masters, shift_adu=source.placed.shift_adu), source.placed.dark_factor
    dark = masters.scalable_dark
    if dark is None or factor is None:
        return masters
    if source.placed.bayer_pattern == RGB:
        return replace(masters, pedestal_adu=dark.pedestal(factor), scalable_dark=None)
    here = replace(
        dark,
        bias_adu=dark.bias_adu[window],
        current_adu=dark.current_adu[window],
        glow_adu=dark.glow_adu[window],
    )
    pedestal = _virtual(dark.bias_adu.shape, np.float32)
    pedestal[window] = here.pedestal(factor)
    return replace(masters, pedestal_adu=pedestal, scalable_dark=None)


def _virtual(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array that takes memory only where it is written to, and gives all of it back."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(room, dtype).reshape(shape)
