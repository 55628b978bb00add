"""What a dark model is fitted to: the frames of one camera's settings, their noise, their block means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from library.dark_model_law import PRIOR_SLOPE, Exposures, Floats
from library.errors import LibraryError
from library.fitness import temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.master_groups import unusual
from library.reading import read_frame
from library.stacked import filled

BLOCK = 32
"""Pixels along a block's side: small against amp glow, large against noise."""

KINDS = (FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT_DARK)

_HOT_SIGMA = 5.0
_RAY_SIGMA = 8.0
_SAMPLE_ROWS = 256
_SATURATED = 0.9
_FULL_SCALES = tuple(2**bits - 1 for bits in (10, 12, 14, 16))
_NEAR_C = 0.6

Plane = NDArray[np.float32]
_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """One sub's own noise: read noise, and how many ADU an electron makes."""

    read_adu: float
    adu_per_e: float
    gain_from: str
    """``header``, ``frames`` (measured on warm pixels), or ``assumed``."""

    saturation_adu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """Frames of one group, in order of exposure, and what is needed of them before the pixels are fitted."""

    records: tuple[FrameRecord, ...]
    shots: Exposures
    noise: Noise
    blocks: Floats
    """Mean of each block's ordinary pixels, (N, block rows · block columns)."""

    block_shape: tuple[int, int]
    block_pixels: float
    """How many ordinary pixels a block has, on average."""


def model_key(meta: FrameMeta) -> _Key:
    """What must be equal for frames to be described by one model."""
    return (
        *(meta.camera, meta.width, meta.height, meta.origin, meta.binning),
        *(meta.gain, meta.offset, meta.read_mode, meta.bayer_pattern),
        *unusual(meta),
    )


def grouped(records: Iterable[FrameRecord]) -> list[list[FrameRecord]]:
    """Biases and darks by camera and settings, in a fixed order; retired frames are left out.

    Masters that the library built are left out too: their frames speak for themselves.
    """
    groups: dict[_Key, list[FrameRecord]] = defaultdict(list)
    for record in records:
        built_here = (record.meta.frame_id or "").startswith("master-")
        if record.meta.kind in KINDS and not built_here and record.retired_at is None:
            groups[model_key(record.meta)].append(record)
    return [sorted(groups[key], key=in_order) for key in sorted(groups, key=repr)]


def in_order(record: FrameRecord) -> tuple[float, float, str]:
    """By exposure, temperature, contents: sums come out alike whatever order the frames are found in."""
    exposure = 0.0 if record.meta.kind is FrameKind.BIAS else record.meta.exposure_s or 0.0
    return exposure, temperature_c(record.meta) or 0.0, record.sha256


def check_enough(records: Sequence[FrameRecord]) -> list[FrameRecord]:
    """The frames that can be used; raises :class:`LibraryError` if no model can be had of them."""
    known = [record for record in records if temperature_c(record.meta) is not None]
    known = [r for r in known if r.meta.kind is FrameKind.BIAS or r.meta.exposure_s]
    meta = records[0].meta
    what = f"{meta.camera or 'an unnamed camera'}, {meta.width}×{meta.height}"
    if not known:
        raise LibraryError(f"{what}: no dark model: its {len(records)} biases and darks tell no temperature")
    shots = exposures(known)
    if not shots.exposed.any():
        raise LibraryError(f"{what}: no dark model: there are {len(known)} biases and no dark; shoot darks")
    grown = shots.exposure_s * np.exp(PRIOR_SLOPE * (shots.temp_c - shots.temp_c.mean()))
    darks = grown[shots.exposed]
    if shots.exposed.all() and darks.max() < 1.5 * darks.min():
        raise LibraryError(
            f"{what}: no dark model: darks of {shots.exposure_s[0]:g} s alone do not tell bias from dark "
            "current; shoot biases, or darks of another exposure"
        )
    return known


