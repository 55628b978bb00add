"""What happens while a plan is shot. Times and the run's id are put on by whoever keeps the stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceLine:
    """One line of the plan: a kind, filter and exposure, and how far it is."""

    kind: str
    filter: str | None
    exposure_s: float
    wanted: int
    done: int
    temperature_c: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStarted:
    """The plan is about to be shot; ``done`` in its lines counts what an earlier run left durable."""

    plan_id: str
    plan_name: str
    target: str | None
    ra_deg: float | None
    dec_deg: float | None
    lines: tuple[SequenceLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentReady:
    """Every device that the plan needs is connected."""

    camera: str
    filter_wheel: str | None
    mount: str | None
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingProgress:
    """The cooler on its way, down or up (not journaled); ``left_s``: of the time it may take."""

    sensor_temp_c: float
    target_temp_c: float
    power_percent: float | None
    left_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingStarted:
    """The sensor is on its way to its temperature, which may take as long as ``timeout_s``."""

    sensor_temp_c: float | None
    target_temp_c: float
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """Something before the exposures failed and is tried again."""

    what: str
    reason: str
    attempt: int
    attempts: int
    retry_in_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingDone:
    """The sensor is at its temperature."""

    sensor_temp_c: float
    target_temp_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlewStarted:
    """The mount is on its way."""

    target: str
    ra_deg: float
    dec_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlewDone:
    """The mount has settled on the target."""

    target: str
    ra_deg: float
    dec_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSelected:
    """The wheel stands at this filter."""

    filter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureStarted:
    """The shutter is open."""

    step_id: str
    kind: str
    filter: str | None
    exposure_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureProgress:
    """How much of the exposure is left (not journaled)."""

    step_id: str
    kind: str
    filter: str | None
    exposure_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureFailed:
    """An exposure gave no frame; it is tried again while ``attempt`` < ``attempts``."""

    step_id: str
    reason: str
    attempt: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameStored:
    """The frame is durable: from here on it exists."""

    step_id: str
    frame_id: str
    kind: str
    filter: str | None
    exposure_s: float
    sensor_temp_c: float | None
    path: str
    temperature_c: float | None = None
    """What the sensor was brought to for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreWaiting:
    """A frame is in hand and cannot be made durable (a full disk); the runner keeps it and tries again."""

    step_id: str
    reason: str
    retry_in_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepGivenUp:
    """A step failed as often as the plan allows; the plan goes on without it."""

    step_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost:
    """The INDI server or a device went away; the runner waits for it."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRestored:
    """What went away is back."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPaused:
    """The plan waits at a frame boundary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanResumed:
    """The plan goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LightsOver:
    """No more lights will be shot, by the plan's own limits; ``left`` are not shot."""

    reason: str
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A device is brought to where it is left. ``action`` is "park", "stop tracking" or "warm up".

    ``outcome`` is "started", "done" or "failed", the last with its ``reason``.
    """

    action: str
    device: str
    outcome: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEnded:
    """Nothing more will be shot. ``outcome`` is "done", "stopped" or "failed"."""

    outcome: str
    reason: str | None


AcquireEvent = (
    PlanStarted
    | EquipmentReady
    | CoolingProgress
    | CoolingStarted
    | CoolingDone
    | Retrying
    | LightsOver
    | Closing
    | SlewStarted
    | SlewDone
    | FilterSelected
    | ExposureStarted
    | ExposureProgress
    | ExposureFailed
    | FrameStored
    | StoreWaiting
    | StepGivenUp
    | ConnectionLost
    | ConnectionRestored
    | PlanPaused
    | PlanResumed
    | PlanEnded
)
