"""Colour filter arrays: patterns as strings of letters, row by row, and whether a frame evidently has one.

A pattern is of 4 letters (2 × 2, Bayer) or 36 (6 × 6, X-Trans), each R, G or B. What a header calls a mosaic
and is none of these stays as it is told, so that whoever stacks it can refuse it by its name. ``RGB``, of
three letters, stands for no mosaic: all three colours of each pixel are there, as three planes.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

BAYER_PATTERNS = ("RGGB", "BGGR", "GBRG", "GRBG")
XTRANS = "GBGGRGRGRBGBGBGGRGGRGGBGBGBRGRGRGGBG"
"""Fujifilm's, from one of its first pixels on; others are this one moved or mirrored."""

RGB = "RGB"
"""What stands in a pattern's place for frames of three planes."""

_NO_MOSAIC = {"", "NONE", "NO", "MONO", "MONOCHROME", "GREY", "GRAY", "N/A", "0", "F", "FALSE", "UNKNOWN"}
_SIDES = {3: 1, 4: 2, 36: 6}
_BLOCK = 96
_MOST_BLOCKS = 144
_LEAST_BLOCKS = 6
_EXPLAINED = 0.9
_AGREEING = 0.8
_LEAST_SIGMA = 0.5
"""A mosaic's colours differ by so much of a pixel's noise. ASI1600MM, a mono camera: 0.3 at a dark sky."""

_CHEQUERED, _LEAST_CHEQUERED = 0.3, 0.04
"""Red and blue as bright as each other might be a mono sensor's pairs of pixels (ASI1600MM: 1 % of it)."""


def normalised(text: str | None) -> str | None:
    """A header's word for a pattern: in capitals, None where it says that there is none."""
    pattern = re.sub(r"[\s,;/_-]", "", (text or "").upper())
    return None if pattern in _NO_MOSAIC else pattern


def is_bayer(pattern: str) -> bool:
    """Whether it is one of the four Bayer patterns."""
    return pattern in BAYER_PATTERNS


def is_xtrans(pattern: str) -> bool:
    """Whether it is 6 × 6 letters of red, green and blue."""
    return len(pattern) == 36 and set(pattern) == set("RGB")


def cell_px(pattern: str | None) -> int:
    """The side of a pattern's cell: 1 for none, 2 for what is not known to be larger."""
    return 1 if pattern is None else _SIDES.get(len(pattern), 2)


def unusable(pattern: str | None) -> str | None:
    """Why a frame of such a mosaic cannot become a picture; None if it can."""
    if pattern is None or pattern == RGB or is_bayer(pattern):
        return None
    if is_xtrans(pattern):  # here, and nowhere else, X-Trans is switched on
        return (
            "it is a Fujifilm X-Trans mosaic (6 × 6), which is not demosaiced yet; convert it to colour "
            "(three planes) and stack that, or --bayer none stacks it as grey"
        )
    return (
        f"its mosaic {pattern!r} is none that is demosaiced ({', '.join(BAYER_PATTERNS)}); if the header is "
        "wrong, --bayer says the right one, and --bayer none stacks it as grey"
    )


def tall(pixels: NDArray[Any]) -> NDArray[Any]:
    """Three planes (H, W, 3) one below the other, (3 H, W); one plane (H, W) as it is."""
    if pixels.ndim == 2:
        return pixels
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0)).reshape(-1, pixels.shape[1])


def shifted(pattern: str, columns: int, rows: int) -> str:
    """The pattern so many columns and rows on; one of another kind stays as it is told."""
    if not (is_bayer(pattern) or is_xtrans(pattern)):
        return pattern
    side = cell_px(pattern)
    cell = np.array(list(pattern)).reshape(side, side)
    return "".join(np.roll(cell, (-rows, -columns), axis=(0, 1)).ravel().tolist())


def flipped(pattern: str, height: int) -> str:
    """The pattern at the first stored row of a picture of that height, if it is told from the last one on."""
    if not (is_bayer(pattern) or is_xtrans(pattern)):
        return pattern
    side = cell_px(pattern)
    cell = np.array(list(pattern)).reshape(side, side)
    return "".join(cell[(height - 1 - np.arange(side)) % side].ravel().tolist())


def pattern_of(told: str | None, height: int, x: int, y: int, *, bottom_up: bool) -> str | None:
    """The pattern at row 0, column 0 of one stored plane, the way Siril reads INDI's and others' files.

    ``told`` names the pattern at the top left of the picture, which is stored row 0 unless rows are stored
    ``bottom_up``. ``x`` and ``y`` are XBAYROFF and YBAYROFF, which shift it by columns and rows.
    """
    pattern = normalised(told)
    if pattern is None or pattern == RGB:
        return None
    if bottom_up:
        pattern = flipped(pattern, height)
    return shifted(pattern, x, y)


