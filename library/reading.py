"""Reading frames: one plain read of the file, pixels as the sensor gave them, faulty headers included."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from library import adu
from library.cards import Card, CardValue, HeaderError, HeaderUnit, walk, with_cards
from library.compressed import read_compressed
from library.decoding import Pixels, decode, decode_into, physical_dtype, scaling_of, stored_dtype
from library.errors import NotAFitsFileError
from library.extent import check_extent, check_memory
from library.formats.image import Data
from library.formats.stream import ForeignStream, physical
from library.formats.table import HEAD_BYTES, check_frame, open_foreign, reader_of, sequence_place
from library.frames import FrameKind, FrameMeta
from library.keywords import frame_meta, kind_text, overscan_adu, says_master
from library.layout import Layout, fill_at
from library.opening import open_file
from library.sections import Section, Sections, overscan_level_adu, sections_of
from library.sidecars import with_sidecar
from numerics.threads import in_parallel

_CHUNK = 262_144
"""So many pixels are read and decoded at a time."""
_NO_THUMBNAIL, _LARGER = 1_000_000, 2
"""An image of so many pixels is no thumbnail; a picture has so many times the pixels of its thumbnail."""

_REMEDY = "check that it is a FITS image and was copied whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image: ``pixels`` (H, W) or (H, W, 3), what describes it, and its header's values.

    ``overscan_adu`` is the level of its overscan, of a master the mean of its frames'; ``None`` without one.
    ``notes`` tell what was done to have its pixels in ADU.
    """

    pixels: Pixels
    meta: FrameMeta
    header: Mapping[str, CardValue]
    overscan_adu: float | None = None
    notes: tuple[str, ...] = ()


def read_frame(path: Path | str, cards: Sequence[Card] = (), *, in_adu: bool = False) -> Frame:
    """Read the image of a FITS file: plain, gzipped, or tile-compressed; or of another format.

    What other formats there are: :mod:`library.formats.table`; ``video.ser#7`` is a frame of a sequence.
    ``cards`` are what the user knows better than the header; they stand in it.

    Rows come as stored, row 0 first. BZERO and BSCALE are applied: 8 bits give uint8, 16 bits give uint16
    (BZERO = 32768) or int16, everything else float32. Pixels that are BLANK have no value: where there may be
    such, all are float32, and those NaN. ``in_adu``: see :func:`open_image`. ``meta.bayer_pattern`` is the
    pattern at row 0, column 0 of the pixels (see :func:`library.keywords.bayer_pattern`). Three planes give
    (H, W, 3).

    Where the header names an overscan, the picture without it is all that there is, here and wherever else
    pixels are read (see :func:`library.sections.sections_of`); ``header`` stays as it is stored.

    Raises :class:`NotAFitsFileError` for a file that is missing, of no format that is known, cut short, or
    without an image.
    """
    with open_image(Path(path), cards) as (stream, unit):
        to_adu = _to_adu(Path(path), unit) if in_adu else (1.0, 0.0)
        pixels, level = read_picture(stream, adu.scaled(unit, *to_adu))
        return Frame(
            pixels=pixels,
            meta=meta_of(unit),
            header=unit.values,
            overscan_adu=level,
            notes=adu.notes(*to_adu),
        )


def read_picture(stream: BinaryIO, unit: HeaderUnit) -> tuple[Pixels, float | None]:
    """The pixels of the image at whose data the stream stands, and the level of its overscan.

    Raises :class:`HeaderError` if it is cut short.
    """
    check_memory(image_shape(unit), 4)
    if isinstance(stream, BufferedReader) and not unit.is_compressed_image:
        return _read_plain(stream, unit), plain_overscan_adu(stream, unit)
    if unit.is_compressed_image:
        shape = image_shape(unit)
        stored = decode(read_compressed(stream, unit, shape), unit.values).reshape(shape)
    elif isinstance(stream, ForeignStream):
        stored = _read_foreign(stream, unit)
    else:
        stored = decode(_fill(stream, np.empty(image_shape(unit), stored_dtype(unit))), unit.values)
    sections = picture_of(unit)
    level = overscan_adu(unit.values)
    if sections.overscan is not None and stored.ndim == 2:
        level = overscan_level_adu(stored[sections.overscan.window])
    return _planes_last(np.ascontiguousarray(stored[(..., *sections.picture.window)])), level


