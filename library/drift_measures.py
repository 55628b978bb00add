"""What two sessions of calibration frames say of one sensor: levels, noise, gain, hot pixels, flats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from library.defect_frames import mean_of, sampled, strips
from library.defect_tests import MAD_TO_SIGMA, Plane, level_without_rays, neighbourhood, steady_variance
from library.frames import FrameKind, FrameRecord
from library.mosaics import cell_px
from library.stacked import open_frames

_LEAST_SCATTER_ADU = 0.05
_UNKNOWN_SCATTER_ADU = 1.0
"""From too few frames to see their scatter: real cameras' levels wander by about this."""

_SYSTEMATIC = 0.005
_BLOCK_PX = 16


@dataclass(frozen=True, slots=True)
class Value:
    """A measured value with its error (1 σ)."""

    value: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Level of darkness over exposure: ``offset`` + ``rate`` · t; rate None without two exposures."""

    offset: Value
    rate: Value | None


def levels(records: Sequence[FrameRecord]) -> Levels:
    """Fit the levels of biases and darks; with one exposure ``offset`` is the level there.

    Errors are from the frames' own scatter about the fit, which holds what a camera's level wanders by.
    """
    t = np.array([_seconds(record) for record in records])
    level = np.array([_level(record) for record in records])
    two = np.ptp(t) > 0
    design = np.column_stack([np.ones_like(t), t]) if two else np.ones((len(t), 1))
    solution, *_ = np.linalg.lstsq(design, level, rcond=None)
    dof = len(t) - design.shape[1]
    residual = level - design @ solution
    scatter = math.sqrt(float(residual @ residual) / dof) if dof >= 2 else _UNKNOWN_SCATTER_ADU
    errors = max(scatter, _LEAST_SCATTER_ADU) * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    found = [Value(float(v), float(e)) for v, e in zip(solution, errors, strict=True)]
    return Levels(offset=found[0], rate=found[1] if two else None)


def noise(records: Sequence[FrameRecord]) -> Value | None:
    """Noise of one frame between the frames of the shortest exposure that has two."""
    shortest = sorted(records, key=_seconds)
    alike = [r for r in shortest if _seconds(r) == _seconds(shortest[0])] if shortest else []
    if len(alike) < 2:
        return None
    with open_frames([record.path for record in alike]) as frames:
        samples, _ = sampled(frames)
    samples = samples - np.median(samples, axis=1, keepdims=True)
    sigma = math.sqrt(max(steady_variance(samples), 1 / 12))
    return Value(sigma, sigma * math.hypot(_SYSTEMATIC, 2 / math.sqrt(samples.size)))


def gain_e_per_adu(flats: Sequence[FrameRecord], offset_adu: float, noise_adu: float) -> Value | None:
    """Photon transfer: light over the variance that it adds between two flats, the first and the last."""
    if len(flats) < 2:
        return None
    with open_frames([flats[0].path, flats[-1].path]) as frames:
        samples, _ = sampled(frames)
    light = samples - np.float32(offset_adu)
    a, b = light[0], light[1] * np.float32(np.median(light[0]) / np.median(light[1]))
    good = (a > 0.2 * np.median(a)) & (a < 60_000)
    mean, half = (a[good] + b[good]) / 2, (a[good] - b[good]) ** 2 / 2
    keep = half < 25 * np.median(half)  # five sigmas and more are rays
    added = float(half[keep].mean(dtype=np.float64)) - noise_adu**2
    if not added > 0:
        return None
    gain = float(mean[keep].mean(dtype=np.float64)) / added
    return Value(gain, gain * math.hypot(_SYSTEMATIC, math.sqrt(2 / keep.sum())))


def fresh_excess(old: Sequence[FrameRecord], new: Sequence[FrameRecord]) -> tuple[Plane, Plane]:
    """New minus old darks of one exposure, their neighbourhood taken off, and its sigma (H, W), in ADU."""
    (before, scatter_a), (after, scatter_b) = _dark(old), _dark(new)
    after -= before
    level, sigma = neighbourhood(after)
    own = np.hypot(scatter_a / math.sqrt(len(old)), scatter_b / math.sqrt(len(new)))
    return after - level, np.maximum(sigma, own)


def flat_change(
    old: Sequence[FrameRecord], new: Sequence[FrameRecord], pedestal_adu: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """New over old flats in blocks of 16 pixels: a smooth surface, what is left of it, and its error.

    Each colour of a mosaic by itself is scaled to a median of 1; the surface is of second order.
    """
    cells = cell_px(old[0].meta.bayer_pattern)
    ratio = _light(new, pedestal_adu) / np.maximum(_light(old, pedestal_adu), 1)
    for y in range(cells):
        for x in range(cells):
            ratio[y::cells, x::cells] /= np.median(ratio[y::cells, x::cells])
    height, width = (n // _BLOCK_PX for n in ratio.shape)
    whole = ratio[: height * _BLOCK_PX, : width * _BLOCK_PX].reshape(height, _BLOCK_PX, width, _BLOCK_PX)
    blocks = np.moveaxis(whole, 2, 1).reshape(height, width, -1)
    middle = np.median(blocks, axis=-1).astype(np.float64)
    spread = MAD_TO_SIGMA * np.median(np.abs(blocks - middle[..., None]), axis=-1)
    error = 1.2533 * np.maximum(spread, np.median(spread)) / _BLOCK_PX
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    keep = np.ones(middle.size, bool)
    for _ in range(3):  # dust is left out of the surface
        solution, *_ = np.linalg.lstsq(design[keep], middle.ravel()[keep], rcond=None)
        surface = (design @ solution).reshape(middle.shape)
        left = middle - surface
        keep = (np.abs(left) < 4 * MAD_TO_SIGMA * np.median(np.abs(left)) + 1e-9).ravel()
    return surface, left, error.astype(np.float64)


def _seconds(record: FrameRecord) -> float:
    return 0.0 if record.meta.kind is FrameKind.BIAS else record.meta.exposure_s or 0.0


def _level(record: FrameRecord) -> float:
    """Mean of the ordinary pixels: a median would move in whole ADU."""
    with open_frames([record.path]) as frames:
        values = sampled(frames)[0].astype(np.float64)
    middle = float(np.median(values))
    sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(values - middle))), 1.0)
    return float(values[np.abs(values - middle) < 3 * sigma].mean())


def _dark(records: Sequence[FrameRecord]) -> tuple[Plane, Plane]:
    with open_frames([record.path for record in records]) as frames:
        level, scatter = np.empty(frames.shape, np.float32), np.empty(frames.shape, np.float32)
        common = np.median(sampled(frames)[0], axis=1, keepdims=True).astype(np.float32)
        for top, bottom in strips(frames):
            rows = level_without_rays(frames.read_filled(top, bottom) - common)
            level[top:bottom].reshape(-1)[:], scatter[top:bottom].reshape(-1)[:] = rows
    return level, scatter


def _light(records: Sequence[FrameRecord], pedestal_adu: float) -> Plane:
    with open_frames([record.path for record in records]) as frames:
        return mean_of(frames) - np.float32(pedestal_adu)
