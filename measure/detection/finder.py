"""The star finder: peaks that stand out on all sides, of the width that the frame's stars have.

Nothing hangs on the brightest: candidates are spread over the frame, the typical width is the mode of
what was measured in all its parts, and what differs from it in width or shape is no star. Peaks are
looked for in a small picture (the frame binned) and measured on the full pixels, calibrated on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from measure.detection.spreading import cells, rank_in_cell, spread
from measure.detection.widths import Sizes, StarSize, typical_size
from measure.kernels.frames import Frame
from measure.kernels.peaks import peaks, prominences, surroundings
from measure.kernels.star_shapes import WINDOW_SIGMA, measure
from measure.stars import SIGMA_TO_FWHM, Stars, no_stars, typical_fwhm_px
from numerics.threads import in_parallel

FloatArray = NDArray[np.float64]

_THRESHOLD_SIGMA = 5.0
_PROMINENCE_SIGMA = 4.0
_SMOOTHED_NOISE = 0.375  # of 1-2-1 both ways
_MOST_PEAKS = 200_000
_MEASURED = 1500
_TRIED_PER_CELL = 1
_TRIED = 64
"""So many, and as many a cell, of those that stand out in each of two rings."""
_TRIAL_RADIUS_PX = 10.0
_TRIAL_RING_PX = 15
_TRIAL_SNR = 8.0
_WIDEST_HALF_PX = 20
_WIDEST = 0.95
"""Of the widest that fits a window: what gets there has no end within it."""
_MIN_FWHM_PX, _MAX_AXIS_RATIO, _APERTURE_FWHM = 1.0, 4.0, 1.5
_LEAST_ROUND = 6
_ROUND = 1.6
_WIDTHS = (0.6, 1.7)
"""Of the typical one; a saturated star may be wider."""
_SATURATED_WIDTH = 4.0
_LONGEST, _NARROWEST = 2.2, 0.5
"""Axes in typical ones: coma and tilt stay below, a piece of a trail does not."""
_MIN_FLUX_SNR = 3.0
_RIM, _RIM_SIGMA, _RIM_PIXELS = 0.5, 2.0, 16
"""A source with so much less light around its core than a typical star, noise considered, is a hot pixel."""
_WIDE_AXIS = 1.3
"""An extended source is wider than a star along both axes; a trail is not."""
_RING_FWHM = 2.5
_RING_POINTS = 16
_PROMINENCE_RADII_PX = (3, 6)
_PROMINENCE_FWHM = 1.5
_LEAST_RING_PX = 3
_LEVEL_SIGMA = 4.0
_LEVEL_NOISE = 0.117  # of a ring's median, in units of an unsmoothed pixel's noise
_ENOUGH_STARS = 20
_COARSER = (2, 4, 8)
_MOST_SMALL_FWHM = 7.0
"""Wider stars, in small pixels, are discs and rings with several peaks each: a coarser picture has one."""
_STILL = 0.4
"""A coarser picture of wide stars is taken if it shows so many of them."""
_LEAST_SMALL_PX = 64


@dataclass(frozen=True, slots=True, eq=False)
class SmallPicture:
    """A frame binned to ``flat`` (h, w), its sky taken off, 0 where there are no data.

    ``level_adu`` (h, w) is the sky that was taken off, ``noise_adu`` the noise of one small pixel.
    """

    flat: NDArray[np.float32]
    level_adu: NDArray[np.float32]
    noise_adu: float
    binning: int

    def coarser(self, factor: int) -> SmallPicture:
        """The same binned again, so that stars far out of focus become peaks."""
        rows, columns = (side // factor for side in self.flat.shape)
        flat, level = (
            plane[: rows * factor, : columns * factor]
            .reshape(rows, factor, columns, factor)
            .mean(axis=(1, 3), dtype=np.float32)
            for plane in (self.flat, self.level_adu)
        )
        return SmallPicture(flat, level, self.noise_adu / factor, self.binning * factor)


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What a frame shows: its ``stars``, and what is ``extended``: galaxies, comets, wide double stars."""

    stars: Stars
    extended: Stars


