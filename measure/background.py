"""The sky under the stars: its level across the frame and its scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Background:
    """``level_adu`` is (H, W) float32; ``median_adu`` and ``rms_adu`` describe the whole frame."""

    level_adu: NDArray[np.float32]
    median_adu: float
    rms_adu: float


def measure_background(
    image: NDArray[np.float32], *, invalid: NDArray[np.bool_] | None = None, box_px: int = 64
) -> Background:
    """Estimate the sky of an (H, W) image as SExtractor does (Bertin & Arnouts 1996): clipped boxes, splined.

    ``invalid`` pixels (H, W) are left out. Boxes shrink with small frames so that there are at least four a
    side.
    """
    box = max(8, min(box_px, min(image.shape) // 4))
    data = np.ascontiguousarray(image, dtype=np.float32)
    estimate = sep.Background(data, mask=invalid, bw=box, bh=box)
    return Background(estimate.back(dtype=np.float32), float(estimate.globalback), float(estimate.globalrms))
