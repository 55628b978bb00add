"""Advice against simulated nights: photons and read-out are drawn, and what was foretold is measured."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from livestack.advice import advise, advise_method, advise_next_hour, advise_snr, advise_sub_length
from livestack.noise_budget import Budget, Camera, Night, budget
from livestack.stack import stack_image
from measure.noise import background_noise

SHAPE = (200, 300)
CAMERA = Camera(e_per_adu=0.25, read_noise_e=1.5, dark_e_s=0.02)
SKY_E_S = 0.08
"""Through a narrow band, so that everything counts."""


def sub(rng: np.random.Generator, exposure_s: float, camera: Camera = CAMERA) -> NDArray[np.float32]:
    """A calibrated sub (ADU) of an empty sky: electrons are drawn, the dark's mean is off."""
    assert camera.e_per_adu is not None
    assert camera.read_noise_e is not None
    assert camera.dark_e_s is not None
    dark_e = camera.dark_e_s * exposure_s
    electrons = rng.poisson(SKY_E_S * exposure_s + dark_e, SHAPE) + rng.normal(0, camera.read_noise_e, SHAPE)
    return ((electrons - dark_e) / camera.e_per_adu).astype(np.float32)


def night(rng: np.random.Generator, subs: int, exposure_s: float = 60.0) -> Night:
    """What the stack of so many would have measured."""
    frames = [sub(rng, exposure_s) for _ in range(subs)]
    noise = float(np.median([background_noise(frame) for frame in frames]))
    return Night(
        subs=subs,
        exposure_s=exposure_s,
        sub_noise_adu=noise,
        raw_noise_adu=noise,
        stack_noise_adu=background_noise(np.mean(frames, axis=0, dtype=np.float32)),
        background_adu=float(np.mean(frames)),
        cadence_s=exposure_s + 4.0,
    )


@pytest.fixture(scope="module")
def measured() -> Night:
    return night(np.random.default_rng(1), 20)


def test_twenty_subs_are_as_good_as_twenty_can_be(measured: Night) -> None:
    told = advise_snr(measured, CAMERA)
    assert told.efficiency == pytest.approx(1.0, abs=0.02)
    assert told.ideal_gain == pytest.approx(math.sqrt(20))
    assert told.missing == told.derived == ()


@pytest.mark.parametrize("short_s", [60.0, 15.0, 5.0])
def test_subs_of_several_exposures_are_told_against_what_they_themselves_can_give(short_s: float) -> None:
    """Long and short subs at one scale, the stack weighted by their noises: never better than the best."""
    rng = np.random.default_rng(3)
    sigmas = np.array([3.0] * 4 + [3.0 * 60 / short_s * math.sqrt(short_s / 60)] * 16)
    frames = [rng.normal(100, sigma, (256, 256)).astype(np.float32) for sigma in sigmas]
    noises = [background_noise(frame) for frame in frames]
    weights = sigmas**-2.0
    mean = np.average(frames, axis=0, weights=weights).astype(np.float32)
    image = stack_image(
        "L",
        mean,
        np.full(mean.shape, 20, np.uint16),
        exposures_s=[60.0] * 4 + [short_s] * 16,
        noises_adu=noises,
        rejected_fraction=0.0,
    )
    told = advise_snr(
        Night(
            subs=20,
            exposure_s=60.0,
            sub_noise_adu=image.sub_noise_adu,
            stack_noise_adu=image.noise_adu,
            ideal_gain=image.ideal_gain,
        ),
        Camera(),
    )
    assert told.efficiency == pytest.approx(1.0, abs=0.02)
    assert ("unlike subs" in told.text) is (short_s < 60)
    assert ("√20" in told.text) is (short_s == 60)


