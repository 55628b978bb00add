"""The mount's errors, against the textbook's formulae for them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.mount_model import (
    Aim,
    MountErrors,
    altitude_azimuth_deg,
    look,
    pier_axes_deg,
    with_backlash,
)

LATITUDE = 47.7
SIDEREAL = 15.041


def aim(hour_angle_deg: float, dec_deg: float, *, altaz: bool = False, flipped: bool = False) -> Aim:
    return Aim(
        at_s=0, hour_angle_deg=hour_angle_deg, dec_deg=dec_deg, tracking=True, altaz=altaz, flipped=flipped
    )


@pytest.mark.parametrize(("azimuth", "altitude"), [(10.0, 0.0), (0.0, -7.0), (-4.0, 6.0)])
@pytest.mark.parametrize(("hour_angle", "dec"), [(0.0, 0.0), (-60.0, 10.0), (40.0, 55.0)])
def test_polar_misalignment_drifts_and_rotates_as_the_formula_says(
    azimuth: float, altitude: float, hour_angle: float, dec: float
) -> None:
    """dδ/dt = ω(ΔE sin H + ΔA cos φ cos H), dθ/dt = ω(ΔE cos H − ΔA cos φ sin H)/cos δ."""
    errors = MountErrors(polar_azimuth_arcmin=azimuth, polar_altitude_arcmin=altitude)
    minutes = 10.0
    a, b = (look(aim(hour_angle, dec), errors, LATITUDE, t) for t in (0.0, minutes * 60))
    h = np.radians(hour_angle + SIDEREAL * minutes / 2 / 60)  # the middle of the time
    east, up = np.radians(azimuth / 60) * np.cos(np.radians(LATITUDE)), np.radians(altitude / 60)
    omega = SIDEREAL * 60  # arcseconds a minute
    drift = omega * (up * np.sin(h) + east * np.cos(h))
    turn = omega * (up * np.cos(h) - east * np.sin(h)) / np.cos(np.radians(dec))
    measured = (b.dec_deg - a.dec_deg) * 3600 / minutes
    rotated = (b.camera_angle_deg - a.camera_angle_deg) * 3600 / minutes
    assert measured == pytest.approx(drift, rel=0.01, abs=0.02)
    assert rotated == pytest.approx(turn, rel=0.02, abs=0.03)


def test_periodic_error_has_its_amplitude_and_period() -> None:
    errors = MountErrors(periodic_arcsec=8.0, worm_period_s=479.0)
    t = np.arange(0.0, 4790.0, 1.0)
    seen = [look(aim(-20.0, 30.0), errors, LATITUDE, float(s)).hour_angle_deg for s in t]
    error = (np.array(seen) + 20.0) * 3600 - 15.041067 * t
    spectrum = np.abs(np.fft.rfft(error)) / len(t) * 2
    strongest = int(spectrum[1:].argmax()) + 1
    assert len(t) / strongest == pytest.approx(479.0, abs=0.5)
    assert spectrum[strongest] == pytest.approx(8.0, abs=0.02)
    assert np.ptp(error) == pytest.approx(16.0, abs=0.05)


@pytest.mark.parametrize(("hour_angle", "dec"), [(0.0, 20.0), (-50.0, 5.0), (45.0, 60.0), (-100.0, 70.0)])
def test_an_altaz_field_turns_as_the_formula_says(hour_angle: float, dec: float) -> None:
    """|dq/dt| = 15.041″/s · cos φ · cos A / cos a."""
    a, b = (
        look(aim(hour_angle, dec, altaz=True), MountErrors(), LATITUDE, t).camera_angle_deg
        for t in (-5.0, 5.0)
    )
    altitude, azimuth = np.radians(altitude_azimuth_deg(hour_angle, dec, LATITUDE))
    rate = SIDEREAL * np.cos(np.radians(LATITUDE)) * np.cos(azimuth) / np.cos(altitude)
    assert (b - a) * 3600 / 10 == pytest.approx(-rate, rel=2e-4)


def test_altitude_and_azimuth_of_known_places() -> None:
    assert altitude_azimuth_deg(0.0, 0.0, LATITUDE) == pytest.approx((90 - LATITUDE, 180.0))
    assert altitude_azimuth_deg(-90.0, 0.0, LATITUDE) == pytest.approx((0.0, 90.0), abs=1e-9)
    assert altitude_azimuth_deg(0.0, 90.0, LATITUDE)[0] == pytest.approx(LATITUDE)


def test_a_flip_turns_the_field_by_half_a_turn_and_moves_nothing() -> None:
    errors = MountErrors(polar_altitude_arcmin=3.0, periodic_arcsec=5.0)
    a, b = (look(aim(10.0, 40.0, flipped=side), errors, LATITUDE, 300.0) for side in (False, True))
    assert (a.hour_angle_deg, a.dec_deg) == (b.hour_angle_deg, b.dec_deg)
    assert b.camera_angle_deg - a.camera_angle_deg == pytest.approx(180.0)
    axes = np.subtract(pier_axes_deg(10.0, 40.0, True), pier_axes_deg(10.0, 40.0, False))
    assert abs(axes[0]) == 180.0


def test_settling_dies_away() -> None:
    errors = MountErrors(settle_arcsec=6.0, settle_s=2.0)
    slewed = Aim(at_s=0, hour_angle_deg=0, dec_deg=30, tracking=True, slewed_s=0)
    left = [(look(slewed, errors, LATITUDE, t).dec_deg - 30) * 3600 for t in (0.0, 2.0, 20.0)]
    assert left == pytest.approx([6.0, 6.0 / np.e, 0.0], abs=1e-3)


@given(
    moves=st.lists(st.floats(-50, 50), max_size=30),
    backlash=st.floats(0, 20),
    way=st.sampled_from([-1.0, 1.0]),
)
def test_backlash_eats_a_reversal_and_nothing_else(moves: list[float], backlash: float, way: float) -> None:
    play = 0.0
    for move in moves:
        play, made = with_backlash(play, move, backlash)
        assert 0 <= play <= backlash
        assert abs(made) <= abs(move) + 1e-9
        assert abs(move - made) <= backlash + 1e-9
    play, _ = with_backlash(play, way * (backlash + 1), backlash)  # against the teeth now
    assert with_backlash(play, way * 5.0, backlash)[1] == pytest.approx(way * 5.0)
    assert with_backlash(play, -way * 5.0, backlash)[1] == pytest.approx(-way * max(5.0 - backlash, 0.0))
