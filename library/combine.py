"""Many frames into one master: a sigma-clipped mean per pixel, strip by strip in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.errors import LibraryError, UncalibratedFlatError
from library.frames import FrameKind
from library.reading import image_shape, open_image, read_frame, read_rows, stored_dtype

Plane = NDArray[np.float32]

CLIP_SIGMA = 4.0
STRIP_BYTES = 32_000_000
"""Size of one strip of all frames as float32; a strip is worked on in about five times that."""

_MAD_TO_SIGMA = 1.4826
_SMALL_SAMPLE = (1.0, 1.0, 1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107)
"""By n, what makes the MAD of n normal samples unbiased; n/(n − 0.8) beyond (Croux & Rousseeuw 1992)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A master (H, W): bias and dark in ADU, a flat with mean 1 (in each CFA channel, if it has them)."""

    kind: FrameKind
    pixels: Plane
    n_frames: int
    clipped_fraction: float


def combine(
    paths: Sequence[Path],
    kind: FrameKind,
    *,
    bias: Plane | None = None,
    dark: Plane | None = None,
    bayer_pattern: str | None = None,
    allow_uncalibrated_flat: bool = False,
) -> Master:
    """Combine the frames of one group. The order of ``paths`` does not matter.

    Biases, darks and flat-darks are averaged as they are: a master dark contains its bias. From flats the
    flat-dark (``dark``) or else the ``bias`` is taken off, each is scaled by its own median (per CFA channel
    if there is a Bayer pattern), and their mean is scaled to 1. Dead pixels of a flat are left at what they
    are, possibly 0.

    Raises :class:`UncalibratedFlatError` for flats with neither, as the pedestal left in would make the flat
    too shallow; :class:`LibraryError` for frames of different sizes; :class:`NotAFitsFileError`.
    """
    paths = sorted(paths)
    if kind is FrameKind.FLAT:
        pedestal = bias if dark is None else dark
        if pedestal is None and not allow_uncalibrated_flat:
            raise UncalibratedFlatError(
                f"{len(paths)} flats ({paths[0].name} …) have neither a flat-dark nor a bias: "
                "a flat with its pedestal in it corrects vignetting wrongly; "
                "shoot biases or flat-darks with the same settings"
            )
    elif bias is not None or dark is not None:
        raise ValueError("only flats are calibrated before they are combined: a master dark keeps its bias")
    else:
        pedestal = None
    shape, quantum = _common_shape(paths)
    if pedestal is not None and pedestal.shape != shape:
        raise LibraryError(f"{paths[0].name} is {shape}, its bias or flat-dark is {pedestal.shape}")
    cells = 2 if kind is FrameKind.FLAT and bayer_pattern else 1
    scales = (
        np.array([_cell_medians(_calibrated(path, pedestal), cells) for path in paths])
        if kind is FrameKind.FLAT
        else None
    )
    result = np.empty(shape, np.float32)
    clipped = 0
    for rows in _strips(shape, len(paths)):
        stack = np.stack([read_rows(path, rows).astype(np.float32, copy=False) for path in paths])
        noise_floor = quantum / 2
        if pedestal is not None:
            stack -= pedestal[rows]
        if scales is not None:
            _divide_cells(stack, scales)
            noise_floor /= float(scales.mean())
        result[rows], n_clipped = clipped_mean(stack, noise_floor=noise_floor)
        clipped += n_clipped
    if kind is FrameKind.FLAT:
        _divide_cells(result[None], _cell_means(result, cells)[None])
    return Master(
        kind=kind, pixels=result, n_frames=len(paths), clipped_fraction=clipped / (result.size * len(paths))
    )


def clipped_mean(
    stack: Plane, *, clip_sigma: float = CLIP_SIGMA, noise_floor: float = 0.0
) -> tuple[Plane, int]:
    """Mean along the first axis of (N, h, W), leaving out what is far from the median; and how many that was.

    Far is more than ``clip_sigma`` times 1.4826·MAD of the pixel, or of the typical pixel of the stack if
    that is larger: from few frames a single pixel's MAD is often by chance near zero. ``noise_floor`` is
    the least sigma that data of this grain can have. Fewer than three frames are not clipped.
    """
    if len(stack) < 3:
        return stack.mean(axis=0, dtype=np.float64).astype(np.float32), 0
    ordered = np.sort(stack, axis=0)  # summed in this order, so that the frames' own does not matter
    deviation = np.abs(ordered - _middle(ordered))
    n = len(stack)
    to_sigma = _MAD_TO_SIGMA * (_SMALL_SAMPLE[n] if n < len(_SMALL_SAMPLE) else n / (n - 0.8))
    sigma = np.float32(to_sigma) * _middle(np.sort(deviation, axis=0))
    np.maximum(sigma, max(float(np.median(sigma)), noise_floor), out=sigma)
    keep = deviation <= clip_sigma * sigma
    kept = keep.sum(axis=0)  # never 0: half of the frames are within one MAD of the median
    total = ordered.sum(axis=0, dtype=np.float64, where=keep)
    return (total / kept).astype(np.float32), int(keep.size - kept.sum())


def _middle(ordered: Plane) -> Plane:
    """The median of what is sorted along the first axis; several times faster than ``np.median``."""
    last = len(ordered) - 1
    middle: Plane = (ordered[last // 2] + ordered[(last + 1) // 2]) / np.float32(2)
    return middle


def _common_shape(paths: Sequence[Path]) -> tuple[tuple[int, int], float]:
    """The size of all frames, and the grain of their values (1 ADU if all are integers, else 0)."""
    if not paths:
        raise LibraryError("there are no frames to combine")
    shapes: dict[tuple[int, ...], Path] = {}
    integers = True
    for path in paths:
        with open_image(path) as (_, unit):
            shapes.setdefault(image_shape(unit), path)
            integers &= unit.is_compressed_image or stored_dtype(unit).kind != "f"
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        listed = ", ".join(f"{path.name} is {shape}" for shape, path in shapes.items())
        raise LibraryError(f"frames of different sizes or with colour planes cannot be combined: {listed}")
    height, width = next(iter(shapes))
    return (height, width), float(integers)


def _strips(shape: tuple[int, int], n_frames: int) -> Iterator[slice]:
    """Row ranges that begin at even rows, so that a CFA's cells stay where they are."""
    height, width = shape
    rows = max(2, STRIP_BYTES // (4 * n_frames * width) // 2 * 2)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def _calibrated(path: Path, pedestal: Plane | None) -> NDArray[Any]:
    pixels = read_frame(path).pixels
    return pixels if pedestal is None else pixels - pedestal


def _cell_medians(pixels: NDArray[Any], cells: int) -> NDArray[np.float64]:
    medians = [[np.median(pixels[y::cells, x::cells]) for x in range(cells)] for y in range(cells)]
    if np.min(medians) <= 0:
        raise LibraryError(f"a flat has a level of {np.min(medians):.1f} ADU above its pedestal: no light")
    return np.array(medians, np.float64)


def _cell_means(pixels: Plane, cells: int) -> NDArray[np.float64]:
    return np.array(
        [[pixels[y::cells, x::cells].mean(dtype=np.float64) for x in range(cells)] for y in range(cells)]
    )


def _divide_cells(stack: Plane, scales: NDArray[np.float64]) -> None:
    """Divide each of (N, h, W) frames by its (N, cells, cells) scales, in place."""
    cells = scales.shape[-1]
    for y in range(cells):
        for x in range(cells):
            stack[:, y::cells, x::cells] /= scales[:, y, x, None, None].astype(np.float32)