def test_the_shares_are_those_of_what_was_drawn(measured: Night) -> None:
    told = advise_snr(measured, CAMERA)
    sky, dark, read = SKY_E_S * 60, 0.02 * 60, 1.5**2
    total = sky + dark + read
    assert (told.sky_share, told.dark_share, told.read_share) == pytest.approx(
        (sky / total, dark / total, read / total), abs=0.005
    )
    assert told.over_sky_limit == pytest.approx(math.sqrt(total / sky), rel=0.01)
    parts = budget(measured, CAMERA)
    assert isinstance(parts, Budget)
    assert math.sqrt(parts.total) == pytest.approx(measured.raw_noise_adu, rel=0.01)


def test_the_next_hour_brings_what_was_foretold() -> None:
    rng = np.random.default_rng(2)
    before = night(rng, 16, exposure_s=120.0)
    told = advise_next_hour(before)
    assert told.subs_added == 3600 // 124
    after = night(rng, 16 + told.subs_added, exposure_s=120.0)
    assert before.stack_noise_adu is not None
    assert after.stack_noise_adu is not None
    assert told.snr_factor == pytest.approx(before.stack_noise_adu / after.stack_noise_adu, rel=0.03)


def test_hours_to_a_goal_reach_it(measured: Night) -> None:
    told = advise_next_hour(measured)
    assert told.hours_to_half_magnitude is not None
    assert told.hours_to_double_snr is not None
    half = advise_next_hour(measured, hours=told.hours_to_half_magnitude)
    double = advise_next_hour(measured, hours=told.hours_to_double_snr)
    assert half.magnitudes == pytest.approx(0.5, abs=0.02)
    assert half.magnitudes is not None
    assert half.magnitudes >= 0.5
    assert double.snr_factor == pytest.approx(2.0)


@pytest.mark.parametrize("extra", [0.02, 0.05, 0.10])
def test_subs_of_the_length_that_is_enough_lose_no_more(measured: Night, extra: float) -> None:
    told = advise_sub_length(measured, CAMERA, extra_noise=extra)
    assert told.enough_s is not None
    silent = replace(CAMERA, read_noise_e=0.0)
    rng = np.random.default_rng(3)
    # Whole electrons have no median noise: the sky is empty, and so the plain deviation serves.
    noisy, ideal = (np.std([sub(rng, told.enough_s, each) for _ in range(6)]) for each in (CAMERA, silent))
    assert noisy / ideal == pytest.approx(1 + extra, abs=0.005)


@pytest.mark.parametrize(
    ("times", "verdict"), [(0.3, "short"), (0.98, "short"), (1.01, "fine"), (3.9, "fine"), (4.1, "long")]
)
def test_verdicts(times: float, verdict: str) -> None:
    enough_s = 1.5**2 / (SKY_E_S + 0.02) / (1.05**2 - 1)
    exposure_s = times * enough_s
    given_night = Night(subs=5, exposure_s=exposure_s, background_adu=SKY_E_S * exposure_s / 0.25)
    told = advise_sub_length(given_night, CAMERA)
    assert told.verdict == verdict
    assert told.enough_s == pytest.approx(enough_s)
    assert told.now_extra_noise is not None
    assert (told.now_extra_noise > 0.05) == (verdict == "short")
    full = advise_sub_length(replace(given_night, saturated_share=0.3), CAMERA)
    assert full.saturating
    assert ("shorten" in full.text) == (verdict == "long")
    assert ("less gain" in full.text) == (verdict != "long")


@pytest.mark.parametrize("unknown", ["e_per_adu", "read_noise_e", "background_adu"])
def test_one_figure_that_is_not_known_is_worked_out_of_the_noise(measured: Night, unknown: str) -> None:
    seen, camera = measured, CAMERA
    if unknown == "background_adu":
        seen = replace(measured, background_adu=None)
    else:
        camera = replace(CAMERA, **{unknown: None})
    told, full = advise_snr(seen, camera), advise_snr(measured, CAMERA)
    assert len(told.derived) == 1
    assert told.missing == ()
    assert told.sky_share == pytest.approx(full.sky_share, abs=0.03)
    blind = advise_snr(replace(seen, raw_noise_adu=None), camera)
    assert len(blind.missing) == 1
    assert blind.sky_share is None
    assert blind.gain == full.gain
    assert blind.missing[0] in blind.text


