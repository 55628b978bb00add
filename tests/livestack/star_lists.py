"""Star lists of a sub and its reference as a finder may give them, false sources among the stars."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from livestack.align import Transform
from livestack.geometry import Matrix, apply
from measure.stars import Stars

Floats = NDArray[np.float64]
Shape = tuple[int, int]

SHAPE = (1200, 1600)
STAR_FWHM_PX, WARM_FWHM_PX = 3.0, 1.8
_MOST = 1000


@dataclass(slots=True)
class Sources:
    """Sources on one frame, those that are no stars included; places and fluxes grow as they are added."""

    places: Floats = field(default_factory=lambda: np.empty((0, 2)))
    fluxes: Floats = field(default_factory=lambda: np.empty(0))
    widths: Floats = field(default_factory=lambda: np.empty(0))

    def add(self, places: Floats, fluxes: Floats, fwhm_px: float = STAR_FWHM_PX) -> None:
        self.places = np.concatenate((self.places, places))
        self.fluxes = np.concatenate((self.fluxes, fluxes))
        self.widths = np.concatenate((self.widths, np.full(len(fluxes), fwhm_px)))

    def listed(self, rng: np.random.Generator, *, saturated_above: float = np.inf) -> Stars:
        """The brightest of them."""
        order = np.argsort(-self.fluxes, kind="stable")[:_MOST]
        flux = np.minimum(self.fluxes[order], saturated_above)
        fwhm = self.widths[order] * rng.lognormal(0, 0.04, len(order))
        sigma = fwhm / 2.355
        x, y = self.places[order].T.copy()
        return Stars(
            *(x, y, flux, flux / np.sqrt(flux + 2000), fwhm, sigma, sigma, np.zeros(len(flux)), flux / 10),
            self.fluxes[order] > saturated_above,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """``n_stars`` on the reference, some of them missed; ``truth`` leads from the sub to it."""

    truth: Matrix
    seed: int
    n_stars: int = 60
    shape: Shape = SHAPE
    missed: float = 0.1
    error_px: float = 0.1
    cloud: float = 0.0
    """Natural logarithm of what a cloud takes from one end of the sub to the other."""

    def seen(self) -> tuple[Sources, Sources, int]:
        """Stars of sub and reference, and how many both show."""
        rng = np.random.default_rng((self.seed, 1))
        size = np.array(self.shape[::-1])
        sky = rng.uniform(-1.5 * size, 2.5 * size, (16 * self.n_stars, 2))
        flux = strengths(rng, len(sky))
        on_sub = apply(np.asarray(np.linalg.inv(self.truth), np.float64), sky)
        seen = []
        frames = []
        for places in (on_sub, sky):
            shown = inside(places, self.shape) & (rng.random(len(sky)) > self.missed)
            frame = Sources()
            measured = places[shown] + rng.normal(0, self.error_px, (int(shown.sum()), 2))
            frame.add(measured, flux[shown] * rng.lognormal(0, 0.08, int(shown.sum())))
            seen.append(shown)
            frames.append(frame)
        sub, reference = frames
        sub.fluxes *= np.exp(-self.cloud * sub.places[:, 0] / size[0])
        return sub, reference, int((seen[0] & seen[1]).sum())


def strengths(rng: np.random.Generator, n: int) -> Floats:
    """Fluxes (N) in ADU: few bright, many faint."""
    return np.asarray(2e3 * (1 + rng.pareto(1.0, n)))


def inside(places: Floats, shape: Shape, margin: float = 4.0) -> NDArray[np.bool_]:
    return np.asarray(((places > margin) & (places < np.array(shape[::-1]) - margin)).all(axis=1))


def edges(rng: np.random.Generator, n: int, shape: Shape) -> Floats:
    """Along all four edges, at random or at equal distances."""
    height, width = shape
    sides = []
    for side in range(4):
        length = (width, height)[side % 2]
        along = rng.uniform(0, length, n // 4)
        if rng.random() < 0.5:
            along = np.arange(0, length, max(4.0, 4 * length / n)) + rng.uniform(0, 4)
        off = rng.uniform(1, 4) + rng.normal(0, 0.3, len(along))
        far = ((width, height)[1 - side % 2] - 1 - off) if side > 1 else off
        sides.append(np.column_stack((along, far) if side % 2 == 0 else (far, along)))
    return np.concatenate(sides)


def trail(rng: np.random.Generator, n: int, shape: Shape) -> Floats:
    """Along a straight line across the frame."""
    height, width = shape
    angle = rng.uniform(0, np.pi)
    middle = rng.uniform(0.2, 0.8, 2) * (width, height)
    along = np.linspace(-width, width, 4 * n) if rng.random() < 0.5 else rng.uniform(-width, width, 4 * n)
    places = middle + np.outer(along, [np.cos(angle), np.sin(angle)]) + rng.normal(0, 0.5, (len(along), 2))
    return np.asarray(rng.permutation(places[inside(places, shape)])[:n])


def columns(rng: np.random.Generator, n: int, shape: Shape) -> Floats:
    """Along a few columns of the sensor."""
    height, width = shape
    which = rng.choice(rng.uniform(0, width, max(1, n // 20)), n)
    return np.column_stack((which + rng.normal(0, 0.2, n), rng.uniform(0, height, n)))


def halo(rng: np.random.Generator, n: int, shape: Shape) -> Floats:
    """All around one place."""
    middle = rng.uniform(0.2, 0.8, 2) * shape[::-1]
    places = middle + rng.normal(0, rng.uniform(10, 45), (2 * n, 2))
    return np.asarray(places[inside(places, shape)][:n])


def anywhere(rng: np.random.Generator, n: int, shape: Shape) -> Floats:
    """All over the frame."""
    return np.asarray(rng.uniform((4, 4), np.array(shape[::-1]) - 4, (n, 2)))


def stay(rng: np.random.Generator, places: Floats, *frames: Sources, scatter_px: float = 0.05) -> None:
    """Add sources at the same places of the sensor, as warm pixels lie; most of them are found."""
    flux = strengths(rng, len(places))
    for frame in frames:
        found = rng.random(len(places)) < 0.95
        measured = places[found] + rng.normal(0, scatter_px, (int(found.sum()), 2))
        frame.add(measured, flux[found] * rng.lognormal(0, 0.05, int(found.sum())), WARM_FWHM_PX)


def error_px(found: Transform, truth: Matrix, shape: Shape = SHAPE) -> float:
    """The largest distance from the truth over the field that both frames show."""
    height, width = shape
    x, y = np.meshgrid(np.linspace(0, width - 1, 7), np.linspace(0, height - 1, 7))
    places = np.column_stack((x.ravel(), y.ravel()))
    there = apply(truth, places)
    shared = inside(there, shape, margin=-1.0)
    return float(np.hypot(*(found.warp.forwards(places) - there)[shared].T).max())
