"""From frames to a dark model's planes: first the camera's law, then every pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from library.dark_model_file import PLANES, SLOPE_DTYPE, Planes
from library.dark_model_frames import Plane, Set
from library.dark_model_law import OWN_SLOPE_SPREAD, Floats, Law, LawFit, fit_law
from library.dark_model_synthesis import GlowMap
from library.reading import read_rows
from library.stacked import filled

STRIP_BYTES = 64_000_000
"""Size of one strip of all frames as float32."""

_ENOUGH_SLOPES = 30
_LEAST_SPREAD = 0.01


def camera_law(frames: Set) -> LawFit:
    """The law from those blocks that are seen in all frames."""
    seen = ~np.isnan(frames.blocks[0])
    noise, shots = frames.noise, frames.shots
    low = frames.blocks[:, seen].mean(axis=1)
    signal = np.where(shots.exposed, np.maximum(low - low.min(), 0), 0)
    variance = (noise.read_adu**2 + noise.adu_per_e * signal) / (shots.frames * frames.block_pixels)
    return fit_law(frames.blocks[:, seen], shots, np.sqrt(variance), read_noise_adu=noise.read_adu)


def _glow_blocks(frames: Set, fit: LawFit) -> Floats | None:
    """Glow on all blocks: where it does not rise above its error it is smoothed."""
    if fit.glow_adu is None:
        return None
    from scipy.ndimage import gaussian_filter

    seen = ~np.isnan(frames.blocks[0])
    glow = np.full(seen.shape, float(np.median(fit.glow_adu)))
    glow[seen] = fit.glow_adu
    glow = glow.reshape(frames.block_shape)
    smooth = np.asarray(gaussian_filter(glow, 2.0, mode="nearest"))
    trust = smooth**2 / (smooth**2 + (4 * fit.glow_error_adu) ** 2 + 1e-30)
    return GlowMap.with_means(trust * glow + (1 - trust) * smooth).blocks


def fit_pixels(frames: Set, fit: LawFit) -> tuple[Planes, Law]:
    """Strip by strip, so that memory holds the result and one strip of all frames.

    The law comes back with the spread of the pixels' slopes.
    """
    from library.dark_model_pixels import fit_strip

    meta, law, shots = frames.records[0].meta, fit.law, frames.shots
    height, width = meta.height, meta.width
    images = {name: np.empty((height, width), ">f4") for name in PLANES}
    flags = np.empty((height, width), np.uint8)
    slopes: list[NDArray[np.void]] = []
    differences: list[Plane] = []
    glow = _glow_blocks(frames, fit)
    step = max(1, STRIP_BYTES // (4 * len(frames.records) * width))
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        light = np.zeros((rows.stop - top, width), np.float32)
        strip = fit_strip(
            np.stack(
                [
                    filled(read_rows(record.path, rows, in_adu=True).astype(np.float32))
                    for record in frames.records
                ]
            ),
            levels_adu=fit.levels_adu,
            growth_s=np.where(shots.exposed, shots.exposure_s * law.growth(shots.temp_c), 0.0),
            away_c=shots.temp_c - law.reference_c,
            glow=light if glow is None else GlowMap(glow).rows(rows, width),
            glow_growth=np.where(shots.exposed, law.glow_growth(shots.exposure_s), 0.0),
            frames=shots.frames,
            read_adu=frames.noise.read_adu,
            adu_per_e=frames.noise.adu_per_e,
            saturation_adu=frames.noise.saturation_adu,
            slope_spread=OWN_SLOPE_SPREAD * law.slope,
        )
        for name, values in zip(
            PLANES,
            (strip.bias, strip.rate, strip.bias_variance, strip.covariance, strip.rate_variance),
            strict=True,
        ):
            images[name][rows] = values
        flags[rows] = strip.flags
        told = strip.told_variance > 0
        differences.append(np.column_stack([strip.told_slope[told], strip.told_variance[told]]))
        own = np.flatnonzero(strip.slope_variance)
        table = np.empty(len(own), SLOPE_DTYPE)
        table["PIXEL"] = own + top * width
        for column, plane in zip(
            SLOPE_DTYPE.names[1:] if SLOPE_DTYPE.names else (),
            (strip.slope, strip.slope_variance, strip.bias_slope, strip.rate_slope),
            strict=True,
        ):
            table[column] = plane.ravel()[own]
        slopes.append(table)
    spread = _spread(np.concatenate(differences), law.slope_spread * law.slope) / law.slope
    law = replace(law, slope_spread=max(spread, _LEAST_SPREAD))
    table = np.concatenate(slopes, dtype=SLOPE_DTYPE)
    return Planes(images=images, flags=flags, slopes=table, glow_adu=glow), law


def _spread(told: Plane, unknown: float) -> float:
    """How much slopes differ beyond their errors, from (n, 2) slopes and variances; robust."""
    if len(told) < _ENOUGH_SLOPES:
        return unknown
    slope, variance = np.asarray(told, np.float64).T
    scatter = 1.4826 * float(np.median(np.abs(slope - np.median(slope))))
    return float(np.sqrt(max(scatter**2 - float(np.median(variance)), 0.0)))
