"""Making the catalogue say what the files say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from library.catalogue import Catalogue, RepeatedError
from library.digests import Digest, append_digests, read_digests
from library.errors import NotAFitsFileError
from library.intake import Prepared, prepare
from library.retirement import Retirements
from library.rows import Row
from library.scan import scan

CHUNK_FRAMES = 200
"""Files are read without the lock, so that a night goes on meanwhile, and entered so many at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What opening the library had to put right; paths are relative to the library's folder."""

    taken_in: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    removed_parts: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    read_again: tuple[str, ...] = ()


def reconcile(catalogue: Catalogue) -> Reconciled:
    """Bring rows and files together.

    Temporary files of the dead are removed, whole FITS files without a row are taken in, rows without
    their file are dropped. A file that is no whole FITS image, or repeats a frame that is here, is
    refused: left alone and named. After a migration the headers of old rows are read again.
    """
    folder = catalogue.folder
    with catalogue.writing() as connection:
        files, parts = scan(folder)
        for part in parts:
            (folder / part).unlink(missing_ok=True)
        rows = dict(connection.execute("SELECT path, size_bytes FROM frame").fetchall())
        dropped = sorted(path for path, size in rows.items() if files.get(path) != size)
        connection.executemany("DELETE FROM frame WHERE path = ?", [(path,) for path in dropped])
        stale = connection.execute("SELECT * FROM frame WHERE is_stale ORDER BY id").fetchall()
        Retirements(folder).apply(connection)
    intake = _Intake(catalogue)
    if stale:
        intake.read_again(stale)
    if new := files.keys() - rows.keys() | files.keys() & set(dropped):
        intake.take_in(new)
    return Reconciled(
        taken_in=tuple(sorted(intake.taken_in)),
        dropped=tuple(dropped),
        removed_parts=tuple(parts),
        refused=tuple(sorted(intake.refused)),
        read_again=tuple(str(row["path"]) for row in stale),
    )


def with_retirement(row: Row, retirements: Retirements) -> Row:
    """The row with the retirement that the library's file has for it."""
    retirement = retirements.of(str(row["path"]), None if row["frame_id"] is None else str(row["frame_id"]))
    return (
        row
        if retirement is None
        else {
            **row,
            "retired_at": retirement.at,
            "retired_because": retirement.because,
        }
    )


class _Intake:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._retirements = Retirements(catalogue.folder)
        self.taken_in: list[str] = []
        self.refused: list[str] = []

    def read_again(self, rows: Iterable[sqlite3.Row]) -> None:
        """Rows of before a migration; the digests that they hold stand."""
        known = {str(row["path"]): Digest(row["sha256"], row["size_bytes"], row["frame_id"]) for row in rows}
        for chunk in batched(list(known), CHUNK_FRAMES):
            prepared = self._prepare(chunk, known)
            with self._catalogue.writing() as connection:
                for path in chunk:
                    find = "SELECT id FROM frame WHERE path = ? AND is_stale"
                    row = connection.execute(find, (path,)).fetchone()
                    if row is None:
                        continue  # another process was faster
                    connection.execute("DELETE FROM frame WHERE path = ?", (path,))
                    if path in prepared:
                        self._enter(prepared[path].row | {"id": row["id"]})
                noted = read_digests(self._catalogue.folder)
                self._note(each for path, each in prepared.items() if path not in noted)

    def take_in(self, paths: Iterable[str]) -> None:
        """Files without a row; those whose digests are known come first, in the order of their entry."""
        digests = read_digests(self._catalogue.folder)
        for chunk in batched(in_order(paths, digests), CHUNK_FRAMES):
            prepared = self._prepare(chunk, digests)
            with self._catalogue.writing() as connection:
                find = "SELECT 1 FROM frame WHERE path = ?"  # another process may have been faster
                mine = [path for path in prepared if connection.execute(find, (path,)).fetchone() is None]
                entered = [path for path in mine if self._enter(prepared[path].row)]
                self._note(prepared[path] for path in entered if not prepared[path].is_known)
            self.taken_in += entered

    def _prepare(self, paths: Iterable[str], known: Mapping[str, Digest]) -> dict[str, Prepared]:
        prepared = {}
        for path in paths:
            try:
                prepared[path] = prepare(self._catalogue.folder, path, known.get(path))
            except NotAFitsFileError:
                self.refused.append(path)
        return prepared

    def _enter(self, row: Row) -> bool:
        try:
            self._catalogue.insert(with_retirement(row, self._retirements))
        except RepeatedError:
            self.refused.append(str(row["path"]))
            return False
        return True

    def _note(self, prepared: Iterable[Prepared]) -> None:
        append_digests(self._catalogue.folder, {str(each.row["path"]): each.digest for each in prepared})


def in_order(paths: Iterable[str], digests: Mapping[str, Digest]) -> list[str]:
    """The paths as they were entered once, and then those of which nothing is known, by name."""
    wanted = set(paths)
    return [path for path in digests if path in wanted] + sorted(wanted - digests.keys())


def batched(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """So many at a time."""
    yield from (paths[at : at + size] for at in range(0, len(paths), size))
