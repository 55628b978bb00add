"""The noise that a master leaves: predicted from headers, measured on simulated frames."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.matching import match
from library.tolerances import Tolerances, read_tolerances

SHAPE, READ_NOISE, DOUBLING_C = (256, 256), 6.0, 6.0
LIGHT = FrameMeta(
    kind=FrameKind.LIGHT, width=SHAPE[1], height=SHAPE[0], camera="Cam", exposure_s=120.0, sensor_temp_c=-10.0
)


class Sensor:
    """One e⁻ per ADU; dark rates and biases that differ from pixel to pixel."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)
        self.bias = 500 + self.rng.normal(0, 4.0, SHAPE)
        self.rate = self.rng.gamma(4.0, 0.25, SHAPE)  # e⁻/s at −10 °C, half as wide as high

    def signal(self, exposure_s: float, temp_c: float) -> NDArray[np.float64]:
        return np.asarray(self.rate * exposure_s * 2 ** ((temp_c + 10) / DOUBLING_C))

    def master(
        self, kind: FrameKind, n: int, exposure_s: float, temp_c: float
    ) -> tuple[NDArray[Any], FrameRecord]:
        frames = [
            self.bias
            + self.rng.poisson(self.signal(exposure_s, temp_c))
            + self.rng.normal(0, READ_NOISE, SHAPE)
            for _ in range(n)
        ]
        pixels = np.mean(frames, axis=0)
        noise = float(np.sqrt(np.var(frames, axis=0, ddof=1).mean() / n))
        meta = dataclasses.replace(
            LIGHT,
            kind=kind,
            exposure_s=exposure_s,
            sensor_temp_c=temp_c,
            n_combined=n,
            noise_adu=noise,
            spread_adu=robust(pixels),
        )
        return pixels, FrameRecord(id=1, path=Path(f"{kind}{temp_c}"), sha256="", size_bytes=1, meta=meta)


def robust(pixels: NDArray[Any]) -> float:
    return float(1.4826 * np.median(np.abs(pixels - np.median(pixels))))


@pytest.mark.parametrize(
    ("n", "exposure_s", "temp_c"),
    [(4, 120.0, -10.0), (16, 120.0, -9.0), (16, 120.0, -4.0), (25, 60.0, -10.0)],
)
def test_the_prediction_is_what_calibration_leaves(n: int, exposure_s: float, temp_c: float) -> None:
    sensor = Sensor()
    pixels, dark = sensor.master(FrameKind.DARK, n, exposure_s, temp_c)
    _, bias = sensor.master(FrameKind.BIAS, 50, 0.0, -10.0)
    wide = Tolerances(temp_c=20.0, exposure_fraction=10.0)
    predicted = match([dark, bias], LIGHT, tolerances=wide).dark.residual_noise_adu
    assert LIGHT.exposure_s is not None
    left = sensor.bias + sensor.signal(LIGHT.exposure_s, -10.0) - pixels  # a light without noise of its own
    assert predicted == pytest.approx(robust(left), rel=0.1)
    if (exposure_s, temp_c) != (120.0, -10.0):
        without_bias = match([dark], LIGHT, tolerances=wide).dark.residual_noise_adu
        assert without_bias is not None
        assert predicted is not None
        assert without_bias >= predicted


def test_a_master_that_does_not_tell_its_noise_is_judged_by_a_bias_that_does() -> None:
    sensor = Sensor()
    _, bias = sensor.master(FrameKind.BIAS, 36, 0.0, -10.0)
    _, dark = sensor.master(FrameKind.DARK, 9, 120.0, -10.0)
    silent = dataclasses.replace(dark, meta=dataclasses.replace(dark.meta, noise_adu=None))
    found = match([silent, bias], LIGHT).dark
    assert found.residual_noise_adu == pytest.approx(READ_NOISE / 3, rel=0.05)
    assert match([silent], LIGHT).dark.residual_noise_adu is None
    other = dataclasses.replace(bias, meta=dataclasses.replace(bias.meta, gain=1.0))
    assert match([silent, other], LIGHT).dark.residual_noise_adu is None


def test_a_bias_alone_leaves_the_pattern_that_any_dark_of_the_camera_tells() -> None:
    sensor = Sensor()
    pixels, bias = sensor.master(FrameKind.BIAS, 50, 0.0, -10.0)
    _, dark = sensor.master(FrameKind.DARK, 16, 30.0, -4.0)
    assert LIGHT.exposure_s is not None
    left = sensor.bias + sensor.signal(LIGHT.exposure_s, -10.0) - pixels
    assert match([bias, dark], LIGHT).bias.residual_noise_adu == pytest.approx(robust(left), rel=0.1)
    assert match([bias], LIGHT).bias.residual_noise_adu is None
    flat = dataclasses.replace(LIGHT, kind=FrameKind.FLAT, exposure_s=2.0)
    assert match([bias], flat).bias.residual_noise_adu == bias.meta.noise_adu


def test_a_flat_leaves_its_relative_noise_of_the_light() -> None:
    _, flat = Sensor().master(FrameKind.FLAT, 2, 1.0, 0.0)
    flat = dataclasses.replace(flat, meta=dataclasses.replace(flat.meta, noise_adu=0.002))
    assert match([flat], LIGHT, level_adu=800.0).flat.residual_noise_adu == pytest.approx(1.6)
    assert match([flat], LIGHT).flat.residual_noise_adu is None


def test_tolerances_come_from_the_library_s_own_file(tmp_path: Path) -> None:
    assert read_tolerances(tmp_path) == Tolerances()
    text = "[matching]\ntemp_c = 2\nrotator_half_turn = true\nunknown_fits = ['offset']\n"
    (tmp_path / "library.toml").write_text(text)
    wanted = Tolerances(temp_c=2.0, rotator_half_turn=True, unknown_fits=frozenset({"offset"}))
    assert read_tolerances(tmp_path) == wanted


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("temp = 2", "temp is not known"),
        ("temp_c = -1", "temp_c is -1, not a number from 0 up"),
        ("temp_c = true", "temp_c is True, not a number"),
        ("temp_c = nan", "temp_c is nan, not a number"),
        ("rotator_half_turn = 1", "not true or false"),
        ("unknown_fits = 'offset'", "is no list of"),
        ("unknown_fits = ['size']", "['size'] is no list of"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "library.toml").write_text(f"[matching]\n{line}\n")
    with pytest.raises(LibraryError, match=r"library\.toml") as caught:
        read_tolerances(tmp_path)
    assert said in str(caught.value)
