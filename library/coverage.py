"""What matching answers: how well a frame is covered, by which master, and why by that one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from library.frames import FrameRecord


class Coverage(StrEnum):
    """How well a frame is covered for one purpose, best first."""

    EXACT = "exact"
    """Every field is the same, or unknown on both sides."""

    ACCEPTABLE = "acceptable"
    """It fits within the tolerances, or with something to say; the reasons say it."""

    MODELLED = "modelled"
    """No dark fits, and a dark model of these settings can synthesise one; the record is the model."""

    TEMPERATURE = "temperature"
    """A dark of the right settings and exposure but another temperature, or one that is not known: offered,
    never applied unasked."""

    INCOMPATIBLE = "incompatible"
    """There are masters of that kind, and none fits."""

    MISSING = "missing"
    """There is no master of that kind."""

    NOT_NEEDED = "not_needed"
    """Using one would be wrong or pointless."""


USABLE = frozenset({Coverage.EXACT, Coverage.ACCEPTABLE, Coverage.MODELLED})
"""What may be applied without asking."""


class Verdict(StrEnum):
    """How one field of a master compares with the frame's."""

    SAME = "same"
    """Equal, or unknown on both sides."""

    CUT = "cut"
    """The master covers the frame and more: its piece is cut out."""

    TURNED = "turned"
    """The master's rows lie the other way round: it is turned over."""

    WITHIN = "within"
    """Within the tolerance."""

    UNKNOWN = "unknown"
    """Known on one side only, which this field allows."""

    OUTSIDE = "outside"
    """Beyond the tolerance, or the range of a model, in a field that tells it and does not forbid it."""

    DIFFERS = "differs"
    """It rules the master out, also when it is known on one side only and this field forbids that."""


Value = str | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: what the frame has, what the master has, and what comes of it."""

    name: str
    wanted: Value
    found: Value
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """A master that does not fit, and each field that rules it out, in words."""

    record: FrameRecord
    ruled_out_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The master for one purpose, or ``None``, and why.

    ``residual_noise_adu`` is the noise (1 σ in one pixel) that it is expected to leave in the frame, ``None``
    where that cannot be known. ``fields`` compare the record, ``near_misses`` are others, nearest first.
    """

    record: FrameRecord | None
    coverage: Coverage
    reasons: tuple[str, ...]
    residual_noise_adu: float | None = None
    fields: tuple[Field, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the record may be applied without asking."""
        return self.coverage in USABLE

    @property
    def fitting(self) -> FrameRecord | None:
        """The record, if it may be applied without asking."""
        return self.record if self.usable else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What to calibrate one frame with. A bias is never offered beside a dark: the dark contains it."""

    dark: Match
    bias: Match
    flat: Match
    flat_dark: Match
    defects: Match
