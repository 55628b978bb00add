"""An INDI mount."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from acquire.altitude import Site
from acquire.clock import Clock
from acquire.coordinates import icrs_to_jnow, separation_deg
from acquire.errors import DeviceError
from acquire.indi.device import IndiDevice
from acquire.indi.mirror import Link

_NEAR_DEG = 0.25
_COORDINATES = "EQUATORIAL_EOD_COORD"
_PARK, _TRACK = "TELESCOPE_PARK", "TELESCOPE_TRACK_STATE"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class IndiMount(IndiDevice):
    """Implements :class:`acquire.devices.Mount`. INDI's coordinates are those of the equinox of date."""

    ROLE = _COORDINATES

    def __init__(
        self,
        link: Link,
        name: str,
        clock: Clock,
        settle_s: float = 0.0,
        timeout_s: float = 600.0,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        super().__init__(link, name)
        self._clock = clock
        self._settle_s = settle_s
        self._timeout_s = timeout_s
        self._now = now

    @property
    def site(self) -> Site | None:
        """Where it stands; ``None`` if the driver has not been told (0°, 0° is what it has then)."""
        latitude, longitude = (self.number("GEOGRAPHIC_COORD", name) for name in ("LAT", "LONG"))
        if latitude is None or longitude is None or abs(latitude) > 90 or (latitude, longitude) == (0, 0):
            return None
        return Site(latitude_deg=latitude, longitude_deg=longitude)

    @property
    def parked(self) -> bool:
        """Whether it says that it is parked."""
        found = self.get(_PARK)
        return found is not None and found.on() == "PARK" and found.state != "Busy"

    def off_target_deg(self, ra_deg: float, dec_deg: float) -> float | None:
        """How far from these ICRS coordinates it says it points; ``None``: it does not say."""
        ra_hours, here_deg = (self.number(_COORDINATES, axis) for axis in ("RA", "DEC"))
        if ra_hours is None or here_deg is None:
            return None
        ra, dec = icrs_to_jnow(ra_deg, dec_deg, self._now())
        return separation_deg(ra, dec, 15.0 * ra_hours, here_deg)

    async def park(self) -> bool:
        """Park and return once it is parked; ``False`` at once for a mount that cannot."""
        found = self.get(_PARK)
        if found is None or not found.writable:
            return False
        if self.parked:
            return True
        since = self._mirror.serial
        self.send(_PARK, {"PARK": True})

        def look() -> bool:
            now = self.need(_PARK)
            if now.serial <= since:
                return False
            self.refuse_alert(now, "parking")
            place = self.get(_COORDINATES)
            return self.parked and (place is None or place.state != "Busy")

        await self.wait_for(look, "parking", self._timeout_s)
        return True

    async def stop_tracking(self) -> None:
        """Stop where it is."""
        await self.press(_TRACK, "TRACK_OFF")

    async def slew(self, ra_deg: float, dec_deg: float) -> None:
        """Slew to ICRS coordinates, start tracking, and return once settled.

        Raises :class:`DeviceError` if the mount refuses or stops somewhere else.
        """
        await self.press(_PARK, "UNPARK")
        await self.press("ON_COORD_SET", "TRACK")
        ra, dec = icrs_to_jnow(ra_deg, dec_deg, self._now())
        since = self._mirror.serial
        started = False
        self._link.send(self._name, _COORDINATES, {"RA": ra / 15.0, "DEC": dec})

        def look() -> bool:
            nonlocal started
            found = self.need(_COORDINATES)
            if found.serial <= since:
                return False
            self.refuse_alert(found, "the slew")
            if found.state == "Busy":
                started = True
                return False
            ra_hours, dec_deg = found.number("RA"), found.number("DEC")
            if ra_hours is None or dec_deg is None:
                return False  # it has no reading now
            off_deg = separation_deg(ra, dec, 15.0 * ra_hours, dec_deg)
            if started and off_deg > _NEAR_DEG:
                raise DeviceError(
                    f"{self._name} stopped {off_deg:.1f}° off the target; is it in reach, and aligned?"
                )
            return off_deg <= _NEAR_DEG  # not started and not there: the driver has not taken the order yet

        await self.wait_for(look, "arriving at the target", self._timeout_s)
        await self.press(_TRACK, "TRACK_ON")
        await self._clock.sleep(self._settle_s)
