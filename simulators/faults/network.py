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
        self._faults = faults
        self._cut = False

    def write(self, data: bytes) -> None:
        """Take data to be sent by the next :meth:`drain`; after a cut nothing more."""
        if self._cut:
            return
        if data.startswith(b"<setBLOBVector") and (cut := self._faults.due("connection_cut")):
            data = data[: int(len(data) * cut.number("keep_fraction"))]
            self._cut = True
        super().write(data)

    async def _send(self, data: bytes) -> None:
        """Send at the line's pace; the line may become well in the middle of it."""
        running = self._faults.running
        while running("network_stalls"):  # noqa: ASYNC110  # another arming ends it too
            await asyncio.sleep(_SLICE_S)
        if late := running("network_latency"):
            await asyncio.sleep(late.fault.number("delay_real_s"))
        left = memoryview(data)
        while left and (slow := running("network_slow")):
            size = max(1, int(slow.fault.number("bytes_per_s") * _SLICE_S))
            await super()._send(bytes(left[:size]))
            left = left[size:]
            await asyncio.sleep(_SLICE_S)
        await super()._send(bytes(left))
        if self._cut:
            self.close()
