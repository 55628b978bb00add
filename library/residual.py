"""The noise that a master leaves behind: its own, and what its other temperature and exposure leave."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

from library.errors import LibraryError
from library.fitness import temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord

DOUBLING_C = 6.0
"""The step that doubles dark current, where nothing is known of the camera; the dark model's prior too."""


def own_noise_adu(master: FrameMeta, bias: FrameMeta | None) -> float | None:
    """The random noise in one pixel of a master: as its header says (NOISEADU), or else estimated.

    From another master of the same settings, whose N frames left σ: one frame has σ·√N, and a mean of
    N′ of them σ·√(N/N′). From a bias this is a lower bound for a dark, whose own shot noise is not in it.
    """
    if master.noise_adu is not None:
        return master.noise_adu
    if bias is None or bias.noise_adu is None:
        return None
    return bias.noise_adu * math.sqrt(bias.n_combined / master.n_combined)


def dark_residual_adu(
    frame: FrameMeta, dark: FrameMeta, bias: FrameMeta | None, *, doubling_c: float = DOUBLING_C
) -> float | None:
    """The noise (1 σ in one pixel) that subtracting ``dark`` leaves in a frame, beyond the frame's own.

    Dark current grows with the exposure t and doubles every ``doubling_c``, so the frame's dark signal is the
    master's times f = (t/t₀)·2^((T − T₀)/ΔT). Subtracted as it is, the master leaves (f − 1) of its pattern
    and all of its own noise σ₀:

        σ² = σ₀² + (f − 1)²·P²,   P² = S² − σ₀² − (S_b² − σ_b²)

    S is the robust spread of the master's pixels (SPRDADU); from the pattern P the bias's own is taken off,
    which does not grow, where the bias tells it; else P is an upper bound. Dark current is that of
    Widenhorn et al. 2002 (Proc. SPIE 4669, 193) for a small step of temperature. Hot pixels are not in a
    robust spread, nor in the answer. A mismatch with no pattern known, or no noise, gives ``None``.
    """
    noise = own_noise_adu(dark, bias)
    factor = _growth(frame, dark, doubling_c)
    if noise is None or factor is None:
        return None
    if factor == 1.0:
        return noise
    pattern = _pattern_adu(dark, noise, bias)
    return None if pattern is None else math.hypot(noise, (factor - 1) * pattern)


def bias_residual_adu(frame: FrameMeta, bias: FrameMeta, dark: FrameMeta | None) -> float | None:
    """The noise that subtracting a bias leaves: its own, and in a light the pattern of the dark current.

    That pattern is told by any dark of the same settings, scaled as in :func:`dark_residual_adu`; without
    one, ``None``. A flat is taken to be too short for dark current.
    """
    noise = own_noise_adu(bias, bias)
    if noise is None or frame.kind is FrameKind.FLAT:
        return noise
    dark_noise = None if dark is None else own_noise_adu(dark, bias)
    if dark is None or dark_noise is None:
        return None
    factor, pattern = _growth(frame, dark, DOUBLING_C), _pattern_adu(dark, dark_noise, bias)
    return None if factor is None or pattern is None else math.hypot(noise, factor * pattern)


def _pattern_adu(dark: FrameMeta, noise_adu: float, bias: FrameMeta | None) -> float | None:
    if dark.spread_adu is None:
        return None
    pattern_2 = dark.spread_adu**2 - noise_adu**2
    if bias is not None and bias.spread_adu is not None and bias.noise_adu is not None:
        pattern_2 -= max(bias.spread_adu**2 - bias.noise_adu**2, 0.0)
    return math.sqrt(max(pattern_2, 0.0))


def modelled_residual_adu(frame: FrameMeta, model: FrameRecord) -> float | None:
    """The noise that a synthesised dark leaves: the model's stated uncertainty of a typical pixel.

    ``None`` for a frame without exposure or temperature, or a model that can no longer be read.
    """
    temp_c = temperature_c(frame)
    if frame.exposure_s is None or temp_c is None:
        return None
    return _of_model(model.path, model.sha256, frame.exposure_s, round(temp_c, 1))


@lru_cache(maxsize=64)
def _of_model(path: Path, _sha256: str, exposure_s: float, temp_c: float) -> float | None:
    from library.dark_model_file import read_model  # numba takes a second to load
    from library.dark_model_synthesis import typical_uncertainty_adu

    try:
        return typical_uncertainty_adu(read_model(path), exposure_s, temp_c)
    except LibraryError:
        return None


def flat_residual_adu(flat: FrameMeta, level_adu: float | None) -> float | None:
    """The noise that dividing by a flat leaves at a level of light: its relative noise times the level."""
    return None if flat.noise_adu is None or level_adu is None else flat.noise_adu * abs(level_adu)


def _growth(frame: FrameMeta, dark: FrameMeta, doubling_c: float) -> float | None:
    """How much larger the frame's dark signal is than the master's; unknown on both sides is the same."""
    factor = 1.0
    wanted_c, found_c = temperature_c(frame), temperature_c(dark)
    if (wanted_c is None) != (found_c is None) or (frame.exposure_s is None) != (dark.exposure_s is None):
        return None
    if wanted_c is not None and found_c is not None:
        factor *= 2.0 ** ((wanted_c - found_c) / doubling_c)
    if frame.exposure_s is not None and dark.exposure_s is not None and frame.exposure_s != dark.exposure_s:
        if not dark.exposure_s:
            return None
        factor *= frame.exposure_s / dark.exposure_s
    return factor
