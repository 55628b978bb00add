"""One night: the runner's frames become durable, find their masters, and go to the stack."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from acquire.clock import RealClock
from acquire.devices import Observatory
from acquire.events import AcquireEvent, ExposureStarted
from acquire.plan import Plan
from acquire.runner import Runner
from firstlight.asking import Ask
from firstlight.camera_figures import known_camera, setting_of
from firstlight.choices import gist, used
from firstlight.choosing import choose
from firstlight.events import Answer, CalibrationChosen, MasterBuilt, MasterSummary, Summary
from firstlight.frame_preview import FramePreviews
from firstlight.stacker import Job
from firstlight.stacker_link import Stacked, StackerLink
from firstlight.stream import EventStream
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta, FrameRecord, Stamp
from library.masters import build_masters
from library.naming import told_name
from library.store import Library
from livestack.noise_budget import Camera
from numerics.counting import counted


@dataclass(frozen=True, slots=True)
class _Stored:
    frame_id: str
    path: Path


class Night:
    """Shoots one plan into one library and stacks what it shot; all of it on one event loop.

    Acquisition waits for the disk and for nothing else: lights go to the stack through a queue, and what
    goes wrong there is told and left behind.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        library: Library,
        stream: EventStream,
        stacker: StackerLink,
        previews: FramePreviews | None = None,
    ) -> None:
        self._plan, self._library, self._stream, self._stacker = plan, library, stream, stacker
        self._lights: asyncio.Queue[FrameRecord | Ask | None] = asyncio.Queue()
        """Lights as they come, and what is wanted between them; None: the masters alone."""

        self._previews = previews
        self._restacks = 0
        self._finishing = False
        self._cameras: dict[object, Camera] = {}
        self._masters: dict[Path, MasterSummary] = {}
        self._told: dict[str | None, object] = {}
        self._masters_stale = True
        self._runner: Runner | None = None
        self._started = time.monotonic()

    def command(self, word: str) -> None:
        """Obey "pause", "resume" or "stop"."""
        if self._runner is not None:
            {"pause": self._runner.pause, "resume": self._runner.resume, "stop": self._runner.stop}[word]()

    def ask(self, ask: Ask) -> None:
        """Do what is asked of the stack; the answer is an event."""
        if self._finishing:
            text = "the night is ending: start it again to change its stack"
            self._stream.emit(Answer(token=ask.token, refused=True, text=text))
        elif ask.word == "restack":
            self._restacks += 1
            self._lights.put_nowait(ask)
        else:
            self._stacker.ask(ask)

    async def run(self, observatory: Observatory) -> Summary:
        """Shoot what is missing, stack everything, and sum it up; the summary is the stream's last event."""
        plan_id = self._plan.plan_id
        done = await asyncio.to_thread(self._library.done_steps, plan_id)
        for record in await self._shot():
            self._lights.put_nowait(record)
        self._runner = Runner(self._plan, observatory, self._store, self._tell, RealClock(), done_steps=done)
        helpers = [asyncio.create_task(self._stacker.run()), asyncio.create_task(self._feed())]
        try:
            outcome = await self._runner.run()
            await self._lights.join()
            await self._stacker.drained()
            await self._restack_if_masters_changed()
            await self._all_stacked()
            self._finishing = True
            stacked = await self._stacker.finish()
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
        summary = await self._summary(outcome, stacked)
        self._stream.emit(summary)
        return summary

    async def _shot(self) -> list[FrameRecord]:
        return await asyncio.to_thread(self._library.find, kind=FrameKind.LIGHT, plan_id=self._plan.plan_id)

    def _tell(self, event: AcquireEvent) -> None:
        """Pass a runner's event on; with the first light's exposure, its masters are begun."""
        self._stream.emit(event)
        if isinstance(event, ExposureStarted) and event.kind == FrameKind.LIGHT and self._masters_stale:
            self._lights.put_nowait(None)

    async def _store(self, fits: bytes, stamp: Stamp) -> _Stored:
        record = await asyncio.to_thread(self._library.add, fits, stamp)
        if self._previews is not None:
            self._previews.take(record)
        if stamp.kind is FrameKind.LIGHT:
            self._lights.put_nowait(record)
        else:
            self._masters_stale = True
        return _Stored(frame_id=stamp.frame_id, path=record.path)

    def _warn(self, message: str, level: str = "warning") -> None:
        self._stream.say(message, level)

    # -- from the library to the stack -----------------------------------------------------------------

    async def _feed(self) -> None:
        """Give every durable light to the stack, with the masters that fit it."""
        while True:
            light = await self._lights.get()
            what = told_name(light.path) if isinstance(light, FrameRecord) else "the night"
            try:
                await self._build_masters()
                if isinstance(light, Ask):
                    await self._restack(light)
                elif light is not None:
                    self._stacker.add(await self._job(light))
            except LibraryError as error:
                self._warn(f"{what} was not stacked: {error}", level="error")
            except Exception as error:  # noqa: BLE001 - a fault of ours here must not end the night
                traceback.print_exc()
                self._warn(f"{what} was not stacked: {error!r}; see session.log", level="error")
            finally:
                self._lights.task_done()

    async def _all_stacked(self) -> None:
        """Return when nothing that was wished for meanwhile is left to do."""
        await self._stacker.drained()
        while self._restacks:
            await self._lights.join()
            await self._stacker.drained()

    async def _restack(self, ask: Ask) -> None:
        """Everything again, with the best masters that there are now."""
        try:
            jobs = [await self._job(record) for record in await self._shot()]
            await self._stacker.restack(jobs)
        finally:
            self._restacks -= 1
        self._stream.emit(
            Answer(token=ask.token, refused=False, text=f"stacking {counted(len(jobs), 'sub')} again")
        )

    async def _build_masters(self) -> None:
        """Build what new calibration frames allow; what cannot be built is told, and the night goes on."""
        if not self._masters_stale:
            return
        self._masters_stale = False
        self._cameras.clear()
        refused: list[str] = []
        left_out: list[str] = []
        build = partial(
            build_masters,
            self._library,
            plan_id=self._plan.plan_id,
            on_refused=refused.append,
            on_left_out=left_out.append,
        )
        try:
            built = await asyncio.to_thread(build)
        except LibraryError as error:
            built = []
            refused.append(str(error))
        for reason in left_out:
            self._warn(reason)
        for reason in refused:
            self._warn(reason, level="error")
        for master in built:
            self._note(master)
            meta = master.meta
            self._stream.emit(
                MasterBuilt(
                    kind=meta.kind.value,
                    path=str(master.path),
                    n_frames=meta.n_combined,
                    exposure_s=meta.exposure_s,
                    filter=meta.filter,
                )
            )

    def _note(self, master: FrameRecord) -> None:
        self._masters[master.path] = MasterSummary(
            kind=master.meta.kind.value, path=str(master.path), n_frames=master.meta.n_combined
        )

    async def _job(self, record: FrameRecord) -> Job:
        """Find the light's masters, and tell them when they are others than before."""
        found, choices = await asyncio.to_thread(choose, self._library, record.meta)
        for answer in (found.dark, found.bias, found.flat, found.defects):
            if answer.fitting is not None:
                self._note(answer.fitting)
        if self._told.get(record.meta.filter) != gist(choices):
            self._told[record.meta.filter] = gist(choices)
            self._stream.emit(CalibrationChosen(filter=record.meta.filter, choices=choices))
        assert record.meta.frame_id is not None
        camera = await self._camera(record.meta)
        return Job(frame_id=record.meta.frame_id, path=str(record.path), choices=choices, camera=camera)

    async def _camera(self, light: FrameMeta) -> Camera:
        """What the library's frames tell of the light's camera; measured once for each of its settings."""
        setting = setting_of(light)
        if setting not in self._cameras:
            self._cameras[setting] = await asyncio.to_thread(known_camera, self._library, light)
        return self._cameras[setting]

    async def _restack_if_masters_changed(self) -> None:
        """Calibration frames shot after the lights give the whole stack its masters."""
        await self._build_masters()
        try:
            jobs = [await self._job(record) for record in await self._shot()]
        except LibraryError as error:
            self._warn(f"the stack keeps the masters it has: {error}", level="error")
            return
        if any(self._stacker.calibrated_as(job.frame_id) != used(job.choices) for job in jobs):
            self._warn("there are better masters now: stacking again", level="info")
            await self._stacker.restack(jobs)

    async def _summary(self, outcome: str, stacked: Stacked) -> Summary:
        shot = {record.meta.frame_id for record in await self._shot()}
        accepted = sum(self._stacker.inside(frame_id) for frame_id in shot if frame_id is not None)
        return Summary(
            outcome=outcome,
            subs_shot=len(shot),
            subs_accepted=accepted,
            subs_rejected=len(shot) - accepted,
            stacks=stacked.stacks,
            masters=tuple(self._masters[path] for path in sorted(self._masters)),
            colour_preview=stacked.colour,
            seconds=round(time.monotonic() - self._started, 3),
        )
