"""Old catalogues become new ones, whatever happens meanwhile, and lose nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from library.digests import MANIFEST
from library.errors import LibraryError
from library.schema import MIGRATIONS, migrate
from library.store import Library
from tests.library.frames import fits_bytes, stamp

COLUMNS_OF_1 = """
    id, path, sha256, size_bytes, is_master, kind, width, height, camera, exposure_s, sensor_temp_c,
    set_temp_c, gain, "offset", x_binning, y_binning, filter, bayer_pattern, read_mode, object_name, date_obs,
    frame_id, plan_id, step_id, n_combined, egain_e_per_adu
"""


def make_old(root: Path) -> list[Any]:
    """A library with a catalogue of version 1, as the first program left it: no digests in text files."""
    with Library.open(root) as library:
        records = [library.add(fits_bytes(seed=i), stamp(f"f{i}")) for i in range(5)]
    catalogue = root / "library" / "catalogue.sqlite"
    connection = sqlite3.connect(catalogue)
    rows = connection.execute(f"SELECT {COLUMNS_OF_1} FROM frame").fetchall()
    connection.close()
    for file in (root / "library").glob("catalogue*"):
        file.unlink()
    (root / "library" / "frames" / MANIFEST).unlink()
    connection = sqlite3.connect(catalogue)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.executemany(f"INSERT INTO frame VALUES ({', '.join('?' * 26)})", rows)
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    return records


def test_a_catalogue_of_version_1_loses_nothing_not_even_a_digest(tmp_path: Path) -> None:
    records = make_old(tmp_path)
    with records[2].path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with Library.open(tmp_path) as library:
        assert len(library.reconciled.read_again) == 5
        assert library.reconciled.taken_in == library.reconciled.dropped == ()
        assert library.find() == records
        assert [library.folder / fault.path for fault in library.verify()] == [records[2].path]
    with Library.open(tmp_path) as library:
        assert library.reconciled.read_again == ()


class Failing(sqlite3.Connection):
    """A connection that dies at its n-th statement."""

    left = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().execute(*arguments)


def described(connection: sqlite3.Connection) -> list[Any]:
    return connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_killed_between_any_two_statements_each_migration_is_done_or_not_at_all(tmp_path: Path) -> None:
    complete = sqlite3.connect(":memory:", isolation_level=None)
    stages = {0: described(complete)}
    for number, statements in enumerate(MIGRATIONS, start=1):
        for statement in statements:
            complete.execute(statement)
        stages[number] = described(complete)
    complete.close()
    seen = set()
    for statement_count in range(1000):
        file = tmp_path / f"{statement_count}.sqlite"
        dying = sqlite3.connect(file, factory=Failing, isolation_level=None)
        dying.left = statement_count
        try:
            migrate(dying)
            finished = True
        except KeyboardInterrupt:
            finished = False
        dying.close()
        connection = sqlite3.connect(file, isolation_level=None)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        assert described(connection) == stages[version]
        seen.add(version)
        migrate(connection)
        assert described(connection) == stages[len(MIGRATIONS)]
        connection.close()
        if finished:
            break
    assert seen == set(stages)


def test_a_newer_catalogue_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    Library.open(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "library" / "catalogue.sqlite")
    connection.execute("PRAGMA user_version = 99")
    before = described(connection)
    with pytest.raises(LibraryError, match="newer program"):
        Library.open(tmp_path)
    assert described(connection) == before
    connection.close()
