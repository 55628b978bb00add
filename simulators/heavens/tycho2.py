"""Tycho-2 to about magnitude 12, where Debian's ``astrometry-data-tycho2-07`` is installed.

That solver index holds its stars as a k-d tree of unit vectors, with their V_T magnitudes beside it; a cone
is found by walking down the tree on the memory-mapped file. Format: astrometry.net's
``libkd/kdtree_fits_io.c``; one FITS binary table an array, named by its only column.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

INDEX_FOLDER = Path("/usr/share/astrometry")
_BLOCK = 2880


class _Tree(NamedTuple):
    low: Floats
    scale: float
    """Tree units per unit of length."""

    split: NDArray[np.uint32]
    last_of_leaf: NDArray[np.uint32]
    places: NDArray[np.uint32]
    vt_mag: NDArray[np.float32]


def index_file(folder: Path = INDEX_FOLDER) -> Path | None:
    """The index in this machine's byte order, if it is installed."""
    return next(iter(sorted(folder.glob(f"index-tycho2-07*{sys.byteorder}endian.fits"))), None)


def tycho2_in_cone(
    path: Path, ra_deg: float, dec_deg: float, radius_deg: float
) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """(number in the file, right ascension, declination, V_T) of a cone's stars; ICRS degrees at J2000."""
    tree = _open(path)
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    axis = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    chord = 2.0 * np.sin(np.radians(min(radius_deg, 180.0)) / 2.0)
    low, high = ((axis + side * chord - tree.low) * tree.scale for side in (-1.0, 1.0))
    numbers = _stars_of(_leaves(tree.split, low, high), tree.last_of_leaf)
    vectors = tree.places[numbers] / tree.scale + tree.low
    inside = ((vectors - axis) ** 2).sum(axis=1) <= chord**2
    numbers, (x, y, z) = numbers[inside], vectors[inside].T
    return (
        numbers,
        np.degrees(np.arctan2(y, x)) % 360.0,
        np.degrees(np.arctan2(z, np.hypot(x, y))),
        tree.vt_mag[numbers].astype(np.float64),
    )


def _leaves(split: NDArray[np.uint32], low: Floats, high: Floats) -> NDArray[np.int64]:
    """Leaves of the complete binary tree that a box can touch, in order; a level at a time.

    A split packs its axis into the two low bits, its place (the lowest of the right child) into the others.
    """
    nodes = np.zeros(1, dtype=np.int64)
    while nodes.size and nodes[0] < len(split):
        packed = split[nodes]
        axis, place = packed & 3, (packed & ~np.uint32(3)).astype(np.float64)
        # The low bits were cut off, so the true place lies within four units of the packed one.
        left, right = low[axis] <= place + 4, high[axis] >= place - 4
        nodes = np.sort(np.concatenate([2 * nodes[left] + 1, 2 * nodes[right] + 2]))
    return nodes - len(split)


def _stars_of(leaves: NDArray[np.int64], last_of_leaf: NDArray[np.uint32]) -> NDArray[np.int64]:
    last = last_of_leaf[leaves].astype(np.int64)
    first = np.where(leaves > 0, last_of_leaf[leaves - 1].astype(np.int64) + 1, 0)
    counts = last - first + 1
    starts = np.cumsum(counts) - counts
    return np.asarray(np.arange(counts.sum()) + np.repeat(first - starts, counts))


@lru_cache(maxsize=2)
def _open(path: Path) -> _Tree:
    tables = _tables(path)

    def array(name: str, dtype: str) -> NDArray[np.generic]:
        offset, n_bytes = tables[name]
        return np.memmap(path, dtype, "r", offset, (n_bytes // np.dtype(dtype).itemsize,))

    try:
        bounds = np.array(array("kdtree_range_stars", "=f8"), dtype=np.float64)
        return _Tree(
            low=bounds[:3],
            scale=float(bounds[6]),
            split=array("kdtree_split_stars", "=u4").astype(np.uint32),
            last_of_leaf=array("kdtree_lr_stars", "=u4").astype(np.uint32),
            places=array("kdtree_data_stars", "=u4").view(np.uint32).reshape(-1, 3),
            vt_mag=array("MAG_VT", ">f4").view(">f4"),
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a Tycho-2 index that this program can read: {error}") from error


def _tables(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and bytes of each table, by its first column's name. (astropy would take 0.3 s to import.)"""
    found = {}
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            cards: dict[str, str] = {}
            while "END" not in cards:
                block = file.read(_BLOCK).decode("ascii", "replace")
                if len(block) < _BLOCK:
                    raise ValueError(f"{path} is cut short: it ends within a FITS header")
                lines = (block[i : i + 80] for i in range(0, _BLOCK, 80))
                cards |= {line[:8].strip(): line[10:].split("/")[0].strip() for line in lines}
            n_bytes = int(cards.get("NAXIS1", 0)) * int(cards.get("NAXIS2", 0))
            if "TTYPE1" in cards:
                found[cards["TTYPE1"].strip("' ")] = (file.tell(), n_bytes)
            file.seek(-(-n_bytes // _BLOCK) * _BLOCK, 1)
    return found
