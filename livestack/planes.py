"""The stack itself: a weighted mean that grows, and can tell at any time which values don't belong to it.

Each pixel keeps how many values it has, their weights' sum, their mean, their summed squared deviations
(West 1979), and in 16 bits each the two largest and the smallest with their weights. That is enough to test
these three against all the others when a picture is wanted, however many subs there are and in whatever order
they came. Two on the bright side, because satellites, aircraft and cosmic rays are bright; one on the dark
side for dead columns and over-corrected pixels. 14 bytes a pixel in all.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from livestack.kernels.judging import BAND_ROWS, judged_mean
from livestack.kernels.keys import (
    CLASSES,
    NO_LARGEST,
    NO_SMALLEST,
    Coding,
    class_weight,
    weight_class,
)
from livestack.kernels.stacking import Stack, Weight, spread, stack_tiles
from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS
from livestack.masters import Masters
from livestack.placing import Placed, course
from livestack.survey import Raw, framed
from measure.noise import background_noise
from numerics.threads import in_parallel

_SAMPLED_TILES = 32
_SKY_SAMPLES = 256
_ALIKE, _UNLIKE = 1.5, 2.5
"""Peaks go with FWHM to minus 2. Beyond that ratio of peaks each 1 more lets values on stars and beside them
be off by so many slopes more: a sharp sub's stars are no outliers among much wider ones.
"""

_NO_CLASS = np.iinfo(np.int64).min
_SPARSE = ("seen", "weights")
_DEEP = ("mean", "m2", "largest", "second", "smallest")
_EMPTY = {"largest": NO_LARGEST, "second": NO_LARGEST, "smallest": NO_SMALLEST}

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Integrated:
    """``pixels`` (H, W[, 3]): the mean less outliers, 0 where unseen; ``coverage`` (H, W): subs seen."""

    pixels: Plane
    coverage: NDArray[np.uint16]
    rejected_fraction: float


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """A raw frame and all that is done to it on its way into the stack."""

    raw: Raw
    masters: Masters
    placed: Placed


class Planes:
    """One filter's planes. Not for several threads at once; inside, all processors work on one sub."""

    def __init__(self, shape: tuple[int, int], channels: int, coding: Coding) -> None:
        self.shape, self.channels, self.coding = shape, channels, coding
        self.subs = 0
        self._across = -(-shape[1] // TILE_COLUMNS)
        tiles = -(-shape[0] // TILE_ROWS) * self._across
        flat, deep = (tiles, TILE_ROWS, TILE_COLUMNS), (tiles, channels, TILE_ROWS, TILE_COLUMNS)
        self._stack = Stack(
            seen=_untouched(flat, np.uint16),
            weights=_untouched(flat, np.float32),
            mean=np.zeros(deep, np.float32),
            m2=np.zeros(deep, np.float32),
            largest=np.full(deep, NO_LARGEST),
            second=np.full(deep, NO_LARGEST),
            smallest=np.full(deep, NO_SMALLEST),
            whole_seen=np.zeros(tiles, np.uint16),
            whole_weights=np.zeros(tiles, np.float32),
            torn=np.zeros(tiles, np.bool_),
        )
        self._noise2 = np.zeros(channels)
        self._classes = np.full(CLASSES, _NO_CLASS)
        self._sampled = np.full(tiles, -1, np.int64)
        chosen = np.unique(np.linspace(0, tiles - 1, min(tiles, _SAMPLED_TILES)).astype(np.int64))
        self._sampled[chosen] = np.arange(len(chosen))
        self._samples = np.empty((len(chosen), channels, TILE_ROWS, TILE_COLUMNS), np.float32)

    def add(self, light: Light) -> NDArray[np.float64]:
        """Take in a frame, and return the noise of each channel at the stack's scale."""
        self._samples.fill(np.nan)
        self.put(light, self.tiles)
        tall = self._samples.shape[0] * TILE_ROWS
        noise = np.array(
            [background_noise(self._samples[:, c].reshape(tall, TILE_COLUMNS)) for c in range(self.channels)]
        )
        own = light.placed.scale * light.placed.noise_adu
        self._noise2 += light.placed.class_weight * np.nan_to_num(noise, nan=own) ** 2
        self.subs += 1
        return noise

    def takes(self, number: int) -> bool:
        """Whether subs of that weight's class can be put to those that are in: all are of one window.

        A window is :data:`CLASSES` classes wide, and keys hold a class's place in it alone.
        """
        known = self._classes[self._classes != _NO_CLASS]
        return not len(known) or bool(max(known.max(), number) - min(known.min(), number) < CLASSES)

    @property
    def tiles(self) -> range:
        """The numbers of all tiles, row by row."""
        return range(len(self._sampled))

    def clear(self, tiles: range) -> None:
        """Empty some tiles, to be filled again; :meth:`retell` says with what."""
        some = slice(tiles.start, tiles.stop)
        for name in _DEEP:
            getattr(self._stack, name)[some] = _EMPTY.get(name, 0)
        for plane in (self._stack.whole_seen, self._stack.whole_weights, self._stack.torn):
            plane[some] = 0

    def put(self, light: Light, tiles: range) -> None:
        """Take a frame into some tiles alone, without counting or measuring it."""
        placed, coding = light.placed, self.coding
        way = course(placed, self.shape, coding.zero_adu)
        number = placed.weight_class
        self._classes[number % CLASSES] = number
        weight = Weight(
            np.float32(class_weight(number)), np.int32(number % CLASSES), coding.zero_adu, coding.codes
        )
        in_parallel(
            *(stack_tiles, len(tiles), tiles.start, self.shape),
            *(framed(light.raw, light.masters, placed.patches), way),
            *(weight, self._stack, self._sampled, self._samples),
        )

    def retell(self, weights: ArrayLike, noises: ArrayLike) -> None:
        """Say what all tiles now hold: the weights (N) of the frames and their noises (N, channels)."""
        numbers = [weight_class(weight) for weight in np.asarray(weights, np.float64).tolist()]
        counted = [class_weight(number) for number in numbers]
        self._noise2[:] = 0
        for weight, noise in zip(counted, np.asarray(noises).reshape(-1, self.channels), strict=True):
            self._noise2 += weight * noise**2
        self._classes[:] = _NO_CLASS
        for number in numbers:
            self._classes[number % CLASSES] = number
        self.subs = len(numbers)

    def picture(self, widths: float = 1.0) -> Integrated:
        """Return the mean without the values that don't belong; the planes go on unchanged.

        The second largest is tested first, against the rest without both, so that two hits cannot hide each
        other; for that at least four values are needed, and three for the smallest. Of two values that
        disagree the darker is believed. ``widths`` is the FWHM of the widest stars over that of the sharpest.
        """
        coverage = np.empty(self.shape, np.uint16)
        in_parallel(spread, self.shape[0], self._stack, coverage)
        sky, noise2 = self._sky(coverage)
        pixels = np.empty((*self.shape, self.channels), np.float32)
        gone = in_parallel(
            *(judged_mean, -(-self.shape[0] // BAND_ROWS), self._stack, coverage),
            *(self._class_weights(), self.coding.decoded, sky, noise2, self.coding.zero_adu),
            *(np.float32(_UNLIKE * max(widths**2 - _ALIKE, 0.0)), pixels),
        )
        values = float(coverage.sum(dtype=np.int64)) * self.channels
        pixels = pixels.reshape(self.shape) if self.channels == 1 else pixels
        return Integrated(pixels, coverage, sum(gone) / max(values, 1.0))

    def state(self) -> dict[str, Any]:
        """All that a later :meth:`restore` needs, arrays by name; not copied where they are large."""
        planes = self._stack._asdict()
        return {
            **planes,
            **{name: planes[name][self._stack.torn].ravel() for name in _SPARSE},
            "noise2": self._noise2,
            "classes": self._classes,
            "subs": self.subs,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` told."""
        for name, plane in self._stack._asdict().items():
            if name not in _SPARSE:
                plane[...] = state[name]
        for name in _SPARSE:
            plane = getattr(self._stack, name)
            plane[self._stack.torn] = state[name].reshape(-1, *plane.shape[1:])
        self._noise2[...] = state["noise2"]
        self._classes[...] = state["classes"]
        self.subs = int(state["subs"])

    def _class_weights(self) -> Plane:
        """What the classes weigh, by their places in a key; 0 where no sub has one."""
        return np.array(
            [0 if n == _NO_CLASS else class_weight(n) for n in self._classes.tolist()], np.float32
        )

    def _sky(self, coverage: NDArray[np.uint16]) -> tuple[Plane, Plane]:
        """Level of the background relative to the coding's zero, and the variance of a value of weight one.

        The variance is the larger of the mean of the subs' own and the typical one from sub to sub, which
        also knows what a mosaic's interpolation does.
        """
        y, x = np.ix_(*(np.arange(0, n, max(1, n // _SKY_SAMPLES)) for n in self.shape))
        count = coverage[y, x]
        most = int(count.max())
        seen = count == most
        y, x = (each[seen] for each in np.broadcast_arrays(y, x))
        where = (
            y // TILE_ROWS * self._across + x // TILE_COLUMNS,
            slice(None),
            y % TILE_ROWS,
            x % TILE_COLUMNS,
        )
        sky = np.median(self._stack.mean[where], axis=0)
        variance = self._noise2 / max(self.subs, 1)
        if most > 1:
            freedom = most - 1
            typical = np.median(self._stack.m2[where], axis=0) / freedom
            # The median of χ²/ν, by Wilson and Hilferty.
            variance = np.maximum(variance, typical / (1 - 2 / (9 * freedom)) ** 3)
        return sky.astype(np.float32), variance.astype(np.float32)


def _untouched(shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Zeros that take memory only where they are written to, in the smallest pages there are."""
    memory = mmap.mmap(-1, math.prod(shape) * np.dtype(dtype).itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, dtype).reshape(shape)
