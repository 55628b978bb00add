"""An INDI camera."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable

from acquire.clock import Clock
from acquire.devices import CameraLimits, CoolerStatus, ExposureRequest, Range, RawFrame
from acquire.errors import DeviceError, DeviceLostError, ExposureFailedError
from acquire.indi.cooler import TEMPERATURE, Cooler
from acquire.indi.device import IndiDevice
from acquire.indi.exposing import ABORT, EXPOSURE, IMAGE, ExposureWatch
from acquire.indi.frame_check import unlike_order
from acquire.indi.mirror import Link, NotInTimeError
from acquire.indi.properties import Blob
from library.errors import NotAFrameError
from library.formats.table import HEAD_BYTES, check_frame, reader_of
from library.frames import FrameKind

_FRAME_TYPE = {
    FrameKind.LIGHT: "FRAME_LIGHT",
    FrameKind.BIAS: "FRAME_BIAS",
    FrameKind.DARK: "FRAME_DARK",
    FrameKind.FLAT: "FRAME_FLAT",
    FrameKind.FLAT_DARK: "FRAME_DARK",
}
_READOUT_MARGIN_S = 120.0
_ABORT_S, _FORGOTTEN_S = 15.0, 3.0
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
        self._cooler = Cooler(self, self._mirror, clock)

    @property
    def has_cooler(self) -> bool:
        """Whether the sensor's temperature can be set."""
        found = self.get(TEMPERATURE[0])
        return found is not None and found.writable

    @property
    def limits(self) -> CameraLimits:
        """What it can be set to, as its driver says now."""
        gain, offset = (self._find_control(word) for word in ("gain", "offset"))
        return CameraLimits(
            exposure_s=self._range(*EXPOSURE) or Range(),
            gain=self._range(*gain) if gain else None,
            offset=self._range(*offset) if offset else None,
            binning=self._range("CCD_BINNING", "HOR_BIN"),
            temperature_c=self._range(*TEMPERATURE) if self.has_cooler else None,
            width_px=self.number("CCD_INFO", "CCD_MAX_X"),
            height_px=self.number("CCD_INFO", "CCD_MAX_Y"),
        )

    def _range(self, prop: str, element: str) -> Range | None:
        """What the driver takes; without an end where it gives none; ``None`` where it cannot be set."""
        found = self.get(prop)
        if found is None or not found.writable:
            return None
        limits = found.limits(element)
        return Range(*limits) if limits else Range()

    @property
    def exposing_s(self) -> float | None:
        """Seconds left of an exposure that runs now, whoever began it; ``None``: the camera is free."""
        exposure = self.get(EXPOSURE[0])
        if exposure is None or exposure.state != "Busy":
            return None
        return exposure.number(EXPOSURE[1]) or 0.0

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
        return await self._cooler.cool_to(
            temp_c,
            tolerance_c=tolerance_c,
            timeout_s=timeout_s,
            ramp_c_per_min=self._ramp_c_per_min,
            on_progress=on_progress,
        )

    async def warm_up(self, c_per_min: float, on_progress: Callable[[CoolerStatus, float], None]) -> None:
        """Let the sensor warm up no faster than that, then switch the cooler off, also if cancelled."""
        await self._cooler.warm_up(c_per_min, on_progress)

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
            sensor_temp_c=self.number(*TEMPERATURE),
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
        head = bytes(blob.data[:HEAD_BYTES])
        if reader_of(head) is not None:
            return None  # a camera's own raw file, say: whoever stores it will see whether it is whole
        try:
            check_frame("the image", head)
        except NotAFrameError as error:
            return f"{error}; set the driver's format to RAW or FITS (Capture Format, Image Type)"
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
