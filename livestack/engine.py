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
from livestack.calibrate import Calibrated, calibrate, saturation_level_adu
from livestack.debayer import PATTERNS, debayer, luminance
from livestack.errors import MismatchError
from livestack.events import SubAccepted, SubRejected
from livestack.geometry import Matrix, apply, rotation_deg
from livestack.masters import Masters
from livestack.normalise import transparency_scale
from livestack.resample import Registered, resample
from livestack.stack import FilterStack, StackImage, channel_noise
from measure.noise import background_noise
from measure.stars import Stars, detect, typical_fwhm_px

_NO_MASTERS = Masters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a live stack may be told. ``min_overlap`` is the share of the reference that a sub must cover."""

    min_stars: int = MIN_STARS
    min_overlap: float = 0.2
    max_dimming: float = 5.0
    """Stars fainter by more than this factor than in the first sub: the sub is cloud."""


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
    stage_seconds: dict[str, float]


@dataclass(slots=True)
class _Progress:
    """What is known of the sub in hand so far."""

    seconds: dict[str, float] = field(default_factory=dict)
    transform: Transform | None = None
    fwhm_px: float | None = None
    background_adu: float | None = None

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
    channels: int


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
            stage_seconds=done.seconds,
        )

    def snapshot(self, name: str | None) -> StackImage:
        """Return the stack of one filter as it stands. Raises KeyError for a filter that has none."""
        return self._stacks[name].snapshot()

    def _stack(self, sub: Sub, done: _Progress, started: float) -> SubAccepted:
        with done.stage("calibrate"):
            calibrated, pixels = _calibrated(sub)
        if self._reference is not None:
            _check_geometry(pixels, self._reference)
        with done.stage("detect"):
            image = luminance(pixels)
            invalid = ~np.isfinite(image)
            stars = detect(image, invalid=invalid, saturated=calibrated.saturated)
            background = float(np.median(image[~invalid])) if not invalid.all() else float("nan")
            done.fwhm_px, done.background_adu = typical_fwhm_px(stars), background
            if len(stars) < self._settings.min_stars:
                raise _NotThisOne(
                    "too few stars", f"{len(stars)} stars found, {self._settings.min_stars} are needed"
                )
        with done.stage("align"):
            reference, transform = self._aligned(stars, pixels)
            done.transform = transform
        with done.stage("resample"):
            grain = background_noise(image, ~invalid)
            registered = resample(pixels, transform.matrix, reference.shape, noise_adu=grain)
            overlap = float(registered.covered.mean())
            if overlap < self._settings.min_overlap:
                raise _NotThisOne("no overlap", f"it covers {overlap:.0%} of the reference")
        with done.stage("integrate"):
            noise = self._integrate(sub, stars, transform, registered, reference)
        self._reference = reference
        self._last_matrix = transform.matrix
        centre = np.array([[(reference.shape[1] - 1) / 2, (reference.shape[0] - 1) / 2]])
        return SubAccepted(
            frame_id=sub.frame_id,
            filter=sub.meta.filter,
            n_matches=transform.n_matches,
            rms_px=transform.rms_px,
            shift_px=float(np.hypot(*(apply(transform.matrix, centre) - centre)[0])),
            rotation_deg=rotation_deg(transform.matrix),
            fwhm_px=done.fwhm_px,
            background_adu=background,
            noise_adu=noise,
            seconds=perf_counter() - started,
        )

    def _aligned(self, stars: Stars, pixels: NDArray[np.float32]) -> tuple[_Reference, Transform]:
        if self._reference is None:
            own = np.arange(len(stars))
            itself = Transform(np.eye(3), 0.0, np.column_stack((own, own)))
            return _Reference(stars, pixels.shape[:2], pixels.ndim), itself
        found = find_transform(stars, self._reference.stars, self._last_matrix)
        if isinstance(found, Lost):
            raise _NotThisOne(found.reason, found.detail)
        return self._reference, found

    def _integrate(
        self, sub: Sub, stars: Stars, transform: Transform, registered: Registered, reference: _Reference
    ) -> float:
        """Normalise and add; return the sub's noise at the stack's scale, the mean of its channels."""
        pairs = transform.pairs
        stack = self._stacks.get(sub.meta.filter)
        if stack is None:
            flux = np.full(len(reference.stars), np.nan)
            usable = pairs[~stars.saturated[pairs[:, 0]]]
            flux[usable[:, 1]] = stars.flux[usable[:, 0]]
            stack = self._stacks[sub.meta.filter] = FilterStack(sub.meta.filter, registered, flux)
        else:
            scale = transparency_scale(stars, pairs, stack.reference_flux)
            if scale > self._settings.max_dimming:
                raise _NotThisOne("clouds", f"its stars are {scale:.1f} times fainter than the first sub's")
            scaled = registered.pixels * np.float32(scale)
            scaled += stack.level.offset(Registered(scaled, registered.covered))
            registered = Registered(scaled, registered.covered)
        noise = channel_noise(registered.pixels, registered.covered)
        stack.add(registered, noise, sub.meta.exposure_s)
        return float(np.mean(noise))


def _calibrated(sub: Sub) -> tuple[Calibrated, NDArray[np.float32]]:
    """Return the calibrated frame and its pixels in mono or colour."""
    raw, pattern = sub.pixels, sub.meta.bayer_pattern
    if raw.ndim != 2 or min(raw.shape) < 32:
        raise _NotThisOne("unreadable", f"a mono or Bayer frame has two long axes, this one is {raw.shape}")
    if pattern is not None and pattern not in PATTERNS:
        raise _NotThisOne("unreadable", f"its Bayer pattern {pattern!r} is none of {', '.join(PATTERNS)}")
    level = saturation_level_adu(raw) if sub.saturation_adu is None else sub.saturation_adu
    try:
        calibrated = calibrate(raw, sub.masters, saturation_adu=level, bayer_pattern=pattern)
    except MismatchError as error:
        raise _NotThisOne("geometry", str(error)) from error
    if not np.isfinite(calibrated.pixels).any():
        raise _NotThisOne("unreadable", "it holds no finite pixel")
    return calibrated, calibrated.pixels if pattern is None else debayer(calibrated.pixels, pattern)


def _check_geometry(pixels: NDArray[np.float32], reference: _Reference) -> None:
    height, width = pixels.shape[:2]
    if (height, width) != reference.shape:
        raise _NotThisOne(
            "geometry", f"it is {width}×{height}, the stack {reference.shape[1]}×{reference.shape[0]}"
        )
    if pixels.ndim != reference.channels:
        kinds = {2: "mono", 3: "colour"}
        raise _NotThisOne("geometry", f"it is {kinds[pixels.ndim]}, the stack {kinds[reference.channels]}")
