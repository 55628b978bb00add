"""The live stack of one target: subs go in one at a time, a picture can be had at any time.

All filters share one geometry, that of the first good sub, so that their stacks lie on each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.frames import FrameMeta
from livestack.align import MIN_STARS, Lost, Transform, find_transform
from livestack.calibrate import settled, settled_at
from livestack.dark_scaling import Scaling
from livestack.errors import MismatchError
from livestack.events import SubAccepted, SubRejected
from livestack.geometry import Matrix, rotation_deg
from livestack.look import Look, look
from livestack.masters import Masters, check_shapes, saturation_level_adu
from livestack.placing import Placed
from livestack.stack import Calibrating, FilterStack, StackImage
from livestack.survey import counts
from livestack.tiling import corners
from livestack.warp import Warp
from measure.stars import Stars, typical_fwhm_px

PATTERNS = ("RGGB", "BGGR", "GBRG", "GRBG")

_NO_MASTERS = Masters()
_LEAST_SIDE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a live stack may be told. ``min_overlap`` is the share of the reference that a sub must cover."""

    min_stars: int = MIN_STARS
    min_overlap: float = 0.2
    max_dimming: float = 5.0
    """Stars fainter by more than this factor than in the first sub: the sub is cloud."""
    fwhm_power: float = 2.0
    """Weights go with FWHM to minus this power; 2 is best for faint stars, 0 for the smoothest sky."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sub:
    """A raw light: ``pixels`` (H, W) of any real type, row 0 as stored, and the masters that fit it."""

    frame_id: str
    pixels: NDArray[np.integer[Any] | np.floating[Any]]
    meta: FrameMeta
    masters: Masters = _NO_MASTERS
    saturation_adu: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What became of a sub: the event, and what was found on the way, as far as it went.

    With ``placed``, the sub can be stacked again without another look.
    """

    event: SubAccepted | SubRejected
    transform: Transform | None
    placed: Placed | None
    stars: Stars | None
    fwhm_px: float | None
    background_adu: float | None
    dark_scaling: Scaling | None
    stage_seconds: dict[str, float]


@dataclass(slots=True)
class _Progress:
    """What is known of the sub in hand so far."""

    seconds: dict[str, float] = field(default_factory=dict)
    transform: Transform | None = None
    placed: Placed | None = None
    stars: Stars | None = None
    fwhm_px: float | None = None
    background_adu: float | None = None
    dark_scaling: Scaling | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = perf_counter() - started


@dataclass(frozen=True, slots=True, eq=False)
class _Reference:
    stars: Stars
    shape: tuple[int, int]
    mosaic: bool

    @classmethod
    def of(cls, sub: Calibrating, seen: Look) -> _Reference:
        return cls(seen.stars, sub.raw.shape, sub.bayer_pattern is not None)


class _NotThisOne(Exception):  # noqa: N818  a verdict inside this module, never an error outside
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    def on(self, sub: Sub, seconds: float) -> SubRejected:
        return SubRejected(
            frame_id=sub.frame_id,
            filter=sub.meta.filter,
            reason=self.reason,
            detail=self.detail,
            seconds=seconds,
        )


