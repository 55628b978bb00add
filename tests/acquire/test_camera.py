"""The INDI camera against drivers that behave, and drivers that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from acquire.devices import CoolerStatus, ExposureRequest, Range, RawFrame
from acquire.errors import DeviceError, DeviceLostError, ExposureFailedError, OutOfTimeError
from acquire.indi.camera import IndiCamera
from library.frames import FrameKind
from tests.acquire.clocks import FakeClock
from tests.acquire.fake_link import FakeLink, Values

NAME = "a camera"
FITS = b"SIMPLE  =                    T".ljust(2880) + bytes(2880)
EARLIER = FITS[:-1] + b"!"


class Driver:
    """Plays a driver: takes every setting; an exposure follows the script of the test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.link = FakeLink(self.clock)
        self.camera = IndiCamera(self.link, NAME, self.clock, readout_margin_s=30)
        self.script: Callable[[], None] = self.good
        self.progress: list[float] = []
        define = self.link.define
        define(NAME, "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 1}, limits=(0.01, 3600))
        define(NAME, "CCD_ABORT_EXPOSURE", {"ABORT": False})
        define(
            NAME,
            "CCD_FRAME_TYPE",
            {"FRAME_LIGHT": True, "FRAME_BIAS": False, "FRAME_DARK": False, "FRAME_FLAT": False},
        )
        define(NAME, "CCD_BINNING", {"HOR_BIN": 1, "VER_BIN": 1}, limits=(1, 4))
        define(NAME, "UPLOAD_MODE", {"UPLOAD_CLIENT": False, "UPLOAD_LOCAL": True})
        define(NAME, "CCD_TRANSFER_FORMAT", {"FORMAT_FITS": True, "FORMAT_NATIVE": False})
        define(NAME, "CCD_INFO", {"CCD_MAX_X": 100, "CCD_MAX_Y": 80})
        define(NAME, "CCD_FRAME", {"X": 10, "Y": 10, "WIDTH": 50, "HEIGHT": 40})
        self.link.driver = self.obey

    def obey(self, name: str, values: Values) -> None:
        if name == "CCD_EXPOSURE":
            self.link.tell(name, "Busy", **dict(values))
            asyncio.get_running_loop().call_soon(self.script)
        elif name == "CCD_ABORT_EXPOSURE":
            self.link.tell(name, "Ok")
            self.exposure("Idle", 0)
        else:
            self.link.take(name, values)

    def exposure(self, state: str, left_s: float) -> None:
        self.link.tell("CCD_EXPOSURE", state, CCD_EXPOSURE_VALUE=left_s)

    def good(self) -> None:
        self.exposure("Busy", 0.5)
        self.exposure("Busy", 0)
        self.link.blob(NAME, FITS)
        self.exposure("Ok", 0)

    async def expose(self, request: ExposureRequest | None = None) -> RawFrame:
        request = request or ExposureRequest(kind=FrameKind.LIGHT, exposure_s=1)
        return await self.clock.run(self.camera.expose(request, self.progress.append))


@pytest.fixture
def driver() -> Driver:
    return Driver()


async def test_a_good_exposure(driver: Driver) -> None:
    driver.link.define(NAME, "CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": -9.9})
    raw = await driver.expose()
    assert raw == RawFrame(fits=FITS, gain=None, offset=None, sensor_temp_c=-9.9, read_mode=None)
    assert driver.progress == [1.0, 0.5, 0.0]


async def test_a_thermometer_that_cannot_be_read(driver: Driver) -> None:
    driver.link.define(NAME, "CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": float("nan")})

    def script() -> None:
        driver.exposure("Busy", float("nan"))
        driver.good()

    driver.script = script
    assert (await driver.expose()).sensor_temp_c is None
    assert driver.progress == [1.0, 0.5, 0.0]
    driver.link.driver = lambda name, _: driver.link.tell(name, "Busy")
    with pytest.raises(DeviceError, match="reaching -10 ± 1 °C has not happened within 60 s"):
        await driver.clock.run(
            driver.camera.cool_to(-10, tolerance_c=1, timeout_s=60, on_progress=lambda _: None)
        )


