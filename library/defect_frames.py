"""From a library's frames to a map of defects, a few rows of all frames at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from library.defect_tests import (
    BLOCK_PX,
    LEAST_TELEGRAPH,
    LEAST_UNSTABLE,
    Flags,
    Limits,
    Plane,
    dark_flags,
    level_without_rays,
    line_flags,
    neighbourhood,
    response_flags,
    steady_variance,
    unsteady_flags,
)
from library.frames import FrameKind, FrameRecord
from library.mosaics import cell_px
from library.stacked import Frames, open_frames

STRIP_BYTES = 48_000_000
_SAMPLE_ROWS = 64
_MOST_PEDESTALS = 16
_MOST_FLATS = 8
_LEAST_WARM = 50
_LONG_ENOUGH = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a map is made from: darks of one temperature, and biases and flats of the same settings."""

    darks: tuple[FrameRecord, ...]
    biases: tuple[FrameRecord, ...] = ()
    flats: tuple[FrameRecord, ...] = ()

    @property
    def records(self) -> tuple[FrameRecord, ...]:
        """All of them."""
        return (*self.darks, *self.biases, *self.flats)

    @property
    def longest_s(self) -> float:
        """The longest dark's exposure."""
        return max(record.meta.exposure_s or 0.0 for record in self.darks)

    @property
    def long(self) -> list[FrameRecord]:
        """Darks of at least half the longest exposure: the dark rate is taken from them."""
        return [r for r in self.darks if (r.meta.exposure_s or 0.0) >= _LONG_ENOUGH * self.longest_s]

    @property
    def repeated(self) -> list[FrameRecord]:
        """The frames that tell unsteady pixels: of equal exposure, ten or as many as there are.

        The darks of the longest exposure that has ten; else of the one that has most; the biases, if those
        have more and the darks have not ten.
        """
        by_exposure: dict[float, list[FrameRecord]] = defaultdict(list)
        for record in self.darks:
            by_exposure[round(record.meta.exposure_s or 0.0, 3)].append(record)
        enough = LEAST_TELEGRAPH
        _, best = max(by_exposure.items(), key=lambda item: (min(len(item[1]), enough), item[0]))
        return list(self.biases) if len(best) < enough and len(self.biases) > len(best) else best


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The map, and the numbers behind it."""

    flags: Flags
    noise_adu: float
    """Of one frame, between frames; of a single one, across its pixels."""

    adu_per_e: float
    gain_from: str
    rate_sigma_adu_s: float
    warm_adu_s: float
    hot_adu_s: float
    notes: tuple[str, ...] = field(default=())


def survey(sources: Sources, limits: Limits) -> Survey:
    """Apply every test that the frames allow; what they do not allow is in the notes."""
    notes = list(_missing(sources))
    with open_frames([r.path for r in sources.biases[:_MOST_PEDESTALS]] or [sources.darks[0].path]) as frames:
        pedestal = mean_of(frames) if sources.biases else None
    rate, scatter = _rate(sources.long, pedestal)
    noise, adu_per_e, gain_from = _noise(sources, rate)
    level, sigma = neighbourhood(rate)
    excess = rate - level
    n, n_biases = len(sources.long), len(sources.biases[:_MOST_PEDESTALS])
    np.maximum(sigma, noise / sources.longest_s / math.sqrt(n), out=sigma)
    typical = float(np.median(sigma))
    # The mean of few readings of a pixel that jumps is off by its own scatter, not by its neighbours'; what
    # scatter the shot noise of its own dark signal explains is no reason to doubt that signal.
    shot = np.maximum(rate, 0) * np.float32(adu_per_e / sources.longest_s)
    scatter = np.sqrt(np.maximum(scatter**2 - shot, 0))
    scatter *= np.float32(math.sqrt(1 / n + (1 / n_biases if n_biases else 0)))
    np.maximum(sigma, scatter, out=sigma)
    hot = limits.hot_noise**2 * noise**2 / adu_per_e / sources.longest_s
    flags = dark_flags(excess, sigma, limits=limits, hot_excess=hot)
    flags |= line_flags(excess, limits.line_sigma * typical)
    repeated = sources.repeated
    if len(repeated) >= LEAST_UNSTABLE:
        seconds = 0.0 if repeated[0].meta.kind is FrameKind.BIAS else repeated[0].meta.exposure_s or 0.0
        flags |= _unsteady(repeated, rate * np.float32(seconds), noise, adu_per_e, limits)
    if sources.flats and pedestal is not None:
        flags |= _unresponsive(sources.flats, pedestal, limits)
    return Survey(
        flags=flags,
        noise_adu=noise,
        adu_per_e=adu_per_e,
        gain_from=gain_from,
        rate_sigma_adu_s=typical,
        warm_adu_s=limits.warm_sigma * typical,
        hot_adu_s=max(hot, limits.warm_sigma * typical),
        notes=tuple(notes),
    )


def _missing(sources: Sources) -> list[str]:
    notes = []
    n = len(sources.long)
    if n < 3:
        lone = (
            "one long dark: a cosmic ray looks like a hot pixel" if n == 1 else "two long darks: the lesser"
        )
        notes.append(f"{lone}; shoot 3 or more")
    repeated = len(sources.repeated)
    if repeated < LEAST_UNSTABLE:
        notes.append(f"unstable pixels cannot be told from {repeated} equal frames, {LEAST_UNSTABLE} can")
    if repeated < LEAST_TELEGRAPH:
        notes.append(f"telegraph pixels cannot be told from {repeated} equal frames, {LEAST_TELEGRAPH} can")
    if not sources.flats:
        notes.append("no flats: pixels that are cold in light are not known")
    elif not sources.biases:
        notes.append("flats without biases are not used")
    return notes


def mean_of(frames: Frames) -> Plane:
    """The plain mean (H, W)."""
    mean = np.empty(frames.shape, np.float32)
    for top, bottom in strips(frames):
        mean[top:bottom].reshape(-1)[:] = frames.read_filled(top, bottom).mean(axis=0)
    return mean


def _rate(records: Sequence[FrameRecord], pedestal: Plane | None) -> tuple[Plane, Plane]:
    """Counts above the pedestal and the frame's own median, per second, and their scatter; without rays."""
    seconds = np.array([[record.meta.exposure_s or 1.0] for record in records], np.float32)
    with open_frames([record.path for record in records]) as frames:
        rate, scatter = np.empty(frames.shape, np.float32), np.empty(frames.shape, np.float32)
        common = _levels(frames, pedestal)
        for top, bottom in strips(frames):
            samples = frames.read_filled(top, bottom) - common
            if pedestal is not None:
                samples -= pedestal[top:bottom].reshape(-1)
            samples /= seconds
            rate[top:bottom].reshape(-1)[:], scatter[top:bottom].reshape(-1)[:] = level_without_rays(samples)
    return rate, scatter


