"""What the optics do to a frame, measured on rendered frames as an observer would."""

from __future__ import annotations

import gzip
import io
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sep
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulators.flat import FlatField
from simulators.focus import Focuser, FocusState
from simulators.optics import TELESCOPES, Telescope
from simulators.render import PointSources, StarShape, render

Floats = NDArray[np.float64]
PIXEL_UM = 3.8


def grid(width: int, height: int, step: int) -> tuple[Floats, Floats]:
    """Places of artificial stars, off the pixels' centres."""
    x, y = np.meshgrid(np.arange(step / 2, width, step), np.arange(step / 2, height, step))
    jitter = np.random.default_rng(1).uniform(-0.5, 0.5, (2, *x.shape))
    return (x + jitter[0]).ravel(), (y + jitter[1]).ravel()


def picture(
    telescope: Telescope,
    u: Floats,
    v: Floats,
    size: tuple[int, int],
    focus: FocusState | None = None,
    pixel_um: float = PIXEL_UM,
) -> NDArray[np.float32]:
    """Noiseless stars of 10⁵ electrons at pinhole places from the middle."""
    x, y = telescope.distort(u, v, pixel_um)
    blur = telescope.blur_px(x, y, pixel_um, focus, "L")
    middle = np.array(size)[:, None] / 2 - 0.5
    stars = PointSources(x + middle[0], y + middle[1], np.full(len(x), 1e5), blur)
    shape = StarShape(fwhm_px=telescope.fwhm_px(pixel_um), obstruction=telescope.obstruction)
    return render(*size, stars, shape)


def hfd_px(image: NDArray[np.float32], x: float, y: float, reach: int) -> float:
    """Half-flux diameter: that of the circle about the centroid with half the light of the larger one."""
    flux = sep.sum_circle(image, [x], [y], reach)[0]
    radius, _ = sep.flux_radius(image, [x], [y], [float(reach)], 0.5, normflux=flux, subpix=5)
    return float(2 * radius[0])


def test_the_distortion_comes_back_from_the_stars_places() -> None:
    for name in ("C8", "NEWTON200"):
        # Binned pixels, so that a small picture reaches as far out as a full-frame sensor; stars to suit.
        telescope = replace(TELESCOPES[name], star_fwhm_um=110.0, curvature_mm=np.inf)
        size, pixel_um = (900, 600), 40.0
        x, y = grid(*size, 30)
        u, v = x - 449.5, y - 299.5
        image = picture(telescope, u, v, size, pixel_um=pixel_um)
        found = sep.extract(image, 50.0)
        at_x, at_y, _ = sep.winpos(image, found["x"], found["y"], np.full(len(found), 1.5))
        gap = np.hypot(at_x[:, None] - x, at_y[:, None] - y)
        which = gap.argmin(axis=1)
        assert len(found) > 500
        ideal = np.hypot(u, v)[which] * pixel_um / 1000
        real = np.hypot(at_x - 449.5, at_y - 299.5) * pixel_um / 1000
        (scale, k), *_ = np.linalg.lstsq(np.stack([ideal, ideal**3], axis=1), real, rcond=None)
        assert scale == pytest.approx(1.0, abs=5e-5)
        assert k == pytest.approx(telescope.distortion_per_mm2, rel=0.02)


@given(u=st.floats(-5000, 5000), v=st.floats(-3500, 3500), k=st.floats(-1e-4, 1e-4))
def test_undistort_is_the_inverse_of_distort(u: float, v: float, k: float) -> None:
    telescope = Telescope(distortion_per_mm2=k)
    back = telescope.undistort(*telescope.distort(np.array([u]), np.array([v]), 3.76), 3.76)
    assert back[0][0] == pytest.approx(u, abs=1e-3)
    assert back[1][0] == pytest.approx(v, abs=1e-3)


def v_curve(telescope: Telescope, positions: Floats) -> Floats:
    zero = np.array([0.0])
    curve = []
    for steps in positions:
        state = FocusState(position_steps=float(steps), tube_c=telescope.focuser.best_at_c)
        image = picture(telescope, zero, zero, (201, 201), state)
        curve.append(hfd_px(image, 100.0, 100.0, 90))
    return np.array(curve)


def slopes(positions: Floats, curve: Floats, best: float, beyond: float) -> tuple[float, float]:
    inside, outside = positions < best - beyond, positions > best + beyond
    return (
        float(np.polyfit(positions[inside], curve[inside], 1)[0]),
        float(np.polyfit(positions[outside], curve[outside], 1)[0]),
    )


