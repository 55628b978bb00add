"""Names of files hold anything; the terminal gets lines of letters, whatever the command."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tui
from acquire.events import ConnectionLost
from firstlight.events import Stamped
from library.store import Library
from tests.library.frames import fits_bytes, stamp
from tests.tui.nights import FakeSource, whole
from tui.cli import main
from tui.headless import print_lines
from tui.terminal import overwrite, plain, plain_event, say_lines

HOSTILE = "a\x1b]0;owned\x07b\nfirstlight: all is well\r\x9b2J\u202e\udce9.fits"
COMMANDS = (
    ("library", "add", "{file}"),
    ("library", "add", "{folder}"),
    ("library", "add", "{bad}"),
    ("library", "match", "{file}"),
    ("library", "match", "{bad}"),
    ("library", "list"),
    ("library", "status"),
    ("library", "verify"),
    ("library", "retire", "{bad}"),
    ("library", "retire", "frames/{name}"),
    ("library", "export", "{folder}"),
    ("library", "masters", "build"),
    ("library", "plan", "{bad}"),
    ("library", "rebuild"),
    ("stack", "{bad}", "-o", "{folder}/o.fits"),
    ("stack", "{file}", "-o", "{folder}/o.fits"),
    ("compose", "{bad}", "{file}", "-o", "{folder}/o.png"),
    ("run", "{bad}", "--root", "{folder}"),
    ("nonsense", "{bad}"),
)


def is_fit_to_print(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_name_reaches_the_terminal_raw(
    command: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    file, bad = folder / HOSTILE, folder / f"x{HOSTILE}"
    file.write_bytes(fits_bytes(seed=1))
    bad.write_bytes(b"nonsense")
    with Library.open(tmp_path) as library:
        library.add(fits_bytes(seed=2), stamp())
        stored = library.folder / "frames" / f"y{HOSTILE}".replace("\udce9", "")
        stored.write_bytes(fits_bytes(seed=3))
        stored.with_name(HOSTILE).write_bytes(fits_bytes(seed=4))
    words = [word.format(file=file, bad=bad, folder=folder, name=stored.name) for word in command]
    at = ["--root", str(tmp_path)] if command[0] == "library" else []
    with suppress(SystemExit):  # argparse's
        main([*words, *at])
    told = capfd.readouterr()
    assert told.out or told.err
    assert is_fit_to_print(told.out + told.err)
    assert "\nfirstlight: all is well" not in told.out + told.err


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_name_that_is_no_text_is_told_on_any_terminal(encoding: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.fits")).write_bytes(fits_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "library", "add", str(folder), "--root", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"caf\\xe9.fits" in done.stdout
    assert not done.stderr


@given(st.text())
def test_plain_text_is_one_line_and_good_text_stays(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)
    if text.isprintable():
        assert plain(text) == text


def test_lines_and_the_last_line_are_escaped() -> None:
    out = io.StringIO()
    overwrite("50 % of \x1b[31m\n", out=out)
    say_lines(["a\nb"], out=out)
    assert out.getvalue() == "\r\x1b[K50 % of \\x1b[31m\\na\\nb\n"


async def test_a_night_of_hostile_names_is_told_in_lines() -> None:
    out = io.StringIO()
    await print_lines(FakeSource(hostile()), out, io.StringIO())
    assert "owned" in out.getvalue()
    assert is_fit_to_print(out.getvalue())


def test_the_screen_gets_events_of_plain_texts() -> None:
    events = hostile()
    told = next(each.event for each in map(plain_event, events) if isinstance(each.event, ConnectionLost))
    assert told.reason.isprintable()
    assert "owned" in told.reason
    assert plain_event(told) is told


def hostile() -> list[Stamped]:
    """A night in which a device says such a thing."""
    stream = whole().stream
    return [
        stream[0],
        replace(stream[0], event=ConnectionLost(what="CCD\x1b[2J", reason=HOSTILE)),
        *stream[1:],
    ]


def test_there_is_no_other_door() -> None:
    for file in Path(tui.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                assert file.name == "terminal.py", f"{file}:{node.lineno} prints past the terminal's door"
