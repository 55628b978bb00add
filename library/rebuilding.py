"""The catalogue made again from the files: whatever happened to it, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from library.catalogue import Catalogue, RepeatedError
from library.connection import FILE
from library.digests import TOPS, Digest, read_digests, replace_digests
from library.errors import DamagedCatalogueError, NotAFitsFileError
from library.intake import Prepared, prepare
from library.reconciling import in_order, with_retirement
from library.retirement import Retirements
from library.scan import scan

REPEATS = "repeats a frame that is here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What came of it; paths are relative to the library's folder."""

    frames: int
    masters: int
    digested: int
    """Files whose digest was not known, or not believed, and was computed."""

    refused: tuple[str, ...]
    """Files that are no whole FITS image, cannot be indexed, or repeat a frame that is here: left alone."""

    reasons: Mapping[str, str]
    """Why each of them is refused."""

    missing: tuple[str, ...]
    """Files that ``SHA256SUMS`` knows and that are not there."""

    moved_aside: Path | None
    """Where a damaged catalogue lies now."""


def rebuild(
    folder: Path,
    *,
    trust_files: bool = False,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Rebuilt:
    """Make the catalogue of the library in ``folder`` again from its files, digests and retirements.

    Headers are read without the catalogue's lock; then all rows are exchanged in one transaction, so
    that a crash at any time leaves the old catalogue or the new one. ``trust_files`` takes the files as they
    are: all digests are computed anew, and files that are missing are forgotten.
    """
    try:
        return _rebuild(folder, trust_files, on_progress, moved_aside=None)
    except DamagedCatalogueError:
        return _rebuild(folder, trust_files, on_progress, moved_aside=_move_aside(folder))


def _rebuild(
    folder: Path, trust_files: bool, on_progress: Callable[[int, int], None], moved_aside: Path | None
) -> Rebuilt:
    catalogue = Catalogue(folder)
    try:
        catalogue.check()
        files, _ = scan(folder)
        noted = read_digests(folder)
        known = {} if trust_files else noted
        prepared: dict[str, Prepared | str] = {}
        for number, path in enumerate(in_order(files, noted), start=1):
            prepared[path] = _prepare(folder, path, known.get(path))
            on_progress(number, len(files))
        with catalogue.writing() as connection:
            files_now, parts = scan(folder)
            for part in parts:
                (folder / part).unlink(missing_ok=True)
            noted_now = read_digests(folder)
            for path in in_order(files_now, noted_now):
                if (files_now[path], noted_now.get(path)) != (files.get(path), noted.get(path)):
                    prepared[path] = _prepare(folder, path, noted_now.get(path))  # it came meanwhile
            found = {
                path: each
                for path in in_order(files_now, noted_now)
                if isinstance(each := prepared[path], Prepared)
            }
            connection.execute("DELETE FROM frame")
            entered = _enter(catalogue, found)
            gone = "DELETE FROM verified WHERE path NOT IN (SELECT path FROM frame)"
            connection.execute("DELETE FROM verified" if trust_files else gone)
            digests = {path: found[path].digest for path in entered}
            if not trust_files:
                digests |= {path: digest for path, digest in noted_now.items() if path not in digests}
            for top in TOPS:
                replace_digests(folder, top, digests)
    finally:
        catalogue.close()
    masters = sum(path.startswith("masters/") for path in entered)
    return Rebuilt(
        frames=len(entered) - masters,
        masters=masters,
        digested=sum(not each.is_known for each in found.values()),
        refused=tuple(sorted(files_now.keys() - set(entered))),
        reasons={
            path: each if isinstance(each := prepared[path], str) else REPEATS
            for path in sorted(files_now.keys() - set(entered))
        },
        missing=tuple(sorted(noted_now.keys() - files_now.keys())),
        moved_aside=moved_aside,
    )


def _prepare(folder: Path, path: str, known: Digest | None) -> Prepared | str:
    """What the catalogue has to say of a file, or why it has nothing."""
    try:
        return prepare(folder, path, known)
    except NotAFitsFileError as error:
        return str(error).removeprefix(f"{folder / path}: ").removeprefix(f"{path}: ")


def _enter(catalogue: Catalogue, found: Mapping[str, Prepared]) -> list[str]:
    retirements = Retirements(catalogue.folder)
    entered = []
    for path, each in found.items():
        try:
            catalogue.insert(with_retirement(each.row, retirements))
            entered.append(path)
        except RepeatedError:
            pass  # it repeats a frame that was entered before it
    return entered


def _move_aside(folder: Path) -> Path:
    """Put a damaged catalogue, with its journal, where it is in nobody's way."""
    number = next(n for n in count(1) if not (folder / f"{FILE}.damaged-{n}").exists())
    aside = folder / f"{FILE}.damaged-{number}"
    for suffix in ("-wal", "-shm", ""):  # the catalogue last: a crash before leaves it to be moved again
        old = folder / f"{FILE}{suffix}"
        if old.exists():
            old.rename(f"{aside}{suffix}")
    return aside
