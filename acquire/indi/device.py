"""What camera, wheel and mount have in common: asking for values and waiting for the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from acquire.errors import DeviceError, DeviceLostError
from acquire.indi.mirror import Link, Mirror
from acquire.indi.properties import Property

_T = TypeVar("_T")
Value = float | str | bool
_ANSWER_S = 15.0


class IndiDevice:
    """One device by its name. Nothing of its state is kept here: the mirror has it.

    ``ROLE`` is the property that the device has while it is connected, and at no other time.
    """

    ROLE = "CONNECTION"

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._mirror = link.mirror
        self._name = name

    @property
    def name(self) -> str:
        """The device's name as the server has it."""
        return self._name

    @property
    def mirror(self) -> Mirror:
        """What the server has told."""
        return self._mirror

    def get(self, prop: str) -> Property | None:
        """One property, if the driver has defined it."""
        return self._mirror.get(self._name, prop)

    def need(self, prop: str) -> Property:
        """One property that must be there.

        Raises :class:`DeviceLostError` if the device is not connected, and :class:`DeviceError` if it is, and
        has no such property.
        """
        found = self.get(prop)
        if found is not None:
            return found
        if self._mirror.lost or self.get(self.ROLE) is None:
            raise DeviceLostError(self._mirror.lost or f"{self._name} has no {prop} now: it is not connected")
        raise DeviceError(f"{self._name} has no {prop}")

    def number(self, prop: str, element: str) -> float | None:
        """One number, if the driver has it and it is one: a sensor that cannot be read is often NaN."""
        found = self.get(prop)
        return found.number(element) if found else None

    def send(self, prop: str, values: Mapping[str, Value]) -> None:
        """Ask for new values and return at once."""
        self._link.send(self._name, prop, values)

    async def set(self, prop: str, values: dict[str, Value], *, timeout_s: float = _ANSWER_S) -> None:
        """Give a property values, unless it has them already, and wait until the driver has taken them."""
        found = self.need(prop)
        if found.state != "Alert" and _has(found, values):
            return
        self.check_range(found, values)
        since = self._mirror.serial
        self._link.send(self._name, prop, values)

        def taken() -> bool:
            now = self.need(prop)
            if now.serial <= since:
                return False
            self.refuse_alert(now, f"{prop} = {', '.join(map(str, values.values()))}")
            # A cooler's switch stays Busy while it cools: that it is on is answer enough.
            return now.state != "Busy" or _has(now, values)

        await self.wait_for(taken, f"setting {prop}", timeout_s)

    async def press(self, prop: str, *wanted: str) -> None:
        """Turn on the first of these switches that the driver has, if it has any and it is off."""
        found = self.get(prop)
        element = next((name for name in wanted if found and name in found.elements), None)
        if element is not None:
            await self.set(prop, {element: True})

    async def wait_for(self, look: Callable[[], _T | None], what: str, timeout_s: float) -> _T:
        """Wait for something of this device, see :meth:`Mirror.wait_for`."""
        return await self._mirror.wait_for(look, device=self._name, what=what, timeout_s=timeout_s)

    def refuse_alert(self, found: Property, what: str, error: type[DeviceError] = DeviceError) -> None:
        """Raise if the driver has put the property into Alert."""
        if found.state == "Alert":
            said = self._mirror.last_message(self._name)
            raise error(
                f"{self._name} refuses {what}" + (f": {said}" if said else f" ({found.name} is in Alert)")
            )

    def check_range(self, found: Property, values: dict[str, Value]) -> None:
        """Raise if a number is outside of what the driver allows: it would ignore it without a word."""
        for name, value in values.items():
            element = found.elements.get(name)
            if element is None:
                raise DeviceError(
                    f"{self._name} has no {found.name}.{name}; it has {', '.join(found.elements)}"
                )
            limited = found.kind == "number" and element.max > element.min
            if limited and not element.min <= float(value) <= element.max:
                raise DeviceError(
                    f"{self._name} takes {found.name}.{name} from {element.min:g} to {element.max:g}, "
                    f"not {value:g}"
                )


def _has(found: Property, values: dict[str, Value]) -> bool:
    return all(_same(found, name, value) for name, value in values.items())


def _same(found: Property, name: str, value: Value) -> bool:
    element = found.elements.get(name)
    if element is None:
        return False
    if isinstance(element.value, float) and not isinstance(value, str):
        return math.isclose(element.value, value, rel_tol=1e-6, abs_tol=1e-9)
    return bool(element.value == value)