def find_sources(
    frame: Frame,
    small: SmallPicture,
    *,
    noise_adu: float,
    saturation_adu: float,
    mosaic: bool,
    max_stars: int = 1000,
) -> Sources:
    """Find up to ``max_stars`` stars of a frame, spread over it, brightest first, and what is wider.

    ``noise_adu`` is that of one full pixel's background; a star is saturated if a raw pixel near its core
    reaches ``saturation_adu``; ``mosaic`` tells that pixels have different colours.
    """
    finder = _Finder(frame, noise_adu, saturation_adu, mosaic)
    found = finder.find(small, max_stars)
    for factor in _COARSER:
        wide = typical_fwhm_px(found.stars) > _MOST_SMALL_FWHM * small.binning * factor / 2
        few = len(found.stars) < _ENOUGH_STARS
        if not (wide or few) or min(small.flat.shape) // factor < _LEAST_SMALL_PX:
            break
        other = finder.find(small.coarser(factor), max_stars, _WIDEST_HALF_PX * factor)
        if len(other.stars) > (_STILL if wide else 1.0) * len(found.stars):
            found = other
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Peaks (N) of a small picture: places in small pixels, heights, and cells of the frame."""

    xs: NDArray[np.int64]
    ys: NDArray[np.int64]
    heights: NDArray[np.float32]
    cell: NDArray[np.intp]

    def take(self, which: NDArray[np.intp]) -> _Candidates:
        return _Candidates(self.xs[which], self.ys[which], self.heights[which], self.cell[which])

    def prominence(self, small: SmallPicture, least: float, *radii_px: int) -> NDArray[np.float32]:
        """How far each stands out on all sides (R, N), seen from so many small pixels away.

        Of those that do not reach ``least`` it is not known by how much.
        """
        found = np.empty((len(radii_px), len(self.xs)), np.float32)
        rings = np.stack([_ring(radius) for radius in radii_px])
        in_parallel(
            prominences,
            len(self.xs),
            small.flat,
            self.xs,
            self.ys,
            self.heights,
            rings,
            np.float32(least),
            found,
        )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Finder:
    frame: Frame
    noise_adu: float
    saturation_adu: float
    mosaic: bool

    def find(self, small: SmallPicture, max_stars: int, widest_half_px: int = _WIDEST_HALF_PX) -> Sources:
        if not small.noise_adu > 0:
            return Sources(no_stars(), no_stars())
        least = _PROMINENCE_SIGMA * _SMOOTHED_NOISE * small.noise_adu
        candidates = _peaks(small)
        prominence = candidates.prominence(small, least, *_PROMINENCE_RADII_PX)
        clear = np.flatnonzero(prominence.max(axis=0) > least)
        candidates, prominence = candidates.take(clear), prominence[:, clear]
        tried = np.unique(np.concatenate([_first_of_cells(candidates.cell, each) for each in prominence]))
        size = self._typical(small, candidates.take(tried), widest_half_px)
        if size is not None and size.is_pixel:  # stars may be few among hot pixels
            more = spread(candidates.cell, prominence.max(axis=0), _MEASURED)
            size = self._typical(small, candidates.take(more), widest_half_px)
        if size is None:
            return Sources(no_stars(), no_stars())
        radius = max(_PROMINENCE_RADII_PX[0], round(_PROMINENCE_FWHM * size.fwhm_px / small.binning))
        sharp = prominence[0]
        if radius != _PROMINENCE_RADII_PX[0]:
            sharp = candidates.prominence(small, least, radius)[0]
        clear = np.flatnonzero(sharp > least)
        chosen = clear[spread(candidates.cell[clear], sharp[clear], max(_MEASURED, max_stars))]
        return self._sorted(small, candidates.take(chosen), size, max_stars)

    def _typical(self, small: SmallPicture, tried: _Candidates, half_px: int) -> StarSize | None:
        """The size of the frame's stars, from some candidates of each of its cells."""
        shrink = half_px / _WIDEST_HALF_PX
        found = self._measured(small, tried, half_px, _TRIAL_RADIUS_PX * shrink, _TRIAL_RING_PX * shrink)
        fwhm, a, b = found.fwhm_px, found.a, found.b
        error = self.noise_adu * np.sqrt(np.pi) * 2 * np.maximum(np.nan_to_num(fwhm), 1.0)
        good = (fwhm > _MIN_FWHM_PX) & (a < _WIDEST * half_px / WINDOW_SIGMA)
        bright = good & (found.flux > _TRIAL_SNR * error)
        clear, round_ = ~found.saturated, a < _ROUND * b
        choices = (bright & clear & round_, bright & clear, good & clear & round_, good & clear, good)
        enough = (each for each in choices if each.sum() >= _LEAST_ROUND)
        which = np.flatnonzero(next(enough, good))
        crowd = np.bincount(tried.cell[which], minlength=1)
        weight = 1.0 / crowd[tried.cell[which]]
        return typical_size(Sizes(fwhm[which], a[which], b[which], found.boxes[which], weight))

    def _sorted(self, small: SmallPicture, chosen: _Candidates, size: StarSize, max_stars: int) -> Sources:
        """Measure candidates, and tell stars, extended sources and artefacts apart."""
        radius = _APERTURE_FWHM * max(size.fwhm_px, 1.5)
        half = int(np.ceil(radius)) + 1
        found = self._measured(small, chosen, half, radius, _RING_FWHM * size.fwhm_px)
        error = max(self.noise_adu * np.sqrt(np.pi) * radius, 1e-9)
        relative = found.fwhm_px / size.fwhm_px
        around = found.boxes[:, 1] - found.boxes[:, 0]
        least_around = _RIM * size.rim * found.boxes[:, 1] - _RIM_SIGMA * self.noise_adu * _RIM_PIXELS**0.5
        low, high = _WIDTHS
        source = (
            (found.fwhm_px > _MIN_FWHM_PX)
            & (relative > low)
            & (found.a < _MAX_AXIS_RATIO * found.b)
            & (found.flux > _MIN_FLUX_SNR * error)
            & (around > least_around)
        )
        star = (
            source
            & (relative < np.where(found.saturated, _SATURATED_WIDTH, high))
            & (found.a < np.where(found.saturated, _SATURATED_WIDTH, _LONGEST) * size.a_px)
            & (found.b > _NARROWEST * size.b_px)
        )
        wide = source & ~star & (relative > high) & (found.b > _WIDE_AXIS * size.b_px)
        return Sources(*(self._listed(small, found, each, size, max_stars, error) for each in (star, wide)))

    def _listed(
        self,
        small: SmallPicture,
        found: _Measured,
        these: NDArray[np.bool_],
        size: StarSize,
        most: int,
        error: float,
    ) -> Stars:
        """Those of ``these`` that have no brighter neighbour, spread over the frame, brightest first."""
        which = np.flatnonzero(these)
        which = which[np.argsort(-found.flux[which], kind="stable")]
        which = which[_apart(found.shape[which, :2], size.fwhm_px)]
        rows, columns = (side * small.binning for side in small.flat.shape)
        cell = cells(found.shape[which, 0], found.shape[which, 1], (rows, columns))
        return found.take(which[spread(cell, found.flux[which], most)], error)

    def _measured(
        self, small: SmallPicture, at: _Candidates, half: int, radius: float, ring_px: float
    ) -> _Measured:
        """Shapes and fluxes within ``radius``; the sky is that of a ring of ``ring_px`` where it differs."""
        n = len(at.xs)
        level = small.level_adu[at.ys, at.xs].astype(np.float64) + _local_level(small, at, ring_px)
        x, y = (np.asarray((each + 0.5) * small.binning - 0.5, np.float64) for each in (at.xs, at.ys))
        result = _Measured(
            *(np.empty((n, 5)), np.empty((n, 2)), np.empty(n)),
            *(np.empty(n, np.float32), np.zeros(n, np.bool_)),
        )
        in_parallel(
            *(measure, n, self.frame, self.saturation_adu, x, y, level, half, radius, self.mosaic),
            *(result.shape, result.boxes, result.flux, result.peak, result.saturated),
        )
        return result


