"""Following a folder that a capture program writes into: which of its frames are whole.

By polling, as network shares tell nothing by themselves. Programs write in place, or under another name
first, in one go or bit by bit; some file systems give a file its whole length before its pixels come.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from firstlight.errors import FirstlightError
from library.cards import HeaderUnit, padded, walk
from library.errors import LibraryError, NotAFrameError
from library.formats.stream import ForeignStream
from library.formats.table import FRAME_SUFFIXES
from library.opening import refusal
from library.reading import open_image, says_thumbnail

SETTLED_S = 1.0
"""A file that is whole and has not changed for so long is taken."""

_EMPTY_S = 15.0
"""The same, if its pixels end in zeros: they may be yet to come."""

_GIVEN_UP_S = 60.0
"""A file that is not whole and has not changed for so long is handed over all the same, to be told of."""

_TAIL_BYTES = 2048
_NO_THUMBNAIL_BYTES = 4_000_000
_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")


@dataclass(frozen=True, slots=True)
class _Seen:
    size: int
    mtime_ns: int
    since_s: float


class FolderWatch:
    """``now`` is a steady clock in seconds; ``but`` are files that are ours or known already."""

    def __init__(self, folder: Path, now: Callable[[], float], *, but: Iterable[Path] = ()) -> None:
        self._folder, self._now = folder, now
        self._taken = {str(path) for path in but}
        self._pending: dict[str, _Seen] = {}
        self._unnamed: set[int] = set()
        self._aside: dict[str, _Seen] = {}

    def poll(self) -> list[Path]:
        """Return the frames that have become whole since last time, by their paths.

        Raises FirstlightError when the folder is not there (any more).
        """
        whole: list[Path] = []
        unnamed: set[int] = set()
        pending: dict[str, _Seen] = {}
        for entry in _entries(self._folder):
            if entry.path in self._taken:
                continue
            if entry.name.startswith(".") or not entry.name.lower().endswith(FRAME_SUFFIXES):
                unnamed.add(entry.inode())
                self._look_aside(entry)
                continue
            try:
                seen = self._look(entry)
            except OSError:  # gone since, or renamed
                continue
            if self._is_ready(entry, seen):
                self._taken.add(entry.path)
                whole.append(Path(entry.path))
            else:
                pending[entry.path] = seen
        self._unnamed, self._pending = unnamed, pending
        return sorted(whole)

    def others(self, *, even_fresh: bool = False) -> list[Path]:
        """Files that are no frames by their names, each told once, as soon as they have not changed for long.

        What a name says is written still (``.tmp``, ``.part``), and what is hidden, is none of them.
        """
        now = self._now()
        ready = [path for path, seen in self._aside.items() if even_fresh or now - seen.since_s >= _EMPTY_S]
        for path in ready:
            del self._aside[path]
        self._taken.update(ready)
        return sorted(path for path in map(Path, ready) if path.exists())

    def _look_aside(self, entry: os.DirEntry[str]) -> None:
        if entry.name.startswith(".") or entry.name.lower().endswith(_UNFINISHED):
            return
        try:
            status = os.stat(entry.path)  # noqa: PTH116  as in _look
        except OSError:
            self._aside.pop(entry.path, None)
            return
        before = self._aside.get(entry.path)
        if before is None or (before.size, before.mtime_ns) != (status.st_size, status.st_mtime_ns):
            self._aside[entry.path] = _Seen(status.st_size, status.st_mtime_ns, self._now())

    @property
    def pending(self) -> int:
        """How many are being written."""
        return len(self._pending)

    def _look(self, entry: os.DirEntry[str]) -> _Seen:
        try:
            status = os.stat(entry.path)  # noqa: PTH116  not the entry's own, which may be as old as the listing
        except OSError:
            if refusal(entry.path) is None:
                raise
            status = entry.stat(follow_symlinks=False)  # of a link that leads round in a circle
        before = self._pending.get(entry.path)
        if before is not None and (before.size, before.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return before
        return _Seen(status.st_size, status.st_mtime_ns, self._now())

    def _is_ready(self, entry: os.DirEntry[str], seen: _Seen) -> bool:
        quiet_s = self._now() - seen.since_s
        renamed = entry.inode() in self._unnamed
        if not renamed and quiet_s < SETTLED_S:
            return False
        if quiet_s >= _GIVEN_UP_S:
            return True
        if refusal(entry.path) is not None:
            return True  # a pipe or the like will never be whole: whoever takes it will say so
        whole, filled = _state(Path(entry.path), seen.size)
        return whole and (filled or renamed or quiet_s >= _EMPTY_S)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All files in it and below it; what cannot be listed below it is passed over this time."""
    waiting = [str(folder)]
    while waiting:
        at = waiting.pop()
        try:
            with os.scandir(at) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        yield entry
                    elif not entry.name.startswith("."):
                        waiting.append(entry.path)
        except OSError as error:
            if at == str(folder):
                raise FirstlightError(f"{folder}: cannot be watched ({error.strerror})") from error


def _state(path: Path, size: int) -> tuple[bool, bool]:
    """Whether all bytes that the header announces are there, and whether the last ones were written.

    A packed file tells its length at its end only: it counts as whole.
    """
    try:
        with open_image(path) as (stream, unit):
            if isinstance(stream, ForeignStream):
                image = stream.image
                end = image.end
                return size >= end, any(image.data.piece(end - _TAIL_BYTES, _TAIL_BYTES))
            if not isinstance(stream, BufferedReader):
                return True, True
            end = unit.data_start + unit.data_size
            if size < end or _goes_on(stream, unit):
                return False, False
            stream.seek(max(unit.data_start, end - _TAIL_BYTES))
            return True, any(stream.read(min(_TAIL_BYTES, unit.data_size)))
    except NotAFrameError:
        return True, True  # whoever takes it will say so
    except LibraryError:
        return False, False


def _goes_on(stream: BufferedReader, picture: HeaderUnit) -> bool:
    """Whether the picture is yet to come behind a thumbnail, or has begun behind the last whole image."""
    if says_thumbnail(picture):
        return True
    if picture.data_size > _NO_THUMBNAIL_BYTES:
        return False
    stream.seek(0)
    end = 0
    for unit in walk(stream):
        end = unit.data_start + padded(unit.data_size)
    stream.seek(end)
    return stream.read(8) == b"XTENSION"