def _noise(sources: Sources, rate: Plane) -> tuple[float, float, str]:
    """One frame's noise in ADU, the ADU that an electron makes, and where that figure comes from."""
    repeated = sources.repeated
    stated = [r.meta.egain_e_per_adu for r in sources.darks if r.meta.egain_e_per_adu]
    adu_per_e, gain_from = (1 / median(stated), "header") if stated else (1.0, "assumed")
    seconds = 0.0 if repeated[0].meta.kind is FrameKind.BIAS else repeated[0].meta.exposure_s or 0.0
    with open_frames([record.path for record in repeated]) as frames:
        samples, rows = sampled(frames)
    if len(repeated) < 2:
        spread = np.median(np.abs(samples[0] - np.median(samples[0])))
        return max(1.4826 * float(spread), 0.3), adu_per_e, gain_from
    samples = samples - np.median(samples, axis=1, keepdims=True)
    noise2 = max(steady_variance(samples), 1 / 12)
    signal = rate[rows].reshape(-1) * seconds
    warm = (signal > 10 * math.sqrt(noise2)) & (signal < 20_000)
    if not stated and len(repeated) >= 3 and warm.sum() >= _LEAST_WARM:
        dof = len(repeated) - 1
        own = samples[:, warm].var(axis=0, ddof=1, dtype=np.float64) * dof / float(chdtri(dof, 0.5))
        measured = float(np.median((own - noise2) / signal[warm]))
        if measured > 0:
            adu_per_e, gain_from = measured, "frames"
    return math.sqrt(noise2), adu_per_e, gain_from


def _unsteady(
    records: Sequence[FrameRecord], signal: Plane, noise: float, adu_per_e: float, limits: Limits
) -> Flags:
    flags = np.zeros(signal.shape, np.uint8)
    with open_frames([record.path for record in records]) as frames:
        common = _levels(frames, None)
        for top, bottom in strips(frames):
            samples = frames.read_filled(top, bottom) - common
            shot = np.maximum(signal[top:bottom].reshape(-1), 0) * np.float32(adu_per_e)
            flags[top:bottom].reshape(-1)[:] = unsteady_flags(samples, noise**2 + shot, limits)
    return flags


def _unresponsive(flats: Sequence[FrameRecord], pedestal: Plane, limits: Limits) -> Flags:
    cells = cell_px(flats[0].meta.bayer_pattern)
    with open_frames([record.path for record in flats[:_MOST_FLATS]]) as frames:
        light = mean_of(frames)
    light -= pedestal
    level, _ = neighbourhood(light, cells, BLOCK_PX // 2)
    light /= np.maximum(level, 1)
    return response_flags(light, limits=limits)


def _levels(frames: Frames, pedestal: Plane | None) -> NDArray[np.float32]:
    """Each frame's median above the pedestal, (N, 1), from some of its rows."""
    samples, rows = sampled(frames)
    if pedestal is not None:
        samples = samples - pedestal[rows].reshape(-1)
    return np.median(samples, axis=1, keepdims=True).astype(np.float32)


def sampled(frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Evenly spread rows of all frames, (N, rows · W), and which rows."""
    height = frames.shape[0]
    rows = np.unique(np.linspace(0, height - 1, min(height, _SAMPLE_ROWS)).astype(np.intp))
    return np.concatenate([frames.read_filled(row, row + 1) for row in rows.tolist()], axis=1), rows


def strips(frames: Frames) -> list[tuple[int, int]]:
    """Ranges of rows of which all frames fit the memory."""
    height, width = frames.shape
    step = max(1, STRIP_BYTES // (4 * len(frames) * width))
    return [(top, min(top + step, height)) for top in range(0, height, step)]


def with_flats(sources: Sources, flats: Sequence[FrameRecord]) -> Sources:
    """The same with the newest flats of one filter and telescope, the filter that has most."""
    by_light: dict[Any, list[FrameRecord]] = defaultdict(list)
    for flat in flats:
        by_light[flat.meta.filter, flat.meta.telescope].append(flat)
    if not by_light:
        return sources
    _, most = max(by_light.items(), key=lambda item: (len(item[1]), repr(item[0])))
    return replace(sources, flats=tuple(most[-_MOST_FLATS:]))
