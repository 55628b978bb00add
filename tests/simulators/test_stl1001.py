"""The STL-1001E's profile against the camera itself: the same measurements on real and simulated frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from simulators.profiles import profile
from simulators.sensor import Readout, Sensor
from tests.simulators.sensor_measures import (
    Frame,
    dark_median_e_s,
    dark_tail_e_s,
    gain_e_per_adu,
    prnu,
    read_noise_adu,
)

LADDER_S = (10, 20, 30, 60, 150, 300)
BIAS_C, FLAT_C = -10.203, -5.232
"""What the thermometer showed: CCD-TEMP of the sets for −10 and −5 °C."""

pytestmark = pytest.mark.realdata


@dataclass(frozen=True, slots=True)
class Set:
    """A set of calibration frames, and what is measured on it."""

    biases: list[Frame]
    flats: list[Frame]
    flat_biases: list[Frame]
    darks: dict[int, Frame]

    def read_noise_adu(self) -> float:
        return float(
            np.mean([read_noise_adu(a, b) for a, b in zip(self.biases, self.biases[1:], strict=False)])
        )

    def gain_e_per_adu(self) -> float:
        level, noise = np.mean(self.flat_biases, axis=0), self.read_noise_adu()
        pairs = zip(self.flats, self.flats[1:], strict=False)
        return float(np.mean([gain_e_per_adu(a, b, level, noise) for a, b in pairs]))

    def prnu(self) -> float:
        return prnu(self.flats[0], self.flats[1], np.mean(self.flat_biases, axis=0))

    def dark_median_e_s(self, exposure_s: int) -> float:
        bias, dark = np.mean(self.biases, axis=0), self.darks[exposure_s]
        return dark_median_e_s(dark, bias, exposure_s, self.gain_e_per_adu())

    def dark_tail_e_s(self, exposure_s: int) -> Frame:
        bias, dark = np.mean(self.biases, axis=0), self.darks[exposure_s]
        return dark_tail_e_s(dark, bias, exposure_s, self.gain_e_per_adu())


@pytest.fixture(scope="module")
def real(realdata: Path) -> Set:
    def frames(pattern: str) -> list[Frame]:
        return [fits.getdata(path) for path in sorted((realdata / "calib_stl1001").glob(pattern))]

    return Set(
        biases=frames("bias-Neg10-*"),
        flats=frames("flat-expos23s-Neg5-*"),
        flat_biases=frames("biases-Neg5-*"),
        darks={t: frames(f"darks-expos{t}s-Neg10-*")[0] for t in LADDER_S},
    )


@pytest.fixture(scope="module", params=[5, 6])
def simulated(request: pytest.FixtureRequest) -> Set:
    sensor = Sensor(profile("STL-1001E"), seed=request.param)
    rng = np.random.default_rng(request.param)
    readout = Readout(gain=0, offset=0, x=0, y=0, width=1024, height=1024)

    def frame(exposure_s: float, temperature_c: float, light_e: float | None = None) -> Frame:
        light = None if light_e is None else np.full((1024, 1024), light_e, np.float32)
        hits, _ = sensor.cosmic_rays(rng, exposure_s)
        return sensor.read(rng, light, exposure_s, temperature_c, readout, hits)

    return Set(
        biases=[frame(0.0, BIAS_C) for _ in range(5)],
        flats=[frame(23.0, FLAT_C, 37_200.0) for _ in range(3)],
        flat_biases=[frame(0.0, FLAT_C) for _ in range(3)],
        darks={t: frame(t, BIAS_C) for t in LADDER_S},
    )


def test_the_real_frames_measure_as_is_known_of_them(real: Set) -> None:
    """The measurements themselves, against figures that others found on the same frames."""
    assert real.read_noise_adu() == pytest.approx(6.5, abs=0.25)
    assert real.gain_e_per_adu() == pytest.approx(1.946, rel=0.01)
    assert real.dark_median_e_s(60) == pytest.approx(0.355, rel=0.06)


def test_read_noise_and_gain_are_the_cameras(real: Set, simulated: Set) -> None:
    assert simulated.read_noise_adu() == pytest.approx(real.read_noise_adu(), rel=0.05)
    assert simulated.gain_e_per_adu() == pytest.approx(real.gain_e_per_adu(), rel=0.05)
    assert simulated.prnu() == pytest.approx(real.prnu(), rel=0.05)


@pytest.mark.parametrize("exposure_s", LADDER_S)
def test_every_rung_of_the_dark_ladder_is_the_cameras(real: Set, simulated: Set, exposure_s: int) -> None:
    measured = simulated.dark_median_e_s(exposure_s)
    assert measured == pytest.approx(real.dark_median_e_s(exposure_s), rel=0.05)


@pytest.mark.parametrize("exposure_s", [30, 300])
def test_the_tail_of_hot_pixels_is_the_cameras(real: Set, simulated: Set, exposure_s: int) -> None:
    measured = simulated.dark_tail_e_s(exposure_s)
    np.testing.assert_allclose(measured, real.dark_tail_e_s(exposure_s), rtol=0.12)


def test_the_level_and_its_ramp_along_the_lines_are_the_cameras(real: Set, simulated: Set) -> None:
    columns = [np.median(np.mean(which.biases, axis=0), axis=0) for which in (real, simulated)]
    assert columns[1].mean() == pytest.approx(columns[0].mean(), abs=1.0)
    for begin, end in ((2, 30), (30, 100), (100, 300), (300, 1000)):
        level, true = (column[begin:end].mean() for column in reversed(columns))
        assert level == pytest.approx(true, abs=1.5)
