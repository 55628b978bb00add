"""An INDI filter wheel."""

from __future__ import annotations

from acquire.errors import DeviceError
from acquire.indi.device import IndiDevice
from acquire.indi.mirror import Link

_SLOT = ("FILTER_SLOT", "FILTER_SLOT_VALUE")


class IndiWheel(IndiDevice):
    """Implements :class:`acquire.devices.FilterWheel`; names come from FILTER_NAME, or else are numbers."""

    ROLE = "FILTER_SLOT"

    def __init__(self, link: Link, name: str, timeout_s: float = 90.0) -> None:
        super().__init__(link, name)
        self._timeout_s = timeout_s

    @property
    def filters(self) -> tuple[str, ...]:
        """Names by slot, first slot first."""
        names = self.get("FILTER_NAME")
        if names is not None and names.elements:
            return tuple(names.text(each) or str(slot) for slot, each in enumerate(names.elements, 1))
        slots = self.need(_SLOT[0]).limits(_SLOT[1])
        return tuple(str(slot) for slot in range(1, int(slots[1]) + 1)) if slots else ()

    async def select(self, filter_name: str) -> None:
        """Turn to the filter and return once it is in place."""
        if filter_name not in self.filters:
            raise DeviceError(f'{self._name} has no filter "{filter_name}"; it has {", ".join(self.filters)}')
        prop, element = _SLOT
        slot = float(1 + self.filters.index(filter_name))

        now = self.need(prop)
        if now.state in {"Ok", "Idle"} and now.number(element) == slot:
            return
        since = self._mirror.serial
        turning = False
        self._link.send(self._name, prop, {element: slot})

        def arrived() -> bool:
            nonlocal turning
            found = self.need(prop)
            if found.serial <= since:
                return False
            self.refuse_alert(found, f'turning to "{filter_name}"')
            if found.state == "Busy":
                turning = True
                return False
            stands = found.number(element)
            if turning and stands is not None and stands != slot:
                raise DeviceError(
                    f'{self._name} turned to slot {stands:g} and not to "{filter_name}" ({slot:g})'
                )
            return stands == slot

        await self.wait_for(arrived, f'turning to "{filter_name}"', self._timeout_s)
