"""Calibration files given on the command line become masters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstlight.errors import FirstlightError
from library.combine import combine
from library.errors import LibraryError
from library.frames import FrameKind
from library.reading import read_frame, read_meta
from livestack.masters import Masters, prepare


def load_masters(
    darks: Sequence[Path], flats: Sequence[Path], biases: Sequence[Path], *, bayer_pattern: str | None
) -> Masters:
    """Combine raw frames of each kind; a master is used as it is.

    A master is a lone file that says NCOMBINE (or STACKCNT) > 1, or that holds floats. Raw flats need biases,
    whose level is taken off before they are scaled. Raises FirstlightError for frames that don't fit
    together.
    """
    try:
        bias = _master(biases, FrameKind.BIAS)
        dark = _master(darks, FrameKind.DARK)
        flat = _master(flats, FrameKind.FLAT, bias=bias, bayer_pattern=bayer_pattern)
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
    return prepare(bias=bias, dark=dark, flat=flat, bayer_pattern=bayer_pattern)


def _master(
    paths: Sequence[Path],
    kind: FrameKind,
    *,
    bias: NDArray[np.float32] | None = None,
    bayer_pattern: str | None = None,
) -> NDArray[np.float32] | None:
    if not paths:
        return None
    if len(paths) == 1:
        frame = read_frame(paths[0])
        if frame.pixels.ndim != 2:
            raise FirstlightError(f"{paths[0]}: a {kind.value} has one plane, this is a colour picture")
        if frame.meta.n_combined > 1 or frame.pixels.dtype.kind == "f":
            return frame.pixels.astype(np.float32, copy=False)
    for path in paths:
        if read_meta(path).n_combined > 1:
            raise FirstlightError(
                f"{path} is a master {kind.value} already; give it alone, or give the frames it was made of"
            )
    return combine(list(paths), kind, bias=bias, bayer_pattern=bayer_pattern).pixels
