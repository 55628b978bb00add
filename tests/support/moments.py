"""Adaptive Gaussian-weighted moments: where a star is and how wide, free of the detection threshold.

The weight is an elliptical Gaussian that is matched to the star itself (Bernstein & Jarvis 2002, AJ 123,
583). For a matched weight the windowed covariance is half the true one, so that ``W ← 2 C`` is a fixed-point
iteration whose error halves every round. Isophotal moments grow with the signal-to-noise ratio; these don't,
and so the FWHM of a deep stack may be compared with that of one sub.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_ROUNDS = 12
_MIN_VARIANCE = 0.12


@dataclass(frozen=True, slots=True)
class Moments:
    """Centroid (x, y) and standard deviations along the axes, all in pixels; ``theta`` in radians from +x."""

    x: FloatArray
    y: FloatArray
    a: FloatArray
    b: FloatArray
    theta: FloatArray


def adaptive_moments(image: NDArray[np.float32], x: FloatArray, y: FloatArray, half_px: int) -> Moments:
    """Measure N stars at about (x, y) in a background-free (H, W) image, in windows of 2·half_px + 1.

    A star whose window leaves no positive flux or wanders by more than half a window comes back as NaN.
    """
    height, width = image.shape
    column = np.rint(x).astype(np.intp)
    row = np.rint(y).astype(np.intp)
    offsets = np.arange(-half_px, half_px + 1)
    rows = row[:, None] + offsets
    columns = column[:, None] + offsets
    stamps = image[np.clip(rows, 0, height - 1)[:, :, None], np.clip(columns, 0, width - 1)[:, None, :]]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    stamps = np.where(inside, stamps, 0.0).astype(np.float32)

    cx, cy = x - column, y - row
    xx = np.full_like(cx, 2.0)
    yy, xy = xx.copy(), np.zeros_like(cx)
    grid = offsets.astype(np.float32)
    largest = (half_px / 1.5) ** 2
    lost = np.zeros(cx.shape, dtype=bool)
    for _ in range(_ROUNDS):
        dx = grid[None, :] - cx[:, None].astype(np.float32)
        dy = grid[None, :] - cy[:, None].astype(np.float32)
        det = xx * yy - xy * xy
        p, q, r = ((v / det).astype(np.float32)[:, None, None] for v in (yy, xx, xy))
        dxs, dys = dx[:, None, :], dy[:, :, None]
        weighted = stamps * np.exp(-0.5 * (p * dxs * dxs + q * dys * dys - 2.0 * r * dxs * dys))
        along_x, along_y = weighted.sum(axis=1), weighted.sum(axis=2)
        total = along_x.sum(axis=1, dtype=np.float64)
        lost |= ~(total > 0)
        safe = np.where(total > 0, total, 1.0)
        mx, my = (along_x * dx).sum(axis=1) / safe, (along_y * dy).sum(axis=1) / safe
        cxx = (along_x * dx * dx).sum(axis=1) / safe - mx * mx
        cyy = (along_y * dy * dy).sum(axis=1) / safe - my * my
        cxy = np.einsum("nij,ni,nj->n", weighted, dy, dx) / safe - mx * my
        # A matched window sees half of a displacement.
        cx = np.clip(cx + 2.0 * mx, -half_px, half_px)
        cy = np.clip(cy + 2.0 * my, -half_px, half_px)
        xx = np.clip(2.0 * cxx, _MIN_VARIANCE, largest)
        yy = np.clip(2.0 * cyy, _MIN_VARIANCE, largest)
        limit = 0.95 * np.sqrt(xx * yy)
        xy = np.clip(2.0 * cxy, -limit, limit)

    lost |= np.hypot(cx, cy) > half_px / 2
    middle, spread = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    blank = np.where(lost, np.nan, 0.0)
    return Moments(
        x=column + cx + blank,
        y=row + cy + blank,
        a=np.sqrt(middle + spread) + blank,
        b=np.sqrt(np.maximum(middle - spread, _MIN_VARIANCE / 4)) + blank,
        theta=0.5 * np.arctan2(2.0 * xy, xx - yy) + blank,
    )
