"""The first look at a raw frame: its stars, its sky, its noise, and the lone pixels that are to be mended.

The frame is calibrated on the fly and binned to less than two megapixels; stars are found there and measured
on the full pixels. All heavy loops run outside Python's lock.
"""

from __future__ import annotations

from dataclasses import dataclass

from livestack.masters import Masters
from livestack.normalise import Mesh, background_mesh
from livestack.survey import Patches, Raw, framed, survey_frame
from measure.background import Background
from measure.detection.picture import detect_on
from measure.stars import Stars


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
    """Look at a raw frame (H, W), mono or a mosaic."""
    seen = survey_frame(raw, masters, bayer_pattern=bayer_pattern)
    mesh = background_mesh(seen.small, seen.binning)
    small = seen.small[0] if len(seen.small) == 1 else seen.small.mean(axis=0)
    found, sky = detect_on(
        framed(raw, masters, seen.patches),
        small,
        seen.binning,
        noise_adu=seen.noise_adu,
        saturation_adu=saturation_adu,
        mosaic=bayer_pattern is not None,
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