async def test_settings_are_sent_once(driver: Driver) -> None:
    driver.link.define(NAME, "CCD_CONTROLS", {"Gain": 0, "Offset": 10, "Speed": 1})
    request = ExposureRequest(kind=FrameKind.FLAT_DARK, exposure_s=1, gain=120, offset=30, binning=2)
    first = await driver.expose(request)
    assert dict(driver.link.sent) == {
        "UPLOAD_MODE": {"UPLOAD_CLIENT": True},
        "CCD_FRAME_TYPE": {"FRAME_DARK": True},
        "CCD_BINNING": {"HOR_BIN": 2, "VER_BIN": 2},
        "CCD_FRAME": {"X": 0, "Y": 0, "WIDTH": 100, "HEIGHT": 80},
        "CCD_CONTROLS": {"Offset": 30},
        "CCD_EXPOSURE": {"CCD_EXPOSURE_VALUE": 1},
    }
    assert (first.gain, first.offset) == (120, 30)
    driver.link.sent.clear()
    await driver.expose(request)
    assert driver.link.sent == [("CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 1})]


@pytest.mark.parametrize(
    ("prop", "element"),
    [("CCD_GAIN", "GAIN"), ("CCD_CONTROLS", "Gain"), ("TC_CONTROLS", "TC_GAIN"), ("VENDOR", "gain")],
)
async def test_gain_is_found_where_the_driver_has_it(driver: Driver, prop: str, element: str) -> None:
    driver.link.define(NAME, prop, {"Other": 3, element: 10})
    raw = await driver.expose(ExposureRequest(kind=FrameKind.LIGHT, exposure_s=1, gain=120))
    assert (prop, {element: 120}) in driver.link.sent
    assert raw.gain == 120


async def test_gain_that_the_driver_has_not(driver: Driver) -> None:
    with pytest.raises(DeviceError, match=r"a camera has no gain: looked for CCD_GAIN\.GAIN.*leave gain out"):
        await driver.expose(ExposureRequest(kind=FrameKind.LIGHT, exposure_s=1, gain=120))


async def test_gain_out_of_range(driver: Driver) -> None:
    driver.link.define(NAME, "CCD_GAIN", {"GAIN": 0}, limits=(0, 100))
    with pytest.raises(DeviceError, match=r"takes CCD_GAIN\.GAIN from 0 to 100, not 120"):
        await driver.expose(ExposureRequest(kind=FrameKind.LIGHT, exposure_s=1, gain=120))


async def test_gain_that_is_silently_not_taken(driver: Driver) -> None:
    driver.link.define(NAME, "CCD_GAIN", {"GAIN": 5})
    obey = driver.obey
    driver.link.driver = lambda name, values: (
        driver.link.tell(name, "Ok") if name == "CCD_GAIN" else obey(name, values)
    )
    with pytest.raises(DeviceError, match="was asked for gain 120 and took 5"):
        await driver.expose(ExposureRequest(kind=FrameKind.LIGHT, exposure_s=1, gain=120))


async def test_a_bias_is_as_short_as_the_camera_can(driver: Driver) -> None:
    await driver.expose(ExposureRequest(kind=FrameKind.BIAS, exposure_s=0))
    assert ("CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 0.01}) in driver.link.sent


def image(width: int, height: int, **cards: int) -> bytes:
    """A FITS file of 16-bit zeros."""
    header = {"SIMPLE": "T", "BITPIX": 16, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height} | cards
    text = "".join(f"{name:8}= {value:>20} / of the image".ljust(80) for name, value in header.items())
    size = 2 * width * height
    return (text + "END").ljust(2880).encode() + bytes(-(-size // 2880) * 2880)


@pytest.mark.parametrize(
    ("sent", "binning", "wrong"),
    [
        (image(100, 80), 1, None),
        (image(96, 80, XBINNING=1, YBINNING=1), 1, None),  # a driver that trims to multiples of 8
        (image(50, 40, XBINNING=2, YBINNING=2), 2, None),
        (image(50, 40, XBINNING=2, YBINNING=2), 1, "binned 2×2 instead of 1×1"),
        (image(100, 80, XBINNING=1, YBINNING=1), 2, "binned 1×1 instead of 2×2"),
        (image(100, 40), 1, "100×40 pixels instead of 100×80"),
        (image(140, 80), 1, "140×80 pixels instead of 100×80"),
    ],
)
async def test_an_image_that_was_not_ordered(
    driver: Driver, sent: bytes, binning: int, wrong: str | None
) -> None:
    def script() -> None:
        driver.exposure("Busy", 0)
        driver.link.blob(NAME, sent)
        driver.exposure("Ok", 0)

    driver.script = script
    request = ExposureRequest(kind=FrameKind.LIGHT, exposure_s=1, binning=binning)
    if wrong is None:
        assert (await driver.expose(request)).fits == sent
    else:
        with pytest.raises(ExposureFailedError, match=wrong):
            await driver.expose(request)


async def test_ok_before_the_blob(driver: Driver) -> None:
    def script() -> None:
        driver.exposure("Ok", 0)
        driver.link.blob(NAME, FITS)

    driver.script = script
    assert (await driver.expose()).fits == FITS


async def test_a_late_blob_is_not_taken_for_this_exposures(driver: Driver) -> None:
    driver.link.blob(NAME, EARLIER)

    def script() -> None:
        driver.link.blob(NAME, EARLIER)
        driver.good()

    driver.script = script
    assert (await driver.expose()).fits == FITS


async def test_the_echo_of_an_earlier_exposure_does_not_end_this_one(driver: Driver) -> None:
    obey = driver.obey

    def late_echo(name: str, values: Values) -> None:
        if name == "CCD_EXPOSURE":
            driver.link.blob(NAME, EARLIER)
            driver.exposure("Ok", 0)
        obey(name, values)

    driver.link.driver = late_echo
    raw = await driver.expose(ExposureRequest(kind=FrameKind.LIGHT, exposure_s=60))
    assert raw.fits == FITS


async def test_a_bias_may_be_over_before_it_is_busy(driver: Driver) -> None:
    def at_once(name: str, values: Values) -> None:
        if name == "CCD_EXPOSURE":
            driver.link.blob(NAME, FITS)
            driver.exposure("Ok", 0)
        else:
            driver.obey(name, values)

    driver.link.driver = at_once
    raw = await driver.expose(ExposureRequest(kind=FrameKind.BIAS, exposure_s=0))
    assert raw.fits == FITS


async def test_an_image_of_another_exposure_is_not_the_one_ordered(driver: Driver) -> None:
    def script() -> None:
        driver.exposure("Busy", 0)
        driver.link.blob(NAME, image(100, 80, EXPTIME=60))
        driver.exposure("Ok", 0)

    driver.script = script
    with pytest.raises(ExposureFailedError, match="exposed for 60 s instead of 1 s"):
        await driver.expose()


async def test_a_camera_s_own_raw_file_is_taken_as_it_came(driver: Driver) -> None:
    sent = b"II*\0\x10\0\0\0CR\2\0" + bytes(1000)

    def raw(name: str, values: Values) -> None:
        if name == "CCD_EXPOSURE":
            driver.exposure("Busy", 0.5)
            driver.link.blob(NAME, sent)
            driver.exposure("Ok", 0)
        else:
            driver.obey(name, values)

    driver.link.driver = raw
    assert (await driver.expose()).fits == sent


def _alert(driver: Driver) -> None:
    driver.link.say(NAME, "the sensor is gone")
    driver.exposure("Alert", 0)


def _aborted(driver: Driver) -> None:
    driver.exposure("Idle", 0)


def _short(driver: Driver) -> None:
    driver.link.blob(NAME, FITS[:100], declared=len(FITS))
    driver.exposure("Ok", 0)


def _empty(driver: Driver) -> None:
    driver.link.blob(NAME, b"")
    driver.exposure("Ok", 0)


def _jpeg(driver: Driver) -> None:
    driver.link.blob(NAME, b"\xff\xd8 a picture")
    driver.exposure("Ok", 0)


def _real_jpeg(driver: Driver) -> None:
    driver.link.blob(NAME, b"\xff\xd8\xff\xe1" + bytes(400))
    driver.exposure("Ok", 0)


def _no_blob(driver: Driver) -> None:
    driver.exposure("Ok", 0)


def _silence(driver: Driver) -> None:
    driver.exposure("Busy", 0.2)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (_alert, "refuses an exposure of 1 s: the sensor is gone"),
        (_aborted, "was aborted"),
        (_short, "the image came short: 100 of 5760 bytes"),
        (_empty, "the image came short: 0 of 0 bytes"),
        (_jpeg, "no whole FITS file"),
        (_real_jpeg, r"JPEG.*cannot be calibrated.*RAW or FITS"),
        (_no_blob, "the image of an exposure of 1 s has not happened within 31 s"),
        (_silence, "the image of an exposure of 1 s has not happened within 31 s"),
    ],
)
async def test_exposures_that_fail_say_why_and_leave_the_camera_idle(
    driver: Driver, script: Callable[[Driver], None], said: str
) -> None:
    driver.script = lambda: script(driver)
    with pytest.raises(ExposureFailedError, match=said):
        await driver.expose()
    exposure = driver.link.mirror.get(NAME, "CCD_EXPOSURE")
    assert exposure is not None
    assert exposure.state != "Busy"
    driver.script = driver.good
    assert (await driver.expose()).fits == FITS


async def test_what_is_still_exposing_is_aborted_first(driver: Driver) -> None:
    driver.exposure("Busy", 100)
    assert (await driver.expose()).fits == FITS
    assert driver.link.sent[0] == ("CCD_ABORT_EXPOSURE", {"ABORT": True})


async def test_the_connection_goes(driver: Driver) -> None:
    driver.script = lambda: driver.link.mirror.lose("the server is gone")
    with pytest.raises(DeviceLostError, match="the server is gone"):
        await driver.expose()


async def test_the_camera_disconnects(driver: Driver) -> None:
    driver.script = lambda: driver.link.mirror.apply(
        {"type": "deleted", "device": NAME, "name": "CCD_EXPOSURE"}
    )
    with pytest.raises(DeviceLostError, match="no CCD_EXPOSURE now"):
        await driver.expose()


# -- an image, and a state that says something else --------------------------------------------


async def _later(driver: Driver, *steps: tuple[float, Callable[[], None]]) -> RawFrame:
    """Expose for 10 s while the driver does these steps, each so many seconds after the one before."""

    async def play() -> None:
        for wait_s, step in steps:
            await driver.clock.sleep(wait_s)
            step()

    playing: list[asyncio.Task[None]] = []
    driver.script = lambda: playing.append(asyncio.ensure_future(play()))
    try:
        return await driver.expose(ExposureRequest(kind=FrameKind.LIGHT, exposure_s=10))
    finally:
        for task in playing:
            task.cancel()


GOOD = image(100, 80, EXPTIME=10)
SMALL = image(50, 40, EXPTIME=10)


def _image(driver: Driver, data: bytes = GOOD) -> Callable[[], None]:
    return lambda: driver.link.blob(NAME, data)


def _state(driver: Driver, state: str, left_s: float = 0.0) -> Callable[[], None]:
    return lambda: driver.exposure(state, left_s)


@pytest.mark.parametrize("ends", ["Idle", "Alert", "Busy", "no word"])
async def test_a_whole_image_counts_whatever_the_state_says_after_it(driver: Driver, ends: str) -> None:
    last = () if ends == "no word" else ((0.5, _state(driver, ends)),)
    raw = await _later(driver, (10, _image(driver)), *last)
    assert raw.fits == GOOD
    driver.script = driver.good
    assert (await driver.expose()).fits == FITS, "and the next exposure is made as any other"


async def test_an_image_that_comes_after_idle_counts(driver: Driver) -> None:
    raw = await _later(driver, (10, _state(driver, "Idle")), (1, _image(driver)))
    assert raw.fits == GOOD


async def test_a_camera_that_stays_busy_and_cannot_abort_goes_on(driver: Driver) -> None:
    driver.link.driver = lambda name, values: (
        driver.link.take(name, values) if name == "CCD_ABORT_EXPOSURE" else driver.obey(name, values)
    )
    for _ in range(2):
        assert (await _later(driver, (10, _image(driver)))).fits == GOOD


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param([(2, "abort"), (0, "Idle"), (0.1, "image")], id="the image after it"),
        pytest.param([(10, "image"), (0.1, "abort"), (0, "Idle")], id="the image before it"),
        pytest.param([(2, "abort"), (0, "image"), (0, "Ok")], id="Ok"),
        pytest.param([(2, "image"), (0, "Idle")], id="Idle before its time, by another client"),
    ],
)
async def test_after_an_abort_no_image_counts(driver: Driver, ends: list[tuple[float, str]]) -> None:
    steps = {"abort": lambda: driver.link.tell("CCD_ABORT_EXPOSURE", "Ok"), "image": _image(driver)}
    with pytest.raises(ExposureFailedError, match="was aborted"):
        await _later(driver, *((wait_s, steps.get(what) or _state(driver, what)) for wait_s, what in ends))


@pytest.mark.parametrize("data", [SMALL, image(100, 80, EXPTIME=60), GOOD[:-1], b"\xff\xd8"])
async def test_an_image_that_is_not_the_one_ordered_does_not_count_without_ok(
    driver: Driver, data: bytes
) -> None:
    with pytest.raises(ExposureFailedError):
        await _later(driver, (10, _image(driver, data)), (0.1, _state(driver, "Idle")))


async def test_the_late_image_of_an_aborted_exposure_is_not_the_next_ones(driver: Driver) -> None:
    late = image(100, 80, EXPTIME=10, NUMBER=1)
    raw = await _later(driver, (1, _image(driver, late)), (9, _image(driver)), (0, _state(driver, "Idle")))
    assert raw.fits == GOOD
    with pytest.raises(ExposureFailedError, match="has not happened within"):
        await _later(driver, (1, _image(driver, late)))


# -- cooling -----------------------------------------------------------------------------------


async def _cool(driver: Driver, temperatures: list[float], timeout_s: float = 600) -> list[float]:
    """Cool to −10 °C while the driver tells these temperatures, one a second."""
    told: list[CoolerStatus] = []

    async def ramp() -> None:
        for temp_c in temperatures:
            await driver.clock.sleep(1)
            driver.link.tell("CCD_TEMPERATURE", "Busy", CCD_TEMPERATURE_VALUE=temp_c)

    async def cool() -> CoolerStatus:
        ramping = asyncio.ensure_future(ramp())
        try:
            return await driver.camera.cool_to(
                -10, tolerance_c=0.5, timeout_s=timeout_s, on_progress=told.append
            )
        finally:
            ramping.cancel()

    driver.link.driver = lambda name, values: (
        None if name == "CCD_TEMPERATURE" else driver.link.tell(name, "Busy", **dict(values))
    )
    status = await driver.clock.run(cool())
    assert abs(status.sensor_temp_c + 10) <= 0.5
    return [status.sensor_temp_c for status in told]


@pytest.fixture
def cooled(driver: Driver) -> Driver:
    driver.link.define(NAME, "CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": 20}, limits=(-50, 50))
    driver.link.define(NAME, "CCD_COOLER", {"COOLER_ON": False, "COOLER_OFF": True})
    return driver


