"""Running nights as a user does, and making sure that none outlives its test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIRSTLIGHT = str(Path(sys.executable).with_name("firstlight"))
LONG_S = 300.0


def firstlight(*arguments: object, timeout: float = LONG_S, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    return subprocess.run(
        [FIRSTLIGHT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
        **more,
    )


def events_of(output: str) -> list[dict[str, Any]]:
    """The JSON lines of a command's output."""
    return [json.loads(line) for line in output.splitlines()]


def journal(root: Path) -> list[dict[str, Any]]:
    """Every line of a root's journals, oldest run first, but for one that a killed session tore."""
    lines: list[dict[str, Any]] = []
    for file in sorted((root / "journal").glob("*.jsonl")):
        for line in file.read_text().splitlines():
            with suppress(ValueError):
                lines.append(json.loads(line))
    return lines


def session_pid(root: Path) -> int | None:
    """The process id of the session that runs on a root, if one does."""
    for event in reversed(journal(root)):
        if event["event"] == "run_started":
            with suppress(OSError):
                if b"firstlight.session" in Path(f"/proc/{event['pid']}/cmdline").read_bytes():
                    return int(event["pid"])
            return None
    return None


def kill_night(root: Path) -> bool:
    """``kill -9`` a root's session and all its processes at once; says whether there was one."""
    pid = session_pid(root)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.killpg(os.getpgid(pid), signal.SIGKILL)
    return True


@dataclass
class Night:
    """A command that shows a night as JSON lines, in the background."""

    root: Path
    arguments: list[str]
    seen: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [FIRSTLIGHT, *self.arguments, "--json", "--root", str(self.root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def events(self) -> Iterator[dict[str, Any]]:
        """What it shows, line by line, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(json.loads(line))
            yield self.seen[-1]

    def until(self, name: str, count: int = 1) -> dict[str, Any]:
        """Read on until an event has been seen so many times from here on."""
        for event in self.events():
            if event["event"] == name:
                count -= 1
                if count == 0:
                    return event
        raise AssertionError(f"no {name} came; stderr: {self.errors()}")

    def errors(self) -> str:
        """What it said on stderr; call it when it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def end(self) -> None:
        """End the screen (not the night)."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
