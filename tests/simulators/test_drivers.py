"""The drivers as a client meets them: over the wire."""

from __future__ import annotations

import io
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sep
from astropy.io import fits

from simulators.catalogue import stars_in_cone
from simulators.coordinates import sidereal_time_deg, tangent_plane
from simulators.night import Pose
from simulators.sky import to_pixels
from tests.simulators.conftest import Simulated
from tests.simulators.wire import CAMERA, MOUNT, WHEEL, Wire, values

JNOW = {"RA": 14.0, "DEC": 54.5}
"""Near M101: far from the galactic plane, so that stars rarely blend."""


def read(content: bytes) -> tuple[Any, Any]:
    with fits.open(io.BytesIO(content)) as hdus:
        return hdus[0].data.astype(np.float64), hdus[0].header.copy()


def point(wire: Wire, where: dict[str, float] | None = None) -> None:
    wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", **(where or JNOW))
    wire.state(MOUNT, "EQUATORIAL_EOD_COORD", "Ok")


def test_standard_properties_are_there_once_connected(observatory: Simulated) -> None:
    point(observatory.wire)  # the mount answers last of the three
    defined = observatory.wire.definitions
    expected = {
        CAMERA: "CONNECTION DRIVER_INFO CCD_EXPOSURE CCD_ABORT_EXPOSURE CCD1 CCD_FRAME CCD_BINNING "
        "CCD_FRAME_TYPE CCD_INFO CCD_TEMPERATURE CCD_COOLER CCD_COOLER_POWER CCD_GAIN CCD_OFFSET "
        "CCD_COMPRESSION CCD_TRANSFER_FORMAT FITS_HEADER ACTIVE_DEVICES UPLOAD_MODE",
        WHEEL: "CONNECTION DRIVER_INFO FILTER_SLOT FILTER_NAME",
        MOUNT: "CONNECTION DRIVER_INFO EQUATORIAL_EOD_COORD ON_COORD_SET TELESCOPE_TRACK_STATE "
        "TELESCOPE_PARK TELESCOPE_ABORT_MOTION TELESCOPE_INFO GEOGRAPHIC_COORD TIME_UTC TELESCOPE_PIER_SIDE",
    }
    for device, names in expected.items():
        assert set(names.split()) <= {name for dev, name in defined if dev == device}
    interfaces = {d: int(values(defined[d, "DRIVER_INFO"])["DRIVER_INTERFACE"]) for d in expected}
    assert interfaces == {CAMERA: 2, WHEEL: 16, MOUNT: 1 | 4}
    assert list(values(defined[WHEEL, "FILTER_NAME"]).values()) == ["L", "R", "G", "B", "Ha", "OIII", "SII"]


