from __future__ import annotations

import numpy as np
import pytest

from simulators.sensor import Readout, Sensor, SensorProfile

PROFILE = SensorProfile(width=400, height=300, cosmic_rays_per_s=0.0)
WHOLE = Readout(gain=100.0, offset=30.0, x=0, y=0, width=400, height=300)


@pytest.fixture(scope="module")
def sensor() -> Sensor:
    return Sensor(PROFILE, seed=3)


@pytest.mark.parametrize(("gain", "noise_e"), [(0.0, 3.6), (100.0, 2.4), (200.0, 2.4)])
def test_two_biases_give_back_offset_and_read_noise(sensor: Sensor, gain: float, noise_e: float) -> None:
    rng = np.random.default_rng(1)
    readout = Readout(gain=gain, offset=30.0, x=0, y=0, width=400, height=300)
    a, b = (sensor.read(rng, None, 0.0, -10.0, readout).astype(float) for _ in range(2))
    assert a.mean() == pytest.approx(480.0, abs=0.2)
    e_per_adu = 0.9 * 10 ** ((100 - gain) / 200)
    # A difference rounds twice: 1/12 ADU² each.
    variance_adu2 = np.var(a - b) / 2 - 1 / 12
    assert np.sqrt(variance_adu2) * e_per_adu == pytest.approx(noise_e, rel=0.02)


@pytest.mark.parametrize("gain", [0.0, 100.0, 160.0])
def test_flat_pairs_give_back_the_gain(sensor: Sensor, gain: float) -> None:
    """Photon transfer: e⁻/ADU is the mean over half the difference's variance (Janesick 2001)."""
    rng = np.random.default_rng(2)
    readout = Readout(gain=gain, offset=0.0, x=0, y=0, width=400, height=300)
    light = np.full((300, 400), 16_000.0)
    a, b = (sensor.read(rng, light, 1.0, -10.0, readout).astype(float) for _ in range(2))
    measured = (a.mean() + b.mean()) / 2 / (np.var(a - b) / 2)
    assert measured == pytest.approx(PROFILE.e_per_adu(gain), rel=0.02)


def test_dark_current_grows_with_time_and_doubles_every_six_degrees(sensor: Sensor) -> None:
    rng = np.random.default_rng(3)

    def mean_dark_adu(exposure_s: float, temperature_c: float) -> float:
        return float(sensor.read(rng, None, exposure_s, temperature_c, WHOLE).mean() - 480.0)

    at_minus_10 = mean_dark_adu(600.0, -10.0)
    assert at_minus_10 == pytest.approx(float(sensor.dark_rate_e_s.mean()) * 600 / 0.9, rel=0.03)
    assert mean_dark_adu(1200.0, -10.0) / at_minus_10 == pytest.approx(2.0, rel=0.03)
    assert mean_dark_adu(600.0, -4.0) / at_minus_10 == pytest.approx(2.0, rel=0.03)
    assert np.median(sensor.dark_rate_e_s) == pytest.approx(0.02, rel=0.02)
    assert 0.0005 < np.mean(sensor.dark_rate_e_s > 0.2) < 0.002


def test_the_well_clips_and_the_converter_too(sensor: Sensor) -> None:
    rng = np.random.default_rng(4)
    flood = np.full((300, 400), 1e6)
    at_100 = sensor.read(rng, flood, 1.0, -10.0, WHOLE)
    assert np.median(at_100) == pytest.approx(50_000 / 0.9 + 480, abs=5)
    high = Readout(gain=200.0, offset=30.0, x=0, y=0, width=400, height=300)
    assert np.all(sensor.read(rng, flood, 1.0, -10.0, high) == 65_535)


def test_a_window_and_binning_show_the_right_pixels(sensor: Sensor) -> None:
    rng = np.random.default_rng(5)
    light = np.zeros((300, 400))
    light[101, 203] = 20_000.0
    readout = Readout(gain=100.0, offset=0.0, x=200, y=100, width=21, height=11, bin_x=2, bin_y=2)
    frame = sensor.read(rng, light, 1.0, -10.0, readout)
    assert frame.shape == (5, 10)
    assert frame.argmax() == 1
    assert frame[0, 1] == pytest.approx(20_000 / 0.9, rel=0.03)


def test_the_same_seed_is_the_same_sensor() -> None:
    assert np.array_equal(Sensor(PROFILE, 3).dark_rate_e_s, Sensor(PROFILE, 3).dark_rate_e_s)
    assert not np.array_equal(Sensor(PROFILE, 3).dark_rate_e_s, Sensor(PROFILE, 4).dark_rate_e_s)
