"""What was shot of a library's frames: kind and exposure down, temperature across, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acquire.events import SequenceLine
from firstlight.telling import exposure
from numerics.counting import counted

KINDS = ("bias", "dark", "flat_dark", "flat", "light")


@dataclass(frozen=True, slots=True)
class Cell:
    """Frames of one kind, exposure and temperature."""

    done: int = 0
    wanted: int = 0

    def __str__(self) -> str:
        if not self.wanted:
            return "·"
        return f"{self.done}" if self.done >= self.wanted else f"{self.done} of {self.wanted}"


def grid_lines(lines: Sequence[SequenceLine]) -> list[str]:
    """A table of the plan's frames, with the missing ones in a sentence at its end."""
    if not lines:
        return []
    cells: dict[tuple[int, str, float, str], dict[float | None, Cell]] = {}
    for each in lines:
        name = " ".join(filter(None, (each.kind.replace("_", "-"), each.filter)))
        row = cells.setdefault((KINDS.index(each.kind), name, each.exposure_s, each.filter or ""), {})
        before = row.get(each.temperature_c, Cell())
        row[each.temperature_c] = Cell(before.done + each.done, before.wanted + each.wanted)
    temps = sorted({each.temperature_c for each in lines}, key=lambda t: (t is None, -(t or 0.0)))
    head = ["", *("as it is" if temp_c is None else f"{temp_c:g} °C" for temp_c in temps)]
    body = [
        [f"{name} {exposure(seconds)}" if seconds else name, *(str(row.get(t, Cell())) for t in temps)]
        for (_, name, seconds, _), row in sorted(cells.items())
    ]
    widths = [max(len(row[column]) for row in (head, *body)) for column in range(len(head))]
    table = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in (head, *body)
    ]
    done, wanted = (sum(values) for values in zip(*((x.done, x.wanted) for x in lines), strict=True))
    short = wanted - done
    return [*table, f"{counted(short, 'frame')} of {wanted} missing" if short > 0 else "nothing is missing"]
