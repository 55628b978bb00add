"""What ``firstlight stack`` calibrates with: files that were given, or what a library has for each light."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from firstlight.applying import load
from firstlight.choices import UNFIT, Choices, gist, in_a_line, used
from firstlight.choosing import OptimiseDark, choose
from firstlight.errors import FirstlightError
from firstlight.stack_masters import judge_masters, load_masters
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta
from library.store import Library
from livestack.masters import Masters

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user asks for: masters or the frames for them, or a library to find them in."""

    darks: Sequence[Path] = ()
    flats: Sequence[Path] = ()
    biases: Sequence[Path] = ()
    defects: Path | None = None
    library: Path | None = None
    optimise_dark: bool = False
    """Scale the dark to each light; from a library, whichever dark it is."""


class Calibrating(Protocol):
    """Has masters for lights."""

    def masters_of(self, light: FrameMeta) -> tuple[Choices, Masters]:
        """What a light gets, and why. Raises :class:`LibraryError`."""


@contextmanager
def calibrating(wanted: Wanted, lights: Mapping[Path, FrameMeta], warn: Warn) -> Iterator[Calibrating]:
    """Make ready what is wanted for lights of one filter; ``warn`` is told of what does not fit.

    Raises :class:`FirstlightError` for what contradicts itself or cannot be read.
    """
    files = (*wanted.darks, *wanted.flats, *wanted.biases, *([wanted.defects] if wanted.defects else ()))
    if wanted.library is None:
        yield _Given(*_given(wanted, lights, warn))
        return
    if files:
        raise FirstlightError(f"--library finds the masters itself; leave out {files[0]}")
    if not (wanted.library / "library").is_dir():
        raise FirstlightError(f"{wanted.library}: there is no library; give the folder that --root names")
    try:
        library = Library.open(wanted.library)
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
    with library:
        yield _Matched(library, OptimiseDark.ALWAYS if wanted.optimise_dark else None, warn)


@dataclass(frozen=True, slots=True)
class _Given:
    choices: Choices
    masters: Masters

    def masters_of(self, _light: FrameMeta) -> tuple[Choices, Masters]:
        return self.choices, self.masters


class _Matched:
    """Nothing unfit is applied: it is told, once for all lights alike."""

    def __init__(self, library: Library, optimise: OptimiseDark | None, warn: Warn) -> None:
        self._library, self._optimise, self._warn = library, optimise, warn
        self._told: set[tuple[object, ...]] = set()
        self._load = lru_cache(maxsize=4)(load)

    def masters_of(self, light: FrameMeta) -> tuple[Choices, Masters]:
        _, choices = choose(self._library, light, self._optimise)
        if gist(choices) not in self._told:
            self._told.add(gist(choices))
            if any(each.coverage in UNFIT for each in choices):
                self._warn(in_a_line(choices))
        return choices, self._load(used(choices), light.bayer_pattern)


def _given(wanted: Wanted, lights: Mapping[Path, FrameMeta], warn: Warn) -> tuple[Choices, Masters]:
    if wanted.optimise_dark and not (wanted.darks and wanted.biases):
        raise FirstlightError("--optimise-dark scales a dark above its bias: give both --dark and --bias")
    given = {FrameKind.DARK: wanted.darks, FrameKind.BIAS: wanted.biases, FrameKind.FLAT: wanted.flats}
    if wanted.defects is not None:
        given[FrameKind.DEFECTS] = [wanted.defects]
    try:
        choices, warnings = judge_masters(given, lights)
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
    for warning in warnings:
        warn(warning)
    masters = load_masters(
        wanted.darks,
        wanted.flats,
        wanted.biases,
        bayer_pattern=next(iter(lights.values())).bayer_pattern,
        defects=wanted.defects,
        optimise_dark=wanted.optimise_dark,
    )
    if wanted.optimise_dark:
        choices = tuple(
            replace(
                each,
                scaled_above=str(wanted.biases[0]),
                reasons=(*each.reasons, f"scaled to each light above {wanted.biases[0].name}"),
            )
            if each.kind == "dark"
            else each
            for each in choices
        )
    return choices, masters