def test_the_c8s_v_curve_is_that_of_the_real_one() -> None:
    """Slopes −0.0705 and +0.0669 px of half-flux diameter a step; the arms meet near 7983."""
    positions = np.arange(7400.0, 8551.0, 50.0)
    curve = v_curve(TELESCOPES["C8"], positions)
    left, right = slopes(positions, curve, 7983.0, 240.0)
    assert left == pytest.approx(-0.0705, rel=0.02)
    assert right == pytest.approx(0.0669, rel=0.02)
    assert positions[curve.argmin()] == pytest.approx(7983, abs=26)
    # Round at the bottom: the seeing's own width.
    assert 4.0 < curve.min() < 9.0


def test_far_from_focus_the_diameter_is_geometry() -> None:
    """Half the light of a ring of outer radius R and inner εR lies within R·√((1 + ε²)/2); R = dz/2N."""
    telescope = Telescope(obstruction=0.4, focuser=Focuser(um_per_step=1.0))
    steps = 25_000.0 + np.array([-400.0, 400.0])
    radius_px = 400.0 / (2 * telescope.f_ratio) / PIXEL_UM
    assert v_curve(telescope, steps) == pytest.approx(2 * radius_px * np.sqrt((1 + 0.16) / 2), rel=0.03)


def test_a_stars_width_grows_with_defocus_on_both_sides() -> None:
    curve = v_curve(Telescope(), 25_000.0 + np.arange(-200.0, 201.0, 40.0))
    middle = len(curve) // 2
    assert np.all(np.diff(curve[: middle + 1]) < 0)
    assert np.all(np.diff(curve[middle:]) > 0)
    assert curve[:middle] == pytest.approx(curve[:middle:-1], rel=1e-6)


def test_focus_follows_the_temperature_and_the_filter() -> None:
    focuser = Focuser(best_steps=1000.0, best_at_c=10.0, drift_steps_per_c=-8.0, filter_steps={"B": 25.0})
    assert focuser.best_position_steps("L", 10.0) == 1000.0
    assert focuser.best_position_steps("B", 5.0) == 1000.0 + 40.0 + 25.0
    cold = FocusState(position_steps=1000.0, tube_c=5.0)
    assert focuser.defocus_um(cold, "L") == pytest.approx(-40.0 * focuser.um_per_step)
    assert focuser.defocus_um(replace(cold, position_steps=1065.0), "B") == 0.0


def defocus_over_the_field(telescope: Telescope) -> tuple[Floats, Floats, Floats]:
    """HFD over a 4 mm field at two focuser positions far to each side → dz, µm.

    Out of focus on one side HFD is linear in dz: dz = (HFD₊ − HFD₋)/(HFD₊ + HFD₋)·dz₀.
    """
    size = (1000, 700)
    x, y = grid(*size, 140)
    u, v = x - 499.5, y - 349.5
    away = 1400.0
    widths = []
    for side in (-1, 1):
        state = FocusState(position_steps=25_000.0 + side * away, tube_c=12.0)
        image = picture(telescope, u, v, size, state)
        widths.append(np.array([hfd_px(image, a, b, 68) for a, b in zip(x, y, strict=True)]))
    below, above = widths
    dz_um = (above - below) / (above + below) * away * telescope.focuser.um_per_step
    return u * PIXEL_UM / 1000, v * PIXEL_UM / 1000, dz_um


def test_tilt_and_curvature_come_back_from_the_widths_over_the_field() -> None:
    telescope = Telescope(tilt_um_per_mm=(12.0, -7.0), curvature_mm=40.0, distortion_per_mm2=0.0)
    x, y, dz = defocus_over_the_field(telescope)
    columns = np.stack([np.ones_like(x), x, y, x**2 + y**2], axis=1)
    (offset, tilt_x, tilt_y, bend), *_ = np.linalg.lstsq(columns, dz, rcond=None)
    assert offset == pytest.approx(0.0, abs=2.0)
    assert (tilt_x, tilt_y) == pytest.approx((12.0, -7.0), rel=0.05)
    assert 1000 / (2 * bend) == pytest.approx(40.0, rel=0.05)


