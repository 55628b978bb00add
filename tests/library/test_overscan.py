"""A frame with an overscan: what is read of it is its picture, whoever reads; its masters fit it again."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from library.cards import Card
from library.combine import combine
from library.coverage import Coverage
from library.frames import FrameKind
from library.importing.take import Outcome, take_in
from library.masters import build_masters
from library.matching import match
from library.reading import read_frame, read_meta, read_overscan_adu, read_rows
from library.store import Library
from library.windows import Spool, open_pixels
from library.writing import encode_image, write_image
from tests.library.frames import INDI_CARDS, fits_bytes, stamp

SHAPE = (37, 53)
KINDS = ("uint16", "float32", "scaled", "gzip", "tiles")


def section(rows: slice, columns: slice) -> str:
    return f"[{columns.start + 1}:{columns.stop},{rows.start + 1}:{rows.stop}]"


def write(path: Path, values: NDArray[Any], kind: str, cards: Mapping[str, Any]) -> Path:
    """One of the ways to pack an image, by a program that is not ours."""
    values = values.copy()  # scaling works in place
    hdu = fits.CompImageHDU(values, compression_type="RICE_1") if kind == "tiles" else fits.PrimaryHDU(values)
    if kind == "scaled":
        hdu.scale("int16", bscale=0.25, bzero=100)
    hdu.header.update(cards)
    hdus = [fits.PrimaryHDU(), hdu] if kind == "tiles" else [hdu]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    if kind == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    return path


def values_of(kind: str) -> NDArray[Any]:
    values = np.random.default_rng(3).integers(0, 4000, SHAPE)
    return values.astype(np.float32 if kind in {"float32", "scaled"} else np.uint16)


@st.composite
def parts(draw: st.DrawFn, length: int) -> slice:
    first = draw(st.integers(0, length - 1))
    return slice(first, draw(st.integers(first + 1, length)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts(SHAPE[0]), parts(SHAPE[1]), st.sampled_from(["RGGB", "GBRG", None]), st.booleans(), st.data())
def test_what_is_read_is_the_picture_whoever_reads(
    tmp_path: Path,
    kind: str,
    rows: slice,
    columns: slice,
    bayer: str | None,
    bottom_up: bool,
    data: st.DataObject,
) -> None:
    values = values_of(kind)
    cards: dict[str, Any] = {"TRIMSEC": section(rows, columns), "XORGSUBF": 100, "YORGSUBF": 31}
    if bayer is not None:
        cards |= {"BAYERPAT": bayer, "ROWORDER": "BOTTOM-UP" if bottom_up else "TOP-DOWN"}
    path = write(tmp_path / "a.fits", values, kind, cards)
    wanted = values[rows, columns]
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.pixels, wanted)
    assert frame.pixels.flags.c_contiguous
    assert frame.meta == read_meta(path)
    assert (frame.meta.height, frame.meta.width) == wanted.shape
    assert frame.meta.origin == (100 + columns.start, 31 + rows.start)
    if bayer is not None:
        del cards["TRIMSEC"]
        whole = read_meta(write(tmp_path / "whole.fits", values, kind, cards)).bayer_pattern
        assert mosaic(frame.meta.bayer_pattern, wanted.shape) == mosaic(whole, SHAPE, rows, columns)
    some, few = data.draw(parts(wanted.shape[0])), data.draw(parts(wanted.shape[1]))
    np.testing.assert_array_equal(read_rows(path, some), wanted[some])
    windowed = open_pixels(path, Spool())
    assert windowed.shape == wanted.shape
    np.testing.assert_array_equal(windowed.window(some, few), wanted[some, few])


def mosaic(
    pattern: str | None, shape: tuple[int, ...], rows: slice = slice(None), columns: slice = slice(None)
) -> list[list[str]]:
    """The colour of every pixel."""
    assert pattern is not None
    cell = np.array(list(pattern)).reshape(2, 2)
    y, x = np.mgrid[: shape[0], : shape[1]]
    colours: list[list[str]] = cell[y % 2, x % 2][rows, columns].tolist()
    return colours


def test_a_picture_of_three_planes_is_trimmed_in_each(tmp_path: Path) -> None:
    values = np.arange(3 * 8 * 9, dtype=np.uint16).reshape(3, 8, 9)
    hdu = fits.PrimaryHDU(values)
    hdu.header["TRIMSEC"] = "[2:9,3:6]"
    hdu.writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(
        read_frame(tmp_path / "a.fits").pixels, np.moveaxis(values[:, 2:6, 1:9], 0, -1)
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "nonsense", "[1:20]", "[5:40,1:37", "5:40,1:37", "[*,*]", "[5:40,1:37] and more"),
        *("[40:5,1:37]", "[5:40,37:1]", "[-5:40,1:37]", "[40:5,37:1]"),
        *("[0:40,1:37]", "[5:54,1:37]", "[5:40,0:37]", "[5:40,1:38]", "[100:200,100:200]"),
        "[1:53,1:37]",
        *(7, True, None),
    ],
)
def test_a_section_that_makes_no_sense_is_none(tmp_path: Path, text: Any) -> None:
    values = values_of("uint16")
    cards = {"TRIMSEC": text, "BAYERPAT": "RGGB"}
    frame = read_frame(write(tmp_path / "a.fits", values, "uint16", cards))
    np.testing.assert_array_equal(frame.pixels, values)
    assert (frame.meta.origin, frame.meta.bayer_pattern) == (None, "RGGB")


@pytest.mark.parametrize(
    ("cards", "left", "level"),
    [
        ({"DATASEC": "[9:53,1:37]", "BIASSEC": "[1:8,1:37]"}, 8, True),
        ({"DATASEC": " [ 9 : 53 , 1 : 37 ] ", "BIASSEC": "[1:8,1:37]"}, 8, True),
        ({"TRIMSEC": "[11:53,1:37]", "DATASEC": "[9:53,1:37]", "BIASSEC": "[1:8,1:37]"}, 10, True),
        ({"TRIMSEC": "[53:1,1:37]", "DATASEC": "[9:53,1:37]", "BIASSEC": "[1:8,1:37]"}, 8, True),
        ({"TRIMSEC": "[9:53,1:37]"}, 8, False),
        ({"TRIMSEC": "[9:53,1:37]", "BIASSEC": "[1:9,1:37]"}, 8, False),
        ({"TRIMSEC": "[9:53,1:37]", "BIASSEC": "[60:70,1:37]"}, 8, False),
        ({"DATASEC": "[9:53,1:37]"}, 0, False),
        ({"BIASSEC": "[1:8,1:37]"}, 0, False),
        ({"DATASEC": "[5:53,1:37]", "BIASSEC": "[1:8,1:37]"}, 0, False),
        ({"TRIMSEC": "[54:97,1:37]", "BIASSEC": "[1:8,1:37]"}, 0, False),  # trimmed, and the cards were left
    ],
)
@pytest.mark.parametrize("kind", ["uint16", "gzip"])
def test_which_section_counts(
    tmp_path: Path, cards: Mapping[str, Any], left: int, level: bool, kind: str
) -> None:
    values = values_of("uint16")
    values[:, :10] = 300
    path = write(tmp_path / "a.fits", values, kind, cards)
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.pixels, values[:, left:])
    assert frame.overscan_adu == read_overscan_adu(path) == (300.0 if level else None)


@pytest.mark.parametrize("kind", ["uint16", "float32", "scaled", "gzip", "tiles"])
def test_the_overscan_s_level_is_finer_than_an_adu_and_blind_to_hits(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(312.4, 4, (200, 60)).round().astype(values_of(kind).dtype)
    values[rng.integers(0, 200, 80), rng.integers(40, 60, 80)] = 4000
    cards = {"TRIMSEC": "[1:40,1:200]", "BIASSEC": "[41:60,1:200]"}
    level = read_frame(write(tmp_path / "a.fits", values, kind, cards)).overscan_adu
    assert level == pytest.approx(312.4, abs=0.2)  # four sigmas of 4000 pixels; the median is 312 or 313


def test_an_overscan_without_a_number_has_no_level(tmp_path: Path) -> None:
    values = np.full(SHAPE, np.nan, np.float32)
    cards = {"TRIMSEC": "[9:53,1:37]", "BIASSEC": "[1:8,1:37]"}
    assert read_frame(write(tmp_path / "a.fits", values, "float32", cards)).overscan_adu is None


# -- masters ------------------------------------------------------------

PEDESTAL, LEVELS = 500, (300, 310, 320)
SECTIONS: tuple[Card, ...] = (
    ("TRIMSEC", "[7:36,1:24]", ""),
    ("BIASSEC", "[1:4,1:24]", ""),
    ("DATASEC", "[7:36,1:24]", ""),
)


def overscanned(rng: np.random.Generator, level: float, light: float | NDArray[Any] = 0.0) -> NDArray[Any]:
    """24×36, of which the first 6 columns are overscan."""
    pixels = rng.normal(level, 3, (24, 36))
    pixels[:, 6:] += PEDESTAL - LEVELS[1] + light
    return pixels.round().astype(np.uint16)


def shoot(library: Library, frame_id: str, pixels: NDArray[Any], kind: FrameKind, **changes: Any) -> Any:
    data = fits_bytes(pixels, (*INDI_CARDS, *SECTIONS, ("BAYERPAT", "RGGB", "")))
    return library.add(data, stamp(frame_id, kind=kind, **changes))


def test_masters_of_such_frames_are_of_the_picture_and_fit_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    with Library.open(tmp_path) as library:
        stored = [overscanned(rng, level) for level in LEVELS]
        darks = [shoot(library, f"d{i}", each, FrameKind.DARK) for i, each in enumerate(stored)]
        for record, pixels in zip(darks, stored, strict=True):
            with fits.open(record.path) as hdus:
                np.testing.assert_array_equal(hdus[0].data, pixels)
        light = shoot(library, "l", overscanned(rng, LEVELS[0], 50), FrameKind.LIGHT)
        assert (light.meta.width, light.meta.height, light.meta.origin) == (30, 24, (6, 0))
        (master,) = build_masters(library)
        assert build_masters(library) == []
        frame = read_frame(master.path)
        assert not {"TRIMSEC", "BIASSEC", "DATASEC"} & frame.header.keys()
        assert (frame.meta.width, frame.meta.height, frame.meta.origin) == (30, 24, (6, 0))
        np.testing.assert_allclose(frame.pixels, np.mean([each[:, 6:] for each in stored], axis=0), atol=12)
        assert frame.pixels.mean() == pytest.approx(PEDESTAL, abs=1)
        mean = np.mean([read_frame(record.path).overscan_adu for record in darks])
        assert frame.overscan_adu == frame.header["OSCANADU"] == pytest.approx(mean, abs=1e-3)
        assert mean == pytest.approx(LEVELS[1], abs=1)
        found = match(library, light.meta).dark
        assert (found.record, found.coverage) == (master, Coverage.EXACT)


@pytest.mark.parametrize("packed", [False, True])
def test_packed_frames_with_an_overscan_are_combined_alike(tmp_path: Path, packed: bool) -> None:
    rng = np.random.default_rng(2)
    paths = []
    for number, level in enumerate(LEVELS):
        path = tmp_path / f"{number}.fits"
        write_image(path, overscanned(rng, level), SECTIONS)
        if packed:
            path.write_bytes(gzip.compress(path.read_bytes()))
        paths.append(path)
    master = combine(paths, FrameKind.BIAS)
    assert master.pixels.shape == (24, 30)
    assert master.pixels.mean() == pytest.approx(PEDESTAL, abs=1)
    assert master.overscan_adu == pytest.approx(LEVELS[1], abs=1)


def test_one_frame_without_an_overscan_leaves_the_master_without_a_level(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    one, other = overscanned(rng, 300), overscanned(rng, 310)
    write_image(tmp_path / "one.fits", one, SECTIONS)
    write_image(tmp_path / "other.fits", other[:, 6:], [])
    assert combine([tmp_path / "one.fits", tmp_path / "other.fits"], FrameKind.BIAS).overscan_adu is None


def test_a_master_that_was_made_with_the_overscan_in_it_is_built_anew(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with Library.open(tmp_path) as library:
        for number in range(3):
            shoot(library, f"d{number}", overscanned(rng, 300), FrameKind.DARK)
        (master,) = build_masters(library)
        path = PurePosixPath(master.path.relative_to(library.folder))
        keep = {"IMAGETYP", "NCOMBINE", "FRAMEID", "INSTRUME", "EXPTIME"}
        cards = [(key, value, "") for key, value in read_frame(master.path).header.items() if key in keep]
        library.put_master(path, encode_image(np.zeros((24, 36), np.float32), cards))
        (anew,) = build_masters(library)
        assert (anew.meta.width, anew.meta.origin) == (30, (6, 0))
        assert build_masters(library) == []


def test_flats_lose_the_pedestal_at_their_own_bias_level(tmp_path: Path) -> None:
    """A tenth of the flats' level is drift: left in, it makes the flat shallower by as much."""
    rng = np.random.default_rng(4)
    response = np.linspace(0.4, 1.0, 30) * np.ones((24, 1))
    flats = []
    for number in range(5):
        flats.append(tmp_path / f"{number}.fits")
        write_image(flats[-1], overscanned(rng, LEVELS[1] + 200, 2000 * response), SECTIONS)
    bias = np.full((24, 30), PEDESTAL, np.float32)
    errors = {}
    for level in (None, float(LEVELS[1])):
        flat = combine(flats, FrameKind.FLAT, bias=bias, pedestal_overscan_adu=level).pixels
        errors[level] = float(np.abs(flat.mean(axis=0) / (response / response.mean())[0] - 1).max())
    assert errors[LEVELS[1]] < 0.005
    assert errors[None] > 0.05


def test_such_a_frame_is_taken_into_the_library_once_and_whole(tmp_path: Path) -> None:
    pixels = overscanned(np.random.default_rng(6), 300)
    write_image(tmp_path / "a.fits", pixels, [*INDI_CARDS, *SECTIONS])
    with Library.open(tmp_path / "root") as library:
        (taken,) = take_in(library, [tmp_path / "a.fits"])
        assert taken.meta is not None
        assert (taken.meta.width, taken.meta.origin) == (30, (6, 0))
        assert taken.path is not None
        with fits.open(taken.path) as hdus:
            np.testing.assert_array_equal(hdus[0].data, pixels)
        (again,) = take_in(library, [tmp_path / "a.fits"])
        assert again.outcome is Outcome.HERE