def _peaks(small: SmallPicture) -> _Candidates:
    """All peaks that reach the threshold."""
    xs, ys = np.empty(_MOST_PEAKS, np.int64), np.empty(_MOST_PEAKS, np.int64)
    heights = np.empty(_MOST_PEAKS, np.float32)
    n = peaks(small.flat, np.float32(_THRESHOLD_SIGMA * _SMOOTHED_NOISE * small.noise_adu), xs, ys, heights)
    xs, ys = xs[:n], ys[:n]
    return _Candidates(xs, ys, heights[:n], cells(xs.astype(float), ys.astype(float), small.flat.shape))


def _first_of_cells(cell: NDArray[np.intp], value: NDArray[np.float32]) -> NDArray[np.intp]:
    """Those of the largest ``value`` of each cell, more where there are few cells."""
    rank = rank_in_cell(cell, value)
    first = np.flatnonzero(rank < _TRIED_PER_CELL)
    return first if len(first) >= _TRIED else np.lexsort((-value, rank))[:_TRIED]


def _local_level(small: SmallPicture, at: _Candidates, ring_px: float) -> FloatArray:
    """What the sky right around differs from the background that was taken off (N), where it clearly does."""
    n = len(at.xs)
    level = np.empty(n, np.float32)
    ring = _ring(max(_LEAST_RING_PX, round(ring_px / small.binning)))
    in_parallel(surroundings, n, small.flat, at.xs, at.ys, ring, level)
    clear = np.abs(level) > _LEVEL_SIGMA * _LEVEL_NOISE * small.noise_adu
    return np.where(clear, level, 0.0).astype(np.float64)


