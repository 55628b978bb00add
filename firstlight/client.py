"""A screen's end of the session's socket."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from firstlight.asking import Ask
from firstlight.errors import FirstlightError, NoSessionError
from firstlight.events import EPHEMERAL, Stamped, decode
from firstlight.launch import Started
from firstlight.paths import Root

LONGEST_LINE = 1 << 20
LAST_LINES_S = 2.0
"""How long the last lines of a session that has ended may take."""


class FinishedSession:
    """A session that ended before anybody could attach, as its journal tells it."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    async def events(self) -> AsyncIterator[Stamped]:
        """Every event that was kept."""
        for line in await asyncio.to_thread(_lines, self._journal):
            with suppress(FirstlightError):  # the line on which a killed session ended
                yield decode(line)

    async def send(self, ask: Ask) -> None:
        """There is nobody to ask any more."""

    async def close(self) -> None:
        """There is nothing to let go of."""


class SessionClient:
    """Follows one session: its run so far, then live; sends it commands.

    With its ``journal``, what its end kept it from sending is read there. The session's process is watched
    too: one that was killed may leave a connection behind that never says so.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, journal: Path | None = None
    ) -> None:
        self._reader, self._writer, self._journal = reader, writer, journal
        self._watch = _watch_end(writer.get_extra_info("socket"))

    @classmethod
    async def connect(cls, root: Root, journal: Path | None = None) -> SessionClient:
        """Attach to the session on this root.

        Raises
        ------
        NoSessionError
            if none is running there.
        """
        if not root.path.is_dir():
            raise NoSessionError(f"there is no folder {root.path}: give the night's folder with --root")
        try:
            with root.socket_address() as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=LONGEST_LINE)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoSessionError(
                f"no night is running on {root.path}. "
                f"Start one with: firstlight run PLAN.toml --root {root.path}"
            ) from None
        except PermissionError:
            raise FirstlightError(f"the night on {root.path} belongs to another user") from None
        return cls(reader, writer, journal)

    async def events(self) -> AsyncIterator[Stamped]:
        """Every event of the run; ends when the session does, or is gone."""
        kept = 0
        with suppress(ConnectionError):
            while (line := await self._line()).endswith(b"\n"):
                with suppress(FirstlightError):  # a newer session's event that this version does not know
                    stamped = decode(line)
                    kept += not isinstance(stamped.event, EPHEMERAL)
                    yield stamped
        if self._journal is not None:
            for line in (await asyncio.to_thread(_lines, self._journal))[kept:]:
                with suppress(FirstlightError):
                    yield decode(line)

    async def _line(self) -> bytes:
        """The next line; nothing if the session has ended and no more has come for a while."""
        reading = asyncio.ensure_future(self._reader.readline())
        try:
            either: set[asyncio.Future[Any]] = {reading, self._watch.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await asyncio.wait({reading}, timeout=LAST_LINES_S)
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()

    async def send(self, ask: Ask) -> None:
        """Ask the session for something; what comes of it is an event."""
        with suppress(ConnectionError):
            self._writer.write(ask.encode())
            await self._writer.drain()

    async def close(self) -> None:
        """Let go of the session; it goes on."""
        self._watch.close()
        self._writer.close()
        with suppress(ConnectionError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), LAST_LINES_S)


class _ProcessWatch:
    """A future that is done when a process has ended."""

    def __init__(self, pid: int | None) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._fd: int | None = None
        if pid is None:
            return  # not known: then the connection's end has to do
        try:
            self._fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.ended.set_result(None)
        except OSError:
            return
        else:
            self._loop.add_reader(self._fd, self._end)

    def _end(self) -> None:
        self.close()
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


def _watch_end(connection: socket.socket) -> _ProcessWatch:
    """Watch the process at the other end of a Unix socket."""
    with suppress(OSError):
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return _ProcessWatch(pid or None)
    return _ProcessWatch(None)


async def follow(root: Root, started: Started) -> SessionClient | FinishedSession:
    """Attach to a session that was just started, or have what it did if it was faster than that."""
    try:
        return await SessionClient.connect(root, started.journal)
    except NoSessionError:
        return FinishedSession(started.journal)


def _lines(journal: Path) -> list[bytes]:
    try:
        return journal.read_bytes().splitlines()
    except OSError:  # it could not be written either: the disk is full or gone
        return []
