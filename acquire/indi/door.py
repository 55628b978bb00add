"""The one door through which a server's words become values: checked, with limits.

What does not fit is refused with a reason, and the property counts as one that the driver does not have.
So the devices need not expect a switch where the standard has a number, or a property without its element.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acquire.indi.properties import Blob, Element, Property, Value
from acquire.indi.wire import Message

MOST_DEVICES, MOST_PROPERTIES, MOST_ELEMENTS = 200, 2000, 1000
LONGEST_NAME, LONGEST_TEXT = 200, 2000
MOST_SLOTS = 1000
_STATES = frozenset({"Idle", "Ok", "Busy", "Alert"})
_PERMISSIONS = frozenset({"ro", "wo", "rw"})
_KINDS = frozenset({"number", "switch", "text", "light", "blob"})


class RefusedError(Exception):
    """What a server said is not taken in; says why."""


@dataclass(frozen=True, slots=True)
class _Standard:
    """What INDI's standard says of a property that we use, and the largest value that makes sense."""

    kind: str
    elements: tuple[str, ...] = ()
    largest: float = math.inf


_STANDARD: Mapping[str, _Standard] = {
    "CONNECTION": _Standard("switch", ("CONNECT", "DISCONNECT")),
    "DRIVER_INFO": _Standard("text"),
    "ACTIVE_DEVICES": _Standard("text"),
    "UPLOAD_MODE": _Standard("switch"),
    "CCD1": _Standard("blob"),
    "CCD_EXPOSURE": _Standard("number", ("CCD_EXPOSURE_VALUE",)),
    "CCD_ABORT_EXPOSURE": _Standard("switch", ("ABORT",)),
    "CCD_FRAME_TYPE": _Standard("switch"),
    "CCD_BINNING": _Standard("number", ("HOR_BIN", "VER_BIN"), 1000),
    "CCD_FRAME": _Standard("number", ("X", "Y", "WIDTH", "HEIGHT"), 1e6),
    "CCD_INFO": _Standard("number", (), 1e6),
    "CCD_TRANSFER_FORMAT": _Standard("switch"),
    "CCD_COMPRESSION": _Standard("switch"),
    "CCD_GAIN": _Standard("number"),
    "CCD_OFFSET": _Standard("number"),
    "CCD_CONTROLS": _Standard("number"),
    "CCD_TEMPERATURE": _Standard("number", ("CCD_TEMPERATURE_VALUE",)),
    "CCD_COOLER": _Standard("switch"),
    "CCD_COOLER_POWER": _Standard("number"),
    "CCD_TEMP_RAMP": _Standard("number", ("RAMP_SLOPE",)),
    "FILTER_SLOT": _Standard("number", ("FILTER_SLOT_VALUE",), MOST_SLOTS),
    "FILTER_NAME": _Standard("text"),
    "EQUATORIAL_EOD_COORD": _Standard("number", ("RA", "DEC"), 1e4),
    "GEOGRAPHIC_COORD": _Standard("number", ("LAT", "LONG"), 1e6),
    "ON_COORD_SET": _Standard("switch"),
    "TELESCOPE_PARK": _Standard("switch", ("PARK", "UNPARK")),
    "TELESCOPE_TRACK_STATE": _Standard("switch", ("TRACK_ON", "TRACK_OFF")),
}


def checked_property(message: Message, serial: int) -> Property:
    """Make a value of what the worker tells of a property. Raises :class:`RefusedError`."""
    name = checked_name(message["name"], "a property's name")
    kind = message["kind"]
    if kind not in _KINDS or message["state"] not in _STATES or message["permission"] not in _PERMISSIONS:
        raise RefusedError("it has a type, state or permission that INDI does not know")
    told = message["elements"]
    if len(told) > MOST_ELEMENTS:
        raise RefusedError(f"it has more than {MOST_ELEMENTS} elements")
    elements = {checked_name(each["name"], "an element's name"): _element(kind, each) for each in told}
    if standard := _STANDARD.get(name):
        _require(standard, kind, elements)
    return Property(
        device=checked_name(message["device"], "a device's name"),
        name=name,
        kind=kind,
        state=message["state"],
        permission=message["permission"],
        elements=elements,
        timestamp=clean(message["timestamp"]),
        serial=serial,
    )


def checked_blob(message: Message, payload: bytes, serial: int) -> Blob:
    """Make a value of a BLOB; its name must be one. Raises :class:`RefusedError`."""
    checked_name(message["device"], "a device's name")
    checked_name(message["name"], "a property's name")
    return Blob(
        data=payload,
        format=clean(message["format"])[:40],
        declared=int(message["declared"]),
        arrived=int(message["arrived"]),
        serial=serial,
    )


def checked_name(text: Any, what: str) -> str:
    """Take a name of reasonable length that can be printed. Raises :class:`RefusedError`."""
    if not isinstance(text, str) or not text:
        raise RefusedError(f"{what} is missing")
    if len(text) > LONGEST_NAME:
        raise RefusedError(f"{what} has more than {LONGEST_NAME} characters")
    if not text.isprintable():
        raise RefusedError(f"{what} has characters that cannot be printed")
    return text


def clean(text: Any) -> str:
    """Any text, made fit for a log, a header and JSON: printable, and no longer than it needs to be."""
    kept = text[:LONGEST_TEXT] if isinstance(text, str) else ""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in kept)


def shown(text: Any) -> str:
    """A name as a line of the log shows it, whatever it holds."""
    word = clean(text)
    return word if len(word) <= 60 else f"{word[:60]}…"


def _element(kind: str, told: Message) -> Element:
    value: Value = None
    if kind == "number":
        value = _number(told["value"])
        low, high = _number(told["min"]), _number(told["max"])
        if not low < high:  # so they are if the driver gives none; and NaN is no limit
            low = high = 0.0
        return Element(value=value, label=clean(told["label"]), min=low, max=high)
    if kind == "switch":
        value = told["value"] is True
    elif kind in {"text", "light"}:
        value = clean(told["value"])
    return Element(value=value, label=clean(told["label"]))


def _number(value: Any) -> float:
    """A finite number, or NaN for what is none: no reading."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:  # a whole number with hundreds of digits
        return math.nan


def _require(standard: _Standard, kind: str, elements: Mapping[str, Element]) -> None:
    if kind != standard.kind:
        raise RefusedError(f"it is a {kind}; INDI's standard has a {standard.kind} of this name")
    missing = [name for name in standard.elements if name not in elements]
    if missing:
        raise RefusedError(f"it has no element {', '.join(missing)}")
    for name, element in elements.items():
        for value in (element.value, element.max):
            if isinstance(value, float) and abs(value) > standard.largest:
                raise RefusedError(f"its {name} of {value:g} makes no sense (more than {standard.largest:g})")