def flat(telescope: Telescope, filter_name: str, rotator_deg: float, size: tuple[int, int]) -> Floats:
    field = FlatField(telescope, *size, PIXEL_UM, filter_name, rotator_deg, 1)
    return field.rows(slice(0, size[1])).astype(np.float64)


def vignetting(image: Floats) -> tuple[float, float, float]:
    """Corner depth, and the axis' place as shares of the half diagonal, from a robust fit of a parabola."""
    height, width = image.shape
    half = np.hypot(width, height) / 2
    y, x = (np.mgrid[:height, :width] - np.array([height - 1, width - 1])[:, None, None] / 2) / half
    columns = np.stack([np.ones(image.size), x.ravel(), y.ravel(), (x**2 + y**2).ravel()], axis=1)
    keep, fit = np.ones(image.size, bool), np.zeros(4)
    for _ in range(6):  # dust only darkens
        fit, *_ = np.linalg.lstsq(columns[keep], image.ravel()[keep], rcond=None)
        residual = image.ravel() - columns @ fit
        keep = np.abs(residual - np.median(residual)) < 2 * np.median(np.abs(residual)) + 1e-4
    return -fit[3] / fit[0], -fit[1] / (2 * fit[3]), -fit[2] / (2 * fit[3])


@pytest.mark.parametrize("rotator_deg", [0.0, 60.0, 135.0])
@pytest.mark.parametrize(("filter_name", "depth"), [("L", 0.3), ("Ha", 0.39)])
def test_vignetting_deepens_with_the_filter_and_turns_with_the_rotator(
    filter_name: str, depth: float, rotator_deg: float
) -> None:
    image = flat(TELESCOPES["NEWTON200"], filter_name, rotator_deg, (1500, 1000))[::4, ::4]
    found, x, y = vignetting(image)
    assert found == pytest.approx(depth, rel=0.05)
    assert np.hypot(x, y) == pytest.approx(0.1, abs=0.01)
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(rotator_deg, abs=5.0)


def test_dust_on_the_window_stays_and_dust_on_the_filter_changes() -> None:
    plain = Telescope(vignetting=0.0)
    red, blue, turned = (
        flat(plain, name, angle, (1500, 1000)) for name, angle in (("R", 0.0), ("B", 0.0), ("R", 40.0))
    )
    # What turns with the tube is broad and faint (1.5 % a shadow); the camera's own shadows stay.
    deep = red < 0.96
    assert deep.sum() > 500
    assert np.abs(turned - red)[deep].max() < 0.05
    assert 0.01 < np.abs(turned - red).max() < 0.05
    sharp = (red < 0.96) & (blue < 0.96)
    assert sharp.sum() > 500
    assert np.abs(red - blue).max() > 0.02


def test_rows_make_up_the_whole() -> None:
    field = FlatField(Telescope(), 400, 300, PIXEL_UM, "R", 10.0, 3)
    parts = [field.rows(slice(top, top + 50)) for top in range(0, 300, 50)]
    assert np.array_equal(np.concatenate(parts), field.rows(slice(0, 300)))


@pytest.mark.realdata
def test_the_c8s_v_curve_lies_on_the_real_frames(realdata: Path) -> None:
    """Half-flux diameters of the real run, by the same measure, against the simulated telescope's."""
    measured = {}
    for path in sorted((realdata / "focus_c8").glob("*.gz")):
        with gzip.open(path) as file:
            content = file.read()
        with warnings.catch_warnings():  # its padding is of nulls
            warnings.simplefilter("ignore")
            hdu = fits.open(io.BytesIO(content))[0]
            data, steps = hdu.data.astype(np.float32), float(hdu.header["FOCUSPOS"])
        clean = data - sep.Background(data, bw=128, bh=128).back()
        smooth = sep.extract(clean, 4.0, err=sep.Background(data).globalrms, minarea=30, deblend_cont=1.0)
        smooth = smooth[(smooth["x"] > 60) & (smooth["x"] < 1100) & (smooth["y"] > 60) & (smooth["y"] < 820)]
        star = smooth[np.argmax(smooth["flux"])]
        measured[steps] = hfd_px(clean, star["x"], star["y"], 50)
    positions = np.array(sorted(measured))
    simulated = v_curve(TELESCOPES["C8"], positions)
    real = np.array([measured[p] for p in positions])
    away = np.abs(positions - 7983) > 150
    assert real[away] == pytest.approx(simulated[away], rel=0.15)
