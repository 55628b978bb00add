"""The runner: what it shoots, what it survives, and what it never loses."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from acquire import events
from acquire.devices import Observatory
from acquire.errors import DeviceError, DeviceLostError, ExposureFailedError, PlanError
from acquire.plan import Calibration, CameraSettings, Lights, Options, Plan, Target
from acquire.runner import Runner, RunState
from library.errors import DiskFullError, NotAFitsFileError
from library.frames import FrameKind
from tests.acquire.clocks import FakeClock
from tests.acquire.faked_night import FakedNight
from tests.acquire.fakes import FakeObservatory, FakeStore, Fault

PLAN = Plan(
    name="a night",
    target=Target(name="NGC 869", ra_deg=35.0, dec_deg=57.1),
    camera=CameraSettings(gain=120, offset=30, temperature_c=-10),
    lights=(Lights(filter="L", exposure_s=60, count=3), Lights(filter="R", exposure_s=60, count=2)),
    calibration=Calibration(bias=1, dark=1, flat=1, flat_exposure_s=2),
    options=Options(retries=2),
)
STEPS = [step.step_id for step in PLAN.steps()]

FAILED = ExposureFailedError("the image came short")
LOST = DeviceLostError("the server closed the connection")
FULL = DiskFullError("the disk is full")


class Night(FakedNight):
    def __init__(self, plan: Plan = PLAN, done: frozenset[str] = frozenset(), store_s: float = 0.1) -> None:
        super().__init__(plan, done, store_s)

    @property
    def stored(self) -> list[str]:
        return [event.step_id for event in self.of(events.FrameStored)]


async def test_a_good_night() -> None:
    night = Night()
    assert await night.run() == "done"
    assert night.stored == night.store.steps == STEPS
    observatory = night.observatory
    assert observatory.camera.coolings == [-10]
    assert observatory.mount.slews == [(35.0, 57.1)]
    assert observatory.wheel.selected == ["L", "R", "L", "R", "L", "R", "L"]
    assert {(request.gain, request.offset) for request in observatory.camera.requests} == {(120, 30)}
    assert night.runner.snapshot.state is RunState.ENDED
    assert night.runner.snapshot.frames_done == night.runner.snapshot.frames_wanted == len(STEPS)
    kinds = [type(event) for event in night.said]
    assert kinds[:2] == [events.PlanStarted, events.EquipmentReady]
    assert kinds[-1] is events.PlanEnded
    first_light = next(
        i for i, e in enumerate(night.said) if isinstance(e, events.ExposureStarted) and e.kind == "light"
    )
    assert kinds.index(events.CoolingDone) < kinds.index(events.ExposureStarted)
    assert kinds.index(events.SlewDone) < first_light


async def test_frames_are_stamped_with_what_indi_leaves_out() -> None:
    night = Night()
    await night.run()
    stamps = {stamp.step_id: stamp for _, stamp in night.store.frames.values()}
    light, dark = stamps["light-L-60s-001"], stamps["dark-60s-001"]
    assert (light.kind, light.filter, light.object_name) == (FrameKind.LIGHT, "L", "NGC 869")
    assert (light.gain, light.offset, light.set_temp_c, light.sensor_temp_c) == (120.0, 30.0, -10, -10.1)
    assert (dark.filter, dark.object_name, dark.read_mode) == (None, None, "low")
    assert len({stamp.frame_id for stamp in stamps.values()}) == len(STEPS)


async def test_nothing_but_the_exposures_takes_time() -> None:
    night = Night(store_s=0.0)
    began = night.clock.monotonic()
    await night.run()
    exposures = sum(step.exposure_s for step in PLAN.steps())
    cooling, slewing, warming = 60, 20, 300
    assert night.clock.monotonic() - began == exposures + cooling + slewing + warming


async def test_what_is_durable_is_not_shot_again() -> None:
    done = frozenset(STEPS[::2])
    night = Night(done=done)
    assert await night.run() == "done"
    assert night.stored == [step for step in STEPS if step not in done]
    [started] = night.of(events.PlanStarted)
    assert sum(line.done for line in started.lines) == len(done)


async def test_nothing_left_to_do() -> None:
    night = Night(done=frozenset(STEPS))
    assert await night.run() == "done"
    assert night.observatory.camera.coolings == []


Breaks = Callable[[FakeObservatory, FakeStore, list[Fault]], None]


def _camera(observatory: FakeObservatory, _: FakeStore, faults: list[Fault]) -> None:
    observatory.camera.faults.queue.extend(faults)


def _wheel(observatory: FakeObservatory, _: FakeStore, faults: list[Fault]) -> None:
    observatory.wheel.faults.queue.extend(faults)


def _mount(observatory: FakeObservatory, _: FakeStore, faults: list[Fault]) -> None:
    observatory.mount.faults.queue.extend(faults)


def _cooler(observatory: FakeObservatory, _: FakeStore, faults: list[Fault]) -> None:
    observatory.camera.cooler_faults.queue.extend(faults)


def _store(_: FakeObservatory, store: FakeStore, faults: list[Fault]) -> None:
    store.faults.queue.extend(faults)


JAM = DeviceError("the wheel is stuck")


@pytest.mark.parametrize(
    ("where", "faults", "failures", "restored"),
    [
        (_camera, [FAILED], 1, 0),
        (_camera, [None, None, FAILED, FAILED], 2, 0),
        (_camera, [LOST], 0, 1),
        (_camera, [None] * 6 + [LOST, FAILED, LOST], 1, 2),
        (_wheel, [JAM], 1, 0),
        (_wheel, [None, LOST, JAM], 1, 1),
        (_mount, [JAM, JAM], 0, 0),
        (_mount, [LOST], 0, 1),
        (_cooler, [JAM], 0, 0),
        (_cooler, [LOST, JAM], 0, 1),
        (_store, [NotAFitsFileError("not FITS")], 1, 0),
        (_store, [FULL] * 5, 0, 0),
        (_store, [None, OSError(5, "Input/output error")], 0, 0),
    ],
)
async def test_faults_that_pass_cost_no_frame(
    where: Breaks, faults: list[Fault], failures: int, restored: int
) -> None:
    night = Night()
    where(night.observatory, night.store, faults)
    assert await night.run() == "done"
    assert night.stored == night.store.steps == STEPS, "each frame once, in order"
    assert len(night.of(events.ExposureFailed)) == failures
    assert night.observatory.restored == restored
    assert len(night.of(events.ConnectionLost)) == len(night.of(events.ConnectionRestored)) == restored


async def test_after_a_reconnect_it_cools_and_points_again() -> None:
    night = Night()
    night.observatory.camera.faults.queue.extend([None] * 6 + [LOST])
    await night.run()
    assert night.observatory.camera.coolings == [-10, -10]
    assert len(night.observatory.mount.slews) == 2
    lost = night.said.index(night.of(events.ConnectionLost)[0])
    assert isinstance(night.said[lost + 1], events.ConnectionRestored)
    again = [event.step_id for event in night.said[lost:] if isinstance(event, events.ExposureStarted)]
    before = [event.step_id for event in night.said[:lost] if isinstance(event, events.ExposureStarted)]
    assert again[0] == before[-1], "it goes on with the step it was at"


async def test_a_step_that_keeps_failing_is_given_up_and_the_plan_goes_on() -> None:
    night = Night()
    night.observatory.camera.faults.queue.extend([FAILED] * 3)
    assert await night.run() == "done"
    assert night.stored == STEPS[1:]
    [given_up] = night.of(events.StepGivenUp)
    assert (given_up.step_id, given_up.reason) == (STEPS[0], "the image came short")
    assert [(event.attempt, event.attempts) for event in night.of(events.ExposureFailed)] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]


@pytest.mark.parametrize("where", [_cooler, _mount])
async def test_without_cold_or_a_target_the_plan_fails_with_its_reason(where: Breaks) -> None:
    night = Night()
    where(night.observatory, night.store, [DeviceError("it is broken")] * 3)
    assert await night.run() == "failed"
    assert night.said[-1] == events.PlanEnded(outcome="failed", reason="it is broken")


async def test_a_connection_that_cannot_come_back_fails_the_plan() -> None:
    clock = FakeClock()
    fake = FakeObservatory(clock)
    said: list[events.AcquireEvent] = []
    fake.camera.faults.queue.append(LOST)
    alone = Observatory(camera=fake.camera, wheel=fake.wheel, mount=fake.mount)
    runner = Runner(PLAN, alone, FakeStore(clock), said.append, clock)
    assert await clock.run(runner.run()) == "failed"
    assert "the server closed the connection" in str(said[-1])


async def test_a_full_disk_is_waited_for_with_the_frame_in_hand() -> None:
    night = Night(replace(PLAN, options=Options(disk_full_wait_s=600)))
    night.store.faults.queue.extend([FULL] * 8)
    await night.run()
    waits = [event.retry_in_s for event in night.of(events.StoreWaiting)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert len(night.observatory.camera.requests) == len(STEPS), "no second exposure"


async def test_a_disk_that_stays_full_ends_the_night_and_says_so() -> None:
    night = Night()
    night.store.faults.queue.extend([FULL] * 99)
    assert await night.run() == "failed"
    assert sum(event.retry_in_s for event in night.of(events.StoreWaiting)) <= PLAN.options.disk_full_wait_s
    reason = f"{STEPS[0]} was shot and could not be stored: the disk is full"
    assert night.said[-1] == events.PlanEnded(outcome="failed", reason=reason)


async def test_pause_takes_effect_at_the_frame_boundary() -> None:
    night = Night()

    def pause_in_the_third(event: events.AcquireEvent) -> None:
        if isinstance(event, events.ExposureStarted) and event.step_id == STEPS[2]:
            night.runner.pause()
            assert night.runner.snapshot.pausing

    night.on_event = pause_in_the_third
    running = asyncio.create_task(night.runner.run())
    waiting = night.clock.run(_until(lambda: night.runner.snapshot.state is RunState.PAUSED, night.clock))
    await waiting
    assert night.stored == STEPS[:3]
    night.runner.resume()
    await night.clock.run(_until(running.done, night.clock))
    assert running.result() == "done"
    assert night.stored == STEPS
    assert len(night.of(events.PlanPaused)) == len(night.of(events.PlanResumed)) == 1


async def test_pause_taken_back_before_the_boundary_pauses_nothing() -> None:
    night = Night()

    def hesitate(event: events.AcquireEvent) -> None:
        if isinstance(event, events.ExposureStarted):
            night.runner.pause()
            night.runner.resume()

    night.on_event = hesitate
    assert await night.run() == "done"
    assert not night.of(events.PlanPaused)


@pytest.mark.parametrize(
    "moment",
    [
        events.PlanStarted,
        events.CoolingProgress,
        events.SlewStarted,
        events.ExposureProgress,
        events.FrameStored,
    ],
)
async def test_stop_ends_it_at_once(moment: type) -> None:
    night = Night()
    stopped_at: list[float] = []

    def stop(event: events.AcquireEvent) -> None:
        if isinstance(event, moment):
            night.runner.stop()
            stopped_at.append(night.clock.monotonic())

    night.on_event = stop
    assert await night.run() == "stopped"
    assert night.said[-1] == events.PlanEnded(outcome="stopped", reason=None)
    began = night.observatory.camera.warmings != [] or moment is events.PlanStarted
    assert began, "what follows is the end of the night, and no more"
    assert night.clock.monotonic() - stopped_at[0] < 1 + 300
    assert night.observatory.camera.aborts == (moment is events.ExposureProgress)
    assert night.stored == night.store.steps


async def test_stop_while_paused() -> None:
    night = Night()
    night.runner.pause()
    night.on_event = lambda event: night.runner.stop() if isinstance(event, events.PlanPaused) else None
    assert await night.run() == "stopped"
    assert night.stored == []


async def test_stop_while_a_frame_is_being_stored_keeps_it() -> None:
    night = Night(store_s=5.0)
    running = asyncio.create_task(night.runner.run())
    await night.clock.run(_until(lambda: night.runner.snapshot.state is RunState.STORING, night.clock))
    night.runner.stop()
    night.runner.stop()
    await night.clock.run(_until(running.done, night.clock))
    assert night.stored == night.store.steps == STEPS[:1]
    assert night.said[-1] == events.PlanEnded(outcome="stopped", reason=None)


async def test_stop_with_a_full_disk_says_what_is_lost() -> None:
    night = Night()
    night.store.faults.queue.extend([FULL] * 100)
    night.on_event = lambda event: night.runner.stop() if isinstance(event, events.StoreWaiting) else None
    assert await night.run() == "stopped"
    [ended] = night.of(events.PlanEnded)
    assert ended.reason == f"{STEPS[0]} was shot and could not be stored: the disk is full"


async def test_cancelling_the_run_stops_it_and_is_passed_on() -> None:
    night = Night()
    running = asyncio.create_task(night.runner.run())
    await night.clock.run(_until(lambda: night.runner.snapshot.state is RunState.EXPOSING, night.clock))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert night.observatory.camera.aborts == 1
    assert night.of(events.PlanEnded)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (
            Plan(name="x", lights=(Lights(filter="Ha", exposure_s=1, count=1),)),
            'no filter "Ha" in fake wheel',
        ),
    ],
)
def test_what_the_observatory_has_not(plan: Plan, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        Night(plan)


@pytest.mark.parametrize("missing", ["wheel", "mount"])
def test_equipment_that_is_not_there(missing: str) -> None:
    clock = FakeClock()
    there: dict[str, Any] = {"camera": FakeObservatory(clock).camera, "wheel": FakeObservatory(clock).wheel}
    there["mount"] = FakeObservatory(clock).mount
    del there[missing]
    with pytest.raises(PlanError, match=f"there is no (filter )?{missing}"):
        Runner(PLAN, Observatory(**there), FakeStore(clock), lambda event: None, clock)


async def _until(look: Callable[[], bool], clock: FakeClock) -> None:
    """Let time pass in small steps until it is so."""
    while not look():
        await clock.sleep(0.5)


def test_ids_of_the_plan_are_those_of_the_steps() -> None:
    assert Counter(step.split("-")[0] for step in STEPS) == {"bias": 1, "dark": 1, "flat": 2, "light": 5}
