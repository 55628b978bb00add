"""Time as the room sees it, so that tests need not wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock that can be slept on."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    async def sleep(self, seconds: float) -> None:
        """Return once that many seconds have passed."""


class RealClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return once that many seconds have passed."""
        await asyncio.sleep(seconds)


def backoff(first_s: float, longest_s: float) -> Iterator[float]:
    """Endless waiting times in seconds: each twice the one before, up to the longest."""
    wait_s = first_s
    while True:
        yield wait_s
        wait_s = min(2 * wait_s, longest_s)
