"""Compiling before the first sub is there, rather than when it comes."""

from __future__ import annotations

import numpy as np

from library.frames import FrameKind, FrameMeta
from livestack.engine import LiveStack, Sub
from livestack.masters import prepare

_SIDE = 128
_STARS = 12


def warm_up() -> None:
    """Stack two small frames of a few stars: every loop is compiled, or read from where it is kept."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    sky = rng.normal(1000, 10, (_SIDE, _SIDE))
    for row, column in rng.uniform(12, _SIDE - 12, (_STARS, 2)):
        sky += 5000 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 4)
    plane = np.ones((_SIDE, _SIDE), np.float32)
    defects = np.zeros((_SIDE, _SIDE), np.uint8)
    defects[_SIDE // 2, _SIDE // 2] = 1
    masters = prepare(dark=plane, flat=plane, defects=defects)
    meta = FrameMeta(kind=FrameKind.LIGHT, width=_SIDE, height=_SIDE)
    stack = LiveStack()
    for number in range(2):
        frame = (sky + rng.normal(0, 10, sky.shape)).astype(np.uint16)
        stack.add(Sub(frame_id=str(number), pixels=frame, meta=meta, masters=masters))
    for name in stack.filters:
        stack.snapshot(name)
