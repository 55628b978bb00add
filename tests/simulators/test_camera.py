"""The camera as a whole, without its wire: what a shot's optics do to its frame, and what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sep
from numpy.typing import NDArray

from simulators.camera import Camera
from simulators.focus import FocusState
from simulators.gallery.shots import take
from simulators.optics import TELESCOPES
from simulators.profiles import DEMO

SMALL = replace(DEMO, width=600, height=400, cosmic_rays_per_s=0.0)


def typical_radius_px(frame: NDArray[np.uint16]) -> float:
    """Median half-flux radius of the bright stars."""
    clean = frame.astype(np.float32)
    clean -= sep.Background(clean).back()
    found = sep.extract(clean, 60.0, minarea=9)
    found = found[np.argsort(found["flux"])[-12:]]
    radii, _ = sep.flux_radius(clean, found["x"], found["y"], np.full(len(found), 25.0), 0.5, subpix=5)
    return float(np.median(radii))


def test_two_frames_of_a_field_differ_by_their_noise_alone() -> None:
    camera = Camera(1, profile=SMALL)
    one, other, again, third = (take(camera, number=n).astype(np.float64) for n in (1, 2, 1, 3))
    assert np.array_equal(one, again)
    # Chosen by a frame that does not take part: to choose by one's own noise would make it smaller.
    quiet = third < np.percentile(third, 60)
    difference = (one - other)[quiet]
    e_per_adu = SMALL.e_per_adu(100.0)
    expected_e = (one[quiet].mean() - SMALL.level_adu(30.0)) * e_per_adu + SMALL.read_noise_e(100.0) ** 2
    assert np.var(difference) / 2 * e_per_adu**2 == pytest.approx(expected_e, rel=0.05)
    assert abs(difference.mean()) < 1.0


def test_a_frame_does_not_depend_on_what_was_taken_before() -> None:
    busy = Camera(1, profile=SMALL)
    for filter_name, exposure_s in (("R", 60.0), ("L", 30.0)):
        take(busy, filter_name=filter_name, exposure_s=exposure_s, number=7)
    assert np.array_equal(take(busy, number=9), take(Camera(1, profile=SMALL), number=9))


def test_the_focuser_makes_the_stars_of_a_frame_wide_on_both_sides() -> None:
    camera = Camera(1, TELESCOPES["NEWTON200"], SMALL)
    focuser = camera.telescope.focuser
    radii = []
    for steps in (-150.0, 0.0, 150.0):
        state = FocusState(position_steps=focuser.best_steps + steps, tube_c=focuser.best_at_c)
        radii.append(typical_radius_px(take(camera, exposure_s=20.0, focus=state)))
    # A ring of outer radius dz/2N = 6 px, half of its light within 6·√((1 + ε²)/2) = 4.5 px.
    assert radii[0] == pytest.approx(radii[2], rel=0.1)
    assert radii[0] == pytest.approx(4.5, rel=0.15)
    assert radii[1] < 0.6 * radii[0]


def test_a_colder_tube_wants_the_focuser_elsewhere() -> None:
    camera = Camera(1, TELESCOPES["NEWTON200"], SMALL)
    best = camera.telescope.focuser.best_steps
    stayed, followed = (
        typical_radius_px(take(camera, exposure_s=20.0, focus=FocusState(position_steps=p, tube_c=4.0)))
        for p in (best, best + 160.0)
    )
    assert followed < 0.6 * stayed


def test_a_colour_cameras_flat_shows_its_mosaic_and_the_filters_dye() -> None:
    camera = Camera(1, profile=replace(SMALL, bayer="RGGB", prnu=0.0))
    level = SMALL.level_adu(30.0)

    def colours(filter_name: str) -> NDArray[np.float64]:
        flat = take(camera, "FLAT", exposure_s=1.0, filter_name=filter_name).astype(np.float64) - level
        return np.array([[np.median(flat[r::2, c::2]) for c in (0, 1)] for r in (0, 1)])

    clear = colours("L")
    assert clear / clear[0, 1] == pytest.approx(np.array([[6600, 7000], [7000, 6300]]) / 7000, rel=0.01)
    red_light = colours("Ha")
    assert red_light[0, 0] > 10 * red_light[0, 1] > 10 * red_light[1, 1]
