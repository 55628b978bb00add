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
from simulators.equipment import Equipment
from simulators.faults import NO_FAULTS, FaultFileError, FaultPlan, Injector, load
from simulators.faults.mischief import Mischief
from simulators.faults.network import FaultyWriting
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
        self.faults: Injector = NO_FAULTS
        self._sock = sock
        self._on_ready = on_ready
        self._back = asyncio.Event()
        self._back.set()
        self._accepting: asyncio.Task[None] | None = None
        for connection in self.connectionpool:
            connection.xml_data_que = Orders(self.xml_data_que)

    async def _runserver(self) -> None:
        """Accept clients until cancelled. See :mod:`simulators.link` for why these are not streams."""
        self._on_ready()
        try:
            while True:
                self._accepting = asyncio.create_task(self._accept())
                try:
                    await asyncio.wait((self._accepting,))
                finally:
                    self._accepting.cancel()
                if not self._accepting.cancelled():
                    self._accepting.result()  # raises: nothing but a cancellation ends it well
                await self._back.wait()
        finally:
            self.shutdown()

    async def _accept(self) -> None:
        async with asyncio.TaskGroup() as conversations:
            while True:
                client, _ = await asyncio.get_running_loop().sock_accept(self._sock)
                conversations.create_task(self._converse(client))

    async def _converse(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # however a client leaves, it is gone
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            writing = Writing(client) if self.faults is NO_FAULTS else FaultyWriting(client, self.faults)
            await self.handle_data(Reading(client), writing)

    # What a server suffers from faults, see :class:`simulators.faults.mischief.Server`.

    async def leave(self) -> None:
        """Hang up on everybody and listen no more."""
        self._back.clear()
        if self._accepting is not None:
            self._accepting.cancel()
            self._sock.shutdown(socket.SHUT_RDWR)  # nobody gets in while the others are put out
            await asyncio.wait((self._accepting,))
        self._sock.close()

    async def come_back(self) -> None:
        """Listen on the same port again."""
        self._sock = _listen(self.port)
        self._back.set()

    async def say(self, data: bytes) -> None:
        """Send bytes to every client, whatever they are."""
        for connection in self.connectionpool:
            if connection.connected:
                connection.writer.write(data)
                await connection.writer.drain()


def run(
    port: int,
    seed: int,
    speed: float,
    truth: Path | None = None,
    announce: Callable[[int], None] | None = None,
    *,
    follow_stdin: bool = False,
    faults: FaultPlan | None = None,
    equipment: Equipment | None = None,
) -> int:
    """Serve until Ctrl-C, SIGTERM or (``follow_stdin``) the end of standard input; the exit status.

    ``announce`` is told the port once clients may connect; port 0 takes any that is free. With ``faults``
    the observatory misbehaves as they say, and SIGHUP reads their file again.
    """
    try:
        if faults is not None:
            faults.check_devices(device_names())
        if truth is not None:
            truth.touch()
    except FaultFileError as error:
        print(error, file=sys.stderr)  # noqa: T201  # as below
        return 1
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
        return asyncio.run(
            _serve(sock, seed, speed, truth, announce, follow_stdin, faults, equipment or Equipment())
        )


def device_names() -> list[str]:
    """The devices that the server has."""
    from simulators.drivers import CAMERA, FOCUSER, MOUNT, PANEL, WHEEL

    return [CAMERA, WHEEL, MOUNT, FOCUSER, PANEL]


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
    faults: FaultPlan | None,
    equipment: Equipment,
) -> int:
    clock = SimClock(speed)
    drivers = equipment.drivers(clock, seed, truth)

    def on_ready() -> None:
        if announce is not None:
            announce(sock.getsockname()[1])
        server.faults.start()

    server = _Server(*drivers, sock=sock, on_ready=on_ready)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if follow_stdin:
        # Whoever started us holds the other end of the pipe.
        threading.Thread(target=_until_eof, args=(loop, stop), name="stdin", daemon=True).start()
    if faults is not None:
        server.faults = injector = Injector(faults, clock, truth)
        Mischief(injector, drivers, server, clock)
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(_rearm(server, faults)))
    serving = asyncio.create_task(server.asyncrun())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    server.shutdown()
    for task in (serving, stopping):
        task.cancel()
    server.faults.close()
    await asyncio.gather(serving, stopping, return_exceptions=True)
    return 0 if stop.is_set() else 1


async def _rearm(server: _Server, faults: FaultPlan) -> None:
    """Read the faults' file again, and say on the wire how that went."""
    assert faults.path is not None
    try:
        plan = load(faults.path)
        plan.check_devices(server.devices)
    except FaultFileError as error:
        await server.send_message(f"faults stay as they were: {error}")
        return
    server.faults.arm(plan)
    await server.send_message(f"faults armed: {', '.join(fault.name for fault in plan.faults) or 'none'}")


def _until_eof(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Read standard input to its end, in a thread: a loop cannot wait for files and /dev/null."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(stop.set)
