"""Runs of a plan over the wire that store in memory."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from acquire import events
from acquire.clock import RealClock
from acquire.indi.observatory import connect
from acquire.plan import Plan
from acquire.runner import Runner
from tests.acquire.fakes import FakeStore


class Night:
    """A run of a plan that stores in memory, and what it said."""

    def __init__(self) -> None:
        self.said: list[events.AcquireEvent] = []
        self.store = FakeStore(RealClock())
        self.on_event: Callable[[events.AcquireEvent], None] = lambda event: None

    def emit(self, event: events.AcquireEvent) -> None:
        self.said.append(event)
        self.on_event(event)

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in self.said)

    async def run(self, plan: Plan, port: int) -> str:
        async with asyncio.timeout(120), connect("127.0.0.1", port, plan) as observatory:
            return await Runner(plan, observatory, self.store, self.emit, RealClock()).run()


def header_of(fits: bytes) -> dict[str, str]:
    end = fits.index(b"END".ljust(80))
    cards = [fits[at : at + 80].decode("ascii") for at in range(0, end, 80)]
    return {card[:8].strip(): card[10:].split("/")[0].strip(" '") for card in cards if card[8:10] == "= "}


def kill_worker() -> None:
    """End the PyIndi process of this test, as a segfault in it would."""
    tasks = Path("/proc/self/task").iterdir()
    children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    [worker] = [
        pid for pid in children if b"acquire.indi.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(worker, signal.SIGKILL)
