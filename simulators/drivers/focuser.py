"""The focuser's driver, as libindi's ``FocuserInterface``: moves, and real backlash."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from simulators.clock import SimClock
from simulators.drivers import FOCUSER
from simulators.drivers.base import (
    MAIN,
    Number,
    RefusedError,
    SimDriver,
    accept_numbers,
    accept_switch,
    number_text,
    numbers,
    requested_numbers,
    requested_switch,
    switches,
    turn_on,
)
from simulators.mount_model import with_backlash

FOCUSER_INTERFACE = 8
TRAVEL_STEPS, START_STEPS = 60_000, 25_000
STEPS_PER_S = 800.0
EVENING_C, FALLS_C, FALLS_IN_S = 12.0, 4.0, 3 * 3600.0
_TICK_REAL_S = 0.25


class FocuserDriver(SimDriver):
    """Its motor tells steps; the drawtube lags behind by what the gear loses when its direction reverses.

    ``FOCUS_BACKLASH_STEPS`` is the compensation that a client may ask for: a reversal then goes so many
    steps further. ``FOCUSER_MECHANICS`` is the backlash that there is.
    """

    def __init__(self, clock: SimClock) -> None:
        self.position = _number(
            "ABS_FOCUS_POSITION",
            "Absolute Position",
            Number("FOCUS_ABSOLUTE_POSITION", "Steps", "%.f", 0, TRAVEL_STEPS, 1000, START_STEPS),
        )
        self.relative = _number(
            "REL_FOCUS_POSITION",
            "Relative Position",
            Number("FOCUS_RELATIVE_POSITION", "Steps", "%.f", 0, TRAVEL_STEPS, 1000, 0),
        )
        self.motion = switches(
            "FOCUS_MOTION",
            "Direction",
            MAIN,
            {"FOCUS_INWARD": "Focus In", "FOCUS_OUTWARD": "Focus Out"},
            "FOCUS_OUTWARD",
        )
        self.most = _number(
            "FOCUS_MAX",
            "Max. Position",
            Number("FOCUS_MAX_VALUE", "Steps", "%.f", 1000, TRAVEL_STEPS, 1000, TRAVEL_STEPS),
        )
        self.sync = _number(
            "FOCUS_SYNC", "Sync", Number("FOCUS_SYNC_VALUE", "Steps", "%.f", 0, TRAVEL_STEPS, 0, 0)
        )
        self.abort = switches(
            "FOCUS_ABORT_MOTION", "Abort Motion", MAIN, {"ABORT": "Abort"}, None, rule="AtMostOne"
        )
        self.temperature = numbers(
            "FOCUS_TEMPERATURE",
            "Temperature",
            MAIN,
            [Number("TEMPERATURE", "Celsius", "%.2f", -50, 70, 0, EVENING_C)],
            perm="ro",
            state="Ok",
        )
        self.compensation = switches(
            "FOCUS_BACKLASH_TOGGLE",
            "Backlash",
            MAIN,
            {"INDI_ENABLED": "Enabled", "INDI_DISABLED": "Disabled"},
            "INDI_DISABLED",
        )
        self.compensated = _number(
            "FOCUS_BACKLASH_STEPS", "Backlash", Number("FOCUS_BACKLASH_VALUE", "Steps", "%.f", 0, 5000, 10, 0)
        )
        self.mechanics = numbers(
            "FOCUSER_MECHANICS",
            "Mechanics",
            "Simulation",
            [Number("BACKLASH_STEPS", "Backlash (steps)", "%g", 0, 5000, 0, 0)],
        )
        # For the simulated camera's ears only: where the drawtube really is.
        self.drawtube = numbers(
            "FOCUSER_DRAWTUBE",
            "True position",
            "Simulation",
            [Number("STEPS", "Steps", "%.1f", -1e6, 1e6, 0, START_STEPS)],
            perm="ro",
            state="Ok",
        )
        vectors = [
            self.motion,
            self.relative,
            self.position,
            self.most,
            self.sync,
            self.abort,
            self.temperature,
            self.compensation,
            self.compensated,
            self.mechanics,
            self.drawtube,
        ]
        super().__init__(FOCUSER, "indi_firstlight_focus", FOCUSER_INTERFACE, clock, vectors)
        self.handlers |= {
            "ABS_FOCUS_POSITION": self._go_to,
            "REL_FOCUS_POSITION": self._go_by,
            "FOCUS_MOTION": accept_switch,
            "FOCUS_MAX": self._set_most,
            "FOCUS_SYNC": self._sync,
            "FOCUS_ABORT_MOTION": self._abort,
            "FOCUS_BACKLASH_TOGGLE": accept_switch,
            "FOCUS_BACKLASH_STEPS": accept_numbers,
            "FOCUSER_MECHANICS": accept_numbers,
        }
        self._moving: asyncio.Task[None] | None = None
        self._outward = True
        self._true_steps = float(START_STEPS)
        self._play_steps = 0.0

    @property
    def _steps(self) -> float:
        return float(self.position.getfloatvalue("FOCUS_ABSOLUTE_POSITION"))

    async def _go_to(self, event: Any) -> None:
        await self._begin(requested_numbers(event)["FOCUS_ABSOLUTE_POSITION"])

    async def _go_by(self, event: Any) -> None:
        steps = requested_numbers(event)["FOCUS_RELATIVE_POSITION"]
        self.relative["FOCUS_RELATIVE_POSITION"] = number_text(steps)
        goal = self._steps + (steps if self.motion["FOCUS_OUTWARD"] == "On" else -steps)
        await self._begin(goal)
        await self.relative.send_setVector(state="Busy")

    async def _begin(self, goal: float) -> None:
        most = self.most.getfloatvalue("FOCUS_MAX_VALUE")
        if not 0 <= goal <= most:
            raise RefusedError(f"position {goal:.0f} is not within 0 to {most:.0f} steps")
        self._halt()
        self._moving = asyncio.create_task(self._move(round(goal)))

    async def _move(self, goal: int) -> None:
        try:
            stuck = self.faults.due("focuser_sticks") is not None
            limit = self.faults.due("focuser_hits_limit") is not None
            stops_at = (self._steps + goal) / 2 if limit else float(goal)
            await self._drive(stops_at + self._overshoot(stops_at), stuck)
            await self._drive(stops_at, stuck)
            if limit:
                await self._say("Alert", "the focuser hit its limit switch before it was there")
                return
            await self._say("Ok")
        except asyncio.CancelledError:
            self._moving = None
            raise

    def _overshoot(self, goal: float) -> float:
        """With compensation on, an inward move ends outwards: it goes further first."""
        on = self.compensation["INDI_ENABLED"] == "On"
        return -self.compensated.getfloatvalue("FOCUS_BACKLASH_VALUE") if on and goal < self._steps else 0.0

    async def _drive(self, goal: float, stuck: bool) -> None:
        """Turn the motor; it tells where it is as it goes."""
        while (left := goal - self._steps) != 0:
            most = STEPS_PER_S * _TICK_REAL_S * self.clock.speed
            step = math.copysign(min(abs(left), most), left)
            await self.clock.sleep(abs(step) / STEPS_PER_S)
            if not stuck:
                backlash = self.mechanics.getfloatvalue("BACKLASH_STEPS")
                self._play_steps, made = with_backlash(self._play_steps, step, backlash)
                self._true_steps += made
            self.position["FOCUS_ABSOLUTE_POSITION"] = number_text(round(self._steps + step, 3))
            self.drawtube["STEPS"] = number_text(self._true_steps)
            await self.drawtube.send_setVector(state="Ok")
            await self.position.send_setVector(state="Busy")

    async def _say(self, state: str, message: str = "") -> None:
        await self.position.send_setVector(state=state, message=message)
        if self.relative.state == "Busy":
            await self.relative.send_setVector(state=state)

    async def _set_most(self, event: Any) -> None:
        if requested_numbers(event)["FOCUS_MAX_VALUE"] < self._steps:
            raise RefusedError("the focuser stands beyond that: move it first")
        await accept_numbers(event)

    async def _sync(self, event: Any) -> None:
        """Call the present position by another number; nothing moves."""
        steps = requested_numbers(event)["FOCUS_SYNC_VALUE"]
        self.position["FOCUS_ABSOLUTE_POSITION"] = number_text(steps)
        await self.position.send_setVector(state="Ok")
        await event.vector.send_setVector(state="Ok")

    async def _abort(self, event: Any) -> None:
        self._halt()
        requested_switch(event)
        turn_on(self.abort, None)
        await self.abort.send_setVector(state="Ok")
        await self._say("Idle")

    def _halt(self) -> None:
        if self._moving is not None:
            self._moving.cancel()
            self._moving = None

    # Called by the base class and by the library

    async def on_disconnect(self) -> None:
        """A focuser without a client stops where it is."""
        self._halt()

    async def hardware(self) -> None:
        """Tell the temperature as the night cools the tube: it nears 4 °C less within hours."""
        while not self.stop:
            cooled = FALLS_C * (1.0 - math.exp(-self.clock.elapsed_s() / FALLS_IN_S))
            text = number_text(round(EVENING_C - cooled, 2))
            if text != self.temperature["TEMPERATURE"]:
                self.temperature["TEMPERATURE"] = text
                if self.connected:
                    await self.temperature.send_setVector(state="Ok")
            await self.pause(1.0)
        self._halt()


def _number(name: str, label: str, member: Number) -> Any:
    return numbers(name, label, MAIN, [member], state="Ok")
