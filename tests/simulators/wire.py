"""A client of a few lines: a socket, the standard library's XML parser, and no INDI library at all."""

from __future__ import annotations

import base64
import socket
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any, Self, cast
from xml.sax.saxutils import quoteattr

CAMERA, WHEEL, MOUNT = "firstlight CCD", "firstlight Wheel", "firstlight Mount"
FOCUSER, PANEL = "firstlight Focuser", "firstlight Panel"


class Wire:
    """Reads what the server says, element by element, and remembers each property's last element."""

    def __init__(self, port: int, patience_s: float = 60.0) -> None:
        self._deadline = patience_s
        self.socket = _connect(port, patience_s)
        self._parser: ET.XMLPullParser[Any] = ET.XMLPullParser(events=("start", "end"))
        self._parser.feed(b"<root>")
        self._depth = 0
        self._pending: list[ET.Element] = []
        self.definitions: dict[tuple[str, str], ET.Element] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, xml: str) -> None:
        """Send XML as it is."""
        self.socket.sendall(xml.encode())

    def new(self, kind: str, device: str, name: str, **values: object) -> None:
        """Set members of a Number, Switch or Text property."""
        self.send(new(kind, device, name, **values))

    def wait(self, wanted: Callable[[ET.Element], bool]) -> ET.Element:
        """The next element that is wanted; what comes before it is gone."""
        end = time.monotonic() + self._deadline
        while True:
            while self._pending:
                element = self._pending.pop(0)
                if wanted(element):
                    return element
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            data = self.socket.recv(1 << 20)
            if not data:
                raise EOFError("the server hung up")
            self._parser.feed(data)
            for what, element in cast(Iterator[tuple[str, ET.Element]], self._parser.read_events()):
                self._depth += 1 if what == "start" else -1
                if what == "end" and self._depth == 1:
                    self._pending.append(element)
                    if element.tag.startswith("def"):
                        self.definitions[element.get("device", ""), element.get("name", "")] = element

    def state(self, device: str, name: str, state: str) -> ET.Element:
        """Wait until a property reports a state."""
        return self.wait(
            lambda e: (
                e.tag.startswith("set")
                and (e.get("device"), e.get("name"), e.get("state")) == (device, name, state)
            )
        )

    def connect(self, *devices: str) -> None:
        """Connect devices, and take their BLOBs."""
        self.send("<getProperties version='1.7'/>")
        for device in devices:
            while (device, "CONNECTION") not in self.definitions:
                self.wait(lambda e: e.tag.startswith("def"))
            self.send(f"<enableBLOB device='{device}'>Also</enableBLOB>")
            self.new("Switch", device, "CONNECTION", CONNECT="On")
            self.state(device, "CONNECTION", "Ok")

    def shoot(self, exposure_s: float, kind: str = "LIGHT") -> bytes:
        """One exposure of the camera: the FITS file."""
        self.new("Switch", CAMERA, "CCD_FRAME_TYPE", **{f"FRAME_{kind}": "On"})
        self.state(CAMERA, "CCD_FRAME_TYPE", "Ok")
        self.new("Number", CAMERA, "CCD_EXPOSURE", CCD_EXPOSURE_VALUE=exposure_s)
        blob = self.wait(lambda e: e.tag == "setBLOBVector")[0]
        content = base64.b64decode(blob.text or "")
        assert blob.get("format") == ".fits"
        assert int(blob.get("size", "0")) == len(content)
        self.state(CAMERA, "CCD_EXPOSURE", "Ok")
        return content


def new(kind: str, device: str, name: str, **values: object) -> str:
    """The order that sets members of a Number, Switch or Text property."""
    members = "".join(f"<one{kind} name={quoteattr(k)}>{v}</one{kind}>" for k, v in values.items())
    return f"<new{kind}Vector device={quoteattr(device)} name='{name}'>{members}</new{kind}Vector>"


def values(element: ET.Element) -> dict[str, str]:
    """A property's members by name."""
    return {member.get("name", ""): (member.text or "").strip() for member in element}


def _connect(port: int, patience_s: float) -> socket.socket:
    """Connect as soon as somebody listens."""
    end = time.monotonic() + patience_s
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=patience_s)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)  # another process's start cannot be injected