async def test_cooling_ends_within_tolerance(cooled: Driver) -> None:
    assert await _cool(cooled, [10, 0, -9, -9.7, -10]) == [10, 0, -9, -9.7, -10]
    assert cooled.link.sent == [
        ("CCD_COOLER", {"COOLER_ON": True}),
        ("CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": -10}),
    ]


async def test_a_driver_that_is_there_already_and_says_nothing(cooled: Driver) -> None:
    cooled.link.tell("CCD_TEMPERATURE", "Ok", CCD_TEMPERATURE_VALUE=-10.1)
    await _cool(cooled, [])


async def test_an_overshoot_is_waited_for(cooled: Driver) -> None:
    assert (await _cool(cooled, [0, -10, -11, -12, -11, -10.2]))[-1] == -10.2


async def test_a_temperature_out_of_reach(cooled: Driver) -> None:
    with pytest.raises(DeviceError, match=r"reaching -10 ± 0\.5 °C has not happened"):
        await _cool(cooled, [5, 3, 2, 2, 2], timeout_s=20)
    with pytest.raises(DeviceError, match="from -50 to 50"):
        await cooled.camera.cool_to(-60, tolerance_c=1, timeout_s=1, on_progress=lambda status: None)


async def test_cooling_that_takes_too_long_says_how_it_stands_and_what_to_change(cooled: Driver) -> None:
    cooled.link.define(NAME, "CCD_COOLER_POWER", {"CCD_COOLER_VALUE": 100.0})
    with pytest.raises(OutOfTimeError, match=r"at 2\.0 °C, the cooler at 100 %\); choose a warmer temp"):
        await _cool(cooled, [5, 3, 2, 2, 2], timeout_s=20)


