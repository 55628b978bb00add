"""What the FITS standard (4.0) means by INHERIT, BLANK, axes of length one, and several images in a file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from library.cards import format_card, format_header, padded
from library.combine import combine
from library.errors import NotAFitsFileError
from library.frames import FrameKind
from library.headers import stamp_fits
from library.importing.take import Outcome, take_in
from library.reading import read_frame, read_meta, read_rows
from library.store import Library
from library.windows import open_pixels
from tests.library.frames import stamp

PICTURE = np.arange(24 * 36, dtype=np.uint16).reshape(24, 36) + 900
CAMERA = {
    "EXPTIME": 60.0, "FILTER": "R", "INSTRUME": "Cam", "IMAGETYP": "Light", "DATE-OBS": "2025-01-01T20:00:00",
    "GAIN": 100,
}  # fmt: skip


def several(path: Path, extension: dict[str, Any], *, primary: NDArray[Any] | None = None) -> Path:
    """The camera's keywords in the primary header, the picture in an extension."""
    first = fits.PrimaryHDU(primary, fits.Header(CAMERA))
    second = fits.ImageHDU(PICTURE, fits.Header(extension), name="SCI")
    fits.HDUList([first, second]).writeto(path)
    return path


@pytest.mark.parametrize(
    ("inherit", "thumbnail", "camera"),
    [
        ({"INHERIT": True}, False, "Cam"),
        ({"INHERIT": False}, False, ""),
        ({}, False, "Cam"),  # a primary header without data has nothing else to describe
        ({"INHERIT": True}, True, "Cam"),
        ({}, True, ""),
        ({"INHERIT": False}, True, ""),
    ],
)
def test_inherit(tmp_path: Path, inherit: dict[str, Any], thumbnail: bool, camera: str) -> None:
    small = PICTURE[::4, ::4] if thumbnail else None
    path = several(tmp_path / "a.fits", {"GAIN": 7, **inherit}, primary=small)
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.pixels, PICTURE)
    assert (frame.meta.camera, frame.meta.gain) == (camera, 7.0), "its own card comes first"
    assert frame.meta == read_meta(path)
    assert frame.meta.exposure_s == (60.0 if camera else None)
    assert frame.meta.filter == ("R" if camera else None)


def test_what_describes_the_primary_data_is_not_inherited(tmp_path: Path) -> None:
    thumbnail = fits.PrimaryHDU(PICTURE[::4, ::4].astype(np.int16), fits.Header(CAMERA))
    thumbnail.header["BLANK"], thumbnail.header["BUNIT"] = 905, "electron"
    extension = fits.ImageHDU(PICTURE.astype(np.int16), fits.Header({"INHERIT": True}))
    fits.HDUList([thumbnail, extension]).writeto(tmp_path / "a.fits")
    frame = read_frame(tmp_path / "a.fits")
    np.testing.assert_array_equal(frame.pixels, PICTURE)
    assert frame.pixels.dtype == np.int16
    assert (frame.meta.camera, frame.meta.unit) == ("Cam", None)


def test_a_frame_with_an_inheriting_extension_is_taken_and_stamped(tmp_path: Path) -> None:
    path = several(tmp_path / "a.fits", {"INHERIT": True})
    with Library.open(tmp_path / "root") as library:
        (taken,) = take_in(library, [path])
        assert taken.outcome is Outcome.TAKEN
        assert taken.meta is not None
        assert (taken.meta.camera, taken.meta.filter, taken.meta.exposure_s) == ("Cam", "R", 60.0)
        (record,) = library.find()
        assert record.meta == taken.meta == read_meta(record.path)
    stamped = stamp_fits(path.read_bytes(), stamp(camera="Other"))
    assert stamped.meta.camera == "Cam", "the device's own name is kept, wherever it stands"
    (tmp_path / "b.fits").write_bytes(b"".join(stamped.buffers))
    assert read_meta(tmp_path / "b.fits") == stamped.meta


