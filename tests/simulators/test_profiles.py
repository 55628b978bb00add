"""What one would measure of every camera, against what its profile says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulators.profiles import PROFILES, profile
from simulators.sensor import ADU, Readout, Sensor, SensorProfile
from tests.simulators.sensor_measures import (
    clipped_std,
    dark_median_e_s,
    gain_e_per_adu,
    median_adu,
    prnu,
    read_noise_adu,
)

SIZE = 384
NAMES = list(PROFILES)


def small(name: str, **changes: object) -> SensorProfile:
    """A piece of a sensor: all figures but the size are those of the camera."""
    return replace(profile(name), width=SIZE, height=SIZE, **changes)  # type: ignore[arg-type]  # any field


def shoot(
    sensor: Sensor,
    seed: int,
    gain: float = 0.0,
    *,
    mode: int = 0,
    light_e: float | None = None,
    exposure_s: float = 0.0,
    temperature_c: float = -60.0,
) -> ADU:
    p, offset = sensor.profile, 0.0
    if p.offset is not None:
        # Enough that noise does not reach zero, as one has to set it at high gain.
        enough = 6 * p.read_noise_e(gain, mode) / p.e_per_adu(gain, mode) / p.adu_per_offset_step
        offset = min(max(p.offset.default, round(enough)), p.offset.largest)
    readout = Readout(gain=gain, offset=offset, x=0, y=0, width=SIZE, height=SIZE, mode=mode)
    light = None if light_e is None else np.full((SIZE, SIZE), light_e, np.float32)
    return sensor.read(np.random.default_rng(seed), light, exposure_s, temperature_c, readout)


def gains() -> list[tuple[str, int, float]]:
    """Every knot of every camera's curves: both sides of each step among them."""
    return [
        (name, number, gain)
        for name, p in PROFILES.items()
        for number, mode in enumerate(p.modes)
        for gain in sorted({knot for knot, _ in mode.read_noise_e})
    ]


@pytest.mark.parametrize(("name", "mode", "gain"), gains())
def test_read_noise_and_gain_at_every_setting(name: str, mode: int, gain: float) -> None:
    sensor = Sensor(small(name, glow=None), 1)
    p, unit = sensor.profile, 1 << sensor.profile.shift
    said_e, said_e_per_adu = p.read_noise_e(gain, mode), p.e_per_adu(gain, mode) / unit
    bias_a, bias_b = (shoot(sensor, seed, gain, mode=mode) for seed in (1, 2))
    # A row's own noise is part of what a pair of biases shows; salt and pepper is cut off as outliers.
    noise_adu = read_noise_adu(bias_a, bias_b, unit)
    expected_e = np.hypot(said_e, p.row_noise_e)
    assert noise_adu * said_e_per_adu == pytest.approx(expected_e, rel=0.05 if p.flicker_share else 0.02)
    light_e = 0.5 * min(p.full_well_e(mode), (p.adc_max - bias_a.mean()) * said_e_per_adu)
    flat_a, flat_b = (shoot(sensor, seed, gain, mode=mode, light_e=light_e) for seed in (3, 4))
    measured = gain_e_per_adu(flat_a, flat_b, float(bias_a.mean()), noise_adu, unit)
    assert measured == pytest.approx(said_e_per_adu, rel=0.03)


