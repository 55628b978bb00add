from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestack.grading import Limit, Measures, Rules, judge, night_of
from livestack.plain import plain, whole

GOOD = Measures(
    fwhm_px=3.1,
    roundness=0.92,
    stars=200,
    background_adu=400.0,
    transparency=1.0,
    rms_px=0.1,
    noise_adu=12.0,
    overlap=0.97,
)


def steady(n: int, seed: int = 0, *, share: float = 0.05) -> list[Measures]:
    """Good subs whose measures vary by ``share``."""
    rng = np.random.default_rng(seed)

    def about(value: float) -> float:
        return value * (1 + share * float(rng.standard_normal()))

    return [
        Measures(
            fwhm_px=about(3.1),
            roundness=min(about(0.92), 1.0),
            stars=round(about(200)),
            background_adu=about(400),
            transparency=about(1.0),
            rms_px=abs(about(0.1)),
            noise_adu=about(12),
            overlap=0.97,
        )
        for _ in range(n)
    ]


@pytest.mark.parametrize(
    ("bad", "measure"),
    [
        (replace(GOOD, fwhm_px=6.5), "fwhm_px"),
        (replace(GOOD, roundness=0.5), "roundness"),
        (replace(GOOD, stars=30), "stars"),
        (replace(GOOD, background_adu=1500.0), "background_adu"),
        (replace(GOOD, transparency=0.3), "transparency"),
        (replace(GOOD, rms_px=0.9), "rms_px"),
        (replace(GOOD, noise_adu=40.0), "noise_adu"),
    ],
)
def test_what_is_clearly_bad_falls_for_the_one_reason(bad: Measures, measure: str) -> None:
    verdict = judge(bad, night_of([*steady(20), bad]), Rules())
    assert not verdict.good
    assert [finding.measure for finding in verdict.findings] == [measure]


def test_a_verdict_names_all_that_is_against_a_sub_with_its_numbers() -> None:
    subs = steady(40, share=0.08)
    bad = replace(GOOD, fwhm_px=5.9, stars=20)
    night = night_of(subs)
    rules = Rules(fwhm_px=Limit(sigmas=5, share=0.1))
    spread = night.spreads["fwhm_px"]
    assert judge(bad, night, rules).text == (
        f"FWHM 5.9 px, this night {spread.median:.1f} ± {spread.sigma:.1f}: "
        f"{(5.9 - spread.median) / spread.sigma:.1f}σ, limit 5σ; "
        f"stars 20, this night {night.spreads['stars'].median:.0f} ± {night.spreads['stars'].sigma:.0f}: "
        f"{1 - 20 / night.spreads['stars'].median:.0%} off, limit 60%"
    )


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.02, 0.1])
def test_good_subs_stay_however_steady_the_night_is(share: float) -> None:
    subs = steady(60, share=share)
    almost = replace(GOOD, fwhm_px=3.6, stars=150, background_adu=600.0, transparency=0.8, rms_px=0.3)
    subs += [almost, GOOD]
    verdicts = [judge(sub, night_of(subs), Rules()) for sub in subs]
    assert [verdict.text for verdict in verdicts if not verdict.good] == []


def test_better_than_the_night_is_never_bad() -> None:
    best = Measures(
        fwhm_px=1.5,
        roundness=1.0,
        stars=900,
        background_adu=50.0,
        transparency=3.0,
        rms_px=0.0,
        noise_adu=1.0,
        overlap=1.0,
    )
    assert judge(best, night_of([*steady(30, share=0.001), best]), Rules()).good


def test_a_few_subs_are_no_night_yet_but_absolute_limits_hold_from_the_first() -> None:
    bad = replace(GOOD, fwhm_px=9.0)
    few = night_of([*steady(6), bad])
    assert judge(bad, few, Rules()).good
    assert not judge(bad, few, Rules()).night_known
    hard = Rules(fwhm_px=Limit(absolute=4.0), overlap=Limit(absolute=0.5))
    assert judge(bad, night_of([bad]), hard).text == "FWHM 9.0 px, limit 4.0 px"
    assert judge(replace(GOOD, overlap=0.4), few, hard).text == "overlap 0.40, limit 0.50"
    assert judge(GOOD, few, hard).good


def test_what_was_not_measured_is_not_held_against_a_sub() -> None:
    blind = replace(GOOD, fwhm_px=float("nan"), roundness=float("nan"))
    assert judge(blind, night_of([blind] * 20), Rules()).good
    assert judge(blind, night_of(steady(20)), Rules()).good


def test_a_third_of_the_night_in_cloud_does_not_make_cloud_the_rule() -> None:
    cloudy = [replace(each, stars=30, transparency=0.3) for each in steady(9, seed=5)]
    subs = steady(20) + cloudy
    night = night_of(subs)
    assert [judge(sub, night, Rules()).good for sub in subs] == [True] * 20 + [False] * 9


@given(st.permutations(range(16)))
def test_verdicts_do_not_depend_on_the_order(order: list[int]) -> None:
    subs = [*steady(13), replace(GOOD, fwhm_px=5.2), replace(GOOD, stars=60), replace(GOOD, rms_px=1.0)]
    night, shuffled = night_of(subs), night_of([subs[i] for i in order])
    assert night == shuffled
    assert [judge(sub, shuffled, Rules()).good for sub in subs] == [True] * 13 + [False] * 3


limits = st.builds(
    Limit,
    sigmas=st.none() | st.floats(0, 20),
    share=st.floats(0, 5),
    least=st.floats(0, 5),
    absolute=st.none() | st.floats(-10, 1e6),
)


@given(st.builds(Rules, fwhm_px=limits, overlap=limits, least_subs=st.integers(0, 50)))
def test_rules_survive_as_json(rules: Rules) -> None:
    assert whole(Rules, json.loads(json.dumps(plain(rules), allow_nan=False))) == rules
