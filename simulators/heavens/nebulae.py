"""Nebulae: planetary, emission, reflection, and what supernovae left."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from simulators.heavens.spectra import Spectrum
from simulators.heavens.textures import Grid, Layer, Plane, bell, fractal, grid, ridges, step

# Outlines in arcminutes west and north of the centre, for the two that everybody knows by their outline.
_NORTH_AMERICA = (
    (12, -62), (-2, -58), (-12, -45), (-20, -32), (-34, -12), (-45, 5), (-55, 25), (-50, 42), (-35, 52),
    (-15, 48), (0, 55), (18, 48), (26, 38), (21, 28), (30, 26), (20, 16), (14, 6), (12, -4), (17, -10),
    (18, -19), (11, -16), (4, -18), (-4, -25), (-5, -35), (1, -43), (9, -45), (13, -38), (19, -42), (15, -51),
)  # fmt: skip


def nebula(
    size: float,
    q: float,
    pa: float,
    more: Mapping[str, float],
    shape: str,
    rng: np.random.Generator,
    samples: int,
) -> list[Layer]:
    """Two layers of gas, one in Hα and [S II] with what starlight there is, one in [O III].

    ``ha``, ``oiii``, ``sii`` are shares of the photons in L.
    """
    g = grid(size, q, pa, 1.35, samples)
    low, high = _SHAPES[shape](g, rng)
    dust = more.get("dust", 0.0)
    if dust:
        veil = 1.0 - dust * step(fractal(rng, samples, 3.2, 2.5), 0.2, 1.1)
        low, high = low * veil, high * veil
    oiii, ha, sii = (more.get(line, 0.0) for line in ("oiii", "ha", "sii"))
    # Half of the Hβ and continuum go with each of the lines' light.
    share = oiii * 1.15
    red = Spectrum(colour=0.3, ha=ha / (1.0 - share), sii=sii / (1.0 - share))
    layers = [g.layer(low, 1.0 - share, red)]
    if oiii:
        layers.append(g.layer(high, share, Spectrum(colour=0.0, oiii=1.0 / 1.15)))
    return layers


def reflection(
    size: float,
    q: float,
    pa: float,
    more: Mapping[str, float],
    shape: str,
    rng: np.random.Generator,
    samples: int,
) -> list[Layer]:
    """Dust in a star's blue light: 1/r² of light on turbulent dust."""
    g = grid(size, q, pa, 1.35, samples)
    light = step(g.r, 1.25, 0.3) / (0.02 + g.r**2) * np.exp(0.55 * fractal(rng, samples))
    if more.get("streaks"):
        # Fine parallel wisps: noise drawn out along one direction.
        stretched = cv2.GaussianBlur(fractal(rng, samples, 1.6, 6), (0, 0), 9.0, sigmaY=0.8)
        light = light * (1.0 + 0.25 * np.clip(stretched / stretched.std(), -2.5, 2.5))
    if shape == "iris":
        # Petals about the star, parted by dark rifts, within a cocoon of darker dust.
        petals = 0.55 + 0.45 * np.cos(4.0 * g.phi + 1.1 * fractal(rng, samples, 3.4))
        light = light * (0.3 + petals) * step(g.r + 0.10 * fractal(rng, samples), 0.85, 0.45)
        light += 0.35 * step(g.r, 1.2, 0.5) * np.exp(0.6 * fractal(rng, samples))
    return [g.layer(light, 1.0, Spectrum(colour=-0.1))]


