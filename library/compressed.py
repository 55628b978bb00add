"""Tile-compressed FITS images: decoded by astropy, once their tables and tiles are what they claim to be.

Three of its decoders (RICE_1, HCOMPRESS_1 and PLIO_1) trust the sizes that a header or a tile tells: damaged
ones make them write or read beyond their memory. So these are looked at before a tile is decoded.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from library.cards import HeaderError, HeaderUnit, padded

if TYPE_CHECKING:
    from astropy.io.fits import Header

_HCOMPRESS_MAGIC = b"\xdd\x99"
_HCOMPRESS_HEADER = struct.Struct(">2siiiq3B")
_MOST_BIT_PLANES = 64
_RICE_SETTINGS = {"BLOCKSIZE": range(1, 65_537), "BYTEPIX": (1, 2, 4, 8)}


def read_compressed(stream: BinaryIO, unit: HeaderUnit, shape: tuple[int, ...]) -> NDArray[Any]:
    """The stored numbers of a tile-compressed image of that shape, big-endian, before BZERO and BSCALE.

    Raises :class:`HeaderError` for a damaged one.
    """
    from astropy.io import fits

    stream.seek(unit.start)
    raw = stream.read(unit.data_start - unit.start + padded(unit.data_size))
    if len(raw) < unit.data_start - unit.start + unit.data_size:
        raise HeaderError(f"it is cut short: {len(raw)} bytes of a compressed image")
    empty_primary = fits.PrimaryHDU().header.tostring().encode("ascii")
    whole = empty_primary + raw.ljust(padded(len(raw)), b"\0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # faulty cards of others are no news to our user
        try:
            _check_tiles(whole)
            with fits.open(BytesIO(whole), do_not_scale_image_data=True) as hdus:
                stored = np.asarray(hdus[1].data)
        except Exception as error:
            raise HeaderError(f"its compressed image is damaged ({error})") from error
    if stored.dtype.kind not in "iuf" or stored.size != math.prod(shape):
        raise HeaderError(f"its compressed image is damaged ({stored.dtype.name} of {stored.shape})")
    return stored.astype(stored.dtype.newbyteorder(">"), copy=False)


def _check_tiles(whole: bytes) -> None:
    """Raise ``ValueError`` if the header or a tile tells of sizes that astropy's decoders do not look at.

    The header is taken as astropy reads it: of two cards of a name, it may take another than we do.
    """
    from astropy.io import fits

    with fits.open(BytesIO(whole), disable_image_compression=True) as hdus:
        header = hdus[1].header
        compression = str(header.get("ZCMPTYPE"))
        if compression.startswith("RICE"):
            _check_rice(header)
        check = {"HCOMPRESS_1": _check_hcompress, "PLIO_1": _check_plio}.get(compression)
        if check is None:
            return
        tiles = hdus[1].data["COMPRESSED_DATA"]
        for tile, pixels in zip(tiles, _tile_sizes(header), strict=True):
            if len(tile):
                check(np.asarray(tile), pixels)


def _tile_sizes(header: Header) -> Iterator[int]:
    """How many pixels each tile has, in the table's order; those at the edges have fewer."""
    sizes = np.ones(1, np.int64)
    for axis in range(int(header["ZNAXIS"]), 0, -1):
        length = int(header[f"ZNAXIS{axis}"])
        tile = int(header.get(f"ZTILE{axis}", length if axis == 1 else 1))
        sides = [min(tile, length - start) for start in range(0, length, tile)]
        sizes = np.multiply.outer(sizes, np.array(sides)).ravel()
    return iter(sizes.tolist())


def _check_rice(header: Header) -> None:
    number = 1
    while f"ZNAME{number}" in header:
        name, value = str(header[f"ZNAME{number}"]).upper(), header.get(f"ZVAL{number}")
        if name in _RICE_SETTINGS and value not in _RICE_SETTINGS[name]:
            raise ValueError(f"{name} is {value!r}")
        number += 1


def _check_hcompress(tile: NDArray[Any], pixels: int) -> None:
    raw = _native(tile)
    if len(raw) < _HCOMPRESS_HEADER.size:
        raise ValueError("a tile of it is cut short")
    magic, rows, columns, _scale, _sum, *planes = _HCOMPRESS_HEADER.unpack_from(raw)
    if magic != _HCOMPRESS_MAGIC or min(rows, columns) < 1 or rows * columns != pixels:
        raise ValueError(f"a tile of {pixels} pixels tells of {rows} by {columns}")
    if max(planes) > _MOST_BIT_PLANES:
        raise ValueError(f"a tile tells of {max(planes)} bit planes")


def _check_plio(tile: NDArray[Any], _pixels: int) -> None:
    """A line list tells where it begins and how long it is, in an old form and in a new one."""
    words = np.frombuffer(_native(tile), np.int16).astype(int)
    if len(words) < 3 or (words[2] <= 0 and len(words) < 5):
        raise ValueError("a tile of it is cut short")
    length, first = (words[2], 3) if words[2] > 0 else ((words[4] << 15) + words[3], words[1])
    if length > len(words) or first < 0:
        raise ValueError(f"a tile of {len(words)} words tells of {length}, from {first} on")


def _native(tile: NDArray[Any]) -> bytes:
    """Its bytes as the decoder gets them."""
    return tile.astype(tile.dtype.newbyteorder("=")).tobytes()
