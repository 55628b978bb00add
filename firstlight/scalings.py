"""By how much each sub's dark was scaled, on disk next to the stack's state: a line a sub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from livestack.dark_scaling import Scaling


class Scalings:
    """Remembers them; a disk that takes no line costs the stack's header that line at the next start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_id: dict[str, Scaling] = {}
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError, KeyError, TypeError):  # the line on which a killed process ended
                    data = json.loads(line)
                    self._by_id[data.pop("frame_id")] = Scaling(**data)

    def add(self, frame_id: str, scaling: Scaling) -> None:
        """Note a sub's."""
        self._by_id[frame_id] = scaling
        line = json.dumps({"frame_id": frame_id} | asdict(scaling))
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}")  # before it, should the last line be torn

    def of(self, frame_ids: Iterable[str]) -> Iterator[Scaling]:
        """Those of the subs that have one."""
        return (self._by_id[each] for each in frame_ids if each in self._by_id)
