"""From the stacks to files: the exact restack and the drizzle that were asked for, FITS, previews, advice."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from develop.colour import compose
from develop.errors import DevelopError
from firstlight.applying import shift_cards
from firstlight.choices import Tally
from firstlight.errors import FirstlightError
from firstlight.stack_again import restacked
from firstlight.stack_comet import CometMode
from firstlight.stack_job import LIVE, StackJob, label
from firstlight.stack_output import PREVIEW_MAX_SIDE_PX, stack_cards, write_picture, write_preview
from firstlight.stack_report import (
    FilterReport,
    Said,
    StackReport,
    SubReport,
    Written,
    filter_report,
)
from firstlight.stack_run import StackRun
from firstlight.stack_work import WorkFolder
from library.cards import Card
from library.errors import LibraryError
from library.reading import Frame, meta_of, open_image
from library.writing import write_durably, write_image
from livestack.advice import advise_method, ideal_in_words
from livestack.comet_stack import CometPictures
from livestack.ledger import Entry
from livestack.stack import StackImage

COMET = "comet"
"""What the header says of how the subs of a comet's pictures were combined."""


@dataclass(frozen=True, slots=True, eq=False)
class Small:
    """A picture as large as its preview, kept for the colours of all together."""

    pixels: NDArray[np.float32]
    coverage: NDArray[np.float32]


class Results:
    """What becomes of all filters."""

    def __init__(self, run: StackRun) -> None:
        self._run = run
        self.subs: dict[str, SubReport] = {}
        self._tally = Tally()
        self._stacks: dict[str | None, FilterReport] = {}
        self._pictures: dict[str | None, Small] = {}
        self._colour: Path | None = None
        self._comet = CometMode(run, run.job.comet) if run.job.comet else None

    def so_far(self, names: Sequence[str | None]) -> None:
        """Write the stacks of these filters, of all that there are, as they stand."""
        run = self._run
        outputs, previews = run.job.outputs(run.work.names), run.job.previews(run.work.names)
        moved = [name for name in self._stacks if self._unname(name, outputs[name])]
        for name in dict.fromkeys([*names, *moved]):
            if name in run.stack(name).filters:
                image, entries = run.stack(name).snapshot(name), run.entries(name)
                written = _written(run, image, entries, outputs[name], previews.get(name), [], LIVE)
                self._stacks[name], self._pictures[name] = written
        self.colours()

    def finish(self, name: str | None, output: Path, preview: Path | None) -> None:
        """Judge a filter's subs, write its stack, and let go of it."""
        run = self._run
        run.judge(name)
        entries = dict(run.entries(name))
        made = _final(run, name, output, preview, self._comet)
        run.close(name)
        self.subs |= {path: run.report_of(entry) for path, entry in entries.items()}
        for entry in entries.values():
            if entry.standing.inside:
                self._tally.add(run.choices_of(entry))
        if made is None:
            run.tell(Said(message=f"{label(name)}: none of its lights can be stacked", warning=True))
            return
        self._stacks[name], self._pictures[name] = made

    def _unname(self, name: str | None, output: Path) -> bool:
        """Remove what was written of a filter while it was the only one, if it gets another name now."""
        before = self._stacks.get(name)
        if before is None or before.path == str(output):
            return False
        for path in filter(None, (before.path, before.preview)):
            Path(path).unlink(missing_ok=True)
        return True

    def colours(self) -> None:
        """Write the colours of all filters together, if previews are wanted and the filters allow it."""
        if len(self._pictures) > 1 and self._run.job.preview is not None:
            self._colour = colour_preview(self._run, self._pictures, self._run.job.preview)

    def report(self, subs: Sequence[SubReport], left_out: Mapping[str, int], seconds: float) -> StackReport:
        """Everything there is to tell. Raises FirstlightError when nothing was stacked."""
        accepted = [sub for sub in subs if sub.accepted]
        if not accepted:
            reasons = "; ".join(f"{sub.path}: {sub.reason}" for sub in subs[:5])
            raise FirstlightError(f"none of {len(subs)} lights can be stacked: {reasons}")
        totals: dict[str, float] = {}
        for sub in subs:
            for stage, took_s in sub.seconds.items():
                totals[stage] = totals.get(stage, 0.0) + took_s
        return StackReport(
            reference=str(self._run.reference),
            accepted=len(accepted),
            rejected=len(subs) - len(accepted),
            calibration=self._tally.most_first()[0][0],
            calibrations=list(self._run.work.calibrations),
            left_out=dict(left_out),
            stacks=list(self._stacks.values()),
            colour_preview=None if self._colour is None else str(self._colour),
            subs=list(subs),
            seconds=totals,
            seconds_total=seconds,
            peak_rss_bytes=_peak_rss_bytes(),
        )


def finish(job: StackJob, work: WorkFolder, report: StackReport) -> None:
    """Write the report, and remove what only an interrupted run needs."""
    if job.report is not None:
        text, path = json.dumps(asdict(report), indent=1, allow_nan=False) + "\n", job.report
        writing(lambda: write_durably(path, [text.encode()]), path, None)
    if not job.keep:
        work.remove()


