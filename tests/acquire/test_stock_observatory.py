"""A plan over the wire with Debian's stock simulators: cut, killed and started again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acquire import events
from acquire.errors import DeviceMissingError
from acquire.plan import Calibration, CameraSettings, Equipment, Lights, Options, Plan, Target
from tests.acquire.nights import Night, header_of, kill_worker
from tests.acquire.wire_servers import StockServer

pytestmark = pytest.mark.indi_bin

CCD, WHEEL, TELESCOPE = "indi_simulator_ccd", "indi_simulator_wheel", "indi_simulator_telescope"
PLAN = Plan(
    name="short",
    camera=CameraSettings(gain=50, offset=7),
    lights=(Lights(filter="Red", exposure_s=0.3, count=1), Lights(filter="Green", exposure_s=0.3, count=1)),
    calibration=Calibration(bias=1),
)
LONG = Plan(name="long", lights=(Lights(exposure_s=1.0, count=2),))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StockServer]:
    server = StockServer(tmp_path)
    server.start()
    yield server
    server.kill()


async def test_a_short_night(server: StockServer) -> None:
    night = Night()
    assert await night.run(PLAN, server.port) == "done"
    headers = {stamp.step_id: header_of(fits) for fits, stamp in night.store.frames.values()}
    assert list(headers) == [step.step_id for step in PLAN.steps()]
    assert [header["FRAME"] for header in headers.values()] == ["Bias", "Light", "Light"]
    assert headers["light-Red-0.3s-001"]["FILTER"] == "Red"
    assert headers["light-Green-0.3s-001"]["FILTER"] == "Green"
    for fits, stamp in night.store.frames.values():
        assert len(fits) >= 2880 + 2 * 1280 * 1024
        assert (stamp.gain, stamp.offset) == (50, 7)


@pytest.mark.slow
async def test_pointing(tmp_path: Path) -> None:
    server = StockServer(tmp_path, CCD, TELESCOPE)
    server.start()
    plan = Plan(
        name="near the pole, where the mount stands",
        target=Target(name="a field", ra_deg=45.0, dec_deg=88.0),
        lights=(Lights(exposure_s=0.1, count=1),),
        options=Options(settle_s=0),
    )
    night = Night()
    try:
        assert await night.run(plan, server.port) == "done"
    finally:
        server.kill()
    [(fits, _)] = night.store.frames.values()
    header = header_of(fits)
    assert float(header["RA"]) == pytest.approx(45.0, abs=0.5)  # J2000, as the driver computes it back
    assert float(header["DEC"]) == pytest.approx(88.0, abs=0.01)


Break = Callable[[StockServer], None]


def _kill_server(server: StockServer) -> None:
    server.kill()
    server.start()


def _kill_worker(_: StockServer) -> None:
    kill_worker()


def _kill_driver(server: StockServer) -> None:
    server.kill_driver(CCD)


@pytest.mark.parametrize(
    "strike",
    [
        _kill_driver,
        pytest.param(_kill_server, marks=pytest.mark.slow),
        pytest.param(_kill_worker, marks=pytest.mark.slow),
    ],
)
async def test_what_dies_in_an_exposure_comes_back_and_no_sub_is_lost_or_doubled(
    server: StockServer, strike: Break
) -> None:
    night = Night()
    pending = [strike]

    def on_event(event: events.AcquireEvent) -> None:
        if isinstance(event, events.ExposureProgress) and pending:
            pending.pop()(server)

    night.on_event = on_event
    assert await night.run(LONG, server.port) == "done"
    assert night.store.steps == [step.step_id for step in LONG.steps()]
    assert night.count(events.ConnectionLost) == night.count(events.ConnectionRestored) >= 1
    assert all(len(fits) >= 2880 + 2 * 1280 * 1024 for fits, _ in night.store.frames.values())


@pytest.mark.slow
async def test_devices_that_are_not_there(server: StockServer) -> None:
    wrong = Plan(name="x", equipment=Equipment(camera="CCD Simulater"), lights=PLAN.lights)
    with pytest.raises(DeviceMissingError, match=r'no camera "CCD Simulater".*"CCD Simulator"'):
        await Night().run(wrong, server.port)


@pytest.mark.slow
async def test_a_wheel_that_is_the_camera_itself(tmp_path: Path) -> None:
    server = StockServer(tmp_path, CCD)
    server.start()
    night = Night()
    try:
        assert await night.run(PLAN, server.port) == "done"
    finally:
        server.kill()
    ready = next(event for event in night.said if isinstance(event, events.EquipmentReady))
    assert ready.filter_wheel == ready.camera == "CCD Simulator"
