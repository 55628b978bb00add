"""One INDI connection in a process of its own: ``python -m acquire.indi.worker HOST PORT FD``.

PyIndi is C++ behind SWIG; a segfault in it ends this process and nothing else. The process mirrors one
connection onto the socket FD and ends with it. It never reconnects: its parent starts another one.

To the parent (see :mod:`acquire.indi.wire`): ``connected``, ``failed``, ``disconnected``, ``property``
(defined or updated), ``deleted``, ``message``, ``error``, and ``blob``, whose payload is the BLOB as it came,
or nothing if it came short. From the parent: ``new`` values for a property, and ``blobs`` of a device.

Nothing goes to stdout: the library prints there. Callbacks run on the library's own thread; the main
thread only reads the socket. An exception that left a callback would end the process, so none does.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import PyIndi

from acquire.indi.sieve import Gauge, Sieve
from acquire.indi.wire import PREFIX, Message, pack, unpack

_Self = TypeVar("_Self", bound="_Connection")
_PERMISSIONS = {PyIndi.IP_RO: "ro", PyIndi.IP_WO: "wo", PyIndi.IP_RW: "rw"}
_CONNECT_S = 20.0
_TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+: ")  # that the library puts before a message
_KINDS = {
    PyIndi.INDI_NUMBER: "number",
    PyIndi.INDI_SWITCH: "switch",
    PyIndi.INDI_TEXT: "text",
    PyIndi.INDI_LIGHT: "light",
    PyIndi.INDI_BLOB: "blob",
}


def _guarded(callback: Callable[..., None]) -> Callable[..., None]:
    """Report what goes wrong in a callback instead of letting it reach the C++ side."""

    @functools.wraps(callback)
    def wrapper(self: _Connection, *args: Any) -> None:
        try:
            callback(self, *args)
        except OSError:
            os._exit(0)  # the parent is gone: nobody is left to tell, and the kernel closes the connection
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the C++ side
            self.report({"type": "error", "where": callback.__name__, "reason": repr(error)})

    return wrapper


class _Connection(PyIndi.BaseClient):
    """Callbacks that become frames on the socket."""

    def __init__(self, parent: socket.socket, gauge: Gauge) -> None:
        super().__init__()
        self._gauge = gauge
        self._parent = parent
        self._sending = threading.Lock()
        self._properties: dict[tuple[str, str], PyIndi.Property] = {}
        self.gone = threading.Event()

    def report(self, message: Message, payload: bytes | bytearray = b"") -> None:
        """Send one frame; safe from any thread."""
        with self._sending:
            self._parent.sendall(pack(message, len(payload)))
            if payload:
                self._parent.sendall(payload)

    # -- callbacks, on the library's thread ------------------------------------------------------

    @_guarded
    def serverConnected(self) -> None:  # noqa: N802 - PyIndi's name
        """The server answers; its devices follow."""
        self.report({"type": "connected"})

    @_guarded
    def newProperty(self, prop: PyIndi.Property) -> None:  # noqa: N802 - PyIndi's name
        """A property is defined."""
        self._properties[prop.getDeviceName(), prop.getName()] = prop
        self._tell(prop)

    @_guarded
    def updateProperty(self, prop: PyIndi.Property) -> None:  # noqa: N802 - PyIndi's name
        """A property has new values, or a BLOB has come."""
        if prop.getType() == PyIndi.INDI_BLOB:
            self._report_blobs(prop)
        self._tell(prop)

    @_guarded
    def removeProperty(self, prop: PyIndi.Property) -> None:  # noqa: N802 - PyIndi's name
        """A property is gone."""
        device, name = prop.getDeviceName(), prop.getName()
        self._properties.pop((device, name), None)
        self.report({"type": "deleted", "device": device, "name": name})

    @_guarded
    def removeDevice(self, device: PyIndi.BaseDevice) -> None:  # noqa: N802 - PyIndi's name
        """A whole device is gone: its driver ended."""
        self.report({"type": "deleted", "device": device.getDeviceName(), "name": None})

    @_guarded
    def newMessage(self, device: PyIndi.BaseDevice, index: int) -> None:  # noqa: N802 - PyIndi's name
        """A driver has something to say."""
        text = _TIMESTAMP.sub("", device.messageQueue(index)).strip()
        self.report({"type": "message", "device": device.getDeviceName(), "text": text})

    @_guarded
    def newUniversalMessage(self, message: str) -> None:  # noqa: N802 - PyIndi's name
        """The server has something to say."""
        self.report({"type": "message", "device": None, "text": message})

    @_guarded
    def serverDisconnected(self, exit_code: int) -> None:  # noqa: N802, ARG002 - PyIndi's names
        """The server went away, or we left."""
        self.report({"type": "disconnected", "reason": "the server closed the connection"})
        self.gone.set()
        self._parent.shutdown(socket.SHUT_RD)  # wakes the main thread from its read

    def _tell(self, prop: PyIndi.Property) -> None:
        said = _describe(prop)
        if said["name"] == "CCD_INFO" and said["kind"] == "number":
            sides = {each["name"]: each["value"] for each in said["elements"]}
            pixels = sides.get("CCD_MAX_X", 0.0) * sides.get("CCD_MAX_Y", 0.0)
            self._gauge.expect(said["device"], pixels)
        self.report(said)

    def _report_blobs(self, prop: PyIndi.Property) -> None:
        for widget in PyIndi.PropertyBlob(prop):
            declared, arrived = widget.getSize(), widget.getBlobLen()
            # getblobdata() copies the declared size from a buffer of the arrived one: a short BLOB
            # would be read past its end.
            whole = 0 < declared <= arrived
            payload = widget.getblobdata() if whole else b""
            widget.setSize(0)  # an update of the state alone must not bring the same bytes again
            widget.setBlobLen(0)
            self.report(
                {
                    "type": "blob",
                    "device": prop.getDeviceName(),
                    "name": prop.getName(),
                    "element": widget.getName(),
                    "format": widget.getFormat(),
                    "declared": declared,
                    "arrived": arrived,
                    "state": prop.getStateAsString(),
                },
                payload,
            )

    # -- orders, on the main thread --------------------------------------------------------------

    def obey(self, order: Message) -> None:
        """Do what the parent asks."""
        if order["type"] == "blobs":
            self.setBLOBMode(PyIndi.B_ALSO, order["device"], None)
            return
        prop = self._properties.get((order["device"], order["name"]))
        if prop is None:
            self.report({"type": "error", "where": order["name"], "reason": "is not defined"})
            return
        self.sendNewProperty(_wanted(prop, order["values"]))


def _describe(prop: PyIndi.Property) -> Message:
    kind = _KINDS[prop.getType()]
    return {
        "type": "property",
        "device": prop.getDeviceName(),
        "name": prop.getName(),
        "kind": kind,
        "label": prop.getLabel(),
        "state": prop.getStateAsString(),
        "permission": _PERMISSIONS[prop.getPermission()],
        "timestamp": prop.getTimestamp(),
        "elements": _elements(prop, kind),
    }


def _elements(prop: PyIndi.Property, kind: str) -> list[Message]:
    """Names, labels and values; numbers with their range, which may change with an update too."""
    if kind == "number":
        return [
            {
                "name": widget.getName(),
                "label": widget.getLabel(),
                "value": widget.getValue(),
                "min": widget.getMin(),
                "max": widget.getMax(),
            }
            for widget in PyIndi.PropertyNumber(prop)
        ]
    if kind == "switch":
        return [
            {"name": w.getName(), "label": w.getLabel(), "value": w.getState() == PyIndi.ISS_ON}
            for w in PyIndi.PropertySwitch(prop)
        ]
    if kind == "text":
        return [
            {"name": w.getName(), "label": w.getLabel(), "value": w.getText()}
            for w in PyIndi.PropertyText(prop)
        ]
    if kind == "light":
        return [
            {"name": w.getName(), "label": w.getLabel(), "value": w.getStateAsString()}
            for w in PyIndi.PropertyLight(prop)
        ]
    return [{"name": w.getName(), "label": w.getLabel(), "value": None} for w in PyIndi.PropertyBlob(prop)]


def _wanted(prop: PyIndi.Property, values: dict[str, Any]) -> PyIndi.Property:
    """Return what to send: the property's values, those wanted in their place; an unnamed switch is off.

    It is a property of our own. PyIndi's thread writes updates into the one it gave us at any time, and an
    update that came between setting a value and sending it would be sent in its place.
    """
    kind = prop.getType()
    if kind == PyIndi.INDI_SWITCH:
        switches = PyIndi.PropertySwitch(prop)
        new_switches = PyIndi.PropertySwitch(len(switches))
        for old, new in zip(switches, new_switches, strict=True):
            new.setName(old.getName())
            new.setState(PyIndi.ISS_ON if values.get(old.getName()) else PyIndi.ISS_OFF)
        return _addressed(new_switches, prop)
    if kind == PyIndi.INDI_NUMBER:
        numbers = PyIndi.PropertyNumber(prop)
        new_numbers = PyIndi.PropertyNumber(len(numbers))
        for was, number in zip(numbers, new_numbers, strict=True):
            number.setName(was.getName())
            number.setValue(float(values.get(was.getName(), was.getValue())))
        return _addressed(new_numbers, prop)
    texts = PyIndi.PropertyText(prop)
    new_texts = PyIndi.PropertyText(len(texts))
    for before, text in zip(texts, new_texts, strict=True):
        text.setName(before.getName())
        text.setText(str(values.get(before.getName(), before.getText())))
    return _addressed(new_texts, prop)


def _addressed(new: PyIndi.Property, prop: PyIndi.Property) -> PyIndi.Property:
    new.setDeviceName(prop.getDeviceName())
    new.setName(prop.getName())
    return new


def _read_orders(parent: socket.socket, connection: _Connection) -> None:
    """Obey until the parent closes its end, or the server is gone."""
    # A parent that dies with our frames unread resets the connection instead of ending it.
    with contextlib.suppress(ConnectionError), parent.makefile("rb") as orders:
        while len(prefix := orders.read(PREFIX.size)) == PREFIX.size:
            size, _ = PREFIX.unpack(prefix)
            connection.obey(unpack(orders.read(size)))


def main(host: str, port: int, fd: int) -> int:
    """Mirror the connection until either end goes away."""
    parent = socket.socket(fileno=fd)
    try:
        server = socket.create_connection((host, port), timeout=_CONNECT_S)
    except OSError as error:
        reason = f"no INDI server answers ({error.strerror or error})"
        parent.sendall(pack({"type": "failed", "reason": reason}))
        return 1
    server.settimeout(None)
    sieve = Sieve(server, lambda reason: connection.report({"type": "disconnected", "reason": reason}))
    connection = _Connection(parent, sieve.gauge)
    sieve.start()
    connection.setServer("127.0.0.1", sieve.port)
    if not connection.connectServer():
        connection.report({"type": "failed", "reason": "the INDI client library does not connect"})
        return 1
    _read_orders(parent, connection)
    if not connection.gone.is_set():
        connection.disconnectServer()
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    status = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    # The library's threads may still be at work in C++; tearing the interpreter down below them aborts.
    os._exit(status)
