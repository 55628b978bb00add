"""Compiling before the first sub is there, rather than when it comes.

On a machine's first run the compiler is at work for a minute of one processor. Each part of that is a process
of its own, so that two share it, and what the compiler takes of memory goes with them. A part is compiled
once: several sessions and commands that want it wait for the one that is at it (:mod:`numerics.once`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from numerics.once import mark_of, once

if TYPE_CHECKING:
    from livestack.masters import Masters
    from livestack.planes import Planes

# What is imported here, all processes wait for: each function has its own.

_SIDE = 128
_STARS = 12
_SKY_ADU, _NOISE_ADU, _PEAK_ADU = 1000.0, 10.0, 5000.0
_KERNELS = (
    "livestack.kernels.stacking",
    "livestack.kernels.surveying",
    "livestack.kernels.judging",
    "measure.kernels.frames",
    "measure.kernels.peaks",
    "measure.kernels.star_shapes",
)
_AT_ONCE = 2

FIRST = ("looking", "stacking")
"""What a sub needs. With the masters of the night it is all that the first picture waits for."""

PARTS = (*FIRST, "masters")
"""All there is, in the order in which a night wants it."""

LOOPS = {"looking": 52, "stacking": 121, "masters": 65}
"""How many loops each part compiles, to tell how far it is."""

Tell = Callable[[float], None]


def warm_up(tell: Tell = lambda _: None) -> None:
    """Have all compiled, or read from where it is kept, and tell how far it is, from 0 to 1.

    Two small frames of a few stars are stacked in the end, so that this process has read all.
    """
    ensure(*PARTS, tell=tell)
    load()


def load() -> None:
    """Read what is compiled into this process: the first sub finds it there."""
    from library.frames import FrameKind, FrameMeta
    from livestack.engine import LiveStack, Sub

    meta = FrameMeta(kind=FrameKind.LIGHT, width=_SIDE, height=_SIDE)
    stack, masters = LiveStack(), _masters()
    for number in range(2):
        stack.add(Sub(frame_id=str(number), pixels=_frame(number), meta=meta, masters=masters))
    for name in stack.filters:
        stack.snapshot(name)


_ready: set[str] = set()


def ensure(*parts: str, tell: Tell = lambda _: None) -> None:
    """Return when these parts are compiled; nearly free when they are."""
    if _ready.issuperset(parts):
        return
    if missing := missing_of(parts):
        with Compiling(missing) as compiling:
            compiling.wait_for(missing, tell)
    _ready.update(parts)


def missing_of(parts: Iterable[str]) -> list[str]:
    """Those of the parts that were not compiled yet; none where nothing can be kept."""
    return [part for part in parts if (mark := _mark(part)) is not None and not mark.exists()]


class Compiling:
    """Parts that are compiled in processes of their own, two at once, in their order, until it is closed."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._todo = list(parts)
        self.parts = frozenset(self._todo)
        self._turn = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._told: SimpleQueue[tuple[str, bool]] = SimpleQueue()
        self._loops = dict.fromkeys(self._todo, 0)
        self._ended: set[str] = set()
        at_once = min(_AT_ONCE, len(os.sched_getaffinity(0)))
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(at_once)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs."""
        with self._turn:
            self._todo.clear()
            for process in self._running:
                process.kill()
        for thread in self._threads:
            thread.join()

    def wait_for(self, parts: Iterable[str], tell: Tell = lambda _: None) -> None:
        """Return when these have ended; one that failed is compiled where it is needed."""
        wanted = self.parts.intersection(parts)
        total = sum(LOOPS[part] for part in wanted)
        share = -1.0
        while not self._ended.issuperset(wanted):
            done = sum(
                LOOPS[part] if part in self._ended else min(self._loops[part], LOOPS[part]) for part in wanted
            )
            if done / max(total, 1) > share + 0.009:
                share = done / max(total, 1)
                tell(share)
            part, ended = self._told.get()
            self._loops[part] += 1
            if ended:
                self._ended.add(part)
        tell(1.0)

    def _work(self) -> None:
        while True:
            with self._turn:
                if not self._todo:
                    return
                part = self._todo.pop(0)
                process = subprocess.Popen(
                    (sys.executable, "-m", "livestack.warm", part),
                    stdin=subprocess.PIPE,  # it ends with us
                    stdout=subprocess.PIPE,
                    text=True,
                )
                self._running.add(process)
            assert process.stdin is not None
            assert process.stdout is not None
            with process.stdin, process.stdout:
                for _ in process.stdout:
                    self._told.put((part, False))
                process.wait()
            with self._turn:
                self._running.discard(process)
            self._told.put((part, True))


@cache
def _mark(part: str) -> Path | None:
    if part == "masters":
        from library.combine import loops_mark

        return loops_mark()
    return mark_of(part, _KERNELS, Path(__file__))


def _looking() -> None:
    """Compile what finds stars, in raw frames and in pictures, and what judges."""
    from livestack.look import look
    from measure.detection.picture import detect

    look(_frame(0), _masters(), saturation_adu=60_000.0)
    detect(_frame(0).astype(np.float32))
    _planes().picture()


def _stacking() -> None:
    """Compile what takes a frame into the stack."""
    from livestack.normalise import Mesh, level_surface
    from livestack.placing import Placed
    from livestack.planes import Light
    from livestack.survey import Patches
    from livestack.warp import Warp

    nowhere = Mesh(np.zeros((1, 1, 1)), np.zeros(2), np.ones(2))
    warp = Warp(np.eye(3))
    placed = Placed(
        bayer_pattern=None,
        warp=warp,
        scale=1.0,
        surface=level_surface(None, nowhere, warp, 1.0, (_SIDE, _SIDE)),
        weight=1.0,
        noise_adu=_NOISE_ADU,
        patches=Patches(),
    )
    planes = _planes()
    planes.put(Light(_frame(0), _masters(), placed), planes.tiles)


def _combining() -> None:
    """Compile what makes masters."""
    from library.combine import compile_loops

    compile_loops()


def _frame(seed: int) -> NDArray[np.uint16]:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    frame = np.random.default_rng(seed).normal(_SKY_ADU, _NOISE_ADU, (_SIDE, _SIDE))
    for row, column in rng.uniform(12, _SIDE - 12, (_STARS, 2)):
        frame += _PEAK_ADU * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 4)
    return frame.astype(np.uint16)


def _masters() -> Masters:
    from livestack.masters import prepare

    plane = np.ones((_SIDE, _SIDE), np.float32)
    defects = np.zeros((_SIDE, _SIDE), np.uint8)
    defects[_SIDE // 2, _SIDE // 2] = 1
    return prepare(dark=plane, flat=plane, defects=defects)


def _planes() -> Planes:
    from livestack.kernels.keys import Coding
    from livestack.planes import Planes

    return Planes((_SIDE, _SIDE), 1, Coding.over([_SKY_ADU], 65_535))


_WORK: dict[str, Callable[[], None]] = {
    "looking": _looking,
    "stacking": _stacking,
    "masters": _combining,
}


def main(part: str) -> None:
    """Compile a part unless somebody has, with a line for each loop; end when nobody waits any more."""
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    mark, work = _mark(part), _WORK[part]

    def told() -> None:
        from numba.core import event

        class Loop(event.Listener):
            def on_start(self, event: event.Event) -> None: ...

            def on_end(self, event: event.Event) -> None:  # noqa: ARG002 - numba's signature
                sys.stdout.write("\n")
                sys.stdout.flush()

        event.register("numba:compile", Loop())  # type: ignore[no-untyped-call]  # numba has no types
        work()

    if mark is not None:
        once(mark, told)


def _end_with_stdin() -> None:
    while os.read(0, 1024):  # not through sys.stdin, whose lock would be held when the interpreter ends
        pass
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1])
