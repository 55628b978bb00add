"""Which devices an observatory has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulators.clock import SimClock
from simulators.drivers.base import SimDriver
from simulators.drivers.camera import CameraDriver
from simulators.drivers.focuser import FocuserDriver
from simulators.drivers.mount import MountDriver
from simulators.drivers.panel import PanelDriver
from simulators.drivers.replay import ReplayDriver
from simulators.drivers.wheel import WheelDriver
from simulators.heavens.atmosphere import Conditions
from simulators.profiles import profile
from simulators.replay import Recorded, RecordingError, read_recording
from simulators.sensor import SensorProfile


class EquipmentError(Exception):
    """Equipment that there is not; the text says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """``None`` for the camera is the demo's; a recording takes its place."""

    camera: SensorProfile | None = None
    recording: tuple[Recorded, ...] = ()
    altaz: bool = False
    conditions: Conditions | None = None
    """``None``: a clear dark sky without air, always and everywhere, as the demo has it."""

    def drivers(self, clock: SimClock, seed: int, truth: Path | None) -> tuple[SimDriver, ...]:
        """One driver a device. Rotator, weather, dome and guider will join here."""
        camera = (
            ReplayDriver(clock, seed, truth, self.recording)
            if self.recording
            else CameraDriver(clock, seed, truth, self.camera, self.conditions)
        )
        mount = MountDriver(clock, altaz=self.altaz)
        return camera, WheelDriver(clock), mount, FocuserDriver(clock), PanelDriver(clock)


def equipment(
    *,
    camera: str | None = None,
    replay: Path | None = None,
    altaz: bool = False,
    conditions: Conditions | None = None,
) -> Equipment:
    """The equipment that these words of a command line mean.

    :raises EquipmentError: with the reason, for the user.
    """
    if camera is not None and replay is not None:
        raise EquipmentError("--camera and --replay exclude each other: a recording is a camera of its own")
    try:
        return Equipment(
            camera=None if camera is None else profile(camera),
            recording=() if replay is None else tuple(read_recording(replay)),
            altaz=altaz,
            conditions=conditions,
        )
    except (ValueError, RecordingError) as error:
        raise EquipmentError(str(error)) from error
