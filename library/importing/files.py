"""Which files of what the user names are frames to be tried."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from library.errors import NotAFrameError
from library.formats.table import FRAME_SUFFIXES, HEAD_BYTES, check_frame
from library.opening import open_file

OTHERS = "other files"
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Found:
    """Files to be tried in order of their paths, and the others that lie among them."""

    files: tuple[Path, ...]
    other_files: tuple[Path, ...]

    @property
    def others(self) -> int:
        """How many are left alone."""
        return len(self.other_files)

    def told(self) -> Mapping[str, tuple[Path, ...]]:
        """The others, by what they are."""
        sorts: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self.other_files:
            sorts[sort_of(path)].append(path)
        return {sort: tuple(paths) for sort, paths in sorts.items()}


def find_files(paths: Iterable[Path]) -> Found:
    """Files as named, and what is a frame by its suffix in folders and all below them.

    Hidden files and folders are passed over, and folders that are symbolic links.
    """
    files: dict[Path, None] = {}
    others: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            files[path] = None
            continue
        # A folder that cannot be read is tried as a file would be, so that it is refused and told.
        walk = os.walk(path, onerror=lambda error: files.setdefault(Path(error.filename)))
        for at, folders, names in walk:
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                is_frame = name.lower().endswith(FRAME_SUFFIXES) and not name.startswith(".")
                (files if is_frame else others)[Path(at, name)] = None
    return Found(tuple(files), tuple(others))


def sort_of(path: Path) -> str:
    """What a file is that is no frame by its name, for a line that counts such files."""
    try:
        with open_file(path) as file:
            check_frame(str(path), file.read(HEAD_BYTES))
    except NotAFrameError as error:
        return error.what
    except OSError:
        pass
    return OTHERS


def names_of(paths: Iterable[Path]) -> str:
    """Some files by their names."""
    names = [path.name for path in paths]
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
