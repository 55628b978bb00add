"""The commands below ``firstlight library``; each module adds its own."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tui.library import adding, dark, drift, listing, masters, matching, planning, status, upkeep

Add = Callable[..., argparse.ArgumentParser]


def add_library(add: Add) -> None:
    """Add ``library`` and all that is below it to the top parser's commands."""
    library = add("library", help="the frame library: calibration frames, masters, what matches what")
    below = library.add_subparsers(dest="library_command", metavar="COMMAND", required=True).add_parser
    for module in (listing, adding, masters, matching, status, upkeep, dark, drift, planning):
        module.register(below)
