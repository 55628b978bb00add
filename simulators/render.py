"""Light onto the sensor: expected electrons of stars and surfaces, in bands of rows, on all processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.flat import FlatField
from simulators.psf import BLUR_STEP_PX, stamps

Floats = NDArray[np.float64]
Light = NDArray[np.float32]
Surface = Callable[[slice], Light]
"""Adds to the picture: electrons per pixel, ``(rows, width)``, of the rows asked for."""

BAND_ROWS = 256

_STAMP_RADII_FWHM = (2.5, 4.0, 7.5, 15.0, 30.0)
_FLUX_LIMITS_E = (4e3, 4e4, 4e5, 4e6)
_BATCH_PIXELS = 1 << 16
"""What fits a processor's cache with its temporaries."""


@dataclass(frozen=True, slots=True)
class PointSources:
    """Stars on the sensor: places, electrons, and the radius of the pupil's image, ``(n,)`` each.

    ``flux_e`` may be ``(n, 2, 2)`` for a mosaic of colours: what the star would give in the light of each of
    its four pixels.
    """

    x: Floats
    y: Floats
    flux_e: Floats
    blur_px: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class StarShape:
    """What all stars of a frame share."""

    fwhm_px: float
    obstruction: float = 0.0


def in_bands(height: int, work: Callable[[slice], None]) -> None:
    """Call ``work(rows)`` for each band of a frame, on all processors at once; errors come out here."""
    bands = [slice(top, min(top + BAND_ROWS, height)) for top in range(0, height, BAND_ROWS)]
    if len(bands) == 1:
        work(bands[0])
        return
    with ThreadPoolExecutor(os.cpu_count(), "render") as pool:
        list(pool.map(work, bands))


def render(
    width: int,
    height: int,
    stars: PointSources,
    shape: StarShape,
    surfaces: Sequence[Surface] = (),
    flat: FlatField | None = None,
) -> Light:
    """Expected electrons, ``(height, width)`` float32: the sky's light behind the telescope."""
    image = np.zeros((height, width), np.float32)
    reach = stamp_radii(stars, shape)

    def band(rows: slice) -> None:
        light = image[rows]
        for surface in surfaces:
            light += surface(rows)
        add_stars(light, rows.start, stars, reach, shape)
        if flat is not None:
            light *= flat.rows(rows)

    in_bands(height, band)
    return image


def stamp_radii(stars: PointSources, shape: StarShape) -> NDArray[np.int64]:
    """How far each star is drawn, pixels: so wide that the cut of the wings stays below the sky's noise."""
    flux = stars.flux_e.max(axis=(1, 2)) if stars.flux_e.ndim == 3 else stars.flux_e
    seeing = np.ceil(np.array(_STAMP_RADII_FWHM) * shape.fwhm_px)[np.searchsorted(_FLUX_LIMITS_E, flux)]
    # In eighths of the radius, so that few sizes occur.
    blur = stars.blur_px
    step = 2.0 ** np.floor(np.log2(np.maximum(blur, 8.0)) - 3.0)
    return np.asarray(seeing + np.ceil(blur / step) * step * (blur >= BLUR_STEP_PX / 2), dtype=np.int64)


def add_stars(
    light: Light, top: int, stars: PointSources, reach: NDArray[np.int64], shape: StarShape
) -> None:
    """Add to the rows from ``top`` on what falls on them; what falls off the sensor is lost.

    Each star's stamp sums to its flux.
    """
    height, width = light.shape
    seen = (stars.x > -reach - 0.5) & (stars.x < width + reach - 0.5)
    seen &= (stars.y > top - reach - 0.5) & (stars.y < top + height + reach - 0.5)
    blur = np.rint(stars.blur_px / BLUR_STEP_PX).astype(np.int64)
    found = np.flatnonzero(seen)
    kinds, kind_of = np.unique(np.stack([reach[found], blur[found]]), axis=1, return_inverse=True)
    for index, (radius, blur_steps) in enumerate(kinds.T.tolist()):
        which = found[kind_of.ravel() == index]
        batch = max(_BATCH_PIXELS // (2 * radius + 1) ** 2, 1)
        for begin in range(0, len(which), batch):
            part = which[begin : begin + batch]
            col, row = np.rint(stars.x[part]).astype(np.int64), np.rint(stars.y[part]).astype(np.int64)
            images = stamps(
                stars.x[part] - col,
                stars.y[part] - row,
                radius,
                shape.fwhm_px,
                blur_steps * BLUR_STEP_PX,
                shape.obstruction,
            )
            _scale(images, stars.flux_e[part].astype(np.float32), row - radius, col - radius)
            _place(light, images, (row - radius - top).tolist(), (col - radius).tolist())


def _scale(images: Light, flux_e: Light, top: NDArray[np.int64], left: NDArray[np.int64]) -> None:
    """Give every stamp its star's electrons; on a mosaic each pixel those of its colour."""
    if flux_e.ndim == 1:
        images *= flux_e[:, None, None]
        return
    star = np.arange(len(flux_e))
    for dy in (0, 1):
        for dx in (0, 1):
            of_pixel = flux_e[star, (top + dy) % 2, (left + dx) % 2]
            images[:, dy::2, dx::2] *= of_pixel[:, None, None]


def _place(light: Light, images: Light, tops: list[int], lefts: list[int]) -> None:
    height, width = light.shape
    size = images.shape[1]
    for image, top, left in zip(images, tops, lefts, strict=True):
        y0, y1, x0, x1 = max(top, 0), min(top + size, height), max(left, 0), min(left + size, width)
        if y0 < y1 and x0 < x1:
            light[y0:y1, x0:x1] += image[y0 - top : y1 - top, x0 - left : x1 - left]
