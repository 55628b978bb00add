"""The comet, the stars, and both together, from subs that have their place on the stars.

Four passes, each in the memory of one stack. The stars with the comet smeared over them say what to leave out
of the first comet; this comet is subtracted from each sub to see the stars alone; these are subtracted to see
the comet alone. What is slow or wide, and thus in both, stays with the comet: nothing of its coma is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from library.mosaics import tall
from livestack.calibrate import settled_at
from livestack.comet import CORE_SIGMA, FAINT_SIGMA, Glow, less, masked, on_comet
from livestack.comet_motion import Motion
from livestack.engine import Sub
from livestack.errors import CometError
from livestack.masters import Masters
from livestack.placing import Placed
from livestack.stack import Calibrating, FilterStack, Founding, StackImage
from livestack.survey import counts
from measure.detection.picture import detect
from measure.stars import Stars

Plane = NDArray[np.float32]

_MOST_STARS = 5000
_SHARE_OF_WAY = 1 / 3
"""A star's disc is no wider than that, so that each place is free of it in most subs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CometSub:
    """A sub that can be opened again, its place on the stars, and the middle of its exposure."""

    open: Callable[[], Sub]
    placed: Placed
    when: datetime


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CometPictures:
    """Of one filter: on the comet, on the stars, and ``together`` (H, W[, 3]) at the motion's epoch."""

    comet: StackImage
    stars: StackImage
    together: Plane


def stack_comet(
    subs: Sequence[CometSub],
    founding: Founding,
    motion: Motion,
    told: Callable[[str, int, int], None] = lambda _stage, _done, _of: None,
) -> CometPictures:
    """Stack the subs of one filter on the comet and on the stars; ``told`` of stage and progress.

    ``founding`` is that of the stack in which the subs were placed. Raises :class:`CometError` without subs.
    """
    if not subs:
        raise CometError("no sub to stack on the comet")
    passes = _Passes(subs, founding, motion, told)
    smeared = passes.picture("stars", passes.plain())
    first = passes.picture("comet", passes.starless(smeared, subtract=False))
    stars = passes.picture("stars alone", passes.cometless(first))
    comet = passes.picture("comet alone", passes.starless(stars, subtract=True))
    head = np.where(_seen(comet), comet.pixels - _sky(comet), np.float32(0))
    return CometPictures(comet=comet, stars=stars, together=stars.pixels + head)


@dataclass(slots=True, eq=False)
class _Passes:
    subs: Sequence[CometSub]
    founding: Founding
    motion: Motion
    told: Callable[[str, int, int], None]

    def picture(self, stage: str, lights: Iterator[tuple[Calibrating, Placed]]) -> StackImage:
        """The stack of what a pass makes of the subs."""
        stack = FilterStack(self.founding)
        for done, (calibrating, placed) in enumerate(lights, 1):
            stack.add(calibrating, placed)
            self.told(stage, done, len(self.subs))
        return stack.snapshot()

    def plain(self) -> Iterator[tuple[Calibrating, Placed]]:
        """As they are, on the stars."""
        for one in self.subs:
            yield _opened(one), one.placed

    def starless(self, stars: StackImage, *, subtract: bool) -> Iterator[tuple[Calibrating, Placed]]:
        """On the comet, without the stars of a picture."""
        found = _stars_of(stars)
        flat = _above_sky(stars)
        ends = [self.motion.at(when) for when in _span(self.subs)]
        widest = _SHARE_OF_WAY * float(np.hypot(*(ends[1] - ends[0])))
        for one in self.subs:
            sub, placed = _opened(one), one.placed
            if subtract:
                sub, placed = _subtracted(sub, placed, flat)
            head = placed.warp.backwards(self.motion.at(one.when)[None])[0]
            sigma = CORE_SIGMA if subtract else FAINT_SIGMA
            glow = Glow.from_stack(found, placed)
            placed = masked(placed, glow, head, sub.shape, sigma=sigma, widest_px=widest)
            yield sub, on_comet(placed, self.motion, one.when)

    def cometless(self, comet: StackImage) -> Iterator[tuple[Calibrating, Placed]]:
        """On the stars, less the picture of the comet."""
        flat = _above_sky(comet)
        for one in self.subs:
            there = on_comet(one.placed, self.motion, one.when)
            sub, _ = _subtracted(_opened(one), there, flat)
            yield sub, replace(one.placed, patches=type(one.placed.patches)())


def _opened(one: CometSub) -> Calibrating:
    sub = one.open()
    return Calibrating(
        raw=counts(tall(sub.pixels)),
        masters=settled_at(sub.masters, one.placed.dark_factor, one.placed.shift_adu),
        bayer_pattern=one.placed.bayer_pattern,
        exposure_s=sub.meta.exposure_s,
    )


def _subtracted(sub: Calibrating, placed: Placed, picture: Plane) -> tuple[Calibrating, Placed]:
    pixels = less(sub.raw, sub.masters, placed, picture)
    return replace(sub, raw=pixels, masters=Masters()), replace(placed, patches=type(placed.patches)())


def _span(subs: Sequence[CometSub]) -> tuple[datetime, datetime]:
    times = [one.when for one in subs]
    return min(times), max(times)


def _stars_of(image: StackImage) -> Stars:
    mono = image.pixels if image.pixels.ndim == 2 else image.pixels.mean(axis=2)
    pixels = np.where(image.coverage > 0, mono, np.float32(np.nan))
    return detect(pixels, max_stars=_MOST_STARS).stars


def _sky(image: StackImage) -> Plane:
    """The level of each channel, where most subs overlap."""
    well = image.coverage >= 0.5 * image.coverage.max()
    return np.asarray(np.median(image.pixels[well], axis=0), np.float32)


def _seen(image: StackImage) -> NDArray[np.bool_]:
    seen = image.coverage > 0
    return seen if image.pixels.ndim == 2 else seen[..., None]


def _above_sky(image: StackImage) -> Plane:
    """A picture as (channels, H, W) without its sky, 0 where it shows nothing."""
    flat = np.where(_seen(image), image.pixels - _sky(image), np.float32(0))
    return np.ascontiguousarray(flat[None] if flat.ndim == 2 else np.moveaxis(flat, -1, 0))
