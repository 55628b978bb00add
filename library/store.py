"""The frame library on disk: files are the truth, the SQLite catalogue can always be rebuilt from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from library.catalogue import Catalogue, RepeatedError
from library.connection import damaged
from library.digests import Digest, append_digests, forget_digest
from library.errors import LibraryError, NotAFitsFileError
from library.frames import FrameKind, FrameMeta, FrameRecord, Stamp
from library.headers import stamp_fits, stamp_foreign
from library.intake import prepare
from library.naming import first_free, frame_path
from library.reading import read_meta
from library.reconciling import Reconciled, reconcile, with_retirement
from library.retirement import Retirement, Retirements
from library.rows import Row, SqlValue, to_row
from library.sidecars import write_sidecar
from library.templates import Template, file_template
from library.verifying import Fault, verify
from library.writing import Buffer, make_folder, write_durably


class Library:
    """Frames and masters under ``<root>/library``; use it as a context manager.

    Every method may be called from any thread (say, by ``asyncio.to_thread``): one connection is shared
    under one lock, and a method returns when its work is durable. Two processes may use one library:
    writers take turns, because files too are written inside the catalogue's write transaction. So
    a temporary file that is seen while that lock is held belongs to a process that died.
    """

    def __init__(self, catalogue: Catalogue, now: Callable[[], datetime]) -> None:
        self.folder = catalogue.folder
        self.template: Template | None = None
        self.reconciled = Reconciled()
        self.catalogue = catalogue
        self._retirements = Retirements(catalogue.folder)
        self._now = now

    @classmethod
    def open(cls, root: Path | str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Self:
        """Open or make the library under ``root`` and put right what a crash left (``.reconciled`` tells).

        Raises :class:`LibraryError` if the folder or its catalogue cannot be used.
        """
        folder = library_folder(root)
        template = file_template(folder.parent)
        library = cls(Catalogue(folder), now)
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
        self.catalogue.close()

    def add(self, fits: bytes, stamp: Stamp) -> FrameRecord:
        """Stamp a frame, make it durable, and enter it; when this returns, the frame exists.

        A frame of another format than FITS, such as a camera's raw file, is stored as it came, with a suffix
        that tells what it is; its stamp lies beside it (:mod:`library.sidecars`).

        A ``frame_id`` that is in the library already gives the record that is there.
        Raises :class:`NotAFitsFileError` for bytes that are no whole image, :class:`DiskFullError`.
        """
        foreign = stamp_foreign(fits, stamp)
        stamped = stamp_fits(fits, stamp) if foreign is None else foreign.stamped
        ids = (stamp.frame_id, stamp.plan_id, stamp.step_id)
        if (stamped.meta.frame_id, stamped.meta.plan_id, stamped.meta.step_id) != ids:
            raise ValueError(f"{ids} do not fit FITS cards: keep them to 68 plain ASCII characters")
        now, size_bytes = self._now(), sum(len(buffer) for buffer in stamped.buffers)

        def path_of(number: int) -> PurePosixPath:
            path = frame_path(stamped.meta, stamp.frame_id, now, self.template, number)
            return path if foreign is None else path.with_suffix(foreign.suffix)

        def place(path: Path) -> tuple[str, int]:
            if foreign is not None:
                write_sidecar(path, foreign.cards)
            return write_durably(path, stamped.buffers), size_bytes

        return self.put(path_of, stamped.meta, place)

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
        with self.catalogue.writing():
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
        with self.catalogue.writing() as connection:  # a crash leaves no row that speaks of the old file
            connection.execute(forget, (str(path),))
            forget_digest(self.folder, str(path))
        with self.catalogue.writing() as connection:
            connection.execute(forget, (str(path),))
            forget_digest(self.folder, str(path))
            sha256 = write_durably(self.folder / path, buffers)
            size_bytes = sum(len(buffer) for buffer in buffers)
            return self._insert(path, sha256, size_bytes, read_meta(self.folder / path))

    def retire(self, records: Sequence[FrameRecord], because: str) -> None:
        """Use these frames no more, though they and their rows stay; durable when this returns."""
        self._decide(records, Retirement(self._now().astimezone(UTC).isoformat(), because))

    def reinstate(self, records: Sequence[FrameRecord]) -> None:
        """Take retired frames back."""
        self._decide(records, None)

    def get(self, frame_id: str) -> FrameRecord | None:
        """The frame of that id."""
        return next(iter(self.catalogue.records("frame_id = ?", (frame_id,))), None)

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
        return self.catalogue.records(" AND ".join(conditions) or "TRUE", tuple(given.values()))

    def masters_revision(self) -> int:
        """A number that changes when a master is entered, changed, retired or gone, by whichever process."""
        return int(self.catalogue.rows("SELECT masters FROM revision")[0][0])

    def done_steps(self, plan_id: str) -> set[str]:
        """The steps of a plan whose frames are durable, be they retired since."""
        records = self.find(plan_id=plan_id, retired=None)
        return {record.meta.step_id for record in records if record.meta.step_id}

    def verify(self) -> list[Fault]:
        """What is wrong with the files; see :func:`library.verifying.verify`."""
        return list(verify(self.catalogue, now=self._now))

    def reconcile(self) -> Reconciled:
        """Make the catalogue say what the files say; see :func:`library.reconciling.reconcile`."""
        return reconcile(self.catalogue)

    def _decide(self, records: Sequence[FrameRecord], retirement: Retirement | None) -> None:
        with self.catalogue.writing() as connection:
            self._retirements.note(records, retirement)
            self._retirements.apply(connection)

    def _orphan(self, path: PurePosixPath, frame_id: str) -> FrameRecord | None:
        """Enter the file if it is this very frame, written by a process that died before it could."""
        try:
            found = prepare(self.folder, str(path), None)
        except NotAFitsFileError:
            return None  # whatever it is, it is not ours to overwrite
        return self._enter(found.row, found.digest) if found.digest.frame_id == frame_id else None

    def _insert(self, path: PurePosixPath, sha256: str, size_bytes: int, meta: FrameMeta) -> FrameRecord:
        row = to_row(str(path), sha256, size_bytes, meta, is_master=path.parts[0] == "masters")
        return self._enter(row, Digest(sha256, size_bytes, meta.frame_id))

    def _enter(self, row: Row, digest: Digest) -> FrameRecord:
        path = str(row["path"])
        try:
            self.catalogue.insert(with_retirement(row, self._retirements))
        except RepeatedError as error:
            raise damaged(self.folder, f"{path} has a row, though there was no such file") from error
        append_digests(self.folder, {path: digest})
        return self.catalogue.records("path = ?", (path,))[0]


def library_folder(root: Path | str) -> Path:
    """The folder of the library under ``root``, made if need be; raises :class:`LibraryError`."""
    folder = Path(root).absolute() / "library"
    try:
        for part in ("frames", "masters"):
            make_folder(folder / part)
    except OSError as error:
        raise LibraryError(
            f"{folder}: cannot be used as a library: {error.strerror}; choose another folder"
        ) from error
    return folder
