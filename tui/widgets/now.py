"""The top of the screen: how the night stands, what is exposed now, and the equipment."""

from __future__ import annotations

from datetime import timedelta

from rich.text import Text

from firstlight.snapshot import NightState, Phase
from firstlight.telling import coordinates, duration, frame_name
from firstlight.waiting import waiting_for
from numerics.counting import counted
from tui.palette import ACCENT, BAD, DIM, GOOD, TEXT, WARN, filter_colour
from tui.widgets.panel import Panel, bar

PHASE_COLOURS = {
    Phase.LIGHTS: GOOD,
    Phase.PAUSED: WARN,
    Phase.RECONNECTING: BAD,
    Phase.ENDED: ACCENT,
}


class Headline(Panel):
    """One line: phase, target, subs, time left."""

    def draw(self) -> Text:
        """The line; what there is no room for is left out from the right."""
        state = self.state
        phase = state.phase
        parts = [Text(f" {phase.value.upper()} ", f"bold #000000 on {PHASE_COLOURS.get(phase, DIM)}")]
        if name := state.target_name or state.plan_name:
            parts.append(Text(name, f"bold {TEXT}"))
        if state.lights_wanted:
            parts.append(
                Text.assemble(
                    (f"{state.lights_done}", f"bold {TEXT}"), (f"/{counted(state.lights_wanted, 'sub')}", DIM)
                )
            )
        if left := time_left(state):
            parts.append(left)
        if state.subs_rejected:
            parts.append(Text(f"{state.subs_rejected} rejected", WARN))
        if state.compiling is not None:
            parts.append(Text(f"compiling, once: {state.compiling:.0%}", DIM))
        if state.stack_queue > 1:
            parts.append(
                Text(f"{state.stack_queue} wait for the stack", WARN if state.stack_queue > 5 else DIM)
            )
        line = Text("  ", no_wrap=True, overflow="ellipsis").join(parts)
        line.truncate(max(self.size.width, 1))
        return line


def time_left(state: NightState) -> Text | None:
    """How long it will take yet, and when it will be done by the local clock."""
    if not state.lines or state.ending or state.time is None or state.left_s <= 0:
        return None
    if state.paused or state.lost is not None:
        return Text(f"{duration(state.left_s)} of work left", DIM)
    end = (state.time + timedelta(seconds=state.left_s)).astimezone()
    return Text.assemble((duration(state.left_s), f"bold {TEXT}"), (f" left, done at {end:%H:%M}", DIM))


class ExposureBar(Panel):
    """The exposure in progress."""

    def draw(self) -> Text:
        """What is exposed, a bar, and the seconds left."""
        state, each = self.state, self.state.exposure
        if each is None:
            return Text(waiting_for(state), DIM, no_wrap=True, overflow="ellipsis")
        name = frame_name(each.kind, each.filter, each.exposure_s)
        left = f"{each.remaining_s:.0f} s"
        colour = filter_colour(each.filter) if each.kind == "light" else ACCENT
        cells = max(self.size.width - 18 - len(left) - 2, 4)
        part = 1 - each.remaining_s / each.exposure_s if each.exposure_s else 1.0
        return Text.assemble(
            (f"{name:<17} ", f"bold {colour}"), bar(part, cells, colour), (f" {left:>5}", f"bold {TEXT}"),
            no_wrap=True,
        )  # fmt: skip


class Equipment(Panel):
    """Camera temperature, filter and mount, on one line."""

    def draw(self) -> Text:
        """The most important first."""
        state, parts = self.state, list[Text]()
        if cooler := state.cooler:
            off = abs(cooler.sensor_temp_c - cooler.target_temp_c)
            power = "" if cooler.power_percent is None else f" {cooler.power_percent:.0f}%"
            parts.append(
                Text.assemble(
                    (f"{cooler.sensor_temp_c:+.1f}", f"bold {GOOD if off <= 0.5 else WARN}"),
                    (f"→{cooler.target_temp_c:+.0f} °C{power}", DIM),
                )
            )
        if state.filter:
            parts.append(
                Text.assemble(("filter ", DIM), (state.filter, f"bold {filter_colour(state.filter)}"))
            )
        if target := state.target:
            where = coordinates(target.ra_deg, target.dec_deg)
            parts.append(Text.assemble((f"{target.name} ", TEXT), (where, DIM)))
        if state.equipment:
            parts.append(Text(state.equipment.camera, DIM))
        line = Text("  ·  ", DIM, no_wrap=True, overflow="ellipsis").join(parts)
        line.truncate(max(self.size.width, 1), overflow="ellipsis")
        return line