def plain_overscan_adu(stream: BufferedReader, unit: HeaderUnit) -> float | None:
    """The level of a plain image's overscan, or that which its header tells; the picture is not read."""
    overscan = picture_of(unit).overscan
    if overscan is None or len(image_shape(unit)) != 2:
        return overscan_adu(unit.values)
    everything = slice(None)
    stored = _layout(unit, overscan).read(stream.fileno(), everything, everything, Path(str(stream.name)))
    return overscan_level_adu(decode(stored, unit.values))


def read_overscan_adu(path: Path | str, *, in_adu: bool = False) -> float | None:
    """What :attr:`Frame.overscan_adu` is; no more of a plain file is read than that takes."""
    with open_image(Path(path), in_adu=in_adu) as (stream, unit):
        if isinstance(stream, BufferedReader) and not unit.is_compressed_image:
            return plain_overscan_adu(stream, unit)
        if picture_of(unit).overscan is None:
            return overscan_adu(unit.values)
        return read_picture(stream, unit)[1]


def read_meta(path: Path | str, cards: Sequence[Card] = ()) -> FrameMeta:
    """What the header of the first image says; pixels are not read. As :func:`read_frame`."""
    with open_image(Path(path), cards) as (_, unit):
        return meta_of(unit)


def read_rows(path: Path, rows: slice, *, in_adu: bool = False) -> Pixels:
    """Some rows of a one-plane image, as :func:`read_frame` gives them.

    Only those rows are read of a plain file; a packed one is unpacked whole.
    """
    with open_image(path, in_adu=in_adu) as (stream, unit):
        if unit.is_compressed_image or not isinstance(stream, BufferedReader):
            return read_picture(stream, unit)[0][rows]
        return decode(layout_of(unit).read(stream.fileno(), rows, slice(None), path), unit.values)


def adu_notes(path: Path) -> tuple[str, ...]:
    """What ``in_adu`` does to a frame's pixels, in words. Raises as :func:`read_frame`."""
    with open_image(path) as (_, unit):
        return adu.notes(*_to_adu(path, unit))


@contextmanager
def open_image(
    path: Path, cards: Sequence[Card] = (), *, in_adu: bool = False
) -> Iterator[tuple[BinaryIO, HeaderUnit]]:
    """Open the file at the data of its image; every way to fail is a :class:`NotAFitsFileError`.

    A file of another format is opened as the FITS file that it would be (:class:`ForeignStream`). ``cards``
    stand in the header, whatever it says itself. ``in_adu``: the header says what makes ADU of its pixels,
    should they be 0…1 or have a pedestal (see :mod:`library.adu`), so that whoever decodes them gets ADU.
    """
    try:
        with _opened(path) as (stream, found):
            told = with_sidecar(path, found)
            unit = with_cards(told, cards) if cards else told
            scaling_of(unit.values)
            yield stream, adu.scaled(unit, *_to_adu(path, unit)) if in_adu else unit
    except FileNotFoundError as error:
        raise NotAFitsFileError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise NotAFitsFileError(f"{path}: is a directory, not a FITS image") from error
    except (HeaderError, EOFError, zlib.error, OSError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NotAFitsFileError(f"{path}: cannot be read as a FITS image: {reason}; {_REMEDY}") from error


def _to_adu(path: Path, unit: HeaderUnit) -> tuple[float, float]:
    """What a file's pixels are multiplied by, and what is then added, to be ADU."""
    meta = meta_of(unit)
    added = adu.added_adu(unit.values, meta)
    is_master_flat = meta.kind is FrameKind.FLAT and (
        meta.n_combined > 1 or says_master(kind_text(unit.values))
    )
    if is_master_flat or not adu.may_be_normalised(unit, meta):
        return 1.0, added  # a master flat has any scale, and keeps its bits
    found = path.stat()
    return _factor(path, found.st_mtime_ns, found.st_size), added


@lru_cache(maxsize=65_536)
def _factor(path: Path, _written_ns: int, _size: int) -> float:
    """What makes ADU of a file of floats, as it was written then: all its pixels are looked at, once."""
    frame = read_frame(path)
    return adu.FULL_SCALE_ADU if adu.is_normalised(frame.pixels, frame.meta.kind) else 1.0


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, HeaderUnit]]:
    place = sequence_place(path)
    if place is not None and not path.exists():
        yield _foreign(Data.of_file(place[0]), place[1])
        return
    with open_file(path) as raw:
        head = raw.read(HEAD_BYTES)
        raw.seek(0)
        if reader_of(head) is not None:
            yield _foreign(Data.of_file(path), 0)
            return
        check_frame(str(path), head)
        packed = head.startswith(b"\x1f\x8b")
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else cast("BinaryIO", raw)
        yield stream, find_image(stream)


