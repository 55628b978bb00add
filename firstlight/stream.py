"""The one stream of events: stamped, kept in the run's journal, handed to whoever listens."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from firstlight.events import EPHEMERAL, Event, Log, Stamped, encode

MAX_WAITING = 20_000
"""Lines a listener may fall behind before it is dropped; it can attach again and have them all."""
MAX_WAITING_EPHEMERAL = 50
"""Beyond this a listener is slow: progress that would be stale on arrival is left out."""


_AS_JSON = "backslashreplace"
"""What UTF-8 cannot hold, such as half a surrogate pair in a folder's name, as JSON escapes it."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def new_run_id(now: datetime) -> str:
    """A run's name: sorts by time, and two runs in one second differ."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


class Listener:
    """One follower of the stream. ``None`` in its queue says that nothing more will come."""

    def __init__(self, history_bytes: int) -> None:
        self.history_bytes = history_bytes
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def offer(self, line: bytes, *, ephemeral: bool) -> bool:
        """Take a line; False when this listener is too far behind to go on."""
        waiting = self.queue.qsize()
        if ephemeral and waiting >= MAX_WAITING_EPHEMERAL:
            return True
        if waiting >= MAX_WAITING:
            self.close()
            return False
        self.queue.put_nowait(line)
        return True

    def close(self) -> None:
        """Nothing more will come."""
        self.queue.put_nowait(None)


class EventStream:
    """Stamps events, appends them to the journal, and fans them out. Not thread-safe: one loop owns it.

    A journal that cannot be written (the disk is full) costs the journal its lines, never the night.
    """

    def __init__(self, folder: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self.run = new_run_id(now())
        self.path = folder / f"{self.run}.jsonl"
        self._file: BinaryIO = self.path.open("xb", buffering=0)
        self._size = 0
        self._listeners: list[Listener] = []
        self._losing = False

    def emit(self, event: Event) -> None:
        """Take an event into the stream."""
        line = encode(Stamped(time=self._now(), run=self.run, event=event)).encode(errors=_AS_JSON) + b"\n"
        ephemeral = isinstance(event, EPHEMERAL)
        if not ephemeral and (lost := self._append(line)) and not self._losing:
            self._losing = True
            warning = f"the journal {self.path} cannot be written ({lost}); the night goes on without it"
            self.emit(Log(level="error", message=warning))
        self._listeners = [each for each in self._listeners if each.offer(line, ephemeral=ephemeral)]

    def say(self, message: str, level: str = "warning") -> None:
        """Take a line for the log into the stream."""
        self.emit(Log(level=level, message=message))

    def _append(self, line: bytes) -> str | None:
        """Write a line whole or not at all; returns why not."""
        try:
            if self._file.write(line) == len(line):
                self._size += len(line)
                self._losing = False
                return None
            self._file.truncate(self._size)
            self._file.seek(self._size)
        except OSError as error:
            return error.strerror or str(error)
        return "no space left on the disk"

    @property
    def listeners(self) -> int:
        """How many follow the stream now."""
        return len(self._listeners)

    def listen(self) -> Listener:
        """Follow from here on; what came before is the journal's first ``history_bytes``."""
        listener = Listener(self._size)
        self._listeners.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Stop following."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def close(self) -> None:
        """End the stream for all who listen, and the journal."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._file.close()
