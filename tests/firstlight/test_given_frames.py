"""Calibration files given to ``firstlight stack``: all of them, for what they are, in the lights' units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from library.adu import NORMALISED
from library.cards import CardValue
from library.importing.take import take_in
from library.masters import build_masters
from library.reading import read_frame
from library.store import Library
from tests.library.foreign import write_ser
from tests.livestack.sky import Sky, motion, quantised
from tui.cli import main

SKY = Sky(shape=(160, 220), n_stars=60)
LEVEL = 200.0
Y, X = np.mgrid[: SKY.shape[0], : SKY.shape[1]]
GLOW = 800 * np.exp(-Y / 40)
RESPONSE = 1 - 0.3 * Y / SKY.shape[0]
CAMERA: dict[str, CardValue] = {"INSTRUME": "Cam", "GAIN": 100, "OFFSET": 5, "CCD-TEMP": -10.0, "FILTER": "L"}


def write(path: Path, pixels: NDArray[Any], kind: str | None, exposure_s: float = 60.0, **cards: Any) -> Path:
    header = CAMERA | {"EXPTIME": exposure_s} | ({} if kind is None else {"IMAGETYP": kind}) | cards
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(pixels, fits.Header(header)).writeto(path, overwrite=True)
    return path


def lights(folder: Path, *, n: int = 3, scale: float = 1.0, glow: float = 1.0, **cards: Any) -> Path:
    """Lights with amp glow at their first rows."""
    for i in range(n):
        rng = np.random.default_rng(i)
        sky = SKY.expose(motion(1.5 * i, -i, 0.0, SKY.shape), rng) + LEVEL + glow * GLOW
        pixels = quantised(sky) if scale == 1 else (quantised(sky) / scale).astype("f4")
        write(folder / f"{i}.fits", pixels, "Light Frame", **cards)
    return folder


def darks(folder: Path, *, n: int = 4, exposure_s: float = 60.0, glow: float = 1.0, **cards: Any) -> Path:
    for i in range(n):
        rng = np.random.default_rng(100 + i)
        pixels = quantised(rng.normal(LEVEL + glow * GLOW, 3))
        write(folder / f"d{exposure_s:g}_{i}.fits", pixels, "Dark Frame", exposure_s, **cards)
    return folder


def unevenness(path: Path) -> float:
    """How much the sky of a stack changes from its first rows to its last, in ADU."""
    pixels = read_frame(path).pixels
    return float(abs(np.median(pixels[8:24, 8:-8]) - np.median(pixels[-24:-8, 8:-8])))


def stack(tmp_path: Path, *words: Any) -> dict[str, Any]:
    """Stack; the report."""
    out, report = tmp_path / "out.fits", tmp_path / "r.json"
    assert main(["stack", *map(str, words), "-o", str(out), "--report", str(report), "--fresh"]) == 0
    told: dict[str, Any] = json.loads(report.read_text())
    return told


def dark_of(report: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in report["calibration"] if each["kind"] == "dark")


@pytest.mark.parametrize("way", ["files", "folder", "pattern", "repeated"])
def test_all_that_is_named_makes_one_master(tmp_path: Path, way: str) -> None:
    """``--dark`` never takes one of many."""
    subs, folder = lights(tmp_path / "subs"), darks(tmp_path / "darks")
    files = sorted(folder.iterdir())
    words: dict[str, list[Any]] = {
        "files": ["--dark", *files],
        "folder": ["--dark", folder],
        "pattern": ["--dark", folder / "*.fits"],
        "repeated": [word for file in files for word in ("--dark", file)],
    }
    report = stack(tmp_path, subs, *words[way])
    assert dark_of(report)["reasons"][0] == "d60_0.fits and 3 more, combined"
    assert dark_of(report)["coverage"] == "exact"
    assert unevenness(tmp_path / "out.fits") < 5


def test_lights_named_behind_the_darks_are_lights(tmp_path: Path) -> None:
    subs, folder = lights(tmp_path / "subs"), darks(tmp_path / "darks")
    report = stack(tmp_path, "--dark", *sorted(folder.iterdir()), subs)
    assert report["accepted"] == 3
    assert dark_of(report)["reasons"][0] == "d60_0.fits and 3 more, combined"


def test_a_folder_of_all_kinds_serves_each_option_and_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subs, folder = lights(tmp_path / "subs"), darks(tmp_path / "calibration")
    write(folder / "bias.fits", quantised(np.full(SKY.shape, LEVEL)), "Bias Frame", 0.0)
    write(folder / "light.fits", quantised(np.full(SKY.shape, LEVEL)), "Light Frame")
    report = stack(tmp_path, subs, "--dark", folder, "--bias", folder)
    told = capsys.readouterr().err
    assert "--dark" in told
    assert "left out: 1 × its header says that it is a bias, no dark (give it as --bias)" in told
    assert "1 × its header says that it is a light, no dark" in told
    assert dark_of(report)["reasons"][0] == "d60_0.fits and 3 more, combined"


@pytest.mark.parametrize(
    ("option", "kind", "exposure_s", "says"),
    [
        ("--dark", "Light Frame", 60.0, "it is a light, no dark"),
        ("--dark", "Flat Frame", 60.0, "it is a flat, no dark (give it as --flat)"),
        ("--flat", "Dark Frame", 60.0, "it is a dark, no flat"),
        ("--bias", "Dark Frame", 300.0, "exposed for 300 s: it holds dark current"),
        ("--bias", None, 300.0, "exposed for 300 s: it holds dark current"),
        ("--bias", "Light Frame", 60.0, "it is a light, no bias"),
    ],
)
def test_what_is_another_kind_by_its_header_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    kind: str | None,
    exposure_s: float,
    says: str,
) -> None:
    subs = lights(tmp_path / "subs")
    wrong = write(tmp_path / "x.fits", quantised(np.full(SKY.shape, LEVEL)), kind, exposure_s)
    assert main(["stack", str(subs), option, str(wrong), "-o", str(tmp_path / "out.fits")]) == 2
    told = capsys.readouterr().err
    assert str(wrong) in told
    assert says in told
    assert "--as-given" in told
    assert not (tmp_path / "out.fits").exists()


def test_what_its_header_calls_otherwise_is_taken_on_wish(tmp_path: Path) -> None:
    """Some programs call every frame a light."""
    subs = lights(tmp_path / "subs")
    dark = write(tmp_path / "x.fits", quantised(LEVEL + GLOW), "Light Frame")
    stack(tmp_path, subs, "--dark", dark, "--as-given")
    assert unevenness(tmp_path / "out.fits") < 5


def test_a_name_that_speaks_of_another_kind_is_told_where_the_header_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark = write(tmp_path / "flat_01.fits", quantised(LEVEL + GLOW), None)
    stack(tmp_path, lights(tmp_path / "subs"), "--dark", dark)
    assert (
        "its name speaks of a flat, its header of nothing: it is taken for a dark" in capsys.readouterr().err
    )


def test_a_master_of_pixinsight_s_is_known_by_its_history(tmp_path: Path) -> None:
    for number, exposure_s in enumerate((60.0, 61.0)):
        path = write(tmp_path / f"{number}.fits", (LEVEL + GLOW).astype("f4"), "Dark", exposure_s)
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["HISTORY"] = "ImageIntegration.numberOfImages: 20"
    report = stack(tmp_path, lights(tmp_path / "subs"), "--dark", *sorted(tmp_path.glob("?.fits")))
    assert dark_of(report)["reasons"][0].startswith("0.fits: 20 frames")


def test_a_short_dark_may_be_a_bias(tmp_path: Path) -> None:
    subs = lights(tmp_path / "subs", glow=0)
    bias = write(tmp_path / "b.fits", quantised(np.full(SKY.shape, LEVEL)), "Dark Frame", 0.3)
    report = stack(tmp_path, subs, "--bias", bias)
    assert report["subs"][0]["background_adu"] == pytest.approx(400, abs=5)


def test_each_frame_of_a_sequence_of_darks_counts(tmp_path: Path) -> None:
    subs = lights(tmp_path / "subs")
    frames = [np.asarray(fits.getdata(path), np.uint16) for path in darks(tmp_path / "darks").iterdir()]
    video = write_ser(tmp_path / "darks.ser", frames)
    report = stack(tmp_path, subs, "--dark", video)
    assert dark_of(report)["reasons"][0] == "darks.ser#1 and 3 more, combined"
    assert unevenness(tmp_path / "out.fits") < 5


def test_each_light_gets_the_dark_of_its_own_exposure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Darks of two exposures are two masters, and never one."""
    folder = darks(tmp_path / "darks")
    darks(tmp_path / "darks", exposure_s=180.0, glow=3.0)
    subs = lights(tmp_path / "subs")
    for path in lights(tmp_path / "long", n=2, glow=3.0, EXPTIME=180.0).iterdir():
        path.rename(subs / f"l{path.name}")
    report = stack(tmp_path, subs, "--dark", folder, "--keep-all")
    assert "warning" not in capsys.readouterr().err
    assert len(report["calibrations"]) == 2
    assert {sub["background_adu"] == pytest.approx(400, abs=8) for sub in report["subs"]} == {True}
    assert unevenness(tmp_path / "out.fits") < 5


