"""Tiles that tell of other sizes than their table: astropy's decoders would write beyond their memory."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from library.errors import NotAFitsFileError
from library.reading import read_frame

BEGINS = {"HCOMPRESS_1": b"\xdd\x99\0\0\0", "PLIO_1": b"\0\0\0\x07\xff\x9c"}


def packed(compression: str) -> tuple[bytes, NDArray[np.int32]]:
    """A file of tiles of four sizes, and its pixels."""
    pixels = np.random.default_rng(3).integers(0, 3000, (54, 50), np.int32)
    file = BytesIO()
    unit = fits.CompImageHDU(pixels, compression_type=compression, tile_shape=(16, 20))
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(file)
    return file.getvalue(), pixels


@pytest.mark.parametrize("compression", BEGINS)
def test_whole_tiles_are_read(tmp_path: Path, compression: str) -> None:
    data, pixels = packed(compression)
    (tmp_path / "x.fits").write_bytes(data)
    assert np.array_equal(read_frame(tmp_path / "x.fits").pixels, pixels)


@pytest.mark.parametrize(
    ("compression", "at", "damage"),
    [
        ("HCOMPRESS_1", 2, struct.pack(">ii", 16, 21)),
        ("HCOMPRESS_1", 2, struct.pack(">ii", 40_000, 40_000)),
        ("HCOMPRESS_1", 2, struct.pack(">ii", -16, -20)),
        ("HCOMPRESS_1", 22, b"\xff\xff\xff"),
        ("HCOMPRESS_1", 0, b"\0"),
        ("PLIO_1", 6, struct.pack(">hh", 32_767, 32_767)),
        ("PLIO_1", 2, struct.pack(">h", -3)),
        ("PLIO_1", 4, struct.pack(">h", 32_000)),
    ],
)
def test_a_tile_that_tells_of_another_size_is_refused(
    tmp_path: Path, compression: str, at: int, damage: bytes
) -> None:
    data = bytearray(packed(compression)[0])
    at += data.index(BEGINS[compression])
    data[at : at + len(damage)] = damage
    (tmp_path / "x.fits").write_bytes(data)
    with pytest.raises(NotAFitsFileError, match=r"a tile .*tells of"):
        read_frame(tmp_path / "x.fits")


def test_a_table_of_more_columns_than_fits_knows_is_refused(tmp_path: Path) -> None:
    data, _ = packed("HCOMPRESS_1")
    at = data.index(b"TFIELDS =")
    (tmp_path / "x.fits").write_bytes(
        data[:at] + b"TFIELDS = 99999999999999999999999".ljust(80) + data[at + 80 :]
    )
    with pytest.raises(NotAFitsFileError, match="columns"):
        read_frame(tmp_path / "x.fits")


@pytest.mark.parametrize(
    "card", [b"ZVAL2   =           2147483647", b"ZVAL2   = -1", b"ZVAL1   = 0", b"ZVAL1   = 1E300"]
)
def test_absurd_settings_of_rice_are_refused(tmp_path: Path, card: bytes) -> None:
    data, _ = packed("RICE_1")
    at = data.index(card[:8])
    (tmp_path / "x.fits").write_bytes(data[:at] + card.ljust(80) + data[at + 80 :])
    with pytest.raises(NotAFitsFileError, match=r"BLOCKSIZE|BYTEPIX"):
        read_frame(tmp_path / "x.fits")
