"""``firstlight stack --comet``: where the comet was, by marks or by itself, and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from firstlight.errors import FirstlightError
from firstlight.stack_report import Said, Working
from firstlight.stack_run import StackRun
from library.cards import Card
from library.errors import LibraryError
from library.opening import resolved
from library.reading import read_frame, read_meta
from livestack.calibrate import settled_at
from livestack.comet_motion import Mark, Motion, Sightings, find_motion, middle_of, motion_by
from livestack.comet_stack import CometPictures, CometSub, stack_comet
from livestack.engine import Sub
from livestack.errors import LiveStackError
from livestack.look import look
from livestack.masters import saturation_level_adu
from livestack.restack import StoredSub
from livestack.stack import Founding
from livestack.survey import counts
from livestack.warp import Warp

AUTO = "auto"

_MOST_LOOKS = 120
_PASSES = 4


@dataclass(frozen=True, slots=True)
class Place:
    """The comet's middle in a light: ``x``, ``y`` in its pixels, the first one at 0."""

    x: float
    y: float
    path: Path


def comet_places(texts: Sequence[str]) -> tuple[Place, ...]:
    """Marks from ``X,Y@FILE``; none for ``auto``. Raises FirstlightError for what is neither."""
    if list(texts) == [AUTO]:
        return ()
    places = []
    for text in texts:
        numbers, _, path = text.partition("@")
        try:
            x, y = (float(number) for number in numbers.split(","))
        except ValueError:
            raise FirstlightError(
                f"--comet is X,Y@FILE, given twice or more, or {AUTO}; not {text}"
            ) from None
        places.append(Place(x, y, Path(path)))
    if len({resolved(place.path) for place in places}) < 2:
        raise FirstlightError(f"--comet wants the comet's place in two lights or more, or {AUTO}")
    return tuple(places)


class CometMode:
    """The comet of one command; all filters share its motion."""

    def __init__(self, run: StackRun, texts: Sequence[str]) -> None:
        self._run, self._marked = run, comet_places(texts)
        self._motion: Motion | None = None

    def pictures(
        self, name: str | None, sources: Sequence[StoredSub], founding: Founding
    ) -> tuple[CometPictures, list[Card]]:
        """Those of one filter, and what their headers say. Raises FirstlightError."""
        try:
            if self._motion is None:
                self._motion = self._found(name, sources)
            subs = [CometSub(open=_opening(one), placed=one.placed, when=_when(one.path)) for one in sources]
            made = stack_comet(subs, founding, self._motion, self._telling(name))
        except LiveStackError as error:
            raise FirstlightError(f"--comet: {error}") from error
        except LibraryError as error:
            raise FirstlightError(str(error)) from error
        return made, list(comet_cards(self._motion))

    def _found(self, name: str | None, sources: Sequence[StoredSub]) -> Motion:
        which = np.unique(np.linspace(0, len(sources) - 1, min(len(sources), _MOST_LOOKS)).astype(int))
        seen = []
        for done, i in enumerate(which, 1):
            self._run.check()
            seen.append(_seen(sources[i]))
            self._run.tell(
                Working(what="looking for the comet", filter=name, share=done / len(which), left_s=None)
            )
        marks = self._marks(name, sources)
        motion = motion_by(marks, seen) if marks else find_motion(seen)
        x, y = motion.coefficients[0]
        fast = float(np.hypot(*motion.coefficients[1]))
        place = f"the comet is at {x:.1f}, {y:.1f} of the reference at {motion.epoch:%Y-%m-%d %H:%M:%S}"
        self._run.tell(Said(message=f"{place} and moves {fast:.1f} px an hour"))
        return motion

    def _marks(self, name: str | None, sources: Sequence[StoredSub]) -> list[Mark]:
        """The marks on the reference. The lights marked may be of other filters."""
        wanted = {resolved(place.path) for place in self._marked}
        warps = {resolved(one.path): one.placed.warp for one in sources if resolved(one.path) in wanted}
        for other in self._run.work.names:
            if other != name and len(warps) < len(wanted):
                warps |= {path: warp for path, warp in self._warps(other).items() if path in wanted}
        marks = []
        for place in self._marked:
            warp = warps.get(resolved(place.path))
            if warp is None:
                raise FirstlightError(
                    f"--comet: {place.path} is none of the lights that were stacked; mark others"
                )
            there = warp.forwards(np.array([[place.x, place.y]]))[0]
            marks.append(Mark(_when(place.path), there))
        return marks

    def _warps(self, name: str | None) -> dict[Path, Warp]:
        kept = self._run.stack(name)
        found = {
            resolved(path): kept.placed(path).warp
            for path, entry in kept.entries.items()
            if entry.standing.inside
        }
        self._run.close(name)
        return found

    def _telling(self, name: str | None) -> Callable[[str, int, int], None]:
        started, stages = perf_counter(), list[str]()

        def telling(stage: str, done: int, of: int) -> None:
            self._run.check()
            if stage not in stages:
                stages.append(stage)
            share = (len(stages) - 1 + done / of) / _PASSES
            left_s = (perf_counter() - started) * (1 - share) / share
            self._run.tell(Working(what=f"comet: {stage}", filter=name, share=share, left_s=left_s))

        return telling


def comet_cards(motion: Motion) -> list[Card]:
    """Where the comet is in the picture, and how it moved."""
    (x, y), (vx, vy) = motion.coefficients[:2]
    stamp = motion.epoch.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return [
        ("COMETX", float(x) + 1, "[pixel] comet, the first pixel is 1"),
        ("COMETY", float(y) + 1, "[pixel] comet, the first pixel is 1"),
        ("COMETVX", float(vx), "[pixel/h] its motion over the stars"),
        ("COMETVY", float(vy), "[pixel/h] its motion over the stars"),
        ("COMETREF", stamp, "[UTC] when comet and stars stood so"),
    ]


def _opening(source: StoredSub) -> Callable[[], Sub]:
    def opened() -> Sub:
        frame = read_frame(source.path, in_adu=True)
        meta = replace(frame.meta, bayer_pattern=source.placed.bayer_pattern)
        return Sub(frame_id=source.name, pixels=frame.pixels, meta=meta, masters=source.masters)

    return opened


def _when(path: Path) -> datetime:
    when = middle_of(read_meta(path))
    if when is None:
        raise FirstlightError(
            f"{path} gives no DATE-OBS, so the comet's place in it is not known: --without it"
        )
    return when


def _seen(source: StoredSub) -> Sightings:
    raw = counts(read_frame(source.path, in_adu=True).pixels)
    placed = source.placed
    seen = look(
        raw,
        settled_at(source.masters, placed.dark_factor, placed.shift_adu),
        saturation_adu=saturation_level_adu(raw),
        bayer_pattern=placed.bayer_pattern,
    )
    return Sightings.of(_when(source.path), seen.stars, seen.extended, placed.warp)
