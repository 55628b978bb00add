"""Where a screen gets its night from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from firstlight.asking import Ask
from firstlight.events import Stamped


class NightSource(Protocol):
    """A session as its screens see it."""

    def events(self) -> AsyncIterator[Stamped]:
        """The run so far, then what happens; ends when the session ends or is gone."""

    async def send(self, ask: Ask) -> None:
        """Ask the session for something; what comes of it is an event."""
