"""Stacking subs again that are on disk: by an exact method, or into live planes; block by block of tiles.

Registered subs are kept of one block alone, so that the memory is bounded however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from library.kernels.network import sorting_network
from library.methods import Method, Rule
from livestack.kernels.combining import combine_tiles, gather
from livestack.kernels.registering import Course
from livestack.kernels.tiles import TILE_COLUMNS, TILE_ROWS
from livestack.placing import course
from livestack.planes import Planes
from livestack.restack_sources import Source, SourceError, StoredSub, light_for, window_for
from livestack.stack import StackImage, stack_image
from livestack.survey import framed
from measure.noise import background_noise
from numerics.threads import in_parallel

__all__ = ["MEMORY_BYTES", "Restacked", "Source", "SourceError", "StoredSub", "exact", "refill"]

MEMORY_BYTES = 400_000_000
"""What registered subs may take; the picture and the masters come on top."""

_BLOCK_TILE_ROWS = 4
"""Larger blocks make nothing faster, and progress coarser."""
_SAMPLED_TILES = 12
_MOST_READ = 4
"""A turned sub is read in pieces, lest a long row of tiles takes this many times the pixels that it needs."""
_SIGNAL_SCATTER = 0.15
"""Stars change with the seeing from sub to sub by about so much of what they have above the sky."""
_REFILLS = 8

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Restacked:
    """``pixels`` (H, W[, 3]), 0 where ``coverage`` (H, W), the subs that have seen a pixel, is 0.

    ``rejected_low`` and ``rejected_high`` are shares of all values, ``noises_adu`` (N, channels) those of the
    registered subs at the stack's scale.
    """

    pixels: Plane
    coverage: NDArray[np.uint16]
    rejected_low: float
    rejected_high: float
    noises_adu: NDArray[np.float64]

    def image(self, name: str | None, exposures_s: Sequence[float | None]) -> StackImage:
        """With its figures, as a live stack's snapshot has them."""
        return stack_image(
            name,
            self.pixels,
            self.coverage,
            exposures_s=exposures_s,
            noises_adu=self.noises_adu.mean(axis=1).tolist(),
            rejected_fraction=self.rejected_low + self.rejected_high,
        )


def exact(
    sources: Sequence[Source],
    shape: tuple[int, int],
    channels: int,
    zero_adu: ArrayLike,
    method: Method,
    *,
    memory_bytes: int = MEMORY_BYTES,
    progress: Callable[[float], None] = lambda _share: None,
) -> Restacked:
    """Combine all values of each pixel of a picture of ``shape`` (height, width) by ``method``.

    ``zero_adu`` (channels) is about the sky's level, as the live stack's coding has it. What the method keeps
    is averaged by the subs' weights; a median is plain. ``progress`` is told the share that is done, after
    each block; what it raises ends the work. Raises :class:`SourceError` for a sub that cannot be read (any
    more), and ValueError for none at all.
    """
    if not sources:
        raise ValueError("nothing to stack: there is no sub")
    zero = np.broadcast_to(np.asarray(zero_adu, np.float32), (channels,)).copy()
    return _Exact(sources, shape, channels, zero, method).run(memory_bytes, progress)