@pytest.mark.parametrize("name", ["", "THUMBNAIL", "Preview"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_thumbnail_first_is_not_the_picture(tmp_path: Path, name: str, packed: bool) -> None:
    small = fits.ImageHDU(PICTURE[::3, ::3], name=name or None)
    hdus = [fits.PrimaryHDU(), small, fits.ImageHDU(PICTURE, fits.Header(CAMERA))]
    path = tmp_path / "a.fits"
    fits.HDUList(hdus).writeto(path)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_frame(path).pixels, PICTURE)
    np.testing.assert_array_equal(open_pixels(path).window(slice(2, 5), slice(None)), PICTURE[2:5])
    assert read_meta(path).width == 36


def test_a_thumbnail_that_the_primary_header_names(tmp_path: Path) -> None:
    """PixInsight writes it behind the picture; in front it is none the more."""
    first = fits.PrimaryHDU(None, fits.Header({"THUMBIMG": "Small"}))
    fits.HDUList([first, fits.ImageHDU(PICTURE.T, name="SMALL"), fits.ImageHDU(PICTURE)]).writeto(
        tmp_path / "a.fits"
    )
    np.testing.assert_array_equal(read_frame(tmp_path / "a.fits").pixels, PICTURE)


def test_of_images_alike_the_first_counts(tmp_path: Path) -> None:
    hdus = [fits.PrimaryHDU(PICTURE), fits.ImageHDU(PICTURE + 1), fits.ImageHDU(PICTURE[:, :9], name="MASK")]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_frame(tmp_path / "a.fits").pixels, PICTURE)


def test_a_file_cut_short_behind_its_picture_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(PICTURE), fits.ImageHDU(PICTURE)]).writeto(path)
    path.write_bytes(gzip.compress(path.read_bytes())[:-300])
    assert read_meta(path).width == 36


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ((1, 1, 24, 36), (24, 36)),
        ((1, 24, 36), (24, 36)),
        ((24, 1, 36), (24, 36)),
        ((24, 36, 1), (24, 36)),
        ((1, 3, 24, 36), (24, 36, 3)),
        ((3, 1, 24, 36), (24, 36, 3)),
    ],
)
def test_axes_of_length_one_are_none(tmp_path: Path, shape: tuple[int, ...], read: tuple[int, ...]) -> None:
    stored = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    fits.PrimaryHDU(stored).writeto(tmp_path / "a.fits")
    pixels = read_frame(tmp_path / "a.fits").pixels
    assert pixels.shape == read
    np.testing.assert_array_equal(np.sort(pixels.ravel()), stored.ravel())
    assert (read_meta(tmp_path / "a.fits").width, read_meta(tmp_path / "a.fits").height) == (36, 24)


def test_a_cube_is_refused(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((5, 24, 36), np.uint16)).writeto(tmp_path / "a.fits")
    with pytest.raises(NotAFitsFileError, match="neither one plane nor three"):
        read_frame(tmp_path / "a.fits")


HOLES = ((3, 5), (20, 35))
Blanked = tuple[NDArray[Any], int, dict[str, float]]


def blanked(dtype: str) -> Blanked:
    """Stored words with a hole or two, what marks them, and the scaling."""
    stored = np.arange(24 * 36, dtype=np.int64).reshape(24, 36) % 200
    blank = {"uint8": 255, "int16": -32768, "int32": -(2**31)}[dtype]
    for hole in HOLES:
        stored[hole] = blank
    return stored.astype(dtype), blank, {}


def write_plain(path: Path, stored: NDArray[Any], cards: dict[str, float]) -> None:
    """By hand: astropy takes BZERO and BSCALE out again."""
    bits = -32 if stored.dtype.kind == "f" else 8 * stored.itemsize
    structure = {"SIMPLE": True, "BITPIX": bits, "NAXIS": 2, "NAXIS1": stored.shape[1], "NAXIS2": len(stored)}
    header = format_header(format_card(*card) for card in (structure | cards).items())
    data = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(header + data.ljust(padded(len(data)), b"\0"))


def write_gzipped(path: Path, stored: NDArray[Any], cards: dict[str, float]) -> None:
    write_plain(path, stored, cards)
    path.write_bytes(gzip.compress(path.read_bytes()))


