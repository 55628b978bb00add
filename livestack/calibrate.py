"""Raw counts become light: pedestal off, response divided out, defects and saturation known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestack.cosmetic import mend_mapped
from livestack.dark_scaling import Scaling
from livestack.errors import MismatchError
from livestack.masters import Masters
from measure.noise import background_noise

_ABSURD_ADU = 1e12
_HOT_SIGMA = 6.0
_HOT_NEIGHBOURS = 0.12
_MOST_HOLES = 0.05
_LEAST_NEIGHBOURS = 5
_HOT_BRIGHTEST_NEIGHBOUR = 0.5
_MAPPED_NEIGHBOURS = 0.03
_RING = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32) / 4


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """``pixels`` (H, W) float32 in ADU, NaN where there is no data; ``saturated`` (H, W) bool."""

    pixels: NDArray[np.float32]
    saturated: NDArray[np.bool_]
    dark_scaling: Scaling | None = None
    """How much of the dark was taken off, where that was left to the frame."""


def calibrate(
    raw: NDArray[np.integer[Any] | np.floating[Any]],
    masters: Masters,
    *,
    saturation_adu: float,
    bayer_pattern: str | None = None,
) -> Calibrated:
    """Return (raw − dark or bias) / flat, the pixels of the defect map and lone hot and dead ones mended.

    Mended with a dark too: it cannot restore what a saturated or dead pixel never counted. With a defect map
    the search for lone ones spares whatever might be a star, however sharp (see :func:`mend_defects`).

    ``raw`` is (H, W), of any real type, and is left as it is. Raises MismatchError when a master has another
    shape.
    """
    for name, master in (("dark or bias", masters.pedestal_adu), ("flat", masters.inverse_flat)):
        if master is not None and master.shape != raw.shape:
            raise MismatchError(f"the {name} is {_size(master.shape)}, the frame is {_size(raw.shape)}")
    repairs = masters.defects
    if repairs is not None and repairs.shape != raw.shape:
        raise MismatchError(f"the defect map is {_size(repairs.shape)}, the frame is {_size(raw.shape)}")
    saturated = raw >= saturation_adu
    scaling = None
    if masters.scalable_dark is not None:
        scaling = masters.scalable_dark.scaling(raw, saturation_adu=saturation_adu)
        pixels = np.subtract(raw, masters.scalable_dark.pedestal(scaling.factor), dtype=np.float32)
    elif masters.pedestal_adu is None:
        pixels = raw.astype(np.float32)
    else:
        pixels = np.subtract(raw, masters.pedestal_adu, dtype=np.float32)
    if raw.dtype.kind == "f":
        pixels[~(np.abs(pixels) < _ABSURD_ADU)] = np.nan
    if masters.inverse_flat is not None:
        pixels *= masters.inverse_flat
    if repairs is not None:
        mend_mapped(pixels, repairs)
        saturated.reshape(-1)[repairs.places] = False
    mend_holes(pixels, bayer_pattern)
    mend_defects(pixels, bayer_pattern, mapped=repairs is not None)
    return Calibrated(pixels, saturated, scaling)


def saturation_level_adu(raw: NDArray[np.integer[Any] | np.floating[Any]]) -> float:
    """Return the count from which a pixel is saturated: 98 % of the largest, at least about 12 bits' worth.

    The largest count of a frame without saturated stars is some star's peak; calling that one saturated costs
    nothing but a star's place in the photometry.
    """
    return max(0.98 * float(np.fmax.reduce(raw, axis=None)), 4000.0)


def mend_holes(pixels: NDArray[np.float32], bayer_pattern: str | None) -> None:
    """Fill lone pixels without data, in place, with the median of at least five neighbours in their colour.

    A dead pixel left open would be a hole in the stack of a mount that tracks well. Larger gaps stay open.
    """
    holes = np.argwhere(np.isnan(pixels))
    if not 0 < len(holes) <= _MOST_HOLES * pixels.size:
        return
    step = 1 if bayer_pattern is None else 2
    around = step * np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)])
    rows, columns = np.moveaxis(holes[:, None, :] + around, -1, 0)
    height, width = pixels.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    like = np.where(inside, pixels[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)], np.nan)
    lone = np.isfinite(like).sum(axis=1) >= _LEAST_NEIGHBOURS
    pixels[tuple(holes[lone].T)] = np.nanmedian(like[lone], axis=1)


def mend_defects(pixels: NDArray[np.float32], bayer_pattern: str | None, *, mapped: bool = False) -> int:
    """Replace lone pixels far from their like by the median of these, in place; return how many.

    "Their like" is the 3×3 neighbourhood in the same colour. A star spreads over its direct neighbours,
    whatever their colour; a defect doesn't, and that is how the two are told apart.

    ``mapped`` says that the known defects are mended already. A bright pixel then counts as a defect only if
    its four neighbours hold less than 3 % of it on average, their noise considered: a Gaussian star of
    FWHM 1 px that is centred on its pixel has 6 % there. A pixel too dark is never a star.
    """
    like = np.empty_like(pixels)
    step = 1 if bayer_pattern is None else 2
    for i in range(step):
        for j in range(step):
            like[i::step, j::step] = cv2.medianBlur(np.ascontiguousarray(pixels[i::step, j::step]), 3)
    excess = pixels - like
    noise = background_noise(pixels if step == 1 else pixels[::2, ::2])
    if not noise > 0:
        return 0
    defects = np.abs(excess) > _HOT_SIGMA * noise
    candidates = np.flatnonzero(defects)
    if not len(candidates):
        return 0
    around = cv2.filter2D(excess, -1, _RING, borderType=cv2.BORDER_REFLECT_101).ravel()[candidates]
    rows, columns = np.divmod(candidates, pixels.shape[1])
    height, width = pixels.shape
    own = excess.ravel()[candidates]
    brightest = np.full(own.shape, -np.inf, dtype=np.float32)
    for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        neighbour = excess[np.clip(rows + i, 0, height - 1), np.clip(columns + j, 0, width - 1)]
        outside = (rows + i < 0) | (rows + i >= height) | (columns + j < 0) | (columns + j >= width)
        brightest = np.maximum(brightest, np.where(outside, -np.inf, neighbour * np.sign(own)))
    size = np.abs(own)
    lone = (around * np.sign(own) < _HOT_NEIGHBOURS * size) & (brightest < _HOT_BRIGHTEST_NEIGHBOUR * size)
    if mapped:
        lone &= (own < 0) | (around + noise < _MAPPED_NEIGHBOURS * own)
    hit = candidates[lone]
    pixels.ravel()[hit] = like.ravel()[hit]
    return len(hit)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in reversed(shape))
