"""Keeps a worker process alive and its mirror filled."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from acquire.clock import Clock, backoff
from acquire.errors import DeviceLostError, ServerUnreachableError
from acquire.indi.door import clean
from acquire.indi.mirror import Mirror
from acquire.indi.wire import PREFIX, Message, pack, unpack

_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.25, 10.0
_READ_AHEAD = 4 << 20
_BUFFER = 1 << 20
_LAST_WORDS = 600


class WorkerLink:
    """One INDI server, reached through a process that is started again whenever it or the server ends.

    ``async with`` connects; :class:`ServerUnreachableError` if the server does not answer then. Later
    losses are the mirror's ``lost`` and end by themselves.
    """

    def __init__(
        self, host: str, port: int, clock: Clock, on_refused: Callable[[str], None] | None = None
    ) -> None:
        self.mirror = Mirror(clock, on_refused)
        self.worker_pid: int | None = None
        self._host = host
        self._port = port
        self._clock = clock
        self._to_worker: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._first_end: asyncio.Future[str]

    async def __aenter__(self) -> WorkerLink:
        self._first_end = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise())
        connected = asyncio.create_task(self._connected.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {connected, self._first_end}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connected.cancel()
            if not self._connected.is_set():
                await self._close()
        if not self._connected.is_set():
            raise ServerUnreachableError(
                f"{self._first_end.result()}; start one there (for example indiserver with your drivers), "
                "or give the right address with --indi HOST:PORT"
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    def send(self, device: str, name: str, values: Mapping[str, object]) -> None:
        """Ask for new values. Raises :class:`DeviceLostError` without a connection."""
        self._order({"type": "new", "device": device, "name": name, "values": dict(values)})

    def enable_blobs(self, device: str) -> None:
        """Ask for the device's BLOBs."""
        self._order({"type": "blobs", "device": device})

    async def wait_connected(self) -> None:
        """Return once there is a connection, however long that takes."""
        await self._connected.wait()

    def _order(self, order: Message) -> None:
        if self.mirror.lost is not None or self._to_worker is None:
            raise DeviceLostError(self.mirror.lost or "not connected")
        self._to_worker.write(pack(order))

    async def _close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        if self._ending is not None:
            await self._ending

    async def _supervise(self) -> None:
        waits = backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        while True:
            born = self._clock.monotonic()
            await self._one_life()
            if self._clock.monotonic() - born > _LONGEST_RETRY_S:  # it was no crash on arrival
                waits = backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
            await self._clock.sleep(next(waits))

    async def _one_life(self) -> None:
        """Run one worker from its start to its end."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_AHEAD)
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "acquire.indi.worker", self._host, str(self._port), str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            except BaseException:
                writer.close()
                raise
        self.worker_pid, self._to_worker = process.pid, writer
        last_words = asyncio.create_task(_last_lines(process))
        try:
            reason = await self._mirror_until_end(reader)
            if reason is None:
                status = await process.wait()
                cause = signal.Signals(-status).name if status < 0 else f"status {status}"
                reason = f"the INDI client process ended ({cause}): {await last_words}"
            self._lose(reason)
        finally:
            self.worker_pid = self._to_worker = None
            writer.close()  # the worker's sign to disconnect and end
            self._ending = asyncio.create_task(_end(process, last_words, self._clock))
            await asyncio.shield(self._ending)  # a second cancellation must not leave a process behind

    async def _mirror_until_end(self, reader: asyncio.StreamReader) -> str | None:
        """Fill the mirror; returns why the server is gone, or ``None`` if it is the worker that ended."""
        try:
            while True:
                header_size, payload_size = PREFIX.unpack(await reader.readexactly(PREFIX.size))
                message = unpack(await reader.readexactly(header_size))
                payload = await reader.readexactly(payload_size) if payload_size else b""
                if message["type"] in {"failed", "disconnected"}:
                    return str(message["reason"])
                self.mirror.apply(message, payload)
                if message["type"] == "connected":
                    self._connected.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def _lose(self, reason: str) -> None:
        said = f"{self._host}:{self._port}: {reason}"
        self._connected.clear()
        self.mirror.lose(said)
        if not self._first_end.done():
            self._first_end.set_result(said)


async def _last_lines(process: asyncio.subprocess.Process) -> str:
    """Give the last that the worker, or the C++ library below it, printed; lines may be of any length."""
    assert process.stderr is not None
    tail = b""
    while piece := await process.stderr.read(_READ_AHEAD):
        tail = (tail + piece)[-_LAST_WORDS:]
    return " / ".join(clean(line.strip()) for line in tail.decode(errors="replace").splitlines()[-3:])


async def _end(
    process: asyncio.subprocess.Process, last_words: asyncio.Task[str], clock: Clock, patience_s: float = 3.0
) -> None:
    """Wait for a worker that has been told to end, and kill it if it does not."""
    patience = asyncio.ensure_future(clock.sleep(patience_s))
    await asyncio.wait({last_words, patience}, return_when=asyncio.FIRST_COMPLETED)
    if not patience.done():
        patience.cancel()
    elif process.returncode is None:
        process.kill()
    await last_words
    await process.wait()