@pytest.mark.parametrize(
    ("name", "below", "above", "drop"),
    [("ASI2600MM", 99, 100, 1.9), ("ASI294MC", 119, 120, 3.2), ("ASI6200MM", 99, 100, 2.0)],
)
def test_dual_gain_sensors_step_down(name: str, below: float, above: float, drop: float) -> None:
    sensor = Sensor(small(name, glow=None), 1)
    noise = [
        read_noise_adu(shoot(sensor, 1, gain), shoot(sensor, 2, gain), 1 << sensor.profile.shift)
        * sensor.profile.e_per_adu(gain)
        for gain in (below, above)
    ]
    assert noise[0] / noise[1] == pytest.approx(drop, rel=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_full_well_and_bit_depth(name: str) -> None:
    sensor = Sensor(small(name, glow=None), 1)
    p, unit = sensor.profile, 1 << sensor.profile.shift
    for number, mode in enumerate(p.modes):
        dark, flooded = (shoot(sensor, 1, mode=number, light_e=light) for light in (None, 1e6))
        assert not np.any(dark % unit)
        assert not np.any(flooded % unit)
        assert flooded.max() <= p.adc_max
        assert dark.min() > 0
        depth_e = (np.median(flooded) - np.median(dark)) * p.e_per_adu(0, number) / unit
        converter_e = (p.adc_max - np.median(dark)) * p.e_per_adu(0, number) / unit
        assert depth_e == pytest.approx(min(mode.full_well_e, converter_e), rel=0.005)
        if p.gain is not None and p.gain.largest >= 200:
            assert np.all(shoot(sensor, 1, p.gain.largest, mode=number, light_e=1e6) == p.adc_max)
    assert unit == 2 ** (16 - {"ASI1600MM": 12, "ASI290MM": 12, "ASI294MC": 14}.get(name, 16))


@pytest.mark.parametrize("name", NAMES)
def test_dark_current_and_the_degrees_that_double_it(name: str) -> None:
    """Over as long as gives 300 e⁻, without the glow and the step of an exposed frame."""
    sensor = Sensor(small(name, glow=None, exposed_adu=0.0, leakers=()), 1)
    p = sensor.profile
    e_per_adu = p.e_per_adu(0) / (1 << p.shift)
    # Columns differ, and a line's start is high: a pixel's own bias counts.
    bias = np.mean([shoot(sensor, seed) for seed in range(4)], axis=0)
    temperatures = (p.dark_reference_c, p.dark_reference_c + 10.0)
    rates = [
        dark_median_e_s(shoot(sensor, 9, exposure_s=t, temperature_c=c), bias, t, e_per_adu)
        for c in temperatures
        for t in (300.0 / p.dark_e_s / (1.0 if c == p.dark_reference_c else 3.0),)
    ]
    assert rates[0] == pytest.approx(p.dark_e_s, rel=0.03)
    assert 10.0 / np.log2(rates[1] / rates[0]) == pytest.approx(p.dark_doubling_c, rel=0.03)


@pytest.mark.parametrize("name", [name for name in NAMES if profile(name).leakers])
def test_hot_pixels_double_in_their_own_degrees(name: str) -> None:
    sensor = Sensor(small(name, leakers=tuple(replace(k, share=0.05) for k in profile(name).leakers)), 1)
    p = sensor.profile
    for spots, kind in zip(sensor.maps.leakers, p.leakers, strict=True):
        assert len(spots.places) == pytest.approx(0.05 * SIZE**2, rel=0.05)
        assert np.median(spots.values) == pytest.approx(kind.median_e_s, rel=0.06 * max(kind.sigma, 1))
        assert np.std(np.log(spots.values)) == pytest.approx(kind.sigma, rel=0.06)
    hottest = max(p.leakers, key=lambda k: k.median_e_s)
    only = Sensor(replace(p, leakers=(replace(hottest, share=0.01),), dark_e_s=0.0), 1)
    cold, warm = (
        only.hot_e(10.0, p.dark_reference_c + degrees).values.sum() for degrees in (0.0, hottest.doubling_c)
    )
    assert warm / cold == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_pixels_respond_unevenly(name: str) -> None:
    sensor = Sensor(small(name, glow=None), 1)
    p = sensor.profile
    light_e = 0.5 * min(p.full_well_e(), 60_000 * p.e_per_adu(0) / (1 << p.shift))
    bias = float(shoot(sensor, 1).mean())
    flat_a, flat_b = (shoot(sensor, seed, light_e=light_e) for seed in (3, 4))
    assert prnu(flat_a, flat_b, bias) == pytest.approx(p.prnu, rel=0.06)


@pytest.mark.parametrize("name", [name for name in NAMES if profile(name).glow])
def test_the_glow_does_not_grow_in_proportion_to_time(name: str) -> None:
    """Measured where it is brightest, against the sensor without it; so cold that nothing else grows."""
    sensor, without = Sensor(small(name), 1), Sensor(small(name, glow=None), 1)
    glow = sensor.profile.glow
    assert glow is not None
    x, y = (min(int(share * SIZE), SIZE - 6) for share in glow.sources[0][:2])
    spot = np.s_[max(y - 6, 0) : y + 6, max(x - 6, 0) : x + 6]
    e_per_adu = sensor.profile.e_per_adu(0) / (1 << sensor.profile.shift)
    left = {
        t: np.mean(shoot(sensor, 1, exposure_s=t)[spot]) - np.mean(shoot(without, 1, exposure_s=t)[spot])
        for t in (300.0, 1200.0, 4800.0)
    }
    slope = np.log2(left[4800.0] / left[1200.0]) / 2
    assert slope == pytest.approx(glow.exponent, abs=0.03)
    assert abs(slope - 1) > 0.08
    assert 0.5 < left[300.0] * e_per_adu / glow.e_at_300_s < 1.05


@pytest.mark.parametrize("name", NAMES)
def test_bias_level_offset_and_pattern(name: str) -> None:
    sensor = Sensor(small(name), 1)
    p, unit = sensor.profile, 1 << sensor.profile.shift
    frames = np.mean([shoot(sensor, seed) for seed in range(8)], axis=0)
    settled = frames[:, SIZE // 2 :] if p.ramp_adu else frames
    default = p.offset.default if p.offset else 0.0
    ramp = p.ramp_adu * np.exp(-np.arange(SIZE) / p.ramp_px)[SIZE // 2 :].mean()
    assert median_adu(settled / unit) == pytest.approx(p.level_adu(default) + ramp, abs=0.6)
    columns = settled.mean(axis=0) / unit
    flat = columns - p.ramp_adu * np.exp(-np.arange(SIZE) / p.ramp_px)[-len(columns) :]
    assert clipped_std(flat) == pytest.approx(p.column_adu, rel=0.25)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("asi2600mc", "ASI2600MC"),
        ("ASI1600", "ASI1600MM"),
        ("kaf8300", "KAF-8300"),
        ("stl 1001", "STL-1001E"),
    ],
)
def test_a_camera_is_found_by_name(said: str, found: str) -> None:
    assert profile(said).name == found


@pytest.mark.parametrize(("said", "why"), [("ASI2600", "several"), ("Canon", "no camera"), ("", "no camera")])
def test_another_name_gets_the_list(said: str, why: str) -> None:
    with pytest.raises(ValueError, match=rf"{why}.*ASI1600MM.*STL-1001E"):
        profile(said)
