"""What the showpieces' shapes are drawn with: a grid turned into the object, noise, profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.heavens.spectra import Spectrum

Plane = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A part of a showpiece: how its light lies on the sky, and of what light it is.

    ``texture`` ``(n, n)`` sums to 1; columns run east, rows north, over ``±half_arcsec`` about the centre.
    """

    texture: Plane
    half_arcsec: float
    share: float
    """Of the showpiece's light in L."""

    spectrum: Spectrum


@dataclass(frozen=True, slots=True)
class Grid:
    """Coordinates within an object, in semi-major axes: ``u`` along them, ``w`` deprojected across."""

    u: Plane
    w: Plane
    axis_ratio: float
    half_arcsec: float

    @property
    def r(self) -> Plane:
        """Distance from the centre in the object's plane."""
        return np.hypot(self.u, self.w)

    @property
    def phi(self) -> Plane:
        """Angle in the object's plane from the major axis, radians."""
        return np.arctan2(self.w, self.u)

    @property
    def size(self) -> int:
        """Samples along a side."""
        return int(self.u.shape[0])

    def layer(self, light: Plane, share: float, spectrum: Spectrum) -> Layer:
        """Light on this grid as a layer; its outermost samples are darkened, so that no edge shows."""
        ramp = np.clip((1.0 - np.abs(np.linspace(-1.0, 1.0, self.size))) * 12.0, 0.0, 1.0)
        texture = np.maximum(light, 0.0) * np.minimum(ramp, ramp[:, None])
        texture = (texture / texture.sum(dtype=np.float64)).astype(np.float32)
        texture.setflags(write=False)
        return Layer(texture=texture, half_arcsec=self.half_arcsec, share=share, spectrum=spectrum)


def grid(size_arcmin: float, axis_ratio: float, angle_deg: float, extent: float, samples: int) -> Grid:
    """A grid over ``±extent`` semi-major axes of an object of that major axis and position angle."""
    side = np.linspace(-extent, extent, samples, dtype=np.float32)
    east, north = side[None, :], side[:, None]
    cos, sin = np.float32(np.cos(np.radians(angle_deg))), np.float32(np.sin(np.radians(angle_deg)))
    return Grid(
        u=north * cos + east * sin,
        w=(east * cos - north * sin) / np.float32(axis_ratio),
        axis_ratio=axis_ratio,
        half_arcsec=extent * size_arcmin * 30.0,
    )


def fractal(rng: np.random.Generator, samples: int, steepness: float = 3.0, coarsest: float = 1.5) -> Plane:
    """Turbulence ``(n, n)``, mean 0 and standard deviation 1: a power spectrum k^−steepness.

    Interstellar clouds have 2.8 to 3.6 (Elmegreen & Scalo 2004). ``coarsest`` waves across are the largest.
    """
    k = np.hypot(np.fft.fftfreq(samples)[:, None], np.fft.rfftfreq(samples)[None, :]) * samples
    amplitude = np.where(k >= coarsest, np.maximum(k, 1.0) ** (-steepness / 2.0), 0.0)
    noise = np.fft.rfft2(rng.standard_normal((samples, samples), dtype=np.float32))
    field = np.fft.irfft2(noise * amplitude, s=(samples, samples))
    return np.asarray(field / field.std(), dtype=np.float32)


def ridges(rng: np.random.Generator, samples: int, sharpness: float = 6.0, coarsest: float = 2.0) -> Plane:
    """Filaments, 0 to 1: bright where a turbulence passes through zero."""
    return np.asarray(np.exp(-sharpness * np.abs(fractal(rng, samples, 3.2, coarsest))), dtype=np.float32)


def sersic(r: Plane, half_light: float, index: float, soft: float) -> Plane:
    """Sérsic's profile; ``soft`` rounds the cusp off. b_n: Ciotti & Bertin 1999."""
    b = 2.0 * index - 1.0 / 3.0 + 0.009876 / index
    return np.asarray(np.exp(-b * (np.sqrt(r * r + soft * soft) / half_light) ** (1.0 / index)))


def step(x: Plane, low: float, high: float) -> Plane:
    """0 below ``low``, 1 above ``high``, smooth between; ``low`` > ``high`` turns it round."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def bell(x: Plane, width: float) -> Plane:
    """A Gaussian of height 1."""
    return np.asarray(np.exp(-0.5 * (x / width) ** 2))
