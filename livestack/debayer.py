"""A Bayer mosaic becomes colour, in floats, after calibration."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")

_CROSS = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], dtype=np.float32) / 4
_SQUARE = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32) / 4
# sRGB's weights favour green as the mosaic does; for finding stars, count the photosites.
_PHOTOSITES = np.array([[0.25, 0.5, 0.25]], dtype=np.float32)


def debayer(mosaic: NDArray[np.float32], pattern: str) -> NDArray[np.float32]:
    """Return (H, W, 3) from an (H, W) mosaic by bilinear interpolation of each colour.

    ``pattern`` names the colours of the first 2×2 pixels, row by row. Measured samples keep their values. NaN
    spreads to the pixels that need it. Raises ValueError for an unknown pattern.
    """
    if pattern not in PATTERNS:
        raise ValueError(f"unknown Bayer pattern {pattern!r}; known are {', '.join(PATTERNS)}")
    colour = np.empty((*mosaic.shape, 3), dtype=np.float32)
    for channel, name in enumerate("RGB"):
        sparse = np.zeros_like(mosaic)
        for site, letter in enumerate(pattern):
            if letter == name:
                i, j = divmod(site, 2)
                sparse[i::2, j::2] = mosaic[i::2, j::2]
        kernel = _CROSS if name == "G" else _SQUARE
        # Reflecting about the border pixel keeps the mosaic's parity.
        colour[..., channel] = cv2.filter2D(sparse, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return colour


def luminance(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (H, W) image in which to look for stars: mono as it is, colour by its photosites."""
    if pixels.ndim == 2:
        return pixels
    return np.asarray(cv2.transform(pixels, _PHOTOSITES), dtype=np.float32).reshape(pixels.shape[:2])
