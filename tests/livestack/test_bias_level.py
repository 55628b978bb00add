"""A bias level that drifts through the night is known by the overscans and goes before the flat does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from library.cards import Card
from library.reading import read_frame
from library.writing import write_image
from livestack.calibrate import calibrate
from livestack.drizzle import drizzle
from livestack.engine import LiveStack, Outcome, Settings, Sub
from livestack.masters import Masters, prepare
from livestack.restack import StoredSub, exact
from livestack.restack_methods import stacking_method
from tests.livestack.kept import kept
from tests.livestack.sky import SKY_ADU, Sky, motion, quantised

SKY = Sky(n_stars=90)
PEDESTAL, LEVEL = 500.0, 300.0
DRIFTS = (60.0, 75.0, 90.0, 105.0)
WIDE = 8
CARDS: tuple[Card, ...] = (
    ("IMAGETYP", "Light Frame", ""),
    ("EXPTIME", 30.0, ""),
    ("FILTER", "L", ""),
    ("TRIMSEC", f"[{WIDE + 1}:{SKY.shape[1] + WIDE},1:{SKY.shape[0]}]", ""),
    ("BIASSEC", f"[1:{WIDE},1:{SKY.shape[0]}]", ""),
)


def vignette() -> NDArray[np.float32]:
    """One in the middle, a third in the corners."""
    y, x = np.mgrid[: SKY.shape[0], : SKY.shape[1]]
    r2 = sum(((each - (n - 1) / 2) / (n / 2)) ** 2 for each, n in ((y, SKY.shape[0]), (x, SKY.shape[1])))
    return np.asarray(1 - np.asarray(r2) / 3, np.float32)


def light(path: Path, number: int, drift: float) -> Path:
    """A vignetted sub with its overscan, all of it lifted by so much."""
    rng = np.random.default_rng(number)
    picture = SKY.expose(motion(1.5 * number, -number), rng) * vignette() + PEDESTAL + drift
    overscan = rng.normal(LEVEL + drift, 5, (SKY.shape[0], WIDE))
    write_image(path, quantised(np.hstack((overscan, picture))), CARDS)
    return path


def sub_of(path: Path, masters: Masters, *, known: bool = True) -> Sub:
    frame = read_frame(path)
    level = frame.overscan_adu if known else None
    return Sub(frame_id=str(path), pixels=frame.pixels, meta=frame.meta, masters=masters, overscan_adu=level)


def with_dark(overscan_adu: float | None = LEVEL) -> Masters:
    dark = np.full(SKY.shape, PEDESTAL, np.float32)
    return prepare(dark=dark, flat=20_000 * vignette(), dark_overscan_adu=overscan_adu)


@dataclass
class Night:
    paths: list[Path]
    outcomes: list[Outcome]
    stack: LiveStack


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("lights")
    return [light(folder / f"{number}.fits", number, drift) for number, drift in enumerate(DRIFTS)]


def night(paths: list[Path], masters: Masters, *, known: bool = True) -> Night:
    stack = LiveStack(Settings())
    outcomes = [stack.process(sub_of(path, masters, known=known)) for path in paths]
    assert all(outcome.placed is not None for outcome in outcomes)
    return Night(paths, outcomes, stack)


def bowl(picture: NDArray[np.float32]) -> float:
    """How far the sky in the corners is above that of the middle, in ADU."""
    height, width = picture.shape
    corners = [picture[y : y + 50, x : x + 50] for y in (20, height - 70) for x in (20, width - 70)]
    middle = picture[height // 2 - 40 : height // 2 + 40, width // 2 - 40 : width // 2 + 40]
    return float(np.median(corners) - np.median(middle))


def test_a_drifting_bias_level_leaves_no_bowl_and_does_where_it_is_not_known(paths: list[Path]) -> None:
    flat = bowl(night(paths, with_dark()).stack.snapshot("L").pixels)
    assert abs(flat) < 1
    for masters, known in ((with_dark(), False), (with_dark(None), True)):
        bent = bowl(night(paths, masters, known=known).stack.snapshot("L").pixels)
        assert bent > 30  # of the first sub's 60 ADU, which the flat lifts in the corners


def test_the_sub_s_own_level_and_its_place_tell_the_shift(paths: list[Path]) -> None:
    done = night(paths, with_dark())
    for outcome, drift in zip(done.outcomes, DRIFTS, strict=True):
        assert outcome.placed is not None
        assert outcome.placed.shift_adu == pytest.approx(drift, abs=0.5)
        assert outcome.background_adu == pytest.approx(SKY_ADU * np.median(vignette()), abs=3)


def test_without_a_pedestal_nothing_is_taken_off(paths: list[Path]) -> None:
    masters = prepare(flat=20_000 * vignette())
    assert masters.shift_for(1000.0) == 0
    frame = read_frame(paths[0])
    one, other = (
        calibrate(frame.pixels, masters, saturation_adu=6e4, overscan_adu=level).pixels
        for level in (frame.overscan_adu, None)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_shift_is_taken_off_before_the_flat(flat: bool, dtype: Any) -> None:
    raw = np.random.default_rng(1).integers(600, 700, SKY.shape).astype(dtype)
    response = vignette() / np.median(vignette()) if flat else np.ones(SKY.shape, np.float32)
    masters = prepare(
        bias=np.full(SKY.shape, 500, np.float32),
        flat=20_000 * vignette() if flat else None,
        bias_overscan_adu=300.0,
    )
    done = calibrate(raw, masters, saturation_adu=6e4, overscan_adu=312.5).pixels
    np.testing.assert_allclose(done, (raw - 500.0 - 12.5) / response, rtol=2e-4)


def restacked(subs: Sequence[StoredSub], level: float) -> NDArray[np.float32]:
    return exact(subs, SKY.shape, 1, [level], stacking_method("mean")).pixels


def test_a_later_restack_agrees_with_the_live_stack(paths: list[Path]) -> None:
    masters = with_dark()
    done = night(paths, masters)
    picture = done.stack.snapshot("L")
    stored = []
    for path, outcome in zip(done.paths, done.outcomes, strict=True):
        assert outcome.placed is not None
        stored.append(StoredSub(path, outcome.placed, masters))
    (zero,) = done.stack.stack_of("L").founding.coding.zero_adu.tolist()
    whole = picture.coverage == len(paths)
    off = restacked(stored, zero) - picture.pixels
    assert abs(float(np.median(off[whole]))) < 0.1
    assert np.quantile(np.abs(off[whole]), 0.99) < 3  # what the live stack rejects and a mean does not
    drizzled = drizzle(stored, SKY.shape, scale=1.0, pixfrac=1.0).pixels
    assert abs(bowl(drizzled)) < 1
    again = LiveStack.resting_on(done.stack.basis)
    for path, outcome in zip(done.paths, done.outcomes, strict=True):
        assert outcome.placed is not None
        again.again(sub_of(path, masters), outcome.placed)
    np.testing.assert_array_equal(again.snapshot("L").pixels, picture.pixels)


def test_a_kept_stack_goes_on_with_the_same_shift(paths: list[Path], tmp_path: Path) -> None:
    masters = with_dark()
    subs = {str(path): sub_of(path, masters) for path in paths}
    with kept(tmp_path, subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        before = stack.snapshot("L").pixels
    with kept(tmp_path, subs.get) as (stack, _):
        name = str(paths[2])
        assert stack.placed(name).shift_adu == pytest.approx(DRIFTS[2], abs=0.5)
        stack.take_out(name, "")
        while stack.backlog:
            stack.work()
        stack.put_back(name)
        while stack.backlog:
            stack.work()
        np.testing.assert_allclose(stack.snapshot("L").pixels, before, atol=0.1)


def test_a_dark_that_is_scaled_scales_its_current_and_not_its_drift() -> None:
    rng = np.random.default_rng(2)
    current = np.zeros(SKY.shape, np.float32)
    current.flat[rng.choice(current.size, 500, replace=False)] = rng.uniform(500, 3000, 500)
    bias = rng.normal(PEDESTAL, 1, SKY.shape).astype(np.float32)
    masters = prepare(
        bias=bias,
        dark=bias + current + 40,
        optimise_dark=True,
        bias_overscan_adu=LEVEL,
        dark_overscan_adu=LEVEL + 40,
    )
    raw = quantised(rng.normal(bias + 25 + 0.5 * current + 100, 5))
    done = calibrate(raw, masters, saturation_adu=6e4, overscan_adu=LEVEL + 25)
    assert done.dark_scaling is not None
    assert done.dark_scaling.factor == pytest.approx(0.5, abs=0.02)
    assert float(np.median(done.pixels)) == pytest.approx(100, abs=0.5)
