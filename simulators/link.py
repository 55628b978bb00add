"""A client's connection: what it sent is read to the end, whatever becomes of what is sent to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any
from xml.etree.ElementTree import Element

_MOST_WAITING_BYTES = 1 << 29
"""A client that reads nothing is let go when so much waits for it: three frames of 61 megapixels."""

_ORDERS = frozenset(("getProperties", "newTextVector", "newNumberVector", "newSwitchVector", "newBLOBVector"))


class Reading:
    """The half of a socket that the library reads.

    A client may send an order and hang up with answers unread, as ``indi_setprop`` does. The reset that
    follows fails our writes, and a transport of asyncio's closes on a failed write and drops its input.
    Here reading and writing know nothing of each other: the kernel keeps what came before the reset.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    async def read(self, most: int) -> bytes:
        """Up to ``most`` bytes; the end of the input is an error, or the library would read on."""
        data = await asyncio.get_running_loop().sock_recv(self._socket, most)
        if not data:
            raise ConnectionResetError("the client hung up")
        return data


class Writing:
    """The half that it writes: in order, dropping what can no longer be sent."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._turn = asyncio.Lock()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._open = True

    def write(self, data: bytes) -> None:
        """Take data to be sent by the next :meth:`drain`."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self.close()

    async def drain(self) -> None:
        """Send what waits."""
        async with self._turn:
            data, self._waiting = b"".join(self._waiting), []
            if data and self._open:
                try:
                    await self._send(data)
                except OSError:
                    self._open = False
            self._waiting_bytes -= len(data)

    async def _send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def close(self) -> None:
        """End the conversation both ways; the socket itself is closed by who opened it."""
        self._open = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    async def wait_closed(self) -> None:
        """Nothing to wait for."""

    def get_extra_info(self, _name: str) -> str:
        """The peer's address, for a log."""
        return str(self._socket.getpeername())


class Orders:
    """The server's queue as a client sees it: only what a client may say gets in.

    A client that defined one of our devices would otherwise end the server.
    """

    def __init__(self, queue: asyncio.Queue[Any]) -> None:
        self._queue = queue

    async def put(self, item: tuple[int, Element]) -> None:
        """Pass on orders and questions."""
        if item[1].tag in _ORDERS:
            await self._queue.put(item)
