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
from acquire.indi.exposing import ABORT, EXPOSURE, IMAGE, ExposureWatch
from acquire.indi.frame_check import unlike_order
from acquire.indi.mirror import Link, NotInTimeError
from acquire.indi.properties import Blob
from library.frames import FrameKind

_FRAME_TYPE = {
    FrameKind.LIGHT: "FRAME_LIGHT",
    FrameKind.BIAS: "FRAME_BIAS",
    FrameKind.DARK: "FRAME_DARK",
    FrameKind.FLAT: "FRAME_FLAT",
    FrameKind.FLAT_DARK: "FRAME_DARK",
}
_COOLER_HOLDS_S = 2.0
_READOUT_MARGIN_S = 120.0
_ABORT_S, _FORGOTTEN_S = 15.0, 3.0
_TEMPERATURE = ("CCD_TEMPERATURE", "CCD_TEMPERATURE_VALUE")
_BLOCK = 2880


class IndiCamera(IndiDevice):
    """Implements :class:`acquire.devices.Camera` with the properties of INDI's CCD drivers."""

    ROLE = EXPOSURE[0]

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
        self._image_came = False

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
        self._image_came = False
        await self._apply(request)
        try:
            blob = await self._blob_of(request, on_progress)
        except DeviceLostError:
            raise
        except DeviceError as error:
            with contextlib.suppress(DeviceError):  # the first error is the one to tell
                await self.abort()
            raise ExposureFailedError(str(error)) from error
        self._image_came = True
        return RawFrame(
            fits=blob.data,
            gain=self._control("gain"),
            offset=self._control("offset"),
            sensor_temp_c=self.number(*_TEMPERATURE),
            read_mode=self._read_mode(),
        )

    async def abort(self) -> None:
        """Stop the exposure in progress, if any."""
        exposure = self.get(EXPOSURE[0])
        if exposure is None or exposure.state != "Busy" or self.get(ABORT) is None:
            return
        self._link.send(self._name, ABORT, {"ABORT": True})
        over = self._image_came  # then Busy is only what the driver forgot to take back
        try:
            await self.wait_for(
                lambda: self.need(EXPOSURE[0]).state != "Busy",
                "aborting the exposure",
                _FORGOTTEN_S if over else _ABORT_S,
            )
        except NotInTimeError:
            if not over:
                raise

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

    async def _blob_of(self, request: ExposureRequest, on_progress: Callable[[float], None]) -> Blob:
        """Start an exposure and wait for its image."""
        prop, element = EXPOSURE
        found = self.need(prop)
        exposure_s = max(request.exposure_s, found.elements[element].min)
        values: dict[str, float | str | bool] = {element: exposure_s}
        self.check_range(found, values)
        self._mirror.drop_blob(self._name, IMAGE)
        watch = ExposureWatch(
            self,
            self._mirror,
            self._clock,
            request.exposure_s,
            fault_of=lambda blob: self._fault_of(blob, exposure_s, request.binning),
            on_progress=on_progress,
        )
        self._link.send(self._name, prop, values)
        try:
            blob = await watch.image(request.exposure_s + self._readout_margin_s)
        finally:
            self._mirror.drop_blob(self._name, IMAGE)
        if fault := self._fault_of(blob, exposure_s, request.binning):
            raise ExposureFailedError(f"{self._name}: {fault}")
        return blob

    def _fault_of(self, blob: Blob, exposure_s: float, binning: int) -> str | None:
        """Why a BLOB is not the image that was ordered; ``None``: it is."""
        if not blob.data:
            return f"the image came short: {blob.arrived} of {blob.declared} bytes"
        if not blob.data.startswith(b"SIMPLE") or len(blob.data) % _BLOCK:
            return (
                f'the image is no whole FITS file ("{blob.format}", {len(blob.data)} bytes); '
                "set the driver's transfer format to FITS"
            )
        width, height = (self.number("CCD_FRAME", side) for side in ("WIDTH", "HEIGHT"))
        wrong = unlike_order(
            blob.data, binning=binning, width_px=width, height_px=height, exposure_s=exposure_s
        )
        return f"the image is not as ordered: {wrong}" if wrong else None

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
                values = [found.number(each) for each in found.elements]
                return ", ".join("?" if value is None else f"{value:g}" for value in values)
        return None