def _foreign(data: Data, number: int) -> tuple[BinaryIO, HeaderUnit]:
    image = open_foreign(data, number)
    if image is None:
        raise HeaderError("its format is not known")
    stream = ForeignStream(image)
    return cast("BinaryIO", stream), stream.unit()


def find_image(stream: BinaryIO) -> HeaderUnit:
    """Leave the stream at the data of its picture; raises :class:`HeaderError` if there is none.

    That is the first image, unless it is small, or called a thumbnail, and a later one is the picture.
    """
    primary, images = None, list[HeaderUnit]()
    units = walk(stream)
    while True:
        try:
            unit = next(units, None)
        except (HeaderError, EOFError, zlib.error, OSError):
            if not images:
                raise
            break  # the picture is there, whatever follows it
        if unit is None:
            break
        primary = primary or unit
        if unit.is_image:
            images.append(unit.inheriting(primary))
            if _area(unit) >= _NO_THUMBNAIL and not _is_thumbnail(unit, primary):
                break
    if primary is None or not images:
        raise HeaderError("there is no image in it")
    pictures = [each for each in images if _area(each) and not _is_thumbnail(each, primary)] or images
    found = pictures[0]
    for each in pictures[1:]:
        found = each if _area(each) >= _LARGER * _area(found) else found
    check_extent(stream, found, image_shape(found))
    stream.seek(found.data_start)
    return found


def _area(unit: HeaderUnit) -> int:
    """How many pixels a plane of it has; 0 for what is no frame."""
    try:
        height, width = image_shape(unit)[-2:]
    except HeaderError:
        return 0
    return height * width


def _is_thumbnail(unit: HeaderUnit, primary: HeaderUnit) -> bool:
    """Whether it is called one; PixInsight says in THUMBIMG which extension is."""
    name = str(unit.values.get("EXTNAME") or "").strip().upper()
    called = str(primary.values.get("THUMBIMG") or "").strip().upper()
    return bool(name) and (name == called or says_thumbnail(unit))


def says_thumbnail(unit: HeaderUnit) -> bool:
    """Whether an image's own name says that it is a thumbnail."""
    name = str(unit.values.get("EXTNAME") or "").upper()
    return "THUMB" in name or "PREVIEW" in name


def image_shape(unit: HeaderUnit) -> tuple[int, ...]:
    """The stored array's shape, slowest axis first, tile compression seen through; overscan and all."""
    prefix = "ZNAXIS" if unit.is_compressed_image else "NAXIS"
    shape = tuple(unit.integer(f"{prefix}{i}") for i in range(unit.integer(prefix), 0, -1))
    while len(shape) > 2 and 1 in shape and not _is_frame(shape):  # degenerate axes
        at = shape.index(1)
        shape = shape[:at] + shape[at + 1 :]
    if not _is_frame(shape):
        raise HeaderError(f"an image of {shape} is neither one plane nor three")
    return shape