def _ring(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    texture = np.exp(0.16 * fractal(rng, g.size, 2.6, 4))
    bright_ends = 1.0 - 0.22 * np.cos(2.0 * g.phi)
    halo = 0.035 * step(g.r, 1.3, 0.8)
    red = bell(g.r - 0.80, 0.10) * bright_ends + 0.10 * step(g.r, 0.85, 0.7) + halo
    green = bell(g.r - 0.64, 0.13) * bright_ends + 0.30 * step(g.r, 0.8, 0.6) + halo
    return red * texture, green * texture


def _dumbbell(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    across = g.w * g.axis_ratio
    texture = np.exp(0.20 * fractal(rng, g.size, 2.8, 3))
    lobes = step(np.abs(across), 0.42 + 0.10, 0.24) * step(np.hypot(g.u, across), 0.86, 0.74)
    lobes = lobes * (0.45 + 0.75 * np.abs(g.u)) * step(np.abs(across) - 0.30 * np.abs(g.u), 0.34, 0.16)
    ears = step(np.hypot(g.u / 0.85, across / 1.12), 1.0, 0.86)
    rims = lobes * step(np.abs(g.u), 0.42, 0.70)
    return (0.45 * lobes + 1.3 * rims + 0.10 * ears) * texture, (lobes + 0.26 * ears) * texture


def _disc(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    texture = np.exp(0.15 * fractal(rng, g.size, 2.8, 3))
    body = step(g.r, 1.05, 0.85)
    return (body * (0.5 + 0.5 * g.r**2)) * texture, body * texture


def _owl(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    body, bright = _disc(g, rng)
    eyes = 1.0 - 0.8 * (bell(np.hypot(g.u - 0.3, g.w), 0.17) + bell(np.hypot(g.u + 0.3, g.w), 0.17))
    return body * eyes, bright * eyes


def _saturn(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    low, high = _ring(g, rng)
    ends = bell(np.hypot(np.abs(g.u) - 1.15, g.w * g.axis_ratio), 0.06)
    return low + 0.8 * ends, high + 0.2 * ends


def _bubble(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A sphere's thin shell: bright at the rim, where the line of sight is long in it."""
    inner, outer = 0.86, 0.95
    chord = np.sqrt(np.maximum(outer**2 - g.r**2, 0.0)) - np.sqrt(np.maximum(inner**2 - g.r**2, 0.0))
    texture = np.exp(0.30 * fractal(rng, g.size, 2.8, 2))
    cloud = 0.10 * step(g.r, 1.3, 0.7) * np.exp(0.9 * fractal(rng, g.size))
    return chord * texture + cloud, chord * texture + 0.3 * cloud


def _shell(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    r = g.r + 0.04 * fractal(rng, g.size)
    rim = bell(r - 0.86, 0.12) * (0.75 + 0.25 * np.sin(g.phi * 2.0 + 0.5))
    threads = ridges(rng, g.size, 7.0, 4.0)
    fill = 0.12 * step(r, 1.0, 0.8)
    return (rim + fill) * (0.15 + threads), (bell(r - 0.95, 0.08) + fill) * (0.4 + 0.6 * threads)


def _arc(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Half a shell, the eastern one."""
    low, high = _shell(g, rng)
    half = 0.12 + step(g.w, -0.3, 0.4)
    return low * half, high * half


def _veil(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Rope-like filaments along the major axis, a little curved."""
    across = g.w + 1.2 * (g.u**2 - 0.3) + 0.25 * fractal(rng, g.size, 3.6, 1.0)
    band = bell(across, 0.5) * step(np.abs(g.u), 1.1, 0.8)
    threads = [np.maximum(ridges(rng, g.size, 14.0, 3.0), 0.9 * bell(across - o, 0.06)) for o in (0.25, -0.1)]
    return band * (0.06 + threads[0]), band * (0.06 + threads[1])


def _crab(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    body = step(g.r + 0.06 * fractal(rng, g.size), 1.0, 0.35)
    threads = ridges(rng, g.size, 9.0, 5.0)
    return body * (0.5 + 1.3 * threads), body * (0.5 + 0.8 * ridges(rng, g.size, 9.0, 5.0))


def _cloud(g: Grid, rng: np.random.Generator, edge: float = 0.25) -> Plane:
    """Turbulent gas that thins out towards a ragged edge."""
    ragged = g.r + edge * fractal(rng, g.size, 3.2)
    return np.asarray(step(ragged, 1.15, 0.35) * np.exp(0.45 * fractal(rng, g.size)))


def _core(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    cloud = _cloud(g, rng) * (0.5 + 0.5 * ridges(rng, g.size, 2.0, 3.0))
    middle = 1.0 / (1.0 + (g.r / 0.18) ** 2)
    return cloud * (0.25 + 1.6 * middle), cloud * middle * (0.1 + middle)


def _sheet(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    cloud = _cloud(g, rng, 0.32)
    threads = ridges(rng, g.size, 3.0, 2.5)
    return cloud * (0.25 + threads), cloud * step(g.r, 0.9, 0.1)


def _trifid(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A round cloud with three dark lanes from near its middle."""
    low, high = _core(g, rng)
    bend = g.phi + 0.16 * fractal(rng, g.size)
    lanes = np.ones_like(g.r)
    for angle in (0.6, 2.7, -1.5):
        off = np.abs(np.angle(np.exp(1j * (bend - angle)))).astype(np.float32)
        lanes *= 1.0 - 0.85 * bell(off * g.r, 0.045) * step(g.r, 0.04, 0.16) * step(g.r, 1.1, 0.7)
    return low * lanes, high * lanes


def _rosette(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A wreath about an emptied middle, with globules dark before it."""
    r = g.r + 0.10 * fractal(rng, g.size)
    wreath = step(r, 0.18, 0.42) * step(r, 1.15, 0.55)
    globules = 1.0 - 0.6 * step(fractal(rng, g.size, 2.4, 7), 1.3, 2.0)
    texture = np.exp(0.40 * fractal(rng, g.size)) * (0.5 + 0.6 * ridges(rng, g.size, 2.5, 4.0)) * globules
    return (wreath + 0.06 * step(r, 0.3, 0.1)) * texture, bell(r - 0.38, 0.20) * texture


def _north_america(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """The continent's outline, ragged; brightest at its Mexico, the Cygnus Wall."""
    unit = g.half_arcsec / 60.0  # arcminutes from the centre to the grid's edge
    places = np.array(_NORTH_AMERICA, dtype=np.float64)
    corners = np.stack([-places[:, 0], places[:, 1]], axis=1) / unit * (g.size / 2) + g.size / 2
    outline = np.zeros((g.size, g.size), dtype=np.float32)
    cv2.fillPoly(outline, [np.rint(corners).astype(np.int32)], 1.0)
    land = cv2.GaussianBlur(outline, (0, 0), g.size / 110)
    ragged = step(land + 0.10 * fractal(rng, g.size, 2.8, 6), 0.35, 0.80)
    texture = np.exp(0.45 * fractal(rng, g.size)) * (0.4 + 0.8 * ridges(rng, g.size, 2.5, 3.0))
    north = np.linspace(-unit, unit, g.size, dtype=np.float32)[:, None]
    east = north.T
    wall = 1.3 * bell(np.hypot(east + 6.0, (north + 50.0) * 0.8), 12.0)
    rifts = 1.0 - 0.7 * step(fractal(rng, g.size, 3.0, 5), 1.0, 1.7)
    low = (ragged * (0.75 + wall) * texture + 0.05 * step(g.r, 1.3, 0.5)) * rifts
    return low, ragged * texture * bell(np.hypot(east + 2.0, north - 5.0), 30.0)


def _orion(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """The Trapezium's glare, wings that open to the south, and the fish's mouth in the northeast."""
    unit = g.half_arcsec / 60.0
    north = np.linspace(-unit, unit, g.size, dtype=np.float32)[:, None]
    east = north.T
    wobble = fractal(rng, g.size, 3.2)
    far = np.hypot(east, north)
    glare = 1.0 / (1.0 + (far / 2.2) ** 2) ** 1.5
    # The wings: a shell about a point south of the Trapezium, brighter on the west.
    loop = np.hypot(east * 1.05, north + 14.0) + 1.8 * wobble + 1.0 * fractal(rng, g.size, 2.6, 4)
    shell = bell(loop - 14.5, 2.2) * (0.75 - 0.45 * np.tanh(east / 9.0)) * step(north, -32.0, -10.0)
    fan = step(loop, 19.0, 8.0) * np.exp(-far / 9.0) * (1.0 - 0.35 * step(far, 8.0, 20.0))
    mouth_angle = np.degrees(np.arctan2(east, north))
    mouth = bell(mouth_angle - 50.0 + 12.0 * wobble, 17.0) * step(far, 0.9, 3.0) * step(far, 22.0, 9.0)
    bar = 0.5 * bell((east * 0.75 - north * 0.66) - 1.6, 0.22) * step(np.abs(north + 1.8), 2.2, 0.8)
    threads = (0.75 + 0.4 * ridges(rng, g.size, 2.0, 3.0)) * np.exp(0.30 * fractal(rng, g.size))
    veil = (1.0 - 0.93 * mouth) * threads
    low = (1.2 * glare + 0.05 * shell + 0.30 * fan + 0.6 * bar * glare) * veil
    return low + 0.006 * step(g.r, 1.3, 0.1) * threads, (glare + 0.18 * fan + 0.008 * shell) * veil


def _flame(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A dark trunk with branches before the glow."""
    low, high = _core(g, rng)
    trunk = bell(g.w + 0.08 * fractal(rng, g.size, 3.4), 0.07) * step(np.abs(g.u), 0.9, 0.6)
    twigs = step(ridges(rng, g.size, 5.0, 4.0), 0.35, 0.9) * bell(g.w, 0.4)
    hidden = 1.0 - np.clip(0.9 * trunk + 0.5 * twigs, 0.0, 0.95)
    return low * hidden, high * hidden


def _horsehead(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A curtain of light with a sharp eastern edge, and the head dark before it."""
    unit = g.half_arcsec / 60.0
    north = np.linspace(-unit, unit, g.size, dtype=np.float32)[:, None]
    west = -north.T
    across = g.w * g.axis_ratio * -unit / 1.35  # arcminutes west of the edge
    ragged = across + 0.5 * fractal(rng, g.size, 3.0, 5)
    streaks = 0.7 + 0.3 * ridges(rng, g.size, 3.0, 8.0)
    curtain = step(ragged, -0.6, 0.6) * np.exp(-np.maximum(across, 0.0) / 7.0) * streaks
    curtain = curtain * step(np.abs(g.u), 1.1, 0.7)
    neck = bell(north + 0.5, 1.3) * step(np.abs(west - 1.5), 3.2, 2.2)
    head = bell(np.hypot(west - 4.2, (north - 0.9) * 1.1), 1.3)
    snout = bell(np.hypot(west - 5.4, north + 0.6), 0.8)
    shadow = np.clip(1.5 * neck + 1.6 * head + 1.2 * snout, 0.0, 0.97)
    return curtain * (1.0 - shadow) + 0.03 * _cloud(g, rng), curtain


def _bipolar(g: Grid, rng: np.random.Generator) -> tuple[Plane, Plane]:
    lobes = bell(np.hypot(np.abs(g.u) - 0.45, g.w * 0.7), 0.28) * np.exp(0.4 * fractal(rng, g.size))
    return lobes, lobes


_SHAPES = {
    "ring": _ring,
    "dumbbell": _dumbbell,
    "disc": _disc,
    "owl": _owl,
    "saturn": _saturn,
    "bubble": _bubble,
    "shell": _shell,
    "arc": _arc,
    "veil": _veil,
    "crab": _crab,
    "core": _core,
    "sheet": _sheet,
    "trifid": _trifid,
    "rosette": _rosette,
    "northamerica": _north_america,
    "orion": _orion,
    "flame": _flame,
    "horsehead": _horsehead,
    "bipolar": _bipolar,
}
