"""A plan over the wire with our own simulated observatory: no system package is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from acquire import events
from acquire.plan import Calibration, CameraSettings, Lights, Options, Plan, Target
from library.frames import FrameKind
from tests.acquire.nights import Night, header_of, kill_worker
from tests.ports import free_port

PROJECT = Path(__file__).parents[2]
PLAN = Plan(
    name="short",
    camera=CameraSettings(gain=100, offset=30, temperature_c=11, temperature_tolerance_c=1),
    target=Target(name="NGC 869", ra_deg=35.0, dec_deg=57.13),
    lights=(Lights(filter="L", exposure_s=20, count=2), Lights(filter="R", exposure_s=20, count=1)),
    calibration=Calibration(bias=1),
    options=Options(settle_s=0),
)


class Simulated:
    """``python -m simulators`` on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "simulators",
            "--port",
            str(self.port),
            "--speed",
            "40",
            "--follow-stdin",
        ]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
        )
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline())["port"] == self.port

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    server = Simulated()
    server.start()
    yield server
    server.kill()


async def test_a_night(simulated: Simulated) -> None:
    night = Night()
    assert await night.run(PLAN, simulated.port) == "done"
    assert night.store.steps == [step.step_id for step in PLAN.steps()]
    for fits, stamp in night.store.frames.values():
        header = header_of(fits)
        assert int(header["NAXIS1"]) * int(header["NAXIS2"]) * 2 < len(fits)
        assert (stamp.gain, stamp.offset) == (100, 30)
        assert stamp.sensor_temp_c == pytest.approx(11, abs=2)
        if stamp.kind is FrameKind.LIGHT:
            assert header["FILTER"] == stamp.filter
            assert float(header["RA"]) == pytest.approx(35.0, abs=0.01)
            assert float(header["DEC"]) == pytest.approx(57.13, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["server", "worker"])
async def test_what_dies_in_an_exposure_comes_back(simulated: Simulated, what: str) -> None:
    night = Night()
    pending = [what]

    def on_event(event: events.AcquireEvent) -> None:
        if isinstance(event, events.ExposureProgress) and event.step_id == "light-R-20s-001" and pending:
            if pending.pop() == "worker":
                kill_worker()
            else:
                simulated.kill()
                simulated.start()

    night.on_event = on_event
    assert await night.run(PLAN, simulated.port) == "done"
    assert night.store.steps == [step.step_id for step in PLAN.steps()], "none lost, none doubled"
    assert night.count(events.ConnectionLost) == night.count(events.ConnectionRestored) == 1
    assert night.count(events.SlewDone) == night.count(events.CoolingDone) == 2
