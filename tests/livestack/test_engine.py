from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.engine import LiveStack, Sub
from livestack.events import SubAccepted, SubRejected
from livestack.masters import prepare
from livestack.stack import StackImage
from tests.livestack.sky import Sky, draw_stars, motion, quantised, spoil, sub

SKY = Sky()


def accepted(stack: LiveStack, one: Sub) -> SubAccepted:
    event = stack.add(one)
    assert isinstance(event, SubAccepted), event
    return event


def rejected(stack: LiveStack, one: Sub) -> SubRejected:
    event = stack.add(one)
    assert isinstance(event, SubRejected), event
    return event


@pytest.mark.parametrize("n_subs", [1, 2, 3, 5, 12, 40])
def test_a_night_reaches_nine_tenths_of_root_n_and_stays_sharp(n_subs: int) -> None:
    rng = np.random.default_rng(n_subs)
    hot = rng.integers(0, 360, 150), rng.integers(0, 480, 150)
    stack, widths = LiveStack(), []
    for i in range(n_subs):
        where = motion(0.4 * i + rng.normal(0, 1), -0.2 * i, 0.01 * i)
        frame = SKY.expose(where, rng, fwhm_px=rng.uniform(2.4, 2.9), transparency=rng.uniform(0.85, 1.0))
        frame[hot] += 1500
        spoil(frame, rng, trail=rng.random() < 0.4)
        widths.append(accepted(stack, sub(frame, str(i))).fwhm_px)
    image = stack.snapshot("L")
    assert image.subs == n_subs
    assert image.exposure_s == 30.0 * n_subs
    assert image.snr_gain >= 0.9 * np.sqrt(n_subs)
    assert image.fwhm_px <= 1.03 * np.median(widths) + (0.1 if n_subs < 10 else 0)


def test_the_flip_at_the_meridian_goes_unnoticed() -> None:
    rng = np.random.default_rng(0)
    stack = LiveStack()
    for i, angle in enumerate((0.0, 0.05, 180.1, 180.2, 180.25)):
        event = accepted(stack, sub(SKY.expose(motion(i, -i, angle), rng)))
        assert abs(event.rotation_deg) == pytest.approx(angle if angle < 90 else 360 - angle, abs=0.02)
        assert event.shift_px == pytest.approx(i * np.sqrt(2), abs=0.1)


def test_filters_have_stacks_of_their_own_on_one_geometry() -> None:
    rng = np.random.default_rng(1)
    stack = LiveStack()
    for i, name in enumerate(["L", "R", "L", "R", None]):
        accepted(stack, sub(SKY.expose(motion(3.0 * i, 2.0 * i), rng), filter_name=name))
    assert stack.filters == ("L", "R", None)
    assert [stack.snapshot(name).subs for name in stack.filters] == [2, 2, 1]
    lum, red = stack.snapshot("L").pixels[40:-40, 40:-40], stack.snapshot("R").pixels[40:-40, 40:-40]
    assert np.corrcoef(lum.ravel(), red.ravel())[0, 1] > 0.98


def test_haze_leaves_no_steps() -> None:
    """Subs through haze, brighter in sky and fainter in stars, at the edge of their footprint."""
    rng = np.random.default_rng(2)
    stack = LiveStack()
    for i in range(6):
        hazy = i % 2 == 1
        frame = SKY.expose(
            motion(60.0 if hazy else 0.0, 0.0),
            rng,
            transparency=0.6 if hazy else 1.0,
            sky_adu=900.0 if hazy else 400.0,
        )
        accepted(stack, sub(frame))
    image = stack.snapshot("L")
    assert (image.coverage[2:-2, 2:58] == 3).all()
    assert (image.coverage[2:-2, 63:-2] == 6).all()
    left, right = image.pixels[:, 28:58], image.pixels[:, 63:93]
    assert np.median(left) == pytest.approx(np.median(right), abs=1.5)
    assert image.background_adu == pytest.approx(400, abs=3)


def test_calibration_happens() -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:360, :480]
    flat = (1 - 0.3 * ((x - 240) ** 2 + (y - 180) ** 2) / 90_000).astype(np.float32)
    dark = rng.uniform(100, 400, (360, 480)).astype(np.float32)
    masters = prepare(dark=dark, flat=flat)
    stack = LiveStack()
    for i in range(3):
        frame = SKY.expose(motion(i, i), rng, noise_adu=3.0) * flat + dark
        accepted(stack, replace(sub(frame), masters=masters))
    image = stack.snapshot("L")
    medians = [np.median(image.pixels[a : a + 90, b : b + 120]) for a in (0, 90, 270) for b in (0, 120, 360)]
    assert np.ptp(medians) < 0.02 * 400


