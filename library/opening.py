"""Opening what a path leads to: a file of bytes, and nothing that one waits for, or that is hollow."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_LARGE_BYTES, _HOLLOW = 1_000_000_000, 64
"""From this size on, a file whose disk blocks hold less than one part in 64 of it is no frame, but hollow."""

_BLOCK_BYTES = 512
_MOST_TEXT_BYTES = 64_000_000


def open_file(path: Path | str) -> BufferedReader:
    """Open a file to read its bytes; nothing is waited for.

    Raises ``OSError`` with the reason as its ``strerror``, also for a pipe, a socket, a device, a link that
    leads round in a circle, and a hollow file of gigabytes.
    """
    _check(os.stat(path), path)  # noqa: PTH116 - a device is not opened to find out what it is
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    try:
        _check(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def refusal(path: Path | str) -> str | None:
    """Why a path leads to no file that could ever be read, without opening it; ``None`` for one that may.

    Nor is there a refusal for what is not there, or is hollow: it may be a file that is being written.
    """
    try:
        _check_kind(os.stat(path), path)  # noqa: PTH116 - see above
    except IsADirectoryError:
        return "it is a folder, no file"
    except OSError as error:
        return error.strerror if error.errno in {errno.EINVAL, errno.ELOOP} else None
    return None


def resolved(path: Path | str) -> Path:
    """The path without links, as far as they lead: one that leads round in a circle raises nothing."""
    return Path(os.path.realpath(path))


def read_file(path: Path | str, *, most_bytes: int = _MOST_TEXT_BYTES) -> bytes:
    """All bytes of a file of ours or of the user's settings; raises ``OSError`` as :func:`open_file`."""
    with open_file(path) as file:
        if os.fstat(file.fileno()).st_size > most_bytes:
            raise OSError(errno.EFBIG, f"it has more than {most_bytes / 1e6:.0f} MB", str(path))
        return file.read(most_bytes)


def read_text(path: Path | str, *, errors: str = "strict") -> str:
    """The text of such a file; raises ``OSError`` and ``UnicodeDecodeError``."""
    return read_file(path).decode("utf-8", errors)


def _check(found: os.stat_result, path: Path | str) -> None:
    _check_kind(found, path)
    filled_bytes = found.st_blocks * _BLOCK_BYTES
    if found.st_size >= _LARGE_BYTES and filled_bytes * _HOLLOW < found.st_size:
        raise OSError(
            errno.EFBIG,
            f"it is hollow: {filled_bytes / 1e6:.1f} MB of its {found.st_size / 1e9:.1f} GB are there",
            str(path),
        )


def _check_kind(found: os.stat_result, path: Path | str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    for is_kind, name in _KINDS:
        if is_kind(found.st_mode):
            raise OSError(errno.EINVAL, f"it is {name}, no file", str(path))
