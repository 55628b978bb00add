"""Dark optimisation: how much of a dark a light really holds, from the light's own warm pixels.

The k that leaves the least noise in light − bias − k·(dark − bias), as PixInsight and Siril find it offline.
Only what stands out of its neighbourhood in the dark is looked at, so that sky, nebulae and the smooth glow
of the readout do not count; neighbourhoods where the light has a star are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.mosaics import cell_px

Plane = NDArray[np.float32]

LARGEST = 4.0
"""A dark that would have to be scaled by more, or by less than one over it, is the wrong dark."""

LARGEST_ERROR = 0.1

_WARM_SIGMA = 8.0
_STAR_SIGMA = 4.0
_LEAST_PIXELS = 50
_STRAY = 0.03
_DILUTION = 0.005
"""What noise in the dark itself may do to the factor, as a share."""

_ROUNDS = 30
_TUKEY = 4.685
_BLOCK = 32
_GLOW_SIGMA = 6.0
_MAD = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """By how much to multiply dark − bias, its error (1 σ), and whether the light itself said so."""

    factor: float
    error: float
    from_light: bool
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ScalableDark:
    """A dark taken apart, (H, W) in ADU: bias, what grows with temperature, and the readout's glow.

    ``warm`` are the flat places of the pixels to look at, ``colour_step`` the distance to a pixel's like.
    """

    bias_adu: Plane
    current_adu: Plane
    glow_adu: Plane
    warm: NDArray[np.int64]
    excess: Plane
    """How far the dark's warm pixels stand out of their neighbourhoods."""

    colour_step: int = 1
    expected: float = 1.0

    def scaling(
        self, raw: NDArray[np.integer[Any] | np.floating[Any]], *, saturation_adu: float = np.inf
    ) -> Scaling:
        """The factor that fits this light (H, W), or the expected one where it does not tell.

        A robust straight line through zero of the light's excesses over the dark's, with Tukey's weights;
        a few percent of stray keep the hottest pixels, which are not quite linear, from having all the say.
        """
        light = np.subtract(raw, self.bias_adu, dtype=np.float32)
        like = neighbourhood(light, self.colour_step)
        places = self.warm
        sky, around = float(np.median(like)), like.ravel()[places]
        spread = _MAD * float(np.median(np.abs(like - sky)))
        calm = (around - sky) < _STAR_SIGMA * max(spread, 1e-3)
        calm &= raw.ravel()[places] < saturation_adu
        x = self.excess[calm].astype(np.float64)
        y = (light.ravel()[places] - around)[calm].astype(np.float64)
        if len(x) < _LEAST_PIXELS:
            return self._kept(f"{len(x)} warm pixels free of stars, {_LEAST_PIXELS} are needed")
        noise = _MAD * float(np.median(np.abs(light - like))) * np.sqrt(1 + np.pi / 16)
        factor, error = _line(x, y, max(noise, 1e-3))
        if error > LARGEST_ERROR:
            return self._kept(f"the light tells it to ±{error:.2f} only")
        if not 1 / LARGEST <= factor <= LARGEST:
            return self._kept(f"the light asks for ×{factor:.2f}: this dark is not for it")
        return Scaling(
            factor=factor, error=error, from_light=True, reason=f"of {len(x)} warm pixels of the light"
        )

    def pedestal(self, factor: float) -> Plane:
        """Bias + glow + k·current: the glow stays, as it does not follow the temperature."""
        return np.asarray(self.bias_adu + self.glow_adu + np.float32(factor) * self.current_adu)

    def _kept(self, reason: str) -> Scaling:
        return Scaling(factor=self.expected, error=LARGEST_ERROR, from_light=False, reason=reason)


def take_apart(
    dark: Plane,
    bias: Plane,
    *,
    bayer_pattern: str | None = None,
    expected: float = 1.0,
    glow: Plane | None = None,
) -> ScalableDark:
    """Prepare a master dark and its bias, once for many lights.

    ``expected`` is the factor that temperature and exposure call for, used where a light does not tell.
    ``glow`` is the readout's glow within the dark; without it, it is what blocks of pixels have above the
    typical block. Warm pixels in the glow are not looked at: their shot noise says nothing of temperature.
    """
    signal = np.subtract(dark, bias, dtype=np.float32)
    if glow is None:
        glow = smooth_glow(signal)
    step = cell_px(bayer_pattern)
    current = signal - glow
    excess = current - neighbourhood(current, step)
    grain = _MAD * float(np.median(np.abs(excess)))
    warm = (excess > _WARM_SIGMA * max(grain, 1e-3)) & (glow <= 0)
    places = np.flatnonzero(warm)
    return ScalableDark(bias, current, glow, places, excess.ravel()[places], step, expected)


def neighbourhood(pixels: Plane, step: int) -> Plane:
    """The median of each pixel's 5 × 5 neighbours of its own colour."""
    import cv2  # 30 MB that most nights do without

    like = np.empty_like(pixels)
    for i in range(step):
        for j in range(step):
            like[i::step, j::step] = cv2.medianBlur(np.ascontiguousarray(pixels[i::step, j::step]), 5)
    return like


def smooth_glow(signal: Plane) -> Plane:
    """What blocks of 32 × 32 pixels have above the typical block, where that is beyond chance; else 0."""
    height, width = signal.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    if rows < 4 or columns < 4:
        return np.zeros_like(signal)
    tiles = signal[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    level = np.median(tiles, axis=(1, 3))
    typical = float(np.median(level))
    spread = _MAD * float(np.median(np.abs(level - typical)))
    above = np.where(level - typical > _GLOW_SIGMA * max(spread, 1e-3), level - typical, 0.0)
    if not above.any():
        return np.zeros_like(signal)
    import cv2

    x = ((np.arange(width, dtype=np.float32) + 0.5) / _BLOCK - 0.5)[None].repeat(height, axis=0)
    y = ((np.arange(height, dtype=np.float32) + 0.5) / _BLOCK - 0.5)[:, None].repeat(width, axis=1)
    return np.asarray(
        cv2.remap(above.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def _line(x: NDArray[np.float64], y: NDArray[np.float64], noise: float) -> tuple[float, float]:
    """Slope of y = k·x and its error: Tukey's weights, from the median of ratios on."""
    factor = float(np.median(y / x))
    sigma = np.hypot(noise, _STRAY * x)
    kept = np.ones_like(x)
    scale = 1.0
    for _ in range(_ROUNDS):
        off = (y - factor * x) / sigma
        scale = max(_MAD * float(np.median(np.abs(off))), 1e-6)
        u = off / (_TUKEY * scale)
        kept = np.where(np.abs(u) < 1, (1 - u**2) ** 2, 0.0)
        weight = kept / sigma**2
        before, factor = factor, float((weight * x) @ y / ((weight * x) @ x))
        if abs(factor - before) < 1e-7:
            break
    # 1.05 ≈ 1/√0.95, the efficiency of Tukey's weights
    chance = 1.05 * scale / float(np.sqrt(np.sum((kept > 0) * (x / sigma) ** 2)))
    return factor, float(np.hypot(chance, _DILUTION * factor))
