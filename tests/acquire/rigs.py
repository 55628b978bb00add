"""A whole observatory on the wire, scripted: it behaves, but for what a test changes of it."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from xml.sax.saxutils import escape, quoteattr

from tests.acquire.wire_servers import ScriptedServer, scripted_server

CAMERA, WHEEL, MOUNT = "Cam", "Wheel", "Mount"
_ORDER = re.compile(
    r"<new(\w+)Vector\b[^>]*?device=['\"]([^'\"]*)['\"][^>]*?name=['\"]([^'\"]*)['\"].*?</new\1Vector>",
    re.DOTALL,
)
_ONE = re.compile(r"<one\w+\s[^>]*?name=['\"]([^'\"]*)['\"][^>]*>\s*([^<]*?)\s*</one")
Values = dict[str, str]


def image(width: int = 64, height: int = 48, **cards: object) -> bytes:
    """A FITS file of 16-bit zeros."""
    header = {"SIMPLE": "T", "BITPIX": 16, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height} | cards
    text = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in header.items())
    size = 2 * width * height
    return (text + "END").ljust(2880).encode() + bytes(-(-size // 2880) * 2880)


class FastClock:
    """Time that passes ``speed`` times as fast as it does, so that timeouts need not be waited for."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def monotonic(self) -> float:
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


def vector(
    tag: str, kind: str, device: str, name: str, body: str, state: str = "Ok", perm: str = "rw"
) -> str:
    """A property's XML; ``tag`` is "def" or "set"."""
    more = f' perm="{perm}" rule="OneOfMany" label="" group=""' if tag == "def" else ""
    head = f"{tag}{kind}Vector device={quoteattr(device)} name={quoteattr(name)} state={quoteattr(state)}"
    return f"<{head}{more}>{body}</{tag}{kind}Vector>\n"


def numbers(tag: str, device: str, name: str, state: str = "Ok", /, **values: object) -> str:
    """Numbers; a value may be (value, min, max)."""
    what = "def" if tag == "def" else "one"
    body = ""
    for key, value in values.items():
        told, low, high = value if isinstance(value, tuple) else (value, 0, 0)
        limits = f' format="%g" min="{low}" max="{high}" step="0" label=""' if tag == "def" else ""
        body += f"<{what}Number name={quoteattr(key)}{limits}>{told}</{what}Number>"
    return vector(tag, "Number", device, name, body, state)


def switches(tag: str, device: str, name: str, state: str = "Ok", /, **values: bool) -> str:
    """Switches, on or off."""
    what = "def" if tag == "def" else "one"
    body = "".join(
        f"<{what}Switch name={quoteattr(key)}>{'On' if value else 'Off'}</{what}Switch>"
        for key, value in values.items()
    )
    return vector(tag, "Switch", device, name, body, state)


def texts(tag: str, device: str, name: str, /, **values: str) -> str:
    """Texts."""
    what = "def" if tag == "def" else "one"
    body = "".join(
        f"<{what}Text name={quoteattr(key)}>{escape(value)}</{what}Text>" for key, value in values.items()
    )
    return vector(tag, "Text", device, name, body)


