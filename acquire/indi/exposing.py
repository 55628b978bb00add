"""One exposure on its way: from the order to the image, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Literal

from acquire.clock import Clock
from acquire.errors import ExposureFailedError
from acquire.indi.device import IndiDevice
from acquire.indi.mirror import Mirror, NotInTimeError
from acquire.indi.properties import Blob, Property

IMAGE = "CCD1"
EXPOSURE = ("CCD_EXPOSURE", "CCD_EXPOSURE_VALUE")
ABORT = "CCD_ABORT_EXPOSURE"
_UNANNOUNCED_S = 1.0
"""Exposures up to this long may be over before the driver has said Busy."""
_LAST_WORD_S = 2.0
"""How long after an image (or an Idle without one) the driver may still say more."""
_EARLIEST, _EARLIEST_S = 0.9, 0.5
"""An image that comes before this share of its exposure, less so many seconds, is an earlier one's."""


class _Open(Enum):
    OPEN = "the driver may still say how it ended"


class ExposureWatch:
    """Watches CCD_EXPOSURE and the BLOB after an order, and decides when the image has come.

    The rule is: the BLOB and CCD_EXPOSURE Ok, in whichever order. A whole image that is as ordered also
    counts when CCD_EXPOSURE stays Busy, turns Idle, or goes into Alert after it; not so after an abort.
    """

    def __init__(
        self,
        camera: IndiDevice,
        mirror: Mirror,
        clock: Clock,
        exposure_s: float,
        *,
        fault_of: Callable[[Blob], str | None],
        on_progress: Callable[[float], None],
    ) -> None:
        self._camera, self._mirror, self._clock = camera, mirror, clock
        self._exposure_s = exposure_s
        self._fault_of = fault_of
        self._on_progress = on_progress
        self._since = self._told = mirror.serial
        self._started_s = clock.monotonic()
        self._began: int | None = None
        self._candidate: int | None = None
        self._candidate_s = 0.0
        self._left_open: set[object] = set()

    async def image(self, timeout_s: float) -> Blob:
        """Return the image. Raises :class:`ExposureFailedError` or another ``DeviceError``."""
        what = f"the image of an exposure of {self._exposure_s:g} s"
        deadline_s = self._started_s + timeout_s
        while True:
            seen = await self._camera.wait_for(self._look, what, deadline_s - self._clock.monotonic())
            if isinstance(seen, Blob):
                return seen
            try:
                return await self._camera.wait_for(self._last_word, what, _LAST_WORD_S)
            except NotInTimeError:
                if blob := self._good_in_hand():
                    return blob
                if self._camera.need(EXPOSURE[0]).state == "Idle":
                    raise self._aborted() from None

    def _look(self) -> Blob | Literal[_Open.OPEN] | None:
        """The image; or OPEN for what gets a little time to end in order, once each; or nothing yet."""
        exposure = self._camera.need(EXPOSURE[0])
        blob = self._blob()
        if exposure.serial > self._since:
            if blob and self._ended_well(exposure, blob):
                return blob
            if exposure.state == "Alert":
                if good := self._good_in_hand():
                    return good
                what = f"an exposure of {self._exposure_s:g} s"
                self._camera.refuse_alert(exposure, what, ExposureFailedError)
            if exposure.state == "Busy":
                self._note_busy(exposure)
            elif self._was_aborted():
                raise self._aborted()
            elif exposure.state == "Idle" and self._began is not None:
                return self._once(("idle", exposure.serial))
        if self._blob() and self._good_in_hand():
            return self._once(("image", self._candidate))
        return None

    def _last_word(self) -> Blob | None:
        seen = self._look()
        return seen if isinstance(seen, Blob) else None

    def _once(self, key: object) -> Literal[_Open.OPEN] | None:
        if key in self._left_open:
            return None
        self._left_open.add(key)
        return _Open.OPEN

    def _blob(self) -> Blob | None:
        """The newest BLOB since the order, and note when it came."""
        blob = self._mirror.blob(self._camera.name, IMAGE)
        if blob is None or blob.serial <= self._since:
            return None
        if blob.serial != self._candidate:
            self._candidate, self._candidate_s = blob.serial, self._clock.monotonic()
        return blob

    def _ended_well(self, exposure: Property, blob: Blob) -> bool:
        if exposure.state != "Ok" or self._was_aborted():
            return False
        if self._began is None and self._exposure_s > _UNANNOUNCED_S:
            return False  # the echo of an earlier exposure
        return blob.serial > (self._began or self._since)

    def _good_in_hand(self) -> Blob | None:
        """A BLOB that counts without CCD_EXPOSURE's word: whole, as ordered, and not too early."""
        blob = self._blob()
        early_s = self._started_s + _EARLIEST * self._exposure_s - _EARLIEST_S - self._candidate_s
        if blob is None or early_s > 0 or self._was_aborted() or self._fault_of(blob):
            return None
        return blob

    def _note_busy(self, exposure: Property) -> None:
        """Tell the seconds left; an image that came before more of them were left is an earlier one's."""
        self._began = self._began or exposure.serial
        left_s, blob = exposure.number(EXPOSURE[1]), self._blob()
        if left_s is None:
            return
        if exposure.serial > self._told:
            self._told = exposure.serial
            self._on_progress(left_s)
        if blob and blob.serial < exposure.serial and left_s > 0 and not self._good_in_hand():
            self._mirror.drop_blob(self._camera.name, IMAGE)

    def _was_aborted(self) -> bool:
        """Whether somebody, us or another client, aborted it."""
        abort = self._camera.get(ABORT)
        return abort is not None and self._began is not None and abort.serial > self._began

    def _aborted(self) -> ExposureFailedError:
        return ExposureFailedError(f"{self._camera.name}: the exposure of {self._exposure_s:g} s was aborted")
