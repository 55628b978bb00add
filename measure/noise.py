"""Background noise of an image that is full of stars.

The estimator is the third difference of DER_SNR (Stoehr et al. 2008, ASP Conf. 394, 505) along rows and
columns: ``2 f(i) − f(i−2) − f(i+2)`` cancels any sky that is locally straight, its median absolute value is
blind to stars, and its gap of two pixels steps over the correlation that resampling puts between neighbours.
Whatever correlation is left at a distance of two pixels (a bilinear demosaic's, say) is the same in a
registered sub and in a stack of such subs, so that their ratio is honest even where either figure is a little
low.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GAP = 2
_MAD_TO_SIGMA = 1.482602
_MAX_SAMPLES = 400_000
_CLIP_SIGMA = 4.0
_BORDER_PX = 16
_CLIP_ROUNDS = 3


def background_noise(
    image: NDArray[np.float32], valid: NDArray[np.bool_ | np.integer[Any]] | None = None, *, least: int = 1
) -> float:
    """Standard deviation of the background of an (H, W) image, in its own unit; NaN if too little is valid.

    Valid is what has ``least`` or more in ``valid``, which may be a mask or a coverage.
    Differences beyond 4σ (stars, nebula edges) are clipped before the last median. Large images are sampled
    in whole lines.
    """
    across = None if valid is None else valid.T
    lines = (_differences(image, valid, least), _differences(image.T, across, least))
    return _clipped(np.concatenate(lines))


def line_noise(*lines: NDArray[np.float32]) -> float:
    """The same from some lines of an image, each a row of (N, L), and further such sets."""
    return _clipped(np.concatenate([_differences(each) for each in lines]))


def _clipped(samples: NDArray[np.float32]) -> float:
    samples = np.sort(samples)  # once, instead of a median a round
    count = len(samples)
    if count < 100:
        return float("nan")
    sigma = _middle(samples) * _MAD_TO_SIGMA
    for _ in range(_CLIP_ROUNDS):
        count = int(np.searchsorted(samples, _CLIP_SIGMA * sigma, side="right"))
        if count < 100:
            break
        sigma = _middle(samples[:count]) * _MAD_TO_SIGMA
    return sigma / math.sqrt(6.0)


def _middle(ordered: NDArray[np.float32]) -> float:
    return 0.5 * float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2])


def _differences(
    image: NDArray[np.float32], valid: NDArray[np.bool_ | np.integer[Any]] | None = None, least: int = 1
) -> NDArray[np.float32]:
    """|2 f(i) − f(i−2) − f(i+2)| along the rows, where all three are valid and finite, as one long line."""
    step = max(1, 2 * image.size // _MAX_SAMPLES)
    rows = np.ascontiguousarray(image[::step])
    left, centre, right = rows[:, : -2 * _GAP], rows[:, _GAP:-_GAP], rows[:, 2 * _GAP :]
    difference: NDArray[np.float32] = np.abs(2 * centre - left - right).astype(np.float32, copy=False)
    good = np.isfinite(difference)
    _leave_out_borders(rows, good)
    if valid is not None:
        ok = valid[::step] >= least
        good &= ok[:, : -2 * _GAP] & ok[:, _GAP:-_GAP] & ok[:, 2 * _GAP :]
    return difference[good]


def _leave_out_borders(rows: NDArray[np.float32], good: NDArray[np.bool_]) -> None:
    """Leave out where lines begin or end with a long run of one value: a border without data has no noise."""
    for line, side in ((rows, good), (rows[:, ::-1], good[:, ::-1])):
        begins = (line[:, 1 : _BORDER_PX + 1] == line[:, :1]).all(axis=1)
        for i in np.flatnonzero(begins):
            other = np.flatnonzero(line[i] != line[i, 0])
            side[i, : other[0] if len(other) else None] = False
