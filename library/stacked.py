"""Many frames of one size, read a few rows at a time: the memory they need does not grow with their size."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from library.cards import HeaderUnit
from library.errors import LibraryError, NotAFitsFileError
from library.reading import image_shape, open_image, read_frame, read_rows, stored_dtype


@dataclass(frozen=True, slots=True)
class _Source:
    """One frame: where its pixels lie as big-endian words, or unpacked, or neither."""

    path: Path
    shape: tuple[int, ...]
    integers: bool
    words_at: int | None = None
    unpacked: IO[bytes] | None = None


class Frames:
    """Frames to be combined; ``shape`` (H, W). ``words``: all are uint16 that can be read unconverted."""

    def __init__(self, sources: Sequence[_Source]) -> None:
        self._sources = sources
        self.shape: tuple[int, int] = _common_shape(sources)
        self.words = all(source.words_at is not None for source in sources)
        self.grain = float(all(source.integers for source in sources))
        """1 ADU if all hold integers, else 0."""

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
            assert source.words_at is not None
            at = source.words_at + 2 * top * width
            if source.unpacked is not None:
                read_at(source.unpacked.fileno(), row, at, source.path)
                continue
            try:
                with source.path.open("rb", buffering=0) as file:
                    read_at(file.fileno(), row, at, source.path)
            except OSError as error:
                raise NotAFitsFileError(f"{source.path}: {error.strerror}; take it out of the set") from error
        return words

    def read_floats(self, top: int, bottom: int) -> NDArray[np.float32]:
        """Rows of all frames (N, rows · W) as float32."""
        if self.words:
            stored = self.read_words(top, bottom)
            return (stored.byteswap(inplace=True) ^ np.uint16(0x8000)).astype(np.float32)
        floats = np.empty((len(self), (bottom - top) * self.shape[1]), np.float32)
        for source, row in zip(self._sources, floats, strict=True):
            if source.unpacked is None:
                row[:] = read_rows(source.path, slice(top, bottom)).reshape(-1)
            elif source.words_at is None:
                read_at(source.unpacked.fileno(), row, 4 * top * self.shape[1], source.path)
            else:
                stored = np.empty(row.shape, np.uint16)
                read_at(source.unpacked.fileno(), stored, 2 * top * self.shape[1], source.path)
                row[:] = stored.byteswap(inplace=True) ^ np.uint16(0x8000)
        return floats


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
    with open_image(path) as (stream, unit):
        plain = isinstance(stream, BufferedReader) and not unit.is_compressed_image
        if plain:
            return _Source(
                path,
                image_shape(unit),
                integers=stored_dtype(unit).kind != "f",
                words_at=unit.data_start if _holds_words(unit) else None,
            )
    pixels = read_frame(path).pixels
    words = pixels.dtype == np.uint16
    file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    stored: NDArray[Any] = (pixels ^ np.uint16(0x8000)).astype(">u2") if words else pixels.astype(np.float32)
    file.write(np.ascontiguousarray(stored).data)
    file.flush()
    return _Source(path, pixels.shape, pixels.dtype.kind != "f", 0 if words else None, file)


def _holds_words(unit: HeaderUnit) -> bool:
    return (
        stored_dtype(unit) == ">i2"
        and unit.values.get("BZERO") == 32768
        and unit.values.get("BSCALE", 1) in {None, 1}
    )


def read_at(descriptor: int, into: NDArray[Any], at: int, path: Path) -> None:
    """Fill an array from so many bytes on; raises :class:`NotAFitsFileError` if the file ends before."""
    view = into.view(np.uint8).data
    while view:
        count = os.preadv(descriptor, [view], at)
        if not count:
            raise NotAFitsFileError(f"{path}: is cut short; take it out of the set")
        view, at = view[count:], at + count


def _common_shape(sources: Sequence[_Source]) -> tuple[int, int]:
    shapes: dict[tuple[int, ...], Path] = {}
    for source in sources:
        shapes.setdefault(source.shape, source.path)
    first = next(iter(shapes))
    if len(shapes) > 1 or len(first) != 2:
        listed = ", ".join(f"{path.name} is {shape}" for shape, path in shapes.items())
        raise LibraryError(f"frames of different sizes or with colour planes cannot be combined: {listed}")
    return first[0], first[1]
