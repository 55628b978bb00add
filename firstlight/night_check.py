"""What is looked at before a night starts, so that what cannot work is one sentence and not a lost night."""

from __future__ import annotations

import shutil
from collections.abc import Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from acquire.clock import Clock, RealClock
from acquire.devices import Observatory
from acquire.errors import PlanError
from acquire.plan import Plan
from acquire.preflight import check_plan, forecast, frame_bytes
from firstlight.errors import FirstlightError

_FEWEST_FRAMES = 10
"""A night that has room for less is not begun."""
_WATCHED_S = 2.0
_LATE_S = 5.0


class Say(Protocol):
    """Tells a line."""

    def __call__(self, message: str, level: str = "warning", /) -> None:
        """Tell it."""


async def check_night(
    plan: Plan,
    observatory: Observatory,
    *,
    done: Set[str],
    disk_of: Path,
    busy_is_ours: bool,
    say: Say,
    clock: Clock | None = None,
) -> None:
    """Raise ``PlanError`` or :class:`FirstlightError` for a night that cannot be; tell what else is known.

    ``done`` are the steps that need no shooting; frames go onto the disk of ``disk_of``. ``busy_is_ours``: an
    exposure that still runs was begun by a run of ours that was killed.
    """
    now = datetime.now(UTC)
    plan = for_camera(plan, observatory)
    await _check_plan(plan, observatory, now, clock or RealClock())
    if not busy_is_ours:
        await _check_free(observatory, clock or RealClock())
    left = sum(step.step_id not in done for step in plan.steps())
    _check_room(plan, observatory, left, disk_of, say)
    for line in forecast(plan, observatory, now):
        say(line, "info")


def for_camera(plan: Plan, observatory: Observatory) -> Plan:
    """The plan as this camera can shoot it: a calibration library goes without a cooler, a night does not."""
    if plan.lights or observatory.camera.has_cooler:
        return plan
    return plan.as_warm_as_it_is()


async def _check_plan(plan: Plan, observatory: Observatory, now: datetime, clock: Clock) -> None:
    """Check the plan; what is missing is given a little time: drivers define things in no haste."""
    ends_s = clock.monotonic() + _LATE_S
    while True:
        try:
            return check_plan(plan, observatory, now)
        except PlanError:
            if clock.monotonic() >= ends_s:
                raise
        await clock.sleep(0.5)


async def _check_free(observatory: Observatory, clock: Clock) -> None:
    """Refuse a camera whose seconds count down: another program exposes with it."""
    camera = observatory.camera
    before_s = camera.exposing_s
    if not before_s:
        return
    await clock.sleep(_WATCHED_S)
    left_s = camera.exposing_s
    if left_s is not None and left_s < before_s:
        raise FirstlightError(
            f"{camera.name} is exposing ({left_s:.0f} s to go) and no run of ours began it: "
            "end the other program's exposure, or wait for it, and start again"
        )


def _check_room(plan: Plan, observatory: Observatory, left: int, disk_of: Path, say: Say) -> None:
    size = frame_bytes(plan, observatory.camera.limits)
    if not size or not left:
        return
    free, needed = shutil.disk_usage(disk_of).free, size * left
    room = f"{free / 1e9:.1f} GB free and the plan may need {needed / 1e9:.1f} GB"
    if free < size * min(left, _FEWEST_FRAMES):
        raise FirstlightError(
            f"the disk of {disk_of} has {room}: make room, or give another folder with --library"
        )
    if free < needed:
        say(f"the disk has {room}: make room")
