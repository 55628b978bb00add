"""What is taken for darkness: every simulated camera's darks are, light that leaks in is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from firstlight.leaks import LeakWatch, Setup, shape_of
from library.reading import read_frame
from simulators.profiles import profile
from simulators.sensor import Readout, Sensor

BIAS_C, WARM_C = Setup(0.0, -10.0), Setup(0.0, 5.0)
SIDE = 512


class Darkroom:
    """A part of a simulated sensor, in the dark or not quite."""

    def __init__(self, name: str) -> None:
        self.profile = p = profile(name)
        self.sensor, self.rng = Sensor(p, seed=2), np.random.default_rng(5)
        gain, offset = (each.default if each else 0.0 for each in (p.gain, p.offset))
        self.window = Readout(gain=gain, offset=offset, x=0, y=0, width=SIDE, height=SIDE)
        self.e_per_adu = p.e_per_adu(gain) / 2**p.shift

    def shoot(self, setup: Setup, light_e: NDArray[Any] | None = None) -> NDArray[np.uint16]:
        assert setup.temp_c is not None
        return self.sensor.read(self.rng, light_e, setup.exposure_s, setup.temp_c, self.window, threads=1)

    def lit(self, setup: Setup, e_s: float, slope: float = 0.0) -> NDArray[np.uint16]:
        fall = np.ones(self.profile.width, np.float32)
        fall[:SIDE] = np.linspace(1.0, 1.0 - slope, SIDE)
        return self.shoot(setup, np.tile(fall * np.float32(e_s * setup.exposure_s), (self.profile.height, 1)))

    def watch(self) -> LeakWatch:
        """One that has seen biases."""
        watch = LeakWatch()
        for setup in (BIAS_C, WARM_C):
            for _ in range(3):
                watch.keep(setup, shape_of(self.shoot(setup)))
        return watch

    def judge(self, watch: LeakWatch, setup: Setup, frame: NDArray[np.uint16]) -> str | None:
        return watch.why_not_dark(setup, shape_of(frame), self.e_per_adu)


@pytest.mark.parametrize("name", ["demo", "ASI290MM", "STL-1001E"])
def test_darkness_is_never_refused(name: str) -> None:
    room = Darkroom(name)
    watch = room.watch()
    for setup in (WARM_C, BIAS_C, *(Setup(t, c) for c in (5.0, -10.0) for t in (1.0, 60.0, 300.0))):
        for _ in range(3):
            frame = room.shoot(setup)
            assert room.judge(watch, setup, frame) is None
            watch.keep(setup, shape_of(frame))


@pytest.mark.parametrize("name", ["demo", "STL-1001E"])
def test_a_first_dark_with_a_gradient_is_refused(name: str) -> None:
    room = Darkroom(name)
    setup = Setup(300.0, -10.0)
    reason = room.judge(room.watch(), setup, room.lit(setup, 0.3, slope=0.9))
    assert reason is not None
    assert "gradient" in reason


def test_an_even_leak_is_refused_where_others_were_dark() -> None:
    room = Darkroom("demo")
    watch, setup = room.watch(), Setup(60.0, -10.0)
    watch.keep(setup, shape_of(room.shoot(setup)))
    assert "above that of the 1 before" in str(room.judge(watch, setup, room.lit(setup, 0.2)))
    assert "does not go with exposure" in str(
        room.judge(watch, Setup(300.0, -10.0), room.lit(Setup(300, -10), 0.2))
    )


def test_an_even_leak_from_the_first_is_refused_as_it_does_not_fall_with_the_temperature() -> None:
    room = Darkroom("demo")
    watch, warm, cold = room.watch(), Setup(300.0, 5.0), Setup(300.0, -10.0)
    lit = room.lit(warm, 0.5)
    assert room.judge(watch, warm, lit) is None, "one frame alone could be a camera of much dark current"
    watch.keep(warm, shape_of(lit))
    assert "temperature" in str(room.judge(watch, cold, room.lit(cold, 0.5)))


def test_daylight_is_refused_in_biases_and_darks_alike() -> None:
    room = Darkroom("demo")
    full = np.full((SIDE, SIDE), 65535, np.uint16)
    assert "range" in str(room.judge(LeakWatch(), BIAS_C, full))
    assert "any camera" in str(
        room.judge(room.watch(), Setup(60.0, -10.0), room.lit(Setup(60.0, -10.0), 40.0))
    )


def test_glow_is_a_gradient_unless_the_camera_is_known_for_it() -> None:
    setup, rng = Setup(300.0, -10.0), np.random.default_rng(1)
    x = np.arange(SIDE) / SIDE
    glow = 60.0 * np.exp(-(1 - x) / 0.2) * np.exp(-(x[:, None]) / 0.3)  # out of one corner

    def frame(level_adu: NDArray[np.float64] | float) -> NDArray[np.uint16]:
        return rng.normal(500.0 + level_adu, 4.0, (SIDE, SIDE)).round().astype(np.uint16)

    for glows in (False, True):
        watch = LeakWatch(glows=glows)
        watch.keep(BIAS_C, shape_of(frame(0.0)))
        assert (watch.why_not_dark(setup, shape_of(frame(5 + glow))) is None) is glows
        watch.keep(setup, shape_of(frame(5 + glow)))
        assert (watch.why_not_dark(setup, shape_of(frame(5 + glow))) is None) is glows
        assert watch.why_not_dark(setup, shape_of(frame(5 + glow + 20 * x))) is not None


@pytest.mark.realdata
def test_the_darks_of_a_real_camera_are_dark(realdata: Path) -> None:
    folder = realdata / "calib_stl1001"
    watch = LeakWatch()
    for path in sorted(folder.glob("bias-Neg10-*")):
        shape = shape_of(read_frame(path).pixels)
        assert watch.why_not_dark(BIAS_C, shape) is None
        watch.keep(BIAS_C, shape)
    for exposure_s in (10.0, 20.0, 30.0, 60.0, 150.0, 300.0):
        setup = Setup(exposure_s, -10.0)
        [path] = folder.glob(f"darks-expos{exposure_s:g}s-*")
        shape = shape_of(read_frame(path).pixels)
        assert watch.why_not_dark(setup, shape, 1.946) is None
        watch.keep(setup, shape)
