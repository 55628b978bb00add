"""How a stack goes, on the terminal: lines for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from firstlight.stack_report import (
    Begun,
    Said,
    StackReport,
    SubDone,
    Told,
    Waiting,
    Working,
    Written,
)
from firstlight.telling import duration
from numerics.counting import counted, counted_are
from tui.terminal import overwrite, plain, say

_LINE_EVERY_S = 10.0
_BAR_CELLS = 20


class JsonLines:
    """Events as JSON objects, one a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def tell(self, told: Told) -> None:
        """Print an event."""
        self._print(type(told).__name__, asdict(told))

    def note(self, text: str) -> None:
        """Print a word to the user."""
        self._print("Said", {"message": text, "warning": False})

    def end(self, report: StackReport) -> None:
        """Print what it came to; the subs have been told."""
        told = asdict(report)
        del told["subs"]
        self._print("Done", told)

    def wipe(self) -> None:
        """Nothing stands that could be in the way."""

    def _print(self, name: str, facts: dict[str, object]) -> None:
        event = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
        say(json.dumps({"event": event} | facts), out=self._out)


class Lines:
    """Lines for people; on a terminal one that changes, elsewhere one now and then."""

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out, self._now, self._tty = out, now, out.isatty()
        self._said_s = now()
        self._stands = False

    def tell(self, told: Told) -> None:
        """Show an event."""
        match told:
            case Begun():
                if told.resumed:
                    self.note(
                        f"going on: {counted_are(told.resumed, 'sub')} known from a run that was interrupted"
                    )
            case SubDone():
                if not told.sub.accepted:
                    name = Path(told.sub.path).name
                    self.note(f"{told.number}{_of(told.total)} left out: {name}: {told.sub.reason}")
                self._status(_progress(told), told.number == told.total)
            case Working():
                left = _left(told.left_s)
                self._status(f"{_bar(told.share)} {told.what}{_filter(told.filter)}{left}", told.share == 1)
            case Waiting():
                coming = f", {told.pending} being written" if told.pending else ""
                if self._tty:
                    self._status(f"{told.stacked} stacked, {told.rejected} left out; watching{coming}", False)
            case Written():
                each = told.stack
                fwhm = f", FWHM {each.fwhm_px:.1f} px" if each.fwhm_px else ""
                snr = f", SNR × {each.snr_gain:.1f}" if each.snr_gain else ""
                text = f"{counted(each.subs, 'sub')}, {each.exposure_s:.0f} s{fwhm}{snr}"
                self._status(f"{Path(each.path).name}: {text}", True)
            case Said():
                self.note(f"warning: {told.message}" if told.warning else told.message)

    def note(self, text: str) -> None:
        """A line that stays."""
        self.wipe()
        say(f"firstlight: {text}", out=self._out)

    def end(self, report: StackReport) -> None:
        """What it came to."""
        for each in report.stacks:
            picture = f", picture {each.preview}" if each.preview else ""
            say(f"{counted_are(each.subs, 'sub')} in {each.path}{picture}")
        if report.colour_preview:
            say(f"the colours together: {report.colour_preview}")
        say(f"{report.accepted} of {counted(len(report.subs), 'light')} were stacked")
        for each in report.stacks:
            for line in each.advice:
                say(f"  {line}")

    def wipe(self) -> None:
        """Take the changing line away."""
        if self._stands:
            overwrite(out=self._out)
            self._stands = False

    def _status(self, text: str, last: bool) -> None:
        if self._tty:
            width = shutil.get_terminal_size().columns - 1
            overwrite(plain(text)[:width], out=self._out)
            self._stands = True
        elif last or self._now() - self._said_s >= _LINE_EVERY_S:
            self._said_s = self._now()
            say(text, out=self._out)


def _progress(told: SubDone) -> str:
    rate = f"  {told.per_minute:.0f}/min" if told.per_minute else ""
    fwhm = f"  FWHM {told.sub.fwhm_px:.1f} px" if told.sub.fwhm_px else ""
    counts = f"{told.stacked} stacked, {told.rejected} left out"
    bar = f"{_bar(told.number / told.total)} " if told.total else ""
    return f"{bar}{told.number}{_of(told.total)}{rate}{_left(told.left_s)}  {counts}{fwhm}"


def _of(total: int | None) -> str:
    return "" if total is None else f"/{total}"


def _filter(name: str | None) -> str:
    return f" ({name})" if name else ""


def _left(left_s: float | None) -> str:
    return "" if left_s is None else f"  {duration(left_s)} left"


def _bar(share: float) -> str:
    full = round(_BAR_CELLS * share)
    return f"{'━' * full}{'─' * (_BAR_CELLS - full)}"
