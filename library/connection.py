"""The connection to the catalogue, and its errors in words that a user can act on."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from library.errors import DamagedCatalogueError, DiskFullError, LibraryBusyError, LibraryError
from library.schema import migrate

BUSY_TIMEOUT_S = 30.0
LEAST_ROOM_BYTES = 1_000_000
"""With less than this free, SQLite's "I/O error" means a full disk: its shared memory file could not grow."""
_OF_DAMAGE = {
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_INTERNAL,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_ERROR,
}
"""Our own statements are right: what SQLite says against them is so because a table is not what we made."""

FILE = "catalogue.sqlite"


def damaged(folder: Path, what: str) -> DamagedCatalogueError:
    """The error to raise where the catalogue is not what we wrote."""
    return DamagedCatalogueError(
        f"{folder / FILE}: {what}; run `firstlight library rebuild`, which makes it anew from the frames"
    )


def connect(file: Path) -> sqlite3.Connection:
    """Open the catalogue, made and migrated as need be; transactions are begun explicitly."""
    if file.exists() and not file.is_file():
        raise damaged(file.parent, "is no file")
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
    """Errors of SQLite and of the file system in words that a user can act on."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _in_words(folder, error) from error
    except UnicodeDecodeError as error:  # SQLite's own message, about a name in a damaged page
        raise damaged(folder, "its pages are damaged") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(f"{folder}: no room for what was to be noted; free some space") from error
        raise LibraryError(
            f"{error.filename or folder}: {error.strerror}; check the folder's disk and permissions"
        ) from error


def _in_words(folder: Path, error: sqlite3.DatabaseError) -> LibraryError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    full = shutil.disk_usage(folder).free < LEAST_ROOM_BYTES
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and full):
        return DiskFullError(f"{folder}: no room for the catalogue; free some space")
    if code == sqlite3.SQLITE_BUSY:
        return LibraryBusyError(
            f"{folder}: another process has been writing for {BUSY_TIMEOUT_S:.0f} s; wait"
        )
    is_ours_to_write = code == sqlite3.SQLITE_READONLY and os.access(folder / FILE, os.W_OK)
    if is_ours_to_write or (code in _OF_DAMAGE and not isinstance(error, sqlite3.ProgrammingError)):
        return damaged(folder, str(error))
    return LibraryError(f"{folder}/catalogue.sqlite: {error}; check the folder's disk and permissions")
