"""Stars in nebulae are told as wide as they are: judged by Gaussian fits to the stack's own stars."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sep
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from library.frames import FrameKind, FrameMeta
from livestack.engine import LiveStack, Sub
from livestack.events import SubAccepted
from simulators.camera import Camera, Shot
from simulators.heavens.showpieces import find
from simulators.sensor import Readout, SensorProfile

HALF = 8
FULL_ADU = 45_000
DUSK = datetime(2026, 8, 1, 23, tzinfo=UTC)


def gaussian_fwhms_px(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """FWHM of lone, round, unsaturated stars, each fitted over a tilted sky of its own."""
    image = np.ascontiguousarray(image, np.float32)
    sky = sep.Background(image, bw=32, bh=32)
    found = sep.extract(image - sky.back(), 10 * sky.globalrms, minarea=5)
    y, x = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]

    def model(
        _: object, peak: float, x0: float, y0: float, sigma: float, level: float, right: float, down: float
    ) -> NDArray[np.float64]:
        star = peak * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2))
        return np.asarray((star + level + right * x + down * y).ravel())

    widths = []
    for star in found[(found["a"] < 1.4 * found["b"]) & (found["flag"] == 0)]:
        column, row = round(star["x"]), round(star["y"])
        stamp = image[max(row - HALF, 0) : row + HALF + 1, max(column - HALF, 0) : column + HALF + 1]
        alone = (np.hypot(found["x"] - star["x"], found["y"] - star["y"]) < 14).sum() == 1
        if stamp.shape != x.shape or not alone or not stamp.max() < FULL_ADU:
            continue
        level, peak = float(np.median(stamp)), float(stamp.max())
        if peak - level < 20 * stamp[0].std():
            continue
        fitted, _ = curve_fit(
            model, None, stamp.ravel().astype(np.float64), (peak - level, 0, 0, 1.5, level, 0, 0)
        )
        widths.append(2.3548 * abs(fitted[3]))
    return np.array(widths)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "filter_name", "exposure_s"),
    [("NGC 7000", "Ha", 300.0), ("M42", "L", 60.0), ("M31", "L", 60.0)],
)
def test_the_fwhm_told_is_that_of_gaussian_fits(name: str, filter_name: str, exposure_s: float) -> None:
    piece, sensor = find(name), replace(SensorProfile(), width=1400, height=1000)
    camera, stack = Camera(3, profile=sensor), LiveStack()
    meta = FrameMeta(
        kind=FrameKind.LIGHT,
        width=sensor.width,
        height=sensor.height,
        filter=filter_name,
        exposure_s=exposure_s,
    )
    told = []
    for number in range(3):
        pixels, _ = camera.expose(
            Shot(
                number=number + 1,
                kind="LIGHT",
                exposure_s=exposure_s,
                started=DUSK + timedelta(seconds=number * exposure_s),
                started_elapsed_s=number * exposure_s,
                temperature_c=-10.0,
                readout=Readout(gain=0.0, offset=30.0, x=0, y=0, width=sensor.width, height=sensor.height),
                filter_name=filter_name,
                ra_deg=piece.ra_deg,
                dec_deg=piece.dec_deg,
            )
        )
        event = stack.add(Sub(frame_id=str(number), pixels=pixels, meta=meta))
        assert isinstance(event, SubAccepted)
        told.append(event.fwhm_px)
    image = stack.snapshot(filter_name)
    widths = gaussian_fwhms_px(image.pixels)
    assert len(widths) > 100
    fitted = float(np.median(widths))
    assert image.fwhm_px == pytest.approx(fitted, rel=0.05)
    assert np.median(told) == pytest.approx(fitted, rel=0.05)
