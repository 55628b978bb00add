"""Which files of what the user names are frames to be tried."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from library.importing.source import FRAME_SUFFIXES, RAW_SUFFIXES


@dataclass(frozen=True, slots=True)
class Found:
    """Files to be tried in order of their paths, and how many others lie among them."""

    files: tuple[Path, ...]
    others: int


def find_files(paths: Iterable[Path]) -> Found:
    """Files as named, and what is a frame by its suffix in folders and all below them.

    Hidden files and folders are passed over, and folders that are symbolic links. Raw files of cameras are
    among the frames, so that it is told that they are not read.
    """
    files: dict[Path, None] = {}
    others = 0
    for path in paths:
        if not path.is_dir():
            files[path] = None
            continue
        # A folder that cannot be read is tried as a file would be, so that it is refused and told.
        walk = os.walk(path, onerror=lambda error: files.setdefault(Path(error.filename)))
        for at, folders, names in walk:
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.lower().endswith((*FRAME_SUFFIXES, *RAW_SUFFIXES)) and not name.startswith("."):
                    files[Path(at, name)] = None
                else:
                    others += 1
    return Found(tuple(files), others)
