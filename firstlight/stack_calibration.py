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
from firstlight.choosing import OptimiseDark, choose, told_of
from firstlight.errors import FirstlightError
from firstlight.events import MasterChoice
from firstlight.given_frames import Given, find_given, masters_given
from firstlight.stack_masters import Made, Picked, alike, judge_masters, load_masters, pick
from library.cutting import Extent
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta
from library.matching import already_done
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

    as_given: bool = False
    """Take files for what they were given as, whatever their headers say."""

    @property
    def files(self) -> list[Path]:
        """All that was named."""
        return [*self.darks, *self.flats, *self.biases, *([self.defects] if self.defects else [])]

    def check(self) -> None:
        """Raise :class:`FirstlightError` for what contradicts itself."""
        if self.library is not None and self.files:
            raise FirstlightError(f"--library finds the masters itself; leave out {self.files[0]}")
        if self.optimise_dark and self.library is None and not (self.darks and self.biases):
            raise FirstlightError("--optimise-dark scales a dark above its bias: give both --dark and --bias")

    def found(self, warn: Warn) -> Wanted:
        """The same with files in place of folders and patterns; ``warn`` is told of what is left out.

        Raises :class:`FirstlightError` for what contradicts itself, and for a file that is of another kind
        than it was given as.
        """
        self.check()
        darks, flats, biases = (
            find_given(kind, named, warn, as_given=self.as_given)
            for kind, named in (
                (FrameKind.DARK, self.darks),
                (FrameKind.FLAT, self.flats),
                (FrameKind.BIAS, self.biases),
            )
        )
        return replace(self, darks=darks, flats=flats, biases=biases)


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
    wanted.check()
    if wanted.library is None:
        yield _FromFiles(wanted, lights, warn)
        return
    if not (wanted.library / "library").is_dir():
        raise FirstlightError(f"{wanted.library}: there is no library; give the folder that holds library/")
    try:
        library = Library.open(wanted.library)
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
    with library:
        yield _FromLibrary(library, OptimiseDark.ALWAYS if wanted.optimise_dark else None, warn)


_Parts = tuple[tuple[FrameKind, tuple[Path, ...]], ...]
"""What of each kind is applied, by its files."""


