"""The night without a screen."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal

import pytest

from firstlight.events import Compiling
from firstlight.state import reduce_all
from tests.tui.nights import FakeSource, Night, in_progress, whole
from tui.headless import bar, print_json, print_lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_lines_count_the_subs_and_end_with_the_pictures() -> None:
    out = io.StringIO()
    assert await print_lines(FakeSource(whole().stream), out, io.StringIO()) == 0
    text = out.getvalue()
    assert "12/40 subs" in text
    assert "too few stars" in text
    assert "/night/pictures/L.png" in text
    assert "\r" not in text
    assert "\x1b" not in text


async def test_a_terminal_gets_a_bar_that_is_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    out = Terminal()
    await print_lines(FakeSource(whole().stream), out, io.StringIO())
    pieces = out.getvalue().split("\r\x1b[K")
    assert max(len(piece.split("\n")[-1]) for piece in pieces[:-1]) < 60
    assert "━" in pieces[-2]
    assert "━" not in pieces[-1]


async def test_json_keeps_what_the_journal_keeps_and_ends_with_the_summary() -> None:
    out = io.StringIO()
    assert await print_json(FakeSource(whole().stream), out, io.StringIO()) == 0
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert events[0]["event"] == "run_started"
    assert events[-1]["event"] == "summary"
    assert events[-1]["subs_accepted"] == 38
    assert {"filter", "fits", "preview", "subs", "snr_gain"} <= set(events[-1]["stacks"][0])
    assert not {"exposure_progress", "cooling_progress", "stack_queue"} & {each["event"] for each in events}


@pytest.mark.parametrize("face", [print_json, print_lines])
@pytest.mark.parametrize(("outcome", "status"), [("done", 0), ("failed", 1), ("stopped", 4)])
async def test_the_status_says_how_the_night_ended(face: object, outcome: str, status: int) -> None:
    night = in_progress()
    night.ends(outcome)
    assert await face(FakeSource(night.stream), io.StringIO(), io.StringIO()) == status  # type: ignore[operator]  # one of two coroutines of the same shape


@pytest.mark.parametrize("face", [print_json, print_lines])
async def test_a_session_that_vanished_is_told_on_stderr(face: object) -> None:
    err = io.StringIO()
    assert await face(FakeSource(in_progress().stream), io.StringIO(), err) == 3  # type: ignore[operator]  # one of two coroutines of the same shape
    assert "went away" in err.getvalue()
    assert "--root /night" in err.getvalue()


async def test_ctrl_c_stops_the_night_and_the_second_leaves_it() -> None:
    source, err = FakeSource(in_progress().stream, live=True), io.StringIO()
    face = asyncio.create_task(print_lines(source, io.StringIO(), err))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGINT)
    while not source.sent:
        await asyncio.sleep(0)
    assert "stopping" in err.getvalue()
    assert not face.done()
    os.kill(os.getpid(), signal.SIGINT)
    assert await face == 130
    assert source.sent == ["stop"]


async def test_lines_say_that_the_compiler_is_at_work_and_when_it_is_done() -> None:
    night, out = Night(), io.StringIO()
    night.begins()
    for done in (0.0, 0.3, 0.6, 1.0):
        night(Compiling(done=done))
    await print_lines(FakeSource(night.stream), out, io.StringIO())
    told = [line.split("  ")[-1].strip() for line in out.getvalue().splitlines() if "compil" in line]
    assert told == ["compiling for this machine, once; exposures go on meanwhile", "compiled"]


def test_the_bar_says_how_far_the_compiler_is() -> None:
    night = in_progress()
    night(Compiling(done=0.42))
    assert "compiling, once: 42%" in bar(reduce_all(night.stream))
    night(Compiling(done=1.0))
    assert "compiling" not in bar(reduce_all(night.stream))


def test_the_bar_says_what_is_exposed() -> None:
    line = bar(reduce_all(in_progress().stream))
    assert "27/40 subs" in line
    assert "left" in line
