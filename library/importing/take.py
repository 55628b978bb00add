"""Taking frames of others into the library: copied, moved or linked, each once, and never in silence."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.cards import Card, HeaderUnit, with_cards
from library.errors import (
    DamagedCatalogueError,
    DiskFullError,
    LibraryError,
    NotAFitsFileError,
    NotAFrameError,
)
from library.formats.table import frames_in, sequence_place
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.importing.judge import derived_cards, is_master, remarks, why_refused
from library.importing.rules import Rule, apply_rules
from library.importing.source import Source, read_source
from library.keywords import FRAME_ID, PLAN_ID, STEP_ID
from library.naming import frame_path, master_path, numbered, safe_name
from library.opening import resolved
from library.reading import meta_of, read_frame
from library.scan import digest_file
from library.sidecars import read_sidecar, write_sidecar
from library.store import Library
from library.writing import make_folder, sync_folder, write_durably

SOURCE_NAME, SOURCE_SHA = "SRCNAME", "SRCSHA"
"""Our keywords for what an imported frame was: its file's name and the sha256 of its bytes."""

_OTHER_HEADER = "has the pixels of that frame but another header: it is left where it is"


class How(StrEnum):
    """How a file comes into the library."""

    COPY = "copy"
    MOVE = "move"
    LINK = "link"


class Outcome(StrEnum):
    """What became of a file."""

    TAKEN = "taken"
    WOULD_TAKE = "would take"
    HERE = "already here"
    REFUSED = "refused"
    LEFT = "left alone"
    """It is no frame by its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of one file: where it lies, what was filled in, what to tell, and why it was refused."""

    source: Path
    outcome: Outcome
    path: Path | None = None
    meta: FrameMeta | None = None
    filled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str | None = None


def take_in(
    library: Library,
    files: Iterable[Path],
    *,
    how: How = How.COPY,
    rules: Sequence[Rule] = (),
    dry_run: bool = False,
) -> Iterator[Imported]:
    """Take the files in one after another, and tell of each.

    A frame is known by its pixels and its time, so that taking it twice, from a copy or in another format, is
    "already here"; an interrupted call is resumed by calling again. A ``dry_run`` writes nothing.
    Raises :class:`DiskFullError` and :class:`DamagedCatalogueError`; what was told of is durable.
    """
    for file in _each_frame(files):
        try:
            yield _take(library, file, how, rules, dry_run)
        except (DiskFullError, DamagedCatalogueError):
            raise
        except NotAFrameError as error:
            yield Imported(source=file, outcome=Outcome.LEFT, reason=str(error))
        except LibraryError as error:
            yield Imported(source=file, outcome=Outcome.REFUSED, reason=str(error))
        except (OSError, ValueError, TypeError, ArithmeticError, LookupError, MemoryError) as error:
            # One bad file stops no other, whatever is wrong with it.
            what = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            yield Imported(source=file, outcome=Outcome.REFUSED, reason=f"{file}: cannot be taken in: {what}")


def _each_frame(files: Iterable[Path]) -> Iterator[Path]:
    """The files, and every frame of those that are sequences; what cannot be counted stands for itself."""
    for file in files:
        try:
            yield from frames_in(file)
        except NotAFitsFileError:
            yield file


def _take(library: Library, file: Path, how: How, rules: Sequence[Rule], dry_run: bool) -> Imported:
    if file.absolute().is_relative_to(library.folder) or resolved(file).is_relative_to(
        resolved(library.folder)
    ):
        return Imported(source=file, outcome=Outcome.HERE, path=file, notes=("is a file of this library",))
    source = read_source(file)
    frame_id, is_ours = _identity(library, source)
    if known := library.get(frame_id):
        return _already_here(known, source, how, dry_run)
    derived, told = derived_cards(source)
    filled = apply_rules(rules, file, with_cards(source.unit, derived).values)
    cards = [*derived, *filled.cards]
    unit = with_cards(source.unit, cards)
    told += filled.told
    notes = [*source.notes, *filled.contradictions]
    if reason := why_refused(file, unit):
        return Imported(
            source=file, outcome=Outcome.REFUSED, reason=reason, filled=tuple(told), notes=tuple(notes)
        )
    if how is How.LINK and source.link_suffix is None:
        reason = "is no FITS file, so it cannot be linked: take it with --copy"
        return Imported(source=file, outcome=Outcome.REFUSED, reason=reason)
    if how is How.MOVE and _in_sequence(file):
        reason = "is a frame of a sequence, which cannot be moved frame by frame: take it with --copy"
        return Imported(source=file, outcome=Outcome.REFUSED, reason=reason)
    if not is_ours:
        cards += _provenance(source, frame_id)
        unit = with_cards(source.unit, cards)
    meta = meta_of(unit)
    notes += remarks(file, unit)
    suffix = source.link_suffix if how is How.LINK and source.link_suffix else source.suffix

    def path_of(number: int) -> PurePosixPath:
        return _path(library, file, unit, frame_id, suffix, number)

    if dry_run:
        outcome, path = Outcome.WOULD_TAKE, library.folder / path_of(1)
    else:
        if how is How.LINK:
            record = library.put(path_of, meta, lambda path: _link(source, path, cards))
        else:
            record = library.put(path_of, meta, lambda path: _copy(source, path, cards))
        outcome, path = Outcome.TAKEN, record.path
        if how is How.MOVE:
            notes += _remove(source, record)
        elif how is How.LINK and record.path.is_symlink():
            notes.append("is linked by its path: it is lost to the library if the original goes away")
    return Imported(
        source=file, outcome=outcome, path=path, meta=meta, filled=tuple(told), notes=tuple(notes)
    )