def _final(
    run: StackRun, name: str | None, output: Path, preview: Path | None, comet: CometMode | None
) -> tuple[FilterReport, Small] | None:
    """Write the stack of a filter by the method asked for, and let go of it; None if no sub is in it."""
    if name not in run.stack(name).filters:
        return None
    as_it_is = run.job.method == LIVE and run.job.drizzle is None and comet is None
    if run.job.keep or not as_it_is:
        run.save()
    if as_it_is:
        run.forget_masters()
    image, entries = run.stack(name).snapshot(name), dict(run.entries(name))
    if as_it_is:
        run.close(name)
        return _written(run, image, entries, output, preview, [], LIVE)
    sources, founding = run.sources(name), run.stack(name).founding(name)
    run.close(name)  # its planes would stand beside the subs
    if comet is not None:
        made, cards = comet.pictures(name, sources, founding)
        return _comet_written(run, made, entries, output, preview, cards)
    image, cards = restacked(run, image, sources, entries)
    return _written(run, image, entries, output, preview, cards, run.job.method)


def _comet_written(
    run: StackRun,
    made: CometPictures,
    entries: Mapping[str, Entry],
    output: Path,
    preview: Path | None,
    cards: Sequence[Card],
) -> tuple[FilterReport, Small]:
    """The comet is the output; beside it come the stars, and both together, which is the preview, too."""
    together = replace(made.comet, pixels=made.together)
    for end, image in (("stars", made.stars), ("together", together)):
        path = output.with_name(f"{output.stem}_{end}{output.suffix}")
        _written(run, image, entries, path, preview if image is together else None, cards, COMET)
    report, _ = _written(run, made.comet, entries, output, None, cards, COMET)
    told = replace(report, preview=None if preview is None else str(preview))
    return told, _small(together)


def colour_preview(run: StackRun, pictures: Mapping[str | None, Small], path: Path) -> Path | None:
    """Write the colours of all filters together, where these allow one."""
    try:
        colour = compose(pictures, run.job.palette)
    except DevelopError as error:
        run.tell(Said(message=str(error), warning=True))
        return None
    if colour is None:
        return None
    writing(lambda: write_picture(path, colour), path, run)
    return path


def writing(write: Callable[[], object], path: Path, run: StackRun | None) -> None:
    """Write a file. Raises FirstlightError, and says that nothing is lost."""
    kept = (
        "" if run is None else f"; all that was stacked is kept in {run.work.path}: the same command goes on"
    )
    try:
        write()
    except OSError as error:
        raise FirstlightError(f"{path}: cannot be written: {error.strerror or error}{kept}") from error
    except LibraryError as error:
        raise FirstlightError(f"{error}{kept}") from error


def _written(
    run: StackRun,
    image: StackImage,
    entries: Mapping[str, Entry],
    output: Path,
    preview: Path | None,
    more: Sequence[Card],
    method: str,
) -> tuple[FilterReport, Small]:
    inside = {path: entry for path, entry in entries.items() if entry.standing.inside}
    tally = Tally()
    for entry in inside.values():
        tally.add(run.choices_of(entry))
    scalings = [run.work.scalings[path] for path in inside if path in run.work.scalings]
    cards = [
        *stack_cards(image, _header_of(Path(next(iter(inside)))), tally.most_first(), scalings),
        *shift_cards(entry.placed for entry in inside.values()),
        *more,
    ]
    cards.append(("COMBMETH", method, "how the subs were combined"))
    finer = run.job.drizzle if more else None
    if finer:
        cards = [_finer(card, finer) for card in cards]
    writing(lambda: write_image(output, image.pixels, cards), output, run)
    if preview is not None:
        writing(lambda: write_preview(preview, image), preview, run)
    report = filter_report(
        image,
        str(output),
        None if preview is None else str(preview),
        method,
        finer,
        list(_advice(image, method)),
    )
    run.tell(Written(stack=report))
    return report, _small(image)


def _finer(card: Card, scale: float) -> Card:
    """A header's pixel size, of a grid that is finer."""
    keyword, value, _ = card
    if keyword in {"XPIXSZ", "YPIXSZ"} and isinstance(value, int | float):
        return keyword, value / scale, f"of the reference, / {scale:g}"
    return card


def _advice(image: StackImage, method: str) -> Iterator[str]:
    """How far the SNR is, and whether another method suits so many subs."""
    ideal = image.ideal_gain
    if image.snr_gain > 0 and image.subs > 1:
        yield (
            f"{label(image.filter)}: SNR × {image.snr_gain:.1f} that of one sub; "
            f"{ideal_in_words(image.subs, ideal)}: {image.snr_gain / ideal:.0%} of it"
        )
    suited = advise_method(image.subs)
    if method != COMET and image.subs > 1 and suited.name != method.partition(":")[0]:
        yield f"{label(image.filter)}: {suited.text}"


def _header_of(path: Path) -> Frame:
    """A frame's header alone."""
    with open_image(path) as (_, unit):
        return Frame(pixels=np.empty((0, 0), np.uint16), meta=meta_of(unit), header=unit.values)


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _small(image: StackImage) -> Small:
    """Means of square blocks, no larger than a preview."""
    block = max(1, -(-max(image.coverage.shape) // PREVIEW_MAX_SIDE_PX))
    rows, columns = (n // block for n in image.coverage.shape)

    def shrunk(plane: NDArray[np.generic]) -> NDArray[np.float32]:
        cut = plane[: rows * block, : columns * block]
        blocks = cut.reshape(rows, block, columns, block, *cut.shape[2:])
        return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))

    least = image.coverage[: rows * block, : columns * block].reshape(rows, block, columns, block)
    return Small(shrunk(image.pixels), least.min(axis=(1, 3)).astype(np.float32))
