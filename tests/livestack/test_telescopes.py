"""Subs of another telescope, camera, binning, rotation or hand in one stack, against the simulated truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.engine import LiveStack, Outcome, Sub
from livestack.events import SubAccepted, SubRejected
from livestack.geometry import Matrix, apply, size
from tests.livestack.sky import Sky, draw_stars, motion, sub
from tests.livestack.truth import apart, photometry
from tests.support.sep_stars import detect

Frame = NDArray[np.float64]

SHAPE = (480, 640)
SKY = Sky(shape=SHAPE, n_stars=80, seed=3, flux_range=(2e4, 3e5))
_SHARPEST = 2.0
"""FWHM in a camera's own pixels."""


@dataclass(frozen=True)
class Scope:
    """A telescope and camera: a pixel is ``size`` of the reference's wide, a star counts ``gain`` as much."""

    size: float
    turn_deg: float = 0.0
    mirrored: bool = False
    shape: tuple[int, int] = SHAPE
    gain: float = 1.0
    fwhm: float = 3.0
    """In pixels of the reference; what the sub's pixels do to it comes on top."""

    sky_adu: float = 500.0
    name: str = "second"

    def lies(self, dx: float = 0.0, dy: float = 0.0) -> Matrix:
        """Sub → reference."""
        matrix = motion(dx, dy, self.turn_deg, SHAPE)
        middle = apply(matrix, (np.array([SHAPE[::-1]]) - 1) / 2)[0]
        matrix[:2, :2] = self.size * matrix[:2, :2] @ np.diag([-1.0 if self.mirrored else 1.0, 1.0])
        matrix[:2, 2] = middle - matrix[:2, :2] @ ((np.array(self.shape[::-1]) - 1) / 2)
        return matrix

    def expose(self, rng: np.random.Generator, where: Matrix, *, noise: float = 8.0) -> Frame:
        frame = np.full(self.shape, self.sky_adu)
        places = apply(np.asarray(np.linalg.inv(where), np.float64), SKY.positions)
        draw_stars(frame, places, self.gain * SKY.fluxes, max(self.fwhm / self.size, _SHARPEST))
        return frame + rng.normal(0, noise, self.shape)

    def sub(self, frame: Frame, frame_id: str = "other", filter_name: str = "L") -> Sub:
        one = sub(frame, frame_id, filter_name=filter_name)
        return replace(one, meta=replace(one.meta, telescope=self.name))


FIRST = Scope(1.0, name="first")

SCOPES = {
    "finer by 3, a ninth of the field": Scope(1 / 3, 31.0, shape=(600, 800)),
    "finer by 2": Scope(0.5, -121.5, shape=(800, 1000)),
    "finer by 2, its own half": Scope(0.5, 4.0, gain=3.0),
    "binned 2×2": Scope(2.0, 0.3, shape=(240, 320), gain=1.0),
    "coarser by 2.9, all around": Scope(2.9, 160.0, shape=(240, 320)),
    "a bit longer focal length": Scope(0.93, 180.0),
    "a bit shorter, mirrored": Scope(1.2, 77.0, mirrored=True),
    "mirrored": Scope(1.0, 12.0, mirrored=True, gain=0.5),
    "another sensor": Scope(0.8, 90.0, shape=(700, 500), gain=2.0, sky_adu=3000.0),
}


def taken(stack: LiveStack, one: Sub) -> Outcome:
    outcome = stack.process(one)
    assert isinstance(outcome.event, SubAccepted), outcome.event
    return outcome


def alone(margin: float = 16.0) -> NDArray[np.intp]:
    """Stars well inside that have no other nearby."""
    inside = ((SKY.positions > margin) & (SKY.positions < np.array(SHAPE[::-1]) - margin)).all(axis=1)
    return np.flatnonzero(inside & apart(SKY.positions, 22.0))


QUICK = {"finer by 3, a ninth of the field", "coarser by 2.9, all around", "another sensor"}
NAMES = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in SCOPES]


