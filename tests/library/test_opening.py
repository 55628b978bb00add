"""What is no file of bytes is refused with a reason, and nothing is waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

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