def test_what_is_missing_is_named(measured: Night) -> None:
    told = advise(replace(measured, background_adu=None, exposure_s=None, cadence_s=None), Camera())
    assert len(told.snr.missing) == 4
    assert told.sub_length.verdict == "unknown"
    assert told.sub_length.enough_s is None
    assert told.next_hour.snr_factor is None
    for word in ("gain", "read noise", "sky", "exposure"):
        assert word in told.snr.text
        assert word in told.sub_length.text


def test_figures_that_contradict_the_noise_are_told(measured: Night) -> None:
    told = advise_snr(replace(measured, raw_noise_adu=1.0), replace(CAMERA, read_noise_e=None))
    assert told.sky_share is None
    assert "one of them is wrong" in told.missing[0]


numbers = st.one_of(st.none(), st.floats(0, 1e6), st.just(float("nan")))


@given(
    st.integers(1, 100_000),
    st.tuples(*[numbers] * 7),
    st.tuples(*[numbers] * 3),
)
def test_any_numbers_give_advice_that_json_can_hold(
    subs: int, seen: tuple[float | None, ...], known: tuple[float | None, ...]
) -> None:
    exposure_s, *rest = seen
    names = ("sub_noise_adu", "stack_noise_adu", "raw_noise_adu", "background_adu", "cadence_s")
    values = dict(zip((*names, "saturated_share"), rest, strict=True))
    told = advise(
        Night(subs=subs, exposure_s=exposure_s, **values),
        Camera(e_per_adu=known[0], read_noise_e=known[1], dark_e_s=known[2]),
    )
    json.dumps(asdict(told), allow_nan=False)
    for part in (told.snr, told.sub_length, told.next_hour, told.method):
        assert part.text.endswith(".")
        assert "nan" not in part.text


@given(st.floats(0.01, 100), st.floats(0.5, 20), st.floats(1.05, 10))
def test_a_brighter_sky_wants_shorter_subs_and_a_noisier_camera_longer(
    sky_adu_s: float, read_e: float, more: float
) -> None:
    def enough_s(sky: float, read: float, extra: float = 0.05) -> float:
        seen = Night(subs=1, exposure_s=60.0, background_adu=60 * sky)
        value = advise_sub_length(seen, replace(CAMERA, read_noise_e=read), extra_noise=extra).enough_s
        assert value is not None
        return value

    base = enough_s(sky_adu_s, read_e)
    assert enough_s(sky_adu_s * more, read_e) < base
    assert enough_s(sky_adu_s, read_e * more) == pytest.approx(base * more**2)
    assert enough_s(sky_adu_s, read_e, 0.05 * more) < base


@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0.1, 5))
def test_an_hour_is_worth_less_later_and_more_when_longer(few: int, further: int, hours: float) -> None:
    early = advise_next_hour(Night(subs=few, exposure_s=30.0, cadence_s=33.0), hours=hours)
    late = advise_next_hour(Night(subs=few + further, exposure_s=30.0, cadence_s=33.0), hours=hours)
    longer = advise_next_hour(Night(subs=few, exposure_s=30.0, cadence_s=33.0), hours=hours + 0.1)
    assert early.magnitudes is not None
    assert late.magnitudes is not None
    assert longer.magnitudes is not None
    assert late.magnitudes < early.magnitudes < longer.magnitudes


@pytest.mark.parametrize(
    ("subs", "name"),
    [
        (1, "mean"), (2, "mean"), (3, "percentile"), (4, "percentile"), (5, "winsorized"),
        (16, "winsorized"), (5000, "winsorized"),
    ],
)  # fmt: skip
def test_the_method_goes_with_the_number_of_subs_as_the_tables_of_methods_have_it(
    subs: int, name: str
) -> None:
    told = advise_method(subs)
    assert told.name == name
    assert name in told.text


@pytest.mark.parametrize("subs", [0, -3])
def test_without_subs_there_is_no_advice(subs: int) -> None:
    with pytest.raises(ValueError, match="first sub"):
        advise(Night(subs=subs, exposure_s=60.0), CAMERA)
