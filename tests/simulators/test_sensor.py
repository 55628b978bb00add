from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.noise import count, normal_rows
from simulators.sensor import ADU, FrameReader, Readout, Sensor, SensorProfile
from tests.simulators.sensor_measures import gain_e_per_adu, read_noise_adu

PROFILE = SensorProfile(width=400, height=300, cosmic_rays_per_s=0.0)
Binning = Literal["sum", "average", "charge"]
WHOLE = Readout(gain=100.0, offset=30.0, x=0, y=0, width=400, height=300)


def e_per_adu(gain: float) -> float:
    return float(0.9 * 10 ** ((100 - gain) / 200))


@pytest.fixture(scope="module")
def sensor() -> Sensor:
    return Sensor(PROFILE, seed=3)


def shoot(
    sensor: Sensor, seed: int, light_e: float | None = None, exposure_s: float = 0.0, **settings: Any
) -> ADU:
    readout = replace(WHOLE, width=sensor.profile.width, height=sensor.profile.height, **settings)
    light = None
    if light_e is not None:
        light = np.full((sensor.profile.height, sensor.profile.width), light_e, np.float32)
    return sensor.read(np.random.default_rng(seed), light, exposure_s, -10.0, readout)


@pytest.mark.parametrize(("gain", "noise_e"), [(0.0, 3.6), (100.0, 2.4), (200.0, 2.4)])
def test_two_biases_give_back_offset_and_read_noise(sensor: Sensor, gain: float, noise_e: float) -> None:
    a, b = (shoot(sensor, seed, gain=gain) for seed in (1, 2))
    assert a.mean() == pytest.approx(480.0, abs=0.2)
    assert read_noise_adu(a, b) * e_per_adu(gain) == pytest.approx(noise_e, rel=0.02)


@pytest.mark.parametrize("gain", [0.0, 100.0, 160.0])
def test_flat_pairs_give_back_the_gain(sensor: Sensor, gain: float) -> None:
    a, b = (shoot(sensor, seed, 16_000.0, 1.0, gain=gain, offset=0) for seed in (3, 4))
    noise_adu = PROFILE.read_noise_e(gain) / e_per_adu(gain)
    assert gain_e_per_adu(a, b, 0.0, noise_adu) == pytest.approx(e_per_adu(gain), rel=0.025)


def test_dark_current_grows_with_time_and_doubles_every_six_degrees(sensor: Sensor) -> None:
    rng = np.random.default_rng(3)

    def mean_dark_adu(exposure_s: float, temperature_c: float) -> float:
        return float(sensor.read(rng, None, exposure_s, temperature_c, WHOLE).mean() - 480.0)

    at_minus_10 = mean_dark_adu(600.0, -10.0)
    rate_e_s = sensor.dark_current_e_s(-10.0)
    assert at_minus_10 == pytest.approx(float(rate_e_s.mean()) * 600 / 0.9, rel=0.03)
    assert mean_dark_adu(1200.0, -10.0) / at_minus_10 == pytest.approx(2.0, rel=0.03)
    assert mean_dark_adu(600.0, -4.0) / at_minus_10 == pytest.approx(2.0, rel=0.03)
    assert np.median(rate_e_s) == pytest.approx(0.02, rel=0.02)
    assert 0.0005 < np.mean(rate_e_s > 0.2) < 0.002


def test_the_well_clips_and_the_converter_too(sensor: Sensor) -> None:
    at_100 = shoot(sensor, 4, 1e6, 1.0)
    assert np.median(at_100) == pytest.approx(50_000 / 0.9 + 480, abs=5)
    # What is clipped is charge: the amplifier still adds its noise to it.
    assert np.std(at_100[:, 0].astype(float)) == pytest.approx(2.4 / 0.9, rel=0.2)
    assert np.all(shoot(sensor, 4, 1e6, 1.0, gain=200) == 65_535)


def test_charge_does_not_bleed(sensor: Sensor) -> None:
    light = np.zeros((300, 400), np.float32)
    light[150, 200] = 5e6
    frame = sensor.read(np.random.default_rng(4), light, 1.0, -10.0, WHOLE)
    assert int(frame[150, 200]) == pytest.approx(56_035, abs=20)
    around = frame[145:156, 195:206].copy()
    around[5, 5] = 480
    assert around.max() < 500


