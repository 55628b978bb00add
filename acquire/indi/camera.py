"""An INDI camera."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable

from acquire.clock import Clock
from acquire.devices import CoolerStatus, ExposureRequest, RawFrame
from acquire.errors import DeviceError, DeviceLostError, ExposureFailedError
from acquire.indi.device import IndiDevice
from acquire.indi.frame_check import unlike_order
from acquire.indi.mirror import Blob, Link, NotInTimeError
from library.errors import NotAFrameError
from library.formats.table import HEAD_BYTES, check_frame, reader_of
from library.frames import FrameKind

IMAGE = "CCD1"
_FRAME_TYPE = {
    FrameKind.LIGHT: "FRAME_LIGHT",
    FrameKind.BIAS: "FRAME_BIAS",
    FrameKind.DARK: "FRAME_DARK",
    FrameKind.FLAT: "FRAME_FLAT",
    FrameKind.FLAT_DARK: "FRAME_DARK",
}
_COOLER_HOLDS_S = 2.0
_READOUT_MARGIN_S = 120.0
_ABORT_S = 15.0
_UNANNOUNCED_S = 1.0
"""Exposures up to this long may be over before the driver has said Busy."""
_TEMPERATURE = ("CCD_TEMPERATURE", "CCD_TEMPERATURE_VALUE")
_EXPOSURE = ("CCD_EXPOSURE", "CCD_EXPOSURE_VALUE")
_BLOCK = 2880


class IndiCamera(IndiDevice):
    """Implements :class:`acquire.devices.Camera` with the properties of INDI's CCD drivers."""

    def __init__(
        self,
        link: Link,
        name: str,
        clock: Clock,
        readout_margin_s: float = _READOUT_MARGIN_S,
        ramp_c_per_min: float | None = None,
    ) -> None:
        super().__init__(link, name)
        self._ramp_c_per_min = ramp_c_per_min
        self._clock = clock
        self._readout_margin_s = readout_margin_s

    @property
    def has_cooler(self) -> bool:
        """Whether the sensor's temperature can be set."""
        found = self.get(_TEMPERATURE[0])
        return found is not None and found.writable

    # -- cooling -------------------------------------------------------------------------------

    async def cool_to(
        self,
        temp_c: float,
        *,
        tolerance_c: float,
        timeout_s: float,
        on_progress: Callable[[CoolerStatus], None],
    ) -> CoolerStatus:
        """Set the sensor's temperature and return once it is within tolerance and has stayed there.

        The pace is the one this camera was made with, or else the driver's.
        """
        prop, element = _TEMPERATURE
        deadline = self._clock.monotonic() + timeout_s
        self.check_range(self.need(prop), {element: temp_c})
        await self.press("CCD_COOLER", "COOLER_ON")
        await self._keep_pace(temp_c)
        told = since = self._mirror.serial
        self._link.send(self._name, prop, {element: temp_c})

        def look(wanted: bool) -> CoolerStatus | None:
            nonlocal told
            found = self.need(prop)
            if found.serial > since:  # a driver that is at its set point already may have nothing to add
                self.refuse_alert(found, f"cooling to {temp_c:g} °C")
            status = self._cooler_status()
            if status is None:
                return None
            if found.serial > told:
                told = found.serial
                on_progress(status)
            return status if (abs(status.sensor_temp_c - temp_c) <= tolerance_c) is wanted else None

        what = f"reaching {temp_c:g} ± {tolerance_c:g} °C"
        while True:
            reached = await self.wait_for(
                lambda: look(True), what, max(0.0, deadline - self._clock.monotonic())
            )
            try:
                await self.wait_for(lambda: look(False), "drifting off", _COOLER_HOLDS_S)
            except NotInTimeError:
                return self._cooler_status() or reached

    async def _keep_pace(self, temp_c: float) -> None:
        """Let the driver keep to the ramp; for one that has none, go in steps of a degree."""
        ramp, at_c = self._ramp_c_per_min, self.number(*_TEMPERATURE)
        if ramp is None or at_c is None:
            return
        if self.get("CCD_TEMP_RAMP") is not None:
            await self.set("CCD_TEMP_RAMP", {"RAMP_SLOPE": ramp})
            return
        prop, element = _TEMPERATURE
        step_c = math.copysign(1.0, temp_c - at_c)
        for n in range(1, math.ceil(abs(temp_c - at_c))):
            self._link.send(self._name, prop, {element: at_c + n * step_c})
            await self._clock.sleep(60.0 / ramp)

    def _cooler_status(self) -> CoolerStatus | None:
        """How it is now; ``None`` while the driver has no reading."""
        sensor_temp_c = self.number(*_TEMPERATURE)
        if sensor_temp_c is None:
            return None
        return CoolerStatus(
            sensor_temp_c=sensor_temp_c, power_percent=self.number("CCD_COOLER_POWER", "CCD_COOLER_VALUE")
        )

    # -- exposing ------------------------------------------------------------------------------

    async def expose(self, request: ExposureRequest, on_progress: Callable[[float], None]) -> RawFrame:
        """Make one exposure; ``on_progress`` is told the seconds left.

        Raises :class:`ExposureFailedError` if no whole frame comes of it; the camera is idle again then.
        """
        await self.abort()  # whatever an earlier client left running is not ours
        await self._apply(request)
        try:
            blob = await self._blob_of(request.exposure_s, on_progress)
        except DeviceLostError:
            raise
        except DeviceError as error:
            with contextlib.suppress(DeviceError):  # the first error is the one to tell
                await self.abort()
            raise ExposureFailedError(str(error)) from error
        self._refuse_cut_short(blob)
        self._refuse_another(blob, request.binning)
        return RawFrame(
            fits=blob.data,
            gain=self._control("gain"),
            offset=self._control("offset"),
            sensor_temp_c=self.number(*_TEMPERATURE),
            read_mode=self._read_mode(),
        )

    async def abort(self) -> None:
        """Stop the exposure in progress, if any."""
        exposure = self.get(_EXPOSURE[0])
        if exposure is None or exposure.state != "Busy" or self.get("CCD_ABORT_EXPOSURE") is None:
            return
        self._link.send(self._name, "CCD_ABORT_EXPOSURE", {"ABORT": True})
        await self.wait_for(
            lambda: self.need(_EXPOSURE[0]).state != "Busy", "aborting the exposure", _ABORT_S
        )

    async def _apply(self, request: ExposureRequest) -> None:
        """Bring the camera's settings to the request's; those that are right already cost nothing."""
        await self.press("UPLOAD_MODE", "UPLOAD_CLIENT")
        await self.press("CCD_TRANSFER_FORMAT", "FORMAT_FITS")
        await self.press("CCD_COMPRESSION", "INDI_DISABLED", "CCD_RAW")
        await self.press("CCD_FRAME_TYPE", _FRAME_TYPE[request.kind])
        if self.get("CCD_BINNING") or request.binning != 1:
            await self.set("CCD_BINNING", {"HOR_BIN": request.binning, "VER_BIN": request.binning})
        width, height = self.number("CCD_INFO", "CCD_MAX_X"), self.number("CCD_INFO", "CCD_MAX_Y")
        if width and height and self.get("CCD_FRAME"):
            await self.set("CCD_FRAME", {"X": 0, "Y": 0, "WIDTH": width, "HEIGHT": height})
        for word, value in (("gain", request.gain), ("offset", request.offset)):
            if value is not None:
                prop, element = self._find_control(word) or self._no_control(word)
                await self.set(prop, {element: value})
                if not math.isclose(taken := self.number(prop, element) or 0.0, value, abs_tol=1e-3):
                    raise DeviceError(f"{self._name} was asked for {word} {value:g} and took {taken:g}")

    async def _blob_of(self, exposure_s: float, on_progress: Callable[[float], None]) -> Blob:
        """Start an exposure; wait for its BLOB and for CCD_EXPOSURE to turn Ok, in whichever order."""
        prop, element = _EXPOSURE
        shortest_s = self.need(prop).elements[element].min
        values: dict[str, float | str | bool] = {element: max(exposure_s, shortest_s)}
        self.check_range(self.need(prop), values)
        self._mirror.drop_blob(self._name, IMAGE)
        since = told = self._mirror.serial
        began: int | None = None
        self._link.send(self._name, prop, values)

        def look() -> Blob | None:
            nonlocal began, told
            exposure, blob = self.need(prop), self._mirror.blob(self._name, IMAGE)
            if exposure.serial <= since:
                return None
            self.refuse_alert(exposure, f"an exposure of {exposure_s:g} s", ExposureFailedError)
            left_s = float(exposure.elements[element].value)
            if exposure.state == "Busy":
                began = began or exposure.serial
                if exposure.serial > told and math.isfinite(left_s):
                    told = exposure.serial
                    on_progress(left_s)
                if blob and blob.serial < exposure.serial and left_s > 0:
                    self._mirror.drop_blob(self._name, IMAGE)  # still exposing: it is an earlier one's
                return None
            if began is None and exposure_s > _UNANNOUNCED_S:
                return None  # the echo of an earlier exposure
            if exposure.state == "Idle" and began is not None:
                raise ExposureFailedError(f"{self._name}: the exposure of {exposure_s:g} s was aborted")
            return blob if blob and blob.serial > (began or since) else None

        try:
            what = f"the image of an exposure of {exposure_s:g} s"
            return await self.wait_for(look, what, exposure_s + self._readout_margin_s)
        finally:
            self._mirror.drop_blob(self._name, IMAGE)

    def _refuse_cut_short(self, blob: Blob) -> None:
        if not blob.data:
            raise ExposureFailedError(
                f"{self._name}: the image came short: {blob.arrived} of {blob.declared} bytes"
            )
        head = bytes(blob.data[:HEAD_BYTES])
        if reader_of(head) is not None:
            return  # a camera's own raw file, say: whoever stores it will see whether it is whole
        try:
            check_frame(self._name, head)
        except NotAFrameError as error:
            raise ExposureFailedError(
                f"{error}; set the driver's format to RAW or FITS (Capture Format, Image Type)"
            ) from error
        if not blob.data.startswith(b"SIMPLE") or len(blob.data) % _BLOCK:
            raise ExposureFailedError(
                f'{self._name}: the image is no whole FITS file ("{blob.format}", {len(blob.data)} bytes); '
                "set the driver's transfer format to FITS"
            )

    def _refuse_another(self, blob: Blob, binning: int) -> None:
        if not blob.data.startswith(b"SIMPLE"):
            return  # a raw file is all that its camera has
        width, height = (self.number("CCD_FRAME", side) for side in ("WIDTH", "HEIGHT"))
        if wrong := unlike_order(blob.data, binning=binning, width_px=width, height_px=height):
            raise ExposureFailedError(f"{self._name}: the image is not as ordered: {wrong}")

    # -- gain, offset, read mode ---------------------------------------------------------------

    def _find_control(self, word: str) -> tuple[str, str] | None:
        """Property and element of "gain" or "offset": drivers agree on neither."""
        for prop, element in ((f"CCD_{word.upper()}", word.upper()), ("CCD_CONTROLS", word.capitalize())):
            found = self.get(prop)
            if found and element in found.elements:
                return prop, element
        vendor = re.compile(rf"([A-Z0-9]+_)?{word}", re.IGNORECASE)  # TC_OFFSET and its like
        for found in self._mirror.properties(self._name):
            if found.kind == "number" and found.writable:
                for element in found.elements:
                    if vendor.fullmatch(element):
                        return found.name, element
        return None

    def _no_control(self, word: str) -> tuple[str, str]:
        raise DeviceError(
            f"{self._name} has no {word}: looked for CCD_{word.upper()}.{word.upper()}, "
            f"CCD_CONTROLS.{word.capitalize()} and a vendor's …_{word.upper()}; leave {word} out of [camera]"
        )

    def _control(self, word: str) -> float | None:
        found = self._find_control(word)
        return self.number(*found) if found else None

    def _read_mode(self) -> str | None:
        for name in ("CCD_READ_MODE", "READ_MODE"):
            found = self.get(name)
            if found and found.kind == "switch" and (on := found.on()):
                return found.elements[on].label or on
            if found and found.kind == "number":
                return ", ".join(f"{element.value:g}" for element in found.elements.values())
        return None
