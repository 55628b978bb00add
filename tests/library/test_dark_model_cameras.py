"""Issue 4's measure: every profile of the simulator, at temperatures and exposures that were left out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from library.dark_model import fit_model
from library.dark_model_file import read_model
from library.dark_model_synthesis import synthesise
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.writing import encode_image
from simulators.pixel_maps import BIAS, RANK_TO_SIGMA
from simulators.profiles import PROFILES
from simulators.sensor import Readout, Sensor

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]
TIMES_S = (30.0, 60.0, 300.0)
BIASES, DARKS = 10, 6
WIDTH, HEIGHT = 320, 1280
"""Tall, as banding averages by rows alone; from the sensor's top right, where glow is."""


class Camera:
    def __init__(self, name: str) -> None:
        p = self.profile = PROFILES[name]
        self.sensor, self.rng = Sensor(p, 7), np.random.default_rng(5)
        self.readout = Readout(
            gain=p.gain.default if p.gain else 0.0,
            offset=p.offset.default if p.offset else 0.0,
            x=p.width - WIDTH,
            y=0,
            width=WIDTH,
            height=min(HEIGHT, p.height),
        )
        self.shape = (self.readout.height, WIDTH)
        self.adu_per_e = 2**p.shift / p.e_per_adu(self.readout.gain)

    def shoot(self, path: Path, exposure_s: float, temp_c: float) -> FrameRecord:
        hits, _ = self.sensor.cosmic_rays(self.rng, exposure_s)
        pixels = self.sensor.read(self.rng, None, exposure_s, temp_c, self.readout, hits)
        path.write_bytes(b"".join(encode_image(pixels, [])))
        meta = FrameMeta(
            kind=FrameKind.DARK if exposure_s else FrameKind.BIAS,
            width=self.shape[1],
            height=self.shape[0],
            camera=self.profile.name,
            exposure_s=exposure_s,
            sensor_temp_c=temp_c,
        )
        return FrameRecord(id=0, path=path, sha256=path.stem, size_bytes=0, meta=meta)

    def hot_adu(self, exposure_s: float, temp_c: float) -> Floats:
        """What the warm and hot pixels hold above the ordinary ones."""
        rows = np.zeros(self.shape, np.float32)
        self.sensor.hot_e(exposure_s, temp_c).add_to(rows, 0, self.readout.x, self.profile.width)
        return np.asarray(rows * self.adu_per_e, np.float64)

    def truth(self, exposure_s: float, temp_c: float) -> Floats:
        """What darks average to, ADU: from the sensor's own parameters."""
        p, r = self.profile, self.readout
        columns = slice(r.x, r.x + r.width)
        electrons = self.sensor.dark_current_e_s(temp_c)[: r.height, columns] * exposure_s
        if p.glow is not None:
            y = (np.arange(r.height) / p.height)[:, None]
            x = np.arange(columns.start, columns.stop) / p.width
            for x0, y0, reach_x, reach_y, weight in p.glow.sources:
                shape = np.exp(-np.abs(y - y0) / reach_y) * np.exp(-np.abs(x - x0) / reach_x)
                electrons = electrons + p.glow.electrons(exposure_s) * weight * shape
        ranks = (p.pixel_adu * RANK_TO_SIGMA).astype(np.float32)
        level = p.level_adu(r.offset) + (p.exposed_adu if exposure_s else 0.0)
        bias = self.sensor.maps.columns_adu[columns] + level
        bias = bias + self.sensor.maps.lookup(BIAS, ranks, 0, r.height, columns)
        counted = np.minimum(electrons, p.full_well_e(0)) / p.e_per_adu(r.gain)
        return np.asarray(np.minimum(counted + bias, 2**p.adc_bits - 1) * 2**p.shift, np.float64)


@pytest.mark.parametrize("name", list(PROFILES))
def test_darks_that_were_left_out_are_unbiased(name: str, tmp_path: Path) -> None:
    camera = Camera(name)
    temps = (15.0, 20.0, 30.0, 35.0) if camera.profile.cooling is None else (-20.0, -15.0, -5.0, 0.0)
    middle = (temps[1] + temps[2]) / 2
    records = [
        camera.shoot(tmp_path / f"{temp_c:g}-{t:g}-{n}.fits", t, temp_c)
        for temp_c in temps
        for t, count in ((0.0, BIASES), *((t, DARKS) for t in TIMES_S))
        for n in range(count)
    ]
    (tmp_path / "model.fits").write_bytes(b"".join(fit_model(records, "test")))
    model = read_model(tmp_path / "model.fits")
    for exposure_s, temp_c in ((120.0, middle), (180.0, temps[2]), (300.0, middle)):
        dark = synthesise(model, exposure_s, temp_c)
        truth = camera.truth(exposure_s, temp_c)
        clear = truth < 0.85 * truth.max() if truth.max() >= 65_000 else np.ones(truth.shape, bool)
        residual = (dark.pixels - truth)[clear]
        hot_adu = camera.hot_adu(exposure_s, temp_c)
        hot = clear & (hot_adu > 500 * camera.adu_per_e)  # electrons enough to tell 5 % apart from shot noise
        ratio = dark.pixels[hot] / truth[hot] - 1
        within = float(np.mean(np.abs(ratio) < 0.05)) if hot.any() else 1.0
        sys.stdout.write(
            f"{name} {exposure_s:g} s {temp_c:g} °C: mean {residual.mean():+.4f} ADU, hot {hot.sum()}, "
            f"{within:.3f} within 5 %\n"
        )
        assert abs(residual.mean()) < 0.1
        assert within > 0.97
        assert abs(np.median(ratio)) < 0.05 if hot.any() else True
