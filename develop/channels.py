"""Figures of one channel out of samples of it: sky, noise, how bright its nebula and its stars are.

Whole lines are sampled, a few hundred thousand pixels in all; an image is never copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from measure.noise import background_noise

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]
_T = TypeVar("_T", bound=np.generic)

_SAMPLES = 500_000
_APART_PX = 8
"""More than a star is wide, less than a nebula."""

_WINDOW_SIGMA, _ROUNDS = 1.5, 20
_LEVEL_PERCENTILE = 99.0
_FAINTEST_SIGMA = 1.0
_STAR_SIGMA = 20.0
_MIN_STAR_PIXELS = 30
_BLOCK_PX, _BLOCKS = 16, 20_000
_DARKEST = 0.02
"""The share of a picture that is taken for sky where nebula fills the rest."""
_LEAST_DROP = 0.15


@dataclass(frozen=True, slots=True)
class Figures:
    """In the channel's unit: ``level`` is how far the bright parts of a nebula stand above ``sky``."""

    sky: float
    noise: float
    level: float


def measure(plane: Plane, seen: Mask) -> Figures:
    """Sky, noise and nebula of an (H, W) channel where it was seen.

    Sky is where values are densest, sought from the lower quartile upwards: it stays sky when nebula fills
    half of the picture. Stars are kept out of the level by the median of three pixels of a line, 8 px apart.
    A channel without nebula has its noise for level.
    """
    lines, valid = lines_of(plane), lines_of(seen)
    near = slice(_APART_PX, -_APART_PX)
    both = valid[:, : -2 * _APART_PX] & valid[:, near] & valid[:, 2 * _APART_PX :]
    taps = [lines[:, : -2 * _APART_PX][both], lines[:, near][both], lines[:, 2 * _APART_PX :][both]]
    values = lines[valid]
    noise = background_noise(plane, seen)
    if not (noise > 0 and len(taps[0])):
        noise = float(values.std()) or 1.0
    sky = _densest(values, float(np.percentile(values, 25)), _WINDOW_SIGMA * noise)
    smooth = np.median(taps, axis=0)
    level = float(np.percentile(smooth, _LEVEL_PERCENTILE)) - sky if len(smooth) else 0.0
    return Figures(sky, noise, max(level, _FAINTEST_SIGMA * noise))


def with_common_sky(planes: Mapping[str, Plane], seen: Mask) -> dict[str, Figures]:
    """Figures of aligned channels, with the sky of all at the same places where nebula fills the picture.

    Where the densest values of one channel are nebula, the darkest places of all together are clearly darker
    than these; they are sky in every channel then. A gradient of the sky is no such drop.
    """
    figures = {name: measure(plane, seen) for name, plane in planes.items()}
    blocks = _block_medians(planes, seen)
    if not len(next(iter(blocks.values()))):
        return figures
    total = np.sum([(blocks[name] - each.sky) / each.noise for name, each in figures.items()], axis=0)
    dark = total <= np.quantile(total, _DARKEST)
    skies = {name: float(np.median(each[dark])) for name, each in blocks.items()}

    def dropped(name: str) -> bool:
        own = figures[name]
        drop = own.sky - skies[name]
        return drop > max(own.noise, _LEAST_DROP * (own.level + drop))

    if not any(map(dropped, figures)):
        return figures
    levels = {name: each.level + each.sky - skies[name] for name, each in figures.items()}
    return {
        name: replace(each, sky=skies[name], level=max(levels[name], _FAINTEST_SIGMA * each.noise))
        for name, each in figures.items()
    }


def _block_medians(planes: Mapping[str, Plane], seen: Mask) -> dict[str, NDArray[np.float32]]:
    """Of the same blocks of each channel, those that are seen wholly."""
    rows, columns = (side // _BLOCK_PX for side in seen.shape)
    every = max(1, round((rows * columns / _BLOCKS) ** 0.5))

    def blocks(image: NDArray[_T]) -> NDArray[_T]:
        cut = image[: rows * _BLOCK_PX, : columns * _BLOCK_PX].reshape(rows, _BLOCK_PX, columns, _BLOCK_PX)
        return cut[::every, :, ::every].swapaxes(1, 2).reshape(-1, _BLOCK_PX**2)

    whole = blocks(seen).all(axis=1)
    return {name: np.median(blocks(plane)[whole], axis=1) for name, plane in planes.items()}


def star_ratio(a: Plane, b: Plane, seen: Mask) -> float | None:
    """How bright stars are in ``a`` by what they are in ``b``, or None if there are too few.

    By how far a pixel stands above those 8 px to both sides, which nebula does not.
    """
    valid = lines_of(seen)
    near = slice(_APART_PX, -_APART_PX)
    both = valid[:, : -2 * _APART_PX] & valid[:, near] & valid[:, 2 * _APART_PX :]

    def contrast(plane: Plane) -> NDArray[np.float32]:
        lines = lines_of(plane)
        around = lines[:, : -2 * _APART_PX][both] + lines[:, 2 * _APART_PX :][both]
        return lines[:, near][both] - np.float32(0.5) * around

    high_a, high_b = contrast(a), contrast(b)
    if not len(high_a):
        return None
    star = np.ones(len(high_a), dtype=np.bool_)
    for high in (high_a, high_b):
        noise = 1.4826 * float(np.median(np.abs(high)))
        star &= (high > _STAR_SIGMA * noise) & (high < 0.8 * high.max())
    return float(np.median(high_a[star] / high_b[star])) if star.sum() >= _MIN_STAR_PIXELS else None


def _densest(values: Plane, at: float, reach: float) -> float:
    """Mean shift: the mean of what lies within reach, again and again."""
    for _ in range(_ROUNDS):
        near = values[np.abs(values - at) <= reach]
        if not len(near):
            break
        before, at = at, float(near.mean(dtype=np.float64))
        if abs(at - before) < 1e-3 * reach:
            break
    return at


def lines_of(image: NDArray[_T]) -> NDArray[_T]:
    """Every so-manieth line of (H, W) or (H, W, 3): a view of about half a million values a channel."""
    return image[:: max(1, image.shape[0] * image.shape[1] // _SAMPLES)]