class _FromFiles:
    """Of what was given each light gets what fits it best; what does not fit is applied, and told."""

    def __init__(self, wanted: Wanted, lights: Mapping[Path, FrameMeta], warn: Warn) -> None:
        self._wanted, self._warn = wanted, warn
        named = {FrameKind.DARK: wanted.darks, FrameKind.BIAS: wanted.biases, FrameKind.FLAT: wanted.flats}
        with _as_ours():
            self._given = {kind: masters_given(kind, paths) for kind, paths in named.items() if paths}
        self._by_path = {
            (kind.value, str(each.paths[0])): each
            for kind, several in self._given.items()
            for each in several
        }
        self._choices: dict[tuple[str | None, str, _Parts], Choices] = {}
        self._picked: dict[FrameMeta, Picked] = {}
        self._told: set[str] = set()
        self._made: dict[tuple[Path, ...], Made] = {}
        self._load = lru_cache(maxsize=4)(self._loaded)
        groups: dict[tuple[str | None, str, _Parts], dict[Path, FrameMeta]] = {}
        for path, meta in lights.items():
            groups.setdefault((meta.filter, meta.calibrated, _parts(self._pick(meta))), {})[path] = meta
        for key, some in groups.items():
            self._choices[key] = self._judged(some)
        for first in list(lights.items())[:1]:  # so that what is wrong is told before the work
            self.masters_of(*first)

    def masters_of(self, path: Path, light: FrameMeta) -> tuple[Choices, Masters]:
        key = light.filter, light.calibrated, _parts(self._pick(light))
        if key not in self._choices:
            self._choices[key] = self._judged({path: light})
        choices = self._choices[key]
        return choices, self.again(choices, light.filter, Extent.of(light))

    def again(self, choices: Choices, _name: str | None, light: Extent) -> Masters:
        paths: dict[FrameKind, tuple[Path, ...]] = {}
        for choice in choices:
            named = {choice.kind: choice.path} | (
                {"bias": choice.scaled_above} if choice.scaled_above else {}
            )
            for kind, path in named.items():
                if path is not None and kind != FrameKind.DEFECTS:
                    paths[FrameKind(kind)] = self._named(kind, path).paths
        return self._load(tuple(sorted(paths.items())), light)

    def forget(self) -> None:
        self._load.cache_clear()

    def _pick(self, light: FrameMeta) -> Picked:
        """What fits a light best; lights that matching cannot tell apart are looked at once."""
        key = alike(light)
        if key not in self._picked:
            self._picked[key] = pick(self._given, light)
        return self._picked[key]

    def _named(self, kind: str, path: str) -> Given:
        if (kind, path) not in self._by_path:
            raise LibraryError(f"{path}: is not among what is given now; begin anew with --fresh")
        return self._by_path[kind, path]

    def _judged(self, lights: Mapping[Path, FrameMeta]) -> Choices:
        """What lights that are calibrated alike get; what is odd about it is told once."""
        wanted, light = self._wanted, next(iter(lights.values()))
        picked = self._pick(light)
        if wanted.flats and FrameKind.FLAT not in picked:
            self._tell(f"no flat of the filter {light.filter or 'none'} was given: its lights stay without")
        with _as_ours():
            choices, warnings = judge_masters(picked, lights, wanted.defects)
        for warning in warnings:
            self._tell(warning)
        if wanted.optimise_dark and FrameKind.BIAS in picked:
            return tuple(_above(each, picked[FrameKind.BIAS].paths[0]) for each in choices)
        return choices

    def _tell(self, warning: str) -> None:
        if warning not in self._told:
            self._told.add(warning)
            self._warn(warning)

    def _loaded(self, parts: _Parts, light: Extent) -> Masters:
        paths, wanted = dict(parts), self._wanted
        darks, flats, biases = (
            paths.get(kind, ()) for kind in (FrameKind.DARK, FrameKind.FLAT, FrameKind.BIAS)
        )
        flat_bias = None
        if flats:
            flat = self._named(FrameKind.FLAT, str(flats[0]))
            flat_bias = pick({FrameKind.BIAS: self._given.get(FrameKind.BIAS, ())}, flat.meta)
        return load_masters(
            *(darks, flats, biases),
            light=light,
            defects=wanted.defects,
            optimise_dark=wanted.optimise_dark and bool(darks and biases),
            uncalibrated_flats=wanted.uncalibrated_flats,
            flat_biases=flat_bias[FrameKind.BIAS].paths if flat_bias else (),
            made=self._made,
        )


def _parts(picked: Picked) -> _Parts:
    return tuple((kind, each.paths) for kind, each in picked.items())


class _FromLibrary:
    """Nothing unfit is applied: it is told, once for all lights alike."""

    def __init__(self, library: Library, optimise: OptimiseDark | None, warn: Warn) -> None:
        self._library, self._optimise, self._warn = library, optimise, warn
        self._told: set[tuple[object, ...]] = set()
        self._load = lru_cache(maxsize=4)(load)

    def masters_of(self, path: Path, light: FrameMeta) -> tuple[Choices, Masters]:
        _, choices = choose(self._library, light, self._optimise)
        if gist(choices) not in self._told:
            self._told.add(gist(choices))
            for note in dict.fromkeys(note for each in choices for note in told_of(each)):
                self._warn(note)
            done = [already_done(light, kind) for kind in (FrameKind.DARK, FrameKind.BIAS, FrameKind.FLAT)]
            if reasons := dict.fromkeys(each.reasons[0] for each in done if each is not None):
                self._warn(f"{path.name}: {'; '.join(reasons)}: that is not done again")
            if any(each.coverage in UNFIT for each in choices):
                self._warn(f"{path.name}: {in_a_line(choices)}")
        return choices, self._load(used(choices), Extent.of(light))

    def again(self, choices: Choices, _name: str | None, light: Extent) -> Masters:
        return self._load(used(choices), light)

    def forget(self) -> None:
        self._load.cache_clear()


def _above(dark: MasterChoice, bias: Path) -> MasterChoice:
    if dark.kind != FrameKind.DARK or dark.path is None:
        return dark
    reasons = (*dark.reasons, f"scaled to each light above {bias.name}")
    return replace(dark, scaled_above=str(bias), reasons=reasons)


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
