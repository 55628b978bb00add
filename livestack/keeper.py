"""A live stack that keeps its state in a folder: subs can be taken out and put back, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from livestack.engine import Outcome, Settings, Sub
from livestack.events import SubRejected
from livestack.grading import Night, Rules
from livestack.ledger import Entry
from livestack.stack import StackImage


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
    ) -> None:
        """``rules`` of None are those that the folder had last, or the default ones."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder, without a checkpoint; see :meth:`save`."""
        raise NotImplementedError

    @property
    def filters(self) -> tuple[str | None, ...]:
        """The filters that have a picture, in order of first light."""
        raise NotImplementedError

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All subs by frame id, in order of arrival."""
        raise NotImplementedError

    @property
    def rules(self) -> Rules:
        """By which subs are judged."""
        raise NotImplementedError

    @property
    def backlog(self) -> tuple[Backlog, ...]:
        """The filters whose planes do not hold what belongs there yet."""
        raise NotImplementedError

    def night(self, kind: str) -> Night:
        """What the subs of an entry's ``kind`` are like."""
        raise NotImplementedError

    def refer_to(self, sub: Sub) -> SubRejected | None:
        """Let a sub that is not stacked itself set the geometry; to be called before the first is added."""
        raise NotImplementedError

    def add(self, sub: Sub, note: Mapping[str, Any] | None = None) -> Outcome:
        """Align, judge and stack a sub; durable in the ledger when this returns.

        One that the rules refuse gives :class:`SubRejected` with the reason "grade" and can be put back. While
        its filter has a backlog it waits at its end. A frame id that is known already changes nothing and
        gives what was said of it.
        """
        raise NotImplementedError

    def take_out(self, frame_id: str, why: str) -> Entry:
        """Take a sub out by hand; raises :class:`UnknownSubError` for one that never came."""
        raise NotImplementedError

    def put_back(self, frame_id: str, why: str = "") -> Entry:
        """Put a sub back by hand.

        Raises :class:`UnknownSubError`, and :class:`NotAlignedError` for one that could not be aligned.
        """
        raise NotImplementedError

    def rule(self, rules: Rules) -> tuple[Entry, ...]:
        """Judge all subs by other rules; returns those that moved. What a hand has said stands."""
        raise NotImplementedError

    def settle(self) -> tuple[Entry, ...]:
        """Judge all subs by the night as it is known now; returns those that moved. To be called at the end.

        Meanwhile that happens when the night is first known, and each time the subs have doubled.
        """
        raise NotImplementedError

    def work(self, budget_s: float = 0.0) -> int:
        """Stack subs of the backlog, one at least, until the budget is spent; how many are left."""
        raise NotImplementedError

    def save(self) -> None:
        """Write checkpoints now, of what has changed since the last."""
        raise NotImplementedError

    def snapshot(self, name: str | None) -> StackImage:
        """The picture of a filter; during a restack the last one. KeyError for a filter that has none."""
        raise NotImplementedError
