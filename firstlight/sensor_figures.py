"""A camera's figures out of the library's own frames; what no frame tells is assumed, and said to be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from library.decoding import Pixels
from library.fitness import temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.planner import Sensor
from library.reading import read_rows
from measure.sensor import dark_rate_adu_s, gain_e_per_adu, level_adu, read_noise_adu
from numerics.counting import counted

ASSUMED_READ_NOISE_E, ASSUMED_E_PER_ADU, ASSUMED_DARK_E_S = 3.0, 1.0, 0.01
ASSUMED_SKY_E_S = 1.0
ASSUMED_FLAT_ADU = 25_000.0
ASSUMED_OVERHEAD_S = 2.0
_ROWS = 1024
"""Of the middle of a frame: millions of pixels tell as much as all."""

_MOST_BIASES, _MOST_FLATS, _MOST_DARKS, _MOST_LIGHTS = 6, 3, 8, 3
_SAME_TEMP_C = 1.0
_LONGEST_OVERHEAD_S = 120.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, and where it comes from."""

    value: float
    source: str

    @property
    def assumed(self) -> bool:
        """No frame tells it."""
        return self.source.startswith("assumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a camera is at one gain, offset and binning."""

    read_noise_adu: Figure
    e_per_adu: Figure
    dark_adu_s: Figure
    bias_adu: Figure | None
    overhead_s: Figure

    @property
    def sensor(self) -> Sensor:
        """For the planner."""
        return Sensor(
            read_noise_adu=self.read_noise_adu.value,
            e_per_adu=self.e_per_adu.value,
            dark_adu_s=self.dark_adu_s.value,
        )


def measure_figures(frames: Sequence[FrameRecord], temp_c: float | None) -> Figures:
    """Measure single frames of one camera at one setting; ``temp_c`` is what darks are wanted at."""
    of_kind: dict[FrameKind, list[FrameRecord]] = defaultdict(list)
    for record in frames:
        if record.meta.n_combined == 1:
            of_kind[record.meta.kind].append(record)
    biases = [_pixels(record) for record in of_kind[FrameKind.BIAS][-_MOST_BIASES:]]
    bias = np.asarray(np.mean(biases, axis=0), np.float32) if biases else None
    header_gain = next((r.meta.egain_e_per_adu for r in reversed(frames) if r.meta.egain_e_per_adu), None)
    noise = _read_noise(biases, header_gain)
    gain = _gain(of_kind[FrameKind.FLAT], bias, noise, header_gain)
    return Figures(
        read_noise_adu=noise,
        e_per_adu=gain,
        dark_adu_s=_dark_rate(of_kind[FrameKind.DARK], bias, temp_c, gain.value),
        bias_adu=None if bias is None else Figure(float(np.median(bias)), counted(len(biases), "bias")),
        overhead_s=_overhead(frames),
    )


def measure_sky(
    lights: Sequence[FrameRecord], filter_name: str | None, figures: Figures
) -> tuple[Figure, bool]:
    """ADU/s of background through a filter, from lights of the library; and whether it was measured.

    Of another filter's lights if there are none of this one.
    """
    lights = [each for each in lights if each.meta.exposure_s and each.meta.n_combined == 1]
    same = [each for each in lights if each.meta.filter == filter_name]
    chosen = (same or lights)[-_MOST_LIGHTS:]
    if not chosen or figures.bias_adu is None:
        value = ASSUMED_SKY_E_S / figures.e_per_adu.value
        why = "no lights" if not chosen else "no biases"
        return Figure(value, f"assumed {ASSUMED_SKY_E_S:g} e⁻/s: {why} in the library; give --sky"), False
    rates = [
        (level_adu(_pixels(each)) - figures.bias_adu.value) / (each.meta.exposure_s or 1.0)
        - figures.dark_adu_s.value
        for each in chosen
    ]
    other = "" if same else f" through {chosen[-1].meta.filter or 'no filter'}"
    return Figure(max(median(rates), 0.0), f"{counted(len(chosen), 'light')}{other}"), True


def measure_flat_level(flats: Sequence[FrameRecord], figures: Figures) -> Figure:
    """How far above the bias flats are lit."""
    flats = [each for each in flats if each.meta.n_combined == 1][-_MOST_FLATS:]
    if not flats or figures.bias_adu is None:
        return Figure(ASSUMED_FLAT_ADU, "assumed: no flats and biases in the library")
    levels = [level_adu(_pixels(each)) - figures.bias_adu.value for each in flats]
    return Figure(max(median(levels), 1.0), counted(len(flats), "flat"))


def _read_noise(biases: list[Pixels], header_gain: float | None) -> Figure:
    if len(biases) < 2:
        return Figure(
            ASSUMED_READ_NOISE_E / (header_gain or ASSUMED_E_PER_ADU),
            f"assumed {ASSUMED_READ_NOISE_E:g} e⁻: no two biases in the library",
        )
    noise = read_noise_adu(biases)
    return Figure(noise.value, f"{counted(len(biases), 'bias')}, {noise}")


def _gain(
    flats: list[FrameRecord], bias: NDArray[np.float32] | None, noise: Figure, header_gain: float | None
) -> Figure:
    alike = [each for each in flats if _lit(each.meta) == _lit(flats[-1].meta)][-_MOST_FLATS:]
    why = "no two flats and biases in the library"
    if len(alike) >= 2 and bias is not None:
        try:
            gain = gain_e_per_adu([_pixels(each) for each in alike], bias, noise.value)
            return Figure(gain.value, f"{len(alike)} flats, {gain}")
        except ValueError as error:
            why = str(error)
    if header_gain:
        return Figure(header_gain, f"the headers' EGAIN ({why})")
    return Figure(ASSUMED_E_PER_ADU, f"assumed: {why}")


def _lit(meta: FrameMeta) -> tuple[str | None, float | None, str | None]:
    return meta.filter, meta.exposure_s, meta.plan_id


def _dark_rate(
    darks: list[FrameRecord], bias: NDArray[np.float32] | None, temp_c: float | None, e_per_adu: float
) -> Figure:
    def away_c(record: FrameRecord) -> float:
        own = temperature_c(record.meta)
        return 0.0 if own is None or temp_c is None else abs(own - temp_c)

    darks = [each for each in darks if each.meta.exposure_s]
    if not darks or bias is None:
        return Figure(
            ASSUMED_DARK_E_S / e_per_adu,
            f"assumed {ASSUMED_DARK_E_S:g} e⁻/s: no darks and biases in the library",
        )
    nearest = min(map(away_c, darks))
    chosen: dict[float, FrameRecord] = {
        each.meta.exposure_s or 0.0: each for each in darks if away_c(each) <= nearest + _SAME_TEMP_C
    }
    longest = sorted(chosen)[-_MOST_DARKS:]
    rate = dark_rate_adu_s(longest, [level_adu(_pixels(chosen[t]), bias) for t in longest])
    at = temperature_c(chosen[longest[-1]].meta)
    where = "" if at is None else f" at {at:.1f} °C"
    return Figure(max(rate.value, 0.0), f"darks of {len(longest)} exposures{where}, {rate}")


def _overhead(frames: Sequence[FrameRecord]) -> Figure:
    """Seconds between the end of an exposure and the next one's begin."""
    gaps = []
    for a, b in pairwise(frames):
        x, y = a.meta, b.meta
        if x.date_obs and y.date_obs and x.plan_id and x.plan_id == y.plan_id and x.exposure_s is not None:
            gap_s = (y.date_obs - x.date_obs).total_seconds() - x.exposure_s
            if 0 <= gap_s < _LONGEST_OVERHEAD_S:
                gaps.append(gap_s)
    if not gaps:
        return Figure(ASSUMED_OVERHEAD_S, "assumed")
    return Figure(median(gaps), f"between {len(gaps) + 1} frames of the library")


def _pixels(record: FrameRecord) -> Pixels:
    height = record.meta.height
    first = max(0, (height - _ROWS) // 2)
    return read_rows(record.path, slice(first, min(first + _ROWS, height)), in_adu=True)
