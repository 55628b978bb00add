"""Whether a dark is dark: its level and its shape against what darkness looks like.

A frame is reduced to the medians of a grid of blocks, in which hot pixels and cosmic rays leave nothing.
Light that leaks in shows as a gradient that dark current has not, as a level that does not go with exposure
or temperature as dark current does, or as one that differs from frame to frame.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.sensor import MAD_TO_SIGMA, step_adu

BLOCKS = 16
_KEPT = 9
_SHARE_OF_LEVEL = 0.25
"""How much of the level above the bias a gradient may be: glow and uneven dark current stay below."""

_SHARE_OF_GROUP = 0.1
_SIGMAS = 6.0
_STEPS = 2.0
"""Steps of the converter that a level may wander by itself."""

_SLOWEST_DOUBLING_C = 9.0
_MOST_E_S, _MOST_AT_C, _MOST_DOUBLING_C = 3.0, -10.0, 6.0
"""More dark current than that no camera on sale has; eight times a warm CCD of 2001 (0.36 e⁻/s)."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What frames of darkness are alike in; a bias has 0 s."""

    exposure_s: float
    temp_c: float | None


@dataclass(frozen=True, slots=True)
class Shape:
    """A frame's block medians (16, 16) in ADU, their own noise (1 σ), the converter's step and range."""

    blocks: NDArray[np.float32]
    noise_adu: float
    step_adu: int
    full_adu: float

    @property
    def level_adu(self) -> float:
        """The median of the medians."""
        return float(np.median(self.blocks))


