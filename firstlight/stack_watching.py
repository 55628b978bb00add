"""``firstlight stack --watch``: follow a folder, and keep the stacks on disk up to date."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from firstlight.errors import FirstlightError
from firstlight.folder_watch import FolderWatch
from firstlight.lights import look_at
from firstlight.stack_calibration import Calibrating, calibrating
from firstlight.stack_files import Tell, quiet, warning_to
from firstlight.stack_job import StackJob
from firstlight.stack_report import Begun, Remaining, Said, StackReport, SubDone, Waiting
from firstlight.stack_results import Results, finish
from firstlight.stack_run import Read, StackRun, read_ahead
from firstlight.stack_work import WorkFolder
from library.errors import LibraryError, NotAFrameError
from library.formats.table import frames_in
from library.frames import FrameMeta
from library.importing.files import OTHERS, sort_of
from library.opening import resolved

POLL_S = 0.5
LEAST_S = 5.0
"""Results are not written more often than so."""

_SHARE = 0.1
"""And no more than this share of the time goes into writing them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When a watch ends by itself: with so many subs stacked, or after so long without a new one."""

    stacked: int | None = None
    idle_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Steady seconds, and how to let some pass."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def watch_folder(
    folder: Path,
    job: StackJob,
    tell: Tell = quiet,
    stop: Callable[[], bool] = lambda: False,
    *,
    until: Until | None = None,
    clock: Clock | None = None,
) -> StackReport:
    """Stack the lights of a folder and all below it, and each new one as soon as it is whole.

    All filters grow side by side. ``stop`` ends it in order: what is there is judged, stacked by the method
    asked for, and written. Raises FirstlightError as :func:`firstlight.stack_files.stack_files` does.
    """
    job.check()
    job = replace(job, wanted=job.wanted.found(warning_to(tell)))
    clock = clock or Clock()
    started = clock.now()
    results = {resolved(path) for path in job.results()}
    watch = FolderWatch(resolved(folder), clock.now, but=results)
    with WorkFolder(job) as work, ExitStack() as stack:
        _begin(work, job, tell)
        following = _Following(job, work, watch, tell, stop, until or Until(), clock, stack)
        following.run()
        report = following.report(clock.now() - started)
        stack.close()
        finish(job, work, report)
    return report


def _begin(work: WorkFolder, job: StackJob, tell: Tell) -> None:
    why = None if job.fresh else work.stale()
    if why is not None:
        tell(Said(message=f"beginning anew, as {why} since the run that was interrupted"))
    work.begin(anew=job.fresh or why is not None)
    tell(Begun(lights=None, filters=tuple(work.names), resumed=len(work.tried)))


class _Following:
    """The masters are made ready with the first light: before, nobody knows what they have to fit."""

    def __init__(
        self,
        job: StackJob,
        work: WorkFolder,
        watch: FolderWatch,
        tell: Tell,
        stop: Callable[[], bool],
        until: Until,
        clock: Clock,
        closing: ExitStack,
    ) -> None:
        self._job, self._work, self._watch, self._tell = job, work, watch, tell
        self._stop, self._until, self._clock, self._closing = stop, until, clock, closing
        self._run: StackRun | None = None
        self._results: Results | None = None
        self._left_out: Counter[str] = Counter()
        self._changed: dict[str | None, None] = {}
        self._written_s, self._writing_s = -float("inf"), 0.0
        self._last_s = clock.now()
        self._remaining = Remaining()

    def run(self) -> None:
        """Follow the folder until it is enough."""
        while not self._is_enough():
            fresh = self._watch.poll()
            self._leave_others(self._watch.others())
            for read in read_ahead(self._lights(fresh), self._job.cards):
                self._take(read)
                if self._is_enough():
                    break
            self._write_so_far()
            if not fresh and not self._is_enough():
                stacked, rejected = self._counts()
                self._tell(Waiting(stacked=stacked, rejected=rejected, pending=self._watch.pending))
                self._clock.sleep(POLL_S)

    def report(self, seconds: float) -> StackReport:
        """Judge, stack by the method asked for, and write everything."""
        run, results, work = self._run, self._results, self._work
        self._leave_others(self._watch.others(even_fresh=True))
        if run is None or results is None:
            work.remove()
            what = f"; left out: {dict(self._left_out)}" if self._left_out else ""
            raise FirstlightError(f"no light came{what}")
        run.carry_on()
        names = list(work.names)
        outputs, previews = self._job.outputs(names), self._job.previews(names)
        for name in names:
            results.finish(name, outputs[name], previews.get(name))
        results.colours()
        subs = [*results.subs.values(), *run.unread.values()]
        return results.report(subs, self._left_out, seconds)

    def _lights(self, paths: list[Path]) -> Iterator[Path]:
        """Those of them that are lights; with the first, the masters are made ready."""
        for path in self._frames(paths):
            try:
                meta, other = look_at(path, self._job.cards)
            except NotAFrameError as error:
                self._leave(path, error.what, str(error).removeprefix(f"{path}: "))
                continue
            except LibraryError:
                yield path  # to be told of
                continue
            if other is not None:
                self._left_out[other] += 1
                self._tell(Said(message=f"{path.name} is left out: {other} are no lights"))
                continue
            self._begin(path, meta)
            yield path

    def _frames(self, paths: list[Path]) -> Iterator[Path]:
        """The files, and each frame of a sequence."""
        for path in paths:
            try:
                yield from frames_in(path)
            except LibraryError:
                yield path  # reading it will say what is wrong

    def _leave_others(self, paths: list[Path]) -> None:
        """Tell of files that are no frames; our own pictures are none of them."""
        for path in paths:
            sort = sort_of(path)
            self._leave(path, sort, "by its name it is no frame" if sort == OTHERS else f"one of the {sort}")

    def _leave(self, path: Path, sort: str, reason: str) -> None:
        names = list(self._work.names)
        ours = {*self._job.outputs(names).values(), *self._job.previews(names).values(), *self._job.results()}
        if resolved(path) in {resolved(each) for each in ours}:
            return
        self._left_out[sort] += 1
        self._tell(Said(message=f"{path.name} is left out: {reason}"))

    def _begin(self, path: Path, meta: FrameMeta) -> None:
        if self._run is None:
            warn = warning_to(self._tell)
            masters: Calibrating = self._closing.enter_context(
                calibrating(self._job.wanted, {path: meta}, warn)
            )
            run = StackRun(self._job, self._work, masters, self._tell, self._stop)
            self._run = self._closing.enter_context(run)
            self._results = Results(self._run)
            for name in list(self._work.names):
                run.stack(name)
                self._changed[name] = None

    def _take(self, read: Read) -> None:
        started = self._clock.now()
        run = self._run
        if run is None:  # nothing but files that cannot be read so far
            self._tell(Said(message=f"{read[0].name} cannot be read: {read[1]}", warning=True))
            return
        known = str(read[0]) in self._work.tried
        sub = run.add(read)
        self._remaining.add(self._clock.now() - started)
        self._last_s = self._clock.now()
        if sub.accepted:
            self._changed[sub.filter] = None
        stacked, rejected = self._counts()
        each_s = self._remaining.each_s
        if not known:
            self._tell(
                SubDone(
                    sub=sub,
                    number=stacked + rejected,
                    total=None,
                    stacked=stacked,
                    rejected=rejected,
                    per_minute=60 / each_s if each_s else None,
                    left_s=None,
                )
            )

    def _counts(self) -> tuple[int, int]:
        """Subs in and not in the stacks."""
        stacked = 0 if self._run is None else self._run.stacked
        return stacked, len(self._work.tried) - stacked

    def _is_enough(self) -> bool:
        until = self._until
        if self._stop():
            return True
        if until.stacked is not None and self._counts()[0] >= until.stacked:
            return True
        idle_s = self._clock.now() - self._last_s
        return until.idle_s is not None and idle_s >= until.idle_s and not self._watch.pending

    def _write_so_far(self) -> None:
        """Bring the files up to date, if something has changed and it is not too soon."""
        now = self._clock.now()
        if self._results is None or not self._changed:
            return
        if now - self._written_s < max(LEAST_S, self._writing_s / _SHARE):
            return
        changed, self._changed = list(self._changed), {}
        self._results.so_far(changed)
        self._written_s = self._clock.now()
        self._writing_s = self._written_s - now
