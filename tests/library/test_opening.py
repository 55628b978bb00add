"""What is no file of bytes is refused with a reason, and nothing is waited for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from library.errors import NotAFitsFileError
from library.importing.source import read_source
from library.reading import read_frame
from library.store import Library
from tests.library.frames import fits_bytes


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _hollow(path: Path) -> None:
    path.write_bytes(fits_bytes())
    os.truncate(path, 8_000_000_000)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_pipe, "a named pipe"),
        (_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (_hollow, "hollow"),
    ],
)
def test_what_is_no_file_is_refused_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object, said: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    path = Path("x.fits")
    make(path)  # type: ignore[operator]
    for read in (read_frame, read_source):
        with pytest.raises(NotAFitsFileError, match=said):
            read(path)


def test_a_link_that_leads_round_in_a_circle_keeps_no_library_shut(tmp_path: Path) -> None:
    Library.open(tmp_path).close()
    loop = tmp_path / "library/frames/x.fits"
    loop.symlink_to(loop)
    with Library.open(tmp_path) as library:
        assert library.find() == []


def _odd_folder(folder: Path) -> None:
    """Two frames among all that is none; its name must be short, for the socket."""
    folder.mkdir()
    for number in range(2):
        (folder / f"l{number}.fits").write_bytes(fits_bytes(np.full((40, 60), 400 + number, np.uint16)))
    for name in ("pipe.fits", "pipe.ser", "pipe.xisf", "pipe.txt"):
        _pipe(folder / name)
    _socket(folder / "sock.fits")
    (folder / "zero.fits").symlink_to("/dev/zero")
    (folder / "gone.fits").symlink_to("gone")
    (folder / "loop.fits").symlink_to(folder.absolute() / "loop.fits")
    for name, head in (("a.fits", fits_bytes()), ("b.ser", b"LUCAM-RECORDER"), ("c.tif", b"II*\0\x08\0\0\0")):
        (folder / name).write_bytes(head)
        os.truncate(folder / name, 8_000_000_000)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui.cli", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )


def test_add_takes_the_frames_of_an_odd_folder_and_names_the_rest(tmp_path: Path) -> None:
    with TemporaryDirectory(prefix="fl-", dir="/tmp") as short:
        _odd_folder(Path(short, "in"))
        done = _run("library", "add", f"{short}/in", "--root", str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    assert "10 refused, 2 taken" in done.stdout
    for said in ("a named pipe", "a socket", "a device", "symbolic links", "hollow", "No such file"):
        assert said in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("--watch",)], ids=["stack", "watch"])
def test_stack_leaves_out_what_is_no_file(tmp_path: Path, how: tuple[str, ...]) -> None:
    with TemporaryDirectory(prefix="fl-", dir="/tmp") as short:
        _odd_folder(Path(short, "in"))
        for name in ("a.fits", "b.ser", "c.tif"):
            Path(short, "in", name).unlink()  # a watch gives these a minute
        end = ("--idle", "2") if how else ()
        done = _run("stack", *how, f"{short}/in", "-o", str(tmp_path / "o.fits"), *end)
    assert done.returncode == 2, done.stderr  # two even frames have no stars
    assert "Traceback" not in done.stderr
    for name in ("pipe.fits", "pipe.ser", "sock.fits", "zero.fits", "loop.fits"):
        assert name in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("run", "{pipe}", "--root", "{root}", "--indi", "127.0.0.1:1"),
        ("library", "plan", "{pipe}", "--root", "{root}"),
        ("library", "match", "{pipe}", "--root", "{root}"),
        ("library", "add", "{root}/x.fits", "--root", "{root}", "--rules", "{pipe}"),
        ("compose", "{pipe}", "{pipe}", "-o", "{root}/o.fits"),
    ],
    ids=" ".join,
)
def test_no_command_waits_for_a_pipe(tmp_path: Path, command: tuple[str, ...]) -> None:
    Library.open(tmp_path).close()
    _pipe(tmp_path / "pipe")
    done = _run(*(word.format(pipe=tmp_path / "pipe", root=tmp_path) for word in command))
    assert done.returncode == 2
    assert "a named pipe" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("value", [2**62, 2**31, 10**30])
def test_a_size_that_the_file_cannot_have_takes_no_memory(tmp_path: Path, value: int) -> None:
    path = tmp_path / "x.fits"
    for keyword in ("NAXIS1", "NAXIS2"):
        fits = fits_bytes()
        at = fits.index(keyword.encode())
        path.write_bytes(fits[:at] + f"{keyword:8}= {value:>20}".ljust(80)[:80].encode() + fits[at + 80 :])
        for read in (read_frame, read_source):
            with pytest.raises(NotAFitsFileError, match="cut short"):
                read(path)
