"""Whether the sizes that a header announces can be those of the file, before memory is taken for them."""

from __future__ import annotations

import gzip
import os
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

from library.cards import HeaderError, HeaderUnit

_MOST_DEFLATED, _MOST_PACKED = 1032, 16_384
"""No byte of deflate becomes more bytes than this, and no byte of a tile-compressed image in practice."""

_MOST_COLUMNS = 999
"""So many columns a table has at most, by the FITS standard."""

_SLACK_BYTES = 1_000_000
_SIZES = (8, 16, 32, 64)


def check_extent(stream: BinaryIO, unit: HeaderUnit, shape: tuple[int, ...]) -> None:
    """Raise :class:`HeaderError` if the file cannot hold the image, of that shape, that it tells of."""
    there, factor = _bytes_there(stream)
    behind = max(there * factor - unit.data_start, 0)
    if behind < unit.data_size:
        raise HeaderError(f"it is cut short: {behind} of {unit.data_size} bytes of pixels")
    bitpix = unit.integer("ZBITPIX" if unit.is_compressed_image else "BITPIX")
    if abs(bitpix) not in _SIZES:
        raise HeaderError(f"BITPIX is {bitpix}")
    wanted = abs(bitpix) // 8
    for axis in shape:
        wanted *= axis
    if unit.is_compressed_image:
        _check_tiles(unit)
        if wanted > unit.data_size * _MOST_PACKED + _SLACK_BYTES:
            raise HeaderError(f"its {unit.data_size} bytes cannot be an image of {wanted}")
    elif wanted > unit.data_size:
        raise HeaderError(f"its {unit.data_size} bytes cannot be an image of {wanted}")


def check_memory(shape: tuple[int, ...], itemsize: int) -> None:
    """Raise :class:`HeaderError` if an image is larger than all the memory that is free."""
    wanted = itemsize
    for axis in shape:
        wanted *= axis
    free = _free_bytes()
    if free is not None and wanted > free:
        raise HeaderError(f"it takes {wanted / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free")


def _bytes_there(stream: BinaryIO) -> tuple[int, int]:
    """How long a file is, and how many times as long it may be once it is unpacked."""
    if isinstance(stream, BytesIO):
        return stream.getbuffer().nbytes, 1
    is_packed = isinstance(cast("object", stream), gzip.GzipFile)
    return os.fstat(stream.fileno()).st_size, _MOST_DEFLATED if is_packed else 1


def _check_tiles(unit: HeaderUnit) -> None:
    """A row of the table is a tile, and there are as many as it takes to cover the image."""
    columns = unit.integer("TFIELDS", 0)
    if not 1 <= columns <= _MOST_COLUMNS:
        raise HeaderError(f"its table of tiles has {columns} columns")
    tiles = 1
    for axis in range(1, unit.integer("ZNAXIS") + 1):
        length = unit.integer(f"ZNAXIS{axis}")
        tile = unit.integer(f"ZTILE{axis}", length if axis == 1 else 1)
        if tile < 1:
            raise HeaderError(f"ZTILE{axis} is {tile}")
        tiles *= -(-length // tile)
    if tiles != unit.integer("NAXIS2"):
        raise HeaderError(f"its image has {tiles} tiles, and the file {unit.integer('NAXIS2')}")


def _free_bytes() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None  # not told here
