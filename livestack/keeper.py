"""A live stack that keeps its state in a folder: subs can be taken out and put back, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from library.errors import LibraryError
from library.mosaics import RGB
from livestack.basis import BASIS, read_basis, rested_on, write_basis
from livestack.engine import LiveStack, Outcome, Settings, Sub
from livestack.errors import CheckpointError, LiveStackError, NotAlignedError, UnknownSubError
from livestack.events import SubAccepted, SubRejected
from livestack.grading import Night, Rules
from livestack.judges import Judges
from livestack.ledger import By, Entry, Ledger, Standing
from livestack.masters import check_shapes
from livestack.placing import Placed
from livestack.stack import Founding, StackImage
from livestack.track import Track
from livestack.weighing import changes, left_out, weights_against


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A sub was taken out of its stack or put back: ``entry.standing`` says which, by whom and why."""

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The state cannot be written or read as it should; stacking goes on."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How many of a filter's subs are in its planes, of how many that belong there.

    ``anew``: a restack; the last picture stands until it is done.
    """

    filter: str | None
    stacked: int
    wanted: int
    anew: bool


class KeptStack:
    """A :class:`LiveStack` with its ledger and its checkpoints in ``folder``; a context manager.

    Opening a folder that has a stack resumes it: what the last checkpoint lacks waits in the backlog for
    :meth:`work`. ``open_sub`` opens a sub again by its frame id, with its masters, or gives None when its
    file is gone. ``tell`` is told of what happens on its own: subs moved by the rules, trouble with the disk.
    Not for several threads at once, and it starts none that stays: call ``work`` when there is nothing else
    to do.

    Raises :class:`livestack.errors.StateError` when the folder is in use or cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        open_sub: Callable[[str], Sub | None],
        *,
        settings: Settings | None = None,
        rules: Rules | None = None,
        tell: Callable[[Moved | Trouble], None] = lambda _told: None,
        clock: Callable[[], float] = perf_counter,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``rules`` of None are those that the folder had last, or the default ones."""
        self._folder, self._open_sub, self._tell, self._clock = folder, open_sub, tell, clock
        self._ledger = Ledger(folder, now)
        self._trouble = ""
        try:
            basis = rested_on(read_basis(folder), self._ledger)
        except BaseException:
            self._ledger.close()
            raise
        self._live = LiveStack.resting_on(basis, settings)
        self._written = self._settled_so_far
        self._tracks: dict[str | None, Track] = {}
        self._judges = Judges(self._ledger)
        if self._ledger.damaged_lines:
            lines = self._ledger.damaged_lines
            self._tell(Trouble(message=f"{folder}: {lines} lines of its ledger are damaged; they are lost"))
        for name in self._live.filters:
            track = self._track(name)
            self._weigh(name)
            track.wanted = self._belonging(name)
            self._tried(track.resume)
        if rules is not None and rules != self.rules:
            self.rule(rules)
        elif self.entries:
            last = next(reversed(self._ledger.entries.values()))
            for moved in self._judges.again_if_due(last.kind):  # a kill may have come before that
                self._moved(moved)
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder, without a checkpoint; see :meth:`save`."""
        self._ledger.close()

    @property
    def filters(self) -> tuple[str | None, ...]:
        """The filters that have a picture, in order of first light."""
        return tuple(name for name, track in self._tracks.items() if track.has_picture)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All subs by frame id, in order of arrival."""
        return self._ledger.entries

    @property
    def rules(self) -> Rules:
        """By which subs are judged."""
        return self._judges.rules

    @property
    def backlog(self) -> tuple[Backlog, ...]:
        """The filters whose planes do not hold what belongs there yet."""
        return tuple(
            Backlog(filter=name, stacked=track.stacked, wanted=len(track.wanted), anew=track.anew)
            for name, track in self._tracks.items()
            if track.behind
        )

    def night(self, kind: str) -> Night:
        """What the subs of an entry's ``kind`` are like."""
        return self._judges.night(kind)

    def placed(self, frame_id: str) -> Placed:
        """How a sub was placed, with its patches. Raises :class:`LiveStackError` if that cannot be read."""
        return self._ledger.placed(frame_id)

    def founding(self, name: str | None) -> Founding:
        """What the first sub of a filter settled. Raises KeyError for a filter that has no stack."""
        return self._live.stack_of(name).founding

    def refer_to(self, sub: Sub) -> SubRejected | None:
        """Let a sub that is not stacked itself set the geometry; to be called before the first is added."""
        refused = self._live.refer_to(sub)
        if refused is None:
            self._ledger.refer_to(sub.frame_id)
            self._flush()
        return refused

    def add(self, sub: Sub, note: Mapping[str, Any] | None = None) -> Outcome:
        """Align, judge and stack a sub; durable in the ledger when this returns.

        One that the rules refuse gives :class:`SubRejected` with the reason "grade" and can be put back.
        While its filter has a backlog it waits at its end. A frame id that is known already changes nothing
        and gives what was said of it.
        """
        known = self.entries.get(sub.frame_id)
        if known is not None:
            return _remembered(known)
        started = self._clock()
        outcome = self._live.place(sub)
        entry = self._weighed(self._judges.entry_of(sub, outcome, note or {}))
        if entry.placed is not None:
            outcome = self._stacked(sub, entry.placed, replace(outcome, event=entry.event), started)
        self._ledger.add(replace(entry, event=outcome.event))
        for moved in self._judges.again_if_due(entry.kind):
            self._moved(moved)
        self._save(force=False)
        return outcome

    def take_out(self, frame_id: str, why: str) -> Entry:
        """Take a sub out by hand; raises :class:`UnknownSubError` for one that never came."""
        entry = self._known(frame_id)
        if entry.placed is None:
            return entry
        return self._by_hand(entry, Standing(inside=False, by=By.HAND, why=why))

    def put_back(self, frame_id: str, why: str = "") -> Entry:
        """Put a sub back by hand.

        Raises :class:`UnknownSubError`, and :class:`NotAlignedError` for one that could not be aligned, or
        whose weight is too far from the others'.
        """
        entry = self._known(frame_id)
        if entry.placed is None:
            raise NotAlignedError(f"{frame_id} cannot be put back: {entry.standing.why}")
        standing = Standing(inside=True, by=By.HAND, why=why)
        changed = replace(entry, standing=standing)
        refused = weights_against(self.entries, entry.filter, changed).get(frame_id)
        if refused is not None:
            raise NotAlignedError(f"{frame_id} cannot be put back: it {refused}")
        return self._by_hand(entry, standing)

    def rule(self, rules: Rules) -> tuple[Entry, ...]:
        """Judge all subs by other rules; returns those that moved. What a hand has said stands."""
        self._judges.rules = rules
        self._ledger.rule(rules)
        return self.settle()

    def settle(self) -> tuple[Entry, ...]:
        """Judge all subs by the night as it is known now; returns those that moved. To be called at the end.

        Meanwhile that happens when the night is first known, and each time the subs have doubled.
        """
        moved = tuple(self._judges.again())
        self._want_anew(moved)
        self._flush()
        return moved

    def work(self, budget_s: float = 0.0) -> int:
        """Stack subs of the backlog, one at least, until the budget is spent; how many are left."""
        started = self._clock()
        while track := next((each for each in self._tracks.values() if each.behind), None):
            self._step(track)
            self._save(force=False)
            if self._clock() - started >= budget_s:
                break
        return sum(max(len(each.wanted) - each.stacked, 1) for each in self._tracks.values() if each.behind)

    def save(self) -> None:
        """Write checkpoints now, of what has changed since the last."""
        self._save(force=True)

    def snapshot(self, name: str | None) -> StackImage:
        """The picture of a filter; during a restack the last one. KeyError for a filter that has none."""
        track = self._tracks[name]
        if not track.has_picture:
            raise KeyError(name)
        return track.snapshot()

    # -- moving ----------------------------------------------------------------------------------------------

    def _known(self, frame_id: str) -> Entry:
        try:
            return self.entries[frame_id]
        except KeyError:
            raise UnknownSubError(f"no sub {frame_id} ever came to this stack") from None

    def _by_hand(self, entry: Entry, standing: Standing) -> Entry:
        after = self._ledger.move(entry.frame_id, standing, entry.verdict)
        self._want_anew([after])
        self._flush()
        return after

    def _moved(self, entry: Entry) -> None:
        """A sub has moved on its own."""
        self._want_anew([entry])
        self._tell(Moved(entry=entry))

    def _want_anew(self, moved: Iterable[Entry]) -> None:
        for name in {entry.filter for entry in moved}:
            self._weigh(name)
            self._tracks[name].wanted = self._belonging(name)

    def _weighed(self, new: Entry) -> Entry:
        """A new sub, left out if it does not count beside the others; what does not count beside it goes."""
        if not new.standing.inside:
            return new
        against = weights_against(self.entries, new.filter, new)
        why = against.pop(new.frame_id, None)
        self._sort_out(new.filter, against)
        return new if why is None else left_out(new, why)

    def _weigh(self, name: str | None) -> None:
        """Let those of a filter's subs be in the stack that count together."""
        self._sort_out(name, weights_against(self.entries, name))

    def _sort_out(self, name: str | None, against: Mapping[str, str]) -> None:
        """Take out what does not count, and put back what does again."""
        moved = [
            self._ledger.move(frame_id, standing, self.entries[frame_id].verdict)
            for frame_id, standing in changes(self.entries, name, against).items()
        ]
        if moved:
            self._track(name).wanted = self._belonging(name)
        for entry in moved:
            self._tell(Moved(entry=entry))

    def _belonging(self, name: str | None) -> list[str]:
        return [e.frame_id for e in self.entries.values() if e.filter == name and e.standing.inside]

    # -- stacking --------------------------------------------------------------------------------------------

    def _stacked(self, sub: Sub, placed: Placed, outcome: Outcome, started: float) -> Outcome:
        """Stack a new sub, or let it wait; one that the rules refuse stays out."""
        track, event, seconds = self._track(sub.meta.filter), outcome.event, outcome.stage_seconds
        if isinstance(event, SubAccepted):
            if track.behind:
                track.wanted.append(sub.frame_id)
            else:
                begun = self._clock()
                noise = track.take(sub.frame_id, lambda: self._live.again(sub, placed))
                event = replace(event, noise_adu=noise)
                seconds = {**seconds, "integrate": self._clock() - begun}
        event = replace(event, seconds=self._clock() - started)
        return replace(outcome, event=event, stage_seconds=seconds)

    def _step(self, track: Track) -> None:
        """Stack the next sub of a filter, or take it out if that cannot be."""
        self._tried(track.begin)
        frame_id = track.next
        if frame_id is None:
            return
        try:
            sub, placed = self._opened(self.entries[frame_id]), self._ledger.placed(frame_id)
        except LiveStackError as error:
            standing = Standing(inside=False, by=By.STACK, why=str(error))
            self._moved(self._ledger.move(frame_id, standing, self.entries[frame_id].verdict))
            return
        track.take(frame_id, lambda: self._live.again(sub, placed))

    def _opened(self, entry: Entry) -> Sub:
        """A sub from its file again; raises :class:`LiveStackError` if that is not what it was."""
        sub = self._open_sub(entry.frame_id)
        if sub is None:
            raise LiveStackError("its file is gone or cannot be read; bring it back, and put the sub back")
        setup, placed = entry.setup, entry.placed
        planes = 3 if placed is not None and placed.bayer_pattern == RGB else 1
        now = (sub.pixels.shape, sub.meta.filter)
        if setup is None or now != ((*setup.shape, *([3] if planes == 3 else [])), entry.filter):
            raise LiveStackError("its file is another one than it was")
        check_shapes(sub.masters, (planes * setup.shape[0], setup.shape[1]))
        return sub

    def _track(self, name: str | None) -> Track:
        if name not in self._tracks:
            file = self._folder / f"planes-{len(self._tracks)}.bin"
            self._tracks[name] = Track(self._live.stack_of(name), file, self._clock)
        return self._tracks[name]

    # -- keeping ---------------------------------------------------------------------------------------------

    def _save(self, *, force: bool) -> None:
        """Make the ledger durable, and then the planes of which it is worth it: they rest on it."""
        if not self._flush():
            return
        for track in self._tracks.values():
            known = self.entries.keys() >= set(track.held[-1:])  # not so if adding it was interrupted
            if known and (track.checkpoint_is_due or (force and track.unsaved)):
                self._tried(track.save)

    def _flush(self) -> bool:
        return self._tried(self._write_basis) and self._tried(self._ledger.flush)

    def _write_basis(self) -> None:
        if self._written != self._settled_so_far:
            write_basis(self._folder / BASIS, self._live.basis)
            self._written = self._settled_so_far

    @property
    def _settled_so_far(self) -> tuple[bool, int]:
        return self._live.basis.reference is not None, len(self._live.filters)

    def _tried(self, what: Callable[[], None]) -> bool:
        """Whether it went well; what goes wrong with the disk is told, once while it lasts, and no error."""
        try:
            what()
        except (OSError, LibraryError, CheckpointError) as error:
            message = f"the stack's state in {self._folder} is in trouble: {error}"
            if message != self._trouble:
                self._trouble = message
                self._tell(Trouble(message=message))
            return False
        return True


def _remembered(entry: Entry) -> Outcome:
    """What was said of a sub that came before."""
    return Outcome(
        event=entry.event,
        transform=None,
        placed=None,
        overlap=None,
        stars=None,
        extended=None,
        fwhm_px=None,
        background_adu=None,
        dark_scaling=None,
        stage_seconds={},
    )
