"""A bad line to a client: slow, late, dead for a while, or cut in the middle of a frame."""

from __future__ import annotations

import asyncio
import socket

from simulators.faults.injector import Injector
from simulators.link import Writing

_SLICE_S = 0.05


class FaultyWriting(Writing):
    """Sends as :class:`Writing` does while nothing is wrong."""

    def __init__(self, sock: socket.socket, faults: Injector) -> None:
        super().__init__(sock)
        self._sock = sock
        self._faults = faults
        self._lane = asyncio.Lock()
        self._cut = False

    def write(self, data: bytes) -> None:
        """Take data to be sent by the next :meth:`drain`; after a cut nothing more."""
        if self._cut:
            return
        if data.startswith(b"<setBLOBVector") and (cut := self._faults.due("connection_cut")):
            data = data[: int(len(data) * cut.number("keep_fraction"))]
            self._cut = True
        super().write(data)

    async def drain(self) -> None:
        """Send what waits, in its order, at the line's pace."""
        async with self._lane:
            while self._faults.running("network_stalls"):
                await asyncio.sleep(_SLICE_S)
            if late := self._faults.running("network_latency"):
                await asyncio.sleep(late.fault.number("delay_real_s"))
            if self._faults.running("network_slow"):
                await self._trickle()
            await super().drain()
            if self._cut:
                self.close()

    async def _trickle(self) -> None:
        """Send slices until all is sent or the line is well again; what is left then waits on."""
        data, self._waiting = b"".join(self._waiting), []
        while data and self._open and (slow := self._faults.running("network_slow")):
            size = max(1, int(slow.fault.number("bytes_per_s") * _SLICE_S))
            self._waiting.insert(0, data[:size])
            later, self._waiting[1:] = self._waiting[1:], []
            await super().drain()
            self._waiting[:0] = later
            data = data[size:]
            await asyncio.sleep(_SLICE_S)
        if data:
            self._waiting.insert(0, data)
