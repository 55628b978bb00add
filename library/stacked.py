"""Many frames of one size, read a few rows at a time: the memory they need does not grow with their size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from statistics import fmean
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from library.agreement import median
from library.decoding import holds_words, stored_dtype
from library.errors import LibraryError, NotAFitsFileError
from library.layout import Layout, read_at
from library.reading import (
    image_shape,
    layout_of,
    open_image,
    plain_overscan_adu,
    read_frame,
    read_rows,
)

_WORDS = np.dtype(np.uint16)


@dataclass(frozen=True, slots=True)
class _Source:
    """One frame: where its pixels lie as big-endian words, or unpacked, or neither."""

    path: Path
    shape: tuple[int, ...]
    integers: bool
    overscan_adu: float | None
    words: Layout | None = None
    unpacked: IO[bytes] | None = None

    def read_words(self, into: NDArray[np.uint16], top: int, bottom: int) -> None:
        """Fill a flat array with rows of the picture as they lie in the file."""
        assert self.words is not None
        if self.unpacked is not None:
            self.words.read_rows(self.unpacked.fileno(), top, bottom, into, self.path)
            return
        try:
            with self.path.open("rb", buffering=0) as file:
                self.words.read_rows(file.fileno(), top, bottom, into, self.path)
        except OSError as error:
            raise NotAFitsFileError(f"{self.path}: {error.strerror}; take it out of the set") from error

    def read_floats(self, into: NDArray[np.float32], top: int, bottom: int) -> None:
        """Fill a flat array with rows of the picture."""
        if self.unpacked is None:
            into[:] = read_rows(self.path, slice(top, bottom), in_adu=True).ravel()
        elif self.words is None:
            read_at(self.unpacked.fileno(), into, 4 * top * self.shape[1], self.path)
        else:
            words = np.empty(into.shape, np.uint16)
            self.read_words(words, top, bottom)
            into[:] = words.byteswap(inplace=True) ^ np.uint16(0x8000)


class Frames:
    """Frames to be combined; ``shape`` (H, W). ``words``: all are uint16 that can be read unconverted."""

    def __init__(self, sources: Sequence[_Source]) -> None:
        self._sources = sources
        self.shape: tuple[int, int] = _common_shape(sources)
        self.words = all(source.words is not None for source in sources)
        self.grain = float(all(source.integers for source in sources))
        """1 ADU if all hold integers, else 0."""

        levels = [source.overscan_adu for source in sources if source.overscan_adu is not None]
        self.overscan_adu = fmean(levels) if len(levels) == len(sources) else None
        """The mean level of their overscans, if all have one."""

    def __len__(self) -> int:
        return len(self._sources)

    def only(self, indices: Sequence[int]) -> Frames:
        """Some of them."""
        return Frames([self._sources[index] for index in indices])

    @property
    def paths(self) -> tuple[Path, ...]:
        """Their files."""
        return tuple(source.path for source in self._sources)

    def read_words(self, top: int, bottom: int) -> NDArray[np.uint16]:
        """Rows of all frames (N, rows · W) as they lie in the files: big-endian, 32768 to be added."""
        width = self.shape[1]
        words = np.empty((len(self), (bottom - top) * width), np.uint16)
        for source, row in zip(self._sources, words, strict=True):
            source.read_words(row, top, bottom)
        return words

    def read_floats(self, top: int, bottom: int) -> NDArray[np.float32]:
        """Rows of all frames (N, rows · W) as float32."""
        if self.words:
            stored = self.read_words(top, bottom)
            return (stored.byteswap(inplace=True) ^ np.uint16(0x8000)).astype(np.float32)
        floats = np.empty((len(self), (bottom - top) * self.shape[1]), np.float32)
        for source, row in zip(self._sources, floats, strict=True):
            source.read_floats(row, top, bottom)
        return floats

    def read_filled(self, top: int, bottom: int) -> NDArray[np.float32]:
        """As :meth:`read_floats`, for those that want numbers only.

        A pixel without a value is what the other frames have there, or else what they have elsewhere.
        """
        samples = self.read_floats(top, bottom)
        lost = np.isnan(samples)
        if lost.any():
            middle = median(samples, axis=0)
            middle[np.isnan(middle)] = np.nan_to_num(median(middle))
            samples[lost] = np.broadcast_to(middle, samples.shape)[lost]
        return samples


def filled(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """A frame with its own median where it has no value; as it is if it has one everywhere."""
    lost = np.isnan(pixels)
    return np.where(lost, np.float32(np.nan_to_num(median(pixels))), pixels) if lost.any() else pixels


@contextmanager
def open_frames(paths: Sequence[Path]) -> Iterator[Frames]:
    """Look at the headers; packed frames are unpacked into temporary files for as long as this is open.

    Raises :class:`LibraryError` for frames of different sizes, :class:`NotAFitsFileError`.
    """
    if not paths:
        raise LibraryError("there are no frames to combine")
    with ExitStack() as stack:
        yield Frames([_source(path, stack) for path in paths])


def _source(path: Path, stack: ExitStack) -> _Source:
    with open_image(path, in_adu=True) as (stream, unit):
        if isinstance(stream, BufferedReader) and not unit.is_compressed_image:
            shape = image_shape(unit)
            words = replace(layout_of(unit), dtype=_WORDS) if holds_words(unit) else None
            return _Source(
                path,
                layout_of(unit).shape if len(shape) == 2 else shape,
                integers=stored_dtype(unit).kind != "f",
                overscan_adu=plain_overscan_adu(stream, unit),
                words=words,
            )
    frame = read_frame(path, in_adu=True)
    pixels = frame.pixels
    is_words = pixels.dtype == np.uint16
    file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    stored: NDArray[Any] = (
        (pixels ^ np.uint16(0x8000)).astype(">u2") if is_words else pixels.astype(np.float32)
    )
    file.write(np.ascontiguousarray(stored).data)
    file.flush()
    return _Source(
        path,
        pixels.shape,
        integers=pixels.dtype.kind != "f",
        overscan_adu=frame.overscan_adu,
        words=Layout.whole(0, _WORDS, (pixels.shape[0], pixels.shape[1])) if is_words else None,
        unpacked=file,
    )


def _common_shape(sources: Sequence[_Source]) -> tuple[int, int]:
    shapes: dict[tuple[int, ...], Path] = {}
    for source in sources:
        shapes.setdefault(source.shape, source.path)
    first = next(iter(shapes))
    if len(shapes) > 1 or len(first) != 2:
        listed = ", ".join(f"{path.name} is {shape}" for shape, path in shapes.items())
        raise LibraryError(f"frames of different sizes or with colour planes cannot be combined: {listed}")
    return first[0], first[1]
