"""Plane transforms as 3×3 matrices that act on column vectors (x, y, 1), and their least-squares fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]


def apply(matrix: Matrix, points: Points) -> Points:
    """Map (N, 2) points."""
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def fit_similarity(source: Points, target: Points, weight: NDArray[np.float64]) -> Matrix:
    """Weighted least-squares shift, rotation and scale from (N, 2) source to target, N ≥ 2."""
    w = weight / weight.sum()
    centre_s, centre_t = w @ source, w @ target
    s, t = source - centre_s, target - centre_t
    spread = w @ (s * s).sum(axis=1)
    c = w @ (s * t).sum(axis=1) / spread
    d = w @ (s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]) / spread
    return _assemble(np.array([[c, -d], [d, c]]), centre_s, centre_t)


def fit_affine(source: Points, target: Points, weight: NDArray[np.float64]) -> Matrix:
    """Weighted least-squares affine transform from (N, 2) source to target, N ≥ 3 and not on one line."""
    w = weight / weight.sum()
    centre_s, centre_t = w @ source, w @ target
    s, t = source - centre_s, target - centre_t
    linear = np.linalg.solve((s * w[:, None]).T @ s, (s * w[:, None]).T @ t).T
    return _assemble(linear, centre_s, centre_t)


def rotation_deg(matrix: Matrix) -> float:
    """Rotation from source to target, from +x towards +y, in −180…180."""
    return float(np.degrees(np.arctan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1])))


def scale(matrix: Matrix) -> float:
    """Linear magnification; negative for a mirror image."""
    det = float(np.linalg.det(matrix[:2, :2]))
    return float(np.copysign(np.sqrt(abs(det)), det))


def size(matrix: Matrix) -> float:
    """How many pixels of the target one of the source is wide, mirrored or not."""
    return abs(scale(matrix))


def _assemble(linear: NDArray[np.float64], centre_s: Points, centre_t: Points) -> Matrix:
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre_t - linear @ centre_s
    return matrix
