"""Lights of every format and of every mosaic, through the doors of ``firstlight stack``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from firstlight.errors import FirstlightError
from firstlight.stack_calibration import Wanted
from firstlight.stack_files import stack_files
from firstlight.stack_job import StackJob
from firstlight.stack_report import Said, StackReport, Told
from firstlight.stack_watching import Until, watch_folder
from library.cards import Card
from library.mosaics import XTRANS
from library.reading import read_frame
from library.writing import write_image
from tests.library.foreign import write_dng, write_png, write_ser, write_tiff, write_xisf
from tests.livestack.sky import Sky, motion, quantised

SKY = Sky(shape=(240, 320), n_stars=70)
LEVELS = np.array([900.0, 500.0, 300.0])
SHARES = LEVELS / LEVELS.sum() * 3

Frame = NDArray[np.uint16]


def colour(number: int) -> Frame:
    """A light (H, W, 3): stars are as red as the sky."""
    rng = np.random.default_rng(number)
    at = motion(1.5 * number, -number, 0, SKY.shape)
    grey = SKY.expose(at, rng, sky_adu=LEVELS.mean(), noise_adu=0)
    noise = rng.normal(0, 8, (*SKY.shape, 3))
    return quantised(grey[..., None] * SHARES + noise)


def mosaic(number: int, pattern: str = "RGGB") -> Frame:
    """The same as a camera with such a mosaic sees it."""
    side = 2 if len(pattern) == 4 else 6
    channel = np.array(["RGB".index(letter) for letter in pattern]).reshape(side, side)
    y, x = np.indices(SKY.shape)
    return np.take_along_axis(colour(number), channel[y % side, x % side][..., None], axis=2)[..., 0]


def fits(path: Path, pixels: Frame, *cards: Card) -> Path:
    write_image(path, pixels, [("EXPTIME", 30.0, ""), *cards])
    return path


def stacked(lights: list[Path], output: Path, **options: object) -> tuple[StackReport, list[str]]:
    said: list[str] = []

    def tell(told: Told) -> None:
        if isinstance(told, Said):
            said.append(told.message)

    return stack_files(lights, StackJob(output=output, **options), tell), said  # type: ignore[arg-type]


def picture(path: Path) -> NDArray[np.float32]:
    return read_frame(path).pixels


def sky_of(path: Path) -> NDArray[np.float64]:
    return np.asarray(np.median(picture(path)[40:-40, 40:-40].reshape(-1, 3), axis=0))


RAW: dict[str, tuple[str, Callable[[Path, Frame], Path], str | None]] = {
    "tiff": (".tif", write_tiff, "RGGB"),
    "xisf": (".xisf", lambda path, pixels: write_xisf(path, pixels, {"BAYERPAT": "'RGGB'"}), None),
    "png": (".png", write_png, "RGGB"),
    "dng": (".dng", write_dng, None),
    "ser": (".ser", lambda path, pixels: write_ser(path, [pixels], colour=8), None),
}


def test_the_same_subs_make_the_same_picture_in_every_format(tmp_path: Path) -> None:
    subs = [mosaic(number) for number in range(3)]
    lights = [fits(tmp_path / f"{n}.fits", sub, ("BAYERPAT", "RGGB", "")) for n, sub in enumerate(subs)]
    report, _ = stacked(lights, tmp_path / "fits.out.fits")
    assert report.accepted == 3
    wanted = picture(tmp_path / "fits.out.fits")
    np.testing.assert_allclose(sky_of(tmp_path / "fits.out.fits"), LEVELS, rtol=0.01)
    for name, (suffix, write, bayer) in RAW.items():
        folder = tmp_path / name
        folder.mkdir()
        for number, sub in enumerate(subs):
            write(folder / f"{number}{suffix}", sub)
        report, said = stacked([folder], tmp_path / f"{name}.fits", bayer=bayer)
        assert report.accepted == 3, (name, said)
        np.testing.assert_array_equal(picture(tmp_path / f"{name}.fits"), wanted, err_msg=name)
    whole = write_ser(tmp_path / "all.ser", subs, colour=8)
    report, _ = stacked([whole], tmp_path / "ser.out.fits", method="mean")
    assert [Path(sub.path).name for sub in report.subs] == ["all.ser#1", "all.ser#2", "all.ser#3"]
    assert np.abs(picture(tmp_path / "ser.out.fits") - wanted)[40:-40, 40:-40].mean() < 2


COLOURS: dict[str, tuple[str, Callable[[Path, Frame], Path]]] = {
    "fits": (".fits", fits),
    "tiff": (".tif", write_tiff),
    "png": (".png", write_png),
    "xisf": (".xisf", write_xisf),
    "ser": (".ser", lambda path, pixels: write_ser(path, [pixels], colour=100)),
}


def test_lights_of_three_planes_keep_their_colours(tmp_path: Path) -> None:
    first: NDArray[np.float32] | None = None
    for name, (suffix, write) in COLOURS.items():
        lights = [write(tmp_path / f"{name}{number}{suffix}", colour(number)) for number in range(3)]
        report, _ = stacked(lights, tmp_path / "o.fits")
        assert report.accepted == 3
        for number, sub in enumerate(report.subs):
            assert sub.matrix is not None
            np.testing.assert_allclose(np.array(sub.matrix)[:2, 2], [1.5 * number, -number], atol=0.1)
        np.testing.assert_allclose(sky_of(tmp_path / "o.fits"), LEVELS, rtol=0.003)
        pixels = picture(tmp_path / "o.fits")
        above = pixels[60:180, 80:240] - LEVELS
        flux = above[above.mean(axis=2) > 200].sum(axis=0)
        np.testing.assert_allclose(flux / flux.sum() * 3, SHARES, rtol=0.02)
        first = pixels if first is None else first
        np.testing.assert_array_equal(pixels, first, err_msg=name)


@pytest.mark.parametrize("method", ["live", "sigma"])
def test_colour_masters_of_three_planes_calibrate_colour_lights(method: str, tmp_path: Path) -> None:
    shading = 1 - 0.4 * (np.indices(SKY.shape)[1] / SKY.shape[1])[..., None] * np.array([1.0, 0.5, 0.2])
    dark = np.full((*SKY.shape, 3), [100.0, 200.0, 50.0], np.float32)
    lights = [
        fits(tmp_path / f"{n}.fits", quantised(colour(n) * shading + dark), ("CALSTAT", "", ""))
        for n in range(3)
    ]
    master: list[Card] = [("NCOMBINE", 20, ""), ("EXPTIME", 30.0, "")]
    write_image(tmp_path / "dark.fits", dark, [("IMAGETYP", "Dark Frame", ""), *master])
    write_image(tmp_path / "flat.fits", shading.astype(np.float32), [("IMAGETYP", "Flat", ""), *master])
    wanted = Wanted(darks=[tmp_path / "dark.fits"], flats=[tmp_path / "flat.fits"])
    report, _ = stacked(lights, tmp_path / "o.fits", wanted=wanted, method=method)
    assert report.accepted == 3
    pixels = picture(tmp_path / "o.fits")
    left, right = (
        np.median(pixels[40:-40, part].reshape(-1, 3), axis=0) for part in (slice(20, 60), slice(-60, -20))
    )
    np.testing.assert_allclose(left, right, rtol=0.02)
    np.testing.assert_allclose(left / left[1], LEVELS / LEVELS[1], rtol=0.25)


def test_masters_of_one_plane_do_not_go_with_lights_of_three(tmp_path: Path) -> None:
    lights = [fits(tmp_path / f"{n}.fits", colour(n)) for n in range(2)]
    mono = [fits(tmp_path / f"m{n}.fits", mosaic(n)) for n in range(2)]
    dark = fits(tmp_path / "dark.fits", mosaic(9), ("IMAGETYP", "Dark Frame", ""), ("NCOMBINE", 9, ""))
    colours = fits(tmp_path / "cdark.fits", colour(9), ("IMAGETYP", "Dark Frame", ""), ("NCOMBINE", 9, ""))
    for subs, master in ((lights, dark), (mono, colours)):
        with pytest.raises(FirstlightError, match=r"dark\.fits.*plane"):
            stacked(subs, tmp_path / "o.fits", wanted=Wanted(darks=[master]))
    with pytest.raises(FirstlightError, match="leave out --drizzle"):
        stacked(lights, tmp_path / "o.fits", drizzle=2.0)


def test_mono_and_colour_do_not_mix(tmp_path: Path) -> None:
    lights = [fits(tmp_path / "a.fits", colour(0)), fits(tmp_path / "b.fits", mosaic(1))]
    report, _ = stacked(lights, tmp_path / "o.fits", bayer="none")
    assert [sub.accepted for sub in report.subs] == [True, False]
    assert "it is mono, the stack of no filter colour" in str(report.subs[1].reason)


@pytest.mark.parametrize("pattern", ["CYGM", "TRUE", "RGBW", XTRANS])
def test_a_mosaic_that_is_not_demosaiced_is_refused_and_never_mono(pattern: str, tmp_path: Path) -> None:
    seen = XTRANS if pattern == XTRANS else "RGGB"
    lights = [fits(tmp_path / f"{n}.fits", mosaic(n, seen), ("BAYERPAT", pattern, "")) for n in range(2)]
    with pytest.raises(FirstlightError, match="--bayer"):
        stacked(lights, tmp_path / "o.fits")
    report, _ = stacked(lights, tmp_path / "o.fits", bayer="none")
    assert report.accepted == 2
    assert picture(tmp_path / "o.fits").ndim == 2


def test_bayer_stands_over_the_header_and_rows_from_the_bottom_are_minded(tmp_path: Path) -> None:
    subs = [mosaic(number) for number in range(2)]
    right = [fits(tmp_path / f"r{n}.fits", sub, ("BAYERPAT", "RGGB", "")) for n, sub in enumerate(subs)]
    wrong = [fits(tmp_path / f"w{n}.fits", sub, ("BAYERPAT", "BGGR", "")) for n, sub in enumerate(subs)]
    upside = [
        fits(tmp_path / f"u{n}.fits", sub[::-1], ("ROWORDER", "BOTTOM-UP", "")) for n, sub in enumerate(subs)
    ]
    stacked(right, tmp_path / "right.fits")
    for name, lights in (("wrong", wrong), ("upside", upside)):
        stacked(lights, tmp_path / f"{name}.fits", bayer="rggb")
        np.testing.assert_allclose(sky_of(tmp_path / f"{name}.fits"), LEVELS, rtol=0.01)
    np.testing.assert_array_equal(picture(tmp_path / "wrong.fits"), picture(tmp_path / "right.fits"))
    with pytest.raises(FirstlightError, match="4 letters"):
        stacked(right, tmp_path / "o.fits", bayer="RGB")


@pytest.mark.parametrize(
    ("pattern", "said"), [("RGGB", "Bayer"), ("GBRG", "Bayer"), (XTRANS, "X-Trans"), (None, None)]
)
def test_a_mosaic_of_which_the_header_says_nothing_is_told(
    pattern: str | None, said: str | None, tmp_path: Path
) -> None:
    pixels = [mosaic(n, pattern) if pattern else colour(n)[..., 1] for n in range(2)]
    lights = [fits(tmp_path / f"{n}.fits", each) for n, each in enumerate(pixels)]
    report, told = stacked(lights, tmp_path / "o.fits")
    about = [text for text in told if "mosaic" in text]
    assert len(about) == (said is not None)
    assert all("--bayer" in text and str(said) in text for text in about)
    assert report.accepted == 2
    _, told = stacked(lights, tmp_path / "o.fits", bayer="none")
    assert not [text for text in told if "mosaic" in text]


def test_what_is_no_frame_is_kept_aside_and_named_and_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "night"
    folder.mkdir()
    for number in range(2):
        fits(folder / f"{number}.fits", colour(number))
    thumbnail = Image.fromarray(np.zeros((60, 80), np.uint8))
    for name in ("thumb.jpg", "preview.png"):
        thumbnail.save(folder / name)
    thumbnail.save(folder / "renamed.tif", format="JPEG")
    (folder / "notes.txt").write_text("clear")
    report, said = stacked([folder], tmp_path / "o.fits")
    assert report.accepted == 2
    assert len(report.subs) == 2
    line = next(text for text in said if text.startswith("left out"))
    assert "2 × JPEG pictures (" in line
    assert "8-bit PNG pictures (preview.png)" in line
    assert "other files (notes.txt)" in line
    report, _ = stacked([folder / "0.fits", folder / "thumb.jpg"], tmp_path / "o.fits")
    assert "cannot be calibrated" in str(report.subs[1].reason)


def test_a_watched_folder_takes_every_format_and_names_what_is_none(tmp_path: Path) -> None:
    folder, said = tmp_path / "night", list[str]()
    folder.mkdir()
    subs = [mosaic(number) for number in range(4)]
    fits(folder / "0.fits", subs[0])
    write_tiff(folder / "1.tif", subs[1])
    write_ser(folder / "2.ser", subs[2:], colour=0)
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(folder / "thumb.jpg")
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(folder / "a.png")

    def tell(told: Told) -> None:
        if isinstance(told, Said):
            said.append(told.message)

    job = StackJob(output=tmp_path / "o.fits", bayer="RGGB")
    report = watch_folder(folder, job, tell, until=Until(stacked=4, idle_s=60))
    assert report.accepted == 4
    assert picture(tmp_path / "o.fits").shape == (240, 320, 3)
    assert any(text.startswith("thumb.jpg is left out: one of the JPEG pictures") for text in said)
    assert any(text.startswith("a.png is left out: a PNG of 8 bits") for text in said)
    assert report.left_out == {"JPEG pictures": 1, "8-bit PNG pictures": 1}
