"""A connection without a wire: what is sent is handed to the test, which plays the driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from acquire.clock import Clock
from acquire.indi.mirror import Mirror

Values = Mapping[str, object]


class FakeLink:
    """``driver`` is called with every order; it answers through :meth:`tell` and :meth:`blob`."""

    def __init__(self, clock: Clock) -> None:
        self.mirror = Mirror(clock)
        self.mirror.apply({"type": "connected"})
        self.sent: list[tuple[str, dict[str, object]]] = []
        self.driver: Callable[[str, Values], None] = lambda name, values: None
        self._known: dict[str, dict[str, Any]] = {}

    def send(self, device: str, name: str, values: Values) -> None:
        self.sent.append((name, dict(values)))
        asyncio.get_running_loop().call_soon(self.driver, name, values)

    def enable_blobs(self, device: str) -> None:
        self.sent.append(("enableBLOB", {"device": device}))

    def define(self, device: str, name: str, values: Values, *, state: str = "Idle", **more: Any) -> None:
        """Define a property; its kind follows from its values. ``limits`` are (min, max)."""
        first = next(iter(values.values()))
        kind = {bool: "switch", str: "text"}.get(type(first), "number")
        low, high = more.pop("limits", (0.0, 0.0))
        elements = [
            {
                "name": key,
                "value": float(value) if kind == "number" else value,
                "label": "",
                "min": low,
                "max": high,
            }
            for key, value in values.items()
            if isinstance(value, bool | str | int | float)
        ]
        message = {"type": "property", "device": device, "name": name, "kind": kind, "state": state}
        message |= {"permission": "rw", "timestamp": "", "elements": elements} | more
        self._known[name] = message
        self.mirror.apply(message)

    def tell(self, name: str, state: str, **values: object) -> None:
        """Update a property as a driver does."""
        message = self._known[name]
        if message["kind"] == "switch" and values:
            for element in message["elements"]:
                element["value"] = False
        for element in message["elements"]:
            element["value"] = values.get(element["name"], element["value"])
        self.mirror.apply(message | {"state": state})

    def take(self, name: str, values: Values) -> None:
        """Accept an order at once, as a well-behaved driver does."""
        self.tell(name, "Ok", **dict(values))

    def blob(self, device: str, data: bytes, declared: int | None = None) -> None:
        size = len(data) if declared is None else declared
        whole = data if len(data) >= size else b""
        message = {"type": "blob", "device": device, "name": "CCD1", "format": ".fits"}
        self.mirror.apply(message | {"declared": size, "arrived": len(data)}, whole)

    def say(self, device: str, text: str) -> None:
        self.mirror.apply({"type": "message", "device": device, "text": text})
