"""Time for tests: it passes when nothing else can happen."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
_IDLE_TURNS = 30


class FakeClock:
    """Sleepers wake in order, and only once everything else has come to rest; see :meth:`run`."""

    def __init__(self) -> None:
        self._now_s = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + seconds, next(self._count), future))
        await future

    async def run(self, work: Coroutine[Any, Any, _T], *, limit_s: float = 1e6) -> _T:
        """Await the work, letting time pass whenever it does nothing but wait for it."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await self.rest()
                if not task.done():
                    self._wake_next(limit_s)
        finally:
            task.cancel()
            await asyncio.wait({task})
        return task.result()

    async def rest(self) -> None:
        """Let everything run that can run without time passing."""
        for _ in range(_IDLE_TURNS):
            await asyncio.sleep(0)

    def _wake_next(self, limit_s: float) -> None:
        self._sleepers = [entry for entry in self._sleepers if not entry[2].done()]
        heapq.heapify(self._sleepers)
        assert self._sleepers, "nothing is left to wait for: the work hangs"
        when, _, future = heapq.heappop(self._sleepers)
        assert when < limit_s, "the work waits for ever"
        self._now_s = max(self._now_s, when)
        future.set_result(None)
