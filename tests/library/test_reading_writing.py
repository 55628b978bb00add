"""Pixels out of files and into files."""

from __future__ import annotations

import gzip
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from library.cards import Card
from library.errors import DiskFullError, NotAFitsFileError
from library.reading import read_frame, read_meta, read_rows
from library.writing import encode_image, write_durably, write_image
from tests.library.frames import INDI_CARDS, fits_bytes

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(
    lambda shape: st.sampled_from([shape, (*shape, 3)])
)


@settings(max_examples=60, deadline=None)
@given(pixels=hnp.arrays(np.uint16, SHAPES) | hnp.arrays(np.float32, SHAPES))
def test_pixels_come_back_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, pixels: NDArray[Any]) -> None:
    path = tmp_path_factory.mktemp("round") / "a.fits"
    write_image(path, pixels, INDI_CARDS)
    frame = read_frame(path)
    assert frame.pixels.dtype == pixels.dtype
    assert frame.pixels.shape == pixels.shape
    assert frame.pixels.tobytes() == pixels.tobytes()
    assert frame.pixels.flags.c_contiguous


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.uint8, np.uint8),
        (np.int16, np.int16),
        (np.uint16, np.uint16),
        (np.int32, np.float32),
        (np.float64, np.float32),
    ],
)
def test_every_sample_type_is_read_as_astropy_reads_it(tmp_path: Path, stored: Any, expected: Any) -> None:
    pixels = np.random.default_rng(3).integers(0, 200, (7, 5)).astype(stored)
    fits.PrimaryHDU(pixels).writeto(tmp_path / "a.fits")
    found = read_frame(tmp_path / "a.fits").pixels
    assert found.dtype == expected
    np.testing.assert_array_equal(found, pixels)


def test_a_scale_is_applied(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.arange(12, dtype=np.int16).reshape(3, 4))
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 10.0
    hdu.writeto(tmp_path / "a.fits")
    np.testing.assert_allclose(read_frame(tmp_path / "a.fits").pixels.ravel(), 10 + np.arange(12) / 2)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_packed_files_hold_the_same(tmp_path: Path, dtype: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 4000, (40, 30)).astype(dtype)
    plain = tmp_path / "a.fits"
    write_image(plain, pixels, INDI_CARDS)
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    tiled = tmp_path / "a.fits.fz"
    kind = "RICE_1" if dtype is np.uint16 else "GZIP_2"
    hdu = fits.CompImageHDU(pixels, compression_type=kind, quantize_level=0.0)
    hdu.header["EXPTIME"] = 1.0
    hdu.writeto(tiled)
    for path in (plain, packed, tiled):
        np.testing.assert_array_equal(read_frame(path).pixels, pixels)
        np.testing.assert_array_equal(read_rows(path, slice(3, 11)), pixels[3:11])
        assert read_meta(path).exposure_s == 1.0
        assert (read_meta(path).width, read_meta(path).height) == (30, 40)


def test_the_first_image_counts_wherever_it_is(tmp_path: Path) -> None:
    pixels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.zeros(3))])
    fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(pixels)]).writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_frame(tmp_path / "a.fits").pixels, pixels)


def _table_only(path: Path) -> None:
    fits.HDUList(
        [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("x", "E", array=[1.0])])]
    ).writeto(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: path.write_bytes(b""), "does not begin"),
        (lambda path: path.write_bytes(b"JFIF" * 2000), "does not begin"),
        (lambda path: path.write_bytes(fits_bytes()[:1000]), "no END"),
        (lambda path: path.write_bytes(fits_bytes()[:4000]), "cut short"),
        (lambda path: path.write_bytes(gzip.compress(fits_bytes())[:500]), "end-of-stream"),
        (_table_only, "no image"),
        (lambda path: path.write_bytes(fits_bytes().replace(b"   16 /", b"   17 /")), "BITPIX"),
        (lambda path: path.write_bytes(fits_bytes().replace(b"   36    ", b"  -36    ")), "NAXIS1"),
    ],
)
def test_what_is_no_frame_is_named_with_its_fault(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "x.fits"
    make(path)
    with pytest.raises(NotAFitsFileError, match=f"x.fits.*{said}"):
        read_frame(path)


@pytest.mark.realdata
def test_every_real_frame_is_read_as_astropy_reads_it(realdata: Path) -> None:
    names = sorted(path for path in realdata.rglob("*") if path.suffix.lower() in {".gz", ".fz"})
    assert names
    for path in names:
        frame = read_frame(path)
        assert frame.meta == read_meta(path)
        assert (frame.meta.height, frame.meta.width) == frame.pixels.shape[:2]
        with warnings.catch_warnings(action="ignore"), fits.open(path) as hdus:
            theirs = next(hdu.data for hdu in hdus if hdu.data is not None)
            np.testing.assert_array_equal(frame.pixels, theirs)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "a"
    write_durably(path, [b"one", memoryview(b"two")])
    write_durably(path, [b"three"])
    assert path.read_bytes() == b"three"
    assert list(path.parent.iterdir()) == [path]


LIMITED = """
import resource, sys
from pathlib import Path
from library.errors import DiskFullError
from library.writing import write_durably
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
path = Path(sys.argv[1])
write_durably(path, [b"fits"])
try:
    write_durably(path, [bytes(60_000), bytes(60_000)])
except DiskFullError as error:
    print(error)
"""


def test_no_room_leaves_what_was_there(tmp_path: Path, python: Callable[..., str]) -> None:
    path = tmp_path / "a.fits"
    said = python(LIMITED, str(path))
    assert str(tmp_path) in said
    assert "0.1 MB" in said
    assert "free some space" in said
    assert path.read_bytes() == b"fits"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_from_other_faults(small_disk: Path) -> None:
    with pytest.raises(DiskFullError, match="No space left on device"):
        write_durably(small_disk / "sub" / "a.fits", [bytes(4_000_000)])
    assert list((small_disk / "sub").iterdir()) == []
    with pytest.raises(FileExistsError):
        write_durably(Path("/dev/null/a.fits"), [b""])


@pytest.mark.fitsverify
@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 3)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_fitsverify_finds_nothing(tmp_path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    path = tmp_path / "a.fits"
    cards: list[Card] = [
        ("OBJECT", "Größe 'A' " * 20, "Übergröße"),
        ("HISTORY", "x" * 200, ""),
        ("TINY", 1e-30, ""),
    ]
    write_image(path, np.ones(shape, dtype), cards)
    done = subprocess.run(["fitsverify", "-q", str(path)], capture_output=True, text=True, check=False)
    assert "verification OK" in done.stdout


def test_an_image_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        encode_image(np.zeros((0, 3), np.float32), [])
