"""Valid files of the formats beside FITS, small, and what puts a PNG's sums right once it is damaged."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from tests.library import foreign


def _grey() -> NDArray[np.uint16]:
    return np.random.default_rng(5).normal(1000, 20, (24, 32)).astype(np.uint16)


def _colour() -> NDArray[np.uint16]:
    return np.random.default_rng(6).normal(1000, 20, (16, 20, 3)).astype(np.uint16)


def _written(*writers: Callable[[Path], Path]) -> tuple[bytes, ...]:
    with TemporaryDirectory(prefix="firstlight-fuzz-") as folder:
        return tuple(write(Path(folder, "x")).read_bytes() for write in writers)


@cache
def xisf() -> tuple[bytes, ...]:
    """Plain and packed."""
    words = {"EXPTIME": "60.0", "FILTER": "'L'", "BAYERPAT": "'RGGB'"}
    return _written(
        lambda path: foreign.write_xisf(path, _grey(), words),
        lambda path: foreign.write_xisf(path, _colour().astype(np.float32) / 65535),
        lambda path: foreign.write_xisf(path, _grey(), words, codec="zlib", shuffle=True),
        lambda path: foreign.write_xisf(path, _grey(), words, codec="lz4"),
        lambda path: foreign.write_xisf(path, _grey(), words, codec="zstd"),
    )


@cache
def tiff() -> tuple[bytes, ...]:
    """Strips and tiles, plain and packed."""
    return _written(
        lambda path: foreign.write_tiff(path, _grey()),
        lambda path: foreign.write_tiff(path, _colour(), compression="zlib", predictor=True),
        lambda path: foreign.write_tiff(path, _grey(), compression="lzw", rowsperstrip=5),
        lambda path: foreign.write_tiff(path, _grey().astype(np.float32), tile=(16, 16)),
        lambda path: foreign.write_tiff(path, _grey(), byteorder=">", compression="packbits"),
    )


@cache
def ser() -> tuple[bytes, ...]:
    """Three frames."""
    when = [datetime(2026, 3, 1, 22, minute, tzinfo=UTC) for minute in range(3)]
    return _written(
        lambda path: foreign.write_ser(path, [_grey()] * 3, times=when, colour=8),
        lambda path: foreign.write_ser(path, [_colour().astype(np.uint8)] * 3, colour=100),
    )


@cache
def png() -> tuple[bytes, ...]:
    """Grey and colour."""
    return _written(
        lambda path: foreign.write_png(path, _grey()), lambda path: foreign.write_png(path, _colour())
    )


@cache
def dng() -> tuple[bytes, ...]:
    """A camera's raw file, in both orders of bytes."""
    return _written(
        lambda path: foreign.write_dng(path, _grey()),
        lambda path: foreign.write_dng(path, _grey(), zone=None, byteorder=">"),
    )


def summed(data: bytes) -> bytes:
    """A PNG with the sums of its chunks put right, as far as there are chunks."""
    found, at = bytearray(data), 8
    while at + 12 <= len(found):
        (count,) = struct.unpack_from(">I", found, at)
        end = at + 8 + count
        if end + 4 > len(found):
            break
        struct.pack_into(">I", found, end, zlib.crc32(found[at + 4 : end]))
        at = end + 4
    return bytes(found)
