from __future__ import annotations

import numpy as np
import pytest

from livestack.calibrate import calibrate
from livestack.errors import MismatchError
from livestack.masters import Masters, prepare
from tests.livestack.sky import Sky, motion, quantised

SHAPE = (64, 80)


def plane(value: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.full(SHAPE, value, dtype=np.float32)


def test_light_is_raw_less_dark_over_flat() -> None:
    rng = np.random.default_rng(0)
    light, dark = rng.uniform(100, 2000, SHAPE), rng.uniform(200, 400, SHAPE).astype(np.float32)
    flat = rng.uniform(0.5, 1.5, SHAPE).astype(np.float32)
    raw = light * flat / np.median(flat) + dark
    before = raw.copy()
    done = calibrate(raw, prepare(dark=dark, flat=30_000 * flat), saturation_adu=1e9)
    assert done.pixels == pytest.approx(light, rel=1e-4)
    assert done.pixels.dtype == np.float32
    assert (raw == before).all()


def test_a_dark_holds_its_bias_so_only_one_of_them_is_taken_off() -> None:
    raw = np.full(SHAPE, 1000, dtype=np.uint16)
    both = prepare(bias=plane(100), dark=plane(150))
    assert (calibrate(raw, both, saturation_adu=60_000).pixels == 850).all()
    assert (calibrate(raw, prepare(bias=plane(100)), saturation_adu=60_000).pixels == 900).all()


def test_counts_below_the_dark_stay_negative() -> None:
    raw = np.full(SHAPE, 90, dtype=np.uint16)
    assert (calibrate(raw, prepare(dark=plane(100)), saturation_adu=60_000).pixels == -10).all()


def test_a_master_of_another_size_is_named() -> None:
    raw = np.zeros((64, 81), dtype=np.uint16)
    with pytest.raises(MismatchError, match=r"flat is 80×64, the frame is 81×64"):
        calibrate(raw, prepare(flat=plane(1)), saturation_adu=60_000)


def test_saturation_is_that_of_the_raw_counts() -> None:
    raw = np.full(SHAPE, 1000, dtype=np.uint16)
    raw[3, 5] = 65535
    done = calibrate(raw, prepare(dark=plane(40_000)), saturation_adu=65_000)
    assert np.argwhere(done.saturated).tolist() == [[3, 5]]


@pytest.mark.parametrize("bayer", [None, "RGGB"])
def test_a_dead_pixel_is_mended_and_a_dead_patch_has_no_data(bayer: str | None) -> None:
    flat = plane(1)
    flat[40, 50] = flat[0, 7] = 0
    flat[10:18, 20:28] = 0
    raw = np.full(SHAPE, 300, dtype=np.uint16)
    done = calibrate(raw, prepare(flat=flat, bayer_pattern=bayer), saturation_adu=60_000, bayer_pattern=bayer)
    assert done.pixels[40, 50] == done.pixels[0, 7] == 300
    holes = np.argwhere(np.isnan(done.pixels))
    assert len(holes) >= 40
    assert holes.min(axis=0).tolist() == [10, 20]
    assert holes.max(axis=0).tolist() == [17, 27]


def test_the_colour_of_the_flats_light_does_not_tint_the_picture() -> None:
    flat = np.tile(np.array([[2.0, 4.0], [4.0, 1.0]], dtype=np.float32), (32, 40)) * 1000
    done = calibrate(
        np.full(SHAPE, 100, dtype=np.uint16),
        prepare(flat=flat, bayer_pattern="RGGB"),
        saturation_adu=60_000,
        bayer_pattern="RGGB",
    )
    assert done.pixels == pytest.approx(100.0)


@pytest.mark.parametrize("bayer", [None, "RGGB"])
def test_hot_and_dead_pixels_are_mended_and_stars_are_not_touched(bayer: str | None) -> None:
    rng = np.random.default_rng(1)
    sky = Sky(n_stars=60)
    clean = sky.expose(motion(), rng, fwhm_px=2.2).astype(np.float32)
    spoilt = clean.copy()
    rows, columns = rng.integers(2, 358, 150), rng.integers(2, 478, 150)
    spoilt[rows, columns] += rng.choice([-300.0, 900.0, 20_000.0], 150).astype(np.float32)
    mended = calibrate(spoilt, Masters(), saturation_adu=1e9, bayer_pattern=bayer).pixels
    damage = np.abs(mended - clean)
    hit = np.zeros(clean.shape, dtype=bool)
    hit[rows, columns] = True
    assert (damage[hit] < 80).mean() > 0.95
    assert (damage[~hit] == 0).mean() > 0.9999
    untouched = calibrate(clean, Masters(), saturation_adu=1e9, bayer_pattern=bayer).pixels
    assert (untouched != clean).sum() <= 4


def test_no_masters_change_nothing() -> None:
    raw = quantised(np.random.default_rng(0).normal(500, 10, SHAPE))
    assert (calibrate(raw, Masters(), saturation_adu=60_000).pixels == raw).mean() > 0.999