@pytest.mark.parametrize("name", NAMES)
def test_its_stars_land_where_they_belong_with_their_flux(name: str) -> None:
    """The reference is only looked at, the picture is the other telescope's alone."""
    scope, rng = SCOPES[name], np.random.default_rng(4)
    where = scope.lies(7.3, -4.6)
    stack = LiveStack()
    assert stack.refer_to(FIRST.sub(FIRST.expose(rng, FIRST.lies()))) is None
    found = taken(stack, scope.sub(scope.expose(rng, where)))
    assert found.transform is not None
    assert size(found.transform.matrix) == pytest.approx(scope.size, rel=5e-4)
    image = stack.snapshot("L")
    stars = alone()
    covered = image.coverage[tuple(np.rint(SKY.positions[stars]).astype(int).T[::-1])] == 1
    places = SKY.positions[stars[covered]]
    off = found.transform.warp.forwards(apply(np.asarray(np.linalg.inv(where), np.float64), places)) - places
    assert np.sqrt((off**2).sum(axis=1).mean()) < 0.05
    width = max(scope.fwhm, _SHARPEST * scope.size)
    seen = ((places > 5 * width) & (places < np.array(SHAPE[::-1]) - 5 * width)).all(axis=1)
    around = np.arange(-12, 13)
    x, y = np.rint(places).astype(int).T
    near = (
        image.coverage[
            np.clip(y[:, None, None] + around[:, None], 0, SHAPE[0] - 1),
            np.clip(x[:, None, None] + around, 0, SHAPE[1] - 1),
        ]
        == 1
    ).all(axis=(1, 2))
    good = seen & near
    assert good.sum() >= 3
    flux = photometry(image.pixels, places[good], 2.2 * width)
    truth = scope.gain * scope.size**2 * SKY.fluxes[stars[covered]][good]
    assert np.median(flux / truth) == pytest.approx(1.0, abs=0.005)
    assert image.fwhm_px == pytest.approx(max(width, image.fwhm_px if scope.size < 0.5 else 0), rel=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_a_night_with_two_telescopes_keeps_flux_and_level(name: str) -> None:
    """They take turns; each is looked for where its own last sub was."""
    scope, rng = SCOPES[name], np.random.default_rng(5)
    stack = LiveStack()
    for i in range(5):
        taken(stack, FIRST.sub(FIRST.expose(rng, FIRST.lies(0.7 * i, -0.4 * i)), f"first {i}"))
        taken(stack, scope.sub(scope.expose(rng, scope.lies(3 + 0.6 * i, 0.5 * i)), f"second {i}"))
    image = stack.snapshot("L")
    assert image.subs == 10
    stars = alone(40.0)
    flux = photometry(image.pixels, SKY.positions[stars], 10.0)
    assert np.median(flux / SKY.fluxes[stars]) == pytest.approx(1.0, abs=0.005)
    both = image.coverage >= 9
    sky = image.pixels - 500.0
    assert np.median(sky[both]) == pytest.approx(0.0, abs=1.0)
    edge = (image.coverage >= 5) & ~both
    if edge[20:-20, 20:-20].mean() > 0.05:
        assert np.median(sky[edge]) == pytest.approx(np.median(sky[both]), abs=1.0)
    found = detect(image.pixels.astype(np.float32))
    away = np.hypot(*(found.xy[None] - SKY.positions[stars][:, None]).transpose(2, 0, 1)).min(axis=1)
    assert np.median(away) < 0.05


def test_a_cloud_is_judged_by_the_telescope_it_is_before() -> None:
    rng = np.random.default_rng(6)
    small = Scope(1.0, 10.0, gain=0.1, name="small")
    stack = LiveStack()
    taken(stack, FIRST.sub(FIRST.expose(rng, FIRST.lies())))
    taken(stack, small.sub(small.expose(rng, small.lies(), noise=2.0)))
    taken(stack, small.sub(small.expose(rng, small.lies(2.0), noise=2.0)))
    hazy = replace(small, gain=0.015)
    event = stack.add(small.sub(hazy.expose(rng, small.lies(), noise=1.0)))
    assert isinstance(event, SubRejected)
    assert event.reason == "clouds"
    thin = replace(FIRST, gain=0.1)
    event = stack.add(FIRST.sub(thin.expose(rng, FIRST.lies(), noise=2.0)))
    assert isinstance(event, SubRejected)
    assert event.reason == "clouds"


def test_mono_and_colour_share_the_geometry_but_no_filter() -> None:
    rng = np.random.default_rng(7)
    stack = LiveStack()
    taken(stack, FIRST.sub(FIRST.expose(rng, FIRST.lies())))
    colour = sub(FIRST.expose(rng, FIRST.lies(1.0)), bayer="RGGB", filter_name="L")
    event = stack.add(colour)
    assert isinstance(event, SubRejected)
    assert event.detail == "it is colour, the stack of L mono"
    taken(stack, replace(colour, meta=replace(colour.meta, filter="OSC")))
    assert stack.snapshot("OSC").pixels.shape == (*SHAPE, 3)
    assert stack.snapshot("L").pixels.shape == SHAPE


def test_finer_pixels_are_averaged_and_not_picked() -> None:
    """A third of the pixel's width: nine share one, and the noise falls to a third of theirs."""
    rng = np.random.default_rng(8)
    scope = Scope(1 / 3, 2.0, shape=(960, 1280))
    stack = LiveStack()
    assert stack.refer_to(FIRST.sub(FIRST.expose(rng, FIRST.lies()))) is None
    taken(stack, scope.sub(scope.expose(rng, scope.lies(), noise=30.0)))
    assert stack.snapshot("L").noise_adu == pytest.approx(10.0, rel=0.12)