def test_a_window_and_binning_show_the_right_pixels(sensor: Sensor) -> None:
    rng = np.random.default_rng(5)
    light = np.zeros((300, 400))
    light[101, 203] = 20_000.0
    readout = Readout(gain=100.0, offset=0.0, x=200, y=100, width=21, height=11, bin_x=2, bin_y=2)
    frame = sensor.read(rng, light, 1.0, -10.0, readout)
    assert frame.shape == (5, 10)
    assert frame.argmax() == 1
    assert frame[0, 1] == pytest.approx(20_000 / 0.9, rel=0.03)


def test_three_ways_to_bin(sensor: Sensor) -> None:
    """2 × 2 of 400 e⁻ at 2.4 e⁻ of read noise: signal ×4, ×1, ×4; read noise ×2, ×1/2, ×1."""
    expected: dict[Binning, tuple[float, float, float]] = {
        "sum": (1600, 4.8, 1920),
        "average": (400, 1.2, 480),
        "charge": (1600, 2.4, 480),
    }
    for how, (signal_e, noise_e, level_adu) in expected.items():
        binned = Sensor(replace(PROFILE, binning=how, row_noise_e=0.0), 3)
        a, b = (shoot(binned, seed, bin_x=2, bin_y=2) for seed in (1, 2))
        assert a.shape == (150, 200)
        assert a.mean() == pytest.approx(level_adu, abs=1.6)  # an average is cut, not rounded
        # Rounded before they are added up, four pixels bring four times the rounding's variance.
        assert np.var(a - b.astype(float)) / 2 * 0.9**2 == pytest.approx(noise_e**2, rel=0.06, abs=0.35)
        lit = shoot(binned, 3, 400.0, 0.001, bin_x=2, bin_y=2).mean() - a.mean()
        assert lit * 0.9 == pytest.approx(signal_e, rel=0.01)


def test_twelve_bits_come_shifted_left() -> None:
    twelve = Sensor(replace(PROFILE, adc_bits=12, adu_per_offset_step=1.0), 3)
    frame = shoot(twelve, 1, 300.0, 1.0)
    assert twelve.profile.adc_max == 65_520
    assert not np.any(frame % 16)
    assert len(np.unique(frame)) > 100
    assert frame.mean() / 16 == pytest.approx(30 + 300 / 0.9, rel=0.01)
    right = Sensor(replace(PROFILE, adc_bits=12, delivered_bits=12, adu_per_offset_step=1.0), 3)
    assert np.array_equal(shoot(right, 1, 300.0, 1.0) * 16, frame)


def test_banding_moves_a_row_as_a_whole() -> None:
    banded = Sensor(replace(PROFILE, row_noise_e=3.0), 3)
    a, b = (shoot(banded, seed).astype(float) for seed in (1, 2))
    assert np.std((a - b).mean(axis=1)) / np.sqrt(2) * 0.9 == pytest.approx(3.0, rel=0.15)
    assert np.std((a - b).mean(axis=0)) * 0.9 < 0.4


def test_salt_and_pepper_take_turns() -> None:
    """A pixel that flickers reads high a quarter of the time and low a quarter; the others never do."""
    salted = Sensor(replace(PROFILE, flicker_share=0.02, flicker_e=60.0, leakers=()), 3)
    frames = np.stack([shoot(salted, seed) for seed in range(20)]).astype(float) - 480
    off = np.abs(frames) > 20
    ever = off.any(axis=0)
    assert ever.mean() == pytest.approx(0.02, rel=0.1)
    assert off[:, ever].mean() == pytest.approx(0.5, abs=0.04)
    assert (frames > 20)[:, ever].mean() == pytest.approx(0.25, abs=0.04)


