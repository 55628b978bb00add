"""The catalogue: rows that speak of files, one connection under one lock, one writer at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from library.connection import FILE, connect, damaged, explained
from library.frames import FrameRecord
from library.rows import Row, SqlValue, to_record

_MOST_REVISIONS = 2**53


class RepeatedError(Exception):
    """A path or a frame's id that has a row already; for those that enter frames."""


class Catalogue:
    """The catalogue of the library in ``folder``; any thread may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._connection = connect(folder / FILE)
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close it; waits for a thread that is at work."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock of this library, against other threads and processes, for a transaction."""
        with self._lock, explained(self.folder):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: tuple[SqlValue, ...] = ()) -> list[sqlite3.Row]:
        """What a query of our own gives."""
        with self._lock, explained(self.folder):
            return self._connection.execute(query, values).fetchall()

    def records(self, condition: str, values: tuple[SqlValue, ...] = ()) -> list[FrameRecord]:
        """Frames for which a condition of our own holds, oldest first.

        Raises :class:`DamagedCatalogueError` for a row that cannot be one.
        """
        query = f"SELECT * FROM frame WHERE {condition} ORDER BY date_obs, id"  # noqa: S608 - our own conditions
        rows = self.rows(query, values)
        try:
            return [to_record(row, self.folder) for row in rows]
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            raise damaged(self.folder, f"a row is damaged ({error})") from error

    def check(self) -> None:
        """Raise :class:`DamagedCatalogueError` if its pages or its rows are not what SQLite wrote."""
        (found,) = self.rows("PRAGMA integrity_check(1)")[0]
        if found != "ok":
            raise damaged(self.folder, str(found))
        revisions = [row["masters"] for row in self.rows("SELECT masters FROM revision")]
        if len(revisions) != 1 or not 0 <= revisions[0] < _MOST_REVISIONS:
            raise damaged(self.folder, f"its revision is {revisions}")

    def insert(self, row: Row) -> None:
        """Enter a frame within a transaction.

        Raises :class:`RepeatedError` if its path or its frame's id is there already.
        """
        columns = ", ".join(f'"{column}"' for column in row)
        marks = ", ".join("?" * len(row))
        query = f"INSERT INTO frame ({columns}) VALUES ({marks})"  # noqa: S608 - our own column names
        try:
            self._connection.execute(query, tuple(row.values()))
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise
            raise RepeatedError(str(row["path"])) from error
