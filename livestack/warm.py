"""Compiling before the first sub is there, rather than when it comes.

On a machine's first run the compiler is at work for twenty seconds of one processor. Two processes share
that, and what the compiler takes of memory goes with them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerics.cache import is_kept

if TYPE_CHECKING:
    from livestack.masters import Masters
    from livestack.planes import Planes

# What is imported here, all three processes wait for: each function has its own.

_SIDE = 128
_STARS = 12
_SKY_ADU, _NOISE_ADU, _PEAK_ADU = 1000.0, 10.0, 5000.0
_KERNELS = ("livestack.kernels.stacking", "livestack.kernels.surveying")


def warm_up() -> None:
    """Stack two small frames of a few stars: every loop is compiled, or read from where it is kept."""
    halves = []
    if not all(is_kept(module) for module in _KERNELS):
        command = (sys.executable, "-m", "livestack.warm")
        halves = [subprocess.Popen([*command, half], stdin=subprocess.DEVNULL) for half in _HALVES]
    from library.frames import FrameKind, FrameMeta  # meanwhile
    from livestack.engine import LiveStack, Sub

    for each in halves:
        each.wait()
    meta = FrameMeta(kind=FrameKind.LIGHT, width=_SIDE, height=_SIDE)
    stack, masters = LiveStack(), _masters()
    for number in range(2):
        stack.add(Sub(frame_id=str(number), pixels=_frame(number), meta=meta, masters=masters))
    for name in stack.filters:
        stack.snapshot(name)


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


_HALVES: dict[str, Callable[[], None]] = {"looking": _looking, "stacking": _stacking}

if __name__ == "__main__":
    _HALVES[sys.argv[1]]()
