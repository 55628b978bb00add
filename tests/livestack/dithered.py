"""Dithered, undersampled subs of known stars, with all that drizzle wants to know of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.optimize import curve_fit
from scipy.special import erf

from livestack.demosaics import Demosaic
from livestack.geometry import Matrix
from livestack.kernels.keys import Coding
from livestack.masters import Masters
from livestack.normalise import Surface
from livestack.placing import Placed
from livestack.planes import Light, Planes
from livestack.survey import Patches, framed
from livestack.warp import Bend, Warp
from measure.kernels.frames import Frame
from tests.livestack.sky import motion, spoil

SHAPE = (96, 128)
SKY, NOISE = 400.0, 10.0
PATTERN = "RGGB"
Pixels = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Shot:
    """A sub in memory: what drizzle takes."""

    raw: Pixels
    placed: Placed
    patches: Patches = field(default_factory=Patches)

    def frame(self) -> Frame:
        return framed(self.raw, Masters(), self.patches)


def shot(
    raw: NDArray[np.floating],
    matrix: Matrix | None = None,
    *,
    bend: Bend | None = None,
    scale: float = 1.0,
    level: Sequence[float] = (0.0,),
    weight: float = 1.0,
    bayer: str | None = None,
    noise_adu: float = NOISE,
) -> Shot:
    """A raw frame that lies on the reference by ``matrix``."""
    coefficients = np.zeros((1 if bayer is None else 3, 6))
    coefficients[:, 0] = level
    placed = Placed(
        bayer_pattern=bayer,
        warp=Warp(np.eye(3) if matrix is None else matrix, bend),
        scale=scale,
        surface=Surface(coefficients, np.zeros(2), 1.0),
        weight=weight,
        noise_adu=noise_adu,
        patches=Patches(),
    )
    return Shot(np.asarray(raw, np.float32), placed)


def dithers(
    n: int, seed: int = 0, *, rotation_deg: float = 0.0, shape: tuple[int, int] = SHAPE, reach_px: float = 4.0
) -> list[Matrix]:
    """The reference itself and ``n - 1`` others, off by up to ``reach_px`` and turned as much as told."""
    rng = np.random.default_rng(seed)
    shifts, turns = rng.uniform(-reach_px, reach_px, (n, 2)), rng.uniform(-rotation_deg, rotation_deg, n)
    return [motion(x, y, turn, shape) for (x, y), turn in zip(shifts, turns, strict=True)]


@dataclass(frozen=True, eq=False)
class Field:
    """Gaussian stars at (N, 2) places of the reference with ``fluxes`` (N, channels) in ADU."""

    positions: NDArray[np.float64]
    fluxes: NDArray[np.float64]
    fwhm_px: float = 1.2

    def seen(self, warp: Warp, shape: tuple[int, int] = SHAPE) -> NDArray[np.float64]:
        """A noiseless frame (channels, H, W) without a sky, integrated over its pixels."""
        places = warp.backwards(self.positions)
        layers = np.zeros((self.fluxes.shape[1], *shape))
        edges = [np.arange(n + 1) - 0.5 for n in shape]
        sharp = 1 / (np.sqrt(2) * self.fwhm_px / 2.3548)
        for (x, y), flux in zip(places, self.fluxes, strict=True):
            down, across = (0.5 * np.diff(erf(sharp * (e - at))) for e, at in zip(edges, (y, x), strict=True))
            layers += flux[:, None, None] * np.outer(down, across)
        return layers


def stars(n_channels: int = 1, *, flux: float = 30_000.0, fwhm_px: float = 1.2, seed: int = 3) -> Field:
    """Stars on a loose grid, well inside ``SHAPE``, at all phases of the pixel."""
    grid = np.stack(np.meshgrid(np.arange(20, 110, 20.0), np.arange(20, 80, 18.0)), -1).reshape(-1, 2)
    rng = np.random.default_rng(seed)
    return Field(
        grid + rng.uniform(-0.5, 0.5, grid.shape),
        flux * rng.uniform(0.3, 1.0, (len(grid), n_channels)),
        fwhm_px,
    )


def mosaic(layers: NDArray[np.float64], pattern: str = PATTERN) -> NDArray[np.float64]:
    """What a Bayer sensor sees of (3, H, W)."""
    raw = np.empty(layers.shape[1:])
    for place, letter in enumerate(pattern):
        cells = slice(place // 2, None, 2), slice(place % 2, None, 2)
        raw[cells] = layers["RGB".index(letter)][cells]
    return raw


def spoiled(clean: Shot, rng: np.random.Generator) -> tuple[Shot, NDArray[np.bool_]]:
    """The same with cosmic rays, perhaps with a satellite's trail, and where they are."""
    bad = clean.raw.astype(np.float64)
    spoil(bad, rng, trail=bool(rng.random() < 0.4), cosmic_rays=25)
    return replace(clean, raw=bad.astype(np.float32)), np.asarray(np.abs(bad - clean.raw) > 1)


