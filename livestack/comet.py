"""A sub aligned on the comet instead of the stars, and the stars taken out of it on its way in.

The way onto the stars is followed by a shift, the comet's motion turned back. Stars then leave trails, which
rejection alone cannot remove: a slow comet takes many subs to leave a star behind. So each star's disc is
left out of the sub, as far as its light reaches; or the picture of the stars is subtracted first, and only
the cores, where the seeing of one sub differs from that of the picture, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from library.mosaics import RGB
from livestack.comet_motion import Motion
from livestack.geometry import Points, size
from livestack.kernels.blotting import blot_tiles
from livestack.kernels.registering import Course
from livestack.masters import Masters
from livestack.placing import Placed, table_for, usual_interpolation
from livestack.survey import Patches, Raw, colours, framed, picture_shape
from livestack.tiling import corners, tile_maps, turn_of
from livestack.warp import Reversed, Warp
from measure.kernels.frames import Frame, load
from measure.stars import Stars, typical_fwhm_px
from numerics.threads import in_parallel

FAINT_SIGMA = 0.5
"""As far as a star's light is more than this share of a pixel's noise, it is left out."""
CORE_SIGMA = 5.0
"""The same where its picture was subtracted: what is left is the difference of two seeings."""

_WING = 3.0  # Moffat's β
_WIDEST_FWHM = 12.0
_HEAD_FWHM = 1.5
_AS_IT_LIES = np.eye(2, dtype=np.int64)
_NO_RINGING = np.float32(1e30)

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Glow:
    """Stars on a sub: ``places`` (N, 2), ``peaks_adu`` (N) above its sky, and their width."""

    places: Points
    peaks_adu: NDArray[np.float64]
    fwhm_px: float

    @classmethod
    def of(cls, stars: Stars) -> Glow:
        """Stars that were found on the sub itself."""
        return cls(stars.xy, stars.peak, typical_fwhm_px(stars))

    @classmethod
    def from_stack(cls, stars: Stars, placed: Placed) -> Glow:
        """Stars of the reference or the stack, where the sub has them."""
        pixel = size(placed.warp.matrix)
        return cls(placed.warp.backwards(stars.xy), stars.peak / placed.scale, typical_fwhm_px(stars) / pixel)

    def discs(self, shape: tuple[int, int], noise_adu: float, widest_px: float) -> NDArray[np.int64]:
        """Flat places on a sub of ``shape`` where light is more than ``noise_adu``, at least half a FWHM."""
        excess = np.maximum(self.peaks_adu / max(noise_adu, 1e-9), 2.0) ** (1 / _WING) - 1
        radius = self.fwhm_px / 2 * np.sqrt(excess / (2 ** (1 / _WING) - 1))
        radius = np.minimum(np.maximum(radius, self.fwhm_px / 2), min(widest_px, _WIDEST_FWHM * self.fwhm_px))
        marked = np.zeros(shape, np.bool_)
        for (x, y), r in zip(self.places, radius, strict=True):
            top, bottom = max(int(np.ceil(y - r)), 0), min(int(y + r) + 1, shape[0])
            left, right = max(int(np.ceil(x - r)), 0), min(int(x + r) + 1, shape[1])
            if top < bottom and left < right:
                rows, columns = np.ogrid[top:bottom, left:right]
                marked[top:bottom, left:right] |= (rows - y) ** 2 + (columns - x) ** 2 <= r * r
        return np.flatnonzero(marked)

    def without(self, place: Points) -> Glow:
        """All but the comet's own head, at ``place`` (2)."""
        others = np.hypot(*(self.places - place).T) > _HEAD_FWHM * self.fwhm_px
        return Glow(self.places[others], self.peaks_adu[others], self.fwhm_px)


def on_comet(placed: Placed, motion: Motion, when: datetime) -> Placed:
    """The same sub where the comet stays where it was at the motion's epoch; its level moves along."""
    shift = -motion.since_epoch(when)
    surface = replace(placed.surface, centre=placed.surface.centre + shift)
    return replace(placed, warp=placed.warp.then_shifted(shift), surface=surface)


def masked(
    placed: Placed,
    glow: Glow,
    head: Points,
    shape: tuple[int, int],
    *,
    sigma: float,
    widest_px: float = np.inf,
) -> Placed:
    """The same sub of ``shape`` without its stars' light; the comet's head is at ``head`` (2) of the sub."""
    lost = glow.without(head).discs(shape, sigma * placed.noise_adu, widest_px)
    if placed.bayer_pattern == RGB:
        lost = np.concatenate([lost + plane * shape[0] * shape[1] for plane in range(3)])
    return replace(placed, patches=_without(placed.patches, lost))


def live_comet(
    placed: Placed, motion: Motion, when: datetime, shape: tuple[int, int], own: Stars, reference: Stars
) -> Placed:
    """A sub on the comet, as a live stack takes it: without the stars that it and the reference show."""
    head = placed.warp.backwards(motion.at(when)[None])[0]
    for glow in (Glow.of(own), Glow.from_stack(reference, placed)):
        placed = masked(placed, glow, head, shape, sigma=FAINT_SIGMA)
    return on_comet(placed, motion, when)


def less(raw: Raw, masters: Masters, placed: Placed, picture: Plane) -> Plane:
    """A calibrated sub (H, W) less a picture (channels, H, W) without sky, which ``placed`` leads to."""
    pixels = np.empty(raw.shape, np.float32)
    load(framed(raw, masters, placed.patches), 0, 0, _AS_IT_LIES, 1, pixels)
    channels = colours(placed.bayer_pattern)
    shape = picture_shape(raw.shape, placed.bayer_pattern)
    for channel, plane in enumerate(picture):
        there = blotted(plane, placed.warp, shape) / np.float32(placed.scale)
        if placed.bayer_pattern == RGB:
            pixels[channel * shape[0] : (channel + 1) * shape[0]] -= there
        if len(picture) == 1:
            return pixels - there
        for row, column in np.argwhere(channels == channel):
            pixels[row::2, column::2] -= there[row::2, column::2]
    return pixels


def blotted(picture: Plane, warp: Warp, shape: tuple[int, int]) -> Plane:
    """What a picture (H, W) of the reference looks like on a sub of ``shape``, 0 beyond its edges."""
    back = Reversed(warp.matrix, warp.bend)
    course = Course(
        maps=tile_maps(back, shape),
        turn=turn_of(np.asarray(np.linalg.inv(warp.matrix), np.float64)),
        table=table_for(max(1.0, size(warp.matrix)), usual_interpolation(mono=True)),
        colours=colours(None),
        scale=np.float32(1),
        levels=np.zeros((len(corners(shape)), 1, 3), np.float32),
        noise=_NO_RINGING,
        stretched=False,
        undershoot=_NO_RINGING,
        zero=np.zeros(1, np.float32),
    )
    out = np.zeros(shape, np.float32)
    frame: Frame = framed(np.ascontiguousarray(picture), Masters(), Patches())
    in_parallel(blot_tiles, len(course.maps), frame, course, out)
    return out


def _without(patches: Patches, lost: NDArray[np.int64]) -> Patches:
    """The same, and no value at ``lost`` places, sorted."""
    rest = ~np.isin(patches.places, lost)
    places = np.concatenate((patches.places[rest], lost))
    values = np.concatenate((patches.values[rest], np.full(len(lost), np.nan, np.float32)))
    order = np.argsort(places, kind="stable")
    return Patches(places[order], values[order])
