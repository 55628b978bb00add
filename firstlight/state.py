"""The night at a glance: a frozen snapshot, made from the stream one event at a time.

``reduce`` costs the same for the first event of a night and for the thousandth: what grows is bounded. A
state replayed from the journal equals the live one but for what is shown and not kept (cooler on its way,
seconds left of an exposure, stack queue).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import singledispatch

import acquire.events as acq
import livestack.events as stk
from firstlight.events import (
    EPHEMERAL,
    AdviceGiven,
    CalibrationChosen,
    Compiling,
    FrameShown,
    MasterBuilt,
    Restacking,
    RunStarted,
    StackQueue,
    Stamped,
    SubGraded,
    Summary,
)
from firstlight.pace import Series
from firstlight.snapshot import (
    Cooler,
    Exposure,
    FilterStack,
    LogLine,
    NightState,
    Phase,
    Picture,
    Sub,
    Target,
)
from firstlight.telling import describe, frame_name, level

__all__ = ["NightState", "Phase", "describe", "reduce", "reduce_all"]

MOST_SUBS = 4000
MOST_LOG = 400
_FIGURES = (
    "fwhm_px",
    "roundness",
    "stars",
    "background_adu",
    "noise_adu",
    "transparency",
    "rms_px",
    "weight",
)


def reduce(state: NightState, stamped: Stamped) -> NightState:
    """The night after one more event."""
    if isinstance(stamped.event, RunStarted):
        state = NightState(root=stamped.event.root)
    state = _apply(stamped.event, state, stamped.time)
    if isinstance(stamped.event, EPHEMERAL):
        return state
    text = describe(stamped, state)
    log = state.log if text is None else (*state.log, LogLine(stamped.time, level(stamped), text))[-MOST_LOG:]
    return replace(state, run=stamped.run, time=stamped.time, log=log)


def reduce_all(stream: Iterable[Stamped]) -> NightState:
    """The night after all these events."""
    state = NightState()
    for stamped in stream:
        state = reduce(state, stamped)
    return state


@singledispatch
def _apply(event: object, state: NightState, time: datetime) -> NightState:  # noqa: ARG001 - the fallback
    return state


@_apply.register
def _(event: acq.PlanStarted, state: NightState, _time: datetime) -> NightState:
    return replace(
        state,
        plan_name=event.plan_name,
        target_name=event.target,
        lines=event.lines,
        ending=None,
        summary=None,
    )


@_apply.register
def _(event: acq.EquipmentReady, state: NightState, _time: datetime) -> NightState:
    return replace(state, equipment=event, lost=None)


@_apply.register
def _(event: acq.CoolingProgress, state: NightState, _time: datetime) -> NightState:
    cooler = Cooler(event.sensor_temp_c, event.target_temp_c, event.power_percent, event.left_s)
    first = state.cooler is None and state.activity is not Phase.CLOSING
    activity = Phase.COOLING if first else state.activity
    return replace(state, cooler=cooler, activity=activity)


@_apply.register
def _(_event: acq.CoolingStarted, state: NightState, _time: datetime) -> NightState:
    return replace(state, activity=Phase.COOLING, pace_mark=None)


@_apply.register
def _(event: acq.Closing, state: NightState, _time: datetime) -> NightState:
    closing = event if event.outcome == "started" else None
    return replace(state, closing=closing, activity=Phase.CLOSING, exposure=None, pace_mark=None)


@_apply.register
def _(event: acq.CoolingDone, state: NightState, _time: datetime) -> NightState:
    power = state.cooler.power_percent if state.cooler else None
    activity = Phase.WAITING if state.activity is Phase.COOLING else state.activity
    cooler = Cooler(event.sensor_temp_c, event.target_temp_c, power)
    return replace(state, cooler=cooler, activity=activity, pace_mark=None)


@_apply.register
def _(event: acq.SlewStarted, state: NightState, _time: datetime) -> NightState:
    target = Target(event.target, event.ra_deg, event.dec_deg)
    return replace(state, target=target, activity=Phase.SLEWING, pace_mark=None)


@_apply.register
def _(event: acq.SlewDone, state: NightState, _time: datetime) -> NightState:
    return replace(state, target=Target(event.target, event.ra_deg, event.dec_deg), activity=Phase.WAITING)


@_apply.register
def _(event: acq.FilterSelected, state: NightState, _time: datetime) -> NightState:
    return replace(state, filter=event.filter)


@_apply.register
def _(event: acq.ExposureStarted, state: NightState, time: datetime) -> NightState:
    activity = Phase.LIGHTS if event.kind == "light" else Phase.CALIBRATION
    exposure = Exposure(event.step_id, event.kind, event.filter, event.exposure_s, event.exposure_s)
    return replace(state, exposure=exposure, activity=activity, pace_mark=state.pace_mark or time)


@_apply.register
def _(event: acq.ExposureProgress, state: NightState, _time: datetime) -> NightState:
    if state.exposure is None or state.exposure.step_id != event.step_id:
        return state  # late: that exposure is over
    return replace(state, exposure=replace(state.exposure, remaining_s=event.remaining_s))


@_apply.register
def _(_event: acq.ExposureFailed, state: NightState, _time: datetime) -> NightState:
    return replace(state, exposure=None, pace_mark=None)


@_apply.register
def _(_event: acq.StepGivenUp, state: NightState, _time: datetime) -> NightState:
    return replace(state, exposure=None, pace_mark=None)


@_apply.register
def _(_event: acq.StoreWaiting, state: NightState, _time: datetime) -> NightState:
    return replace(state, pace_mark=None)


@_apply.register
def _(event: acq.FrameStored, state: NightState, time: datetime) -> NightState:
    pace = state.pace
    if state.pace_mark is not None:
        pace = pace.add(event.exposure_s, (time - state.pace_mark).total_seconds())
    lines = _one_more(state.lines, event)
    cooler = state.cooler
    if cooler and event.sensor_temp_c is not None:
        cooler = replace(cooler, sensor_temp_c=event.sensor_temp_c)
    return replace(state, lines=lines, exposure=None, pace=pace, pace_mark=time, cooler=cooler)


def _one_more(lines: tuple[acq.SequenceLine, ...], frame: acq.FrameStored) -> tuple[acq.SequenceLine, ...]:
    """Count a frame on the first line it fits that still wants one."""
    for index, line in enumerate(lines):
        wanted = (line.kind, line.filter, line.exposure_s, line.temperature_c)
        if (
            wanted == (frame.kind, frame.filter, frame.exposure_s, frame.temperature_c)
            and line.done < line.wanted
        ):
            return (*lines[:index], replace(line, done=line.done + 1), *lines[index + 1 :])
    return lines


@_apply.register
def _(event: acq.ConnectionLost, state: NightState, _time: datetime) -> NightState:
    return replace(state, lost=event.what, exposure=None, pace_mark=None)


@_apply.register
def _(_event: acq.ConnectionRestored, state: NightState, _time: datetime) -> NightState:
    return replace(state, lost=None)


@_apply.register
def _(_event: acq.PlanPaused, state: NightState, _time: datetime) -> NightState:
    return replace(state, paused=True, pace_mark=None)


@_apply.register
def _(_event: acq.PlanResumed, state: NightState, _time: datetime) -> NightState:
    return replace(state, paused=False)


@_apply.register
def _(event: acq.PlanEnded, state: NightState, _time: datetime) -> NightState:
    return replace(state, ending=event, exposure=None, paused=False, lost=None, closing=None)


@_apply.register
def _(event: Summary, state: NightState, _time: datetime) -> NightState:
    return replace(state, summary=event, exposure=None, stack_queue=0, compiling=None, restacking=())


@_apply.register
def _(event: MasterBuilt, state: NightState, _time: datetime) -> NightState:
    return replace(state, masters=(*(each for each in state.masters if each.path != event.path), event))


@_apply.register
def _(event: CalibrationChosen, state: NightState, _time: datetime) -> NightState:
    return replace(state, calibration=event)


@_apply.register
def _(event: Compiling, state: NightState, _time: datetime) -> NightState:
    return replace(state, compiling=None if event.done >= 1 else event.done)


@_apply.register
def _(event: FrameShown, state: NightState, _time: datetime) -> NightState:
    revision = 1 if state.newest is None else state.newest.revision + 1
    name = frame_name(event.kind, event.filter, event.exposure_s)
    return replace(state, newest=Picture(name, event.path, event.width, event.height, revision))


@_apply.register
def _(event: StackQueue, state: NightState, _time: datetime) -> NightState:
    return replace(state, stack_queue=event.waiting)


@_apply.register
def _(event: stk.SubAccepted, state: NightState, _time: datetime) -> NightState:
    judged = _judge(
        state,
        Sub(
            number=state.subs_accepted + state.subs_rejected + 1,
            frame_id=event.frame_id,
            filter=event.filter,
            accepted=True,
            fwhm_px=event.fwhm_px,
            noise_adu=event.noise_adu,
            n_matches=event.n_matches,
            background_adu=event.background_adu,
            rms_px=event.rms_px,
        ),
    )
    if judged.subs_accepted == state.subs_accepted:  # accepted before: its point is drawn already
        return judged
    stack = _stack(judged, event.filter)
    number = judged.subs_accepted + judged.subs_rejected
    return _with_stack(judged, replace(stack, fwhm=stack.fwhm.add(number, event.fwhm_px)))


@_apply.register
def _(event: stk.SubRejected, state: NightState, _time: datetime) -> NightState:
    number = state.subs_accepted + state.subs_rejected + 1
    return _judge(
        state,
        Sub(number, event.frame_id, event.filter, accepted=False, reason=event.reason, detail=event.detail),
    )


@_apply.register
def _(event: SubGraded, state: NightState, _time: datetime) -> NightState:
    old = next((each for each in reversed(state.subs) if each.frame_id == event.frame_id), None)
    number = state.subs_accepted + state.subs_rejected + 1
    before = old or Sub(number, event.frame_id, event.filter, accepted=event.inside)
    figures = {name: getattr(event, name) for name in _FIGURES if getattr(event, name) is not None}
    reason = event.reason or ("" if event.inside else before.reason)
    detail = before.detail if reason == before.reason else ""
    judged = replace(before, accepted=event.inside, by=event.by, reason=reason, detail=detail, **figures)
    return _judge(state, judged)


@_apply.register
def _(event: Restacking, state: NightState, _time: datetime) -> NightState:
    others = tuple(each for each in state.restacking if each.filter != event.filter)
    return replace(state, restacking=others if event.done >= 1 else (*others, event))


@_apply.register
def _(event: AdviceGiven, state: NightState, _time: datetime) -> NightState:
    return _with_stack(state, replace(_stack(state, event.filter), advice=event.advice))


def _judge(state: NightState, sub: Sub) -> NightState:
    """Put a verdict down; one on a sub judged before takes the old one's place."""
    for index, old in enumerate(state.subs):
        if old.frame_id == sub.frame_id:
            subs = (*state.subs[:index], replace(sub, number=old.number), *state.subs[index + 1 :])
            break
    else:
        old, subs = None, (*state.subs, sub)[-MOST_SUBS:]
    return replace(
        state,
        subs=subs,
        subs_accepted=state.subs_accepted + sub.accepted - (old is not None and old.accepted),
        subs_rejected=state.subs_rejected + (not sub.accepted) - (old is not None and not old.accepted),
    )


