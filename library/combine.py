"""Many frames into one master: sampled, judged, and combined tile by tile in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from library.agreement import LeftOut, median, saturated, unlike, unlit
from library.errors import LibraryError, UncalibratedFlatError
from library.frames import FrameKind
from library.methods import Method, default_method, efficiency
from library.mosaics import cell_px
from library.stacked import Frames, open_frames

if TYPE_CHECKING:
    from library.kernels.columns import Floats, Phases

Plane = NDArray[np.float32]

MEMORY_BYTES = 512_000_000
"""What combining may take, the result and the pedestal included; half a Raspberry Pi's smallest memory."""

_TILE_BYTES = 8_000_000
"""More makes nothing faster."""

_SAMPLE_PIXELS, _SAMPLE_BYTES = 1 << 17, 32_000_000
"""The pixels that frames are judged by and noise is measured on: whole pairs of rows all over the frame."""

_NO_OFFSETS = np.empty(0, np.float32)
_NO_SCALES = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A master (H, W): bias and dark in ADU, a flat with mean 1 (in each CFA channel, if it has them).

    ``noise_adu`` is the random noise of one of its pixels, ``uncertainty_adu`` that and what the frames'
    common level adds, ``None`` from one frame, which tells neither; ``spread_adu`` is the robust spread of
    its pixels, pattern and noise. Of a flat, all three are relative to 1.
    """

    kind: FrameKind
    pixels: Plane
    n_frames: int
    method: Method
    rejected_fraction: float
    noise_adu: float | None
    spread_adu: float
    uncertainty_adu: float | None
    used: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]
    overscan_adu: float | None = None
    """The mean level of the overscans of the frames used, if all have one."""


def combine(
    paths: Sequence[Path],
    kind: FrameKind,
    *,
    bias: Plane | None = None,
    dark: Plane | None = None,
    pedestal_overscan_adu: float | None = None,
    bayer_pattern: str | None = None,
    method: Method | None = None,
    allow_uncalibrated_flat: bool = False,
    memory_bytes: int = MEMORY_BYTES,
) -> Master:
    """Combine the frames of one group. The order of ``paths`` does not matter.

    Biases, darks and flat-darks are combined as they are: a master dark contains its bias. From flats the
    flat-dark (``dark``) or else the ``bias`` is taken off, each is scaled by its own median (per CFA channel
    if there is a Bayer pattern), and the result to mean 1. Dead pixels of a flat are left at what they are,
    possibly 0. Frames that are saturated or unlit (flats) or unlike the others are left out, with a reason.
    ``method`` None is :func:`library.methods.default_method`. Where the flats know the level of their
    overscans, and ``pedestal_overscan_adu`` is that of what is taken off, the mean difference goes, too.

    Raises :class:`UncalibratedFlatError` for flats with neither, as the pedestal left in would make the flat
    too shallow; :class:`LibraryError` for frames of different sizes or if none is left;
    :class:`NotAFitsFileError`.
    """
    paths = sorted(paths)
    if not paths:
        raise LibraryError("there are no frames to combine")
    if kind is FrameKind.FLAT:
        pedestal = bias if dark is None else dark
        if pedestal is None and not allow_uncalibrated_flat:
            raise UncalibratedFlatError(
                f"{len(paths)} flats ({paths[0].name} …) have neither a flat-dark nor a bias: "
                "a flat with its pedestal in it corrects vignetting too little, or inverts it; shoot biases "
                "or flat-darks with the same settings, or insist with --uncalibrated-flats"
            )
    elif bias is not None or dark is not None:
        raise ValueError("only flats are calibrated before they are combined: a master dark keeps its bias")
    else:
        pedestal = None
    with open_frames(paths) as frames:
        if pedestal is not None and pedestal.shape != frames.shape:
            raise LibraryError(
                f"{paths[0].name} is {frames.shape}, its bias or flat-dark is {pedestal.shape}"
            )
        if pedestal is not None:
            if frames.overscan_adu is not None and pedestal_overscan_adu is not None:
                pedestal = pedestal + np.float32(frames.overscan_adu - pedestal_overscan_adu)
            pedestal = np.ascontiguousarray(pedestal, np.float32)
        cells = cell_px(bayer_pattern)
        return _Work(frames, kind, pedestal, cells, memory_bytes).master(method)


class _Work:
    """One master being made."""

    def __init__(
        self, frames: Frames, kind: FrameKind, pedestal: Plane | None, cells: int, memory_bytes: int
    ) -> None:
        self._frames, self._kind, self._pedestal, self._cells = frames, kind, pedestal, cells
        self._memory_bytes = memory_bytes
        self._is_flat = kind is FrameKind.FLAT

    def master(self, method: Method | None) -> Master:
        samples, pedestal, phase = self._sample()
        reasons = saturated(samples) if self._is_flat and self._frames.grain else {}
        if pedestal.size:
            samples -= pedestal
        scales = _NO_SCALES
        if self._is_flat:
            levels = np.stack([median(samples[:, phase == c], axis=1) for c in range(self._cells**2)], 1)
            reasons |= unlit(samples, levels, self._frames.shape[1])
            scales = (1 / np.where(levels > 0, levels, 1)).astype(np.float32)
            samples *= scales[:, phase]
        samples, scales, left_out = self._judge(samples, scales, reasons)
        method = method or default_method(len(self._frames))
        typical, level_variance = self._spread(samples)
        grain = self._frames.grain * (float(scales.mean()) if self._is_flat else 1.0)
        floor = max(typical, grain / 2) if method.floor else 0.0
        pixels, kept = self._combine(method, floor, scales)
        if self._is_flat:
            _divide_cells(pixels, self._cells)
        n = len(self._frames)
        kept_fraction = kept / (pixels.size * n)
        effective = n * kept_fraction * efficiency(method, n)
        known = n > 1
        return Master(
            kind=self._kind,
            pixels=pixels,
            n_frames=n,
            method=method,
            rejected_fraction=1 - kept_fraction,
            noise_adu=float(np.sqrt(max(typical**2 - level_variance, 0) / effective)) if known else None,
            spread_adu=_robust_spread(pixels),
            uncertainty_adu=typical / float(np.sqrt(effective)) if known else None,
            used=self._frames.paths,
            left_out=left_out,
            overscan_adu=self._frames.overscan_adu,
        )

    def _sample(self) -> tuple[Floats, Floats, Phases]:
        """Rows of whole cells of all frames (N, P), those of the pedestal (P), each pixel's CFA channel."""
        height, width = self._frames.shape
        deep = max(2, self._cells)
        wanted = min(_SAMPLE_PIXELS, _SAMPLE_BYTES // (4 * len(self._frames)))
        strips = min(max(1, wanted // (deep * width)), -(-height // deep))
        tops = sorted({int(top) // deep * deep for top in np.linspace(0, height - 1, strips)})
        rows = [(top, min(top + deep, height)) for top in tops]
        samples = np.concatenate([self._frames.read_floats(*pair) for pair in rows], axis=1)
        phase = np.concatenate([_phase(*pair, width, self._cells) for pair in rows])
        if self._pedestal is None:
            return samples, _NO_OFFSETS, phase
        return samples, np.concatenate([self._pedestal[a:b].reshape(-1) for a, b in rows]), phase

    def _judge(
        self, samples: Floats, scales: Floats, reasons: dict[int, str]
    ) -> tuple[Floats, Floats, tuple[LeftOut, ...]]:
        """Leave frames out: first what is bad in itself, then what is unlike the rest."""
        before, names = self._frames, {}
        kept = [i for i in range(len(before)) if i not in reasons]
        if kept:
            common, _, _ = _reduced(samples[kept], Method.parse("median"), 0.0)
            grain = before.grain if not self._is_flat else 0.0
            found = unlike(samples[kept], common, grain, flat=self._is_flat)
            names = {kept[i]: reason for i, reason in found.items()}
            kept = [i for i in kept if i not in names]
        reasons = reasons | names
        left_out = tuple(LeftOut(path=before.paths[i], reason=reasons[i]) for i in sorted(reasons))
        if not kept:
            listed = "; ".join(f"{each.path.name}: {each.reason}" for each in left_out[:3])
            raise LibraryError(f"none of the {len(before)} frames can be used: {listed}; shoot them again")
        if left_out:
            self._frames = before.only(kept)
            samples, scales = samples[kept], scales[kept] if scales.size else scales
        return samples, scales, left_out

    def _spread(self, samples: Floats) -> tuple[float, float]:
        """The typical pixel's standard deviation between frames, and the variance of the frames' levels.

        The mean of the pixels' variances, but for pixels of more than ten times the typical one (hits, hot
        and unstable pixels). The typical one is their median, by Wilson and Hilferty's χ² made a mean.
        """
        n = len(samples)
        if n < 2:
            return 0.0, 0.0
        _, spreads, _ = _reduced(samples, Method.parse("average"), 0.0, spreads=True)
        variances = spreads[np.isfinite(spreads)].astype(np.float64) ** 2
        if not variances.size:
            return 0.0, 0.0
        usual = float(np.median(variances)) / (1 - 2 / (9 * (n - 1))) ** 3
        grain = 0.0 if self._is_flat else self._frames.grain
        typical = float(variances[variances <= 10 * max(usual, grain**2 / 4)].mean())
        return float(np.sqrt(typical)), float(median(samples, axis=1).astype(np.float64).var(ddof=1))

    def _combine(self, method: Method, floor: float, scales: Floats) -> tuple[Plane, int]:
        height, width = self._frames.shape
        result = np.empty((height, width), np.float32)

        def work(rows: tuple[int, int]) -> int:
            top, bottom = rows
            offsets = _NO_OFFSETS if self._pedestal is None else self._pedestal[top:bottom].reshape(-1)
            read = self._frames.read_words if self._frames.words else self._frames.read_floats
            values, _, kept = _reduced(
                read(top, bottom),
                method,
                floor,
                offsets=offsets,
                scales=scales,
                phase=_phase(top, bottom, width, self._cells if scales.size else 0),
            )
            result[top:bottom] = values.reshape(-1, width)
            return kept

        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads, thread_name_prefix="combine") as pool:
            return result, sum(pool.map(work, self._tiles(threads)))

    def _tiles(self, threads: int) -> Iterator[tuple[int, int]]:
        """Row ranges that begin at even rows, so that a CFA's cells stay where they are."""
        height, width = self._frames.shape
        planes = 4 * height * width * (1 if self._pedestal is None else 2)
        room = (self._memory_bytes - planes - _SAMPLE_BYTES) // threads
        row = len(self._frames) * width * (2 if self._frames.words else 4)
        rows = max(2, min(room, _TILE_BYTES) // row // 2 * 2)
        return ((top, min(top + rows, height)) for top in range(0, height, rows))


def combine_stack(stack: Plane, method: Method, *, least_sigma: float = 0.0) -> tuple[Plane, float]:
    """Combine (N, H, W) frames that are in memory; the result (H, W) and the fraction that was rejected.

    ``least_sigma`` is what sigma is at least.
    """
    flat = np.ascontiguousarray(stack, np.float32).reshape(len(stack), -1)
    values, _, kept = _reduced(flat, method, least_sigma)
    return values.reshape(stack.shape[1:]), 1 - kept / max(1, flat.size)


def _reduced(
    frames: NDArray[np.uint16] | NDArray[np.float32],
    method: Method,
    floor: float,
    *,
    offsets: Floats = _NO_OFFSETS,
    scales: Floats = _NO_SCALES,
    phase: Phases | None = None,
    spreads: bool = False,
) -> tuple[Floats, Floats, int]:
    """Values and spreads (P) of frames (N, P), and how many samples were kept."""
    from library.kernels import columns  # numba takes a second to load
    from library.kernels.network import sorting_network

    count, size = frames.shape
    values = np.empty(size, np.float32)
    deviations = np.empty(size if spreads else 0, np.float32)
    kernel: Any = columns.combine_words if frames.dtype == np.uint16 else columns.combine_floats
    kept: int = kernel(
        frames,
        sorting_network(count),
        method.number,
        np.array(method.limits, np.float64),
        floor,
        offsets,
        scales,
        np.empty(0, np.uint8) if phase is None else phase,
        values,
        deviations,
    )
    return values, deviations, kept


def _phase(top: int, bottom: int, width: int, cells: int) -> Phases:
    """The CFA channel of each pixel in these rows: 0, or 0 to 3 from left to right and top to bottom."""
    if cells == 0:
        return np.empty(0, np.uint8)
    y, x = np.mgrid[top:bottom, :width]
    return np.asarray((y % cells * cells + x % cells).reshape(-1), np.uint8)


def _divide_cells(pixels: Plane, cells: int) -> None:
    """Divide each CFA channel by its mean, in place."""
    for y in range(cells):
        for x in range(cells):
            channel = pixels[y::cells, x::cells]
            channel /= np.float32(np.nanmean(channel, dtype=np.float64))


def _robust_spread(pixels: Plane) -> float:
    """1.4826 times the MAD of a sample of the pixels, whole rows all over."""
    sample = pixels[:: max(1, pixels.size // _SAMPLE_PIXELS)]
    return 1.4826 * float(np.nanmedian(np.abs(sample - np.nanmedian(sample))))
