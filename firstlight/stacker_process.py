"""The stacking process as the session has it: started when it is needed, one request at a time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from firstlight.events import Event, decode

LONGEST_LINE = 1 << 20
END_S = 10.0


class StackerDiedError(Exception):
    """The stacking process ended in the middle of a request."""


class StackerProcess:
    """Starts :mod:`firstlight.stacker` anew when it is gone; ``log`` gets what it prints."""

    def __init__(self, folder: Path, pictures: Path, target: str, log: IO[bytes]) -> None:
        self._words = (str(folder), str(pictures), target)
        self._log = log
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._replies: asyncio.StreamReader | None = None
        self._transport: asyncio.BaseTransport | None = None

    async def start(self) -> None:
        """Start it, so that it is warm before the first request."""
        if self._process is not None:
            return
        read_end, write_end = os.pipe()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "firstlight.stacker", str(write_end), *self._words),
            stdin=asyncio.subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[write_end],
        )
        os.close(write_end)
        self._replies = asyncio.StreamReader(limit=LONGEST_LINE)
        replies = self._replies
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(replies), os.fdopen(read_end, "rb")
        )

    async def request(self, request: dict[str, Any], say: Callable[[Event], None]) -> dict[str, Any]:
        """Send a request, pass its events on, and return its answer. Raises :class:`StackerDiedError`."""
        async with self._turn:
            await self.start()
            assert self._process is not None
            assert self._process.stdin is not None
            assert self._replies is not None
            try:
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                await self._process.stdin.drain()
                while (line := await self._replies.readline()).endswith(b"\n"):
                    answer: dict[str, Any] = json.loads(line)
                    if "event" not in answer:
                        return answer
                    say(decode(line).event)
            except ConnectionError as error:
                raise StackerDiedError from error
            raise StackerDiedError

    async def end(self) -> None:
        """Let it end with its input; one that does not is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), timeout=END_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._transport is not None:
            self._transport.close()
