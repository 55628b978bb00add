"""Reading frames: one plain read of the file, pixels as the sensor gave them, faulty headers included."""

from __future__ import annotations

import gzip
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from library.cards import Card, CardValue, HeaderError, HeaderUnit, padded, walk, with_cards
from library.errors import NotAFitsFileError
from library.formats.image import Data
from library.formats.stream import ForeignStream, physical
from library.formats.table import HEAD_BYTES, check_frame, open_foreign, reader_of, sequence_place
from library.frames import FrameMeta
from library.keywords import frame_meta, overscan_adu
from library.layout import Layout, fill_at
from library.sections import Section, Sections, overscan_level_adu, sections_of
from library.sidecars import with_sidecar
from numerics.threads import in_parallel

Pixels = NDArray[Any]

_DTYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_CHUNK = 262_144
"""So many pixels are read and decoded at a time."""
_REMEDY = "check that it is a FITS image and was copied whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image: ``pixels`` (H, W) or (H, W, 3), what describes it, and its header's values.

    ``overscan_adu`` is the level of its overscan, of a master the mean of its frames'; ``None`` without one.
    """

    pixels: Pixels
    meta: FrameMeta
    header: Mapping[str, CardValue]
    overscan_adu: float | None = None


def read_frame(path: Path | str, cards: Sequence[Card] = ()) -> Frame:
    """Read the first image of a FITS file: plain, gzipped, or tile-compressed; or of another format.

    What other formats there are: :mod:`library.formats.table`; ``video.ser#7`` is a frame of a sequence.
    ``cards`` are what the user knows better than the header; they stand in it.

    Rows come as stored, row 0 first. BZERO and BSCALE are applied: 8 bits give uint8, 16 bits give uint16
    (BZERO = 32768) or int16, everything else float32. ``meta.bayer_pattern`` is the pattern at row 0,
    column 0 of the pixels (see :func:`library.keywords.bayer_pattern`). Three planes give (H, W, 3).

    Where the header names an overscan, the picture without it is all that there is, here and wherever else
    pixels are read (see :func:`library.sections.sections_of`); ``header`` stays as it is stored.

    Raises :class:`NotAFitsFileError` for a file that is missing, of no format that is known, cut short, or
    without an image.
    """
    with open_image(Path(path), cards) as (stream, unit):
        pixels, level = read_picture(stream, unit)
        return Frame(pixels=pixels, meta=meta_of(unit), header=unit.values, overscan_adu=level)


def read_picture(stream: BinaryIO, unit: HeaderUnit) -> tuple[Pixels, float | None]:
    """The pixels of the image at whose data the stream stands, and the level of its overscan.

    Raises :class:`HeaderError` if it is cut short.
    """
    if isinstance(stream, BufferedReader) and not unit.is_compressed_image:
        return _read_plain(stream, unit), plain_overscan_adu(stream, unit)
    if unit.is_compressed_image:
        stored = _read_compressed(stream, unit)
    elif isinstance(stream, ForeignStream):
        pixels = physical(stream.image.pixels())
        stored = pixels if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
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


def read_overscan_adu(path: Path | str) -> float | None:
    """What :attr:`Frame.overscan_adu` is; no more of a plain file is read than that takes."""
    with open_image(Path(path)) as (stream, unit):
        if isinstance(stream, BufferedReader) and not unit.is_compressed_image:
            return plain_overscan_adu(stream, unit)
        if picture_of(unit).overscan is None:
            return overscan_adu(unit.values)
        return read_picture(stream, unit)[1]


def read_meta(path: Path | str, cards: Sequence[Card] = ()) -> FrameMeta:
    """What the header of the first image says; pixels are not read. As :func:`read_frame`."""
    with open_image(Path(path), cards) as (_, unit):
        return meta_of(unit)


def read_rows(path: Path, rows: slice) -> Pixels:
    """Some rows of a one-plane image, as :func:`read_frame` gives them.

    Only those rows are read of a plain file; a packed one is unpacked whole.
    """
    with open_image(path) as (stream, unit):
        if unit.is_compressed_image or not isinstance(stream, BufferedReader):
            return read_frame(path).pixels[rows]
        return decode(layout_of(unit).read(stream.fileno(), rows, slice(None), path), unit.values)


@contextmanager
def open_image(path: Path, cards: Sequence[Card] = ()) -> Iterator[tuple[BinaryIO, HeaderUnit]]:
    """Open the file at the data of its first image; every way to fail is a :class:`NotAFitsFileError`.

    A file of another format is opened as the FITS file that it would be (:class:`ForeignStream`). ``cards``
    stand in the header, whatever it says itself.
    """
    try:
        with _opened(path) as (stream, unit):
            told = with_sidecar(path, unit)
            yield stream, with_cards(told, cards) if cards else told
    except FileNotFoundError as error:
        raise NotAFitsFileError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise NotAFitsFileError(f"{path}: is a directory, not a FITS image") from error
    except (HeaderError, EOFError, zlib.error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NotAFitsFileError(f"{path}: cannot be read as a FITS image: {reason}; {_REMEDY}") from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, HeaderUnit]]:
    place = sequence_place(path)
    if place is not None and not path.exists():
        yield _foreign(Data.of_file(place[0]), place[1])
        return
    with path.open("rb") as raw:
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
    """Leave the stream at the data of its first image; raises :class:`HeaderError` if there is none."""
    for unit in walk(stream):
        if unit.is_image:
            stream.seek(unit.data_start)
            return unit
    raise HeaderError("there is no image in it")


def image_shape(unit: HeaderUnit) -> tuple[int, ...]:
    """The stored array's shape, slowest axis first, tile compression seen through; overscan and all."""
    prefix = "ZNAXIS" if unit.is_compressed_image else "NAXIS"
    shape = tuple(unit.integer(f"{prefix}{i}") for i in range(unit.integer(prefix), 0, -1))
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2 and not (len(shape) == 3 and shape[0] == 3):
        raise HeaderError(f"an image of {shape} is neither one plane nor three")
    return shape


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


