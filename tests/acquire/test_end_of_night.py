"""How a night ends: what the devices are left as, in which order, and when the lights are over."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from acquire import events
from acquire.altitude import Site, altitude_deg, next_time, sun_altitude_deg
from acquire.errors import DeviceError, DeviceLostError, OutOfTimeError, PlanError
from acquire.plan import Calibration, CameraSettings, End, Lights, Options, Plan, Target
from acquire.preflight import check_plan, forecast
from acquire.runner import Runner
from tests.acquire.clocks import FakeClock
from tests.acquire.faked_night import EVENING, FakedNight
from tests.acquire.fakes import FakeObservatory, FakeStore

PLAN = Plan(
    name="a night",
    target=Target(name="NGC 869", ra_deg=35.0, dec_deg=57.1),
    camera=CameraSettings(temperature_c=-10),
    lights=(Lights(filter="L", exposure_s=60, count=2),),
    options=Options(retries=1, reconnects=3),
)
MUNICH = Site(latitude_deg=48.1, longitude_deg=11.6)


class Night(FakedNight):
    def __init__(self, plan: Plan = PLAN) -> None:
        super().__init__(plan)

    @property
    def closing(self) -> list[tuple[str, str]]:
        return [(event.action, event.outcome) for event in self.of(events.Closing)]

    @property
    def ended(self) -> events.PlanEnded:
        [ended] = self.of(events.PlanEnded)
        assert self.said[-1] is ended
        assert isinstance(ended, events.PlanEnded)
        return ended


PARKED = [("park", "started"), ("park", "done")]
WARMED = [("warm up", "started"), ("warm up", "done")]
STOPPED = [("stop tracking", "started"), ("stop tracking", "done")]


@pytest.mark.parametrize(
    ("end", "closing"),
    [
        (End(), PARKED + WARMED),
        (End(mount="stop"), STOPPED + WARMED),
        (End(mount="leave"), WARMED),
        (End(cooler="leave"), PARKED),
        (End(mount="leave", cooler="leave"), []),
    ],
)
async def test_the_mount_first_and_then_the_cooler_unless_the_plan_says_otherwise(
    end: End, closing: list[tuple[str, str]]
) -> None:
    night = Night(replace(PLAN, end=end))
    assert await night.run() == "done"
    assert night.closing == closing
    assert night.observatory.camera.warmings == [5.0] * (WARMED[0] in closing)


async def test_a_mount_that_cannot_park_stops_tracking() -> None:
    night = Night()
    night.observatory.mount.can_park = False
    assert await night.run() == "done"
    assert night.closing == [("park", "started"), ("park", "failed"), *STOPPED, *WARMED]


async def test_what_fails_is_told_and_the_rest_is_done_all_the_same() -> None:
    night = Night()
    night.observatory.mount.faults.queue.extend([None, DeviceError("the brake"), DeviceError("the brake")])
    assert await night.run() == "done"
    assert night.closing[:2] == [("park", "started"), ("park", "failed")]
    assert night.of(events.Closing)[1].reason == "the brake"
    assert night.closing[-2:] == WARMED


@pytest.mark.parametrize("moment", [events.CoolingProgress, events.SlewStarted, events.ExposureProgress])
async def test_after_a_stop_it_ends_the_same(moment: type) -> None:
    night = Night()
    moments: list[object] = []

    def stop_once(event: events.AcquireEvent) -> None:
        if isinstance(event, moment) and not moments:
            moments.append(event)
            night.runner.stop()

    night.on_event = stop_once
    assert await night.run() == "stopped"
    assert night.closing == PARKED + WARMED


async def test_a_second_stop_ends_the_warming_too() -> None:
    night = Night()

    stops_s: list[float] = []

    def stop(event: events.AcquireEvent) -> None:
        warming = isinstance(event, events.Closing) and (event.action, event.outcome) == WARMED[0]
        if isinstance(event, events.ExposureProgress) or warming:
            stops_s.append(night.clock.monotonic())
            night.runner.stop()

    night.on_event = stop
    assert await night.run() == "stopped"
    assert night.closing == [*PARKED, WARMED[0]]
    assert night.clock.monotonic() == stops_s[-1]


async def test_a_night_that_fails_ends_the_same() -> None:
    night = Night()
    night.observatory.mount.faults.queue.extend([DeviceError("stuck")] * 2)
    assert await night.run() == "failed"
    assert night.closing == PARKED + WARMED


async def test_nothing_to_shoot_leaves_the_devices_alone() -> None:
    clock = FakeClock()
    devices, said = FakeObservatory(clock), list[events.AcquireEvent]()
    done = {step.step_id for step in PLAN.steps()}
    runner = Runner(PLAN, devices.devices, FakeStore(clock), said.append, clock, done)
    assert await clock.run(runner.run()) == "done"
    assert not [event for event in said if isinstance(event, events.Closing)]


async def test_the_mount_rests_while_darks_are_shot_after_the_lights() -> None:
    night = Night(replace(PLAN, calibration=Calibration(when="after", dark=3)))
    assert await night.run() == "done"
    kinds = [
        event.step_id if isinstance(event, events.FrameStored) else f"{event.action} {event.outcome}"
        for event in night.of(events.FrameStored, events.Closing)
    ]
    assert kinds.index("light-L-60s-002") < kinds.index("park done") < kinds.index("dark-60s-001")
    assert kinds.count("park done") == 1
    assert kinds[-1] == "warm up done"


# -- when it cannot go on -----------------------------------------------------------------------------


async def test_a_temperature_out_of_reach_is_waited_for_once_and_said() -> None:
    night = Night()
    night.observatory.camera.cooler_faults.queue.append(OutOfTimeError("reaching -10 °C has not happened"))
    assert await night.run() == "failed"
    assert night.ended.reason == "reaching -10 °C has not happened"
    assert night.observatory.camera.coolings == [-10]
    [started] = night.of(events.CoolingStarted)
    assert (started.target_temp_c, started.timeout_s) == (-10, PLAN.camera.cooling_timeout_s)


async def test_a_cooler_that_refuses_is_tried_again_out_loud() -> None:
    night = Night()
    night.observatory.camera.cooler_faults.queue.append(DeviceError("no power"))
    assert await night.run() == "done"
    [retry] = night.of(events.Retrying)
    assert (retry.what, retry.reason, retry.attempt, retry.attempts) == ("cooling", "no power", 1, 2)


async def test_the_time_left_for_cooling_is_told() -> None:
    night = Night()
    await night.run()
    assert night.of(events.CoolingProgress)[0].left_s == PLAN.camera.cooling_timeout_s


async def test_lost_and_back_is_not_for_ever() -> None:
    night = Night()
    night.observatory.camera.faults.queue.extend([DeviceLostError("it crashed")] * 99)
    assert await night.run() == "failed"
    assert (
        night.ended.reason
        == "the connection was lost 4 times without a frame in between, at last: it crashed"
    )
    assert len(night.of(events.ConnectionRestored)) == PLAN.options.reconnects


async def test_losses_with_frames_in_between_do_not_add_up() -> None:
    night = Night(replace(PLAN, lights=(Lights(filter="L", exposure_s=60, count=9),)))
    night.observatory.camera.faults.queue.extend([DeviceLostError("it crashed"), None] * 9)
    assert await night.run() == "done"
    assert len(night.store.frames) == 9


async def test_what_does_not_come_back_is_given_up() -> None:
    night = Night(replace(PLAN, options=Options(reconnect_timeout_s=20)))
    night.observatory.camera.faults.queue.append(DeviceLostError("gone"))
    assert await night.run() == "failed"
    assert night.ended.reason == "what was lost has not come back within 20 s: gone"


async def test_a_night_that_shot_nothing_has_failed() -> None:
    night = Night()
    night.observatory.camera.faults.queue.extend([DeviceError("no image")] * 99)
    assert await night.run() == "failed"
    assert night.ended.reason == "nothing was shot: no image"


async def test_an_error_of_ours_is_words_and_an_orderly_end(capsys: pytest.CaptureFixture[str]) -> None:
    night = Night()
    night.observatory.camera.faults.queue.append(ZeroDivisionError("oops"))
    assert await night.run() == "failed"
    assert night.ended.reason == "an error in this program: ZeroDivisionError('oops')"
    assert night.closing == PARKED + WARMED
    assert "Traceback" in capsys.readouterr().err, "for session.log"


# -- pointing -----------------------------------------------------------------------------------------


async def test_a_light_shot_while_the_mount_pointed_elsewhere_does_not_count() -> None:
    night = Night()

    def move_it(event: events.AcquireEvent) -> None:
        if isinstance(event, events.ExposureProgress) and len(night.observatory.mount.slews) == 1:
            night.observatory.mount.off_deg = 30.0

    night.on_event = move_it
    assert await night.run() == "done"
    [failed] = night.of(events.ExposureFailed)
    assert failed.reason.startswith("fake mount points 30.0° off NGC 869: something else has moved it")
    assert len(night.observatory.mount.slews) == 2, "it is pointed again"
    assert len(night.store.frames) == 2


async def test_a_mount_that_somebody_parked_is_not_unparked() -> None:
    night = Night()

    def park(event: events.AcquireEvent) -> None:
        if isinstance(event, events.FrameStored):
            night.observatory.mount.parked = True

    night.on_event = park
    assert await night.run() == "failed"
    assert night.ended.reason == "fake mount was parked by somebody else; start again to go on"
    assert len(night.observatory.mount.slews) == 1


# -- altitude and dawn --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ra", "dec", "site", "when", "alt"),
    [  # from an almanac's formulae: culminations, where altitude is 90° - |latitude - declination|
        (37.95, 89.264, MUNICH, EVENING, 48.6),
        (
            213.9,
            19.18,
            Site(latitude_deg=19.0, longitude_deg=0.0),
            datetime(2026, 4, 26, 0, 0, tzinfo=UTC),
            89.3,
        ),
    ],
)
def test_altitudes(ra: float, dec: float, site: Site, when: datetime, alt: float) -> None:
    assert altitude_deg(ra, dec, site, when) == pytest.approx(alt, abs=1.0)


def test_the_sun() -> None:
    greenwich = Site(latitude_deg=51.4769, longitude_deg=0.0)
    noon = datetime(2026, 6, 21, 12, 2, tzinfo=UTC)
    assert sun_altitude_deg(greenwich, noon) == pytest.approx(90 - 51.4769 + 23.44, abs=0.05)
    assert sun_altitude_deg(greenwich, noon + timedelta(hours=12)) == pytest.approx(-15.1, abs=0.1)
    rises = next_time(lambda when: sun_altitude_deg(greenwich, when) > 0, noon + timedelta(hours=12))
    assert rises is not None
    assert abs(rises - datetime(2026, 6, 22, 3, 48, tzinfo=UTC)) < timedelta(minutes=5)


LOW = Target(name="Antares", ra_deg=247.35, dec_deg=-26.43)


def test_a_target_below_the_horizon_is_said_before_anything_starts() -> None:
    devices = FakeObservatory(FakeClock())
    devices.mount.site = MUNICH
    with pytest.raises(PlanError, match=r"Antares stands at -\d+° at the mount's place .*it is higher at"):
        check_plan(replace(PLAN, target=LOW), devices.devices, EVENING)
    never = replace(LOW, dec_deg=-70)
    with pytest.raises(PlanError, match="never comes higher there"):
        check_plan(replace(PLAN, target=never), devices.devices, EVENING)
    check_plan(PLAN, devices.devices, EVENING)
    check_plan(replace(PLAN, target=LOW, end=End(min_altitude_deg=-90)), devices.devices, EVENING)
    devices.mount.site = None
    check_plan(replace(PLAN, target=LOW), devices.devices, EVENING)


def test_a_target_that_rises_while_the_darks_are_shot_may_wait() -> None:
    devices = FakeObservatory(FakeClock())
    devices.mount.site = MUNICH
    orion = Target(name="M 42", ra_deg=83.8, dec_deg=-5.4)
    plan = replace(PLAN, target=orion)
    with pytest.raises(PlanError, match="M 42"):
        check_plan(plan, devices.devices, EVENING)
    check_plan(replace(plan, calibration=Calibration(dark=150)), devices.devices, EVENING)


def test_what_is_coming_is_told() -> None:
    devices = FakeObservatory(FakeClock())
    devices.mount.site = MUNICH
    sets = replace(PLAN, target=Target(name="M 57", ra_deg=283.4, dec_deg=33.03))
    said = forecast(replace(sets, end=End(min_altitude_deg=20)), devices.devices, EVENING)
    assert [line[:22] for line in said] == ["M 57 sinks below 20° a", "the sun rises above -1"]
    assert forecast(PLAN, devices.devices, EVENING)[0] == "NGC 869 stays above 0° for the next 24 hours"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (End(min_altitude_deg=60), r"NGC 869 stands at \d+° at the mount's place"),
        (End(sun_altitude_deg=-12), r"the sun stands at -\d+\.\d°, above -12°"),
    ],
)
async def test_lights_end_by_altitude_and_at_dawn_and_the_rest_is_shot(end: End, reason: str) -> None:
    plan = replace(
        PLAN,
        lights=(Lights(filter="L", exposure_s=3600, count=20),),
        calibration=Calibration(when="after", dark=1),
        end=end,
    )
    night = Night(plan)
    night.observatory.mount.site = MUNICH
    assert await night.run() == "done"
    [over] = night.of(events.LightsOver)
    assert re.match(reason, over.reason)
    lights = [step for step in night.store.steps if step.startswith("light")]
    assert 0 < len(lights) < 20
    ended = EVENING + timedelta(hours=len(lights), minutes=2)
    assert altitude_deg(35.0, 57.1, MUNICH, ended) >= end.min_altitude_deg
    assert sun_altitude_deg(MUNICH, ended) <= (end.sun_altitude_deg or 90)
    assert over.left == 20 - len(lights)
    assert night.store.steps[-1] == "dark-3600s-001"
    assert "lights are not shot" in (night.ended.reason or "")
