"""Drizzle: dithered subs on a grid finer than their own pixels, without interpolation.

The method of Fruchter & Hook 2002 (PASP 114, 144) with square or point kernel. What it gives:

- *Grid*: pixel (U, V) of the output has its middle at ((U + ½) / scale − ½, …) of the reference, so that
  both cover the same sky edge to edge.
- *Level*: surface brightness is kept. A value is in ADU per pixel of the **reference**; the background is
  that of the reference at any scale, and a star's flux is its sum over the output divided by scale².
- *Weight*: a sub of weight w gives each pixel of the output w on the average, at any scale and pixfrac (of a
  Bayer mosaic w/4 to red and blue, w/2 to green). Where the weight is 0 there is no datum: the value is NaN.

A Bayer mosaic's pixels go into the channel that they have seen: nothing is demosaiced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from livestack.drizzled import Drizzled, footprint
from livestack.kernels.drizzling import MARGIN, Blot, Fall, Sums, drizzle_tiles
from livestack.kernels.lattices import STEP
from livestack.placing import Placed
from livestack.stack import StackImage
from livestack.survey import colours
from livestack.warp import Warp
from measure.kernels.frames import Frame
from numerics.threads import in_parallel

Plane = NDArray[np.float32]
DropShape = Literal["square", "point"]

LARGEST_SCALE = 3.0
DEFAULT_PIXFRAC = 0.7

_SIDE = 192
_POINT = 1e-6
_SIGMAS = 3.5, 3.0  # alone, and beside one that is out: DrizzlePac's driz_cr_snr
_SLOPES = 1.5, 0.7  # its driz_cr_scale, but for the first: 1.2 would take the peaks of stars of 1.2 px FWHM
_MOSAIC_SLOPES = 3.0, 1.5  # demosaicing has broadened stars in the reference
_SIGNAL_SCATTER = 0.05
_SAMPLES = 500
_NONE = np.empty((0, 0, 0), np.float32)


class Source(Protocol):
    """A sub that has its place in a stack, and can be opened."""

    @property
    def placed(self) -> Placed:
        """Its place, scale, level and weight."""

    def frame(self) -> Frame:
        """Open it."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A clean picture of the same subs (H, W[, 3]) on the reference's pixels, NaN where it knows nothing.

    ``scatter`` of the same shape is that of one sub's values around it; without it, the subs' own noise
    and 5 % of the signal stand for it.
    """

    pixels: Plane
    scatter: Plane | None = None

    @classmethod
    def of(cls, image: StackImage) -> Reference:
        """A stack's picture: a live one's snapshot, or an exact restack."""
        pixels = image.pixels.copy()
        pixels[image.coverage == 0] = np.nan
        return cls(pixels)


def drizzle(
    sources: Iterable[Source],
    shape: tuple[int, int],
    *,
    scale: float = 2.0,
    pixfrac: float = DEFAULT_PIXFRAC,
    kernel: DropShape = "square",
    reference: Reference | None = None,
) -> Drizzled:
    """Drizzle ``sources`` onto a grid ``scale`` (1 to 3) times finer than the reference's (height, width).

    ``pixfrac`` (0 to 1) is the side of a drop in the sub's own pixels; ``kernel="point"`` makes it a point.
    With a ``reference``, values that do not fit it are left out: |value − reference| > 1.5 · slope + 3.5 · σ,
    or 0.7 · slope + 3 · σ beside such a one; twice the slopes for mosaics. All sources are mono, or all are
    mosaics. Raises ValueError.
    """
    if not 1 <= scale <= LARGEST_SCALE:
        raise ValueError(f"drizzle scales by 1 to {LARGEST_SCALE:g}, not by {scale:g}")
    if not 0 < pixfrac <= 1:
        raise ValueError(f"pixfrac is more than 0 and at most 1, not {pixfrac:g}")
    size = _POINT if kernel == "point" else pixfrac
    canvas: _Canvas | None = None
    for source in sources:
        placed, frame = source.placed, source.frame()
        canvas = canvas or _Canvas(placed, frame, shape, scale, size, reference)
        canvas.add(placed, frame)
    if canvas is None:
        raise ValueError("nothing to drizzle: there is no sub")
    return canvas.result(pixfrac)


class _Canvas:
    """The output as it grows."""

    def __init__(
        self,
        first: Placed,
        frame: Frame,
        shape: tuple[int, int],
        scale: float,
        pixfrac: float,
        reference: Reference | None,
    ) -> None:
        self._finer, self._pixfrac = scale, pixfrac
        self._channels = 1 if first.bayer_pattern is None else 3
        self._shape = round(shape[0] * scale), round(shape[1] * scale)
        deep = (self._channels, *self._shape)
        self._sums = Sums(np.zeros(deep, np.float32), np.zeros(deep, np.float32), np.zeros(deep, np.uint16))
        self._subs = self._kept = self._gone = 0
        self._picture = self._scatter = _NONE
        if reference is None:
            self._zero = _typical(frame) * first.scale
        else:
            self._picture = self._layers(reference.pixels, shape)
            if reference.scatter is not None:
                self._scatter = self._layers(reference.scatter, shape)
            self._zero = _median(self._picture)
            self._picture -= np.float32(self._zero)
        self._sky = np.array([_median(layer) for layer in self._picture], np.float32)

    def add(self, placed: Placed, frame: Frame) -> None:
        """Let a sub's drops fall."""
        if (placed.bayer_pattern is not None) != (self._channels == 3):
            raise ValueError("mono subs and Bayer mosaics do not go into one drizzle")
        lattice = self._lattice(placed, frame.pixels.shape)
        across, down = np.diff(lattice[..., :2], axis=1), np.diff(lattice[..., :2], axis=0)
        widest = self._pixfrac * (np.abs(across).max() + np.abs(down).max()) / STEP
        regions = self._regions(placed.warp, frame.pixels.shape)
        fall = Fall(
            lattice,
            regions,
            _SIDE,
            colours(placed.bayer_pattern),
            np.float32(placed.scale),
            np.float32(placed.weight),
            self._pixfrac,
            ceil(widest) + 4,
        )
        slopes = _SLOPES if self._channels == 1 else _MOSAIC_SLOPES
        blot = Blot(
            self._picture,
            self._scatter,
            self._finer,
            np.float32((placed.scale * placed.noise_adu) ** 2),
            np.float32(_SIGNAL_SCATTER),
            self._sky,
            *((np.float32(slope), np.float32(sigma)) for slope, sigma in zip(slopes, _SIGMAS, strict=True)),
        )
        counts = in_parallel(drizzle_tiles, len(regions), frame, fall, blot, self._sums)
        kept, gone = np.sum(counts, axis=0)
        self._kept, self._gone, self._subs = self._kept + int(kept), self._gone + int(gone), self._subs + 1

    def result(self, pixfrac: float) -> Drizzled:
        """Divide, in place: the canvas is used up."""
        values, weights, coverage = self._sums
        empty = coverage == 0
        values /= np.where(empty, np.float32(1), weights)
        values += np.float32(self._zero)
        values[empty] = np.nan
        inside = footprint(np.asarray(~empty.all(axis=0)), self._finer)
        pixels, weights, coverage = (_upright(each) for each in (values, weights, coverage))
        return Drizzled(
            pixels=pixels,
            weights=weights,
            coverage=coverage,
            scale=self._finer,
            pixfrac=pixfrac,
            subs=self._subs,
            rejected_fraction=self._gone / max(self._kept + self._gone, 1),
            holes=tuple(float((layer & inside).sum() / max(inside.sum(), 1)) for layer in empty),
        )

    def _layers(self, picture: Plane, shape: tuple[int, int]) -> Plane:
        channels = 1 if picture.ndim == 2 else picture.shape[2]
        if picture.shape[:2] != shape or channels != self._channels:
            raise ValueError(
                f"the reference picture is {picture.shape}; wanted is {shape} in {self._channels} channels"
            )
        layers = picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
        return np.array(layers, np.float32, order="C")

    def _lattice(self, placed: Placed, shape: tuple[int, int]) -> NDArray[np.float64]:
        rows, columns = (np.arange(-(-n // STEP) + 1) * STEP - 0.5 for n in shape)
        nodes = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        places = placed.warp.forwards(nodes)
        level = placed.surface.at(places) - self._zero
        lattice = np.column_stack(((places + 0.5) * self._finer - 0.5, level.T))
        return np.ascontiguousarray(lattice.reshape(len(rows), len(columns), -1))

    def _regions(self, warp: Warp, shape: tuple[int, int]) -> NDArray[np.int64]:
        """First and last column, first and last row (tiles, 4) of the pixels that may reach each tile."""
        rows, columns = (np.arange(0, n, _SIDE) for n in self._shape)
        corner = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 1, 2)
        thirds = np.stack(np.meshgrid(*(np.linspace(0, _SIDE, 4),) * 2), axis=-1).reshape(1, -1, 2)
        around = (corner + thirds) / self._finer - 0.5
        seen = warp.backwards(around.reshape(-1, 2)).reshape(around.shape)
        low = np.floor(seen.min(axis=1) - 0.5).astype(np.int64) - MARGIN
        high = np.ceil(seen.max(axis=1) + 0.5).astype(np.int64) + MARGIN
        last = np.array([shape[1] - 1, shape[0] - 1])
        low, high = np.maximum(low, 0), np.minimum(high, last)
        return np.column_stack((low[:, 0], high[:, 0], low[:, 1], high[:, 1]))


def _typical(frame: Frame) -> float:
    """About the level of a frame's sky: what is near nothing loses nothing in sums of many."""
    every = tuple(slice(None, None, max(1, n // _SAMPLES)) for n in frame.pixels.shape)
    sample = frame.pixels[every].astype(np.float32)
    if frame.pedestal.size:
        sample -= frame.pedestal[every] + frame.shift
    return float(np.nanmedian(sample))


def _median(picture: Plane) -> float:
    rows, columns = (slice(None, None, max(1, n // _SAMPLES)) for n in picture.shape[-2:])
    sample = picture[..., rows, columns]
    known = sample[np.isfinite(sample)]
    return float(np.median(known)) if len(known) else 0.0


def _upright(layers: NDArray[Any]) -> NDArray[Any]:
    """(H, W) for one channel, else (H, W, channels), without a copy."""
    return layers[0] if len(layers) == 1 else np.moveaxis(layers, 0, -1)