def test_the_same_seed_is_the_same_sensor() -> None:
    same, again, other = (Sensor(PROFILE, seed).dark_current_e_s(-10.0) for seed in (3, 3, 4))
    assert np.array_equal(same, again)
    assert not np.array_equal(same, other)


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 74), max_size=4),
    x=st.integers(0, 5),
    y=st.integers(0, 5),
    how=st.sampled_from(["sum", "charge"]),
    bins=st.sampled_from([1, 2]),
)
def test_tiles_in_any_cut_make_the_same_frame(
    cuts: list[int], x: int, y: int, how: Binning, bins: int
) -> None:
    profile = replace(PROFILE, width=133, height=160, binning=how, flicker_share=0.02, flicker_e=9.0)
    readout = Readout(
        gain=100, offset=30, x=x, y=y, width=127 - x, height=150 // bins, bin_x=bins, bin_y=bins
    )
    light = np.linspace(0, 3000, readout.height * readout.width, dtype=np.float32).reshape(readout.height, -1)
    sensor = Sensor(profile, 1)
    whole = FrameReader(sensor, (5, 6), 60.0, 5.0, readout)
    last = whole.shape[0]
    frame = whole.rows(0, last, light)
    edges = [0, *sorted({cut for cut in cuts if cut < last}), last]
    tiled = FrameReader(sensor, (5, 6), 60.0, 5.0, readout)
    parts = [
        (begin, tiled.rows(begin, end, light[begin * bins : end * bins]))
        for begin, end in reversed(list(itertools.pairwise(edges)))
    ]
    assert np.array_equal(np.concatenate([part for _, part in sorted(parts, key=lambda p: p[0])]), frame)


def test_the_pixels_stay_where_they_are_when_the_window_moves(sensor: Sensor) -> None:
    """Fixed patterns belong to the sensor, not to the frame: 300 s at +20 °C shows them."""
    rng = np.random.default_rng(1)
    whole = sensor.read(rng, None, 300.0, 20.0, WHOLE).astype(float)
    part = Readout(gain=100, offset=30, x=37, y=41, width=200, height=150)
    seen = sensor.read(rng, None, 300.0, 20.0, part).astype(float)
    assert np.corrcoef(whole[41:191, 37:237].ravel(), seen.ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(whole[40:190, 37:237].ravel(), seen.ravel())[0, 1]) < 0.1


def test_normal_numbers_are_normal() -> None:
    z = normal_rows((1, 2), 0, 500, 2001)
    assert z.shape == (500, 2001)
    assert z.mean() == pytest.approx(0.0, abs=0.004)
    assert z.std() == pytest.approx(1.0, abs=0.003)
    for sigmas, share in ((1.0, 0.31731), (2.0, 0.0455), (3.0, 0.0027), (4.0, 6.33e-5)):
        assert np.mean(np.abs(z) > sigmas) == pytest.approx(share, rel=4 / np.sqrt(share * z.size))
    assert abs(np.corrcoef(z[:, :1000].ravel(), z[:, 1001:].ravel())[0, 1]) < 0.005
    assert abs(np.corrcoef(z[:-1].ravel(), z[1:].ravel())[0, 1]) < 0.005
    assert np.array_equal(normal_rows((1, 2), 130, 140, 2001), z[130:140])
    assert not np.array_equal(normal_rows((1, 3), 0, 1, 2001), z[:1])


@pytest.mark.parametrize("expected", [0.0, 0.3, 2.0, 10.0, 400.0])
@pytest.mark.parametrize("noise", [1.2, 3.5])
def test_counting_has_the_moments_of_poisson_and_gauss(expected: float, noise: float) -> None:
    rng = np.random.default_rng(7)
    shape = (500, 1000)
    true = rng.poisson(expected, shape) + noise * rng.standard_normal(shape)
    z = rng.standard_normal(shape, dtype=np.float32)
    made = count(np.full(shape, expected, np.float32), z, noise, 1e6)
    assert made.mean() == pytest.approx(expected, abs=5 * true.std() / 700)
    assert made.std() == pytest.approx(true.std(), rel=0.005)
    third = ((made - made.mean()) ** 3).mean()
    assert third == pytest.approx(expected, abs=0.05 * true.std() ** 3)
    for percent, most in ((0.1, 0.1), (2, 0.03), (50, 0.02), (98, 0.03), (99.9, 0.1)):
        gap = np.percentile(made, percent) - np.percentile(true, percent)
        assert abs(gap) < most * true.std()
