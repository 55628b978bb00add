"""Start a session as a process of its own, which no terminal can take down with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from firstlight.errors import FirstlightError
from firstlight.paths import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """An embedded observatory instead of an INDI server."""

    seed: int
    speed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """What a session is started with. ``indi`` is "HOST:PORT"; ``simulated`` takes its place."""

    root: str
    plan: str
    library: str | None = None
    """The folder that holds ``library/``; ``None`` takes the root's own."""

    indi: str | None = None
    simulated: Simulated | None = None
    glows: bool = False
    """The camera has amp glow: a gradient in its darks is its own."""

    def to_json(self) -> str:
        """As one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SessionSpec:
        """Inverse of :meth:`to_json`."""
        data: dict[str, Any] = json.loads(text)
        simulated = data.pop("simulated")
        return cls(**data, simulated=None if simulated is None else Simulated(**simulated))


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A session that had its devices and served its socket; it may have ended since."""

    pid: int
    journal: Path


def start_session(spec: SessionSpec) -> Started:
    """Start the session, and return once it has its devices and serves its socket.

    Raises
    ------
    FirstlightError
        with the session's own words, when it could not start.
    """
    root = Root(Path(spec.root))
    root.create()
    read_end, write_end = os.pipe()
    with root.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "firstlight.session", spec.to_json(), str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[write_end],
            start_new_session=True,
            cwd="/",
        )
    os.close(write_end)
    process.wait()  # it forks and goes: the session itself is nobody's child
    with os.fdopen(read_end, encoding="utf-8") as pipe:
        answer = pipe.readline()
        pipe.read()
    if not answer:
        raise FirstlightError(f"the session ended before it was ready; its last words are in {root.log}")
    reply: dict[str, Any] = json.loads(answer)
    if "error" in reply:
        raise FirstlightError(reply["error"])
    return Started(pid=int(reply["pid"]), journal=Path(reply["journal"]))
