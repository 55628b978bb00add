"""What nights put between the stars: trails, halos, galaxies, nebulae, borders, glows, columns, hot pixels.

Each is drawn onto a frame of light (H, W), in units of the frame's own: ``sky`` is one standard deviation of
its background, ``well`` what fills a pixel. Strengths and places are random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Light = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    """A frame's own units: noise of its sky, what fills a pixel, and the FWHM of its stars in pixels."""

    sky: float
    well: float
    fwhm_px: float

    def strength(self, rng: np.random.Generator, low_sigma: float, high: float = 1.0) -> float:
        """Between so many sigma of the sky and a share ``high`` of a full well, evenly in logarithm."""
        least = low_sigma * self.sky
        return float(np.exp(rng.uniform(np.log(least), np.log(max(high * self.well, 1.01 * least)))))


def trail(light: Light, rng: np.random.Generator, scale: Scale) -> None:
    """A satellite, or the glint and strobes of an aeroplane: one to three parallel lines."""
    height, width = light.shape
    y, x = np.mgrid[:height, :width]
    angle, strength = rng.uniform(0, np.pi), scale.strength(rng, 5)
    x0, y0 = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height
    across = (x - x0) * np.sin(angle) - (y - y0) * np.cos(angle)
    sigma = rng.uniform(0.8, 1.5) * scale.fwhm_px / 2.355
    for line in range(int(rng.integers(1, 4))):
        light += strength * np.exp(-0.5 * ((across - line * 8 * scale.fwhm_px) / sigma) ** 2)


def bright_star(light: Light, rng: np.random.Generator, scale: Scale) -> None:
    """A saturated star with a halo, four spikes, and a reflection beside it."""
    height, width = light.shape
    y, x = np.mgrid[:height, :width]
    x0, y0 = rng.uniform(0, width), rng.uniform(0, height)
    r = np.hypot(x - x0, y - y0)
    light += rng.uniform(2, 50) * scale.well * (1 + (r / scale.fwhm_px) ** 2) ** -2.2
    light += scale.strength(rng, 3, 0.3) * np.exp(-r / rng.uniform(20, 80))
    angle, spike = rng.uniform(0, np.pi / 2), scale.strength(rng, 10)
    for turn in (angle, angle + np.pi / 2):
        along = np.abs((x - x0) * np.cos(turn) + (y - y0) * np.sin(turn))
        across = (x - x0) * np.sin(turn) - (y - y0) * np.cos(turn)
        light += spike * np.exp(-along / 60 - 0.5 * (across / (0.5 * scale.fwhm_px)) ** 2)
    ghost = np.hypot(x - x0 - 70, y - y0 + 40)
    light += scale.strength(rng, 2, 0.02) * ((ghost < 35) & (ghost > 14))


def galaxy(light: Light, rng: np.random.Generator, scale: Scale) -> None:
    """An exponential disc with a bright core, seen at some slant."""
    height, width = light.shape
    y, x = np.mgrid[:height, :width]
    turn, size, flat = rng.uniform(0, np.pi), rng.uniform(10, 60), rng.uniform(0.2, 1)
    dx, dy = x - rng.uniform(0.2, 0.8) * width, y - rng.uniform(0.2, 0.8) * height
    r = np.hypot(dx * np.cos(turn) + dy * np.sin(turn), (dy * np.cos(turn) - dx * np.sin(turn)) / flat)
    strength = scale.strength(rng, 3, 0.5)
    light += strength * np.exp(-r / size) + 2 * strength * np.exp(-r / (0.12 * size))


def nebula(light: Light, rng: np.random.Generator, scale: Scale) -> None:
    """Clouds and filaments of all sizes over the whole frame."""
    noise = np.zeros(light.shape)
    for size in (60.0, 25.0, 10.0):
        layer = gaussian_filter(rng.standard_normal(light.shape), size)
        noise += layer / layer.std() * size ** rng.uniform(0.6, 1.2)
    noise /= noise.std()
    filaments = np.exp(-np.abs(noise) * 4)
    strength = scale.strength(rng, 1, 0.1)
    light += strength * (np.maximum(noise, 0) + rng.uniform(0, 1) * gaussian_filter(filaments, scale.fwhm_px))


def glow(light: Light, rng: np.random.Generator, scale: Scale) -> None:
    """An amplifier's glow out of a corner, or the Moon's light from beyond an edge."""
    height, width = light.shape
    y, x = np.mgrid[:height, :width]
    x0, y0 = rng.choice([0, width - 1]), rng.choice([0, height - 1])
    r = np.hypot(x - x0, y - y0)
    light += scale.strength(rng, 3, 0.5) * np.exp(-r / rng.uniform(20, 200))


def bloom(light: Light, rng: np.random.Generator, scale: Scale) -> None:
    """Columns that overflow, and rows that are always brighter."""
    height, width = light.shape
    for _ in range(int(rng.integers(1, 4))):
        column, first = int(rng.integers(width - 3)), int(rng.integers(height // 2))
        last = first + int(rng.integers(20, height // 2))
        light[first:last, column : column + int(rng.integers(1, 4))] += scale.strength(rng, 10)
    for _ in range(int(rng.integers(0, 4))):
        light[int(rng.integers(height))] += scale.strength(rng, 3, 0.2)


def hot_pixels(light: Light, rng: np.random.Generator, scale: Scale) -> None:
    """Up to half a percent of warm and hot pixels, a tenth of them in clusters of 2×2."""
    height, width = light.shape
    n = int(light.size * np.exp(rng.uniform(np.log(1e-4), np.log(5e-3))))
    rows, columns = rng.integers(height - 1, size=n), rng.integers(width - 1, size=n)
    values = rng.exponential(scale.strength(rng, 5, 0.3), n)
    light[rows, columns] += values
    many = n // 10
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        light[rows[:many] + dy, columns[:many] + dx] += values[:many] * rng.uniform(0.5, 1.0, many)


KINDS: tuple[Callable[[Light, np.random.Generator, Scale], None], ...] = (
    *(trail, bright_star, galaxy, nebula, glow, bloom, hot_pixels),
)


def disturb(light: Light, rng: np.random.Generator, scale: Scale) -> list[str]:
    """Draw one to three kinds onto ``light``; returns their names."""
    kinds = rng.choice(len(KINDS), size=int(rng.integers(1, 4)), replace=False)
    for kind in kinds:
        KINDS[kind](light, rng, scale)
    return [KINDS[kind].__name__ for kind in kinds]


def border(frame: NDArray[np.uint16], rng: np.random.Generator) -> str:
    """Give a frame black borders, as one that was registered has them, or a masked edge; in place."""
    height, width = frame.shape
    top, left = int(rng.integers(height // 8)), int(rng.integers(width // 8))
    level = int(rng.choice([0, int(frame.min()) // 2, 65535]))
    if rng.random() < 0.5:
        frame[:top] = level
        frame[:, :left] = level
        return f"border of {level}"
    noisy = np.clip(rng.normal(max(level, 20) % 60000, 5, frame.shape), 0, 65535).astype(np.uint16)
    frame[:top], frame[:, width - left :] = noisy[:top], noisy[:, width - left :]
    return f"masked edge of {level}"
