"""A light from a file, matched at its own level, so that the noise its flat leaves can be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from library.coverage import Calibration, Coverage
from library.matching import match
from library.reading import read_frame
from library.store import Library


def match_file(library: Library, light: Path) -> Calibration:
    """Match a light or a flat; its level is its median above that of the dark or bias that it gets.

    Raises :class:`LibraryError` for a file that cannot be read.
    """
    frame = read_frame(light, in_adu=True)
    found = match(library, frame.meta)
    dark = None if found.dark.coverage is Coverage.MODELLED else found.dark.fitting
    pedestal = dark or found.bias.fitting
    if pedestal is None or found.flat.fitting is None:
        return found
    level = float(np.median(frame.pixels)) - float(np.median(read_frame(pedestal.path, in_adu=True).pixels))
    return match(library, frame.meta, level_adu=level)
