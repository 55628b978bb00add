"""Events as a person would tell them: one line each, for the log and for a night without a screen."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import acquire.events as acq
import livestack.events as stk
from firstlight.choices import UNFIT, in_a_line
from firstlight.events import (
    CalibrationChosen,
    Compiling,
    DarkScaled,
    Log,
    MasterBuilt,
    RunStarted,
    Stamped,
    SubGraded,
    Summary,
)
from numerics.counting import counted, counted_are

if TYPE_CHECKING:
    from firstlight.snapshot import NightState

_OF_A_SUB = (stk.SubAccepted, stk.SubRejected, SubGraded)
_CLOSING = {
    ("park", "started"): "parking {}",
    ("park", "done"): "{} is parked",
    ("stop tracking", "started"): "stopping {}",
    ("stop tracking", "done"): "{} does not track any more",
    ("warm up", "started"): "warming {} up",
    ("warm up", "done"): "{} is warm, its cooler off",
}


def describe(stamped: Stamped, state: NightState | None = None) -> str | None:
    """One line for an event worth a line, else None; ``state`` has the numbers that subs are known by."""
    text, event = _tell(stamped.event), stamped.event
    if text is not None and state is not None and isinstance(event, _OF_A_SUB):
        number = state.number_of(event.frame_id)
        text = text if number is None else text.replace("sub", f"sub {number}", 1)
    return text


def level(stamped: Stamped) -> str:
    """How loud the line is: "info", "warning" or "error"."""
    match stamped.event:
        case Log(level=said):
            return said
        case acq.PlanEnded(outcome="failed") | acq.ConnectionLost() | acq.StoreWaiting():
            return "error"
        case CalibrationChosen(choices=choices) if any(each.coverage in UNFIT for each in choices):
            return "warning"
        case acq.Retrying() | acq.LightsOver() | acq.Closing(outcome="failed"):
            return "warning"
        case acq.ExposureFailed() | acq.StepGivenUp() | stk.SubRejected():
            return "warning"
        case _:
            return "info"


def duration(seconds: float) -> str:
    """A span of time at a glance: ``45 s``, ``12 min``, ``3 h 05``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d}"


