"""An image in a file that is no FITS: what its header says, and its pixels when they are wanted.

Readers meet hostile bytes. Each one checks what a file announces against the file's own size before memory is
taken (:func:`justify`), and whatever its decoder raises becomes an :class:`UnreadableImageError` that names
the file (:func:`decoding`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.errors import LibraryError, UnreadableImageError
from library.opening import open_file

MOST_PER_BYTE = 1100
"""No byte of a packed file stands for more bytes of pixels: deflate, the densest of the usual, has 1032."""

LARGEST_BYTES = 6_000_000_000
"""No camera's frame is larger: 250 million pixels of three floats are half of it."""

_ALWAYS_FINE = 65_536
_REMEDY = "check that it was copied whole"


@dataclass(frozen=True, slots=True)
class Data:
    """The bytes of a file: on disk, or in memory as a device sent them. ``name`` is what errors call it."""

    name: str
    size: int
    path: Path | None = None
    buffer: bytes | None = None

    @classmethod
    def of_file(cls, path: Path) -> Data:
        """Those of a file. Raises OSError, also for what is no file of bytes (see :mod:`library.opening`)."""
        with open_file(path) as file:
            return cls(str(path), os.fstat(file.fileno()).st_size, path=path)

    @classmethod
    def of_bytes(cls, buffer: bytes, name: str) -> Data:
        """Those that are at hand."""
        return cls(name, len(buffer), buffer=buffer)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The bytes as a stream. Raises OSError."""
        if self.buffer is not None:
            yield BytesIO(self.buffer)
            return
        assert self.path is not None
        with open_file(self.path) as file:
            yield file

    def piece(self, start: int, count: int) -> bytes:
        """So many bytes from there on, fewer at the end of the file; never more than the file has."""
        start = min(max(start, 0), self.size)
        count = min(max(count, 0), self.size - start)
        if self.buffer is not None:
            return self.buffer[start : start + count]
        assert self.path is not None
        with open_file(self.path) as file:
            return os.pread(file.fileno(), count, start)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForeignImage:
    """One image: ``planes`` is 1 or 3, ``cards`` are what describes it as a FITS header would.

    ``load`` decodes the pixels, (H, W) or (H, W, 3) of ``dtype``; use :meth:`pixels`, which checks them.
    ``end`` is where its pixels (of a sequence, those of the last frame) end in the file; ``notes`` are what a
    user should be told.
    """

    data: Data
    format: str
    height: int
    width: int
    planes: int
    dtype: np.dtype[Any]
    cards: tuple[Card, ...]
    load: Callable[[], NDArray[Any]]
    end: int
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """That of its pixels."""
        return (self.height, self.width) if self.planes == 1 else (self.height, self.width, self.planes)

    def pixels(self) -> NDArray[Any]:
        """Decode it, into an array that is the caller's. Raises :class:`UnreadableImageError`."""
        with decoding(self.data, self.format):
            pixels = self.load()
            if pixels.shape != self.shape or pixels.dtype != self.dtype:
                raise ValueError(
                    f"holds {pixels.dtype} of {pixels.shape} where {self.dtype} of {self.shape} is announced"
                )
            # A read-only array is another type to a compiled loop, which would be compiled once more for it.
            return np.require(pixels, requirements=("C", "W"))


@contextmanager
def decoding(data: Data, what: str) -> Iterator[None]:
    """Whatever a decoder of foreign bytes raises is an error of ours that names the file."""
    try:
        yield
    except LibraryError:
        raise
    except Exception as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = " ".join((told or type(error).__name__).split())[:200]
        raise UnreadableImageError(
            f"{data.name}: is no {what} that can be read: {reason}; {_REMEDY}"
        ) from error


def refused(data: Data, reason: str) -> UnreadableImageError:
    """A file that is what it claims to be, and cannot be used all the same."""
    return UnreadableImageError(f"{data.name}: {reason}")


def justify(
    data: Data,
    what: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    stored_bytes: int,
    *,
    packed: bool,
    most_per_byte: int = MOST_PER_BYTE,
) -> None:
    """Refuse an image whose pixels cannot lie in so many bytes of the file.

    Raises :class:`UnreadableImageError`.
    """
    sides = "×".join(str(n) for n in shape)
    if min(shape) < 1:
        raise refused(data, f"announces an image of {sides} pixels; {_REMEDY}")
    wanted, there = math.prod(shape) * dtype.itemsize, min(stored_bytes, data.size)
    if wanted > LARGEST_BYTES:
        raise refused(data, f"announces {sides} pixels, {wanted / 1e9:.3g} GB: more than any camera's frame")
    if not packed and wanted > there:
        raise refused(data, f"is cut short: {there} of {wanted} bytes of pixels; {_REMEDY}")
    if packed and wanted > max(there * most_per_byte, _ALWAYS_FINE):
        raise refused(data, f"announces {sides} pixels in {there} bytes, which no {what} can hold; {_REMEDY}")
