"""A running observatory, as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.wire import CAMERA, FOCUSER, MOUNT, PANEL, WHEEL, Wire


@dataclass(frozen=True, slots=True)
class Simulated:
    """An observatory at 200 times real time, a client of it, and its sidecar."""

    wire: Wire
    port: int
    truth_path: Path

    def truths(self) -> list[dict[str, Any]]:
        """What was put into the frames so far."""
        return [json.loads(line) for line in self.truth_path.read_text().splitlines()]

    def utc(self) -> datetime:
        """The time there, which runs ahead of ours: when a frame was begun just now."""
        self.wire.shoot(0.001, "BIAS")
        return datetime.fromisoformat(self.truths()[-1]["date_obs"]).replace(tzinfo=UTC)


@pytest.fixture
def observatory(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Simulated]:
    """Started for the test, all devices connected, and ended by the end of its standard input.

    Parametrized indirectly, it takes options of ``python -m simulators``, with ``{tmp_path}`` filled in.
    """
    options = [option.format(tmp_path=tmp_path) for option in getattr(request, "param", ())]
    truth = tmp_path / "truth.jsonl"
    command = [sys.executable, "-m", "simulators", "--port", "0", "--seed", "7", "--speed", "200"]
    with subprocess.Popen(
        [*command, "--truth", str(truth), "--follow-stdin", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            ready = json.loads(process.stdout.readline())
            devices = [CAMERA, WHEEL, MOUNT, FOCUSER, PANEL]
            assert ready == {"host": "127.0.0.1", "port": ready["port"], "devices": devices}
            with Wire(ready["port"]) as wire:
                wire.connect(CAMERA, WHEEL, MOUNT)
                yield Simulated(wire, ready["port"], truth)
            process.stdin.close()
            assert process.wait(timeout=60) == 0
            assert "Traceback" not in process.stderr.read().decode()
        finally:
            process.kill()
