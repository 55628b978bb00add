"""What a screen shows of a night: frozen values, nothing but arithmetic in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import acquire.events as acq
from firstlight.events import CalibrationChosen, MasterBuilt, Restacking, Summary
from firstlight.pace import Pace, Series
from livestack.advice import Advice


class Phase(StrEnum):
    """What the night is doing."""

    WAITING = "waiting"
    COOLING = "cooling"
    SLEWING = "slewing"
    CALIBRATION = "calibration"
    LIGHTS = "lights"
    PAUSED = "paused"
    RECONNECTING = "reconnecting"
    CLOSING = "closing"
    FINISHING = "finishing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Exposure:
    """The exposure in progress."""

    step_id: str
    kind: str
    filter: str | None
    exposure_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Cooler:
    """The cooler now; ``power_percent`` is ``None`` where the driver does not say."""

    sensor_temp_c: float
    target_temp_c: float
    power_percent: float | None
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where the mount points or is going."""

    name: str
    ra_deg: float
    dec_deg: float


@dataclass(frozen=True, slots=True)
class Sub:
    """The verdict on one sub, with what is known of it; ``by`` says whose it is."""

    number: int
    frame_id: str
    filter: str | None
    accepted: bool
    reason: str = ""
    detail: str = ""
    fwhm_px: float | None = None
    noise_adu: float | None = None
    n_matches: int | None = None
    by: str = "stack"
    roundness: float | None = None
    stars: int | None = None
    background_adu: float | None = None
    transparency: float | None = None
    rms_px: float | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class FilterStack:
    """One filter's stack. ``noise``: (subs in the stack, ADU); ``fwhm``: (sub number, px)."""

    filter: str | None
    subs: int = 0
    exposure_s: float = 0.0
    fwhm_px: float | None = None
    noise_adu: float | None = None
    sub_noise_adu: float | None = None
    snr_gain: float | None = None
    rejected_fraction: float | None = None
    advice: Advice | None = None
    noise: Series = field(default_factory=Series)
    fwhm: Series = field(default_factory=Series)


@dataclass(frozen=True, slots=True)
class Picture:
    """The latest preview of a filter, or of the colours together (``None``); ``revision`` counts repaints."""

    filter: str | None
    path: str
    width: int
    height: int
    revision: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log."""

    time: datetime
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class NightState:
    """Everything a screen shows."""

    run: str = ""
    root: str = ""
    time: datetime | None = None
    activity: Phase = Phase.WAITING
    paused: bool = False
    lost: str | None = None
    plan_name: str = ""
    target_name: str | None = None
    lines: tuple[acq.SequenceLine, ...] = ()
    equipment: acq.EquipmentReady | None = None
    cooler: Cooler | None = None
    target: Target | None = None
    filter: str | None = None
    exposure: Exposure | None = None
    pace: Pace = field(default_factory=Pace)
    pace_mark: datetime | None = None
    subs: tuple[Sub, ...] = ()
    subs_accepted: int = 0
    subs_rejected: int = 0
    stacks: tuple[FilterStack, ...] = ()
    stack_queue: int = 0
    compiling: float | None = None
    """How far the compiler is, while it is at work for the stack."""

    restacking: tuple[Restacking, ...] = ()
    pictures: tuple[Picture, ...] = ()
    newest: Picture | None = None
    """The newest frame as it came; its filter is what is told of it."""

    masters: tuple[MasterBuilt, ...] = ()
    calibration: CalibrationChosen | None = None
    log: tuple[LogLine, ...] = ()
    closing: acq.Closing | None = None
    ending: acq.PlanEnded | None = None
    summary: Summary | None = None

    @property
    def phase(self) -> Phase:
        """What the night is doing, the most pressing thing first."""
        if self.summary:
            return Phase.ENDED
        if self.ending:
            return Phase.FINISHING
        if self.lost is not None:
            return Phase.RECONNECTING
        return Phase.PAUSED if self.paused else self.activity

    def number_of(self, frame_id: str) -> int | None:
        """The number that a sub has in every list."""
        return next((sub.number for sub in reversed(self.subs) if sub.frame_id == frame_id), None)

    @property
    def lights_done(self) -> int:
        """Lights that are durable, those of earlier runs of the plan included."""
        return sum(line.done for line in self.lines if line.kind == "light")

    @property
    def lights_wanted(self) -> int:
        """Lights that the plan wants in all."""
        return sum(line.wanted for line in self.lines if line.kind == "light")

    def line_left_s(self, line: acq.SequenceLine) -> float:
        """Seconds until a line is done, at the pace measured so far."""
        return max(line.wanted - line.done, 0) * self.pace.frame_s(line.exposure_s)

    @property
    def left_s(self) -> float:
        """Seconds until everything is shot, at the pace measured so far."""
        left = sum(self.line_left_s(line) for line in self.lines)
        if not self.exposure or not self.exposure.exposure_s:
            return left
        part = 1 - self.exposure.remaining_s / self.exposure.exposure_s
        return max(left - part * self.pace.frame_s(self.exposure.exposure_s), 0.0)
