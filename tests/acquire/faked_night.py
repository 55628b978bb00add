"""A runner with fake devices around it, on a clock that waits for nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from acquire import events
from acquire.plan import Plan
from acquire.runner import Runner
from tests.acquire.clocks import FakeClock
from tests.acquire.fakes import FakeObservatory, FakeStore

EVENING = datetime(2026, 11, 28, 18, 0, tzinfo=UTC)


class FakedNight:
    """A run with everything around it, and what it said; it begins in the :data:`EVENING`."""

    def __init__(self, plan: Plan, done: frozenset[str] = frozenset(), store_s: float = 0.0) -> None:
        self.clock = FakeClock()
        self.observatory = FakeObservatory(self.clock)
        self.store = FakeStore(self.clock, store_s)
        self.said: list[events.AcquireEvent] = []
        self.on_event: Callable[[events.AcquireEvent], None] = lambda event: None
        self._began_s = self.clock.monotonic()
        devices = self.observatory.devices
        self.runner = Runner(plan, devices, self.store, self._emit, self.clock, done, self._now)

    def _now(self) -> datetime:
        return EVENING + timedelta(seconds=self.clock.monotonic() - self._began_s)

    def _emit(self, event: events.AcquireEvent) -> None:
        self.said.append(event)
        self.on_event(event)

    async def run(self) -> str:
        return await self.clock.run(self.runner.run())

    def of(self, *kinds: type) -> list[Any]:
        return [event for event in self.said if isinstance(event, kinds)]
