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
from firstlight.events import MasterChoice
from firstlight.stack_masters import Made, judge_masters, load_masters
from library.cutting import Extent
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta
from library.reading import read_meta
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
    uncalibrated_flats: bool = False
    """Take flats that have neither biases nor flat-darks."""


class Calibrating(Protocol):
    """Has masters for lights."""

    def masters_of(self, path: Path, light: FrameMeta) -> tuple[Choices, Masters]:
        """What a light gets, and why. Raises :class:`LibraryError`."""

    def again(self, choices: Choices, name: str | None, light: Extent) -> Masters:
        """What a light of this filter and extent got that was calibrated so. Raises :class:`LibraryError`."""

    def forget(self) -> None:
        """Let go of the masters until they are wanted again."""


@contextmanager
def calibrating(wanted: Wanted, lights: Mapping[Path, FrameMeta], warn: Warn) -> Iterator[Calibrating]:
    """Make ready what is wanted for lights; ``warn`` is told of what does not fit.

    Lights of other filters may follow.

    Raises :class:`FirstlightError` for what contradicts itself or cannot be read.
    """
    files = (*wanted.darks, *wanted.flats, *wanted.biases, *([wanted.defects] if wanted.defects else ()))
    if wanted.library is None:
        yield _Given(wanted, lights, warn)
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


class _Given:
    """The same for all lights of a filter; of the flats those of the light's own, if there are any."""

    def __init__(self, wanted: Wanted, lights: Mapping[Path, FrameMeta], warn: Warn) -> None:
        if wanted.optimise_dark and not (wanted.darks and wanted.biases):
            raise FirstlightError("--optimise-dark scales a dark above its bias: give both --dark and --bias")
        self._wanted, self._warn = wanted, warn
        self._flats: dict[str | None, list[Path]] = {}
        for path in wanted.flats:
            with _as_ours():
                self._flats.setdefault(read_meta(path).filter, []).append(path)
        self._choices: dict[str | None, Choices] = {}
        self._made: dict[FrameKind, Made] = {}
        self._load = lru_cache(maxsize=4)(self._loaded)
        for name in dict.fromkeys(meta.filter for meta in lights.values()):
            alike = {path: meta for path, meta in lights.items() if meta.filter == name}
            self._choices[name] = self._judged(name, alike)
        for first in list(lights.values())[:1]:  # so that what is wrong is told before the work
            self._load(first.filter, Extent.of(first))

    def masters_of(self, path: Path, light: FrameMeta) -> tuple[Choices, Masters]:
        if light.filter not in self._choices:
            self._choices[light.filter] = self._judged(light.filter, {path: light})
        return self._choices[light.filter], self._load(light.filter, Extent.of(light))

    def again(self, _choices: Choices, name: str | None, light: Extent) -> Masters:
        return self._load(name, light)

    def forget(self) -> None:
        self._load.cache_clear()

    def _flats_of(self, name: str | None) -> list[Path]:
        if name in self._flats or len(self._flats) < 2:
            return self._flats.get(name) or [path for paths in self._flats.values() for path in paths]
        return []

    def _judged(self, name: str | None, lights: Mapping[Path, FrameMeta]) -> Choices:
        wanted, flats = self._wanted, self._flats_of(name)
        if wanted.flats and not flats:
            self._warn(f"no flat of the filter {name or 'none'} was given: its lights stay without")
        given = {FrameKind.DARK: wanted.darks, FrameKind.BIAS: wanted.biases, FrameKind.FLAT: flats}
        if wanted.defects is not None:
            given[FrameKind.DEFECTS] = [wanted.defects]
        with _as_ours():
            choices, warnings = judge_masters(given, lights)
        for warning in warnings:
            self._warn(warning)
        return tuple(_above(each, wanted.biases[0]) for each in choices) if wanted.optimise_dark else choices

    def _loaded(self, name: str | None, light: Extent) -> Masters:
        return load_masters(
            self._wanted.darks,
            self._flats_of(name),
            self._wanted.biases,
            light=light,
            defects=self._wanted.defects,
            optimise_dark=self._wanted.optimise_dark,
            uncalibrated_flats=self._wanted.uncalibrated_flats,
            made=self._made,
        )


class _Matched:
    """Nothing unfit is applied: it is told, once for all lights alike."""

    def __init__(self, library: Library, optimise: OptimiseDark | None, warn: Warn) -> None:
        self._library, self._optimise, self._warn = library, optimise, warn
        self._told: set[tuple[object, ...]] = set()
        self._load = lru_cache(maxsize=4)(load)

    def masters_of(self, path: Path, light: FrameMeta) -> tuple[Choices, Masters]:
        _, choices = choose(self._library, light, self._optimise)
        if gist(choices) not in self._told:
            self._told.add(gist(choices))
            if any(each.coverage in UNFIT for each in choices):
                self._warn(f"{path.name}: {in_a_line(choices)}")
        return choices, self._load(used(choices), Extent.of(light))

    def again(self, choices: Choices, _name: str | None, light: Extent) -> Masters:
        return self._load(used(choices), light)

    def forget(self) -> None:
        self._load.cache_clear()


def _above(dark: MasterChoice, bias: Path) -> MasterChoice:
    if dark.kind != FrameKind.DARK:
        return dark
    reasons = (*dark.reasons, f"scaled to each light above {bias.name}")
    return replace(dark, scaled_above=str(bias), reasons=reasons)


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
