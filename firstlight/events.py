"""The one stream: every event of every room, stamped, as JSON lines and back.

One line is one flat object: ``{"event": "frame_stored", "time": "2026-…Z", "run": "…", …fields}``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import acquire.events as acq
import livestack.events as stk
from firstlight.errors import FirstlightError
from livestack.advice import Advice


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The session process is up. ``resumed`` says that an earlier run on this root left frames."""

    version: str
    root: str
    pid: int
    resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A line for the log; ``level`` is "info", "warning" or "error"."""

    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterBuilt:
    """A master is durable and will be used."""

    kind: str
    path: str
    n_frames: int
    exposure_s: float | None
    filter: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterChoice:
    """What was chosen as "dark", "bias", "flat" or "defects", and why; without a path nothing is applied."""

    kind: str
    coverage: str
    path: str | None
    residual_noise_adu: float | None
    reasons: tuple[str, ...]
    sha256s: tuple[str, ...] = ()
    """Of the library's files behind it."""

    scaled_above: str | None = None
    """The bias within a dark that is scaled to each light; never subtracted by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationChosen:
    """From here on, the lights of a filter are calibrated so."""

    filter: str | None
    choices: tuple[MasterChoice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DarkScaled:
    """By how much a sub's dark was multiplied above its bias, with the error (1 σ).

    ``from_light`` says that the sub itself told it; else ``reason`` says why it did not.
    """

    frame_id: str
    filter: str | None
    factor: float
    error: float
    from_light: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackQueue:
    """How many durable lights still wait for the stacker (not journaled)."""

    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiling:
    """The stack's loops are compiled for this machine, once (not journaled); ``done`` goes from 0 to 1."""

    done: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameShown:
    """A frame as it came was painted, for the time before there is a stack (not journaled)."""

    kind: str
    filter: str | None
    exposure_s: float
    path: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubGraded:
    """What is thought of a sub now, with its numbers; told anew whenever that changes.

    ``inside``: it belongs into the stack. ``by`` is whose verdict that is: the "stack" itself (a sub that
    cannot be stacked), the grading "rules", its "weight" beside the others', or the user's "hand". ``reason``
    is empty where there is nothing against it. ``roundness`` is 1 for round stars, ``transparency`` and
    ``weight`` are 1 for the filter's first sub; None: not measured.
    """

    frame_id: str
    filter: str | None
    inside: bool
    by: str
    reason: str
    fwhm_px: float | None = None
    roundness: float | None = None
    stars: int | None = None
    background_adu: float | None = None
    noise_adu: float | None = None
    transparency: float | None = None
    rms_px: float | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restacking:
    """A stack is being made anew in the background, the old one shown meanwhile (not journaled).

    ``done`` goes from 0 to 1; then the new one takes the old one's place.
    """

    filter: str | None
    done: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceGiven:
    """What the numbers of one filter's stack advise."""

    filter: str | None
    advice: Advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a command that wanted to know, by its ``token`` (not journaled)."""

    token: str
    refused: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSummary:
    """One filter's stack as the night left it."""

    filter: str
    fits: str
    preview: str
    subs: int
    exposure_s: float
    fwhm_px: float | None
    noise_adu: float
    snr_gain: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterSummary:
    """One master as the night left it."""

    kind: str
    path: str
    n_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The last event of a night, or of a run without lights: what that has of its plan is ``frames``."""

    outcome: str
    subs_shot: int
    subs_accepted: int
    subs_rejected: int
    stacks: tuple[StackSummary, ...]
    masters: tuple[MasterSummary, ...]
    colour_preview: str | None
    seconds: float
    frames: int | None = None
    frames_missing: int = 0


Event = (
    acq.AcquireEvent
    | stk.LiveStackEvent
    | RunStarted
    | Log
    | MasterBuilt
    | CalibrationChosen
    | DarkScaled
    | StackQueue
    | Compiling
    | FrameShown
    | SubGraded
    | Restacking
    | AdviceGiven
    | Answer
    | Summary
)

EPHEMERAL = (acq.CoolingProgress, acq.ExposureProgress, StackQueue, Compiling, FrameShown, Restacking, Answer)
"""Events that are shown and not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """An event with the UTC time it was taken into the stream and the run it belongs to."""

    time: datetime
    run: str
    event: Event


def _name(cls: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


_TYPES: dict[str, type] = {_name(cls): cls for cls in typing.get_args(Event)}


def encode(stamped: Stamped) -> str:
    """One line of JSON, without the newline."""
    time = stamped.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"event": _name(type(stamped.event)), "time": time, "run": stamped.run}
    return json.dumps(head | dataclasses.asdict(stamped.event), allow_nan=False, ensure_ascii=False)


def decode(line: str | bytes) -> Stamped:
    """Inverse of :func:`encode`.

    Raises :class:`FirstlightError` for a line that is no event. Fields this version does not know are
    passed over, so that an older screen can follow a newer night.
    """
    try:
        data: dict[str, Any] = json.loads(line)
        cls = _TYPES[data["event"]]
        return Stamped(
            time=datetime.fromisoformat(data["time"]).astimezone(UTC),
            run=str(data["run"]),
            event=_build(cls, data),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FirstlightError(f"not an event of this program: {line[:120]!r} ({error})") from error


def _build(cls: type, data: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    values = {
        field.name: _value(hints[field.name], data[field.name])
        for field in dataclasses.fields(cls)
        if field.name in data
    }
    return cls(**values)


def _value(hint: Any, value: Any) -> Any:
    """Make lists tuples again, and objects the dataclasses they were."""
    if typing.get_origin(hint) is tuple:
        return tuple(_value(typing.get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _build(typing.cast(type, hint), value)
    if value is None and types.NoneType in (hint, *typing.get_args(hint)):
        return value
    if typing.get_origin(hint) in {types.UnionType, typing.Union}:
        kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        if len(kinds) == 1:
            return _value(kinds[0], value)
        kinds = [kind for kind in kinds if isinstance(kind, type)]
        if kinds and not any(_fits(kind, value) for kind in kinds):
            raise TypeError(f"{value!r} is no {hint}")
        return value
    if isinstance(hint, type) and not _fits(hint, value):
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return float(value) if hint is float else value


def _fits(kind: type, value: Any) -> bool:
    """Whether JSON's value can be that of a field; kinds that JSON does not have are not judged."""
    if value is None:
        return False
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) < math.inf
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind) if kind in {str, bool} else True
