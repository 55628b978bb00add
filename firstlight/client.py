"""A screen's end of the session's socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from firstlight.errors import FirstlightError, NoSessionError
from firstlight.events import Stamped, decode
from firstlight.paths import Root

LONGEST_LINE = 1 << 20


class SessionClient:
    """Follows one session: its run so far, then live; sends it commands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, root: Root) -> SessionClient:
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
        return cls(reader, writer)

    async def events(self) -> AsyncIterator[Stamped]:
        """Every event of the run; ends when the session does, or is gone."""
        with suppress(ConnectionError):
            while (line := await self._reader.readline()).endswith(b"\n"):
                with suppress(FirstlightError):  # a newer session's event that this version does not know
                    yield decode(line)

    async def send(self, command: str) -> None:
        """Ask the session to "pause", "resume" or "stop"."""
        with suppress(ConnectionError):
            self._writer.write(json.dumps({"command": command}).encode() + b"\n")
            await self._writer.drain()

    async def close(self) -> None:
        """Let go of the session; it goes on."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
