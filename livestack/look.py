"""The first look at a raw frame: its stars, its sky, its noise, and the lone pixels that are to be mended.

The frame is calibrated on the fly and binned to less than two megapixels; stars are found there and measured
on the full pixels. All heavy loops run outside Python's lock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from library.mosaics import RGB
from livestack.kernels.frames import Frame
from livestack.kernels.starring import measure, peaks
from livestack.masters import Masters
from livestack.normalise import Mesh, background_mesh
from livestack.survey import Patches, Raw, framed, luminance, survey_frame
from measure.background import Background, measure_background
from measure.stars import SIGMA_TO_FWHM, Stars
from numerics.threads import in_parallel

_THRESHOLD_SIGMA = 5.0
_SMOOTHED_NOISE = 0.375  # of 1-2-1 both ways
_MANY_PIXELS = 1_000_000  # a quarter of them tells the sky well enough
_MOST_PEAKS = 200_000
_MEASURED = 1500
_TRIED = 100
_WIDEST_HALF_PX = 20
_MIN_FWHM_PX, _MAX_AXIS_RATIO, _APERTURE_FWHM = 1.0, 4.0, 1.5
_MIN_FLUX_SNR = 3.0


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
    """Look at a raw frame (H, W), mono or a mosaic, or at three planes one below the other (3 H, W).

    ``search`` for lone hot and dead pixels.
    """
    seen = survey_frame(raw, masters, bayer_pattern=bayer_pattern, search=search)
    mesh = background_mesh(seen.small, seen.binning)
    small = seen.small[0] if len(seen.small) == 1 else seen.small.mean(axis=0)
    invalid = ~np.isfinite(small)
    masked = bool(invalid.any())
    if masked:
        small = np.where(invalid, np.float32(0), small)
    every = 2 if small.size > _MANY_PIXELS else 1
    sky = measure_background(small, invalid=invalid if masked else None, every=every)
    small -= sky.level_adu
    small[invalid] = 0.0
    if bayer_pattern == RGB:  # stars are sought in the luminance
        grey = framed(luminance(raw, masters, seen.patches), Masters(), Patches())
        finder, noise = _Finder(grey, saturation_adu, False), seen.noise_adu / np.sqrt(3)
    else:
        frame = framed(raw, masters, seen.patches)
        finder, noise = _Finder(frame, saturation_adu, bayer_pattern is not None), seen.noise_adu
    return Look(
        stars=finder.find(small, sky, seen.binning, noise, max_stars),
        sky=sky,
        mesh=mesh,
        noise_adu=seen.noise_adu,
        patches=seen.patches,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Finder:
    frame: Frame
    saturation_adu: float
    mosaic: bool

    def find(
        self, flatter: NDArray[np.float32], sky: Background, binning: int, noise: float, max_stars: int
    ) -> Stars:
        """The brightest stars, of the small frame ``flatter`` whose sky is taken off."""
        if not sky.rms_adu > 0:
            return _none()
        xs, ys = np.empty(_MOST_PEAKS, np.int64), np.empty(_MOST_PEAKS, np.int64)
        heights = np.empty(_MOST_PEAKS, np.float32)
        threshold = np.float32(_THRESHOLD_SIGMA * _SMOOTHED_NOISE * sky.rms_adu)
        n = peaks(flatter, threshold, xs, ys, heights)
        order = np.lexsort((xs[:n], ys[:n], -heights[:n]))[: max(_MEASURED, max_stars)]
        xs, ys = xs[order], ys[order]
        x, y = (np.asarray((each + 0.5) * binning - 0.5, np.float64) for each in (xs, ys))
        level = sky.level_adu[ys, xs].astype(np.float64)
        first = slice(_TRIED)
        tried = self._measured(x[first], y[first], level[first], _WIDEST_HALF_PX, 10.0)
        wide = tried.fwhm_px > _MIN_FWHM_PX
        widths = tried.fwhm_px[wide & ~tried.saturated]
        widths = widths if len(widths) else tried.fwhm_px[wide]
        if not len(widths):
            return _none()
        typical = float(np.median(widths))
        radius = _APERTURE_FWHM * max(typical, 1.5)
        half = int(np.ceil(radius)) + 1
        found = self._measured(x, y, level, half, radius)
        error = max(noise * np.sqrt(np.pi) * radius, 1e-9)
        star = (
            (found.fwhm_px > max(_MIN_FWHM_PX, 0.5 * typical))
            & (found.a < _MAX_AXIS_RATIO * found.b)
            & (found.flux > _MIN_FLUX_SNR * error)
        )
        chosen = np.flatnonzero(star)
        chosen = chosen[np.argsort(-found.flux[chosen], kind="stable")]
        chosen = chosen[_apart(found.shape[chosen, :2], typical)][:max_stars]
        return found.take(chosen, error)

    def _measured(
        self,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        level: NDArray[np.float64],
        half: int,
        radius: float,
    ) -> _Measured:
        n = len(x)
        result = _Measured(np.empty((n, 5)), np.empty(n), np.empty(n, np.float32), np.zeros(n, np.bool_))
        in_parallel(
            *(measure, n, self.frame, self.saturation_adu, x, y, level, half, radius, self.mosaic),
            *(result.shape, result.flux, result.peak, result.saturated),
        )
        return result


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What the kernel fills in; ``shape`` (N, 5) holds x, y, xx, yy, xy."""

    shape: NDArray[np.float64]
    flux: NDArray[np.float64]
    peak: NDArray[np.float32]
    saturated: NDArray[np.bool_]

    @property
    def a(self) -> NDArray[np.float64]:
        return np.sqrt(self._middle + self._spread)

    @property
    def b(self) -> NDArray[np.float64]:
        return np.sqrt(np.maximum(self._middle - self._spread, 1e-3))

    @property
    def fwhm_px(self) -> NDArray[np.float64]:
        return SIGMA_TO_FWHM * np.sqrt(self.a * self.b)

    @property
    def _middle(self) -> NDArray[np.float64]:
        middle: NDArray[np.float64] = 0.5 * (self.shape[:, 2] + self.shape[:, 3])
        return middle

    @property
    def _spread(self) -> NDArray[np.float64]:
        return np.hypot(0.5 * (self.shape[:, 2] - self.shape[:, 3]), self.shape[:, 4])

    def take(self, which: NDArray[np.intp], flux_error: float) -> Stars:
        xx, yy, xy = self.shape[which, 2], self.shape[which, 3], self.shape[which, 4]
        return Stars(
            x=self.shape[which, 0],
            y=self.shape[which, 1],
            flux=self.flux[which],
            snr=self.flux[which] / max(flux_error, 1e-9),
            fwhm_px=self.fwhm_px[which],
            a=self.a[which],
            b=self.b[which],
            theta=0.5 * np.arctan2(2 * xy, xx - yy),
            peak=self.peak[which].astype(np.float64),
            saturated=self.saturated[which],
        )


def _apart(xy: NDArray[np.float64], distance: float) -> NDArray[np.bool_]:
    """Of places, brightest first, those that have no brighter one within ``distance``."""
    keep = np.ones(len(xy), dtype=bool)
    for brighter, fainter in sorted(cKDTree(xy).query_pairs(distance)) if len(xy) else ():
        if keep[brighter]:
            keep[fainter] = False
    return keep


def _none() -> Stars:
    e = np.empty(0)
    return Stars(e, e, e, e, e, e, e, e, e, np.empty(0, dtype=bool))
