"""A file of somebody's as a FITS file: FITS of any packing as it is, other formats without loss."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from library.cards import Card, HeaderError, HeaderUnit, format_header, walk, with_cards
from library.errors import NotAFitsFileError
from library.extent import check_memory
from library.formats.image import Data, ForeignImage
from library.formats.table import open_foreign, sequence_place
from library.frames import FrameMeta
from library.opening import open_file
from library.reading import find_image, image_shape, meta_of, picture_of, read_picture
from library.scan import digest_file
from library.sidecars import with_sidecar
from library.writing import Buffer, encode_image

_REMEDY = "check that it was copied whole"
_MOST_BEHIND_BYTES = 400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file as FITS: ``unit`` is its image's header, ``before`` and ``after`` are the bytes around that.

    ``pixels`` are as :func:`library.reading.read_frame` gives them. ``suffix`` is that of a copy,
    ``link_suffix`` that of a link, or ``None`` for what is no FITS file as it stands.
    """

    path: Path
    sha256: str
    unit: HeaderUnit
    before: Buffer
    after: tuple[Buffer, ...]
    pixels: NDArray[Any]
    suffix: str
    link_suffix: str | None
    notes: tuple[str, ...] = ()

    @property
    def meta(self) -> FrameMeta:
        """What its header describes."""
        return meta_of(self.unit)

    def buffers(self, cards: Iterable[Card]) -> list[Buffer]:
        """The whole FITS file with these cards in its header; no pixel is encoded anew."""
        return [self.before, format_header(with_cards(self.unit, cards).raw_cards), *self.after]


def read_source(path: Path) -> Source:
    """Read a frame, whatever its name is: what it begins with tells the format.

    Raises :class:`NotAFitsFileError` with the reason if it cannot be read.
    """
    place = sequence_place(path)
    file, number = (path, 0) if place is None or path.exists() else place
    try:
        data = Data.of_file(file)
        image = open_foreign(data, number)
        if image is not None:
            return _converted(path, digest_file(file), image)
        whole = _bytes_of(path)
    except (HeaderError, EOFError, zlib.error) as error:
        raise NotAFitsFileError(f"{path}: is no image that can be read: {error}; {_REMEDY}") from error
    except OSError as error:
        raise NotAFitsFileError(f"{path}: cannot be read: {error.strerror}") from error
    return _fits(path, hashlib.sha256(whole).hexdigest(), whole)


def _bytes_of(path: Path) -> bytes:
    """A file's bytes; of FITS only if its header fits its length, of what is no image none are taken."""
    with open_file(path) as file:
        head = file.read(8)
        file.seek(0)
        if head.startswith(b"SIMPLE"):
            find_image(file)
            file.seek(0)
        elif not head.startswith(b"\x1f\x8b"):
            raise HeaderError("it does not begin as FITS does")
        check_memory((os.fstat(file.fileno()).st_size,), 1)
        return file.read()


def _unpacked(data: bytes) -> bytes:
    """A gzipped file's bytes, no more of them than its image and some extensions can have."""
    with gzip.GzipFile(fileobj=BytesIO(data)) as stream:
        unit = next(walk(stream))  # type: ignore[arg-type]  # it is a binary stream
        if unit.data_size > len(data) * 1032:
            raise HeaderError(f"it is cut short: {len(data)} bytes cannot be {unit.data_size}")
        stream.seek(0)
        most = unit.data_start + unit.data_size + _MOST_BEHIND_BYTES
        unpacked = stream.read(most + 1)
    if len(unpacked) > most:
        raise HeaderError(f"it goes on for more than {_MOST_BEHIND_BYTES / 1e6:.0f} MB behind its first unit")
    return unpacked


def _fits(path: Path, sha256: str, data: bytes) -> Source:
    packed = data.startswith(b"\x1f\x8b")
    try:
        if packed:
            data = _unpacked(data)
        stream = BytesIO(data)
        unit = with_sidecar(path, find_image(stream))
        image_shape(unit)
        pixels, _ = read_picture(stream, unit)
    except (HeaderError, OSError, EOFError, zlib.error) as error:
        raise NotAFitsFileError(f"{path}: is no image that can be read: {error}; {_REMEDY}") from error
    whole = memoryview(data)
    suffix = ".fits.fz" if unit.is_compressed_image else ".fits"
    return Source(
        path=path,
        sha256=sha256,
        unit=unit,
        before=whole[: unit.start],
        after=(whole[unit.data_start :],),
        pixels=pixels,
        suffix=suffix,
        link_suffix=".fits.gz" if packed else suffix,
    )


def _converted(path: Path, sha256: str, image: ForeignImage) -> Source:
    pixels = image.pixels()
    header, *after = encode_image(pixels, image.cards, exact=True)
    unit = with_sidecar(path, next(walk(BytesIO(header))))
    rows, columns = picture_of(unit).picture.window
    return Source(
        path=path,
        sha256=sha256,
        unit=unit,
        before=b"",
        after=tuple(after),
        pixels=pixels[rows, columns],
        suffix=".fits",
        link_suffix=None,
        notes=image.notes,
    )
