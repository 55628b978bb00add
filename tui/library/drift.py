"""``library drift``: whether the sensor is still what its masters say."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from tui.library.options import json_option, library_option, opened
from tui.terminal import say, say_lines

if TYPE_CHECKING:
    from library.drift import Drift
    from tui.library.parser import Add


def register(add: Add) -> None:
    """Add the command to the parser."""
    command = add("drift", help="whether the newest darks, biases and flats differ from the older ones")
    library_option(command)
    json_option(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was compared and what has changed; 1 if a master is stale."""
    from dataclasses import asdict

    from library.drift import check_drift

    with opened(arguments) as library:
        found = check_drift(library.find(master=False))
    for drift in found:
        if arguments.json:
            say(json.dumps({**asdict(drift), "stale": drift.stale}, default=str))
        else:
            say_lines(_lines(drift))
    if not found and not arguments.json:
        say("Nothing to compare: no setting has frames of two sessions, twelve hours apart or more.")
    return int(any(drift.stale for drift in found))


def _lines(drift: Drift) -> list[str]:
    verdict = "STALE" if drift.stale else "unchanged"
    (old, new), (n_old, n_new) = (drift.before, drift.after), drift.frames
    lines = [
        f"{drift.camera or 'unknown camera'}, {drift.of}: {verdict}",
        f"  {n_old} frames to {old[1]:%Y-%m-%d} against {n_new} of {new[1]:%Y-%m-%d}",
    ]
    lines += [f"  {'!' if change.matters else ' '} {change.text}" for change in drift.changes]
    if drift.stale:
        lines.append(
            "    retire the older frames and build the masters anew: `firstlight library retire --help`"
        )
    return lines
