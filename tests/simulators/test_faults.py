"""Each fault as a client sees it: on a raw socket, without an INDI library."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import mad_std
from scipy.ndimage import median_filter

from simulators.faults.kinds import KINDS
from tests.simulators.wire import CAMERA, FOCUSER, MOUNT, WHEEL, Wire, values

SPEED = 100
SIDE = 512


@dataclass
class Bench:
    """One server for all these tests; its file of faults is written and armed anew for each."""

    port: int
    pid: int
    file: Path
    truth: Path

    def arm(self, wire: Wire, name: str, trigger: str = "at_exposure = 1", **parameters: object) -> None:
        """Arm one fault and nothing else."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in parameters.items()]
        self.file.write_text("\n".join(["[[fault]]", f'name = "{name}"', trigger, *lines]))
        self.truth.write_text("")
        os.kill(self.pid, signal.SIGHUP)
        said = wire.wait(lambda e: e.tag == "message" and "faults" in e.get("message", "")).get("message")
        assert said == f"faults armed: {name}"

    def told(self) -> list[dict[str, Any]]:
        """The faults in the sidecar since the last arming."""
        return [line for line in self._lines() if "fault" in line]

    def frames(self) -> list[dict[str, Any]]:
        """The frames in the sidecar since the last arming."""
        return [line for line in self._lines() if "fault" not in line]

    def _lines(self) -> list[dict[str, Any]]:
        *lines, _torn = self.truth.read_text().split("\n")  # the last may be being written
        return [json.loads(line) for line in lines]

    def happened(self, name: str) -> dict[str, Any]:
        """Wait until the sidecar tells the fault."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if found := [line for line in self.told() if line["fault"] == name]:
                return found[0]
            time.sleep(0.01)  # another process's clock cannot be injected
        raise AssertionError(f"{name} has not happened; told: {self.told()}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("faults")
    file, truth = folder / "faults.toml", folder / "truth.jsonl"
    file.write_text("")
    command = [sys.executable, "-m", "simulators", "--port", "0", "--seed", "7", "--speed", str(SPEED)]
    with subprocess.Popen(
        [*command, "--truth", str(truth), "--faults", str(file), "--follow-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            port = json.loads(process.stdout.readline())["port"]
            yield Bench(port, process.pid, file, truth)
            process.stdin.close()
            assert process.wait(timeout=60) == 0
            assert "Traceback" not in process.stderr.read().decode()
        finally:
            process.kill()


@pytest.fixture
def bench(server: Bench) -> Bench:
    return server


@pytest.fixture
def wire(server: Bench) -> Iterator[Wire]:
    """A client with all devices connected, the camera set to a small frame."""
    with Wire(server.port) as wire:
        wire.connect(CAMERA, WHEEL, MOUNT)
        wire.new("Number", CAMERA, "CCD_FRAME", X=500, Y=250, WIDTH=SIDE, HEIGHT=SIDE)
        wire.state(CAMERA, "CCD_FRAME", "Ok")
        yield wire


def order(wire: Wire, exposure_s: float = 0.5, kind: str = "BIAS") -> None:
    wire.new("Switch", CAMERA, "CCD_FRAME_TYPE", **{f"FRAME_{kind}": "On"})
    wire.state(CAMERA, "CCD_FRAME_TYPE", "Ok")
    wire.new("Number", CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=exposure_s)


def is_blob(element: ET.Element) -> bool:
    return element.tag == "setBLOBVector" and len(element) > 0


def shoot(wire: Wire, exposure_s: float = 0.5, kind: str = "BIAS") -> list[ET.Element]:
    """Everything that is said from the order to the end of an exposure."""
    heard: list[ET.Element] = []
    order(wire, exposure_s, kind)

    def ended(element: ET.Element) -> bool:
        heard.append(element)
        return element.get("name") == "CCD_EXPOSURE" and element.get("state") in ("Ok", "Alert", "Idle")

    wire.wait(ended)
    return heard


def content(blob: ET.Element) -> tuple[int, bytes]:
    """The size that a BLOB declares, and its bytes."""
    return int(blob[0].get("size", "0")), base64.b64decode(blob[0].text or "")


def image(blob: ET.Element) -> tuple[Any, Any]:
    with fits.open(io.BytesIO(content(blob)[1])) as hdus:
        return hdus[0].data.astype(float), hdus[0].header.copy()


def only_blob(heard: list[ET.Element]) -> ET.Element:
    (blob,) = filter(is_blob, heard)
    return blob


def heard_within(wire: Wire, real_s: float) -> list[ET.Element]:
    """What comes in so much time: that something does not come can only be waited for."""
    heard: list[ET.Element] = []
    end = time.monotonic() + real_s

    def late(element: ET.Element) -> bool:
        heard.append(element)
        return time.monotonic() > end

    before, wire._deadline = wire._deadline, real_s
    with suppress(TimeoutError):
        wire.wait(late)
    wire._deadline = before
    return heard


def answer_s(wire: Wire) -> float:
    """Seconds until an order is answered."""
    began = time.monotonic()
    wire.new("Number", CAMERA, "CCD_OFFSET", OFFSET=31)
    wire.state(CAMERA, "CCD_OFFSET", "Ok")
    return time.monotonic() - began


def quick_answer_s(wire: Wire) -> float:
    """The quickest of some answers: a bad line delays them all, a busy machine one or another."""
    return min(answer_s(wire) for _ in range(8))


def temperature(wire: Wire) -> float:
    """What the driver defines it as, when asked."""
    wire.send(f"<getProperties version='1.7' device='{CAMERA}' name='CCD_TEMPERATURE'/>")
    asked = wire.wait(lambda e: e.tag == "defNumberVector" and e.get("name") == "CCD_TEMPERATURE")
    return float(values(asked)["CCD_TEMPERATURE_VALUE"])


# Exposures


def test_exposure_never_ends(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "exposure_never_ends")
    order(wire)
    wire.state(CAMERA, "CCD_EXPOSURE", "Busy")
    bench.happened("exposure_never_ends")
    states = {e.get("state") for e in heard_within(wire, 0.6) if e.get("name") == "CCD_EXPOSURE"}
    assert states <= {"Busy"}
    wire.new("Switch", CAMERA, "CCD_ABORT_EXPOSURE", ABORT="On")
    wire.state(CAMERA, "CCD_EXPOSURE", "Idle")
    assert only_blob(shoot(wire)), "it happens once"


def test_exposure_alert(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "exposure_alert")
    heard = shoot(wire)
    assert (heard[-1].get("state"), bool(heard[-1].get("message"))) == ("Alert", True)
    assert not any(map(is_blob, heard))
    bench.happened("exposure_alert")


def test_blob_lost(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_lost", "at_exposure = 2")
    only_blob(shoot(wire))
    heard = shoot(wire)
    assert heard[-1].get("state") == "Ok"
    assert not any(map(is_blob, heard))
    assert bench.happened("blob_lost")["exposure"] == 2


def test_blob_truncated(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_truncated", keep_fraction=0.25)
    declared, came = content(only_blob(shoot(wire)))
    assert len(came) == pytest.approx(declared / 4, abs=1)
    assert bench.happened("blob_truncated")["parameters"] == {"keep_fraction": 0.25}


def test_blob_wrong_size(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_wrong_size", declared_factor=0.5)
    blob = only_blob(shoot(wire))
    declared, came = content(blob)
    assert declared == len(came) // 2
    assert image(blob)[0].shape == (SIDE, SIDE)
    bench.happened("blob_wrong_size")


def test_blob_not_fits(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_not_fits")
    declared, came = content(only_blob(shoot(wire)))
    assert declared == len(came) > SIDE * SIDE * 2
    assert not came.startswith(b"SIMPLE")
    bench.happened("blob_not_fits")


def test_blob_wrong_binning(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_wrong_binning", binning=2)
    data, header = image(only_blob(shoot(wire)))
    assert data.shape == (SIDE // 2, SIDE // 2)
    assert (header["XBINNING"], header["YBINNING"]) == (2, 2)
    bench.happened("blob_wrong_binning")


def test_blob_wrong_frame(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_wrong_frame", keep_fraction=0.75)
    data, header = image(only_blob(shoot(wire)))
    assert data.shape == (SIDE * 3 // 4, SIDE)
    assert header["XBINNING"] == 1
    bench.happened("blob_wrong_frame")


def test_light_leak(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "light_leak", e_per_s=50.0)
    leaking, _ = image(only_blob(shoot(wire, 10.0, "DARK")))
    dark, _ = image(only_blob(shoot(wire, 10.0, "DARK")))
    light = np.median(leaking - dark, axis=1)
    assert light.min() > 0
    assert light.max() > 1.1 * light.min(), "brightest where it comes in"
    bench.happened("light_leak")


def test_blob_duplicate(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_duplicate")
    one, two = filter(is_blob, shoot(wire))
    assert content(one) == content(two)
    bench.happened("blob_duplicate")


def test_blob_late(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_late", delay_real_s=0.3)
    assert not any(map(is_blob, shoot(wire))), "it is not there when the exposure is said to be Ok"
    assert wire.wait(is_blob)
    bench.happened("blob_late")


def test_blob_after_abort(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_after_abort", "at_opportunity = 1", delay_real_s=0.1)
    order(wire, 3600.0)
    wire.state(CAMERA, "CCD_EXPOSURE", "Busy")
    wire.new("Switch", CAMERA, "CCD_ABORT_EXPOSURE", ABORT="On")
    wire.state(CAMERA, "CCD_EXPOSURE", "Idle")
    assert wire.wait(is_blob)
    bench.happened("blob_after_abort")


# Cooler


def test_cooler_stalls(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "cooler_stalls", "at_s = 20", lasts_s=1e6)
    wire.new("Number", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=-25)
    wire.state(CAMERA, "CCD_TEMPERATURE", "Busy")
    bench.happened("cooler_stalls")
    stuck = temperature(wire)
    heard_within(wire, 0.3)
    assert temperature(wire) == stuck > -24, "half a minute of the simulator's time, and no colder"
    bench.arm(wire, "cooler_stalls", "at_s = 1e6")
    wire.wait(
        lambda e: (
            e.tag == "setNumberVector"
            and e.get("name") == "CCD_TEMPERATURE"
            and float(values(e)["CCD_TEMPERATURE_VALUE"]) < stuck - 0.5
        )
    )


def test_cooler_drifts(bench: Bench, wire: Wire) -> None:
    before = round(temperature(wire))
    wire.new("Number", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=before)
    wire.state(CAMERA, "CCD_TEMPERATURE", "Ok")
    bench.arm(wire, "cooler_drifts", "at_s = 1", rate_c_per_min=-4.0, lasts_s=600.0)
    bench.happened("cooler_drifts")
    coldest, last = float(before), float(before)
    while last <= coldest or coldest > before - 10:
        said = wire.wait(lambda e: e.tag.startswith("set") and e.get("name") == "CCD_TEMPERATURE")
        last = float(values(said)["CCD_TEMPERATURE_VALUE"])
        coldest = min(coldest, last)
    assert before - 22 <= coldest <= before - 10, "it goes off for five minutes and then comes back"


def test_temperature_unreadable(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "temperature_unreadable", "at_s = 1", lasts_s=1e6)
    wire.wait(
        lambda e: (
            e.tag.startswith("set")
            and e.get("name") == "CCD_TEMPERATURE"
            and values(e)["CCD_TEMPERATURE_VALUE"] == "nan"
        )
    )
    bench.happened("temperature_unreadable")
    assert math.isnan(temperature(wire))
    bench.arm(wire, "temperature_unreadable", "at_s = 1e6")
    assert not math.isnan(temperature(wire))


# Filter wheel and mount


@pytest.mark.parametrize("state", ["Busy", "Alert"])
def test_wheel_jams(bench: Bench, wire: Wire, state: str) -> None:
    bench.arm(wire, "wheel_jams", "at_opportunity = 1", state=state)
    wire.new("Number", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=3)
    wire.state(WHEEL, "FILTER_SLOT", state)
    assert not [e for e in heard_within(wire, 0.2) if e.get("name") == "FILTER_SLOT"]
    bench.happened("wheel_jams")
    wire.new("Number", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=3)
    wire.state(WHEEL, "FILTER_SLOT", "Ok")


def test_wheel_wrong_slot(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "wheel_wrong_slot", "at_opportunity = 1")
    wire.new("Number", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=5)
    assert values(wire.state(WHEEL, "FILTER_SLOT", "Ok")) == {"FILTER_SLOT_VALUE": "6"}
    bench.happened("wheel_wrong_slot")


def slew(wire: Wire, state: str = "Ok", **where: float) -> dict[str, float]:
    wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", **where)
    wire.state(MOUNT, "EQUATORIAL_EOD_COORD", "Busy")
    return {name: float(v) for name, v in values(wire.state(MOUNT, "EQUATORIAL_EOD_COORD", state)).items()}


def test_slew_never_settles(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "slew_never_settles", "at_opportunity = 1")
    slew(wire, "Busy", RA=14.0, DEC=54.5)
    bench.happened("slew_never_settles")
    heard = [e.get("state") for e in heard_within(wire, 0.3) if e.get("name") == "EQUATORIAL_EOD_COORD"]
    assert set(heard) <= {"Busy"}
    wire.new("Switch", MOUNT, "TELESCOPE_ABORT_MOTION", ABORT="On")
    wire.state(MOUNT, "TELESCOPE_ABORT_MOTION", "Ok")


def test_slew_stops_short(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "slew_stops_short", "at_opportunity = 1", short_deg=3.0)
    assert slew(wire, RA=14.0, DEC=54.5)["DEC"] == pytest.approx(51.5, abs=0.02)
    bench.happened("slew_stops_short")


def shift_px(one: Any, two: Any) -> tuple[float, float]:
    """How far the second picture has moved in x and y; the median takes out the sensor's own pattern."""
    smooth = [median_filter(each, size=3) for each in (one, two)]
    stars = [np.clip(each - np.median(each) - 8 * mad_std(each), 0, 500) for each in smooth]
    a, b = map(np.fft.fft2, stars)
    peak = np.unravel_index(np.argmax(np.abs(np.fft.ifft2(np.conj(a) * b))), one.shape)
    dy, dx = ((i + n // 2) % n - n // 2 for i, n in zip(peak, one.shape, strict=True))
    return float(dx), float(dy)


def test_mount_slips(bench: Bench, wire: Wire) -> None:
    # All of a cold sensor: the shift is told by hundreds of stars and by no hot pixel.
    wire.new("Number", CAMERA, "CCD_FRAME", X=0, Y=0, WIDTH=1536, HEIGHT=1024)
    wire.state(CAMERA, "CCD_FRAME", "Ok")
    wire.new("Number", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=-10)
    wire.state(CAMERA, "CCD_TEMPERATURE", "Ok")
    slew(wire, RA=20.0, DEC=40.0)
    bench.arm(wire, "mount_slips", dec_arcsec=60.0, ra_arcsec=80.0)
    before, header = image(only_blob(shoot(wire, 30.0, "LIGHT")))
    bench.happened("mount_slips")
    after, header_after = image(only_blob(shoot(wire, 30.0, "LIGHT")))
    # The night moves the field besides, the more the longer the machine took between the two.
    dx, dy = shift_px(before, after)
    one, two = bench.frames()
    moved = np.hypot(dx - (two["dx_px"] - one["dx_px"]), dy - (two["dy_px"] - one["dy_px"]))
    assert moved == pytest.approx(100 / header["SCALE"], abs=1.5)
    assert header_after["DEC"] == pytest.approx(header["DEC"], abs=1e-3), "the mount does not know"


def test_mount_stops_tracking(bench: Bench, wire: Wire) -> None:
    slew(wire, RA=14.0, DEC=54.5)
    bench.arm(wire, "mount_stops_tracking")
    heard = shoot(wire, 20.0)
    bench.happened("mount_stops_tracking")
    told = [e for e in heard if e.tag.startswith("set") and e.get("name") == "TELESCOPE_TRACK_STATE"]
    assert values(told[0])["TRACK_OFF"] == "On"


def test_mount_stops_tracking_silently(bench: Bench, wire: Wire) -> None:
    slew(wire, RA=14.0, DEC=54.5)
    bench.arm(wire, "mount_stops_tracking", silent=True)
    _, header = image(only_blob(shoot(wire, 10.0, "LIGHT")))
    bench.happened("mount_stops_tracking")
    _, later = image(only_blob(shoot(wire, 10.0, "LIGHT")))
    assert later["RA"] == pytest.approx(header["RA"], abs=1e-3), "the mount does not know"
    before, after = bench.frames()
    began, ended = (datetime.fromisoformat(each["date_obs"]) for each in (before, after))
    stood_s = (after["ra_deg"] - before["ra_deg"]) * 3600 / 15.04
    assert 0 < (ended - began).total_seconds() - stood_s < 10, "from within the first exposure on"


# Focuser


def focus(wire: Wire, steps: float, state: str) -> tuple[float, float, ET.Element]:
    """Order a position; where it says it is in the end, and where the drawtube is."""
    wire.new("Number", FOCUSER, "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=steps)
    drawtube = 0.0

    def ended(element: ET.Element) -> bool:
        nonlocal drawtube
        if not element.tag.startswith("set"):
            return False
        if element.get("name") == "FOCUSER_DRAWTUBE":
            drawtube = float(values(element)["STEPS"])
        return element.get("name") == "ABS_FOCUS_POSITION" and element.get("state") == state

    last = wire.wait(ended)
    return float(values(last)["FOCUS_ABSOLUTE_POSITION"]), drawtube, last


def test_focuser_hits_limit(bench: Bench, wire: Wire) -> None:
    wire.connect(FOCUSER)
    said, drawtube, _ = focus(wire, 9000, "Ok")
    assert said == drawtube == 9000
    bench.arm(wire, "focuser_hits_limit", "at_opportunity = 1")
    said, drawtube, last = focus(wire, 10_000, "Alert")
    assert said == drawtube == 9500
    assert "limit" in last.get("message", "")
    bench.happened("focuser_hits_limit")


def test_focuser_sticks(bench: Bench, wire: Wire) -> None:
    wire.connect(FOCUSER)
    focus(wire, 9000, "Ok")
    bench.arm(wire, "focuser_sticks", "at_opportunity = 1")
    assert focus(wire, 9500, "Ok")[:2] == (9500, 9000)
    bench.happened("focuser_sticks")


# Drivers, server, line


def test_device_disconnect(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "device_disconnect", device=WHEEL)
    order(wire)
    wire.wait(lambda e: e.tag == "delProperty" and e.get("name") == "FILTER_SLOT")
    assert values(wire.state(WHEEL, "CONNECTION", "Alert")) == {"CONNECT": "Off", "DISCONNECT": "On"}
    bench.happened("device_disconnect")
    wire.connect(WHEEL)


def test_driver_crash(bench: Bench, wire: Wire) -> None:
    wire.new("Number", CAMERA, "CCD_GAIN", GAIN=200)
    wire.state(CAMERA, "CCD_GAIN", "Ok")
    bench.arm(wire, "driver_crash", back_after_real_s=0.2)
    order(wire, 30.0)
    gone = wire.wait(lambda e: e.tag == "delProperty")
    assert (gone.get("device"), gone.get("name")) == (CAMERA, None)
    back = wire.wait(lambda e: e.tag == "defSwitchVector" and e.get("device") == CAMERA)
    assert values(back) == {"CONNECT": "Off", "DISCONNECT": "On"}
    bench.happened("driver_crash")
    wire.new("Switch", CAMERA, "CONNECTION", CONNECT="On")
    gain = wire.wait(lambda e: e.tag == "defNumberVector" and e.get("name") == "CCD_GAIN")
    assert values(gain) == {"GAIN": "100"}, "a driver begins with its defaults"
    only_blob(shoot(wire))


def test_property_redefined(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "property_redefined", property="CCD_TEMPERATURE")
    order(wire)
    wire.wait(lambda e: e.tag == "delProperty" and e.get("name") == "CCD_TEMPERATURE")
    wire.wait(lambda e: e.tag == "defNumberVector" and e.get("name") == "CCD_TEMPERATURE")
    bench.happened("property_redefined")


def test_message_flood(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "message_flood", messages=1000)
    order(wire)
    for number in range(1000):
        said = wire.wait(lambda e: e.tag == "message" and "flood" in e.get("message", ""))
        assert (said.get("message"), said.get("device")) == (f"flood {number}", CAMERA)
    bench.happened("message_flood")


def test_server_gone(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "server_gone", back_after_real_s=0.3)
    order(wire)
    with pytest.raises((EOFError, ConnectionError)):
        wire.wait(lambda _: False)
    bench.happened("server_gone")
    with Wire(bench.port) as again:
        again.send("<getProperties version='1.7'/>")
        connection = again.wait(lambda e: e.tag == "defSwitchVector" and e.get("device") == CAMERA)
        assert values(connection)["DISCONNECT"] == "On"
        again.connect(CAMERA)
        only_blob(shoot(again))


def test_connection_cut(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "connection_cut", keep_fraction=0.5)
    with Wire(bench.port) as other:
        other.send("<getProperties version='1.7'/>")
        order(wire)
        with pytest.raises((EOFError, ConnectionError)):
            wire.wait(lambda _: False)
        assert wire._depth > 1, "it ends within an element"
        other.state(CAMERA, "CCD_EXPOSURE", "Ok")
    bench.happened("connection_cut")


def test_garbage_xml(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "garbage_xml")
    order(wire)
    with pytest.raises(ET.ParseError):
        wire.wait(lambda _: False)
    bench.happened("garbage_xml")


def test_network_slow(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "network_slow", bytes_per_s=400_000, lasts_real_s=60)
    began = time.monotonic()
    order(wire)
    blob = wire.wait(is_blob)
    assert len(blob[0].text or "") / (time.monotonic() - began) < 500_000
    bench.happened("network_slow")
    bench.arm(wire, "network_slow", "at_s = 1e6")


def test_network_latency(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "network_latency", delay_real_s=0.4, lasts_real_s=60)
    order(wire)
    bench.happened("network_latency")
    assert answer_s(wire) >= 0.4
    bench.arm(wire, "network_latency", "at_s = 1e6")
    assert quick_answer_s(wire) < 0.4


def test_network_stalls(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "network_stalls", lasts_real_s=0.6)
    began = time.monotonic()
    order(wire)
    bench.happened("network_stalls")
    answer_s(wire)
    assert time.monotonic() - began > 0.6
    assert quick_answer_s(wire) < 0.3


def test_clock_jumps(bench: Bench, wire: Wire) -> None:
    def date(heard: list[ET.Element]) -> datetime:
        return datetime.fromisoformat(image(only_blob(heard))[1]["DATE-OBS"])

    bench.arm(wire, "clock_jumps", jump_s=-7200.0)
    before = date(shoot(wire))
    bench.happened("clock_jumps")
    after = date(shoot(wire))
    assert -7200 < (after - before).total_seconds() < -6000


# All of them


def test_chance_is_seeded(bench: Bench, wire: Wire) -> None:
    """The same file gives the same night."""
    bench.arm(wire, "blob_lost", "probability = 0.5")
    lost = [not any(map(is_blob, shoot(wire, 0.01))) for _ in range(8)]
    bench.arm(wire, "blob_lost", "probability = 0.5")
    assert [not any(map(is_blob, shoot(wire, 0.01))) for _ in range(8)] == lost
    assert 0 < sum(lost) < 8
    assert [line["exposure"] for line in bench.told()] == [n for n, each in enumerate(lost, 1) if each]


def test_a_bad_file_changes_nothing(bench: Bench, wire: Wire) -> None:
    bench.arm(wire, "blob_lost")
    bench.file.write_text("[[fault]]\nname = 'blob_lots'")
    os.kill(bench.pid, signal.SIGHUP)
    said = wire.wait(lambda e: e.tag == "message" and "faults" in e.get("message", "")).get("message", "")
    assert said.startswith("faults stay as they were")
    assert 'did you mean "blob_lost"' in said
    assert not any(map(is_blob, shoot(wire)))


def test_every_fault_has_its_test() -> None:
    tests = " ".join(name for name in globals() if name.startswith("test_"))
    assert [name for name in KINDS if f"test_{name}" not in tests] == []
    assert len(KINDS) >= 20
