"""A dark of any exposure and temperature out of a model, with the uncertainty of each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from library.dark_model_file import DarkModel
from library.dark_model_frames import BLOCK
from library.dark_model_law import Floats
from library.dark_model_pixels import NONLINEAR

Plane = NDArray[np.float32]

NEAR_C = 0.5
"""Beyond the temperatures that were shot by no more than this is still inside."""

_STRIP_PIXELS = 1 << 20
_SAMPLED_ROWS = 32
_GLOW_STRAY = 0.03
"""Share of the glow that it may stray from its power law (1 σ). From one temperature alone, whether it grows
with temperature is not known either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """``pixels`` and ``uncertainty`` (1 σ), (H, W) in ADU; ``outside`` says in words what was not shot."""

    exposure_s: float
    temp_c: float
    pixels: Plane
    uncertainty: Plane
    outside: tuple[str, ...]

    @property
    def noise_adu(self) -> float:
        """The uncertainty of the typical pixel."""
        return float(np.median(self.uncertainty))


def outside(model: DarkModel, exposure_s: float, temp_c: float) -> tuple[str, ...]:
    """In what way a dark lies outside of what the model was fitted to; nothing if it lies inside."""
    said = []
    if (temps := model.meta.temp_range_c) and not temps[0] - NEAR_C <= temp_c <= temps[1] + NEAR_C:
        said.append(f"{temp_c:g} °C, and {temps[0]:.1f} to {temps[1]:.1f} °C were shot")
    if (times := model.meta.exposure_range_s) and not times[0] <= exposure_s <= times[1]:
        said.append(f"{exposure_s:g} s, and {times[0]:g} to {times[1]:g} s were shot")
    return tuple(said)


def synthesise(model: DarkModel, exposure_s: float, temp_c: float) -> Synthetic:
    """The dark that a great many frames of this exposure and temperature would average to."""
    height, width = model.shape
    pixels, uncertainty = (np.empty((height, width), np.float32) for _ in range(2))
    glow = GlowMap.of(model)
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        pixels[rows], uncertainty[rows] = _strip(model, exposure_s, temp_c, rows, glow)
    return Synthetic(
        exposure_s=exposure_s,
        temp_c=temp_c,
        pixels=pixels,
        uncertainty=uncertainty,
        outside=outside(model, exposure_s, temp_c),
    )


def typical_uncertainty_adu(model: DarkModel, exposure_s: float, temp_c: float) -> float:
    """What :attr:`Synthetic.noise_adu` will be, from a few rows of the model: at once, without the dark."""
    height = model.shape[0]
    glow = GlowMap.of(model)
    tops = np.unique(np.linspace(0, height - 1, _SAMPLED_ROWS).astype(int))
    sampled = [_strip(model, exposure_s, temp_c, slice(top, top + 1), glow)[1] for top in tops]
    return float(np.median(sampled))


def _strip(
    model: DarkModel, exposure_s: float, temp_c: float, rows: slice, glow: GlowMap | None
) -> tuple[Plane, Plane]:
    law, exposed = model.law, exposure_s > 0
    grown = np.float32(exposure_s * law.growth(temp_c)) if exposed else np.float32(0)
    away = np.float32(temp_c - law.reference_c)
    bias, rate, var_bias, covar, var_rate = (
        model.rows(name, rows).astype(np.float32) for name in ("BIAS", "RATE", "VARBIAS", "COVAR", "VARRATE")
    )
    own = _own_slopes(model, rows)
    factor = np.full(bias.shape, grown, np.float32)
    factor.ravel()[own.places] *= np.exp(own.slope * away)
    signal = rate * factor
    spread = law.slope * law.slope_spread
    relative = away**2 * (law.slope_error**2 + spread**2) + (away**2 / 2 * law.curvature_error) ** 2
    stray = np.full(bias.shape, relative, np.float32)
    stray.ravel()[own.places] = 0.0
    variance = var_bias + factor * (2 * covar + factor * var_rate) + signal**2 * (stray + NONLINEAR**2)
    slant = signal.ravel()[own.places] * away
    variance.ravel()[own.places] += slant * (
        slant * own.variance + 2 * (own.bias_covariance + factor.ravel()[own.places] * own.rate_covariance)
    )
    level = float(law.level_adu(temp_c, exposed))
    dark = bias + signal + np.float32(level)
    if glow is not None and exposed:
        grow = float(law.glow_growth(exposure_s))
        light = glow.rows(rows, bias.shape[1]) * np.float32(grow)
        dark += light
        stray_glow = np.hypot(_GLOW_STRAY, law.slope * float(away) if law.is_prior else 0.0)
        variance += (np.float32(stray_glow) * light) ** 2 + np.float32(grow * model.glow_error_adu) ** 2
    variance += law.level_variance(exposure_s if exposed else 0.0, temp_c)
    np.minimum(dark, np.float32(model.noise.saturation_adu / 0.9), out=dark)
    return dark, np.sqrt(np.maximum(variance, 0))


