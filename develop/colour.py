"""One colour picture from the stacks of one target.

Stars are the white reference: averaged over a field they are close to white, whatever the filters, and so the
picture comes out neither green nor blue. The sky is made neutral by subtraction first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 500_000
_MIN_STAR_PIXELS = 30
_STAR_SIGMA = 20.0
_MAX_GAIN = 8.0
_NEAR_CLIPPING = 0.7
_MAD_TO_SIGMA = 1.4826

_NAMES = {
    "L": {"l", "lum", "luminance", "clear", "lumen", "ircut", "uvir", "uvircut"},
    "R": {"r", "red", "rot"},
    "G": {"g", "green", "gruen", "grün"},
    "B": {"b", "blue", "blau"},
}


class Layer(Protocol):
    """What is needed of a stack: pixels (H, W[, 3]), and coverage (H, W), 0 where nothing was seen."""

    @property
    def pixels(self) -> NDArray[np.float32]: ...  # noqa: D102  the class says it

    @property
    def coverage(self) -> NDArray[np.float32] | NDArray[np.uint16]: ...  # noqa: D102  the class says it


def role(name: str | None) -> str | None:
    """Tell L, R, G or B from a filter's name ("Red", "Baader R", "L-Pro 2"…), or None."""
    words = re.findall(r"[^\W\d_]+", (name or "").lower())
    for part, names in _NAMES.items():
        if any(word in names for word in words):
            return part
    return None


def compose(layers: Mapping[str | None, Layer]) -> NDArray[np.float32] | None:
    """Compose (H, W, 3) linear colour from stacks by filter name; None if the filters don't allow it.

    All stacks lie on one geometry. A colour stack is balanced and passed on (the one that covers most, if
    there are several). R, G and B make RGB, with L its luminance comes from L. The background is 0; pixels
    that a needed stack has not seen are NaN.
    """
    colour = [layer for layer in layers.values() if layer.pixels.ndim == 3]
    if colour:
        best = max(colour, key=lambda layer: float(layer.coverage.sum()))
        return _balanced(best.pixels, best.coverage > 0)
    parts: dict[str, Layer] = {}
    for name, layer in layers.items():
        part = role(name)
        if part is not None and part not in parts:
            parts[part] = layer
    if not {"R", "G", "B"} <= parts.keys():
        return None
    used = [parts[part] for part in "RGB"] + ([parts["L"]] if "L" in parts else [])
    if len({layer.pixels.shape for layer in used}) != 1:
        return None
    seen = np.logical_and.reduce([layer.coverage > 0 for layer in used])
    rgb = _balanced(np.dstack([parts[part].pixels for part in "RGB"]), seen)
    return _with_luminance(rgb, parts["L"].pixels, seen) if "L" in parts else rgb


def _balanced(rgb: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Take the sky off each channel and scale red and blue so that the stars add up to white."""
    if not seen.any():
        return np.full(rgb.shape, np.nan, dtype=np.float32)
    sample = rgb[seen][:: max(1, int(seen.sum()) // _SAMPLES)]
    sky = np.median(sample, axis=0)
    out = rgb - np.asarray(sky, dtype=np.float32)
    noise = _MAD_TO_SIGMA * np.median(np.abs(sample - sky), axis=0)
    light = sample - sky
    ceiling = 0.8 * light.max(axis=0)
    star = (light > _STAR_SIGMA * noise).all(axis=1) & (light < ceiling).all(axis=1)
    if star.sum() >= _MIN_STAR_PIXELS:
        red, green, blue = np.median(light[star] / light[star][:, 1:2], axis=0)
        gains = np.clip([green / red, 1.0, green / blue], 1 / _MAX_GAIN, _MAX_GAIN)
        out *= gains.astype(np.float32)
    # Where a channel is clipped its share of the colour is lost: the core of a star is white, not tinted.
    near = (rgb - sky) > _NEAR_CLIPPING * light.max(axis=0)
    core = near.any(axis=2) & seen
    out[core] = out[core].max(axis=1, keepdims=True)
    out[~seen] = np.nan
    return out


def _with_luminance(
    rgb: NDArray[np.float32], luminance: NDArray[np.float32], seen: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Add to each channel what the luminance stack sees beyond the colour's own luminance.

    Addition keeps the hue of stars and nebulae, and unlike the usual ratio it is stable in the noise of the
    sky.
    """
    own = rgb.mean(axis=2)
    light = luminance - np.median(luminance[seen])
    step = max(1, int(seen.sum()) // _SAMPLES)
    mine, theirs = own[seen][::step], light[seen][::step]
    noise = _MAD_TO_SIGMA * float(np.median(np.abs(mine - np.median(mine))))
    bright = (mine > 5 * noise) & (theirs > 0)
    scale = float(np.median(mine[bright] / theirs[bright])) if bright.sum() >= _MIN_STAR_PIXELS else 1.0
    gain = np.float32(scale) * light - own
    # A core that is clipped in L is no darker than its colours say.
    clipped = light > _NEAR_CLIPPING * float(light[seen].max())
    gain[clipped] = np.maximum(gain[clipped], 0)
    mixed: NDArray[np.float32] = rgb + gain[..., None]
    return mixed
