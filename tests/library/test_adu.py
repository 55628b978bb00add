"""Pixels of 0…1, and pixels with a pedestal, are ADU wherever they are read to be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from library.adu import NORMALISED
from library.cards import CardValue
from library.combine import combine
from library.frames import FrameKind
from library.importing.take import take_in
from library.reading import adu_notes, read_frame, read_rows
from library.stacked import open_frames
from library.store import Library
from library.windows import open_pixels
from tests.library.foreign import write_tiff, write_xisf

ADU = np.random.default_rng(0).normal(900, 30, (24, 36)).round()


def write(path: Path, pixels: NDArray[Any], kind: str = "Dark Frame", **cards: CardValue) -> Path:
    header = {"IMAGETYP": kind, "INSTRUME": "Cam", "EXPTIME": 60.0, "GAIN": 1} | cards
    fits.PrimaryHDU(pixels, fits.Header(header)).writeto(path, overwrite=True)
    return path


def every_way(path: Path) -> list[NDArray[Any]]:
    """Rows 4 to 9 as all that is there reads them."""
    rows = slice(4, 9)
    with open_frames([path]) as frames:
        of_frames = frames.read_floats(4, 9).reshape(5, -1)
    window = open_pixels(path, in_adu=True).window(rows, slice(None))
    return [
        read_frame(path, in_adu=True).pixels[rows], read_rows(path, rows, in_adu=True), window, of_frames,
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
def test_floats_of_nought_to_one_are_adu_however_they_are_read(
    tmp_path: Path, dtype: str, suffix: str
) -> None:
    path = write(tmp_path / f"a{suffix}", (ADU / 65535).astype(dtype))
    for pixels in every_way(path):
        np.testing.assert_allclose(pixels, ADU[4:9], atol=0.01)
    assert read_frame(path, in_adu=True).notes == adu_notes(path) == (NORMALISED,)
    np.testing.assert_allclose(
        read_frame(path).pixels, ADU / 65535, rtol=1e-6
    )  # as stored, where that counts


@pytest.mark.parametrize("suffix", [".xisf", ".tif"])
def test_floats_of_other_formats_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    (write_xisf if suffix == ".xisf" else write_tiff)(path, (ADU / 65535).astype("f4"))
    for pixels in every_way(path):
        np.testing.assert_allclose(pixels, ADU[4:9], atol=0.01)
    assert read_frame(path, in_adu=True).notes == (NORMALISED,)
    np.testing.assert_allclose(read_frame(path).pixels, ADU / 65535, rtol=1e-6)


def test_a_pedestal_is_taken_off_words_of_another_format(tmp_path: Path) -> None:
    keywords = {"CALSTAT": "'BD'", "PEDESTAL": "-100"}
    path = write_xisf(tmp_path / "a.xisf", ADU.astype(np.uint16), keywords)
    for pixels in every_way(path):
        np.testing.assert_array_equal(pixels, ADU[4:9] - 100)


def test_tiles_of_floats_too(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.fz"
    pixels, header = (ADU / 65535).astype("f4"), fits.Header({"IMAGETYP": "Dark"})
    tiles = fits.CompImageHDU(pixels, header, compression_type="GZIP_2", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(path)
    for pixels in every_way(path):
        np.testing.assert_allclose(pixels, ADU[4:9], atol=0.01)


@pytest.mark.parametrize(
    ("pixels", "kind", "cards"),
    [
        (ADU.astype("f4"), "Dark Frame", {}),
        (ADU.astype("u2"), "Dark Frame", {}),
        ((ADU / 65535).astype("f4"), "Dark Frame", {"BUNIT": "adu"}),
        (np.zeros((24, 36), "f4"), "Bias Frame", {}),
        ((ADU / ADU.mean()).astype("f4"), "Flat Frame", {"NCOMBINE": 9}),
        ((ADU / ADU.max()).astype("f4"), "Master Flat", {}),
        (np.random.default_rng(1).normal(0, 3, (24, 36)).astype("f4"), "Dark Frame", {}),
    ],
)
def test_what_is_adu_or_a_master_flat_is_left_as_it_is(
    tmp_path: Path, pixels: NDArray[Any], kind: str, cards: dict[str, CardValue]
) -> None:
    path = write(tmp_path / "a.fits", pixels, kind, **cards)
    for read in every_way(path):
        np.testing.assert_array_equal(read, pixels[4:9])
    assert adu_notes(path) == ()


def test_a_saturated_star_that_a_flat_has_lifted_above_one_changes_nothing(tmp_path: Path) -> None:
    pixels = (ADU / 65535).astype("f4")
    pixels[0, 0] = 1.6
    path = write(tmp_path / "a.fits", pixels, "Light Frame")
    np.testing.assert_allclose(read_frame(path, in_adu=True).pixels[4:9], ADU[4:9], atol=0.01)


def test_it_is_the_file_as_it_is_now_that_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", (ADU / 65535).astype("f4"))
    assert adu_notes(path) == (NORMALISED,)
    write(path, np.concatenate((ADU, ADU)).astype("f4"))
    assert adu_notes(path) == ()


@pytest.mark.parametrize(
    ("cards", "added"),
    [
        ({"CALSTAT": "BDF", "PEDESTAL": -100}, -100),
        ({"CALSTAT": "B", "PEDESTAL": "-100,5"}, -100.5),
        ({"CALSTAT": "F", "PEDESTAL": -100}, 0),
        ({"PEDESTAL": -100}, 0),  # of a raw frame the bias holds it too
        ({"CALSTAT": "BDF", "PEDESTAL": "?"}, 0),
    ],
)
def test_a_pedestal_is_applied_where_the_bias_was_taken_off(
    tmp_path: Path, cards: dict[str, CardValue], added: float
) -> None:
    path = write(tmp_path / "a.fits", ADU.astype("u2"), "Light Frame", **cards)
    for pixels in every_way(path):
        np.testing.assert_array_equal(pixels, ADU[4:9] + added)
    assert bool(adu_notes(path)) == bool(added)


@pytest.mark.parametrize("n", [1, 3])
def test_a_master_of_such_frames_is_in_adu(tmp_path: Path, n: int) -> None:
    paths = [write(tmp_path / f"{i}.fits", ((ADU + i) / 65535).astype("f4")) for i in range(n)]
    made = combine(paths, FrameKind.DARK)
    np.testing.assert_allclose(made.pixels, ADU + (n - 1) / 2, atol=0.02)


def test_library_add_says_the_same_and_scales_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", (ADU / 65535).astype("f4"))
    with Library.open(tmp_path / "root") as library:
        (taken,) = take_in(library, [path])
        assert NORMALISED in taken.filled
        assert taken.path is not None
        for pixels in (read_frame(taken.path).pixels, read_frame(taken.path, in_adu=True).pixels):
            np.testing.assert_allclose(pixels, ADU, atol=0.01)
        assert adu_notes(taken.path) == ()