def _identity(library: Library, source: Source) -> tuple[str, bool]:
    """The frame's id, and whether it is one of ours by its own FRAMEID.

    Stacks keep the header of one of their subs, so an id that is known must come with its pixels.
    """
    content = content_id(source.pixels, source.meta)
    own = source.meta.frame_id
    if own is None:
        return content, False
    known = library.get(own)
    if known is None:
        return own, True
    try:
        there = read_frame(known.path)
    except NotAFitsFileError:
        return own, True
    return (own, True) if content_id(there.pixels, there.meta) == content else (content, False)


def content_id(pixels: NDArray[Any], meta: FrameMeta) -> str:
    """What identifies a frame wherever it comes from: its pixels and the time of its exposure."""
    when = meta.date_obs.isoformat() if meta.date_obs else ""
    sha256 = hashlib.sha256(f"{pixels.dtype.name} {pixels.shape} {when}".encode())
    sha256.update(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()[:20]


def _provenance(source: Source, frame_id: str) -> list[Card]:
    cards: list[Card] = [
        (FRAME_ID, frame_id, "identity of this frame"),
        (SOURCE_NAME, source.path.name, "name of the imported file"),
        (SOURCE_SHA, source.sha256, ""),
    ]
    # A stack of our own subs, say, belongs to no step of a plan.
    cards += [(key, "", "") for key in (PLAN_ID, STEP_ID) if source.unit.values.get(key)]
    return cards


def _path(
    library: Library, file: Path, unit: HeaderUnit, frame_id: str, suffix: str, number: int
) -> PurePosixPath:
    meta = meta_of(unit)
    if not is_master(unit):
        path = frame_path(meta, frame_id, _file_time(file), library.template, number)
        return path.with_name(path.name.removesuffix(".fits") + suffix)
    temp_c = meta.sensor_temp_c if meta.set_temp_c is None else meta.set_temp_c
    path = master_path(meta, None if temp_c is None else round(temp_c))
    stem, mark = path.stem, f"_{safe_name(frame_id)[:8]}"
    if meta.kind in {FrameKind.LIGHT, FrameKind.DEFECTS, FrameKind.DARK_MODEL}:
        name = str(unit.values.get(SOURCE_NAME) or file.name)  # as it was first called, if it comes back
        stem = safe_name(name.split(".", maxsplit=1)[0], fallback=meta.kind)
    # The id keeps it apart from the masters that we build, which go by the bare name.
    return path.with_name(numbered(f"{stem}{mark}", number) + suffix)


def _in_sequence(file: Path) -> bool:
    return sequence_place(file) is not None and not file.exists()


def _file_time(file: Path) -> datetime:
    """When the file was written, for frames that do not tell when they were taken."""
    place = sequence_place(file)
    if place is not None and not file.exists():
        file = place[0]
    return datetime.fromtimestamp(file.stat().st_mtime).astimezone()


def _copy(source: Source, path: Path, cards: list[Card]) -> tuple[str, int]:
    buffers = source.buffers(cards)
    return write_durably(path, buffers), sum(len(buffer) for buffer in buffers)


def _link(source: Source, path: Path, cards: list[Card]) -> tuple[str, int]:
    """A hard link, or a symbolic one where the file system has no other; its keywords lie beside it."""
    make_folder(path.parent)
    if cards := [*read_sidecar(source.path), *cards]:
        write_sidecar(path, cards)
    original = resolved(source.path)
    try:
        os.link(original, path)
    except OSError:
        path.symlink_to(original)
    sync_folder(path.parent)
    return source.sha256, path.stat().st_size


def _already_here(known: FrameRecord, source: Source, how: How, dry_run: bool) -> Imported:
    notes: tuple[str, ...] = ()
    if how is How.MOVE and not dry_run:
        same = read_frame(known.path).header.get(SOURCE_SHA) == source.sha256 or known.sha256 == source.sha256
        notes = _remove(source, known) if same else (_OTHER_HEADER,)
    return Imported(source=source.path, outcome=Outcome.HERE, path=known.path, meta=known.meta, notes=notes)


def _remove(source: Source, record: FrameRecord) -> tuple[str, ...]:
    """Remove the original once what is in the library has been read back and found whole; what to tell."""
    if digest_file(record.path) != record.sha256:
        raise LibraryError(f"{record.path}: is not what was written; {source.path} is left where it is")
    try:
        source.path.unlink()
    except OSError as error:
        return (f"the original cannot be removed: {error.strerror}",)
    return ()
