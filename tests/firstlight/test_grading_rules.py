"""Rules as people type them."""

from __future__ import annotations

import pytest

from firstlight.errors import FirstlightError
from firstlight.grading import MEASURES, changed, in_words
from livestack.grading import Limit, Rules


@pytest.mark.parametrize(
    ("wish", "limit"),
    [
        ({"fwhm": 3.5}, Limit(sigmas=5.0, share=0.3, absolute=3.5)),
        ({"fwhm_px": 3.5}, Limit(sigmas=5.0, share=0.3, absolute=3.5)),
        ({"fwhm.sigmas": 3.0, "fwhm.share": 0.1}, Limit(sigmas=3.0, share=0.1)),
        ({"fwhm.sigmas": None}, Limit(sigmas=None, share=0.3)),
        ({"fwhm.share": None}, Limit(sigmas=5.0, share=0.0)),
    ],
)
def test_a_limit_is_changed_and_nothing_else(wish: dict[str, float | None], limit: Limit) -> None:
    rules = changed(Rules(), wish)
    assert rules.fwhm_px == limit
    assert changed(rules, {"fwhm": None, "fwhm.sigmas": 5.0, "fwhm.share": 0.3}) == Rules()


@pytest.mark.parametrize("name", ["", ".sigmas", "sharpness", "fwhm.absolutely", "least_subs"])
def test_what_is_no_rule_is_named_with_those_that_are(name: str) -> None:
    with pytest.raises(FirstlightError, match="fwhm, roundness, stars"):
        changed(Rules(), {name: 0.0})


def test_what_is_told_can_be_typed() -> None:
    rules = changed(Rules(), {"stars": 40.0, "least_subs": 5.0, "overlap": 0.5, "rms.sigmas": None})
    words = dict(word.split("=") for word in in_words(rules).split())
    bare = Rules(least_subs=1, **{field: Limit() for field in MEASURES.values()})
    again = changed(bare, {name: float(value) for name, value in words.items()})
    assert in_words(again) == in_words(rules)
