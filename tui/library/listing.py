"""``library list``: what is in it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tui.library.choosing import choosing_options, chosen, is_anything_chosen
from tui.library.options import json_option, library_option, opened
from tui.terminal import say, say_lines

if TYPE_CHECKING:
    from pathlib import Path

    from library.frames import FrameRecord
    from tui.library.parser import Add

_TITLES = ("kind", "exposure", "temp", "gain", "bin", "filter", "of", "date", "camera", "path")
_TO_THE_RIGHT = {"exposure", "temp", "gain", "of"}


def register(add: Add) -> None:
    """Add the command to the parser."""
    command = add("list", help="the frames and masters in it")
    choosing_options(command)
    command.add_argument("--retired", action="store_true", help="retired ones, and why")
    library_option(command)
    json_option(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each frame."""
    with opened(arguments) as library:
        records = chosen(library, arguments, retired=arguments.retired)
        if arguments.json:
            for record in records:
                say(json.dumps(facts(record)))
        elif records:
            say_lines(table(records, library.folder))
        elif arguments.retired:
            say("No frame is retired." if not is_anything_chosen(arguments) else "No such frame is retired.")
        elif is_anything_chosen(arguments):
            say("No frame is like this: `firstlight library status` shows what there is.")
        else:
            say("The library is empty: `firstlight library add` takes frames in.")
    return 0


def facts(record: FrameRecord) -> dict[str, Any]:
    """A frame for programs."""
    meta = record.meta
    return {
        "path": str(record.path),
        "kind": meta.kind.value,
        "camera": meta.camera,
        "exposure_s": meta.exposure_s,
        "sensor_temp_c": meta.sensor_temp_c,
        "gain": meta.gain,
        "offset": meta.offset,
        "binning": list(meta.binning),
        "filter": meta.filter,
        "date_obs": None if meta.date_obs is None else meta.date_obs.isoformat(),
        "n_combined": meta.n_combined,
        "frame_id": meta.frame_id,
        "sha256": record.sha256,
        "size_bytes": record.size_bytes,
        "retired_at": None if record.retired_at is None else record.retired_at.isoformat(),
        "retired_because": record.retired_because,
    }


def table(records: Sequence[FrameRecord], folder: Path) -> Iterator[str]:
    """Aligned columns, those left out that are empty throughout; paths are relative to the folder."""
    rows = [_cells(record, folder) for record in records]
    used = [at for at in range(len(_TITLES)) if any(row[at] for row in rows)]
    widths = {at: max(len(_TITLES[at]), *(len(row[at]) for row in rows)) for at in used}
    for row in (_TITLES, *rows):
        cells = [
            row[at].rjust(widths[at]) if _TITLES[at] in _TO_THE_RIGHT else row[at].ljust(widths[at])
            for at in used
        ]
        yield "  ".join(cells).rstrip()


def _cells(record: FrameRecord, folder: Path) -> tuple[str, ...]:
    from library.fitness import temperature_c

    meta, temp_c = record.meta, temperature_c(record.meta)
    x, y = meta.binning
    path = record.path.relative_to(folder).as_posix()
    return (
        meta.kind.value.replace("_", "-"),
        "" if meta.exposure_s is None else f"{meta.exposure_s:g} s",
        "" if temp_c is None else f"{temp_c:.1f} °C",
        "" if meta.gain is None else f"{meta.gain:g}",
        f"{x}×{y}",
        meta.filter or "",
        str(meta.n_combined) if meta.n_combined > 1 else "",
        "" if meta.date_obs is None else meta.date_obs.date().isoformat(),
        meta.camera,
        path if record.retired_because is None else f"{path} (retired: {record.retired_because})",
    )
