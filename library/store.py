"""The frame library on disk: files are the truth, the SQLite catalogue can always be rebuilt from them."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from library.connection import connect, explained
from library.errors import LibraryError, NotAFitsFileError
from library.frames import FrameKind, FrameMeta, FrameRecord, Stamp
from library.headers import stamp_fits
from library.naming import first_free, frame_path
from library.reading import open_image, read_meta
from library.rows import SqlValue, to_record, to_row
from library.scan import digest_file, scan
from library.templates import Template, file_template
from library.writing import Buffer, make_folder, write_durably


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What opening the library had to put right; paths are relative to the library's folder."""

    taken_in: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    removed_parts: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class Library:
    """Frames and masters under ``<root>/library``; use it as a context manager.

    Every method may be called from any thread (say, by ``asyncio.to_thread``): one connection is shared
    under one lock, and a method returns when its work is durable. Two processes may use one library:
    writers take turns, because files too are written inside the catalogue's write transaction. So
    a temporary file that is seen while that lock is held belongs to a process that died.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, now: Callable[[], datetime]) -> None:
        self.folder = folder
        self.template: Template | None = None
        self.reconciled = Reconciled()
        self._connection = connection
        self._lock = threading.RLock()
        self._now = now

    @classmethod
    def open(cls, root: Path | str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Self:
        """Open or make the library under ``root`` and put right what a crash left (``.reconciled`` tells).

        Raises :class:`LibraryError` if the folder or its catalogue cannot be used.
        """
        folder = Path(root).absolute() / "library"
        template = file_template(folder.parent)
        try:
            for part in ("frames", "masters"):
                make_folder(folder / part)
            connection = connect(folder / "catalogue.sqlite")
        except OSError as error:
            raise LibraryError(
                f"{folder}: cannot be used as a library: {error.strerror}; choose another --root"
            ) from error
        library = cls(folder, connection, now)
        library.template = template
        try:
            library.reconciled = library.reconcile()
        except BaseException:
            library.close()
            raise
        return library

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the catalogue; waits for a method that is at work."""
        with self._lock:
            self._connection.close()

    def add(self, fits: bytes, stamp: Stamp) -> FrameRecord:
        """Stamp a frame, make it durable, and enter it; when this returns, the frame exists.

        A ``frame_id`` that is in the library already gives the record that is there.
        Raises :class:`NotAFitsFileError` for bytes that are no whole image, :class:`DiskFullError`.
        """
        stamped = stamp_fits(fits, stamp)
        ids = (stamp.frame_id, stamp.plan_id, stamp.step_id)
        if (stamped.meta.frame_id, stamped.meta.plan_id, stamped.meta.step_id) != ids:
            raise ValueError(f"{ids} do not fit FITS cards: keep them to 68 plain ASCII characters")
        now, size_bytes = self._now(), sum(len(buffer) for buffer in stamped.buffers)
        return self.put(
            lambda number: frame_path(stamped.meta, stamp.frame_id, now, self.template, number),
            stamped.meta,
            lambda path: (write_durably(path, stamped.buffers), size_bytes),
        )

    def put(
        self,
        path_of: Callable[[int], PurePosixPath],
        meta: FrameMeta,
        place: Callable[[Path], tuple[str, int]],
    ) -> FrameRecord:
        """Have ``place`` make a frame durable at the first free of the numbered paths, and enter it.

        ``place`` returns its sha256 and size in bytes. A ``meta.frame_id`` that is in the library already
        gives the record that is there.
        """
        with self._writing():
            if meta.frame_id and (known := self.get(meta.frame_id)):
                return known
            number = first_free(lambda number: os.path.lexists(self.folder / path_of(number)))
            if number > 1 and meta.frame_id and (there := self._orphan(path_of(number - 1), meta.frame_id)):
                return there
            path = path_of(number)
            return self._insert(path, *place(self.folder / path), meta)

    def put_master(self, path: PurePosixPath, buffers: Sequence[Buffer]) -> FrameRecord:
        """Write a master under ``masters/`` durably, in place of the one of that name, and enter it."""
        forget = "DELETE FROM frame WHERE path = ?"
        with self._writing() as connection:  # so that a crash leaves no row that speaks of the old file
            connection.execute(forget, (str(path),))
        with self._writing() as connection:
            connection.execute(forget, (str(path),))
            sha256 = write_durably(self.folder / path, buffers)
            size_bytes = sum(len(buffer) for buffer in buffers)
            return self._insert(path, sha256, size_bytes, read_meta(self.folder / path))

    def get(self, frame_id: str) -> FrameRecord | None:
        """The frame of that id."""
        return next(iter(self._select("frame_id = ?", (frame_id,))), None)

    def find(
        self,
        *,
        kind: FrameKind | None = None,
        plan_id: str | None = None,
        step_id: str | None = None,
        filter: str | None = None,  # noqa: A002 - it is the field's name for it
        camera: str | None = None,
        master: bool | None = None,
        retired: bool | None = False,
    ) -> list[FrameRecord]:
        """Frames for which all that is given is so, oldest first; ``master`` asks for masters or for subs.

        Retired frames are left out unless they are asked for: ``True`` gives them alone, ``None`` all.
        """
        wanted: dict[str, SqlValue] = {
            "kind": kind,
            "plan_id": plan_id,
            "step_id": step_id,
            "filter": filter,
            "camera": camera,
            "is_master": master,
        }
        given = {column: value for column, value in wanted.items() if value is not None}
        conditions = [f"{column} = ?" for column in given]
        if retired is not None:
            conditions.append(f"retired_at IS {'NOT ' if retired else ''}NULL")
        return self._select(" AND ".join(conditions) or "TRUE", tuple(given.values()))

    def masters_revision(self) -> int:
        """A number that changes when a master is entered, changed, retired or gone, by whichever process."""
        with self._lock:
            return int(self._connection.execute("SELECT masters FROM revision").fetchone()[0])

    def done_steps(self, plan_id: str) -> set[str]:
        """The steps of a plan whose frames are durable, be they retired since."""
        records = self.find(plan_id=plan_id, retired=None)
        return {record.meta.step_id for record in records if record.meta.step_id}

    def verify(self) -> list[tuple[FrameRecord, str]]:
        """Frames whose file is gone or no longer what was written, with what is wrong."""
        wrong = []
        for record in self.find(retired=None):
            try:
                if digest_file(record.path) != record.sha256:
                    wrong.append((record, "its bytes have changed"))
            except OSError as error:
                wrong.append((record, error.strerror or str(error)))
        return wrong

    def reconcile(self) -> Reconciled:
        """Make the catalogue say what the files say.

        Temporary files of the dead are removed, whole FITS files without a row are taken in, rows without
        their file are dropped. A file that is no whole FITS image, or repeats a frame that is here, is
        refused: left alone and named.
        """
        with self._writing() as connection:
            files, parts = scan(self.folder)
            for part in parts:
                (self.folder / part).unlink(missing_ok=True)
            connection.execute("DELETE FROM frame WHERE is_stale")
            rows = {
                str(row["path"]): int(row["size_bytes"])
                for row in connection.execute("SELECT path, size_bytes FROM frame")
            }
            dropped = sorted(path for path, size in rows.items() if files.get(path) != size)
            connection.executemany("DELETE FROM frame WHERE path = ?", [(path,) for path in dropped])
            taken_in, refused = [], []
            for path in sorted(files.keys() - rows.keys() | files.keys() & set(dropped)):
                try:
                    self._take_in(PurePosixPath(path))
                    taken_in.append(path)
                except (NotAFitsFileError, sqlite3.IntegrityError):
                    refused.append(path)
        return Reconciled(
            taken_in=tuple(taken_in),
            dropped=tuple(dropped),
            removed_parts=tuple(parts),
            refused=tuple(refused),
        )

    def _orphan(self, path: PurePosixPath, frame_id: str) -> FrameRecord | None:
        """Enter the file if it is this very frame, written by a process that died before it could."""
        try:
            if read_meta(self.folder / path).frame_id == frame_id:
                return self._take_in(path)
        except NotAFitsFileError:
            pass  # whatever it is, it is not ours to overwrite
        return None

    def _take_in(self, path: PurePosixPath) -> FrameRecord:
        file = self.folder / path
        with open_image(file) as (stream, unit):
            stream.seek(unit.data_start + unit.data_size - 1)
            if not stream.read(1):
                raise NotAFitsFileError(f"{file}: is cut short; delete it")
        return self._insert(path, digest_file(file), file.stat().st_size, read_meta(file))

    def _insert(self, path: PurePosixPath, sha256: str, size_bytes: int, meta: FrameMeta) -> FrameRecord:
        row = to_row(str(path), sha256, size_bytes, meta, is_master=path.parts[0] == "masters")
        columns = ", ".join(f'"{column}"' for column in row)
        marks = ", ".join("?" * len(row))
        self._connection.execute(f"INSERT INTO frame ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 - our own column names
        return self._select("path = ?", (str(path),))[0]

    def _select(self, condition: str, values: tuple[SqlValue, ...]) -> list[FrameRecord]:
        with self._lock:
            rows = self._connection.execute(
                f"SELECT * FROM frame WHERE {condition} ORDER BY date_obs, id",  # noqa: S608 - our own conditions
                values,
            ).fetchall()
        return [to_record(row, self.folder) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
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
