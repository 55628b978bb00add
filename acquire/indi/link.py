"""Keeps a worker process alive and its mirror filled."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType

from acquire.clock import Clock, backoff
from acquire.errors import DeviceLostError, ServerUnreachableError
from acquire.indi.mirror import Mirror
from acquire.indi.wire import PREFIX, Message, pack, unpack

_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.25, 10.0
_READ_AHEAD = 4 << 20
_BUFFER = 1 << 20


class WorkerLink:
    """One INDI server, reached through a process that is started again whenever it or the server ends.

    ``async with`` connects; :class:`ServerUnreachableError` if the server does not answer then. Later
    losses are the mirror's ``lost`` and end by themselves.
    """

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self.mirror = Mirror(clock)
        self.worker_pid: int | None = None
        self._host = host
        self._port = port
        self._clock = clock
        self._to_worker: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._errors: deque[str] = deque(maxlen=5)

    async def __aenter__(self) -> WorkerLink:
        ended = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(ended))
        connected = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait({connected, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connected.cancel()
            if not self._connected.is_set():
                await self._close()
        if not self._connected.is_set():
            raise ServerUnreachableError(
                f"no INDI server answers at {self._host}:{self._port} ({ended.result()}); start one, "
                "for example with indiserver and your drivers, or give its address with --indi HOST:PORT"
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

    async def _supervise(self, first_end: asyncio.Future[str]) -> None:
        waits = backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        while True:
            reason = await self._one_life()
            if self._connected.is_set():
                self._connected.clear()
                waits = backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
            elif not first_end.done():
                first_end.set_result(reason)
            self.mirror.lose(reason)
            await self._clock.sleep(next(waits))

    async def _one_life(self) -> str:
        """Run one worker from its start to its end; returns the reason of the end."""
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "acquire.indi.worker", self._host, str(self._port), str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        self.worker_pid = process.pid
        reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_AHEAD)
        self._to_worker = writer
        listening = asyncio.create_task(self._keep_errors(process))
        try:
            return await self._mirror_until_end(reader, process)
        finally:
            self._to_worker = self.worker_pid = None
            writer.close()  # the worker's sign to disconnect and end
            await _end(process, self._clock)
            await listening

    async def _mirror_until_end(self, reader: asyncio.StreamReader, process: asyncio.subprocess.Process) -> str:
        reason = None
        try:
            while True:
                header_size, payload_size = PREFIX.unpack(await reader.readexactly(PREFIX.size))
                message = unpack(await reader.readexactly(header_size))
                payload = await reader.readexactly(payload_size) if payload_size else b""
                if message["type"] in {"failed", "disconnected"}:
                    reason = message["reason"]
                self.mirror.apply(message, payload)
                if message["type"] == "connected":
                    self._connected.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            status = await process.wait()
        if reason is not None:
            return f"{self._host}:{self._port}: {reason}"
        cause = signal.Signals(-status).name if status < 0 else f"status {status}"
        return f"the INDI client process ended ({cause}) {' / '.join(self._errors)}".rstrip()

    async def _keep_errors(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines that the worker or the C++ library below it printed."""
        assert process.stderr is not None
        self._errors.clear()
        async for line in process.stderr:
            self._errors.append(line.decode(errors="replace").strip())


async def _end(process: asyncio.subprocess.Process, clock: Clock, patience_s: float = 3.0) -> None:
    """Wait for a worker that has been told to end, and kill it if it does not."""
    waiting = asyncio.create_task(process.wait())
    patience = asyncio.ensure_future(clock.sleep(patience_s))
    await asyncio.wait({waiting, patience}, return_when=asyncio.FIRST_COMPLETED)
    patience.cancel()
    if not waiting.done():
        process.kill()
    await waiting


