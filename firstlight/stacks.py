"""What the stacking process holds: the kept stack, the masters of its subs, and the pictures made of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from firstlight.applying import load, sub_of
from firstlight.asking import Ask
from firstlight.choices import used
from firstlight.errors import FirstlightError
from firstlight.events import AdviceGiven, DarkScaled, Event, Log, Restacking, StackSummary
from firstlight.grading import changed, graded, in_words
from firstlight.oddities import Oddities
from firstlight.scalings import Scalings
from firstlight.stack_advice import advice_on
from firstlight.stack_pictures import Pictures
from firstlight.stacker import Job
from library.cutting import Extent
from library.errors import LibraryError
from library.naming import told_name
from library.reading import read_frame
from library.writing import remove_parts
from livestack.engine import Sub
from livestack.errors import LiveStackError, StateError
from livestack.events import SubRejected
from livestack.keeper import KeptStack, Moved, Trouble
from livestack.ledger import Entry
from numerics.counting import counted

PATIENCE_S = 30.0
"""How long a stacker that lost its session may take to finish its last request and let go of the folder."""


class Stacks:
    """One target's stacks and pictures; not for several threads."""

    def __init__(self, folder: Path, pictures: Path, target: str, tell: Callable[[Event], None]) -> None:
        self._folder, self._tell = folder, tell
        self._scalings_file = folder.parent / f"{folder.name}.scalings.jsonl"
        self._pictures = Pictures(pictures, target, tell)
        self._closing = ExitStack()
        self._load = lru_cache(maxsize=8)(load)
        self._changed: set[str | None] = set()
        self._behind: set[str | None] = set()
        self._heard: list[Moved | Trouble] = []
        self._oddities = Oddities()
        self._kept = self._open()
        remove_parts(pictures)  # a stacker that was killed before has let go of the stacks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _open(self) -> KeptStack:
        """Take up what the folder has; one that cannot be used costs the night its memory, not its stack."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                kept = KeptStack(self._folder, self._sub, tell=self._hear)
                break
            except StateError as error:
                if time.monotonic() > give_up:
                    self._tell(Log(level="error", message=f"{error}; the stack will not outlive its process"))
                    folder = self._closing.enter_context(TemporaryDirectory(prefix="firstlight-"))
                    kept = KeptStack(Path(folder), self._sub, tell=self._hear)
                    break
                time.sleep(0.2)
        self._closing.enter_context(kept)
        self._scalings = Scalings(self._scalings_file)
        self._changed.update(kept.filters)
        self._tell_heard()
        return kept

    def begin_anew(self) -> None:
        """Forget everything; the pictures stay until there are others."""
        self._closing.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._scalings_file.unlink(missing_ok=True)
        self._pictures.clear()
        self._changed.clear()
        self._behind.clear()
        self._kept = self._open()

    # -- subs ------------------------------------------------------------------------------------------------

    def add(self, job: Job) -> bool:
        """Stack a light; whatever is wrong with its file or its masters' is a reason to reject it.

        A light that is known is not looked at again: what was said of it is repeated. False if it was
        calibrated with other masters than these.
        """
        known = self._kept.entries.get(job.frame_id)
        if known is not None:
            self._tell(known.event)
            self._tell(graded(known))
            return used(Job.from_note(known.note).choices) == used(job.choices)
        try:
            sub, begin = self._read(job)
        except LibraryError as error:
            self._reject(job, None, "unreadable", str(error))
            return True
        try:
            outcome = self._kept.add(sub, {"job": job.to_dict(), "begin": begin})
        except LiveStackError as error:
            self._reject(job, sub.meta.filter, "state", str(error))
            return True
        name = sub.meta.filter
        if outcome.dark_scaling is not None:
            self._scalings.add(job.frame_id, outcome.dark_scaling)
            self._tell(DarkScaled(frame_id=job.frame_id, filter=name, **asdict(outcome.dark_scaling)))
        self._tell(outcome.event)
        if (entry := self._kept.entries.get(job.frame_id)) is not None:
            self._tell(graded(entry))
            if entry.standing.inside:
                self._changed.add(name)
        self._tell_heard()
        return True

    def _reject(self, job: Job, name: str | None, reason: str, detail: str) -> None:
        self._tell(SubRejected(frame_id=job.frame_id, filter=name, reason=reason, detail=detail, seconds=0.0))

    def _read(self, job: Job) -> tuple[Sub, str | None]:
        frame = read_frame(job.path, in_adu=True)
        masters = self._load(used(job.choices), Extent.of(frame.meta))
        for note in self._oddities.of(told_name(Path(job.path)), frame, masters):
            self._tell(Log(level="warning", message=note))
        begin = None if frame.meta.date_obs is None else frame.meta.date_obs.isoformat()
        return sub_of(job.frame_id, frame, masters), begin

    def _sub(self, frame_id: str) -> Sub | None:
        """A known sub, read again with the masters that it had."""
        try:
            return self._read(Job.from_note(self._kept.entries[frame_id].note))[0]
        except LibraryError as error:
            self._tell(Log(level="warning", message=f"a sub cannot be stacked again: {error}"))
            return None

    def _hear(self, told: Moved | Trouble) -> None:
        """Take what happens on its own; it is told after what it came of."""
        self._heard.append(told)

    def _tell_heard(self) -> None:
        heard, self._heard = self._heard, []
        for told in heard:
            if isinstance(told, Trouble):
                self._tell(Log(level="warning", message=told.message))
            else:
                self._moved(told.entry)

    def _moved(self, entry: Entry) -> None:
        self._tell(graded(entry))
        self._changed.add(entry.filter)

    # -- wishes ----------------------------------------------------------------------------------------------

    def obey(self, ask: Ask) -> str:
        """Do what is asked of the stack; returns what was done. Raises :class:`FirstlightError`."""
        if ask.word == "rules":
            moved = self._kept.rule(changed(self._kept.rules, ask.rules)) if ask.rules else ()
            for entry in moved:
                self._moved(entry)
            return f"{in_words(self._kept.rules)}: {counted(len(moved), 'sub')} moved"
        move = {"out": self._kept.take_out, "back": self._kept.put_back}[ask.word]
        for frame_id in ask.subs:
            try:
                self._moved(move(frame_id, ""))
            except LiveStackError as error:
                raise FirstlightError(str(error)) from error
        return f"{counted(len(ask.subs), 'sub')} {'taken out' if ask.word == 'out' else 'put back'}"

    @property
    def behind(self) -> bool:
        """There is something left to :meth:`work` on."""
        return bool(self._kept.backlog)

    def work(self, budget_s: float = 0.0) -> None:
        """Do a slice of what is left to do in the background, and tell how far it is."""
        self._kept.work(budget_s)
        self._tell_heard()
        behind = {each.filter: each for each in self._kept.backlog}
        for name, each in behind.items():
            self._tell(Restacking(filter=name, done=min(each.stacked / max(each.wanted, 1), 0.99)))
        for name in self._behind - behind.keys():
            self._tell(Restacking(filter=name, done=1.0))
            self._changed.add(name)
        self._behind = set(behind)

    # -- pictures --------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Measure the stacks that have changed, and paint them; one that is being made anew waits."""
        anew = {each.filter for each in self._kept.backlog if each.anew}
        changed = [name for name in self._kept.filters if name in self._changed - anew]
        for name in self._changed - anew - set(self._kept.filters):
            self._pictures.forget(name)  # no sub is left in it
        self._changed &= anew
        for name in changed:
            image, inside = self._kept.snapshot(name), self._inside(name)
            self._pictures.show(name, image, inside)
            if image.subs:
                advice = advice_on(image, inside, self._kept.entries.values())
                self._tell(AdviceGiven(filter=name, advice=advice))
        if changed:
            self._pictures.show_colour()

    def finish(self) -> list[StackSummary]:
        """Judge all subs by the whole night, write each stack, and say what it came to."""
        for entry in self._kept.settle():
            self._moved(entry)
        while self.behind:
            self.work()
        self._kept.save()
        self._tell_heard()
        self.refresh()
        return self._pictures.write(self._inside, self._scalings)

    def _inside(self, name: str | None) -> list[Entry]:
        return [each for each in self._kept.entries.values() if each.filter == name and each.standing.inside]

    @property
    def colour(self) -> Path | None:
        """The colour picture of several filters, if they allowed one."""
        return self._pictures.colour
