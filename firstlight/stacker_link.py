"""The session's end of the stacking process: a queue of lights, and a process that may die."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from firstlight.choices import Used, used
from firstlight.events import DarkScaled, Event, Log, StackQueue, StackSummary, decode
from firstlight.paths import Root
from firstlight.stacker import Job
from livestack.events import SubAccepted, SubRejected

LONGEST_LINE = 1 << 20
REFRESH_S = 2.0
"""While lights are waiting, the picture is painted no more often than this."""


class StackerDiedError(Exception):
    """The stacking process ended in the middle of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacked:
    """What the stacks came to."""

    stacks: tuple[StackSummary, ...]
    colour: str | None


class StackerLink:
    """Feeds the stacking process from a queue, in order, and passes on what it says.

    Acquisition only ever appends to the queue. When the process dies, a new one is given all earlier
    lights again; a light that kills it twice is rejected.
    """

    def __init__(self, root: Root, target: str, emit: Callable[[Event], None], log: IO[bytes]) -> None:
        self._root, self._target, self._emit, self._log = root, target, emit, log
        self._waiting: deque[Job] = deque()
        self._given: dict[str, Job] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._process: asyncio.subprocess.Process | None = None
        self._replies: asyncio.StreamReader | None = None
        self._transport: asyncio.BaseTransport | None = None
        self._scaled: dict[str, DarkScaled] = {}
        self.verdicts: dict[str, SubAccepted | SubRejected] = {}

    # -- the queue ---------------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """Queue a light; returns at once."""
        self._waiting.append(job)
        self._idle.clear()
        self._wake.set()
        self._emit(StackQueue(waiting=len(self._waiting)))

    def calibrated_as(self, frame_id: str) -> tuple[Used, ...] | None:
        """What a light was calibrated with; None for one that was never given."""
        job = self._given.get(frame_id)
        return None if job is None else used(job.choices)

    async def drained(self) -> None:
        """Return once every light in the queue has its verdict."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work off the queue until cancelled."""
        loop = asyncio.get_running_loop()
        painted = float("-inf")
        while True:
            await self._wake.wait()
            while self._waiting:
                job = self._waiting[0]
                refresh = len(self._waiting) == 1 or loop.time() - painted > REFRESH_S
                await self._stack(job, refresh=refresh)
                if refresh:
                    painted = loop.time()
                self._waiting.popleft()
                self._emit(StackQueue(waiting=len(self._waiting)))
            self._wake.clear()
            self._idle.set()

    async def _stack(self, job: Job, *, refresh: bool) -> None:
        self._given[job.frame_id] = job
        for _ in range(2):
            try:
                await self._request({"add": job.to_dict(), "refresh": refresh})
            except StackerDiedError:
                await self._again()
                continue
            return
        detail = "the stacking process died on it twice; see session.log"
        self._say(SubRejected(frame_id=job.frame_id, filter=None, reason="crash", detail=detail, seconds=0.0))

    async def restack(self, jobs: list[Job]) -> None:
        """Begin anew with these lights, and return when they are stacked."""
        await self.drained()
        await self._end()
        self._given.clear()
        for job in jobs:
            self.add(job)
        await self.drained()

    async def finish(self) -> Stacked:
        """Write the stacks and say what they came to; call it when the queue is drained."""
        for _ in range(2):
            try:
                answer = await self._request({"finish": True, "refresh": True})
            except StackerDiedError:
                await self._again()
                continue
            return Stacked(
                stacks=tuple(StackSummary(**each) for each in answer["stacks"]), colour=answer["colour"]
            )
        self._emit(Log(level="error", message="the stacks could not be written; see session.log"))
        return Stacked(stacks=(), colour=None)

    # -- the process -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the process, so that it is warm before the first light is there."""
        if self._process is not None:
            return
        read_end, write_end = os.pipe()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "firstlight.stacker", str(write_end)),
            *(str(self._root.pictures), self._target),
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

    async def close(self) -> None:
        """End the process."""
        await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), timeout=10)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._transport is not None:
            self._transport.close()

    async def _again(self) -> None:
        """After a death: a new process, given everything that the old one had taken."""
        await self._end()
        self._emit(Log(level="warning", message="the stacking process died; stacking again from the library"))
        for frame_id, job in self._given.items():
            if frame_id in self.verdicts:
                with suppress(StackerDiedError):  # then the next request finds out, too
                    await self._request({"add": job.to_dict()})

    async def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request, pass its events on, and return its answer."""
        await self.start()
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._replies is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
            while (line := await self._replies.readline()).endswith(b"\n"):
                answer: dict[str, Any] = json.loads(line)
                if "done" in answer:
                    return answer
                self._say(decode(line).event)
        except ConnectionError as error:
            raise StackerDiedError from error
        raise StackerDiedError

    def _say(self, event: Event) -> None:
        """Pass an event on; a verdict or a factor that is known already is no news."""
        if isinstance(event, DarkScaled):
            if self._scaled.get(event.frame_id) == event:
                return
            self._scaled[event.frame_id] = event
        if isinstance(event, SubAccepted | SubRejected):
            known = self.verdicts.get(event.frame_id)
            self.verdicts[event.frame_id] = event
            if known is not None and type(known) is type(event):
                return
        self._emit(event)
