"""Weights by their laws: one more sub never makes a stack noisier, whenever it comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestack.basis import BASIS
from livestack.engine import LiveStack, Settings, Sub
from livestack.errors import NotAlignedError
from livestack.events import SubAccepted, SubRejected
from livestack.kernels.keys import CLASS_RATIO, CLASSES, Coding, class_weight, weight_class
from livestack.ledger import LINES, By
from livestack.planes import Planes
from livestack.weighing import outweighed
from tests.livestack.dithered import shot
from tests.livestack.kept import kept, pictures
from tests.livestack.restacking import Kept, live, restacked
from tests.livestack.restacking import kept as held
from tests.livestack.sky import Sky, draw_stars, motion
from tests.livestack.sky import sub as taken

SHAPE = (64, 512)
LEVEL = 1000.0
WORTHS = st.floats(1e-3, 1e3)


def flat(sigma: float, seed: int) -> Kept:
    """A sub of nothing but noise, with the weight that it deserves."""
    raw = np.random.default_rng(seed).normal(LEVEL, sigma, SHAPE)
    return held(shot(raw, weight=(10 / sigma) ** 2, noise_adu=sigma))


def noise(subs: Sequence[Kept]) -> float:
    return float(live(subs, LEVEL).picture().pixels.std())


def ideal(subs: Sequence[Kept]) -> float:
    mean = np.average([one.raw for one in subs], axis=0, weights=[one.placed.weight for one in subs])
    return float(mean.std())


# A mean of subs that are weighed by classes


def variance(worths: Sequence[float]) -> float:
    """That of the mean of values whose variances are 1 / worth, weighed as a stack weighs them."""
    weights = np.array([class_weight(weight_class(worth)) for worth in worths])
    return float((weights**2 / np.array(worths)).sum() / weights.sum() ** 2)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=12), st.floats(1e-6, 1e6))
def test_no_sub_ever_makes_a_mean_noisier_and_no_mean_is_far_from_the_best(
    worths: list[float], more: float
) -> None:
    assert variance([*worths, more]) <= variance(worths) * (1 + 1e-12)
    assert variance(worths) * sum(worths) <= 1.03**2


@given(st.lists(WORTHS, min_size=1, max_size=12), WORTHS)
def test_those_that_count_together_weigh_the_most_and_one_more_never_makes_it_less(
    worths: list[float], more: float
) -> None:
    def counting(values: list[float]) -> list[float]:
        weights = {str(n): value for n, value in enumerate(values)}
        out = outweighed(weights)
        return [value for name, value in weights.items() if name not in out]

    some = counting(worths)
    classes = [weight_class(worth) for worth in some]
    assert max(classes) - min(classes) < CLASSES
    assert sorted(counting(worths[::-1])) == sorted(some)
    assert sum(counting([*worths, more])) >= sum(some) * (1 - 1e-12)
    if max(worths) / min(worths) < CLASS_RATIO ** (CLASSES - 2):
        assert len(some) == len(worths)


# The planes


@pytest.mark.parametrize("ratio", [1.0, 2.8, 7.0, 51.0, 300.0, 1000.0])
def test_noise_is_that_of_the_ideal_mean_whichever_sub_comes_first(ratio: float) -> None:
    good, poor = [flat(10.0, seed) for seed in range(3)], flat(10.0 * np.sqrt(ratio), 3)
    without, best = noise(good), ideal([*good, poor])
    for at in range(4):
        found = noise([*good[:at], poor, *good[at:]])
        assert found < 1.005 * best
        assert found < 1.003 * without


@pytest.mark.parametrize("n", [4, 8, 20])
@pytest.mark.parametrize("ratio", [51.0, 200.0, 1000.0])
def test_many_poor_subs_do_not_drown_a_good_one(ratio: float, n: int) -> None:
    poor, good = [flat(10.0 * np.sqrt(ratio), seed) for seed in range(n)], flat(10.0, n)
    best = ideal([*poor, good])
    assert noise([*poor, good]) < 1.01 * best
    assert noise([good, *poor]) < 1.01 * best


def test_any_order_gives_the_same_keys_and_the_same_picture() -> None:
    subs = [flat(sigma, seed) for seed, sigma in enumerate((3.0, 10.0, 40.0, 90.0))]
    subs[3].raw[:20] += 5000
    first = live(subs, LEVEL)
    for order in permutations(range(4)):
        other = live([subs[i] for i in order], LEVEL)
        for name in ("largest", "second", "smallest", "classes", "whole_seen"):
            assert np.array_equal(other.state()[name], first.state()[name])
        assert np.abs(other.picture().pixels - first.picture().pixels).max() < 1e-2


@pytest.mark.parametrize("hit", range(6))
def test_what_flies_through_is_gone_from_long_and_short_subs_alike(hit: int) -> None:
    subs = [flat(sigma, 10 * hit + n) for n, sigma in enumerate((80.0, 10.0, 10.0, 80.0, 10.0, 10.0))]
    subs[hit].raw[30:33] += 3000
    subs[hit].raw[:, 200] = 0
    done = live(subs, LEVEL).picture().pixels
    best = 1 / np.sqrt(sum(one.placed.weight / 100 for n, one in enumerate(subs) if n != hit))
    for there in (done[30:33], done[:, 200]):
        assert np.sqrt(np.mean((there - LEVEL) ** 2)) < 1.25 * best


@given(
    st.lists(st.floats(0, 65_535), min_size=20, max_size=20), st.sampled_from([0.5, 200.0, 3000.0, 30_000.0])
)
@settings(max_examples=25, deadline=None)
def test_a_value_is_coded_within_a_small_part_of_its_own_noise(values: list[float], sky: float) -> None:
    """At one electron an ADU: two fifths of it at most, and that at the ends alone; or half an ADU."""
    raw = np.zeros((32, 40), np.float32)
    raw[:20] = np.array(values, np.float32)[:, None]
    raw[20:] = np.linspace(max(sky - 500, 0), sky + 500, 12)[:, None]
    planes = Planes(raw.shape, 1, Coding.over([sky], 65_535))
    planes.add(held(shot(raw)).light())
    off = np.abs(planes.picture().pixels - raw)
    assert (off <= 0.5 + 0.42 * np.sqrt(np.maximum(raw, sky / 2))).all()


def test_exact_methods_take_weights_as_they_are() -> None:
    rng = np.random.default_rng(1)
    worths = np.array([1.0, 0.3, 0.019, 1e-6, 40.0])
    subs = [
        held(
            shot(rng.normal(LEVEL, 10 / np.sqrt(w), SHAPE), weight=float(w), noise_adu=float(10 / np.sqrt(w)))
        )
        for w in worths
    ]
    done = restacked(subs, "mean", LEVEL)
    wanted = np.average([one.raw for one in subs], axis=0, weights=worths)
    assert done.pixels == pytest.approx(wanted, abs=1e-3)


# Whole nights: exposures of 10 s among such of 512 s


SKY = Sky(shape=(160, 224), n_stars=60, flux_range=(30_000.0, 600_000.0))
SKY_ADU_S, READ_ADU = 4.0, 8.0


def exposed(number: int, seconds: float, fwhm_px: float = 2.6) -> Sub:
    """Photons at one an ADU, and read noise; stars go with the exposure."""
    rng = np.random.default_rng(number)
    frame = np.full(SKY.shape, SKY_ADU_S * seconds)
    where = motion(0.7 * number, -0.4 * number, 0.02 * number, SKY.shape)
    places = SKY.positions @ np.linalg.inv(where)[:2, :2].T + np.linalg.inv(where)[:2, 2]
    draw_stars(frame, places, SKY.fluxes * seconds / 512, fwhm_px)
    one = taken(rng.poisson(frame) + rng.normal(300, READ_ADU, SKY.shape), f"{number:02}")
    return replace(one, meta=replace(one.meta, exposure_s=seconds))


def true_noise(pixels: np.ndarray, scale: float) -> float:
    """RMS on empty sky around a paraboloid, in the unit of the long subs."""
    away = np.full(SKY.shape, np.inf)
    y, x = np.mgrid[: SKY.shape[0], : SKY.shape[1]]
    for px, py in SKY.positions:
        away = np.minimum(away, (x - px) ** 2 + (y - py) ** 2)
    empty = (away > 12**2) & (x > 10) & (y > 10) & (x < SKY.shape[1] - 10) & (y < SKY.shape[0] - 10)
    u, v = (x[empty] - 112) / 112, (y[empty] - 80) / 112
    terms = np.column_stack((np.ones(len(u)), u, v, u * u, u * v, v * v))
    rest = pixels[empty] - terms @ np.linalg.lstsq(terms, pixels[empty], rcond=None)[0]
    return float(rest.std() * scale)


@pytest.mark.parametrize("order", [[10, 512, 512, 512], [512, 10, 512, 512], [512, 512, 512, 10]])
def test_a_short_sub_harms_no_stack_wherever_it_comes(order: list[float]) -> None:
    subs = [exposed(n, seconds) for n, seconds in enumerate(order)]
    # As smooth as the sky can be; stars' widths are measured, and those of a short sub not well.
    both, alone = LiveStack(Settings(fwhm_power=0.0)), LiveStack(Settings(fwhm_power=0.0))
    for one in subs:
        outcome = both.process(one)
        assert isinstance(outcome.event, SubAccepted)
        assert outcome.placed is not None
        if one.meta.exposure_s == 512:
            assert isinstance(alone.add(one), SubAccepted)
    scale = 512 / order[0]
    without = true_noise(alone.snapshot("L").pixels, 1.0)
    assert true_noise(both.snapshot("L").pixels, scale) < 1.02 * without


def test_weights_are_the_squares_of_the_signal_to_noise_ratios() -> None:
    live_stack, found = LiveStack(Settings(fwhm_power=0.0)), {}
    for n, seconds in enumerate([10.0, 512.0, 60.0]):
        placed = live_stack.process(exposed(n, seconds)).placed
        assert placed is not None
        found[seconds] = placed.weight
        assert placed.class_weight == pytest.approx(placed.weight, rel=0.29)
    worth = {s: s**2 / (SKY_ADU_S * s + READ_ADU**2) for s in found}
    assert found[10.0] == 1.0
    for seconds in (512.0, 60.0):
        assert found[seconds] == pytest.approx(worth[seconds] / worth[10.0], rel=0.15)


# Sharp subs among wide ones


@pytest.mark.parametrize("bayer", [None, "RGGB"])
@pytest.mark.parametrize(
    "widths", [(3.0, 5.6, 5.6, 5.6, 5.6), (3.0, 3.0, 5.6, 5.6, 5.6), (3.0, 5.0, 3.0, 5.0)]
)
def test_sharp_subs_among_much_wider_ones_keep_their_flux(
    widths: tuple[float, ...], bayer: str | None
) -> None:
    """And what flies through is gone all the same, but for one pixel in a hundred beside it in mosaics."""
    sky = Sky(n_stars=30, seed=3, flux_range=(60_000.0, 300_000.0))
    stack, rng = LiveStack(), np.random.default_rng(8)
    for n, width in enumerate(widths):
        frame = sky.expose(motion(0.7 * n, -0.4 * n), rng, fwhm_px=width)
        placed = stack.place(taken(frame, str(n), bayer=bayer)).placed  # a trail might hide stars
        assert placed is not None
        if n == 1:
            frame[200:204] += 3000
        stack.again(taken(frame, str(n), bayer=bayer), placed)
    pixels = stack.snapshot("L").pixels
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    grey = grey - np.median(grey)
    y, x = np.mgrid[: sky.shape[0], : sky.shape[1]]
    shares = []
    for (px, py), flux in zip(sky.positions, sky.fluxes, strict=True):
        others = np.hypot(*(sky.positions - (px, py)).T)
        if 20 < px < 460 and 20 < py < 340 and abs(py - 201) > 25 and np.sort(others)[1] > 26:
            shares.append(grey[(x - px) ** 2 + (y - py) ** 2 < 13**2].sum() / flux)
    assert len(shares) >= 5
    assert np.median(shares) == pytest.approx(1.0, abs=0.01)
    far = np.min([np.hypot(x - px, y - py) for px, py in sky.positions], axis=0) > 15
    trail = grey[195:209][far[195:209]]
    assert abs(np.median(trail)) < 12
    assert np.percentile(np.abs(trail), 99) < (40 if bayer is None else 240)  # a demosaic's own dips


# A kept stack whose subs are too far apart for one window


def test_a_sub_that_would_add_nothing_is_out_and_back_when_it_does(tmp_path: Path) -> None:
    """A test frame of 0.1 s comes first; then the real ones, and it goes."""
    short = [exposed(n, 2.0) for n in range(2)]
    subs = {one.frame_id: one for one in [*short, *(exposed(n, 512.0) for n in range(2, 5))]}
    for seconds in (2.0,):
        assert 512**2 / (SKY_ADU_S * 512 + 64) / (seconds**2 / (SKY_ADU_S * seconds + 64)) > 2000
    with kept(tmp_path, subs.get) as (stack, told):
        for one in subs.values():
            stack.add(one)
        assert told.moved == [("00", False), ("01", False)]
        with_both = pictures(stack)["L"]
        assert with_both.subs == 3
        entry = stack.entries["00"]
        assert (entry.standing.inside, entry.standing.by) == (False, By.WEIGHT)
        assert "would add nothing" in entry.standing.why
        with pytest.raises(NotAlignedError, match="would add nothing"):
            stack.put_back("00")
    with kept(tmp_path, subs.get) as (stack, told):  # as after a kill
        assert told.moved == []
        assert (pictures(stack)["L"].pixels == with_both.pixels).all()
        for name in ("02", "03", "04"):
            stack.take_out(name, "to see")
        assert told.moved == [("00", True), ("01", True)]
        assert pictures(stack)["L"].subs == 2
        stack.put_back("03")
        assert told.moved[2:] == [("00", False), ("01", False)]
        assert pictures(stack)["L"].subs == 1


def test_a_late_test_frame_is_refused_with_its_reason(tmp_path: Path) -> None:
    subs = {one.frame_id: one for one in [exposed(0, 512.0), exposed(1, 2.0), exposed(2, 512.0)]}
    with kept(tmp_path, subs.get) as (stack, _):
        events = [stack.add(one).event for one in subs.values()]
        assert isinstance(events[1], SubRejected)
        assert events[1].reason == "weight"
        assert "would add nothing" in events[1].detail
        assert pictures(stack)["L"].subs == 2
    bare = LiveStack()
    verdicts = [bare.add(one) for one in subs.values()]
    assert isinstance(verdicts[1], SubRejected)
    assert verdicts[1].reason == "weight"
    assert bare.snapshot("L").subs == 2


# What earlier versions left on the disk


def test_the_state_of_an_earlier_version_is_read_and_its_planes_are_made_again(tmp_path: Path) -> None:
    subs = {f"{n:02}": exposed(n, 60.0) for n in range(4)}
    with kept(tmp_path, subs.get) as (stack, _):
        for one in subs.values():
            stack.add(one)
        stack.save()
        wanted = pictures(stack)["L"]
    _as_written_by_version_1(tmp_path)
    with kept(tmp_path, subs.get) as (stack, told):
        assert [entry.placed.weight for entry in stack.entries.values() if entry.placed] == [1.0] * 4
        again = pictures(stack)["L"]
        assert any("stacked again" in trouble for trouble in told.troubles)
        assert again.subs == 4
        off = (again.pixels - wanted.pixels)[10:-10, 10:-10]
        assert np.sqrt(np.mean(off**2)) < 0.1 * wanted.noise_adu
        assert isinstance(stack.add(exposed(5, 60.0)).event, SubAccepted)
        stack.save()
        five = pictures(stack)["L"]
    with kept(tmp_path, {**subs, "05": exposed(5, 60.0)}.get) as (stack, told):
        assert told.troubles == []
        assert (pictures(stack)["L"].pixels == five.pixels).all()


def _as_written_by_version_1(folder: Path) -> None:
    from zlib import crc32

    lines = []
    for line in (folder / LINES).read_text().splitlines():
        told = json.loads(line)
        if "sub" in told:
            placed = told["sub"]["placed"]
            del placed["weight"]
            placed["number"] = 3
        lines.append(json.dumps(told))
    (folder / LINES).write_text("".join(f"{line}\n" for line in lines))
    basis = json.loads((folder / BASIS).read_text().split("\n")[1])
    for founding in basis["foundings"]:
        span = founding["coding"].pop("span_adu")
        founding["coding"]["per_root_adu"] = 4094 / np.sqrt(span)
    text = json.dumps(basis)
    (folder / BASIS).write_text(f"{crc32(text.encode()):08x}\n{text}\n")
    for file in folder.glob("planes-*.bin"):
        file.write_bytes(file.read_bytes().replace(b"firstlight planes 2", b"firstlight planes 1", 1))
