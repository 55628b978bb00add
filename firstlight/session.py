"""The session's process: ``python -m firstlight.session SPEC FD``, started by :mod:`firstlight.launch`.

It leaves its parent at once, says on FD how it went, and lives until its plan is shot and stacked.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from acquire.errors import AcquireError
from acquire.indi.observatory import connect
from acquire.plan import Plan
from acquire.plan_file import read_plan
from firstlight import __version__
from firstlight.asking import STACK_WORDS, Ask
from firstlight.config import DEFAULT_INDI, parse_address
from firstlight.device_locks import DeviceLocks
from firstlight.embedded import embedded_observatory
from firstlight.errors import FirstlightError
from firstlight.events import Answer, Log, RunStarted
from firstlight.frame_preview import FramePreviews
from firstlight.launch import SessionSpec
from firstlight.night import Night
from firstlight.night_check import check_night
from firstlight.night_library import night_mark
from firstlight.paths import Root
from firstlight.server import serve
from firstlight.shooting import Shooting
from firstlight.stacker_link import StackerLink
from firstlight.stacker_process import StackerProcess
from firstlight.stream import EventStream
from library.errors import LibraryError
from library.store import Library
from library.writing import remove_parts

USER_ERRORS = (FirstlightError, AcquireError, LibraryError)
"""What a user can act on: shown as it is, without a traceback."""


async def session(spec: SessionSpec, ready: Callable[[Path], None]) -> None:
    """Run one night; ``ready`` gets its journal when its devices are there and its socket is served.

    Raises one of :data:`USER_ERRORS` for what a user can put right.
    """
    root = Root(Path(spec.root))
    plan = read_plan(Path(spec.plan))
    home = root.path if spec.library is None else Path(spec.library)
    root.create()
    async with AsyncExitStack() as stack:
        stack.enter_context(root.locked())
        stream = _stream(root)
        night: Night | Shooting | None = None

        def obey(ask: Ask) -> None:
            if ask.word in STACK_WORDS and isinstance(night, Night):
                night.ask(ask)
            elif ask.word in STACK_WORDS:
                text = "there is no stack: this run has no lights, or is still connecting"
                stream.emit(Answer(token=ask.token, refused=True, text=text))
            elif night is not None:
                night.command(ask.word)

        # The socket outlives the devices: who waits for its end finds the root free for another night.
        await stack.enter_async_context(serve(root, stream, obey))
        library = stack.enter_context(Library.open(home))
        if plan.lights:  # what has none is shot for the library itself, whichever root it is shot from
            plan = replace(plan, night=night_mark(root.path, home))
        log = stack.enter_context(root.log.open("ab"))
        done = await asyncio.to_thread(library.done_steps, plan.plan_id)
        run = RunStarted(version=__version__, root=str(root.path), pid=os.getpid(), resumed=bool(done))
        stream.emit(run)
        if home != root.path:
            stream.say(f"frames and masters are in the library of {home}", "info")
        stacker = await _stacker(plan, root, stream, log, stack) if plan.lights else None
        host, port = parse_address(spec.indi or DEFAULT_INDI)
        if spec.simulated is not None:
            embedded = embedded_observatory(spec.simulated, log, stream.emit)
            host, port = await stack.enter_async_context(embedded)
        locks = DeviceLocks(host, port, root.path)
        stack.callback(locks.release)
        claim = locks.claim if spec.simulated is None else None  # a demo's devices are nobody else's
        observatory = await stack.enter_async_context(
            connect(host, port, plan, on_refused=stream.say, claim=claim)
        )
        await check_night(
            plan,
            observatory,
            done=done,
            disk_of=home,
            busy_is_ours=locks.left_by_a_killed_run,
            say=stream.say,
        )
        previews = FramePreviews(root.pictures, stream.emit)
        stack.push_async_callback(previews.close)
        if stacker is None:
            night = Shooting(plan=plan, library=library, stream=stream, glows=spec.glows, previews=previews)
        else:
            night = Night(plan=plan, library=library, stream=stream, stacker=stacker, previews=previews)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, obey, Ask(word="stop"))
        ready(stream.path)
        try:
            await night.run(observatory)
        except USER_ERRORS as error:
            stream.emit(Log(level="error", message=str(error)))
            raise


def _stream(root: Root) -> EventStream:
    """A journal on a root that is ours, without what a killed run left half-written."""
    for folder in (root.path, root.journals):
        remove_parts(folder)
    return EventStream(root.journals)


async def _stacker(
    plan: Plan, root: Root, stream: EventStream, log: IO[bytes], stack: AsyncExitStack
) -> StackerLink:
    """Start the stacker's process; it ends with ``stack``."""
    target = plan.target.name if plan.target else plan.name
    process = StackerProcess(root.stack(target, plan.plan_id), root.pictures, target, log)
    stacker = StackerLink(process, stream.emit)
    stack.push_async_callback(stacker.close)
    await stacker.start()
    return stacker


def main() -> None:
    """Leave the parent, run the session, and tell the parent how the start went."""
    spec, fd = SessionSpec.from_json(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)
    os.set_inheritable(fd, False)  # no process of ours may keep the parent waiting
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    told = False

    def tell(answer: dict[str, object]) -> None:
        nonlocal told
        if not told:
            told = True
            with suppress(BrokenPipeError):  # whoever started us did not wait
                os.write(fd, json.dumps(answer).encode() + b"\n")
            if "error" not in answer:
                os.close(fd)  # after an error it closes with the process, and so says when it is gone

    try:
        asyncio.run(session(spec, lambda journal: tell({"pid": os.getpid(), "journal": str(journal)})))
    except USER_ERRORS as error:
        tell({"error": str(error)})
        sys.exit(1)
    except BaseException as error:
        traceback.print_exc()
        tell({"error": f"{type(error).__name__}: {error}; details are in {Root(Path(spec.root)).log}"})
        raise


if __name__ == "__main__":
    main()
