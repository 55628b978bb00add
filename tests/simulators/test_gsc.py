from __future__ import annotations

import re

import pytest

from simulators.coordinates import separation_deg
from simulators.gsc import main

# What INDI's ccd_simulator.cpp hands to sscanf: "%10s %f %f %f %f %f %d %d %4s %2s %f %d".
_FLOAT, _INT = r"([-+]?\d+(?:\.\d+)?)", r"(\d+)"
LINE = re.compile(
    rf"(\S{{1,10}})\s+{_FLOAT}\s+{_FLOAT}\s+{_FLOAT}\s+{_FLOAT}\s+{_FLOAT}\s+{_INT}\s+{_INT}"
    rf"\s+(\S{{1,4}})\s+(\S{{1,2}})\s+{_FLOAT}\s+{_INT}\n"
)


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> list[re.Match[str]]:
    assert main(list(words)) == 0
    lines = capsys.readouterr().out.splitlines(keepends=True)
    matches = [LINE.fullmatch(line) for line in lines]
    assert None not in matches, lines
    return [m for m in matches if m is not None]


def test_it_answers_the_very_words_the_stock_simulator_uses(capsys: pytest.CaptureFixture[str]) -> None:
    """The words as libindi 1.9.9 was seen to use them."""
    stars = ask(capsys, "-c", "210.465768", "+81.114174", "-r", "16.3", "-m", "0", "17.00", "-n", "3000")
    assert len(stars) > 50
    mags = [float(star[5]) for star in stars]
    assert mags == sorted(mags)
    assert mags[-1] <= 17.0
    for star in stars:
        away = separation_deg(float(star[2]), float(star[3]), 210.465768, 81.114174) * 60
        assert away <= 16.3
        assert float(star[11]) == pytest.approx(away, abs=0.002)


def test_a_southern_declination_is_a_number_and_not_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    canopus = ask(capsys, "-c", "95.98787", "-52.69566", "-r", "5", "-m", "-2", "3", "-n", "10")
    assert len(canopus) == 1
    assert separation_deg(float(canopus[0][2]), float(canopus[0][3]), 95.98787, -52.69566) * 3600 < 10


def test_it_tells_no_more_stars_than_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(ask(capsys, "-c", "300", "+22", "-r", "30", "-m", "0", "16", "-n", "25")) == 25
