"""The mount as a client meets it: guide pulses, limits, flips, and errors that reach the frames."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from simulators.coordinates import jnow_to_icrs, sidereal_time_deg
from tests.simulators.conftest import Simulated
from tests.simulators.wire import CAMERA, MOUNT, Wire, values

SIDEREAL = 15.041


def goto(observatory: Simulated, hour_angle_h: float, dec: float) -> dict[str, float]:
    """Slew to an hour angle, roughly: the simulated clock runs fast."""
    wire = observatory.wire
    ra = (sidereal_time_deg(11.2, observatory.utc()) / 15 - hour_angle_h) % 24
    wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", RA=ra, DEC=dec)
    return numbers_of(wire, "Ok")


def numbers_of(wire: Wire, state: str) -> dict[str, float]:
    element = wire.state(MOUNT, "EQUATORIAL_EOD_COORD", state)
    return {name: float(text) for name, text in values(element).items()}


def pulse(wire: Wire, axis: str, way: str, ms: int) -> dict[str, float]:
    name = f"TELESCOPE_TIMED_GUIDE_{axis}"
    wire.new("Number", MOUNT, name, **{f"TIMED_GUIDE_{way}": ms})
    wire.state(MOUNT, name, "Busy")
    now = numbers_of(wire, "Ok")
    wire.state(MOUNT, name, "Idle")
    return now


def small(wire: Wire) -> None:
    """Frames of 64 × 64 are enough where only the truth is read."""
    wire.new("Number", CAMERA, "CCD_FRAME", X=0, Y=0, WIDTH=64, HEIGHT=64)
    wire.state(CAMERA, "CCD_FRAME", "Ok")


def set_errors(wire: Wire, **errors: float) -> None:
    wire.new("Number", MOUNT, "MOUNT_ERRORS", **errors)
    wire.state(MOUNT, "MOUNT_ERRORS", "Ok")


def test_guide_pulses_move_by_rate_times_time(observatory: Simulated) -> None:
    """Half the sidereal rate for 4 s is 30.08″; west is a smaller right ascension."""
    wire = observatory.wire
    began = goto(observatory, -2.0, 30.0)
    north = pulse(wire, "NS", "N", 4000)
    west = pulse(wire, "WE", "W", 4000)
    assert (north["DEC"] - began["DEC"]) * 3600 == pytest.approx(2 * SIDEREAL, abs=0.01)
    assert (west["RA"] - began["RA"]) * 54000 == pytest.approx(-2 * SIDEREAL, abs=0.01)
    back = pulse(wire, "WE", "E", 4000)
    assert back["RA"] == pytest.approx(began["RA"], abs=1e-7)


def test_backlash_is_told_by_no_encoder_but_seen_in_the_frame(observatory: Simulated) -> None:
    wire = observatory.wire
    small(wire)
    set_errors(wire, BACKLASH_ARCSEC=20)
    goto(observatory, -2.0, 30.0)
    told, true = [], []
    for way in ("N", "S"):
        wire.shoot(1.0)
        true.append(observatory.truths()[-1]["dec_deg"])
        told.append(pulse(wire, "NS", way, 4000)["DEC"])
    wire.shoot(1.0)
    true.append(observatory.truths()[-1]["dec_deg"])
    moved = np.diff(true) * 3600
    # North, where the teeth touch after a slew, in full; then south, less the backlash.
    assert moved == pytest.approx([2 * SIDEREAL, -(2 * SIDEREAL - 20)], abs=0.15)
    assert np.diff(told) * 3600 == pytest.approx([-2 * SIDEREAL], abs=0.01)


def test_polar_misalignment_reaches_the_frames(observatory: Simulated) -> None:
    """10′ east of the pole: stars near the meridian drift 15.041·cos φ·10′ = 1.77″ a minute."""
    wire = observatory.wire
    small(wire)
    set_errors(wire, POLAR_AZIMUTH_ARCMIN=10)
    goto(observatory, -0.5, 0.0)
    truths = []
    for _ in range(2):
        wire.shoot(60.0)
        truths.append(observatory.truths()[-1])
    a, b = truths
    minutes = (
        datetime.fromisoformat(b["date_obs"]) - datetime.fromisoformat(a["date_obs"])
    ).total_seconds() / 60
    rate = SIDEREAL * 60 * np.radians(10 / 60) * np.cos(np.radians(47.7))
    assert (b["dec_deg"] - a["dec_deg"]) * 3600 / minutes == pytest.approx(rate, rel=0.03)


def test_a_meridian_flip_turns_the_field_by_half_a_turn_and_takes_its_time(observatory: Simulated) -> None:
    wire = observatory.wire
    small(wire)
    truths = []
    for hour_angle in (-0.3, 0.3):
        goto(observatory, hour_angle, 40.0)
        wire.shoot(1.0)
        truths.append(observatory.truths()[-1])
    assert abs(truths[1]["rotation_deg"] - truths[0]["rotation_deg"]) == pytest.approx(180.0, abs=0.5)
    apart = [datetime.fromisoformat(truth["date_obs"]) for truth in truths]
    assert (apart[1] - apart[0]).total_seconds() > (180 - 9) / 4.0  # half a turn at 4° a second


def test_tracking_stops_at_the_meridian_limit(observatory: Simulated) -> None:
    """200 simulated seconds a second: five minutes before the meridian is soon past it."""
    wire = observatory.wire
    wire.new("Number", MOUNT, "MOUNT_LIMITS", PAST_MERIDIAN=0.5)
    wire.state(MOUNT, "MOUNT_LIMITS", "Ok")
    small(wire)
    goto(observatory, -0.3, 20.0)
    stopped = wire.state(MOUNT, "TELESCOPE_TRACK_STATE", "Alert")
    assert values(stopped) == {"TRACK_ON": "Off", "TRACK_OFF": "On"}
    assert "past the meridian limit of 0.5°" in stopped.get("message", "")


def test_below_the_horizon_limit_no_slew_begins(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.new("Number", MOUNT, "MOUNT_LIMITS", MIN_ALTITUDE=15)
    wire.state(MOUNT, "MOUNT_LIMITS", "Ok")
    wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", RA=3, DEC=-80)
    refused = wire.state(MOUNT, "EQUATORIAL_EOD_COORD", "Alert")
    assert "below the limit of 15°" in refused.get("message", "")


def test_a_sync_changes_what_is_told_and_moves_nothing(observatory: Simulated) -> None:
    wire = observatory.wire
    small(wire)
    there = goto(observatory, -2.0, 30.0)
    wire.shoot(1.0)
    wire.new("Switch", MOUNT, "ON_COORD_SET", SYNC="On")
    wire.state(MOUNT, "ON_COORD_SET", "Ok")
    wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", RA=there["RA"], DEC=30.5)
    numbers_of(wire, "Ok")
    wire.shoot(1.0)
    wire.new("Switch", MOUNT, "ON_COORD_SET", TRACK="On")
    wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", RA=there["RA"], DEC=30.5 + 0.25)
    numbers_of(wire, "Ok")
    wire.shoot(1.0)
    a, b, c = (truth["dec_deg"] for truth in observatory.truths() if truth["kind"] == "LIGHT")
    assert b == pytest.approx(a, abs=1e-5)
    assert c - a == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("observatory", [("--altaz",)], indirect=True)
def test_an_altaz_field_turns_in_the_frames(observatory: Simulated) -> None:
    wire = observatory.wire
    small(wire)
    there = goto(observatory, -1.0, 25.0)
    truths = []
    for _ in range(2):
        wire.shoot(60.0)
        truths.append(observatory.truths()[-1])
    times = [datetime.fromisoformat(t["date_obs"]).replace(tzinfo=UTC) for t in truths]
    gap_s = (times[1] - times[0]).total_seconds()
    middle = times[0] + (times[1] - times[0]) / 2
    h = np.radians(sidereal_time_deg(11.2, middle) - there["RA"] * 15 + SIDEREAL * 30 / 3600)
    phi, dec = np.radians([47.7, 25.0])
    up = np.sin(phi) * np.sin(dec) + np.cos(phi) * np.cos(dec) * np.cos(h)
    azimuth = np.arctan2(
        -np.cos(dec) * np.sin(h), np.sin(dec) * np.cos(phi) - np.cos(dec) * np.sin(phi) * np.cos(h)
    )
    rate = -SIDEREAL * np.cos(phi) * np.cos(azimuth) / np.cos(np.arcsin(up))
    turned = (truths[1]["rotation_deg"] - truths[0]["rotation_deg"]) * 3600
    # The seeded night turns the field by up to 0.4° in hours besides, 0.3″/s at most.
    assert turned / gap_s == pytest.approx(rate, abs=0.35)
    assert abs(rate) > 5
    place = jnow_to_icrs(there["RA"] * 15, there["DEC"], middle)
    assert (truths[1]["ra_deg"], truths[1]["dec_deg"]) == pytest.approx(place, abs=2e-4)
