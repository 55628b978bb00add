"""``firstlight stack``: lights in, one stack for each filter out, with previews and a report if asked for.

Thousands of lights take no more memory than ten: one filter is worked on at a time, and one sub. Whatever
ends the process, the same command goes on with the first sub that is not safely in its stack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from firstlight.errors import FirstlightError
from firstlight.lights import Lights, find_lights
from firstlight.stack_calibration import calibrating
from firstlight.stack_job import LIVE, StackJob
from firstlight.stack_report import Begun, Remaining, Said, StackReport, SubDone, SubReport, Told, Working
from firstlight.stack_results import Results, finish
from firstlight.stack_run import StackRun, read_ahead
from firstlight.stack_work import WorkFolder
from library.opening import resolved
from livestack.warm import FIRST, ensure

Tell = Callable[[Told], None]
ByFilter = Mapping[str | None, Sequence[Path]]


def quiet(_told: Told) -> None:
    """Tell nobody."""


def stack_files(
    lights: Sequence[Path], job: StackJob, tell: Tell = quiet, stop: Callable[[], bool] = lambda: False
) -> StackReport:
    """Stack files, folders and patterns of lights, each filter by itself, all on one geometry.

    Single darks, flats and biases, of files, folders and patterns, are combined into masters first; a master
    (a file with NCOMBINE > 1, or the only one given) is used as it is. A light gets the master that fits it
    best. One that does not fit is applied, and told, if it was given as a file; a file that is a frame of
    another kind by its header is refused. A library gives each light what fits it. A light that cannot be
    read or aligned, or that is much worse than the others, is left out with its reason; the others go on.
    ``stop`` is asked between two lights.

    Raises FirstlightError when nothing can be stacked, when a calibration frame is unfit, or when a folder to
    write to is not there; StackInterruptedError when it was stopped.
    """
    started = perf_counter()
    job.check()
    job = replace(job, wanted=job.wanted.found(warning_to(tell)))
    found = find_lights(lights, but=job.results(), cards=job.cards)
    by_filter = _by_filter(found, tell)
    _check_without(found, job)
    with WorkFolder(job) as work, calibrating(job.wanted, found.readable, warning_to(tell)) as masters:
        _begin(work, job, by_filter, tell)
        _compile(tell)
        with StackRun(job, work, masters, tell, stop) as run:
            results, pace = Results(run), _Pace(job, by_filter, tell)
            outputs, previews = job.outputs(by_filter), job.previews(by_filter)
            for name, paths in by_filter.items():
                _stack(run, name, paths, pace)
                results.finish(name, outputs[name], previews.get(name))
            results.colours()
            every = results.subs | {str(path): sub for path, sub in run.unread.items()}
            subs = [every[str(path)] for path in found.metas]
            if not any(sub.accepted for sub in subs):
                run.close_all()
                work.remove()
            report = results.report(subs, found.left_out, perf_counter() - started)
        finish(job, work, report)
    return report


def warning_to(tell: Tell) -> Callable[[str], None]:
    """Who is told of what is not as it should be."""
    return lambda text: tell(Said(message=text, warning=True))


def _by_filter(found: Lights, tell: Tell) -> ByFilter:
    """The lights of each filter; those that cannot be read go with the first. Raises FirstlightError."""
    if (text := found.told()) is not None:
        tell(Said(message=text))
    if not found.metas:
        raise FirstlightError("no light to stack; name at least one file or folder of lights")
    if not found.readable:
        problem = next(iter(found.problems.values()))
        raise FirstlightError(f"none of {len(found.metas)} lights can be read: {problem}")
    targets = sorted({meta.object_name for meta in found.readable.values() if meta.object_name})
    if len(targets) > 1:
        warning_to(tell)(f"lights of several objects ({', '.join(targets)}): what does not align is left out")
    first = next(iter(found.readable.values())).filter
    by_filter: dict[str | None, list[Path]] = {}
    for path, meta in found.metas.items():
        by_filter.setdefault(first if meta is None else meta.filter, []).append(path)
    return by_filter


def _check_without(found: Lights, job: StackJob) -> None:
    lights = {resolved(path) for path in found.metas} if job.without else set()
    for path in job.without:
        if resolved(path) not in lights:
            raise FirstlightError(f"--without {path}: it is none of the lights")


def _begin(work: WorkFolder, job: StackJob, by_filter: ByFilter, tell: Tell) -> None:
    """Go on with what an interrupted run has left, or begin anew and say why."""
    why = None if job.fresh else work.stale(by_filter.values())
    if why is not None:
        tell(Said(message=f"beginning anew, as {why} since the run that was interrupted"))
    work.begin(anew=job.fresh or why is not None)
    lights = sum(len(paths) for paths in by_filter.values())
    tell(Begun(lights=lights, filters=tuple(by_filter), resumed=len(work.tried)))


def _compile(tell: Tell) -> None:
    """On a machine's first run: have the loops compiled, and tell how far it is."""
    what = "compiling for this machine, once"
    ensure(*FIRST, tell=lambda share: tell(Working(what=what, filter=None, share=share, left_s=None)))


class _Pace:
    """How far it is, for all filters together."""

    def __init__(self, job: StackJob, by_filter: ByFilter, tell: Tell) -> None:
        self._tell, self._remaining = tell, Remaining()
        self._total = sum(len(paths) for paths in by_filter.values())
        self._again = (job.method != LIVE) + (job.drizzle is not None)
        self._number = 0

    def known(self, number: int) -> None:
        """Some were done before."""
        self._number += number

    def done(self, sub: SubReport, stacked: int, took_s: float) -> None:
        """One more is done. What reads all of them again in the end is reckoned with."""
        self._number += 1
        self._remaining.add(took_s)
        each_s = self._remaining.each_s
        todo = self._total - self._number + self._again * self._total
        self._tell(
            SubDone(
                sub=sub,
                number=self._number,
                total=self._total,
                stacked=stacked,
                rejected=self._number - stacked,
                per_minute=60 / each_s if each_s else None,
                left_s=self._remaining.left_s(todo),
            )
        )


def _stack(run: StackRun, name: str | None, paths: Sequence[Path], pace: _Pace) -> None:
    run.check()
    entries = run.entries(name)
    missing = [path for path in paths if str(path) not in entries]
    pace.known(len(paths) - len(missing))
    before = perf_counter()
    for read in read_ahead(missing, run.job.cards):
        sub = run.add(read)
        now = perf_counter()
        pace.done(sub, run.stacked, now - before)
        before = now
        run.check()
