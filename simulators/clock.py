"""Time in the simulated observatory: UTC that may run faster than the wall's."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class SimClock:
    """UTC that starts now (or at ``start``) and runs ``speed`` times as fast as real time."""

    def __init__(
        self,
        speed: float = 1.0,
        start: datetime | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < speed < math.inf:
            raise ValueError(f"the clock's speed must be positive and finite, not {speed}")
        self.speed = speed
        self.start = start or datetime.now(UTC)
        self._monotonic = monotonic
        self._origin = monotonic()

    def elapsed_s(self) -> float:
        """Simulated seconds since the start."""
        return (self._monotonic() - self._origin) * self.speed

    def utc(self, elapsed_s: float | None = None) -> datetime:
        """UTC now, or at so many simulated seconds after the start."""
        return self.start + timedelta(seconds=self.elapsed_s() if elapsed_s is None else elapsed_s)

    def jump(self, sim_s: float) -> None:
        """Set the clock forward or back, as somebody or NTP may; what has elapsed stays."""
        self.start += timedelta(seconds=sim_s)

    async def sleep(self, sim_s: float) -> None:
        """Wait for so many simulated seconds."""
        await asyncio.sleep(max(sim_s, 0.0) / self.speed)