def exposures(records: Sequence[FrameRecord]) -> Exposures:
    """What the headers say."""
    metas = [record.meta for record in records]
    exposed = np.array([meta.kind is not FrameKind.BIAS for meta in metas])
    return Exposures(
        exposure_s=np.where(exposed, [meta.exposure_s or 0.0 for meta in metas], 0.0),
        temp_c=np.array([temperature_c(meta) for meta in metas], np.float64),
        exposed=exposed,
        frames=np.array([float(meta.n_combined) for meta in metas]),
    )


def survey(records: Sequence[FrameRecord]) -> Set:
    """Read every frame once: block means of ordinary pixels, and the noise in the middle rows."""
    shots = exposures(records)
    ordinary = _ordinary(_pixels(records[_deepest(shots)]))
    n = len(records)
    counts = _block_sums(ordinary.astype(np.float32))
    usable = counts > counts.max() / 4
    means = np.empty((n, int(usable.sum())))
    samples, largest = [], 0.0
    for row, record in enumerate(records):
        pixels = _pixels(record)
        largest = max(largest, float(pixels.max()))
        samples.append(_middle(pixels).copy())
        means[row] = (_clipped_block_sums(pixels, ordinary) / np.maximum(counts, 1))[usable]
    blocks = np.full((n, counts.size), np.nan)
    blocks[:, usable.ravel()] = means
    return Set(
        records=tuple(records),
        shots=shots,
        noise=_measure(records, shots, samples, _middle(ordinary), largest),
        blocks=blocks,
        block_shape=(counts.shape[0], counts.shape[1]),
        block_pixels=float(counts[usable].mean()),
    )


def _pixels(record: FrameRecord) -> Plane:
    frame = read_frame(record.path, in_adu=True)
    if frame.pixels.ndim != 2:
        raise LibraryError(f"{record.path}: has colour planes; a dark model is made of raw frames")
    return filled(np.asarray(frame.pixels, np.float32))


def _deepest(shots: Exposures) -> int:
    grown = shots.exposure_s * np.exp(PRIOR_SLOPE * (shots.temp_c - shots.temp_c.max()))
    return int(np.argmax(grown))


def _tiles(pixels: NDArray[np.float32] | NDArray[np.bool_]) -> NDArray[np.float32]:
    """(block rows, BLOCK, block columns, BLOCK); a partial block at the far edges is left out.

    Frames smaller than a block are one block.
    """
    height, width = pixels.shape
    side_y, side_x = min(BLOCK, height), min(BLOCK, width)
    rows, columns = height // side_y, width // side_x
    cut = np.asarray(pixels[: rows * side_y, : columns * side_x], np.float32)
    return cut.reshape(rows, side_y, columns, side_x)


def _ordinary(deep: Plane) -> NDArray[np.bool_]:
    """Pixels that do not stick out of their block in the deepest frame; the far edges are left out."""
    tiles = _tiles(deep)
    centre = np.median(tiles, axis=(1, 3), keepdims=True)
    spread = 1.4826 * np.median(np.abs(tiles - centre), axis=(1, 3), keepdims=True)
    spread = np.maximum(spread, np.median(spread))
    keep = np.abs(tiles - centre) <= _HOT_SIGMA * np.maximum(spread, 1e-6)
    mask = np.zeros(deep.shape, np.bool_)
    rows, side_y, columns, side_x = tiles.shape
    mask[: rows * side_y, : columns * side_x] = keep.reshape(rows * side_y, columns * side_x)
    return mask


def _block_sums(pixels: Plane) -> Floats:
    return np.asarray(_tiles(pixels).sum(axis=(1, 3), dtype=np.float64))


def _clipped_block_sums(pixels: Plane, ordinary: NDArray[np.bool_]) -> Floats:
    """Sums of ordinary pixels, a particle's hit replaced by the block's mean."""
    tiles, keep = _tiles(pixels), _tiles(ordinary)
    n = np.maximum(keep.sum(axis=(1, 3), keepdims=True), 1)
    mean = (tiles * keep).sum(axis=(1, 3), keepdims=True) / n
    away = (tiles - mean) * keep
    typical = np.median(np.sqrt((away**2).sum(axis=(1, 3), keepdims=True) / n))
    away[np.abs(away) > _RAY_SIGMA * max(float(typical), 1e-6)] = 0.0
    return np.asarray((mean * n + away.sum(axis=(1, 3), keepdims=True, dtype=np.float64))[:, 0, :, 0])


