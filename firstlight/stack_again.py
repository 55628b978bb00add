"""What reads all subs of a stack once more at its end: an exact restack, a drizzle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from firstlight.errors import FirstlightError
from firstlight.stack_job import LIVE
from firstlight.stack_report import Said, Working
from firstlight.stack_run import StackRun
from library.cards import Card
from library.errors import LibraryError
from livestack.drizzle import Reference, drizzle
from livestack.drizzled import Drizzled, filled
from livestack.ledger import Entry
from livestack.restack import SourceError, StoredSub, exact
from livestack.restack_methods import stacking_method
from livestack.stack import StackImage


def restacked(
    run: StackRun, live: StackImage, sources: Sequence[StoredSub], entries: Mapping[str, Entry]
) -> tuple[StackImage, list[Card]]:
    """The same subs by the method asked for, drizzled if that was asked for, and what the header says of it.

    Raises FirstlightError for a sub that cannot be read any more, StackInterruptedError when stopped.
    """
    image = live
    cards: list[Card] = []
    try:
        if run.job.method != LIVE:
            exposures_s = [entry.exposure_s for entry in entries.values() if entry.standing.inside]
            image = _exact(run, image, sources, exposures_s)
        if run.job.drizzle is not None:
            image, cards = _drizzled(run, image, sources)
    except SourceError as error:
        raise FirstlightError(f"{error}; leave it out with --without, or bring it back") from error
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
    return image, cards


def _exact(
    run: StackRun, live: StackImage, sources: Sequence[StoredSub], exposures_s: Sequence[float | None]
) -> StackImage:
    """The same subs, combined by an exact method."""
    channels = 1 if live.pixels.ndim == 2 else live.pixels.shape[2]
    seen = live.coverage > 0
    zero = np.median(np.atleast_3d(live.pixels)[seen][:: max(1, int(seen.sum()) // 100_000)], axis=0)
    telling = _telling(run, f"stacking by {run.job.method}", live.filter)
    made = exact(
        sources,
        live.coverage.shape,
        channels,
        zero,
        stacking_method(run.job.method),
        progress=telling,
    )
    return made.image(live.filter, exposures_s)


def _drizzled(
    run: StackRun, picture: StackImage, sources: Sequence[StoredSub]
) -> tuple[StackImage, list[Card]]:
    """The same subs on a finer grid, outliers told by the picture so far."""
    scale = run.job.drizzle or 1.0
    telling = _telling(run, f"drizzling × {scale:g}", picture.filter)
    pixels = picture.pixels
    pixels[picture.coverage == 0] = np.nan
    made = drizzle(
        _counted(sources, telling),
        picture.coverage.shape,
        scale=scale,
        pixfrac=run.job.pixfrac,
        reference=Reference(pixels),
    )
    cards: list[Card] = [
        ("DRZSCALE", scale, "drizzle: output pixels a pixel of the reference"),
        ("DRZPIXFR", run.job.pixfrac, "drizzle: side of a drop in pixels of a sub"),
    ]
    worst = max(made.holes)
    if worst > 0:
        cards.append(("DRZHOLES", round(worst, 6), "share of pixels filled from around"))
        run.tell(
            Said(
                message=f"{worst:.2%} of the drizzled pixels have no datum and are filled from around them; "
                "fewer with a larger --pixfrac, a smaller --drizzle, or more dithered subs",
                warning=worst > 0.01,
            )
        )
    return _image_of(picture, made), cards


def _image_of(picture: StackImage, made: Drizzled) -> StackImage:
    """A drizzle as a stack's picture; widths are in its own, finer pixels."""
    coverage = made.coverage if made.coverage.ndim == 2 else made.coverage.max(axis=2)
    return replace(
        picture,
        pixels=np.nan_to_num(filled(made), copy=False),
        coverage=coverage,
        fwhm_px=picture.fwhm_px * made.scale,
        rejected_fraction=made.rejected_fraction,
    )


def _counted(sources: Sequence[StoredSub], telling: Callable[[float], None]) -> Iterator[StoredSub]:
    for number, source in enumerate(sources):
        telling(number / len(sources))
        yield source


def _telling(run: StackRun, what: str, name: str | None) -> Callable[[float], None]:
    """Tell the share that is done and the time left; and stop if that is asked for."""
    started = perf_counter()

    def telling(share: float) -> None:
        run.check()
        left_s = (perf_counter() - started) * (1 - share) / share if share else None
        run.tell(Working(what=what, filter=name, share=share, left_s=left_s))

    return telling
