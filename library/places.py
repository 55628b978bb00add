"""Where a derived file lies, and what it is called: the same for masters, defect maps and dark models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from library.frames import FrameMeta, FrameRecord
from library.store import Library


def identity(parts: Iterable[str]) -> str:
    """A name for exactly these sources and this recipe."""
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:24]


def free_path(
    library: Library, path: PurePosixPath, settings: object, is_mine: Callable[[FrameRecord], bool]
) -> PurePosixPath:
    """The path itself, unless a file that is not ``is_mine`` has it, retired or not; then with a mark.

    ``settings`` make the mark: the same ones always get the same.
    """
    taken = next(
        (r for r in library.find(master=True, retired=None) if r.path == library.folder / path), None
    )
    if taken is None or is_mine(taken):
        return path
    mark = hashlib.sha256(repr(settings).encode()).hexdigest()[:6]
    return path.with_name(f"{path.stem}_{mark}.fits")


def rows_in_identity(meta: FrameMeta) -> list[str]:
    """What how a frame's rows lie adds to the identity of what is made of it: nothing if it does not say."""
    return [] if meta.row_order is None else [meta.row_order]
