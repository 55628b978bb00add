"""Shoots a plan: makes the observatory ready, exposes, and hands every frame over to be made durable.

The runner knows devices only by their Protocols and time only by its clock. Pause takes effect at the
next frame boundary; stop aborts the exposure in progress. A frame that has arrived is kept as long as
there is a way to keep it.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
import uuid
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from acquire import events
from acquire.clock import Clock, backoff
from acquire.closing import Closing
from acquire.devices import ExposureRequest, Observatory, RawFrame
from acquire.errors import DeviceError, DeviceLostError, FrameRefusedError, HopelessError
from acquire.plan import ExposureStep, Plan
from acquire.preflight import check_plan, why_no_light
from acquire.readiness import Readiness
from acquire.reconnecting import Reconnecting
from acquire.storing import Store
from library.errors import LibraryError, NotAFitsFileError
from library.frames import FrameKind, Stamp
from numerics.counting import counted_are

_POINTING = frozenset({FrameKind.LIGHT, FrameKind.FLAT})
"""Kinds for which the telescope has to stay where it looks."""


class RunState(StrEnum):
    """What the runner is at."""

    WAITING = "waiting"
    COOLING = "cooling"
    SLEWING = "slewing"
    EXPOSING = "exposing"
    STORING = "storing"
    PAUSED = "paused"
    RECONNECTING = "reconnecting"
    CLOSING = "closing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSnapshot:
    """The run at one moment."""

    state: RunState
    step_id: str | None = None
    frames_done: int = 0
    frames_wanted: int = 0
    pausing: bool = False


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Runner:
    """One run of one plan, from one event loop; everything that happens goes through ``emit``.

    Raises :class:`acquire.errors.PlanError` if the plan asks for what the observatory has not.
    """

    def __init__(
        self,
        plan: Plan,
        observatory: Observatory,
        store: Store,
        emit: Callable[[events.AcquireEvent], None],
        clock: Clock,
        done_steps: Set[str] = frozenset(),
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        check_plan(plan, observatory)
        self._plan = plan
        self._devices = observatory
        self._store = store
        self._emit = emit
        self._clock = clock
        self._done = frozenset(done_steps)
        self._utc_now = now
        self._ready = Readiness(plan, observatory, emit, clock)
        self._reconnecting = Reconnecting(plan.options, observatory, emit, clock)
        self._closing = Closing(plan, observatory, emit)
        steps = list(plan.steps())
        self._steps = [step for step in steps if step.step_id not in self._done]
        self._now = RunSnapshot(
            state=RunState.WAITING, frames_done=len(steps) - len(self._steps), frames_wanted=len(steps)
        )
        self._work: asyncio.Task[None] | None = None
        self._end_work: asyncio.Task[None] | None = None
        self._stopping = False
        self._began = False
        self._stored = 0
        self._given_up: str | None = None
        self._lights_over: str | None = None
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._unsaved: str | None = None

    @property
    def snapshot(self) -> RunSnapshot:
        """The run now."""
        return self._now

    async def run(self) -> str:
        """Shoot what is left of the plan, and leave the devices as it says.

        Returns the outcome: "done", "stopped" or "failed". Cancelling it is a stop that leaves the devices as
        they are and raises ``CancelledError``.
        """
        self._announce()
        outcome, reason, cancelled = "failed", "an error in this program", False
        self._work = asyncio.create_task(self._shoot_all())
        try:
            if self._stopping:
                self._work.cancel()
            await self._work
            outcome, reason = self._how_it_went()
        except HopelessError as error:
            reason = str(error)
        except asyncio.CancelledError:
            outcome, reason = "stopped", self._unsaved or ""
            if (me := asyncio.current_task()) and me.cancelling():
                cancelled = True
                raise
        except Exception as error:  # noqa: BLE001 - the night must end in order all the same
            traceback.print_exc()
            reason = f"an error in this program: {error!r}"
        finally:
            if not cancelled:
                await self._close()
            self._set(state=RunState.ENDED, step_id=None, pausing=False)
            self._emit(events.PlanEnded(outcome=outcome, reason=reason or None))
        return outcome

    def _how_it_went(self) -> tuple[str, str]:
        """A plan that was gone through is done; not so if all of it failed."""
        if self._steps and not self._stored:
            why = self._given_up or self._lights_over
            return "failed", f"nothing was shot: {why}" if why else ""
        return "done", self._lights_over or ""

    async def _close(self) -> None:
        """Leave the devices as the plan says, if this run has touched them; a second stop ends that."""
        if not self._began:
            return
        self._set(state=RunState.CLOSING, step_id=None)
        self._end_work = asyncio.create_task(self._closing.close())
        try:
            await self._end_work
        except asyncio.CancelledError:
            if (me := asyncio.current_task()) and me.cancelling():
                raise
        except Exception:  # noqa: BLE001 - as above
            traceback.print_exc()

    def pause(self) -> None:
        """Wait at the next frame boundary."""
        if self._now.state is not RunState.ENDED:
            self._may_go_on.clear()
            self._set(pausing=True)

    def resume(self) -> None:
        """Go on after a pause, or take it back."""
        self._may_go_on.set()
        self._set(pausing=False)

    def stop(self) -> None:
        """End the run: the exposure in progress is aborted, a frame that has arrived is kept.

        Then the devices are brought to their rest; a second stop ends that, too.
        """
        if self._end_work is not None:
            self._end_work.cancel()
        elif not self._stopping and self._work is not None:
            self._work.cancel()
        self._stopping = True

    async def _shoot_all(self) -> None:
        last_pointing = max((n for n, step in enumerate(self._steps) if step.kind in _POINTING), default=-1)
        for number, step in enumerate(self._steps):
            await self._frame_boundary()
            if self._is_too_late_for(step, number):
                continue
            self._began = True
            if number == last_pointing + 1 and last_pointing >= 0:
                await self._closing.rest_mount()  # what follows needs no sky
            self._set(step_id=step.step_id)
            await self._shoot(step)

    def _is_too_late_for(self, step: ExposureStep, number: int) -> bool:
        """Whether the plan's own limits are against this light, as they are then against all later ones."""
        if step.kind is not FrameKind.LIGHT:
            return False
        if self._lights_over is None:
            reason = why_no_light(self._plan, self._devices.mount, self._utc_now(), step.exposure_s)
            if reason is None:
                return False
            left = sum(each.kind is FrameKind.LIGHT for each in self._steps[number:])
            self._lights_over = f"{reason}; {counted_are(left, 'light')} not shot"
            self._emit(events.LightsOver(reason=reason, left=left))
        return True

    async def _frame_boundary(self) -> None:
        if not self._may_go_on.is_set():
            self._set(state=RunState.PAUSED, step_id=None)
            self._emit(events.PlanPaused())
            await self._may_go_on.wait()
            self._emit(events.PlanResumed())

    async def _shoot(self, step: ExposureStep) -> None:
        """Try a step until its frame is durable or it has failed as often as the plan allows."""
        attempt, attempts = 1, 1 + self._plan.options.retries
        while attempt <= attempts:
            try:
                await self._make_ready(step)
                raw = await self._expose(step)
                self._ready.check_pointing(step)
                await self._keep(step, raw)
            except DeviceLostError as error:  # costs no attempt: it is not the step's fault
                await self._reconnect(error)
            except (DeviceError, FrameRefusedError, NotAFitsFileError) as error:
                reason = str(error)
                if isinstance(error, FrameRefusedError):
                    self._ready.forget_temperature()  # it may have been refused for that
                self._emit(
                    events.ExposureFailed(
                        step_id=step.step_id, reason=reason, attempt=attempt, attempts=attempts
                    )
                )
                attempt += 1
                await self._frame_boundary()
            else:
                return
        self._given_up = self._given_up or reason
        self._emit(events.StepGivenUp(step_id=step.step_id, reason=reason))

    async def _make_ready(self, step: ExposureStep) -> None:
        if self._ready.needs_cooling(step):
            self._set(state=RunState.COOLING)
            await self._ready.cool(step)
        if self._ready.needs_slew(step):
            self._set(state=RunState.SLEWING)
            self._closing.mount_moves()
            await self._ready.point()
        await self._ready.select(step)

    async def _expose(self, step: ExposureStep) -> RawFrame:
        camera, settings = self._devices.camera, self._plan.camera
        kind = step.kind.value

        def on_progress(remaining_s: float) -> None:
            self._emit(
                events.ExposureProgress(
                    step_id=step.step_id,
                    kind=kind,
                    filter=step.filter,
                    exposure_s=step.exposure_s,
                    remaining_s=remaining_s,
                )
            )

        self._set(state=RunState.EXPOSING)
        self._emit(
            events.ExposureStarted(
                step_id=step.step_id, kind=kind, filter=step.filter, exposure_s=step.exposure_s
            )
        )
        request = ExposureRequest(
            kind=step.kind,
            exposure_s=step.exposure_s,
            gain=settings.gain,
            offset=settings.offset,
            binning=settings.binning,
        )
        try:
            return await camera.expose(request, on_progress)
        except asyncio.CancelledError:
            with contextlib.suppress(DeviceError):  # it may be gone, and we are leaving
                await camera.abort()
            raise

    async def _keep(self, step: ExposureStep, raw: RawFrame) -> None:
        """Make a frame durable; on a full disk, wait for room with the frame in hand before giving up."""
        self._set(state=RunState.STORING)
        stamp = self._stamp(step, raw)
        patience_ends = self._clock.monotonic() + self._plan.options.disk_full_wait_s
        for wait_s in backoff(1.0, 30.0):
            try:
                await self._finish(self._store_and_say(step, raw, stamp))
            except NotAFitsFileError:
                raise
            except (LibraryError, OSError) as error:
                self._unsaved = f"{step.step_id} was shot and could not be stored: {error}"
                if self._clock.monotonic() + wait_s > patience_ends:
                    raise HopelessError(self._unsaved) from error
                self._emit(events.StoreWaiting(step_id=step.step_id, reason=str(error), retry_in_s=wait_s))
            else:
                self._unsaved = None
                return
            await self._clock.sleep(wait_s)

    async def _finish(self, storing: Awaitable[None]) -> None:
        """Await what a stop must not tear: it is finished first, and then the stop goes on."""
        task = asyncio.ensure_future(storing)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            if error := task.exception():
                self._unsaved = f"the last frame was shot and could not be stored: {error}"
            raise

    async def _store_and_say(self, step: ExposureStep, raw: RawFrame, stamp: Stamp) -> None:
        ref = await self._store(raw.fits, stamp)
        self._stored += 1
        self._reconnecting.frame_came()
        self._set(frames_done=self._now.frames_done + 1)
        self._emit(
            events.FrameStored(
                step_id=step.step_id,
                frame_id=ref.frame_id,
                kind=step.kind.value,
                filter=step.filter,
                exposure_s=step.exposure_s,
                sensor_temp_c=raw.sensor_temp_c,
                path=str(ref.path),
                temperature_c=step.temperature_c,
            )
        )

    def _stamp(self, step: ExposureStep, raw: RawFrame) -> Stamp:
        target = self._plan.target
        return Stamp(
            frame_id=uuid.uuid4().hex,
            kind=step.kind,
            plan_id=self._plan.plan_id,
            step_id=step.step_id,
            exposure_s=step.exposure_s,
            camera=self._devices.camera.name,
            set_temp_c=step.temperature_c,
            sensor_temp_c=raw.sensor_temp_c,
            gain=raw.gain,
            offset=raw.offset,
            read_mode=raw.read_mode,
            filter=step.filter,
            object_name=target.name if target and step.kind is FrameKind.LIGHT else None,
        )

    async def _reconnect(self, error: DeviceLostError) -> None:
        self._ready.forget()
        self._set(state=RunState.RECONNECTING)
        await self._reconnecting.wait(error)

    def _announce(self) -> None:
        plan, devices, target = self._plan, self._devices, self._plan.target
        self._emit(
            events.PlanStarted(
                plan_id=plan.plan_id,
                plan_name=plan.name,
                target=target.name if target else None,
                ra_deg=target.ra_deg if target else None,
                dec_deg=target.dec_deg if target else None,
                lines=plan.lines(self._done),
            )
        )
        self._emit(
            events.EquipmentReady(
                camera=devices.camera.name,
                filter_wheel=devices.wheel.name if devices.wheel else None,
                mount=devices.mount.name if devices.mount else None,
                filters=devices.wheel.filters if devices.wheel else (),
            )
        )

    def _set(self, **changes: Any) -> None:
        self._now = replace(self._now, **changes)