def interpolated(shots: list[Shot], channels: int, demosaic: Demosaic = "fine") -> Pixels:
    """The live stack's picture of the same subs: Lanczos-4, or demosaiced and bicubic."""
    planes = Planes(SHAPE, channels, Coding.over((SKY,) * channels, 65_535))
    for each in shots:
        planes.add(Light(raw=each.raw, masters=Masters(), placed=replace(each.placed, demosaic=demosaic)))
    return planes.picture().pixels


def resolved(picture: Pixels, scale: float, middles: Field) -> float:
    """The share of double stars around these places that show two maxima."""
    found = []
    for cut, _ in _cuts(picture, scale, middles, 4.0):
        peaks = (cut == maximum_filter(cut, 3)) & (cut - SKY > 0.35 * (cut.max() - SKY))
        found.append(peaks.sum() == 2)
    return float(np.mean(found))


def fluxes(picture: Pixels, scale: float, field: Field, *, reach_px: float = 7.0) -> NDArray[np.float64]:
    """Each star's, in a square around it."""
    return np.array([(cut - SKY).sum() / scale**2 for cut, _ in _cuts(picture, scale, field, reach_px)])


def centroids(picture: Pixels, scale: float, field: Field) -> NDArray[np.float64]:
    """Each star's, on the reference."""
    return np.array(
        [
            [((cut - SKY) * axis).sum() / (cut - SKY).sum() for axis in axes]
            for cut, axes in _cuts(picture, scale, field, 7.0)
        ]
    )


def widths(picture: Pixels, scale: float, field: Field) -> float:
    """Median FWHM in pixels of the reference, of Gaussians fitted to the stars."""

    def gaussian(
        axes: NDArray[np.float64], height: float, x: float, y: float, fwhm: float, level: float
    ) -> NDArray[np.float64]:
        distance2 = (axes[0] - x) ** 2 + (axes[1] - y) ** 2
        return np.asarray(level + height * np.exp(-4 * np.log(2) * distance2 / fwhm**2))

    found = []
    for (cut, axes), (x, y) in zip(_cuts(picture, scale, field, 4.0), field.positions, strict=True):
        start = (cut.max() - SKY, x, y, 1.5, SKY)
        fitted, _ = curve_fit(gaussian, np.array([a.ravel() for a in axes]), cut.ravel(), start)
        found.append(abs(fitted[3]))
    return float(np.median(found))


def _cuts(
    picture: Pixels, scale: float, field: Field, reach_px: float
) -> Iterator[tuple[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Squares around the stars, and the places of their pixels on the reference."""
    rows, columns = ((np.arange(n) + 0.5) / scale - 0.5 for n in picture.shape)
    for x, y in field.positions:
        beside, below = np.abs(columns - x) < reach_px, np.abs(rows - y) < reach_px
        across, down = np.meshgrid(columns[beside], rows[below])
        yield picture[np.ix_(below, beside)].astype(np.float64), (across, down)
