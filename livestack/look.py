"""The first look at a raw frame: its stars, its sky, its noise, and the lone pixels that are to be mended.

The frame is calibrated on the fly and binned to less than two megapixels; stars are found there and measured
on the full pixels. All heavy loops run outside Python's lock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from library.mosaics import RGB
from livestack.masters import Masters
from livestack.normalise import Mesh, background_mesh
from livestack.survey import Patches, Raw, framed, luminance, survey_frame
from measure.background import Background
from measure.detection.picture import detect_on
from measure.stars import Stars

_PLANES = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What is known of a frame before it goes anywhere.

    ``extended`` are galaxies, comets and the like; ``sky`` is the background of the small frame,
    ``noise_adu`` the noise of one full pixel.
    """

    stars: Stars
    extended: Stars
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
    max_stars: int = 1000,
) -> Look:
    """Look at a raw frame (H, W), mono or a mosaic, or at three planes one below the other (3 H, W).

    Of three planes, stars are sought in their mean.
    """
    seen = survey_frame(raw, masters, bayer_pattern=bayer_pattern)
    mesh = background_mesh(seen.small, seen.binning)
    small = seen.small[0] if len(seen.small) == 1 else seen.small.mean(axis=0)
    if bayer_pattern == RGB:
        frame = framed(luminance(raw, masters, seen.patches), Masters(), Patches())
        noise_adu, mosaic = seen.noise_adu / math.sqrt(_PLANES), False
    else:
        frame = framed(raw, masters, seen.patches)
        noise_adu, mosaic = seen.noise_adu, bayer_pattern is not None
    found, sky = detect_on(
        frame,
        small,
        seen.binning,
        noise_adu=noise_adu,
        saturation_adu=saturation_adu,
        mosaic=mosaic,
        max_stars=max_stars,
    )
    return Look(
        stars=found.stars,
        extended=found.extended,
        sky=sky,
        mesh=mesh,
        noise_adu=seen.noise_adu,
        patches=seen.patches,
    )
