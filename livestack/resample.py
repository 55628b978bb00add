"""A sub onto the reference's pixels, with its footprint.

OpenCV's Lanczos-4 kernel keeps noise and sharpness nearly as they are. A demosaiced frame holds nothing that
fine, and a bicubic kernel keeps all it holds with less noise. OpenCV places samples on a grid of 1/32
px: at most 1/64 px from the true place, below the error of the transform itself (a test measures it).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livestack.geometry import Matrix

_UNDERSHOOT_SIGMA = 3.0
_IDENTITY_TOLERANCE_PX = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """``pixels`` (H, W[, 3]) on the reference's grid; ``covered`` (H, W) is true where they mean anything."""

    pixels: NDArray[np.float32]
    covered: NDArray[np.bool_]


def resample(
    pixels: NDArray[np.float32], matrix: Matrix, shape: tuple[int, int], *, noise_adu: float
) -> Registered:
    """Resample (H, W) or (H, W, 3) by ``matrix`` (source → reference) to ``shape`` (height, width).

    Pixels that are not finite, and whatever lies outside the source, are not covered. Beside bright stars
    the kernel dips below everything around; the result is held above the darkest source pixel near by, less
    ``3 noise_adu``, which plain noise never reaches.
    """
    size = (shape[1], shape[0])
    finite: NDArray[np.bool_] = np.isfinite(pixels)
    if pixels.ndim == 3:
        finite = np.logical_and.reduce(finite, axis=2)
    whole = bool(finite.all())
    if pixels.shape[:2] == shape and _is_identity(matrix, shape):
        return Registered(pixels if whole else _filled(pixels, finite), finite)
    source = pixels if whole else _filled(pixels, finite)
    backwards = np.linalg.inv(matrix)[:2]

    def warp(image: NDArray[np.float32], kernel: int, border: int) -> NDArray[np.float32]:
        flags = kernel | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(image, backwards, size, flags=flags, borderMode=border), np.float32)

    kernel = cv2.INTER_LANCZOS4 if pixels.ndim == 2 else cv2.INTER_CUBIC
    warped = warp(source, kernel, cv2.BORDER_REFLECT_101)
    floor = _darkest_nearby(source) - np.float32(_UNDERSHOOT_SIGMA * noise_adu)
    np.maximum(warped, warp(floor, cv2.INTER_NEAREST, cv2.BORDER_REFLECT_101), out=warped)

    present = finite.astype(np.float32)
    if not whole:
        present = _darkest_nearby(present)
    covered = warp(present, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT) > 0.999
    return Registered(warped, covered)


def _darkest_nearby(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Minimum over 3×3 pixels."""
    return np.asarray(cv2.erode(image, np.ones((3, 3), np.uint8)), dtype=np.float32)


def _filled(pixels: NDArray[np.float32], finite: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a copy with holes at the median, so that the kernel has numbers to work with."""
    filled = pixels.copy()
    filled[~finite] = np.median(pixels[finite], axis=0) if finite.any() else 0.0
    return filled


def _is_identity(matrix: Matrix, shape: tuple[int, int]) -> bool:
    corners = np.array([[0, 0, 1], [shape[1], 0, 1], [0, shape[0], 1]], dtype=np.float64).T
    return bool(np.abs((matrix - np.eye(3)) @ corners).max() < _IDENTITY_TOLERANCE_PX)
