"""Star clusters: members that stand apart, and the glow of a globular's others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simulators.heavens.spectra import Spectrum
from simulators.heavens.textures import Layer, grid

Floats = NDArray[np.float64]

RESOLVED_SHARE = 0.45
"""Of a globular's light, from the giants that a telescope shows one by one."""

_TIP_BELOW_TOTAL_MAG = 6.0
_GIANTS_SPAN_MAG = 4.0
_GIANTS_SLOPE = 0.45
_OPEN_BRIGHTEST_MAG, _OPEN_FAINTEST_MAG, _OPEN_SLOPE = 10.5, 16.5, 0.25


def _king_radii(rng: np.random.Generator, core: float, count: int) -> Floats:
    """Radii, in tidal radii, of stars that follow the projected King (1962) profile."""
    edges = np.linspace(0.0, 1.0, 2001)
    density = (1.0 / np.sqrt(1.0 + (edges / core) ** 2) - 1.0 / np.sqrt(1.0 + core**-2.0)) ** 2
    inside = np.cumsum(density * edges)
    return np.asarray(np.interp(rng.random(count), inside / inside[-1], edges))


def _core(more: Mapping[str, float]) -> float:
    return 0.06 * more.get("loose", 1.0)


def globular_glow(size: float, q: float, pa: float, more: Mapping[str, float], samples: int) -> list[Layer]:
    """King's profile, with the share of light that its members leave."""
    g = grid(size, q, pa, 1.0, samples)
    core = _core(more)
    r = np.minimum(g.r, 1.0)
    light = (1.0 / np.sqrt(1.0 + (r / core) ** 2) - 1.0 / np.sqrt(1.0 + core**-2.0)) ** 2
    return [g.layer(light, 1.0 - RESOLVED_SHARE, Spectrum(colour=1.0))]


def globular_members(
    size: float, mag: float, q: float, more: Mapping[str, float], rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """(u, w, magnitude, colour) of the giants: arcminutes along the axes; their light sums to its share.

    Counts grow as 10^(0.45·m) over four magnitudes below the giant branch's tip, and redden towards it.
    """
    quantile = (np.arange(1000) + 0.5) / 1000
    span = 10.0 ** (_GIANTS_SLOPE * _GIANTS_SPAN_MAG)
    below_tip = np.log10(1.0 + quantile * (span - 1.0)) / _GIANTS_SLOPE
    m = mag + _TIP_BELOW_TOTAL_MAG + below_tip
    m -= 2.5 * np.log10(RESOLVED_SHARE / np.sum(10.0 ** (-0.4 * (m - mag))))
    r = _king_radii(rng, _core(more), len(m)) * size / 2.0
    angle = rng.uniform(0.0, 2.0 * np.pi, len(m))
    colour = 1.6 - 0.2 * below_tip + rng.normal(0.0, 0.06, len(m))
    # One star in eight is on the horizontal branch, and blue.
    colour[(below_tip > 2.5) & (rng.random(len(m)) < 0.2)] = 0.1
    return r * np.cos(angle), r * np.sin(angle) * q, m, colour


def open_members(
    size: float, q: float, count: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """(u, w, magnitude, colour) of members that no catalogue reaches: a main sequence below G = 10.5.

    Places follow Plummer's profile, half of them within a quarter of the size.
    """
    low, high = 10.0 ** (_OPEN_SLOPE * np.array([_OPEN_BRIGHTEST_MAG, _OPEN_FAINTEST_MAG]))
    m = np.log10(rng.uniform(low, high, count)) / _OPEN_SLOPE
    inside = np.minimum(rng.random(count), 0.94)
    r = size / 4.0 * np.sqrt(inside / (1.0 - inside))
    angle = rng.uniform(0.0, 2.0 * np.pi, count)
    colour = 0.25 + 0.2 * (m - _OPEN_BRIGHTEST_MAG) + rng.normal(0.0, 0.04, count)
    return r * np.cos(angle), r * np.sin(angle) * q, m, colour
