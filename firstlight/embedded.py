"""The simulated observatory as a child process, for the demo."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import IO

from firstlight.errors import FirstlightError
from firstlight.events import Event, Log
from firstlight.launch import Simulated

START_TIMEOUT_S = 30.0


@asynccontextmanager
async def embedded_observatory(
    simulated: Simulated, log: IO[bytes], emit: Callable[[Event], None]
) -> AsyncIterator[tuple[str, int]]:
    """Run the observatory on a free loopback port while the ``with`` lasts; gives its host and port.

    Should it die, it is started again on the same port, as a server under a supervisor would be.
    """
    process, host, port = await _start(simulated, 0, log)

    async def supervise() -> None:
        nonlocal process
        while True:
            status = await process.wait()
            emit(
                Log(level="warning", message=f"the simulated observatory ended ({status}); starting it again")
            )
            process, _, _ = await _start(simulated, port, log)

    watcher = asyncio.create_task(supervise())
    try:
        yield host, port
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError, FirstlightError):
            await watcher
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), timeout=5)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _start(
    simulated: Simulated, port: int, log: IO[bytes]
) -> tuple[asyncio.subprocess.Process, str, int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators", "--follow-stdin", "--port", str(port)),
        *("--seed", str(simulated.seed), "--speed", str(simulated.speed)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), timeout=START_TIMEOUT_S)
        answer = json.loads(line)
        return process, str(answer["host"]), int(answer["port"])
    except (TimeoutError, ValueError, KeyError) as error:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise FirstlightError("the simulated observatory did not start; see session.log") from error
