"""The catalogue's tables, as numbered migrations; each shares a transaction with its record.

A migration that adds a column which headers fill ends with ``UPDATE frame SET is_stale = 1``: the headers
of those rows are read again when the library is opened, and their digests stay what they were.
"""

from __future__ import annotations

import sqlite3

from library.errors import DamagedCatalogueError

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE frame (
            id INTEGER PRIMARY KEY,
            path TEXT NOT NULL UNIQUE,      -- relative to the library's folder
            sha256 TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            is_master INTEGER NOT NULL,
            kind TEXT NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            camera TEXT NOT NULL,
            exposure_s REAL,
            sensor_temp_c REAL,
            set_temp_c REAL,
            gain REAL,
            "offset" REAL,
            x_binning INTEGER NOT NULL,
            y_binning INTEGER NOT NULL,
            filter TEXT,
            bayer_pattern TEXT,
            read_mode TEXT,
            object_name TEXT,
            date_obs TEXT,                  -- ISO 8601, UTC
            frame_id TEXT UNIQUE,
            plan_id TEXT,
            step_id TEXT,
            n_combined INTEGER NOT NULL,
            egain_e_per_adu REAL
        ) STRICT
        """,
        "CREATE INDEX frame_by_plan ON frame (plan_id, step_id)",
        "CREATE INDEX frame_by_key ON frame (is_master, kind, camera, gain, exposure_s)",
    ),
    (
        "ALTER TABLE frame ADD COLUMN x_origin INTEGER",
        "ALTER TABLE frame ADD COLUMN y_origin INTEGER",
        "ALTER TABLE frame ADD COLUMN telescope TEXT",
        "ALTER TABLE frame ADD COLUMN focal_length_mm REAL",
        "ALTER TABLE frame ADD COLUMN rotator_deg REAL",
        "ALTER TABLE frame ADD COLUMN method TEXT",
        "ALTER TABLE frame ADD COLUMN noise_adu REAL",
    ),
    (
        "ALTER TABLE frame ADD COLUMN retired_at TEXT",
        "ALTER TABLE frame ADD COLUMN retired_because TEXT",
        "ALTER TABLE frame ADD COLUMN is_stale INTEGER NOT NULL DEFAULT 0",
        # Rows of before lack what the headers may say in the columns of migration 2.
        "UPDATE frame SET is_stale = 1",
        "CREATE TABLE verified (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, at TEXT NOT NULL) STRICT",
    ),
    (
        # So that whoever holds the masters in memory knows when to read them again, whichever process wrote.
        "CREATE TABLE revision (masters INTEGER NOT NULL) STRICT",
        "INSERT INTO revision VALUES (0)",
        *(
            f"CREATE TRIGGER master_{verb.lower()} AFTER {verb} ON frame WHEN {row}.is_master "  # noqa: S608
            "BEGIN UPDATE revision SET masters = masters + 1; END"
            for verb, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
        ),
        "ALTER TABLE frame ADD COLUMN spread_adu REAL",
        "UPDATE frame SET is_stale = 1 WHERE is_master",
    ),
    (
        # A dark model's ranges; no row of before has any.
        "ALTER TABLE frame ADD COLUMN temp_from_c REAL",
        "ALTER TABLE frame ADD COLUMN temp_to_c REAL",
        "ALTER TABLE frame ADD COLUMN exposure_from_s REAL",
        "ALTER TABLE frame ADD COLUMN exposure_to_s REAL",
    ),
    (
        "ALTER TABLE frame ADD COLUMN row_order TEXT",
        "ALTER TABLE frame ADD COLUMN unit TEXT",
        "ALTER TABLE frame ADD COLUMN calibrated TEXT NOT NULL DEFAULT ''",
        # Numbers written as text, inherited keywords and other programs' filters are read now, too.
        "UPDATE frame SET is_stale = 1",
    ),
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the catalogue to the newest version; safe to be called by two processes at once.

    Raises :class:`DamagedCatalogueError` if a newer program has written it.
    """
    for number, statements in enumerate(MIGRATIONS, start=1):
        if _version(connection) >= number:
            continue  # and opening need not wait for whoever writes
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) < number:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if _version(connection) > len(MIGRATIONS):
        raise DamagedCatalogueError(
            f"the catalogue has version {_version(connection)}, this program knows {len(MIGRATIONS)}; "
            "use the newer program, or run `firstlight library rebuild`, which makes it anew from the frames"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
