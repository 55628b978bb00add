"""Servers that are broken or mean no good: a run ends in a sentence or a finished plan, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from acquire import events
from acquire.errors import AcquireError
from acquire.indi.observatory import connect
from acquire.runner import Runner
from tests.acquire.fakes import FakeStore
from tests.acquire.hostile_cases import CASES, DONE, SLOW, Case
from tests.acquire.rigs import FastClock, rig_on_the_wire

SPEED = 20.0
MOST_MB = 300


class Memory:
    """The most that the client process and this one have taken beyond what they had."""

    def __init__(self) -> None:
        self._own_at_first = self._kib("self", "VmRSS")
        self.most_mb = 0.0

    @staticmethod
    def _kib(pid: str, what: str) -> int:
        with contextlib.suppress(OSError):
            found = re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
            return int(found[1]) if found else 0
        return 0

    def look(self) -> None:
        children = [
            pid
            for task in Path("/proc/self/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]
        client = max((self._kib(pid, "VmHWM") for pid in children), default=0)
        own = self._kib("self", "VmRSS") - self._own_at_first
        self.most_mb = max(self.most_mb, (client + own) / 1024)


@asynccontextmanager
async def watched_memory() -> AsyncIterator[Memory]:
    memory = Memory()

    async def watch() -> None:
        while True:
            memory.look()
            await asyncio.sleep(0.02)

    watching = asyncio.create_task(watch())
    try:
        yield memory
    finally:
        memory.look()
        watching.cancel()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=pytest.mark.slow if name in SLOW else ())
        for name, case in CASES.items()
    ],
)
async def test_it_ends_in_a_sentence_or_a_finished_plan(case: Case) -> None:
    clock = FastClock(SPEED)
    told: list[events.AcquireEvent] = []
    refused: list[str] = []
    store = FakeStore(clock)
    async with rig_on_the_wire() as rig, watched_memory() as memory, asyncio.timeout(60):
        case.change(rig)
        rig.announce()
        try:
            async with connect(
                "127.0.0.1", rig.server.port, case.plan, clock, on_refused=refused.append
            ) as devices:
                outcome = await Runner(case.plan, devices, store, told.append, clock).run()
            ended = [event for event in told if isinstance(event, events.PlanEnded)][-1]
            sentence = ended.reason or ""
        except AcquireError as error:
            outcome, sentence = "refused", str(error)
    assert memory.most_mb < MOST_MB
    assert "an error in this program" not in sentence
    assert "Traceback" not in sentence
    for line in (sentence, *refused):
        assert line.isprintable()
        assert len(line) < 1000
    if case.ends == DONE:
        assert (outcome, len(store.frames)) == ("done", 2), sentence
    elif outcome != "done" or case.ends:
        assert outcome in {"failed", "refused"}
        assert case.ends in sentence
        assert sentence
    assert any(case.refused in line for line in refused) or not case.refused, refused
    assert len(refused) <= 40