def _middle(pixels: NDArray[np.float32] | NDArray[np.bool_]) -> Plane:
    height = pixels.shape[0]
    top = max(0, (height - _SAMPLE_ROWS) // 2)
    return np.asarray(pixels[top : top + _SAMPLE_ROWS], np.float32)


def _measure(
    records: Sequence[FrameRecord], shots: Exposures, samples: list[Plane], ordinary: Plane, largest: float
) -> Noise:
    """Noise from pairs of equal settings; without a pair, from neighbouring pixels (which is too much)."""
    keep = ordinary > 0
    pairs = _pairs(shots)
    egains = [gain for record in records if (gain := record.meta.egain_e_per_adu) and gain > 0]
    slope = _gain_from_pairs(samples, pairs, shots) if not egains else None
    if egains:
        adu_per_e, gain_from = 1 / median(egains), "header"
    else:
        adu_per_e, gain_from = (slope, "frames") if slope else (1.0, "assumed")
    if pairs:
        a, b = min(pairs, key=lambda pair: shots.exposure_s[pair[0]])
        variance = _clipped_variance((samples[a] - samples[b])[keep]) / (
            1 / shots.frames[a] + 1 / shots.frames[b]
        )
    else:
        first = int(np.argmin(shots.exposure_s))
        frame = samples[first]
        variance = _clipped_variance((frame[1:, 1:] - frame[:-1, :-1]).ravel()) / 2 * shots.frames[first]
    scale = next((full for full in _FULL_SCALES if largest <= full), largest)
    return Noise(
        read_adu=float(np.sqrt(max(variance, 1e-6))),
        adu_per_e=float(adu_per_e),
        gain_from=gain_from,
        saturation_adu=_SATURATED * scale,
    )


def _pairs(shots: Exposures) -> list[tuple[int, int]]:
    """Neighbours in the list that were shot alike."""
    return [
        (n, n + 1)
        for n in range(len(shots.temp_c) - 1)
        if shots.exposed[n] == shots.exposed[n + 1]
        and shots.exposure_s[n] == shots.exposure_s[n + 1]
        and abs(shots.temp_c[n] - shots.temp_c[n + 1]) < _NEAR_C
    ]


def _gain_from_pairs(samples: list[Plane], pairs: list[tuple[int, int]], shots: Exposures) -> float | None:
    """ADU per electron: how the variance between two darks grows with a pixel's level (photon transfer)."""
    floor, estimates = float(np.median(samples[0])), []
    read_variance = _clipped_variance(samples[pairs[0][0]] - samples[pairs[0][1]]) / 2 if pairs else 0.0
    for a, b in pairs:
        if not shots.exposed[a] or shots.frames[a] != 1 or shots.frames[b] != 1:
            continue
        level = ((samples[a] + samples[b]) / 2 - floor).astype(np.float64).ravel()
        square = ((samples[a] - samples[b]).astype(np.float64).ravel()) ** 2 / 2
        warm = level > 5 * np.sqrt(read_variance)
        level, square = level[warm], square[warm]
        slope = 1.0
        for _ in range(20):
            variance = read_variance + slope * level
            kept = square < _RAY_SIGMA**2 * variance
            weight = kept * level / variance**2
            if not (total := float(weight @ level)) > 0:
                break
            slope = max(float(weight @ (square - read_variance)) / total, 1e-3)
        else:
            estimates.append((slope, total))
    told = sum(total for _, total in estimates)  # its inverse is half of the estimate's variance
    if not told or np.sqrt(2 / told) > 0.2 * (mean := sum(s * total for s, total in estimates) / told):
        return None
    return mean


def _clipped_variance(values: NDArray[np.float32]) -> float:
    for _ in range(4):
        centre, sigma = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        kept = values[np.abs(values - centre) <= 5 * sigma]
        if len(kept) == len(values):
            break
        values = kept
    return float(values.var(dtype=np.float64))
