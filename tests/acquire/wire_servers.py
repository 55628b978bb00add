"""INDI servers for tests: a scripted one of our own, and Debian's with its stock simulators."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.ports import free_port

STOCK_DRIVERS = ("indi_simulator_ccd", "indi_simulator_wheel", "indi_simulator_telescope")


class ScriptedServer:
    """Says what a test tells it to, byte by byte; whatever the client says is handed to ``hears``."""

    def __init__(self) -> None:
        self.port = 0
        self.definitions = ""
        self.hears: Callable[[str], None] = lambda text: None
        self._writers: set[asyncio.StreamWriter] = set()

    def say(self, xml: str) -> None:
        for writer in self._writers:
            writer.write(xml.encode())

    def say_blob(self, device: str, data: bytes, *, declared: int | None = None, state: str = "Ok") -> None:
        size = len(data) if declared is None else declared
        text = base64.b64encode(data).decode()
        self.say(
            f'<setBLOBVector device={quoteattr(device)} name="CCD1" state="{state}">\n'
            f'<oneBLOB name="CCD1" size="{size}" format=".fits">{text}</oneBLOB>\n'
            "</setBLOBVector>\n"
        )

    def say_blob_state(self, device: str, state: str) -> None:
        self.say(f'<setBLOBVector device={quoteattr(device)} name="CCD1" state="{state}"></setBLOBVector>')

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    @property
    def clients(self) -> int:
        return len(self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(1 << 16):
                text = data.decode()
                if "<getProperties" in text:
                    self.say(self.definitions)
                self.hears(text)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    script = ScriptedServer()
    server = await asyncio.start_server(script._serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    async with server:
        yield script
        script.hang_up()
        server.close()


class StockServer:
    """Debian's indiserver with its simulators, in a process group and a home of its own."""

    def __init__(self, home: Path, *drivers: str) -> None:
        self.port = free_port()
        self._home = home
        self._drivers = drivers or STOCK_DRIVERS
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["indiserver", "-p", str(self.port), "-u", str(self._home / "socket"), *self._drivers]
        self._process = subprocess.Popen(
            command,
            cwd=self._home,
            env=os.environ | {"HOME": str(self._home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while True:  # the only sign of its being ready is that it answers
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < deadline, "indiserver does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """End the server and its drivers at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def kill_driver(self, name: str) -> None:
        """End one driver; the server starts it again."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in map(int, children):
            if name.startswith(Path(f"/proc/{pid}/comm").read_text().strip()):
                os.kill(pid, signal.SIGKILL)
                return
        raise AssertionError(f"{name} does not run")
