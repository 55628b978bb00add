"""Width, flux, noise and edges of the picture against the true sky, and the order of arrival."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.engine import LiveStack
from livestack.stack import StackImage
from tests.livestack.truth import (
    Frame,
    Observatory,
    Pose,
    apart,
    fwhm_px,
    optics,
    photometry,
    resampled,
    taken,
    warp_of,
)


def dithered(rng: np.random.Generator, i: int) -> Pose:
    return Pose(rng.uniform(-8, 8), rng.uniform(-8, 8), 0.02 * i) if i else Pose()


def in_colour(frame: Frame) -> NDArray[np.float64]:
    """A RGGB frame as OpenCV's bilinear demosaic shows it, its channels' mean."""
    mosaic = np.clip(np.rint(frame), 0, 65_535).astype(np.uint16)
    return np.asarray(cv2.cvtColor(mosaic, cv2.COLOR_BayerRG2RGB).mean(axis=2))


# Widths


@pytest.mark.parametrize(
    ("width", "seeing", "bayer"),
    [
        (1.8, 0.0, None),
        (2.8, 0.05, None),
        (2.2, 0.05, "RGGB"),
        pytest.param(2.2, 0.05, None, marks=pytest.mark.slow),
        pytest.param(4.0, 0.05, None, marks=pytest.mark.slow),
        pytest.param(1.8, 0.0, "RGGB", marks=pytest.mark.slow),
        pytest.param(4.0, 0.05, "RGGB", marks=pytest.mark.slow),
    ],
)
def test_stars_are_no_wider_than_in_the_subs(width: float, seeing: float, bayer: str | None) -> None:
    night = Observatory(n_stars=150)
    rng = np.random.default_rng(5)
    sharp = night.inside(night.places(), 40) & apart(night.places(), 14) & (night.fluxes_e > 3e4)
    stack, widths = LiveStack(), []
    for i in range(10):
        pose = dithered(rng, i)
        frame = night.expose(rng, pose, fwhm_px=width * rng.uniform(1 - seeing, 1 + seeing))
        taken(stack, frame, bayer=bayer, name=str(i))
        seen = in_colour(frame) if bayer else frame
        widths.append(fwhm_px(seen, night.places(pose)[sharp]))
    pixels = stack.snapshot("L").pixels
    picture = pixels.mean(axis=2) if bayer else pixels
    assert fwhm_px(picture, night.places()[sharp]) < 1.03 * np.median(widths)


# Fluxes


STEADY, CHANGING = (1.0, 1.0), (0.85, 1.2)


@pytest.mark.parametrize(
    ("n", "bayer", "seeing"),
    [
        (5, None, STEADY),
        pytest.param(20, None, CHANGING, marks=pytest.mark.slow),
        (8, None, CHANGING),
        (5, "RGGB", STEADY),
        (5, "RGGB", CHANGING),
        pytest.param(20, "RGGB", CHANGING, marks=pytest.mark.slow),
    ],
)
def test_the_flux_of_stars_is_conserved(n: int, bayer: str | None, seeing: tuple[float, float]) -> None:
    """Thin cloud comes and goes, and the seeing may: the truth is a noiseless picture of the same widths.

    A colour picture's channels have each the light of a mono one.
    """
    night = Observatory(n_stars=120, telescope=optics("C8"))
    rng = np.random.default_rng(7)
    stack, light, weights = LiveStack(), np.zeros(night.shape), 0.0
    width = 2.8
    for i in range(n):
        clear = rng.uniform(0.75, 1.0) if i else 1.0
        width = 2.8 * rng.uniform(*seeing)
        taken(
            stack,
            night.expose(rng, dithered(rng, i), fwhm_px=width, transparency=clear),
            bayer=bayer,
            name=str(i),
        )
        weight = (clear / width) ** 2
        light += weight * night.light(fwhm_px=width)
        weights += weight
    pixels = stack.snapshot("L").pixels
    picture = pixels.mean(axis=2) if bayer else pixels
    chosen = night.inside(night.places(), 40) & apart(night.places(), 25) & (night.fluxes_e > 1e4)
    radius = 9.0
    true = photometry(light / weights, night.places()[chosen], radius)
    ratio = photometry(picture, night.places()[chosen], radius) / true
    noise = np.sqrt((true + 1.3 * np.pi * radius**2 * night.sky_e) / n / 0.85) / true
    assert chosen.sum() > 20
    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)
    scatter = 1.4826 * np.median(np.abs(ratio - np.median(ratio)) / noise)
    assert scatter < (2.0 if bayer else 1.6)


# Noise


@pytest.mark.parametrize(
    ("n", "sky", "transparency"),
    [
        (3, (1, 1), (1, 1)),
        (10, (1, 1), (1, 1)),
        (10, (1, 4), (0.6, 1)),
        pytest.param(30, (1, 4), (0.6, 1), marks=pytest.mark.slow),
    ],
)
def test_noise_is_that_of_the_ideal_weighted_mean(
    n: int, sky: tuple[float, float], transparency: tuple[float, float]
) -> None:
    """The ideal: the same subs, each pixel resampled as the formula says, weighted by their true noise."""
    night = Observatory(n_stars=40, shape=(200, 300), flux_range_e=(2e4, 2e5))
    rng = np.random.default_rng(n)
    stack, total, weights = LiveStack(), np.zeros(night.shape), 0.0
    for i in range(n):
        sky_e = night.sky_e * (rng.uniform(*sky) if i else 1.0)
        clear = rng.uniform(*transparency) if i else 1.0
        frame = np.rint(night.expose(rng, dithered(rng, i), transparency=clear, sky_e=sky_e))
        warp = warp_of(taken(stack, frame, name=str(i)))
        weight = clear**2 / (sky_e + 9.0)
        total += weight * (resampled(frame, warp, night.shape) - sky_e) / clear
        weights += weight
    empty = np.isfinite(total) & (night.light() < 0.5)
    empty[:16] = empty[-16:] = empty[:, :16] = empty[:, -16:] = False
    assert empty.sum() > 10_000
    assert stack.snapshot("L").pixels[empty].std() < 1.03 * (total / weights)[empty].std()


# Edges and levels


def haze(night: Observatory, i: int) -> NDArray[np.float64]:
    """The moon rises through haze: a slope and a curve that grow."""
    y, x = np.indices(night.shape) / np.hypot(*night.shape)
    return np.asarray(40.0 * i * (1 + x - 0.6 * y + 0.8 * x * y + 0.5 * x * x))


@pytest.mark.parametrize(("flip", "bayer"), [(180.1, None), (0.0, "RGGB")])
def test_no_edge_of_a_sub_shows_in_the_picture(flip: float, bayer: str | None) -> None:
    """Drifting by two fifths of the frame under moonrise and cloud: no step where a footprint ends."""
    night = Observatory(n_stars=200, flux_range_e=(1e4, 2e5))
    rng = np.random.default_rng(2)
    stack = LiveStack()
    for i in range(9):
        pose = Pose(32.0 * i, 20.0 * i, flip if i > 4 else 0.0)
        frame = night.expose(rng, pose, transparency=1 - 0.05 * i) + haze(night, i)
        taken(stack, frame, bayer=bayer, name=str(i))
    image = stack.snapshot("L")
    pixels = image.pixels.mean(axis=2) if bayer else image.pixels
    blank = night.light() < 5
    levels = [float(np.median(pixels[blank & (image.coverage == n)])) for n in range(1, 10)]
    assert (pixels[image.coverage == 0] == 0).all()
    assert min(pixels[image.coverage > 0]) > 0.6 * night.sky_e
    assert np.abs(np.array(levels) - night.sky_e).max() < 4.0
    assert max(abs(a - b) for a, b in pairwise(levels)) < 3.0


# Order


def picture_of(frames: list[Frame], order: list[int], bayer: str | None) -> StackImage:
    stack = LiveStack()
    for i in order:
        taken(stack, frames[i], bayer=bayer, name=str(i))
    return stack.snapshot("L")


@pytest.mark.parametrize("bayer", [None, "RGGB"])
def test_the_order_of_arrival_leaves_no_trace(bayer: str | None) -> None:
    """The reference stays the first; places, levels, weights and rejection don't know who came when."""
    night = Observatory(n_stars=100, telescope=optics("APO72"), shape=(320, 480))
    rng = np.random.default_rng(4)
    frames = []
    for i in range(7):
        pose = Pose(7.3 * i, -3.1 * i, 180.2 if i > 4 else 0.03 * i)
        frame = night.expose(rng, pose, transparency=1 - 0.04 * i, sky_e=400.0 + 60 * i)
        frame[rng.integers(0, 320, 100), rng.integers(0, 480, 100)] += 4000
        frames.append(frame)
    one = picture_of(frames, list(range(7)), bayer)
    other = picture_of(frames, [0, *(1 + rng.permutation(6)).tolist()], bayer)
    assert (one.coverage == other.coverage).all()
    assert np.abs(one.pixels - other.pixels).max() < 1e-3 * one.noise_adu