@_apply.register
def _(event: stk.StackUpdated, state: NightState, _time: datetime) -> NightState:
    old = _stack(state, event.filter)
    before = Series() if event.subs < old.subs else old.noise  # the stack was made anew
    noise = before if event.subs == old.subs else before.add(event.subs, event.noise_adu)
    return _with_stack(
        state,
        FilterStack(
            filter=event.filter,
            subs=event.subs,
            exposure_s=event.exposure_s,
            fwhm_px=event.fwhm_px,
            noise_adu=event.noise_adu,
            sub_noise_adu=event.sub_noise_adu,
            snr_gain=event.snr_gain,
            rejected_fraction=event.rejected_fraction,
            advice=old.advice,
            noise=noise,
            fwhm=old.fwhm,
        ),
    )


def _stack(state: NightState, filter_name: str | None) -> FilterStack:
    return next((each for each in state.stacks if each.filter == filter_name), FilterStack(filter_name))


def _with_stack(state: NightState, stack: FilterStack) -> NightState:
    if any(each.filter == stack.filter for each in state.stacks):
        return replace(
            state, stacks=tuple(stack if each.filter == stack.filter else each for each in state.stacks)
        )
    return replace(state, stacks=(*state.stacks, stack))


@_apply.register
def _(event: stk.PictureUpdated, state: NightState, _time: datetime) -> NightState:
    old = next((each for each in state.pictures if each.filter == event.filter), None)
    new = Picture(event.filter, event.path, event.width, event.height, old.revision + 1 if old else 1)
    if old is None:
        return replace(state, pictures=(*state.pictures, new))
    return replace(
        state, pictures=tuple(new if each.filter == event.filter else each for each in state.pictures)
    )
