"""The camera's driver: exposures, cooling, settings."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulators.camera import Camera, Shot, append_truth
from simulators.clock import SimClock
from simulators.cooler import Cooler
from simulators.coordinates import jnow_to_icrs
from simulators.drivers import CAMERA
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
from simulators.drivers.camera_properties import CameraProperties
from simulators.drivers.cooling import CoolingControl
from simulators.drivers.snoop import Neighbours
from simulators.faults.physics import true_place
from simulators.fitsfile import Snooped, ascii_text, fits_bytes
from simulators.heavens.atmosphere import Conditions
from simulators.sensor import Readout, SensorProfile

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger(__name__)

CCD_INTERFACE = 2
_TICK_REAL_S = 0.25


class CameraDriver(SimDriver):
    """Makes a frame in a thread while the exposure counts down, so that it leaves when the time is up."""

    def __init__(
        self,
        clock: SimClock,
        seed: int,
        truth: Path | None = None,
        profile: SensorProfile | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self.camera = Camera(seed, profile=profile, conditions=conditions)
        self.cooler = Cooler.of(self.camera.profile.cooling)
        self.has = CameraProperties(self.camera.profile, self.cooler.ambient_c)
        super().__init__(CAMERA, "indi_firstlight_ccd", CCD_INTERFACE, clock, self.has.all())
        self.neighbours = Neighbours(self, self.has.active_devices)
        self._truth = truth
        self._number = 0
        self._exposing: asyncio.Task[None] | None = None
        self._rendering: asyncio.Task[tuple[bytes, DataclassInstance]] | None = None
        self.handlers |= {
            "CCD_EXPOSURE": self._expose,
            "CCD_ABORT_EXPOSURE": self._abort,
            "CCD_GAIN": accept_numbers,
            "CCD_OFFSET": accept_numbers,
            "READ_MODE": accept_switch,
            "CCD_FRAME": self._set_frame,
            "CCD_FRAME_RESET": self._reset_frame,
            "CCD_BINNING": accept_numbers,
            "CCD_FRAME_TYPE": accept_switch,
            "CCD_COMPRESSION": self._only("INDI_DISABLED", "this camera sends frames uncompressed"),
            "CCD_TRANSFER_FORMAT": self._only("FORMAT_FITS", "this camera sends FITS"),
            "UPLOAD_MODE": self._only("UPLOAD_CLIENT", "this camera keeps no files"),
            "FITS_HEADER": accept_texts,
            "ACTIVE_DEVICES": self._set_neighbours,
        }
        self.cooling = CoolingControl(lambda: self.cooler, self.has, clock)
        self.handlers |= self.cooling.handlers

    def _only(self, allowed: str, reason: str) -> Any:
        async def handler(event: Any) -> None:
            if requested_switch(event) != allowed:
                raise RefusedError(reason)
            await accept_switch(event)

        return handler

    # Exposures

    async def _expose(self, event: Any) -> None:
        exposure_s = requested_numbers(event)["CCD_EXPOSURE_VALUE"]
        self._cancel_exposure()
        self._exposing = asyncio.create_task(self._run(exposure_s))

    async def _run(self, exposure_s: float) -> None:
        began_s = self.clock.elapsed_s()
        self.faults.exposure_began(exposure_s)
        fate = self.faults.due("exposure_never_ends", "exposure_alert")
        shot, snooped = self._shot(exposure_s, began_s)
        if leak := self.faults.due("light_leak"):
            shot = replace(shot, leak_e_s=leak.number("e_per_s"))
        try:
            takes_s = self._takes_s(exposure_s, shot.kind)
        except RefusedError as refusal:
            await self.has.exposure.send_setVector(state="Alert", message=str(refusal))
            return
        counts_s = takes_s / 2 if fate else takes_s
        self._rendering = rendering = asyncio.create_task(asyncio.to_thread(self._make, shot, snooped))
        try:
            await self._count_down(began_s, takes_s, counts_s)
            if fate is not None:
                await self._end_badly(fate.name)
            frame, truth = await asyncio.shield(rendering)
            if self._truth is not None:
                append_truth(self._truth, truth)
        except RefusedError as refusal:
            await self.has.exposure.send_setVector(state="Alert", message=str(refusal))
            return
        except Exception as error:
            # Whatever went wrong in the making, the client must not wait for ever.
            log.exception("the frame could not be made")
            await self.has.exposure.send_setVector(state="Alert", message=f"the frame was lost: {error}")
            return
        await self._send_frame(frame)
        self.has.exposure["CCD_EXPOSURE_VALUE"] = "0"
        await self.has.exposure.send_setVector(state="Ok")

    async def _count_down(self, began_s: float, takes_s: float, until_s: float) -> None:
        """Busy at least once, as with INDI's drivers, however soon the exposure is over."""
        gone_s = self.clock.elapsed_s() - began_s
        while True:
            self.has.exposure["CCD_EXPOSURE_VALUE"] = number_text(max(takes_s - gone_s, 0.0))
            await self.has.exposure.send_setVector(state="Busy")
            await self.clock.sleep(min(until_s - gone_s, _TICK_REAL_S * self.clock.speed))
            if (gone_s := self.clock.elapsed_s() - began_s) >= until_s:
                return

    def _takes_s(self, exposure_s: float, _kind: str) -> float:
        """How long an exposure takes; may raise :class:`RefusedError`."""
        return exposure_s

    async def _send_frame(self, frame: bytes) -> None:
        self.has.blob.set_blobsize("CCD1", len(frame))
        self.has.blob["CCD1"] = frame
        await self.has.blob.send_setVectorMembers(state="Ok", members=["CCD1"])

    async def _end_badly(self, fault: str) -> None:
        if fault == "exposure_never_ends":
            await asyncio.Event().wait()  # until it is aborted
        raise RefusedError("the sensor does not answer")

    async def _send_aborted(
        self, rendering: asyncio.Task[tuple[bytes, DataclassInstance]], delay_real_s: float
    ) -> None:
        """A driver that cannot call its frame back."""
        frame, _ = await rendering
        await self.pause(delay_real_s)
        await self._send_frame(frame)

    def _shot(self, exposure_s: float, began_s: float) -> tuple[Shot, Snooped]:
        has, snooped = self.has, self.neighbours.heard()
        started = self.clock.utc(began_s)
        ra_deg, dec_deg, angle_deg = self._looks_at(snooped, started, exposure_s)
        ra_deg, dec_deg = true_place(self.faults, ra_deg, dec_deg)
        kind = next(name for name in has.frame_type if has.frame_type[name] == "On")
        self._number += 1
        window = {name: round(has.frame.getfloatvalue(name)) for name in has.frame}
        shot = Shot(
            number=self._number,
            kind=kind.removeprefix("FRAME_"),
            exposure_s=exposure_s,
            started=started,
            started_elapsed_s=began_s,
            temperature_c=self.cooler.advance(began_s),
            readout=Readout(
                gain=has.gain.getfloatvalue("GAIN") if has.gain else 0.0,
                offset=has.offset.getfloatvalue("OFFSET") if has.offset else 0.0,
                mode=has.read_mode_number(),
                x=window["X"],
                y=window["Y"],
                width=window["WIDTH"],
                height=window["HEIGHT"],
                bin_x=round(has.binning.getfloatvalue("HOR_BIN")),
                bin_y=round(has.binning.getfloatvalue("VER_BIN")),
            ),
            filter_name=snooped.filter_name or "L",
            ra_deg=ra_deg,
            dec_deg=dec_deg,
            camera_angle_deg=angle_deg,
            focus=snooped.focus,
            cover=snooped.cover,
        )
        return shot, snooped

    def _looks_at(self, snooped: Snooped, started: datetime, exposure_s: float) -> tuple[float, float, float]:
        """ICRS direction and position angle, at the exposure's middle if the mount tells the truth."""
        if snooped.mounting is not None:
            middle = started + timedelta(seconds=exposure_s / 2)
            ra_deg, dec_deg, angle_deg = snooped.mounting.jnow_deg(middle)
            return *jnow_to_icrs(ra_deg, dec_deg, started), angle_deg
        # A camera that hears of no mount looks at the pole.
        angle_deg = 180.0 if snooped.pier_side == "EAST" else 0.0
        return *jnow_to_icrs(*(snooped.jnow_deg or (0.0, 90.0)), started), angle_deg

    def _make(self, shot: Shot, snooped: Snooped) -> tuple[bytes, DataclassInstance]:
        frame, truth = self.camera.expose(shot)
        content = fits_bytes(
            frame,
            shot,
            camera=CAMERA,
            mount=ascii_text(self.has.active_devices["ACTIVE_TELESCOPE"]),
            observer=ascii_text(self.has.fits_header["FITS_OBSERVER"]),
            object_name=ascii_text(self.has.fits_header["FITS_OBJECT"]),
            pixel_um=self.camera.profile.pixel_um,
            telescope=self.camera.telescope,
            snooped=snooped,
            bayer=self.camera.profile.bayer,
        )
        return content, truth

    async def _abort(self, event: Any) -> None:
        if self._cancel_exposure() and self._rendering and (late := self.faults.due("blob_after_abort")):
            self.add_background(self._send_aborted(self._rendering, late.number("delay_real_s")))
        turn_on(event.vector, None)
        await event.vector.send_setVector(state="Ok")
        self.has.exposure["CCD_EXPOSURE_VALUE"] = "0"
        await self.has.exposure.send_setVector(state="Idle")

    def _cancel_exposure(self) -> bool:
        """Stop exposing; says whether there was something to stop."""
        exposing, self._exposing = self._exposing, None
        return exposing is not None and exposing.cancel()

    # Settings

    async def _set_frame(self, event: Any) -> None:
        window, p = requested_numbers(event), self.camera.profile
        if window["X"] + window["WIDTH"] > p.width or window["Y"] + window["HEIGHT"] > p.height:
            raise RefusedError(f"CCD_FRAME must lie within {p.width} × {p.height} pixels")
        await accept_numbers(event)

    async def _reset_frame(self, event: Any) -> None:
        p = self.camera.profile
        for name, value in (("X", 0), ("Y", 0), ("WIDTH", p.width), ("HEIGHT", p.height)):
            self.has.frame[name] = number_text(value)
        await self.has.frame.send_setVector(state="Ok")
        turn_on(event.vector, None)
        await event.vector.send_setVector(state="Ok")

    async def _set_neighbours(self, event: Any) -> None:
        await accept_texts(event)
        await self.neighbours.ask()

    # Called by the base class and by the library

    async def on_connect(self) -> None:
        """Ask the neighbours; they may have been there before us."""
        await self.neighbours.ask()

    async def on_disconnect(self) -> None:
        """An exposure without a client ends."""
        self._cancel_exposure()
        self.has.exposure.state = "Idle"

    async def snoopevent(self, event: Any) -> None:
        """Hear what the mount and the wheel say."""
        self.neighbours.hear(event)

    async def hardware(self) -> None:
        """Tell the temperature as it changes."""
        while not self.stop:
            if self.connected:
                await self.cooling.tell()
            await self.pause(_TICK_REAL_S)
        self._cancel_exposure()
