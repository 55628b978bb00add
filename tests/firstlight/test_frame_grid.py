"""What a run without lights leaves: a grid of its frames, in every face, and a line that counts them."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

import acquire.events as acq
from firstlight.events import Event, MasterSummary, RunStarted, Stamped, SubGraded, Summary, decode, encode
from firstlight.frame_grid import grid_lines
from firstlight.state import describe, reduce_all
from livestack.events import SubAccepted, SubRejected
from numerics.counting import counted, counted_are
from tests.tui.nights import FakeSource
from tui.app import NightApp
from tui.headless import print_lines
from tui.screens import Ended, ended_rows


def line(kind: str, exposure_s: float, temp_c: float | None, done: int, wanted: int) -> acq.SequenceLine:
    return acq.SequenceLine(
        kind=kind, filter=None, exposure_s=exposure_s, wanted=wanted, done=done, temperature_c=temp_c
    )


SHOT = (
    line("bias", 0.0, 5, 10, 10),
    line("dark", 60.0, 5, 4, 4),
    line("dark", 120.0, 5, 3, 4),
    line("bias", 0.0, -10, 10, 10),
    line("dark", 60.0, -10, 0, 4),
)


def test_a_grid_has_a_row_for_each_exposure_and_a_column_for_each_temperature() -> None:
    head, *rows, end = grid_lines(SHOT)
    assert head.split() == ["5", "°C", "-10", "°C"]
    assert [" ".join(row.split()) for row in rows] == [
        "bias 10 10",
        "dark 60 s 4 0 of 4",
        "dark 120 s 3 of 4 ·",
    ]
    assert len({len(row) for row in (head, *rows)}) == 1
    assert end == "5 frames of 32 missing"
    assert grid_lines((line("dark", 1.0, None, 1, 1),))[-1] == "nothing is missing"
    assert grid_lines(()) == []


def stream(outcome: str = "done", masters: int = 1) -> list[Stamped]:
    done = sum(each.done for each in SHOT)
    events: list[Event] = [
        RunStarted(version="1", root="/astro", pid=1, resumed=False),
        acq.PlanStarted(plan_id="p", plan_name="darks", target=None, ra_deg=None, dec_deg=None, lines=SHOT),
        Summary(
            outcome=outcome,
            subs_shot=0,
            subs_accepted=0,
            subs_rejected=0,
            stacks=(),
            masters=tuple(MasterSummary(kind="dark", path="/m", n_frames=4) for _ in range(masters)),
            colour_preview=None,
            seconds=3.0,
            frames=done,
            frames_missing=5,
        ),
    ]
    return [Stamped(time=datetime(2026, 1, 1, tzinfo=UTC), run="r", event=each) for each in events]


@pytest.mark.parametrize(("outcome", "masters"), [("done", 1), ("stopped", 0)])
async def test_lines_end_with_the_grid_and_never_with_subs(outcome: str, masters: int) -> None:
    out = io.StringIO()
    await print_lines(FakeSource(stream(outcome, masters)), out, io.StringIO())
    text = out.getvalue()
    assert f"{outcome}: 27 of 32 frames there, {counted(masters, 'master')} built" in text
    assert text.endswith("".join(f"  {each}\n" for each in grid_lines(SHOT)))
    assert "subs" not in text


async def test_the_screen_ends_with_the_grid() -> None:
    app = NightApp(FakeSource(stream()), refresh_s=0, pictures="halfcell")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert isinstance(app.screen, Ended)
        shown = "\n".join(row.plain for row in ended_rows(app.state))
        assert "27 frames there, 1 master built" in shown
        assert all(each in shown for each in grid_lines(SHOT))


def test_a_summary_of_before_can_still_be_read() -> None:
    words = encode(stream()[-1]).replace(', "frames": 27, "frames_missing": 5', "")
    event = decode(words).event
    assert isinstance(event, Summary)
    assert event.frames is None


def test_a_line_of_the_log_names_a_sub_by_its_number_and_no_frame_by_its_id() -> None:
    frame = "0123456789abcdef" * 2
    stored = acq.FrameStored(
        step_id="light-L-60s-007",
        frame_id=frame,
        kind="light",
        filter="L",
        exposure_s=60.0,
        sensor_temp_c=None,
        path=f"/n/light_L_60s_light-L-60s-007_{frame}.fits",
    )
    taken = SubAccepted(
        frame_id=frame, filter="L", n_matches=1, rms_px=0.1, shift_px=0.0, rotation_deg=0.0,
        fwhm_px=2.0, background_adu=1.0, noise_adu=1.0, seconds=0.1,
    )  # fmt: skip
    lost = SubRejected(frame_id="f" * 32, filter="L", reason="no match", detail="clouds?", seconds=0.1)
    out = SubGraded(frame_id=frame, filter="L", inside=False, by="hand", reason="")
    night = [
        *stream()[:1],
        *(Stamped(time=stream()[0].time, run="r", event=e) for e in (stored, taken, lost, out)),
    ]
    told = [each.text for each in reduce_all(night).log][1:]
    assert told == [
        "stored light L 60 s, number 7",
        "sub 1 L stacked: FWHM 2.0 px, 1 star matched",
        "sub 2 L rejected, no match: clouds?",
        "sub 1 L taken out by hand",
    ]
    assert describe(night[2]) == "sub L stacked: FWHM 2.0 px, 1 star matched"


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [
        (0, "sub", "0 subs"),
        (1, "sub", "1 sub"),
        (2, "sub", "2 subs"),
        (1, "bias", "1 bias"),
        (9, "bias", "9 biases"),
    ],
)
def test_counts(count: int, noun: str, told: str) -> None:
    assert counted(count, noun) == told
    assert counted_are(count, noun) == f"{told} {'is' if count == 1 else 'are'}"
