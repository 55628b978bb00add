"""Calibration files named on the command line: files, folders and patterns, checked against what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from firstlight.errors import FirstlightError
from firstlight.lights import each_frame, files_of, is_folder_or_pattern
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.importing.judge import frames_in_history, kind_of_name
from library.keywords import kind_text, known_kind, says_master
from library.master_groups import groups_of
from library.opening import resolved
from library.reading import adu_notes, is_float, meta_of, open_image

LONGEST_BIAS_S = 1.0
"""Some cameras are steadier at a short dark than at a bias; what was exposed longer holds dark current."""

_DARKS = frozenset({FrameKind.DARK, FrameKind.FLAT_DARK})
_ACCEPTED = {
    FrameKind.DARK: _DARKS,
    FrameKind.BIAS: _DARKS | {FrameKind.BIAS},
    FrameKind.FLAT: frozenset({FrameKind.FLAT}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What makes one master: a master, or raw frames of the same settings (which are combined)."""

    kind: FrameKind
    paths: tuple[Path, ...]
    metas: tuple[FrameMeta, ...]
    notes: tuple[str, ...] = ()
    """What was done to have its pixels in ADU."""

    @property
    def meta(self) -> FrameMeta:
        """The first frame's, for what all have in common."""
        return self.metas[0]

    @property
    def name(self) -> str:
        """It in words."""
        more = len(self.paths) - 1
        return f"{self.paths[0].name} and {more} more, combined" if more else self.paths[0].name


def find_given(
    kind: FrameKind, arguments: Sequence[Path], warn: Callable[[str], None], *, as_given: bool = False
) -> list[Path]:
    """The files of this kind among what the user names, each once.

    A file that is of another kind by its header is refused, unless it is to be taken ``as_given``; one that
    a folder or a pattern holds is left out, and told. Raises :class:`FirstlightError`.
    """
    files: dict[Path, Path] = {}
    for argument in arguments:
        several, others = is_folder_or_pattern(argument), Counter[str]()

        def leave(_path: Path, what: str, others: Counter[str] = others) -> None:
            others[what] += 1

        for path in (frame for file in files_of(argument, leave) for frame in each_frame(file)):
            try:
                reason, remark = (None, None) if as_given else _judge(kind, path)
            except LibraryError as error:
                if not several:
                    raise FirstlightError(str(error)) from error
                warn(f"{error}; it is left out")
                continue
            if reason is None:
                files.setdefault(resolved(path), path)
                if remark is not None:
                    warn(f"{path}: {remark}")
            elif several:
                others[reason] += 1
            else:
                raise FirstlightError(
                    f"{path}: {reason}; leave it out, or insist with --as-given that it is a {kind.value}"
                )
        if others:
            left_out = "; ".join(f"{number} × {reason}" for reason, number in others.most_common())
            warn(f"--{kind.value} {argument}: left out: {left_out}")
        if several and not files:
            raise FirstlightError(f"{argument}: there is no {kind.value} in it")
    return list(files.values())


def lights_behind(arguments: Sequence[Path]) -> list[Path]:
    """The last of what was named after an option that are lights by their headers; the first never is.

    ``--dark d.fits subs`` means the lights in ``subs``: what an option takes has no end.
    """
    found: list[Path] = []
    for argument in reversed(arguments[1:]):
        try:
            kinds = {_kind_told(path) for path in files_of(argument, _ignored)}
        except (LibraryError, FirstlightError):
            break
        if FrameKind.LIGHT not in kinds or kinds & _ACCEPTED.keys():
            break
        found.insert(0, argument)
    return found


def _ignored(_path: Path, _what: str) -> None:
    """What is left out is told of later."""


def _kind_told(path: Path) -> FrameKind | None:
    with open_image(path) as (_, unit):
        return known_kind(kind_text(unit.values))


def _judge(kind: FrameKind, path: Path) -> tuple[str | None, str | None]:
    """Why no master of this kind can be made of a file, by its header; and what is odd about one that can.

    Raises :class:`LibraryError`.
    """
    with open_image(path) as (_, unit):
        meta, told = meta_of(unit), known_kind(kind_text(unit.values))
    if told is not None and told not in _ACCEPTED[kind]:
        option = f" (give it as --{told.value})" if told in _ACCEPTED else ""
        return f"its header says that it is a {told.value.replace('_', '-')}, no {kind.value}{option}", None
    if kind is FrameKind.BIAS and told is not kind and (meta.exposure_s or 0) > LONGEST_BIAS_S:
        return f"it was exposed for {meta.exposure_s:g} s: it holds dark current, and is no bias", None
    named = kind_of_name(path) if told is None else None
    if named is not None and named not in _ACCEPTED[kind]:
        return None, f"its name speaks of a {named}, its header of nothing: it is taken for a {kind.value}"
    return None, None


def masters_given(kind: FrameKind, paths: Iterable[Path]) -> list[Given]:
    """What masters the files of a kind make: each master is one, raw frames of the same settings are one.

    Raises :class:`FirstlightError` for masters among raw frames, :class:`LibraryError`.
    """
    raw: dict[Path, FrameMeta] = {}
    masters: dict[Path, FrameMeta] = {}
    for path in paths:
        with open_image(path) as (_, unit):
            meta, floats = replace(meta_of(unit), kind=kind), is_float(unit)
            meta = replace(meta, n_combined=max(meta.n_combined, frames_in_history(unit) or 1))
            said = says_master(kind_text(unit.values))
        (masters if meta.n_combined > 1 or said else raw)[path] = meta
        lone = path if floats else None
    if len(raw) == 1 and not masters and lone is not None:
        masters, raw = raw, {}
    if masters and raw:
        raise FirstlightError(
            f"{next(iter(masters))} is a master {kind.value} already; give it alone, or give the frames it "
            "was made of"
        )
    records = [FrameRecord(id=0, path=path, sha256="", size_bytes=0, meta=meta) for path, meta in raw.items()]
    found = [
        Given(kind=kind, paths=(path,), metas=(meta,), notes=adu_notes(path))
        for path, meta in masters.items()
    ]
    for group in groups_of(records):
        notes = dict.fromkeys(note for record in group.records for note in adu_notes(record.path))
        found.append(
            Given(
                kind=kind,
                paths=tuple(record.path for record in group.records),
                metas=tuple(record.meta for record in group.records),
                notes=tuple(notes),
            )
        )
    return found
