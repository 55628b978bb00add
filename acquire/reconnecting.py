"""Waiting for devices that went away, but neither for ever nor again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from acquire import events
from acquire.clock import Clock, backoff
from acquire.devices import Observatory
from acquire.errors import DeviceLostError, HopelessError
from acquire.plan import Options

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


class Reconnecting:
    """Counts how often in a row the devices were lost without a frame in between."""

    def __init__(
        self,
        options: Options,
        devices: Observatory,
        emit: Callable[[events.AcquireEvent], None],
        clock: Clock,
    ) -> None:
        self._options, self._devices, self._emit, self._clock = options, devices, emit, clock
        self.frame_came()

    def frame_came(self) -> None:
        """The devices work: what was before does not count any more."""
        self._losses = 0
        self._pauses = backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)

    async def wait(self, error: DeviceLostError) -> None:
        """Return once everything is back. Raises :class:`HopelessError` if that leads nowhere."""
        what = self._devices.camera.name
        self._emit(events.ConnectionLost(what=what, reason=str(error)))
        if self._devices.restore is None:
            raise HopelessError(f"the connection is lost: {error}")
        self._losses += 1
        if self._losses > self._options.reconnects:
            raise HopelessError(
                f"the connection was lost {self._losses} times without a frame in between, at last: {error}"
            )
        if self._losses > 1:
            await self._clock.sleep(next(self._pauses))
        await self._restored(error)
        self._emit(events.ConnectionRestored(what=what))

    async def _restored(self, error: DeviceLostError) -> None:
        assert self._devices.restore is not None
        limit_s = self._options.reconnect_timeout_s
        restoring = asyncio.ensure_future(self._devices.restore())
        patience = asyncio.ensure_future(self._clock.sleep(limit_s))
        try:
            await asyncio.wait({restoring, patience}, return_when=asyncio.FIRST_COMPLETED)
            if not restoring.done():
                raise HopelessError(f"what was lost has not come back within {limit_s:g} s: {error}")
            restoring.result()
        finally:
            for task in (restoring, patience):
                task.cancel()
            await asyncio.gather(restoring, patience, return_exceptions=True)
