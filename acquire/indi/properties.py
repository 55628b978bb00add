"""Properties and BLOBs as values: what the mirror holds and the devices read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

Value = float | bool | str | None
"""Of a number (NaN: no reading), a switch, a text or light, a BLOB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One value of a property; numbers have limits (both 0 where the driver gives none)."""

    value: Value
    label: str = ""
    min: float = 0.0
    max: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property as last told. ``serial`` grows with every message, so that "since" can be asked."""

    device: str
    name: str
    kind: str
    state: str
    permission: str
    elements: Mapping[str, Element]
    timestamp: str
    serial: int

    @property
    def writable(self) -> bool:
        """Whether it may be set."""
        return self.permission != "ro"

    def on(self) -> str | None:
        """Name of the first switch that is on."""
        return next((name for name, element in self.elements.items() if element.value is True), None)

    def number(self, name: str) -> float | None:
        """One number; ``None`` where it is absent or NaN (a sensor without a reading)."""
        element = self.elements.get(name)
        value = element.value if element else None
        return value if isinstance(value, float) and math.isfinite(value) else None

    def text(self, name: str) -> str:
        """One text; empty where it is absent."""
        element = self.elements.get(name)
        value = element.value if element else None
        return value if isinstance(value, str) else ""

    def limits(self, name: str) -> tuple[float, float] | None:
        """Smallest and largest value that the driver takes; ``None`` where it gives no limits."""
        element = self.elements.get(name)
        return (element.min, element.max) if element and element.max > element.min else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """One BLOB; ``data`` is empty when fewer bytes arrived than were declared."""

    data: bytes
    format: str
    declared: int
    arrived: int
    serial: int
