"""``library status``: the grid of temperature × exposure, in eighty columns."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tui.library.options import json_option, library_option, opened
from tui.terminal import say, say_lines

if TYPE_CHECKING:
    from library.status import Cell, Setup, Status
    from tui.library.parser import Add

WIDTH = 80
_LABEL, _CELL = 11, 11
_PER_ROW = (WIDTH - _LABEL) // _CELL
_MARKS = {"current": "=", "stale": "!", "missing": "-"}
_LEGEND = (
    "20=~ 3d: 20 frames, the newest 3 days old (m months, y years)",
    "their master: = current, ! stale, - missing; ~ within a dark model",
)


def register(add: Add) -> None:
    """Add the command to the parser."""
    command = add("status", help="what there is for which temperature and exposure, and what is missing")
    library_option(command)
    json_option(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from dataclasses import asdict

    from library.status import status

    with opened(arguments) as library:
        found = status(library.find(master=False, retired=None), library.find(master=True, retired=None))
        free_bytes = shutil.disk_usage(library.folder).free
        if arguments.json:
            facts = {"library": str(library.folder), "free_bytes": free_bytes, **asdict(found)}
            say(json.dumps(facts, default=_plain))
            return 0
        say_lines(lines(found, datetime.now(UTC)))
        say(f"{_size(free_bytes)} free on the disk of {library.folder}")
    return 0


def lines(status: Status, now: datetime) -> Iterator[str]:
    """The status in lines of at most 80 columns (but for long names of cameras)."""
    if not status.setups:
        yield "The library is empty: `firstlight library add` takes frames in."
    for setup in status.setups:
        yield _title(setup)
        yield from _grids(setup, now)
        yield ""
    if any(setup.cells for setup in status.setups):
        yield from _LEGEND
    if status.retired:
        yield f"{status.retired} retired: `firstlight library list --retired`"
    for share in status.shares:
        what = ("master " if share.master else "") + share.kind.value.replace("_", " ")
        yield f"{what:18}{share.frames:>8}  {_size(share.size_bytes):>9}"


def _title(setup: Setup) -> str:
    x, y = setup.binning
    parts = [
        setup.camera or "unknown camera",
        f"{setup.width}×{setup.height}",
        f"bin {x}×{y}",
        None if setup.gain is None else f"gain {setup.gain:g}",
        None if setup.offset is None else f"offset {setup.offset:g}",
        setup.read_mode,
        f"{setup.lights} light{'s' * (setup.lights != 1)}" if setup.lights else None,
        "defect map" if setup.defect_maps else None,
        "dark model" if setup.dark_models else None,
    ]
    return "  ".join(part for part in parts if part)


def _grids(setup: Setup, now: datetime) -> Iterator[str]:
    from library.frames import FrameKind

    for kind, name in ((FrameKind.DARK, "darks"), (FrameKind.FLAT_DARK, "flat darks")):
        columns = sorted({cell.exposure_s for cell in setup.of(kind)}, key=lambda each: (each is None, each))
        titles = ["?" if column is None else f"{column:g} s" for column in columns]
        rows = _by_temperature(setup.of(kind), [(cell, cell.exposure_s) for cell in setup.of(kind)], columns)
        yield from _table(name, titles, rows, now)
    biases = setup.of(FrameKind.BIAS)
    yield from _table("biases", [""], _by_temperature(biases, [(cell, None) for cell in biases], [None]), now)
    flats = setup.of(FrameKind.FLAT)
    filters = sorted({cell.filter or "" for cell in flats})
    row = [[cell for cell in flats if (cell.filter or "") == each] for each in filters]
    yield from _table("flats", [each or "no filter" for each in filters], [("", row)] if row else [], now)


_Row = tuple[str, list[list["Cell"]]]


def _by_temperature(
    cells: Sequence[Cell], placed: Sequence[tuple[Cell, float | None]], columns: Sequence[float | None]
) -> list[_Row]:
    temps = sorted({cell.temp_c for cell in cells}, key=lambda each: (each is None, each))
    return [
        (
            "   ? °C" if temp is None else f"{temp:4d} °C",
            [[cell for cell, at in placed if cell.temp_c == temp and at == column] for column in columns],
        )
        for temp in temps
    ]


def _table(name: str, titles: Sequence[str], rows: Sequence[_Row], now: datetime) -> Iterator[str]:
    if not rows:
        return
    for start in range(0, len(titles), _PER_ROW):
        some = slice(start, start + _PER_ROW)
        yield f"{name:{_LABEL}}{''.join(f'{title[: _CELL - 1]:>{_CELL}}' for title in titles[some])}".rstrip()
        for label, row in rows:
            shown = "".join(f"{_shown(cells, now):>{_CELL}}" for cells in row[some])
            yield f"{label:{_LABEL}}{shown}".rstrip()


def _shown(cells: Sequence[Cell], now: datetime) -> str:
    if not cells:
        return "."
    best = max(cells, key=lambda cell: (cell.subs, cell.n_combined))
    count = sum(cell.subs for cell in cells) or best.n_combined
    mark = _MARKS[best.master.value] + ("~" if best.modelled else "")
    return f"{count}{mark} {age(best.newest, now):>3}"


def age(moment: datetime | None, now: datetime) -> str:
    """Hours, days, months (from 100 days) or years, in three characters."""
    if moment is None:
        return "?"
    days = max(0, (now - moment).days)
    if days < 1:
        return "new"
    if days < 100:
        return f"{days}d"
    return f"{days // 30}m" if days < 730 else f"{days // 365}y"


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(value)
