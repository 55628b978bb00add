"""What a fault does to the mount's pointing and to the cooler, while it runs."""

from __future__ import annotations

import math
from typing import Any

from simulators.faults.injector import Injector

_SIDEREAL_DEG_PER_S = 360.98564736629 / 86_400


def true_place(faults: Injector, ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Where the telescope looks when the mount believes to be at this place, degrees."""
    if slip := faults.running("mount_slips"):
        dec_deg += slip.times * slip.fault.number("dec_arcsec") / 3600
        ra_deg += slip.times * slip.fault.number("ra_arcsec") / 3600 / math.cos(math.radians(dec_deg))
    if (still := faults.running("mount_stops_tracking")) and still.fault.parameters["silent"]:
        ra_deg += still.age_s * _SIDEREAL_DEG_PER_S
    return ra_deg % 360, min(max(dec_deg, -90.0), 90.0)


class FaultyCooler:
    """A cooler that stalls or drifts when the injector says so, and is the one it wraps otherwise."""

    def __init__(self, cooler: Any, faults: Injector) -> None:
        self._cooler = cooler
        self._faults = faults
        self._asked_s = 0.0
        self._stalled_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cooler, name)

    @property
    def temperature_c(self) -> float:
        """The sensor's temperature: the cooler's, and how far a drift has carried it off."""
        drift = self._faults.running("cooler_drifts")
        if drift is None:
            return float(self._cooler.temperature_c)
        lasts_s, rate = drift.fault.number("lasts_s"), drift.fault.number("rate_c_per_min")
        return float(self._cooler.temperature_c + rate / 60 * min(drift.age_s, lasts_s - drift.age_s))

    def advance(self, elapsed_s: float) -> float:
        """Let time pass, but for the time in which the cooler is stalled: there it stands still."""
        if self._faults.running("cooler_stalls"):
            self._stalled_s += max(elapsed_s - self._asked_s, 0.0)
        self._asked_s = max(self._asked_s, elapsed_s)
        self._cooler.advance(elapsed_s - self._stalled_s)
        return self.temperature_c
