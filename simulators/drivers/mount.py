"""The mount's driver: an equatorial mount that slews, tracks, parks and flips."""

from __future__ import annotations

import asyncio
from typing import Any

from simulators.clock import SimClock
from simulators.coordinates import separation_deg, sidereal_time_deg
from simulators.drivers import MOUNT
from simulators.drivers.base import (
    MAIN,
    OPTIONS,
    SITE,
    Number,
    RefusedError,
    SimDriver,
    accept_numbers,
    accept_switch,
    accept_texts,
    number_text,
    numbers,
    requested_numbers,
    requested_switch,
    switches,
    texts,
    turn_on,
)
from simulators.optics import Telescope

TELESCOPE_INTERFACE = 1
SLEW_DEG_PER_S = 4.0
SETTLE_S = 2.0
_TICK_REAL_S = 0.5
"""How often, in real time, a moving mount tells where it is."""

_SIDEREAL = 1.00273790935


class MountDriver(SimDriver):
    """Keeps its place in JNow, as INDI's property does; without tracking, right ascensions run by."""

    def __init__(self, clock: SimClock, telescope: Telescope | None = None) -> None:
        telescope = telescope or Telescope()
        self.site = numbers(
            "GEOGRAPHIC_COORD",
            "Scope Location",
            SITE,
            [
                Number("LAT", "Lat (dd:mm:ss.s)", "%012.8m", -90, 90, 0, 47.7),
                Number("LONG", "Lon (dd:mm:ss.s)", "%012.8m", 0, 360, 0, 11.2),
                Number("ELEV", "Elevation (m)", "%g", -200, 10000, 0, 700),
            ],
            state="Ok",
        )
        ra_hours = sidereal_time_deg(11.2, clock.utc()) / 15
        self.place = numbers("EQUATORIAL_EOD_COORD", "Eq. Coordinates", MAIN, _coordinates(ra_hours, 90.0))
        self.target = numbers(
            "TARGET_EOD_COORD", "Slew Target", "Motion Control", _coordinates(0.0, 0.0), perm="ro"
        )
        self.on_set = switches(
            "ON_COORD_SET", "On Set", MAIN, {"TRACK": "Track", "SLEW": "Slew", "SYNC": "Sync"}, "TRACK"
        )
        self.track_state = switches(
            "TELESCOPE_TRACK_STATE", "Tracking", MAIN, {"TRACK_ON": "On", "TRACK_OFF": "Off"}, "TRACK_OFF"
        )
        self.park = switches(
            "TELESCOPE_PARK", "Parking", MAIN, {"PARK": "Park(ed)", "UNPARK": "UnPark(ed)"}, "UNPARK"
        )
        self.abort = switches(
            "TELESCOPE_ABORT_MOTION", "Abort Motion", MAIN, {"ABORT": "Abort"}, None, rule="AtMostOne"
        )
        self.pier_side = switches(
            "TELESCOPE_PIER_SIDE",
            "Pier Side",
            MAIN,
            {"PIER_WEST": "West (pointing east)", "PIER_EAST": "East (pointing west)"},
            "PIER_WEST",
            perm="ro",
            rule="AtMostOne",
        )
        info = numbers("TELESCOPE_INFO", "Scope Properties", OPTIONS, _optics(telescope), state="Ok")
        utc = texts(
            "TIME_UTC",
            "UTC",
            SITE,
            {
                "UTC": ("UTC Time", clock.utc().replace(tzinfo=None).isoformat(timespec="seconds")),
                "OFFSET": ("UTC Offset", "0"),
            },
        )
        super().__init__(
            MOUNT,
            "indi_firstlight_telescope",
            TELESCOPE_INTERFACE,
            clock,
            [
                self.on_set,
                self.place,
                self.target,
                self.abort,
                self.track_state,
                self.park,
                self.pier_side,
                info,
                self.site,
                utc,
            ],
        )
        self.handlers |= {
            "EQUATORIAL_EOD_COORD": self._go,
            "ON_COORD_SET": accept_switch,
            "TELESCOPE_TRACK_STATE": self._track,
            "TELESCOPE_PARK": self._park,
            "TELESCOPE_ABORT_MOTION": self._abort,
            "TELESCOPE_INFO": accept_numbers,
            "GEOGRAPHIC_COORD": accept_numbers,
            "TIME_UTC": accept_texts,
        }
        self._slew: asyncio.Task[None] | None = None

    @property
    def _tracking(self) -> bool:
        return bool(self.track_state["TRACK_ON"] == "On")

    def _now(self) -> tuple[float, float]:
        return self.place.getfloatvalue("RA"), self.place.getfloatvalue("DEC")

    async def _go(self, event: Any) -> None:
        wanted = requested_numbers(event)
        if self.park["PARK"] == "On":
            raise RefusedError("the mount is parked: unpark it before a slew")
        mode = next((name for name in self.on_set if self.on_set[name] == "On"), "TRACK")
        self._cancel_slew()
        if mode == "SYNC":
            await self._report(wanted["RA"], wanted["DEC"], "Ok" if self._tracking else "Idle")
            return
        await self._start(wanted["RA"], wanted["DEC"], track=mode == "TRACK")

    async def _start(self, ra_hours: float, dec_deg: float, *, track: bool, park: bool = False) -> None:
        self.target["RA"], self.target["DEC"] = number_text(ra_hours), number_text(dec_deg)
        await self.target.send_setVector(state="Ok")
        await self.place.send_setVector(state="Busy")
        self._slew = asyncio.create_task(self._move(ra_hours, dec_deg, track, park))

    async def _move(self, ra_hours: float, dec_deg: float, track: bool, park: bool) -> None:
        """Move both axes evenly, settle, and say so."""
        if short := self.faults.due("slew_stops_short"):
            dec_deg += short.number("short_deg") * (-1 if dec_deg > 0 else 1)
        ra0, dec0 = self._now()
        d_ra = (ra_hours - ra0 + 12.0) % 24.0 - 12.0
        began = self.clock.elapsed_s()
        takes_s = separation_deg(ra0 * 15, dec0, ra_hours * 15, dec_deg) / SLEW_DEG_PER_S
        while (gone := self.clock.elapsed_s() - began) < takes_s:
            part = gone / takes_s
            await self._report((ra0 + part * d_ra) % 24.0, dec0 + part * (dec_deg - dec0), "Busy")
            await self.clock.sleep(min(_TICK_REAL_S * self.clock.speed, takes_s - gone))
        await self._report(ra_hours, dec_deg, "Busy")
        await self.clock.sleep(SETTLE_S)
        if restless := self.faults.due("slew_never_settles"):
            await self.clock.sleep(restless.number("lasts_s"))
        self.faults.over("mount_stops_tracking")
        await self._face(ra_hours)
        await self._set_tracking(track)
        if park:
            turn_on(self.park, "PARK")
            await self.park.send_setVector(state="Ok")
        await self._report(ra_hours, dec_deg, "Ok" if track else "Idle")

    async def _face(self, ra_hours: float) -> None:
        """A German mount stands west of its pier to look east, and the other way round."""
        longitude = self.site.getfloatvalue("LONG")
        hour_angle = (sidereal_time_deg(longitude, self.clock.utc()) - ra_hours * 15 + 180) % 360 - 180
        turn_on(self.pier_side, "PIER_WEST" if hour_angle < 0 else "PIER_EAST")
        await self.pier_side.send_setVector(state="Ok")

    async def _set_tracking(self, on: bool) -> None:
        turn_on(self.track_state, "TRACK_ON" if on else "TRACK_OFF")
        await self.track_state.send_setVector(state="Busy" if on else "Idle")

    async def _track(self, event: Any) -> None:
        on = requested_switch(event) == "TRACK_ON"
        if on and self.park["PARK"] == "On":
            raise RefusedError("the mount is parked: unpark it before tracking")
        await self._set_tracking(on)
        await self.place.send_setVector(state="Ok" if on else "Idle")

    async def _park(self, event: Any) -> None:
        if requested_switch(event) == "UNPARK":
            turn_on(self.park, "UNPARK")
            await self.park.send_setVector(state="Ok")
            return
        self._cancel_slew()
        await self.park.send_setVector(state="Busy")
        sidereal = sidereal_time_deg(self.site.getfloatvalue("LONG"), self.clock.utc())
        await self._start(sidereal / 15, 90.0, track=False, park=True)

    async def _abort(self, _event: Any) -> None:
        self._cancel_slew()
        if self.park.state == "Busy":
            await self.park.send_setVector(state="Alert")
        turn_on(self.abort, None)
        await self.abort.send_setVector(state="Ok")
        await self.place.send_setVector(state="Ok" if self._tracking else "Idle")

    async def _report(self, ra_hours: float, dec_deg: float, state: str) -> None:
        self.place["RA"], self.place["DEC"] = number_text(ra_hours), number_text(dec_deg)
        await self.place.send_setVector(state=state)

    def _cancel_slew(self) -> None:
        if self._slew is not None:
            self._slew.cancel()
            self._slew = None

    async def on_disconnect(self) -> None:
        """A mount without a client stops where it is."""
        self._cancel_slew()
        self.place.state = "Ok" if self._tracking else "Idle"

    async def hardware(self) -> None:
        """Let the sky run by while the mount stands still; called by the library."""
        last_s = self.clock.elapsed_s()
        while not self.stop:
            await self.pause(1.0)
            now_s = self.clock.elapsed_s()
            moving = self._slew is not None and not self._slew.done()
            if self.connected and not self._tracking and not moving:
                ra_hours, dec_deg = self._now()
                ran = (now_s - last_s) * _SIDEREAL / 3600.0
                await self._report((ra_hours + ran) % 24.0, dec_deg, "Idle")
            last_s = now_s
        self._cancel_slew()


def _coordinates(ra_hours: float, dec_deg: float) -> list[Number]:
    return [
        Number("RA", "RA (hh:mm:ss)", "%010.6m", 0, 24, 0, ra_hours),
        Number("DEC", "DEC (dd:mm:ss)", "%010.6m", -90, 90, 0, dec_deg),
    ]


def _optics(telescope: Telescope) -> list[Number]:
    return [
        Number("TELESCOPE_APERTURE", "Aperture (mm)", "%g", 10, 5000, 0, telescope.aperture_mm),
        Number("TELESCOPE_FOCAL_LENGTH", "Focal Length (mm)", "%g", 10, 10000, 0, telescope.focal_mm),
        Number("GUIDER_APERTURE", "Guider Aperture (mm)", "%g", 10, 5000, 0, 30),
        Number("GUIDER_FOCAL_LENGTH", "Guider Focal Length (mm)", "%g", 10, 10000, 0, 120),
    ]