class LiveStack:
    """Not for several threads at once: one thread adds subs and takes snapshots."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._stacks: dict[str | None, FilterStack] = {}
        self._reference: _Reference | None = None
        self._last_matrix: Matrix | None = None

    @property
    def filters(self) -> tuple[str | None, ...]:
        """The filters that have a stack, in order of first light."""
        return tuple(self._stacks)

    def add(self, sub: Sub) -> SubAccepted | SubRejected:
        """Calibrate, align and integrate one sub. A sub that doesn't fit is a value and changes nothing."""
        return self.process(sub).event

    def process(self, sub: Sub) -> Outcome:
        """Like ``add``, and tell more."""
        started = perf_counter()
        done = _Progress()
        event: SubAccepted | SubRejected
        try:
            event = self._stack(sub, done, started)
        except _NotThisOne as verdict:
            event = verdict.on(sub, perf_counter() - started)
        return Outcome(
            event=event,
            transform=done.transform,
            placed=done.placed,
            stars=done.stars,
            fwhm_px=done.fwhm_px,
            background_adu=done.background_adu,
            dark_scaling=done.dark_scaling,
            stage_seconds=done.seconds,
        )

    def refer_to(self, sub: Sub) -> SubRejected | None:
        """Let a sub that is not stacked itself set the geometry; to be called before the first is added."""
        done = _Progress()
        try:
            calibrating, seen = self._look(sub, done)
        except _NotThisOne as verdict:
            return verdict.on(sub, sum(done.seconds.values()))
        self._reference = _Reference.of(calibrating, seen)
        return None

    def again(self, sub: Sub, placed: Placed) -> None:
        """Stack a sub as it was placed before, of a filter that has a stack. Nothing is looked for."""
        calibrating = Calibrating(
            raw=counts(sub.pixels),
            masters=settled_at(sub.masters, placed.dark_factor),
            bayer_pattern=placed.bayer_pattern,
            exposure_s=sub.meta.exposure_s,
        )
        self._stacks[sub.meta.filter].add(calibrating, placed)
        self._last_matrix = placed.warp.matrix

    def snapshot(self, name: str | None) -> StackImage:
        """Return the stack of one filter as it stands. Raises KeyError for a filter that has none."""
        return self._stacks[name].snapshot()

    def _look(self, sub: Sub, done: _Progress) -> tuple[Calibrating, Look]:
        with done.stage("look"):
            calibrating, seen = _seen(sub)
            done.stars, done.dark_scaling = seen.stars, calibrating.dark_scaling
            done.fwhm_px, done.background_adu = typical_fwhm_px(seen.stars), seen.sky.median_adu
            if self._reference is not None:
                _check_geometry(_Reference.of(calibrating, seen), self._reference)
            if len(seen.stars) < self._settings.min_stars:
                raise _NotThisOne(
                    "too few stars", f"{len(seen.stars)} stars found, {self._settings.min_stars} are needed"
                )
        return calibrating, seen

    def _stack(self, sub: Sub, done: _Progress, started: float) -> SubAccepted:
        calibrating, seen = self._look(sub, done)
        with done.stage("align"):
            reference = self._reference or _Reference.of(calibrating, seen)
            transform = self._aligned(seen.stars, reference)
            warp = transform.warp
            overlap = _overlap(warp, calibrating.raw.shape, reference.shape)
            if overlap < self._settings.min_overlap:
                raise _NotThisOne("no overlap", f"it covers {overlap:.0%} of the reference")
            done.transform = transform
        with done.stage("integrate"):
            noise = self._integrate(calibrating, sub.meta.filter, seen, transform, reference, done)
        self._reference = reference
        self._last_matrix = transform.matrix
        centre = np.array([[(reference.shape[1] - 1) / 2, (reference.shape[0] - 1) / 2]])
        return SubAccepted(
            frame_id=sub.frame_id,
            filter=sub.meta.filter,
            n_matches=transform.n_matches,
            rms_px=transform.rms_px,
            shift_px=float(np.hypot(*(warp.forwards(centre) - centre)[0])),
            rotation_deg=rotation_deg(transform.matrix),
            fwhm_px=typical_fwhm_px(seen.stars),
            background_adu=seen.sky.median_adu,
            noise_adu=noise,
            seconds=perf_counter() - started,
        )

    def _aligned(self, stars: Stars, reference: _Reference) -> Transform:
        if self._reference is None:
            own = np.arange(len(stars))
            return Transform(np.eye(3), 0.0, np.column_stack((own, own)))
        found = find_transform(stars, reference.stars, self._last_matrix)
        if isinstance(found, Lost):
            raise _NotThisOne(found.reason, found.detail)
        return found

    def _integrate(
        self,
        sub: Calibrating,
        name: str | None,
        seen: Look,
        transform: Transform,
        reference: _Reference,
        done: _Progress,
    ) -> float:
        """Normalise and add; return the sub's noise at the stack's scale, the mean of its channels."""
        pairs = transform.pairs
        stack = self._stacks.get(name)
        if stack is None:
            flux = np.full(len(reference.stars), np.nan)
            usable = pairs[~seen.stars.saturated[pairs[:, 0]]]
            flux[usable[:, 1]] = seen.stars.flux[usable[:, 0]]
            stack = FilterStack(name, reference.shape, seen, sub.raw, flux)
        scale = stack.scale(seen, pairs)
        if scale > self._settings.max_dimming:
            raise _NotThisOne("clouds", f"its stars are {scale:.1f} times fainter than the first sub's")
        done.placed = stack.place(sub, seen, transform.warp, scale, fwhm_power=self._settings.fwhm_power)
        noise = stack.add(sub, done.placed, seen.mesh)
        self._stacks[name] = stack
        return noise


def _seen(sub: Sub) -> tuple[Calibrating, Look]:
    """Look at a sub, as uint16 or float32; what is no frame at all is told."""
    raw, pattern = sub.pixels, sub.meta.bayer_pattern
    if raw.ndim != 2 or min(raw.shape) < _LEAST_SIDE:
        raise _NotThisOne("unreadable", f"a mono or Bayer frame has two long axes, this one is {raw.shape}")
    if pattern is not None and pattern not in PATTERNS:
        raise _NotThisOne("unreadable", f"its Bayer pattern {pattern!r} is none of {', '.join(PATTERNS)}")
    try:
        check_shapes(sub.masters, raw.shape)
    except MismatchError as error:
        raise _NotThisOne("geometry", str(error)) from error
    level = saturation_level_adu(raw) if sub.saturation_adu is None else sub.saturation_adu
    frame = counts(raw)
    if frame.dtype.kind == "f" and not np.isfinite(frame).any():
        raise _NotThisOne("unreadable", "it holds no finite pixel")
    masters, scaling = settled(sub.masters, frame, level)
    seen = look(frame, masters, saturation_adu=level, bayer_pattern=pattern)
    calibrating = Calibrating(
        raw=frame,
        masters=masters,
        bayer_pattern=pattern,
        exposure_s=sub.meta.exposure_s,
        dark_scaling=scaling,
    )
    return calibrating, seen


def _overlap(warp: Warp, shape: tuple[int, int], reference: tuple[int, int]) -> float:
    """The share of the reference that a sub covers, tile by tile."""
    x, y = warp.backwards(corners(reference)).T
    covered = (x >= 0) & (y >= 0) & (x <= shape[1] - 1) & (y <= shape[0] - 1)
    return float(covered.mean())


def _check_geometry(sub: _Reference, reference: _Reference) -> None:
    if sub.shape != reference.shape:
        sizes = (f"{each.shape[1]}×{each.shape[0]}" for each in (sub, reference))
        raise _NotThisOne("geometry", "it is {}, the stack {}".format(*sizes))
    if sub.mosaic != reference.mosaic:
        kinds = {False: "mono", True: "colour"}
        raise _NotThisOne("geometry", f"it is {kinds[sub.mosaic]}, the stack {kinds[reference.mosaic]}")
