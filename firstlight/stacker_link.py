"""The session's end of the stacking process: a queue of lights, and a process that may die."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from firstlight.asking import Ask
from firstlight.choices import Used, used
from firstlight.events import (
    Answer,
    DarkScaled,
    Event,
    Log,
    Restacking,
    StackQueue,
    StackSummary,
    SubGraded,
)
from firstlight.stacker import Job
from firstlight.stacker_process import StackerDiedError, StackerProcess
from livestack.events import SubAccepted, SubRejected

REFRESH_S = 2.0
"""While lights are waiting, the picture is painted no more often than this."""

MOST_DEATHS = 2
"""What has killed the process so often is not tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacked:
    """What the stacks came to."""

    stacks: tuple[StackSummary, ...]
    colour: str | None


class StackerLink:
    """Feeds the stacking process from a queue, in order, and passes on what it says.

    Acquisition only ever appends to the queue. When the process dies, a new one takes up what the old one had
    on disk, and is given all earlier lights, of which it stacks those that are missing there; a light that
    kills it twice is rejected.
    """

    def __init__(self, process: StackerProcess, emit: Callable[[Event], None]) -> None:
        self._process = process
        self._emit = emit
        self._waiting: deque[Job] = deque()
        self._given: dict[str, Job] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._scaled: dict[str, DarkScaled] = {}
        self._painted = float("-inf")
        self._asks: deque[Ask] = deque()
        self._work, self._deaths_at_work = False, 0
        self._anew: deque[Job] = deque()
        self._restacked, self._founded = 1, True
        self._by_hand: tuple[Ask, ...] = ()
        self._stale: set[str] = set()
        self._warming: asyncio.Task[None] | None = None
        self._verdicts: dict[str, SubAccepted | SubRejected] = {}
        self._grades: dict[str, SubGraded] = {}

    # -- the queue ---------------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """Queue a light; returns at once."""
        self._waiting.append(job)
        self._idle.clear()
        self._wake.set()
        self._emit(StackQueue(waiting=len(self._waiting)))

    def ask(self, ask: Ask) -> None:
        """Queue a wish for the stack, which comes before the next light; its answer is an event."""
        self._asks.append(ask)
        self._idle.clear()
        self._wake.set()

    def inside(self, frame_id: str) -> bool:
        """Whether a light is in its stack."""
        graded = self._grades.get(frame_id)
        return graded is not None and graded.inside

    def calibrated_as(self, frame_id: str) -> tuple[Used, ...] | None:
        """What a light was calibrated with; None for one that was never given, or in an earlier run."""
        job = self._given.get(frame_id)
        return None if job is None or frame_id in self._stale else used(job.choices)

    async def drained(self) -> None:
        """Return once every light in the queue has its verdict, and no restack is under way."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work off the queues until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pressing:
                try:
                    await self._next()
                except Exception as error:  # noqa: BLE001 - a fault of ours here must not end the night
                    traceback.print_exc()
                    self._emit(Log(level="error", message=f"the stack stumbled: {error!r}; see session.log"))
            self._idle.set()

    @property
    def _pressing(self) -> bool:
        return bool(self._asks or self._anew or self._waiting or self._work)

    async def _next(self) -> None:
        """Do the most pressing thing: a wish, a new light, one to be stacked again, a slice of a restack."""
        if self._asks:
            await self._obey(self._asks.popleft())
        elif self._anew and (not self._waiting or not self._founded):
            await self._stack_again()
        elif self._waiting:
            await self._stack_next()
        else:
            await self._work_on()

    async def _stack_next(self) -> None:
        now = asyncio.get_running_loop().time()
        refresh = not self._anew and (len(self._waiting) == 1 or now - self._painted > REFRESH_S)
        try:
            await self._stack(self._waiting[0], refresh=refresh)
        finally:
            self._waiting.popleft()
        if refresh:
            self._painted = asyncio.get_running_loop().time()
        self._emit(StackQueue(waiting=len(self._waiting)))

    async def _stack_again(self) -> None:
        """One of those that :meth:`restack` wants; the picture is painted when all of them are in."""
        job = self._anew.popleft()
        await self._stack(job, refresh=False)
        self._founded = self._founded or self.inside(job.frame_id)
        done = 1 - len(self._anew) / self._restacked
        self._emit(Restacking(filter=None, done=done))
        if not self._anew:
            for ask in self._by_hand:
                await self._obey(ask)
            self._by_hand = ()
            await self._work_on()

    async def _work_on(self) -> None:
        """Let the process do a slice of what is left to do in the background."""
        self._work = False  # until the answer says otherwise
        try:
            await self._request({"work": True, "refresh": True})
            self._deaths_at_work = 0
        except StackerDiedError:
            self._deaths_at_work += 1
            await self._again()
            self._work = self._deaths_at_work < MOST_DEATHS
            if not self._work:
                message = "the stacking process died on a restack again and again; see session.log"
                self._emit(Log(level="error", message=message))

    async def _obey(self, ask: Ask) -> None:
        """Hand a wish on; a process that dies on it is given it once more."""
        refused, text = True, "the stacking process died on it; see session.log"
        for _ in range(MOST_DEATHS):
            try:
                answer = await self._request({"ask": asdict(ask), "refresh": True})
            except StackerDiedError:
                await self._again()
                continue
            refused, text = answer["refused"], answer["text"]
            break
        self._emit(Answer(token=ask.token, refused=refused, text=text))

    async def _stack(self, job: Job, *, refresh: bool) -> None:
        self._given[job.frame_id] = job
        for _ in range(MOST_DEATHS):
            try:
                answer = await self._request({"add": job.to_dict(), "refresh": refresh})
            except StackerDiedError:
                await self._again()
                continue
            if answer["stale"]:  # it was stacked with other masters, in a run before this
                self._stale.add(job.frame_id)
            return
        detail = "the stacking process died on it twice; see session.log"
        self._say(SubRejected(frame_id=job.frame_id, filter=None, reason="crash", detail=detail, seconds=0.0))

    async def restack(self, jobs: list[Job]) -> None:
        """Begin anew with these lights, in their order; what a hand has said of them stands.

        Returns at once; new lights come between, and the pictures are as they were until it is done.
        """
        for _ in range(MOST_DEATHS):
            try:
                await self._request({"anew": True})
            except StackerDiedError:
                await self._again()
                continue
            break
        hand = [each for each in self._grades.values() if each.by == "hand"]
        self._by_hand = tuple(
            Ask(word="back" if each.inside else "out", subs=(each.frame_id,)) for each in hand
        )
        self._given.clear()
        self._stale.clear()
        self._anew, self._restacked, self._founded = deque(jobs), max(len(jobs), 1), False
        self._idle.clear()
        self._wake.set()

    async def finish(self) -> Stacked:
        """Write the stacks and say what they came to; call it when the queue is drained."""
        for _ in range(MOST_DEATHS):
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

    async def start(self) -> None:
        """Start the process, so that it is warm before the first light is there; how far it is, it says."""
        await self._process.start()
        self._warming = asyncio.create_task(self._warm())

    async def _warm(self) -> None:
        with suppress(StackerDiedError):  # then the next request finds out, too
            await self._request({"warm": True})

    async def close(self) -> None:
        """End the process."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        await self._process.end()

    async def _again(self) -> None:
        """After a death: a new process, which takes up its checkpoint and is given what that lacks."""
        await self._process.end()
        self._emit(Log(level="warning", message="the stacking process died; it goes on from its checkpoint"))
        for frame_id, job in self._given.items():
            if frame_id in self._verdicts:
                with suppress(StackerDiedError):  # then the next request finds out, too
                    await self._request({"add": job.to_dict()})

    async def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request, pass its events on, and return its answer."""
        answer = await self._process.request(request, self._say)
        self._work = bool(answer["work"])
        return answer

    def _say(self, event: Event) -> None:
        """Pass an event on; what is known already is no news."""
        match event:
            case DarkScaled():
                if self._scaled.get(event.frame_id) == event:
                    return
                self._scaled[event.frame_id] = event
            case SubGraded():
                if self._grades.get(event.frame_id) == event:
                    return
                self._grades[event.frame_id] = event
            case SubAccepted() | SubRejected():
                known = self._verdicts.get(event.frame_id)
                self._verdicts[event.frame_id] = event
                if known is not None and type(known) is type(event):
                    return
        self._emit(event)
