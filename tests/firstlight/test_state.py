"""The night's state: replay, bounds, and estimates."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import acquire.events as acq
import livestack.events as stk
from firstlight.events import EPHEMERAL, Event, Stamped, decode, encode
from firstlight.pace import MOST_POINTS, Pace, Series
from firstlight.snapshot import NightState, Phase
from firstlight.state import MOST_LOG, MOST_SUBS, describe, reduce, reduce_all
from tests.tui.nights import START, Night, in_progress, whole


def stamped(event: Event, after_s: float = 0.0) -> Stamped:
    return Stamped(time=START + timedelta(seconds=after_s), run="r", event=event)


def lasting(state: NightState) -> NightState:
    """Without what is shown and not kept."""
    exposure = state.exposure and replace(state.exposure, remaining_s=0.0)
    return replace(state, cooler=None, exposure=exposure, stack_queue=0)


def test_a_whole_night_adds_up() -> None:
    state = reduce_all(whole().stream)
    assert state.phase is Phase.ENDED
    assert (state.subs_accepted, state.subs_rejected, state.lights_done) == (38, 2, 40)
    assert [(s.filter, s.subs) for s in state.stacks] == [("L", 9), ("R", 10), ("G", 9), ("B", 10)]
    assert [line.done for line in state.lines] == [20, 6, 10, 10, 10, 10]
    assert [picture.filter for picture in state.pictures] == ["L", "R", "G", "B", None]
    assert [sub.reason for sub in state.subs if not sub.accepted] == ["too few stars"] * 2
    assert state.left_s == 0


def test_the_wire_changes_nothing() -> None:
    stream = [replace(each, time=each.time.replace(microsecond=0)) for each in whole().stream]
    assert reduce_all(decode(encode(each)) for each in stream) == reduce_all(stream)


def test_a_replay_is_the_live_night_but_for_what_is_not_kept() -> None:
    stream = in_progress().stream
    replayed = reduce_all(each for each in stream if not isinstance(each.event, EPHEMERAL))
    assert lasting(replayed) == lasting(reduce_all(stream))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_progress_may_come_late_or_in_any_order(data: st.DataObject) -> None:
    stream = in_progress().stream
    progress = [each for each in stream if isinstance(each.event, acq.ExposureProgress)]
    kept = [each for each in stream if not isinstance(each.event, EPHEMERAL)]
    start = next(n for n, each in enumerate(kept) if isinstance(each.event, acq.ExposureStarted))
    for late in data.draw(st.permutations(progress[:12])):
        kept.insert(data.draw(st.integers(start, len(kept))), late)
    assert lasting(reduce_all(kept)) == lasting(reduce_all(stream))


PHASES: list[tuple[Event, Phase]] = [
    (acq.CoolingProgress(sensor_temp_c=3.0, target_temp_c=-10.0, power_percent=None), Phase.COOLING),
    (acq.CoolingDone(sensor_temp_c=-10.0, target_temp_c=-10.0), Phase.WAITING),
    (acq.SlewStarted(target="M 27", ra_deg=299.9, dec_deg=22.7), Phase.SLEWING),
    (acq.SlewDone(target="M 27", ra_deg=299.9, dec_deg=22.7), Phase.WAITING),
    (acq.ExposureStarted(step_id="1", kind="dark", filter=None, exposure_s=60.0), Phase.CALIBRATION),
    (acq.ExposureStarted(step_id="2", kind="light", filter="L", exposure_s=60.0), Phase.LIGHTS),
    (acq.PlanPaused(), Phase.PAUSED),
    (acq.ConnectionLost(what="camera", reason="gone"), Phase.RECONNECTING),
    (acq.ConnectionRestored(what="camera"), Phase.PAUSED),
    (acq.PlanResumed(), Phase.LIGHTS),
    (acq.PlanEnded(outcome="done", reason=None), Phase.FINISHING),
]


def test_phases_follow_one_another() -> None:
    state = NightState()
    phases = [(state := reduce(state, stamped(event))).phase for event, _ in PHASES]
    assert phases == [phase for _, phase in PHASES]


def accepted(frame: str, fwhm_px: float = 2.5) -> stk.SubAccepted:
    return stk.SubAccepted(
        frame_id=frame,
        filter="L",
        n_matches=99,
        rms_px=0.1,
        shift_px=0.0,
        rotation_deg=0.0,
        fwhm_px=fwhm_px,
        background_adu=800.0,
        noise_adu=12.0,
        seconds=0.5,
    )


def rejected(frame: str) -> stk.SubRejected:
    return stk.SubRejected(frame_id=frame, filter="L", reason="trailed", detail="", seconds=0.5)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans())))
def test_the_last_verdict_on_a_sub_counts_and_none_counts_twice(verdicts: list[tuple[str, bool]]) -> None:
    state = reduce_all(stamped(accepted(f) if good else rejected(f)) for f, good in verdicts)
    last = dict(verdicts)
    assert {sub.frame_id: sub.accepted for sub in state.subs} == last
    assert state.subs_accepted == sum(last.values())
    assert state.subs_rejected == len(last) - sum(last.values())
    assert [sub.number for sub in state.subs] == list(range(1, len(last) + 1))


def test_a_stack_made_anew_starts_its_curve_again() -> None:
    night = Night()
    state = reduce_all(stamped(night.figures("L", n, 2.5)) for n in (1, 2, 3, 4, 1, 2))
    assert [x for x, _ in state.stacks[0].noise.curve()] == [1, 2]


def test_a_very_long_night_stays_bounded() -> None:
    state = NightState()
    for number in range(MOST_SUBS + 50):
        state = reduce(state, stamped(accepted(f"f{number}")))
    assert (len(state.subs), len(state.log)) == (MOST_SUBS, MOST_LOG)
    assert state.subs_accepted == MOST_SUBS + 50
    assert state.subs[-1].number == MOST_SUBS + 50


@given(st.integers(1, 5000))
def test_a_curve_keeps_its_first_and_newest_points(count: int) -> None:
    series = Series()
    for x in range(1, count + 1):
        series = series.add(x, float(x * x))
    curve = series.curve()
    assert len(curve) <= MOST_POINTS + 1
    assert curve[0] == (1.0, 1.0)
    assert curve[-1] == (float(count), float(count * count))
    assert [x for x, _ in curve] == sorted({x for x, _ in curve})


@pytest.mark.parametrize(
    ("overhead_s", "speed"), [(0.0, 1.0), (4.0, 1.0), (0.5, 60.0)], ids=["ideal", "slow disk", "simulated"]
)
def test_the_pace_is_learnt_from_frames_of_two_lengths(overhead_s: float, speed: float) -> None:
    pace = Pace()
    for _ in range(20):
        for exposure_s in (10.0, 120.0):
            pace = pace.add(exposure_s, overhead_s + exposure_s / speed)
    assert pace.frame_s(300.0) == pytest.approx(overhead_s + 300.0 / speed, rel=1e-6)


def test_the_pace_is_the_exposure_until_something_is_known() -> None:
    assert Pace().frame_s(120.0) == 120.0
    assert Pace().add(120.0, 125.0).frame_s(300.0) == pytest.approx(305.0)
    assert Pace().add(120.0, 2.0).frame_s(120.0) == pytest.approx(2.0)


def test_time_left_is_what_it_then_takes() -> None:
    night = in_progress()
    state = reduce_all(night.stream)
    per_frame = 2 + 120 + 3 + 1  # opening, exposure, storing, judging in the fake night
    assert state.left_s == pytest.approx(13 * per_frame - 43, rel=0.05)


def test_every_event_that_is_told_is_told_on_one_line() -> None:
    lines = [describe(each) for each in whole().stream]
    assert any(lines)
    assert all(line is None or (line and "\n" not in line) for line in lines)
    assert all(describe(each) is None for each in whole().stream if isinstance(each.event, EPHEMERAL))
