"""Together with Debian's INDI: its server runs our drivers, its tools read them, its camera our stars."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from simulators.coordinates import jnow_to_icrs, separation_deg
from tests.simulators.conftest import Simulated
from tests.simulators.wire import CAMERA, FOCUSER, MOUNT, PANEL, WHEEL, Wire, values

pytestmark = pytest.mark.indi_bin
SCRIPTS = Path(sys.executable).parent


@contextlib.contextmanager
def indiserver(port: int, folder: Path, *drivers: str) -> Iterator[Wire]:
    """The stock server with drivers, and a client of it."""
    env = os.environ | {"PATH": f"{SCRIPTS}:{os.environ['PATH']}", "FIRSTLIGHT_SPEED": "100"}
    command = ["indiserver", "-p", str(port), "-u", str(folder / "socket"), *drivers]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as server,
    ):
        try:
            with Wire(port) as wire:
                yield wire
        finally:
            server.terminate()
            server.wait(timeout=10)


def test_indi_getprop_reads_what_a_client_sees(observatory: Simulated) -> None:
    told = subprocess.run(
        ["indi_getprop", "-p", str(observatory.port), "-t", "2", f"{WHEEL}.FILTER_NAME.*"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    ).stdout
    assert f"{WHEEL}.FILTER_NAME.FILTER_SLOT_NAME_5=Ha" in told


def test_no_order_of_indi_setprop_is_lost(observatory: Simulated) -> None:
    """The tool hangs up with answers unread: a reset follows each of its orders."""
    with Wire(observatory.port) as wire:
        wire.connect(WHEEL)
        for slot in (4, 2, 7, 3, 5, 1) * 4:
            order = f"{WHEEL}.FILTER_SLOT.FILTER_SLOT_VALUE={slot}"
            subprocess.run(["indi_setprop", "-p", str(observatory.port), order], timeout=20, check=True)
            assert values(wire.state(WHEEL, "FILTER_SLOT", "Ok")) == {"FILTER_SLOT_VALUE": str(slot)}


def test_our_drivers_run_under_the_stock_server(free_port: int, tmp_path: Path) -> None:
    """All five: BLOBs arrive whole, and the camera hears the others."""
    kinds = ("ccd", "wheel", "telescope", "focus", "panel")
    with indiserver(free_port, tmp_path, *(f"indi_firstlight_{kind}" for kind in kinds)) as wire:
        wire.send("<getProperties version='1.7'/>")
        for device in (CAMERA, WHEEL, MOUNT, FOCUSER, PANEL):
            wire.connect(device)
        wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", RA=14.0, DEC=54.5)
        wire.state(MOUNT, "EQUATORIAL_EOD_COORD", "Ok")
        wire.new("Number", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=4)
        wire.state(WHEEL, "FILTER_SLOT", "Ok")
        for _ in range(3):
            with fits.open(io.BytesIO(wire.shoot(10.0))) as hdus:
                assert hdus[0].data.shape == (1024, 1536)
                assert hdus[0].header["FILTER"] == "B"
                assert hdus[0].header["DEC"] == pytest.approx(54.6, abs=0.2)
                assert np.median(hdus[0].data) > 485
        wire.new("Switch", PANEL, "CAP_PARK", PARK="On")
        wire.state(PANEL, "CAP_PARK", "Ok")
        with fits.open(io.BytesIO(wire.shoot(0.01))) as hdus:
            assert np.median(hdus[0].data) < 485
        wire.new("Number", FOCUSER, "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=24_000)
        wire.state(FOCUSER, "ABS_FOCUS_POSITION", "Ok")


def test_the_stock_camera_sees_our_stars_and_means_our_j2000(free_port: int, tmp_path: Path) -> None:
    camera, mount = "CCD Simulator", "Telescope Simulator"
    with indiserver(free_port, tmp_path, "indi_simulator_ccd", "indi_simulator_telescope") as wire:
        wire.connect(camera, mount)
        wire.new("Switch", mount, "TELESCOPE_TRACK_STATE", TRACK_ON="On")
        wire.state(mount, "TELESCOPE_TRACK_STATE", "Busy")
        wire.new("Switch", mount, "ON_COORD_SET", SYNC="On")
        wire.state(mount, "ON_COORD_SET", "Ok")
        wire.new("Number", mount, "EQUATORIAL_EOD_COORD", RA=20.01, DEC=22.8)
        wire.wait(lambda e: e.get("name") == "EQUATORIAL_EOD_COORD" and float(values(e)["RA"]) > 20)
        wire.new("Number", camera, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=1)
        blob = wire.wait(lambda e: e.tag == "setBLOBVector")[0]
    with fits.open(io.BytesIO(base64.b64decode(blob.text or ""))) as hdus:
        data, header = hdus[0].data, hdus[0].header
    # Blind, it shows 0 to 9 ADU.
    assert np.count_nonzero(data > 100) > 100
    place = float(header["RA"]), float(header["DEC"])
    told = separation_deg(*place, *jnow_to_icrs(20.01 * 15, 22.8, datetime.now(UTC)))
    # Precession since 2000 is 1340″; libnova's nutation and aberration are 7″ from the IAU's here.
    assert told * 3600 < 15


def test_simulate_stock_serves_and_leaves_nothing_running(free_port: int) -> None:
    """With a sky in the stock camera, until Ctrl-C; afterwards the port is free."""
    command = [str(SCRIPTS / "firstlight"), "simulate", "--stock", "--port", str(free_port)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            with Wire(free_port) as wire:
                wire.connect("CCD Simulator", "Telescope Simulator", "Filter Simulator", "Focuser Simulator")
                wire.new("Number", "CCD Simulator", "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=1)
                blob = wire.wait(lambda e: e.tag == "setBLOBVector")[0]
            with fits.open(io.BytesIO(base64.b64decode(blob.text or ""))) as hdus:
                # Blind, it shows 0 to 9 ADU.
                assert np.count_nonzero(hdus[0].data > 50) > 20
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.terminate()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", free_port)) != 0


def test_without_indi_bin_stock_says_what_to_install(free_port: int, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "simulators", "--stock", "--port", str(free_port)],
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 1
    assert "apt install indi-bin" in ended.stderr