def meta_of(unit: HeaderUnit) -> FrameMeta:
    """What an image's header describes."""
    shape = image_shape(unit)
    return frame_meta(
        unit.values, width=shape[-1], height=shape[-2], planes=shape[0] if len(shape) == 3 else 1
    )


def stored_dtype(unit: HeaderUnit) -> np.dtype[Any]:
    """The big-endian type that BITPIX names."""
    bitpix = unit.integer("BITPIX")
    if bitpix not in _DTYPES:
        raise HeaderError(f"BITPIX is {bitpix}")
    return np.dtype(_DTYPES[bitpix])


def decode(stored: Pixels, header: Mapping[str, CardValue]) -> Pixels:
    """Big-endian stored values as physical ones in native order."""
    pixels = np.empty(stored.shape, _physical_dtype(stored.dtype, header))
    _decode_into(pixels, stored, header)
    return pixels


def _physical_dtype(stored: np.dtype[Any], header: Mapping[str, CardValue]) -> np.dtype[Any]:
    """That of pixels whose BZERO and BSCALE have been applied."""
    if _is_unsigned(stored, header):
        return np.dtype(np.uint16)
    plain = _scalings(header) == (0.0, 1.0)
    return stored.newbyteorder("=") if plain and stored.itemsize <= 2 else np.dtype(np.float32)


def _decode_into(pixels: Pixels, stored: Pixels, header: Mapping[str, CardValue]) -> None:
    zero, scale = _scalings(header)
    if _is_unsigned(stored.dtype, header):  # the same bits as adding 32768
        np.bitwise_xor(stored.view(">u2"), np.uint16(0x8000), out=pixels)
    elif (zero, scale) == (0.0, 1.0):
        pixels[...] = stored
    else:
        pixels[...] = stored * scale + zero


def _is_unsigned(stored: np.dtype[Any], header: Mapping[str, CardValue]) -> bool:
    return stored == ">i2" and _scalings(header) == (32768.0, 1.0)


def _scalings(header: Mapping[str, CardValue]) -> tuple[float, float]:
    return _scaling(header, "BZERO", 0.0), _scaling(header, "BSCALE", 1.0)


def _read_plain(stream: BufferedReader, unit: HeaderUnit) -> Pixels:
    shape, dtype, picture = image_shape(unit), stored_dtype(unit), picture_of(unit).picture
    stored = shape[-2] * shape[-1] * dtype.itemsize
    pixels = np.empty((*shape[:-2], *picture.shape), _physical_dtype(dtype, unit.values))
    rows_at_once = max(1, _CHUNK // shape[-1])
    for number, plane in enumerate(pixels.reshape(-1, *picture.shape)):
        start = unit.data_start + number * stored
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
        _decode_into(target, stored[:, columns], source.header)


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


def _read_compressed(stream: BinaryIO, unit: HeaderUnit) -> Pixels:
    from astropy.io import fits

    stream.seek(unit.start)
    raw = stream.read(unit.data_start - unit.start + padded(unit.data_size))
    if len(raw) < unit.data_start - unit.start + unit.data_size:
        raise HeaderError(f"it is cut short: {len(raw)} bytes of a compressed image")
    empty_primary = fits.PrimaryHDU().header.tostring().encode("ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # faulty cards of others are no news to our user
        try:
            with fits.open(BytesIO(empty_primary + raw.ljust(padded(len(raw)), b"\0"))) as hdus:
                pixels = np.asarray(hdus[1].data)
        except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
            raise HeaderError(f"its compressed image is damaged ({error})") from error
    if pixels.dtype.itemsize > 2 or pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32, copy=False)
    return pixels.reshape(image_shape(unit))


def _planes_last(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1))


def _scaling(header: Mapping[str, CardValue], keyword: str, default: float) -> float:
    value = header.get(keyword)
    return float(value) if isinstance(value, int | float) else default
