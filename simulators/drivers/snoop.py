"""What the camera overhears: where the mount looks, the filter, the focus, what covers the telescope."""

from __future__ import annotations

from typing import Any

from indipydriver import IPyDriver

from simulators.cover import Cover
from simulators.fitsfile import Snooped
from simulators.focus import FocusState
from simulators.mount_model import Aim, MountErrors, Mounting

_OF_MOUNT = (
    "EQUATORIAL_EOD_COORD",
    "TELESCOPE_PIER_SIDE",
    "GEOGRAPHIC_COORD",
    "MOUNT_AIM",
    "MOUNT_ERRORS",
)
_OF_WHEEL = ("FILTER_SLOT", "FILTER_NAME")
_OF_FOCUSER = ("ABS_FOCUS_POSITION", "FOCUS_TEMPERATURE", "FOCUSER_DRAWTUBE")
_OF_PANEL = ("CAP_PARK", "FLAT_LIGHT_CONTROL", "FLAT_LIGHT_INTENSITY")


class Neighbours:
    """The last values heard from the devices that ``ACTIVE_DEVICES`` names."""

    def __init__(self, driver: IPyDriver, active_devices: Any) -> None:
        self._driver = driver
        self._active = active_devices
        self._heard: dict[tuple[str, str], dict[str, str]] = {}

    async def ask(self) -> None:
        """Subscribe; the devices that are there answer with their present values."""
        for device, properties in self._wanted():
            for name in properties if device else ():
                await self._driver.send_getProperties(device, name)

    def hear(self, event: Any) -> None:
        """Remember what a device said; values come whole or in part."""
        for device, properties in self._wanted():
            if event.devicename == device and event.vectorname in properties:
                known = self._heard.setdefault((device, event.vectorname), {})
                if hasattr(event, "items"):
                    # The stock server wraps every value in newlines.
                    known.update((name, value.strip()) for name, value in event.items())
                else:
                    known.clear()

    def heard(self) -> Snooped:
        """What is known now."""
        mount, wheel = self._active["ACTIVE_TELESCOPE"], self._active["ACTIVE_FILTER"]
        place = self._heard.get((mount, "EQUATORIAL_EOD_COORD"), {})
        sides = self._heard.get((mount, "TELESCOPE_PIER_SIDE"), {})
        slot = self._heard.get((wheel, "FILTER_SLOT"), {}).get("FILTER_SLOT_VALUE")
        names = self._heard.get((wheel, "FILTER_NAME"), {})
        number = self._driver.indi_number_to_float
        jnow_deg = None
        if "RA" in place and "DEC" in place:
            jnow_deg = (number(place["RA"]) * 15.0, number(place["DEC"]))
        side = next((name for name, value in sides.items() if value == "On"), None)
        return Snooped(
            jnow_deg=jnow_deg,
            filter_name=None if slot is None else names.get(f"FILTER_SLOT_NAME_{round(number(slot))}"),
            pier_side=None if side is None else side.removeprefix("PIER_"),
            mounting=self._mounting(mount),
            focus=self._focus(self._active["ACTIVE_FOCUSER"]),
            cover=self._cover(self._active["ACTIVE_FLAT"]),
        )

    def _focus(self, focuser: str) -> FocusState | None:
        """Where the drawtube is; of a focuser that is not ours, where it says to be."""
        told = self._heard.get((focuser, "ABS_FOCUS_POSITION"), {}).get("FOCUS_ABSOLUTE_POSITION")
        steps = self._heard.get((focuser, "FOCUSER_DRAWTUBE"), {}).get("STEPS", told)
        tube = self._heard.get((focuser, "FOCUS_TEMPERATURE"), {}).get("TEMPERATURE")
        if steps is None or tube is None:
            return None
        number = self._driver.indi_number_to_float
        return FocusState(position_steps=number(steps), tube_c=number(tube))

    def _cover(self, panel: str) -> Cover | None:
        cap = self._heard.get((panel, "CAP_PARK"), {})
        light = self._heard.get((panel, "FLAT_LIGHT_CONTROL"), {})
        level = self._heard.get((panel, "FLAT_LIGHT_INTENSITY"), {}).get("FLAT_LIGHT_INTENSITY_VALUE")
        if not cap or not light or level is None:
            return None
        on = light.get("FLAT_LIGHT_ON") == "On"
        return Cover(cap.get("PARK") == "On", self._driver.indi_number_to_float(level) / 255 if on else 0.0)

    def _mounting(self, mount: str) -> Mounting | None:
        aim, errors, site = (
            {key: self._driver.indi_number_to_float(text) for key, text in known.items()}
            for name in ("MOUNT_AIM", "MOUNT_ERRORS", "GEOGRAPHIC_COORD")
            for known in (self._heard.get((mount, name), {}),)
        )
        if not aim.get("AT_S") or not errors or not site:
            return None
        flags = {name.lower(): bool(aim.pop(name)) for name in ("TRACKING", "ALTAZ", "FLIPPED")}
        return Mounting(
            Aim(**{name.lower(): value for name, value in aim.items()}, **flags),
            MountErrors(**{name.lower(): value for name, value in errors.items()}),
            site["LAT"],
            site["LONG"],
        )

    def _wanted(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (
            (self._active["ACTIVE_TELESCOPE"], _OF_MOUNT),
            (self._active["ACTIVE_FILTER"], _OF_WHEEL),
            (self._active["ACTIVE_FOCUSER"], _OF_FOCUSER),
            (self._active["ACTIVE_FLAT"], _OF_PANEL),
        )