def _ring(radius_px: int) -> NDArray[np.int64]:
    """Offsets (K, 2) of pixels on a circle; entry k lies opposite to entry k + K / 2."""
    angle = 2 * np.pi * np.arange(_RING_POINTS // 2) / _RING_POINTS
    half = np.rint(radius_px * np.column_stack((np.cos(angle), np.sin(angle)))).astype(np.int64)
    return np.concatenate((half, -half))


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What the kernel fills in; ``shape`` (N, 5) holds x, y, xx, yy, xy, ``boxes`` (N, 2) the light
    in 3×3 and 5×5 pixels.
    """

    shape: FloatArray
    boxes: FloatArray
    flux: FloatArray
    peak: NDArray[np.float32]
    saturated: NDArray[np.bool_]

    @property
    def a(self) -> FloatArray:
        return np.sqrt(self._middle + self._spread)

    @property
    def b(self) -> FloatArray:
        return np.sqrt(np.maximum(self._middle - self._spread, 1e-3))

    @property
    def fwhm_px(self) -> FloatArray:
        return SIGMA_TO_FWHM * np.sqrt(self.a * self.b)

    @property
    def _middle(self) -> FloatArray:
        middle: FloatArray = 0.5 * (self.shape[:, 2] + self.shape[:, 3])
        return middle

    @property
    def _spread(self) -> FloatArray:
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


def _apart(xy: FloatArray, distance: float) -> NDArray[np.bool_]:
    """Of places, brightest first, those that have no brighter one within ``distance``."""
    keep = np.ones(len(xy), dtype=bool)
    for brighter, fainter in sorted(cKDTree(xy).query_pairs(distance)) if len(xy) else ():
        if keep[brighter]:
            keep[fainter] = False
    return keep
