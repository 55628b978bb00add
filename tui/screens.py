"""What may lie on top of the night: help, a question, and its end."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from firstlight.frame_grid import grid_lines
from firstlight.snapshot import NightState
from firstlight.telling import duration, figure
from numerics.counting import counted, counted_are
from tui.palette import ACCENT, DIM, GOOD, TEXT, WARN, filter_colour

HELP = (
    ("p", "pause after this exposure, or go on"),
    ("s", "stop: end the night, stacks and pictures are finished"),
    ("q", "quit this screen; the night goes on"),
    ("n", "night colours: everything red, or back"),
    ("g", "grades: every sub with its numbers; x there takes it out or puts it back"),
    ("a", "advice: SNR, sub length, what the next hour brings"),
    ("← →  f", "another picture: colour, or one filter"),
    ("1 … 5", "one panel alone: picture, sequence, subs, plots, log"),
    ("tab", "the next panel"),
    ("0  esc", "all panels, where the terminal has the room"),
    ("↑ ↓  PgUp PgDn", "older and newer lines of subs or log"),
    ("?", "this help"),
)


class Sheet(ModalScreen[bool]):
    """A sheet of text in the middle of the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "answer(False)", "Close")]

    def __init__(self, title: str, text: Text) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """The text, in a frame."""
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = self._title
            yield Static(self._text)

    def action_answer(self, answer: bool) -> None:
        """Close with an answer."""
        self.dismiss(answer)


class Help(Sheet):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,q,enter", "answer(False)", "Close")]

    def __init__(self) -> None:
        rows = [Text.assemble((f"{key:>15}  ", f"bold {ACCENT}"), (what, TEXT)) for key, what in HELP]
        plots = Text("\nNoise: each stack's over that of one sub; the dotted line is 1/√N.", DIM)
        colours = Text(
            "Grey pictures: the terminal announces no 24-bit colour; if it has: export COLORTERM=truecolor",
            DIM,
        )
        super().__init__("Keys", Text("\n").join([*rows, plots, colours]))


class ConfirmStop(Sheet):
    """Asks before it ends a night."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Stop"),
        Binding("n,q,enter", "answer(False)", "Go on"),
    ]

    def __init__(self, state: NightState) -> None:
        left = counted_are(state.lights_wanted - state.lights_done, "sub")
        if not state.lights_wanted:
            left = counted_are(sum(line.wanted - line.done for line in state.lines), "frame")
        super().__init__(
            "End the night?",
            Text.assemble(
                (f"{left} of the plan still to be shot.\n", TEXT),
                ("What was shot is kept, and the stacks are finished.\n\n", DIM),
                ("y", f"bold {ACCENT}"), (" end the night    ", TEXT),
                ("n", f"bold {ACCENT}"), (" go on", TEXT),
            ),
        )  # fmt: skip


class Ended(Sheet):
    """The night has ended: what it brought, and where it is. True leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,enter", "answer(True)", "Leave")]

    def __init__(self, state: NightState, linger_s: float | None = None) -> None:
        rows = ended_rows(state)
        if linger_s is not None:
            rows.append(Text(f"It leaves by itself in {duration(linger_s)}.", DIM))
        super().__init__("The night has ended", Text("\n").join(rows))


class Dropped(Sheet):
    """The session is gone without having ended the night. True leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,enter", "answer(True)", "Leave")]

    def __init__(self, state: NightState) -> None:
        root = state.root or "DIR"
        super().__init__(
            "The session went away",
            Text.assemble(
                ("It ended without a word, or the line to it dropped.\n", f"bold {WARN}"),
                (f"All {state.lights_done} stored subs are safe.\n\n", TEXT),
                ("If it still runs:      ", DIM), (f"firstlight attach --root {root}\n", ACCENT),
                ("To go on where it was: ", DIM), (f"start it again with --root {root}\n", ACCENT),
                ("What happened:         ", DIM), (f"{root}/session.log\n\n", ACCENT),
                ("q", f"bold {ACCENT}"), (" leave    ", TEXT), ("esc", f"bold {ACCENT}"), (" look", TEXT),
            ),
        )  # fmt: skip


def ended_rows(state: NightState) -> list[Text]:
    """The summary for the eyes."""
    summary = state.summary
    assert summary is not None
    outcome = {"done": ("All done", GOOD), "stopped": ("Stopped", WARN)}.get(
        summary.outcome, ("It failed", WARN)
    )
    came_to = (
        f"{counted(summary.subs_shot, 'sub')} shot, {summary.subs_accepted} accepted, "
        f"{summary.subs_rejected} rejected"
        if summary.frames is None
        else f"{counted(summary.frames, 'frame')} there, {counted(len(summary.masters), 'master')} built"
    )
    rows = [
        Text.assemble(
            (outcome[0], f"bold {outcome[1]}"), (f" after {duration(summary.seconds)}: {came_to}", TEXT)
        )
    ]
    if summary.frames is not None:
        rows += [Text(), *(Text(line, TEXT, no_wrap=True) for line in grid_lines(state.lines))]
    if state.ending and state.ending.reason:
        rows.append(Text(state.ending.reason, WARN))
    rows += [Text()] if summary.stacks else []
    rows += [
        Text.assemble(
            (f"{each.filter or 'stack':<6}", f"bold {filter_colour(each.filter)}"),
            (f" {counted(each.subs, 'sub')}, {duration(each.exposure_s)}, ", DIM),
            (f"FWHM {figure(each.fwhm_px, '.2f')} px, ", DIM),
            (f"SNR ×{figure(each.snr_gain, '.1f')}", f"bold {TEXT}"),
        )
        for each in summary.stacks
    ]
    pictures = [*(each.preview for each in summary.stacks), summary.colour_preview]
    folders = sorted({str(Path(path).parent) for path in pictures if path})
    if folders:
        rows.append(Text("\nThe stacks (FITS) and pictures (PNG) are in", DIM))
        rows += [Text(folder, ACCENT) for folder in folders]
    rows.append(Text())
    rows.append(
        Text.assemble(
            ("q", f"bold {ACCENT}"), (" leave    ", TEXT), ("esc", f"bold {ACCENT}"), (" look at it", TEXT)
        )
    )
    return rows
