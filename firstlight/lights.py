"""The lights among what the user names: files, folders and all below them, patterns."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from firstlight.errors import FirstlightError
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta
from library.importing.files import find_files
from library.reading import image_shape, meta_of, open_image
from library.scan import FITS_SUFFIXES

_PATTERN = frozenset("*?[")
_OF_A_STACK = "STACKCNT"
_KINDS = {
    FrameKind.BIAS: "biases",
    FrameKind.DARK: "darks",
    FrameKind.FLAT: "flats",
    FrameKind.FLAT_DARK: "flat-darks",
    FrameKind.DEFECTS: "defect maps",
    FrameKind.DARK_MODEL: "dark models",
}
MASTERS, STACKS, COLOURS, OTHERS = "masters", "stacks", "colour pictures", "files that are no FITS"


@dataclass(slots=True)
class Lights:
    """Lights in order, with what their headers say; ``None`` for one that cannot be read.

    ``left_out`` counts what else was found, by what it is.
    """

    metas: dict[Path, FrameMeta | None] = field(default_factory=dict)
    problems: dict[Path, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, path: Path) -> bool:
        """Read a file's header, and tell whether it is to be stacked, or at least tried."""
        try:
            meta, other = look_at(path)
        except LibraryError as error:
            meta, other = None, None
            self.problems[path] = str(error)
        if other is None:
            self.metas[path] = meta
        else:
            self.left_out[other] += 1
        return other is None

    @property
    def readable(self) -> dict[Path, FrameMeta]:
        """Those whose headers could be read."""
        return {path: meta for path, meta in self.metas.items() if meta is not None}

    def told(self) -> str | None:
        """What was left out, in a line."""
        if not self.left_out:
            return None
        counts = ", ".join(f"{number} × {what}" for what, number in self.left_out.most_common())
        return f"left out, as they are no lights: {counts}"


def find_lights(arguments: Sequence[Path], *, but: Iterable[Path] = ()) -> Lights:
    """Find them in the order given, those of a folder by their paths; a file named twice counts once.

    What is named by itself is tried whatever its suffix; in folders and patterns FITS files alone. ``but``
    are our own results. Raises FirstlightError for a pattern or a folder without a FITS file.
    """
    lights, ours = Lights(), {path.resolve() for path in but}
    seen: set[Path] = set()
    for argument in arguments:
        for path in files_of(argument, lights.left_out):
            resolved = path.resolve()
            if resolved not in seen and resolved not in ours:
                lights.add(path)
            seen.add(resolved)
    return lights


def is_folder_or_pattern(argument: Path) -> bool:
    """Whether it stands for the files in it, or that match it."""
    return argument.is_dir() or not (_PATTERN.isdisjoint(str(argument)) or argument.exists())


def files_of(argument: Path, left_out: Counter[str]) -> Sequence[Path]:
    """The FITS files that a folder or a pattern stands for; another argument stands for itself.

    Raises FirstlightError for a folder or a pattern without one.
    """
    if argument.is_dir():
        named: Sequence[Path] = [argument]
    elif not is_folder_or_pattern(argument):
        return [argument]
    else:
        named = [Path(each) for each in sorted(glob.glob(str(argument), recursive=True))]  # noqa: PTH207  absolute patterns, too
    found = find_files(named)
    files = sorted(path for path in found.files if path.name.lower().endswith(FITS_SUFFIXES))
    others = found.others + len(found.files) - len(files)
    if others:
        left_out[OTHERS] += others
    if not files:
        unread = next((path for path in found.files if path.is_dir()), None)
        if unread is not None:
            raise FirstlightError(f"{unread}: the folder cannot be read; see its permissions")
        what = "no FITS file is in it" if named == [argument] else "no FITS file matches"
        raise FirstlightError(f"{argument}: {what} ({', '.join(FITS_SUFFIXES)})")
    return files


def look_at(path: Path) -> tuple[FrameMeta, str | None]:
    """What a header says, and what the file is if it is no light. Raises :class:`LibraryError`."""
    with open_image(path) as (_, unit):
        meta = meta_of(unit)
        if _OF_A_STACK in unit.values and meta.kind is FrameKind.LIGHT:
            return meta, STACKS
        if meta.n_combined > 1:
            return meta, MASTERS
        if len(image_shape(unit)) > 2:
            return meta, COLOURS
    return meta, _KINDS.get(meta.kind)