def evident_cell_px(pixels: NDArray[np.generic]) -> int | None:
    """The side of the cell (2 or 6) if a frame (H, W) is evidently a mosaic; None if it is not.

    Pixels of a mosaic's colours have levels of their own, and which pixels are alike is known: both greens of
    Bayer's, or the three colours of X-Trans. An amplifier's odd and even columns or rows are no mosaic: what
    rows and columns explain together is taken off first. Nearly all parts of the frame must agree.
    """
    if pixels.ndim != 2 or min(pixels.shape) < 2 * _BLOCK:
        return None
    for side in (2, 6):
        levels, noise = _block_levels(pixels, side)
        if len(levels) >= _LEAST_BLOCKS and _is_mosaic(levels, noise, side):
            return side
    return None


def _block_levels(pixels: NDArray[np.generic], side: int) -> tuple[NDArray[np.float64], float]:
    """The median of each site of the cell in blocks (N, side²) all over the frame, and a pixel's noise."""
    block = _BLOCK // side * side
    rows, columns = (n // block for n in pixels.shape)
    step = max(1, math.ceil(math.sqrt(rows * columns / _MOST_BLOCKS)))
    levels, noises = [], []
    for j in range(0, rows, step):
        for i in range(0, columns, step):
            piece = np.asarray(pixels[j * block : (j + 1) * block, i * block : (i + 1) * block], np.float64)
            if not np.isfinite(piece).all() or piece.min() == piece.max():
                continue
            cells = piece.reshape(block // side, side, block // side, side)
            sites = np.moveaxis(cells, 1, 2).reshape(-1, side * side)
            middle = np.median(sites, axis=0)
            # The median of whole numbers is too coarse: the mean of what is near it is not.
            spread = 1.4826 * np.median(np.abs(sites - middle))
            near = np.abs(sites - middle) <= 2.5 * max(spread, 1.0)
            levels.append(np.where(near, sites, 0).sum(axis=0) / np.maximum(near.sum(axis=0), 1))
            noises.append(spread)
    return np.array(levels).reshape(-1, side * side), float(np.median(noises)) if noises else 0.0


def _is_mosaic(levels: NDArray[np.float64], noise: float, side: int) -> bool:
    cells = levels.reshape(-1, side, side)
    rows, columns = cells.mean(axis=2, keepdims=True), cells.mean(axis=1, keepdims=True)
    lone = cells - rows - columns + cells.mean(axis=(1, 2), keepdims=True)  # what no amplifier does
    typical = np.median(lone, axis=0)
    along = (lone * typical).sum(axis=(1, 2)) / np.maximum(
        np.sqrt((lone**2).sum(axis=(1, 2)) * (typical**2).sum()), 1e-12
    )
    if np.mean(along > _AGREEING) < _AGREEING:
        return False
    mean = np.median(cells - cells.mean(axis=(1, 2), keepdims=True), axis=0)
    if mean.std() < _LEAST_SIGMA * noise:
        return False
    if side == 2 and _is_chequered(mean) and mean.std() < _LEAST_CHEQUERED * float(np.median(levels)):
        return False
    return any(_explained(mean, groups) > _EXPLAINED for groups in _groupings(side))


def _is_chequered(mean: NDArray[np.float64]) -> bool:
    """Whether both diagonals of a cell (2, 2) hold pixels that are alike."""
    along, across = mean[[0, 1], [0, 1]], mean[[0, 1], [1, 0]]
    apart = abs(float(along.mean() - across.mean()))
    return max(float(np.ptp(along)), float(np.ptp(across))) < _CHEQUERED * apart


@lru_cache
def _groupings(side: int) -> list[NDArray[np.bool_]]:
    """For each pattern that there is, which sites are green, red and blue: (3, side, side)."""
    if side == 2:
        patterns = list(BAYER_PATTERNS)
    else:
        one = np.array(list(XTRANS)).reshape(6, 6)
        turned = [each for cell in (one, one[:, ::-1]) for each in (cell, cell.T)]
        patterns = sorted(
            {
                "".join(np.roll(cell, (y, x), axis=(0, 1)).ravel().tolist())
                for cell in turned
                for y in range(6)
                for x in range(6)
            }
        )
    cells = [np.array(list(pattern)).reshape(side, side) for pattern in patterns]
    return [np.stack([cell == letter for letter in "GRB"]) for cell in cells]


def _explained(mean: NDArray[np.float64], groups: NDArray[np.bool_]) -> float:
    """The share of a cell's variance that its three colours explain."""
    fitted = np.zeros_like(mean)
    for group in groups:
        fitted[group] = mean[group].mean()
    total = float(((mean - mean.mean()) ** 2).sum())
    return 1 - float(((mean - fitted) ** 2).sum()) / total if total > 0 else 0.0
