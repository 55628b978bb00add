"""The plan's lines with what is done, and the stacks so far."""

from __future__ import annotations

from rich.text import Text

from acquire.events import SequenceLine
from firstlight.choices import UNFIT
from firstlight.events import CalibrationChosen
from firstlight.snapshot import FilterStack, NightState
from firstlight.telling import duration, exposure, figure
from tui.palette import ACCENT, DIM, GOOD, TEXT, WARN, filter_colour
from tui.widgets.panel import Panel, bar

MOST_LINES = 11


class Sequence(Panel):
    """What the plan wants, line by line, and what the stacks have reached."""

    def draw(self) -> Text:
        """Both tables."""
        state = self.state
        if not state.lines:
            return Text("no plan yet", DIM)
        width = max(self.size.width, 30)
        rows = plan_rows(state, width)
        if state.stacks:
            rows += [
                Text(),
                Text(f"{'stack':<8}{'subs':>5}{'total':>9}{'FWHM':>7}{'noise':>8}{'SNR':>7}", DIM),
            ]
            rows += [stack_row(stack) for stack in state.stacks]
        if state.masters:
            names = (" ".join(filter(None, (m.kind.replace("_", " "), m.filter))) for m in state.masters)
            rows += [Text(), Text(f"masters  {' · '.join(names)}", DIM)]
        if state.calibration:
            rows += [calibration_row(state.calibration)]
        return Text("\n", no_wrap=True, overflow="ellipsis").join(rows)


def calibration_row(chosen: CalibrationChosen) -> Text:
    """How well the newest light is covered: ``calibrated  dark exact · flat acceptable``."""
    needed = [each for each in chosen.choices if each.coverage != "not_needed"]
    row = Text("calibrated  ", DIM)
    for number, each in enumerate(needed):
        text = f"no {each.kind}" if each.coverage == "missing" else f"{each.kind} {each.coverage}"
        row.append(f"{' · ' if number else ''}{text}", WARN if each.coverage in UNFIT else DIM)
    return row


def plan_rows(state: NightState, width: int) -> list[Text]:
    """The plan's lines; a long plan leaves out what is done, and then what comes last."""
    lines = list(state.lines)
    head = tail = 0
    while len(lines) > MOST_LINES and lines[0].done >= lines[0].wanted:
        lines.pop(0)
        head += 1
    if len(lines) > MOST_LINES:
        tail = len(lines) - MOST_LINES
        lines = lines[:MOST_LINES]
    rows = [plan_row(state, line, width) for line in lines]
    if head:
        rows.insert(0, Text(f"✓ {head} lines done", DIM))
    if tail:
        rows.append(Text(f"… and {tail} more", DIM))
    return rows


def plan_row(state: NightState, line: SequenceLine, width: int) -> Text:
    """One line: what, a bar, done of wanted, time left."""
    done = line.done >= line.wanted
    now = state.exposure is not None and _shoots(state, line)
    what = line.filter if line.kind == "light" and line.filter else line.kind.replace("_", " ")
    extra = f" {line.filter}" if line.kind != "light" and line.filter else ""
    if len({each.temperature_c for each in state.lines}) > 1 and line.temperature_c is not None:
        extra += f" {line.temperature_c:.0f}°"
    colour = filter_colour(line.filter) if line.kind == "light" else ACCENT
    left = "" if done or state.ending else duration(state.line_left_s(line))
    count = f"{line.done}/{line.wanted}"
    return Text.assemble(
        ("▸ " if now else "✓ " if done else "  ", f"bold {GOOD if done else colour}"),
        (f"{what + extra:<9}"[:9], DIM if done else f"bold {colour}" if now else colour),
        (f"{exposure(line.exposure_s):>8}  ", DIM),
        bar(line.done / line.wanted if line.wanted else 1.0, max(width - 37, 4), GOOD if done else colour),
        (f"{count:>7}", DIM if done else TEXT),
        (f"{left:>9}", DIM),
        no_wrap=True,
    )


def _shoots(state: NightState, line: SequenceLine) -> bool:
    each = state.exposure
    if each is None:
        return False
    fitting = (
        other
        for other in state.lines
        if (each.kind, each.filter, each.exposure_s) == (other.kind, other.filter, other.exposure_s)
        and other.done < other.wanted
    )
    return next(fitting, None) is line


def stack_row(stack: FilterStack) -> Text:
    """One filter's stack in figures."""
    gain = "–" if stack.snr_gain is None else f"×{stack.snr_gain:.1f}"
    return Text.assemble(
        (f"{stack.filter or 'all':<8}"[:8], f"bold {filter_colour(stack.filter)}"),
        (f"{stack.subs:>5}", TEXT),
        (f"{duration(stack.exposure_s):>9}{figure(stack.fwhm_px, '.2f'):>7}", DIM),
        (f"{figure(stack.noise_adu, '#.3g'):>8}", DIM),
        (f"{gain:>7}", f"bold {TEXT}"),
        no_wrap=True,
    )