@dataclass(frozen=True, slots=True)
class _Own:
    places: NDArray[np.int64]
    slope: Plane
    variance: Plane
    bias_covariance: Plane
    rate_covariance: Plane


def _own_slopes(model: DarkModel, rows: slice) -> _Own:
    """The pixels with a doubling temperature of their own among the rows; places count from the first."""
    if "SLOPES" not in model.units:
        nothing = np.empty(0, np.float32)
        return _Own(np.empty(0, np.int64), nothing, nothing, nothing, nothing)
    table, width = model.whole("SLOPES"), model.shape[1]
    begin, end = np.searchsorted(table["PIXEL"], (rows.start * width, rows.stop * width))
    part = table[begin:end]
    return _Own(
        part["PIXEL"].astype(np.int64) - rows.start * width,
        *(part[name].astype(np.float32) for name in ("SLOPE", "VARIANCE", "BIASCOV", "RATECOV")),
    )


@dataclass(frozen=True, slots=True)
class GlowMap:
    """Amp glow at the reference exposure, from blocks to pixels: linear between the blocks' centres."""

    blocks: Floats

    @classmethod
    def of(cls, model: DarkModel) -> GlowMap | None:
        """The model's, if it has one."""
        return cls(model.whole("GLOW").astype(np.float64)) if "GLOW" in model.units else None

    @classmethod
    def with_means(cls, means: Floats) -> GlowMap:
        """The map whose mean over each block is the one given.

        Values at the centres are not the blocks' means: between them a decay lies below its chords.
        """
        down, across = (_block_means(n) for n in means.shape)
        return cls(np.linalg.solve(down, np.linalg.solve(across, means.T).T))

    def rows(self, rows: slice, width: int) -> Plane:
        """(rows, width) in ADU; beyond the outermost centres it goes on along the last slope."""
        across = _weights(np.arange(width), self.blocks.shape[1])
        down = _weights(np.arange(rows.start, rows.stop), self.blocks.shape[0])
        return np.asarray((down @ self.blocks) @ across.T, np.float32)


def _block_means(blocks: int) -> Floats:
    """(blocks, blocks): from values at the centres to the means of what is drawn between them."""
    return np.asarray(_weights(np.arange(blocks * BLOCK), blocks).reshape(blocks, BLOCK, blocks).mean(axis=1))


def _weights(pixels: NDArray[np.int64], blocks: int) -> Floats:
    """(pixels, blocks): how much each block's value counts at each pixel."""
    weights = np.zeros((len(pixels), blocks))
    if blocks == 1:
        weights[:] = 1.0
        return weights
    at = (pixels + 0.5) / BLOCK - 0.5
    left = np.clip(np.floor(at).astype(np.int64), 0, blocks - 2)
    share = at - left
    index = np.arange(len(pixels))
    weights[index, left], weights[index, left + 1] = 1 - share, share
    return weights
