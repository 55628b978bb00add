"""Subs that something crosses, outshines or covers: they are registered as if nothing had."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from library.reading import read_frame
from livestack.align import Lost, find_transform
from livestack.geometry import apply
from livestack.look import Look, look
from livestack.masters import Masters, prepare
from livestack.survey import counts
from measure.stars import typical_fwhm_px
from simulators.profiles import profile
from simulators.render import PointSources, StarShape, render
from simulators.sensor import Readout, Sensor
from tests.support.disturbances import Scale, border, disturb

Frame = NDArray[np.uint16]

CAMERAS = ("ASI1600MM", "ASI2600MC", "ASI294MC", "KAF-8300", "STL-1001E")
HEIGHT, WIDTH = 700, 900
BORDERED = 0.25
CORNERS = np.array([[x, y] for x in np.linspace(0, 1, 5) for y in np.linspace(0, 1, 5)])
SEEDS, MORE_SEEDS = 2, 34


@dataclass(frozen=True)
class Case:
    """A sub as it would have been and as it is, with what came over it, and the reference's frame."""

    reference: Frame
    clear: Frame
    disturbed: Frame
    what: list[str]
    bayer_pattern: str | None
    masters: Masters


@dataclass(frozen=True)
class Verdict:
    """How far the disturbed sub lies from where the clear one does (None: refused), and its relative FWHM."""

    off_px: float | None
    fwhm: float
    what: str


@cache
def sensor_of(name: str) -> Sensor:
    return Sensor(replace(profile(name), width=WIDTH, height=HEIGHT, cosmic_rays_per_s=0.01), 3)


def simulated(name: str, seed: int) -> Case:
    """A random field through random seeing, on one of five cameras; every second one with its dark."""
    sensor, rng = sensor_of(name), np.random.default_rng([seed, 1])
    gain, offset = (
        0.0 if each is None else each.default for each in (sensor.profile.gain, sensor.profile.offset)
    )
    readout = Readout(gain=gain, offset=offset, x=0, y=0, width=WIDTH, height=HEIGHT)
    n = int(np.exp(rng.uniform(np.log(40), np.log(800))))
    places = rng.uniform((-60, -60), (WIDTH + 60, HEIGHT + 60), (n, 2))
    flux, fwhm = np.exp(rng.uniform(np.log(3e3), np.log(3e5), n)), rng.uniform(2.2, 5)
    sky = float(np.exp(rng.uniform(np.log(50), np.log(2000))))
    shift = rng.uniform(-20, 20, 2)

    def light(moved: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = (places + moved).T
        stars = PointSources(x, y, flux, np.zeros(n))
        return sky + render(WIDTH, HEIGHT, stars, StarShape(fwhm_px=fwhm)).astype(np.float64)

    def exposed(number: int, electrons: NDArray[np.float64] | None) -> Frame:
        seen = None if electrons is None else electrons.astype(np.float32)
        return sensor.read(np.random.default_rng([seed, number]), seen, 30.0, -10.0, readout)

    crossed = light(shift)
    what = disturb(crossed, np.random.default_rng([seed, 2]), Scale(np.sqrt(sky + 9), 20_000, fwhm))
    masters = Masters()
    if seed % 2:
        dark = np.mean([exposed(10 + i, None) for i in range(8)], axis=0)
        masters = prepare(dark=dark.astype(np.float32))
    reference, clear, disturbed = (
        exposed(1, light(np.zeros(2))),
        exposed(2, light(shift)),
        exposed(2, crossed),
    )
    return bordered(Case(reference, clear, disturbed, what, sensor.profile.bayer, masters), seed)


def real(folder: Path, seed: int) -> Case:
    """One of the six subs of M 27, with light added to it and that light's photon noise."""
    paths = sorted(folder.iterdir())
    first, sub = read_frame(paths[0]), read_frame(paths[seed % len(paths)])
    clear = np.asarray(sub.pixels, np.uint16)
    added = np.zeros(clear.shape)
    what = disturb(added, np.random.default_rng([seed, 2]), Scale(60, 60_000, 3.5))
    noisy = clear + np.random.default_rng([seed, 3]).poisson(np.maximum(added, 0))
    disturbed = np.minimum(noisy, 65_535).astype(np.uint16)
    reference = np.asarray(first.pixels, np.uint16)
    return bordered(Case(reference, clear, disturbed, what, sub.meta.bayer_pattern, Masters()), seed)


def bordered(case: Case, seed: int) -> Case:
    rng = np.random.default_rng([seed, 4])
    if rng.random() < BORDERED:
        case.what.append(border(case.disturbed, rng))
    return case


def judged(case: Case) -> Verdict:
    def seen(frame: Frame) -> Look:
        return look(counts(frame), case.masters, saturation_adu=60_000.0, bayer_pattern=case.bayer_pattern)

    reference, clear, disturbed = (seen(each) for each in (case.reference, case.clear, case.disturbed))
    fwhm = typical_fwhm_px(disturbed.stars) / typical_fwhm_px(clear.stars)
    truth = find_transform(clear.stars, reference.stars)
    assert not isinstance(truth, Lost), (truth, case.what)
    found = find_transform(disturbed.stars, reference.stars)
    if isinstance(found, Lost):
        return Verdict(None, fwhm, f"{case.what}: {found.detail}")
    grid = CORNERS * (np.array(case.clear.shape[::-1]) - 1)
    off = apply(truth.matrix, grid) - apply(found.matrix, grid)
    return Verdict(float(np.sqrt((off**2).sum(axis=1).mean())), fwhm, str(case.what))


def check(verdicts: list[Verdict], share: float) -> None:
    """None is far off; of all, ``share`` is within 0.1 px, and as wide within 10 % as it would have been."""
    wrong = [each for each in verdicts if each.off_px is not None and each.off_px > 1.0]
    assert not wrong, wrong
    poor = [each for each in verdicts if each.off_px is None or each.off_px > 0.1 or abs(each.fwhm - 1) > 0.1]
    assert len(poor) <= (1 - share) * len(verdicts), poor


@pytest.mark.parametrize("name", CAMERAS)
def test_a_disturbed_sub_is_registered_as_if_nothing_had_come_over_it(name: str) -> None:
    check([judged(simulated(name, seed)) for seed in range(SEEDS)], share=1.0)


@pytest.mark.realdata
def test_the_same_holds_for_real_subs(realdata: Path) -> None:
    check([judged(real(realdata / "osc_m27_asi224mc", seed)) for seed in range(SEEDS)], share=1.0)


@pytest.mark.slow
@pytest.mark.realdata
def test_of_two_hundred_disturbed_subs_all_but_two_are_registered(realdata: Path) -> None:
    seeds = range(SEEDS, SEEDS + MORE_SEEDS)
    verdicts = [judged(simulated(name, seed)) for name in CAMERAS for seed in seeds]
    verdicts += [judged(real(realdata / "osc_m27_asi224mc", seed)) for seed in seeds]
    check(verdicts, share=0.99)
