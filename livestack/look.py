"""The first look at a raw frame: its stars, its sky, its noise, and the lone pixels that are to be mended.

The frame is calibrated on the fly and binned to less than two megapixels; stars are found there and measured
on the full pixels. All heavy loops run outside Python's lock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestack.masters import Masters
from livestack.normalise import Mesh, background_mesh
from livestack.survey import Patches, Raw, framed, survey_frame
from measure.background import Background, measure_background
from measure.detection.blank import without_data
from measure.detection.finder import SmallPicture, find_stars
from measure.noise import line_noise
from measure.stars import Stars

_MANY_PIXELS = 1_000_000  # a quarter of them tells the sky well enough
_NOISE_SAMPLES = 60_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What is known of a frame before it goes anywhere.

    ``sky`` is the background of the small frame, ``noise_adu`` that of one full pixel.
    """

    stars: Stars
    sky: Background
    mesh: Mesh
    noise_adu: float
    patches: Patches


def look(
    raw: Raw,
    masters: Masters,
    *,
    saturation_adu: float,
    bayer_pattern: str | None = None,
    search: bool = True,
    max_stars: int = 1000,
) -> Look:
    """Look at a raw frame (H, W), mono or a mosaic; ``search`` for lone hot and dead pixels."""
    seen = survey_frame(raw, masters, bayer_pattern=bayer_pattern, search=search)
    mesh = background_mesh(seen.small, seen.binning)
    small = seen.small[0] if len(seen.small) == 1 else seen.small.mean(axis=0)
    invalid = without_data(small)
    masked = bool(invalid.any())
    if masked:
        small = np.where(invalid, np.float32(0), small)
    every = 2 if small.size > _MANY_PIXELS else 1
    sky = measure_background(small, invalid=invalid if masked else None, every=every)
    noise = _noise(np.where(invalid, np.float32(np.nan), small) if masked else small)
    small -= sky.level_adu
    small[invalid] = 0.0
    stars = find_stars(
        framed(raw, masters, seen.patches),
        SmallPicture(small, sky.level_adu, noise if noise > 0 else sky.rms_adu, seen.binning),
        noise_adu=seen.noise_adu,
        saturation_adu=saturation_adu,
        mosaic=bayer_pattern is not None,
        max_stars=max_stars,
    )
    return Look(stars=stars, sky=sky, mesh=mesh, noise_adu=seen.noise_adu, patches=seen.patches)


def _noise(small: NDArray[np.float32]) -> float:
    """Noise of a small picture's pixels, whatever the sky's structure, from some of its lines."""
    return line_noise(small[:: max(1, small.size // _NOISE_SAMPLES)])
