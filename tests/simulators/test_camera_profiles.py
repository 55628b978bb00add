"""The cameras as their driver and their files show them."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits

from library.keywords import bayer_pattern
from simulators.camera import Camera, Shot
from simulators.cooler import Cooler
from simulators.drivers.camera_properties import CameraProperties
from simulators.fitsfile import Snooped, fits_bytes
from simulators.profiles import PROFILES, profile
from simulators.sensor import ADU, Readout
from tests.simulators.conftest import Simulated
from tests.simulators.wire import CAMERA, values

COLOUR = replace(profile("ASI2600MC"), width=300, height=200, cosmic_rays_per_s=0.0)


def flat(camera: Camera, x: int, y: int, bins: int = 1) -> tuple[ADU, fits.Header]:
    """A flat through clear glass, and what its file says, read back."""
    p = camera.profile
    readout = Readout(
        gain=0, offset=50, x=x, y=y, width=p.width - 20, height=p.height - 20, bin_x=bins, bin_y=bins
    )
    shot = Shot(
        number=1,
        kind="FLAT",
        exposure_s=1.0,
        started=datetime(2026, 11, 23, 20, tzinfo=UTC),
        started_elapsed_s=0.0,
        temperature_c=-10.0,
        readout=readout,
        filter_name="L",
        ra_deg=10.0,
        dec_deg=20.0,
    )
    content = fits_bytes(
        camera.expose(shot)[0],
        shot,
        camera=CAMERA,
        mount="m",
        observer="o",
        object_name="n",
        pixel_um=p.pixel_um,
        telescope=camera.telescope,
        snooped=Snooped(),
        bayer=p.bayer,
    )
    with fits.open(io.BytesIO(content)) as hdus:
        return hdus[0].data.copy(), hdus[0].header.copy()


def by_colour(frame: ADU, pattern: str) -> dict[str, float]:
    """Mean of each colour's pixels, both greens together."""
    cells = {0: (0, 0), 1: (0, 1), 2: (1, 0), 3: (1, 1)}
    means = [(colour, frame[cells[n][0] :: 2, cells[n][1] :: 2].mean()) for n, colour in enumerate(pattern)]
    return {colour: float(np.mean([m for c, m in means if c == colour])) for colour in "RGB"}


@pytest.mark.parametrize(
    ("x", "y", "pattern"), [(0, 0, "RGGB"), (1, 0, "GRBG"), (4, 3, "GBRG"), (7, 9, "BGGR")]
)
def test_a_window_of_a_mosaic_says_where_its_colours_are(x: int, y: int, pattern: str) -> None:
    camera = Camera(3, profile=COLOUR)
    whole = by_colour(flat(camera, 0, 0)[0], "RGGB")
    frame, header = flat(camera, x, y)
    assert (header["ROWORDER"], header["BAYERPAT"]) == ("TOP-DOWN", "RGGB")
    assert (header["XBAYROFF"], header["YBAYROFF"]) == (x % 2, y % 2)
    assert bayer_pattern(header, frame.shape[0]) == pattern
    assert by_colour(frame, pattern) == pytest.approx(whole, rel=0.02)
    assert min(abs(whole["G"] / whole[c] - 1) for c in "RB") > 0.03


def test_binned_colours_mix_and_mono_has_none() -> None:
    assert "BAYERPAT" not in flat(Camera(3, profile=COLOUR), 0, 0, bins=2)[1]
    assert "BAYERPAT" not in flat(Camera(3, profile=replace(COLOUR, bayer=None)), 0, 0)[1]


@pytest.mark.parametrize("name", list(PROFILES))
def test_a_driver_defines_what_the_camera_has(name: str) -> None:
    p = profile(name)
    has = {vector.name: vector for vector in CameraProperties(p, 12.0).all()}
    assert ("CCD_GAIN" in has) == (p.gain is not None) == ("CCD_OFFSET" in has)
    assert ("READ_MODE" in has) == (name == "QHY600M")
    assert ("CCD_CFA" in has) == name.endswith("MC")
    assert ("CCD_COOLER" in has) == (p.cooling is not None) == ("CCD_TEMP_RAMP" in has)
    assert has["CCD_TEMPERATURE"].perm == ("rw" if p.cooling else "ro")
    assert float(has["CCD_INFO"]["CCD_MAX_X"]) == p.width
    assert float(has["ADC_DEPTH"]["BITS"]) == p.adc_bits


@pytest.mark.parametrize("name", [name for name, p in PROFILES.items() if p.cooling])
def test_no_cooler_gets_below_its_reach(name: str) -> None:
    cooling = profile(name).cooling
    assert cooling is not None
    cooler = Cooler.of(cooling)
    cooler.set(-50.0)
    assert cooler.advance(8000.0) == pytest.approx(12.0 - cooling.reach_c, abs=0.1)
    assert cooler.power == 1.0


def test_a_camera_without_cooler_follows_the_air() -> None:
    cooler = Cooler.of(None)
    cooler.ambient_fall_c_per_h = 2.0
    assert cooler.advance(3 * 3600.0) == pytest.approx(12.0 - 6.0, abs=0.3)


def test_a_ramp_is_kept() -> None:
    cooler = Cooler()
    cooler.follow_ramp(2.0)
    cooler.set(-10.0)
    curve = np.array([cooler.advance(t) for t in range(0, 1501, 10)])
    slopes = np.diff(curve) * 6  # °C a minute
    assert slopes.min() > -2.8
    assert np.median(slopes[12:60]) == pytest.approx(-2.0, abs=0.1)
    assert curve[-1] == pytest.approx(-10.0, abs=0.1)


def test_warmer_air_takes_more_power_for_the_same_goal() -> None:
    powers = []
    for ambient_c in (5.0, 20.0):
        cooler = Cooler(ambient_c=ambient_c)
        cooler.set(-10.0)
        cooler.advance(3000.0)
        powers.append(cooler.power)
    assert powers == pytest.approx([15 / 40, 30 / 40], abs=0.01)


@pytest.mark.slow
def test_a_goal_beyond_reach_stays_busy_at_full_power(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.new("Number", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=-60)
    assert wire.state(CAMERA, "CCD_TEMPERATURE", "Alert").get("message")
    wire.new("Number", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=-45)
    shown = 12.0
    while shown > -27.8:
        told = wire.wait(lambda e: e.get("name") == "CCD_TEMPERATURE" and e.tag == "setNumberVector")
        shown = float(values(told)["CCD_TEMPERATURE_VALUE"])
        assert told.get("state") == "Busy"
    assert shown > -28.2
