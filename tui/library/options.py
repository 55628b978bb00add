"""Options that the library's commands share."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from library.opening import resolved

if TYPE_CHECKING:
    from library.store import Library


def library_option(command: argparse.ArgumentParser) -> None:
    """``--library``: which one; ``--root`` says the same, for a night that has a library of its own."""
    command.add_argument(
        "--library",
        "--root",
        type=Path,
        metavar="DIR",
        help="which library (default: the library of all nights, docs/settings.md)",
    )


def json_option(command: argparse.ArgumentParser) -> None:
    """``--json``: for programs."""
    command.add_argument("--json", action="store_true", help="one JSON object a line")


def at_least_one(text: str) -> int:
    """A number of something, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def wrapped(text: str, indent: str = "  ", hang: int = 2) -> list[str]:
    """A sentence in lines of at most 80 columns, those after the first ``hang`` columns further in."""
    lines = textwrap.wrap(
        re.sub(r" (?=°C|s\b|±)|(?<=±) ", "\N{NO-BREAK SPACE}", text),
        width=80,
        initial_indent=indent,
        subsequent_indent=" " * (len(indent) + hang),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def library_of(arguments: argparse.Namespace, *, begins: bool = False) -> Path:
    """The folder that ``--library`` names; it must exist unless the command ``begins`` a library.

    So that a slip in its name is told, and makes no empty library. Raises :class:`LibraryError`.
    """
    from firstlight.config import default_library
    from library.errors import LibraryError

    folder: Path = resolved(arguments.library or default_library())
    if not begins and not folder.exists():
        raise LibraryError(
            f"{folder}: there is no such folder; check --library, or begin a library there with "
            "`firstlight library add`"
        )
    return folder


@contextmanager
def opened(arguments: argparse.Namespace, *, begins: bool = False) -> Iterator[Library]:
    """The library that ``--library`` names."""
    from library.store import Library

    with Library.open(library_of(arguments, begins=begins)) as library:
        yield library
