"""Panels that overlap a little become one picture: places, fluxes and levels against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from livestack.canvas import union
from livestack.engine import LiveStack, Sub
from livestack.errors import CanvasError
from livestack.events import SubAccepted
from livestack.geometry import Matrix
from tests.livestack.sky import SKY_ADU, Sky, motion, sub
from tests.livestack.truth import apart, photometry

SHAPE = (300, 400)
SKY = Sky(shape=(900, 1200), n_stars=900, seed=21, flux_range=(3000.0, 80_000.0))
PANEL = Sky(shape=SHAPE, n_stars=1, seed=1)
object.__setattr__(PANEL, "positions", SKY.positions)
object.__setattr__(PANEL, "fluxes", SKY.fluxes)

PLACES = {
    "a": (100.0, 80.0),
    "b": (420.0, 90.0),
    "c": (740.0, 100.0),
    "d": (110.0, 310.0),
    "e": (430.0, 320.0),
}
"""First pixels of the panels; b hangs on a, c on b alone."""


def lies(name: str, dither: float, turn_deg: float = 0.0) -> Matrix:
    x, y = PLACES[name]
    return motion(x + dither, y - dither, turn_deg, SHAPE)


def night(rng: np.random.Generator) -> list[Sub]:
    """Each panel has a sky and a transparency of its own, one was taken after the flip."""
    subs = []
    for n, name in enumerate(PLACES):
        for i in range(3):
            where = lies(name, 1.3 * i, 180.2 if name == "d" else 0.1 * n)
            frame = PANEL.expose(where, rng, sky_adu=SKY_ADU + 60 * n, transparency=1 - 0.08 * n)
            subs.append(sub(frame, f"{name}{i}"))
    return subs


@pytest.fixture(scope="module")
def subs() -> list[Sub]:
    return night(np.random.default_rng(22))


def test_panels_make_one_picture(subs: list[Sub]) -> None:
    canvas = union(subs)
    assert canvas.apart == ()
    height, width = canvas.shape
    assert width == pytest.approx(740 - 100 + 400, abs=8)
    assert height == pytest.approx(320 - 80 + 300, abs=8)
    stack = LiveStack.resting_on(canvas.basis)
    outcomes = {one.frame_id: stack.process(one) for one in subs}
    assert all(isinstance(each.event, SubAccepted) for each in outcomes.values())
    image = stack.snapshot("L")
    assert image.pixels.shape == canvas.shape
    assert image.coverage.max() >= 6
    first = outcomes["a0"].transform
    assert first is not None
    shift = first.matrix[:2, 2] - lies("a", 0.0)[:2, 2]
    assert np.abs(first.matrix[:2, :2] - np.eye(2)).max() < 1e-4
    places = SKY.positions + shift
    inside = ((places > 14) & (places < (width - 15, height - 15))).all(axis=1) & apart(SKY.positions, 16.0)
    x, y = np.rint(np.clip(places, 0, (width - 1, height - 1))).astype(int).T
    inside &= image.coverage[y, x] >= 3
    flux = photometry(image.pixels, places[inside], 6.0) / SKY.fluxes[inside]
    bright = SKY.fluxes[inside] > 2e4
    panel = places[inside][bright][:, 0] // (width / 3)
    for third in range(3):
        assert np.median(flux[bright][panel == third]) == pytest.approx(1.0, abs=0.01)
    seen = image.coverage >= 3
    levels = [np.median(image.pixels[:, a : a + 60][seen[:, a : a + 60]]) for a in range(0, width - 60, 60)]
    assert np.ptp(levels) < 3.0
    assert levels[0] == pytest.approx(SKY_ADU, abs=2.0)


@pytest.mark.slow
def test_the_order_of_subs_does_not_matter_once_the_canvas_stands(subs: list[Sub]) -> None:
    basis = union(subs).basis
    pictures = []
    for order in (subs, subs[::-1]):
        stack = LiveStack.resting_on(basis)
        for one in order:
            stack.add(one)
        pictures.append(stack.snapshot("L").pixels)
    assert np.abs(pictures[0] - pictures[1]).max() < 1.0
    assert np.sqrt(np.mean((pictures[0] - pictures[1]) ** 2)) < 0.1


def test_a_panel_that_hangs_on_none_is_told(subs: list[Sub]) -> None:
    assert union([subs[0], subs[9], subs[6]]).apart == ("c0",)


def test_a_canvas_has_a_limit(subs: list[Sub]) -> None:
    with pytest.raises(CanvasError, match=r"more than 0\.2 million"):
        union(subs, most_pixels=2e5)
    with pytest.raises(CanvasError, match="none of the panels"):
        union([])
