"""The one door to the terminal for lines: names of files, devices and targets may hold anything.

What could move the cursor, change colours or begin another line is shown as a program would write it
(``\\x1b``, ``\\n``): one call gives one line, and the terminal does nothing but show it.
"""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Iterable
from typing import Any, TextIO, TypeVar

T = TypeVar("T")

_WIPE = "\r\x1b[K"
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF
"""So Python writes the bytes of a file's name that is no UTF-8."""


def plain(text: object) -> str:
    """The text as one line that can be printed."""
    words = str(text)
    if words.isprintable():
        return words
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in words)


def plain_event(event: T) -> T:
    """An event, or whatever is within one, with each of its texts made :func:`plain`, for the screen."""
    made: Any = event
    if isinstance(event, str):
        made = plain(event)
    elif isinstance(event, tuple):
        made = tuple(plain_event(each) for each in event)
    elif dataclasses.is_dataclass(event) and not isinstance(event, type):
        fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event) if field.init}
        other = {name: new for name, old in fields.items() if (new := plain_event(old)) != old}
        made = dataclasses.replace(event, **other) if other else event
    return made if made != event else event


def say(text: object = "", *, out: TextIO | None = None) -> None:
    """Print a line, on stdout unless told otherwise."""
    print(plain(text), file=out or sys.stdout, flush=True)


def say_lines(lines: Iterable[object], *, out: TextIO | None = None) -> None:
    """Print some lines."""
    out = out or sys.stdout
    out.writelines(f"{plain(line)}\n" for line in lines)
    out.flush()


def warn(text: object) -> None:
    """Print a line on stderr."""
    say(text, out=sys.stderr)


def overwrite(text: object = "", *, out: TextIO | None = None) -> None:
    """Show a text in place of the terminal's last line, and stay on it; on stderr unless told otherwise."""
    out = out or sys.stderr
    out.write(f"{_WIPE}{plain(text)}")
    out.flush()


def accept_any_letter() -> None:
    """Let a terminal of few letters show others as escapes, where it would raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _escaped(letter: str) -> str:
    code = ord(letter)
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")
