"""Decides when a fault happens, and writes every one that did into the sidecar of truth."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from simulators.clock import SimClock
from simulators.faults.kinds import KINDS, Occasion
from simulators.faults.plan import Fault, FaultPlan


class _Rule:
    """A fault with its memory: how often it could have happened and did, and dice of its own."""

    def __init__(self, fault: Fault, seed: str) -> None:
        self.fault = fault
        self._dice = random.Random(seed)  # noqa: S311  # no secret
        self._opportunities = 0
        self._left = fault.times

    def due(self, exposure: int, elapsed_s: float) -> bool:
        """Take one opportunity."""
        fault = self.fault
        self._opportunities += 1
        drawn = self._dice.random()
        if self._left == 0:
            return False
        due = (
            (fault.at_exposure is not None and exposure >= fault.at_exposure)
            or (fault.at_opportunity is not None and self._opportunities >= fault.at_opportunity)
            or (fault.at_s is not None and elapsed_s >= fault.at_s)
            or (fault.probability is not None and drawn < fault.probability)
        )
        if due and self._left is not None:
            self._left -= 1
        return due


@dataclass(frozen=True, slots=True)
class Running:
    """A fault that has begun and is not over; its age is in simulated seconds."""

    fault: Fault
    age_s: float
    times: int
    """How often it has happened."""


class Injector:
    """What drivers and the server ask whether something goes wrong now.

    With nothing armed every question is a look into an empty dictionary. ``act`` is called for the faults
    that need no order of a client (:attr:`Occasion.ANY`). One event loop.
    """

    def __init__(self, plan: FaultPlan, clock: SimClock, truth: Path | None = None) -> None:
        self.act: Callable[[Fault], Awaitable[None]] | None = None
        self._clock = clock
        self._truth = truth
        self._waiting: set[asyncio.Task[None]] = set()
        self._acting: set[asyncio.Task[None]] = set()
        self._load(plan)

    def _load(self, plan: FaultPlan) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        for number, fault in enumerate(plan.faults):
            self._rules.setdefault(fault.name, []).append(_Rule(fault, f"{plan.seed}/{number}"))
        self._running: dict[str, tuple[Fault, float, int]] = {}
        self._exposures = 0
        self._armed_s = self._clock.elapsed_s()

    def arm(self, plan: FaultPlan) -> None:
        """Forget all that was and begin with this plan: counts from one, times from now.

        What is being done is finished: a driver that crashed comes back.
        """
        self._cancel(self._waiting)
        self._load(plan)
        self.start()

    def start(self) -> None:
        """Set the clocks of the faults that come at a time of their own; needs a running loop."""
        for name, rules in self._rules.items():
            if KINDS[name].occasion is Occasion.ANY:
                for rule in rules:
                    if rule.fault.at_s is not None:
                        self._after(rule.fault.at_s, rule)

    def close(self) -> None:
        """End what is still to come, and what is being done."""
        self._cancel(self._waiting | self._acting)

    def _cancel(self, tasks: set[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()

    def exposure_began(self, exposure_s: float) -> None:
        """Count it; what happens at any time happens midway through it."""
        if not self._rules:
            return
        self._exposures += 1
        for name, rules in self._rules.items():
            if KINDS[name].occasion is Occasion.ANY:
                for rule in rules:
                    if rule.fault.at_s is None and rule.due(self._exposures, 0.0):
                        self._after(exposure_s / 2, rule)

    def due(self, *names: str) -> Fault | None:
        """One opportunity for each of these faults; the first that is due has happened."""
        found = None
        for name in names:
            for rule in self._rules.get(name, ()):
                elapsed_s = self._clock.elapsed_s() - self._armed_s
                if found is None and rule.due(self._exposures, elapsed_s):
                    found = rule.fault
        if found is not None:
            self._begin(found, self._clock.elapsed_s())
        return found

    def running(self, name: str) -> Running | None:
        """A fault that has happened and is not over: its ``lasts_s`` or the next arming ends it."""
        if name not in self._running:
            return None
        fault, since_s, times = self._running[name]
        age_s = self._clock.elapsed_s() - since_s
        if "lasts_s" in fault.parameters and age_s >= fault.number("lasts_s"):
            return None
        if "lasts_real_s" in fault.parameters and age_s >= fault.number("lasts_real_s") * self._clock.speed:
            return None
        return Running(fault, age_s, times)

    def over(self, name: str) -> None:
        """It has ended."""
        self._running.pop(name, None)

    def _begin(self, fault: Fault, now_s: float) -> None:
        _, _, times = self._running.get(fault.name, (None, 0.0, 0))
        self._running[fault.name] = (fault, now_s, times + 1)
        if self._truth is not None:
            line = {
                "fault": fault.name,
                "exposure": self._exposures,
                "elapsed_s": round(now_s, 3),
                "parameters": {key: str(v) if v == math.inf else v for key, v in fault.parameters.items()},
            }
            with self._truth.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _after(self, sim_s: float, rule: _Rule) -> None:
        due_s = self._clock.elapsed_s() + sim_s  # when it begins, however late a busy machine wakes us

        async def wait_and_act() -> None:
            await self._clock.sleep(due_s - self._clock.elapsed_s())
            self._waiting.discard(task)
            self._acting.add(task)
            self._begin(rule.fault, due_s)
            if self.act is not None:
                await self.act(rule.fault)

        def forget(_task: asyncio.Task[None]) -> None:
            self._waiting.discard(task)
            self._acting.discard(task)

        task = asyncio.create_task(wait_and_act())
        self._waiting.add(task)
        task.add_done_callback(forget)


NO_FAULTS = Injector(FaultPlan(), SimClock())
"""Nothing ever goes wrong."""
