"""The stacks of one command: one for each filter, all on one geometry, each kept in the working folder."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from firstlight.applying import sub_of
from firstlight.choices import Choices
from firstlight.errors import FirstlightError
from firstlight.oddities import Oddities
from firstlight.stack_calibration import Calibrating
from firstlight.stack_job import NO_MOSAIC, StackInterruptedError, StackJob
from firstlight.stack_report import Said, SubReport, Told, Working, sub_report
from firstlight.stack_work import WorkFolder
from library.cards import Card
from library.cutting import Extent
from library.errors import LibraryError
from library.mosaics import RGB, evident_cell_px, unusable
from library.opening import resolved
from library.reading import Frame, read_frame, read_meta
from library.windows import Spool
from livestack.engine import Settings, Sub
from livestack.errors import LiveStackError, NotAlignedError
from livestack.events import SubAccepted
from livestack.keeper import KeptStack, Moved, Trouble
from livestack.ledger import By, Entry
from livestack.masters import Masters
from livestack.placing import Placed
from livestack.restack import StoredSub

_SLICE_S = 0.5
_BY_HAND = "left out by hand"

Read = tuple[Path, Frame | LibraryError, float]
"""A file, what was read or why not, and the seconds that it took."""


class StackRun:
    """What ``firstlight stack`` holds while it works; a context manager.

    ``stop`` is asked between two subs and ends the work with :class:`StackInterruptedError`, all that was
    done being kept.
    """

    def __init__(
        self,
        job: StackJob,
        work: WorkFolder,
        calibrating: Calibrating,
        tell: Callable[[Told], None],
        stop: Callable[[], bool],
    ) -> None:
        self.job, self.work, self.tell = job, work, tell
        self._calibrating, self._stop = calibrating, stop
        self._open: dict[str | None, KeptStack] = {}
        self._reference = job.reference
        self._unread: dict[Path, SubReport] = {}
        self._inside: dict[str | None, int] = {}
        self._oddities = Oddities()
        self._warned = False

    def __enter__(self) -> StackRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_all()

    @property
    def unread(self) -> Mapping[Path, SubReport]:
        """The files that could not be read."""
        return self._unread

    @property
    def stacked(self) -> int:
        """How many subs are in the stacks, as things stand."""
        return sum(self._inside.values())

    @property
    def reference(self) -> Path | None:
        """What set the geometry, once something has."""
        return self._reference

    def entries(self, name: str | None) -> Mapping[str, Entry]:
        """The subs of a filter, by their paths."""
        return self.stack(name).entries

    def stack(self, name: str | None) -> KeptStack:
        """The stack of a filter, resumed or begun. Raises FirstlightError when its folder is of no use."""
        if name in self._open:
            return self._open[name]
        try:
            kept = KeptStack(
                self.work.folder_of(name),
                lambda path: self._again(name, path),
                settings=Settings(demosaic=self.job.demosaic, interpolation=self.job.interpolation),
                rules=self.job.rules,
                tell=self._told,
            )
        except LiveStackError as error:
            raise FirstlightError(str(error)) from error
        self._open[name] = kept
        self._inside[name] = sum(entry.standing.inside for entry in kept.entries.values())
        if not kept.entries and self._reference is not None:
            self._refer(kept, self._reference)
        self._note_reference(kept)
        self._catch_up(name, "going on where it was interrupted")
        return kept

    def close(self, name: str | None) -> None:
        """Let go of a filter's stack, of its masters, and of their memory."""
        kept = self._open.pop(name, None)
        if kept is not None:
            kept.close()
            del kept
            self.forget_masters()
            gc.collect()  # planes are large, and what holds them refers to itself

    def forget_masters(self) -> None:
        """They are read again if they are wanted again."""
        self._calibrating.forget()

    def close_all(self) -> None:
        """Let go of all."""
        for name in list(self._open):
            self.close(name)

    def add(self, read: Read) -> SubReport:
        """Stack a frame that was read, unless it is known."""
        path, frame, read_s = read
        started = perf_counter()
        if isinstance(frame, LibraryError):
            return self._unreadable(path, frame, read_s)
        try:
            choices, masters = self._masters_of(path, frame)
        except LibraryError as error:
            return self._unreadable(path, error, read_s)
        for odd in self._oddities.of(path.name, frame, masters):
            self.tell(Said(message=odd, warning=True))
        kept, name = self.stack(frame.meta.filter), str(path)
        note = {"calibration": self.work.number_of(choices)}
        sub = sub_of(name, frame, masters)
        known = name in kept.entries
        outcome = kept.add(sub, note)
        if not known:
            self._inside[frame.meta.filter] += isinstance(outcome.event, SubAccepted)
            seconds = {"read": read_s, **outcome.stage_seconds, "total": read_s + perf_counter() - started}
            self.work.tell(name, seconds, outcome.dark_scaling)
        self._note_reference(kept)
        return self.report_of(kept.entries[name])

    def _masters_of(self, path: Path, frame: Frame) -> tuple[Choices, Masters]:
        """What a light is calibrated with; nothing, if it is going to be refused for its mosaic."""
        if frame.meta.bayer_pattern == RGB and self.job.drizzle is not None:
            raise FirstlightError(
                f"{path}: is colour already, and drizzle is for raw frames; leave out --drizzle"
            )
        if unusable(frame.meta.bayer_pattern) is not None:
            return (), Masters()
        self._warn_of_mosaic(path, frame)
        return self._calibrating.masters_of(path, frame.meta)

    def _warn_of_mosaic(self, path: Path, frame: Frame) -> None:
        """Tell, once, of lights that evidently are mosaics, and whose headers do not say so."""
        if self._warned or self.job.bayer is not None or frame.meta.bayer_pattern is not None:
            return
        side = evident_cell_px(frame.pixels)
        if side is None:
            return
        self._warned = True
        kind = "X-Trans (6 × 6)" if side == 6 else "Bayer (2 × 2)"
        example = "PATTERN (36 letters)" if side == 6 else "RGGB (or as your camera has it)"
        self.tell(
            Said(
                message=f"{path.name} looks like the {kind} mosaic of a colour camera, which its header "
                f"does not tell: it is stacked as grey; --bayer {example} says which it is, "
                f"--bayer {NO_MOSAIC} that it is mono",
                warning=True,
            )
        )

    def report_of(self, entry: Entry) -> SubReport:
        """What is known of a sub."""
        path = entry.frame_id
        return sub_report(entry, path, self.work.seconds.get(path), self.work.scalings.get(path))

    def judge(self, name: str | None) -> None:
        """Take out and put back what a hand wants, judge all by the whole night, and stack accordingly."""
        kept = self.stack(name)
        without = {resolved(path) for path in self.job.without}
        for path, entry in list(kept.entries.items()):
            standing = entry.standing
            if resolved(path) in without:
                if standing.inside or standing.by is not By.HAND:
                    kept.take_out(path, _BY_HAND)
            elif standing.by is By.HAND and not standing.inside:
                try:
                    kept.put_back(path)
                except NotAlignedError:
                    continue
        kept.settle()
        self._catch_up(name, "stacking again")

    def save(self) -> None:
        """Let everything that was done be on disk."""
        for kept in self._open.values():
            kept.save()

    def check(self) -> None:
        """Stop here if that was asked for."""
        if self._stop():
            self.save()
            raise StackInterruptedError(f"interrupted; what is done is kept in {self.work.path}")

    def carry_on(self) -> None:
        """Don't ask any more whether to stop: what is left is to finish."""
        self._stop = lambda: False

    def sources(self, name: str | None) -> list[StoredSub]:
        """The subs of a filter's stack, to be opened again. Raises FirstlightError."""
        kept, found, spool = self.stack(name), list[StoredSub](), Spool()
        for path, entry in kept.entries.items():
            if entry.standing.inside:
                try:
                    placed = kept.placed(path)
                    extent = _extent(path, placed, self.job.cards)
                    masters = self._calibrating.again(self.choices_of(entry), name, extent)
                except (LibraryError, LiveStackError) as error:
                    raise FirstlightError(str(error)) from error
                found.append(StoredSub(Path(path), placed, masters, spool))
        return found

    def choices_of(self, entry: Entry) -> Choices:
        """What a sub was calibrated with."""
        number: int = entry.note["calibration"]
        return self.work.calibrations[number]

    def _again(self, name: str | None, path: str) -> Sub | None:
        """A sub that is known, with the masters that it was calibrated with."""
        entry = self._open[name].entries[path]
        try:
            frame = read_frame(path, self.job.cards, in_adu=True)
            if unusable(frame.meta.bayer_pattern) is not None:
                return sub_of(path, frame, Masters())
            masters = self._calibrating.again(self.choices_of(entry), name, Extent.of(frame.meta))
        except LibraryError as error:
            self.tell(Said(message=str(error), warning=True))
            return None
        return sub_of(path, frame, masters)

    def _catch_up(self, name: str | None, what: str) -> None:
        """Stack what belongs into a stack and is not in it."""
        kept = self._open[name]
        todo = sum(each.wanted - each.stacked for each in kept.backlog)
        started, left = perf_counter(), todo
        while left:
            self.check()
            self.tell(
                Working(
                    what=what,
                    filter=name,
                    share=1 - left / todo,
                    left_s=(perf_counter() - started) / (todo - left) * left if left < todo else None,
                )
            )
            left = kept.work(_SLICE_S)
            todo = max(todo, left)

    def _refer(self, kept: KeptStack, path: Path) -> None:
        """Let a light, or a stack, set the geometry."""
        try:
            cards = self.job.cards if read_meta(path).n_combined == 1 else ()
            frame = read_frame(path, cards, in_adu=True)
            meta, pixels = frame.meta, frame.pixels
            if pixels.dtype.kind == "f":
                pixels = np.where(pixels == 0, np.float32(np.nan), pixels)  # what a stack has not seen
            _, masters = ((), None) if meta.n_combined > 1 else self._calibrating.masters_of(path, meta)
        except LibraryError as error:
            raise FirstlightError(f"the reference cannot be used: {error}") from error
        frame = replace(frame, pixels=pixels, meta=meta)
        refused = kept.refer_to(sub_of(str(path), frame, Masters() if masters is None else masters))
        if refused is not None:
            raise FirstlightError(
                f"{path} cannot be the reference: {refused.reason}: {refused.detail}; name another one"
            )

    def _note_reference(self, kept: KeptStack) -> None:
        """Without a reference that was named, the first sub that could be aligned is that of all filters."""
        if self._reference is None:
            aligned = (path for path, entry in kept.entries.items() if entry.placed is not None)
            first = next(aligned, None)
            self._reference = None if first is None else Path(first)

    def _unreadable(self, path: Path, error: LibraryError, read_s: float) -> SubReport:
        self._unread[path] = SubReport(
            path=str(path),
            accepted=False,
            reason=f"unreadable: {error}",
            by=By.STACK.value,
            seconds={"read": read_s, "total": read_s},
        )
        self.work.tell(str(path), self._unread[path].seconds)
        return self._unread[path]

    def _told(self, told: Moved | Trouble) -> None:
        if isinstance(told, Trouble):
            self.tell(Said(message=told.message, warning=True))
            return
        standing, name = told.entry.standing, Path(told.entry.frame_id).name
        if told.entry.filter in self._inside:
            self._inside[told.entry.filter] += 1 if standing.inside else -1
        text = f"{name} goes back in" if standing.inside else f"{name} is taken out: {standing.why}"
        self.tell(Said(message=text))


def _extent(path: str, placed: Placed, cards: Sequence[Card]) -> Extent:
    """That of a light; of one that has gone no more is known than its mosaic, and none will be read of it."""
    try:
        return Extent.of(read_meta(path, cards))
    except LibraryError:
        return Extent(width=0, height=0, origin=None, bayer_pattern=placed.bayer_pattern)


def read_ahead(paths: Iterable[Path], cards: Sequence[Card] = ()) -> Iterator[Read]:
    """Read frames, with ``cards`` in their headers; the system fetches the next file meanwhile."""
    before: Path | None = None
    for path in paths:
        _announce(path)
        if before is not None:
            yield _read(before, cards)
        before = path
    if before is not None:
        yield _read(before, cards)


def _announce(path: Path) -> None:
    """Have a file read into the system's cache, where it takes none of our memory."""
    if not hasattr(os, "posix_fadvise"):
        return  # not on macOS
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return  # reading it will say what is wrong
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
    except OSError:
        return
    finally:
        os.close(file)


def _read(path: Path, cards: Sequence[Card]) -> Read:
    started = perf_counter()
    try:
        frame: Frame | LibraryError = read_frame(path, cards, in_adu=True)
    except LibraryError as error:
        frame = error
    return path, frame, perf_counter() - started
