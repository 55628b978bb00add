"""A recorded night over the wire: the same bytes, in order, no sooner than they came."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from simulators.replay import RecordingError, read_recording
from tests.conftest import REALDATA
from tests.simulators.conftest import Simulated
from tests.simulators.wire import CAMERA, values

SHAPE = (6, 8)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Two lights 10 minutes apart, one of them packed, and a dark; names go against the times."""
    folder = tmp_path / "tape"
    folder.mkdir()
    for number, (name, kind) in enumerate(
        [("z.fits", "Light Frame"), ("y.fit", "Dark"), ("x.FITS.GZ", "LIGHT")]
    ):
        hdu = fits.PrimaryHDU(np.full(SHAPE, number, np.uint16))
        hdu.header["IMAGETYP"] = kind
        hdu.header["EXPTIME"] = 30.0
        hdu.header["XPIXSZ"] = 9.0
        start = datetime(2026, 1, 2, 3, 4, 5) + number * timedelta(minutes=5)  # noqa: DTZ001  # as in FITS
        hdu.header["DATE-OBS"] = start.isoformat()
        hdu.writeto(folder / "new.fits")
        content = (folder / "new.fits").read_bytes()
        (folder / "new.fits").unlink()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    (folder / "notes.txt").write_text("clouds later")
    return folder


def test_frames_come_in_order_of_time_and_kind(tape: Path) -> None:
    frames = read_recording(tape)
    assert [(f.path.name, f.kind) for f in frames] == [
        ("z.fits", "LIGHT"),
        ("y.fit", "DARK"),
        ("x.FITS.GZ", "LIGHT"),
    ]
    assert {(f.width, f.height, f.pixel_um, f.exposure_s) for f in frames} == {(8, 6, 9.0, 30.0)}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.fits", b"SIMPLE but not", "a.fits"),
        ("a.fits.gz", b"not packed", "a.fits.gz"),
        ("a.txt", b"", "nothing to play"),
    ],
)
def test_what_cannot_be_played_is_said(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        read_recording(tmp_path)


def test_a_missing_folder_and_frames_of_two_sizes_are_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        read_recording(tmp_path / "nowhere")
    for size in (4, 5):
        fits.PrimaryHDU(np.zeros((size, size), np.uint16)).writeto(tmp_path / f"{size}.fits")
    with pytest.raises(RecordingError, match="4 × 4 and 5 × 5"):
        read_recording(tmp_path)


@pytest.mark.parametrize("observatory", [("--replay", "{tmp_path}/tape")], indirect=True)
def test_a_tape_is_played_with_its_cadence(tape: Path, observatory: Simulated) -> None:
    wire = observatory.wire
    packed = (tape / "x.FITS.GZ").read_bytes()
    lights = [wire.shoot(1.0), wire.shoot(1.0)]
    ended_s = [truth["elapsed_s"] for truth in observatory.truths()]
    assert lights == [(tape / "z.fits").read_bytes(), gzip.decompress(packed)]
    assert [truth["file"] for truth in observatory.truths()] == ["z.fits", "x.FITS.GZ"]
    assert ended_s[1] - ended_s[0] == pytest.approx(600.0, abs=60.0)
    assert wire.shoot(1.0, "DARK") == (tape / "y.fit").read_bytes()
    wire.new("Number", CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=1)
    over = wire.state(CAMERA, "CCD_EXPOSURE", "Alert")
    assert "no more frames of kind DARK" in over.get("message", "")
    info = values(wire.definitions[CAMERA, "CCD_INFO"])
    assert (float(info["CCD_MAX_X"]), float(info["CCD_MAX_Y"]), float(info["CCD_PIXEL_SIZE"])) == (8, 6, 9)


@pytest.mark.realdata
@pytest.mark.parametrize("observatory", [("--replay", str(REALDATA / "mono_hatp32"))], indirect=True)
@pytest.mark.slow
def test_a_real_night_is_shot_again(observatory: Simulated, realdata: Path) -> None:
    files = sorted((realdata / "mono_hatp32").glob("*.gz"))[:3]
    for path in files:
        assert observatory.wire.shoot(60.0) == gzip.decompress(path.read_bytes())
