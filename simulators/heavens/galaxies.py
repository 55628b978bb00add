"""Galaxies: spirals with arms, bulge, dust and H II regions; ellipticals; irregulars."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulators.heavens.spectra import Spectrum
from simulators.heavens.textures import Grid, Layer, Plane, bell, fractal, grid, ridges, sersic, step

OLD_STARS = Spectrum(colour=1.15)
DISC_STARS = Spectrum(colour=0.75)
HII_REGIONS = Spectrum(colour=0.1, ha=0.60, oiii=0.12, sii=0.08)

_SCALE_LENGTH = 1.0 / 3.2
"""Of a disc, in radii of the 25 mag/arcsec² isophote (Freeman 1970)."""


def spiral(
    size: float, q: float, pa: float, more: Mapping[str, float], rng: np.random.Generator, samples: int
) -> list[Layer]:
    """An exponential disc with logarithmic arms, a bulge, dust lanes, and H II regions along the arms."""
    g = grid(size, q, pa, 1.5, samples)
    r = g.r
    arms = _arms(g, more, rng)
    contrast = more.get("contrast", 0.6) * step(r, 0.04, 0.22)
    # Exponential in the middle, cut off beyond the isophote, as most discs are (van der Kruit 1979).
    disc = np.exp(-r / _SCALE_LENGTH) * step(r, 1.45, 0.85)
    stars = disc * (1.0 - contrast + 2.2 * contrast * arms) * np.exp(0.18 * fractal(rng, samples, 2.6, 8))
    bar = more.get("bar", 0.0)
    if bar:
        stars += bar * 1.2 * bell(g.w, 0.045) * step(np.abs(g.u), 0.36, 0.22)
    stars *= _dust(g, arms, more.get("dust", 0.35), rng)
    bulge, hii = more.get("bulge", 0.1), more.get("hii", 0.015)
    layers = [g.layer(stars, 1.0 - bulge - hii, DISC_STARS)]
    if bulge:
        radius = more.get("bulge_size", 0.07)
        near = grid(size, max(q, 0.62), pa, 14 * radius, samples)
        light = sersic(near.r, radius, 2.0, 14 * radius / samples)
        if q < 0.4:
            light *= _lane(near.w * max(q, 0.62), q, more.get("dust", 0.35), fractal(rng, samples))
        layers.append(near.layer(light, bulge, OLD_STARS))
    if hii:
        knots = np.maximum(fractal(rng, samples, 2.0, 24) - 1.1, 0.0) ** 1.5
        layers.append(
            g.layer(
                knots * arms**1.5 * np.exp(-r / 0.45) * step(r, 0.06, 0.2) * step(r, 1.2, 0.75),
                hii,
                HII_REGIONS,
            )
        )
    return layers


def _arms(g: Grid, more: Mapping[str, float], rng: np.random.Generator) -> Plane:
    """Where the arms are, 0 to 1: ridges of a logarithmic spiral that wander, or patches sheared like one."""
    r = np.maximum(g.r, 0.03)
    wind = more.get("wind", 1.0)
    turn = np.log(r / 0.1) / np.tan(np.radians(more.get("pitch", 15.0)))
    phase = more.get("arms", 2.0) * (g.phi * wind + turn + 0.22 * fractal(rng, g.size, 3.4))
    ridge = np.exp(2.2 * (np.cos(phase) - 1.0))
    flocculent = more.get("flocculent", 0.15)
    patches = 0.8 * ridges(rng, g.size, 2.2, 6.0)
    return np.asarray((1.0 - flocculent) * ridge + flocculent * patches, dtype=np.float32)


def _dust(g: Grid, arms: Plane, depth: float, rng: np.random.Generator) -> Plane:
    """What dust leaves of the light: lanes inside the arms, and, of a disc seen from its edge, across it."""
    wisps = ridges(rng, g.size, 3.0, 5.0)
    if g.axis_ratio < 0.22 or depth > 0.85:
        return _lane(g.w * g.axis_ratio, g.axis_ratio, depth, fractal(rng, g.size))
    # The near side's dust lies before more stars.
    near = 1.0 - 0.5 * np.tanh(g.w * (1.0 - g.axis_ratio) * 3.0)
    hidden = depth * near * step(g.r, 0.05, 0.16) * (0.35 * wisps + 0.65 * wisps * (1.0 - arms))
    return np.asarray(np.clip(1.0 - hidden, 0.05, 1.0))


def _lane(across: Plane, q: float, depth: float, wobble: Plane) -> Plane:
    """A dark lane along the major axis, a little off the middle by the tilt."""
    off = -0.35 * q * np.sqrt(max(q - 0.1, 0.0))
    return np.asarray(1.0 - depth * bell(across - off + 0.004 * wobble, 0.018 + 0.05 * q * q))


def elliptical(
    size: float, q: float, pa: float, more: Mapping[str, float], rng: np.random.Generator, samples: int
) -> list[Layer]:
    """Sérsic's profile, de Vaucouleurs' unless told; with ``lane`` a warped band of dust across."""
    g = grid(size, q, pa, 1.6, samples)
    light = sersic(g.r, 0.28, more.get("n", 4.0), 0.8 / samples) * step(g.r, 1.6, 1.0)
    if more.get("lane"):
        warp = g.u + 0.05 * np.sin(3.0 * g.w) + 0.025 * fractal(rng, samples)
        light *= 1.0 - 0.85 * bell(warp, 0.055) * step(np.abs(g.w), 1.0, 0.5)
    return [g.layer(light, 1.0, OLD_STARS)]


def irregular(
    size: float,
    q: float,
    pa: float,
    more: Mapping[str, float],
    shape: str,
    rng: np.random.Generator,
    samples: int,
) -> list[Layer]:
    """Patches of stars, or M 82's cigar with its dust and its red plumes."""
    g = grid(size, q, pa, 1.5, samples)
    noise = fractal(rng, samples, 2.8, 3)
    share = more.get("ha", 0.05)
    body = np.exp(-2.6 * g.r) * step(g.r, 1.4, 0.8)
    if shape == "cigar":
        stars = body * (1.0 - 0.75 * ridges(rng, samples, 3.0, 5.0) * bell(g.u, 0.4))
        plumes = bell(g.u, 0.12 + 0.1 * float(q)) * np.exp(-np.abs(g.w) * q * 4.0) * np.exp(0.8 * noise)
        return [g.layer(stars, 1 - share, DISC_STARS), g.layer(plumes, share, HII_REGIONS)]
    bar = bell(g.u, 0.4) * bell(g.w, 0.18)
    stars = (body + 0.6 * bar) * np.exp(0.5 * noise)
    knots = np.maximum(fractal(rng, samples, 2.2, 12) - 1.2, 0.0) ** 1.5 * body
    return [g.layer(stars, 1 - share, Spectrum(colour=0.55)), g.layer(knots, share, HII_REGIONS)]
