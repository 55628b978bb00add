"""Stars and sky of a frame or a picture, by way of a small picture of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from measure.background import Background, measure_background
from measure.detection.blank import without_data
from measure.detection.finder import SmallPicture, Sources, find_sources
from measure.kernels.binning import bin_rows
from measure.kernels.frames import NO_PLACES, NO_PLANE, NO_RESPONSE, Frame
from measure.noise import line_noise
from numerics.threads import in_parallel

Plane = NDArray[np.float32]

_SMALL_PIXELS = 1_750_000
_BINNINGS = (1, 2, 3, 4, 6, 8, 12, 16)
_MANY_PIXELS = 1_000_000  # a quarter of them tells the sky well enough
_NOISE_SAMPLES = 60_000


def small_binning(shape: tuple[int, ...], *, mosaic: bool = False) -> int:
    """By how much a frame (H, W) is binned to find its stars; even for a mosaic."""
    fitting = [binning for binning in _BINNINGS if not (mosaic and binning % 2)]
    small = (binning for binning in fitting if shape[0] * shape[1] <= _SMALL_PIXELS * binning**2)
    return next(small, fitting[-1])


def detect(picture: Plane, *, saturation_adu: float = np.inf, max_stars: int = 1000) -> Sources:
    """Find the stars of a picture (H, W), NaN where it shows nothing, and what is wider than stars."""
    binning = small_binning(picture.shape)
    small = np.empty(tuple(side // binning for side in picture.shape), np.float32)
    in_parallel(bin_rows, len(small), picture, binning, small)
    found, _ = detect_on(
        Frame(NO_RESPONSE, picture, NO_PLANE, NO_RESPONSE, *NO_PLACES, np.float32(0)),
        small,
        binning,
        noise_adu=line_noise(picture[:: max(1, picture.size // _NOISE_SAMPLES)]),
        saturation_adu=saturation_adu,
        max_stars=max_stars,
    )
    return found


def detect_on(
    frame: Frame,
    small: Plane,
    binning: int,
    *,
    noise_adu: float,
    saturation_adu: float,
    mosaic: bool = False,
    max_stars: int = 1000,
) -> tuple[Sources, Background]:
    """Find the sources of a frame whose calibrated pixels, binned, are ``small`` (h, w), and its sky.

    ``noise_adu`` is that of one full pixel. The sky is that of the small picture, 0 where it has no data.
    """
    blank = without_data(small)
    masked = bool(blank.any())
    filled = np.where(blank, np.float32(0), small) if masked else small
    every = 2 if small.size > _MANY_PIXELS else 1
    sky = measure_background(filled, invalid=blank if masked else None, every=every)
    flat = filled - sky.level_adu
    if masked:
        flat[blank] = 0.0
    some = slice(None, None, max(1, small.size // _NOISE_SAMPLES))
    noise = line_noise(np.where(blank[some], np.float32(np.nan), small[some]))
    found = find_sources(
        frame,
        SmallPicture(flat, sky.level_adu, noise if noise > 0 else sky.rms_adu, binning),
        noise_adu=noise_adu if noise_adu > 0 else binning * sky.rms_adu,
        saturation_adu=saturation_adu,
        mosaic=mosaic,
        max_stars=max_stars,
    )
    return found, sky
