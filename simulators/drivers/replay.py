"""The camera that plays a recorded night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simulators.camera import Shot
from simulators.clock import SimClock
from simulators.drivers.base import RefusedError
from simulators.drivers.camera import CameraDriver
from simulators.fitsfile import Snooped
from simulators.replay import Recorded
from simulators.sensor import SensorProfile

_UNKNOWN_PIXEL_UM = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A line of the sidecar: which file a frame was."""

    number: int
    kind: str
    file: str
    elapsed_s: float
    """When its exposure began here, simulated seconds."""


class ReplayDriver(CameraDriver):
    """Each exposure is the next frame of its kind, byte for byte, no sooner than it came when recorded.

    A file without a kind is a light. What was asked of gain, temperature or exposure changes nothing in it.
    """

    def __init__(self, clock: SimClock, seed: int, truth: Path | None, recording: Sequence[Recorded]) -> None:
        first = recording[0]
        profile = replace(
            SensorProfile(),
            width=first.width,
            height=first.height,
            pixel_um=first.pixel_um or _UNKNOWN_PIXEL_UM,
        )
        super().__init__(clock, seed, truth, profile)
        self.handlers |= {"CCD_FRAME": self._as_recorded, "CCD_BINNING": self._as_recorded}
        self._left = {
            kind: [frame for frame in recording if frame.kind == kind]
            for kind in ("LIGHT", "BIAS", "DARK", "FLAT")
        }
        self._last: tuple[Recorded, float] | None = None
        """The frame before, and when it began here."""

    async def _as_recorded(self, _event: Any) -> None:
        raise RefusedError("a recorded frame cannot be cut or binned")

    def _takes_s(self, exposure_s: float, kind: str) -> float:
        """With the wait for the time at which the frame was begun, counted from the one before."""
        if not self._left[kind]:
            raise RefusedError(f"the recording has no more frames of kind {kind}")
        frame = self._left[kind][0]
        now_s = begins_s = self.clock.elapsed_s()
        if self._last is not None and frame.started and self._last[0].started:
            gap_s = (frame.started - self._last[0].started).total_seconds()
            begins_s = max(now_s, self._last[1] + gap_s)
        self._last = frame, begins_s
        return begins_s - now_s + exposure_s

    def _make(self, shot: Shot, snooped: Snooped) -> tuple[bytes, Replayed]:  # noqa: ARG002  # as the base
        frame = self._left[shot.kind].pop(0)
        began_s = self._last[1] if self._last else shot.started_elapsed_s
        return frame.content(), Replayed(
            number=shot.number, kind=shot.kind, file=frame.path.name, elapsed_s=began_s
        )
