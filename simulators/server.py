"""The observatory as one INDI server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from indipyserver import IPyServer

from simulators.clock import SimClock
from simulators.drivers.camera import CameraDriver
from simulators.drivers.mount import MountDriver
from simulators.drivers.wheel import WheelDriver
from simulators.link import Orders, Reading, Writing

HOST = "127.0.0.1"
MAX_CLIENTS = 10


class _OneLine(logging.Formatter):
    """What the library complains of, without its tracebacks: a client's bad XML is no fault of ours."""

    def format(self, record: logging.LogRecord) -> str:
        cause = f": {record.exc_info[1]}" if record.exc_info else ""
        return f"{record.name}: {record.getMessage()}{cause}"


class _Server(IPyServer):  # type: ignore[misc]  # the library has no types
    """Listens on a socket that is bound already, so that a busy port is known before anything starts."""

    def __init__(self, *drivers: object, sock: socket.socket, on_ready: Callable[[], None]) -> None:
        super().__init__(*drivers, host=HOST, port=sock.getsockname()[1], maxconnections=MAX_CLIENTS)
        self._sock = sock
        self._on_ready = on_ready
        for connection in self.connectionpool:
            connection.xml_data_que = Orders(self.xml_data_que)

    async def _runserver(self) -> None:
        """Accept clients until cancelled. See :mod:`simulators.link` for why these are not streams."""
        self._on_ready()
        try:
            async with asyncio.TaskGroup() as conversations:
                while True:
                    client, _ = await asyncio.get_running_loop().sock_accept(self._sock)
                    conversations.create_task(self._converse(client))
        finally:
            self.shutdown()

    async def _converse(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # however a client leaves, it is gone
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self.handle_data(Reading(client), Writing(client))


def run(
    port: int,
    seed: int,
    speed: float,
    truth: Path | None = None,
    announce: Callable[[int], None] | None = None,
    *,
    follow_stdin: bool = False,
) -> int:
    """Serve until Ctrl-C, SIGTERM or (``follow_stdin``) the end of standard input; the exit status.

    ``announce`` is told the port once clients may connect; port 0 takes any that is free.
    """
    try:
        if truth is not None:
            truth.touch()
    except OSError as error:
        print(f"cannot write the truth to {truth}: {error.strerror}", file=sys.stderr)  # noqa: T201  # as below
        return 1
    try:
        sock = _listen(port)
    except OSError as error:
        reason = error.strerror or str(error)
        print(  # noqa: T201  # a command's own message
            f"cannot listen on {HOST}:{port}: {reason}; end what listens there or choose another --port",
            file=sys.stderr,
        )
        return 1
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    with sock:
        return asyncio.run(_serve(sock, seed, speed, truth, announce, follow_stdin))


def device_names() -> list[str]:
    """The devices that the server has."""
    from simulators.drivers import CAMERA, MOUNT, WHEEL

    return [CAMERA, WHEEL, MOUNT]


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        sock.listen()
        sock.setblocking(False)
    except (OSError, OverflowError) as error:
        sock.close()
        raise OSError(*(error.args if isinstance(error, OSError) else (0, str(error)))) from error
    return sock


async def _serve(
    sock: socket.socket,
    seed: int,
    speed: float,
    truth: Path | None,
    announce: Callable[[int], None] | None,
    follow_stdin: bool,
) -> int:
    clock = SimClock(speed)
    drivers = (CameraDriver(clock, seed, truth), WheelDriver(clock), MountDriver(clock))

    def on_ready() -> None:
        if announce is not None:
            announce(sock.getsockname()[1])

    server = _Server(*drivers, sock=sock, on_ready=on_ready)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if follow_stdin:
        # Whoever started us holds the other end of the pipe.
        threading.Thread(target=_until_eof, args=(loop, stop), name="stdin", daemon=True).start()
    serving = asyncio.create_task(server.asyncrun())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    server.shutdown()
    for task in (serving, stopping):
        task.cancel()
    await asyncio.gather(serving, stopping, return_exceptions=True)
    return 0 if stop.is_set() else 1


def _until_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Read standard input to its end, in a thread: a loop cannot wait for files and /dev/null."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(stop.set)
