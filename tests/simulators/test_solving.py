"""The simulated sky is the solver's own: astrometry.net finds where an image was taken."""

from __future__ import annotations

import io
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from simulators.camera import Camera, Shot
from simulators.coordinates import icrs_to_jnow, separation_deg
from simulators.fitsfile import Snooped, fits_bytes
from simulators.heavens.atmosphere import Conditions
from simulators.sensor import Readout

UTC_START = datetime(2026, 2, 14, 21, 0, tzinfo=UTC)

FIELDS = [
    ("Praesepe", 130.1, 19.67, 0.0),
    ("M 42 with its nebula", 83.82, -5.4, 37.0),
    ("M 101, few stars, flipped", 210.8, 54.35, 180.0),
    ("Double cluster, Milky Way", 35.1, 57.13, 271.5),
]


def image(
    ra_deg: float, dec_deg: float, angle_deg: float, conditions: Conditions | None
) -> tuple[bytes, float]:
    """A file as a client gets it, and the field's true turn."""
    camera = Camera(3, conditions=conditions)
    shot = Shot(
        number=1,
        kind="LIGHT",
        exposure_s=20.0,
        started=UTC_START,
        started_elapsed_s=0.0,
        temperature_c=-10.0,
        readout=Readout(gain=100, offset=30, x=0, y=0, width=1536, height=1024),
        filter_name="L",
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        camera_angle_deg=angle_deg,
    )
    frame, truth = camera.expose(shot)
    content = fits_bytes(
        frame,
        shot,
        camera="camera",
        mount="mount",
        observer="",
        object_name="",
        pixel_um=camera.profile.pixel_um,
        telescope=camera.telescope,
        snooped=Snooped(jnow_deg=icrs_to_jnow(ra_deg, dec_deg, UTC_START)),
    )
    return content, truth.rotation_deg


def solve(content: bytes, folder: Path) -> WCS:
    """Blindly but for the scale's order of magnitude."""
    file = folder / "image.fits"
    file.write_bytes(content)
    scale = ["--scale-units", "arcsecperpix", "--scale-low", "1", "--scale-high", "5"]
    options = ["--no-plots", "--overwrite", "--crpix-center", "--temp-dir", str(folder), "--cpulimit", "60"]
    told = subprocess.run(
        ["solve-field", *scale, *options, str(file)], capture_output=True, text=True, timeout=180, check=True
    )
    assert (folder / "image.solved").exists(), told.stdout[-2000:]
    header = fits.getheader(folder / "image.wcs")
    header["NAXIS"] = 2  # the solution comes as a header without an image, which astropy warns of
    return WCS(header)


@pytest.mark.slow
@pytest.mark.astrometry
@pytest.mark.parametrize(("ra", "dec", "angle"), [field[1:] for field in FIELDS], ids=[f[0] for f in FIELDS])
@pytest.mark.parametrize("conditions", [None, Conditions(cloud_cover=0.0)], ids=["dark", "air and moon"])
def test_an_image_solves_to_its_header_and_its_turn(
    ra: float, dec: float, angle: float, conditions: Conditions | None, tmp_path: Path
) -> None:
    content, turn_deg = image(ra, dec, angle, conditions)
    header = fits.open(io.BytesIO(content))[0].header
    wcs = solve(content, tmp_path)
    middle = np.array([(1536 - 1) / 2, (1024 - 1) / 2])
    found_ra, found_dec = (float(v) for v in wcs.all_pix2world(*middle, 0))
    assert separation_deg(found_ra, found_dec, header["RA"], header["DEC"]) * 3600 < 2.0
    north = np.array([float(v) for v in wcs.all_world2pix(found_ra, found_dec + 0.05, 0)]) - middle
    solved_turn_deg = np.degrees(np.arctan2(north[0], -north[1]))
    assert abs((solved_turn_deg - turn_deg + 180.0) % 360.0 - 180.0) < 0.05
    assert abs((turn_deg - angle + 180.0) % 360.0 - 180.0) < 0.05
    scale = 3600 * 0.05 / np.hypot(*north)
    assert scale == pytest.approx(header["SCALE"], rel=0.001)
