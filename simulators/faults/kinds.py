"""Every fault there is: its name, when it can happen, and what can be set about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from simulators.drivers import CAMERA

Value = float | str | bool


class Occasion(StrEnum):
    """When a fault can happen."""

    EXPOSURE = "exposure"
    ABORT = "abort of an exposure"
    FILTER = "filter change"
    SLEW = "slew"
    FOCUS = "focuser move"
    ANY = "any time"
    """Nobody's order: midway through an exposure, or at a time of its own (``at_s``)."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number within limits."""

    default: float
    low: float
    high: float = math.inf

    def check(self, value: object) -> Value:
        """The value; raises ``ValueError`` with what is allowed."""
        wrong = isinstance(value, bool) or not isinstance(value, int | float)
        if wrong or not self.low <= float(value) <= self.high:  # type: ignore[arg-type]  # a number by now
            limits = f"from {self.low:g} to {self.high:g}" if self.high < math.inf else f"≥ {self.low:g}"
            raise ValueError(f"a number {limits}")
        return float(value)  # type: ignore[arg-type]  # as above


@dataclass(frozen=True, slots=True)
class Word:
    """One of some words, or with none given any text."""

    default: str
    words: tuple[str, ...] = ()

    def check(self, value: object) -> Value:
        """The value; raises ``ValueError`` with what is allowed."""
        if not isinstance(value, str) or (self.words and value not in self.words):
            raise ValueError(" or ".join(f'"{word}"' for word in self.words) or "text")
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    default: bool

    def check(self, value: object) -> Value:
        """The value; raises ``ValueError`` with what is allowed."""
        if not isinstance(value, bool):
            raise ValueError("true or false")  # noqa: TRY004  # one error for every wrong value
        return value


Parameter = Number | Word | Flag


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault; ``_s`` in a parameter's name is simulated time, ``_real_s`` is the wall's."""

    name: str
    occasion: Occasion
    parameters: dict[str, Parameter] = field(default_factory=dict)


_ANY_DEVICE = Word(CAMERA)
_BACK = Number(2.0, 0.0, 3600.0)
_LASTS = Number(600.0, 0.0)
_LASTS_REAL = Number(5.0, 0.0)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("exposure_never_ends", Occasion.EXPOSURE),
        Kind("exposure_alert", Occasion.EXPOSURE),
        Kind("blob_lost", Occasion.EXPOSURE),
        Kind("blob_truncated", Occasion.EXPOSURE, {"keep_fraction": Number(0.5, 0.0, 0.999)}),
        Kind("blob_wrong_size", Occasion.EXPOSURE, {"declared_factor": Number(0.5, 0.001, 1000.0)}),
        Kind("blob_not_fits", Occasion.EXPOSURE),
        Kind("blob_wrong_binning", Occasion.EXPOSURE, {"binning": Number(2, 2, 4)}),
        Kind("blob_wrong_frame", Occasion.EXPOSURE, {"keep_fraction": Number(0.5, 0.01, 0.99)}),
        Kind("blob_duplicate", Occasion.EXPOSURE),
        Kind("blob_late", Occasion.EXPOSURE, {"delay_real_s": Number(2.0, 0.0)}),
        Kind("blob_after_abort", Occasion.ABORT, {"delay_real_s": Number(0.5, 0.0)}),
        Kind("light_leak", Occasion.EXPOSURE, {"e_per_s": Number(2.0, 0.0)}),
        Kind("cooler_stalls", Occasion.ANY, {"lasts_s": _LASTS}),
        Kind(
            "cooler_drifts",
            Occasion.ANY,
            {"lasts_s": _LASTS, "rate_c_per_min": Number(0.5, -20.0, 20.0)},
        ),
        Kind("temperature_unreadable", Occasion.ANY, {"lasts_s": _LASTS}),
        Kind("wheel_jams", Occasion.FILTER, {"state": Word("Busy", ("Busy", "Alert"))}),
        Kind("wheel_wrong_slot", Occasion.FILTER, {"off_by": Number(1, -20, 20)}),
        Kind("slew_never_settles", Occasion.SLEW, {"lasts_s": Number(math.inf, 0.0)}),
        Kind("slew_stops_short", Occasion.SLEW, {"short_deg": Number(3.0, 0.0, 180.0)}),
        Kind(
            "mount_slips",
            Occasion.ANY,
            {"ra_arcsec": Number(60.0, -36_000, 36_000), "dec_arcsec": Number(0.0, -36_000, 36_000)},
        ),
        Kind("mount_stops_tracking", Occasion.ANY, {"silent": Flag(default=False)}),
        Kind("focuser_hits_limit", Occasion.FOCUS),
        Kind("focuser_sticks", Occasion.FOCUS),
        Kind("device_disconnect", Occasion.ANY, {"device": _ANY_DEVICE}),
        Kind("driver_crash", Occasion.ANY, {"device": _ANY_DEVICE, "back_after_real_s": _BACK}),
        Kind("property_redefined", Occasion.ANY, {"device": _ANY_DEVICE, "property": Word("CCD_EXPOSURE")}),
        Kind(
            "message_flood",
            Occasion.ANY,
            {"device": _ANY_DEVICE, "messages": Number(2000, 1, 1_000_000)},
        ),
        Kind("server_gone", Occasion.ANY, {"back_after_real_s": _BACK}),
        Kind("connection_cut", Occasion.EXPOSURE, {"keep_fraction": Number(0.5, 0.0, 0.999)}),
        Kind("garbage_xml", Occasion.ANY, {"garbage": Word("<<<&& \x01 this is no </xml> ")}),
        Kind(
            "network_slow",
            Occasion.ANY,
            {"lasts_real_s": _LASTS_REAL, "bytes_per_s": Number(200_000, 1.0)},
        ),
        Kind(
            "network_latency",
            Occasion.ANY,
            {"lasts_real_s": _LASTS_REAL, "delay_real_s": Number(1.0, 0.0)},
        ),
        Kind("network_stalls", Occasion.ANY, {"lasts_real_s": _LASTS_REAL}),
        Kind("clock_jumps", Occasion.ANY, {"jump_s": Number(-3600.0, -1e9, 1e9)}),
    )
}