# -- warming -----------------------------------------------------------------------------------


class Sensor:
    """Follows its set point upwards by up to a degree a second, to the air's temperature."""

    def __init__(self, driver: Driver, air_c: float) -> None:
        self.driver, self.air_c, self.goals = driver, air_c, list[float]()
        self.temp_c = -10.0
        driver.link.tell("CCD_TEMPERATURE", "Ok", CCD_TEMPERATURE_VALUE=self.temp_c)
        driver.link.tell("CCD_COOLER", "Busy", COOLER_ON=True)
        driver.link.driver = self.obey

    def obey(self, name: str, values: Values) -> None:
        if name == "CCD_TEMPERATURE":
            self.goals.append(float(str(values["CCD_TEMPERATURE_VALUE"])))
        else:
            self.driver.link.take(name, values)

    async def live(self) -> None:
        while True:
            await self.driver.clock.sleep(1)
            goal = self.goals[-1] if self.goals else -10.0
            self.temp_c = min(self.air_c, goal, self.temp_c + 1.0)
            self.driver.link.tell("CCD_TEMPERATURE", "Busy", CCD_TEMPERATURE_VALUE=self.temp_c)

    async def warm_up(self, c_per_min: float) -> float:
        """Warm up; returns how many seconds it took."""
        began_s = self.driver.clock.monotonic()

        async def both() -> None:
            living = asyncio.ensure_future(self.live())
            try:
                await self.driver.camera.warm_up(c_per_min, lambda _status, _goal: None)
            finally:
                living.cancel()

        await self.driver.clock.run(both())
        return self.driver.clock.monotonic() - began_s


