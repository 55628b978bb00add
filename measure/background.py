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
    image: NDArray[np.float32],
    *,
    invalid: NDArray[np.bool_] | None = None,
    box_px: int = 64,
    every: int = 1,
) -> Background:
    """Estimate the sky of an (H, W) image as SExtractor does (Bertin & Arnouts 1996): clipped boxes, splined.

    ``invalid`` pixels (H, W) are left out. Boxes shrink with small frames so that there are at least four a
    side. With ``every`` n only each n-th pixel of each n-th row is looked at: n² times faster.
    """
    box = max(8, min(box_px, min(image.shape) // 4) // every)
    some = (slice(None, None, every), slice(None, None, every))
    data = np.ascontiguousarray(image[some], dtype=np.float32)
    mask = None if invalid is None else np.ascontiguousarray(invalid[some])
    estimate = sep.Background(data, mask=mask, bw=box, bh=box)
    level = estimate.back(dtype=np.float32)
    if every > 1:
        level = level.repeat(every, axis=0)[: image.shape[0]].repeat(every, axis=1)[:, : image.shape[1]]
    return Background(np.ascontiguousarray(level), float(estimate.globalback), float(estimate.globalrms))
