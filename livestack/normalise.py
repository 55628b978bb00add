"""Every sub at the scale and level of the first, so that haze and moonlight leave no steps.

Scale comes from the stars. Level is a surface: the difference of the two skies, patch by patch, where both
see the same patch of sky; nebulae and vignetting cancel, and what is left of moonlight and haze is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS
from livestack.tiling import corners
from livestack.warp import Warp, terms
from measure.stars import Stars

_MIN_PAIRS = 5
_PHOTOMETRIC_STARS = 100
_PHOTOMETRIC_SNR = 10.0
_BOXES = 24
_SAMPLES_PER_BOX = 300
_TERMS = ((24, 6), (9, 3), (1, 1))  # so many patches allow so many terms: a paraboloid, a plane, a constant
_SHARES = ((0.6, 6), (0.3, 3), (0.0, 1))  # and so much of what the sub shows: the rest is a guess
_MANY_MORE = 1.5
_FIT_ROUNDS = 4
_CLIP_SIGMA = 3.0
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Medians (channels, rows, columns) of a frame's boxes, NaN where there is nothing.

    The middle of box (r, c) is at ``first + (c, r) · step``, in full pixels.
    """

    levels: NDArray[np.float64]
    first: NDArray[np.float64]
    step: NDArray[np.float64]

    def places(self) -> NDArray[np.float64]:
        """The middles (boxes, 2) of all boxes, row by row."""
        rows, columns = self.levels.shape[1:]
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
        return np.asarray(self.first + grid * self.step)

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Levels (channels, N) between the boxes, bilinear; NaN outside of their middles."""
        rows, columns = self.levels.shape[1:]
        x, y = ((points - self.first) / self.step).T
        outside = (x < -0.5) | (y < -0.5) | (x > columns - 0.5) | (y > rows - 0.5)
        x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
        i, j = np.minimum(x.astype(int), max(columns - 2, 0)), np.minimum(y.astype(int), max(rows - 2, 0))
        right, below = np.minimum(i + 1, columns - 1), np.minimum(j + 1, rows - 1)
        u, v = x - i, y - j
        upper = (1 - u) * self.levels[:, j, i] + u * self.levels[:, j, right]
        lower = (1 - u) * self.levels[:, below, i] + u * self.levels[:, below, right]
        return np.where(outside, np.nan, (1 - v) * upper + v * lower)

    def moved(self, warp: Warp, shape: tuple[int, int]) -> Mesh:
        """The same sky on the reference's pixels (height, width)."""
        if np.array_equal(warp.matrix, np.eye(3)) and warp.bend is None:
            return self
        rows, columns = self.levels.shape[1:]
        step = np.array([shape[1] / columns, shape[0] / rows])
        there = Mesh(self.levels, (step - 1) / 2, step)
        levels = self.at(warp.backwards(there.places()))
        return Mesh(levels.reshape(self.levels.shape), there.first, step)


