"""Clients that hang up early, lie, or say nothing sensible: the server serves the others on."""

from __future__ import annotations

import socket
import struct

from tests.simulators.conftest import Simulated
from tests.simulators.wire import CAMERA, MOUNT, WHEEL, Wire, values


def test_an_order_followed_by_a_reset_is_obeyed(observatory: Simulated) -> None:
    """Linger 0 sends the reset at once, with a server's answers under way."""
    wire = observatory.wire
    for slot in (3, 6, 2, 5) * 10:
        with socket.create_connection(("127.0.0.1", observatory.port)) as hasty:
            hasty.sendall(b"<getProperties version='1.7'/>")
            assert hasty.recv(1)
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            hasty.sendall(
                f"<newNumberVector device='{WHEEL}' name='FILTER_SLOT'>"
                f"<oneNumber name='FILTER_SLOT_VALUE'>{slot}</oneNumber></newNumberVector>".encode()
            )
        assert values(wire.state(WHEEL, "FILTER_SLOT", "Ok")) == {"FILTER_SLOT_VALUE": str(slot)}


LIES = [
    f"<defNumberVector device='{CAMERA}' name='CCD_GAIN' state='Ok' perm='rw' label='x' group='x'>"
    "<defNumber name='GAIN' format='%g' min='0' max='1' step='1'>1</defNumber></defNumberVector>",
    f"<defSwitchVector device='{MOUNT}' name='X' state='Ok' perm='rw' rule='AnyOfMany'>"
    "<defSwitch name='a'>On</defSwitch></defSwitchVector>",
    f"<defTextVector device='{WHEEL}'/><defBLOBVector device='{WHEEL}'/><defLightVector/>",
    f"<setNumberVector device='{MOUNT}' name='EQUATORIAL_EOD_COORD'><oneNumber name='RA'>1</oneNumber>"
    "</setNumberVector>",
    f"<delProperty device='{CAMERA}'/><message message='hello'/><enableBLOB>Also</enableBLOB>",
    f"<newNumberVector device='{CAMERA}' name='CCD_COOLER'><oneNumber name='COOLER_ON'>1</oneNumber>"
    "</newNumberVector>",
    f"<newSwitchVector device='{CAMERA}' name='CCD_GAIN'><oneSwitch name='GAIN'>On</oneSwitch>"
    "</newSwitchVector>",
    f"<newSwitchVector device='{CAMERA}' name='CCD_COOLER'></newSwitchVector>",
    f"<newBLOBVector device='{CAMERA}' name='CCD1'><oneBLOB name='CCD1' size='4' format='.x'>!!</oneBLOB>"
    "</newBLOBVector>",
    f"<newTextVector device='{WHEEL}' name='FILTER_NAME'><oneText>no name</oneText></newTextVector>",
    f"<enableBLOB device='{CAMERA}'/>",
    "<getProperties/><getProperties version='9'/><unheardOf device='x'/>",
    "</root></root>",
]


def test_a_lying_client_takes_nothing_down(observatory: Simulated) -> None:
    wire = observatory.wire
    for number, lie in enumerate(LIES):
        with Wire(observatory.port) as rude:
            rude.send(lie)
            wire.new("Number", CAMERA, "CCD_GAIN", GAIN=100 + number)
            assert values(wire.state(CAMERA, "CCD_GAIN", "Ok")) == {"GAIN": str(100 + number)}
    for device in (WHEEL, MOUNT):
        wire.definitions.clear()
        wire.send(f"<getProperties version='1.7' device='{device}'/>")
        while (device, "DRIVER_INFO") not in wire.definitions:
            wire.wait(lambda e: e.tag == "defTextVector")
