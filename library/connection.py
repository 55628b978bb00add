"""The connection to the catalogue, and its errors in words that a user can act on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from library.errors import DiskFullError, LibraryBusyError, LibraryError
from library.schema import migrate

BUSY_TIMEOUT_S = 30.0


def connect(file: Path) -> sqlite3.Connection:
    """Open the catalogue, made and migrated as need be; transactions are begun explicitly."""
    with explained(file.parent):
        connection = sqlite3.connect(
            file, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a lost row comes back from its file
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """SQLite's errors in words that a user can act on."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_FULL:
            raise DiskFullError(f"{folder}: no room for the catalogue; free some space") from error
        if code == sqlite3.SQLITE_BUSY:
            raise LibraryBusyError(
                f"{folder}: another process has been writing for {BUSY_TIMEOUT_S:.0f} s; try again"
            ) from error
        raise LibraryError(
            f"{folder}/catalogue.sqlite: {error}; move it away, it is rebuilt from the frames"
        ) from error
