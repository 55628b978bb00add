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
from livestack.calibrate import settled
from livestack.dark_scaling import Scaling
from livestack.errors import MismatchError
from livestack.events import SubAccepted, SubRejected
from livestack.geometry import Matrix, rotation_deg
from livestack.look import Look, look
from livestack.masters import Masters, check_shapes, saturation_level_adu
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
    """What became of a sub: the event, and for the curious its transform and the seconds of each stage."""

    event: SubAccepted | SubRejected
    transform: Transform | None
    fwhm_px: float | None
    background_adu: float | None
    dark_scaling: Scaling | None
    stage_seconds: dict[str, float]


@dataclass(slots=True)
class _Progress:
    """What is known of the sub in hand so far."""

    seconds: dict[str, float] = field(default_factory=dict)
    transform: Transform | None = None
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


class _NotThisOne(Exception):  # noqa: N818  a verdict inside this module, never an error outside
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


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
            event = SubRejected(
                frame_id=sub.frame_id,
                filter=sub.meta.filter,
                reason=verdict.reason,
                detail=verdict.detail,
                seconds=perf_counter() - started,
            )
        return Outcome(
            event=event,
            transform=done.transform,
            fwhm_px=done.fwhm_px,
            background_adu=done.background_adu,
            dark_scaling=done.dark_scaling,
            stage_seconds=done.seconds,
        )

    def snapshot(self, name: str | None) -> StackImage:
        """Return the stack of one filter as it stands. Raises KeyError for a filter that has none."""
        return self._stacks[name].snapshot()

    def _stack(self, sub: Sub, done: _Progress, started: float) -> SubAccepted:
        with done.stage("look"):
            calibrating, seen = _seen(sub)
            done.dark_scaling = calibrating.dark_scaling
            shape, mosaic = calibrating.raw.shape, calibrating.bayer_pattern is not None
            if self._reference is not None:
                _check_geometry(shape, mosaic, self._reference)
            stars = seen.stars
            done.fwhm_px, done.background_adu = typical_fwhm_px(stars), seen.sky.median_adu
            if len(stars) < self._settings.min_stars:
                raise _NotThisOne(
                    "too few stars", f"{len(stars)} stars found, {self._settings.min_stars} are needed"
                )
        with done.stage("align"):
            reference = self._reference or _Reference(stars, shape, mosaic)
            transform = self._aligned(stars, reference)
            warp = transform.warp
            overlap = _overlap(warp, shape, reference.shape)
            if overlap < self._settings.min_overlap:
                raise _NotThisOne("no overlap", f"it covers {overlap:.0%} of the reference")
            done.transform = transform
        with done.stage("integrate"):
            noise = self._integrate(calibrating, sub.meta.filter, seen, transform, warp, reference)
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
            fwhm_px=done.fwhm_px,
            background_adu=done.background_adu,
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
        warp: Warp,
        reference: _Reference,
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
        noise = stack.add(sub, seen, warp, scale, fwhm_power=self._settings.fwhm_power)
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


def _check_geometry(shape: tuple[int, int], mosaic: bool, reference: _Reference) -> None:
    if shape != reference.shape:
        raise _NotThisOne(
            "geometry",
            f"it is {shape[1]}×{shape[0]}, the stack {reference.shape[1]}×{reference.shape[0]}",
        )
    if mosaic != reference.mosaic:
        kinds = {False: "mono", True: "colour"}
        raise _NotThisOne("geometry", f"it is {kinds[mosaic]}, the stack {kinds[reference.mosaic]}")