async def test_the_sensor_is_warmed_slowly_and_the_cooler_switched_off(cooled: Driver) -> None:
    sensor = Sensor(cooled, air_c=30.0)
    took_s = await sensor.warm_up(6.0)
    assert took_s == pytest.approx(60 * 30 / 6, rel=0.1)
    assert sensor.goals == [float(temp_c) for temp_c in range(-9, 20)]
    assert cooled.link.sent[-1] == ("CCD_COOLER", {"COOLER_OFF": True})


async def test_warming_ends_where_the_sensor_is_as_warm_as_the_air(cooled: Driver) -> None:
    sensor = Sensor(cooled, air_c=3.0)
    await sensor.warm_up(6.0)
    assert 8.0 <= sensor.goals[-1] <= 10.0
    assert cooled.link.sent[-1] == ("CCD_COOLER", {"COOLER_OFF": True})


async def test_a_driver_that_keeps_the_pace_itself_is_told_it(cooled: Driver) -> None:
    cooled.link.define(NAME, "CCD_TEMP_RAMP", {"RAMP_SLOPE": 0, "RAMP_THRESHOLD": 0.2})
    sensor = Sensor(cooled, air_c=30.0)
    await sensor.warm_up(6.0)
    assert ("CCD_TEMP_RAMP", {"RAMP_SLOPE": 6.0}) in cooled.link.sent
    assert sensor.goals == [20.0]