def test_masters_given_together_serve_each_its_own(tmp_path: Path) -> None:
    masters = [
        write(tmp_path / f"m{t:g}.fits", (LEVEL + glow * GLOW).astype("f4"), "Master Dark", t, NCOMBINE=20)
        for t, glow in ((60.0, 1.0), (300.0, 5.0))
    ]
    report = stack(tmp_path, lights(tmp_path / "subs"), "--dark", *reversed(masters))
    assert dark_of(report)["path"] == str(masters[0])
    assert unevenness(tmp_path / "out.fits") < 5


@pytest.mark.parametrize("of_lights", [False, True])
@pytest.mark.parametrize("of_dark", [False, True])
@pytest.mark.parametrize("method", ["live", "median"])
def test_pixels_of_nought_to_one_are_scaled_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], of_lights: bool, of_dark: bool, method: str
) -> None:
    subs = lights(tmp_path / "subs", scale=65535 if of_lights else 1)
    pixels = ((LEVEL + GLOW) / (65535 if of_dark else 1)).astype("f4")
    dark = write(tmp_path / "dark.fits", pixels, "Dark Frame", STACKCNT=8)
    report = stack(tmp_path, subs, "--dark", dark, "--method", method)
    told = capsys.readouterr().err
    assert (f"dark.fits: {NORMALISED}" in told) == of_dark
    assert (f"0.fits: {NORMALISED}" in told) == of_lights
    assert told.count(NORMALISED) == of_dark + of_lights
    assert unevenness(tmp_path / "out.fits") < 5
    assert report["subs"][0]["background_adu"] == pytest.approx(400, abs=8)