def test_disconnecting_takes_the_properties_away(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.new("Switch", CAMERA, "CONNECTION", DISCONNECT="On")
    gone = wire.wait(lambda e: e.tag == "delProperty" and e.get("name") == "CCD1")
    assert gone.get("device") == CAMERA
    wire.state(CAMERA, "CONNECTION", "Idle")


def test_what_cannot_be_done_is_refused_and_said(observatory: Simulated) -> None:
    orders: list[tuple[str, str, dict[str, Any]]] = [
        (CAMERA, "CCD_GAIN", {"GAIN": 301}),
        (CAMERA, "CCD_GAIN", {"GAIN": "much"}),
        (CAMERA, "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 1e9}),
        (CAMERA, "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": "nan"}),
        (CAMERA, "CCD_FRAME", {"X": 1000, "WIDTH": 1536}),
        (WHEEL, "FILTER_SLOT", {"FILTER_SLOT_VALUE": 8}),
    ]
    for device, name, sent in orders:
        observatory.wire.new("Number", device, name, **sent)
        assert observatory.wire.state(device, name, "Alert").get("message")


def test_garbage_and_unknown_properties_leave_the_server_standing(observatory: Simulated) -> None:
    with Wire(observatory.port) as rude:
        rude.send(
            "<newNumberVector device='firstlight CCD' name='CCD_GAIN'><oneNumber name='NO'>1</oneNumber>"
        )
        rude.send("</newNumberVector><newSwitchVector device='nobody' name='x'></newSwitchVector><<<&&")
    observatory.wire.new("Number", CAMERA, "CCD_GAIN", GAIN=120)
    assert values(observatory.wire.state(CAMERA, "CCD_GAIN", "Ok")) == {"GAIN": "120"}


def test_an_exposure_counts_down_and_can_be_aborted(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.new("Number", CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=3600)
    left = [float(values(wire.state(CAMERA, "CCD_EXPOSURE", "Busy"))["CCD_EXPOSURE_VALUE"]) for _ in range(4)]
    assert 3600 >= left[0] > left[1] > left[2] > left[3] > 0
    wire.new("Switch", CAMERA, "CCD_ABORT_EXPOSURE", ABORT="On")
    wire.state(CAMERA, "CCD_ABORT_EXPOSURE", "Ok")
    wire.state(CAMERA, "CCD_EXPOSURE", "Idle")
    assert len(wire.shoot(1.0, "BIAS")) > 3_000_000
    assert len(observatory.truths()) == 1


def test_the_cooler_takes_its_time(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.new("Number", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=-10)
    first = float(values(wire.state(CAMERA, "CCD_TEMPERATURE", "Busy"))["CCD_TEMPERATURE_VALUE"])
    assert first > 5
    last = float(values(wire.state(CAMERA, "CCD_TEMPERATURE", "Ok"))["CCD_TEMPERATURE_VALUE"])
    assert last == pytest.approx(-10, abs=0.3 + 1e-9), "within RAMP_THRESHOLD"


def test_binning_and_window_shape_the_frame(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.new("Number", CAMERA, "CCD_FRAME", X=100, Y=50, WIDTH=400, HEIGHT=200)
    wire.state(CAMERA, "CCD_FRAME", "Ok")
    wire.new("Number", CAMERA, "CCD_BINNING", HOR_BIN=2, VER_BIN=2)
    wire.state(CAMERA, "CCD_BINNING", "Ok")
    data, header = read(wire.shoot(0.01, "BIAS"))
    assert data.shape == (100, 200)
    assert (header["XBINNING"], header["XPIXSZ"]) == (2, 7.52)


def test_a_light_shows_the_catalogue_where_the_truth_says(observatory: Simulated, tmp_path: Path) -> None:
    """Stars found in the frame lie where catalogue, header and truth put them, and are as bright as said.

    Cooled: at 12 °C hot pixels pull at the faint ones, differently with each moment's drift and seeing.
    """
    wire = observatory.wire
    point(wire)
    wire.new("Number", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=-10)
    wire.state(CAMERA, "CCD_TEMPERATURE", "Ok")
    wire.new("Number", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=2)
    wire.state(WHEEL, "FILTER_SLOT", "Ok")
    data, header = read(wire.shoot(60.0))
    truth = observatory.truths()[-1]
    assert (header["FILTER"], header["IMAGETYP"], header["EXPTIME"]) == ("R", "Light Frame", 60.0)
    assert header["DATE-OBS"] == truth["date_obs"]
    assert not {"GAIN", "OFFSET", "SET-TEMP"} & set(header)
    assert (header["RA"], header["DEC"]) == pytest.approx((truth["ra_deg"], truth["dec_deg"]), abs=1e-5)
    # Two decades of precession lie between JNow and J2000.
    assert 0.15 < abs(header["RA"] - JNOW["RA"] * 15) < 0.35

    stars = stars_in_cone(truth["ra_deg"], truth["dec_deg"], 0.6, seed=7, limit_mag=14.0)
    xi, eta = tangent_plane(stars.ra_deg, stars.dec_deg, truth["ra_deg"], truth["dec_deg"])
    pose = Pose(truth["dx_px"], truth["dy_px"], truth["rotation_deg"])
    x, y = to_pixels(xi, eta, pose, truth["scale_arcsec_px"], 1536, 1024)
    sky = sep.Background(data)
    found = sep.extract(data - sky.back(), 8.0, err=sky.globalrms)
    inside = (x > 30) & (x < 1505) & (y > 30) & (y < 993) & (stars.g_mag > 10.0)
    gaps = np.hypot(found["x"][None, :] - x[inside, None], found["y"][None, :] - y[inside, None])
    nearest = gaps.min(axis=1)
    assert inside.sum() > 30
    assert np.median(nearest) < 0.08
    assert np.mean(nearest < 0.3) > 0.95
    flux_adu, _, _ = sep.sum_circle(data - sky.back(), x[inside], y[inside], 8.0)
    injected_e = 60 * 0.32 * 10 ** (0.4 * (19.65 - stars.g_mag[inside]))
    injected_e *= 10 ** (0.4 * 0.45 * (stars.colour[inside] - 0.8))
    # Vignetting takes 6 % on average, and the circle misses a little of the wings, as the seeing goes.
    assert np.median(flux_adu * 0.9 / injected_e) == pytest.approx(0.93, abs=0.03)


def test_calibration_frames_hold_what_the_sensor_adds(observatory: Simulated) -> None:
    wire = observatory.wire
    bias, header = read(wire.shoot(0.001, "BIAS"))
    assert header["IMAGETYP"] == "Bias Frame"
    assert bias.mean() == pytest.approx(480, abs=1)
    dark, header = read(wire.shoot(60, "DARK"))
    assert (header["IMAGETYP"], header["DARKTIME"]) == ("Dark Frame", 60.0)
    # At 12 °C, 22 degrees above the reference: 2^(22/6) = 12.7 times 0.02 e⁻/s.
    assert np.median(dark) - 480 == pytest.approx(60 * 0.02 * 12.7 / 0.9, rel=0.1)
    flat, header = read(wire.shoot(2.5, "FLAT"))
    assert header["IMAGETYP"] == "Flat Frame"
    assert 18_000 < np.median(flat) < 22_000
    assert flat[:50, :50].mean() < 0.85 * flat[480:530, 740:790].mean()


@pytest.mark.parametrize(("hours_east", "side", "turn"), [(3.0, "WEST", 0.0), (-3.0, "EAST", 180.0)])
def test_across_the_meridian_the_field_is_upside_down(
    observatory: Simulated, hours_east: float, side: str, turn: float
) -> None:
    wire = observatory.wire
    sidereal_hours = sidereal_time_deg(11.2, observatory.utc()) / 15
    point(wire, {"RA": (sidereal_hours + hours_east) % 24, "DEC": 20.0})
    _, header = read(wire.shoot(1.0))
    assert header["PIERSIDE"] == side
    assert observatory.truths()[-1]["rotation_deg"] == pytest.approx(turn, abs=1.0)


def test_orders_to_a_turning_wheel_are_obeyed_in_turn(observatory: Simulated) -> None:
    wire = observatory.wire
    for slot in (4, 2):
        wire.new("Number", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=slot)
    reached = [values(wire.state(WHEEL, "FILTER_SLOT", "Ok"))["FILTER_SLOT_VALUE"] for _ in range(2)]
    assert reached == ["4", "2"]


def test_a_parked_mount_refuses_to_slew(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.new("Switch", MOUNT, "TELESCOPE_PARK", PARK="On")
    wire.state(MOUNT, "TELESCOPE_PARK", "Ok")
    wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", **JNOW)
    assert "parked" in wire.state(MOUNT, "EQUATORIAL_EOD_COORD", "Alert").get("message", "")


def test_without_tracking_the_sky_runs_by(observatory: Simulated) -> None:
    wire = observatory.wire
    point(wire)
    wire.new("Switch", MOUNT, "TELESCOPE_TRACK_STATE", TRACK_OFF="On")
    wire.state(MOUNT, "EQUATORIAL_EOD_COORD", "Idle")
    frames = []
    for _ in range(2):
        told = values(wire.state(MOUNT, "EQUATORIAL_EOD_COORD", "Idle"))  # once in a real second
        wire.shoot(1.0)
        frames.append((told, observatory.truths()[-1]))
    (told_a, a), (told_b, b) = frames
    ran_s = (datetime.fromisoformat(b["date_obs"]) - datetime.fromisoformat(a["date_obs"])).total_seconds()
    # The truth is of J2000, the parallel of date: a few thousandths between them.
    assert (b["ra_deg"] - a["ra_deg"]) * 240 == pytest.approx(ran_s * 1.0027, rel=0.01)
    assert float(told_b["RA"]) > float(told_a["RA"])
    assert told_b["DEC"] == told_a["DEC"]


@pytest.mark.fitsverify
def test_every_kind_of_frame_is_a_clean_fits_file(observatory: Simulated, tmp_path: Path) -> None:
    observatory.wire.new("Text", CAMERA, "FITS_HEADER", FITS_OBJECT="Ð’ega\x7f'&amp;" + "x" * 90)
    observatory.wire.state(CAMERA, "FITS_HEADER", "Ok")
    point(observatory.wire)
    for kind in ("LIGHT", "BIAS", "DARK", "FLAT"):
        path = tmp_path / f"{kind}.fits"
        path.write_bytes(observatory.wire.shoot(1.0, kind))
        told = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True, check=False)
        assert "verification OK" in told.stdout, told.stdout


@pytest.mark.slow
@pytest.mark.astrometry
def test_a_light_is_solved_blindly_where_its_header_says(observatory: Simulated, tmp_path: Path) -> None:
    point(observatory.wire, {"RA": 20.01, "DEC": 22.8})
    (tmp_path / "light.fits").write_bytes(observatory.wire.shoot(60.0))
    truth = observatory.truths()[-1]
    scale_hint = ["--scale-units", "arcsecperpix", "--scale-low", "1", "--scale-high", "4"]
    subprocess.run(
        ["solve-field", "--no-plots", "--cpulimit", "60", "--crpix-center", *scale_hint, "light.fits"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    wcs = fits.getheader(tmp_path / "light.wcs")
    scale = 3600 * np.sqrt(abs(wcs["CD1_1"] * wcs["CD2_2"] - wcs["CD1_2"] * wcs["CD2_1"]))
    assert scale == pytest.approx(truth["scale_arcsec_px"], rel=0.002)
    # The sensor's centre sees the pointing's direction less the drift.
    xi, eta = tangent_plane(
        np.array([wcs["CRVAL1"]]), np.array([wcs["CRVAL2"]]), truth["ra_deg"], truth["dec_deg"]
    )
    turn = np.radians(truth["rotation_deg"])
    u = -truth["dx_px"] * np.cos(turn) - truth["dy_px"] * np.sin(turn)
    v = truth["dx_px"] * np.sin(turn) - truth["dy_px"] * np.cos(turn)
    assert xi[0] == pytest.approx(-u * scale, abs=2.0)
    assert eta[0] == pytest.approx(-v * scale, abs=2.0)
