"""Pieces of frames are what reading the whole gives, of every kind of file; files that fail are named."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from library.errors import LibraryError, NotAFitsFileError
from library.reading import read_frame
from library.windows import Spool, open_pixels

SHAPE = (37, 53)
KINDS = ("uint16", "int16", "uint8", "int32", "float32", "float64", "scaled", "gzip", "tiles", "float tiles")


def hdu_of(kind: str) -> fits.PrimaryHDU | fits.CompImageHDU:
    rng = np.random.default_rng(1)
    if kind == "tiles":
        return fits.CompImageHDU(rng.integers(0, 60_000, SHAPE).astype(np.uint16), compression_type="RICE_1")
    if kind == "float tiles":
        return fits.CompImageHDU(rng.normal(500, 9, SHAPE).astype(np.float32), compression_type="GZIP_1")
    if kind == "scaled":
        hdu = fits.PrimaryHDU(rng.normal(500, 90, SHAPE).astype(np.float32))
        hdu.scale("int16", bscale=0.25, bzero=100)
        return hdu
    dtype = np.dtype("uint16" if kind == "gzip" else kind)
    values: NDArray[Any] = rng.normal(120, 20, SHAPE)
    if dtype.kind in "iu":
        values = rng.integers(0, np.iinfo(dtype).max, SHAPE)
    return fits.PrimaryHDU(values.astype(dtype))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, found = tmp_path_factory.mktemp("kinds"), {}
    for kind in KINDS:
        path = folder / f"{kind}.fits"
        hdu = hdu_of(kind)
        hdus = [fits.PrimaryHDU(), hdu] if isinstance(hdu, fits.CompImageHDU) else [hdu]
        fits.HDUList(hdus).writeto(path)
        if kind == "gzip":
            path.write_bytes(gzip.compress(path.read_bytes()))
        found[kind] = path
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 36), st.integers(0, 37), st.integers(0, 52), st.integers(0, 53))
def test_a_window_is_a_piece_of_the_whole(
    files: dict[str, Path], kind: str, top: int, bottom: int, left: int, right: int
) -> None:
    whole = read_frame(files[kind]).pixels
    frame = open_pixels(files[kind])
    window = frame.window(slice(top, bottom), slice(left, right))
    assert frame.shape == SHAPE
    assert window.dtype == whole.dtype
    assert window.dtype.isnative
    np.testing.assert_array_equal(window, whole[top:bottom, left:right])


def test_packed_frames_share_one_open_file(files: dict[str, Path]) -> None:
    spool = Spool()
    before = len(list(Path("/dev/fd").iterdir()))
    frames = [open_pixels(files[kind], spool) for kind in ("tiles", "gzip", "float tiles") * 20]
    assert len(list(Path("/dev/fd").iterdir())) == before
    for frame in frames:
        np.testing.assert_array_equal(
            frame.window(slice(3, 9), slice(40, 44)), read_frame(frame.path).pixels[3:9, 40:44]
        )


def test_a_file_that_is_cut_short_or_gone_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "sub.fits"
    whole = files["uint16"].read_bytes()
    path.write_bytes(whole[:4000])
    with pytest.raises(NotAFitsFileError, match=r"sub\.fits.*cut short"):
        open_pixels(path)
    path.write_bytes(whole)
    frame = open_pixels(path)
    os.truncate(path, 4000)
    assert frame.window(slice(0, 5), slice(None)).shape == (5, 53)
    with pytest.raises(NotAFitsFileError, match=r"sub\.fits.*cut short"):
        frame.window(slice(30, 37), slice(None))
    path.unlink()
    with pytest.raises(NotAFitsFileError, match=r"sub\.fits.*No such file"):
        frame.window(slice(0, 5), slice(0, 5))
    with pytest.raises(NotAFitsFileError, match="no such file"):
        open_pixels(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_window_of_three_planes_is_that_of_each(packed: bool, tmp_path: Path) -> None:
    planes = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
    path = tmp_path / ("colour.fits.gz" if packed else "colour.fits")
    fits.PrimaryHDU(planes).writeto(path)
    frame = open_pixels(path)
    assert frame.shape == (8, 9)
    np.testing.assert_array_equal(frame.window(slice(2, 5), slice(3, 9)), planes[:, 2:5, 3:9])
    path.write_bytes(b"")
    if not packed:
        with pytest.raises(NotAFitsFileError, match="cut short"):
            frame.window(slice(0, 5), slice(0, 5))


def test_a_full_disk_is_told(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _data: object) -> None:
            raise OSError(28, "No space left on device")

    spool = Spool()
    monkeypatch.setattr(spool, "_file", Full())
    with pytest.raises(LibraryError, match=r"tiles\.fits.*No space left.*TMPDIR"):
        open_pixels(files["tiles"], spool)
