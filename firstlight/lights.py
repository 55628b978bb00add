"""The lights among what the user names: files, folders and all below them, patterns."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from firstlight.errors import FirstlightError
from library.cards import Card
from library.errors import LibraryError, NotAFrameError
from library.formats.table import FRAME_SUFFIXES, frames_in
from library.frames import FrameKind, FrameMeta
from library.importing.files import find_files, names_of, sort_of
from library.mosaics import RGB
from library.opening import resolved
from library.reading import meta_of, open_image

_PATTERN = frozenset("*?[")
_OF_A_COMPOSITE = "PALETTE"
_OF_A_STACK = "STACKCNT"
_KINDS = {
    FrameKind.BIAS: "biases",
    FrameKind.DARK: "darks",
    FrameKind.FLAT: "flats",
    FrameKind.FLAT_DARK: "flat-darks",
    FrameKind.DEFECTS: "defect maps",
    FrameKind.DARK_MODEL: "dark models",
}
MASTERS, STACKS, COLOURS = "masters", "stacks", "colour pictures"


@dataclass(slots=True)
class Lights:
    """Lights in order, with what their headers say; ``None`` for one that cannot be read.

    ``left_out`` counts what else was found, by what it is, and ``named`` are those that are no frames.
    ``cards`` are what the user knows better than the lights' headers.
    """

    cards: tuple[Card, ...] = ()
    metas: dict[Path, FrameMeta | None] = field(default_factory=dict)
    problems: dict[Path, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, path: Path, *, by_name: bool = True) -> bool:
        """Read a file's header, and tell whether it is to be stacked, or at least tried.

        What is no frame by its content is tried, and so told of, only if it was given ``by_name``.
        """
        try:
            meta, other = look_at(path, self.cards)
        except NotAFrameError as error:
            if not by_name:
                self.leave(path, error.what)
                return False
            meta, other = None, None
            self.problems[path] = str(error)
        except LibraryError as error:
            meta, other = None, None
            self.problems[path] = str(error)
        if other is None:
            self.metas[path] = meta
        else:
            self.left_out[other] += 1
        return other is None

    def leave(self, path: Path, what: str) -> None:
        """Leave a file out that is no frame."""
        self.left_out[what] += 1
        self.named.setdefault(what, []).append(path)

    @property
    def readable(self) -> dict[Path, FrameMeta]:
        """Those whose headers could be read."""
        return {path: meta for path, meta in self.metas.items() if meta is not None}

    def told(self) -> str | None:
        """What was left out, in a line."""
        if not self.left_out:
            return None
        counts = ", ".join(
            f"{number} × {what}{self._names(what)}" for what, number in self.left_out.most_common()
        )
        return f"left out, as they are no lights: {counts}"

    def _names(self, what: str) -> str:
        return f" ({names_of(self.named[what])})" if what in self.named else ""


def find_lights(arguments: Sequence[Path], *, but: Iterable[Path] = (), cards: Sequence[Card] = ()) -> Lights:
    """Find them in the order given, those of a folder by their paths; a file named twice counts once.

    What is named by itself is tried whatever its suffix; in folders and patterns what is a frame by its
    suffix. Each frame of a sequence is a light. ``but`` are our own results, ``cards`` what the user knows
    better than the headers. Raises FirstlightError for a pattern or a folder without a frame.
    """
    lights, ours = Lights(tuple(cards)), {resolved(path) for path in but}
    seen: set[Path] = set()
    for argument in arguments:
        for path in files_of(argument, lights.leave):
            real = resolved(path)
            if real not in seen and real not in ours:
                for frame in each_frame(path):
                    lights.add(frame, by_name=path == argument)
            seen.add(real)
    return lights


def each_frame(path: Path) -> Sequence[Path]:
    """A file, or each frame of a sequence."""
    try:
        return frames_in(path)
    except LibraryError:
        return (path,)  # reading it will say what is wrong


def is_folder_or_pattern(argument: Path) -> bool:
    """Whether it stands for the files in it, or that match it."""
    return argument.is_dir() or not (_PATTERN.isdisjoint(str(argument)) or argument.exists())


def files_of(argument: Path, leave: Callable[[Path, str], None]) -> Sequence[Path]:
    """The files that a folder or a pattern stands for, frames by their suffix; others stand for themselves.

    ``leave`` is told of each file that is left out, and what it is. Raises FirstlightError for a folder or a
    pattern without a frame.
    """
    if argument.is_dir():
        named: Sequence[Path] = [argument]
    elif not is_folder_or_pattern(argument):
        return [argument]
    else:
        named = [Path(each) for each in sorted(glob.glob(str(argument), recursive=True))]  # noqa: PTH207  absolute patterns, too
    found = find_files(named)
    files = sorted(path for path in found.files if path.name.lower().endswith(FRAME_SUFFIXES))
    for path in (*found.other_files, *(path for path in found.files if path not in files)):
        leave(path, sort_of(path))
    if not files:
        unread = next((path for path in found.files if path.is_dir()), None)
        if unread is not None:
            raise FirstlightError(f"{unread}: the folder cannot be read; see its permissions")
        what = "no frame is in it" if named == [argument] else "no frame matches"
        raise FirstlightError(f"{argument}: {what} ({', '.join(FRAME_SUFFIXES)})")
    return files


def look_at(path: Path, cards: Sequence[Card] = ()) -> tuple[FrameMeta, str | None]:
    """What a header says, and what the file is if it is no light. Raises :class:`LibraryError`."""
    with open_image(path, cards) as (_, unit):
        meta = meta_of(unit)
        if _OF_A_STACK in unit.values and meta.kind is FrameKind.LIGHT:
            return meta, STACKS
        if meta.n_combined > 1:
            return meta, MASTERS
        if _OF_A_COMPOSITE in unit.values and meta.bayer_pattern == RGB:
            return meta, COLOURS
    return meta, _KINDS.get(meta.kind)