def figure(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else format(value, form)


def exposure(seconds: float) -> str:
    """An exposure time without idle digits: ``120 s``, ``0.001 s``."""
    return f"{seconds:g} s"


def frame_name(kind: str, filter_name: str | None, exposure_s: float) -> str:
    """What is being shot: ``light L 120 s``."""
    return " ".join(filter(None, (kind.replace("_", " "), filter_name, exposure(exposure_s))))


def coordinates(ra_deg: float, dec_deg: float) -> str:
    """Right ascension and declination, ``19h59m36s +22°43′``."""
    ra_s = round(ra_deg % 360 * 240) % 86400
    dec_m = round(abs(dec_deg) * 60)
    sign = "−" if dec_deg < 0 else "+"
    return (
        f"{ra_s // 3600:02d}h{ra_s // 60 % 60:02d}m{ra_s % 60:02d}s {sign}{dec_m // 60:02d}°{dec_m % 60:02d}′"
    )


@singledispatch
def _tell(event: object) -> str | None:  # noqa: ARG001 - the fallback: not worth a line
    return None


@_tell.register
def _(event: RunStarted) -> str:
    again = ", going on where an earlier run left off" if event.resumed else ""
    return f"firstlight {event.version} on {event.root}{again}"


@_tell.register
def _(event: Log) -> str:
    return event.message


@_tell.register
def _(event: acq.PlanStarted) -> str:
    lights = [line for line in event.lines if line.kind == "light"]
    wanted, done = sum(line.wanted for line in lights), sum(line.done for line in lights)
    target = f" of {event.target}" if event.target else ""
    if not lights:
        wanted, done = (sum(each) for each in zip(*((x.wanted, x.done) for x in event.lines), strict=True))
        return f"plan {event.plan_name}: {counted(wanted, 'frame')}" + (
            f", {done} there already" if done else ""
        )
    return f"plan {event.plan_name}: {counted(wanted, 'sub')}{target}" + (
        f", {done} there already" if done else ""
    )


@_tell.register
def _(event: acq.EquipmentReady) -> str:
    return "connected: " + ", ".join(filter(None, (event.camera, event.filter_wheel, event.mount)))


@_tell.register
def _(event: acq.CoolingStarted) -> str:
    return f"cooling to {event.target_temp_c:g} °C, which may take {duration(event.timeout_s)}"


@_tell.register
def _(event: acq.Retrying) -> str:
    return (
        f"{event.what} failed ({event.attempt} of {event.attempts}): {event.reason}; "
        f"trying again in {duration(event.retry_in_s)}"
    )


@_tell.register
def _(event: acq.LightsOver) -> str:
    return f"no more lights: {event.reason}; {counted_are(event.left, 'light')} not shot"


@_tell.register
def _(event: acq.Closing) -> str:
    if event.outcome == "failed":
        return f"cannot {event.action} {event.device}: {event.reason}"
    told = _CLOSING.get((event.action, event.outcome), f"{event.action} of {{}}: {event.outcome}")
    return told.format(event.device)


@_tell.register
def _(event: acq.CoolingDone) -> str:
    return f"sensor at {event.sensor_temp_c:.1f} °C"


@_tell.register
def _(event: acq.SlewStarted) -> str:
    return f"slewing to {event.target}, {coordinates(event.ra_deg, event.dec_deg)}"


@_tell.register
def _(event: acq.SlewDone) -> str:
    return f"on {event.target}"


@_tell.register
def _(event: acq.FilterSelected) -> str:
    return f"filter {event.filter}"


@_tell.register
def _(event: acq.ExposureFailed) -> str:
    return f"exposure failed ({event.attempt} of {event.attempts}): {event.reason}"


@_tell.register
def _(event: acq.StepGivenUp) -> str:
    return f"step given up: {event.reason}"


@_tell.register
def _(event: acq.StoreWaiting) -> str:
    return f"frame cannot be stored: {event.reason}; trying again in {duration(event.retry_in_s)}"


@_tell.register
def _(event: acq.FrameStored) -> str:
    number = event.step_id.rpartition("-")[2]
    name = frame_name(event.kind, event.filter, event.exposure_s)
    return f"stored {name}" + (f", number {int(number)}" if number.isdecimal() else "")


@_tell.register
def _(event: acq.ConnectionLost) -> str:
    return f"lost {event.what}: {event.reason}; waiting for it"


@_tell.register
def _(event: acq.ConnectionRestored) -> str:
    return f"{event.what} is back"


@_tell.register
def _(_event: acq.PlanPaused) -> str:
    return "paused"


@_tell.register
def _(_event: acq.PlanResumed) -> str:
    return "going on"


@_tell.register
def _(event: acq.PlanEnded) -> str:
    return f"plan {event.outcome}" + (f": {event.reason}" if event.reason else "")


@_tell.register
def _(event: MasterBuilt) -> str:
    derived = {"defects": "defect map", "dark_model": "dark model"}
    if event.kind in derived:
        return f"{derived[event.kind]} from {counted(event.n_frames, 'frame')}"
    name = " ".join(filter(None, (event.kind.replace("_", " "), event.filter)))
    length = f" of {exposure(event.exposure_s)}" if event.exposure_s else ""
    return f"master {name} from {counted(event.n_frames, 'frame')}{length}"


@_tell.register
def _(event: Compiling) -> str | None:
    if event.done in {0.0, 1.0}:
        return "compiled" if event.done else "compiling for this machine, once; exposures go on meanwhile"
    return None


@_tell.register
def _(event: CalibrationChosen) -> str:
    name = " ".join(filter(None, ("calibration", event.filter)))
    return f"{name}: {in_a_line(event.choices)}"


@_tell.register
def _(event: DarkScaled) -> str:
    name = " ".join(filter(None, ("dark", event.filter)))
    if not event.from_light:
        return f"{name} applied ×{event.factor:.3f}, not scaled to the light: {event.reason}"
    return f"{name} scaled ×{event.factor:.3f} ± {event.error:.3f}, {event.reason}"


@_tell.register
def _(event: stk.SubAccepted) -> str:
    name = " ".join(filter(None, ("sub", event.filter)))
    return f"{name} stacked: FWHM {event.fwhm_px:.1f} px, {counted(event.n_matches, 'star')} matched"


@_tell.register
def _(event: stk.SubRejected) -> str:
    name = " ".join(filter(None, ("sub", event.filter)))
    return f"{name} rejected, {event.reason}: {event.detail}"


@_tell.register
def _(event: SubGraded) -> str | None:
    if event.by == "stack" or (event.inside and event.by == "rules" and not event.reason):
        return None  # told as stacked or rejected
    name = " ".join(filter(None, ("sub", event.filter)))
    verdict = "back in" if event.inside else "taken out"
    by = {"hand": " by hand", "weight": ""}.get(event.by, " by the rules")
    return f"{name} {verdict}{by}" + (f": {event.reason}" if event.reason else "")


@_tell.register
def _(event: Summary) -> str:
    if event.frames is not None:
        wanted = counted(event.frames + event.frames_missing, "frame")
        return (
            f"{event.outcome}: {event.frames} of {wanted} there, "
            f"{counted(len(event.masters), 'master')} built, in {duration(event.seconds)}"
        )
    return (
        f"night {event.outcome}: {counted(event.subs_shot, 'sub')} shot, {event.subs_accepted} accepted, "
        f"{event.subs_rejected} rejected, in {duration(event.seconds)}"
    )
