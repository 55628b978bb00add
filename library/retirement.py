"""Which frames are retired, and why: a line for each decision, in a text file that outlives the catalogue."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from library.digests import append_text
from library.frames import FrameRecord
from library.opening import read_text

FILE = "retired.jsonl"


@dataclass(frozen=True, slots=True)
class Retirement:
    """When a frame was retired, as ISO 8601 in UTC, and why."""

    at: str
    because: str


class Retirements:
    """``retired.jsonl`` of a library; its newest line on a frame counts, and one without ``at`` undoes.

    A frame is known by its id, or by its path where it has none. Whoever calls holds the write lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_bytes = 0
        self._by_key: dict[str, Retirement] = {}

    def of(self, path: str, frame_id: str | None) -> Retirement | None:
        """The retirement that stands."""
        return self._all().get(frame_id or path)

    def note(self, records: Iterable[FrameRecord], retirement: Retirement | None) -> None:
        """Retire frames, or with ``None`` take them back; durable when this returns."""
        lines = [
            {
                "path": record.path.relative_to(self._folder).as_posix(),
                "frame_id": record.meta.frame_id,
                "at": retirement.at if retirement else None,
                "because": retirement.because if retirement else None,
            }
            for record in records
        ]
        append_text(self._folder / FILE, "".join(f"{json.dumps(line)}\n" for line in lines), durably=True)

    def apply(self, connection: sqlite3.Connection) -> None:
        """Make the rows say what the file says."""
        wanted: dict[int, tuple[str, str]] = {}
        for key, retirement in self._all().items():
            find = "SELECT id FROM frame WHERE frame_id = ? UNION ALL SELECT id FROM frame WHERE path = ?"
            for row in connection.execute(find, (key, key)):
                wanted[row["id"]] = (retirement.at, retirement.because)
        query = "SELECT id, retired_at, retired_because FROM frame WHERE retired_at IS NOT NULL"
        there = {row["id"]: (row["retired_at"], row["retired_because"]) for row in connection.execute(query)}
        changes = [(*wanted.get(id_, (None, None)), id_) for id_ in there.keys() | wanted.keys()]
        connection.executemany(
            "UPDATE frame SET retired_at = ?, retired_because = ? WHERE id = ?",
            [change for change in changes if there.get(change[2], (None, None)) != change[:2]],
        )

    def _all(self) -> dict[str, Retirement]:
        """By key; the file only grows, and is read again when it has."""
        file = self._folder / FILE
        size = file.stat().st_size if file.exists() else 0
        if size != self._read_bytes:
            self._by_key = _read(file) if size else {}
            self._read_bytes = size
        return self._by_key


def _read(file: Path) -> dict[str, Retirement]:
    standing: dict[str, Retirement] = {}
    for line in read_text(file, errors="replace").split("\n")[:-1]:
        try:
            said = json.loads(line)
            key, at, because = said["frame_id"] or said["path"], said["at"], said["because"]
            if at:
                datetime.fromisoformat(at)
                at, because = str(at), str(because)
            key = str(key)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # torn, by a crash before it was acknowledged, or no line of ours
        standing.pop(key, None)
        if at:
            standing[key] = Retirement(at, because)
    return standing