def write_tiles(path: Path, stored: NDArray[Any], cards: dict[str, float], blank: str = "BLANK") -> None:
    hdu = fits.CompImageHDU(stored, compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    with fits.open(path, disable_image_compression=True, mode="update") as hdus:
        for keyword, value in cards.items():
            hdus[1].header[blank if keyword == "BLANK" else keyword] = value


def write_tiles_zblank(path: Path, stored: NDArray[Any], cards: dict[str, float]) -> None:
    write_tiles(path, stored, cards, "ZBLANK")


@pytest.mark.parametrize("write", [write_plain, write_gzipped, write_tiles, write_tiles_zblank])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
@pytest.mark.parametrize("scaling", [{}, {"BZERO": 32768.0, "BSCALE": 1.0}, {"BZERO": 10.0, "BSCALE": 0.5}])
def test_blank_pixels_have_no_value(
    tmp_path: Path, write: Callable[..., None], dtype: str, scaling: dict[str, float]
) -> None:
    stored, blank, _ = blanked(dtype)
    path = tmp_path / "a.fits"
    write(path, stored, {"BLANK": blank, **scaling})
    expected = stored * scaling.get("BSCALE", 1.0) + scaling.get("BZERO", 0.0)
    expected[tuple(np.transpose(HOLES))] = np.nan
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.pixels, expected.astype(np.float32))
    np.testing.assert_array_equal(read_rows(path, slice(2, 7)), expected[2:7].astype(np.float32))
    window = open_pixels(path).window(slice(18, 24), slice(30, 36))
    np.testing.assert_array_equal(window, expected[18:, 30:].astype(np.float32))


def test_blank_says_nothing_of_floats(tmp_path: Path) -> None:
    pixels = np.full((4, 4), 7, np.float32)
    path = tmp_path / "a.fits"
    write_plain(path, pixels, {"BLANK": 7})
    np.testing.assert_array_equal(read_frame(path).pixels, pixels)


@pytest.mark.parametrize("kind", [FrameKind.DARK, FrameKind.FLAT])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_master_has_a_value_where_one_of_its_frames_has(tmp_path: Path, kind: FrameKind, n: int) -> None:
    rng = np.random.default_rng(1)
    paths = [tmp_path / f"{i}.fits" for i in range(n)]
    for i, path in enumerate(paths):
        stored = rng.normal(20_000, 20, (64, 48)).astype(np.int16)
        stored[10:14, 20] = stored[30 + i, 5] = -32768
        write_plain(path, stored, {"BLANK": -32768})
    made = combine(paths, kind, allow_uncalibrated_flat=True)
    lost = np.zeros((64, 48), bool)
    lost[10:14, 20] = True
    lost[30, 5] = n == 1
    np.testing.assert_array_equal(np.isnan(made.pixels), lost)
    assert not made.left_out
    if made.noise_adu is not None:
        scale = 1 if kind is FrameKind.DARK else 20_000
        assert made.noise_adu * scale == pytest.approx(20 / np.sqrt(n), rel=0.1)


@pytest.mark.parametrize(
    ("card", "says"), [("BZERO   = 'much'", "BZERO is 'much', no number"), ("BSCALE  = 0.0", "BSCALE is 0")]
)
def test_a_scaling_that_is_none_is_refused(tmp_path: Path, card: str, says: str) -> None:
    path = tmp_path / "a.fits"
    header = ["SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 2", "NAXIS2  = 2", card, "END"]
    path.write_bytes("".join(each.ljust(80) for each in header).ljust(2880).encode() + bytes(2880))
    with pytest.raises(NotAFitsFileError, match=says):
        read_frame(path)


def test_a_scaling_that_is_text_is_a_number_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    header = [
        "SIMPLE  = T",
        "BITPIX  = 16",
        "NAXIS   = 2",
        "NAXIS1  = 2",
        "NAXIS2  = 1",
        "BZERO   = '32768,0'",
    ]
    data = np.array([[-32768, 5]], ">i2").tobytes().ljust(2880, b"\0")
    path.write_bytes("".join(each.ljust(80) for each in [*header, "END"]).ljust(2880).encode() + data)
    np.testing.assert_array_equal(read_frame(path).pixels, [[0, 32773]])
