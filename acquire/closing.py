"""The end of a night: what each device is left as, in the order that is safe.

The mount comes first: one that tracks on runs into its pier, a warm sensor harms nobody. The sensor is warmed
slowly, so that nothing condenses on it, and its cooler switched off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from acquire import events
from acquire.devices import CoolerStatus, Mount, Observatory
from acquire.errors import DeviceError
from acquire.plan import Plan


class Closing:
    """Leaves the devices as the plan says; what fails is told, and the rest is done all the same."""

    def __init__(self, plan: Plan, devices: Observatory, emit: Callable[[events.AcquireEvent], None]) -> None:
        self._plan, self._devices, self._emit = plan, devices, emit
        self._mount_rests = False

    async def rest_mount(self) -> None:
        """Park the mount, or stop it, once; one that the plan does not point is left alone."""
        mount, wish = self._devices.mount, self._plan.end.mount
        if mount is None or self._plan.target is None or wish == "leave" or self._mount_rests:
            return
        self._mount_rests = True
        parked = wish == "park" and await self._do("park", mount.name, lambda: self._park(mount))
        if not parked:
            await self._do("stop tracking", mount.name, mount.stop_tracking)

    def mount_moves(self) -> None:
        """Take note that the mount has been pointed since."""
        self._mount_rests = False

    async def close(self) -> None:
        """Bring everything to its rest. Cancelling it ends the warming and switches the cooler off."""
        await self.rest_mount()
        camera, end = self._devices.camera, self._plan.end
        if end.cooler == "warm" and self._plan.temperatures_c and camera.has_cooler:
            await self._do("warm up", camera.name, lambda: camera.warm_up(end.warm_c_per_min, self._warming))

    async def _park(self, mount: Mount) -> None:
        if not await mount.park():
            raise DeviceError(f"{mount.name} cannot park")

    def _warming(self, status: CoolerStatus, goal_c: float) -> None:
        self._emit(
            events.CoolingProgress(
                sensor_temp_c=status.sensor_temp_c, target_temp_c=goal_c, power_percent=status.power_percent
            )
        )

    async def _do(self, action: str, device: str, act: Callable[[], Awaitable[None]]) -> bool:
        self._emit(events.Closing(action=action, device=device, outcome="started"))
        try:
            await act()
        except DeviceError as error:
            self._emit(events.Closing(action=action, device=device, outcome="failed", reason=str(error)))
            return False
        self._emit(events.Closing(action=action, device=device, outcome="done"))
        return True
