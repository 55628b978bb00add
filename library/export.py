"""Frames out of the library, under names of the user's own; their bytes come back as the same frames."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from library.errors import LibraryError
from library.formats.table import FOREIGN_SUFFIXES
from library.frames import FrameRecord
from library.importing.source import read_source
from library.naming import first_free, numbered
from library.scan import digest_file
from library.sidecars import read_sidecar
from library.templates import Template
from library.writing import Buffer, sha256_of, write_durably


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One frame that was written, or was there already (``is_new`` is false)."""

    record: FrameRecord
    path: Path
    is_new: bool


def export(
    root: Path, records: Iterable[FrameRecord], folder: Path, template: Template | None = None
) -> Iterator[Exported]:
    """Copy frames of the library in ``root`` to a folder, and tell of each.

    They are named by the template, or as they lie in the library. The bytes are the library's; keywords that
    a linked frame has in its sidecar are written into the copy's header. A file that is there already stays,
    another of the same name makes the new one numbered.

    Raises :class:`LibraryError` for a frame that is gone, and :class:`DiskFullError`.
    """
    digests: dict[Path, str] = {}
    for record in records:
        data = _bytes(record.path)
        suffix = ".fits.fz" if record.path.name.endswith(".fz") else ".fits"
        suffix = ".fits.gz" if record.path.name.endswith(".gz") and len(data) == 1 else suffix
        sha256 = sha256_of(data)

        def path_of(number: int, record: FrameRecord = record, suffix: str = suffix) -> Path:
            return folder / _name(root, record, template, number, suffix)

        number = first_free(lambda number: os.path.lexists(path_of(number)))
        there = next((n for n in range(1, number) if _digest(path_of(n), digests) == sha256), None)
        if there is None:
            digests[path_of(number)] = write_durably(path_of(number), data)
        yield Exported(record=record, path=path_of(there or number), is_new=there is None)


def _bytes(file: Path) -> list[Buffer]:
    if cards := read_sidecar(file):
        return read_source(file).buffers(cards)
    try:
        return [file.read_bytes()]
    except OSError as error:
        raise LibraryError(
            f"{file}: cannot be exported: {error.strerror}; see firstlight library verify"
        ) from error


def _name(
    root: Path, record: FrameRecord, template: Template | None, number: int, suffix: str
) -> PurePosixPath:
    if template is None:
        path = PurePosixPath(record.path.relative_to(root / "library").as_posix())
        stem = path.stem if path.suffix in FOREIGN_SUFFIXES else path.name.partition(".fit")[0]
        return path.with_name(numbered(stem, number) + suffix)
    # A frame that does not tell its time has one of its own: no name may depend on when it is exported.
    parts = template.expand(record.meta, datetime.fromtimestamp(record.path.stat().st_mtime, UTC), number)
    parts[-1] = numbered(parts[-1], 1 if template.has_sequence else number) + suffix
    return PurePosixPath(*parts)


def _digest(file: Path, digests: dict[Path, str]) -> str:
    """A file's sha256, computed once."""
    if file not in digests:
        digests[file] = digest_file(file) if file.is_file() else ""
    return digests[file]
