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
from library.mosaics import RGB, tall, unusable
from livestack.align import MIN_STARS, Lost, Transform, find_transform
from livestack.calibrate import settled, settled_at
from livestack.comet import live_comet
from livestack.comet_motion import Motion, middle_of
from livestack.dark_scaling import Scaling
from livestack.demosaics import DEFAULT, Demosaic
from livestack.errors import MismatchError
from livestack.events import SubAccepted, SubRejected
from livestack.geometry import rotation_deg, size
from livestack.look import Look, look
from livestack.masters import Masters, check_shapes, saturation_level_adu
from livestack.normalise import transparency_scale
from livestack.placing import Interpolation, Placed
from livestack.setups import Habit, Setup
from livestack.stack import Calibrating, FilterStack, Founding, StackImage
from livestack.survey import counts
from livestack.warp import Warp
from measure.stars import Stars, typical_fwhm_px

_NO_MASTERS = Masters()
_LEAST_SIDE = 32
_SAMPLES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a live stack may be told.

    ``min_overlap`` is the share of the smaller field, a sub's or the reference's, that both must show.
    """

    min_stars: int = MIN_STARS
    min_overlap: float = 0.2
    max_dimming: float = 5.0
    """Stars fainter by more than this factor than in the setup's best sub, second by second: it is cloud."""
    fwhm_power: float = 2.0
    """Weights go with FWHM to minus this power; 2 is best for faint stars, 0 for the smoothest sky."""
    comet: Motion | None = None
    """The picture follows a comet that moves so over the reference, and stars are left out."""
    demosaic: Demosaic = DEFAULT
    interpolation: Interpolation | None = None
    """None: Lanczos-4 for mono, bicubic for demosaiced frames."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sub:
    """A light: ``pixels`` (H, W) of any real type, row 0 as stored, and the masters that fit it.

    A light of three planes is (H, W, 3), and ``masters`` are made for them one below the other (3 H, W).
    """

    frame_id: str
    pixels: NDArray[np.integer[Any] | np.floating[Any]]
    meta: FrameMeta
    masters: Masters = _NO_MASTERS
    saturation_adu: float | None = None
    overscan_adu: float | None = None
    """The level of its overscan, if it has one."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what it shows."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What became of a sub: the event, and what was found on the way, as far as it went.

    With ``placed``, the sub can be stacked again without another look.
    """

    event: SubAccepted | SubRejected
    transform: Transform | None
    placed: Placed | None
    overlap: float | None
    """The share of the smaller field, its own or the reference's, that both show."""

    stars: Stars | None
    extended: Stars | None
    """What is wider than a star: galaxies, a comet."""

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
    overlap: float | None = None
    stars: Stars | None = None
    extended: Stars | None = None
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """The geometry of a live stack: the stars of the sub that set it, and its shape (height, width)."""

    frame_id: str
    stars: Stars
    shape: tuple[int, int]

    @classmethod
    def by(cls, frame_id: str, sub: Calibrating, seen: Look) -> Reference:
        """That which a sub sets."""
        return cls(frame_id=frame_id, stars=seen.stars, shape=sub.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Basis:
    """What the first subs settled; with it and the place of each sub a stack can be made again.

    ``habits`` say where the next one of each setup is looked for first.
    """

    reference: Reference | None = None
    foundings: tuple[Founding, ...] = ()
    habits: tuple[Habit, ...] = ()


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
        self._reference: Reference | None = None
        self._habits: dict[Setup, Habit] = {}

    @property
    def filters(self) -> tuple[str | None, ...]:
        """The filters that have a stack, in order of first light."""
        return tuple(self._stacks)

    def add(self, sub: Sub) -> SubAccepted | SubRejected:
        """Calibrate, align and integrate one sub. A sub that doesn't fit is a value and changes nothing."""
        return self.process(sub).event

    def process(self, sub: Sub) -> Outcome:
        """Like ``add``, and tell more."""
        return self._outcome(sub, stacked=True)

    def place(self, sub: Sub) -> Outcome:
        """Calibrate and align one sub without stacking it, which :meth:`again` can do at any time.

        The noise told is that of its raw pixels.
        """
        return self._outcome(sub, stacked=False)

    def _outcome(self, sub: Sub, *, stacked: bool) -> Outcome:
        started = perf_counter()
        done = _Progress()
        event: SubAccepted | SubRejected
        try:
            event = self._accepted(sub, done, started, stacked=stacked)
        except _NotThisOne as verdict:
            event = verdict.on(sub, perf_counter() - started)
        return Outcome(
            event=event,
            transform=done.transform,
            placed=done.placed,
            overlap=done.overlap,
            stars=done.stars,
            extended=done.extended,
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
        self._reference = Reference.by(sub.frame_id, calibrating, seen)
        return None

    def again(self, sub: Sub, placed: Placed) -> float:
        """Stack a sub as it was placed before, of a filter that has a stack. Nothing is looked for.

        Returns its noise at the stack's scale, the mean of its channels.
        """
        calibrating = Calibrating(
            raw=counts(tall(sub.pixels)),
            masters=settled_at(sub.masters, placed.dark_factor, placed.shift_adu),
            bayer_pattern=placed.bayer_pattern,
            exposure_s=sub.meta.exposure_s,
        )
        return self._stacks[sub.meta.filter].add(calibrating, placed)

    @property
    def basis(self) -> Basis:
        """What this stack rests on; :meth:`resting_on` goes on from there."""
        return Basis(
            reference=self._reference,
            foundings=tuple(stack.founding for stack in self._stacks.values()),
            habits=tuple(self._habits.values()),
        )

    @classmethod
    def resting_on(cls, basis: Basis, settings: Settings | None = None) -> LiveStack:
        """A stack of no subs yet that takes them as the one did whose ``basis`` it is."""
        live = cls(settings)
        live._reference = basis.reference
        live._habits = {habit.setup: habit for habit in basis.habits}
        live._stacks = {founding.filter: FilterStack(founding) for founding in basis.foundings}
        return live

    def stack_of(self, name: str | None) -> FilterStack:
        """The stack of one filter, to be cleared or filled again. Raises KeyError for one that has none."""
        return self._stacks[name]

    def snapshot(self, name: str | None) -> StackImage:
        """Return the stack of one filter as it stands. Raises KeyError for a filter that has none."""
        return self._stacks[name].snapshot()

    def _look(self, sub: Sub, done: _Progress) -> tuple[Calibrating, Look]:
        with done.stage("look"):
            calibrating, seen = _seen(sub)
            done.stars, done.extended = seen.stars, seen.extended
            done.dark_scaling = calibrating.dark_scaling
            done.fwhm_px, done.background_adu = typical_fwhm_px(seen.stars), seen.sky.median_adu
            if len(seen.stars) < self._settings.min_stars:
                raise _NotThisOne(
                    "too few stars", f"{len(seen.stars)} stars found, {self._settings.min_stars} are needed"
                )
        return calibrating, seen

    def _accepted(self, sub: Sub, done: _Progress, started: float, *, stacked: bool) -> SubAccepted:
        calibrating, seen = self._look(sub, done)
        with done.stage("align"):
            reference = self._reference or Reference.by(sub.frame_id, calibrating, seen)
            setup = Setup.of(sub.meta, calibrating.shape)
            habit = self._habits.get(setup)
            transform = self._aligned(seen.stars, reference, habit)
            warp = transform.warp
            overlap = shared_field(warp, calibrating.shape, reference.shape)
            if overlap < self._settings.min_overlap:
                raise _NotThisOne("no overlap", f"only {overlap:.0%} of the smaller field is on both")
            done.transform, done.overlap = transform, overlap
            stack, placed = self._placed(sub, calibrating, seen, transform, reference, habit)
            done.placed = placed
            if stacked and not stack.planes.takes(placed.weight_class):
                raise _NotThisOne("weight", "its weight is too far from those of the other subs")
        noise = placed.scale * placed.noise_adu
        if stacked:
            with done.stage("integrate"):
                noise = stack.add(calibrating, placed)
        self._stacks[sub.meta.filter] = stack
        self._reference = reference
        known = habit or Habit(setup, transform.matrix, {})
        self._habits[setup] = known.then(sub.meta.filter, transform.matrix, placed.scale, sub.meta.exposure_s)
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

    def _aligned(self, stars: Stars, reference: Reference, habit: Habit | None) -> Transform:
        if self._reference is None:
            own = np.arange(len(stars))
            return Transform(np.eye(3), 0.0, np.column_stack((own, own)))
        found = find_transform(stars, reference.stars, None if habit is None else habit.matrix)
        if isinstance(found, Lost):
            raise _NotThisOne(found.reason, found.detail)
        return found

    def _placed(
        self,
        sub: Sub,
        calibrating: Calibrating,
        seen: Look,
        transform: Transform,
        reference: Reference,
        habit: Habit | None,
    ) -> tuple[FilterStack, Placed]:
        """The stack that a sub belongs to, be it a new one, and how it goes in."""
        name, pairs, warp = sub.meta.filter, transform.pairs, transform.warp
        area = size(warp.matrix) ** 2
        stack = self._stacks.get(name)
        scale: float | None = None
        if stack is None:
            flux = np.full(len(reference.stars), np.nan)
            usable = pairs[~seen.stars.saturated[pairs[:, 0]]]
            flux[usable[:, 1]] = area * seen.stars.flux[usable[:, 0]]
            stack = FilterStack(
                Founding.by(
                    *(sub.frame_id, name, calibrating, seen, warp),
                    shape=reference.shape,
                    reference_flux=flux,
                )
            )
        else:
            _check_channels(calibrating, stack)
            known = None if habit is None else habit.scale(name, sub.meta.exposure_s)
            fluxes = stack.founding.reference_flux
            scale = transparency_scale(seen.stars, pairs, fluxes, area=area, otherwise=known or 1.0)
            usual = known or scale
            if scale > self._settings.max_dimming * usual:
                dimming = f"{scale / usual:.1f} times fainter than the best sub's"
                raise _NotThisOne("clouds", f"its stars are {dimming}")
        placed = stack.place(
            *(calibrating, seen, warp, scale),
            fwhm_power=self._settings.fwhm_power,
            demosaic=self._settings.demosaic,
            interpolation=self._settings.interpolation,
        )
        return stack, self._on_comet(sub, placed, calibrating.shape, seen.stars, reference.stars)

    def _on_comet(
        self, sub: Sub, placed: Placed, shape: tuple[int, int], own: Stars, reference: Stars
    ) -> Placed:
        motion, when = self._settings.comet, middle_of(sub.meta)
        if motion is None:
            return placed
        if when is None:
            raise _NotThisOne("no time", "its header gives no DATE-OBS, so the comet's place is not known")
        return live_comet(placed, motion, when, shape, own, reference)


def _seen(sub: Sub) -> tuple[Calibrating, Look]:
    """Look at a sub, as uint16 or float32; what is no frame at all is told."""
    raw, pattern = sub.pixels, sub.meta.bayer_pattern
    if raw.ndim not in {2, 3} or min(raw.shape[:2]) < _LEAST_SIDE or raw.shape[2:] not in {(), (3,)}:
        raise _NotThisOne(
            "unreadable", f"a frame has two long axes, and three planes at most; this one is {raw.shape}"
        )
    if raw.ndim == 3:
        raw, pattern = tall(raw), RGB
    elif (reason := unusable(pattern)) is not None:
        raise _NotThisOne("unreadable", reason)
    try:
        check_shapes(sub.masters, raw.shape)
    except MismatchError as error:
        raise _NotThisOne("geometry", str(error)) from error
    level = saturation_level_adu(raw) if sub.saturation_adu is None else sub.saturation_adu
    frame = counts(raw)
    if frame.dtype.kind == "f" and not np.isfinite(frame).any():
        raise _NotThisOne("unreadable", "it holds no finite pixel")
    masters, scaling = settled(sub.masters, frame, level, sub.overscan_adu)
    seen = look(frame, masters, saturation_adu=level, bayer_pattern=pattern)
    calibrating = Calibrating(
        raw=frame,
        masters=masters,
        bayer_pattern=pattern,
        exposure_s=sub.meta.exposure_s,
        dark_scaling=scaling,
    )
    return calibrating, seen


def shared_field(warp: Warp, shape: tuple[int, int], reference: tuple[int, int]) -> float:
    """The share of the smaller field, a sub's of ``shape`` or the reference's, that both show."""
    on_sub = _inside(warp.backwards(_spread(reference)), shape)
    on_reference = _inside(warp.forwards(_spread(shape)), reference)
    return max(on_sub, on_reference)


def _spread(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Places (N, 2) all over a frame."""
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    return np.stack(np.meshgrid(steps * shape[1], steps * shape[0]), axis=-1).reshape(-1, 2) - 0.5


def _inside(places: NDArray[np.float64], shape: tuple[int, int]) -> float:
    return float(((places >= 0) & (places <= np.array(shape[::-1]) - 1)).all(axis=1).mean())


def _check_channels(sub: Calibrating, stack: FilterStack) -> None:
    mosaic, colour = sub.bayer_pattern is not None, stack.founding.mesh.levels.shape[0] > 1
    if mosaic != colour:
        name, kinds = stack.founding.filter or "no filter", {False: "mono", True: "colour"}
        raise _NotThisOne("geometry", f"it is {kinds[mosaic]}, the stack of {name} {kinds[colour]}")
