"""What a drizzle gives, what its noise means, and its holes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

_LEAST_NEAR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drizzled:
    """``pixels`` (H, W[, 3]) in ADU per pixel of the reference, NaN where ``coverage`` is 0.

    ``weights`` and ``coverage`` (subs seen) have the same shape. ``holes`` (channels) is the share of the
    pixels that some sub has covered, in whatever colour, and that have no datum all the same.
    """

    pixels: Plane
    weights: Plane
    coverage: NDArray[np.uint16]
    scale: float
    pixfrac: float
    subs: int
    rejected_fraction: float
    holes: tuple[float, ...]


def filled(drizzled: Drizzled) -> Plane:
    """Return the pixels with holes inside the footprint filled from around them; elsewhere still NaN.

    What was filled is where ``coverage`` is 0 and the value is finite.
    """
    import cv2

    layers = np.atleast_3d(drizzled.pixels).copy()
    seen = np.atleast_3d(drizzled.coverage) > 0
    inside = footprint(np.asarray(seen.any(axis=2)), drizzled.scale)
    for channel in range(layers.shape[2]):
        known = seen[..., channel].astype(np.float32)
        values = np.where(known > 0, layers[..., channel], np.float32(0))
        for _ in range(2 * ceil(drizzled.scale)):
            near = cv2.blur(known, (3, 3))
            new = inside & (known == 0) & (near > _LEAST_NEAR)
            if not new.any():
                break
            values[new] = cv2.blur(values, (3, 3))[new] / near[new]
            known[new] = 1
        layers[..., channel] = np.where(known > 0, values, np.float32(np.nan))
    return layers.reshape(drizzled.pixels.shape)


def noise_correlation(scale: float, pixfrac: float) -> float:
    """Return the noise over large areas over what the single pixels' noise suggests (1 or more).

    Drops that fall on several pixels make neighbours alike, so that pixels look smoother than they are:
    Fruchter & Hook 2002, for many subs with dithers of all phases and the square kernel.
    """
    r = scale * pixfrac
    return r / (1 - 1 / (3 * r)) if r >= 1 else 1 / (1 - r / 3)


def footprint(seen: NDArray[np.bool_], scale: float) -> NDArray[np.bool_]:
    """What was seen, with the gaps between drops closed: they are narrower than two of a sub's pixels.

    The output's own edge, as wide as such a gap, does not belong to it.
    """
    import cv2

    side = 2 * ceil(scale) + 1
    square = np.ones((side, side), np.uint8)
    wider = cv2.dilate(seen.astype(np.uint8), square)
    return np.asarray(cv2.erode(wider, square, borderType=cv2.BORDER_CONSTANT, borderValue=0), np.bool_)