def _is_frame(shape: tuple[int, ...]) -> bool:
    return min(shape, default=0) > 0 and (len(shape) == 2 or (len(shape) == 3 and shape[0] == 3))


def picture_of(unit: HeaderUnit) -> Sections:
    """Where the picture lies in the stored array, and its overscan."""
    height, width = image_shape(unit)[-2:]
    return sections_of(unit.values, height, width)


def layout_of(unit: HeaderUnit) -> Layout:
    """Where the picture of one plane lies in a plain file."""
    return _layout(unit, picture_of(unit).picture)


def _layout(unit: HeaderUnit, section: Section) -> Layout:
    width = image_shape(unit)[-1]
    return Layout(start=unit.data_start, dtype=stored_dtype(unit), stored_width=width, picture=section)


def is_float(unit: HeaderUnit) -> bool:
    """Whether pixels are stored as floats, as masters and stacks are."""
    return unit.integer("ZBITPIX" if unit.is_compressed_image else "BITPIX") < 0


def meta_of(unit: HeaderUnit) -> FrameMeta:
    """What an image's header describes."""
    shape = image_shape(unit)
    return frame_meta(
        unit.values, width=shape[-1], height=shape[-2], planes=shape[0] if len(shape) == 3 else 1
    )


def _read_plain(stream: BufferedReader, unit: HeaderUnit) -> Pixels:
    shape, dtype, picture = image_shape(unit), stored_dtype(unit), picture_of(unit).picture
    stored = shape[-2] * shape[-1] * dtype.itemsize
    pixels = np.empty((*shape[:-2], *picture.shape), physical_dtype(dtype, unit.values))
    rows_at_once = max(1, _CHUNK // shape[-1])
    for index, plane in enumerate(pixels.reshape(-1, *picture.shape)):
        start = unit.data_start + index * stored
        source = _Plane(stream.fileno(), start, stored, shape[-1], dtype, unit.values)
        in_parallel(_read_chunks, -(-len(plane) // rows_at_once), source, picture, rows_at_once, plane)
    return _planes_last(pixels)


@dataclass(frozen=True, slots=True)
class _Plane:
    """One stored plane of an open file."""

    descriptor: int
    start: int
    size_bytes: int
    width: int
    dtype: np.dtype[Any]
    header: Mapping[str, CardValue]


def _read_chunks(
    first: int, last: int, source: _Plane, picture: Section, rows_at_once: int, pixels: Pixels
) -> None:
    """Read some chunks of rows and decode each while it is in the processor's cache."""
    scratch = np.empty((min(rows_at_once, len(pixels)), source.width), source.dtype)
    row_bytes = source.width * source.dtype.itemsize
    _, columns = picture.window
    for top in range(first * rows_at_once, min(last * rows_at_once, len(pixels)), rows_at_once):
        target = pixels[top : top + rows_at_once]
        stored = scratch[: len(target)]
        if not fill_at(source.descriptor, stored, source.start + (picture.top + top) * row_bytes):
            there = max(os.fstat(source.descriptor).st_size - source.start, 0)
            raise HeaderError(f"it is cut short: {there} of {source.size_bytes} bytes of pixels")
        decode_into(target, stored[:, columns], source.header)


def _read_foreign(stream: ForeignStream, unit: HeaderUnit) -> Pixels:
    """Planes come first. A header that scales them otherwise than their format does is honoured."""
    if scaling_of(unit.values) != scaling_of(stream.unit().values):
        stored = np.empty(image_shape(unit), stored_dtype(unit))
        return decode(_fill(cast("BinaryIO", stream), stored), unit.values)
    pixels = physical(stream.image.pixels())
    return pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _fill(stream: BinaryIO, stored: Pixels) -> Pixels:
    """Read straight into the array, without a copy between."""
    buffer = stored.reshape(-1).view(np.uint8).data
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])  # type: ignore[attr-defined]  # all binary files have it
        if not count:
            raise HeaderError(f"it is cut short: {filled} of {len(buffer)} bytes of pixels")
        filled += count
    return stored


def _planes_last(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