def test_a_library_s_master_of_nought_to_one_is_scaled_and_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Put there by hand: what is added is scaled as it comes in."""
    pixels = ((LEVEL + GLOW) / 65535).astype("f4")
    write(tmp_path / "root" / "library" / "masters" / "d.fits", pixels, "Master Dark", NCOMBINE=9)
    report = stack(tmp_path, lights(tmp_path / "subs"), "--library", tmp_path / "root")
    assert f"d.fits: {NORMALISED}" in capsys.readouterr().err
    assert dark_of(report)["coverage"] == "exact"
    assert unevenness(tmp_path / "out.fits") < 5


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        ((LEVEL + GLOW) * 20, "more is taken off than is there"),
        ((X == Y) * 900.0 + 0.1, "next to nothing is taken off"),  # a dark that has lost its bias
    ],
)
def test_a_dark_in_other_units_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pixels: NDArray[Any], says: str
) -> None:
    dark = write(tmp_path / "dark.fits", pixels.astype("f4"), "Dark Frame", STACKCNT=8)
    subs = lights(tmp_path / "subs", glow=0)
    main(["stack", str(subs), "--dark", str(dark), "-o", str(tmp_path / "out.fits")])
    assert says in capsys.readouterr().err


def test_a_dark_in_electrons_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = (LEVEL + GLOW).astype("f4")
    dark = write(tmp_path / "dark.fits", pixels, "Dark Frame", STACKCNT=8, BUNIT="electron")
    report = stack(tmp_path, lights(tmp_path / "subs"), "--dark", dark)
    assert dark_of(report)["coverage"] == "incompatible"
    assert "unit electron, wanted adu" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["given", "library"])
@pytest.mark.parametrize(
    ("status", "dark", "flat"),
    [("BDF", False, False), ("BD", False, True), ("B", False, True), ("F", True, False)],
)
def test_what_a_light_s_header_says_was_done_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, status: str, dark: bool, flat: bool
) -> None:
    subs, folder = lights(tmp_path / "subs", CALSTAT=status), darks(tmp_path / "darks")
    for i in range(3):
        rng = np.random.default_rng(i)
        write(
            tmp_path / "flats" / f"f{i}.fits",
            quantised(rng.normal(LEVEL + 20_000 * RESPONSE, 50)),
            "Flat",
            1.0,
        )
        write(tmp_path / "biases" / f"b{i}.fits", quantised(rng.normal(LEVEL, 3, SKY.shape)), "Bias", 0.0)
    words = ["--dark", folder, "--flat", tmp_path / "flats", "--bias", tmp_path / "biases"]
    if source == "library":
        with Library.open(tmp_path / "root") as library:
            files = [path for name in ("darks", "flats", "biases") for path in (tmp_path / name).iterdir()]
            list(take_in(library, files))
            build_masters(library, on_refused=pytest.fail)
        words = ["--library", tmp_path / "root"]
    told = {each["kind"]: each for each in stack(tmp_path, subs, *words)["calibration"]}
    assert (told["dark"]["path"] is not None, told["flat"]["path"] is not None) == (dark, flat)
    assert told["bias"]["path"] is None
    assert "its header says that its" in capsys.readouterr().err


@pytest.mark.parametrize("order", ["TOP-DOWN", "BOTTOM-UP", None])
def test_masters_are_turned_over_to_lie_as_the_lights_do(tmp_path: Path, order: str | None) -> None:
    subs = lights(tmp_path / "subs", ROWORDER="TOP-DOWN")
    turn = slice(None, None, -1 if order == "BOTTOM-UP" else 1)
    cards: dict[str, Any] = {} if order is None else {"ROWORDER": order}
    dark = write(tmp_path / "d.fits", quantised(LEVEL + GLOW)[turn], "Dark Frame", **cards)
    bias = write(tmp_path / "b.fits", quantised(np.full(SKY.shape, LEVEL)), "Bias Frame", 0.0, **cards)
    flat = write(tmp_path / "f.fits", quantised(LEVEL + 20_000 + 0 * GLOW)[turn], "Flat Frame", 1.0, **cards)
    report = stack(tmp_path, subs, "--dark", dark, "--flat", flat, "--bias", bias)
    assert unevenness(tmp_path / "out.fits") < 8
    turned = "turned over: its rows are BOTTOM-UP, the frame's TOP-DOWN"
    assert (turned in " ".join(dark_of(report)["reasons"])) == (order == "BOTTOM-UP")
    assert dark_of(report)["coverage"] == ("exact" if order == "TOP-DOWN" else "acceptable")


def test_a_turned_piece_of_the_sensor_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subs = lights(tmp_path / "subs", ROWORDER="TOP-DOWN", XORGSUBF=0, YORGSUBF=64)
    place: dict[str, Any] = {"ROWORDER": "BOTTOM-UP", "XORGSUBF": 0, "YORGSUBF": 64}
    dark = write(tmp_path / "d.fits", quantised(LEVEL + GLOW), "Dark Frame", **place)
    assert main(["stack", str(subs), "--dark", str(dark), "-o", str(tmp_path / "out.fits")]) == 2
    assert "from which end its rows count is not told" in capsys.readouterr().err


def test_filters_in_an_inherited_header_make_stacks_of_their_own(tmp_path: Path) -> None:
    subs = tmp_path / "subs"
    for name in "RB":
        for path in lights(tmp_path / name, FILTER=name).iterdir():
            with fits.open(path) as hdus:
                header, pixels = hdus[0].header, hdus[0].data
                primary = fits.PrimaryHDU(
                    None, fits.Header({k: header[k] for k in ("FILTER", "EXPTIME", "IMAGETYP")})
                )
                subs.mkdir(exist_ok=True)
                extension = fits.ImageHDU(pixels, fits.Header({"INHERIT": True}))
                fits.HDUList([primary, extension]).writeto(subs / f"{name}{path.name}")
    report = stack(tmp_path, subs)
    assert {(each["filter"], each["subs"]) for each in report["stacks"]} == {("R", 3), ("B", 3)}


def test_blank_pixels_of_lights_and_darks_do_not_reach_the_stack(tmp_path: Path) -> None:
    subs, dark = lights(tmp_path / "subs", n=4), tmp_path / "d.fits"
    for path in [*subs.iterdir(), write(dark, quantised(LEVEL + GLOW), "Dark Frame")]:
        with fits.open(path) as hdus:
            header, stored = hdus[0].header, hdus[0].data.astype(np.int16)
        stored[60:63, 80:83] = -32768
        write(path, stored, header["IMAGETYP"], BLANK=-32768)
    report = stack(tmp_path, subs, "--dark", dark)
    assert report["accepted"] == 4
    sky = read_frame(tmp_path / "out.fits").pixels[50:75, 70:95]
    assert np.nanmin(np.where(sky == 0, np.nan, sky)) > 250, "no pixel of −32768 is in it"


@pytest.mark.parametrize("text", ["a minute", ""])
def test_what_of_a_light_s_header_cannot_be_read_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    stack(tmp_path, lights(tmp_path / "subs", EXPTIME=text, GAIN="12,5"))
    told = capsys.readouterr().err
    assert told.count("its exposure is unknown") == 1
    assert "0.fits: EXPTIME" in told
    assert "GAIN" not in told