def background_mesh(small: NDArray[np.float32], binning: int) -> Mesh:
    """Box medians of a binned frame (channels, H, W)."""
    channels, height, width = small.shape
    box = max(4, -(-min(height, width) // _BOXES))
    rows, columns = max(height // box, 1), max(width // box, 1)
    tall, wide = min(box, height), min(box, width)
    boxes = small[:, : rows * tall, : columns * wide].reshape(channels, rows, tall, columns, wide)
    every = max(1, int(np.sqrt(tall * wide / _SAMPLES_PER_BOX)))
    values = boxes[:, :, ::every, :, ::every].swapaxes(2, 3).reshape(channels, rows, columns, -1)
    n = values.shape[-1]
    values = np.sort(values, axis=-1)  # what is not a number goes last
    levels = 0.5 * (values[..., (n - 1) // 2] + values[..., n // 2])
    levels[~np.isfinite(values[..., [0, -1]]).all(axis=-1)] = np.nan
    step = np.array([wide, tall], np.float64) * binning
    return Mesh(levels.astype(np.float64), (step - 1) / 2, step)


def transparency_scale(
    stars: Stars,
    pairs: NDArray[np.intp],
    reference_flux: NDArray[np.float64],
    *,
    area: float = 1.0,
    otherwise: float = 1.0,
) -> float:
    """Return what to multiply a sub by so that its stars are as bright as the reference's.

    ``pairs`` (N, 2) index ``stars`` and ``reference_flux`` (NaN where unknown). The median ratio of the
    brightest unsaturated pairs; ``otherwise`` when there are fewer than five. One pixel of the sub fills
    ``area`` pixels of the reference, each with its value, so that a star's flux grows by as much.
    """
    i, j = pairs.T
    good = ~stars.saturated[i] & (stars.snr[i] > _PHOTOMETRIC_SNR) & (reference_flux[j] > 0)
    chosen = np.flatnonzero(good)[:_PHOTOMETRIC_STARS]
    if len(chosen) < _MIN_PAIRS:
        return otherwise
    return float(np.median(reference_flux[j[chosen]] / stars.flux[i[chosen]])) / area


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A paraboloid over the reference, in ADU, for each channel.

    ``coefficients`` (channels, 6) go with 1, x, y, x², xy, y² of ``(place - centre) / reach_px``.
    """

    coefficients: NDArray[np.float64]
    centre: NDArray[np.float64]
    reach_px: float

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Levels (channels, N) at places (N, 2) of the reference."""
        design = terms((points - self.centre) / self.reach_px)[:, :6]
        return np.asarray(self.coefficients @ design.T)

    def tile_planes(self, shape: tuple[int, int], tiles: slice = slice(None)) -> NDArray[np.float64]:
        """A plane (level, slope in x, slope in y) for each tile of ``shape`` and channel: (tiles, channels,
        3).
        """
        half = np.array([TILE_COLUMNS / 2, TILE_ROWS / 2])
        middle = corners(shape)[tiles] + half
        x, y = ((middle - self.centre) / self.reach_px).T
        c = self.coefficients[:, :, None]
        slope_x = (c[:, 1] + 2 * c[:, 3] * x + c[:, 4] * y) / self.reach_px
        slope_y = (c[:, 2] + c[:, 4] * x + 2 * c[:, 5] * y) / self.reach_px
        level = self.at(middle) - slope_x * half[0] - slope_y * half[1]
        return np.moveaxis(np.stack((level, slope_x, slope_y), axis=-1), 0, 1)


def level_surface(
    reference: Mesh | None, sub: Mesh, warp: Warp, scale: float, shape: tuple[int, int]
) -> Surface:
    """Return what to add to a scaled sub.

    ``reference`` lies on the reference's pixels (height, width), ``None`` for the first sub of all.
    """
    channels = sub.levels.shape[0]
    found = Surface(np.zeros((channels, 6)), np.array([shape[1], shape[0]]) / 2, float(max(shape)) / 2)
    if reference is None:
        return found
    theirs, own = reference.places(), warp.forwards(sub.places())
    at_theirs = reference.levels.reshape(channels, -1) - scale * sub.at(warp.backwards(theirs))
    at_own = reference.at(own) - scale * sub.levels.reshape(channels, -1)
    inside = ((own >= 0) & (own < [shape[1], shape[0]])).all(axis=1)
    for channel in range(channels):
        known = float(np.isfinite(at_own[channel, inside]).mean()) if inside.any() else 0.0
        small = np.isfinite(at_own[channel]).sum() > _MANY_MORE * np.isfinite(at_theirs[channel]).sum()
        places, wanted = (own, at_own[channel]) if small else (theirs, at_theirs[channel])
        seen = np.isfinite(wanted)
        most = next((n for share, n in _SHARES if known >= share), 0)
        scaled = (places[seen] - found.centre) / found.reach_px
        found.coefficients[channel] = _surface(scaled, wanted[seen], most)
    return found


def _surface(places: NDArray[np.float64], values: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Coefficients (6) of 1, x, y, x², xy, y², outliers clipped; as many as the patches allow."""
    result = np.zeros(6)
    wanted = next((n for least, n in _TERMS if len(values) >= least and n <= most), 0)
    if wanted == 0:
        return result
    design = terms(places)[:, :wanted]
    keep = np.ones(len(values), dtype=bool)
    for _ in range(_FIT_ROUNDS):
        found, *_ = np.linalg.lstsq(design[keep], values[keep], rcond=None)
        rest = values - design @ found
        sigma = _MAD_TO_SIGMA * np.median(np.abs(rest[keep] - np.median(rest[keep])))
        closer = np.abs(rest) <= _CLIP_SIGMA * max(sigma, 1e-9)
        if closer.sum() < 2 * wanted or (closer == keep).all():
            break
        keep = closer
    result[:wanted] = found
    return result
