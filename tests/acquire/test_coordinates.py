"""Angles and equinoxes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquire.coordinates import icrs_to_jnow, jnow_to_icrs, parse_dec_deg, parse_ra_deg, separation_deg

WHEN = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("02h20m", 35.0),
        ("02:20:00", 35.0),
        ("2 20 00", 35.0),
        ("2h20m30.6s", 35.1275),
        ("2h", 30.0),
        (35, 35.0),
        ("35.2", 35.2),
        ("35.2d", 35.2),
    ],
)
def test_right_ascension(text: object, degrees: float) -> None:
    assert parse_ra_deg(text) == pytest.approx(degrees)


@pytest.mark.parametrize(
    ("text", "degrees"),
    [
        ("+57d08m", 57 + 8 / 60),
        ("-00:30:00", -0.5),
        ("−12°15′36″", -12.26),
        (-5.5, -5.5),
        ("-0d00m36s", -0.01),
    ],
)
def test_declination(text: object, degrees: float) -> None:
    assert parse_dec_deg(text) == pytest.approx(degrees)


@pytest.mark.parametrize(
    "text", ["", "north", "25h", "-1h", "2h61m", None, True, float("nan"), "1:2:3:4", [1]]
)
def test_no_right_ascension(text: object) -> None:
    with pytest.raises(ValueError, match=r"is|has"):
        parse_ra_deg(text)


@pytest.mark.parametrize("text", ["91d", "-90:00:01", "12h", "12:75:00"])
def test_no_declination(text: object) -> None:
    with pytest.raises(ValueError, match=r"is|has"):
        parse_dec_deg(text)


@settings(deadline=None)  # the first example imports erfa
@given(st.floats(0, 359.999), st.floats(-89.5, 89.5))
def test_to_the_equinox_of_date_and_back(ra_deg: float, dec_deg: float) -> None:
    there = icrs_to_jnow(ra_deg, dec_deg, WHEN)
    back = jnow_to_icrs(*there, WHEN)
    assert separation_deg(ra_deg, dec_deg, *back) * 3600 < 0.001
    assert (
        separation_deg(ra_deg, dec_deg, *there) < 27 * 50.3 / 3600 + 0.02
    )  # 27 years of precession, and the rest


def test_agrees_with_astropy() -> None:
    from astropy.coordinates import ICRS, TETE, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    with iers.conf.set_temp("auto_download", False):
        seen = SkyCoord(35.0, 57.1333, unit="deg", frame=ICRS).transform_to(
            TETE(obstime=Time("2020-06-01T00:00:00"))
        )
    ours = icrs_to_jnow(35.0, 57.1333, datetime(2020, 6, 1, tzinfo=UTC))
    assert separation_deg(*ours, seen.ra.deg, seen.dec.deg) * 3600 < 0.5  # astropy adds the diurnal part
