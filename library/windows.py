"""Pieces of a frame: of a plain file no more is read than asked for, a packed one is unpacked once."""

from __future__ import annotations

import math
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path
from threading import Lock

import numpy as np

from library.cards import CardValue, HeaderUnit
from library.decoding import Pixels, decode, stored_dtype
from library.errors import LibraryError, NotAFitsFileError
from library.layout import Layout
from library.mosaics import tall
from library.reading import image_shape, layout_of, open_image, read_picture


class Spool:
    """A temporary file for the pixels of packed frames, gone with the last of them. For several threads."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the frames in it
        weakref.finalize(self, self._file.close)
        self._size = 0
        self._lock = Lock()

    @property
    def descriptor(self) -> int:
        """What to read from."""
        return self._file.fileno()

    def keep(self, path: Path, *, in_adu: bool = False) -> tuple[Layout, ...]:
        """Unpack a frame; returns where each plane now lies. One at a time, for memory's sake."""
        with self._lock:
            with open_image(path, in_adu=in_adu) as (stream, unit):
                pixels, _ = read_picture(stream, unit)
            at = self._size
            try:
                self._file.write(tall(pixels).data)
                self._file.flush()
            except OSError as error:
                raise LibraryError(
                    f"{path.name} cannot be unpacked in {tempfile.gettempdir()}: {error.strerror}; "
                    f"it takes {pixels.nbytes / 1e6:.0f} MB there; make room, or set TMPDIR"
                ) from error
            self._size += pixels.nbytes
        whole = Layout.whole(at, pixels.dtype, (pixels.shape[0], pixels.shape[1]))
        plane = whole.shape[0] * whole.shape[1] * pixels.itemsize
        count = 1 if pixels.ndim == 2 else pixels.shape[2]
        return tuple(replace(whole, start=at + number * plane) for number in range(count))


@dataclass(frozen=True, slots=True, eq=False)
class WindowedFrame:
    """A frame of one plane or three of which pieces can be read, by several threads; no file stays open."""

    path: Path
    _layouts: tuple[Layout, ...]
    _header: Mapping[str, CardValue]
    _spool: Spool | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self._layouts[0].shape

    def window(self, rows: slice, columns: slice) -> Pixels:
        """Some rows and columns, as :func:`library.reading.read_frame` gives them; planes come first.

        It reads rather than maps the file: a file that is cut short under a map ends the process. Raises
        :class:`NotAFitsFileError` if the file has gone or was cut short meanwhile.
        """
        with self._opened() as descriptor:
            read = [each.read(descriptor, rows, columns, self.path) for each in self._layouts]
        stored = read[0] if len(read) == 1 else np.stack(read)
        return stored if self._spool is not None else decode(stored, self._header)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        if self._spool is not None:
            yield self._spool.descriptor
            return
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise NotAFitsFileError(f"{self.path}: {error.strerror}; take it out of the set") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def open_pixels(path: Path, spool: Spool | None = None, *, in_adu: bool = False) -> WindowedFrame:
    """Look at a frame's header. A gzipped or tile-compressed one is unpacked into ``spool``, or its own.

    Frames that share a spool share one open file. ``in_adu``: see :func:`library.reading.open_image`. Raises
    :class:`NotAFitsFileError`; :class:`LibraryError` if there is no room to unpack it.
    """
    with open_image(path, in_adu=in_adu) as (stream, unit):
        shape = image_shape(unit)
        if isinstance(stream, BufferedReader) and not unit.is_compressed_image:
            _check_length(path, stream, unit, shape)
            first, size = layout_of(unit), shape[-2] * shape[-1] * stored_dtype(unit).itemsize
            count = 1 if len(shape) == 2 else shape[0]
            planes = (replace(first, start=first.start + number * size) for number in range(count))
            return WindowedFrame(path, tuple(planes), unit.values)
    spool = spool or Spool()
    return WindowedFrame(path, spool.keep(path, in_adu=in_adu), {}, spool)


def _check_length(path: Path, stream: BufferedReader, unit: HeaderUnit, shape: tuple[int, ...]) -> None:
    there = os.fstat(stream.fileno()).st_size - unit.data_start
    wanted = math.prod(shape) * stored_dtype(unit).itemsize
    if there < wanted:
        raise NotAFitsFileError(f"{path}: is cut short: {there} of {wanted} bytes of pixels; copy it again")
