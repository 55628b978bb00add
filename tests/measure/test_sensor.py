"""Read noise, gain and dark current: on frames of known truth, and on a real camera's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from library.reading import read_frame
from measure.sensor import (
    dark_rate_adu_s,
    gain_e_per_adu,
    level_adu,
    read_noise_adu,
    read_noise_mad_adu,
    step_adu,
)
from simulators.profiles import PROFILES, profile
from simulators.sensor import Readout, Sensor

Frame = NDArray[Any]
SIDE = 512
LADDER_S = (10.0, 20.0, 30.0, 60.0, 150.0, 300.0)


class Shots:
    """Frames of a part of a simulated sensor, and what it is."""

    def __init__(self, name: str) -> None:
        self.profile = profile(name)
        self.sensor = Sensor(self.profile, seed=4)
        self.gain = self.profile.gain.default if self.profile.gain else 0.0
        self.offset = self.profile.offset.default if self.profile.offset else 0.0
        self.window = Readout(gain=self.gain, offset=self.offset, x=64, y=64, width=SIDE, height=SIDE)
        self.rng = np.random.default_rng(9)
        self.e_per_adu = self.profile.e_per_adu(self.gain) / 2**self.profile.shift

    def shoot(self, exposure_s: float, light_e: float = 0.0, temp_c: float = -10.0) -> Frame:
        whole = np.full((self.profile.height, self.profile.width), light_e, np.float32) if light_e else None
        return self.sensor.read(self.rng, whole, exposure_s, temp_c, self.window, threads=1)


@pytest.mark.parametrize("name", list(PROFILES))
def test_what_was_put_into_a_simulated_camera_comes_out(name: str) -> None:
    shots = Shots(name)
    biases = [shots.shoot(0.0) for _ in range(4)]
    noise = read_noise_adu(biases)
    # Banding and salt and pepper are noise of one reading, too.
    true_e = np.hypot(shots.profile.read_noise_e(shots.gain), shots.profile.row_noise_e)
    assert noise.value * shots.e_per_adu == pytest.approx(true_e, rel=0.04)
    light_e = 0.4 * min(shots.profile.full_well_e(), shots.profile.adc_max * shots.e_per_adu)
    flats = [shots.shoot(1.0, light_e) for _ in range(2)]
    gain = gain_e_per_adu(flats, np.mean(biases, axis=0), noise.value)
    assert gain.value == pytest.approx(shots.e_per_adu, rel=0.02)
    assert abs(gain.value - shots.e_per_adu) < 4 * gain.uncertainty


@pytest.mark.parametrize("name", ["KAF-8300", "STL-1001E", "demo"])
def test_the_dark_current_of_a_simulated_camera_comes_out(name: str) -> None:
    shots = Shots(name)
    bias = np.mean([shots.shoot(0.0) for _ in range(8)], axis=0)
    temp_c = shots.profile.dark_reference_c
    levels = [level_adu(shots.shoot(t, temp_c=temp_c), bias) for t in (60.0, 300.0, 900.0)]
    rate = dark_rate_adu_s((60.0, 300.0, 900.0), levels)
    true_e_s = np.median(shots.sensor.dark_current_e_s(temp_c)[64 : 64 + SIDE, 64 : 64 + SIDE])
    assert rate.value * shots.e_per_adu == pytest.approx(true_e_s, rel=0.05)


def test_shifted_converters_are_seen_through() -> None:
    rng = np.random.default_rng(1)
    biases = [(rng.normal(100, 1.5, (200, 200)).round().astype(np.uint16) << 4) for _ in range(2)]
    assert step_adu(biases[0]) == 16
    assert read_noise_adu(biases).value == pytest.approx(1.5 * 16, rel=0.02)


def test_few_darks_go_through_the_bias() -> None:
    assert dark_rate_adu_s([100.0], [17.0]).value == pytest.approx(0.17)
    assert dark_rate_adu_s([100.0, 200.0], [17.0, 34.0]).value == pytest.approx(0.17)


@pytest.mark.parametrize(
    "call",
    [
        lambda a: read_noise_adu([a]),
        lambda a: gain_e_per_adu([a], 0.0, 1.0),
        lambda a: dark_rate_adu_s([], []),
    ],
)
def test_too_few_frames_are_an_error(call: Any) -> None:
    with pytest.raises(ValueError, match="needs"):
        call(np.zeros((64, 64), np.uint16))


@pytest.fixture(scope="module")
def frames(realdata: Path) -> dict[str, list[Frame]]:
    folder = realdata / "calib_stl1001"
    names = {"bias": "bias-Neg10-*", "flat": "flat-*", "flat_bias": "biases-Neg5-*"}
    names |= {f"dark {t:g}": f"darks-expos{t:g}s-*" for t in LADDER_S}
    return {key: [read_frame(p).pixels for p in sorted(folder.glob(glob))] for key, glob in names.items()}


@pytest.mark.realdata
class TestTheStl1001:
    """``calib_stl1001`` against its README, and how that README's figures are defined."""

    def test_read_noise(self, frames: dict[str, list[Frame]]) -> None:
        """6.29 ADU is the MAD of integers; the width without their steps lies 4 % above."""
        assert read_noise_mad_adu(*frames["bias"][:2]) == pytest.approx(6.29, rel=0.03)
        noise = read_noise_adu(frames["bias"])
        assert noise.value == pytest.approx(6.55, rel=0.005)
        assert noise.uncertainty < 0.01

    def test_gain(self, frames: dict[str, list[Frame]]) -> None:
        noise = read_noise_adu(frames["flat_bias"])
        gain = gain_e_per_adu(frames["flat"], np.mean(frames["flat_bias"], axis=0), noise.value)
        assert gain.value == pytest.approx(1.946, rel=0.01)

    def test_dark_current(self, frames: dict[str, list[Frame]]) -> None:
        """0.355 e⁻/s is the ladder's slope times the header's 2.06 e⁻/ADU.

        With the measured 1.946 e⁻/ADU, and the sensor's −10.203 °C brought to −10 °C (doubling 4.95 °C),
        it is 0.345.
        """
        bias = np.mean(frames["bias"], axis=0)
        rate = dark_rate_adu_s(LADDER_S, [level_adu(frames[f"dark {t:g}"][0], bias) for t in LADDER_S])
        assert rate.value * 2.06 == pytest.approx(0.355, rel=0.005)
        assert rate.value * 1.946 * 2 ** (0.203 / 4.95) == pytest.approx(0.355, rel=0.03)
        assert rate.uncertainty < 0.01 * rate.value
