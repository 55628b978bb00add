from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from develop.colour import compose
from develop.filters import role

SHAPE = (120, 160)


@dataclass(frozen=True)
class Layer:
    pixels: NDArray[np.float32]
    coverage: NDArray[np.float32]


def layer(gain: float, sky: float, seed: int, noise: float = 3.0) -> Layer:
    """Stars through a filter of this throughput, on a sky of its own."""
    stars = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = np.zeros(SHAPE)
    for _ in range(60):
        cx, cy, flux = stars.uniform(5, 155), stars.uniform(5, 115), stars.uniform(300, 3000)
        light += flux * np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2) / 1.5**2)
    pixels = sky + gain * light + np.random.default_rng(seed).normal(0, noise, SHAPE)
    return Layer(pixels.astype(np.float32), np.ones(SHAPE, dtype=np.float32))


RGB: dict[str | None, Layer] = {
    "Red": layer(0.5, 900, 1),
    "Green": layer(1.0, 300, 2),
    "Blue": layer(0.7, 500, 3),
}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("L", "L"), ("Lum", "L"), ("Luminance", "L"), ("lum 2\"", "L"), ("Clear", "L"),
        ("R", "R"), ("red", "R"), ("Astrodon Red", "R"), ("G", "G"), ("Green", "G"),
        ("Baader_B", "B"), ("BLUE", "B"), ("", None), (None, None), ("Ha", "Ha"), ("H-alpha 7nm", "Ha"),
        ("Halpha", "Ha"), ("H_a", "Ha"), ("Hα", "Ha"), ("Ha7nm", "Ha"), ("H-Alpha_3.5nm", "Ha"),
        ("OIII", "OIII"), ("O3", "OIII"), ("O-III 6.5nm", "OIII"), ("OIII7nm", "OIII"), ("[O III]", "OIII"),
        ("Baader f/2 Highspeed O-III", "OIII"), ("SII", "SII"), ("S2", "SII"), ("S-II", "SII"),
        ("Astrodon S II 3nm", "SII"), ("Sulphur", "SII"), ("L-eXtreme", "HO"), ("Dual Band", "HO"),
        ("Optolong L-Ultimate", "HO"), ("ALP-T", "HO"), ("Ha+OIII", "HO"), ("HO", "HO"), ("L-Pro 2", "L"),
        ("Hb", None), ("H-beta", None), ("Filter 2", None), ("Filters 3", None), ("Harvest", None),
        ("Dark", None), ("Slot 3", None), ("Solar", None), ("Halo", None),
    ],
)  # fmt: skip
def test_names_of_filters(name: str | None, part: str | None) -> None:
    assert role(name) == part


@pytest.mark.parametrize("with_luminance", [False, True])
def test_stars_are_white_and_the_sky_is_neutral(with_luminance: bool) -> None:
    luminance: dict[str | None, Layer] = {"Lum": layer(3.0, 1500, 4)} if with_luminance else {}
    picture = compose(RGB | luminance)
    assert picture is not None
    assert picture.dtype == np.float32
    assert np.abs(np.median(picture, axis=(0, 1))).max() < 2.0
    bright = picture[picture.min(axis=2) > 200]
    assert len(bright) > 100
    assert bright.mean(axis=0) / bright.mean() == pytest.approx(1.0, abs=0.05)


def test_a_luminance_lowers_the_noise_and_keeps_the_hue() -> None:
    rgb = compose(RGB)
    lrgb = compose(RGB | {"L": layer(3.0, 1500, 4, noise=1.0)})
    assert rgb is not None
    assert lrgb is not None
    assert lrgb.mean(axis=2).ravel()[:2000].std() < rgb.mean(axis=2).ravel()[:2000].std()
    hue, before = (p[..., 0] - p[..., 2] for p in (lrgb, rgb))
    assert hue == pytest.approx(before, abs=1e-2)


def test_a_colour_camera_needs_no_filters() -> None:
    pixels = np.dstack([each.pixels for each in RGB.values()])
    picture = compose({None: Layer(pixels, np.ones(SHAPE, dtype=np.float32))})
    by_filters = compose(RGB)
    assert picture is not None
    assert by_filters is not None
    assert picture == pytest.approx(by_filters)


@pytest.mark.parametrize("names", [["Red"], ["Red", "Green"], ["Green", "Blue"], []])
def test_filters_that_do_not_allow_colour(names: list[str]) -> None:
    assert compose({name: RGB[name] for name in names}) is None
    assert compose({"Ha": RGB["Red"], "Lum": RGB["Green"]}) is None


def test_what_one_filter_has_not_seen_has_no_colour() -> None:
    coverage = np.ones(SHAPE, dtype=np.float32)
    coverage[:, :30] = 0
    picture = compose(RGB | {"Red": Layer(RGB["Red"].pixels, coverage)})
    assert picture is not None
    assert np.isnan(picture[:, :30]).all()
    assert np.isfinite(picture[:, 30:]).all()


def test_the_core_of_a_clipped_star_is_white_and_no_darker_than_its_rim() -> None:
    clipped = {
        name: Layer(np.minimum(each.pixels, 1500), each.coverage)
        for name, each in (RGB | {"Lum": layer(4.0, 300, 4)}).items()
    }
    picture = compose(clipped)
    assert picture is not None
    core = RGB["Green"].pixels > 1500
    assert core.sum() > 10
    rim = (RGB["Green"].pixels > 1000) & ~core
    assert np.ptp(picture[core], axis=1).max() < 0.02 * picture[core].mean()
    assert picture[core].min() > np.median(picture[rim])