class Rig:
    """A camera, a wheel and a mount. A test replaces definitions, or what an order is answered with."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server = server
        self.before: dict[tuple[str, str], str] = {}
        self.connected: dict[tuple[str, str], str] = {}
        self.on: dict[str, Callable[[str, Values], None]] = {}
        self.lives = 0
        self._buffer = ""
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        for device, interface in ((CAMERA, 2), (WHEEL, 16), (MOUNT, 1)):
            self.before[device, "CONNECTION"] = switches(
                "def", device, "CONNECTION", CONNECT=False, DISCONNECT=True
            )
            self.before[device, "DRIVER_INFO"] = texts(
                "def", device, "DRIVER_INFO", DRIVER_INTERFACE=str(interface)
            )
        define = self.define
        define(numbers("def", CAMERA, "CCD_EXPOSURE", "Idle", CCD_EXPOSURE_VALUE=(1, 0, 3600)))
        define(switches("def", CAMERA, "CCD_ABORT_EXPOSURE", ABORT=False))
        define(numbers("def", CAMERA, "CCD_BINNING", HOR_BIN=(1, 1, 4), VER_BIN=(1, 1, 4)))
        define(numbers("def", CAMERA, "CCD_INFO", CCD_MAX_X=64, CCD_MAX_Y=48))
        define(numbers("def", CAMERA, "CCD_GAIN", GAIN=(5, 0, 100)))
        define(numbers("def", CAMERA, "CCD_TEMPERATURE", CCD_TEMPERATURE_VALUE=(10, -40, 30)))
        define(vector("def", "BLOB", CAMERA, "CCD1", '<defBLOB name="CCD1"/>'))
        define(numbers("def", WHEEL, "FILTER_SLOT", FILTER_SLOT_VALUE=(1, 1, 3)))
        define(texts("def", WHEEL, "FILTER_NAME", F1="L", F2="R", F3="Ha"))
        define(numbers("def", MOUNT, "EQUATORIAL_EOD_COORD", RA=1, DEC=80))
        define(switches("def", MOUNT, "ON_COORD_SET", TRACK=True, SLEW=False, SYNC=False))
        define(switches("def", MOUNT, "TELESCOPE_PARK", PARK=False, UNPARK=True))
        define(switches("def", MOUNT, "TELESCOPE_TRACK_STATE", TRACK_ON=False, TRACK_OFF=True))
        self.on["CONNECTION"] = self.connect
        self.on["CCD_EXPOSURE"] = lambda _device, values: self.expose(float(values["CCD_EXPOSURE_VALUE"]))
        self.on["CCD_ABORT_EXPOSURE"] = lambda _device, _values: self.abort()
        server.hears = self._hear

    def define(self, xml: str) -> None:
        """Let a device have this once it is connected, in place of what it had under that name."""
        found = re.search(r'device="([^"]*)" name="([^"]*)"', xml)
        assert found
        self.connected[found[1], found[2]] = xml

    def lack(self, device: str, name: str) -> None:
        """Let a device not have a property."""
        del self.connected[device, name]

    def announce(self) -> None:
        """Let the server begin: what it defines without being asked for more."""
        self.server.definitions = "".join(self.before.values())

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after a while, unless the rig is gone by then."""
        self._timers.append(self._loop.call_later(seconds, act))

    async def all_gone(self) -> None:
        """Return once no client is connected any more: all that they had to say was heard."""
        while self.server.clients:
            await asyncio.sleep(0.01)

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()

    # -- what it does when all is well ---------------------------------------------------------------

    def connect(self, device: str, _values: Values) -> None:
        self.lives += device == CAMERA
        say = [switches("set", device, "CONNECTION", CONNECT=True, DISCONNECT=False)]
        say += [xml for (owner, _), xml in self.connected.items() if owner == device]
        self.server.say("".join(say))

    def expose(self, seconds: float) -> None:
        self.exposure("Busy", seconds)
        self.later(0.02, lambda: self.blob(image(EXPTIME=seconds)))
        self.later(0.03, lambda: self.exposure("Ok", 0))

    def abort(self) -> None:
        self.echo("Switch", CAMERA, "CCD_ABORT_EXPOSURE", {"ABORT": "Off"})
        self.exposure("Idle", 0)

    def exposure(self, state: str, left_s: object) -> None:
        self.server.say(numbers("set", CAMERA, "CCD_EXPOSURE", state, CCD_EXPOSURE_VALUE=left_s))

    def blob(self, data: bytes, declared: int | None = None) -> None:
        self.server.say_blob(CAMERA, data, declared=declared)

    def begin_blob(self, size: int, data: bytes) -> None:
        """The beginning of a BLOB, and no end."""
        text = base64.b64encode(data).decode()
        self.server.say(
            f'<setBLOBVector device="{CAMERA}" name="CCD1" state="Ok">'
            f'<oneBLOB name="CCD1" size="{size}" format=".fits">{text}'
        )

    def echo(self, kind: str, device: str, name: str, values: Values) -> None:
        body = "".join(f"<one{kind} name={quoteattr(k)}>{v}</one{kind}>" for k, v in values.items())
        self.server.say(vector("set", kind, device, name, body))

    def _hear(self, text: str) -> None:
        self._buffer += text
        end = 0
        for order in _ORDER.finditer(self._buffer):
            end = order.end()
            kind, device, name = order[1], order[2], order[3]
            values = dict(_ONE.findall(order[0]))
            if answer := self.on.get(name):
                answer(device, values)
            else:
                self.echo(kind, device, name, values)
        self._buffer = self._buffer[end:]


@asynccontextmanager
async def rig_on_the_wire() -> AsyncIterator[Rig]:
    async with scripted_server() as server:
        rig = Rig(server)
        try:
            yield rig
        finally:
            rig.close()
