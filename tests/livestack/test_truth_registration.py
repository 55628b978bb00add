"""Where a star of a sub should land on the reference, against where it does: no fit judges itself here."""

from __future__ import annotations

import numpy as np
import pytest

from livestack.engine import LiveStack
from livestack.geometry import Points
from tests.livestack.truth import Observatory, Pose, optics, taken, warp_of
from tests.support.sep_stars import detect

LIMIT_PX = 0.05
BRIGHT_E = 5e4
FLIP = 180.1


def rms_px(off: Points) -> float:
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def error_px(night: Observatory, pose: Pose, *, least: int = 3, blur_px: float = 0.0) -> float:
    """Stack a pair of subs; root-mean-square distance of the bright stars from where they belong."""
    rng = np.random.default_rng(3)
    stack = LiveStack()
    taken(stack, night.expose(rng, blur_px=blur_px))
    warp = warp_of(taken(stack, night.expose(rng, pose, blur_px=blur_px)))
    here, there = night.places(), night.places(pose)
    seen = night.inside(here) & night.inside(there) & (night.fluxes_e > BRIGHT_E)
    assert seen.sum() >= least
    return rms_px(warp.forwards(there[seen]) - here[seen])


@pytest.mark.parametrize(
    ("name", "turn_deg"),
    [
        *((name, turn) for name in ("pinhole", "APO72", "NEWTON200", "C8", "barrel") for turn in (0.2, FLIP)),
        *(("barrel", turn) for turn in (-121.5, 90.0, 45.0)),
    ],
)
def test_bright_stars_land_where_they_belong(name: str, turn_deg: float) -> None:
    """A dithered pair of subs, the camera turned in between, through optics that distort or don't."""
    night = Observatory(telescope=optics(name))
    assert error_px(night, Pose(31.4, -22.7, turn_deg), least=30) < LIMIT_PX


@pytest.mark.parametrize("name", ["APO72", "C8", "barrel"])
@pytest.mark.parametrize("n_stars", [25, 40, 80])
def test_few_stars_tell_of_the_distortion_across_the_flip(name: str, n_stars: int) -> None:
    """Two fifths of drift on either axis of a frame that the lens bends: an affine map is 0.16 px off."""
    night = Observatory(telescope=optics(name), n_stars=n_stars, shape=(960, 1440), pixel_um=15.0)
    assert error_px(night, Pose(200.0, -100.0, FLIP)) < LIMIT_PX


def test_fifteen_stars_are_enough() -> None:
    night = Observatory(telescope=optics("C8"), n_stars=15, shape=(960, 1440), pixel_um=15.0)
    assert error_px(night, Pose(31.4, -22.7, FLIP)) < LIMIT_PX


@pytest.mark.slow
def test_fifteen_thousand_stars_are_not_too_many() -> None:
    night = Observatory(
        telescope=optics("C8"), n_stars=15_000, shape=(3000, 4000), pixel_um=5.0, flux_range_e=(3e3, 1e5)
    )
    assert error_px(night, Pose(90.0, -60.0, FLIP), least=1000) < LIMIT_PX


@pytest.mark.parametrize("turn_deg", [0.3, FLIP])
@pytest.mark.parametrize(("dx", "dy"), [(288.0, 0.0), (0.0, 192.0), (-288.0, 10.0)])
def test_two_fifths_of_drift(dx: float, dy: float, turn_deg: float) -> None:
    assert error_px(Observatory(telescope=optics("APO72")), Pose(dx, dy, turn_deg), least=20) < LIMIT_PX


@pytest.mark.parametrize("blur_px", [3.0, 6.0])
def test_stars_that_are_discs(blur_px: float) -> None:
    night = Observatory(n_stars=120, flux_range_e=(2e4, 1e6))
    assert error_px(night, Pose(11.4, -8.7, 0.2), blur_px=blur_px, least=30) < LIMIT_PX


def test_the_picture_itself_is_where_the_truth_is() -> None:
    """Twelve subs of two nights' halves, flipped and drifting: the stack's stars stay on the reference's."""
    night = Observatory(telescope=optics("C8"))
    rng = np.random.default_rng(5)
    stack = LiveStack()
    for i in range(12):
        pose = Pose(3.3 * i, -2.1 * i, 0.02 * i + (FLIP if i > 5 else 0.0))
        taken(stack, night.expose(rng, pose), name=str(i))
    found = detect(stack.snapshot("L").pixels)
    truth = night.places()[night.inside(night.places(), 60.0) & (night.fluxes_e > BRIGHT_E)]
    nearest = np.hypot(*(found.xy[None] - truth[:, None]).transpose(2, 0, 1)).argmin(axis=1)
    off = found.xy[nearest] - truth
    alone = np.hypot(*off.T) < 1.0  # a pair of stars has one centroid
    assert alone.sum() > 40
    assert rms_px(off[alone]) < LIMIT_PX
