"""Options that the library's commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from library.store import Library


def root_option(command: argparse.ArgumentParser) -> None:
    """``--root``: whose library it is."""
    command.add_argument(
        "--root", type=Path, metavar="DIR", help="whose library (default: $FIRSTLIGHT_ROOT or ~/firstlight)"
    )


def json_option(command: argparse.ArgumentParser) -> None:
    """``--json``: for programs."""
    command.add_argument("--json", action="store_true", help="one JSON object a line")


@contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[Library]:
    """The library that ``--root`` names."""
    from firstlight.config import default_root
    from library.store import Library

    with Library.open((arguments.root or default_root()).resolve()) as library:
        yield library
