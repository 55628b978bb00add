"""Pictures on disk, whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def write_png(path: Path, picture: NDArray[np.uint8], *, max_side_px: int | None = None) -> tuple[int, int]:
    """Write (H, W) or (H, W, 3) as PNG and return its (width, height).

    ``max_side_px`` shrinks larger pictures by area averaging. The file appears by renaming, so that who reads
    it meanwhile sees the old picture or the new one. Raises OSError as the file system does.
    """
    image = Image.fromarray(np.ascontiguousarray(picture))
    if max_side_px is not None and max(image.size) > max_side_px:
        factor = max_side_px / max(image.size)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.BOX if factor < 0.5 else Image.Resampling.LANCZOS)
    part = path.with_name(f".{path.name}.part-{secrets.token_hex(4)}")
    try:
        with part.open("xb") as file:
            image.save(file, format="PNG", compress_level=3)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return image.size
