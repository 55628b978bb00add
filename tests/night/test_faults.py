"""Nights on an observatory in which things go wrong: they end, and nothing wrong is in the library."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from acquire.plan_file import read_plan
from library.store import Library
from simulators.faults.kinds import KINDS, Occasion
from tests.night.nights import events_of, firstlight
from tests.night.test_kill import check_library

pytestmark = pytest.mark.slow

PLAN = """
name = "a bad night"
[camera]
gain = 100
temperature_c = 9
temperature_tolerance_c = 1
cooling_timeout_s = 20
readout_timeout_s = 5
[target]
name = "M 44"
ra = 130.1
dec = 19.67
[[lights]]
filter = "L"
exposure_s = 6
count = {count}
[[lights]]
filter = "R"
exposure_s = 6
count = {count}
[calibration]
bias = 2
[options]
settle_s = 0
retries = {retries}
slew_timeout_s = 10
filter_timeout_s = 5
[end]
cooler = "leave"
min_altitude_deg = -90
"""

MIXTURE = """
seed = 11
[[fault]]
name = "blob_lost"
probability = 0.04
[[fault]]
name = "blob_truncated"
probability = 0.06
[[fault]]
name = "blob_wrong_size"
probability = 0.06
[[fault]]
name = "blob_not_fits"
probability = 0.06
[[fault]]
name = "blob_wrong_binning"
probability = 0.06
[[fault]]
name = "blob_wrong_frame"
probability = 0.06
[[fault]]
name = "blob_duplicate"
probability = 0.06
[[fault]]
name = "blob_late"
probability = 0.06
[[fault]]
name = "exposure_never_ends"
probability = 0.03
[[fault]]
name = "exposure_alert"
probability = 0.06
[[fault]]
name = "wheel_jams"
probability = 0.06
state = "Alert"
[[fault]]
name = "wheel_wrong_slot"
probability = 0.06
[[fault]]
name = "driver_crash"
probability = 0.02
[[fault]]
name = "driver_crash"
device = "firstlight Wheel"
probability = 0.02
[[fault]]
name = "device_disconnect"
probability = 0.03
[[fault]]
name = "property_redefined"
probability = 0.03
[[fault]]
name = "message_flood"
probability = 0.03
[[fault]]
name = "server_gone"
probability = 0.02
[[fault]]
name = "connection_cut"
probability = 0.02
[[fault]]
name = "garbage_xml"
probability = 0.02
[[fault]]
name = "network_latency"
probability = 0.03
lasts_real_s = 2
delay_real_s = 0.5
[[fault]]
name = "clock_jumps"
probability = 0.03
[[fault]]
name = "cooler_drifts"
probability = 0.03
lasts_s = 120
[[fault]]
name = "temperature_unreadable"
probability = 0.03
lasts_s = 60
"""


@contextmanager
def observatory(folder: Path, faults: str) -> Iterator[int]:
    """An observatory in which this goes wrong, at 40 times real time; its port."""
    file, truth = folder / "faults.toml", folder / "truth.jsonl"
    file.write_text(faults)
    truth.touch()
    command = [sys.executable, "-m", "simulators", "--port", "0", "--speed", "40", "--follow-stdin"]
    with subprocess.Popen(
        [*command, "--faults", str(file), "--truth", str(truth)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            yield json.loads(process.stdout.readline())["port"]
            process.stdin.close()
            assert process.wait(timeout=10) == 0
            assert "Traceback" not in process.stderr.read().decode()
        finally:
            process.kill()


def told(folder: Path) -> Counter[str]:
    """How often each fault has happened."""
    lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    return Counter(line["fault"] for line in lines if "fault" in line)


def shoot(folder: Path, root: Path, faults: str, *, count: int, retries: int, limit_s: float) -> list[str]:
    """Run a night to its end; the steps it gave up. What every night must keep is checked here."""
    plan = folder / "plan.toml"
    plan.write_text(PLAN.format(count=count, retries=retries))
    with observatory(folder, faults) as port:
        done = firstlight(
            "run", plan, "--json", "--root", root, "--indi", f"127.0.0.1:{port}", timeout=limit_s
        )
    events = events_of(done.stdout)
    assert "Traceback" not in done.stdout + done.stderr + (root / "session.log").read_text()
    assert events[-1]["event"] == "summary"
    assert events[-1]["outcome"] == "done", done.stderr
    stored = check_library(root)
    given_up = [event["step_id"] for event in events if event["event"] == "step_given_up"]
    wanted = len(list(read_plan(plan).steps()))
    assert sum(stored.values()) == wanted - len(given_up)
    with Library.open(root) as library:
        sizes = {(each.meta.width, each.meta.height, each.meta.binning) for each in library.find()}
    assert len(sizes) == 1, "a frame of another size or binning is in the library"
    return given_up


@pytest.mark.parametrize(
    "name", [name for name, kind in KINDS.items() if kind.occasion is not Occasion.FOCUS]
)
def test_each_fault_alone(tmp_path: Path, root: Path, name: str) -> None:
    """One fault in a short night costs an exposure or some time, and no frame."""
    trigger = (
        "at_exposure = 3"
        if KINDS[name].occasion in {Occasion.EXPOSURE, Occasion.ANY}
        else "at_opportunity = 1"
    )
    faults = f'[[fault]]\nname = "{name}"\n{trigger}\n'
    if name == "blob_after_abort":
        faults += '[[fault]]\nname = "exposure_never_ends"\nat_exposure = 3\n'
    assert shoot(tmp_path, root, faults, count=1, retries=2, limit_s=120) == []
    assert told(tmp_path)[name] == 1


def test_a_night_of_everything(tmp_path: Path, root: Path) -> None:
    given_up = shoot(tmp_path, root, MIXTURE, count=12, retries=6, limit_s=280)
    assert given_up == []
    happened = told(tmp_path)
    assert len(happened) >= 8, happened
    assert happened.total() >= 15, happened
