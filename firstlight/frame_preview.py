"""The newest frame as it came, stretched: something to look at before there is a stack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstlight.events import Event, FrameShown
from library.errors import LibraryError
from library.frames import FrameKind, FrameRecord

EVERY_S = 5.0
MAX_SIDE_PX = 1000
NAME = "newest_frame.png"


class FramePreviews:
    """Paints no more than one frame at a time and one in ``every_s``; the others are passed over.

    Of the lights the first alone: what follows is seen in its stack.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[Event], None],
        *,
        every_s: float = EVERY_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._tell = folder / NAME, tell
        self._every_s, self._now = every_s, now
        self._begun_s = float("-inf")
        self._lights = 0
        self._painting: asyncio.Task[None] | None = None

    def take(self, record: FrameRecord) -> None:
        """A frame is durable; returns at once."""
        is_light = record.meta.kind is FrameKind.LIGHT
        self._lights += is_light
        busy = self._painting is not None and not self._painting.done()
        if busy or self._lights > is_light or (not is_light and self._now() - self._begun_s < self._every_s):
            return
        self._begun_s = self._now()
        self._painting = asyncio.create_task(self._show(record))

    async def close(self) -> None:
        """Return when nothing is being painted any more."""
        if self._painting is not None:
            await self._painting

    async def _show(self, record: FrameRecord) -> None:
        try:
            width, height = await asyncio.to_thread(paint_frame, record.path, self._path)
        except (OSError, LibraryError):
            return  # a picture to pass the time: what is wrong with the file, others will say
        meta = record.meta
        self._tell(
            FrameShown(
                kind=meta.kind.value,
                filter=meta.filter,
                exposure_s=meta.exposure_s or 0.0,
                path=str(self._path),
                width=width,
                height=height,
            )
        )


def paint_frame(source: Path, target: Path) -> tuple[int, int]:
    """Write a frame, shrunk and stretched, as PNG; its width and height. Raises OSError, LibraryError."""
    from develop.png import write_png  # heavy, and wanted by frames alone
    from develop.stretch import autostretch
    from library.reading import read_frame

    frame = read_frame(source)
    return write_png(target, autostretch(_shrunk(frame.pixels)), max_side_px=MAX_SIDE_PX)


def _shrunk(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    """Means of square blocks, of an even side where there is room: no mosaic is left in them."""
    block = max(1, -(-max(pixels.shape[:2]) // MAX_SIDE_PX))
    block += block % 2 if block > 1 else 0
    rows, columns = (n // block for n in pixels.shape[:2])
    cut = pixels[: rows * block, : columns * block]
    blocks = cut.reshape(rows, block, columns, block, *pixels.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32), np.float32)
