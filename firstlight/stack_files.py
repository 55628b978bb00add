"""``firstlight stack``: files in, one stacked FITS out, with a preview and a report if asked for."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from firstlight.choices import Choices, Tally
from firstlight.errors import FirstlightError
from firstlight.stack_calibration import Calibrating, Wanted, calibrating
from firstlight.stack_output import finite, stack_cards, write_preview
from library.errors import LibraryError
from library.frames import FrameMeta
from library.reading import Frame, read_frame, read_meta
from library.writing import write_durably, write_image
from livestack.dark_scaling import Scaling
from livestack.engine import LiveStack, Outcome, Sub
from livestack.events import SubAccepted


@dataclass(frozen=True, slots=True, kw_only=True)
class SubReport:
    """What became of one file; ``matrix`` (3×3) takes the (x, y, 1) of the sub to the reference's."""

    path: str
    accepted: bool
    reason: str | None = None
    matrix: list[list[float]] | None = None
    rms_px: float | None = None
    n_matches: int | None = None
    fwhm_px: float | None = None
    background_adu: float | None = None
    dark_scaling: Scaling | None = None
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackReport:
    """What ``--report`` writes; ``calibration`` is that of most subs."""

    reference: str
    accepted: int
    rejected: int
    calibration: Choices
    subs: list[SubReport]
    seconds_total: float
    peak_rss_bytes: int


def stack_files(
    lights: Sequence[Path],
    output: Path,
    wanted: Wanted | None = None,
    *,
    preview: Path | None = None,
    report: Path | None = None,
    progress: Callable[[SubReport, int, int], None] | None = None,
    warn: Callable[[str], None] = lambda _message: None,
) -> StackReport:
    """Stack lights of one target and filter into ``output``.

    Single darks, flats and biases are combined into masters first; a master (one file with NCOMBINE > 1, or
    the only one given) is used as it is. A library gives each light what fits it. ``progress`` is told each
    sub's fate, its number and how many there are; ``warn`` is told of calibration frames that do not fit,
    which are applied if they were given as files. A light that cannot be read or aligned is rejected with
    its reason; the others go on.

    Raises FirstlightError when nothing can be stacked, when the lights are of several filters (one call makes
    one picture), when a calibration frame is unfit, or when a folder to write to is not there.
    """
    started = perf_counter()
    for path in (output, preview, report):
        if path is not None:
            _check_destination(path)
    stack, tally, scalings = LiveStack(), Tally(), []
    subs: list[SubReport] = []
    first: Frame | None = None
    with calibrating(wanted or Wanted(), _check_lights(lights), warn) as masters:
        for number, path in enumerate(lights, 1):
            frame, choices, told = _stack_one(stack, path, masters)
            subs.append(told)
            if told.accepted:
                first = first or frame
                tally.add(choices)
                scalings += [told.dark_scaling] if told.dark_scaling else []
            if progress is not None:
                progress(told, number, len(lights))
    accepted = [sub for sub in subs if sub.accepted]
    if first is None:
        reasons = "; ".join(f"{sub.path}: {sub.reason}" for sub in subs[:5])
        raise FirstlightError(f"none of {len(subs)} lights can be stacked: {reasons}")
    picture = stack.snapshot(first.meta.filter)
    cards = list(stack_cards(picture, first, tally.most_first(), scalings))
    _write(lambda: write_image(output, picture.pixels, cards), output)
    if preview is not None:
        _write(lambda: write_preview(preview, picture), preview)
    told_all = StackReport(
        reference=accepted[0].path,
        accepted=len(accepted),
        rejected=len(subs) - len(accepted),
        calibration=tally.most_first()[0][0],
        subs=subs,
        seconds_total=perf_counter() - started,
        peak_rss_bytes=_peak_rss_bytes(),
    )
    if report is not None:
        text = json.dumps(asdict(told_all), indent=1, allow_nan=False) + "\n"
        _write(lambda: write_durably(report, [text.encode()]), report)
    return told_all


def _check_destination(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise FirstlightError(f"{path}: its folder is not there; make it with: mkdir -p '{folder}'")
    if path.is_dir():
        raise FirstlightError(f"{path} is a folder; name a file in it")
    probe = folder / f".{path.name}.part-probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FirstlightError(f"{folder}: cannot be written to ({error.strerror}); choose another") from error


def _check_lights(lights: Sequence[Path]) -> dict[Path, FrameMeta]:
    """Return what the readable lights say of themselves; raise if they are of several filters, or none is."""
    if not lights:
        raise FirstlightError("no light to stack; name at least one file")
    metas: dict[Path, FrameMeta] = {}
    problem = ""
    for path in lights:
        try:
            metas[path] = read_meta(path)
        except LibraryError as error:
            problem = problem or str(error)
    if not metas:
        raise FirstlightError(f"none of {len(lights)} lights can be read: {problem}")
    names = sorted({meta.filter or "none" for meta in metas.values()})
    if len(names) > 1:
        raise FirstlightError(
            f"the lights are of several filters ({', '.join(names)}); stack each filter in a call of its own"
        )
    return metas


def _stack_one(
    stack: LiveStack, path: Path, calibrating: Calibrating
) -> tuple[Frame | None, Choices, SubReport]:
    started = perf_counter()
    try:
        frame = read_frame(path)
        choices, masters = calibrating.masters_of(frame.meta)
    except LibraryError as error:
        seconds = perf_counter() - started
        reason = f"unreadable: {error}"
        told = SubReport(
            path=str(path), accepted=False, reason=reason, seconds={"read": seconds, "total": seconds}
        )
        return None, (), told
    read = perf_counter() - started
    outcome = stack.process(Sub(frame_id=str(path), pixels=frame.pixels, meta=frame.meta, masters=masters))
    return frame, choices, _told(path, outcome, read, perf_counter() - started)


def _told(path: Path, outcome: Outcome, read_s: float, total_s: float) -> SubReport:
    event, transform = outcome.event, outcome.transform
    accepted = isinstance(event, SubAccepted)
    return SubReport(
        path=str(path),
        accepted=accepted,
        reason=None if isinstance(event, SubAccepted) else f"{event.reason}: {event.detail}",
        matrix=None if transform is None else transform.matrix.tolist(),
        rms_px=None if transform is None else transform.rms_px,
        n_matches=None if transform is None else transform.n_matches,
        fwhm_px=finite(outcome.fwhm_px),
        background_adu=finite(outcome.background_adu),
        dark_scaling=outcome.dark_scaling,
        seconds={"read": read_s, **outcome.stage_seconds, "total": total_s},
    )


def _write(write: Callable[[], object], path: Path) -> None:
    try:
        write()
    except OSError as error:
        raise FirstlightError(f"{path}: cannot be written: {error.strerror or error}") from error
    except LibraryError as error:
        raise FirstlightError(str(error)) from error


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
