"""What the runner needs of whoever makes frames durable."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol

from library.frames import Stamp


class StoredRef(Protocol):
    """What the store says of a frame that is durable."""

    @property
    def frame_id(self) -> str:
        """The frame's id in the library."""

    @property
    def path(self) -> Path:
        """Where its file is."""


class Store(Protocol):
    """Makes a frame durable; after it raised it is called again with the same stamp."""

    def __call__(self, fits: bytes, stamp: Stamp, /) -> Awaitable[StoredRef]:
        """Return once the frame is on disk. Raises :class:`library.errors.LibraryError`.

        It may raise :class:`FrameRefusedError` for a frame that is kept aside and shall be shot again, and
        :class:`HopelessError` where that would lead nowhere.
        """
