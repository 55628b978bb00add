"""Counting and reading electrons, fast: the shapes of Poisson and Gauss from one random number a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_TURN = np.float32(2 * np.pi / 2**32)
_UNIT = np.float32(2.0**-31)


def normal_rows(seed: Sequence[int], first: int, last: int, width: int) -> Floats:
    """Rows of standard normal numbers, ``(last − first, width)``.

    Row n is a function of the seed and n alone, so that tiles may be made in any order, size and thread:
    a PCG64 stream is entered at the row. Box–Muller, whose float32 logarithm, sine and cosine numpy does
    many at once; the largest value is 6.6.
    """
    half = -(-width // 2)
    stream = np.random.PCG64([*seed]).advance(first * half)
    raw = stream.random_raw((last - first) * half).view(np.int32).reshape(last - first, 2, half)
    radius = np.abs(raw[:, 0].astype(np.float32))
    radius *= _UNIT
    np.maximum(radius, _UNIT, out=radius)
    np.log(radius, out=radius)
    radius *= np.float32(-2.0)
    np.sqrt(radius, out=radius)
    angle = raw[:, 1].astype(np.float32)
    angle *= _TURN
    z = np.empty((last - first, 2 * half), np.float32)
    np.cos(angle, out=z[:, :half])
    np.sin(angle, out=z[:, half:])
    z[:, :half] *= radius
    z[:, half:] *= radius
    return z[:, :width]


def count(expected_e: Floats, z: Floats, read_noise_e: float, full_well_e: float) -> Floats:
    """Electrons that the amplifier reports where ``expected_e`` are expected, from standard normals.

    The sum of a Poisson and a Gaussian number has mean λ, variance σ² = λ + r² and third cumulant λ. The
    first terms of Cornish and Fisher's expansion give a number with those three:
    x = λ + z·√(σ² − 2k²) + k·(z² − 1), k = λ/(6σ²). A full well clips what was counted, not the reading of
    it. Shapes are equal; ``z`` is overwritten. The read noise is not zero.
    """
    variance = expected_e + np.float32(read_noise_e**2)
    k = expected_e / variance
    k *= np.float32(1 / 6)
    counted = z * z
    counted -= np.float32(1.0)
    counted *= k
    counted += expected_e
    k *= k
    k *= np.float32(2.0)
    variance -= k
    np.sqrt(variance, out=variance)
    variance *= z
    counted += variance
    if counted.size and counted.max() > full_well_e - 6 * read_noise_e:
        z *= np.float32(read_noise_e)
        z += np.float32(full_well_e)
        np.minimum(counted, z, out=counted)
    return counted