def colour_frame(rng: np.random.Generator, dx: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A GRBG mosaic of stars that are twice as bright in red."""
    frame = SKY.expose(motion(dx, 0.0), rng, fwhm_px=3.5)
    light = np.zeros(SKY.shape)
    draw_stars(light, SKY.positions - (dx, 0.0), SKY.fluxes, 3.5)
    frame[0::2, 1::2] += light[0::2, 1::2]
    return frame


def test_colour_comes_out_of_a_mosaic() -> None:
    rng = np.random.default_rng(4)
    stack = LiveStack()
    for i in range(4):
        accepted(stack, sub(colour_frame(rng, 2.7 * i), bayer="GRBG"))
    image = stack.snapshot("L")
    assert image.pixels.shape == (360, 480, 3)
    light = (image.pixels - np.median(image.pixels, axis=(0, 1)))[30:-30, 30:-30].sum(axis=(0, 1))
    assert light[0] / light[1] == pytest.approx(2.0, rel=0.1)
    assert light[2] / light[1] == pytest.approx(1.0, rel=0.1)
    assert image.snr_gain >= 0.9 * 2


def refusals() -> list[tuple[str, Sub, str, str]]:
    rng = np.random.default_rng(5)
    good = SKY.expose(motion(), rng)
    return [
        ("cloud", sub(rng.normal(900, 12, (360, 480))), "too few stars", "are needed"),
        ("elsewhere", sub(Sky(seed=99).expose(motion(), rng)), "no match", "none of its"),
        ("colour", sub(good, bayer="RGGB"), "geometry", "it is colour, the stack of L mono"),
        ("thick haze", sub(SKY.expose(motion(), rng, transparency=0.1, noise_adu=4.0)), "clouds", "fainter"),
        (
            "wrong dark",
            replace(sub(good), masters=prepare(dark=np.zeros((10, 10), np.float32))),
            "geometry",
            "10×10",
        ),
        ("no data", replace(sub(good), pixels=np.full((360, 480), np.nan)), "unreadable", "no finite"),
        ("not an image", replace(sub(good), pixels=np.zeros((3, 360, 480))), "unreadable", "two long axes"),
        ("strange mosaic", sub(good, bayer="XYZW"), "unreadable", "XYZW"),
    ]


@pytest.mark.parametrize(("one", "reason", "detail"), [pytest.param(*r[1:], id=r[0]) for r in refusals()])
def test_a_sub_that_does_not_fit_is_a_value_and_changes_nothing(one: Sub, reason: str, detail: str) -> None:
    rng = np.random.default_rng(6)
    stack = LiveStack()
    accepted(stack, sub(SKY.expose(motion(), rng)))
    accepted(stack, sub(SKY.expose(motion(2.0, 1.0), rng)))
    before = stack.snapshot("L")
    event = rejected(stack, replace(one, frame_id="odd"))
    assert (event.reason, event.frame_id) == (reason, "odd")
    assert detail in event.detail
    after = stack.snapshot("L")
    assert after.subs == 2
    assert (after.pixels == before.pixels).all()
    assert accepted(stack, sub(SKY.expose(motion(3.0, 1.0), rng))).n_matches > 50


def test_a_bad_first_sub_is_not_the_reference() -> None:
    rng = np.random.default_rng(7)
    stack = LiveStack()
    rejected(stack, sub(rng.normal(900, 12, (360, 480))))
    assert stack.filters == ()
    event = accepted(stack, sub(SKY.expose(motion(30.0, 0.0), rng)))
    assert event.shift_px == 0


def test_a_snapshot_is_frozen() -> None:
    rng = np.random.default_rng(8)
    stack = LiveStack()
    accepted(stack, sub(SKY.expose(motion(), rng)))
    image: StackImage = stack.snapshot("L")
    kept = image.pixels.copy()
    accepted(stack, sub(SKY.expose(motion(), rng)))
    assert (image.pixels == kept).all()
    with pytest.raises(KeyError):
        stack.snapshot("Ha")


def odd_frames() -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(9)
    shape = SKY.shape
    good = quantised(SKY.expose(motion(), rng))
    return {
        "zeros": np.zeros(shape, np.uint16),
        "saturated": np.full(shape, 65535, np.uint16),
        "noise over the whole range": rng.integers(0, 65535, shape).astype(np.uint16),
        "negative": -rng.integers(0, 1000, shape).astype(np.int16),
        "checkerboard": ((np.indices(shape).sum(axis=0) % 2) * 1000).astype(np.uint16),
        "booleans": rng.random(shape) > 0.5,
        "infinities": np.where(rng.random(shape) < 0.01, np.inf, good),
        "absurd floats": good * 1e30,
        "half without data": np.where(np.arange(shape[1]) < 240, np.nan, good),
        "big-endian": good.astype(">u2"),
        "column by column": np.asfortranarray(good),
        "between 0 and 1": (good / 65535).astype(np.float32),
    }


@pytest.mark.parametrize("bayer", [None, "GBRG"])
@pytest.mark.parametrize("name", odd_frames())
def test_nothing_that_a_camera_may_send_is_an_exception(name: str, bayer: str | None) -> None:
    odd = replace(
        sub(SKY.expose(motion(), np.random.default_rng(10)), bayer=bayer), pixels=odd_frames()[name]
    )
    stack = LiveStack()
    if isinstance(stack.add(odd), SubAccepted):
        image = stack.snapshot("L")
        assert np.isfinite(image.pixels).all()
        assert image.snr_gain == pytest.approx(1.0, abs=0.02)
    stack = LiveStack()
    accepted(stack, sub(SKY.expose(motion(), np.random.default_rng(10)), bayer=bayer))
    stack.add(odd)
    assert np.isfinite(stack.snapshot("L").pixels).all()
