"""A library shot by day: darks and biases until every set is full, each frame looked at before it counts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acquire.clock import RealClock
from acquire.devices import Observatory
from acquire.errors import DeviceError, FrameRefusedError, HopelessError
from acquire.plan import Plan
from acquire.runner import Runner
from firstlight.events import MasterBuilt, MasterSummary, Summary
from firstlight.frame_preview import FramePreviews
from firstlight.leaks import LeakWatch, Setup, shape_of
from firstlight.night_check import for_camera
from firstlight.shooting_plan import steps_done
from firstlight.stream import EventStream
from library.errors import LibraryError
from library.fitness import temperature_c
from library.frames import FrameKind, FrameRecord, Stamp
from library.masters import build_masters
from library.reading import read_frame
from library.store import Library
from numerics.counting import counted_are

MOST_LEAKS = 3
"""Light leaks in a row after which more of them would be a waste of the day."""

_LEARNT = 5
_OPAQUE = ("dark", "blank", "opaque", "cover", "shutter")


@dataclass(frozen=True, slots=True)
class _Stored:
    frame_id: str
    path: Path


class Shooting:
    """Shoots a plan's sets into one library and builds the masters; has the same doors as a night.

    A frame that is not dark, or not at its temperature, is kept in the library, retired with the reason, and
    its step is shot again.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        library: Library,
        stream: EventStream,
        glows: bool = False,
        previews: FramePreviews | None = None,
    ) -> None:
        self._plan, self._library, self._stream = plan, library, stream
        self._previews = previews
        self._watch = LeakWatch(glows=glows)
        self._learnt: set[Setup] = set()
        self._leaks_in_a_row = 0
        self._refused = 0
        self._masters: list[MasterSummary] = []
        self._runner: Runner | None = None
        self._started = time.monotonic()

    def command(self, word: str) -> None:
        """Obey "pause", "resume" or "stop"."""
        if self._runner is not None:
            {"pause": self._runner.pause, "resume": self._runner.resume, "stop": self._runner.stop}[word]()

    async def run(self, observatory: Observatory) -> Summary:
        """Shoot what is missing, build masters, and sum it up; the summary is the stream's last event."""
        if self._plan.temperatures_c and not observatory.camera.has_cooler:
            self._say(
                f"{observatory.camera.name} has no cooler: shooting at whatever temperature it is", "warning"
            )
            self._plan = for_camera(self._plan, observatory)
        await self._darken(observatory)
        done = await asyncio.to_thread(self._take_stock)
        self._runner = Runner(
            self._plan, observatory, self._store, self._stream.emit, RealClock(), done_steps=done
        )
        outcome = await self._runner.run()
        lines = self._plan.lines(await asyncio.to_thread(self._done))
        missing = sum(line.wanted - line.done for line in lines)
        if outcome == "done" and missing:
            short = counted_are(missing, "frame")
            self._say(f"{short} missing; start the same command again to shoot what is", "warning")
        await self._build_masters()
        summary = Summary(
            outcome=outcome,
            subs_shot=0,
            subs_accepted=0,
            subs_rejected=0,
            stacks=(),
            masters=tuple(self._masters),
            colour_preview=None,
            seconds=round(time.monotonic() - self._started, 3),
            frames=sum(line.done for line in lines),
            frames_missing=missing,
        )
        self._stream.emit(summary)
        return summary

    async def _darken(self, observatory: Observatory) -> None:
        """Turn the wheel to an opaque position if it has one."""
        wheel = observatory.wheel
        opaque = next((name for name in wheel.filters if name.lower() in _OPAQUE), None) if wheel else None
        if wheel is None or opaque is None:
            self._say("no filter named Dark, Blank or Opaque: the telescope must be covered", "warning")
            return
        try:
            await wheel.select(opaque)
            self._say(f"the wheel stands at {opaque}")
        except DeviceError as error:
            self._say(f"{error}: the telescope must be covered", "warning")

    def _say(self, message: str, level: str = "info") -> None:
        self._stream.say(message, level)

    # -- what is there already -------------------------------------------------------------------------

    def _take_stock(self) -> set[str]:
        """The steps that need no shooting.

        Only the newest frame can be one whose refusal a crash cut off, so it is looked at again.
        """
        records = self._library.find(plan_id=self._plan.plan_id)
        if records:
            newest = max(
                records,
                key=lambda record: (record.meta.date_obs is not None, record.meta.date_obs, record.id),
            )
            set_temp_c = newest.meta.set_temp_c
            if reason := self._off_temperature(set_temp_c, newest.meta.sensor_temp_c):
                self._library.retire([newest], reason)
        return self._done()

    def _done(self) -> set[str]:
        return steps_done(self._plan, self._library)

    # -- every frame -----------------------------------------------------------------------------------

    async def _store(self, fits: bytes, stamp: Stamp) -> _Stored:
        """Make a frame durable, and refuse it if it is not what was wanted."""
        record = await asyncio.to_thread(self._library.add, fits, stamp)
        if self._previews is not None:
            self._previews.take(record)
        off = self._off_temperature(stamp.set_temp_c, record.meta.sensor_temp_c)
        leak = None if off else await asyncio.to_thread(self._leak, record)
        if reason := off or leak:
            self._refused += 1
            await asyncio.to_thread(self._library.retire, [record], reason)
            if leak:
                self._leaks_in_a_row += 1
            if self._leaks_in_a_row >= MOST_LEAKS:
                raise HopelessError(
                    f"light gets in: {reason}. {MOST_LEAKS} frames in a row were refused for that; cover the "
                    "telescope, close the dome, and start the same command again"
                )
            raise FrameRefusedError(f"refused and kept aside: {reason}")
        self._leaks_in_a_row = 0
        return _Stored(frame_id=stamp.frame_id, path=record.path)

    def _off_temperature(self, wanted_c: float | None, sensor_c: float | None) -> str | None:
        tolerance_c = self._plan.camera.temperature_tolerance_c
        if wanted_c is None or sensor_c is None or abs(sensor_c - wanted_c) <= tolerance_c + 1e-6:
            return None
        return f"the sensor was at {sensor_c:.1f} °C, not at {wanted_c:g} ± {tolerance_c:g} °C"

    def _leak(self, record: FrameRecord) -> str | None:
        setup = _setup(record)
        self._learn(record, setup)
        shape = shape_of(read_frame(record.path).pixels)
        reason = self._watch.why_not_dark(setup, shape, record.meta.egain_e_per_adu)
        if reason is None:
            self._watch.keep(setup, shape)
        return None if reason is None else f"a light leak: {reason}"

    def _learn(self, new: FrameRecord, setup: Setup) -> None:
        """Before the first frame of a setup, look at some of the library's like it, and at biases."""
        if setup in self._learnt:
            return
        self._learnt.add(setup)
        alike = ("camera", "gain", "offset", "binning", "read_mode", "width", "height")
        records = [
            each
            for kind in (FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT_DARK)
            for each in self._library.find(kind=kind, camera=new.meta.camera, master=False)
            if each.id != new.id and all(getattr(each.meta, k) == getattr(new.meta, k) for k in alike)
        ]
        known = Counter[Setup]()
        for each in reversed(records):
            own = _setup(each)
            if own.temp_c == setup.temp_c and own.exposure_s in {0.0, setup.exposure_s}:
                known[own] += 1
                if known[own] <= _LEARNT and (own == setup or own not in self._learnt):
                    self._watch.keep(own, shape_of(read_frame(each.path).pixels))
        self._learnt.update(known)

    # -- the end ---------------------------------------------------------------------------------------

    async def _build_masters(self) -> None:
        """Masters of this plan's frames, and of the whole library's what is derived from many of them."""
        told: list[tuple[str, str]] = []

        def tell(level: str) -> Callable[[str], None]:
            return lambda reason: told.append((reason, level))

        def build() -> list[FrameRecord]:
            from library.dark_model import build_dark_models  # heavy, and wanted at the end alone
            from library.defects import build_defect_maps

            masters = build_masters(
                self._library,
                plan_id=self._plan.plan_id,
                on_refused=tell("error"),
                on_left_out=tell("warning"),
            )
            maps = build_defect_maps(self._library, on_refused=tell("info"))
            return [*masters, *maps, *build_dark_models(self._library, on_refused=tell("info"))]

        self._say("building masters, defect maps and dark models")
        try:
            built = await asyncio.to_thread(build)
        except LibraryError as error:
            built = []
            told.append((str(error), "error"))
        for reason, level in told:
            self._say(reason, level)
        for master in built:
            meta = master.meta
            self._masters.append(
                MasterSummary(kind=meta.kind.value, path=str(master.path), n_frames=meta.n_combined)
            )
            self._stream.emit(
                MasterBuilt(
                    kind=meta.kind.value,
                    path=str(master.path),
                    n_frames=meta.n_combined,
                    exposure_s=meta.exposure_s,
                    filter=meta.filter,
                )
            )


def _setup(record: FrameRecord) -> Setup:
    meta = record.meta
    temp_c = meta.set_temp_c if meta.set_temp_c is not None else temperature_c(meta)
    exposure_s = 0.0 if meta.kind is FrameKind.BIAS else meta.exposure_s or 0.0
    return Setup(exposure_s, None if temp_c is None else float(np.round(temp_c)))
