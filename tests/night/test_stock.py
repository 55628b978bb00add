"""Debian's stock simulators, with our gsc on the PATH, so that the stock camera sees real stars."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.night.nights import events_of, firstlight

pytestmark = [pytest.mark.slow, pytest.mark.indi_bin]

PLAN = """
name = "Pleiades with the stock simulators"
[equipment]
camera = "CCD Simulator"
filter_wheel = "Filter Simulator"
mount = "Telescope Simulator"
[camera]
gain = 90
temperature_c = -3
[target]
name = "M 45"
ra = "03h47m00s"
dec = "+24d07m00s"
[[lights]]
filter = "Red"
exposure_s = 3
count = 4
[[lights]]
filter = "Green"
exposure_s = 3
count = 4
[[lights]]
filter = "Blue"
exposure_s = 3
count = 4
[calibration]
bias = 4
dark = 4
[end]
min_altitude_deg = -90
warm_c_per_min = 30
"""


@pytest.fixture
def stock(tmp_path: Path, free_port: int) -> Iterator[int]:
    """The stock server's port."""
    home = tmp_path / "indi-home"
    home.mkdir()
    ours = str(Path(sys.executable).parent)
    server = subprocess.Popen(
        [
            *("indiserver", "-p", str(free_port), "-u", str(tmp_path / "indi.socket")),
            *("indi_simulator_ccd", "indi_simulator_wheel", "indi_simulator_telescope"),
        ],
        env=os.environ | {"HOME": str(home), "PATH": f"{ours}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield free_port
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()


def test_the_same_night_with_the_stock_drivers(stock: int, root: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    done = firstlight("run", plan, "--indi", f"127.0.0.1:{stock}", "--root", root, "--json")
    assert done.returncode == 0, done.stderr
    summary = events_of(done.stdout)[-1]
    assert summary["subs_shot"] == 12
    assert summary["subs_accepted"] == 12
    assert {stack["filter"]: stack["subs"] for stack in summary["stacks"]} == {
        "Red": 4,
        "Green": 4,
        "Blue": 4,
    }
    assert summary["colour_preview"] is not None
    files = sorted(root.rglob("*.fits"))
    told = subprocess.run(["fitsverify", "-q", *map(str, files)], capture_output=True, text=True, check=False)
    assert [line for line in told.stdout.splitlines() if "verification OK" not in line] == []
