"""What lies in the library's folder, and what its bytes are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from library.formats.table import FRAME_SUFFIXES
from library.opening import open_file
from library.writing import PART_MARK


def scan(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Frames with their sizes, and temporary files, by path relative to the library's folder."""
    files: dict[str, int] = {}
    parts: list[str] = []
    waiting = ["masters", "frames"]
    while waiting:
        top = waiting.pop()
        with os.scandir(folder / top) as entries:
            for entry in entries:  # strings and no Path for each: there may be 100,000
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{top}/{name}")
                elif name.startswith("."):
                    parts += [f"{top}/{name}"] if PART_MARK in name else []
                elif name.lower().endswith(FRAME_SUFFIXES) and (size := _size_of(entry)) is not None:
                    files[f"{top}/{name}"] = size
    return files, sorted(parts)


def _size_of(entry: os.DirEntry[str]) -> int | None:
    """How large a file is; ``None`` for what is none, a link that leads nowhere or round in a circle."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except OSError:
        return None


def digest_file(file: Path) -> str:
    """The sha256 of a file."""
    with open_file(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
