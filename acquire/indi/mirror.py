"""What the server has told so far: devices, their properties, BLOBs; and waiting for it to tell more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from acquire.clock import Clock
from acquire.errors import DeviceError, DeviceLostError
from acquire.indi.door import (
    MOST_DEVICES,
    MOST_PROPERTIES,
    RefusedError,
    checked_blob,
    checked_name,
    checked_property,
    clean,
    shown,
)
from acquire.indi.properties import Blob, Property
from acquire.indi.wire import Message

_T = TypeVar("_T")
_MESSAGES_KEPT = 5
_MOST_ALIKE, _MOST_REASONS = 3, 30
"""Lines for one reason of refusal, and reasons, that are told."""


class Link(Protocol):
    """What a device needs of the connection."""

    @property
    def mirror(self) -> Mirror:
        """What the server has told."""

    def send(self, device: str, name: str, values: Mapping[str, object]) -> None:
        """Ask for new values. Raises :class:`DeviceLostError` without a connection."""

    def enable_blobs(self, device: str) -> None:
        """Ask for the device's BLOBs."""


class NotInTimeError(DeviceError):
    """What was waited for has not happened in the time allowed."""


class _Waiter(Generic[_T]):
    def __init__(self, look: Callable[[], _T | None], device: str) -> None:
        self.device = device
        self._look = look
        self.future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

    def check(self) -> None:
        """Look once more; what ``look`` raises is what the waiting one gets."""
        if self.future.done():
            return
        try:
            seen = self._look()
        except Exception as error:  # noqa: BLE001 - it is the waiting one's, and must not end the link
            self.future.set_exception(error)
            return
        if seen is not None and seen is not False:
            self.future.set_result(seen)

    def fail(self, error: DeviceError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Mirror:
    """Filled by the link, read by the devices, in one event loop.

    All that comes in is checked at the door (:mod:`acquire.indi.door`); ``on_refused`` gets one line for what
    is refused there, once for each thing.
    """

    def __init__(self, clock: Clock, on_refused: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._on_refused = on_refused or (lambda _line: None)
        self._refused: dict[str, set[str]] = {}
        self._properties: dict[str, dict[str, Property]] = {}
        self._blobs: dict[tuple[str, str], Blob] = {}
        self._messages: dict[str, list[str]] = {}
        self._waiters: set[_Waiter[Any]] = set()
        self._lost: str | None = "not connected yet"
        self.serial = 0

    # -- reading -------------------------------------------------------------------------------

    @property
    def lost(self) -> str | None:
        """Why there is no connection, or ``None``."""
        return self._lost

    def devices(self) -> tuple[str, ...]:
        """Names of the devices that have been defined."""
        return tuple(self._properties)

    def properties(self, device: str) -> Iterator[Property]:
        """Everything that the device has defined."""
        return iter(self._properties.get(device, {}).values())

    def get(self, device: str, name: str) -> Property | None:
        """One property, if it is defined now."""
        return self._properties.get(device, {}).get(name)

    def blob(self, device: str, name: str) -> Blob | None:
        """The newest BLOB of a property that has not been dropped."""
        return self._blobs.get((device, name))

    def drop_blob(self, device: str, name: str) -> None:
        """Forget a BLOB; they are large."""
        self._blobs.pop((device, name), None)

    def last_message(self, device: str) -> str:
        """What the driver said last, for the reason of a failure."""
        return (self._messages.get(device) or [""])[-1]

    async def wait_for(
        self, look: Callable[[], _T | None], *, device: str, what: str, timeout_s: float
    ) -> _T:
        """Return the first thing that ``look`` finds, looking after everything that the server tells.

        Raises :class:`DeviceLostError` when the connection or the device goes away, and
        :class:`NotInTimeError` saying ``what`` after ``timeout_s``.
        """
        if self._lost is not None:
            raise DeviceLostError(self._lost)
        waiter = _Waiter(look, device)
        waiter.check()
        if waiter.future.done():
            return waiter.future.result()
        said = f"{device}: {what} has not happened within {timeout_s:g} s"
        timer = asyncio.ensure_future(self._clock.sleep(timeout_s))
        timer.add_done_callback(lambda _: waiter.fail(NotInTimeError(said + self._driver_says(device))))
        self._waiters.add(waiter)
        try:
            return await waiter.future
        finally:
            self._waiters.discard(waiter)
            timer.cancel()

    def _driver_says(self, device: str) -> str:
        last = self.last_message(device)
        return f" (the driver says: {last})" if last else ""

    # -- filling -------------------------------------------------------------------------------

    def apply(self, message: Message, payload: bytes = b"") -> None:
        """Take one message of the worker in and wake whoever waited for it."""
        self.serial += 1
        try:
            self._take(message, payload)
        except RefusedError as error:
            self._refuse(message, str(error))
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self._refuse(message, f"it cannot be understood ({type(error).__name__})")
        for waiter in tuple(self._waiters):
            waiter.check()

    def _take(self, message: Message, payload: bytes) -> None:
        kind = message["type"]
        if kind == "connected":
            self._lost = None
        elif kind == "property":
            self._define(checked_property(message, self.serial))
        elif kind == "blob":
            self._blobs[message["device"], message["name"]] = checked_blob(message, payload, self.serial)
        elif kind == "message" and message["device"]:
            device = checked_name(message["device"], "a device's name")
            if device in self._properties:
                said = self._messages.setdefault(device, [])
                said.append(clean(message["text"]))
                del said[:-_MESSAGES_KEPT]
        elif kind == "deleted":
            self._delete(message["device"], message["name"])
        elif kind == "error":
            raise RefusedError(clean(message["reason"]))

    def _refuse(self, message: Message, reason: str) -> None:
        """Say once what is not taken in; what was known under its name is known no more."""
        device, name = (
            str(message.get(key) or message.get(other) or "")
            for key, other in (("device", "device"), ("name", "where"))
        )
        if message["type"] == "property" and device in self._properties:
            self._properties[device].pop(name, None)
        what = " ".join(shown(part) for part in (device, name) if part)
        line = f"the INDI server's {what or message['type']} is not used: {reason}"
        told = self._refused.setdefault(reason, set())
        if line in told or len(told) >= _MOST_ALIKE or len(self._refused) > _MOST_REASONS:
            return
        told.add(line)
        more = "; others like it are not told" if len(told) == _MOST_ALIKE else ""
        self._on_refused(line + more)

    def lose(self, reason: str) -> None:
        """Forget everything: the connection is gone, and whoever waits learns it."""
        self._lost = reason
        self._properties.clear()
        self._blobs.clear()
        self._messages.clear()
        for waiter in tuple(self._waiters):
            waiter.fail(DeviceLostError(reason))

    def _define(self, prop: Property) -> None:
        if prop.device not in self._properties and len(self._properties) >= MOST_DEVICES:
            raise RefusedError(f"there are more than {MOST_DEVICES} devices")
        known = self._properties.setdefault(prop.device, {})
        if prop.name not in known and len(known) >= MOST_PROPERTIES:
            raise RefusedError(f"the device has more than {MOST_PROPERTIES} properties")
        known[prop.name] = prop

    def _delete(self, device: str, name: str | None) -> None:
        left = self._properties.get(device, {})
        if name is not None:
            left.pop(name, None)
        if name is None or not left:
            self._properties.pop(device, None)
            for waiter in tuple(self._waiters):
                if waiter.device == device:
                    waiter.fail(DeviceLostError(f"{device} went away: its driver has ended"))
