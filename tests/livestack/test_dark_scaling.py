from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.calibrate import calibrate
from livestack.dark_scaling import ScalableDark, smooth_glow, take_apart
from livestack.masters import prepare
from tests.livestack.sky import draw_stars

SHAPE = (320, 384)
READ_ADU = 6.0
Floats = NDArray[np.float64]


@cache
def sensor() -> tuple[Floats, Floats, Floats]:
    """Bias, dark signal of the exposure at the master's temperature, and the readout's glow."""
    rng = np.random.default_rng(8)
    current = rng.lognormal(2.0, 0.3, SHAPE)
    hot = rng.choice(current.size, 1500, replace=False)
    current.ravel()[hot] += rng.lognormal(5.5, 0.8, 1500)
    y, x = np.indices(SHAPE) / np.array(SHAPE)[:, None, None]
    glow = 400 * np.exp(-((1 - x) + y) / 0.08)
    return 500 + rng.normal(0, 3, SHAPE), current, glow


def taken_apart(*, glow: bool, expected: float = 1.0) -> ScalableDark:
    bias, current, light = sensor()
    dark = bias + current + glow * light
    noise = np.random.default_rng(2).normal(0, 1.0, SHAPE)
    return take_apart((dark + noise).astype("f4"), bias.astype("f4"), expected=expected)


def light_of(factor: float, *, glow: bool = False, sky: float = 200.0, seed: int = 1) -> NDArray[np.uint16]:
    """A light with stars, nebula and noise whose dark signal is ``factor`` times the master's."""
    rng = np.random.default_rng(seed)
    bias, current, light = sensor()
    y, x = np.indices(SHAPE)
    scene = sky + 60 * np.exp(-((x - 200) ** 2 + (y - 150) ** 2) / 5000)
    positions = rng.uniform(0, SHAPE[0], (80, 2))
    draw_stars(scene, positions, 10 ** rng.uniform(3, 5, 80), 2.5)
    signal = scene + factor * current + glow * light
    return np.clip(np.rint(bias + rng.poisson(signal) + rng.normal(0, READ_ADU, SHAPE)), 0, 65535).astype(
        "u2"
    )


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.26, 2.0])
@pytest.mark.parametrize("glow", [False, True])
def test_the_light_tells_how_much_dark_it_holds(factor: float, glow: bool) -> None:
    found = taken_apart(glow=glow).scaling(light_of(factor, glow=glow))
    assert found.from_light
    assert abs(found.factor - factor) < 4 * found.error
    assert found.error < 0.02 * max(factor, 1)


def test_it_leaves_the_least_noise() -> None:
    dark, raw = taken_apart(glow=False), light_of(1.3)
    found = dark.scaling(raw)

    def noise(factor: float) -> float:
        left = raw - dark.pedestal(factor)
        warm = left.ravel()[dark.warm]
        return float(np.median(np.abs(warm - np.median(warm))))

    assert noise(found.factor) < min(noise(1.0), noise(found.factor - 0.1), noise(found.factor + 0.1))


def test_glow_is_not_scaled() -> None:
    _, _, glow = sensor()
    dark = taken_apart(glow=True)
    assert dark.glow_adu[4:60, -60:-4].mean() == pytest.approx(glow[4:60, -60:-4].mean(), rel=0.1)
    raw = light_of(2.0, glow=True, sky=200.0)
    left = raw - dark.pedestal(dark.scaling(raw).factor)
    corner, middle = np.median(left[:40, -40:]), np.median(left[200:280, :100])
    assert abs(corner - middle) < 25  # scaled with the dark current, the glow there would leave −150


def test_without_glow_nothing_is_set_apart() -> None:
    _, current, _ = sensor()
    assert not smooth_glow(current.astype("f4")).any()


def test_a_light_that_does_not_tell_gets_what_is_expected() -> None:
    dark = taken_apart(glow=False, expected=1.4)
    rng = np.random.default_rng(4)
    drowned = np.clip(40_000 + rng.normal(0, 3_000, SHAPE), 0, 65535).astype("u2")
    for raw, reason in ((drowned, "±"), (light_of(9.0), "not for it")):
        found = dark.scaling(raw)
        assert (found.from_light, found.factor) == (False, 1.4)
        assert reason in found.reason


def test_clean_sensors_have_no_say() -> None:
    flat = np.full(SHAPE, 500.0, "f4")
    quiet = take_apart(flat + 5, flat, expected=0.7)
    found = quiet.scaling(light_of(1.0))
    assert (found.from_light, found.factor) == (False, 0.7)
    assert "warm pixels" in found.reason


def test_calibration_takes_off_what_the_light_holds() -> None:
    bias, current, _ = sensor()
    dark = (bias + current).astype("f4")
    raw = light_of(1.6)
    masters = prepare(bias=bias.astype("f4"), dark=dark, optimise_dark=True)
    done = calibrate(raw, masters, saturation_adu=60_000)
    assert done.dark_scaling is not None
    assert done.dark_scaling.factor == pytest.approx(1.6, abs=0.05)
    plain = calibrate(raw, prepare(dark=dark), saturation_adu=60_000)
    assert plain.dark_scaling is None
    assert abs(np.median(done.pixels) - 205) < abs(np.median(plain.pixels) - 205)


def test_a_dark_is_scaled_above_its_bias_only() -> None:
    with pytest.raises(ValueError, match="both are needed"):
        prepare(dark=np.ones(SHAPE, "f4"), optimise_dark=True)