async def test_a_cooler_that_does_nothing_any_more_ends_the_warming(cooled: Driver) -> None:
    cooled.link.define(NAME, "CCD_TEMP_RAMP", {"RAMP_SLOPE": 0, "RAMP_THRESHOLD": 0.2})
    cooled.link.define(NAME, "CCD_COOLER_POWER", {"CCD_COOLER_VALUE": 0.0})
    sensor = Sensor(cooled, air_c=3.0)
    assert 13 <= await sensor.warm_up(6.0) < 25
    assert sensor.temp_c == 3.0, "not before it has stopped rising, although the power is 0"


async def test_a_cooler_that_is_off_is_left_off(cooled: Driver) -> None:
    await cooled.clock.run(cooled.camera.warm_up(5.0, lambda _status, _goal: None))
    assert cooled.link.sent == []


# -- what it can be set to ---------------------------------------------------------------------


def test_limits_are_what_the_driver_says(cooled: Driver) -> None:
    cooled.link.define(NAME, "CCD_CONTROLS", {"Gain": 0.0, "Other": 1.0}, limits=(0, 570))
    limits = cooled.camera.limits
    assert limits.exposure_s == Range(0.01, 3600)
    assert (limits.gain, limits.offset) == (Range(0, 570), None)
    assert (limits.binning, limits.temperature_c) == (Range(1, 4), Range(-50, 50))
    assert (limits.width_px, limits.height_px) == (100, 80)


def test_an_exposure_that_somebody_else_has_begun(driver: Driver) -> None:
    assert driver.camera.exposing_s is None
    driver.exposure("Busy", 42)
    assert driver.camera.exposing_s == 42


def test_a_camera_without_a_cooler(driver: Driver) -> None:
    assert not driver.camera.has_cooler
    driver.link.define(NAME, "CCD_TEMPERATURE", {"CCD_TEMPERATURE_VALUE": 20}, permission="ro")
    assert not driver.camera.has_cooler
