"""The observatory as one INDI server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from indipyserver import IPyServer

from simulators.clock import SimClock
from simulators.drivers.camera import CameraDriver
from simulators.drivers.mount import MountDriver
from simulators.drivers.wheel import WheelDriver

HOST = "127.0.0.1"
MAX_CLIENTS = 10


class _Server(IPyServer):  # type: ignore[misc]  # the library has no types
    """Listens on a socket that is bound already, so that a busy port is known before anything starts."""

    def __init__(self, *drivers: object, sock: socket.socket, on_ready: Callable[[], None]) -> None:
        super().__init__(*drivers, host=HOST, port=sock.getsockname()[1], maxconnections=MAX_CLIENTS)
        self._sock = sock
        self._on_ready = on_ready

    async def _runserver(self) -> None:
        self.server = await asyncio.start_server(self.handle_data, sock=self._sock)
        self._on_ready()
        try:
            async with self.server:
                await self.server.serve_forever()
        finally:
            self.shutdown()


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
        sock = _listen(port)
    except OSError as error:
        reason = error.strerror or str(error)
        print(  # noqa: T201  # a command's own message
            f"cannot listen on {HOST}:{port}: {reason}; end what listens there or choose another --port",
            file=sys.stderr,
        )
        return 1
    with sock:
        asyncio.run(_serve(sock, seed, speed, truth, announce, follow_stdin))
    return 0


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
) -> None:
    clock = SimClock(speed)
    drivers = (CameraDriver(clock, seed, truth), WheelDriver(clock), MountDriver(clock))
    ready = asyncio.Event()
    server = _Server(*drivers, sock=sock, on_ready=ready.set)
    serving = asyncio.create_task(server.asyncrun())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.shutdown)
    if follow_stdin:
        # Reads nothing but the end: whoever started us holds the other end of the pipe.
        with contextlib.suppress(OSError, ValueError):
            loop.add_reader(sys.stdin.fileno(), _until_eof, loop, server)
    await ready.wait()
    if announce is not None:
        announce(sock.getsockname()[1])
    await serving


def _until_eof(loop: asyncio.AbstractEventLoop, server: IPyServer) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        server.shutdown()
