"""The night without a screen: lines with a progress bar for people, JSON lines for programs.

Ctrl-C asks the session to stop, which ends the night in order; a second Ctrl-C leaves, and the night goes on.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from firstlight.asking import Ask
from firstlight.events import EPHEMERAL, Stamped, encode
from firstlight.frame_grid import grid_lines
from firstlight.snapshot import NightState
from firstlight.state import reduce
from firstlight.telling import describe, duration, figure, frame_name
from firstlight.waiting import waiting_for
from numerics.counting import counted
from tui.source import NightSource
from tui.terminal import overwrite, say, say_lines

EXIT_DONE, EXIT_FAILED, EXIT_VANISHED, EXIT_STOPPED, EXIT_LEFT = 0, 1, 3, 4, 130
EXITS = {"done": EXIT_DONE, "failed": EXIT_FAILED, "stopped": EXIT_STOPPED}
BAR_CELLS = 24


def exit_status(state: NightState) -> int:
    """The process's exit status for a night that has ended so."""
    return EXITS.get(state.summary.outcome, EXIT_FAILED) if state.summary else EXIT_VANISHED


async def print_json(source: NightSource, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Print each journaled event as one JSON object a line, the summary last; returns the exit status."""
    out, err, state = out or sys.stdout, err or sys.stderr, NightState()
    with _interrupts(source, err) as left:
        async for stamped in _until(source.events(), left):
            state = reduce(state, stamped)
            if not isinstance(stamped.event, EPHEMERAL):
                say(encode(stamped), out=out)
    _say_why(state, err, left=left.is_set())
    return EXIT_LEFT if left.is_set() else exit_status(state)


async def print_lines(source: NightSource, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Print the night as lines, and a progress bar below them on a terminal; returns the exit status."""
    out, err, state = out or sys.stdout, err or sys.stderr, NightState()
    tty = out.isatty()
    with _interrupts(source, err) as left:
        async for stamped in _until(source.events(), left):
            state = reduce(state, stamped)
            text = _line(state, stamped)
            if tty:
                overwrite(out=out)
            if text:
                say(text, out=out)
            if tty and not state.summary:
                overwrite(bar(state), out=out)
    if tty and not state.summary:
        say(out=out)
    if state.summary:
        say_lines(summary_lines(state), out=out)
    _say_why(state, err, left=left.is_set())
    return EXIT_LEFT if left.is_set() else exit_status(state)


def _line(state: NightState, stamped: Stamped) -> str | None:
    text = describe(stamped, state)
    if text is None:
        return None
    count = _count(state)
    return f"{stamped.time.astimezone():%H:%M:%S}  {count:<12}  {text}"


def _count(state: NightState) -> str:
    if state.lights_wanted or not state.lines:
        return f"{state.lights_done}/{counted(state.lights_wanted, 'sub')}" if state.lights_wanted else ""
    done, wanted = sum(line.done for line in state.lines), sum(line.wanted for line in state.lines)
    return f"{done}/{counted(wanted, 'frame')}"


def bar(state: NightState) -> str:
    """The progress bar: what is done of all frames, what is exposed now, how long it will take yet."""
    wanted, done = sum(line.wanted for line in state.lines), sum(line.done for line in state.lines)
    full = round(BAR_CELLS * done / wanted) if wanted else 0
    now = waiting_for(state)
    if state.exposure:
        each = state.exposure
        now = frame_name(each.kind, each.filter, each.exposure_s) + f", {each.remaining_s:.0f} s to go"
    left = f"  {duration(state.left_s)} left" if wanted else ""
    if state.compiling is not None:
        left += f"  compiling, once: {state.compiling:.0%}"
    count = _count(state)
    line = f"{'━' * full}{'─' * (BAR_CELLS - full)} {count}{left}  {now}"
    return line[: shutil.get_terminal_size().columns - 1]  # one that wraps could not be wiped


def summary_lines(state: NightState) -> Iterator[str]:
    """What the night left, and where; of a run without lights, the grid of what was shot."""
    summary = state.summary
    if summary is None:
        return
    if summary.frames is not None:
        yield from (f"  {line}" for line in grid_lines(state.lines))
    for each in summary.stacks:
        yield (
            f"  {each.filter or 'stack':8} {counted(each.subs, 'sub')}, {duration(each.exposure_s)}, "
            f"FWHM {figure(each.fwhm_px, '.1f')} px, SNR ×{figure(each.snr_gain, '.1f')}  {each.fits}"
        )
        yield f"  {'':8} picture: {each.preview}"
    if summary.colour_preview:
        yield f"  {'colour':8} picture: {summary.colour_preview}"


def _say_why(state: NightState, err: TextIO, *, left: bool) -> None:
    """One message for a night that did not end well."""
    if state.summary and state.summary.outcome == "failed":
        reason = state.ending.reason if state.ending else None
        say(f"firstlight: the night failed: {reason or 'see session.log'}", out=err)
    elif not state.summary and not left:
        _gone(state, err)


def _gone(state: NightState, err: TextIO) -> None:
    where = f" --root {state.root}" if state.root else ""
    say(
        "firstlight: the session went away without ending the night. What was stored is safe. "
        f"See session.log in the night's folder; start the same command again to go on, "
        f"or firstlight attach{where} if it still runs.",
        out=err,
    )


@contextmanager
def _interrupts(source: NightSource, err: TextIO) -> Iterator[asyncio.Event]:
    """While the ``with`` lasts, Ctrl-C asks for the end of the night; the second one sets the event."""
    loop, left, asked = asyncio.get_running_loop(), asyncio.Event(), list[asyncio.Task[None]]()

    def interrupt() -> None:
        if asked:
            say_lines(("", "leaving; the night goes on (firstlight attach)"), out=err)
            left.set()
        else:
            say_lines(("", "stopping the night; Ctrl-C again leaves it running"), out=err)
            asked.append(loop.create_task(source.send(Ask(word="stop"))))

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield left
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        for task in asked:
            task.cancel()


async def _until(stream: AsyncIterator[Stamped], left: asyncio.Event) -> AsyncIterator[Stamped]:
    """The stream's events until ``left`` is set."""
    leaving = asyncio.ensure_future(left.wait())
    try:
        while True:
            coming = asyncio.ensure_future(anext(stream))
            await asyncio.wait({coming, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration):
                    await coming
                return
            try:
                yield coming.result()
            except StopAsyncIteration:
                return
    finally:
        leaving.cancel()
