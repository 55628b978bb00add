"""The mount's driver: it slews, settles, tracks with its errors, takes guide pulses, parks and flips."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from simulators.clock import SimClock
from simulators.coordinates import sidereal_time_deg
from simulators.drivers import MOUNT
from simulators.drivers.base import (
    RefusedError,
    SimDriver,
    accept_numbers,
    accept_switch,
    accept_texts,
    number_text,
    requested_numbers,
    requested_switch,
    turn_on,
)
from simulators.drivers.mount_properties import MountProperties
from simulators.mount_model import (
    SIDEREAL_ARCSEC_S,
    Aim,
    MountErrors,
    altitude_azimuth_deg,
    look,
    pier_axes_deg,
    with_backlash,
)
from simulators.optics import Telescope

TELESCOPE_INTERFACE, GUIDER_INTERFACE = 1, 4
SLEW_DEG_PER_S = 4.0
SETTLE_S = 2.0
_TICK_REAL_S = 0.5
"""How often, in real time, a moving mount tells where it is."""

_ARCSEC_PER_HOUR = 54_000.0
_SIDEREAL = SIDEREAL_ARCSEC_S / 15.0


class MountDriver(SimDriver):
    """What it tells (JNow) is what its encoders say; where it looks is its aim with its errors.

    The two part by drift, worm and backlash, and by a SYNC: that changes what it tells and moves nothing.
    Without tracking, right ascensions run by.
    """

    def __init__(
        self,
        clock: SimClock,
        telescope: Telescope | None = None,
        errors: MountErrors | None = None,
        *,
        altaz: bool = False,
    ) -> None:
        self.model = errors or MountErrors()
        utc = clock.utc()
        self.has = MountProperties(
            telescope or Telescope(), sidereal_time_deg(11.2, utc) / 15, utc, self.model, altaz=altaz
        )
        interface = TELESCOPE_INTERFACE | GUIDER_INTERFACE
        super().__init__(MOUNT, "indi_firstlight_telescope", interface, clock, self.has.all())
        self.handlers |= {
            "EQUATORIAL_EOD_COORD": self._go,
            "ON_COORD_SET": accept_switch,
            "TELESCOPE_TRACK_STATE": self._track,
            "TELESCOPE_PARK": self._park,
            "TELESCOPE_ABORT_MOTION": self._abort,
            "TELESCOPE_TIMED_GUIDE_NS": self._guide_ns,
            "TELESCOPE_TIMED_GUIDE_WE": self._guide_we,
            "GUIDE_RATE": accept_numbers,
            "MOUNT_LIMITS": accept_numbers,
            "MOUNT_ERRORS": self._set_errors,
            "TELESCOPE_INFO": accept_numbers,
            "GEOGRAPHIC_COORD": self._set_site,
            "TIME_UTC": accept_texts,
        }
        self.aim = Aim(at_s=utc.timestamp(), hour_angle_deg=0.0, dec_deg=90.0, tracking=False, altaz=altaz)
        self._unknown_ra_hours = self._unknown_dec_deg = 0.0  # what a SYNC added to the encoders' word
        self._play_arcsec = 0.0
        self._slew: asyncio.Task[None] | None = None
        self._pulses: dict[str, asyncio.Task[None]] = {}

    # Where it is

    @property
    def _tracking(self) -> bool:
        return bool(self.has.track_state["TRACK_ON"] == "On")

    @property
    def _latitude_deg(self) -> float:
        return float(self.has.site.getfloatvalue("LAT"))

    def _now(self) -> tuple[float, float]:
        return self.has.place.getfloatvalue("RA"), self.has.place.getfloatvalue("DEC")

    def _hour_angle_deg(self, ra_hours: float, utc: datetime | None = None) -> float:
        sidereal = sidereal_time_deg(self.has.site.getfloatvalue("LONG"), utc or self.clock.utc())
        return (sidereal - ra_hours * 15 + 180.0) % 360.0 - 180.0

    async def _aim_at(self, ra_hours: float, dec_deg: float, **changes: Any) -> None:
        """Look where the encoders say that this is."""
        utc = self.clock.utc()  # one time for all: at high speeds the sky has moved by the next question
        hour_angle = self._hour_angle_deg(ra_hours - self._unknown_ra_hours, utc)
        dec = min(max(dec_deg - self._unknown_dec_deg, -90.0), 90.0)
        await self._set_aim(utc, hour_angle_deg=hour_angle, dec_deg=dec, **changes)

    async def _set_aim(self, utc: datetime | None = None, **changes: Any) -> None:
        """Go on from where it looks now, with changes; tells the simulated camera."""
        now_s = (utc or self.clock.utc()).timestamp()
        if "hour_angle_deg" not in changes:
            here = look(self.aim, replace(self.model, settle_arcsec=0.0), self._latitude_deg, now_s)
            changes = {"hour_angle_deg": here.hour_angle_deg, "dec_deg": here.dec_deg} | changes
        self.aim = replace(self.aim, at_s=now_s, **changes)
        for field in fields(Aim):
            self.has.aim[field.name.upper()] = f"{float(getattr(self.aim, field.name)):.9f}"
        await self.has.aim.send_setVector(state="Ok")

    async def _report(self, ra_hours: float, dec_deg: float, state: str) -> None:
        self.has.place["RA"], self.has.place["DEC"] = number_text(ra_hours % 24.0), number_text(dec_deg)
        await self.has.place.send_setVector(state=state)

    # Slews

    async def _go(self, event: Any) -> None:
        wanted = requested_numbers(event)
        ra_hours, dec_deg = wanted["RA"], wanted["DEC"]
        if self.has.park["PARK"] == "On":
            raise RefusedError("the mount is parked: unpark it before a slew")
        mode = next((name for name in self.has.on_set if self.has.on_set[name] == "On"), "TRACK")
        if mode == "SYNC":
            self._cancel_slew()
            ra0, dec0 = self._now()
            self._unknown_ra_hours += ra_hours - ra0
            self._unknown_dec_deg += dec_deg - dec0
            await self._report(ra_hours, dec_deg, "Ok" if self._tracking else "Idle")
            return
        if refusal := self._beyond(self._hour_angle_deg(ra_hours), dec_deg, flipped=True):
            raise RefusedError(f"{refusal}: no slew to there")
        self._cancel_slew()
        await self._start(ra_hours, dec_deg, track=mode == "TRACK")

    async def _start(self, ra_hours: float, dec_deg: float, *, track: bool, park: bool = False) -> None:
        self.has.target["RA"], self.has.target["DEC"] = number_text(ra_hours), number_text(dec_deg)
        await self.has.target.send_setVector(state="Ok")
        await self.has.place.send_setVector(state="Busy")
        self._slew = asyncio.create_task(self._move(ra_hours, dec_deg, track, park))

    async def _move(self, ra_hours: float, dec_deg: float, track: bool, park: bool) -> None:
        """Move both axes evenly, settle, and say so."""
        if short := self.faults.due("slew_stops_short"):
            dec_deg += short.number("short_deg") * (-1 if dec_deg > 0 else 1)
        ra0, dec0 = self._now()
        d_ra = (ra_hours - ra0 + 12.0) % 24.0 - 12.0
        flipped = not self.aim.altaz and self._hour_angle_deg(ra_hours) >= 0
        began = self.clock.elapsed_s()
        takes_s = self._slew_s(ra_hours, dec_deg, flipped)
        while (gone := self.clock.elapsed_s() - began) < takes_s:
            part = gone / takes_s
            ra, dec = ra0 + part * d_ra, dec0 + part * (dec_deg - dec0)
            await self._aim_at(ra, dec, tracking=False)
            await self._report(ra, dec, "Busy")
            await self.clock.sleep(min(_TICK_REAL_S * self.clock.speed, takes_s - gone))
        await self._report(ra_hours, dec_deg, "Busy")
        slewed_s = self.clock.utc().timestamp()
        await self._aim_at(ra_hours, dec_deg, tracking=track, flipped=flipped, slewed_s=slewed_s)
        await self.clock.sleep(SETTLE_S)
        if restless := self.faults.due("slew_never_settles"):
            await self.clock.sleep(restless.number("lasts_s"))
        self.faults.over("mount_stops_tracking")
        self._play_arcsec = self.model.backlash_arcsec  # a slew comes in from the south
        await self._set_tracking(track)
        if not self.aim.altaz:
            turn_on(self.has.pier_side, "PIER_EAST" if flipped else "PIER_WEST")
            await self.has.pier_side.send_setVector(state="Ok")
        if park:
            turn_on(self.has.park, "PARK")
            await self.has.park.send_setVector(state="Ok")
        await self._report(ra_hours, dec_deg, "Ok" if track else "Idle")

    def _slew_s(self, ra_hours: float, dec_deg: float, flipped: bool) -> float:
        """The slower axis decides; a German mount that changes sides turns both by half a turn."""
        (ra0, dec0), latitude = self._now(), self._latitude_deg
        places = ((self._hour_angle_deg(ra0), dec0), (self._hour_angle_deg(ra_hours), dec_deg))
        if self.aim.altaz:
            (alt0, az0), (alt1, az1) = (altitude_azimuth_deg(*place, latitude) for place in places)
            turns = (az1 - az0 + 180.0) % 360.0 - 180.0, alt1 - alt0
        else:
            a = pier_axes_deg(*places[0], self.aim.flipped)
            b = pier_axes_deg(*places[1], flipped)
            turns = b[0] - a[0], b[1] - a[1]
        return max(map(abs, turns)) / SLEW_DEG_PER_S

    # Tracking

    async def _set_tracking(self, on: bool, state: str | None = None, message: str = "") -> None:
        turn_on(self.has.track_state, "TRACK_ON" if on else "TRACK_OFF")
        await self.has.track_state.send_setVector(state=state or ("Busy" if on else "Idle"), message=message)

    async def _track(self, event: Any) -> None:
        on = requested_switch(event) == "TRACK_ON"
        if on and self.has.park["PARK"] == "On":
            raise RefusedError("the mount is parked: unpark it before tracking")
        await self._set_aim(tracking=on)
        await self._set_tracking(on)
        await self.has.place.send_setVector(state="Ok" if on else "Idle")

    def _beyond(self, hour_angle_deg: float, dec_deg: float, *, flipped: bool) -> str | None:
        """Which limit this place is beyond, in words."""
        lowest, past = (self.has.limits.getfloatvalue(n) for n in ("MIN_ALTITUDE", "PAST_MERIDIAN"))
        altitude, _ = altitude_azimuth_deg(hour_angle_deg, dec_deg, self._latitude_deg)
        if altitude < lowest:
            return f"altitude {altitude:.1f}° is below the limit of {lowest:g}°"
        if not flipped and not self.aim.altaz and hour_angle_deg > past:
            return f"hour angle {hour_angle_deg:.1f}° is past the meridian limit of {past:g}°"
        return None

    async def _stop_at_limit(self) -> None:
        ra_hours, dec_deg = self._now()
        beyond = self._beyond(self._hour_angle_deg(ra_hours), dec_deg, flipped=self.aim.flipped)
        if beyond is not None:
            await self._set_aim(tracking=False)
            await self._set_tracking(False, "Alert", f"tracking stopped: {beyond}")
            await self.has.place.send_setVector(state="Idle")

    # Guiding

    async def _guide_ns(self, event: Any) -> None:
        await self._pulse(event, "TIMED_GUIDE_N", "TIMED_GUIDE_S", "GUIDE_RATE_NS", self._nudge_dec)

    async def _guide_we(self, event: Any) -> None:
        await self._pulse(event, "TIMED_GUIDE_W", "TIMED_GUIDE_E", "GUIDE_RATE_WE", self._nudge_ra)

    async def _pulse(self, event: Any, plus: str, minus: str, rate: str, nudge: Any) -> None:
        """Busy while the motor runs, then Idle at 0, as INDI's guiders do. The rate is per sidereal rate."""
        wanted = {plus: 0.0, minus: 0.0} | {name: event.getfloatvalue(name) for name in event}
        length_ms = wanted[plus] - wanted[minus]
        if not abs(length_ms) <= 60_000 or min(wanted.values()) < 0:
            raise RefusedError(f"{event.vectorname} must be 0 to 60000 ms")
        if self.has.park["PARK"] == "On" or not self._tracking:
            raise RefusedError("the mount does not track: a guide pulse would do nothing")
        speed = SIDEREAL_ARCSEC_S * self.has.guide_rate.getfloatvalue(rate)
        if running := self._pulses.pop(event.vectorname, None):
            running.cancel()

        async def run() -> None:
            began_s = self.clock.elapsed_s()
            try:
                await self.clock.sleep(abs(length_ms) / 1000)
            finally:  # one that is cut short has moved so far
                ran_s = min(self.clock.elapsed_s() - began_s, abs(length_ms) / 1000)
                await nudge(speed * ran_s * (1 if length_ms >= 0 else -1))
            await event.vector.send_setVector(state="Idle")

        await event.vector.send_setVector(state="Busy")
        self._pulses[event.vectorname] = asyncio.create_task(run())

    async def _nudge_dec(self, arcsec: float) -> None:
        self._play_arcsec, made = with_backlash(self._play_arcsec, arcsec, self.model.backlash_arcsec)
        await self._nudge(0.0, made, told_dec_arcsec=arcsec)

    async def _nudge_ra(self, arcsec: float) -> None:
        """West is a smaller right ascension. The axis never reverses, and so has no backlash."""
        await self._nudge(arcsec, 0.0, told_dec_arcsec=0.0)

    async def _nudge(self, west_arcsec: float, north_arcsec: float, *, told_dec_arcsec: float) -> None:
        utc = self.clock.utc()
        await self._set_aim(utc)
        dec = min(max(self.aim.dec_deg + north_arcsec / 3600, -90.0), 90.0)
        await self._set_aim(utc, hour_angle_deg=self.aim.hour_angle_deg + west_arcsec / 3600, dec_deg=dec)
        ra_hours, dec_deg = self._now()
        told = min(max(dec_deg + told_dec_arcsec / 3600, -90.0), 90.0)
        await self._report(ra_hours - west_arcsec / _ARCSEC_PER_HOUR, told, self.has.place.state)

    # Park, abort, settings

    async def _park(self, event: Any) -> None:
        if requested_switch(event) == "UNPARK":
            turn_on(self.has.park, "UNPARK")
            await self.has.park.send_setVector(state="Ok")
            return
        self._cancel_slew()
        await self.has.park.send_setVector(state="Busy")
        sidereal = sidereal_time_deg(self.has.site.getfloatvalue("LONG"), self.clock.utc())
        await self._start(sidereal / 15, 90.0, track=False, park=True)

    async def _abort(self, _event: Any) -> None:
        if self._moving:
            self._cancel_slew()
            await self._set_aim(tracking=self._tracking)
        self._cancel_pulses()
        if self.has.park.state == "Busy":
            await self.has.park.send_setVector(state="Alert")
        turn_on(self.has.abort, None)
        await self.has.abort.send_setVector(state="Ok")
        await self.has.place.send_setVector(state="Ok" if self._tracking else "Idle")

    async def _set_errors(self, event: Any) -> None:
        """Errors begin from where it looks now."""
        wanted = requested_numbers(event)
        await self._set_aim()
        self.model = MountErrors(**{name.lower(): value for name, value in wanted.items()})
        await accept_numbers(event)

    async def _set_site(self, event: Any) -> None:
        """Another place on Earth: the stars that it looks at stay, their hour angle changes."""
        await accept_numbers(event)
        await self._aim_at(*self._now())

    @property
    def _moving(self) -> bool:
        return self._slew is not None and not self._slew.done()

    def _cancel_slew(self) -> None:
        if self._slew is not None:
            self._slew.cancel()
            self._slew = None

    def _cancel_pulses(self) -> None:
        for pulse in self._pulses.values():
            pulse.cancel()
        self._pulses.clear()

    # Called by the base class and by the library

    async def on_connect(self) -> None:
        """Tell where it looks from the start."""
        await self._aim_at(*self._now())

    async def on_disconnect(self) -> None:
        """A mount without a client stops where it is."""
        self._cancel_slew()
        self._cancel_pulses()
        self.has.place.state = "Ok" if self._tracking else "Idle"

    async def hardware(self) -> None:
        """Let the sky run by while the mount stands still, and watch its limits while it tracks."""
        last_s = self.clock.elapsed_s()
        while not self.stop:
            await self.pause(1.0)
            now_s = self.clock.elapsed_s()
            if self.connected and not self._moving:
                if self._tracking:
                    await self._stop_at_limit()
                else:
                    ra_hours, dec_deg = self._now()
                    ran = (now_s - last_s) * _SIDEREAL / 3600.0
                    await self._report(ra_hours + ran, dec_deg, "Idle")
            last_s = now_s
        self._cancel_slew()
        self._cancel_pulses()
