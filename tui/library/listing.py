"""``library list``: what is in it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from tui.library.options import json_option, opened, root_option

if TYPE_CHECKING:
    from library.frames import FrameRecord
    from tui.library.parser import Add


def register(add: Add) -> None:
    """Add the command to the parser."""
    command = add("list", help="the frames and masters in it")
    command.add_argument("--kind", help="bias, dark, flat, flat_dark, light, defects or dark_model only")
    command.add_argument("--masters", action="store_true", help="masters only")
    root_option(command)
    json_option(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each frame."""
    from library.errors import LibraryError
    from library.frames import FrameKind

    kinds = {kind.value for kind in FrameKind}
    if arguments.kind is not None and arguments.kind not in kinds:
        raise LibraryError(f"there is no kind {arguments.kind!r}; choose of {', '.join(sorted(kinds))}")
    kind = None if arguments.kind is None else FrameKind(arguments.kind)
    with opened(arguments) as library:
        for record in library.find(kind=kind, master=True if arguments.masters else None):
            print(json.dumps(_facts(record)) if arguments.json else _line(record))
    return 0


def _facts(record: FrameRecord) -> dict[str, Any]:
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
    }


def _line(record: FrameRecord) -> str:
    meta = record.meta
    known = [
        meta.kind.value.replace("_", "-"),
        meta.camera or "unknown camera",
        None if meta.exposure_s is None else f"{meta.exposure_s:g} s",
        None if meta.sensor_temp_c is None else f"{meta.sensor_temp_c:.1f} °C",
        None if meta.gain is None else f"gain {meta.gain:g}",
        meta.filter,
        f"of {meta.n_combined}" if meta.n_combined > 1 else None,
    ]
    return f"{'  '.join(part for part in known if part)}  {record.path}"