def refill(planes: Planes, sources: Callable[[], Sequence[Source]]) -> Iterator[float]:
    """Empty live planes and fill them again with ``sources``, block by block; yields the share that is done.

    ``sources`` is asked before each block and tells all subs that shall be in. Between two steps more may be
    put in with :meth:`Planes.add`, if ``sources`` tells them from then on. Whoever takes one out begins
    again. At the end :meth:`Planes.retell` has to be told what is in. Until then, and after a
    :class:`SourceError`, the planes hold no picture.
    """
    across = -(-planes.shape[1] // TILE_COLUMNS)
    rows = len(planes.tiles) // across
    deep = -(-rows // _REFILLS) * across
    blocks = [planes.tiles[first : first + deep] for first in range(0, len(planes.tiles), deep)]
    for done, tiles in enumerate(blocks):
        subs = list(sources())
        planes.clear(tiles)
        for count, source in enumerate(subs, 1):
            way = course(source.placed, planes.shape, planes.coding.zero_adu, slice(tiles.start, tiles.stop))
            window = window_for(source, way, tiles.start, planes.shape)
            if window is not None:
                planes.put(light_for(source, window), tiles)
            yield (done + count / len(subs)) / len(blocks)


class _Exact:
    """One picture being made."""

    def __init__(
        self, sources: Sequence[Source], shape: tuple[int, int], channels: int, zero: Plane, method: Method
    ) -> None:
        self._sources, self._shape, self._zero, self._method = sources, shape, zero, method
        self._across = -(-shape[1] // TILE_COLUMNS)
        self._tiles = -(-shape[0] // TILE_ROWS) * self._across
        self._pixels = np.zeros((*shape, channels), np.float32)
        self._coverage = np.zeros(shape, np.uint16)

    def run(self, memory_bytes: int, progress: Callable[[float], None]) -> Restacked:
        noises = self._noises()
        noise = np.sqrt(np.mean(noises**2, axis=0)) if self._method.floor else np.zeros(len(self._zero))
        judging = (
            np.array([source.placed.weight for source in self._sources]),
            sorting_network(0 if self._method.rule is Rule.AVERAGE else len(self._sources)),
            self._method.number,
            np.array(self._method.limits, np.float64),
            noise,
            _SIGNAL_SCATTER if self._method.floor else 0.0,
            self._zero,
        )
        cut = np.zeros(2)
        per_block, rows = self._block(memory_bytes)
        room = np.empty((per_block, len(self._zero), len(self._sources), rows, TILE_COLUMNS), np.float32)
        starts = range(0, self._tiles, per_block)
        for start in starts:
            cube = room[: min(per_block, self._tiles - start)]
            for skip in range(0, TILE_ROWS, rows):
                self._gather(cube, start, skip)
                told = in_parallel(
                    combine_tiles, len(cube), cube, start, skip, *judging, self._pixels, self._coverage
                )
                cut += np.sum(told, axis=0)
                progress((start + len(cube) * min((skip + rows) / TILE_ROWS, 1.0)) / self._tiles)
        values = max(int(self._coverage.sum(dtype=np.int64)) * len(self._zero), 1)
        return Restacked(
            pixels=self._pixels[..., 0] if len(self._zero) == 1 else self._pixels,
            coverage=self._coverage,
            rejected_low=float(cut[0]) / values,
            rejected_high=float(cut[1]) / values,
            noises_adu=noises,
        )

    def _block(self, memory_bytes: int) -> tuple[int, int]:
        """How many tiles go into a block, and how many rows of each: less than all if one does not fit."""
        row = len(self._sources) * len(self._zero) * TILE_COLUMNS * 4
        fitting = min(memory_bytes // (row * TILE_ROWS), _BLOCK_TILE_ROWS * self._across, self._tiles)
        if fitting:
            return -(-self._tiles // -(-self._tiles // fitting)), TILE_ROWS
        return 1, max(memory_bytes // row, 1)

    def _gather(self, cube: Plane, start: int, skip: int) -> None:
        """Register all subs into the block that begins with tile ``start``."""
        stop = start + len(cube)
        edges = [start, *range((start // self._across + 1) * self._across, stop, self._across), stop]
        runs = [range(*pair) for pair in pairwise(edges)]
        jobs = [(sub, run) for run in runs for sub in range(len(self._sources))]

        def work(first: int, last: int) -> None:
            for sub, run in jobs[first:last]:
                layer = cube[run.start - start : run.stop - start, :, sub]
                self._register(self._sources[sub], run, skip, layer)

        in_parallel(work, len(jobs))

    def _register(self, source: Source, tiles: range, skip: int, layer: Plane) -> None:
        """Register a sub into some tiles of one row: (tiles, channels, rows, columns)."""
        way = self._way(source, tiles)
        window = window_for(source, way, tiles.start, self._shape)
        if window is None:
            layer[:] = np.nan
            return
        read = (window[0].stop - window[0].start) * (window[1].stop - window[1].start)
        if len(tiles) > 1 and read > _MOST_READ * len(tiles) * TILE_ROWS * TILE_COLUMNS:
            half = len(tiles) // 2
            self._register(source, tiles[:half], skip, layer[:half])
            self._register(source, tiles[half:], skip, layer[half:])
            return
        light = light_for(source, window)
        frame = framed(light.raw, light.masters, source.placed.patches)
        gather(frame, way, tiles.start, self._shape, skip, layer)

    def _way(self, source: Source, tiles: range) -> Course:
        """A sub's course into some tiles of one row.

        Found for the whole row: how products of matrices are rounded depends on their size, and the picture
        shall not depend on the blocks'.
        """
        first = tiles.start // self._across * self._across
        row = course(source.placed, self._shape, self._zero, slice(first, first + self._across))
        here = slice(tiles.start - first, tiles.stop - first)
        return row._replace(maps=row.maps[here], levels=row.levels[here])

    def _noises(self) -> NDArray[np.float64]:
        """Noise (N, channels) of each registered sub, on some tiles all over the picture."""
        chosen = np.unique(np.linspace(0, self._tiles - 1, min(self._tiles, _SAMPLED_TILES)).astype(int))
        channels = len(self._zero)
        noises = np.empty((len(self._sources), channels))

        def work(first: int, last: int) -> None:
            for sub in range(first, last):
                source = self._sources[sub]
                seen = np.full((len(chosen), channels, TILE_ROWS, TILE_COLUMNS), np.nan, np.float32)
                for at, tile in enumerate(chosen.tolist()):
                    self._register(source, range(tile, tile + 1), 0, seen[at : at + 1])
                tall = seen.swapaxes(0, 1).reshape(channels, -1, TILE_COLUMNS)
                own = source.placed.scale * source.placed.noise_adu
                noises[sub] = np.nan_to_num([background_noise(layer) for layer in tall], nan=own)

        in_parallel(work, len(noises))
        return noises
