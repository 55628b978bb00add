"""The session's Unix socket: the run so far, then the night as it happens; commands come back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from firstlight.asking import Ask, decode_ask
from firstlight.errors import FirstlightError
from firstlight.paths import Root
from firstlight.stream import EventStream

DRAIN_S = 5.0
"""How long the end of a night waits for a slow screen to take its last lines."""


@asynccontextmanager
async def serve(root: Root, stream: EventStream, obey: Callable[[Ask], None]) -> AsyncIterator[None]:
    """Serve the stream on the root's socket while the ``with`` lasts.

    ``obey`` is called with what is asked; anything else that arrives is passed over.
    On leaving, whoever is attached is first given the rest of the stream.
    """
    clients: set[asyncio.Task[None]] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)
        listening = asyncio.create_task(_listen(reader, obey))
        try:
            await _send(stream, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the screen went away, or the night is over: neither is news
        finally:
            listening.cancel()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            clients.discard(task)

    with root.socket_address() as address:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(FileNotFoundError):
            os.unlink(address)  # noqa: PTH108 - what a killed session left; we hold the lock
        umask = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(umask)
        server = await asyncio.start_unix_server(client, sock=listener)
        try:
            yield
        finally:
            server.close()
            stream.close()
            if clients:
                _, late = await asyncio.wait(clients, timeout=DRAIN_S)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            with suppress(FileNotFoundError):
                os.unlink(address)  # noqa: PTH108


async def _send(stream: EventStream, writer: asyncio.StreamWriter) -> None:
    listener = stream.listen()
    try:
        with stream.path.open("rb") as journal:
            left = listener.history_bytes
            while left and (piece := journal.read(min(left, 1 << 16))):
                left -= len(piece)
                writer.write(piece)
                await writer.drain()
        while (line := await listener.queue.get()) is not None:
            writer.write(line)
            await writer.drain()
    finally:
        stream.leave(listener)


async def _listen(reader: asyncio.StreamReader, obey: Callable[[Ask], None]) -> None:
    with suppress(ConnectionError, ValueError):
        while line := await reader.readline():
            with suppress(FirstlightError):
                obey(decode_ask(line))