def shape_of(pixels: NDArray[Any]) -> Shape:
    """Reduce a frame (H, W) of at least 32 pixels each way."""
    height, width = (side // BLOCKS for side in pixels.shape)
    if min(height, width) < 2:
        raise ValueError(f"a frame of {pixels.shape[1]} × {pixels.shape[0]} pixels is too small to look at")
    cells = pixels[: height * BLOCKS, : width * BLOCKS].reshape(BLOCKS, height, BLOCKS, width)
    values = cells.swapaxes(1, 2).reshape(BLOCKS * BLOCKS, -1).astype(np.float32)
    step = step_adu(pixels)
    # Whole numbers are spread over their step, or medians would move by it.
    values += np.random.default_rng(0).uniform(-step / 2, step / 2, values.shape[1]).astype(np.float32)
    medians = np.median(values, axis=1)
    sigma = float(np.median(np.abs(values - medians[:, None]))) * MAD_TO_SIGMA
    full = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind in "ui" else 65535.0
    noise = 1.2533 * sigma / math.sqrt(values.shape[1])
    return Shape(medians.reshape(BLOCKS, BLOCKS), noise, step, full)


class LeakWatch:
    """Judges frames of one camera at one gain and offset, in the order in which they are shot.

    Of a camera that ``glows`` a gradient is compared with its own earlier frames only.
    """

    def __init__(self, *, glows: bool = False) -> None:
        self._glows = glows
        self._good: dict[Setup, list[Shape]] = defaultdict(list)

    def keep(self, setup: Setup, shape: Shape) -> None:
        """Take a frame for darkness."""
        self._good[setup] = [*self._good[setup][1 - _KEPT :], shape]

    def why_not_dark(self, setup: Setup, shape: Shape, e_per_adu: float | None = None) -> str | None:
        """What gives the frame away, or ``None``; compares with the frames kept before."""
        if shape.level_adu > 0.5 * shape.full_adu:
            return f"its level of {shape.level_adu:.0f} ADU is more than half of the range"
        if reason := self._unlike_its_group(setup, shape):
            return reason
        bias = self._bias(setup.temp_c)
        if setup.exposure_s == 0 or bias is None:
            return None
        above = shape.blocks - bias
        noise = math.hypot(shape.noise_adu, shape.noise_adu / math.sqrt(3))
        return (
            (None if self._glows else _gradient(above, noise, shape.step_adu))
            or self._too_bright(setup, above, shape.step_adu)
            or _beyond_any(setup, float(np.median(above)), e_per_adu)
        )

    def _unlike_its_group(self, setup: Setup, shape: Shape) -> str | None:
        group = self._good[setup]
        if not group:
            return None
        usual, bias = float(np.median([each.level_adu for each in group])), self._bias(setup.temp_c)
        signal = usual - float(np.median(bias)) if bias is not None and setup.exposure_s else 0.0
        pixel_sigma = shape.noise_adu * BLOCKS  # of the whole frame's median it is this over all blocks
        allowed = max(
            _STEPS * shape.step_adu + 0.1 * pixel_sigma, _SIGMAS * shape.noise_adu, _SHARE_OF_GROUP * signal
        )
        more = shape.level_adu - usual
        if more > allowed:
            return (
                f"its level is {more:.1f} ADU above that of the {len(group)} before it, "
                f"more than the {allowed:.1f} ADU that noise explains"
            )
        change = shape.blocks - np.median([each.blocks for each in group], axis=0)
        return _gradient(change + 0.4 * signal, math.sqrt(2) * shape.noise_adu, shape.step_adu)

    def _too_bright(self, setup: Setup, above: NDArray[np.float32], step: int) -> str | None:
        """Against other exposures and temperatures: dark current is a rate that falls with temperature."""
        level = float(np.median(above))
        for other, shapes in self._good.items():
            bias = self._bias(other.temp_c)
            if other.exposure_s < 1 or other == setup or not shapes or bias is None:
                continue
            known = float(np.median([np.median(each.blocks - bias) for each in shapes]))
            warmer_c = (setup.temp_c or 0.0) - (other.temp_c or 0.0)
            if None in (setup.temp_c, other.temp_c) or warmer_c > 0:
                warmer_c = 0.0 if setup.temp_c == other.temp_c else math.inf
            expected = known / other.exposure_s * setup.exposure_s * 2 ** (warmer_c / _SLOWEST_DOUBLING_C)
            allowed = 1.5 * max(expected, 0.0) + _STEPS * step * max(1.0, setup.exposure_s / other.exposure_s)
            if math.isfinite(expected) and level > allowed:
                return (
                    f"it is {level:.1f} ADU above the bias where darks of {other.exposure_s:g} s"
                    f"{_at(other.temp_c)} let expect {max(expected, 0.0):.1f} ADU at most: "
                    "that does not go with exposure and temperature as dark current does"
                )
        return None

    def _bias(self, temp_c: float | None) -> NDArray[np.float32] | None:
        """Block medians of the biases, of the nearest temperature."""
        setups = [each for each, shapes in self._good.items() if each.exposure_s == 0 and shapes]
        if not setups:
            return None
        nearest = min(setups, key=lambda each: abs((each.temp_c or 0.0) - (temp_c or 0.0)))
        return np.asarray(np.median([each.blocks for each in self._good[nearest]], axis=0), np.float32)


def _gradient(above: NDArray[np.float32], noise: float, step: int) -> str | None:
    """From side to side, corner to corner, and from the middle to the corners; glow sits at an edge."""
    third, half = BLOCKS // 3, BLOCKS // 2
    quadrants = [above[y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    ends = (slice(0, third), slice(-third, None))
    corners = [above[y, x] for y in ends for x in ends]
    middle = float(np.median(above[third:-third, third:-third]))
    medians = [float(np.median(part)) for part in quadrants]
    spread = max(medians) - min(medians)
    fall = middle - float(np.median([np.median(part) for part in corners]))
    level = max(float(np.median(above)), 0.0)
    allowed = max(_SIGMAS * noise / 4, float(step), _SHARE_OF_LEVEL * level)
    for amount, where in (
        (spread, "from one quarter of the frame to another"),
        (fall, "from the middle to the corners"),
    ):
        if amount > allowed:
            return (
                f"it has a gradient of {amount:.1f} ADU {where}, more than the {allowed:.1f} ADU "
                "that noise and uneven dark current explain"
            )
    return None


def _beyond_any(setup: Setup, level_adu: float, e_per_adu: float | None) -> str | None:
    if e_per_adu is None or setup.temp_c is None:
        return None
    most = _MOST_E_S * 2 ** ((setup.temp_c - _MOST_AT_C) / _MOST_DOUBLING_C)
    rate = level_adu * e_per_adu / setup.exposure_s
    if setup.exposure_s < 1 or rate <= most:
        return None
    where = _at(setup.temp_c)
    return f"it gathers {rate:.1f} e⁻/s{where}, more than any camera's dark current ({most:.1f} e⁻/s)"


def _at(temp_c: float | None) -> str:
    return "" if temp_c is None else f" at {temp_c:g} °C"
